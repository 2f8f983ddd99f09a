//! Istio's request counts in Prometheus: what is asked, and how the answers become counts.
//!
//! Istio's standard metrics count requests and connections by response flags at the caller's side
//! (`reporter="source"`): <https://istio.io/latest/docs/reference/config/metrics/>.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::decode::prometheus::{PrometheusDecodeError, PrometheusSeries, matrix};
use crate::reach::{PrometheusError, PrometheusServer, RangeQuery};
use crate::resets::{By, Cell, Class, Question, Stretch, Tally};

/// Prometheus gives 11,000 points a series at most.
const MAX_POINTS: i64 = 10_000;
/// How far back to look without `--since`.
const DEFAULT_RANGE: i64 = 30 * 86_400;

/// Why there are no counts.
#[derive(Debug, thiserror::Error)]
pub enum CountsError {
    /// It could not be asked.
    #[error(transparent)]
    Reach(#[from] PrometheusError),
    /// It answered with an error, or with what is no answer.
    #[error("Prometheus refused the query")]
    Answer(#[from] PrometheusDecodeError),
    /// It has none of Istio's counters.
    #[error(
        "Prometheus has no istio_requests_total and no istio_tcp_connections_closed_total of callers in this time{0}"
    )]
    NoSeries(String),
}

/// Counts of one service in one step, before they are rounded.
#[derive(Default)]
struct Step {
    failed: BTreeMap<Class, f64>,
    calls: f64,
}

/// Asks for the time and the steps of the question. Returns the counts and the seconds of a step.
///
/// # Errors
/// Where Prometheus cannot be asked, refuses, or has no such series.
pub async fn count_requests(
    server: &PrometheusServer<'_>,
    question: &Question,
    namespace: Option<&str>,
    now: Timestamp,
) -> Result<(Tally, i64), CountsError> {
    let step = step_seconds(question.buckets.by);
    let until = question.until.map_or(now, |until| until.min(now)).as_second();
    let since = question.since.map_or(until - DEFAULT_RANGE, Timestamp::as_second);
    let start = Timestamp::from_second(since).map_or(since, |at| question.buckets.of(at).start);
    let mut steps: BTreeMap<(String, i64), Step> = BTreeMap::new();
    let mut targets: BTreeMap<String, f64> = BTreeMap::new();
    for metric in ["istio_requests_total", "istio_tcp_connections_closed_total"] {
        // An evaluation counts the step before it.
        let mut first = start + step;
        while first < until + step {
            let last = (first + (MAX_POINTS - 1) * step).min(start + (until - start + step - 1) / step * step);
            let ask = async |query: String| -> Result<Vec<PrometheusSeries>, CountsError> {
                let body = server.query_range(&RangeQuery { query, start: first, end: last, step }).await?;
                Ok(matrix(&body)?)
            };
            for series in ask(failed_query(metric, namespace, step)).await? {
                let label = |name: &str| series.labels.get(name).map(String::as_str).unwrap_or_default();
                let Some(class) = Class::of_proxy_call(label("response_flags").split(','), "") else { continue };
                if !question.patterns.wants(class) {
                    continue;
                }
                let service = service(&series);
                let target = label("destination_service").to_owned();
                for (second, value) in &series.points {
                    *steps.entry((service.clone(), second - step)).or_default().failed.entry(class).or_default() +=
                        value;
                    *targets.entry(target.clone()).or_default() += value;
                }
            }
            for series in ask(total_query(metric, namespace, step)).await? {
                let service = service(&series);
                for (second, value) in &series.points {
                    steps.entry((service.clone(), second - step)).or_default().calls += value;
                }
            }
            first = last + step;
        }
    }
    if steps.is_empty() {
        return Err(CountsError::NoSeries(
            namespace.map(|namespace| format!(" from namespace {namespace}")).unwrap_or_default(),
        ));
    }
    Ok((placed(question, steps, targets, step, now), step))
}

fn placed(
    question: &Question,
    steps: BTreeMap<(String, i64), Step>,
    targets: BTreeMap<String, f64>,
    step: i64,
    now: Timestamp,
) -> Tally {
    let mut tally = Tally::default();
    // Extrapolation makes fractions: what rounding leaves is carried on, so that the sum of a service is right.
    let mut carried: BTreeMap<(String, Option<Class>), f64> = BTreeMap::new();
    let mut whole = |service: &str, class: Option<Class>, value: f64| {
        let rest = carried.entry((service.to_owned(), class)).or_default();
        let exact = value.max(0.0) + *rest;
        let rounded = exact.round().max(0.0);
        *rest = exact - rounded;
        rounded as u64
    };
    for ((service, start), counted) in steps {
        let stretch = Stretch { start, end: (start + step).min(now.as_second()).max(start + 1) };
        let calls = whole(&service, None, counted.calls);
        tally.add_stretch(question, &service, stretch, None, Cell { calls, proxied: calls.max(1), ..Cell::default() });
        for (class, value) in counted.failed {
            let failed = whole(&service, Some(class), value);
            let cell = Cell { failed_calls: failed, proxied: failed, ..Cell::default() };
            tally.add_stretch(question, &service, stretch, Some(class), cell);
        }
    }
    for (target, value) in targets {
        let count = value.round().max(0.0) as u64;
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
    format!("{metric}{{reporter=\"source\"{namespace}{more}}}")
}

/// The failed calls of each step. A series is born with its first failure, and `increase` does not see a birth: where
/// the target was scraped a step ago and the series was not there, all that it counts is new.
fn failed_query(metric: &str, namespace: Option<&str>, step: i64) -> String {
    let failed = selector(metric, namespace, ",response_flags=~\"(.*,)?(UF|UC|UR)(,.*)?\"");
    format!(
        "sum by (source_workload, source_workload_namespace, destination_service, response_flags) \
         ((({failed} unless {failed} offset {step}s) and on (job, instance) (up offset {step}s == 1)) or increase({failed}[{step}s]))"
    )
}

/// All calls of each step: their being there shows that there was something to count.
fn total_query(metric: &str, namespace: Option<&str>, step: i64) -> String {
    let all = selector(metric, namespace, "");
    format!("sum by (source_workload, source_workload_namespace) (increase({all}[{step}s]))")
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
