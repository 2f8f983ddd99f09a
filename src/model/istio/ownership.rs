//! Who put an object there, and what installs a control plane.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Labels, ObjectMeta};

/// What of an object's metadata tells who put it there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// Its labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: Labels,
    /// Those of its annotations that name an installer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Labels,
    /// The `manager` of each of its managedFields.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub managers: Vec<String>,
    /// Its owners, as `Kind/name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<String>,
}

impl Evidence {
    /// Who owns the object and will write it again: a GitOps application, or a Helm release. Empty for nobody.
    #[must_use]
    pub fn owner(&self) -> String {
        let get = |key: &str| self.annotations.get(key).or_else(|| self.labels.get(key)).map(String::as_str);
        let with = |namespace: Option<&str>, name: &str| match namespace {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name.to_owned(),
        };
        if let Some(tracking) = get("argocd.argoproj.io/tracking-id") {
            return format!("Argo CD application {}", tracking.split(':').next().unwrap_or(tracking));
        }
        if let Some(name) = get("argocd.argoproj.io/instance") {
            return format!("Argo CD application {name}");
        }
        if let Some(name) = get("kustomize.toolkit.fluxcd.io/name") {
            return format!("Flux Kustomization {}", with(get("kustomize.toolkit.fluxcd.io/namespace"), name));
        }
        if let Some(name) = get("helm.toolkit.fluxcd.io/name") {
            return format!("Flux HelmRelease {}", with(get("helm.toolkit.fluxcd.io/namespace"), name));
        }
        match get("meta.helm.sh/release-name") {
            Some(name) => format!("Helm release {}", with(get("meta.helm.sh/release-namespace"), name)),
            None => String::new(),
        }
    }
}

/// What can install a control plane, other than what its Deployment shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub enum InstallerKind {
    /// `install.istio.io` IstioOperator, read by the in-cluster operator (up to Istio 1.23).
    IstioOperator,
    /// `sailoperator.io` Istio (Sail operator, OpenShift Service Mesh 3).
    Istio,
    /// `maistra.io` ServiceMeshControlPlane (OpenShift Service Mesh 2).
    ServiceMeshControlPlane,
    /// `mesh.cloud.google.com` ControlPlaneRevision (managed Cloud Service Mesh).
    ControlPlaneRevision,
    /// `istio.alibabacloud.com` ASMMeshConfig (Alibaba Cloud Service Mesh).
    AsmMeshConfig,
}

/// An object that installs a control plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Installer {
    /// What it is.
    pub kind: InstallerKind,
    /// Its name and namespace.
    pub meta: ObjectMeta,
    /// The revision it installs; empty where it does not say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub revision: String,
    /// `apiVersion`, as served.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// Who wrote it.
    #[serde(default)]
    pub evidence: Evidence,
}
