//! A web service that answers with JSON (a log store, Prometheus), by URL or through a port-forward to a pod.
//!
//! What every such service has in common is held here: identity, trust, deadlines, limits, and that one that is full
//! is asked again when it says.

use std::time::{Duration, Instant};

use base64::Engine as _;
use futures_util::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use http::{HeaderMap, Method};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use reqwest::{Certificate, Client, Url};

use super::Limits;
use crate::k8s::{
    Connection, OpenError, TimedOut, encode, innermost, never_repeat, never_repeat_basic, of_tls, open_port, outside,
    outside_bytes, own_authority,
};

/// How often a service that is full, or that cannot be reached for a moment, is asked in all.
const TRIES: u32 = 4;
/// The first pause, where the service names none; doubled each time.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause that a service may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A service that says after so much time that it cannot answer did not turn the question away.
const AT_WORK: Duration = Duration::from_secs(5);
/// What is kept of an answer that says what went wrong.
const MAX_COMPLAINT: usize = 64 << 10;

/// Who asks, and whom to trust. Secrets are never shown: it has no `Debug`.
#[derive(Clone, Default)]
pub struct WebIdentity {
    /// The value of `Authorization`.
    pub authorization: Option<Authorization>,
    /// Further headers, such as a tenant's.
    pub headers: Vec<(&'static str, String)>,
    /// Certificates, in PEM, that are trusted beside the system's.
    pub ca: Option<Vec<u8>>,
    /// A client's certificate and its key, in PEM.
    pub client: Option<Vec<u8>>,
}

/// What goes into `Authorization`.
#[derive(Clone)]
pub enum Authorization {
    /// `Bearer TOKEN`.
    Bearer(String),
    /// `Basic`, of a user and a password.
    Basic(String, String),
    /// `ApiKey KEY`: Elasticsearch's, as it was given out (base64 of `id:key`).
    ApiKey(String),
    /// `Splunk TOKEN`: a session key.
    Splunk(String),
}

impl Authorization {
    /// A service may repeat what it was sent.
    fn keep_secret(&self) {
        match self {
            Self::Bearer(secret) | Self::ApiKey(secret) | Self::Splunk(secret) => never_repeat(secret),
            Self::Basic(user, password) => never_repeat_basic(user, password),
        }
    }

    fn value(&self) -> String {
        match self {
            Self::Bearer(token) => format!("Bearer {token}"),
            Self::ApiKey(key) => format!("ApiKey {key}"),
            Self::Splunk(token) => format!("Splunk {token}"),
            Self::Basic(user, password) => {
                format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
            }
        }
    }
}

/// What the flags of a service are called, for what is said about them.
#[derive(Clone, Copy, Debug)]
pub struct WebFlags {
    /// The service's name for people.
    pub service: &'static str,
    /// The flag that takes certificates of an authority.
    pub ca: &'static str,
}

/// A service.
pub struct Web<'c> {
    place: Place<'c>,
    identity: WebIdentity,
    limits: Limits,
    flags: WebFlags,
}

enum Place<'c> {
    Url { client: Client, base: Url },
    Pod { connection: &'c Connection, namespace: String, pod: String, port: u16 },
}

