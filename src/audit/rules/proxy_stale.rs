//! MA006.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::{Context, Finding, Rule, RuleInfo, Severity};
use crate::attribute::describe;
use crate::model::{ClusterKind, ClusterSet, ClusterSource, EnvoyCluster, format_duration};

/// A proxy that lags behind, or holds a cluster that did not come through.
pub(super) struct ProxyStale;

static INFO: RuleInfo = RuleInfo {
    code: "MA006",
    name: "proxy-stale",
    severity: Severity::Warning,
    page: include_str!("../../../docs/rules/MA006.md"),
};

impl Rule for ProxyStale {
    fn info(&self) -> &'static RuleInfo {
        &INFO
    }

    fn check(&self, context: &Context<'_>, report: &mut dyn FnMut(Finding)) {
        unfinished_clusters(context, report);
        outdated_proxies(context, report);
        lagging_proxies(context, report);
    }
}

/// Clusters whose last update was rejected, or which still wait for their endpoints.
fn unfinished_clusters(context: &Context<'_>, report: &mut dyn FnMut(Finding)) {
    for (position, cluster) in (0u32..).zip(&context.snapshot.clusters) {
        let (message, remedy) = match (&cluster.error, cluster.source) {
            (Some(error), _) => (
                format!("its last update was rejected: {error}"),
                "mend what the message names; until then the proxy keeps the older cluster",
            ),
            (None, ClusterSource::Warming) => (
                "it is warming: an update has come, but its endpoints have not, so the older cluster is in use"
                    .to_owned(),
                "see whether the proxy gets its endpoints (`istioctl proxy-status`)",
            ),
            (None, _) => continue,
        };
        let proxies = holders(context, position);
        if !proxies.is_empty() {
            report(finding(cluster, cluster.connect_timeout, proxies, message, remedy));
        }
    }
}

fn holders(context: &Context<'_>, position: u32) -> ClusterSet {
    let proxies = (0u32..).zip(&context.snapshot.proxies);
    proxies.filter(|(_, read)| read.clusters.contains(position)).map(|(proxy, _)| proxy).collect()
}

/// Proxies whose mesh value is another than that of their control plane's configuration.
fn outdated_proxies(context: &Context<'_>, report: &mut dyn FnMut(Finding)) {
    let mut outdated: BTreeMap<(Duration, Duration, String), ClusterSet> = BTreeMap::new();
    for class in context.attributor.classes().iter().filter(|class| class.lags()) {
        if let (Some(told), Some(mesh)) = (class.told(), context.attributor.mesh_value(class)) {
            let key = (told, mesh.connect_timeout, describe(&mesh.origin));
            outdated.entry(key).or_default().extend(&class.proxies);
        }
    }
    for ((told, mesh, source), proxies) in outdated {
        report(Finding {
            rule: &INFO,
            severity: INFO.severity,
            message: format!(
                "it holds {} for the mesh's value, and {source} says {}",
                format_duration(told),
                format_duration(mesh)
            ),
            cluster: Arc::from(""),
            timeout: Some(told),
            proxies: Arc::new(proxies),
            origin: None,
            remedy:
                "`kubectl meshaudit verify` tells whether the change is only under way; else see whether the proxy \
                     is connected to its control plane (`istioctl proxy-status`), or restart it"
                    .to_owned(),
        });
    }
}

/// Proxies whose mesh value is another than that of most proxies of their control plane, where its configuration
/// could not be read.
fn lagging_proxies(context: &Context<'_>, report: &mut dyn FnMut(Finding)) {
    let mut planes: BTreeMap<(&str, &str), BTreeMap<Duration, ClusterSet>> = BTreeMap::new();
    let mut black_hole = None;
    for (position, cluster) in (0u32..).zip(&context.snapshot.clusters) {
        if cluster.kind() == ClusterKind::BlackHole && cluster.source == ClusterSource::Active {
            black_hole = Some(cluster);
            let unread = holders(context, position);
            let unread = unread
                .iter()
                .filter(|&proxy| context.attributor.mesh_value(context.attributor.class_of(proxy as usize)).is_none());
            for proxy in unread {
                let values = planes.entry(context.control_plane(proxy)).or_default();
                values.entry(cluster.effective_timeout()).or_default().insert(proxy);
            }
        }
    }
    for values in planes.into_values() {
        let total: usize = values.values().map(ClusterSet::len).sum();
        let Some((mesh, most)) = values.iter().max_by_key(|(_, proxies)| proxies.len()) else { continue };
        if most.len() * 2 <= total {
            continue;
        }
        for (value, proxies) in values.iter().filter(|(value, _)| *value != mesh) {
            let message = format!(
                "it holds {} for the mesh's value, and {} of {total} proxies of its control plane hold {}",
                format_duration(*value),
                most.len(),
                format_duration(*mesh),
            );
            let remedy = "see whether it is connected to its control plane (`istioctl proxy-status`), or restart it";
            if let Some(cluster) = black_hole {
                report(finding(cluster, Some(*value), proxies.clone(), message, remedy));
            }
        }
    }
}

fn finding(
    cluster: &EnvoyCluster,
    timeout: Option<Duration>,
    proxies: ClusterSet,
    message: String,
    remedy: &str,
) -> Finding {
    // BlackHoleCluster only tells what the proxy holds; it is the proxy that is to be looked at.
    let cluster = if cluster.kind() == ClusterKind::BlackHole { Arc::from("") } else { Arc::clone(&cluster.name) };
    Finding {
        rule: &INFO,
        severity: INFO.severity,
        message,
        cluster,
        timeout,
        proxies: Arc::new(proxies),
        origin: None,
        remedy: remedy.to_owned(),
    }
}
