//! Logs that others wrote: public ones with what is known of them, every envelope, and Envoy's own sentences.

use std::collections::BTreeSet;
use std::path::PathBuf;

use meshaudit::decode::log::LogDecoder;
use meshaudit::decode::log::message;
use meshaudit::diagnose::{Confidence, DiagnoseOptions, Diagnoser, Diagnosis};
use meshaudit::input::{Lines, Text};
use meshaudit::model::ProxyEvent;
use serde_json::Value;

use crate::{plugin, project};

fn fixtures() -> PathBuf {
    project().join("tests/fixtures/logs")
}

/// What a log says, and how many of its lines nobody knows.
fn diagnose(log: &[u8]) -> (Diagnosis, u64) {
    let mut decoder = LogDecoder::new(Vec::new(), "2026-12-31T00:00:00Z".parse().unwrap());
    let mut diagnoser = Diagnoser::new(DiagnoseOptions::default());
    let mut lines = Lines::new(Text::new(log).unwrap());
    while let Some(line) = lines.next_line().unwrap() {
        decoder.push(line, &mut |record| drop(diagnoser.push(record, "")));
    }
    decoder.finish(&mut |record| drop(diagnoser.push(record, "")));
    (diagnoser.finish(), decoder.counts().unrecognized)
}

/// The words of an expectation's member.
fn words(expected: &Value, member: &str) -> BTreeSet<String> {
    expected[member].as_array().into_iter().flatten().map(|word| word.as_str().unwrap().to_owned()).collect()
}

/// An expectation has `cause`, and may have `accept` (causes that are as good), `all` (causes that must all be named),
/// `must_not` (never certain), `never` (not at any confidence) and `text_must_not` (words that no explanation may hold).
fn held_against(expected: &Value, diagnosis: &Diagnosis) -> Result<(), String> {
    let events = || diagnosis.entries.iter().map(|entry| &entry.event);
    let causes: BTreeSet<String> = events().map(|event| event.cause.as_str().to_owned()).collect();
    let certain: BTreeSet<String> = events()
        .filter(|event| event.confidence == Confidence::Certain)
        .map(|event| event.cause.as_str().to_owned())
        .collect();
    let cause = expected["cause"].as_str().unwrap();
    let mut accepted = words(expected, "accept");
    accepted.insert(cause.to_owned());
    let said = |word: &String| events().any(|event| format!("{} {}", event.explanation, event.remedy).contains(word));
    let check =
        |right: bool, what: &str| if right { Ok(()) } else { Err(format!("{what}: {causes:?}, certain {certain:?}")) };
    let found = !causes.is_disjoint(&accepted) || (causes.is_empty() && accepted.contains("none"));
    check(found, "the cause is missing")?;
    check(words(expected, "all").is_subset(&causes), "not all are named")?;
    check(words(expected, "never").is_disjoint(&causes), "what must never be named is")?;
    check(words(expected, "must_not").is_disjoint(&certain), "what must not be certain is")?;
    check(!words(expected, "text_must_not").iter().any(said), "an explanation has what it must not")?;
    if let Some(cluster) = expected["cluster"].as_str() {
        check(events().any(|event| event.cluster.as_deref() == Some(cluster)), "the cluster is missing")?;
    }
    if let Some(times) = expected["occurrences"].as_u64() {
        let counted: u64 = diagnosis
            .entries
            .iter()
            .filter(|entry| entry.event.cause.as_str() == cause)
            .map(|entry| entry.occurrences)
            .sum();
        check(counted == times, "it is counted wrongly")?;
    }
    Ok(())
}

#[test]
fn public_logs_give_what_is_known_of_them() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for path in ["public", "siblings"].iter().flat_map(|directory| walk(fixtures().join(directory))) {
        if path.extension().is_some_and(|extension| extension == "json") {
            continue;
        }
        count += 1;
        let expected: Value = serde_json::from_slice(&std::fs::read(path.with_extension("json")).unwrap()).unwrap();
        if let Err(why) = held_against(&expected, &diagnose(&std::fs::read(&path).unwrap()).0) {
            wrong.push(format!("{}: {why}", path.file_name().unwrap().display()));
        }
    }
    assert!(count >= 69);
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

