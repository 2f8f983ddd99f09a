//! Which connect timeout to set: from what was measured, within what makes sense.

use std::time::Duration;

use crate::audit::{Counters, Policy, Trouble};
use crate::model::{ClusterSet, format_duration};

/// The values that are recommended: each allows one SYN retransmission more than the last, or is a round number.
const LADDER: [u64; 6] = [1, 2, 5, 10, 15, 30];

/// Istio's own default since 1.6, where nothing was measured.
const DEFAULT: Duration = Duration::from_secs(10);

/// Two SYN retransmissions leave after 1 and 3 s; 5 s leave time for the handshake after the second.
const FLOOR: Duration = Duration::from_secs(5);

/// How many times the 99.9th percentile is allowed for.
const MARGIN: f64 = 2.0;

/// A value, and why this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recommendation {
    /// The value.
    pub value: Duration,
    /// What it is taken from.
    pub basis: String,
    /// What bounds it.
    pub bounds: String,
}

/// A route that leaves a connection attempt only so much time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteLimit {
    /// What the attempts together may take, divided by their number.
    pub limit: Duration,
    /// The route, for a sentence.
    pub route: String,
}

/// Recommends a value for some clusters, given by name with the proxies that hold them and the timeout they have now.
#[must_use]
pub(super) fn recommend(
    counters: &Counters<'_>,
    clusters: &[(&str, &ClusterSet, Duration)],
    routes: &[RouteLimit],
    policy: &Policy,
    wanted: Option<Duration>,
) -> Recommendation {
    let (measured, basis) = measured(counters, clusters);
    let (mut value, mut basis) = match wanted {
        Some(wanted) => (wanted, "as asked for with --set".to_owned()),
        None => (measured, basis),
    };
    let mut bounds = Vec::new();
    if wanted.is_some() {
        if value < FLOOR {
            bounds.push(format!("it is below {}, so fewer than two SYN retransmissions fit", format_duration(FLOOR)));
        }
        if value > policy.max_connect_timeout {
            bounds.push(format!("it is above the policy's {}", format_duration(policy.max_connect_timeout)));
        }
    } else {
        if value < FLOOR {
            value = FLOOR;
        }
        bounds.push(format!("at least {}, for two SYN retransmissions and a handshake", format_duration(FLOOR)));
        if value > policy.max_connect_timeout {
            value = policy.max_connect_timeout;
        }
        bounds.push(format!("at most {}, the policy's maximum", format_duration(policy.max_connect_timeout)));
    }
    if let Some(tightest) = routes.iter().min_by_key(|route| route.limit) {
        let limit = format_duration(tightest.limit);
        if value < tightest.limit {
            bounds.push(format!("below {limit}, what {} leaves each attempt", tightest.route));
        } else if wanted.is_some() {
            bounds.push(format!("but {} leaves each attempt only {limit}", tightest.route));
        } else {
            let fits = |seconds: &&u64| {
                let step = Duration::from_secs(**seconds);
                step < tightest.limit && step >= FLOOR && step <= policy.max_connect_timeout
            };
            match LADDER.iter().rev().find(fits) {
                Some(&seconds) => {
                    value = Duration::from_secs(seconds);
                    bounds.push(format!("below {limit}, what {} leaves each attempt", tightest.route));
                }
                None => {
                    value = FLOOR;
                    bounds.push(format!("{} leaves each attempt only {limit}, which is too little", tightest.route));
                }
            }
        }
    }
    if basis.is_empty() {
        basis = "Istio's own default since 1.6; nothing was measured".to_owned();
    }
    Recommendation { value, basis, bounds: bounds.join("; ") }
}

