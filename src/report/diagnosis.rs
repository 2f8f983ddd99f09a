//! What `diagnose` found: a table with what to do, timelines, and the v1 form for machines.

use std::collections::HashSet;
use std::fmt::Write;
use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::escape::escape;
use super::look::Look;
use super::palette::Palette;
use super::table::{self, number, text};
use crate::diagnose::{self, Cause, CauseSeverity, Confidence, Diagnosis, DiagnosisEntry, Event, Evidence, Moment};
use crate::model::format_duration;

/// What was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiagnosisInput {
    /// Lines read.
    pub lines: u64,
    /// Records among them.
    pub records: u64,
    /// Lines that are neither a record of a proxy nor a part of one.
    pub unrecognized: u64,
    /// Records that speak of a failure and led to no diagnosis: with any, a log is not clean.
    pub unexplained: u64,
    /// Failures that are counted but not listed, because there were too many different ones.
    pub ungrouped: u64,
    /// Lines that were cut because they were longer than 1 MiB.
    pub cut_lines: u64,
    /// Open connections that were forgotten because there were too many at once.
    pub dropped_connections: u64,
}

/// Why connections failed: the object that `-o json` writes.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiagnosisReport {
    /// Always `meshaudit/v1`.
    pub api_version: &'static str,
    /// Always `Diagnosis`.
    pub kind: &'static str,
    /// What was read.
    pub input: DiagnosisInput,
    /// One for each cause, cluster and upstream; empty where nothing failed.
    pub diagnoses: Vec<DiagnosisItem>,
}

/// One failure as it happened: a line of `-o ndjson`.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiagnosisLine {
    /// Always `meshaudit/v1`.
    pub api_version: &'static str,
    /// Always `DiagnosisEvent`.
    pub kind: &'static str,
    /// The failure.
    #[serde(flatten)]
    pub event: DiagnosisItem,
}

/// A cause, where it struck, and how often. What the lines do not tell is null.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiagnosisItem {
    /// One of the causes in docs/diagnose.md.
    pub cause: &'static str,
    /// `certain`, `probable` or `unknown`.
    pub confidence: &'static str,
    /// `error`, `warning` or `info`.
    pub severity: &'static str,
    /// The cluster's name.
    pub cluster: Option<String>,
    /// The address that was called.
    pub upstream: Option<String>,
    /// The cluster's host, or the request's authority.
    pub host: Option<String>,
    /// `outbound`, `inbound` or `inbound-vip`.
    pub direction: Option<&'static str>,
    /// `tcp`, `http` or `grpc`.
    pub protocol: Option<&'static str>,
    /// How long one attempt took, in seconds.
    pub seconds: Option<f64>,
    /// How many times it was tried.
    pub attempts: u32,
    /// How long the caller waited in all, in seconds.
    pub total_seconds: Option<f64>,
    /// How many times this happened.
    pub occurrences: u64,
    /// When it first happened (RFC 3339).
    pub first: Option<String>,
    /// When it last happened (RFC 3339).
    pub last: Option<String>,
    /// Response flags of the access log line.
    pub response_flags: Vec<String>,
    /// The cluster's connect timeout.
    pub connect_timeout: Option<String>,
    /// Whether that timeout is concluded from the wait, rather than known.
    pub connect_timeout_inferred: bool,
    /// Whether the connection was established.
    pub connected: Option<bool>,
    /// Whether a later try of the same request succeeded.
    pub rescued: bool,
    /// What happened, and what the application saw.
    pub explanation: String,
    /// What to do, and what not to.
    pub remedy: String,
    /// The log the lines are of, where more than one was read.
    pub source: Option<String>,
    /// What the proxy at the other end wrote.
    pub other_end: Option<OtherEndItem>,
    /// The line that names the cause; null where it is unknown.
    pub proof: Option<EvidenceItem>,
    /// The lines that belong to it, of the first occurrence.
    pub evidence: Vec<EvidenceItem>,
}

/// A line that proves something.
#[derive(Debug, Serialize, JsonSchema)]
pub struct EvidenceItem {
    /// Its number in its input, from 1.
    pub line: u64,
    /// Its text, cut at 600 bytes.
    pub text: String,
}

/// What the proxy at the other end of the call wrote.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OtherEndItem {
    /// Its log.
    pub source: String,
    /// The line's number there.
    pub line: u64,
    /// Response code and flags.
    pub outcome: String,
    /// The cause its log has.
    pub cause: Option<&'static str>,
}

fn seconds(duration: Option<Duration>) -> Option<f64> {
    duration.map(|duration| (duration.as_secs_f64() * 1000.0).round() / 1000.0)
}

