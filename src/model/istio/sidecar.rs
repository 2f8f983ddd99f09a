//! Sidecars (`networking/v1alpha3/sidecar.proto`).

use serde::{Deserialize, Serialize};

use super::{ConnectionPool, Labels, ObjectMeta, Source};

/// An `ingress` listener of a Sidecar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SidecarIngress {
    /// The workload's port.
    pub port: u16,
    /// Its `connectionPool`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_pool: Option<ConnectionPool>,
}

/// A Sidecar.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
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
    /// Hosts that its egress listeners import, as `namespace/host`; `None` where it has no egress listener, and all
    /// is imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress_hosts: Option<Vec<String>>,
    /// Its ingress listeners.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ingress: Vec<SidecarIngress>,
}
