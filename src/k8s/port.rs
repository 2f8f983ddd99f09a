//! A port of a pod, as a stream: one WebSocket port-forward, and nothing that listens on this machine.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::Portforwarder;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use super::client::{ApiError, Connection};

/// Why a port could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The API server refused, or could not be reached.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The port-forward was accepted and then had no stream.
    #[error("the port-forward has no stream for port {0}")]
    NoStream(u16),
}

/// How long the error channel is waited for after the stream has ended: its message may come after the end, and says
/// more than the end does.
const ERROR_CHANNEL_GRACE: Duration = Duration::from_millis(200);

/// A stream to a port of a pod. Dropping it closes the port-forward.
pub struct PortStream {
    stream: DuplexStream,
    forwarder: Portforwarder,
}

/// The port-forward's error channel, where the kubelet says why a port cannot be reached.
pub struct PortErrors(Option<BoxFuture<'static, Option<String>>>);

impl PortErrors {
    /// The message, if there is one or one comes within a moment.
    pub async fn take(&mut self) -> Option<String> {
        let message = self.0.take()?;
        tokio::time::timeout(ERROR_CHANNEL_GRACE, message).await.ok().flatten()
    }
}

/// Opens a port of a pod; gives its stream, and what to ask when that ends too early. The caller sets the deadline.
pub async fn open_port(
    connection: &Connection,
    namespace: &str,
    pod: &str,
    port: u16,
) -> Result<(PortStream, PortErrors), OpenError> {
    let pods: Api<Pod> = Api::namespaced(connection.client.clone(), namespace);
    let mut forwarder = pods.portforward(pod, &[port]).await.map_err(ApiError::from)?;
    let stream = forwarder.take_stream(port).ok_or(OpenError::NoStream(port))?;
    let errors = forwarder.take_error(port).map(|errors| Box::pin(errors) as BoxFuture<'static, Option<String>>);
    Ok((PortStream { stream, forwarder }, PortErrors(errors)))
}

impl Drop for PortStream {
    fn drop(&mut self) {
        // The forwarder has no Drop of its own: a server that never closes would keep its task for ever.
        self.forwarder.abort();
    }
}

impl AsyncRead for PortStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for PortStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
