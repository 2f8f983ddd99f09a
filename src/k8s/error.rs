//! What can go wrong with the API server.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use kube::client::AuthError;
use serde::Deserialize;

use super::deadline::TimedOut;
use super::outside::{outside, outside_bytes};
use super::secrets::{PluginError, describe_auth, without_password};
use crate::decode::parse_error;
use crate::model::FailureCause;

/// Why the API server gave no answer, or not the one asked for.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// There is no usable configuration.
    #[error("{0}")]
    Config(String),
    /// A context that the kubeconfig does not have.
    #[error("the kubeconfig has no context {name:?}")]
    UnknownContext {
        /// The one asked for.
        name: String,
        /// The ones it has.
        known: Vec<String>,
    },
    /// Credentials could not be had.
    #[error("{0}")]
    Credentials(String),
    /// The server did not accept the credentials (401).
    #[error("the API server does not accept these credentials: {0}")]
    Unauthorized(String),
    /// The user may not do it (403).
    #[error("{0}")]
    Forbidden(String),
    /// There is no such object (404).
    #[error("{0}")]
    NotFound(NotFound),
    /// The server cannot be reached.
    #[error("the API server cannot be reached: {0}")]
    Unreachable(String),
    /// The server is busy (429, 502, 503, 504; 500 with `Retry-After`), and stayed so.
    #[error("the API server is busy: {message}")]
    Busy {
        /// What it said.
        message: String,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// No answer in time.
    #[error("the API server did not answer within {0:?}")]
    Timeout(Duration),
    /// The whole command's time is over.
    #[error("not done within the whole command's {0:?} (--timeout)")]
    OutOfTime(Duration),
    /// The answer, or all pages of a list, are larger than anything that makes sense.
    #[error("{0}")]
    TooLarge(String),
    /// A page of a list is no longer to be had (410).
    #[error("{0}")]
    Expired(String),
    /// Any other answer.
    #[error("the API server answered {code}: {message}")]
    Other {
        /// The HTTP status.
        code: u16,
        /// Its message.
        message: String,
    },
}

/// Something that there is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotFound {
    /// What to say of it.
    pub message: String,
    /// What is missing. In an answer, `details.kind` of a `metav1.Status` with reason NotFound: the resource's plural,
    /// such as `pods`. Empty where the answer was no such Status (a gateway's 404, say), which proves nothing.
    pub kind: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl NotFound {
    /// Whether the API server itself has said that there is no pod of this name. A 404 of anything in between (a load
    /// balancer, another cluster's gateway) says nothing of the pod.
    #[must_use]
    pub fn is_pod(&self, name: &str) -> bool {
        self.kind == "pods" && self.name == name
    }
}

/// A `metav1.Status`, as far as it is used.
#[derive(Deserialize)]
struct Status {
    kind: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    details: Option<Details>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Details {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    retry_after_seconds: u64,
}

impl ApiError {
    /// The cause that reports use for what could not be read because of it.
    #[must_use]
    pub fn cause(&self) -> FailureCause {
        match self {
            Self::Forbidden(_) | Self::Unauthorized(_) | Self::Credentials(_) => FailureCause::Forbidden,
            Self::NotFound(_) => FailureCause::Gone,
            Self::Timeout(_) | Self::OutOfTime(_) => FailureCause::Timeout,
            Self::TooLarge(_) => FailureCause::TooLarge,
            _ => FailureCause::Unreachable,
        }
    }

    /// Something that there is not, by our own finding.
    pub(crate) fn missing(kind: impl fmt::Display, name: &str, message: impl Into<String>) -> Self {
        Self::NotFound(NotFound { message: message.into(), kind: kind.to_string(), name: name.to_owned() })
    }

    /// JSON that is not what it should be. The parser's own words may quote what it read, which may be a secret.
    pub(super) fn unreadable(what: &str, error: &serde_json::Error) -> Self {
        Self::Other { code: 200, message: format!("{what} cannot be read: {}", parse_error::json(error)) }
    }

