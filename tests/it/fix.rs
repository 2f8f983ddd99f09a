//! `fix`: the change for each way to install a mesh, and that carrying it out mends what was found.

use std::fs;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use meshaudit::audit::{Filter, Policy, audit};
use meshaudit::decode::objects::from_manifests;
use meshaudit::decode::snapshot;
use meshaudit::fix::{FixOptions, FixPlan, Fragment, MeshStep, Step, apply, plan};
use meshaudit::model::objects::{IstioObjects, ObjectKind};
use meshaudit::model::{
    ClusterSet, ClusterSource, EnvoyCluster, Flag, MeshSnapshot, Proxy, ProxyId, ProxySnapshot, Scope, SnapshotBuilder,
};
use meshaudit::report::Palette;
use meshaudit::report::fix::text;
use meshaudit::report::look::Look;
use meshaudit::report::v1::fix::FixPlanJson;
use meshaudit_sandbox::{Sandbox, canned};
use proptest::prelude::*;
use serde_json::Value;

use crate::{on_incident, plugin, project};

/// A mesh of proxies that hold what their objects give them, or `held` where that is named.
pub(crate) fn mesh(objects: IstioObjects, proxies: &[(&str, &str)], clusters: &[(&str, Option<&str>)]) -> MeshSnapshot {
    use meshaudit::attribute::Attributor;
    use meshaudit::model::parse_duration;
    let mut order: Vec<(&str, &str)> = proxies.to_vec();
    order.sort_unstable();
    // What each proxy holds; the proxies in the order that a snapshot has them in.
    let build = |values: &[Vec<Option<Duration>>]| {
        let mut builder = SnapshotBuilder::default();
        for ((namespace, name), values) in order.iter().zip(values) {
            let mut proxy = Proxy::named(ProxyId::new(*namespace, *name));
            proxy.revision = objects.control_planes.first().map(|plane| plane.revision.clone()).unwrap_or_default();
            let rows: ClusterSet = clusters
                .iter()
                .zip(values)
                .map(|((name, _), value)| {
                    builder.intern(EnvoyCluster {
                        name: Arc::from(*name),
                        discovery_type: Arc::from("EDS"),
                        connect_timeout: *value,
                        source: ClusterSource::Active,
                        error: None,
                        destination_rule_hint: None,
                        services: Vec::new(),
                    })
                })
                .collect();
            builder.read(ProxySnapshot {
                proxy,
                clusters: rows,
                version: None,
                loggers: None,
                xds: None,
                evidence: None,
            });
        }
        builder.objects("", objects.clone());
        builder.finish(jiff::Timestamp::UNIX_EPOCH)
    };
    // First with no value at all, to ask what it should be.
    let blank = build(&vec![vec![None; clusters.len()]; order.len()]);
    let attributor = Attributor::new(&blank);
    let given = |proxy: usize, name: &str| {
        let row = blank.clusters.iter().position(|cluster| *cluster.name == *name).unwrap();
        let attribution = attributor.attribute(attributor.class_of(proxy), u32::try_from(row).unwrap());
        attribution.expected.and_then(|expected| expected.timeout)
    };
    let values: Vec<Vec<Option<Duration>>> = (0..order.len())
        .map(|proxy| {
            let held = clusters.iter().map(|(name, held)| match held {
                Some(held) => parse_duration(held).ok(),
                None => given(proxy, name),
            });
            held.collect()
        })
        .collect();
    build(&values)
}

const WEB: &str = "outbound|80||web.shop.svc.cluster.local";

fn fix(snapshot: &MeshSnapshot, options: &FixOptions) -> FixPlan {
    let (filter, policy) = (Filter::default(), Policy::default());
    plan(snapshot, &audit(snapshot, &filter, &policy), &filter, &policy, options)
}

fn installation(name: &str) -> (MeshSnapshot, MeshStep) {
    let text = fs::read_to_string(project().join(format!("tests/fixtures/installations/{name}.yaml"))).unwrap();
    let objects = from_manifests(&text).unwrap();
    assert_eq!(objects.notes, Vec::<String>::new());
    let snapshot = mesh(objects, &[("shop", "web-1")], &[("BlackHoleCluster", None), (WEB, None)]);
    let plan = fix(&snapshot, &FixOptions::default());
    match plan.steps.as_slice() {
        [Step::Mesh(step)] => (snapshot.clone(), MeshStep::clone(step)),
        other => panic!("{name}: {other:?}"),
    }
}

/// A line of the table below.
struct Told {
    name: &'static str,
    method: &'static str,
    /// How each line to run begins.
    commands: &'static [&'static str],
    /// What is to be written down.
    fragments: &'static [&'static str],
    /// Until when a change in the cluster holds; empty where that is the way itself.
    until: &'static str,
    warnings: &'static str,
}

