//! Istio's precedence as a table: objects, a proxy and a cluster in, the value and its origin out. The values were
//! written down from Istio's source, not from this program.

use std::collections::BTreeMap;
use std::sync::Arc;

use meshaudit::attribute::{Attributor, Verdict};
use meshaudit::audit::{Filter, Policy, audit};
use meshaudit::decode::objects::from_manifests;
use meshaudit::model::{
    ClusterSet, ClusterSource, EnvoyCluster, Proxy, ProxyId, ProxyRole, ProxySnapshot, ServiceRef, SnapshotBuilder,
    format_duration, parse_duration,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Table {
    about: String,
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    objects: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    cluster: String,
    /// `namespace/name` of the service that an inbound cluster stands for.
    service: Option<String>,
    #[serde(default = "shop")]
    namespace: String,
    #[serde(default)]
    role: ProxyRole,
    #[serde(default)]
    revision: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// What the proxy holds, where it is not what is expected.
    held: Option<String>,
    /// `VALUE KIND [NAMESPACE/NAME [PART]]`.
    expect: String,
    /// The origin of what is held, where it is not that of what is expected.
    origin: Option<String>,
    /// A value that is set and lost.
    dropped: Option<String>,
}

fn shop() -> String {
    "shop".to_owned()
}

fn describe(origin: &meshaudit::model::Origin) -> String {
    let mut text = origin.kind.as_str().to_owned();
    if let Some(object) = origin.kind.object() {
        text.push_str(&format!(" {object}"));
    }
    let part = origin.kind.part();
    if !part.is_empty() && !matches!(part.as_str(), "connectTimeout" | "connectionPool.tcp") {
        text.push_str(&format!(" {part}"));
    }
    text
}

/// A cluster with this timeout.
fn cluster(name: &str, connect_timeout: Option<std::time::Duration>) -> EnvoyCluster {
    EnvoyCluster {
        name: Arc::from(name),
        discovery_type: Arc::from("EDS"),
        connect_timeout,
        source: ClusterSource::Active,
        error: None,
        destination_rule_hint: None,
        services: Vec::new(),
    }
}

fn check(group: &Group, case: &Case) -> Result<(), String> {
    let objects = from_manifests(&group.objects)?;
    if !objects.notes.is_empty() {
        return Err(objects.notes.join("; "));
    }
    let (value, origin) = case.expect.split_once(' ').ok_or("expect: VALUE KIND …")?;
    let duration = |text: &str| match text {
        "none" => Ok(None),
        text => parse_duration(text).map(Some).map_err(|error| error.to_string()),
    };
    let held = duration(case.held.as_deref().unwrap_or(value))?;
    let services = case.service.iter().filter_map(|service| service.split_once('/')).map(|(namespace, name)| {
        ServiceRef { host: Arc::from(format!("{name}.{namespace}.svc.cluster.local")), namespace: Arc::from(namespace) }
    });
    let cluster = EnvoyCluster { services: services.collect(), ..cluster(&case.cluster, held) };
    let mut builder = SnapshotBuilder::default();
    let row = builder.intern(cluster);
    let mut proxy = Proxy::named(ProxyId::new(&case.namespace, "pod"));
    proxy.role = case.role;
    proxy.revision.clone_from(&case.revision);
    proxy.istio_version.clone_from(&case.version);
    proxy.labels.clone_from(&case.labels);
    builder.read(ProxySnapshot { clusters: ClusterSet::from_iter([row]), ..ProxySnapshot::named(proxy) });
    builder.objects("", objects);
    let snapshot = builder.finish(jiff::Timestamp::UNIX_EPOCH);
    let attributor = Attributor::new(&snapshot);
    let class = attributor.class_of(0);
    let (attribution, chain) = attributor.explain(class, 0);
    if attribution != attributor.attribute(class, 0) {
        return Err("an explanation changes the answer".to_owned());
    }
    let wrong = |what: &str, found: String| Err(format!("{what}: {found}\n{chain:#?}"));
    if attribution.verdict != Verdict::Explained {
        return wrong("verdict", format!("{:?}", attribution.verdict));
    }
    let expected_origin = case.origin.as_deref().unwrap_or(origin);
    if describe(&attribution.origin) != expected_origin {
        return wrong("origin", describe(&attribution.origin));
    }
    let Some(expected) = attribution.expected else {
        return if case.cluster.contains('|') { wrong("expected", "nothing".to_owned()) } else { Ok(()) };
    };
    if expected.timeout != duration(value)? {
        return wrong("value", expected.timeout.map_or("none".to_owned(), format_duration));
    }
    if describe(&expected.origin) != origin {
        return wrong("expected origin", describe(&expected.origin));
    }
    let dropped = expected.dropped.map(|dropped| format_duration(dropped.value));
    if dropped != case.dropped {
        return wrong("dropped", format!("{dropped:?}"));
    }
    let winners = chain.iter().filter(|candidate| candidate.outcome == meshaudit::attribute::Outcome::Won).count();
    if winners != 1 {
        return wrong("winners in the chain", winners.to_string());
    }
    Ok(())
}

#[test]
fn precedence() {
    let mut cases = 0;
    let mut failures = Vec::new();
    let mut files: Vec<_> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/precedence"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let table: Table = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for group in &table.groups {
            for case in &group.cases {
                cases += 1;
                if let Err(error) = check(group, case) {
                    failures.push(format!("{} / {}: {error}", table.about, case.name));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} of {cases} failed:\n{}", failures.len(), failures.join("\n"));
    assert!(cases >= 100, "{cases}");
}

/// One difference between versions of the control plane.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    name: String,
    #[serde(default)]
    objects: String,
    mesh: Option<String>,
    #[serde(default)]
    role: ProxyRole,
    cluster: String,
    /// By version, as in [`Case::expect`].
    expect: BTreeMap<String, String>,
}

#[test]
fn each_difference_between_versions_is_made() {
    let path = crate::project().join("tests/fixtures/precedence-versions.yaml");
    let rows: Vec<Difference> = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut failures = Vec::new();
    for row in &rows {
        assert!(row.expect.len() > 1, "{}", row.name);
        for (version, expect) in &row.expect {
            let mesh = serde_json::json!({
                "kind": "ConfigMap", "metadata": {"name": "istio", "namespace": "istio-system"},
                "data": {"mesh": row.mesh.as_deref().unwrap_or("connectTimeout: 1s")},
            });
            let istiod = serde_json::json!({
                "kind": "Deployment", "metadata": {"name": "istiod", "namespace": "istio-system"},
                "spec": {"template": {"spec": {"containers": [{"name": "discovery", "image": format!("istio/pilot:{version}")}]}}},
            });
            let group = Group { objects: format!("{mesh}\n---\n{istiod}\n---\n{}", row.objects), cases: Vec::new() };
            let case = Case {
                name: row.name.clone(),
                cluster: row.cluster.clone(),
                service: None,
                namespace: shop(),
                role: row.role,
                revision: String::new(),
                version: version.clone(),
                labels: BTreeMap::new(),
                held: None,
                expect: expect.clone(),
                origin: None,
                dropped: None,
            };
            if let Err(error) = check(&group, &case) {
                failures.push(format!("{} / {version}: {error}", row.name));
            }
        }
    }
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
    assert!(rows.len() >= 13, "{}", rows.len());
}

#[test]
fn what_may_not_be_read_is_said_and_nothing_is_guessed() {
    let run = |context: &str| {
        crate::on_incident(["timeouts", "-n", "shop", "-o", "json", "--exit-zero", "--context", context]).run().exits(0)
    };
    let origin = |run: &crate::Run| {
        let audit: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        let rows = audit["clusters"].as_array().unwrap();
        let row = rows.iter().find(|row| row["host"] == "catalog.shop.svc.cluster.local").unwrap();
        row["origin"].clone()
    };
    // Everything may be read: certain, with the part. Nothing but pods: Envoy's metadata name the rule.
    let (all, least) = (run("sandbox"), run("least"));
    assert_eq!(
        (origin(&all)["kind"].as_str(), origin(&all)["certain"].as_bool()),
        (Some("DestinationRule"), Some(true))
    );
    assert_eq!(origin(&all)["part"], "trafficPolicy");
    assert!(!all.stderr.contains("not read"), "{}", all.stderr);
    let guessed = origin(&least);
    assert_eq!((guessed["name"].as_str(), guessed["certain"].as_bool()), (Some("catalog-fail-fast"), Some(false)));
    for kind in ["mesh configuration", "DestinationRule", "EnvoyFilter"] {
        assert!(least.stderr.contains(kind), "{kind}: {}", least.stderr);
    }
    // At home in one namespace: what is there is read, and that the rest is missing is said.
    let home = run("shop");
    assert!(home.stderr.contains("only partly read"), "{}", home.stderr);
}

#[test]
fn the_chain_is_shown() {
    let text =
        crate::on_incident(["timeouts", "-A", "--host", "reviews", "--explain-origin", "--exit-zero"]).run().exits(0);
    for part in [
        "OUTCOME",
        "won",
        "lost",
        "sets none",
        "replaces its connectionPool whole",
        "DestinationRule shop/reviews subset v2",
    ] {
        assert!(text.stdout.contains(part), "{part:?} is not in: {}", text.stdout);
    }
}

/// Ten times the proxies of the same kind cost no more attributions: they are one class.
#[test]
fn proxies_alike_are_one_class() {
    let objects = from_manifests(
        "kind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata: {mesh: 'connectTimeout: 1s'}\n---\n\
         kind: DestinationRule\nmetadata: {name: a, namespace: n0}\nspec: {host: 'h1.example.com', workloadSelector: \
         {matchLabels: {app: '0'}}}\n",
    )
    .unwrap();
    let mut builder = SnapshotBuilder::default();
    for proxy in 0..2000 {
        let mut described = Proxy::named(ProxyId::new(format!("n{}", proxy % 4), format!("p{proxy}")));
        described.labels.insert("app".to_owned(), (proxy % 8).to_string());
        described.labels.insert("pod".to_owned(), proxy.to_string());
        let clusters = (0..500)
            .map(|host| {
                let name = format!("outbound|443||h{host}.example.com");
                builder.intern(cluster(&name, Some(std::time::Duration::from_secs(1))))
            })
            .collect();
        builder.read(ProxySnapshot { clusters, ..ProxySnapshot::named(described) });
    }
    builder.objects("", objects);
    let snapshot = builder.finish(jiff::Timestamp::UNIX_EPOCH);
    let attributor = Attributor::new(&snapshot);
    // Four namespaces; only in the first does a selector tell some labels from others.
    assert_eq!(attributor.classes().len(), 5);
    assert_eq!(attributor.classes().iter().map(|class| class.proxies.len()).sum::<usize>(), 2000);
}

/// Where the control plane's version is not known, a filter that only older ones would attach by labels tells waypoints
/// apart; labels that no filter asks for do not.
#[test]
fn what_an_older_control_plane_would_tell_apart_is_kept_apart() {
    let classes = |filter: &str| {
        let mesh =
            "kind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata: {mesh: 'connectTimeout: 1s'}\n";
        let objects = from_manifests(&format!("{mesh}---\n{filter}")).unwrap();
        let mut builder = SnapshotBuilder::default();
        for number in 0..6 {
            let mut proxy = Proxy::named(ProxyId::new("shop", format!("waypoint-{number}")));
            proxy.role = ProxyRole::Waypoint;
            proxy.labels.insert("gateway.networking.k8s.io/gateway-name".to_owned(), "waypoint".to_owned());
            proxy.labels.insert("track".to_owned(), (number % 3).to_string());
            builder.read(ProxySnapshot::named(proxy));
        }
        builder.objects("", objects);
        let snapshot = builder.finish(jiff::Timestamp::UNIX_EPOCH);
        Attributor::new(&snapshot).classes().len()
    };
    let filter = |label: &str| {
        format!(
            "kind: EnvoyFilter\nmetadata: {{name: f, namespace: shop}}\nspec: {{workloadSelector: {{labels: {label}}}, \
             configPatches: [{{applyTo: CLUSTER, patch: {{operation: MERGE, value: {{connect_timeout: 4s}}}}}}]}}\n"
        )
    };
    assert_eq!(classes(&filter("{track: '1'}")), 2);
    assert_eq!(classes(&filter("{app: elsewhere}")), 1);
}

/// Two control planes whose proxies hold the same value from the same rule: each is measured by its own mesh's value.
#[test]
fn an_override_is_held_against_the_mesh_of_its_own_control_plane() {
    let plane = |revision: &str, mesh: &str| {
        let name = if revision == "default" { "istio".to_owned() } else { format!("istio-{revision}") };
        format!(
            "kind: ConfigMap\nmetadata: {{name: {name}, namespace: istio-system}}\ndata: {{mesh: 'connectTimeout: \
             {mesh}'}}\n---\nkind: Deployment\napiVersion: apps/v1\nmetadata: {{name: istiod-{revision}, namespace: \
             istio-system}}\nspec: {{template: {{spec: {{containers: [{{name: discovery, image: 'pilot:1.31.0', args: \
             [discovery], env: [{{name: REVISION, value: {revision}}}]}}]}}}}}}\n---\n"
        )
    };
    let rule = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: api, namespace: \
                istio-system}\nspec: {host: api.example.com, trafficPolicy: {connectionPool: {tcp: {connectTimeout: \
                500ms}}}}\n";
    let objects = from_manifests(&format!("{}{}{rule}", plane("default", "1s"), plane("canary", "10s"))).unwrap();
    let mut builder = SnapshotBuilder::default();
    let held = builder.intern(cluster("outbound|443||api.example.com", parse_duration("500ms").ok()));
    for revision in ["canary", "default"] {
        let mut proxy = Proxy::named(ProxyId::new("shop", revision));
        revision.clone_into(&mut proxy.revision);
        builder.read(ProxySnapshot { clusters: ClusterSet::from_iter([held]), ..ProxySnapshot::named(proxy) });
    }
    builder.objects("", objects);
    let snapshot = builder.finish(jiff::Timestamp::UNIX_EPOCH);
    let found = audit(&snapshot, &Filter::default(), &Policy::default());
    let said = |proxy: u32| -> Vec<&str> {
        let of_proxy = |row: &&Arc<meshaudit::audit::Row>| row.proxies.contains(proxy);
        let meshes = found.rows.iter().filter(of_proxy).filter_map(|row| row.mesh);
        assert_eq!(meshes.collect::<Vec<_>>(), [parse_duration(["10s", "1s"][proxy as usize]).unwrap()]);
        let findings = found.findings.iter().filter(|finding| finding.rule.code == "MA007");
        findings.filter(|finding| finding.proxies().contains(proxy)).map(|finding| finding.message.as_str()).collect()
    };
    assert!(said(1)[0].ends_with("where the mesh's value is 1s: shorter still"), "{:?}", said(1));
    assert!(said(0)[0].ends_with("where the mesh's value is 10s: 3 SYN retransmissions fewer"), "{:?}", said(0));
    assert_eq!((said(0).len(), said(1).len()), (1, 1));
}

