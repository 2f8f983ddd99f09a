//! `DebugLog`: what `debug-log -o json` writes.

use schemars::JsonSchema;
use serde::Serialize;

use super::diagnosis::DiagnosisReport;

/// What was done to the levels of some proxies: the object that `-o json` writes.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DebugLogReport {
    /// Always `meshaudit/v1`.
    pub api_version: &'static str,
    /// Always `DebugLog`.
    pub kind: &'static str,
    /// `session`, `on`, `off` or `show`.
    pub action: &'static str,
    /// Whether this is only what would be done.
    pub dry_run: bool,
    /// The command that puts the levels back, where they were changed or would be.
    pub restore_command: Option<String>,
    /// What was done to each proxy, in the order of their names.
    pub proxies: Vec<ProxyLevels>,
    /// What a session found.
    pub diagnosis: Option<DiagnosisReport>,
}

impl DebugLogReport {
    /// A report.
    #[must_use]
    pub fn new(
        action: &'static str,
        dry_run: bool,
        restore_command: Option<String>,
        proxies: Vec<ProxyLevels>,
    ) -> Self {
        let (api_version, kind) = ("meshaudit/v1", "DebugLog");
        Self { api_version, kind, action, dry_run, restore_command, proxies, diagnosis: None }
    }
}

/// What has become of a proxy's levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LevelState {
    /// They were set, and stay so.
    On,
    /// They are as they were before, which was read back.
    Restored,
    /// They already were as they should be.
    Unchanged,
    /// The proxy was replaced or restarted, and has the levels it starts with.
    Replaced,
    /// The pod is gone.
    Gone,
    /// Some are not as they should be.
    NotRestored,
    /// Nothing was changed, because something failed first.
    Failed,
    /// Nothing was changed, because this was only asked about.
    AsFound,
}

/// Where the levels came from that were put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LevelBasis {
    /// What `debug-log` kept before it changed them.
    StateFile,
    /// What the proxy's arguments or its pod's annotations say.
    StartUpArguments,
    /// Istio's own default, since the pod says nothing.
    IstioDefault,
}

/// One proxy.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProxyLevels {
    /// `namespace/pod`.
    pub proxy: String,
    /// What has become of its levels.
    pub state: LevelState,
    /// Where the levels came from that were put back.
    pub basis: Option<LevelBasis>,
    /// How many loggers were compared.
    pub loggers: Option<usize>,
    /// Loggers whose level before is not known: they were at debug or trace already, without having been started so, and
    /// have the level that the proxy was started with.
    pub assumed: Vec<String>,
    /// The loggers that are spoken of.
    pub levels: Vec<LoggerLevel>,
    /// Loggers that were asked for and that this Envoy does not have.
    pub missing: Vec<String>,
    /// The command that mends it, where something is left to be mended.
    pub command: Option<String>,
    /// What there is to say besides.
    pub messages: Vec<String>,
    /// Lines of its log that were read.
    pub lines: Option<u64>,
}

/// One logger.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoggerLevel {
    /// Its name.
    pub logger: String,
    /// The level it has, or had before it was set.
    pub level: String,
    /// The level it was given, would be given or, where levels are only shown, was started with.
    pub target: String,
}

impl ProxyLevels {
    /// A proxy of which nothing is known yet.
    #[must_use]
    pub fn new(proxy: String, state: LevelState) -> Self {
        Self {
            proxy,
            state,
            basis: None,
            loggers: None,
            assumed: Vec::new(),
            levels: Vec::new(),
            missing: Vec::new(),
            command: None,
            messages: Vec::new(),
            lines: None,
        }
    }

    /// A proxy whose levels were not touched, because of this.
    #[must_use]
    pub fn failed(proxy: String, message: String) -> Self {
        Self { messages: vec![message], ..Self::new(proxy, LevelState::Failed) }
    }
}
