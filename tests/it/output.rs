//! What comes out: for people, for programs, into pipes.

use std::process::Stdio;

use serde_json::Value;

use crate::{incident, on_incident, plugin, project};

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
    insta::assert_snapshot!("by_cluster", offline(&["--by", "cluster"]).run().exits(1).stdout);
    insta::assert_snapshot!("verbose", offline(&["-v"]).run().exits(1).stdout);
    insta::assert_snapshot!("eighty_columns", offline(&[]).env("COLUMNS", "80").run().exits(1).stdout);
    insta::assert_snapshot!("explain_origin", offline(&["--explain-origin", "--host", "api"]).run().exits(1).stdout);
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
    let validator = crate::published_schema("timeout-audit");
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
fn rows_alone_are_data() {
    let run = offline(&["--no-headers"]).run().exits(1);
    assert!(run.stderr.contains("Audited 1 proxy") && run.stderr.contains("Next:"), "{}", run.stderr);
    assert!(run.stdout.lines().all(|line| line.starts_with("error") || line.starts_with("warning")), "{}", run.stdout);
    assert_eq!(offline(&["--no-headers", "-q"]).run().stderr, "");
}

#[test]
fn rows_stand_alone_whatever_the_command() {
    let log = "tests/fixtures/logs/incident/2020-05-29.log";
    let rule = "tests/fixtures/rules/MA006.json";
    let rows: [(&[&str], &[&str]); 6] = [
        (&["timeouts", "--from", rule], &["error", "warning", "info"]),
        (&["timeouts", "--from", rule, "--by", "cluster"], &["error", "warning", "info"]),
        (&["timeouts", "--from", rule, "-o", "wide"], &["shop/", "istio", "a/", "ns/", "web", "prod"]),
        (&["clusters", "--from", rule], &[]),
        (&["verify", "--from", "tests/fixtures/rules/MA001.json", "--expect", "10s"], &["shop/"]),
        (&["diagnose", "--from", log], &["connect"]),
    ];
    for (args, begins) in rows {
        for columns in ["", "80"] {
            let run = plugin([args, &["--no-headers"]].concat()).within(&project()).env("COLUMNS", columns).run();
            assert!(!run.stdout.is_empty(), "{args:?}: {}", run.stderr);
            let with = plugin(args).within(&project()).env("COLUMNS", columns).run();
            let heading = with.stdout.lines().next().unwrap();
            for line in run.stdout.lines() {
                assert!(!line.starts_with(' ') && !line.is_empty() && line != heading, "{args:?}: {line:?} is no row");
                let words = line.split("  ").filter(|word| !word.is_empty()).count();
                assert!(words >= 3, "{args:?}: {line:?} is a sentence");
                assert!(begins.is_empty() || begins.iter().any(|begin| line.starts_with(begin)), "{args:?}: {line:?}");
            }
        }
    }
    let run = on_incident(["debug-log", "deploy/cart", "-n", "shop", "--show", "--no-headers"]).run().exits(0);
    assert!(run.stdout.lines().all(|line| line.starts_with("shop/cart-")), "{}", run.stdout);
}

#[test]
fn a_filter_that_nothing_matches_is_an_error() {
    for (args, asked, nearest) in [
        (["--host", "web.shpo"], "\"web.shpo\" in its host", "web.shop.svc.cluster.local"),
        (["--port", "8443"], "port 8443", "443"),
        (["--subset", "v2"], "subset \"v2\"", "v1"),
        (["--timeout-below", "1s"], "below 1s", "1s"),
        (["--timeout-above", "60s"], "above 60s", "60s"),
        (["--direction", "inbound"], "is inbound", "outbound"),
    ] {
        let run = offline(&args).run().exits(4);
        assert_eq!(run.stdout, "", "{args:?}");
        assert!(run.stderr.contains(asked) && run.stderr.contains(nearest), "{args:?}: {}", run.stderr);
    }
}

