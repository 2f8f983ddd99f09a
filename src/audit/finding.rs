//! What rules say: what is wrong, with what, and what is to be done about it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Filter;
use super::recommend::{Reach, Recommendation};
use super::row::Row;
use crate::attribute::Dropped;
use crate::model::{ClusterSet, EnvoyCluster, ObjectRef, Origin, OriginKind, ProxyId, Scope, format_duration};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Likely to hurt.
    Warning,
    /// Hurts.
    Error,
}

impl Severity {
    /// The one of a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Error, Self::Warning, Self::Info].into_iter().find(|severity| severity.as_str() == word)
    }

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Something that is wrong.
#[derive(Debug, Clone)]
pub struct Finding {
    /// The rule that found it.
    pub rule: &'static RuleInfo,
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub subject: Subject,
    /// What is wrong, in a sentence.
    pub message: String,
    /// What is to be done.
    pub action: Action,
}

/// What a finding is about. Whoever shows findings has a place for each.
#[derive(Debug, Clone)]
pub enum Subject {
    /// A cluster's value, on some or all of the proxies that hold it.
    Row {
        /// The value.
        row: Arc<Row>,
        /// The proxies: positions in the snapshot's list.
        proxies: Arc<ClusterSet>,
    },
    /// A cluster of some proxies, whatever value it has.
    Cluster {
        /// Its whole name.
        cluster: Arc<str>,
        /// Its timeout; `None` where the field is absent.
        timeout: Option<Duration>,
        /// The proxies: positions in the snapshot's list.
        proxies: Arc<ClusterSet>,
    },
    /// Proxies as a whole.
    Proxies {
        /// Which: positions in the snapshot's list.
        proxies: Arc<ClusterSet>,
        /// The mesh's value that they hold, where it is about that.
        held: Option<Duration>,
    },
    /// The mesh configuration in an object, and the proxies that its control plane configures.
    MeshConfig {
        /// The ConfigMap.
        map: ObjectRef,
        /// Which of its keys.
        key: MeshKey,
        /// The kubeconfig context, when several are audited.
        context: String,
        /// The proxies: positions in the snapshot's list.
        proxies: Arc<ClusterSet>,
    },
}

/// A key of the mesh configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MeshKey {
    /// `connectTimeout` at its top level.
    ConnectTimeout,
    /// `defaultConfig.connectTimeout`.
    DefaultConfig,
}

impl MeshKey {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConnectTimeout => "connectTimeout",
            Self::DefaultConfig => "defaultConfig.connectTimeout",
        }
    }
}

/// What is to be done about a finding. `fix` makes its plans of these, and the remedy's text is derived from it.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Give the cluster another timeout.
    SetTimeout {
        /// Where the value comes from.
        at: Origin,
        /// How far the change is to reach.
        reach: Reach,
        /// The mesh's value, where removing the object's own would do as well.
        or_remove: Option<Duration>,
        /// The value to set.
        to: Arc<Recommendation>,
    },
    /// Repeat a timeout in the block that replaced the one it stood in.
    Restore {
        /// What was lost, and to what.
        dropped: Dropped,
    },
    /// Move a key of the mesh configuration to where it has an effect.
    MoveKey {
        /// The ConfigMap.
        map: ObjectRef,
        /// The value it has.
        value: Duration,
    },
    /// Make two sources of the mesh configuration agree.
    Reconcile {
        /// The ConfigMap that wins.
        winner: ObjectRef,
        /// What the other one says.
        meant: Duration,
    },
    /// See that a proxy takes what its control plane gives: no change of a timeout helps before.
    Deliver(String),
    /// Put the levels of loggers back.
    RestoreLogLevels,
    /// Give a route more time, or the host a connect timeout that fits into it.
    FitRoute {
        /// What the route leaves.
        limit: Duration,
    },
    /// Read the cause from the proxies' logs.
    Diagnose,
    /// Look into something that no change of a timeout mends.
    Inspect(String),
}

