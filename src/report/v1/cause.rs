//! The v1 form of why a proxy could not be read.

use schemars::JsonSchema;
use serde::Serialize;

use crate::model;

/// Why a proxy could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FailureCause {
    /// The API server refused the port-forward.
    Forbidden,
    /// A deadline passed.
    Timeout,
    /// The admin endpoint could not be reached, or the connection broke.
    Unreachable,
    /// Something answered that is not Envoy.
    NotEnvoy,
    /// The answer ended early or is not whole.
    Truncated,
    /// The answer is larger than the limit.
    TooLarge,
    /// The pod went away.
    Gone,
}

impl From<model::FailureCause> for FailureCause {
    fn from(cause: model::FailureCause) -> Self {
        match cause {
            model::FailureCause::Forbidden => Self::Forbidden,
            model::FailureCause::Timeout => Self::Timeout,
            model::FailureCause::Unreachable => Self::Unreachable,
            model::FailureCause::NotEnvoy => Self::NotEnvoy,
            model::FailureCause::Truncated => Self::Truncated,
            model::FailureCause::TooLarge => Self::TooLarge,
            model::FailureCause::Gone => Self::Gone,
        }
    }
}
