//! No secret is shown: a marked one is put into every place where a kubeconfig, a URL or the environment can hold one,
//! each is broken in several ways, and the mark is looked for in everything that comes out.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use meshaudit_sandbox::{Sandbox, canned};
use serde_json::json;

use crate::fake::Fake;
use crate::plugin;

/// Looks like nothing that a program would say by itself.
const MARK: &str = "zq7SECRETqz";

/// A kubeconfig with this server, these further fields of the cluster, and this user.
fn kubeconfig(server: &str, cluster: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: here\nclusters:\n- name: here\n  cluster:\n    server: {server}\n\
         {cluster}users:\n- name: me\n  user:\n{user}contexts:\n- name: here\n  context:\n    cluster: here\n    user: me\n    \
         namespace: shop\n"
    )
}

/// A credential plugin that prints the mark to stdout and ends with this code.
fn credential_plugin(directory: &Path, name: &str, prints: &str, code: u8) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = directory.join(name);
    fs::write(&path, format!("#!/bin/sh\ncat <<'EOT'\n{prints}\nEOT\nexit {code}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    path.display().to_string()
}

fn exec(command: &str, more: &str) -> String {
    format!(
        "    exec:\n      apiVersion: client.authentication.k8s.io/v1\n      command: {command}\n      args: [--key, {MARK}]\n      \
         env:\n      - {{name: AWS_SECRET_ACCESS_KEY, value: {MARK}}}\n      interactiveMode: Never\n{more}"
    )
}

/// Kubeconfigs with the mark in them, by what is wrong with each.
fn kubeconfigs(directory: &Path, server: &str) -> Vec<(&'static str, String)> {
    let data = BASE64.encode(MARK);
    let user = |text: &str| kubeconfig(server, "", text);
    let https = |text: &str| kubeconfig("https://127.0.0.1:1", "", text);
    let plug = |name, prints: &str, code| exec(&credential_plugin(directory, name, prints, code), "");
    let answer = |status: &str| {
        format!(r#"{{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{status}}}"#)
    };
    let oidc = |more: &str| {
        format!(
            "    auth-provider:\n      name: oidc\n      config:\n        client-id: id\n        client-secret: {MARK}\n        \
             id-token: {MARK}\n        refresh-token: {MARK}\n{more}"
        )
    };
    let file = |name: &str, text: &str| {
        fs::write(directory.join(name), text).unwrap();
        directory.join(name).display().to_string()
    };
    let mut all = vec![
        // Sound, and refused by the server.
        ("token", user(&format!("    token: {MARK}\n"))),
        ("password", user(&format!("    username: me\n    password: {MARK}\n"))),
        // No header can hold these.
        ("token with a line feed", user(&format!("    token: \"{MARK}\\n{MARK}\"\n"))),
        ("token with a control character", user(&format!("    token: \"{MARK}\\u0001\"\n"))),
        // Plugins.
        ("plugin that fails", user(&plug("fails", MARK, 1))),
        ("plugin that answers with something else", user(&plug("odd", MARK, 0))),
        ("plugin whose answer is cut", user(&plug("cut", &answer(&format!(r#"{{"token":"{MARK}"#)), 0))),
        ("plugin without a status", user(&plug("none", &format!(r#"{{"kind":"ExecCredential","x":"{MARK}"}}"#), 0))),
        (
            "plugin with an odd expiry",
            user(&plug("expiry", &answer(&format!(r#"{{"token":"{MARK}","expirationTimestamp":"{MARK}"}}"#)), 0)),
        ),
        (
            "plugin with an odd key",
            https(&plug(
                "key",
                &answer(&format!(r#"{{"clientCertificateData":"{MARK}","clientKeyData":"{MARK}"}}"#)),
                0,
            )),
        ),
        (
            "plugin that complains",
            user(&{
                let path = directory.join("complains");
                let plug = credential_plugin(directory, "complains", "", 0);
                fs::write(path, format!("#!/bin/sh\necho {MARK} >&2\nexit 1\n")).unwrap();
                exec(&plug, "")
            }),
        ),
        ("plugin that wants to ask", user(&exec("cat", "").replace("Never", "Always"))),
        ("plugin with a command line", user(&exec(&format!("\"cat --key={MARK}\""), ""))),
        // Files.
        ("token file", user(&format!("    tokenFile: {}\n", file("token", MARK)))),
        ("token file with lines", user(&format!("    tokenFile: {}\n", file("lines", &format!("{MARK}\n{MARK}\n"))))),
        ("token file that is a device", user("    tokenFile: /dev/zero\n")),
        ("token in the place of its file", user(&format!("    tokenFile: eyJ{MARK}\n"))),
        (
            "files that are no key",
            https(&format!("    client-certificate: {0}\n    client-key: {0}\n", file("key", MARK))),
        ),
        (
            "authority's file that is none",
            kubeconfig(
                "https://127.0.0.1:1",
                &format!("    certificate-authority: {}\n", file("ca", MARK)),
                "    token: t\n",
            ),
        ),
        ("password with a line feed", user(&format!("    username: me\n    password: \"{MARK}\\n{MARK}\"\n"))),
        ("plugin that is sound", user(&plug("sound", &answer(&format!(r#"{{"token":"{MARK}"}}"#)), 0))),
        ("plugin that is not there", user(&exec("no-such-plugin", "      installHint: brew install no-such-plugin\n"))),
        ("plugin without a command", user(&exec("\"\"", ""))),
        // Providers of earlier days.
        ("oidc without an issuer", user(&oidc(""))),
        (
            "oidc with an odd issuer",
            user(&oidc(&format!("        idp-issuer-url: \"http://me:{MARK}@127.0.0.1:1\"\n"))),
        ),
        (
            "gcp with a command",
            user(&format!(
                "    auth-provider:\n      name: gcp\n      config:\n        access-token: {MARK}\n        \
             expiry: {MARK}\n        cmd-path: /bin/false\n        cmd-args: --key {MARK}\n"
            )),
        ),
        (
            "a provider that nobody knows",
            user(&format!("    auth-provider:\n      name: {MARK}\n      config: {{secret: {MARK}}}\n")),
        ),
        // Keys and certificates.
        (
            "key that is no base64",
            https(&format!("    client-certificate-data: {data}\n    client-key-data: \"{MARK}!\"\n")),
        ),
        ("key that is no PEM", https(&format!("    client-certificate-data: {data}\n    client-key-data: {data}\n"))),
        (
            "key with an odd label",
            https(&{
                let pem = BASE64.encode(format!("-----BEGIN {MARK}\nAAAA\n-----END {MARK}-----\n"));
                format!("    client-certificate-data: {pem}\n    client-key-data: {pem}\n")
            }),
        ),
        (
            "key that is no key",
            https(&{
                let pem = |label| BASE64.encode(format!("-----BEGIN {label}-----\n{data}\n-----END {label}-----\n"));
                format!(
                    "    client-certificate-data: {}\n    client-key-data: {}\n",
                    pem("CERTIFICATE"),
                    pem("PRIVATE KEY")
                )
            }),
        ),
        (
            "authority that is no PEM",
            kubeconfig("https://127.0.0.1:1", &format!("    certificate-authority-data: {data}\n"), "    token: t\n"),
        ),
        (
            "authority that is no base64",
            kubeconfig(
                "https://127.0.0.1:1",
                &format!("    certificate-authority-data: \"{MARK}!\"\n"),
                "    token: t\n",
            ),
        ),
        // URLs.
        ("server with a password", kubeconfig(&format!("https://me:{MARK}@127.0.0.1:1"), "", "    token: t\n")),
        ("server that is no URL", kubeconfig(&format!("\"https://me:{MARK}@ 127.0.0.1\""), "", "    token: t\n")),
        (
            "proxy with a password",
            kubeconfig(
                "https://127.0.0.1:1",
                &format!("    proxy-url: http://me:{MARK}@127.0.0.1:1\n"),
                "    token: t\n",
            ),
        ),
        (
            "proxy that is no URL",
            kubeconfig("https://127.0.0.1:1", &format!("    proxy-url: \"http://me:{MARK}@[::1\"\n"), "    token: t\n"),
        ),
        (
            "proxy of another kind",
            kubeconfig(
                "https://127.0.0.1:1",
                &format!("    proxy-url: socks5://me:{MARK}@127.0.0.1:1\n"),
                "    token: t\n",
            ),
        ),
    ];
    // Mistakes in the document, before and after a secret, and secrets where something else should stand.
    let sound = user(&format!("    token: {MARK}\n    client-key-data: {MARK}\n"));
    for (what, text) in [
        ("wrong indentation", sound.replace("    client-key-data", "      client-key-data")),
        ("a line without a colon", sound.replace("contexts:\n", &format!("contexts:\n{MARK}\n"))),
        ("a tab", sound.replace("    token", "\ttoken")),
        ("an open quote", sound.replace("token: ", "token: \"")),
        ("an open bracket", sound.replace("token: ", "token: [")),
        ("a list for a token", sound.replace(&format!("token: {MARK}"), &format!("token: [{MARK}]"))),
        ("a key twice", sound.replace("    client-key-data", "    token")),
        (
            "a secret for a user",
            sound.replace(&format!("    token: {MARK}\n    client-key-data: {MARK}\n"), &format!("    {MARK}\n")),
        ),
        ("a secret for a plugin", sound.replace("token: ", "exec: ")),
        (
            "a secret for a flag",
            sound.replace("    server:", &format!("    insecure-skip-tls-verify: {MARK}\n    server:")),
        ),
        ("a secret for the list of users", sound.replace("users:\n- name: me\n  user:\n", "users:\n")),
        ("an alias that is none", sound.replace("token: ", "token: *")),
        ("a tag that is none", sound.replace("token: ", "token: !")),
        ("not UTF-8", format!("{sound}\u{1}")),
        ("cut short", sound[..sound.find("contexts").unwrap() + 12].to_owned()),
    ] {
        all.push((what, text));
    }
    all
}

/// Everything that a command left behind in a directory.
fn written(directory: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(directory).into_iter().flatten().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            text += &written(&path);
        } else {
            let bytes = fs::read(&path).unwrap_or_default();
            let mut unpacked = String::new();
            if flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut unpacked).is_err() {
                unpacked = String::from_utf8_lossy(&bytes).into_owned();
            }
            text += &unpacked;
        }
    }
    text
}

#[track_caller]
fn holds_no_mark(what: &str, run: &crate::Run, directory: &Path) {
    let place = [("stdout", &run.stdout), ("stderr", &run.stderr), ("a file", &written(directory))];
    for (place, text) in place {
        for mark in [MARK, &BASE64.encode(MARK)] {
            let at = text.find(mark);
            let shown = at.map(|at| text[..at].chars().rev().take(300).collect::<String>());
            let shown = shown.map(|shown| shown.chars().rev().collect::<String>());
            assert_eq!(shown, None, "{what}: {place} shows it");
        }
    }
}

#[test]
fn kubeconfigs_give_nothing_away() {
    let server = Fake::start(|_| {
        (401, "application/json", r#"{"kind":"Status","code":401,"reason":"Unauthorized"}"#.to_owned())
    });
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kubeconfig");
    for (what, text) in kubeconfigs(directory.path(), &server.url()) {
        fs::write(&path, text).unwrap();
        for args in [&["timeouts"][..], &["debug-log", "--on", "web-1"], &["snapshot", "out"]] {
            let kept = tempfile::tempdir().unwrap();
            let mut command = plugin(args);
            command.command.args(["-vv", "--request-timeout", "3s", "--timeout", "6s"]).current_dir(kept.path());
            let run = command.env("KUBECONFIG", &path).env("XDG_STATE_HOME", kept.path()).run();
            assert!(run.code != 0 && !run.stderr.is_empty(), "{what}: {run:?}");
            holds_no_mark(what, &run, kept.path());
        }
    }
}

/// A gateway in front of the API server that gives back what it was sent.
#[test]
fn what_a_careless_gateway_gives_back_is_not_shown() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kubeconfig");
    let server = crate::stores::echo();
    let answer = format!(
        r#"{{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{{"token":"{MARK}"}}}}"#
    );
    let users = [
        format!("    token: {MARK}\n"),
        format!("    username: me\n    password: {MARK}\n"),
        exec(&credential_plugin(directory.path(), "sound", &answer, 0), ""),
    ];
    for user in users {
        fs::write(&path, kubeconfig(&server, "", &user)).unwrap();
        for args in [&["timeouts"][..], &["timeouts", "pod/web-1"], &["debug-log", "--on", "web-1"], &["resets"]] {
            let kept = tempfile::tempdir().unwrap();
            let mut command = plugin(args);
            command.command.args(["-vv", "--timeout", "10s"]).current_dir(kept.path());
            let run = command.env("KUBECONFIG", &path).env("XDG_STATE_HOME", kept.path()).run().exits(4);
            assert!(run.stderr.contains("500"), "{run:?}");
            holds_no_mark(&user, &run, kept.path());
            let basic = BASE64.encode(format!("me:{MARK}"));
            assert!(!run.stderr.contains(&basic), "{run:?}");
        }
    }
}

#[test]
fn urls_give_nothing_away() {
    let kept = tempfile::tempdir().unwrap();
    for url in [
        format!("http://me:{MARK}@127.0.0.1:1"),
        format!("http://me:{MARK}@127.0.0.1:1/path"),
        format!("http://me:{MARK}@[::1"),
        format!("me:{MARK}@127.0.0.1:1"),
        format!("ftp://me:{MARK}@127.0.0.1"),
        format!("http://me:a/{MARK}@127.0.0.1"),
    ] {
        for args in [&["timeouts", "--admin-url"][..], &["resets", "--prometheus"]] {
            let mut command = plugin(args);
            command.command.args([url.as_str(), "-vv", "--request-timeout", "3s"]).current_dir(kept.path());
            let run = command.run();
            assert_ne!(run.code, 0, "{run:?}");
            holds_no_mark(&url, &run, kept.path());
        }
    }
    // A proxy of the environment, which may be sound or not.
    let path = kept.path().join("kubeconfig");
    fs::write(&path, kubeconfig("https://10.255.255.1:1", "", "    token: t\n")).unwrap();
    for proxy in [format!("http://me:{MARK}@127.0.0.1:1"), format!("http://me:{MARK}@[::1")] {
        let mut command = plugin(["timeouts", "-vv", "--request-timeout", "3s", "--timeout", "6s"]);
        command.command.current_dir(kept.path());
        let run = command.env("KUBECONFIG", &path).env("HTTPS_PROXY", &proxy).run();
        assert_ne!(run.code, 0, "{run:?}");
        holds_no_mark(&proxy, &run, kept.path());
    }
}

#[test]
fn what_is_missing_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("kubeconfig");
    let said = |text: String| {
        fs::write(&path, text).unwrap();
        plugin(["timeouts"]).env("KUBECONFIG", &path).run().exits(4).stderr
    };
    let server = "https://127.0.0.1:1";
    let hint =
        said(kubeconfig(server, "", &exec("no-such-plugin", "      installHint: brew install no-such-plugin\n")));
    assert!(hint.contains("\"no-such-plugin\"") && hint.contains("brew install no-such-plugin"), "{hint}");
    let failed = said(kubeconfig(server, "", &exec("/bin/false", "")));
    assert!(failed.contains("\"/bin/false\" failed"), "{failed}");
    let file = said(kubeconfig(server, "", "    tokenFile: /no/such/token\n"));
    assert!(file.contains("/no/such/token"), "{file}");
    let place = said(kubeconfig(server, "", "    token: t\n").replace("    token: t", "    token: [t]"));
    assert!(place.contains("line 11"), "{place}");
}

/// What a mesh's objects and pods hold beside what an audit reads: the object as it was applied, keys of providers, code
/// of filters, an application's environment.
#[test]
fn what_objects_hold_is_not_passed_on() {
    let sandbox = Sandbox::start(canned::mesh(4, 40)).unwrap();
    let applied = json!({"kubectl.kubernetes.io/last-applied-configuration": format!("{{\"spec\":\"{MARK}\"}}"),
        "example.com/note": MARK});
    let host = "service-0019.team-9.svc.cluster.local";
    sandbox
        .apply(json!({"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
            "metadata": {"name": "service-0019", "namespace": "team-9", "annotations": applied},
            "spec": {"host": host, "trafficPolicy": {"connectionPool": {"tcp": {"connectTimeout": "1s"}},
                "tls": {"mode": "SIMPLE"}}}}))
        .unwrap();
    let code = json!({"applyTo": "HTTP_FILTER", "match": {"context": "ANY"}, "patch": {"operation": "INSERT_BEFORE",
        "value": {"name": "lua", "typed_config": {"inlineCode": MARK}}}});
    let timeout = json!({"applyTo": "CLUSTER", "match": {"cluster": {"service": host}},
        "patch": {"operation": "MERGE", "value": {"connect_timeout": "1s",
            "transport_socket_matches": [{"name": MARK}], "typed_extension_protocol_options": {"x": {"key": MARK}}}}});
    let socket = json!({"applyTo": "CLUSTER", "patch": {"operation": "MERGE", "value": {"connect_timeout": "2s",
        "transport_socket": {"name": "tls", "typed_config": {"inline_string": MARK}}}}});
    // What sets a timeout is kept; what stands beside it, in the same patch and in others, is not.
    for (name, patches) in
        [("code", json!([code])), ("timeout", json!([timeout.clone()])), ("both", json!([code, timeout, socket]))]
    {
        sandbox
            .apply(json!({"apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter",
                "metadata": {"name": name, "namespace": "istio-system", "annotations": applied},
                "spec": {"configPatches": patches}}))
            .unwrap();
    }
    let mut config = sandbox.get("configmaps", "istio-system", "istio").unwrap();
    config["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    config["metadata"]["annotations"] = applied;
    config["data"]["mesh"] = json!(format!(
        "connectTimeout: 10s\nextensionProviders:\n- name: x\n  opentelemetry: {{service: a, port: 1, http: {{headers: [{{name: \
         Authorization, value: {MARK}}}]}}}}\n"
    ));
    config["data"]["values"] = json!(MARK);
    sandbox.apply(config).unwrap();
    let (namespace, name) = crate::faults::pods(&sandbox).remove(0);
    let mut pod = sandbox.get("pods", &namespace, &name).unwrap();
    pod["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    pod["metadata"]["annotations"]["example.com/token"] = json!(MARK);
    for container in pod["spec"]["containers"].as_array_mut().unwrap() {
        container["env"] = json!([{"name": "API_KEY", "value": MARK}]);
    }
    sandbox.apply(pod).unwrap();
    let target = format!("{name}.{namespace}");
    let mut runs: Vec<Vec<&str>> = ["table", "wide", "json", "yaml", "ndjson", "sarif", "markdown", "html", "csv"]
        .into_iter()
        .map(|format| vec!["timeouts", "-A", "-o", format])
        .collect();
    runs.extend([
        vec!["snapshot", "mesh.tar.gz", "-A"],
        vec!["snapshot", "mesh", "-A"],
        vec!["timeouts", "--from", "mesh", "-o", "json"],
        vec!["clusters", &target, "-o", "json"],
        vec!["clusters", &target, "-v"],
        vec!["fix", "-A"],
        vec!["fix", "-A", "-o", "json"],
        vec!["fix", "-A", "-o", "yaml"],
        vec!["fix", "--from", "mesh", "-o", "yaml"],
        vec!["incident", "-A", "-o", "json"],
        vec!["verify", "-A", "-o", "json"],
        vec!["incident", "-A", "-o", "html"],
        vec!["policy", "init", "-A"],
        vec!["debug-log", "--on", &target],
        vec!["debug-log", "--show", &target, "-o", "json"],
    ]);
    let kept = tempfile::tempdir().unwrap();
    for args in runs {
        let mut command = plugin(&args);
        command.command.args(["-vv"]).current_dir(kept.path());
        let run = command.on(&sandbox).env("XDG_STATE_HOME", kept.path()).run();
        assert!(!run.stdout.is_empty() || !run.stderr.is_empty(), "{args:?}");
        holds_no_mark(&format!("{args:?}"), &run, kept.path());
    }
    assert!(written(kept.path()).contains("MeshSnapshot"), "a snapshot was looked through");
}

/// Stores and Prometheus: files with a token, a password or a key, sound and not, and careless servers that give back
/// what they were sent.
#[test]
fn credentials_of_stores_give_nothing_away() {
    let server = crate::stores::echo();
    let files = [
        MARK.to_owned(),
        format!("{MARK}\n{MARK}\n"),
        format!("{MARK}\u{1}"),
        format!("-----BEGIN {MARK}-----\nAAAA\n-----END {MARK}-----\n"),
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", BASE64.encode(MARK)),
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", BASE64.encode(MARK)),
    ];
    let give = |text: &str| {
        let kept = tempfile::tempdir().unwrap();
        let secret = kept.path().join("secret");
        fs::write(&secret, text).unwrap();
        let file = secret.to_str().unwrap();
        for store in ["--splunk", "--elasticsearch", "--loki", "--victorialogs"] {
            for flags in [
                &["--store-token-file", file][..],
                &["--store-api-key-file", file],
                &["--store-user", "me", "--store-password-file", file],
                &["--store-ca", file],
                &["--store-client-certificate", file, "--store-client-key", file],
            ] {
                let mut command = plugin(["resets", store, &server, "--since", "1h", "-vv", "--timeout", "10s"]);
                command.command.args(flags);
                let run = command.run();
                assert!(run.code != 0 && !run.stderr.is_empty(), "{flags:?}: {run:?}");
                // The file itself is the only one that has it.
                let empty = tempfile::tempdir().unwrap();
                holds_no_mark(&format!("{store} {flags:?} {text:?}"), &run, empty.path());
            }
        }
        for flags in [&["--prometheus-token-file", file][..], &["--prometheus-ca", file], &["--prometheus-user", "me"]]
        {
            let mut command = plugin(["resets", "--prometheus", &server, "--since", "1h", "-vv", "--timeout", "10s"]);
            command.command.args(flags);
            let run = command.env("MESHAUDIT_PROMETHEUS_PASSWORD", MARK).run();
            assert!(run.code != 0 && !run.stderr.is_empty(), "{flags:?}: {run:?}");
            let empty = tempfile::tempdir().unwrap();
            holds_no_mark(&format!("{flags:?} {text:?}"), &run, empty.path());
        }
    };
    // A careless server is asked again and again: that takes its time.
    std::thread::scope(|scope| {
        for text in &files {
            scope.spawn(|| give(text));
        }
    });
}

/// Whoever is sent a credential may give it back, inside of whatever it says.
#[test]
fn what_is_given_back_inside_of_something_is_not_shown() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secret");
    fs::write(&file, format!("{MARK}\n")).unwrap();
    let file = file.to_str().unwrap();
    let users = [
        format!("    token: {MARK}\n"),
        format!("    username: me\n    password: {MARK}\n"),
        format!("    tokenFile: {file}\n"),
        exec(
            &credential_plugin(
                directory.path(),
                "sound",
                &format!(
                    r#"{{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{{"token":"{MARK}"}}}}"#
                ),
                0,
            ),
            "",
        ),
    ];
    let ask = |server: &str| {
        let mut commands: Vec<Vec<String>> = Vec::new();
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        for store in ["--splunk", "--elasticsearch", "--loki", "--victorialogs"] {
            for flags in [
                &["--store-token-file", file][..],
                &["--store-api-key-file", file],
                &["--store-user", "me", "--store-password-file", file],
            ] {
                commands.push(words(&[&["resets", store, server, "--since", "1h"], flags].concat()));
            }
        }
        commands.push(words(&["resets", "--prometheus", server, "--since", "1h", "--prometheus-token-file", file]));
        let kept = tempfile::tempdir().unwrap();
        for (index, user) in users.iter().enumerate() {
            let path = kept.path().join(index.to_string());
            fs::write(&path, kubeconfig(server, "", user)).unwrap();
            for args in [&["timeouts"][..], &["timeouts", "pod/web-1"]] {
                commands.push(words(&[args, &["--kubeconfig", path.to_str().unwrap()]].concat()));
            }
        }
        let empty = tempfile::tempdir().unwrap();
        for args in commands {
            let mut command = plugin(args.iter().map(String::as_str));
            command.command.args(["-vv", "--timeout", "10s"]).current_dir(empty.path());
            let run = command.env("XDG_STATE_HOME", empty.path()).run();
            assert!(run.code != 0 && !run.stderr.is_empty(), "{args:?}: {run:?}");
            holds_no_mark(&format!("{args:?}"), &run, empty.path());
            assert!(!run.stderr.contains(&BASE64.encode(format!("me:{MARK}"))), "{args:?}: {run:?}");
        }
    };
    std::thread::scope(|scope| {
        for server in crate::stores::echoes() {
            scope.spawn(move || ask(&server));
        }
    });
}

/// URLs with credentials on the command line, sound and not: no message and no printed command has them.
#[test]
fn urls_of_flags_give_nothing_away() {
    let urls = [
        format!("http://me:{MARK}@127.0.0.1:1"),
        format!("http://{MARK}@127.0.0.1:1/"),
        format!("me:{MARK}@127.0.0.1:1"),
        format!("http://me:{MARK}@[127"),
        format!("ht!tp://me:{MARK}@127.0.0.1:1"),
        format!("http://127.0.0.1:1/?token={MARK}"),
        format!("http://127.0.0.1:1/api?x=1&access_token={MARK}"),
        format!("http://127.0.0.1:1/#{MARK}"),
        format!("http://127.0.0.1:1/?token=a@{MARK}"),
        format!("http://me:{MARK}?b@127.0.0.1:1"),
        format!("http://me:a?{MARK}@127.0.0.1:1"),
        format!("http://me:a#{MARK}@127.0.0.1:1"),
        format!("http://me:a/{MARK}@127.0.0.1:1"),
        format!("http://me:a@b/{MARK}@127.0.0.1:1"),
    ];
    let fixture = "tests/fixtures/rules/MA001.json";
    let commands: [&[&str]; 9] = [
        &["resets", "--since", "1h", "--splunk"],
        &["resets", "--since", "1h", "--elasticsearch"],
        &["resets", "--since", "1h", "--loki"],
        &["diagnose", "--since", "1h", "--victorialogs"],
        &["resets", "--since", "1h", "--prometheus"],
        &["timeouts", "--admin-url"],
        &["timeouts", "-A", "--server"],
        &["timeouts", "-A", "--server", "https://127.0.0.1:1", "--proxy-url"],
        &["timeouts", "--from", fixture, "--push"],
    ];
    for url in &urls {
        for command in commands {
            let mut asked = plugin(command.iter().copied().chain([url.as_str()]));
            asked.command.args(["-vv", "--timeout", "5s", "--request-timeout", "2s"]);
            let run = asked.run();
            assert!(run.code != 0 && !run.stderr.is_empty(), "{command:?} {url}: {run:?}");
            let empty = tempfile::tempdir().unwrap();
            holds_no_mark(&format!("{command:?} {url}"), &run, empty.path());
        }
    }
}
