//! From a Service to a pod and a port that answer for it.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::client::Connection;
use super::encode::encode;
use super::error::ApiError;

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
        let missing = |what: &str| ApiError::missing("service", name, format!("service {namespace}/{name}: {what}"));
        let service: Service = self.get(&path).await?;
        let known = service.spec.ports.iter().map(|port| port.port.to_string()).collect::<Vec<_>>().join(", ");
        let chosen = match port {
            Some(port) => service.spec.ports.iter().find(|own| own.name == port || own.port.to_string() == port),
            None if service.spec.ports.len() == 1 => service.spec.ports.first(),
            None => None,
        };
        let Some(chosen) = chosen else {
            let which = port.map_or_else(|| "several ports".to_owned(), |port| format!("no port {port:?}"));
            return Err(missing(&format!("it has {which}; it has: {known}")));
        };
        let selector: Vec<String> = service.spec.selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
        if selector.is_empty() {
            return Err(missing("it selects no pods"));
        }
        let pods = self.list_pods(Some(namespace), Some(&selector.join(",")), None).await?;
        let Some(pod) = pods.iter().find(|pod| pod.is_running()) else {
            return Err(missing("no pod of it is running"));
        };
        let port = match &chosen.target_port {
            None => Some(chosen.port),
            Some(TargetPort::Number(number)) => Some(*number),
            Some(TargetPort::Name(name)) => pod.named_port(name),
        };
        let port = port.ok_or_else(|| missing(&format!("its pod {} has no port of that name", pod.name().1)))?;
        Ok((pod.name().1.to_owned(), port))
    }
}
