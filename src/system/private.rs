//! Files that only their owner can read: state files and snapshots. They are made under a name that nobody knows and
//! then renamed, so that no link is followed, no file of somebody else's is written into, and no half of one is seen.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use super::native;

/// A file that is being written, beside the place it is for.
#[derive(Debug)]
pub(crate) struct PrivateFile(NamedTempFile);

impl PrivateFile {
    /// Begins a file that is to be at `path`: a new one with mode 0600, whose name cannot be known before.
    pub(crate) fn beside(path: &Path) -> io::Result<Self> {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        tempfile::Builder::new().prefix(".meshaudit-").tempfile_in(directory).map(Self)
    }

    /// Puts it at its place, in place of what is there; whatever goes wrong before leaves nothing behind. The file is
    /// there as a whole, and on the disk, when this returns.
    pub(crate) fn keep(self, path: &Path) -> io::Result<()> {
        self.0.as_file().sync_all()?;
        self.0.persist(path).map_err(|error| error.error)?;
        // The name has to be on the disk too.
        match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            Some(directory) => native::sync_directory(directory),
            None => Ok(()),
        }
    }
}

impl Write for PrivateFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Where a report goes that somebody has named a file for.
#[derive(Debug)]
pub(crate) enum Output<'a> {
    /// A file that is to be there as a whole or not at all.
    File(PrivateFile, &'a Path),
    /// What is there and is no file, a device or a pipe: it is written into, and stays what it is.
    Stream(File),
}

impl<'a> Output<'a> {
    /// Begins to write what is to be at `path`.
    pub(crate) fn to(path: &'a Path) -> io::Result<Self> {
        if is_stream(path) {
            // What `/dev/stdout` leads to may be a file that has something in it already.
            return OpenOptions::new().append(true).open(path).map(Self::Stream);
        }
        PrivateFile::beside(path).map(|file| Self::File(file, path))
    }

    /// Ends it; a file is at its place then.
    pub(crate) fn keep(self) -> io::Result<()> {
        match self {
            Self::File(file, path) => file.keep(path),
            Self::Stream(_) => Ok(()),
        }
    }
}

impl Write for Output<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file, _) => file.write(bytes),
            Self::Stream(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a path names what cannot be replaced by a file: a device or a pipe, or the system's own link to one.
fn is_stream(path: &Path) -> bool {
    let is_link = || fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
    let of_system = ["/dev", "/proc"].iter().any(|root| path.starts_with(root));
    fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir()) || (of_system && is_link())
}

/// A directory or a file that others can change, or that is not the user's: whatever is in it may be anybody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsafe {
    /// Somebody else owns it.
    #[error("it belongs to another user")]
    Owner,
    /// Its mode lets others write.
    #[error("others may write to it")]
    Mode,
    /// It is a link, or no directory at all.
    #[error("it is no directory")]
    Kind,
    /// In the place of a file is something else, or a file of somebody else's.
    #[error("it is no plain file of this user's")]
    NotPlain,
}

impl From<Unsafe> for io::Error {
    fn from(reason: Unsafe) -> Self {
        Self::other(reason)
    }
}

/// Looks whether a directory is the user's own and nobody else's to change.
pub(crate) fn check_directory(path: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_dir() {
        return Err(Unsafe::Kind.into());
    }
    if !native::is_own(&metadata) {
        return Err(Unsafe::Owner.into());
    }
    if native::others_may_write(&metadata) {
        return Err(Unsafe::Mode.into());
    }
    Ok(())
}

/// Makes a directory for the user alone, with those above it that are missing.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    native::owner_only_directory(fs::DirBuilder::new().recursive(true)).create(path)
}

/// Opens what is there without following a link and without waiting (a FIFO would be waited for for ever); it has to
/// be a plain file of the user's.
fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let not_plain = || io::Error::from(Unsafe::NotPlain);
    let file = match native::no_link_and_no_wait(options).open(path) {
        Ok(file) => file,
        // What an open of a link or of a socket says is in no words that help.
        Err(_) if fs::symlink_metadata(path).is_ok_and(|metadata| !metadata.is_file()) => return Err(not_plain()),
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    if metadata.is_file() && native::is_own(&metadata) { Ok(file) } else { Err(not_plain()) }
}

/// Opens a file of the user's to be read; `None` where there is none.
pub(crate) fn look(path: &Path) -> io::Result<Option<File>> {
    match open(path, OpenOptions::new().read(true)) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads a small file of the user's; `None` where there is none.
pub(crate) fn read(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    let Some(file) = look(path)? else { return Ok(None) };
    match at_most(file, most)? {
        None => Err(io::Error::other("it is larger than any state file")),
        text => Ok(text),
    }
}

/// All that comes; `None` where that is more than `most` bytes.
pub(crate) fn at_most(reader: impl Read, most: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    reader.take(most + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= most).then_some(bytes))
}

/// Opens a file that stands for a lock, and makes it where there is none.
pub(crate) fn open_lock(path: &Path) -> io::Result<File> {
    loop {
        match open(path, OpenOptions::new().read(true).write(true)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        match native::owner_only(&mut options).open(path) {
            // Somebody else made it at the same moment.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => return other,
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("there").permissions().mode() & 0o777
    }

    #[test]
    fn writes_no_file_but_its_own() {
        let directory = tempfile::tempdir().expect("a directory");
        let (place, victim) = (directory.path().join("a.json"), directory.path().join("victim"));
        fs::write(&victim, "mine").expect("written");
        // A link at the place itself, and files with foreign modes at names that somebody might guess.
        symlink(&victim, &place).expect("a link");
        for guess in ["a.part", "a.json.part"] {
            symlink(&victim, directory.path().join(guess)).expect("a link");
        }
        let mut file = PrivateFile::beside(&place).expect("a file");
        file.write_all(b"secret").expect("written");
        file.keep(&place).expect("kept");
        assert_eq!(fs::read_to_string(&victim).expect("there"), "mine");
        assert_eq!(fs::read_to_string(&place).expect("there"), "secret");
        assert!(!fs::symlink_metadata(&place).expect("there").is_symlink());
        assert_eq!(mode(&place), 0o600);
        // What was given up leaves nothing.
        drop(PrivateFile::beside(&place).expect("a file"));
        assert_eq!(fs::read_dir(directory.path()).expect("a list").count(), 4);
    }

    #[test]
    fn reads_plain_files_only() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        fs::write(at("plain"), "text").expect("written");
        symlink(at("plain"), at("link")).expect("a link");
        let made = std::process::Command::new("mkfifo").arg(at("fifo")).status().expect("mkfifo");
        assert!(made.success());
        fs::create_dir(at("directory")).expect("made");
        assert_eq!(read(&at("plain"), 10).expect("read"), Some(b"text".to_vec()));
        assert_eq!(read(&at("none"), 10).expect("read"), None);
        assert!(read(&at("plain"), 3).is_err());
        for name in ["link", "fifo", "directory"] {
            assert!(read(&at(name), 10).is_err(), "{name}");
            assert!(open_lock(&at(name)).is_err(), "{name}");
        }
        drop(open_lock(&at("lock")).expect("a lock"));
        assert_eq!(mode(&at("lock")), 0o600);
    }

    #[test]
    fn knows_whose_a_directory_is() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("one/two");
        make_directory(&path).expect("made");
        assert_eq!(mode(&path), 0o700);
        check_directory(&path).expect("safe");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o770)).expect("set");
        assert!(check_directory(&path).is_err());
        symlink(&path, directory.path().join("link")).expect("a link");
        assert!(check_directory(&directory.path().join("link")).is_err());
    }
}
