//! A port-forward as two streams of an SPDY/3.1 session, `portforward.k8s.io`: `error`, which is opened first, and
//! `data` (`client-go/tools/portforward`). As the library that Kubernetes uses (`moby/spdystream`), this neither sends
//! nor heeds flow-control windows, and it looks into no header that comes back, so that none need be decompressed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{CHUNK, MAX_FRAME, MAX_SAID, OpenError, PortErrors, poll_outbox, upgrade};
use crate::k8s::client::Connection;

const PROTOCOL: &str = "portforward.k8s.io";
const ERROR_STREAM: u32 = 1;
const DATA_STREAM: u32 = 3;

/// Types of control frames, SPDY/3.1 section 2.6.
const SYN_STREAM: u8 = 1;
const RST_STREAM: u8 = 3;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const FIN: u8 = 1;

/// The most bytes of a control frame: none that matters here has as many.
const MAX_CONTROL: usize = 64 << 10;

/// RFC 1950: deflate, and the checksum of SPDY/3's dictionary (section 2.6.10.1), which servers look for.
const ZLIB: [u8; 6] = [0x78, 0xf9, 0xe3, 0xc6, 0xa7, 0xc2];

/// Both directions of one port.
pub struct Spdy {
    io: TokioIo<Upgraded>,
    errors: PortErrors,
    /// What came and was not looked at yet.
    inbox: Vec<u8>,
    /// What is to be written yet.
    outbox: Vec<u8>,
    frame: Option<DataFrame>,
    /// What the error stream has said so far.
    said: Vec<u8>,
    ended: bool,
}

/// The data frame that is under way.
struct DataFrame {
    stream: u32,
    left: usize,
    last: bool,
}

pub(super) async fn open(
    connection: &Connection,
    path: &str,
    port: u16,
    errors: &PortErrors,
) -> Result<Spdy, OpenError> {
    let protocol = http::HeaderName::from_static("x-stream-protocol-version");
    let request = http::Request::post(path)
        .header(http::header::CONNECTION, "Upgrade")
        .header(http::header::UPGRADE, "SPDY/3.1")
        .header(&protocol, PROTOCOL);
    let answer = connection.open(request).await?;
    let io = upgrade(answer, protocol, PROTOCOL).await?;
    let mut outbox = Vec::new();
    let mut headers = Headers { begun: false };
    let port = port.to_string();
    for (stream, kind) in [(ERROR_STREAM, "error"), (DATA_STREAM, "data")] {
        let block = headers.block(&[("streamtype", kind), ("port", &port), ("requestid", "0")]);
        let mut body = stream.to_be_bytes().to_vec();
        // No associated stream, highest priority.
        body.extend([0; 6]);
        body.extend(block);
        control(&mut outbox, SYN_STREAM, &body);
        if stream == ERROR_STREAM {
            // Nothing will be written to it.
            data(&mut outbox, stream, FIN, &[]);
        }
    }
    let (inbox, said) = (Vec::new(), Vec::new());
    Ok(Spdy { io, errors: errors.clone(), inbox, outbox, frame: None, said, ended: false })
}

/// Writes header blocks: one zlib stream for all of a session, of which every block ends with a flush. Blocks are
/// stored as they are, so neither compression nor its dictionary is needed, but for its checksum.
struct Headers {
    begun: bool,
}

impl Headers {
    fn block(&mut self, pairs: &[(&str, &str)]) -> Vec<u8> {
        let number = |length: usize| u32::try_from(length).unwrap_or_default().to_be_bytes();
        let mut text = number(pairs.len()).to_vec();
        for word in pairs.iter().flat_map(|(name, value)| [name, value]) {
            text.extend(number(word.len()));
            text.extend(word.as_bytes());
        }
        let mut block = if std::mem::replace(&mut self.begun, true) { Vec::new() } else { ZLIB.to_vec() };
        // RFC 1951, section 3.2.4: a stored block, and an empty one, which is what a flush is.
        for stored in [text.as_slice(), &[]] {
            let length = u16::try_from(stored.len()).unwrap_or_default();
            block.push(0);
            block.extend(length.to_le_bytes());
            block.extend((!length).to_le_bytes());
            block.extend(stored);
        }
        block
    }
}

fn control(out: &mut Vec<u8>, kind: u8, body: &[u8]) {
    let [_, length @ ..] = u32::try_from(body.len()).unwrap_or_default().to_be_bytes();
    out.extend([0x80, 3, 0, kind, 0]);
    out.extend(length);
    out.extend(body);
}

fn data(out: &mut Vec<u8>, stream: u32, flags: u8, body: &[u8]) {
    let [_, length @ ..] = u32::try_from(body.len()).unwrap_or_default().to_be_bytes();
    out.extend(stream.to_be_bytes());
    out.push(flags);
    out.extend(length);
    out.extend(body);
}

