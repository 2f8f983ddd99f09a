//! `diagnose`: recorded logs of real Envoys, each held to its cause; the incident's log; layouts and wrappers.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use meshaudit::decode::log::LogDecoder;
use meshaudit::diagnose::{Cause, Confidence, DiagnoseOptions, Diagnoser, Diagnosis};
use meshaudit::input::{Lines, Text};
use meshaudit::model::ClusterTimeouts;
use meshaudit_sandbox::incident::LOSSY_CLUSTER;
use meshaudit_sandbox::{Sandbox, canned};
use proptest::prelude::*;
use serde_json::json;

use crate::{incident, on_incident, plugin};

pub(crate) fn fixtures() -> PathBuf {
    crate::project().join("tests/fixtures/logs")
}

fn decoder() -> LogDecoder {
    LogDecoder::new(Vec::new(), "2026-11-28T00:00:00Z".parse().unwrap())
}

/// What a log says, and how many of its lines nobody knows.
pub(crate) fn diagnose_with(log: &[u8], timeouts: ClusterTimeouts) -> (Diagnosis, u64) {
    let mut decoder = decoder();
    let mut diagnoser = Diagnoser::new(DiagnoseOptions { timeouts, ..DiagnoseOptions::default() });
    // What is no text is refused before it is a log.
    let Ok(text) = Text::new(log) else { return (diagnoser.finish(), 0) };
    let mut lines = Lines::new(text);
    while let Some(line) = lines.next_line().unwrap() {
        decoder.push(line, &mut |record| drop(diagnoser.push(record, "")));
    }
    decoder.finish(&mut |record| drop(diagnoser.push(record, "")));
    (diagnoser.finish(), decoder.counts().unrecognized)
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
        let is_access =
            |line: &&str| line.starts_with("[20") && line.contains("Z] \"") || line.contains("\"response_flags\"");
        for (part, name) in [
            (log.lines().filter(is_access).collect::<Vec<_>>(), "access log"),
            (log.lines().filter(|line| !is_access(line)).collect::<Vec<_>>(), "debug lines"),
        ] {
            let found = diagnose(part.join("\n").as_bytes());
            for entry in &found.entries {
                let event = &entry.event;
                assert!(
                    event.confidence != Confidence::Certain || agrees(event.cause, &whole),
                    "{}: {name} alone: {}",
                    path.display(),
                    event.cause
                );
            }
            if found.entries.is_empty() && !whole.entries.is_empty() {
                silent.push(format!("{} {name}", path.file_name().unwrap().to_string_lossy()));
            }
        }
    }
    // What one of the two does not show at all: TCP has no flags for these, and Envoy no debug lines for those.
    silent.retain(|name| {
        ![
            "blackhole_http",
            "listener_filter",
            "plaintext_to_tls_inbound",
            "listener_replaced",
            "tcp_idle",
            "reset_tcp.1.36",
            "overflow_tcp",
            "application_error",
            "connection_limit_filter",
        ]
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
    assert_eq!(
        (entry.event.cause, entry.event.confidence, entry.occurrences),
        (Cause::ConnectTimeout, Confidence::Certain, 1)
    );
    assert_eq!(entry.event.upstream.as_deref(), Some("52.0.0.1:443"));
    assert_eq!(entry.event.cluster.as_deref(), Some("outbound|443||api.example.com"));
    assert_eq!(entry.event.host.as_deref(), Some("api.example.com"));
    assert_eq!(entry.event.connect_timeout, Some(Duration::from_secs(1)));
    assert!(entry.event.timeout_inferred);
    assert!((entry.event.waited.unwrap().as_secs_f64() - 1.0).abs() < 0.02);
    assert_eq!(entry.event.flags, ["UF", "URX"]);
}

/// What one call was is one occurrence, whichever of its lines were seen.
#[test]
fn a_connection_older_than_the_log_is_counted_once() {
    let log = b"2026-11-23T19:14:09.350129Z\tdebug\tenvoy pool source/common/conn_pool/conn_pool_base.cc:952\t\
        [Tags: \"ConnectionId\":\"2\"] connect timeout\tthread=12\n\
        2026-11-23T19:14:09.350262Z\tdebug\tenvoy filter source/common/tcp_proxy/tcp_proxy.cc:1103\t\
        [Tags: \"ConnectionId\":\"1\"] connect timeout\tthread=12\n\
        [2026-11-23T19:14:08.350Z] \"- - -\" 0 UF,URX - - \"-\" 0 0 1000 - \"-\" \"-\" \"-\" \"-\" \"52.0.0.1:443\" \
        outbound|443||api.example.com - 10.0.0.1:443 10.0.0.2:38560 - -\n";
    let diagnosis = diagnose(log);
    let [entry] = &diagnosis.entries[..] else { panic!("{:?}", diagnosis.entries) };
    assert_eq!((entry.event.cause, entry.occurrences), (Cause::ConnectTimeout, 1));
    assert_eq!(entry.event.cluster.as_deref(), Some("outbound|443||api.example.com"));
    assert_eq!(entry.event.evidence.len(), 3);
}

#[test]
fn a_call_is_counted_once() {
    for (path, _) in recordings() {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let expected = match name.split('.').next().unwrap() {
            "connect_timeout_twice_and_healthy"
            | "overflow_pending"
            | "overflow_tcp"
            | "response_timeout_new_connection_each" => 2,
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

const CLUSTER: &str = "outbound|443||api.example.com";

/// An access log line of Istio 1.9 and later, at a minute of an hour.
fn access(
    minute: u32,
    request: &str,
    outcome: &str,
    transport: &str,
    millis: u64,
    upstream: &str,
    local: &str,
) -> String {
    format!(
        "[2024-03-01T10:{minute:02}:00.000Z] \"{request}\" {outcome} - \"{transport}\" 0 91 {millis} - \"-\" \"curl\" \
         \"id-{minute}\" \"api.example.com\" \"{upstream}\" {CLUSTER} {local} 10.0.0.9:443 10.0.0.5:{} - default\n",
        50_000 + minute
    )
}

fn only(diagnosis: &Diagnosis) -> &meshaudit::diagnose::Event {
    assert_eq!(diagnosis.entries.len(), 1, "{diagnosis:#?}");
    &diagnosis.entries[0].event
}

fn timeouts(seconds: u64) -> ClusterTimeouts {
    ClusterTimeouts::from([(CLUSTER.to_owned(), Duration::from_secs(seconds).into())])
}

#[test]
fn three_times_ten_seconds_is_one_timeout_of_ten() {
    let log = access(
        1,
        "GET / HTTP/1.1",
        "503 URX,UF upstream_reset_before_response_started{connection_failure}",
        "-",
        30_061,
        "52.0.0.1:443",
        "-",
    );
    let diagnosis = diagnose_with(log.as_bytes(), timeouts(10)).0;
    let event = only(&diagnosis);
    assert_eq!(
        (event.cause, event.attempts, event.connect_timeout),
        (Cause::ConnectTimeout, 3, Some(Duration::from_secs(10)))
    );
    assert!(!event.timeout_inferred);
    assert!((event.waited.unwrap().as_secs_f64() - 10.0).abs() < 0.05, "{:?}", event.waited);
    // Without the timeout it is not known whether that was one attempt of 30 s: still a connect timeout, less sure.
    let event = only(&diagnose(log.as_bytes())).clone();
    assert_eq!((event.cause, event.confidence), (Cause::ConnectTimeout, Confidence::Probable));
}

#[test]
fn a_duration_alone_names_nothing() {
    let local = "10.0.0.5:40000";
    for (outcome, local, expected) in [
        ("200 - via_upstream", local, None),
        ("504 UT response_timeout", local, Some(Cause::UpstreamResponseTimeout)),
        (
            "503 UC upstream_reset_before_response_started{connection_termination}",
            local,
            Some(Cause::UpstreamClosedConnection),
        ),
        ("0 DC downstream_remote_disconnect", local, Some(Cause::DownstreamDisconnect)),
        ("502 UPE upstream_reset_before_response_started{protocol_error}", local, Some(Cause::UpstreamProtocolError)),
        (
            "503 UF upstream_reset_before_response_started{remote_connection_failure}",
            local,
            Some(Cause::ConnectionFailureUnspecified),
        ),
        ("504 UT response_timeout", "-", Some(Cause::UpstreamResponseTimeout)),
    ] {
        let log = access(1, "GET / HTTP/1.1", outcome, "-", 1000, "52.0.0.1:443", local);
        let diagnosis = diagnose_with(log.as_bytes(), timeouts(1)).0;
        assert_eq!(diagnosis.entries.first().map(|entry| entry.event.cause), expected, "{outcome}");
    }
}

#[test]
fn a_wait_that_is_not_the_timeout_is_left_open() {
    let log = access(1, "- - -", "0 UF,URX -", "-", 4_300, "52.0.0.1:443", "-");
    let event = only(&diagnose_with(log.as_bytes(), timeouts(10)).0).clone();
    assert_eq!((event.cause, event.confidence), (Cause::ConnectionFailureUnspecified, Confidence::Unknown));
    assert!(event.remedy.contains("debug-log"), "{}", event.remedy);
    let event = only(&diagnose_with(log.as_bytes(), ClusterTimeouts::new()).0).clone();
    assert_eq!(event.confidence, Confidence::Unknown);
}

#[test]
fn local_reset_of_1_15_to_1_17_is_a_connect_timeout_where_the_wait_fits() {
    let modern = access(
        1,
        "GET / HTTP/1.1",
        "503 LR upstream_reset_before_response_started{local_reset}",
        "-",
        1_001,
        "52.0.0.1:443",
        "-",
    );
    // Where details have underscores, a connect timeout has a word of its own.
    assert_eq!(only(&diagnose_with(modern.as_bytes(), timeouts(1)).0).cause, Cause::ConnectionFailureUnspecified);
    let log = modern.replace("{local_reset}", "{local reset}");
    let event = only(&diagnose_with(log.as_bytes(), timeouts(1)).0).clone();
    assert_eq!((event.cause, event.confidence), (Cause::ConnectTimeout, Confidence::Probable));
    let event = only(&diagnose_with(log.as_bytes(), timeouts(7)).0).clone();
    assert_eq!(event.cause, Cause::ConnectionFailureUnspecified);
}

#[test]
fn an_address_that_istio_made_up_needs_no_timeout() {
    let log = access(1, "- - -", "0 UF,URX -", "-", 10_003, "240.240.0.7:443", "-");
    let event = only(&diagnose_with(log.as_bytes(), timeouts(10)).0).clone();
    assert_eq!(event.cause, Cause::ConnectTimeout);
    assert!(event.explanation.contains("240.240.0.0/16") && event.remedy.contains("No timeout helps"), "{event:#?}");
}

#[test]
fn both_ends_of_a_call_are_one_diagnosis() {
    let client = "[pod/client-0/istio-proxy] [2024-03-01T10:00:00.000Z] \"GET / HTTP/1.1\" 503 - via_upstream - \"-\" 0 91 3 2 \"-\" \"curl\" \
         \"call-1\" \"api\" \"10.0.0.9:8080\" outbound|80||api.shop.svc.cluster.local 10.0.0.5:40000 10.96.0.1:80 10.0.0.5:39999 - default\n";
    let server = "[pod/api-0/istio-proxy] [2024-03-01T10:00:00.001Z] \"GET / HTTP/1.1\" 503 UF upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_111} - \
         \"delayed_connect_error:_111\" 0 91 1 - \"-\" \"curl\" \"ID\" \"api\" \"10.0.0.9:8080\" inbound|8080|| - 10.0.0.9:8080 10.0.0.5:40000 - default\n";
    // By request id, and, where the server's log has none, by the connection between them; in either order.
    for id in ["call-1", "-"] {
        let server = server.replace("\"ID\"", &format!("\"{id}\""));
        for log in [format!("{client}{server}"), format!("{server}{client}")] {
            let diagnosis = diagnose(log.as_bytes());
            let event = only(&diagnosis);
            assert_eq!((event.cause, event.source.as_str()), (Cause::ConnectionRefused, "pod/api-0/istio-proxy"));
            if id == "call-1" {
                let other = event.other_end.as_ref().unwrap();
                assert_eq!(
                    (other.source.as_str(), other.outcome.as_str()),
                    ("pod/client-0/istio-proxy", "503 -"),
                    "{log}"
                );
            }
        }
    }
    // Alone, the client's log can only say that the application answered with an error.
    assert_eq!(only(&diagnose(client.as_bytes())).cause, Cause::UpstreamApplicationError);
}

/// A failed connection as Envoy's default layout has it: id, thread, second, address.
fn attempt(id: u32, thread: u32, second: u32, address: &str, ends: bool) -> Vec<String> {
    let line = |second: u32, text: &str| {
        format!("[2024-03-01 10:00:{second:02}.000][{thread}][debug][pool] [source/common/x.cc:1] [C{id}] {text}")
    };
    let mut lines = vec![line(second, &format!("connecting to {address}"))];
    if ends {
        lines.push(line(second + 1, "connect timeout"));
        lines.push(line(second + 1, "closing socket: 1"));
    }
    lines
}

#[test]
fn ids_repeat_across_threads_pods_and_restarts() {
    let one = attempt(1, 20, 0, "10.0.0.1:80", true);
    let other = attempt(1, 21, 0, "10.0.0.2:80", true);
    let interleaved = |one: &[String], other: &[String]| -> String {
        one.iter().zip(other).flat_map(|(one, other)| [format!("{one}\n"), format!("{other}\n")]).collect()
    };
    let upstreams = |log: &str| -> BTreeSet<String> {
        diagnose(log.as_bytes()).entries.iter().filter_map(|entry| entry.event.upstream.clone()).collect()
    };
    let both = BTreeSet::from(["10.0.0.1:80".to_owned(), "10.0.0.2:80".to_owned()]);
    assert_eq!(upstreams(&interleaved(&one, &other)), both, "threads");
    let other = attempt(1, 20, 0, "10.0.0.2:80", true);
    let prefixed = |pod: &str, lines: &[String]| {
        lines.iter().map(|line| format!("[pod/{pod}/istio-proxy] {line}")).collect::<Vec<_>>()
    };
    assert_eq!(upstreams(&interleaved(&prefixed("a", &one), &prefixed("b", &other))), both, "pods");
    let restarted = [
        attempt(1, 20, 0, "10.0.0.1:80", false),
        vec!["[2024-03-01 10:00:00.500][20][info][main] [source/server/server.cc:1] initializing epoch 0".to_owned()],
        other,
    ]
    .concat();
    assert_eq!(upstreams(&restarted.join("\n")), BTreeSet::from(["10.0.0.2:80".to_owned()]), "restart");
}

#[test]
fn open_connections_are_bounded_and_the_dropped_are_counted() {
    let mut decoder = decoder();
    let mut diagnoser = Diagnoser::new(DiagnoseOptions { max_connections: 100, ..DiagnoseOptions::default() });
    for id in 0..1_000 {
        for line in attempt(id, 20, 0, "10.0.0.1:80", false) {
            decoder.push(line.as_bytes(), &mut |record| drop(diagnoser.push(record, "")));
        }
    }
    let line = "[2024-03-01 10:00:01.000][20][debug][pool] [source/common/x.cc:1] [C999] connect timeout";
    decoder.push(line.as_bytes(), &mut |record| drop(diagnoser.push(record, "")));
    let diagnosis = diagnoser.finish();
    assert_eq!(diagnosis.dropped_connections, 900);
    assert_eq!(only(&diagnosis).upstream.as_deref(), Some("10.0.0.1:80"));
}

#[test]
fn a_retry_that_succeeds_is_said_to() {
    let log = std::fs::read_to_string(
        fixtures().join("recorded/connect_timeout/connect_timeout_http_retries.1.40.0.text.log"),
    )
    .unwrap();
    // The second retry is answered in place of timing out.
    let third = log.match_indices("connecting to").nth(2).unwrap().0;
    let end = log[third..].find('\n').unwrap() + third + 1;
    let reset = log.lines().find(|line| line.contains("upstream reset")).unwrap();
    let answered = reset.split("upstream reset").next().unwrap().to_owned()
        + "upstream headers complete: end_stream=false\tthread=1";
    let thread = reset.rsplit_once("thread=").unwrap().1;
    let log = format!("{}{}\n", &log[..end], answered.replace("thread=1", &format!("thread={thread}")));
    let diagnosis = diagnose(log.as_bytes());
    let event = only(&diagnosis);
    assert_eq!((event.cause, event.attempts, event.rescued), (Cause::ConnectTimeout, 2, true));
}

#[test]
fn events_come_while_the_log_is_read() {
    let log =
        std::fs::read(fixtures().join("recorded/connect_timeout/connect_timeout_twice_and_healthy.1.40.0.text.log"))
            .unwrap();
    let mut decoder = decoder();
    let options = DiagnoseOptions { join_window: Duration::from_millis(500), ..DiagnoseOptions::default() };
    let mut diagnoser = Diagnoser::new(options);
    let mut lines = Lines::new(&log[..]);
    let mut early = 0;
    while let Some(line) = lines.next_line().unwrap() {
        decoder.push(line, &mut |record| early += diagnoser.push(record, "").len());
    }
    assert!(early >= 1, "the first failure is told before the log ends");
    // A log that has fallen silent still gives up what it holds.
    let rest = diagnoser.settle("2030-01-01T00:00:00Z".parse().unwrap()).len();
    assert_eq!(early + rest, 2);
    assert_eq!(diagnoser.finish().entries[0].occurrences, 2);
}

/// Runs `diagnose` with an input on stdin.
fn program(arguments: &[&str], stdin: &[u8]) -> (i32, String, String) {
    let run = crate::plugin([&["diagnose"], arguments].concat()).stdin(stdin).run();
    (run.code, run.stdout, run.stderr)
}

fn read_json(arguments: &[&str], stdin: &[u8]) -> serde_json::Value {
    crate::plugin([&["diagnose"], arguments, &["-o", "json"]].concat()).stdin(stdin).json()
}

#[test]
fn the_program_reads_what_it_is_given() {
    let file = fixtures().join("incident/2020-05-29.log");
    let log = std::fs::read(&file).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let whole = read_json(&["--from", file.to_str().unwrap()], b"");
    assert_eq!(whole["kind"], "Diagnosis");
    assert_eq!(whole["input"]["lines"], 18);
    let found = &whole["diagnoses"][0];
    assert_eq!(
        (&found["cause"], &found["seconds"], &found["connectTimeout"]),
        (&"connect_timeout".into(), &1.0.into(), &"1s".into())
    );
    assert_eq!(read_json(&["--from", "-"], &log), whole);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, &log).unwrap();
    let packed = packed.finish().unwrap();
    let path = directory.path().join("proxy");
    std::fs::write(&path, &packed).unwrap();
    assert_eq!(read_json(&["--from", path.to_str().unwrap()], b""), whole);
    assert_eq!(program(&["--from", file.to_str().unwrap()], b"").0, 1);
    assert_eq!(program(&["--from", file.to_str().unwrap(), "--exit-zero"], b"").0, 0);
    assert_eq!(program(&["--from", file.to_str().unwrap(), "--fail-on", "never"], b"").0, 0);
    let (code, out, _) = program(&["--from", "-", "-o", "ndjson"], &log);
    assert_eq!((code, out.lines().count()), (1, 1));
    let (code, out, err) = program(&["--from", fixtures().join("recorded/healthy").to_str().unwrap()], b"");
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("No failed connection in "), "{out}");
    for (input, message) in [(&b""[..], "empty"), (b"hello\nworld\n", "none of the 2 lines")] {
        let (code, out, err) = program(&["--from", "-"], input);
        assert_eq!((code, out.as_str()), (4, ""));
        assert!(err.contains(message) && err.contains("hint:"), "{err}");
    }
    assert_eq!(program(&["--from", "/does/not/exist"], b"").0, 4);
}

#[test]
fn a_log_is_clean_only_if_all_was_understood() {
    let record = "2026-11-25T00:11:18.142517Z\tdebug\tenvoy pool source/common/x.cc:1\t[Tags: \"ConnectionId\":\"1\"] the flux capacitor failed\tthread=1\n";
    let healthy = access(1, "GET / HTTP/1.1", "200 - via_upstream", "-", 5, "52.0.0.1:443", "10.0.0.5:40000");
    let log = format!("{healthy}{record}");
    let (code, out, _) = program(&["--from", "-"], log.as_bytes());
    assert_eq!(code, 3, "{out}");
    assert!(
        out.contains("not clean") && out.contains("flux capacitor") && !out.contains("No failed connection"),
        "{out}"
    );
    assert_eq!(read_json(&["--from", "-"], log.as_bytes())["input"]["unexplained"], 1);
    assert_eq!(program(&["--from", "-", "--exit-zero"], log.as_bytes()).0, 0);
    // Beside a failure that is diagnosed it is a part of that.
    let failed = "2026-11-25T00:11:18.142517Z\tdebug\tenvoy pool source/common/x.cc:1\t[Tags: \"ConnectionId\":\"1\"] connect timeout\tthread=1\n";
    assert_eq!(read_json(&["--from", "-"], format!("{failed}{record}").as_bytes())["input"]["unexplained"], 0);
    // What ztunnel says of a connection is not Envoy's, and no clean log either.
    let ztunnel = "2026-11-25T00:11:18.142517Z\terror\taccess\tconnection complete\tsrc.addr=10.0.0.1:5000 dst.addr=10.0.0.2:8080 direction=\"outbound\" bytes_sent=0 bytes_recv=0 duration=\"1ms\" error=\"io error: Connection refused (os error 111)\"\n";
    let (code, out, _) = program(&["--from", "-"], format!("{healthy}{ztunnel}").as_bytes());
    assert!(code == 3 && out.contains("access connection complete"), "{code} {out}");
    // A proxy at `warning` without an access log cannot show a failure.
    let quiet =
        "2026-11-25T00:11:18.142517Z\twarning\tenvoy config x.cc:155\tgRPC config stream closed: 13, \tthread=12\n";
    let (code, out, _) = program(&["--from", "-"], quiet.as_bytes());
    assert!(code == 0 && out.contains("debug-log") && !out.contains("No failed connection"), "{out}");
}

#[test]
fn each_cause_has_its_page() {
    for cause in Cause::ALL {
        let run = plugin(["explain", cause.as_str()]).run();
        assert!(run.code == 0 && run.stdout.contains("## Remedy") && run.stdout.contains(cause.as_str()), "{run:?}");
    }
}

#[test]
fn a_bug_report_brings_its_own_timeouts() {
    let directory = tempfile::tempdir().unwrap();
    let pod = directory.path().join("bug-report/proxies/shop/web-0");
    std::fs::create_dir_all(&pod).unwrap();
    let cluster = serde_json::json!({"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": CLUSTER, "type": "STRICT_DNS", "connect_timeout": "2s"});
    let dump = serde_json::json!({"configs": [{"@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump",
        "dynamic_active_clusters": [{"cluster": cluster}]}]});
    std::fs::write(pod.join("config_dump.json"), serde_json::to_string_pretty(&dump).unwrap()).unwrap();
    std::fs::write(pod.join("certs"), "no log\n").unwrap();
    std::fs::create_dir(pod.join("stats")).unwrap();
    std::fs::write(pod.join("stats/prometheus"), "# TYPE envoy_x counter\nenvoy_x{} 1\n").unwrap();
    std::fs::write(pod.join("proxy.log"), access(1, "- - -", "0 UF,URX -", "-", 2_003, "52.0.0.1:443", "-")).unwrap();
    let found = read_json(&["--from", directory.path().to_str().unwrap()], b"");
    let entry = &found["diagnoses"][0];
    assert_eq!(
        (&entry["connectTimeout"], &entry["connectTimeoutInferred"]),
        (&"2s".into(), &false.into()),
        "{found:#}"
    );
    assert_eq!((&entry["confidence"], &entry["source"]), (&"probable".into(), &"shop/web-0".into()));
    assert_eq!(found["input"]["unrecognized"], 0);
    // What else is in a report is no proxy's log, whatever the report's folder is called.
    let report = directory.path().join("bug-report");
    for other in ["cluster/events", "analyze/shop", "istio/istio-system/istiod-1/discovery.log"] {
        std::fs::create_dir_all(report.join(other).parent().unwrap()).unwrap();
        std::fs::write(report.join(other), "shop  3m  Warning  BackOff  pod/web-0\n").unwrap();
    }
    for renamed in ["bug-report", "of-monday"] {
        std::fs::rename(&report, directory.path().join("moved")).unwrap();
        std::fs::rename(directory.path().join("moved"), directory.path().join(renamed)).unwrap();
        for from in [directory.path().to_path_buf(), directory.path().join(renamed)] {
            let found = read_json(&["--from", from.to_str().unwrap()], b"");
            assert_eq!((&found["input"]["lines"], &found["input"]["unrecognized"]), (&1.into(), &0.into()), "{from:?}");
        }
    }
    // The archive as istioctl packs it has no folder around.
    let archive = directory.path().join("of-monday/bug-report.tar.gz");
    let packed = flate2::write::GzEncoder::new(std::fs::File::create(&archive).unwrap(), flate2::Compression::fast());
    let mut packed = tar::Builder::new(packed);
    for folder in ["proxies", "cluster", "analyze"] {
        packed.append_dir_all(folder, directory.path().join("of-monday").join(folder)).unwrap();
    }
    packed.into_inner().unwrap().finish().unwrap();
    let found = read_json(&["--from", archive.to_str().unwrap()], b"");
    assert_eq!((&found["input"]["lines"], &found["input"]["unrecognized"]), (&1.into(), &0.into()), "{found:#}");
    // A folder that merely has such a name is read.
    let named = directory.path().join("logs/cluster");
    std::fs::create_dir_all(&named).unwrap();
    std::fs::write(named.join("web.log"), access(1, "- - -", "0 UF,URX -", "-", 2_003, "52.0.0.1:443", "-")).unwrap();
    let found = read_json(&["--from", directory.path().join("logs").to_str().unwrap()], b"");
    assert_eq!(found["input"]["records"], 1, "{found:#}");
}

#[test]
fn a_format_of_ones_own_is_read_with_the_dump() {
    let directory = tempfile::tempdir().unwrap();
    let dump = directory.path().join("dump.json");
    let cluster = serde_json::json!({"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": CLUSTER, "type": "STRICT_DNS", "connect_timeout": "1s"});
    let format = "%START_TIME% {%RESPONSE_CODE%/%RESPONSE_FLAGS%} %UPSTREAM_CLUSTER% => %UPSTREAM_HOST% (%UPSTREAM_LOCAL_ADDRESS%) %DURATION%ms tries=%UPSTREAM_REQUEST_ATTEMPT_COUNT%\n";
    let configs = serde_json::json!({"configs": [
        {"@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump", "dynamic_active_clusters": [{"cluster": cluster}]},
        {"@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump", "dynamic_listeners": [{"active_state": {"listener": {
            "access_log": [{"typed_config": {"log_format": {"text_format_source": {"inline_string": format}}}}]}}}]}]});
    std::fs::write(&dump, configs.to_string()).unwrap();
    let log = format!("2024-03-01T10:00:00.000Z {{503/UF,URX}} {CLUSTER} => 52.0.0.1:443 (-) 3051ms tries=3\n");
    let found = read_json(&["--from", "-", "--config-dump", dump.to_str().unwrap()], log.as_bytes());
    assert_eq!(found["input"]["records"], 1, "{found:#}");
    let entry = &found["diagnoses"][0];
    assert_eq!(
        (&entry["responseFlags"], &entry["cause"]),
        (&serde_json::json!(["UF", "URX"]), &"connect_timeout".into()),
        "{found:#}"
    );
    assert_eq!((&entry["attempts"], &entry["seconds"]), (&3.into(), &1.017.into()));
}

#[test]
fn nothing_hostile_reaches_the_terminal() {
    let log = access(
        1,
        "GET / HTTP/1.1",
        "503 UF upstream_reset_before_response_started{connection_timeout}",
        "-",
        1000,
        "52.0.0.1:443",
        "-",
    )
    .replace("api.example.com", "api\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}.example.com");
    for format in ["table", "timeline", "json", "ndjson"] {
        let (_, out, err) = program(&["--from", "-", "-v", "-o", format], log.as_bytes());
        assert!(out.contains("connect_timeout"), "{format}: {out}{err}");
        let hostile = |c: &char| (c.is_control() && *c != '\n') || *c == '\u{202e}';
        assert_eq!(out.chars().chain(err.chars()).find(hostile), None, "{format}: {out:?}");
    }
}

/// The schema that is published; `MESHAUDIT_BLESS=1` writes it anew.
#[test]
fn what_is_written_fits_the_published_schema() {
    let validator = crate::published_schema("diagnosis");
    for directory in ["recorded", "incident"] {
        let found = read_json(&["--from", fixtures().join(directory).to_str().unwrap()], b"");
        let errors: Vec<_> = validator.iter_errors(&found).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}");
        assert!(!found["diagnoses"].as_array().unwrap().is_empty());
    }
    // Every cause of the contract that a recording shows is in the documentation.
    let page = std::fs::read_to_string(crate::project().join("docs/diagnose.md")).unwrap();
    for cause in Cause::ALL {
        assert!(page.contains(&format!("| `{cause}` |")), "docs/diagnose.md lacks {cause}");
    }
}

#[test]
fn running_proxies_are_read() {
    let calls = incident().drive_client();
    assert!(calls.iter().any(|call| call.outcome == meshaudit_sandbox::Outcome::Reset), "{calls:?}");
    let find = || {
        let found = on_incident(["diagnose", "deploy/checkout", "-n", "shop", "-o", "json"]).json();
        let diagnoses = found["diagnoses"].as_array().unwrap().clone();
        diagnoses.into_iter().find(|found| found["cluster"] == LOSSY_CLUSTER && found["cause"] == "connect_timeout")
    };
    // Envoy writes its access log a moment after the call.
    let found = (0..20).find_map(|_| {
        find().or_else(|| {
            std::thread::sleep(std::time::Duration::from_millis(500));
            None
        })
    });
    let found = found.expect("the reset is found in the proxy's log");
    assert_eq!(found["connectTimeout"], "1s", "read from the proxy");
    let run = on_incident(["diagnose", "deploy/checkout", "-n", "shop", "--tail", "0"]).run();
    assert_eq!(run.code, 0, "a quiet proxy is no error: {run:?}");
    assert!(run.stderr.contains("No lines from "), "{run:?}");
    on_incident(["diagnose", "deploy/reviews-v1", "-n", "shop"]).run().exits(4).complains("no istio-proxy container");
}

#[test]
fn a_format_of_the_meshs_own_is_read_from_its_configuration() {
    let mut mesh = canned::mesh(1, 5);
    let line = "outbound|443||api.example.com 52.0.0.1:443 took 1000 flags UF,URX";
    let pod = mesh.pods.first_mut().unwrap();
    let (namespace, name) = pod.key();
    pod.logs.push(("istio-proxy".to_owned(), vec![(jiff::Timestamp::now(), line.to_owned())]));
    let sandbox = Sandbox::start(mesh).unwrap();
    let target = format!("{name}.{namespace}");
    let diagnose = || plugin(["diagnose", &target, "-o", "json"]).on(&sandbox).run();
    assert_eq!(diagnose().code, 4, "without the format nobody knows what the line says");
    let format = "%UPSTREAM_CLUSTER% %UPSTREAM_HOST% took %DURATION% flags %RESPONSE_FLAGS%\n";
    let config_map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "istio", "namespace": "istio-system"},
        "data": {"mesh": format!("connectTimeout: 1s\naccessLogFormat: {format:?}\n")}});
    sandbox.apply(config_map).unwrap();
    let found: serde_json::Value = serde_json::from_str(&diagnose().stdout).unwrap();
    let found = &found["diagnoses"][0];
    assert_eq!(
        (&found["upstream"], &found["cluster"]),
        (&"52.0.0.1:443".into(), &"outbound|443||api.example.com".into())
    );
}
