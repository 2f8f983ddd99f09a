//! The chart in a terminal: a line for each bucket, with a bar stacked by service. Services differ in their pattern, so
//! that nothing depends on colour.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr;

use super::sentences::nothing;
use super::{Bucket, ResetsReport, grouped};
use crate::report::Palette;
use crate::report::escape::escape;
use crate::report::table::{command, wrap};

/// One for each service that the chart tells apart; the last is for all others.
const PATTERNS: [char; 6] = ['█', '▒', '▚', '░', '═', '·'];
/// From this many buckets on, runs without a reset are drawn as one line.
const FOLD_FROM: usize = 49;

/// The chart, its legend, and what was found.
#[must_use]
pub fn chart(report: &ResetsReport, width: usize, palette: Palette) -> String {
    let mut text = String::new();
    if report.buckets.is_empty() {
        let _ = writeln!(text, "{}", nothing(report));
        text.push_str(&findings(report, width));
        return text;
    }
    let all = report.services.len() + report.other_services.saturating_sub(1);
    let silent = report.services.iter().filter(|row| row.resets == 0).count();
    let services = match all {
        1 => "1 service".to_owned(),
        _ if silent == 0 || report.total.resets == 0 => format!("{} services", grouped(all as u64)),
        _ => format!("{} of {} services", grouped((all - silent) as u64), grouped(all as u64)),
    };
    let _ = writeln!(
        text,
        "{}",
        palette.strong(&format!(
            "Connection resets by {} ({}): {} in {services}",
            report.by,
            report.time_zone,
            grouped(report.total.resets)
        ))
    );
    legend(&mut text, report, width, palette);
    text.push('\n');
    bars(&mut text, report, width, palette);
    text.push_str(&findings(report, width));
    text
}

/// The rows of the report by pattern: the services beyond the last pattern share it.
fn stacked(report: &ResetsReport, bucket: usize) -> [u64; PATTERNS.len()] {
    let mut parts = [0; PATTERNS.len()];
    for (index, row) in report.services.iter().enumerate() {
        parts[pattern_of(report, index)] += row.per_bucket.get(bucket).copied().flatten().unwrap_or(0);
    }
    parts
}

fn pattern_of(report: &ResetsReport, index: usize) -> usize {
    let named = if report.services.len() <= PATTERNS.len() { PATTERNS.len() } else { PATTERNS.len() - 1 };
    index.min(named)
}

fn legend(text: &mut String, report: &ResetsReport, width: usize, palette: Palette) {
    let mut column = 0;
    let named = if report.services.len() <= PATTERNS.len() { report.services.len() } else { PATTERNS.len() - 1 };
    let mut entries: Vec<(usize, String)> = report
        .services
        .iter()
        .take(named)
        .enumerate()
        .filter(|(_, row)| row.resets > 0)
        .map(|(index, row)| (index, format!("{} {}", escape(&row.name), grouped(row.resets))))
        .collect();
    let rest = &report.services[named..];
    if rest.iter().any(|row| row.resets > 0) {
        entries.push((
            PATTERNS.len() - 1,
            format!(
                "{} more {}",
                rest.len() + report.other_services.saturating_sub(1),
                grouped(rest.iter().map(|row| row.resets).sum())
            ),
        ));
    }
    for (index, entry) in entries {
        let wide = entry.width() + 5;
        if column > 0 && column + wide > width {
            text.push('\n');
            column = 0;
        }
        if column > 0 {
            text.push_str("   ");
        }
        let pattern = palette.series(index, &PATTERNS[index].to_string().repeat(2));
        let _ = write!(text, "{pattern} {entry}");
        column += wide + 1;
    }
    text.push('\n');
}

