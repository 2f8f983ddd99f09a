//! Config dumps: Envoy's own (`/config_dump`, whole, masked or by resource, v2 and v3), and istioctl's array of
//! clusters.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny};
use serde_json::value::RawValue;

use super::bounded::{self, weigh};
use super::elements::{Opening, TakeElements};
use super::{ElementError, Elements, Shape, parse_error};
use super::{dump_forms, entry};
use crate::model::{ClusterSource, EnvoyCluster, ServiceRef, parse_duration};

/// Why a dump cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// The bytes are no list of elements.
    #[error(transparent)]
    Elements(#[from] ElementError),
    /// JSON, but not a dump.
    #[error("it is JSON, but neither a config dump (no \"configs\") nor clusters")]
    NotADump,
    /// JSON of Envoy's, but of what it starts with.
    #[error("it is a bootstrap: what a proxy starts with, and not the clusters that it has")]
    Bootstrap,
    /// More elements than any proxy has.
    #[error("it has more than {MAX_ELEMENTS} elements")]
    TooMany,
    /// An element is not what it should be.
    #[error("element {index}: {message}")]
    Element {
        /// Which, from 0.
        index: usize,
        /// What is wrong, with line and column inside the element.
        message: String,
    },
}

/// What a dump says of the proxy it was taken from (`bootstrap.node`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// The pod's namespace, from the node's id `sidecar~IP~POD.NAMESPACE~DOMAIN`.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The id's first part: `sidecar`, `router` or `waypoint`.
    pub kind: String,
    /// `metadata.ISTIO_VERSION`.
    pub istio_version: String,
    /// `metadata.LABELS["istio.io/rev"]`, where it is there.
    pub revision: String,
    /// `metadata.LABELS`.
    pub labels: BTreeMap<String, String>,
}

/// Something that an element holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// A cluster, and the `version_info` of the update that brought it.
    Cluster(EnvoyCluster, Option<Arc<str>>),
    /// The proxy itself.
    Node(Node),
}

/// Reads a dump as it arrives. A dump that is of none of the known shapes is an error, never an empty list.
#[derive(Debug)]
pub struct DumpDecoder {
    elements: Elements,
    source: ClusterSource,
    list: Option<ClusterSource>,
    index: usize,
}

/// Takes the elements of a dump, undecoded.
pub trait TakeElement {
    /// How many of these bytes, which begin an element, are elements that are known already.
    fn known(&mut self, bytes: &[u8], source: ClusterSource) -> KnownElements {
        let _ = (bytes, source);
        KnownElements::default()
    }

    /// All sections' clusters come: the whole dump's, whatever was asked for.
    fn section(&mut self) {}

    /// Takes one element, or says what is wrong with it.
    fn element(&mut self, element: &[u8], source: ClusterSource) -> Result<(), String>;
}

impl<F: FnMut(&[u8], ClusterSource) -> Result<(), String> + ?Sized> TakeElement for F {
    fn element(&mut self, element: &[u8], source: ClusterSource) -> Result<(), String> {
        self(element, source)
    }
}

/// Elements that were known by their bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct KnownElements {
    /// How many bytes they have, with what stands between and behind them.
    pub bytes: usize,
    /// How many there are.
    pub elements: usize,
}

/// Counts the elements that somebody takes, and knows which are sections.
struct Counting<'a, T: ?Sized> {
    take: &'a mut T,
    /// What clusters count as that stand in no section's list.
    source: ClusterSource,
    /// What those of the list count as that is under way.
    list: &'a mut Option<ClusterSource>,
    index: &'a mut usize,
}

/// More elements than any proxy has.
const MAX_ELEMENTS: usize = 2 * MAX_CLUSTERS;

