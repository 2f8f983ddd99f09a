//! `serve`: what a Prometheus and a kubelet see of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use meshaudit_sandbox::faults::Fault;
use meshaudit_sandbox::{Sandbox, canned};

use crate::plugin;

/// A server that goes on.
struct Server {
    child: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts one, at a port that is free.
    fn start(sandbox: &Sandbox, args: &[&str]) -> Self {
        let all = ["serve", "-A", "--listen", "127.0.0.1:0"].iter().chain(args);
        let mut plugin = plugin(all).on(sandbox);
        let command = plugin.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        let address = first.split("http://").nth(1).and_then(|rest| rest.split('/').next()).expect(&first).to_owned();
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Self { child, address }
    }

    /// Status, head and body of a request.
    fn ask(&self, request: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        write!(stream, "{request} HTTP/1.1\r\nhost: {}\r\n\r\n", self.address).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_owned(), body.to_owned())
    }

    /// Waits until the metrics have this.
    fn until(&self, line: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let (_, _, metrics) = self.ask("GET /metrics");
            if metrics.lines().any(|has| has == line) {
                return metrics;
            }
            assert!(Instant::now() < deadline, "{line} did not come: {metrics}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Open descriptors and resident KiB.
    fn size(&self) -> (usize, u64) {
        let process = format!("/proc/{}", self.child.id());
        let status = std::fs::read_to_string(format!("{process}/status")).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let resident = resident.trim().trim_end_matches(" kB").parse().unwrap();
        (std::fs::read_dir(format!("{process}/fd")).unwrap().count(), resident)
    }
}

#[test]
fn what_the_last_audit_found_is_served() {
    let sandbox = Sandbox::start(canned::mesh(4, 3)).unwrap();
    let server = Server::start(&sandbox, &["--interval", "10s"]);
    assert_eq!(server.ask("GET /healthz").0, 200, "it lives before its first audit is done");
    let metrics = server.until("meshaudit_audits_total{outcome=\"done\"} 1");
    assert!(metrics.contains("meshaudit_proxies{state=\"audited\"} 4\n"), "{metrics}");
    assert!(metrics.contains("meshaudit_last_audit_success 1\n"), "{metrics}");
    let (code, head, page) = server.ask("GET /");
    assert_eq!(code, 200);
    assert!(page.starts_with("<!doctype html>") && page.contains("4 proxies read"), "{page}");
    for header in ["content-security-policy: default-src 'none'", "x-content-type-options: nosniff", "text/html"] {
        assert!(head.contains(header), "{head}");
    }
    let (code, head, body) = server.ask("HEAD /metrics");
    assert!(code == 200 && body.is_empty() && head.contains("version=0.0.4"), "{head}");
    assert_eq!(server.ask("POST /metrics").0, 405);
    assert_eq!(server.ask("GET /../etc/passwd").0, 404);
    // Prometheus' own checker, where there is one.
    if let Ok(mut checker) = Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).spawn() {
        checker.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
        assert!(checker.wait().unwrap().success(), "{metrics}");
    }
}

#[test]
fn an_api_server_that_goes_away_costs_nothing_that_was_known() {
    let sandbox = Sandbox::start(canned::mesh(2, 2)).unwrap();
    let server = Server::start(&sandbox, &["--interval", "10s", "--request-timeout", "2s"]);
    server.until("meshaudit_audits_total{outcome=\"done\"} 1");
    sandbox.set_down(true).unwrap();
    let metrics = server.until("meshaudit_audits_total{outcome=\"failed\"} 1");
    assert!(metrics.contains("meshaudit_last_audit_success 0\n"), "{metrics}");
    assert!(metrics.contains("meshaudit_proxies{state=\"audited\"} 2\n"), "the last that could be made: {metrics}");
    assert_eq!(server.ask("GET /healthz").0, 200, "that is no reason to be restarted");
    sandbox.set_down(false).unwrap();
    server.until("meshaudit_last_audit_success 1");
}

#[test]
fn many_clients_and_audits_leave_nothing_open() {
    let sandbox = Sandbox::start(canned::mesh(3, 50)).unwrap();
    let mut server = Server::start(&sandbox, &["--interval", "10s"]);
    server.until("meshaudit_audits_total{outcome=\"done\"} 1");
    let (descriptors, _) = server.size();
    // Clients that never ask, and more of them than are answered at once.
    let silent: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(&server.address).unwrap()).collect();
    drop(silent);
    for _ in 0..200 {
        assert_eq!(server.ask("GET /metrics").0, 200);
    }
    server.until("meshaudit_audits_total{outcome=\"done\"} 2");
    std::thread::sleep(Duration::from_millis(500));
    let (after, resident) = server.size();
    assert!(after <= descriptors + 4, "{descriptors} descriptors, then {after}");
    assert!(resident < 300 * 1024, "{resident} KiB");
    // A pod is ended with SIGTERM.
    let pid = server.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert_eq!(server.child.wait().unwrap().code(), Some(143));
}

