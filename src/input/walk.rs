//! Inputs that are files: single ones, directories, packed ones, archives, standard input. They are read as they
//! stream, nothing is unpacked to disk, and no path inside an archive is ever used as one of ours.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read, Seek};
use std::path::Path;

use super::tar::{BLOCK, MAX_NAME, MemberKind, Tar};
use super::unpack::{Bounded, Packing, Unfolds, unpacked};
use super::until::{Ended, Timely, Until, inner, open};

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
    /// Whether links to files in a directory are followed, as `/var/log/containers` is made of them; links to
    /// directories never are.
    pub links: bool,
    /// Whether hidden files of directories and archives are read, too.
    pub hidden: bool,
    /// When reading ends, though there may be more.
    pub until: Until,
}

impl Default for ArchiveLimits {
    fn default() -> Self {
        Self {
            entries: 100_000,
            entry_bytes: 1 << 30,
            total_bytes: 16 << 30,
            ratio: 1000,
            links: false,
            hidden: false,
            until: Until::ITS_END,
        }
    }
}

impl ArchiveLimits {
    /// For logs: they compress well, may be of any size, and are read as they stream.
    pub const LOGS: Self = Self {
        entries: 100_000,
        entry_bytes: u64::MAX,
        total_bytes: u64::MAX,
        ratio: 5_000,
        links: true,
        hidden: true,
        until: Until::ITS_END,
    };

    /// For proxies' logs, among which a hidden file is none.
    pub const PROXY_LOGS: Self = Self { hidden: false, ..Self::LOGS };
}

/// Packings within packings (a `.json.gz` in a `.tar.gz`).
const MAX_LAYERS: usize = 4;
/// A zip archive that cannot be sought in is held in memory up to this size.
const MAX_HELD_ZIP: u64 = 64 << 20;
/// The most padding behind an archive: tar's own blocks have 10 KiB.
const MAX_PADDING: u64 = 1 << 20;

/// Why an input, or a part of it, cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// It cannot be opened or read.
    #[error("{0}")]
    Io(io::Error),
    /// It ends in the middle.
    #[error("it is cut off: its end is missing")]
    Truncated,
    /// It is damaged: a checksum or a header is wrong.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// It grows beyond measure when it is unpacked.
    #[error(transparent)]
    Unfolds(Unfolds),
    /// More files than the limit.
    #[error("it has more than {0} files")]
    Entries(usize),
    /// An archive with a header that no real file has.
    #[error("its archive has a {what} of {bytes} bytes, which no real file has")]
    Header {
        /// What the header is for.
        what: &'static str,
        /// How large it says it is.
        bytes: u64,
    },
    /// Packed in a way that is not read.
    #[error("it is packed with {0}, which is not read here: unpack it first")]
    Packing(&'static str),
    /// A file of an archive without its holes.
    #[error("its archive has it as a sparse file, which is not read here: pack it without --sparse")]
    Sparse,
    /// No text.
    #[error("it is not text")]
    NotText,
    /// Reading ended before it did.
    #[error(transparent)]
    Ended(Ended),
}

impl From<io::Error> for InputError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Truncated,
            // What opens and reads files says otherwise; these are the words of what unpacks.
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => Self::Damaged(error.to_string()),
            _ => match (inner::<Unfolds>(&error), inner::<Ended>(&error)) {
                (Some(unfolds), _) => Self::Unfolds(unfolds),
                (_, Some(ended)) => Self::Ended(ended),
                _ => Self::Io(error),
            },
        }
    }
}

/// A file that was found in an input.
pub struct Entry<'a> {
    /// What to call it: the input's name, and the path inside it.
    pub name: &'a str,
    /// The path inside a directory or an archive; empty for an input that is one file.
    pub path: &'a str,
    /// Whether it is a hidden file or directory that was not looked into: it then has no bytes here.
    pub hidden: bool,
    /// Its bytes, unpacked.
    pub reader: &'a mut dyn BufRead,
}

/// Takes each file of an input, or why it cannot be read.
pub type EachEntry<'a> = dyn FnMut(&str, Result<Entry<'_>, InputError>) + 'a;

/// Gives every file of an input to `each`, in a fixed order. `-` is standard input. A file that cannot be read comes
/// as an error with its name, and the rest still comes.
///
/// # Errors
/// Where the input itself cannot be opened, or an archive cannot be read further.
pub fn walk(input: &str, limits: &ArchiveLimits, each: &mut EachEntry<'_>) -> Result<(), InputError> {
    let mut walker = Walker { limits, files: 0, each };
    let path = Path::new(input);
    if input == "-" {
        return walker.unfold("stdin", "", &mut BufReader::new(open(path, limits.until)?), 0);
    }
    if path.metadata().map_err(InputError::Io)?.is_dir() {
        walker.directory(input, path)
    } else {
        walker.file(input, "", path)
    }
}

