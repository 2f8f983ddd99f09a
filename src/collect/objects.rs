//! Reads what a cluster says about Istio. Everything here is worth having and nothing is needed: what may not be read
//! becomes a note in [`IstioObjects::coverage`], and the audit goes on with what there is.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;

use super::istiod::{self, ISTIOD_LABEL};
use super::{ObjectOptions, Progress};
use crate::decode::bounded::weigh_object;
use crate::decode::istio::{Kind, Object, add};
use crate::decode::log::AccessFormat;
use crate::k8s::{ApiError, Connection, ListQuery, Listed, encode, is_label};
use crate::model::Proxy;
use crate::model::istio::{ControlPlane, Coverage, IstioObjects, ObjectKind};

/// The label of the control plane up to Istio 1.4.
const PILOT_LABEL: &str = "app=pilot";

/// Reads the objects of one cluster.
pub async fn read_istio_objects(
    connection: &Connection,
    options: &ObjectOptions,
    progress: &(dyn Fn(Progress) + Sync),
) -> IstioObjects {
    let name = format!("Istio's objects in {}", connection.context);
    progress(Progress::Selected(vec![name.clone()]));
    // An istiod that hangs takes none of the objects' time.
    let mut planes = IstioObjects::default();
    let ((groups, mut objects), ()) = tokio::join!(
        read_configuration(connection, options),
        read_control_planes(connection, options, progress, &mut planes)
    );
    objects.control_planes = planes.control_planes;
    objects.injectors = planes.injectors;
    objects.coverage.extend(planes.coverage);
    objects.notes.extend(planes.notes);
    objects.misread.extend(planes.misread);
    read_surroundings(connection, options, groups.as_ref(), &mut objects).await;
    objects.sort();
    progress(Progress::Done(name));
    objects
}

/// Reads what configures proxies, and what installs control planes; with the API groups that there are.
async fn read_configuration(
    connection: &Connection,
    options: &ObjectOptions,
) -> (Option<BTreeMap<String, String>>, IstioObjects) {
    let mut objects = IstioObjects::default();
    let groups = connection.api_groups().await;
    match &groups {
        Ok(groups) => {
            read_istio_kinds(connection, options, groups, &mut objects).await;
            read_installers(connection, groups, &mut objects).await;
        }
        Err(error) => {
            for kind in ISTIO_KINDS.iter().map(|(kind, ..)| *kind).chain([ObjectKind::Installer]) {
                objects.coverage.insert(kind, Coverage::Denied(format!("the API groups could not be listed: {error}")));
            }
        }
    }
    (groups.ok(), objects)
}

/// What decides only in some meshes is asked for only there: Services where there are rules that a service can have,
/// namespaces' labels where the mesh chooses namespaces by them, nodes' where something is for some zones alone, revision
/// tags where a proxy names a revision that no control plane has, the Gateway API's policies where the cluster has it.
async fn read_surroundings(
    connection: &Connection,
    options: &ObjectOptions,
    groups: Option<&BTreeMap<String, String>>,
    objects: &mut IstioObjects,
) {
    read_backend_policies(connection, options, groups, objects).await;
    let ruled = !objects.destination_rules.is_empty() || !objects.backend_policies.is_empty();
    let by_service =
        objects.envoy_filters.iter().flat_map(|filter| &filter.patches).any(|patch| !patch.service.is_empty());
    let selecting: Vec<ObjectKind> = [
        (ObjectKind::Service, ruled || by_service),
        (ObjectKind::Namespace, objects.control_planes.iter().any(selects_namespaces)),
        (ObjectKind::Node, asks_for_places(objects)),
        (ObjectKind::RevisionTag, options.revisions.iter().any(|revision| is_unknown(objects, revision))),
    ]
    .into_iter()
    .filter_map(|(kind, wanted)| wanted.then_some(kind))
    .collect();
    let reads = selecting.into_iter().map(|kind| async move {
        let mut found = IstioObjects::default();
        let outcome = match kind {
            ObjectKind::Service => {
                list_everywhere(connection, "/api/v1", "services", Kind::Service, options, &mut found).await
            }
            ObjectKind::Namespace => {
                list_all(connection, "/api/v1/namespaces", None, Kind::Namespace, &mut found).await
            }
            ObjectKind::Node => list_all(connection, "/api/v1/nodes", None, Kind::Node, &mut found).await,
            _ => {
                let path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
                let kind = Kind::MutatingWebhookConfiguration;
                list_all(connection, path, Some("istio.io/tag"), kind, &mut found).await
            }
        };
        (kind, outcome, found)
    });
    for (kind, outcome, found) in join_all(reads).await {
        objects.coverage.insert(kind, outcome);
        objects.services.extend(found.services);
        objects.namespaces.extend(found.namespaces);
        objects.nodes.extend(found.nodes);
        objects.revision_tags.extend(found.revision_tags);
        objects.notes.extend(found.notes);
        objects.misread.extend(found.misread);
    }
}