impl<T: TakeElement + ?Sized> TakeElements<DumpError> for Counting<'_, T> {
    fn known(&mut self, bytes: &[u8]) -> usize {
        let known = self.take.known(bytes, self.list.unwrap_or(self.source));
        *self.index += known.elements;
        known.bytes
    }

    fn opens(&mut self, bytes: &[u8]) -> Opening {
        *self.list = None;
        match entry::type_name(bytes) {
            Ok(Some("ClustersConfigDump")) => {
                self.take.section();
                Opening::Section
            }
            // `Cluster` and its kin are read, and so is what says nothing of its type.
            Ok(Some(name)) if name.ends_with("ConfigDump") && name != "BootstrapConfigDump" => Opening::Nothing,
            Ok(_) => Opening::Element,
            Err(entry::TooShort) => Opening::Untold,
        }
    }

    fn lists(&mut self, name: &[u8]) -> bool {
        *self.list = match name {
            b"static_clusters" | b"staticClusters" => Some(ClusterSource::Static),
            b"dynamic_active_clusters" | b"dynamicActiveClusters" => Some(ClusterSource::Active),
            b"dynamic_warming_clusters" | b"dynamicWarmingClusters" => Some(ClusterSource::Warming),
            _ => None,
        };
        self.list.is_some()
    }

    fn element(&mut self, element: &[u8]) -> Result<(), DumpError> {
        let index = *self.index;
        if index >= MAX_ELEMENTS {
            return Err(DumpError::TooMany);
        }
        let taken = self.take.element(element, self.list.unwrap_or(self.source));
        taken.map_err(|message| DumpError::Element { index, message })?;
        *self.index += 1;
        Ok(())
    }
}

impl DumpDecoder {
    /// A decoder that refuses elements of more than `limit` bytes; `source` is what a dynamic cluster counts as when
    /// only its section was asked for.
    #[must_use]
    pub fn new(limit: usize, source: ClusterSource) -> Self {
        Self { elements: Elements::new(limit), source, list: None, index: 0 }
    }

    /// Takes the next bytes; gives each whole element, undecoded, to `take`.
    pub fn feed<T: TakeElement + ?Sized>(&mut self, chunk: &[u8], take: &mut T) -> Result<(), DumpError> {
        let Self { elements, source, list, index } = self;
        elements.feed_to(chunk, &mut Counting { take, source: *source, list, index })
    }

    /// Says whether all of it was a dump.
    pub fn finish(self) -> Result<Shape, DumpError> {
        match self.elements.finish()? {
            Shape::OtherObject => Err(DumpError::NotADump),
            shape => Ok(shape),
        }
    }

    /// What it has turned out to be so far.
    #[must_use]
    pub fn shape(&self) -> Option<Shape> {
        self.elements.shape()
    }
}

/// What an element turned out to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// All sections' clusters: the whole dump's, whatever was asked for.
    Sections,
    /// One cluster.
    Cluster,
    /// Nothing that is read here.
    Other,
}

/// Decodes one element: the sections with many clusters, one cluster in its wrapper, or a bare one.
pub fn decode_element(element: &[u8], source: ClusterSource, mut each: impl FnMut(Item)) -> Result<Held, String> {
    let read: Element<'_, ClusterJson<'_>> = from_slice(element)?;
    match read.kind(element) {
        ElementKind::Section => {
            let sections = [
                (read.static_clusters, ClusterSource::Static),
                (read.dynamic_active_clusters, ClusterSource::Active),
                (read.dynamic_warming_clusters, ClusterSource::Warming),
            ];
            for (entries, source) in sections {
                for entry in entries {
                    if let Some(cluster) = entry.cluster {
                        let error = entry.error_state.and_then(ErrorState::text);
                        each(Item::Cluster(cluster.model(source, error)?, entry.version_info.map(Arc::from)));
                    }
                }
            }
            Ok(Held::Sections)
        }
        ElementKind::Entry(fixed) => {
            if let Some(cluster) = read.cluster {
                let error = read.error_state.and_then(ErrorState::text);
                let cluster = cluster.model(fixed.unwrap_or(source), error)?;
                each(Item::Cluster(cluster, read.version_info.map(Arc::from)));
            }
            Ok(Held::Cluster)
        }
        ElementKind::Cluster => {
            let cluster: ClusterJson<'_> = from_slice(element)?;
            each(Item::Cluster(cluster.model(source, None)?, None));
            Ok(Held::Cluster)
        }
        ElementKind::Bootstrap => {
            if let Some(node) = read.bootstrap.and_then(|bootstrap| bootstrap.node).and_then(NodeJson::model) {
                each(Item::Node(node));
            }
            Ok(Held::Other)
        }
        ElementKind::Other => Ok(Held::Other),
    }
}

/// The most bytes that one cluster is to have once it is decoded, by [`weigh`]: those of some 20,000 endpoints that
/// stand in it.
const MAX_OBJECT: usize = 64 << 20;