/// Why a service gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// No URL.
    #[error("{url:?} is not a URL: {reason}")]
    Url {
        /// As given, without a password.
        url: String,
        /// Why not.
        reason: String,
    },
    /// A certificate file.
    #[error("{0} holds nothing that can be used (PEM is wanted)")]
    Pem(&'static str),
    /// The client could not be made.
    #[error("no HTTP client: {0}")]
    Client(String),
    /// The port-forward.
    #[error("the port of {0} could not be opened")]
    Open(&'static str, #[source] OpenError),
    /// No answer.
    #[error("{0} cannot be reached: {1}")]
    Unreachable(&'static str, String),
    /// The answer broke off.
    #[error("the answer of {0} broke off: {1}")]
    Cut(&'static str, String),
    /// Its certificate does not hold.
    #[error("the certificate of {0} cannot be trusted: {1}")]
    Certificate(&'static str, String),
    /// It wants to know who asks by a certificate, or does not accept the one that it was given.
    #[error("{0} wants a client certificate that it accepts: {1}")]
    ClientCertificate(&'static str, String),
    /// 401 or 403.
    #[error("{0} does not accept these credentials ({1})")]
    Unauthorized(&'static str, u16),
    /// A sign-in page, or the way to one.
    #[error("what answers at this address is not {0} but a sign-in page ({1})")]
    SignIn(&'static str, String),
    /// Another status.
    #[error("{service} says {code}: {text}")]
    Status {
        /// Its name.
        service: &'static str,
        /// The HTTP status.
        code: u16,
        /// The beginning of the body.
        text: String,
        /// The body as it came, for who knows its form.
        body: Vec<u8>,
    },
    /// The answer is larger than the bound.
    #[error("the answer is larger than {} MiB", .0 >> 20)]
    TooLarge(u64),
    /// The deadline of a request.
    #[error("{0} did not answer within {1:?}")]
    Stalled(&'static str, Duration),
    /// The deadline of the command.
    #[error("the time is over that the command has ({0:?})")]
    OutOfTime(Duration),
}

impl WebError {
    /// What to do about it, with the flags that the service has.
    #[must_use]
    pub fn hint(&self, flags: WebFlags) -> Option<String> {
        match self {
            Self::Certificate(..) => {
                Some(format!("{} FILE names the certificates (PEM) of the authority that signed it", flags.ca))
            }
            Self::Stalled(..) => Some("--request-timeout gives each answer longer, --since asks for less".to_owned()),
            Self::OutOfTime(_) => Some("--timeout gives the whole command longer, --since asks for less".to_owned()),
            _ => None,
        }
    }
}

/// A request. The path is below the service's own.
#[derive(Clone, Debug)]
pub struct WebRequest {
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    kind: Option<&'static str>,
    body: String,
}

impl WebRequest {
    /// `GET`.
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), query: Vec::new(), kind: None, body: String::new() }
    }

    /// `POST` of a form.
    pub fn form(path: impl Into<String>, fields: &[(&str, &str)]) -> Self {
        let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let kind = Some("application/x-www-form-urlencoded");
        Self { method: Method::POST, kind, body: pairs.join("&"), ..Self::get(path) }
    }

    /// `POST` of JSON.
    pub fn json(path: impl Into<String>, body: &serde_json::Value) -> Self {
        Self { method: Method::POST, kind: Some("application/json"), body: body.to_string(), ..Self::get(path) }
    }

    /// `DELETE` with JSON.
    pub fn delete(path: impl Into<String>, body: &serde_json::Value) -> Self {
        Self { method: Method::DELETE, ..Self::json(path, body) }
    }

    /// With this parameter behind the path.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.query.push((name.to_owned(), value.into()));
        self
    }
}

/// An answer whose status is 200.
pub struct WebAnswer {
    service: &'static str,
    limits: Limits,
    headers: HeaderMap,
    body: BoxStream<'static, Result<Bytes, String>>,
    received: u64,
}

impl WebAnswer {
    /// A header, as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The next bytes, `None` at the end.
    ///
    /// # Errors
    /// When it breaks off, or the time is over.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, WebError> {
        let next = self.limits.deadline.answer(self.limits.request_timeout, self.body.next()).await;
        let next = next.map_err(|timed_out| late(self.service, timed_out))?;
        let chunk = next.transpose().map_err(|error| WebError::Cut(self.service, outside(&error)))?;
        self.received += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        Ok(chunk)
    }

    /// Everything, up to the bound.
    ///
    /// # Errors
    /// As [`Self::chunk`], or when there is more than the bound.
    pub async fn bytes(mut self) -> Result<Vec<u8>, WebError> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            if self.received > self.limits.max_body {
                return Err(WebError::TooLarge(self.limits.max_body));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

fn late(service: &'static str, timed_out: TimedOut) -> WebError {
    match timed_out {
        TimedOut::Request(after) => WebError::Stalled(service, after),
        TimedOut::Command(after) => WebError::OutOfTime(after),
    }
}

impl<'c> Web<'c> {
    /// A service at `url`, which may have a path.
    ///
    /// # Errors
    /// When the URL or the certificates cannot be used.
    pub fn at(url: &str, identity: WebIdentity, limits: Limits, flags: WebFlags) -> Result<Self, WebError> {
        let invalid =
            |reason: &str| WebError::Url { url: crate::k8s::without_password(url), reason: reason.to_owned() };
        let full = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let mut base = Url::parse(&full).map_err(|error| invalid(&error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(invalid("it has the form https://HOST[:PORT][/PATH]"));
        }
        if base.password().is_some() || !base.username().is_empty() {
            return Err(invalid("a user and a password do not belong on the command line"));
        }
        base.set_query(None);
        base.set_fragment(None);
        // The provider that kube uses; with two in the program and none chosen, rustls panics.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(limits.request_timeout)
            .user_agent(concat!("kubectl-meshaudit/", env!("CARGO_PKG_VERSION")));
        // As kubectl and Go's programs do: what is on this machine is reached without a proxy.
        if base.host_str().is_some_and(|host| {
            let host = host.trim_matches(['[', ']']);
            host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }) {
            builder = builder.no_proxy();
        }
        if let Some(pem) = &identity.ca {
            let certificates = Certificate::from_pem_bundle(pem).map_err(|_| WebError::Pem(flags.ca))?;
            if certificates.is_empty() {
                return Err(WebError::Pem(flags.ca));
            }
            let host = base.host_str().unwrap_or_default();
            builder = match own_authority(pem, identity.client.as_deref(), host) {
                Some(tls) => builder.tls_backend_preconfigured(tls),
                None => builder.tls_certs_merge(certificates),
            };
        }
        if let Some(pem) = &identity.client {
            let client = reqwest::Identity::from_pem(pem).map_err(|_| WebError::Pem("the client certificate"))?;
            builder = builder.identity(client);
        }
        let client = builder.build().map_err(|error| WebError::Client(innermost(&error)))?;
        Ok(Self::new(Place::Url { client, base }, identity, limits, flags))
    }

    /// A service in a pod, through a port-forward: nothing listens on this machine.
    #[must_use]
    pub fn in_pod(
        connection: &'c Connection,
        (namespace, pod, port): (&str, &str, u16),
        identity: WebIdentity,
        limits: Limits,
        flags: WebFlags,
    ) -> Self {
        let place = Place::Pod { connection, namespace: namespace.to_owned(), pod: pod.to_owned(), port };
        Self::new(place, identity, limits, flags)
    }

    fn new(place: Place<'c>, identity: WebIdentity, limits: Limits, flags: WebFlags) -> Self {
        identity.authorization.iter().for_each(Authorization::keep_secret);
        Self { place, identity, limits, flags }
    }

    /// What its flags are called.
    #[must_use]
    pub const fn flags(&self) -> WebFlags {
        self.flags
    }

    /// Sends a request and gives the answer, once its head is there. A service that is full is asked again, when it
    /// says so, or after a pause.
    ///
    /// # Errors
    /// When there is no answer, or one that is no success.
    pub async fn send(&self, request: &WebRequest) -> Result<WebAnswer, WebError> {
        let mut pause = PAUSE;
        for attempt in 1.. {
            let began = Instant::now();
            let (outcome, wished) = self.once(request).await;
            let may_pass = match &outcome {
                // What it was at work on before it gave up is too much for it, now and later.
                Err(WebError::Status { code: 502..=504, .. }) => wished.is_some() || began.elapsed() < AT_WORK,
                Err(WebError::Status { code: 429, .. } | WebError::Unreachable(..)) => true,
                _ => false,
            };
            let wait = wished.unwrap_or(pause).min(LONGEST_PAUSE);
            if !may_pass || attempt >= TRIES || wait >= self.limits.deadline.left() {
                return outcome;
            }
            tokio::time::sleep(wait).await;
            pause *= 2;
        }
        unreachable!("the last try returns")
    }

    /// The whole answer.
    ///
    /// # Errors
    /// As [`Self::send`], and when it breaks off.
    pub async fn bytes(&self, request: &WebRequest) -> Result<Vec<u8>, WebError> {
        let mut again = true;
        loop {
            let began = Instant::now();
            let outcome = match self.send(request).await {
                Ok(answer) => answer.bytes().await,
                Err(error) => Err(error),
            };
            match outcome {
                // Questions change nothing, and may be asked twice; what takes long would be cut again.
                Err(WebError::Cut(..)) if began.elapsed() < AT_WORK && std::mem::take(&mut again) => {}
                outcome => return outcome,
            }
        }
    }

    /// One try, and the pause that the service asks for.
    async fn once(&self, request: &WebRequest) -> (Result<WebAnswer, WebError>, Option<Duration>) {
        let sending = async {
            match &self.place {
                Place::Url { client, base } => self.by_url(client, base, request).await,
                Place::Pod { connection, namespace, pod, port } => {
                    let (stream, errors) = open_port(connection, namespace, pod, *port)
                        .await
                        .map_err(|error| WebError::Open(self.flags.service, error))?;
                    self.by_tunnel(stream, *port, request).await.map_err(|error| match (error, errors.take()) {
                        (WebError::Unreachable(service, _) | WebError::Cut(service, _), Some(message)) => {
                            WebError::Unreachable(service, outside(&message))
                        }
                        (error, _) => error,
                    })
                }
            }
        };
        let (code, mut answer) = match self.limits.deadline.answer(self.limits.request_timeout, sending).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return (Err(error), None),
            Err(timed_out) => return (Err(late(self.flags.service, timed_out)), None),
        };
        if (200..300).contains(&code) {
            if answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html")) {
                let page = complaint(&mut answer).await;
                return (Err(WebError::SignIn(self.flags.service, outside_bytes(&page))), None);
            }
            return (Ok(answer), None);
        }
        let wished = answer.header("retry-after").and_then(|wait| wait.trim().parse().ok()).map(Duration::from_secs);
        let service = self.flags.service;
        let error = match code {
            401 | 403 => WebError::Unauthorized(service, code),
            300..=399 => {
                let place = answer.header("location").map(crate::k8s::without_password).unwrap_or_default();
                let place = place.split(['?', '#']).next().unwrap_or_default();
                WebError::SignIn(service, outside(&format!("it sends on to {place}")))
            }
            _ => {
                let body = complaint(&mut answer).await;
                WebError::Status { service, code, text: outside_bytes(&body), body }
            }
        };
        (Err(error), wished)
    }

    fn headers(&self) -> Vec<(&'static str, String)> {
        let authorization = self.identity.authorization.as_ref().map(|value| ("authorization", value.value()));
        authorization.into_iter().chain(self.identity.headers.iter().cloned()).collect()
    }

    async fn by_url(&self, client: &Client, base: &Url, request: &WebRequest) -> Result<(u16, WebAnswer), WebError> {
        let mut url = base.clone();
        url.set_path(&format!("{}{}", base.path().trim_end_matches('/'), request.path));
        let mut builder = client.request(request.method.clone(), url);
        if !request.query.is_empty() {
            builder = builder.query(&request.query);
        }
        for (name, value) in self.headers() {
            builder = builder.header(name, value);
        }
        if let Some(kind) = request.kind {
            builder = builder.header("content-type", kind).body(request.body.clone());
        }
        let answer = builder.send().await.map_err(|error| self.broken(&error))?;
        let (code, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer.bytes_stream().map_err(|error| innermost(&error)).boxed();
        Ok((code, WebAnswer { service: self.flags.service, limits: self.limits, headers, body, received: 0 }))
    }

    /// A request that failed. Its text never holds the URL, whose query is long.
    fn broken(&self, error: &reqwest::Error) -> WebError {
        let message = outside(&innermost(error));
        let mut next: Option<&dyn std::error::Error> = Some(error);
        let (mut of_certificate, mut of_client, mut cut) = (false, false, false);
        while let Some(error) = next {
            let text = error.to_string();
            of_certificate |= text.contains("invalid peer certificate") || text.contains("UnknownIssuer");
            // What the other side says of a certificate is about the client's.
            of_client |=
                text.contains("received fatal alert") && (text.contains("Certificate") || text.contains("UnknownCA"));
            cut |= error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_incomplete_message);
            next = error.source();
        }
        if of_certificate {
            WebError::Certificate(self.flags.service, of_tls(message))
        } else if of_client {
            WebError::ClientCertificate(self.flags.service, message)
        } else if cut {
            // It took the question, and closed the connection instead of an answer.
            WebError::Cut(self.flags.service, message)
        } else {
            WebError::Unreachable(self.flags.service, message)
        }
    }

    async fn by_tunnel(
        &self,
        stream: crate::k8s::PortStream,
        port: u16,
        request: &WebRequest,
    ) -> Result<(u16, WebAnswer), WebError> {
        let broken = |error: hyper::Error| {
            let message = innermost(&error);
            if error.is_incomplete_message() {
                WebError::Cut(self.flags.service, message)
            } else {
                WebError::Unreachable(self.flags.service, message)
            }
        };
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(broken)?;
        // Its error reaches the request that is under way; it ends with the answer.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        let query: Vec<String> =
            request.query.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
        let mut builder = http::Request::builder()
            .method(request.method.clone())
            .uri(format!("{}{query}", request.path))
            .header(http::header::HOST, format!("localhost:{port}"));
        for (name, value) in self.headers() {
            builder = builder.header(name, value);
        }
        if let Some(kind) = request.kind {
            builder = builder.header(http::header::CONTENT_TYPE, kind);
        }
        let message = builder
            .body(Full::new(Bytes::from(request.body.clone())))
            .map_err(|error| WebError::Client(error.to_string()))?;
        let answer = sender.send_request(message).await.map_err(broken)?;
        let (code, headers) = (answer.status().as_u16(), answer.headers().clone());
        // The connection lives as long as its sender.
        let body = answer.into_body().into_data_stream().map_err(|error| innermost(&error));
        let body = body.inspect(move |_| _ = &sender).boxed();
        Ok((code, WebAnswer { service: self.flags.service, limits: self.limits, headers, body, received: 0 }))
    }
}

/// The beginning of an answer that tells what went wrong.
async fn complaint(answer: &mut WebAnswer) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        body.extend_from_slice(&chunk[..chunk.len().min(MAX_COMPLAINT - body.len())]);
        if body.len() >= MAX_COMPLAINT {
            break;
        }
    }
    body
}

/// A URL of a Prometheus without the path of its API, which some paste with it.
pub(super) fn without_api(url: &str) -> &str {
    let url = url.trim_end_matches('/');
    url.strip_suffix("/api/v1").unwrap_or(url)
}
