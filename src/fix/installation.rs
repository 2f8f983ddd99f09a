//! What to change mesh-wide, for the way a control plane was installed.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use super::command::ShellCommand;
use super::config_map::{MeshPatch, TimeoutKey, default_policy, mesh_patch};
use crate::audit::install::{Install, InstallMethod, OfIstiod, detect};
use crate::model::objects::{
    ControlPlane, GitOps, InstallerKind, IstioObjects, MeshConfigKind, MeshConfigSource, minor_version, reconciled,
};
use crate::model::{ClusterTool, format_duration};

/// A text to write down: a part of a file in the source of truth, or what a command changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    /// What it is: `Helm values of the istiod chart`, …
    pub what: String,
    /// A name for the file; empty where it is none.
    pub file: String,
    /// Its content.
    pub content: String,
}

/// A change in the cluster that does not last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interim {
    /// Until when it holds: `the next upgrade`.
    pub until: String,
    /// What makes it.
    pub command: ShellCommand,
}

/// The mesh-wide change of one control plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeshStep {
    /// The kubeconfig context, when several are audited.
    pub context: String,
    /// The control plane's revision; empty where unknown.
    pub revision: String,
    /// Its namespace.
    pub namespace: String,
    /// How it was installed.
    pub install: Install,
    /// The value now.
    pub before: Duration,
    /// The value to set.
    pub after: Duration,
    /// What gives the value now.
    pub source: String,
    /// The field of the mesh configuration that is to be changed.
    pub key: TimeoutKey,
    /// Which of the mesh configuration's sources is changed.
    pub target: MeshConfigKind,
    /// What to run, in order. Empty where there is nothing to run, only something to write down.
    pub commands: Vec<ShellCommand>,
    /// What to put into the source of truth, and what it changes.
    pub fragments: Vec<Fragment>,
    /// The quick way beside it, where that is not the way itself.
    pub interim: Option<Interim>,
    /// The change of the ConfigMap itself, by whichever of the two; `None` where it was not read.
    pub patch: Option<MeshPatch>,
    /// What goes wrong otherwise.
    pub warnings: Vec<String>,
}

/// What is known of a control plane's value.
pub(super) struct Target<'a> {
    pub(super) context: &'a str,
    pub(super) revision: &'a str,
    pub(super) before: Duration,
    pub(super) after: Duration,
    pub(super) source: &'a str,
    pub(super) key: TimeoutKey,
}

/// Instructions for one control plane; `plane` is `None` where no object could be read.
pub(super) fn mesh_step(objects: Option<&IstioObjects>, plane: Option<&ControlPlane>, target: &Target<'_>) -> MeshStep {
    let unknown = ControlPlane::default();
    let install = match (objects, plane) {
        (Some(objects), Some(plane)) => detect(objects, plane),
        _ => detect(&IstioObjects::default(), &unknown),
    };
    let plane = plane.unwrap_or(&unknown);
    let namespace = if plane.namespace.is_empty() { "istio-system".to_owned() } else { plane.namespace.clone() };
    let mut step = MeshStep {
        context: target.context.to_owned(),
        revision: target.revision.to_owned(),
        namespace,
        install,
        before: target.before,
        after: target.after,
        source: target.source.to_owned(),
        key: target.key,
        target: MeshConfigKind::Own,
        commands: Vec::new(),
        fragments: Vec::new(),
        interim: None,
        patch: None,
        warnings: Vec::new(),
    };
    if let Some(shared) = shared_policy(plane, target.key) {
        of_shared_map(&mut step, shared);
    } else {
        by_installer(&mut step, plane);
    }
    warn(&mut step, plane);
    step
}

/// The shared source, where the message that decides stands in it: one in the control plane's own source would take
/// its place whole (`pkg/config/mesh/mesh.go`, `ApplyMeshConfig`).
pub(super) fn shared_policy(plane: &ControlPlane, key: TimeoutKey) -> Option<&MeshConfigSource> {
    let of = |kind| plane.mesh.iter().find(|source| source.kind == kind && default_policy(source).is_some());
    match key {
        TimeoutKey::DefaultTrafficPolicy if of(MeshConfigKind::Own).is_none() => of(MeshConfigKind::Shared),
        _ => None,
    }
}

