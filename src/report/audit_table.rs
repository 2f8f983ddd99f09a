//! An audit for people.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use super::escape::escape;
use super::look::{Look, count, failure_hint, show_timeout};
use super::palette::Palette;
use super::table::{self, number, text};
use crate::audit::{Audit, Finding, Row, RowKey, Severity};
use crate::model::{ClusterSet, FailureCause, MeshSnapshot, Origin, OriginKind, ProxyId, format_duration};

/// Terminals narrower than this get rows of two lines.
const WIDE_ENOUGH: usize = 132;

/// How many proxies a line names before it counts the rest.
const NAMED: usize = 3;

/// The table: one row for each value that deserves attention, worst first; all rows with `everything`.
#[must_use]
pub fn rows(snapshot: &MeshSnapshot, audit: &Audit, look: Look, everything: bool) -> String {
    let lines = attention(audit, everything);
    if lines.is_empty() {
        return String::new();
    }
    let names = |set: &ClusterSet| shorten(set.iter().map(|proxy| &snapshot.proxies[proxy as usize].proxy.id));
    let narrow = look.columns.is_some_and(|columns| columns < WIDE_ENOUGH);
    let cells = lines.into_iter().map(|line| {
        let (timeout, syn) = line.row.map_or_else(
            || (line.timeout.map_or_else(|| "-".to_owned(), format_duration), "-".to_owned()),
            |row| (show_timeout(row.connect_timeout), row.syn_retransmissions().to_string()),
        );
        let subject = if line.cluster.is_empty() { names(&line.proxies) } else { escape(&line.cluster).into_owned() };
        let origin = line.row.map_or_else(|| "-".to_owned(), |row| show_origin(&row.origin));
        let codes = if line.codes.is_empty() { "-".to_owned() } else { line.codes.join(",") };
        let severity = line.severity.map_or_else(|| "ok".to_owned(), |severity| paint(look.palette, severity));
        let count = line.proxies.len().to_string();
        if narrow {
            let below = look.palette.faint(&format!("{codes}  {origin}"));
            vec![severity, timeout, syn, count, format!("{subject}\n{below}")]
        } else {
            vec![severity, subject, timeout, syn, count, origin, codes]
        }
    });
    if narrow {
        let columns = [text("SEVERITY"), number("TIMEOUT"), number("SYN"), number("PROXIES"), text("CLUSTER")];
        table::render(&columns, cells.collect(), look.headings)
    } else {
        let columns = [
            text("SEVERITY"),
            text("CLUSTER"),
            number("TIMEOUT"),
            number("SYN"),
            number("PROXIES"),
            text("ORIGIN"),
            text("RULES"),
        ];
        table::render(&columns, cells.collect(), look.headings)
    }
}

/// A row for each proxy and value.
#[must_use]
pub fn wide(snapshot: &MeshSnapshot, audit: &Audit, look: Look, everything: bool) -> String {
    let mut cells = Vec::new();
    for line in attention(audit, everything) {
        let (timeout, syn) = line.row.map_or_else(
            || (line.timeout.map_or_else(|| "-".to_owned(), format_duration), "-".to_owned()),
            |row| (show_timeout(row.connect_timeout), row.syn_retransmissions().to_string()),
        );
        for proxy in line.proxies.iter() {
            let read = &snapshot.proxies[proxy as usize].proxy;
            cells.push(vec![
                escape(&read.id.to_string()).into_owned(),
                line.severity.map_or_else(|| "ok".to_owned(), |severity| paint(look.palette, severity)),
                if line.cluster.is_empty() { "-".to_owned() } else { escape(&line.cluster).into_owned() },
                line.row.map_or_else(|| "-".to_owned(), |row| escape(&row.discovery_type).into_owned()),
                timeout.clone(),
                syn.clone(),
                line.row.map_or_else(|| "-".to_owned(), |row| show_origin(&row.origin)),
                if line.codes.is_empty() { "-".to_owned() } else { line.codes.join(",") },
                if read.revision.is_empty() { "-".to_owned() } else { escape(&read.revision).into_owned() },
                if read.istio_version.is_empty() { "-".to_owned() } else { escape(&read.istio_version).into_owned() },
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
        text("TYPE"),
        number("TIMEOUT"),
        number("SYN"),
        text("ORIGIN"),
        text("RULES"),
        text("REVISION"),
        text("ISTIO"),
    ];
    table::render(&columns, cells, look.headings)
}

/// What a line of the table is about.
struct Line<'a> {
    severity: Option<Severity>,
    row: Option<&'a Row>,
    cluster: Arc<str>,
    timeout: Option<Duration>,
    proxies: Arc<ClusterSet>,
    codes: Vec<&'static str>,
}

/// The lines that deserve attention, worst first: each row with all that was found of it, and findings of no row.
fn attention(audit: &Audit, everything: bool) -> Vec<Line<'_>> {
    let mut of_rows: BTreeMap<RowKey, Vec<&Finding>> = BTreeMap::new();
    let mut others: Vec<Line<'_>> = Vec::new();
    for finding in &audit.findings {
        match &finding.origin {
            Some(origin) => {
                let key = (Arc::clone(&finding.cluster), finding.timeout, origin.clone());
                of_rows.entry(key).or_default().push(finding);
            }
            None => others.push(Line {
                severity: Some(finding.severity),
                row: None,
                cluster: Arc::clone(&finding.cluster),
                timeout: finding.timeout,
                proxies: Arc::clone(&finding.proxies),
                codes: vec![finding.rule.code],
            }),
        }
    }
    let mut lines: Vec<Line<'_>> = audit
        .rows
        .iter()
        .filter_map(|row| {
            let findings = of_rows.get(&row.key()).map_or(&[][..], Vec::as_slice);
            let severity = findings.iter().map(|finding| finding.severity).max();
            (everything || severity.is_some()).then(|| Line {
                severity,
                row: Some(row),
                cluster: Arc::clone(&row.name),
                timeout: row.connect_timeout,
                proxies: Arc::clone(&row.proxies),
                codes: findings.iter().map(|finding| finding.rule.code).collect(),
            })
        })
        .collect();
    lines.append(&mut others);
    lines.sort_by(|a, b| {
        let key = |line: &Line<'_>| {
            (std::cmp::Reverse(line.severity), line.cluster.is_empty(), std::cmp::Reverse(line.proxies.len()))
        };
        key(a).cmp(&key(b)).then_with(|| a.cluster.cmp(&b.cluster)).then_with(|| a.timeout.cmp(&b.timeout))
    });
    lines
}