fn selects_namespaces(plane: &ControlPlane) -> bool {
    plane.mesh.iter().any(|source| source.config.discovery_selectors.as_ref().is_some_and(|all| !all.is_empty()))
}

/// Whether a selector asks where a workload runs.
fn asks_for_places(objects: &IstioObjects) -> bool {
    let rules = objects.destination_rules.iter().filter_map(|rule| rule.workload_selector.as_ref());
    let sidecars = objects.sidecars.iter().filter_map(|sidecar| sidecar.workload_selector.as_ref());
    let filters = objects.envoy_filters.iter().filter_map(|filter| filter.workload_selector.as_ref());
    let place = |key: &String| key.starts_with("topology.kubernetes.io/") || key == "topology.istio.io/subzone";
    rules.chain(sidecars).chain(filters).any(|selector| selector.keys().any(place))
}

fn is_unknown(objects: &IstioObjects, revision: &str) -> bool {
    !revision.is_empty() && objects.control_planes.iter().all(|plane| plane.revision != revision)
}

/// The Gateway API's policies for backends, of the version that istiod reads; nothing where the cluster has no such API.
async fn read_backend_policies(
    connection: &Connection,
    options: &ObjectOptions,
    groups: Option<&BTreeMap<String, String>>,
    objects: &mut IstioObjects,
) {
    let alpha = objects.control_planes.iter().any(|plane| plane.feature("PILOT_ENABLE_ALPHA_GATEWAY_API", false));
    let mut coverage = Coverage::Read;
    for (group, version, resource, kind, wanted) in [
        ("gateway.networking.k8s.io", "v1", "backendtlspolicies", Kind::BackendTLSPolicy, true),
        ("gateway.networking.x-k8s.io", "v1alpha1", "xbackendtrafficpolicies", Kind::XBackendTrafficPolicy, alpha),
    ] {
        if !wanted || groups.is_some_and(|groups| !groups.contains_key(group)) {
            continue;
        }
        let mut found = IstioObjects::default();
        let api = format!("/apis/{group}/{version}");
        let outcome = list_everywhere(connection, &api, resource, kind, options, &mut found).await;
        if outcome != Coverage::Read {
            coverage = outcome;
        }
        objects.backend_policies.extend(found.backend_policies);
        objects.notes.extend(found.notes);
        objects.misread.extend(found.misread);
    }
    if !objects.backend_policies.is_empty() {
        let path =
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/backendtlspolicies.gateway.networking.k8s.io";
        if let Ok(definition) = connection.get::<Object>(path).await {
            add(objects, Kind::CustomResourceDefinition, definition.json());
        }
    }
    objects.coverage.insert(ObjectKind::BackendPolicy, coverage);
}

