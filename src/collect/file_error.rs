//! Why a file gives no proxy, and what is said of it.

use super::fetch::ReadError;
use crate::decode::snapshot::SnapshotError;
use crate::input::InputError;
use crate::model::{FailureCause, ProxyId, UnreadProxy};

/// Why a file gives nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Snapshot(SnapshotError),
    #[error("it is no sound YAML: {0}")]
    Yaml(String),
    /// A line among dumps says why there is one less.
    #[error("beside what was read of it, it says: {0}")]
    Beside(String),
    #[error(transparent)]
    Input(#[from] InputError),
}

impl From<SnapshotError> for FileError {
    fn from(error: SnapshotError) -> Self {
        match error {
            SnapshotError::Read(error) => Self::Input(error.into()),
            error => Self::Snapshot(error),
        }
    }
}

impl FileError {
    /// What is said of the file of this name.
    pub(super) fn unread(&self, name: &str) -> UnreadProxy {
        let (cause, message) = match self {
            Self::Read(error @ ReadError::NoClusters) => (error.cause(), "no config dump: no cluster in it".to_owned()),
            Self::Read(read @ ReadError::Dump(error)) => (read.cause(), format!("no config dump: {error}")),
            Self::Read(error) => (error.cause(), error.to_string()),
            Self::Snapshot(SnapshotError::Json(error)) if error.is_eof() => (FailureCause::Truncated, self.to_string()),
            Self::Snapshot(SnapshotError::TooLarge(_)) => (FailureCause::TooLarge, self.to_string()),
            Self::Snapshot(_) | Self::Yaml(_) | Self::Beside(_) => (FailureCause::NotEnvoy, self.to_string()),
            Self::Input(InputError::Truncated | InputError::Damaged(_)) => (FailureCause::Truncated, self.to_string()),
            Self::Input(InputError::Header { .. } | InputError::Entries(_) | InputError::Unfolds(_)) => {
                (FailureCause::TooLarge, self.to_string())
            }
            Self::Input(InputError::Ended(_)) => (FailureCause::Timeout, self.to_string()),
            Self::Input(_) => (FailureCause::Unreachable, self.to_string()),
        };
        UnreadProxy { id: ProxyId::new("", name), cause, message }
    }
}
