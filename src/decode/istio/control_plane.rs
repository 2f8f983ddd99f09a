//! Control planes: istiod's Deployments, mesh configurations, and what installs them.

use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::mesh_config;
use super::meta::RawObject;
use crate::model::istio::{
    ControlPlane, Installer, InstallerKind, IstioObjects, Istiod, MeshConfigKind, MeshConfigSource, ObjectMeta,
};

/// Variables of istiod's environment that change how configuration is read, by how their names begin; others may hold
/// secrets, and are not kept.
const TELLING_ENV: [&str; 6] = ["PILOT_", "ENABLE_", "AMBIENT_", "REVISION", "CLUSTER_ID", "SHARED_MESH_CONFIG"];

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
    args: Vec<String>,
    #[serde(default)]
    env: Vec<RawEnv>,
}

#[derive(Deserialize)]
struct RawEnv {
    #[serde(default)]
    name: String,
    value: Option<String>,
}

pub(super) fn add_istiod(objects: &mut IstioObjects, raw: &RawObject<'_>, meta: ObjectMeta) -> Result<(), String> {
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
        .or_else(|| raw.metadata.revision())
        .unwrap_or_else(|| ControlPlane::DEFAULT_REVISION.to_owned());
    let version = image_version(&container.image);
    let telling = |name: &str| TELLING_ENV.iter().any(|prefix| name.starts_with(prefix));
    let istiod = Istiod {
        meta: meta.clone(),
        domain: argument(&container.args, "--domain").unwrap_or_default().to_owned(),
        env: container
            .env
            .iter()
            .filter(|variable| telling(&variable.name))
            .filter_map(|variable| Some((variable.name.clone(), variable.value.clone()?)))
            .collect(),
        shared_mesh_config: env("SHARED_MESH_CONFIG"),
        image: container.image,
        evidence: raw.metadata.evidence(),
    };
    let plane = plane_of(objects, &revision, &meta.namespace);
    plane.version = version;
    plane.istiod = Some(istiod);
    Ok(())
}

/// A flag's value, as `--flag=value` or as the next word.
fn argument<'a>(args: &'a [String], flag: &str) -> Option<&'a str> {
    let mut words = args.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word.strip_prefix(flag) {
            Some("") => return words.next(),
            Some(rest) if rest.starts_with('=') => return rest.get(1..),
            _ => {}
        }
    }
    None
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
    if crate::model::istio::minor_version(&tag[..end]).is_some() { tag[..end].to_owned() } else { String::new() }
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

pub(super) fn add_mesh_config(objects: &mut IstioObjects, raw: &RawObject<'_>, meta: ObjectMeta) {
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

pub(super) fn add_installer(
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
