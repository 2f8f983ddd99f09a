//! What a Kubernetes cluster says about Istio: only the fields that decide a connect timeout, or tell how to change
//! one. A snapshot carries these, so whatever needs them works offline too.

mod control_plane;
mod destination_rule;
mod envoy_filter;
mod meta;
mod ownership;
mod route;
mod selector;
mod service;
mod sidecar;
mod version;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::sync::Injector;

pub use control_plane::{ControlPlane, EffectiveMesh, Istiod, MeshConfig, MeshConfigKind, MeshConfigSource};
pub use destination_rule::{ConnectionPool, DestinationRule, PortPolicy, Subset, TrafficPolicy};
pub use envoy_filter::{ClusterPatch, EnvoyFilter, PatchContext, PatchOperation, TargetRef};
pub use meta::{Labels, ObjectMeta, REVISION_LABEL, Source};
pub use ownership::{Evidence, GitOps, Installer, InstallerKind, reconciled};
pub use route::{HttpRoute, RouteDestination, VirtualService};
pub use selector::{LabelExpression, LabelSelector};
pub use service::{BackendPolicy, BackendPolicyKind, Service, ServiceEntry, ServicePort};
pub use sidecar::{Sidecar, SidecarIngress};
pub use version::{Version, minor_version};

/// The kinds of objects that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub enum ObjectKind {
    /// The control plane's configuration, out of its ConfigMaps or from istiod itself.
    MeshConfig,
    /// `networking.istio.io` DestinationRule.
    DestinationRule,
    /// `networking.istio.io` Sidecar.
    Sidecar,
    /// `networking.istio.io` EnvoyFilter.
    EnvoyFilter,
    /// `networking.istio.io` ServiceEntry.
    ServiceEntry,
    /// `networking.istio.io` VirtualService.
    VirtualService,
    /// Kubernetes' Service.
    Service,
    /// Kubernetes' Namespace, for its labels.
    Namespace,
    /// Kubernetes' Node, for its labels.
    Node,
    /// Revision tags (MutatingWebhookConfiguration with the label `istio.io/tag`).
    RevisionTag,
    /// `gateway.networking.k8s.io` BackendTLSPolicy and `gateway.networking.x-k8s.io` XBackendTrafficPolicy.
    BackendPolicy,
    /// The control plane's Deployments.
    Deployment,
    /// What installs a control plane: IstioOperator, Istio (Sail), ServiceMeshControlPlane, ControlPlaneRevision.
    Installer,
}

impl ObjectKind {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::MeshConfig,
        Self::DestinationRule,
        Self::Sidecar,
        Self::EnvoyFilter,
        Self::ServiceEntry,
        Self::VirtualService,
        Self::Service,
        Self::Namespace,
        Self::Node,
        Self::RevisionTag,
        Self::BackendPolicy,
        Self::Deployment,
        Self::Installer,
    ];

    /// Its name in a sentence.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MeshConfig => "mesh configuration",
            Self::DestinationRule => "DestinationRule",
            Self::Sidecar => "Sidecar",
            Self::EnvoyFilter => "EnvoyFilter",
            Self::ServiceEntry => "ServiceEntry",
            Self::VirtualService => "VirtualService",
            Self::Service => "Service",
            Self::Namespace => "Namespace",
            Self::Node => "Node",
            Self::RevisionTag => "revision tag",
            Self::BackendPolicy => "Gateway API policy",
            Self::Deployment => "Deployment",
            Self::Installer => "installer",
        }
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether objects of a kind were read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Coverage {
    /// All of them.
    Read,
    /// Only those of some namespaces, for the reason given.
    Partly(String),
    /// None, for the reason given.
    Denied(String),
    /// Nobody asked: a dump or an older snapshot.
    #[default]
    NotRead,
}

/// An object that could not be understood. What it would have decided is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Misread {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its namespace; empty where not even that could be read.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
}

