//! Kubernetes' JSON, or manifests in YAML, into the objects that decide a connect timeout. An object that makes no
//! sense becomes a note; the others are still read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use serde_json::value::RawValue;

use super::mesh_config::{self, RawPool, duration};
use super::parse_error;
use crate::model::objects::{
    ClusterPatch, ControlPlane, Coverage, DestinationRule, EnvoyFilter, Evidence, HttpRoute, Installer, InstallerKind,
    IstioObjects, Istiod, Labels, MeshConfigKind, MeshConfigSource, ObjectKind, ObjectMeta, PatchContext,
    PatchOperation, PortPolicy, RouteDestination, Service, ServiceEntry, ServicePort, Sidecar, SidecarIngress, Source,
    Subset, TrafficPolicy, VirtualService,
};

/// One object, as the API server answers.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct Object(Box<RawValue>);

impl Object {
    /// The object as JSON.
    #[must_use]
    pub fn json(&self) -> &str {
        self.0.get()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawObject<'a> {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    metadata: RawMeta,
    #[serde(borrow)]
    spec: Option<&'a RawValue>,
    data: Option<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawMeta {
    name: String,
    namespace: String,
    creation_timestamp: Option<Timestamp>,
    labels: Option<Labels>,
    annotations: Option<Labels>,
    managed_fields: Option<Vec<RawManager>>,
    owner_references: Option<Vec<RawOwner>>,
    resource_version: String,
}

#[derive(Deserialize)]
struct RawManager {
    #[serde(default)]
    manager: String,
}

#[derive(Deserialize)]
struct RawOwner {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    name: String,
}

/// Labels and annotations that tell who installed an object.
const TELLING: [&str; 14] = [
    "meta.helm.sh/",
    "argocd.argoproj.io/",
    "kustomize.toolkit.fluxcd.io/",
    "helm.toolkit.fluxcd.io/",
    "install.operator.istio.io/",
    "operator.istio.io/",
    "sailoperator.io/",
    "maistra.io/",
    "maistra-version",
    "app.kubernetes.io/",
    "istio.io/rev",
    "managed-by",
    "helm.sh/chart",
    "release",
];

impl RawMeta {
    fn meta(&self) -> ObjectMeta {
        ObjectMeta { namespace: self.namespace.clone(), name: self.name.clone(), created: self.creation_timestamp }
    }

    fn evidence(&self) -> Evidence {
        let telling = |from: &Option<Labels>| -> Labels {
            let all = from.iter().flatten();
            let told = all.filter(|(key, _)| TELLING.iter().any(|prefix| key.starts_with(prefix)));
            told.map(|(key, value)| (key.clone(), value.clone())).collect()
        };
        let mut managers: Vec<String> =
            self.managed_fields.iter().flatten().map(|field| field.manager.clone()).collect();
        managers.sort();
        managers.dedup();
        Evidence {
            labels: telling(&self.labels),
            annotations: telling(&self.annotations),
            managers,
            owners: self.owner_references.iter().flatten().map(|own| format!("{}/{}", own.kind, own.name)).collect(),
        }
    }
}

impl RawObject<'_> {
    fn source(&self) -> Source {
        Source {
            api_version: self.api_version.clone(),
            spec: self.spec.map_or_else(|| Arc::from(""), |spec| Arc::from(spec.get())),
            labels: self.metadata.labels.clone().unwrap_or_default(),
            annotations: self
                .metadata
                .annotations
                .iter()
                .flatten()
                .filter(|(key, _)| *key != "kubectl.kubernetes.io/last-applied-configuration")
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
            managed_by: self.metadata.evidence().owner(),
        }
    }

    fn spec<T: DeserializeOwned>(&self) -> Result<T, String> {
        let text = self.spec.map_or("{}", RawValue::get);
        serde_json::from_str(text).map_err(|error| format!("spec: {error}"))
    }
}

/// Adds one object, given as JSON. What is of no use here is passed over.
pub fn add(objects: &mut IstioObjects, kind: &str, json: &str) {
    let added = serde_json::from_str::<RawObject<'_>>(json)
        .map_err(|error| (String::new(), error.to_string()))
        .and_then(|raw| {
            add_raw(objects, kind, &raw)
                .map_err(|error| (format!(" {}/{}", raw.metadata.namespace, raw.metadata.name), error))
        });
    if let Err((name, error)) = added {
        objects.notes.push(format!("{kind}{name} was not understood: {error}"));
    }
}

/// The API group of each kind: other groups have kinds of the same names (Knative's Service, Kyma's Istio).
fn group_of(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "DestinationRule" | "Sidecar" | "EnvoyFilter" | "ServiceEntry" | "VirtualService" => "networking.istio.io",
        "Service" | "ConfigMap" => "",
        "Deployment" => "apps",
        "IstioOperator" => "install.istio.io",
        "Istio" => "sailoperator.io",
        "ServiceMeshControlPlane" => "maistra.io",
        "ControlPlaneRevision" => "mesh.cloud.google.com",
        "ASMMeshConfig" => "istio.alibabacloud.com",
        _ => return None,
    })
}

