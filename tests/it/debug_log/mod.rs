//! `debug-log`, on real Envoys: whatever happens, every level is afterwards as it was before.

mod audit_log;
mod model;
mod safety;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use meshaudit_sandbox::Sandbox;
use meshaudit_sandbox::faults::Fault;
use meshaudit_sandbox::incident as mesh;
use serde_json::{Value, json};

use crate::{Plugin, plugin};

const CHECKOUT: &str = "checkout-7d9f8b6c5d-m8q2z";
const OTHER_CHECKOUT: &str = "checkout-7d9f8b6c5d-x2k4p";
const CONNECTION_LOGGERS: [&str; 7] = ["client", "conn_handler", "connection", "filter", "pool", "router", "upstream"];

/// The incident with the pods of these workloads only.
pub(crate) fn start(workloads: &[&str]) -> Sandbox {
    let mut mesh = mesh::mesh();
    mesh.pods.retain(|pod| {
        let (namespace, name) = pod.key();
        namespace == "shop" && workloads.iter().any(|workload| name.starts_with(&format!("{workload}-")))
    });
    Sandbox::start(mesh).expect("the sandbox starts")
}

/// For tests that leave the API server alone; each works on a pod of its own.
static SHARED: LazyLock<Sandbox> = LazyLock::new(|| start(&["checkout", "cart", "web", "catalog", "orders"]));

/// A directory for state files, which goes with the test.
fn state() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn on<'a>(sandbox: &Sandbox, state: &Path, args: impl IntoIterator<Item = &'a str>) -> Plugin {
    plugin(std::iter::once("debug-log").chain(args)).on(sandbox).env("XDG_STATE_HOME", state)
}

/// Every logger's level, from the proxy itself.
fn levels(sandbox: &Sandbox, pod: &str) -> BTreeMap<String, String> {
    let url = sandbox.admin_url("shop", pod).expect("a real proxy");
    let address = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "POST /logging HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (_, list) = text.split_once("active loggers:").expect("a list of loggers");
    let levels = list.lines().filter_map(|line| line.trim().split_once(": "));
    levels.map(|(name, level)| (name.to_owned(), level.to_owned())).collect()
}

fn verbose(levels: &BTreeMap<String, String>) -> Vec<&str> {
    levels.iter().filter(|(_, level)| *level == "debug").map(|(name, _)| name.as_str()).collect()
}

/// The state files.
fn files(state: &Path) -> Vec<PathBuf> {
    let directory = state.join("kubectl-meshaudit/debug-log");
    let entries = std::fs::read_dir(directory).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect()
}

/// A session that goes on.
struct Running {
    child: Child,
    stderr: Receiver<String>,
    said: String,
    stdout: std::thread::JoinHandle<String>,
}

impl Running {
    fn start(mut plugin: Plugin) -> Self {
        let command = plugin.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the plugin starts");
        let (sender, stderr) = channel();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut out = child.stdout.take().unwrap();
        let stdout = std::thread::spawn(move || {
            let mut text = String::new();
            out.read_to_string(&mut text).unwrap();
            text
        });
        Self { child, stderr, said: String::new(), stdout }
    }

    /// Waits until it says this.
    #[track_caller]
    fn until(&mut self, text: &str) -> &mut Self {
        let deadline = Instant::now() + Duration::from_secs(60);
        while let Ok(line) = self.stderr.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            self.said += &line;
            self.said.push('\n');
            if line.contains(text) {
                return self;
            }
        }
        panic!("{text:?} is not in: {}", self.said);
    }

    fn signal(&self, name: &str) {
        assert!(self.try_signal(name));
    }

    /// Whether it was there to get it.
    fn try_signal(&self, name: &str) -> bool {
        Command::new("kill")
            .args([name, &self.child.id().to_string()])
            .stderr(Stdio::null())
            .status()
            .unwrap()
            .success()
    }

    /// Waits for its end; gives the exit code, stdout and stderr.
    fn end(mut self) -> (Option<i32>, String, String) {
        let code = self.child.wait().unwrap().code();
        self.said.extend(self.stderr.iter().flat_map(|line| [line, "\n".to_owned()]));
        (code, self.stdout.join().unwrap(), self.said)
    }
}

