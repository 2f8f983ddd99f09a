//! How a control plane was installed, recognised by what its installer leaves on the objects that it makes.
//!
//! Istio's charts carry labels that every way of applying them shares (`app.kubernetes.io/managed-by: Helm`,
//! `operator.istio.io/component`, `install.operator.istio.io/owning-resource: unknown`), so those prove no more than
//! that a chart was rendered. What proves an installer: Helm annotates what a release owns (`meta.helm.sh/*`);
//! `istioctl install` and the in-cluster operator label what they apply (`operator.istio.io/managed`, `…/version`,
//! `install.operator.istio.io/owning-resource-namespace`; `operator/pkg/install/install.go`) under the field manager
//! `istio-operator`; the Sail operator labels `managed-by: sail-operator` and owns by IstioRevision.

use crate::model::objects::{
    ControlPlane, Evidence, GitOps, Installer, InstallerKind, IstioObjects, MeshConfigKind, ObjectMeta, Source,
};

/// The image of istiod that Rancher's chart installs, by default (`rancher/charts`, `packages/rancher-istio`, `values.yaml`).
const RANCHERS_PILOT: &str = "rancher/mirrored-istio-pilot";

/// Who installs a control plane, and so where its configuration is to be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum InstallMethod {
    /// A Helm release, of the `istiod` chart or of one that has it as a dependency.
    Helm,
    /// Istio's charts, rendered and then applied: `helm template`, `istioctl manifest generate`, kustomize, Argo CD.
    Rendered,
    /// `istioctl install`.
    Istioctl,
    /// Rancher's chart `rancher-istio`, whose Job runs `istioctl install`.
    Rancher,
    /// The in-cluster operator and an IstioOperator (up to Istio 1.23).
    Operator,
    /// The Sail operator and an Istio (OpenShift Service Mesh 3).
    Sail,
    /// The Maistra operator and a ServiceMeshControlPlane (OpenShift Service Mesh 2).
    Maistra,
    /// Azure's managed add-on.
    AksAddon,
    /// Google's managed control plane.
    GkeManaged,
    /// Alibaba Cloud Service Mesh and its ASMMeshConfig.
    AlibabaAsm,
    /// Nothing that is known.
    Unknown,
}

impl InstallMethod {
    /// Its name in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Helm => "helm",
            Self::Rendered => "rendered",
            Self::Istioctl => "istioctl",
            Self::Rancher => "rancher",
            Self::Operator => "operator",
            Self::Sail => "sail",
            Self::Maistra => "ossm2",
            Self::AksAddon => "aks",
            Self::GkeManaged => "gke",
            Self::AlibabaAsm => "alibaba",
            Self::Unknown => "unknown",
        }
    }

    /// Its name in a sentence.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Helm => "Helm",
            Self::Rendered => "Istio's charts, rendered and then applied",
            Self::Istioctl => "istioctl",
            Self::Rancher => "Rancher's chart",
            Self::Operator => "the in-cluster operator",
            Self::Sail => "the Sail operator",
            Self::Maistra => "OpenShift Service Mesh 2",
            Self::AksAddon => "the AKS add-on",
            Self::GkeManaged => "GKE's managed control plane",
            Self::AlibabaAsm => "Alibaba Cloud Service Mesh",
            Self::Unknown => "an installer that left no trace",
        }
    }
}

/// A Helm release that owns a control plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelmRelease {
    /// The release's namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The chart that the control plane's objects are from, with its version: `istiod-1.31.0`. Of a dependency's
    /// objects it is the dependency, so it is not always the release's own. Empty where they do not say.
    pub chart: String,
    /// Whether the release is of the istiod chart itself.
    pub of_istiod: OfIstiod,
}

impl HelmRelease {
    /// The version of the chart that the objects are from.
    #[must_use]
    pub fn chart_version(&self) -> Option<&str> {
        self.chart.strip_prefix("istiod-").filter(|version| !version.is_empty())
    }
}

/// Whether a release's chart is istiod, as far as the cluster's objects show it. What proves it is in the release's
/// Secret, which is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfIstiod {
    /// It is named after it.
    Likely,
    /// Nothing says so.
    Unknown,
    /// Objects of the same release are from another chart: istiod is a dependency.
    No,
}

