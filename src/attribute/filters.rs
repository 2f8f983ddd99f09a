//! What EnvoyFilters do to a cluster, last of all (`pilot/pkg/networking/core/envoyfilter/cluster_patch.go`;
//! `pilot/pkg/model/push_context.go`, `EnvoyFilters`; `pilot/pkg/model/policyattachment.go`, `ShouldAttachPolicy`).

use std::collections::HashMap;

use regex::Regex;

use super::behaviour::Behaviour;
use super::selection::{Selected, WorkloadLabels};
use crate::model::istio::{ClusterPatch, EnvoyFilter, PatchContext, PatchOperation, TargetRef};
use crate::model::{ClusterName, Direction, EnvoyCluster, Proxy, ProxyRole, TUNNELS};

/// Whether a patch is for a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    /// It is.
    Yes,
    /// It may be: the condition can't be judged from outside.
    Perhaps(&'static str),
    /// It is not.
    No,
}

/// An EnvoyFilter of a proxy.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attached<'a> {
    /// The filter.
    pub(super) filter: &'a EnvoyFilter,
    /// Whether it is for the proxy for certain: it may select by a label that istiod adds and that is not known.
    pub(super) certain: bool,
}

/// The label of a gateway's proxies that names their Gateway.
const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";
/// The class of gateways that are waypoints.
const WAYPOINT_CLASS: &str = "istio-waypoint";
/// Istio compiles no longer patterns than this, and such a patch matches nothing (`maxProxyVersionLen`).
const MAX_PATTERN: usize = 1024;

/// The EnvoyFilters of a control plane, in the order in which they apply.
#[derive(Debug, Default)]
pub(super) struct Filters<'a> {
    by_namespace: HashMap<&'a str, Vec<(usize, &'a EnvoyFilter)>>,
    versions: HashMap<&'a str, Option<Regex>>,
}

impl<'a> Filters<'a> {
    pub(super) fn new(filters: impl Iterator<Item = &'a EnvoyFilter>, root: &str, behaviour: &Behaviour) -> Self {
        let mut order: Vec<&EnvoyFilter> = filters.collect();
        order.sort_by_cached_key(|filter| {
            let meta = &filter.meta;
            let root = meta.namespace != root;
            let first = behaviour.root_filters_first && root;
            (first, filter.priority, root, meta.created, format!("{}.{}", meta.name, meta.namespace))
        });
        let versions = order
            .iter()
            .flat_map(|filter| &filter.patches)
            .filter(|patch| !patch.proxy_version.is_empty())
            .map(|patch| (patch.proxy_version.as_str(), Regex::new(&patch.proxy_version).ok()))
            .collect();
        let mut by_namespace: HashMap<&str, Vec<(usize, &EnvoyFilter)>> = HashMap::new();
        for (position, filter) in order.into_iter().enumerate() {
            by_namespace.entry(&filter.meta.namespace).or_default().push((position, filter));
        }
        Self { by_namespace, versions }
    }

    /// The filters of a proxy: those of the root namespace and of its own that are for it.
    pub(super) fn of_proxy(
        &self,
        proxy: &Proxy,
        labels: &WorkloadLabels<'_>,
        root: &str,
        behaviour: &Behaviour,
    ) -> Vec<Attached<'a>> {
        let own = proxy.id.namespace.as_str();
        let namespaces = if own == root { vec![own] } else { vec![root, own] };
        let mut found: Vec<(usize, Attached<'a>)> = namespaces
            .into_iter()
            .flat_map(|namespace| self.by_namespace.get(namespace).into_iter().flatten())
            .filter_map(|&(position, filter)| {
                let certain = match attaches(filter, proxy, labels, root, behaviour) {
                    Selected::Yes => true,
                    Selected::Perhaps => false,
                    Selected::No => return None,
                };
                Some((position, Attached { filter, certain }))
            })
            .collect();
        found.sort_by_key(|(position, _)| *position);
        found.into_iter().map(|(_, attached)| attached).collect()
    }

    /// Whether a patch is for this cluster of a proxy, by everything but its context. `hosts` are those that an inbound
    /// cluster stands for.
    pub(super) fn matches(&self, patch: &ClusterPatch, cluster: &EnvoyCluster, proxy: &Proxy, hosts: &[&str]) -> Match {
        if !matches_cluster(patch, cluster, hosts) {
            return Match::No;
        }
        self.matches_proxy(patch, proxy)
    }

    /// Whether a patch is for a proxy: its version, its node's metadata.
    pub(super) fn matches_proxy(&self, patch: &ClusterPatch, proxy: &Proxy) -> Match {
        let version = &proxy.istio_version;
        if !patch.proxy_version.is_empty() {
            match self.versions.get(patch.proxy_version.as_str()) {
                _ if patch.proxy_version.len() > MAX_PATTERN => return Match::No,
                Some(Some(pattern)) if !version.is_empty() => {
                    if !pattern.is_match(version) {
                        return Match::No;
                    }
                }
                Some(Some(_)) => return Match::Perhaps("it matches proxies by a version, and this one's is unknown"),
                _ => return Match::Perhaps("its proxyVersion is no regular expression that can be judged here"),
            }
        }
        if !patch.proxy_metadata.is_empty() {
            return Match::Perhaps("it matches proxies by their metadata, which can't be judged from outside");
        }
        Match::Yes
    }
}

