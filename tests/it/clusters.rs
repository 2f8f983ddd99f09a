//! `clusters`: istioctl's command, with the timeout in it.

use meshaudit_sandbox::incident::{LOSSY_CLUSTER, expected};
use serde_json::Value;

use crate::{incident, on_incident, plugin};

fn checkout() -> String {
    let proxies = expected().proxies;
    proxies.iter().find(|proxy| proxy.pod.starts_with("checkout-")).unwrap().pod.clone()
}

#[test]
fn the_table_has_the_timeout_in_it() {
    let run = on_incident(["clusters", &checkout(), "-n", "shop"]).run().exits(0);
    let mut lines = run.stdout.lines();
    let heading: Vec<&str> = lines.next().unwrap().split("  ").map(str::trim).filter(|word| !word.is_empty()).collect();
    assert_eq!(
        heading,
        ["SERVICE FQDN", "PORT", "SUBSET", "DIRECTION", "TYPE", "TIMEOUT", "SYN", "RULES", "DESTINATION RULE"]
    );
    let silent = run.stdout.lines().find(|line| line.starts_with("cc-api.example.io")).unwrap();
    let cells: Vec<&str> = silent.split_whitespace().collect();
    assert_eq!((cells[1], cells[3]), ("443", "outbound"), "{silent}");
    // What is wrong is marked, with what it is.
    assert_eq!(cells[5..8], ["1s", "0", "MA001"], "{silent}");
    let without = on_incident(["clusters", &checkout(), "-n", "shop", "--no-headers"]).run().stdout;
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(run.stdout.split_once('\n').unwrap().1), words(&without));
}

#[test]
fn json_is_envoys_own_objects_in_istioctls_shape() {
    let run = on_incident(["clusters", &checkout(), "-n", "shop", "--port", "443", "-o", "json"]).run().exits(0);
    let array: Vec<Value> = serde_json::from_str(&run.stdout).unwrap();
    let silent = array.iter().find(|cluster| cluster["name"] == LOSSY_CLUSTER).unwrap();
    assert_eq!(silent["connectTimeout"], "1s");
    assert!(silent.get("@type").is_none());
    // Every field that Envoy has, under protobuf's JSON names.
    let url = incident().admin_url("shop", &checkout()).unwrap();
    let direct = plugin(["clusters", "--admin-url", &url, "-o", "json"]).run().exits(0);
    let all: Vec<Value> = serde_json::from_str(&direct.stdout).unwrap();
    assert!(all.iter().any(|cluster| cluster["name"] == "agent"), "static ones too");
    assert_eq!(all.iter().find(|cluster| cluster["name"] == LOSSY_CLUSTER), Some(silent));
    let snake = |value: &Value| value.as_object().unwrap().keys().any(|key| key.contains('_'));
    assert!(!all.iter().any(snake), "camelCase");
    assert!(array.iter().all(|cluster| cluster["name"].as_str().unwrap().contains("|443|")));
}

#[test]
fn yaml_says_the_same() {
    let json = on_incident(["clusters", &checkout(), "-n", "shop", "--fqdn", "cc-api", "-o", "json"]).json();
    let yaml = on_incident(["clusters", &checkout(), "-n", "shop", "--fqdn", "cc-api", "-o", "yaml"]).run().exits(0);
    let read: Value = serde_saphyr::from_str(&yaml.stdout).unwrap();
    assert_eq!(read, json);
}

#[test]
fn filters_are_istioctls() {
    let names = |args: &[&str]| -> Vec<String> {
        let json = on_incident([&["clusters", &checkout(), "-n", "shop", "-o", "json"], args].concat()).json();
        json.as_array().unwrap().iter().map(|cluster| cluster["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&["--fqdn", "cc-api.example.io"]), [LOSSY_CLUSTER]);
    assert_eq!(names(&["--subset", "v2"]), ["outbound|9080|v2|reviews.shop.svc.cluster.local"]);
    assert!(names(&["--direction", "inbound"]).iter().all(|name| name.starts_with("inbound|")));
    assert_eq!(names(&["--port", "0"]), names(&[]), "istioctl's port 0 is none");
    // By host, then subset, as istioctl sorts.
    let reviews = names(&["--fqdn", "reviews"]);
    let subsets: Vec<&str> = reviews.iter().map(|name| name.split('|').nth(2).unwrap()).collect();
    assert_eq!(subsets, ["", "v1", "v2"]);
}

#[test]
fn a_pod_without_a_proxy_says_so() {
    let run = on_incident(["clusters", "deploy/reviews-v1", "-n", "shop"]).run().exits(4);
    run.complains("no istio-proxy container");
    on_incident(["clusters"]).run().exits(2).complains("which proxy?");
}

#[test]
fn several_proxies_have_their_names_in_the_table() {
    let run = on_incident(["clusters", "deploy/checkout", "-n", "shop", "--fqdn", "cc-api"]).run().exits(0);
    assert!(run.stdout.starts_with("PROXY "), "{}", run.stdout);
    assert_eq!(run.stdout.lines().count(), 3, "{}", run.stdout);
}

#[test]
fn what_no_cluster_matches_is_an_error() {
    let on = |args: &[&str]| on_incident([&["clusters", &checkout(), "-n", "shop"], args].concat()).run();
    let typo = on(&["--fqdn", "cc-apy.example.io"]).exits(4).complains("--fqdn cc-apy.example.io");
    typo.complains("cc-api.example.io");
    assert_eq!(on(&["--fqdn", "nowhere", "-o", "json"]).exits(4).stdout, "");
    on(&["--direction", "sideways"]).exits(2).complains("inbound-vip");
}

#[test]
fn proxies_are_selected_as_elsewhere() {
    let run = on_incident(["clusters", "-l", "app=checkout", "-n", "shop", "--fqdn", "cc-api"]).run().exits(0);
    assert!(run.stdout.starts_with("PROXY "), "{}", run.stdout);
}

#[test]
fn the_clusters_of_several_proxies_stand_under_their_names() {
    let args = ["clusters", "deploy/checkout", "-n", "shop", "--fqdn", "cc-api"];
    let json = on_incident([&args[..], &["-o", "json"]].concat()).json();
    let proxies = json.as_object().unwrap();
    assert_eq!(proxies.len(), 2);
    for (proxy, clusters) in proxies {
        assert!(proxy.starts_with("shop/checkout-"), "{proxy}");
        assert_eq!(clusters[0]["name"], LOSSY_CLUSTER);
    }
    let yaml = on_incident([&args[..], &["-o", "yaml"]].concat()).run().exits(0);
    assert_eq!(serde_saphyr::from_str::<Value>(&yaml.stdout).unwrap(), json);
}
