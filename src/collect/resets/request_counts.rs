//! Istio's request counts in Prometheus: what is asked, and how the answers become counts.
//!
//! Istio's standard metrics count requests and connections by response flags at the caller's side: `reporter="source"`
//! of sidecars, gateways and ztunnel, `reporter="waypoint"` of waypoints
//! (<https://istio.io/latest/docs/reference/config/metrics/>).
//!
//! Of the failed calls the samples themselves are read, as they were scraped: `increase` does not see a counter's birth,
//! spreads what happened over gaps, and counts in fractions.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::gains::{Gain, gains};
use crate::decode::prometheus::{Matrix, PrometheusDecodeError, PrometheusSeries, matrix};
use crate::k8s::outside;
use crate::reach::{PrometheusServer, RangeQuery, WebError};
use crate::resets::{By, Cell, Class, Question, Stretch, Tally};

/// Prometheus gives 11,000 points a series at most.
const MAX_POINTS: i64 = 10_000;
/// How far back to look without `--since`.
const DEFAULT_RANGE: i64 = 30 * 86_400;
/// How much time the samples of one answer may be of, at first and at least.
const SAMPLES: i64 = 86_400;
const FEWEST_SAMPLES: i64 = 900;
/// What is looked at before the time asked for, to know what counters showed before it.
const LOOK_BACK: i64 = 3_600;
/// The distance of samples that tell whether a job was scraped.
const PULSE: i64 = 60;

const METRICS: [&str; 2] = ["istio_requests_total", "istio_tcp_connections_closed_total"];
/// Labels by which replicas of one Prometheus differ (prometheus-operator, Thanos' sidecar and receiver, Mimir's HA).
const REPLICAS: [&str; 4] = ["prometheus_replica", "replica", "__replica__", "receive_replica"];
/// Whose word on a call is the caller's.
const REPORTERS: &str = "reporter=~\"source|waypoint\"";

/// Why there are no counts.
#[derive(Debug, thiserror::Error)]
pub enum CountsError {
    /// It could not be asked.
    #[error(transparent)]
    Reach(#[from] WebError),
    /// It answered with an error, or with what is no answer.
    #[error("Prometheus refused the query")]
    Answer(#[from] PrometheusDecodeError),
    /// It has none of Istio's counters.
    #[error(
        "Prometheus has no istio_requests_total and no istio_tcp_connections_closed_total of callers in this time{0}"
    )]
    NoSeries(String),
    /// Failures cannot be told from other calls.
    #[error(
        "the metrics of these calls have no label response_flags, so that failures cannot be told from other calls{0}"
    )]
    NoFlags(String),
}

impl CountsError {
    /// Whether less at once may help: too many samples, or a query that took too long.
    fn is_too_much(&self) -> bool {
        match self {
            Self::Reach(WebError::TooLarge(_) | WebError::Stalled(..) | WebError::Cut(..)) => true,
            Self::Reach(WebError::Status { code, .. }) => matches!(code, 413 | 422 | 503 | 504),
            Self::Answer(PrometheusDecodeError::Refused { kind, message }) => {
                matches!(kind.as_str(), "timeout" | "execution" | "too_many_samples" | "unavailable")
                    || message.contains("too many samples")
                    || message.contains("exceed")
            }
            _ => false,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoSeries(_) => "does Prometheus scrape the proxies? `istio_requests_total` must be there".to_owned(),
            Self::NoFlags(_) => "a Telemetry with tagOverrides (response_flags: REMOVE) or a labeldrop in Prometheus takes it away; the proxies' access logs have it: resets -c istio-proxy".to_owned(),
            Self::Reach(error) => error.hint(crate::reach::PROMETHEUS).unwrap_or_else(|| match error {
                WebError::Unauthorized(..) => {
                    "--prometheus-token-file or --prometheus-user say who asks".to_owned()
                }
                WebError::SignIn(..) => "an address behind the sign-in page is wanted, or --prometheus-service".to_owned(),
                WebError::Status { code: 429 | 502..=504, .. } => {
                    "it is full; ask again later, or for less with --since and a longer --by".to_owned()
                }
                WebError::Unreachable(..) => "is the address right? --prometheus-service reaches one in the cluster".to_owned(),
                _ => "--prometheus takes the URL under which /api/v1/query is".to_owned(),
            }),
            Self::Answer(PrometheusDecodeError::NotPrometheus(_)) => {
                "--prometheus takes the URL under which /api/v1/query is".to_owned()
            }
            Self::Answer(_) => "ask for less with --since and a longer --by".to_owned(),
        }
    }
}

