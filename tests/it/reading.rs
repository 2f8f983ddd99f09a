//! Reaching and reading: what goes wrong on the way is that proxy's own, and is said.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use meshaudit_sandbox::faults::{Fault, Refusal};
use meshaudit_sandbox::{Sandbox, canned};
use serde_json::Value;

use crate::plugin;

fn audit(sandbox: &Sandbox, args: &[&str]) -> Value {
    plugin([&["timeouts", "-A", "-o", "json", "--request-timeout", "2s"], args].concat()).on(sandbox).json()
}

/// What could not be read, and why.
fn failed(audit: &Value) -> BTreeMap<String, (String, String)> {
    let failed = audit["coverage"]["failed"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    failed.map(|entry| (text(&entry["proxy"]), (text(&entry["cause"]), text(&entry["message"])))).collect()
}

/// The pods of a canned mesh, as `namespace/pod`.
fn pods(sandbox: &Sandbox) -> Vec<(String, String)> {
    let audit = audit(sandbox, &[]);
    let mut names: Vec<(String, String)> = audit["proxySets"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|set| set.as_array().unwrap())
        .map(|name| name.as_str().unwrap().split_once('/').unwrap())
        .map(|(namespace, pod)| (namespace.to_owned(), pod.to_owned()))
        .collect();
    names.sort();
    names.dedup();
    names
}

#[test]
fn each_fault_has_its_cause_and_spares_the_others() {
    let sandbox = Sandbox::start(canned::mesh(12, 40)).unwrap();
    let pods = pods(&sandbox);
    let faults = [
        (Fault::Forbidden, "forbidden", "forbidden"),
        (Fault::Gone, "gone", "not found"),
        (Fault::ErrorChannel { message: "lost connection to pod".to_owned() }, "unreachable", "lost connection to pod"),
        (Fault::PortClosed, "unreachable", "connection refused"),
        (Fault::Hang, "timeout", "2s"),
        (Fault::Reset, "unreachable", "reset"),
        (Fault::Truncated { bytes: 900 }, "truncated", "bytes"),
        (Fault::Huge { bytes: 200 << 20 }, "too-large", "64 MiB"),
        (Fault::NotEnvoy, "not-envoy", "not JSON"),
    ];
    for ((namespace, pod), (fault, ..)) in pods.iter().zip(&faults) {
        sandbox.fault(namespace, pod, fault.clone());
    }
    let found = failed(&audit(&sandbox, &[]));
    for ((namespace, pod), (fault, cause, words)) in pods.iter().zip(&faults) {
        let name = format!("{namespace}/{pod}");
        // A body of 200 MB may also take longer than the deadline, on a slow machine.
        if matches!(fault, Fault::Huge { .. }) && found[&name].0 == "timeout" {
            continue;
        }
        assert_eq!(found[&name].0, *cause, "{fault:?}: {:?}", found[&name]);
        assert!(found[&name].1.contains(words), "{fault:?}: {:?}", found[&name]);
    }
    assert_eq!(found.len(), faults.len(), "{found:?}");
}

#[test]
fn a_busy_api_server_is_asked_again() {
    let sandbox = Sandbox::start(canned::mesh(8, 5)).unwrap();
    for ((namespace, pod), status) in pods(&sandbox).iter().zip([429, 503, 429, 503]) {
        sandbox.fault(namespace, pod, Fault::Refuse { status, times: 2, retry_after: None });
    }
    sandbox.refuse(Refusal {
        verb: "list".to_owned(),
        resource: "pods".to_owned(),
        status: 429,
        times: 2,
        retry_after: Some(1),
    });
    let found = audit(&sandbox, &[]);
    assert_eq!(found["coverage"]["audited"], 8, "{}", found["coverage"]);
    // So it is by every command that asks a proxy.
    let (namespace, pod) = pods(&sandbox)[0].clone();
    for command in [&["clusters"][..], &["debug-log", "--show"], &["debug-log", "--on"], &["debug-log", "--off"]] {
        sandbox.fault(&namespace, &pod, Fault::Refuse { status: 429, times: 2, retry_after: None });
        plugin([command, &[pod.as_str(), "-n", namespace.as_str()]].concat()).on(&sandbox).run().exits(0);
    }
    // One that stays busy is given up, and said.
    let (namespace, pod) = pods(&sandbox)[0].clone();
    sandbox.fault(&namespace, &pod, Fault::Refuse { status: 503, times: 1000, retry_after: None });
    let found = failed(&audit(&sandbox, &[]));
    assert_eq!(found[&format!("{namespace}/{pod}")].0, "unreachable");
    assert!(found[&format!("{namespace}/{pod}")].1.contains("busy"), "{found:?}");
}

#[test]
fn the_whole_has_a_deadline() {
    let sandbox = Sandbox::start(canned::mesh(3, 5)).unwrap();
    let (namespace, pod) = pods(&sandbox)[0].clone();
    sandbox.fault(&namespace, &pod, Fault::Hang);
    let run = plugin(["timeouts", "-A", "-o", "json", "--request-timeout", "0", "--timeout", "2s"]).on(&sandbox);
    let audit = run.json();
    let found = failed(&audit);
    assert_eq!(found[&format!("{namespace}/{pod}")].0, "timeout");
    assert!(found[&format!("{namespace}/{pod}")].1.contains("--timeout"), "{found:?}");
    assert_eq!(audit["coverage"]["audited"], 2);
}

#[test]
fn slow_proxies_are_waited_for() {
    let sandbox = Sandbox::start(canned::mesh(2, 5)).unwrap();
    let (namespace, pod) = pods(&sandbox)[0].clone();
    sandbox.fault(&namespace, &pod, Fault::Slow { latency_ms: 300, bytes_per_second: 1 << 20 });
    assert_eq!(audit(&sandbox, &["--request-timeout", "20s"])["coverage"]["audited"], 2);
}

#[test]
fn few_bytes_are_asked_for() {
    let sandbox = Sandbox::start(canned::mesh(1, 400)).unwrap();
    let _ = sandbox.take_stats();
    plugin(["timeouts", "-A", "-q", "--exit-zero", "--no-evidence"]).on(&sandbox).run().exits(0);
    let masked = sandbox.take_stats().tunnel_bytes;
    let (namespace, pod) = pods(&sandbox)[0].clone();
    let _ = sandbox.take_stats();
    plugin(["clusters", &format!("{pod}.{namespace}"), "-o", "json"]).on(&sandbox).run().exits(0);
    let whole = sandbox.take_stats().tunnel_bytes;
    assert!(masked * 2 < whole, "{masked} of {whole} bytes");
}

/// An admin endpoint that answers each request's path as told.
fn endpoint(answer: impl Fn(&str) -> (u16, String) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            // One connection serves many requests, none of which has a body.
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).unwrap_or(0) == 0 {
                    break;
                }
                let (status, body) = answer(line.split(' ').nth(1).unwrap());
                let mut header = String::new();
                while stream.read_line(&mut header).unwrap() > 2 {
                    header.clear();
                }
                let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", body.len());
                stream.get_mut().write_all((head + &body).as_bytes()).unwrap();
            }
        }
    });
    url
}

