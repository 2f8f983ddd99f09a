//! What `diagnose` found: a table with what to do, and timelines.

use std::collections::HashSet;
use std::fmt::Write;

use jiff::Timestamp;

use super::escape::escape;
use super::look::Look;
use super::palette::Palette;
use super::table::{self, number, text};
pub use super::v1::diagnosis::{DiagnosisInput, line, report, severity};
use crate::diagnose::{self, Cause, CauseSeverity, Confidence, Diagnosis, DiagnosisEntry, Event, Moment};
use crate::model::format_duration;

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

/// The table, and below it what each cause means and what to do about it: once for each cause and cluster. Rows alone
/// where there are no headings.
#[must_use]
pub fn table(diagnosis: &Diagnosis, look: Look) -> String {
    let mut out = rows(diagnosis, look);
    if !look.headings {
        return out;
    }
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
    let mut heading = format!("{} {}", paint(look.palette, event), look.palette.strong(&cluster));
    if upstream != "-" {
        let _ = write!(heading, " {upstream}");
    }
    let _ = writeln!(out, "\n{}", table::wrap(&heading, width, 4));
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
    // Rows alone are a line each.
    let narrow = look.headings && look.columns.is_some_and(|columns| columns < WIDE_ENOUGH);
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
            text("UPSTREAM").optional(),
            number("WAITED"),
            number("TIMEOUT"),
            text("FIRST").optional(),
            text("LAST").optional(),
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
            "{} not understood, so this log is not clean; the first is line {}: {}",
            match input.unexplained {
                1 => "1 record speaks of a failure and is".to_owned(),
                count => format!("{count} records speak of a failure and are"),
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
        "# {cause}\n\nSeverity: {}\n\n## What happened\n{explanation}\n\n## Remedy\n{remedy}\n\n`diagnose` shows \
         the lines that prove it.\n",
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
    let mut heading =
        format!("{} ({}) {}", paint(look.palette, event), event.confidence.as_str(), look.palette.strong(&cluster));
    if upstream != "-" {
        let _ = write!(heading, " {upstream}");
    }
    let mut out = table::wrap(&heading, look.width(), 4) + "\n";
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
