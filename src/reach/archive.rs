//! Inputs that are files: single ones, directories, `.gz` and `.tar.gz`, standard input. Archives are read as they
//! stream, nothing is unpacked to disk, and no path of theirs is ever used as one of ours.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

/// Limits on what an input may unfold into.
#[derive(Debug, Clone, Copy)]
pub struct ArchiveLimits {
    /// The most files in a directory or an archive.
    pub entries: usize,
    /// The most bytes, unpacked, of one file.
    pub entry_bytes: u64,
    /// The most bytes, unpacked, of one input.
    pub total_bytes: u64,
    /// How many times larger than packed an input may be.
    pub ratio: u64,
}

impl Default for ArchiveLimits {
    fn default() -> Self {
        Self { entries: 100_000, entry_bytes: 1 << 30, total_bytes: 16 << 30, ratio: 1000 }
    }
}

/// Small inputs may unfold as they like.
const RATIO_FREE_BYTES: u64 = 64 << 20;

/// Why an input, or a part of it, cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// It cannot be opened or read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// More files than the limit.
    #[error("it has more than {0} files")]
    Entries(usize),
}

/// A file that was found in an input.
pub struct Entry<'a> {
    /// What to call it: the input's name, and the path inside it.
    pub name: &'a str,
    /// The path inside a directory or an archive; empty for an input that is one file.
    pub path: &'a str,
    /// Its bytes, unpacked.
    pub reader: &'a mut dyn BufRead,
}

/// Gives every file of an input to `each`, in a fixed order. `-` is standard input. A file that cannot be read comes
/// as an error with its name, and the rest still comes.
pub fn walk(
    input: &str,
    limits: &ArchiveLimits,
    each: &mut dyn FnMut(&str, Result<Entry<'_>, InputError>),
) -> Result<(), InputError> {
    if input == "-" {
        return unfold("stdin", "", &mut BufReader::new(io::stdin().lock()), limits, each);
    }
    let path = Path::new(input);
    if !path.metadata()?.is_dir() {
        return unfold(input, "", &mut BufReader::new(File::open(path)?), limits, each);
    }
    let mut count = 0;
    let mut pending = vec![(path.to_path_buf(), String::new())];
    while let Some((directory, prefix)) = pending.pop() {
        let mut entries: Vec<_> = directory.read_dir()?.collect::<Result<_, _>>()?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        let mut below = Vec::new();
        for entry in entries {
            let file_name = entry.file_name().to_string_lossy().into_owned();
            if file_name.starts_with('.') {
                continue;
            }
            let inside = format!("{prefix}{file_name}");
            // Neither followed nor read: a link could lead anywhere.
            let kind = entry.file_type()?;
            if kind.is_dir() {
                below.push((entry.path(), format!("{inside}/")));
            } else if kind.is_file() {
                count += 1;
                if count > limits.entries {
                    return Err(InputError::Entries(limits.entries));
                }
                let name = format!("{}/{inside}", input.trim_end_matches('/'));
                match File::open(entry.path()) {
                    Ok(file) => {
                        if let Err(error) = unfold(&name, &inside, &mut BufReader::new(file), limits, each) {
                            each(&name, Err(error));
                        }
                    }
                    Err(error) => each(&name, Err(error.into())),
                }
            }
        }
        below.reverse();
        pending.extend(below);
    }
    Ok(())
}

/// Takes off a layer of gzip and one of tar, where they are there.
fn unfold(
    name: &str,
    path: &str,
    reader: &mut dyn BufRead,
    limits: &ArchiveLimits,
    each: &mut dyn FnMut(&str, Result<Entry<'_>, InputError>),
) -> Result<(), InputError> {
    let packed = reader.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    if !packed {
        return untar(name, path, reader, limits, each);
    }
    let counted = Counted { inner: reader, read: 0 };
    let bounded = Bounded { inner: MultiGzDecoder::new(counted), given: 0, limits: *limits };
    untar(name, path, &mut BufReader::with_capacity(64 << 10, bounded), limits, each)
}

/// The size of a tar header, and where in it the magic stands (POSIX.1, `ustar`).
const TAR_BLOCK: usize = 512;
const TAR_MAGIC: std::ops::Range<usize> = 257..262;

fn untar(
    name: &str,
    path: &str,
    reader: &mut dyn BufRead,
    limits: &ArchiveLimits,
    each: &mut dyn FnMut(&str, Result<Entry<'_>, InputError>),
) -> Result<(), InputError> {
    let mut head = Vec::with_capacity(TAR_BLOCK);
    (&mut *reader).take(TAR_BLOCK as u64).read_to_end(&mut head)?;
    let is_tar = head.get(TAR_MAGIC) == Some(b"ustar");
    let whole = Cursor::new(head).chain(reader);
    if !is_tar {
        let mut reader = BufReader::new(whole.take(limits.entry_bytes));
        each(name, Ok(Entry { name, path, reader: &mut reader }));
        return Ok(());
    }
    let mut archive = tar::Archive::new(whole);
    for (index, entry) in archive.entries()?.enumerate() {
        if index >= limits.entries {
            return Err(InputError::Entries(limits.entries));
        }
        let entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let inside = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let inside = inside.trim_start_matches("./");
        let hidden = inside.rsplit('/').next().is_some_and(|file| file.starts_with('.'));
        if hidden {
            continue;
        }
        let shown = format!("{name}:{inside}");
        let mut reader = BufReader::new(entry.take(limits.entry_bytes));
        each(&shown, Ok(Entry { name: &shown, path: inside, reader: &mut reader }));
    }
    Ok(())
}

/// Counts what was taken from a packed input.
struct Counted<'a> {
    inner: &'a mut dyn BufRead,
    read: u64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        self.read += read as u64;
        Ok(read)
    }
}

impl BufRead for Counted<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.read += amount as u64;
        self.inner.consume(amount);
    }
}

/// Ends the unpacking of what grows beyond measure.
struct Bounded<'a> {
    inner: MultiGzDecoder<Counted<'a>>,
    given: u64,
    limits: ArchiveLimits,
}

impl Read for Bounded<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        self.given += read as u64;
        let packed = self.inner.get_ref().read.max(1);
        if self.given > self.limits.total_bytes {
            return Err(io::Error::other(format!("it unpacks to more than {} GiB", self.limits.total_bytes >> 30)));
        }
        if self.given > RATIO_FREE_BYTES && self.given / packed > self.limits.ratio {
            return Err(io::Error::other(format!("it unpacks to more than {} times its size", self.limits.ratio)));
        }
        Ok(read)
    }
}
