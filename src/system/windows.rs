//! Windows, where a user's own directories are closed to others by their access lists, which files inherit.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use tokio::signal::windows::{CtrlBreak, CtrlC, CtrlClose, ctrl_break, ctrl_c, ctrl_close};

use super::Signal;

/// A file has the access list of its directory.
pub(crate) fn owner_only(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// So has a directory.
pub(super) fn owner_only_directory(builder: &mut DirBuilder) -> &mut DirBuilder {
    builder
}

/// Links are for administrators, and there are no FIFOs among files.
pub(super) fn no_link_and_no_wait(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// Access lists say who may what, not owners.
pub(super) fn is_own(_: &Metadata) -> bool {
    true
}

/// There are no FIFOs among files.
pub(crate) fn no_wait(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// Users have no numbers, and `USERNAME` is always set.
pub(crate) fn user_number() -> String {
    String::new()
}

/// Access lists say who may what, not modes.
pub(super) fn others_may_write(_: &Metadata) -> bool {
    false
}

/// A directory cannot be opened, and need not be.
pub(super) fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

/// A file that is open cannot be replaced.
pub(crate) fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}

/// What can be run is told by its name.
pub(crate) fn make_executable(_: &Path) -> io::Result<()> {
    Ok(())
}

/// The process itself is ended by whoever holds it; what it started does not end with it, and there is no list of parents that can be trusted.
pub(crate) fn kill_tree(_: u32) {}

/// Where programs keep what is to outlive them: `$XDG_STATE_HOME`, else `%LOCALAPPDATA%`. The error is the variable
/// that is missing.
pub(crate) fn state_directory() -> Result<PathBuf, &'static str> {
    let xdg = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    xdg.or_else(|| std::env::var_os("LOCALAPPDATA").map(PathBuf::from)).ok_or("LOCALAPPDATA")
}

/// What would end this process without asking.
pub(crate) struct Signals {
    interrupt: CtrlC,
    pause: CtrlBreak,
    close: CtrlClose,
}

impl Signals {
    /// Listens from now on. Nothing suspends a process.
    pub(crate) fn new(_suspends: bool) -> io::Result<Self> {
        Ok(Self { interrupt: ctrl_c()?, pause: ctrl_break()?, close: ctrl_close()? })
    }

    /// Waits for the next.
    pub(crate) async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.interrupt.recv() => Signal::Interrupt,
            _ = self.pause.recv() => Signal::Terminate,
            _ = self.close.recv() => Signal::Terminate,
        }
    }
}
