//! From a Service to a pod and a port that answer for it.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::client::{ApiError, Connection};
use super::pods::encode;

#[derive(Deserialize)]
struct Service {
    spec: ServiceSpec,
}

#[derive(Deserialize)]
struct ServiceSpec {
    #[serde(default)]
    selector: BTreeMap<String, String>,
    #[serde(default)]
    ports: Vec<ServicePort>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ServicePort {
    port: u16,
    #[serde(default)]
    name: String,
    target_port: Option<TargetPort>,
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum TargetPort {
    Number(u16),
    Name(String),
}

#[derive(Deserialize)]
struct Pods {
    items: Vec<Pod>,
}

#[derive(Deserialize)]
struct Pod {
    metadata: Metadata,
    spec: PodSpec,
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
}

#[derive(Deserialize)]
struct PodSpec {
    containers: Vec<Container>,
}

#[derive(Deserialize)]
struct Container {
    #[serde(default)]
    ports: Vec<ContainerPort>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContainerPort {
    container_port: u16,
    #[serde(default)]
    name: String,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    phase: String,
}

impl Connection {
    /// A running pod behind a Service, and the pod's port for the Service's (a number or a name; the only one, if not
    /// given), as `kubectl port-forward svc/…` chooses them.
    pub async fn service_backend(
        &self,
        namespace: &str,
        name: &str,
        port: Option<&str>,
    ) -> Result<(String, u16), ApiError> {
        let path = format!("/api/v1/namespaces/{}/services/{}", encode(namespace), encode(name));
        let service: Service = self.get(&path).await?;
        let known = service.spec.ports.iter().map(|port| port.port.to_string()).collect::<Vec<_>>().join(", ");
        let chosen = match port {
            Some(port) => service.spec.ports.iter().find(|own| own.name == port || own.port.to_string() == port),
            None if service.spec.ports.len() == 1 => service.spec.ports.first(),
            None => None,
        };
        let Some(chosen) = chosen else {
            let which = port.map_or_else(|| "several ports".to_owned(), |port| format!("no port {port:?}"));
            return Err(ApiError::NotFound(format!("service {namespace}/{name} has {which}; it has: {known}")));
        };
        let selector: Vec<String> = service.spec.selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
        if selector.is_empty() {
            return Err(ApiError::NotFound(format!("service {namespace}/{name} selects no pods")));
        }
        let path = format!(
            "/api/v1/namespaces/{}/pods?limit=50&labelSelector={}",
            encode(namespace),
            encode(&selector.join(","))
        );
        let pods: Pods = self.get(&path).await?;
        let Some(pod) = pods.items.iter().find(|pod| pod.status.phase == "Running") else {
            return Err(ApiError::NotFound(format!("no pod of service {namespace}/{name} is running")));
        };
        let port = match &chosen.target_port {
            None => Some(chosen.port),
            Some(TargetPort::Number(number)) => Some(*number),
            Some(TargetPort::Name(name)) => {
                let ports = pod.spec.containers.iter().flat_map(|container| &container.ports);
                ports.into_iter().find(|port| port.name == *name).map(|port| port.container_port)
            }
        };
        let port = port.ok_or_else(|| {
            ApiError::NotFound(format!("pod {namespace}/{} has no port of the service's name", pod.metadata.name))
        })?;
        Ok((pod.metadata.name.clone(), port))
    }
}