/// How a control plane was installed, and how that shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Install {
    /// Who did it.
    pub method: InstallMethod,
    /// What shows it, one fact each.
    pub evidence: Vec<String>,
    /// The Helm release.
    pub release: Option<HelmRelease>,
    /// The custom resource that its operator reads.
    pub resource: Option<Installer>,
    /// Whether what was rendered may be from `istioctl manifest generate`, which takes an IstioOperator and not a chart's
    /// values, and calls the release of every chart `istio` (`operator/pkg/render/manifest.go`).
    pub manifest_generate: bool,
    /// Whether what was rendered may be of a chart that has istiod as a dependency: its release is not named after it.
    pub dependency: bool,
    /// What writes the objects again; `None` for nothing.
    pub gitops: Option<GitOps>,
    /// People's edits of the ConfigMap, by their field managers: lost at the next upgrade.
    pub hand_edits: Vec<String>,
}

/// What the objects of one control plane say of their installer.
struct Traces<'a> {
    objects: &'a IstioObjects,
    plane: &'a ControlPlane,
    /// istiod's Deployment, then the mesh's ConfigMap.
    both: [&'a Evidence; 2],
}

/// Recognises how a control plane was installed.
#[must_use]
pub fn detect(objects: &IstioObjects, plane: &ControlPlane) -> Install {
    let empty = Evidence::default();
    let own = plane.mesh.iter().find(|source| source.kind == MeshConfigKind::Own);
    let map = own.map_or(&empty, |source| &source.evidence);
    let istiod = plane.istiod.as_ref().map_or(&empty, |istiod| &istiod.evidence);
    let traces = Traces { objects, plane, both: [istiod, map] };
    let mut install = traces.managed().or_else(|| traces.self_installed()).unwrap_or_else(|| Install {
        method: InstallMethod::Unknown,
        evidence: Vec::new(),
        release: None,
        resource: None,
        manifest_generate: false,
        dependency: false,
        gitops: None,
        hand_edits: Vec::new(),
    });
    // What matters is who writes again what is changed: a custom resource, or AKS's shared ConfigMap.
    install.gitops = match (&install.resource, install.method) {
        (Some(resource), _) => resource.evidence.gitops().or_else(|| resource.evidence.owned_by()),
        (None, InstallMethod::AksAddon) => {
            let shared = plane.mesh.iter().find(|source| source.kind == MeshConfigKind::Shared);
            shared.and_then(|source| source.evidence.gitops())
        }
        (
            None,
            InstallMethod::Helm
            | InstallMethod::Rendered
            | InstallMethod::Istioctl
            | InstallMethod::Rancher
            | InstallMethod::Unknown,
        ) => {
            let owner = || traces.both.iter().find_map(|evidence| evidence.owned_by());
            traces.both.iter().find_map(|evidence| evidence.gitops()).or_else(owner)
        }
        (None, _) => traces.both.iter().find_map(|evidence| evidence.gitops()),
    };
    install.evidence.extend(install.gitops.as_ref().map(ToString::to_string));
    let by_hand: &[&str] = match install.method {
        // That is how it was installed.
        InstallMethod::Rendered | InstallMethod::Unknown => &["kubectl-edit", "kubectl-patch"],
        _ => &["kubectl-edit", "kubectl-patch", "kubectl-client-side-apply", "kubectl"],
    };
    install.hand_edits = map.managers.iter().filter(|manager| by_hand.contains(&manager.as_str())).cloned().collect();
    install
}

