//! `verify`, and the whole loop: audit, fix, apply the printed change, wait until it has arrived, audit again.

use std::fs;
use std::process::Command;
use std::time::Duration;

use meshaudit::decode::objects::from_manifests;
use meshaudit::decode::snapshot;
use meshaudit::decode::syncz::parse_syncz;
use meshaudit::fix::verify::{Expectation, Reason, verify};
use meshaudit::model::objects::MeshConfigKind;
use meshaudit::model::sync::{Answer, Instance};
use meshaudit_sandbox::incident::{self as mesh, LOSSY_CLUSTER};
use meshaudit_sandbox::{Outcome, Sandbox, wheel};
use serde_json::Value;

use crate::fix::mesh as snapshot_of;
use crate::{on_incident, plugin};

const WEB: &str = "outbound|80||web.shop.svc.cluster.local";

fn objects(mesh: &str) -> meshaudit::model::objects::IstioObjects {
    from_manifests(&format!(
        "kind: ConfigMap\nmetadata: {{name: istio, namespace: istio-system}}\ndata: {{mesh: 'connectTimeout: {mesh}'}}\n---\n\
         kind: DestinationRule\nmetadata: {{name: db, namespace: shop}}\nspec: {{host: db, trafficPolicy: {{connectionPool: \
         {{tcp: {{connectTimeout: 1s}}}}}}}}\n"
    ))
    .unwrap()
}

#[test]
fn stragglers_have_their_reasons() {
    let db = "outbound|80||db.shop.svc.cluster.local";
    let all_good =
        snapshot_of(objects("10s"), &[("shop", "a")], &[("BlackHoleCluster", None), (WEB, None), (db, None)]);
    let verification = verify(&all_good, &Expectation::Objects);
    assert_eq!((verification.good, verification.stragglers.len()), (1, 0));
    // One value for all: the override is what stands in the way.
    let verification = verify(&all_good, &Expectation::Value(Duration::from_secs(10)));
    assert_eq!(verification.good, 0);
    assert!(
        matches!(&verification.stragglers[0].reason, Reason::Override(kind) if kind.object().is_some_and(|rule| rule.name == "db"))
    );
    // The mesh says another value than is asked for.
    let verification = verify(&all_good, &Expectation::Value(Duration::from_secs(15)));
    assert!(verification.stragglers.iter().any(|straggler| matches!(straggler.reason, Reason::NotConfigured(..))));
    // A proxy that still holds the value from before, told apart by what istiod knows of it.
    let mut behind = snapshot_of(
        objects("10s"),
        &[("shop", "a")],
        &[("BlackHoleCluster", Some("1s")), (WEB, Some("1s")), (db, None)],
    );
    assert_eq!(verify(&behind, &Expectation::Objects).stragglers[0].reason, Reason::NotYetPushed);
    for (sync, reason) in [
        ("[]", "not-connected"),
        (r#"[{"proxy": "a.shop", "cluster_sent": "2", "cluster_acked": "1"}]"#, "not-accepted"),
        (r#"[{"proxy": "a.shop", "cluster_sent": "2", "cluster_acked": "2"}]"#, "not-yet-pushed"),
        (
            r#"[{"proxy": "a.shop", "resources": {"type.googleapis.com/envoy.config.cluster.v3.Cluster":
                {"sent": "2", "acked": "1", "lastError": "Error adding/updating cluster(s) x|y: no"}}}]"#,
            "rejected",
        ),
    ] {
        let answer = Answer::Proxies(parse_syncz(sync).unwrap());
        let instance = Instance {
            namespace: "istio-system".into(),
            pod: "istiod-1".into(),
            ready: true,
            connect_timeout: None,
            answer: Some(answer),
        };
        behind.objects.get_mut("").unwrap().control_planes[0].instances = Some(vec![instance]);
        assert_eq!(verify(&behind, &Expectation::Objects).stragglers[0].reason.as_str(), reason);
    }
    for cluster in &mut behind.clusters {
        cluster.error = Some("no such extension".into());
    }
    assert!(matches!(verify(&behind, &Expectation::Objects).stragglers[0].reason, Reason::Rejected(_)));
}