#[test]
fn signals_put_every_level_back() {
    let (sandbox, state) = (&*SHARED, state());
    let pod = "cart-6c4bb9f7d8-5tqvn";
    let before = levels(sandbox, pod);
    assert_eq!(verbose(&before), [""; 0]);
    for (signal, code) in [("-INT", 130), ("-TERM", 143), ("-HUP", 143), ("-QUIT", 143), ("-TSTP", 130), ("-USR1", 143)]
    {
        let mut session = Running::start(on(sandbox, state.path(), [pod]));
        session.until("debug-log --off").until("following its log");
        assert_eq!(verbose(&levels(sandbox, pod)), CONNECTION_LOGGERS);
        let [file] = &files(state.path())[..] else { panic!("one state file") };
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(file).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        session.signal(signal);
        let (ended, _, said) = session.end();
        assert_eq!(ended, Some(code), "{said}");
        assert!(said.contains("restored: every level is as it was"), "{said}");
        assert_eq!(levels(sandbox, pod), before, "{signal}");
        assert_eq!(files(state.path()), [""; 0].map(PathBuf::from));
    }
}

/// A session whose output and errors go to pipes that are full and that nobody reads: once it has taken hold it is told
/// to end, and does.
fn unread_session(mut plugin: Plugin, held: impl Fn() -> bool) {
    let command = plugin.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let begun = Instant::now();
    while !held() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not take hold");
        assert!(child.try_wait().unwrap().is_none(), "it has ended");
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_millis(300));
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    while child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(120), "it does not end");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// SIGTERM twice, and nobody reads what is printed: the levels come back, and the exit code is that of SIGTERM.
#[test]
fn terminated_twice_beside_a_pipe_that_is_stuck() {
    let (sandbox, state) = (start(&["checkout"]), state());
    let before = levels(&sandbox, CHECKOUT);
    let mut plugin = on(&sandbox, state.path(), [CHECKOUT, "--raw", "--level", "trace", "--for", "10m"]);
    let command = plugin.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let begun = Instant::now();
    while files(state.path()).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not take hold");
        std::thread::sleep(Duration::from_millis(50));
    }
    // More than a pipe holds: 64 KiB.
    while sandbox.envoy_log("shop", CHECKOUT).len() < 400_000 && begun.elapsed() < Duration::from_secs(60) {
        let _ = sandbox.drive_healthy_client();
    }
    let term = || Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(term().success());
    std::thread::sleep(Duration::from_millis(500));
    let _ = term();
    let code = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
        assert!(begun.elapsed() < Duration::from_secs(180), "it does not end");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(code, Some(143));
    assert_eq!(levels(&sandbox, CHECKOUT), before);
    assert_eq!(files(state.path()).len(), 0);
}

#[test]
fn the_incident_is_explained_while_it_happens() {
    let (sandbox, state) = (&*SHARED, state());
    let log = state.path().join("proxy.log");
    let before = levels(sandbox, CHECKOUT);
    let args = [CHECKOUT, "--for", "6s", "-o", "ndjson", "--log-file", log.to_str().unwrap()];
    let mut session = Running::start(on(sandbox, state.path(), args));
    session.until("following its log");
    let calls = sandbox.drive_client();
    assert!(calls.iter().any(|call| call.outcome == meshaudit_sandbox::Outcome::Reset), "{calls:?}");
    let (code, out, said) = session.end();
    assert_eq!(code, Some(0), "{said}");
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (last, failures) = lines.split_last().expect("lines");
    let [failure] = failures else { panic!("one failure: {out}") };
    assert_eq!(failure["cause"], "connect_timeout");
    assert_eq!(failure["confidence"], "certain");
    assert_eq!(failure["cluster"], mesh::LOSSY_CLUSTER);
    assert_eq!(failure["connectTimeout"], "1s");
    assert!((0.9..1.2).contains(&failure["seconds"].as_f64().unwrap()), "{failure}");
    assert!(failure["upstream"].as_str().unwrap().starts_with("127.0.0.1:"), "{failure}");
    assert_eq!(last["kind"], "DebugLog");
    assert_eq!(last["proxies"][0]["state"], "restored");
    assert_eq!(last["proxies"][0]["levels"].as_array().unwrap().len(), CONNECTION_LOGGERS.len());
    assert_eq!(levels(sandbox, CHECKOUT), before);
    // What was read is kept, and says the same once more.
    let again = plugin(["diagnose", "--from", log.to_str().unwrap(), "-o", "json"]).json();
    assert_eq!(again["diagnoses"][0]["cause"], "connect_timeout");
    assert_eq!(again["diagnoses"][0]["cluster"], mesh::LOSSY_CLUSTER);
}