struct Walker<'w, 'e> {
    limits: &'w ArchiveLimits,
    files: usize,
    each: &'w mut EachEntry<'e>,
}

impl Walker<'_, '_> {
    fn directory(&mut self, input: &str, path: &Path) -> Result<(), InputError> {
        let mut pending = vec![(path.to_path_buf(), String::new())];
        while let Some((directory, prefix)) = pending.pop() {
            let mut entries: Vec<_> = directory.read_dir()?.collect::<Result<_, _>>()?;
            entries.sort_by_key(std::fs::DirEntry::file_name);
            let mut below = Vec::new();
            for entry in entries {
                let file_name = entry.file_name().to_string_lossy().into_owned();
                if is_litter(&file_name) {
                    continue;
                }
                let inside = format!("{prefix}{file_name}");
                let name = format!("{}/{inside}", input.trim_end_matches('/'));
                if !self.limits.hidden && is_hidden(&inside) {
                    self.count()?;
                    self.hidden(&name, &inside);
                    continue;
                }
                let kind = entry.file_type()?;
                let linked =
                    || self.limits.links && std::fs::metadata(entry.path()).is_ok_and(|target| target.is_file());
                if kind.is_dir() {
                    below.push((entry.path(), format!("{inside}/")));
                } else if kind.is_file() || (kind.is_symlink() && linked()) {
                    self.count()?;
                    match self.file(&name, &inside, &entry.path()) {
                        Ok(()) => {}
                        // It goes for all that is left of the directory.
                        Err(error @ InputError::Ended(_)) => return Err(error),
                        Err(error) => (self.each)(&name, Err(error)),
                    }
                }
            }
            below.reverse();
            pending.extend(below);
        }
        Ok(())
    }

    /// Tells of a hidden file that is not read.
    fn hidden(&mut self, name: &str, path: &str) {
        (self.each)(name, Ok(Entry { name, path, hidden: true, reader: &mut io::empty() }));
    }

    fn count(&mut self) -> Result<(), InputError> {
        self.files += 1;
        if self.files > self.limits.entries { Err(InputError::Entries(self.limits.entries)) } else { Ok(()) }
    }

    fn file(&mut self, name: &str, inside: &str, path: &Path) -> Result<(), InputError> {
        // Only a zip archive has to be sought in, and only a regular file can be.
        if path.metadata()?.is_file() {
            let mut file = File::open(path)?;
            let mut magic = [0; 8];
            let read = file.read(&mut magic)?;
            file.rewind()?;
            if Packing::of(&magic[..read]) == Packing::Zip {
                let size = file.metadata()?.len();
                let file = Timely { inner: file, until: self.limits.until };
                return self.unzip(name, BufReader::new(file), size, 0);
            }
        }
        self.unfold(name, inside, &mut BufReader::new(open(path, self.limits.until)?), 0)
    }

    /// Takes off what a file is packed with, layer by layer, and gives what is inside.
    fn unfold(&mut self, name: &str, path: &str, reader: &mut dyn BufRead, layer: usize) -> Result<(), InputError> {
        let mut head = Vec::with_capacity(BLOCK);
        if let Err(error) = (&mut *reader).take(BLOCK as u64).read_to_end(&mut head)
            && (head.is_empty() || inner::<Ended>(&error).is_none())
        {
            return Err(error.into());
        }
        let packing = Packing::of(&head);
        let mut whole = Cursor::new(head).chain(Timely { inner: reader, until: self.limits.until });
        match packing {
            Packing::Plain => {
                let mut reader = BufReader::with_capacity(64 << 10, whole.take(self.limits.entry_bytes));
                (self.each)(name, Ok(Entry { name, path, hidden: false, reader: &mut reader }));
                Ok(())
            }
            Packing::Foreign(what) => Err(InputError::Packing(what)),
            _ if layer >= MAX_LAYERS => Err(InputError::Packing("archives in archives in archives")),
            Packing::Tar => self.untar(name, &mut whole, layer),
            Packing::Zip => {
                let mut bytes = Vec::new();
                whole.take(MAX_HELD_ZIP + 1).read_to_end(&mut bytes)?;
                if bytes.len() as u64 > MAX_HELD_ZIP {
                    return Err(InputError::Packing("a zip of this size inside a stream"));
                }
                let size = bytes.len() as u64;
                self.unzip(name, Cursor::new(bytes), size, layer)
            }
            Packing::Gzip | Packing::Bzip2 | Packing::Xz | Packing::Zstd => {
                let mut inner = unpacked(packing, whole, self.limits, layer)?;
                self.unfold(name, path, &mut inner, layer + 1)
            }
        }
    }

