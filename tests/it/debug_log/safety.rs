//! What goes wrong between a session's beginning and its end, and must not leave a proxy at debug, nor say that it was
//! put back when it was not.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use meshaudit_sandbox::Sandbox;
use meshaudit_sandbox::faults::Fault;
use serde_json::{Value, json};

use super::{CONNECTION_LOGGERS, Running, files, levels, on, start, state, verbose};
use crate::fake::Fake;
use crate::{Plugin, plugin};

const CART: &str = "cart-6c4bb9f7d8-5tqvn";
const WEB: &str = "web-84d7c5b9f6-wz7hd";
const ORDERS: &str = "orders-5f7c9d8b64-k9d2r";

/// A sandbox of this test's own, whose cluster is none of the other sandboxes'.
fn own(workload: &str, cluster: &str) -> Sandbox {
    let sandbox = start(&[workload]);
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kube-system", "uid": cluster}});
    sandbox.apply(namespace).unwrap();
    sandbox
}

fn with_kubeconfig<'a>(kubeconfig: &Path, state: &Path, args: impl IntoIterator<Item = &'a str>) -> Plugin {
    plugin(std::iter::once("debug-log").chain(args)).env("KUBECONFIG", kubeconfig).env("XDG_STATE_HOME", state)
}

/// The pod as it is, to be changed and applied.
fn pod(sandbox: &Sandbox, name: &str) -> Value {
    let mut pod = sandbox.get("pods", "shop", name).unwrap();
    pod["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    pod
}

pub(super) fn set(sandbox: &Sandbox, pod: &str, query: &str) {
    use std::io::{Read, Write};
    let url = sandbox.admin_url("shop", pod).unwrap();
    let address = url.trim_start_matches("http://");
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(stream, "POST /logging?{query} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
}

#[test]
fn another_cluster_proves_nothing() {
    let (here, there) = (own("cart", "here"), own("orders", "there"));
    let state = state();
    let before = levels(&here, CART);
    // One path, which leads elsewhere later on, under the same context name.
    let kubeconfig = state.path().join("kubeconfig");
    fs::copy(here.kubeconfig(), &kubeconfig).unwrap();
    with_kubeconfig(&kubeconfig, state.path(), ["--on", CART]).run().exits(0);
    fs::copy(there.kubeconfig(), &kubeconfig).unwrap();
    let stays = |args: &[&str]| {
        let run = with_kubeconfig(&kubeconfig, state.path(), args.iter().copied()).run().exits(3);
        assert!(run.stdout.contains("NOT restored") && run.stdout.contains("another cluster"), "{run:?}");
        assert_eq!(verbose(&levels(&here, CART)), CONNECTION_LOGGERS);
        assert_eq!(files(state.path()).len(), 1);
    };
    stays(&["--off", "--all"]);
    // There it has a pod of that name, which is another one.
    let mut other = pod(&there, ORDERS);
    other["metadata"] =
        json!({"name": CART, "namespace": "shop", "uid": "another", "labels": other["metadata"]["labels"]});
    there.apply(other).unwrap();
    stays(&["--off", "--all"]);
    // A gateway that answers everything with a page is no word of the API server's.
    let gateway = Fake::start(|_| (404, "text/html", "<html><title>404 Not Found</title></html>".to_owned()));
    fs::write(&kubeconfig, gateway.kubeconfig("sandbox")).unwrap();
    let run = with_kubeconfig(&kubeconfig, state.path(), ["--off", "--all", "--restore-timeout", "1s"]).run().exits(3);
    assert!(run.stdout.contains("NOT restored"), "{run:?}");
    assert_eq!(files(state.path()).len(), 1);
    fs::copy(here.kubeconfig(), &kubeconfig).unwrap();
    with_kubeconfig(&kubeconfig, state.path(), ["--off", "--all"]).run().exits(0);
    assert_eq!(levels(&here, CART), before);
    assert_eq!(files(state.path()).len(), 0);
    // A lease is given back where it was taken, whatever $KUBECONFIG is by then.
    with_kubeconfig(&kubeconfig, state.path(), ["--on", CART]).run().exits(0);
    with_kubeconfig(there.kubeconfig(), state.path(), ["--off", "--all"]).run().exits(0);
    assert_eq!(levels(&here, CART), before);
    // And a pod that is gone from its own cluster is gone.
    with_kubeconfig(&kubeconfig, state.path(), ["--on", CART]).run().exits(0);
    assert!(here.delete("pods", "shop", CART));
    let report = with_kubeconfig(&kubeconfig, state.path(), ["--off", "--all", "-o", "json"]).json();
    assert_eq!(report["proxies"][0]["state"], "gone", "{report}");
    assert_eq!(files(state.path()).len(), 0);
}

#[test]
fn a_phase_that_proves_nothing_keeps_the_lease() {
    let (sandbox, state) = (own("web", "phases"), state());
    let before = levels(&sandbox, WEB);
    for phase in ["Unknown", "Pending"] {
        on(&sandbox, state.path(), ["--on", WEB]).run().exits(0);
        let mut cut_off = pod(&sandbox, WEB);
        cut_off["status"]["phase"] = json!(phase);
        sandbox.apply(cut_off).unwrap();
        sandbox.fault("shop", WEB, Fault::PortClosed);
        let run = on(&sandbox, state.path(), ["--off", "--all", "--restore-timeout", "1s"]).run().exits(3);
        assert!(run.stdout.contains("does not prove"), "{run:?}");
        assert_eq!(files(state.path()).len(), 1, "{phase}");
        assert_eq!(verbose(&levels(&sandbox, WEB)), CONNECTION_LOGGERS);
        // The node comes back with the same Envoy.
        sandbox.fault("shop", WEB, None);
        let mut back = pod(&sandbox, WEB);
        back["status"]["phase"] = json!("Running");
        sandbox.apply(back).unwrap();
        on(&sandbox, state.path(), ["--off", "--all"]).run().exits(0);
        assert_eq!(levels(&sandbox, WEB), before);
    }
    for phase in ["Succeeded", "Failed"] {
        on(&sandbox, state.path(), ["--on", WEB]).run().exits(0);
        let mut ended = pod(&sandbox, WEB);
        ended["status"]["phase"] = json!(phase);
        sandbox.apply(ended).unwrap();
        let report = on(&sandbox, state.path(), ["--off", "--all", "-o", "json"]).json();
        assert_eq!(report["proxies"][0]["state"], "gone", "{report}");
        assert_eq!(files(state.path()).len(), 0, "{phase}");
        let mut back = pod(&sandbox, WEB);
        back["status"]["phase"] = json!("Running");
        sandbox.apply(back).unwrap();
        on(&sandbox, state.path(), ["--off", WEB]).run().exits(0);
        assert_eq!(levels(&sandbox, WEB), before);
    }
}

#[test]
fn a_session_that_begins_at_debug_does_not_end_there() {
    let (sandbox, mine, yours) = (own("cart", "two"), state(), state());
    let before = levels(&sandbox, CART);
    let mut first = Running::start(on(&sandbox, mine.path(), [CART, "--for", "60s"]));
    first.until("following its log");
    let mut second = Running::start(on(&sandbox, yours.path(), [CART, "--for", "60s", "-o", "json"]));
    second.until("following its log");
    first.signal("-INT");
    let (code, _, said) = first.end();
    assert_eq!(code, Some(130), "{said}");
    // The one that goes on says that nothing comes any more.
    second.until("somebody else has put");
    second.signal("-INT");
    let (code, out, said) = second.end();
    assert_eq!(code, Some(130), "{said}");
    let report: Value = serde_json::from_str(&out).unwrap();
    let item = &report["proxies"][0];
    assert_eq!(item["assumed"].as_array().unwrap().len(), CONNECTION_LOGGERS.len(), "{item}");
    assert!(item["messages"].to_string().contains("somebody else had put 7 loggers back"), "{item}");
    assert_eq!(levels(&sandbox, CART), before);
    // The other order: the one that found debug ends first.
    let mut first = Running::start(on(&sandbox, mine.path(), [CART]));
    first.until("following its log");
    let mut second = Running::start(on(&sandbox, yours.path(), [CART]));
    second.until("following its log");
    second.signal("-INT");
    let (_, _, said) = second.end();
    assert!(said.contains("every level is as it was (from the state file), but for client"), "{said}");
    first.signal("-INT");
    first.end();
    assert_eq!(levels(&sandbox, CART), before);
    assert_eq!(files(mine.path()).len() + files(yours.path()).len(), 0);
}

#[test]
fn off_and_on_take_turns() {
    let (sandbox, state) = (own("web", "turns"), state());
    let before = levels(&sandbox, WEB);
    // The proxy is slow, and --off comes in the middle of --on.
    sandbox.fault("shop", WEB, Fault::Slow { latency_ms: 400, bytes_per_second: 1 << 20 });
    let turning_on = std::thread::scope(|scope| {
        let turning_on = scope.spawn(|| on(&sandbox, state.path(), ["--on", WEB]).run());
        std::thread::sleep(Duration::from_millis(700));
        on(&sandbox, state.path(), ["--off", WEB]).run().exits(0);
        turning_on.join().unwrap()
    });
    sandbox.fault("shop", WEB, None);
    turning_on.exits(0);
    let held = !files(state.path()).is_empty();
    assert_eq!(levels(&sandbox, WEB) != before, held, "debug without a state file, or the other way round");
    on(&sandbox, state.path(), ["--off", "--all"]).run().exits(0);
    assert_eq!(levels(&sandbox, WEB), before);
    // A session that runs keeps its lease, whoever wants it.
    let mut session = Running::start(on(&sandbox, state.path(), [WEB]));
    session.until("following its log");
    for args in [&["--off", WEB][..], &["--off", "--all"]] {
        let run = on(&sandbox, state.path(), args.iter().copied()).run().exits(4);
        assert!(run.stderr.contains("another debug-log") && run.stderr.contains("a session, since"), "{run:?}");
        assert_eq!(files(state.path()).len(), 1);
    }
    session.signal("-KILL");
    session.end();
    on(&sandbox, state.path(), ["--off", "--all"]).run().exits(0);
    assert_eq!(levels(&sandbox, WEB), before);
}

#[test]
fn off_changes_nothing_that_nobody_set_to_debug() {
    let (sandbox, state) = (own("cart", "nothing"), state());
    set(&sandbox, CART, "misc=warning");
    let before = levels(&sandbox, CART);
    let report = on(&sandbox, state.path(), ["--off", CART, "-o", "json"]).json();
    assert_eq!(report["proxies"][0]["state"], "unchanged", "{report}");
    assert_eq!(levels(&sandbox, CART), before);
    // `--level info` of somebody else, of which nothing is known here: it cannot be told from one that was meant.
    let mut info = before.clone();
    for (name, level) in &mut info {
        if name == "pool" || name == "router" {
            set(&sandbox, CART, &format!("{name}=info"));
            "info".clone_into(level);
        }
    }
    let report = on(&sandbox, state.path(), ["--off", CART, "-o", "json"]).json();
    assert_eq!(report["proxies"][0]["state"], "unchanged", "{report}");
    assert_eq!(levels(&sandbox, CART), info);
    for name in ["pool", "router"] {
        set(&sandbox, CART, &format!("{name}=warning"));
    }
    // What was at another level before comes back to it, and stays there.
    on(&sandbox, state.path(), ["--on", CART, "--level", "debug"]).run().exits(0);
    for _ in 0..2 {
        on(&sandbox, state.path(), ["--off", CART]).run().exits(0);
        assert_eq!(levels(&sandbox, CART), before);
    }
    // Without a state file it is the proxy that says what it was started with, whatever its pod says.
    let mut wrong = pod(&sandbox, CART);
    wrong["metadata"]["annotations"]["sidecar.istio.io/logLevel"] = json!("trace");
    for list in ["containers", "initContainers"] {
        for container in wrong["spec"][list].as_array_mut().into_iter().flatten() {
            container["args"] = json!(["proxy", "sidecar", "--proxyLogLevel=trace"]);
        }
    }
    sandbox.apply(wrong).unwrap();
    set(&sandbox, CART, "pool=debug");
    let run = on(&sandbox, state.path(), ["--off", CART]).run().exits(0);
    assert!(run.stdout.contains("pool debug -> warning") && !run.stdout.contains("as it was"), "{run:?}");
    assert_eq!(levels(&sandbox, CART), before);
}

#[test]
fn what_is_not_a_state_file_blocks_nothing() {
    let (sandbox, state) = (own("web", "broken"), state());
    let before = levels(&sandbox, WEB);
    on(&sandbox, state.path(), ["--on", WEB]).run().exits(0);
    let [file] = &files(state.path())[..] else { panic!("one state file") };
    let cut = || {
        let text = fs::read_to_string(file).unwrap();
        fs::write(file, &text[..text.len() / 2]).unwrap();
    };
    cut();
    let run = on(&sandbox, state.path(), ["--off", "--all"]).run().exits(3).complains("is no state file");
    assert!(run.stderr.contains("debug-log --off POD") && !run.stderr.contains("Nothing was left on"), "{run:?}");
    // By name it is put back, and then the file has no more use.
    let run = on(&sandbox, state.path(), ["--off", WEB]).run().exits(0);
    assert!(run.stdout.contains("it was removed"), "{run:?}");
    assert_eq!(levels(&sandbox, WEB), before);
    on(&sandbox, state.path(), ["--off", "--all"]).run().exits(0).complains("Nothing was left on");
    // Nor does one keep the pod from being looked at.
    on(&sandbox, state.path(), ["--on", WEB]).run().exits(0);
    cut();
    let run = on(&sandbox, state.path(), ["--on", WEB]).run().exits(0);
    assert!(run.stdout.contains("it was moved to"), "{run:?}");
    on(&sandbox, state.path(), ["--off", WEB]).run().exits(0);
    assert_eq!(levels(&sandbox, WEB), before);
    // One whose levels are none would have each request refused, whatever else is in it.
    on(&sandbox, state.path(), ["--on", WEB]).run().exits(0);
    let text = fs::read_to_string(file).unwrap();
    fs::write(file, text.replacen("\"warning\"", "\"warn\"", 1)).unwrap();
    on(&sandbox, state.path(), ["--off", "--all"]).run().exits(3).complains("is no level");
    on(&sandbox, state.path(), ["--off", WEB]).run().exits(0);
    assert_eq!(levels(&sandbox, WEB), before);
    // A copy under another name is nobody's, and does not hide that the pod's own is still to be given back.
    on(&sandbox, state.path(), ["--on", WEB]).run().exits(0);
    let copy = file.with_file_name("copy.json");
    fs::rename(file, &copy).unwrap();
    let run = on(&sandbox, state.path(), ["--off", "--all"]).run().exits(3).complains("another pod than its name says");
    assert!(!run.stdout.contains("unchanged"), "{run:?}");
    fs::remove_file(&copy).unwrap();
    // What stands in the place of the lock keeps nobody from putting levels back.
    let lock = file.with_extension("lock");
    assert!(std::process::Command::new("mkfifo").arg(&lock).status().unwrap().success());
    on(&sandbox, state.path(), ["--off", WEB]).run().exits(0);
    assert_eq!(levels(&sandbox, WEB), before);
    on(&sandbox, state.path(), ["--on", WEB]).run().exits(4).complains("no plain file");
    fs::remove_file(&lock).unwrap();
}

#[test]
fn a_state_file_that_cannot_be_removed_is_no_failure_of_the_levels() {
    let (sandbox, state) = (own("cart", "stuck"), state());
    let before = levels(&sandbox, CART);
    let mut session = Running::start(on(&sandbox, state.path(), [CART]));
    session.until("following its log");
    let [file] = &files(state.path())[..] else { panic!("one state file") };
    fs::remove_file(file).unwrap();
    fs::create_dir(file).unwrap();
    session.signal("-INT");
    let (code, _, said) = session.end();
    assert_eq!(code, Some(130), "{said}");
    assert!(said.contains("restored: every level is as it was") && said.contains("remove it by hand"), "{said}");
    assert!(!said.contains("NOT restored"), "{said}");
    assert_eq!(levels(&sandbox, CART), before);
}

/// A disk that is full, by a limit of no bytes for every file that is written.
#[test]
fn a_full_disk_keeps_no_level() {
    let (sandbox, state) = (own("cart", "full"), state());
    let before = levels(&sandbox, CART);
    let full = |args: &[&str]| {
        let mut plugin = on(&sandbox, state.path(), args.iter().copied());
        let (program, own) = (plugin.command.get_program().to_owned(), plugin.command.get_args());
        let mut shell = std::process::Command::new("sh");
        // 25 is SIGXFSZ: a write fails, and ends nobody.
        shell.args(["-c", "trap '' 25; ulimit -f 0; exec \"$0\" \"$@\""]).arg(program).args(own);
        for (name, value) in plugin.command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        plugin.command = shell;
        plugin.run()
    };
    full(&["--on", CART]).exits(4).complains("nothing was changed");
    assert_eq!((levels(&sandbox, CART), files(state.path()).len()), (before.clone(), 0));
    on(&sandbox, state.path(), ["--on", CART]).run().exits(0);
    assert_eq!(verbose(&levels(&sandbox, CART)).len(), CONNECTION_LOGGERS.len());
    // What was kept before stays, and a second `--on` takes nothing away.
    full(&["--on", "--for", "1h", CART]).exits(4);
    assert_eq!(files(state.path()).len(), 1);
    full(&["--off", CART]).exits(0);
    assert_eq!((levels(&sandbox, CART), files(state.path()).len()), (before.clone(), 0));
    on(&sandbox, state.path(), ["--on", CART]).run().exits(0);
    full(&["--off", "--all"]).exits(0);
    assert_eq!((levels(&sandbox, CART), files(state.path()).len()), (before, 0));
}

#[test]
fn state_files_follow_no_links() {
    let (sandbox, state) = (own("cart", "links"), state());
    let before = levels(&sandbox, CART);
    let directory = state.path().join("kubectl-meshaudit/debug-log");
    fs::create_dir_all(&directory).unwrap();
    for own in [directory.as_path(), directory.parent().unwrap()] {
        fs::set_permissions(own, fs::Permissions::from_mode(0o700)).unwrap();
    }
    let uid = pod(&sandbox, CART)["metadata"]["uid"].as_str().unwrap().to_owned();
    let victim = state.path().join("victim");
    fs::write(&victim, "mine").unwrap();
    let at = |ending: &str| -> PathBuf { directory.join(format!("{uid}.{ending}")) };
    symlink(&victim, at("part")).unwrap();
    symlink(&victim, at("json")).unwrap();
    on(&sandbox, state.path(), ["--on", CART]).run().exits(0);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
    assert!(!fs::symlink_metadata(at("json")).unwrap().is_symlink());
    assert_eq!(fs::metadata(at("json")).unwrap().permissions().mode() & 0o777, 0o600);
    on(&sandbox, state.path(), ["--off", CART]).run().exits(0);
    // A lock that is a link locks something else.
    symlink(&victim, at("lock")).unwrap();
    on(&sandbox, state.path(), ["--on", CART]).run().exits(4).complains("no plain file");
    fs::remove_file(at("lock")).unwrap();
    // A FIFO is never waited for.
    assert!(std::process::Command::new("mkfifo").arg(directory.join("x.json")).status().unwrap().success());
    on(&sandbox, state.path(), ["--off", "--all"]).run().exits(3).complains("no plain file");
    fs::remove_file(directory.join("x.json")).unwrap();
    // Where others can write, nothing is kept, and so nothing changed.
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).unwrap();
    on(&sandbox, state.path(), ["--on", CART]).run().exits(4).complains("others may write to it");
    assert_eq!(levels(&sandbox, CART), before);
    // What is put back without a state file needs none.
    set(&sandbox, CART, "pool=debug");
    on(&sandbox, state.path(), ["--off", CART]).run().exits(0);
    assert_eq!(levels(&sandbox, CART), before);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
}

#[test]
fn what_was_left_on_is_mentioned_and_ends() {
    let (sandbox, state) = (own("web", "left"), state());
    let before = levels(&sandbox, WEB);
    on(&sandbox, state.path(), ["--on", WEB]).run().exits(0);
    let timeouts =
        |args: &[&str]| plugin(["timeouts", WEB].iter().chain(args)).on(&sandbox).env("XDG_STATE_HOME", state.path());
    timeouts(&[]).run().complains("1 proxy was left at debug levels by debug-log since");
    let finding = |report: &Value| {
        let found = report["findings"].as_array().unwrap().iter().find(|finding| finding["code"] == "MA013").cloned();
        found.map(|finding| finding["message"].as_str().unwrap().to_owned())
    };
    let said = finding(&timeouts(&["-o", "json"]).json()).expect("MA013");
    assert!(said.contains("set by debug-log at"), "{said}");
    on(&sandbox, state.path(), ["--show", WEB]).run().exits(0).complains("1 proxy was left at debug");
    on(&sandbox, state.path(), ["--off", WEB]).run().exits(0);
    // With an end: whatever command comes next puts it back.
    let run = on(&sandbox, state.path(), ["--on", WEB, "--for", "1s"]).run().exits(0);
    assert!(run.stdout.contains("until "), "{run:?}");
    assert_eq!(verbose(&levels(&sandbox, WEB)), CONNECTION_LOGGERS);
    std::thread::sleep(Duration::from_millis(1200));
    let run = timeouts(&["-o", "json"]).run();
    assert!(run.stderr.contains("its debug levels were to end at") && run.stderr.contains("restored"), "{run:?}");
    assert_eq!(finding(&serde_json::from_str(&run.stdout).unwrap()), None);
    assert_eq!(levels(&sandbox, WEB), before);
    assert_eq!(files(state.path()).len(), 0);
}

#[test]
fn asks_before_it_changes_many() {
    let (sandbox, state) = (super::SHARED.kubeconfig(), state());
    let run = |args: &[&str]| with_kubeconfig(sandbox, state.path(), args.iter().copied()).run();
    // An unset variable selects nothing, and no more than it should.
    run(&["--on", "-l", ""]).exits(2).complains("no target is named");
    run(&["--on", "-n", "", "-l", ""]).exits(2).complains("no target is named");
    run(&["--on", "-A"]).exits(2);
    assert_eq!(files(state.path()).len(), 0);
}

/// A kubelet that has lost a container's log answers 200 with a line of its own, at once.
#[test]
fn a_log_that_gives_nothing_is_not_asked_for_all_the_time() {
    let fake = Fake::start(|request| {
        let path = request.split(' ').nth(1).unwrap_or_default();
        if path.contains("/log?") {
            return (200, "text/plain", "unable to retrieve container logs for containerd://1b7f\n".to_owned());
        }
        if path.starts_with("/api/v1/namespaces/shop/pods/web-1") && !path.contains("portforward") {
            return (200, "application/json", crate::fake::pod().to_string());
        }
        (404, "text/plain", "404 page not found".to_owned())
    });
    let directory = state();
    let kubeconfig = directory.path().join("kubeconfig");
    fs::write(&kubeconfig, fake.kubeconfig("fake")).unwrap();
    let mut plugin = plugin(["diagnose", "web-1", "-f", "--tail", "0"]);
    plugin.command.env("KUBECONFIG", &kubeconfig);
    let following = Running::start(plugin);
    let begun = Instant::now();
    while fake.times("/log?").len() < 3 && begun.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(100));
    }
    following.signal("-INT");
    following.end();
    let times = fake.times("/log?");
    assert!(times.len() >= 3, "it is asked for again");
    // Each time, the pod and then the log: two requests in no less than two seconds.
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_millis(1900)), "{times:?}");
}