#[test]
fn each_installation_is_told_and_has_its_own_change() {
    const VALUES: &str = "meshConfig:\n  connectTimeout: 10s\n";
    const UPGRADE: &str = "the next upgrade";
    const LIST: &str = "helm list -n istio-system --filter '^platform$'";
    const MAP: &str = "kubectl patch configmap istio -n istio-system --type merge --patch-file /dev/stdin <<'EOF'";
    let told = |name, method, commands, fragments, until, warnings| Told {
        name,
        method,
        commands,
        fragments,
        until,
        warnings,
    };
    for Told { name, method, commands, fragments, until, warnings } in [
        told(
            "helm",
            "helm",
            &[
                "helm list -n istio-system --filter '^istiod$'",
                "helm upgrade istiod istio/istiod -n istio-system --version 1.31.0 --reuse-values --set meshConfig.connectTimeout=10s",
            ][..],
            &[VALUES][..],
            UPGRADE,
            "another chart would take the place",
        ),
        told(
            "helm-revision",
            "helm",
            &[
                "helm list -n istio-system --filter '^istiod-1-31$'",
                "helm upgrade istiod-1-31 istio/istiod -n istio-system",
            ],
            &[VALUES],
            UPGRADE,
            "",
        ),
        told(
            "helm-unknown-chart",
            "helm",
            &[LIST],
            &[VALUES, "istiod:\n  meshConfig:\n    connectTimeout: 10s\n"],
            UPGRADE,
            "`helm list` tells",
        ),
        told(
            "helm-umbrella",
            "helm",
            &[LIST],
            &["istiod:\n  meshConfig:\n    connectTimeout: 10s\n"],
            UPGRADE,
            "the place of all of the release's objects",
        ),
        told(
            "hand-edited",
            "helm",
            &["helm list", "helm upgrade istiod"],
            &[VALUES],
            UPGRADE,
            "edited by hand (kubectl-edit)",
        ),
        told(
            "hand-edited",
            "helm",
            &["helm list", "helm upgrade istiod"],
            &[VALUES],
            UPGRADE,
            "defaultConfig.connectTimeout (10s)",
        ),
        told("rendered", "rendered", &[], &[VALUES], UPGRADE, ""),
        told("rendered-edited", "rendered", &[], &[VALUES], UPGRADE, "edited by hand (kubectl-edit);"),
        told(
            "argocd",
            "rendered",
            &[],
            &[VALUES],
            "the next reconciliation of Argo CD application mesh-istiod",
            "does not last",
        ),
        told(
            "argocd-label",
            "rendered",
            &[],
            &[VALUES],
            "the next reconciliation of Argo CD application mesh-istiod",
            "does not last",
        ),
        told(
            "flux-helmrelease",
            "helm",
            &[],
            &["spec:\n  values:\n    meshConfig:\n      connectTimeout: 10s\n"],
            "the next reconciliation of Flux HelmRelease flux-system/istiod",
            "does not last",
        ),
        told(
            "flux-kustomization",
            "rendered",
            &[],
            &[VALUES],
            "the next reconciliation of Flux Kustomization flux-system/mesh",
            "",
        ),
        told(
            "istioctl",
            "istioctl",
            &[
                "istioctl install -f ORIGINAL.yaml -f /dev/fd/3 3<<'EOF'\napiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec:\n  meshConfig:",
            ],
            &["kind: IstioOperator\nspec:\n  meshConfig:\n    connectTimeout: 10s\n"],
            UPGRADE,
            "renders the profile anew",
        ),
        told(
            "istioctl-1.6",
            "istioctl",
            &["istioctl manifest apply --set meshConfig.connectTimeout=10s"],
            &["kind: IstioOperator"],
            UPGRADE,
            "repeat every -f and --set",
        ),
        told(
            "operator",
            "operator",
            &[
                r#"kubectl patch istiooperators.install.istio.io mesh -n istio-system --type merge -p '{"spec":{"meshConfig":{"connectTimeout":"10s"}}}'"#,
            ],
            &["spec:\n  meshConfig:\n    connectTimeout: 10s\n"],
            "",
            "",
        ),
        told(
            "sail",
            "sail",
            &[
                r#"kubectl patch istios.sailoperator.io default --type merge -p '{"spec":{"values":{"meshConfig":{"connectTimeout":"10s"}}}}'"#,
            ],
            &["spec:\n  values:\n    meshConfig:\n      connectTimeout: 10s\n"],
            "",
            "",
        ),
        told(
            "sail-denied",
            "sail",
            &["kubectl patch istios.sailoperator.io default --type merge -p "],
            &[
                "kind: Istio\nmetadata:\n  name: default\nspec:\n  values:\n    meshConfig:\n      connectTimeout: 10s\n",
            ],
            "",
            "",
        ),
        told(
            "sail-revision",
            "sail",
            &["kubectl patch istiorevisions.sailoperator.io default-v1-24-2 --type merge -p "],
            &["kind: IstioRevision\nmetadata:\n  name: default-v1-24-2\nspec:\n  values:\n    meshConfig:\n"],
            "",
            "",
        ),
        told(
            "rancher",
            "rancher",
            &["helm list -n istio-system --filter istio", "helm get values rancher-istio -n istio-system"],
            &[
                "overlayFile: |\n  apiVersion: install.istio.io/v1alpha1\n  kind: IstioOperator\n  spec:\n    meshConfig:\n      connectTimeout: 10s\n",
            ],
            "the next upgrade",
            "Rancher (Apps, rancher-istio, Edit YAML)",
        ),
        told(
            "ossm2",
            "ossm2",
            &[
                r#"kubectl patch servicemeshcontrolplanes.maistra.io basic -n istio-system --type merge -p '{"spec":{"techPreview":{"meshConfig":{"connectTimeout":"10s"}}}}'"#,
            ],
            &["techPreview:\n    meshConfig:\n      connectTimeout: 10s\n"],
            "",
            "not verified",
        ),
        told(
            "alibaba",
            "alibaba",
            &[
                r#"kubectl patch asmmeshconfigs.istio.alibabacloud.com default --type merge -p '{"spec":{"connectTimeout":"10s"}}'"#,
            ],
            &["kind: ASMMeshConfig\nmetadata:\n  name: default\nspec:\n  connectTimeout: 10s\n"],
            "",
            "ASM 1.24",
        ),
        told(
            "aks",
            "aks",
            &["kubectl patch configmap istio-shared-configmap-asm-1-24 -n aks-istio-system --type merge"],
            &[],
            "",
            "never edit istio-asm-*",
        ),
        told(
            "gke",
            "gke",
            &["kubectl patch configmap istio-asm-managed -n istio-system --type merge"],
            &[],
            "",
            "not verified",
        ),
        told("kyma", "unknown", &[MAP], &[VALUES], "", "could not be told"),
        told("unknown", "unknown", &[MAP], &[VALUES], "", "could not be told"),
    ] {
        let (snapshot, step) = installation(name);
        assert_eq!(step.install.method.as_str(), method, "{name}: {:?}", step.install);
        // The unknown ones are those that leave nothing.
        assert_eq!(step.install.evidence.is_empty(), method == "unknown", "{name}: {:?}", step.install.evidence);
        let lines: Vec<String> = step.commands.iter().map(|command| command.line(&Scope::default(), "")).collect();
        assert_eq!(lines.len(), commands.len(), "{name}: {lines:#?}");
        for (line, start) in lines.iter().zip(commands) {
            assert!(line.starts_with(start), "{name}: {line}");
        }
        let written: String = step.fragments.iter().map(|fragment| fragment.content.as_str()).collect();
        fragments.iter().for_each(|part| assert!(written.contains(part), "{name}: {written}"));
        assert_eq!(step.interim.as_ref().map_or("", |interim| &interim.until), until, "{name}");
        let all = step.warnings.join("\n");
        assert!(all.contains(warnings), "{name}: {all}");
        // Whatever the way, the ConfigMap's text differs in one place.
        let source =
            snapshot.objects[""].control_planes[0].mesh.iter().find(|source| source.kind == step.target).unwrap();
        if let Some(patch) = &step.patch {
            assert_eq!(patch.text, source.text.replace("connectTimeout: 1s", "connectTimeout: 10s"), "{name}");
        }
        let then = apply(&snapshot, &fix(&snapshot, &FixOptions::default()));
        assert!(then.clusters.iter().all(|cluster| cluster.connect_timeout == Some(Duration::from_secs(10))), "{name}");
    }
}