/// What one Kubernetes cluster says about Istio.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct IstioObjects {
    /// What was read of which kind; a kind that is not there was not.
    pub coverage: BTreeMap<ObjectKind, Coverage>,
    /// Objects that could not be understood, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The same objects, for what they would have decided.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub misread: Vec<Misread>,
    /// The control planes, by revision.
    pub control_planes: Vec<ControlPlane>,
    /// What injects their proxies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub injectors: Vec<Injector>,
    /// What installs them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub installers: Vec<Installer>,
    /// All DestinationRules.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub destination_rules: Vec<DestinationRule>,
    /// All Sidecars.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sidecars: Vec<Sidecar>,
    /// The EnvoyFilters that patch clusters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub envoy_filters: Vec<EnvoyFilter>,
    /// All ServiceEntries.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub service_entries: Vec<ServiceEntry>,
    /// All Services.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Service>,
    /// All VirtualServices.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub virtual_services: Vec<VirtualService>,
    /// The labels of namespaces, by name; read only where a mesh has `discoverySelectors`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub namespaces: BTreeMap<String, Labels>,
    /// The labels of nodes that tell where they are, by name; read only where a selector asks for such.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub nodes: BTreeMap<String, Labels>,
    /// Revision tags, and the revision that each stands for.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub revision_tags: BTreeMap<String, String>,
    /// Gateway API policies for backends.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub backend_policies: Vec<BackendPolicy>,
    /// The version of the Gateway API's CRDs (`v1.4.0`); empty where unknown.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub gateway_api: String,
    /// What each control plane makes of those policies, worked out when it is first asked for.
    #[serde(skip)]
    pub made_rules: MadeRules,
}

/// DestinationRules that are in no API server, by the position of the control plane. They follow from the rest, so a copy
/// works them out anew, and they make no difference to whether objects are equal.
#[derive(Default)]
pub struct MadeRules(OnceLock<Vec<Vec<DestinationRule>>>);

impl Clone for MadeRules {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for MadeRules {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for MadeRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MadeRules")
    }
}

impl IstioObjects {
    /// The DestinationRules that a control plane, by its position, makes of Gateway API policies; `make` works them out
    /// for all of them, once.
    pub fn made_rules(&self, plane: usize, make: impl FnOnce() -> Vec<Vec<DestinationRule>>) -> &[DestinationRule] {
        self.made_rules.0.get_or_init(make).get(plane).map_or(&[], Vec::as_slice)
    }

    /// Whether nothing was read at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.coverage.is_empty() && self.control_planes.is_empty()
    }

    /// What was read of a kind.
    #[must_use]
    pub fn coverage(&self, kind: ObjectKind) -> Coverage {
        self.coverage.get(&kind).cloned().unwrap_or_default()
    }

    /// Whether all objects of a kind were read.
    #[must_use]
    pub fn is_read(&self, kind: ObjectKind) -> bool {
        self.coverage.get(&kind) == Some(&Coverage::Read)
    }

    /// The domain of Kubernetes services, by the first control plane that says so.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.control_planes.first().map_or("cluster.local", ControlPlane::domain)
    }

    /// The control plane of a revision or of a tag. Where the proxy names one that nothing explains and tags could not
    /// be read, it is taken for a tag of the only control plane there is.
    #[must_use]
    pub fn control_plane(&self, revision: &str) -> Option<&ControlPlane> {
        let wanted = if revision.is_empty() { ControlPlane::DEFAULT_REVISION } else { revision };
        let named = |name: &str| self.control_planes.iter().find(|plane| plane.revision == name);
        let injector = self.injectors.iter().find(|injector| injector.tag == wanted);
        let tagged = self.revision_tags.get(wanted).or(injector.map(|injector| &injector.revision));
        named(wanted).or_else(|| named(tagged?)).or(match self.control_planes.as_slice() {
            [only] if self.guesses(wanted) => Some(only),
            _ => None,
        })
    }

    /// Whether a revision that no control plane has may be a tag of one.
    fn guesses(&self, wanted: &str) -> bool {
        wanted == ControlPlane::DEFAULT_REVISION || !self.is_read(ObjectKind::RevisionTag)
    }

    /// Puts everything in order, oldest first as Istio does, so that equal clusters give equal snapshots.
    pub fn sort(&mut self) {
        fn age(meta: &ObjectMeta) -> (Option<Timestamp>, String, String) {
            (meta.created, meta.name.clone(), meta.namespace.clone())
        }
        self.control_planes.sort_by(|a, b| (&a.revision, &a.namespace).cmp(&(&b.revision, &b.namespace)));
        self.injectors.sort_by(|a, b| a.name.cmp(&b.name));
        self.installers.sort_by_key(|object| (object.kind, age(&object.meta)));
        self.destination_rules.sort_by_cached_key(|object| age(&object.meta));
        self.sidecars.sort_by_cached_key(|object| age(&object.meta));
        self.envoy_filters.sort_by_cached_key(|object| age(&object.meta));
        self.service_entries.sort_by_cached_key(|object| age(&object.meta));
        self.services.sort_by_cached_key(|object| age(&object.meta));
        self.virtual_services.sort_by_cached_key(|object| age(&object.meta));
        self.backend_policies.sort_by_cached_key(|object| age(&object.meta));
    }
}
