//! `diagnose`: recorded logs of real Envoys, each held to its cause; the incident's log; layouts and wrappers.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use meshaudit::decode::log::{LogDecoder, Lines};
use meshaudit::diagnose::{Confidence, DiagnoseOptions, Diagnoser, Diagnosis};
use meshaudit::model::{LogContent, ClusterTimeouts};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/logs")
}

/// What a log says, and how many of its lines nobody knows.
fn diagnose_with(log: &[u8], timeouts: ClusterTimeouts) -> (Diagnosis, u64) {
    let mut decoder = LogDecoder::new(Vec::new());
    let mut diagnoser = Diagnoser::new(DiagnoseOptions { timeouts, ..DiagnoseOptions::default() });
    let mut lines = Lines::new(log);
    while let Some(line) = lines.next_line().unwrap() {
        if let Some(record) = decoder.decode(line) {
            diagnoser.push(&record, "");
        }
    }
    (diagnoser.finish(), decoder.counts.unrecognized)
}

fn diagnose(log: &[u8]) -> Diagnosis {
    diagnose_with(log, ClusterTimeouts::new()).0
}

/// Every recording, with the causes its directory names.
fn recordings() -> Vec<(PathBuf, BTreeSet<String>)> {
    let mut recordings = Vec::new();
    for directory in std::fs::read_dir(fixtures().join("recorded")).unwrap() {
        let directory = directory.unwrap().path();
        let name = directory.file_name().unwrap().to_string_lossy().into_owned();
        let causes: BTreeSet<String> =
            if name == "healthy" { BTreeSet::new() } else { name.split('+').map(str::to_owned).collect() };
        for file in std::fs::read_dir(&directory).unwrap() {
            recordings.push((file.unwrap().path(), causes.clone()));
        }
    }
    recordings.sort();
    assert!(recordings.len() > 200, "{} recordings", recordings.len());
    recordings
}

fn causes(diagnosis: &Diagnosis) -> BTreeSet<String> {
    diagnosis.entries.iter().map(|entry| entry.event.cause.as_str().to_owned()).collect()
}

#[test]
fn each_recording_gives_its_cause() {
    let mut wrong = Vec::new();
    for (path, expected) in recordings() {
        let (diagnosis, _) = diagnose_with(&std::fs::read(&path).unwrap(), ClusterTimeouts::new());
        let found = causes(&diagnosis);
        if found != expected {
            wrong.push(format!("{}: {found:?}", path.strip_prefix(fixtures()).unwrap().display()));
        }
    }
    assert!(wrong.is_empty(), "{} recordings:\n{}", wrong.len(), wrong.join("\n"));
}

