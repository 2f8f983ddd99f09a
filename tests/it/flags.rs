//! kubectl's flags and habits, with kubectl itself as the judge.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use meshaudit_sandbox::{Sandbox, canned, users, wheel};

use crate::fake::Fake;
use crate::{Run, plugin};

static KUBECTL: LazyLock<PathBuf> = LazyLock::new(|| wheel::KUBECTL.program().expect("kubectl"));

static SANDBOX: LazyLock<Sandbox> = LazyLock::new(|| Sandbox::start(canned::mesh(20, 2)).expect("a mesh"));

/// What kubectl's list of pods is, and whether it was allowed, with the same flags and the same kubeconfig.
fn kubectl(flags: &[&str], kubeconfig: &str) -> (bool, usize) {
    let output = Command::new(&*KUBECTL)
        .args(["get", "pods", "-o", "name", "--cache-dir"])
        .arg(SANDBOX.directory().join("cache"))
        .args(flags)
        .env("KUBECONFIG", kubeconfig)
        .env("HOME", crate::home())
        .output()
        .expect("kubectl runs");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).lines().count())
}

fn ours(before: &[&str], flags: &[&str], kubeconfig: &str) -> (Run, usize) {
    let rest = ["timeouts", "-o", "json", "--no-evidence", "--exit-zero", "--request-timeout", "5s"];
    let run = plugin([before, &rest[..], flags].concat()).env("KUBECONFIG", kubeconfig).run();
    let audit: serde_json::Value = serde_json::from_str(&run.stdout).unwrap_or_default();
    let count = audit["coverage"]["selected"].as_u64().unwrap_or_default();
    (run, usize::try_from(count).unwrap())
}

#[test]
fn flags_mean_what_they_mean_to_kubectl() {
    let sandbox = &*SANDBOX;
    let config = sandbox.kubeconfig().to_str().unwrap().to_owned();
    let text = std::fs::read_to_string(&config).unwrap();
    let server = text.lines().find_map(|line| line.trim().strip_prefix("server: ")).unwrap().to_owned();
    let authority = sandbox.directory().join("ca.crt");
    let data = text.lines().find_map(|line| line.trim().strip_prefix("certificate-authority-data: ")).unwrap();
    std::fs::write(&authority, base64(data)).unwrap();
    let (authority, token) = (authority.to_str().unwrap(), users::token("admin"));
    let list = format!("/nonexistent/one::{config}:/nonexistent/two");
    let no_file = "/nonexistent/config";
    let rows: Vec<(Vec<&str>, &str)> = vec![
        (vec!["-n", "team-1"], &config),
        (vec!["--namespace=team-1"], &config),
        (vec!["-A"], &config),
        (vec!["-A", "-n", "team-1"], &config),
        (vec!["-A=true"], &config),
        (vec!["-A=false", "-n", "team-2"], &config),
        (vec!["--all-namespaces=1"], &config),
        (vec!["-A", "--context", ""], &config),
        (vec!["-n", "team-1", "--user", "", "--cluster="], &config),
        (vec!["-A"], &list),
        (vec!["-A", "--user", "nope"], &config),
        (vec!["-A", "--cluster", "nope"], &config),
        (vec!["-A", "--context", "nope"], &config),
        (vec!["-A", "--context", "untrusted"], &config),
        (vec!["-A", "--context", "untrusted", "--insecure-skip-tls-verify"], &config),
        (vec!["-A", "--context", "untrusted", "--insecure-skip-tls-verify=true"], &config),
        (vec!["-A", "--context", "untrusted", "--insecure-skip-tls-verify=false"], &config),
        (vec!["-A", "--context", "untrusted", "--certificate-authority", authority], &config),
        (vec!["-A", "--context", "gone", "--server", &server], &config),
        (vec!["-A", "--context", "gone", "-s", &server], &config),
        (vec!["-A", "--context", "badtoken", "--token", &token], &config),
        (vec!["-A", "--token", "wrong", "--context", "badtoken"], &config),
        (vec!["-A", "--tls-server-name", "wrong.example.com"], &config),
        (vec!["-A", "--tls-server-name", "localhost"], &config),
        (vec!["-A", "--proxy-url", "http://127.0.0.1:1"], &config),
        (vec!["-A", "--proxy-url", ""], &config),
        (vec!["-A", "--disable-compression"], &config),
        (vec!["-A", "--as", "nobody"], &config),
        (vec!["-A", "--as", "viewer", "--as-uid", "42"], &config),
        (vec!["-A", "--as", "viewer", "--as-group", "g", "--as-user-extra", "reason=test"], &config),
        (vec!["-A", "-s", &server, "--token", &token, "--certificate-authority", authority], no_file),
        (vec!["-A", "-s", &server, "--token", &token, "--insecure-skip-tls-verify"], no_file),
        (vec!["-A", "-s", &server, "--token", &token], no_file),
        (vec!["-A", "--client-certificate", "/nonexistent/crt", "--client-key", "/nonexistent/key"], &config),
        (vec!["-A", "--request-timeout", "5s"], &config),
        (vec!["-A", "--request-timeout=0"], &config),
        (vec!["-A", "-l", "app=load"], &config),
        (vec!["-A", "-l", ""], &config),
        (vec!["-A", "--field-selector", "metadata.namespace=team-3"], &config),
    ];
    every_flag_of_kubectls_is_there(rows.iter().flat_map(|(flags, _)| flags));
    for (flags, kubeconfig) in &rows {
        let (allowed, count) = kubectl(flags, kubeconfig);
        let (run, selected) = ours(&[], flags, kubeconfig);
        assert_eq!(selected > 0, allowed && count > 0, "{flags:?}: kubectl {allowed} {count}, ours {run:?}");
        // Who may list may still not open tunnels; what is selected is the same.
        assert_eq!(selected, if allowed { count } else { 0 }, "{flags:?}: {run:?}");
    }
    // kubectl takes no flags of a plugin's before its name; they are the same there.
    assert_eq!(ours(&["-n", "team-1"], &[], &config).1, ours(&[], &["-n", "team-1"], &config).1);
    assert_eq!(ours(&["--context", "sandbox", "-A"], &[], &config).1, 20);
}