/// A mesh in which something changes every half second: pods come and go, proxies hang and break and mend, the API
/// server is away for a moment, clients come and say nothing. `MESHAUDIT_MINUTES` says for how long; what it says is
/// docs/performance.md's table.
#[test]
#[ignore = "goes on for an hour"]
#[expect(clippy::print_stdout, clippy::use_debug, reason = "what it measures is for whoever runs it")]
fn memory_and_descriptors_are_flat_under_churn() {
    let minutes: u64 = std::env::var("MESHAUDIT_MINUTES").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let sandbox = Sandbox::start(canned::mesh(30, 100)).unwrap();
    let pods = crate::faults::pods(&sandbox);
    let times = ["--interval", "10s", "--request-timeout", "2s", "--timeout", "8s", "--concurrency", "8"];
    let server = Server::start(&sandbox, &times);
    server.until("meshaudit_audits_total{outcome=\"done\"} 1");
    let mut state = 7_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let faults = || [Fault::Hang, Fault::Reset, Fault::PortClosed, Fault::NotEnvoy, Fault::Truncated { bytes: 300 }];
    let (begun, mut gone, mut silent) = (Instant::now(), Vec::new(), Vec::new());
    // The most descriptors and resident KiB of each minute.
    let mut most: Vec<(usize, u64)> = Vec::new();
    let mut changes = 0;
    while begun.elapsed() < Duration::from_secs(minutes * 60) {
        let (namespace, name) = &pods[random(pods.len())];
        match random(8) {
            0 | 1 => sandbox.fault(namespace, name, faults().into_iter().nth(random(5))),
            2 | 3 => sandbox.fault(namespace, name, None),
            4 => gone.extend(sandbox.get("pods", namespace, name).filter(|_| sandbox.delete("pods", namespace, name))),
            5 | 6 => {
                if let Some(mut pod) = gone.pop() {
                    // Another pod in its place.
                    pod["metadata"].as_object_mut().unwrap().remove("resourceVersion");
                    pod["metadata"]["uid"] = format!("uid-{changes}").into();
                    sandbox.apply(pod).unwrap();
                }
            }
            _ if changes % 5 == 0 => {
                sandbox.set_down(true).unwrap();
                std::thread::sleep(Duration::from_secs(1));
                sandbox.set_down(false).unwrap();
            }
            _ => silent.extend(TcpStream::connect(&server.address)),
        }
        if silent.len() > 5 {
            silent.clear();
        }
        assert_eq!(server.ask("GET /metrics").0, 200);
        let _ = server.ask("GET /");
        changes += 1;
        let (descriptors, resident) = server.size();
        let minute = usize::try_from(begun.elapsed().as_secs() / 60).unwrap();
        if minute >= most.len() {
            println!("minute {minute}: {descriptors} descriptors, {resident} KiB, {changes} changes");
        }
        most.resize(most.len().max(minute + 1), (0, 0));
        most[minute] = (most[minute].0.max(descriptors), most[minute].1.max(resident));
        std::thread::sleep(Duration::from_millis(500));
    }
    let (_, _, metrics) = server.ask("GET /metrics");
    let audits: Vec<&str> = metrics.lines().filter(|line| line.starts_with("meshaudit_audits_total")).collect();
    println!("{changes} changes; {audits:?}; by minute (descriptors, KiB): {most:?}");
    // What grows, grows from the middle to the end too; the first minutes fill caches.
    let (middle, end) = (&most[most.len() / 3..most.len() * 2 / 3], &most[most.len() * 2 / 3..]);
    let of = |part: &[(usize, u64)]| part.iter().fold((0, 0), |most, one| (most.0.max(one.0), most.1.max(one.1)));
    let ((descriptors, resident), (last_descriptors, last_resident)) = (of(middle), of(end));
    assert!(last_descriptors <= descriptors + 6, "{most:?}");
    assert!(last_resident <= resident + resident / 20 + 2048, "{most:?}");
}

#[test]
fn it_listens_on_this_machine_only_unless_told() {
    let help = plugin(["serve", "--help"]).run().exits(0).stdout;
    assert!(help.contains("[default: 127.0.0.1:9464]"), "{help}");
    plugin(["serve", "--interval", "1s"]).run().exits(2).complains("at least 10s");
    plugin(["serve", "--listen", "192.0.2.1:9464"]).run().exits(4).complains("cannot listen");
}
