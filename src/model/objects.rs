//! What a cluster says about Istio: only the fields that decide a connect timeout, or tell how to change one.
//! A snapshot carries these, so whatever needs them works offline too.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::duration::optional_duration;
use super::sync::{Injector, Instance};
use super::{MeshSource, ObjectRef, Origin, OriginKind};

/// Labels, as selectors match them.
pub type Labels = BTreeMap<String, String>;

/// The kinds of objects that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
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
    /// The control plane's Deployments.
    Deployment,
    /// What installs a control plane: IstioOperator, Istio (Sail), ServiceMeshControlPlane, ControlPlaneRevision.
    Installer,
}

impl ObjectKind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::MeshConfig,
        Self::DestinationRule,
        Self::Sidecar,
        Self::EnvoyFilter,
        Self::ServiceEntry,
        Self::VirtualService,
        Self::Service,
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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

/// What every object has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectMeta {
    /// Its namespace.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// When it was created: among rules for one host the oldest wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
}

impl ObjectMeta {
    /// What it goes by elsewhere.
    #[must_use]
    pub fn reference(&self) -> ObjectRef {
        ObjectRef::new(&self.namespace, &self.name)
    }

    /// Whether this is the object of that name.
    #[must_use]
    pub fn is(&self, object: &ObjectRef) -> bool {
        self.namespace == object.namespace && self.name == object.name
    }
}

impl fmt::Display for ObjectMeta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// An object as it was read, for patches and files that must not lose what is not modelled here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// `networking.istio.io/v1` and the like, as it was served.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// The whole `spec`, as JSON text.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub spec: Arc<str>,
    /// Its labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: Labels,
    /// Its annotations, but for kubectl's record of the last `apply`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Labels,
    /// Who owns it beside Kubernetes: an Argo CD or Flux application, a Helm release; empty where nobody does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub managed_by: String,
}

/// A `connectionPool` block. That there is one matters even where it sets no timeout: it replaces its parent's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionPool {
    /// `tcp.connectTimeout`.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_duration")]
    pub connect_timeout: Option<Duration>,
}

/// An element of `portLevelSettings`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PortPolicy {
    /// The service's port.
    pub port: u16,
    /// Its `connectionPool`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_pool: Option<ConnectionPool>,
}

/// A `trafficPolicy`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrafficPolicy {
    /// Its `connectionPool`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_pool: Option<ConnectionPool>,
    /// Its `portLevelSettings`; one that matches replaces the whole policy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub port_level: Vec<PortPolicy>,
}

/// A DestinationRule's subset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subset {
    /// Its name.
    pub name: String,
    /// Its policy, merged over the rule's block by block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic_policy: Option<TrafficPolicy>,
}

/// A DestinationRule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DestinationRule {
    /// Name, namespace, age.
    pub meta: ObjectMeta,
    /// As it was read.
    #[serde(default)]
    pub source: Source,
    /// The host it is for: a full name, a short one of its own namespace, or a wildcard.
    pub host: String,
    /// Namespaces that see it; empty for the mesh's default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub export_to: Vec<String>,
    /// The client workloads it is for, if not all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_selector: Option<Labels>,
    /// Its policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic_policy: Option<TrafficPolicy>,
    /// Its subsets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subsets: Vec<Subset>,
}

/// An `ingress` listener of a Sidecar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SidecarIngress {
    /// The workload's port.
    pub port: u16,
    /// Its `connectionPool`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_pool: Option<ConnectionPool>,
}

/// A Sidecar.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sidecar {
    /// Name, namespace, age.
    pub meta: ObjectMeta,
    /// As it was read.
    #[serde(default)]
    pub source: Source,
    /// The workloads it is for, if not all of its namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_selector: Option<Labels>,
    /// `inboundConnectionPool`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inbound_connection_pool: Option<ConnectionPool>,
    /// Its ingress listeners.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ingress: Vec<SidecarIngress>,
}

/// What an EnvoyFilter's patch does (`EnvoyFilter.Patch.Operation`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PatchOperation {
    /// Merged into each cluster that matches.
    #[default]
    Merge,
    /// Takes the cluster away.
    Remove,
    /// Adds a cluster of its own.
    Add,
    /// None of those: it does not touch clusters.
    Other,
}

/// Which proxies a patch is for (`EnvoyFilter.PatchContext`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PatchContext {
    /// All of them.
    #[default]
    Any,
    /// Inbound clusters of sidecars.
    SidecarInbound,
    /// Outbound clusters of sidecars.
    SidecarOutbound,
    /// Gateways.
    Gateway,
    /// Waypoints.
    Waypoint,
}

