//! The Kubernetes API: clients, what a selection means, pods, and ports in pods.

mod client;
mod log_sources;
mod logs;
mod names;
mod no_proxy;
mod objects;
mod pods;
mod port;
mod services;
mod targets;

pub(crate) use client::innermost;
pub use client::{ApiError, ConnectOptions, Connection, connect, kubeconfig_contexts};
pub use log_sources::{LogError, LogSource, log_sources, read_log};
pub use logs::{LogLine, LogOptions, LogStream};
pub use names::NamesOf;
pub(crate) use pods::encode;
pub use pods::{Found, Pod, PodSelection, select};
pub use port::{OpenError, PortErrors, PortStream, open_port};
pub use targets::{Target, TargetError, WorkloadKind};
