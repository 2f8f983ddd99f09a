//! `pods/log`, as a kubelet answers it.

use std::sync::Arc;

use hyper::body::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::objects::streamed;
use super::route::Target;
use super::{Answer, Cluster, full};
use crate::log::ContainerLog;
use crate::status::Status;

pub(super) fn answer(cluster: &Arc<Cluster>, target: &Target) -> Answer {
    let pod = cluster.store.get(target.resource, &target.namespace, &target.name)?;
    let container = container(&pod, target)?;
    let query = &target.query;
    if pod["status"]["phase"] == "Pending" {
        return Err(Status::bad_request(format!(
            "container \"{container}\" in pod \"{}\" is waiting to start: ContainerCreating",
            target.name
        )));
    }
    if query.is_true("previous") {
        // Nothing here has been restarted with its log kept.
        return Err(Status::bad_request(format!(
            "previous terminated container \"{container}\" in pod \"{}\" not found",
            target.name
        )));
    }
    let runtime = cluster.runtime(&target.namespace, &target.name);
    let log = runtime.logs.get(&container).cloned().unwrap_or_default();
    let since = since(target)?;
    let (mut lines, next) = log.since(0);
    lines.retain(|(time, _)| since.is_none_or(|since| *time >= since));
    if let Some(tail) = query.get("tailLines").and_then(|text| text.parse::<usize>().ok()) {
        lines.drain(..lines.len().saturating_sub(tail));
    }
    let timestamps = query.is_true("timestamps");
    let mut present: String = lines.iter().map(|line| printed(line, timestamps)).collect();
    if let Some(limit) = query.get("limitBytes").and_then(|text| text.parse::<usize>().ok()) {
        // A kubelet cuts anywhere; here the cut stays between characters.
        let cut = (0..=limit.min(present.len())).rev().find(|at| present.is_char_boundary(*at));
        present.truncate(cut.unwrap_or_default());
    }
    let body = if query.is_true("follow") { follow(cluster, &log, present, next, timestamps) } else { full(present) };
    let mut response = http::Response::new(body);
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("text/plain"));
    Ok(response)
}

fn container(pod: &Value, target: &Target) -> Result<String, Status> {
    let names = |list: &str| -> Vec<String> {
        let containers = pod["spec"][list].as_array().into_iter().flatten();
        containers.filter_map(|container| container["name"].as_str().map(str::to_owned)).collect()
    };
    let (ordinary, init) = (names("containers"), names("initContainers"));
    match target.query.get("container").filter(|name| !name.is_empty()) {
        Some(wanted) if ordinary.iter().chain(&init).any(|name| name == wanted) => Ok(wanted.to_owned()),
        Some(wanted) => Err(Status::bad_request(format!("container {wanted} is not valid for pod {}", target.name))),
        None if ordinary.len() == 1 => Ok(ordinary[0].clone()),
        None => {
            let mut message = format!(
                "a container name must be specified for pod {}, choose one of: [{}]",
                target.name,
                ordinary.join(" ")
            );
            if !init.is_empty() {
                message += &format!(" or one of the init containers: [{}]", init.join(" "));
            }
            Err(Status::bad_request(message))
        }
    }
}

fn since(target: &Target) -> Result<Option<Timestamp>, Status> {
    if let Some(seconds) = target.query.get("sinceSeconds") {
        let seconds: i64 = seconds.parse().map_err(|_| Status::bad_request("sinceSeconds must be a whole number"))?;
        return Ok(Timestamp::now().checked_sub(SignedDuration::from_secs(seconds)).ok());
    }
    let time = target.query.get("sinceTime").map(str::parse).transpose();
    time.map_err(|e| Status::bad_request(format!("sinceTime is no RFC 3339 time: {e}")))
}

fn printed((time, line): &(Timestamp, String), timestamps: bool) -> String {
    if timestamps { format!("{time:.9} {line}\n") } else { format!("{line}\n") }
}

/// What is there, and then what comes, until the client goes away.
fn follow(cluster: &Cluster, log: &Arc<ContainerLog>, present: String, mut next: u64, timestamps: bool) -> super::Body {
    let (sender, receiver) = tokio::sync::mpsc::channel(16);
    let log = Arc::clone(log);
    cluster.spawn(async move {
        let mut changes = log.changes();
        let mut text = present;
        loop {
            if !text.is_empty() && sender.send(Bytes::from(text)).await.is_err() {
                return;
            }
            // Marked as seen before reading, so that a line written in between wakes this up.
            changes.mark_unchanged();
            let (lines, after) = log.since(next);
            next = after;
            text = lines.iter().map(|line| printed(line, timestamps)).collect();
            if text.is_empty() {
                tokio::select! {
                    changed = changes.changed() => if changed.is_err() { return },
                    () = sender.closed() => return,
                }
            }
        }
    });
    streamed(receiver)
}
