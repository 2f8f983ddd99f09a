//! What to do after a chart.

use jiff::Timestamp;

use super::ResetsArgs;
use crate::model::{Flag, Scope};
use crate::report::resets::{NextStep, ResetsReport};
use crate::resets::{Basis, By, Tally};

impl ResetsArgs {
    /// What a printed command needs to mean the same mesh: of files, the mesh that their applications are in.
    pub(in crate::cli) fn scope(&self) -> Scope {
        let mesh = Scope { cluster: self.kube.flags(), source: self.kube.istio_flags(), ..Scope::default() };
        if self.is_live() {
            Scope { targets: self.targets.clone(), selection: self.select.flags(), ..mesh }
        } else {
            mesh.whole_mesh()
        }
    }

    /// The same question once more.
    fn same_scope(&self) -> Scope {
        let files = self.from.iter().map(|path| Flag::new("--from", path.to_string_lossy()));
        let scope = self.scope();
        if self.from.is_empty() {
            scope
        } else {
            Scope { source: files.chain(scope.source.clone()).collect(), selection: Vec::new(), ..scope }
        }
    }

    /// The command that gives this report again: times are fixed in it, since `1h` would mean another hour later.
    pub(in crate::cli) fn command(&self, now: Timestamp) -> String {
        let mut words = Vec::new();
        let mut option = |name: &str, value: &str| words.extend([name.to_owned(), value.to_owned()]);
        self.container.iter().for_each(|name| option("-c", name));
        let (counting, chart) = (&self.counting, &self.report.chart);
        for (name, moment) in [("--since", &counting.since), ("--until", &counting.until)] {
            moment.iter().for_each(|moment| option(name, &self.fixed_mark(moment, now)));
        }
        counting.service.iter().for_each(|name| option("--service", name));
        counting.service_field.iter().for_each(|field| option("--service-field", field));
        counting.class.iter().for_each(|class| option("--class", class.name()));
        counting.pattern.iter().for_each(|pattern| option("--pattern", pattern));
        if counting.log_tz != "UTC" {
            option("--log-tz", &counting.log_tz);
        }
        if chart.by != By::Day {
            option("--by", &chart.by.to_string());
        }
        if chart.tz != "UTC" {
            option("--tz", &chart.tz);
        }
        chart.mark.iter().for_each(|mark| option("--mark", &self.fixed_mark(mark, now)));
        let stores = self.store.flags().into_iter().chain(self.prometheus.flags());
        for Flag { name, value } in stores {
            words.push(name);
            words.extend(value);
        }
        self.same_scope().command("resets", words)
    }

    pub(super) fn is_live(&self) -> bool {
        self.from.is_empty() && !self.store.is_given() && !self.prometheus.is_given()
    }

    /// The steps that lead on from what was found, the first one first.
    pub(super) fn next_steps(&self, report: &ResetsReport, tally: &Tally, now: Timestamp) -> Vec<NextStep> {
        let step = |command: String, why: &str| NextStep { command, why: why.to_owned() };
        let scope = self.scope();
        let of_applications = tally.services.values().any(|service| service.basis() == Basis::Application);
        let mut steps = Vec::new();
        let nothing_behind =
            report.marks.iter().any(|mark| mark.all.after.hours <= 0.0 || mark.all.before.hours <= 0.0);
        if nothing_behind && of_applications && self.is_live() && self.container.is_empty() {
            let mut words = vec!["-c".to_owned(), "istio-proxy".to_owned()];
            for mark in &self.report.chart.mark {
                words.extend(["--mark".to_owned(), self.fixed_mark(mark, now)]);
            }
            steps.push(step(
                scope.command("resets", words),
                "the applications' logs do not reach over both sides of the mark; the proxies' access logs count the calls that went well too",
            ));
        }
        if report.is_empty() {
            if !report.input.uncounted.is_empty() && !self.shows_uncounted() {
                steps.push(step(
                    self.same_scope().command("resets", ["--show", "uncounted"]),
                    "lists the records that have words of a lost connection and were not counted",
                ));
            }
            if steps.is_empty() {
                steps.push(step(
                    scope.command::<&str>("timeouts", []),
                    "audits the connect timeouts, before a lost SYN meets one that is too short",
                ));
            }
            return steps;
        }
        if report.delay.as_ref().is_some_and(|delay| delay.points_at().is_some()) {
            steps.push(step(
                scope.whole_mesh().command::<&str>("timeouts", []),
                "audits the connect timeouts: which clusters have this one, and where it comes from",
            ));
        }
        if self.is_live() || !of_applications || steps.is_empty() {
            let command = if of_applications || self.from.is_empty() {
                scope.command::<&str>("diagnose", [])
            } else {
                self.same_scope().command::<&str>("diagnose", [])
            };
            steps.push(step(command, "the proxies' logs have the duration and the cause of each failed call"));
        }
        steps
    }

    /// A mark's time as an instant: `now` would mean another one later.
    fn fixed_mark(&self, mark: &str, now: Timestamp) -> String {
        let (at, label) = mark.split_once('=').map_or((mark, None), |(at, label)| (at, Some(label)));
        let at = self
            .typed_moment(at, now)
            .map_or_else(|| at.to_owned(), |at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        label.map_or_else(|| at.clone(), |label| format!("{at}={label}"))
    }
}
