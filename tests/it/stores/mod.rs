//! Log stores: conversations recorded with a real VictoriaLogs and OpenSearch (tests/stores/record.py) give what the same
//! lines give from files; Loki and Splunk as their documentation has them; and stores that are full, slow, or answer in part.

mod documented;
mod ways;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::{plugin, project};

/// Records of a page, as the program asks for them.
const PAGE: usize = 5_000;

/// What was asked: `METHOD target`, the header, and the body.
struct Asked {
    line: String,
    header: String,
    body: String,
}

/// The status of an answer that is none: the connection is closed.
const CLOSED: u16 = 0;

/// An answer.
struct Said {
    status: u16,
    header: &'static str,
    body: String,
    /// Bytes that are announced and do not come.
    missing: usize,
}

impl Said {
    fn ok(body: impl Into<String>) -> Self {
        Self { status: 200, header: "content-type: application/json\r\n", body: body.into(), missing: 0 }
    }

    fn status(status: u16, header: &'static str, body: &str) -> Self {
        Self { status, header, body: body.to_owned(), missing: 0 }
    }
}

/// A server on loopback that gives each request to a function.
struct Server {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(answer: impl Fn(&Asked) -> Said + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut header = String::new();
                while reader.read_line(&mut header).is_ok_and(|read| read > 2) {}
                let line = header.lines().next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned();
                let length =
                    header.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                let mut body = vec![0; length.unwrap_or(0)];
                let _ = reader.read_exact(&mut body);
                let asked = Asked { line, header, body: String::from_utf8(body).unwrap() };
                log.lock().unwrap().push(format!("{} {}", asked.line, decoded(&asked.body)));
                let said = answer(&asked);
                if said.status == CLOSED {
                    continue;
                }
                let _ = write!(
                    &stream,
                    "HTTP/1.1 {} Status\r\n{}content-length: {}\r\nconnection: close\r\n\r\n{}",
                    said.status,
                    said.header,
                    said.body.len() + said.missing,
                    said.body
                );
            }
        });
        Self { url, asked }
    }

    fn asked(&self) -> String {
        self.asked.lock().unwrap().join("\n")
    }
}

/// The URL of a store that answers everything with 500 and what it was sent.
pub(crate) fn echo() -> String {
    Server::start(|asked| Said::status(500, "", &format!("{}\n{}", asked.header, asked.body))).url
}

/// URLs of servers that give back what they were sent, each inside of something else.
pub(crate) fn echoes() -> Vec<String> {
    let envelopes: [fn(&str) -> Said; 7] = [
        // Elasticsearch's, Splunk's, Prometheus' (twice), Kubernetes'.
        |text| Said::status(400, "", &json!({"error": {"root_cause": [{"reason": text}], "reason": text}}).to_string()),
        |text| Said::status(400, "", &json!({"messages": [{"type": "FATAL", "text": text}]}).to_string()),
        |text| Said::ok(json!({"status": "error", "errorType": "bad_data", "error": text}).to_string()),
        |text| Said::ok(json!({"status": "success", "data": {"resultType": text, "result": []}}).to_string()),
        |text| Said::status(403, "", &json!({"kind": "Status", "reason": "Forbidden", "message": text}).to_string()),
        // A page, and a URL that leads back.
        |text| Said::status(200, "content-type: text/html\r\n", &format!("<html><title>{text}</title></html>")),
        |text| {
            Said::status(
                400,
                "",
                &percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string(),
            )
        },
    ];
    let serve = |envelope: fn(&str) -> Said| {
        Server::start(move |asked| envelope(&format!("{}\n{}", asked.header, asked.body))).url
    };
    envelopes.into_iter().map(serve).collect()
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

/// A parameter of a form or of a query.
fn parameter(asked: &Asked, name: &str) -> String {
    let query = asked.line.split_once('?').map_or("", |(_, query)| query);
    let pairs = query.split('&').chain(asked.body.split('&'));
    let found = pairs.filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name);
    found.map(|(_, value)| decoded(value)).unwrap_or_default()
}

/// Requests without the moment at which they were made.
fn without_now(text: &str) -> String {
    let rfc = regex::Regex::new(r"20(?:2[6-9]|[3-9]\d)-[01]\d-[0-3]\dT[0-9:.]+Z\)").unwrap();
    let text =
        rfc.replace_all(
            text,
            |found: &regex::Captures<'_>| {
                if &found[0][..10] > "2026-11-21" { "NOW)".to_owned() } else { found[0].to_owned() }
            },
        );
    let millis = regex::Regex::new(r#""lt":(\d{13})"#).unwrap();
    let later = |found: &regex::Captures<'_>| {
        if found[1].parse::<u64>().unwrap() > 1_795_312_000_000 { "\"lt\":NOW".to_owned() } else { found[0].to_owned() }
    };
    millis.replace_all(&text, later).into_owned()
}

