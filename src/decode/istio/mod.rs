//! Kubernetes' JSON, or manifests in YAML, into the objects that decide a connect timeout. An object that makes no
//! sense becomes a note; the others are still read.

mod control_plane;
mod destination_rule;
mod duration;
mod envoy_filter;
pub mod mesh_config;
mod meta;
mod proto_json;
mod route;
mod service;
mod sidecar;

use serde_json::Value;
use strum::{EnumString, IntoStaticStr};

pub use control_plane::image_version;
pub use meta::Object;
use meta::RawObject;

use super::parse_error;
use crate::model::istio::{BackendPolicyKind, Coverage, InstallerKind, IstioObjects, Misread, ObjectKind, ObjectMeta};

/// The kinds of objects that are understood, by Kubernetes' names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumString, IntoStaticStr)]
#[allow(missing_docs, reason = "the names are Kubernetes' and Istio's own")]
pub enum Kind {
    DestinationRule,
    Sidecar,
    EnvoyFilter,
    ServiceEntry,
    VirtualService,
    Service,
    Namespace,
    Node,
    MutatingWebhookConfiguration,
    BackendTLSPolicy,
    XBackendTrafficPolicy,
    CustomResourceDefinition,
    Deployment,
    ConfigMap,
    IstioOperator,
    Istio,
    IstioRevision,
    ServiceMeshControlPlane,
    ControlPlaneRevision,
    ASMMeshConfig,
}

impl Kind {
    /// What it is read for.
    fn object_kind(self) -> ObjectKind {
        match self {
            Self::DestinationRule => ObjectKind::DestinationRule,
            Self::Sidecar => ObjectKind::Sidecar,
            Self::EnvoyFilter => ObjectKind::EnvoyFilter,
            Self::ServiceEntry => ObjectKind::ServiceEntry,
            Self::VirtualService => ObjectKind::VirtualService,
            Self::Service => ObjectKind::Service,
            Self::Namespace => ObjectKind::Namespace,
            Self::Node => ObjectKind::Node,
            Self::MutatingWebhookConfiguration => ObjectKind::RevisionTag,
            Self::BackendTLSPolicy | Self::XBackendTrafficPolicy | Self::CustomResourceDefinition => {
                ObjectKind::BackendPolicy
            }
            Self::Deployment => ObjectKind::Deployment,
            Self::ConfigMap => ObjectKind::MeshConfig,
            Self::IstioOperator
            | Self::Istio
            | Self::IstioRevision
            | Self::ServiceMeshControlPlane
            | Self::ControlPlaneRevision
            | Self::ASMMeshConfig => ObjectKind::Installer,
        }
    }

    /// Its API group: other groups have kinds of the same names (Knative's Service, Kyma's Istio).
    fn group(self) -> &'static str {
        match self {
            Self::DestinationRule | Self::Sidecar | Self::EnvoyFilter | Self::ServiceEntry | Self::VirtualService => {
                "networking.istio.io"
            }
            Self::Service | Self::ConfigMap | Self::Namespace | Self::Node => "",
            Self::MutatingWebhookConfiguration => "admissionregistration.k8s.io",
            Self::BackendTLSPolicy => "gateway.networking.k8s.io",
            Self::XBackendTrafficPolicy => "gateway.networking.x-k8s.io",
            Self::CustomResourceDefinition => "apiextensions.k8s.io",
            Self::Deployment => "apps",
            Self::IstioOperator => "install.istio.io",
            Self::Istio | Self::IstioRevision => "sailoperator.io",
            Self::ServiceMeshControlPlane => "maistra.io",
            Self::ControlPlaneRevision => "mesh.cloud.google.com",
            Self::ASMMeshConfig => "istio.alibabacloud.com",
        }
    }

    /// Whether an object is of its group. Items of a list do not say, and are what was listed.
    fn is_group_of(self, api_version: &str) -> bool {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        api_version.is_empty() || group == self.group()
    }
}

/// Adds one object, given as JSON.
pub fn add(objects: &mut IstioObjects, kind: Kind, json: &str) {
    let added = serde_json::from_str::<RawObject<'_>>(json)
        .map_err(|error| (ObjectMeta::default(), parse_error::json(&error)))
        .and_then(|raw| add_raw(objects, kind, &raw).map_err(|error| (raw.metadata.meta(), error)));
    if let Err((meta, error)) = added {
        let name: &str = kind.into();
        let place = if meta.name.is_empty() { String::new() } else { format!(" {meta}") };
        objects.notes.push(format!("{name}{place} was not understood: {error}"));
        objects.misread.push(Misread { kind: kind.object_kind(), namespace: meta.namespace });
    }
}

