//! What Istio's own control plane gave the proxies of many meshes, recorded (tests/conformance), held against what is
//! said of those clusters here. Every timeout of a random mesh stands in it once, so a value says where it came from.

use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use meshaudit::attribute::{Attributor, Verdict};
use meshaudit::audit::{Filter, Policy, audit};
use meshaudit::model::{Origin, parse_duration};
use serde_json::Value;

use mesh::{list, snapshot, text};

#[path = "../conformance/mesh.rs"]
mod mesh;

/// What came of the clusters of some meshes.
#[derive(Default)]
struct Tally {
    clusters: usize,
    unsure: usize,
    /// Said with certainty, and not what Istio did.
    wrong: Vec<String>,
}

/// Whether an origin is the place where a value was written; where a mesh does not say, any certain one is.
fn is_right(origin: &Origin, truth: Option<&Value>) -> bool {
    let Some(truth) = truth else { return true };
    let (kind, wanted) = (origin.kind.as_str(), truth[0].as_str().unwrap_or_default());
    let mesh = |kind: &str| matches!(kind, "MeshConfig" | "MeshDefault");
    if kind != wanted && !(mesh(kind) && mesh(wanted)) {
        return false;
    }
    wanted.starts_with("Mesh")
        || origin.kind.object().is_some_and(|object| truth[1] == object.namespace && truth[2] == object.name)
}

fn check(case: &Value, tally: &mut Tally) {
    let snapshot = snapshot(case);
    let attributor = Attributor::new(&snapshot);
    for (position, read) in snapshot.proxies.iter().enumerate() {
        let class = attributor.class_of(position);
        for row in read.clusters.iter() {
            let cluster = &snapshot.clusters[row as usize];
            let told = attributor.attribute(class, row);
            tally.clusters += 1;
            let held = cluster.connect_timeout;
            let origins = case["origins"].as_object().into_iter().flatten();
            let truth = { origins }.find(|(value, _)| parse_duration(value).ok() == held).map(|(_, truth)| truth);
            if !told.origin.certain {
                tally.unsure += 1;
            } else if told.verdict != Verdict::Explained || !is_right(&told.origin, truth) {
                let place = format!("{} {} {}", text(case, "id"), read.proxy.id, cluster.name);
                tally.wrong.push(format!("{place}: {held:?} of {truth:?}, said {:?}", told.origin));
            }
        }
    }
    let found = audit(&snapshot, &Filter::default(), &Policy::default());
    let refusals = refused_meshes(case);
    let mut told = 0;
    for finding in found.findings {
        if finding.rule.code == "MA006" && finding.message.contains("istiod does not take ConfigMap") {
            told += 1;
            if refusals > 0 {
                continue;
            }
        }
        if matches!(finding.rule.code, "MA005" | "MA006" | "MA012") {
            tally.wrong.push(format!("{}: {}: {}", text(case, "id"), finding.rule.code, finding.message));
        }
    }
    // Of two sources the value of a refused one stays in force, and is then nothing to report.
    if refusals > 0 && told == 0 && case["sharedMesh"].is_null() {
        tally.wrong.push(format!("{}: Istio refused the mesh configuration, and no finding says so", text(case, "id")));
    }
}

/// How often Istio refused a mesh configuration when the case was recorded (`meshOf` in tests/conformance/recorder).
fn refused_meshes(case: &Value) -> usize {
    let notes = list(&case["answer"], "notes").iter().filter_map(Value::as_str);
    notes.filter(|note| note.contains("mesh refused: ")).count()
}

fn check_lines(lines: &str) -> Tally {
    let mut tally = Tally::default();
    for line in lines.lines().filter(|line| !line.is_empty()) {
        check(&serde_json::from_str(line).unwrap(), &mut tally);
    }
    tally
}

fn check_recording(name: &str) -> Tally {
    let path = crate::project().join("tests/fixtures/conformance").join(name);
    let mut lines = String::new();
    GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut lines).unwrap();
    check_lines(&lines)
}

/// Nothing is wrong, and all but one in a thousand are known for certain.
fn agrees(tally: &Tally, at_least: usize) {
    assert!(tally.clusters >= at_least, "{} clusters", tally.clusters);
    let shown: Vec<&String> = tally.wrong.iter().take(10).collect();
    assert!(tally.wrong.is_empty(), "{} of {} wrong: {shown:#?}", tally.wrong.len(), tally.clusters);
    assert!(tally.unsure * 1000 <= tally.clusters, "{} of {} unsure", tally.unsure, tally.clusters);
}

#[test]
fn every_known_situation_is_as_istio_has_it() {
    agrees(&check_recording("known.jsonl.gz"), 2000);
}

#[test]
fn random_meshes_are_as_istio_has_them() {
    agrees(&check_recording("random.jsonl.gz"), 4000);
}

#[test]
fn meshes_of_every_kind_of_object_are_as_istio_has_them() {
    // Of one mesh, whose configuration is refused, no cluster shows what was in force before.
    let mut tally = check_recording("wide.jsonl.gz");
    assert!(tally.unsure <= 14, "{} of {} unsure", tally.unsure, tally.clusters);
    tally.unsure = 0;
    agrees(&tally, 6000);
}

#[test]
fn pairs_of_situations_are_as_istio_has_them() {
    agrees(&check_recording("pairs.jsonl.gz"), 6000);
}

#[test]
fn ambient_meshes_are_as_istio_has_them() {
    agrees(&check_recording("ambient.jsonl.gz"), 1500);
}

#[test]
fn older_versions_are_as_they_were() {
    agrees(&check_recording("versions.jsonl.gz"), 5000);
}

/// A recording of one's own: `MESHAUDIT_CONFORMANCE=FILE cargo test --test it -- --ignored conformance`.
#[test]
#[ignore = "needs a fresh recording (tests/conformance/README.md)"]
fn a_fresh_recording_agrees() {
    let path = std::env::var_os("MESHAUDIT_CONFORMANCE").expect("MESHAUDIT_CONFORMANCE names a recording");
    agrees(&check_lines(&std::fs::read_to_string(Path::new(&path)).unwrap()), 1);
}
