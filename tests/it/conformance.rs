//! What Istio's own control plane gave the proxies of many meshes, recorded (tests/conformance), held against what is
//! said of those clusters here. Every timeout of a random mesh stands in it once, so a value says where it came from.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use flate2::read::GzDecoder;
use meshaudit::attribute::{Attributor, Verdict};
use meshaudit::audit::{Filter, Policy, audit};
use meshaudit::decode::istio::from_manifests;
use meshaudit::model::{
    ClusterSource, EnvoyCluster, MeshSnapshot, Origin, Proxy, ProxyId, ProxyRole, ProxySnapshot, ServiceRef,
    SnapshotBuilder, parse_duration,
};
use serde_json::{Value, json};

/// What came of the clusters of some meshes.
#[derive(Default)]
struct Tally {
    clusters: usize,
    unsure: usize,
    /// Said with certainty, and not what Istio did.
    wrong: Vec<String>,
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn or<'a>(value: &'a str, default: &'a str) -> &'a str {
    if value.is_empty() { default } else { value }
}

fn labels(value: &Value) -> BTreeMap<String, String> {
    let all = value.as_object().into_iter().flatten();
    all.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}

/// The objects of one control plane: its Deployment and its ConfigMaps, as Istio's chart has them.
fn plane(case: &Value, given: &Value, revision: &str, shared: &Value, items: &mut Vec<Value>) {
    let namespace = or(text(given, "istioNamespace"), or(text(case, "istioNamespace"), "istio-system"));
    let map = |name: &str, mesh: &Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": {"mesh": mesh}});
    let mut env = vec![json!({"name": "REVISION", "value": revision})];
    let more = case["env"].as_object().into_iter().flatten();
    env.extend(more.map(|(name, value)| json!({"name": name, "value": value})));
    if given["mesh"].is_string() {
        let name = if revision == "default" { "istio".to_owned() } else { format!("istio-{revision}") };
        items.push(map(&name, &given["mesh"]));
    }
    if shared.is_string() {
        env.push(json!({"name": "SHARED_MESH_CONFIG", "value": "shared"}));
        items.push(map("shared", shared));
    }
    let args = json!(["discovery", "--domain", or(text(case, "domain"), "cluster.local")]);
    let image = format!("registry.example/pilot:{}", or(text(case, "version"), "1.31.0"));
    items.push(json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": format!("istiod-{revision}"), "namespace": namespace},
        "spec": {"template": {"spec": {"containers": [{"name": "discovery", "image": image, "args": args, "env": env}]}}}}));
}

fn manifests(case: &Value) -> String {
    let mut items = list(case, "objects").to_vec();
    plane(case, case, or(text(case, "revision"), "default"), &case["sharedMesh"], &mut items);
    for other in list(case, "planes") {
        plane(case, other, text(other, "revision"), &Value::Null, &mut items);
    }
    let bundle = format!("v{}", or(text(case, "gatewayApi"), "1.4.0").trim_start_matches('v'));
    items.push(json!({"kind": "CustomResourceDefinition", "metadata": {
        "name": "backendtlspolicies.gateway.networking.k8s.io",
        "annotations": {"gateway.networking.k8s.io/bundle-version": bundle}}}));
    json!({"kind": "List", "items": items}).to_string()
}

fn proxy(case: &Value, given: &Value) -> Proxy {
    let (namespace, name) = (text(given, "namespace"), text(given, "name"));
    let mut proxy = Proxy::named(ProxyId::new(namespace, name));
    proxy.role = match text(given, "type") {
        "router" => ProxyRole::Gateway,
        "waypoint" => ProxyRole::Waypoint,
        _ => ProxyRole::Sidecar,
    };
    proxy.revision = or(text(given, "revision"), or(text(case, "revision"), "default")).to_owned();
    proxy.istio_version = or(text(given, "version"), or(text(case, "version"), "1.31.0")).to_owned();
    proxy.node = text(given, "node").to_owned();
    let is_pod = |object: &&Value| {
        object["kind"] == "Pod" && object["metadata"]["namespace"] == namespace && object["metadata"]["name"] == name
    };
    if let Some(pod) = list(case, "objects").iter().find(is_pod) {
        proxy.labels = labels(&pod["metadata"]["labels"]);
        for port in list(&pod["spec"], "containers").iter().flat_map(|container| list(container, "ports")) {
            let number = port["containerPort"].as_u64().and_then(|number| u16::try_from(number).ok());
            proxy.ports.extend(number.map(|number| (text(port, "name").to_owned(), number)));
        }
    }
    proxy.labels.extend(labels(&given["labels"]));
    proxy
}

fn cluster(given: &Value) -> EnvoyCluster {
    EnvoyCluster {
        name: Arc::from(text(given, "name")),
        discovery_type: Arc::from(text(given, "type")),
        connect_timeout: given["connectTimeout"].as_str().map(|value| parse_duration(value).unwrap()),
        source: ClusterSource::Active,
        error: None,
        destination_rule_hint: given["destinationRule"].as_str().map(Arc::from),
        services: list(given, "services")
            .iter()
            .map(|service| ServiceRef {
                host: Arc::from(text(service, "host")),
                namespace: Arc::from(text(service, "namespace")),
            })
            .collect(),
    }
}

