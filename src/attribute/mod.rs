//! Which object gives a cluster its connect timeout, by Istio's own precedence.
//!
//! Later beats earlier (`pilot/pkg/networking/core/cluster_traffic_policy.go`): the mesh's `connectTimeout`; its
//! `defaultTrafficPolicy` (from 1.31); the DestinationRule's policy, its port settings, the subset's; for inbound
//! clusters the Sidecar's connection pool; EnvoyFilters.
//!
//! Proxies that no selector tells apart are one *class*, and a cluster is worked out once for each class that holds
//! it, so the cost grows with what is distinct, not with proxies × clusters.

mod filters;
mod policy;
mod rules;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use filters::{Filters, Match};
use rules::{RuleIndex, selects};

pub use rules::full_host;

use crate::model::objects::{
    ClusterPatch, ConnectionPool, ControlPlane, Coverage, DestinationRule, EffectiveMesh, EnvoyFilter, IstioObjects,
    Labels, ObjectKind, ObjectMeta, PatchOperation, Service, Sidecar,
};
use crate::model::{
    ClusterKind, ClusterSet, ClusterSource, Direction, EnvoyCluster, MeshSnapshot, MeshSource, ObjectRef, Origin,
    OriginKind, ProxyRole, ProxySnapshot, RulePart, SidecarPart, format_duration,
};

/// What became of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It gives the value.
    Won,
    /// Something stronger gives another.
    Lost,
    /// It is there and sets nothing, or is not for this cluster or proxy.
    Silent,
    /// It may be what gives the value.
    Perhaps,
}

/// Something that could have given a cluster its timeout.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// What and where.
    pub origin: Origin,
    /// The value that it gives; `None` where it sets none.
    pub value: Option<Duration>,
    /// What became of it.
    pub outcome: Outcome,
    /// Why.
    pub reason: String,
}

/// A timeout that is set and then lost, because a stronger block replaces the one it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// Where it is set.
    pub origin: Origin,
    /// The value.
    pub value: Duration,
    /// The block that replaces it.
    pub by: Origin,
}

/// What a cluster should hold, by what could be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    /// The value; `None` where nothing sets the field.
    pub timeout: Option<Duration>,
    /// What gives it.
    pub origin: Origin,
    /// A value that was meant and lost.
    pub dropped: Option<Dropped>,
    /// EnvoyFilters that may apply on top, and the value they would give.
    pub perhaps: Vec<(Origin, Duration)>,
}

/// How what a proxy holds compares with what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is what the objects give.
    Explained,
    /// The proxy lags behind its control plane.
    Stale,
    /// No readable object accounts for it.
    Unexplained,
    /// Too little could be read to say.
    Unknown,
}

/// Where one cluster of one class of proxies has its timeout from.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribution {
    /// Where the value that is held comes from.
    pub origin: Origin,
    /// What should be held; `None` where too little could be read.
    pub expected: Option<Expected>,
    /// How the two compare.
    pub verdict: Verdict,
}

/// The rule for a host, and where one would be looked for.
#[derive(Debug, Clone, Default)]
pub struct RuleFor<'a> {
    /// The rule; of merged ones the one whose `trafficPolicy` counts.
    pub rule: Option<&'a DestinationRule>,
    /// The namespace of the service; empty where unknown.
    pub service_namespace: String,
    /// The mesh's root namespace.
    pub root_namespace: String,
}

/// Proxies that nothing which can be read tells apart.
#[derive(Debug)]
pub struct ProxyClass<'a> {
    /// One of them.
    pub representative: &'a ProxySnapshot,
    /// All of them: positions in [`MeshSnapshot::proxies`].
    pub proxies: ClusterSet,
    /// Every cluster that one of them holds.
    pub clusters: ClusterSet,
    mesh: Option<&'a str>,
    plane: Option<usize>,
    /// What `BlackHoleCluster` holds: the mesh value that the proxy was last given.
    told: Option<Duration>,
    lags: bool,
    sidecar: Option<&'a Sidecar>,
    filters: Vec<&'a EnvoyFilter>,
    /// (name, timeout) of what some of them hold, to tell a straggler from a puzzle.
    held: OnceLock<HashSet<(Arc<str>, Option<Duration>)>>,
}

impl ProxyClass<'_> {
    /// The value that the control plane last told these proxies to use mesh-wide, as `BlackHoleCluster` shows it.
    #[must_use]
    pub fn told(&self) -> Option<Duration> {
        self.told
    }

    /// Whether that is no longer what the mesh configuration says.
    #[must_use]
    pub fn lags(&self) -> bool {
        self.lags
    }
}

#[derive(Debug)]
struct Mesh<'a> {
    objects: &'a IstioObjects,
    planes: Vec<Option<EffectiveMesh>>,
    root: String,
    domain: &'a str,
    rules: RuleIndex<'a>,
    filters: Filters<'a>,
    services: HashMap<(&'a str, &'a str), &'a Service>,
    entries: HashMap<&'a str, &'a str>,
}

