//! The plugin's own binary against a real Kubernetes API conversation and real Envoy processes.
#![expect(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod archives;
mod attribute;
mod audit;
mod bad_input;
mod clusters;
mod completion;
mod conformance;
mod debug_log;
mod diagnose;
mod diff;
mod documents;
mod endless;
mod examples;
mod export;
mod fake;
mod faults;
mod faults_more;
mod fix;
mod fix_safety;
mod flags;
mod fuzz;
mod generated;
mod help;
mod incident;
mod interrupt;
mod istiod;
mod layering;
mod logs;
mod offline;
mod output;
mod packaging;
mod plugin;
mod policy;
mod printed;
mod push;
mod reading;
mod registry;
mod resets;
mod runbooks;
mod screens;
mod secrets;
mod selection;
mod serve;
mod stores;
mod verify;
mod walkthrough;

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use jiff::{Timestamp, tz::TimeZone};
use meshaudit_sandbox::Sandbox;
use meshaudit_sandbox::incident as mesh;
use serde_json::Value;
use wait_timeout::ChildExt as _;

/// The incident, shared by all tests that leave it as it is.
static INCIDENT: LazyLock<Sandbox> = LazyLock::new(|| Sandbox::start(mesh::mesh()).expect("the incident starts"));

/// The Envoys that the sandbox has, with their versions.
pub(crate) fn envoys() -> Vec<(&'static str, PathBuf)> {
    use meshaudit_sandbox::wheel::{ENVOY, OLDER_ENVOY};
    [ENVOY, OLDER_ENVOY].map(|wheel| (wheel.version, wheel.program().expect("Envoy can be had"))).into()
}

/// The shared incident.
pub(crate) fn incident() -> &'static Sandbox {
    &INCIDENT
}

/// A command line of the plugin, in an environment of its own.
pub(crate) struct Plugin {
    command: Command,
    stdin: Vec<u8>,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A home directory that is nobody's: what a command keeps there is seen by the other tests alone.
pub(crate) fn home() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("home")
}

/// The plugin with arguments, and with no cluster.
pub(crate) fn plugin<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Plugin {
    // A release or a static build is held against the same tests by `MESHAUDIT_BIN`.
    let binary = std::env::var_os("MESHAUDIT_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_kubectl-meshaudit").into());
    let mut command = Command::new(binary);
    command.args(args);
    for variable in ["NO_COLOR", "CLICOLOR_FORCE", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "_"] {
        command.env_remove(variable);
    }
    // No kubeconfig of the machine's is ever looked at.
    command.env("KUBECONFIG", "/nonexistent/kubeconfig").env("HOME", home());
    Plugin { command, stdin: Vec::new() }
}

/// The plugin with arguments, on the shared incident. The three pods whose admin endpoints are broken are told at
/// once from those that are only slow.
pub(crate) fn on_incident<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Plugin {
    let mut plugin = plugin(args).on(incident());
    plugin.command.args(["--request-timeout", "5s"]);
    plugin
}

/// No command that ends by itself takes this long: one that waits for ever fails its test, and not the whole run.
const LONGEST_RUN: Duration = Duration::from_secs(300);

/// What comes out of a pipe, read by a thread so that no pipe fills up.
fn read_aside(mut pipe: impl std::io::Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).expect("UTF-8");
        text
    })
}

impl Plugin {
    pub(crate) fn on(mut self, sandbox: &Sandbox) -> Self {
        self.command.env("KUBECONFIG", sandbox.kubeconfig());
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// In a directory other than the project's.
    pub(crate) fn within(mut self, directory: &std::path::Path) -> Self {
        self.command.current_dir(directory);
        self
    }

    pub(crate) fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    pub(crate) fn run(mut self) -> Run {
        let mut child = self
            .command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the plugin starts");
        let mut stdin = child.stdin.take().expect("piped");
        let bytes = std::mem::take(&mut self.stdin);
        // The plugin need not read what it was given.
        let feeding = std::thread::spawn(move || drop(stdin.write_all(&bytes)));
        let stdout = read_aside(child.stdout.take().expect("piped"));
        let stderr = read_aside(child.stderr.take().expect("piped"));
        let Some(status) = child.wait_timeout(LONGEST_RUN).expect("the plugin is waited for") else {
            child.kill().expect("ended");
            panic!("{:?} did not end within {LONGEST_RUN:?}", self.command);
        };
        feeding.join().expect("fed");
        Run {
            code: status.code().expect("an exit code"),
            stdout: stdout.join().expect("read"),
            stderr: stderr.join().expect("read"),
        }
    }

    /// Runs, and reads stdout as JSON.
    pub(crate) fn json(self) -> Value {
        let run = self.run();
        serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"))
    }
}

impl Run {
    /// Holds that the exit code is this, and gives the run back.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.stdout, self.stderr);
        self
    }

