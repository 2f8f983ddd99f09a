//! A failed connection, as it happens.

use std::fmt::Write;

use crate::diagnose::{CauseSeverity, Confidence, Event};
use crate::model::format_duration;
use crate::report::escape::escape;
use crate::report::look::Look;
use crate::report::table;

/// A failed connection, as it happens. What it means is said the first time only.
#[must_use]
pub fn event(event: &Event, explained: bool, several: bool, look: Look) -> String {
    const WIDEST: usize = 100;
    let palette = look.palette;
    let cause = match event.cause.severity() {
        CauseSeverity::Error => palette.error(event.cause.as_str()),
        CauseSeverity::Warning => palette.warning(event.cause.as_str()),
        CauseSeverity::Info => palette.info(event.cause.as_str()),
    };
    let clock = event.time.map_or_else(|| "-".to_owned(), |time| time.strftime("%Y-%m-%d %H:%M:%S%.3fZ").to_string());
    let shown = |value: Option<&String>| value.map(|value| escape(value).into_owned());
    let place = shown(event.cluster.as_ref()).or(shown(event.host.as_ref())).unwrap_or_else(|| "-".to_owned());
    let mut out = format!("{} {cause} {}\n", palette.faint(&clock), palette.strong(&place));
    let mut facts = Vec::new();
    facts.extend(shown(event.upstream.as_ref()));
    if let Some(waited) = event.waited.or(event.total) {
        let tries = if event.attempts > 1 { format!("{} x ", event.attempts) } else { String::new() };
        facts.push(format!("waited {tries}{:.2}s", waited.as_secs_f64()));
    }
    if let Some(timeout) = event.connect_timeout {
        let sign = if event.timeout_inferred { "~" } else { "" };
        facts.push(format!("connect timeout {sign}{}", format_duration(timeout)));
    }
    if !event.flags.is_empty() {
        facts.push(escape(&event.flags.join(",")).into_owned());
    }
    if event.confidence != Confidence::Certain {
        facts.push(event.confidence.as_str().to_owned());
    }
    if event.rescued {
        facts.push("a later try succeeded".to_owned());
    }
    if several && !event.source.is_empty() {
        facts.push(escape(&event.source).into_owned());
    }
    if !facts.is_empty() {
        let _ = writeln!(out, "  {}", facts.join(", "));
    }
    if !explained {
        let width = look.columns.unwrap_or(WIDEST).min(WIDEST);
        let _ = writeln!(out, "  {}", table::wrap(&escape(&event.explanation), width, 2));
    }
    if look.verbose {
        for evidence in &event.evidence {
            let _ = writeln!(out, "  {} {}", palette.faint("|"), escape(&evidence.text.replace('\t', "  ")));
        }
    }
    out
}
