//! As much of SPDY/3.1 as kubectl's port-forward speaks.
//!
//! A client opens two streams for each connection: `error`, which it closes at once for writing, and
//! `data`. Like the library that Kubernetes uses, this neither sends nor heeds flow-control windows.

use std::collections::HashMap;
use std::sync::Arc;

use flate2::{Decompress, FlushDecompress};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{Mutex, mpsc};

use super::portforward::{Pod, PodStream};

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GO_AWAY: u16 = 7;
const FIN: u8 = 1;
/// The largest frame taken: what kubectl copies at once, with room.
const FRAME_LIMIT: usize = 1 << 20;
/// Frames that may wait for a pod that does not read; then the whole session waits.
const FRAMES_WAITING: usize = 64;
/// The dictionary of SPDY/3 header compression (SPDY/3.1 draft, section 2.6.10.1).
const DICTIONARY: &[u8] = include_bytes!("spdy.dict");

type Writer<W> = Arc<Mutex<FrameWriter<W>>>;

/// Serves a session until the client leaves.
pub(super) async fn serve<S>(stream: S, pod: Pod)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
{
    let (mut reader, writer) = tokio::io::split(stream);
    let writer: Writer<_> = Arc::new(Mutex::new(FrameWriter { writer, replied: false }));
    let mut headers = HeaderReader::new();
    // Error streams by the client's request id, until the data stream of the same request comes.
    let mut errors: HashMap<String, u32> = HashMap::new();
    // What the client writes to each data stream.
    let mut data: HashMap<u32, mpsc::Sender<Vec<u8>>> = HashMap::new();
    let mut head = [0; 8];
    while reader.read_exact(&mut head).await.is_ok() {
        let [a, b, c, d, flags, length @ ..] = head;
        let length = usize::try_from(u32::from_be_bytes([0, length[0], length[1], length[2]])).unwrap_or(usize::MAX);
        if length > FRAME_LIMIT {
            return;
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).await.is_err() {
            return;
        }
        if a & 0x80 == 0 {
            let id = u32::from_be_bytes([a, b, c, d]);
            if let Some(stream) = data.get(&id)
                && !body.is_empty()
            {
                let _ = stream.send(body).await;
            }
            if flags & FIN != 0 {
                data.remove(&id);
            }
            continue;
        }
        match u16::from_be_bytes([c, d]) {
            SYN_STREAM if body.len() > 10 => {
                let id = u32::from_be_bytes([body[0], body[1], body[2], body[3]]);
                let Some(fields) = headers.read(&body[10..]) else {
                    return;
                };
                let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
                if writer.lock().await.reply(id).await.is_err() {
                    return;
                }
                if field("streamtype") == "error" {
                    errors.insert(field("requestid"), id);
                } else if let Ok(port) = field("port").parse() {
                    let (sender, receiver) = mpsc::channel(FRAMES_WAITING);
                    data.insert(id, sender);
                    let error = errors.remove(&field("requestid"));
                    let (pod, writer) = (pod.clone(), Arc::clone(&writer));
                    pod.clone().spawn(async move { forward(pod, port, id, error, receiver, writer).await });
                }
            }
            RST_STREAM if body.len() >= 4 => {
                data.remove(&u32::from_be_bytes([body[0], body[1], body[2], body[3]]));
            }
            // Answered as it came. Where that fails, so does the next read.
            PING => {
                let _ = writer.lock().await.control(PING, &body).await;
            }
            GO_AWAY => return,
            _ => {}
        }
    }
}

/// Carries one connection to the pod: data both ways, and at the end what went wrong, if anything.
async fn forward<W: AsyncWrite + Unpin>(
    pod: Pod,
    port: u16,
    id: u32,
    error: Option<u32>,
    from_client: mpsc::Receiver<Vec<u8>>,
    writer: Writer<W>,
) {
    let failure = match pod.connect(port).await {
        Ok(stream) => copy(&pod, stream, id, from_client, &writer).await.map_err(|e| pod.broken(port, &e)).err(),
        Err(message) => Some(message),
    };
    let mut writer = writer.lock().await;
    if let (Some(error), Some(message)) = (error, &failure) {
        let _ = writer.data(error, message.as_bytes(), 0).await;
    }
    let _ = writer.data(id, &[], FIN).await;
    if let Some(error) = error {
        let _ = writer.data(error, &[], FIN).await;
    }
}

async fn copy<W: AsyncWrite + Unpin>(
    pod: &Pod,
    stream: PodStream,
    id: u32,
    mut from_client: mpsc::Receiver<Vec<u8>>,
    writer: &Writer<W>,
) -> std::io::Result<()> {
    let (mut from_pod, mut to_pod) = tokio::io::split(stream);
    let mut buffer = vec![0; 32 * 1024];
    let mut writing = true;
    loop {
        tokio::select! {
            bytes = from_client.recv(), if writing => match bytes {
                Some(bytes) => to_pod.write_all(&bytes).await?,
                None => {
                    writing = false;
                    to_pod.shutdown().await?;
                }
            },
            read = from_pod.read(&mut buffer) => match read? {
                0 => return Ok(()),
                length => {
                    pod.count(length);
                    writer.lock().await.data(id, &buffer[..length], 0).await?;
                }
            },
        }
    }
}

