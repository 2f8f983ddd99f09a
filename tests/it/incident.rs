//! `incident`: the whole path in one report, on the sandbox's incident from the first failure to the fix.

use std::fs;
use std::path::Path;
use std::process::Command;

use meshaudit_sandbox::incident::{self as mesh, LOSSY_CLUSTER};
use meshaudit_sandbox::{Outcome, Sandbox, wheel};
use serde_json::Value;

use crate::{plugin, project, published_schema};

const FIXTURE: &str = "tests/fixtures/rules/MA001.json";

fn sentences(report: &Value, about: &str) -> Vec<String> {
    let facts = report["facts"].as_array().unwrap().iter().filter(|fact| fact["about"] == about);
    facts.map(|fact| fact["sentence"].as_str().unwrap().to_owned()).collect()
}

/// Runs a command as it is printed, with the plugin and kubectl on PATH.
fn paste(sandbox: &Sandbox, command: &str) -> (i32, String) {
    let tools = tempfile::tempdir().unwrap();
    let link = |program: &Path, name: &str| std::os::unix::fs::symlink(program, tools.path().join(name)).unwrap();
    link(Path::new(env!("CARGO_BIN_EXE_kubectl-meshaudit")), "kubectl-meshaudit");
    link(&wheel::KUBECTL.program().unwrap(), "kubectl");
    let output = Command::new("sh")
        .args(["-c", command])
        .env("PATH", format!("{}:{}", tools.path().display(), std::env::var("PATH").unwrap()))
        .env("KUBECONFIG", sandbox.kubeconfig())
        .env("KUBECACHEDIR", sandbox.directory().join("cache"))
        .output()
        .unwrap();
    (output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn from_the_first_failure_to_the_fix() {
    let sandbox = Sandbox::start(mesh::mesh()).unwrap();
    let run = |args: &[&str]| plugin(args.iter().copied().chain(["--request-timeout", "5s"])).on(&sandbox);
    assert!(sandbox.drive_client().iter().any(|call| call.outcome == Outcome::Reset));

    // In the middle of it. Three proxies can't be read, so it is incomplete, and says so.
    let during = run(&["incident", "-A", "-o", "json"]).run().exits(3);
    let during: Value = serde_json::from_str(&during.stdout).unwrap();
    published_schema("incident").validate(&during).unwrap();
    let resets = &during["resets"]["document"];
    assert!(resets["total"]["resets"].as_u64().unwrap() > 0, "{resets:#}");
    let failures = during["diagnosis"]["document"]["diagnoses"].as_array().unwrap();
    let lossy =
        failures.iter().find(|one| one["cluster"] == LOSSY_CLUSTER && one["cause"] == "connect_timeout").unwrap();
    assert_eq!(lossy["connectTimeout"], "1s");
    assert!(!lossy["evidence"].as_array().unwrap().is_empty(), "the lines that prove it");
    let told = sentences(&during, "cause").join("\n");
    assert!(told.contains("connect_timeout (") && told.contains(LOSSY_CLUSTER), "{told}");
    let told = sentences(&during, "timeout").join("\n");
    assert!(told.contains(&format!("{LOSSY_CLUSTER} has 1s on ")) && told.contains("from MeshConfig"), "{told}");
    assert!(told.contains("Incomplete: 3 of"), "{told}");
    assert!(sentences(&during, "change")[0].contains("connectTimeout 1s → 10s"), "{:?}", sentences(&during, "change"));
    assert!(sentences(&during, "effect")[0].starts_with("Not known"), "no moment was given");

    // Every command is one that gives the figures again.
    for part in ["resets", "diagnosis", "audit", "plan", "verification"] {
        let command = during[part]["command"].as_str().unwrap();
        let (code, out) = paste(&sandbox, &format!("{command} -o json --request-timeout 5s"));
        assert!(matches!(code, 0 | 1 | 3), "{command}: {code}");
        let again: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(again["kind"], during[part]["document"]["kind"], "{command}");
        if part == "resets" {
            assert_eq!(again["total"], resets["total"], "{command}");
        }
    }

    // The change is made as the report prints it.
    for step in during["plan"]["document"]["steps"].as_array().unwrap() {
        let commands = match step["interim"]["command"].as_str() {
            Some(command) => vec![command],
            None => step["commands"].as_array().unwrap().iter().map(|command| command.as_str().unwrap()).collect(),
        };
        for command in commands {
            assert_eq!(paste(&sandbox, command).0, 0, "{command}");
        }
    }
    sandbox.set_connected("shop", "orders-5f7c9d8b64-k9d2r", true);
    run(&["verify", "-n", "shop", "--wait", "30s", "--interval", "1s"]).run().exits(0);
    assert!(sandbox.drive_client().iter().all(|call| call.outcome == Outcome::Answered));

    // And after it: who has it, and whether it helped.
    let after = run(&["incident", "-A", "--mark", "now=connectTimeout 10s", "-o", "json"]).run().exits(3);
    let after: Value = serde_json::from_str(&after.stdout).unwrap();
    assert_eq!(after["verification"]["document"]["stragglers"], serde_json::json!([]));
    let told = sentences(&after, "change").join("\n");
    assert!(told.starts_with("Made: connectTimeout 10s (") && !told.contains("mesh configuration"), "{told}");
    let told = sentences(&after, "holders").join("\n");
    assert!(told.contains(" hold 10s by "), "{told}");
    assert_eq!(sentences(&after, "effect"), [after["resets"]["document"]["marks"][0]["sentence"].as_str().unwrap()]);

    // For people: no line is wider than the terminal.
    for columns in [80, 200] {
        let text = run(&["incident", "-A"]).env("COLUMNS", columns.to_string()).run().exits(3).stdout;
        for line in text.lines() {
            let long = line.split_whitespace().map(str::len).max().unwrap_or(0);
            assert!(line.chars().count() <= columns || long + 24 > columns, "{line}");
        }
        for heading in ["Connection resets", "Failed connections", "The change", "Who has it", "Not read"] {
            assert!(text.contains(heading), "{heading}: {text}");
        }
    }
}

/// Logs and a snapshot, as they are kept.
fn kept() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("apps")).unwrap();
    let java: String = (0..40)
        .map(|at| {
            let (day, hour) = (1 + at / 4, at % 4 * 6);
            format!("2020-07-{day:02}T{hour:02}:00:00.000Z ERROR java.net.SocketException: Connection reset\n")
        })
        .chain((11..20).map(|day| format!("2020-07-{day:02}T00:00:00.000Z INFO order placed\n")))
        .collect();
    fs::write(directory.path().join("apps/checkout.log"), java).unwrap();
    let access = "[2020-07-03T12:00:00.000Z] \"- - -\" 0 UF,URX - - \"-\" 0 0 1000 - \"-\" \"-\" \"-\" \"-\" \
        \"52.0.0.1:443\" outbound|443||api.example.com - 52.0.0.1:443 10.0.0.1:40000 - -\n";
    fs::write(directory.path().join("apps/istio-proxy.log"), access).unwrap();
    fs::copy(project().join(FIXTURE), directory.path().join("mesh.json")).unwrap();
    directory
}

