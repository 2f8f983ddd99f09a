//! A Prometheus server, by URL or through a port-forward to one of its pods.

use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use reqwest::{Certificate, Client, Url};

use crate::k8s::{Connection, OpenError, encode, innermost, open_port, outside, outside_bytes};

/// Most bytes of an answer.
const MAX_ANSWER: usize = 256 << 20;

/// What a Prometheus server wants to see before it answers.
#[derive(Clone, Default)]
pub struct PrometheusAuth {
    /// A bearer token.
    pub bearer_token: Option<String>,
    /// A user and a password.
    pub basic: Option<(String, String)>,
    /// Certificates, in PEM, that are trusted beside the system's.
    pub ca: Option<Vec<u8>>,
}

/// Where Prometheus is.
pub struct PrometheusServer<'c> {
    place: Place<'c>,
    timeout: Duration,
}

enum Place<'c> {
    Url { client: Client, base: Url, auth: PrometheusAuth },
    Pod { connection: &'c Connection, namespace: String, pod: String, port: u16, auth: PrometheusAuth },
}

/// Why Prometheus gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum PrometheusError {
    /// No URL.
    #[error("{url:?} is not a URL of Prometheus: {reason}")]
    Url {
        /// As given.
        url: String,
        /// Why not.
        reason: String,
    },
    /// The certificate file.
    #[error("the CA file holds no certificate in PEM")]
    Ca(#[source] reqwest::Error),
    /// The client could not be made.
    #[error("no HTTP client")]
    Client(#[source] reqwest::Error),
    /// The port-forward.
    #[error("Prometheus' port could not be opened")]
    Open(#[from] OpenError),
    /// No answer, or it broke off.
    #[error("Prometheus cannot be reached: {0}")]
    Unreachable(String),
    /// 401 or 403.
    #[error("Prometheus does not accept these credentials ({0})")]
    Unauthorized(u16),
    /// Another status, with the beginning of the body where it is not Prometheus' own JSON.
    #[error("what answers at this address says {code}: {text}")]
    Status {
        /// The HTTP status.
        code: u16,
        /// The beginning of the body.
        text: String,
    },
    /// The answer is larger than the bound.
    #[error("the answer is larger than {} MiB; ask for fewer days, or a longer --by", MAX_ANSWER >> 20)]
    TooLarge,
    /// The deadline.
    #[error("Prometheus did not answer within {0:?}")]
    Timeout(Duration),
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

impl RangeQuery {
    fn parameters(&self) -> [(&'static str, String); 4] {
        [
            ("query", self.query.clone()),
            ("start", self.start.to_string()),
            ("end", self.end.to_string()),
            ("step", self.step.to_string()),
        ]
    }
}

impl<'c> PrometheusServer<'c> {
    /// A server at `url`, which may have a path (`https://metrics.example.com/prometheus`).
    ///
    /// # Errors
    /// When the URL or the certificates cannot be used.
    pub fn at(url: &str, auth: PrometheusAuth, timeout: Duration) -> Result<Self, PrometheusError> {
        let invalid = |reason: String| PrometheusError::Url { url: crate::k8s::without_password(url), reason };
        let full = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let mut base = Url::parse(&full).map_err(|error| invalid(error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(invalid("it has the form https://HOST[:PORT][/PATH]".to_owned()));
        }
        let path = format!("{}/api/v1/query_range", base.path().trim_end_matches('/').trim_end_matches("/api/v1"));
        base.set_path(&path);
        base.set_query(None);
        // The provider that kube uses; with two in the program and none chosen, rustls panics.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("kubectl-meshaudit/", env!("CARGO_PKG_VERSION")));
        if let Some(pem) = &auth.ca {
            builder = builder.tls_certs_merge(Certificate::from_pem_bundle(pem).map_err(PrometheusError::Ca)?);
        }
        let client = builder.build().map_err(PrometheusError::Client)?;
        Ok(Self { place: Place::Url { client, base, auth }, timeout })
    }

    /// A server in a pod, through a port-forward: nothing listens on this machine.
    #[must_use]
    pub fn in_pod(
        connection: &'c Connection,
        namespace: &str,
        pod: &str,
        port: u16,
        auth: PrometheusAuth,
        timeout: Duration,
    ) -> Self {
        let place = Place::Pod { connection, namespace: namespace.to_owned(), pod: pod.to_owned(), port, auth };
        Self { place, timeout }
    }

    /// Sends a range query and gives the body of its answer: Prometheus' JSON, which may be an error of its own.
    ///
    /// # Errors
    /// When there is no answer of Prometheus.
    pub async fn query_range(&self, query: &RangeQuery) -> Result<Vec<u8>, PrometheusError> {
        let exchange = async {
            match &self.place {
                Place::Url { client, base, auth } => by_url(client, base, auth, query).await,
                Place::Pod { connection, namespace, pod, port, auth } => {
                    let (stream, errors) = open_port(connection, namespace, pod, *port).await?;
                    match by_tunnel(stream, *port, auth, query).await {
                        Err(PrometheusError::Unreachable(message)) => Err(PrometheusError::Unreachable(
                            errors.take().map_or(message, |message| outside(&message)),
                        )),
                        outcome => outcome,
                    }
                }
            }
        };
        tokio::time::timeout(self.timeout, exchange).await.unwrap_or(Err(PrometheusError::Timeout(self.timeout)))
    }
}

async fn by_url(
    client: &Client,
    base: &Url,
    auth: &PrometheusAuth,
    query: &RangeQuery,
) -> Result<Vec<u8>, PrometheusError> {
    let broken = |error: reqwest::Error| PrometheusError::Unreachable(innermost(&error));
    let mut request = client.get(base.clone()).query(&query.parameters());
    if let Some(token) = &auth.bearer_token {
        request = request.bearer_auth(token);
    } else if let Some((user, password)) = &auth.basic {
        request = request.basic_auth(user, Some(password));
    }
    let mut answer = request.send().await.map_err(broken)?;
    let code = answer.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(broken)? {
        append(&mut body, &chunk)?;
    }
    judged(code, body)
}

async fn by_tunnel(
    stream: crate::k8s::PortStream,
    port: u16,
    auth: &PrometheusAuth,
    query: &RangeQuery,
) -> Result<Vec<u8>, PrometheusError> {
    let broken = |error: hyper::Error| PrometheusError::Unreachable(innermost(&error));
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // Its error reaches the request that is under way.
    let driver = tokio::spawn(async move {
        let _ = connection.await;
    });
    let parameters: Vec<String> =
        query.parameters().iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
    let mut request = http::Request::get(format!("/api/v1/query_range?{}", parameters.join("&")))
        .header(http::header::HOST, format!("localhost:{port}"));
    if let Some(token) = &auth.bearer_token {
        request = request.header(http::header::AUTHORIZATION, format!("Bearer {token}"));
    } else if let Some((user, password)) = &auth.basic {
        use base64::Engine as _;
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        request = request.header(http::header::AUTHORIZATION, format!("Basic {pair}"));
    }
    let request =
        request.body(Empty::<Bytes>::new()).map_err(|error| PrometheusError::Unreachable(error.to_string()))?;
    let answer = sender.send_request(request).await.map_err(broken)?;
    let code = answer.status().as_u16();
    let mut body = Vec::new();
    let mut incoming = answer.into_body();
    while let Some(frame) = incoming.frame().await {
        if let Some(chunk) = frame.map_err(broken)?.data_ref() {
            append(&mut body, chunk)?;
        }
    }
    driver.abort();
    judged(code, body)
}

fn append(body: &mut Vec<u8>, chunk: &[u8]) -> Result<(), PrometheusError> {
    if body.len() + chunk.len() > MAX_ANSWER {
        return Err(PrometheusError::TooLarge);
    }
    body.extend_from_slice(chunk);
    Ok(())
}

/// Prometheus answers 400, 422 and 503 with JSON that says more than the status.
fn judged(code: u16, body: Vec<u8>) -> Result<Vec<u8>, PrometheusError> {
    match code {
        200 => Ok(body),
        400 | 422 | 503 if body.starts_with(b"{\"status\":\"error\"") => Ok(body),
        401 | 403 => Err(PrometheusError::Unauthorized(code)),
        _ => Err(PrometheusError::Status { code, text: outside_bytes(&body) }),
    }
}