fn recorded(name: &str) -> Value {
    let path = project().join(format!("tests/fixtures/stores/{name}.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// What the recorded server answered to this. Whatever is encoded in the target may be encoded otherwise.
fn answer_of(conversation: &Value, line: &str, body: &str) -> Said {
    let body = without_now(&decoded(body));
    let said = conversation["said"].as_array().unwrap();
    let one = said.iter().find(|one| {
        decoded(one["asked"].as_str().unwrap()) == decoded(line)
            && without_now(&decoded(one["body"].as_str().unwrap())) == body
    });
    match one {
        Some(one) => Said {
            status: u16::try_from(one["status"].as_u64().unwrap()).unwrap(),
            ..Said::ok(one["answer"].as_str().unwrap())
        },
        None => Said::status(418, "", &format!("was never asked (tests/stores/record.py records anew) {line} {body}")),
    }
}

/// A server that answers as the recorded one did.
fn replay(conversation: &Value) -> Server {
    let conversation = conversation.clone();
    Server::start(move |asked| answer_of(&conversation, &asked.line, &asked.body))
}

fn run(conversation: &Value, server: &Server) -> crate::Run {
    let args = conversation["args"].as_array().unwrap();
    let args: Vec<String> = args.iter().map(|arg| arg.as_str().unwrap().replace("URL", &server.url)).collect();
    plugin(args.iter().map(String::as_str)).run()
}

/// A report without what names its source: the file or the pod of a diagnosis, and commands with the `-n` that a store
/// was asked with.
fn of_any_source(mut report: Value) -> Value {
    let fields = report.as_object_mut().unwrap();
    fields.remove("next");
    if let Some(delay) = fields.get_mut("delay").and_then(Value::as_object_mut) {
        delay.remove("next");
    }
    for diagnosis in fields.get_mut("diagnoses").and_then(Value::as_array_mut).into_iter().flatten() {
        assert!(diagnosis["source"].as_str().unwrap().contains("checkout-7d9f8b6c5d-x2x4z"), "{diagnosis}");
        diagnosis.as_object_mut().unwrap().remove("source");
        diagnosis["remedy"] = diagnosis["remedy"].as_str().unwrap().replace(" -n recorded", "").into();
    }
    report
}

/// What is the same however little of it was transferred.
fn counts(report: &Value) -> Value {
    json!([
        report["buckets"],
        report["services"],
        report["total"],
        report["marks"],
        report["exceptions"],
        report["targets"],
    ])
}

/// Counts are the same; hours with logs are, but for what the first and last record's own time (in milliseconds) and the
/// store's (in nanoseconds) differ in.
fn alike(one: &Value, other: &Value, place: &str) {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            assert!(one.keys().eq(other.keys()), "{place}");
            one.iter().for_each(|(name, value)| alike(value, &other[name], &format!("{place}.{name}")));
        }
        (Value::Array(one), Value::Array(other)) => {
            assert_eq!(one.len(), other.len(), "{place}");
            one.iter().zip(other).for_each(|(one, other)| alike(one, other, place));
        }
        (Value::Number(one), Value::Number(other)) if one.is_f64() && other.is_f64() => {
            let (one, other) = (one.as_f64().unwrap(), other.as_f64().unwrap());
            assert!((one - other).abs() <= 1e-5 * other.abs(), "{place}: {one}, {other}");
        }
        (one, other) => assert_eq!(one, other, "{place}"),
    }
}

#[test]
fn stores_give_what_files_give() {
    for store in ["victorialogs", "elasticsearch", "loki"] {
        for question in ["resets", "target", "proxy", "diagnose"] {
            // Loki has to be asked of a time that ends, which `diagnose` sets by the clock.
            if (store, question) == ("loki", "diagnose") {
                continue;
            }
            let conversation = recorded(&format!("{store}-{question}"));
            let server = replay(&conversation);
            let run = run(&conversation, &server).exits(0);
            let report: Value = serde_json::from_str(&run.stdout).unwrap();
            let expected = &conversation["report"];
            if question == "resets" {
                assert!(run.stderr.contains("the others counted by the store"), "{}", run.stderr);
                if store == "loki" {
                    // It tells when the first and last record of all was, and not those of each service: hours with logs
                    // are whole steps between.
                    for part in ["total", "services", "buckets"] {
                        assert_eq!(report[part], expected[part], "{store} {part}");
                    }
                } else {
                    alike(&counts(&report), &counts(expected), store);
                }
                let bytes: usize = conversation["said"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|one| one["answer"].as_str().unwrap().len())
                    .sum();
                assert!(bytes < 400_000, "{store} {bytes}: no more than what may count is transferred");
            } else {
                alike(&of_any_source(report), &of_any_source(expected.clone()), &format!("{store} {question}"));
            }
        }
    }
}

#[test]
fn what_a_store_does_not_say_whole_is_incomplete() {
    let conversation = recorded("elasticsearch-proxy");
    for (of, with, words) in [
        ("\"timed_out\":false", "\"timed_out\":true", "timed_out"),
        ("\"failed\":0", "\"failed\":1,\"failures\":[{\"reason\":{\"reason\":\"disk is gone\"}}]", "disk is gone"),
    ] {
        let mut changed = conversation.clone();
        for one in changed["said"].as_array_mut().unwrap() {
            let answer = one["answer"].as_str().unwrap().replace(of, with);
            one["answer"] = answer.into();
        }
        let server = replay(&changed);
        let run = run(&changed, &server).exits(3);
        assert!(run.stderr.contains(words), "{}", run.stderr);
    }
    // A stream that is cut whenever records are asked for, of however short a stretch.
    let conversation = recorded("victorialogs-proxy");
    let said = conversation["said"].as_array().unwrap().clone();
    let cut = Server::start(move |asked| {
        let body = without_now(&decoded(&asked.body));
        if body.contains(&format!("limit {}", PAGE + 1)) {
            return Said { missing: 100, ..Said::ok("{\"_time\":\"2026-11-20T01:00:01Z\",\"_msg\":\"a\"}\n") };
        }
        let one = said.iter().find(|one| without_now(&decoded(one["body"].as_str().unwrap())) == body).unwrap();
        Said::ok(one["answer"].as_str().unwrap())
    });
    run(&conversation, &cut).exits(4).complains("broke off");
}

#[test]
fn a_store_that_is_full_is_asked_again() {
    let conversation = recorded("victorialogs-proxy");
    let said = conversation["said"].as_array().unwrap().clone();
    let times = AtomicU32::new(0);
    let server = Server::start(move |asked| {
        if times.fetch_add(1, Ordering::Relaxed) == 1 {
            return Said::status(429, "retry-after: 1\r\n", "too many");
        }
        let body = without_now(&decoded(&asked.body));
        let one = said.iter().find(|one| without_now(&decoded(one["body"].as_str().unwrap())) == body).unwrap();
        Said::ok(one["answer"].as_str().unwrap())
    });
    run(&conversation, &server).exits(0);
}

#[test]
fn usage_is_held() {
    for args in [
        &["--victorialogs", "http://127.0.0.1:1", "--loki", "http://127.0.0.1:1"][..],
        &["--victorialogs", "ftp://x"],
        &["svc/web", "--victorialogs", "http://127.0.0.1:1"],
        &["--victorialogs", "http://127.0.0.1:1", "--field-selector", "spec.nodeName=a"],
        &["--victorialogs", "http://127.0.0.1:1", "--store-user", "me"],
        &["--victorialogs-service", "logs", "-n", "x"],
    ] {
        let mut all = vec!["resets"];
        all.extend(args);
        plugin(all).run().exits(2);
    }
    plugin(["diagnose", "-f", "--victorialogs", "http://127.0.0.1:1"]).run().exits(2);
}

#[test]
fn queries_are_printed_for_every_store() {
    for (store, words) in [
        ("splunk", &["index=prod", "earliest=", "\"orders-*\"", "*econnreset*", "*connection reset*"][..]),
        ("kql", &["kubernetes.namespace_name", "(*connection and reset*)", "@timestamp >="]),
        ("esql", &["FROM index=prod", "KQL(", "SORT @timestamp ASC"]),
        ("loki", &["namespace=\"shop\"", "pod=~\"(orders-.*)\"", "|~", "connection reset"]),
        (
            "victorialogs",
            &["_time:[", "\"kubernetes.namespace_name\":=\"shop\"", "| pack_json as", "contains_any(\"UF\""],
        ),
        ("cloudwatch", &["fields @timestamp", "like /(?i)(", "sort @timestamp asc"]),
        ("google", &["resource.type=\"k8s_container\"", "textPayload=~"]),
        ("azure", &["ContainerLogV2", "matches regex", "PodNamespace == \"shop\""]),
        ("datadog", &["kube_namespace:shop", "pod_name:orders-*", "*econnreset*"]),
    ] {
        let args = [
            "resets",
            "deploy/orders",
            "--print-query",
            store,
            "-n",
            "shop",
            "--since",
            "2026-11-20",
            "--query",
            "index=prod",
        ];
        let run = plugin(args).run().exits(0);
        for word in words {
            assert!(run.stdout.contains(word), "{store}: {word} is not in {}", run.stdout);
        }
        let run = run.complains("resets --from FILE");
        // What Google and CloudWatch take at most (logging/quotas, StartQuery's queryString).
        let most = if store == "cloudwatch" { 10_000 } else { 20_000 };
        assert!(run.stdout.trim_end().chars().count() <= most, "{store}");
    }
    let narrow = format!("labels.cluster=\"{}\"", "a".repeat(3_000));
    let run = plugin(["resets", "--print-query", "google", "--query", &narrow]).run().exits(0);
    assert!(run.stdout.trim_end().chars().count() <= 20_000);
    assert!(run.stdout.contains("\n-- jsonPayload.") && run.stdout.contains("jsonPayload.message=~"), "{}", run.stdout);
}