/// One counter, whoever scraped it: caller, callee, class and its other labels.
type Counter = (String, String, Class, BTreeMap<String, String>);

/// What was counted.
pub struct RequestCounts {
    /// The counts.
    pub tally: Tally,
    /// Seconds of a step.
    pub step: i64,
    /// What the answers lack.
    pub lacking: Vec<String>,
    /// What a reader should know.
    pub remarks: Vec<String>,
}

/// Counts of one service in one step, before they are rounded.
#[derive(Default)]
struct Step {
    failed: BTreeMap<Class, u64>,
    calls: f64,
}

/// Asks for the time and the steps of the question.
///
/// # Errors
/// Where Prometheus cannot be asked, refuses, or has no such series.
pub async fn count_requests(
    server: &PrometheusServer<'_>,
    question: &Question,
    namespace: Option<&str>,
    now: Timestamp,
) -> Result<RequestCounts, CountsError> {
    let step = step_seconds(question.buckets.by);
    let until = question.until.map_or(now, |until| until.min(now)).as_second();
    let since = question.since.map_or(until - DEFAULT_RANGE, Timestamp::as_second);
    let start = Timestamp::from_second(since).map_or(since, |at| question.buckets.of(at).start);
    let mut asking = Asking {
        server,
        question,
        namespace,
        start,
        until,
        step,
        replicas: Vec::new(),
        steps: BTreeMap::new(),
        targets: BTreeMap::new(),
        lacking: BTreeSet::new(),
        remarks: BTreeSet::new(),
    };
    asking.probe().await?;
    for metric in METRICS {
        asking.failures(metric).await?;
        asking.totals(metric).await?;
    }
    if asking.steps.is_empty() {
        return Err(CountsError::NoSeries(of_namespace(namespace)));
    }
    let Asking { steps, targets, lacking, remarks, .. } = asking;
    let tally = placed(question, steps, targets, step, now);
    Ok(RequestCounts { tally, step, lacking: lacking.into_iter().collect(), remarks: remarks.into_iter().collect() })
}

fn of_namespace(namespace: Option<&str>) -> String {
    namespace.map(|namespace| format!(" from namespace {namespace}")).unwrap_or_default()
}

struct Asking<'q, 's> {
    server: &'q PrometheusServer<'s>,
    question: &'q Question,
    namespace: Option<&'q str>,
    start: i64,
    until: i64,
    step: i64,
    /// Labels in which series of one counter differ.
    replicas: Vec<&'static str>,
    steps: BTreeMap<(String, i64), Step>,
    targets: BTreeMap<String, u64>,
    lacking: BTreeSet<String>,
    remarks: BTreeSet<String>,
}

/// The same, without what nobody may see of a message from outside.
fn in_short(error: PrometheusDecodeError) -> PrometheusDecodeError {
    use PrometheusDecodeError::{NotMatrix, NotPrometheus, Refused};
    match error {
        Refused { kind, message } => Refused { kind: outside(&kind), message: outside(&message) },
        NotMatrix(kind) => NotMatrix(outside(&kind)),
        NotPrometheus(why) => NotPrometheus(why),
    }
}

impl Asking<'_, '_> {
    fn taken(&mut self, body: &[u8]) -> Result<Vec<PrometheusSeries>, CountsError> {
        let Matrix { series, warnings } = matrix(body).map_err(in_short)?;
        let warned = |warning: String| format!("Prometheus warns: {}", outside(&warning));
        self.lacking.extend(warnings.into_iter().take(20).map(warned));
        Ok(series)
    }

    async fn range(
        &mut self,
        query: String,
        start: i64,
        end: i64,
        step: i64,
    ) -> Result<Vec<PrometheusSeries>, CountsError> {
        let body = self.server.query_range(&RangeQuery { query, start, end, step }).await?;
        self.taken(&body)
    }

