//! What each layer says of one cluster of one class of proxies.

mod patch;
mod service;

use std::cell::Cell;
use std::time::Duration;

use service::Service;

use super::classes::ProxyClass;
use super::filters::Attached;
use super::mesh::Mesh;
use super::policy::{self, Resolved};
use super::resolution::{Dropped, Layer, Resolution};
use super::rules::{MergedRule, Place, covers, full_host, is_named};
use super::selection::Selected;
use super::words::rule_origin;
use super::{Attributor, RuleFor};
use crate::model::istio::{ConnectionPool, DestinationRule, ObjectKind, Sidecar};
use crate::model::{
    ClusterKind, Direction, EnvoyCluster, MeshSource, ObjectRef, Origin, OriginKind, ProxyRole, RulePart, SidecarPart,
    TUNNELS,
};

/// Which DestinationRule Envoy's metadata have to name, if the search went Istio's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Named {
    /// This one.
    Rule(ObjectRef),
    /// None.
    Nothing,
    /// They do not say, for a cluster of this kind.
    Untold,
}

/// What one way of reading the configuration comes to.
pub(super) struct Answer {
    pub(super) resolution: Resolution,
    pub(super) named: Named,
}

/// A cluster, and everything that decides about it.
pub(super) struct Question<'q, 'a> {
    attributor: &'q Attributor<'a>,
    class: &'q ProxyClass<'a>,
    mesh: &'q Mesh<'a>,
    cluster: &'a EnvoyCluster,
    row: Option<u32>,
    kind: ClusterKind,
    /// The class's filters, by this way of reading.
    filters: &'q [Attached<'a>],
    sidecar: Option<&'a Sidecar>,
    /// What was found by a hint, and not by what is known.
    doubtful: Cell<bool>,
}

impl<'q, 'a> Question<'q, 'a> {
    /// `behaviour` is one of the control plane's; `row` is the cluster's position among the snapshot's, where it is one of
    /// them. `None` where the class's control plane is not known.
    pub(super) fn new(
        attributor: &'q Attributor<'a>,
        class: &'q ProxyClass<'a>,
        behaviour: usize,
        cluster: &'a EnvoyCluster,
        row: Option<u32>,
    ) -> Option<Self> {
        let mesh = attributor.plane(class)?.mesh(behaviour);
        let filters = class.filters.get(behaviour).map_or(&[][..], Vec::as_slice);
        let kind = cluster.kind();
        let doubtful = Cell::new(false);
        Some(Self { attributor, class, mesh, cluster, row, kind, filters, sidecar: class.sidecar, doubtful })
    }

