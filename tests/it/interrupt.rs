//! Ctrl-C: what was read so far is shown.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::incident;

fn start(args: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_kubectl-meshaudit"))
        .args(args)
        .env("KUBECONFIG", incident().kubeconfig())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn interrupt(child: &Child) {
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
}

/// Interrupts a command once it has read so many proxies, and gives its code, output and errors.
fn interrupted_after(args: &[&str], proxies: usize) -> (i32, String, String) {
    let mut child = start(&[args, &["-vv", "--request-timeout", "10m", "--timeout", "10m"]].concat());
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let (mut seen, mut line) = (0, String::new());
    while seen < proxies {
        line.clear();
        assert!(errors.read_line(&mut line).unwrap() > 0, "it ended by itself");
        seen += usize::from(line.contains(" clusters read"));
    }
    interrupt(&child);
    let rest = std::thread::spawn(move || {
        let mut text = String::new();
        errors.read_to_string(&mut text).unwrap();
        text
    });
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    (child.wait().unwrap().code().unwrap(), out, rest.join().unwrap())
}

#[test]
fn what_was_read_is_shown() {
    // Three proxies of the incident never answer; ten minutes are given to them.
    let (code, out, errors) = interrupted_after(&["timeouts", "-A", "--no-evidence"], 6);
    assert_eq!(code, 130, "{errors}");
    assert!(out.contains("Audited ") && out.contains("interrupted before it was read"), "{out}");
    assert!(errors.contains("Interrupted: "), "{errors}");

    let (code, out, _) = interrupted_after(&["timeouts", "-A", "--no-evidence", "-o", "json"], 6);
    assert_eq!(code, 130);
    let audit: Value = serde_json::from_str(&out).expect("one whole document");
    let failed = audit["coverage"]["failed"].as_array().unwrap();
    assert!(failed.iter().any(|failed| failed["message"].as_str().unwrap().contains("interrupted")), "{failed:#?}");

    let (code, out, _) = interrupted_after(&["verify", "-A", "--wait", "10m", "--expect", "10s"], 10);
    assert_eq!(code, 130);
    assert!(out.contains("proxies have it"), "{out}");
}

/// What is interrupted before it ended is not lost, whatever the command.
#[test]
fn what_was_read_is_shown_by_every_command_that_reads() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("mesh.tar.gz");
    let file = file.to_str().unwrap();
    // `clusters` reads one proxy after the other, and the third never answers.
    for (args, proxies, shows) in [
        (&["clusters", "-A"][..], 2, "TIMEOUT"),
        (&["clusters", "-A", "-o", "name"], 2, "outbound|"),
        (&["fix", "-A", "--no-evidence"], 6, "connectTimeout"),
        (&["snapshot", file, "-A", "--no-evidence"], 6, ""),
    ] {
        let (code, out, errors) = interrupted_after(args, proxies);
        assert_eq!(code, 130, "{args:?}: {errors}");
        assert!(out.contains(shows), "{args:?}: {out}\n{errors}");
    }
    let kept = crate::plugin(["timeouts", "--from", file, "-o", "json"]).json();
    assert!(kept["coverage"]["audited"].as_u64().unwrap() > 0, "{}", kept["coverage"]);
}

#[test]
fn the_lines_of_a_pipe_that_came_are_explained() {
    let mut child = start(&["diagnose", "--from", "-", "-o", "ndjson"]);
    let log = std::fs::read(crate::project().join("tests/fixtures/logs/incident/2020-05-29.log")).unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&log).unwrap();
    // More than a pipe holds: once it is written the log was read, and so Ctrl-C is listened for.
    stdin.write_all(&b"\n".repeat(4 << 20)).unwrap();
    interrupt(&child);
    // The program in front of the pipe was interrupted too.
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(out.lines().next().unwrap().contains("timeout"), "{out}");
}

/// A pipe that nobody writes into, and a Ctrl-C that reaches this program alone.
#[test]
fn one_ctrl_c_ends_the_waiting_for_a_silent_pipe() {
    for (args, whole) in [
        (
            &["resets", "--from", "-"][..],
            "2026-11-02T10:00:00.000Z ERROR [checkout] SocketException: Connection reset\n",
        ),
        (&["timeouts", "--from", "-"], r#"{"configs":[]}"#),
    ] {
        let mut child = start(args);
        let mut stdin = child.stdin.take().unwrap();
        // More than a pipe holds: once it is written, Ctrl-C is listened for.
        stdin.write_all(whole.as_bytes()).unwrap();
        stdin.write_all(&b"\n".repeat(1 << 20)).unwrap();
        interrupt(&child);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        drop(stdin);
    }
}