    /// Holds that stderr has this in it.
    #[track_caller]
    pub(crate) fn complains(self, of: &str) -> Self {
        assert!(self.stderr.contains(of), "{of:?} is not in: {}", self.stderr);
        self
    }
}

/// The project's own directory.
pub(crate) fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A published JSON Schema; `generated` holds it to the types.
fn published_schema(name: &str) -> jsonschema::Validator {
    let text = std::fs::read_to_string(project().join(format!("docs/schema/{name}.schema.json"))).unwrap();
    jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap()
}

/// Compares a generated file with the one in the project; `MESHAUDIT_BLESS=1` rewrites that.
#[track_caller]
pub(crate) fn is_as_committed(path: &str, text: &str) {
    let file = project().join(path);
    if std::env::var_os("MESHAUDIT_BLESS").is_some() {
        std::fs::write(&file, text).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(committed == text, "{path} is not what the program generates; MESHAUDIT_BLESS=1 cargo test rewrites it");
}

/// The incident after a week of it, up to the last midnight, with a few more calls.
pub(crate) fn incident_after_week() -> Sandbox {
    let midnight = Timestamp::now().to_zoned(TimeZone::UTC).start_of_day().unwrap().timestamp();
    let sandbox = Sandbox::start(mesh::mesh_after_week(midnight)).unwrap();
    for _ in 0..3 {
        let _ = sandbox.drive_client();
        let _ = sandbox.drive_healthy_client();
    }
    sandbox
}

/// A text with what differs from run to run in one form: patterns, and what takes the place of what they match.
pub(crate) fn replaced(text: &str, patterns: &[(&str, &str)]) -> String {
    patterns.iter().fold(text.to_owned(), |text, (pattern, replacement)| {
        regex::Regex::new(pattern).unwrap().replace_all(&text, *replacement).into_owned()
    })
}

/// What a table of docs/faults.md has between its marks: a row a fault, with what is said of it. Numbers and ports may
/// differ from one run to the next; `MESHAUDIT_BLESS=1` rewrites the rows.
#[track_caller]
pub(crate) fn faults_are_as_documented(table: &str, rows: &[(String, String)]) {
    static WRITING: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _writing = WRITING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let ports = regex::Regex::new(r"127\.0\.0\.1:\d+").unwrap();
    let row = |(fault, said): &(String, String)| {
        let said: String = ports.replace_all(said.trim(), "127.0.0.1:PORT").chars().take(330).collect();
        format!("| {fault} | {} |\n", said.replace('|', "\\|").replace('<', "&lt;"))
    };
    let rows: String = rows.iter().map(row).collect();
    let file = project().join("docs/faults.md");
    let document = std::fs::read_to_string(&file).unwrap();
    let (begin, end) = (format!("<!-- {table} -->\n"), "<!-- end -->");
    let (before, rest) = document.split_once(&begin).unwrap_or_else(|| panic!("docs/faults.md has no {begin}"));
    let (committed, after) = rest.split_once(end).unwrap();
    let whole = format!("\n| what goes wrong | what is said |\n|---|---|\n{rows}\n");
    if std::env::var_os("MESHAUDIT_BLESS").is_some() {
        std::fs::write(&file, format!("{before}{begin}{whole}{end}{after}")).unwrap();
        return;
    }
    let digits = regex::Regex::new(r"\d+").unwrap();
    let without = |text: &str| digits.replace_all(text, "N").into_owned();
    assert_eq!(without(committed), without(&whole), "docs/faults.md: MESHAUDIT_BLESS=1 cargo test rewrites it");
}

/// `namespace/pod` of everything in a list of a report.
pub(crate) fn names(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|entry| entry["proxy"].as_str().unwrap().to_owned()).collect()
}
