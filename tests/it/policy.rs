//! Policies: what they expect, what they ignore, and how their mistakes are told; and `--baseline`.

use serde_json::Value;

use crate::{plugin, project};

const FIXTURE: &str = "tests/fixtures/rules/MA001.json";

/// A policy in a file of its own.
fn policy(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

fn audit(text: &str, fixture: &str) -> Value {
    let file = policy(text);
    plugin(["timeouts", "--from", fixture, "-o", "json", "--policy", file.path().to_str().unwrap()]).json()
}

fn codes(audit: &Value) -> Vec<(String, String)> {
    let word = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let all = audit["findings"].as_array().unwrap();
    all.iter().map(|finding| (word(finding, "code"), word(finding, "severity"))).collect()
}

#[test]
fn a_mistake_is_told_with_its_place_and_nothing_of_the_file() {
    for (text, place, said) in [
        ("expectation:\n  - s3cret: 1\n", "line 1, column 1", "did you mean `expectations`?"),
        ("expectations:\n  - hots: s3cret\n    min: 1s\n", "line 2, column 5", "did you mean `host`?"),
        ("expectations:\n  - host: a\n    min: s3cret\n", "line 3, column 10", "a duration"),
        ("expectations:\n  - host: a\n", "line 2, column 5", "`connectTimeout`, `min` or `max` is missing"),
        ("expectations: {host: s3cret}\n", "line 1, column 15", "a list"),
        ("severities:\n  MA0001: s3cret\n", "line 2, column 3", "did you mean `MA001`?"),
        ("severities:\n  MA001: s3cret\n", "line 2, column 10", "error, warning, info, off"),
        ("ignores:\n  - rule: MA001\n    expires: 2027-13-01\n    reason: s3cret\n", "line 3, column 14", "a day"),
        ("ignores:\n  - rule: MA001\n", "line 2, column 5", "`reason` is missing"),
        ("ignores:\n  - reason: s3cret\n", "line 2, column 5", "everything"),
        ("thresholds:\n  tooLong: 2s\n", "line 2, column 3", "no value would be right"),
        ("expectations:\n  - host: a\n    min: 9s\n    max: 3s\n", "line 4, column 10", "below"),
        ("expectations:\n  - host: a\n    connectTimeout: 9s\n    max: 9s\n", "line 4, column 10", "exact"),
        ("users:\n- token: s3cret\n", "line 1, column 1", "there is no such key"),
        ("a: [s3cret\n", "line", "no YAML"),
        ("kind: s3cret\n", "line 1, column 7", "`Policy`"),
    ] {
        let file = policy(text);
        let path = file.path().to_str().unwrap();
        for args in [vec!["policy", "check", path], vec!["timeouts", "--from", FIXTURE, "--policy", path]] {
            let run = plugin(args).run().exits(2).complains(place).complains(said);
            assert!(!run.stderr.contains("s3cret") && run.stdout.is_empty(), "{text}: {run:?}");
        }
    }
}

/// MA015 is of policies: whoever has none, or one that expects nothing, meets the codes MA001 to MA014 alone.
#[test]
fn without_expectations_no_output_names_their_rule() {
    let none = policy("thresholds:\n  tooShort: 2s\n");
    for fixture in ["MA001", "MA015", "healthy"] {
        let fixture = format!("tests/fixtures/rules/{fixture}.json");
        for format in
            ["table", "wide", "json", "yaml", "ndjson", "sarif", "junit", "markdown", "html", "csv", "prometheus"]
        {
            for policy in [&[][..], &["--policy", none.path().to_str().unwrap()]] {
                let args = [&["timeouts", "--from", &fixture, "-v", "--exit-zero", "-o", format], policy].concat();
                let run = plugin(args).run().exits(0);
                let said = format!("{}{}", run.stdout, run.stderr);
                assert!(!said.contains("MA015") && !said.contains("expectation-unmet"), "{format}, {fixture}: {said}");
            }
        }
    }
}

#[test]
fn what_is_expected_takes_the_place_of_the_thresholds() {
    let right = audit("expectations:\n  - {host: 'api.*', connectTimeout: 1s}\n", FIXTURE);
    assert_eq!(codes(&right), [], "{right}");
    let wrong = audit("expectations:\n  - {host: '*.example.com', min: 5s, severity: warning}\n", FIXTURE);
    assert_eq!(codes(&wrong), [("MA015".into(), "warning".into())]);
    assert!(wrong["findings"][0]["message"].as_str().unwrap().contains("at least 5s"));
    // Another host, another caller, another direction: the rules hold.
    for other in ["host: example.com", "namespace: other", "workload: nobody", "direction: inbound"] {
        let other = audit(&format!("expectations:\n  - {{{other}, connectTimeout: 1s}}\n"), FIXTURE);
        assert!(codes(&other).contains(&("MA001".into(), "error".into())), "{other}");
    }
    let here = audit("expectations:\n  - {namespace: sh*, workload: web, direction: outbound, max: 2s}\n", FIXTURE);
    assert_eq!(codes(&here), [], "{here}");
    // The first that matches counts.
    let first = audit("expectations:\n  - {host: 'api*', min: 1s}\n  - {host: '*', min: 20s}\n", FIXTURE);
    assert_eq!(codes(&first), [], "{first}");
}

#[test]
fn thresholds_and_severities_are_the_policys() {
    let strict = audit("thresholds: {tooShort: 250ms, thin: 500ms}\n", FIXTURE);
    assert!(!codes(&strict).iter().any(|(code, _)| code == "MA001" || code == "MA002"), "{strict}");
    let mild = audit("severities: {connect-timeout-too-short: info}\n", FIXTURE);
    assert!(codes(&mild).contains(&("MA001".into(), "info".into())), "{mild}");
    let off = audit("severities: {MA001: off}\n", FIXTURE);
    assert!(!codes(&off).iter().any(|(code, _)| code == "MA001"), "{off}");
}

#[test]
fn an_ignore_holds_until_it_runs_out_and_is_counted() {
    let ignore = |more: &str| format!("ignores:\n  - {{rule: MA001, reason: known, {more}}}\n");
    let known = audit(&ignore("host: api.example.com, expires: 2999-12-31"), FIXTURE);
    assert!(!codes(&known).iter().any(|(code, _)| code == "MA001"), "{known}");
    assert_eq!(known["summary"]["ignored"], 1);
    let elsewhere = audit(&ignore("namespace: other"), FIXTURE);
    assert_eq!(elsewhere["summary"]["ignored"], 0);
    let file = policy(&ignore("expires: 2020-01-31"));
    let args = ["timeouts", "--from", FIXTURE, "--policy", file.path().to_str().unwrap()];
    plugin(args).run().exits(1).complains("ignore 1 ran out on 2020-01-31");
    plugin(["policy", "check", file.path().to_str().unwrap()]).run().exits(0).complains("ran out");
}

#[test]
fn a_pattern_that_matches_nothing_is_said() {
    let file = policy("ignores:\n  - {rule: MA001, host: api.exmaple.com, reason: typo}\n");
    let args = ["timeouts", "--from", FIXTURE, "--policy", file.path().to_str().unwrap()];
    plugin(args).run().exits(1).complains("ignore 1 matches nothing");
}

#[test]
fn the_mesh_as_it_is_passes_its_own_policy() {
    for fixture in ["MA001", "MA002", "MA003", "MA004", "MA007", "MA008", "MA009", "MA010", "MA014", "healthy"] {
        let path = format!("tests/fixtures/rules/{fixture}.json");
        let written = plugin(["policy", "init", "--from", &path]).run().exits(0).stdout;
        let file = policy(&written);
        plugin(["policy", "check", file.path().to_str().unwrap()]).run().exits(0);
        let args = ["timeouts", "--from", &path, "--policy", file.path().to_str().unwrap(), "--fail-on", "warning"];
        plugin(args).run().exits(0);
    }
}

#[test]
fn a_policy_in_the_working_directory_counts() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(".meshaudit.yaml"), "severities: {MA001: off}\n").unwrap();
    let fixture = project().join(FIXTURE);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_kubectl-meshaudit"));
    command.current_dir(directory.path()).args(["timeouts", "-o", "json", "--from", fixture.to_str().unwrap()]);
    let out = command.env("KUBECONFIG", "/nonexistent").env("HOME", crate::home()).output().unwrap();
    let found: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert!(!codes(&found).iter().any(|(code, _)| code == "MA001"), "{found}");
}

