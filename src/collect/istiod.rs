//! Asks istiod itself: what mesh configuration it uses, which proxies are connected to it, and what they took.

use std::ops::ControlFlow;
use std::sync::Arc;

use futures_util::StreamExt as _;

use super::{ObjectOptions, Progress};
use crate::decode::bounded::weigh;
use crate::decode::istiod::{IstiodPod, injector, istiod_pod};
use crate::decode::{mesh_config, syncz};
use crate::k8s::{ApiError, Connection, ListQuery, Listed, encode};
use crate::model::objects::{ControlPlane, Evidence, IstioObjects, MeshConfigKind, MeshConfigSource, ObjectMeta};
use crate::model::sync::{Answer, Instance};
use crate::reach::{AdminError, AdminRequest, AdminSource, IstiodPage, Limits, Tunnel};

/// The label of istiod's Deployments and pods.
pub(super) const ISTIOD_LABEL: &str = "app=istiod";

/// Ports on which istiod serves its debug pages (`pilot/cmd/pilot-discovery/app/cmd.go`): monitoring, then plain HTTP.
const PORTS: [u16; 2] = [15014, 8080];

/// Adds control planes' pods, and control planes of which only the pods can be seen; then what injects their proxies.
pub(super) async fn add_pods(connection: &Connection, options: &ObjectOptions, objects: &mut IstioObjects) {
    let mut pods = Vec::new();
    let mut listed = true;
    let mut outcome = list_pods(connection, "/api/v1/pods", &mut pods).await;
    if matches!(outcome, Err(ApiError::Forbidden(_))) {
        let mut namespaces = vec![options.istio_namespace.clone()];
        namespaces.extend(objects.control_planes.iter().map(|plane| plane.namespace.clone()));
        namespaces.sort();
        namespaces.dedup();
        listed = false;
        for namespace in namespaces {
            outcome =
                list_pods(connection, &format!("/api/v1/namespaces/{}/pods", encode(&namespace)), &mut pods).await;
        }
    }
    if let Err(error) = outcome {
        listed = false;
        objects.notes.push(format!("istiod's pods could not be listed: {error}"));
    }
    pods.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    for pod in pods {
        add_pod(&mut objects.control_planes, pod);
    }
    if listed {
        // No pod of it was found, and one would have been.
        for plane in objects.control_planes.iter_mut().filter(|plane| plane.istiod.is_some()) {
            plane.instances.get_or_insert_default();
        }
    }
    let path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
    let found = &mut objects.injectors;
    let query = ListQuery { path, labels: Some("app=sidecar-injector"), fields: None };
    let take = &mut |listed: Listed<'_>| {
        match listed {
            Listed::Object(json) => found.extend(injector(&String::from_utf8_lossy(json))),
            Listed::Restarted => found.clear(),
        }
        Ok(())
    };
    // Few may read these, and they only explain.
    let _ = connection.list(query, take).await;
}

async fn list_pods(connection: &Connection, path: &str, pods: &mut Vec<IstiodPod>) -> Result<(), ApiError> {
    let known = pods.len();
    let query = ListQuery { path, labels: Some(ISTIOD_LABEL), fields: None };
    let take = &mut |listed: Listed<'_>| {
        match listed {
            Listed::Object(json) => pods.extend(istiod_pod(&String::from_utf8_lossy(json))),
            Listed::Restarted => pods.truncate(known),
        }
        Ok(())
    };
    connection.list(query, take).await
}

fn add_pod(planes: &mut Vec<ControlPlane>, pod: IstiodPod) {
    let same = |plane: &ControlPlane| plane.revision == pod.revision && plane.namespace == pod.namespace;
    let position = planes.iter().position(same).unwrap_or_else(|| {
        planes.push(ControlPlane {
            revision: pod.revision.clone(),
            namespace: pod.namespace.clone(),
            version: pod.version.clone(),
            ..ControlPlane::default()
        });
        planes.len() - 1
    });
    planes[position].instances.get_or_insert_default().push(Instance {
        namespace: pod.namespace,
        pod: pod.name,
        ready: pod.ready,
        connect_timeout: None,
        answer: None,
    });
}

/// What one pod answered.
pub(super) struct Answered {
    plane: usize,
    instance: usize,
    mesh: Option<MeshConfigSource>,
    answer: Answer,
}

/// Asks every pod of every plane at once. A debug page that is switched off (`ENABLE_DEBUG_ON_HTTP=false`) or may not be
/// reached costs nothing but a note.
pub(super) async fn ask(
    connection: &Connection,
    options: &ObjectOptions,
    planes: &[ControlPlane],
    progress: &(dyn Fn(Progress) + Sync),
) -> Vec<Answered> {
    if !options.ask_istiod {
        return Vec::new();
    }
    let name = |pod: &Instance| format!("istiod {}", pod.name());
    progress(Progress::Selected(planes.iter().flat_map(|plane| plane.instances.iter().flatten()).map(name).collect()));
    let pods = planes.iter().enumerate().flat_map(|(plane, found)| {
        found.instances.iter().flatten().enumerate().map(move |(instance, pod)| (plane, instance, pod))
    });
    let asking = pods.map(|(plane, instance, pod)| async move {
        let (mesh, answer) = ask_pod(connection, pod, options.limits).await;
        progress(Progress::Done(name(pod)));
        Answered { plane, instance, mesh, answer }
    });
    // Replicas of all revisions are fewer than these.
    let asking: Vec<_> = asking.collect();
    futures_util::stream::iter(asking).buffered(AT_ONCE).collect().await
}