fn of_shared_map(step: &mut MeshStep, source: &MeshConfigSource) {
    step.target = MeshConfigKind::Shared;
    step.install.gitops = source.evidence.gitops();
    step.warnings.push(format!(
        "defaultTrafficPolicy stands in the shared {}; in the control plane's own it would replace that whole",
        source.meta
    ));
    config_map(step, Some(source), &source.meta.name);
}

fn by_installer(step: &mut MeshStep, plane: &ControlPlane) {
    match step.install.method {
        InstallMethod::Helm => helm(step, plane),
        InstallMethod::Rendered => rendered(step),
        InstallMethod::Istioctl => istioctl(step, plane),
        InstallMethod::Operator => resource(step, InstallerKind::IstioOperator),
        InstallMethod::Rancher => rancher(step),
        InstallMethod::Sail => resource(step, InstallerKind::Istio),
        InstallMethod::Maistra => resource(step, InstallerKind::ServiceMeshControlPlane),
        InstallMethod::AlibabaAsm => resource(step, InstallerKind::AsmMeshConfig),
        InstallMethod::AksAddon => aks(step, plane),
        InstallMethod::GkeManaged => gke(step, plane),
        InstallMethod::Unknown => unknown_installer(step, plane),
    }
    let keeps_map = matches!(
        step.install.method,
        InstallMethod::Helm | InstallMethod::Rendered | InstallMethod::Istioctl | InstallMethod::Rancher
    );
    if keeps_map {
        let own = plane.mesh.iter().find(|source| source.kind == MeshConfigKind::Own);
        step.patch = own.and_then(|source| mesh_patch(source, step.key, step.after));
        step.interim =
            step.patch.as_ref().map(|patch| Interim { until: step.holds_until(), command: patch.command.clone() });
    }
}

impl MeshStep {
    fn value(&self) -> String {
        format_duration(self.after)
    }

    /// `--set meshConfig.FIELD=VALUE` for each field.
    fn set_flags(&self) -> Vec<String> {
        let set = |field: String| ["--set".to_owned(), format!("meshConfig.{field}={}", self.value())];
        self.key.dotted().flat_map(set).collect()
    }

    /// Whether the control plane has a revision of its own name.
    fn named_revision(&self) -> Option<&str> {
        Some(self.revision.as_str())
            .filter(|revision| !revision.is_empty() && *revision != ControlPlane::DEFAULT_REVISION)
    }

    fn holds_until(&self) -> String {
        let owner = self.install.gitops.as_ref().and_then(|owner| reconciled(&owner.to_string()));
        owner.unwrap_or_else(|| "the next upgrade".to_owned())
    }

    /// `meshConfig: …` below some fields.
    fn values(&self, above: &[&str]) -> String {
        let mut text = String::new();
        for (depth, part) in above.iter().chain(&["meshConfig"]).enumerate() {
            let _ = writeln!(text, "{}{part}:", "  ".repeat(depth));
        }
        text + &self.key.yaml(&self.value(), above.len() + 1)
    }

    /// An IstioOperator for `istioctl`, beside those that were given before.
    fn overlay(&self) -> String {
        let mut overlay = "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec:\n".to_owned();
        if let Some(revision) = self.named_revision() {
            let _ = writeln!(overlay, "  revision: {revision}");
        }
        overlay + "  meshConfig:\n" + &self.key.yaml(&self.value(), 2)
    }

    fn fragment(&mut self, what: impl Into<String>, file: &str, content: String) {
        self.fragments.push(Fragment { what: what.into(), file: file.to_owned(), content });
    }
}

