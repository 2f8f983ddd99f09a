//! What became of a proxy's clusters, told from answers of the real istiod and the real Envoy. They were recorded by
//! tests/lab/record.py, one folder for each state.

use std::fs;
use std::path::Path;

use meshaudit::audit::{Filter, Finding, Policy, Severity, audit};
use meshaudit::decode::dump::{DumpDecoder, Item, decode_element};
use meshaudit::decode::objects::from_manifests;
use meshaudit::decode::{mesh_config, syncz, xds_stats};
use meshaudit::fix::verify::{Expectation, Verification, verify};
use meshaudit::model::delivery::{Delivery, Progress};
use meshaudit::model::sync::{Answer, Instance};
use meshaudit::model::{ClusterSet, ClusterSource, MeshSnapshot, Proxy, ProxyId, ProxySnapshot, SnapshotBuilder};

/// The eight states, each with what is said of it and how `verify` calls it; nothing where all is well.
const STATES: [(&str, &str, Option<&str>); 8] = [
    ("healthy", "", None),
    ("response-refused", "it rejected the last update as a whole, and keeps its older clusters", Some("rejected")),
    ("clusters-refused", "of the last update, and keeps the older ones of them; it took all others", Some("rejected")),
    (
        "response-refused-restarted",
        "it has no cluster from its control plane: it has rejected every update since it started",
        Some("no-clusters"),
    ),
    ("clusters-refused-restarted", "it rejects clusters that it is sent, and lacks", Some("rejected")),
    ("mended", "", None),
    ("istiod-away", "it is not connected to its control plane, and keeps the clusters that it was given before", None),
    (
        "istiod-away-restarted",
        "it has no cluster from its control plane: it has not been connected to it since it started",
        Some("no-clusters"),
    ),
];

fn recorded(state: &str, file: &str) -> Option<String> {
    fs::read_to_string(crate::project().join("tests/fixtures/istiod").join(state).join(file)).ok()
}

/// The recorded proxy and its control plane. `asked` is whether istiod may be asked.
fn snapshot(state: &str, asked: bool) -> MeshSnapshot {
    let mut builder = SnapshotBuilder::default();
    let mut held = ClusterSet::default();
    for (file, source) in [
        ("dynamic.json", ClusterSource::Active),
        ("warming.json", ClusterSource::Warming),
        ("static.json", ClusterSource::Static),
    ] {
        let mut decoder = DumpDecoder::new(1 << 20, source);
        let dump = recorded(state, file).unwrap();
        let each = &mut |element: &[u8], source: ClusterSource| {
            decode_element(element, source, |item| {
                if let Item::Cluster(cluster, _) = item {
                    held.insert(builder.intern(cluster));
                }
            })
            .map(|_| ())
        };
        decoder.feed(dump.as_bytes(), each).unwrap();
        decoder.finish().unwrap();
    }
    let xds = xds_stats::parse(&recorded(state, "stats.txt").unwrap());
    assert!(xds.is_some(), "{state}: Envoy says nothing of its clusters");
    let proxy = Proxy { revision: "default".into(), ..Proxy::named(ProxyId::new("shop", "web-1")) };
    builder.read(ProxySnapshot { proxy, clusters: held, version: None, loggers: None, xds, evidence: None });
    let mesh = recorded(state, "mesh.json").map(|mesh| mesh_config::parse(&mesh).unwrap());
    let value = mesh.and_then(|mesh| mesh.connect_timeout).map_or(1, |value| value.as_secs());
    let mut objects = from_manifests(&format!(
        "kind: ConfigMap\nmetadata: {{name: istio, namespace: istio-system}}\ndata: {{mesh: 'connectTimeout: {value}s'}}\n---\n\
         kind: DestinationRule\nmetadata: {{name: orders, namespace: shop}}\nspec: {{host: orders.shop.svc.cluster.local, \
         trafficPolicy: {{portLevelSettings: [{{port: {{number: 80}}, connectionPool: {{tcp: {{connectTimeout: 500ms}}}}}}, {{port: \
         {{number: 9000}}, connectionPool: {{tcp: {{maxConnections: 50}}}}}}]}}, subsets: [{{name: v1, trafficPolicy: \
         {{connectionPool: {{tcp: {{connectTimeout: 2s}}}}}}}}]}}\n---\n\
         kind: DestinationRule\nmetadata: {{name: cards, namespace: shop}}\nspec: {{host: cards.example.com, trafficPolicy: \
         {{connectionPool: {{tcp: {{connectTimeout: 1s}}}}}}}}\n---\n\
         kind: DestinationRule\nmetadata: {{name: payments, namespace: pay}}\nspec: {{host: payments.pay.svc.cluster.local, \
         trafficPolicy: {{connectionPool: {{tcp: {{connectTimeout: 6s}}}}}}}}\n"
    ))
    .unwrap();
    if asked {
        let answer = match recorded(state, "syncz.json") {
            Some(text) => Answer::Proxies(syncz::parse_syncz(&text).unwrap()),
            None => Answer::Down("connection refused".into()),
        };
        objects.control_planes[0].instances = Some(vec![Instance {
            namespace: "istio-system".into(),
            pod: "istiod-1".into(),
            ready: matches!(answer, Answer::Proxies(_)),
            connect_timeout: None,
            answer: Some(answer),
        }]);
    }
    builder.objects("", objects);
    builder.finish(jiff::Timestamp::now())
}

