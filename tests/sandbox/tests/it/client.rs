//! A client of the API server that shows everything of an answer, and opens tunnels frame by frame.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use meshaudit_sandbox::{Sandbox, users};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, Message};

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("no JSON: {}", String::from_utf8_lossy(&self.body)))
    }

    pub(crate) fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_default().to_owned()
    }
}

/// Runs a test's asynchronous part on a runtime of its own.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

pub(crate) fn get(sandbox: &Sandbox, user: &str, path: &str) -> Answer {
    ask(sandbox, user, "GET", path, &Value::Null)
}

pub(crate) fn ask(sandbox: &Sandbox, user: &str, method: &str, path: &str, body: &Value) -> Answer {
    wait(async {
        let stream = connect(sandbox).await;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let content_type = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("authorization", format!("Bearer {}", users::token(user)))
            .header("content-type", content_type)
            .header("user-agent", "tests/1.0")
            .body(Full::<Bytes>::from(if body.is_null() { String::new() } else { body.to_string() }))
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    })
}

async fn connect(sandbox: &Sandbox) -> TlsStream<TcpStream> {
    let kubeconfig = std::fs::read_to_string(sandbox.kubeconfig()).unwrap();
    let authority = kubeconfig.split("certificate-authority-data: ").nth(1).unwrap().lines().next().unwrap();
    let authority = CertificateDer::from_pem_slice(&BASE64.decode(authority).unwrap()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let address = sandbox.server_url().replace("https://", "");
    let stream = TcpStream::connect(address).await.unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), stream).await.unwrap()
}

/// A tunnel that speaks `v4.channel.k8s.io`, to one port.
pub(crate) struct Tunnel {
    socket: WebSocketStream<TlsStream<TcpStream>>,
    pub(crate) protocol: String,
}

/// What comes out of a tunnel.
#[derive(Debug, PartialEq)]
pub(crate) enum Frame {
    Data(Vec<u8>),
    Error(Vec<u8>),
    End,
}

impl Tunnel {
    /// Opens a tunnel, or returns the answer that refuses it.
    pub(crate) async fn open(sandbox: &Sandbox, user: &str, pod: &str, port: u16) -> Result<Self, Box<Answer>> {
        Self::offering(sandbox, user, pod, port, "v5.channel.k8s.io, v4.channel.k8s.io").await
    }

    pub(crate) async fn offering(
        sandbox: &Sandbox,
        user: &str,
        pod: &str,
        port: u16,
        protocols: &str,
    ) -> Result<Self, Box<Answer>> {
        let (namespace, name) = pod.split_once('/').unwrap();
        let request = http::Request::builder()
            .uri(format!("wss://localhost/api/v1/namespaces/{namespace}/pods/{name}/portforward?ports={port}"))
            .header("host", "localhost")
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", tungstenite::handshake::client::generate_key())
            .header("sec-websocket-protocol", protocols)
            .header("authorization", format!("Bearer {}", users::token(user)))
            .body(())
            .unwrap();
        match tokio_tungstenite::client_async(request, connect(sandbox).await).await {
            Ok((socket, response)) => {
                let protocol = response.headers()["sec-websocket-protocol"].to_str().unwrap().to_owned();
                Ok(Self { socket, protocol })
            }
            Err(tungstenite::Error::Http(response)) => {
                let (parts, body) = response.into_parts();
                let body = Bytes::from(body.unwrap_or_default());
                Err(Box::new(Answer { status: parts.status.as_u16(), headers: parts.headers, body }))
            }
            Err(other) => panic!("{other}"),
        }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let mut frame = vec![0];
        frame.extend_from_slice(bytes);
        self.socket.send(Message::binary(frame)).await.unwrap();
    }

    /// The next frame that carries something.
    pub(crate) async fn next(&mut self) -> Frame {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Binary(bytes))) => {
                    return match bytes[0] {
                        0 => Frame::Data(bytes[1..].to_vec()),
                        1 => Frame::Error(bytes[1..].to_vec()),
                        other => panic!("a frame of channel {other}, which nobody asked for"),
                    };
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Frame::End,
                Some(Ok(_)) => {}
            }
        }
    }

    /// Skips the two frames that begin the channels.
    pub(crate) async fn begun(mut self, port: u16) -> Self {
        let port = port.to_le_bytes();
        assert_eq!(self.next().await, Frame::Data(port.to_vec()));
        assert_eq!(self.next().await, Frame::Error(port.to_vec()));
        self
    }

    /// Everything the pod says from here on, and the error channel's message if there is one.
    pub(crate) async fn rest(&mut self) -> (Vec<u8>, Option<String>) {
        let (mut data, mut error) = (Vec::new(), None);
        loop {
            match self.next().await {
                Frame::Data(bytes) => data.extend(bytes),
                Frame::Error(message) => error = Some(String::from_utf8(message).unwrap()),
                Frame::End => return (data, error),
            }
        }
    }

    /// Asks for a path over the tunnel and reads until the pod closes.
    pub(crate) async fn get(&mut self, target: &str) -> (String, Option<String>) {
        self.send(format!("GET {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").as_bytes()).await;
        let (data, error) = self.rest().await;
        (String::from_utf8(data).unwrap(), error)
    }
}