impl<'a> Mesh<'a> {
    fn new(objects: &'a IstioObjects) -> Self {
        let planes: Vec<Option<EffectiveMesh>> = objects.control_planes.iter().map(ControlPlane::effective).collect();
        let first = planes.iter().flatten().next();
        let root = first.map_or_else(|| "istio-system".to_owned(), |mesh| mesh.root_namespace.clone());
        let domain = objects.control_planes.first().map_or("cluster.local", ControlPlane::domain);
        let private = first.is_some_and(|mesh| mesh.rules_are_private);
        Self {
            objects,
            rules: RuleIndex::new(&objects.destination_rules, &root, private, domain),
            filters: Filters::new(&objects.envoy_filters, &root),
            services: objects
                .services
                .iter()
                .map(|service| ((service.meta.namespace.as_str(), service.meta.name.as_str()), service))
                .collect(),
            // The oldest entry for a host owns it.
            entries: objects
                .service_entries
                .iter()
                .rev()
                .flat_map(|entry| entry.hosts.iter().map(|host| (host.as_str(), entry.meta.namespace.as_str())))
                .collect(),
            planes,
            root,
            domain,
        }
    }

    /// The namespace of the service behind a host: from the cluster's metadata, its name, or a ServiceEntry.
    fn service_namespace(&self, cluster: &'a EnvoyCluster, host: &'a str) -> &'a str {
        if let Some(service) = cluster.services.iter().find(|service| *service.host == *host)
            && !service.namespace.is_empty()
        {
            return &service.namespace;
        }
        if let Some(rest) = host.strip_suffix(self.domain).and_then(|rest| rest.strip_suffix(".svc."))
            && let Some((_, namespace)) = rest.split_once('.')
        {
            return namespace;
        }
        self.entries.get(host).copied().unwrap_or_default()
    }

    /// The service's port behind an inbound cluster, which is named after the workload's.
    fn service_port(&self, namespace: &str, name: &str, workload_port: u16) -> Option<u16> {
        let service = self.services.get(&(namespace, name))?;
        let direct = service.ports.iter().find(|port| port.target.unwrap_or(port.port) == workload_port);
        match (direct, service.ports.as_slice()) {
            (Some(port), _) | (None, [port]) => Some(port.port),
            _ => None,
        }
    }
}

/// Works out where connect timeouts come from, for all proxies of a snapshot.
#[derive(Debug)]
pub struct Attributor<'a> {
    snapshot: &'a MeshSnapshot,
    meshes: BTreeMap<&'a str, Mesh<'a>>,
    classes: Vec<ProxyClass<'a>>,
    class_of: Vec<usize>,
}

impl<'a> Attributor<'a> {
    /// Indexes the objects of a snapshot and sorts its proxies into classes.
    #[must_use]
    pub fn new(snapshot: &'a MeshSnapshot) -> Self {
        let meshes: BTreeMap<&str, Mesh<'a>> = snapshot
            .objects
            .iter()
            .filter(|(_, objects)| !objects.is_empty())
            .map(|(context, objects)| (context.as_str(), Mesh::new(objects)))
            .collect();
        let mut attributor = Self { snapshot, meshes, classes: Vec::new(), class_of: Vec::new() };
        attributor.classify();
        attributor
    }

    fn classify(&mut self) {
        let black_holes: Vec<u32> = (0u32..)
            .zip(&self.snapshot.clusters)
            .filter(|(_, cluster)| cluster.kind() == ClusterKind::BlackHole && cluster.source == ClusterSource::Active)
            .map(|(position, _)| position)
            .collect();
        let own: Vec<Option<Duration>> = self
            .snapshot
            .proxies
            .iter()
            .map(|read| {
                let row = black_holes.iter().find(|&&row| read.clusters.contains(row))?;
                self.snapshot.clusters[*row as usize].connect_timeout
            })
            .collect();
        // A waypoint has no such cluster; what most of its control plane's proxies were told holds for it.
        let mut counts: HashMap<(&str, &str), BTreeMap<Duration, usize>> = HashMap::new();
        for (read, value) in self.snapshot.proxies.iter().zip(&own) {
            if let Some(value) = value {
                let plane = (read.proxy.id.context.as_str(), read.proxy.revision.as_str());
                *counts.entry(plane).or_default().entry(*value).or_default() += 1;
            }
        }
        let mut known: HashMap<_, usize> = HashMap::new();
        for (position, read) in (0u32..).zip(&self.snapshot.proxies) {
            let proxy = &read.proxy;
            let mesh = self.meshes.get_key_value(proxy.id.context.as_str());
            let own = own[position as usize];
            let told = own.or_else(|| {
                let values = counts.get(&(proxy.id.context.as_str(), proxy.revision.as_str()))?;
                values.iter().max_by_key(|(value, count)| (**count, **value)).map(|(value, _)| *value)
            });
            // Labels matter only as far as a selector of the proxy's namespace or the root namespace asks for them.
            let (plane, lags, sidecar, filters, rules) = match mesh {
                None => (None, false, None, Vec::new(), Vec::new()),
                Some((_, mesh)) => {
                    let plane = mesh.objects.control_plane(&proxy.revision).and_then(|found| {
                        mesh.objects.control_planes.iter().position(|plane| std::ptr::eq(plane, found))
                    });
                    let value = plane.and_then(|plane| mesh.planes[plane].as_ref()).map(|mesh| mesh.connect_timeout);
                    let lags = matches!((value, own), (Some(value), Some(own)) if value != own);
                    let sidecar = sidecar_of(mesh, &proxy.id.namespace, proxy.role, &proxy.labels);
                    let filters = mesh.filters.of_proxy(&proxy.id.namespace, &mesh.root, &proxy.labels);
                    let rules: Vec<&ObjectMeta> = mesh
                        .objects
                        .destination_rules
                        .iter()
                        .filter(|rule| rule.meta.namespace == proxy.id.namespace)
                        .filter(|rule| {
                            rule.workload_selector.as_ref().is_some_and(|selector| selects(selector, &proxy.labels))
                        })
                        .map(|rule| &rule.meta)
                        .collect();
                    (plane, lags, sidecar, filters, rules)
                }
            };
            let key = (
                proxy.id.context.as_str(),
                proxy.id.namespace.as_str(),
                proxy.revision.as_str(),
                proxy.role,
                proxy.istio_version.as_str(),
                told,
                sidecar.map(|sidecar| &sidecar.meta),
                filters.iter().map(|filter| &filter.meta).collect::<Vec<_>>(),
                rules,
            );
            let class = *known.entry(key).or_insert_with(|| {
                self.classes.push(ProxyClass {
                    representative: read,
                    proxies: ClusterSet::default(),
                    clusters: ClusterSet::default(),
                    mesh: mesh.map(|(context, _)| *context),
                    plane,
                    told,
                    lags,
                    sidecar,
                    filters,
                    held: OnceLock::new(),
                });
                self.classes.len() - 1
            });
            self.classes[class].proxies.insert(position);
            self.classes[class].clusters.extend(&read.clusters);
            self.class_of.push(class);
        }
    }

