//! What EnvoyFilters do to a cluster.

use std::time::Duration;

use super::Question;
use crate::attribute::filters::{self, Match};
use crate::attribute::resolution::{Layer, Resolution};
use crate::attribute::words::filter_origin;
use crate::model::istio::{ClusterPatch, EnvoyFilter, ObjectKind, PatchContext, PatchOperation};
use crate::model::{ClusterKind, Direction, ProxyRole};

impl<'a> Question<'_, 'a> {
    /// The hosts that an inbound cluster stands for: of all services behind its port, whatever their own.
    fn hosts(&self) -> (Vec<String>, bool) {
        let named = || self.cluster.services.iter().map(|service| service.host.to_string()).collect();
        let Some(name) = self.cluster.parts().filter(|name| name.direction == Direction::Inbound) else {
            return (named(), true);
        };
        if self.by_listener(name.port) {
            let workload = self.workload();
            let (host, _) = self.inbound_service(name, &workload);
            if !host.is_empty() {
                return (vec![host.to_owned()], true);
            }
            let sidecar = self.sidecar.map(|sidecar| format!("{}.{}", sidecar.meta.name, sidecar.meta.namespace));
            return (sidecar.into_iter().collect(), true);
        }
        let mut hosts: Vec<String> = named();
        let workload = self.workload();
        for target in workload.at(name.port) {
            if !hosts.contains(&target.host) {
                hosts.push(target.host.clone());
            }
        }
        (hosts, self.mesh.objects.is_read(ObjectKind::Service) && workload.is_resolved())
    }

    /// Every patch that is, or may be, for the cluster.
    pub(in crate::attribute) fn patches(&self) -> Vec<(&'a EnvoyFilter, &'a ClusterPatch)> {
        let Some(context) = filters::context_of(self.cluster, self.proxy().role) else { return Vec::new() };
        let (hosts, _) = self.hosts();
        let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
        let all = self.filters.iter().flat_map(|found| found.filter.patches.iter().map(|patch| (found.filter, patch)));
        all.filter(|(_, patch)| match patch.operation {
            PatchOperation::Add => filters::adds_in(patch, context) && patch.names == *self.cluster.name,
            _ => {
                filters::in_context(patch, context)
                    && self.mesh.filters.matches(patch, self.cluster, self.proxy(), &hosts) != Match::No
            }
        })
        .collect()
    }

    /// EnvoyFilters come last, and leave no trace in Envoy's metadata.
    pub(super) fn patch(&self, resolution: &mut Resolution) {
        let role = self.proxy().role;
        let Some(context) = filters::context_of(self.cluster, role) else { return };
        let (own, root) = (self.proxy().id.namespace.as_str(), self.mesh.root.as_str());
        if !self.mesh.objects.is_read(ObjectKind::EnvoyFilter) {
            resolution.doubt("EnvoyFilters could not be read");
        } else if self.mesh.is_misread(ObjectKind::EnvoyFilter, &[own, root]) {
            resolution.doubt("an EnvoyFilter that may be for this proxy was not understood");
        }
        if self.filters.is_empty() {
            resolution.silent(Layer::EnvoyFilter, None, || "none is for this proxy".to_owned());
            return;
        }
        let by_service =
            self.filters.iter().flat_map(|found| &found.filter.patches).any(|patch| !patch.service.is_empty());
        let (hosts, complete) = if by_service { self.hosts() } else { (Vec::new(), true) };
        let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
        for found in self.filters {
            for patch in &found.filter.patches {
                let Some(value) = patch.connect_timeout.filter(|_| filters::merges(patch, &self.mesh.behaviour)) else {
                    continue;
                };
                if !filters::in_context(patch, context) {
                    continue;
                }
                let matched = match self.mesh.filters.matches(patch, self.cluster, self.proxy(), &hosts) {
                    Match::No if !complete && context == PatchContext::SidecarInbound && !patch.service.is_empty() => {
                        Match::Perhaps("it may be that its service is behind this port, too")
                    }
                    Match::Yes if !found.certain => Match::Perhaps("it selects by a label that istiod adds"),
                    matched => matched,
                };
                self.apply_patch(found.filter, patch, value, matched, resolution);
            }
        }
    }

    fn apply_patch(
        &self,
        filter: &EnvoyFilter,
        patch: &ClusterPatch,
        value: Duration,
        matched: Match,
        resolution: &mut Resolution,
    ) {
        let origin = filter_origin(filter, patch.index, true);
        let value = match resolution.value {
            Some(current) if !self.mesh.behaviour.durations_replace => {
                let seconds = if value.as_secs() == 0 { current.as_secs() } else { value.as_secs() };
                let nanos = if value.subsec_nanos() == 0 { current.subsec_nanos() } else { value.subsec_nanos() };
                Duration::new(seconds, nanos)
            }
            _ => value,
        };
        match matched {
            Match::No => {
                resolution.silent(Layer::EnvoyFilter, Some(origin), || "it is not for this cluster".to_owned())
            }
            Match::Yes if patch.transport_socket => resolution.lost(Layer::EnvoyFilter, origin, Some(value), || {
                "it has a transport_socket, and Istio then merges nothing else of the patch".to_owned()
            }),
            Match::Yes => {
                resolution.offer(Layer::EnvoyFilter, origin, value, "an EnvoyFilter sets another", || {
                    "it matches this cluster, and EnvoyFilters come last".to_owned()
                });
                // What may have come before has been overwritten.
                resolution.perhaps.clear();
            }
            Match::Perhaps(_) if patch.transport_socket => {}
            Match::Perhaps(reason) => {
                resolution.perhaps(Layer::EnvoyFilter, origin.with_note(reason), value, reason);
            }
        }
    }

    /// The EnvoyFilter that adds this cluster. Istio keeps the first of a name, so what it has itself before that stays
    /// (`normalizeClusters`), unless a patch removes it.
    pub(super) fn adder(&self) -> Option<(&'a EnvoyFilter, &'a ClusterPatch)> {
        let adds = |patch: &ClusterPatch| patch.operation == PatchOperation::Add && patch.names == *self.cluster.name;
        if !self.filters.iter().flat_map(|found| &found.filter.patches).any(adds) {
            return None;
        }
        let in_phase = |context: PatchContext| {
            let all =
                self.filters.iter().flat_map(|found| found.filter.patches.iter().map(|patch| (found.filter, patch)));
            { all }.find(|(_, patch)| {
                adds(patch)
                    && filters::adds_in(patch, context)
                    && self.mesh.filters.matches_proxy(patch, self.proxy()) == Match::Yes
            })
        };
        let own = self.is_istios_own();
        let server_side = self.cluster.name.starts_with("InboundPassthrough")
            || self.cluster.parts().is_some_and(|name| name.direction == Direction::Inbound);
        match self.proxy().role {
            ProxyRole::Gateway if own => None,
            ProxyRole::Gateway => in_phase(PatchContext::Gateway),
            ProxyRole::Waypoint if own => None,
            ProxyRole::Waypoint => in_phase(PatchContext::SidecarInbound),
            ProxyRole::Sidecar if own && !server_side => None,
            ProxyRole::Sidecar => {
                let outbound = in_phase(PatchContext::SidecarOutbound);
                outbound.or_else(|| in_phase(PatchContext::SidecarInbound).filter(|_| !own))
            }
        }
    }

    /// Whether Istio itself has a cluster of this name for the proxy, which no patch takes away.
    fn is_istios_own(&self) -> bool {
        let made = match self.kind {
            ClusterKind::Passthrough | ClusterKind::BlackHole | ClusterKind::Internal => true,
            ClusterKind::Service => {
                let named = !self.cluster.services.is_empty() || self.cluster.destination_rule_hint.is_some();
                named
                    || self.cluster.parts().is_some_and(|name| match name.direction {
                        Direction::Inbound => {
                            self.by_listener(name.port) || self.workload().at(name.port).next().is_some()
                        }
                        _ => {
                            let silent = !self.mesh.behaviour.names_services || self.mesh.hosts.is_dynamic(name.host);
                            silent && self.mesh.hosts.knows(name.host)
                        }
                    })
            }
            ClusterKind::Bootstrap | ClusterKind::Other => false,
        };
        made && !self.patches().iter().any(|(_, patch)| patch.operation == PatchOperation::Remove)
    }

    /// A cluster that is not Istio's: an EnvoyFilter added it.
    pub(super) fn added(&self, filter: &EnvoyFilter, patch: &ClusterPatch, resolution: &mut Resolution) {
        let origin = filter_origin(filter, patch.index, true);
        let losers = "a cluster that an EnvoyFilter adds gets nothing from Istio";
        match patch.connect_timeout {
            Some(value) => {
                resolution.offer(Layer::EnvoyFilter, origin, value, losers, || "it adds this cluster".to_owned());
            }
            None => {
                resolution.offer(Layer::EnvoyFilter, origin, Duration::ZERO, losers, || {
                    "it adds this cluster, and sets no connect_timeout".to_owned()
                });
                resolution.value = None;
            }
        }
    }

    /// A cluster of a name that is not Istio's and that no filter adds: one may have renamed it.
    pub(super) fn renamed(&self, resolution: &mut Resolution) -> Option<()> {
        let renames = |patch: &&ClusterPatch| {
            filters::merges(patch, &self.mesh.behaviour) && patch.names == *self.cluster.name && !patch.transport_socket
        };
        let mut found = self
            .filters
            .iter()
            .filter_map(|found| found.filter.patches.iter().find(renames).map(|patch| (found, patch)));
        let ((found, patch), None) = (found.next()?, found.next()) else { return None };
        let value = patch.connect_timeout?;
        let origin = filter_origin(found.filter, patch.index, true);
        resolution.offer(Layer::EnvoyFilter, origin, value, "an EnvoyFilter sets another", || {
            "it gives the cluster this name, and sets the timeout".to_owned()
        });
        Some(())
    }
}
