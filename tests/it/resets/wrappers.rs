//! A failure with its trace counts once, at its time, in whatever its lines come wrapped in.

use serde_json::{Value, json};

use crate::plugin;

/// What the application wrote: no time of its own, so that the wrapper's counts.
const LINES: [&str; 4] = [
    "call to https://api.example.com/v1 failed",
    "java.net.SocketException: Connection reset",
    "\tat java.base/java.net.SocketInputStream.read(SocketInputStream.java:186)",
    "Caused by: java.net.SocketException: Connection reset",
];
const TIME: &str = "2020-07-08T20:00:02.123456789Z";

/// A wrapper, and the service that it names.
type Wrapper = (&'static str, fn() -> String, Option<&'static str>);

fn each(wrap: impl Fn(&str) -> String) -> String {
    LINES.iter().map(|line| wrap(line) + "\n").collect()
}

fn whole() -> String {
    LINES.join("\n")
}

fn lines(record: &Value) -> String {
    format!("{record}\n")
}

fn pretty(document: &Value) -> String {
    serde_json::to_string_pretty(document).unwrap() + "\n"
}

const WRAPPERS: &[Wrapper] = &[
    ("docker", || each(|line| json!({"log": format!("{line}\n"), "stream": "stderr", "time": TIME}).to_string()), None),
    ("containerd", || each(|line| format!("{TIME} stderr F {line}")), None),
    (
        "containerd, in pieces",
        || {
            each(|line| {
                let (first, second) = line.split_at(line.len() / 2);
                format!("{TIME} stderr P {first}\n{TIME} stderr F {second}")
            })
        },
        None,
    ),
    ("kubectl logs --timestamps", || each(|line| format!("{TIME} {line}")), None),
    (
        "kubectl logs --prefix --timestamps",
        || each(|line| format!("[pod/pay-7d9f8b6c5d-x2x4z/app] {TIME} {line}")),
        Some("pay"),
    ),
    ("stern --timestamps", || each(|line| format!("pay-7d9f8b6c5d-x2x4z app {TIME} {line}")), Some("pay")),
    ("docker compose logs -t", || each(|line| format!("pay-1  | {TIME} {line}")), Some("pay")),
    ("heroku logs", || each(|line| format!("2020-07-08T20:00:02.123456+00:00 app[web.1]: {line}")), None),
    ("a time before every line", || each(|line| format!("2020-07-08T20:00:02: {line}")), None),
    ("syslog, RFC 5424", || each(|line| format!("<165>1 2020-07-08T20:00:02.003Z node-1 pay 4711 - - {line}")), None),
    (
        "journald -o json",
        || {
            each(|line| {
                json!({"__REALTIME_TIMESTAMP": "1594238402123456", "MESSAGE": line, "SYSLOG_IDENTIFIER": "pay", "PRIORITY": "3"})
                    .to_string()
            })
        },
        None,
    ),
    (
        "logcli -o jsonl",
        || each(|line| json!({"labels": {"app": "pay"}, "line": line, "timestamp": TIME}).to_string()),
        Some("pay"),
    ),
    (
        "Loki's answer",
        || {
            let values: Vec<Value> = LINES.iter().map(|line| json!(["1594238402123456789", line])).collect();
            lines(
                &json!({"status": "success", "data": {"resultType": "streams", "result": [{"stream": {"app": "pay"}, "values": values}]}}),
            )
        },
        Some("pay"),
    ),
    (
        "CloudWatch, pretty",
        || {
            pretty(
                &json!({"events": [{"logStreamName": "pay", "timestamp": 1_594_238_402_123_u64, "message": whole(), "ingestionTime": 1_594_238_403_000_u64, "eventId": "1"}], "searchedLogStreams": []}),
            )
        },
        None,
    ),
    (
        "CloudWatch Logs Insights",
        || {
            pretty(
                &json!({"results": [[{"field": "@timestamp", "value": "2020-07-08 20:00:02.123"}, {"field": "@message", "value": whole()}]], "status": "Complete"}),
            )
        },
        None,
    ),
    (
        "Stackdriver",
        || {
            lines(
                &json!({"textPayload": whole(), "timestamp": TIME, "severity": "ERROR", "resource": {"type": "k8s_container", "labels": {"container_name": "pay"}}}),
            )
        },
        Some("pay"),
    ),
    (
        "gcloud logging read --format=json",
        || {
            pretty(
                &json!([{"textPayload": whole(), "timestamp": TIME, "resource": {"labels": {"container_name": "pay"}}}]),
            )
        },
        Some("pay"),
    ),
    (
        "Splunk",
        || {
            lines(
                &json!({"preview": false, "result": {"_raw": whole(), "_time": "2020-07-08T20:00:02.123+00:00", "service": "pay"}}),
            )
        },
        Some("pay"),
    ),
    (
        "Elasticsearch's answer",
        || {
            pretty(
                &json!({"hits": {"hits": [{"_index": "logs", "_source": {"@timestamp": TIME, "message": whole(), "kubernetes": {"labels": {"app": "pay"}}}}]}}),
            )
        },
        Some("pay"),
    ),
    (
        "elasticdump",
        || {
            lines(
                &json!({"_index": "logs", "_id": "a", "_source": {"@timestamp": TIME, "message": whole(), "kubernetes": {"labels": {"app": "pay"}}}}),
            )
        },
        Some("pay"),
    ),
    (
        "fluentd's file",
        || {
            format!(
                "2020-07-08T20:00:02+00:00\tkubernetes.pay\t{}\n",
                json!({"log": whole(), "stream": "stderr", "kubernetes": {"labels": {"app": "pay"}}})
            )
        },
        Some("pay"),
    ),
    (
        "OpenTelemetry",
        || {
            lines(
                &json!({"resourceLogs": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "pay"}}]},
                "scopeLogs": [{"logRecords": [{"timeUnixNano": "1594238402123456789", "severityText": "ERROR", "body": {"stringValue": whole()}}]}]}]}),
            )
        },
        Some("pay"),
    ),
    (
        "CSV",
        || format!("timestamp,severity,textPayload,resource.labels.container_name\n{TIME},ERROR,\"{}\",pay\n", whole()),
        Some("pay"),
    ),
];

#[test]
fn a_failure_counts_once_in_any_wrapper() {
    let mut wrong = Vec::new();
    for (name, log, service) in WRAPPERS {
        let run = plugin(["resets", "--from", "-", "-o", "json", "--by", "hour"]).stdin(log()).run();
        let Ok(report) = serde_json::from_str::<Value>(&run.stdout) else {
            wrong.push(format!("{name}: exit {}: {}", run.code, run.stderr));
            continue;
        };
        let found = (
            report["total"]["resets"].as_u64(),
            report["buckets"][0]["label"].as_str(),
            report["targets"][0]["name"].as_str(),
        );
        if found != (Some(1), Some("2020-07-08 20:00"), Some("api.example.com")) {
            wrong.push(format!("{name}: {found:?}, {}", report["input"]));
        }
        if let Some(service) = service
            && report["services"][0]["name"] != *service
        {
            wrong.push(format!("{name}: {} is no {service}", report["services"][0]["name"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
