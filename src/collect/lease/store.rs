//! Where levels are kept, and who may change what is kept.
//!
//! A file is named after the pod's UID, so that no other pod's levels are ever taken for these, whatever the context
//! is called. Whoever changes levels or files holds the lock beside it: sessions, `--on`, `--off` and `--off --all`
//! alike. The system lets go of it when a process ends, however it ends.

use std::fs::{self, File, TryLockError};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::LeaseError;
use crate::decode::lease;
use crate::model::DebugLease;
use crate::system::{self, PrivateFile, Unsafe};

/// The most bytes that a state file may have.
const MOST: u64 = 1 << 20;

/// How often a lock that somebody has is looked at again.
const POLL: Duration = Duration::from_millis(100);

/// Where state files are kept.
#[derive(Debug, Clone)]
pub struct LeaseStore {
    directory: PathBuf,
}

/// What is kept of a pod.
#[derive(Debug)]
pub enum Kept {
    /// Nothing.
    Nothing,
    /// Its levels.
    Lease(Box<DebugLease>),
    /// A file that cannot be read, and why.
    Broken(LeaseError),
}

/// All that is kept.
#[derive(Debug, Default)]
pub struct AllKept {
    /// By pod.
    pub leases: Vec<DebugLease>,
    /// What cannot be read.
    pub broken: Vec<LeaseError>,
}

/// Who holds a lock: the process, what it does, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// `a session`, `--on` or `--off`.
    pub doing: String,
    /// When it took the lock.
    pub since: Timestamp,
}

