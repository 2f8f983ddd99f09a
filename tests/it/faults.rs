//! Everything that can go wrong with the API server and with proxies, each as a row: what is sent, and what is said.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::{Duration, Instant};

use meshaudit_sandbox::faults::{ApiAnswer, Fault};
use meshaudit_sandbox::{Sandbox, canned};
use serde_json::Value;

use crate::{Run, faults_are_as_documented, plugin};

/// The pods of a canned mesh, by name.
pub(crate) fn pods(sandbox: &Sandbox) -> Vec<(String, String)> {
    let audit = plugin(["timeouts", "-A", "-o", "json", "--no-evidence"]).on(sandbox).json();
    let sets = audit["proxySets"].as_object().unwrap().values();
    let names =
        sets.flat_map(|set| set.as_array().unwrap()).map(|name| name.as_str().unwrap().split_once('/').unwrap());
    let mut names: Vec<(String, String)> = names.map(|(a, b)| (a.to_owned(), b.to_owned())).collect();
    names.sort();
    names.dedup();
    names
}

fn failed(audit: &Value) -> BTreeMap<String, (String, String)> {
    let failed = audit["coverage"]["failed"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    failed.map(|entry| (text(&entry["proxy"]), (text(&entry["cause"]), text(&entry["message"])))).collect()
}

/// Runs, and holds that it ended soon and used little memory.
fn bounded(args: &[&str], sandbox: &Sandbox, longest: Duration) -> Run {
    let started = Instant::now();
    let run = plugin(args).on(sandbox).run();
    assert!(started.elapsed() < longest, "{:?}: {run:?}", started.elapsed());
    assert!(run.stderr.len() < 20_000, "{} bytes of stderr", run.stderr.len());
    run
}

/// `mib` MiB of blanks, packed.
fn bomb(mib: usize) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let blanks = vec![b' '; 1 << 20];
    for _ in 0..mib {
        packed.write_all(&blanks).unwrap();
    }
    packed.finish().unwrap()
}

/// What a run says is wrong.
pub(crate) fn error_of(run: &Run) -> String {
    let line = run.stderr.lines().find_map(|line| line.strip_prefix("error: "));
    line.unwrap_or_else(|| panic!("no error: {run:?}")).to_owned()
}

