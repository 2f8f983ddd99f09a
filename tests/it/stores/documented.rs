//! Stores as their documentation has them, on lines of two pods.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::{Asked, CLOSED, Said, Server, decoded, of_any_source, parameter};
use crate::plugin;

/// Lines: time in nanoseconds, pod, line.
type Lines = Vec<(i128, &'static str, String)>;

/// Lines of two pods in an hour, some of them resets.
fn lines() -> Lines {
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

/// More lines than are read whole, of which failures have only their causes' words: what began a call, and how it was
/// reported, stands before them.
fn traces() -> Lines {
    let start: jiff::Timestamp = "2026-11-20T10:00:00Z".parse().unwrap();
    let mut found = Vec::new();
    for index in 0..5_200_i64 {
        let at = start + jiff::SignedDuration::from_millis(index * 500 + 1);
        let pod = if index / 100 % 3 == 0 { "orders-66b5d7c98f-zzzz2" } else { "checkout-7d9f8b6c5d-x2x4z" };
        let line = match index % 100 {
            47 => format!("{at} DEBUG [http-1] o.a.h.wire - http-outgoing-1 >> GET /v1/charge HTTP/1.1"),
            49 => format!("{at} ERROR [http-1] c.e.Client - POST https://api.example.com/v1/charge failed"),
            50 => "java.net.SocketException: Connection reset".to_owned(),
            51 => "\tat java.base/sun.nio.ch.NioSocketImpl.implRead(NioSocketImpl.java:328)".to_owned(),
            _ => format!("{at} INFO [http-2] c.e.Client - order {index} is paid"),
        };
        found.push((at.as_nanosecond() + i128::from(index) + 1, pod, line));
    }
    found
}

/// The same lines as a node keeps them.
fn write_pods(directory: &Path, lines: Lines) {
    let mut logs: BTreeMap<&str, String> = BTreeMap::new();
    for (at, pod, line) in lines {
        let at = jiff::Timestamp::from_nanosecond(at).unwrap();
        logs.entry(pod).or_default().push_str(&format!("{at:.9} {line}\n"));
    }
    for (pod, log) in logs {
        let place = directory.join(format!("shop_{pod}_0b6c2b2e-1111-2222-3333-444455556666/app"));
        std::fs::create_dir_all(&place).unwrap();
        std::fs::write(place.join("0.log"), log).unwrap();
    }
}

pub(super) const WINDOW: [&str; 8] =
    ["--since", "2026-11-20T09:00Z", "--until", "2026-11-20T12:00Z", "--by", "10m", "-o", "json"];

pub(super) fn from_files() -> Value {
    read_from_files(lines())
}

fn read_from_files(lines: Lines) -> Value {
    let directory = tempfile::tempdir().unwrap();
    write_pods(directory.path(), lines);
    let from = directory.path().display().to_string();
    let mut args = vec!["resets", "--from", &from];
    args.extend(WINDOW);
    serde_json::from_str(&plugin(args).run().exits(0).stdout).unwrap()
}

/// Loki's answers about [`lines`].
fn loki(asked: &Asked) -> Said {
    loki_of(asked, lines())
}

/// Loki's answers, as its documentation has them; entries no more than `limit` at once.
fn loki_of(asked: &Asked, lines: Lines) -> Said {
    if asked.line.starts_with("GET /loki/api/v1/labels") {
        return Said::ok(json!({"status": "success", "data": ["container", "namespace", "pod"]}).to_string());
    }
    let query = parameter(asked, "query");
    let number = |name: &str| parameter(asked, name).parse::<i128>().unwrap();
    let labels = |pod: &str| json!({"namespace": "shop", "pod": pod, "container": "app"});
    if asked.line.starts_with("GET /loki/api/v1/query?") {
        let range = query.rsplit_once('[').and_then(|(_, rest)| rest.strip_suffix("ms] offset 1ms))")).unwrap();
        let (end, range) = (number("time") - 1_000_000, range.parse::<i128>().unwrap() * 1_000_000);
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, pod, _) in lines.iter().filter(|(time, ..)| end - range < *time && *time <= end) {
            *counts.entry(pod).or_default() += 1;
        }
        let result: Vec<Value> = counts
            .into_iter()
            .map(|(pod, count)| json!({"metric": labels(pod), "value": [end as f64 / 1e9, count.to_string()]}))
            .collect();
        return Said::ok(json!({"status": "success", "data": {"resultType": "vector", "result": result}}).to_string());
    }
    let (start, end) = (number("start"), number("end"));
    if let Some(step) = query.strip_prefix("sum by (namespace,pod,container) (count_over_time({") {
        assert!(step.contains("namespace=\"shop\"") && step.ends_with("s] offset 1ms))"), "{query}");
        let step = number("step") * 1_000_000_000;
        // A real one moves both ends to multiples of the step, and may give a moment before the first.
        let (start, end) = (start.div_euclid(step) * step, (end + step - 1).div_euclid(step) * step);
        let mut series: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for pod in ["orders-66b5d7c98f-zzzz2", "checkout-7d9f8b6c5d-x2x4z"] {
            let mut at = start;
            while at <= end {
                let within = |time: i128| at - step - 1 < time && time < at;
                let count = lines.iter().filter(|(time, of, _)| *of == pod && within(*time)).count();
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
    let filter = query.split_once(" |~ ").map(|(_, quoted)| serde_json::from_str::<String>(quoted).unwrap());
    let filter = filter.map(|filter| regex::Regex::new(&filter).unwrap());
    let of = query.split_once("pod=\"").map(|(_, rest)| rest.split_once('"').unwrap().0);
    let meant = |(time, pod, line): &(i128, &str, String)| {
        let says = filter.as_ref().is_none_or(|filter| filter.is_match(line));
        start <= *time && *time < end && says && of.is_none_or(|of| of == *pod)
    };
    let mut entries: Vec<_> = lines.into_iter().filter(meant).collect();
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
fn more_pods_than_loki_counts_at_once_are_counted_in_parts() {
    let server = Server::start(|asked| {
        let query = parameter(asked, "query");
        let of_part = query.split_once("{pod=~\".*").and_then(|(_, rest)| rest.chars().next());
        if !query.starts_with("sum by") {
            return loki(asked);
        }
        if of_part.is_none() && !query.contains("{pod!~") {
            let text = "maximum number of series (1) reached for a single query; consider reducing query cardinality";
            return Said::status(400, "content-type: text/plain\r\n", text);
        }
        let lines = lines().into_iter().filter(|(_, pod, _)| pod.chars().last() == of_part).collect();
        loki_of(&Asked { line: asked.line.clone(), header: String::new(), body: String::new() }, lines)
    });
    let mut args = vec!["resets", "--loki", &server.url, "-n", "shop"];
    args.extend(WINDOW);
    let report: Value = serde_json::from_str(&plugin(args).run().exits(0).stdout).unwrap();
    assert_eq!(of_any_source(report), of_any_source(from_files()));
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
    // A moment within a step has on each side what lies there.
    let at =
        ["--mark", "2026-11-20T10:23:45Z=change", "--since", "2026-11-20T10:03:02Z", "--until", "2026-11-20T10:47:31Z"];
    let options = [&at[..], &["--by", "hour", "-o", "json"]].concat();
    let marked: Value = serde_json::from_str(
        &plugin([&["resets", "--loki", &server.url, "-n", "shop"], &options[..]].concat()).run().exits(0).stdout,
    )
    .unwrap();
    let directory = tempfile::tempdir().unwrap();
    write_pods(directory.path(), lines());
    let from = directory.path().display().to_string();
    let files: Value =
        serde_json::from_str(&plugin([&["resets", "--from", &from], &options[..]].concat()).run().exits(0).stdout)
            .unwrap();
    for part in ["total", "services", "buckets", "marks"] {
        assert_eq!(marked[part], files[part], "{part}");
    }
    // What stands around failures is read, too, where not everything is.
    let server = Server::start(|asked| loki_of(asked, traces()));
    let mut args = vec!["resets", "--loki", &server.url, "-n", "shop"];
    args.extend(WINDOW);
    let run = plugin(args).run().exits(0);
    let mut report: Value = serde_json::from_str(&run.stdout).unwrap();
    let mut files = read_from_files(traces());
    assert_eq!(files["total"]["resets"], 52, "{files}");
    // What says nothing is counted by the store, and not read.
    assert!(report["input"]["bytes"].as_u64() < Some(files["input"]["bytes"].as_u64().unwrap() / 3));
    for report in [&mut report, &mut files] {
        report["input"]["bytes"] = Value::Null;
    }
    assert_eq!(of_any_source(report), of_any_source(files));
    assert!(server.asked().matches("limit=100").count() < 500, "pages of failures, and what stands around each");
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
pub(super) fn victorialogs(asked: &Asked) -> Said {
    let query = parameter(asked, "query");
    let (from, rest) = query.strip_prefix("_time:[").unwrap().split_once(", ").unwrap();
    let until = rest.split_once(')').unwrap().0;
    let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
    let (from, until) = (at(from), at(until));
    let is_sample = query.ends_with("limit 200");
    let counts = query.contains("| stats by");
    if !is_sample && from.duration_until(until) > jiff::SignedDuration::from_hours(1) {
        return Said::status(CLOSED, "", "");
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

/// What `/_query` of Elasticsearch answers, in one line and as a person has it printed.
#[test]
fn an_answer_of_esql_is_read() {
    let names =
        ["@timestamp", "message", "kubernetes.namespace_name", "kubernetes.pod_name", "kubernetes.container_name"];
    let columns: Vec<Value> = names.iter().map(|name| json!({"name": name, "type": "keyword"})).collect();
    let rows: Vec<Value> = lines()
        .into_iter()
        .map(|(at, pod, line)| {
            json!([jiff::Timestamp::from_nanosecond(at).unwrap().to_string(), line, "shop", pod, "app"])
        })
        .collect();
    let answer = json!({"took": 3, "is_partial": false, "columns": columns, "values": rows});
    let expected = from_files();
    for text in [answer.to_string(), serde_json::to_string_pretty(&answer).unwrap()] {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let from = file.path().display().to_string();
        let mut args = vec!["resets", "--from", &from];
        args.extend(WINDOW);
        let report: Value = serde_json::from_str(&plugin(args).run().exits(0).stdout).unwrap();
        for part in ["buckets", "services", "total"] {
            assert_eq!(report[part], expected[part], "{part}");
        }
    }
}
