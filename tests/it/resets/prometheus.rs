//! `resets --prometheus`: a real server where Debian's `prometheus` is installed, and a conversation recorded with it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{fixtures, json};
use crate::{plugin, published_schema};

/// 2020-07-08T00:00:00Z.
const START: i64 = 1_594_166_400;
const HOURS: i64 = 30;
/// The change that helped, twenty hours in.
const CHANGE: &str = "2020-07-08T20:00Z=connectTimeout 10s";

/// Counters, a sample a minute, with a known answer: `checkout` fails 3 times an hour from 03:05 to 20:00, the first
/// time with two failures between two scrapes; `orders` loses 2 TCP connections an hour in the same time; the proxy of
/// `checkout` restarts at 10:30. `idle` never fails. `batch` are pods that fail three times before their first scrape and
/// are gone twenty minutes later; `twice` was scraped by two replicas; `gappy` fails 6 times an hour and was not scraped
/// from 10:00 to 13:20; `ambient` is told of by its waypoint. In the namespace `bare` a label was taken away.
fn target(pod: &str) -> String {
    // The first letters tell them apart.
    let number: u32 = pod.bytes().map(u32::from).sum::<u32>() % 250;
    format!("job=\"kubernetes-pods\",instance=\"10.0.0.{number}:15020\"")
}

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
    for pod in ["checkout", "idle", "orders", "twice", "gappy", "ambient", "bare"] {
        sample("up", &target(pod), &|_| 1);
    }
    sample("istio_requests_total", &source("checkout", "api.example.com", "-"), &|minute| {
        since_restart(minute, &|minute| minute * 10 + 1)
    });
    sample("istio_requests_total", &source("checkout", "api.example.com", "UF,URX"), &|minute| {
        since_restart(minute, &failed)
    });
    // The target and its counters are born together.
    for hour in 0..24 {
        let own_target = format!("job=\"kubernetes-pods\",instance=\"10.0.9.{hour}:15020\"");
        let lives = move |minute: i64| (hour * 60 + 7..hour * 60 + 27).contains(&minute);
        sample("up", &own_target, &|minute| i64::from(lives(minute)));
        let own = source("batch", "api.example.com", "UF").replace(&target("batch"), &own_target);
        sample("istio_requests_total", &own, &|minute| if lives(minute) { 3 } else { 0 });
    }
    for replica in ["a", "b"] {
        let labels = format!("{},prometheus_replica=\"{replica}\"", source("twice", "api.example.com", "UF"));
        sample("istio_requests_total", &labels, &|minute| minute / 30);
        let labels = format!("{},prometheus_replica=\"{replica}\"", source("twice", "api.example.com", "-"));
        sample("istio_requests_total", &labels, &|minute| minute * 2 + 1);
    }
    let scraped = |minute: i64| !(600..800).contains(&minute);
    sample("istio_requests_total", &source("gappy", "api.example.com", "UF"), &|minute| {
        if scraped(minute) { minute / 10 } else { 0 }
    });
    let waypoint = source("ambient", "api.example.com", "UC").replace("source\"", "waypoint\"");
    sample("istio_requests_total", &waypoint, &|minute| minute / 30);
    let bare = source("bare", "api.example.com", "").replace("namespace=\"shop", "namespace=\"bare");
    let bare = bare.replace(",response_flags=\"\"", ",response_code=\"503\"");
    sample("istio_requests_total", &bare, &|minute| minute / 30);
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
    let mut command = Command::new(server);
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", data.display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--storage.tsdb.retention.time=100y");
    Some(started(&mut command, port))
}

/// A real VictoriaMetrics with the same counters.
fn victoria_metrics(directory: &Path) -> Option<Prometheus> {
    let port = free_port();
    let mut command = Command::new(found("victoria-metrics")?);
    command
        .arg(format!("-storageDataPath={}", directory.join("data").display()))
        .arg(format!("-httpListenAddr=127.0.0.1:{port}"))
        .arg("-retentionPeriod=100y");
    let server = started(&mut command, port);
    // It takes milliseconds, where OpenMetrics has seconds.
    let mut body = openmetrics().replace("# EOF\n", "");
    body = body.lines().map(|line| format!("{line}000\n")).collect();
    let head = format!("POST /api/v1/import/prometheus HTTP/1.0\r\nContent-Length: {}\r\n\r\n", body.len());
    assert!(said(port, &(head + &body)).is_some_and(|answer| answer.contains(" 204 ")));
    assert!(said(port, "GET /internal/force_flush HTTP/1.0\r\n\r\n").is_some());
    Some(server)
}