#[test]
fn on_and_off_are_idempotent() {
    let (sandbox, state, elsewhere) = (&*SHARED, state(), state());
    let pod = "web-84d7c5b9f6-wz7hd";
    let before = levels(sandbox, pod);
    for _ in 0..2 {
        let set = on(sandbox, state.path(), ["--on", pod, "-o", "json"]).run().exits(0).complains("debug-log --off");
        let report: Value = serde_json::from_str(&set.stdout).unwrap();
        assert_eq!(report["proxies"][0]["state"], "on");
        assert_eq!(
            report["proxies"][0]["levels"][0],
            json!({"logger": "client", "level": "warning", "target": "debug"})
        );
        assert_eq!(verbose(&levels(sandbox, pod)), CONNECTION_LOGGERS);
    }
    let shown = on(sandbox, state.path(), ["--show", pod]).run().exits(0).complains("put back with");
    assert!(shown.stdout.contains("client, conn_handler, connection, filter, pool, router, upstream"), "{shown:?}");
    let audit = plugin(["timeouts", pod, "-o", "json"]).on(sandbox).json();
    assert!(audit["findings"].as_array().unwrap().iter().any(|finding| finding["code"] == "MA013"), "{audit}");
    for (expected, basis) in [("restored", "state-file"), ("unchanged", "start-up-arguments")] {
        let report = on(sandbox, state.path(), ["--off", pod, "-o", "json"]).json();
        assert_eq!(report["proxies"][0]["state"], expected);
        assert_eq!(report["proxies"][0]["basis"], basis);
        assert_eq!(levels(sandbox, pod), before);
    }
    // Another machine has no state file, and goes by what the proxy was started with.
    on(sandbox, state.path(), ["--on", pod, "--level", "debug,pool:trace"]).run().exits(0);
    assert_eq!(levels(sandbox, pod)["pool"], "trace");
    let report = on(sandbox, elsewhere.path(), ["--off", pod, "-o", "json"]).json();
    assert_eq!(
        (&report["proxies"][0]["state"], &report["proxies"][0]["basis"]),
        (&json!("restored"), &json!("start-up-arguments"))
    );
    assert_eq!(levels(sandbox, pod), before);
    // Here the state file is still there: everything that was left on is put back, and then nothing is.
    on(sandbox, state.path(), ["--off", "--all"]).run().exits(0);
    on(sandbox, state.path(), ["--off", "--all"]).run().exits(0).complains("Nothing was left on");
    assert_eq!(levels(sandbox, pod), before);
}

#[test]
fn a_killed_session_is_put_back_by_off() {
    let (sandbox, state) = (&*SHARED, state());
    let pod = "catalog-79b5d6c8f9-p4x8c";
    let before = levels(sandbox, pod);
    let mut session = Running::start(on(sandbox, state.path(), [pod]));
    session.until("following its log");
    // Nobody else on this machine works on it meanwhile.
    on(sandbox, state.path(), ["--on", pod]).run().exits(4).complains("another debug-log");
    session.signal("-KILL");
    session.end();
    assert_eq!(verbose(&levels(sandbox, pod)), CONNECTION_LOGGERS);
    let put_back = on(sandbox, state.path(), ["--off", pod]).run().exits(0);
    assert!(put_back.stdout.contains("restored: every level is as it was (from the state file)"), "{put_back:?}");
    assert_eq!(levels(sandbox, pod), before);
}

#[test]
fn a_dry_run_changes_and_writes_nothing() {
    let (sandbox, state) = (&*SHARED, state());
    let pod = "orders-5f7c9d8b64-k9d2r";
    let before = levels(sandbox, pod);
    for args in [&["--dry-run", pod][..], &["--on", "--dry-run", pod], &["--off", "--dry-run", pod]] {
        on(sandbox, state.path(), args.iter().copied()).run().exits(0);
    }
    assert_eq!(levels(sandbox, pod), before);
    assert!(!state.path().join("kubectl-meshaudit").exists());
    for args in [&["--on"][..], &["--on", "--off", pod], &["--all"], &["--level", "loud", pod], &["--on", "-A"]] {
        on(sandbox, state.path(), args.iter().copied()).run().exits(2);
    }
    on(sandbox, state.path(), ["--on", "--level", "bogus:debug", pod]).run().exits(4).complains("no logger bogus");
    assert_eq!(files(state.path()).len(), 0);
    // Where nothing can be kept, nothing is changed.
    let full = state.path().join("a-file");
    std::fs::write(&full, "").unwrap();
    on(sandbox, &full, ["--on", pod]).run().exits(4);
    assert_eq!(levels(sandbox, pod), before);
}

/// For tests that take the API server down or break a pod: one at a time.
static BROKEN: LazyLock<Mutex<Sandbox>> = LazyLock::new(|| Mutex::new(start(&["checkout"])));

fn broken() -> std::sync::MutexGuard<'static, Sandbox> {
    BROKEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[test]