    /// Gives the files of a tar archive.
    fn untar(&mut self, name: &str, reader: &mut dyn Read, layer: usize) -> Result<(), InputError> {
        let mut archive = Tar::new(reader);
        while let Some(member) = archive.next()? {
            self.count()?;
            let inside = member.name.trim_start_matches("./").to_owned();
            match member.kind {
                MemberKind::Other => {}
                _ if is_litter(&inside) => {}
                MemberKind::Sparse => (self.each)(&format!("{name}:{inside}"), Err(InputError::Sparse)),
                MemberKind::File => {
                    let mut whole = BufReader::new(archive.data(member.size));
                    self.inner(name, &inside, &mut whole, layer)?;
                }
            }
        }
        // Behind an archive there is padding, and behind that the checksum of what it is packed with.
        io::copy(&mut archive.into_inner().take(MAX_PADDING), &mut io::sink())?;
        Ok(())
    }

    fn unzip(&mut self, name: &str, mut reader: impl Read + Seek, size: u64, layer: usize) -> Result<(), InputError> {
        if zip_entries(&mut reader, size)? > self.limits.entries as u64 {
            return Err(InputError::Entries(self.limits.entries));
        }
        let damaged = |error: zip::result::ZipError| match error {
            zip::result::ZipError::Io(error) => error.into(),
            zip::result::ZipError::InvalidArchive(_) => InputError::Truncated,
            other => InputError::Io(io::Error::other(other.to_string())),
        };
        let mut archive = zip::ZipArchive::new(reader).map_err(damaged)?;
        if archive.len() > self.limits.entries {
            return Err(InputError::Entries(self.limits.entries));
        }
        for index in 0..archive.len() {
            self.count()?;
            let file = match archive.by_index(index).map_err(damaged) {
                Ok(file) => file,
                Err(error @ InputError::Ended(_)) => return Err(error),
                Err(error) => {
                    (self.each)(name, Err(error));
                    continue;
                }
            };
            let inside: String = file.name().map_err(damaged)?.chars().take(MAX_NAME).collect();
            if !file.is_file() || is_litter(&inside) {
                continue;
            }
            let mut bounded = BufReader::new(Bounded::new(file, size, self.limits));
            self.inner(name, &inside, &mut bounded, layer)?;
        }
        Ok(())
    }

    /// A file inside an archive, which may be packed once more. What is wrong with it is its own.
    fn inner(&mut self, name: &str, inside: &str, reader: &mut dyn BufRead, layer: usize) -> Result<(), InputError> {
        let shown = format!("{name}:{inside}");
        if !self.limits.hidden && is_hidden(inside) {
            self.hidden(&shown, inside);
            return Ok(());
        }
        match self.unfold(&shown, inside, reader, layer + 1) {
            Err(error @ (InputError::Entries(_) | InputError::Ended(_))) => return Err(error),
            Err(error) => (self.each)(&shown, Err(error)),
            Ok(()) => {}
        }
        Ok(())
    }
}

/// How many files a zip archive says it has, before the zip crate reads all of their names (APPNOTE.TXT, 4.3.14 and
/// 4.3.16): the count in its last record, or in the one of ZIP64 before it where that has no room.
fn zip_entries(reader: &mut (impl Read + Seek), size: u64) -> io::Result<u64> {
    const TAIL: u64 = (64 << 10) + 256;
    reader.seek(io::SeekFrom::Start(size.saturating_sub(TAIL)))?;
    let mut tail = Vec::new();
    reader.take(TAIL).read_to_end(&mut tail)?;
    reader.rewind()?;
    let field = |record: &[u8], at: usize, length: usize| {
        let at = memchr::memmem::rfind(&tail, record)? + at;
        let bytes = tail.get(at..at + length)?;
        Some(bytes.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)))
    };
    let count = field(b"PK\x05\x06", 10, 2).unwrap_or_default();
    // A central directory that is larger than that of so many files has names that no file has.
    let directory = field(b"PK\x05\x06", 12, 4).unwrap_or_default();
    let large = field(b"PK\x06\x06", 32, 8).unwrap_or_default();
    Ok(count.max(large).max(directory.min(u64::from(u32::MAX - 1)) / 300))
}

/// Whether a file is hidden, or in a directory that is.
fn is_hidden(path: &str) -> bool {
    path.split('/').any(|part| part.starts_with('.') && !matches!(part, "." | ".."))
}

