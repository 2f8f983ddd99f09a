//! Envoy's counters: `/clusters?format=json`, one cluster at a time as it streams, and `/stats` line by line.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{self, Deserializer};

use super::elements::TakeElements;
use super::{ElementError, Elements, between, parse_error};
use crate::model::evidence::{ClusterEvidence, ConnectLatency};

/// The most bytes that one cluster's status may have: those of over 5,000 endpoints.
const MAX_CLUSTER: usize = 16 << 20;

/// The most clusters whose counters are kept of one proxy.
const MAX_CLUSTERS: usize = 100_000;

/// Why counters cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StatsError {
    /// The bytes are no list of clusters.
    #[error(transparent)]
    Elements(#[from] ElementError),
    /// A cluster's status is not what it should be.
    #[error("a cluster's status is not what it should be: {0}")]
    Cluster(String),
}

/// A cluster's status. Endpoints are counted while they are read, and none is kept.
#[derive(Deserialize)]
struct RawCluster<'a> {
    #[serde(default, borrow)]
    name: Cow<'a, str>,
    #[serde(default)]
    host_statuses: Hosts,
}

/// What a cluster's endpoints counted, in all.
#[derive(Default)]
struct Hosts {
    endpoints: u32,
    failing: u32,
    failures: u64,
    attempts: u64,
}

#[derive(Deserialize)]
struct RawHost {
    #[serde(default)]
    stats: Connections,
}

/// What one endpoint counted.
#[derive(Default)]
struct Connections {
    failures: Option<u64>,
    attempts: Option<u64>,
}

#[derive(Deserialize)]
struct RawStat<'a> {
    #[serde(default, borrow)]
    name: Cow<'a, str>,
    /// Absent for 0.
    #[serde(default)]
    value: Count,
}

/// A 64-bit number, which protobuf's JSON writes as text.
#[derive(Default)]
struct Count(u64);

impl<'de> Deserialize<'de> for Hosts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        fold(deserializer, "a list of endpoints", |hosts: &mut Self, host: RawHost| {
            let failures = host.stats.failures.unwrap_or(0);
            hosts.endpoints = hosts.endpoints.saturating_add(1);
            hosts.failing += u32::from(failures > 0);
            hosts.failures = hosts.failures.saturating_add(failures);
            hosts.attempts = hosts.attempts.saturating_add(host.stats.attempts.unwrap_or(0));
        })
    }
}

impl<'de> Deserialize<'de> for Connections {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        fold(deserializer, "a list of counters", |connections: &mut Self, stat: RawStat<'de>| {
            let counter = match &*stat.name {
                "cx_connect_fail" => &mut connections.failures,
                "cx_total" => &mut connections.attempts,
                _ => return,
            };
            counter.get_or_insert(stat.value.0);
        })
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a count")
            }

            fn visit_u64<E>(self, number: u64) -> Result<Count, E> {
                Ok(Count(number))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Count, E> {
                text.parse().map(Count).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Takes the elements of a list one by one into what is made of them.
fn fold<'de, D: Deserializer<'de>, T: Deserialize<'de>, S: Default>(
    deserializer: D,
    expected: &'static str,
    take: impl FnMut(&mut S, T),
) -> Result<S, D::Error> {
    struct Fold<F, T, S>(F, &'static str, PhantomData<(T, S)>);
    impl<'de, T: Deserialize<'de>, S: Default, F: FnMut(&mut S, T)> de::Visitor<'de> for Fold<F, T, S> {
        type Value = S;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.1)
        }

        fn visit_seq<A: de::SeqAccess<'de>>(mut self, mut list: A) -> Result<S, A::Error> {
            let mut made = S::default();
            while let Some(element) = list.next_element()? {
                self.0(&mut made, element);
            }
            Ok(made)
        }
    }
    deserializer.deserialize_seq(Fold(take, expected, PhantomData))
}

/// Reads `/clusters?format=json` (`envoy/admin/v3/clusters.proto`) as it arrives, and keeps the clusters that saw
/// connection attempts.
#[derive(Debug)]
pub struct EndpointsDecoder {
    elements: Elements,
    found: Found,
}

impl Default for EndpointsDecoder {
    fn default() -> Self {
        Self { elements: Elements::of("cluster_statuses", MAX_CLUSTER), found: Found::default() }
    }
}

/// What was found so far.
#[derive(Debug, Default)]
struct Found(BTreeMap<Arc<str>, ClusterEvidence>);