    /// What labels the series have: replicas, and whether flags are there.
    async fn probe(&mut self) -> Result<(), CountsError> {
        let coarse = ((self.until - self.start) / 500).max(self.step);
        let by = REPLICAS.join(", ");
        let mut flagless: BTreeMap<String, f64> = BTreeMap::new();
        let mut flagged = false;
        for metric in METRICS {
            let all = selector(metric, self.namespace, "");
            let query = format!("count by ({by}) (last_over_time({all}[{coarse}s]))");
            let series = self.range(query, self.start + coarse, self.until + coarse, coarse).await?;
            for replica in REPLICAS {
                let values: BTreeSet<&str> =
                    series.iter().filter_map(|one| one.labels.get(replica).map(String::as_str)).collect();
                if values.len() > 1 && !self.replicas.contains(&replica) {
                    self.replicas.push(replica);
                }
            }
            let without = selector(metric, self.namespace, ",response_flags=\"\"");
            let query =
                format!("count by (source_workload, source_workload_namespace) (last_over_time({without}[{coarse}s]))");
            for one in self.range(query, self.start + coarse, self.until + coarse, coarse).await? {
                *flagless.entry(service(&one)).or_default() += 1.0;
            }
            let with = selector(metric, self.namespace, ",response_flags!=\"\"");
            let query = format!("count(last_over_time({with}[{coarse}s]))");
            flagged |= !self.range(query, self.start + coarse, self.until + coarse, coarse).await?.is_empty();
        }
        if !self.replicas.is_empty() {
            self.remarks.insert(format!(
                "Prometheus has series of several replicas (label {}): what they have in common is counted once.",
                self.replicas.join(", ")
            ));
        }
        if flagless.is_empty() {
            return Ok(());
        }
        let hint = self.without_flags().await?;
        if !flagged {
            return Err(CountsError::NoFlags(hint));
        }
        let names: Vec<&str> = flagless.keys().take(5).map(String::as_str).collect();
        self.lacking.insert(format!(
            "the calls of {} workloads ({}{}) have no label response_flags and are not counted{hint}",
            flagless.len(),
            names.join(", "),
            if flagless.len() > names.len() { ", …" } else { "" }
        ));
        Ok(())
    }

    /// What the status codes hint at, where there are no flags. No count: an application answers 503, too.
    async fn without_flags(&mut self) -> Result<String, CountsError> {
        let range = self.until - self.start;
        let all = selector(METRICS[0], self.namespace, ",response_flags=\"\",response_code=~\"0|503\"");
        let query = format!("sum by (response_code) (increase({all}[{range}s]))");
        let body = self.server.query(&query, self.until).await?;
        let mut parts = Vec::new();
        for one in self.taken(&body)? {
            let count: f64 = one.points.iter().map(|(_, value)| value.round()).sum();
            if count > 0.0 {
                let code = one.labels.get("response_code").map_or("", String::as_str);
                parts.push(format!("about {count} with response_code {code}"));
            }
        }
        Ok(if parts.is_empty() {
            String::new()
        } else {
            format!("; there are {}, which hints at some and counts none", parts.join(" and "))
        })
    }

    /// The failed calls of a metric, sample by sample.
    async fn failures(&mut self, metric: &str) -> Result<(), CountsError> {
        let failed = selector(metric, self.namespace, ",response_flags=~\"(.*,)?(UF|UC|UR|CONNECT)(,.*)?\"");
        let mut series: BTreeMap<BTreeMap<String, String>, Vec<(i64, f64)>> = BTreeMap::new();
        let (mut from, mut length) = (self.start - LOOK_BACK, SAMPLES);
        while from < self.until {
            let to = (from + length).min(self.until);
            let query = format!("{failed}[{}s]", to - from);
            let body = self.server.query(&query, to).await.map_err(CountsError::from);
            let answer = match body {
                Ok(body) => self.taken(&body),
                Err(error) => Err(error),
            };
            match answer {
                Err(error) if error.is_too_much() && length > FEWEST_SAMPLES => {
                    length /= 2;
                    continue;
                }
                Err(error) => return Err(error),
                Ok(found) => {
                    for one in found {
                        let points = series.entry(one.labels).or_default();
                        let last = points.last().map_or(i64::MIN, |(at, _)| *at);
                        // What was the same all the while tells no more than its ends.
                        for (at, value) in one.points.into_iter().filter(|(at, _)| *at > last) {
                            points.push((at, value));
                        }
                    }
                    from = to;
                }
            }
        }
        if series.is_empty() {
            return Ok(());
        }
        let pulse = self.pulse(metric).await?;
        self.take(&series, &pulse);
        Ok(())
    }

    /// When each job was scraped: minutes with a sample of any of its targets.
    async fn pulse(&mut self, metric: &str) -> Result<BTreeMap<String, BTreeSet<i64>>, CountsError> {
        let all = selector(metric, self.namespace, "");
        let query = format!(
            "count by (job) (count_over_time(up[{PULSE}s])) or count by (job) (count_over_time({all}[{PULSE}s]))"
        );
        let mut alive: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
        let mut first = (self.start - LOOK_BACK).div_euclid(PULSE) * PULSE;
        while first < self.until {
            let last = (first + (MAX_POINTS - 1) * PULSE).min(self.until);
            for one in self.range(query.clone(), first, last, PULSE).await? {
                let job = one.labels.get("job").cloned().unwrap_or_default();
                alive.entry(job).or_default().extend(one.points.iter().map(|(at, _)| *at));
            }
            first = last + PULSE;
        }
        Ok(alive)
    }

