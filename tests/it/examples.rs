//! docs/examples: the standard mesh in the middle of its incident, in every format.
//!
//! What was read of the mesh is kept there, as `snapshot` and `kubectl logs` give it; everything beside it is what the
//! program makes of that, and `MESHAUDIT_BLESS=1 cargo test --test it -- examples export` makes it again. The mesh itself
//! is recorded anew by `cargo test --test it -- --ignored record_the_standard_mesh`.

use std::fs;
use std::process::Command;

use meshaudit_sandbox::wheel;

use crate::{incident_after_week, is_as_committed, plugin, project, replaced};

const MESH: &str = "docs/examples/standard-mesh/mesh.tar.gz";
const LOGS: &str = "docs/examples/standard-mesh/logs";
const TITLE: &str = "The standard mesh, in the middle of its incident";

/// What differs from run to run, in one form.
fn settled(text: &str) -> String {
    let patterns = [
        (r#"("?durationMs"?: ?)\d+"#, "${1}0"),
        (r#"("?(?:startedAt|writtenAt)"?: ?)"?20[^",\n]*"?"#, "${1}\"2026-11-29T10:00:00Z\""),
        (r"(Written|Read) 20\d\d-\d\d-\d\dT[\d:]+Z", "$1 2026-11-29T10:00:00Z"),
        (r"(expires: )20\d\d-\d\d-\d\d", "${1}2027-02-27"),
        (r#"time="[\d.]+""#, "time=\"0.000\""),
    ];
    replaced(text, &patterns)
}

/// The formats that `convert` makes are held to audit.json by `export`.
#[test]
fn the_examples_are_what_the_program_makes_of_the_standard_mesh() {
    let audit: &[&str] = &["timeouts", "--exit-zero", "--from", MESH];
    let diagnose: &[&str] = &["diagnose", "--exit-zero", "--config-dump", MESH, "--from", LOGS];
    let resets: &[&str] = &["resets", "--from", LOGS];
    let fix: &[&str] = &["fix", "--exit-zero", "--from", MESH];
    let incident: &[&str] = &["incident", "--title", TITLE, "--from", MESH, "--from", LOGS];
    let rows: [(&str, &[&str], &[&str]); 17] = [
        ("audit.json", audit, &["-o", "json"]),
        ("audit.yaml", audit, &["-o", "yaml"]),
        ("audit.ndjson", audit, &["-o", "ndjson"]),
        ("audit.txt", audit, &[]),
        ("audit-wide.txt", audit, &["-o", "wide"]),
        ("diagnosis.txt", diagnose, &[]),
        ("diagnosis.json", diagnose, &["-o", "json"]),
        ("resets.txt", resets, &[]),
        ("resets.svg", resets, &["-o", "svg"]),
        ("resets.csv", resets, &["-o", "csv"]),
        ("fix.txt", fix, &[]),
        ("fix.yaml", fix, &["-o", "yaml"]),
        ("policy.yaml", &["policy", "init", "--from", MESH], &[]),
        ("incident.txt", incident, &[]),
        ("incident.html", incident, &["-o", "html"]),
        ("incident.md", incident, &["-o", "markdown"]),
        ("incident.json", incident, &["-o", "json"]),
    ];
    for (file, command, format) in rows {
        let args = [command, format].concat();
        let run = plugin(&args).env("COLUMNS", "100").run();
        assert!([0, 3].contains(&run.code), "{args:?}: {run:?}");
        is_as_committed(&format!("docs/examples/{file}"), &settled(&run.stdout));
    }
}

/// Writes what the examples are made of.
#[test]
#[ignore = "writes docs/examples/standard-mesh anew, of which every day makes another"]
fn record_the_standard_mesh() {
    let sandbox = incident_after_week();
    let _ = fs::remove_dir_all(project().join(LOGS));
    plugin(["snapshot", MESH, "-A", "--force", "--request-timeout", "5s"]).on(&sandbox).run().exits(3);
    for (namespace, pod) in crate::faults::pods(&sandbox) {
        let object = sandbox.get("pods", &namespace, &pod).unwrap();
        for container in object["spec"]["containers"].as_array().into_iter().flatten() {
            let name = container["name"].as_str().unwrap();
            let log = Command::new(wheel::KUBECTL.program().unwrap())
                .args(["logs", "-n", &namespace, &pod, "-c", name])
                .env("KUBECONFIG", sandbox.kubeconfig())
                .env("KUBECACHEDIR", sandbox.directory().join("cache"))
                .output()
                .unwrap();
            if log.status.success() && !log.stdout.is_empty() {
                // As they lie on a node, in /var/log/pods; the UID is any of its length.
                let place = project().join(format!("{LOGS}/{namespace}_{pod}_{:032x}/{name}", pod.len()));
                fs::create_dir_all(&place).unwrap();
                fs::write(place.join("0.log"), log.stdout).unwrap();
            }
        }
    }
}
