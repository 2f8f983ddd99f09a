//! The mesh as one control plane sees it: its configuration, the objects that it reads, and how it reads them.

use std::collections::HashMap;

use super::backend;
use super::behaviour::Behaviour;
use super::filters::{Attached, Filters};
use super::hosts::Hosts;
use super::rules::RuleIndex;
use super::selection::{Selected, WorkloadLabels};
use crate::model::istio::{
    ControlPlane, DestinationRule, EffectiveMesh, IstioObjects, Labels, ObjectKind, REVISION_LABEL, Sidecar,
};
use crate::model::{Proxy, ProxyRole};

/// What a control plane makes of a cluster's objects.
#[derive(Debug)]
pub(super) struct Mesh<'a> {
    pub(super) objects: &'a IstioObjects,
    /// The control plane; `None` where it is not known which it is.
    plane: Option<&'a ControlPlane>,
    pub(super) behaviour: Behaviour,
    /// The namespace whose objects are for the whole mesh; empty for none.
    pub(super) root: String,
    pub(super) domain: &'a str,
    pub(super) rules: RuleIndex<'a>,
    pub(super) filters: Filters<'a>,
    pub(super) hosts: Hosts<'a>,
    /// DestinationRules with a selector, by namespace.
    selecting: HashMap<&'a str, Vec<&'a DestinationRule>>,
    /// By namespace, those with a selector first.
    sidecars: HashMap<&'a str, Vec<&'a Sidecar>>,
    /// Why it is not certain that all of this is what the control plane sees.
    pub(super) doubt: Option<String>,
    scope: Scope<'a>,
}

impl<'a> Mesh<'a> {
    pub(super) fn new(
        objects: &'a IstioObjects,
        plane: Option<(usize, &'a ControlPlane)>,
        effective: Option<&EffectiveMesh>,
        domain: &'a str,
        behaviour: Behaviour,
    ) -> Self {
        let root = effective.map_or_else(|| "istio-system".to_owned(), |mesh| mesh.root_namespace.clone());
        let private = effective.is_some_and(|mesh| mesh.rules_are_private);
        let scope = Scope::new(objects, plane.map(|(_, plane)| plane), effective);
        let reads = |labels: &Labels, namespace: &str| scope.reads(labels, namespace);
        let rules = || objects.destination_rules.iter().filter(|rule| reads(&rule.source.labels, &rule.meta.namespace));
        // What istiod makes of the Gateway API's policies stands beside what users write.
        let made = match plane {
            Some((index, _)) if behaviour.backend_policies && !objects.backend_policies.is_empty() => objects
                .made_rules(index, || {
                    objects.control_planes.iter().map(|plane| backend::rules(objects, plane)).collect()
                }),
            _ => &[],
        };
        let made = made.iter().filter(|rule| scope.sees(&rule.meta.namespace));
        let mut selecting: HashMap<&str, Vec<&DestinationRule>> = HashMap::new();
        for rule in rules().filter(|rule| rule.workload_selector.is_some()) {
            selecting.entry(&rule.meta.namespace).or_default().push(rule);
        }
        let mut sidecars: HashMap<&str, Vec<&Sidecar>> = HashMap::new();
        for sidecar in &objects.sidecars {
            if reads(&sidecar.source.labels, &sidecar.meta.namespace) {
                sidecars.entry(&sidecar.meta.namespace).or_default().push(sidecar);
            }
        }
        for found in sidecars.values_mut() {
            found.sort_by_key(|sidecar| sidecar.workload_selector.is_none());
        }
        let filters =
            || objects.envoy_filters.iter().filter(|filter| reads(&filter.source.labels, &filter.meta.namespace));
        Self {
            rules: RuleIndex::new(rules().chain(made), &root, private, domain, &behaviour),
            filters: Filters::new(filters(), &root, &behaviour),
            hosts: Hosts::new(
                domain,
                effective.map(|mesh| mesh.services_export_to.clone()).unwrap_or_default(),
                objects.services.iter().filter(|service| scope.sees(&service.meta.namespace)),
                objects.service_entries.iter().filter(|entry| {
                    scope.is_of_revision(entry.revision.as_deref()) && scope.sees(&entry.meta.namespace)
                }),
            ),
            objects,
            plane: plane.map(|(_, plane)| plane),
            behaviour,
            root,
            domain,
            selecting,
            sidecars,
            doubt: scope.doubt.clone(),
            scope,
        }
    }

    /// Whether the control plane reads an object with these labels in this namespace.
    pub(super) fn reads(&self, labels: &Labels, namespace: &str) -> bool {
        self.scope.reads(labels, namespace)
    }

    /// Whether an object of a kind, in one of these namespaces, was not understood.
    pub(super) fn is_misread(&self, kind: ObjectKind, namespaces: &[&str]) -> bool {
        let of_kind = |namespace: &str| namespace.is_empty() || namespaces.contains(&namespace);
        self.objects.misread.iter().any(|misread| misread.kind == kind && of_kind(&misread.namespace))
    }

    /// A proxy's labels, as the control plane sees them.
    pub(super) fn labels<'p>(&self, proxy: &'p Proxy) -> WorkloadLabels<'p> {
        WorkloadLabels::new(proxy, self.objects, self.plane)
    }

    /// The Sidecar that is for a workload, and whether that is certain: the first of its namespace that selects it, or
    /// selects nothing; else the root namespace's (`pilot/pkg/model/push_context.go`, `getSidecarScope`).
    pub(super) fn sidecar(&self, proxy: &Proxy, labels: &WorkloadLabels<'_>) -> (Option<&'a Sidecar>, bool) {
        if proxy.role != ProxyRole::Sidecar {
            return (None, true);
        }
        let of = |namespace: &str| self.sidecars.get(namespace).into_iter().flatten().copied();
        let mut certain = true;
        for sidecar in of(&proxy.id.namespace) {
            match sidecar.workload_selector.as_ref().map_or(Selected::Yes, |selector| labels.selected(selector)) {
                Selected::Yes => return (Some(sidecar), certain),
                Selected::Perhaps => certain = false,
                Selected::No => {}
            }
        }
        (of(&self.root).find(|sidecar| sidecar.workload_selector.is_none()), certain)
    }

    /// The EnvoyFilters of a proxy, in order.
    pub(super) fn filters(&self, proxy: &Proxy, labels: &WorkloadLabels<'_>) -> Vec<Attached<'a>> {
        self.filters.of_proxy(proxy, labels, &self.root, &self.behaviour)
    }

    /// The DestinationRules with a selector that are, or may be, for a workload, and whether each is for certain.
    pub(super) fn selecting_rules(
        &self,
        proxy: &Proxy,
        labels: &WorkloadLabels<'_>,
    ) -> Vec<(&'a DestinationRule, bool)> {
        let own = self.selecting.get(proxy.id.namespace.as_str()).into_iter().flatten().copied();
        own.filter_map(|rule| match labels.selected(rule.workload_selector.as_ref()?) {
            Selected::Yes => Some((rule, true)),
            Selected::Perhaps => Some((rule, false)),
            Selected::No => None,
        })
        .collect()
    }
}