/// A severity's name.
#[must_use]
pub fn severity(severity: CauseSeverity) -> &'static str {
    match severity {
        CauseSeverity::Error => "error",
        CauseSeverity::Warning => "warning",
        CauseSeverity::Info => "info",
    }
}

fn item(event: &Event, occurrences: u64, first: Option<Timestamp>, last: Option<Timestamp>) -> DiagnosisItem {
    DiagnosisItem {
        cause: event.cause.as_str(),
        confidence: event.confidence.as_str(),
        severity: severity(event.cause.severity()),
        cluster: event.cluster.clone(),
        upstream: event.upstream.clone(),
        host: event.host.clone(),
        direction: event.direction.map(|direction| direction.as_str()),
        protocol: event.protocol,
        seconds: seconds(event.waited),
        attempts: event.attempts,
        total_seconds: seconds(event.total),
        occurrences,
        first: first.map(|time| time.to_string()),
        last: last.map(|time| time.to_string()),
        response_flags: event.flags.clone(),
        connect_timeout: event.connect_timeout.map(format_duration),
        connect_timeout_inferred: event.timeout_inferred,
        connected: event.connected,
        rescued: event.rescued,
        explanation: event.explanation.clone(),
        remedy: event.remedy.clone(),
        source: Some(event.source.clone()).filter(|source| !source.is_empty()),
        other_end: event.other_end.as_ref().map(|other| OtherEndItem {
            source: other.source.clone(),
            line: other.line,
            outcome: other.outcome.clone(),
            cause: other.cause.map(|cause| cause.as_str()),
        }),
        proof: event.proof.as_ref().map(evidence_item),
        evidence: event.evidence.iter().map(evidence_item).collect(),
    }
}

fn evidence_item(evidence: &Evidence) -> EvidenceItem {
    EvidenceItem { line: evidence.line, text: evidence.text.to_string() }
}

/// The whole as one object.
#[must_use]
pub fn report(diagnosis: &Diagnosis, input: DiagnosisInput) -> DiagnosisReport {
    let items = diagnosis.entries.iter().map(|entry| item(&entry.event, entry.occurrences, entry.first, entry.last));
    DiagnosisReport { api_version: "meshaudit/v1", kind: "Diagnosis", input, diagnoses: items.collect() }
}

/// One event as an object.
#[must_use]
pub fn line(event: &Event) -> DiagnosisLine {
    let event = item(event, 1, event.time, event.time);
    DiagnosisLine { api_version: "meshaudit/v1", kind: "DiagnosisEvent", event }
}

/// Terminals narrower than this get rows of two lines.
const WIDE_ENOUGH: usize = 150;

/// Prose is not set wider than this.
const PROSE: usize = 100;

fn paint(palette: Palette, event: &Event) -> String {
    let cause = event.cause.as_str();
    match event.cause.severity() {
        CauseSeverity::Error => palette.error(cause),
        CauseSeverity::Warning => palette.warning(cause),
        CauseSeverity::Info => palette.info(cause),
    }
}

fn clock(time: Option<Timestamp>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| time.strftime("%Y-%m-%d %H:%M:%SZ").to_string())
}

fn waited(event: &Event) -> String {
    let Some(waited) = event.waited.or(event.total) else { return "-".to_owned() };
    let tries = if event.attempts > 1 { format!("{} x ", event.attempts) } else { String::new() };
    format!("{tries}{:.2}s", waited.as_secs_f64())
}

/// The timeout, with a `~` where it is concluded from the wait.
fn timeout(event: &Event) -> String {
    let sign = if event.timeout_inferred { "~" } else { "" };
    event.connect_timeout.map_or_else(|| "-".to_owned(), |timeout| format!("{sign}{}", format_duration(timeout)))
}

fn place(event: &Event) -> (String, String) {
    let shown =
        |value: &Option<String>| value.as_deref().map_or_else(|| "-".to_owned(), |value| escape(value).into_owned());
    let cluster = if event.cluster.is_some() { shown(&event.cluster) } else { shown(&event.host) };
    (cluster, shown(&event.upstream))
}

/// How many kinds of failures are put in words below the table, and how many addresses of one are named.
const MAX_SECTIONS: usize = 20;
const MAX_NAMED: usize = 5;

