//! The report of `resets`: every view is made of it.

mod chart;
mod html;
mod sentences;
mod svg;
mod table;
mod uncounted;

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;

pub use self::chart::chart;
pub use self::html::html;
pub(super) use self::html::{comparison, numbers};
use self::sentences::{delay_sentence, mark_sentence, notes, rhythm_sentence};
pub(super) use self::sentences::{grouped, significant};
pub use self::svg::{DrawError, svg};
pub use self::table::{csv, markdown, table, wide};
pub use self::uncounted::uncounted;
pub use super::v1::resets::{
    Bin, Bucket, Comparison, DelayReport, Duplicate, FailedInput, Input, Interval, MarkReport, Named, NextStep, Peak,
    ResetsReport, RhythmReport, ServiceComparison, ServiceRow, Side, Tool, UncountedRecord, UncountedReport,
};
use crate::resets::{
    Delays, Exposure, MarkComparison, Question, Row, Series, ShareComparison, SideBySide, Sources, Tally, rate_interval,
};

/// How many exceptions and targets are named.
const NAMED: usize = 20;

impl FailedInput {
    /// What happened to it, in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        format!("{} could not be read to its end: {}.", self.name, self.message)
    }
}

impl DelayReport {
    /// The connect timeout that the delays point at, in seconds.
    #[must_use]
    pub fn points_at(&self) -> Option<f64> {
        self.peak.and_then(|peak| peak.points_at_seconds)
    }
}

impl ResetsReport {
    /// Puts the report together, but for what to do next.
    #[must_use]
    pub fn new(
        tally: &Tally,
        question: &Question,
        series: &Series,
        comparisons: &[MarkComparison],
        sources: &Sources,
    ) -> Self {
        let zone = &question.buckets.zone;
        Self {
            api_version: "meshaudit/v1",
            kind: "Resets",
            tool: Tool { name: "kubectl-meshaudit", version: env!("CARGO_PKG_VERSION") },
            input: input(tally, sources),
            by: question.buckets.by.to_string(),
            time_zone: zone.iana_name().unwrap_or("UTC").to_owned(),
            buckets: buckets(question, series),
            services: series.rows.iter().map(|row| service_row(row, series.has_calls)).collect(),
            other_services: series.others,
            total: service_row(&series.total, series.has_calls),
            exceptions: most_frequent(&tally.exceptions),
            targets: most_frequent(&tally.counted_targets()),
            marks: comparisons.iter().map(|comparison| mark_report(comparison, zone)).collect(),
            delay: delay_report(&tally.delays, tally),
            rhythm: tally.delays.rhythm().map(|rhythm| RhythmReport {
                every_seconds: rhythm.every.as_secs_f64(),
                share: rhythm.share,
                sentence: rhythm_sentence(rhythm),
            }),
            notes: notes(tally, series, comparisons, sources),
            next: Vec::new(),
        }
    }

    /// Whether anything was lost.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.total.resets == 0
    }
}

fn input(tally: &Tally, sources: &Sources) -> Input {
    let reading = &tally.reading;
    Input {
        sources: sources.count,
        bytes: reading.bytes,
        records: reading.records,
        without_timestamp: reading.without_timestamp,
        resets_without_timestamp: reading.resets_without_timestamp,
        without_zone: reading.without_zone,
        without_date: reading.without_date,
        outside_window: reading.outside_window,
        beyond_bounds: reading.beyond_bounds,
        cut_lines: reading.cut_lines,
        invalid_utf8: reading.invalid_utf8,
        uncounted: tally
            .uncounted
            .iter()
            .map(|(reason, uncounted)| UncountedReport {
                reason: reason.name().to_owned(),
                count: uncounted.count,
                examples: if sources.show_uncounted {
                    let record = |example: &crate::resets::Example| UncountedRecord {
                        service: example.service.clone(),
                        line: example.line,
                        text: example.text.clone(),
                    };
                    uncounted.examples.iter().map(record).collect()
                } else {
                    Vec::new()
                },
            })
            .collect(),
        duplicates: sources
            .duplicates
            .iter()
            .map(|(name, same_as)| Duplicate { name: name.clone(), same_as: same_as.clone() })
            .collect(),
        failed: sources
            .failed
            .iter()
            .map(|(name, message)| FailedInput { name: name.clone(), message: message.clone() })
            .collect(),
    }
}