#[test]
fn explained_origins_are_documents_too() {
    let args = ["--explain-origin", "--host", "api", "-o"];
    let json = offline(&[&args[..], &["json"]].concat()).json();
    assert_eq!((&json["apiVersion"], &json["kind"]), (&"meshaudit/v1".into(), &"OriginExplanation".into()));
    assert_eq!(json["clusters"][0]["chains"][0]["candidates"][0]["outcome"], "won");
    let yaml: Value = serde_saphyr::from_str(&offline(&[&args[..], &["yaml"]].concat()).run().stdout).unwrap();
    assert_eq!(yaml, json);
    let lines = offline(&[&args[..], &["ndjson"]].concat()).run().stdout;
    let cluster: Value = serde_json::from_str(lines.lines().nth(1).unwrap()).unwrap();
    assert_eq!(cluster["name"], json["clusters"][0]["name"]);
    let schema = meshaudit::report::v1::schema("origin-explanation").unwrap().unwrap();
    let validator = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    assert!(validator.is_valid(&json), "{json}");
}

/// How wide a line is, for characters that all take one column.
fn width(line: &str) -> usize {
    line.chars().count()
}

/// The terminals that output is tried in.
const WIDTHS: [usize; 4] = [60, 80, 120, 200];

/// What a function says of each command line, several at a time.
fn each(commands: &[Vec<&str>], of: impl Fn(&[&str]) -> Vec<String> + Sync) -> Vec<String> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let found = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(args) = commands.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    let of_this = of(args);
                    found.lock().unwrap().extend(of_this);
                }
            });
        }
    });
    found.into_inner().unwrap()
}

#[test]
fn nothing_is_wider_than_the_terminal() {
    let fixture = |name: &str| project().join("tests/fixtures").join(name).to_str().unwrap().to_owned();
    let rules: Vec<String> = (1..=15).map(|number| fixture(&format!("rules/MA{number:03}.json"))).collect();
    let (recorded, resets) = (fixture("logs/incident"), fixture("resets"));
    let directory = tempfile::tempdir().unwrap();
    let audit = directory.path().join("audit.json");
    std::fs::write(&audit, offline(&["-o", "json"]).run().stdout).unwrap();
    let mut commands: Vec<Vec<&str>> = Vec::new();
    for rule in &rules {
        commands.extend([
            vec!["timeouts", "--from", rule],
            vec!["timeouts", "--from", rule, "-o", "wide"],
            vec!["timeouts", "--from", rule, "--by", "cluster"],
            vec!["timeouts", "--from", rule, "--explain-origin"],
            vec!["timeouts", "--from", rule, "-v"],
            vec!["clusters", "--from", rule],
            vec!["verify", "--from", rule],
            vec!["verify", "--from", rule, "--expect", "10s"],
            vec!["fix", "--from", rule],
            vec!["fix", "--from", rule, "--set", "12s"],
        ]);
    }
    for format in ["chart", "table", "wide"] {
        commands.push(vec!["resets", "--from", &resets, "-o", format]);
    }
    commands.push(vec![
        "resets",
        "--from",
        &resets,
        "--by",
        "hour",
        "--mark",
        "2020-07-08T20:00:00Z=connectTimeout 10s",
    ]);
    commands.push(vec!["resets", "--from", &resets, "--show", "uncounted"]);
    commands.push(vec!["diagnose", "--from", &recorded]);
    commands.push(vec!["diagnose", "--from", &recorded, "-o", "timeline"]);
    commands.push(vec!["diagnose", "--from", &recorded, "-v"]);
    let (before, after) = (&rules[0], &rules[6]);
    commands.extend([
        vec!["explain"],
        vec!["explain", "MA001"],
        vec!["explain", "connect_timeout"],
        vec!["explain", "not-connected"],
        vec!["version", "--client"],
        vec!["options"],
        vec!["diff", before, after],
        vec!["incident", "--from", before, "--from", &recorded],
        vec!["policy", "check", "--policy", "/nonexistent/policy.yaml", "--from", before],
        vec!["convert", "/nonexistent/a-file-of-some-name.json", "-o", "sarif"],
        vec!["serve", "--from", "/nonexistent/a-file-of-some-name.json"],
        vec!["snapshot", "/dev/null/mesh.tar.gz", "--from", before],
        vec!["timeouts", "--from", before, "--host", "nothing.like.it"],
        vec![],
    ]);
    let all = crate::help::commands();
    for name in &all {
        commands.extend([vec![name.as_str(), "-h"], vec![name.as_str(), "--help"], vec!["help", name.as_str()]]);
    }
    // Every rule where there is little room, and some of them where there is plenty.
    let seldom = |args: &Vec<&str>| args.iter().any(|arg| rules[1..].iter().any(|rule| rule == arg) && arg != after);
    let few: Vec<Vec<&str>> = commands.iter().filter(|args| !seldom(args)).cloned().collect();
    let mut wide = Vec::new();
    for columns in WIDTHS {
        let tried = if columns <= 80 { &commands } else { &few };
        wide.extend(each(tried, |args| {
            too_wide(args, &plugin(args).env("COLUMNS", columns.to_string()).run(), columns)
        }));
    }
    // Live: what a cluster says, too.
    let snapshot = directory.path().join("mesh.tar.gz");
    let live: Vec<Vec<&str>> = vec![
        vec!["timeouts", "-A"],
        vec!["timeouts", "-A", "-o", "wide"],
        vec!["timeouts", "-n", "nowhere"],
        vec!["clusters", "deploy/checkout", "-n", "shop"],
        vec!["fix", "-A"],
        vec!["fix", "-A", "--host", "cc-api.example.io"],
        vec!["verify", "-A", "--no-headers"],
        vec!["diagnose", "deploy/checkout", "-n", "shop"],
        vec!["resets", "-n", "shop"],
        vec!["debug-log", "deploy/cart", "-n", "shop", "--show"],
        vec!["debug-log", "deploy/cart", "-n", "shop", "--dry-run"],
        vec!["debug-log", "deploy/cart", "-n", "shop", "--for", "1s"],
        vec!["version"],
        vec!["snapshot", snapshot.to_str().unwrap(), "-n", "shop", "--force"],
        vec!["incident", "-n", "shop"],
        vec!["incident", "-n", "shop", "--mark", "now=connectTimeout 10s"],
        vec!["resets", "-n", "shop", "--mark", "1h=connectTimeout 10s"],
    ];
    // A new command can't be forgotten; a script for a shell is not for people.
    for name in all.iter().filter(|name| *name != "completion") {
        let shown =
            |args: &Vec<&str>| args.first() == Some(&name.as_str()) && !args.iter().any(|arg| arg.contains("-h"));
        assert!(commands.iter().chain(&live).any(shown), "{name} is not looked at");
    }
    for columns in WIDTHS {
        wide.extend(each(&live, |args| {
            too_wide(args, &on_incident(args).env("COLUMNS", columns.to_string()).run(), columns)
        }));
    }
    assert!(wide.is_empty(), "{} lines, such as:\n{}", wide.len(), wide[..wide.len().min(40)].join("\n"));
}

