//! How lines become records.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
use super::*;
use jiff::tz::TimeZone;
use proptest::prelude::*;

fn options() -> ReaderOptions {
    ReaderOptions {
        time: TimeContext::new(TimeZone::UTC, "2020-07-10T00:00:00Z".parse().unwrap()),
        service_field: None,
    }
}

#[derive(Debug, PartialEq)]
struct Seen {
    at: Option<String>,
    service: Option<String>,
    text: String,
    call: Option<String>,
}

fn read_in_chunks(log: &[u8], size: usize) -> Vec<Seen> {
    let mut reader = LogReader::new(options());
    let mut seen = Vec::new();
    let mut sink = |entry: LogEntry<'_>| {
        if let LogEntry::App(record) = entry {
            seen.push(Seen {
                at: record.logged_at.map(|logged| logged.at.to_string()),
                service: record.service.map(str::to_owned),
                text: record.text.to_owned(),
                call: record.call.map(|call| call.name().to_owned()),
            });
        }
    };
    for chunk in log.chunks(size) {
        reader.feed(chunk, &mut sink);
    }
    reader.finish(&mut sink);
    seen
}

/// All that a record without words has, read with and without leave to skim.
fn read_quietly(lines: &[String], skim: bool) -> (Vec<String>, usize) {
    let mut reader = LogReader::new(options());
    let (mut seen, mut quiet) = (Vec::new(), 0);
    let mut sink = |entry: LogEntry<'_>| {
        if let LogEntry::App(record) = entry {
            quiet += usize::from(record.quiet);
            let AppRecord { logged_at, service, text, target, call, line, .. } = record;
            seen.push(format!("{line} {logged_at:?} {service:?} {text:?} {target:?} {call:?}"));
        }
    };
    // The beginning is looked at before anything is given.
    let filler = format!("{{\"filler\":\"{}\"}}", "x".repeat(LOOK_AHEAD));
    for line in std::iter::once(&filler).chain(lines) {
        reader.push_unless(line.as_bytes(), &|_| skim, &mut sink);
    }
    reader.finish(&mut sink);
    (seen, quiet)
}

