//! A Pushgateway, which keeps the figures of jobs for Prometheus (github.com/prometheus/pushgateway, "API").

use std::time::Duration;

use reqwest::{Client, Url};

/// Why figures could not be pushed. URLs stand in it without credentials.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// No URL that figures can be pushed to.
    #[error("{url}: {reason}")]
    Url {
        /// As it was given, without its password.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No answer.
    #[error("{url}: no answer: {reason}")]
    Unreachable {
        /// As it was given, without its password.
        url: String,
        /// Why.
        reason: String,
    },
    /// The Pushgateway refuses.
    #[error("{url}: it answers {status}")]
    Refused {
        /// As it was given, without its password.
        url: String,
        /// The HTTP status.
        status: u16,
    },
}

/// Puts the figures of one job in the place of those that it pushed before.
///
/// # Errors
/// When the URL cannot be used, nothing answers in time, or the answer is no success.
pub async fn push(url: &str, job: &str, metrics: String, timeout: Duration) -> Result<(), PushError> {
    let shown = crate::k8s::without_password(url);
    let invalid = |reason: String| PushError::Url { url: shown.clone(), reason };
    let full = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let mut target = Url::parse(&full).map_err(|error| invalid(error.to_string()))?;
    if !matches!(target.scheme(), "http" | "https") || target.host_str().is_none() {
        return Err(invalid("it has the form https://HOST[:PORT][/PATH]".to_owned()));
    }
    // A path that names a job, and perhaps more to group by, is taken as it is.
    if !target.path().contains("/metrics/job") {
        let path = format!("{}/metrics/job/{job}", target.path().trim_end_matches('/'));
        target.set_path(&path);
    }
    target.set_query(None);
    // The provider that kube uses; with two in the program and none chosen, rustls panics.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("kubectl-meshaudit/", env!("CARGO_PKG_VERSION")))
        .timeout(timeout)
        .build()
        .map_err(|error| invalid(error.without_url().to_string()))?;
    let request = client.put(target).header("content-type", "text/plain; version=0.0.4").body(metrics);
    let answer = request.send().await.map_err(|error| {
        let reason = if error.is_timeout() { "the time is over" } else { "it cannot be reached" };
        PushError::Unreachable { url: shown.clone(), reason: reason.to_owned() }
    })?;
    let status = answer.status();
    if status.is_success() { Ok(()) } else { Err(PushError::Refused { url: shown, status: status.as_u16() }) }
}
