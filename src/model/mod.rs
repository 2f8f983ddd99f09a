//! Plain types and where their values came from. Everything that touches the outside world ends in a
//! [`MeshSnapshot`]; everything after it is a pure function of one.

mod app_log;
mod change;
mod cluster;
mod debug_log;
pub mod delivery;
mod duration;
pub mod evidence;
mod hostile;
pub mod istio;
mod log;
mod origin;
mod proxy;
mod scope;
mod selector;
mod snapshot;
pub mod sync;
mod workload;

pub use app_log::{AppRecord, Call, JsonRecord, Leaf, Leaves, LoggedAt, Severity};

pub use change::{ChangeRecord, ChangeStage, LoggerChange, Who};
pub use cluster::{ClusterKind, ClusterName, ClusterSource, Direction, EnvoyCluster, ServiceRef, TUNNELS};
pub use debug_log::{
    ClusterIdentity, DebugLease, LOG_LEVELS, LevelDifference, LevelSpec, LevelSpecError, Levels, NamespaceUid,
    StartLevels, StartSource, differences,
};
pub use duration::{
    CONNECT_TIMEOUTS, DurationError, LEAST_CONNECT_TIMEOUT, USUAL_CONNECT_TIMEOUT, format_duration,
    longer_connect_timeout, parse_duration, parse_span, syn_retransmissions,
};
pub use hostile::is_hostile;
pub use istio as objects;
pub use log::{AccessLine, ClusterTimeout, ClusterTimeouts, LogContent, LogRecord, ProxyEvent, ProxyLine};
pub use origin::{MeshSource, ObjectRef, Origin, OriginKind, RulePart, SidecarPart};
pub use proxy::{LeaseTimes, LoggerLevels, Proxy, ProxyId, ProxyRole, StartupLogLevels};
pub use scope::{ClusterTool, Flag, Scope, quote};
pub use selector::{LabelSelector, Need, SelectorError};
pub use snapshot::{
    BySet, ClusterSet, FailureCause, MeshSnapshot, ProxySnapshot, SkippedProxy, SnapshotBuilder, SnapshotDocument,
    UnreadProxy,
};
pub use workload::workload_of_pod;
