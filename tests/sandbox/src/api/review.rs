//! SelfSubjectAccessReview: may I?
//!
//! kubectl asks in protobuf, everybody else in JSON; the answer is JSON, which both take.

use http::Request;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::{Answer, OBJECT_LIMIT, json_response};
use crate::status::Status;
use crate::store::RESOURCES;
use crate::users::Identity;

/// `k8s.io/api/authorization/v1/generated.proto`: the fields of `ResourceAttributes`, by number.
const ATTRIBUTES: [(u64, &str); 7] =
    [(1, "namespace"), (2, "verb"), (3, "group"), (4, "version"), (5, "resource"), (6, "subresource"), (7, "name")];

pub(super) async fn answer(identity: &Identity, request: Request<Incoming>) -> Answer {
    let body = http_body_util::Limited::new(request.into_body(), OBJECT_LIMIT).collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    let attributes = match body.strip_prefix(b"k8s\0") {
        Some(envelope) => from_protobuf(envelope),
        None => serde_json::from_slice(&body).ok().map(|review: Value| review["spec"]["resourceAttributes"].clone()),
    };
    let attributes = attributes.ok_or_else(|| Status::bad_request("the review could not be read"))?;
    let word = |name: &str| attributes[name].as_str().unwrap_or_default();
    let resource = RESOURCES.iter().find(|r| r.group == word("group") && r.plural == word("resource"));
    let allowed = resource.is_some_and(|r| identity.may(word("verb"), r, word("subresource"), word("namespace")));
    let review = json!({"kind": "SelfSubjectAccessReview", "apiVersion": "authorization.k8s.io/v1", "metadata": {},
        "spec": {"resourceAttributes": attributes}, "status": {"allowed": allowed}});
    Ok(json_response(201, &review))
}

/// Out of the envelope (`runtime.Unknown`, field 2), the review (field 2) and its spec (field 1).
fn from_protobuf(envelope: &[u8]) -> Option<Value> {
    let attributes = field(field(field(envelope, 2)?, 2)?, 1)?;
    let words = ATTRIBUTES.iter().filter_map(|(number, name)| {
        let word = std::str::from_utf8(field(attributes, *number)?).ok()?;
        Some(((*name).to_owned(), json!(word)))
    });
    Some(Value::Object(words.collect()))
}

/// The first length-delimited field with that number.
fn field(mut message: &[u8], wanted: u64) -> Option<&[u8]> {
    while !message.is_empty() {
        let key = varint(&mut message)?;
        // Wire type 0 is a number; the only other one in these messages is 2, bytes with their length.
        let length = varint(&mut message)?;
        if key & 7 == 2 {
            let (bytes, rest) = message.split_at_checked(usize::try_from(length).ok()?)?;
            if key >> 3 == wanted {
                return Some(bytes);
            }
            message = rest;
        }
    }
    None
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
