//! The report of `resets`: the frozen v1 types of the machine output, and the sentences; every view is made of these.

mod chart;
mod html;
mod svg;
mod table;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Serialize;

pub use self::chart::chart;
pub use self::html::html;
pub use self::svg::{DrawError, svg};
pub use self::table::{csv, markdown, table};
use crate::resets::{
    DelayHistogram, Exposure, MarkComparison, Question, RateComparison, Reading, Row, Series, ShareComparison,
    SideBySide, Tally, rate_interval,
};

/// How many exceptions and targets are named.
const NAMED: usize = 20;

/// Connection resets by service and time: `kind: Resets`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResetsReport {
    /// Always `meshaudit/v1`.
    pub api_version: &'static str,
    /// Always `Resets`.
    pub kind: &'static str,
    /// What made the report.
    pub tool: Tool,
    /// What was read.
    pub input: Input,
    /// Length of the buckets: `day`, `hour`, or as given with `--by`.
    pub by: String,
    /// Zone of the buckets, as given with `--tz`.
    pub time_zone: String,
    /// The columns, without a gap, oldest first.
    pub buckets: Vec<Bucket>,
    /// The services, the one with most resets first. What `--top` cut off is the last one, named `(other)`.
    pub services: Vec<ServiceRow>,
    /// How many services `(other)` holds.
    pub other_services: usize,
    /// All services together.
    pub total: ServiceRow,
    /// Root causes by exception, most frequent first, 20 at most.
    pub exceptions: Vec<Named>,
    /// Hosts that were called, most frequent first, 20 at most.
    pub targets: Vec<Named>,
    /// What each mark changed.
    pub marks: Vec<MarkReport>,
    /// How long calls lived before they failed, where the logs tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<DelayReport>,
    /// What a reader must know to judge the figures, in plain sentences.
    pub notes: Vec<String>,
}

/// The program.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Tool {
    /// `kubectl-meshaudit`.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
}

/// What was read.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    /// Files, containers or series that were counted.
    pub sources: usize,
    /// Bytes, uncompressed.
    pub bytes: u64,
    /// Records: lines, with the lines of their stack traces.
    pub records: u64,
    /// Records without a timestamp: they are in no bucket.
    pub without_timestamp: u64,
    /// Resets among the records without a timestamp: they are in no count.
    pub resets_without_timestamp: u64,
    /// Records whose timestamp names no zone: `--log-tz` was assumed.
    pub without_zone: u64,
    /// Records outside `--since` and `--until`.
    pub outside_window: u64,
    /// Records left out because the input has too many distinct services and times.
    pub beyond_bounds: u64,
    /// Lines that were too long, and cut.
    pub cut_lines: u64,
    /// Lines with invalid UTF-8.
    pub invalid_utf8: u64,
    /// Inputs with the same content as another: counted once.
    pub duplicates: Vec<Duplicate>,
    /// Inputs that could not be read, or not to their end.
    pub failed: Vec<FailedInput>,
}

/// An input whose content was counted already.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Duplicate {
    /// The one left out.
    pub name: String,
    /// The one counted.
    pub same_as: String,
}

/// An input that could not be read.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct FailedInput {
    /// Its name.
    pub name: String,
    /// Why.
    pub message: String,
}

/// A column.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Bucket {
    /// Its first instant, in the zone of the report (RFC 3339).
    pub start: String,
    /// The first instant after it.
    pub end: String,
    /// Its name: `2020-07-08`, or `2020-07-08 20:00`.
    pub label: String,
}

/// A service's counts.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceRow {
    /// The service.
    pub name: String,
    /// All resets.
    pub resets: u64,
    /// All calls, where access logs or request counts tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<u64>,
    /// Resets in each bucket: 0 where there were logs without any, null where there were no logs.
    pub per_bucket: Vec<Option<u64>>,
    /// Resets by class.
    pub classes: BTreeMap<String, u64>,
}

