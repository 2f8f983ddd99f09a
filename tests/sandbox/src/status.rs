//! Errors in the API server's own words: `metav1.Status`.
//!
//! The messages are those of `k8s.io/apimachinery/pkg/api/errors`, which clients match on.

use serde_json::{Value, json};

use crate::store::Resource;

/// A failure as the API server answers it.
#[derive(Debug, Clone)]
pub struct Status {
    /// HTTP status.
    pub code: u16,
    /// Machine-readable reason, such as `NotFound`.
    pub reason: &'static str,
    /// What people read.
    pub message: String,
    /// `details`, where there are any.
    pub details: Value,
}

impl Status {
    pub(crate) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: Value::Null }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    pub(crate) fn forbidden(name: &str, resource: &Resource, message: String) -> Self {
        let mut details = json!({"kind": resource.plural});
        if !name.is_empty() {
            details = json!({"name": name, "kind": resource.plural});
        }
        Self { details, ..Self::new(403, "Forbidden", message) }
    }

    pub(crate) fn not_found(resource: &Resource, name: &str) -> Self {
        Self {
            details: json!({"name": name, "group": resource.group, "kind": resource.plural}),
            ..Self::new(404, "NotFound", format!("{} \"{name}\" not found", resource.qualified()))
        }
    }

    pub(crate) fn no_such_path() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
    }

    pub(crate) fn already_exists(resource: &Resource, name: &str) -> Self {
        Self {
            details: json!({"name": name, "kind": resource.plural}),
            ..Self::new(409, "AlreadyExists", format!("{} \"{name}\" already exists", resource.qualified()))
        }
    }

    pub(crate) fn conflict(resource: &Resource, name: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} \"{name}\": the object has been modified; please apply your changes to the latest version and try again",
            resource.qualified()
        );
        Self { details: json!({"name": name, "kind": resource.plural}), ..Self::new(409, "Conflict", message) }
    }

    pub(crate) fn expired() -> Self {
        Self::new(
            410,
            "Expired",
            "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.",
        )
    }

    /// A watch that begins at a version which is no longer known.
    pub(crate) fn too_old(version: u64, oldest: u64) -> Self {
        Self::new(410, "Expired", format!("too old resource version: {version} ({oldest})"))
    }

    /// 429 or 503, as an overloaded or a starting server answers.
    pub(crate) fn refused(code: u16, retry_after: Option<u64>) -> Self {
        let mut status = if code == 429 {
            Self::new(
                429,
                "TooManyRequests",
                "the server has received too many requests and has asked us to try again later",
            )
        } else {
            Self::new(503, "ServiceUnavailable", "the server is currently unable to handle the request")
        };
        status.code = code;
        if let Some(seconds) = retry_after {
            status.details = json!({"retryAfterSeconds": seconds});
        }
        status
    }

    /// The body of the answer.
    #[must_use]
    pub fn body(&self) -> Value {
        let mut body = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason,
        });
        if !self.details.is_null() {
            body["details"] = self.details.clone();
        }
        body["code"] = json!(self.code);
        body
    }
}
