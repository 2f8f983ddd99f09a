//! The debug-log lease: a proxy's logger levels are kept in a private file before any of them is changed, and are put
//! back, and read back, afterwards.

mod hold;
mod levels;
mod restore;
mod store;

use std::io;
use std::path::PathBuf;

pub(super) use hold::current;
pub use hold::{Held, Taking, acquire};
pub use levels::{PutBack, put_to_start, read_levels, read_start, set_levels};
pub use restore::{Restoration, Restored, Restoring, restore};
pub use store::{AllKept, Claim, Holder, Kept, LeaseStore};

use crate::k8s::ApiError;
use crate::reach::AdminError;

/// Why levels could not be taken, set or put back.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// There is nowhere to keep state files.
    #[error("there is no directory for state files: {0} is not set")]
    NoDirectory(&'static str),
    /// The directory of state files cannot be used.
    #[error("state files cannot be kept in {}: {source}", .path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
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
    #[error("another debug-log on this machine is working on it{}", holding(.0.as_ref()))]
    Busy(Option<Holder>),
    /// The change could not be recorded.
    #[error("the audit log cannot be written, so nothing was changed: {0}")]
    AuditLog(#[source] io::Error),
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
    /// The context leads to another cluster by now.
    #[error(
        "the context leads to another cluster ({now}) than the one that the levels are of ({then}), which says nothing \
         of the proxy"
    )]
    OtherCluster {
        /// The server of the lease.
        then: String,
        /// The server that was asked.
        now: String,
    },
    /// Something that does not prove that the proxy is gone.
    #[error("{0}, which does not prove that the proxy is gone")]
    Unproven(String),
    /// Stopped before anything was changed.
    #[error("stopped before anything was changed")]
    Stopped,
    /// Putting levels back was given up before its time.
    #[error("given up")]
    GivenUp,
}

fn holding(holder: Option<&Holder>) -> String {
    holder.map_or_else(String::new, |Holder { pid, doing, since }| {
        format!(" (process {pid}, {doing}, since {})", since.strftime("%Y-%m-%d %H:%M:%S UTC"))
    })
}

impl LeaseError {
    /// Whether nothing can be kept on this machine by this user at all, so that nobody else can hold it either.
    #[must_use]
    pub fn is_unwritable(&self) -> bool {
        store::is_unwritable(self)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use crate::model::{ClusterIdentity, DebugLease};

    pub(super) fn lease(uid: &str) -> DebugLease {
        DebugLease {
            kubeconfig: None,
            kubeconfig_list: None,
            context: "prod".to_owned(),
            cluster: ClusterIdentity::default(),
            namespace: "shop".to_owned(),
            pod: "web-1".to_owned(),
            uid: uid.to_owned(),
            restart_count: 0,
            admin_port: 15000,
            taken_at: Timestamp::UNIX_EPOCH,
            until: None,
            levels: [("pool".to_owned(), "warning".to_owned())].into(),
            set: ["pool".to_owned()].into(),
            assumed: Default::default(),
        }
    }
}
