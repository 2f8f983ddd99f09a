//! `timeouts` on the incident: what each proxy holds, and what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use meshaudit_sandbox::incident::{self, LOSSY_CLUSTER, expected};
use meshaudit_sandbox::mesh::Proxy;
use meshaudit_sandbox::{Sandbox, wheel};
use serde_json::Value;

use crate::{names, on_incident, plugin};

/// One audit of the whole mesh, for all tests here.
static AUDIT: LazyLock<Value> =
    LazyLock::new(|| on_incident(["timeouts", "-A", "--all-clusters", "-o", "json"]).json());

/// What the audit says each proxy holds: cluster and timeout; `None` where the field is absent.
fn held(audit: &Value) -> BTreeMap<String, BTreeMap<String, Option<String>>> {
    let mut held: BTreeMap<String, BTreeMap<String, Option<String>>> = BTreeMap::new();
    for cluster in audit["clusters"].as_array().unwrap() {
        let timeout =
            cluster["explicit"].as_bool().unwrap().then(|| cluster["connectTimeout"].as_str().unwrap().to_owned());
        let set = audit["proxySets"][cluster["proxySet"].as_str().unwrap()].as_array().unwrap();
        assert_eq!(set.len() as u64, cluster["proxyCount"].as_u64().unwrap());
        for proxy in set {
            let clusters = held.entry(proxy.as_str().unwrap().to_owned()).or_default();
            let twice = clusters.insert(cluster["name"].as_str().unwrap().to_owned(), timeout.clone());
            assert_eq!(twice, None, "a proxy holds one value for a cluster: {cluster}");
        }
    }
    held
}

#[test]
fn says_of_every_proxy_what_it_holds() {
    let held = held(&AUDIT);
    let expected = expected();
    assert!(expected.proxies.len() >= 12);
    for proxy in &expected.proxies {
        let name = format!("{}/{}", proxy.namespace, proxy.pod);
        let mut clusters: BTreeMap<String, Option<String>> =
            proxy.clusters.iter().map(|(name, timeout)| (name.clone(), timeout.map(str::to_owned))).collect();
        clusters
            .extend(expected.bootstrap.iter().map(|(name, timeout)| ((*name).to_owned(), Some((*timeout).to_owned()))));
        assert_eq!(held.get(&name), Some(&clusters), "{name}");
    }
    assert_eq!(held.len(), expected.proxies.len());
}

#[test]
fn accounts_for_every_pod() {
    let expected = expected();
    let coverage = &AUDIT["coverage"];
    let skipped: BTreeSet<String> = names(&coverage["skipped"]).into_iter().collect();
    let wanted: BTreeSet<String> =
        expected.skipped.iter().map(|(namespace, pod)| format!("{namespace}/{pod}")).collect();
    assert_eq!(skipped, wanted);
    let failed: BTreeMap<String, String> = coverage["failed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|failed| (failed["proxy"].as_str().unwrap().to_owned(), failed["cause"].as_str().unwrap().to_owned()))
        .collect();
    let wanted =
        expected.failed.iter().map(|(namespace, pod, cause)| (format!("{namespace}/{pod}"), (*cause).to_owned()));
    assert_eq!(failed, wanted.collect());
    assert_eq!(coverage["audited"], expected.proxies.len());
    assert_eq!(coverage["selected"], expected.proxies.len() + expected.skipped.len() + expected.failed.len());
}

fn findings<'a>(audit: &'a Value, code: &str) -> Vec<&'a Value> {
    audit["findings"].as_array().unwrap().iter().filter(|finding| finding["code"] == code).collect()
}