/// What the connect times of these clusters ask for: the most that one of them needs. One of which nothing is known
/// needs Istio's default.
fn measured(counters: &Counters<'_>, clusters: &[(&str, &ClusterSet, Duration)]) -> (Duration, String) {
    let mut most: Option<(Duration, String)> = None;
    let mut unknown = 0;
    for (name, proxies, timeout) in clusters {
        let summary = counters.summary(name, proxies);
        let Some((summary, latency)) = summary.and_then(|summary| Some((summary.clone(), summary.latency?))) else {
            unknown += 1;
            continue;
        };
        let p99_9 = latency.p99_9.max(0.0);
        let needed = Duration::try_from_secs_f64(p99_9 / 1000.0 * MARGIN).unwrap_or(Duration::MAX);
        let step = LADDER.iter().map(|&seconds| Duration::from_secs(seconds)).find(|step| *step >= needed);
        let step = step.unwrap_or(Duration::from_secs(30));
        let basis = format!("99.9 % of connections to {name} are there within {p99_9:.0} ms; twice that, rounded up");
        // Attempts that were cut off are missing from the upper end: what is there says only that it is not enough.
        let cut_off = summary.failures > 0 && summary.trouble(*timeout) == Trouble::Slow;
        let (step, basis) = if cut_off {
            (step.max(DEFAULT), format!("{basis}, and no less than Istio's 10s since the slowest are cut off"))
        } else {
            (step, basis)
        };
        if most.as_ref().is_none_or(|(known, _)| *known < step) {
            most = Some((step, basis));
        }
    }
    match most {
        Some((step, basis)) if unknown == 0 || step > DEFAULT => (step, basis),
        Some(_) => {
            let of = clusters.len();
            (
                DEFAULT,
                format!("Istio's own default since 1.6; of {unknown} of {of} clusters no connect times are known"),
            )
        }
        None => (DEFAULT, String::new()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::evidence::{ClusterEvidence, ConnectLatency};
    use crate::model::{MeshSnapshot, Proxy, ProxyId, ProxySnapshot, SnapshotBuilder};

    fn snapshot(p99_9: Option<f64>, failures: u64, timeouts: Option<u64>) -> MeshSnapshot {
        let mut builder = SnapshotBuilder::default();
        builder.read(ProxySnapshot {
            proxy: Proxy::named(ProxyId::new("shop", "web")),
            clusters: ClusterSet::default(),
            version: None,
            loggers: None,
            xds: None,
            evidence: Some(vec![ClusterEvidence {
                cluster: Arc::from("c"),
                attempts: 1000,
                failures,
                timeouts,
                latency: p99_9.map(|p99_9| ConnectLatency { p50: 1.0, p99: 2.0, p99_9, max: p99_9 }),
                ..ClusterEvidence::default()
            }]),
        });
        builder.finish(jiff::Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn follows_what_was_measured_within_bounds() {
        let proxies = ClusterSet::from_iter([0]);
        let secs = Duration::from_secs;
        let route = |seconds| vec![RouteLimit { limit: secs(seconds), route: "route x".into() }];
        for (p99_9, failures, timeouts, routes, wanted, expected) in [
            (None, 0, None, vec![], None, 10),
            (Some(40.0), 0, Some(0), vec![], None, 5),
            (Some(3200.0), 0, Some(0), vec![], None, 10),
            (Some(6000.0), 0, Some(0), vec![], None, 15),
            (Some(90_000.0), 0, Some(0), vec![], None, 30),
            (Some(990.0), 9, Some(9), vec![], None, 10),
            (None, 0, None, route(8), None, 5),
            (None, 0, None, route(2), None, 5),
            (None, 0, None, route(10), None, 5),
            (None, 0, None, route(11), None, 10),
            (None, 0, None, route(2), Some(3), 3),
        ] {
            let snapshot = snapshot(p99_9, failures, timeouts);
            let clusters = [("c", &proxies, secs(1))];
            let got = recommend(&Counters::new(&snapshot), &clusters, &routes, &Policy::default(), wanted.map(secs));
            assert_eq!(got.value, secs(expected), "{p99_9:?} {failures} {routes:?}: {got:?}");
        }
        let short = Policy { max_connect_timeout: secs(8) };
        assert_eq!(recommend(&Counters::new(&snapshot(None, 0, None)), &[], &[], &short, None).value, secs(8));
    }
}