struct FrameWriter<W> {
    writer: W,
    /// Whether the compressed stream of headers has begun.
    replied: bool,
}

impl<W: AsyncWrite + Unpin> FrameWriter<W> {
    async fn data(&mut self, id: u32, bytes: &[u8], flags: u8) -> std::io::Result<()> {
        let length = u32::try_from(bytes.len()).map_err(std::io::Error::other)?.to_be_bytes();
        let mut frame = id.to_be_bytes().to_vec();
        frame.extend_from_slice(&[flags, length[1], length[2], length[3]]);
        frame.extend_from_slice(bytes);
        self.writer.write_all(&frame).await?;
        self.writer.flush().await
    }

    async fn control(&mut self, kind: u16, body: &[u8]) -> std::io::Result<()> {
        let [high, low] = kind.to_be_bytes();
        let length = u32::try_from(body.len()).map_err(std::io::Error::other)?.to_be_bytes();
        let mut frame = vec![0x80, 3, high, low, 0, length[1], length[2], length[3]];
        frame.extend_from_slice(body);
        self.writer.write_all(&frame).await?;
        self.writer.flush().await
    }

    /// Accepts a stream with an empty header block. All replies share one zlib stream; an empty block is
    /// four zero bytes, written as a stored block of deflate, so nothing needs compressing; the empty block
    /// after it is a sync flush, at which Go's reader hands over what it has.
    async fn reply(&mut self, id: u32) -> std::io::Result<()> {
        let mut body = id.to_be_bytes().to_vec();
        if !std::mem::replace(&mut self.replied, true) {
            body.extend_from_slice(&[0x78, 0x01]);
        }
        body.extend_from_slice(&[0, 4, 0, !4, !0, 0, 0, 0, 0]);
        body.extend_from_slice(&[0, 0, 0, !0, !0]);
        self.control(SYN_REPLY, &body).await
    }
}

/// Reads the client's header blocks, which share one zlib stream with SPDY's dictionary.
struct HeaderReader {
    inflate: Decompress,
    begun: bool,
}

impl HeaderReader {
    fn new() -> Self {
        let mut inflate = Decompress::new(false);
        // The dictionary as a stored block in front: after it the window is what FDICT asks for.
        let length = u16::try_from(DICTIONARY.len()).unwrap_or_default();
        let mut block = vec![0];
        block.extend_from_slice(&length.to_le_bytes());
        block.extend_from_slice(&(!length).to_le_bytes());
        block.extend_from_slice(DICTIONARY);
        let mut window = Vec::with_capacity(DICTIONARY.len() + 1);
        // A stored block can't fail to inflate.
        let _ = inflate.decompress_vec(&block, &mut window, FlushDecompress::Sync);
        Self { inflate, begun: false }
    }

    /// The fields of one block: 32-bit count, then length and bytes of each name and value.
    fn read(&mut self, mut compressed: &[u8]) -> Option<HashMap<String, String>> {
        if !std::mem::replace(&mut self.begun, true) {
            // Two bytes of zlib header and four of the dictionary's checksum.
            compressed = compressed.get(6..)?;
        }
        let mut block = Vec::with_capacity(16 * 1024);
        self.inflate.decompress_vec(compressed, &mut block, FlushDecompress::Sync).ok()?;
        let mut rest = block.as_slice();
        let mut fields = HashMap::new();
        for _ in 0..number(&mut rest)?.min(64) {
            let name = string(&mut rest)?.to_ascii_lowercase();
            fields.insert(name, string(&mut rest)?);
        }
        Some(fields)
    }
}

fn number(rest: &mut &[u8]) -> Option<usize> {
    let (head, tail) = rest.split_first_chunk::<4>()?;
    *rest = tail;
    usize::try_from(u32::from_be_bytes(*head)).ok()
}

fn string(rest: &mut &[u8]) -> Option<String> {
    let length = number(rest)?;
    let (head, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(String::from_utf8_lossy(head).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two header blocks as zlib writes them with SPDY's dictionary: an error and a data stream.
    const BLOCKS: [&str; 2] = [
        "78f9e3c6a7c202253a703a2b294a4dcc851625aca9a0808614cb45a024cc6a088c0e032083b308128f99a0f4cd6800000000ffff",
        "c2aa1b54102512a119000000ffff",
    ];

    #[test]
    fn header_blocks_share_one_compressed_stream() {
        let mut reader = HeaderReader::new();
        for (block, kind) in BLOCKS.into_iter().zip(["error", "data"]) {
            let bytes: Vec<u8> = block
                .as_bytes()
                .chunks(2)
                .map(|pair| u8::from_str_radix(&String::from_utf8_lossy(pair), 16).expect("hexadecimal"))
                .collect();
            let fields = reader.read(&bytes).expect("a block");
            assert_eq!(fields.get("streamtype").map(String::as_str), Some(kind));
            assert_eq!(fields.get("port").map(String::as_str), Some("15000"));
        }
    }
}
