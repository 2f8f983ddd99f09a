//! How a control plane was installed, recognised by what its installer leaves behind. Istio's own labels are shared by
//! several installers: `app.kubernetes.io/managed-by: Helm` is on what istioctl renders too.

use crate::model::objects::{ControlPlane, Evidence, Installer, InstallerKind, IstioObjects, MeshConfigKind};

/// Who installs a control plane, and so where its configuration is to be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum InstallMethod {
    /// A Helm release of the `istiod` chart.
    Helm,
    /// `istioctl install`.
    Istioctl,
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
    /// Nothing that is known.
    Unknown,
}

impl InstallMethod {
    /// Its name in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Helm => "helm",
            Self::Istioctl => "istioctl",
            Self::Operator => "operator",
            Self::Sail => "sail",
            Self::Maistra => "ossm2",
            Self::AksAddon => "aks",
            Self::GkeManaged => "gke",
            Self::Unknown => "unknown",
        }
    }

    /// Its name in a sentence.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Helm => "Helm",
            Self::Istioctl => "istioctl install",
            Self::Operator => "the in-cluster operator",
            Self::Sail => "the Sail operator",
            Self::Maistra => "OpenShift Service Mesh 2",
            Self::AksAddon => "the AKS add-on",
            Self::GkeManaged => "GKE's managed control plane",
            Self::Unknown => "an installer that left no trace",
        }
    }
}

/// How a control plane was installed, and how that shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Install {
    /// Who did it.
    pub method: InstallMethod,
    /// What shows it, one fact each.
    pub evidence: Vec<String>,
    /// The Helm release, as namespace and name.
    pub release: Option<(String, String)>,
    /// The custom resource that its operator reads.
    pub resource: Option<Installer>,
    /// The GitOps application or release that owns the objects and writes them again; empty for nobody.
    pub owner: String,
    /// People's edits of the ConfigMap, by their field managers: lost at the next upgrade.
    pub hand_edits: Vec<String>,
}

/// Recognises how a control plane was installed.
#[must_use]
pub fn detect(objects: &IstioObjects, plane: &ControlPlane) -> Install {
    let empty = Evidence::default();
    let own = plane.mesh.iter().find(|source| source.kind == MeshConfigKind::Own);
    let map = own.map_or(&empty, |source| &source.evidence);
    let istiod = plane.istiod.as_ref().map_or(&empty, |istiod| &istiod.evidence);
    let both = [istiod, map];
    let mut evidence = Vec::new();
    let resource = |kind: InstallerKind| {
        let of_plane = |object: &&Installer| {
            object.kind == kind
                && (object.revision == plane.revision
                    || object.revision.is_empty()
                    || objects.control_planes.len() == 1)
        };
        // `installed-state` is what istioctl up to 1.23 kept as a record; no operator reads it.
        let is_read = |object: &&Installer| !object.meta.name.starts_with("installed-state");
        objects.installers.iter().filter(of_plane).find(is_read).cloned()
    };
    let label =
        |key: &str, value: &str| both.iter().any(|from| from.labels.get(key).is_some_and(|found| found == value));
    let has = |prefix: &str| {
        both.iter().any(|from| from.labels.keys().chain(from.annotations.keys()).any(|key| key.starts_with(prefix)))
    };
    let manager = |wanted: &str| both.iter().any(|from| from.managers.iter().any(|manager| manager == wanted));
    let owned_by = |kind: &str| {
        let prefix = format!("{kind}/");
        both.iter().flat_map(|from| &from.owners).find(|owner| owner.starts_with(&prefix)).cloned()
    };
    let mut found = None;
    let mut custom = None;
    if plane.namespace == "aks-istio-system" {
        evidence.push("namespace aks-istio-system".to_owned());
        found = Some(InstallMethod::AksAddon);
    } else if plane.revision.starts_with("asm-managed") || resource(InstallerKind::ControlPlaneRevision).is_some() {
        evidence.push(match resource(InstallerKind::ControlPlaneRevision) {
            Some(object) => format!("ControlPlaneRevision {}", object.meta),
            None => format!("revision {}", plane.revision),
        });
        found = Some(InstallMethod::GkeManaged);
    } else if label("managed-by", "sail-operator") || owned_by("IstioRevision").is_some() {
        if label("managed-by", "sail-operator") {
            evidence.push("label managed-by: sail-operator".to_owned());
        }
        evidence.extend(owned_by("IstioRevision").map(|owner| format!("owner {owner}")));
        // An IstioRevision is named after its Istio, with a suffix where the update strategy is RevisionBased.
        let owner = owned_by("IstioRevision").unwrap_or_default();
        let owner = owner.strip_prefix("IstioRevision/").unwrap_or_default();
        let istios = objects.installers.iter().filter(|object| object.kind == InstallerKind::Istio);
        custom = istios
            .clone()
            .find(|object| owner == object.meta.name || owner.starts_with(&format!("{}-", object.meta.name)))
            .or_else(|| istios.clone().next())
            .cloned();
        found = Some(InstallMethod::Sail);
    } else if label("app.kubernetes.io/managed-by", "maistra-istio-operator") || has("maistra.io/") {
        evidence.push("labels of the Maistra operator".to_owned());
        custom = resource(InstallerKind::ServiceMeshControlPlane);
        found = Some(InstallMethod::Maistra);
    }
    let release = both.iter().find_map(|from| {
        let name = from.annotations.get("meta.helm.sh/release-name")?;
        let namespace = from.annotations.get("meta.helm.sh/release-namespace").unwrap_or(&plane.namespace);
        Some((namespace.clone(), name.clone()))
    });
    if found.is_none() {
        let operator = resource(InstallerKind::IstioOperator);
        if let Some((namespace, name)) = &release {
            evidence.push(format!("annotation meta.helm.sh/release-name: {name} (namespace {namespace})"));
            if manager("helm") {
                evidence.push("field manager helm".to_owned());
            }
            found = Some(InstallMethod::Helm);
        } else if let Some(object) = operator {
            evidence.push(format!("IstioOperator {}", object.meta));
            custom = Some(object);
            found = Some(InstallMethod::Operator);
        } else if has("operator.istio.io/") || has("install.operator.istio.io/") || manager("istio-operator") {
            if has("operator.istio.io/") || has("install.operator.istio.io/") {
                evidence.push("labels of operator.istio.io".to_owned());
            }
            if manager("istio-operator") {
                evidence.push("field manager istio-operator".to_owned());
            }
            found = Some(InstallMethod::Istioctl);
        }
    }
    let gitops = |owner: String| if owner.starts_with("Helm release") { String::new() } else { owner };
    let resource_owner = custom.as_ref().map(|object| gitops(object.evidence.owner())).unwrap_or_default();
    let owner = both.iter().map(|from| gitops(from.owner())).find(|owner| !owner.is_empty()).unwrap_or(resource_owner);
    if !owner.is_empty() {
        evidence.push(owner.clone());
    }
    let by_hand = |manager: &&String| {
        ["kubectl-edit", "kubectl-patch", "kubectl-client-side-apply", "kubectl"].contains(&manager.as_str())
    };
    Install {
        method: found.unwrap_or(InstallMethod::Unknown),
        evidence,
        release,
        resource: custom,
        owner,
        hand_edits: map.managers.iter().filter(by_hand).cloned().collect(),
    }
}