#[test]
fn every_fault_of_the_api_server_is_named_in_time() {
    let sandbox = Sandbox::start(canned::mesh(2, 3)).unwrap();
    let list = |status: u16, body: &str| ApiAnswer::new("list", "pods", status, body);
    let page = |token: &str| {
        format!(r#"{{"kind":"PodList","apiVersion":"v1","metadata":{{"continue":"{token}"}},"items":[]}}"#)
    };
    let long = format!("<html><head><title>Bad gateway</title></head>{}", "x".repeat(2 << 20));
    let many = format!(r#"{{"kind":"PodList","items":[{}{{}}]}}"#, "{},".repeat(4 << 20));
    let endless = ApiAnswer { repeat: vec![b' '; 1 << 20], ..list(200, "{") };
    let rows: Vec<(&str, ApiAnswer, &str)> = vec![
        ("401", list(401, "Unauthorized"), "does not accept these credentials"),
        ("403", list(403, "no"), "no"),
        ("404", list(404, "404 page not found"), "404 page not found"),
        ("409", list(409, ""), "answered 409: Conflict"),
        ("410", list(410, "gone"), "gone"),
        ("500", list(500, "etcd"), "answered 500: etcd"),
        ("html", list(500, &long), "a page of HTML: \"Bad gateway\""),
        ("login page", list(200, "<html><title>Log in"), "not JSON"),
        ("garbage", list(200, "\u{1}\u{2}garbage"), "not JSON"),
        ("another kind", list(200, r#"{"kind":"Status","metadata":{}}"#), "Status"),
        ("cut", list(200, r#"{"kind":"PodList","items":[{"metadata":"#), "ends early"),
        (
            "retry after an hour",
            ApiAnswer { headers: vec![("retry-after", "3600".to_owned())], ..list(429, "later") },
            "busy",
        ),
        ("slow headers", ApiAnswer { pause_ms: 60_000, ..list(200, "") }, "did not answer within 2s"),
        ("slow body", ApiAnswer { pause_ms: 500, repeat: vec![b' '], ..list(200, "{") }, "did not answer within 2s"),
        ("looping continue", list(200, &page("again")), "does not end"),
        ("long continue", list(200, &page(&"x".repeat(1 << 20))), "larger than 64 KiB"),
        ("endless body", endless, "MiB"),
        (
            "bomb",
            ApiAnswer { headers: vec![("content-encoding", "gzip".to_owned())], body: bomb(300), ..list(200, "") },
            "256 MiB",
        ),
        (
            "an object of 8 MiB",
            list(200, &format!(r#"{{"kind":"PodList","items":[{{"x":"{}"}}]}}"#, "x".repeat(8 << 20))),
            "3 MiB",
        ),
        ("four million objects", list(200, &many), "MiB of pods"),
    ];
    let mut table = Vec::new();
    for (name, answer, words) in rows {
        sandbox.answer(answer);
        // What is large may take its time to be read where the machine is slow; then that is said.
        let large = matches!(name, "endless body" | "bomb" | "four million objects");
        let patience = if large { "60s" } else { "2s" };
        let args = ["timeouts", "-A", "-o", "json", "--request-timeout", patience, "--timeout", "90s"];
        let run = bounded(&args, &sandbox, Duration::from_secs(100)).exits(4);
        assert!(run.stderr.contains(words), "{name}: {words:?} is not in: {}", run.stderr);
        assert!(run.stderr.lines().all(|line| line.chars().count() < 500), "{name}: {}", run.stderr);
        table.push((name.to_owned(), error_of(&run)));
    }
    faults_are_as_documented("lists", &table);
}

#[test]
fn every_answer_of_a_proxy_is_named() {
    let sandbox = Sandbox::start(canned::mesh(20, 3)).unwrap();
    let pods = pods(&sandbox);
    let ok = "HTTP/1.1 200 OK\r\n";
    let chunked = |body: &str| format!("{ok}Transfer-Encoding: chunked\r\n\r\n{body}");
    let sized = |body: &str| format!("{ok}Content-Length: {}\r\n\r\n{body}", body.len());
    let raw = |answer: String| Fault::Raw { answer, repeat: String::new() };
    let endless =
        |begin: &str, repeat: &str| Fault::Raw { answer: format!("{ok}\r\n{begin}"), repeat: repeat.repeat(64) };
    let rows: Vec<(&str, Fault, &str)> = vec![
        ("another protocol", raw("SSH-2.0-OpenSSH_9.6\r\n".to_owned()), "not-envoy"),
        ("a page of HTML", raw(sized("<html><title>nginx</title>")), "not-envoy"),
        ("other JSON", raw(sized(r#"{"stats":[]}"#)), "not-envoy"),
        ("`null`", raw(sized("null")), "not-envoy"),
        ("an array of numbers", raw(sized("[1, 2]")), "not-envoy"),
        ("control and bidirectional characters", raw(sized("\u{202e}\u{1b}[31m")), "not-envoy"),
        ("less than its Content-Length", raw(format!("{ok}Content-Length: 5000\r\n\r\n{{\"configs\": [")), "truncated"),
        ("chunks that are none", raw(chunked("zz\r\n")), "not-envoy"),
        ("a dump that is cut", raw(sized(r#"{"configs": [{"cluster": "#)), "truncated"),
        (
            "gzip, which was not asked for",
            raw(format!("{ok}Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\u{1f}xx")),
            "not-envoy",
        ),
        ("503", raw("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy".to_owned()), "not-envoy"),
        ("nothing", raw(String::new()), "unreachable"),
        ("a dump without end", endless("{\"configs\": [", "{\"a\": 1}, "), "too-large"),
        ("nesting without end", endless("", "[[[[[[[["), "not-envoy"),
        ("the same in a cluster", endless("{\"configs\": [{\"cluster\": ", "[[[[[[[["), "too-large"),
        ("five megabytes on the error channel", Fault::ErrorChannel { message: "x".repeat(5_000_000) }, "unreachable"),
        (
            "the kubelet lost the container",
            Fault::ErrorChannel { message: "failed to find sandbox \"a1b2\" in store: not found".to_owned() },
            "unreachable",
        ),
        (
            "no such port in the pod",
            Fault::ErrorChannel { message: "error forwarding port 15000: connection refused".to_owned() },
            "unreachable",
        ),
    ];
    for ((namespace, pod), (_, fault, _)) in pods.iter().zip(&rows) {
        sandbox.fault(namespace, pod, fault.clone());
    }
    let args = ["timeouts", "-A", "-o", "json", "--request-timeout", "240s", "--timeout", "480s", "--no-evidence"];
    let audit = plugin(args).on(&sandbox).json();
    let found = failed(&audit);
    let mut table = Vec::new();
    for ((namespace, pod), (what, _, cause)) in pods.iter().zip(&rows) {
        let (said, message) = &found[&format!("{namespace}/{pod}")];
        table.push(((*what).to_owned(), format!("`{said}`: {message}")));
        assert_eq!(said, cause, "{what}: {message}");
        assert!(message.chars().count() < 420, "{what}: {message}");
        assert!(!message.contains(['\u{1b}', '\u{202e}']), "{what}: {message:?}");
    }
    assert_eq!(audit["coverage"]["audited"], 20 - rows.len(), "{found:?}");
    faults_are_as_documented("answers", &table);
}

#[test]
fn proxies_that_hang_do_not_starve_the_others() {
    let sandbox = Sandbox::start(canned::mesh(220, 2)).unwrap();
    let pods = pods(&sandbox);
    for (namespace, pod) in &pods[..200] {
        sandbox.fault(namespace, pod, Fault::Hang);
    }
    let args = ["timeouts", "-A", "-o", "json", "--request-timeout", "8s", "--timeout", "25s", "--no-evidence"];
    let started = Instant::now();
    let audit = plugin(args).on(&sandbox).json();
    assert!(started.elapsed() < Duration::from_secs(40), "{:?}", started.elapsed());
    assert_eq!(audit["coverage"]["audited"], 20, "{}", audit["coverage"]);
    assert_eq!(failed(&audit).len(), 200);

    // `clusters` reads one after the other.
    let args = ["clusters", "-A", "-o", "json", "--request-timeout", "8s", "--timeout", "40s"];
    let run = plugin(args).on(&sandbox).run().exits(3);
    let proxies: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(proxies.as_object().map(serde_json::Map::len), Some(20), "{}", run.stderr);
    assert_eq!(run.stderr.matches(" was not read (timeout)").count(), 200, "{}", run.stderr);
}

#[test]
fn fifty_of_five_hundred_fail_and_each_is_named() {
    let sandbox = Sandbox::start(canned::mesh(500, 2)).unwrap();
    let pods = pods(&sandbox);
    let kinds = [
        Fault::Forbidden,
        Fault::Gone,
        Fault::ErrorChannel { message: "lost connection to pod".to_owned() },
        Fault::PortClosed,
        Fault::Hang,
        Fault::Reset,
        Fault::Truncated { bytes: 300 },
        Fault::NotEnvoy,
        Fault::Raw { answer: "garbage\r\n\r\n".to_owned(), repeat: String::new() },
        Fault::Raw { answer: String::new(), repeat: String::new() },
    ];
    // The same everywhere, and in no order of the names.
    let bad: BTreeMap<String, &Fault> = (0..50)
        .map(|index| (&pods[(index * 211 + 17) % 500], &kinds[index % kinds.len()]))
        .map(|((namespace, pod), fault)| {
            sandbox.fault(namespace, pod, fault.clone());
            (format!("{namespace}/{pod}"), fault)
        })
        .collect();
    assert_eq!(bad.len(), 50);
    let args = [
        "timeouts",
        "-A",
        "-o",
        "json",
        "--request-timeout",
        "5s",
        "--timeout",
        "120s",
        "--fail-on",
        "never",
        "--no-evidence",
    ];
    let run = bounded(&args, &sandbox, Duration::from_secs(150)).exits(3);
    let audit: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(audit["coverage"]["audited"], 450);
    let found = failed(&audit);
    assert_eq!(found.keys().collect::<Vec<_>>(), bad.keys().collect::<Vec<_>>());
    for (name, fault) in bad {
        let cause = match fault {
            Fault::Forbidden => "forbidden",
            Fault::Gone => "gone",
            Fault::Hang => "timeout",
            Fault::Truncated { .. } => "truncated",
            Fault::NotEnvoy => "not-envoy",
            Fault::Raw { answer, .. } if !answer.is_empty() => "not-envoy",
            _ => "unreachable",
        };
        assert_eq!(found[&name].0, cause, "{fault:?}: {:?}", found[&name]);
    }
}

#[test]
fn what_was_not_read_is_named_in_a_document_also_where_nothing_was() {
    let sandbox = Sandbox::start(canned::mesh(3, 2)).unwrap();
    for (namespace, pod) in pods(&sandbox) {
        sandbox.fault(&namespace, &pod, Fault::PortClosed);
    }
    let run = plugin(["timeouts", "-A", "-o", "json"]).on(&sandbox).run().exits(4);
    let audit: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(failed(&audit).len(), 3);
    let run = plugin(["timeouts", "-A"]).on(&sandbox).run().exits(4);
    assert_eq!(run.stderr.matches("connection refused").count(), 3, "{}", run.stderr);
}

#[test]
fn the_deadline_covers_what_comes_after_the_proxies() {
    let sandbox = Sandbox::start(canned::mesh(2, 2)).unwrap();
    for resource in ["destinationrules", "configmaps", "deployments"] {
        for verb in ["list", "get"] {
            sandbox.answer(ApiAnswer { pause_ms: 600_000, ..ApiAnswer::new(verb, resource, 200, "") });
        }
    }
    let args = ["timeouts", "-A", "-o", "json", "--timeout", "4s", "--request-timeout", "0", "--no-evidence"];
    let run = bounded(&args, &sandbox, Duration::from_secs(20));
    let audit: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(audit["coverage"]["audited"], 2, "{}", run.stderr);
}

#[test]
fn a_context_that_is_down_costs_only_itself() {
    let sandbox = Sandbox::start(canned::mesh(3, 2)).unwrap();
    let args = ["timeouts", "-A", "-o", "json", "--context", "sandbox", "--context", "gone", "--context", "nonesuch"];
    let run =
        plugin([&args[..], &["--fail-on", "never", "--request-timeout", "3s"]].concat()).on(&sandbox).run().exits(3);
    let audit: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(audit["coverage"]["audited"], 3);
    let lost: Vec<String> = failed(&audit).into_keys().collect();
    assert_eq!(lost, ["gone/*", "nonesuch/*"]);
    plugin(["timeouts", "--context", "gone", "--context", "nonesuch"]).on(&sandbox).run().exits(4);
    // Whatever reads several.
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("mesh.tar.gz");
    let siblings: [&[&str]; 5] = [
        &["timeouts", "--fail-on", "never"],
        &["timeouts", "--fail-on", "never", "-o", "ndjson"],
        &["fix"],
        &["verify", "--expect", "10s"],
        &["snapshot", file.to_str().unwrap()],
    ];
    for args in siblings {
        let contexts = ["-A", "--context", "gone", "--context", "sandbox", "--request-timeout", "3s"];
        let run = plugin([args, &contexts].concat()).on(&sandbox).run();
        let said = format!("{}{}", run.stdout, run.stderr);
        // Stragglers are worse than what is missing.
        assert!(run.code == 3 || (args[0] == "verify" && run.code == 1), "{args:?}: {run:?}");
        assert!(said.contains("gone") || said.contains("could not be read"), "{args:?}: {said}");
    }
}
