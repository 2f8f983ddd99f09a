//! What Envoy itself counted about connection attempts.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// How long connecting took, in milliseconds, from Envoy's `upstream_cx_connect_ms` histogram.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectLatency {
    /// The median.
    pub p50: f64,
    /// 99 of 100 took no longer.
    pub p99: f64,
    /// 999 of 1000 took no longer.
    pub p99_9: f64,
    /// The longest.
    pub max: f64,
}

/// Connection attempts of one proxy to one cluster. Envoy's figures restart with the endpoint and with the proxy.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterEvidence {
    /// The cluster's name.
    pub cluster: Arc<str>,
    /// Connections that were begun (`cx_total`, over all endpoints).
    #[serde(default)]
    pub attempts: u64,
    /// Those that failed (`cx_connect_fail`), timeouts among them.
    #[serde(default, skip_serializing_if = "is_none_of_them")]
    pub failures: u64,
    /// Those that timed out (`upstream_cx_connect_timeout`); `None` where the proxy does not keep the counter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<u64>,
    /// Those that failed since the proxy started (`upstream_cx_connect_fail`, which begins where
    /// `upstream_cx_connect_timeout` does and not with the endpoints); `None` where the proxy does not keep the counter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures_since_start: Option<u64>,
    /// Endpoints there are.
    #[serde(default)]
    pub endpoints: u32,
    /// Endpoints with failures.
    #[serde(default, skip_serializing_if = "is_none_of_them")]
    pub failing_endpoints: u32,
    /// How long connecting took; `None` where the proxy does not keep the histogram.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<ConnectLatency>,
}

/// Most counters are at zero, and a snapshot of a large mesh has many.
fn is_none_of_them<T: Default + PartialEq>(counter: &T) -> bool {
    *counter == T::default()
}

impl ClusterEvidence {
    /// How many of the failures were timeouts. The two are counters of their own: those of endpoints begin anew when
    /// the cluster is updated. `None` where the proxy keeps no counter of timeouts, or where it reaches further back
    /// and some of what it counts were timeouts and some were not.
    #[must_use]
    pub fn timeouts_among_failures(&self) -> Option<u64> {
        match (self.timeouts?, self.failures_since_start) {
            (0, _) => Some(0),
            (timeouts, Some(all)) if timeouts >= all => Some(self.failures),
            (timeouts, Some(all)) => (all <= self.failures).then_some(timeouts),
            (timeouts, None) => (timeouts <= self.failures).then_some(timeouts),
        }
    }

    /// What happened since an earlier reading. A figure that fell was reset in between, and counts from zero.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let grown = |now: u64, before: u64| if now < before { now } else { now - before };
        Self {
            attempts: grown(self.attempts, earlier.attempts),
            failures: grown(self.failures, earlier.failures),
            timeouts: self.timeouts.map(|now| grown(now, earlier.timeouts.unwrap_or(0))),
            failures_since_start: self
                .failures_since_start
                .map(|now| grown(now, earlier.failures_since_start.unwrap_or(0))),
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_that_falls_was_reset() {
        let before = ClusterEvidence { attempts: 10, failures: 5, timeouts: Some(2), ..ClusterEvidence::default() };
        let after = ClusterEvidence { attempts: 14, failures: 3, timeouts: Some(2), ..ClusterEvidence::default() };
        let grown = after.since(&before);
        assert_eq!((grown.attempts, grown.failures, grown.timeouts), (4, 3, Some(0)));
    }

    #[test]
    fn timeouts_are_never_more_than_failures() {
        for (failures, timeouts, since_start, expected) in [
            (118, Some(314), None, None),
            (118, Some(314), Some(314), Some(118)),
            (118, Some(314), Some(400), None),
            (118, Some(100), Some(118), Some(100)),
            (118, Some(100), None, Some(100)),
            (118, Some(0), Some(900), Some(0)),
            (118, None, Some(118), None),
        ] {
            let entry =
                ClusterEvidence { failures, timeouts, failures_since_start: since_start, ..ClusterEvidence::default() };
            assert_eq!(entry.timeouts_among_failures(), expected, "{entry:?}");
        }
    }
}