/// The lines of a run that are too wide. Words that cannot be broken, such as a path that was given, and the contents of
/// files to be copied stand as they are.
fn too_wide(args: &[&str], run: &crate::Run, columns: usize) -> Vec<String> {
    let mut input = false;
    let mut wide = Vec::new();
    for line in run.stdout.lines().chain(run.stderr.lines()) {
        // clap's usage is one line; a quoted line of a log stands as it was written, for who looks for it there.
        let quoted = line.starts_with("Usage: ")
            // A page's example stands as it was printed.
            || (args.first() == Some(&"explain") && line.starts_with("    "))
            || line.split_once(" [").is_some_and(|(number, _)| number.trim().parse::<u32>().is_ok());
        let copied = input || quoted || line.trim_start().starts_with(['+', '-', '@']);
        input = (input || line.contains("<<'EOF'")) && line != "EOF";
        let longest = line.split_whitespace().map(width).max().unwrap_or(0);
        if !copied && width(line) > columns && longest + 24 < columns {
            wide.push(format!("{args:?} in {columns} columns:\n{line}"));
        }
    }
    wide
}

#[test]
fn lines_and_snapshots_hold_to_their_schemas() {
    let lines = crate::published_schema("ndjson");
    let mut kinds = std::collections::BTreeSet::new();
    let log = b"[2026-11-23T12:00:00.000Z] \"- - -\" 0 UF,URX - - \"-\" 0 0 1000 - \"-\" \"-\" \"-\" \"-\" \
        \"52.0.0.1:443\" outbound|443||api.example.com - 52.0.0.1:443 10.0.0.1:40000 - -\n";
    let runs = [
        on_incident(["timeouts", "-n", "shop", "-o", "ndjson"]).run().stdout,
        on_incident(["timeouts", "-n", "shop", "-o", "ndjson", "--explain-origin"]).run().stdout,
        plugin(["diagnose", "--from", "-", "-o", "ndjson"]).stdin(log).run().stdout,
        on_incident(["debug-log", "deploy/cart", "-n", "shop", "--show", "-o", "ndjson"]).run().stdout,
    ];
    for line in runs.iter().flat_map(|out| out.lines()) {
        let line: Value = serde_json::from_str(line).unwrap();
        assert!(lines.is_valid(&line), "{line}: {}", lines.iter_errors(&line).next().unwrap());
        kinds.insert(line["kind"].as_str().unwrap().to_owned());
    }
    let all = ["TimeoutAudit", "ProxySet", "Cluster", "Finding", "Summary", "OriginExplanation", "DiagnosisEvent"];
    assert!(all.into_iter().chain(["DebugLog"]).all(|kind| kinds.contains(kind)), "{kinds:?}");
    assert!(!lines.is_valid(&serde_json::json!({"kind": "Summary"})), "a schema that takes everything is none");
    let snapshots = crate::published_schema("snapshot");
    let directory = tempfile::tempdir().unwrap();
    on_incident(["snapshot", directory.path().to_str().unwrap(), "-A", "--force"]).run().exits(3);
    let mut files = vec![directory.path().join("snapshot.json")];
    let rules = std::fs::read_dir(crate::project().join("tests/fixtures/rules")).unwrap();
    files.extend(
        rules.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|of| of == "json")),
    );
    for file in files {
        let document: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        if document["kind"] != "MeshSnapshot" {
            continue;
        }
        let errors: Vec<String> = snapshots.iter_errors(&document).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{}: {}", file.display(), errors[0]);
    }
    assert!(!snapshots.is_valid(&serde_json::json!({"apiVersion": "meshaudit/v1", "kind": "MeshSnapshot"})));
}

