//! istiod's own pods, and the webhooks that inject its proxies.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::objects::image_version;
use crate::model::objects::ControlPlane;
use crate::model::sync::Injector;

/// The container that istiod runs in (`manifests/charts/istio-control/istio-discovery/templates/deployment.yaml`).
const CONTAINER: &str = "discovery";

/// A pod with the label `app=istiod`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IstiodPod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The revision that it serves.
    pub revision: String,
    /// Istio's version, from its image; empty where that does not say.
    pub version: String,
    /// `SHARED_MESH_CONFIG` of its environment.
    pub shared_mesh_config: Option<String>,
    /// Whether it is Ready, and not being deleted.
    pub ready: bool,
}

#[derive(Deserialize)]
struct RawPod {
    metadata: RawMeta,
    #[serde(default)]
    spec: RawSpec,
    #[serde(default)]
    status: RawStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawMeta {
    name: String,
    namespace: String,
    labels: BTreeMap<String, String>,
    deletion_timestamp: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawSpec {
    containers: Vec<RawContainer>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawContainer {
    name: String,
    image: String,
    env: Vec<RawEnv>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawEnv {
    name: String,
    value: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawStatus {
    phase: String,
    conditions: Vec<RawCondition>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawCondition {
    r#type: String,
    status: String,
}

/// The istiod of a pod, given as JSON. One that has ended, evicted or completed, serves nobody, and is none.
#[must_use]
pub fn istiod_pod(json: &str) -> Option<IstiodPod> {
    serde_json::from_str::<RawPod>(json).ok()?.model()
}

impl RawPod {
    fn model(self) -> Option<IstiodPod> {
        let Self { metadata, spec, status } = self;
        if matches!(status.phase.as_str(), "Succeeded" | "Failed") {
            return None;
        }
        let discovery = spec.containers.into_iter().find(|container| container.name == CONTAINER);
        let container = discovery.unwrap_or_default();
        let env = |name: &str| {
            let found = container.env.iter().find(|variable| variable.name == name);
            found.and_then(|variable| variable.value.clone()).filter(|value| !value.is_empty())
        };
        let revision = env("REVISION")
            .or_else(|| metadata.labels.get("istio.io/rev").cloned())
            .unwrap_or_else(|| ControlPlane::DEFAULT_REVISION.to_owned());
        let ready = status.conditions.iter().any(|condition| condition.r#type == "Ready" && condition.status == "True");
        Some(IstiodPod {
            revision,
            version: image_version(&container.image),
            shared_mesh_config: env("SHARED_MESH_CONFIG"),
            ready: ready && metadata.deletion_timestamp.is_none(),
            namespace: metadata.namespace,
            name: metadata.name,
        })
    }
}

#[derive(Deserialize)]
struct RawInjector {
    metadata: RawMeta,
    #[serde(default)]
    webhooks: Vec<RawWebhook>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawWebhook {
    client_config: RawClient,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawClient {
    service: Option<RawService>,
}

#[derive(Deserialize)]
struct RawService {
    namespace: String,
    name: String,
}

/// The injector of a `MutatingWebhookConfiguration`, given as JSON.
#[must_use]
pub fn injector(json: &str) -> Option<Injector> {
    let raw: RawInjector = serde_json::from_str(json).ok()?;
    let label = |name: &str| raw.metadata.labels.get(name).cloned().unwrap_or_default();
    let service = raw.webhooks.iter().find_map(|webhook| webhook.client_config.service.as_ref());
    let revision = label("istio.io/rev");
    Some(Injector {
        revision: if revision.is_empty() { ControlPlane::DEFAULT_REVISION.to_owned() } else { revision },
        tag: label("istio.io/tag"),
        service: service.map(|service| format!("{}/{}", service.namespace, service.name)).unwrap_or_default(),
        name: raw.metadata.name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_pods() {
        let running = |name: &str, ready: &str, container: serde_json::Value| {
            json!({"metadata": {"name": name, "namespace": "istio-system", "labels": {"istio.io/rev": "labelled"}},
                   "spec": {"containers": [container]},
                   "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]}})
        };
        let mut leaving = running("istiod-3", "True", json!({"name": "discovery"}));
        leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        for (pod, expected) in [
            (
                running("istiod-1", "True", json!({"name": "discovery", "image": "docker.io/istio/pilot:1.31.0"})),
                Some(("labelled", "1.31.0", true)),
            ),
            (
                running(
                    "istiod-2",
                    "False",
                    json!({"name": "discovery", "image": "pilot@sha256:0",
                           "env": [{"name": "REVISION", "value": "canary"}, {"name": "POD_NAME", "valueFrom": {}}]}),
                ),
                Some(("canary", "", false)),
            ),
            (leaving, Some(("labelled", "", false))),
            (json!({"metadata": {"name": "evicted"}, "status": {"phase": "Failed", "reason": "Evicted"}}), None),
            (json!("a pod"), None),
        ] {
            let read = istiod_pod(&pod.to_string());
            let told = read.as_ref().map(|pod| (pod.revision.as_str(), pod.version.as_str(), pod.ready));
            assert_eq!(told, expected, "{pod}");
        }
    }

    #[test]
    fn reads_injectors() {
        let tag = json!({"metadata": {"name": "istio-revision-tag-prod", "labels": {"istio.io/rev": "canary", "istio.io/tag": "prod"}},
            "webhooks": [{"clientConfig": {"service": {"namespace": "istio-system", "name": "istiod-canary", "path": "/inject"}}}]});
        let read = injector(&tag.to_string());
        assert_eq!(read.as_ref().map(|read| (read.revision.as_str(), read.tag.as_str())), Some(("canary", "prod")));
        assert_eq!(read.map(|read| read.service), Some("istio-system/istiod-canary".to_owned()));
        let by_url = json!({"metadata": {"name": "istio-sidecar-injector"}, "webhooks": [{"clientConfig": {"url": "https://elsewhere"}}]});
        let read = injector(&by_url.to_string());
        assert_eq!(read.map(|read| (read.revision, read.service)), Some(("default".to_owned(), String::new())));
    }
}
