//! A port-forward as channels in a WebSocket, `v4.channel.k8s.io`: for one port, channel 0 has the data and channel 1
//! the kubelet's error. The first message of each is the port, two bytes in little-endian order; every message begins
//! with its channel's number.
//!
//! tungstenite reads and writes the heads of frames. Their data go straight to whoever reads them, and not through its
//! own stream, which would copy them twice: an audit of a large mesh reads gigabytes here.

use std::io::{self, Cursor};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tungstenite::error::ProtocolError;
use tungstenite::handshake::client::generate_key;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameHeader};

use super::{CHUNK, MAX_FRAME, MAX_SAID, OpenError, PortErrors, poll_outbox, upgrade};
use crate::k8s::client::Connection;

const PROTOCOL: &str = "v4.channel.k8s.io";
const DATA: u8 = 0;
const ERROR: u8 = 1;

/// How much is read at once where a frame's head is to come, which has at most 14 bytes.
const HEAD: usize = 32;

/// The most bytes of a control frame (RFC 6455, section 5.5).
const MAX_CONTROL: usize = 125;

/// Both directions of one port.
pub struct WebSocket<S = TokioIo<Upgraded>> {
    io: S,
    errors: PortErrors,
    port: u16,
    /// Which channels have begun.
    begun: [bool; 2],
    /// What came and was not looked at yet.
    inbox: Vec<u8>,
    /// What is to be written yet.
    outbox: Vec<u8>,
    frame: Option<FrameUnderWay>,
    message: Option<MessageUnderWay>,
    ended: bool,
}

/// The frame that is under way.
struct FrameUnderWay {
    header: FrameHeader,
    left: u64,
    /// What came of a control frame.
    control: Vec<u8>,
}

/// The message that is under way: several frames, between which control frames may come.
#[derive(Default)]
struct MessageUnderWay {
    channel: Option<u8>,
    /// What came of it, where it is not data.
    said: Vec<u8>,
}

/// What reading goes on with.
enum Next {
    /// The reader has something, or there is no more.
    Given,
    /// More of what is not data.
    Inbox,
    /// Data, so many bytes at most.
    Data(u64),
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
    Ok(WebSocket::new(io, port, errors))
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    fn new(io: S, port: u16, errors: &PortErrors) -> Self {
        let (inbox, outbox) = (Vec::new(), Vec::new());
        let errors = errors.clone();
        Self { io, errors, port, begun: [false; 2], inbox, outbox, frame: None, message: None, ended: false }
    }

    /// Looks at what has come, and gives data to `buf`.
    fn take(&mut self, buf: &mut ReadBuf<'_>) -> io::Result<Next> {
        loop {
            if self.ended {
                return Ok(Next::Given);
            }
            let Some(frame) = &mut self.frame else {
                if !self.begin()? {
                    return Ok(Next::Inbox);
                }
                continue;
            };
            if frame.left == 0 {
                self.finish()?;
                continue;
            }
            let ready = usize::try_from(frame.left).unwrap_or(usize::MAX).min(self.inbox.len());
            let used = match (&mut self.message, frame.header.opcode) {
                (Some(message), OpCode::Data(_)) => match message.channel {
                    Some(DATA) if self.begun[usize::from(DATA)] => {
                        if ready == 0 {
                            return Ok(Next::Data(frame.left));
                        }
                        let length = ready.min(buf.remaining());
                        buf.put_slice(&self.inbox[..length]);
                        self.inbox.drain(..length);
                        frame.left -= length as u64;
                        return Ok(Next::Given);
                    }
                    Some(_) => {
                        let room = MAX_SAID.saturating_sub(message.said.len());
                        message.said.extend_from_slice(&self.inbox[..ready.min(room)]);
                        ready
                    }
                    None => {
                        let channel = self.inbox.first().copied();
                        if let Some(channel) = channel.filter(|&channel| usize::from(channel) >= self.begun.len()) {
                            let text = format!("the port-forward has a channel {channel}, which nobody asked for");
                            return Err(self.errors.fail(&text));
                        }
                        message.channel = channel;
                        ready.min(1)
                    }
                },
                _ => {
                    frame.control.extend_from_slice(&self.inbox[..ready]);
                    ready
                }
            };
            self.inbox.drain(..used);
            frame.left -= used as u64;
            if used == 0 {
                return Ok(Next::Inbox);
            }
        }
    }