/// A name and its count.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Named {
    /// The name.
    pub name: String,
    /// How often.
    pub count: u64,
}

/// Before and after a moment.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MarkReport {
    /// The moment (RFC 3339, in the zone of the report).
    pub at: String,
    /// What was changed.
    pub label: String,
    /// What came of it, in a sentence.
    pub sentence: String,
    /// All services with logs on both sides.
    pub all: Comparison,
    /// Each of these services.
    pub services: Vec<ServiceComparison>,
    /// Services with logs on one side only: in no comparison.
    pub one_sided: Vec<String>,
}

/// A service's comparison.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ServiceComparison {
    /// The service.
    pub name: String,
    /// Before and after.
    #[serde(flatten)]
    pub comparison: Comparison,
}

/// Two rates.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Comparison {
    /// Since the mark before, or the beginning.
    pub before: Side,
    /// Until the next mark, or the end.
    pub after: Side,
    /// Rate after over rate before; null where nothing happened before, or a side has no logs.
    pub ratio: Option<f64>,
    /// 95 % interval of the ratio, exact (conditional binomial); `high` is null where it is unbounded.
    pub interval: Option<Interval>,
    /// Two-sided, exact.
    pub p_value: Option<f64>,
    /// Whether the interval excludes an unchanged rate; null where nothing can be said.
    pub more_than_noise: Option<bool>,
    /// Variance over mean of the hourly counts before the mark: far above 1 the interval is too narrow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dispersion: Option<f64>,
}

/// An interval.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: Option<f64>,
}

/// One side of a mark.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Side {
    /// Resets.
    pub resets: u64,
    /// Hours with logs.
    pub hours: f64,
    /// Resets an hour; null without hours.
    pub per_hour: Option<f64>,
    /// 95 % interval of the resets an hour, exact for a Poisson count.
    pub per_hour_interval: Option<Interval>,
    /// All calls, where they were counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<u64>,
    /// Share of the calls that failed, 0 to 1, where they were counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_share: Option<f64>,
}

/// How long calls lived before they failed.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DelayReport {
    /// Resets whose call's beginning is known.
    pub resets: u64,
    /// Half of them came within this many seconds; null where that is beyond 120.
    pub median_seconds: Option<f64>,
    /// 90 % of them came within this many seconds; null where that is beyond 120.
    pub p90_seconds: Option<f64>,
    /// Where they pile up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak: Option<Peak>,
    /// What it says, in a sentence.
    pub sentence: String,
    /// The command that looks further.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The distribution, in bins 10 ms wide; empty ones are left out.
    pub bins: Vec<Bin>,
    /// Resets later than 120 s.
    pub longer: u64,
}

/// A pile.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Peak {
    /// Shortest delay in it.
    pub from_seconds: f64,
    /// Longest.
    pub to_seconds: f64,
    /// Resets in it.
    pub resets: u64,
    /// Their share, 0 to 1.
    pub share: f64,
    /// The connect timeout it points at.
    pub points_at_seconds: Option<f64>,
}

/// A bin.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct Bin {
    /// Its lower end, in seconds.
    pub seconds: f64,
    /// Resets in it.
    pub resets: u64,
}

/// What was read beside the counts.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Inputs counted.
    pub count: usize,
    /// Inputs with another's content.
    pub duplicates: Vec<Duplicate>,
    /// Inputs that could not be read.
    pub failed: Vec<FailedInput>,
    /// Seconds of an exposure slot.
    pub slot_seconds: i64,
    /// The name of the zone that was assumed where timestamps have none.
    pub log_zone: String,
}

impl FailedInput {
    /// What happened to it, in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        format!("{} could not be read to its end: {}.", self.name, self.message)
    }
}