/// Whether an object is of the kind's own group. Items of a list do not say, and are what was listed.
fn is_of_its_group(kind: &str, api_version: &str) -> bool {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    api_version.is_empty() || group_of(kind).is_none_or(|known| known == group)
}

fn add_raw(objects: &mut IstioObjects, kind: &str, raw: &RawObject<'_>) -> Result<(), String> {
    if !is_of_its_group(kind, &raw.api_version) {
        return Ok(());
    }
    let meta = raw.metadata.meta();
    match kind {
        "DestinationRule" => objects.destination_rules.push(destination_rule(raw, meta)?),
        "Sidecar" => objects.sidecars.push(sidecar(raw, meta)?),
        "EnvoyFilter" => objects.envoy_filters.extend(envoy_filter(raw, meta)?),
        "ServiceEntry" => {
            let spec: RawServiceEntry = raw.spec()?;
            objects.service_entries.push(ServiceEntry { meta, hosts: spec.hosts });
        }
        "VirtualService" => objects.virtual_services.push(virtual_service(raw, meta)?),
        "Service" => {
            let spec: RawService = raw.spec()?;
            let ports = spec.ports.into_iter().flatten().map(|port| ServicePort {
                port: port.port,
                // Absent means the same port; a name can be any.
                target: match port.target_port {
                    None => Some(port.port),
                    Some(Value::Number(number)) => number.as_u64().and_then(|number| u16::try_from(number).ok()),
                    Some(_) => None,
                },
            });
            objects.services.push(Service { meta, ports: ports.collect() });
        }
        "Deployment" => add_istiod(objects, raw, meta)?,
        "ConfigMap" => add_mesh_config(objects, raw, meta),
        "IstioOperator" => add_installer(objects, InstallerKind::IstioOperator, raw, meta)?,
        "Istio" => add_installer(objects, InstallerKind::Istio, raw, meta)?,
        "ServiceMeshControlPlane" => add_installer(objects, InstallerKind::ServiceMeshControlPlane, raw, meta)?,
        "ControlPlaneRevision" => add_installer(objects, InstallerKind::ControlPlaneRevision, raw, meta)?,
        "ASMMeshConfig" => add_installer(objects, InstallerKind::AsmMeshConfig, raw, meta)?,
        _ => {}
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPolicy {
    connection_pool: Option<RawPool>,
    port_level_settings: Option<Vec<RawPortPolicy>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPortPolicy {
    port: Option<RawPortSelector>,
    connection_pool: Option<RawPool>,
}

#[derive(Deserialize)]
struct RawPortSelector {
    number: Option<u16>,
}

impl From<RawPolicy> for TrafficPolicy {
    fn from(raw: RawPolicy) -> Self {
        let entries = raw.port_level_settings.into_iter().flatten();
        Self {
            connection_pool: raw.connection_pool.map(Into::into),
            port_level: entries
                .map(|entry| PortPolicy {
                    port: entry.port.and_then(|port| port.number).unwrap_or_default(),
                    connection_pool: entry.connection_pool.map(Into::into),
                })
                .collect(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMatchLabels {
    match_labels: Option<Labels>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawSubset {
    #[serde(default)]
    name: String,
    traffic_policy: Option<RawPolicy>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRule {
    #[serde(default)]
    host: String,
    export_to: Option<Vec<String>>,
    workload_selector: Option<RawMatchLabels>,
    traffic_policy: Option<RawPolicy>,
    subsets: Option<Vec<RawSubset>>,
}

fn destination_rule(raw: &RawObject<'_>, meta: ObjectMeta) -> Result<DestinationRule, String> {
    let spec: RawRule = raw.spec()?;
    Ok(DestinationRule {
        meta,
        source: raw.source(),
        host: spec.host,
        export_to: spec.export_to.unwrap_or_default(),
        workload_selector: spec.workload_selector.map(|selector| selector.match_labels.unwrap_or_default()),
        traffic_policy: spec.traffic_policy.map(Into::into),
        subsets: spec
            .subsets
            .into_iter()
            .flatten()
            .map(|subset| Subset { name: subset.name, traffic_policy: subset.traffic_policy.map(Into::into) })
            .collect(),
    })
}

#[derive(Deserialize)]
struct RawLabels {
    labels: Option<Labels>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawSidecar {
    workload_selector: Option<RawLabels>,
    inbound_connection_pool: Option<RawPool>,
    ingress: Option<Vec<RawPortPolicy>>,
}

fn sidecar(raw: &RawObject<'_>, meta: ObjectMeta) -> Result<Sidecar, String> {
    let spec: RawSidecar = raw.spec()?;
    Ok(Sidecar {
        meta,
        source: raw.source(),
        workload_selector: spec.workload_selector.map(|selector| selector.labels.unwrap_or_default()),
        inbound_connection_pool: spec.inbound_connection_pool.map(Into::into),
        ingress: spec
            .ingress
            .into_iter()
            .flatten()
            .map(|listener| SidecarIngress {
                port: listener.port.and_then(|port| port.number).unwrap_or_default(),
                connection_pool: listener.connection_pool.map(Into::into),
            })
            .collect(),
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFilter {
    workload_selector: Option<RawLabels>,
    target_refs: Option<IgnoredAny>,
    #[serde(default)]
    priority: i32,
    config_patches: Option<Vec<RawPatch>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPatch {
    #[serde(default)]
    apply_to: String,
    r#match: Option<RawMatch>,
    patch: Option<RawPatchBody>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMatch {
    context: Option<String>,
    proxy: Option<RawProxyMatch>,
    cluster: Option<RawClusterMatch>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawProxyMatch {
    #[serde(default)]
    proxy_version: String,
    metadata: Option<Labels>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawClusterMatch {
    name: String,
    service: String,
    subset: String,
    port_number: u32,
}

#[derive(Deserialize)]
struct RawPatchBody {
    #[serde(default)]
    operation: String,
    value: Option<RawPatchValue>,
}

#[derive(Deserialize)]
struct RawPatchValue {
    #[serde(default)]
    name: String,
    #[serde(default, deserialize_with = "duration")]
    connect_timeout: Option<Duration>,
    #[serde(default, rename = "connectTimeout", deserialize_with = "duration")]
    connect_timeout_camel: Option<Duration>,
    #[serde(alias = "transportSocket")]
    transport_socket: Option<IgnoredAny>,
}

fn envoy_filter(raw: &RawObject<'_>, meta: ObjectMeta) -> Result<Option<EnvoyFilter>, String> {
    let spec: RawFilter = raw.spec()?;
    let mut patches = Vec::new();
    for (index, patch) in spec.config_patches.into_iter().flatten().enumerate() {
        let Some(body) = patch.patch.filter(|_| patch.apply_to == "CLUSTER") else { continue };
        let found = patch.r#match.unwrap_or_default();
        let proxy = found.proxy.unwrap_or_default();
        let cluster = found.cluster.unwrap_or_default();
        let operation = match body.operation.as_str() {
            "MERGE" => PatchOperation::Merge,
            "REMOVE" => PatchOperation::Remove,
            "ADD" => PatchOperation::Add,
            _ => PatchOperation::Other,
        };
        let value = body.value;
        let snake = value.as_ref().and_then(|value| value.connect_timeout);
        let camel = value.as_ref().and_then(|value| value.connect_timeout_camel);
        patches.push(ClusterPatch {
            index,
            operation,
            context: match found.context.as_deref() {
                Some("SIDECAR_INBOUND") => PatchContext::SidecarInbound,
                Some("SIDECAR_OUTBOUND") => PatchContext::SidecarOutbound,
                Some("GATEWAY") => PatchContext::Gateway,
                Some("WAYPOINT") => PatchContext::Waypoint,
                _ => PatchContext::Any,
            },
            proxy_version: proxy.proxy_version,
            proxy_metadata: proxy.metadata.is_some_and(|metadata| !metadata.is_empty()),
            cluster_name: cluster.name,
            service: cluster.service,
            subset: cluster.subset,
            port: cluster.port_number,
            connect_timeout: snake.or(camel),
            key: if snake.is_none() && camel.is_some() { "connectTimeout" } else { "connect_timeout" }.to_owned(),
            transport_socket: value.as_ref().is_some_and(|value| value.transport_socket.is_some()),
            adds: value.filter(|_| operation == PatchOperation::Add).map(|value| value.name).unwrap_or_default(),
        });
    }
    if patches.is_empty() {
        return Ok(None);
    }
    let mut source = raw.source();
    // What sets no timeout, and could set none, need not be kept whole.
    let could = |patch: &ClusterPatch| patch.connect_timeout.is_some() || patch.operation == PatchOperation::Add;
    if !patches.iter().any(could) {
        source.spec = Arc::from("");
    }
    Ok(Some(EnvoyFilter {
        meta,
        source,
        workload_selector: spec.workload_selector.map(|selector| selector.labels.unwrap_or_default()),
        target_refs: spec.target_refs.is_some(),
        priority: spec.priority,
        patches,
    }))
}

#[derive(Deserialize)]
struct RawServiceEntry {
    #[serde(default)]
    hosts: Vec<String>,
}

#[derive(Deserialize)]
struct RawService {
    ports: Option<Vec<RawServicePort>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawServicePort {
    port: u16,
    target_port: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawVirtualService {
    export_to: Option<Vec<String>>,
    http: Option<Vec<RawHttpRoute>>,
}

#[derive(Deserialize)]
struct RawHttpRoute {
    #[serde(default)]
    name: String,
    #[serde(default, deserialize_with = "duration")]
    timeout: Option<Duration>,
    retries: Option<RawRetries>,
    route: Option<Vec<RawRouteDestination>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRetries {
    attempts: Option<u32>,
    #[serde(default, deserialize_with = "duration")]
    per_try_timeout: Option<Duration>,
}

#[derive(Deserialize)]
struct RawRouteDestination {
    destination: Option<RawDestination>,
}

#[derive(Deserialize)]
struct RawDestination {
    #[serde(default)]
    host: String,
    #[serde(default)]
    subset: String,
    port: Option<RawPortSelector>,
}

fn virtual_service(raw: &RawObject<'_>, meta: ObjectMeta) -> Result<VirtualService, String> {
    let spec: RawVirtualService = raw.spec()?;
    let routes = spec.http.into_iter().flatten().enumerate().map(|(index, route)| HttpRoute {
        name: if route.name.is_empty() { format!("http[{index}]") } else { route.name },
        timeout: route.timeout.filter(|timeout| !timeout.is_zero()),
        per_try_timeout: route
            .retries
            .as_ref()
            .and_then(|retries| retries.per_try_timeout)
            .filter(|timeout| !timeout.is_zero()),
        attempts: route.retries.map(|retries| retries.attempts.unwrap_or(0)),
        destinations: route
            .route
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.destination)
            .map(|destination| RouteDestination {
                host: destination.host,
                port: destination.port.and_then(|port| port.number).unwrap_or_default(),
                subset: destination.subset,
            })
            .collect(),
    });
    Ok(VirtualService { meta, export_to: spec.export_to.unwrap_or_default(), http: routes.collect() })
}

#[derive(Deserialize)]
struct RawDeployment {
    template: RawTemplate,
}

#[derive(Deserialize)]
struct RawTemplate {
    spec: RawPodSpec,
}

#[derive(Deserialize)]
struct RawPodSpec {
    #[serde(default)]
    containers: Vec<RawContainer>,
}

#[derive(Deserialize)]
struct RawContainer {
    #[serde(default)]
    name: String,
    #[serde(default)]
    image: String,
    #[serde(default)]
    env: Vec<RawEnv>,
}

#[derive(Deserialize)]
struct RawEnv {
    #[serde(default)]
    name: String,
    value: Option<String>,
}

fn add_istiod(objects: &mut IstioObjects, raw: &RawObject<'_>, meta: ObjectMeta) -> Result<(), String> {
    let spec: RawDeployment = raw.spec()?;
    let Some(container) = spec.template.spec.containers.into_iter().find(|container| container.name == "discovery")
    else {
        return Ok(());
    };
    let env = |name: &str| {
        let found = container.env.iter().find(|variable| variable.name == name);
        found.and_then(|variable| variable.value.clone()).filter(|value| !value.is_empty())
    };
    let revision = env("REVISION")
        .or_else(|| raw.metadata.labels.as_ref()?.get("istio.io/rev").cloned())
        .unwrap_or_else(|| ControlPlane::DEFAULT_REVISION.to_owned());
    let version = image_version(&container.image);
    let istiod = Istiod {
        meta: meta.clone(),
        shared_mesh_config: env("SHARED_MESH_CONFIG"),
        image: container.image,
        evidence: raw.metadata.evidence(),
    };
    let plane = plane_of(objects, &revision, &meta.namespace);
    plane.version = version;
    plane.istiod = Some(istiod);
    Ok(())
}

/// The control plane of a revision, made if there is none yet.
fn plane_of<'o>(objects: &'o mut IstioObjects, revision: &str, namespace: &str) -> &'o mut ControlPlane {
    let found = objects
        .control_planes
        .iter()
        .position(|plane| plane.revision == revision && (plane.namespace == namespace || plane.namespace.is_empty()));
    let index = found.unwrap_or_else(|| {
        objects.control_planes.push(ControlPlane { revision: revision.to_owned(), ..ControlPlane::default() });
        objects.control_planes.len() - 1
    });
    let plane = &mut objects.control_planes[index];
    namespace.clone_into(&mut plane.namespace);
    plane
}

/// `1.20.3` out of `registry/pilot:1.20.3-distroless`; empty for a digest alone.
#[must_use]
pub fn image_version(image: &str) -> String {
    let name = image.split('@').next().unwrap_or(image);
    let tag = name.rsplit_once(':').map_or("", |(_, tag)| tag);
    let tag = tag.trim_start_matches('v');
    let end = tag.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(tag.len());
    if crate::model::objects::minor_version(&tag[..end]).is_some() { tag[..end].to_owned() } else { String::new() }
}

/// The revision that a mesh configuration's ConfigMap is for, by its name: `istio` or `istio-REVISION`, and AKS's
/// `istio-shared-configmap-REVISION` as what is shared.
fn mesh_config_map(name: &str) -> Option<(&str, MeshConfigKind)> {
    if name == "istio" {
        return Some((ControlPlane::DEFAULT_REVISION, MeshConfigKind::Own));
    }
    let rest = name.strip_prefix("istio-")?;
    match rest.strip_prefix("shared-configmap-") {
        Some(revision) => Some((revision, MeshConfigKind::Shared)),
        None => Some((rest, MeshConfigKind::Own)),
    }
}

fn add_mesh_config(objects: &mut IstioObjects, raw: &RawObject<'_>, meta: ObjectMeta) {
    let Some(text) = raw.data.as_ref().and_then(|data| data.get("mesh")) else { return };
    let shared_by: Vec<String> = objects
        .control_planes
        .iter()
        .filter(|plane| plane.namespace == meta.namespace)
        .filter(|plane| {
            plane.istiod.as_ref().and_then(|istiod| istiod.shared_mesh_config.as_deref()) == Some(meta.name.as_str())
        })
        .map(|plane| plane.revision.clone())
        .collect();
    let mut targets: Vec<(String, MeshConfigKind)> =
        shared_by.into_iter().map(|revision| (revision, MeshConfigKind::Shared)).collect();
    if targets.is_empty() {
        let Some((revision, kind)) = mesh_config_map(&meta.name) else { return };
        // In-cluster names alone can't tell another ConfigMap from a revision's: there must be a control plane,
        // unless none runs here at all.
        let known = |plane: &ControlPlane| plane.revision == revision;
        if revision != ControlPlane::DEFAULT_REVISION
            && !objects.control_planes.is_empty()
            && !objects.control_planes.iter().any(known)
            && !revision.starts_with("asm-")
        {
            return;
        }
        targets.push((revision.to_owned(), kind));
    }
    let (config, error) = match mesh_config::parse(text) {
        Ok(config) => (config, None),
        Err(error) => (Default::default(), Some(error)),
    };
    for (revision, kind) in targets {
        let source = MeshConfigSource {
            kind,
            meta: meta.clone(),
            config: config.clone(),
            text: Arc::from(text.as_str()),
            resource_version: raw.metadata.resource_version.clone(),
            error: error.clone(),
            evidence: raw.metadata.evidence(),
        };
        plane_of(objects, &revision, &meta.namespace).mesh.push(source);
    }
}

#[derive(Deserialize)]
struct RawInstallerSpec {
    #[serde(default)]
    revision: String,
    #[serde(default, rename = "channel")]
    _channel: Option<IgnoredAny>,
}

fn add_installer(
    objects: &mut IstioObjects,
    kind: InstallerKind,
    raw: &RawObject<'_>,
    meta: ObjectMeta,
) -> Result<(), String> {
    let spec: RawInstallerSpec = raw.spec()?;
    let evidence = raw.metadata.evidence();
    objects.installers.push(Installer {
        kind,
        meta,
        revision: spec.revision,
        api_version: raw.api_version.clone(),
        evidence,
    });
    Ok(())
}

/// Reads manifests: YAML or JSON, several documents, lists. Everything in them counts as fully read. The error says
/// where the text stops being YAML.
pub fn from_manifests(text: &str) -> Result<IstioObjects, String> {
    let documents: Vec<Value> = serde_saphyr::from_str_multiple(text).map_err(|error| parse_error::yaml(&error))?;
    let mut found: Vec<(String, String)> = Vec::new();
    for document in documents {
        collect(document, &mut found);
    }
    // Deployments first: they say which ConfigMaps are a mesh's.
    found.sort_by_key(|(kind, _)| kind != "Deployment");
    let mut objects = IstioObjects::default();
    for (kind, json) in &found {
        add(&mut objects, kind, json);
    }
    for kind in ObjectKind::ALL {
        objects.coverage.insert(kind, Coverage::Read);
    }
    objects.sort();
    Ok(objects)
}

fn collect(document: Value, found: &mut Vec<(String, String)>) {
    let kind = document.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    match document {
        Value::Object(mut fields) if kind.ends_with("List") || (kind.is_empty() && fields.contains_key("items")) => {
            if let Some(Value::Array(items)) = fields.remove("items") {
                items.into_iter().for_each(|item| collect(item, found));
            }
        }
        document => found.push((kind, document.to_string())),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]
mod tests {
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
            add(&mut IstioObjects::default(), &kind, &json);
            let _ = from_manifests(&json);
        }
    }
}
