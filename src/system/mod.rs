//! What differs between operating systems: who owns a file and who may read it, the signals that end a process, the
//! processes that this one has started. No other module asks which system it runs on.

mod private;
#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as native;
#[cfg(unix)]
mod descendants;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as native;

pub(crate) use native::{
    Signals, is_at, kill_tree, make_executable, no_wait, owner_only, state_directory, user_number,
};
pub(crate) use private::{
    Output, PrivateFile, Unsafe, at_most, check_directory, look, make_directory, open_lock, read,
};

/// What a process that goes on has been asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// To end, by whoever sits in front of it: Ctrl-C, and Ctrl-Z where that would leave something undone.
    Interrupt,
    /// To end, by anybody else: SIGTERM, SIGHUP, SIGQUIT, a terminal that was closed.
    Terminate,
}