impl ResetsReport {
    /// Puts the report together.
    #[must_use]
    pub fn new(
        tally: &Tally,
        question: &Question,
        series: &Series,
        comparisons: &[MarkComparison],
        sources: Sources,
    ) -> Self {
        let zone = &question.buckets.zone;
        let marks: Vec<MarkReport> = comparisons.iter().map(|comparison| mark_report(comparison, zone)).collect();
        let mut notes = notes(&tally.reading, series, &sources);
        for comparison in comparisons {
            if comparison.all.dispersion.is_some_and(|dispersion| dispersion > 3.0) {
                notes.push(format!(
                    "The resets come in bursts (before {}, the hourly counts vary {:.0} times as much as chance alone would make them): read the interval as narrower than the truth.",
                    quoted(&comparison.mark.label),
                    comparison.all.dispersion.unwrap_or_default()
                ));
            }
            if comparison.uneven {
                notes.push(format!(
                    "The services do not have logs of the same hours around {}: read their own comparisons rather than the one of all together.",
                    quoted(&comparison.mark.label)
                ));
            }
            if !comparison.one_sided.is_empty() {
                notes.push(format!(
                    "In no comparison, because they have logs on one side of {} only: {}.",
                    quoted(&comparison.mark.label),
                    comparison.one_sided.join(", ")
                ));
            }
        }
        Self {
            api_version: "meshaudit/v1",
            kind: "Resets",
            tool: Tool { name: "kubectl-meshaudit", version: env!("CARGO_PKG_VERSION") },
            input: Input {
                sources: sources.count,
                bytes: tally.reading.bytes,
                records: tally.reading.records,
                without_timestamp: tally.reading.without_timestamp,
                resets_without_timestamp: tally.reading.resets_without_timestamp,
                without_zone: tally.reading.without_zone,
                outside_window: tally.reading.outside_window,
                beyond_bounds: tally.reading.beyond_bounds,
                cut_lines: tally.reading.cut_lines,
                invalid_utf8: tally.reading.invalid_utf8,
                duplicates: sources.duplicates,
                failed: sources.failed,
            },
            by: question.buckets.by.to_string(),
            time_zone: zone.iana_name().unwrap_or("UTC").to_owned(),
            buckets: series
                .buckets
                .iter()
                .map(|bucket| Bucket {
                    start: rfc3339(bucket.start, zone),
                    end: rfc3339(bucket.end, zone),
                    label: question.buckets.label(*bucket),
                })
                .collect(),
            services: series.rows.iter().map(|row| service_row(row, series.has_calls)).collect(),
            other_services: series.others,
            total: service_row(&series.total, series.has_calls),
            exceptions: most_frequent(&tally.exceptions),
            targets: most_frequent(&tally.targets),
            marks,
            delay: delay_report(&tally.delays),
            notes,
        }
    }
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
        resets: row.total.resets,
        calls: has_calls.then_some(row.total.calls),
        per_bucket: row.cells.iter().map(|cell| cell.map(|cell| cell.resets)).collect(),
        classes: row.classes.iter().map(|(class, count)| (class.name().to_owned(), *count)).collect(),
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
        sentence: sentence(&comparison.mark.label, &at.strftime("%Y-%m-%d %H:%M %:z").to_string(), &comparison.all),
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
        hours: (exposure.hours * 100.0).round() / 100.0,
        per_hour: (exposure.hours > 0.0).then(|| exposure.rate()),
        per_hour_interval: (exposure.hours > 0.0).then(|| {
            let (low, high) = rate_interval(exposure);
            Interval { low, high: Some(high) }
        }),
        calls: calls.map(|calls| calls.1),
        failure_share: calls.and_then(ShareComparison::share),
    };
    Comparison {
        before: side(sides.before, sides.shares.map(|shares| shares.before)),
        after: side(sides.after, sides.shares.map(|shares| shares.after)),
        ratio: sides.rates.and_then(|rates| rates.ratio),
        interval: sides.rates.map(|rates| Interval {
            low: rates.interval.0,
            high: rates.interval.1.is_finite().then_some(rates.interval.1),
        }),
        p_value: sides.rates.map(|rates| rates.p_value),
        more_than_noise: sides.rates.map(|rates| rates.is_more_than_noise()),
        dispersion: sides.dispersion,
    }
}

