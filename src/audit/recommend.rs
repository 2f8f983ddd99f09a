//! Which connect timeout to set: from what was measured, within what makes sense. Rules, the next step, `fix` and
//! `diagnose` all take the value from here.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foldhash::{HashMap, HashMapExt};

use super::row::Row;
use super::{Counters, Policy, Trouble};
use crate::attribute::full_host;
use crate::model::{
    CONNECT_TIMEOUTS, ClusterName, ClusterSet, LEAST_CONNECT_TIMEOUT, MeshSnapshot, OriginKind, USUAL_CONNECT_TIMEOUT,
    format_duration, longer_connect_timeout,
};

/// How many times the 99.9th percentile is allowed for.
const MARGIN: f64 = 2.0;

/// How far a change of a timeout that comes from the mesh itself is to reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// Where the value comes from: it is wrong for all that get it.
    Source,
    /// This host alone: the value is right for others. Where the mesh itself gives it, the host needs one of its own.
    Host,
}

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

/// A cluster that is to get the value: its name, the proxies that hold it, the timeout it has now.
pub type Wanting<'a> = (&'a str, &'a ClusterSet, Duration);

/// Recommends values for the clusters of one snapshot.
pub struct Recommender<'a> {
    counters: Counters<'a>,
    routes: HashMap<String, Vec<RouteLimit>>,
    policy: &'a Policy,
    /// The rows of each place that gives values.
    rows: HashMap<&'a OriginKind, Vec<&'a Row>>,
    known: Mutex<Known<'a>>,
}

/// What was recommended, by the origin and the host it was asked for.
type Known<'a> = HashMap<(&'a OriginKind, Option<&'a str>), Arc<Recommendation>>;

impl<'a> Recommender<'a> {
    /// Indexes what was measured, and what routes leave.
    #[must_use]
    pub fn new(snapshot: &'a MeshSnapshot, rows: &'a [Arc<Row>], policy: &'a Policy) -> Self {
        let mut by_place: HashMap<&OriginKind, Vec<&Row>> = HashMap::new();
        for row in rows.iter().filter(|row| row.is_judged()) {
            by_place.entry(&row.origin.kind).or_default().push(row);
        }
        Self {
            counters: Counters::new(snapshot),
            routes: route_limits(snapshot),
            policy,
            rows: by_place,
            known: Mutex::default(),
        }
    }

