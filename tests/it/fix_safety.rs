//! That a plan changes connect timeouts and nothing else, for no proxy: worked out here from the objects themselves, and
//! not by the code that plans.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use meshaudit::attribute::{Attributor, RuleFor};
use meshaudit::audit::{Filter, Policy, audit};
use meshaudit::decode::objects::from_manifests;
use meshaudit::fix::{FixOptions, FixPlan, Step, apply, plan};
use meshaudit::model::objects::IstioObjects;
use meshaudit::model::{
    ClusterSet, ClusterSource, EnvoyCluster, MeshSnapshot, Proxy, ProxyId, ProxyRole, ProxySnapshot, ServiceRef,
    SnapshotBuilder,
};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::project;

/// A proxy of a mesh: namespace, name, role, labels, and the host whose inbound clusters it has.
#[derive(Debug, Clone)]
struct Client {
    namespace: String,
    name: String,
    role: ProxyRole,
    labels: BTreeMap<String, String>,
    serves: Option<(String, Vec<u16>)>,
}

/// A mesh whose proxies hold what its objects give them: for each host and port a cluster, and one for each subset.
struct World {
    objects: IstioObjects,
    clients: Vec<Client>,
    services: Vec<(String, Vec<u16>)>,
}

type Key = (usize, String);

/// What one cluster gets: its timeout, and everything else.
type Got = (Option<Duration>, Value);

fn cluster(name: &str, service: Option<&str>, timeout: Option<Duration>) -> EnvoyCluster {
    let namespace = service.and_then(|host| host.split('.').nth(1)).unwrap_or_default();
    EnvoyCluster {
        name: Arc::from(name),
        discovery_type: Arc::from("EDS"),
        connect_timeout: timeout,
        source: ClusterSource::Active,
        error: None,
        destination_rule_hint: None,
        services: service
            .map(|host| ServiceRef { host: Arc::from(host), namespace: Arc::from(namespace) })
            .into_iter()
            .collect(),
    }
}

impl World {
    /// The snapshot, with the clusters that the objects make.
    fn snapshot(&self) -> MeshSnapshot {
        let got = self.clusters();
        self.build(&got.into_iter().map(|(key, (timeout, _))| (key, timeout)).collect())
    }

    fn build(&self, values: &BTreeMap<Key, Option<Duration>>) -> MeshSnapshot {
        let mut builder = SnapshotBuilder::default();
        for (position, client) in self.clients.iter().enumerate() {
            let mut proxy = Proxy::named(ProxyId::new(&client.namespace, &client.name));
            proxy.role = client.role;
            proxy.revision = "default".to_owned();
            proxy.istio_version = "1.31.0".to_owned();
            proxy.labels = client.labels.clone();
            let rows: ClusterSet = values
                .iter()
                .filter(|((of, _), _)| *of == position)
                .map(|((_, name), timeout)| {
                    let host = name.rsplit('|').next().filter(|host| !host.is_empty());
                    let inbound = client.serves.as_ref().map(|(host, _)| host.as_str());
                    let service =
                        if name.starts_with("inbound|") { inbound } else { host.filter(|_| name.contains('|')) };
                    builder.intern(cluster(name, service, *timeout))
                })
                .collect();
            builder.read(ProxySnapshot {
                proxy,
                clusters: rows,
                version: None,
                loggers: None,
                evidence: None,
                xds: None,
            });
        }
        builder.objects("", self.objects.clone());
        builder.finish("2030-01-01T00:00:00Z".parse().unwrap())
    }

