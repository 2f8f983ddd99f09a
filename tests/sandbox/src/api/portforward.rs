//! `pods/portforward`: the upgrade, and the three ways a client may speak over it.
//!
//! kube-rs and browsers use the channels of `v4.channel.k8s.io` in WebSocket frames; kubectl tunnels
//! SPDY through a WebSocket (`SPDY/3.1+portforward.k8s.io`, KEP-4006) and falls back to SPDY itself.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Collected};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::route::{Target, Verb};
use super::{Answer, Cluster, Endpoint, Handler, full, json_response, spdy};
use crate::faults::Fault;
use crate::status::Status;
use crate::users::Identity;

const CHANNELS: &str = "v4.channel.k8s.io";
const TUNNEL: &str = "SPDY/3.1+portforward.k8s.io";
const SPDY_PROTOCOL: &str = "portforward.k8s.io";
/// A kubelet copies with buffers of this size, so frames are no larger.
const COPY_BUFFER: usize = 32 * 1024;
/// How long a kubelet leaves a tunnel open when the pod's side has ended.
const LINGER: Duration = Duration::from_secs(1);

/// A stream to a port in a pod.
pub(super) type PodStream = Box<dyn Stream>;

/// Both directions of a connection.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The pod behind a tunnel, and what is wrong with it.
#[derive(Clone)]
pub(super) struct Pod {
    cluster: Arc<Cluster>,
    namespace: String,
    name: String,
    uid: String,
    fault: Option<Fault>,
}

pub(super) fn answer(
    cluster: &Arc<Cluster>,
    identity: &Identity,
    target: &Target,
    request: Request<Incoming>,
) -> Answer {
    let fault = cluster.faults.meet(&target.namespace, &target.name);
    match &fault {
        Some(Fault::Forbidden) => return Err(target.forbidden(&identity.name, target.verb.word())),
        Some(Fault::Gone) => return Err(Status::not_found(target.resource, &target.name)),
        Some(Fault::Refuse { status, retry_after, .. }) => return Err(Status::refused(*status, *retry_after)),
        _ => {}
    }
    let object = cluster.store.get(target.resource, &target.namespace, &target.name)?;
    if !object["spec"]["nodeName"].is_string() {
        return Err(Status::bad_request(format!("pod {} does not have a host assigned", target.name)));
    }
    if matches!(object["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) {
        // The kubelet's own words, which are no Status.
        let mut response = Response::new(full(format!("pod not found (\"{}_{}\")\n", target.name, target.namespace)));
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        return Ok(response);
    }
    let pod = Pod {
        cluster: Arc::clone(cluster),
        namespace: target.namespace.clone(),
        name: target.name.clone(),
        uid: object["metadata"]["uid"].as_str().unwrap_or_default().to_owned(),
        fault,
    };
    if target.verb == Verb::Create { over_spdy(pod, request) } else { over_websocket(pod, target, request) }
}

fn over_websocket(pod: Pod, target: &Target, request: Request<Incoming>) -> Answer {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Some(accept) = request.headers().get("sec-websocket-key").map(|key| derive_accept_key(key.as_bytes())) else {
        return Err(Status::bad_request("Upgrade request required"));
    };
    let offered: Vec<&str> = header("sec-websocket-protocol").split(',').map(str::trim).collect();
    let protocol = if offered.contains(&CHANNELS) {
        CHANNELS
    } else if offered.contains(&TUNNEL) {
        TUNNEL
    } else {
        // A kubelet that knows none of the protocols says no more than this.
        return Ok(bodiless(StatusCode::FORBIDDEN));
    };
    let ports: Option<Vec<u16>> =
        target.query.all("ports").flat_map(|ports| ports.split(',')).map(|port| port.parse().ok()).collect();
    let ports = ports.filter(|ports| protocol == TUNNEL || !ports.is_empty());
    let Some(ports) = ports else {
        return Err(Status::bad_request("query parameter \"port\" is required"));
    };
    let cluster = Arc::clone(&pod.cluster);
    let upgrade = hyper::upgrade::on(request);
    cluster.spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        let _counted = Counted::new(&pod);
        if protocol == CHANNELS { channels(socket, &pod, &ports).await } else { tunnel(socket, pod).await }
    });
    let mut response = switching("websocket");
    response
        .headers_mut()
        .insert("sec-websocket-accept", HeaderValue::from_str(&accept).unwrap_or(HeaderValue::from_static("")));
    response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(protocol));
    Ok(response)
}

