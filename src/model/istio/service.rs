//! What hosts stand for: Services, ServiceEntries, and the Gateway API's policies for them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Labels, ObjectMeta, TargetRef};

/// A port of a Service or a ServiceEntry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServicePort {
    /// The service's port.
    pub port: u16,
    /// Its name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The workload's port where it is a number; `None` for a named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<u16>,
    /// The name of the container's port, for a named one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub target_name: String,
}

/// A Kubernetes Service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Name, namespace, age.
    pub meta: ObjectMeta,
    /// Its ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<ServicePort>,
    /// Which pods it stands for; empty for none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub selector: Labels,
    /// Namespaces that see it, from the annotation `networking.istio.io/exportTo`; empty for the mesh's default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub export_to: Vec<String>,
}

/// A ServiceEntry (`networking/v1alpha3/service_entry.proto`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceEntry {
    /// Name, namespace, age.
    pub meta: ObjectMeta,
    /// The label `istio.io/rev`, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Its hosts.
    pub hosts: Vec<String>,
    /// Its ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<ServicePort>,
    /// Which workloads it stands for, if it selects any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_selector: Option<Labels>,
    /// Namespaces that see it; empty for the mesh's default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub export_to: Vec<String>,
    /// Whether it is for something inside of the mesh (`location: MESH_INTERNAL`).
    #[serde(default)]
    pub internal: bool,
    /// Whether its `resolution` is `DYNAMIC_DNS` (Istio 1.30 and later).
    #[serde(default)]
    pub dynamic_dns: bool,
}

/// The kinds of Gateway API policies that istiod turns into DestinationRules
/// (`pilot/pkg/config/kube/gateway/backend_policies.go`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub enum BackendPolicyKind {
    /// `gateway.networking.k8s.io` BackendTLSPolicy.
    BackendTLSPolicy,
    /// `gateway.networking.x-k8s.io` XBackendTrafficPolicy.
    XBackendTrafficPolicy,
}

/// A Gateway API policy for backends. None of them sets a timeout, but the DestinationRule that istiod makes of it
/// hides others.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackendPolicy {
    /// What it is.
    pub kind: BackendPolicyKind,
    /// Name, namespace, age.
    pub meta: ObjectMeta,
    /// The label `istio.io/rev`, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The annotation `istio.io/ignore-policy-attachment` is `true`.
    #[serde(default)]
    pub ignored: bool,
    /// What it is for, in its own namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<TargetRef>,
}
