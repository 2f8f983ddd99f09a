//! Bad input gets a message that names the thing and the next step, and the documented exit code.

use std::fs;

use serde_json::json;

use crate::fake::Fake;
use crate::{incident, on_incident, plugin};

#[test]
fn nothing_that_is_asked_for_is_there() {
    for (args, code, says) in [
        (&["timeouts", "-n", "nowhere"][..], 4, "\"nowhere\""),
        (&["timeouts", "--context", "nowhere"], 4, "sandbox"),
        (&["timeouts", "nobody", "-n", "shop"], 4, "\"nobody\" in namespace \"shop\""),
        (&["timeouts", "deploy/nobody", "-n", "shop"], 4, "deployment \"nobody\""),
        (&["timeouts", "nobody.nowhere"], 4, "nowhere"),
        (&["timeouts", "cm/web"], 2, "\"cm\""),
        (&["timeouts", "pod/Web!"], 2, "\"Web!\""),
        (&["timeouts", "-A", "-l", "app=nobody"], 4, "no pods are selected"),
        (&["timeouts", "-A", "-l", "a in b"], 4, "selector"),
        (&["timeouts", "-n", "shop", "-l", "app=reviews"], 4, "no istio-proxy container"),
        (&["timeouts", "-A", "web"], 2, "--all-namespaces"),
        (&["timeouts", "--from", "/nowhere.json"], 4, "/nowhere.json"),
        (&["timeouts", "--admin-url", "ftp://127.0.0.1"], 2, "ftp"),
        (&["timeouts", "--admin-url", "http://127.0.0.1:1"], 4, "127.0.0.1:1"),
        (&["timeouts", "--admin-url", "http://127.0.0.1:1/config_dump"], 2, "without a path"),
        (&["timeouts", "--timeout-below", "soon"], 2, "soon"),
        (&["timeouts", "-o", "xml"], 2, "xml"),
        (&["explain", "MA999"], 2, "MA999"),
        (&["nonsense"], 2, "nonsense"),
    ] {
        let run = on_incident_plain(args).run();
        assert_eq!(run.code, code, "{args:?}: {}", run.stderr);
        assert!(run.stderr.contains(says), "{args:?}: {}", run.stderr);
        assert_eq!(run.stdout, "", "{args:?}");
        if code == 4 {
            assert!(run.stderr.contains("hint: "), "{args:?}: {}", run.stderr);
        }
    }
}

fn on_incident_plain(args: &[&str]) -> crate::Plugin {
    plugin(args).on(incident())
}

#[test]
fn a_kubeconfig_that_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let broken = directory.path().join("kubeconfig");
    fs::write(&broken, "clusters: [").unwrap();
    let args = |path: &str| plugin(["timeouts", "-A", "--kubeconfig", path]).run().exits(4);
    args("/nowhere/kubeconfig").complains("/nowhere/kubeconfig").complains("hint: ");
    args(broken.to_str().unwrap()).complains("kubeconfig").complains("hint: ");
    let empty = directory.path().join("empty");
    fs::write(&empty, "apiVersion: v1\nkind: Config\n").unwrap();
    args(empty.to_str().unwrap()).complains("no current context");
    // None anywhere, and no pod's service account.
    let run = plugin(["timeouts"]).env("KUBECONFIG", "").env("HOME", directory.path()).run().exits(4);
    run.complains("no kubeconfig was found").complains("--from");
}

#[test]
fn a_cluster_that_cannot_be_reached() {
    for (context, says) in [("gone", "cannot be reached"), ("untrusted", "certificate"), ("badtoken", "credentials")] {
        let run = on_incident(["timeouts", "-A", "--context", context]).run().exits(4);
        assert!(run.stderr.contains(says) && run.stderr.contains("hint: "), "{context}: {}", run.stderr);
    }
}

#[test]
fn permissions_that_are_missing() {
    let run = on_incident(["timeouts", "-A", "--context", "nolist"]).run().exits(4);
    run.complains("cannot list resource \"pods\"").complains("rbac-and-safety");
    // May list, but not open a tunnel: nothing could be read, and each verb that is missing is named.
    let run = on_incident(["timeouts", "-n", "shop", "--context", "viewer"]).run().exits(4);
    run.complains("pods/portforward").complains("get and create");
    let run = on_incident(["timeouts", "-n", "shop", "--context", "getonly"]).run().exits(4);
    run.complains("cannot create resource \"pods/portforward\"");
}

#[test]
fn a_credential_plugin_that_fails_keeps_its_secrets() {
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = directory.path().join("kubeconfig");
    let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": incident().server_url(), "insecure-skip-tls-verify": true}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "sh",
            "args": ["-c", "echo my-secret-token; exit 3"], "interactiveMode": "Never",
            "env": [{"name": "PASSWORD", "value": "my-secret-password"}]}}}]});
    fs::write(&kubeconfig, config.to_string()).unwrap();
    let run = plugin(["timeouts", "-A", "-vv", "--kubeconfig", kubeconfig.to_str().unwrap()]).run().exits(4);
    assert!(!run.stderr.contains("my-secret"), "{}", run.stderr);
    run.complains("credential plugin").complains("exit status: 3");
}

