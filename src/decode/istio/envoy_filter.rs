//! EnvoyFilters, as far as they patch clusters (`pilot/pkg/model/envoyfilter.go`, `convertToEnvoyFilterWrapper`).

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

use super::duration::duration;
use super::meta::{RawLabels, RawObject};
use crate::model::istio::{
    ClusterPatch, EnvoyFilter, Labels, ObjectMeta, PatchContext, PatchOperation, Source, TargetRef,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFilter<'a> {
    #[serde(alias = "workload_selector")]
    workload_selector: Option<RawLabels>,
    #[serde(alias = "target_refs")]
    target_refs: Option<Vec<RawTargetRef>>,
    #[serde(default)]
    priority: i32,
    #[serde(borrow, alias = "config_patches")]
    config_patches: Option<Vec<&'a RawValue>>,
}

/// An element of `targetRefs`, of Istio's and of the Gateway API's policies alike.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawTargetRef {
    group: Option<String>,
    kind: Option<String>,
    name: Option<String>,
    namespace: Option<String>,
    #[serde(alias = "section_name")]
    section_name: Option<String>,
}

impl From<RawTargetRef> for TargetRef {
    fn from(raw: RawTargetRef) -> Self {
        Self {
            group: raw.group.unwrap_or_default(),
            kind: raw.kind.unwrap_or_default(),
            name: raw.name.unwrap_or_default(),
            namespace: raw.namespace.unwrap_or_default(),
            section_name: raw.section_name.unwrap_or_default(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPatch {
    #[serde(default, alias = "apply_to")]
    apply_to: String,
    r#match: Option<RawMatch>,
    patch: Option<RawPatchBody>,
}

#[derive(Default, Deserialize)]
struct RawMatch {
    context: Option<String>,
    proxy: Option<RawProxyMatch>,
    cluster: Option<RawClusterMatch>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawProxyMatch {
    #[serde(alias = "proxy_version")]
    proxy_version: Option<String>,
    metadata: Option<Labels>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawClusterMatch {
    name: Option<String>,
    service: Option<String>,
    subset: Option<String>,
    #[serde(alias = "port_number")]
    port_number: Option<u32>,
}

#[derive(Deserialize)]
struct RawPatchBody {
    #[serde(default)]
    operation: String,
    value: Option<RawPatchValue>,
}

#[derive(Deserialize)]
struct RawPatchValue {
    name: Option<String>,
    #[serde(default, deserialize_with = "duration")]
    connect_timeout: Option<Duration>,
    #[serde(default, rename = "connectTimeout", deserialize_with = "duration")]
    connect_timeout_camel: Option<Duration>,
    #[serde(alias = "transportSocket")]
    transport_socket: Option<IgnoredAny>,
}

pub(super) fn envoy_filter(raw: &RawObject<'_>, meta: ObjectMeta) -> Result<Option<EnvoyFilter>, String> {
    let spec: RawFilter<'_> = raw.borrowed_spec()?;
    let mut patches = Vec::new();
    for (index, patch) in spec.config_patches.into_iter().flatten().enumerate() {
        // A patch that Istio cannot build either is left out, and the others count.
        if let Ok(patch) = serde_json::from_str::<RawPatch>(patch.get()) {
            patches.extend(cluster_patch(index, patch));
        }
    }
    if patches.is_empty() {
        return Ok(None);
    }
    let mut source = raw.source();
    // What sets no timeout, and could set none, need not be kept whole.
    let could = |patch: &ClusterPatch| patch.connect_timeout.is_some() || patch.operation == PatchOperation::Add;
    if !patches.iter().any(could) {
        source.spec = Arc::from("");
    }
    leave_out_values(&mut source);
    Ok(Some(EnvoyFilter {
        meta,
        source,
        workload_selector: spec.workload_selector.map(|selector| selector.labels.unwrap_or_default()),
        target_refs: spec.target_refs.into_iter().flatten().map(Into::into).collect(),
        priority: spec.priority,
        patches,
    }))
}

/// Leaves out what the patches of a filter set, but for what is read here: the rest may hold credentials, such as a
/// header that a filter of HTTP adds, or the key of a plugin.
fn leave_out_values(source: &mut Source) {
    const NAMED: [&str; 3] = ["name", "connect_timeout", "connectTimeout"];
    const SOCKET: [&str; 2] = ["transport_socket", "transportSocket"];
    let Ok(whole) = serde_json::from_str::<Value>(&source.spec) else { return };
    let (mut spec, nothing) = (whole.clone(), || Value::Object(serde_json::Map::new()));
    let lists = spec.as_object_mut().into_iter().flatten();
    let lists = lists.filter(|(name, _)| matches!(name.as_str(), "configPatches" | "config_patches"));
    for patch in lists.filter_map(|(_, list)| list.as_array_mut()).flatten() {
        let of_clusters = ["applyTo", "apply_to"].iter().any(|name| patch[*name] == "CLUSTER");
        let Some(value) = patch.get_mut("patch").and_then(|patch| patch.get_mut("value")) else { continue };
        match value.as_object_mut().filter(|_| of_clusters) {
            Some(fields) => {
                fields.retain(|name, _| NAMED.contains(&name.as_str()) || SOCKET.contains(&name.as_str()));
                let sockets = fields.iter_mut().filter(|(name, _)| SOCKET.contains(&name.as_str()));
                sockets.for_each(|(_, socket)| *socket = nothing());
            }
            None => *value = nothing(),
        }
    }
    if spec != whole {
        source.partial = true;
        source.spec = spec.to_string().into();
    }
}

fn cluster_patch(index: usize, patch: RawPatch) -> Option<ClusterPatch> {
    let body = patch.patch.filter(|_| patch.apply_to == "CLUSTER")?;
    let found = patch.r#match.unwrap_or_default();
    let proxy = found.proxy.unwrap_or_default();
    let cluster = found.cluster.unwrap_or_default();
    let value = body.value;
    // Where a value has both, protobuf's decoder takes the JSON name.
    let snake = value.as_ref().and_then(|value| value.connect_timeout);
    let camel = value.as_ref().and_then(|value| value.connect_timeout_camel);
    Some(ClusterPatch {
        index,
        operation: match body.operation.as_str() {
            "MERGE" => PatchOperation::Merge,
            "MERGE_AND_REPLACE_LIST" => PatchOperation::MergeAndReplaceList,
            "REMOVE" => PatchOperation::Remove,
            "ADD" | "INSERT_FIRST" | "INSERT_BEFORE" | "INSERT_AFTER" => PatchOperation::Add,
            _ => PatchOperation::Other,
        },
        context: match found.context.as_deref() {
            Some("SIDECAR_INBOUND") => PatchContext::SidecarInbound,
            Some("SIDECAR_OUTBOUND") => PatchContext::SidecarOutbound,
            Some("GATEWAY") => PatchContext::Gateway,
            Some("WAYPOINT") => PatchContext::Waypoint,
            _ => PatchContext::Any,
        },
        proxy_version: proxy.proxy_version.unwrap_or_default(),
        proxy_metadata: proxy.metadata.unwrap_or_default(),
        cluster_name: cluster.name.unwrap_or_default(),
        service: cluster.service.unwrap_or_default(),
        subset: cluster.subset.unwrap_or_default(),
        port: cluster.port_number.unwrap_or_default(),
        connect_timeout: camel.or(snake),
        key: if camel.is_some() { "connectTimeout" } else { "connect_timeout" }.to_owned(),
        transport_socket: value.as_ref().is_some_and(|value| value.transport_socket.is_some()),
        names: value.and_then(|value| value.name).unwrap_or_default(),
    })
}