/// kubectl's own flags that are not ours, and why.
const NOT_OURS: [(&str, &str); 12] = [
    ("--cache-dir", "nothing is discovered, and so nothing is cached"),
    ("--kuberc", "aliases of kubectl's own commands"),
    ("--kubeconfig", "tried in every other test; here the environment names it"),
    ("--log-flush-frequency", "no log is buffered"),
    ("--match-server-version", "no version is assumed"),
    ("--password", "basic authentication is gone since Kubernetes 1.19"),
    ("--profile", "of kubectl itself"),
    ("--profile-output", "of kubectl itself"),
    ("--username", "basic authentication is gone since Kubernetes 1.19"),
    ("--v", "tried below"),
    ("--vmodule", "of klog"),
    ("--warnings-as-errors", "of answers to writes"),
];

/// Holds that each of `kubectl options` is tried, or has its reason.
fn every_flag_of_kubectls_is_there<'a>(tried: impl Iterator<Item = &'a &'a str>) {
    let output = Command::new(&*KUBECTL).arg("options").output().expect("kubectl runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let names = |line: &str| {
        let line = line.trim_start();
        line.starts_with('-').then(|| line.split(['=', ':']).next().unwrap_or_default().to_owned())
    };
    let options: Vec<String> = text.lines().filter_map(names).collect();
    assert!(options.len() > 20, "{text}");
    let tried: Vec<&str> = tried.map(|flag| flag.split('=').next().unwrap_or(flag)).collect();
    for option in options {
        let forms: Vec<&str> = option.split(", ").collect();
        let known = |form: &&str| tried.contains(form) || NOT_OURS.iter().any(|(name, _)| name == form);
        assert!(forms.iter().any(known), "{option} of kubectl's is neither tried nor said to be left out");
    }
}

#[test]
fn an_empty_value_is_none() {
    let audited = |args: &[&str]| {
        let audit = plugin([&["timeouts", "-o", "json", "--no-evidence"], args].concat()).on(&SANDBOX).json();
        audit["coverage"]["selected"].as_u64().unwrap()
    };
    let own = audited(&["--context", "sandbox", "-n", "team-1"]);
    assert!(own > 0 && own < 20);
    // The context's namespace has no pods in this mesh: what an empty one means must not be all of them.
    for args in [["-n", ""], ["--namespace", ""]] {
        let run = plugin([&["timeouts"], &args[..]].concat()).on(&SANDBOX).run().exits(4);
        assert!(run.stderr.contains("shop") || run.stderr.contains("namespace"), "{args:?}: {}", run.stderr);
    }
    assert_eq!(audited(&["-n", "team-1", "--context", "", "--kubeconfig", "", "-l", "", "--field-selector="]), own);
    assert_eq!(audited(&["-n", "team-1", "--revision", "", "--user=", "--cluster", "", "--as", ""]), own);
    let own = plugin(["debug-log", "-n", "", "-l", "app", "--dry-run"]).on(crate::incident()).run();
    let said = format!("{}{}", own.stdout, own.stderr);
    assert!(said.contains("shop/cart-") && !said.contains("billing/"), "an empty namespace is not every one: {said}");
    let all = plugin(["debug-log", "-A", "-l", "app", "--for", "1s"]).on(crate::incident()).run().exits(2);
    assert!(all.stderr.contains("namespaces"), "{}", all.stderr);
}