/// The clusters of one element as JSON objects in istioctl's form: bare, with camelCase field names by protobuf's
/// JSON mapping. `each` is told whether a cluster is warming.
pub fn cluster_objects(
    element: &[u8],
    source: ClusterSource,
    mut each: impl FnMut(serde_json::Value, ClusterSource),
) -> Result<(), String> {
    let read: Element<'_, &RawValue> = from_slice(element)?;
    let mut emit = |raw: &[u8], source| -> Result<(), String> {
        if weigh(raw) > MAX_OBJECT {
            return Err("one cluster is larger than any there is".to_owned());
        }
        let mut value: serde_json::Value = from_slice(raw)?;
        if let Some(object) = value.as_object_mut() {
            object.shift_remove("@type");
        }
        each(camel_case(value), source);
        Ok(())
    };
    match read.kind(element) {
        ElementKind::Section => {
            let sections = [
                (read.static_clusters, ClusterSource::Static),
                (read.dynamic_active_clusters, ClusterSource::Active),
                (read.dynamic_warming_clusters, ClusterSource::Warming),
            ];
            for (entries, source) in sections {
                for cluster in entries.iter().filter_map(|entry| entry.cluster) {
                    emit(cluster.get().as_bytes(), source)?;
                }
            }
        }
        ElementKind::Entry(fixed) => {
            if let Some(cluster) = read.cluster {
                emit(cluster.get().as_bytes(), fixed.unwrap_or(source))?;
            }
        }
        ElementKind::Cluster => emit(element, source)?,
        ElementKind::Bootstrap | ElementKind::Other => {}
    }
    Ok(())
}

fn from_slice<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(json).map_err(|error| parse_error::json(&error))
}

/// The model of one cluster object, in either spelling.
pub fn cluster(object: &serde_json::Value, source: ClusterSource) -> Result<EnvoyCluster, String> {
    let text = object.to_string();
    let read: ClusterJson<'_> = from_slice(text.as_bytes())?;
    read.model(source, None)
}

/// Fields whose keys are the user's own and not protobuf's: maps and `google.protobuf.Struct`s.
/// `true` where the values under those keys are messages again.
const FREE_KEYS: [(&str, bool); 8] = [
    ("filter_metadata", false),
    ("typed_filter_metadata", true),
    ("extension_protocol_options", false),
    ("typed_extension_protocol_options", true),
    ("match", false),
    ("default_subset", false),
    ("struct_value", false),
    ("value", false),
];

/// Protobuf's JSON names for the field names that Envoy prints.
fn camel_case(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(object) => Value::Object(
            object
                .into_iter()
                .map(|(key, value)| {
                    let free = FREE_KEYS.iter().find(|(name, _)| *name == key && value.is_object());
                    let value = match (free, value) {
                        (Some((_, false)), value) => value,
                        (Some((_, true)), Value::Object(map)) => {
                            Value::Object(map.into_iter().map(|(key, value)| (key, camel_case(value))).collect())
                        }
                        (_, value) => camel_case(value),
                    };
                    (camel_case_name(&key), value)
                })
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(camel_case).collect()),
        scalar => scalar,
    }
}

fn camel_case_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut upper = false;
    for c in name.chars() {
        if c == '_' {
            upper = true;
        } else {
            out.push(if std::mem::take(&mut upper) { c.to_ascii_uppercase() } else { c });
        }
    }
    out
}

/// What an element is, by its `@type`, or by its fields where a tool has left that out.
enum ElementKind {
    /// `ClustersConfigDump`.
    Section,
    /// `StaticCluster` or `DynamicCluster`; a static one says so itself.
    Entry(Option<ClusterSource>),
    /// `Cluster`.
    Cluster,
    /// `BootstrapConfigDump`.
    Bootstrap,
    /// Listeners, routes, secrets, endpoints, a ztunnel's workloads: not ours.
    Other,
}

/// The most clusters of one proxy; Envoys of the largest meshes have some ten thousand.
pub const MAX_CLUSTERS: usize = 100_000;

/// The longest name of a cluster, in bytes: it is made of a host, a subset and a port, which have 253, 63 and 5.
const MAX_NAME: usize = 4096;

/// The most services of one cluster, and labels of one proxy: a hundred times what there are.
const MAX_PARTS: usize = 1000;

