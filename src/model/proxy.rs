//! A proxy: one Envoy, in a pod or behind an input.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Names a proxy. Its text form is `namespace/pod`, `context/namespace/pod` when an audit spans several clusters, or
/// the input's name for a dump that says nothing of its pod.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ProxyId {
    /// The kubeconfig context, only when several are audited at once.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub context: String,
    /// The pod's namespace; empty for an input that does not say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The pod's name, or the input's.
    pub name: String,
}

impl ProxyId {
    /// A pod of the only cluster.
    #[must_use]
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { context: String::new(), namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ProxyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in [&self.context, &self.namespace] {
            if !part.is_empty() {
                write!(f, "{part}/")?;
            }
        }
        f.write_str(&self.name)
    }
}

/// What the proxy is there for: the word after `proxy` in pilot-agent's arguments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProxyRole {
    /// Beside an application (`proxy sidecar`), as a container or as a native sidecar.
    #[default]
    Sidecar,
    /// An ingress or egress gateway (`proxy router`).
    Gateway,
    /// An ambient mesh's waypoint (`proxy waypoint`).
    Waypoint,
}

/// Log levels that a proxy was started with, from pilot-agent's arguments and the pod's annotations.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StartupLogLevels {
    /// `--proxyLogLevel`, or the annotation `sidecar.istio.io/logLevel`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
    /// `--proxyComponentLogLevel`, or the annotation `sidecar.istio.io/componentLogLevel`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub components: Option<String>,
}

/// A proxy as its pod describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Proxy {
    /// Its name.
    pub id: ProxyId,
    /// What it is there for.
    #[serde(default)]
    pub role: ProxyRole,
    /// The revision of its control plane (annotation or label `istio.io/rev`); empty where unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub revision: String,
    /// Istio's version, from the image's tag or the node's metadata; empty where unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub istio_version: String,
    /// The pod's labels, which `workloadSelector`s match.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Ports of the pod's containers that have a name, which a Service's `targetPort` may be.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ports: BTreeMap<String, u16>,
    /// The node that the pod runs on; empty where unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub node: String,
    /// The cluster's name in the mesh (`ISTIO_META_CLUSTER_ID`); empty where the proxy does not say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cluster_id: String,
    /// The network that the pod is in (`ISTIO_META_NETWORK`); empty where the proxy does not say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub network: String,
    /// The admin endpoint's port in the pod.
    #[serde(default = "default_admin_port")]
    pub admin_port: u16,
    /// The container that runs Envoy, whose log is the proxy's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub container: String,
    /// The pod's UID; a replaced pod has another.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// How often the proxy's container was restarted.
    #[serde(default)]
    pub restart_count: u32,
    /// Log levels it was started with.
    #[serde(default)]
    pub startup_log_levels: StartupLogLevels,
    /// What `debug-log` of this user has set and not put back yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub debug_lease: Option<LeaseTimes>,
}

/// When `debug-log` set levels, and when they are to be put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeaseTimes {
    /// When they were set.
    pub taken_at: Timestamp,
    /// When they are to be put back, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl Proxy {
    /// Envoy's admin port in Istio's mesh (`pkg/config/mesh/mesh.go`).
    pub const ADMIN_PORT: u16 = 15000;

    /// A proxy of which only the name is known.
    #[must_use]
    pub fn named(id: ProxyId) -> Self {
        Self {
            id,
            role: ProxyRole::default(),
            revision: String::new(),
            istio_version: String::new(),
            labels: BTreeMap::new(),
            ports: BTreeMap::new(),
            node: String::new(),
            cluster_id: String::new(),
            network: String::new(),
            admin_port: Self::ADMIN_PORT,
            container: String::new(),
            uid: String::new(),
            restart_count: 0,
            startup_log_levels: StartupLogLevels::default(),
            debug_lease: None,
        }
    }
}

fn default_admin_port() -> u16 {
    Proxy::ADMIN_PORT
}

/// The level of each of Envoy's loggers, as `POST /logging` lists them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct LoggerLevels(pub BTreeMap<Arc<str>, Arc<str>>);

impl LoggerLevels {
    /// The loggers at `debug` or `trace`, with their level.
    pub fn verbose(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, level)| (&**name, &**level)).filter(|(_, level)| matches!(*level, "debug" | "trace"))
    }
}