    /// The classes.
    #[must_use]
    pub fn classes(&self) -> &[ProxyClass<'a>] {
        &self.classes
    }

    /// The class of a proxy, by its position in [`MeshSnapshot::proxies`].
    #[must_use]
    pub fn class_of(&self, proxy: usize) -> &ProxyClass<'a> {
        &self.classes[self.class_of[proxy]]
    }

    /// The mesh-wide value for a class and where it comes from; `None` where it could not be read.
    #[must_use]
    pub fn mesh_value(&self, class: &ProxyClass<'a>) -> Option<&EffectiveMesh> {
        let mesh = self.meshes.get(class.mesh?)?;
        mesh.planes[class.plane?].as_ref()
    }

    /// The objects of a class's cluster.
    #[must_use]
    pub fn objects(&self, class: &ProxyClass<'a>) -> Option<&'a IstioObjects> {
        self.meshes.get(class.mesh?).map(|mesh| mesh.objects)
    }

    /// The DestinationRule that an outbound cluster's host has for a class, and the namespaces that matter for a new
    /// one.
    #[must_use]
    pub fn rule_for(&self, class: &ProxyClass<'a>, cluster: &'a EnvoyCluster) -> RuleFor<'a> {
        let mut found = RuleFor::default();
        let (Some(mesh), Some(name)) = (class.mesh.and_then(|context| self.meshes.get(context)), cluster.parts())
        else {
            return found;
        };
        let proxy = &class.representative.proxy;
        let namespace = mesh.service_namespace(cluster, name.host);
        let rule = mesh.rules.find(&proxy.id.namespace, name.host, namespace, Some(&proxy.labels));
        // Of merged rules the one whose policy counts is the one to change.
        found.rule = rule.map(|(merged, _)| merged.policy.map_or(merged.first, |(owner, _)| owner));
        namespace.clone_into(&mut found.service_namespace);
        found.root_namespace.clone_from(&mesh.root);
        found
    }

    /// Where a cluster of a class has its timeout from; `cluster` is a position in [`MeshSnapshot::clusters`].
    #[must_use]
    pub fn attribute(&self, class: &ProxyClass<'a>, cluster: u32) -> Attribution {
        self.compare(class, &self.snapshot.clusters[cluster as usize], None)
    }

    /// The same, with every candidate, weakest first, and why it won or lost.
    #[must_use]
    pub fn explain(&self, class: &ProxyClass<'a>, cluster: u32) -> (Attribution, Vec<Candidate>) {
        let mut chain = Vec::new();
        let attribution = self.compare(class, &self.snapshot.clusters[cluster as usize], Some(&mut chain));
        (attribution, chain)
    }

    fn compare(
        &self,
        class: &ProxyClass<'a>,
        cluster: &'a EnvoyCluster,
        chain: Option<&mut Vec<Candidate>>,
    ) -> Attribution {
        let kind = cluster.kind();
        if kind == ClusterKind::Bootstrap {
            let origin = Origin::new(OriginKind::Bootstrap, true);
            return Attribution { origin, expected: None, verdict: Verdict::Explained };
        }
        if kind == ClusterKind::Internal && cluster.connect_timeout.is_none() {
            let origin = Origin::new(OriginKind::EnvoyDefault, true);
            return Attribution { origin, expected: None, verdict: Verdict::Explained };
        }
        let Some(expected) = self.expected(class, cluster, kind, chain) else {
            return Attribution { origin: self.guess(class, cluster, kind), expected: None, verdict: Verdict::Unknown };
        };
        self.judge(class, cluster, expected)
    }

    /// What the dump alone suggests, where not even the mesh value is known.
    fn guess(&self, class: &ProxyClass<'a>, cluster: &EnvoyCluster, kind: ClusterKind) -> Origin {
        if cluster.connect_timeout.is_none() {
            return Origin::new(OriginKind::EnvoyDefault, true);
        }
        let unknown = |note: String| Origin::new(OriginKind::Unknown, false).with_note(note);
        match (kind, &cluster.destination_rule_hint) {
            (ClusterKind::BlackHole | ClusterKind::Passthrough | ClusterKind::Internal, _) => {
                Origin::new(OriginKind::MeshConfig { source: MeshSource::Inferred }, false)
                    .with_note("no DestinationRule reaches this cluster")
            }
            (ClusterKind::Other, _) => {
                unknown("not one of Istio's own names: an EnvoyFilter or another control plane".to_owned())
            }
            (_, Some(rule)) => unknown(format!("DestinationRule {rule} matched, which may or may not set it")),
            (_, None) => unknown(format!("the mesh's value is not in the dump; {}", self.missing(class))),
        }
    }

    fn judge(&self, class: &ProxyClass<'a>, cluster: &EnvoyCluster, expected: Expected) -> Attribution {
        if cluster.connect_timeout == expected.timeout {
            return Attribution {
                origin: expected.origin.clone(),
                expected: Some(expected),
                verdict: Verdict::Explained,
            };
        }
        let should = expected.timeout.map_or_else(|| "nothing".to_owned(), format_duration);
        if let Some((origin, _)) = expected.perhaps.iter().find(|(_, value)| cluster.connect_timeout == Some(*value)) {
            let origin = origin.clone();
            return Attribution { origin, expected: Some(expected), verdict: Verdict::Explained };
        }
        if let Some(error) = &cluster.error {
            let note = format!("expected {should}; the proxy rejected an update: {error}");
            let origin = Origin::new(OriginKind::Stale, true).with_note(note);
            return Attribution { origin, expected: Some(expected), verdict: Verdict::Stale };
        }
        let peers = || {
            let held = class.held.get_or_init(|| {
                let rows = class.clusters.iter().map(|row| &self.snapshot.clusters[row as usize]);
                rows.map(|row| (Arc::clone(&row.name), row.connect_timeout)).collect()
            });
            held.contains(&(Arc::clone(&cluster.name), expected.timeout))
        };
        if class.lags || peers() {
            let note = format!("expected {should} from {}", describe(&expected.origin));
            let origin = Origin::new(OriginKind::Stale, class.lags).with_note(note);
            return Attribution { origin, expected: Some(expected), verdict: Verdict::Stale };
        }
        if cluster.connect_timeout.is_none() {
            let note = format!("expected {should} from {}", describe(&expected.origin));
            let origin = Origin::new(OriginKind::EnvoyDefault, true).with_note(note);
            let verdict = if expected.origin.certain { Verdict::Unexplained } else { Verdict::Unknown };
            return Attribution { origin, expected: Some(expected), verdict };
        }
        let filters_read = self.objects(class).is_some_and(|objects| objects.is_read(ObjectKind::EnvoyFilter));
        let (verdict, note) = if expected.origin.certain && filters_read {
            let note =
                format!("no readable object accounts for it; expected {should} from {}", describe(&expected.origin));
            (Verdict::Unexplained, note)
        } else {
            let matched = cluster.destination_rule_hint.as_ref();
            let matched =
                matched.map_or_else(|| "no DestinationRule".to_owned(), |rule| format!("DestinationRule {rule}"));
            let note = format!(
                "{matched} matched, and {} gives {should}; {}",
                describe(&expected.origin),
                self.missing(class)
            );
            (Verdict::Unknown, note)
        };
        let origin = Origin::new(OriginKind::Unknown, false).with_note(note);
        Attribution { origin, expected: Some(expected), verdict }
    }

    /// What stands in the way of knowing, in words.
    fn missing(&self, class: &ProxyClass<'a>) -> String {
        let Some(objects) = self.objects(class) else {
            return "the mesh configuration and DestinationRules were not read".to_owned();
        };
        let mut missing = Vec::new();
        for kind in [ObjectKind::MeshConfig, ObjectKind::DestinationRule, ObjectKind::Sidecar, ObjectKind::EnvoyFilter]
        {
            match objects.coverage(kind) {
                Coverage::Read => {}
                Coverage::Partly(reason) => missing.push(format!("{kind} partly read ({reason})")),
                Coverage::Denied(reason) => missing.push(format!("{kind} not readable ({reason})")),
                Coverage::NotRead => missing.push(format!("{kind} not read")),
            }
        }
        if missing.is_empty() {
            return "the control plane of this proxy was not found".to_owned();
        }
        missing.join(", ")
    }

    /// What a cluster should hold. `None` where not even the mesh value is known.
    fn expected(
        &self,
        class: &ProxyClass<'a>,
        cluster: &'a EnvoyCluster,
        kind: ClusterKind,
        mut chain: Option<&mut Vec<Candidate>>,
    ) -> Option<Expected> {
        let mesh = class.mesh.and_then(|context| self.meshes.get(context));
        let effective = self.mesh_value(class);
        let mesh_origin = match (effective, class.told) {
            (Some(effective), _) => (effective.connect_timeout, effective.origin.clone()),
            (None, Some(told)) => {
                let note = format!("as BlackHoleCluster shows; {}", self.missing(class));
                (told, Origin::new(OriginKind::MeshConfig { source: MeshSource::Inferred }, false).with_note(note))
            }
            (None, None) => return self.rule_alone(class, cluster, mesh),
        };
        let mut current = Current::new(Some(mesh_origin.0), mesh_origin.1);
        let label =
            if current.origin.kind == OriginKind::MeshDefault { "Istio's built-in value" } else { "the mesh value" };
        record(&mut chain, || Candidate {
            origin: current.origin.clone(),
            value: current.value,
            outcome: Outcome::Won,
            reason: format!("{label}: what a cluster gets that nothing else gives one"),
        });
        let baseline = effective.and_then(|effective| effective.default_connection_pool);
        let role = class.representative.proxy.role;
        match kind {
            // What a filter adds may well go by a service's name.
            _ if adder(class, cluster).is_some() => added(class, cluster, &mut current, &mut chain)?,
            ClusterKind::Service => self.service(class, cluster, mesh, baseline, &mut current, &mut chain),
            ClusterKind::Passthrough if *cluster.name == *"PassthroughCluster" => {
                apply_baseline(baseline, false, &mut current, &mut chain);
            }
            ClusterKind::Other => return None,
            _ => {}
        }
        let mut perhaps = Vec::new();
        if let Some(mesh) = mesh
            && matches!(kind, ClusterKind::Service | ClusterKind::Passthrough | ClusterKind::BlackHole)
        {
            patch(mesh, class, cluster, role, &mut current, &mut perhaps, &mut chain);
        }
        Some(Expected { timeout: current.value, origin: current.origin, dropped: current.dropped, perhaps })
    }

    /// Without a mesh value a rule can still be the whole answer.
    fn rule_alone(
        &self,
        class: &ProxyClass<'a>,
        cluster: &'a EnvoyCluster,
        mesh: Option<&Mesh<'a>>,
    ) -> Option<Expected> {
        mesh?;
        let nothing = Origin::new(OriginKind::Unknown, false);
        let mut current = Current::new(None, nothing);
        if cluster.kind() == ClusterKind::Service {
            self.service(class, cluster, mesh, None, &mut current, &mut None);
        }
        let timeout = current.value?;
        Some(Expected { timeout: Some(timeout), origin: current.origin, dropped: None, perhaps: Vec::new() })
    }

    /// Applies rules, Sidecars and the mesh's default policy to a service's cluster.
    fn service(
        &self,
        class: &ProxyClass<'a>,
        cluster: &'a EnvoyCluster,
        mesh: Option<&Mesh<'a>>,
        baseline: Option<ConnectionPool>,
        current: &mut Current,
        chain: &mut Option<&mut Vec<Candidate>>,
    ) {
        let Some(name) = cluster.parts() else { return };
        let proxy = &class.representative.proxy;
        let inbound = name.direction == Direction::Inbound;
        let baseline = baseline.filter(|_| name.direction != Direction::InboundVip);
        let (host, namespace) = match cluster.services.first() {
            Some(service) if inbound => (&*service.host, &*service.namespace),
            _ if inbound && name.host.is_empty() => ("", proxy.id.namespace.as_str()),
            _ => (name.host, mesh.map_or("", |mesh| mesh.service_namespace(cluster, name.host))),
        };
        let rules_read = mesh.is_some_and(|mesh| mesh.objects.is_read(ObjectKind::DestinationRule));
        let Some(mesh) = mesh.filter(|_| rules_read) else {
            // Envoy's metadata name the rule that matched, whatever it sets.
            let reason = self.missing(class);
            current.origin.certain = false;
            match &cluster.destination_rule_hint {
                Some(hint) if cluster.connect_timeout != current.value => {
                    let (namespace, name) = hint.split_once('/').unwrap_or(("", hint));
                    current.value = cluster.connect_timeout;
                    let rule = ObjectRef::new(namespace, name);
                    current.origin = Origin::new(OriginKind::DestinationRule { rule, part: None }, false)
                        .with_note(format!("Envoy's metadata name it; {reason}"));
                }
                _ => current.origin.note = join(&current.origin.note, &reason),
            }
            return;
        };
        let port = if inbound {
            let service = host.split('.').next().unwrap_or_default();
            mesh.service_port(namespace, service, name.port).unwrap_or(name.port)
        } else {
            name.port
        };
        let subset = match name.direction {
            Direction::Outbound => name.subset,
            // A waypoint's `http/v1`, `tcp/v1`.
            Direction::InboundVip => name.subset.split_once('/').map_or("", |(_, subset)| subset),
            Direction::Inbound => "",
        };
        let labels = (!inbound).then_some(&proxy.labels);
        let found = if host.is_empty() { None } else { mesh.rules.find(&proxy.id.namespace, host, namespace, labels) };
        if let Some((rule, place)) = found {
            let resolved = policy::resolve(rule, port, subset);
            apply_baseline(baseline, resolved.winner.is_some() || resolved.clears_baseline, current, chain);
            apply_rule(rule, place, &resolved, current, chain);
        } else {
            apply_baseline(baseline, false, current, chain);
        }
        if chain.is_some() && !host.is_empty() {
            losers(mesh, class, host, found.map(|(rule, _)| rule), chain);
        }
        if inbound {
            apply_sidecar(class.sidecar, name.port, current, chain);
            if !mesh.objects.is_read(ObjectKind::Sidecar) && proxy.role == ProxyRole::Sidecar {
                current.origin.certain = false;
                current.origin.note = join(&current.origin.note, "Sidecars could not be read");
            }
        }
    }
}

