//! What differs between versions and switches of Istio's control plane, as far as it decides a connect timeout. Each
//! row was compared with the answers of the versions named (docs/attribution.md).

use crate::model::istio::{ControlPlane, EffectiveMesh, IstioObjects, PatchOperation, Version};

/// How one control plane reads its configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Behaviour {
    /// EnvoyFilters' durations replace; before, seconds and nanoseconds are merged apart (1.14).
    pub(super) durations_replace: bool,
    /// Sidecars' `inboundConnectionPool` and their listeners' `connectionPool` are known (1.21).
    pub(super) inbound_pools: bool,
    /// EnvoyFilters of the root namespace come before all others, whatever their priority (up to 1.21).
    pub(super) root_filters_first: bool,
    /// DestinationRules with a selector are merged before those without (1.22).
    pub(super) selecting_rules_first: bool,
    /// A waypoint's clusters for services have a timeout (1.23).
    pub(super) waypoint_timeouts: bool,
    /// `connect_originate` has the mesh's value; before, 2 s (1.23.1).
    pub(super) tunnels_by_mesh: bool,
    /// DestinationRules with different `exportTo` are kept apart (1.24).
    pub(super) rules_apart: bool,
    /// Gateway API policies for backends become DestinationRules (1.26).
    pub(super) backend_policies: bool,
    /// `targetRefs` of EnvoyFilters are heeded, and waypoints need them (1.27).
    pub(super) target_refs: bool,
    /// EnvoyFilters with a selector count for gateways of the Gateway API.
    pub(super) selectors_for_gateways: bool,
    /// `MERGE_AND_REPLACE_LIST` is known (1.31).
    pub(super) replace_list: bool,
    /// `defaultTrafficPolicy` is known (1.31).
    pub(super) default_traffic_policy: bool,
    /// What users write comes before what Gateway API policies say, whichever is older (1.31).
    pub(super) users_first: bool,
    /// Clusters name the services they stand for in their metadata.
    pub(super) names_services: bool,
    /// Inbound clusters of a Sidecar's listeners name their service, as others do (1.21).
    pub(super) names_at_listeners: bool,
    /// A Sidecar's listeners and the workload's services both make inbound clusters.
    pub(super) merges_listeners: bool,
}

/// Versions of which each behaves as no other here does, newest first.
const DISTINCT: [Version; 10] = [
    Version::new(1, 31, 0),
    Version::new(1, 30, 0),
    Version::new(1, 26, 0),
    Version::new(1, 24, 0),
    Version::new(1, 23, 1),
    Version::new(1, 23, 0),
    Version::new(1, 22, 0),
    Version::new(1, 21, 2),
    Version::new(1, 20, 6),
    Version::new(1, 13, 0),
];

impl Behaviour {
    fn of(version: Version, plane: Option<&ControlPlane>) -> Self {
        let since = |minor: u32| version >= Version::new(1, minor, 0);
        let feature = |name: &str, default: bool| plane.map_or(default, |plane| plane.feature(name, default));
        Self {
            durations_replace: since(14),
            inbound_pools: since(21),
            root_filters_first: !since(22),
            selecting_rules_first: since(22),
            waypoint_timeouts: since(23),
            tunnels_by_mesh: version >= Version::new(1, 23, 1),
            rules_apart: since(24) && feature("ENABLE_ENHANCED_DESTINATIONRULE_MERGE", true),
            backend_policies: since(26) && feature("PILOT_ENABLE_GATEWAY_API", true),
            target_refs: since(27),
            selectors_for_gateways: feature("ENABLE_SELECTOR_BASED_K8S_GATEWAY_POLICY", true),
            replace_list: since(31),
            default_traffic_policy: since(31),
            users_first: since(31),
            names_services: feature("PILOT_ENABLE_TELEMETRY_LABEL", true),
            names_at_listeners: since(21),
            merges_listeners: feature("ENABLE_SIDECAR_SERVICE_INBOUND_LISTENER_MERGE", false),
        }
    }

    /// The ways in which a control plane may read its configuration: one where its version is known. Otherwise it is at
    /// least as new as its proxies, as Istio asks for.
    pub(super) fn possible(plane: Option<&ControlPlane>, at_least: Option<Version>) -> Vec<Self> {
        if let Some(version) = plane.and_then(ControlPlane::parsed_version) {
            return vec![Self::of(version, plane)];
        }
        let oldest = at_least.map(|version| Self::of(version, plane));
        let newer = DISTINCT.iter().filter(|&&version| at_least.is_none_or(|least| version > least));
        let mut possible: Vec<Self> = newer.map(|&version| Self::of(version, plane)).collect();
        possible.extend(oldest.filter(|oldest| !possible.contains(oldest)));
        possible
    }

    /// The ways among these that differ for this mesh, the newest of each: most meshes have nothing of what versions
    /// treat differently, and what is the same by two ways need not be worked out twice.
    pub(super) fn distinct_for(possible: Vec<Self>, objects: &IstioObjects, mesh: Option<&EffectiveMesh>) -> Vec<Self> {
        let Some(&newest) = possible.first() else { return possible };
        let mut distinct: Vec<Self> = Vec::new();
        for way in possible {
            let way = way.heeding(objects, mesh, newest);
            if !distinct.contains(&way) {
                distinct.push(way);
            }
        }
        distinct
    }

