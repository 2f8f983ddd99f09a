//! Every command that is printed is pasted into a shell, as a reader would: with the real kubectl, and with nothing that
//! leads to the cluster but what the line itself says.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use meshaudit_sandbox::{Sandbox, incident, wheel};

use crate::plugin;

/// The commands of a text: what stands alone or behind a label on a line, with what follows it up to `EOF`, and what
/// stands between backquotes.
pub(crate) fn printed(text: &str) -> BTreeSet<String> {
    const TOOLS: [&str; 3] = ["kubectl ", "helm ", "istioctl "];
    let is_command = |text: &str| TOOLS.iter().any(|tool| text.starts_with(tool));
    let mut found = BTreeSet::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let mut command = line.trim().to_owned();
        if let Some((label, rest)) = command.split_once(": ")
            && !is_command(&command)
            && !label.contains('`')
        {
            command = rest.trim().to_owned();
        }
        if !is_command(&command) {
            continue;
        }
        // What is said of a command stands behind three blanks.
        let mut command = command.split("   ").next().unwrap_or_default().to_owned();
        while command.ends_with('\\') {
            let next = lines.next().expect("a line that goes on");
            command = format!("{}\n{next}", command);
        }
        if command.contains("<<'EOF'") {
            for line in lines.by_ref() {
                command = format!("{command}\n{line}");
                if line == "EOF" {
                    break;
                }
            }
        }
        found.insert(command);
    }
    // Where a terminal breaks a command inside a sentence, it is pasted as it stands.
    let prose = text.lines().map(str::trim).collect::<Vec<_>>().join("\n");
    for part in prose.split('`').skip(1).step_by(2).filter(|part| is_command(part)) {
        found.insert(part.to_owned());
    }
    found
}

