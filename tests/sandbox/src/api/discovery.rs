//! What the server serves: `/version`, group and resource lists, and as much OpenAPI as kubectl needs
//! to know that the server validates fields itself.

use std::collections::BTreeMap;

use http::Request;
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::{Answer, full, json_response, review};
use crate::status::Status;
use crate::store::{RESOURCES, Resource};
use crate::users::Identity;

pub(super) async fn answer(identity: &Identity, request: Request<Incoming>) -> Answer {
    let path = request.uri().path().trim_matches('/').to_owned();
    let words: Vec<&str> = path.split('/').collect();
    let body = match words.as_slice() {
        ["version"] => {
            json!({"major": "1", "minor": "37", "gitVersion": "v1.37.0", "gitCommit": "", "gitTreeState": "clean",
            "buildDate": "2026-08-26T00:00:00Z", "goVersion": "go1.26", "compiler": "gc", "platform": "linux/amd64"})
        }
        ["healthz" | "livez" | "readyz"] => return Ok(http::Response::new(full("ok"))),
        ["api"] => json!({"kind": "APIVersions", "versions": ["v1"]}),
        ["apis"] => {
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups().iter().filter(|(name, _)| !name.is_empty()).map(|(name, versions)| group(name, versions)).collect::<Vec<_>>()})
        }
        ["apis", name] => match groups().get(name) {
            Some(versions) => {
                let mut body = group(name, versions);
                body["kind"] = json!("APIGroup");
                body["apiVersion"] = json!("v1");
                body
            }
            None => return Err(Status::no_such_path()),
        },
        ["api", version] => resource_list("", version)?,
        ["apis", group, version] => resource_list(group, version)?,
        ["openapi", "v3"] => openapi_index(),
        ["openapi", "v3", "api", version] => openapi("", version),
        ["openapi", "v3", "apis", group, version] => openapi(group, version),
        ["apis", "authorization.k8s.io", "v1", "selfsubjectaccessreviews"] => {
            return review::answer(identity, request).await;
        }
        _ => return Err(Status::no_such_path()),
    };
    Ok(json_response(200, &body))
}

fn groups() -> BTreeMap<&'static str, Vec<&'static str>> {
    let mut groups: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for resource in RESOURCES {
        let versions = groups.entry(resource.group).or_default();
        for version in resource.versions {
            if !versions.contains(version) {
                versions.push(version);
            }
        }
    }
    groups
}

fn group(name: &str, versions: &[&str]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| json!({"groupVersion": format!("{name}/{version}"), "version": version}))
        .collect();
    json!({"name": name, "preferredVersion": versions[0], "versions": versions})
}

fn served<'a>(group: &'a str, version: &'a str) -> impl Iterator<Item = &'static Resource> + 'a {
    RESOURCES.iter().filter(move |r| r.group == group && r.versions.contains(&version))
}

fn resource_list(group: &str, version: &str) -> Result<Value, Status> {
    let mut resources = Vec::new();
    for resource in served(group, version) {
        resources.push(json!({
            "name": resource.plural, "singularName": resource.kind.to_lowercase(), "namespaced": resource.namespaced,
            "kind": resource.kind, "shortNames": resource.short, "categories": if resource.plural == "pods" { json!(["all"]) } else { json!([]) },
            "verbs": ["create", "delete", "get", "list", "patch", "update", "watch"],
        }));
        if resource.plural == "pods" {
            for (name, verbs) in [("pods/log", json!(["get"])), ("pods/portforward", json!(["create", "get"]))] {
                resources
                    .push(json!({"name": name, "singularName": "", "namespaced": true, "kind": "Pod", "verbs": verbs}));
            }
        }
    }
    if resources.is_empty() {
        return Err(Status::no_such_path());
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Ok(json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources}))
}

fn openapi_index() -> Value {
    let mut paths = serde_json::Map::new();
    for (group, versions) in groups() {
        for version in versions {
            let path = if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") };
            let url = format!("/openapi/v3/{path}?hash=1");
            paths.insert(path, json!({"serverRelativeURL": url}));
        }
    }
    json!({"paths": paths})
}

/// No schemas: only that PATCH takes `fieldValidation`, which is how kubectl learns that it need not
/// validate by itself.
fn openapi(group: &str, version: &str) -> Value {
    let mut paths = serde_json::Map::new();
    for resource in served(group, version) {
        let prefix = if group.is_empty() { "/api".to_owned() } else { format!("/apis/{group}") };
        let scope = if resource.namespaced { "/namespaces/{namespace}" } else { "" };
        paths.insert(
            format!("{prefix}/{version}{scope}/{}/{{name}}", resource.plural),
            json!({"patch": {
                "parameters": [{"name": "fieldValidation", "in": "query", "schema": {"type": "string", "uniqueItems": true}}],
                "responses": {"200": {"description": "OK"}},
                "x-kubernetes-action": "patch",
                "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": resource.kind},
            }}),
        );
    }
    json!({"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.37.0"}, "paths": paths, "components": {}})
}
