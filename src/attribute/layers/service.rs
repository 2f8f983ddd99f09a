//! Which service a cluster is of, and by which of its ports.

use super::Question;
use crate::attribute::classes::is_east_west;
use crate::attribute::hosts::{Target, Workload, imports};
use crate::model::istio::PatchOperation;
use crate::model::{ClusterName, Direction};

/// A service's cluster as Istio builds it: whose rule it gets, for which port and subset.
pub(super) struct Service<'q> {
    pub(super) host: &'q str,
    pub(super) namespace: &'q str,
    pub(super) port: u16,
    pub(super) subset: &'q str,
    /// Whether rules with a selector count.
    pub(super) selecting: bool,
    /// Whether any rule counts.
    pub(super) ruled: bool,
    pub(super) baseline: bool,
    /// Why the port is not certain, should it matter.
    pub(super) port_doubt: Option<String>,
}
impl<'a> Question<'_, 'a> {
    /// Which service a cluster is of, and by which of its ports.
    pub(super) fn service_of<'s>(&'s self, name: ClusterName<'a>, workload: Option<&'s Found>) -> Option<Service<'s>> {
        let client = self.proxy().id.namespace.as_str();
        let hosts = &self.mesh.hosts;
        let metadata = |host: &str| {
            let found = self.cluster.services.iter().find(|service| *service.host == *host);
            found.map(|service| &*service.namespace).filter(|namespace| !namespace.is_empty())
        };
        match name.direction {
            Direction::Outbound => Some(Service {
                host: name.host,
                namespace: metadata(name.host).unwrap_or_else(|| hosts.owner(name.host, self.proxy(), self.sidecar)),
                port: name.port,
                subset: if hosts.is_dynamic(name.host) { "" } else { name.subset },
                selecting: true,
                ruled: true,
                baseline: true,
                port_doubt: None,
            }),
            Direction::InboundVip => {
                let visible = hosts.is_visible(name.host, client).unwrap_or(true);
                Some(Service {
                    host: name.host,
                    namespace: metadata(name.host).unwrap_or_else(|| hosts.owner(name.host, self.proxy(), None)),
                    port: name.port,
                    // A waypoint's `http/v1`, `tcp/v1`.
                    subset: name.subset.split_once('/').map_or("", |(_, subset)| subset),
                    selecting: false,
                    ruled: visible && !is_east_west(self.proxy()),
                    baseline: false,
                    port_doubt: None,
                })
            }
            Direction::Inbound => {
                let workload = workload?;
                let (host, namespace) = self.inbound_service(name, workload);
                let listener = self.by_listener(name.port);
                let (port, port_doubt) =
                    if listener { (name.port, None) } else { workload.port_of(self, host, name.port) };
                Some(Service {
                    host,
                    namespace,
                    port,
                    subset: "",
                    selecting: false,
                    ruled: !host.is_empty() && self.is_imported(host, namespace),
                    baseline: true,
                    port_doubt,
                })
            }
        }
    }

    /// Whether an inbound cluster is made of a Sidecar's listener, and not of a service's port.
    pub(super) fn by_listener(&self, port: u16) -> bool {
        let Some(sidecar) = self.sidecar.filter(|sidecar| !sidecar.ingress.is_empty()) else { return false };
        !self.mesh.behaviour.merges_listeners || sidecar.ingress.iter().any(|listener| listener.port == port)
    }

    /// The first of the services that an inbound cluster stands for, which is the one whose rule counts.
    pub(super) fn inbound_service<'s>(&'s self, name: ClusterName<'a>, workload: &'s Found) -> (&'s str, &'s str) {
        if let Some(service) = self.cluster.services.first() {
            return (&service.host, &service.namespace);
        }
        if !name.host.is_empty() {
            return (name.host, self.proxy().id.namespace.as_str());
        }
        let mut behind = workload.at(name.port);
        let first = behind.next();
        // Where clusters name their services, one that names none is of something outside of the mesh, or of nothing.
        let behaviour = &self.mesh.behaviour;
        let named = behaviour.names_services
            && (behaviour.names_at_listeners || !self.by_listener(name.port))
            && self.class.has_metadata(self.attributor.snapshot);
        match first {
            Some(target) if target.external || !named => (&target.host, &target.namespace),
            _ => ("", ""),
        }
    }

    /// Whether a proxy's own service is one that it imports: only those have rules (`pilot/pkg/model/sidecar.go`,
    /// `selectDestinationRules`). It then has outbound clusters for it.
    pub(super) fn is_imported(&self, host: &str, namespace: &str) -> bool {
        let proxy = self.proxy();
        let outbound = self.class.outbound(self.attributor.snapshot);
        let removes = self.filters.iter().flat_map(|found| &found.filter.patches);
        let removed = { removes }.any(|patch| patch.operation == PatchOperation::Remove);
        if !outbound.is_empty() && (outbound.contains(host) || !removed) {
            return outbound.contains(host);
        }
        let visible = self.mesh.hosts.is_visible(host, &proxy.id.namespace).unwrap_or(true);
        visible && imports(self.sidecar, &proxy.id.namespace, namespace, host)
    }

    /// What the workloads of those proxies that hold this cluster are behind.
    pub(super) fn workload(&self) -> Found {
        let snapshot = self.attributor.snapshot;
        let holders = self
            .class
            .proxies
            .iter()
            .filter(|&proxy| self.row.is_none_or(|row| snapshot.proxies[proxy as usize].clusters.contains(row)));
        let mut found: Vec<&Workload> = Vec::new();
        for proxy in holders {
            let proxy = proxy as usize;
            let workload = self.attributor.workloads[proxy]
                .get_or_init(|| self.mesh.hosts.workload(&snapshot.proxies[proxy].proxy));
            if !found.contains(&workload) {
                found.push(workload);
            }
            if found.len() > 3 {
                break;
            }
        }
        Found(found.into_iter().cloned().collect())
    }
}

/// What the workloads that hold a cluster are behind; several where they differ.
pub(super) struct Found(Vec<Workload>);

impl Found {
    pub(super) fn at(&self, port: u16) -> impl Iterator<Item = &Target> {
        self.0.iter().flat_map(move |workload| workload.at(port))
    }

    pub(super) fn is_resolved(&self) -> bool {
        self.0.iter().all(|workload| workload.unresolved.is_empty())
    }

    /// The service's port behind one of the workload's, and why it is not certain.
    fn port_of(&self, question: &Question<'_, '_>, host: &str, workload_port: u16) -> (u16, Option<String>) {
        let mut ports: Vec<u16> = Vec::new();
        for workload in &self.0 {
            let found = { workload }.at(workload_port).find(|target| target.host == host).map(|target| target.port);
            ports.extend(found.filter(|port| !ports.contains(port)));
        }
        if let [port] = ports[..] {
            return (port, None);
        }
        if let Some(&port) = ports.first() {
            return (port, Some("workloads of one cluster name are behind different ports of the service".to_owned()));
        }
        let doubt =
            || Some(format!("which port of {host} is behind port {workload_port} of the workload is not known"));
        match question.mesh.hosts.port_of(host, workload_port) {
            Some(port) => (port, None),
            None => (workload_port, doubt()),
        }
    }
}