    /// Every cluster of every proxy.
    fn clusters(&self) -> BTreeMap<Key, Got> {
        // First those without subsets, to ask which subsets there are; then all of them.
        let mut names: BTreeMap<Key, Option<Duration>> = BTreeMap::new();
        for (position, client) in self.clients.iter().enumerate() {
            for name in ["BlackHoleCluster", "PassthroughCluster"] {
                names.insert((position, name.to_owned()), None);
            }
            for (host, ports) in &self.services {
                for port in ports {
                    names.insert((position, format!("outbound|{port}||{host}")), None);
                }
            }
            for port in client.serves.iter().flat_map(|(_, ports)| ports) {
                names.insert((position, format!("inbound|{port}||")), None);
            }
        }
        let mut subsets = names.clone();
        for ((position, name), found) in self
            .ask(&names, |_, found, _| found.subsets.iter().map(|(_, subset)| subset.name.clone()).collect::<Vec<_>>())
        {
            if name.starts_with("outbound|") {
                for subset in found {
                    subsets.insert((position, name.replacen("||", &format!("|{subset}|"), 1)), None);
                }
            }
        }
        self.ask(&subsets, |attributor, found, (position, row)| {
            let class = attributor.class_of(position);
            let timeout = attributor.attribute(class, row).expected.and_then(|expected| expected.timeout);
            (timeout, self.rest(&found))
        })
    }

    fn ask<T>(
        &self,
        names: &BTreeMap<Key, Option<Duration>>,
        what: impl Fn(&Attributor<'_>, RuleFor<'_>, (usize, u32)) -> T,
    ) -> BTreeMap<Key, T> {
        let blank = self.build(names);
        let attributor = Attributor::new(&blank);
        let mut told = BTreeMap::new();
        for (position, read) in blank.proxies.iter().enumerate() {
            let at = self.clients.iter().position(|client| client.name == read.proxy.id.name).unwrap();
            for row in read.clusters.iter() {
                let cluster = &blank.clusters[row as usize];
                let found = attributor.rule_for(attributor.class_of(position), cluster);
                told.insert((at, cluster.name.to_string()), what(&attributor, found, (position, row)));
            }
        }
        told
    }

    /// All that rules and the mesh give a cluster beside its timeout, worked out block by block.
    fn rest(&self, found: &RuleFor<'_>) -> Value {
        let spec = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let port = u64::from(found.port);
        let blocks = ["connectionPool", "outlierDetection", "loadBalancer", "tls"];
        let of_port = |policy: &Value| {
            let all = policy["portLevelSettings"].as_array().cloned().unwrap_or_default();
            all.into_iter().find(|entry| entry["port"]["number"] == port)
        };
        let mut rest = json!({});
        if let Some(rule) = found.policy {
            let policy = spec(&rule.source.spec)["trafficPolicy"].clone();
            let from = of_port(&policy).unwrap_or(policy);
            blocks.iter().for_each(|block| rest[block] = from[block].clone());
        }
        let mut cleared = false;
        if let Some((owner, subset)) = found.subsets.iter().find(|(_, subset)| subset.name == found.subset) {
            let all = spec(&owner.source.spec)["subsets"].as_array().cloned().unwrap_or_default();
            let written = all.into_iter().find(|known| known["name"] == subset.name.as_str()).unwrap();
            rest["labels"] = written["labels"].clone();
            let policy = &written["trafficPolicy"];
            for block in blocks.iter().filter(|block| !policy[**block].is_null()) {
                rest[block] = policy[block].clone();
            }
            if let Some(entry) = of_port(policy) {
                blocks.iter().for_each(|block| rest[block] = entry[block].clone());
                cleared = true;
            }
        }
        if found.baseline && !cleared {
            let plane = &self.objects.control_planes[0];
            let texts = [1, 0].map(|at| plane.mesh.get(at).map(|source| source.text.to_string()));
            let own_first = texts.into_iter().flatten().map(|text| serde_saphyr::from_str::<Value>(&text).unwrap());
            let mut own_first: Vec<Value> = own_first.filter(|mesh| !mesh["defaultTrafficPolicy"].is_null()).collect();
            own_first.reverse();
            if let Some(mesh) = own_first.first() {
                for block in blocks {
                    if rest[block].is_null() {
                        rest[block] = mesh["defaultTrafficPolicy"][block].clone();
                    }
                }
            }
        }
        if let Some(tcp) = rest["connectionPool"]["tcp"].as_object_mut() {
            tcp.shift_remove("connectTimeout");
        }
        without_nothing(rest)
    }
}