const ISTIO_KINDS: [(ObjectKind, &str, Kind); 5] = [
    (ObjectKind::DestinationRule, "destinationrules", Kind::DestinationRule),
    (ObjectKind::Sidecar, "sidecars", Kind::Sidecar),
    (ObjectKind::EnvoyFilter, "envoyfilters", Kind::EnvoyFilter),
    (ObjectKind::ServiceEntry, "serviceentries", Kind::ServiceEntry),
    (ObjectKind::VirtualService, "virtualservices", Kind::VirtualService),
];

async fn read_istio_kinds(
    connection: &Connection,
    options: &ObjectOptions,
    groups: &BTreeMap<String, String>,
    objects: &mut IstioObjects,
) {
    let Some(preferred) = groups.get("networking.istio.io") else {
        for (kind, ..) in ISTIO_KINDS {
            objects.coverage.insert(kind, Coverage::Denied("the cluster has no networking.istio.io API".to_owned()));
        }
        return;
    };
    let reads = ISTIO_KINDS.map(|(kind, resource, name)| async move {
        // EnvoyFilter never left v1alpha3.
        let version = if kind == ObjectKind::EnvoyFilter { "networking.istio.io/v1alpha3" } else { preferred.as_str() };
        let mut found = IstioObjects::default();
        let coverage =
            list_everywhere(connection, &format!("/apis/{version}"), resource, name, options, &mut found).await;
        (kind, coverage, found)
    });
    for (kind, coverage, found) in join_all(reads).await {
        objects.coverage.insert(kind, coverage);
        objects.notes.extend(found.notes);
        objects.misread.extend(found.misread);
        objects.destination_rules.extend(found.destination_rules);
        objects.sidecars.extend(found.sidecars);
        objects.envoy_filters.extend(found.envoy_filters);
        objects.service_entries.extend(found.service_entries);
        objects.virtual_services.extend(found.virtual_services);
    }
}

/// Lists a kind that belongs to no namespace.
async fn list_all(
    connection: &Connection,
    path: &str,
    labels: Option<&str>,
    kind: Kind,
    found: &mut IstioObjects,
) -> Coverage {
    match list(connection, path, labels, kind, found).await {
        Ok(()) | Err(ApiError::NotFound(_)) => Coverage::Read,
        Err(error) => Coverage::Denied(error.to_string()),
    }
}

/// Lists a kind in the whole cluster; where that is forbidden, in each namespace that matters.
async fn list_everywhere(
    connection: &Connection,
    api: &str,
    resource: &str,
    kind: Kind,
    options: &ObjectOptions,
    found: &mut IstioObjects,
) -> Coverage {
    let all = list(connection, &format!("{api}/{resource}"), None, kind, found).await;
    let Err(error) = all else { return Coverage::Read };
    let refusal = match error {
        ApiError::Forbidden(message) => message,
        ApiError::NotFound(_) => return Coverage::Read,
        error => return Coverage::Denied(error.to_string()),
    };
    let namespaces: BTreeSet<&String> = options.namespaces.iter().chain([&options.istio_namespace]).collect();
    let mut read = 0;
    for namespace in &namespaces {
        let path = format!("{api}/namespaces/{}/{resource}", encode(namespace));
        match list(connection, &path, None, kind, found).await {
            Ok(()) => read += 1,
            // One refusal of many is likely followed by more; still, each namespace may differ.
            Err(ApiError::Forbidden(_)) => {}
            Err(error) => return Coverage::Denied(error.to_string()),
        }
    }
    if read == 0 {
        return Coverage::Denied(refusal);
    }
    Coverage::Partly(format!("{read} of {} namespaces; {refusal}", namespaces.len()))
}

/// The most bytes, by [`weigh_object`], that are kept of one kind: twenty thousand Services, or as many
/// DestinationRules.
const MAX_OF_A_KIND: usize = 64 << 20;

/// What an object costs besides.
const OBJECT: usize = 512;

