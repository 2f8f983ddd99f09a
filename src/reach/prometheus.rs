//! A Prometheus server (Thanos, Mimir, VictoriaMetrics, …), by URL or through a port-forward to one of its pods.

use super::Limits;
use super::web::{Authorization, Web, WebError, WebFlags, WebIdentity, WebRequest, without_api};
use crate::k8s::Connection;

/// What a Prometheus server wants to see before it answers.
#[derive(Clone, Default)]
pub struct PrometheusAuth {
    /// A bearer token.
    pub bearer_token: Option<String>,
    /// A user and a password.
    pub basic: Option<(String, String)>,
    /// Certificates, in PEM, that are trusted beside the system's.
    pub ca: Option<Vec<u8>>,
    /// The tenant of Mimir or Cortex: `X-Scope-OrgID`.
    pub tenant: Option<String>,
}

impl PrometheusAuth {
    fn identity(self) -> WebIdentity {
        let bearer = self.bearer_token.map(Authorization::Bearer);
        WebIdentity {
            authorization: bearer.or(self.basic.map(|(user, password)| Authorization::Basic(user, password))),
            headers: self.tenant.map(|tenant| ("X-Scope-OrgID", tenant)).into_iter().collect(),
            ca: self.ca,
            client: None,
        }
    }
}

/// The flags that are about Prometheus.
pub const PROMETHEUS: WebFlags = WebFlags { service: "Prometheus", ca: "--prometheus-ca" };

/// Where Prometheus is.
pub struct PrometheusServer<'c> {
    web: Web<'c>,
}

/// A range query.
#[derive(Clone, Debug)]
pub struct RangeQuery {
    /// PromQL.
    pub query: String,
    /// First evaluation, in seconds since the epoch.
    pub start: i64,
    /// Last evaluation.
    pub end: i64,
    /// Seconds between evaluations.
    pub step: i64,
}

impl<'c> PrometheusServer<'c> {
    /// A server at `url`, which may have a path (`https://metrics.example.com/prometheus`).
    ///
    /// # Errors
    /// When the URL or the certificates cannot be used.
    pub fn at(url: &str, auth: PrometheusAuth, limits: Limits) -> Result<Self, WebError> {
        Ok(Self { web: Web::at(without_api(url), auth.identity(), limits, PROMETHEUS)? })
    }

    /// A server in a pod, through a port-forward: nothing listens on this machine.
    #[must_use]
    pub fn in_pod(connection: &'c Connection, pod: (&str, &str, u16), auth: PrometheusAuth, limits: Limits) -> Self {
        Self { web: Web::in_pod(connection, pod, auth.identity(), limits, PROMETHEUS) }
    }

    /// Sends a range query and gives the body of its answer: Prometheus' JSON, which may be an error of its own.
    ///
    /// # Errors
    /// When there is no answer of Prometheus.
    pub async fn query_range(&self, query: &RangeQuery) -> Result<Vec<u8>, WebError> {
        self.ask(
            &WebRequest::get("/api/v1/query_range")
                .with("query", query.query.as_str())
                .with("start", query.start.to_string())
                .with("end", query.end.to_string())
                .with("step", query.step.to_string()),
        )
        .await
    }

    /// The same of an instant, in seconds since the epoch.
    ///
    /// # Errors
    /// When there is no answer of Prometheus.
    pub async fn query(&self, query: &str, at: i64) -> Result<Vec<u8>, WebError> {
        self.ask(&WebRequest::get("/api/v1/query").with("query", query).with("time", at.to_string())).await
    }

    async fn ask(&self, request: &WebRequest) -> Result<Vec<u8>, WebError> {
        match self.web.bytes(request).await {
            // Prometheus answers 400, 422 and 503 with JSON that says more than the status.
            Err(WebError::Status { body, .. }) if body.starts_with(b"{\"status\":\"error\"") => Ok(body),
            outcome => outcome,
        }
    }
}
