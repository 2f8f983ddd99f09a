//! `resets` on what a log store has, and the queries to paste into one.

use clap::ValueEnum;
use jiff::Timestamp;

use super::super::console::Console;
use super::super::exit::Exit;
use super::super::failure::Failure;
use super::super::stores::{Containers, Selected, failure, tell};
use super::{Plan, ResetsArgs};
use crate::collect::resets::{count_store, words};
use crate::k8s::WorkloadKind;
use crate::report::progress::Bar;
use crate::resets::{Sources, Tally};
use crate::store::{Pasted, Selection};

/// Where a query is pasted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum PrintQuery {
    Splunk,
    #[value(alias = "elasticsearch", alias = "opensearch", alias = "kibana")]
    Kql,
    Esql,
    #[value(alias = "grafana", alias = "logql")]
    Loki,
    Victorialogs,
    Cloudwatch,
    #[value(alias = "gcl", alias = "gcloud")]
    Google,
    Azure,
    Datadog,
}

impl PrintQuery {
    const fn pasted(self) -> Pasted {
        match self {
            Self::Splunk => Pasted::Splunk,
            Self::Kql => Pasted::Kql,
            Self::Esql => Pasted::Esql,
            Self::Loki => Pasted::Loki,
            Self::Victorialogs => Pasted::VictoriaLogs,
            Self::Cloudwatch => Pasted::CloudWatch,
            Self::Google => Pasted::Google,
            Self::Azure => Pasted::Azure,
            Self::Datadog => Pasted::Datadog,
        }
    }
}

impl ResetsArgs {
    /// Reads what the store has.
    pub(super) async fn stored(&self, plan: &Plan, console: &Console) -> Result<(Tally, Sources), Failure> {
        if self.prometheus.is_given() {
            return Err(Failure::usage("a log store and Prometheus are two sources; give one of them"));
        }
        let selected = Selected::of(&self.select, &self.targets)?;
        let containers =
            if self.container.is_empty() { Containers::Applications } else { Containers::Named(&self.container) };
        let cluster = self.store.cluster(&self.kube).await?;
        let (since, until) = (plan.question.since, plan.question.until);
        let (store, mut ask) = self.store.open(&cluster, self.kube.limits(), since, until, plan.now)?;
        ask.namespace.clone_from(&selected.namespace);
        let select = |fields: &_, sample: &[_]| selected.conditions(fields, sample, &containers);
        let bar = Bar::new(console.shows_progress(), "hours read");
        let mut hour = String::new();
        let mut progress = |at: Timestamp| {
            let now = at.strftime("%Y-%m-%d %H:00").to_string();
            if now != hour {
                bar.done(&hour);
                bar.expect(vec![now.clone()]);
                hour = now;
            }
        };
        let given = self.store.fields(self.counting.service_field.as_ref());
        let counted =
            count_store(&*store, &mut ask, &select, given, &plan.question, &plan.options, &mut progress).await;
        let (tally, sources, summary) = counted.map_err(|error| failure(&error))?;
        tell(console, store.name(), &ask, &summary);
        Ok((tally, sources))
    }

    /// Prints the query that selects the same of a store.
    pub(super) fn print_query(&self, store: PrintQuery, plan: &Plan, console: &Console) -> Result<Exit, Failure> {
        let selected = self.select.selection(&self.targets)?;
        if self.select.selector.as_ref().is_some_and(|labels| !labels.is_empty()) {
            return Err(Failure::usage("--print-query does not know how your shipper writes labels of pods")
                .hint("say it in the store's own words with --query"));
        }
        let namespace = selected.namespace.filter(|name| !name.is_empty() && !selected.all_namespaces);
        let mut selection = Selection {
            words: words(&plan.question),
            since: plan.question.since,
            until: plan.question.until,
            namespace,
            containers: self.container.clone(),
            query: self.store.query(),
            ..Selection::default()
        };
        for target in selected.targets {
            match target.kind {
                None => selection.pods.push(target.name),
                Some(WorkloadKind::Service | WorkloadKind::Gateway) => {
                    return Err(Failure::usage(format!("a log store does not know which pods are behind {target}"))
                        .hint("name the workload, such as deploy/NAME"));
                }
                Some(_) => selection.workloads.push(target.name),
            }
        }
        let (query, how) = selection.query(store.pasted());
        console.print(&format!("{query}\n"))?;
        console.note(&format!("{how} Then: kubectl meshaudit resets --from FILE"));
        Ok(Exit::Success)
    }
}