fn a_lost_api_server_is_waited_for() {
    let (sandbox, state) = (broken(), state());
    let before = levels(&sandbox, CHECKOUT);
    let mut session = Running::start(on(&sandbox, state.path(), [CHECKOUT, "--for", "3s"]));
    session.until("following its log");
    sandbox.set_down(true).unwrap();
    session.until("not put back yet");
    sandbox.set_down(false).unwrap();
    let (code, _, said) = session.end();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(levels(&sandbox, CHECKOUT), before);
    // It does not come back in time: then it is said what to run, and the levels are not forgotten.
    let mut session = Running::start(on(&sandbox, state.path(), [CHECKOUT, "--restore-timeout", "2s"]));
    session.until("following its log");
    sandbox.set_down(true).unwrap();
    session.signal("-INT");
    let (code, _, said) = session.end();
    sandbox.set_down(false).unwrap();
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("NOT restored") && said.contains(&format!("debug-log --off {CHECKOUT} -n shop")), "{said}");
    assert_eq!(verbose(&levels(&sandbox, CHECKOUT)), CONNECTION_LOGGERS);
    on(&sandbox, state.path(), ["--off", CHECKOUT]).run().exits(0);
    assert_eq!(levels(&sandbox, CHECKOUT), before);
}

#[test]
fn the_impatient_can_leave() {
    let (sandbox, state) = (broken(), state());
    let before = levels(&sandbox, CHECKOUT);
    let mut session = Running::start(on(&sandbox, state.path(), [CHECKOUT]));
    session.until("following its log");
    sandbox.set_down(true).unwrap();
    session.signal("-INT");
    // Two signals at once would be one wish.
    let pause = || std::thread::sleep(Duration::from_millis(600));
    session.until("not put back yet");
    pause();
    session.signal("-INT");
    session.until("once more");
    pause();
    session.signal("-INT");
    let begun = Instant::now();
    let (code, _, said) = session.end();
    sandbox.set_down(false).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(20), "{said}");
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("NOT restored: given up"), "{said}");
    on(&sandbox, state.path(), ["--off", "--all"]).run().exits(0);
    assert_eq!(levels(&sandbox, CHECKOUT), before);
}

#[test]
fn one_failing_pod_does_not_stop_the_others() {
    let (sandbox, state) = (broken(), state());
    let before = levels(&sandbox, CHECKOUT);
    sandbox.fault("shop", OTHER_CHECKOUT, Fault::PortClosed);
    let mut session = Running::start(on(&sandbox, state.path(), ["deploy/checkout", "--for", "2s", "-o", "json"]));
    session.until("following its log");
    assert_eq!(verbose(&levels(&sandbox, CHECKOUT)), CONNECTION_LOGGERS);
    let (code, out, said) = session.end();
    sandbox.fault("shop", OTHER_CHECKOUT, None);
    assert_eq!(code, Some(3), "{said}");
    let report: Value = serde_json::from_str(&out).unwrap();
    let states: Vec<_> = report["proxies"].as_array().unwrap().iter().map(|proxy| &proxy["state"]).collect();
    assert_eq!(states, ["restored", "failed"]);
    assert_eq!(levels(&sandbox, CHECKOUT), before);
    assert_eq!(levels(&sandbox, OTHER_CHECKOUT), before);
    // The tunnel breaks in the middle of the session: its levels are not lost.
    let mut session = Running::start(on(&sandbox, state.path(), [CHECKOUT]));
    session.until("following its log");
    sandbox.fault("shop", CHECKOUT, Fault::Reset);
    session.signal("-TERM");
    session.until("not put back yet");
    sandbox.fault("shop", CHECKOUT, None);
    let (code, _, said) = session.end();
    assert_eq!(code, Some(143), "{said}");
    assert_eq!(levels(&sandbox, CHECKOUT), before);
    // Without the right to open tunnels nothing is changed, nor without the right to read logs.
    for context in ["viewer", "least"] {
        on(&sandbox, state.path(), [CHECKOUT, "--context", context]).run().exits(4);
        assert_eq!(files(state.path()).len(), 0, "{context}");
        assert_eq!(levels(&sandbox, CHECKOUT), before, "{context}");
    }
}

