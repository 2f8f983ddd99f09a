//! `--from`: the same audit without a cluster.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use meshaudit_sandbox::incident::expected;
use serde_json::{Value, json};

use crate::{incident, on_incident, plugin};

/// A whole dump of a real Envoy.
fn real_dump(query: &str) -> Vec<u8> {
    let proxy = &expected().proxies[0];
    let url = incident().admin_url(&proxy.namespace, &proxy.pod).unwrap();
    get(&format!("{}/config_dump{query}", url.trim_end_matches('/')))
}

/// A GET by hand: Envoy's admin endpoint answers HTTP/1.1 in chunks.
fn get(url: &str) -> Vec<u8> {
    let rest = url.trim_start_matches("http://");
    let (host, path) = rest.split_once('/').unwrap();
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{url}");
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let chunked = String::from_utf8_lossy(&answer[..head]).to_lowercase().contains("transfer-encoding: chunked");
    let mut rest = &answer[head + 4..];
    if !chunked {
        return rest.to_vec();
    }
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|two| two == b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap().trim(), 16).unwrap();
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&rest[line + 2..line + 2 + size]);
        rest = &rest[line + 4 + size..];
    }
}

/// Cluster and timeout of everything in an audit.
fn values(audit: &Value) -> BTreeSet<(String, String)> {
    let clusters = audit["clusters"].as_array().unwrap();
    clusters.iter().map(|cluster| (cluster["name"].to_string(), cluster["connectTimeout"].to_string())).collect()
}

fn audit_of(paths: &[&Path]) -> Value {
    let mut args = vec!["timeouts".to_owned(), "-o".to_owned(), "json".to_owned(), "--all-clusters".to_owned()];
    for path in paths {
        args.extend(["--from".to_owned(), path.to_str().unwrap().to_owned()]);
    }
    plugin(args).json()
}

fn written(directory: &Path, name: &str, bytes: &[u8]) -> std::path::PathBuf {
    let path = directory.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn a_revision_selects_in_files_too() {
    let text = std::fs::read_to_string(crate::project().join("tests/fixtures/rules/MA001.json")).unwrap();
    let mut snapshot: serde_json::Value = serde_json::from_str(&text).unwrap();
    let one = snapshot["snapshot"]["proxies"][0].clone();
    let with = |name: &str, revision: &str| {
        let mut read = one.clone();
        read["proxy"]["id"]["name"] = name.into();
        read["proxy"]["revision"] = revision.into();
        read
    };
    snapshot["snapshot"]["proxies"] = vec![with("old", ""), with("new-1", "canary"), with("new-2", "canary")].into();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), snapshot.to_string()).unwrap();
    let from = file.path().to_str().unwrap();
    for (revision, count) in [("canary", 2), ("default", 1), ("", 3)] {
        let audit = crate::plugin(["timeouts", "--from", from, "--revision", revision, "-o", "json"]).json();
        assert_eq!(audit["coverage"]["audited"], count, "{revision}");
        let names = crate::plugin(["clusters", "--from", from, "--revision", revision, "-o", "json"]).json();
        assert_eq!(names.as_object().map_or(1, |all| all.len()), count, "{revision}: {names}");
    }
    for command in ["timeouts", "verify", "fix"] {
        let run = crate::plugin([command, "--from", from, "--revision", "canry"]).run().exits(4);
        run.complains("of revision \"canry\"").complains("canary, default");
    }
    let live = crate::on_incident(["timeouts", "-n", "shop", "--revision", "canary"]).run().exits(4);
    live.complains("is of revision \"canary\"").complains("kubectl meshaudit version");
}

#[test]
fn live_equals_offline() {
    let directory = tempfile::tempdir().unwrap();
    let strip = |mut audit: Value| {
        audit["startedAt"] = Value::Null;
        audit["durationMs"] = Value::Null;
        audit
    };
    let live = strip(on_incident(["timeouts", "-A", "--all-clusters", "-o", "json"]).json());
    for name in ["plain", "packed.tar.gz"] {
        let path = directory.path().join(name);
        let run = on_incident(["snapshot", path.to_str().unwrap(), "-A"]).run().exits(3);
        run.complains("3 proxies could not be read");
        assert_eq!(strip(audit_of(&[&path])), live, "{name}");
    }
    // The file and not its directory, and by way of stdin.
    let document = directory.path().join("plain/snapshot.json");
    assert_eq!(strip(audit_of(&[&document])), live);
    let piped = plugin(["timeouts", "--from", "-", "-o", "json", "--all-clusters"]).stdin(fs::read(&document).unwrap());
    assert_eq!(strip(piped.json()), live);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&document).unwrap().permissions().mode() & 0o777, 0o600);
    }
    // What is there is not written over by accident.
    let again = on_incident(["snapshot", directory.path().join("plain").to_str().unwrap(), "-n", "shop"]).run();
    again.exits(2).complains("--force");
}