#[test]
fn finds_what_is_wrong() {
    let silent = findings(&AUDIT, "MA001").into_iter().find(|finding| finding["cluster"] == LOSSY_CLUSTER).unwrap();
    assert_eq!(silent["severity"], "error");
    assert_eq!(silent["rule"], "connect-timeout-too-short");
    assert!(silent["remedy"].as_str().unwrap().contains("10s"));
    // Every judged value of a second or less, and no other.
    let short = AUDIT["clusters"].as_array().unwrap().iter().filter(|cluster| {
        let name = cluster["name"].as_str().unwrap();
        // A waypoint's tunnel dials over TCP with the mesh's value, as services' clusters do.
        let judged = cluster["direction"] != "" || name.contains("Passthrough") || name == "connect_originate";
        judged && cluster["connectTimeoutMs"].as_u64().unwrap() <= 1000
    });
    let short: BTreeSet<(String, String)> =
        short.map(|cluster| (cluster["name"].to_string(), cluster["origin"].to_string())).collect();
    let found: BTreeSet<(String, String)> = findings(&AUDIT, "MA001")
        .iter()
        .map(|finding| (finding["cluster"].to_string(), finding["origin"].to_string()))
        .collect();
    assert_eq!(found, short);
    for finding in findings(&AUDIT, "MA001") {
        let inbound = finding["cluster"].as_str().unwrap().to_lowercase().starts_with("inbound")
            && !finding["cluster"].as_str().unwrap().starts_with("inbound-vip");
        assert_eq!(finding["severity"], if inbound { "info" } else { "error" }, "{finding}");
    }
    let unset: Vec<&str> =
        findings(&AUDIT, "MA004").iter().map(|finding| finding["cluster"].as_str().unwrap()).collect();
    assert_eq!(unset, ["outbound|8443||legacy-ledger.example.net"], "and never Istio's internal clusters");
    for code in ["MA001", "MA002", "MA003", "MA004", "MA005"] {
        for finding in findings(&AUDIT, code) {
            assert_ne!(finding["cluster"], "BlackHoleCluster");
            assert!(!["agent", "zipkin", "xds-grpc", "encap"].contains(&finding["cluster"].as_str().unwrap()));
        }
    }
}

#[test]
fn finds_the_proxy_that_lags_behind() {
    let stale = findings(&AUDIT, "MA006");
    assert_eq!(stale.len(), 1, "{stale:?}");
    assert!(stale[0]["proxies"][0].as_str().unwrap().starts_with("shop/orders-"), "{stale:?}");
    // Its values are stale, and that is what accounts for them: not one more finding for each cluster.
    let clusters = AUDIT["clusters"].as_array().unwrap();
    let held = clusters.iter().find(|cluster| cluster["name"] == LOSSY_CLUSTER && cluster["connectTimeout"] == "2s");
    assert_eq!(held.unwrap()["origin"]["kind"], "Stale");
    assert!(findings(&AUDIT, "MA005").iter().all(|finding| finding["cluster"] != LOSSY_CLUSTER));
}

#[test]
fn counts_in_the_summary_what_it_found() {
    for severity in ["error", "warning", "info"] {
        let count =
            AUDIT["findings"].as_array().unwrap().iter().filter(|finding| finding["severity"] == severity).count();
        assert_eq!(AUDIT["summary"][severity], count, "{severity}");
    }
    let order: Vec<&str> =
        AUDIT["findings"].as_array().unwrap().iter().map(|finding| finding["severity"].as_str().unwrap()).collect();
    let mut sorted = order.clone();
    sorted.sort_by_key(|severity| ["error", "warning", "info"].iter().position(|known| known == severity));
    assert_eq!(order, sorted, "worst first");
}

#[test]
fn knows_the_meshs_own_value() {
    let mesh = &AUDIT["mesh"][0];
    assert_eq!((mesh["connectTimeout"].as_str(), mesh["connectTimeoutMs"].as_u64()), (Some("1s"), Some(1000)));
}

#[test]
fn counts_syn_retransmissions() {
    for cluster in AUDIT["clusters"].as_array().unwrap() {
        let wanted = match cluster["connectTimeout"].as_str().unwrap() {
            "0.250s" | "0.500s" | "1s" => 0,
            "2s" | "3s" => 1,
            "4s" | "5s" => 2,
            "10s" => 3,
            other => panic!("{other}"),
        };
        assert_eq!(cluster["synRetransmissions"], wanted, "{cluster}");
    }
}

