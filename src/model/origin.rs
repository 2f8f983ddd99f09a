//! Where a cluster's connect timeout came from.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

/// Names an object: `namespace/name`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectRef {
    /// The object's namespace.
    pub namespace: String,
    /// The object's name.
    pub name: String,
}

impl ObjectRef {
    /// An object by namespace and name.
    #[must_use]
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What says a mesh-wide value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MeshSource {
    /// The ConfigMap of the control plane's own revision.
    ConfigMap(ObjectRef),
    /// The shared ConfigMap that `SHARED_MESH_CONFIG` names.
    Shared(ObjectRef),
    /// istiod itself, asked at `/debug/mesh`; the object is its Deployment.
    Istiod(ObjectRef),
    /// No configuration was read: the value is what `BlackHoleCluster`, which no object reaches, shows.
    Inferred,
}

impl MeshSource {
    /// The object, where there is one.
    #[must_use]
    pub fn object(&self) -> Option<&ObjectRef> {
        match self {
            Self::ConfigMap(object) | Self::Shared(object) | Self::Istiod(object) => Some(object),
            Self::Inferred => None,
        }
    }
}

/// A block of a DestinationRule that can set a timeout.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RulePart {
    /// `spec.trafficPolicy`.
    Policy,
    /// Of `spec.trafficPolicy.portLevelSettings`, the one for a port.
    Port(u16),
    /// Of `spec.subsets`, the `trafficPolicy` of one by name.
    Subset(String),
    /// The settings for a port in a subset's `trafficPolicy`.
    SubsetPort(String, u16),
}

impl fmt::Display for RulePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Policy => f.write_str("trafficPolicy"),
            Self::Port(port) => write!(f, "port {port}"),
            Self::Subset(subset) => write!(f, "subset {subset}"),
            Self::SubsetPort(subset, port) => write!(f, "subset {subset}, port {port}"),
        }
    }
}

/// A block of a Sidecar that can set a timeout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SidecarPart {
    /// `spec.inboundConnectionPool`.
    Inbound,
    /// The `connectionPool` of the `spec.ingress` listener on a port.
    Ingress(u16),
}

impl fmt::Display for SidecarPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inbound => f.write_str("inboundConnectionPool"),
            Self::Ingress(port) => write!(f, "ingress {port}"),
        }
    }
}

/// What gives a cluster its connect timeout.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OriginKind {
    /// `meshConfig.connectTimeout`.
    MeshConfig {
        /// What says so.
        source: MeshSource,
    },
    /// The key is absent from the mesh configuration: Istio's built-in value.
    MeshDefault,
    /// `meshConfig.defaultTrafficPolicy.connectionPool.tcp` (Istio 1.31 and later).
    MeshDefaultTrafficPolicy {
        /// The mesh configuration it stands in, where that is known.
        object: Option<ObjectRef>,
    },
    /// A DestinationRule's `connectionPool.tcp.connectTimeout`.
    DestinationRule {
        /// The rule.
        rule: ObjectRef,
        /// Which block of it; `None` where only Envoy's metadata name the rule.
        part: Option<RulePart>,
    },
    /// A Sidecar's inbound connection pool.
    Sidecar {
        /// The Sidecar.
        sidecar: ObjectRef,
        /// Which block of it.
        part: SidecarPart,
    },
    /// An EnvoyFilter's cluster patch.
    EnvoyFilter {
        /// The filter.
        filter: ObjectRef,
        /// The patch's position in `spec.configPatches`.
        patch: usize,
    },
    /// Written into the proxy's bootstrap.
    Bootstrap,
    /// The field is absent: Envoy's own 5 s.
    EnvoyDefault,
    /// The proxy holds a value that its control plane no longer gives.
    Stale,
    /// Not to be told from what could be read.
    Unknown,
}

impl OriginKind {
    /// Its name: the variant's.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::MeshConfig { .. } => "MeshConfig",
            Self::MeshDefault => "MeshDefault",
            Self::MeshDefaultTrafficPolicy { .. } => "MeshDefaultTrafficPolicy",
            Self::DestinationRule { .. } => "DestinationRule",
            Self::Sidecar { .. } => "Sidecar",
            Self::EnvoyFilter { .. } => "EnvoyFilter",
            Self::Bootstrap => "Bootstrap",
            Self::EnvoyDefault => "EnvoyDefault",
            Self::Stale => "Stale",
            Self::Unknown => "Unknown",
        }
    }

    /// The object that it stands in, where there is one.
    #[must_use]
    pub fn object(&self) -> Option<&ObjectRef> {
        match self {
            Self::MeshConfig { source } => source.object(),
            Self::MeshDefaultTrafficPolicy { object } => object.as_ref(),
            Self::DestinationRule { rule, .. } => Some(rule),
            Self::Sidecar { sidecar, .. } => Some(sidecar),
            Self::EnvoyFilter { filter, .. } => Some(filter),
            Self::MeshDefault | Self::Bootstrap | Self::EnvoyDefault | Self::Stale | Self::Unknown => None,
        }
    }

    /// Which part of the object, in words: `trafficPolicy`, `subset v1`, `configPatches[0]`; empty for none.
    #[must_use]
    pub fn part(&self) -> String {
        match self {
            Self::MeshConfig { source: MeshSource::Inferred } => String::new(),
            Self::MeshConfig { .. } => "connectTimeout".to_owned(),
            Self::MeshDefaultTrafficPolicy { .. } => "connectionPool.tcp".to_owned(),
            Self::DestinationRule { part, .. } => part.as_ref().map(RulePart::to_string).unwrap_or_default(),
            Self::Sidecar { part, .. } => part.to_string(),
            Self::EnvoyFilter { patch, .. } => format!("configPatches[{patch}]"),
            Self::MeshDefault | Self::Bootstrap | Self::EnvoyDefault | Self::Stale | Self::Unknown => String::new(),
        }
    }

    /// Whether it is an object that gives some clusters another value than the mesh's.
    #[must_use]
    pub fn is_override(&self) -> bool {
        matches!(self, Self::DestinationRule { .. } | Self::Sidecar { .. } | Self::EnvoyFilter { .. })
    }

    /// Whether it is the mesh's own value, whatever says it.
    #[must_use]
    pub fn is_mesh_wide(&self) -> bool {
        matches!(self, Self::MeshConfig { .. } | Self::MeshDefault | Self::MeshDefaultTrafficPolicy { .. })
    }
}

/// Where a cluster's connect timeout came from, as far as it is known. Thousands of clusters have theirs from one place,
/// so a copy costs nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin(Arc<Source>);

/// What an [`Origin`] says.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source {
    /// What gives it.
    pub kind: OriginKind,
    /// Whether objects were read that prove it; otherwise it is what the dump alone suggests.
    pub certain: bool,
    /// What it rests on, or what stands in the way of knowing, in a few words. For people: nothing decides by it.
    pub note: String,
}

impl Origin {
    /// An origin without a note.
    #[must_use]
    pub fn new(kind: OriginKind, certain: bool) -> Self {
        Self(Arc::new(Source { kind, certain, note: String::new() }))
    }

    /// The same origin with a note.
    #[must_use]
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }
}

impl Deref for Origin {
    type Target = Source;

    fn deref(&self) -> &Source {
        &self.0
    }
}

impl DerefMut for Origin {
    fn deref_mut(&mut self) -> &mut Source {
        Arc::make_mut(&mut self.0)
    }
}