impl Found {
    fn add(&mut self, raw: RawCluster<'_>) -> Result<(), StatsError> {
        let hosts = raw.host_statuses;
        if hosts.attempts > 0 || hosts.failures > 0 {
            if self.0.len() == MAX_CLUSTERS {
                return Err(StatsError::Cluster(format!("more than {MAX_CLUSTERS} clusters")));
            }
            let cluster: Arc<str> = raw.name.into();
            let evidence = ClusterEvidence {
                cluster: Arc::clone(&cluster),
                attempts: hosts.attempts,
                failures: hosts.failures,
                endpoints: hosts.endpoints,
                failing_endpoints: hosts.failing,
                ..ClusterEvidence::default()
            };
            self.0.insert(cluster, evidence);
        }
        Ok(())
    }
}

impl TakeElements<StatsError> for Found {
    // They are decoded where they came as a whole, which most do, and not cut out before.
    fn known(&mut self, bytes: &[u8]) -> usize {
        let text = match simdutf8::compat::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
        };
        let mut used = 0;
        while text[used..].starts_with('{') {
            let mut clusters = serde_json::Deserializer::from_str(&text[used..]).into_iter();
            // What is wrong is said where it is cut out, which tells it from what is not all there yet.
            let Some(Ok(raw)) = clusters.next() else { break };
            if self.add(raw).is_err() {
                break;
            }
            used += clusters.byte_offset();
            used += between(&bytes[used..]);
        }
        used
    }

    fn element(&mut self, element: &[u8]) -> Result<(), StatsError> {
        let raw = serde_json::from_slice(element).map_err(|error| StatsError::Cluster(parse_error::json(&error)))?;
        self.add(raw)
    }
}

impl EndpointsDecoder {
    /// Takes the next bytes.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), StatsError> {
        self.elements.feed_to(chunk, &mut self.found)
    }

    /// What was found, by name, once all bytes have been fed. Proxies that were stopped short have no figures.
    pub fn finish(self) -> Result<Vec<ClusterEvidence>, StatsError> {
        self.elements.finish()?;
        Ok(self.found.0.into_values().collect())
    }
}

/// Which clusters' endpoints are worth asking for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// No cluster began a connection.
    Nothing,
    /// Those whose names match a regular expression.
    Matching(String),
    /// All, as far as is known.
    Everything,
}

/// The regular expression on names for what [`wanted`] reads.
pub const TOTALS_FILTER: &str = r"^cluster\..*\.upstream_cx_total$";

/// The longest regular expression that is sent, in bytes; Envoy takes 60 KiB of headers.
const MAX_FILTER: usize = 4 << 10;

/// What every service's cluster and no cluster of the bootstrap begins with, and those for what no service is known of.
const DIALLED: [&str; 4] = ["outbound", "inbound", "PassthroughCluster", "InboundPassthroughCluster"];

/// Which of a proxy's clusters (their names, and whether an audit judges them) are asked for: those that are judged, and
/// of these not the ones that say themselves that they began no connection (`/stats`, `upstream_cx_total` at 0): their
/// endpoints have counted nothing, since both are counted in one place (`source/common/conn_pool/conn_pool_base.cc`).
/// Istio's proxies keep no such counter unless told to, and one that is not there says nothing. An Envoy that does not
/// know the filter answers with all.
pub fn wanted<'a>(clusters: impl IntoIterator<Item = (&'a str, bool)>, text: &str) -> Wanted {
    let idle: HashSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("cluster.")?.strip_suffix(".upstream_cx_total: 0"))
        .map(|name| name.trim_end_matches(';'))
        .collect();
    let clusters: BTreeMap<&str, bool> = clusters.into_iter().collect();
    let is_wanted = |(name, judged): (&'a str, bool)| (judged && !idle.contains(&*in_statistics(name))).then_some(name);
    let all = clusters.len();
    let names: Vec<&str> = clusters.into_iter().filter_map(is_wanted).collect();
    // Most are too long before they are escaped.
    let length = names.iter().map(|name| name.len() + 1).sum::<usize>().saturating_sub(1);
    let filter = || names.iter().map(|name| regex::escape(name)).collect::<Vec<_>>().join("|");
    let filter = (length <= MAX_FILTER).then(filter).filter(|filter| filter.len() <= MAX_FILTER);
    let of_services = || names.iter().all(|name| DIALLED.iter().any(|beginning| name.starts_with(beginning)));
    match (names.len(), filter) {
        (0, _) => Wanted::Nothing,
        (busy, _) if busy == all => Wanted::Everything,
        (_, Some(filter)) => Wanted::Matching(format!("^({filter})$")),
        _ if of_services() => Wanted::Matching(format!("^({})", DIALLED.join("|"))),
        _ => Wanted::Everything,
    }
}

/// A cluster's name in statistics, where colons are underscores (`source/common/stats/utility.cc`).
fn in_statistics(cluster: &str) -> Cow<'_, str> {
    if cluster.contains(':') { cluster.replace(':', "_").into() } else { cluster.into() }
}