#[test]
fn knows_origins_from_objects_and_suggests_them_without() {
    let cluster = |name: &str, timeout: &str| {
        AUDIT["clusters"]
            .as_array()
            .unwrap()
            .iter()
            .find(|cluster| cluster["name"] == name && cluster["connectTimeout"] == timeout)
            .unwrap_or_else(|| panic!("{name} {timeout}"))
    };
    let catalog = cluster("outbound|8080||catalog.shop.svc.cluster.local", "0.250s");
    assert_eq!((&catalog["origin"]["kind"], &catalog["origin"]["certain"]), (&"DestinationRule".into(), &true.into()));
    assert_eq!(catalog["origin"]["name"], "catalog-fail-fast");
    let agent = cluster("agent", "0.250s");
    assert_eq!((&agent["origin"]["kind"], &agent["origin"]["certain"]), (&"Bootstrap".into(), &true.into()));
    let absent = cluster("encap", "5s");
    assert_eq!((&absent["origin"]["kind"], &absent["origin"]["certain"]), (&"EnvoyDefault".into(), &true.into()));
    assert_eq!(cluster(LOSSY_CLUSTER, "1s")["origin"]["kind"], "MeshConfig");
    // Who may not read the objects is told what the dumps suggest, and that it is no more.
    let audit = on_incident(["timeouts", "-n", "shop", "-o", "json", "--context", "least"]).json();
    let clusters = audit["clusters"].as_array().unwrap();
    let catalog = clusters.iter().find(|cluster| cluster["host"] == "catalog.shop.svc.cluster.local").unwrap();
    assert_eq!((&catalog["origin"]["kind"], &catalog["origin"]["certain"]), (&"DestinationRule".into(), &false.into()));
    assert_eq!(catalog["origin"]["name"], "catalog-fail-fast");
}

#[test]
fn exit_codes_are_the_contracts() {
    let code = |args: &[&str]| on_incident(args).run().code;
    // Errors set 1, whatever could not be read.
    assert_eq!(code(&["timeouts", "-A"]), 1);
    assert_eq!(code(&["timeouts", "-A", "--exit-zero"]), 0);
    // Nothing wrong with what was read, but not all was.
    let good = ["timeouts", "-A", "--host", "ledger.billing"];
    assert_eq!(code(&good), 3);
    assert_eq!(code(&[&good[..], &["--exit-zero"]].concat()), 0);
    assert_eq!(code(&[&good[..], &["--min-coverage", "80"]].concat()), 0);
    assert_eq!(code(&[&good[..], &["--min-coverage", "90"]].concat()), 3);
    // Warnings count from `--fail-on warning`.
    let unset = ["timeouts", "-n", "analytics", "--host", "legacy-ledger"];
    assert_eq!(code(&unset), 0);
    assert_eq!(code(&[&unset[..], &["--fail-on", "warning"]].concat()), 1);
    assert_eq!(code(&["timeouts", "-n", "shop", "--fail-on", "never"]), 0);
}

