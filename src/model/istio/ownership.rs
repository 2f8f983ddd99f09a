//! Who put an object there, and what installs a control plane.

use std::collections::BTreeMap;
use std::fmt;

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

/// What writes an object again from a source of its own, so that a change in the cluster does not last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GitOps {
    /// An Argo CD Application.
    ArgoCd {
        /// Its name; empty where only the field manager shows Argo CD.
        application: String,
    },
    /// A Flux Kustomization.
    FluxKustomization {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// A Flux HelmRelease.
    FluxHelmRelease {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// Anything else.
    Other {
        /// What it is: `Rancher Fleet bundle`, `Terraform`, the kind of an owner.
        tool: String,
        /// Its name; empty where it doesn't say.
        name: String,
    },
}

impl fmt::Display for GitOps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ArgoCd { application } if application.is_empty() => f.write_str("an Argo CD application"),
            Self::ArgoCd { application } => write!(f, "Argo CD application {application}"),
            Self::FluxKustomization { namespace, name } => write!(f, "Flux Kustomization {namespace}/{name}"),
            Self::FluxHelmRelease { namespace, name } => write!(f, "Flux HelmRelease {namespace}/{name}"),
            Self::Other { tool, name } if name.is_empty() => f.write_str(tool),
            Self::Other { tool, name } => write!(f, "{tool} {name}"),
        }
    }
}

/// How tools that apply what they hold mark it: the key of a label or annotation, whose value names the source or does
/// not. Config Sync: <https://cloud.google.com/kubernetes-engine/config-sync/docs/reference/labels-and-annotations>.
/// Fleet: `rancher/wrangler` `pkg/objectset`. kapp: `pkg/kapp/app/labeled_app.go`.
/// Open Cluster Management: `multicloud-operators-subscription` `pkg/apis/apps/v1/subscription_types.go`.
/// Flux 1: `fluxcd/flux` `pkg/cluster/kubernetes/sync.go`. Gardener: `pkg/apis/resources/v1alpha1/types.go`.
/// Spinnaker: `clouddriver` `KubernetesManifestAnnotater`. KubeVela: `pkg/oam/labels.go`. Karmada: `pkg/util/constants.go`.
/// The add-on manager: `cluster/addons/addon-manager` of Kubernetes.
const MARKS: [(&str, &str, bool); 16] = [
    ("configmanagement.gke.io/sync-name", "Config Sync", true),
    ("configmanagement.gke.io/managed", "Config Sync", false),
    ("configsync.gke.io/resource-id", "Config Sync", false),
    ("apps.open-cluster-management.io/hosting-subscription", "Open Cluster Management subscription", true),
    ("configsync.gke.io/manager", "Config Sync", false),
    ("configsync.gke.io/declared-version", "Config Sync", false),
    ("fleet.cattle.io/bundle-id", "Rancher Fleet bundle", true),
    ("objectset.rio.cattle.io/id", "Rancher Fleet bundle", false),
    ("kapp.k14s.io/app", "kapp", false),
    ("fluxcd.io/sync-checksum", "Flux 1", false),
    ("flux.weave.works/sync-checksum", "Flux 1", false),
    ("resources.gardener.cloud/origin", "Gardener ManagedResource", true),
    ("app.oam.dev/name", "KubeVela application", true),
    ("karmada.io/managed", "Karmada", false),
    ("addonmanager.kubernetes.io/mode", "the cluster's add-on manager", false),
    ("moniker.spinnaker.io/application", "Spinnaker application", true),
];

/// Values of these marks for an object that is to be left alone.
const LEFT_ALONE: [&str; 2] = ["disabled", "EnsureExists"];