/// The table, and below it what each cause means and what to do about it: once for each cause and cluster.
#[must_use]
pub fn table(diagnosis: &Diagnosis, look: Look) -> String {
    let mut out = rows(diagnosis, look);
    let mut sections: Vec<Vec<&Event>> = Vec::new();
    for DiagnosisEntry { event, .. } in &diagnosis.entries {
        let same = |section: &&mut Vec<&Event>| {
            section[0].cause == event.cause
                && section[0].confidence == event.confidence
                && place(section[0]).0 == place(event).0
        };
        match sections.iter_mut().find(same) {
            Some(section) => section.push(event),
            None => sections.push(vec![event]),
        }
    }
    // What to do is said once, however many clusters it is about.
    let mut said = HashSet::new();
    for events in sections.iter().take(MAX_SECTIONS) {
        let again = !said.insert(events[0].remedy.as_str());
        section(&mut out, events, again, look);
    }
    if sections.len() > MAX_SECTIONS {
        let _ = writeln!(out, "\n{} more kinds of failures are in `-o json`.", sections.len() - MAX_SECTIONS);
    }
    out
}

/// One failure in words, as it is found.
#[must_use]
pub fn event(event: &Event, look: Look) -> String {
    let mut out = format!("\n{}", look.palette.faint(&clock(event.time)));
    section(&mut out, &[event], false, look);
    out
}

fn section(out: &mut String, events: &[&Event], again: bool, look: Look) {
    let Some(event) = events.first() else { return };
    let width = look.columns.unwrap_or(PROSE).min(PROSE);
    let (cluster, upstream) = place(event);
    let _ = write!(out, "\n{} {}", paint(look.palette, event), look.palette.strong(&cluster));
    if upstream != "-" {
        let _ = write!(out, " {upstream}");
    }
    out.push('\n');
    for words in std::iter::once(&event.explanation).chain((!again).then_some(&event.remedy)) {
        let _ = writeln!(out, "  {}", table::wrap(&escape(words), width, 2));
    }
    if events.len() > 1 {
        let mut others: Vec<_> = events[1..].iter().take(MAX_NAMED).map(|event| place(event).1).collect();
        if events.len() - 1 > MAX_NAMED {
            others.push(format!("{} more", events.len() - 1 - MAX_NAMED));
        }
        let _ = writeln!(out, "  {}", table::wrap(&format!("The same at {}.", others.join(", ")), width, 2));
    }
    if look.verbose {
        out.push_str(&evidence(event, look.palette));
        return;
    }
    // The line that proves it stands below what it proves.
    if let Some(proof) = event.proof.as_ref().or(event.evidence.first()) {
        let source = if event.source.is_empty() { String::new() } else { format!("{}:", escape(&event.source)) };
        let text = format!("{source}{}: {}", proof.line, escape(&proof.text.replace('\t', " ")));
        let _ = writeln!(out, "  {}", look.palette.faint(&table::wrap(&text, width, 2)));
    }
}

fn evidence(event: &Event, palette: Palette) -> String {
    let mut out = String::new();
    if !event.source.is_empty() {
        let _ = writeln!(out, "  {}", palette.faint(&escape(&event.source)));
    }
    for evidence in &event.evidence {
        let _ = writeln!(
            out,
            "  {} {}",
            palette.faint(&format!("{:>6}", evidence.line)),
            escape(&evidence.text.replace('\t', "  "))
        );
    }
    out
}

/// The table alone: a row for each kind of failure.
#[must_use]
pub fn rows(diagnosis: &Diagnosis, look: Look) -> String {
    if diagnosis.entries.is_empty() {
        return String::new();
    }
    let narrow = look.columns.is_some_and(|columns| columns < WIDE_ENOUGH);
    let cells = diagnosis.entries.iter().map(|DiagnosisEntry { event, occurrences, first, last }| {
        let (cluster, upstream) = place(event);
        let sure = match event.confidence {
            Confidence::Certain => event.confidence.as_str().to_owned(),
            _ => look.palette.faint(event.confidence.as_str()),
        };
        let (count, first, last) = (occurrences.to_string(), clock(*first), clock(*last));
        if narrow {
            let times = if first == last { first } else { format!("{first} to {last}") };
            let below = look.palette.faint(&format!("{upstream}  {times}"));
            vec![
                format!("{}\n  {cluster}\n  {below}", paint(look.palette, event)),
                sure,
                count,
                waited(event),
                timeout(event),
            ]
        } else {
            vec![paint(look.palette, event), sure, count, cluster, upstream, waited(event), timeout(event), first, last]
        }
    });
    let columns: &[table::Column] = if narrow {
        &[text("CAUSE"), text("SURE"), number("COUNT"), number("WAITED"), number("TIMEOUT")]
    } else {
        &[
            text("CAUSE"),
            text("SURE"),
            number("COUNT"),
            text("CLUSTER"),
            text("UPSTREAM"),
            number("WAITED"),
            number("TIMEOUT"),
            text("FIRST"),
            text("LAST"),
        ]
    };
    table::fit(columns, &cells.collect::<Vec<_>>(), look)
}