/// All kinds of elements at once, with clusters as `C`; what is not asked for is passed over without being kept.
#[derive(Deserialize)]
#[serde(bound(deserialize = "C: Deserialize<'de>"))]
struct Element<'a, C> {
    #[serde(rename = "@type", borrow)]
    type_url: Option<Cow<'a, str>>,
    #[serde(alias = "staticClusters", default = "Vec::new", deserialize_with = "bounded::list::<MAX_CLUSTERS, _, _>")]
    static_clusters: Vec<Entry<'a, C>>,
    #[serde(
        alias = "dynamicActiveClusters",
        default = "Vec::new",
        deserialize_with = "bounded::list::<MAX_CLUSTERS, _, _>"
    )]
    dynamic_active_clusters: Vec<Entry<'a, C>>,
    #[serde(
        alias = "dynamicWarmingClusters",
        default = "Vec::new",
        deserialize_with = "bounded::list::<MAX_CLUSTERS, _, _>"
    )]
    dynamic_warming_clusters: Vec<Entry<'a, C>>,
    cluster: Option<C>,
    #[serde(alias = "versionInfo", borrow)]
    version_info: Option<Cow<'a, str>>,
    #[serde(alias = "errorState", borrow)]
    error_state: Option<ErrorState<'a>>,
    #[serde(borrow)]
    bootstrap: Option<BootstrapJson<'a>>,
    name: Option<IgnoredAny>,
}

impl<C> Element<'_, C> {
    /// What it is; `json` is the element itself.
    fn kind(&self, json: &[u8]) -> ElementKind {
        let Some(type_url) = &self.type_url else {
            return if self.cluster.is_some() {
                ElementKind::Entry(None)
            } else if self.name.is_none() {
                ElementKind::Section
            } else if dump_forms::is_cluster(json) {
                ElementKind::Cluster
            } else {
                ElementKind::Other
            };
        };
        match type_url.rsplit(['.', '/']).next() {
            Some("ClustersConfigDump") => ElementKind::Section,
            Some("StaticCluster") => ElementKind::Entry(Some(ClusterSource::Static)),
            Some("DynamicCluster") => ElementKind::Entry(None),
            Some("Cluster") => ElementKind::Cluster,
            Some("BootstrapConfigDump") => ElementKind::Bootstrap,
            _ => ElementKind::Other,
        }
    }
}

/// `StaticCluster` or `DynamicCluster` (`envoy/admin/v3/config_dump_shared.proto`).
#[derive(Deserialize)]
#[serde(bound(deserialize = "C: Deserialize<'de>"))]
struct Entry<'a, C> {
    cluster: Option<C>,
    #[serde(alias = "versionInfo", borrow)]
    version_info: Option<Cow<'a, str>>,
    #[serde(alias = "errorState", borrow)]
    error_state: Option<ErrorState<'a>>,
}

/// `UpdateFailureState`: an update of this cluster was rejected.
#[derive(Deserialize)]
struct ErrorState<'a> {
    #[serde(borrow)]
    details: Option<Cow<'a, str>>,
}

impl ErrorState<'_> {
    fn text(self) -> Option<Arc<str>> {
        self.details.map(Arc::from)
    }
}

/// The fields of `Cluster` that an audit keeps.
#[derive(Deserialize)]
struct ClusterJson<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(rename = "type", borrow)]
    discovery_type: Option<Cow<'a, str>>,
    #[serde(alias = "clusterType", borrow)]
    cluster_type: Option<ClusterType<'a>>,
    #[serde(alias = "connectTimeout", borrow)]
    connect_timeout: Option<Timeout<'a>>,
    #[serde(borrow)]
    metadata: Option<Metadata<'a>>,
}

#[derive(Deserialize)]
struct ClusterType<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
}

/// Metadata is a hint and no more: what has another form than Istio's is passed over.
#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(alias = "filterMetadata", borrow)]
    filter_metadata: Option<FilterMetadata<'a>>,
}

#[derive(Deserialize)]
struct FilterMetadata<'a> {
    #[serde(borrow)]
    istio: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct IstioMetadata<'a> {
    #[serde(borrow)]
    config: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "bounded::list::<MAX_PARTS, _, _>")]
    services: Vec<ServiceRef>,
}