fn stale(snapshot: &MeshSnapshot) -> Vec<Finding> {
    let findings = audit(snapshot, &Filter::default(), &Policy::default()).findings;
    findings.into_iter().filter(|finding| finding.rule.code == "MA006").collect()
}

fn reasons(verification: &Verification) -> Vec<&'static str> {
    let mut reasons: Vec<_> = verification.stragglers.iter().map(|straggler| straggler.reason.as_str()).collect();
    reasons.dedup();
    reasons
}

#[test]
fn eight_states_are_told_apart() {
    for (state, sentence, reason) in STATES {
        let snapshot = snapshot(state, true);
        let found = stale(&snapshot);
        let messages: Vec<&str> = found.iter().map(|finding| finding.message.as_str()).collect();
        if sentence.is_empty() {
            assert_eq!(messages, [""; 0], "{state}");
        } else {
            assert_eq!(messages.len(), 1, "{state}: {messages:#?}");
            assert!(messages[0].contains(sentence), "{state}: {messages:#?}");
        }
        let verification = verify(&snapshot, &Expectation::Objects);
        assert_eq!(
            reasons(&verification),
            reason.into_iter().collect::<Vec<_>>(),
            "{state}: {:#?}",
            verification.stragglers
        );
        assert_eq!(verification.good, usize::from(reason.is_none()), "{state}");
        // What has it and is cut off all the same is said, and is no straggler.
        assert_eq!(verification.cut_off.len(), usize::from(state == "istiod-away"), "{state}");
    }
}

#[test]
fn a_refusal_has_envoys_sentence_the_cluster_and_no_restart() {
    for state in ["response-refused", "clusters-refused", "response-refused-restarted", "clusters-refused-restarted"] {
        let found = stale(&snapshot(state, true));
        let [finding] = found.as_slice() else { panic!("{state}: {found:#?}") };
        assert_eq!(finding.severity, Severity::Error, "{state}");
        let envoys = if state.starts_with("response") { "Proto constraint validation failed" } else { "ORIGINAL_DST" };
        assert!(finding.message.contains(envoys), "{state}: {}", finding.message);
        assert!(finding.message.contains("orders.shop.svc.cluster.local"), "{state}: {}", finding.message);
        assert!(!finding.message.contains("goo.gle"), "{state}: {}", finding.message);
        let remedy = finding.remedy();
        assert!(!remedy.contains("or restart"), "{state}: {remedy}");
    }
}

fn delivery(snapshot: &MeshSnapshot, objects: Option<&meshaudit::model::objects::IstioObjects>) -> Delivery {
    Delivery::of(&snapshot.proxies[0], objects, &snapshot.clusters, &Delivery::refused(&snapshot.clusters))
}