/// What the real installers left in a cluster (`tests/lab/installations.py` records it): each is told from the others.
#[test]
fn each_recorded_installation_is_told() {
    let method = |name: &str| match name.split('-').next() {
        Some("helm" | "umbrella" | "revision") => "helm",
        Some("istioctl") => "istioctl",
        _ => "rendered",
    };
    let mut seen = 0;
    for file in fs::read_dir(project().join("tests/fixtures/installations/lab")).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let objects = from_manifests(&fs::read_to_string(&path).unwrap()).unwrap();
        let snapshot = mesh(objects, &[("shop", "web-1")], &[("BlackHoleCluster", None), (WEB, None)]);
        let plan = fix(&snapshot, &FixOptions::default());
        let [Step::Mesh(step)] = plan.steps.as_slice() else { panic!("{name}: {:?}", plan.steps) };
        assert_eq!(step.install.method.as_str(), method(&name), "{name}: {:?}", step.install);
        assert_eq!(step.install.gitops, None, "{name}");
        let lines: Vec<String> = step.commands.iter().map(|command| command.line(&Scope::default(), "")).collect();
        // Only a release that is named after the chart is upgraded with it.
        let upgrades = lines.iter().any(|line| line.starts_with("helm upgrade"));
        assert_eq!(
            upgrades,
            method(&name) == "helm" && !matches!(&*name, "umbrella" | "helm-other-name"),
            "{name}: {lines:?}"
        );
        assert_eq!(lines.iter().any(|line| line.starts_with("istioctl install -f ")), name == "istioctl", "{name}");
        let patch = step.patch.as_ref().unwrap();
        let changed = patch.diff.lines().filter(|line| line.starts_with(['+', '-'])).count();
        // Two of them name the object before and after.
        assert_eq!(changed, 4, "{name}: {}", patch.diff);
        assert_eq!(step.interim.as_ref().map(|interim| &*interim.until), Some("the next upgrade"), "{name}");
        seen += 1;
    }
    assert!(seen >= 8, "{seen}");
}