/// An EnvoyFilter's patch of clusters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClusterPatch {
    /// Its position in `configPatches`.
    pub index: usize,
    /// What it does.
    pub operation: PatchOperation,
    /// Where.
    #[serde(default)]
    pub context: PatchContext,
    /// `match.proxy.proxyVersion`, a regular expression.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub proxy_version: String,
    /// `match.proxy.metadata` is there: it can't be told from outside whether it matches.
    #[serde(default)]
    pub proxy_metadata: bool,
    /// `match.cluster.name`; it alone decides where it is set.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cluster_name: String,
    /// `match.cluster.service`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub service: String,
    /// `match.cluster.subset`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subset: String,
    /// `match.cluster.portNumber`; 0 for any.
    #[serde(default)]
    pub port: u32,
    /// `connect_timeout` in its value.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_duration")]
    pub connect_timeout: Option<Duration>,
    /// The key's spelling in its value, for a patch of the patch.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// Its value has a `transport_socket`: Istio then merges that, and nothing else of the value
    /// (`envoyfilter/cluster_patch.go`, `mergeTransportSocketCluster`).
    #[serde(default)]
    pub transport_socket: bool,
    /// The name of the cluster it adds.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub adds: String,
}

/// An EnvoyFilter with patches of clusters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvoyFilter {
    /// Name, namespace, age.
    pub meta: ObjectMeta,
    /// As it was read.
    #[serde(default)]
    pub source: Source,
    /// The workloads it is for, if not all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_selector: Option<Labels>,
    /// `targetRefs` is there: Istio never matches such a filter by workload (`getMatchedEnvoyFilters`).
    #[serde(default)]
    pub target_refs: bool,
    /// Filters apply in ascending order.
    #[serde(default)]
    pub priority: i32,
    /// Its patches of clusters, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patches: Vec<ClusterPatch>,
}

/// A port of a Service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServicePort {
    /// The service's port.
    pub port: u16,
    /// The workload's port where it is a number; `None` for a named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<u16>,
}

/// A Kubernetes Service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Name, namespace, age.
    pub meta: ObjectMeta,
    /// Its ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<ServicePort>,
}

/// A ServiceEntry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceEntry {
    /// Name, namespace, age.
    pub meta: ObjectMeta,
    /// Its hosts.
    pub hosts: Vec<String>,
}

/// Where a VirtualService's route leads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteDestination {
    /// The service's host, short or full.
    pub host: String,
    /// The service's port; 0 where the route does not say.
    #[serde(default)]
    pub port: u16,
    /// The subset; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subset: String,
}

/// An HTTP route of a VirtualService.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpRoute {
    /// Its name, or its position.
    pub name: String,
    /// `timeout`; zero or `None`: none.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_duration")]
    pub timeout: Option<Duration>,
    /// `retries.perTryTimeout`.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_duration")]
    pub per_try_timeout: Option<Duration>,
    /// `retries.attempts`; `None` where there is no `retries`, and Istio then retries twice
    /// (`route/retry/retry.go`, `DefaultPolicy`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// Where it leads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub destinations: Vec<RouteDestination>,
}

/// A VirtualService.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VirtualService {
    /// Name, namespace, age.
    pub meta: ObjectMeta,
    /// Namespaces that see it; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub export_to: Vec<String>,
    /// Its HTTP routes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub http: Vec<HttpRoute>,
}

/// Istio's mesh configuration, as one source gives it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MeshConfig {
    /// `connectTimeout`.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_duration")]
    pub connect_timeout: Option<Duration>,
    /// `defaultTrafficPolicy.connectionPool` (Istio 1.31 and later).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_connection_pool: Option<ConnectionPool>,
    /// `defaultConfig.connectTimeout`, which reaches no service cluster.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_duration")]
    pub default_config_connect_timeout: Option<Duration>,
    /// `rootNamespace`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_namespace: Option<String>,
    /// `outboundTrafficPolicy.mode`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outbound_traffic_policy: Option<String>,
    /// `defaultDestinationRuleExportTo`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_destination_rule_export_to: Option<Vec<String>>,
}

/// What kind of thing a mesh configuration was read from, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MeshConfigKind {
    /// The ConfigMap that istiod's `SHARED_MESH_CONFIG` names; it loses against the control plane's own.
    Shared,
    /// The control plane's own ConfigMap, `istio` or `istio-REVISION`, key `mesh`.
    Own,
    /// What istiod itself says it uses (`/debug/mesh`), defaults filled in.
    Effective,
}