/// Nothing, an empty block and no block are the same to Istio.
fn without_nothing(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.into_iter().map(|(key, value)| (key, without_nothing(value)));
            Value::Object(kept.filter(|(_, value)| !value.is_null() && *value != json!({})).collect())
        }
        other => other,
    }
}

/// A plan for some hosts, or for the whole mesh.
fn plan_for(snapshot: &MeshSnapshot, hosts: &[&str], value: Option<u64>) -> FixPlan {
    let (filter, policy) = (Filter::default(), Policy::default());
    let options = FixOptions {
        value: value.map(Duration::from_secs),
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        ..FixOptions::default()
    };
    plan(snapshot, &audit(snapshot, &filter, &policy), &filter, &policy, &options)
}

/// Holds that a plan touches timeouts alone, and of hosts that were asked for; gives back how many change.
fn changes_timeouts_alone(
    world: &World,
    snapshot: &MeshSnapshot,
    plan: &FixPlan,
    host: Option<&str>,
    of: &str,
) -> usize {
    let before = world.clusters();
    let changed = apply(snapshot, plan);
    let after = World {
        objects: changed.objects[""].clone(),
        clients: world.clients.clone(),
        services: world.services.clone(),
    }
    .clusters();
    let names = |all: &BTreeMap<Key, Got>| all.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(&before), names(&after), "{of}: clusters appear or vanish\n{:#?}", plan.steps);
    let mut changes = 0;
    for (key, (timeout, rest)) in &before {
        let (new, new_rest) = &after[key];
        assert_eq!(rest, new_rest, "{of}: {key:?} differs in more than its timeout\n{:#?}", plan.steps);
        if timeout == new {
            continue;
        }
        changes += 1;
        assert!(new > timeout, "{of}: {key:?} from {timeout:?} to {new:?}, which is shorter\n{:#?}", plan.steps);
        if let Some(host) = host {
            let inbound = key.1.starts_with("inbound|")
                && world.clients[key.0].serves.as_ref().is_some_and(|(served, _)| served == host);
            assert!(inbound || key.1.ends_with(host), "{of}: {key:?} is of another host\n{:#?}", plan.steps);
        }
        // What was foretold is what comes of it.
        let proxy = changed.proxies.iter().find(|read| read.proxy.id.name == world.clients[key.0].name).unwrap();
        let mut rows = proxy.clusters.iter().map(|row| &changed.clusters[row as usize]);
        assert_eq!(rows.find(|row| *row.name == *key.1).unwrap().connect_timeout, *new, "{of}: {key:?}");
    }
    let mut objects = BTreeSet::new();
    for step in &plan.steps {
        if let Step::Object(step) = step {
            let name = (step.identity.kind, step.identity.namespace.clone(), step.identity.name.clone());
            assert!(objects.insert(name), "{of}: two steps for one object");
        }
    }
    assert!(changes > 0 || plan.steps.is_empty(), "{of}: steps that change nothing\n{:#?}", plan.steps);
    changes
}

fn manifests(mesh: &str, shared: Option<&str>, objects: &[Value]) -> IstioObjects {
    let map = |name: &str, text: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "istio-system"}, "data": {"mesh": text}});
    let mut env = vec![json!({"name": "REVISION", "value": "default"})];
    let mut items = vec![map("istio", mesh)];
    if let Some(shared) = shared {
        env.push(json!({"name": "SHARED_MESH_CONFIG", "value": "shared"}));
        items.push(map("shared", shared));
    }
    items.push(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "istiod", "namespace": "istio-system"},
        "spec": {"template": {"spec": {"containers": [{"name": "discovery", "image": "pilot:1.31.0", "env": env}]}}}}));
    items.extend(objects.iter().cloned());
    let objects = from_manifests(&json!({"kind": "List", "items": items}).to_string()).unwrap();
    assert_eq!(objects.notes, Vec::<String>::new());
    objects
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

