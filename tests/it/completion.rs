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

#[test]
fn values_are_completed_where_they_are_known() {
    let values = |words: &[&str]| plugin([&["__complete"], words].concat()).run().exits(0).stdout;
    let holds = |words: &[&str], value: &str| {
        let out = values(words);
        assert!(out.lines().any(|line| line.split('\t').next() == Some(value)), "{words:?}: {out}");
    };
    holds(&["explain", "ma00"], "MA001");
    holds(&["resets", "--tz", "America/Los"], "America/Los_Angeles");
    holds(&["resets", "--class", ""], "connection-reset");
    holds(&["resets", "--by", ""], "hour");
    holds(&["debug-log", "--level", "pool:d"], "pool:debug");
    holds(&["timeouts", "--fail-on", ""], "warning");
    holds(&["help", "res"], "resets");
}

#[test]
fn files_are_left_to_the_shell() {
    for words in [
        &["timeouts", "--from", ""][..],
        &["timeouts", "--from=mesh"],
        &["verify", "--plan", "p"],
        &["timeouts", "--kubeconfig", ""],
        &["diagnose", "--config-dump", ""],
    ] {
        let out = plugin([&["__complete"], words].concat()).run().exits(0).stdout;
        assert_eq!(out, ":0\n", "{words:?}");
    }
    let out = plugin(["__complete", "timeouts", "--from", "x", "--host", ""]).run().exits(0).stdout;
    assert_eq!(out, ":4\n", "a host is no file");
}

/// What a shell offers, with the committed script, for what was typed. A shell that is not here can't be asked; CI has
/// them all.
#[cfg(unix)]
fn offered(shell: &str, script: &str, typed: &str) -> Option<String> {
    use std::process::{Command, Stdio};
    let there =
        Command::new(shell).arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success());
    if !there {
        assert!(std::env::var_os("CI").is_none(), "{shell} is missing");
        return None;
    }
    let binary = std::path::PathBuf::from(env!("CARGO_BIN_EXE_kubectl-meshaudit"));
    let path = format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let output = Command::new(shell)
        .args(match shell {
            "bash" => &["--norc", "-c"][..],
            "zsh" => &["-f", "-c"],
            _ => &["--no-config", "-c"],
        })
        .arg(script)
        .env("PATH", path)
        .env("SCRIPTS", crate::project().join("completions"))
        .env("TYPED", typed)
        .env("KUBECONFIG", "/nonexistent/kubeconfig")
        .env("HOME", tempfile::tempdir().unwrap().path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Some(String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}

#[cfg(unix)]
const BASH: &str = r#"
source "$SCRIPTS/kubectl-meshaudit.bash"
read -ra COMP_WORDS <<< "$TYPED"
[[ "$TYPED" == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
_kubectl__meshaudit kubectl-meshaudit "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}" 2>/dev/null
printf '%s\n' "${COMPREPLY[@]}"
"#;

// zsh completes in an interactive shell only: one of its own, in a terminal of its own.
#[cfg(unix)]
const ZSH: &str = r#"
zmodload zsh/zpty
zpty inner zsh -f -i
zpty -w inner 'PROMPT= RPROMPT=; unsetopt zle_bracketed_paste 2>/dev/null; fpath=("$SCRIPTS" $fpath); autoload -Uz compinit && compinit -u -d "$HOME/dump"; LISTMAX=1000; stty cols 200; print REA""DY'
zpty -r inner seen '*READY*'
zpty -w -n inner "$TYPED"$'\t\t'
sleep 2
while zpty -r -t inner seen 2>/dev/null; do print -r -- "$seen"; done
zpty -d inner
"#;

#[cfg(unix)]
const FISH: &str = r#"
source "$SCRIPTS/kubectl-meshaudit.fish"
complete -C "$TYPED"
"#;

#[cfg(unix)]
#[test]
fn static_scripts_complete_in_their_shells() {
    for (shell, script) in [("bash", BASH), ("zsh", ZSH), ("fish", FISH)] {
        for (typed, value) in [
            ("kubectl-meshaudit timeouts --outp", "--output"),
            ("kubectl-meshaudit timeouts --fail-on ", "warning"),
            ("kubectl-meshaudit deb", "debug-log"),
        ] {
            let Some(out) = offered(shell, script, typed) else { continue };
            assert!(out.contains(value), "{shell}: {typed:?} offers no {value:?} but {out:?}");
        }
    }
}
