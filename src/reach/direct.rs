//! An admin endpoint that has a URL: a proxy on a virtual machine, or one that is already forwarded.

use std::ops::ControlFlow;
use std::time::Instant;

use reqwest::{Client, Url};

use super::{AdminError, AdminRequest, AdminSource, ERROR_BODY, Limits, Meter, Sink, log};
use crate::k8s::{innermost, outside, outside_bytes, without_password};

/// An admin endpoint at a URL.
pub struct Direct {
    client: Client,
    base: Url,
    limits: Limits,
}

/// Why a URL cannot be one of an admin endpoint.
#[derive(Debug, thiserror::Error)]
pub enum DirectError {
    /// No URL.
    #[error("{url:?} is not a URL: {reason}")]
    Url {
        /// As given, but for a user's name and password.
        url: String,
        /// Why not.
        reason: String,
    },
    /// The client could not be made.
    #[error("no HTTP client: {0}")]
    Client(#[from] reqwest::Error),
}

impl Direct {
    /// An endpoint at `url` (`http://HOST:PORT`, the scheme may be left out).
    pub fn new(url: &str, limits: Limits) -> Result<Self, DirectError> {
        let invalid = |reason: &str| DirectError::Url { url: without_password(url), reason: reason.to_owned() };
        let full = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let base = Url::parse(&full).map_err(|error| invalid(&error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(invalid("an admin endpoint has the form http://HOST:PORT"));
        }
        if base.path() != "/" || base.query().is_some() {
            return Err(invalid("give the endpoint without a path: http://HOST:PORT"));
        }
        // The provider that kube uses; with two in the program and none chosen, rustls panics.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            // An environment's HTTP proxy would be sent requests for this machine's own addresses.
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("kubectl-meshaudit/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, base, limits })
    }

    /// The name that a proxy at this URL goes by: `HOST:PORT`.
    #[must_use]
    pub fn name(&self) -> String {
        let host = self.base.host_str().unwrap_or_default();
        match self.base.port_or_known_default() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    async fn exchange(&self, request: &AdminRequest, sink: &mut Sink<'_>) -> Result<(), AdminError> {
        let unreachable = |error: reqwest::Error| AdminError::Unreachable(outside(&innermost(&error)));
        let url = self.base.join(&request.path()).map_err(|error| AdminError::Unreachable(error.to_string()))?;
        let mut answer = self.client.request(request.method(), url).send().await.map_err(unreachable)?;
        let status = answer.status();
        if status != reqwest::StatusCode::OK {
            let mut text = Vec::new();
            while text.len() < ERROR_BODY
                && let Ok(Some(chunk)) = answer.chunk().await
            {
                text.extend_from_slice(&chunk[..chunk.len().min(ERROR_BODY - text.len())]);
            }
            let text = outside_bytes(&text);
            return Err(AdminError::Status { code: status.as_u16(), text });
        }
        let mut meter = Meter { sink, received: 0, limit: self.limits.max_body };
        loop {
            match answer.chunk().await {
                Ok(Some(chunk)) => {
                    if let ControlFlow::Break(()) = meter.pass(&chunk)? {
                        return Ok(());
                    }
                }
                Ok(None) => return Ok(()),
                Err(error) => {
                    return Err(AdminError::Truncated {
                        received: meter.received,
                        message: outside(&innermost(&error)),
                    });
                }
            }
        }
    }
}

impl AdminSource for Direct {
    async fn send(&mut self, request: &AdminRequest, sink: &mut Sink<'_>) -> Result<(), AdminError> {
        let Limits { request_timeout, deadline, .. } = self.limits;
        let started = Instant::now();
        let mut received = 0;
        let counting = &mut |chunk: &[u8]| {
            received += chunk.len();
            sink(chunk)
        };
        let outcome = deadline.answer(request_timeout, self.exchange(request, counting)).await;
        let outcome = outcome.unwrap_or_else(|timed_out| Err(timed_out.into()));
        log(&self.name(), request, received, started, &outcome);
        outcome
    }
}
