//! What rules see, and what they say.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Policy;
use crate::attribute::{Attributor, Dropped, Expected, Verdict};
use crate::model::{
    ClusterKind, ClusterName, ClusterSet, Direction, EnvoyCluster, MeshSnapshot, Origin, ProxyId, syn_retransmissions,
};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Likely to hurt.
    Warning,
    /// Hurts.
    Error,
}

impl Severity {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One distinct (cluster, value, origin), and the proxies that hold it.
#[derive(Debug, Clone)]
pub struct Row {
    /// The cluster's whole name.
    pub name: Arc<str>,
    /// What the cluster is for.
    pub kind: ClusterKind,
    /// The discovery type.
    pub discovery_type: Arc<str>,
    /// `connect_timeout`; `None` where the field is absent.
    pub connect_timeout: Option<Duration>,
    /// Where the value came from.
    pub origin: Origin,
    /// How it compares with what should be held.
    pub verdict: Verdict,
    /// What should be held; `None` where too little could be read.
    pub expected: Option<Expected>,
    /// The mesh's value for these proxies, as far as it is known.
    pub mesh: Option<Duration>,
    /// Timeouts that were meant for it and are lost, and for which of the proxies.
    pub dropped: Vec<(Dropped, ClusterSet)>,
    /// The proxies that hold it: positions in the snapshot's list.
    pub proxies: Arc<ClusterSet>,
    /// The number of that set among the distinct ones.
    pub proxy_set: usize,
}

/// What tells one row from another.
pub type RowKey = (Arc<str>, Option<Duration>, Origin);

impl Row {
    /// What tells it from the others.
    #[must_use]
    pub fn key(&self) -> RowKey {
        (Arc::clone(&self.name), self.connect_timeout, self.origin.clone())
    }

    /// The timeout that is in force.
    #[must_use]
    pub fn effective_timeout(&self) -> Duration {
        self.connect_timeout.unwrap_or(EnvoyCluster::DEFAULT_CONNECT_TIMEOUT)
    }

    /// How many SYN retransmissions fit into it.
    #[must_use]
    pub fn syn_retransmissions(&self) -> u32 {
        syn_retransmissions(self.effective_timeout())
    }

    /// The parts of the name, if it is a service's.
    #[must_use]
    pub fn parts(&self) -> Option<ClusterName<'_>> {
        ClusterName::parse(&self.name)
    }

    /// Whether it leads to the proxy's own workload, over loopback.
    #[must_use]
    pub fn is_inbound(&self) -> bool {
        self.name.starts_with("InboundPassthrough")
            || self.parts().is_some_and(|parts| parts.direction == Direction::Inbound)
    }

    /// Whether rules judge it: bootstrap and internal clusters are not the mesh's to set, and nothing is ever dialled
    /// through BlackHoleCluster.
    #[must_use]
    pub fn is_judged(&self) -> bool {
        matches!(self.kind, ClusterKind::Service | ClusterKind::Passthrough | ClusterKind::Other)
    }
}

/// The mesh's own value for one control plane, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeshValue {
    /// The kubeconfig context, when several are audited.
    pub context: String,
    /// The control plane's revision; empty where unknown.
    pub revision: String,
    /// `meshConfig.connectTimeout` as it takes effect.
    pub connect_timeout: Duration,
    /// What says so.
    pub source: String,
    /// How the control plane was installed; empty where unknown.
    pub install: String,
}

/// Everything a rule may look at.
pub struct Context<'a> {
    /// What was read.
    pub snapshot: &'a MeshSnapshot,
    /// The distinct values.
    pub rows: &'a [Row],
    /// What is expected.
    pub policy: &'a Policy,
    /// The mesh's own values.
    pub mesh: &'a [MeshValue],
    /// Where values come from.
    pub attributor: &'a Attributor<'a>,
}

impl<'a> Context<'a> {
    /// The rows that rules judge.
    pub fn judged(&self) -> impl Iterator<Item = &'a Row> + use<'a> {
        self.rows.iter().filter(|row| row.is_judged())
    }

    /// The control plane of a proxy: its context and its revision.
    #[must_use]
    pub fn control_plane(&self, proxy: u32) -> (&'a str, &'a str) {
        let proxy = &self.snapshot.proxies[proxy as usize].proxy;
        (&proxy.id.context, &proxy.revision)
    }

    /// A proxy's name.
    #[must_use]
    pub fn proxy(&self, proxy: u32) -> &'a ProxyId {
        &self.snapshot.proxies[proxy as usize].proxy.id
    }
}

/// Something that is wrong.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The rule that found it.
    pub rule: &'static RuleInfo,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in a sentence.
    pub message: String,
    /// The cluster's name; empty where it is a proxy's matter.
    pub cluster: Arc<str>,
    /// The cluster's timeout; `None` where the field is absent or there is no cluster.
    pub timeout: Option<Duration>,
    /// The proxies: positions in the snapshot's list.
    pub proxies: Arc<ClusterSet>,
    /// Where the value came from.
    pub origin: Option<Origin>,
    /// What to do.
    pub remedy: String,
}

impl Finding {
    /// A finding about a row.
    #[must_use]
    pub fn of_row(rule: &'static RuleInfo, severity: Severity, row: &Row, message: String, remedy: String) -> Self {
        Self {
            rule,
            severity,
            message,
            cluster: Arc::clone(&row.name),
            timeout: row.connect_timeout,
            proxies: Arc::clone(&row.proxies),
            origin: Some(row.origin.clone()),
            remedy,
        }
    }
}

/// What is fixed about a rule.
#[derive(Debug, PartialEq, Eq)]
pub struct RuleInfo {
    /// Never reused.
    pub code: &'static str,
    /// In kebab case.
    pub name: &'static str,
    /// Unless the rule says otherwise for a row.
    pub severity: Severity,
    /// The page that `explain` prints.
    pub page: &'static str,
}

/// A check of a whole snapshot.
pub trait Rule: Sync {
    /// What is fixed about it.
    fn info(&self) -> &'static RuleInfo;

    /// Reports what it finds.
    fn check(&self, context: &Context<'_>, report: &mut dyn FnMut(Finding));
}
