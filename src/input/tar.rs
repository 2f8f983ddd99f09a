//! The files of a tar archive, as they stream. The tar crate's own walk holds a long name or PAX attributes of any size
//! in memory, so the headers are gone through here; what a header says is the crate's to read.

use std::io::{self, Read};

use tar::{EntryType, Header};

use super::InputError;

/// The most bytes of a header that an archive puts before a file: a long name, a link's target, PAX attributes.
const MAX_HEADER: u64 = 64 << 10;
/// The longest path inside an archive.
pub(super) const MAX_NAME: usize = 4096;
/// The size of a header, and what everything is padded to.
pub(super) const BLOCK: usize = 512;

/// What stands in an archive under a name.
pub(super) struct Member {
    /// As the archive has it.
    pub(super) name: String,
    /// Whether it is a plain file, and none with holes left out.
    pub(super) kind: MemberKind,
    /// Its bytes.
    pub(super) size: u64,
}

/// Whether a member is read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum MemberKind {
    /// A plain file.
    File,
    /// A file that is stored without its holes.
    Sparse,
    /// A directory, a link, a device.
    Other,
}

/// A tar archive.
pub(super) struct Tar<R> {
    inner: R,
    /// What is left of the present member, with its padding.
    left: u64,
}

/// What stands before a file's header and is said of it.
#[derive(Default)]
struct Said {
    name: Option<String>,
    size: Option<u64>,
    sparse: bool,
}

impl<R: Read> Tar<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, left: 0 }
    }

    /// The next member; `None` behind the last one.
    ///
    /// # Errors
    /// Where the archive is cut off or damaged, or has a header that no real file has.
    pub(super) fn next(&mut self) -> Result<Option<Member>, InputError> {
        let mut said = Said::default();
        loop {
            self.skip()?;
            let Some(header) = self.header()? else { return Ok(None) };
            let kind = header.entry_type();
            let mut size = header.entry_size().map_err(|error| InputError::Damaged(error.to_string()))?;
            let what = match kind {
                EntryType::GNULongName => Some("name"),
                EntryType::GNULongLink => Some("link name"),
                EntryType::XHeader | EntryType::XGlobalHeader => Some("header"),
                _ => None,
            };
            if let Some(what) = what {
                if size > MAX_HEADER {
                    return Err(InputError::Header { what, bytes: size });
                }
                self.left = padded(size)?;
                let mut text = Vec::new();
                self.data(size).read_to_end(&mut text)?;
                match kind {
                    EntryType::GNULongName => {
                        let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
                        said.name = Some(String::from_utf8_lossy(&text[..end]).into_owned());
                    }
                    EntryType::XHeader => said.attributes(&text),
                    _ => {}
                }
                continue;
            }
            let mut extended = header.as_gnu().is_some_and(|gnu| kind.is_gnu_sparse() && gnu.is_extended());
            while extended {
                let block = self.block()?.ok_or(InputError::Truncated)?;
                let mut header = tar::GnuExtSparseHeader::new();
                header.as_mut_bytes().copy_from_slice(&block);
                extended = header.is_extended();
            }
            let kind = match kind {
                EntryType::GNUSparse => MemberKind::Sparse,
                kind if kind.is_file() && said.sparse => MemberKind::Sparse,
                kind if kind.is_file() => MemberKind::File,
                _ => MemberKind::Other,
            };
            // A file of more than 8 GiB has no room for its size in its own header.
            if kind != MemberKind::Other {
                size = said.size.unwrap_or(size);
            }
            let name = said.name.unwrap_or_else(|| String::from_utf8_lossy(&header.path_bytes()).into_owned());
            if name.len() > MAX_NAME {
                return Err(InputError::Header { what: "name", bytes: name.len() as u64 });
            }
            self.left = padded(size)?;
            return Ok(Some(Member { name, kind, size }));
        }
    }

    /// The bytes of a member of this size, which has to come whole.
    pub(super) fn data(&mut self, size: u64) -> Data<'_, R> {
        Data { tar: self, left: size }
    }

    /// What is behind the archive.
    pub(super) fn into_inner(self) -> R {
        self.inner
    }

    /// Passes over what was not read of the present member.
    fn skip(&mut self) -> Result<(), InputError> {
        let left = std::mem::take(&mut self.left);
        match io::copy(&mut (&mut self.inner).take(left), &mut io::sink())? {
            passed if passed == left => Ok(()),
            _ => Err(InputError::Truncated),
        }
    }

    /// The next header; `None` at the end: blocks of zeros, or nothing more.
    fn header(&mut self) -> Result<Option<Header>, InputError> {
        let Some(block) = self.block()? else { return Ok(None) };
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let header = Header::from_byte_slice(&block).clone();
        // POSIX.1, `ustar`: the sum of all bytes, with blanks in the place of the sum.
        let sum: u32 = block
            .iter()
            .enumerate()
            .map(|(at, byte)| match at {
                148..156 => u32::from(b' '),
                _ => u32::from(*byte),
            })
            .sum();
        match header.cksum() {
            Ok(said) if said == sum => Ok(Some(header)),
            _ => Err(InputError::Damaged("the checksum of a header of its archive is wrong".to_owned())),
        }
    }

    fn block(&mut self) -> Result<Option<[u8; BLOCK]>, InputError> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.inner.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(InputError::Truncated),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Some(block))
    }
}

impl Said {
    /// Takes PAX attributes: lines of `LENGTH KEY=VALUE`.
    fn attributes(&mut self, text: &[u8]) {
        let mut rest = text;
        while let Some((key, value, length)) = record(rest) {
            self.sparse |= key.starts_with(b"GNU.sparse.");
            match key {
                b"path" | b"GNU.sparse.name" => self.name = Some(String::from_utf8_lossy(value).into_owned()),
                b"size" => self.size = std::str::from_utf8(value).ok().and_then(|size| size.parse().ok()),
                _ => {}
            }
            rest = &rest[length..];
        }
    }
}

/// The first of some PAX attributes: key, value, and its length.
fn record(text: &[u8]) -> Option<(&[u8], &[u8], usize)> {
    let blank = text.iter().position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&text[..blank]).ok()?.parse().ok()?;
    let record = text.get(blank + 1..length)?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    let value = &record[equals + 1..];
    Some((&record[..equals], value.strip_suffix(b"\n").unwrap_or(value), length))
}

/// A size with its padding.
fn padded(size: u64) -> Result<u64, InputError> {
    size.checked_next_multiple_of(BLOCK as u64)
        .ok_or_else(|| InputError::Damaged("a header of its archive has a size that no file has".to_owned()))
}

/// The bytes of a member.
pub(super) struct Data<'t, R> {
    tar: &'t mut Tar<R>,
    left: u64,
}

impl<R: Read> Read for Data<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = (&mut self.tar.inner).take(self.left).read(buffer)?;
        self.left -= read as u64;
        self.tar.left -= read as u64;
        if read == 0 && self.left > 0 && !buffer.is_empty() {
            // It ended here, and is not to be asked for the rest again.
            (self.left, self.tar.left) = (0, 0);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "its end is missing"));
        }
        Ok(read)
    }
}