/// Clusters of one class are worked out on several threads: each still has its own value and its own rule.
#[test]
fn many_clusters_of_one_class_keep_their_own_rules() {
    let host = |number: usize| format!("api-{number}.example.com");
    let rules: String = (0..1_000)
        .step_by(3)
        .map(|number| {
            format!(
                "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: api-{number}, \
                 namespace: istio-system}}\nspec: {{host: {}, trafficPolicy: {{connectionPool: {{tcp: \
                 {{connectTimeout: {}ms}}}}}}}}\n",
                host(number),
                1_000 + number
            )
        })
        .collect();
    let config =
        "kind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata: {mesh: 'connectTimeout: 5s'}\n";
    let mut builder = SnapshotBuilder::default();
    let held: Vec<u32> = (0..1_000)
        .map(|number| {
            let value = if number % 3 == 0 { format!("{}ms", 1_000 + number) } else { "5s".to_owned() };
            builder.intern(cluster(&format!("outbound|443||{}", host(number)), parse_duration(&value).ok()))
        })
        .collect();
    let proxy = Proxy::named(ProxyId::new("shop", "web"));
    builder.read(ProxySnapshot { clusters: ClusterSet::from_iter(held), ..ProxySnapshot::named(proxy) });
    builder.objects("", from_manifests(&format!("{config}{rules}")).unwrap());
    let snapshot = builder.finish(jiff::Timestamp::UNIX_EPOCH);
    let rows = audit(&snapshot, &Filter::default(), &Policy::default()).rows;
    assert_eq!(rows.len(), 1_000);
    for row in rows {
        let number: usize = row.parts().unwrap().host[4..].split('.').next().unwrap().parse().unwrap();
        let expected = if number.is_multiple_of(3) {
            format!("DestinationRule istio-system/api-{number} trafficPolicy")
        } else {
            "MeshConfig istio-system/istio".to_owned()
        };
        assert_eq!((describe(&row.origin), row.verdict), (expected, Verdict::Explained), "{}", row.name);
    }
}

