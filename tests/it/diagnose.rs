//! `diagnose`: recorded logs of real Envoys, each held to its cause; the incident's log; layouts and wrappers.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use meshaudit::decode::log::{Lines, LogDecoder, wrapped_rest};
use meshaudit::diagnose::{Cause, Confidence, DiagnoseOptions, Diagnoser, Diagnosis};
use meshaudit::model::{ClusterTimeouts, LogContent};
use proptest::prelude::*;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/logs")
}

/// What a log says, and how many of its lines nobody knows.
fn diagnose_with(log: &[u8], timeouts: ClusterTimeouts) -> (Diagnosis, u64) {
    let mut decoder = LogDecoder::new(Vec::new());
    let mut diagnoser = Diagnoser::new(DiagnoseOptions { timeouts, ..DiagnoseOptions::default() });
    let mut lines = Lines::new(log);
    while let Some(line) = lines.next_line().unwrap() {
        let Some(record) = decoder.decode(line) else { continue };
        if let (LogContent::Continuation, Some(rest)) = (&record.content, wrapped_rest(record.text)) {
            diagnoser.amend("", &record, &rest);
        }
        diagnoser.push(&record, "");
    }
    (diagnoser.finish(), decoder.counts.unrecognized)
}

fn diagnose(log: &[u8]) -> Diagnosis {
    diagnose_with(log, ClusterTimeouts::new()).0
}

/// Every recording, with the causes its directory names.
fn recordings() -> Vec<(PathBuf, BTreeSet<String>)> {
    let mut recordings = Vec::new();
    for directory in std::fs::read_dir(fixtures().join("recorded")).unwrap() {
        let directory = directory.unwrap().path();
        let name = directory.file_name().unwrap().to_string_lossy().into_owned();
        let causes: BTreeSet<String> =
            if name == "healthy" { BTreeSet::new() } else { name.split('+').map(str::to_owned).collect() };
        for file in std::fs::read_dir(&directory).unwrap() {
            recordings.push((file.unwrap().path(), causes.clone()));
        }
    }
    recordings.sort();
    assert!(recordings.len() > 200, "{} recordings", recordings.len());
    recordings
}

fn causes(diagnosis: &Diagnosis) -> BTreeSet<String> {
    diagnosis.entries.iter().map(|entry| entry.event.cause.as_str().to_owned()).collect()
}

#[test]
fn each_recording_gives_its_cause() {
    let mut wrong = Vec::new();
    for (path, expected) in recordings() {
        let (diagnosis, _) = diagnose_with(&std::fs::read(&path).unwrap(), ClusterTimeouts::new());
        let found = causes(&diagnosis);
        if found != expected {
            wrong.push(format!("{}: {found:?}", path.strip_prefix(fixtures()).unwrap().display()));
        }
    }
    assert!(wrong.is_empty(), "{} recordings:\n{}", wrong.len(), wrong.join("\n"));
}



/// Whether a cause that a part of a log is certain of agrees with what the whole says: it is one of its causes, or
/// the general word for one of them.
fn agrees(cause: Cause, whole: &Diagnosis) -> bool {
    whole.entries.iter().any(|entry| entry.event.cause == cause || entry.event.cause.refines(cause))
}

#[test]
fn access_log_and_debug_lines_alone_never_contradict_the_whole() {
    let mut silent = Vec::new();
    for (path, _) in recordings() {
        let log = std::fs::read_to_string(&path).unwrap();
        let whole = diagnose(log.as_bytes());
        let is_access = |line: &&str| line.starts_with("[20") && line.contains("Z] \"") || line.contains("\"response_flags\"");
        for (part, name) in [
            (log.lines().filter(is_access).collect::<Vec<_>>(), "access log"),
            (log.lines().filter(|line| !is_access(line)).collect::<Vec<_>>(), "debug lines"),
        ] {
            let found = diagnose(part.join("\n").as_bytes());
            for entry in &found.entries {
                let event = &entry.event;
                assert!(
                    event.confidence != Confidence::Certain || agrees(event.cause, &whole),
                    "{}: {name} alone: {}", path.display(), event.cause
                );
            }
            if found.entries.is_empty() && !whole.entries.is_empty() {
                silent.push(format!("{} {name}", path.file_name().unwrap().to_string_lossy()));
            }
        }
    }
    // What one of the two does not show at all: TCP has no flags for these, and Envoy no debug lines for those.
    silent.retain(|name| {
        !["blackhole_http", "listener_filter", "plaintext_to_tls_inbound", "listener_replaced", "tcp_idle", "reset_tcp.1.36",
          "overflow_tcp", "application_error"]
            .iter()
            .any(|known| name.starts_with(known))
    });
    assert!(silent.is_empty(), "{silent:#?}");
}