/// Which objects a control plane reads.
#[derive(Debug)]
struct Scope<'a> {
    revision: Option<&'a str>,
    /// The namespaces it reads; `None` for all.
    namespaces: Option<Vec<&'a str>>,
    doubt: Option<String>,
}

impl<'a> Scope<'a> {
    fn new(objects: &'a IstioObjects, plane: Option<&'a ControlPlane>, effective: Option<&EffectiveMesh>) -> Self {
        let selectors = effective.map_or(&[][..], |mesh| &mesh.discovery_selectors);
        let mut scope = Self { revision: plane.map(|plane| plane.revision.as_str()), namespaces: None, doubt: None };
        if selectors.is_empty() {
            return scope;
        }
        if !objects.is_read(ObjectKind::Namespace) {
            scope.doubt = Some("discoverySelectors choose namespaces by labels, which could not be read".to_owned());
            return scope;
        }
        let selected =
            objects.namespaces.iter().filter(|(_, labels)| selectors.iter().any(|selector| selector.selects(labels)));
        scope.namespaces = Some(selected.map(|(name, _)| name.as_str()).collect());
        scope
    }

    fn reads(&self, labels: &Labels, namespace: &str) -> bool {
        self.is_of_revision(labels.get(REVISION_LABEL).map(String::as_str)) && self.sees(namespace)
    }

    /// Whether the label of an object lets this control plane read it (`pkg/config/model.go`, `LabelsInRevision`): no
    /// label, or its own revision. Tags are not resolved here, and an empty label is another revision.
    fn is_of_revision(&self, label: Option<&str>) -> bool {
        match (label, self.revision) {
            (Some(label), Some(revision)) => label == revision,
            _ => true,
        }
    }

    /// Whether it reads a namespace (`discoverySelectors`).
    fn sees(&self, namespace: &str) -> bool {
        self.namespaces.as_ref().is_none_or(|all| all.contains(&namespace))
    }
}