fn helm(step: &mut MeshStep, plane: &ControlPlane) {
    let Some(release) = step.install.release.clone() else { return };
    let filter = format!("^{}$", release.name);
    let list = ShellCommand::new(ClusterTool::Helm, ["list", "-n", &release.namespace, "--filter", &filter]);
    let dependency = "values of a chart that has istiod as a dependency (istiod.meshConfig.connectTimeout, \
                      with the dependency's name or alias in front)";
    match step.install.gitops.clone() {
        Some(owner) => {
            let (what, above) = match &owner {
                GitOps::FluxHelmRelease { .. } => {
                    (format!("in {owner}, where its repository has it"), &["spec", "values", "istiod"][..])
                }
                _ => (format!("values of the istiod chart, in the source of {owner}"), &["istiod"][..]),
            };
            step.fragment(what, "", step.values(&above[..above.len() - 1]));
            if release.of_istiod != OfIstiod::Likely {
                let what = format!("or, where the chart of {owner} is another one with istiod in it");
                step.fragment(what, "", step.values(above));
            }
            return;
        }
        None => step.commands.push(list),
    }
    match release.of_istiod {
        OfIstiod::Likely => {
            let known = release.chart_version().map(str::to_owned);
            let version = known.unwrap_or_else(|| plane.version.clone());
            let version = if version.is_empty() { "VERSION".to_owned() } else { version };
            let set = step.set_flags();
            let words = ["upgrade", &release.name, "istio/istiod", "-n", &release.namespace, "--version", &version];
            let words = words.into_iter().chain(["--reuse-values"]).chain(set.iter().map(String::as_str));
            step.commands.push(ShellCommand::new(ClusterTool::Helm, words));
            step.fragment("values of the istiod chart", "values.yaml", step.values(&[]));
            step.warnings.push(format!(
                "`helm list` must name a chart istiod-…, and with --version that one ({version} is {}): another chart \
                 would take the place of all of the release's objects; istio/istiod is its name where its repository \
                 was added as `istio`",
                if release.chart.is_empty() { "the image's version" } else { "what its objects say" }
            ));
        }
        OfIstiod::Unknown | OfIstiod::No => {
            if release.of_istiod == OfIstiod::Unknown {
                step.fragment("values, where `helm list` names a chart istiod-…", "values.yaml", step.values(&[]));
            }
            step.fragment(dependency, "values.yaml", step.values(&["istiod"]));
            step.warnings.push(format!(
                "whether release {} is of the istiod chart, or of one that has it as a dependency, `helm list` tells. \
                 Upgrade it with the chart that it is of, at the same version and with --reuse-values: another chart \
                 would take the place of all of the release's objects",
                release.name
            ));
        }
    }
    step.warnings.push(
        "where values live in a file or a repository, put the change there, or the next upgrade from it undoes it"
            .to_owned(),
    );
}

fn rendered(step: &mut MeshStep) {
    let owner = step.install.gitops.as_ref().map(|owner| format!("in the source of {owner}"));
    let place = match &owner {
        Some(owner) => format!("values of the istiod chart, {owner}"),
        None => "values of the istiod chart, wherever they are kept, to be rendered and applied again as before \
                 (`helm template`, kustomize)"
            .to_owned(),
    };
    step.fragment(place, "values.yaml", step.values(&[]));
    if step.install.dependency {
        let what = "or, where the chart is another one with istiod in it (istiod is the dependency's name or alias)";
        step.fragment(what, "", step.values(&["istiod"]));
    }
    if step.install.manifest_generate {
        let place = owner.unwrap_or_else(|| "as one more -f of it, to be applied again".to_owned());
        let what = format!("or, where `istioctl manifest generate` renders it, an IstioOperator, {place}");
        step.fragment(what, OVERLAY, step.overlay());
    }
}

/// The name of a file with an IstioOperator.
const OVERLAY: &str = "connect-timeout.yaml";