async fn list(
    connection: &Connection,
    path: &str,
    labels: Option<&str>,
    kind: Kind,
    found: &mut IstioObjects,
) -> Result<(), ApiError> {
    let mut weight = 0;
    connection
        .list(ListQuery { path, labels, fields: None }, &mut |listed| {
            match listed {
                Listed::Object(json) => {
                    weight += OBJECT + weigh_object(json);
                    if weight > MAX_OF_A_KIND {
                        let of = <&str>::from(kind);
                        return Err(ApiError::TooLarge(format!(
                            "there are more than {} MiB of {of}",
                            MAX_OF_A_KIND >> 20
                        )));
                    }
                    add(found, kind, &String::from_utf8_lossy(json));
                }
                Listed::Restarted => {
                    weight = 0;
                    *found = IstioObjects {
                        control_planes: std::mem::take(&mut found.control_planes),
                        ..IstioObjects::default()
                    };
                }
            }
            Ok(())
        })
        .await
}

/// Finds control planes by their Deployments and by their pods, then reads each one's mesh configuration.
async fn read_control_planes(
    connection: &Connection,
    options: &ObjectOptions,
    progress: &(dyn Fn(Progress) + Sync),
    objects: &mut IstioObjects,
) {
    let everywhere = list(connection, "/apis/apps/v1/deployments", Some(ISTIOD_LABEL), Kind::Deployment, objects).await;
    let coverage = match everywhere {
        Ok(()) => Coverage::Read,
        Err(ApiError::Forbidden(refusal)) => {
            let path = format!("/apis/apps/v1/namespaces/{}/deployments", encode(&options.istio_namespace));
            match list(connection, &path, Some(ISTIOD_LABEL), Kind::Deployment, objects).await {
                Ok(()) => Coverage::Partly(format!("only in {}; {refusal}", options.istio_namespace)),
                Err(error) => Coverage::Denied(error.to_string()),
            }
        }
        Err(error) => Coverage::Denied(error.to_string()),
    };
    if objects.control_planes.is_empty() {
        let path = format!("/apis/apps/v1/namespaces/{}/deployments", encode(&options.istio_namespace));
        // Where there is none, or it may not be read, the ConfigMap still says what there is to say.
        let _ = list(connection, &path, Some(PILOT_LABEL), Kind::Deployment, objects).await;
    }
    objects.coverage.insert(ObjectKind::Deployment, coverage);
    istiod::add_pods(connection, options, objects).await;
    let asking = istiod::ask(connection, options, &objects.control_planes, progress);
    let (read, answers) = tokio::join!(read_mesh_configs(connection, options, &objects.control_planes), asking);
    let denied = read.into_iter().fold(None, |denied, outcome| match outcome {
        Ok(object) => {
            add(objects, Kind::ConfigMap, object.json());
            denied
        }
        Err(ApiError::NotFound(_)) => denied,
        Err(error) => Some(error.to_string()),
    });
    istiod::add_answers(objects, answers);
    let found = objects.control_planes.iter().any(|plane| !plane.mesh.is_empty());
    let coverage = match denied {
        None if found => Coverage::Read,
        None => Coverage::Denied(format!("no mesh configuration was found in {}", options.istio_namespace)),
        Some(reason) if found => Coverage::Partly(reason),
        Some(reason) => Coverage::Denied(reason),
    };
    objects.coverage.insert(ObjectKind::MeshConfig, coverage);
}