/// What a mark changed, in plain words.
fn sentence(label: &str, at: &str, sides: &SideBySide) -> String {
    let what = format!("{} ({at})", if label.is_empty() { "Mark" } else { label });
    let (before, after) = (sides.before, sides.after);
    let Some(rates) = sides.rates else {
        return match (before.hours > 0.0, after.hours > 0.0) {
            (true, true) => format!(
                "{what}: no reset before it ({} with logs) and none after it ({}).",
                hours(before.hours),
                hours(after.hours)
            ),
            (true, false) => format!("{what}: there are no logs after it, so nothing can be said."),
            (false, true) => format!("{what}: there are no logs before it, so nothing can be said."),
            (false, false) => format!("{what}: there are no logs on both sides of it, so nothing can be said."),
        };
    };
    let mut text = format!(
        "{what}: from {} in {} with logs to {} in {}",
        per_hour(before),
        hours(before.hours),
        per_hour(after),
        hours(after.hours)
    );
    let _ = match rates.ratio {
        None => write!(text, ", at least {} times the rate before (95 % interval)", significant(rates.interval.0)),
        Some(0.0) => write!(text, ", at most {} of the rate before (95 % interval)", percent(rates.interval.1)),
        Some(ratio) if ratio < 1.0 && rates.interval.1 <= 2.0 => write!(
            text,
            ", {} of the rate before (95 % interval {} to {})",
            percent(ratio),
            percent(rates.interval.0),
            percent(rates.interval.1)
        ),
        Some(ratio) => write!(
            text,
            ", {} times the rate before (95 % interval {} to {})",
            significant(ratio),
            significant(rates.interval.0),
            significant(rates.interval.1)
        ),
    };
    let _ = write!(text, ". {}", verdict(&rates));
    if let Some(shares) = sides.shares
        && let (Some(before), Some(after)) =
            (ShareComparison::share(shares.before), ShareComparison::share(shares.after))
    {
        let _ = write!(
            text,
            " Of the calls, {} of {} failed before and {} of {} after.",
            percent(before),
            grouped(shares.before.1),
            percent(after),
            grouped(shares.after.1)
        );
    }
    text
}

fn verdict(rates: &RateComparison) -> &'static str {
    match (rates.is_more_than_noise(), rates.interval.1 < 1.0) {
        (true, true) => "The fall is more than noise.",
        (true, false) => "The rise is more than noise.",
        (false, _) => "The difference can be noise: more hours of logs would tell.",
    }
}

fn per_hour(exposure: Exposure) -> String {
    if exposure.count == 0 {
        return "none".to_owned();
    }
    format!("{} an hour ({})", significant(exposure.rate()), grouped(exposure.count))
}

fn hours(hours: f64) -> String {
    if hours < 1.0 / 60.0 {
        format!("{:.0} seconds", hours * 3600.0)
    } else if hours < 1.0 {
        format!("{:.0} minutes", hours * 60.0)
    } else if hours < 10.0 {
        format!("{hours:.1} hours")
    } else {
        let whole = hours.round() as u64;
        format!("{} hours", grouped(whole))
    }
}

fn percent(share: f64) -> String {
    format!("{} %", significant(share * 100.0))
}