fn add_raw(objects: &mut IstioObjects, kind: Kind, raw: &RawObject<'_>) -> Result<(), String> {
    if !kind.is_group_of(&raw.api_version) {
        return Ok(());
    }
    let meta = raw.metadata.meta();
    match kind {
        Kind::DestinationRule => objects.destination_rules.push(destination_rule::destination_rule(raw, meta)?),
        Kind::Sidecar => objects.sidecars.push(sidecar::sidecar(raw, meta)?),
        Kind::EnvoyFilter => objects.envoy_filters.extend(envoy_filter::envoy_filter(raw, meta)?),
        Kind::ServiceEntry => objects.service_entries.push(service::service_entry(raw, meta)?),
        Kind::VirtualService => objects.virtual_services.push(route::virtual_service(raw, meta)?),
        Kind::Service => objects.services.push(service::service(raw, meta)?),
        Kind::Namespace => {
            objects.namespaces.insert(meta.name, raw.metadata.labels.clone().unwrap_or_default());
        }
        Kind::Node => add_node(objects, raw, meta),
        Kind::MutatingWebhookConfiguration => {
            if let (Some(tag), Some(revision)) = (raw.metadata.label("istio.io/tag"), raw.metadata.revision()) {
                objects.revision_tags.insert(tag.to_owned(), revision);
            }
        }
        Kind::BackendTLSPolicy => {
            let policy = service::backend_policy(BackendPolicyKind::BackendTLSPolicy, raw, meta)?;
            objects.backend_policies.push(policy);
        }
        Kind::XBackendTrafficPolicy => {
            let policy = service::backend_policy(BackendPolicyKind::XBackendTrafficPolicy, raw, meta)?;
            objects.backend_policies.push(policy);
        }
        Kind::CustomResourceDefinition => {
            if meta.name == "backendtlspolicies.gateway.networking.k8s.io" {
                let version = raw.metadata.annotation("gateway.networking.k8s.io/bundle-version");
                objects.gateway_api = version.unwrap_or_default().to_owned();
            }
        }
        Kind::Deployment => control_plane::add_istiod(objects, raw, meta)?,
        Kind::ConfigMap => control_plane::add_mesh_config(objects, raw, meta),
        Kind::IstioOperator => control_plane::add_installer(objects, InstallerKind::IstioOperator, raw, meta)?,
        Kind::Istio => control_plane::add_installer(objects, InstallerKind::Istio, raw, meta)?,
        Kind::IstioRevision => control_plane::add_installer(objects, InstallerKind::IstioRevision, raw, meta)?,
        Kind::ServiceMeshControlPlane => {
            control_plane::add_installer(objects, InstallerKind::ServiceMeshControlPlane, raw, meta)?;
        }
        Kind::ControlPlaneRevision => {
            control_plane::add_installer(objects, InstallerKind::ControlPlaneRevision, raw, meta)?;
        }
        Kind::ASMMeshConfig => control_plane::add_installer(objects, InstallerKind::AsmMeshConfig, raw, meta)?,
    }
    Ok(())
}

/// Of a Node, only the labels that tell where it is (`pilot/pkg/serviceregistry/kube/controller/controller.go`,
/// `getPodLocality`).
fn add_node(objects: &mut IstioObjects, raw: &RawObject<'_>, meta: ObjectMeta) {
    const PLACES: [&str; 5] = [
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
        "failure-domain.beta.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "topology.istio.io/subzone",
    ];
    let labels = raw.metadata.labels.iter().flatten().filter(|(key, _)| PLACES.contains(&key.as_str()));
    let labels = labels.map(|(key, value)| (key.clone(), value.clone())).collect();
    objects.nodes.insert(meta.name, labels);
}

/// Reads manifests: YAML or JSON, several documents, lists. Everything in them counts as fully read; what is of no use
/// here is passed over. The error says where the text stops being YAML.
pub fn from_manifests(text: &str) -> Result<IstioObjects, String> {
    let documents: Vec<Value> = serde_saphyr::from_str_multiple(text).map_err(|error| parse_error::yaml(&error))?;
    let mut found: Vec<(Kind, String)> = Vec::new();
    for document in documents {
        collect(document, &mut found);
    }
    // Deployments first: they say which ConfigMaps are a mesh's.
    found.sort_by_key(|(kind, _)| *kind != Kind::Deployment);
    let mut objects = IstioObjects::default();
    for (kind, json) in &found {
        add(&mut objects, *kind, json);
    }
    for kind in ObjectKind::ALL {
        objects.coverage.insert(kind, Coverage::Read);
    }
    objects.sort();
    Ok(objects)
}

