//! Ctrl-C while something is read.

use super::failure::Failure;
pub(super) use crate::collect::interrupt::{ended, happened, listen, until};

/// Waits for something that nothing can be shown without; asked for the end, it is given up.
pub(super) async fn or_end<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::select! {
        outcome = work => outcome,
        () = ended() => Err(Failure::cannot_run("interrupted before anything was read")),
    }
}
