//! DestinationRules (`networking/v1alpha3/destination_rule.proto`).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Labels, ObjectMeta, Source};
use crate::model::duration::optional_duration;

/// A `connectionPool` block. That there is one matters even where it sets no timeout: it replaces its parent's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionPool {
    /// `tcp.connectTimeout`.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_duration")]
    #[schemars(with = "Option<String>")]
    pub connect_timeout: Option<Duration>,
}

/// An element of `portLevelSettings`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PortPolicy {
    /// The service's port.
    pub port: u16,
    /// Its `connectionPool`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_pool: Option<ConnectionPool>,
}

/// A `trafficPolicy`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Subset {
    /// Its name.
    pub name: String,
    /// Its policy, merged over the rule's block by block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic_policy: Option<TrafficPolicy>,
}

/// A DestinationRule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
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
    /// Of a rule that istiod makes out of Gateway API policies, which those are, as `Kind namespace/name`; such a rule
    /// is in no API server.
    #[serde(skip)]
    pub made_of: Option<String>,
}
