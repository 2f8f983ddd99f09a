//! What `debug-log` sets, what was there before, and what a proxy starts with.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{LoggerLevels, StartupLogLevels};

/// Levels by name of the logger, to be set or expected.
pub type Levels = BTreeMap<String, String>;

/// Envoy's levels (`source/server/admin/logs_handler.cc`).
pub const LOG_LEVELS: [&str; 7] = ["trace", "debug", "info", "warning", "error", "critical", "off"];

/// The loggers that tell how a connection came about and how it ended. Which of them an Envoy has depends on its
/// version.
const CONNECTION_LOGGERS: [&str; 7] = ["client", "conn_handler", "connection", "filter", "pool", "router", "upstream"];

/// A choice of levels, as istioctl writes it: `debug`, `pool:trace,connection:debug`, or both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LevelSpec {
    /// The level of every logger that is not named.
    pub every: Option<String>,
    /// The levels of single loggers.
    pub loggers: Levels,
}

/// Why a choice of levels cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LevelSpecError {
    /// Nothing, or an empty part.
    #[error("a level is missing: LEVEL, or LOGGER:LEVEL,LOGGER:LEVEL")]
    Empty,
    /// No such level.
    #[error("{0:?} is no level (trace, debug, info, warning, error, critical or off)")]
    Level(String),
    /// No name of a logger.
    #[error("{0:?} is no name of a logger")]
    Logger(String),
    /// A logger, or every logger, is given two levels.
    #[error("{0} is given two levels")]
    Twice(String),
}

impl LevelSpec {
    /// What shows connections being made and lost.
    #[must_use]
    pub fn connections() -> Self {
        let loggers = CONNECTION_LOGGERS.iter().map(|name| ((*name).to_owned(), "debug".to_owned()));
        Self { every: None, loggers: loggers.collect() }
    }

    /// What a proxy was started with. Where its pod says nothing, Istio's own defaults
    /// (`pilot/cmd/pilot-agent/app/cmd.go`: `warning,misc:error`).
    #[must_use]
    pub fn startup(startup: &StartupLogLevels) -> Self {
        let mut spec = Self { every: Some("warning".to_owned()), loggers: Levels::new() };
        if startup.level.is_none() && startup.components.is_none() {
            spec.loggers.insert("misc".to_owned(), "error".to_owned());
        }
        // pilot-agent drops what it cannot read, and so do we. `--proxyLogLevel` may name loggers as well.
        for text in [&startup.level, &startup.components].into_iter().flatten() {
            for part in text.split(',').filter_map(|part| read_part(part).ok()) {
                match part {
                    (None, level) => spec.every = Some(level),
                    (Some(name), level) => drop(spec.loggers.insert(name, level)),
                }
            }
        }
        spec
    }

    /// The level that each of an Envoy's loggers should have.
    #[must_use]
    pub fn wanted(&self, present: &LoggerLevels) -> Levels {
        let of = |name: &str| self.loggers.get(name).or(self.every.as_ref());
        present.0.keys().filter_map(|name| Some((name.to_string(), of(name)?.clone()))).collect()
    }

    /// The loggers that are named and that an Envoy does not have.
    #[must_use]
    pub fn missing(&self, present: &LoggerLevels) -> Vec<String> {
        self.loggers.keys().filter(|name| !present.0.contains_key(name.as_str())).cloned().collect()
    }
}

fn read_part(part: &str) -> Result<(Option<String>, String), LevelSpecError> {
    let (name, level) = match part.trim().split_once(':') {
        Some((name, level)) => (Some(name.trim()), level.trim()),
        None => (None, part.trim()),
    };
    if level.is_empty() {
        return Err(LevelSpecError::Empty);
    }
    // spdlog's short form, which Envoy's flags take too.
    let known = if level == "warn" { "warning" } else { level };
    if !LOG_LEVELS.contains(&known) {
        return Err(LevelSpecError::Level(level.to_owned()));
    }
    if let Some(name) = name
        && (name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte)))
    {
        return Err(LevelSpecError::Logger(name.to_owned()));
    }
    Ok((name.map(str::to_owned), known.to_owned()))
}

impl FromStr for LevelSpec {
    type Err = LevelSpecError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut spec = Self::default();
        for part in text.split(',') {
            let (name, level) = read_part(part)?;
            let twice = match &name {
                None => spec.every.replace(level).is_some(),
                Some(name) => spec.loggers.insert(name.clone(), level).is_some(),
            };
            if twice {
                return Err(LevelSpecError::Twice(
                    name.map_or_else(|| "every logger".to_owned(), |name| format!("{name:?}")),
                ));
            }
        }
        Ok(spec)
    }
}

