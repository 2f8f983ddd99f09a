//! What is said of recorded meshes (README.md), as JSON lines, to be compared with what Istio does:
//!
//! - `attribute RECORDED`: for every cluster the value that the objects give, and where it comes from
//! - `plans RECORDED`: the plan for each mesh and for each of its hosts (`fix --host`), the mesh as that plan leaves it,
//!   and the values that it foretells

#![allow(clippy::print_stdout, clippy::exit, clippy::unwrap_used, reason = "a tool of the tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};

use meshaudit::attribute::Attributor;
use meshaudit::audit::{Filter, Policy, audit};
use meshaudit::fix::{self, FixOptions, FixPlan, Step, TimeoutKey};
use meshaudit::model::{ClusterName, MeshSnapshot, Origin, ProxySnapshot, format_duration};
use serde_json::{Value, json};

use mesh::{list, snapshot, text};

mod mesh;

fn origin(origin: &Origin) -> Value {
    let object = origin.kind.object();
    json!({
        "kind": origin.kind.as_str(),
        "namespace": object.map_or("", |object| object.namespace.as_str()),
        "name": object.map_or("", |object| object.name.as_str()),
        "part": origin.kind.part(),
        "certain": origin.certain,
        "note": origin.note,
    })
}

fn attribute(case: &Value) -> Value {
    let snapshot = snapshot(case);
    let attributor = Attributor::new(&snapshot);
    let mut rows = Vec::new();
    for (position, read) in snapshot.proxies.iter().enumerate() {
        let class = attributor.class_of(position);
        for row in read.clusters.iter() {
            let cluster = &snapshot.clusters[row as usize];
            let told = attributor.attribute(class, row);
            let expected = told.expected.as_ref();
            rows.push(json!({
                "proxy": read.proxy.id.to_string(),
                "cluster": &*cluster.name,
                "held": cluster.connect_timeout.map(format_duration),
                "known": expected.is_some(),
                "expected": expected.and_then(|expected| expected.timeout.map(format_duration)),
                "expectedOrigin": expected.map(|expected| origin(&expected.origin)),
                "origin": origin(&told.origin),
                "verdict": format!("{:?}", told.verdict),
            }));
        }
    }
    json!({"id": case["id"], "rows": rows})
}

/// An object as `kubectl patch … --type TYPE -p PATCH` leaves it, for the two types and the operations that are printed.
fn patched(object: &mut Value, args: &[String]) {
    let after = |flag: &str| args.iter().skip_while(|word| *word != flag).nth(1).unwrap();
    let patch: Value = serde_json::from_str(after("-p")).unwrap();
    if after("--type") == "merge" {
        return merge(object, &patch);
    }
    for change in patch.as_array().unwrap() {
        let path = change["path"].as_str().unwrap();
        if change["op"] == "test" {
            assert_eq!(object.pointer(path), Some(&change["value"]), "{path}");
            continue;
        }
        assert_eq!(change["op"], "add", "{path}");
        let (above, key) = path.rsplit_once('/').unwrap();
        let key = key.replace("~1", "/").replace("~0", "~");
        object.pointer_mut(above).unwrap()[key] = change["value"].clone();
    }
}

/// RFC 7396, without removing anything.
fn merge(into: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else { return into.clone_from(patch) };
    for (key, value) in fields {
        merge(&mut into[key.as_str()], value);
    }
}

/// The mesh as a plan leaves it. Its mesh configurations must be JSON.
fn carried_out(case: &Value, plan: &FixPlan) -> Value {
    let mut changed = case.clone();
    changed.as_object_mut().unwrap().shift_remove("answer");
    for step in &plan.steps {
        match step {
            Step::Mesh(step) => {
                let planes = changed["planes"].as_array_mut().map_or([].as_mut_slice(), Vec::as_mut_slice);
                let of = match planes.iter().position(|plane| plane["revision"] == step.revision.as_str()) {
                    Some(position) => &mut changed["planes"][position],
                    None => &mut changed,
                };
                let source = match step.target {
                    meshaudit::model::istio::MeshConfigKind::Shared => "sharedMesh",
                    _ => "mesh",
                };
                let before = of[source].as_str().and_then(|text| serde_json::from_str(text).ok());
                let mut mesh: Value = before.unwrap_or_else(|| json!({}));
                let value = json!(format_duration(step.after));
                for field in step.key.fields() {
                    let place = match field {
                        TimeoutKey::DefaultTrafficPolicy => &mut mesh["defaultTrafficPolicy"]["connectionPool"]["tcp"],
                        _ => &mut mesh,
                    };
                    place["connectTimeout"] = value.clone();
                }
                of[source] = json!(mesh.to_string());
            }
            Step::Object(step) => {
                let identity = &step.identity;
                let objects = changed["objects"].as_array_mut().unwrap();
                let same = |object: &&mut Value| {
                    object["kind"] == identity.kind
                        && object["metadata"]["namespace"] == identity.namespace.as_str()
                        && object["metadata"]["name"] == identity.name.as_str()
                };
                match objects.iter_mut().find(same) {
                    Some(object) => patched(object, &step.command.args),
                    // Made later than everything that is there.
                    None => objects.push(json!({"apiVersion": identity.api_version, "kind": identity.kind,
                        "metadata": {"namespace": identity.namespace, "name": identity.name,
                                     "creationTimestamp": "2030-01-01T00:00:00Z"},
                        "spec": serde_json::from_str::<Value>(&step.spec).unwrap()})),
                }
            }
        }
    }
    changed
}

