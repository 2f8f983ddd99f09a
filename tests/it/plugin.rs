//! As a plugin: under kubectl, and under its own name.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use meshaudit_sandbox::wheel;

use crate::incident;

/// PATH with the plugin and its completion companion in front.
fn path() -> OsString {
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_kubectl-meshaudit"));
    let mut parts = vec![binary.parent().unwrap().to_path_buf(), crate::project().join("completions")];
    parts.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
    std::env::join_paths(parts).unwrap()
}

fn kubectl() -> PathBuf {
    wheel::KUBECTL.program().unwrap()
}

fn run(program: &Path, args: &[&str], underscore: &Path) -> (i32, String, String) {
    let output = Command::new(program)
        .args(args)
        .env("PATH", path())
        .env("KUBECONFIG", incident().kubeconfig())
        .env("_", underscore)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn both_names_work_and_show_themselves() {
    let (kubectl, plugin) = (kubectl(), PathBuf::from(env!("CARGO_BIN_EXE_kubectl-meshaudit")));
    let (code, help, _) = run(&kubectl, &["meshaudit", "timeouts", "--help"], Path::new("/usr/bin/kubectl"));
    assert_eq!(code, 0);
    assert!(help.contains("Usage: kubectl meshaudit timeouts"), "{help}");
    let (code, help, _) = run(&plugin, &["timeouts", "--help"], &plugin);
    assert_eq!(code, 0);
    assert!(help.contains("Usage: kubectl-meshaudit timeouts"), "{help}");
    let (code, table, _) = run(&kubectl, &["meshaudit", "clusters", "deploy/ledger", "-n", "billing"], &kubectl);
    assert_eq!(code, 0);
    assert!(table.contains("cc-api.example.io"), "{table}");
    let (code, ..) = run(&kubectl, &["meshaudit", "timeouts", "-n", "shop"], &kubectl);
    assert_eq!(code, 1, "kubectl hands the exit code on");
}

#[test]
fn kubectl_completes_live() {
    let complete = |words: &[&str]| {
        let (code, out, err) = run(&kubectl(), &[&["__complete", "meshaudit"], words].concat(), &kubectl());
        assert_eq!(code, 0, "{err}");
        out
    };
    let out = complete(&["timeouts", "-n", "shop", "check"]);
    assert!(out.lines().any(|line| line.starts_with("checkout-")), "{out}");
    assert!(out.trim_end().ends_with(":4"), "no files: {out}");
    let out = complete(&["timeouts", "-n", "billing", "deploy/"]);
    let names: Vec<&str> = out.lines().filter(|line| line.starts_with("deploy/")).collect();
    assert_eq!(names, ["deploy/invoices", "deploy/ledger", "deploy/payments"], "{out}");
    let out = complete(&["timeouts", "--namespace", "sh"]);
    assert!(out.lines().any(|line| line == "shop"), "{out}");
    let out = complete(&["timeouts", "--context", "view"]);
    assert!(out.lines().any(|line| line == "viewer"), "{out}");
    let out = complete(&["time"]);
    assert!(out.lines().any(|line| line.starts_with("timeouts\t")), "{out}");
    // A context that does not answer: silence, not an error.
    let out = complete(&["timeouts", "--context", "gone", "x"]);
    assert_eq!(out.lines().filter(|line| !line.starts_with(':')).count(), 0, "{out}");
}
