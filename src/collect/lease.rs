//! The debug-log lease: a proxy's logger levels are kept in a private file before any of them is changed, and are put
//! back, and read back, afterwards.
//!
//! The file is named after the pod's UID, so that no other pod's levels are ever taken for these, whatever the context
//! is called. A lock beside it is held for as long as a process works on the proxy; the system lets go of it when the
//! process ends, however it ends.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::decode::{lease, loggers};
use crate::k8s::{ApiError, Connection, PodSelection, Target, select};
use crate::model::{DebugLease, LevelDifference, LevelSpec, Levels, LoggerLevels, Proxy, differences};
use crate::reach::{AdminError, AdminRequest, AdminSource, Limits, Tunnel};

/// The most bytes that a list of loggers or a state file may have.
const MOST: usize = 1 << 20;

/// Why levels could not be taken, set or put back.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// There is nowhere to keep state files.
    #[error("there is no directory for state files: {0} is not set")]
    NoDirectory(&'static str),
    /// A state file could not be read or written.
    #[error("cannot {doing} {}: {source}", .path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file among the state files is none.
    #[error("{} is no state file: {message}", .path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// Why not.
        message: String,
    },
    /// Another process works on this proxy.
    #[error("another debug-log on this machine is working on it")]
    Busy,
    /// The API server does not say which pod this is.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The admin endpoint gave no answer.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// It gave an answer of another kind.
    #[error("its answer to /logging is no list of loggers")]
    NotLoggers,
    /// It has none of the loggers.
    #[error("this Envoy has no logger {0}")]
    NoSuchLogger(String),
    /// The pod is gone, or not running.
    #[error("{0}")]
    Gone(String),
    /// Stopped before anything was changed.
    #[error("stopped before anything was changed")]
    Stopped,
    /// Putting levels back was given up before its time.
    #[error("given up")]
    GivenUp,
}

/// How putting levels back ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restored {
    /// Every level is as it was, which has been read back.
    Verified {
        /// How many loggers were compared.
        loggers: usize,
        /// How many of them were not as they should be.
        changed: usize,
    },
    /// These are not as they were, though the proxy took the request.
    Differs(Vec<LevelDifference>),
    /// The proxy is another one by now, with the levels it was started with: there was nothing to put back.
    Replaced(&'static str),
    /// The pod is gone or has ended.
    Gone(String),
}

/// Where state files are kept.
#[derive(Debug, Clone)]
pub struct LeaseStore {
    directory: PathBuf,
}

