//! From the change to the proxies: what istiod does, and what it says of it.

use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use meshaudit_sandbox::{Outcome, Sandbox, incident};
use serde_json::{Value, json};

use crate::client::{Tunnel, wait};
use crate::kubectl::{command, kubectl, stdout};
use crate::proxy::clusters;

const ISTIOD: &str = "istio-system/istiod-6d4f8c9b75-n8x4w";
const ORDERS: &str = "orders-5f7c9d8b64-k9d2r";

fn debug(sandbox: &Sandbox, port: u16, path: &str) -> Value {
    let (answer, _) =
        wait(async { Tunnel::open(sandbox, "admin", ISTIOD, port).await.unwrap().begun(port).await.get(path).await });
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

fn timeout(sandbox: &Sandbox, namespace: &str, pod: &str, cluster: &str) -> Option<String> {
    clusters(sandbox, namespace, pod, "dynamic_active_clusters")[cluster].clone()
}

/// The whole way: a reset, the fix with the real kubectl, every proxy but the one that is cut off, and
/// no reset any more.
#[test]
fn the_fix_reaches_the_proxies_and_ends_the_resets() {
    let sandbox = Sandbox::start(incident::mesh()).unwrap();
    assert!(sandbox.drive_client().iter().all(|call| call.outcome == Outcome::Reset));
    assert_eq!(debug(&sandbox, 15_014, "/debug/mesh")["connectTimeout"], "1s");

    let patch = json!({"data": {"mesh": "accessLogFile: /dev/stdout\nconnectTimeout: 10s\n"}}).to_string();
    stdout(&kubectl(&sandbox, &["patch", "configmap", "istio", "-n", "istio-system", "--type", "merge", "-p", &patch]));
    assert!(sandbox.settle());
    for proxy in incident::expected().proxies.iter().filter(|proxy| !proxy.pod.starts_with("orders")) {
        let mesh_wide =
            if proxy.clusters.contains_key("BlackHoleCluster") { "BlackHoleCluster" } else { "connect_originate" };
        assert_eq!(timeout(&sandbox, &proxy.namespace, &proxy.pod, mesh_wide).as_deref(), Some("10s"), "{}", proxy.pod);
    }
    assert_eq!(
        timeout(&sandbox, "shop", ORDERS, "BlackHoleCluster").as_deref(),
        Some("2s"),
        "cut off, it keeps what it had"
    );
    assert_eq!(debug(&sandbox, 8_080, "/debug/mesh")["connectTimeout"], "10s");

    let status = debug(&sandbox, 8_080, "/debug/syncz");
    let proxies = status.as_array().unwrap();
    assert_eq!(proxies.len(), incident::expected().proxies.len() - 1, "the one cut off is not there");
    assert!(proxies.iter().all(|proxy| proxy["cluster_sent"] == proxy["cluster_acked"]), "{status:#}");

    for call in sandbox.drive_client() {
        assert_eq!(call.outcome, Outcome::Answered);
        assert!(call.took >= Duration::from_millis(1_300), "the same SYNs were lost: {:?}", call.took);
    }
    sandbox.set_connected("shop", ORDERS, true);
    assert!(sandbox.settle());
    assert_eq!(timeout(&sandbox, "shop", ORDERS, "BlackHoleCluster").as_deref(), Some("10s"));

    // A rule applied and taken away again, and mesh configuration that nobody can read.
    let host = "outbound|8080||web.shop.svc.cluster.local";
    let mut applying =
        command(&sandbox, &["apply", "-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let rule = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: web, namespace: shop}\nspec: {host: web, trafficPolicy: {connectionPool: {tcp: {connectTimeout: 7s}}}}\n";
    applying.stdin.take().unwrap().write_all(rule.as_bytes()).unwrap();
    assert!(applying.wait().unwrap().success() && sandbox.settle());
    assert_eq!(timeout(&sandbox, "billing", "ledger-7b6d5c8f9d-t6v4q", host).as_deref(), Some("7s"));
    assert!(sandbox.delete("destinationrules.networking.istio.io", "shop", "web") && sandbox.settle());
    let broken = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "istio", "namespace": "istio-system"},
        "data": {"mesh": "connectTimeout: [\n"}});
    sandbox.apply(broken).unwrap();
    assert!(sandbox.settle());
    assert_eq!(
        timeout(&sandbox, "billing", "ledger-7b6d5c8f9d-t6v4q", host).as_deref(),
        Some("10s"),
        "the last one that could be read"
    );
}