#[test]
fn the_schema_takes_what_init_writes_and_refuses_mistakes() {
    let schema = crate::published_schema("policy");
    let yaml = |text: &str| serde_saphyr::from_str::<Value>(text).unwrap();
    let written = plugin(["policy", "init", "--from", FIXTURE]).run().exits(0).stdout;
    let errors: Vec<String> = schema.iter_errors(&yaml(&written)).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    for wrong in ["expectation: []", "ignores: [{rule: MA001}]", "severities: {MA001: bad}", "kind: Pod"] {
        assert!(!schema.is_valid(&yaml(wrong)), "{wrong}");
    }
}

#[test]
fn a_baseline_leaves_what_is_new() {
    let directory = tempfile::tempdir().unwrap();
    let baseline = directory.path().join("audit.json");
    let json = plugin(["timeouts", "--from", FIXTURE, "-o", "json"]).run().exits(1).stdout;
    std::fs::write(&baseline, &json).unwrap();
    let baseline = baseline.to_str().unwrap();
    let now = plugin(["timeouts", "--from", FIXTURE, "--baseline", baseline, "-o", "json"]).run().exits(0);
    let now: Value = serde_json::from_str(&now.stdout).unwrap();
    assert_eq!(now["findings"], Value::Array(Vec::new()));
    assert!(now["summary"]["known"].as_u64().unwrap() > 0, "{now}");
    // Pods of another rollout are no news; another host, a worse severity and another origin are.
    let text = std::fs::read_to_string(project().join(FIXTURE)).unwrap();
    let fresh = |from: &str, to: &str, code: i32| {
        assert!(text.contains(from));
        let file = directory.path().join("now.json");
        std::fs::write(&file, text.replace(from, to)).unwrap();
        plugin(["timeouts", "--from", file.to_str().unwrap(), "--baseline", baseline]).run().exits(code);
    };
    fresh("web-1", "web-7", 0);
    fresh("api.example.com", "new.example.com", 1);
    std::fs::write(baseline, json.replace("\"severity\": \"error\"", "\"severity\": \"info\"")).unwrap();
    plugin(["timeouts", "--from", FIXTURE, "--baseline", baseline]).run().exits(1);
    for wrong in ["{}", "no JSON: s3cret"] {
        std::fs::write(baseline, wrong).unwrap();
        let run = plugin(["timeouts", "--from", FIXTURE, "--baseline", baseline]).run().exits(4).complains("baseline");
        assert!(!run.stderr.contains("s3cret"));
    }
}
