//! What the API server has been asked for, counted.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// Counts since the start, or since the last [`Counters::take`].
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// TCP connections accepted.
    pub connections: u64,
    /// Requests by `verb resource[/subresource]`, such as `list pods`; other paths by `get PATH`.
    pub requests: BTreeMap<String, u64>,
    /// Tunnels opened, by `namespace/pod`.
    pub tunnels: BTreeMap<String, u64>,
    /// Tunnels open at once, at most.
    pub tunnels_at_once: u64,
    /// Bytes from pods through tunnels.
    pub tunnel_bytes: u64,
    #[serde(skip)]
    open: u64,
}

impl Stats {
    /// How often something was asked for, such as `list pods`.
    #[must_use]
    pub fn requested(&self, what: &str) -> u64 {
        self.requests.get(what).copied().unwrap_or_default()
    }
}

/// The counters of a running server.
#[derive(Debug, Default)]
pub struct Counters(Mutex<Stats>);

impl Counters {
    fn with<T>(&self, change: impl FnOnce(&mut Stats) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn connection(&self) {
        self.with(|stats| stats.connections += 1);
    }

    pub(crate) fn request(&self, what: String) {
        self.with(|stats| *stats.requests.entry(what).or_default() += 1);
    }

    pub(crate) fn tunnel_opened(&self, namespace: &str, pod: &str) {
        self.with(|stats| {
            *stats.tunnels.entry(format!("{namespace}/{pod}")).or_default() += 1;
            stats.open += 1;
            stats.tunnels_at_once = stats.tunnels_at_once.max(stats.open);
        });
    }

    pub(crate) fn tunnel_closed(&self) {
        self.with(|stats| stats.open = stats.open.saturating_sub(1));
    }

    pub(crate) fn tunnel_bytes(&self, bytes: usize) {
        self.with(|stats| stats.tunnel_bytes += bytes as u64);
    }

    /// The counts now.
    #[must_use]
    pub fn now(&self) -> Stats {
        self.with(|stats| stats.clone())
    }

    /// The counts now, which start again from zero.
    #[must_use]
    pub fn take(&self) -> Stats {
        self.with(|stats| {
            let open = stats.open;
            std::mem::replace(stats, Stats { open, ..Stats::default() })
        })
    }
}