    /// This way, with what decides about nothing in this mesh as another has it.
    fn heeding(mut self, objects: &IstioObjects, mesh: Option<&EffectiveMesh>, other: Self) -> Self {
        let mut patches = objects.envoy_filters.iter().flat_map(|filter| &filter.patches);
        if !patches.any(|patch| patch.operation == PatchOperation::MergeAndReplaceList) {
            self.replace_list = other.replace_list;
        }
        if objects.envoy_filters.is_empty() {
            self.durations_replace = other.durations_replace;
            self.root_filters_first = other.root_filters_first;
            self.target_refs = other.target_refs;
        }
        if objects.sidecars.is_empty() {
            self.inbound_pools = other.inbound_pools;
            self.names_at_listeners = other.names_at_listeners;
        }
        if objects.destination_rules.iter().all(|rule| rule.workload_selector.is_none()) {
            self.selecting_rules_first = other.selecting_rules_first;
        }
        if objects.backend_policies.is_empty() {
            self.backend_policies = other.backend_policies;
            self.users_first = other.users_first;
            if objects.destination_rules.is_empty() {
                self.rules_apart = other.rules_apart;
            }
        }
        if mesh.is_none_or(|mesh| mesh.default_connection_pool.is_none()) {
            self.default_traffic_policy = other.default_traffic_policy;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::istio::{
        BackendPolicy, BackendPolicyKind, ClusterPatch, DestinationRule, EnvoyFilter, ObjectMeta,
    };

    #[test]
    fn the_version_decides() {
        let of = |version: &str| {
            let plane = ControlPlane { version: version.to_owned(), ..ControlPlane::default() };
            Behaviour::possible(Some(&plane), None)
        };
        let one = |version: &str| of(version)[0];
        assert_eq!(of("1.30.2").len(), 1);
        assert!(one("1.20.8").root_filters_first && !one("1.22.0").root_filters_first);
        assert!(!one("1.20.8").inbound_pools && one("1.21.0").inbound_pools);
        assert!(!one("1.23.6").rules_apart && one("1.24.0").rules_apart);
        assert!(!one("1.26.8").target_refs && one("1.27.0").target_refs);
        assert!(!one("1.23.0").tunnels_by_mesh && one("1.23.1").tunnels_by_mesh);
        assert!(!one("1.30.3").default_traffic_policy && one("1.31.0-rc.0").default_traffic_policy);
    }

    #[test]
    fn what_may_be_has_every_way_once() {
        let possible = Behaviour::possible(None, None);
        for (index, behaviour) in possible.iter().enumerate() {
            assert!(!possible[..index].contains(behaviour), "{index}");
        }
        for minor in 10..=31 {
            for patch in [0, 1, 9] {
                let version = Version::new(1, minor, patch);
                assert!(possible.contains(&Behaviour::of(version, None)), "1.{minor}.{patch}");
                let since = Behaviour::possible(None, Some(version));
                assert!(since.contains(&Behaviour::of(version, None)) && since.len() <= possible.len());
            }
        }
    }

    #[test]
    fn ways_that_differ_in_nothing_the_mesh_has_are_one() {
        let of = |at_least: u32, objects: &IstioObjects, mesh: Option<&EffectiveMesh>| {
            let possible = Behaviour::possible(None, Some(Version::new(1, at_least, 0)));
            Behaviour::distinct_for(possible, objects, mesh).len()
        };
        let nothing = IstioObjects::default();
        assert_eq!(of(24, &nothing, None), 1);
        assert_eq!(of(21, &nothing, None), 3, "clusters alone show tunnels and waypoints");
        let patched = |operation| {
            let patch = ClusterPatch { operation, ..ClusterPatch::default() };
            IstioObjects {
                envoy_filters: vec![EnvoyFilter { patches: vec![patch], ..EnvoyFilter::default() }],
                ..IstioObjects::default()
            }
        };
        assert_eq!(of(30, &patched(PatchOperation::Merge), None), 1);
        assert_eq!(of(30, &patched(PatchOperation::MergeAndReplaceList), None), 2);
        assert_eq!(of(24, &patched(PatchOperation::Merge), None), 2, "who heeds targetRefs");
        let ruled = |rule| IstioObjects { destination_rules: vec![rule], ..IstioObjects::default() };
        assert_eq!(of(23, &ruled(DestinationRule::default()), None), 3, "rules apart, and tunnels");
        let policy = BackendPolicy {
            kind: BackendPolicyKind::BackendTLSPolicy,
            meta: ObjectMeta::default(),
            revision: None,
            ignored: false,
            targets: Vec::new(),
        };
        let policies = IstioObjects { backend_policies: vec![policy], ..IstioObjects::default() };
        assert_eq!(of(30, &policies, None), 2);
    }
}