/// What is compared of two diagnoses of the same log.
fn summary(diagnosis: &Diagnosis) -> Vec<String> {
    let mut all: Vec<String> = diagnosis
        .entries
        .iter()
        .map(|entry| {
            let event = &entry.event;
            format!(
                "{} {} {:?} {:?} x{} {:?} {:?} {:?}",
                event.cause,
                event.confidence.as_str(),
                event.cluster,
                event.upstream,
                entry.occurrences,
                event.waited,
                event.attempts,
                event.flags
            )
        })
        .collect();
    all.sort();
    all
}

const STAMP: &str = "2026-11-23T18:00:00.000000001Z";

/// An envelope: its name, and what it makes of the lines of a log.
pub(crate) type Envelope = (&'static str, fn(&[&str]) -> String);

fn each(lines: &[&str], wrap: impl Fn(&str) -> String) -> String {
    lines.iter().map(|line| wrap(line) + "\n").collect()
}

fn json(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// Objects in a list that is printed prettily inside these braces.
fn pretty(lines: &[&str], around: fn(Value) -> Value, wrap: impl Fn(&str) -> Value) -> String {
    let list: Vec<Value> = lines.iter().map(|line| wrap(line)).collect();
    serde_json::to_string_pretty(&around(list.into())).unwrap()
}

/// Every envelope that logs come in, the one list for all that read logs.
pub(crate) const ENVELOPES: &[Envelope] = &[
    ("bare", |lines| each(lines, str::to_owned)),
    ("carriage returns", |lines| each(lines, |line| format!("{line}\r"))),
    ("a byte order mark", |lines| format!("\u{feff}{}", each(lines, str::to_owned))),
    ("kubectl --timestamps", |lines| each(lines, |line| format!("{STAMP} {line}"))),
    ("kubectl --prefix", |lines| each(lines, |line| format!("[pod/client-0/istio-proxy] {line}"))),
    ("kubectl --prefix --timestamps", |lines| each(lines, |line| format!("[pod/client-0/istio-proxy] {STAMP} {line}"))),
    ("stern", |lines| each(lines, |line| format!("client-0 istio-proxy {line}"))),
    ("stern of all namespaces", |lines| each(lines, |line| format!("shop client-0 istio-proxy {line}"))),
    ("stern in colour", |lines| {
        each(lines, |line| format!("\x1b[36mclient-0\x1b[0m \x1b[32mistio-proxy\x1b[0m {line}"))
    }),
    ("stern -o json", |lines| {
        each(lines, |line| {
            format!(
                r#"{{"message":{},"nodeName":"n","namespace":"shop","podName":"client-0","containerName":"istio-proxy"}}"#,
                json(line)
            )
        })
    }),
    ("docker", |lines| {
        each(lines, |line| format!(r#"{{"log":{},"stream":"stdout","time":"{STAMP}"}}"#, json(&format!("{line}\n"))))
    }),
    ("compose", |lines| each(lines, |line| format!("envoy-1  | {line}"))),
    ("compose -t", |lines| each(lines, |line| format!("envoy-1  | {STAMP} {line}"))),
    ("CRI", |lines| each(lines, |line| format!("{STAMP} stdout F {line}"))),
    ("CRI in pieces", |lines| {
        each(lines, |line| {
            let middle = (line.len() / 2..).find(|at| line.is_char_boundary(*at)).unwrap();
            format!("{STAMP} stdout P {}\n{STAMP} stdout F {}", &line[..middle], &line[middle..])
        })
    }),
    ("CRI within docker", |lines| {
        each(lines, |line| format!(r#"{{"log":{}}}"#, json(&format!("{STAMP} stdout F {line}"))))
    }),
    ("journald", |lines| each(lines, |line| format!("Nov 23 18:01:21 node-1 envoy[123]: {line}"))),
    ("journald -o short-iso", |lines| {
        each(lines, |line| format!("2026-11-23T18:01:21+0000 node-1 envoy[123]: {line}"))
    }),
    ("journald -o json", |lines| {
        each(lines, |line| {
            format!(
                r#"{{"MESSAGE":{},"__REALTIME_TIMESTAMP":"1795456881000000","_HOSTNAME":"node-1","SYSLOG_IDENTIFIER":"envoy","PRIORITY":"6"}}"#,
                json(line)
            )
        })
    }),
    ("syslog", |lines| each(lines, |line| format!("<14>Nov 23 18:01:21 node-1 envoy[123]: {line}"))),
    ("syslog 5424", |lines| each(lines, |line| format!("<14>1 2026-11-23T18:01:21.003Z node-1 envoy 123 - - {line}"))),
    ("logcli", |lines| each(lines, |line| format!(r#"2026-11-23T18:01:21Z {{app="web", pod="client-0"}} {line}"#))),
    ("logcli -o jsonl", |lines| {
        each(lines, |line| format!(r#"{{"labels":{{"app":"web"}},"line":{},"timestamp":"{STAMP}"}}"#, json(line)))
    }),
    ("heroku", |lines| each(lines, |line| format!("2026-11-23T18:01:21.123456+00:00 app[web.1]: {line}"))),
    ("cf", |lines| each(lines, |line| format!("   2026-11-23T18:01:21.12+0000 [APP/PROC/WEB/0] OUT {line}"))),
    ("PM2", |lines| each(lines, |line| format!("0|envoy  | {line}"))),
    ("kubetail", |lines| each(lines, |line| format!("[client-7d9f8b6c5d-x2x4z istio-proxy] {line}"))),
    ("grep -n", |lines| lines.iter().enumerate().map(|(at, line)| format!("{}:{line}\n", at + 1)).collect()),
    ("a mail's quote", |lines| each(lines, |line| format!("> {line}"))),
    ("a quote's quote", |lines| each(lines, |line| format!("> > {line}"))),
    ("k9s", |lines| each(lines, |line| format!("{line}      \u{2502}"))),
    ("Fluent Bit", |lines| {
        each(lines, |line| {
            format!(
                r#"{{"@timestamp":"{STAMP}","log":{},"stream":"stdout","kubernetes":{{"pod_name":"client-0"}}}}"#,
                json(line)
            )
        })
    }),
    ("Filebeat", |lines| {
        each(lines, |line| {
            format!(
                r#"{{"@timestamp":"{STAMP}","message":{},"log":{{"offset":12}},"kubernetes":{{"pod":{{"name":"client-0"}}}},"agent":{{"type":"filebeat"}}}}"#,
                json(line)
            )
        })
    }),
    ("Vector", |lines| {
        each(lines, |line| {
            format!(r#"{{"message":{},"source_type":"kubernetes_logs","timestamp":"{STAMP}"}}"#, json(line))
        })
    }),
    ("a shipper with a level", |lines| {
        each(lines, |line| format!(r#"{{"@timestamp":"{STAMP}","level":"info","message":{}}}"#, json(line)))
    }),
    ("a message alone", |lines| each(lines, |line| format!(r#"{{"msg":{}}}"#, json(line)))),
    ("Elasticsearch", |lines| {
        each(lines, |line| {
            format!(
                r#"{{"_index":"i","_source":{{"@timestamp":"{STAMP}","message":{},"kubernetes":{{"pod_name":"client-0"}}}}}}"#,
                json(line)
            )
        })
    }),
    ("Elasticsearch's answer", |lines| {
        pretty(
            lines,
            |list| serde_json::json!({"took": 1, "hits": {"total": 2, "hits": list}}),
            |line| serde_json::json!({"_id": "1", "_source": {"log": line, "stream": "stdout"}}),
        )
    }),
    ("Loki's answer", |lines| {
        let values: Vec<_> = lines.iter().map(|line| serde_json::json!(["1795456881000000000", line])).collect();
        serde_json::json!({"status": "success", "data": {"resultType": "streams", "result": [{"stream": {"pod": "client-0"}, "values": values}]}}).to_string()
    }),
    ("CloudWatch, compact", |lines| {
        let events: Vec<_> = lines
            .iter()
            .map(|line| serde_json::json!({"timestamp": 1_795_456_881_000_u64, "message": line, "ingestionTime": 1}))
            .collect();
        serde_json::json!({"events": events}).to_string()
    }),
    ("CloudWatch, pretty", |lines| {
        pretty(
            lines,
            |list| serde_json::json!({"events": list, "nextForwardToken": "f"}),
            |line| serde_json::json!({"timestamp": 1_795_456_881_000_u64, "message": line, "ingestionTime": 1}),
        )
    }),
    ("gcloud", |lines| {
        pretty(
            lines,
            |list| list,
            |line| serde_json::json!({"textPayload": format!("{line}\n"), "resource": {"labels": {"pod_name": "client-0"}}, "timestamp": STAMP}),
        )
    }),
    ("Stackdriver's lines", |lines| {
        each(lines, |line| format!(r#"{{"textPayload":{},"severity":"INFO","timestamp":"{STAMP}"}}"#, json(line)))
    }),
    ("Splunk", |lines| {
        each(lines, |line| format!(r#"{{"preview":false,"result":{{"_raw":{},"_time":"{STAMP}"}}}}"#, json(line)))
    }),
    ("Datadog", |lines| {
        each(lines, |line| {
            format!(
                r#"{{"id":"A","type":"log","attributes":{{"timestamp":"{STAMP}","status":"info","message":{}}}}}"#,
                json(line)
            )
        })
    }),
    ("OpenTelemetry", |lines| {
        let records: Vec<_> = lines
            .iter()
            .map(|line| serde_json::json!({"timeUnixNano": "1795456881000000000", "body": {"stringValue": line}}))
            .collect();
        serde_json::json!({"resourceLogs": [{"resource": {"attributes": []}, "scopeLogs": [{"logRecords": records}]}]})
            .to_string()
    }),
    ("a list that Python printed", |lines| {
        let quoted =
            |line: &&str| format!("'{}'", line.replace('\\', "\\\\").replace('\'', "\\'").replace('\t', "\\t"));
        format!("[{}]\n", lines.iter().map(quoted).collect::<Vec<_>>().join(", "))
    }),
    ("Azure's table", |lines| {
        let rows: Vec<_> = lines.iter().map(|line| serde_json::json!([STAMP, "client-0", line])).collect();
        let columns =
            ["TimeGenerated", "PodName", "LogMessage"].map(|name| serde_json::json!({"name": name, "type": "string"}));
        serde_json::json!({"tables": [{"name": "PrimaryResult", "columns": columns, "rows": rows}]}).to_string()
    }),
    ("Azure's table, pretty", |lines| {
        let columns =
            ["TimeGenerated", "PodName", "LogMessage"].map(|name| serde_json::json!({"name": name, "type": "string"}));
        let table = |rows| serde_json::json!({"tables": [{"name": "PrimaryResult", "columns": columns, "rows": rows}]});
        let rows: Vec<_> = lines.iter().map(|line| serde_json::json!([STAMP, "client-0", line])).collect();
        serde_json::to_string_pretty(&table(rows)).unwrap()
    }),
    ("Splunk's columns", |lines| {
        serde_json::json!({"preview": false, "fields": ["_time", "_raw"], "columns": [vec![STAMP; lines.len()], lines]})
            .to_string()
    }),
    ("a table", |lines| {
        let rows: String = lines
            .iter()
            .map(|line| format!("\"Nov 23, 2026 @ 18:01:21.104\",\"client-0\",\"{}\"\n", line.replace('"', "\"\"")))
            .collect();
        format!("\"@timestamp\",\"kubernetes.pod_name\",\"message\"\n{rows}")
    }),
];

/// What an application writes of two failures, with a trace.
const FAILURES: [&str; 5] = [
    "2026-11-23 18:00:00,250 INFO [http-1] c.e.Checkout : order placed",
    "2026-11-23 18:00:01,250 ERROR [http-1] c.e.Checkout : payment failed",
    "java.net.SocketException: Connection reset",
    "\tat java.base/java.net.SocketInputStream.read(SocketInputStream.java:186)",
    "2026-11-23 18:00:09,250 ERROR [http-2] c.e.Checkout : read tcp 10.0.0.1:5000->10.0.0.2:443: connection reset by peer",
];

/// How many resets `resets` counts in a log.
fn counted(log: &str) -> u64 {
    let report = plugin(["resets", "--from", "-", "-o", "json"]).stdin(log).json();
    report["total"]["resets"].as_u64().unwrap()
}

#[test]
fn envelopes_change_nothing() {
    let names = [
        "connect_timeout/connect_timeout_http_retries.1.40.0.text.log",
        "connect_timeout/connect_timeout_tcp.1.36.4.json.log",
        "connection_refused/refused_http.1.40.0.text.log",
        "healthy/healthy_http.1.40.0.text.log",
    ];
    let mut wrong = Vec::new();
    for name in names {
        let log = std::fs::read_to_string(fixtures().join("recorded").join(name)).unwrap();
        let lines: Vec<&str> = log.lines().collect();
        let (whole, _) = diagnose(log.as_bytes());
        for (envelope, wrap) in ENVELOPES {
            let wrapped = wrap(&lines);
            // As debug-log reads lines: behind the kubelet's stamp.
            let by_line =
                !wrapped.starts_with(['{', '\u{feff}']) && !wrapped.starts_with("[\n") && *envelope != "a table";
            let stamped = each(&wrapped.lines().collect::<Vec<_>>(), |line| format!("{STAMP} {line}"));
            if by_line && summary(&diagnose(stamped.as_bytes()).0) != summary(&whole) {
                wrong.push(format!("{name} in {envelope}, behind the kubelet's stamp"));
            }
            let (found, unrecognized) = diagnose(wrapped.as_bytes());
            if summary(&found) != summary(&whole) || unrecognized > 0 {
                wrong.push(format!(
                    "{name} in {envelope}: {unrecognized} not recognized, {:?} in place of {:?}",
                    summary(&found),
                    summary(&whole)
                ));
            }
        }
    }
    wrong.extend(ENVELOPES.iter().filter_map(|(envelope, wrap)| {
        let resets = counted(&wrap(&FAILURES));
        (resets != 2).then(|| format!("an application's log in {envelope}: {resets} resets in place of 2"))
    }));
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

/// A record of Envoy's in Istio's layout, in its parts.
struct Parts<'a> {
    time: &'a str,
    level: &'a str,
    logger: &'a str,
    place: &'a str,
    message: &'a str,
    thread: &'a str,
}

impl<'a> Parts<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let mut columns = line.split('\t');
        let (time, level) = (columns.next()?, columns.next()?);
        let (logger, place) = columns.next()?.strip_prefix("envoy ")?.split_once(' ')?;
        let (message, thread) = (columns.next()?, columns.next().unwrap_or("thread=0"));
        let thread = thread.strip_prefix("thread=").unwrap_or("0");
        Some(Self { time, level, logger, place: place.rsplit('/').next()?, message, thread })
    }
}

/// Writes a line's parts in a layout.
type Layout = fn(&Parts<'_>) -> String;

/// Layouts that nobody has documented: `--log-format` is anybody's.
const LAYOUTS: &[(&str, Layout)] = &[
    ("glog", |p| {
        let letter = p.level[..1].to_uppercase();
        format!(
            "{letter}{}{} {} {} {}] {}",
            &p.time[5..7],
            &p.time[8..10],
            &p.time[11..26],
            p.thread,
            p.place,
            p.message
        )
    }),
    ("consul's", |p| format!("{} [{}] envoy.{}({}) {}", p.time, p.level, p.logger, p.thread, p.message)),
    ("without thread", |p| format!("{} {:5} {} - {}", p.time, p.level.to_uppercase(), p.logger, p.message)),
    ("logfmt", |p| format!("time=\"{}\" level={} msg={} logger={}", p.time, p.level, json(p.message), p.logger)),
    ("bars, without logger", |p| format!("{} | {} | {}", p.level, p.time, p.message)),
];

#[test]
fn layouts_of_ones_own_change_nothing() {
    let outcome = |log: &str| {
        let (diagnosis, _) = diagnose(log.as_bytes());
        let causes: BTreeSet<_> = diagnosis.entries.iter().map(|entry| entry.event.cause.as_str()).collect();
        (causes, diagnosis.entries.iter().map(|entry| entry.occurrences).sum::<u64>())
    };
    let mut wrong = Vec::new();
    let mut count = 0;
    for path in walk(fixtures().join("recorded")) {
        let name = path.display().to_string();
        if !name.ends_with(".1.40.0.text.log") {
            continue;
        }
        count += 1;
        let log = std::fs::read_to_string(&path).unwrap();
        let whole = outcome(&log);
        for (layout, write) in LAYOUTS {
            let lines = log.lines().map(|line| Parts::of(line).map_or_else(|| line.to_owned(), |parts| write(&parts)));
            let found = outcome(&lines.map(|line| line + "\n").collect::<String>());
            if found != whole {
                wrong.push(format!("{name} as {layout}: {found:?} in place of {whole:?}"));
            }
        }
    }
    assert!(count > 50 && wrong.is_empty(), "{count}, {}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn interleaved_streams_are_kept_apart() {
    let log = |name: &str| std::fs::read_to_string(fixtures().join("recorded").join(name)).unwrap();
    let (one, other) = (
        log("connection_refused/refused_http.1.40.0.text.log"),
        log("connect_timeout/connect_timeout_tcp.1.40.0.text.log"),
    );
    let mut woven = String::new();
    let (mut left, mut right) = (one.lines(), other.lines());
    loop {
        let (a, b) = (left.next(), right.next());
        woven.extend(a.map(|line| format!("[pod/a/istio-proxy] {line}\n")));
        woven.extend(b.map(|line| format!("[pod/b/istio-proxy] {line}\n")));
        if a.is_none() && b.is_none() {
            break;
        }
    }
    let mut apart = [summary(&diagnose(one.as_bytes()).0), summary(&diagnose(other.as_bytes()).0)].concat();
    apart.sort();
    assert_eq!(summary(&diagnose(woven.as_bytes()).0), apart);
}

/// The sentences in a program of Envoy that are said of a connection or stream: their format begins with the place of the
/// ids.
fn sentences_of(program: &[u8]) -> BTreeSet<String> {
    memchr::memmem::find_iter(program, b"{}")
        .filter(|at| *at > 0 && !(0x20..0x7f).contains(&program[at - 1]))
        .filter_map(|at| {
            let text = &program[at + 2..];
            let end = text.iter().position(|byte| !(0x20..0x7f).contains(byte))?;
            let text = std::str::from_utf8(&text[..end]).ok()?;
            (text.len() > 5 && text.as_bytes()[0].is_ascii_alphabetic()).then(|| text.to_owned())
        })
        .collect()
}

/// A new version of Envoy shows by itself what is new: sentences with words of failure that the table does not know are
/// listed in a file for each version, and a list that has changed has to be looked at.
#[test]
fn what_envoy_can_say_of_failures_is_known_or_listed() {
    for (version, program) in crate::envoys() {
        let program = std::fs::read(program).unwrap();
        let sentences = sentences_of(&program);
        assert!(sentences.len() > 300, "{} sentences in Envoy {version}", sentences.len());
        let unknown: String = sentences
            .iter()
            .filter(|words| {
                let said = words.replace("{}", "x1");
                message::parse("connection", &said) == ProxyEvent::Other { of_failure: true }
            })
            .map(|words| format!("{words}\n"))
            .collect();
        let path = fixtures().join(format!("sentences.{version}.txt"));
        if std::env::var_os("MESHAUDIT_BLESS").is_some() {
            std::fs::write(&path, &unknown).unwrap();
        }
        let listed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            unknown == listed,
            "Envoy {version} says what is neither in the table nor in {}:\n{unknown}",
            path.display()
        );
        // And the table speaks this version's language.
        let known =
            sentences.iter().filter(|words| message::parse("connection", &words.replace("{}", "x1")).is_known());
        assert!(known.count() > 40, "the table knows too little of Envoy {version}");
    }
}

fn walk(directory: PathBuf) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(walk(path)) } else { found.push(path) }
    }
    found
}
