//! What EnvoyFilters do to a cluster, last of all (`pilot/pkg/networking/core/envoyfilter/cluster_patch.go`;
//! `push_context.go`, `EnvoyFilters`).

use std::collections::HashMap;

use regex::Regex;

use super::rules::selects;
use crate::model::objects::{ClusterPatch, EnvoyFilter, Labels, PatchContext};
use crate::model::{ClusterName, Direction, EnvoyCluster, ProxyRole};

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

/// The EnvoyFilters of a mesh, in the order in which they apply.
#[derive(Debug, Default)]
pub(super) struct Filters<'a> {
    filters: Vec<&'a EnvoyFilter>,
    versions: HashMap<&'a str, Option<Regex>>,
}

impl<'a> Filters<'a> {
    pub(super) fn new(filters: &'a [EnvoyFilter], root: &str) -> Self {
        let mut order: Vec<&EnvoyFilter> = filters.iter().filter(|filter| filter.target_refs.is_empty()).collect();
        order.sort_by_cached_key(|filter| {
            let meta = &filter.meta;
            (filter.priority, meta.namespace != root, meta.created, format!("{}.{}", meta.name, meta.namespace))
        });
        let versions = order
            .iter()
            .flat_map(|filter| &filter.patches)
            .filter(|patch| !patch.proxy_version.is_empty())
            .map(|patch| (patch.proxy_version.as_str(), Regex::new(&patch.proxy_version).ok()))
            .collect();
        Self { filters: order, versions }
    }

    /// The filters of a proxy: those of the root namespace and of its own that select it.
    pub(super) fn of_proxy(&self, namespace: &str, root: &str, labels: &Labels) -> Vec<&'a EnvoyFilter> {
        self.filters
            .iter()
            .copied()
            .filter(|filter| [root, namespace].contains(&filter.meta.namespace.as_str()))
            .filter(|filter| filter.workload_selector.as_ref().is_none_or(|selector| selects(selector, labels)))
            .collect()
    }

    /// Whether a patch is for this cluster of a proxy. `services` are the hosts that an inbound cluster stands for.
    pub(super) fn matches(
        &self,
        patch: &ClusterPatch,
        cluster: &EnvoyCluster,
        role: ProxyRole,
        version: &str,
        services: &[&str],
    ) -> Match {
        let direction = cluster.parts().map(|name| name.direction);
        let inbound = match direction {
            Some(direction) => direction != Direction::Outbound,
            None => cluster.name.starts_with("Inbound"),
        };
        let context = match role {
            ProxyRole::Gateway => PatchContext::Gateway,
            ProxyRole::Waypoint if inbound => return Match::No,
            ProxyRole::Waypoint => PatchContext::Waypoint,
            ProxyRole::Sidecar if inbound => PatchContext::SidecarInbound,
            ProxyRole::Sidecar => PatchContext::SidecarOutbound,
        };
        if patch.context != PatchContext::Any && patch.context != context {
            return Match::No;
        }
        if !matches_cluster(patch, cluster, services) {
            return Match::No;
        }
        if !patch.proxy_version.is_empty() {
            match self.versions.get(patch.proxy_version.as_str()) {
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

fn matches_cluster(patch: &ClusterPatch, cluster: &EnvoyCluster, services: &[&str]) -> bool {
    if !patch.cluster_name.is_empty() {
        return patch.cluster_name == *cluster.name;
    }
    let none = ClusterName { direction: Direction::Outbound, port: 0, subset: "", host: "" };
    let name = cluster.parts().unwrap_or(none);
    let is_of = |service: &str| match name.direction {
        Direction::Inbound if !services.is_empty() => services.contains(&service),
        _ => name.host == service,
    };
    (patch.subset.is_empty() || patch.subset == name.subset)
        && (patch.service.is_empty() || is_of(&patch.service))
        && (patch.port == 0 || patch.port == u32::from(name.port))
}
