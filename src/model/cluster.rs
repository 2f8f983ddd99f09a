//! Envoy's clusters, and the names that Istio gives them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::duration::optional_duration;

/// Which way a service cluster's traffic goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// From the workload to a service.
    Outbound,
    /// From the proxy to its own workload.
    Inbound,
    /// A waypoint's cluster for a service's address.
    InboundVip,
}

impl Direction {
    /// The word that cluster names begin with.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Outbound => "outbound",
            Self::Inbound => "inbound",
            Self::InboundVip => "inbound-vip",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The parts of a service cluster's name: `outbound|443|v1|api.example.com`, or `outbound_.443_.v1_.api.example.com`
/// on gateways with AUTO_PASSTHROUGH (`pilot/pkg/model/context.go`, `BuildSubsetKey` and `BuildDNSSrvSubsetKey`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClusterName<'a> {
    /// Which way.
    pub direction: Direction,
    /// The service's port; for inbound clusters the workload's.
    pub port: u16,
    /// The subset, or what stands in its place (`http`, `tcp/v1` on a waypoint); empty for none.
    pub subset: &'a str,
    /// The service's host; empty for most inbound clusters.
    pub host: &'a str,
}

impl<'a> ClusterName<'a> {
    /// Reads a service cluster's name; `None` for every other one.
    #[must_use]
    pub fn parse(name: &'a str) -> Option<Self> {
        let (direction, rest) = if let Some(rest) = name.strip_prefix("outbound") {
            (Direction::Outbound, rest)
        } else if let Some(rest) = name.strip_prefix("inbound-vip") {
            (Direction::InboundVip, rest)
        } else {
            (Direction::Inbound, name.strip_prefix("inbound")?)
        };
        let (port, subset, host) = match rest.strip_prefix('|') {
            Some(rest) => {
                let (port, rest) = cut(rest)?;
                let (subset, host) = cut(rest)?;
                (port, subset, host)
            }
            None => {
                let (port, rest) = rest.strip_prefix("_.")?.split_once("_.")?;
                let (subset, host) = rest.split_once("_.")?;
                (port, subset, host)
            }
        };
        let port = port.parse().ok()?;
        Some(Self { direction, port, subset, host })
    }
}

/// What is before the next `|`, and what is behind it. It is a few bytes away, which takes `str::split_once` ten times
/// as long: an audit reads a large mesh's names a hundred thousand times.
fn cut(text: &str) -> Option<(&str, &str)> {
    let at = text.bytes().position(|byte| byte == b'|')?;
    Some((&text[..at], &text[at + 1..]))
}

/// What a cluster is for, which decides whether an audit judges it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ClusterKind {
    /// Of a service: Istio's whole precedence applies.
    Service,
    /// `PassthroughCluster` and its kin, and the tunnels of an ambient mesh: the mesh value, no DestinationRule.
    Passthrough,
    /// `BlackHoleCluster`: the mesh value, and nothing is ever dialled.
    BlackHole,
    /// Written into the bootstrap: not the mesh's to set, and unaffected by a change of it.
    Bootstrap,
    /// An internal listener's (`main_internal`, `encap`, …), or a socket of the pod's own (`sds-external`): nothing is
    /// dialled over the network.
    Internal,
    /// Sent by a control plane under a name that is not Istio's, by an EnvoyFilter for example.
    Other,
}

impl ClusterKind {
    /// Whether rules judge it: bootstrap and internal clusters are not the mesh's to set, and nothing is ever dialled
    /// through BlackHoleCluster.
    #[must_use]
    pub fn is_judged(self) -> bool {
        matches!(self, Self::Service | Self::Passthrough | Self::Other)
    }
}

/// Where in a dump a cluster stands.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ClusterSource {
    /// From the bootstrap (`static_clusters`).
    Static,
    /// From the control plane and in use (`dynamic_active_clusters`).
    #[default]
    Active,
    /// From the control plane, waiting for its endpoints (`dynamic_warming_clusters`).
    Warming,
}

/// A service that a cluster stands for, from `metadata.filter_metadata.istio.services`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ServiceRef {
    /// The service's host.
    #[serde(default)]
    pub host: Arc<str>,
    /// Its namespace.
    #[serde(default)]
    pub namespace: Arc<str>,
}

