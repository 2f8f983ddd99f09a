//! Logs that others wrote, with what was counted in them by hand: `tests/fixtures/resets/cases`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::fixtures;
use crate::plugin;

/// Runs `resets` on a case and gives what is not as it should be.
fn misses(directory: &Path) -> Vec<String> {
    let case: Value = serde_json::from_slice(&std::fs::read(directory.join("expected.json")).unwrap()).unwrap();
    let by = if case["byHour"].is_object() { "hour" } else { "day" };
    let from = directory.join(case["input"].as_str().unwrap()).display().to_string();
    let mut args = vec!["resets", "--from", &from, "-o", "json", "--top", "0", "--by", by];
    args.extend(case["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()));
    let run = plugin(args).run();
    let Ok(report) = serde_json::from_str::<Value>(&run.stdout) else {
        return vec![format!("no JSON, exit {}: {}", run.code, run.stderr)];
    };
    let mut misses = Vec::new();
    let mut same = |what: &str, found: Value| {
        let expected = &case[what];
        if !expected.is_null() && *expected != found {
            misses.push(format!("{what}: {found}, right is {expected}"));
        }
    };
    same("total", report["total"]["resets"].clone());
    same("resetsWithoutTimestamp", report["input"]["resetsWithoutTimestamp"].clone());
    same("records", report["input"]["records"].clone());
    same("classes", report["total"]["classes"].clone());
    let columns = |skip: usize| {
        let labels = report["buckets"].as_array().unwrap().iter().map(|bucket| bucket["label"].as_str().unwrap());
        let counts = report["total"]["perBucket"].as_array().unwrap();
        let filled: BTreeMap<&str, u64> = labels
            .zip(counts)
            .filter_map(|(label, count)| Some((&label[skip..], count.as_u64().filter(|count| *count > 0)?)))
            .collect();
        serde_json::to_value(filled).unwrap()
    };
    same("byDay", columns(0));
    same("byHour", columns(0));
    same("byMonthDay", columns(5));
    let named = |list: &str, count: &str| {
        let named: BTreeMap<&str, &Value> = report[list]
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| one[count] != 0)
            .map(|one| (one["name"].as_str().unwrap(), &one[count]))
            .collect();
        serde_json::to_value(named).unwrap()
    };
    same("services", named("services", "resets"));
    same("targets", named("targets", "count"));
    same("exceptions", named("exceptions", "count"));
    same("delayPointsAt", report["delay"]["peak"]["pointsAtSeconds"].clone());
    misses
}

#[test]
fn logs_of_others_are_counted_as_by_hand() {
    let cases: Vec<PathBuf> =
        std::fs::read_dir(fixtures().join("cases")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(cases.len() >= 48, "the cases are there");
    let wrong: Vec<String> = cases
        .iter()
        .flat_map(|case| {
            let name = case.file_name().unwrap().to_string_lossy().into_owned();
            misses(case).into_iter().map(move |miss| format!("{name}: {miss}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A log, what is counted in it, and on which day or in which hour.
struct Sibling {
    name: &'static str,
    log: &'static str,
    args: &'static [&'static str],
    total: u64,
    /// Label of a column and its count.
    when: &'static [(&'static str, u64)],
    /// Reasons that are said for what was not counted.
    uncounted: &'static [&'static str],
}

const PLAIN: Sibling = Sibling { name: "", log: "", args: &[], total: 0, when: &[], uncounted: &[] };

/// What other logs of the same kinds look like.
const SIBLINGS: &[Sibling] = &[
    Sibling {
        name: "Rust's tracing in JSON",
        log: r#"{"timestamp":"2020-07-08T20:00:00Z","level":"ERROR","fields":{"message":"call failed","error":"hyper::Error(Io, Kind(ConnectionReset))"},"target":"pay"}"#,
        total: 1,
        when: &[("2020-07-08", 1)],
        ..PLAIN
    },
    Sibling {
        name: "structlog's tracebacks as dictionaries",
        log: r#"{"event":"call failed","level":"error","timestamp":"2020-07-08T20:00:00Z","exception":[{"exc_type":"ConnectionResetError","exc_value":"[Errno 104] Connection reset by peer","frames":[{"filename":"a.py"}]}]}"#,
        total: 1,
        ..PLAIN
    },
    Sibling {
        name: "Monolog",
        log: r#"{"message":"call failed","context":{"exception":{"class":"GuzzleHttp\\Exception\\ConnectException","message":"cURL error 56: Recv failure: Connection reset by peer","code":0}},"level":400,"level_name":"ERROR","channel":"app","datetime":"2020-07-08T20:00:00.000000+00:00","extra":{}}"#,
        total: 1,
        ..PLAIN
    },
    Sibling {
        name: "loguru",
        log: r#"{"text":"2020-07-08 20:00:00.000 | ERROR | __main__:<module>:5 - call failed\n","record":{"exception":{"type":"ConnectionResetError","value":"[Errno 104] Connection reset by peer","traceback":true},"level":{"name":"ERROR","no":40},"message":"call failed","time":{"repr":"2020-07-08 20:00:00.000000+00:00","timestamp":1594238400.0}}}"#,
        total: 1,
        when: &[("2020-07-08", 1)],
        ..PLAIN
    },
    Sibling {
        name: "MongoDB",
        log: r#"{"t":{"$date":"2020-07-08T20:00:00.000+00:00"},"s":"I","c":"NETWORK","id":22989,"ctx":"conn7","msg":"Error sending response to client. Ending connection from remote","attr":{"error":{"code":9001,"codeName":"SocketException","errmsg":"Connection reset by peer"},"remote":"10.0.0.7:51034"}}"#,
        total: 1,
        when: &[("2020-07-08", 1)],
        ..PLAIN
    },
    Sibling {
        name: "GraphQL's list of errors",
        log: r#"{"time":"2020-07-08T20:00:00Z","level":"error","msg":"request failed","errors":[{"message":"socket hang up","path":["cart"]}]}"#,
        total: 1,
        ..PLAIN
    },
    Sibling {
        name: "an error in a list of texts",
        log: r#"{"time":"2020-07-08T20:00:00Z","level":"error","msg":"request failed","error":["call failed","read ECONNRESET"]}"#,
        total: 1,
        ..PLAIN
    },
    Sibling {
        name: "settings and metrics",
        log: concat!(
            r#"{"time":"2020-07-08T20:00:00Z","level":"warn","msg":"policy","retryOn":["connection reset","broken pipe"]}"#,
            "\n",
            r#"{"time":"2020-07-08T20:00:01Z","level":"info","msg":"settings","settings":{"errorPattern":"Connection reset|Broken pipe"}}"#,
            "\n",
            r#"{"time":"2020-07-08T20:00:02Z","level":"info","msg":"codes=[ECONNRESET, ETIMEDOUT]"}"#,
            "\n",
            r#"{"time":"2020-07-08T20:00:03Z","level":"info","msg":"stats","counters":{"ECONNRESET":3}}"#,
        ),
        uncounted: &["configuration", "field-name"],
        ..PLAIN
    },
    Sibling {
        name: "nothing was lost",
        log: concat!(
            "2020-07-08 20:00:00 ERROR [http-nio-8080-exec-1] c.e.X : JSON parse error; nested exception is com.fasterxml.jackson.core.io.JsonEOFException: Unexpected end-of-input\n",
            "2020-07-08 20:00:01 http: TLS handshake error from 10.0.0.7:51034: EOF\n",
            "2020-07-08 20:00:02 INFO Using connection reset timeout of 30 s\n",
            "2020-07-08T20:00:03.000Z\twarning\tenvoy config\tStreamAggregatedResources gRPC config stream to xds-grpc closed: 14, connection error: desc = \"transport: Error while dialing: read tcp 10.0.0.1:1->10.0.0.2:15012: read: connection reset by peer\"\n",
        ),
        uncounted: &["configuration", "configuration-stream", "probe"],
        ..PLAIN
    },
    Sibling {
        name: "no half of a day in a word",
        log: "2020-07-08 20:00:00 AMQP Connection reset by peer\n2020-07-08 20:10:00 ams1-web Connection reset by peer\n",
        args: &["--by", "hour"],
        total: 2,
        when: &[("2020-07-08 20:00", 2)],
        ..PLAIN
    },
    Sibling {
        name: "a repeated hour without a zone",
        log: "2019-11-03 01:50:00 ERROR Connection reset\n2019-11-03 01:10:00 ERROR Connection reset\n2019-11-03 02:10:00 ERROR Connection reset\n",
        args: &["--by", "hour", "--log-tz", "America/New_York"],
        total: 3,
        when: &[("2019-11-03 05:00", 1), ("2019-11-03 06:00", 1), ("2019-11-03 07:00", 1)],
        ..PLAIN
    },
    Sibling {
        name: "a time behind a key",
        log: "level=error ts=1594238400.123 msg=\"read: connection reset by peer\"\n",
        total: 1,
        when: &[("2020-07-08", 1)],
        ..PLAIN
    },
    Sibling {
        name: "the kubelet's stamp tells the zone",
        log: "2020-07-08T20:00:00.100000001Z 2020-07-08 22:00:00,050 ERROR Connection reset\n",
        args: &["--by", "hour"],
        total: 1,
        when: &[("2020-07-08 20:00", 1)],
        ..PLAIN
    },
    Sibling {
        name: "two loggers report one failure",
        log: concat!(
            "2020-07-08 20:00:00,100 ERROR [http-1] o.h.e.j.spi.SqlExceptionHelper : Connection reset\n",
            "2020-07-08 20:00:00,300 ERROR [http-1] o.a.c.c.C.dispatcherServlet : failed: java.net.SocketException: Connection reset\n",
            "2020-07-08 20:00:00,300 ERROR [http-2] o.a.c.c.C.dispatcherServlet : failed: java.net.SocketException: Connection reset\n",
        ),
        total: 2,
        uncounted: &["same-failure"],
        ..PLAIN
    },
    Sibling {
        name: "a time before every line of a trace",
        log: concat!(
            "2020-07-08T20:00:02: Error: read ECONNRESET\n",
            "2020-07-08T20:00:02:     at TLSWrap.onStreamRead (internal/stream_base_commons.js:205:27) {\n",
            "2020-07-08T20:00:02:   errno: -104,\n",
            "2020-07-08T20:00:02:   code: 'ECONNRESET',\n",
            "2020-07-08T20:00:02: }\n",
            "2020-07-08T20:00:09: listening\n",
        ),
        total: 1,
        ..PLAIN
    },
    Sibling {
        name: "two pods woven into each other",
        log: concat!(
            "pay-7d9f8b6c5d-x2x4z app 2020-07-08 20:00:02,001 ERROR [http-1] c.e.Client - failed\n",
            "cart-7d9f8b6c5d-b5b6c app 2020-07-08 20:00:02,001 ERROR [http-1] c.e.Client - failed\n",
            "pay-7d9f8b6c5d-x2x4z app java.net.SocketException: Connection reset\n",
            "cart-7d9f8b6c5d-b5b6c app java.net.SocketException: Connection reset\n",
            "pay-7d9f8b6c5d-x2x4z app \tat a.b.C.d(C.java:1)\n",
            "cart-7d9f8b6c5d-b5b6c app \tat a.b.C.d(C.java:1)\n",
            "pay-7d9f8b6c5d-x2x4z app Caused by: java.net.SocketException: Connection reset\n",
            "cart-7d9f8b6c5d-b5b6c app Caused by: java.net.SocketException: Connection reset\n",
        ),
        total: 2,
        ..PLAIN
    },
    Sibling {
        name: "times under other names",
        log: concat!(
            r#"{"eventTimestamp":"2020-07-08 20:00:00.123","level":"ERROR","message":"read ECONNRESET"}"#,
            "\n",
            r#"{"timestamp":[2020,7,8,20,1,0,123000000],"level":"ERROR","message":"read ECONNRESET"}"#,
            "\n",
            r#"{"event":{"created":"2020-07-08T20:02:00Z"},"level":"ERROR","message":"read ECONNRESET"}"#,
        ),
        args: &["--by", "hour"],
        total: 3,
        when: &[("2020-07-08 20:00", 3)],
        ..PLAIN
    },
    Sibling {
        name: "times behind an address, and behind marks",
        log: concat!(
            "10.0.0.1 - - [08/Jul/2020:20:00:00 +0000] ERROR Connection reset\n",
            "10.0.0.1 - - [08/Jul/2020:20:05:00 +0000] INFO fine\n",
        ),
        args: &["--by", "hour"],
        total: 1,
        when: &[("2020-07-08 20:00", 1)],
        ..PLAIN
    },
    Sibling {
        name: "WebLogic",
        log: concat!(
            "####<Jul 8, 2020 8:00:00,123 PM UTC> <Error> <HTTP> <host1> <AdminServer> <BEA-101020> <java.net.SocketException: Connection reset\n",
            "\tat java.net.SocketInputStream.read(SocketInputStream.java:196)\n>\n",
            "####<Jul 8, 2020 8:01:00,123 PM UTC> <Info> <HTTP> <host1> <AdminServer> <BEA-1> <fine>\n",
        ),
        args: &["--by", "hour"],
        total: 1,
        when: &[("2020-07-08 20:00", 1)],
        ..PLAIN
    },
    Sibling {
        name: "an error beside the message of a table",
        log: concat!(
            "\"@timestamp\",\"service.name\",message,\"error.message\"\n",
            "\"2020-07-08T20:00:00.000Z\",pay,call failed,Connection reset by peer\n",
            "\"2020-07-08T20:01:00.000Z\",pay,fine,-\n",
        ),
        total: 1,
        when: &[("2020-07-08", 1)],
        ..PLAIN
    },
    Sibling {
        name: "a table of exceptions",
        log: concat!(
            "timestamp [UTC],problemId,outerMessage,innermostMessage,cloud_RoleName\n",
            "\"7/8/2020, 8:00:00.123 PM\",X at Y,An error occurred while sending the request.,Connection reset by peer,pay\n",
            "\"7/8/2020, 8:01:00.123 PM\",X at Y,timeout,timeout,pay\n",
        ),
        total: 1,
        when: &[("2020-07-08", 1)],
        ..PLAIN
    },
    Sibling {
        name: "streams of HTTP/2",
        log: concat!(
            "2020-07-08 20:00:00 ERROR Post \"https://pay.example.com\": stream error: stream ID 5; INTERNAL_ERROR; received from peer\n",
            "2020-07-08 20:00:01 ERROR Post \"https://pay.example.com\": stream error: stream ID 7; CANCEL; received from peer\n",
        ),
        total: 1,
        when: &[("2020-07-08", 1)],
        uncounted: &["not-understood"],
        ..PLAIN
    },
    Sibling {
        name: "clients that leave before they ask",
        log: concat!(
            "2020/07/08 20:00:00 [info] 31#31: *8 recv() failed (104: Connection reset by peer) while reading client request line, client: 10.0.0.1, server: shop\n",
            "2020/07/08 20:00:01 [error] 31#31: *9 recv() failed (104: Connection reset by peer) while reading response header from upstream, client: 10.0.0.1, upstream: \"http://10.0.0.9:8080/\"\n",
        ),
        total: 1,
        when: &[("2020-07-08", 1)],
        uncounted: &["probe"],
        ..PLAIN
    },
    Sibling {
        name: "callers that do not wait for their answer",
        log: concat!(
            "2020-07-08 20:00:00.101  WARN 1 --- [nio-8080-exec-3] .w.s.m.s.DefaultHandlerExceptionResolver : Failure in @ExceptionHandler\n",
            "org.apache.catalina.connector.ClientAbortException: java.io.IOException: Connection reset by peer\n",
            "\tat org.apache.catalina.connector.OutputBuffer.realWriteBytes(OutputBuffer.java:342)\n",
            "Caused by: java.io.IOException: Connection reset by peer\n",
            "\tat java.base/sun.nio.ch.SocketDispatcher.write0(Native Method)\n",
            "2020-07-08 20:00:01.101  WARN 1 --- [nio-8080-exec-4] c.e.Advice : org.springframework.web.context.request.async.AsyncRequestNotUsableException: ServletOutputStream failed to flush: java.io.IOException: Connection reset by peer\n",
            "2020-07-08 20:00:02.101 ERROR 1 --- [nio-8080-exec-5] c.e.Pay : POST https://pay.example.com: java.net.SocketException: Connection reset\n",
        ),
        total: 1,
        when: &[("2020-07-08", 1)],
        uncounted: &["probe"],
        ..PLAIN
    },
    Sibling {
        name: "kafka-python says it twice",
        log: concat!(
            "2020-07-08 20:00:00,455 kafka.conn ERROR <BrokerConnection node_id=2 host=kafka-2/10.0.0.7:9092>: socket disconnected\n",
            "2020-07-08 20:00:00,455 kafka.conn INFO <BrokerConnection node_id=2 host=kafka-2/10.0.0.7:9092>: Closing connection. KafkaConnectionError: socket disconnected\n",
        ),
        total: 1,
        when: &[("2020-07-08", 1)],
        uncounted: &["same-failure"],
        ..PLAIN
    },
    Sibling {
        name: "not understood",
        log: "2020-07-08 20:00:00 ERROR write failed: Broken pipe\n2020-07-08 20:00:01 INFO fine\n",
        uncounted: &["not-understood"],
        ..PLAIN
    },
];

#[test]
fn others_of_the_same_kinds_are_counted_too() {
    for sibling in SIBLINGS {
        let mut args = vec!["resets", "--from", "-", "-o", "json"];
        args.extend(sibling.args);
        let report = plugin(args).stdin(sibling.log).json();
        let name = sibling.name;
        assert_eq!(report["total"]["resets"], sibling.total, "{name}: {report:#}");
        if name == "two pods woven into each other" {
            let services = report["services"].as_array().unwrap();
            assert!(services.iter().all(|service| service["resets"] == 1), "{services:?}");
        }
        for (label, count) in sibling.when {
            let buckets = report["buckets"].as_array().unwrap();
            let index = buckets.iter().position(|bucket| bucket["label"] == *label);
            let index = index.unwrap_or_else(|| panic!("{name}: no column {label}: {:#}", report["buckets"]));
            assert_eq!(report["total"]["perBucket"][index], *count, "{name}: {label}");
        }
        let reasons: Vec<&str> = report["input"]["uncounted"]
            .as_array()
            .unwrap()
            .iter()
            .map(|uncounted| uncounted["reason"].as_str().unwrap())
            .collect();
        assert_eq!(reasons, sibling.uncounted, "{name}");
    }
}

/// The tables of words in docs/resets.md: each message is of the class that its row says.
#[test]
fn the_words_in_the_docs_are_understood() {
    let docs = std::fs::read_to_string(crate::project().join("docs/resets.md")).unwrap();
    let table = docs.split_once("### What libraries say").unwrap().1;
    // The table behind the next heading has reasons, and no messages.
    let table = table.split_once("\n##").map_or(table, |(table, _)| table);
    let rows: Vec<(&str, &str)> = table
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split(" | ");
            Some((cells.next()?.strip_suffix('`')?, cells.next()?.trim_matches('`')))
        })
        .collect();
    assert!(rows.len() > 40, "{} rows", rows.len());
    let patterns = meshaudit::resets::Patterns::new(&[], &[]).unwrap();
    for (message, class) in rows {
        let found = patterns.classify(message).map(|class| class.name());
        assert_eq!(found, Some(class), "{message}");
    }
}

#[test]
fn a_probe_that_logs_its_failures_points_at_no_timeout() {
    // Every ten seconds, failing at once; no record begins a call.
    let mut log = String::new();
    for number in 0..200 {
        let (minute, second) = (number / 6, number % 6 * 10 + 1);
        log += &format!(
            "2026-11-01T{:02}:{:02}:{second:02}.020Z ERROR [scheduling-1] c.e.HealthProbe : GET https://cc-api.example.io/health failed\njava.net.SocketException: Connection reset\n",
            minute / 60,
            minute % 60
        );
    }
    let report = plugin(["resets", "--from", "-", "-o", "json"]).stdin(log.as_str()).json();
    assert_eq!(report["total"]["resets"], 200);
    assert_eq!(report["delay"]["peak"]["pointsAtSeconds"], Value::Null, "{}", report["delay"]);
    assert!(report["delay"]["sentence"].as_str().unwrap().contains("do not say when"), "{}", report["delay"]);
    assert_eq!(report["rhythm"]["everySeconds"].as_f64().unwrap().round(), 10.0);
    // The same, where each failure says how long it took.
    let log = log.replace("/health failed", "/health failed after 1001 ms");
    let report = plugin(["resets", "--from", "-", "-o", "json"]).stdin(log.as_str()).json();
    assert_eq!(report["delay"]["peak"]["pointsAtSeconds"], 1.0);
    // A probe every second, of which every fourth fails: the records between are ends of other calls.
    let log: String = (0..200)
        .map(|number| {
            let outcome = if number % 4 == 0 { "failed: Connection reset" } else { "200 in 12 ms" };
            format!(
                "2026-11-01T00:{:02}:{:02}.020Z INFO [scheduling-1] c.e.HealthProbe : GET https://cc-api.example.io/health {outcome}\n",
                number / 60,
                number % 60
            )
        })
        .collect();
    let report = plugin(["resets", "--from", "-", "-o", "json"]).stdin(log).json();
    assert_eq!((&report["total"]["resets"], &report["delay"]["peak"]), (&Value::from(50), &Value::Null));
}

#[test]
fn a_log_of_failures_only_is_compared_over_the_whole_time() {
    let mut log = String::new();
    for number in 0..288 {
        let minutes = number * 10;
        log += &format!(
            "2020-07-{:02}T{:02}:{:02}:00Z ERROR Connection reset\n",
            1 + minutes / 1440,
            minutes / 60 % 24,
            minutes % 60
        );
    }
    for hour in ["03T10", "03T22", "04T20"] {
        log += &format!("2020-07-{hour}:00:00Z ERROR Connection reset\n");
    }
    let report = plugin(["resets", "--from", "-", "-o", "json", "--mark", "2020-07-03T00:00Z=fix"]).stdin(log).json();
    let mark = &report["marks"][0]["all"];
    assert_eq!((&mark["before"]["resets"], &mark["after"]["resets"]), (&Value::from(288), &Value::from(3)));
    assert_eq!((mark["before"]["hours"].as_f64(), mark["after"]["hours"].as_f64()), (Some(48.0), Some(44.0)));
    assert_eq!(mark["exposure"], "whole-time");
    let ratio = mark["ratio"].as_f64().unwrap();
    assert!((ratio - 3.0 / 44.0 / (288.0 / 48.0)).abs() < 1e-9, "{ratio}");
    assert!(report["notes"].to_string().contains("has failures only"), "{}", report["notes"]);
}

#[test]
fn an_application_and_its_proxy_are_compared_and_not_added() {
    let directory = tempfile::tempdir().unwrap();
    let pod = directory.path().join("checkout");
    std::fs::create_dir(&pod).unwrap();
    let mut own = String::new();
    let mut proxy = String::new();
    for minute in 0..5 {
        own += &format!("2020-07-08T20:0{minute}:01.002Z ERROR call failed: Connection reset\n");
        proxy += &format!(
            "[2020-07-08T20:0{minute}:00.000Z] \"- - -\" 0 UF,URX - - \"-\" 0 0 1001 - \"-\" \"-\" \"-\" \"-\" \"52.0.0.1:443\" outbound|443||api.example.com - 10.0.0.1:443 10.0.0.2:4711 - -\n"
        );
    }
    std::fs::write(pod.join("app.log"), own).unwrap();
    std::fs::write(pod.join("istio-proxy.log"), proxy).unwrap();
    let from = directory.path().display().to_string();
    let report = plugin(["resets", "--from", &from, "-o", "json"]).json();
    assert_eq!(report["total"]["resets"], 5);
    assert_eq!(report["services"][0]["proxyFailures"], 5);
    assert!(report["notes"].to_string().contains("Both tell of the same failures"), "{}", report["notes"]);
}

#[test]
fn an_input_with_nothing_to_count_is_no_clean_one() {
    for (log, words) in [("", "empty"), ("root:x:0:0:root:/root:/bin/bash\nbin:x:1:1::/:/bin/false\n", "timestamp")] {
        plugin(["resets", "--from", "-"]).stdin(log).run().exits(4).complains(words);
    }
    plugin(["resets", "--from", "-", "--service", "nope"])
        .stdin("{\"time\":\"2020-07-08T20:00:00Z\",\"service\":\"pay\",\"msg\":\"ECONNRESET\"}\n")
        .run()
        .exits(4)
        .complains("pay");
    // Two marks of one moment have the same sides.
    let log = "2020-07-08T20:00:00Z ok\n2020-07-08T20:30:00Z Connection reset\n2020-07-08T21:30:00Z ok\n2020-07-08T22:00:00Z ok\n";
    let report = plugin([
        "resets",
        "--from",
        "-",
        "-o",
        "json",
        "--mark",
        "2020-07-08T21:00Z=a",
        "--mark",
        "2020-07-08T21:00Z=b",
    ])
    .stdin(log)
    .json();
    assert_eq!(report["marks"][0]["all"], report["marks"][1]["all"]);
    assert_eq!(report["marks"][0]["all"]["before"]["resets"], 1);
    assert!(report["next"][0]["command"].as_str().unwrap().starts_with("kubectl meshaudit "), "{}", report["next"]);
}