fn istioctl(step: &mut MeshStep, plane: &ControlPlane) {
    let old = minor_version(&plane.version).is_some_and(|version| version <= (1, 6));
    let overlay = step.overlay();
    if let Some(owner) = step.install.gitops.clone() {
        step.fragment(format!("IstioOperator overlay, in the source of {owner}"), OVERLAY, overlay);
        return;
    }
    if old {
        let set = step.set_flags();
        let words = ["manifest", "apply"].into_iter().chain(set.iter().map(String::as_str));
        step.commands.push(ShellCommand::new(ClusterTool::Istioctl, words));
        step.warnings.push(
            "`istioctl manifest apply` renders the profile anew: repeat every -f and --set of the original \
             installation, or their settings are lost"
                .to_owned(),
        );
    } else {
        // It asks before it installs, on its standard input (`operator/cmd/mesh/shared.go`, `Confirm`).
        let install = ShellCommand::new(ClusterTool::Istioctl, ["install", "-f", "ORIGINAL.yaml", "-f", "/dev/fd/3"]);
        step.commands.push(install.reading_aside(overlay.clone()));
        step.warnings.push(
            "`istioctl install` renders the profile anew: ORIGINAL.yaml stands for every -f and --set of the \
             original installation, with the same istioctl version; what is not repeated is lost. Never run it with \
             --set alone"
                .to_owned(),
        );
    }
    step.fragment("IstioOperator overlay", OVERLAY, overlay);
}

/// Rancher's chart runs istioctl in a Job (`rancher/charts`, `packages/rancher-istio`, `templates/istio-install-job.yaml`)
/// with the chart's own IstioOperator and that of its value `overlayFile`, a text that is taken whole.
fn rancher(step: &mut MeshStep) {
    let overlay: String = step.overlay().lines().map(|line| format!("  {line}\n")).collect();
    let overlay = format!("overlayFile: |\n{overlay}");
    let owner = step.install.gitops.as_ref().map(|owner| format!(", in the source of {owner}")).unwrap_or_default();
    let what = format!("value overlayFile of Rancher's chart rancher-istio{owner}, together with what stands in it");
    step.fragment(what, "values.yaml", overlay);
    if step.install.gitops.is_none() {
        let helm = |words: &[&str]| ShellCommand::new(ClusterTool::Helm, words.iter().copied());
        step.commands.push(helm(&["list", "-n", &step.namespace, "--filter", "istio"]));
        step.commands.push(helm(&["get", "values", "rancher-istio", "-n", &step.namespace]));
    }
    step.warnings.push(
        "the chart's Job runs istioctl at each upgrade with what overlayFile says then: change it in Rancher (Apps, \
         rancher-istio, Edit YAML) or where its values are kept, and keep the rest of it; a run of istioctl by hand is \
         undone by the next upgrade"
            .to_owned(),
    );
}

/// A custom resource that an operator reads: how it is written, and where the field is in it.
struct ResourceKind {
    kind: &'static str,
    api_version: &'static str,
    plural: &'static str,
    path: &'static [&'static str],
    namespaced: bool,
}

impl ResourceKind {
    fn of(kind: InstallerKind) -> Self {
        let of = |kind, api_version, plural, path, namespaced| Self { kind, api_version, plural, path, namespaced };
        match kind {
            InstallerKind::Istio => {
                of("Istio", "sailoperator.io/v1", "istios", &["spec", "values", "meshConfig"][..], false)
            }
            InstallerKind::IstioRevision => {
                of("IstioRevision", "sailoperator.io/v1", "istiorevisions", &["spec", "values", "meshConfig"], false)
            }
            InstallerKind::ServiceMeshControlPlane => of(
                "ServiceMeshControlPlane",
                "maistra.io/v2",
                "servicemeshcontrolplanes",
                &["spec", "techPreview", "meshConfig"],
                true,
            ),
            InstallerKind::AsmMeshConfig => {
                of("ASMMeshConfig", "istio.alibabacloud.com/v1beta1", "asmmeshconfigs", &["spec"], false)
            }
            InstallerKind::IstioOperator | InstallerKind::ControlPlaneRevision => {
                of("IstioOperator", "install.istio.io/v1alpha1", "istiooperators", &["spec", "meshConfig"], true)
            }
        }
    }
}

