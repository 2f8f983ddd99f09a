//! What Envoy's counters say about a row, put together over its proxies.

use std::time::Duration;

use foldhash::{HashMap, HashMapExt};

use crate::model::evidence::{ClusterEvidence, ConnectLatency};
use crate::model::{ClusterSet, MeshSnapshot};

/// The figures of all proxies that hold a value.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counted {
    /// Connections that were begun.
    pub attempts: u64,
    /// Those that failed.
    pub failures: u64,
    /// Those of the failures that timed out; `None` where no proxy keeps the counter, or where it began before
    /// [`Self::failures`] did and so cannot be held against them.
    pub timeouts: Option<u64>,
    /// Those that timed out since the proxies started, where [`Self::timeouts`] is not known.
    pub timeouts_since_start: Option<u64>,
    /// The most endpoints that one proxy knows.
    pub endpoints: u32,
    /// The most of them that fail for one proxy.
    pub failing_endpoints: u32,
    /// The slowest proxy's connect times, where one keeps the histogram.
    pub latency: Option<ConnectLatency>,
    /// The proxies with failures.
    pub failing: ClusterSet,
}

/// What failing attempts mean for a timeout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// All fail: no timeout is long enough.
    Unreachable,
    /// Some run out of time and others succeed.
    Slow,
    /// They fail, and not by timeout.
    NotTimeouts,
    /// The proxies do not keep what would tell.
    Unclear,
}

/// All proxies' figures, by cluster.
#[derive(Debug)]
pub struct Counters<'a>(HashMap<&'a str, Vec<(u32, &'a ClusterEvidence)>>);

impl<'a> Counters<'a> {
    /// Indexes a snapshot's figures.
    #[must_use]
    pub fn new(snapshot: &'a MeshSnapshot) -> Self {
        let mut by_cluster: HashMap<&str, Vec<(u32, &ClusterEvidence)>> = HashMap::new();
        for (proxy, read) in (0u32..).zip(&snapshot.proxies) {
            for entry in read.evidence.iter().flatten() {
                by_cluster.entry(&entry.cluster).or_default().push((proxy, entry));
            }
        }
        Self(by_cluster)
    }

    /// Sums up a cluster's figures over some proxies; `None` where none of them counted an attempt.
    #[must_use]
    pub fn summary(&self, cluster: &str, proxies: &ClusterSet) -> Option<Counted> {
        let entries = self.0.get(cluster)?;
        let mut summary = Counted::default();
        let mut comparable = true;
        let mut since_start = None;
        for (proxy, entry) in entries.iter().filter(|(proxy, _)| proxies.contains(*proxy)) {
            summary.attempts += entry.attempts;
            summary.failures += entry.failures;
            if let Some(timeouts) = entry.timeouts {
                *since_start.get_or_insert(0) += timeouts;
                match entry.timeouts_among_failures() {
                    Some(timeouts) => *summary.timeouts.get_or_insert(0) += timeouts,
                    None => comparable = false,
                }
            }
            summary.endpoints = summary.endpoints.max(entry.endpoints);
            summary.failing_endpoints = summary.failing_endpoints.max(entry.failing_endpoints);
            if let Some(latency) = entry.latency
                && summary.latency.is_none_or(|known| known.p99_9 < latency.p99_9)
            {
                summary.latency = Some(latency);
            }
            if entry.failures > 0 {
                summary.failing.insert(*proxy);
            }
        }
        if !comparable {
            summary.timeouts = None;
            summary.timeouts_since_start = since_start;
        }
        (summary != Counted::default()).then_some(summary)
    }
}

impl Counted {
    /// What the failures mean, given the timeout that was in force.
    #[must_use]
    pub fn trouble(&self, timeout: Duration) -> Trouble {
        if self.failures >= self.attempts {
            return Trouble::Unreachable;
        }
        // Connect times that reach towards the limit show that it cuts some off; SYN retransmissions come in whole
        // seconds, so half of the way is far beyond an undisturbed handshake.
        let reaches = self.latency.map(|latency| latency.max >= timeout.as_secs_f64() * 500.0);
        match (self.timeouts.or(self.timeouts_since_start), reaches) {
            (Some(0), _) => Trouble::NotTimeouts,
            (Some(_), _) | (None, Some(true)) => Trouble::Slow,
            (None, _) => Trouble::Unclear,
        }
    }
}
