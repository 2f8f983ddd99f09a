//! The matrix of services and times, for people and for spreadsheets.

use std::fmt::Write as _;

use tabled::builder::Builder;
use tabled::settings::object::{Columns, Object, Rows};
use tabled::settings::{Alignment, Padding, Style};
use unicode_width::UnicodeWidthStr;

use super::chart::covered;
use super::sentences::nothing;
use super::{Bucket, ResetsReport, ServiceRow, grouped};
use crate::report::Palette;
use crate::report::escape::escape;
use crate::report::export::{cell, code, harmless};
use crate::report::look::Look;
use crate::report::table as col;

/// What stands where there are no logs.
const MISSING: &str = "–";

fn count(cell: Option<u64>) -> String {
    cell.map_or_else(|| MISSING.to_owned(), grouped)
}

/// Services by time with totals, then the sentences. Services are rows as long as the times fit beside them in `width`
/// columns (unlimited in a pipe); else times are rows, and the services that do not fit are summed up.
#[must_use]
pub fn table(report: &ResetsReport, width: Option<usize>) -> String {
    let mut text = matrix(report, width);
    if report.buckets.len() > 1 && report.buckets.iter().any(|bucket| covered(bucket).is_some()) {
        text.push_str("* only partly covered by logs\n");
    }
    text.push_str(&super::chart::findings(report, width.unwrap_or(usize::MAX)));
    text
}

fn matrix(report: &ResetsReport, width: Option<usize>) -> String {
    if report.buckets.is_empty() {
        return format!("{}\n", nothing(report));
    }
    let rows: Vec<&ServiceRow> =
        report.services.iter().chain((report.services.len() > 1).then_some(&report.total)).collect();
    let by_service = || {
        let mut builder = Builder::default();
        let short = short_labels(report);
        builder
            .push_record(std::iter::once("SERVICE".to_owned()).chain(short).chain(std::iter::once("TOTAL".to_owned())));
        for row in &rows {
            let counts = row.per_bucket.iter().map(|cell| count(*cell));
            builder.push_record(
                std::iter::once(escape(&row.name).into_owned())
                    .chain(counts)
                    .chain(std::iter::once(grouped(row.resets))),
            );
        }
        finish(builder)
    };
    if report.buckets.len() <= 14 {
        let wide = by_service();
        if width.is_none_or(|width| wide.lines().all(|line| line.width() <= width)) {
            return wide;
        }
    }
    // As many services as fit; the last column is the total.
    let limit = width.unwrap_or(usize::MAX);
    let label = report.buckets.iter().map(|bucket| label_of(bucket).width()).max().unwrap_or(0).max(5);
    let column = |row: &ServiceRow| {
        let counts = row.per_bucket.iter().map(|cell| count(*cell).width()).max().unwrap_or(1);
        escape(&row.name).width().min(28).max(counts).max(grouped(row.resets).width()) + 2
    };
    let mut used = label + 2 + column(&report.total);
    let mut shown = 0;
    for row in &report.services {
        // A column for the rest must fit too, unless this is the last.
        let rest = if shown + 1 < report.services.len() { 9 } else { 0 };
        if used + column(row) + rest > limit {
            break;
        }
        used += column(row);
        shown += 1;
    }
    let rest = &report.services[shown..];
    let mut builder = Builder::default();
    let heads = report.services[..shown].iter().map(|row| shortened(&escape(&row.name), 28));
    let more = (!rest.is_empty()).then(|| format!("{} more", rest.len()));
    builder.push_record(
        std::iter::once(report.by.to_uppercase()).chain(heads).chain(more).chain(std::iter::once("TOTAL".to_owned())),
    );
    let line = |name: String, cell: &dyn Fn(&ServiceRow) -> Option<u64>| {
        let summed = (!rest.is_empty()).then(|| rest.iter().filter_map(cell).reduce(|sum, one| sum + one));
        std::iter::once(name)
            .chain(report.services[..shown].iter().map(|row| count(cell(row))))
            .chain(summed.map(count))
            .chain(std::iter::once(count(cell(&report.total))))
            .collect::<Vec<_>>()
    };
    for (index, bucket) in report.buckets.iter().enumerate() {
        builder.push_record(line(label_of(bucket), &|row| row.per_bucket.get(index).copied().flatten()));
    }
    builder.push_record(line("TOTAL".to_owned(), &|row| Some(row.resets)));
    finish(builder)
}