/// A change of the custom resource that was found, or of one of this kind.
fn resource(step: &mut MeshStep, kind: InstallerKind) {
    let found = step.install.resource.clone();
    let kind = found.as_ref().map_or(kind, |object| object.kind);
    let known = ResourceKind::of(kind);
    let (name, namespace) = match &found {
        Some(object) => (object.meta.name.clone(), object.meta.namespace.clone()),
        None => ("NAME".to_owned(), step.namespace.clone()),
    };
    let namespace = if known.namespaced { namespace } else { String::new() };
    let served = found.as_ref().map(|object| object.api_version.as_str()).filter(|version| !version.is_empty());
    let api_version = served.unwrap_or(known.api_version);
    let group = api_version.split('/').next().unwrap_or_default();
    let patch: Value =
        known.path.iter().rev().fold(step.key.json(&step.value()), |inner, part| json!({ *part: inner }));
    let plural = format!("{}.{group}", known.plural);
    let patch = patch.to_string();
    let mut words = vec!["patch", &plural, &name];
    if !namespace.is_empty() {
        words.extend(["-n", &namespace]);
    }
    words.extend(["--type", "merge", "-p", &patch]);
    let command = ShellCommand::kubectl(words);
    let mut content = format!("apiVersion: {api_version}\nkind: {}\nmetadata:\n  name: {name}\n", known.kind);
    if !namespace.is_empty() {
        let _ = writeln!(content, "  namespace: {namespace}");
    }
    for (depth, part) in known.path.iter().enumerate() {
        let _ = writeln!(content, "{}{part}:", "  ".repeat(depth));
    }
    content.push_str(&step.key.yaml(&step.value(), known.path.len()));
    let file = format!("{name}.yaml");
    match &step.install.gitops {
        Some(owner) => {
            step.interim = Some(Interim { until: step.holds_until(), command });
            step.fragment(format!("what to set in the {}, in the source of {owner}", known.kind), &file, content);
        }
        None => {
            step.commands.push(command);
            step.fragment(format!("what that sets in the {}", known.kind), &file, content);
        }
    }
    if found.is_none() {
        step.warnings.push(format!("the {} could not be read; replace NAME with its name", known.kind));
    }
    match kind {
        InstallerKind::ServiceMeshControlPlane => step.warnings.push(
            "that OpenShift Service Mesh 2 hands techPreview.meshConfig.connectTimeout on is not verified; \
             `kubectl meshaudit verify` tells"
                .to_owned(),
        ),
        InstallerKind::AsmMeshConfig => step.warnings.push(
            "ASMMeshConfig has the field from ASM 1.24 on; it is patched with the kubeconfig of the ASM instance, not \
             of a cluster in it"
                .to_owned(),
        ),
        _ => {}
    }
}

/// The ConfigMap that the AKS add-on reads beside its own
/// (<https://learn.microsoft.com/azure/aks/istio-meshconfig>).
pub(super) fn shared_map_of_aks(revision: &str) -> String {
    format!("istio-shared-configmap-{revision}")
}

fn aks(step: &mut MeshStep, plane: &ControlPlane) {
    let name = shared_map_of_aks(&step.revision);
    step.target = MeshConfigKind::Shared;
    let known = plane.mesh.iter().find(|source| source.kind == MeshConfigKind::Shared && source.meta.name == name);
    if known.is_none() && !plane.mesh.is_empty() {
        let mesh = format!("mesh={}", step.key.yaml(&step.value(), 0).trim_end());
        step.commands.push(ShellCommand::kubectl(
            ["create", "configmap", &name, "-n", &step.namespace].into_iter().chain(["--from-literal", &mesh]),
        ));
        step.fragment("the shared ConfigMap's key `mesh`, which is not there yet", "", step.key.yaml(&step.value(), 0));
    } else {
        config_map(step, known, &name);
    }
    step.warnings.push(
        "Microsoft allows connectTimeout in the shared ConfigMap, without support; never edit istio-asm-* itself, \
         which the add-on writes again"
            .to_owned(),
    );
    let own = plane.mesh.iter().find(|source| source.kind == MeshConfigKind::Own);
    if let Some(own) = own.filter(|source| source.config.connect_timeout.is_some()) {
        step.warnings.push(format!("{} sets the key itself and wins over the shared ConfigMap", own.meta));
    }
}

