//! Which proxies of files are meant: targets, `-n`, `-l` and `--revision` with `--from`.

use std::collections::BTreeSet;

use super::failure::Failure;
use crate::k8s::{PodSelection, Target, WorkloadKind, revision_of};
use crate::model::{LabelSelector, MeshSnapshot, Proxy, ProxyId};

/// A selection that is made without a cluster.
#[derive(Debug)]
pub(super) struct Chosen {
    targets: Vec<Target>,
    namespace: Option<String>,
    labels: LabelSelector,
    revision: Option<String>,
}

impl Chosen {
    /// What a selection means for files; `None` where everything is meant.
    pub(super) fn of(selection: PodSelection) -> Result<Option<Self>, Failure> {
        if selection.fields.is_some() {
            return Err(Failure::usage("--field-selector selects pods of a cluster, of which files know nothing")
                .hint("select with -n, -l or a target"));
        }
        let unknown = selection.targets.iter().find(|target| target.kind == Some(WorkloadKind::Service));
        if let Some(target) = unknown {
            return Err(Failure::usage(format!("which pods {target} selects is not known from files"))
                .hint("select with -l, or name the workload"));
        }
        let namespace = selection.namespace.filter(|_| !selection.all_namespaces);
        let labels = selection.labels.unwrap_or_default();
        let revision = selection.revision;
        if selection.targets.is_empty() && namespace.is_none() && labels.is_empty() && revision.is_none() {
            return Ok(None);
        }
        let labels = labels.parse().map_err(|error: crate::model::SelectorError| Failure::usage(error.to_string()))?;
        Ok(Some(Self { targets: selection.targets, namespace, labels, revision }))
    }

    /// Whether a proxy is meant.
    pub(super) fn means(&self, proxy: &Proxy) -> bool {
        let of_revision = self.revision.as_ref().is_none_or(|wanted| wanted == revision_of(proxy));
        of_revision && self.means_name(&proxy.id) && self.labels.matches(&proxy.labels) && self.means_gateway(proxy)
    }

    /// Whether something that was not read may have been meant. An input that says of no namespace is never dropped.
    pub(super) fn may_mean(&self, id: &ProxyId) -> bool {
        id.namespace.is_empty() || self.means_name(id)
    }

    fn means_name(&self, id: &ProxyId) -> bool {
        let here = self.namespace.as_ref().is_none_or(|namespace| *namespace == id.namespace);
        let named = |target: &Target| {
            let split = target
                .split_namespace()
                .is_some_and(|(name, namespace)| namespace == id.namespace && is_pod_of(target.kind, name, &id.name));
            split || (here && is_pod_of(target.kind, &target.name, &id.name))
        };
        if self.targets.is_empty() { here } else { self.targets.iter().any(named) }
    }

    /// A Gateway's pods carry its name as a label.
    fn means_gateway(&self, proxy: &Proxy) -> bool {
        let label = proxy.labels.get("gateway.networking.k8s.io/gateway-name");
        let mut others = self.targets.iter().filter(|target| target.kind != Some(WorkloadKind::Gateway)).peekable();
        let gateways = self.targets.iter().filter(|target| target.kind == Some(WorkloadKind::Gateway));
        if self.targets.is_empty() || others.peek().is_some() {
            return true;
        }
        gateways.into_iter().any(|target| {
            label
                .is_some_and(|label| *label == target.name || target.split_namespace().is_some_and(|(n, _)| n == label))
        })
    }

    /// Leaves of a snapshot what is meant; that it is nothing is a failure.
    pub(super) fn apply(&self, snapshot: MeshSnapshot) -> Result<MeshSnapshot, Failure> {
        let there: Vec<String> = snapshot.proxies.iter().map(|read| read.proxy.id.to_string()).collect();
        if let Some(wanted) = &self.revision {
            let revisions: BTreeSet<&str> = snapshot.proxies.iter().map(|read| revision_of(&read.proxy)).collect();
            if !revisions.is_empty() && !revisions.contains(wanted.as_str()) {
                let names: Vec<&str> = revisions.into_iter().collect();
                return Err(Failure::cannot_run(format!("no proxy of the input is of revision {wanted:?}"))
                    .hint(format!("there are: {}", names.join(", "))));
            }
        }
        let kept = snapshot.keep(|proxy| self.means(proxy), |id| self.may_mean(id));
        if kept.proxies.is_empty() && kept.failed.is_empty() {
            return Err(Self::nothing(&there));
        }
        Ok(kept)
    }

    /// Nothing of the input is meant.
    pub(super) fn nothing(there: &[String]) -> Failure {
        let first = there.iter().take(10).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = there.len().saturating_sub(10);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        Failure::cannot_run("no proxy of the input is selected").hint(format!("it has: {first}{more}"))
    }
}

/// Whether a pod's name is one that a workload of this kind and name gives to its pods
/// (`pkg/controller/controller_utils.go`, `statefulset/stateful_set_utils.go`).
fn is_pod_of(kind: Option<WorkloadKind>, name: &str, pod: &str) -> bool {
    let Some(kind) = kind else { return pod == name };
    let Some(rest) = pod.strip_prefix(name).and_then(|rest| rest.strip_prefix('-')) else {
        // A Gateway's Deployment may have any name.
        return kind == WorkloadKind::Gateway;
    };
    let random = |part: &str| part.len() == 5 && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    match kind {
        WorkloadKind::Gateway => true,
        WorkloadKind::StatefulSet => !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()),
        WorkloadKind::Deployment => rest.split_once('-').is_some_and(|(hash, end)| {
            (1..=10).contains(&hash.len()) && hash.bytes().all(|b| b.is_ascii_alphanumeric()) && random(end)
        }),
        // An indexed Job puts the index in front.
        WorkloadKind::Job => random(rest.rsplit('-').next().unwrap_or_default()),
        _ => random(rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_a_workloads_pods_by_their_names() {
        let of = |target: &str, pod: &str| {
            let target: Target = target.parse().expect("a target");
            is_pod_of(target.kind, &target.name, pod)
        };
        assert!(of("deploy/checkout", "checkout-7d9f8b6c5d-m8q2z"));
        assert!(!of("deploy/checkout", "checkout-api-7d9f8b6c5d-m8q2z"));
        assert!(!of("deploy/checkout", "checkout-0"));
        assert!(of("sts/db", "db-12") && !of("sts/db", "db-x2"));
        assert!(of("ds/agent", "agent-x7k2p") && of("job/load", "load-3-x7k2p"));
        assert!(of("web-1", "web-1") && !of("web", "web-1"));
    }
}