    /// Reads a frame's head; returns whether one had come.
    fn begin(&mut self) -> io::Result<bool> {
        let mut cursor = Cursor::new(&self.inbox);
        let (header, length) = match FrameHeader::parse(&mut cursor) {
            Ok(Some(head)) => head,
            Ok(None) => return Ok(false),
            Err(error) => return Err(self.broken(&error)),
        };
        let head = usize::try_from(cursor.position()).unwrap_or(usize::MAX);
        self.inbox.drain(..head);
        let wrong = match header.opcode {
            _ if header.mask.is_some() => Some(ProtocolError::MaskedFrameFromServer),
            _ if header.rsv1 || header.rsv2 || header.rsv3 => Some(ProtocolError::NonZeroReservedBits),
            OpCode::Control(_) if !header.is_final => Some(ProtocolError::FragmentedControlFrame),
            OpCode::Control(_) if length > MAX_CONTROL as u64 => Some(ProtocolError::ControlFrameTooBig),
            OpCode::Data(Data::Continue) if self.message.is_none() => Some(ProtocolError::UnexpectedContinueFrame),
            OpCode::Data(data @ (Data::Binary | Data::Text)) if self.message.is_some() => {
                Some(ProtocolError::ExpectedFragment(data))
            }
            _ => None,
        };
        if let Some(wrong) = wrong {
            return Err(self.broken(&wrong.into()));
        }
        if header.opcode == OpCode::Data(Data::Text) {
            return Err(self.errors.fail("the port-forward sent a text"));
        }
        if length > MAX_FRAME as u64 {
            let text = format!("the port-forward sent a frame of more than {} MiB", MAX_FRAME >> 20);
            return Err(self.errors.fail(&text));
        }
        if header.opcode == OpCode::Data(Data::Binary) {
            self.message = Some(MessageUnderWay::default());
        }
        self.frame = Some(FrameUnderWay { header, left: length, control: Vec::new() });
        Ok(true)
    }

