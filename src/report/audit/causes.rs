//! An audit by cause: a block for each severity, value and origin, what was seen to fail before what could.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::super::escape::escape;
use super::super::look::{Look, proxies, some};
use super::super::table::{self, number, text};
use super::{paint, show_cause};
use crate::audit::{Audit, Finding, Row, Severity, Subject};
use crate::model::{
    ClusterName, ClusterSet, Direction, EnvoyCluster, MeshSnapshot, OriginKind, format_duration, syn_retransmissions,
};

/// How much is said below a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// The clusters, and what was seen to fail.
    Observed,
    /// What was found, too, and what is to be done.
    Found,
    /// All clusters and proxies by name.
    All,
}

/// How many clusters a block names on a pipe before it counts the rest.
const CLUSTERS: usize = 10;

/// How many proxies.
const PROXIES: usize = 3;

/// How many different messages of one rule a block has.
const MESSAGES: usize = 3;

/// Terminals narrower than this have no column for SYN retransmissions.
const ROOM_FOR_SYN: usize = 100;

/// The column that they are left out of.
const SYN: usize = 2;

/// What a block is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Cause<'a> {
    /// A value, and what gives it.
    Value(Option<Duration>, &'a OriginKind, bool),
    /// A cluster, whatever gives its value.
    Cluster,
    /// Proxies as such.
    Proxies,
    /// A key of a ConfigMap.
    Object(String),
}

#[derive(Default)]
struct Block<'a> {
    clusters: BTreeSet<&'a str>,
    proxies: ClusterSet,
    findings: Vec<&'a Finding>,
}

impl Block<'_> {
    fn is_observed(&self) -> bool {
        self.findings.iter().any(|finding| finding.is_observed())
    }
}

/// What gives a value that proxies hold which lag behind.
static STALE: OriginKind = OriginKind::Stale;