/// The regular expression on names for what [`add_stats`] reads.
pub const STATS_FILTER: &str = r"^cluster\..*\.upstream_cx_connect_(fail|timeout|ms)$";

/// The same for the clusters that something is known of alone, where they are few.
#[must_use]
pub fn stats_filter(evidence: &[ClusterEvidence]) -> Cow<'static, str> {
    let names: Vec<String> = evidence.iter().map(|entry| regex::escape(&in_statistics(&entry.cluster))).collect();
    if names.iter().map(|name| name.len() + 1).sum::<usize>() > MAX_FILTER {
        return STATS_FILTER.into();
    }
    format!(r"^cluster\.({});?\.upstream_cx_connect_(fail|timeout|ms)$", names.join("|")).into()
}

/// Adds what `/stats` says to what is known of each cluster (sorted by name): `upstream_cx_connect_timeout` and
/// `upstream_cx_connect_fail`, and the histogram `upstream_cx_connect_ms`. Istio's proxies keep none of them unless told
/// to.
pub fn add_stats(evidence: &mut [ClusterEvidence], text: &str) {
    for line in text.lines() {
        let Some(rest) = line.strip_prefix("cluster.") else { continue };
        if let Some((name, value)) = rest.split_once(".upstream_cx_connect_timeout: ") {
            if let (Some(entry), Ok(value)) = (find(evidence, name), value.trim().parse()) {
                entry.timeouts = Some(value);
            }
        } else if let Some((name, value)) = rest.split_once(".upstream_cx_connect_fail: ") {
            if let (Some(entry), Ok(value)) = (find(evidence, name), value.trim().parse()) {
                entry.failures_since_start = Some(value);
            }
        } else if let Some((name, value)) = rest.split_once(".upstream_cx_connect_ms: ")
            && let Some(latency) = latency(value)
            && let Some(entry) = find(evidence, name)
        {
            entry.latency = Some(latency);
        }
    }
}

/// A cluster by its name in statistics.
fn find<'e>(evidence: &'e mut [ClusterEvidence], name: &str) -> Option<&'e mut ClusterEvidence> {
    // Istio's stats may carry a trailing semicolon after the cluster (`alt_stat_name`).
    let name = name.trim_end_matches(';');
    evidence.iter_mut().find(|entry| in_statistics(&entry.cluster) == name)
}