/// Two significant digits, without an exponent.
pub(super) fn significant(value: f64) -> String {
    if !value.is_finite() {
        return "∞".to_owned();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    if value >= 100.0 {
        return grouped(value.round() as u64);
    }
    let digits = (1.0 - value.log10().floor()).clamp(0.0, 6.0) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A number with its thousands apart.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn quoted(label: &str) -> String {
    if label.is_empty() { "the mark".to_owned() } else { format!("“{label}”") }
}

fn delay_report(delays: &DelayHistogram) -> Option<DelayReport> {
    if delays.total == 0 {
        return None;
    }
    let peak = delays.peak();
    let mut next = None;
    let sentence = match peak {
        Some(peak) if peak.share >= 0.25 && peak.count >= 5 => {
            let mut text = format!(
                "{} of the {} resets whose call is known came {:.2}–{:.2} s after the call began",
                percent(peak.share),
                grouped(delays.total),
                peak.from.as_secs_f64(),
                peak.to.as_secs_f64()
            );
            if let Some(timeout) = peak.points_at.filter(|_| peak.share >= 0.5) {
                let _ = write!(text, ": this points at a connect timeout of {}", seconds(timeout.as_secs_f64()));
                if [20.0, 30.0].contains(&timeout.as_secs_f64()) {
                    text.push_str(", or at 10s with Istio's retries");
                } else if timeout.as_secs_f64() >= 15.0 {
                    text.push_str(", or at another timeout of that length");
                }
                next = Some("kubectl meshaudit timeouts -A".to_owned());
            }
            text.push('.');
            text
        }
        _ => format!("The {} resets whose call is known came after no delay in particular.", grouped(delays.total)),
    };
    Some(DelayReport {
        resets: delays.total,
        median_seconds: delays.quantile(0.5).map(|delay| delay.as_secs_f64()),
        p90_seconds: delays.quantile(0.9).map(|delay| delay.as_secs_f64()),
        peak: peak.map(|peak| Peak {
            from_seconds: peak.from.as_secs_f64(),
            to_seconds: peak.to.as_secs_f64(),
            resets: peak.count,
            share: peak.share,
            points_at_seconds: peak.points_at.map(|timeout| timeout.as_secs_f64()),
        }),
        sentence,
        next,
        bins: delays.bins().map(|(from, resets)| Bin { seconds: from.as_secs_f64(), resets }).collect(),
        longer: delays.longer,
    })
}

fn seconds(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.0}ms", seconds * 1000.0) } else { format!("{seconds}s") }
}

fn notes(reading: &Reading, series: &Series, sources: &Sources) -> Vec<String> {
    let mut notes = Vec::new();
    let missing = series.total.cells.iter().filter(|cell| cell.is_none()).count();
    if missing > 0 {
        notes.push(format!(
            "{missing} of {} {} no logs at all: missing, not zero.",
            many(series.buckets.len() as u64, "column"),
            if missing == 1 { "has" } else { "have" }
        ));
    }
    if reading.without_timestamp > 0 {
        notes.push(format!(
            "{} without a timestamp: in no count, as {} among them.",
            many(reading.without_timestamp, "record"),
            many(reading.resets_without_timestamp, "reset")
        ));
    }
    if reading.without_zone > 0 {
        notes.push(format!(
            "{} without a time zone, read as {}; --log-tz sets another.",
            many(reading.without_zone, "timestamp"),
            sources.log_zone
        ));
    }
    for duplicate in &sources.duplicates {
        notes.push(format!("{} has the same content as {} and was counted once.", duplicate.name, duplicate.same_as));
    }
    if reading.cut_lines > 0 {
        notes.push(format!("{} of more than 1 MiB, cut there.", many(reading.cut_lines, "line")));
    }
    if reading.invalid_utf8 > 0 {
        notes.push(format!(
            "{} with invalid UTF-8, read with replacement characters.",
            many(reading.invalid_utf8, "line")
        ));
    }
    if reading.beyond_bounds > 0 {
        notes.push(format!(
            "{} left out: the input has too many distinct services and times.",
            many(reading.beyond_bounds, "record")
        ));
    }
    notes
}

fn many(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(count), if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (0.004_56, "0.0046"),
            (0.5, "0.5"),
            (3.94, "3.9"),
            (12.4, "12"),
            (1_234.5, "1,235"),
            (f64::INFINITY, "∞"),
        ] {
            assert_eq!(significant(value), text);
        }
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(123), "123");
    }
}