/// The EnvoyFilter that adds a cluster of this name.
fn adder<'a>(class: &ProxyClass<'a>, cluster: &EnvoyCluster) -> Option<(&'a EnvoyFilter, &'a ClusterPatch)> {
    class.filters.iter().find_map(|filter| {
        let adds = |patch: &&ClusterPatch| patch.operation == PatchOperation::Add && patch.names == *cluster.name;
        filter.patches.iter().find(adds).map(|patch| (*filter, patch))
    })
}

/// A cluster that is not Istio's: an EnvoyFilter added it, or nobody knows.
fn added(
    class: &ProxyClass<'_>,
    cluster: &EnvoyCluster,
    current: &mut Current,
    chain: &mut Option<&mut Vec<Candidate>>,
) -> Option<()> {
    let (filter, patch) = adder(class, cluster)?;
    lose(chain, "a cluster that an EnvoyFilter adds gets nothing from Istio");
    *current = Current::new(patch.connect_timeout, filter_origin(filter, patch.index, true));
    record(chain, || Candidate {
        origin: current.origin.clone(),
        value: current.value,
        outcome: Outcome::Won,
        reason: "it adds this cluster".to_owned(),
    });
    Some(())
}

/// The value so far, while stronger candidates are looked at.
#[derive(Debug)]
struct Current {
    value: Option<Duration>,
    origin: Origin,
    dropped: Option<Dropped>,
    /// What is left where a block that sets nothing replaces everything above it.
    mesh: (Option<Duration>, Origin),
}