/// What a tool writes again gets no command that it undoes, whatever the tool.
#[test]
fn what_a_tool_writes_again_is_changed_in_its_source() {
    let text = fs::read_to_string(project().join("tests/fixtures/installations/rendered.yaml")).unwrap();
    let marked = |label: &str, manager: &str| {
        let owner =
            "ownerReferences: [{kind: AppliedManifestWork, name: a-mesh, apiVersion: work.example.com/v1, uid: '1'}]";
        let owner = if manager == "work" { format!("  {owner}\n") } else { String::new() };
        let labelled = text.replace("\n  labels:\n", &format!("\n{owner}  labels:\n    {label}\n"));
        labelled.replace("manager: kubectl-client-side-apply", &format!("manager: {manager}"))
    };
    for (label, manager, owner) in [
        ("configmanagement.gke.io/sync-name: mesh", "configsync", "Config Sync mesh"),
        ("configsync.gke.io/declared-version: v1", "configsync", "Config Sync"),
        ("configmanagement.gke.io/managed: enabled", "configsync", "Config Sync"),
        ("configsync.gke.io/resource-id: _configmap_istio-system_istio", "kubectl", "Config Sync"),
        (
            "apps.open-cluster-management.io/hosting-subscription: mesh/istio",
            "kubectl",
            "Open Cluster Management subscription mesh/istio",
        ),
        (
            "objectset.rio.cattle.io/owner-name: istio\n    objectset.rio.cattle.io/id: ''\n    \
             objectset.rio.cattle.io/owner-gvk: k3s.cattle.io/v1, Kind=Addon",
            "deploy@server",
            "Addon istio",
        ),
        ("fleet.cattle.io/bundle-id: mesh-istio", "fleetagent", "Rancher Fleet bundle mesh-istio"),
        ("objectset.rio.cattle.io/id: default-mesh", "fleetagent", "Rancher Fleet bundle"),
        ("kapp.k14s.io/app: '1700000000'", "kapp-server", "kapp"),
        ("team: mesh", "Terraform", "Terraform"),
        ("team: mesh", "pulumi-kubernetes-1a2b", "Pulumi"),
        ("team: mesh", "eks", "the EKS add-on"),
        ("fluxcd.io/sync-checksum: 1a2b", "kubectl", "Flux 1"),
        ("resources.gardener.cloud/origin: seed:garden/mesh", "kubectl", "Gardener ManagedResource seed:garden/mesh"),
        ("app.oam.dev/name: mesh", "kubevela", "KubeVela application mesh"),
        ("karmada.io/managed: 'true'", "execution-controller", "Karmada"),
        ("addonmanager.kubernetes.io/mode: Reconcile", "kubectl", "the cluster's add-on manager"),
        ("moniker.spinnaker.io/application: mesh", "kubectl", "Spinnaker application mesh"),
        ("aws.cdk.eks/prune-c8ab: ''", "kubectl", "AWS CDK"),
        ("team: mesh", "timoni", "Timoni"),
        (
            "gloo.solo.io/parent_kind: IstioLifecycleManager\n    gloo.solo.io/parent_name: mesh\n    \
             gloo.solo.io/parent_namespace: gloo",
            "kubectl",
            "IstioLifecycleManager gloo/mesh",
        ),
        ("team: mesh", "work", "AppliedManifestWork a-mesh"),
    ] {
        let objects = from_manifests(&marked(label, manager)).unwrap();
        let snapshot = mesh(objects, &[("shop", "web-1")], &[("BlackHoleCluster", None), (WEB, None)]);
        let plan = fix(&snapshot, &FixOptions::default());
        let [Step::Mesh(step)] = plan.steps.as_slice() else { panic!("{label}: {:?}", plan.steps) };
        assert_eq!(step.install.gitops.as_ref().map(ToString::to_string).as_deref(), Some(owner), "{label}");
        assert!(step.commands.is_empty(), "{label}: {:?}", step.commands);
        assert_eq!(step.fragments[0].what, format!("values of the istiod chart, in the source of {owner}"));
        let interim = step.interim.as_ref().unwrap();
        let by_hand = ["Terraform", "Pulumi", "kapp", "Timoni", "AWS CDK", "Spinnaker"];
        let writes = if by_hand.iter().any(|tool| owner.starts_with(tool)) { "run" } else { "reconciliation" };
        assert_eq!(interim.until, format!("the next {writes} of {owner}"));
        assert!(interim.command.line(&Scope::default(), "").starts_with("kubectl patch configmap istio "));
    }
}

/// Of several resources that an operator reads, the one that is patched is the one that the control plane is from.
#[test]
fn the_operators_resource_is_the_one_of_this_control_plane() {
    let operator = fs::read_to_string(project().join("tests/fixtures/installations/operator.yaml")).unwrap();
    let another = |name: &str, revision: &str| {
        format!(
            "---\napiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nmetadata: {{name: {name}, namespace: \
             istio-system}}\nspec: {{revision: '{revision}'}}\n"
        )
    };
    for text in [
        format!("{}---\n{operator}", another("an-older-one", "1-21")),
        format!("{operator}{}", another("zz", "1-21")),
        format!("{operator}{}", another("installed-state", "")),
    ] {
        let objects = from_manifests(&text).unwrap();
        let snapshot = mesh(objects, &[("shop", "web-1")], &[("BlackHoleCluster", None), (WEB, None)]);
        let plan = fix(&snapshot, &FixOptions::default());
        let [Step::Mesh(step)] = plan.steps.as_slice() else { panic!("{:?}", plan.steps) };
        assert_eq!(step.install.resource.as_ref().unwrap().meta.name, "mesh", "{text}");
    }
}

