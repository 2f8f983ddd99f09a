//! The v1 form of where a value came from.

use schemars::JsonSchema;
use serde::Serialize;

use crate::model;

/// What kind of thing gives a cluster its connect timeout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub enum OriginKind {
    /// `meshConfig.connectTimeout`.
    MeshConfig,
    /// The key is absent from the mesh configuration: Istio's built-in value.
    MeshDefault,
    /// `meshConfig.defaultTrafficPolicy` (Istio 1.31 and later).
    MeshDefaultTrafficPolicy,
    /// A DestinationRule's `connectionPool.tcp.connectTimeout`.
    DestinationRule,
    /// A Sidecar's inbound connection pool.
    Sidecar,
    /// An EnvoyFilter's cluster patch.
    EnvoyFilter,
    /// Written into the proxy's bootstrap.
    Bootstrap,
    /// The field is absent: Envoy's own 5 s.
    EnvoyDefault,
    /// The proxy holds a value that its control plane no longer gives.
    Stale,
    /// Not to be told from what could be read.
    Unknown,
}

/// Where a cluster's connect timeout came from, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    /// What kind of thing.
    pub kind: OriginKind,
    /// The object's namespace; empty where there is no object.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The object's name; empty where there is no object.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Which part of the object: `trafficPolicy`, `subset v1`, `port 443`, and the like.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub part: String,
    /// Whether objects were read that prove it; otherwise it is what the dump alone suggests.
    pub certain: bool,
    /// What it rests on, or what stands in the way of knowing, in a few words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

impl From<&model::OriginKind> for OriginKind {
    fn from(kind: &model::OriginKind) -> Self {
        match kind {
            model::OriginKind::MeshConfig { .. } => Self::MeshConfig,
            model::OriginKind::MeshDefault => Self::MeshDefault,
            model::OriginKind::MeshDefaultTrafficPolicy { .. } => Self::MeshDefaultTrafficPolicy,
            model::OriginKind::DestinationRule { .. } => Self::DestinationRule,
            model::OriginKind::Sidecar { .. } => Self::Sidecar,
            model::OriginKind::EnvoyFilter { .. } => Self::EnvoyFilter,
            model::OriginKind::Bootstrap => Self::Bootstrap,
            model::OriginKind::EnvoyDefault => Self::EnvoyDefault,
            model::OriginKind::Stale => Self::Stale,
            model::OriginKind::Unknown => Self::Unknown,
        }
    }
}

impl From<&model::Origin> for Origin {
    fn from(origin: &model::Origin) -> Self {
        let (namespace, name) = origin
            .kind
            .object()
            .map_or_else(Default::default, |object| (object.namespace.clone(), object.name.clone()));
        Self {
            kind: (&origin.kind).into(),
            namespace,
            name,
            part: origin.kind.part(),
            certain: origin.certain,
            note: origin.note.clone(),
        }
    }
}