#[test]
fn real_dumps_are_read_in_every_shape() {
    let directory = tempfile::tempdir().unwrap();
    let proxy = &expected().proxies[0];
    let url = incident().admin_url(&proxy.namespace, &proxy.pod).unwrap();
    let live = plugin(["timeouts", "--admin-url", &url, "--all-clusters", "-o", "json"]).json();
    let wanted = values(&live);
    for (name, query) in [
        ("whole.json", ""),
        ("eds.json", "?include_eds"),
        ("masked.json", "?mask=dynamic_active_clusters,dynamic_warming_clusters,static_clusters"),
    ] {
        let path = written(directory.path(), name, &real_dump(query));
        let audit = audit_of(&[&path]);
        assert_eq!(values(&audit), wanted, "{name}");
        let proxies = audit["proxySets"]["s1"].clone();
        if name == "masked.json" {
            // It says nothing of its pod, and goes by the input's name.
            assert_eq!(proxies, json!([path.to_str().unwrap()]));
        } else {
            assert_eq!(proxies, json!([format!("{}/{}", proxy.namespace, proxy.pod)]));
        }
    }
    // By resource: the active ones only, and with fields of our choice.
    let path = written(
        directory.path(),
        "resource.json",
        &real_dump("?resource=dynamic_active_clusters&mask=cluster.name,cluster.connect_timeout"),
    );
    let dynamic = values(&audit_of(&[&path]));
    assert_eq!(dynamic.len(), proxy.clusters.len());
    assert!(dynamic.is_subset(&wanted));
    // Compressed, the name saying nothing.
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&real_dump("")).unwrap();
    let path = written(directory.path(), "dump", &packed.finish().unwrap());
    assert_eq!(values(&audit_of(&[&path])), wanted);
    // What istioctl prints, and what `clusters -o json` prints.
    let printed = plugin(["clusters", "--admin-url", &url, "-o", "json"]).run().exits(0).stdout;
    let audit = plugin(["timeouts", "--from", "-", "--all-clusters", "-o", "json"]).stdin(printed).json();
    assert_eq!(values(&audit), wanted);
    assert_eq!(audit["proxySets"]["s1"], json!(["stdin"]));
}

#[test]
fn dumps_of_old_envoys_are_read() {
    let fixtures = crate::project().join("tests/fixtures/dumps");
    for name in ["istio-1.4-v2.json", "istio-1.6-v2.json", "istioctl.json", "durations.json"] {
        let audit = audit_of(&[&fixtures.join(name)]);
        let values = values(&audit);
        assert!(
            values.contains(&("\"outbound|443||api.example.com\"".to_owned(), "\"1s\"".to_owned())),
            "{name}: {values:?}"
        );
        assert_eq!(audit["coverage"]["audited"], 1, "{name}");
    }
}

#[test]
fn a_bug_report_is_read_proxy_by_proxy() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("bug-report");
    let mut wanted = BTreeSet::new();
    for proxy in &expected().proxies[..3] {
        let url = incident().admin_url(&proxy.namespace, &proxy.pod).unwrap();
        let base = format!("proxies/{}/{}", proxy.namespace, proxy.pod);
        written(
            &root,
            &format!("{base}/config_dump?include_eds"),
            &get(&format!("{}/config_dump?include_eds", url.trim_end_matches('/'))),
        );
        written(&root, &format!("{base}/stats_prometheus"), b"# TYPE envoy_x counter\n");
        written(&root, &format!("{base}/istio-proxy.log"), b"2026-11-23T18:00:00Z\tinfo\tReady\n");
        wanted.insert(format!("{}/{}", proxy.namespace, proxy.pod));
    }
    written(&root, "cluster/k8s-resources", b"{\"items\": []}");
    written(&root, "versions", b"client version: 1.29.2");
    let archive = directory.path().join("report.tgz");
    let packed = flate2::write::GzEncoder::new(fs::File::create(&archive).unwrap(), flate2::Compression::fast());
    let mut tar = tar::Builder::new(packed);
    tar.append_dir_all("bug-report", &root).unwrap();
    tar.into_inner().unwrap().finish().unwrap();
    for input in [root, archive] {
        let audit = audit_of(&[&input]);
        let sets = audit["proxySets"].as_object().unwrap().values();
        let proxies: BTreeSet<String> =
            sets.flat_map(|set| set.as_array().unwrap()).map(|name| name.as_str().unwrap().to_owned()).collect();
        assert_eq!(proxies, wanted, "{}", input.display());
        assert_eq!(audit["coverage"]["failed"], json!([]), "what is no dump in a bug report is not one that failed");
    }
}