#[test]
fn dumps_that_are_none() {
    let cases: [(&str, &[u8], &str); 9] = [
        ("empty", b"", "ends early"),
        ("html", b"<html>503</html>", "not JSON"),
        ("truncated", br#"{"configs": [{"@type": "x.ClustersConfigDump", "dynamic_active_cl"#, "ends early"),
        ("other", br#"{"items": []}"#, "neither a config dump"),
        ("scalar", b"[1, 2]", "byte 1"),
        ("timeout", br#"[{"name": "outbound|80||a", "connectTimeout": "soon"}]"#, "connect_timeout"),
        ("nameless", br#"{"configs": [{"cluster": {"type": "EDS"}}]}"#, "without a name"),
        ("report", br#"{"apiVersion": "meshaudit/v1", "kind": "TimeoutAudit"}"#, "TimeoutAudit"),
        ("utf16", b"\xff\xfe<\0h\0t\0m\0l\0>\0", "HTML"),
    ];
    for (name, bytes, says) in cases {
        let run = plugin(["timeouts", "--from", "-"]).stdin(bytes).run();
        assert_eq!(run.code, 4, "{name}: {}", run.stderr);
        assert!(run.stderr.contains(says), "{name}: {}", run.stderr);
        assert!(run.stderr.contains("stdin"), "{name}: {}", run.stderr);
    }
}

#[test]
fn nothing_hostile_reaches_the_terminal() {
    let name = "outbound|80||evil\u{1b}]0;pwned\u{7}\u{9b}31m\u{202e}gpj.exe\r\n";
    let dump = json!([{"name": name, "connectTimeout": "1s", "type": "\u{1b}[2J"}]).to_string();
    for format in ["table", "wide", "json", "yaml", "ndjson"] {
        let run = plugin(["timeouts", "--from", "-", "-o", format]).stdin(dump.clone()).run().exits(1);
        for c in ['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}', '\r'] {
            assert!(!run.stdout.contains(c) && !run.stderr.contains(c), "{format}: {c:?} in {:?}", run.stdout);
        }
    }
    let run = plugin(["clusters", "--from", "-"]).stdin(dump).run().exits(0);
    assert!(!run.stdout.contains('\u{1b}') && run.stdout.contains("\\x1b"), "{:?}", run.stdout);
    let run = plugin(["timeouts", "--from", "/no\u{1b}[31mwhere"]).run().exits(4);
    assert!(!run.stderr.contains('\u{1b}'), "{:?}", run.stderr);
    // What a script has in a variable may come from anywhere.
    for args in [&["timeouts", "-o", BAD][..], &[BAD], &["debug-log", "--level", BAD, "web"], &["explain", BAD]] {
        shows_nothing_hostile(args, &plugin(args).run());
    }
}

const BAD: &str = "x\u{1b}]0;pwned\u{7}\u{9b}31m\u{202e}\u{200b}\u{2066}\u{feff}\u{85}\u{2028}\u{e0041}y\r\nz";

#[track_caller]
fn shows_nothing_hostile(args: &[&str], run: &crate::Run) {
    let shown = format!("{}{}", run.stdout, run.stderr);
    let hostile: Vec<char> =
        BAD.chars().filter(|c| !c.is_ascii_graphic() && *c != '\n' && shown.contains(*c)).collect();
    assert!(hostile.is_empty(), "{args:?}: {hostile:?} in {shown:?}");
}

/// An API server, istiod's pods and a kubelet whose every text would do something to a terminal.
#[test]
fn nothing_hostile_of_a_cluster_reaches_the_terminal() {
    let pod = |name: &str| {
        json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, "namespace": "shop", "uid": name,
                "labels": {"istio.io/rev": BAD, "app": BAD}, "annotations": {"istio.io/rev": BAD}},
            "spec": {"nodeName": BAD, "containers": [{"name": "istio-proxy", "image": BAD, "args": ["proxy", "sidecar"]}]},
            "status": {"phase": "Running", "reason": BAD, "message": BAD,
                "containerStatuses": [{"name": "istio-proxy", "restartCount": 3, "state": {"running": {}},
                    "lastState": {"terminated": {"reason": BAD, "message": BAD}}}]}})
    };
    let waiting = json!({"waiting": {"reason": BAD, "message": BAD}});
    let mut crashed = pod("web-2");
    crashed["status"]["containerStatuses"][0]["state"] = waiting;
    let pods = json!({"kind": "PodList", "metadata": {}, "items": [pod("web-1"), crashed, pod(BAD)]});
    let status = json!({"kind": "Status", "reason": BAD, "message": BAD, "details": {"name": BAD, "kind": BAD}});
    let fake = Fake::start(move |line| match line.split(' ').nth(1).unwrap_or_default() {
        path if path.contains("/pods?") => (200, "application/json", pods.to_string()),
        path if path.ends_with("/pods/web-1") => (200, "application/json", pod("web-1").to_string()),
        path if path.contains("/log?") => (500, "text/plain", BAD.to_owned()),
        _ => (403, "application/json", status.to_string()),
    });
    let directory = tempfile::tempdir().unwrap();
    let kubeconfig = directory.path().join("kubeconfig");
    std::fs::write(&kubeconfig, fake.kubeconfig("fake")).unwrap();
    for args in [
        &["timeouts", "-A"][..],
        &["timeouts", "-A", "-v"],
        &["timeouts", "-A", "-o", "json"],
        &["timeouts", "web-1"],
        &["clusters", "web-1"],
        &["version"],
        &["version", "-o", "json"],
        &["resets", "-A"],
        &["diagnose", "web-1"],
        &["fix", "-A"],
        &["verify", "-A", "--expect", "10s"],
        &["incident", "-A"],
        &["debug-log", "--show", "web-1"],
        &["debug-log", "--on", "web-1"],
        &["debug-log", "--off", "web-1"],
    ] {
        let mut command = plugin(args);
        command.command.args(["-vv", "--timeout", "20s", "--request-timeout", "5s"]).current_dir(directory.path());
        let run = command.env("KUBECONFIG", &kubeconfig).env("XDG_STATE_HOME", directory.path()).run();
        assert!(!run.stderr.is_empty() || !run.stdout.is_empty(), "{args:?}");
        shows_nothing_hostile(args, &run);
    }
}
