//! A line of `--audit-log`: who changed what of which proxy.

use schemars::JsonSchema;
use serde::Serialize;

/// A change of a proxy's log levels. Each is written twice: before it is asked for, and when it is known what came of it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangeRecord {
    /// Always `meshaudit/v1`.
    pub api_version: &'static str,
    /// Always `Change`.
    pub kind: &'static str,
    /// When the line was written (RFC 3339).
    pub time: String,
    /// The same in both lines of a change, and in no others.
    pub id: String,
    /// Which of the two it is.
    pub stage: ChangeStage,
    /// Who.
    pub who: Who,
    /// The kubeconfig context; `in-cluster` for a pod's service account.
    pub context: String,
    /// The API server's URL: scheme, host and port.
    pub server: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// The loggers whose level changes, each with both levels.
    pub loggers: Vec<LoggerChange>,
    /// Why it failed; what the levels are then is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What is known of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChangeStage {
    /// It is about to be asked for.
    Requested,
    /// The proxy took it.
    Done,
    /// The proxy did not answer, or refused.
    Failed,
}

/// Who changes something.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Who {
    /// The user of this machine, as its environment says; where that says nothing, `uid=` and the user's number.
    pub local_user: String,
    /// The kubeconfig's name for the user; empty in a pod.
    pub user: String,
    /// `--as`; null for nobody else.
    pub impersonated: Option<String>,
    /// The process on this machine.
    pub pid: u32,
}

/// One logger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct LoggerChange {
    /// Its name.
    pub logger: String,
    /// The level that it has.
    pub from: String,
    /// The level that it is given.
    pub to: String,
}