impl LeaseStore {
    /// The user's state directory: `$XDG_STATE_HOME`, else `~/.local/state`; on macOS `~/Library/Application Support`,
    /// on Windows `%LOCALAPPDATA%`. Nothing is created before there is something to keep.
    pub fn open() -> Result<Self, LeaseError> {
        let base = system::state_directory().map_err(LeaseError::NoDirectory)?;
        Ok(Self { directory: base.join("kubectl-meshaudit").join("debug-log") })
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Reads a file, which is of the pod that it is named after: a copy of another's would be given back for it.
    fn read(&self, path: &Path) -> Result<Option<DebugLease>, LeaseError> {
        let lease = read_file(path)?;
        match lease.as_ref().filter(|lease| self.path(&lease.uid) != path) {
            Some(other) => Err(of_another(path.to_owned(), other)),
            None => Ok(lease),
        }
    }

    /// Where a pod's levels are kept.
    #[must_use]
    pub fn path(&self, uid: &str) -> PathBuf {
        // A UID is made of hexadecimal digits; one that is not must not reach into another directory.
        let safe = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        self.directory.join(format!("{}.json", uid.chars().take(128).map(safe).collect::<String>()))
    }

    /// What is kept of a pod, for whoever changes nothing.
    pub fn find(&self, uid: &str) -> Kept {
        let path = self.path(uid);
        match self.check().and_then(|()| self.read(&path)) {
            Ok(Some(lease)) if lease.uid == uid => Kept::Lease(Box::new(lease)),
            Ok(Some(other)) => Kept::Broken(of_another(path, &other)),
            Ok(None) => Kept::Nothing,
            Err(error) => Kept::Broken(error),
        }
    }

    /// All that is kept.
    pub fn all(&self) -> Result<AllKept, LeaseError> {
        let mut kept = AllKept::default();
        self.check()?;
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(kept),
            Err(source) => return Err(self.unusable(source)),
        };
        for entry in entries.filter_map(Result::ok) {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                match self.read(&path) {
                    Ok(lease) => kept.leases.extend(lease),
                    Err(error) => kept.broken.push(error),
                }
            }
        }
        kept.leases.sort_by(|a, b| (&a.context, &a.namespace, &a.pod).cmp(&(&b.context, &b.namespace, &b.pod)));
        kept.broken.sort_by_key(ToString::to_string);
        Ok(kept)
    }

    /// The leases that nobody works on: what a session that was killed has left, and what `--on` has set.
    pub fn left(&self) -> Result<AllKept, LeaseError> {
        let mut kept = self.all()?;
        kept.leases.retain(|lease| !self.is_held(&lease.uid));
        Ok(kept)
    }

    /// Takes the right to change a pod's levels and what is kept of them. Another process that has it is waited for.
    pub async fn claim(&self, uid: &str, doing: &str, patience: Duration) -> Result<Claim, LeaseError> {
        let deadline = Instant::now() + patience;
        self.prepare()?;
        loop {
            if let Some(lock) = self.try_lock(uid, doing)? {
                return Ok(Claim { store: self.clone(), uid: uid.to_owned(), _lock: Some(lock) });
            }
            if Instant::now() >= deadline {
                return Err(LeaseError::Busy(read_holder(&self.lock_path(uid))));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The same where nothing can be kept, so that nobody else can keep anything either. What is there cannot be
    /// changed by it.
    #[must_use]
    pub fn claim_nothing(&self, uid: &str) -> Claim {
        Claim { store: self.clone(), uid: uid.to_owned(), _lock: None }
    }

    fn lock_path(&self, uid: &str) -> PathBuf {
        self.path(uid).with_extension("lock")
    }

    /// Looks whether the directory, and the one that is this program's above it, are the user's alone.
    fn check(&self) -> Result<(), LeaseError> {
        for directory in self.directory.parent().into_iter().chain([self.directory.as_path()]) {
            match system::check_directory(directory) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(source) => return Err(LeaseError::Directory { path: directory.to_owned(), source }),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    fn prepare(&self) -> Result<(), LeaseError> {
        self.check()?;
        system::make_directory(&self.directory).map_err(|source| self.unusable(source))?;
        self.check()
    }

    fn unusable(&self, source: io::Error) -> LeaseError {
        LeaseError::Directory { path: self.directory.clone(), source }
    }

    /// Whether a process works on a pod's levels.
    fn is_held(&self, uid: &str) -> bool {
        system::look(&self.lock_path(uid))
            .is_ok_and(|lock| lock.is_some_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock))))
    }

    /// Takes the lock on a pod's levels; `None` where another process has it.
    fn try_lock(&self, uid: &str, doing: &str) -> Result<Option<Lock>, LeaseError> {
        let path = self.lock_path(uid);
        let failed = |source| LeaseError::File { doing: "lock", path: path.clone(), source };
        loop {
            let mut file = system::open_lock(&path).map_err(failed)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
            // The one who had it before may have removed it meanwhile: then this lock is nobody's.
            if system::is_at(&file, &path) {
                // Who has it is said out of courtesy: a full disk must keep nobody from putting levels back.
                let _ = write_holder(&mut file, doing);
                return Ok(Some(Lock { path, _file: file }));
            }
        }
    }
}

/// The right to change one pod's levels and what is kept of them.
#[derive(Debug)]
pub struct Claim {
    store: LeaseStore,
    uid: String,
    _lock: Option<Lock>,
}

impl Claim {
    /// What is kept.
    #[must_use]
    pub fn kept(&self) -> Kept {
        self.store.find(&self.uid)
    }

    /// Where it is kept.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.store.path(&self.uid)
    }

    /// Keeps levels. The file is there as a whole, and on the disk, when this returns.
    pub fn save(&self, lease: &DebugLease) -> Result<(), LeaseError> {
        let path = self.path();
        let failed = |source| LeaseError::File { doing: "write", path: path.clone(), source };
        let text = lease::write(lease).map_err(|error| failed(io::Error::other(error)))?;
        let write = || {
            let mut file = PrivateFile::beside(&path)?;
            file.write_all(&text)?;
            file.keep(&path)
        };
        write().map_err(failed)
    }

    /// Forgets what is kept.
    pub fn forget(&self) -> Result<(), LeaseError> {
        let path = self.path();
        match fs::remove_file(&path) {
            Err(source) if !matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Err(LeaseError::File { doing: "remove", path, source })
            }
            _ => Ok(()),
        }
    }

    /// Moves a file that cannot be read out of the way, and gives where it is now.
    pub fn set_aside(&self) -> Result<PathBuf, LeaseError> {
        let path = self.path();
        let aside = path.with_extension(format!("broken-{}", Timestamp::now().as_second()));
        match fs::rename(&path, &aside) {
            Ok(()) => Ok(aside),
            Err(source) => Err(LeaseError::File { doing: "move away", path, source }),
        }
    }
}

/// A lock, which goes with its file.
#[derive(Debug)]
struct Lock {
    path: PathBuf,
    _file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // What is left over does no harm.
        let _ = fs::remove_file(&self.path);
    }
}

fn write_holder(file: &mut File, doing: &str) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{} {} {doing}", std::process::id(), Timestamp::now())
}

/// Who has a lock, if that can be read: on Windows a file that is locked cannot.
fn read_holder(path: &Path) -> Option<Holder> {
    let text = system::read(path, 4096).ok().flatten()?;
    let text = String::from_utf8(text).ok()?;
    let mut words = text.trim().splitn(3, ' ');
    let (pid, since, doing) = (words.next()?, words.next()?, words.next()?);
    Some(Holder { pid: pid.parse().ok()?, since: since.parse().ok()?, doing: doing.to_owned() })
}

