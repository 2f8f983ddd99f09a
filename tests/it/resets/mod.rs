//! `resets`, through the built binary.

mod cases;
mod incident;
mod live;
mod prometheus;
mod wrappers;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{is_as_committed, plugin, project, published_schema};

/// Runs the plugin, and reads its JSON.
fn json(args: &[&str]) -> Value {
    let run = plugin(args).run().exits(0);
    serde_json::from_str(&run.stdout).unwrap()
}

/// Writes the incident's four logs, one file a service.
fn write_incident(directory: &Path) -> incident::Answer {
    let mut answer = incident::Answer::default();
    for service in incident::services() {
        let mut out = BufWriter::new(File::create(directory.join(format!("{service}.log"))).unwrap());
        incident::write_service(service, 0, &mut out, &mut answer).unwrap();
        out.flush().unwrap();
    }
    answer
}

const CHANGE: &str = concat!("2020-07-08T20:00-07:00", "=connectTimeout 10s");

fn fixtures() -> PathBuf {
    project().join("tests/fixtures/resets")
}

#[test]
fn the_incident_has_its_known_answer() {
    let directory = tempfile::tempdir().unwrap();
    let answer = write_incident(directory.path());
    let from = directory.path().display().to_string();
    let report = json(&["resets", "--from", &from, "-o", "json", "--mark", CHANGE]);
    let days: Vec<&str> =
        report["buckets"].as_array().unwrap().iter().map(|day| day["label"].as_str().unwrap()).collect();
    assert_eq!((days.len(), days[0], days[29]), (30, "2020-06-22", "2020-07-21"));
    for service in report["services"].as_array().unwrap() {
        let name = service["name"].as_str().unwrap();
        for (day, count) in days.iter().zip(service["perBucket"].as_array().unwrap()) {
            // Zero where there were logs, null where there were none.
            let expected = answer.resets.get(&(name.to_owned(), (*day).to_owned())).copied();
            assert_eq!(count.as_u64(), expected, "{name} {day}");
        }
    }
    let missing = |name: &str| {
        let services = report["services"].as_array().unwrap();
        services.iter().find(|service| service["name"] == name).unwrap()["perBucket"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|count| count.is_null())
            .count()
    };
    assert_eq!((missing("inventory"), missing("checkout")), (2, 0));
    let mark = &report["marks"][0];
    assert_eq!(mark["all"]["before"]["resets"], answer.before);
    assert_eq!(mark["all"]["after"]["resets"], answer.after);
    // 17 days and 3 hours before, 12 days and 21 hours after, less the last minutes that no record reaches.
    let hours = |side: &str| mark["all"][side]["hours"].as_f64().unwrap();
    assert!((hours("before") - 411.0).abs() < 0.2 && (hours("after") - 309.0).abs() < 0.2, "{mark:#}");
    assert_eq!(mark["all"]["moreThanNoise"], true);
    let (low, high) =
        (mark["all"]["interval"]["low"].as_f64().unwrap(), mark["all"]["interval"]["high"].as_f64().unwrap());
    let ratio = mark["all"]["ratio"].as_f64().unwrap();
    assert!(low < ratio && ratio < high && high < 0.03);
    let delay = &report["delay"];
    assert_eq!(delay["resets"], answer.before + answer.after);
    assert_eq!(delay["peak"]["pointsAtSeconds"], 1.0);
    assert_eq!(delay["peak"]["resets"], answer.after_one_second);
    assert_eq!(delay["next"], "kubectl meshaudit timeouts -A");
    let target = |index: usize| report["targets"][index]["name"].as_str().unwrap();
    assert_eq!([target(0), target(1), target(2)], ["api.example.com", "partner.example.net", "stock.example.org"]);
    let exceptions: Vec<&str> =
        report["exceptions"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(exceptions, ["java.net.SocketException", "java.io.EOFException", "Error", "ConnectionResetError"]);
}

#[test]
fn the_chart_can_be_read_in_eighty_columns() {
    let directory = tempfile::tempdir().unwrap();
    write_incident(directory.path());
    let from = directory.path().display().to_string();
    let args = ["resets", "--from", &from, "--mark", CHANGE, "--tz", "America/Los_Angeles"];
    let chart = plugin(args).run().exits(0).stdout;
    assert!(chart.lines().all(|line| line.chars().count() <= 80), "{chart}");
    insta::assert_snapshot!("incident_chart", chart);
    let mut table = args.to_vec();
    table.extend(["-o", "table"]);
    insta::assert_snapshot!("incident_table", plugin(&table).run().exits(0).stdout);
    let mut picture = args.to_vec();
    picture.extend(["-o", "svg"]);
    is_as_committed("docs/images/resets.svg", &plugin(&picture).run().exits(0).stdout);
    let mut coloured = args.to_vec();
    coloured.extend(["--color", "always"]);
    let coloured = plugin(&coloured).run().exits(0).stdout;
    assert!(coloured.contains("\u{1b}[34m█"));
    let plain = regex::Regex::new("\u{1b}\\[[0-9;]*m").unwrap();
    assert_eq!(plain.replace_all(&coloured, ""), chart, "colour adds nothing but colour");
    let mut markdown = args.to_vec();
    markdown.extend(["-o", "markdown", "--since", "2020-06-30", "--until", "2020-07-04"]);
    insta::assert_snapshot!("incident_markdown", plugin(&markdown).run().exits(0).stdout);
}

#[test]
fn every_output_has_the_same_numbers() {
    let directory = tempfile::tempdir().unwrap();
    let answer = write_incident(directory.path());
    let from = directory.path().display().to_string();
    let text = |format: &str| plugin(["resets", "--from", &from, "-o", format, "--mark", CHANGE]).run().exits(0).stdout;
    let total: u64 = answer.resets.values().sum();
    let csv = text("csv");
    let counted: u64 = csv.lines().skip(1).filter_map(|line| line.rsplit(',').next()?.parse::<u64>().ok()).sum();
    assert_eq!(counted, total);
    assert_eq!(csv.lines().filter(|line| line.ends_with(",inventory,")).count(), 2, "missing days are empty");
    let svg = text("svg");
    assert!(svg.contains("xmlns=\"http://www.w3.org/2000/svg\"") && svg.trim_end().ends_with("</svg>"));
    for word in ["checkout", "inventory", "connectTimeout 10s", "2020-07-08"] {
        assert!(svg.contains(word), "{word}");
    }
    let html = text("html");
    for forbidden in ["<script", "src=", "href=", "@import", "url(http"] {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
    assert!(html.contains("The fall is more than noise.") && html.contains("no logs"));
    let yaml = text("yaml");
    assert!(yaml.contains("kind: Resets"));
    // The same input gives the same output, though cores race.
    assert_eq!(text("json"), text("json"));
}

#[test]
fn recorded_clients_are_understood() {
    for (name, service, roots, delay) in [
        ("java.log", "java", &["java.net.SocketException", "java.lang.IllegalStateException"][..], false),
        ("python.log", "python", &["ConnectionResetError", "RuntimeError", "urllib.error.HTTPError"], true),
        ("node.log", "payments", &["Error"], true),
    ] {
        let from = fixtures().join(name).display().to_string();
        let report = json(&["resets", "--from", &from, "-o", "json"]);
        assert_eq!(report["total"]["resets"], 12, "{name}: six calls over TLS and six over HTTP, each once");
        assert_eq!(report["services"][0]["name"], service);
        assert_eq!(report["total"]["classes"]["upstream-connect-error"], 6, "{name}");
        let found: Vec<&str> =
            report["exceptions"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
        assert!(found.iter().all(|one| roots.contains(one)), "{name}: {found:?}");
        let called: u64 = report["targets"].as_array().unwrap().iter().map(|one| one["count"].as_u64().unwrap()).sum();
        assert_eq!(called, 12, "{name}: every target is known");
        // java.util.logging writes whole seconds: no delay can be read from them.
        assert_eq!(report["delay"]["peak"]["pointsAtSeconds"].as_f64(), delay.then_some(1.0), "{name}");
    }
}

#[test]
fn access_logs_are_counted_by_their_flags() {
    let from = fixtures().join("istio-proxy.log").display().to_string();
    let report = json(&["resets", "--from", &from, "-o", "json"]);
    assert_eq!(report["total"]["classes"], serde_json::json!({"proxy-connect-failure": 36}));
    assert_eq!(report["total"]["calls"], 36);
    assert_eq!(report["delay"]["peak"]["pointsAtSeconds"], 1.0);
    assert_eq!(report["targets"][0]["name"], "api.example.com", "a TCP connection's host is its cluster's");

    // Text and JSON, well and ill, outbound and inbound; shares before and after.
    let mut log = String::new();
    for minute in 0..120 {
        let (flags, duration) = if minute < 60 && minute % 10 == 0 { ("UF,URX", 1001) } else { ("-", 20) };
        let start = format!("2020-07-08T{:02}:{:02}:00.123Z", 20 + minute / 60, minute % 60);
        if minute % 2 == 0 {
            log += &format!(
                "[{start}] \"- - -\" 0 {flags} - - \"-\" 0 0 {duration} - \"-\" \"-\" \"-\" \"-\" \"52.0.0.1:443\" outbound|443||api.example.com - 10.0.0.1:443 10.0.0.2:4711 - -\n"
            );
        } else {
            log += &format!(
                "{{\"start_time\":\"{start}\",\"method\":\"GET\",\"path\":\"/\",\"protocol\":\"HTTP/1.1\",\"response_code\":200,\"response_flags\":\"-\",\"duration\":7,\"authority\":\"api.example.com\",\"upstream_host\":\"52.0.0.1:443\",\"upstream_cluster\":\"inbound|8080||\"}}\n"
            );
        }
    }
    let report = plugin(["resets", "--from", "-", "-o", "json", "--by", "hour", "--mark", "2020-07-08T21:00Z=fix"])
        .stdin(log)
        .json();
    assert_eq!(report["total"]["perBucket"], serde_json::json!([6, 0]));
    assert_eq!(report["total"]["calls"], 60, "what came in is no call of this service");
    let mark = &report["marks"][0];
    assert_eq!(
        (&mark["all"]["before"]["failureShare"], &mark["all"]["after"]["failureShare"]),
        (&Value::from(0.2), &Value::from(0.0))
    );
    assert!(
        mark["sentence"].as_str().unwrap().contains("Of the calls, 20 % of 30 failed before and 0 % of 30 after."),
        "{mark}"
    );
}

#[test]
fn copies_count_once_and_rotation_has_no_order() {
    let directory = tempfile::tempdir().unwrap();
    let mut answer = incident::Answer::default();
    let mut log = Vec::new();
    incident::write_service("orders", 0, &mut log, &mut answer).unwrap();
    // Three parts, rotated, compressed and copied; the newest has the lowest number.
    let cut = |at: usize| at + log[at..].windows(6).position(|window| window == b"\n2020-").unwrap() + 1;
    let (first, second) = (cut(log.len() / 3), cut(2 * log.len() / 3));
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let at = |name: &str| directory.path().join(name);
    std::fs::write(at("orders.log"), &log[second..]).unwrap();
    std::fs::write(at("orders.log.1"), &log[first..second]).unwrap();
    std::fs::write(at("orders.log.2.gz"), gzip(&log[..first])).unwrap();
    std::fs::write(at("orders.log.2"), &log[..first]).unwrap();
    std::fs::write(at("picture.png"), b"\x89PNG\r\n\x1a\n\0\0\0").unwrap();
    std::fs::write(at("empty.log"), b"").unwrap();
    let from = directory.path().display().to_string();
    let report = json(&["resets", "--from", &from, "-o", "json"]);
    assert_eq!(report["total"]["resets"], answer.resets.values().sum::<u64>());
    assert_eq!(report["services"].as_array().unwrap().len(), 1);
    assert_eq!(report["input"]["duplicates"].as_array().unwrap().len(), 1);
    assert!(report["notes"].to_string().contains("has the same content as"));
    // Cut off in the middle, a compressed file counts as far as it goes, and is named.
    let whole = gzip(&log);
    std::fs::write(at("orders-cut.log.gz"), &whole[..whole.len() / 2]).unwrap();
    let cut = at("orders-cut.log.gz").display().to_string();
    let run = plugin(["resets", "--from", &cut, "-o", "json"]).run().exits(3);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report["input"]["failed"][0]["name"], cut);
    assert!(report["total"]["resets"].as_u64().unwrap() > 0);
}

#[test]
fn what_two_files_of_one_service_tell_counts_once() {
    let failure = |second: u32| {
        format!(
            "2020-07-08 20:00:0{second},123 ERROR [main] c.e.Client - call failed\njava.net.SocketException: Connection reset\n\tat a.B.c(D.java:1)\n"
        )
    };
    let fine = "2020-07-08 20:00:00,001 INFO [main] c.e.Client - start\n";
    for (name, errors, total) in [
        // What the log of errors has beside the other one's failures is its own.
        ("error.log", [failure(1), failure(2)].concat(), 2),
        ("error.log", [failure(1), failure(5)].concat(), 4),
        ("other.log", [failure(1), failure(2), fine.to_owned()].concat(), 4),
    ] {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("app.log"), [fine, &failure(1), &failure(2)].concat()).unwrap();
        std::fs::write(directory.path().join(name), errors).unwrap();
        let report = json(&["resets", "--from", &directory.path().display().to_string(), "-o", "json"]);
        assert_eq!(report["total"]["resets"], total, "{name}");
    }
}

#[test]
fn a_log_from_its_end_gives_the_same() {
    let line = |second: u32, text: &str| {
        format!("2020-07-08 20:00:{second:02},123 INFO [http-{second}] c.e.Client - {text}\n")
    };
    let lines: Vec<String> = (0..20)
        .flat_map(|call| {
            let failed = format!(
                "2020-07-08 20:00:{:02},127 ERROR [http-{}] c.e.Client - Connection reset\n",
                2 * call + 1,
                2 * call
            );
            [line(2 * call, "POST https://api.example.com/v1"), failed]
        })
        .collect();
    let directory = tempfile::tempdir().unwrap();
    let report = |lines: &[String]| {
        let path = directory.path().join("pay.log");
        std::fs::write(&path, lines.concat()).unwrap();
        json(&["resets", "--from", &path.display().to_string(), "-o", "json"])
    };
    let forward = report(&lines);
    let backward = report(&lines.iter().rev().cloned().collect::<Vec<_>>());
    assert_eq!(forward["total"]["resets"], 20);
    assert!(forward["delays"].is_object() || forward["delay"].is_object(), "{forward:#}");
    for member in ["total", "services", "delays", "delay", "targets"] {
        assert_eq!(forward[member], backward[member], "{member}");
    }
}

#[test]
fn the_kubelets_words_are_no_log() {
    let words = "unable to retrieve container logs for containerd://8d1f3a2b4c5d6e7f";
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (alone, behind) =
        (at("alone.log", words), at("behind.log", &format!("2020-07-08 20:00:00 INFO start\n{words}")));
    plugin(["resets", "--from", &alone]).run().exits(4).complains(words);
    plugin(["resets", "--from", &behind]).run().exits(3).complains(words);
    plugin(["diagnose", "--from", &alone]).run().exits(4).complains(words);
    let proxy =
        "2020-07-08T20:00:00.000000Z\tinfo\tenvoy main server/server.cc:1\tstarting main dispatch loop\tthread=1\n";
    plugin(["diagnose", "--from", &at("proxy.log", &format!("{proxy}{words}"))]).run().exits(3).complains(words);
}

#[test]
fn odd_input_is_counted_and_said() {
    let mut log = Vec::new();
    log.extend_from_slice(b"no time at all: Connection reset\n");
    log.extend_from_slice(b"2020-07-08 20:00:00 ERROR \xff\xfe Connection reset \x1b[2J\xe2\x80\xae\n");
    log.extend_from_slice(b"{\"time\":1594238400,\"service\":\"\x5cu001b[31mevil\x5cu202e\",\"msg\":\"ECONNRESET\"}\n");
    log.extend_from_slice(b"2020-07-08T20:00:01Z ");
    log.extend(std::iter::repeat_n(b'x', 3 << 20));
    log.extend_from_slice(b"Connection reset\n");
    log.extend_from_slice(b"1994-01-01T00:00:00Z early\n2020-07-09T00:00:00+02:00 Connection reset");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("odd.log");
    std::fs::write(&path, &log).unwrap();
    let from = path.display().to_string();
    let report = json(&["resets", "--from", &from, "-o", "json", "--since", "2020-07-01"]);
    let input = &report["input"];
    assert_eq!(input["withoutTimestamp"], 1);
    assert_eq!(input["resetsWithoutTimestamp"], 1);
    assert_eq!(input["invalidUtf8"], 1);
    assert_eq!(input["cutLines"], 1);
    assert_eq!(input["outsideWindow"], 1);
    assert_eq!(input["withoutZone"], 1);
    assert_eq!(report["total"]["resets"], 3);
    for format in ["chart", "table", "wide", "markdown", "csv", "svg", "html", "json"] {
        let run = plugin([
            "resets",
            "--from",
            &from,
            "-o",
            format,
            "--since",
            "2020-07-01",
            "--mark",
            "2020-07-08T21:00Z=a\u{1b}[2Jb\u{202e}|<script>",
        ])
        .run()
        .exits(0);
        for text in [&run.stdout, &run.stderr] {
            assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{format}: {text}");
        }
        if matches!(format, "html" | "svg" | "markdown") {
            assert!(!run.stdout.contains("<script>"), "{format}");
        }
    }
    // A span without end is refused with its reason, and not drawn.
    plugin(["resets", "--from", &from, "--by", "10m"]).run().exits(4).complains("--since");
}

#[test]
fn standard_input_is_read() {
    let line = "{\"time\":\"2020-07-08T20:00:00Z\",\"labels\":{\"team\":\"blue\"},\"msg\":\"read: connection reset by peer\"}\n";
    let report = plugin(["resets", "--from", "-", "-o", "json", "--service-field", "labels.team"]).stdin(line).json();
    assert_eq!(report["services"][0]["name"], "blue");
    // The field may be the envelope's, and beat the labels that are known.
    for log in [
        r"2020-07-08T20:00:00Z read: connection reset by peer\n",
        r#"{\"time\":\"2020-07-08T20:00:00Z\",\"service\":\"pay\",\"msg\":\"read: connection reset by peer\"}\n"#,
    ] {
        let line =
            format!(r#"{{"log":"{log}","stream":"stderr","kubernetes":{{"labels":{{"app":"pay","team":"blue"}}}}}}"#);
        let report = plugin(["resets", "--from", "-", "-o", "json", "--service-field", "kubernetes.labels.team"])
            .stdin(line)
            .json();
        assert_eq!(report["services"][0]["name"], "blue", "{log}");
    }
}

#[test]
fn what_is_wrong_is_said() {
    for (args, code, words) in [
        (&["--from", "/nonexistent/log"][..], 4, "/nonexistent/log could not be opened"),
        (&["--from", ".", "--tz", "Mars/Olympus"], 2, "no time zone"),
        (&["--from", ".", "--by", "7m"], 2, "divides a day"),
        (&["--from", ".", "--since", "yesterday-ish"], 2, "--since"),
        (&["--from", ".", "--since", "1h", "--until", "2h"], 2, "is not before"),
        (&["--from", ".", "--mark", "soon=x"], 2, "--mark"),
        (&["--from", ".", "--pattern", "("], 2, "not a regular expression"),
        (&["--from", ".", "--class", "nonsense"], 2, "unexpected-eof"),
        (&["--from", ".", "-n", "shop"], 2, "cannot be used with"),
    ] {
        let mut all = vec!["resets"];
        all.extend(args);
        let run = plugin(all).run().exits(code).complains(words);
        assert!(run.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn classes_and_patterns_choose() {
    let from = fixtures().join("java.log").display().to_string();
    let count = |more: &[&str]| {
        let mut args = vec!["resets", "--from", &from, "-o", "json"];
        args.extend(more);
        json(&args)["total"]["resets"].as_u64().unwrap()
    };
    assert_eq!(count(&["--class", "connection-reset"]), 6);
    assert_eq!(count(&["--class", "upstream-connect-error", "--class", "connection-reset"]), 12);
    assert_eq!(count(&["--class", "unexpected-eof"]), 0);
    assert_eq!(count(&["--class", "unexpected-eof", "--pattern", "payment not made"]), 12);
    plugin(["resets", "--from", &from, "--service", "other"]).run().exits(4).complains("java");
}

#[test]
fn reports_keep_the_published_schema() {
    let validator = published_schema("resets");
    let directory = tempfile::tempdir().unwrap();
    write_incident(directory.path());
    let from = directory.path().display().to_string();
    let empty = directory.path().join("empty");
    std::fs::write(&empty, "2020-07-08T20:00:00Z nothing\n").unwrap();
    for args in [&["--from", &from, "--mark", CHANGE][..], &["--from", &empty.display().to_string(), "--mark", CHANGE]]
    {
        let mut all = vec!["resets", "-o", "json"];
        all.extend(args);
        let report = json(&all);
        let errors: Vec<String> = validator.iter_errors(&report).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}");
    }
}

#[test]
fn the_docs_list_every_class() {
    let docs = std::fs::read_to_string(project().join("docs/resets.md")).unwrap();
    for class in meshaudit::resets::Class::ALL {
        assert!(docs.contains(&format!("| `{class}` |")), "{class}");
    }
}

/// Not a test: writes the log that throughput and memory are measured with.
/// `MESHAUDIT_GENERATE=DIR MESHAUDIT_ORDINARY=64 cargo test --test it -- --ignored generate_large_logs`
#[test]
#[ignore = "writes gigabytes, where it is told to"]
fn generate_large_logs() {
    let directory = std::env::var("MESHAUDIT_GENERATE").expect("MESHAUDIT_GENERATE names the directory to write to");
    let ordinary = std::env::var("MESHAUDIT_ORDINARY").map_or(64, |ordinary| ordinary.parse().unwrap());
    let mut answer = incident::Answer::default();
    for service in incident::services() {
        let mut out = BufWriter::new(File::create(Path::new(&directory).join(format!("{service}.log"))).unwrap());
        incident::write_service(service, ordinary, &mut out, &mut answer).unwrap();
        out.flush().unwrap();
    }
}