#[test]
fn an_envoy_too_old_for_parts_is_asked_for_the_whole() {
    let dump = std::fs::read_to_string(crate::project().join("tests/fixtures/dumps/istio-1.4-v2.json")).unwrap();
    let loggers = "active loggers:\n  connection: debug\n";
    let other = move |path: &str| match path {
        "/logging" => (200, loggers.to_owned()),
        _ => (404, "invalid path".to_owned()),
    };
    let (one, two, three) = (dump.clone(), dump.clone(), dump);
    // It refuses the parameter; it does not know it, and answers with everything; it answers with a text and 200.
    let endpoints = [
        endpoint(move |path| match path {
            _ if path.contains("resource=") => (400, "unknown parameter".to_owned()),
            _ if path.starts_with("/config_dump") => (200, one.clone()),
            _ => other(path),
        }),
        endpoint(move |path| if path.starts_with("/config_dump") { (200, two.clone()) } else { other(path) }),
        endpoint(move |path| match path {
            _ if path.contains("resource=") => (200, "FieldMask could not be successfully used.".to_owned()),
            _ if path.starts_with("/config_dump") => (200, three.clone()),
            _ => other(path),
        }),
    ];
    for url in endpoints {
        let audit = plugin(["timeouts", "--admin-url", &url, "-o", "json", "--all-clusters"]).json();
        let names: Vec<&str> =
            audit["clusters"].as_array().unwrap().iter().map(|cluster| cluster["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["BlackHoleCluster", "outbound|443||api.example.com", "prometheus_stats"]);
        assert!(audit["findings"].as_array().unwrap().iter().any(|finding| finding["code"] == "MA013"));
    }
}

#[test]
fn an_answer_without_any_cluster_is_not_a_clean_audit() {
    let url = endpoint(|_| (200, "{}".to_owned()));
    plugin(["timeouts", "--admin-url", &url]).run().exits(4).complains("no cluster at all");
}