/// A mesh configuration that Istio refuses leaves the mesh's value in doubt, and so what only that decides. What an
/// object gives, and the proxy holds, is not in doubt.
#[test]
fn a_refused_mesh_leaves_what_something_else_decides() {
    let objects = "
kind: ConfigMap
apiVersion: v1
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    connectTimeout: 5s
    enableTracing: perhaps
---
kind: EnvoyFilter
apiVersion: networking.istio.io/v1alpha3
metadata: {name: all, namespace: shop}
spec:
  configPatches:
  - applyTo: CLUSTER
    match: {context: SIDECAR_OUTBOUND}
    patch: {operation: MERGE, value: {connect_timeout: 3s}}
";
    for (name, held, certain) in [
        ("PassthroughCluster", "3s", true),
        ("outbound|80||web.shop.svc.cluster.local", "3s", true),
        ("outbound|80||web.shop.svc.cluster.local", "7s", false),
        // No filter is for it, so it tells what the mesh's value is.
        ("InboundPassthroughCluster", "10s", true),
        ("InboundPassthroughCluster", "5s", false),
    ] {
        let mut builder = SnapshotBuilder::default();
        let timeout = |text: &str| Some(parse_duration(text).unwrap());
        let rows =
            [builder.intern(cluster("BlackHoleCluster", timeout("3s"))), builder.intern(cluster(name, timeout(held)))];
        let proxy = Proxy::named(ProxyId::new("shop", "pod"));
        builder.read(ProxySnapshot { clusters: ClusterSet::from_iter(rows), ..ProxySnapshot::named(proxy) });
        builder.objects("", from_manifests(objects).unwrap());
        let snapshot = builder.finish(jiff::Timestamp::UNIX_EPOCH);
        let attributor = Attributor::new(&snapshot);
        let attribution = attributor.attribute(attributor.class_of(0), rows[1]);
        let expected = attribution.expected.unwrap();
        assert_eq!(attribution.origin.certain, certain, "{name} {held}: {:?}", attribution.origin);
        assert_eq!(expected.origin.certain, certain, "{name} {held}: {:?}", expected.origin);
    }
}