impl fmt::Display for LevelSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let loggers = self.loggers.iter().map(|(name, level)| format!("{name}:{level}"));
        let parts: Vec<String> = self.every.iter().cloned().chain(loggers).collect();
        f.write_str(&parts.join(","))
    }
}

/// What says with which levels a proxy was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartSource {
    /// The proxy itself (`/server_info`, `command_line_options`).
    Proxy,
    /// pilot-agent's arguments, or the pod's annotations.
    Pod,
    /// Nothing does: these are Istio's defaults, a guess.
    Default,
}

/// The levels that a proxy was started with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartLevels {
    /// The levels.
    pub spec: LevelSpec,
    /// What says so.
    pub source: StartSource,
}

impl StartLevels {
    /// What the proxy says of itself; else what its pod says; else Istio's defaults.
    #[must_use]
    pub fn new(asked: Option<&StartupLogLevels>, pod: &StartupLogLevels) -> Self {
        match asked {
            Some(asked) => Self { spec: LevelSpec::startup(asked), source: StartSource::Proxy },
            None if pod.level.is_some() || pod.components.is_some() => {
                Self { spec: LevelSpec::startup(pod), source: StartSource::Pod }
            }
            None => Self { spec: LevelSpec::startup(pod), source: StartSource::Default },
        }
    }

    /// Loggers at debug or trace that were not started so, with the level that they were started with. Somebody has
    /// set them, and may be gone before or after us: they are not the state to go back to.
    #[must_use]
    pub fn unexplained(&self, present: &LoggerLevels) -> Vec<LevelDifference> {
        let verbose: LoggerLevels =
            LoggerLevels(present.verbose().map(|(name, level)| (name.into(), level.into())).collect());
        differences(&verbose, &self.spec.wanted(&verbose))
    }
}

/// A logger that does not have the level it should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LevelDifference {
    /// The logger.
    pub logger: String,
    /// The level it has.
    pub level: String,
    /// The level it should have.
    pub wanted: String,
}

/// The loggers that do not have the level they should have. One that an Envoy does not have has no level to differ.
#[must_use]
pub fn differences(present: &LoggerLevels, wanted: &Levels) -> Vec<LevelDifference> {
    let differs = |(logger, wanted): (&String, &String)| {
        let level = present.0.get(logger.as_str()).filter(|level| ***level != **wanted)?.to_string();
        Some(LevelDifference { logger: logger.clone(), level, wanted: wanted.clone() })
    };
    wanted.iter().filter_map(differs).collect()
}

/// A cluster, so that one is not taken for another: contexts are called alike in many kubeconfigs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterIdentity {
    /// The API server's URL, without credentials.
    pub server: String,
    /// A namespace of it: `kube-system`, or the proxy's where that may not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub witness: Option<NamespaceUid>,
}

/// A namespace and its UID, which no other cluster has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamespaceUid {
    /// Its name.
    pub namespace: String,
    /// Its UID.
    pub uid: String,
}

/// The levels of a proxy before `debug-log` changed them: what its state file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DebugLease {
    /// The kubeconfig, where one was named with `--kubeconfig`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<String>,
    /// `$KUBECONFIG`, where it was set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubeconfig_list: Option<String>,
    /// The context through which the proxy was reached.
    pub context: String,
    /// The cluster that it is in.
    #[serde(default)]
    pub cluster: ClusterIdentity,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The pod's UID: another pod of the same name is none of this lease's.
    pub uid: String,
    /// How often the proxy's container had been restarted: a restart puts its levels back by itself.
    pub restart_count: u32,
    /// The admin endpoint's port.
    pub admin_port: u16,
    /// When it was taken.
    pub taken_at: Timestamp,
    /// When the levels are to be put back; `None` for an `--on` without `--for`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Every logger's level before.
    pub levels: Levels,
    /// The loggers that were set.
    pub set: BTreeSet<String>,
    /// Of `levels`, those that are the ones the proxy was started with: it was at debug or trace without that.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub assumed: BTreeSet<String>,
}

impl DebugLease {
    /// `namespace/pod`.
    #[must_use]
    pub fn proxy(&self) -> String {
        format!("{}/{}", self.namespace, self.pod)
    }

