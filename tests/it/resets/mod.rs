//! `resets`, through the built binary.

mod incident;
mod prometheus;

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// Runs the built binary, away from the environment's colours and clusters.
fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kubectl-meshaudit"))
        .args(args)
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR_FORCE")
        .env("KUBECONFIG", "/nonexistent")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Runs it, and reads its JSON.
fn json(args: &[&str]) -> Value {
    let output = run(args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Writes the incident's four logs, one file a service.
fn write_incident(directory: &Path) -> incident::Answer {
    let mut answer = incident::Answer::default();
    for service in incident::services() {
        let mut out = BufWriter::new(File::create(directory.join(format!("{service}.log"))).unwrap());
        incident::write_service(service, 1, &mut out, &mut answer).unwrap();
        out.flush().unwrap();
    }
    answer
}

/// Not a test: writes the log that throughput and memory are measured with.
/// `MESHAUDIT_GENERATE=DIR MESHAUDIT_ORDINARY=64 cargo test --test it -- --ignored generate_large_logs`
#[test]
#[ignore = "writes gigabytes, where it is told to"]
fn generate_large_logs() {
    let directory = std::env::var("MESHAUDIT_GENERATE").expect("MESHAUDIT_GENERATE names the directory to write to");
    let ordinary = std::env::var("MESHAUDIT_ORDINARY").map_or(64, |ordinary| ordinary.parse().unwrap());
    let mut answer = incident::Answer::default();
    for service in incident::services() {
        let mut out = BufWriter::new(File::create(Path::new(&directory).join(format!("{service}.log"))).unwrap());
        incident::write_service(service, ordinary, &mut out, &mut answer).unwrap();
        out.flush().unwrap();
    }
}