    /// What the proxies counted.
    #[must_use]
    pub fn counters(&self) -> &Counters<'a> {
        &self.counters
    }

    /// The value for the place that gives a row its own: over all rows that get theirs there, or over this host's
    /// alone.
    #[must_use]
    pub fn for_row(&self, row: &'a Row, reach: Reach) -> Arc<Recommendation> {
        let host = match reach {
            Reach::Source => None,
            Reach::Host => row.parts().map(|parts| parts.host).filter(|host| !host.is_empty()).or(Some(&row.name)),
        };
        let key = (&row.origin.kind, host);
        if let Some(known) = self.known().get(&key) {
            return Arc::clone(known);
        }
        let same_host =
            |other: &&&Row| host.is_none_or(|host| other.parts().map_or(&*other.name, |parts| parts.host) == host);
        let all = self.rows.get(key.0).map_or(&[][..], Vec::as_slice);
        let wanting: Vec<Wanting<'_>> =
            all.iter().filter(same_host).map(|row| (&*row.name, &*row.proxies, row.effective_timeout())).collect();
        let recommendation = Arc::new(self.recommend(&wanting, None));
        self.known().insert(key, Arc::clone(&recommendation));
        recommendation
    }

    fn known(&self) -> MutexGuard<'_, Known<'a>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Recommends a value for some clusters; with `wanted` says what there is to say of that value.
    #[must_use]
    pub fn recommend(&self, clusters: &[Wanting<'_>], wanted: Option<Duration>) -> Recommendation {
        let host = |name: &'_ str| ClusterName::parse(name).map(|name| name.host.to_owned());
        let mut hosts: Vec<String> = clusters.iter().filter_map(|(name, ..)| host(name)).collect();
        hosts.sort_unstable();
        hosts.dedup();
        let tightest = hosts.iter().filter_map(|host| self.routes.get(host)).flatten().min_by_key(|route| route.limit);
        match wanted {
            Some(value) => asked_for(value, tightest, self.policy),
            None => {
                let (value, basis) = self.measured(clusters);
                bounded(value, basis, tightest, self.policy)
            }
        }
    }

    /// What the connect times of these clusters ask for: the most that one of them needs. One of which nothing is
    /// known needs Istio's default.
    fn measured(&self, clusters: &[Wanting<'_>]) -> (Duration, String) {
        let mut most: Option<(Duration, String)> = None;
        let mut unknown = 0;
        for (name, proxies, timeout) in clusters {
            let summary = self.counters.summary(name, proxies);
            // Attempts that were cut off are missing from the upper end: what is there says only that it is not enough.
            let cut_off =
                summary.as_ref().is_some_and(|all| all.failures > 0 && all.trouble(*timeout) == Trouble::Slow);
            let latency = summary.and_then(|summary| summary.latency);
            let measured = latency.map(|latency| {
                let p99_9 = latency.p99_9.max(0.0);
                let needed = Duration::try_from_secs_f64(p99_9 / 1000.0 * MARGIN).unwrap_or(Duration::MAX);
                let step = CONNECT_TIMEOUTS.into_iter().find(|step| *step >= needed);
                let longest = CONNECT_TIMEOUTS[CONNECT_TIMEOUTS.len() - 1];
                let basis =
                    format!("99.9 % of connections to {name} are there within {p99_9:.0} ms; twice that, rounded up");
                (step.unwrap_or(longest), basis)
            });
            let needed = match (measured, cut_off) {
                (None, false) => {
                    unknown += 1;
                    continue;
                }
                (Some(measured), false) => measured,
                (measured, true) => {
                    let least = longer_connect_timeout(*timeout);
                    let cut = format!("connections to {name} are cut off at {}", format_duration(*timeout));
                    match measured {
                        Some((step, basis)) if step > least => (step, format!("{basis}; {cut}")),
                        Some((_, basis)) => (least, format!("{basis}, and more since {cut}")),
                        None => (least, cut),
                    }
                }
            };
            if most.as_ref().is_none_or(|(known, _)| *known < needed.0) {
                most = Some(needed);
            }
        }
        match most {
            Some((step, basis)) if unknown == 0 || step > USUAL_CONNECT_TIMEOUT => (step, basis),
            Some(_) => {
                let of = clusters.len();
                let basis =
                    format!("Istio's own default since 1.6; of {unknown} of {of} clusters no connect times are known");
                (USUAL_CONNECT_TIMEOUT, basis)
            }
            None => (USUAL_CONNECT_TIMEOUT, "Istio's own default since 1.6; nothing was measured".to_owned()),
        }
    }
}

/// A value that was asked for, and what is to be said of it.
fn asked_for(value: Duration, tightest: Option<&RouteLimit>, policy: &Policy) -> Recommendation {
    let mut bounds = Vec::new();
    if value < LEAST_CONNECT_TIMEOUT {
        let least = format_duration(LEAST_CONNECT_TIMEOUT);
        bounds.push(format!("it is below {least}, so fewer than two SYN retransmissions fit"));
    }
    if value > policy.max_connect_timeout {
        bounds.push(format!("it is above the policy's {}", format_duration(policy.max_connect_timeout)));
    }
    match tightest {
        Some(RouteLimit { limit, route }) if value < *limit => {
            bounds.push(format!("below {}, what {route} leaves each attempt", format_duration(*limit)));
        }
        Some(RouteLimit { limit, route }) => {
            bounds.push(format!("but {route} leaves each attempt only {}", format_duration(*limit)));
        }
        None => {}
    }
    Recommendation { value, basis: "as asked for with --set".to_owned(), bounds: bounds.join("; ") }
}

/// What was measured, within what makes sense.
fn bounded(measured: Duration, basis: String, tightest: Option<&RouteLimit>, policy: &Policy) -> Recommendation {
    let (least, most) = (LEAST_CONNECT_TIMEOUT, policy.max_connect_timeout);
    let mut value = measured.max(least).min(most);
    let mut bounds = vec![
        format!("at least {}, for two SYN retransmissions and a handshake", format_duration(least)),
        format!("at most {}, the policy's maximum", format_duration(most)),
    ];
    if let Some(RouteLimit { limit, route }) = tightest {
        let shown = format_duration(*limit);
        let fits = |step: &Duration| *step < *limit && *step >= least && *step <= most;
        if value < *limit {
            bounds.push(format!("below {shown}, what {route} leaves each attempt"));
        } else if let Some(step) = CONNECT_TIMEOUTS.into_iter().rev().find(fits) {
            value = step;
            bounds.push(format!("below {shown}, what {route} leaves each attempt"));
        } else {
            value = least;
            bounds.push(format!("{route} leaves each attempt only {shown}, which is too little"));
        }
    }
    Recommendation { value, basis, bounds: bounds.join("; ") }
}

/// What each route leaves one connection attempt, by host.
fn route_limits(snapshot: &MeshSnapshot) -> HashMap<String, Vec<RouteLimit>> {
    /// Istio's own number of retries where a route has none (`route/retry/retry.go`).
    const RETRIES: u32 = 2;
    let mut limits: HashMap<String, Vec<RouteLimit>> = HashMap::new();
    for objects in snapshot.objects.values() {
        for service in &objects.virtual_services {
            for route in &service.http {
                let attempts = route.attempts.unwrap_or(RETRIES).saturating_add(1);
                let whole = route.timeout.map(|timeout| timeout / attempts);
                let Some(limit) = whole.into_iter().chain(route.per_try_timeout).min() else { continue };
                for destination in &route.destinations {
                    let host = full_host(&destination.host, &service.meta.namespace, objects.domain());
                    let route = format!("{} of VirtualService {}", route.name, service.meta);
                    limits.entry(host).or_default().push(RouteLimit { limit, route });
                }
            }
        }
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::evidence::{ClusterEvidence, ConnectLatency};
    use crate::model::{Proxy, ProxyId, ProxySnapshot, SnapshotBuilder};

    fn snapshot(p99_9: Option<f64>, failures: u64, timeouts: Option<u64>) -> MeshSnapshot {
        let mut builder = SnapshotBuilder::default();
        builder.read(ProxySnapshot {
            evidence: Some(vec![ClusterEvidence {
                cluster: Arc::from("c"),
                attempts: 1000,
                failures,
                timeouts,
                latency: p99_9.map(|p99_9| ConnectLatency { p50: 1.0, p99: 2.0, p99_9, max: p99_9 }),
                ..ClusterEvidence::default()
            }]),
            ..ProxySnapshot::named(Proxy::named(ProxyId::new("shop", "web")))
        });
        builder.finish(jiff::Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn follows_what_was_measured_within_bounds() {
        let proxies = ClusterSet::from_iter([0]);
        let secs = Duration::from_secs;
        let policy = Policy::default();
        for (held, p99_9, failures, timeouts, expected) in [
            (1, None, 0, None, 10),
            (1, Some(40.0), 0, Some(0), 5),
            (1, Some(3200.0), 0, Some(0), 10),
            (1, Some(6000.0), 0, Some(0), 15),
            (1, Some(90_000.0), 0, Some(0), 30),
            (1, Some(990.0), 9, Some(9), 10),
            // What is cut off needs more than it has.
            (10, Some(9990.0), 9, Some(9), 30),
            (10, Some(800.0), 9, Some(9), 15),
            (10, None, 9, Some(9), 15),
            (15, None, 9, Some(9), 30),
            (30, None, 9, Some(9), 30),
            // Refused, and no matter of time.
            (10, None, 9, Some(0), 10),
        ] {
            let snapshot = snapshot(p99_9, failures, timeouts);
            let recommender = Recommender::new(&snapshot, &[], &policy);
            let got = recommender.recommend(&[("c", &proxies, secs(held))], None);
            assert_eq!(got.value, secs(expected), "{held} {p99_9:?} {failures}: {got:?}");
        }
    }

    #[test]
    fn stays_within_bounds() {
        let secs = Duration::from_secs;
        let policy = Policy::default();
        for (limit, measured, expected) in [(8, 10, 5), (2, 10, 5), (10, 10, 5), (11, 10, 10), (60, 5, 5)] {
            let route = RouteLimit { limit: secs(limit), route: "route x".into() };
            let got = bounded(secs(measured), String::new(), Some(&route), &policy);
            assert_eq!(got.value, secs(expected), "{limit} {measured}: {got:?}");
        }
        let route = RouteLimit { limit: secs(2), route: "route x".into() };
        assert_eq!(asked_for(secs(3), Some(&route), &policy).value, secs(3));
        let short = Policy { max_connect_timeout: secs(8), ..Policy::default() };
        assert_eq!(bounded(secs(10), String::new(), None, &short).value, secs(8));
    }
}
