//! What to change mesh-wide, for the way a control plane was installed.

use std::fmt::Write;
use std::time::Duration;

use crate::audit::install::{Install, InstallMethod, detect};
use crate::decode::patch::{diff_texts, quote, set_mesh_timeout};
use crate::model::format_duration;
use crate::model::objects::{ControlPlane, InstallerKind, IstioObjects, MeshConfigKind, minor_version};

/// A file to write, or to put into the source of truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    /// What it is: `Helm values`, `IstioOperator overlay`, …
    pub what: &'static str,
    /// A name for the file.
    pub file: String,
    /// Its content.
    pub content: String,
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
    /// Whether `defaultTrafficPolicy` is what is to be changed.
    pub default_traffic_policy: bool,
    /// What to run, in order. Empty where there is nothing to run, only something to write down.
    pub commands: Vec<String>,
    /// What to put into the source of truth.
    pub fragments: Vec<Fragment>,
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
    pub(super) default_traffic_policy: bool,
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
        default_traffic_policy: target.default_traffic_policy,
        commands: Vec::new(),
        fragments: Vec::new(),
        warnings: Vec::new(),
    };
    match step.install.method {
        InstallMethod::Helm => helm(&mut step, plane),
        InstallMethod::Istioctl => istioctl(&mut step, plane),
        InstallMethod::Operator => resource(&mut step, InstallerKind::IstioOperator),
        InstallMethod::Sail => resource(&mut step, InstallerKind::Istio),
        InstallMethod::Maistra => resource(&mut step, InstallerKind::ServiceMeshControlPlane),
        InstallMethod::AksAddon => aks(&mut step, plane),
        InstallMethod::GkeManaged => gke(&mut step, plane),
        InstallMethod::Unknown => unknown_installer(&mut step, plane),
    }
    warn(&mut step, plane);
    step
}

impl MeshStep {
    fn value(&self) -> String {
        format_duration(self.after)
    }

    /// The key below `meshConfig`.
    fn key(&self) -> &'static str {
        if self.default_traffic_policy {
            "defaultTrafficPolicy.connectionPool.tcp.connectTimeout"
        } else {
            "connectTimeout"
        }
    }

    /// The key and value as YAML below `meshConfig:`.
    fn lines(&self, indent: usize) -> String {
        let mut text = String::new();
        let parts: Vec<&str> = self.key().split('.').collect();
        for (depth, part) in parts.iter().enumerate() {
            let value = if depth + 1 == parts.len() { format!(" {}", self.value()) } else { String::new() };
            let _ = writeln!(text, "{}{part}:{value}", "  ".repeat(indent + depth));
        }
        text
    }

    /// The same as JSON.
    fn json(&self) -> String {
        self.key().rsplit('.').fold(format!("\"{}\"", self.value()), |inner, part| format!("{{\"{part}\":{inner}}}"))
    }

    /// Whether the control plane has a revision of its own name.
    fn named_revision(&self) -> Option<&str> {
        Some(self.revision.as_str())
            .filter(|revision| !revision.is_empty() && *revision != ControlPlane::DEFAULT_REVISION)
    }

    fn context_flag(&self, flag: &str) -> String {
        if self.context.is_empty() { String::new() } else { format!(" {flag} {}", quote(&self.context)) }
    }
}

fn values(step: &MeshStep, what: &'static str, file: &str) -> Fragment {
    Fragment { what, file: file.to_owned(), content: format!("meshConfig:\n{}", step.lines(1)) }
}