    fn take(
        &mut self,
        series: &BTreeMap<BTreeMap<String, String>, Vec<(i64, f64)>>,
        pulse: &BTreeMap<String, BTreeSet<i64>>,
    ) {
        let mut counters: BTreeMap<Counter, BTreeMap<i64, u64>> = BTreeMap::new();
        let (mut unknown, mut over_gaps) = (0, 0);
        for (labels, points) in series {
            let label = |name: &str| labels.get(name).map(String::as_str).unwrap_or_default();
            let flags = label("response_flags");
            // ztunnel's own word for a connection upstream that failed (istio/ztunnel src/proxy/metrics.rs, `ResponseFlags`).
            let class = if flags == "CONNECT" {
                Some(Class::ProxyConnectFailure)
            } else {
                Class::of_proxy_call(flags.split(','), "")
            };
            let Some(class) = class.filter(|class| self.question.patterns.wants(*class)) else { continue };
            let alive = pulse.get(label("job"));
            let was_alive =
                |at: i64| alive.is_some_and(|alive| alive.range(at - 5 * PULSE..at - PULSE / 2).next().is_some());
            let mut identity = labels.clone();
            for replica in &self.replicas {
                identity.remove(*replica);
            }
            let named = PrometheusSeries { labels: labels.clone(), points: Vec::new() };
            let key = (service(&named), label("destination_service").to_owned(), class, identity);
            let mut own: BTreeMap<i64, u64> = BTreeMap::new();
            for gain in gains(points, was_alive) {
                let (at, count) = match gain {
                    Gain::At(at, count) => (at, count),
                    Gain::OverGap(at, count) => {
                        over_gaps += if (self.start..self.until).contains(&at) { count } else { 0 };
                        (at, count)
                    }
                    Gain::Unknown(at, count) => {
                        unknown += if (self.start..self.until).contains(&at) { count } else { 0 };
                        continue;
                    }
                };
                if at > self.start && at <= self.until {
                    // A sample counts what came before it.
                    let start = self.start + (at - 1 - self.start).div_euclid(self.step) * self.step;
                    *own.entry(start).or_default() += count;
                }
            }
            let counter = counters.entry(key).or_default();
            for (at, count) in own {
                let best = counter.entry(at).or_default();
                *best = (*best).max(count);
            }
        }
        if over_gaps > 0 {
            self.remarks.insert(match over_gaps {
                1 => "1 failed call came while its proxy was not scraped: it stands at the end of the gap.".to_owned(),
                _ => format!(
                    "{over_gaps} failed calls came while their proxies were not scraped: they stand at the end of the gap."
                ),
            });
        }
        if unknown > 0 {
            let (calls, them, they) =
                if unknown == 1 { ("call is", "it", "it") } else { ("calls are", "them", "they") };
            self.remarks.insert(format!(
                "{unknown} failed {calls} in no count: the counters show {them} at the first sample after Prometheus was away, or at the beginning of its data, and {they} may be older."
            ));
        }
        self.sum(counters);
    }

    /// Sums counters of each caller, callee and class. A call through a waypoint is told of by the caller's sidecar and by
    /// the waypoint: of both the larger count is taken.
    fn sum(&mut self, counters: BTreeMap<Counter, BTreeMap<i64, u64>>) {
        let mut sides: BTreeMap<(String, String, Class, i64), [u64; 2]> = BTreeMap::new();
        for ((service, target, class, labels), counts) in counters {
            let side = usize::from(labels.get("reporter").is_some_and(|reporter| reporter == "waypoint"));
            for (at, count) in counts {
                sides.entry((service.clone(), target.clone(), class, at)).or_default()[side] += count;
            }
        }
        for ((service, target, class, at), [source, waypoint]) in sides {
            let count = source.max(waypoint);
            *self.steps.entry((service, at)).or_default().failed.entry(class).or_default() += count;
            *self.targets.entry(target).or_default() += count;
        }
    }

