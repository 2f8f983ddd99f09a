//! An audit as a table.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::escape::escape;
use super::super::look::{Look, proxies, show_timeout};
use super::super::table::{self, number, text};
use super::causes::short_name;
use super::{paint, show_origin};
use crate::audit::{Audit, Finding, Row, Severity, Subject};
use crate::model::{ClusterSet, MeshSnapshot, format_duration};

/// How many proxies a line names before it counts the rest.
const NAMED: usize = 3;

/// The table by cluster: one row for each value that deserves attention, worst first; all rows with `everything`.
#[must_use]
pub fn rows(snapshot: &MeshSnapshot, audit: &Audit, look: Look, everything: bool) -> String {
    let lines = attention(audit, everything);
    if lines.is_empty() {
        return String::new();
    }
    let names = |set: &ClusterSet| proxies(set.iter().map(|proxy| &snapshot.proxies[proxy as usize].proxy.id), NAMED);
    let cells: Vec<Vec<String>> = lines
        .iter()
        .map(|line| {
            let (timeout, syn) = line.values();
            let subject = if line.cluster.is_empty() { names(&line.proxies) } else { line.name(look) };
            vec![
                line.severity(look),
                subject,
                timeout,
                syn,
                line.proxies.len().to_string(),
                line.origin(),
                line.codes(),
            ]
        })
        .collect();
    let columns = [
        text("SEVERITY"),
        text("CLUSTER"),
        number("TIMEOUT"),
        number("SYN").optional(),
        number("PROXIES").optional(),
        text("ORIGIN").optional(),
        text("RULES"),
    ];
    table::fit(&columns, &cells, look)
}

/// A row for each proxy and value.
#[must_use]
pub fn wide(snapshot: &MeshSnapshot, audit: &Audit, look: Look, everything: bool) -> String {
    let known = |text: &str| if text.is_empty() { "-".to_owned() } else { escape(text).into_owned() };
    let mut cells = Vec::new();
    for line in attention(audit, everything) {
        let (timeout, syn) = line.values();
        for proxy in line.proxies.iter() {
            let read = &snapshot.proxies[proxy as usize].proxy;
            cells.push(vec![
                escape(&read.id.to_string()).into_owned(),
                line.severity(look),
                if line.cluster.is_empty() { "-".to_owned() } else { line.name(look) },
                known(line.row.map_or("", |row| &row.discovery_type)),
                timeout.clone(),
                syn.clone(),
                line.origin(),
                line.codes(),
                known(&read.revision),
                known(&read.istio_version),
            ]);
        }
    }
    if cells.is_empty() {
        return String::new();
    }
    let columns = [
        text("PROXY"),
        text("SEVERITY"),
        text("CLUSTER"),
        text("TYPE").optional(),
        number("TIMEOUT"),
        number("SYN").optional(),
        text("ORIGIN").optional(),
        text("RULES"),
        text("REVISION").optional(),
        text("ISTIO").optional(),
    ];
    table::fit(&columns, &cells, look)
}

/// What a line of the table is about.
struct Line<'a> {
    severity: Option<Severity>,
    row: Option<&'a Row>,
    /// The cluster, or what else it is about; empty where that is the proxies.
    cluster: Arc<str>,
    timeout: Option<Duration>,
    proxies: Arc<ClusterSet>,
    codes: Vec<&'static str>,
}

impl Line<'_> {
    /// The cluster's name: whole for programs, as people speak of it on a terminal, where it would be cut.
    fn name(&self, look: Look) -> String {
        let name = if look.columns.is_some() { short_name(&self.cluster) } else { self.cluster.to_string() };
        escape(&name).into_owned()
    }

    fn severity(&self, look: Look) -> String {
        self.severity.map_or_else(|| "ok".to_owned(), |severity| paint(look.palette, severity, severity.as_str()))
    }

    /// The timeout, and how many SYN retransmissions fit into it.
    fn values(&self) -> (String, String) {
        match self.row {
            Some(row) => (show_timeout(row.connect_timeout), row.syn_retransmissions().to_string()),
            None => (self.timeout.map_or_else(|| "-".to_owned(), format_duration), "-".to_owned()),
        }
    }

    fn origin(&self) -> String {
        self.row.map_or_else(|| "-".to_owned(), |row| show_origin(&row.origin))
    }

    fn codes(&self) -> String {
        if self.codes.is_empty() { "-".to_owned() } else { self.codes.join(",") }
    }
}

/// The lines that deserve attention, worst first: each row with all that was found of it, and findings of no row.
fn attention(audit: &Audit, everything: bool) -> Vec<Line<'_>> {
    let mut of_rows: HashMap<*const Row, Vec<&Finding>> = HashMap::new();
    let mut lines: Vec<Line<'_>> = Vec::new();
    for finding in &audit.findings {
        let cluster = match &finding.subject {
            Subject::Row { row, .. } => {
                of_rows.entry(Arc::as_ptr(row)).or_default().push(finding);
                continue;
            }
            Subject::Cluster { cluster, .. } => Arc::clone(cluster),
            Subject::Proxies { .. } => Arc::from(""),
            Subject::MeshConfig { map, key, .. } => Arc::from(format!("ConfigMap {map} {}", key.as_str())),
        };
        lines.push(Line {
            severity: Some(finding.severity),
            row: None,
            cluster,
            timeout: finding.subject.timeout(),
            proxies: Arc::clone(finding.proxies()),
            codes: vec![finding.rule.code],
        });
    }
    for row in &audit.rows {
        let findings = of_rows.get(&Arc::as_ptr(row)).map_or(&[][..], Vec::as_slice);
        let severity = findings.iter().map(|finding| finding.severity).max();
        if everything || severity.is_some() {
            lines.push(Line {
                severity,
                row: Some(row),
                cluster: Arc::clone(&row.name),
                timeout: row.connect_timeout,
                proxies: Arc::clone(&row.proxies),
                codes: findings.iter().map(|finding| finding.rule.code).collect(),
            });
        }
    }
    lines.sort_by(|a, b| {
        let key = |line: &Line<'_>| {
            (std::cmp::Reverse(line.severity), line.cluster.is_empty(), std::cmp::Reverse(line.proxies.len()))
        };
        key(a).cmp(&key(b)).then_with(|| a.cluster.cmp(&b.cluster)).then_with(|| a.timeout.cmp(&b.timeout))
    });
    lines
}