/// What a command shows on a terminal of 80 columns, stderr too; `None` where no `script` is here to make one.
#[cfg(target_os = "linux")]
fn on_a_terminal(args: &str) -> Option<String> {
    let command = format!("stty cols 80 rows 24; {} {args}", env!("CARGO_BIN_EXE_kubectl-meshaudit"));
    let output = std::process::Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .env("KUBECONFIG", incident().kubeconfig())
        .env_remove("COLUMNS")
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "script is missing: {error}");
            None
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn progress_names_who_is_awaited() {
    // Of a mesh's pods others may be waited for longer on a busy machine.
    let Some(out) = on_a_terminal("timeouts -n legacy --no-evidence --request-timeout 20s") else { return };
    let seen: Vec<&str> = out.split(['\r', '\n']).filter(|line| line.contains("waiting for ")).collect();
    let named = seen.iter().any(|line| line.contains("legacy/bat") && line.contains("h4n6s"));
    assert!(named, "both ends of a name tell pods apart: {out:?}");
    let shown = |line: &str| width(line.trim_start_matches("\u{1b}[2K").trim_end());
    assert!(seen.iter().all(|line| shown(line) <= 80), "{seen:?}");
    let Some(whole) = on_a_terminal("timeouts -A --no-evidence --request-timeout 3s") else { return };
    assert!(
        whole.split(['\r', '\n']).filter(|line| line.contains("waiting for ")).all(|line| shown(line) <= 80),
        "{whole:?}"
    );
    let Some(quiet) = on_a_terminal("timeouts -n shop -q --no-evidence") else { return };
    assert!(!quiet.contains("waiting for"), "{quiet}");
}

#[test]
fn the_incident_fits_on_one_screen() {
    let _ = incident().drive_client();
    let run = on_incident(["timeouts", "-A"]).env("COLUMNS", "80").env("LINES", "24").run().exits(1);
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert!(lines.len() <= 23, "{} lines and the prompt:\n{}", lines.len(), run.stdout);
    assert!(lines.iter().all(|line| width(line) <= 80), "{}", run.stdout);
    // The one cluster that is seen to fail is in the first block.
    let second = lines.iter().skip(2).position(|line| !line.starts_with(' ')).unwrap() + 2;
    let first = lines[..second].join(" ");
    assert!(first.contains("cc-api.example.io") && first.contains("MA011"), "{}", run.stdout);
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