impl Current {
    fn new(value: Option<Duration>, origin: Origin) -> Self {
        Self { value, origin: origin.clone(), dropped: None, mesh: (value, origin) }
    }
}

fn record(chain: &mut Option<&mut Vec<Candidate>>, candidate: impl FnOnce() -> Candidate) {
    if let Some(chain) = chain {
        chain.push(candidate());
    }
}

/// What had won so far has lost.
fn lose(chain: &mut Option<&mut Vec<Candidate>>, reason: &str) {
    if let Some(chain) = chain {
        for candidate in chain.iter_mut().filter(|candidate| candidate.outcome == Outcome::Won) {
            candidate.outcome = Outcome::Lost;
            candidate.reason = reason.to_owned();
        }
    }
}

fn join(note: &str, more: &str) -> String {
    if note.is_empty() { more.to_owned() } else { format!("{note}; {more}") }
}

/// An origin in a sentence.
#[must_use]
pub fn describe(origin: &Origin) -> String {
    let kind = &origin.kind;
    match kind {
        OriginKind::MeshConfig { source: MeshSource::ConfigMap(object) | MeshSource::Shared(object) } => {
            format!("meshConfig.connectTimeout (ConfigMap {object})")
        }
        OriginKind::MeshConfig { source: MeshSource::Istiod(object) } => {
            format!("meshConfig.connectTimeout (istiod {object})")
        }
        OriginKind::MeshConfig { source: MeshSource::Inferred } => "meshConfig.connectTimeout".to_owned(),
        OriginKind::MeshDefault => "Istio's built-in default".to_owned(),
        OriginKind::MeshDefaultTrafficPolicy { object: Some(object) } => {
            format!("meshConfig.defaultTrafficPolicy {object}")
        }
        OriginKind::MeshDefaultTrafficPolicy { object: None } => "meshConfig.defaultTrafficPolicy".to_owned(),
        OriginKind::DestinationRule { rule, part: Some(part) } => format!("DestinationRule {rule} ({part})"),
        OriginKind::DestinationRule { rule, part: None } => format!("DestinationRule {rule}"),
        OriginKind::Sidecar { sidecar, part } => format!("Sidecar {sidecar} ({part})"),
        OriginKind::EnvoyFilter { filter, .. } => format!("EnvoyFilter {filter} ({})", kind.part()),
        OriginKind::Bootstrap => "the proxy's bootstrap".to_owned(),
        OriginKind::EnvoyDefault => "Envoy's default".to_owned(),
        OriginKind::Stale => "an earlier configuration".to_owned(),
        OriginKind::Unknown => "an unknown source".to_owned(),
    }
}