/// Whether a filter of the root namespace or the proxy's own is for a proxy.
fn attaches(
    filter: &EnvoyFilter,
    proxy: &Proxy,
    labels: &WorkloadLabels<'_>,
    root: &str,
    behaviour: &Behaviour,
) -> Selected {
    let selected = || filter.workload_selector.as_ref().map_or(Selected::Yes, |selector| labels.selected(selector));
    if !behaviour.target_refs {
        return selected();
    }
    let gateway = proxy.labels.get(GATEWAY_NAME);
    let waypoint = proxy.role == ProxyRole::Waypoint;
    match (gateway, filter.target_refs.as_slice()) {
        (None, []) => selected(),
        (None, _) => Selected::No,
        (Some(_), []) if waypoint || !behaviour.selectors_for_gateways => Selected::No,
        (Some(_), []) => selected(),
        (Some(gateway), refs) => {
            let namespace = filter.meta.namespace.as_str();
            let is_for = |target: &TargetRef| {
                if target.group != "gateway.networking.k8s.io" {
                    return false;
                }
                let class = target.kind == "GatewayClass" && target.name == WAYPOINT_CLASS;
                let own = namespace == proxy.id.namespace
                    && (target.namespace.is_empty() || target.namespace == proxy.id.namespace);
                (class && waypoint && namespace == root) || (own && target.kind == "Gateway" && target.name == *gateway)
            };
            if refs.iter().any(is_for) { Selected::Yes } else { Selected::No }
        }
    }
}

/// Whether a merge of this kind is known to the control plane.
pub(super) fn merges(patch: &ClusterPatch, behaviour: &Behaviour) -> bool {
    match patch.operation {
        PatchOperation::Merge => true,
        PatchOperation::MergeAndReplaceList => behaviour.replace_list,
        PatchOperation::Remove | PatchOperation::Add | PatchOperation::Other => false,
    }
}

/// In which context a proxy's cluster is patched; `None` where no patch reaches it
/// (`pilot/pkg/networking/core/cluster.go`, `buildClusters`).
pub(super) fn context_of(cluster: &EnvoyCluster, role: ProxyRole) -> Option<PatchContext> {
    let name = &*cluster.name;
    if TUNNELS.contains(&name) || matches!(name, "main_internal" | "encap" | "inner_connect_originate" | "sds-external")
    {
        return None;
    }
    let inbound = match cluster.parts().map(|name| name.direction) {
        Some(direction) => direction != Direction::Outbound,
        None => name.starts_with("Inbound"),
    };
    match role {
        ProxyRole::Gateway => Some(PatchContext::Gateway),
        // A waypoint's clusters for what is behind it are not patched, and the others as a sidecar's.
        ProxyRole::Waypoint if inbound || name == "BlackHoleCluster" => None,
        ProxyRole::Waypoint => Some(PatchContext::SidecarOutbound),
        ProxyRole::Sidecar if inbound => Some(PatchContext::SidecarInbound),
        ProxyRole::Sidecar => Some(PatchContext::SidecarOutbound),
    }
}

/// Whether a patch is for clusters of a context.
pub(super) fn in_context(patch: &ClusterPatch, context: PatchContext) -> bool {
    patch.context == PatchContext::Any || patch.context == context
}

/// Whether a patch adds its cluster in a context: one for any context does so for sidecars' outbound side and gateways
/// (`InsertedClusters`).
pub(super) fn adds_in(patch: &ClusterPatch, context: PatchContext) -> bool {
    patch.operation == PatchOperation::Add
        && match patch.context {
            PatchContext::Any => matches!(context, PatchContext::SidecarOutbound | PatchContext::Gateway),
            own => own == context,
        }
}

fn matches_cluster(patch: &ClusterPatch, cluster: &EnvoyCluster, hosts: &[&str]) -> bool {
    if !patch.cluster_name.is_empty() {
        return patch.cluster_name == *cluster.name;
    }
    let none = ClusterName { direction: Direction::Outbound, port: 0, subset: "", host: "" };
    let name = cluster.parts().unwrap_or(none);
    let is_of = |service: &str| match name.direction {
        Direction::Inbound if !hosts.is_empty() => hosts.contains(&service),
        _ => name.host == service,
    };
    (patch.subset.is_empty() || patch.subset == name.subset)
        && (patch.service.is_empty() || is_of(&patch.service))
        && (patch.port == 0 || patch.port == u32::from(name.port))
}