impl Spdy {
    /// Gives the data that has come to `buf`; returns whether there was any, or the end.
    fn take(&mut self, buf: &mut ReadBuf<'_>) -> io::Result<bool> {
        loop {
            let Some(frame) = &mut self.frame else {
                if self.ended {
                    return Ok(true);
                }
                if !self.begin()? {
                    return Ok(false);
                }
                continue;
            };
            let ready = frame.left.min(self.inbox.len());
            if frame.stream == DATA_STREAM && ready > 0 {
                let length = ready.min(buf.remaining());
                buf.put_slice(&self.inbox[..length]);
                self.inbox.drain(..length);
                frame.left -= length;
                return Ok(true);
            }
            if frame.stream == ERROR_STREAM {
                let room = MAX_SAID.saturating_sub(self.said.len());
                self.said.extend_from_slice(&self.inbox[..ready.min(room)]);
            }
            self.inbox.drain(..ready);
            frame.left -= ready;
            if frame.left > 0 {
                return Ok(false);
            }
            let (stream, last) = (frame.stream, frame.last);
            self.frame = None;
            if last && (stream == DATA_STREAM || !self.said.is_empty()) {
                self.end()?;
            }
        }
    }

    /// Reads a frame's head, and all of a control frame; returns whether one had come.
    fn begin(&mut self) -> io::Result<bool> {
        let Some(&[a, b, c, d, flags, x, y, z]) = self.inbox.first_chunk() else { return Ok(false) };
        let length = u32::from_be_bytes([0, x, y, z]) as usize;
        if a & 0x80 == 0 {
            if length > MAX_FRAME {
                let text = format!("the port-forward sent a frame of more than {} MiB", MAX_FRAME >> 20);
                return Err(self.errors.fail(&text));
            }
            self.inbox.drain(..8);
            let stream = u32::from_be_bytes([a, b, c, d]);
            self.frame = Some(DataFrame { stream, left: length, last: flags & FIN != 0 });
            return Ok(true);
        }
        if length > MAX_CONTROL {
            return Err(self.errors.fail("the port-forward broke its protocol: no control frame is as long"));
        }
        if self.inbox.len() < 8 + length {
            return Ok(false);
        }
        let body: Vec<u8> = self.inbox.drain(..8 + length).skip(8).collect();
        let first = body.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        match d {
            // The server's pings have even numbers, and are answered as they came.
            PING if first % 2 == 0 => control(&mut self.outbox, PING, &body),
            RST_STREAM if first == DATA_STREAM || first == ERROR_STREAM => {
                self.end()?;
                return Err(self.errors.fail("the port-forward refused the stream"));
            }
            GO_AWAY => self.end()?,
            _ => {}
        }
        Ok(true)
    }

    /// The end, which is an error if the error stream has said something.
    fn end(&mut self) -> io::Result<()> {
        self.ended = true;
        if self.said.is_empty() { Ok(()) } else { Err(self.errors.fail(&String::from_utf8_lossy(&self.said))) }
    }
}

impl AsyncRead for Spdy {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let took = this.take(buf)?;
            // Answers to pings; while they cannot be written, reading goes on.
            if let Poll::Ready(Err(error)) = poll_outbox(&mut this.io, &mut this.outbox, cx) {
                return Poll::Ready(Err(error));
            }
            if took {
                return Poll::Ready(Ok(()));
            }
            let mut chunk = [0; 16 << 10];
            let mut read = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut this.io).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                this.frame = None;
                this.end()?;
            }
            this.inbox.extend_from_slice(read.filled());
        }
    }
}

impl AsyncWrite for Spdy {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(poll_outbox(&mut this.io, &mut this.outbox, cx))?;
        let chunk = &buf[..buf.len().min(CHUNK)];
        data(&mut this.outbox, DATA_STREAM, 0, chunk);
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
        ready!(poll_outbox(&mut this.io, &mut this.outbox, cx))?;
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn header_blocks_are_one_zlib_stream_that_is_flushed_after_each() {
        assert_eq!(u16::from_be_bytes([ZLIB[0], ZLIB[1]]) % 31, 0, "a zlib head");
        let mut headers = Headers { begun: false };
        let mut stream = headers.block(&[("port", "15000")]);
        let first = [0, 0, 0, 1, 0, 0, 0, 4, b'p', b'o', b'r', b't', 0, 0, 0, 5, b'1', b'5', b'0', b'0', b'0'];
        let decode = |bytes: &[u8], length: usize| {
            let (head, deflated) = bytes.split_at(ZLIB.len());
            assert_eq!(head, ZLIB);
            let mut text = vec![0; length];
            flate2::read::DeflateDecoder::new(deflated).read_exact(&mut text).map(|()| text)
        };
        assert_eq!(decode(&stream, first.len()).expect("a block"), first);
        stream.extend(headers.block(&[("port", "15000")]));
        assert_eq!(decode(&stream, 2 * first.len()).expect("two blocks"), [first, first].concat());
    }
}
