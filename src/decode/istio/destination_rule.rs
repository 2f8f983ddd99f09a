//! DestinationRules. Both of protobuf's spellings of a field's name count, as they do for Istio.

use std::time::Duration;

use serde::Deserialize;

use super::duration::duration;
use super::meta::RawObject;
use crate::model::istio::{ConnectionPool, DestinationRule, Labels, ObjectMeta, PortPolicy, Subset, TrafficPolicy};

/// A `connectionPool`.
#[derive(Deserialize)]
pub(super) struct RawPool {
    tcp: Option<RawTcp>,
}

#[derive(Deserialize)]
struct RawTcp {
    #[serde(default, rename = "connectTimeout", deserialize_with = "duration")]
    connect_timeout: Option<Duration>,
    #[serde(default, rename = "connect_timeout", deserialize_with = "duration")]
    by_proto_name: Option<Duration>,
}

impl From<RawPool> for ConnectionPool {
    fn from(raw: RawPool) -> Self {
        let tcp = raw.tcp;
        Self { connect_timeout: tcp.and_then(|tcp| tcp.connect_timeout.or(tcp.by_proto_name)) }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPolicy {
    #[serde(alias = "connection_pool")]
    connection_pool: Option<RawPool>,
    #[serde(alias = "port_level_settings")]
    port_level_settings: Option<Vec<RawPortPolicy>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawPortPolicy {
    pub(super) port: Option<RawPortSelector>,
    #[serde(alias = "connection_pool")]
    pub(super) connection_pool: Option<RawPool>,
}

#[derive(Deserialize)]
pub(super) struct RawPortSelector {
    pub(super) number: Option<u16>,
}

impl From<RawPolicy> for TrafficPolicy {
    fn from(raw: RawPolicy) -> Self {
        let entries = raw.port_level_settings.into_iter().flatten();
        Self {
            connection_pool: raw.connection_pool.map(Into::into),
            port_level: entries
                .map(|entry| PortPolicy {
                    port: entry.port.and_then(|port| port.number).unwrap_or_default(),
                    connection_pool: entry.connection_pool.map(Into::into),
                })
                .collect(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMatchLabels {
    #[serde(alias = "match_labels")]
    match_labels: Option<Labels>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawSubset {
    #[serde(default)]
    name: String,
    #[serde(alias = "traffic_policy")]
    traffic_policy: Option<RawPolicy>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRule {
    #[serde(default)]
    host: String,
    #[serde(alias = "export_to")]
    export_to: Option<Vec<String>>,
    #[serde(alias = "workload_selector")]
    workload_selector: Option<RawMatchLabels>,
    #[serde(alias = "traffic_policy")]
    traffic_policy: Option<RawPolicy>,
    subsets: Option<Vec<RawSubset>>,
}

pub(super) fn destination_rule(raw: &RawObject<'_>, meta: ObjectMeta) -> Result<DestinationRule, String> {
    let spec: RawRule = raw.spec()?;
    Ok(DestinationRule {
        meta,
        source: raw.source(),
        host: spec.host,
        export_to: spec.export_to.unwrap_or_default(),
        workload_selector: spec.workload_selector.map(|selector| selector.match_labels.unwrap_or_default()),
        traffic_policy: spec.traffic_policy.map(Into::into),
        subsets: spec
            .subsets
            .into_iter()
            .flatten()
            .map(|subset| Subset { name: subset.name, traffic_policy: subset.traffic_policy.map(Into::into) })
            .collect(),
        made_of: None,
    })
}