/// What was read and found, in one line.
#[must_use]
pub fn summary(diagnosis: &Diagnosis, input: &DiagnosisInput, palette: Palette) -> String {
    let total: u64 = diagnosis.entries.iter().map(|entry| entry.occurrences).sum::<u64>() + diagnosis.ungrouped;
    let found = match (total, diagnosis.entries.len()) {
        (0, _) if input.unexplained > 0 || !diagnosis.view.shows_failures() => "No failure recognized".to_owned(),
        (0, _) => palette.good("No failed connection"),
        (1, _) => "1 failure".to_owned(),
        (total, 1) => format!("{total} failures of one kind"),
        (total, kinds) => format!("{total} failures of {kinds} kinds"),
    };
    let mut out = format!("{found} in {} records ({} lines", input.records, input.lines);
    if input.unrecognized > 0 {
        let _ = write!(out, ", {} not recognized", input.unrecognized);
    }
    out.push_str(").\n");
    if diagnosis.entries.iter().any(|entry| entry.event.timeout_inferred) {
        out.push_str("~ is a connect timeout concluded from the wait; --config-dump tells it for certain.\n");
    }
    if let Some(line) = &diagnosis.unexplained_line {
        let text: String = line.text.replace('\t', " ").chars().take(120).collect();
        let _ = writeln!(
            out,
            "{} speak of a failure and are not understood, so this log is not clean; the first is line {}: {}",
            match input.unexplained {
                1 => "1 record".to_owned(),
                count => format!("{count} records"),
            },
            line.line,
            escape(&text),
        );
    }
    if total == 0 && !diagnosis.view.shows_failures() {
        out.push_str(
            "This log has neither an access log nor Envoy's debug lines: a failed connection would leave no trace in \
             it. `kubectl meshaudit debug-log` turns the lines on, and explains each failure as it happens.\n",
        );
    }
    if diagnosis.ungrouped > 0 {
        let _ =
            writeln!(out, "{} failures are counted and not listed: there were too many kinds.", diagnosis.ungrouped);
    }
    if input.dropped_connections > 0 {
        let _ = writeln!(
            out,
            "{} connections were open at once with too many others, and were forgotten.",
            input.dropped_connections
        );
    }
    out
}

/// The page of a cause: what it means, what to do, and the sentences of Envoy that speak of it.
#[must_use]
pub fn page(cause: Cause) -> String {
    let (explanation, remedy) = diagnose::remedy(cause);
    format!(
        "# {cause}\n\nSeverity: {}\n\n## What happened\n{explanation}\n\n## Remedy\n{remedy}\n\nWhat `diagnose` takes for it, and \
         the lines that prove it, stand in docs/diagnose.md.\n",
        severity(cause.severity())
    )
}

/// The life of one connection of each entry: its moments with their offsets from the first.
#[must_use]
pub fn timelines(diagnosis: &Diagnosis, look: Look) -> String {
    let mut out = String::new();
    for entry in &diagnosis.entries {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&timeline(&entry.event, look));
        if entry.occurrences > 1 {
            let _ = writeln!(out, "  {}", look.palette.faint(&format!("the first of {}", entry.occurrences)));
        }
    }
    out
}

/// The life of one connection.
#[must_use]
pub fn timeline(event: &Event, look: Look) -> String {
    let (cluster, upstream) = place(event);
    let mut out =
        format!("{} ({}) {}", paint(look.palette, event), event.confidence.as_str(), look.palette.strong(&cluster));
    if upstream != "-" {
        let _ = write!(out, " {upstream}");
    }
    out.push('\n');
    let start = event.timeline.iter().find_map(|moment| moment.time);
    if let Some(start) = start {
        let source = if event.source.is_empty() { String::new() } else { format!(", {}", escape(&event.source)) };
        let _ = writeln!(out, "  {}", look.palette.faint(&format!("from {}{source}", clock(Some(start)))));
    }
    for moment in &event.timeline {
        let _ = writeln!(out, "  {}", row(moment, start, look));
    }
    out
}

fn row(moment: &Moment, start: Option<Timestamp>, look: Look) -> String {
    let offset = match (moment.time, start) {
        (Some(time), Some(start)) => format!("{:+.3}s", time.duration_since(start).as_secs_f64()),
        _ => "-".to_owned(),
    };
    let connection = moment.connection.map(|id| format!("[C{id}] ")).unwrap_or_default();
    let what = format!("{connection}{}", escape(&moment.what));
    let line = look.palette.faint(&format!("line {:<7}", moment.line));
    format!("{offset:>10}  {line}  {}", table::wrap(&what, look.columns.unwrap_or(PROSE), 28))
}