#[test]
fn what_istiod_does_not_use_is_said_whatever_proxies_hold() {
    // istiod still uses 1s, and so do all proxies: the map says 10s, or what istiod refuses.
    let held = [("BlackHoleCluster", Some("1s")), (WEB, Some("1s"))];
    for (written, mismatches) in [("10s", 1), ("10", 0)] {
        let mut snapshot = snapshot_of(objects(written), &[("shop", "a")], &held);
        let plane = &mut snapshot.objects.get_mut("").unwrap().control_planes[0];
        let mut running = plane.mesh[0].clone();
        running.kind = MeshConfigKind::Effective;
        running.config.connect_timeout = Some(Duration::from_secs(1));
        running.error = None;
        plane.mesh.push(running);
        plane.instances = Some(vec![Instance {
            namespace: "istio-system".into(),
            pod: "istiod-1".into(),
            ready: true,
            connect_timeout: Some(Duration::from_secs(1)),
            answer: Some(Answer::Proxies(
                parse_syncz(r#"[{"proxy": "a.shop", "cluster_sent": "2", "cluster_acked": "2"}]"#).unwrap(),
            )),
        }]);
        let verification = verify(&snapshot, &Expectation::Objects);
        assert_eq!((verification.good, verification.troubles.len()), (0, 1), "{written}: {verification:#?}");
        let [straggler] = verification.stragglers.as_slice() else { panic!("{written}: {verification:#?}") };
        assert_eq!((straggler.reason.as_str(), straggler.mismatches.len()), ("not-in-force", mismatches), "{written}");
        // Who asks for the value that proxies hold has it.
        assert_eq!(verify(&snapshot, &Expectation::Value(Duration::from_secs(1))).good, 1, "{written}");
    }
}

#[test]
fn exit_codes() {
    let directory = tempfile::tempdir().unwrap();
    let save = |name: &str, held: Option<&str>, read: bool| {
        let objects = if read { objects("10s") } else { Default::default() };
        let mut snapshot = snapshot_of(objects, &[("shop", "a")], &[("BlackHoleCluster", held), (WEB, held)]);
        snapshot.objects.retain(|_, objects| !objects.is_empty());
        let path = directory.path().join(name);
        snapshot::write(&snapshot, fs::File::create(&path).unwrap()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (good, behind) = (save("good.json", None, true), save("behind.json", Some("1s"), true));
    let unread = save("unread.json", Some("10s"), false);
    plugin(["verify", "--from", &good]).run().exits(0);
    plugin(["verify", "--from", &good, "--expect", "10s"]).run().exits(0);
    plugin(["verify", "--from", &behind]).run().exits(1);
    plugin(["verify", "--from", &behind, "--exit-zero"]).run().exits(0);
    plugin(["verify", "--from", &unread]).run().exits(4).complains("--expect");
    plugin(["verify", "--from", &unread, "--expect", "10s"]).run().exits(0);
    plugin(["verify", "--from", &good, "--expect", "10s", "--plan", "x"]).run().exits(2);
    plugin(["verify", "--from", &good, "--plan", &good]).run().exits(2).complains("plan");
}

#[test]
fn the_incident_has_one_straggler() {
    let report = on_incident(["verify", "-A", "-o", "json"]).json();
    let stragglers = report["stragglers"].as_array().unwrap();
    assert_eq!(stragglers.len(), 1, "{stragglers:?}");
    assert!(stragglers[0]["proxy"].as_str().unwrap().starts_with("shop/orders-"), "{stragglers:?}");
    assert_eq!(stragglers[0]["reason"], "not-connected");
}

#[test]
fn proxies_are_counted_once_and_what_nobody_dials_is_not_listed() {
    let rules = std::fs::read_dir(crate::project().join("tests/fixtures/rules")).unwrap();
    let fixtures =
        rules.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|of| of == "json"));
    let mut runs: Vec<(String, crate::Plugin, crate::Plugin)> = Vec::new();
    for path in fixtures {
        let path = path.to_str().unwrap().to_owned();
        for expect in [&[][..], &["--expect", "10s"], &["--expect", "1s"]] {
            let args = [&["verify", "--from", &path], expect].concat();
            runs.push((args.join(" "), plugin([&args[..], &["-o", "json"]].concat()), plugin(&args)));
        }
    }
    let args = ["verify", "-A", "--expect", "10s"];
    runs.push((args.join(" "), on_incident([&args[..], &["-o", "json"]].concat()), on_incident(args)));
    let mut stragglers = 0;
    for (name, json, text) in runs {
        let json = json.run();
        // With nothing to compare with there is no report.
        if json.code == 4 {
            continue;
        }
        let report: Value =
            serde_json::from_str(&json.stdout).unwrap_or_else(|error| panic!("{name}: {error}: {json:?}"));
        let number = |key: &str| report[key].as_u64().unwrap_or_else(|| panic!("{name}: {key}: {report}"));
        let behind: std::collections::BTreeSet<&str> =
            report["stragglers"].as_array().unwrap().iter().map(|one| one["proxy"].as_str().unwrap()).collect();
        let read = report["coverage"]["audited"].as_u64().unwrap();
        assert_eq!(read, number("good") + number("unknown") + behind.len() as u64, "{name}: {report}");
        stragglers += behind.len();
        let text = text.run().stdout;
        assert!(!json.stdout.contains("BlackHoleCluster") && !text.contains("BlackHoleCluster"), "{name}: {text}");
    }
    assert!(stragglers > 5, "{stragglers}");
}

/// Runs a command line that the plugin printed.
fn apply(sandbox: &Sandbox, command: &str) {
    kubectl(sandbox, command);
}

/// Runs a command line with the real kubectl, through a POSIX shell as a user would, and gives its output back.
fn kubectl(sandbox: &Sandbox, command: &str) -> String {
    kubectl_in("sh", sandbox, command)
}

/// The same in a shell that is named.
fn kubectl_in(shell: &str, sandbox: &Sandbox, command: &str) -> String {
    let tools = sandbox.directory().join("tools");
    if !tools.exists() {
        fs::create_dir(&tools).unwrap();
        std::os::unix::fs::symlink(wheel::KUBECTL.program().unwrap(), tools.join("kubectl")).unwrap();
    }
    let output = Command::new(shell)
        .args(["-c", command])
        .current_dir(sandbox.directory())
        .env("PATH", format!("{}:{}", tools.display(), std::env::var("PATH").unwrap_or_default()))
        .env("KUBECONFIG", sandbox.kubeconfig())
        // Discovery is cached by server address, and addresses come back.
        .env("KUBECACHEDIR", sandbox.directory().join("cache"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Every object that a plan could touch, with its labels and annotations.
fn everything(sandbox: &Sandbox) -> Value {
    let kinds = "configmaps,destinationrules,sidecars,envoyfilters,serviceentries,virtualservices,services,deployments";
    let list = kubectl(sandbox, &format!("kubectl get {kinds} -A -o json"));
    serde_json::from_str(&list).unwrap()
}

/// The same without connect timeouts, and without what the API server itself writes at a change.
fn without_timeouts(value: Value) -> Value {
    const WRITTEN: [&str; 5] = ["connectTimeout", "connect_timeout", "resourceVersion", "generation", "managedFields"];
    match value {
        Value::Object(fields) => {
            let kept = fields.into_iter().filter(|(key, _)| !WRITTEN.contains(&key.as_str()));
            let kept = kept.map(|(key, value)| (key, without_timeouts(value)));
            // A block that was made for a timeout alone.
            Value::Object(kept.filter(|(_, value)| *value != serde_json::json!({})).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_timeouts).collect()),
        Value::String(text) => {
            let lines = text.lines().map(|line| match line.split_once("connectTimeout: ") {
                Some((before, after)) => {
                    let rest = after.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.');
                    format!("{before}connectTimeout:{rest}\n")
                }
                None => format!("{line}\n"),
            });
            Value::String(lines.collect())
        }
        other => other,
    }
}

/// `fix -o yaml`, used by the commands at its top as a user would.
#[test]
fn a_plan_in_yaml_changes_timeouts_alone() {
    let sandbox = Sandbox::start(mesh::mesh()).unwrap();
    let run = |args: &[&str]| plugin(args.iter().copied().chain(["--request-timeout", "5s"])).on(&sandbox).run();
    let plan = run(&["fix", "-A", "-o", "yaml", "--no-evidence", "--exit-zero"]).exits(0).stdout;
    fs::write(sandbox.directory().join("fix.yaml"), &plan).unwrap();
    // At its top are the commands; one whose change has no document says all of it.
    let top = plan.lines().take_while(|line| *line != "---");
    let commands: Vec<&str> = top.filter_map(|line| line.strip_prefix("# kubectl ")).collect();
    let changes = plan.lines().filter(|line| line.starts_with("# change ")).count();
    let before = everything(&sandbox);
    assert!(changes > 3 && commands.len() == changes, "{plan}");
    for command in commands {
        kubectl_in("bash", &sandbox, &format!("kubectl {command}"));
    }
    let after = everything(&sandbox);
    assert_ne!(before, after);
    assert_eq!(without_timeouts(before), without_timeouts(after));
    let left = run(&["fix", "-A", "-o", "json", "--no-evidence", "--exit-zero"]).exits(0).stdout;
    let left: Value = serde_json::from_str(&left).unwrap();
    assert_eq!(left["steps"], serde_json::json!([]), "{left:#}");
}

#[test]
fn the_whole_loop() {
    let sandbox = Sandbox::start(mesh::mesh()).unwrap();
    let run = |args: &[&str]| plugin(args.iter().copied().chain(["--request-timeout", "5s"])).on(&sandbox);
    // The incident: calls are reset after one second.
    assert!(sandbox.drive_client().iter().any(|call| call.outcome == Outcome::Reset));
    let before = run(&["timeouts", "-A", "-o", "json", "--no-evidence"]).json();
    let too_short = |audit: &Value| {
        let findings = audit["findings"].as_array().unwrap().clone();
        findings.into_iter().filter(|finding| finding["code"] == "MA001").count()
    };
    assert!(too_short(&before) > 10);
    // The plan, saved, and carried out. No chart is at hand, so Helm's part is done on what the chart renders.
    let directory = tempfile::tempdir().unwrap();
    let plan_file = directory.path().join("plan.json");
    let plan = run(&["fix", "-A", "-o", "json", "--no-evidence"]).run();
    fs::write(&plan_file, &plan.stdout).unwrap();
    let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
    let objects = everything(&sandbox);
    for step in plan["steps"].as_array().unwrap() {
        if step["action"] == "mesh" {
            assert!(step["commands"][1].as_str().unwrap().starts_with("helm upgrade"), "{step}");
            apply(&sandbox, step["interim"]["command"].as_str().unwrap());
        } else {
            step["commands"].as_array().unwrap().iter().for_each(|command| apply(&sandbox, command.as_str().unwrap()));
        }
    }
    // What was pasted changed timeouts, and of every object everything else is as it was.
    let changed = everything(&sandbox);
    assert_ne!(objects, changed);
    assert_eq!(without_timeouts(objects), without_timeouts(changed));
    // It arrives everywhere but where there is no connection to the control plane.
    let plan_path = plan_file.to_str().unwrap();
    let verification =
        run(&["verify", "-A", "--wait", "8s", "--interval", "1s", "-o", "json", "--plan", plan_path]).json();
    let stragglers = verification["stragglers"].as_array().unwrap();
    let names: Vec<&str> = stragglers.iter().map(|straggler| straggler["proxy"].as_str().unwrap()).collect();
    assert!(names.iter().all(|name| name.starts_with("shop/orders-")), "{stragglers:#?}");
    assert!(stragglers.iter().all(|straggler| straggler["reason"] == "not-connected"), "{stragglers:#?}");
    // Connected again, it follows; what can't be read keeps the exit code from being 0.
    sandbox.set_connected("shop", "orders-5f7c9d8b64-k9d2r", true);
    run(&["verify", "-n", "shop", "--wait", "30s", "--interval", "1s"]).run().exits(0);
    run(&["verify", "-A", "--plan", plan_path, "--wait", "30s", "--interval", "1s"]).run().exits(3);
    let after = run(&["timeouts", "-A", "-o", "json", "--no-evidence"]).json();
    assert_eq!(too_short(&after), 0, "{:#?}", after["findings"]);
    let lossy = after["clusters"].as_array().unwrap().iter().find(|row| row["name"] == LOSSY_CLUSTER);
    assert_eq!(lossy.unwrap()["connectTimeout"], "10s");
    assert_eq!(lossy.unwrap()["origin"]["certain"], true);
    // A plan for what is now has nothing mesh-wide in it, and the client's calls are no longer reset.
    let again = run(&["fix", "-A", "-o", "json", "--no-evidence"]).json();
    assert!(again["steps"].as_array().unwrap().iter().all(|step| step["action"] != "mesh"), "{again:#}");
    assert!(sandbox.drive_client().iter().all(|call| call.outcome == Outcome::Answered));
}
