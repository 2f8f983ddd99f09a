//! Sidecars.

use serde::Deserialize;

use super::destination_rule::{RawPool, RawPortPolicy};
use super::meta::{RawLabels, RawObject};
use crate::model::istio::{ObjectMeta, Sidecar, SidecarIngress};

#[derive(Deserialize)]
struct RawEgress {
    hosts: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawSidecar {
    #[serde(alias = "workload_selector")]
    workload_selector: Option<RawLabels>,
    #[serde(alias = "inbound_connection_pool")]
    inbound_connection_pool: Option<RawPool>,
    egress: Option<Vec<RawEgress>>,
    ingress: Option<Vec<RawPortPolicy>>,
}

pub(super) fn sidecar(raw: &RawObject<'_>, meta: ObjectMeta) -> Result<Sidecar, String> {
    let spec: RawSidecar = raw.spec()?;
    Ok(Sidecar {
        meta,
        source: raw.source(),
        workload_selector: spec.workload_selector.map(|selector| selector.labels.unwrap_or_default()),
        inbound_connection_pool: spec.inbound_connection_pool.map(Into::into),
        egress_hosts: spec
            .egress
            .filter(|egress| !egress.is_empty())
            .map(|egress| egress.into_iter().filter_map(|listener| listener.hosts).flatten().collect()),
        ingress: spec
            .ingress
            .into_iter()
            .flatten()
            .map(|listener| SidecarIngress {
                port: listener.port.and_then(|port| port.number).unwrap_or_default(),
                connection_pool: listener.connection_pool.map(Into::into),
            })
            .collect(),
    })
}
