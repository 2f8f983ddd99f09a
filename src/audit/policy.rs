//! What an operator expects of a mesh.

use std::time::Duration;

/// Thresholds that rules compare with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Timeouts above this are too long.
    pub max_connect_timeout: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self { max_connect_timeout: Duration::from_secs(30) }
    }
}