fn gke(step: &mut MeshStep, plane: &ControlPlane) {
    let name = format!("istio-{}", step.revision);
    config_map(step, own(plane, &name), &name);
    step.warnings.push(
        "whether a managed control plane honours connectTimeout is not verified, and one with the TRAFFIC_DIRECTOR \
         implementation reads the ConfigMap istio-asm-managed-rapid whatever its channel; `kubectl meshaudit verify` \
         tells"
            .to_owned(),
    );
}

fn unknown_installer(step: &mut MeshStep, plane: &ControlPlane) {
    let name = match step.named_revision() {
        Some(revision) => format!("istio-{revision}"),
        None => "istio".to_owned(),
    };
    let owner = step.install.gitops.as_ref().map(|owner| format!(", in the source of {owner}")).unwrap_or_default();
    step.fragment(format!("values of the mesh's installation{owner}"), "values.yaml", step.values(&[]));
    if plane.istiod.is_none() && plane.mesh.is_empty() {
        step.warnings.push(
            "no control plane was found, neither an istiod Deployment nor a mesh configuration's ConfigMap, so there is \
             nothing here to change: the place is where the istiod that these proxies were connected to is installed"
                .to_owned(),
        );
        return;
    }
    config_map(step, own(plane, &name), &name);
    step.warnings.push(
        "how this control plane was installed could not be told: the ConfigMap is written again at the next upgrade, \
         so put the value where the installation takes it from"
            .to_owned(),
    );
}

fn own<'p>(plane: &'p ControlPlane, name: &str) -> Option<&'p MeshConfigSource> {
    plane.mesh.iter().find(|source| source.kind == MeshConfigKind::Own && source.meta.name == name)
}

/// The ConfigMap itself is what is changed.
fn config_map(step: &mut MeshStep, known: Option<&MeshConfigSource>, name: &str) {
    step.patch = known.and_then(|source| mesh_patch(source, step.key, step.after));
    let command = match &step.patch {
        Some(patch) => patch.command.clone(),
        None => {
            step.fragment("what to set at the top level of the key `mesh`", "", step.key.yaml(&step.value(), 0));
            ShellCommand::kubectl(["edit", "configmap", name, "-n", &step.namespace])
        }
    };
    match &step.install.gitops {
        Some(owner) => {
            if step.fragments.is_empty() {
                let what = format!("the key `mesh` of ConfigMap {}/{name}, in the source of {owner}", step.namespace);
                step.fragment(what, "", step.key.yaml(&step.value(), 0));
            }
            step.interim = Some(Interim { until: step.holds_until(), command });
        }
        None => step.commands.push(command),
    }
}

/// Warnings that do not depend on the installer.
fn warn(step: &mut MeshStep, plane: &ControlPlane) {
    if let Some(owner) = &step.install.gitops {
        step.warnings.insert(
            0,
            format!("{owner} writes these objects again: what is changed in the cluster alone does not last"),
        );
    }
    if !step.install.hand_edits.is_empty() {
        step.warnings.push(format!(
            "the ConfigMap was edited by hand ({}); that is lost at the next upgrade",
            step.install.hand_edits.join(", ")
        ));
    }
    for source in &plane.mesh {
        if let Some(trap) = source.config.default_config_connect_timeout {
            step.warnings.push(format!(
                "defaultConfig.connectTimeout ({}) in {} is the wrong place and has no effect; remove it",
                format_duration(trap),
                source.meta
            ));
        }
    }
    if !step.context.is_empty() {
        step.warnings.push(format!("this is for context {} alone; repeat it for each primary cluster", step.context));
    }
}
