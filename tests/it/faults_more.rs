//! Further faults, below the level of answers: TLS, connections that end, lists that lead in circles, credential plugins
//! that hang, and what a cluster says that becomes a path.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use meshaudit_sandbox::faults::{ApiAnswer, Fault};
use meshaudit_sandbox::odd_tls::{OddTls, Oddity};
use meshaudit_sandbox::{Sandbox, canned};
use serde_json::{Value, json};

use crate::fake::Fake;
use crate::faults::error_of;
use crate::{Plugin, Run, faults_are_as_documented, plugin};

/// The plugin with a kubeconfig of its own.
fn with_kubeconfig(text: &str, args: &[&str]) -> (Plugin, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kubeconfig");
    fs::write(&path, text).unwrap();
    let plugin = plugin(args).env("KUBECONFIG", &path).env("XDG_STATE_HOME", directory.path());
    (plugin, directory)
}

fn timed(plugin: Plugin, longest: Duration) -> Run {
    let started = Instant::now();
    let run = plugin.run();
    assert!(started.elapsed() < longest, "{:?}: {run:?}", started.elapsed());
    run
}

fn kubeconfig(server: &str, cluster: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters:\n- name: c\n  cluster: {{server: \"{server}\"{cluster}}}\n\
         users:\n- name: u\n  user: {user}\ncontexts:\n- name: c\n  context: {{cluster: c, user: u}}\n"
    )
}

#[test]
fn tls_that_is_not_as_it_should_be_is_named() {
    let mut table = Vec::new();
    for (oddity, words) in [
        (Oddity::HalfHandshake, "within"),
        (Oddity::CutHandshake, "cannot be reached"),
        (Oddity::NoTls, "cannot be reached"),
        (Oddity::Expired, "certificate expired"),
        (Oddity::NotYet, "not valid yet"),
        (Oddity::OtherName, "not valid for name"),
        (Oddity::UnknownAuthority, "cannot be reached"),
        (Oddity::OwnAuthorityOfOtherName, "its certificate is an authority's own"),
        (Oddity::OwnAuthorityExpired, "certificate expired"),
        (Oddity::OwnAuthorityUnknown, "its certificate is an authority's own"),
        (Oddity::OwnAuthority, "no pods are selected"),
        (Oddity::None, "no pods are selected"),
    ] {
        let server = OddTls::start(oddity).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let authority = directory.path().join("ca.pem");
        fs::write(&authority, &server.authority).unwrap();
        let cluster = format!(", certificate-authority: {}", authority.display());
        let text = kubeconfig(&server.url(), &cluster, "{token: t}");
        let args = ["timeouts", "-A", "--request-timeout", "3s", "--timeout", "20s"];
        let (plugin, _kept) = with_kubeconfig(&text, &args);
        let run = timed(plugin, Duration::from_secs(25)).exits(4);
        assert!(run.stderr.contains(words), "{oddity:?}: {words:?} is not in: {}", run.stderr);
        if !matches!(oddity, Oddity::None | Oddity::OwnAuthority) {
            table.push((format!("{oddity:?}"), error_of(&run)));
        }
    }
    faults_are_as_documented("tls", &table);
}

/// A token that leads to one that was seen before, by whatever way round.
#[test]
fn lists_that_lead_in_circles_end() {
    for length in [1, 2, 3, 7] {
        let fake = Fake::start(move |line| {
            let at: u32 = line.split("continue=t").nth(1).and_then(|rest| rest.parse().ok()).unwrap_or_default();
            let page =
                json!({"kind": "PodList", "metadata": {"continue": format!("t{}", at % length + 1)}, "items": []});
            (200, "application/json", page.to_string())
        });
        let (plugin, _kept) = with_kubeconfig(&fake.kubeconfig("c"), &["timeouts", "-A", "--timeout", "60s"]);
        timed(plugin, Duration::from_secs(30)).exits(4).complains("does not end");
        assert_eq!(fake.times("/pods?").len(), length as usize + 1);
    }
}

#[test]
fn connections_that_end_in_the_middle_are_named() {
    let list = br#"{"kind":"PodList","apiVersion":"v1","metadata":{},"items":[{"metadata":{"name":"a"#;
    let sized = |length: usize, body: &[u8]| {
        [format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes(), body].concat()
    };
    let rows: Vec<(&str, Vec<u8>, &str)> = vec![
        ("closed before anything", Vec::new(), "cannot be reached"),
        ("closed in the first line", b"HTTP/1.1 200 O".to_vec(), "cannot be reached"),
        ("closed in the headers", b"HTTP/1.1 200 OK\r\nContent-Le".to_vec(), "cannot be reached"),
        ("closed in the list", sized(5000, list), "broke off after"),
        ("a list that is cut", sized(list.len(), list), "ends early"),
        (
            "closed in a chunk",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"kin".to_vec(),
            "broke off after",
        ),
        (
            "chunks that are none",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_vec(),
            "broke off after",
        ),
        (
            "gzip that is none",
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8bxx".to_vec(),
            "broke off",
        ),
        ("another protocol", b"SSH-2.0-OpenSSH_9.6\r\n".to_vec(), "cannot be reached"),
        (
            "a header of a mebibyte",
            [b"HTTP/1.1 200 OK\r\nX-Long: ", &vec![b'y'; 1 << 20][..], b"\r\n\r\n"].concat(),
            "cannot be reached",
        ),
        ("UTF-16", sized(4, b"\xff\xfe{}"), "UTF-16"),
        ("no UTF-8", sized(3, b"\xff\x00\x01"), "not JSON"),
    ];
    let mut table = Vec::new();
    for (shown, bytes, words) in rows {
        let fake = Fake::raw(move |_| bytes.clone());
        let args = ["timeouts", "-A", "--request-timeout", "5s", "--timeout", "20s"];
        let (plugin, _kept) = with_kubeconfig(&fake.kubeconfig("c"), &args);
        let run = timed(plugin, Duration::from_secs(25)).exits(4);
        assert!(run.stderr.contains(words), "{shown}: {words:?} is not in: {}", run.stderr);
        table.push((shown.to_owned(), error_of(&run)));
    }
    faults_are_as_documented("connections", &table);
}

#[test]
fn a_tunnel_that_closes_at_any_stage_is_named() {
    let sandbox = Sandbox::start(canned::mesh(14, 3)).unwrap();
    let audit = plugin(["timeouts", "-A", "-o", "json", "--no-evidence"]).on(&sandbox).json();
    let names: Vec<String> = audit["proxySets"]
        .as_object()
        .unwrap()
        .values()
        .flat_map(|set| set.as_array().unwrap().clone())
        .map(|name| name.as_str().unwrap().to_owned())
        .collect();
    let raw = |answer: &str| Fault::Raw { answer: answer.to_owned(), repeat: String::new() };
    let rows = [
        ("closed after the upgrade", Fault::Closed { frames: 0 }, "unreachable"),
        ("closed after a frame", Fault::Closed { frames: 1 }, "unreachable"),
        ("closed after both ports were said", Fault::Closed { frames: 2 }, "unreachable"),
        ("closed when it was asked", raw(""), "unreachable"),
        ("closed in the headers", raw("HTTP/1.1 200 OK\r\nContent-"), "unreachable"),
        ("closed in the body", raw("HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{\"configs\": ["), "truncated"),
        ("closed after 400 bytes", Fault::Truncated { bytes: 400 }, "truncated"),
        ("a dump of a gibibyte", Fault::Huge { bytes: 1 << 30 }, "too-large"),
        ("403", Fault::Forbidden, "forbidden"),
        ("404: the pod has gone", Fault::Gone, "gone"),
        ("nothing listens", Fault::PortClosed, "unreachable"),
        ("reset", Fault::Reset, "unreachable"),
        ("503 for ever", Fault::Refuse { status: 503, times: u32::MAX, retry_after: None }, "unreachable"),
    ];
    let mut table = Vec::new();
    let mut names: Vec<String> = names.into_iter().collect::<std::collections::BTreeSet<_>>().into_iter().collect();
    names.truncate(rows.len());
    for (name, (_, fault, _)) in names.iter().zip(&rows) {
        let (namespace, pod) = name.split_once('/').unwrap();
        sandbox.fault(namespace, pod, fault.clone());
    }
    let args = ["timeouts", "-A", "-o", "json", "--no-evidence", "--request-timeout", "60s", "--timeout", "120s"];
    let run = timed(plugin(args).on(&sandbox), Duration::from_secs(125));
    let audit: Value = serde_json::from_str(&run.stdout).unwrap();
    for (name, (what, fault, cause)) in names.iter().zip(&rows) {
        let failed = audit["coverage"]["failed"].as_array().unwrap().iter().find(|failed| failed["proxy"] == **name);
        let failed = failed.unwrap_or_else(|| panic!("{fault:?}: {name} is not named: {}", audit["coverage"]));
        assert_eq!(failed["cause"], *cause, "{fault:?}: {failed}");
        let message = failed["message"].as_str().unwrap();
        assert!(!message.contains("operation was canceled") && message.len() < 300, "{fault:?}: {message}");
        // Where the server has closed before it read all that came, the kernel resets.
        let closed = what.starts_with("closed");
        let reset = if closed { "Connection reset by peer (os error 104)" } else { "\0" };
        let message = message.replace(reset, "the connection was closed");
        table.push(((*what).to_owned(), format!("`{cause}`: {message}")));
    }
    assert_eq!(audit["coverage"]["audited"], 14 - rows.len());
    faults_are_as_documented("tunnels", &table);
}

#[test]
fn a_server_that_is_busy_is_asked_again_when_it_says() {
    let sandbox = Sandbox::start(canned::mesh(2, 2)).unwrap();
    let busy = |status| ApiAnswer {
        times: 2,
        headers: vec![("retry-after", "1".to_owned())],
        ..ApiAnswer::new("list", "pods", status, "slow down")
    };
    for status in [429, 503, 500] {
        sandbox.answer(busy(status));
        let started = Instant::now();
        let audit = plugin(["timeouts", "-A", "-o", "json", "--no-evidence"]).on(&sandbox).json();
        assert_eq!(audit["coverage"]["audited"], 2, "{status}");
        assert!(started.elapsed() >= Duration::from_secs(2), "{status}: {:?}", started.elapsed());
    }
    // So is a port-forward.
    let name = "load-6d8f7c9b54-00001";
    let namespace =
        ["team-0", "team-1"].into_iter().find(|namespace| sandbox.get("pods", namespace, name).is_some()).unwrap();
    sandbox.fault(namespace, name, Fault::Refuse { status: 429, times: 2, retry_after: Some(1) });
    let started = Instant::now();
    let audit = plugin(["timeouts", "-A", "-o", "json", "--no-evidence"]).on(&sandbox).json();
    assert_eq!(audit["coverage"]["audited"], 2, "{}", audit["coverage"]);
    assert!(started.elapsed() >= Duration::from_secs(2));
}

#[test]
fn what_a_pod_says_never_becomes_a_path() {
    let hostile = "x/../../../kube-system/secrets/foo?watch=true&";
    for revision in [hostile, "a b", "..", "%2e%2e%2fsecrets", "secrets\u{7f}"] {
        let pod = json!({"metadata": {"name": "web-1", "namespace": "shop", "uid": "u",
                "annotations": {"istio.io/rev": revision}, "labels": {"istio.io/rev": revision}},
            "spec": {"containers": [{"name": "istio-proxy", "args": ["proxy", "sidecar"], "env": [{"name": "ISTIO_META_REVISION", "value": revision}]}]},
            "status": {"phase": "Running", "containerStatuses": [{"name": "istio-proxy", "restartCount": 0, "state": {"running": {}}}]}});
        let groups = json!({"kind": "APIGroupList", "groups": [
            {"name": "networking.istio.io", "preferredVersion": {"groupVersion": "networking.istio.io/../../api/v1/secrets?x="}},
            {"name": "install.istio.io", "preferredVersion": {"groupVersion": "../v1/namespaces/kube-system/secrets"}}]});
        let fake = Fake::start(move |line| match line.split(' ').nth(1).unwrap_or_default() {
            "/apis" => (200, "application/json", groups.to_string()),
            path if path.starts_with("/api/v1/pods?") => {
                (200, "application/json", json!({"kind": "PodList", "metadata": {}, "items": [pod]}).to_string())
            }
            _ => (404, "application/json", r#"{"kind":"Status","reason":"NotFound","message":"none"}"#.to_owned()),
        });
        let args = ["timeouts", "-A", "--request-timeout", "5s", "--timeout", "20s"];
        let (plugin, _kept) = with_kubeconfig(&fake.kubeconfig("c"), &args);
        let run = timed(plugin, Duration::from_secs(25));
        assert!(!fake.times("deployments").is_empty(), "{revision}: {run:?}");
        for part in ["secrets", "watch", "..", "%2e", "%2E", "%2F"] {
            assert_eq!(fake.times(part).len(), 0, "{revision}: {part} was asked for");
        }
        assert!(!run.stderr.contains("is no path"), "{run:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_credential_plugin_that_hangs_is_not_left_behind() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let (script, pids) = (directory.path().join("plug"), directory.path().join("pids"));
    let text = format!("#!/bin/sh\nsleep 300 &\necho $$ $! > {}\nwait\n", pids.display());
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    let user = format!(
        "{{exec: {{apiVersion: client.authentication.k8s.io/v1, command: {}, interactiveMode: Never}}}}",
        script.display()
    );
    let text = kubeconfig("https://127.0.0.1:1", "", &user);
    let (plugin, _kept) = with_kubeconfig(&text, &["timeouts", "-A", "--timeout", "3s"]);
    timed(plugin, Duration::from_secs(15)).exits(4).complains("did not end within");
    let pids = fs::read_to_string(&pids).unwrap();
    assert_eq!(pids.split_whitespace().count(), 2, "{pids}");
    for pid in pids.split_whitespace() {
        let ends = (0..50).any(|_| {
            std::thread::sleep(Duration::from_millis(50));
            // A process that has ended and waits for its parent is no more than a number.
            let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            !fs::exists(format!("/proc/{pid}")).unwrap() || state.contains(") Z ")
        });
        assert!(ends || !fs::exists("/proc/self").unwrap(), "{pid} goes on");
    }
}

/// Files that have no end, or that nobody writes to, in the places of a kubeconfig and of what it names.
#[cfg(unix)]
#[test]
fn pipes_and_devices_end_with_the_command() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let waits = plugin(["timeouts", "-A", "--timeout", "2s"]).env("KUBECONFIG", &pipe);
    timed(waits, Duration::from_secs(60)).exits(4).complains("2s");
    let endless = plugin(["timeouts", "-A", "--timeout", "60s"]).env("KUBECONFIG", "/dev/zero");
    timed(endless, Duration::from_secs(60)).exits(4).complains("larger than 16 MiB");
    for path in [pipe.to_str().unwrap(), "/dev/zero", "/"] {
        for field in ["tokenFile", "client-key", "client-certificate"] {
            let user = format!("{{{field}: {path}, client-key-data: AAAA}}");
            let text = kubeconfig("https://127.0.0.1:1", "", &user);
            let (plugin, _kept) = with_kubeconfig(&text, &["timeouts", "-A", "--timeout", "20s"]);
            timed(plugin, Duration::from_secs(60)).exits(4).complains("it is no plain file");
        }
        let text = kubeconfig("https://127.0.0.1:1", &format!(", certificate-authority: {path}"), "{token: t}");
        let (plugin, _kept) = with_kubeconfig(&text, &["timeouts", "-A", "--timeout", "20s"]);
        timed(plugin, Duration::from_secs(60)).exits(4).complains("it is no plain file");
    }
}

/// Credential plugins, by what each does, and what is said of it: within the time and the memory of a command, and
/// without a word of what it printed.
#[cfg(unix)]
#[test]
fn credential_plugins_have_bounds() {
    let answer = |status: &str| {
        format!(
            r#"printf '%s\n' '{{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {status}}}'"#
        )
    };
    let aliases = "printf 'a: &a [SECRET]\\n'; p=a; for i in b c d e f g h i j k l m n o p q r s t u v w x y z; do \
                   printf '%s: &%s [*%s,*%s,*%s,*%s,*%s,*%s]\\n' $i $i $p $p $p $p $p $p; p=$i; done";
    let rows: Vec<(&str, String, &str)> = vec![
        ("prints for ever", "yes SECRET".to_owned(), "printed more than"),
        ("prints zeros for ever", "cat /dev/zero".to_owned(), "printed more than"),
        ("prints and complains for ever", "yes SECRET >&2 & yes SECRET".to_owned(), "printed more than"),
        ("complains for ever", "yes SECRET >&2".to_owned(), "did not end within"),
        ("hangs", "sleep 300".to_owned(), "did not end within"),
        ("hangs after its answer", answer(r#"{"token": "SECRET"}"#) + "; sleep 300", "did not end within"),
        ("hangs with its output closed", "exec >&-; sleep 300".to_owned(), "did not end within"),
        ("hears no SIGTERM", "trap '' TERM; while :; do sleep 1; done".to_owned(), "did not end within"),
        ("fails", "echo SECRET; echo SECRET >&2; exit 3".to_owned(), "failed (exit status: 3)"),
        ("is killed", "kill -9 $$".to_owned(), "failed (signal: 9"),
        ("prints nothing", ":".to_owned(), "gave no ExecCredential"),
        ("prints another thing", "echo SECRET".to_owned(), "gave no ExecCredential"),
        ("prints no text", "printf '\\377\\376SECRET'".to_owned(), "gave no ExecCredential"),
        ("prints aliases of aliases", aliases.to_owned(), "gave no ExecCredential"),
        ("prints a deep nest", "head -c 900000 /dev/zero | tr '\\0' '['".to_owned(), "gave no ExecCredential"),
        ("gives nothing", answer("{}"), "neither a token nor"),
        ("gives a token of two lines", answer(r#"{"token": "SECRET\nSECRET"}"#), "cannot be sent in a header"),
        ("gives an odd time", answer(r#"{"token": "SECRET", "expirationTimestamp": "SECRET"}"#), "is no time"),
        (
            "gives an odd key",
            answer(r#"{"clientCertificateData": "SECRET", "clientKeyData": "SECRET"}"#),
            "identity PEM",
        ),
    ];
    let mut table = Vec::new();
    for (what, script, words) in rows {
        let user = json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "sh",
            "args": ["-c", script, "SECRET"], "env": [{"name": "KEY", "value": "SECRET"}], "interactiveMode": "Never"}});
        let text = kubeconfig("https://127.0.0.1:1", "", &user.to_string());
        let (plugin, _kept) = with_kubeconfig(&text, &["timeouts", "-A", "-vv", "--timeout", "3s"]);
        let run = timed(plugin, Duration::from_secs(60)).exits(4);
        assert!(run.stderr.contains(words), "{what}: {words:?} is not in: {}", run.stderr);
        assert!(!run.stderr.contains("SECRET") && !run.stdout.contains("SECRET"), "{what}: {run:?}");
        table.push((what.to_owned(), error_of(&run)));
    }
    faults_are_as_documented("plugins", &table);
}

#[test]
fn commands_mention_what_was_left_on() {
    let fake = Fake::start(|_| {
        (404, "application/json", r#"{"kind":"Status","reason":"NotFound","message":"none"}"#.to_owned())
    });
    for args in
        [&["timeouts"][..], &["clusters", "web-1"], &["diagnose", "web-1"], &["resets", "web-1"], &["fix"], &["verify"]]
    {
        let (plugin, kept) = with_kubeconfig(&fake.kubeconfig("c"), args);
        let directory = kept.path().join("kubectl-meshaudit/debug-log");
        fs::create_dir_all(&directory).unwrap();
        #[cfg(unix)]
        for own in [directory.as_path(), directory.parent().unwrap()] {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(own, fs::Permissions::from_mode(0o700)).unwrap();
        }
        let lease = json!({"apiVersion": "meshaudit/v1", "kind": "DebugLogLease", "context": "c", "namespace": "shop", "pod": "web-9",
            "uid": "0a1b", "restartCount": 0, "adminPort": 15000, "takenAt": "2026-11-23T18:00:00Z", "levels": {"pool": "warning"}, "set": ["pool"]});
        fs::write(directory.join("0a1b.json"), lease.to_string()).unwrap();
        let run = plugin.run();
        assert!(run.stderr.contains("1 proxy was left at debug levels"), "{args:?}: {run:?}");
    }
}

/// Bombs, each small enough for a test; `benches/bombs.py` measures large ones. A process that needs more than half a
/// gigabyte for them is ended by the system.
#[cfg(target_os = "linux")]
#[test]
fn bombs_stay_small() {
    let many = |begin: &str, piece: &str, count: usize, end: &str| [begin, &piece.repeat(count), end].concat();
    let element = r#"{"configs":[{"@type":"x.DynamicCluster","cluster":{"name":"a","x":["#;
    let bombs = [
        many(r#"{"configs":[{"@type":"x.ClustersConfigDump","static_clusters":["#, "{},", 6_000_000, "{}]}]}"),
        many(element, "[],", 2_500_000, "0]}}]}"),
        many(element, "{},", 10_000_000, "0]}}]}"),
        many(
            r#"{"configs":[{"@type":"x.DynamicCluster","cluster":{"name":"a","metadata":{"filter_metadata":{"istio":{"services":["#,
            r#"{"host":"h","name":"n","namespace":"x"},"#,
            500_000,
            r#"{"host":"h","name":"n","namespace":"x"}]}}}}}]}"#,
        ),
        many(
            r#"{"apiVersion":"meshaudit/v1","kind":"MeshSnapshot","snapshot":{"takenAt":"2026-11-23T18:00:00Z","clusters":[],"proxies":[],"failed":[],"skipped":["#,
            r#"{"id":{"namespace":"","name":""},"reason":""},"#,
            2_000_000,
            r#"{"id":{"namespace":"","name":""},"reason":""}]}}"#,
        ),
    ];
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bomb.json");
    for (index, bomb) in bombs.iter().enumerate() {
        fs::write(&path, bomb).unwrap();
        for args in [&["timeouts"][..], &["clusters"], &["clusters", "-o", "json"]] {
            stays_within(900_000, args, &path, index);
        }
    }
    // The latest line first, so that all is held; each line costs more than the byte that it has.
    let dated = |second: u32| {
        format!("2026-11-02T10:00:{second:02}.000000Z\tdebug\tenvoy pool\t[C1] connect timeout\tthread=1\n")
    };
    let latest_first: String = (0..300).map(|line| dated(59 - line / 6)).collect();
    fs::write(&path, latest_first + &"x\n".repeat(12_000_000)).unwrap();
    stays_within(550_000, &["diagnose"], &path, bombs.len());
}

/// Runs a command on a file with so many KiB of addresses, of which threads take none for themselves.
fn stays_within(limit: u32, args: &[&str], path: &Path, index: usize) {
    let output = std::process::Command::new("sh")
        .args(["-c", &format!("ulimit -v {limit}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_kubectl-meshaudit")])
        .args(args)
        .arg("--from")
        .arg(path)
        .env("MALLOC_ARENA_MAX", "1")
        .env("TOKIO_WORKER_THREADS", "2")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code().is_some() && !said.contains("memory allocation"), "{index}: {args:?}: {said}");
}