fn of_another(path: PathBuf, lease: &DebugLease) -> LeaseError {
    LeaseError::Broken { path, message: format!("it is of another pod than its name says, {}", lease.proxy()) }
}

fn read_file(path: &Path) -> Result<Option<DebugLease>, LeaseError> {
    let text =
        system::read(path, MOST).map_err(|source| LeaseError::File { doing: "read", path: path.to_owned(), source })?;
    text.map(|text| lease::read(&text).map_err(|message| LeaseError::Broken { path: path.to_owned(), message }))
        .transpose()
}

/// Whether an error says that nothing can be written where state files are kept, by anybody who is this user.
pub(super) fn is_unwritable(error: &LeaseError) -> bool {
    let (LeaseError::Directory { source, .. } | LeaseError::File { source, .. }) = error else { return false };
    matches!(
        source.kind(),
        io::ErrorKind::PermissionDenied
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::NotADirectory
            | io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
    ) || source.get_ref().is_some_and(|inner| inner.is::<Unsafe>())
}

#[cfg(test)]
mod tests {
    use super::super::tests::lease;
    use super::*;

    fn store(directory: &Path) -> LeaseStore {
        LeaseStore { directory: directory.join("kubectl-meshaudit/debug-log") }
    }

    #[tokio::test]
    async fn keeps_leases_to_itself() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = store(directory.path());
        assert!(matches!(store.find("0a-1b"), Kept::Nothing));
        let claim = store.claim("0a-1b", "a session", Duration::ZERO).await.expect("a claim");
        let Err(LeaseError::Busy(Some(holder))) = store.claim("0a-1b", "--off", Duration::ZERO).await else {
            panic!("it is held")
        };
        assert_eq!((holder.pid, holder.doing.as_str()), (std::process::id(), "a session"));
        claim.save(&lease("0a-1b")).expect("saved");
        assert!(matches!(store.find("0a-1b"), Kept::Lease(kept) if *kept == lease("0a-1b")));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
            assert_eq!((mode(&store.path("0a-1b")), mode(store.directory())), (0o600, 0o700));
            assert_eq!(mode(&store.lock_path("0a-1b")), 0o600);
        }
        fs::write(store.path("bad"), "{").expect("written");
        fs::copy(store.path("0a-1b"), store.path("copy")).expect("copied");
        let kept = store.all().expect("a list");
        assert_eq!((kept.leases.len(), kept.broken.len()), (1, 2));
        assert!(matches!(store.find("copy"), Kept::Broken(_)));
        fs::remove_file(store.path("copy")).expect("removed");
        assert_eq!(store.left().expect("a list").leases, []);
        drop(claim);
        assert_eq!(store.left().expect("a list").leases.len(), 1);
        let claim = store.claim("0a-1b", "--off", Duration::ZERO).await.expect("free again");
        claim.forget().expect("removed");
        claim.forget().expect("removed already");
        assert_eq!(store.path("../../x").parent(), Some(store.directory()));
        // What cannot be read is moved away, and blocks nothing.
        let claim = store.claim("bad", "--off", Duration::ZERO).await.expect("a claim");
        assert!(matches!(claim.kept(), Kept::Broken(_)));
        let aside = claim.set_aside().expect("moved");
        assert!(matches!(claim.kept(), Kept::Nothing) && aside.exists());
        assert!(store.all().expect("a list").broken.is_empty());
    }

    #[tokio::test]
    async fn waits_for_who_has_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = store(directory.path());
        let claim = store.claim("a", "--on", Duration::ZERO).await.expect("a claim");
        let waiting = store.claim("a", "--off", Duration::from_secs(30));
        let letting_go = async {
            tokio::time::sleep(POLL * 2).await;
            drop(claim);
        };
        let (waited, ()) = tokio::join!(waiting, letting_go);
        waited.expect("a claim");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn refuses_what_others_can_change() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().expect("a directory");
        let store = store(directory.path());
        drop(store.claim("a", "--on", Duration::ZERO).await.expect("a claim"));
        fs::set_permissions(store.directory(), fs::Permissions::from_mode(0o777)).expect("set");
        let error = store.claim("a", "--on", Duration::ZERO).await.expect_err("refused");
        assert!(is_unwritable(&error) && error.to_string().contains("others may write to it"), "{error}");
        assert!(store.all().is_err());
    }
}
