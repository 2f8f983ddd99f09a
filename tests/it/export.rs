//! The formats of others, held to what their readers ask for. docs/examples has each of them, made from one audit.

use serde_json::Value;

use crate::{is_as_committed, plugin, project};

const EXAMPLE: &str = "docs/examples/audit.json";

fn converted(format: &str) -> String {
    plugin(["convert", EXAMPLE, "-o", format]).run().exits(0).stdout
}

fn example() -> Value {
    serde_json::from_slice(&std::fs::read(project().join(EXAMPLE)).unwrap()).unwrap()
}

#[test]
fn the_examples_are_what_convert_makes() {
    for (format, file) in [
        ("sarif", "audit.sarif"),
        ("junit", "audit.xml"),
        ("markdown", "audit.md"),
        ("html", "audit.html"),
        ("csv", "audit.csv"),
        ("prometheus", "audit.prom"),
    ] {
        is_as_committed(&format!("docs/examples/{file}"), &converted(format));
    }
}

#[test]
fn the_command_writes_what_convert_makes_of_its_json() {
    let fixture = "tests/fixtures/rules/MA011.json";
    let json = plugin(["timeouts", "--from", fixture, "-o", "json", "--exit-zero"]).run().exits(0).stdout;
    for format in ["sarif", "markdown", "csv"] {
        let direct = plugin(["timeouts", "--from", fixture, "-o", format, "--exit-zero"]).run().exits(0).stdout;
        let later = plugin(["convert", "-", "-o", format]).stdin(json.clone()).run().exits(0).stdout;
        assert_eq!(direct, later, "{format}");
    }
}

#[test]
fn sarif_holds_to_its_schema_and_names_every_finding() {
    let schema = std::fs::read(project().join("tests/fixtures/schemas/sarif-2.1.0.schema.json")).unwrap();
    let mut schema: Value = serde_json::from_slice(&schema).unwrap();
    // OASIS' own pattern for a language has a bracket too many, and is no regular expression.
    for of in ["run", "toolComponent"] {
        schema["definitions"][of]["properties"]["language"].as_object_mut().unwrap().remove("pattern").unwrap();
    }
    let validator = jsonschema::validator_for(&schema).unwrap();
    let sarif: Value = serde_json::from_str(&converted("sarif")).unwrap();
    let errors: Vec<String> = validator.iter_errors(&sarif).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    let run = &sarif["runs"][0];
    assert_eq!(run["results"].as_array().unwrap().len(), example()["findings"].as_array().unwrap().len());
    assert_eq!(run["invocations"][0]["executionSuccessful"], false, "some proxies were not read");
    let prints: std::collections::BTreeSet<&str> = run["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| result["partialFingerprints"]["meshaudit/v1"].as_str().unwrap())
        .collect();
    assert_eq!(prints.len(), run["results"].as_array().unwrap().len(), "a fingerprint is of one finding");
}

#[test]
fn junit_is_xml_whose_counts_are_right() {
    let text = converted("junit");
    let document = roxmltree::Document::parse(&text).unwrap();
    let suite = document.descendants().find(|node| node.has_tag_name("testsuite")).unwrap();
    let count =
        |name: &str| suite.children().filter(|case| case.children().any(|node| node.has_tag_name(name))).count();
    let said = |name: &str| suite.attribute(name).unwrap().parse::<usize>().unwrap();
    assert_eq!(said("tests"), suite.children().filter(|node| node.has_tag_name("testcase")).count());
    assert_eq!(
        (said("failures"), said("errors"), said("skipped")),
        (count("failure"), count("error"), count("skipped"))
    );
    assert_eq!(said("errors"), example()["coverage"]["failed"].as_array().unwrap().len());
    assert!(said("failures") > 0);
}

#[test]
fn prometheus_has_each_series_once_and_says_how_much_was_read() {
    let text = converted("prometheus");
    let mut series = std::collections::BTreeSet::new();
    let mut typed = "";
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            typed = rest.split(' ').next().unwrap();
        }
        if line.starts_with('#') {
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        value.parse::<f64>().unwrap();
        assert!(name.starts_with(typed), "{line} stands under {typed}");
        assert!(series.insert(name), "{name} stands twice");
    }
    let failed = example()["coverage"]["failed"].as_array().unwrap().len();
    assert!(text.contains(&format!("meshaudit_proxies{{state=\"failed\"}} {failed}\n")), "{text}");
}

/// An audit whose every text would do something where it is shown.
fn hostile() -> String {
    let bad = "=cmd|' /C calc'!A0 <script>alert(1)</script> [x](javascript:1) `|` \u{1b}[2J\u{202e} ::error::x";
    let mut document = example();
    for finding in document["findings"].as_array_mut().unwrap() {
        for field in ["message", "remedy", "cluster"] {
            finding[field] = Value::from(bad);
        }
    }
    document["coverage"]["failed"][0]["message"] = Value::from(bad);
    document.to_string()
}