fn known(mesh: &Value) -> World {
    let objects: Vec<Value> = mesh["objects"].as_array().unwrap().clone();
    let services: Vec<(String, Vec<u16>, u16)> = objects
        .iter()
        .filter(|object| object["kind"] == "Service" && object["metadata"]["name"] == "web")
        .map(|object| {
            let ports = object["spec"]["ports"].as_array().unwrap();
            let of = |key: &str| ports.iter().map(|port| u16::try_from(port[key].as_u64().unwrap()).unwrap()).collect();
            ("web.shop.svc.cluster.local".to_owned(), of("port"), 0)
        })
        .collect();
    let clients = mesh["proxies"].as_array().unwrap().iter().map(|proxy| {
        let labels = proxy["labels"].as_object().into_iter().flatten();
        Client {
            namespace: text(proxy, "namespace").to_owned(),
            name: text(proxy, "name").to_owned(),
            role: match text(proxy, "type") {
                "router" => ProxyRole::Gateway,
                "waypoint" => ProxyRole::Waypoint,
                _ => ProxyRole::Sidecar,
            },
            labels: labels.map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned())).collect(),
            serves: (proxy["name"] == "web-0").then(|| ("web.shop.svc.cluster.local".to_owned(), vec![8080])),
        }
    });
    World {
        clients: clients.collect(),
        services: services.into_iter().map(|(host, ports, _)| (host, ports)).collect(),
        objects: manifests(text(mesh, "mesh"), mesh["sharedMesh"].as_str(), &objects),
    }
}

/// Meshes in which it is easy to break something: baselines, private, selected and wildcard rules, rules of the root
/// namespace, merged ones, blocks without a pool.
#[test]
fn plans_for_known_meshes_change_timeouts_alone() {
    let meshes = fs::read_to_string(project().join("tests/fixtures/plans/meshes.jsonl")).unwrap();
    let mut planned = Vec::new();
    for mesh in meshes.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        let name = text(&mesh, "name").to_owned();
        let world = known(&mesh);
        let snapshot = world.snapshot();
        for host in [None, Some("web.shop.svc.cluster.local")] {
            let hosts: Vec<&str> = host.into_iter().collect();
            let plan = plan_for(&snapshot, &hosts, None);
            let of = format!("{name}, {}", host.unwrap_or("mesh-wide"));
            let changes = changes_timeouts_alone(&world, &snapshot, &plan, host, &of);
            let open = plan.open.iter().map(|open| format!("{open:?}")).collect::<Vec<_>>();
            planned.push(format!("{of}: {} steps, {changes} values, {} open", plan.steps.len(), open.len()));
        }
    }
    insta::assert_snapshot!(planned.join("\n"));
}

prop_compose! {
    fn pool()(timeout in prop::option::of(1u64..9), retries in any::<bool>()) -> Value {
        let mut pool = json!({});
        if let Some(timeout) = timeout {
            pool["tcp"] = json!({"connectTimeout": format!("0.{timeout}s")});
        }
        if retries {
            pool["http"] = json!({"maxRetries": 3});
        }
        pool
    }
}

fn policy(ports: bool) -> BoxedStrategy<Value> {
    let block = (prop::option::of(pool()), prop::option::of(Just(json!({"mode": "SIMPLE"}))));
    let entry = (prop::option::of(pool()), any::<bool>());
    (block, prop::option::of(entry).prop_map(move |entry| entry.filter(|_| ports)))
        .prop_map(|((pool, tls), entry)| {
            let mut policy = json!({});
            if let Some(pool) = pool {
                policy["connectionPool"] = pool;
            }
            if let Some(tls) = tls {
                policy["tls"] = tls;
            }
            if let Some((pool, outlier)) = entry {
                let mut port = json!({"port": {"number": 443}});
                if let Some(pool) = pool {
                    port["connectionPool"] = pool;
                }
                if outlier {
                    port["outlierDetection"] = json!({"consecutive5xxErrors": 5});
                }
                policy["portLevelSettings"] = json!([port]);
            }
            policy
        })
        .boxed()
}