    /// Whether its time is over.
    #[must_use]
    pub fn has_run_out(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn levels(pairs: &[(&str, &str)]) -> LoggerLevels {
        LoggerLevels(pairs.iter().map(|(name, level)| ((*name).into(), (*level).into())).collect())
    }

    fn owned(pairs: &[(&str, &str)]) -> Levels {
        pairs.iter().map(|(name, level)| ((*name).to_owned(), (*level).to_owned())).collect()
    }

    #[test]
    fn reads_istioctls_syntax() {
        let read = |text: &str| text.parse::<LevelSpec>().map(|spec| spec.to_string());
        assert_eq!(read("debug"), Ok("debug".to_owned()));
        assert_eq!(read("pool:trace, connection:debug"), Ok("connection:debug,pool:trace".to_owned()));
        assert_eq!(read("pool:trace,warn"), Ok("warning,pool:trace".to_owned()));
        assert_eq!(read(""), Err(LevelSpecError::Empty));
        assert_eq!(read("pool:"), Err(LevelSpecError::Empty));
        assert_eq!(read("none"), Err(LevelSpecError::Level("none".to_owned())));
        assert_eq!(read("pool=debug"), Err(LevelSpecError::Level("pool=debug".to_owned())));
        assert_eq!(read("a b:debug"), Err(LevelSpecError::Logger("a b".to_owned())));
        assert_eq!(read("pool:debug,pool:info"), Err(LevelSpecError::Twice("\"pool\"".to_owned())));
        assert_eq!(read("info,debug"), Err(LevelSpecError::Twice("every logger".to_owned())));
    }

    #[test]
    fn leaves_out_what_an_envoy_does_not_have() {
        let present = levels(&[("admin", "warning"), ("connection", "warning"), ("pool", "info")]);
        let spec = LevelSpec::connections();
        assert_eq!(spec.wanted(&present), owned(&[("connection", "debug"), ("pool", "debug")]));
        assert_eq!(spec.missing(&present), ["client", "conn_handler", "filter", "router", "upstream"]);
        let spec: LevelSpec = "info,pool:trace".parse().expect("a spec");
        assert_eq!(spec.wanted(&present), owned(&[("admin", "info"), ("connection", "info"), ("pool", "trace")]));
    }

    #[test]
    fn knows_what_a_proxy_starts_with() {
        let startup = |level: Option<&str>, components: Option<&str>| {
            let startup =
                StartupLogLevels { level: level.map(str::to_owned), components: components.map(str::to_owned) };
            LevelSpec::startup(&startup).to_string()
        };
        assert_eq!(startup(None, None), "warning,misc:error");
        assert_eq!(startup(Some("warning"), Some("misc:error")), "warning,misc:error");
        assert_eq!(startup(Some("info,misc:error,upstream:debug"), None), "info,misc:error,upstream:debug");
        assert_eq!(startup(Some("debug"), Some("")), "debug");
        assert_eq!(startup(None, Some("rbac:debug,bogus")), "warning,rbac:debug");
    }

    #[test]
    fn tells_what_the_start_does_not_explain() {
        let asked = StartupLogLevels { level: Some("warning".to_owned()), components: Some("pool:debug".to_owned()) };
        let start = StartLevels::new(Some(&asked), &StartupLogLevels::default());
        assert_eq!(start.source, StartSource::Proxy);
        let present = levels(&[("admin", "info"), ("client", "debug"), ("misc", "error"), ("pool", "debug")]);
        let found: Vec<_> = start.unexplained(&present).into_iter().map(|d| (d.logger, d.wanted)).collect();
        assert_eq!(found, [("client".to_owned(), "warning".to_owned())]);
        // A logger that was started at debug and is at trace is somebody's doing as well.
        assert_eq!(start.unexplained(&levels(&[("pool", "trace")])).len(), 1);
        let pod = StartupLogLevels { level: Some("debug".to_owned()), components: None };
        assert_eq!(StartLevels::new(None, &pod).source, StartSource::Pod);
        assert_eq!(StartLevels::new(None, &pod).unexplained(&present), []);
        assert_eq!(StartLevels::new(None, &StartupLogLevels::default()).source, StartSource::Default);
    }

    #[test]
    fn finds_what_differs() {
        let present = levels(&[("connection", "debug"), ("pool", "warning")]);
        let wanted = owned(&[("connection", "warning"), ("gone", "info"), ("pool", "warning")]);
        let found: Vec<_> = differences(&present, &wanted).into_iter().map(|d| (d.logger, d.level)).collect();
        assert_eq!(found, [("connection".to_owned(), "debug".to_owned())]);
    }

    proptest! {
        #[test]
        fn is_total(text: String) {
            if let Ok(spec) = text.parse::<LevelSpec>() {
                prop_assert_eq!(spec.to_string().parse::<LevelSpec>(), Ok(spec));
            }
        }
    }
}