impl Traces<'_> {
    fn label(&self, key: &str, value: &str) -> bool {
        self.both.iter().any(|from| from.labels.get(key).is_some_and(|found| found == value))
    }

    fn find_label(&self, key: &str) -> Option<&str> {
        self.both.iter().find_map(|from| from.labels.get(key)).map(String::as_str)
    }

    fn has(&self, prefix: &str) -> bool {
        self.both
            .iter()
            .any(|from| from.labels.keys().chain(from.annotations.keys()).any(|key| key.starts_with(prefix)))
    }

    fn manager(&self, wanted: &str) -> bool {
        self.both.iter().any(|from| from.managers.iter().any(|manager| manager == wanted))
    }

    fn owned_by(&self, kind: &str) -> Option<String> {
        let prefix = format!("{kind}/");
        self.both.iter().flat_map(|from| &from.owners).find_map(|owner| owner.strip_prefix(&prefix)).map(str::to_owned)
    }

    /// The custom resource of a kind that is for this control plane: the one that the operator names on what it made, else
    /// one of the same revision, one without a revision, and any where there is one control plane and one of them.
    fn resource(&self, kind: InstallerKind) -> Option<Installer> {
        // `installed-state` is what istioctl up to 1.23 kept as a record; no operator reads it.
        let is_read = |object: &&Installer| object.kind == kind && !object.meta.name.starts_with("installed-state");
        let all: Vec<&Installer> = self.objects.installers.iter().filter(is_read).collect();
        let marks = ["install.operator.istio.io/owning-resource", "maistra.io/owner-name"];
        let named = marks.into_iter().find_map(|key| self.find_label(key));
        let by_name = || all.iter().find(|object| Some(object.meta.name.as_str()) == named);
        let by_revision = || all.iter().find(|object| object.revision == self.plane.revision);
        let without = || all.iter().find(|object| object.revision.is_empty());
        let only = || all.first().filter(|_| all.len() == 1 && self.objects.control_planes.len() == 1);
        by_name().or_else(by_revision).or_else(without).or_else(only).map(|&object| object.clone())
    }

    /// What somebody else runs, or an operator that is not Istio's own.
    fn managed(&self) -> Option<Install> {
        if self.plane.namespace == "aks-istio-system" {
            return Some(install(InstallMethod::AksAddon, ["namespace aks-istio-system".to_owned()]));
        }
        if let Some(revision) = self.resource(InstallerKind::ControlPlaneRevision) {
            return Some(install(InstallMethod::GkeManaged, [format!("ControlPlaneRevision {}", revision.meta)]));
        }
        if self.plane.revision.starts_with("asm-managed") {
            return Some(install(InstallMethod::GkeManaged, [format!("revision {}", self.plane.revision)]));
        }
        if let Some(config) = self.resource(InstallerKind::AsmMeshConfig) {
            let mut found = install(InstallMethod::AlibabaAsm, [format!("ASMMeshConfig {}", config.meta.name)]);
            found.resource = Some(config);
            return Some(found);
        }
        let labelled = self.label("managed-by", "sail-operator");
        let revision = self.owned_by("IstioRevision");
        if labelled || revision.is_some() {
            let label = labelled.then(|| "label managed-by: sail-operator".to_owned());
            let owner = revision.as_ref().map(|name| format!("owner IstioRevision/{name}"));
            let mut found = install(InstallMethod::Sail, label.into_iter().chain(owner));
            found.resource = self.istio_of(&revision.unwrap_or_default());
            return Some(found);
        }
        if self.label("app.kubernetes.io/managed-by", "maistra-istio-operator") || self.has("maistra.io/") {
            let mut found = install(InstallMethod::Maistra, ["labels of the Maistra operator".to_owned()]);
            found.resource = self.resource(InstallerKind::ServiceMeshControlPlane);
            return Some(found);
        }
        None
    }

    /// The Sail operator's Istio behind an IstioRevision: the owner of that, else the one which it is named after, with
    /// a suffix where the update strategy is RevisionBased. An IstioRevision that nobody owns stands for itself.
    fn istio_of(&self, revision: &str) -> Option<Installer> {
        let of_kind = |kind: InstallerKind, name: &str| {
            self.objects.installers.iter().find(|object| object.kind == kind && object.meta.name == name)
        };
        if let Some(found) = of_kind(InstallerKind::IstioRevision, revision) {
            let Some(owner) = found.evidence.owners.iter().find_map(|owner| owner.strip_prefix("Istio/")) else {
                return Some(found.clone());
            };
            let unread = || {
                let meta = ObjectMeta { name: owner.to_owned(), ..ObjectMeta::default() };
                let (evidence, revision) = (Evidence::default(), String::new());
                let api_version = found.api_version.clone();
                Installer { kind: InstallerKind::Istio, meta, revision, api_version, evidence }
            };
            return Some(of_kind(InstallerKind::Istio, owner).cloned().unwrap_or_else(unread));
        }
        let istios = || self.objects.installers.iter().filter(|object| object.kind == InstallerKind::Istio);
        let named = |object: &&Installer| {
            revision == object.meta.name
                || revision.strip_prefix(&object.meta.name).is_some_and(|rest| rest.starts_with('-'))
        };
        let only = || istios().next().filter(|_| revision.is_empty() && istios().count() == 1);
        istios().filter(named).max_by_key(|object| object.meta.name.len()).or_else(only).cloned()
    }

    fn self_installed(&self) -> Option<Install> {
        if let Some(release) = self.release() {
            let HelmRelease { namespace, name, .. } = &release;
            let annotation = format!("annotation meta.helm.sh/release-name: {name} (namespace {namespace})");
            let manager = self.manager("helm").then(|| "field manager helm".to_owned());
            let mut found = install(InstallMethod::Helm, [annotation].into_iter().chain(manager));
            found.release = Some(release);
            return Some(found);
        }
        // Its labels are the operator's too, which is told by the resource that it reads.
        if let Some(object) = self.resource(InstallerKind::IstioOperator) {
            let mut found = install(InstallMethod::Operator, [format!("IstioOperator {}", object.meta)]);
            found.resource = Some(object);
            return Some(found);
        }
        let marks = ["operator.istio.io/managed", "operator.istio.io/version"]
            .into_iter()
            .chain(["install.operator.istio.io/owning-resource-namespace"])
            .filter_map(|key| Some(format!("label {key}: {}", self.find_label(key)?)));
        let manager = self.manager("istio-operator").then(|| "field manager istio-operator".to_owned());
        let marks: Vec<String> = marks.chain(manager).collect();
        if !marks.is_empty() {
            let image = self.plane.istiod.as_ref().map(|istiod| istiod.image.as_str());
            let Some(image) = image.filter(|image| image.contains(RANCHERS_PILOT)) else {
                return Some(install(InstallMethod::Istioctl, marks));
            };
            return Some(install(InstallMethod::Rancher, [format!("image {image}")].into_iter().chain(marks)));
        }
        let chart = self.find_label("helm.sh/chart").map(|chart| format!("label helm.sh/chart: {chart}"));
        let common = ["install.operator.istio.io/owning-resource", "operator.istio.io/component"];
        let shown = chart.or_else(|| {
            let keys = common.into_iter().chain(["app.kubernetes.io/managed-by", "release"]);
            // An operator of its own names itself there.
            let of_chart = |(key, value): &(&str, &str)| *key != "app.kubernetes.io/managed-by" || *value == "Helm";
            let mut found = keys.filter_map(|key| Some((key, self.find_label(key)?))).filter(of_chart);
            found.next().map(|(key, value)| format!("label {key}: {value}"))
        })?;
        let mut found =
            install(InstallMethod::Rendered, [shown, "no mark of a Helm release or of istioctl".to_owned()]);
        let release = self.find_label("release");
        found.manifest_generate = release.is_none_or(|release| release == "istio");
        found.dependency = release.is_some_and(|release| release != "istio" && !release.contains("istiod"));
        Some(found)
    }

    fn release(&self) -> Option<HelmRelease> {
        let of = |annotations: &crate::model::objects::Labels| {
            let name = annotations.get("meta.helm.sh/release-name")?.clone();
            let namespace = annotations.get("meta.helm.sh/release-namespace").unwrap_or(&self.plane.namespace).clone();
            Some((namespace, name))
        };
        let (namespace, name) = self.both.iter().find_map(|from| of(&from.annotations))?;
        let chart = self.find_label("helm.sh/chart").unwrap_or_default().to_owned();
        let of_another_chart = |source: &Source| {
            of(&source.annotations).is_some_and(|other| other == (namespace.clone(), name.clone()))
                && source.labels.get("helm.sh/chart").is_none_or(|other| !other.starts_with("istiod-"))
        };
        let objects = self.objects;
        let beside = objects.destination_rules.iter().map(|rule| &rule.source);
        let beside = beside.chain(objects.sidecars.iter().map(|sidecar| &sidecar.source));
        let mut beside = beside.chain(objects.envoy_filters.iter().map(|filter| &filter.source));
        let of_istiod = if beside.any(of_another_chart) {
            OfIstiod::No
        } else if name.contains("istiod") {
            OfIstiod::Likely
        } else {
            OfIstiod::Unknown
        };
        Some(HelmRelease { namespace, name, chart, of_istiod })
    }
}

fn install(method: InstallMethod, evidence: impl IntoIterator<Item = String>) -> Install {
    Install {
        method,
        evidence: evidence.into_iter().collect(),
        release: None,
        resource: None,
        manifest_generate: false,
        dependency: false,
        gitops: None,
        hand_edits: Vec::new(),
    }
}
