//! A small Kubernetes API server: what kubectl, kube-rs and the plugin need, answered as the real one
//! answers it.
//!
//! TLS with client certificates and bearer tokens in front; then authorisation by rules; then discovery,
//! the generic registry ([`crate::store`]), logs and port-forwards.

mod discovery;
mod objects;
mod podlog;
mod portforward;
mod review;
mod route;
mod spdy;
mod table;
mod tls;
mod watch;

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use futures_util::StreamExt as _;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

pub use tls::Credentials;

use crate::Error;
use crate::faults::{ApiAnswer, Fault, Faults, Refusal};
use crate::log::ContainerLog;
use crate::stats::Counters;
use crate::status::Status;
use crate::store::Store;
use crate::users::Identity;
use route::{Target, Verb};

/// The body of every answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;
/// An answer of the server, or the failure it answers with.
type Answer = Result<Response<Body>, Status>;

/// The largest object taken, as etcd's default limit is.
const OBJECT_LIMIT: usize = 1_572_864;

/// Something in the pod that listens on a port.
#[derive(Clone)]
pub enum Endpoint {
    /// A real process on this machine.
    Tcp(SocketAddr),
    /// Answered in this process.
    Http(Arc<dyn Handler>),
}

/// An HTTP server inside this process.
pub trait Handler: Send + Sync {
    /// Answers `METHOD target`, where the target is path and query.
    fn answer(&self, method: &Method, target: &str) -> Reply;

    /// The same, for one that reads what it is sent.
    fn answer_to(&self, method: &Method, target: &str, body: &[u8]) -> Reply {
        let _ = body;
        self.answer(method, target)
    }

    /// What passes before each answer, as on a long way.
    fn latency(&self) -> Duration {
        Duration::ZERO
    }
}

/// What a [`Handler`] answers.
#[derive(Debug, Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The body's type.
    pub content_type: &'static str,
    /// The body.
    pub body: Bytes,
}

impl Reply {
    /// An answer of JSON.
    #[must_use]
    pub fn json(body: impl Into<Bytes>) -> Self {
        Self { status: 200, content_type: "application/json", body: body.into() }
    }

    /// An answer of text.
    #[must_use]
    pub fn text(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, content_type: "text/plain; charset=UTF-8", body: body.into() }
    }
}

/// What runs behind a pod object.
#[derive(Default)]
pub struct Runtime {
    /// What listens, by port in the pod.
    pub ports: HashMap<u16, Endpoint>,
    /// Logs by container.
    pub logs: HashMap<String, Arc<ContainerLog>>,
}

/// The cluster behind the API server.
#[derive(Default)]
pub struct Cluster {
    /// The objects.
    pub store: Store,
    /// What goes wrong.
    pub faults: Faults,
    /// What was asked for.
    pub counters: Counters,
    pods: RwLock<HashMap<(String, String), Arc<Runtime>>>,
    /// Everything that serves a connection; ended when the server goes down.
    tasks: Mutex<JoinSet<()>>,
}

impl Cluster {
    /// Puts something behind a pod object.
    pub fn run(&self, namespace: &str, pod: &str, runtime: Runtime) {
        let mut pods = self.pods.write().unwrap_or_else(PoisonError::into_inner);
        pods.insert((namespace.to_owned(), pod.to_owned()), Arc::new(runtime));
    }

