//! A port-forward as channels in a WebSocket, `v4.channel.k8s.io`: for one port, channel 0 has the data and channel 1
//! the kubelet's error. The first frame of each is the port, two bytes in little-endian order; every frame begins with
//! its channel's number.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::{Sink as _, Stream as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use super::{MAX_FRAME, OpenError, PortErrors, upgrade};
use crate::k8s::client::Connection;

const PROTOCOL: &str = "v4.channel.k8s.io";
const DATA: u8 = 0;
const ERROR: u8 = 1;

/// How much is written at once, as kubectl does.
const CHUNK: usize = 32 << 10;

/// How much is read at once. A TLS record has no more, and tungstenite overwrites all of it with zeros before each read.
const READ: usize = 16 << 10;

/// Both directions of one port.
pub struct WebSocket {
    socket: WebSocketStream<TokioIo<Upgraded>>,
    errors: PortErrors,
    port: u16,
    /// Which channels have begun.
    begun: [bool; 2],
    /// What came and was not read yet.
    rest: Bytes,
    ended: bool,
}

pub(super) async fn open(
    connection: &Connection,
    path: &str,
    port: u16,
    errors: &PortErrors,
) -> Result<WebSocket, OpenError> {
    let key = generate_key();
    let request = http::Request::get(format!("{path}?ports={port}"))
        .header(http::header::CONNECTION, "Upgrade")
        .header(http::header::UPGRADE, "websocket")
        .header(http::header::SEC_WEBSOCKET_VERSION, "13")
        .header(http::header::SEC_WEBSOCKET_KEY, &key)
        .header(http::header::SEC_WEBSOCKET_PROTOCOL, PROTOCOL);
    let answer = connection.open(request).await?;
    let accepted = answer.headers().get(http::header::SEC_WEBSOCKET_ACCEPT);
    if answer.status() == http::StatusCode::SWITCHING_PROTOCOLS
        && accepted.is_none_or(|accepted| *accepted != derive_accept_key(key.as_bytes()))
    {
        return Err(OpenError::NoUpgrade("the server's WebSocket handshake is wrong".to_owned()));
    }
    let io = upgrade(answer, http::header::SEC_WEBSOCKET_PROTOCOL, PROTOCOL).await?;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ)
        .max_message_size(Some(MAX_FRAME))
        .max_frame_size(Some(MAX_FRAME));
    let socket = WebSocketStream::from_raw_socket(io, Role::Client, Some(config)).await;
    Ok(WebSocket { socket, errors: errors.clone(), port, begun: [false; 2], rest: Bytes::new(), ended: false })
}

impl WebSocket {
    /// Takes one frame: keeps its data, or gives the error that it means.
    fn take(&mut self, frame: Bytes) -> io::Result<()> {
        let Some((&channel, data)) = frame.split_first() else { return Ok(()) };
        let Some(begun) = self.begun.get_mut(usize::from(channel)) else {
            return Err(self.errors.fail(&format!("the port-forward has a channel {channel}, which nobody asked for")));
        };
        if !std::mem::replace(begun, true) {
            let Ok(port) = data.try_into().map(u16::from_le_bytes) else {
                let length = data.len();
                return Err(self
                    .errors
                    .fail(&format!("the port-forward began with {length} bytes in place of the port")));
            };
            if port != self.port {
                return Err(self.errors.fail(&format!("the port-forward leads to port {port}, not to {}", self.port)));
            }
            return Ok(());
        }
        if channel == ERROR && !data.is_empty() {
            return Err(self.errors.fail(&String::from_utf8_lossy(&data[..data.len().min(64 << 10)])));
        }
        if channel == DATA {
            self.rest = frame.slice(1..);
        }
        Ok(())
    }

    fn broken(&self, error: &Error) -> io::Error {
        match error {
            Error::Capacity(CapacityError::MessageTooLong { .. }) => {
                self.errors.fail(&format!("the port-forward sent a frame of more than {} MiB", MAX_FRAME >> 20))
            }
            // The connection's own end, of which the reader makes what it means for what was being read.
            Error::Io(error) => io::Error::new(error.kind(), error.to_string()),
            Error::ConnectionClosed | Error::AlreadyClosed => io::ErrorKind::ConnectionAborted.into(),
            other => self.errors.fail(&format!("the port-forward broke its protocol: {other}")),
        }
    }
}

impl AsyncRead for WebSocket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if !this.rest.is_empty() {
                let length = this.rest.len().min(buf.remaining());
                buf.put_slice(&this.rest.split_to(length));
                return Poll::Ready(Ok(()));
            }
            if this.ended {
                return Poll::Ready(Ok(()));
            }
            match ready!(Pin::new(&mut this.socket).poll_next(cx)) {
                None | Some(Ok(Message::Close(_))) => this.ended = true,
                Some(Ok(Message::Binary(frame))) => this.take(frame)?,
                Some(Ok(Message::Text(_))) => {
                    return Poll::Ready(Err(this.errors.fail("the port-forward sent a text")));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(this.broken(&error))),
            }
        }
    }
}

impl AsyncWrite for WebSocket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if let Err(error) = ready!(Pin::new(&mut this.socket).poll_ready(cx)) {
            return Poll::Ready(Err(this.broken(&error)));
        }
        let chunk = &buf[..buf.len().min(CHUNK)];
        let mut frame = Vec::with_capacity(chunk.len() + 1);
        frame.push(DATA);
        frame.extend_from_slice(chunk);
        match Pin::new(&mut this.socket).start_send(Message::binary(frame)) {
            Ok(()) => Poll::Ready(Ok(chunk.len())),
            Err(error) => Poll::Ready(Err(this.broken(&error))),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = ready!(Pin::new(&mut this.socket).poll_flush(cx));
        Poll::Ready(flushed.map_err(|error| this.broken(&error)))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let closed = ready!(Pin::new(&mut this.socket).poll_close(cx));
        Poll::Ready(closed.map_err(|error| this.broken(&error)))
    }
}