/// What was covered, how much was found, and the one thing to do next.
#[must_use]
pub fn summary(snapshot: &MeshSnapshot, audit: &Audit, look: Look) -> String {
    let palette = look.palette;
    let mut out = String::new();
    let (audited, failed) = (snapshot.proxies.len(), snapshot.failed.len());
    let _ = write!(out, "Audited {}", count(audited, "proxy", "proxies"));
    if failed > 0 {
        let _ = write!(out, ", {}", palette.error(&format!("{} not read", count(failed, "proxy", "proxies"))));
    }
    if !snapshot.skipped.is_empty() {
        let _ = write!(out, ", skipped {}", count(snapshot.skipped.len(), "pod", "pods"));
    }
    for mesh in &audit.mesh {
        let plane = [("context", &mesh.context), ("revision", &mesh.revision)];
        let plane: Vec<String> = plane
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name} {}", escape(value)))
            .collect();
        let plane = if plane.is_empty() { String::new() } else { format!(" ({})", plane.join(", ")) };
        let _ = write!(
            out,
            "\nThe mesh's connect timeout is {}{plane}, by {}",
            palette.strong(&format_duration(mesh.connect_timeout)),
            escape(&mesh.source)
        );
    }
    out.push('\n');
    failures(&mut out, snapshot, look);
    skips(&mut out, snapshot, look);
    let counts = [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Info, "info")];
    let found: Vec<String> = counts
        .iter()
        .map(|(severity, word)| (audit.count(*severity), *severity, word))
        .filter(|(count, ..)| *count > 0)
        .map(|(number, severity, word)| {
            let plural = if severity == Severity::Info { (*word).to_owned() } else { format!("{word}s") };
            paint_text(palette, severity, &count(number, word, &plural))
        })
        .collect();
    if found.is_empty() {
        let verdict =
            if failed > 0 { palette.warning("Nothing wrong in what was read") } else { palette.good("Nothing wrong") };
        let _ = writeln!(out, "{verdict}: {} distinct values", audit.rows.len());
    } else {
        let _ = writeln!(out, "Found {}", found.join(", "));
    }
    rules_found(&mut out, audit, look);
    let next = next_step(snapshot, audit);
    if !next.is_empty() {
        let width = look.columns.unwrap_or(usize::MAX);
        let _ = writeln!(out, "{} {}", palette.strong("Next:"), table::wrap(&next, width, 6));
    }
    out
}

/// One line a rule that found something: what it says, and how often.
fn rules_found(out: &mut String, audit: &Audit, look: Look) {
    let mut rules: BTreeMap<&'static str, (&'static str, usize)> = BTreeMap::new();
    for finding in &audit.findings {
        rules.entry(finding.rule.code).or_insert((finding.rule.name, 0)).1 += 1;
    }
    for (code, (name, number)) in rules {
        let _ = writeln!(out, "  {code} {name} × {number}{}", look.palette.faint(&format!("  (explain {code})")));
    }
    if look.columns.is_some() && !audit.findings.is_empty() {
        let legend = "SYN: how many SYN retransmissions fit into the timeout; ?: likely, not proven";
        let _ = writeln!(out, "  {}", look.palette.faint(legend));
    }
}