/// What looks like one of the marks and is none of them.
#[test]
fn what_is_marked_as_left_alone_or_by_an_operator_of_its_own() {
    let text = fs::read_to_string(project().join("tests/fixtures/installations/rendered.yaml")).unwrap();
    let alone = text.replace("\n  labels:\n", "\n  labels:\n    configmanagement.gke.io/managed: disabled\n");
    let objects = from_manifests(&alone).unwrap();
    let snapshot = mesh(objects, &[("shop", "web-1")], &[("BlackHoleCluster", None), (WEB, None)]);
    let plan = fix(&snapshot, &FixOptions::default());
    let [Step::Mesh(step)] = plan.steps.as_slice() else { panic!("{:?}", plan.steps) };
    assert_eq!((step.install.method.as_str(), &step.install.gitops), ("rendered", &None));
    // A release that is not named after the chart may be of one that has it as a dependency.
    for (release, both) in [("istiod-canary", false), ("platform", true)] {
        let objects = from_manifests(&text.replace("release: istio", &format!("release: {release}"))).unwrap();
        let snapshot = mesh(objects, &[("shop", "web-1")], &[("BlackHoleCluster", None), (WEB, None)]);
        let plan = fix(&snapshot, &FixOptions::default());
        let [Step::Mesh(step)] = plan.steps.as_slice() else { panic!("{:?}", plan.steps) };
        let below = |fragment: &Fragment| fragment.content == "istiod:\n  meshConfig:\n    connectTimeout: 10s\n";
        assert_eq!(step.fragments.iter().any(below), both, "{release}: {:?}", step.fragments);
    }
    let own = "kind: ConfigMap\nmetadata:\n  name: istio\n  namespace: istio-system\n  labels: {app.kubernetes.io/managed-by: \
               somebody}\ndata: {mesh: 'connectTimeout: 1s'}\n";
    let snapshot = mesh(from_manifests(own).unwrap(), &[("shop", "web-1")], &[("BlackHoleCluster", None), (WEB, None)]);
    let plan = fix(&snapshot, &FixOptions::default());
    let [Step::Mesh(step)] = plan.steps.as_slice() else { panic!("{:?}", plan.steps) };
    assert_eq!(step.install.method.as_str(), "unknown", "{:?}", step.install);
}

/// Where neither istiod nor a ConfigMap of it is there, nothing is to be run.
#[test]
fn no_control_plane_has_no_command() {
    let rule = "kind: DestinationRule\napiVersion: networking.istio.io/v1\nmetadata: {name: a, namespace: shop}\nspec: {host: a}\n";
    let second = Some("1s");
    let snapshot =
        mesh(from_manifests(rule).unwrap(), &[("shop", "web-1")], &[("BlackHoleCluster", second), (WEB, second)]);
    let plan = fix(&snapshot, &FixOptions::default());
    let [Step::Mesh(step)] = plan.steps.as_slice() else { panic!("{:?}", plan.steps) };
    assert!(step.commands.is_empty() && step.interim.is_none(), "{step:?}");
    assert!(step.warnings[0].contains("no control plane was found"), "{:?}", step.warnings);
    assert_eq!(step.fragments[0].content, "meshConfig:\n  connectTimeout: 10s\n");
}

/// An operator's custom resource that another object writes, and a DestinationRule that GitOps writes.
#[test]
fn what_is_written_again_holds_until_then() {
    let operator = fs::read_to_string(project().join("tests/fixtures/installations/operator.yaml")).unwrap();
    for (mark, owner) in [
        (
            "labels: {gloo.solo.io/parent_kind: IstioLifecycleManager, gloo.solo.io/parent_name: mesh, \
             gloo.solo.io/parent_namespace: gloo-mesh}",
            "IstioLifecycleManager gloo-mesh/mesh",
        ),
        (
            "ownerReferences: [{apiVersion: install.example.com/v1, kind: ControlPlane, name: plane, uid: '1'}]",
            "ControlPlane plane",
        ),
    ] {
        let of_mesh = "metadata: {name: mesh, namespace: istio-system";
        let text = operator.replace(&format!("{of_mesh}}}"), &format!("{of_mesh}, {mark}}}"));
        let snapshot =
            mesh(from_manifests(&text).unwrap(), &[("shop", "web-1")], &[("BlackHoleCluster", None), (WEB, None)]);
        let plan = fix(&snapshot, &FixOptions::default());
        let [Step::Mesh(step)] = plan.steps.as_slice() else { panic!("{owner}: {:?}", plan.steps) };
        assert_eq!(step.install.gitops.as_ref().map(ToString::to_string).as_deref(), Some(owner));
        assert!(step.commands.is_empty(), "{owner}: {:?}", step.commands);
        assert_eq!(step.interim.as_ref().unwrap().until, format!("the next reconciliation of {owner}"));
    }
    let rule = "---\nkind: DestinationRule\napiVersion: networking.istio.io/v1\nmetadata:\n  name: web\n  namespace: shop\n  \
                labels: {argocd.argoproj.io/instance: shop}\nspec:\n  host: web\n  trafficPolicy: {connectionPool: {tcp: \
                {connectTimeout: 1s}}}\n";
    let map =
        "kind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata: {mesh: 'connectTimeout: 10s'}\n";
    let objects = from_manifests(&format!("{map}{rule}")).unwrap();
    let snapshot = mesh(objects, &[("shop", "web-1")], &[("BlackHoleCluster", None), (WEB, None)]);
    let plan = fix(&snapshot, &FixOptions::default());
    let [Step::Object(step)] = plan.steps.as_slice() else { panic!("{:?}", plan.steps) };
    assert_eq!(step.until.as_deref(), Some("the next reconciliation of Argo CD application shop"));
    assert!(step.warnings[0].contains("make the change in its source"), "{:?}", step.warnings);
    let json = serde_json::to_value(FixPlanJson::new(&snapshot, &plan, &Scope::default())).unwrap();
    assert_eq!(json["steps"][0]["commands"], serde_json::json!([]));
    assert!(json["steps"][0]["interim"]["command"].as_str().unwrap().starts_with("kubectl patch destinationrules"));
}