/// One source of a control plane's mesh configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MeshConfigSource {
    /// What it is.
    pub kind: MeshConfigKind,
    /// The ConfigMap, or the pod that was asked.
    pub meta: ObjectMeta,
    /// What it says.
    #[serde(default)]
    pub config: MeshConfig,
    /// A ConfigMap's text as it was read; what changes it must keep the rest. Empty for what istiod says.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub text: Arc<str>,
    /// The ConfigMap's `metadata.resourceVersion`, so that a change of it can be refused where it is no longer as it was
    /// read; empty where it is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    /// Why it could not be understood. Istio ignores a source like that, or keeps its last state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Who wrote it.
    #[serde(default)]
    pub evidence: Evidence,
}

/// What of an object's metadata tells who put it there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// Its labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: Labels,
    /// Those of its annotations that name an installer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Labels,
    /// The `manager` of each of its managedFields.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub managers: Vec<String>,
    /// Its owners, as `Kind/name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<String>,
}

impl Evidence {
    /// Who owns the object and will write it again: a GitOps application, or a Helm release. Empty for nobody.
    #[must_use]
    pub fn owner(&self) -> String {
        let get = |key: &str| self.annotations.get(key).or_else(|| self.labels.get(key)).map(String::as_str);
        let with = |namespace: Option<&str>, name: &str| match namespace {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name.to_owned(),
        };
        if let Some(tracking) = get("argocd.argoproj.io/tracking-id") {
            return format!("Argo CD application {}", tracking.split(':').next().unwrap_or(tracking));
        }
        if let Some(name) = get("argocd.argoproj.io/instance") {
            return format!("Argo CD application {name}");
        }
        if let Some(name) = get("kustomize.toolkit.fluxcd.io/name") {
            return format!("Flux Kustomization {}", with(get("kustomize.toolkit.fluxcd.io/namespace"), name));
        }
        if let Some(name) = get("helm.toolkit.fluxcd.io/name") {
            return format!("Flux HelmRelease {}", with(get("helm.toolkit.fluxcd.io/namespace"), name));
        }
        match get("meta.helm.sh/release-name") {
            Some(name) => format!("Helm release {}", with(get("meta.helm.sh/release-namespace"), name)),
            None => String::new(),
        }
    }
}

/// The Deployment of a control plane.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Istiod {
    /// Name, namespace, age.
    pub meta: ObjectMeta,
    /// The image of its `discovery` container.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// `SHARED_MESH_CONFIG` of its environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_mesh_config: Option<String>,
    /// Who wrote it.
    #[serde(default)]
    pub evidence: Evidence,
}

/// One control plane: what proxies of one revision are configured by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ControlPlane {
    /// Its revision, `default` for the unnamed one.
    pub revision: String,
    /// Its namespace.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Istio's version, empty where unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Its Deployment, where it runs in this cluster and could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub istiod: Option<Istiod>,
    /// Its mesh configuration's sources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mesh: Vec<MeshConfigSource>,
    /// Its pods, and what they said of the proxies that are connected to them; `None` where pods could not be listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances: Option<Vec<Instance>>,
}

/// What a control plane's mesh configuration comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveMesh {
    /// The value for clusters that nothing else gives one.
    pub connect_timeout: Duration,
    /// `MeshConfig` or `MeshDefault`, with the source in its note.
    pub origin: Origin,
    /// `defaultTrafficPolicy.connectionPool`, where this version of Istio reads it.
    pub default_connection_pool: Option<ConnectionPool>,
    /// The namespace whose rules are for the whole mesh.
    pub root_namespace: String,
    /// Whether DestinationRules without `exportTo` stay in their namespace.
    pub rules_are_private: bool,
}

impl ControlPlane {
    /// The revision's name where there is none.
    pub const DEFAULT_REVISION: &'static str = "default";

    /// Its version's first two numbers.
    #[must_use]
    pub fn minor_version(&self) -> Option<(u32, u32)> {
        minor_version(&self.version)
    }

    /// The value that Istio has built in: 10 s, and 1 s up to 1.5 (`pkg/config/mesh/mesh.go`).
    #[must_use]
    pub fn built_in_connect_timeout(&self) -> Duration {
        match self.minor_version() {
            Some(version) if version < (1, 6) => Duration::from_secs(1),
            _ => Duration::from_secs(10),
        }
    }