/// What `istioctl bug-report` leaves where it takes no pod for one of the mesh, as it does with pods that no controller owns.
#[test]
fn a_bug_report_without_a_proxy_says_so_once() {
    let directory = tempfile::tempdir().unwrap();
    for (name, content) in [
        ("bug-report.log", "2026-11-30T03:50:04.094106Z\tinfo\trunning\n"),
        (
            "versions",
            "The following Istio control plane revisions/versions were found in the cluster:\nRevision default:\n",
        ),
        ("cluster/cluster-context", "admin@lab"),
        ("cluster/pods", r#"{"kind": "PodList", "items": []}"#),
        ("analyze/allNamespaces/allNamespaces", "Info [IST0102] (Namespace default)\n"),
    ] {
        written(directory.path(), name, content.as_bytes());
    }
    let run = plugin(["timeouts", "--from", directory.path().to_str().unwrap()]).run().exits(4);
    let run = run.complains("a bug report without a proxy");
    assert!(!run.stderr.contains("cluster-context"), "{}", run.stderr);
    // A dump beside it is read, and what is none is said as elsewhere.
    written(directory.path(), "web.json", two_clusters("10s").as_bytes());
    let audit = audit_of(&[directory.path()]);
    assert_eq!(audit["coverage"]["audited"], 1);
    assert!(audit["coverage"]["failed"].to_string().contains("cluster-context"), "{audit}");
}

#[test]
fn one_bad_file_does_not_spoil_the_others() {
    let directory = tempfile::tempdir().unwrap();
    written(directory.path(), "good.json", br#"[{"name": "outbound|80||a", "connectTimeout": "10s"}]"#);
    written(directory.path(), "bad.txt", b"no dump at all");
    let run = plugin(["timeouts", "--from", directory.path().to_str().unwrap()]).run().exits(3);
    assert!(
        run.stdout.contains("bad.txt") && run.stdout.contains("it is not JSON: it is some other text"),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains("1 proxy not read"), "{}", run.stdout);
    assert!(!run.stdout.contains("Nothing wrong:"), "an incomplete audit never looks clean: {}", run.stdout);
    // The same file twice is two proxies: nothing is lost.
    let good = directory.path().join("good.json");
    assert_eq!(audit_of(&[&good, &good])["coverage"]["audited"], 2);
}

#[test]
fn no_kubeconfig_is_looked_at() {
    let run = plugin(["timeouts", "--from", "-"]).env("KUBECONFIG", "/nonexistent").stdin("[]").run().exits(4);
    assert!(!run.stderr.contains("kubeconfig"), "{}", run.stderr);
}

#[test]
fn hostile_archives_do_no_harm() {
    let directory = tempfile::tempdir().unwrap();
    let dump = br#"[{"name": "outbound|80||a", "connectTimeout": "10s"}]"#;
    let mut builder = tar::Builder::new(Vec::new());
    let mut add = |path: &str, kind: tar::EntryType, bytes: &[u8]| {
        let mut header = tar::Header::new_ustar();
        // By hand: the library refuses such paths.
        header.as_ustar_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_entry_type(kind);
        if kind == tar::EntryType::Symlink {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        builder.append(&header, bytes).unwrap();
    };
    add("../../escape.json", tar::EntryType::Regular, dump);
    add("/absolute.json", tar::EntryType::Regular, dump);
    add("link.json", tar::EntryType::Symlink, b"");
    let path = written(directory.path(), "hostile.tar", &builder.into_inner().unwrap());
    let audit = audit_of(&[&path]);
    assert_eq!(audit["coverage"]["audited"], 2, "the files are read where they are, and the link is not followed");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is unpacked");
    // A gigabyte of zeros in a megabyte.
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![b' '; 1 << 20];
    for _ in 0..300 {
        bomb.write_all(&zeros).unwrap();
    }
    let path = written(directory.path(), "bomb.gz", &bomb.finish().unwrap());
    let run = plugin(["timeouts", "--from", path.to_str().unwrap()]).run().exits(4);
    run.complains("bomb.gz");
}

#[test]
fn every_form_of_a_dump_gives_the_same_clusters() {
    let whole: Value = serde_json::from_slice(&real_dump("")).unwrap();
    let configs = whole["configs"].as_array().unwrap();
    let section =
        configs.iter().find(|config| config["@type"].as_str().unwrap().ends_with("ClustersConfigDump")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: String| written(directory.path(), name, text.as_bytes());
    let dump = file("dump.json", whole.to_string());
    let expected = values(&audit_of(&[&dump]));
    assert!(expected.len() > 10);
    let clusters = plugin(["clusters", "--from", dump.to_str().unwrap(), "-o", "json"]).run().exits(0).stdout;
    let yaml = plugin(["clusters", "--from", dump.to_str().unwrap(), "-o", "yaml"]).run().exits(0).stdout;
    let clusters: Value = serde_json::from_str(&clusters).unwrap();
    let all = json!({"gateways": {"eg-1": whole, "eg-2": whole}});
    let sections = json!({"gateways": {"eg-1": section, "eg-2": section}});
    let ours = json!({"shop/web-1": clusters, "shop/web-2": clusters});
    let as_yaml = |value: &Value| serde_saphyr::to_string(value).unwrap();
    let of_pod = |pod: &str| {
        let mut whole = whole.clone();
        let configs = whole["configs"].as_array_mut().unwrap();
        let node = configs.iter_mut().find_map(|config| config["bootstrap"]["node"].as_object_mut()).unwrap();
        node.insert("id".to_owned(), format!("sidecar~10.0.0.1~{pod}.shop~shop.svc.cluster.local").into());
        whole
    };
    let one_by_one = |list: &Value, print: fn(&Value) -> String| {
        list.as_array().unwrap().iter().map(|value| print(value) + "\n").collect::<String>()
    };
    for (name, text, proxies) in [
        ("clusters.yaml", yaml.clone(), vec![]),
        ("documents.yml", format!("# by istioctl\n---\n{yaml}"), vec![]),
        ("dump.yaml", as_yaml(&whole), vec![]),
        ("section.json", section.to_string(), vec![]),
        ("section.yaml", as_yaml(section), vec![]),
        ("egctl-all.json", all.to_string(), vec!["gateways/eg-1", "gateways/eg-2"]),
        ("egctl-clusters.json", sections.to_string(), vec!["gateways/eg-1", "gateways/eg-2"]),
        ("egctl-clusters.yaml", as_yaml(&sections), vec!["gateways/eg-1", "gateways/eg-2"]),
        ("jq-c.json", one_by_one(&clusters, Value::to_string), vec![]),
        ("jq.json", one_by_one(&clusters, |value| format!("{value:#}")), vec![]),
        ("jq-configs.json", one_by_one(&of_pod("web-1")["configs"], |value| format!("{value:#}")), vec!["shop/web-1"]),
        (
            "jq-configs-c.json",
            format!("{{}}\n{}", one_by_one(&of_pod("web-1")["configs"], Value::to_string)),
            vec!["shop/web-1"],
        ),
        (
            "each.yaml",
            one_by_one(&clusters, |value| format!("---\n{}", serde_saphyr::to_string(value).unwrap())),
            vec![],
        ),
        ("two.json", format!("{:#}{}\n", of_pod("web-1"), of_pod("web-2")), vec!["shop/web-1", "shop/web-2"]),
        ("jq-s.json", json!([of_pod("web-1"), of_pod("web-2")]).to_string(), vec!["shop/web-1", "shop/web-2"]),
        (
            "jq-s-pretty.json",
            format!("{:#}", json!([of_pod("web-1"), of_pod("web-2")])),
            vec!["shop/web-1", "shop/web-2"],
        ),
        ("ours.json", ours.to_string(), vec!["shop/web-1", "shop/web-2"]),
        ("ours.yaml", as_yaml(&ours), vec!["shop/web-1", "shop/web-2"]),
    ] {
        let path = file(name, text);
        let audit = audit_of(&[&path]);
        assert_eq!(values(&audit), expected, "{name}");
        let mut names: Vec<&str> = audit["proxySets"]
            .as_object()
            .unwrap()
            .values()
            .flat_map(|set| set.as_array().unwrap())
            .map(|name| name.as_str().unwrap())
            .collect();
        names.sort_unstable();
        names.dedup();
        if !proxies.is_empty() {
            assert_eq!(names, proxies, "{name}");
            // One of them, chosen as from a cluster.
            let args = ["clusters", proxies[0], "--from", path.to_str().unwrap(), "-o", "json"];
            let (namespace, pod) = proxies[0].split_once('/').unwrap();
            let chosen = [args[0], pod, "-n", namespace, args[2], args[3], args[4], args[5]];
            let chosen: Value = plugin(chosen).json();
            assert_eq!(chosen.as_array().map(Vec::len), clusters.as_array().map(Vec::len), "{name}");
        }
    }
    let one = file("cluster.json", clusters[0].to_string());
    assert_eq!(values(&audit_of(&[&one])).len(), 1);
    // Where one dump ends and the next one begins is to be seen in a list of parts, too.
    let mixed = one_by_one(&of_pod("web-1")["configs"], Value::to_string)
        + &one_by_one(&of_pod("web-2")["configs"], Value::to_string);
    let run = plugin(["timeouts", "--from", file("mixed.json", mixed).to_str().unwrap()]).run().exits(4);
    assert!(run.stderr.contains("each proxy has a file of its own"), "{}", run.stderr);
    // What only looks like one of these is not taken for one.
    for (name, text) in [
        ("package.json", json!({"name": "left-pad", "version": "1.0.0"}).to_string()),
        ("list.json", json!({"kind": "List", "items": []}).to_string()),
        ("values.yaml", "replicas: 1\nname: web\n".to_owned()),
        ("broken.yaml", "a: [\n".to_owned()),
    ] {
        let path = file(name, text);
        let run = plugin(["timeouts", "--from", path.to_str().unwrap()]).run().exits(4);
        assert!(run.stderr.contains(name), "{}", run.stderr);
    }
}

#[test]
fn one_proxy_of_a_map_that_cannot_be_read_costs_the_others_nothing() {
    let map = json!({"shop/good": [{"name": "outbound|80||a", "connectTimeout": "1s"}], "shop/bad": []}).to_string();
    let audit = plugin(["timeouts", "--from", "-", "-o", "json"]).stdin(map).json();
    assert_eq!(
        (&audit["coverage"]["audited"], &audit["coverage"]["failed"][0]["proxy"]),
        (&1.into(), &"shop/bad".into())
    );
}

/// istioctl's array of two clusters, whose first has this timeout.
fn two_clusters(timeout: &str) -> String {
    json!([
        {"name": "outbound|443||api.example.com", "type": "STRICT_DNS", "connectTimeout": timeout},
        {"name": "outbound|80||web.shop.svc.cluster.local", "type": "EDS", "connectTimeout": "10s"},
    ])
    .to_string()
}

/// Each proxy that a file gives, with the timeout that it has for api.example.com.
fn proxies_of(path: &Path, code: i32) -> Vec<(String, String)> {
    let from = path.to_str().unwrap();
    let run = plugin(["clusters", "--from", from, "--fqdn", "api.example.com", "-o", "json"]).run().exits(code);
    let timeout = |clusters: &Value| clusters[0]["connectTimeout"].as_str().unwrap().to_owned();
    let name = |name: &str| name.replace(from, "FILE");
    match serde_json::from_str(&run.stdout).unwrap() {
        Value::Object(all) => all.iter().map(|(proxy, clusters)| (name(proxy), timeout(clusters))).collect(),
        one => vec![("FILE".to_owned(), timeout(&one))],
    }
}

#[test]
fn several_dumps_of_one_file_are_several_proxies() {
    let directory = tempfile::tempdir().unwrap();
    let (one, two) = (two_clusters("1s"), two_clusters("2s"));
    let pretty = |text: &str| serde_json::to_string_pretty(&serde_json::from_str::<Value>(text).unwrap()).unwrap();
    let (long, longer) = (pretty(&one), pretty(&two));
    let numbered = [("FILE", "1s"), ("FILE#2", "2s")];
    let named = [("shop/web-1", "1s"), ("pay/ledger-7d4b9c-x2x4v", "2s")];
    let node = |pod: &str| json!({"@type": "x/envoy.admin.v3.BootstrapConfigDump", "bootstrap": {"node": {"id": format!("sidecar~10.0.0.1~{pod}~x")}}});
    let section = |clusters: &str| {
        let clusters: Vec<Value> = serde_json::from_str(clusters).unwrap();
        let entries: Vec<Value> = clusters.into_iter().map(|cluster| json!({"cluster": cluster})).collect();
        json!({"@type": "x/envoy.admin.v3.ClustersConfigDump", "dynamic_active_clusters": entries})
    };
    let whole = |pod: &str, clusters: &str| json!({"configs": [node(pod), section(clusters)]}).to_string();
    let (first, second) = (whole("web-1.shop", &one), whole("ledger-7d4b9c-x2x4v.pay", &two));
    for (form, text, wanted) in [
        ("appended", format!("{long}\n{longer}\n"), numbered),
        ("with nothing between", format!("{one}{two}"), numbered),
        ("one a line", format!("{one}\n{two}\n"), numbered),
        ("one a line of Windows", format!("{one}\r\n{two}\r\n"), numbered),
        ("separated", format!("{long}\n---\n{longer}\n"), numbered),
        ("separated at both ends", format!("---\n{long}\n---\n{longer}\n---\n"), numbered),
        ("a list of lists", format!("[{one}, {two}]"), numbered),
        ("lists of lists", format!("[{one}]\n[{two}]\n"), numbered),
        ("text sequences", format!("\u{1e}{one}\n\u{1e}{two}\n"), numbered),
        ("with marks of UTF-8", format!("\u{feff}{one}\n\u{feff}{two}\n"), numbered),
        ("named above", format!("# web-1.shop\n{long}\n# ledger-7d4b9c-x2x4v.pay\n{longer}\n"), named),
        (
            "named above, as kubectl's names",
            format!("=== shop/web-1 ===\n{one}\n=== pay/ledger-7d4b9c-x2x4v ===\n{two}\n"),
            named,
        ),
        ("named after a separator", format!("--- web-1.shop\n{one}\n--- ledger-7d4b9c-x2x4v.pay\n{two}"), named),
        ("named above, and nothing else", format!("web-1.shop\n{one}\npay/ledger-7d4b9c-x2x4v\n{longer}\n"), named),
        ("sections, separated", format!("{}\n---\n{}", section(&one), section(&two)), numbered),
        ("whole dumps", format!("{first}\n{second}"), named),
        ("whole dumps under other names", format!("# other-1.shop\n{first}\n---\n# other-2.shop\n{second}"), named),
        ("a list of whole dumps", format!("[{first}, {second}]"), named),
    ] {
        let path = written(directory.path(), "dumps.json", text.as_bytes());
        let found = proxies_of(&path, 0);
        let found: BTreeSet<_> = found.iter().map(|(proxy, timeout)| (proxy.as_str(), timeout.as_str())).collect();
        assert_eq!(found, BTreeSet::from(wanted), "{form}");
        assert_eq!(audit_of(&[&path])["coverage"]["audited"], 2, "{form}");
        // Windows' UTF-16 of it is the same.
        for (mark, turn) in [(b"\xff\xfe", u16::to_le_bytes as fn(u16) -> [u8; 2]), (b"\xfe\xff", u16::to_be_bytes)] {
            let wide = [&mark[..], &text.encode_utf16().flat_map(turn).collect::<Vec<u8>>()].concat();
            let wide = written(directory.path(), "dumps.json", &wide);
            assert_eq!(proxies_of(&wide, 0).len(), 2, "{form}, UTF-16");
        }
    }
    // Three are three, beyond what is read at once too.
    let many: String = (0..300).map(|_| format!("{long}\n---\n")).collect();
    let path = written(directory.path(), "many.json", many.as_bytes());
    assert_eq!(audit_of(&[&path])["coverage"]["audited"], 300);
    // An empty one is said, and costs the others nothing.
    let path = written(directory.path(), "empty.json", format!("[]\n{one}\n[]\n{two}").as_bytes());
    let coverage = audit_of(&[&path])["coverage"].clone();
    assert_eq!((&coverage["audited"], coverage["failed"].as_array().unwrap().len()), (&json!(2), 1), "{coverage}");
    // A broken one costs those before it nothing, and is said.
    let path = written(directory.path(), "broken.json", format!("{one}\n{}", &two[..40]).as_bytes());
    let audit = audit_of(&[&path]);
    assert_eq!(audit["coverage"]["audited"], 1, "{audit}");
    assert!(audit["coverage"]["failed"][0]["message"].as_str().unwrap().contains("ends early"), "{audit}");
}

/// What a terminal shows beside a dump, and what `2>&1` mixes into it.
#[test]
fn what_is_said_beside_a_dump_is_passed_over() {
    let directory = tempfile::tempdir().unwrap();
    let dump = two_clusters("1s");
    let defaulted = "Defaulted container \"istio-proxy\" out of: istio-proxy, app, istio-init (init)";
    let defaulting = "Defaulting container name to istio-proxy.\nUse 'kubectl describe pod/web-1 -n shop' to see all of the containers in this pod.";
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ndate: Mon, 30 Nov 2026 03:00:00 GMT\r\nserver: envoy\r\n\r";
    let progress = "  % Total    % Received % Xferd  Average Speed\n                                 Dload  Upload\n\r  0     0    0     0    0     0      0      0 --:--:-- --:--:-- --:--:--     0\r100  1234    0  1234    0     0   1234k      0 --:--:-- --:--:-- --:--:-- 1234k";
    let typed = "$ kubectl exec web-1 -n shop -c istio-proxy -- pilot-agent request GET config_dump";
    for (form, text) in [
        ("kubectl's container", format!("{defaulted}\n{dump}\n")),
        ("an older kubectl's", format!("{defaulting}\n{dump}\n")),
        ("an answer's head", format!("{head}\n{dump}")),
        ("curl's progress", format!("{progress}\n{dump}")),
        ("a prompt", format!("me@laptop:~{typed}\n{defaulted}\n{dump}\nme@laptop:~$ exit\n")),
        ("a shell of root", format!("{typed}\n{dump}\nroot@web-1:/# exit\n")),
        ("the end of an exec", format!("{dump}\ncommand terminated with exit code 1\n")),
        ("Markdown", format!("```json\n{dump}\n```\n")),
    ] {
        let path = written(directory.path(), "dump.json", text.as_bytes());
        assert_eq!(proxies_of(&path, 0), [("FILE".to_owned(), "1s".to_owned())], "{form}");
        let coverage = audit_of(&[&path])["coverage"].clone();
        assert_eq!(coverage["failed"].as_array().map(Vec::len), Some(0), "{form}: {coverage}");
    }
    for (form, text) in [
        ("a letter", format!("Dear all,\nthis is what I get:\n{dump}\nWhat is this?\n")),
        (
            "a prompt in brackets",
            format!("[root@bastion ~]# kubectl exec web-1 -- curl -s x\n{dump}\n[root@bastion ~]# logout\n"),
        ),
        (
            "curl -v",
            format!(
                "* Connected to localhost port 15000\n> GET /config_dump HTTP/1.1\n< HTTP/1.1 200 OK\n<\n{{ [14480 bytes data]\n{dump}\n* Connection #0 left intact\n"
            ),
        ),
        (
            "an issue",
            format!(
                "# Resets\n\nHere it is:\n\n```yaml\naccessLogFile: /dev/stdout\n```\n\n<details>\n\n```json\n{dump}\n```\n</details>\n"
            ),
        ),
        ("a page", format!("<html><body><pre>{dump}</pre></body></html>\n")),
        ("words of a prompt in it", format!("{{\"note\": \"$ kubectl exit\", \"resources\": {dump}}}\n")),
    ] {
        let path = written(directory.path(), "dump.json", text.as_bytes());
        assert_eq!(proxies_of(&path, 0), [("FILE".to_owned(), "1s".to_owned())], "{form}");
    }
    // Of what has no dump, of a piece of one, and of a dump that somebody did not get, it is said.
    let failed = "Error from server (NotFound): pods \"web-2\" not found";
    for (text, said) in [
        ("Dear all,\nwhat is this?\n".to_owned(), "it is some other text"),
        (format!("{}{dump}\n", "a line of a log\n".repeat(1001)), "it is some other text"),
        (format!("{dump}\n}}\n"), "where the end should be"),
        (format!("   \"connectTimeout\": \"1s\"\n  }}\n ]\n}}\n{dump}\n"), "it is one text or number"),
        (format!("{dump}\n{failed}\n{dump}\n"), failed),
        (format!("{dump}\ncurl: (7) Failed to connect to localhost port 15000\n"), "curl: (7) Failed to connect"),
        ("42\n".to_owned(), "it is one text or number"),
    ] {
        let path = written(directory.path(), "dump.json", text.as_bytes());
        let run = plugin(["timeouts", "--from", path.to_str().unwrap()]).run();
        assert!(run.stderr.contains(said) || run.stdout.contains(said), "{text:.40}: {} {}", run.stdout, run.stderr);
    }
}

/// What was copied from where it was shown, and what carries a dump inside.
#[test]
fn a_dump_is_found_inside_what_it_came_in() {
    let directory = tempfile::tempdir().unwrap();
    let clusters: Value = serde_json::from_str(&two_clusters("1s")).unwrap();
    let entries: Vec<Value> = clusters.as_array().unwrap().iter().map(|cluster| json!({"cluster": cluster})).collect();
    let section = json!({"@type": "x/envoy.admin.v3.ClustersConfigDump", "dynamic_active_clusters": entries});
    let whole = json!({"configs": [section]});
    let pretty = serde_json::to_string_pretty(&whole).unwrap();
    let before = |prefix: &str| pretty.lines().map(|line| format!("{prefix}{line}\n")).collect::<String>();
    let wrapped = |key: &str| -> Vec<Value> {
        clusters.as_array().unwrap().iter().map(|cluster| json!({"name": cluster["name"], key: cluster})).collect()
    };
    let named = json!({"namespace": "shop", "pod": "web-1", "config_dump": whole});
    for (form, text, name) in [
        ("a quotation", before("> "), "FILE"),
        ("a job's log", before("2026-11-30T03:00:01.1234567Z "), "FILE"),
        ("kubectl logs --prefix", before("[pod/web-1/istio-proxy] "), "FILE"),
        ("jq -C", pretty.replace("\"configs\"", "\u{1b}[34;1m\"configs\"\u{1b}[0m"), "FILE"),
        ("a string", Value::from(&*pretty).to_string(), "FILE"),
        (
            "Ansible",
            json!({"changed": false, "rc": 0, "stdout": pretty, "stdout_lines": pretty.lines().collect::<Vec<_>>()})
                .to_string(),
            "FILE",
        ),
        (
            "HAR",
            json!({"log": {"entries": [{"response": {"content": {"mimeType": "application/json", "text": pretty}}}]}})
                .to_string(),
            "FILE",
        ),
        ("a script's line", named.to_string(), "shop/web-1"),
        ("an answer of xDS", json!({"versionInfo": "1", "resources": clusters, "nonce": "x"}).to_string(), "FILE"),
        (
            "an answer of delta xDS",
            json!({"systemVersionInfo": "1", "resources": wrapped("resource")}).to_string(),
            "FILE",
        ),
        (
            "CSDS",
            json!({"config": [{"node": {"id": "x"}, "genericXdsConfigs": wrapped("xdsConfig")}]}).to_string(),
            "FILE",
        ),
    ] {
        let path = written(directory.path(), "dump.json", text.as_bytes());
        assert_eq!(proxies_of(&path, 0), [("FILE".to_owned(), "1s".to_owned())], "{form}");
        let audit = audit_of(&[&path]);
        let wanted = name.replace("FILE", path.to_str().unwrap());
        assert_eq!(audit["proxySets"], json!({"s1": [wanted]}), "{form}");
    }
    // What a proxy starts with, what Kubernetes keeps, and endpoints are no dump.
    let filter = json!({"apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter", "spec": {"configPatches": [
        {"applyTo": "CLUSTER", "patch": {"operation": "ADD", "value": clusters[0]}}]}});
    for (said, text) in [
        ("it is a bootstrap", json!({"node": {"id": "x"}, "static_resources": {"clusters": clusters}})),
        ("neither a config dump", filter.clone()),
        ("neither a config dump", json!({"apiVersion": "v1", "kind": "List", "items": [filter]})),
        (
            "neither a config dump",
            json!({"clusterStatuses": [{"name": "a", "addedViaApi": true, "circuitBreakers": {}}]}),
        ),
    ] {
        let path = written(directory.path(), "dump.json", text.to_string().as_bytes());
        let run = plugin(["timeouts", "--from", path.to_str().unwrap()]).run().exits(4);
        assert!(run.stderr.contains(said), "{}", run.stderr);
    }
}

#[test]
fn a_list_of_several_proxies_says_that_it_is_one() {
    let directory = tempfile::tempdir().unwrap();
    let flat = |text: &str| {
        let clusters: Vec<Value> = serde_json::from_str(text).unwrap();
        clusters.iter().map(|cluster| format!("{cluster}\n")).collect::<String>()
    };
    let yaml = |timeout: &str| {
        format!("- name: outbound|443||api.example.com\n  type: STRICT_DNS\n  connectTimeout: {timeout}\n")
    };
    for (form, text) in [
        ("parts", format!("{}{}", flat(&two_clusters("1s")), flat(&two_clusters("2s")))),
        (
            "a joined list",
            format!("{},{}", two_clusters("1s").trim_end_matches(']'), two_clusters("2s").trim_start_matches('[')),
        ),
        ("YAML", yaml("1s") + &yaml("2s")),
    ] {
        let path = written(directory.path(), "dumps.json", text.as_bytes());
        let run = plugin(["timeouts", "--from", path.to_str().unwrap()]).run().exits(1);
        for said in ["1s", "2s", "1 proxy not read", "two clusters of one name"] {
            assert!(run.stdout.contains(said), "{form}: {}", run.stdout);
        }
    }
    let separated = format!("{}---\n{}", yaml("1s"), yaml("2s"));
    let path = written(directory.path(), "separated.yaml", separated.as_bytes());
    assert_eq!(proxies_of(&path, 0), [("FILE".to_owned(), "1s".to_owned()), ("FILE#2".to_owned(), "2s".to_owned())]);
}

/// A waypoint has no BlackHoleCluster; its tunnel to its services has the mesh's value.
#[test]
fn a_waypoint_alone_tells_the_meshs_value() {
    let directory = tempfile::tempdir().unwrap();
    for (version, timeout, shown) in [("1.27.0", "1s", true), ("1.27.0", "2s", true), ("1.22.0", "2s", false)] {
        let node = json!({"id": "waypoint~10.0.0.1~waypoint-1.shop~x", "metadata": {"ISTIO_VERSION": version}});
        let tunnel = json!({"name": "connect_originate", "type": "ORIGINAL_DST", "connect_timeout": timeout});
        let dump = json!({"configs": [
            {"@type": "x/envoy.admin.v3.BootstrapConfigDump", "bootstrap": {"node": node}},
            {"@type": "x/envoy.admin.v3.ClustersConfigDump", "dynamic_active_clusters": [{"cluster": tunnel}]},
        ]});
        let path = written(directory.path(), "waypoint.json", dump.to_string().as_bytes());
        let values = audit_of(&[&path])["mesh"].clone();
        let source = "connect_originate of 1 of 1 proxies";
        assert_eq!(values[0]["source"] == source, shown, "{version} {timeout}: {values}");
    }
}
