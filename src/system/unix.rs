//! Unix: Linux and macOS.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::process::Signal as Raw;
use tokio::signal::unix::{SignalKind, signal};

use super::Signal;
pub(crate) use super::descendants::kill as kill_tree;

/// A file that is made has mode 0600.
pub(crate) fn owner_only(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(0o600)
}

/// A directory that is made has mode 0700.
pub(super) fn owner_only_directory(builder: &mut DirBuilder) -> &mut DirBuilder {
    builder.mode(0o700)
}

/// A link at the path's end is not followed, and nobody is waited for: a FIFO would be for ever.
pub(super) fn no_link_and_no_wait(options: &mut OpenOptions) -> &mut OpenOptions {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    options.custom_flags(i32::try_from(flags.bits()).unwrap_or_default())
}

/// Whether it belongs to the user that this process acts as.
pub(super) fn is_own(metadata: &Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw()
}

/// Opening waits for nobody, as that of a FIFO would, and neither does writing.
pub(crate) fn no_wait(options: &mut OpenOptions) -> &mut OpenOptions {
    options.custom_flags(i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default())
}

/// Who this process acts for, where nothing names the user.
pub(crate) fn user_number() -> String {
    format!("uid={}", rustix::process::getuid().as_raw())
}

/// Whether users other than its owner may write to it.
pub(super) fn others_may_write(metadata: &Metadata) -> bool {
    metadata.mode() & 0o022 != 0
}

/// Puts the names in a directory on the disk.
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Whether an open file is the one that is at a path now.
pub(crate) fn is_at(file: &File, path: &Path) -> bool {
    let same = |(a, b): (Metadata, Metadata)| (a.dev(), a.ino()) == (b.dev(), b.ino());
    file.metadata().ok().zip(fs::symlink_metadata(path).ok()).is_some_and(same)
}

/// Lets everybody run a file.
pub(crate) fn make_executable(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

/// Where programs keep what is to outlive them: `$XDG_STATE_HOME`, else `~/.local/state`, on macOS
/// `~/Library/Application Support`. The error is the variable that is missing.
pub(crate) fn state_directory() -> Result<PathBuf, &'static str> {
    if let Some(path) = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute()) {
        return Ok(path);
    }
    let home = std::env::home_dir().filter(|home| home.is_absolute()).ok_or("HOME")?;
    Ok(home.join(if cfg!(target_os = "macos") { "Library/Application Support" } else { ".local/state" }))
}

/// Everything that would end this process, or stop it, without asking; SIGKILL and SIGSTOP cannot be heard.
pub(crate) struct Signals(tokio::sync::mpsc::Receiver<Signal>);

impl Signals {
    /// Listens from now on; to SIGTSTP only where it is not to suspend the process as it does any other.
    pub(crate) fn new(suspends: bool) -> io::Result<Self> {
        let mut kinds = vec![
            (SignalKind::interrupt(), Signal::Interrupt),
            (SignalKind::terminate(), Signal::Terminate),
            (SignalKind::hangup(), Signal::Terminate),
            (SignalKind::quit(), Signal::Terminate),
            (SignalKind::alarm(), Signal::Terminate),
            (SignalKind::user_defined1(), Signal::Terminate),
            (SignalKind::user_defined2(), Signal::Terminate),
        ];
        // Those that limits of the system send: they too would end it and leave everything as it is.
        for raw in [Raw::XCPU, Raw::XFSZ, Raw::VTALARM, Raw::PROF] {
            kinds.push((SignalKind::from_raw(raw.as_raw()), Signal::Terminate));
        }
        if !suspends {
            kinds.push((SignalKind::from_raw(Raw::TSTP.as_raw()), Signal::Interrupt));
        }
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        for (kind, meaning) in kinds {
            let (mut signals, sender) = (signal(kind)?, sender.clone());
            tokio::spawn(async move { while signals.recv().await.is_some() && sender.send(meaning).await.is_ok() {} });
        }
        Ok(Self(receiver))
    }

    /// Waits for the next.
    pub(crate) async fn next(&mut self) -> Signal {
        match self.0.recv().await {
            Some(signal) => signal,
            None => std::future::pending().await,
        }
    }
}