/// Puts findings, and with `everything` rows without any, into blocks.
fn blocks(audit: &Audit, everything: bool) -> Vec<(Option<Severity>, Cause<'_>, Block<'_>)> {
    let mut worst: HashMap<*const Row, Severity> = HashMap::new();
    for finding in &audit.findings {
        if let Some(row) = finding.subject.row() {
            let known = worst.entry(Arc::as_ptr(row)).or_insert(finding.severity);
            *known = finding.severity.max(*known);
        }
    }
    let mut blocks: BTreeMap<(Reverse<Option<Severity>>, Cause<'_>), Block<'_>> = BTreeMap::new();
    for row in &audit.rows {
        let severity = worst.get(&Arc::as_ptr(row)).copied();
        if everything || severity.is_some() {
            let cause = Cause::Value(row.connect_timeout, &row.origin.kind, row.origin.certain);
            let block = blocks.entry((Reverse(severity), cause)).or_default();
            block.clusters.insert(&row.name);
            block.proxies.extend(&row.proxies);
        }
    }
    for finding in &audit.findings {
        let (severity, cause) = match &finding.subject {
            Subject::Row { row, .. } => (
                worst.get(&Arc::as_ptr(row)).copied().unwrap_or(finding.severity),
                Cause::Value(row.connect_timeout, &row.origin.kind, row.origin.certain),
            ),
            Subject::Cluster { .. } => (finding.severity, Cause::Cluster),
            Subject::Proxies { held: Some(held), .. } => (finding.severity, Cause::Value(Some(*held), &STALE, true)),
            Subject::Proxies { held: None, .. } => (finding.severity, Cause::Proxies),
            Subject::MeshConfig { map, key, .. } => {
                (finding.severity, Cause::Object(format!("ConfigMap {map} {}", key.as_str())))
            }
        };
        let block = blocks.entry((Reverse(Some(severity)), cause)).or_default();
        if !finding.cluster().is_empty() {
            block.clusters.insert(finding.cluster());
        }
        block.proxies.extend(finding.proxies());
        block.findings.push(finding);
    }
    let mut blocks: Vec<_> =
        blocks.into_iter().map(|((Reverse(severity), cause), block)| (severity, cause, block)).collect();
    blocks.sort_by_key(|(severity, _, block)| {
        (Reverse(block.is_observed()), Reverse(*severity), Reverse(block.clusters.len() * block.proxies.len()))
    });
    blocks
}

/// The table by cause; of rows in order too with `everything`.
#[must_use]
pub fn causes(snapshot: &MeshSnapshot, audit: &Audit, look: Look, detail: Detail, everything: bool) -> String {
    let mut shown = blocks(audit, everything);
    if detail == Detail::Observed && audit.worst() > Some(Severity::Info) {
        // Where there is worse, what is only worth knowing is counted in the summary.
        shown.retain(|(severity, ..)| *severity != Some(Severity::Info));
    }
    if shown.is_empty() {
        return String::new();
    }
    let mut columns =
        vec![text("SEVERITY"), number("TIMEOUT"), number("SYN"), number("CLUSTERS"), number("PROXIES"), text("CAUSE")];
    // The cause says more, where there is not room for both.
    let syn = look.columns.is_none_or(|columns| columns >= ROOM_FOR_SYN);
    if !syn {
        columns.remove(SYN);
    }
    let taken: usize = columns.iter().take(columns.len() - 1).map(|column| column.heading.len() + table::GAP).sum();
    let room = look.width().saturating_sub(taken);
    let cells: Vec<Vec<String>> = shown
        .iter()
        .map(|(severity, cause, block)| {
            let (timeout, retransmissions, origin) = match cause {
                Cause::Value(timeout, kind, certain) => {
                    let effective = timeout.unwrap_or(EnvoyCluster::DEFAULT_CONNECT_TIMEOUT);
                    let syn = syn_retransmissions(effective).to_string();
                    (
                        timeout.map_or_else(|| "absent".to_owned(), format_duration),
                        syn,
                        show_cause(kind, *certain, room),
                    )
                }
                Cause::Cluster => ("-".to_owned(), "-".to_owned(), "a cluster that did not come through".to_owned()),
                Cause::Proxies => ("-".to_owned(), "-".to_owned(), "the proxies themselves".to_owned()),
                Cause::Object(object) => ("-".to_owned(), "-".to_owned(), escape(object).into_owned()),
            };
            let mut cause = origin;
            // Rows alone are for programs: nothing stands below them.
            if look.headings {
                for line in below(snapshot, block, look, detail) {
                    cause.push('\n');
                    cause.push_str(&line);
                }
            }
            let severity = severity.map_or_else(|| "ok".to_owned(), |all| paint(look.palette, all, all.as_str()));
            let clusters = if block.clusters.is_empty() { "-".to_owned() } else { block.clusters.len().to_string() };
            let mut row = vec![severity, timeout, retransmissions, clusters, block.proxies.len().to_string(), cause];
            if !syn {
                row.remove(SYN);
            }
            row
        })
        .collect();
    table::fit(&columns, &cells, look)
}

/// What stands below a block's row.
fn below(snapshot: &MeshSnapshot, block: &Block<'_>, look: Look, detail: Detail) -> Vec<String> {
    let mut lines = Vec::new();
    let codes: BTreeSet<&str> = block.findings.iter().map(|finding| finding.rule.code).collect();
    let codes: Vec<&str> = codes.into_iter().collect();
    let ids = block.proxies.iter().map(|at| &snapshot.proxies[at as usize].proxy.id);
    // Where everything is said in words, each message has its code.
    let coded = detail == Detail::Observed && !codes.is_empty();
    let heading = if coded { format!("{}  ", codes.join(",")) } else { String::new() };
    if block.clusters.is_empty() {
        lines.push(format!("{heading}{}", proxies(ids, if detail == Detail::All { usize::MAX } else { PROXIES })));
    } else {
        lines.push(look.palette.faint(&format!("{heading}{}", names(&block.clusters, look, heading.len(), detail))));
        if detail == Detail::All {
            lines.push(format!("on {}", proxies(ids, usize::MAX)));
        }
    }
    lines.extend(messages(snapshot, block, detail));
    lines
}

/// The clusters' names in one line, as many as there is room for.
fn names(clusters: &BTreeSet<&str>, look: Look, taken: usize, detail: Detail) -> String {
    // The order of names is that of hosts, not of directions and ports.
    let mut names: Vec<String> = clusters.iter().map(|name| escape(&short_name(name)).into_owned()).collect();
    // Services before clusters that stand for none.
    names.sort_by_cached_key(|name| (!name.contains(':'), name.clone()));
    match look.columns {
        _ if detail == Detail::All => some(names, usize::MAX),
        None => some(names, CLUSTERS),
        Some(columns) => {
            let room = columns.saturating_sub(2 + taken);
            let fits = |named: &usize| table::width(&some(names.iter().cloned(), *named)) <= room;
            let named = (1..=names.len()).rev().find(fits).unwrap_or(1);
            some(names, named)
        }
    }
}

/// What was found, each message once with the clusters it is about, and what is to be done.
fn messages(snapshot: &MeshSnapshot, block: &Block<'_>, detail: Detail) -> Vec<String> {
    let mut groups: Vec<((&str, &str), Vec<&Finding>)> = Vec::new();
    let mut ordered = block.findings.clone();
    ordered.sort_by_key(|finding| (Reverse(finding.is_observed()), Reverse(finding.severity), finding.rule.code));
    for finding in ordered {
        if detail == Detail::Observed && !finding.is_observed() {
            continue;
        }
        let key = (finding.rule.code, finding.message.as_str());
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, all)) => all.push(finding),
            None => groups.push((key, vec![finding])),
        }
    }
    let mut lines = Vec::new();
    let mut shown: BTreeMap<&str, usize> = BTreeMap::new();
    let mut remedies: Vec<String> = Vec::new();
    for ((code, message), findings) in groups {
        let of_rule = shown.entry(code).or_default();
        *of_rule += 1;
        if *of_rule > MESSAGES && detail != Detail::All {
            continue;
        }
        lines.push(format!("{code} {}{}", about(snapshot, block, &findings), escape(message)));
        let remedy = findings[0].remedy();
        if !remedies.contains(&remedy) {
            remedies.push(remedy);
        }
    }
    for (code, number) in shown.into_iter().filter(|(_, number)| *number > MESSAGES && detail != Detail::All) {
        lines.push(format!("{code} … and {} more like it (-v)", number - MESSAGES));
    }
    if detail > Detail::Observed {
        lines.extend(remedies.iter().map(|remedy| format!("→ {}", escape(remedy))));
    }
    lines
}