/// Reads every ConfigMap that may hold a plane's mesh configuration, each in the plane's own namespace.
async fn read_mesh_configs(
    connection: &Connection,
    options: &ObjectOptions,
    planes: &[ControlPlane],
) -> Vec<Result<crate::decode::objects::Object, ApiError>> {
    let mut wanted: BTreeSet<(String, String)> = BTreeSet::new();
    for plane in planes.iter().filter(|plane| plane.revision.is_empty() || is_label(&plane.revision)) {
        wanted.insert((plane.namespace.clone(), mesh_config_map(&plane.revision)));
        wanted.insert((plane.namespace.clone(), format!("istio-shared-configmap-{}", plane.revision)));
        if let Some(shared) = plane.istiod.as_ref().and_then(|istiod| istiod.shared_mesh_config.clone()) {
            wanted.insert((plane.namespace.clone(), shared));
        }
    }
    let unknown = |revision: &&String| planes.iter().all(|plane| plane.revision != **revision);
    // A pod's annotation may say anything; a revision is a label's value, and anything else is no control plane's.
    let revisions = options.revisions.iter().filter(|revision| is_label(revision));
    for revision in revisions.filter(unknown) {
        // A tag of a known control plane, or a control plane that runs elsewhere.
        wanted.insert((options.istio_namespace.clone(), mesh_config_map(revision)));
    }
    if planes.is_empty() {
        wanted.insert((options.istio_namespace.clone(), "istio".to_owned()));
    }
    join_all(wanted.iter().map(|(namespace, name)| async move {
        let path = format!("/api/v1/namespaces/{}/configmaps/{}", encode(namespace), encode(name));
        connection.get::<crate::decode::objects::Object>(&path).await
    }))
    .await
}

/// The access log formats that the proxies' mesh configurations set. Without a right to read those, or where they set
/// none, there is none, and Istio's own formats are still known.
pub async fn access_log_formats(
    connection: &Connection,
    istio_namespace: &str,
    proxies: &[Proxy],
) -> Vec<AccessFormat> {
    #[derive(serde::Deserialize)]
    struct ConfigMap {
        #[serde(default)]
        data: BTreeMap<String, String>,
    }
    let sound = proxies.iter().filter(|proxy| proxy.revision.is_empty() || is_label(&proxy.revision));
    let names: BTreeSet<String> = sound.map(|proxy| mesh_config_map(&proxy.revision)).collect();
    let reads = names.iter().map(|name| async move {
        let path = format!("/api/v1/namespaces/{}/configmaps/{}", encode(istio_namespace), encode(name));
        connection.get::<ConfigMap>(&path).await.ok()
    });
    let mut formats = Vec::new();
    for config_map in join_all(reads).await.into_iter().flatten() {
        let format = config_map.data.get("mesh").and_then(|mesh| AccessFormat::from_mesh_config(mesh));
        formats.extend(format.filter(|format| !formats.contains(format)));
    }
    formats
}

/// The ConfigMap that a revision's mesh configuration is in (`pilot/pkg/bootstrap/mesh.go`).
fn mesh_config_map(revision: &str) -> String {
    match revision {
        "" | ControlPlane::DEFAULT_REVISION => "istio".to_owned(),
        revision => format!("istio-{revision}"),
    }
}

async fn read_installers(connection: &Connection, groups: &BTreeMap<String, String>, objects: &mut IstioObjects) {
    let mut coverage = Coverage::Read;
    for (group, resource, kind) in [
        ("install.istio.io", "istiooperators", Kind::IstioOperator),
        ("sailoperator.io", "istios", Kind::Istio),
        ("sailoperator.io", "istiorevisions", Kind::IstioRevision),
        ("maistra.io", "servicemeshcontrolplanes", Kind::ServiceMeshControlPlane),
        ("mesh.cloud.google.com", "controlplanerevisions", Kind::ControlPlaneRevision),
        ("istio.alibabacloud.com", "asmmeshconfigs", Kind::ASMMeshConfig),
    ] {
        let Some(version) = groups.get(group) else { continue };
        match list(connection, &format!("/apis/{version}/{resource}"), None, kind, objects).await {
            Ok(()) | Err(ApiError::NotFound(_)) => {}
            Err(error) => coverage = Coverage::Denied(error.to_string()),
        }
    }
    objects.coverage.insert(ObjectKind::Installer, coverage);
}