/// What an audit keeps of one of Envoy's clusters (`envoy/config/cluster/v3/cluster.proto`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnvoyCluster {
    /// The whole name.
    pub name: Arc<str>,
    /// The discovery type as Envoy writes it (`EDS`, `STRICT_DNS`, …), or an extension's name.
    pub discovery_type: Arc<str>,
    /// `connect_timeout`; `None` where the field is absent and Envoy's 5 s hold.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_duration")]
    #[schemars(with = "Option<String>")]
    pub connect_timeout: Option<Duration>,
    /// Where in the dump it stood.
    #[serde(default)]
    pub source: ClusterSource,
    /// `error_state.details`: the control plane's update was rejected, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Arc<str>>,
    /// `filter_metadata.istio.config`: the DestinationRule that matched, as `namespace/name`, whether or not it sets
    /// a timeout (`pilot/pkg/networking/util/util.go`, `AddConfigInfoMetadata`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_rule_hint: Option<Arc<str>>,
    /// The services it stands for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceRef>,
}

impl EnvoyCluster {
    /// What Envoy uses where `connect_timeout` is absent (`cluster.proto`).
    pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

    /// The timeout that is in force.
    #[must_use]
    pub fn effective_timeout(&self) -> Duration {
        self.connect_timeout.unwrap_or(Self::DEFAULT_CONNECT_TIMEOUT)
    }

    /// The parts of its name, if it is a service's.
    #[must_use]
    pub fn parts(&self) -> Option<ClusterName<'_>> {
        ClusterName::parse(&self.name)
    }

    /// What it is for.
    #[must_use]
    pub fn kind(&self) -> ClusterKind {
        match &*self.name {
            "BlackHoleCluster" => ClusterKind::BlackHole,
            "PassthroughCluster"
            | "InboundPassthroughCluster"
            | "InboundPassthroughClusterIpv4"
            | "InboundPassthroughClusterIpv6"
            | "AllowAnyDynamicDNSCluster" => ClusterKind::Passthrough,
            name if TUNNELS.contains(&name) => ClusterKind::Passthrough,
            "main_internal" | "encap" | "inner_connect_originate" => ClusterKind::Internal,
            "sds-external" if self.source != ClusterSource::Static => ClusterKind::Internal,
            name if ClusterName::parse(name).is_some() => ClusterKind::Service,
            name if self.source == ClusterSource::Static || BOOTSTRAP_CLUSTERS.contains(&name) => {
                ClusterKind::Bootstrap
            }
            _ => ClusterKind::Other,
        }
    }
}

/// Clusters that dial another proxy's HBONE port over TCP, with the mesh's value
/// (`pilot/pkg/networking/core/cluster_waypoint.go`).
pub const TUNNELS: [&str; 3] = ["connect_originate", "outer_connect_originate", "forward_inner_connect"];

/// The clusters of Istio's bootstrap (`tools/packaging/common/envoy_bootstrap.json`), for inputs that do not tell
/// static clusters from dynamic ones.
const BOOTSTRAP_CLUSTERS: [&str; 13] = [
    "agent",
    "datadog_agent",
    "envoy_accesslog_service",
    "envoy_metrics_service",
    "jaeger",
    "lightstep",
    "local_cluster",
    "opencensus",
    "prometheus_stats",
    "sds-files-grpc",
    "sds-grpc",
    "xds-grpc",
    "zipkin",
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_names() {
        let plain = ClusterName::parse("outbound|443||api.example.com");
        assert_eq!(
            plain,
            Some(ClusterName { direction: Direction::Outbound, port: 443, subset: "", host: "api.example.com" })
        );
        let dns = ClusterName::parse("outbound_.8080_.v1_.a.shop.svc.cluster.local");
        assert_eq!(
            dns,
            Some(ClusterName {
                direction: Direction::Outbound,
                port: 8080,
                subset: "v1",
                host: "a.shop.svc.cluster.local"
            })
        );
        let inbound = ClusterName::parse("inbound|8080||");
        assert_eq!(inbound, Some(ClusterName { direction: Direction::Inbound, port: 8080, subset: "", host: "" }));
        let waypoint = ClusterName::parse("inbound-vip|80|http/v1|a.shop.svc.cluster.local");
        assert_eq!(waypoint.map(|name| (name.direction, name.subset)), Some((Direction::InboundVip, "http/v1")));
        for name in [
            "BlackHoleCluster",
            "xds-grpc",
            "outbound|x||h",
            "outbound|70000||h",
            "outbound|443|",
            "",
            "|||",
            "inbound_.1",
        ] {
            assert_eq!(ClusterName::parse(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn is_total(name in ".{0,60}") {
            let _ = ClusterName::parse(&name);
        }

        #[test]
        fn round_trips(port: u16, subset in "[a-z0-9-]{0,8}", host in "[a-z0-9.*-]{0,20}") {
            let text = format!("outbound|{port}|{subset}|{host}");
            let name = ClusterName::parse(&text);
            prop_assert_eq!(name, Some(ClusterName { direction: Direction::Outbound, port, subset: &subset, host: &host }));
        }
    }
}
