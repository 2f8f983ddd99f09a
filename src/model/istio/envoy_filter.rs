//! EnvoyFilters, as far as they patch clusters (`networking/v1alpha3/envoy_filter.proto`).

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Labels, ObjectMeta, Source};
use crate::model::duration::optional_duration;

/// What an EnvoyFilter's patch does (`EnvoyFilter.Patch.Operation`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PatchOperation {
    /// Merged into each cluster that matches.
    #[default]
    Merge,
    /// The same for a timeout; only lists are treated otherwise (Istio 1.31 and later).
    MergeAndReplaceList,
    /// Takes the cluster away.
    Remove,
    /// Adds a cluster of its own. `INSERT_*` means the same for clusters (`pilot/pkg/model/envoyfilter.go`).
    Add,
    /// None of those: it does not touch clusters.
    Other,
}

/// Which proxies a patch is for (`EnvoyFilter.PatchContext`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
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
    /// `match.proxy.metadata`: what the proxy's node metadata have to be.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub proxy_metadata: Labels,
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
    #[schemars(with = "Option<String>")]
    pub connect_timeout: Option<Duration>,
    /// The key's spelling in its value, for a patch of the patch.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// Its value has a `transport_socket`: Istio then merges that, and nothing else of the value
    /// (`envoyfilter/cluster_patch.go`, `mergeTransportSocketCluster`).
    #[serde(default)]
    pub transport_socket: bool,
    /// `name` in its value: of the cluster it adds, or what it renames a cluster to.
    #[serde(default, alias = "adds", skip_serializing_if = "String::is_empty")]
    pub names: String,
}

/// An element of `targetRefs` (`type/v1beta1/selector.proto`, `PolicyTargetReference`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetRef {
    /// The API group; empty for the core group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// The kind.
    #[serde(default)]
    pub kind: String,
    /// The object's name.
    #[serde(default)]
    pub name: String,
    /// The object's namespace, where it is not the reference's own.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The name of a port of it, for policies that can be for one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub section_name: String,
}

/// An EnvoyFilter with patches of clusters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
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
    /// `targetRefs`: the gateways it is for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub target_refs: Vec<TargetRef>,
    /// Filters apply in ascending order.
    #[serde(default)]
    pub priority: i32,
    /// Its patches of clusters, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patches: Vec<ClusterPatch>,
}