fn over_spdy(pod: Pod, request: Request<Incoming>) -> Answer {
    let asked = request.headers().get("upgrade").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !asked.eq_ignore_ascii_case("SPDY/3.1") {
        return Err(Status::bad_request("Upgrade request required"));
    }
    let cluster = Arc::clone(&pod.cluster);
    let upgrade = hyper::upgrade::on(request);
    cluster.spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        let _counted = Counted::new(&pod);
        spdy::serve(TokioIo::new(upgraded), pod).await;
    });
    let mut response = switching("SPDY/3.1");
    response.headers_mut().insert("x-stream-protocol-version", HeaderValue::from_static(SPDY_PROTOCOL));
    Ok(response)
}

fn switching(protocol: &'static str) -> Response<super::Body> {
    let mut response = bodiless(StatusCode::SWITCHING_PROTOCOLS);
    response.headers_mut().insert("connection", HeaderValue::from_static("Upgrade"));
    response.headers_mut().insert("upgrade", HeaderValue::from_static(protocol));
    response
}

fn bodiless(status: StatusCode) -> Response<super::Body> {
    let mut response = Response::new(full(""));
    *response.status_mut() = status;
    response
}

/// Counts a tunnel for as long as it is open.
struct Counted(Arc<Cluster>);

impl Counted {
    fn new(pod: &Pod) -> Self {
        pod.cluster.counters.tunnel_opened(&pod.namespace, &pod.name);
        Self(Arc::clone(&pod.cluster))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.counters.tunnel_closed();
    }
}

type Socket = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

