//! What people see: each command's output on fixtures in a terminal of 80 columns, as it was when somebody last looked at
//! it. The rules' tables are in registry.rs, plans in fix.rs, charts in resets, audits in output.rs.

use crate::{Run, plugin, project};

/// In a terminal, at the project's own directory, so that paths are short and the same everywhere.
fn screen(args: &[&str]) -> Run {
    plugin(args).within(&project()).env("COLUMNS", "80").run()
}

/// Both streams, as a terminal shows them.
fn shown(run: &Run) -> String {
    format!("{}{}", run.stdout, run.stderr)
}

#[track_caller]
fn is_as_seen(name: &str, args: &[&str]) {
    let run = screen(args);
    assert_ne!(run.code, 2, "{args:?}: {}", run.stderr);
    insta::assert_snapshot!(
        name,
        format!("$ kubectl meshaudit {}\n{}exit {}\n", args.join(" "), shown(&run), run.code)
    );
}

const RULES: &str = "tests/fixtures/rules/";

#[test]
fn verifications() {
    for (name, fixture, args) in [
        ("verify_good", "MA008", &[][..]),
        ("verify_nothing_known", "healthy", &[]),
        ("verify_lagging", "MA006", &["--expect", "10s"]),
        ("verify_expected", "MA001", &["--expect", "10s"]),
        ("verify_overridden", "MA007", &["--expect", "10s"]),
        ("verify_rows", "MA001", &["--expect", "10s", "--no-headers"]),
    ] {
        is_as_seen(name, &[&["verify", "--from", &format!("{RULES}{fixture}.json")], args].concat());
    }
}

#[test]
fn diagnoses() {
    let log = "tests/fixtures/logs/incident/2020-05-29.log";
    is_as_seen("diagnose_table", &["diagnose", "--from", log]);
    is_as_seen("diagnose_verbose", &["diagnose", "--from", log, "-v"]);
    is_as_seen("diagnose_timeline", &["diagnose", "--from", log, "-o", "timeline"]);
    is_as_seen("diagnose_rows", &["diagnose", "--from", log, "--no-headers"]);
    is_as_seen("diagnose_with_dump", &["diagnose", "--from", log, "--config-dump", &format!("{RULES}MA001.json")]);
}

#[test]
fn clusters_and_plans() {
    let fixture = &format!("{RULES}MA008.json");
    is_as_seen("clusters", &["clusters", "--from", fixture]);
    is_as_seen("clusters_name", &["clusters", "--from", fixture, "-o", "name"]);
    is_as_seen("clusters_nothing", &["clusters", "--from", fixture, "--fqdn", "nothing.like.it"]);
    is_as_seen("fix", &["fix", "--from", fixture]);
    is_as_seen("fix_value", &["fix", "--from", fixture, "--set", "12s"]);
    is_as_seen("fix_nothing", &["fix", "--from", &format!("{RULES}healthy.json")]);
    is_as_seen("diff", &["diff", fixture, &format!("{RULES}MA001.json")]);
    is_as_seen("incident", &["incident", "--from", fixture, "--from", "tests/fixtures/logs/incident/2020-05-29.log"]);
}

#[test]
fn pages_and_mistakes() {
    is_as_seen("explain_list", &["explain"]);
    is_as_seen("explain_rule", &["explain", "MA001"]);
    is_as_seen("explain_cause", &["explain", "connect_timeout"]);
    is_as_seen("explain_reason", &["explain", "not-connected"]);
    is_as_seen("options", &["options"]);
    for (name, args) in [
        ("mistake_template", &["timeouts", "-o", "jsonpath={.items[*]}"][..]),
        ("mistake_columns", &["clusters", "web", "-o", "custom-columns=NAME:.name"]),
        ("mistake_flag", &["timeouts", "--sort-by", "name"]),
        ("mistake_letters", &["timeouts", "--outptu", "json"]),
        ("mistake_command", &["timeout", "-A"]),
        ("mistake_no_command", &["baseline"]),
        ("mistake_page", &["explain", "MA999"]),
    ] {
        let run = screen(args);
        assert_eq!(run.code, 2, "{args:?}: {}", run.stderr);
        insta::assert_snapshot!(name, shown(&run));
    }
}

#[test]
fn a_debugging_session() {
    let (sandbox, state) = (crate::debug_log::start(&["cart"]), tempfile::tempdir().unwrap());
    let see = |args: &[&str]| {
        let all = [&["debug-log", "deploy/cart", "-n", "shop"], args].concat();
        let run = plugin(&all).on(&sandbox).env("XDG_STATE_HOME", state.path()).env("COLUMNS", "80").run().exits(0);
        // How many lines a proxy wrote in a second is nobody's.
        let count = regex::Regex::new(r"in \d+ records? \(\d+ lines?\)").unwrap();
        count.replace_all(&shown(&run), "in 9 records (9 lines)").into_owned()
    };
    insta::assert_snapshot!("debug_log_show", see(&["--show"]));
    insta::assert_snapshot!("debug_log_dry_run", see(&["--dry-run"]));
    insta::assert_snapshot!("debug_log_session", see(&["--for", "1s"]));
    insta::assert_snapshot!("debug_log_off", see(&["--off"]));
}

#[test]
fn the_short_help_of_each_command() {
    for command in crate::help::commands() {
        let help = screen(&[&command, "-h"]).exits(0);
        insta::assert_snapshot!(format!("help_{command}"), help.stdout);
    }
}
