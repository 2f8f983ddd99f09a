//! VirtualServices.

use std::time::Duration;

use serde::Deserialize;

use super::destination_rule::RawPortSelector;
use super::duration::duration;
use super::meta::RawObject;
use crate::model::istio::{HttpRoute, ObjectMeta, RouteDestination, VirtualService};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawVirtualService {
    hosts: Option<Vec<String>>,
    gateways: Option<Vec<String>>,
    export_to: Option<Vec<String>>,
    http: Option<Vec<RawHttpRoute>>,
}

#[derive(Deserialize)]
struct RawHttpRoute {
    #[serde(default)]
    name: String,
    #[serde(default, deserialize_with = "duration")]
    timeout: Option<Duration>,
    retries: Option<RawRetries>,
    delegate: Option<RawDelegate>,
    route: Option<Vec<RawRouteDestination>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRetries {
    attempts: Option<u32>,
    #[serde(default, deserialize_with = "duration")]
    per_try_timeout: Option<Duration>,
}

#[derive(Deserialize)]
struct RawDelegate {
    #[serde(default)]
    name: String,
    #[serde(default)]
    namespace: String,
}

#[derive(Deserialize)]
struct RawRouteDestination {
    destination: Option<RawDestination>,
}

#[derive(Deserialize)]
struct RawDestination {
    #[serde(default)]
    host: String,
    #[serde(default)]
    subset: String,
    port: Option<RawPortSelector>,
}

pub(super) fn virtual_service(raw: &RawObject<'_>, meta: ObjectMeta) -> Result<VirtualService, String> {
    let spec: RawVirtualService = raw.spec()?;
    let routes = spec.http.into_iter().flatten().enumerate().map(|(index, route)| HttpRoute {
        name: if route.name.is_empty() { format!("http[{index}]") } else { route.name },
        timeout: route.timeout.filter(|timeout| !timeout.is_zero()),
        per_try_timeout: route
            .retries
            .as_ref()
            .and_then(|retries| retries.per_try_timeout)
            .filter(|timeout| !timeout.is_zero()),
        attempts: route.retries.map(|retries| retries.attempts.unwrap_or(0)),
        delegate: route.delegate.map(|delegate| (delegate.namespace, delegate.name)),
        destinations: route
            .route
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.destination)
            .map(|destination| RouteDestination {
                host: destination.host,
                port: destination.port.and_then(|port| port.number).unwrap_or_default(),
                subset: destination.subset,
            })
            .collect(),
    });
    Ok(VirtualService {
        meta,
        hosts: spec.hosts.unwrap_or_default(),
        gateways: spec.gateways.unwrap_or_default(),
        export_to: spec.export_to.unwrap_or_default(),
        http: routes.collect(),
    })
}