    /// What an answer that is no success says; `body` is as much of it as was read.
    pub(super) fn from_answer(code: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let status = serde_json::from_slice::<Status>(body).ok().filter(|status| status.kind == "Status");
        let message = match &status {
            Some(status) if !status.message.is_empty() => outside(&status.message),
            Some(status) => outside(&status.reason),
            None => outside_bytes(body),
        };
        let message = match code.canonical_reason() {
            Some(reason) if message.is_empty() => reason.to_owned(),
            _ => message,
        };
        let (reason, details) =
            status.map(|status| (status.reason, status.details.unwrap_or_default())).unwrap_or_default();
        let asked = headers.get(http::header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let asked = asked.or(Some(details.retry_after_seconds).filter(|seconds| *seconds > 0));
        let retry_after = asked.map(Duration::from_secs);
        match code.as_u16() {
            401 => Self::Unauthorized(message),
            403 => Self::Forbidden(message),
            404 if reason == "NotFound" => Self::NotFound(NotFound { message, kind: details.kind, name: details.name }),
            404 => Self::NotFound(NotFound { message, kind: String::new(), name: String::new() }),
            410 => Self::Expired(message),
            429 | 502 | 503 | 504 => Self::Busy { message, retry_after },
            500 if retry_after.is_some() => Self::Busy { message, retry_after },
            code => Self::Other { code, message },
        }
    }

    /// What a request that had no answer failed of; `server` says where it was sent.
    pub(super) fn from_transport(error: &kube::Error, server: &str) -> Self {
        if let Some(auth) = find::<AuthError>(error) {
            return Self::Credentials(describe_auth(auth));
        }
        if let Some(plugin) = find::<PluginError>(error) {
            return Self::Credentials(plugin.to_string());
        }
        match error {
            // What follows the colon may quote the PEM.
            kube::Error::RustlsTls(source) => {
                Self::Config(source.to_string().split(':').next().unwrap_or_default().to_owned())
            }
            // Their words have the whole URL.
            kube::Error::ProxyProtocolUnsupported { proxy_url }
            | kube::Error::ProxyProtocolDisabled { proxy_url, .. } => {
                let proxy = without_password(&proxy_url.to_string());
                Self::Config(format!(
                    "the proxy {proxy:?} cannot be spoken to: its URL begins with http:// or https://"
                ))
            }
            kube::Error::InferConfig(_) | kube::Error::InferKubeconfig(_) => Self::Config(innermost(error)),
            _ => {
                let cause = match innermost(error) {
                    // The words of the timer that bounds TCP's and TLS's handshakes.
                    elapsed if elapsed == "deadline has elapsed" => "no connection within --request-timeout".to_owned(),
                    cause => outside(&of_tls(cause)),
                };
                Self::Unreachable(format!("{server}: {cause}"))
            }
        }
    }
}

/// What TLS failed of, where rustls has no words of its own: webpki's name for a leaf that may sign others, of which the one
/// that is trusted is taken.
pub(crate) fn of_tls(cause: String) -> String {
    if cause.contains("CaUsedAsEndEntity") {
        "its certificate is an authority's own, and not one that is trusted, or not of this name".to_owned()
    } else {
        cause
    }
}

impl From<TimedOut> for ApiError {
    fn from(timed_out: TimedOut) -> Self {
        match timed_out {
            TimedOut::Request(after) => Self::Timeout(after),
            TimedOut::Command(after) => Self::OutOfTime(after),
        }
    }
}

fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The last cause in the chain: the outer ones only repeat which layer it went through.
pub(crate) fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    let text = error.to_string();
    // rustls tells programmers where to read on. Many servers, and most load balancers, leave a TLS connection like that.
    if text.contains("without sending TLS close_notify") { "the connection was closed".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: u16, body: &str) -> ApiError {
        ApiError::from_answer(StatusCode::from_u16(code).expect("a status"), &HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn only_a_status_proves_that_something_is_gone() {
        let status = r#"{"kind":"Status","reason":"NotFound","message":"pods \"a\" not found","details":{"kind":"pods","name":"a"}}"#;
        let proves = |error| matches!(error, ApiError::NotFound(missing) if missing.is_pod("a"));
        assert!(proves(answer(404, status)));
        for other in ["<html><title>404</title>", "{}", "", "404 page not found", &status.replace("NotFound", "Other")]
        {
            assert!(!proves(answer(404, other)), "{other}");
        }
        assert!(!proves(answer(404, &status.replace("pods\",\"name", "namespaces\",\"name"))));
    }

    #[test]
    fn messages_are_short_and_never_empty() {
        assert_eq!(answer(500, "").to_string(), "the API server answered 500: Internal Server Error");
        let page = format!("<html><title>Down</title>{}", "x".repeat(1 << 20));
        assert_eq!(answer(503, &page).to_string(), "the API server is busy: a page of HTML: \"Down\"");
        let long = format!(r#"{{"kind":"Status","message":"{}"}}"#, "y".repeat(5000));
        assert!(answer(403, &long).to_string().len() < 310);
        let busy = r#"{"kind":"Status","message":"later","details":{"retryAfterSeconds":7}}"#;
        let asks = |error| matches!(error, ApiError::Busy { retry_after: Some(after), .. } if after.as_secs() == 7);
        assert!(asks(answer(429, busy)) && asks(answer(500, busy)));
    }
}