impl ClusterJson<'_> {
    fn model(self, source: ClusterSource, error: Option<Arc<str>>) -> Result<EnvoyCluster, String> {
        let name: Arc<str> = self.name.ok_or("a cluster without a name")?.into();
        if name.len() > MAX_NAME {
            return Err(format!("a cluster's name has {} bytes", name.len()));
        }
        let connect_timeout = match self.connect_timeout {
            None => None,
            Some(timeout) => Some(timeout.read().map_err(|why| {
                let name = &name[..name.floor_char_boundary(200)];
                format!("cluster {name:?}: connect_timeout: {why}")
            })?),
        };
        let metadata: Option<IstioMetadata<'_>> = self
            .metadata
            .and_then(|metadata| metadata.filter_metadata)
            .and_then(|filters| filters.istio)
            .and_then(|istio| serde_json::from_str(istio.get()).ok());
        let (config, services) = metadata.map_or((None, Vec::new()), |istio| (istio.config, istio.services));
        let discovery_type = match (self.discovery_type, self.cluster_type.and_then(|cluster| cluster.name)) {
            (Some(discovery), _) => discovery.into(),
            (None, Some(extension)) => extension.into(),
            // STATIC is the enum's zero, which protobuf's JSON leaves out.
            (None, None) => "STATIC".into(),
        };
        Ok(EnvoyCluster {
            destination_rule_hint: config.as_deref().and_then(destination_rule),
            name,
            discovery_type,
            connect_timeout,
            source,
            error,
            services,
        })
    }
}

/// `/apis/networking.istio.io/v1/namespaces/NS/destination-rule/NAME` as `NS/NAME`.
fn destination_rule(path: &str) -> Option<Arc<str>> {
    let mut parts = path.rsplit('/');
    let (name, kind, namespace) = (parts.next()?, parts.next()?, parts.next()?);
    (kind == "destination-rule").then(|| format!("{namespace}/{name}").into())
}

/// A duration in any of the forms that tools print.
enum Timeout<'a> {
    /// Protobuf's JSON: `"1s"`.
    Text(Cow<'a, str>),
    /// Go's `time.Duration`: nanoseconds.
    Nanos(i64),
    /// `{"seconds": 1, "nanos": 0}`.
    Parts { seconds: i64, nanos: i64 },
}

impl Timeout<'_> {
    fn read(&self) -> Result<Duration, String> {
        match self {
            Self::Text(text) => parse_duration(text).map_err(|error| error.to_string()),
            Self::Nanos(nanos) => {
                u64::try_from(*nanos).map(Duration::from_nanos).map_err(|_| format!("{nanos} is negative"))
            }
            Self::Parts { seconds, nanos } => match (u64::try_from(*seconds), u32::try_from(*nanos)) {
                (Ok(seconds), Ok(nanos)) if nanos < 1_000_000_000 => Ok(Duration::new(seconds, nanos)),
                _ => Err(format!("{seconds} seconds and {nanos} nanos are no duration")),
            },
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Timeout<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Timeout<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a duration such as \"1s\"")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Timeout::Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Timeout::Text(Cow::Owned(text.to_owned())))
            }

            fn visit_i64<E: de::Error>(self, nanos: i64) -> Result<Self::Value, E> {
                Ok(Timeout::Nanos(nanos))
            }

            fn visit_u64<E: de::Error>(self, nanos: u64) -> Result<Self::Value, E> {
                i64::try_from(nanos).map(Timeout::Nanos).map_err(|_| E::custom("a duration of more than 292 years"))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut seconds, mut nanos) = (0, 0);
                while let Some(key) = map.next_key::<Cow<'de, str>>()? {
                    match &*key {
                        "seconds" => seconds = map.next_value::<Integer>()?.0,
                        "nanos" => nanos = map.next_value::<Integer>()?.0,
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(Timeout::Parts { seconds, nanos })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// An integer, or its text: protobuf's JSON writes 64-bit integers as strings.
struct Integer(i64);

impl<'de> Deserialize<'de> for Integer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(i64),
            Text(String),
        }
        match Either::deserialize(deserializer)? {
            Either::Number(number) => Ok(Self(number)),
            Either::Text(text) => text.parse().map(Self).map_err(de::Error::custom),
        }
    }
}

#[derive(Deserialize)]
struct BootstrapJson<'a> {
    #[serde(borrow)]
    node: Option<NodeJson<'a>>,
}

