//! `diff`: audits and snapshots against each other.

use serde_json::Value;

use crate::{plugin, project};

/// A snapshot before and after: one cluster's value changed, one is gone, one is new.
fn two() -> (tempfile::TempDir, String, String) {
    let directory = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(project().join("tests/fixtures/rules/MA001.json")).unwrap();
    let before = directory.path().join("before.json");
    let after = directory.path().join("after.json");
    std::fs::write(&before, &text).unwrap();
    std::fs::write(&after, text.replace("\"connectTimeout\": \"1s\"", "\"connectTimeout\": \"10s\"")).unwrap();
    (directory, before.to_str().unwrap().to_owned(), after.to_str().unwrap().to_owned())
}

#[test]
fn what_was_mended_and_what_broke_is_told_apart() {
    let (_directory, before, after) = two();
    let mended = plugin(["diff", &before, &after, "-o", "json"]).run().exits(0);
    let mended: Value = serde_json::from_str(&mended.stdout).unwrap();
    assert_eq!(mended["kind"], "Diff");
    let changed = mended["clusters"].as_array().unwrap();
    let api = changed.iter().find(|cluster| cluster["name"] == "outbound|443||api.example.com").unwrap();
    assert_eq!((&api["change"], &api["before"][0]["connectTimeout"]), (&Value::from("changed"), &Value::from("1s")));
    assert_eq!(api["after"][0]["connectTimeout"], "10s");
    assert_eq!(mended["summary"]["findingsAppeared"], 0);
    assert!(mended["findings"]["vanished"].as_array().unwrap().iter().any(|finding| finding["code"] == "MA001"));
    let broke = plugin(["diff", &after, &before]).run().exits(1);
    assert!(broke.stdout.contains("+ error MA001 outbound|443||api.example.com"), "{}", broke.stdout);
    plugin(["diff", &after, &before, "--fail-on", "never"]).run().exits(0);
    plugin(["diff", &after, &before, "--exit-zero"]).run().exits(0);
    let same = plugin(["diff", &before, &before]).run().exits(0);
    assert_eq!(same.stdout, "No difference\n");
}

#[test]
fn an_audit_and_the_snapshot_it_is_of_do_not_differ() {
    let (directory, before, after) = two();
    let json = plugin(["timeouts", "--from", &before, "-o", "json"]).run().exits(1).stdout;
    let audit = directory.path().join("audit.json");
    std::fs::write(&audit, json).unwrap();
    let audit = audit.to_str().unwrap();
    assert_eq!(plugin(["diff", audit, &before]).run().exits(0).stdout, "No difference\n");
    assert_eq!(
        plugin(["diff", audit, &after, "-o", "markdown"]).run().exits(0).stdout,
        plugin(["diff", &before, &after, "-o", "markdown"]).run().exits(0).stdout
    );
}

#[test]
fn every_format_says_what_is_new() {
    let (_directory, before, after) = two();
    let json = plugin(["diff", &after, &before, "-o", "json"]).run().exits(1).stdout;
    for format in ["sarif", "junit", "markdown", "html", "csv", "prometheus"] {
        let direct = plugin(["diff", &after, &before, "-o", format]).run().exits(1).stdout;
        assert!(direct.contains("MA001"), "{format}: {direct}");
        let later = plugin(["convert", "-", "-o", format]).stdin(json.clone()).run().exits(0).stdout;
        assert_eq!(direct, later, "{format}");
    }
}

#[test]
fn what_is_no_audit_is_refused() {
    let (directory, before, _) = two();
    let other = directory.path().join("other.json");
    std::fs::write(&other, "{\"kind\": \"TimeoutAudit\", \"s3cret\": tr").unwrap();
    let run = plugin(["diff", &before, other.to_str().unwrap()]).run().exits(4).complains("other.json");
    assert!(!run.stderr.contains("s3cret"));
    plugin(["diff", &before, "/nonexistent/audit.json"]).run().exits(4).complains("/nonexistent/audit.json");
    plugin(["diff", &before]).run().exits(2);
}