fn bars(text: &mut String, report: &ResetsReport, width: usize, palette: Palette) {
    let most = report.total.per_bucket.iter().flatten().copied().max().unwrap_or(0);
    let label = report.buckets.iter().map(|bucket| bucket.label.width()).max().unwrap_or(0);
    let counts = grouped(most).width();
    let part = report.buckets.iter().filter_map(covered).map(|part| part.width() + 3).max().unwrap_or(0);
    let room = width.saturating_sub(label + counts + part + 3).clamp(10, 160);
    let mut index = 0;
    while index < report.buckets.len() {
        rules(text, report, index, width, palette);
        let state = report.total.per_bucket[index];
        let run = (index..report.buckets.len())
            .take_while(|later| {
                report.total.per_bucket[*later] == state && (*later == index || !has_rule(report, *later))
            })
            .count();
        if report.buckets.len() >= FOLD_FROM && run > 3 && state.unwrap_or(0) == 0 {
            let last = &report.buckets[index + run - 1].label;
            let what = if state.is_none() { "no logs" } else { "0" };
            let _ = writeln!(
                text,
                "{:label$}  {}",
                report.buckets[index].label,
                palette.faint(&format!("{what} in each of {run}, to {last}"))
            );
            index += run;
            continue;
        }
        let _ = write!(text, "{:label$}  ", report.buckets[index].label);
        match state {
            None => text.push_str(&palette.faint("no logs")),
            Some(total) => {
                let parts = stacked(report, index);
                let mut drawn = 0;
                let mut sum = 0;
                for (pattern, part) in parts.iter().enumerate() {
                    sum += part;
                    // Rounded on the running sum, so that the whole bar has the right length.
                    let end = scaled(sum, most, room);
                    if end > drawn {
                        let piece = PATTERNS[pattern].to_string().repeat(end - drawn);
                        text.push_str(&palette.series(pattern, &piece));
                        drawn = end;
                    }
                }
                if drawn > 0 {
                    text.push(' ');
                }
                text.push_str(&grouped(total));
                if let Some(part) = covered(&report.buckets[index]) {
                    text.push_str(&palette.faint(&format!(" ({part})")));
                }
            }
        }
        text.push('\n');
        index += 1;
    }
    rules(text, report, report.buckets.len(), width, palette);
}

/// What the logs cover of a column, where it is not all of it: `from 09:00`, `to 14:20`.
pub(super) fn covered(bucket: &Bucket) -> Option<String> {
    let clock = |at: &Option<String>, word: &str| Some(format!("{word} {}", at.as_ref()?.get(11..16)?));
    let parts = [clock(&bucket.covered_from, "from"), clock(&bucket.covered_to, "to")];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}

/// At least one cell for anything that is not nothing.
fn scaled(count: u64, most: u64, room: usize) -> usize {
    if count == 0 || most == 0 {
        return 0;
    }
    let cells = ((u128::from(count) * room as u128 + u128::from(most) / 2) / u128::from(most)) as usize;
    cells.max(1)
}

/// A mark is drawn above the first bucket that begins at it or after it.
fn rule_before(report: &ResetsReport, mark: usize) -> usize {
    let at: Option<jiff::Timestamp> = report.marks[mark].at.parse().ok();
    report
        .buckets
        .iter()
        .position(|bucket| bucket.start.parse::<jiff::Timestamp>().ok() >= at)
        .unwrap_or(report.buckets.len())
}

fn has_rule(report: &ResetsReport, index: usize) -> bool {
    (0..report.marks.len()).any(|mark| rule_before(report, mark) == index)
}

fn rules(text: &mut String, report: &ResetsReport, index: usize, width: usize, palette: Palette) {
    for (number, mark) in report.marks.iter().enumerate() {
        if rule_before(report, number) == index {
            let name =
                format!("── {} {} ", mark.at.get(..16).unwrap_or(&mark.at).replace('T', " "), escape(&mark.label));
            let rest = "─".repeat(width.min(160).saturating_sub(name.width()));
            let _ = writeln!(text, "{}", palette.strong(&format!("{name}{rest}")));
        }
    }
}

/// The sentences below every view for people.
pub(super) fn findings(report: &ResetsReport, width: usize) -> String {
    let mut text = String::new();
    let mut paragraph = |line: &str| {
        // A percent sign stays with its number.
        let line = escape(line).replace(" %", "\u{a0}%");
        let _ = write!(text, "\n{}\n", wrap(&line, width, 0).replace('\u{a0}', " "));
    };
    let top = |named: &[super::Named]| {
        named.iter().take(3).map(|one| format!("{} {}", one.name, grouped(one.count))).collect::<Vec<_>>().join(", ")
    };
    if !report.targets.is_empty() {
        paragraph(&format!("Called: {}.", top(&report.targets)));
    }
    if !report.exceptions.is_empty() {
        paragraph(&format!("Root causes: {}.", top(&report.exceptions)));
    }
    for mark in &report.marks {
        paragraph(&mark.sentence);
    }
    if let Some(delay) = &report.delay {
        paragraph(&delay.sentence);
    }
    if let Some(rhythm) = &report.rhythm {
        paragraph(&rhythm.sentence);
    }
    for (index, step) in report.next.iter().enumerate() {
        let head = if index == 0 { "\nNext: " } else { "  or: " };
        let _ = writeln!(text, "{head}{}", command(&escape(&step.command), width, 6));
        let _ = writeln!(text, "      {}", wrap(&step.why, width, 6));
    }
    text
}
