//! `kind: Resets`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

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
    /// The rhythm in which the resets come, where most come at even distances.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rhythm: Option<RhythmReport>,
    /// What a reader must know to judge the figures, in plain sentences.
    pub notes: Vec<String>,
    /// What to do next.
    pub next: Vec<NextStep>,
}

/// A command, and what it is for.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct NextStep {
    /// To be run as it is.
    pub command: String,
    /// What it tells.
    pub why: String,
}

/// Resets at even distances.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RhythmReport {
    /// The distance, in seconds.
    pub every_seconds: f64,
    /// Share of the distances that are so long, 0 to 1.
    pub share: f64,
    /// What it says, in a sentence.
    pub sentence: String,
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
    /// Records whose timestamp names no year, or leaves open which number is the month.
    pub without_date: u64,
    /// Records outside `--since` and `--until`.
    pub outside_window: u64,
    /// Records left out because the input has too many distinct services and times.
    pub beyond_bounds: u64,
    /// Lines that were too long, and cut.
    pub cut_lines: u64,
    /// Lines with invalid UTF-8.
    pub invalid_utf8: u64,
    /// Records that have words of a lost connection and were not counted, by the reason.
    pub uncounted: Vec<UncountedReport>,
    /// Inputs with the same content as another: counted once.
    pub duplicates: Vec<Duplicate>,
    /// Inputs that could not be read, or not to their end.
    pub failed: Vec<FailedInput>,
}

/// Records that have words of a lost connection and were not counted.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct UncountedReport {
    /// Why: `configuration`, `configuration-stream`, `probe`, `parser`, `field-name`, `other-field`, `no-connection`,
    /// `same-failure`, `not-understood`.
    pub reason: String,
    /// How many.
    pub count: u64,
    /// The first of them, with `--show uncounted`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<UncountedRecord>,
}

/// A record that was not counted.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct UncountedRecord {
    /// Its service.
    pub service: String,
    /// Number of its first line in its input.
    pub line: u64,
    /// Its beginning.
    pub text: String,
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
#[serde(rename_all = "camelCase")]
pub struct Bucket {
    /// Its first instant, in the zone of the report (RFC 3339).
    pub start: String,
    /// The first instant after it.
    pub end: String,
    /// Its name: `2020-07-08`, or `2020-07-08 20:00`.
    pub label: String,
    /// The first instant with logs, where they begin within the column.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub covered_from: Option<String>,
    /// The last instant with logs, where they end within the column.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub covered_to: Option<String>,
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
    /// Failed calls in the proxy's access log beside the application's own, which is the one counted: both tell of the
    /// same failures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_failures: Option<u64>,
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
    /// Rate after over rate before; null where nothing happened before, or a side has no logs or too few minutes of them.
    pub ratio: Option<f64>,
    /// 95 % interval of the ratio, exact (conditional binomial); `high` is null where it is unbounded.
    pub interval: Option<Interval>,
    /// Two-sided, exact.
    pub p_value: Option<f64>,
    /// Whether the interval excludes an unchanged rate; null where nothing can be said.
    pub more_than_noise: Option<bool>,
    /// What the hours are: `hours-with-logs`; `whole-time` where the log has failures only, so that an hour without a
    /// record is taken as one without a failure.
    pub exposure: &'static str,
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
    /// Hours with logs, or of the whole time (see `exposure`).
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
    /// Resets whose call's beginning the logs do not say.
    pub unknown: u64,
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