async fn ask_pod(connection: &Connection, pod: &Instance, limits: Limits) -> (Option<MeshConfigSource>, Answer) {
    let mut failure = None;
    for port in PORTS {
        let mut tunnel = Tunnel::new(connection, &pod.namespace, &pod.pod, port, limits);
        let mesh = fetch(&mut tunnel, IstiodPage::Mesh).await;
        let mesh = match mesh {
            Ok(text) => Some(source(pod, &text)),
            // Whoever does not answer on one port hangs on the other as well.
            Err(error) if ends(&error) => return (None, unanswered(pod, &error)),
            Err(error) => {
                failure.get_or_insert(error);
                continue;
            }
        };
        let answer = match fetch(&mut tunnel, IstiodPage::Syncz).await {
            Ok(text) => match syncz::parse_syncz(&text) {
                Ok(proxies) => Answer::Proxies(proxies),
                Err(error) => Answer::Unread(format!("its /debug/syncz was not understood: {error}")),
            },
            Err(error) => Answer::Unread(error.to_string()),
        };
        return (mesh, answer);
    }
    let failure = failure.unwrap_or_else(|| AdminError::Unreachable("no port".to_owned()));
    (None, unanswered(pod, &failure))
}

/// Whether the other port need not be tried.
fn ends(error: &AdminError) -> bool {
    matches!(error, AdminError::Timeout(_) | AdminError::OutOfTime(_) | AdminError::Api(_))
}

/// A pod that is not Ready, and on whose ports nothing listens, serves no proxy; of any other that does not answer
/// nothing follows.
fn unanswered(pod: &Instance, error: &AdminError) -> Answer {
    let nothing_listens = matches!(error, AdminError::Unreachable(_));
    if nothing_listens && !pod.ready { Answer::Down(error.to_string()) } else { Answer::Unread(error.to_string()) }
}

fn source(pod: &Instance, text: &str) -> MeshConfigSource {
    let (config, error) = match mesh_config::parse(text) {
        Ok(config) => (config, None),
        Err(error) => (Default::default(), Some(error)),
    };
    MeshConfigSource {
        kind: MeshConfigKind::Effective,
        meta: ObjectMeta { namespace: pod.namespace.clone(), name: pod.pod.clone(), created: None },
        config,
        text: Arc::from(""),
        resource_version: String::new(),
        error,
        evidence: Evidence::default(),
    }
}

/// Adds what istiods answered: to each pod its own, and to each plane the mesh configuration of the first that gave one,
/// a Ready one before others.
pub(super) fn add_answers(objects: &mut IstioObjects, answers: Vec<Answered>) {
    for answered in answers {
        // Planes that only a ConfigMap told of were added behind the others.
        let plane = &mut objects.control_planes[answered.plane];
        let Some(instance) = plane.instances.as_mut().and_then(|pods| pods.get_mut(answered.instance)) else {
            continue;
        };
        if let Answer::Unread(why) = &answered.answer {
            objects.notes.push(format!(
                "istiod {} (revision {}) could not be asked what it uses and which proxies took it: {why}",
                instance.name(),
                plane.revision
            ));
        }
        instance.answer = Some(answered.answer);
        let ready = instance.ready;
        let Some(mesh) = answered.mesh else { continue };
        instance.connect_timeout = mesh.config.connect_timeout;
        match plane.mesh.iter().position(|source| source.kind == MeshConfigKind::Effective) {
            None if mesh.error.is_none() => plane.mesh.push(mesh),
            Some(at) if ready && mesh.error.is_none() => {
                let first = plane.mesh[at].meta.name.clone();
                let first_ready = plane.instances.iter().flatten().any(|pod| pod.pod == first && pod.ready);
                if !first_ready {
                    plane.mesh[at] = mesh;
                }
            }
            _ => {}
        }
    }
}

/// How many istiods are asked at once.
const AT_ONCE: usize = 8;

/// The most bytes of a mesh configuration; a ConfigMap has one.
const MAX_MESH: usize = 2 << 20;

/// The most bytes of what one istiod says of its proxies: some 20,000 of them.
const MAX_SYNCZ: usize = 12 << 20;

/// The same once it is decoded, by [`weigh`].
const MAX_WEIGHT: usize = 48 << 20;

async fn fetch(tunnel: &mut Tunnel<'_>, page: IstiodPage) -> Result<String, AdminError> {
    let most = match page {
        IstiodPage::Mesh => MAX_MESH,
        IstiodPage::Syncz => MAX_SYNCZ,
    };
    let mut body = Vec::new();
    tunnel
        .send(&AdminRequest::Istiod(page), &mut |chunk| {
            body.extend_from_slice(chunk);
            if body.len() > most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .await?;
    if body.len() > most || weigh(&body) > MAX_WEIGHT {
        return Err(AdminError::TooLarge(most as u64));
    }
    Ok(String::from_utf8(body).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}