fn collect(document: Value, found: &mut Vec<(Kind, String)>) {
    let kind = document.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    match document {
        Value::Object(mut fields) if kind.ends_with("List") || (kind.is_empty() && fields.contains_key("items")) => {
            if let Some(Value::Array(items)) = fields.remove("items") {
                items.into_iter().for_each(|item| collect(item, found));
            }
        }
        document => found.extend(kind.parse().ok().map(|kind| (kind, document.to_string()))),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]
mod tests {
    use std::time::Duration;

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_rules_in_full() {
        let objects = from_manifests(
            r"
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web, namespace: shop, creationTimestamp: 2024-01-01T00:00:00Z, labels: {kustomize.toolkit.fluxcd.io/name: apps, kustomize.toolkit.fluxcd.io/namespace: flux-system}}
spec:
  host: web
  exportTo: ['.']
  workloadSelector: {matchLabels: {app: client}}
  trafficPolicy:
    tls: {mode: ISTIO_MUTUAL}
    connectionPool: {tcp: {connectTimeout: 250ms}, http: {maxRetries: 3}}
    portLevelSettings:
    - port: {number: 443}
      connectionPool: {http: {maxRetries: 1}}
    - port: {number: 80}
  subsets:
  - name: v1
    trafficPolicy: {loadBalancer: {simple: RANDOM}}
",
        )
        .unwrap();
        assert_eq!(objects.notes, Vec::<String>::new());
        let rule = &objects.destination_rules[0];
        assert_eq!(rule.source.managed_by, "Flux Kustomization flux-system/apps");
        assert!(rule.source.spec.contains("ISTIO_MUTUAL"));
        let policy = rule.traffic_policy.as_ref().unwrap();
        assert_eq!(policy.connection_pool.unwrap().connect_timeout, Some(Duration::from_millis(250)));
        assert_eq!(policy.port_level[0].connection_pool.unwrap().connect_timeout, None);
        assert_eq!(policy.port_level[1].connection_pool, None);
        assert_eq!(rule.subsets[0].traffic_policy.as_ref().unwrap().connection_pool, None);
    }

    #[test]
    fn an_object_that_makes_no_sense_is_noted() {
        let objects = from_manifests(
            "kind: DestinationRule\nmetadata: {name: bad, namespace: shop}\nspec: {host: web, trafficPolicy: \
             {connectionPool: {tcp: {connectTimeout: soon}}}}\n---\nkind: DestinationRule\nmetadata: {name: good, \
             namespace: shop}\nspec: {host: web}\n",
        )
        .unwrap();
        assert_eq!(objects.destination_rules.len(), 1);
        assert!(objects.notes[0].starts_with("DestinationRule shop/bad was not understood: "), "{}", objects.notes[0]);
    }

    #[test]
    fn finds_control_planes() {
        let objects = from_manifests(
            r"
kind: ConfigMap
metadata: {name: istio-canary, namespace: istio-system}
data: {mesh: 'connectTimeout: 3s'}
---
kind: ConfigMap
metadata: {name: common, namespace: istio-system}
data: {mesh: 'connectTimeout: 2s'}
---
kind: ConfigMap
metadata: {name: istio-ca-root-cert, namespace: istio-system}
data: {mesh: 'nothing of ours'}
---
kind: Deployment
metadata: {name: istiod-canary, namespace: istio-system, labels: {istio.io/rev: canary}}
spec:
  template:
    spec:
      containers:
      - name: discovery
        image: docker.io/istio/pilot:1.24.1-distroless@sha256:0123
        env: [{name: REVISION, value: canary}, {name: SHARED_MESH_CONFIG, value: common}, {name: POD_NAME, valueFrom: {}}]
",
        )
        .unwrap();
        let plane = &objects.control_planes[0];
        assert_eq!(objects.control_planes.len(), 1);
        assert_eq!((plane.revision.as_str(), plane.version.as_str()), ("canary", "1.24.1"));
        let effective = plane.effective().unwrap();
        assert_eq!(
            (effective.connect_timeout, effective.origin.kind.object().map(|object| object.name.as_str())),
            (Duration::from_secs(3), Some("istio-canary"))
        );
        assert_eq!(plane.mesh.len(), 2);
    }

    #[test]
    fn reads_versions_from_images() {
        for (image, version) in [
            ("docker.io/istio/pilot:1.20.3", "1.20.3"),
            ("localhost:5000/istio/pilot:v1.9.1-distroless@sha256:abc", "1.9.1"),
            ("gcr.io/istio/pilot@sha256:abc", ""),
            ("pilot:latest", ""),
            ("localhost:5000/pilot", ""),
        ] {
            assert_eq!(image_version(image), version, "{image}");
        }
    }

    proptest! {
        #[test]
        fn is_total(kind in "(DestinationRule|Sidecar|EnvoyFilter|Service|Deployment|ConfigMap|VirtualService)", json in ".{0,60}") {
            add(&mut IstioObjects::default(), kind.parse().unwrap(), &json);
            let _ = from_manifests(&json);
        }
    }
}
