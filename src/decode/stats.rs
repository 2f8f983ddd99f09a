//! Envoy's counters: `/clusters?format=json`, one cluster at a time as it streams, and `/stats` line by line.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use super::bounded::weigh;
use super::{ElementError, Elements, parse_error};
use crate::model::evidence::{ClusterEvidence, ConnectLatency};

/// The most bytes that one cluster's status may have: those of over 5,000 endpoints.
const MAX_CLUSTER: usize = 16 << 20;

/// The same once it is decoded, by [`weigh`].
const MAX_CLUSTER_WEIGHT: usize = 96 << 20;

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

#[derive(Deserialize)]
struct RawCluster {
    #[serde(default)]
    name: String,
    #[serde(default)]
    host_statuses: Vec<RawHost>,
}

#[derive(Deserialize)]
struct RawHost {
    #[serde(default)]
    stats: Vec<RawStat>,
}

#[derive(Deserialize)]
struct RawStat {
    #[serde(default)]
    name: String,
    /// A 64-bit number, which protobuf's JSON writes as text; absent for 0.
    #[serde(default, deserialize_with = "count")]
    value: u64,
}

fn count<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Count {
        Number(u64),
        Text(String),
    }
    match Count::deserialize(deserializer)? {
        Count::Number(number) => Ok(number),
        Count::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

/// Reads `/clusters?format=json` (`envoy/admin/v3/clusters.proto`) as it arrives, and keeps the clusters that saw
/// connection attempts.
#[derive(Debug)]
pub struct EndpointsDecoder {
    elements: Elements,
    found: BTreeMap<Arc<str>, ClusterEvidence>,
}

impl Default for EndpointsDecoder {
    fn default() -> Self {
        Self { elements: Elements::of("cluster_statuses", MAX_CLUSTER), found: BTreeMap::new() }
    }
}

impl EndpointsDecoder {
    /// Takes the next bytes.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), StatsError> {
        let found = &mut self.found;
        self.elements.feed(chunk, |element| {
            if weigh(element) > MAX_CLUSTER_WEIGHT {
                return Err(ElementError::TooLarge(MAX_CLUSTER).into());
            }
            let raw: RawCluster =
                serde_json::from_slice(element).map_err(|error| StatsError::Cluster(parse_error::json(&error)))?;
            let mut evidence = ClusterEvidence { cluster: Arc::from(raw.name), ..ClusterEvidence::default() };
            for host in &raw.host_statuses {
                let stat = |name: &str| host.stats.iter().find(|stat| stat.name == name).map_or(0, |stat| stat.value);
                let failures = stat("cx_connect_fail");
                evidence.endpoints = evidence.endpoints.saturating_add(1);
                evidence.failing_endpoints += u32::from(failures > 0);
                evidence.failures = evidence.failures.saturating_add(failures);
                evidence.attempts = evidence.attempts.saturating_add(stat("cx_total"));
            }
            if evidence.attempts > 0 || evidence.failures > 0 {
                if found.len() == MAX_CLUSTERS {
                    return Err(StatsError::Cluster(format!("more than {MAX_CLUSTERS} clusters")));
                }
                found.insert(Arc::clone(&evidence.cluster), evidence);
            }
            Ok(())
        })
    }

    /// What was found, by name, once all bytes have been fed. Proxies that were stopped short have no figures.
    pub fn finish(self) -> Result<Vec<ClusterEvidence>, StatsError> {
        self.elements.finish()?;
        Ok(self.found.into_values().collect())
    }
}

/// The regular expression on names for what [`add_stats`] reads.
pub const STATS_FILTER: &str = r"^cluster\..*\.upstream_cx_connect_(fail|timeout|ms)$";

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

/// A cluster by its name in statistics, where colons are underscores (`source/common/stats/utility.cc`).
fn find<'e>(evidence: &'e mut [ClusterEvidence], name: &str) -> Option<&'e mut ClusterEvidence> {
    // Istio's stats may carry a trailing semicolon after the cluster (`alt_stat_name`).
    let name = name.trim_end_matches(';');
    evidence.iter_mut().find(|entry| {
        *entry.cluster == *name || (entry.cluster.contains(':') && entry.cluster.replace(':', "_") == name)
    })
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
        assert!(endpoints(&CLUSTERS[..90], 9).is_err());
        assert!(endpoints("upstream connect error", 9).is_err());
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
            add_stats(&mut [ClusterEvidence::default()], &stats);
        }
    }
}
