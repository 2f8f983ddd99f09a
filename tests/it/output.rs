//! What comes out: for people, for programs, into pipes.

use std::process::Stdio;

use serde_json::Value;

use crate::{incident, on_incident, plugin};

const DUMP: &str = r#"[{"name": "outbound|443||api.example.com", "type": "STRICT_DNS", "connectTimeout": "1s"},
    {"name": "outbound|80|v1|web.shop.svc.cluster.local", "type": "EDS", "connectTimeout": "2s"},
    {"name": "outbound|81||slow.example.com", "type": "EDS", "connectTimeout": "60s"},
    {"name": "outbound|82||good.example.com", "type": "EDS", "connectTimeout": "10s"},
    {"name": "outbound|83||unset.example.com", "type": "EDS"},
    {"name": "BlackHoleCluster", "type": "STATIC", "connectTimeout": "1s"},
    {"name": "agent", "type": "STATIC", "connectTimeout": "0.250s"}]"#;

fn offline(args: &[&str]) -> crate::Plugin {
    plugin([&["timeouts", "--from", "-"], args].concat()).stdin(DUMP)
}

#[test]
fn the_table_reads_as_it_should() {
    insta::assert_snapshot!("table", offline(&[]).run().exits(1).stdout);
    insta::assert_snapshot!("wide", offline(&["-o", "wide"]).run().exits(1).stdout);
    insta::assert_snapshot!("all_clusters", offline(&["--all-clusters", "--no-headers"]).run().exits(1).stdout);
    insta::assert_snapshot!("clean", offline(&["--host", "good"]).run().exits(0).stdout);
    insta::assert_snapshot!("quiet", offline(&["-q", "--host", "api"]).run().exits(1).stdout);
}

#[test]
fn colour_is_for_terminals_and_for_those_who_ask() {
    let escape = '\u{1b}';
    assert!(!offline(&[]).run().stdout.contains(escape), "a pipe gets none");
    assert!(offline(&["--color", "always"]).run().stdout.contains(escape));
    assert!(offline(&["--color", "always"]).env("NO_COLOR", "1").run().stdout.contains(escape), "the flag is nearer");
    assert!(offline(&[]).env("CLICOLOR_FORCE", "1").run().stdout.contains(escape));
    assert!(!offline(&[]).env("CLICOLOR_FORCE", "1").env("NO_COLOR", "1").run().stdout.contains(escape));
    assert!(!offline(&["-o", "json", "--color", "always"]).run().stdout.contains(escape));
    let colored = offline(&["--color", "always"]).run().stdout;
    let mut plain = String::new();
    let mut inside = false;
    for c in colored.chars() {
        match c {
            '\u{1b}' => inside = true,
            'm' if inside => inside = false,
            c if !inside => plain.push(c),
            _ => {}
        }
    }
    assert_eq!(plain, offline(&[]).run().stdout, "it says the same, and is as wide");
}

#[test]
fn json_follows_its_schema() {
    let schema: Value = serde_json::from_str(
        &std::fs::read_to_string(crate::project().join("docs/schema/timeout-audit.schema.json")).unwrap(),
    )
    .unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for audit in
        [offline(&["-o", "json"]).json(), on_incident(["timeouts", "-A", "-o", "json", "--all-clusters"]).json()]
    {
        let errors: Vec<String> = validator.iter_errors(&audit).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}");
        // The contract's names, so that the schema cannot drift with the program.
        let keys: Vec<&str> = audit.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            [
                "apiVersion",
                "kind",
                "tool",
                "startedAt",
                "durationMs",
                "coverage",
                "mesh",
                "clusters",
                "proxySets",
                "findings",
                "summary"
            ]
        );
        for key in [
            "name",
            "direction",
            "port",
            "subset",
            "host",
            "type",
            "connectTimeout",
            "connectTimeoutMs",
            "explicit",
            "synRetransmissions",
            "origin",
            "proxyCount",
            "proxySet",
        ] {
            assert!(audit["clusters"][0].get(key).is_some(), "{key}");
        }
        for key in ["code", "rule", "severity", "message", "cluster", "proxies", "origin", "remedy", "docs"] {
            assert!(audit["findings"][0].get(key).is_some(), "{key}");
        }
    }
}

#[test]
fn yaml_and_lines_say_the_same_as_json() {
    let timeless = |mut value: Value| {
        value["startedAt"] = Value::Null;
        value["durationMs"] = Value::Null;
        value
    };
    let json = timeless(offline(&["-o", "json"]).json());
    let yaml: Value = serde_saphyr::from_str(&offline(&["-o", "yaml"]).run().stdout).unwrap();
    assert_eq!(timeless(yaml), json);
    let lines: Vec<Value> =
        offline(&["-o", "ndjson"]).run().stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &str| -> Vec<Value> {
        let lines = lines.iter().filter(|line| line["kind"] == kind).cloned();
        lines
            .map(|mut line| {
                line.as_object_mut().unwrap().shift_remove("kind");
                line
            })
            .collect()
    };
    assert_eq!(lines[0]["apiVersion"], "meshaudit/v1");
    assert_eq!(lines[0]["coverage"], json["coverage"]);
    assert_eq!(Value::from(of("Cluster")), json["clusters"]);
    assert_eq!(Value::from(of("Finding")), json["findings"]);
    assert_eq!(of("Summary"), [json["summary"].clone()]);
}

#[test]
fn a_pipe_that_closes_early_is_no_error() {
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_kubectl-meshaudit"))
        .args(["timeouts", "-A", "-o", "json", "--all-clusters", "--request-timeout", "2s"])
        .env("KUBECONFIG", incident().kubeconfig())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()), (Some(0), String::new()));
}

#[test]
fn data_goes_to_stdout_and_nothing_else() {
    let run = on_incident(["timeouts", "-A", "-o", "json"]).run();
    assert_eq!(run.stderr, "", "no progress where there is no terminal");
    serde_json::from_str::<Value>(&run.stdout).unwrap();
}
