//! Services, ServiceEntries, and the Gateway API's policies for them.

use serde::Deserialize;
use serde_json::Value;

use super::envoy_filter::RawTargetRef;
use super::meta::{RawLabels, RawObject};
use crate::model::istio::{BackendPolicy, BackendPolicyKind, Labels, ObjectMeta, Service, ServiceEntry, ServicePort};

#[derive(Deserialize)]
struct RawService {
    ports: Option<Vec<RawServicePort>>,
    selector: Option<Labels>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawServicePort {
    #[serde(default)]
    name: String,
    port: u16,
    target_port: Option<Value>,
}

/// The annotation by which a Service says who sees it (`pilot/pkg/serviceregistry/kube/conversion.go`).
const EXPORT_TO: &str = "networking.istio.io/exportTo";

pub(super) fn service(raw: &RawObject<'_>, meta: ObjectMeta) -> Result<Service, String> {
    let spec: RawService = raw.spec()?;
    let ports = spec.ports.into_iter().flatten().map(|port| {
        let (target, target_name) = match port.target_port {
            // Absent, or 0, means the same port.
            None => (Some(port.port), String::new()),
            Some(Value::Number(number)) => match number.as_u64().and_then(|number| u16::try_from(number).ok()) {
                Some(0) => (Some(port.port), String::new()),
                number => (number, String::new()),
            },
            Some(Value::String(name)) => match name.parse() {
                Ok(number) => (Some(number), String::new()),
                Err(_) => (None, name),
            },
            Some(_) => (None, String::new()),
        };
        ServicePort { port: port.port, name: port.name, target, target_name }
    });
    let export_to = raw.metadata.annotation(EXPORT_TO).unwrap_or_default();
    Ok(Service {
        ports: ports.collect(),
        selector: spec.selector.unwrap_or_default(),
        export_to: export_to.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        meta,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawServiceEntry {
    hosts: Option<Vec<String>>,
    ports: Option<Vec<RawEntryPort>>,
    #[serde(alias = "workload_selector")]
    workload_selector: Option<RawLabels>,
    #[serde(alias = "export_to")]
    export_to: Option<Vec<String>>,
    location: Option<Value>,
    resolution: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawEntryPort {
    #[serde(default)]
    name: String,
    number: Option<u16>,
    #[serde(alias = "target_port")]
    target_port: Option<u16>,
}

pub(super) fn service_entry(raw: &RawObject<'_>, meta: ObjectMeta) -> Result<ServiceEntry, String> {
    let spec: RawServiceEntry = raw.spec()?;
    let ports = spec.ports.into_iter().flatten().map(|port| {
        let number = port.number.unwrap_or_default();
        let target = port.target_port.filter(|&target| target != 0).unwrap_or(number);
        ServicePort { port: number, name: port.name, target: Some(target), target_name: String::new() }
    });
    Ok(ServiceEntry {
        meta,
        revision: raw.metadata.revision(),
        hosts: spec.hosts.unwrap_or_default(),
        ports: ports.collect(),
        workload_selector: spec.workload_selector.map(|selector| selector.labels.unwrap_or_default()),
        export_to: spec.export_to.unwrap_or_default(),
        // Both may stand as numbers, as protobuf's enums may.
        internal: spec.location.is_some_and(|location| location == "MESH_INTERNAL" || location == 1),
        dynamic_dns: spec.resolution.as_ref().and_then(Value::as_str) == Some("DYNAMIC_DNS"),
    })
}

/// The annotation that takes a policy out of Istio's hands (`pilot/pkg/config/kube/gateway/backend_policies.go`).
const IGNORE_POLICY: &str = "istio.io/ignore-policy-attachment";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawBackendPolicy {
    target_refs: Option<Vec<RawTargetRef>>,
}

pub(super) fn backend_policy(
    kind: BackendPolicyKind,
    raw: &RawObject<'_>,
    meta: ObjectMeta,
) -> Result<BackendPolicy, String> {
    let spec: RawBackendPolicy = raw.spec()?;
    Ok(BackendPolicy {
        kind,
        meta,
        revision: raw.metadata.revision(),
        ignored: raw.metadata.annotation(IGNORE_POLICY).is_some_and(|value| value.eq_ignore_ascii_case("true")),
        targets: spec.target_refs.into_iter().flatten().map(Into::into).collect(),
    })
}
