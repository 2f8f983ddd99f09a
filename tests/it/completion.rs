//! Completion scripts, and the companion for kubectl.

use crate::{is_as_committed, plugin};

#[test]
fn the_committed_scripts_are_the_programs() {
    for (shell, file) in [
        ("bash", "kubectl-meshaudit.bash"),
        ("zsh", "_kubectl-meshaudit"),
        ("fish", "kubectl-meshaudit.fish"),
        ("powershell", "_kubectl-meshaudit.ps1"),
    ] {
        let run = plugin(["completion", shell]).run().exits(0);
        is_as_committed(&format!("completions/{file}"), &run.stdout);
    }
}

#[cfg(unix)]
#[test]
fn the_companion_can_be_installed() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    plugin(["completion", "--install", directory.path().to_str().unwrap()]).run().exits(0);
    let path = directory.path().join("kubectl_complete-meshaudit");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o755);
    plugin(["completion", "--install", "/nowhere/at/all"]).run().exits(4).complains("/nowhere/at/all");
}

#[test]
fn without_a_cluster_there_are_still_flags_and_commands() {
    let out = plugin(["__complete", ""]).run().exits(0).stdout;
    assert!(out.lines().any(|line| line.starts_with("clusters\t")), "{out}");
    assert!(!out.lines().any(|line| line.starts_with('-')), "an empty word lists no flags: {out}");
    let out = plugin(["__complete", "timeouts", "--fail"]).run().exits(0).stdout;
    assert!(out.lines().any(|line| line.starts_with("--fail-on\t")), "{out}");
    let out = plugin(["__complete", "timeouts", "x"]).run().exits(0).stdout;
    assert_eq!(out, ":4\n", "no cluster, no names, no error");
}
