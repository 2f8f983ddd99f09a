//! Which object gives a cluster its connect timeout, by Istio's own precedence.
//!
//! Later beats earlier (`pilot/pkg/networking/core/cluster_traffic_policy.go`): the mesh's `connectTimeout`; its
//! `defaultTrafficPolicy` (from 1.31); the DestinationRule's policy, its port settings, the subset's; for inbound
//! clusters the Sidecar's connection pool; EnvoyFilters.
//!
//! A mesh is a control plane's: its configuration, its root namespace, its revision decide what its proxies get.
//! Proxies that no selector tells apart are one *class*, and a cluster is worked out once for each class that holds
//! it, so the cost grows with what is distinct, not with proxies × clusters.

mod backend;
mod behaviour;
mod classes;
mod filters;
mod hosts;
mod judge;
mod layers;
mod mesh;
mod policy;
mod resolution;
mod rules;
mod selection;
mod words;

use std::sync::OnceLock;
use std::time::Duration;

use classes::Plane;
use hosts::Workload;
use layers::Question;
use mesh::Mesh;

pub use classes::ProxyClass;
pub use resolution::{Candidate, Dropped, Layer, Outcome};
pub use rules::full_host;
pub use words::describe;

use crate::model::istio::{ClusterPatch, DestinationRule, EffectiveMesh, EnvoyFilter, IstioObjects, Subset};
use crate::model::{EnvoyCluster, MeshSnapshot, Origin};

/// What a cluster should hold, by what could be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    /// The value; `None` where nothing sets the field.
    pub timeout: Option<Duration>,
    /// What gives it.
    pub origin: Origin,
    /// A value that was meant and lost.
    pub dropped: Option<Dropped>,
    /// EnvoyFilters that may apply on top, and the value they would give.
    pub perhaps: Vec<(Origin, Duration)>,
}

/// How what a proxy holds compares with what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It is what the objects give.
    Explained,
    /// The proxy lags behind its control plane.
    Stale,
    /// No readable object accounts for it.
    Unexplained,
    /// Too little could be read to say.
    Unknown,
}

/// Where one cluster of one class of proxies has its timeout from.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribution {
    /// Where the value that is held comes from.
    pub origin: Origin,
    /// What should be held; `None` where too little could be read.
    pub expected: Option<Expected>,
    /// How the two compare.
    pub verdict: Verdict,
}

/// What decides about a service's cluster: its host, port and subset as rules see them, and the rules merged for them.
/// Rules that istiod makes of Gateway API policies are only in `made`.
#[derive(Debug, Clone, Default)]
pub struct RuleFor<'a> {
    /// The host that rules are looked up for; empty where there is none.
    pub host: String,
    /// The port that `portLevelSettings` go by.
    pub port: u16,
    /// The subset; empty for none.
    pub subset: String,
    /// The rule that came first, which Envoy's metadata name; `None` where no rule is for the cluster.
    pub first: Option<&'a DestinationRule>,
    /// The rule whose `trafficPolicy` counts.
    pub policy: Option<&'a DestinationRule>,
    /// The subsets, and the rules that they are in.
    pub subsets: Vec<(&'a DestinationRule, &'a Subset)>,
    /// The rule that istiod makes of Gateway API policies, where it is among those merged for the cluster.
    pub made: Option<&'a DestinationRule>,
    /// Whether the mesh's `defaultTrafficPolicy` has a pool that counts where no rule has one.
    pub baseline: bool,
    /// The namespace of the service; empty where unknown.
    pub service_namespace: String,
    /// The mesh's root namespace.
    pub root_namespace: String,
}

/// Works out where connect timeouts come from, for all proxies of a snapshot.
#[derive(Debug)]
pub struct Attributor<'a> {
    snapshot: &'a MeshSnapshot,
    planes: Vec<Plane<'a>>,
    classes: Vec<ProxyClass<'a>>,
    class_of: Vec<usize>,
    /// Of each proxy, the services that its workload is behind.
    workloads: Vec<OnceLock<Workload>>,
}

impl<'a> Attributor<'a> {
    /// Indexes the objects of a snapshot and sorts its proxies into classes.
    #[must_use]
    pub fn new(snapshot: &'a MeshSnapshot) -> Self {
        let (planes, classes, class_of) = classes::classify(snapshot);
        let workloads = snapshot.proxies.iter().map(|_| OnceLock::new()).collect();
        Self { snapshot, planes, classes, class_of, workloads }
    }

    /// The classes.
    #[must_use]
    pub fn classes(&self) -> &[ProxyClass<'a>] {
        &self.classes
    }

    /// The class of a proxy, by its position in [`MeshSnapshot::proxies`].
    #[must_use]
    pub fn class_of(&self, proxy: usize) -> &ProxyClass<'a> {
        &self.classes[self.class_of[proxy]]
    }

    fn plane(&self, class: &ProxyClass<'a>) -> Option<&Plane<'a>> {
        class.plane.map(|plane| &self.planes[plane])
    }

    /// The mesh as a class's control plane sees it.
    fn mesh(&self, class: &ProxyClass<'a>) -> Option<&Mesh<'a>> {
        self.plane(class).map(|plane| plane.mesh(0))
    }

    /// The mesh-wide value for a class and where it comes from; `None` where it could not be read.
    #[must_use]
    pub fn mesh_value(&self, class: &ProxyClass<'a>) -> Option<&EffectiveMesh> {
        self.plane(class)?.effective.as_ref()
    }

    /// The objects of a class's cluster.
    #[must_use]
    pub fn objects(&self, class: &ProxyClass<'a>) -> Option<&'a IstioObjects> {
        self.plane(class).map(|plane| plane.objects)
    }

    /// What decides about a cluster of a class; nothing for clusters that are no service's.
    #[must_use]
    pub fn rule_for(&self, class: &ProxyClass<'a>, cluster: &'a EnvoyCluster) -> RuleFor<'a> {
        let Some(mesh) = self.mesh(class) else { return RuleFor::default() };
        let question = Question::new(self, class, 0, cluster, None);
        let found = question.and_then(|question| question.rule_for());
        found.unwrap_or_else(|| RuleFor { root_namespace: mesh.root.clone(), ..RuleFor::default() })
    }

    /// The patches of EnvoyFilters that are, or may be, for a cluster of a class, in the order in which they apply.
    #[must_use]
    pub fn patches_of(
        &self,
        class: &ProxyClass<'a>,
        cluster: &'a EnvoyCluster,
    ) -> Vec<(&'a EnvoyFilter, &'a ClusterPatch)> {
        Question::new(self, class, 0, cluster, None).map_or_else(Vec::new, |question| question.patches())
    }

    /// Where a cluster of a class has its timeout from; `cluster` is a position in [`MeshSnapshot::clusters`].
    #[must_use]
    pub fn attribute(&self, class: &ProxyClass<'a>, cluster: u32) -> Attribution {
        judge::compare(self, class, cluster, false).0
    }

    /// The same, with every layer that was asked, weakest first, what it said, and why it won or lost.
    #[must_use]
    pub fn explain(&self, class: &ProxyClass<'a>, cluster: u32) -> (Attribution, Vec<Candidate>) {
        judge::compare(self, class, cluster, true)
    }
}
