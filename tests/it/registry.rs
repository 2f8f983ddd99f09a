//! The rules: unique, documented, and each with a fixture that fires.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::{plugin, project};

fn rules() -> Vec<(String, String)> {
    let list = plugin(["explain"]).run().exits(0).stdout;
    let mut rules = Vec::new();
    // The rules come first; causes of `diagnose` follow after an empty line.
    for line in list.lines().take_while(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        rules.push((words[0].to_owned(), words[2].to_owned()));
    }
    assert!(rules.len() >= 7);
    rules
}

#[test]
fn codes_and_names_are_unique_and_of_their_form() {
    let rules = rules();
    let codes: BTreeSet<&String> = rules.iter().map(|(code, _)| code).collect();
    let names: BTreeSet<&String> = rules.iter().map(|(_, name)| name).collect();
    assert_eq!((codes.len(), names.len()), (rules.len(), rules.len()));
    for (code, name) in &rules {
        assert!(code.len() == 5 && code.starts_with("MA0") && code[2..].chars().all(|c| c.is_ascii_digit()), "{code}");
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{name}");
    }
}

#[test]
fn every_rule_has_its_page() {
    for (code, name) in rules() {
        let page = plugin(["explain", &code]).run().exits(0).stdout;
        assert_eq!(page, fs::read_to_string(project().join(format!("docs/rules/{code}.md"))).unwrap());
        assert_eq!(plugin(["explain", &name]).run().stdout, page);
        assert!(page.starts_with(&format!("# {code} {name}\n")), "{code}");
        let headings: Vec<&str> = page.lines().filter(|line| line.starts_with("## ")).collect();
        assert_eq!(headings, ["## What it checks", "## Why it matters", "## Example", "## Remedy"], "{code}");
    }
}

/// The arguments that audit a fixture: with the policy that stands beside it, if one does.
fn args(path: &str) -> Vec<&str> {
    let policy = path.replace(".json", ".yaml");
    let mut args = vec!["--from", path];
    if project().join(&policy).exists() {
        args.extend(["--policy", policy.leak()]);
    }
    args
}

/// The findings of a fixture under tests/fixtures/rules.
fn findings(fixture: &str) -> Vec<Value> {
    let path = project().join("tests/fixtures/rules").join(fixture);
    let audit = plugin([&["timeouts", "-o", "json"], &*args(path.to_str().unwrap())].concat()).json();
    audit["findings"].as_array().unwrap().clone()
}

#[test]
fn every_rule_has_a_fixture_that_fires() {
    for (code, _) in rules() {
        let found = findings(&format!("{code}.json"));
        assert!(found.iter().any(|finding| finding["code"] == *code), "{code}: {found:?}");
    }
}

#[test]
fn every_finding_can_be_read_in_the_table() {
    for (code, _) in rules() {
        let path = project().join(format!("tests/fixtures/rules/{code}.json"));
        let args = args(path.to_str().unwrap());
        let table = plugin([&["timeouts"], &*args].concat()).run().stdout;
        for finding in findings(&format!("{code}.json")) {
            for part in ["code", "message", "remedy"] {
                let text = finding[part].as_str().unwrap();
                assert!(table.contains(text), "{code}: {text:?} is not in\n{table}");
            }
        }
        insta::assert_snapshot!(
            format!("table_{code}"),
            table.replace(&format!("{}/", path.parent().unwrap().to_str().unwrap()), "")
        );
    }
}

/// Values that a remedy names: `set meshConfig.connectTimeout to 10s`.
fn values(remedy: &str) -> BTreeSet<String> {
    let value = regex::Regex::new(r"\b\d+(\.\d+)?s\b").unwrap();
    value.find_iter(remedy).map(|found| found.as_str().to_owned()).collect()
}

#[test]
fn what_is_to_be_done_about_a_cluster_is_one_thing() {
    let mut audits: Vec<Vec<Value>> = rules().iter().map(|(code, _)| findings(&format!("{code}.json"))).collect();
    let live = crate::on_incident(["timeouts", "-A", "-o", "json"]).json();
    audits.push(live["findings"].as_array().unwrap().clone());
    let mut compared = 0;
    for audit in &audits {
        let short = audit.iter().filter(|finding| ["MA001", "MA002"].contains(&finding["code"].as_str().unwrap()));
        for finding in short {
            let named = values(finding["remedy"].as_str().unwrap());
            let too_short = |value: &String| value.trim_end_matches('s').parse::<f64>().unwrap() <= 3.0;
            assert!(!named.iter().any(too_short), "{finding}");
            let same = |other: &&Value| {
                other["cluster"] == finding["cluster"]
                    && other["origin"] == finding["origin"]
                    && other["code"] == "MA007"
            };
            for other in audit.iter().filter(same) {
                let others = values(other["remedy"].as_str().unwrap());
                assert!(!others.iter().any(too_short), "{other}");
                assert!(named.is_empty() || others.is_empty() || !named.is_disjoint(&others), "{finding}\n{other}");
                compared += 1;
            }
        }
    }
    assert!(compared > 1, "{compared}");
}

#[test]
fn the_healthy_mesh_is_silent() {
    assert_eq!(findings("healthy.json"), [] as [Value; 0]);
}
