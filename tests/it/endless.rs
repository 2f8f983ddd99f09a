//! Inputs without an end: devices, pipes that are never closed, pipes that nobody writes into. `--timeout` ends them, what
//! came until then is reported, and that it is not all is said.

use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use wait_timeout::ChildExt as _;

use crate::{Run, project};

/// What is given to the commands, and how much longer a busy machine may need than that.
const TIMEOUT: &str = "2s";
const SLACK: Duration = Duration::from_secs(60);
/// No input may need more than this.
const MAX_MEMORY: u64 = 300 << 20;

/// Runs with an input that `feed` writes into standard input; what it leaves open stays so.
fn fed(args: &[&str], feed: impl FnOnce(ChildStdin) -> Option<ChildStdin> + Send + 'static) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-meshaudit"));
    command.args(args).args(["--timeout", TIMEOUT]).env("KUBECONFIG", "/nonexistent").env("HOME", crate::home());
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let stdin = child.stdin.take().unwrap();
    let feeding = std::thread::spawn(move || feed(stdin));
    let (stdout, stderr) =
        (crate::read_aside(child.stdout.take().unwrap()), crate::read_aside(child.stderr.take().unwrap()));
    let code = wait(&mut child, args);
    drop(feeding.join().unwrap());
    Run { code, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
}

/// Waits for a command that has to end by itself, and holds that it needs little memory meanwhile.
fn wait(child: &mut Child, args: &[&str]) -> i32 {
    let started = Instant::now();
    loop {
        if let Some(status) = child.wait_timeout(Duration::from_millis(50)).unwrap() {
            return status.code().expect("an exit code");
        }
        let most = memory(child.id());
        if most > MAX_MEMORY || started.elapsed() > SLACK {
            child.kill().unwrap();
            panic!("{args:?}: {most} bytes of memory, after {:?}", started.elapsed());
        }
    }
}

/// The most memory that a process has had, where the system tells.
fn memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    most.and_then(|most| most.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or_default() << 10
}

/// Writes the same again and again, until nobody reads it.
fn for_ever(bytes: &[u8]) -> impl FnOnce(ChildStdin) -> Option<ChildStdin> + Send + 'static {
    let block = bytes.repeat((64 << 10) / bytes.len() + 1);
    move |mut stdin| {
        while stdin.write_all(&block).is_ok() {}
        None
    }
}

