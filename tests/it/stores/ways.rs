//! Ways to a store, and who asks: credentials, certificates, proxies, port-forwards.

use std::sync::Arc;

use meshaudit_sandbox::api::{Handler, Reply};
use meshaudit_sandbox::mesh::{Injection, Pod, Proxy, Workload, service};
use meshaudit_sandbox::odd_tls::{OddTls, Oddity};
use meshaudit_sandbox::{Mesh, Sandbox};
use serde_json::{Value, json};

use super::documented::{WINDOW, from_files, victorialogs};
use super::{Said, Server, answer_of, of_any_source, recorded};
use crate::{incident, plugin};

#[test]
fn who_asks_is_said_to_the_store_and_to_nobody_else() {
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    std::fs::write(&secret, "s3cr3t-value\n").unwrap();
    let secret = secret.display().to_string();
    for (flag, header) in [
        (["--store-token-file", &secret], "authorization: bearer s3cr3t-value"),
        (["--store-api-key-file", &secret], "authorization: apikey s3cr3t-value"),
    ] {
        let server = Server::start(move |asked| {
            assert!(asked.header.to_lowercase().contains(header), "{}", asked.header);
            // A careless store gives back what it was sent.
            Said::status(500, "", &asked.header)
        });
        let run = plugin(["resets", "--elasticsearch", &server.url, flag[0], flag[1]]).run().exits(4);
        assert!(!run.stderr.contains("s3cr3t"), "{}", run.stderr);
    }
    let server = Server::start(|asked| {
        assert!(asked.header.to_lowercase().contains("x-scope-orgid: team-a"), "{}", asked.header);
        Said::status(401, "", "no")
    });
    let run = plugin(["resets", "--loki", &server.url, "--store-tenant", "team-a"]).run().exits(4);
    run.complains("does not accept these credentials (401)").complains("--store-token-file");
    let run = plugin(["resets", "--splunk", "https://me:hunter2@127.0.0.1:1"]).run().exits(2);
    assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
    let page = Server::start(|_| Said::status(200, "content-type: text/html\r\n", "<html><title>Sign in</title>"));
    plugin(["resets", "--victorialogs", &page.url]).run().exits(4).complains("sign-in page");
}

#[test]
fn a_certificate_that_does_not_hold_names_the_flag() {
    let kubeconfig = std::fs::read_to_string(incident().kubeconfig()).unwrap();
    let server = kubeconfig.lines().find_map(|line| line.split_once("server: ")).unwrap().1;
    let server = server.trim_matches(['"', '\'', '}', ' ']).split(',').next().unwrap();
    assert!(server.starts_with("https://"), "{server}");
    plugin(["resets", "--victorialogs", server]).run().exits(4).complains("cannot be trusted").complains("--store-ca");
}

/// A recorded store that answers in a pod.
struct InPod(Value);

impl Handler for InPod {
    fn answer(&self, method: &http::Method, target: &str) -> Reply {
        self.answer_to(method, target, b"")
    }

    fn answer_to(&self, method: &http::Method, target: &str, body: &[u8]) -> Reply {
        let said = answer_of(&self.0, &format!("{method} {target}"), &String::from_utf8_lossy(body));
        Reply { status: said.status, ..Reply::json(said.body.into_bytes()) }
    }
}

#[test]
fn a_store_in_the_cluster_is_asked_through_a_port_forward() {
    for (store, port) in [("victorialogs", 9428), ("elasticsearch", 9200)] {
        let conversation = recorded(&format!("{store}-target"));
        let logs = Workload {
            injection: Injection::None,
            ports: &[9428],
            ..Workload::new("logging", "logs", "5d7d9f8b6c", &["z4x5w"])
        };
        let mut pod = Pod::without_proxy(logs.pod("z4x5w"));
        pod.admin_port = port;
        pod.proxy = Proxy::Canned(Arc::new(InPod(conversation.clone())));
        let mut objects = logs.objects();
        objects.push(service(
            "logging",
            "logs",
            &json!({"app": "logs"}),
            &[json!({"name": "http", "port": 80, "targetPort": port})],
        ));
        let mesh = Mesh { name: "sandbox".to_owned(), objects, pods: vec![pod], ..Mesh::default() };
        let sandbox = Sandbox::start(mesh).unwrap();
        let args = conversation["args"].as_array().unwrap();
        let args = args.iter().map(|arg| match arg.as_str().unwrap() {
            "URL" => "logging/logs:80".to_owned(),
            "--victorialogs" | "--elasticsearch" => format!("--{store}-service"),
            other => other.to_owned(),
        });
        let run = plugin(args).on(&sandbox).run().exits(0);
        let report: Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!(of_any_source(report), of_any_source(conversation["report"].clone()), "{store}");
        let run = plugin(["resets", &format!("--{store}-service"), "logging/away:80"]).on(&sandbox).run().exits(4);
        run.complains("away");
    }
}

#[test]
fn the_chart_of_an_incident_comes_from_a_store() {
    let server = Server::start(super::documented::victorialogs);
    let window = &super::documented::WINDOW[..4];
    let args = ["incident", "-n", "shop", "--no-evidence", "--victorialogs", &server.url, "-o", "json"];
    let run = crate::on_incident([&args[..], window].concat()).run();
    let report: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"));
    let resets = &report["resets"];
    assert_eq!(resets["document"]["total"]["resets"], super::documented::from_files()["total"]["resets"], "{resets}");
    assert!(resets["command"].as_str().unwrap().contains("--victorialogs"), "{}", resets["command"]);
    assert!(report["diagnosis"]["command"].as_str().unwrap().contains("--victorialogs"), "{}", report["diagnosis"]);
    // The proxies' configuration is the cluster's all the same.
    assert!(report["audit"]["document"]["findings"].as_array().unwrap().len() > 10, "{}", report["audit"]);
    let text = crate::on_incident([&args[..6], window].concat()).env("COLUMNS", "80").run().stdout;
    assert!(text.contains("20 connection resets in 2 services"), "{text}");
}

