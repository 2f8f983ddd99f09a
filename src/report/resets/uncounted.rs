//! The records that have words of a lost connection and were not counted.

use std::fmt::Write as _;

use super::{ResetsReport, grouped};
use crate::report::escape::escape;

/// Lists them by reason, each with its service and line, up to so many columns.
#[must_use]
pub fn uncounted(report: &ResetsReport, width: usize) -> String {
    let mut text = String::new();
    if report.input.uncounted.is_empty() {
        text.push_str("Every record that has words of a lost connection was counted.\n");
    }
    for reason in &report.input.uncounted {
        let _ = writeln!(text, "{} ({}):", reason.reason, grouped(reason.count));
        for record in &reason.examples {
            let line = format!("  {}:{} {}", record.service, record.line, record.text.replace('\n', " "));
            let line: String = escape(&line).chars().take(width.max(40)).collect();
            let _ = writeln!(text, "{line}");
        }
        let more = reason.count.saturating_sub(reason.examples.len() as u64);
        if more > 0 {
            let _ = writeln!(text, "  … and {} more", grouped(more));
        }
    }
    text
}