/// Which of a block's clusters or proxies a message is about, where it is not all of them.
fn about(snapshot: &MeshSnapshot, block: &Block<'_>, findings: &[&Finding]) -> String {
    let clusters: BTreeSet<&str> =
        findings.iter().map(|finding| finding.cluster()).filter(|name| !name.is_empty()).collect();
    if !clusters.is_empty() && clusters.len() < block.clusters.len() {
        let names = clusters.iter().map(|name| escape(&short_name(name)).into_owned());
        return format!("{}: ", some(names, PROXIES));
    }
    if clusters.is_empty() && !block.clusters.is_empty() {
        let ids = findings.iter().flat_map(|finding| finding.proxies().iter());
        return format!("{}: ", proxies(ids.map(|at| &snapshot.proxies[at as usize].proxy.id), PROXIES));
    }
    String::new()
}

/// A cluster as people speak of it: `api.example.com:443`, `reviews.shop:9080/v2`, `inbound:8080`. Any other keeps its
/// name.
pub(in crate::report) fn short_name(name: &str) -> String {
    let Some(parts) = ClusterName::parse(name) else { return name.to_owned() };
    let host = parts.host.split_once(".svc.").map_or(parts.host, |(service, _)| service);
    let subset = if parts.subset.is_empty() { String::new() } else { format!("/{}", parts.subset) };
    let sni = if name.contains('|') { "" } else { " (by SNI)" };
    match parts.direction {
        Direction::Outbound => format!("{host}:{}{subset}{sni}", parts.port),
        Direction::Inbound if host.is_empty() => format!("inbound:{}{subset}", parts.port),
        Direction::Inbound => format!("inbound {host}:{}{subset}", parts.port),
        Direction::InboundVip => format!("inbound-vip {host}:{}{subset}", parts.port),
    }
}