    fn proxy(&self) -> &'a crate::model::Proxy {
        &self.class.representative.proxy
    }

    /// What the cluster should hold. `None` where not even the mesh's value is known, or nobody knows the cluster.
    pub(super) fn answer(&self, trail: bool) -> Option<Answer> {
        let mut answer = self.resolve(trail)?;
        answer.resolution.settle(self.cluster.connect_timeout);
        Some(answer)
    }

    fn resolve(&self, trail: bool) -> Option<Answer> {
        let mut resolution = self.mesh_value(trail)?;
        let mut named = Named::Untold;
        if let Some(doubt) = &self.mesh.doubt {
            resolution.doubt(doubt.as_str());
        }
        if let Some((filter, patch)) = self.adder() {
            self.added(filter, patch, &mut resolution);
            return Some(Answer { resolution, named });
        }
        match self.kind {
            ClusterKind::Service => named = self.service(&mut resolution),
            ClusterKind::Passthrough => self.passthrough(&mut resolution),
            ClusterKind::Other => {
                self.renamed(&mut resolution)?;
                return Some(Answer { resolution, named });
            }
            _ => {}
        }
        self.patch(&mut resolution);
        Some(Answer { resolution, named })
    }

    /// Begins with the mesh's value: what the configuration says, or what proxies show that they were told.
    fn mesh_value(&self, trail: bool) -> Option<Resolution> {
        let told = self.class.told;
        let by = self.class.told_by();
        let shown =
            |note: String| Origin::new(OriginKind::MeshConfig { source: MeshSource::Inferred }, false).with_note(note);
        let (value, origin, doubt) = match (self.attributor.mesh_value(self.class), told) {
            (Some(mesh), told) => match (&mesh.doubt, told) {
                // What proxies hold settles what is in force.
                (Some(doubt), Some(told)) if told == mesh.connect_timeout => {
                    let note = format!("as {by} shows; {doubt}");
                    (mesh.connect_timeout, mesh.origin.clone().with_note(note), None)
                }
                (Some(doubt), Some(told)) if mesh.or_built_in == Some(told) => (
                    told,
                    Origin::new(OriginKind::MeshDefault, true).with_note(format!("as {by} shows; {doubt}")),
                    None,
                ),
                (Some(doubt), Some(told)) => (told, shown(format!("as {by} shows; {doubt}")), None),
                (Some(doubt), None) => (mesh.connect_timeout, mesh.origin.clone(), Some(doubt.clone())),
                (None, _) => (mesh.connect_timeout, mesh.origin.clone(), None),
            },
            (None, Some(told)) => {
                let note = format!("as {by} shows; {}", self.attributor.missing(self.class));
                (told, shown(note), None)
            }
            (None, None) => return self.rule_alone(trail),
        };
        let label = if origin.kind == OriginKind::MeshDefault { "Istio's built-in value" } else { "the mesh value" };
        let reason = || format!("{label}: what a cluster gets that nothing else gives one");
        let mut resolution = Resolution::new(Some(value), origin, trail, reason);
        resolution.mesh_doubt = doubt;
        Some(resolution)
    }

    /// Without a mesh value a rule can still be the whole answer.
    fn rule_alone(&self, trail: bool) -> Option<Resolution> {
        let nothing = || Origin::new(OriginKind::Unknown, false);
        if self.kind != ClusterKind::Service {
            return None;
        }
        let mut resolution = Resolution::new(None, nothing(), false, String::new);
        self.service(&mut resolution);
        resolution.value?;
        Some(Resolution::new(None, nothing(), trail, || "the mesh's value could not be read".to_owned()))
    }

    // DestinationRules and defaultTrafficPolicy.

    fn baseline(&self) -> Option<ConnectionPool> {
        let mesh = self.attributor.mesh_value(self.class)?;
        mesh.default_connection_pool.filter(|_| self.mesh.behaviour.default_traffic_policy)
    }

    fn passthrough(&self, resolution: &mut Resolution) {
        let name = &*self.cluster.name;
        if TUNNELS.contains(&name) && !self.mesh.behaviour.tunnels_by_mesh {
            let origin = Origin::new(OriginKind::MeshDefault, true)
                .with_note("a constant of Istio up to 1.23.0, whatever the mesh configuration says");
            resolution.offer(
                Layer::Mesh,
                origin,
                Duration::from_secs(2),
                "up to 1.23.0 it does not count here",
                || "Istio up to 1.23.0 gives tunnels 2s".to_owned(),
            );
        } else if matches!(name, "PassthroughCluster" | "InboundPassthroughCluster") {
            self.apply_baseline(self.baseline(), false, resolution);
        }
    }

    /// Applies rules, Sidecars and the mesh's default policy to a service's cluster.
    fn service(&self, resolution: &mut Resolution) -> Named {
        let Some(name) = self.cluster.parts() else { return Named::Untold };
        let inbound = name.direction == Direction::Inbound;
        if name.direction == Direction::InboundVip && !self.mesh.behaviour.waypoint_timeouts {
            let origin = Origin::new(OriginKind::EnvoyDefault, true)
                .with_note("waypoints of Istio up to 1.22 get no timeout for services");
            resolution.value = None;
            resolution.origin = origin;
            return Named::Untold;
        }
        let workload = if inbound { Some(self.workload()) } else { None };
        let Some(service) = self.service_of(name, workload.as_ref()) else { return Named::Untold };
        let mut named = if self.mesh.objects.is_read(ObjectKind::DestinationRule) {
            let found = self.find(&service);
            self.apply_found(&service, found, resolution)
        } else {
            self.by_metadata(resolution);
            Named::Untold
        };
        if inbound {
            self.apply_sidecar(name.port, resolution);
            // Without metadata of services, Istio has none to name the rule in either.
            if self.cluster.services.is_empty() {
                named = Named::Untold;
            }
        }
        named
    }

    fn apply_found(
        &self,
        service: &Service<'_>,
        found: Option<(&MergedRule<'a>, Place)>,
        resolution: &mut Resolution,
    ) -> Named {
        let baseline = self.baseline().filter(|_| service.baseline);
        let namespace = self.proxy().id.namespace.as_str();
        let places = [namespace, service.namespace, self.mesh.root.as_str()];
        if self.mesh.is_misread(ObjectKind::DestinationRule, &places) {
            resolution.doubt("a DestinationRule that may be for this host was not understood");
        }
        if self.doubtful.get() && !self.class.has_metadata(self.attributor.snapshot) {
            resolution.doubt("a DestinationRule selects by a label that istiod adds, and that is not known");
        }
        if resolution.is_traced() && !service.host.is_empty() {
            self.losers(service, found.map(|(rule, _)| rule), resolution);
        }
        let Some((rule, place)) = found else {
            resolution.silent(Layer::DestinationRule, None, || {
                if service.ruled {
                    format!("none for this host in {namespace}, the service's namespace or the root namespace")
                } else {
                    "no rule reaches this cluster: its service is not one that the proxy sees".to_owned()
                }
            });
            self.apply_baseline(baseline, false, resolution);
            return Named::Nothing;
        };
        let resolved = policy::resolve(rule, service.port, service.subset);
        self.apply_baseline(baseline, resolved.winner.is_some() || resolved.clears_baseline, resolution);
        apply_rule(rule, place, &resolved, resolution);
        if let Some(doubt) = &service.port_doubt
            && rule.policies.iter().chain(&rule.backend).any(|(_, policy)| !policy.port_level.is_empty())
        {
            resolution.doubt(doubt.as_str());
        }
        // On the side of the service, a rule is named only where it has a policy.
        let named = resolved.is_policy || !self.is_server_side();
        if named { Named::Rule(rule.first.meta.reference()) } else { Named::Nothing }
    }

    /// Whether the cluster is on the side of the service: of the workload itself, or of its waypoint.
    fn is_server_side(&self) -> bool {
        self.cluster.parts().is_some_and(|name| name.direction != Direction::Outbound)
    }

    /// Where rules could not be read, Envoy's metadata still name the one that matched, whatever it sets.
    fn by_metadata(&self, resolution: &mut Resolution) {
        let reason = self.attributor.missing(self.class);
        match &self.cluster.destination_rule_hint {
            Some(hint) if self.cluster.connect_timeout != resolution.value => {
                let (namespace, name) = hint.split_once('/').unwrap_or(("", hint));
                let rule = ObjectRef::new(namespace, name);
                let origin = Origin::new(OriginKind::DestinationRule { rule, part: None }, false)
                    .with_note(format!("Envoy's metadata name it; {reason}"));
                if let Some(value) = self.cluster.connect_timeout {
                    resolution.offer(Layer::DestinationRule, origin, value, "a DestinationRule matched", || {
                        "Envoy's metadata name it".to_owned()
                    });
                }
                resolution.doubt(reason);
            }
            _ => {
                resolution.silent(Layer::DestinationRule, None, || reason.clone());
                resolution.doubt(reason);
            }
        }
    }

    /// The rule for a service's host.
    fn find(&self, service: &Service<'_>) -> Option<(&'q MergedRule<'a>, Place)> {
        if !service.ruled || service.host.is_empty() {
            return None;
        }
        let proxy = self.proxy();
        let hint = self.cluster.destination_rule_hint.as_deref();
        let selected = |rule: &MergedRule<'a>| {
            let labels = self.mesh.labels(proxy);
            let selected = rule.selector.map_or(Selected::Yes, |selector| labels.selected(selector));
            if selected == Selected::Perhaps {
                self.doubtful.set(true);
            }
            is_named(rule, selected, hint)
        };
        let selecting: Option<&dyn Fn(&MergedRule<'a>) -> bool> =
            if service.selecting { Some(&selected) } else { None };
        self.mesh.rules.find(&proxy.id.namespace, service.host, service.namespace, selecting)
    }

    /// The rule, and all that a change of it has to know.
    pub(super) fn rule_for(&self) -> Option<RuleFor<'a>> {
        let name = self.cluster.parts()?;
        let workload = (name.direction == Direction::Inbound).then(|| self.workload());
        let service = self.service_of(name, workload.as_ref())?;
        let found = self.find(&service).map(|(rule, _)| rule);
        let written = |rule: &&'a DestinationRule| rule.made_of.is_none();
        Some(RuleFor {
            host: service.host.to_owned(),
            first: found.map(|rule| rule.first).filter(written),
            policy: found.and_then(MergedRule::policy_owner).filter(written),
            subsets: found.map(|rule| rule.subsets.clone()).unwrap_or_default(),
            made: found.and_then(|found| {
                let mut merged = std::iter::once(found.first).chain(found.others.iter().copied());
                merged.find(|rule| rule.made_of.is_some())
            }),
            port: service.port,
            subset: service.subset.to_owned(),
            baseline: service.baseline && self.baseline().is_some(),
            service_namespace: service.namespace.to_owned(),
            root_namespace: self.mesh.root.clone(),
        })
    }

    /// `meshConfig.defaultTrafficPolicy` stands in where no rule has a `connectionPool` at all.
    fn apply_baseline(&self, baseline: Option<ConnectionPool>, replaced: bool, resolution: &mut Resolution) {
        let Some(pool) = baseline else { return };
        let object = resolution.origin.kind.object().cloned();
        let certain = resolution.origin.certain;
        let origin = Origin::new(OriginKind::MeshDefaultTrafficPolicy { object }, certain);
        match (replaced, pool.connect_timeout) {
            (true, value) => resolution.lost(Layer::DefaultTrafficPolicy, origin, value, || {
                "a DestinationRule has settings of its own for this cluster, which replace these whole".to_owned()
            }),
            (false, None) => {
                resolution.silent(Layer::DefaultTrafficPolicy, Some(origin), || "it sets no connectTimeout".to_owned());
            }
            (false, Some(value)) => {
                resolution.offer(
                    Layer::DefaultTrafficPolicy,
                    origin,
                    value,
                    "the mesh's default traffic policy sets one",
                    || "no DestinationRule has a connectionPool for this cluster".to_owned(),
                );
            }
        }
    }

    /// For explanations: other rules for the host, and why they are not used.
    fn losers(&self, service: &Service<'_>, found: Option<&MergedRule<'a>>, resolution: &mut Resolution) {
        let proxy = self.proxy();
        let namespace = &proxy.id.namespace;
        let labels = self.mesh.labels(proxy);
        let hosts = |rule: &DestinationRule| full_host(&rule.host, &rule.meta.namespace, self.mesh.domain);
        let rules = &self.mesh.objects.destination_rules;
        for rule in rules.iter().filter(|rule| covers(&hosts(rule), service.host)) {
            let is = |other: &DestinationRule| std::ptr::eq(other, rule);
            let used = found.filter(|found| is(found.first) || found.others.iter().any(|other| is(other)));
            let reason = match (used, found) {
                (Some(merged), _) => {
                    let counts = merged.policies.is_empty() || merged.policies.iter().any(|(owner, _)| is(owner));
                    let loses = !is(merged.first) && !counts;
                    if !loses || rule.traffic_policy.is_none() {
                        continue;
                    }
                    format!("merged into {}, of which one trafficPolicy counts alone", merged.first.meta)
                }
                (None, _) if !self.mesh.reads(&rule.source.labels, &rule.meta.namespace) => {
                    "this proxy's control plane does not read it: its revision, or discoverySelectors".to_owned()
                }
                (None, _) if rule.workload_selector.is_some() && rule.meta.namespace != *namespace => {
                    "its workloadSelector selects workloads of its own namespace only".to_owned()
                }
                (None, _)
                    if rule
                        .workload_selector
                        .as_ref()
                        .is_some_and(|selector| !service.selecting || labels.selected(selector) == Selected::No) =>
                {
                    "its workloadSelector does not select this workload, or this side of it".to_owned()
                }
                (None, Some(found)) if found.first.meta.namespace == rule.meta.namespace => {
                    format!("{} is more specific, or comes first", found.first.meta)
                }
                (None, Some(found)) => {
                    format!("{} comes first in the order client, service, root namespace", found.first.meta)
                }
                (None, None) => {
                    format!("it is not visible to clients in {namespace}, or is in none of the namespaces that count")
                }
            };
            let value = rule.traffic_policy.as_ref().and_then(|policy| policy.connection_pool?.connect_timeout);
            let origin = rule_origin(rule, Some(&RulePart::Policy));
            resolution.lost(Layer::DestinationRule, origin, value, || reason);
        }
    }

    // Sidecars.

    fn apply_sidecar(&self, port: u16, resolution: &mut Resolution) {
        if self.proxy().role != ProxyRole::Sidecar {
            return;
        }
        let (own, root) = (self.proxy().id.namespace.as_str(), self.mesh.root.as_str());
        if !self.mesh.objects.is_read(ObjectKind::Sidecar) {
            resolution.doubt("Sidecars could not be read");
        } else if self.mesh.is_misread(ObjectKind::Sidecar, &[own, root]) {
            resolution.doubt("a Sidecar that may be for this workload was not understood");
        } else if !self.class.sidecar_certain {
            resolution.doubt("a Sidecar selects by a label that istiod adds, and that is not known");
        }
        let sidecar = self.sidecar.filter(|_| self.mesh.behaviour.inbound_pools);
        let Some(sidecar) = sidecar else {
            resolution.silent(Layer::Sidecar, None, || "none with a connection pool is for this workload".to_owned());
            return;
        };
        // Of several listeners of one port, the first that has a pool.
        let listener =
            sidecar.ingress.iter().filter(|ingress| ingress.port == port).find_map(|found| found.connection_pool);
        let (part, pool) = match (listener, sidecar.inbound_connection_pool) {
            (Some(pool), _) => (SidecarPart::Ingress(port), pool),
            (None, Some(pool)) => (SidecarPart::Inbound, pool),
            (None, None) => {
                resolution.silent(Layer::Sidecar, None, || format!("{} has no connection pool here", sidecar.meta));
                return;
            }
        };
        let origin = Origin::new(OriginKind::Sidecar { sidecar: sidecar.meta.reference(), part }, true);
        if let Some(value) = pool.connect_timeout {
            resolution.offer(Layer::Sidecar, origin, value, "the Sidecar's connection pool replaces it", || {
                "the Sidecar for this workload".to_owned()
            });
            return;
        }
        if let Some(value) = resolution.value
            && matches!(
                resolution.origin.kind,
                OriginKind::DestinationRule { .. } | OriginKind::MeshDefaultTrafficPolicy { .. }
            )
        {
            resolution.dropped = Some(Dropped { origin: resolution.origin.clone(), value, by: origin.clone() });
            resolution.replace("the Sidecar's connection pool replaces it, and sets no connectTimeout");
        }
        resolution.silent(Layer::Sidecar, Some(origin), || "the Sidecar for this workload".to_owned());
    }
}

