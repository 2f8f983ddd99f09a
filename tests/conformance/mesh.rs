//! A recorded mesh (README.md) as this crate reads it: the case's objects, those of its control planes, and proxies that
//! hold what Istio gave them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use meshaudit::decode::istio::from_manifests;
use meshaudit::model::{
    ClusterSource, EnvoyCluster, MeshSnapshot, Proxy, ProxyId, ProxyRole, ProxySnapshot, ServiceRef, SnapshotBuilder,
    parse_duration,
};
use serde_json::{Value, json};

pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

pub(crate) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
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

pub(crate) fn snapshot(case: &Value) -> MeshSnapshot {
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