    /// Does what a frame asks for that has come as a whole, and what its message does.
    fn finish(&mut self) -> io::Result<()> {
        let Some(FrameUnderWay { header, control, .. }) = self.frame.take() else { return Ok(()) };
        match header.opcode {
            // One who sends pings and reads no answers gets no more of them.
            OpCode::Control(Control::Ping) if self.outbox.len() <= CHUNK => self.send(Frame::pong(control))?,
            OpCode::Control(Control::Close) => {
                self.ended = true;
                self.send(Frame::close(None))?;
            }
            OpCode::Data(_) if header.is_final => {
                let MessageUnderWay { channel, said } = self.message.take().unwrap_or_default();
                let Some(begun) = channel.and_then(|channel| self.begun.get_mut(usize::from(channel))) else {
                    return Ok(());
                };
                if !std::mem::replace(begun, true) {
                    return self.check_port(&said);
                }
                if channel == Some(ERROR) && !said.is_empty() {
                    return Err(self.errors.fail(&String::from_utf8_lossy(&said)));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The first message of each channel.
    fn check_port(&self, said: &[u8]) -> io::Result<()> {
        let Ok(port) = said.try_into().map(u16::from_le_bytes) else {
            let length = said.len();
            return Err(self.errors.fail(&format!("the port-forward began with {length} bytes in place of the port")));
        };
        if port != self.port {
            return Err(self.errors.fail(&format!("the port-forward leads to port {port}, not to {}", self.port)));
        }
        Ok(())
    }

    /// Makes a frame ready to be written. A client's are masked (RFC 6455, section 5.3).
    fn send(&mut self, mut frame: Frame) -> io::Result<()> {
        let mut mask = [0; 4];
        let random = rustls::crypto::ring::default_provider().secure_random;
        random.fill(&mut mask).map_err(|_| io::Error::other("this machine gives no random numbers"))?;
        frame.header_mut().mask = Some(mask);
        frame.format(&mut self.outbox).map_err(io::Error::other)
    }

    fn broken(&self, error: &tungstenite::Error) -> io::Error {
        self.errors.fail(&format!("the port-forward broke its protocol: {error}"))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<S> {
    // As it comes, and no more before it is looked at: a larger piece is out of the cache by then.
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        loop {
            let next = this.take(buf)?;
            // Answers to pings and to the end. Where they cannot be written, what has come is read all the same.
            if let Poll::Ready(Err(_)) = poll_outbox(&mut this.io, &mut this.outbox, cx) {
                this.outbox.clear();
            }
            let came = match next {
                Next::Given => return Poll::Ready(Ok(())),
                Next::Data(left) => {
                    ready!(Pin::new(&mut (&mut this.io).take(left)).poll_read(cx, buf))?;
                    let came = buf.filled().len() - before;
                    if let Some(frame) = &mut this.frame {
                        frame.left -= came as u64;
                    }
                    came
                }
                Next::Inbox => {
                    let mut head = [0; HEAD];
                    let mut read = ReadBuf::new(&mut head);
                    ready!(Pin::new(&mut this.io).poll_read(cx, &mut read))?;
                    this.inbox.extend_from_slice(read.filled());
                    read.filled().len()
                }
            };
            if came == 0 {
                return Poll::Ready(Err(this.broken(&ProtocolError::ResetWithoutClosingHandshake.into())));
            }
            if buf.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocket<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(poll_outbox(&mut this.io, &mut this.outbox, cx))?;
        let chunk = &buf[..buf.len().min(CHUNK)];
        let mut message = Vec::with_capacity(chunk.len() + 1);
        message.push(DATA);
        message.extend_from_slice(chunk);
        this.send(Frame::message(message, OpCode::Data(Data::Binary), true))?;
        // What cannot be written now is written by the next write, flush or read.
        if let Poll::Ready(Err(error)) = poll_outbox(&mut this.io, &mut this.outbox, cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(chunk.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(poll_outbox(&mut this.io, &mut this.outbox, cx))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !std::mem::replace(&mut this.ended, true) {
            this.send(Frame::close(None))?;
        }
        ready!(poll_outbox(&mut this.io, &mut this.outbox, cx))?;
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    /// A connection on which these pieces come, one at a time, and then the end.
    struct Wire {
        comes: VecDeque<Vec<u8>>,
        went: Vec<u8>,
        /// Whether nobody reads any more.
        deaf: bool,
    }

    impl AsyncRead for Wire {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            if let Some(mut piece) = self.comes.pop_front() {
                let rest = piece.split_off(piece.len().min(buf.remaining()));
                buf.put_slice(&piece);
                if !rest.is_empty() {
                    self.comes.push_front(rest);
                }
            }
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Wire {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            if self.deaf {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            // As a socket does that is nearly full.
            let length = buf.len().min(7);
            self.went.extend_from_slice(&buf[..length]);
            Poll::Ready(Ok(length))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn frame(opcode: OpCode, is_final: bool, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let header = FrameHeader { is_final, opcode, ..FrameHeader::default() };
        Frame::from_payload(header, payload.to_vec().into()).format(&mut out).expect("in memory");
        out
    }

    fn message(payload: &[u8]) -> Vec<u8> {
        frame(OpCode::Data(Data::Binary), true, payload)
    }

    fn close() -> Vec<u8> {
        frame(OpCode::Control(Control::Close), true, &[])
    }

    /// What a server begins with.
    fn ports() -> Vec<u8> {
        [message(&[DATA, 0x98, 0x3a]), message(&[ERROR, 0x98, 0x3a])].concat()
    }

    /// What is read where this comes, in pieces of so many bytes; what was answered; and why it ended, if not well.
    fn read(bytes: &[u8], pieces: &[usize]) -> (Vec<u8>, Vec<u8>, Option<String>) {
        read_from(bytes, pieces, false)
    }

    fn read_from(bytes: &[u8], pieces: &[usize], deaf: bool) -> (Vec<u8>, Vec<u8>, Option<String>) {
        let (mut comes, mut rest, mut sizes) = (VecDeque::new(), bytes, pieces.iter().cycle());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(sizes.next().map_or(rest.len(), |size| *size.min(&rest.len())));
            comes.push_back(piece.to_vec());
            rest = after;
        }
        let errors = PortErrors::default();
        let mut socket = WebSocket::new(Wire { comes, went: Vec::new(), deaf }, 15_000, &errors);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let mut all = Vec::new();
        loop {
            let mut buf = [0; 100];
            let mut buf = ReadBuf::new(&mut buf);
            let Poll::Ready(read) = Pin::new(&mut socket).poll_read(&mut cx, &mut buf) else {
                panic!("it never waits")
            };
            all.extend_from_slice(buf.filled());
            if read.is_err() || buf.filled().is_empty() {
                return (all, socket.io.went, errors.take());
            }
        }
    }

    /// A frame that a client sent, unmasked.
    fn sent(bytes: &[u8]) -> (OpCode, Vec<u8>) {
        let mut cursor = Cursor::new(bytes);
        let (header, length) = FrameHeader::parse(&mut cursor).expect("a head").expect("all of it");
        let mask = header.mask.expect("a client masks what it sends");
        let payload = &bytes[cursor.position() as usize..];
        assert_eq!(payload.len() as u64, length);
        (header.opcode, payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect())
    }

    proptest! {
        #[test]
        fn data_come_as_they_were_sent_however_they_are_cut(
            parts in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 0..300), 0_u8..4), 0..8),
            pieces in proptest::collection::vec(1_usize..400, 1..5),
        ) {
            let (mut bytes, mut data, mut pings) = (ports(), Vec::new(), 0);
            for (part, kind) in &parts {
                data.extend_from_slice(part);
                let whole = [&[DATA], part.as_slice()].concat();
                match kind {
                    // In two frames, with a ping and a pong between them.
                    0 => {
                        let (one, other) = whole.split_at(whole.len() / 2);
                        bytes.extend(frame(OpCode::Data(Data::Binary), false, one));
                        bytes.extend(frame(OpCode::Control(Control::Ping), true, b"there?"));
                        bytes.extend(frame(OpCode::Control(Control::Pong), true, b"yes"));
                        bytes.extend(frame(OpCode::Data(Data::Continue), true, other));
                        pings += 1;
                    }
                    // With an error message that says nothing, and an empty message.
                    1 => {
                        bytes.extend(message(&[ERROR]));
                        bytes.extend(message(&[]));
                        bytes.extend(message(&whole));
                    }
                    _ => bytes.extend(message(&whole)),
                }
            }
            bytes.extend(close());
            let (read, went, error) = read(&bytes, &pieces);
            prop_assert_eq!(error, None);
            prop_assert_eq!(read, data);
            // Each is as long: a head of two bytes, a mask of four, and what the ping said.
            let answers: Vec<_> = went[..12 * pings].chunks(12).map(sent).collect();
            prop_assert!(answers.iter().all(|(opcode, said)| *opcode == OpCode::Control(Control::Pong) && said == b"there?"));
            prop_assert_eq!(sent(&went[12 * pings..]).0, OpCode::Control(Control::Close));
        }

        #[test]
        fn no_bytes_break_it(bytes: Vec<u8>, begun: bool, pieces in proptest::collection::vec(1_usize..40, 1..5)) {
            let bytes = [if begun { ports() } else { Vec::new() }, bytes].concat();
            read(&bytes, &pieces);
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let masked = |mut bytes: Vec<u8>| {
            bytes[1] |= 0x80;
            bytes.extend([0; 4]);
            bytes
        };
        let reserved = |mut bytes: Vec<u8>| {
            bytes[0] |= 0x40;
            bytes
        };
        let binary = OpCode::Data(Data::Binary);
        let cases = [
            (vec![ports(), message(&[ERROR, b'n', b'o'])], "no"),
            (
                vec![ports(), frame(binary, false, &[ERROR, b'n']), frame(OpCode::Data(Data::Continue), true, b"o")],
                "no",
            ),
            (vec![message(&[DATA, 1])], "the port-forward began with 1 bytes in place of the port"),
            (vec![message(&[DATA, 1, 0])], "the port-forward leads to port 1, not to 15000"),
            (vec![ports(), message(&[7, 1])], "the port-forward has a channel 7, which nobody asked for"),
            (vec![ports(), frame(OpCode::Data(Data::Text), true, b"a")], "the port-forward sent a text"),
            (
                vec![ports(), vec![0x82, 127, 0, 0, 0, 0, 1, 0, 0, 0]],
                "the port-forward sent a frame of more than 4 MiB",
            ),
            (vec![ports()], "Connection reset without closing handshake"),
            (vec![ports(), message(&[DATA, 1, 2, 3])[..4].to_vec()], "Connection reset without closing handshake"),
            (vec![masked(message(&[]))], "masked"),
            (vec![reserved(message(&[]))], "Reserved bits"),
            (vec![frame(OpCode::Control(Control::Ping), false, &[])], "control frame"),
            (vec![frame(OpCode::Control(Control::Ping), true, &[0; 126])], "Control frame too big"),
            (vec![frame(OpCode::Data(Data::Continue), true, &[DATA])], "Continue frame but nothing to continue"),
            (vec![frame(binary, false, &[DATA]), message(&[DATA])], "fragment"),
            (vec![vec![0x83, 0]], "opcode"),
        ];
        for (bytes, expected) in cases {
            let error = read(&bytes.concat(), &[]).2.unwrap_or_default();
            assert!(error.to_lowercase().contains(&expected.to_lowercase()), "{expected}: {error}");
        }
    }

    #[test]
    fn a_server_that_has_said_all_and_is_gone_is_read_to_its_end() {
        let ping = frame(OpCode::Control(Control::Ping), true, b"there?");
        let bytes = [ports(), ping, message(&[DATA, 1, 2, 3]), close()].concat();
        assert_eq!(read_from(&bytes, &[], true), (vec![1, 2, 3], Vec::new(), None));
    }

    #[test]
    fn what_is_written_is_masked() {
        let mut socket = WebSocket::new(
            Wire { comes: VecDeque::new(), went: Vec::new(), deaf: false },
            15_000,
            &PortErrors::default(),
        );
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let written = Pin::new(&mut socket).poll_write(&mut cx, b"GET / HTTP/1.1");
        assert!(matches!(written, Poll::Ready(Ok(14))));
        assert_eq!(sent(&socket.io.went), (OpCode::Data(Data::Binary), b"\0GET / HTTP/1.1".to_vec()));
    }
}
