//! `resets --prometheus`: a real server where Debian's `prometheus` is installed, and a conversation recorded with it.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{fixtures, json};
use crate::plugin;

/// 2020-07-08T00:00:00Z.
const START: i64 = 1_594_166_400;
const HOURS: i64 = 30;
/// The change that helped, twenty hours in.
const CHANGE: &str = "2020-07-08T20:00Z=connectTimeout 10s";

/// Counters, a sample a minute, with a known answer: `checkout` fails 3 times an hour from 03:05 to 20:00, the first
/// time with two failures between two scrapes; `orders` loses 2 TCP connections an hour in the same time; the proxy of
/// `checkout` restarts at 10:30. `idle` never fails.
fn openmetrics() -> String {
    let mut text = String::new();
    let mut sample = |name: &str, labels: &str, value: &dyn Fn(i64) -> i64| {
        for minute in 0..=HOURS * 60 {
            let value = value(minute);
            // A counter is born with what it counts first.
            if value > 0 {
                let _ = writeln!(text, "{name}{{{labels}}} {value} {}", START + minute * 60);
            }
        }
    };
    let target = |pod: &str| format!("job=\"kubernetes-pods\",instance=\"10.0.0.{}:15020\"", pod.len());
    let source = |pod: &str, host: &str, flags: &str| {
        format!(
            "{},reporter=\"source\",source_workload=\"{pod}\",source_workload_namespace=\"shop\",destination_service=\"{host}\",response_flags=\"{flags}\"",
            target(pod)
        )
    };
    const RESTART: i64 = 10 * 60 + 30;
    let since_restart = |minute: i64, count: &dyn Fn(i64) -> i64| {
        if minute >= RESTART { count(minute) - count(RESTART - 1) } else { count(minute) }
    };
    // Failures at :05, :25 and :45, two at once the first time.
    let failed = |minute: i64| if minute < 185 { 0 } else { (minute.min(20 * 60 - 1) - 185) / 20 + 2 };
    for pod in ["checkout", "idle", "orders"] {
        sample("up", &target(pod), &|_| 1);
    }
    sample("istio_requests_total", &source("checkout", "api.example.com", "-"), &|minute| {
        since_restart(minute, &|minute| minute * 10 + 1)
    });
    sample("istio_requests_total", &source("checkout", "api.example.com", "UF,URX"), &|minute| {
        since_restart(minute, &failed)
    });
    sample("istio_requests_total", &source("idle", "api.example.com", "-"), &|minute| minute + 1);
    sample("istio_tcp_connections_closed_total", &source("orders", "db.example.net", "-"), &|minute| minute + 1);
    sample("istio_tcp_connections_closed_total", &source("orders", "db.example.net", "UF"), &|minute| {
        (minute.min(20 * 60 - 1) + 15) / 30
    });
    text.push_str("# EOF\n");
    text
}

struct Prometheus {
    process: Child,
    url: String,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn found(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|directory| directory.join(program))
        .find(|path| path.is_file())
}

/// A real Prometheus with the counters in its store.
fn real(directory: &Path) -> Option<Prometheus> {
    let (server, promtool) = (found("prometheus")?, found("promtool")?);
    let metrics = directory.join("metrics.om");
    std::fs::write(&metrics, openmetrics()).unwrap();
    let data = directory.join("data");
    let made = Command::new(promtool)
        .args(["tsdb", "create-blocks-from", "openmetrics"])
        .args([&metrics, &data])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let config = directory.join("prometheus.yaml");
    std::fs::write(&config, "global: {}\n").unwrap();
    let port = free_port();
    let process = Command::new(server)
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", data.display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--storage.tsdb.retention.time=100y")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let started = Prometheus { process, url: format!("http://127.0.0.1:{port}") };
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let ready = TcpStream::connect(("127.0.0.1", port)).ok().is_some_and(|mut stream| {
            let _ = stream.write_all(b"GET /-/ready HTTP/1.0\r\n\r\n");
            let mut answer = String::new();
            let _ = stream.read_to_string(&mut answer);
            answer.contains(" 200 ")
        });
        if ready {
            return Some(started);
        }
        assert!(Instant::now() < deadline, "Prometheus did not become ready");
        std::thread::sleep(Duration::from_millis(100));
    }
}

const WINDOW: [&str; 4] = ["--since", "2020-07-08T00:00Z", "--until", "2020-07-09T06:00Z"];