#[test]
fn a_refusal_names_what_it_leaves_without() {
    let all: usize = {
        let healthy = snapshot("healthy", true);
        healthy.clusters.iter().filter(|cluster| cluster.source == ClusterSource::Active).count()
    };
    let lacking = snapshot("clusters-refused-restarted", true);
    let delivery = delivery(&lacking, lacking.objects.get(""));
    let held = lacking.clusters.iter().filter(|cluster| cluster.source == ClusterSource::Active).count();
    assert_eq!(held + delivery.missing.len(), all);
    assert!(delivery.missing.iter().all(|name| name.contains("orders")), "{:?}", delivery.missing);
}

#[test]
fn without_istiod_only_what_the_proxy_says_is_known() {
    for (state, progress, has_nothing) in [
        ("healthy", Progress::Unknown, false),
        ("response-refused", Progress::Unknown, false),
        ("response-refused-restarted", Progress::Rejected(None), true),
        ("clusters-refused-restarted", Progress::Rejected(None), false),
        ("mended", Progress::Unknown, false),
        ("istiod-away", Progress::Disconnected, false),
        ("istiod-away-restarted", Progress::Disconnected, true),
    ] {
        let snapshot = snapshot(state, false);
        let delivery = delivery(&snapshot, snapshot.objects.get(""));
        assert_eq!((delivery.progress.clone(), delivery.has_nothing()), (progress, has_nothing), "{state}");
        let verification = verify(&snapshot, &Expectation::Value(std::time::Duration::from_secs(1)));
        if has_nothing {
            assert_eq!(reasons(&verification), ["no-clusters"], "{state}");
        }
    }
}

#[test]
fn an_answer_that_did_not_come_is_not_an_empty_one() {
    let mut snapshot = snapshot("healthy", true);
    let mut plane = snapshot.objects[""].control_planes[0].clone();
    // The proxy's own word is missing, as in Istio's own bootstrap.
    snapshot.proxies[0].xds.as_mut().unwrap().connected = None;
    for (answer, progress) in [
        (Answer::Unread("no whole answer within 15s".into()), Progress::Unknown),
        (Answer::Proxies(Vec::new()), Progress::Disconnected),
        (Answer::Down("connection refused".into()), Progress::Disconnected),
    ] {
        plane.instances.as_mut().unwrap()[0].answer = Some(answer.clone());
        let objects = meshaudit::model::objects::IstioObjects {
            control_planes: vec![plane.clone()],
            ..meshaudit::model::objects::IstioObjects::default()
        };
        let delivery = delivery(&snapshot, Some(&objects));
        assert_eq!(delivery.progress, progress, "{answer:?}");
    }
}

#[test]
fn every_answer_of_istiod_is_understood() {
    for (state, ..) in STATES {
        let Some(text) = recorded(state, "syncz.json") else { continue };
        let [sync] = syncz::parse_syncz(&text).unwrap().try_into().unwrap();
        assert_eq!(sync.proxy, "web-1.shop", "{state}");
        assert!(sync.tells_errors && sync.sent_at.is_some(), "{state}: {sync:?}");
    }
}

/// Every check of tests/lab, beside the real istiod, kube-apiserver, istioctl and helm. It takes half an hour and Go, so
/// it is asked for: `MESHAUDIT_LAB=DIR cargo test --test it -- --ignored the_lab_agrees`, with the lab's directory.
#[test]
#[ignore = "needs the lab: MESHAUDIT_LAB=DIR"]
fn the_lab_agrees() {
    let lab = std::env::var("MESHAUDIT_LAB").expect("MESHAUDIT_LAB names the lab's directory");
    // A copy, so that a build in the meantime changes nothing.
    let copied = tempfile::tempdir().unwrap();
    let program = copied.path().join("kubectl-meshaudit");
    std::fs::copy(env!("CARGO_BIN_EXE_kubectl-meshaudit"), &program).unwrap();
    let disagree = ["check", "walks", "installations"].into_iter().filter(|checks| {
        let mut run = std::process::Command::new(crate::project().join("tests/lab/check.sh"));
        !run.args([Path::new(&lab), &program]).env("CHECKS", checks).status().unwrap().success()
    });
    assert_eq!(disagree.collect::<Vec<_>>(), Vec::<&str>::new(), "what is printed above says why");
}