fn helm(step: &mut MeshStep, plane: &ControlPlane) {
    let (namespace, release) =
        step.install.release.clone().unwrap_or_else(|| (step.namespace.clone(), "istiod".to_owned()));
    let version = if plane.version.is_empty() { "VERSION".to_owned() } else { plane.version.clone() };
    let context = step.context_flag("--kube-context");
    step.commands.push(format!(
        "helm upgrade {} istio/istiod -n {} --version {version} --reuse-values --set meshConfig.{}={}{context}",
        quote(&release),
        quote(&namespace),
        step.key(),
        step.value()
    ));
    step.fragments.push(values(step, "Helm values of the istiod chart", "values.yaml"));
    let which = if plane.version.is_empty() {
        "replace VERSION with the chart version that `helm list` shows"
    } else {
        "the image's version is taken for the chart's; `helm list` shows whether that is so"
    };
    step.warnings.push(format!(
        "--reuse-values keeps what the last release was given; with another --version it would also keep that \
         chart's old defaults: {which}"
    ));
    step.warnings.push(
        "where values live in a file or a repository, put the fragment there, or the next upgrade from it undoes \
         the change"
            .to_owned(),
    );
}

fn istioctl(step: &mut MeshStep, plane: &ControlPlane) {
    let context = step.context_flag("--context");
    let old = minor_version(&plane.version).is_some_and(|version| version <= (1, 6));
    let mut overlay = "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec:\n".to_owned();
    if let Some(revision) = step.named_revision() {
        let _ = writeln!(overlay, "  revision: {revision}");
    }
    let _ = write!(overlay, "  meshConfig:\n{}", step.lines(2));
    let file = "connect-timeout.yaml";
    if old {
        step.commands.push(format!(
            "istioctl manifest apply --set meshConfig.{}={}{context}",
            step.key(),
            step.value()
        ));
        step.warnings.push(
            "`istioctl manifest apply` renders the profile anew: repeat every -f and --set of the original \
             installation, or their settings are lost"
                .to_owned(),
        );
    } else {
        step.commands.push(format!("istioctl install -f ORIGINAL.yaml -f {file}{context}"));
        step.warnings.push(
            "`istioctl install` renders the profile anew: ORIGINAL.yaml stands for every -f and --set of the \
             original installation, with the same istioctl version; what is not repeated is lost. Never run it with \
             --set alone"
                .to_owned(),
        );
    }
    step.fragments.push(Fragment { what: "IstioOperator overlay", file: file.to_owned(), content: overlay });
}

/// A custom resource that an operator reads.
fn resource(step: &mut MeshStep, kind: InstallerKind) {
    let (name, path, plural): (&str, &[&str], &str) = match kind {
        InstallerKind::IstioOperator => ("IstioOperator", &["spec", "meshConfig"], "istiooperators.install.istio.io"),
        InstallerKind::Istio => ("Istio", &["spec", "values", "meshConfig"], "istios.sailoperator.io"),
        _ => ("ServiceMeshControlPlane", &["spec", "techPreview", "meshConfig"], "servicemeshcontrolplanes.maistra.io"),
    };
    let found = step.install.resource.clone();
    let (object, namespace) = match &found {
        Some(object) => (object.meta.name.clone(), object.meta.namespace.clone()),
        None => ("NAME".to_owned(), if kind == InstallerKind::Istio { String::new() } else { step.namespace.clone() }),
    };
    let patch = path.iter().rev().fold(step.json(), |inner, part| format!("{{\"{part}\":{inner}}}"));
    let namespace_flag = if namespace.is_empty() { String::new() } else { format!(" -n {}", quote(&namespace)) };
    let context = step.context_flag("--context");
    step.commands.push(format!(
        "kubectl patch {plural} {}{namespace_flag} --type merge -p {}{context}",
        quote(&object),
        quote(&patch)
    ));
    let api = found.as_ref().map(|object| object.api_version.clone()).filter(|version| !version.is_empty());
    let api = api.unwrap_or_else(|| {
        match kind {
            InstallerKind::IstioOperator => "install.istio.io/v1alpha1",
            InstallerKind::Istio => "sailoperator.io/v1",
            _ => "maistra.io/v2",
        }
        .to_owned()
    });
    let mut content = format!("apiVersion: {api}\nkind: {name}\nmetadata:\n  name: {object}\n");
    if !namespace.is_empty() {
        let _ = writeln!(content, "  namespace: {namespace}");
    }
    for (depth, part) in path.iter().enumerate() {
        let _ = writeln!(content, "{}{part}:", "  ".repeat(depth));
    }
    content.push_str(&step.lines(path.len()));
    step.fragments.push(Fragment {
        what: "what to add to the custom resource",
        file: format!("{object}.yaml"),
        content,
    });
    if found.is_none() {
        step.warnings.push(format!("the {name} could not be read; replace NAME with its name"));
    }
    if kind == InstallerKind::ServiceMeshControlPlane {
        step.warnings.push(
            "that OpenShift Service Mesh 2 hands techPreview.meshConfig.connectTimeout on is not verified; \
             `kubectl meshaudit verify` tells"
                .to_owned(),
        );
    }
}