/// The matrix of every service, and what each is made of.
#[must_use]
pub fn wide(report: &ResetsReport, width: Option<usize>) -> String {
    let mut text = matrix(report, width);
    if !report.buckets.is_empty() {
        let or_none = |value: Option<u64>| value.map_or_else(|| MISSING.to_owned(), grouped);
        let rows: Vec<Vec<String>> = report
            .services
            .iter()
            .map(|row| {
                let classes: Vec<String> =
                    row.classes.iter().map(|(class, count)| format!("{class} {}", grouped(*count))).collect();
                vec![
                    escape(&row.name).into_owned(),
                    grouped(row.resets),
                    or_none(row.calls),
                    or_none(row.proxy_failures),
                    classes.join(", "),
                ]
            })
            .collect();
        let columns = [
            col::text("SERVICE"),
            col::number("RESETS"),
            col::number("CALLS"),
            col::number("PROXY"),
            col::text("CLASSES"),
        ];
        let look = Look { palette: Palette::plain(), columns: width, headings: true, verbose: false };
        text.push('\n');
        text.push_str(&col::fit(&columns, &rows, look));
    }
    text.push_str(&super::chart::findings(report, width.unwrap_or(usize::MAX)));
    text
}

/// A name in at most so many columns.
pub(super) fn shortened(name: &str, width: usize) -> String {
    if name.width() <= width {
        return name.to_owned();
    }
    let mut text = String::new();
    for c in name.chars() {
        if text.width() + 2 > width {
            break;
        }
        text.push(c);
    }
    text.push('…');
    text
}

/// A column's name, with a star where the logs cover only a part of it.
fn label_of(bucket: &Bucket) -> String {
    if covered(bucket).is_some() { format!("{}*", bucket.label) } else { bucket.label.clone() }
}

/// The year once, where all columns share it.
fn short_labels(report: &ResetsReport) -> Vec<String> {
    let year = report.buckets[0].label.get(..5).unwrap_or_default();
    let shared = report.by == "day" && report.buckets.iter().all(|bucket| bucket.label.starts_with(year));
    report
        .buckets
        .iter()
        .enumerate()
        .map(|(index, bucket)| {
            let label = label_of(bucket);
            if shared && index > 0 { label[5..].to_owned() } else { label }
        })
        .collect()
}

fn finish(builder: Builder) -> String {
    let mut table = builder.build();
    table
        .with(Style::empty())
        .with(Padding::new(0, 2, 0, 0))
        .modify(Columns::new(1..).intersect(Rows::new(0..)), Alignment::right());
    let mut text = String::new();
    for line in table.to_string().lines() {
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// One line for each service and bucket. `resets` is empty where there are no logs.
///
/// # Errors
/// None in practice: the writer is memory.
pub fn csv(report: &ResetsReport) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["start", "end", "bucket", "service", "resets"])?;
    for row in &report.services {
        for (bucket, cell) in report.buckets.iter().zip(&row.per_bucket) {
            let resets = cell.map(|cell| cell.to_string()).unwrap_or_default();
            writer.write_record([&bucket.start, &bucket.end, &bucket.label, &harmless(&row.name), &resets])?;
        }
    }
    let bytes = writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The matrix with times as rows, then the sentences.
#[must_use]
pub fn markdown(report: &ResetsReport) -> String {
    let mut text = String::from("## Connection resets\n\n");
    if report.buckets.is_empty() {
        let _ = writeln!(text, "{}\n", nothing(report));
    } else {
        let names: Vec<String> = report.services.iter().map(|row| cell(&row.name)).collect();
        let _ = writeln!(text, "| {} | {} | total |", report.by, names.join(" | "));
        let _ = writeln!(text, "|---|{}", "---:|".repeat(names.len() + 1));
        for (index, bucket) in report.buckets.iter().enumerate() {
            let counts: Vec<String> = report.services.iter().map(|row| count(row.per_bucket[index])).collect();
            let _ = writeln!(
                text,
                "| {} | {} | {} |",
                cell(&label_of(bucket)),
                counts.join(" | "),
                count(report.total.per_bucket[index])
            );
        }
        let counts: Vec<String> = report.services.iter().map(|row| grouped(row.resets)).collect();
        let _ = writeln!(text, "| **total** | {} | **{}** |\n", counts.join(" | "), grouped(report.total.resets));
        let _ = writeln!(
            text,
            "{MISSING} is a time without logs, 0 one with logs and no reset. Times are {}.\n",
            report.time_zone
        );
    }
    for mark in &report.marks {
        let _ = writeln!(text, "- {}", cell(&mark.sentence));
    }
    if let Some(delay) = &report.delay {
        let _ = writeln!(text, "- {}", cell(&delay.sentence));
    }
    if let Some(rhythm) = &report.rhythm {
        let _ = writeln!(text, "- {}", cell(&rhythm.sentence));
    }
    for step in &report.next {
        let _ = writeln!(text, "- Next: {} ({})", code(&step.command), cell(&step.why));
    }
    let failed = report.input.failed.iter().map(super::FailedInput::sentence);
    for note in failed.chain(report.notes.iter().cloned()) {
        let _ = writeln!(text, "- {}", cell(&note));
    }
    text
}
