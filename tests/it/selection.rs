//! Which pods a command line means.

use std::collections::BTreeSet;

use meshaudit_sandbox::incident::expected;
use meshaudit_sandbox::{Sandbox, canned, users};
use serde_json::{Value, json};

use crate::{incident, on_incident, plugin};

fn audited(args: &[&str]) -> BTreeSet<String> {
    let audit = on_incident([&["timeouts", "-o", "json", "--all-clusters"], args].concat()).json();
    let sets = audit["proxySets"].as_object().unwrap().values();
    sets.flat_map(|set| set.as_array().unwrap()).map(|name| name.as_str().unwrap().to_owned()).collect()
}

fn pods_of(prefix: &str) -> BTreeSet<String> {
    let proxies = expected().proxies.into_iter().map(|proxy| format!("{}/{}", proxy.namespace, proxy.pod));
    let pods: BTreeSet<String> = proxies.filter(|name| name.starts_with(prefix)).collect();
    assert!(!pods.is_empty(), "{prefix}");
    pods
}

#[test]
fn targets_mean_their_pods() {
    let checkout = pods_of("shop/checkout-");
    let one = checkout.first().unwrap().trim_start_matches("shop/").to_owned();
    assert_eq!(audited(&["-n", "shop", &one]), BTreeSet::from([format!("shop/{one}")]));
    assert_eq!(audited(&["-n", "shop", &format!("pod/{one}")]), BTreeSet::from([format!("shop/{one}")]));
    assert_eq!(audited(&[&format!("{one}.shop")]), BTreeSet::from([format!("shop/{one}")]), "istioctl's form");
    let replica_set = format!("rs/{}", one.rsplit_once('-').unwrap().0);
    for target in ["deploy/checkout", "deployment/checkout", "deployments.apps/checkout", "svc/checkout", &replica_set]
    {
        assert_eq!(audited(&["-n", "shop", target]), checkout, "{target}");
    }
    assert_eq!(audited(&["deploy/checkout.shop"]), checkout);
    assert_eq!(audited(&["-n", "analytics", "gateway/waypoint"]), pods_of("analytics/waypoint-"));
}

#[test]
fn several_targets_are_added_up_and_counted_once() {
    let both: BTreeSet<String> = pods_of("shop/checkout-").union(&pods_of("shop/cart-")).cloned().collect();
    assert_eq!(audited(&["-n", "shop", "deploy/checkout", "svc/checkout", "deploy/cart"]), both);
}

#[test]
fn selectors_narrow() {
    assert_eq!(audited(&["-A", "-l", "app=checkout"]), pods_of("shop/checkout-"));
    assert_eq!(
        audited(&["-n", "shop", "-l", "app in (cart,web)"]),
        pods_of("shop/cart-").union(&pods_of("shop/web-")).cloned().collect()
    );
    let one = pods_of("shop/cart-").first().unwrap().clone();
    let name = one.trim_start_matches("shop/");
    assert_eq!(audited(&["-A", "--field-selector", &format!("metadata.name={name}")]), BTreeSet::from([one]));
}

#[test]
fn the_admin_port_is_the_pods_own() {
    // Its proxy listens on another port (PROXY_CONFIG), and only there.
    assert_eq!(audited(&["-n", "billing", "deploy/ledger"]), pods_of("billing/ledger-"));
    let run = on_incident(["timeouts", "-n", "billing", "deploy/ledger", "--admin-port", "15000"]).run().exits(4);
    run.complains("billing/ledger-");
}

#[test]
fn several_contexts_are_one_audit() {
    let audit: Value =
        on_incident(["timeouts", "-A", "-o", "json", "--context", "sandbox", "--context", "sandbox-token"]).json();
    assert_eq!(audit["coverage"]["audited"], 2 * expected().proxies.len());
    let failed = crate::names(&audit["coverage"]["failed"]);
    assert!(failed.iter().any(|name| name.starts_with("sandbox/legacy/")), "{failed:?}");
    assert!(failed.iter().any(|name| name.starts_with("sandbox-token/legacy/")), "{failed:?}");
    assert_eq!(audit["mesh"].as_array().unwrap().len(), 2);
}

#[test]
fn credentials_of_all_kinds_work() {
    for context in ["sandbox", "sandbox-token", "least"] {
        let run =
            on_incident(["timeouts", "-n", "billing", "deploy/ledger", "--context", context, "--exit-zero"]).run();
        let expected = if context == "least" { 4 } else { 0 };
        // The least of all permissions has no right to read Deployments, and says so.
        let run = run.exits(expected);
        if expected == 4 {
            run.complains("deployments");
        }
    }
    on_incident(["timeouts", "-n", "billing", "--context", "least", "--exit-zero"]).run().exits(0);
    let pod = pods_of("shop/cart-").first().unwrap().trim_start_matches("shop/").to_owned();
    on_incident(["timeouts", "-n", "shop", &pod, "--context", "nolist", "--exit-zero"]).run().exits(0);
    let run = on_incident(["timeouts", "-n", "shop", "--as", "viewer", "--exit-zero"]).run();
    assert!(run.code == 4 || run.code == 0, "impersonation is for the server to allow: {run:?}");
}

#[test]
fn lists_are_read_page_by_page_and_one_tunnel_serves_a_pod() {
    let sandbox = Sandbox::start(canned::mesh(1100, 3)).unwrap();
    let _ = sandbox.take_stats();
    let audit = plugin(["timeouts", "-A", "-o", "json", "--concurrency", "8"]).on(&sandbox).json();
    assert_eq!(audit["coverage"]["audited"], 1100);
    let stats = sandbox.take_stats();
    // Three pages, and istiod's own pods.
    assert_eq!(stats.requested("list pods"), 4, "{:?}", stats.requests);
    assert_eq!(stats.tunnels.len(), 1100);
    assert!(stats.tunnels.values().all(|&count| count == 1), "one tunnel a pod");
    // The server sees a tunnel's end a little later than we do, when the next has been opened.
    assert!(stats.tunnels_at_once <= 16, "{}", stats.tunnels_at_once);
    // A continue token that has expired in between: the list begins anew, once.
    sandbox.expire_continue_tokens();
    let audit = plugin(["timeouts", "-A", "-o", "json"]).on(&sandbox).json();
    assert_eq!(audit["coverage"]["audited"], 1100);
}

#[cfg(unix)]
#[test]
fn credential_plugins_are_asked() {
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = directory.path().join("kubeconfig");
    let credential = json!({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
        "status": {"token": users::token("admin")}});
    let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": incident().server_url(), "insecure-skip-tls-verify": true}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "billing"}}],
        "users": [{"name": "u", "user": {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "echo",
            "args": [credential.to_string()], "interactiveMode": "Never"}}}]});
    std::fs::write(&kubeconfig, config.to_string()).unwrap();
    let args = ["timeouts", "deploy/ledger", "-o", "json", "--kubeconfig", kubeconfig.to_str().unwrap()];
    assert_eq!(plugin(args).json()["coverage"]["audited"], 1, "and the context's namespace is the one that is meant");
}