/// What file managers and version control leave behind, which nobody means.
fn is_litter(path: &str) -> bool {
    path.split('/').any(|part| {
        matches!(part, ".DS_Store" | ".git" | ".gitattributes" | ".gitignore" | ".gitkeep" | ".hg" | ".svn")
            || part.starts_with("._")
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use std::io::Write;

    use super::*;

    /// What `walk` gives of a file with these bytes: names and contents, or what is said.
    fn read(bytes: &[u8]) -> (Vec<(String, String)>, Option<String>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("input");
        std::fs::write(&path, bytes).unwrap();
        let mut found = Vec::new();
        let outcome = walk(path.to_str().unwrap(), &ArchiveLimits::LOGS, &mut |_, entry| {
            let outcome = entry.map(|entry| {
                let mut text = String::new();
                if let Err(error) = entry.reader.read_to_string(&mut text).map_err(InputError::from) {
                    text = format!("{text}… {error}");
                }
                (entry.path.to_owned(), text)
            });
            found.push(outcome.unwrap_or_else(|error| (String::new(), error.to_string())));
        });
        (found, outcome.err().map(|error| error.to_string()))
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, bytes) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, *bytes).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn packed_in_whatever_way_it_is_the_same_text() {
        let text = b"one\ntwo\n";
        let bzip2 = {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        };
        let zip = {
            let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
            writer.start_file("logs/a.log", zip::write::SimpleFileOptions::default()).unwrap();
            writer.write_all(text).unwrap();
            writer.finish().unwrap().into_inner()
        };
        // `printf 'one\ntwo\n' | xz` and `| zstd`.
        let xz = b"\xfd7zXZ\x00\x00\x04\xe6\xd6\xb4F\x02\x00!\x01\x16\x00\x00\x00t/\xe5\xa3\x01\x00\x07one\ntwo\n\x00Q\xab\x9e\xafWupI\x00\x01 \x08\xbb\x19\xd9\xbb\x1f\xb6\xf3}\x01\x00\x00\x00\x00\x04YZ";
        let long = "x".repeat(300);
        for (packed, name) in [
            (text.to_vec(), ""),
            (gzip(text), ""),
            (gzip(&gzip(text)), ""),
            (bzip2, ""),
            (xz.to_vec(), ""),
            (zip.clone(), "logs/a.log"),
            (gzip(&zip), "logs/a.log"),
            (tar_of(&[("./logs/a.log", text)]), "logs/a.log"),
            (gzip(&tar_of(&[(&long, &gzip(text))])), &long),
        ] {
            assert_eq!(read(&packed), (vec![(name.to_owned(), "one\ntwo\n".to_owned())], None));
        }
    }

    #[test]
    fn what_is_cut_off_says_so() {
        let text: Vec<u8> =
            (0..100_000_u32).flat_map(|at| at.wrapping_mul(2_654_435_761).to_string().into_bytes()).collect();
        let packed = gzip(&text);
        let (found, _) = read(&packed[..packed.len() / 2]);
        assert!(found[0].1.contains("cut off"), "{found:?}");
        let mut packed = Vec::new();
        ruzstd::encoding::compress(text.as_slice(), &mut packed, ruzstd::encoding::CompressionLevel::Uncompressed);
        let (found, _) = read(&packed[..packed.len() / 2]);
        assert!(found[0].1.contains("cut off"), "{found:?}");
        let archive = tar_of(&[("a", b"whole"), ("b", &text)]);
        let (found, _) = read(&archive[..archive.len() / 2]);
        assert_eq!(found[0].1, "whole");
        assert!(found[1].1.contains("cut off"));
        let (found, failed) = read(&gzip(&archive)[..2000]);
        assert!(failed.into_iter().chain(found.into_iter().map(|(_, text)| text)).any(|text| text.contains("cut off")));
    }

    #[test]
    fn hostile_headers_are_refused() {
        for kind in [
            tar::EntryType::GNULongName,
            tar::EntryType::GNULongLink,
            tar::EntryType::XHeader,
            tar::EntryType::XGlobalHeader,
        ] {
            let mut builder = tar::Builder::new(Vec::new());
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_size(1 << 20);
            header.set_path("x").unwrap();
            header.set_cksum();
            builder.append(&header, io::repeat(b'a').take(1 << 20)).unwrap();
            let (found, failed) = read(&gzip(&builder.into_inner().unwrap()));
            assert_eq!(found, []);
            assert!(failed.unwrap().contains("of 1048576 bytes"));
        }
        let (found, _) = read(&[&[0x04, 0x22, 0x4d, 0x18][..], &[0; 600]].concat());
        assert_eq!(found, []);
    }
}