fn apply_rule(rule: &MergedRule<'_>, place: Place, resolved: &Resolved<'_>, resolution: &mut Resolution) {
    let origin = |part: &policy::Part<'_>| {
        let origin = rule_origin(part.rule, Some(&part.part));
        match &part.rule.made_of {
            Some(policies) => origin.with_note(format!("istiod makes it of {policies}")),
            None => origin,
        }
    };
    if let Some((lost, by)) = resolved.lost {
        let (lost, by) = (&resolved.parts[lost], &resolved.parts[by]);
        resolution.dropped = lost.timeout().map(|value| Dropped { origin: origin(lost), value, by: origin(by) });
    }
    for (index, part) in resolved.parts.iter().enumerate() {
        let stronger = resolved.parts.iter().skip(index + 1).rev().find(|part| part.pool.is_some());
        match part.timeout() {
            Some(value) if resolved.winner == Some(index) => {
                let mut origin = origin(part);
                if part.rule.meta != rule.first.meta {
                    origin = origin.with_note(format!("merged into {}, which Envoy's metadata name", rule.first.meta));
                }
                resolution.offer(
                    Layer::DestinationRule,
                    origin,
                    value,
                    "a DestinationRule sets one for this host",
                    || format!("the rule for this host, found in {}", place.as_str()),
                );
            }
            Some(value) => resolution.lost(Layer::DestinationRule, origin(part), Some(value), || {
                let by = stronger.or(resolved.parts.last()).map(|part| part.part.to_string()).unwrap_or_default();
                format!("{by} replaces its connectionPool whole")
            }),
            None => resolution.silent(Layer::DestinationRule, Some(origin(part)), || {
                if part.pool.is_some() {
                    "its connectionPool sets no connectTimeout, and replaces its parent's whole".to_owned()
                } else {
                    "it has no connectionPool".to_owned()
                }
            }),
        }
    }
    if resolved.parts.is_empty() {
        let origin = rule_origin(rule.first, None);
        resolution.silent(Layer::DestinationRule, Some(origin), || {
            format!("the rule for this host, found in {}; it has no trafficPolicy", place.as_str())
        });
    }
    if resolved.subset_missing {
        resolution.silent(Layer::DestinationRule, Some(rule_origin(rule.first, None)), || {
            "it has no subset of this name: the proxy's cluster is older than the rule".to_owned()
        });
    }
}
