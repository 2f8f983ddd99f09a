//! Log stores: conversations recorded with a real VictoriaLogs and OpenSearch (tests/stores/record.py) give what the same
//! lines give from files; Loki and Splunk as their documentation has them; and stores that are full, slow, or answer in part.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::{incident, plugin, project};

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

/// A server that answers as the recorded one did.
fn replay(conversation: &Value) -> Server {
    let said = conversation["said"].as_array().unwrap().clone();
    Server::start(move |asked| {
        let body = without_now(&decoded(&asked.body));
        let one = said.iter().find(|one| {
            one["asked"] == asked.line.as_str() && without_now(&decoded(one["body"].as_str().unwrap())) == body
        });
        match one {
            Some(one) => Said {
                status: u16::try_from(one["status"].as_u64().unwrap()).unwrap(),
                ..Said::ok(one["answer"].as_str().unwrap())
            },
            None => Said::status(418, "", &format!("was never asked {} {body}", asked.line)),
        }
    })
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
    for store in ["victorialogs", "elasticsearch"] {
        for question in ["resets", "target", "proxy", "diagnose"] {
            let conversation = recorded(&format!("{store}-{question}"));
            let server = replay(&conversation);
            let run = run(&conversation, &server).exits(0);
            let report: Value = serde_json::from_str(&run.stdout).unwrap();
            let expected = &conversation["report"];
            if question == "resets" {
                assert!(run.stderr.contains("the others counted by the store"), "{}", run.stderr);
                alike(&counts(&report), &counts(expected), store);
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
fn who_asks_is_said_to_the_store_and_to_nobody_else() {
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    std::fs::write(&secret, "s3cr3t-value\n").unwrap();
    let secret = secret.display().to_string();
    for (flag, header) in [
        (["--store-token-file", &secret], "authorization: bearer s3cr3t-value"),
        (["--store-api-key-file", &secret], "authorization: apikey s3cr3t-value"),
    ] {
        let server = Server::start(move |asked| {
            assert!(asked.header.to_lowercase().contains(header), "{}", asked.header);
            // A careless store gives back what it was sent.
            Said::status(500, "", &asked.header)
        });
        let run = plugin(["resets", "--elasticsearch", &server.url, flag[0], flag[1]]).run().exits(4);
        assert!(!run.stderr.contains("s3cr3t"), "{}", run.stderr);
    }
    let server = Server::start(|asked| {
        assert!(asked.header.to_lowercase().contains("x-scope-orgid: team-a"), "{}", asked.header);
        Said::status(401, "", "no")
    });
    let run = plugin(["resets", "--loki", &server.url, "--store-tenant", "team-a"]).run().exits(4);
    run.complains("does not accept these credentials (401)").complains("--store-token-file");
    let run = plugin(["resets", "--splunk", "https://me:hunter2@127.0.0.1:1"]).run().exits(2);
    assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
    let page = Server::start(|_| Said::status(200, "content-type: text/html\r\n", "<html><title>Sign in</title>"));
    plugin(["resets", "--victorialogs", &page.url]).run().exits(4).complains("sign-in page");
}

#[test]
fn a_certificate_that_does_not_hold_names_the_flag() {
    let kubeconfig = std::fs::read_to_string(incident().kubeconfig()).unwrap();
    let server = kubeconfig.lines().find_map(|line| line.split_once("server: ")).unwrap().1;
    let server = server.trim_matches(['"', '\'', '}', ' ']).split(',').next().unwrap();
    assert!(server.starts_with("https://"), "{server}");
    plugin(["resets", "--victorialogs", server]).run().exits(4).complains("cannot be trusted").complains("--store-ca");
}

/// Lines of two pods in an hour, some of them resets: time in nanoseconds, pod, line.
fn lines() -> Vec<(i128, &'static str, String)> {
    let start: jiff::Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
    let mut found = Vec::new();
    for index in 0..400_i64 {
        let at = start + jiff::SignedDuration::from_millis(index * 9_000 + 1);
        let pod = if index % 3 == 0 { "orders-66b5d7c98f-zzzz2" } else { "checkout-7d9f8b6c5d-x2x4z" };
        let line = if index % 20 == 7 {
            format!(
                "{at} ERROR [http-1] c.e.Client - GET https://api.example.com: java.net.SocketException: Connection reset"
            )
        } else {
            format!("{at} INFO [http-2] c.e.Client - order {index} is paid")
        };
        found.push((at.as_nanosecond() + i128::from(index) + 1, pod, line));
    }
    found
}

/// The same lines as a node keeps them.
fn write_pods(directory: &Path) {
    let mut logs: BTreeMap<&str, String> = BTreeMap::new();
    for (at, pod, line) in lines() {
        let at = jiff::Timestamp::from_nanosecond(at).unwrap();
        logs.entry(pod).or_default().push_str(&format!("{at:.9} {line}\n"));
    }
    for (pod, log) in logs {
        let place = directory.join(format!("shop_{pod}_0b6c2b2e-1111-2222-3333-444455556666/app"));
        std::fs::create_dir_all(&place).unwrap();
        std::fs::write(place.join("0.log"), log).unwrap();
    }
}

const WINDOW: [&str; 8] = ["--since", "2026-11-20T09:00Z", "--until", "2026-11-20T12:00Z", "--by", "10m", "-o", "json"];

fn from_files() -> Value {
    let directory = tempfile::tempdir().unwrap();
    write_pods(directory.path());
    let from = directory.path().display().to_string();
    let mut args = vec!["resets", "--from", &from];
    args.extend(WINDOW);
    serde_json::from_str(&plugin(args).run().exits(0).stdout).unwrap()
}

/// Loki's answers, as its documentation has them; entries no more than `limit` at once.
fn loki(asked: &Asked) -> Said {
    if asked.line.starts_with("GET /loki/api/v1/labels") {
        return Said::ok(json!({"status": "success", "data": ["container", "namespace", "pod"]}).to_string());
    }
    let query = parameter(asked, "query");
    let number = |name: &str| parameter(asked, name).parse::<i128>().unwrap();
    let (start, end) = (number("start"), number("end"));
    let labels = |pod: &str| json!({"namespace": "shop", "pod": pod, "container": "app"});
    if let Some(step) = query.strip_prefix("sum by (namespace,pod,container) (count_over_time({") {
        assert!(step.contains("namespace=\"shop\""), "{query}");
        let step = number("step") * 1_000_000_000;
        let mut series: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for pod in ["orders-66b5d7c98f-zzzz2", "checkout-7d9f8b6c5d-x2x4z"] {
            let mut at = start;
            while at <= end {
                let count =
                    lines().iter().filter(|(time, of, _)| *of == pod && at - step < *time && *time <= at).count();
                if count > 0 {
                    let second = at as f64 / 1e9;
                    series.entry(pod).or_default().push(json!([second, count.to_string()]));
                }
                at += step;
            }
        }
        let result: Vec<Value> =
            series.into_iter().map(|(pod, values)| json!({"metric": labels(pod), "values": values})).collect();
        return Said::ok(json!({"status": "success", "data": {"resultType": "matrix", "result": result}}).to_string());
    }
    let limit = usize::try_from(number("limit")).unwrap();
    if limit > 100 {
        return Said::status(
            400,
            "content-type: text/plain\r\n",
            &format!("max entries limit per query exceeded, limit > max_entries_limit_per_query ({limit} > 100)"),
        );
    }
    let mut entries: Vec<_> = lines().into_iter().filter(|(time, ..)| start <= *time && *time < end).collect();
    if parameter(asked, "direction") == "backward" {
        entries.reverse();
    }
    entries.truncate(limit);
    let mut streams: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for (at, pod, line) in entries {
        streams.entry(pod).or_default().push(json!([at.to_string(), line]));
    }
    let result: Vec<Value> =
        streams.into_iter().map(|(pod, values)| json!({"stream": labels(pod), "values": values})).collect();
    Said::ok(json!({"status": "success", "data": {"resultType": "streams", "result": result}}).to_string())
}

#[test]
fn loki_is_asked_as_it_is_documented() {
    let server = Server::start(loki);
    let mut args = vec!["resets", "--loki", &server.url, "-n", "shop", "--query", "{cluster=\"a\"}"];
    args.extend(WINDOW);
    let run = plugin(args).run().exits(0);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(of_any_source(report), of_any_source(from_files()));
    let asked = server.asked();
    assert!(
        decoded(&asked)
            .contains(r#"{cluster="a",namespace="shop",container!~"istio-proxy|istio-init|istio-validation"}"#),
        "{asked}"
    );
    assert!(asked.contains("direction=forward") && asked.contains("limit=100"), "{asked}");
    // What it warns of makes the count incomplete.
    let warning = Server::start(|asked| {
        let said = loki(asked);
        let body = said.body.replacen("{\"status\"", "{\"warnings\":[\"a store did not answer\"],\"status\"", 1);
        let body = if body.contains("warnings") {
            body
        } else {
            body.replacen('{', "{\"warnings\":[\"a store did not answer\"],", 1)
        };
        Said { body, ..said }
    });
    let mut args = vec!["resets", "--loki", &warning.url, "-n", "shop"];
    args.extend(WINDOW);
    plugin(args).run().exits(3).complains("a store did not answer");
}

/// VictoriaLogs' rows. It takes too long for more than an hour, and closes the connection then
/// (`-search.maxQueryDuration`), or says 503 where it has begun no answer.
fn victorialogs(asked: &Asked) -> Said {
    let query = parameter(asked, "query");
    let (from, rest) = query.strip_prefix("_time:[").unwrap().split_once(", ").unwrap();
    let until = rest.split_once(')').unwrap().0;
    let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
    let (from, until) = (at(from), at(until));
    let is_sample = query.ends_with("limit 200");
    let counts = query.contains("| stats by");
    if !is_sample && from.duration_until(until) > jiff::SignedDuration::from_hours(1) {
        return if counts { Said::status(503, "", "maxQueryDuration") } else { Said::status(CLOSED, "", "") };
    }
    let within = |nanos: i128| (from.as_nanosecond()..until.as_nanosecond()).contains(&nanos);
    let found: Vec<_> = lines().into_iter().filter(|(nanos, ..)| within(*nanos)).collect();
    let time = |nanos: i128| format!("{:.9}", jiff::Timestamp::from_nanosecond(nanos).unwrap());
    let mut rows = Vec::new();
    if counts {
        let (_, step) = query.split_once("_time:").unwrap().1.split_once("_time:").unwrap();
        let step = step.split_once("s)").unwrap().0.parse::<i128>().unwrap() * 1_000_000_000;
        let mut groups: BTreeMap<(i128, &str), Vec<i128>> = BTreeMap::new();
        for (nanos, pod, _) in &found {
            groups.entry((nanos.div_euclid(step) * step, pod)).or_default().push(*nanos);
        }
        for ((start, pod), times) in groups {
            rows.push(json!({
                "_time": time(start), "pod": pod, "container": "app", "namespace": "shop",
                "ma_count": times.len().to_string(), "ma_first": time(times[0]), "ma_last": time(*times.last().unwrap()),
            }));
        }
    } else {
        for (nanos, pod, line) in found.iter().rev().take(if is_sample { 200 } else { usize::MAX }) {
            rows.push(json!({
                "_time": time(*nanos), "pod": pod, "container": "app", "namespace": "shop", "_msg": line,
            }));
        }
    }
    Said::ok(rows.iter().map(|row| format!("{row}\n")).collect::<String>())
}

#[test]
fn what_takes_too_long_is_asked_for_in_parts() {
    let server = Server::start(victorialogs);
    let mut args = vec!["resets", "--victorialogs", &server.url, "-n", "shop"];
    args.extend(WINDOW);
    let report: Value = serde_json::from_str(&plugin(args).run().exits(0).stdout).unwrap();
    assert_eq!(of_any_source(report), of_any_source(from_files()));
}

/// Splunk's export: one object a line, the youngest event first.
fn splunk(asked: &Asked) -> Said {
    assert_eq!(asked.line, "POST /services/search/v2/jobs/export");
    let search = parameter(asked, "search");
    assert!(search.starts_with("search (index=prod)") && parameter(asked, "output_mode") == "json", "{search}");
    let nanos = |name: &str| {
        let text = parameter(asked, name);
        let (seconds, fraction) = text.split_once('.').unwrap();
        seconds.parse::<i128>().unwrap() * 1_000_000_000 + fraction.parse::<i128>().unwrap()
    };
    let (start, end) = (nanos("earliest_time"), nanos("latest_time"));
    let within: Vec<_> = lines().into_iter().filter(|(time, ..)| start <= *time && *time < end).collect();
    let mut rows = vec![json!({"preview": true, "offset": 0, "result": {"_raw": "a preview"}})];
    if search.contains("stats count") {
        let (_, step) = search.split_once("floor(_time/").unwrap();
        let step = step.split_once(')').unwrap().0.parse::<i128>().unwrap() * 1_000_000_000;
        let mut groups: BTreeMap<(i128, &str), Vec<i128>> = BTreeMap::new();
        for (at, pod, _) in &within {
            groups.entry((at.div_euclid(step) * step, pod)).or_default().push(*at);
        }
        for ((start, pod), times) in groups {
            let second = |at: i128| format!("{:.6}", at as f64 / 1e9);
            rows.push(json!({"preview": false, "result": {
                "ma_start": (start / 1_000_000_000).to_string(), "k8s.namespace.name": "shop", "k8s.pod.name": pod,
                "k8s.container.name": "app", "ma_count": times.len().to_string(),
                "ma_first": second(times[0]), "ma_last": second(*times.last().unwrap()),
            }}));
        }
    } else {
        for (at, pod, line) in within.into_iter().rev() {
            let time = jiff::Timestamp::from_nanosecond(at).unwrap();
            rows.push(json!({"preview": false, "result": {
                "_time": format!("{time:.9}").replace('Z', "+00:00"), "_raw": line, "k8s.namespace.name": "shop",
                "k8s.pod.name": pod, "k8s.container.name": "app", "index": "prod", "sourcetype": "kube:container:app",
            }}));
        }
    }
    Said::ok(rows.iter().map(|row| format!("{row}\n")).collect::<String>())
}

#[test]
fn splunk_is_asked_as_it_is_documented() {
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    std::fs::write(&token, "abc123").unwrap();
    let token = token.display().to_string();
    let server = Server::start(|asked| {
        assert!(asked.header.contains("authorization: Splunk abc123"), "{}", asked.header);
        splunk(asked)
    });
    let ask = |url: &str| {
        let mut args =
            vec!["resets", "--splunk", url, "--query", "index=prod", "--store-token-file", &token, "-n", "shop"];
        args.extend(WINDOW);
        plugin(args).run()
    };
    let run = ask(&server.url).exits(0);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(of_any_source(report), of_any_source(from_files()));
    let said = Server::start(|asked| {
        let mut said = splunk(asked);
        said.body
            .insert_str(0, "{\"preview\":false,\"messages\":[{\"type\":\"WARN\",\"text\":\"peer idx-2 is down\"}]}\n");
        said
    });
    ask(&said.url).exits(3).complains("peer idx-2 is down");
    let fatal =
        Server::start(|_| Said::ok("{\"messages\":[{\"type\":\"FATAL\",\"text\":\"Unknown search command\"}]}\n"));
    ask(&fatal.url).exits(4).complains("Unknown search command");
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
        run.complains("resets --from FILE");
    }
}