#[test]
fn snapshots_and_logs_are_told_apart() {
    let directory = kept();
    let (mesh, logs) = (directory.path().join("mesh.json"), directory.path().join("apps"));
    let (mesh, logs) = (mesh.to_str().unwrap(), logs.to_str().unwrap());
    let mark = "2020-07-11T00:00:00Z=connectTimeout 10s";
    let args = ["incident", "--from", mesh, "--from", logs, "--mark", mark, "-o", "json"];
    let report = plugin(args).run().exits(0);
    let report: Value = serde_json::from_str(&report.stdout).unwrap();
    published_schema("incident").validate(&report).unwrap();
    assert_eq!(report["resets"]["document"]["marks"][0]["all"]["before"]["resets"], 40);
    assert_eq!(report["diagnosis"]["document"]["diagnoses"][0]["connectTimeout"], "1s", "known from the snapshot");
    assert!(sentences(&report, "effect")[0].contains("95 % interval"), "{:?}", sentences(&report, "effect"));
    let clusters = report["audit"]["document"]["clusters"].as_array().unwrap();
    assert!(clusters.iter().any(|cluster| cluster["host"] == "api.example.com"));
    for (part, from, not) in [("resets", logs, mesh), ("audit", mesh, logs)] {
        let command = report[part]["command"].as_str().unwrap();
        assert!(command.contains(from) && !command.contains(not), "{command}");
    }
    // The whole directory means the same.
    let whole = plugin(["incident", "--from", directory.path().to_str().unwrap(), "-o", "json"]).run().exits(0);
    let whole: Value = serde_json::from_str(&whole.stdout).unwrap();
    assert_eq!(whole["audit"]["document"]["coverage"]["failed"], serde_json::json!([]));
    assert_eq!(whole["resets"]["document"]["total"]["resets"], 41, "the proxy's own failure counts beside");
}