#[test]
fn the_log_of_the_incident() {
    let log = std::fs::read(fixtures().join("incident/2020-05-29.log")).unwrap();
    let diagnosis = diagnose(&log);
    assert_eq!(diagnosis.entries.len(), 1, "{diagnosis:#?}");
    let entry = &diagnosis.entries[0];
    assert_eq!((entry.event.cause, entry.event.confidence, entry.occurrences), (Cause::ConnectTimeout, Confidence::Certain, 1));
    assert_eq!(entry.event.upstream.as_deref(), Some("52.0.0.1:443"));
    assert_eq!(entry.event.cluster.as_deref(), Some("outbound|443||api.example.com"));
    assert_eq!(entry.event.host.as_deref(), Some("api.example.com"));
    assert_eq!(entry.event.connect_timeout, Some(Duration::from_secs(1)));
    assert!(entry.event.timeout_inferred);
    assert!((entry.event.waited.unwrap().as_secs_f64() - 1.0).abs() < 0.02);
    assert_eq!(entry.event.flags, ["UF", "URX"]);
}

/// The same log in the wrappers people's logs come in gives the same answer.
#[test]
fn wrappers_change_nothing() {
    let names = ["connect_timeout/connect_timeout_http_retries.1.40.0.text.log", "connect_timeout/connect_timeout_tcp.1.36.4.json.log",
                 "connection_refused/refused_http.1.40.0.text.log", "healthy/healthy_http.1.40.0.text.log"];
    let stamp = "2026-11-23T18:00:00.000000000Z";
    let json = |line: &str| serde_json::to_string(line).unwrap();
    type Wrap<'a> = (&'a str, Box<dyn Fn(&str) -> String + 'a>);
    let wrappers: Vec<Wrap> = vec![
        ("kubectl --timestamps", Box::new(|line| format!("{stamp} {line}"))),
        ("kubectl --prefix", Box::new(|line| format!("[pod/client-0/istio-proxy] {line}"))),
        ("kubectl --prefix --timestamps", Box::new(|line| format!("[pod/client-0/istio-proxy] {stamp} {line}"))),
        ("stern", Box::new(|line| format!("client-0 istio-proxy {line}"))),
        ("stern in colour", Box::new(|line| format!("\x1b[36mclient-0\x1b[0m \x1b[32mistio-proxy\x1b[0m {line}"))),
        ("docker", Box::new(|line| format!("{{\"log\":{},\"stream\":\"stdout\",\"time\":\"{stamp}\"}}", json(&format!("{line}\n"))))),
        ("compose", Box::new(|line| format!("envoy-1  | {line}"))),
        ("CRI", Box::new(|line| format!("{stamp} stdout F {line}"))),
        ("CRI in pieces", Box::new(|line| {
            let middle = line.floor_char_boundary(line.len() / 2);
            format!("{stamp} stdout P {}\n{stamp} stdout F {}", &line[..middle], &line[middle..])
        })),
        ("journald", Box::new(|line| format!("Nov 23 18:01:21 node-1 envoy[123]: {line}"))),
        ("shipper, log", Box::new(|line| format!("{{\"log\":{},\"kubernetes\":{{\"pod\":\"a\"}}}}", json(line)))),
        ("shipper, message", Box::new(|line| format!("{{\"@timestamp\":\"{stamp}\",\"level\":\"info\",\"message\":{}}}", json(line)))),
        ("shipper, msg", Box::new(|line| format!("{{\"msg\":{}}}", json(line)))),
        ("CRI within docker", Box::new(|line| format!("{{\"log\":{}}}", json(&format!("{stamp} stdout F {line}"))))),
        ("quoted", Box::new(|line| format!("> {line}"))),
        ("quoted twice", Box::new(|line| format!("> > {line}"))),
        ("carriage returns", Box::new(|line| format!("{line}\r"))),
    ];
    for name in names {
        let log = std::fs::read_to_string(fixtures().join("recorded").join(name)).unwrap();
        let whole = diagnose(log.as_bytes());
        for (wrapper, wrap) in &wrappers {
            let wrapped: Vec<_> = log.lines().map(wrap).collect();
            let (found, unrecognized) = diagnose_with(wrapped.join("\n").as_bytes(), ClusterTimeouts::new());
            assert_eq!(summary(&found), summary(&whole), "{name} in {wrapper}");
            assert_eq!(unrecognized, 0, "{name} in {wrapper}");
        }
        // These mark single lines, so that the rest of a record may be lost; the answer is not.
        for (wrapper, wrap) in [
            ("grep -n", Box::new(|line: &str| format!("12:{line}")) as Box<dyn Fn(&str) -> String>),
            ("grep -Hn", Box::new(|line: &str| format!("proxy.log:12:{line}"))),
            ("lost tabs", Box::new(|line: &str| line.replace('\t', " "))),
            ("marked", Box::new(|line: &str| line.replace("connect timeout", "**connect timeout**"))),
        ] {
            let wrapped: Vec<_> = log.lines().map(wrap).collect();
            assert_eq!(causes_and_counts(&diagnose(wrapped.join("\n").as_bytes())), causes_and_counts(&whole), "{name} in {wrapper}");
        }
    }
}