/// Writes this, and then nothing more; the pipe stays open.
fn then_silence(bytes: impl Into<Vec<u8>>) -> impl FnOnce(ChildStdin) -> Option<ChildStdin> + Send + 'static {
    let bytes = bytes.into();
    move |mut stdin| {
        let _ = stdin.write_all(&bytes);
        Some(stdin)
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const RESET: &str = "2026-11-02T10:00:00.000Z ERROR [checkout] java.net.SocketException: Connection reset\n";
const OUT_OF_TIME: &str = "its end did not come within the whole command's 2s (--timeout)";

fn proxy_log() -> Vec<u8> {
    std::fs::read(project().join("tests/fixtures/logs/incident/2020-05-29.log")).unwrap()
}

fn dump() -> Vec<u8> {
    std::fs::read(project().join("tests/fixtures/dumps/durations.json")).unwrap()
}

fn document(run: &Run) -> Value {
    serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"))
}

#[test]
fn what_came_of_a_log_is_counted_and_said_to_be_incomplete() {
    let resets = ["resets", "--from", "-", "-o", "json"];
    for (name, run) in [
        ("without end", fed(&resets, for_ever(RESET.as_bytes()))),
        ("without end, packed", fed(&resets, for_ever(&gzip(RESET.as_bytes())))),
        ("then silent", fed(&resets, then_silence(RESET.repeat(3)))),
    ] {
        let run = run.exits(3).complains(OUT_OF_TIME);
        let report = document(&run);
        assert!(report["total"]["resets"].as_u64().unwrap() >= 3, "{name}: {}", report["total"]);
        assert_eq!(report["input"]["failed"][0]["name"], "stdin", "{name}: {}", report["input"]);
    }
    let diagnose = ["diagnose", "--from", "-", "-o", "json", "--fail-on", "never"];
    for (name, run) in [
        ("without end", fed(&diagnose, for_ever(&proxy_log()))),
        ("then silent", fed(&diagnose, then_silence(proxy_log()))),
    ] {
        let run = run.exits(3).complains(OUT_OF_TIME);
        assert!(!document(&run)["diagnoses"].as_array().unwrap().is_empty(), "{name}");
    }
    let run = fed(&["diagnose", "--from", "-", "-o", "ndjson", "--fail-on", "never"], then_silence(proxy_log()));
    assert!(run.exits(3).stdout.contains("connect_timeout"));
}

#[test]
fn dumps_that_came_whole_are_audited() {
    // `fix` counts what is not in its plan, the others name it.
    for (args, said) in [
        (&["timeouts"][..], "whole command's 2s"),
        (&["clusters"], "whole command's 2s"),
        (&["fix"], "1 proxy could not be read"),
        (&["verify", "--expect", "10s"], "whole command's 2s"),
    ] {
        let args = [args, &["--from", "-"]].concat();
        // Large enough that the time ends before there are more dumps than a file may have.
        let mut large = dump();
        large.extend([b'\n'; 128 << 10]);
        for run in [fed(&args, for_ever(&large)), fed(&args, then_silence(dump()))] {
            // Of the findings of what was read, the code may tell first.
            assert!([1, 3].contains(&run.code), "{args:?}: {run:?}");
            assert!((run.stdout.clone() + &run.stderr).contains(said), "{args:?}: {run:?}");
        }
    }
    let args = ["timeouts", "--from", "-", "-o", "json", "--fail-on", "never"];
    let many = fed(&["fix", "--from", "-"], for_ever(&dump()));
    assert!([1, 3].contains(&many.code), "as many as a file may have, or as came in the time: {many:?}");
    let audit = document(&fed(&args, then_silence(dump())).exits(3));
    assert_eq!(
        (&audit["coverage"]["audited"], &audit["coverage"]["failed"][0]["cause"]),
        (&1.into(), &"timeout".into())
    );
    // A dump that stops in its middle is none.
    let half = dump()[..dump().len() / 2].to_vec();
    fed(&args, then_silence(half)).exits(4).complains(OUT_OF_TIME);
}

#[test]
fn of_what_never_says_anything_that_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (pipe, snapshot) = (pipe.to_str().unwrap(), directory.path().join("kept.tar.gz"));
    for from in [pipe, "-", "/dev/zero"] {
        for args in [
            &["resets"][..],
            &["diagnose"],
            &["timeouts"],
            &["clusters"],
            &["fix"],
            &["verify"],
            &["snapshot", snapshot.to_str().unwrap()],
            &["incident"],
        ] {
            if args[0] == "incident" && from == "-" {
                continue;
            }
            let run = fed(&[args, &["--from", from]].concat(), then_silence("")).exits(4);
            // Zeros are no dump from the first byte on.
            assert!(from == "/dev/zero" || run.stderr.contains("whole command's 2s"), "{args:?} {from}: {run:?}");
        }
    }
    assert!(!snapshot.exists());
}

/// Files beside the input: what a pipe gives is waited for as long as for the input itself.
#[test]
fn of_flags_files_too() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let dump = "tests/fixtures/rules/MA001.json";
    for path in [pipe.to_str().unwrap(), "/dev/stdin"] {
        for args in [
            &["timeouts", "--from", dump, "--baseline"][..],
            &["timeouts", "--from", dump, "--policy"],
            &["verify", "--from", dump, "--plan"],
            &["resets", "--loki", "http://127.0.0.1:1", "--store-token-file"],
            &["resets", "--loki", "http://127.0.0.1:1", "--store-ca"],
            &["resets", "--prometheus", "http://127.0.0.1:1", "--prometheus-token-file"],
            &["resets", "--prometheus", "http://127.0.0.1:1", "--prometheus-ca"],
        ] {
            let run = fed(&[args, &[path]].concat(), then_silence(""));
            assert!(matches!(run.code, 2 | 4) && run.stderr.contains("whole command's 2s"), "{args:?} {path}: {run:?}");
        }
    }
}

#[test]
fn lines_without_end_need_little_memory() {
    for bytes in ["y", "{\"a\":", "[", "\\", "a=\"", "\t", " ", "é"] {
        for args in [
            &["resets", "--from", "-"][..],
            &["diagnose", "--from", "-"],
            &["timeouts", "--from", "-"],
            &["diagnose", "--from", "-", "--config-dump", "/dev/zero"],
        ] {
            let run = fed(args, for_ever(bytes.as_bytes()));
            assert!([3, 4].contains(&run.code), "{bytes:?} {args:?}: {run:?}");
        }
    }
}

/// What a shell's `<(…)` names can be read once.
#[test]
fn a_pipe_with_a_name_is_read_once_and_whole() {
    let close =
        |bytes: Vec<u8>| move |mut stdin: ChildStdin| stdin.write_all(&bytes).map(|()| None).unwrap_or_default();
    let named = fed(&["diagnose", "--from", "/dev/stdin", "-o", "json", "--fail-on", "never"], close(proxy_log()));
    let file = fed(&["diagnose", "--from", "-", "-o", "json", "--fail-on", "never"], close(proxy_log()));
    assert_eq!(document(&named.exits(0))["diagnoses"], document(&file.exits(0))["diagnoses"]);
}
