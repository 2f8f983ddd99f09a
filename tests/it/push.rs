//! `--push`: the figures reach a Pushgateway as it wants them.

use std::io::{Read, Write};
use std::net::TcpListener;

use crate::plugin;

const FIXTURE: &str = "tests/fixtures/rules/MA001.json";

/// Answers one request with a status, and gives what was asked.
fn gateway(status: &'static str) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let read = stream.read(&mut buffer).unwrap();
            request.extend_from_slice(&buffer[..read]);
            let text = String::from_utf8_lossy(&request);
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                break;
            }
        }
        write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
        String::from_utf8(request).unwrap()
    });
    (address, answering)
}

#[test]
fn the_figures_of_a_job_are_put_in_place_of_the_last() {
    let (address, answering) = gateway("200 OK");
    let audit = ["timeouts", "--from", FIXTURE, "-o", "prometheus", "--exit-zero"];
    let run = plugin([&audit[..], &["--push", &address]].concat()).run().exits(0);
    let request = answering.join().unwrap();
    assert!(request.starts_with("PUT /metrics/job/kubectl-meshaudit HTTP/1.1\r\n"), "{request}");
    let body = request.split_once("\r\n\r\n").unwrap().1;
    let without_duration = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !line.contains("duration")).map(str::to_owned).collect()
    };
    assert_eq!(without_duration(body), without_duration(&run.stdout));
}

#[test]
fn a_push_that_fails_is_said_without_credentials() {
    let (address, answering) = gateway("400 Bad Request");
    let url = format!("http://me:s3cret@{address}/metrics/job/nightly/cluster/eu");
    let run = plugin(["timeouts", "--from", FIXTURE, "--exit-zero", "--push", &url]).run().exits(4).complains("400");
    assert!(answering.join().unwrap().starts_with("PUT /metrics/job/nightly/cluster/eu "));
    assert!(!run.stderr.contains("s3cret"), "{}", run.stderr);
    for wrong in ["ftp://s3cret@a", "http://"] {
        let run = plugin(["timeouts", "--from", FIXTURE, "--exit-zero", "--push", wrong]).run().exits(4);
        assert!(!run.stderr.contains("s3cret"), "{}", run.stderr);
    }
}

#[test]
fn every_report_that_has_findings_can_be_written_for_others() {
    let log = b"[2026-11-23T12:00:00.000Z] \"- - -\" 0 UF,URX - - \"-\" 0 0 1000 - \"-\" \"-\" \"-\" \"-\" \
        \"52.0.0.1:443\" outbound|443||api.example.com - 52.0.0.1:443 10.0.0.1:40000 - -\n";
    let json = plugin(["diagnose", "--from", "-", "-o", "json", "--exit-zero"]).stdin(log).run().exits(0).stdout;
    assert!(json.contains("api.example.com"), "{json}");
    for format in ["sarif", "junit", "markdown", "html", "csv"] {
        let direct = plugin(["diagnose", "--from", "-", "-o", format, "--exit-zero"]).stdin(log).run().exits(0).stdout;
        let later = plugin(["convert", "-", "-o", format]).stdin(json.clone()).run().exits(0).stdout;
        assert_eq!(direct, later, "diagnose {format}");
        let verify = ["verify", "--from", FIXTURE, "--expect", "10s", "-o"];
        let direct = plugin([&verify[..], &[format]].concat()).run().exits(1).stdout;
        let json = plugin([&verify[..], &["json"]].concat()).run().exits(1).stdout;
        let later = plugin(["convert", "-", "-o", format]).stdin(json).run().exits(0).stdout;
        assert_eq!(direct, later, "verify {format}");
    }
}

#[test]
fn each_direct_dependency_is_named_with_a_reason() {
    let read = |path: &str| std::fs::read_to_string(crate::project().join(path)).unwrap();
    let manifest = read("Cargo.toml");
    let section = |name: &str| {
        let rest = manifest.split_once(&format!("\n[{name}]\n")).unwrap().1;
        let own = rest.split("\n[").next().unwrap();
        own.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name.to_owned()).collect::<Vec<_>>()
    };
    let mut wanted = section("dependencies");
    wanted.extend(section("target.'cfg(unix)'.dependencies"));
    wanted.sort();
    let page = read("docs/dependencies.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")).filter(|line| !line.starts_with("crate |"));
    let mut named: Vec<String> =
        rows.flat_map(|row| row.split(" |").next().unwrap().split(", ")).map(str::to_owned).collect();
    named.sort();
    assert_eq!(named, wanted);
}