fn filter_origin(filter: &EnvoyFilter, index: usize, certain: bool) -> Origin {
    Origin::new(OriginKind::EnvoyFilter { filter: filter.meta.reference(), patch: index }, certain)
}

fn rule_origin(rule: &DestinationRule, part: Option<&RulePart>) -> Origin {
    Origin::new(OriginKind::DestinationRule { rule: rule.meta.reference(), part: part.cloned() }, true)
}

/// `meshConfig.defaultTrafficPolicy` stands in where no rule has a `connectionPool` at all.
fn apply_baseline(
    baseline: Option<ConnectionPool>,
    replaced: bool,
    current: &mut Current,
    chain: &mut Option<&mut Vec<Candidate>>,
) {
    let Some(pool) = baseline else { return };
    let object = current.origin.kind.object().cloned();
    let origin = Origin::new(OriginKind::MeshDefaultTrafficPolicy { object }, current.origin.certain);
    let outcome = match (replaced, pool.connect_timeout) {
        (true, _) => Outcome::Lost,
        (false, None) => Outcome::Silent,
        (false, Some(value)) => {
            lose(chain, "the mesh's default traffic policy sets one");
            current.value = Some(value);
            current.origin = origin.clone();
            Outcome::Won
        }
    };
    record(chain, || Candidate {
        origin,
        value: pool.connect_timeout,
        outcome,
        reason: match outcome {
            Outcome::Lost => {
                "a DestinationRule has settings of its own for this cluster, which replace these whole".into()
            }
            Outcome::Silent => "it sets no connectTimeout".into(),
            _ => "no DestinationRule has a connectionPool for this cluster".into(),
        },
    });
}