#[test]
fn nothing_hostile_gets_through() {
    for format in ["sarif", "junit", "markdown", "html", "csv", "prometheus"] {
        let out = plugin(["convert", "-", "-o", format]).stdin(hostile()).run().exits(0).stdout;
        assert!(!out.contains('\u{1b}') && !out.contains('\u{202e}'), "{format}");
        match format {
            "html" | "junit" | "markdown" => assert!(!out.contains("<script>alert"), "{format}"),
            "csv" => assert!(!out.contains(",=cmd") && !out.contains("\"=cmd"), "{out}"),
            _ => {}
        }
        if format == "markdown" {
            assert!(!out.contains("[x](java"), "a link of somebody else's");
        }
    }
}

/// What a service is called comes from the logs.
#[test]
fn no_service_of_a_log_becomes_a_link_or_a_mention() {
    let line = |service: &str| {
        let message = "java.net.SocketException: Connection reset";
        serde_json::json!({"time": "2020-07-03T10:00:00Z", "service": service, "message": message}).to_string() + "\n"
    };
    let log = line("[x](http://evil.example) @team `a`") + &line("<b>www.evil.example</b>") + &line("plain");
    let out = plugin(["resets", "--from", "-", "-o", "markdown"]).stdin(log).run().exits(0).stdout;
    let names = "| day | <code>&#60;b&#62;www&#46;evil&#46;example&#60;&#47;b&#62;</code> | \
                 `[x](http://evil.example)` `@team` `a` | plain | total |";
    assert!(out.contains("| plain | total |") && !out.contains("<b>"), "{out}");
    let head = out.lines().find(|line| line.starts_with("| day")).unwrap();
    let both = |text: &str| text.split(" | ").map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(both(head), both(names), "{out}");
}

#[test]
fn a_report_goes_into_a_file_whole_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("audit.html");
    let run = plugin(["convert", EXAMPLE, "-o", "html", "--output-file", file.to_str().unwrap()]).run().exits(0);
    assert!(run.stdout.is_empty(), "{}", run.stdout);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), converted("html"));
    plugin(["convert", EXAMPLE, "-o", "csv", "--output-file", "/nowhere/at/all"]).run().exits(4).complains("/nowhere");
}

/// What is no file is written into and stays what it is: whoever may put files into /dev loses no device.
#[test]
fn a_report_goes_into_a_device_or_a_pipe_that_is_there() {
    let into = |path: &std::path::Path| {
        plugin(["convert", EXAMPLE, "-o", "csv", "--output-file", path.to_str().unwrap()]).run()
    };
    assert_eq!(into("/dev/stdout".as_ref()).exits(0).stdout, converted("csv"));
    assert!(std::fs::symlink_metadata("/dev/stdout").unwrap().is_symlink());

    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reading = {
        let pipe = pipe.clone();
        std::thread::spawn(move || std::fs::read_to_string(pipe).unwrap())
    };
    into(&pipe).exits(0);
    assert_eq!(reading.join().unwrap(), converted("csv"));

    // As a link to a device, so that a mistake costs this machine nothing.
    let full = directory.path().join("full");
    std::os::unix::fs::symlink("/dev/full", &full).unwrap();
    into(&full).exits(4).complains("No space left on device");
    assert!(std::fs::symlink_metadata(&full).unwrap().is_symlink());
}

#[test]
fn what_is_no_document_is_refused_with_its_place_and_no_more() {
    let convert = |text: &str| plugin(["convert", "-", "-o", "csv"]).stdin(text).run().exits(4);
    convert("{\"secret\": ").complains("line 1, column");
    convert("{\"kind\": \"List\"}").complains("no document of this program");
    convert("{\"apiVersion\":\"meshaudit/v1\",\"kind\":\"FixPlan\"}").complains("FixPlan");
    let run =
        convert("{\"apiVersion\":\"meshaudit/v1\",\"kind\":\"TimeoutAudit\",\"coverage\":{},\"findings\":\"hunter2\"}");
    assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
}

#[test]
fn a_step_of_github_actions_gets_annotations_beside_the_report() {
    let run = plugin(["timeouts", "--from", "tests/fixtures/rules/MA011.json"]).env("GITHUB_ACTIONS", "true").run();
    assert!(run.stderr.contains("::error title=MA0"), "{}", run.stderr);
    assert!(!run.stdout.contains("::error"));
    let run = plugin(["timeouts", "--from", "tests/fixtures/rules/MA011.json"]).run();
    assert!(!run.stderr.contains("::error"));
}