/// The proxies that were not read, by cause, with what to do about each.
fn failures(out: &mut String, snapshot: &MeshSnapshot, look: Look) {
    let mut causes: BTreeMap<FailureCause, Vec<_>> = BTreeMap::new();
    for failed in &snapshot.failed {
        causes.entry(failed.cause).or_default().push(failed);
    }
    for (cause, all) in causes {
        let width = look.columns.unwrap_or(usize::MAX);
        let head = format!("not read ({cause}):");
        let line = table::wrap(&format!("{head} {}", failure_hint(cause)), width, 4);
        let _ = writeln!(out, "  {}", line.replacen(&head, &look.palette.error(&head), 1));
        let shown = if look.verbose { all.len() } else { NAMED };
        for failed in all.iter().take(shown) {
            let line = format!("{}: {}", escape(&failed.id.to_string()), escape(&failed.message));
            let _ = writeln!(out, "    {}", table::wrap(&line, width, 6));
        }
        if all.len() > shown {
            let _ = writeln!(out, "    and {} more (-v names all)", all.len() - shown);
        }
    }
}

/// The pods that were skipped, by reason.
fn skips(out: &mut String, snapshot: &MeshSnapshot, look: Look) {
    let mut reasons: BTreeMap<&str, Vec<&ProxyId>> = BTreeMap::new();
    for skipped in &snapshot.skipped {
        reasons.entry(&skipped.reason).or_default().push(&skipped.id);
    }
    for (reason, pods) in reasons {
        let names = if look.verbose {
            pods.iter().map(|id| escape(&id.to_string()).into_owned()).collect::<Vec<_>>().join(", ")
        } else {
            shorten(pods.iter().copied())
        };
        let width = look.columns.unwrap_or(usize::MAX);
        let line = format!("skipped, {}: {names}", escape(reason));
        let _ = writeln!(out, "  {}", table::wrap(&line, width, 4));
    }
}

/// The one thing to do next.
fn next_step(snapshot: &MeshSnapshot, audit: &Audit) -> String {
    let errors = || audit.findings.iter().filter(|finding| finding.severity == Severity::Error);
    let of_mesh = |finding: &&Finding| {
        finding
            .origin
            .as_ref()
            .is_some_and(|origin| matches!(origin.kind, OriginKind::MeshConfig { .. } | OriginKind::MeshDefault))
    };
    if let Some(finding) = errors().find(of_mesh) {
        let value = finding.timeout.map(format_duration).unwrap_or_default();
        return format!(
            "raise the mesh's connect timeout from {value} to 10s; `kubectl meshaudit fix` prints the change for this installation"
        );
    }
    if let Some(finding) = errors().next().or_else(|| audit.findings.first()) {
        let cluster =
            if finding.cluster.is_empty() { String::new() } else { format!("{}: ", escape(&finding.cluster)) };
        return format!("{cluster}{}", escape(&finding.remedy));
    }
    match snapshot.failed.first() {
        Some(failed) => format!("read what is missing; {}", failure_hint(failed.cause)),
        None => String::new(),
    }
}

/// `DestinationRule shop/cc-api subset v1`, with a question mark where it is not certain.
#[must_use]
pub fn show_origin(origin: &Origin) -> String {
    let mut out = origin.kind.as_str().to_owned();
    if let Some(object) = origin.kind.object() {
        let _ = write!(out, " {}", escape(&object.to_string()));
    }
    let part = origin.kind.part();
    if !part.is_empty() {
        let _ = write!(out, " {}", escape(&part));
    }
    if !origin.certain && origin.kind != OriginKind::Unknown {
        out.push('?');
    }
    out
}

fn paint(palette: Palette, severity: Severity) -> String {
    paint_text(palette, severity, severity.as_str())
}

fn paint_text(palette: Palette, severity: Severity, text: &str) -> String {
    match severity {
        Severity::Error => palette.error(text),
        Severity::Warning => palette.warning(text),
        Severity::Info => palette.info(text),
    }
}

fn shorten<'a>(ids: impl Iterator<Item = &'a ProxyId>) -> String {
    let ids: Vec<&ProxyId> = ids.collect();
    let mut names: Vec<String> = ids.iter().take(NAMED).map(|id| escape(&id.to_string()).into_owned()).collect();
    if ids.len() > NAMED {
        names.push(format!("{} more", ids.len() - NAMED));
    }
    names.join(", ")
}