impl LeaseStore {
    /// The user's state directory: `$XDG_STATE_HOME`, else `~/.local/state`; on macOS `~/Library/Application Support`,
    /// on Windows `%LOCALAPPDATA%`. Nothing is created before there is something to keep.
    pub fn open() -> Result<Self, LeaseError> {
        let xdg = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        let base = if let Some(path) = xdg {
            path
        } else if cfg!(windows) {
            std::env::var_os("LOCALAPPDATA").map(PathBuf::from).ok_or(LeaseError::NoDirectory("LOCALAPPDATA"))?
        } else {
            let home = std::env::home_dir().filter(|home| home.is_absolute()).ok_or(LeaseError::NoDirectory("HOME"))?;
            if cfg!(target_os = "macos") { home.join("Library/Application Support") } else { home.join(".local/state") }
        };
        Ok(Self { directory: base.join("kubectl-meshaudit").join("debug-log") })
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where a pod's levels are kept.
    #[must_use]
    pub fn path(&self, uid: &str) -> PathBuf {
        // A UID is made of hexadecimal digits; one that is not must not reach into another directory.
        let safe = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        self.directory.join(format!("{}.json", uid.chars().take(128).map(safe).collect::<String>()))
    }

    /// The levels that are kept for a pod.
    pub fn find(&self, uid: &str) -> Result<Option<DebugLease>, LeaseError> {
        read_file(&self.path(uid))
    }

    /// All that is kept, by pod, and the files that cannot be read.
    pub fn all(&self) -> Result<(Vec<DebugLease>, Vec<LeaseError>), LeaseError> {
        let (mut leases, mut broken) = (Vec::new(), Vec::new());
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((leases, broken)),
            Err(source) => return Err(LeaseError::File { doing: "read", path: self.directory.clone(), source }),
        };
        for entry in entries.filter_map(Result::ok) {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                match read_file(&path) {
                    Ok(lease) => leases.extend(lease),
                    Err(error) => broken.push(error),
                }
            }
        }
        leases.sort_by(|a, b| (&a.context, &a.namespace, &a.pod).cmp(&(&b.context, &b.namespace, &b.pod)));
        Ok((leases, broken))
    }

    /// Keeps levels. The file is there as a whole, and on the disk, when this returns.
    fn save(&self, lease: &DebugLease) -> Result<(), LeaseError> {
        let path = self.path(&lease.uid);
        let failed = |source| LeaseError::File { doing: "write", path: path.clone(), source };
        let text = lease::write(lease).map_err(|error| failed(io::Error::other(error)))?;
        let beside = path.with_extension("part");
        let written = (|| {
            let mut file = private_file(&beside)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&beside, &path)?;
            // The name has to be on the disk too. Windows cannot open a directory, and needs not.
            if cfg!(unix) { File::open(&self.directory)?.sync_all() } else { Ok(()) }
        })();
        written.map_err(failed)
    }

    /// Forgets a pod's levels.
    pub fn remove(&self, uid: &str) -> Result<(), LeaseError> {
        let path = self.path(uid);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(LeaseError::File { doing: "remove", path, source })
            }
            _ => Ok(()),
        }
    }

    /// Takes the lock on a pod's levels, or says that another process has it.
    fn lock(&self, uid: &str) -> Result<Lock, LeaseError> {
        let path = self.path(uid).with_extension("lock");
        let failed = |source| LeaseError::File { doing: "lock", path: path.clone(), source };
        let mut directory = fs::DirBuilder::new();
        directory.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut directory, 0o700);
        directory.create(&self.directory).map_err(failed)?;
        loop {
            let file = private_file(&path).map_err(failed)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(LeaseError::Busy),
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
            // The one who had it before may have removed it meanwhile: then this lock is nobody's.
            if is_at(&file, &path) {
                return Ok(Lock { path, _file: file });
            }
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
        // What is left over is empty, and does no harm.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let same = |(a, b): (fs::Metadata, fs::Metadata)| (a.dev(), a.ino()) == (b.dev(), b.ino());
    file.metadata().ok().zip(fs::metadata(path).ok()).is_some_and(same)
}

#[cfg(not(unix))]
fn is_at(_file: &File, path: &Path) -> bool {
    path.exists()
}

/// A file that only its owner can read and write.
pub(crate) fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn read_file(path: &Path) -> Result<Option<DebugLease>, LeaseError> {
    let failed = |source| LeaseError::File { doing: "read", path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(source)),
    };
    let mut text = Vec::new();
    file.take(MOST as u64).read_to_end(&mut text).map_err(failed)?;
    lease::read(&text).map(Some).map_err(|message| LeaseError::Broken { path: path.to_owned(), message })
}

/// Reads every logger's level.
pub async fn read_levels(source: &mut impl AdminSource) -> Result<LoggerLevels, LeaseError> {
    list(source, &AdminRequest::GetLoggers).await
}

/// Sets levels, all in one request, and gives the list that the proxy answers with.
pub async fn set_levels(source: &mut impl AdminSource, levels: &Levels) -> Result<LoggerLevels, LeaseError> {
    let pairs = levels.iter().map(|(name, level)| (name.clone(), level.clone()));
    match list(source, &AdminRequest::SetLoggers(pairs.clone().collect())).await {
        // An Envoy that does not know `paths` takes it for a logger's name.
        Err(LeaseError::Admin(AdminError::Status { code: 400 | 404, .. })) => {}
        other => return other,
    }
    let mut last = Err(LeaseError::NotLoggers);
    for (name, level) in pairs {
        last = Ok(list(source, &AdminRequest::SetLogger(name, level)).await?);
    }
    last
}