#[test]
fn a_restarted_proxy_is_not_restored() {
    let (sandbox, state) = (broken(), state());
    let before = levels(&sandbox, CHECKOUT);
    let mut pod = sandbox.get("pods", "shop", CHECKOUT).unwrap();
    pod["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    on(&sandbox, state.path(), ["--on", CHECKOUT]).run().exits(0);
    let mut restarted = pod.clone();
    for list in ["containerStatuses", "initContainerStatuses"] {
        for status in restarted["status"][list].as_array_mut().into_iter().flatten() {
            status["restartCount"] = json!(1);
        }
    }
    sandbox.apply(restarted).unwrap();
    let report = on(&sandbox, state.path(), ["--off", "--all", "-o", "json"]).json();
    assert_eq!(report["proxies"][0]["state"], "replaced", "{report}");
    assert_eq!(files(state.path()).len(), 0);
    // By name, the proxy that is there now is put back to what it was started with.
    let report = on(&sandbox, state.path(), ["--off", CHECKOUT, "-o", "json"]).json();
    assert_eq!(report["proxies"][0]["basis"], "start-up-arguments", "{report}");
    sandbox.apply(pod).unwrap();
    assert_eq!(levels(&sandbox, CHECKOUT), before);
}

#[test]
fn raw_prints_the_log_and_a_closed_pipe_ends_it() {
    let (sandbox, state) = (broken(), state());
    let before = levels(&sandbox, CHECKOUT);
    let mut session = Running::start(on(&sandbox, state.path(), [CHECKOUT, "--raw", "--for", "4s"]));
    session.until("following its log");
    let _ = sandbox.drive_client();
    let (code, out, said) = session.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(out.contains("\tconnect timeout\t") || out.contains("connect timeout"), "{out}");
    assert!(out.contains(mesh::LOSSY_CLUSTER), "{out}");
    // Whoever reads has enough: the session ends at its next word, and the levels are put back.
    let mut plugin = on(&sandbox, state.path(), [CHECKOUT, "--raw", "--for", "60s"]);
    let mut child = plugin.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    drop(child.stdout.take());
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(40), "it does not end");
        let _ = sandbox.drive_client();
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(levels(&sandbox, CHECKOUT), before);
}

#[test]
fn diagnose_reads_and_follows_running_proxies() {
    let (sandbox, state) = (broken(), state());
    on(&sandbox, state.path(), ["--on", CHECKOUT]).run().exits(0);
    let _ = sandbox.drive_client();
    on(&sandbox, state.path(), ["--off", CHECKOUT]).run().exits(0);
    let diagnose = |args: &[&str]| plugin(std::iter::once("diagnose").chain(args.iter().copied())).on(&sandbox);
    let run = diagnose(&[CHECKOUT, "--since", "1h", "-o", "json"]).run().exits(1);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    let found = &report["diagnoses"][0];
    assert_eq!((&found["cause"], &found["cluster"]), (&json!("connect_timeout"), &json!(mesh::LOSSY_CLUSTER)));
    assert_eq!((&found["connectTimeout"], &found["connectTimeoutInferred"]), (&json!("1s"), &json!(false)));
    // Logs can be read by who may open no tunnel; then the timeout is concluded from the wait.
    let run = diagnose(&[CHECKOUT, "-o", "json", "--context", "viewer"]).run().exits(1);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report["diagnoses"][0]["connectTimeoutInferred"], true);
    diagnose(&[CHECKOUT, "--context", "least"]).run().exits(4).complains("pods/log");
    diagnose(&[CHECKOUT, "--context", "least", "-f"]).run().exits(4).complains("pods/log");
    diagnose(&[CHECKOUT, "--previous"]).run().exits(4).complains("was not restarted");
    diagnose(&["deploy/nothing"]).run().exits(4).complains("no deployment");
    let mut following = Running::start(diagnose(&[CHECKOUT, "--tail", "0", "-f", "-o", "ndjson"]));
    following.until("following its log");
    // The log is asked for right after that is said.
    std::thread::sleep(Duration::from_secs(1));
    let _ = sandbox.drive_client();
    std::thread::sleep(Duration::from_secs(2));
    following.signal("-INT");
    let (code, out, said) = following.end();
    assert_eq!(code, Some(130), "{said}");
    let event: Value = serde_json::from_str(out.lines().next().expect("a failure")).unwrap();
    assert_eq!((&event["cause"], &event["occurrences"]), (&json!("connect_timeout"), &json!(1)));
}

/// The schema that is published; `MESHAUDIT_BLESS=1` writes it anew.
#[test]
fn what_is_written_fits_the_published_schema() {
    let validator = crate::published_schema("debug-log");
    let (sandbox, state) = (broken(), state());
    for args in [&["--show", "--all-loggers"][..], &["--dry-run"], &["--on"], &["--off"], &["--for", "1s"]] {
        let args = args.iter().copied().chain([CHECKOUT, "-o", "json"]);
        let report = on(&sandbox, state.path(), args).json();
        let errors: Vec<_> = validator.iter_errors(&report).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?} in {report}");
        assert_eq!(report["proxies"][0]["proxy"], format!("shop/{CHECKOUT}"));
    }
}