/// `P0(1.0,1.0) P50(1.05,2.1) … P100(9.0,990)`: in each pair the last interval, then the whole run.
fn latency(text: &str) -> Option<ConnectLatency> {
    let quantile = |wanted: &str| {
        let (_, rest) = text.split_once(&format!("{wanted}("))?;
        let (pair, _) = rest.split_once(')')?;
        pair.split_once(',')?.1.trim().parse::<f64>().ok().filter(|value| value.is_finite())
    };
    Some(ConnectLatency {
        p50: quantile("P50")?,
        p99: quantile("P99")?,
        p99_9: quantile("P99.9")?,
        max: quantile("P100")?,
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn endpoints(text: &str, chunk: usize) -> Result<Vec<ClusterEvidence>, StatsError> {
        let mut decoder = EndpointsDecoder::default();
        for part in text.as_bytes().chunks(chunk.max(1)) {
            decoder.feed(part)?;
        }
        decoder.finish()
    }

    const CLUSTERS: &str = r#"{"cluster_statuses":[
        {"name":"outbound|443||b.example","host_statuses":[
          {"stats":[{"value":"3","name":"cx_connect_fail"},{"value":"10","name":"cx_total"},{"name":"rq_error"}]},
          {"stats":[{"name":"cx_connect_fail"},{"value":7,"name":"cx_total"}]}]},
        {"name":"outbound|80||idle","host_statuses":[{"stats":[{"name":"cx_connect_fail"},{"name":"cx_total"}]}]},
        {"name":"empty"},
        {"name":"outbound|443||a.example","host_statuses":[{"stats":[{"value":"1","name":"cx_total"}]}]}]}"#;

    #[test]
    fn adds_up_endpoints() {
        for chunk in [1, 7, 10_000] {
            let found = endpoints(CLUSTERS, chunk).unwrap();
            assert_eq!(
                found.iter().map(|entry| &*entry.cluster).collect::<Vec<_>>(),
                ["outbound|443||a.example", "outbound|443||b.example"]
            );
            let b = &found[1];
            assert_eq!((b.attempts, b.failures, b.endpoints, b.failing_endpoints), (17, 3, 2, 1));
        }
        let foreign = CLUSTERS.replace("a.example", "ä.example");
        let wrong = CLUSTERS.replace(r#""empty""#, "7");
        let (found, error) = (endpoints(&foreign, 10_000).unwrap(), endpoints(&wrong, 10_000).unwrap_err().to_string());
        for chunk in 1..CLUSTERS.len() {
            assert_eq!(endpoints(&foreign, chunk).unwrap(), found, "{chunk}");
            assert_eq!(endpoints(&wrong, chunk).unwrap_err().to_string(), error, "{chunk}");
        }
        assert!(endpoints(&CLUSTERS[..90], 9).is_err());
        assert!(endpoints("upstream connect error", 9).is_err());
    }

    #[test]
    fn clusters_that_began_no_connection_are_not_asked_about() {
        let clusters = ["outbound|80||a.example", "outbound|80||b.example", "outbound|80||[::1]"];
        let beside = ["xds-grpc", "BlackHoleCluster"];
        let asked = |text: &str| {
            let judged = clusters.map(|name| (name, true));
            wanted(judged.into_iter().chain(beside.map(|name| (name, false))), text)
        };
        // What Istio's proxies keep unless told otherwise: nothing but the pod's own is left out.
        let own = Wanted::Matching(
            r"^(outbound\|80\|\|\[::1\]|outbound\|80\|\|a\.example|outbound\|80\|\|b\.example)$".to_owned(),
        );
        assert_eq!(asked("cluster.xds-grpc.upstream_cx_total: 3\nserver.state: 0\n"), own);
        assert_eq!(asked(""), own);
        assert_eq!(wanted(clusters.map(|name| (name, true)), ""), Wanted::Everything);
        let some = "cluster.outbound|80||a.example;.upstream_cx_total: 0\ncluster.outbound|80||[__1].upstream_cx_total: 0\n\
                    cluster.xds-grpc.upstream_cx_total: 10\n";
        assert_eq!(asked(some), Wanted::Matching(r"^(outbound\|80\|\|b\.example)$".to_owned()));
        let none: String =
            clusters.map(|name| format!("cluster.{}.upstream_cx_total: 0\n", in_statistics(name))).concat();
        assert_eq!(asked(&none), Wanted::Nothing);
        let many: Vec<String> = (0..500).map(|number| format!("outbound|80||host-{number}.example")).collect();
        let text = "cluster.outbound|80||host-7.example.upstream_cx_total: 0\n";
        let judged = || many.iter().map(|name| (name.as_str(), true));
        let Wanted::Matching(filter) = wanted(judged(), text) else { panic!("a filter") };
        let filter = regex::Regex::new(&filter).unwrap();
        assert!(many.iter().all(|name| filter.is_match(name)) && filter.is_match("inbound|8080||"));
        assert!(beside.iter().all(|name| !filter.is_match(name)));
        // What an EnvoyFilter made is not told from the bootstrap's by its name.
        assert_eq!(wanted(judged().chain([("made", true), ("agent", false)]), ""), Wanted::Everything);
    }

    #[test]
    fn statistics_are_asked_for_by_name() {
        let found = endpoints(CLUSTERS, 100).unwrap();
        let filter = regex::Regex::new(&stats_filter(&found)).unwrap();
        assert!(filter.is_match("cluster.outbound|443||b.example;.upstream_cx_connect_ms"));
        assert!(filter.is_match("cluster.outbound|443||a.example.upstream_cx_connect_timeout"));
        assert!(!filter.is_match("cluster.outbound|80||idle.upstream_cx_connect_fail"));
        let many = vec![found[0].clone(); 300];
        assert_eq!(stats_filter(&many), STATS_FILTER);
    }

    #[test]
    fn reads_stats() {
        let mut found = endpoints(CLUSTERS, 100).unwrap();
        add_stats(
            &mut found,
            "cluster.outbound|443||b.example.upstream_cx_connect_timeout: 2\n\
             cluster.other.upstream_cx_connect_timeout: 9\n\
             cluster.outbound|443||b.example.upstream_cx_connect_ms: P0(nan,0) P25(nan,1.0) P50(nan,1.05) P75(nan,1.1) \
             P90(nan,2) P95(nan,3) P99(nan,40) P99.5(nan,50) P99.9(nan,990) P100(nan,1000)\n\
             cluster.outbound|443||a.example.upstream_cx_connect_ms: No recorded values\n",
        );
        assert_eq!(found[1].timeouts, Some(2));
        let latency = found[1].latency.unwrap();
        assert_eq!((latency.p50, latency.p99, latency.p99_9, latency.max), (1.05, 40.0, 990.0, 1000.0));
        assert_eq!((found[0].timeouts, found[0].latency), (None, None));
    }

    proptest! {
        #[test]
        fn is_total(text in ".{0,80}", stats in "(cluster\\.|x|\\.upstream_cx_connect_(ms|timeout): |P50\\(|[0-9,)]|\n){0,20}") {
            let _ = endpoints(&text, 3);
            let _ = wanted([(text.as_str(), true)], &stats);
            add_stats(&mut [ClusterEvidence::default()], &stats);
        }
    }
}
