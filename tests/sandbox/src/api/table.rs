//! Tables, which kubectl asks the server for: it prints what the server says.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::store::Resource;

/// A `Table` of objects, with the columns of the real server for pods and a name and an age for the rest.
pub(super) fn of(resource: &Resource, objects: &[Value], metadata: Value) -> Value {
    let column = |name: &str, priority: u8| json!({"name": name, "type": "string", "format": if name == "Name" { "name" } else { "" }, "description": "", "priority": priority});
    let columns = if resource.plural == "pods" {
        let wide = ["IP", "Node", "Nominated Node", "Readiness Gates"];
        let narrow = ["Name", "Ready", "Status", "Restarts", "Age"];
        narrow.iter().map(|name| column(name, 0)).chain(wide.iter().map(|name| column(name, 1))).collect::<Vec<_>>()
    } else {
        vec![column("Name", 0), column("Age", 0)]
    };
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let cells = if resource.plural == "pods" { pod(object) } else { vec![object["metadata"]["name"].clone(), age(object)] };
            // `includeObject=Metadata` is the default, and kubectl needs the namespace out of it.
            let partial = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]});
            json!({"cells": cells, "object": partial})
        })
        .collect();
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "columnDefinitions": columns, "rows": rows})
}

fn pod(pod: &Value) -> Vec<Value> {
    let statuses: Vec<&Value> = pod["status"]["containerStatuses"].as_array().into_iter().flatten().collect();
    let native: Vec<&Value> = pod["status"]["initContainerStatuses"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|status| {
            pod["spec"]["initContainers"].as_array().is_some_and(|containers| {
                containers.iter().any(|c| c["name"] == status["name"] && c["restartPolicy"] == "Always")
            })
        })
        .collect();
    let all = || native.iter().chain(statuses.iter());
    let declared = pod["spec"]["containers"].as_array().map_or(0, Vec::len) + native.len();
    let ready = all().filter(|status| status["ready"] == true).count();
    let restarts: u64 = all().filter_map(|status| status["restartCount"].as_u64()).sum();
    let waiting = statuses.iter().find_map(|status| status["state"]["waiting"]["reason"].as_str());
    let phase = match pod["status"]["phase"].as_str() {
        Some("Succeeded") => "Completed",
        Some(phase) => phase,
        None => "Unknown",
    };
    let text = |value: &Value| json!(value.as_str().unwrap_or("<none>"));
    vec![
        pod["metadata"]["name"].clone(),
        json!(format!("{ready}/{declared}")),
        json!(waiting.unwrap_or(phase)),
        json!(restarts.to_string()),
        age(pod),
        text(&pod["status"]["podIP"]),
        text(&pod["spec"]["nodeName"]),
        json!("<none>"),
        json!("<none>"),
    ]
}

/// The age in the API server's short form, such as `3d4h`.
fn age(object: &Value) -> Value {
    let created: Option<Timestamp> =
        object["metadata"]["creationTimestamp"].as_str().and_then(|text| text.parse().ok());
    let Some(created) = created else {
        return json!("<unknown>");
    };
    let seconds = Timestamp::now().as_second() - created.as_second();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    json!(match seconds {
        ..120 => format!("{seconds}s"),
        120..7_200 => format!("{minutes}m"),
        7_200..172_800 => format!("{hours}h"),
        _ => format!("{days}d"),
    })
}