/// What a plan says that it does, in a few words a step.
fn steps(plan: &FixPlan) -> Vec<Value> {
    let described = plan.steps.iter().map(|step| match step {
        Step::Mesh(step) => json!({"mesh": step.revision, "after": format_duration(step.after),
            "key": format!("{:?}", step.key), "source": format!("{:?}", step.target)}),
        Step::Object(step) => json!({"kind": step.identity.kind, "namespace": step.identity.namespace,
            "name": step.identity.name, "created": step.created, "host": step.host, "warnings": step.warnings,
            "changes": step.changes.iter().map(|change| json!({"part": change.part,
                "before": change.before.map(format_duration), "after": format_duration(change.after)})).collect::<Vec<_>>()}),
    });
    described.collect()
}

fn foretold(snapshot: &MeshSnapshot, plan: &FixPlan) -> BTreeMap<String, BTreeMap<String, Option<String>>> {
    let after = fix::apply(snapshot, plan);
    let of = |read: &ProxySnapshot| {
        let clusters = read.clusters.iter().map(|row| &after.clusters[row as usize]);
        let values = clusters.map(|cluster| (cluster.name.to_string(), cluster.connect_timeout.map(format_duration)));
        (read.proxy.id.to_string(), values.collect())
    };
    after.proxies.iter().map(of).collect()
}

fn plan_of(case: &Value, snapshot: &MeshSnapshot, host: Option<&str>) -> Value {
    let (filter, policy) = (Filter::default(), Policy::default());
    let found = audit(snapshot, &filter, &policy);
    let hosts = host.map(str::to_owned).into_iter().collect();
    let options = FixOptions { hosts, ..FixOptions::default() };
    let plan = fix::plan(snapshot, &found, &filter, &policy, &options);
    let mut changed = carried_out(case, &plan);
    let id = host.map_or_else(|| text(case, "id").to_owned(), |host| format!("{}@{host}", text(case, "id")));
    changed["id"] = json!(id);
    let open: Vec<&str> = plan.open.iter().map(|open| open.host.as_str()).collect();
    json!({"id": id, "of": case["id"], "host": host, "steps": plan.steps.len(), "does": steps(&plan), "open": open,
           "notes": plan.notes, "case": changed, "foretold": foretold(snapshot, &plan)})
}

/// The mesh-wide plan and one for each host that a cluster of some proxy has.
fn plans(case: &Value) -> Vec<Value> {
    let snapshot = snapshot(case);
    let names = snapshot.clusters.iter().filter_map(|cluster| ClusterName::parse(&cluster.name));
    let hosts: BTreeSet<String> = names.map(|name| name.host.to_owned()).filter(|host| !host.is_empty()).collect();
    let wanted = std::iter::once(None).chain(hosts.iter().map(|host| Some(host.as_str())));
    wanted.map(|host| plan_of(case, &snapshot, host)).collect()
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [mode, path] = args.as_slice() else {
        println!("conformance attribute|plans RECORDED");
        std::process::exit(2);
    };
    let file = BufReader::new(std::fs::File::open(path).unwrap());
    let mut out = std::io::stdout().lock();
    for line in file.lines() {
        let case: Value = serde_json::from_str(&line.unwrap()).unwrap();
        if list(&case["answer"], "proxies").is_empty() || !case["answer"]["error"].is_null() {
            continue;
        }
        let told = if mode == "plans" { plans(&case) } else { vec![attribute(&case)] };
        for told in told {
            writeln!(out, "{told}").unwrap();
        }
    }
}