fn buckets(question: &Question, series: &Series) -> Vec<Bucket> {
    let zone = &question.buckets.zone;
    let buckets = series.buckets.iter().zip(&series.covered);
    buckets
        .map(|(bucket, covered)| Bucket {
            start: rfc3339(bucket.start, zone),
            end: rfc3339(bucket.end, zone),
            label: question.buckets.label(*bucket),
            covered_from: covered.and_then(|covered| covered.from).map(|at| moment(at, zone)),
            covered_to: covered.and_then(|covered| covered.to).map(|at| moment(at, zone)),
        })
        .collect()
}

fn rfc3339(second: i64, zone: &TimeZone) -> String {
    Timestamp::from_second(second).map_or_else(|_| String::new(), |at| moment(at, zone))
}

fn moment(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

fn service_row(row: &Row, has_calls: bool) -> ServiceRow {
    ServiceRow {
        name: row.service.clone(),
        resets: row.total,
        calls: has_calls.then_some(row.calls),
        per_bucket: row.lost.clone(),
        classes: row.classes.iter().map(|(class, count)| (class.name().to_owned(), *count)).collect(),
        proxy_failures: row.proxy,
    }
}

fn most_frequent(names: &BTreeMap<String, u64>) -> Vec<Named> {
    let mut named: Vec<Named> = names.iter().map(|(name, count)| Named { name: name.clone(), count: *count }).collect();
    named.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.name.cmp(&b.name)));
    named.truncate(NAMED);
    named
}

fn mark_report(comparison: &MarkComparison, zone: &TimeZone) -> MarkReport {
    let at = comparison.mark.at.to_zoned(zone.clone());
    MarkReport {
        at: moment(comparison.mark.at, zone),
        label: comparison.mark.label.clone(),
        sentence: mark_sentence(comparison, &at.strftime("%Y-%m-%d %H:%M %:z").to_string()),
        all: comparison_report(&comparison.all),
        services: comparison
            .services
            .iter()
            .map(|(name, sides)| ServiceComparison { name: name.clone(), comparison: comparison_report(sides) })
            .collect(),
        one_sided: comparison.one_sided.clone(),
    }
}

fn comparison_report(sides: &SideBySide) -> Comparison {
    let side = |exposure: Exposure, calls: Option<(u64, u64)>| Side {
        resets: exposure.count,
        hours: exposure.hours,
        per_hour: (exposure.hours > 0.0).then(|| exposure.rate()),
        per_hour_interval: (exposure.hours > 0.0).then(|| {
            let (low, high) = rate_interval(exposure);
            Interval { low, high: Some(high) }
        }),
        calls: calls.map(|calls| calls.1),
        failure_share: calls.and_then(ShareComparison::share),
    };
    let rates = sides.rates.filter(|rates| !rates.is_too_early());
    Comparison {
        before: side(sides.before, sides.shares.map(|shares| shares.before)),
        after: side(sides.after, sides.shares.map(|shares| shares.after)),
        ratio: rates.and_then(|rates| rates.ratio),
        interval: rates.map(|rates| Interval {
            low: rates.interval.0,
            high: rates.interval.1.is_finite().then_some(rates.interval.1),
        }),
        p_value: rates.map(|rates| rates.p_value),
        more_than_noise: rates.map(|rates| rates.is_more_than_noise()),
        exposure: if sides.whole_stretch { "whole-time" } else { "hours-with-logs" },
        dispersion: sides.dispersion,
    }
}

fn delay_report(delays: &Delays, tally: &Tally) -> Option<DelayReport> {
    let best = delays.best();
    if best.total + delays.unknown == 0 {
        return None;
    }
    let peak = delays.peak();
    Some(DelayReport {
        resets: best.total,
        unknown: delays.unknown,
        median_seconds: best.quantile(0.5).map(|delay| delay.as_secs_f64()),
        p90_seconds: best.quantile(0.9).map(|delay| delay.as_secs_f64()),
        peak: peak.map(|peak| Peak {
            from_seconds: peak.from.as_secs_f64(),
            to_seconds: peak.to.as_secs_f64(),
            resets: peak.count,
            share: peak.share,
            points_at_seconds: peak.points_at.filter(|_| peak.points_enough()).map(|timeout| timeout.as_secs_f64()),
        }),
        sentence: delay_sentence(delays, tally),
        // Set with the report's own next steps, of which it is the first.
        next: None,
        bins: best.bins().map(|(from, resets)| Bin { seconds: from.as_secs_f64(), resets }).collect(),
        longer: best.longer,
    })
}