    /// What runs behind a pod object; a pod nobody described runs nothing.
    #[must_use]
    pub fn runtime(&self, namespace: &str, pod: &str) -> Arc<Runtime> {
        let pods = self.pods.read().unwrap_or_else(PoisonError::into_inner);
        pods.get(&(namespace.to_owned(), pod.to_owned())).cloned().unwrap_or_default()
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    fn drop_connections(&self) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}

/// A listening API server.
pub struct Server {
    cluster: Arc<Cluster>,
    acceptor: TlsAcceptor,
    credentials: Arc<Credentials>,
    address: SocketAddr,
    accepting: Option<tokio::task::JoinHandle<()>>,
}

impl Server {
    /// Listens on a free port of the loopback interface.
    ///
    /// # Errors
    /// [`Error::Server`] where certificates can't be made or no port can be had.
    pub async fn start(cluster: Arc<Cluster>) -> Result<Self, Error> {
        let (credentials, acceptor) = tls::issue()?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(Error::server)?;
        let address = listener.local_addr().map_err(Error::server)?;
        let mut server = Self { cluster, acceptor, credentials: Arc::new(credentials), address, accepting: None };
        server.accept_from(listener);
        Ok(server)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What its users show it.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Stops listening and drops every connection, as a server that has died.
    pub fn go_down(&mut self) {
        if let Some(accepting) = self.accepting.take() {
            accepting.abort();
        }
        self.cluster.drop_connections();
    }

    /// Listens again on the same port.
    ///
    /// # Errors
    /// [`Error::Server`] where the port is taken.
    pub async fn come_back(&mut self) -> Result<(), Error> {
        if self.accepting.is_none() {
            // The task that listened before may be ending still.
            let mut listener = TcpListener::bind(self.address).await;
            for _ in 0..40 {
                if listener.is_ok() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
                listener = TcpListener::bind(self.address).await;
            }
            self.accept_from(listener.map_err(Error::server)?);
        }
        Ok(())
    }

    fn accept_from(&mut self, listener: TcpListener) {
        let (cluster, acceptor, credentials) =
            (Arc::clone(&self.cluster), self.acceptor.clone(), Arc::clone(&self.credentials));
        self.accepting = Some(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                cluster.counters.connection();
                let connection = serve(Arc::clone(&cluster), acceptor.clone(), Arc::clone(&credentials), stream);
                cluster.spawn(connection);
            }
        }));
    }
}

async fn serve(cluster: Arc<Cluster>, acceptor: TlsAcceptor, credentials: Arc<Credentials>, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
    };
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let by_certificate = certificate.and_then(|certificate| credentials.user_of(certificate)).map(Identity::named);
    let service = service_fn(move |request| {
        let (cluster, by_certificate) = (Arc::clone(&cluster), by_certificate.clone());
        async move {
            let answer = match authenticate(request.headers(), by_certificate) {
                Ok(identity) => dispatch(&cluster, &identity, request).await,
                Err(status) => Err(status),
            };
            Ok::<_, Infallible>(answer.unwrap_or_else(|status| failure(&status)))
        }
    });
    // A client that goes away in the middle is no failure of the server.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
}

fn authenticate(headers: &HeaderMap, by_certificate: Option<Identity>) -> Result<Identity, Status> {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let identity = match header("authorization").and_then(|value| value.strip_prefix("Bearer ")) {
        Some(token) => Identity::by_token(token).ok_or_else(Status::unauthorized)?,
        None => by_certificate.unwrap_or_else(|| Identity::named("system:anonymous")),
    };
    // Impersonation is the admin's alone.
    match header("impersonate-user") {
        Some(user) if &*identity.name == "admin" => Ok(Identity::named(user)),
        Some(user) => Err(Status::new(
            403,
            "Forbidden",
            format!(
                "users \"{user}\" is forbidden: User \"{}\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope",
                identity.name
            ),
        )),
        None => Ok(identity),
    }
}

async fn dispatch(cluster: &Arc<Cluster>, identity: &Identity, request: Request<Incoming>) -> Answer {
    let path = request.uri().path().to_owned();
    if let Some(rest) = path.strip_prefix("/sandbox/") {
        return control(cluster, identity, rest, request).await;
    }
    let Some(target) = Target::parse(request.method(), request.uri()) else {
        cluster.counters.request(format!("get {path}"));
        return discovery::answer(identity, request).await;
    };
    cluster.counters.request(target.counted());
    if !identity.may(target.verb.word(), target.resource, &target.subresource, &target.namespace) {
        return Err(target.forbidden(&identity.name, target.verb.word()));
    }
    if let Some(Refusal { status, retry_after, .. }) =
        cluster.faults.refusal(target.verb.word(), &target.resource_and_subresource())
    {
        return Err(Status::refused(status, retry_after));
    }
    if let Some(answer) = cluster.faults.answered(target.verb.word(), &target.resource_and_subresource()) {
        return spoilt(answer).await;
    }
    match target.subresource.as_str() {
        "log" => podlog::answer(cluster, &target),
        "portforward" => {
            // Since Kubernetes 1.35 a tunnel over WebSocket, a GET, needs `create` as well
            // (gate AuthorizePodWebsocketUpgradeCreatePermission).
            if target.verb == Verb::Get && !identity.may("create", target.resource, "portforward", &target.namespace) {
                return Err(target.forbidden(&identity.name, "create"));
            }
            portforward::answer(cluster, identity, &target, request)
        }
        "token" if target.verb == Verb::Create => {
            let hour = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1);
            let status = json!({"token": crate::users::token(&identity.name), "expirationTimestamp": hour.to_string()});
            let request = json!({"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1",
                "metadata": {"name": target.name, "namespace": target.namespace}, "spec": {"audiences": []}, "status": status});
            Ok(json_response(201, &request))
        }
        "" | "status" => objects::answer(cluster, &target, request).await,
        _ => Err(Status::no_such_path()),
    }
}

