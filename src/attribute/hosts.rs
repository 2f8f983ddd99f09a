//! What hosts stand for in one control plane's eyes: Services and ServiceEntries, who sees them, and which of them a
//! workload is behind (`pilot/pkg/model/push_context.go`, `initServiceRegistry` and `IsServiceVisible`;
//! `pilot/pkg/serviceregistry/kube/controller/controller.go`, `GetProxyServiceTargetsByPod`).

use foldhash::HashMap;

use super::selection::selects;
use crate::model::istio::{Service, ServiceEntry, Sidecar};
use crate::model::{Proxy, ProxyRole};

/// A service that a workload is behind, by one of its ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// The service's host.
    pub(super) host: String,
    /// Its namespace.
    pub(super) namespace: String,
    /// The service's port.
    pub(super) port: u16,
    /// The workload's port.
    pub(super) target: u16,
    /// Whether it is a ServiceEntry for something outside of the mesh, which no metadata name.
    pub(super) external: bool,
}

/// The services that a workload is behind, in Istio's order as far as there is one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Workload {
    /// What was found.
    pub(super) targets: Vec<Target>,
    /// Services with a port by name that no container of the pod is known to have.
    pub(super) unresolved: Vec<String>,
}

impl Workload {
    /// What stands behind a port of the workload.
    pub(super) fn at(&self, port: u16) -> impl Iterator<Item = &Target> {
        self.targets.iter().filter(move |target| target.target == port)
    }
}

/// The Services and ServiceEntries that a control plane reads.
#[derive(Debug, Default)]
pub(super) struct Hosts<'a> {
    domain: &'a str,
    /// Who sees a service that does not say; empty for everybody.
    default_export: Vec<String>,
    /// By namespace and name.
    services: HashMap<(&'a str, &'a str), &'a Service>,
    by_namespace: HashMap<&'a str, Vec<&'a Service>>,
    /// By host, oldest first.
    entries: HashMap<&'a str, Vec<&'a ServiceEntry>>,
    selecting: HashMap<&'a str, Vec<&'a ServiceEntry>>,
}

impl<'a> Hosts<'a> {
    pub(super) fn new(
        domain: &'a str,
        default_export: Vec<String>,
        services: impl Iterator<Item = &'a Service>,
        entries: impl Iterator<Item = &'a ServiceEntry>,
    ) -> Self {
        let mut hosts = Self { domain, default_export, ..Self::default() };
        for service in services {
            let (namespace, name) = (service.meta.namespace.as_str(), service.meta.name.as_str());
            hosts.services.insert((namespace, name), service);
            if !service.selector.is_empty() {
                hosts.by_namespace.entry(namespace).or_default().push(service);
            }
        }
        for entry in entries {
            for host in &entry.hosts {
                hosts.entries.entry(host).or_default().push(entry);
            }
            if entry.workload_selector.is_some() {
                hosts.selecting.entry(&entry.meta.namespace).or_default().push(entry);
            }
        }
        hosts
    }

