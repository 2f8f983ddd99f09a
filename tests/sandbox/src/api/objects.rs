//! The generic registry over HTTP: get, list, create, update, patch, delete.

use std::sync::Arc;

use http::Request;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use serde_json::{Value, json};

use super::route::{Target, Verb};
use super::{Answer, Cluster, json_response, read_json, table, watch};
use crate::patch;
use crate::selector::{FieldSelector, LabelSelector};
use crate::status::Status;
use crate::store::ListQuery;

/// How objects are shown, by the first type that the client accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As they are.
    Whole,
    /// As rows of a `Table`.
    Table,
    /// `PartialObjectMetadata`.
    Metadata,
}

impl Form {
    fn of(accept: &str) -> Self {
        let first = accept.split(',').next().unwrap_or_default();
        if first.contains("as=Table") {
            Self::Table
        } else if first.contains("as=PartialObjectMetadata") {
            Self::Metadata
        } else {
            Self::Whole
        }
    }

    /// One object.
    pub(super) fn show(self, object: Value, target: &Target) -> Value {
        match self {
            Self::Whole => versioned(object, target),
            Self::Table => table::of(target.resource, &[object], json!({})),
            Self::Metadata => {
                json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
            }
        }
    }
}

pub(super) async fn answer(cluster: &Arc<Cluster>, target: &Target, request: Request<Incoming>) -> Answer {
    let accept = request.headers().get("accept").and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let form = Form::of(accept);
    let content_type =
        request.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let agent = request.headers().get("user-agent").and_then(|value| value.to_str().ok()).unwrap_or("unknown");
    // Writers that name no field manager are known by the first word of their user agent.
    let manager = target.query.get("fieldManager").unwrap_or(agent.split('/').next().unwrap_or(agent)).to_owned();
    let (store, resource) = (&cluster.store, target.resource);
    let (namespace, name) = (target.namespace.as_str(), target.name.as_str());
    match target.verb {
        Verb::Get => {
            let object = store.get(resource, namespace, name)?;
            Ok(json_response(200, &form.show(object, target)))
        }
        Verb::List => {
            let query = list_query(target)?;
            let page = store.list(resource, &query)?;
            let body = match form {
                Form::Table => table::of(resource, &page.items, page.metadata),
                Form::Metadata => {
                    let items: Vec<Value> = page.items.into_iter().map(|item| form.show(item, target)).collect();
                    json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": page.metadata,
                        "items": items})
                }
                Form::Whole => {
                    let items: Vec<Value> = page.items.into_iter().map(|item| bare(versioned(item, target))).collect();
                    json!({"kind": format!("{}List", resource.kind), "apiVersion": resource.api_version(&target.version),
                        "metadata": page.metadata, "items": items})
                }
            };
            Ok(json_response(200, &body))
        }
        Verb::Watch => watch::answer(cluster, target, form),
        Verb::Create => {
            let mut object: Value = read_json(request).await?;
            if resource.namespaced {
                object["metadata"]["namespace"] = json!(namespace);
            }
            object["kind"] = json!(resource.kind);
            object["apiVersion"] = json!(resource.api_version(resource.versions[0]));
            if dry_run(target) {
                return Ok(json_response(201, &object));
            }
            Ok(json_response(201, &versioned(store.create(resource, object, &manager)?, target)))
        }
        Verb::Update => {
            let written: Value = read_json(request).await?;
            let new = written.clone();
            let object = store.update(resource, (namespace, name), &written, (&manager, "Update"), |object| {
                *object = new;
            })?;
            Ok(json_response(200, &versioned(object, target)))
        }
        Verb::Patch => {
            let applied = content_type.starts_with("application/apply-patch");
            let operations = content_type == "application/json-patch+json";
            if !applied
                && !operations
                && content_type != "application/merge-patch+json"
                && content_type != "application/strategic-merge-patch+json"
            {
                return Err(Status::new(
                    415,
                    "UnsupportedMediaType",
                    "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml",
                ));
            }
            let mut written: Value = read_json(request).await?;
            if operations {
                // Tried on what is there; the whole outcome then goes the way of a merge.
                let mut object = store.get(resource, namespace, name)?;
                patch::json_patch(&mut object, &written).map_err(|error| Status::new(422, "Invalid", &error))?;
                written = object;
            }
            if dry_run(target) {
                let mut object = store.get(resource, namespace, name)?;
                patch::merge(&mut object, &written);
                return Ok(json_response(200, &versioned(object, target)));
            }
            if applied && store.get(resource, namespace, name).is_err() {
                let mut object = written;
                object["metadata"]["namespace"] = json!(namespace);
                return Ok(json_response(201, &versioned(store.create(resource, object, &manager)?, target)));
            }
            let operation = if applied { "Apply" } else { "Update" };
            let object = store.update(resource, (namespace, name), &written, (&manager, operation), |object| {
                patch::merge(object, &written);
            })?;
            Ok(json_response(200, &versioned(object, target)))
        }
        Verb::Delete if name.is_empty() => {
            Err(Status::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource"))
        }
        Verb::Delete => {
            let object = store.delete(resource, namespace, name)?;
            let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                "details": {"name": name, "group": resource.group, "kind": resource.plural, "uid": object["metadata"]["uid"]}});
            Ok(json_response(200, &body))
        }
    }
}

fn dry_run(target: &Target) -> bool {
    target.query.get("dryRun") == Some("All")
}

pub(super) fn list_query(target: &Target) -> Result<ListQuery, Status> {
    let text = |key: &str| target.query.get(key).unwrap_or_default();
    Ok(ListQuery {
        namespace: (!target.namespace.is_empty()).then(|| target.namespace.clone()),
        labels: LabelSelector::parse(text("labelSelector"))?,
        fields: FieldSelector::parse(text("fieldSelector"), target.resource.plural)?,
        limit: text("limit").parse().unwrap_or(0),
        token: Some(text("continue")).filter(|token| !token.is_empty()).map(str::to_owned),
    })
}

/// The object in the version asked for.
fn versioned(mut object: Value, target: &Target) -> Value {
    object["apiVersion"] = json!(target.resource.api_version(&target.version));
    object
}

/// Built-in kinds stand in lists without `kind` and `apiVersion`; custom ones, whose groups are domain
/// names, with them.
fn bare(mut object: Value) -> Value {
    let built_in = object["apiVersion"].as_str().is_some_and(|version| !version.contains('.'));
    if let (true, Some(fields)) = (built_in, object.as_object_mut()) {
        fields.shift_remove("kind");
        fields.shift_remove("apiVersion");
    }
    object
}

/// A body that ends when the sender is dropped.
pub(super) fn streamed(mut receiver: tokio::sync::mpsc::Receiver<Bytes>) -> super::Body {
    let frames = futures_util::stream::poll_fn(move |context| {
        receiver.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    });
    StreamBody::new(frames).boxed_unsync()
}