fn apply_rule(
    rule: &rules::MergedRule<'_>,
    place: rules::Place,
    resolved: &policy::Resolved<'_>,
    current: &mut Current,
    chain: &mut Option<&mut Vec<Candidate>>,
) {
    let value = resolved.pool().and_then(|pool| pool.connect_timeout);
    let last = resolved.parts.len().saturating_sub(1);
    // What decides is the winner, or the part that took the pool away.
    let decider = resolved.winner.unwrap_or(last);
    if let Some(part) = resolved.parts.get(decider) {
        let by = rule_origin(part.rule, Some(&part.part));
        if value.is_none() {
            let set = |part: &policy::Part<'_>| part.pool.and_then(|pool| pool.connect_timeout);
            let lost = resolved.parts[..decider].iter().rev().find_map(|part| set(part).map(|value| (part, value)));
            current.dropped = lost.map(|(part, value)| Dropped {
                origin: rule_origin(part.rule, Some(&part.part)),
                value,
                by: by.clone(),
            });
        }
    }
    for (index, part) in resolved.parts.iter().enumerate() {
        let set = part.pool.and_then(|pool| pool.connect_timeout);
        let wins = resolved.winner == Some(index) && set.is_some();
        if wins {
            lose(chain, "a DestinationRule sets one for this host");
        }
        record(chain, || {
            let below = resolved.parts.get(decider).map(|part| part.part.to_string()).unwrap_or_default();
            let (outcome, reason) = if wins {
                (Outcome::Won, format!("the rule for this host, found in {}", place.as_str()))
            } else if set.is_some() && index < decider {
                (Outcome::Lost, format!("{below} replaces its connectionPool whole"))
            } else if part.pool.is_some() {
                (Outcome::Silent, "its connectionPool sets no connectTimeout, and replaces its parent's whole".into())
            } else {
                (Outcome::Silent, "it has no connectionPool".into())
            };
            Candidate { origin: rule_origin(part.rule, Some(&part.part)), value: set, outcome, reason }
        });
    }
    if resolved.parts.is_empty() {
        record(chain, || Candidate {
            origin: rule_origin(rule.first, None),
            value: None,
            outcome: Outcome::Silent,
            reason: format!("the rule for this host, found in {}; it has no trafficPolicy", place.as_str()),
        });
    }
    if resolved.subset_missing {
        record(chain, || Candidate {
            origin: rule_origin(rule.first, None),
            value: None,
            outcome: Outcome::Silent,
            reason: "it has no subset of this name: the proxy's cluster is older than the rule".into(),
        });
    }
    if let (Some(value), Some(part)) = (value, resolved.parts.get(decider)) {
        current.value = Some(value);
        current.origin = rule_origin(part.rule, Some(&part.part));
        if part.rule.meta != rule.first.meta {
            current.origin.note = format!("merged into {}, which Envoy's metadata name", rule.first.meta);
        }
    }
}

/// For explanations: other rules for the host, and why they are not used.
fn losers(
    mesh: &Mesh<'_>,
    class: &ProxyClass<'_>,
    host: &str,
    found: Option<&rules::MergedRule<'_>>,
    chain: &mut Option<&mut Vec<Candidate>>,
) {
    let used = |rule: &DestinationRule| {
        found.is_some_and(|found| {
            found.first.meta == rule.meta || found.others.iter().any(|other| other.meta == rule.meta)
        })
    };
    let namespace = &class.representative.proxy.id.namespace;
    let mut unused: Vec<Candidate> = Vec::new();
    for rule in RuleIndex::all_for(&mesh.objects.destination_rules, host, mesh.domain) {
        if used(rule) {
            if let Some(found) = found
                && found.first.meta != rule.meta
                && rule.traffic_policy.is_some()
                && found.policy.is_some_and(|(owner, _)| owner.meta != rule.meta)
            {
                unused.push(Candidate {
                    origin: rule_origin(rule, Some(&RulePart::Policy)),
                    value: rule.traffic_policy.as_ref().and_then(|policy| policy.connection_pool?.connect_timeout),
                    outcome: Outcome::Lost,
                    reason: format!("merged into the older {}, whose trafficPolicy counts alone", found.first.meta),
                });
            }
            continue;
        }
        let reason = if rule.workload_selector.is_some() && rule.meta.namespace != *namespace {
            "its workloadSelector selects workloads of its own namespace only".to_owned()
        } else if rule
            .workload_selector
            .as_ref()
            .is_some_and(|selector| !selects(selector, &class.representative.proxy.labels))
        {
            "its workloadSelector does not select this workload".to_owned()
        } else if let Some(found) = found {
            if found.first.meta.namespace == rule.meta.namespace {
                format!("{} is more specific, or comes first", found.first.meta)
            } else {
                format!("{} comes first in the order client, service, root namespace", found.first.meta)
            }
        } else {
            format!("it is not visible to clients in {namespace}, or is in none of the namespaces that count")
        };
        unused.push(Candidate {
            origin: rule_origin(rule, Some(&RulePart::Policy)),
            value: rule.traffic_policy.as_ref().and_then(|policy| policy.connection_pool?.connect_timeout),
            outcome: Outcome::Lost,
            reason,
        });
    }
    if let Some(chain) = chain {
        // Behind the mesh's values, before the rule that won.
        let at = chain
            .iter()
            .position(|known| matches!(known.origin.kind, OriginKind::DestinationRule { .. }))
            .unwrap_or(chain.len());
        chain.splice(at..at, unused);
    }
}

