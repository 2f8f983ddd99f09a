//! `serve`: what a Prometheus and a kubelet see of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

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

#[test]
fn it_listens_on_this_machine_only_unless_told() {
    let help = plugin(["serve", "--help"]).run().exits(0).stdout;
    assert!(help.contains("[default: 127.0.0.1:9464]"), "{help}");
    plugin(["serve", "--interval", "1s"]).run().exits(2).complains("at least 10s");
    plugin(["serve", "--listen", "192.0.2.1:9464"]).run().exits(4).complains("cannot listen");
}
