//! A port of a pod, as a stream: one port-forward, and nothing that listens on this machine.
//!
//! The API server has two ways, told apart by the verb that a role needs: `get` for channels in a WebSocket, `create`
//! for SPDY/3.1 (`staging/src/k8s.io/kubelet/pkg/cri/streaming/portforward`). A WebSocket is tried first and SPDY where
//! that is refused, as kubectl does (`NewFallbackDialer`), so that a role with either verb works.

mod spdy;
mod websocket;

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use http::StatusCode;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::client::Connection;
use super::encode::encode;
use super::error::ApiError;
use super::outside::outside;
use spdy::Spdy;
use websocket::WebSocket;

/// Why a port could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The API server refused, or could not be reached.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// What answered knows nothing of port-forwards.
    #[error("no port-forward: {0}")]
    NoUpgrade(String),
}

/// The most bytes of one frame. A kubelet's have 32 KiB.
const MAX_FRAME: usize = 4 << 20;

/// The most bytes that are kept of what is no data, such as an error.
const MAX_SAID: usize = 64 << 10;

/// How much is written at once, as kubectl does.
const CHUNK: usize = 32 << 10;

/// A stream to a port of a pod. Dropping it closes the port-forward.
pub enum PortStream {
    /// Channels in a WebSocket.
    WebSocket(Box<WebSocket>),
    /// Streams in an SPDY session.
    Spdy(Box<Spdy>),
}

/// What the port-forward said when it failed: the kubelet's own words from its error channel, or what was wrong with
/// what came. It says more than the end of the stream does.
#[derive(Debug, Clone, Default)]
pub struct PortErrors(Arc<Mutex<Option<String>>>);

impl PortErrors {
    /// The message, if there is one.
    #[must_use]
    pub fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Keeps the message, and gives the error that the stream's reader gets.
    fn fail(&self, message: &str) -> io::Error {
        // What of it is told is for whoever knows what was asked to say.
        let message = message[..message.floor_char_boundary(4 << 10)].to_owned();
        let error = io::Error::other(message.clone());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(message);
        error
    }
}

/// Whether a cluster's port-forwards take SPDY only, once that is known.
#[derive(Debug, Clone, Default)]
pub(super) struct SpdyOnly(Arc<AtomicBool>);

/// Opens a port of a pod; gives its stream, and what to ask when that ends too early. The caller sets the deadline.
pub async fn open_port(
    connection: &Connection,
    namespace: &str,
    pod: &str,
    port: u16,
) -> Result<(PortStream, PortErrors), OpenError> {
    let path = format!("/api/v1/namespaces/{}/pods/{}/portforward", encode(namespace), encode(pod));
    let errors = PortErrors::default();
    let spdy = &connection.spdy_only.0;
    let refused = if spdy.load(Ordering::Relaxed) {
        None
    } else {
        match websocket::open(connection, &path, port, &errors).await {
            Err(OpenError::Api(error @ (ApiError::Forbidden(_) | ApiError::Other { .. }))) => Some(error.into()),
            Err(error @ OpenError::NoUpgrade(_)) => Some(error),
            other => return other.map(|stream| (PortStream::WebSocket(Box::new(stream)), errors)),
        }
    };
    match (spdy::open(connection, &path, port, &errors).await, refused) {
        (Ok(stream), _) => {
            spdy.store(true, Ordering::Relaxed);
            Ok((PortStream::Spdy(Box::new(stream)), errors))
        }
        // What was asked for first is what the user's role ought to allow.
        (Err(_), Some(first)) => Err(first),
        (Err(error), None) => Err(error),
    }
}

/// Takes over the connection of an answer that switches protocols.
async fn upgrade(
    answer: http::Response<Body>,
    header: http::HeaderName,
    protocol: &str,
) -> Result<TokioIo<Upgraded>, OpenError> {
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(OpenError::NoUpgrade(format!("it was answered with {}", answer.status())));
    }
    let chosen = answer.headers().get(&header).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if chosen != protocol {
        return Err(OpenError::NoUpgrade(format!("the server speaks {:?} in place of {protocol}", outside(chosen))));
    }
    match hyper::upgrade::on(answer).await {
        Ok(upgraded) => Ok(TokioIo::new(upgraded)),
        Err(error) => Err(OpenError::NoUpgrade(outside(&error.to_string()))),
    }
}

/// Writes what waits to be written.
fn poll_outbox<S: AsyncWrite + Unpin>(io: &mut S, outbox: &mut Vec<u8>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    while !outbox.is_empty() {
        let written = ready!(Pin::new(&mut *io).poll_write(cx, outbox))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        outbox.drain(..written);
    }
    Poll::Ready(Ok(()))
}

impl AsyncRead for PortStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::WebSocket(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Spdy(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for PortStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::WebSocket(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Spdy(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::WebSocket(stream) => Pin::new(stream).poll_flush(cx),
            Self::Spdy(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::WebSocket(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Spdy(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