    /// Puts the sources together in Istio's order: built-in values, the shared ConfigMap, the control plane's own
    /// (`pilot/pkg/bootstrap/mesh.go`). What istiod itself says beats them. `None` where no source could be read.
    #[must_use]
    pub fn effective(&self) -> Option<EffectiveMesh> {
        let mut sources: Vec<&MeshConfigSource> = self.mesh.iter().filter(|source| source.error.is_none()).collect();
        if sources.is_empty() {
            return None;
        }
        sources.sort_by_key(|source| source.kind);
        let last = |key: fn(&MeshConfig) -> bool| sources.iter().rev().find(|source| key(&source.config)).copied();
        let written = sources
            .iter()
            .rev()
            .filter(|source| source.kind != MeshConfigKind::Effective)
            .find(|source| source.config.connect_timeout.is_some());
        let running =
            last(|config| config.connect_timeout.is_some()).filter(|source| source.kind == MeshConfigKind::Effective);
        let built_in = self.built_in_connect_timeout();
        let (connect_timeout, origin) = match (running, written) {
            (Some(running), written) => {
                let value = running.config.connect_timeout.unwrap_or(built_in);
                let maps_read = sources.iter().any(|source| source.kind == MeshConfigKind::Own);
                let origin = match written {
                    Some(written) if written.config.connect_timeout == Some(value) => named(written),
                    // istiod holds another value than the ConfigMaps give: a file, or a change under way.
                    Some(_) => named(running),
                    None if maps_read && value == built_in => Origin::new(OriginKind::MeshDefault, true)
                        .with_note("the key is absent; Istio's built-in value"),
                    None => named(running),
                };
                (value, origin)
            }
            (None, Some(written)) => (written.config.connect_timeout.unwrap_or(built_in), named(written)),
            (None, None) => {
                let known = self.minor_version().is_some();
                let note = if known {
                    "the key is absent; Istio's built-in value"
                } else {
                    "the key is absent; Istio's built-in value (1.6 and later; the control plane's version is unknown)"
                };
                (built_in, Origin::new(OriginKind::MeshDefault, true).with_note(note))
            }
        };
        let pool = last(|config| config.default_connection_pool.is_some())
            .and_then(|source| source.config.default_connection_pool)
            .filter(|_| self.minor_version().is_none_or(|version| version >= (1, 31)));
        let root_namespace = last(|config| config.root_namespace.is_some())
            .and_then(|source| source.config.root_namespace.clone())
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| if self.namespace.is_empty() { "istio-system".into() } else { self.namespace.clone() });
        let rules_are_private = last(|config| config.default_destination_rule_export_to.is_some())
            .and_then(|source| source.config.default_destination_rule_export_to.as_ref())
            .is_some_and(|export_to| export_to.iter().any(|target| target == "."));
        Some(EffectiveMesh {
            connect_timeout,
            origin,
            default_connection_pool: pool,
            root_namespace,
            rules_are_private,
        })
    }
}

fn named(source: &MeshConfigSource) -> Origin {
    let object = source.meta.reference();
    let (source, note) = match source.kind {
        MeshConfigKind::Shared => (MeshSource::Shared(object), "shared mesh configuration"),
        MeshConfigKind::Own => (MeshSource::ConfigMap(object), ""),
        MeshConfigKind::Effective => (MeshSource::Istiod(object), "as istiod itself says"),
    };
    Origin::new(OriginKind::MeshConfig { source }, true).with_note(note)
}

/// The first two numbers of a version: `1.20.3-distroless` gives (1, 20).
#[must_use]
pub fn minor_version(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.trim_start_matches('v').split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// What can install a control plane, other than what its Deployment shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum InstallerKind {
    /// `install.istio.io` IstioOperator, read by the in-cluster operator (up to Istio 1.23).
    IstioOperator,
    /// `sailoperator.io` Istio (Sail operator, OpenShift Service Mesh 3).
    Istio,
    /// `maistra.io` ServiceMeshControlPlane (OpenShift Service Mesh 2).
    ServiceMeshControlPlane,
    /// `mesh.cloud.google.com` ControlPlaneRevision (managed Cloud Service Mesh).
    ControlPlaneRevision,
    /// `istio.alibabacloud.com` ASMMeshConfig (Alibaba Cloud Service Mesh).
    AsmMeshConfig,
}

/// An object that installs a control plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Installer {
    /// What it is.
    pub kind: InstallerKind,
    /// Its name and namespace.
    pub meta: ObjectMeta,
    /// The revision it installs; empty where it does not say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub revision: String,
    /// `apiVersion`, as served.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// Who wrote it.
    #[serde(default)]
    pub evidence: Evidence,
}

