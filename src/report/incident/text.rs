//! The write-up for a terminal: what it comes to, and the commands that say more.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::{About, IncidentReport, concerned, failures, heading, origin, upstream};
use crate::report::audit::short_name;
use crate::report::escape::escape;
use crate::report::look::{Look, grouped};
use crate::report::resets::chart;
use crate::report::table::{self, number, wrap};

/// How many rows a table has.
const ROWS: usize = 10;

/// The columns of a chart where there is no terminal.
const CHART: usize = 100;

/// The facts, the chart, the failed connections and the clusters, then the commands.
#[must_use]
pub fn text(report: &IncidentReport, look: Look) -> String {
    let (palette, width) = (look.palette, look.width());
    let mut out = format!("{}\n", palette.strong(&wrap(&escape(&report.title), width, 2)));
    let mut last = None;
    for fact in &report.facts {
        if last != Some(fact.about) {
            let _ = writeln!(out, "\n{}", palette.strong(heading(fact.about).0));
            last = Some(fact.about);
        }
        let _ = writeln!(out, "  {}", wrap(&escape(&fact.sentence), width, 4));
    }
    if let Some(resets) = report.resets.document.as_ref().filter(|resets| !resets.is_empty()) {
        let drawn = chart(resets, look.columns.unwrap_or(CHART), palette);
        // What stands below the chart is said above.
        let _ = writeln!(out, "\n{}", drawn.split("\n\n").take(2).collect::<Vec<_>>().join("\n\n").trim_end());
    }
    connections(&mut out, report, look);
    clusters(&mut out, report, look);
    unread(&mut out, report, look);
    let commands = [
        (About::Resets, &report.resets.command),
        (About::Cause, &report.diagnosis.command),
        (About::Timeout, &report.audit.command),
        (About::Change, &report.plan.command),
        (About::Holders, &report.verification.command),
    ];
    let _ = writeln!(out, "\n{}", palette.strong("Where the figures come from"));
    for (about, command) in commands {
        let _ = writeln!(out, "  {}:", heading(about).0);
        let _ = writeln!(out, "    {}", palette.info(&table::command(&escape(command), width, 6)));
    }
    out
}

fn connections(out: &mut String, report: &IncidentReport, look: Look) {
    let items = failures(report);
    let rows: Vec<Vec<String>> = items
        .iter()
        .take(ROWS)
        .map(|item| {
            let proof = item.proof.as_ref().or(item.evidence.first());
            let proof = proof.map(|line| {
                let source = item.source.as_deref().unwrap_or_default();
                let text = escape(&line.text.replace('\t', " ")).into_owned();
                format!("\n  {}", look.palette.faint(&format!("{}:{} {text}", escape(source), line.line)))
            });
            vec![
                format!("{}{}", item.cause, proof.unwrap_or_default()),
                item.confidence.to_owned(),
                grouped(item.occurrences),
                item.seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.2}s")),
                item.connect_timeout.clone().unwrap_or_else(|| "-".to_owned()),
                name(upstream(item), look),
            ]
        })
        .collect();
    if rows.is_empty() {
        return;
    }
    let columns = [
        table::text("CAUSE"),
        table::text("SURE"),
        number("COUNT"),
        number("WAITED"),
        number("TIMEOUT"),
        table::text("CLUSTER"),
    ];
    let _ = write!(out, "\n{}", table::fit(&columns, &rows, look));
    more(out, items.len());
}

fn clusters(out: &mut String, report: &IncidentReport, look: Look) {
    let found = concerned(report);
    let rows: Vec<Vec<String>> = found
        .iter()
        .take(ROWS)
        .map(|one| {
            vec![
                name(&one.cluster.name, look),
                one.cluster.connect_timeout.clone(),
                one.cluster.syn_retransmissions.to_string(),
                one.cluster.proxy_count.to_string(),
                escape(&origin(one.cluster)).into_owned(),
            ]
        })
        .collect();
    if rows.is_empty() {
        return;
    }
    let columns = [table::text("CLUSTER"), number("TIMEOUT"), number("SYN"), number("PROXIES"), table::text("ORIGIN")];
    let _ = write!(out, "\n{}", table::fit(&columns, &rows, look));
    more(out, found.len());
}

/// A cluster's name: as people speak of it on a terminal, where it would be cut.
fn name(cluster: &str, look: Look) -> String {
    let name = if look.columns.is_some() { short_name(cluster) } else { cluster.to_owned() };
    escape(&name).into_owned()
}

fn more(out: &mut String, all: usize) {
    if all > ROWS {
        let _ = writeln!(out, "and {} more; -o html has them", all - ROWS);
    }
}

/// What could not be read, once for each.
fn unread(out: &mut String, report: &IncidentReport, look: Look) {
    let failed = report.audit.document.iter().flat_map(|audit| &audit.coverage.failed);
    let failed = failed.map(|failed| format!("{}: {}", failed.proxy, failed.message));
    let lines: BTreeSet<String> =
        failed.chain(report.resets.unread.iter().cloned()).chain(report.diagnosis.unread.iter().cloned()).collect();
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{}", look.palette.error("Not read"));
    for line in lines.iter().take(ROWS) {
        let _ = writeln!(out, "  {}", wrap(&escape(line), look.width(), 4));
    }
    more(out, lines.len());
}