/// An answer that is given in place of the right one.
async fn spoilt(answer: ApiAnswer) -> Answer {
    let pause = Duration::from_millis(answer.pause_ms);
    tokio::time::sleep(pause).await;
    let first = futures_util::stream::once(std::future::ready(Bytes::from(answer.body)));
    let repeat = Bytes::from(answer.repeat);
    let rest = futures_util::stream::unfold((), move |()| {
        let chunk = repeat.clone();
        async move {
            if chunk.is_empty() {
                return None;
            }
            tokio::time::sleep(pause).await;
            Some((chunk, ()))
        }
    });
    let frames = first.chain(rest).map(|chunk| Ok(hyper::body::Frame::data(chunk)));
    let mut response = Response::new(http_body_util::StreamBody::new(frames).boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    for (name, value) in answer.headers {
        if let Ok(value) = http::HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

/// The private path by which tests in other processes set faults and read counters.
async fn control(cluster: &Arc<Cluster>, identity: &Identity, path: &str, request: Request<Incoming>) -> Answer {
    if &*identity.name != "admin" {
        return Err(Status::new(403, "Forbidden", "only the admin steers the sandbox"));
    }
    let method = request.method().clone();
    let words: Vec<&str> = path.split('/').collect();
    match (method.as_str(), words.as_slice()) {
        ("GET", ["stats"]) => Ok(json_response(200, &serde_json::to_value(cluster.counters.now()).unwrap_or_default())),
        ("PUT", ["faults", namespace, pod]) => {
            let fault: Fault = read_json(request).await?;
            cluster.faults.set(namespace, pod, Some(fault));
            Ok(json_response(200, &json!({})))
        }
        ("DELETE", ["faults", namespace, pod]) => {
            cluster.faults.set(namespace, pod, None);
            Ok(json_response(200, &json!({})))
        }
        ("POST", ["refusals"]) => {
            let refusal: Refusal = read_json(request).await?;
            cluster.faults.refuse(refusal);
            Ok(json_response(200, &json!({})))
        }
        ("POST", ["expire-continue-tokens"]) => {
            cluster.store.expire_continue_tokens();
            Ok(json_response(200, &json!({})))
        }
        _ => Err(Status::no_such_path()),
    }
}

async fn read_json<T: serde::de::DeserializeOwned>(request: Request<Incoming>) -> Result<T, Status> {
    let type_of_body = request.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if type_of_body.contains("protobuf") {
        return Err(Status::new(
            415,
            "UnsupportedMediaType",
            "the sandbox takes objects as JSON and not as protobuf: write the object to a file and use kubectl apply -f",
        ));
    }
    let body = Limited::new(request.into_body(), OBJECT_LIMIT).collect().await;
    let body = body.map_err(|_| Status::new(413, "RequestEntityTooLarge", "the object is larger than etcd takes"))?;
    serde_json::from_slice(&body.to_bytes())
        .map_err(|e| Status::bad_request(format!("the object provided is unrecognized (must be of type JSON): {e}")))
}

fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed_unsync()
}

fn json_response(code: u16, body: &Value) -> Response<Body> {
    let mut response = Response::new(full(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    response
}

fn failure(status: &Status) -> Response<Body> {
    let mut response = json_response(status.code, &status.body());
    if let Some(seconds) = status.details["retryAfterSeconds"].as_u64() {
        response.headers_mut().insert("retry-after", seconds.into());
    }
    response
}