/// The configuration out of a snapshot, the logs out of a store.
#[test]
fn an_incident_may_have_a_snapshot_and_a_store() {
    let server = Server::start(super::documented::victorialogs);
    let fixture = "tests/fixtures/rules/MA001.json";
    let window = &super::documented::WINDOW[..4];
    let args = ["incident", "--from", fixture, "--victorialogs", &server.url, "-o", "json"];
    let run = plugin([&args[..], &["-n", "shop"], window].concat()).run();
    let report: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"));
    crate::published_schema("incident").validate(&report).unwrap();
    let resets = &report["resets"];
    assert_eq!(resets["document"]["total"]["resets"], super::documented::from_files()["total"]["resets"], "{resets}");
    assert_eq!(report["audit"]["document"]["clusters"][0]["connectTimeout"], "1s");
    for (part, from, not) in [("resets", "--victorialogs", fixture), ("audit", fixture, "--victorialogs")] {
        let command = report[part]["command"].as_str().unwrap();
        assert!(command.contains(from) && !command.contains(not), "{command}");
    }
    let diagnose = report["diagnosis"]["command"].as_str().unwrap();
    assert!(
        diagnose.contains("--victorialogs") && diagnose.contains(&format!("--config-dump {fixture}")),
        "{diagnose}"
    );
    // Logs beside the snapshot are not read twice, and that is said.
    let log = "tests/fixtures/logs/incident/2020-05-29.log";
    let both = plugin([&args[..], &["-n", "shop", "--from", log], window].concat()).run().complains("are not read");
    let both: Value = serde_json::from_str(&both.stdout).unwrap();
    assert_eq!(both["resets"]["document"]["total"], resets["document"]["total"]);
    // What has no meaning beside files is still refused.
    for more in [&["-c", "app"][..], &["--context", "x"], &["--admin-url", "http://localhost"]] {
        plugin([&["incident", "--from", fixture], more].concat()).run().exits(2);
    }
    for command in ["resets", "diagnose"] {
        plugin([command, "--from", log, "--victorialogs", &server.url]).run().exits(2).complains("cannot be used with");
    }
}

/// `openssl req -x509` makes a certificate that is its own authority.
#[test]
fn a_store_may_be_its_own_authority() {
    let directory = tempfile::tempdir().unwrap();
    let ca = directory.path().join("ca.pem");
    for (oddity, said) in [
        (Oddity::OwnAuthority, "a row has no _time"),
        (Oddity::OwnAuthorityExpired, "expired"),
        (Oddity::OwnAuthorityUnknown, "an authority's own"),
        (Oddity::OwnAuthorityOfOtherName, "an authority's own"),
    ] {
        let server = OddTls::start(oddity).unwrap();
        std::fs::write(&ca, &server.authority).unwrap();
        let args = ["resets", "--victorialogs", &server.url(), "--store-ca", ca.to_str().unwrap()];
        let run = plugin(args).run().exits(4);
        assert!(run.stderr.contains(said), "{oddity:?}: {}", run.stderr);
    }
}

#[test]
fn proxies_of_the_environment_are_asked() {
    let proxy = Server::start(|asked| {
        if asked.line.starts_with("CONNECT ") { Said::status(502, "", "no way") } else { victorialogs(asked) }
    });
    let ask = |url: &str| {
        let mut args = vec!["resets", "--victorialogs", url, "-n", "shop", "--timeout", "20s"];
        args.extend(WINDOW);
        plugin(args)
    };
    let run = ask("http://logs.example.com/vl").env("HTTP_PROXY", &proxy.url).run().exits(0);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(of_any_source(report), of_any_source(from_files()));
    let asked = proxy.asked();
    assert!(asked.starts_with("POST http://logs.example.com/vl/select/logsql/query"), "{asked}");
    let guarded = proxy.url.replace("http://", "http://me:hunter2@");
    let run = ask("https://logs.example.com").env("HTTPS_PROXY", guarded).run().exits(4);
    assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
    assert!(proxy.asked().contains("CONNECT logs.example.com:443"), "{}", proxy.asked());
    // Of this machine, and of names that are left out, none is asked.
    let (direct, before) = (Server::start(victorialogs), proxy.asked());
    ask(&direct.url).env("HTTP_PROXY", &proxy.url).run().exits(0);
    ask("http://logs.invalid").env("HTTP_PROXY", &proxy.url).env("NO_PROXY", "logs.invalid").run().exits(4);
    assert_eq!(proxy.asked(), before);
}

#[test]
fn a_store_may_want_a_client_certificate() {
    let server = OddTls::start(Oddity::ClientCertificate).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (certificate, key) = server.client.clone().unwrap();
    let (ca, certificate, key) = (file("ca", &server.authority), file("certificate", &certificate), file("key", &key));
    let url = server.url();
    let common = ["resets", "--victorialogs", &url, "--store-ca", &ca];
    // It answers, with what is no row of VictoriaLogs.
    let known = ["--store-client-certificate", &certificate, "--store-client-key", &key];
    plugin([&common[..], &known].concat()).run().exits(4).complains("a row has no _time");
    plugin(common).run().exits(4).complains("client certificate").complains("--store-client-certificate");
    let mixed = ["--store-client-certificate", &certificate, "--store-client-key", &ca];
    plugin([&common[..], &mixed].concat()).run().exits(2).complains("the client certificate");
    plugin([&common[..], &known[..2]].concat()).run().exits(2);
}