/// The channels of `v4.channel.k8s.io`: for the n-th port, data on channel 2n and errors on 2n + 1. The
/// first frame of each carries the port, two bytes in little-endian order.
async fn channels(mut socket: Socket, pod: &Pod, ports: &[u16]) {
    let (frames, mut to_client) = mpsc::channel::<Option<Message>>(8);
    let mut writers = Vec::new();
    let mut frames_left = match pod.fault {
        Some(Fault::Closed { frames }) => Some(frames),
        _ => None,
    };
    for (index, port) in ports.iter().enumerate() {
        let Ok(data) = u8::try_from(2 * index) else {
            return;
        };
        for channel in [data, data + 1] {
            let [low, high] = port.to_le_bytes();
            if frames_left == Some(0) {
                return;
            }
            frames_left = frames_left.map(|left| left - 1);
            if socket.send(Message::binary(vec![channel, low, high])).await.is_err() {
                return;
            }
        }
        if frames_left == Some(0) {
            return;
        }
        match pod.connect(*port).await {
            Ok(stream) => {
                let (reader, writer) = tokio::io::split(stream);
                writers.push(Some(writer));
                pod.cluster.spawn(to_channel(reader, data, pod.clone(), *port, frames.clone()));
            }
            Err(message) => {
                writers.push(None);
                let _ = socket.send(error_frame(data + 1, &message)).await;
                let _ = frames.send(None).await;
            }
        }
    }
    let mut open = ports.len();
    let mut linger = Box::pin(tokio::time::sleep(Duration::MAX));
    loop {
        tokio::select! {
            frame = to_client.recv() => match frame {
                Some(Some(frame)) => if socket.send(frame).await.is_err() { return },
                _ => {
                    open = open.saturating_sub(1);
                    if open == 0 {
                        let after = if writers.iter().any(Option::is_some) { LINGER } else { Duration::ZERO };
                        linger.as_mut().reset(tokio::time::Instant::now() + after);
                    }
                }
            },
            () = &mut linger => {
                let _ = socket.close(None).await;
                return;
            }
            message = socket.next() => match message {
                Some(Ok(Message::Binary(bytes))) => {
                    let Some((channel, data)) = bytes.split_first() else { continue };
                    let writer = writers.get_mut(usize::from(channel / 2)).filter(|_| channel % 2 == 0);
                    if let Some(Some(writer)) = writer && writer.write_all(data).await.is_err() {
                        // The reader of the same stream tells the client what happened.
                        continue;
                    }
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
        }
    }
}

fn error_frame(channel: u8, message: &str) -> Message {
    let mut frame = vec![channel];
    frame.extend_from_slice(message.as_bytes());
    Message::binary(frame)
}

/// Copies what the pod says into frames of a data channel; `None` is the end.
async fn to_channel(
    mut reader: impl AsyncRead + Unpin,
    channel: u8,
    pod: Pod,
    port: u16,
    frames: mpsc::Sender<Option<Message>>,
) {
    let mut buffer = vec![0; COPY_BUFFER];
    loop {
        let read = tokio::select! {
            read = reader.read(&mut buffer) => read,
            () = frames.closed() => return,
        };
        let frame = match read {
            Ok(0) => break,
            Ok(length) => {
                pod.cluster.counters.tunnel_bytes(length);
                let mut frame = Vec::with_capacity(length + 1);
                frame.push(channel);
                frame.extend_from_slice(&buffer[..length]);
                Message::binary(frame)
            }
            Err(error) => {
                let _ = frames.send(Some(error_frame(channel + 1, &pod.broken(port, &error)))).await;
                break;
            }
        };
        if frames.send(Some(frame)).await.is_err() {
            return;
        }
    }
    let _ = frames.send(None).await;
}

/// SPDY inside the binary messages of a WebSocket.
async fn tunnel(socket: Socket, pod: Pod) {
    let (ours, theirs) = tokio::io::duplex(256 * 1024);
    let (mut sink, mut source) = socket.split();
    let (mut reader, mut writer) = tokio::io::split(ours);
    let outwards = async move {
        let mut buffer = vec![0; COPY_BUFFER];
        while let Ok(length @ 1..) = reader.read(&mut buffer).await {
            if sink.send(Message::binary(buffer[..length].to_vec())).await.is_err() {
                return;
            }
        }
        let _ = sink.close().await;
    };
    let inwards = async move {
        while let Some(Ok(message)) = source.next().await {
            let Message::Binary(bytes) = message else {
                continue;
            };
            if writer.write_all(&bytes).await.is_err() {
                return;
            }
        }
    };
    let session = async {
        tokio::select! { () = spdy::serve(theirs, pod) => {}, () = inwards => {} }
    };
    tokio::join!(session, outwards);
}

impl Pod {
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.cluster.spawn(task);
    }

    pub(super) fn count(&self, bytes: usize) {
        self.cluster.counters.tunnel_bytes(bytes);
    }

    /// Connects to a port in the pod; the error is what the kubelet writes to the error channel.
    pub(super) async fn connect(&self, port: u16) -> Result<PodStream, String> {
        let endpoint = self.cluster.runtime(&self.namespace, &self.name).ports.get(&port).cloned();
        match &self.fault {
            Some(Fault::ErrorChannel { message }) => return Err(message.clone()),
            Some(Fault::PortClosed) => return Err(self.closed(port)),
            Some(Fault::Hang) => {
                let (near, far) = tokio::io::duplex(COPY_BUFFER);
                self.spawn(swallow(far));
                return Ok(Box::new(near));
            }
            Some(Fault::Reset) => {
                return resetting().await.map_err(|error| self.broken(port, &error));
            }
            Some(Fault::Huge { bytes }) => {
                let (near, far) = tokio::io::duplex(COPY_BUFFER);
                self.spawn(huge_dump(far, *bytes));
                return Ok(Box::new(near));
            }
            Some(Fault::Raw { answer, repeat }) => {
                let (near, far) = tokio::io::duplex(COPY_BUFFER);
                self.spawn(raw(far, answer.clone(), repeat.clone()));
                return Ok(Box::new(near));
            }
            Some(Fault::NotEnvoy) => return Ok(self.serve(Arc::new(WelcomePage))),
            _ => {}
        }
        let stream: PodStream = match endpoint {
            None => return Err(self.closed(port)),
            Some(Endpoint::Http(handler)) => self.serve(handler),
            Some(Endpoint::Tcp(address)) => match TcpStream::connect(address).await {
                Ok(stream) => {
                    let _ = stream.set_nodelay(true);
                    Box::new(stream)
                }
                Err(_) => return Err(self.closed(port)),
            },
        };
        Ok(match self.fault {
            Some(Fault::Truncated { bytes }) => self.shaped(stream, Shape { bytes, ..Shape::default() }),
            Some(Fault::Slow { latency_ms, bytes_per_second }) => {
                let latency = Duration::from_millis(latency_ms);
                self.shaped(stream, Shape { latency, bytes_per_second: Some(bytes_per_second), ..Shape::default() })
            }
            _ => stream,
        })
    }

    fn serve(&self, handler: Arc<dyn Handler>) -> PodStream {
        let (near, far) = tokio::io::duplex(256 * 1024);
        self.spawn(serve_http(far, handler));
        Box::new(near)
    }

    /// The stream as it is, but for what the shape does to the pod's answers.
    fn shaped(&self, stream: PodStream, shape: Shape) -> PodStream {
        let (near, far) = tokio::io::duplex(COPY_BUFFER);
        self.spawn(async move {
            let (mut from_pod, mut to_pod) = tokio::io::split(stream);
            let (mut from_client, mut to_client) = tokio::io::split(far);
            tokio::select! {
                () = shape.copy(&mut from_pod, &mut to_client) => {}
                _ = tokio::io::copy(&mut from_client, &mut to_pod) => {}
            }
        });
        Box::new(near)
    }

    /// What a kubelet says where nothing listens on the port.
    fn closed(&self, port: u16) -> String {
        self.failed(port, &format!(
            "failed to connect to localhost:{port} inside namespace \"{}\", IPv4: dial tcp4 127.0.0.1:{port}: connect: connection refused IPv6 dial tcp6: address localhost: no suitable address found",
            self.sandbox_id()
        ))
    }

    /// What a kubelet says where the connection breaks.
    pub(super) fn broken(&self, port: u16, error: &std::io::Error) -> String {
        let what = match error.kind() {
            std::io::ErrorKind::ConnectionReset => "connection reset by peer".to_owned(),
            _ => error.to_string(),
        };
        self.failed(port, &format!("read tcp4 127.0.0.1:52102->127.0.0.1:{port}: read: {what}"))
    }

    fn failed(&self, port: u16, what: &str) -> String {
        format!(
            "error forwarding port {port} to pod {}, uid : failed to execute portforward in network namespace \"/var/run/netns/cni-{}\": {what}",
            self.sandbox_id(),
            self.uid
        )
    }

    fn sandbox_id(&self) -> String {
        self.uid.replace('-', "").repeat(2)
    }
}

/// How the pod's answers are spoilt.
struct Shape {
    latency: Duration,
    bytes_per_second: Option<u64>,
    bytes: u64,
}

impl Default for Shape {
    fn default() -> Self {
        Self { latency: Duration::ZERO, bytes_per_second: None, bytes: u64::MAX }
    }
}

impl Shape {
    async fn copy(&self, from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin)) {
        // A tenth of a second's worth at a time.
        let chunk = self
            .bytes_per_second
            .map_or(COPY_BUFFER, |rate| usize::try_from(rate / 10).unwrap_or(COPY_BUFFER).clamp(1, COPY_BUFFER));
        let mut buffer = vec![0; chunk];
        let (mut left, mut first) = (self.bytes, true);
        while left > 0 {
            let limit = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let Ok(length @ 1..) = from.read(&mut buffer[..limit]).await else {
                return;
            };
            if std::mem::take(&mut first) {
                tokio::time::sleep(self.latency).await;
            }
            if let Some(rate) = self.bytes_per_second {
                tokio::time::sleep(Duration::from_secs_f64(length as f64 / rate.max(1) as f64)).await;
            }
            if to.write_all(&buffer[..length]).await.is_err() {
                return;
            }
            left -= length as u64;
        }
    }
}