#[test]
fn lines_alike_are_read_as_they_are_parsed() {
    type Line = fn(u32) -> String;
    let kinds: [(Line, bool); 15] = [
        (
            |n| {
                format!(
                    r#"{{"@timestamp":"2020-07-08T20:00:{n:02}.5Z","level":"INFO","thread_name":"t-{n}","service":"cart","traceId":"{n:08x}","message":"GET {n}","n":{n},"tags":["a","b"],"kubernetes":{{"pod":"cart-1","labels":{{"app":"cart"}}}}}}"#
                )
            },
            true,
        ),
        (
            |n| {
                format!(
                    r#"{{"level":30,"time":15942384{n:02}000,"pid":1,"hostname":"web-1","name":"shop","msg":"m {n}","req":{{"id":"r-{n}"}}}}"#
                )
            },
            true,
        ),
        (
            |n| {
                format!(
                    r#"{{"level":"info","ts":15942384{n:02}.25,"logger":"l{n}","msg":"m {n}","url":"https://h{n}.example.com/x"}}"#
                )
            },
            true,
        ),
        (
            |n| {
                format!(
                    r#"{{ "time" : "2020-07-08 20:00:{n:02}" , "severity" : "INFO" , "message" : "ü {n}" , "ok" : true, "none": null }}"#
                )
            },
            true,
        ),
        // The service changes with each.
        (|n| format!(r#"{{"time":"2020-07-08T20:00:{n:02}Z","level":"info","app":"s{n}","message":"m"}}"#), false),
        // A message that is a line by itself, or has escapes; a trace.
        (
            |n| {
                format!(
                    r#"{{"time":"2020-07-08T20:00:{n:02}Z","level":"info","message":"2020-07-08 19:00:{n:02},123 INFO x"}}"#
                )
            },
            false,
        ),
        (|n| format!(r#"{{"time":"2020-07-08T20:00:{n:02}Z","level":"info","message":"a \"b\" {n}"}}"#), false),
        (
            |n| {
                format!(
                    r#"{{"time":"2020-07-08T20:00:{n:02}Z","level":"info","message":"m","stack_trace":"a.B: {n}"}}"#
                )
            },
            false,
        ),
        // Without a level, what it is shows only by its texts.
        (|n| format!(r#"{{"time":"2020-07-08T20:00:{n:02}Z","message":"m {n}"}}"#), false),
        // Values that come and go.
        (
            |n| {
                format!(
                    r#"{{"time":"2020-07-08T20:00:{n:02}Z","level":"info","message":"m","request_id":"{}"}}"#,
                    if n % 2 == 0 { "" } else { "r" }
                )
            },
            true,
        ),
        (
            |n| {
                format!(
                    r#"{{"time":"{}","level":"info","message":"m","timestamp":"2020-07-08T21:00:{n:02}Z"}}"#,
                    if n % 2 == 0 { "-" } else { "2020-07-08T20:00:00Z" }
                )
            },
            true,
        ),
        (|n| format!(r#"{{"log":"m {n}\n","stream":"stdout","time":"2020-07-08T20:00:{n:02}Z"}}"#), false),
        // Envoy's among others, told by their values.
        (
            |n| {
                let (logger, message) = if n % 2 == 0 { ("envoy conn", "m") } else { ("shop", "m") };
                format!(
                    r#"{{"time":"2020-07-08T20:00:{n:02}Z","level":"info","logger":"{logger}","message":"{message}"}}"#
                )
            },
            true,
        ),
        (
            |n| {
                let message = if n % 2 == 0 { "[C7] connecting" } else { "connecting" };
                format!(r#"{{"time":"2020-07-08T20:00:{n:02}Z","level":"info","message":"{message}"}}"#)
            },
            true,
        ),
        (|n| format!(r#"{{"time":"2020-07-08T20:00:{n:02}Z","level":"info","scope":"conn{n}","msg":"m"}}"#), false),
    ];
    for (line, skimmed) in kinds {
        let lines: Vec<String> = (10..40).map(line).collect();
        let (parsed, none) = read_quietly(&lines, false);
        let (seen, quiet) = read_quietly(&lines, true);
        assert_eq!((seen, none), (parsed, 0), "{}", lines[0]);
        assert_eq!(quiet > 0, skimmed, "{}", lines[0]);
    }
}

#[test]
fn kinds_of_lines_are_mixed() {
    let lines: Vec<String> = (10..60_u32)
        .map(|n| match n % 4 {
            0 => format!(r#"{{"time":"2020-07-08T20:00:{n:02}Z","level":"info","app":"a","message":"m {n}"}}"#),
            1 => format!(r#"{{"time":"2020-07-08T20:00:{n:02}Z","level":"info","app":"b","message":"m {n}"}}"#),
            2 => format!("2020-07-08 20:00:{n:02},000 INFO [t-{n}] x - text {n}"),
            _ => "\tat a.b.C(D.java:1)".to_owned(),
        })
        .collect();
    let (parsed, _) = read_quietly(&lines, false);
    let (seen, quiet) = read_quietly(&lines, true);
    assert_eq!(seen, parsed);
    assert!(quiet > 10);
}

fn read(log: &str) -> Vec<Seen> {
    let seen = read_in_chunks(log.as_bytes(), 1 << 16);
    assert_eq!(seen, read_in_chunks(log.as_bytes(), 7), "cut elsewhere, read otherwise");
    seen
}

#[test]
fn a_trace_is_one_record() {
    let seen = read(concat!(
        "2020-07-08 20:00:01,000 INFO  [http-1] c.e.Client - calling\n",
        "2020-07-08 20:00:02,001 ERROR [http-1] c.e.Client - failed\n",
        "java.net.SocketException: Connection reset\n",
        "\tat java.net.SocketInputStream.read(SocketInputStream.java:186)\n",
        "Caused by: java.net.SocketException: Connection reset\n",
        "\t... 3 more\n",
        "2020-07-08 20:00:03,000 INFO  [http-2] c.e.Client - next\n",
    ));
    assert_eq!(seen.len(), 3);
    assert_eq!(seen[1].at.as_deref(), Some("2020-07-08T20:00:02.001Z"));
    assert!(seen[1].text.ends_with("... 3 more"));
    assert_eq!(seen[1].call.as_deref(), Some("http-1"));
}

#[test]
fn a_second_exception_at_the_margin_is_a_second_record() {
    let seen = read(concat!(
        "2020-07-08 20:00:02 ERROR failed\n",
        "java.net.SocketException: Connection reset\n\tat a.b\n",
        "java.net.SocketException: Connection reset\n\tat c.d\n",
    ));
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[1].at, seen[0].at);
}

#[test]
fn pythons_chained_tracebacks_are_one_record() {
    let seen = read(concat!(
        "ERROR:root:call failed\n",
        "Traceback (most recent call last):\n  File \"a.py\", line 1, in <module>\n    x()\n",
        "ConnectionResetError: [Errno 104] Connection reset by peer\n\n",
        "During handling of the above exception, another exception occurred:\n\n",
        "Traceback (most recent call last):\n  File \"a.py\", line 2, in <module>\n    y()\n",
        "requests.exceptions.ConnectionError: ('Connection aborted.', ConnectionResetError(104, 'Connection reset by peer'))\n",
        "INFO:root:next\n",
    ));
    assert_eq!(seen.len(), 2, "{seen:#?}");
    assert_eq!(seen[1].text, "INFO:root:next");
}

#[test]
fn every_json_logger_is_read() {
    for (line, service, at) in [
        (
            r#"{"@timestamp":"2020-07-08T20:00:00.000Z","level":"ERROR","logger_name":"c.E","message":"Connection reset","stack_trace":"x","service":"pay"}"#,
            Some("pay"),
            "2020-07-08T20:00:00Z",
        ),
        (
            r#"{"instant":{"epochSecond":1594238400,"nanoOfSecond":5000000},"thread":"main","level":"ERROR","message":"Connection reset","thrown":{"name":"a.B","message":"m"}}"#,
            None,
            "2020-07-08T20:00:00.005Z",
        ),
        (
            r#"{"level":"error","ts":1594238400.25,"caller":"a.go:1","msg":"call failed","error":"read tcp: read: connection reset by peer"}"#,
            None,
            "2020-07-08T20:00:00.25Z",
        ),
        (
            r#"{"level":"error","time":"2020-07-08T20:00:00Z","error":"connection reset by peer","message":"call failed"}"#,
            None,
            "2020-07-08T20:00:00Z",
        ),
        (
            r#"{"level":50,"time":1594238400000,"pid":7,"hostname":"h","name":"orders","err":{"type":"Error","message":"read ECONNRESET","stack":"Error: read ECONNRESET\n at x"},"msg":"Connection reset"}"#,
            Some("orders"),
            "2020-07-08T20:00:00Z",
        ),
        (
            r#"{"event":"connection reset","level":"error","timestamp":"2020-07-08T20:00:00Z"}"#,
            None,
            "2020-07-08T20:00:00Z",
        ),
        (
            r#"{"@t":"2020-07-08T20:00:00.0000000Z","@mt":"failed","@l":"Error","@x":"System.Net.Sockets.SocketException (104): Connection reset by peer"}"#,
            None,
            "2020-07-08T20:00:00Z",
        ),
        (
            r#"{"@timestamp":"2020-07-08T20:00:00Z","log.level":"error","message":"failed","ecs.version":"1.2.0","service.name":"cart","error.type":"java.net.SocketException","error.message":"Connection reset"}"#,
            Some("cart"),
            "2020-07-08T20:00:00Z",
        ),
        (
            r#"{"timeUnixNano":"1594238400000000000","severityText":"ERROR","body":{"stringValue":"Connection reset"},"attributes":[{"key":"exception.type","value":{"stringValue":"a.B"}}]}"#,
            None,
            "2020-07-08T20:00:00Z",
        ),
    ] {
        let seen = read(line);
        assert_eq!(seen.len(), 1, "{line}");
        assert_eq!(seen[0].service.as_deref(), service, "{line}");
        assert_eq!(seen[0].at.as_deref(), Some(at), "{line}");
        let lower = seen[0].text.to_lowercase();
        assert!(lower.contains("connection reset") || lower.contains("econnreset"), "{line}: {lower}");
    }
}

#[test]
fn every_envelope_is_opened() {
    let trace = ["call failed", "java.net.SocketException: Connection reset", "\tat a.b"];
    type Wrap = fn(&str) -> String;
    let wrap: [(&str, Wrap); 8] = [
        ("docker", |text| {
            format!(
                "{}\n",
                serde_json::json!({"log": format!("{text}\n"), "stream": "stderr", "time": "2020-07-08T20:00:00.123456789Z"})
            )
        }),
        ("cri", |text| format!("2020-07-08T20:00:00.123456789Z stderr F {text}\n")),
        ("kubectl --timestamps", |text| format!("2020-07-08T20:00:00.123456789Z {text}\n")),
        ("loki", |text| {
            format!(
                "{}\n",
                serde_json::json!({"labels": {"app": "pay"}, "line": text, "timestamp": "2020-07-08T20:00:00.123456789Z"})
            )
        }),
        ("cloudwatch", |text| {
            format!(
                "{}\n",
                serde_json::json!({"timestamp": 1_594_238_400_123_u64, "message": text, "ingestionTime": 1_594_238_400_999_u64, "logStreamName": "pay"})
            )
        }),
        ("stackdriver", |text| {
            format!(
                "{}\n",
                serde_json::json!({"textPayload": text, "timestamp": "2020-07-08T20:00:00.123456789Z", "resource": {"labels": {"container_name": "pay"}}})
            )
        }),
        ("splunk", |text| {
            format!(
                "{}\n",
                serde_json::json!({"preview": false, "result": {"_raw": text, "_time": "2020-07-08T20:00:00.123+00:00"}})
            )
        }),
        ("loki's api", |text| {
            format!(
                "{}\n",
                serde_json::json!({"status": "success", "data": {"result": [{"stream": {"app": "pay"}, "values": [["1594238400123456789", text]]}]}})
            )
        }),
    ];
    for (name, wrap) in wrap {
        let log: String = trace.iter().map(|line| wrap(line)).collect();
        let seen = read(&log);
        assert_eq!(seen.len(), 1, "{name}: {seen:#?}");
        assert!(seen[0].at.as_deref().unwrap().starts_with("2020-07-08T20:00:00.123"), "{name}");
        assert!(seen[0].text.ends_with("at a.b"), "{name}");
        // JSON inside the envelope.
        let inner = wrap(r#"{"@timestamp":"2020-07-08T19:00:00Z","service":"inner","message":"Connection reset"}"#);
        let seen = read(&inner);
        assert_eq!(
            (seen.len(), seen[0].service.as_deref(), seen[0].at.as_deref()),
            (1, Some("inner"), Some("2020-07-08T19:00:00Z")),
            "{name}"
        );
    }
    let payload = read(
        r#"{"jsonPayload":{"message":"Connection reset"},"timestamp":"2020-07-08T20:00:00Z","resource":{"labels":{"container_name":"pay"}}}"#,
    );
    assert_eq!((payload[0].service.as_deref(), payload[0].text.as_str()), (Some("pay"), "Connection reset"));
}

#[test]
fn pretty_documents_are_read() {
    let gcloud = serde_json::json!([
        {"textPayload": "Connection \"reset\" {", "timestamp": "2020-07-08T20:00:00Z"},
        {"jsonPayload": {"message": "b}"}, "timestamp": "2020-07-08T20:00:01Z"},
    ]);
    let seen = read(&serde_json::to_string_pretty(&gcloud).unwrap());
    assert_eq!(seen.iter().map(|seen| seen.text.as_str()).collect::<Vec<_>>(), ["Connection \"reset\" {", "b}"]);
    let aws = serde_json::json!({"events": [
        {"logStreamName": "s", "timestamp": 1_594_238_400_000_u64, "message": "first"},
        {"logStreamName": "s", "timestamp": 1_594_238_400_001_u64, "message": "second"},
    ], "searchedLogStreams": []});
    let seen = read(&serde_json::to_string_pretty(&aws).unwrap());
    assert_eq!(seen.iter().map(|seen| seen.text.as_str()).collect::<Vec<_>>(), ["first", "second"]);
}

#[test]
fn split_lines_are_joined_and_colours_dropped() {
    let seen =
        read("2020-07-08T20:00:00.123456789Z stderr P Connection \n2020-07-08T20:00:00.123456799Z stderr F reset\n");
    assert_eq!(seen[0].text, "Connection reset");
    let seen = read("\u{1b}[2m2020-07-08 20:00:00.123\u{1b}[0;39m \u{1b}[31mERROR\u{1b}[0m [main] x\n");
    assert_eq!(seen[0].text, "2020-07-08 20:00:00.123 ERROR [main] x");
    assert_eq!(seen[0].at.as_deref(), Some("2020-07-08T20:00:00.123Z"));
}

#[test]
fn times_may_stand_behind_a_level_or_a_pod() {
    for line in [
        "ERROR 2020-07-08 20:00:00,123 [main] x",
        "level=error ts=2020-07-08T20:00:00.123Z msg=x",
        "time=\"2020-07-08T20:00:00.123Z\" level=error msg=x",
        "pay-7d9f-abcde app 2020-07-08T20:00:00.123Z x",
        "[2020-07-08 20:00:00,123] {a.py:3} ERROR - x",
    ] {
        assert_eq!(read(line)[0].at.as_deref(), Some("2020-07-08T20:00:00.123Z"), "{line}");
    }
    // A date in a message does not begin a record where times stand at the margin.
    assert_eq!(read("2020-07-08 20:00:00 a\nsince 2020-07-01 00:00:00 it fails\n").len(), 1);
}

#[test]
fn long_lines_and_records_are_bounded() {
    let mut log = b"2020-07-08 20:00:00 ".to_vec();
    log.extend(std::iter::repeat_n(b'x', 3 * MAX_LINE));
    log.extend_from_slice(b"\n2020-07-08 20:00:01 ERROR e\njava.lang.RuntimeException: x\n");
    for _ in 0..20_000 {
        log.extend_from_slice(b"\tat com.example.Recursion.again(Recursion.java:7)\n");
    }
    log.extend_from_slice(b"Caused by: java.net.SocketException: Connection reset\n\xff\xfe\n");
    let seen = read_in_chunks(&log, 4096);
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|seen| seen.text.len() <= 2 * MAX_RECORD));
    assert!(seen[1].text.ends_with("Caused by: java.net.SocketException: Connection reset"));
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..512), size in 1_usize..64) {
        read_in_chunks(&bytes, size);
    }

    #[test]
    fn near_logs_are_survived(text in "([0-9TZ:.-]{0,24}|\\{\"(log|time|message)\":|[{}\\[\\]\",\n\\\\]|Traceback|é|\u{1b}\\[){0,30}") {
        read_in_chunks(text.as_bytes(), 5);
    }
}
