//! What istiod says of the clusters that it sent to each proxy, and what the proxy itself counts of them.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ProxyId;
use super::duration::optional_duration;
use super::objects::{ControlPlane, EffectiveMesh, IstioObjects, MeshConfigKind};

/// Why a proxy refused the last clusters it was sent: Envoy's NACK, which istiod keeps until the next ACK
/// (`pilot/pkg/xds/debug.go`, `ResourceStatus.LastError`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rejection {
    /// Envoy's sentence, without the text of the cluster that it quotes.
    pub reason: String,
    /// The clusters that it names. Of a response that was refused as a whole this is the first that broke a rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clusters: Vec<Arc<str>>,
    /// Whether the response was refused as a whole. Else the clusters named were left out, and all others of it were
    /// taken, though for istiod that is a NACK of the whole too.
    pub whole: bool,
}

/// What became of the last clusters that were sent to a proxy, as its istiod knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ClusterSync {
    /// The proxy is connected, and none were sent.
    NotSent,
    /// Neither accepted nor, as far as this istiod says such a thing, refused.
    Pending,
    /// Accepted.
    Acknowledged,
    /// Refused.
    Rejected(Rejection),
}

/// A proxy that is connected to an istiod (an element of `/debug/syncz`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProxySync {
    /// `POD.NAMESPACE`.
    pub proxy: String,
    /// `cluster_id`: the Kubernetes cluster that the proxy runs in, as istiod calls it. Several may share an istiod.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cluster_id: String,
    /// What became of its clusters.
    pub clusters: ClusterSync,
    /// Whether this istiod says why a proxy refused something (`resources`); of an older one, which does not, a refusal
    /// looks as if no answer had come yet.
    #[serde(default)]
    pub tells_errors: bool,
    /// When the last clusters were sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
}

/// What came of asking an istiod pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Answer {
    /// The proxies that are connected to it.
    Proxies(Vec<ProxySync>),
    /// It runs no istiod that could be asked: nothing listens there. No proxy is connected to it.
    Down(String),
    /// It may well run, but its answer did not come or was not understood. That says nothing of any proxy.
    Unread(String),
}

/// A pod of a control plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Instance {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// Whether its pod is Ready: proxies that connect anew reach Ready ones only.
    pub ready: bool,
    /// `connectTimeout` of the mesh configuration that it uses (`/debug/mesh`); `None` where it did not say.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_duration")]
    #[schemars(with = "Option<String>")]
    pub connect_timeout: Option<Duration>,
    /// What it answered; `None` where it was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
}

/// What injects proxies: a webhook of a control plane's revision, or of a tag of it
/// (`MutatingWebhookConfiguration` with the label `app=sidecar-injector`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Injector {
    /// The webhook configuration's name.
    pub name: String,
    /// The revision that it is for (label `istio.io/rev`).
    pub revision: String,
    /// The tag that stands for that revision (label `istio.io/tag`); empty for the revision's own webhook.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tag: String,
    /// The Service that it calls, as `namespace/name`; empty where it calls a URL.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub service: String,
}

/// What a proxy counts of the clusters it is sent (`/stats`), for as long as its process lives.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct XdsCounters {
    /// `cluster_manager.cds.update_success`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<u64>,
    /// `cluster_manager.cds.update_rejected`. It never falls, so alone it proves nothing of today.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<u64>,
    /// `cluster_manager.cds.version_text`: the version of the last response that was accepted as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Arc<str>>,
    /// `control_plane.connected_state`; `None` where the proxy does not keep it, as Istio's own bootstrap has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected: Option<bool>,
    /// Whether `server.state` is one before LIVE: the first clusters have not come yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub initializing: bool,
}

impl XdsCounters {
    /// Whether it has refused clusters and never accepted a response as a whole: so it is refusing them today.
    #[must_use]
    pub fn only_rejected(&self) -> bool {
        self.rejected.is_some_and(|rejected| rejected > 0) && self.accepted == Some(0)
    }
}

impl Instance {
    /// Its proxies, where it could be asked.
    #[must_use]
    pub fn proxies(&self) -> Option<&[ProxySync]> {
        match &self.answer {
            Some(Answer::Proxies(proxies)) => Some(proxies),
            _ => None,
        }
    }

    /// `namespace/pod`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.namespace, self.pod)
    }
}

impl ControlPlane {
    /// Whether every pod of it that runs has said which proxies are connected to it, so that one which none of them
    /// knows is connected to none.
    #[must_use]
    pub fn all_answered(&self) -> bool {
        let instances = self.instances.as_deref().unwrap_or_default();
        let tells = |instance: &Instance| matches!(instance.answer, Some(Answer::Proxies(_) | Answer::Down(_)));
        !instances.is_empty() && instances.iter().all(tells)
    }

    /// Whether it runs in this cluster, and no pod of it is Ready.
    #[must_use]
    pub fn is_down(&self) -> bool {
        let Some(instances) = &self.instances else { return false };
        (self.istiod.is_some() || !instances.is_empty()) && instances.iter().all(|instance| !instance.ready)
    }

    /// What its mesh configuration comes to by what is written, whatever istiod says that it uses.
    #[must_use]
    pub fn written(&self) -> Option<EffectiveMesh> {
        let mesh = self.mesh.iter().filter(|source| source.kind != MeshConfigKind::Effective).cloned().collect();
        let (revision, namespace, version) = (self.revision.clone(), self.namespace.clone(), self.version.clone());
        Self { revision, namespace, version, mesh, ..Self::default() }.effective()
    }

    /// What its pods know of a proxy.
    fn sync_of(&self, id: &ProxyId) -> Option<&ProxySync> {
        let name = format!("{}.{}", id.name, id.namespace);
        let known =
            self.instances.iter().flatten().filter_map(Instance::proxies).flatten().filter(|sync| sync.proxy == name);
        // A connection that broke without a word is still there beside the new one.
        let last = known.clone().max_by_key(|sync| sync.sent_at)?;
        // Pods of several Kubernetes clusters may have one name, and it is not told which of them is meant.
        known.clone().all(|sync| sync.cluster_id == last.cluster_id).then_some(last)
    }
}

impl IstioObjects {
    /// The control plane that a proxy is connected to, and what it knows of it, by the planes' own word; `None` where
    /// none that could be asked knows the proxy.
    #[must_use]
    pub fn connected_to(&self, id: &ProxyId) -> Option<(&ControlPlane, &ProxySync)> {
        self.control_planes.iter().filter_map(|plane| Some((plane, plane.sync_of(id)?))).max_by_key(|(_, s)| s.sent_at)
    }
}
