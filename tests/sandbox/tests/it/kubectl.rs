//! The real kubectl against the sandbox.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use meshaudit_sandbox::{Sandbox, wheel};
use serde_json::Value;

use crate::client::wait;
use crate::{INCIDENT, small};

static KUBECTL: LazyLock<PathBuf> = LazyLock::new(|| wheel::KUBECTL.program().unwrap());

pub(crate) fn command(sandbox: &Sandbox, arguments: &[&str]) -> Command {
    let mut command = Command::new(&*KUBECTL);
    // Discovery is cached by server address, and addresses come back.
    command
        .args(arguments)
        .arg("--cache-dir")
        .arg(sandbox.directory().join("cache"))
        .env("KUBECONFIG", sandbox.kubeconfig());
    command
}

pub(crate) fn kubectl(sandbox: &Sandbox, arguments: &[&str]) -> Output {
    command(sandbox, arguments).output().unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn lists_pods() {
    let table = stdout(&kubectl(&INCIDENT, &["get", "pods", "-A", "-o", "wide"]));
    let line = |name: &str| {
        table.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{name} in {table}")).to_owned()
    };
    assert!(table.starts_with("NAMESPACE"), "{table}");
    assert!(line("cart-6c4bb9f7d8-5tqvn").contains("2/2     Running"), "a native sidecar counts: {table}");
    assert!(line("checkout-7d9f8b6c5d-zz9wl").contains("0/2     Pending"), "{table}");
    assert!(line("orders-migrate-4t8kd").contains("Completed"), "{table}");
    let names = stdout(&kubectl(
        &INCIDENT,
        &["get", "pods", "-n", "billing", "-l", "app in (payments)", "-o", "name", "--chunk-size=1"],
    ));
    assert_eq!(names, "pod/payments-66d8f9c7b5-c7n2w\npod/payments-66d8f9c7b5-j5r8t\n");
    let json: Value =
        serde_json::from_str(&stdout(&kubectl(&INCIDENT, &["get", "dr", "-n", "shop", "reviews", "-o", "json"])))
            .unwrap();
    assert_eq!(json["spec"]["trafficPolicy"]["connectionPool"]["tcp"]["connectTimeout"], "5s");
}

/// What waits for a condition watches, and ends once the initial events have it.
#[test]
fn waits_for_what_is_so_already() {
    let pod = "pod/cart-6c4bb9f7d8-5tqvn";
    let met = stdout(&kubectl(&INCIDENT, &["wait", "--for=condition=Ready", pod, "-n", "shop", "--timeout=30s"]));
    assert_eq!(met.trim(), format!("{pod} condition met"));
    let crds = kubectl(&INCIDENT, &["get", "crd", "-o", "name"]);
    assert!(crds.status.success() && crds.stdout.is_empty(), "{crds:?}");
    let token = stdout(&kubectl(&INCIDENT, &["create", "token", "default", "-n", "shop"]));
    assert!(!token.trim().is_empty());
}

#[test]
fn is_told_what_it_may_not() {
    let output = kubectl(&INCIDENT, &["get", "pods", "-A", "--context", "nolist"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(r#"pods is forbidden: User "nolist" cannot list resource "pods""#), "{said}");
    let output = kubectl(&INCIDENT, &["get", "pods", "--context", "untrusted"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("certificate signed by unknown authority"));
}

#[test]
fn asks_what_it_may() {
    for (user, verb, may) in
        [("least", "get", "yes"), ("least", "create", "yes"), ("createonly", "get", "no"), ("viewer", "create", "no")]
    {
        let output =
            kubectl(&INCIDENT, &["auth", "can-i", verb, "pods", "--subresource=portforward", "--context", user]);
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), may, "{user} {verb}: {output:?}");
    }
}

#[test]
fn reads_and_follows_logs() {
    let log = stdout(&kubectl(&INCIDENT, &["logs", "-n", "shop", "deploy/checkout", "--tail", "5"]));
    assert_eq!(log.lines().count(), 5);

    let mut following =
        command(&INCIDENT, &["logs", "-f", "-n", "shop", "cart-6c4bb9f7d8-5tqvn", "-c", "istio-proxy", "--tail", "0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
    let lines = BufReader::new(following.stdout.take().unwrap()).lines();
    let log = INCIDENT.container_log("shop", "cart-6c4bb9f7d8-5tqvn", "istio-proxy").unwrap();
    // Until kubectl follows, lines are not its concern: write until one arrives.
    let writer = std::thread::spawn(move || {
        for _ in 0..300 {
            log.push(jiff::Timestamp::now(), "a new line".to_owned());
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    assert_eq!(lines.map_while(Result::ok).next().as_deref(), Some("a new line"));
    following.kill().unwrap();
    following.wait().unwrap();
    drop(writer);
}

/// Over a WebSocket, which is the default, and over SPDY itself.
#[test]
fn forwards_ports() {
    for websockets in ["true", "false"] {
        let mut forwarding =
            command(&INCIDENT, &["port-forward", "-n", "shop", "deploy/checkout", ":15000", "--address", "127.0.0.1"])
                .env("KUBECTL_PORT_FORWARD_WEBSOCKETS", websockets)
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
        // Kept: kubectl ends when it can't tell of the connections it handles.
        let mut said = BufReader::new(forwarding.stdout.take().unwrap()).lines();
        let first = said.next().unwrap().unwrap();
        let address =
            first.strip_prefix("Forwarding from ").and_then(|rest| rest.split(' ').next()).unwrap().to_owned();
        for _ in 0..3 {
            let (status, body) = wait(async {
                let stream = tokio::net::TcpStream::connect(&address).await.unwrap();
                meshaudit_sandbox::admin::request(stream, "GET", "/config_dump").await.unwrap()
            });
            assert_eq!(status, 200);
            let dump: Value = serde_json::from_slice(&body).unwrap();
            assert!(body.len() > 30_000 && dump["configs"].is_array(), "websockets: {websockets}");
        }
        forwarding.kill().unwrap();
        forwarding.wait().unwrap();
    }
}

#[test]
fn applies_patches_and_deletes() {
    let sandbox = small();
    let apply = |timeout: &str| {
        let mut applying = command(&sandbox, &["apply", "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let rule = format!(
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata:\n  name: ledger\n  namespace: team-2\nspec:\n  host: ledger\n  trafficPolicy:\n    connectionPool:\n      tcp:\n        connectTimeout: {timeout}\n"
        );
        applying.stdin.take().unwrap().write_all(rule.as_bytes()).unwrap();
        stdout(&applying.wait_with_output().unwrap())
    };
    assert_eq!(apply("3s"), "destinationrule.networking.istio.io/ledger created\n");
    assert_eq!(apply("10s"), "destinationrule.networking.istio.io/ledger configured\n");
    let held = sandbox.get("destinationrules.networking.istio.io", "team-2", "ledger").unwrap();
    assert_eq!(held["spec"]["trafficPolicy"]["connectionPool"]["tcp"]["connectTimeout"], "10s");

    let patch = r#"{"data":{"mesh":"connectTimeout: 20s\n"}}"#;
    stdout(&kubectl(&sandbox, &["patch", "configmap", "istio", "-n", "istio-system", "--type", "merge", "-p", patch]));
    let map = sandbox.get("configmaps", "istio-system", "istio").unwrap();
    assert_eq!(map["data"]["mesh"], "connectTimeout: 20s\n");
    let managers: Vec<&Value> =
        map["metadata"]["managedFields"].as_array().unwrap().iter().map(|entry| &entry["manager"]).collect();
    assert_eq!(managers, ["helm", "kubectl-patch"]);

    let begun = Instant::now();
    stdout(&kubectl(&sandbox, &["delete", "destinationrule", "ledger", "-n", "team-2", "--timeout", "20s"]));
    assert!(begun.elapsed() < Duration::from_secs(20), "it waits until the object is gone, and it is");
    assert!(sandbox.get("destinationrules.networking.istio.io", "team-2", "ledger").is_none());
}
