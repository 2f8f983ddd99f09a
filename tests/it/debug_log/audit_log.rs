//! `--audit-log`: who changed what of which proxy, from what to what.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::LazyLock;

use meshaudit_sandbox::Sandbox;
use serde_json::Value;

use super::{levels, on, start, state};
use crate::published_schema;

/// One of its own, with a pod for each test: nobody else changes its levels.
static OWN: LazyLock<Sandbox> = LazyLock::new(|| start(&["catalog", "orders"]));

const CATALOG: &str = "catalog-79b5d6c8f9-p4x8c";
const ORDERS: &str = "orders-5f7c9d8b64-k9d2r";

fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    let schema = published_schema("audit-log");
    text.lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            schema.validate(&line).unwrap();
            line
        })
        .collect()
}

#[test]
fn each_change_stands_there_before_and_after_it() {
    let (state, directory) = (state(), tempfile::tempdir().unwrap());
    let file = directory.path().join("changes.jsonl");
    let path = file.to_str().unwrap();
    let target = format!("{CATALOG}.shop");
    let before = levels(&OWN, CATALOG);
    let plain = ["--show", &target, "--audit-log", path];
    on(&OWN, state.path(), plain).run().exits(0);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "", "what only reads changes nothing");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let set = ["--on", &target, "--level", "pool:trace", "--audit-log", path];
    let run = on(&OWN, state.path(), set).env("USER", "ops").env("SUDO_USER", "").run().exits(0);
    assert!(run.stderr.contains(&format!("--audit-log {path}")), "putting back is recorded too: {}", run.stderr);
    let mut off = on(&OWN, state.path(), ["--off", &target, "--audit-log", path]);
    for name in ["SUDO_USER", "USER", "LOGNAME", "USERNAME"] {
        off = off.env(name, "");
    }
    off.run().exits(0);
    assert_eq!(levels(&OWN, CATALOG), before);
    let lines = lines(&file);
    let stages: Vec<&str> = lines.iter().map(|line| line["stage"].as_str().unwrap()).collect();
    assert_eq!(stages, ["requested", "done", "requested", "done"]);
    assert_eq!(lines[0]["id"], lines[1]["id"]);
    assert_ne!(lines[1]["id"], lines[2]["id"]);
    let was = &before["pool"];
    assert_eq!(lines[0]["loggers"], serde_json::json!([{"logger": "pool", "from": was, "to": "trace"}]));
    assert_eq!(lines[2]["loggers"], serde_json::json!([{"logger": "pool", "from": "trace", "to": was}]));
    for line in &lines {
        assert_eq!((&line["namespace"], &line["pod"]), (&"shop".into(), &CATALOG.into()));
        assert!(!line["context"].as_str().unwrap().is_empty() && !line["who"]["user"].as_str().unwrap().is_empty());
        assert!(line["server"].as_str().unwrap().starts_with("http"), "{line}");
    }
    assert_eq!(lines[0]["who"]["localUser"], "ops");
    assert!(lines[2]["who"]["localUser"].as_str().unwrap().starts_with("uid="), "no name is known: {}", lines[2]);
}

#[test]
fn what_cannot_be_recorded_is_not_set() {
    let state = state();
    let target = format!("{ORDERS}.shop");
    let nowhere = ["--on", &target, "--audit-log", "/nowhere/changes.jsonl"];
    on(&OWN, state.path(), nowhere).run().exits(4).complains("audit log");
    // A device that is full takes no line.
    let full = ["--on", &target, "--level", "router:debug", "--audit-log", "/dev/full"];
    on(&OWN, state.path(), full).run().exits(4).complains("nothing was changed");
    // Neither does a pipe that nobody reads, and it is not waited for.
    let pipe = state.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let unread = ["--on", &target, "--level", "router:debug", "--audit-log", pipe.to_str().unwrap()];
    on(&OWN, state.path(), unread).run().exits(4).complains("audit log");
    assert_ne!(levels(&OWN, ORDERS)["router"], "debug");
}