    /// The Service of a host.
    pub(super) fn service(&self, host: &str) -> Option<&'a Service> {
        let rest = host.strip_suffix(self.domain)?.strip_suffix(".svc.")?;
        let (name, namespace) = rest.split_once('.')?;
        self.services.get(&(namespace, name)).copied()
    }

    /// Whether a host is a Service's or a ServiceEntry's.
    pub(super) fn knows(&self, host: &str) -> bool {
        self.service(host).is_some() || self.entries.contains_key(host)
    }

    /// Whether an entry's wildcard host is resolved as it is asked for: one cluster a port, and no subsets.
    pub(super) fn is_dynamic(&self, host: &str) -> bool {
        host.starts_with('*') && self.entries.get(host).is_some_and(|all| all.iter().any(|entry| entry.dynamic_dns))
    }

    fn visible(&self, export_to: &[String], owner: &str, client: &str) -> bool {
        let all = if export_to.is_empty() { self.default_export.as_slice() } else { export_to };
        let has = |wanted: &str| all.iter().any(|target| target == wanted);
        all.is_empty() || has("*") || (!has("~") && (has(client) || (owner == client && has("."))))
    }

    /// Whether clients of a namespace see a host; `None` where nothing is known of it. A Service wins over an entry.
    pub(super) fn is_visible(&self, host: &str, client: &str) -> Option<bool> {
        if let Some(service) = self.service(host) {
            return Some(self.visible(&service.export_to, &service.meta.namespace, client));
        }
        let entries = self.entries.get(host)?;
        Some(entries.iter().any(|entry| self.visible(&entry.export_to, &entry.meta.namespace, client)))
    }

    /// The namespace whose service a host is to a client; empty where unknown. A sidecar takes what its own namespace has
    /// for the host, else a Service, else the oldest entry, of those that it sees and imports
    /// (`pilot/pkg/model/sidecar.go`, `selectServices`). A gateway has no namespace that it prefers, but entries that few
    /// see come first (`push_context.go`, `servicesExportedToNamespace`).
    pub(super) fn owner(&self, host: &'a str, proxy: &Proxy, sidecar: Option<&Sidecar>) -> &'a str {
        let client = proxy.id.namespace.as_str();
        let service = self.service(host);
        let entries = self.entries.get(host).map_or(&[][..], Vec::as_slice);
        let seen = |export_to: &[String], namespace: &str| {
            self.visible(export_to, namespace, client) && imports(sidecar, client, namespace, host)
        };
        let mut entries: Vec<&'a ServiceEntry> =
            entries.iter().copied().filter(|entry| seen(&entry.export_to, &entry.meta.namespace)).collect();
        let mut own = None;
        if proxy.role == ProxyRole::Sidecar {
            own = entries.iter().find(|entry| entry.meta.namespace == client);
        } else {
            entries.sort_by_key(|entry| self.reach(&entry.export_to));
        }
        let namespace = |entry: &&'a ServiceEntry| entry.meta.namespace.as_str();
        let found = own.map(namespace).or_else(|| {
            let service = service.filter(|service| seen(&service.export_to, &service.meta.namespace));
            service.map(|service| service.meta.namespace.as_str()).or_else(|| entries.first().map(namespace))
        });
        found.unwrap_or_else(|| {
            let rest = host.strip_suffix(self.domain).and_then(|rest| rest.strip_suffix(".svc."));
            let named = rest.and_then(|rest| rest.split_once('.')).map(|(_, namespace)| namespace);
            named.filter(|_| service.is_some() || !self.entries.contains_key(host)).unwrap_or_default()
        })
    }

    /// How many see what is exported so: its own namespace, some, or everybody.
    fn reach(&self, export_to: &[String]) -> u8 {
        let all = if export_to.is_empty() { self.default_export.as_slice() } else { export_to };
        match all {
            [only] if only == "." => 0,
            [] => 2,
            all if all.iter().any(|target| target == "*") => 2,
            _ => 1,
        }
    }

    /// The services that a proxy's workload is behind.
    pub(super) fn workload(&self, proxy: &Proxy) -> Workload {
        let namespace = proxy.id.namespace.as_str();
        let mut found = Workload::default();
        for service in self.by_namespace.get(namespace).into_iter().flatten() {
            if !selects(&service.selector, &proxy.labels) {
                continue;
            }
            let host = format!("{}.{namespace}.svc.{}", service.meta.name, self.domain);
            let mut seen = Vec::new();
            for port in &service.ports {
                let target = port.target.or_else(|| proxy.ports.get(&port.target_name).copied());
                match target {
                    // Of several ports for one of the workload's, the first counts.
                    Some(target) if !seen.contains(&target) => {
                        seen.push(target);
                        let (host, namespace) = (host.clone(), namespace.to_owned());
                        found.targets.push(Target { host, namespace, port: port.port, target, external: false });
                    }
                    Some(_) => {}
                    None => found.unresolved.push(host.clone()),
                }
            }
        }
        for entry in self.selecting.get(namespace).into_iter().flatten() {
            if !entry.workload_selector.as_ref().is_some_and(|selector| selects(selector, &proxy.labels)) {
                continue;
            }
            for host in &entry.hosts {
                found.targets.extend(entry.ports.iter().map(|port| Target {
                    host: host.clone(),
                    namespace: namespace.to_owned(),
                    port: port.port,
                    target: port.target.unwrap_or(port.port),
                    external: !entry.internal,
                }));
            }
        }
        found
    }

    /// A service's port by the workload's, where the pod's own ports are not known.
    pub(super) fn port_of(&self, host: &str, workload_port: u16) -> Option<u16> {
        let ports = match self.service(host) {
            Some(service) => &service.ports,
            None => &self.entries.get(host)?.first()?.ports,
        };
        let direct = ports.iter().find(|port| port.target.unwrap_or(port.port) == workload_port);
        match (direct, ports.as_slice()) {
            (Some(port), _) | (None, [port]) => Some(port.port),
            _ => None,
        }
    }
}

/// Whether a Sidecar's egress hosts import a service; without a Sidecar, or egress listeners, all are.
pub(super) fn imports(sidecar: Option<&Sidecar>, client: &str, namespace: &str, host: &str) -> bool {
    let Some(hosts) = sidecar.and_then(|sidecar| sidecar.egress_hosts.as_ref()) else { return true };
    let matches = |pattern: &str| match pattern.strip_prefix('*') {
        Some(suffix) => host.trim_start_matches('*').ends_with(suffix),
        None => pattern == host,
    };
    let named = |wanted: &str| match wanted {
        "*" => true,
        "." => namespace == client,
        wanted => wanted == namespace,
    };
    let mut imported = false;
    for entry in hosts {
        let Some((wanted, pattern)) = entry.split_once('/') else { continue };
        match wanted.strip_prefix('~') {
            // Excluded, whatever imports it.
            Some(excluded) if (excluded.is_empty() || named(excluded)) && matches(pattern) => return false,
            Some(_) => {}
            None => imported |= named(wanted) && matches(pattern),
        }
    }
    imported
}