#[derive(Deserialize)]
struct NodeJson<'a> {
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeMetadata {
    #[serde(rename = "ISTIO_VERSION")]
    istio_version: String,
    #[serde(rename = "LABELS", deserialize_with = "bounded::texts::<MAX_PARTS, _>")]
    labels: BTreeMap<String, String>,
}

impl NodeJson<'_> {
    /// The parts of `sidecar~10.1.1.1~POD.NAMESPACE~NAMESPACE.svc.cluster.local` (`pilot/pkg/model/context.go`,
    /// `ParseServiceNodeWithMetadata`).
    fn model(self) -> Option<Node> {
        let id = self.id?;
        let mut parts = id.split('~');
        let (kind, _address, workload) = (parts.next()?, parts.next()?, parts.next()?);
        let (pod, namespace) = workload.rsplit_once('.')?;
        let metadata: NodeMetadata =
            self.metadata.and_then(|metadata| serde_json::from_str(metadata.get()).ok()).unwrap_or_default();
        Some(Node {
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            kind: kind.to_owned(),
            istio_version: metadata.istio_version,
            revision: metadata.labels.get("istio.io/rev").cloned().unwrap_or_default(),
            labels: metadata.labels,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn clusters(json: &serde_json::Value) -> Result<Vec<EnvoyCluster>, DumpError> {
        let mut decoder = DumpDecoder::new(1 << 20, ClusterSource::Active);
        let mut found = Vec::new();
        decoder.feed(json.to_string().as_bytes(), &mut |element: &[u8], source: ClusterSource| {
            decode_element(element, source, |item| {
                if let Item::Cluster(cluster, _) = item {
                    found.push(cluster);
                }
            })
            .map(|_| ())
        })?;
        decoder.finish()?;
        Ok(found)
    }

    fn timeout_of(value: &serde_json::Value) -> Result<Option<Duration>, DumpError> {
        clusters(&json!([{"name": "outbound|80||a", "connectTimeout": value}])).map(|found| found[0].connect_timeout)
    }

    #[test]
    fn reads_every_shape_of_dump() {
        let bare = json!({"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": "outbound|80||a", "type": "EDS", "connect_timeout": "1s"});
        let v2 = json!({"name": "outbound|80||a", "type": "EDS", "connect_timeout": "1s"});
        let masked = json!({"configs": [{"@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump.DynamicCluster", "version_info": "3", "cluster": bare}]});
        let whole = json!({"configs": [
            {"@type": "type.googleapis.com/envoy.admin.v3.BootstrapConfigDump", "bootstrap": {"node": {"id": "x"}}},
            {"@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump", "version_info": "3", "dynamic_active_clusters": [{"version_info": "3", "cluster": bare, "last_updated": "2026-01-01T00:00:00Z"}]},
            {"@type": "type.googleapis.com/envoy.admin.v3.RoutesConfigDump", "static_route_configs": []}]});
        let whole_v2 = json!({"configs": [{"@type": "type.googleapis.com/envoy.admin.v2alpha.ClustersConfigDump", "dynamic_active_clusters": [{"version_info": "3", "cluster": v2}]}]});
        let istioctl = json!([{"name": "outbound|80||a", "type": "EDS", "connectTimeout": "1s"}]);
        for dump in [masked, whole, whole_v2, istioctl] {
            let found = clusters(&dump).expect("a dump");
            assert_eq!(found.len(), 1, "{dump}");
            assert_eq!(found[0].connect_timeout, Some(Duration::from_secs(1)), "{dump}");
            assert_eq!((&*found[0].name, &*found[0].discovery_type), ("outbound|80||a", "EDS"));
        }
        assert!(clusters(&json!({})).expect("empty").is_empty());
        assert!(matches!(clusters(&json!({"items": []})), Err(DumpError::NotADump)));
    }

    #[test]
    fn tells_sections_apart() {
        let entry = |name: &str| json!({"cluster": {"name": name}});
        let dump = json!({"configs": [{"@type": "x/envoy.admin.v3.ClustersConfigDump", "static_clusters": [entry("agent")], "dynamic_active_clusters": [entry("a")],
            "dynamic_warming_clusters": [{"cluster": {"name": "w"}, "error_state": {"details": "no such thing"}}]}]});
        let found = clusters(&dump).expect("a dump");
        let sources: Vec<_> = found.iter().map(|cluster| (&*cluster.name, cluster.source)).collect();
        assert_eq!(
            sources,
            [("agent", ClusterSource::Static), ("a", ClusterSource::Active), ("w", ClusterSource::Warming)]
        );
        assert_eq!(found[2].error.as_deref(), Some("no such thing"));
        assert_eq!(&*found[0].discovery_type, "STATIC");
    }

    #[test]
    fn reads_every_way_to_write_a_timeout() {
        let second = Some(Duration::from_secs(1));
        for value in [
            json!("1s"),
            json!("1.000s"),
            json!(1_000_000_000),
            json!({"seconds": 1}),
            json!({"seconds": "1", "nanos": 0}),
            json!({"nanos": 0, "seconds": 1}),
        ] {
            assert_eq!(timeout_of(&value).expect("a timeout"), second, "{value}");
        }
        assert_eq!(timeout_of(&json!(null)).expect("absent"), None);
        for value in
            [json!("soon"), json!(-1), json!({"seconds": -1}), json!({"nanos": 2_000_000_000}), json!(1.5), json!([])]
        {
            let error = timeout_of(&value).expect_err("no timeout").to_string();
            assert!(error.starts_with("element 0: "), "{error}");
        }
    }

    #[test]
    fn reads_istios_metadata_and_ignores_what_is_not() {
        let path = "/apis/networking.istio.io/v1/namespaces/shop/destination-rule/cc-api";
        let metadata = json!({"filter_metadata": {"istio": {"config": path, "services": [{"host": "a", "name": "a", "namespace": "shop"}]}}});
        let found = clusters(&json!([{"name": "a", "metadata": metadata}])).expect("a dump");
        assert_eq!(found[0].destination_rule_hint.as_deref(), Some("shop/cc-api"));
        assert_eq!(&*found[0].services[0].namespace, "shop");
        for odd in [json!({"filter_metadata": {"istio": 5}}), json!({"filter_metadata": {"other": {}}}), json!({})] {
            let found = clusters(&json!([{"name": "a", "metadata": odd}])).expect("a dump");
            assert_eq!(found[0].destination_rule_hint, None);
        }
    }

    #[test]
    fn reads_the_node() {
        let node = json!({"id": "sidecar~10.0.0.1~web-7d4.b.shop~shop.svc.cluster.local", "metadata": {"ISTIO_VERSION": "1.29.2", "LABELS": {"istio.io/rev": "canary"}}});
        let element = json!({"@type": "x/envoy.admin.v3.BootstrapConfigDump", "bootstrap": {"node": node}}).to_string();
        let mut found = None;
        decode_element(element.as_bytes(), ClusterSource::Active, |item| found = Some(item)).expect("sound");
        let Some(Item::Node(node)) = found else { panic!("a node") };
        assert_eq!((&*node.pod, &*node.namespace, &*node.revision), ("web-7d4.b", "shop", "canary"));
    }

    #[test]
    fn writes_objects_in_istioctls_form() {
        let element = json!({"@type": "x/envoy.admin.v3.ClustersConfigDump.DynamicCluster", "cluster": {
            "@type": "x/envoy.config.cluster.v3.Cluster", "name": "outbound|80||a", "connect_timeout": "1s",
            "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {"explicit_http_config": {}}},
            "transport_socket_matches": [{"name": "t", "match": {"tls_mode": "istio"}, "transport_socket": {"typed_config": {"common_tls_context": {}}}}],
            "metadata": {"filter_metadata": {"istio": {"alpn_override": "true"}}}}});
        let mut found = Vec::new();
        cluster_objects(element.to_string().as_bytes(), ClusterSource::Active, |value, _| found.push(value))
            .expect("sound");
        assert_eq!(
            found,
            [json!({"name": "outbound|80||a", "connectTimeout": "1s",
                "typedExtensionProtocolOptions": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {"explicitHttpConfig": {}}},
                "transportSocketMatches": [{"name": "t", "match": {"tls_mode": "istio"}, "transportSocket": {"typedConfig": {"commonTlsContext": {}}}}],
                "metadata": {"filterMetadata": {"istio": {"alpn_override": "true"}}}})]
        );
    }

    proptest! {
        #[test]
        fn is_total(element in r#"\{["a-z@:{}\[\], 0-9_]{0,80}"#) {
            let _ = decode_element(element.as_bytes(), ClusterSource::Active, |_| {});
            let _ = cluster_objects(element.as_bytes(), ClusterSource::Active, |_, _| {});
        }
    }
}
