//! What became of the clusters that a control plane gives a proxy: pushed, sent, acknowledged, held.
//!
//! No source tells it alone. istiod's `/debug/syncz` knows what was sent and answered, for as long as the proxy is
//! connected; the proxy's counters know whether it is, and whether it ever accepted anything; what it holds stands in
//! its dump, which has no word of a refusal.

use std::sync::Arc;

use jiff::Timestamp;

use super::objects::{ControlPlane, IstioObjects};
use super::sync::{ClusterSync, Rejection, XdsCounters};
use super::{ClusterKind, ClusterSet, ClusterSource, EnvoyCluster, ProxySnapshot};

/// How far the last clusters came on their way to a proxy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Progress {
    /// It can't be told: nobody who knows could be asked.
    Unknown,
    /// The proxy accepted the last that were sent.
    Acknowledged,
    /// They were sent, and no answer has come yet.
    Pending(Option<Timestamp>),
    /// The proxy is connected, and none have been sent.
    NotSent,
    /// The proxy refused them; without Envoy's sentence where no istiod could be asked for it.
    Rejected(Option<Rejection>),
    /// The proxy is not connected to a control plane.
    Disconnected,
}

/// What became of the clusters of one proxy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Delivery {
    /// How far the last ones came.
    pub progress: Progress,
    /// Whether it holds any cluster from a control plane.
    pub holds_any: bool,
    /// Clusters that it is known to have been given and does not hold: those that it refused and never had.
    pub missing: Vec<Arc<str>>,
    /// Whether it holds parts of updates only: it has some clusters, and never accepted an update as a whole. Those that
    /// it refused it never had, whether or not they are known by name.
    pub partial: bool,
}

impl Delivery {
    /// Puts together what is known of a proxy. `objects` are those of its Kubernetes cluster, `clusters` the snapshot's,
    /// of which proxies [refused](Self::refused) some.
    #[must_use]
    pub fn of(
        read: &ProxySnapshot,
        objects: Option<&IstioObjects>,
        clusters: &[EnvoyCluster],
        refused: &ClusterSet,
    ) -> Self {
        let held = || read.clusters.iter().map(|position| &clusters[position as usize]);
        let holds_any = held().any(is_given);
        let in_dump = in_dump(read.clusters.intersection(refused).iter().map(|position| &clusters[position as usize]));
        let progress = progress(read, objects, in_dump);
        let mut missing = Vec::new();
        if let Progress::Rejected(Some(rejection)) = &progress
            && holds_any
            && !rejection.whole
        {
            let names: std::collections::HashSet<&str> = held().map(|cluster| &*cluster.name).collect();
            missing.extend(rejection.clusters.iter().filter(|name| !names.contains(&***name)).cloned());
        }
        let never = read.xds.as_ref().is_some_and(XdsCounters::only_rejected);
        Self { progress, holds_any, missing, partial: never && holds_any }
    }

    /// The clusters of which a dump tells that an update was refused.
    #[must_use]
    pub fn refused(clusters: &[EnvoyCluster]) -> ClusterSet {
        (0u32..).zip(clusters).filter(|(_, cluster)| cluster.error.is_some()).map(|(position, _)| position).collect()
    }

    /// Whether what the proxy holds is all that there is to know: nothing newer is on its way or was refused.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.progress == Progress::Acknowledged && self.holds_any
    }

    /// Whether it has no cluster from a control plane, though it is a proxy of one.
    #[must_use]
    pub fn has_nothing(&self) -> bool {
        !self.holds_any
    }

    /// Whether it has some clusters from its control plane, and lacks others.
    #[must_use]
    pub fn lacks_some(&self) -> bool {
        self.partial || !self.missing.is_empty()
    }
}

/// Whether a cluster came from a control plane. Istio's bootstrap clusters are told by their names where the input does
/// not tell static clusters from others.
fn is_given(cluster: &EnvoyCluster) -> bool {
    cluster.source != ClusterSource::Static && cluster.kind() != ClusterKind::Bootstrap
}

fn progress(read: &ProxySnapshot, objects: Option<&IstioObjects>, in_dump: Option<Rejection>) -> Progress {
    let counters = read.xds.as_ref();
    let rejected = counters.is_some_and(|counters| counters.rejected > Some(0));
    // The proxy knows sooner than istiod that a connection broke.
    if counters.and_then(|counters| counters.connected) == Some(false) {
        return Progress::Disconnected;
    }
    if let Some((_, sync)) = objects.and_then(|objects| objects.connected_to(&read.proxy.id)) {
        return match &sync.clusters {
            ClusterSync::Rejected(rejection) => Progress::Rejected(Some(rejection.clone())),
            ClusterSync::NotSent => Progress::NotSent,
            _ if in_dump.is_some() => Progress::Rejected(in_dump),
            ClusterSync::Acknowledged => Progress::Acknowledged,
            ClusterSync::Pending if rejected && !sync.tells_errors => Progress::Rejected(None),
            ClusterSync::Pending => Progress::Pending(sync.sent_at),
        };
    }
    if in_dump.is_some() || counters.is_some_and(XdsCounters::only_rejected) {
        return Progress::Rejected(in_dump);
    }
    // Connected to one that could not be asked, by its own word; else a plane whose every instance answered would know.
    let connected = counters.and_then(|counters| counters.connected) == Some(true);
    let plane = objects.and_then(|objects| objects.control_plane(&read.proxy.revision));
    if !connected && plane.is_some_and(ControlPlane::all_answered) {
        return Progress::Disconnected;
    }
    Progress::Unknown
}

/// Some Envoys keep the reason in the dump (`error_state.details`).
fn in_dump<'a>(held: impl Iterator<Item = &'a EnvoyCluster>) -> Option<Rejection> {
    let mut refused = held.filter_map(|cluster| Some((&cluster.name, cluster.error.as_ref()?)));
    let (name, error) = refused.next()?;
    let clusters = std::iter::once(name).chain(refused.map(|(name, _)| name)).cloned().collect();
    Some(Rejection { reason: error.to_string(), clusters, whole: false })
}
