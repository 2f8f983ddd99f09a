//! Whether a selector is for a workload, with the labels that istiod gives a proxy beside its pod's
//! (`pilot/pkg/serviceregistry/util/label/label.go`, `AugmentLabels`; `pilot/pkg/xds/ads.go`, `setTopologyLabels`).

use crate::model::Proxy;
use crate::model::istio::{ControlPlane, IstioObjects, Labels};

/// Labels that istiod adds to a proxy's.
const CLUSTER: &str = "topology.istio.io/cluster";
const NETWORK: &str = "topology.istio.io/network";
const REGION: &str = "topology.kubernetes.io/region";
const ZONE: &str = "topology.kubernetes.io/zone";
const SUBZONE: &str = "topology.istio.io/subzone";
const HOSTNAME: &str = "kubernetes.io/hostname";

/// Whether labels have all that a selector asks for.
pub(super) fn selects(selector: &Labels, labels: &Labels) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// Whether a workload is selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Selected {
    /// It is.
    Yes,
    /// It depends on a label that istiod adds and that is not known here.
    Perhaps,
    /// It is not.
    No,
}

/// A workload's labels as istiod sees them.
#[derive(Debug, Clone)]
pub(super) struct WorkloadLabels<'a> {
    own: &'a Labels,
    /// Those that istiod adds, with `None` for what it may add and is not known.
    added: Vec<(&'static str, Option<String>)>,
}

impl<'a> WorkloadLabels<'a> {
    /// A proxy's labels.
    pub(super) fn new(proxy: &'a Proxy, objects: &IstioObjects, plane: Option<&ControlPlane>) -> Self {
        let own = &proxy.labels;
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let env = plane.and_then(|plane| plane.istiod.as_ref()?.env.get("CLUSTER_ID").map(String::as_str));
        let cluster = if proxy.cluster_id.is_empty() { env.unwrap_or("Kubernetes") } else { &proxy.cluster_id };
        let mut added = vec![(CLUSTER, text(cluster)), (HOSTNAME, text(&proxy.node))];
        if !own.contains_key(NETWORK) {
            added.push((NETWORK, text(&proxy.network)));
        }
        added.extend(locality(proxy, objects));
        Self { own, added }
    }

    /// Whether a selector is for the workload.
    pub(super) fn selected(&self, selector: &Labels) -> Selected {
        let mut found = Selected::Yes;
        for (key, value) in selector {
            match self.added.iter().find(|(added, _)| added == key) {
                Some((_, Some(known))) if known == value => {}
                Some((_, None)) if !self.own.contains_key(key) => found = Selected::Perhaps,
                None | Some((_, None)) if self.own.get(key) == Some(value) => {}
                _ => return Selected::No,
            }
        }
        found
    }
}

/// Region, zone and subzone: the pod's labels, else its label `istio-locality`, else its node's labels.
fn locality(proxy: &Proxy, objects: &IstioObjects) -> Vec<(&'static str, Option<String>)> {
    let own = &proxy.labels;
    if [REGION, ZONE, SUBZONE].iter().any(|&label| own.contains_key(label)) {
        return Vec::new();
    }
    if let Some(locality) = own.get("istio-locality") {
        // Dots stand for slashes, which labels may not have.
        let locality = if locality.contains('/') { locality.clone() } else { locality.replace('.', "/") };
        let mut parts = locality.split('/').map(str::to_owned);
        let mut next = || Some(parts.next().unwrap_or_default());
        return vec![(REGION, next()), (ZONE, next()), (SUBZONE, next())];
    }
    let Some(node) = objects.nodes.get(&proxy.node) else {
        return vec![(REGION, None), (ZONE, None), (SUBZONE, None)];
    };
    let label = |names: &[&str]| names.iter().find_map(|&name| node.get(name)).cloned().unwrap_or_default();
    vec![
        (REGION, Some(label(&[REGION, "failure-domain.beta.kubernetes.io/region"]))),
        (ZONE, Some(label(&[ZONE, "failure-domain.beta.kubernetes.io/zone"]))),
        (SUBZONE, Some(label(&[SUBZONE]))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ProxyId;

    #[test]
    fn labels_that_istiod_adds_count() {
        let mut proxy = Proxy::named(ProxyId::new("shop", "web-0"));
        proxy.labels = Labels::from([("app".to_owned(), "web".to_owned())]);
        proxy.node = "node-a".to_owned();
        let mut objects = IstioObjects::default();
        let of = |proxy: &Proxy, objects: &IstioObjects, key: &str, value: &str| {
            let selector = Labels::from([(key.to_owned(), value.to_owned())]);
            WorkloadLabels::new(proxy, objects, None).selected(&selector)
        };
        assert_eq!(of(&proxy, &objects, "app", "web"), Selected::Yes);
        assert_eq!(of(&proxy, &objects, "app", "db"), Selected::No);
        assert_eq!(of(&proxy, &objects, HOSTNAME, "node-a"), Selected::Yes);
        assert_eq!(of(&proxy, &objects, CLUSTER, "Kubernetes"), Selected::Yes);
        assert_eq!(of(&proxy, &objects, CLUSTER, "other"), Selected::No);
        assert_eq!(of(&proxy, &objects, ZONE, "eu-1"), Selected::Perhaps);
        assert_eq!(of(&proxy, &objects, NETWORK, "east"), Selected::Perhaps);
        objects.nodes.insert("node-a".to_owned(), Labels::from([(ZONE.to_owned(), "eu-1".to_owned())]));
        assert_eq!(of(&proxy, &objects, ZONE, "eu-1"), Selected::Yes);
        assert_eq!(of(&proxy, &objects, ZONE, "eu-2"), Selected::No);
        proxy.labels.insert("istio-locality".to_owned(), "us.us-1".to_owned());
        assert_eq!(of(&proxy, &objects, ZONE, "us-1"), Selected::Yes);
        assert_eq!(of(&proxy, &objects, REGION, "us"), Selected::Yes);
    }
}