fn snapshot(case: &Value) -> MeshSnapshot {
    let objects = from_manifests(&manifests(case)).unwrap();
    let answers: HashMap<&str, &[Value]> =
        list(&case["answer"], "proxies").iter().map(|told| (text(told, "proxy"), list(told, "clusters"))).collect();
    let mut builder = SnapshotBuilder::default();
    for given in list(case, "proxies") {
        let proxy = proxy(case, given);
        let name = proxy.id.to_string();
        let held = answers.get(name.as_str()).copied().unwrap_or_default();
        let clusters = held.iter().map(|given| builder.intern(cluster(given))).collect();
        builder.read(ProxySnapshot { proxy, clusters, version: None, loggers: None, evidence: None, xds: None });
    }
    builder.objects("", objects);
    builder.finish("2030-01-01T00:00:00Z".parse().unwrap())
}

/// Whether an origin is the place where a value was written; where a mesh does not say, any certain one is.
fn is_right(origin: &Origin, truth: Option<&Value>) -> bool {
    let Some(truth) = truth else { return true };
    let (kind, wanted) = (origin.kind.as_str(), truth[0].as_str().unwrap_or_default());
    let mesh = |kind: &str| matches!(kind, "MeshConfig" | "MeshDefault");
    if kind != wanted && !(mesh(kind) && mesh(wanted)) {
        return false;
    }
    wanted.starts_with("Mesh")
        || origin.kind.object().is_some_and(|object| truth[1] == object.namespace && truth[2] == object.name)
}

fn check(case: &Value, tally: &mut Tally) {
    let snapshot = snapshot(case);
    let attributor = Attributor::new(&snapshot);
    for (position, read) in snapshot.proxies.iter().enumerate() {
        let class = attributor.class_of(position);
        for row in read.clusters.iter() {
            let cluster = &snapshot.clusters[row as usize];
            let told = attributor.attribute(class, row);
            tally.clusters += 1;
            let held = cluster.connect_timeout;
            let origins = case["origins"].as_object().into_iter().flatten();
            let truth = { origins }.find(|(value, _)| parse_duration(value).ok() == held).map(|(_, truth)| truth);
            if !told.origin.certain {
                tally.unsure += 1;
            } else if told.verdict != Verdict::Explained || !is_right(&told.origin, truth) {
                let place = format!("{} {} {}", text(case, "id"), read.proxy.id, cluster.name);
                tally.wrong.push(format!("{place}: {held:?} of {truth:?}, said {:?}", told.origin));
            }
        }
    }
    let found = audit(&snapshot, &Filter::default(), &Policy::default());
    let refusals = refused_meshes(case);
    let mut told = 0;
    for finding in found.findings {
        if finding.rule.code == "MA006" && finding.message.contains("istiod does not take ConfigMap") {
            told += 1;
            if refusals > 0 {
                continue;
            }
        }
        if matches!(finding.rule.code, "MA005" | "MA006" | "MA012") {
            tally.wrong.push(format!("{}: {}: {}", text(case, "id"), finding.rule.code, finding.message));
        }
    }
    // Of two sources the value of a refused one stays in force, and is then nothing to report.
    if refusals > 0 && told == 0 && case["sharedMesh"].is_null() {
        tally.wrong.push(format!("{}: Istio refused the mesh configuration, and no finding says so", text(case, "id")));
    }
}

/// How often Istio refused a mesh configuration when the case was recorded (`meshOf` in tests/conformance/recorder).
fn refused_meshes(case: &Value) -> usize {
    let notes = list(&case["answer"], "notes").iter().filter_map(Value::as_str);
    notes.filter(|note| note.contains("mesh refused: ")).count()
}

fn check_lines(lines: &str) -> Tally {
    let mut tally = Tally::default();
    for line in lines.lines().filter(|line| !line.is_empty()) {
        check(&serde_json::from_str(line).unwrap(), &mut tally);
    }
    tally
}

fn check_recording(name: &str) -> Tally {
    let path = crate::project().join("tests/fixtures/conformance").join(name);
    let mut lines = String::new();
    GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut lines).unwrap();
    check_lines(&lines)
}

/// Nothing is wrong, and all but one in a thousand are known for certain.
fn agrees(tally: &Tally, at_least: usize) {
    assert!(tally.clusters >= at_least, "{} clusters", tally.clusters);
    let shown: Vec<&String> = tally.wrong.iter().take(10).collect();
    assert!(tally.wrong.is_empty(), "{} of {} wrong: {shown:#?}", tally.wrong.len(), tally.clusters);
    assert!(tally.unsure * 1000 <= tally.clusters, "{} of {} unsure", tally.unsure, tally.clusters);
}

#[test]
fn every_known_situation_is_as_istio_has_it() {
    agrees(&check_recording("known.jsonl.gz"), 2000);
}

#[test]
fn random_meshes_are_as_istio_has_them() {
    agrees(&check_recording("random.jsonl.gz"), 4000);
}

#[test]
fn ambient_meshes_are_as_istio_has_them() {
    agrees(&check_recording("ambient.jsonl.gz"), 1500);
}

#[test]
fn older_versions_are_as_they_were() {
    agrees(&check_recording("versions.jsonl.gz"), 2000);
}

/// A recording of one's own: `MESHAUDIT_CONFORMANCE=FILE cargo test --test it -- --ignored conformance`.
#[test]
#[ignore = "needs a fresh recording (tests/conformance/README.md)"]
fn a_fresh_recording_agrees() {
    let path = std::env::var_os("MESHAUDIT_CONFORMANCE").expect("MESHAUDIT_CONFORMANCE names a recording");
    agrees(&check_lines(&std::fs::read_to_string(Path::new(&path)).unwrap()), 1);
}