/// What one Kubernetes cluster says about Istio.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IstioObjects {
    /// The domain of Kubernetes services; empty for `cluster.local`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub domain: String,
    /// What was read of which kind; a kind that is not there was not.
    pub coverage: BTreeMap<ObjectKind, Coverage>,
    /// Objects that could not be understood, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
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
}

impl IstioObjects {
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

    /// The domain of Kubernetes services.
    #[must_use]
    pub fn domain(&self) -> &str {
        if self.domain.is_empty() { "cluster.local" } else { &self.domain }
    }

    /// The control plane of a revision. Where the proxy names none, or one that is a tag of the only control plane
    /// there is, that is it.
    #[must_use]
    pub fn control_plane(&self, revision: &str) -> Option<&ControlPlane> {
        let wanted = if revision.is_empty() { ControlPlane::DEFAULT_REVISION } else { revision };
        self.control_planes.iter().find(|plane| plane.revision == wanted).or(match self.control_planes.as_slice() {
            [only] => Some(only),
            _ => None,
        })
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(kind: MeshConfigKind, timeout: Option<u64>) -> MeshConfigSource {
        MeshConfigSource {
            kind,
            meta: ObjectMeta { namespace: "istio-system".into(), name: format!("{kind:?}"), created: None },
            config: MeshConfig { connect_timeout: timeout.map(Duration::from_secs), ..MeshConfig::default() },
            text: Arc::from(""),
            resource_version: String::new(),
            error: None,
            evidence: Evidence::default(),
        }
    }

    fn plane(version: &str, mesh: Vec<MeshConfigSource>) -> ControlPlane {
        ControlPlane { revision: "default".into(), version: version.into(), mesh, ..ControlPlane::default() }
    }

    #[test]
    fn merges_in_istios_order() {
        use MeshConfigKind::{Effective, Own, Shared};
        for (version, sources, expected, kind, name) in [
            ("1.20.0", vec![], None, "Unknown", ""),
            ("1.20.0", vec![source(Own, None)], Some(10), "MeshDefault", ""),
            ("1.5.10", vec![source(Own, None)], Some(1), "MeshDefault", ""),
            ("1.6.0", vec![source(Own, None)], Some(10), "MeshDefault", ""),
            ("1.20.0", vec![source(Own, Some(1))], Some(1), "MeshConfig", "Own"),
            ("1.20.0", vec![source(Own, Some(1)), source(Shared, Some(7))], Some(1), "MeshConfig", "Own"),
            ("1.20.0", vec![source(Own, None), source(Shared, Some(7))], Some(7), "MeshConfig", "Shared"),
            ("1.20.0", vec![source(Own, Some(1)), source(Effective, Some(1))], Some(1), "MeshConfig", "Own"),
            ("1.20.0", vec![source(Own, Some(1)), source(Effective, Some(4))], Some(4), "MeshConfig", "Effective"),
            ("1.20.0", vec![source(Own, None), source(Effective, Some(10))], Some(10), "MeshDefault", ""),
            ("1.20.0", vec![source(Effective, Some(10))], Some(10), "MeshConfig", "Effective"),
        ] {
            let effective = plane(version, sources).effective();
            assert_eq!(effective.as_ref().map(|mesh| mesh.connect_timeout.as_secs()), expected);
            if let Some(effective) = effective {
                let origin = effective.origin.kind;
                let object = origin.object().map_or("", |object| object.name.as_str());
                assert_eq!((origin.as_str(), object), (kind, name), "{version}");
            }
        }
    }

    #[test]
    fn a_source_that_is_broken_counts_for_nothing() {
        let mut broken = source(MeshConfigKind::Own, Some(1));
        broken.error = Some("line 3: not YAML".into());
        let mesh = plane("1.20.0", vec![broken, source(MeshConfigKind::Shared, Some(7))]).effective();
        assert_eq!(mesh.map(|mesh| mesh.connect_timeout.as_secs()), Some(7));
    }

    #[test]
    fn the_default_traffic_policy_counts_from_1_31() {
        for (version, counts) in [("1.30.2", false), ("1.31.0-rc.0", true), ("", true)] {
            let mut own = source(MeshConfigKind::Own, None);
            own.config.default_connection_pool = Some(ConnectionPool { connect_timeout: Some(Duration::from_secs(3)) });
            let mesh = plane(version, vec![own]).effective();
            assert_eq!(mesh.is_some_and(|mesh| mesh.default_connection_pool.is_some()), counts, "{version}");
        }
    }
}