/// A shell in which the plugin and kubectl can be run, and no kubeconfig is to be found.
fn paste(sandbox: &Sandbox, command: &str) -> (i32, String) {
    let tools = sandbox.directory().join("tools");
    let output = Command::new("sh")
        .args(["-c", command])
        .env("PATH", format!("{}:/usr/bin:/bin", tools.display()))
        .env("KUBECONFIG", "/nonexistent/kubeconfig")
        .env("HOME", crate::home())
        .env("KUBECACHEDIR", sandbox.directory().join("cache"))
        .output()
        .unwrap();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn link(tools: &Path, name: &str, program: &Path) {
    std::os::unix::fs::symlink(program, tools.join(name)).unwrap();
}

/// How each command line is led to the cluster, and nothing else is.
fn with_scope(sandbox: &Sandbox, args: &[&str]) -> Vec<String> {
    let cluster = ["--kubeconfig", sandbox.kubeconfig().to_str().unwrap(), "--context", "sandbox-token"];
    args.iter().chain(&cluster).chain(&["--request-timeout", "2s"]).map(|word| (*word).to_owned()).collect()
}

#[test]
fn every_printed_command_works_when_pasted() {
    let sandbox = Sandbox::start(incident::mesh()).unwrap();
    let _ = sandbox.drive_client();
    let tools = sandbox.directory().join("tools");
    std::fs::create_dir(&tools).unwrap();
    link(&tools, "kubectl", &wheel::KUBECTL.program().unwrap());
    link(&tools, "kubectl-meshaudit", Path::new(env!("CARGO_BIN_EXE_kubectl-meshaudit")));
    let snapshot = sandbox.directory().join("mesh.tar.gz");
    let snapshot = snapshot.to_str().unwrap();
    let live: &[&[&str]] = &[
        &["timeouts", "-n", "shop"],
        &["timeouts", "-n", "shop", "deploy/checkout", "--host", "cc-api"],
        &["timeouts", "-n", "shop", "--explain-origin", "--host", "cc-api"],
        &["timeouts", "-n", "shop", "nothing-at-all"],
        &["timeouts", "-n", "nowhere"],
        &["timeouts", "deploy/nothing", "-n", "shop"],
        &["clusters", "-n", "shop", "deploy/checkout"],
        &["clusters", "-n", "shop", "deploy/reviews-v1"],
        &["fix", "-n", "shop"],
        &["fix", "-n", "shop", "--host", "cc-api.example.io"],
        &["verify", "-n", "shop"],
        &["verify", "-n", "shop", "--expect", "10s"],
        &["diagnose", "-n", "shop", "deploy/checkout"],
        &["diagnose", "-n", "shop", "deploy/cart"],
        &["resets", "-n", "shop"],
        &["resets", "-n", "shop", "--mark", "now=change"],
        &["resets", "-n", "shop", "deploy/cart"],
        &["debug-log", "-n", "shop", "deploy/cart", "--on"],
        &["timeouts", "-n", "shop", "deploy/cart"],
        &["debug-log", "-n", "shop", "deploy/cart", "--show"],
        &["debug-log", "-n", "shop", "deploy/cart", "--off"],
        &["snapshot", snapshot, "-n", "shop"],
        &["version", "-n", "shop"],
    ];
    let mut texts: Vec<(String, String)> = Vec::new();
    for args in live {
        for columns in ["", "80"] {
            if args[0] == "snapshot" && !columns.is_empty() {
                continue;
            }
            let run = plugin(with_scope(&sandbox, args)).env("COLUMNS", columns).run();
            assert_ne!(run.code, 2, "{args:?}: {}", run.stderr);
            texts.push((args.join(" "), format!("{}\n{}", run.stdout, run.stderr)));
        }
    }
    for command in ["timeouts", "clusters", "fix", "verify"] {
        let run = plugin([command, "--from", snapshot]).run();
        texts.push((format!("{command} --from"), format!("{}\n{}", run.stdout, run.stderr)));
    }
    let mut commands: BTreeSet<(String, String)> = BTreeSet::new();
    for (from, text) in &texts {
        commands.extend(printed(text).into_iter().map(|command| (command, from.clone())));
    }
    let distinct: BTreeSet<&String> = commands.iter().map(|(command, _)| command).collect();
    assert!(distinct.len() >= 12, "{distinct:#?}");
    // Reading first, changing last.
    let (changing, mut reading): (Vec<_>, Vec<_>) = commands.iter().partition(|(command, _)| {
        ["kubectl patch", "kubectl apply", "debug-log"].iter().any(|part| command.contains(part))
    });
    assert!(changing.len() >= 4, "{changing:#?}");
    reading.dedup_by_key(|(command, _)| command.clone());
    let wrong = Mutex::new(Vec::new());
    let work = Mutex::new(reading.iter());
    let check = |command: &str, from: &str| {
        if command.starts_with("helm ") || command.starts_with("istioctl ") {
            // Not at hand here; they must name the cluster all the same.
            if !from.ends_with("--from") && !command.contains("sandbox-token") {
                wrong.lock().unwrap().push(format!("{from}: {command}: names no context"));
            }
            return;
        }
        // Nobody waits for a straggler here, nor for the end of a session.
        let mut line = command.replace("--wait 5m", "--wait 1s");
        if line.contains("debug-log") && !["--on", "--off", "--show", "--for"].iter().any(|end| line.contains(end)) {
            line = line.replace("debug-log", "debug-log --for 1s");
        }
        let (code, stderr) = paste(&sandbox, &line);
        // A command for the cluster of files, which is not known, names none.
        let of_files = from.ends_with("--from") && !command.contains("--from");
        if !of_files && !matches!(code, 0 | 1 | 3) {
            wrong.lock().unwrap().push(format!("{from}: {command}: {code}: {stderr}"));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let Some((command, from)) = work.lock().unwrap().next() else { break };
                    check(command, from);
                }
            });
        }
    });
    for (command, from) in changing {
        check(command, from);
    }
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