/// Answers the first request with bytes.
async fn raw(mut stream: DuplexStream, answer: String, repeat: String) {
    let _ = stream.read(&mut [0; 4096]).await;
    if stream.write_all(answer.as_bytes()).await.is_err() {
        return;
    }
    while !repeat.is_empty() && stream.write_all(repeat.as_bytes()).await.is_ok() {}
}

async fn swallow(mut stream: DuplexStream) {
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
}

/// A connection whose other end answers the first bytes with a real RST.
async fn resetting() -> std::io::Result<PodStream> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let near = TcpStream::connect(listener.local_addr()?).await?;
    let (mut far, _) = listener.accept().await?;
    tokio::spawn(async move {
        let _ = far.read(&mut [0; 1]).await;
        let _ = socket2::SockRef::from(&far).set_linger(Some(Duration::ZERO));
    });
    Ok(Box::new(near))
}

async fn serve_http(stream: DuplexStream, handler: Arc<dyn Handler>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let handler = Arc::clone(&handler);
        async move {
            let target = request.uri().path_and_query().map_or("/", |target| target.as_str()).to_owned();
            let method = request.method().clone();
            let body = request.into_body().collect().await.map(Collected::to_bytes).unwrap_or_default();
            let reply = handler.answer_to(&method, &target, &body);
            if !handler.latency().is_zero() {
                tokio::time::sleep(handler.latency()).await;
            }
            let mut response = json_response(reply.status, &serde_json::Value::Null);
            *response.body_mut() = full(reply.body);
            response.headers_mut().insert("content-type", HeaderValue::from_static(reply.content_type));
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    let served: Pin<Box<dyn Future<Output = _> + Send>> =
        Box::pin(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    let _ = served.await;
}

/// Answers each request with a well-formed dump of about `size` bytes, without ever holding it.
async fn huge_dump(mut stream: DuplexStream, size: u64) {
    const HEAD: &str = "{\"configs\":[";
    let element = format!(
        "{{\"@type\":\"type.googleapis.com/envoy.admin.v3.ClustersConfigDump.DynamicCluster\",\"cluster\":{{\"@type\":\"type.googleapis.com/envoy.config.cluster.v3.Cluster\",\"name\":\"outbound|8080||{}.example.org\"}}}},",
        "a".repeat(900)
    );
    let times = size / element.len() as u64 + 1;
    let last = element.trim_end_matches(',');
    let length = HEAD.len() as u64 + times * element.len() as u64 + last.len() as u64 + 2;
    let chunk = Bytes::from(element.clone().into_bytes());
    let mut request = Vec::new();
    let mut buffer = [0; 1_024];
    loop {
        while !request.windows(4).any(|end| end == b"\r\n\r\n") {
            match stream.read(&mut buffer).await {
                Ok(length @ 1..) => request.extend_from_slice(&buffer[..length]),
                _ => return,
            }
        }
        request.clear();
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{HEAD}");
        if stream.write_all(head.as_bytes()).await.is_err() {
            return;
        }
        for _ in 0..times {
            if stream.write_all(&chunk).await.is_err() {
                return;
            }
        }
        if stream.write_all(format!("{last}]}}").as_bytes()).await.is_err() {
            return;
        }
    }
}

/// What stands on a port when Envoy does not.
struct WelcomePage;

impl Handler for WelcomePage {
    fn answer(&self, _: &http::Method, _: &str) -> super::Reply {
        super::Reply {
            status: 200,
            content_type: "text/html",
            body: "<!DOCTYPE html>\n<html><head><title>Welcome to nginx!</title></head><body><h1>Welcome to nginx!</h1></body></html>\n".into(),
        }
    }
}