/// What people read of each installation's plan.
#[test]
fn each_installation_has_its_words() {
    let look = Look { palette: Palette::plain(), columns: Some(100), headings: true, verbose: false };
    let scope = Scope {
        selection: vec![Flag::switch("-A")],
        cluster: vec![Flag::new("--context", "prod")],
        ..Scope::default()
    };
    for name in
        ["helm", "helm-unknown-chart", "rendered", "argocd", "flux-helmrelease", "istioctl", "sail", "aks", "unknown"]
    {
        let (snapshot, _) = installation(name);
        let plan = fix(&snapshot, &FixOptions::default());
        let text = text(&snapshot, &plan, &scope, look);
        // Each line that is to be run says which cluster.
        for line in text
            .replace("\\\n", " ")
            .lines()
            .filter(|line| ["kubectl ", "helm ", "istioctl "].iter().any(|tool| line.trim_start().starts_with(tool)))
        {
            assert!(line.contains("context prod"), "{name}: {line}");
        }
        insta::assert_snapshot!(format!("fix_{name}"), text);
    }
}

#[test]
fn a_plan_is_for_the_value_and_the_hosts_asked_for() {
    let objects = from_manifests(
        "kind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata: {mesh: 'connectTimeout: 1s'}\n---\n\
         kind: DestinationRule\napiVersion: networking.istio.io/v1\nmetadata: {name: wide, namespace: shop}\nspec: {host: \
         '*.example.com', trafficPolicy: {tls: {mode: SIMPLE}}}\n---\nkind: DestinationRule\napiVersion: \
         networking.istio.io/v1\nmetadata: {name: db, namespace: shop}\nspec: {host: db, trafficPolicy: {portLevelSettings: \
         [{port: {number: 80}, tls: {mode: DISABLE}}]}}\n",
    )
    .unwrap();
    let clusters = [
        ("BlackHoleCluster", None),
        (WEB, None),
        ("outbound|443||api.example.com", None),
        ("outbound|80||db.shop.svc.cluster.local", None),
    ];
    let snapshot = mesh(objects, &[("shop", "web-1")], &clusters);
    let options = FixOptions {
        value: Some(Duration::from_secs(15)),
        hosts: vec!["api.example".into(), "db.shop".into()],
        ..FixOptions::default()
    };
    let plan = fix(&snapshot, &options);
    let [Step::Object(merged), Step::Object(created)] = plan.steps.as_slice() else { panic!("{:?}", plan.steps) };
    // The rule that is there is merged into, at the part that decides; the wider one is taken over whole.
    assert_eq!(
        (merged.identity.name.as_str(), merged.created, merged.changes[0].part.as_str()),
        ("db", false, "port 80"),
        "{:?}",
        merged.changes
    );
    assert!(created.created && created.spec.contains(r#""tls":{"mode":"SIMPLE"}"#), "{}", created.spec);
    assert!(created.warnings[0].contains("shop/wide"), "{:?}", created.warnings);
    let then = apply(&snapshot, &plan);
    let held = |name: &str| then.clusters.iter().find(|cluster| &*cluster.name == name).unwrap().connect_timeout;
    assert_eq!(held("outbound|443||api.example.com"), Some(Duration::from_secs(15)));
    assert_eq!(held("outbound|80||db.shop.svc.cluster.local"), Some(Duration::from_secs(15)));
    assert_eq!(held(WEB), Some(Duration::from_secs(1)));
}

#[test]
fn without_objects_the_plan_says_so() {
    let snapshot =
        mesh(IstioObjects::default(), &[("shop", "web-1")], &[("BlackHoleCluster", Some("1s")), (WEB, Some("1s"))]);
    let plan = fix(&snapshot, &FixOptions::default());
    assert!(plan.notes.iter().any(|note| note.starts_with("no Istio objects were read")), "{:?}", plan.notes);
    let then = apply(&snapshot, &plan);
    assert!(then.clusters.iter().all(|cluster| cluster.connect_timeout == Some(Duration::from_secs(10))));
}

/// Of a control plane of an unknown version, either key may be what counts where both have one value: one step has both.
#[test]
fn both_keys_change_where_either_may_count() {
    let objects = from_manifests(
        "kind: ConfigMap\nmetadata: {name: istio, namespace: istio-system, resourceVersion: '7'}\ndata:\n  mesh: |\n    \
         connectTimeout: 2s\n    defaultTrafficPolicy: {connectionPool: {tcp: {connectTimeout: 2s}}}\n",
    )
    .unwrap();
    let snapshot = mesh(objects, &[("shop", "web-1")], &[("PassthroughCluster", None), (WEB, None)]);
    let plan = fix(&snapshot, &FixOptions::default());
    let [Step::Mesh(step)] = plan.steps.as_slice() else { panic!("{:#?}", plan.steps) };
    let patch = step.patch.clone().unwrap();
    assert_eq!(
        patch.text,
        "connectTimeout: 10s\ndefaultTrafficPolicy: {connectionPool: {tcp: {connectTimeout: 10s}}}\n"
    );
    assert!(patch.command.input.contains("resourceVersion: \"7\""), "{}", patch.command.input);
    let then = apply(&snapshot, &plan);
    assert!(then.clusters.iter().all(|cluster| cluster.connect_timeout == Some(Duration::from_secs(10))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever the mesh value and the overrides, carrying the plan out takes every too short timeout away that an
    /// object gives, and what it says of itself is so. (Of a control plane whose version is not known, it may take two
    /// plans: which of two objects with one value counts shows only when they differ.)
    #[test]
    fn a_plan_mends_what_it_was_made_for(
        mesh_seconds in 1u64..20,
        top in prop::option::of(1u64..20),
        port in prop::option::of(prop::option::of(1u64..20)),
        subset in prop::option::of(prop::option::of(1u64..20)),
        sidecar in prop::option::of(prop::option::of(1u64..20)),
        filter in prop::option::of(1u64..20),
        baseline in prop::option::of(1u64..20),
        wanted in prop::option::of(5u64..20),
    ) {
        let pool = |value: Option<u64>| match value {
            Some(value) => format!("{{tcp: {{connectTimeout: {value}s}}}}"),
            None => "{http: {maxRetries: 1}}".to_owned(),
        };
        let mut manifests = "kind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: |\n".to_owned();
        manifests += &format!("    connectTimeout: {mesh_seconds}s\n");
        if let Some(value) = baseline {
            manifests += &format!("    defaultTrafficPolicy: {{connectionPool: {}}}\n", pool(Some(value)));
        }
        manifests += "---\nkind: Deployment\napiVersion: apps/v1\nmetadata: {name: istiod, namespace: istio-system, labels: {app: istiod, istio.io/rev: default}}\nspec: {template: {spec: {containers: [{name: discovery, image: 'docker.io/istio/pilot:1.31.0'}]}}}\n";
        manifests += "---\nkind: DestinationRule\napiVersion: networking.istio.io/v1\nmetadata: {name: web, namespace: shop}\nspec:\n  host: web\n  trafficPolicy:\n    tls: {mode: DISABLE}\n";
        if let Some(value) = top {
            manifests += &format!("    connectionPool: {}\n", pool(Some(value)));
        }
        if let Some(value) = port {
            manifests += &format!("    portLevelSettings: [{{port: {{number: 443}}, connectionPool: {}}}]\n", pool(value));
        }
        if let Some(value) = subset {
            manifests += &format!("  subsets: [{{name: v1, trafficPolicy: {{connectionPool: {}}}}}]\n", pool(value));
        }
        if let Some(value) = sidecar {
            manifests += &format!("---\nkind: Sidecar\napiVersion: networking.istio.io/v1\nmetadata: {{name: s, namespace: shop}}\nspec: {{inboundConnectionPool: {}}}\n", pool(value));
        }
        if let Some(value) = filter {
            manifests += &format!("---\nkind: EnvoyFilter\napiVersion: networking.istio.io/v1alpha3\nmetadata: {{name: f, namespace: shop}}\nspec: {{configPatches: [{{applyTo: CLUSTER, match: {{cluster: {{portNumber: 9000}}}}, patch: {{operation: MERGE, value: {{connect_timeout: {value}s}}}}}}]}}\n");
        }
        let objects = from_manifests(&manifests).unwrap();
        prop_assert_eq!(&objects.notes, &Vec::<String>::new());
        let clusters = [
            ("BlackHoleCluster", None),
            ("PassthroughCluster", None),
            (WEB, None),
            ("outbound|443||web.shop.svc.cluster.local", None),
            ("outbound|80|v1|web.shop.svc.cluster.local", None),
            ("outbound|443|v1|web.shop.svc.cluster.local", None),
            ("outbound|9000||other.shop.svc.cluster.local", None),
            ("outbound|80||other.shop.svc.cluster.local", None),
            ("inbound|8080||", None),
        ];
        let snapshot = mesh(objects, &[("shop", "web-1"), ("other", "web-2")], &clusters);
        let options = FixOptions { value: wanted.map(Duration::from_secs), ..FixOptions::default() };
        let plan = fix(&snapshot, &options);
        let then = apply(&snapshot, &plan);
        let now = audit(&snapshot, &Filter::default(), &Policy::default());
        let after = audit(&then, &Filter::default(), &Policy::default());
        for finding in &after.findings {
            // A lost value is not repeated where what holds in its place is long enough.
            let enough = finding.rule.code == "MA008" && finding.subject.timeout() >= Some(Duration::from_secs(wanted.unwrap_or(10)));
            let mended = matches!(finding.rule.code, "MA001" | "MA002" | "MA008") && !enough;
            prop_assert!(!mended, "{}\nplan: {:#?}\n{}", finding.message, plan.steps, manifests);
        }
        // What it announces is what comes of it.
        prop_assert_eq!(plan.effect.vanish.len() + plan.effect.remain.len(), now.findings.len());
        for change in &plan.effect.changes {
            let held = then.clusters.iter().any(|cluster| cluster.name == change.cluster && cluster.connect_timeout == change.after);
            prop_assert!(held, "{}", change.cluster);
        }
        // A plan for a mesh that is mended has nothing to do.
        if wanted.is_none() {
            let again = fix(&then, &FixOptions::default());
            prop_assert!(again.steps.is_empty(), "{:#?}\n{}", again.steps, manifests);
        }
    }
}

#[test]
fn the_incident_has_a_plan() {
    let plan = on_incident(["fix", "-A", "-o", "json"]).json();
    assert_eq!((&plan["apiVersion"], &plan["kind"]), (&Value::from("meshaudit/v1"), &Value::from("FixPlan")));
    assert_eq!(plan["recommendation"]["connectTimeout"], "10s");
    let steps = plan["steps"].as_array().unwrap();
    assert_eq!((&steps[0]["action"], &steps[0]["install"]), (&Value::from("mesh"), &Value::from("helm")));
    let kinds: Vec<&str> = steps[1..].iter().map(|step| step["kind"].as_str().unwrap()).collect();
    for kind in ["DestinationRule", "Sidecar", "EnvoyFilter"] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
    assert!(plan["effect"]["vanish"].as_array().unwrap().iter().any(|finding| finding["code"] == "MA001"));
    // The proxy that lost its control plane is not mended by it.
    let remain = plan["effect"]["remain"].as_array().unwrap();
    assert!(remain.iter().any(|finding| finding["code"] == "MA006"), "{remain:?}");
}

#[test]
fn text_and_files_say_what_to_do() {
    let text = on_incident(["fix", "-A"]).run().exits(3);
    for part in [
        "helm upgrade istiod istio/istiod -n istio-system",
        "+        connectTimeout: 10s",
        "kubectl patch",
        "never writes to the cluster",
    ] {
        assert!(text.stdout.contains(part), "{part:?} is not in: {}", text.stdout);
    }
    assert!(text.stderr.contains("3 proxies could not be read"), "{}", text.stderr);
    let files = on_incident(["fix", "-A", "-o", "yaml", "--exit-zero"]).run().exits(0).stdout;
    let documents: Vec<Value> = serde_saphyr::from_str_multiple(&files).unwrap();
    let documents: Vec<&Value> = documents.iter().filter(|document| !document.is_null()).collect();
    assert!(documents.len() >= 4, "{files}");
    for document in documents {
        assert!(document["apiVersion"].is_string() && document["metadata"]["name"].is_string(), "{document}");
    }
}

#[test]
fn a_snapshot_gives_the_same_plan() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_str().unwrap();
    on_incident(["snapshot", path, "-A", "--force"]).run().exits(3);
    let offline = plugin(["fix", "--from", path, "-o", "json"]).json();
    let live = on_incident(["fix", "-A", "-o", "json"]).json();
    assert_eq!(offline["steps"], live["steps"]);
    let read = snapshot::read(fs::File::open(directory.path().join("snapshot.json")).unwrap()).unwrap();
    assert!(read.objects[""].is_read(ObjectKind::DestinationRule));
}

#[test]
fn bad_values_are_refused() {
    for value in ["0s", "2h", "1.5ms", "soon", "-1s"] {
        plugin(["fix", "--from", "x", &format!("--set={value}")]).run().exits(2);
    }
}

/// What reading objects and counters costs beside the clusters: a number of requests to the API server that does not
/// grow with the proxies, and two more answers on each proxy's own tunnel.
#[test]
fn objects_and_evidence_have_their_price() {
    let proxies = 500;
    let sandbox = Sandbox::start(canned::mesh(proxies, 100)).unwrap();
    let cost = |extra: &[&str]| {
        drop(sandbox.take_stats());
        plugin(["timeouts", "-A", "-o", "json", "--exit-zero"].iter().chain(extra)).on(&sandbox).run().exits(0);
        sandbox.take_stats()
    };
    let (without, with) = (cost(&["--no-evidence"]), cost(&[]));
    let proxies = u64::try_from(proxies).unwrap();
    let of_objects: u64 = with
        .requests
        .iter()
        .filter(|(what, _)| !what.contains("pods/portforward") && *what != "list pods")
        .map(|(_, count)| count)
        .sum();
    // Shown with `--nocapture`, for docs/performance.md.
    let report = format!(
        "objects: {of_objects} requests; counters: {} bytes a proxy more, {} before",
        (with.tunnel_bytes - without.tunnel_bytes) / proxies,
        without.tunnel_bytes / proxies
    );
    writeln!(std::io::stderr(), "{report}").unwrap();
    assert!(of_objects <= 20, "{:?}", with.requests);
    let tunnels: u64 = with.tunnels.values().sum();
    assert!(tunnels <= proxies + 4, "{tunnels}: evidence goes over the tunnel that is open");
}

#[test]
fn counters_of_a_large_mesh_are_sampled() {
    let sandbox = Sandbox::start(canned::mesh(100, 1_000)).unwrap();
    let read = |selection: &[&str]| {
        drop(sandbox.take_stats());
        let audit = ["timeouts", "-o", "csv", "--exit-zero"];
        let run = plugin(audit.iter().chain(selection)).on(&sandbox).run().exits(0);
        (run.stderr, sandbox.take_stats().tunnel_bytes)
    };
    let ((mesh, sampled), (nothing, none)) = (read(&["-A"]), read(&["-A", "--no-evidence"]));
    assert!(mesh.contains("Connection counters were read from 23 of 100 proxies"), "{mesh}");
    assert!(!nothing.contains("counters"), "{nothing}");
    // What was asked for is read whole, and so is what is little: ten proxies here, all of them where they have less.
    let (namespace, ten) = read(&["-n", "team-3"]);
    assert!(!namespace.contains("counters"), "{namespace}");
    let counters = (sampled - none) / 23;
    assert!(ten > none / 10 + 9 * counters, "{sampled} {none} {ten}");
}