impl Action {
    /// What to do, in a sentence.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::SetTimeout { at, reach, or_remove, to } => set_timeout(at, *reach, *or_remove, to),
            Self::Restore { dropped } => {
                let by = &dropped.by.kind;
                format!(
                    "repeat connectionPool.tcp.connectTimeout: {} in {} of {}",
                    format_duration(dropped.value),
                    by.part(),
                    by.object().map(ObjectRef::to_string).unwrap_or_default()
                )
            }
            Self::MoveKey { map, value } => format!(
                "move it to the top level of the mesh configuration (meshConfig.connectTimeout: {}) and remove it from \
                 defaultConfig in {map}",
                format_duration(*value)
            ),
            Self::Reconcile { winner, meant } => {
                format!("remove connectTimeout from {winner}, or set {} there", format_duration(*meant))
            }
            Self::RestoreLogLevels => "put every logger back with `debug-log --off`".to_owned(),
            Self::Diagnose => {
                "a longer timeout would not help; `diagnose` reads the cause from the proxy's log".to_owned()
            }
            Self::FitRoute { limit } => format!(
                "give the route more time than its attempts need together, or this host a connect timeout below {}",
                format_duration(*limit)
            ),
            Self::Deliver(what) | Self::Inspect(what) => what.clone(),
        }
    }
}

/// What to change to give a cluster another timeout, by where its value comes from.
fn set_timeout(at: &Origin, reach: Reach, or_remove: Option<Duration>, to: &Recommendation) -> String {
    let value = format_duration(to.value);
    let removing = match or_remove {
        Some(mesh) => format!(", or remove it there: the mesh's {} then holds", format_duration(mesh)),
        None => String::new(),
    };
    match (&at.kind, reach) {
        (OriginKind::MeshConfig { .. } | OriginKind::MeshDefault, Reach::Source) => {
            format!("set meshConfig.connectTimeout to {value}; `fix` prints how for this installation")
        }
        (OriginKind::MeshDefaultTrafficPolicy { .. }, Reach::Source) => {
            format!("set meshConfig.defaultTrafficPolicy.connectionPool.tcp.connectTimeout to {value}")
        }
        (kind, Reach::Host) if kind.is_mesh_wide() => {
            format!("give this host {value} with a DestinationRule; `fix` prints it")
        }
        (OriginKind::DestinationRule { rule, .. }, _) => {
            format!("set connectionPool.tcp.connectTimeout to {value} in DestinationRule {rule}{removing}")
        }
        (OriginKind::Sidecar { sidecar, .. }, _) => {
            format!("set the inbound connection pool's connectTimeout to {value} in Sidecar {sidecar}{removing}")
        }
        (OriginKind::EnvoyFilter { filter, .. }, _) => {
            format!("set connect_timeout to {value} in EnvoyFilter {filter}{removing}")
        }
        (OriginKind::Stale, _) => {
            "find out why the proxy no longer takes what its control plane gives (MA006)".to_owned()
        }
        _ => format!(
            "find what sets it (DestinationRule, Sidecar, EnvoyFilter or mesh configuration), and give it {value}"
        ),
    }
}

impl Subject {
    /// The cluster's whole name; empty where it is not about a cluster.
    #[must_use]
    pub fn cluster(&self) -> &str {
        match self {
            Self::Row { row, .. } => &row.name,
            Self::Cluster { cluster, .. } => cluster,
            Self::Proxies { .. } | Self::MeshConfig { .. } => "",
        }
    }

    /// The row, where it is about one.
    #[must_use]
    pub fn row(&self) -> Option<&Arc<Row>> {
        match self {
            Self::Row { row, .. } => Some(row),
            Self::Cluster { .. } | Self::Proxies { .. } | Self::MeshConfig { .. } => None,
        }
    }

    /// The proxies: positions in the snapshot's list.
    #[must_use]
    pub fn proxies(&self) -> &Arc<ClusterSet> {
        match self {
            Self::Row { proxies, .. }
            | Self::Cluster { proxies, .. }
            | Self::Proxies { proxies, .. }
            | Self::MeshConfig { proxies, .. } => proxies,
        }
    }

