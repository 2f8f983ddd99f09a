//! The Kubernetes API: clients, what a selection means, pods, and ports in pods.

mod client;
mod deadline;
mod encode;
mod error;
mod groups;
mod kubeconfig;
mod log_sources;
mod logs;
mod names;
mod no_proxy;
mod outside;
mod pods;
mod port;
mod request;
mod retry;
mod secrets;
mod services;
mod standing;
mod targets;

pub use client::{ConnectOptions, Connection, connect, kubeconfig_contexts};
pub use deadline::{Deadline, TimedOut};
pub(crate) use encode::encode;
pub(crate) use error::innermost;
pub use error::{ApiError, NotFound};
pub use kubeconfig::{Overrides, Token};
pub use log_sources::{LogError, LogSource, log_sources, read_log};
pub use logs::{LogLine, LogOptions, LogStream};
pub use names::NamesOf;
pub(crate) use outside::{outside, outside_bytes};
pub use pods::{Found, PodSelection, select};
pub use port::{OpenError, PortErrors, PortStream, open_port};
pub use request::{ListQuery, Listed};
pub use retry::Retry;
pub(crate) use secrets::without_password;
pub use standing::{cluster_identity, is_cluster, pod_now};
pub use targets::{Target, TargetError, WorkloadKind};
