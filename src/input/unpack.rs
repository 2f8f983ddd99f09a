//! What files are packed with, told by their first bytes.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};
use std::rc::Rc;

use super::until::{Ended, inner};
use super::{ArchiveLimits, InputError};

/// What the first bytes of a file show it to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Gzip,
    Bzip2,
    Xz,
    Zstd,
    Zip,
    Tar,
    /// One that is told and not unpacked.
    Foreign(&'static str),
    Plain,
}

/// Where in a tar header the magic stands (POSIX.1, `ustar`).
const TAR_MAGIC: std::ops::Range<usize> = 257..262;

/// The largest window that a zstd or xz stream may ask for: `zstd --long` and `xz -9` stay below it.
const MAX_WINDOW: u64 = 128 << 20;

/// The same inside another packing: what packs a file twice has made the inner one with no such window.
const MAX_INNER_WINDOW: u64 = 8 << 20;

/// Small inputs may unfold as they like.
const RATIO_FREE_BYTES: u64 = 64 << 20;

impl Packing {
    /// Of a file that begins like this; a tar header has 512 bytes.
    pub(super) fn of(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, ..] => Self::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            [b'P', b'K', 3, 4, ..] => Self::Zip,
            [0x04, 0x22, 0x4d, 0x18, ..] => Self::Foreign("lz4"),
            [b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c, ..] => Self::Foreign("7z"),
            [b'R', b'a', b'r', b'!', 0x1a, ..] => Self::Foreign("rar"),
            [0x1f, 0x9d, ..] => Self::Foreign("compress"),
            [b'L', b'Z', b'I', b'P', 1, ..] => Self::Foreign("lzip"),
            _ if head.get(TAR_MAGIC) == Some(b"ustar") => Self::Tar,
            _ => Self::Plain,
        }
    }
}

/// Unpacks a stream within the limits.
pub(super) fn unpacked<'a>(
    packing: Packing,
    reader: impl BufRead + 'a,
    limits: &ArchiveLimits,
    layer: usize,
) -> Result<Box<dyn BufRead + 'a>, InputError> {
    let read = Rc::new(Cell::new(0));
    let window = if layer == 0 { MAX_WINDOW } else { MAX_INNER_WINDOW };
    let counted = Counted { inner: reader, read: Rc::clone(&read) };
    let inner: Box<dyn Read + 'a> = match packing {
        Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(counted)),
        Packing::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(counted)),
        Packing::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(
            counted,
            true,
            u32::try_from(window >> 10).unwrap_or(u32::MAX),
        )),
        Packing::Zstd => Box::new(Zstd { input: Some(counted), decoder: None, window }),
        Packing::Zip | Packing::Tar | Packing::Foreign(_) | Packing::Plain => Box::new(counted),
    };
    Ok(Box::new(BufReader::with_capacity(64 << 10, Bounded { inner, packed: read, given: 0, limits: *limits })))
}

/// zstd frames one after the other, as `zstd` itself and `pzstd` write them.
struct Zstd<R: BufRead> {
    input: Option<R>,
    decoder: Option<Box<ruzstd::decoding::StreamingDecoder<R, ruzstd::decoding::FrameDecoder>>>,
    window: u64,
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(mut input) = self.input.take() {
                if input.fill_buf()?.is_empty() {
                    self.input = Some(input);
                    return Ok(0);
                }
                let decoder = ruzstd::decoding::StreamingDecoder::new_with_max_window_size(input, self.window);
                self.decoder = Some(Box::new(decoder.map_err(damaged)?));
            }
            let Some(decoder) = &mut self.decoder else { return Ok(0) };
            let read = decoder.read(buffer).map_err(damaged_frame)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            self.input = self.decoder.take().map(|decoder| decoder.into_inner());
        }
    }
}

/// What is wrong with a frame; that reading ended stays what it is.
fn damaged_frame(error: io::Error) -> io::Error {
    if inner::<Ended>(&error).is_some() { error } else { damaged(error) }
}

fn damaged(error: impl std::fmt::Display) -> io::Error {
    let text = error.to_string();
    let cut = text.contains("fill whole buffer") || text.contains("unexpected end");
    let kind = if cut { io::ErrorKind::UnexpectedEof } else { io::ErrorKind::InvalidData };
    io::Error::new(kind, text)
}

/// An input that grows beyond measure.
#[derive(Debug, Clone, Copy, thiserror::Error)]
pub enum Unfolds {
    /// To more than so many bytes.
    #[error("it unpacks to more than {} GiB", .0 >> 30)]
    Beyond(u64),
    /// To more than so many times its size.
    #[error("it unpacks to more than {0} times its size")]
    Times(u64),
}

/// Counts what was taken from a packed input.
struct Counted<R> {
    inner: R,
    read: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        self.read.set(self.read.get() + read as u64);
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.read.set(self.read.get() + amount as u64);
        self.inner.consume(amount);
    }
}

/// Ends the unpacking of what grows beyond measure.
pub(super) struct Bounded<R> {
    inner: R,
    packed: Rc<Cell<u64>>,
    given: u64,
    limits: ArchiveLimits,
}

impl<R: Read> Bounded<R> {
    /// Of something that has `packed` bytes.
    pub(super) fn new(inner: R, packed: u64, limits: &ArchiveLimits) -> Self {
        Self { inner, packed: Rc::new(Cell::new(packed)), given: 0, limits: *limits }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        self.given += read as u64;
        let packed = self.packed.get().max(1);
        if self.given > self.limits.total_bytes {
            return Err(io::Error::other(Unfolds::Beyond(self.limits.total_bytes)));
        }
        if self.given > RATIO_FREE_BYTES && self.given / packed > self.limits.ratio {
            return Err(io::Error::other(Unfolds::Times(self.limits.ratio)));
        }
        Ok(read)
    }
}
