//! Watches, as the API server's watch cache serves them: initial events, bookmarks, an end, and 410 for a version that is
//! no longer known.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;

use super::objects::{Form, list_query, streamed};
use super::route::Target;
use super::{Answer, Cluster};
use crate::status::Status;
use crate::store::Change;

/// Changes as they happen, one JSON object a line. What is there comes first where no resource version is named, and where
/// `sendInitialEvents` asks for it; then a bookmark ends it.
pub(super) fn answer(cluster: &Arc<Cluster>, target: &Target, form: Form) -> Answer {
    let query = list_query(target)?;
    let asked = |key: &str| target.query.get(key).and_then(|value| value.parse::<u64>().ok());
    let named = asked("resourceVersion").filter(|version| *version > 0);
    let initial = target.query.is_true("sendInitialEvents");
    // A table has no form for a bookmark.
    let bookmarks = target.query.is_true("allowWatchBookmarks") && form != Form::Table;
    let timeout = asked("timeoutSeconds").map(Duration::from_secs);
    let (sender, receiver) = tokio::sync::mpsc::channel::<Bytes>(64);
    let mut response = http::Response::new(streamed(receiver));
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));

    let now = cluster.store.version();
    let from = if initial { now } else { named.unwrap_or(now) };
    let Some((missed, mut changes)) = cluster.store.since(from) else {
        let line = line("ERROR", &Status::too_old(from, now).body());
        cluster.spawn(async move {
            // A client that is gone needs no answer.
            let _ = sender.send(line).await;
        });
        return Ok(response);
    };
    let present =
        if initial || named.is_none() { cluster.store.list(target.resource, &query)?.items } else { Vec::new() };
    let (resource, version) = (target.resource, target.version.clone());
    let target = target.clone();
    let bookmark = move |at: u64, ends_initial: bool| {
        let mut metadata = json!({"resourceVersion": at.to_string(), "creationTimestamp": Value::Null});
        if ends_initial {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        line(
            "BOOKMARK",
            &json!({"kind": resource.kind, "apiVersion": resource.api_version(&version), "metadata": metadata}),
        )
    };
    let wanted = move |change: &Change| {
        let object = &change.object;
        change.resource == resource
            && query.namespace.as_ref().is_none_or(|namespace| object["metadata"]["namespace"] == namespace.as_str())
            && query.labels.matches(object)
            && query.fields.matches(object)
    };
    cluster.spawn(async move {
        let first = present.into_iter().map(|object| line("ADDED", &form.show(object, &target)));
        let first: Vec<Bytes> = first.chain((initial && bookmarks).then(|| bookmark(now, true))).collect();
        for line in first {
            if sender.send(line).await.is_err() {
                return;
            }
        }
        let mut seen = from;
        let mut missed = missed.into_iter();
        let mut end = pin!(async move {
            match timeout {
                Some(timeout) => tokio::time::sleep(timeout).await,
                None => std::future::pending().await,
            }
        });
        loop {
            let change = match missed.next() {
                Some(change) => Ok(change),
                None => tokio::select! {
                    change = changes.recv() => change,
                    () = sender.closed() => return,
                    () = &mut end => {
                        if bookmarks {
                            // The watch ends anyway.
                            let _ = sender.send(bookmark(seen, false)).await;
                        }
                        return;
                    }
                },
            };
            match change {
                Ok(change) => {
                    let at = change.object["metadata"]["resourceVersion"].as_str().and_then(|at| at.parse().ok());
                    seen = seen.max(at.unwrap_or(0));
                    if wanted(&change)
                        && sender.send(line(change.kind, &form.show(change.object, &target))).await.is_err()
                    {
                        return;
                    }
                }
                Err(RecvError::Lagged(_) | RecvError::Closed) => return,
            }
        }
    });
    Ok(response)
}

fn line(kind: &str, object: &Value) -> Bytes {
    Bytes::from(format!("{}\n", json!({"type": kind, "object": object})))
}