fn aks(step: &mut MeshStep, plane: &ControlPlane) {
    let name = format!("istio-shared-configmap-{}", step.revision);
    config_map(step, plane, &name, MeshConfigKind::Shared);
    step.warnings.push(
        "Microsoft allows connectTimeout in the shared ConfigMap, without support; never edit istio-asm-* itself, \
         which the add-on writes again"
            .to_owned(),
    );
}

fn gke(step: &mut MeshStep, plane: &ControlPlane) {
    let name = format!("istio-{}", step.revision);
    config_map(step, plane, &name, MeshConfigKind::Own);
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
    step.fragments.push(values(step, "values, wherever this mesh's installation keeps them", "values.yaml"));
    config_map(step, plane, &name, MeshConfigKind::Own);
    step.warnings.push(
        "how this control plane was installed could not be told, and the ConfigMap is only the way of last resort: \
         it is written again at the next upgrade, so put the value where the installation takes it from"
            .to_owned(),
    );
}

/// The ConfigMap with the mesh configuration itself.
fn config_map(step: &mut MeshStep, plane: &ControlPlane, name: &str, kind: MeshConfigKind) {
    let known = plane.mesh.iter().find(|source| source.kind == kind && source.meta.name == name);
    let (namespace, context) = (quote(&step.namespace), step.context_flag("--context"));
    let text = known.map(|source| &*source.text).unwrap_or_default();
    let edited = if step.default_traffic_policy { None } else { set_mesh_timeout(text, &step.value()) };
    let indented = |text: &str| text.lines().fold(String::new(), |all, line| format!("{all}    {line}\n"));
    match edited {
        Some(edited) if known.is_some() || kind == MeshConfigKind::Shared => {
            let content = format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n  namespace: {}\ndata:\n  mesh: |\n{}",
                step.namespace,
                indented(&edited)
            );
            let file = format!("{name}.yaml");
            step.commands.push(format!("kubectl apply --server-side --force-conflicts -f {}{context}", quote(&file)));
            step.fragments.push(Fragment { what: "the ConfigMap with its key `mesh` whole", file, content });
            step.fragments.push(Fragment {
                what: "what that changes",
                file: String::new(),
                content: diff_texts(&format!("ConfigMap {}/{name}, mesh", step.namespace), text, &edited),
            });
        }
        _ => {
            step.commands.push(format!("kubectl edit configmap {} -n {namespace}{context}", quote(name)));
            step.fragments.push(Fragment {
                what: "what to set at the top level of the key `mesh`",
                file: String::new(),
                content: step.lines(0),
            });
        }
    }
}

/// Warnings that do not depend on the installer.
fn warn(step: &mut MeshStep, plane: &ControlPlane) {
    if !step.install.owner.is_empty() {
        step.warnings.insert(
            0,
            format!(
                "{} writes these objects again: make the change in its source, not with the command",
                step.install.owner
            ),
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
    let set = |kind| plane.mesh.iter().find(|source| source.kind == kind && source.config.connect_timeout.is_some());
    if step.install.method == InstallMethod::AksAddon
        && let Some(own) = set(MeshConfigKind::Own)
    {
        step.warnings.push(format!("{} sets the key itself and wins over the shared ConfigMap", own.meta));
    }
    if !step.context.is_empty() {
        step.warnings.push(format!("this is for context {} alone; repeat it for each primary cluster", step.context));
    }
}
