//! Canned answers next to Envoy's own.

use meshaudit_sandbox::Sandbox;
use serde_json::Value;

use crate::client::{Tunnel, wait};
use crate::{INCIDENT, small};

const REAL: &str = "shop/cart-6c4bb9f7d8-5tqvn";
const CANNED: &str = "team-3/load-6d8f7c9b54-00003";

/// Status, content type and body of an answer.
fn ask(sandbox: &Sandbox, pod: &str, method: &str, target: &str) -> (String, String, String) {
    wait(async {
        let mut tunnel = Tunnel::open(sandbox, "admin", pod, 15_000).await.unwrap().begun(15_000).await;
        tunnel
            .send(
                format!(
                    "{method} {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
                )
                .as_bytes(),
            )
            .await;
        let answer = String::from_utf8(tunnel.rest().await.0).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let header = |name: &str| {
            head.lines()
                .find_map(|line| line.to_ascii_lowercase().strip_prefix(&format!("{name}: ")).map(str::to_owned))
                .unwrap_or_default()
        };
        let body = if header("transfer-encoding") == "chunked" { dechunked(body) } else { body.to_owned() };
        (head.lines().next().unwrap()[9..12].to_owned(), header("content-type"), body)
    })
}

fn dechunked(mut body: &str) -> String {
    let mut text = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        text += &rest[..size];
        body = rest[size..].trim_start_matches("\r\n");
    }
    text
}

/// The text of the first element whose cluster is a service's and has no rule, with the service's names
/// and the times taken out: what is left must be the same, to the space.
fn shape(body: &str, service: &str, namespace: &str) -> String {
    let dump: Value = serde_json::from_str(body).unwrap();
    let host = format!("{service}.{namespace}.svc.cluster.local");
    let position = dump["configs"]
        .as_array()
        .unwrap()
        .iter()
        .position(|element| element["cluster"]["name"].as_str().unwrap().ends_with(&host))
        .unwrap();
    let mut elements = body.split("\n  {\n").skip(1);
    let element = elements.nth(position).unwrap().split("\n  }").next().unwrap();
    element
        .replace(&host, "HOST")
        .replace(&format!("\"{service}\""), "\"SERVICE\"")
        .replace(&format!("\"{namespace}\""), "\"NAMESPACE\"")
        .replace("10s", "1s")
}

#[test]
fn masked_clusters_look_as_envoy_prints_them() {
    let sandbox = small();
    for mask in [
        "cluster.name,cluster.connect_timeout",
        "cluster.name,cluster.type,cluster.lb_policy,cluster.connect_timeout,cluster.circuit_breakers",
    ] {
        let target = format!("/config_dump?resource=dynamic_active_clusters&mask={mask}");
        let (real, canned) = (ask(&INCIDENT, REAL, "GET", &target), ask(&sandbox, CANNED, "GET", &target));
        assert_eq!((&real.0, &real.1), (&canned.0, &canned.1));
        assert!(real.2.starts_with("{\n \"configs\": [\n  {\n") && canned.2.starts_with("{\n \"configs\": [\n  {\n"));
        assert!(
            real.2.ends_with("\n  }\n ]\n}\n") && canned.2.ends_with("\n  }\n ]\n}\n"),
            "{:?}",
            &real.2[real.2.len() - 20..]
        );
        assert_eq!(shape(&canned.2, "service-0003", "team-3"), shape(&real.2, "invoices", "billing"), "{mask}");
    }
}

#[test]
fn what_envoy_refuses_is_refused_alike() {
    let sandbox = small();
    for (method, target) in [
        ("GET", "/config_dump?resource=dynamic_warming_clusters&mask=cluster.name"),
        ("GET", "/config_dump?resource=nosuch"),
        ("GET", "/config_dump?mask=nosuch"),
        ("GET", "/logging"),
        ("GET", "/ready"),
    ] {
        assert_eq!(ask(&sandbox, CANNED, method, target), ask(&INCIDENT, REAL, method, target), "{method} {target}");
    }
    // These name what differs between versions or runs: status, type and first line must agree.
    for (method, target) in [
        ("GET", "/config_dump?resource=dynamic_active_clusters&mask=cluster.nosuch"),
        ("POST", "/logging"),
        ("POST", "/logging?level=nosuch"),
        ("POST", "/logging?nosuch=debug"),
        ("POST", "/logging?a=debug&b=debug"),
        ("GET", "/nosuch"),
    ] {
        let (canned, real) = (ask(&sandbox, CANNED, method, target), ask(&INCIDENT, REAL, method, target));
        assert_eq!((&canned.0, &canned.1), (&real.0, &real.1), "{method} {target}");
        let first = |body: &str| {
            body.lines()
                .next()
                .unwrap_or_default()
                .split(" goo.gle")
                .next()
                .unwrap_or_default()
                .split(" paths")
                .next()
                .unwrap_or_default()
                .to_owned()
        };
        assert_eq!(first(&canned.2), first(&real.2), "{method} {target}");
    }
}

#[test]
fn levels_change_together_or_not_at_all() {
    let sandbox = small();
    let refused = ask(&sandbox, CANNED, "POST", "/logging?paths=pool:debug,nosuch:debug");
    assert_eq!(refused.0, "400");
    assert!(ask(&sandbox, CANNED, "POST", "/logging").2.contains("  pool: warning\n"));
    let changed = ask(&sandbox, CANNED, "POST", "/logging?paths=pool:debug,router:info").2;
    assert!(
        changed.contains("  pool: debug\n")
            && changed.contains("  router: info\n")
            && changed.contains("  misc: error\n")
    );
}