    /// The timeout that it is about; `None` where the field is absent or it is about none.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        match self {
            Self::Row { row, .. } => row.connect_timeout,
            Self::Cluster { timeout, .. } => *timeout,
            Self::Proxies { held, .. } => *held,
            Self::MeshConfig { .. } => None,
        }
    }

    /// Whether a filter keeps it.
    pub(super) fn is_kept(&self, filter: &Filter) -> bool {
        match self {
            Self::Row { row, .. } => filter.keeps(&row.name, row.effective_timeout()),
            Self::Cluster { cluster, timeout, .. } => {
                filter.keeps(cluster, timeout.unwrap_or(EnvoyCluster::DEFAULT_CONNECT_TIMEOUT))
            }
            Self::Proxies { .. } | Self::MeshConfig { .. } => true,
        }
    }

    /// Whether another, of the same mesh at another time, is about the same thing; on which proxies is not compared.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Row { .. } | Self::Cluster { .. }, Self::Row { .. } | Self::Cluster { .. }) => {
                self.cluster() == other.cluster()
            }
            (Self::Proxies { .. }, Self::Proxies { .. }) => true,
            (Self::MeshConfig { map, key, context, .. }, Self::MeshConfig { map: other, key: k, context: c, .. }) => {
                (map, key, context) == (other, k, c)
            }
            _ => false,
        }
    }
}

impl Finding {
    /// A finding about a row, on all proxies that hold it.
    #[must_use]
    pub fn of_row(rule: &'static RuleInfo, row: &Arc<Row>, message: String, action: Action) -> Self {
        let subject = Subject::Row { row: Arc::clone(row), proxies: Arc::clone(&row.proxies) };
        Self { rule, severity: rule.severity, subject, message, action }
    }

    /// The same with another severity.
    #[must_use]
    pub fn with_severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// The same, on some of the proxies.
    #[must_use]
    pub fn on(mut self, some: impl Into<Arc<ClusterSet>>) -> Self {
        match &mut self.subject {
            Subject::Row { proxies, .. }
            | Subject::Cluster { proxies, .. }
            | Subject::Proxies { proxies, .. }
            | Subject::MeshConfig { proxies, .. } => *proxies = some.into(),
        }
        self
    }

    /// The cluster's whole name; empty where it is not about a cluster.
    #[must_use]
    pub fn cluster(&self) -> &str {
        self.subject.cluster()
    }

    /// The proxies: positions in the snapshot's list.
    #[must_use]
    pub fn proxies(&self) -> &Arc<ClusterSet> {
        self.subject.proxies()
    }

    /// Where the value came from, where it is about one.
    #[must_use]
    pub fn origin(&self) -> Option<&Origin> {
        self.subject.row().map(|row| &row.origin)
    }

    /// What to do, in a sentence.
    #[must_use]
    pub fn remedy(&self) -> String {
        self.action.remedy()
    }

    /// The command that goes on from here, for what can be done by one; `proxy` is one of those concerned.
    #[must_use]
    pub fn command(&self, scope: &Scope, proxy: Option<&ProxyId>) -> Option<String> {
        let at = |scope: &Scope| match proxy {
            Some(proxy) => scope.in_context(&proxy.context).target(&proxy.name, &proxy.namespace),
            None => scope.clone(),
        };
        const NOTHING: [&str; 0] = [];
        match &self.action {
            Action::SetTimeout { at, reach: Reach::Host, .. } if at.kind.is_mesh_wide() => {
                Some(scope.command("fix", ["--host", super::host(self.cluster())]))
            }
            Action::SetTimeout { .. } | Action::Restore { .. } => Some(scope.command("fix", NOTHING)),
            Action::Deliver(_) => Some(scope.command("verify", NOTHING)),
            // Neither levels nor logs are in files.
            Action::RestoreLogLevels | Action::Diagnose if scope.is_offline() => None,
            Action::RestoreLogLevels => Some(at(scope).command("debug-log", ["--off"])),
            Action::Diagnose => Some(at(scope).command("diagnose", NOTHING)),
            Action::MoveKey { .. } | Action::Reconcile { .. } | Action::FitRoute { .. } | Action::Inspect(_) => None,
        }
    }

    /// Whether another, of the same mesh at another time, says the same of the same thing.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.rule == other.rule && self.subject.is_same(&other.subject)
    }

    /// Whether it is something that was seen to happen, and not only what could.
    #[must_use]
    pub fn is_observed(&self) -> bool {
        self.rule.observed
    }
}

/// What is fixed about a rule.
#[derive(Debug, PartialEq, Eq)]
pub struct RuleInfo {
    /// Never reused.
    pub code: &'static str,
    /// In kebab case.
    pub name: &'static str,
    /// Unless the rule says otherwise for a row.
    pub severity: Severity,
    /// Whether it tells of what was seen to fail, and not only of what could.
    pub observed: bool,
    /// The page that `explain` prints.
    pub page: &'static str,
}