#[test]
fn filters_clusters() {
    let clusters = |args: &[&str]| -> BTreeSet<String> {
        let audit = on_incident([&["timeouts", "-n", "shop", "-o", "json"], args].concat()).json();
        audit["clusters"]
            .as_array()
            .unwrap()
            .iter()
            .map(|cluster| cluster["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(clusters(&["--host", "cc-api"]), BTreeSet::from([LOSSY_CLUSTER.to_owned()]));
    assert_eq!(
        clusters(&["--subset", "v2"]),
        BTreeSet::from(["outbound|9080|v2|reviews.shop.svc.cluster.local".to_owned()])
    );
    assert!(clusters(&["--direction", "inbound"]).iter().all(|name| name.starts_with("inbound|")));
    assert!(clusters(&["--port", "9080"]).iter().all(|name| name.contains("|9080|")));
    let below = clusters(&["--timeout-below", "1s"]);
    assert!(
        below.contains("outbound|8080||catalog.shop.svc.cluster.local") && !below.contains(LOSSY_CLUSTER),
        "{below:?}"
    );
    assert_eq!(
        clusters(&["--timeout-above", "5s", "--direction", "outbound"]),
        BTreeSet::from(["outbound|8080||ledger.billing.svc.cluster.local".to_owned()])
    );
    assert!(!clusters(&[]).contains("agent"));
}

#[test]
fn reads_an_endpoint_by_its_url() {
    let sandbox = crate::incident();
    let proxy = &expected().proxies[0];
    let url = sandbox.admin_url(&proxy.namespace, &proxy.pod).unwrap();
    let audit = plugin(["timeouts", "--all-clusters", "-o", "json", "--admin-url", &url]).json();
    let name = url.trim_start_matches("http://").trim_end_matches('/');
    let clusters = &held(&audit)[name];
    assert_eq!(clusters[LOSSY_CLUSTER].as_deref(), Some("1s"));
    assert_eq!(clusters.len(), proxy.clusters.len() + expected().bootstrap.len());
}

#[test]
fn tells_the_same_however_often_it_is_asked() {
    let strip = |mut audit: Value| {
        audit["startedAt"] = Value::Null;
        audit["durationMs"] = Value::Null;
        audit
    };
    let again = on_incident(["timeouts", "-A", "--all-clusters", "-o", "json", "--concurrency", "3"]).json();
    assert_eq!(strip(again), strip(AUDIT.clone()));
}

#[test]
fn an_older_envoy_is_read_as_well() {
    let mut mesh = incident::mesh();
    mesh.pods.retain(|pod| pod.key().1.starts_with("cart-"));
    for pod in &mut mesh.pods {
        let Proxy::Envoy { spec, .. } = &mut pod.proxy else { panic!("a pod with an Envoy") };
        spec.wheel = wheel::OLDER_ENVOY;
    }
    let sandbox = Sandbox::start(mesh).unwrap();
    let older = held(&plugin(["timeouts", "-A", "--all-clusters", "-o", "json"]).on(&sandbox).json());
    let newer = held(&AUDIT);
    assert_eq!(older.len(), 1);
    for (proxy, clusters) in &older {
        assert_eq!(Some(clusters), newer.get(proxy), "the same proxy of another version holds the same");
    }
    // Whole objects too, field by field: what both versions have is printed alike.
    let name = older.keys().next().unwrap().split_once('/').unwrap().1.to_owned();
    let objects = |sandbox: &Sandbox| {
        plugin(["clusters", &name, "-n", "shop", "--fqdn", "cc-api", "-o", "json"]).on(sandbox).json()
    };
    assert_eq!(objects(&sandbox)[0]["connectTimeout"], objects(crate::incident())[0]["connectTimeout"]);
}

/// A route's limit is held against the proxies that may have the route.
#[test]
fn a_route_for_gateways_says_nothing_of_sidecars() {
    use meshaudit::model::{ClusterSet, ClusterSource, EnvoyCluster, Proxy, ProxyId, ProxyRole, ProxySnapshot};
    let found = |of_root: &str| {
        let objects = meshaudit::decode::objects::from_manifests(&format!(
            "kind: ConfigMap\nmetadata: {{name: istio, namespace: istio-system}}\ndata: {{mesh: 'connectTimeout: 10s'}}\n---\n\
             kind: VirtualService\nmetadata: {{name: root, namespace: shop}}\nspec: {{{of_root} http: \
             [{{timeout: 1s, delegate: {{name: inner}}}}]}}\n---\n\
             kind: VirtualService\nmetadata: {{name: inner, namespace: shop}}\nspec: {{http: [{{route: [{{destination: {{host: \
             web}}}}]}}]}}\n---\n\
             kind: VirtualService\nmetadata: {{name: nobodys, namespace: shop}}\nspec: {{http: [{{timeout: 1s, route: \
             [{{destination: {{host: web}}}}]}}]}}\n"
        ))
        .unwrap();
        let mut builder = meshaudit::model::SnapshotBuilder::default();
        let row = builder.intern(EnvoyCluster {
            name: "outbound|80||web.shop.svc.cluster.local".into(),
            discovery_type: "EDS".into(),
            connect_timeout: Some(std::time::Duration::from_secs(10)),
            source: ClusterSource::Active,
            error: None,
            destination_rule_hint: None,
            services: Vec::new(),
        });
        for (name, role) in
            [("gateway", ProxyRole::Gateway), ("sidecar", ProxyRole::Sidecar), ("waypoint", ProxyRole::Waypoint)]
        {
            let mut proxy = Proxy::named(ProxyId::new("shop", name));
            proxy.role = role;
            builder.read(ProxySnapshot { clusters: ClusterSet::from_iter([row]), ..ProxySnapshot::named(proxy) });
        }
        builder.objects("", objects);
        let snapshot = builder.finish(jiff::Timestamp::UNIX_EPOCH);
        let audit = meshaudit::audit::audit(&snapshot, &Default::default(), &Default::default());
        let of_rule = audit.findings.iter().filter(|finding| finding.rule.code == "MA014");
        let names = |proxy: u32| snapshot.proxies[proxy as usize].proxy.id.name.clone();
        of_rule.flat_map(|finding| finding.proxies().iter().map(names)).collect::<Vec<_>>()
    };
    assert_eq!(found("hosts: [web],"), ["sidecar", "waypoint"]);
    assert_eq!(found("hosts: [web], gateways: [mesh],"), ["sidecar", "waypoint"]);
    assert_eq!(found("hosts: [web], gateways: [istio-system/edge],"), ["gateway"]);
    assert_eq!(found("hosts: [web], gateways: [istio-system/edge, mesh],"), ["gateway", "sidecar", "waypoint"]);
    // What has no host is a route only where another delegates to it.
    assert_eq!(found(""), Vec::<String>::new());
}