/// The Sidecar that is for a workload: one that selects it, else its namespace's, else the root namespace's.
fn sidecar_of<'a>(mesh: &Mesh<'a>, namespace: &str, role: ProxyRole, labels: &Labels) -> Option<&'a Sidecar> {
    if role != ProxyRole::Sidecar {
        return None;
    }
    let of = |wanted: &str| {
        let wanted = wanted.to_owned();
        mesh.objects.sidecars.iter().filter(move |sidecar| sidecar.meta.namespace == wanted)
    };
    let selecting =
        |sidecar: &&Sidecar| sidecar.workload_selector.as_ref().is_some_and(|labels_| selects(labels_, labels));
    let for_all = |sidecar: &&Sidecar| sidecar.workload_selector.is_none();
    of(namespace).find(selecting).or_else(|| of(namespace).find(for_all)).or_else(|| of(&mesh.root).find(for_all))
}

fn apply_sidecar(sidecar: Option<&Sidecar>, port: u16, current: &mut Current, chain: &mut Option<&mut Vec<Candidate>>) {
    let Some(sidecar) = sidecar else { return };
    let listener = sidecar.ingress.iter().find(|ingress| ingress.port == port).and_then(|found| found.connection_pool);
    let (part, pool) = match (listener, sidecar.inbound_connection_pool) {
        (Some(pool), _) => (SidecarPart::Ingress(port), pool),
        (None, Some(pool)) => (SidecarPart::Inbound, pool),
        (None, None) => return,
    };
    let origin = Origin::new(OriginKind::Sidecar { sidecar: sidecar.meta.reference(), part }, true);
    match pool.connect_timeout {
        Some(value) => {
            lose(chain, "the Sidecar's connection pool replaces it");
            current.value = Some(value);
            current.origin = origin.clone();
        }
        None => {
            // The block replaces the rule's, so the mesh value is what is left; but only a rule's value is lost.
            if matches!(
                current.origin.kind,
                OriginKind::DestinationRule { .. } | OriginKind::MeshDefaultTrafficPolicy { .. }
            ) && let Some(value) = current.value
            {
                current.dropped = Some(Dropped { origin: current.origin.clone(), value, by: origin.clone() });
                lose(chain, "the Sidecar's connection pool replaces it, and sets no connectTimeout");
                (current.value, current.origin) = current.mesh.clone();
                if let Some(mesh) = chain.as_mut().and_then(|chain| chain.first_mut()) {
                    mesh.outcome = Outcome::Won;
                    mesh.reason =
                        "the mesh value: the Sidecar's connection pool replaces the rest and sets none".into();
                }
            }
        }
    }
    record(chain, || Candidate {
        origin,
        value: pool.connect_timeout,
        outcome: if pool.connect_timeout.is_some() { Outcome::Won } else { Outcome::Silent },
        reason: "the Sidecar for this workload".to_owned(),
    });
}

/// EnvoyFilters come last, and leave no trace in Envoy's metadata.
fn patch(
    mesh: &Mesh<'_>,
    class: &ProxyClass<'_>,
    cluster: &EnvoyCluster,
    role: ProxyRole,
    current: &mut Current,
    perhaps: &mut Vec<(Origin, Duration)>,
    chain: &mut Option<&mut Vec<Candidate>>,
) {
    let services: Vec<&str> = cluster.services.iter().map(|service| &*service.host).collect();
    let version = &class.representative.proxy.istio_version;
    for filter in &class.filters {
        for patch in &filter.patches {
            let Some(value) = patch.connect_timeout.filter(|_| patch.operation == PatchOperation::Merge) else {
                continue;
            };
            let origin = filter_origin(filter, patch.index, true);
            match mesh.filters.matches(patch, cluster, role, version, &services) {
                Match::No => {}
                Match::Yes if patch.transport_socket => record(chain, || Candidate {
                    origin,
                    value: Some(value),
                    outcome: Outcome::Lost,
                    reason: "it has a transport_socket, and Istio then merges nothing else of the patch".into(),
                }),
                Match::Yes => {
                    lose(chain, "an EnvoyFilter sets another");
                    current.value = Some(value);
                    current.origin = origin.clone();
                    record(chain, || Candidate {
                        origin,
                        value: Some(value),
                        outcome: Outcome::Won,
                        reason: "it matches this cluster, and EnvoyFilters come last".into(),
                    });
                }
                Match::Perhaps(reason) => {
                    let mut origin = origin.with_note(reason);
                    origin.certain = false;
                    perhaps.push((origin.clone(), value));
                    record(chain, || Candidate {
                        origin,
                        value: Some(value),
                        outcome: Outcome::Perhaps,
                        reason: reason.to_owned(),
                    });
                }
            }
        }
    }
}