async fn list(source: &mut impl AdminSource, request: &AdminRequest) -> Result<LoggerLevels, LeaseError> {
    let mut text = Vec::new();
    let sink = &mut |chunk: &[u8]| {
        text.extend_from_slice(chunk);
        if text.len() > MOST { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    source.send(request, sink).await?;
    loggers::read(&String::from_utf8_lossy(&text)).ok_or(LeaseError::NotLoggers)
}

/// Looks up the proxy's pod as it is now.
pub(super) async fn current(connection: &Connection, namespace: &str, pod: &str) -> Result<Proxy, LeaseError> {
    let target = Target { kind: None, name: pod.to_owned() };
    let selection =
        PodSelection { targets: vec![target], namespace: Some(namespace.to_owned()), ..PodSelection::default() };
    let mut found = match select(connection, &selection, "").await {
        Ok(found) => found,
        Err(ApiError::NotFound(missing)) => return Err(LeaseError::Gone(missing.message)),
        Err(error) => return Err(error.into()),
    };
    match (found.proxies.pop(), found.skipped.pop()) {
        (Some(proxy), _) => Ok(proxy),
        (None, skipped) => {
            Err(LeaseError::Gone(skipped.map_or_else(|| "no such pod".to_owned(), |skipped| skipped.reason)))
        }
    }
}

/// Levels that have been read and kept, and may now be changed.
#[derive(Debug)]
pub struct Held {
    /// What was there before.
    pub lease: DebugLease,
    /// What is to be set.
    pub wanted: Levels,
    /// Loggers that were asked for and that this Envoy does not have.
    pub missing: Vec<String>,
    /// The lease of an earlier debug-log that was never given back: its levels are the ones to go back to.
    pub former: Option<DebugLease>,
    /// How many loggers were at debug or trace before, though no lease of this machine says so.
    pub verbose_before: usize,
    _lock: Lock,
}

impl Held {
    /// Gives the levels back without having changed any.
    pub fn abandon(self, store: &LeaseStore) -> Result<(), LeaseError> {
        match &self.former {
            Some(former) => store.save(former),
            None => store.remove(&self.lease.uid),
        }
    }
}

/// Reads a proxy's levels and keeps them; nothing is changed yet.
pub async fn acquire(
    connection: &Connection,
    source: &mut impl AdminSource,
    proxy: &Proxy,
    store: &LeaseStore,
    spec: &LevelSpec,
    until: Option<Timestamp>,
    kubeconfig: Option<String>,
) -> Result<Held, LeaseError> {
    let lock = store.lock(&proxy.uid)?;
    let present = read_levels(source).await?;
    // Between the selection and now, somebody may have been asked whether it is meant. A lease of a run of the proxy
    // that is over by then would never be given back.
    let now = current(connection, &proxy.id.namespace, &proxy.id.name).await?;
    if now.uid != proxy.uid {
        return Err(LeaseError::Gone("the pod was replaced meanwhile".to_owned()));
    }
    let former = store.find(&proxy.uid)?.filter(|former| former.restart_count == now.restart_count);
    let wanted = spec.wanted(&present);
    if wanted.is_empty() {
        let names: Vec<&str> = spec.loggers.keys().map(String::as_str).collect();
        return Err(LeaseError::NoSuchLogger(names.join(", ")));
    }
    let verbose_before = if former.is_some() { 0 } else { present.verbose().count() };
    let (levels, set) = match &former {
        Some(former) => (former.levels.clone(), former.set.clone()),
        None => {
            let levels = present.0.iter().map(|(name, level)| (name.to_string(), level.to_string()));
            (levels.collect(), BTreeSet::new())
        }
    };
    let lease = DebugLease {
        kubeconfig,
        context: connection.context.clone(),
        namespace: proxy.id.namespace.clone(),
        pod: proxy.id.name.clone(),
        uid: proxy.uid.clone(),
        restart_count: now.restart_count,
        admin_port: proxy.admin_port,
        taken_at: former.as_ref().map_or_else(Timestamp::now, |former| former.taken_at),
        until,
        levels,
        set: set.into_iter().chain(wanted.keys().cloned()).collect(),
    };
    store.save(&lease)?;
    Ok(Held { missing: spec.missing(&present), lease, wanted, former, verbose_before, _lock: lock })
}

/// Sets every logger to what it should be and reads all of them back. Loggers in `always` are sent even where they
/// seem right: a request that was given up may still be on its way to the proxy, and must not come last.
pub async fn put_back(
    source: &mut impl AdminSource,
    wanted: &Levels,
    always: &BTreeSet<String>,
) -> Result<Restored, LeaseError> {
    let present = read_levels(source).await?;
    let differing = differences(&present, wanted);
    let mut send: Levels = differing.iter().map(|d| (d.logger.clone(), d.wanted.clone())).collect();
    for name in always.iter().filter(|name| present.0.contains_key(name.as_str())) {
        if let Some(level) = wanted.get(name) {
            send.insert(name.clone(), level.clone());
        }
    }
    if !send.is_empty() {
        set_levels(source, &send).await?;
    }
    let left = differences(&read_levels(source).await?, wanted);
    Ok(if left.is_empty() {
        Restored::Verified { loggers: wanted.len(), changed: differing.len() }
    } else {
        Restored::Differs(left)
    })
}

/// Puts a lease's levels back, if the proxy is still the one they are of.
async fn restore_once(connection: &Connection, lease: &DebugLease, limits: Limits) -> Result<Restored, LeaseError> {
    let proxy = match current(connection, &lease.namespace, &lease.pod).await {
        Ok(proxy) => proxy,
        Err(LeaseError::Gone(reason)) => return Ok(Restored::Gone(reason)),
        Err(error) => return Err(error),
    };
    if proxy.uid != lease.uid {
        return Ok(Restored::Replaced("the pod was replaced"));
    }
    if proxy.restart_count != lease.restart_count {
        return Ok(Restored::Replaced("the proxy was restarted"));
    }
    let mut tunnel = Tunnel::new(connection, &lease.namespace, &lease.pod, lease.admin_port, limits);
    put_back(&mut tunnel, &lease.levels, &lease.set).await
}

/// Puts a lease's levels back and forgets the lease. What fails is tried again, with longer and longer pauses, until
/// `patience` is over: a lost connection comes back more often than not.
pub async fn restore(
    connection: &Connection,
    store: &LeaseStore,
    lease: &DebugLease,
    limits: Limits,
    patience: Duration,
    retrying: &(dyn Fn(&LeaseError) + Sync),
) -> Result<Restored, LeaseError> {
    const FIRST: Duration = Duration::from_millis(250);
    const LONGEST: Duration = Duration::from_secs(5);
    /// Who sets a logger back each time means it.
    const DIFFERING: u32 = 3;
    let deadline = Instant::now() + patience;
    let (mut pause, mut differing) = (FIRST, 0);
    loop {
        let tried = restore_once(connection, lease, limits).await;
        let error = match tried {
            Ok(Restored::Differs(left)) => {
                differing += 1;
                if differing == DIFFERING {
                    return Ok(Restored::Differs(left));
                }
                None
            }
            Ok(done) => {
                store.remove(&lease.uid)?;
                return Ok(done);
            }
            Err(error) => Some(error),
        };
        if let Some(error) = error {
            if Instant::now() + pause > deadline {
                return Err(error);
            }
            retrying(&error);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reach::Sink;

    /// An admin endpoint that keeps levels, as Envoy does.
    struct Loggers {
        levels: Levels,
        /// Whether it knows `paths`.
        modern: bool,
        /// A logger that somebody else sets back each time.
        stubborn: Option<&'static str>,
        requests: Vec<AdminRequest>,
    }

    fn levels(pairs: &[(&str, &str)]) -> Levels {
        pairs.iter().map(|(name, level)| ((*name).to_owned(), (*level).to_owned())).collect()
    }

    impl Loggers {
        fn new(pairs: &[(&str, &str)]) -> Self {
            Self { levels: levels(pairs), modern: true, stubborn: None, requests: Vec::new() }
        }
    }

    impl AdminSource for Loggers {
        async fn send(&mut self, request: &AdminRequest, sink: &mut Sink<'_>) -> Result<(), AdminError> {
            self.requests.push(request.clone());
            let set = match request {
                AdminRequest::SetLoggers(_) if !self.modern => {
                    return Err(AdminError::Status { code: 404, text: "usage: /logging?name=level".to_owned() });
                }
                AdminRequest::SetLoggers(pairs) => pairs.clone(),
                AdminRequest::SetLogger(name, level) => vec![(name.clone(), level.clone())],
                _ => Vec::new(),
            };
            for (name, level) in set.into_iter().filter(|(name, _)| self.stubborn != Some(name)) {
                self.levels.insert(name, level);
            }
            let list: String = self.levels.iter().map(|(name, level)| format!("  {name}: {level}\n")).collect();
            let _ = sink(format!("active loggers:\n{list}").as_bytes());
            Ok(())
        }
    }

    #[tokio::test]
    async fn puts_back_what_differs_and_what_was_set() {
        let before = levels(&[("admin", "warning"), ("misc", "error"), ("pool", "warning")]);
        let mut envoy = Loggers::new(&[("admin", "info"), ("misc", "error"), ("pool", "warning")]);
        let always = BTreeSet::from(["pool".to_owned(), "unknown".to_owned()]);
        let restored = put_back(&mut envoy, &before, &always).await.expect("an answer");
        assert_eq!(restored, Restored::Verified { loggers: 3, changed: 1 });
        assert_eq!(envoy.levels, before);
        let sent = AdminRequest::SetLoggers(vec![
            ("admin".to_owned(), "warning".to_owned()),
            ("pool".to_owned(), "warning".to_owned()),
        ]);
        assert_eq!(envoy.requests, [AdminRequest::GetLoggers, sent, AdminRequest::GetLoggers]);
        // A second time there is nothing to send but what a lost request might have changed.
        put_back(&mut envoy, &before, &BTreeSet::new()).await.expect("an answer");
        assert_eq!(envoy.requests[3..], [AdminRequest::GetLoggers, AdminRequest::GetLoggers]);
    }

    #[tokio::test]
    async fn says_what_is_not_as_it_was() {
        let mut envoy = Loggers { stubborn: Some("pool"), ..Loggers::new(&[("client", "debug"), ("pool", "debug")]) };
        let before = levels(&[("client", "warning"), ("pool", "warning")]);
        let restored = put_back(&mut envoy, &before, &BTreeSet::new()).await.expect("an answer");
        let left = LevelDifference { logger: "pool".into(), level: "debug".into(), wanted: "warning".into() };
        assert_eq!(restored, Restored::Differs(vec![left]));
    }

    #[tokio::test]
    async fn sets_one_by_one_where_it_must() {
        let mut envoy = Loggers { modern: false, ..Loggers::new(&[("client", "warning"), ("pool", "warning")]) };
        let answer = set_levels(&mut envoy, &levels(&[("client", "debug"), ("pool", "trace")])).await.expect("a list");
        assert_eq!(answer.verbose().collect::<Vec<_>>(), [("client", "debug"), ("pool", "trace")]);
        assert_eq!(envoy.requests.len(), 3);
    }

    fn lease(uid: &str) -> DebugLease {
        DebugLease {
            kubeconfig: None,
            context: "prod".to_owned(),
            namespace: "shop".to_owned(),
            pod: "web-1".to_owned(),
            uid: uid.to_owned(),
            restart_count: 0,
            admin_port: 15000,
            taken_at: Timestamp::UNIX_EPOCH,
            until: None,
            levels: levels(&[("pool", "warning")]),
            set: BTreeSet::from(["pool".to_owned()]),
        }
    }

    #[test]
    fn keeps_leases_to_itself() {
        let directory = tempfile::tempdir().expect("a directory");
        let store = LeaseStore { directory: directory.path().join("state") };
        assert!(store.find("0a-1b").expect("nothing").is_none());
        let lock = store.lock("0a-1b").expect("a lock");
        assert!(matches!(store.lock("0a-1b"), Err(LeaseError::Busy)));
        store.save(&lease("0a-1b")).expect("saved");
        assert_eq!(store.find("0a-1b").expect("a file"), Some(lease("0a-1b")));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
            assert_eq!((mode(&store.path("0a-1b")), mode(store.directory())), (0o600, 0o700));
        }
        fs::write(store.path("bad"), "{").expect("written");
        let (leases, broken) = store.all().expect("a list");
        assert_eq!((leases.len(), broken.len()), (1, 1));
        drop(lock);
        drop(store.lock("0a-1b").expect("free again"));
        store.remove("0a-1b").expect("removed");
        store.remove("0a-1b").expect("removed already");
        assert_eq!(store.path("../../x").parent(), Some(store.directory()));
    }
}