    /// All calls of a metric in each step: their being there shows that there was something to count.
    async fn totals(&mut self, metric: &str) -> Result<(), CountsError> {
        // An evaluation counts the step before it.
        let mut first = self.start + self.step;
        let mut points = MAX_POINTS;
        while first < self.until + self.step {
            let end = self.start + (self.until - self.start + self.step - 1) / self.step * self.step;
            let last = (first + (points - 1) * self.step).min(end);
            let found = self
                .range(total_query(metric, self.namespace, self.step, &self.replicas), first, last, self.step)
                .await;
            let found = match found {
                Err(error) if error.is_too_much() && points > 1 => {
                    points = (points / 4).max(1);
                    continue;
                }
                outcome => outcome?,
            };
            let mut sides: BTreeMap<(String, i64), [f64; 2]> = BTreeMap::new();
            for series in found {
                let side = usize::from(series.labels.get("reporter").is_some_and(|reporter| reporter == "waypoint"));
                for (second, value) in &series.points {
                    sides.entry((service(&series), second - self.step)).or_default()[side] += value;
                }
            }
            for (key, [source, waypoint]) in sides {
                self.steps.entry(key).or_default().calls += source.max(waypoint);
            }
            first = last + self.step;
        }
        Ok(())
    }
}

fn placed(
    question: &Question,
    steps: BTreeMap<(String, i64), Step>,
    targets: BTreeMap<String, u64>,
    step: i64,
    now: Timestamp,
) -> Tally {
    let mut tally = Tally::default();
    // Extrapolation makes fractions: what rounding leaves is carried on, so that the sum of a service is right.
    let mut carried: BTreeMap<String, f64> = BTreeMap::new();
    for ((service, start), counted) in steps {
        let stretch = Stretch { start, end: (start + step).min(now.as_second()).max(start + 1) };
        let failed: u64 = counted.failed.values().sum();
        let rest = carried.entry(service.clone()).or_default();
        let exact = counted.calls.max(0.0) + *rest;
        let rounded = exact.round().max(0.0);
        *rest = exact - rounded;
        // What is counted sample by sample may be more than an estimate of all.
        let calls = (rounded as u64).max(failed);
        tally.add_stretch(question, &service, stretch, None, Cell { calls, proxied: calls.max(1), ..Cell::default() });
        for (class, failed) in counted.failed {
            let cell = Cell { failed_calls: failed, proxied: failed, ..Cell::default() };
            tally.add_stretch(question, &service, stretch, Some(class), cell);
        }
    }
    for (target, count) in targets {
        if count > 0 {
            tally.add_target(&target, count);
        }
    }
    tally
}

/// A step divides the hour, so that steps begin where the days and hours of any zone begin.
fn step_seconds(by: By) -> i64 {
    match by {
        By::Day => 3_600,
        By::Minutes(minutes) => {
            let gcd = |mut a: u32, mut b: u32| {
                while b > 0 {
                    (a, b) = (b, a % b);
                }
                a
            };
            i64::from(gcd(minutes, 60)) * 60
        }
    }
}

/// The caller, with its namespace in front where callers of several namespaces may share a name.
fn service(series: &PrometheusSeries) -> String {
    let label = |name: &str| {
        series.labels.get(name).map(String::as_str).filter(|value| !value.is_empty() && *value != "unknown")
    };
    match (label("source_workload_namespace"), label("source_workload")) {
        (Some(namespace), Some(workload)) => format!("{namespace}/{workload}"),
        (None, Some(workload)) => workload.to_owned(),
        _ => "unknown".to_owned(),
    }
}

fn selector(metric: &str, namespace: Option<&str>, more: &str) -> String {
    let namespace = namespace
        .map(|namespace| format!(",source_workload_namespace=\"{}\"", namespace.replace(['"', '\\'], "")))
        .unwrap_or_default();
    format!("{metric}{{{REPORTERS}{namespace}{more}}}")
}

/// All calls of each step, those of each replica's series once.
fn total_query(metric: &str, namespace: Option<&str>, step: i64, replicas: &[&str]) -> String {
    let all = format!("increase({}[{step}s])", selector(metric, namespace, ""));
    let all = if replicas.is_empty() { all } else { format!("max without ({}) ({all})", replicas.join(", ")) };
    format!("sum by (source_workload, source_workload_namespace, reporter) ({all})")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn steps_divide_the_hour() {
        for (by, step) in [("day", 3_600), ("hour", 3_600), ("10m", 600), ("6h", 3_600), ("90m", 1_800), ("1m", 60)] {
            assert_eq!(step_seconds(by.parse().unwrap()), step, "{by}");
        }
    }

    #[test]
    fn a_namespace_cannot_break_out_of_its_quotes() {
        assert!(selector("m", Some("a\"} or up{x=\""), "").contains("source_workload_namespace=\"a} or up{x=\""));
    }
}