/// What a server answers to these bytes.
fn said(port: u16, request: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// Starts a server, and waits until it is ready.
fn started(command: &mut Command, port: u16) -> Prometheus {
    let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let started = Prometheus { process, url: format!("http://127.0.0.1:{port}") };
    let deadline = Instant::now() + Duration::from_secs(30);
    while !said(port, "GET /-/ready HTTP/1.0\r\n\r\n").is_some_and(|answer| answer.contains(" 200 ")) {
        assert!(Instant::now() < deadline, "it did not become ready");
        std::thread::sleep(Duration::from_millis(100));
    }
    started
}

const WINDOW: [&str; 4] = ["--since", "2020-07-08T00:00Z", "--until", "2020-07-09T06:00Z"];

fn check(report: &serde_json::Value) {
    let total = |name: &str| {
        let services = report["services"].as_array().unwrap();
        services.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no {name} in {report:#}")).clone()
    };
    let checkout = total("shop/checkout");
    // 17 hours of 3, and one more at the birth.
    assert_eq!(checkout["resets"], 52);
    assert_eq!(total("shop/orders")["resets"], 40);
    assert_eq!(total("shop/batch")["resets"], 24 * 3, "born with their targets");
    assert_eq!(total("shop/twice")["resets"], 60, "not counted twice");
    assert_eq!(total("shop/gappy")["resets"], 180, "what came in the gap belongs to it");
    assert_eq!(total("shop/ambient")["resets"], 60, "waypoints count");
    let idle = total("shop/idle");
    assert_eq!(idle["resets"], 0);
    assert!(idle["perBucket"].as_array().unwrap().iter().all(|cell| *cell == 0), "quiet is zero, not missing");
    let marked = report["marks"][0]["services"].as_array().unwrap();
    let mark = marked.iter().find(|row| row["name"] == "shop/checkout").unwrap();
    assert_eq!(mark["after"]["resets"], 0);
    assert_eq!(mark["moreThanNoise"], true);
    assert!(mark["before"]["failureShare"].as_f64().unwrap() > 0.0);
    assert_eq!(mark["after"]["failureShare"], 0.0);
    assert_eq!(report["targets"][0]["name"], "api.example.com");
}

#[test]
fn the_real_server_is_asked() {
    let directory = tempfile::tempdir().unwrap();
    let Some(server) = real(directory.path()) else {
        // The recorded conversation is held either way.
        return;
    };
    check(&report_of(&server));
    if let Some(to) = std::env::var_os("MESHAUDIT_RECORD") {
        record(&server.url, Path::new(&to));
    }
}

#[test]
fn a_real_victoria_metrics_gives_the_same() {
    let directory = tempfile::tempdir().unwrap();
    if let Some(server) = victoria_metrics(directory.path()) {
        check(&report_of(&server));
    }
}

fn report_of(server: &Prometheus) -> serde_json::Value {
    let mut args =
        vec!["resets", "--prometheus", &server.url, "-n", "shop", "--by", "hour", "-o", "json", "--mark", CHANGE];
    args.extend(WINDOW);
    json(&args)
}

/// Keeps the server's answers to what the commands ask.
fn record(url: &str, to: &Path) {
    let said = Arc::new(Mutex::new(BTreeMap::new()));
    let recorder = Recorder::start(Box::new({
        let (url, said) = (url.to_owned(), Arc::clone(&said));
        move |target, _| {
            let mut stream = TcpStream::connect(url.trim_start_matches("http://")).unwrap();
            write!(stream, "GET {target} HTTP/1.0\r\nAccept-Encoding: identity\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            let body = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
            said.lock().unwrap().insert(target.to_owned(), body.clone());
            (200, body)
        }
    }));
    for namespace in ["shop", "bare"] {
        let mut args = vec!["resets", "--prometheus", &recorder.url, "-n", namespace, "--by", "hour", "-o", "json"];
        args.extend(WINDOW);
        plugin(args).run();
    }
    let said = serde_json::to_string_pretty(&*said.lock().unwrap()).unwrap();
    std::fs::write(to.join("conversation.json"), said + "\n").unwrap();
}

/// What the recorded server answered. A blank is `+` in the queries of one client and `%20` in another's.
pub(super) fn answer_to(target: &str) -> String {
    let said = std::fs::read_to_string(fixtures().join("prometheus/conversation.json")).unwrap();
    let said: BTreeMap<String, String> = serde_json::from_str(&said).unwrap();
    let decoded =
        |target: &str| percent_encoding::percent_decode_str(&target.replace('+', " ")).decode_utf8_lossy().into_owned();
    let wanted = decoded(target);
    let found = said.into_iter().find(|(asked, _)| decoded(asked) == wanted);
    found.unwrap_or_else(|| panic!("was never asked for {wanted}")).1
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
    Recorder::start(Box::new(move |target, header| {
        let target = target.strip_prefix("/metrics").unwrap();
        if !header.to_lowercase().contains("authorization: bearer s3cret") {
            return (401, "no".to_owned());
        }
        (200, answer_to(target))
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
        "-n",
        "shop",
        "--by",
        "hour",
        "-o",
        "json",
        "--mark",
        CHANGE,
    ];
    args.extend(WINDOW);
    check(&json(&args));
    // Without the label nothing can be counted, and it is not called nothing.
    let mut args =
        vec!["resets", "--prometheus", &url, "--prometheus-token-file", &token, "-n", "bare", "--by", "hour"];
    args.extend(WINDOW);
    let run = plugin(args).run().exits(4);
    run.complains("no label response_flags").complains("response_code 503").complains("tagOverrides");
}

/// The configuration out of a snapshot, the counts out of Prometheus.
#[test]
fn an_incident_may_have_a_snapshot_and_prometheus() {
    let server = changed(|_, body| (200, body));
    let fixture = "tests/fixtures/rules/MA001.json";
    let mut args = vec!["incident", "--from", fixture, "--prometheus", &server.url, "-n", "shop", "--by", "hour"];
    args.extend(["--mark", CHANGE]);
    args.extend(WINDOW);
    let report = json(&[&args[..], &["-o", "json"]].concat());
    published_schema("incident").validate(&report).unwrap();
    check(&report["resets"]["document"]);
    assert_eq!(report["audit"]["document"]["clusters"][0]["connectTimeout"], "1s");
    assert_eq!(report["diagnosis"]["document"], serde_json::Value::Null);
    assert_eq!(report["diagnosis"]["missing"], "there is no log among the files");
    for (part, from, not) in [("resets", "--prometheus", fixture), ("audit", fixture, "--prometheus")] {
        let command = report[part]["command"].as_str().unwrap();
        assert!(command.contains(from) && !command.contains(not), "{command}");
    }
    let effect = report["facts"].as_array().unwrap().iter().find(|fact| fact["about"] == "effect").unwrap();
    assert_eq!(effect["sentence"], report["resets"]["document"]["marks"][0]["sentence"]);
    // Logs beside it say why connections failed; what is counted is Prometheus'.
    let log = "tests/fixtures/logs/incident/2020-05-29.log";
    let report = json(&[&args[..], &["--from", log, "-o", "json"]].concat());
    check(&report["resets"]["document"]);
    assert!(!report["diagnosis"]["document"]["diagnoses"].as_array().unwrap().is_empty(), "{}", report["diagnosis"]);
    let diagnose = report["diagnosis"]["command"].as_str().unwrap();
    assert!(diagnose.contains(log) && !diagnose.contains("--prometheus"), "{diagnose}");
    let page = plugin([&args[..], &["-o", "html"]].concat()).run().exits(0).stdout;
    assert!(page.contains("shop/checkout") && page.contains("Not known: there is no log"), "{page}");
    // A server that is away costs its own section alone.
    let mut args = vec!["incident", "--from", fixture, "--prometheus", "http://127.0.0.1:9"];
    args.extend(WINDOW);
    let run = plugin(args).run().exits(3);
    assert!(run.stdout.contains("Not known: ") && run.stdout.contains("cannot be reached"), "{}", run.stdout);
}

/// Answers of the recorded server, changed.
fn changed(change: fn(&str, String) -> (u16, String)) -> Recorder {
    Recorder::start(Box::new(move |target, _| change(target, answer_to(target))))
}

#[test]
fn a_part_of_an_answer_is_not_taken_for_the_whole() {
    let asked = |server: &Recorder| {
        let mut args = vec!["resets", "--prometheus", &server.url, "-n", "shop", "--by", "hour", "-o", "json"];
        args.extend(WINDOW);
        plugin(args).run()
    };
    let warned = changed(|_, body| {
        (
            200,
            body.replacen(
                "{\"status\":\"success\"",
                "{\"status\":\"success\",\"warnings\":[\"store b: no answer\"]",
                1,
            ),
        )
    });
    asked(&warned).exits(3).complains("store b: no answer");
    // What is full for a moment is asked again.
    let times = std::sync::atomic::AtomicU32::new(0);
    let busy = Recorder::start(Box::new(move |target, _| {
        if times.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0 {
            (429, "slow down".to_owned())
        } else {
            (200, answer_to(target))
        }
    }));
    asked(&busy).exits(0);
    let away = Recorder::start(Box::new(|_, _| (302, String::new())));
    asked(&away).exits(4).complains("sign-in page");
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