#[test]
fn moments_after_a_change_nobody_knows_whether_it_helped() {
    let directory = tempfile::tempdir().unwrap();
    let hour = |at: i64| jiff::Timestamp::from_second(1_593_600_000 + at * 3_600).unwrap();
    let mut log: String = (0..168)
        .map(|at| {
            format!(
                "{:.3} INFO order placed\n{:.3} ERROR java.net.SocketException: Connection reset\n",
                hour(at),
                hour(at)
            )
        })
        .collect();
    let change = hour(168);
    for (seconds, line) in
        [(-1, "INFO order placed"), (2, "ERROR java.net.SocketException: Connection reset"), (4, "INFO order placed")]
    {
        let at = jiff::Timestamp::from_second(change.as_second() + seconds).unwrap();
        log.push_str(&format!("{at:.3} {line}\n"));
    }
    let file = directory.path().join("checkout.log");
    fs::write(&file, log).unwrap();
    let (file, mark) = (file.to_str().unwrap(), format!("{change}=connectTimeout 10s"));
    let resets = plugin(["resets", "--from", file, "--mark", &mark, "-o", "json"]).json();
    let compared = &resets["marks"][0];
    let sentence = compared["sentence"].as_str().unwrap();
    assert!(sentence.contains("too early to tell") && !sentence.contains("interval"), "{sentence}");
    assert!(sentence.contains("1 in 4 seconds") && sentence.contains("hours of logs after it"), "{sentence}");
    for figure in ["ratio", "interval", "pValue", "moreThanNoise"] {
        assert_eq!(compared["all"][figure], Value::Null, "{compared:#}");
    }
    assert_eq!(compared["all"]["after"]["resets"], 1);
    for format in ["html", "markdown", "table", "chart"] {
        let text = plugin(["resets", "--from", file, "--mark", &mark, "-o", format]).run().exits(0).stdout;
        assert!(text.contains("too early to tell") && !text.contains("times the rate"), "{format}: {text}");
    }
    let report = plugin(["incident", "--from", file, "--from", FIXTURE, "--mark", &mark, "-o", "json"]).json();
    assert_eq!(sentences(&report, "effect"), [sentence]);
}

#[test]
fn what_there_is_nothing_of_is_said_and_not_guessed() {
    let report: Value =
        serde_json::from_str(&plugin(["incident", "--from", FIXTURE, "-o", "json"]).run().exits(0).stdout).unwrap();
    assert_eq!(report["resets"]["document"], Value::Null);
    assert_eq!(sentences(&report, "cause"), ["Not known: there is no log among the files"]);
    assert!(sentences(&report, "timeout").join("\n").contains("has 1s on 1 proxy"));
    plugin(["incident", "--from", "-"]).run().exits(2).complains("stdin");
    plugin(["incident", "--from", "/nowhere.tar.gz"]).run().exits(4).complains("/nowhere.tar.gz");
    plugin(["incident", "-A"]).run().exits(4).complains("nothing could be read");
    plugin(["incident", "--from", FIXTURE, "--since", "soon"]).run().exits(2).complains("--since");
}

#[test]
fn the_page_and_the_wiki_text_hold_everything_and_nothing_hostile() {
    let directory = kept();
    let bad = "2020-07-04T00:00:00.000Z ERROR java.net.SocketException: Connection reset <script>alert(1)</script>\u{1b}[2J\n";
    fs::write(directory.path().join("apps/<img x>.log"), bad).unwrap();
    let from = directory.path().to_str().unwrap();
    let title = "<b>June</b> & [x](javascript:1)";
    let args = ["incident", "--from", from, "--mark", "2020-07-11T00:00:00Z=<i>10s</i>", "--title", title, "-o"];
    let html = plugin([&args[..], &["html"]].concat()).run().exits(0).stdout;
    for wanted in
        ["<svg", "id=\"did-it-help\"", "UF,URX", "api.example.com", "kubectl meshaudit resets", "&lt;b&gt;June"]
    {
        assert!(html.contains(wanted), "{wanted} is not in the page");
    }
    for hostile in ["<b>June", "<img", "<i>10s", "alert(1)</script>", "\u{1b}"] {
        assert!(!html.contains(hostile), "{hostile:?} got through");
    }
    for outside in ["http://", "https://", " src=\"", "@import", "url(\"", "url(h"] {
        let names: Vec<&str> =
            html.match_indices(outside).map(|(at, _)| &html[at..(at + 60).min(html.len())]).collect();
        // The namespace of SVG is a name and no address.
        assert!(names.iter().all(|name| name.starts_with("http://www.w3.org/")), "{names:?}");
    }
    let links = html.match_indices("href=\"#").map(|(at, _)| html[at + 7..].split('"').next().unwrap().to_owned());
    for link in links {
        assert!(html.contains(&format!("id=\"{link}\"")), "{link} leads nowhere");
    }
    let markdown = plugin([&args[..], &["markdown"]].concat()).run().exits(0).stdout;
    for wanted in ["## Connection resets", "## Did it help", "UF,URX", "kubectl meshaudit timeouts --from"] {
        assert!(markdown.contains(wanted), "{wanted} is not in {markdown}");
    }
    // Between fences and backquotes everything is text.
    let prose: String = markdown.split("```").step_by(2).flat_map(|part| part.split('`').step_by(2)).collect();
    for hostile in ["<b>", "<img", "<i>", "<script>", "[x](javascript", "\u{1b}"] {
        assert!(!prose.contains(hostile), "{hostile:?} got through: {markdown}");
    }
    assert!(!markdown.contains('\u{1b}'));
    assert!(markdown.len() < 65_536);
}
