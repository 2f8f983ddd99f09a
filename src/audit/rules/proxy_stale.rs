//! MA006.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::{Action, Context, Finding, Rule, RuleInfo, Severity, Subject};
use crate::attribute::describe;
use crate::model::{ClusterKind, ClusterSet, ClusterSource, format_duration};

/// A proxy that lags behind, or holds a cluster that did not come through.
pub(super) struct ProxyStale;

static INFO: RuleInfo = RuleInfo {
    code: "MA006",
    name: "proxy-stale",
    severity: Severity::Warning,
    observed: false,
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
            let subject = Subject::Cluster {
                cluster: Arc::clone(&cluster.name),
                timeout: cluster.connect_timeout,
                proxies: Arc::new(proxies),
            };
            report(finding(subject, message, remedy));
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
        let message = format!(
            "it holds {} for the mesh's value, and {source} says {}",
            format_duration(told),
            format_duration(mesh)
        );
        let remedy = "`kubectl meshaudit verify` tells whether the change is only under way; else see whether the \
                      proxy is connected to its control plane (`istioctl proxy-status`), or restart it";
        report(finding(Subject::Proxies { proxies: Arc::new(proxies), held: Some(told) }, message, remedy));
    }
}

/// Proxies whose mesh value is another than that of most proxies of their control plane, where its configuration
/// could not be read.
fn lagging_proxies(context: &Context<'_>, report: &mut dyn FnMut(Finding)) {
    let mut planes: BTreeMap<(&str, &str), BTreeMap<Duration, ClusterSet>> = BTreeMap::new();
    for (position, cluster) in (0u32..).zip(&context.snapshot.clusters) {
        if cluster.kind() == ClusterKind::BlackHole && cluster.source == ClusterSource::Active {
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
            let subject = Subject::Proxies { proxies: Arc::new(proxies.clone()), held: Some(*value) };
            report(finding(subject, message, remedy));
        }
    }
}

fn finding(subject: Subject, message: String, remedy: &str) -> Finding {
    let action = Action::Deliver(remedy.to_owned());
    Finding { rule: &INFO, severity: INFO.severity, subject, message, action }
}