fn check(report: &serde_json::Value) {
    let total = |name: &str| {
        let services = report["services"].as_array().unwrap();
        services.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no {name} in {report:#}")).clone()
    };
    let checkout = total("shop/checkout");
    // 17 hours of 3, and one more at the birth, less what the restart swallows at most.
    let resets = checkout["resets"].as_u64().unwrap();
    assert!((50..=53).contains(&resets), "{resets} of 52 resets");
    let orders = total("shop/orders")["resets"].as_u64().unwrap();
    assert!((39..=41).contains(&orders), "{orders} of 40 resets");
    let idle = total("shop/idle");
    assert_eq!(idle["resets"], 0);
    assert!(idle["perBucket"].as_array().unwrap().iter().all(|cell| *cell == 0), "quiet is zero, not missing");
    let mark = &report["marks"][0];
    assert_eq!(mark["all"]["after"]["resets"], 0);
    assert_eq!(mark["all"]["moreThanNoise"], true);
    assert!(mark["all"]["before"]["failureShare"].as_f64().unwrap() > 0.0);
    assert_eq!(mark["all"]["after"]["failureShare"], 0.0);
    assert_eq!(report["targets"][0]["name"], "api.example.com");
}

#[test]
fn the_real_server_is_asked() {
    let directory = tempfile::tempdir().unwrap();
    let Some(server) = real(directory.path()) else {
        // The recorded conversation is held either way.
        return;
    };
    let mut args = vec!["resets", "--prometheus", &server.url, "--by", "hour", "-o", "json", "--mark", CHANGE];
    args.extend(WINDOW);
    check(&json(&args));
    if let Some(to) = std::env::var_os("MESHAUDIT_RECORD") {
        record(&server.url, Path::new(&to));
    }
}

/// Keeps the server's answers to what the command asks.
fn record(url: &str, to: &Path) {
    let recorder = Recorder::start(Box::new({
        let (url, to) = (url.to_owned(), to.to_owned());
        move |target, _| {
            let mut stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
            write!(stream, "GET {target} HTTP/1.0\r\nAccept-Encoding: identity\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            let body = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
            std::fs::write(to.join(file_of(target)), &body).unwrap();
            (200, body)
        }
    }));
    let mut args = vec!["resets", "--prometheus", &recorder.url, "--by", "hour", "-o", "json"];
    args.extend(WINDOW);
    json(&args);
}

pub(super) fn file_of(target: &str) -> &'static str {
    match (target.contains("istio_requests_total"), target.contains("offset")) {
        (true, true) => "requests-failed.json",
        (true, false) => "requests-all.json",
        (false, true) => "connections-failed.json",
        (false, false) => "connections-all.json",
    }
}

/// Status and body of an answer, from a request's target and header.
type Answer = Box<dyn Fn(&str, &str) -> (u16, String) + Send>;

/// A server that gives each request to a function.
struct Recorder {
    url: String,
}

impl Recorder {
    fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut header = String::new();
                while reader.read_line(&mut header).is_ok_and(|read| read > 2) {}
                let target = header.split(' ').nth(1).unwrap_or_default().to_owned();
                let (code, body) = answer(&target, &header);
                let _ = write!(
                    stream,
                    "HTTP/1.1 {code} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
            }
        });
        Self { url }
    }
}

fn recorded() -> Recorder {
    let fixtures = fixtures().join("prometheus");
    Recorder::start(Box::new(move |target, header| {
        assert!(target.starts_with("/metrics/api/v1/query_range?"), "{target}");
        if !header.to_lowercase().contains("authorization: bearer s3cret") {
            return (401, "no".to_owned());
        }
        (200, std::fs::read_to_string(fixtures.join(file_of(target))).unwrap())
    }))
}

#[test]
fn the_recorded_conversation_gives_the_same_answer() {
    let server = recorded();
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    std::fs::write(&token, "s3cret\n").unwrap();
    let url = format!("{}/metrics/", server.url);
    let token = token.display().to_string();
    let mut args = vec![
        "resets",
        "--prometheus",
        &url,
        "--prometheus-token-file",
        &token,
        "--by",
        "hour",
        "-o",
        "json",
        "--mark",
        CHANGE,
    ];
    args.extend(WINDOW);
    check(&json(&args));
}

#[test]
fn what_prometheus_refuses_is_said() {
    let server = recorded();
    let url = format!("{}/metrics", server.url);
    plugin(["resets", "--prometheus", &url]).run().exits(4).complains("does not accept these credentials (401)");
    for (code, body, words) in [
        (
            400,
            r#"{"status":"error","errorType":"bad_data","error":"end timestamp must not be before start time"}"#,
            "bad_data: end timestamp",
        ),
        (200, r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#, "has no istio_requests_total"),
        (200, "<html>login</html>", "not one of Prometheus"),
        (404, "page not found", "says 404: page not found"),
    ] {
        let server = Recorder::start(Box::new(move |_, _| (code, body.to_owned())));
        plugin(["resets", "--prometheus", &server.url]).run().exits(4).complains(words).complains("hint:");
    }
    plugin(["resets", "--prometheus", "ftp://x"]).run().exits(2);
}