/// The same by field manager, where that begins so.
const MANAGERS: [(&str, &str); 11] = [
    ("Terraform", "Terraform"),
    ("terraform-provider-", "Terraform"),
    ("pulumi-", "Pulumi"),
    ("fleetagent", "Rancher Fleet"),
    ("kapp-server", "kapp"),
    ("crossplane-", "Crossplane"),
    ("provider-helm", "Crossplane"),
    ("gloo-operator", "the Gloo operator"),
    ("kluctl", "kluctl"),
    ("timoni", "Timoni"),
    // Amazon's add-ons: `aws eks update-addon --configuration-values`.
    ("eks", "the EKS add-on"),
];

/// Beginnings of other labels and annotations that tell who installed an object.
const TELLING: [&str; 20] = [
    "helm.fluxcd.io/antecedent",
    "flux.weave.works/antecedent",
    AWS_CDK,
    "objectset.rio.cattle.io/owner-",
    "meta.helm.sh/",
    "argocd.argoproj.io/",
    "kustomize.toolkit.fluxcd.io/",
    "helm.toolkit.fluxcd.io/",
    "configsync.gke.io/",
    "gloo.solo.io/parent_",
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

/// How the AWS CDK labels what an app of its applies, with a hash behind it (`aws-eks` `KubernetesManifest`).
const AWS_CDK: &str = "aws.cdk.eks/prune-";

/// Those of the tools that write when somebody runs them, and not by themselves.
const ON_DEMAND: [&str; 7] = ["Terraform", "Pulumi", "kapp", "kluctl", "Timoni", "Spinnaker", "AWS CDK"];

/// How the owner of what a Helm release made is called.
const HELM_RELEASE: &str = "Helm release";

/// Until when a change in the cluster holds of what an [`Evidence::owner`] writes again by itself. `None` where there is
/// none, or somebody upgrades it by hand.
#[must_use]
pub fn reconciled(owner: &str) -> Option<String> {
    let by_hand = ON_DEMAND.iter().any(|tool| owner.starts_with(tool));
    let writes = if by_hand { "run" } else { "reconciliation" };
    (!owner.is_empty() && !owner.starts_with(HELM_RELEASE)).then(|| format!("the next {writes} of {owner}"))
}

impl Evidence {
    /// Whether a label or an annotation tells who installed its object.
    #[must_use]
    pub fn tells(key: &str) -> bool {
        MARKS.iter().map(|(mark, ..)| mark).chain(&TELLING).any(|beginning| key.starts_with(beginning))
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.annotations.get(key).or_else(|| self.labels.get(key)).map(String::as_str)
    }

    /// Who owns the object and will write it again: a GitOps application, or a Helm release. Empty for nobody.
    #[must_use]
    pub fn owner(&self) -> String {
        if let Some(gitops) = self.gitops() {
            return gitops.to_string();
        }
        match (self.get("meta.helm.sh/release-name"), self.get("meta.helm.sh/release-namespace")) {
            (Some(name), Some(namespace)) => format!("{HELM_RELEASE} {namespace}/{name}"),
            (Some(name), None) => format!("{HELM_RELEASE} {name}"),
            (None, _) => String::new(),
        }
    }

    /// What writes the object again by itself.
    #[must_use]
    pub fn gitops(&self) -> Option<GitOps> {
        let flux = |what: &str| {
            let name = self.get(&format!("{what}.toolkit.fluxcd.io/name"))?.to_owned();
            let namespace = self.get(&format!("{what}.toolkit.fluxcd.io/namespace")).unwrap_or("flux-system");
            Some((namespace.to_owned(), name))
        };
        if let Some(tracking) = self.get("argocd.argoproj.io/tracking-id") {
            let application = tracking.split(':').next().unwrap_or(tracking).to_owned();
            return Some(GitOps::ArgoCd { application });
        }
        if let Some(application) = self.get("argocd.argoproj.io/instance") {
            return Some(GitOps::ArgoCd { application: application.to_owned() });
        }
        // The operator of Flux 1: `NAMESPACE:helmrelease/NAME`.
        let antecedent = self.get("helm.fluxcd.io/antecedent").or_else(|| self.get("flux.weave.works/antecedent"));
        if let Some((namespace, name)) = antecedent.and_then(|from| from.split_once(":helmrelease/")) {
            return Some(GitOps::FluxHelmRelease { namespace: namespace.to_owned(), name: name.to_owned() });
        }
        // A HelmRelease's objects may come out of a Kustomization; what renders them is the nearer source.
        if let Some((namespace, name)) = flux("helm") {
            return Some(GitOps::FluxHelmRelease { namespace, name });
        }
        if let Some((namespace, name)) = flux("kustomize") {
            return Some(GitOps::FluxKustomization { namespace, name });
        }
        self.argo_by_label().or_else(|| self.other())
    }

    /// Argo CD's older way to track puts the application's name into the chart's own label.
    fn argo_by_label(&self) -> Option<GitOps> {
        let instance = self.labels.get("app.kubernetes.io/instance");
        let managed = self.managers.iter().any(|manager| manager.starts_with("argocd-"));
        let renamed = !self.annotations.contains_key("meta.helm.sh/release-name")
            && self.labels.get("release").is_some_and(|release| instance.is_some_and(|instance| instance != release));
        (managed || renamed).then(|| GitOps::ArgoCd { application: instance.cloned().unwrap_or_default() })
    }

    /// The parent that Gloo Mesh labels what it translates with.
    fn gloo_parent(&self) -> Option<GitOps> {
        let label = |key: &str| self.labels.get(&format!("gloo.solo.io/parent_{key}"));
        let namespace = label("namespace").map(|namespace| format!("{namespace}/")).unwrap_or_default();
        Some(GitOps::Other { tool: label("kind")?.clone(), name: format!("{namespace}{}", label("name")?) })
    }

    /// The first of the object's owners.
    #[must_use]
    pub fn owned_by(&self) -> Option<GitOps> {
        let (kind, name) = self.owners.first()?.split_once('/')?;
        Some(GitOps::Other { tool: kind.to_owned(), name: name.to_owned() })
    }

    fn other(&self) -> Option<GitOps> {
        let told = |tool: &str, name: &str| GitOps::Other { tool: tool.to_owned(), name: name.to_owned() };
        // Fleet's library is that of other controllers of Rancher's too (an Addon of k3s), which then say whose it is.
        let rancher = |what: &str| self.get(&format!("objectset.rio.cattle.io/owner-{what}"));
        if let (Some((_, kind)), Some(name)) = (rancher("gvk").and_then(|gvk| gvk.split_once("Kind=")), rancher("name"))
        {
            return Some(told(kind, name));
        }
        if let Some(parent) = self.gloo_parent() {
            return Some(parent);
        }
        let marked = |(key, tool, named): &(&'static str, &'static str, bool)| {
            let value = self.get(key).filter(|value| !LEFT_ALONE.contains(value))?;
            // The values of the others are hashes and versions, or `:root`.
            Some(told(tool, if *named { value } else { "" }))
        };
        if let Some(found) = MARKS.iter().find_map(marked) {
            return Some(found);
        }
        if self.labels.keys().any(|key| key.starts_with(AWS_CDK)) {
            return Some(told("AWS CDK", ""));
        }
        let of_manager = |(start, _): &&(&str, &str)| self.managers.iter().any(|manager| manager.starts_with(start));
        MANAGERS.iter().find(of_manager).map(|(_, tool)| told(tool, ""))
    }
}

/// What can install a control plane, other than what its Deployment shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub enum InstallerKind {
    /// `install.istio.io` IstioOperator, read by the in-cluster operator (up to Istio 1.23).
    IstioOperator,
    /// `sailoperator.io` Istio (Sail operator, OpenShift Service Mesh 3).
    Istio,
    /// `sailoperator.io` IstioRevision: what the Sail operator makes of an Istio, or somebody without one.
    IstioRevision,
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