const HOSTS: [&str; 2] = ["web.shop.svc.cluster.local", "db.shop.svc.cluster.local"];

prop_compose! {
    fn rule()(
        namespace in prop::sample::select(vec!["shop", "other", "istio-system"]),
        host in prop::sample::select(vec![HOSTS[0], HOSTS[1], "*.shop.svc.cluster.local", "*.local", "*"]),
        export_to in prop::sample::select(vec![json!(null), json!(["."]), json!(["*"]), json!(["other"])]),
        selects in prop::option::of(prop::sample::select(vec!["web", "client"])),
        policy in prop::option::of(policy(true)),
        subset in prop::option::of(prop::option::of(policy(true))),
        age in 1u8..9,
    ) -> Value {
        let mut spec = json!({"host": host});
        match selects {
            Some(app) => spec["workloadSelector"] = json!({"matchLabels": {"app": app}}),
            None if !export_to.is_null() => spec["exportTo"] = export_to,
            None => {}
        }
        if let Some(policy) = policy {
            spec["trafficPolicy"] = policy;
        }
        if let Some(subset) = subset {
            let mut v1 = json!({"name": "v1", "labels": {"version": "v1"}});
            if let Some(policy) = subset {
                v1["trafficPolicy"] = policy;
            }
            spec["subsets"] = json!([v1]);
        }
        json!({"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
            "metadata": {"name": format!("r{age}"), "namespace": namespace, "creationTimestamp": format!("2024-01-0{age}T00:00:00Z")},
            "spec": spec})
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever the rules and the mesh's own policy, and whichever host is asked for.
    #[test]
    fn a_plan_changes_timeouts_alone(
        rules in prop::collection::vec(rule(), 0..5),
        baseline in prop::option::of(pool()),
        private in any::<bool>(),
        host in prop::option::of(prop::sample::select(HOSTS.to_vec())),
    ) {
        let mut mesh = json!({"connectTimeout": "0.9s"});
        if let Some(pool) = baseline {
            mesh["defaultTrafficPolicy"] = json!({"connectionPool": pool});
        }
        if private {
            mesh["defaultDestinationRuleExportTo"] = json!(["."]);
        }
        // Names are unique within a namespace.
        let mut seen = BTreeSet::new();
        let rules: Vec<Value> = rules
            .into_iter()
            .filter(|rule| seen.insert((rule["metadata"]["namespace"].to_string(), rule["metadata"]["name"].to_string())))
            .collect();
        let client = |namespace: &str, name: &str, app: &str, role| Client {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            role,
            labels: BTreeMap::from([("app".to_owned(), app.to_owned())]),
            serves: (name == "web-0").then(|| (HOSTS[0].to_owned(), vec![443])),
        };
        let world = World {
            objects: manifests(&mesh.to_string(), None, &rules),
            clients: vec![
                client("shop", "web-0", "web", ProxyRole::Sidecar),
                client("shop", "other-0", "x", ProxyRole::Sidecar),
                client("other", "client-0", "client", ProxyRole::Sidecar),
                client("edge", "gateway-0", "gateway", ProxyRole::Gateway),
            ],
            services: HOSTS.iter().map(|host| ((*host).to_owned(), vec![80, 443])).collect(),
        };
        let snapshot = world.snapshot();
        let hosts: Vec<&str> = host.into_iter().collect();
        let plan = plan_for(&snapshot, &hosts, None);
        let of = format!("{}\n{}", mesh, json!(rules));
        changes_timeouts_alone(&world, &snapshot, &plan, host, &of);
        // A host has its value afterwards, or the reader is told who decides and what could be done.
        if let Some(host) = host.filter(|_| plan.open.is_empty()) {
            let then = apply(&snapshot, &plan);
            let short = then.clusters.iter().filter(|cluster| {
                cluster.name.starts_with("outbound|") && cluster.name.ends_with(host) && cluster.connect_timeout < Some(Duration::from_secs(1))
            });
            prop_assert_eq!(short.count(), 0, "{}\n{:#?}", of, plan.steps);
        }
    }
}
