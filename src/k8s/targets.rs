//! What a target on the command line means.

use std::fmt;
use std::str::FromStr;

/// Kinds of workloads that stand for their pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkloadKind {
    /// `deploy/NAME`.
    Deployment,
    /// `sts/NAME`.
    StatefulSet,
    /// `ds/NAME`.
    DaemonSet,
    /// `rs/NAME`.
    ReplicaSet,
    /// `job/NAME`.
    Job,
    /// `svc/NAME`.
    Service,
    /// `gateway/NAME`, of the Gateway API.
    Gateway,
}

impl WorkloadKind {
    /// All of them, the likeliest first.
    pub(super) const ALL: [Self; 7] = [
        Self::Deployment,
        Self::StatefulSet,
        Self::DaemonSet,
        Self::Service,
        Self::Job,
        Self::ReplicaSet,
        Self::Gateway,
    ];

    /// kubectl's short name.
    pub(super) fn short(self) -> &'static str {
        match self {
            Self::Deployment => "deploy",
            Self::StatefulSet => "sts",
            Self::DaemonSet => "ds",
            Self::ReplicaSet => "rs",
            Self::Job => "job",
            Self::Service => "svc",
            Self::Gateway => "gateway",
        }
    }

    /// The API path up to the resource, and the resource's name; `None` for a Gateway, whose pods carry its name as
    /// a label.
    pub(super) fn resource(self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Self::Deployment => ("/apis/apps/v1", "deployments"),
            Self::StatefulSet => ("/apis/apps/v1", "statefulsets"),
            Self::DaemonSet => ("/apis/apps/v1", "daemonsets"),
            Self::ReplicaSet => ("/apis/apps/v1", "replicasets"),
            Self::Job => ("/apis/batch/v1", "jobs"),
            Self::Service => ("/api/v1", "services"),
            Self::Gateway => return None,
        })
    }
}

impl fmt::Display for WorkloadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deployment => "deployment",
            Self::StatefulSet => "statefulset",
            Self::DaemonSet => "daemonset",
            Self::ReplicaSet => "replicaset",
            Self::Job => "job",
            Self::Service => "service",
            Self::Gateway => "gateway",
        })
    }
}

/// A pod, or a workload that stands for all of its pods. The name may carry istioctl's `.NAMESPACE`; since names may
/// have dots of their own, the whole name is tried first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `None` for a pod.
    pub kind: Option<WorkloadKind>,
    /// As given.
    pub name: String,
}

/// Why a target cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// No such kind.
    #[error("{0:?} is no kind of target (pod, deploy, sts, ds, rs, job, svc or gateway)")]
    Kind(String),
    /// No such name.
    #[error("{0:?} is no name of a pod or workload")]
    Name(String),
}

impl Target {
    /// The name and the namespace that istioctl's `NAME.NAMESPACE` means.
    #[must_use]
    pub fn split_namespace(&self) -> Option<(&str, &str)> {
        self.name.rsplit_once('.').filter(|(name, namespace)| !name.is_empty() && !namespace.is_empty())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Some(kind) => write!(f, "{kind}/{}", self.name),
            None => write!(f, "pod/{}", self.name),
        }
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, name) = match text.split_once('/') {
            None => (None, text),
            Some((kind, name)) => {
                // kubectl accepts a group behind the kind: `deployments.apps/web`.
                let word = kind.split('.').next().unwrap_or_default().to_ascii_lowercase();
                let kind = match &*word {
                    "pod" | "pods" | "po" => None,
                    "deploy" | "deployment" | "deployments" => Some(WorkloadKind::Deployment),
                    "sts" | "statefulset" | "statefulsets" => Some(WorkloadKind::StatefulSet),
                    "ds" | "daemonset" | "daemonsets" => Some(WorkloadKind::DaemonSet),
                    "rs" | "replicaset" | "replicasets" => Some(WorkloadKind::ReplicaSet),
                    "job" | "jobs" => Some(WorkloadKind::Job),
                    "svc" | "service" | "services" => Some(WorkloadKind::Service),
                    "gateway" | "gateways" | "gtw" => Some(WorkloadKind::Gateway),
                    _ => return Err(TargetError::Kind(kind.to_owned())),
                };
                (kind, name)
            }
        };
        // What Kubernetes allows in names (RFC 1123), so that a name can never reach into another API path.
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
        if name.is_empty() || !name.chars().all(allowed) || name.starts_with('.') {
            return Err(TargetError::Name(name.to_owned()));
        }
        Ok(Self { kind, name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_targets() {
        let read = |text: &str| text.parse::<Target>().map(|target| target.to_string());
        assert_eq!(read("web-1"), Ok("pod/web-1".to_owned()));
        assert_eq!(read("po/web-1.shop"), Ok("pod/web-1.shop".to_owned()));
        assert_eq!(read("deployments.apps/web"), Ok("deployment/web".to_owned()));
        assert_eq!(read("gateway/waypoint"), Ok("gateway/waypoint".to_owned()));
        assert_eq!(read("cm/x"), Err(TargetError::Kind("cm".to_owned())));
        for name in ["", "a/b", "../x", "pod/", "A", "a?b", "pod/a/b"] {
            assert!(read(name).is_err(), "{name}");
        }
        let target: Target = "web.7.shop".parse().expect("a target");
        assert_eq!(target.split_namespace(), Some(("web.7", "shop")));
    }
}