type Summary = Vec<(Cause, Confidence, u64, Option<String>, Option<String>, u32, Option<Duration>)>;

fn summary(diagnosis: &Diagnosis) -> Summary {
    diagnosis
        .entries
        .iter()
        .map(|entry| {
            let event = &entry.event;
            (event.cause, event.confidence, entry.occurrences, event.cluster.clone(), event.upstream.clone(), event.attempts, event.waited)
        })
        .collect()
}

fn causes_and_counts(diagnosis: &Diagnosis) -> Vec<(Cause, u64)> {
    diagnosis.entries.iter().map(|entry| (entry.event.cause, entry.occurrences)).collect()
}

/// What one call was is one occurrence, whichever of its lines were seen.
#[test]
fn a_call_is_counted_once() {
    for (path, _) in recordings() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let expected = match name.split('.').next().unwrap() {
            "connect_timeout_twice_and_healthy" | "overflow_pending" | "overflow_tcp" | "response_timeout_new_connection_each" => 2,
            _ => 1,
        };
        for entry in diagnose(&std::fs::read(&path).unwrap()).entries {
            assert_eq!(entry.occurrences, expected, "{name}: {}", entry.event.cause);
            let tries = if name.contains("_retries") { 3 } else { 1 };
            if entry.event.cause.is_failure_to_connect() {
                assert_eq!(entry.event.attempts, tries, "{name}");
            }
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_log(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        diagnose(&bytes);
    }

    /// Lines that begin as those of a log do, and go on as they please.
    #[test]
    fn any_text_is_a_log(lines in proptest::collection::vec(
        (proptest::sample::select(vec![
            "[2020-05-29 22:04:05.066][27][debug][pool] [a.cc:1] [C1] ", "2026-11-23T18:01:21.105242Z\tdebug\tenvoy pool a.cc:1\t[Tags: \"ConnectionId\":\"1\"] ",
            "[2026-11-23T18:01:21.125Z] \"", "{\"log\":\"", "{\"level\":\"debug\",\"scope\":\"envoy pool\",\"msg\":\"", "2026-11-23T18:01:21Z stdout P ", "[", "> **", "12:", "\u{1b}[",
        ]), ".{0,60}"), 0..30)) {
        let log: String = lines.iter().map(|(head, tail)| format!("{head}{tail}\n")).collect();
        diagnose(log.as_bytes());
    }

    /// Lines that are missing make an answer less sure; they never make it another one.
    #[test]
    fn cutting_lines_never_makes_another_certain_cause(
        which in any::<proptest::sample::Index>(),
        keep in proptest::collection::vec(any::<bool>(), 1..64),
        from in 0..60_usize,
        length in 0..60_usize,
        scattered in any::<bool>(),
    ) {
        let recordings = recordings();
        let (path, _) = which.get(&recordings);
        let log = std::fs::read_to_string(path).unwrap();
        let whole = diagnose(log.as_bytes());
        let kept: Vec<_> = log.lines().enumerate()
            .filter(|(at, _)| if scattered { keep[at % keep.len()] } else { !(from..from + length).contains(at) })
            .map(|(_, line)| line)
            .collect();
        for entry in diagnose(kept.join("\n").as_bytes()).entries {
            let event = entry.event;
            prop_assert!(
                event.confidence != Confidence::Certain || agrees(event.cause, &whole),
                "{}: {}", path.display(), event.cause
            );
        }
    }
}