fn base64(data: &str) -> Vec<u8> {
    use std::io::Write as _;
    let mut child = Command::new("base64")
        .arg("-d")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(data.as_bytes()).unwrap();
    child.wait_with_output().unwrap().stdout
}

#[test]
fn a_role_with_either_verb_of_port_forwards_reads() {
    for context in ["createonly", "least"] {
        let audit = plugin(["timeouts", "-A", "-o", "json", "--context", context]).on(&SANDBOX).json();
        assert_eq!(audit["coverage"]["audited"], 20, "{context}: {}", audit["coverage"]);
    }
}

#[test]
fn requests_are_shown_one_a_line_and_nothing_secret() {
    let run = plugin(["timeouts", "-n", "team-1", "-vv", "--context", "sandbox-token"]).on(&SANDBOX).run();
    let line = |words: &[&str]| run.stderr.lines().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(line(&["GET /api/v1/namespaces/team-1/pods", "200,", "bytes in", "ms"]), "{}", run.stderr);
    assert!(
        line(&["team-1/load-", "GET /config_dump?resource=dynamic_active_clusters", "200,", "ms"]),
        "{}",
        run.stderr
    );
    assert!(!run.stderr.contains("hyper") && !run.stderr.contains(&users::token("admin")), "{}", run.stderr);
    let quiet = plugin(["timeouts", "-n", "team-1", "-v=5"]).on(&SANDBOX).run();
    assert!(!quiet.stderr.contains("GET /"), "{}", quiet.stderr);
}

#[test]
fn what_was_probably_meant_is_said() {
    let audit = |args: &[&str]| plugin([&["timeouts"], args].concat()).on(crate::incident()).run();
    audit(&["checkout"]).exits(4).complains("did you mean deploy/checkout?");
    audit(&["deploy/chekout"]).exits(4).complains("did you mean deploy/checkout?");
    audit(&["svc/check-out"]).exits(4).complains("did you mean svc/checkout?");
    audit(&["checkout-7d9f8b6c5d-m8qz2"]).exits(4).complains("did you mean pod/checkout-7d9f8b6c5d-m8q2z?");
    assert!(!audit(&["deploy/nothing-like-it"]).exits(4).stderr.contains("did you mean"));
    audit(&["deploy", "checkout"]).exits(2).complains("did you mean deploy/checkout?");
    audit(&["nothing-at-all"]).exits(4).complains("there is no pod \"nothing-at-all\"");
}

/// The API server's own audit log says who asked, whatever is asked for: lists, logs, and port-forwards in both ways.
#[test]
fn every_request_says_who_asks() {
    let fake = Fake::start(|request| {
        let path = request.split(' ').nth(1).unwrap_or_default();
        if path.ends_with("/pods/web-1") {
            return (200, "application/json", crate::fake::pod().to_string());
        }
        if path.contains("/pods?") {
            let list = serde_json::json!({"kind": "PodList", "metadata": {}, "items": [crate::fake::pod()]});
            return (200, "application/json", list.to_string());
        }
        (404, "text/plain", "404 page not found".to_owned())
    });
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = directory.path().join("kubeconfig");
    std::fs::write(&kubeconfig, fake.kubeconfig("fake")).unwrap();
    for args in [
        &["timeouts", "-A"][..],
        &["clusters", "web-1"],
        &["diagnose", "web-1"],
        &["resets", "web-1"],
        &["debug-log", "--on", "web-1"],
        &["version"],
    ] {
        let state = directory.path();
        plugin(args).env("KUBECONFIG", &kubeconfig).env("XDG_STATE_HOME", state).run();
    }
    for asked in ["/pods?", "/pods/web-1", "/portforward", "/log?", "/apis"] {
        assert!(!fake.times(asked).is_empty(), "{asked} was not asked for");
    }
    let own = concat!("kubectl-meshaudit/", env!("CARGO_PKG_VERSION"));
    assert_eq!(fake.agents(), std::collections::BTreeSet::from([own.to_owned()]));
}
