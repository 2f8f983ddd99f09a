//! Reads one proxy: asks for little, falls back to more where the Envoy is too old for that, and puts what comes
//! into the snapshot while it comes.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use tokio::sync::Semaphore;

use super::lease::read_levels;
use crate::decode::dump::{self, DumpDecoder, DumpError, Held, Item, MAX_CLUSTERS, Node};
use crate::decode::{ElementError, Shape, last_updated, stats, xds_stats};
use crate::model::evidence::ClusterEvidence;
use crate::model::{
    ClusterSet, ClusterSource, EnvoyCluster, FailureCause, Proxy, ProxyId, ProxySnapshot, SkippedProxy,
    SnapshotBuilder, UnreadProxy,
};
use crate::reach::{AdminError, AdminRequest, AdminSource, Section};

/// The most bytes that one element of a dump may have: the section with all clusters, in a whole dump.
pub(super) const MAX_ELEMENT: usize = 64 << 20;

/// The most bytes that one element may have where a section was asked for, and each is one cluster; without a mask with
/// all of its endpoints.
const MAX_ENTRY: usize = 8 << 20;

/// The most bytes of distinct clusters in all, by [`weight`].
const MAX_DISTINCT: usize = 48 << 20;

/// Elements up to this size, in bytes, are remembered undecoded.
const MEMO_ELEMENT: usize = 16 << 10;

/// How many bytes of elements are remembered in all.
const MEMO: usize = 64 << 20;

/// Takes one undecoded element of a dump, or says what is wrong with it.
pub(super) type TakeElement<'a> = dyn FnMut(&[u8], ClusterSource) -> Result<(), String> + Send + 'a;

/// Where all proxies' clusters come together.
#[derive(Default)]
pub(super) struct Ingest(Mutex<Shared>);

#[derive(Default)]
struct Shared {
    builder: SnapshotBuilder,
    /// Most proxies of a mesh hold most clusters to the byte alike: what an element said the last time need not be
    /// decoded again.
    memo: HashMap<(ClusterSource, Box<[u8]>), Known>,
    memo_bytes: usize,
    /// What the distinct clusters weigh.
    weight: usize,
}

#[derive(Clone)]
struct Known {
    position: u32,
    version: Option<Arc<str>>,
}

/// A proxy, as far as it has been read.
pub(super) struct Reading {
    pub(super) snapshot: ProxySnapshot,
    /// Whether what came was the whole dump, and nothing else need be asked for.
    whole: bool,
    /// How many clusters came, and whether that are more than can be.
    came: usize,
    too_many: Option<TooMany>,
    /// What the dump says of its proxy.
    pub(super) node: Option<Node>,
}

/// Why a proxy could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error(transparent)]
    Admin(#[from] AdminError),
    #[error("what it answered is no config dump: {0}")]
    Dump(#[from] DumpError),
    #[error("it answers like Envoy, but has no cluster at all")]
    NoClusters,
    #[error(transparent)]
    TooMany(#[from] TooMany),
}

/// More than any mesh has.
#[derive(Debug, Clone, Copy, thiserror::Error)]
pub(super) enum TooMany {
    #[error("it has more than {MAX_CLUSTERS} clusters")]
    Clusters,
    #[error("it and the proxies read before have more than {} MiB of distinct clusters", MAX_DISTINCT >> 20)]
    Distinct,
    #[error("its clusters have more than {} MiB", MAX_OBJECTS >> 20)]
    Objects,
}

/// About how many bytes a distinct cluster costs.
fn weight(cluster: &EnvoyCluster) -> usize {
    let hint = cluster.destination_rule_hint.as_ref().map_or(0, |hint| hint.len());
    let services: usize = cluster.services.iter().map(|service| 64 + service.host.len()).sum();
    320 + cluster.name.len() + hint + services + cluster.error.as_ref().map_or(0, |error| error.len())
}

impl ReadError {
    pub(super) fn cause(&self) -> FailureCause {
        match self {
            Self::Admin(error) => error.cause(),
            Self::Dump(DumpError::Elements(ElementError::Truncated(_))) => FailureCause::Truncated,
            Self::Dump(DumpError::Elements(ElementError::TooLarge(_))) => FailureCause::TooLarge,
            Self::TooMany(_) => FailureCause::TooLarge,
            Self::Dump(_) | Self::NoClusters => FailureCause::NotEnvoy,
        }
    }

    pub(super) fn unread(&self, id: ProxyId) -> UnreadProxy {
        UnreadProxy { id, cause: self.cause(), message: self.to_string() }
    }
}

impl Reading {
    pub(super) fn new(proxy: Proxy) -> Self {
        let snapshot = ProxySnapshot {
            proxy,
            clusters: ClusterSet::default(),
            version: None,
            loggers: None,
            xds: None,
            evidence: None,
        };
        Self { snapshot, whole: false, came: 0, too_many: None, node: None }
    }

    /// The bound that was passed, in place of the decoder's error about it.
    pub(super) fn check(&mut self) -> Result<(), TooMany> {
        self.too_many.take().map_or(Ok(()), Err)
    }

    fn refuse(&mut self, bound: TooMany) -> String {
        self.too_many = Some(bound);
        bound.to_string()
    }

    fn hold(&mut self, known: Known) {
        self.came += 1;
        self.snapshot.clusters.insert(known.position);
        if known.version > self.snapshot.version {
            self.snapshot.version = known.version;
        }
    }
}

impl Ingest {
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one element of a proxy's dump.
    pub(super) fn element(&self, reading: &mut Reading, element: &[u8], source: ClusterSource) -> Result<(), String> {
        let mut shared = self.lock();
        if reading.came >= MAX_CLUSTERS {
            return Err(reading.refuse(TooMany::Clusters));
        }
        let remember = element.len() <= MEMO_ELEMENT;
        if remember && let Some(known) = shared.memo.get(&(source, element) as &dyn MemoKey) {
            reading.hold(known.clone());
            return Ok(());
        }
        let mut last = None;
        let held = dump::decode_element(element, source, |item| match item {
            Item::Cluster(cluster, version) => {
                if reading.came >= MAX_CLUSTERS || shared.weight > MAX_DISTINCT {
                    return;
                }
                let weight = weight(&cluster);
                let known = shared.builder.distinct();
                let position = shared.builder.intern(cluster);
                shared.weight += if position as usize == known { weight } else { 0 };
                let known = Known { position, version };
                reading.hold(known.clone());
                last = Some(known);
            }
            Item::Node(node) => reading.node = Some(node),
        })?;
        if shared.weight > MAX_DISTINCT {
            return Err(reading.refuse(TooMany::Distinct));
        }
        if reading.came > MAX_CLUSTERS {
            return Err(reading.refuse(TooMany::Clusters));
        }
        reading.whole |= held == Held::Sections;
        if let (true, Held::Cluster, Some(known)) = (remember, held, last)
            && shared.memo_bytes + element.len() <= MEMO
        {
            shared.memo_bytes += element.len();
            shared.memo.insert((source, element.into()), known);
        }
        Ok(())
    }

    /// Adds a proxy that was read, or could not be.
    pub(super) fn add(&self, outcome: Result<Reading, UnreadProxy>) {
        let builder = &mut self.lock().builder;
        match outcome {
            Ok(reading) => builder.read(reading.snapshot),
            Err(unread) => builder.fail(unread),
        }
    }

    pub(super) fn skip(&self, skipped: SkippedProxy) {
        self.lock().builder.skip(skipped);
    }

    /// Gives what has come together, and starts anew.
    pub(super) fn take(&self) -> SnapshotBuilder {
        std::mem::take(&mut *self.lock()).builder
    }

    /// Works on what has come together so far.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut SnapshotBuilder) -> T) -> T {
        work(&mut self.lock().builder)
    }
}

/// Looks up an element without copying it.
trait MemoKey {
    fn parts(&self) -> (ClusterSource, &[u8]);
}

impl MemoKey for (ClusterSource, Box<[u8]>) {
    fn parts(&self) -> (ClusterSource, &[u8]) {
        (self.0, &self.1)
    }
}

impl MemoKey for (ClusterSource, &[u8]) {
    fn parts(&self) -> (ClusterSource, &[u8]) {
        (self.0, self.1)
    }
}

impl<'a> std::borrow::Borrow<dyn MemoKey + 'a> for (ClusterSource, Box<[u8]>) {
    fn borrow(&self) -> &(dyn MemoKey + 'a) {
        self
    }
}

impl std::hash::Hash for dyn MemoKey + '_ {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

impl PartialEq for dyn MemoKey + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for dyn MemoKey + '_ {}

/// What is read beside the clusters; an audit is none the worse without.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Extras {
    loggers: bool,
    evidence: bool,
}

impl Extras {
    pub(super) fn of(options: &super::CollectOptions) -> Self {
        Self { loggers: options.loggers, evidence: options.evidence }
    }
}

/// Reads a proxy; a failure is that proxy's own.
pub(super) async fn read_proxy(
    source: &mut impl AdminSource,
    proxy: Proxy,
    ingest: &Ingest,
    extras: Extras,
) -> Result<Reading, UnreadProxy> {
    let id = proxy.id.clone();
    read(source, proxy, ingest, extras).await.map_err(|error| error.unread(id))
}

/// Reads a proxy: its active, static and warming clusters, and its logger levels.
pub(super) async fn read(
    source: &mut impl AdminSource,
    proxy: Proxy,
    ingest: &Ingest,
    extras: Extras,
) -> Result<Reading, ReadError> {
    let mut reading = Reading::new(proxy);
    let outcome = read_clusters(source, &mut reading, ingest).await;
    reading.check()?;
    outcome?;
    if reading.snapshot.clusters.is_empty() {
        return Err(ReadError::NoClusters);
    }
    if extras.loggers {
        // Worth having, and an audit is none the worse without them.
        reading.snapshot.loggers = read_levels(source).await.ok().map(Arc::new);
    }
    // Without them only istiod can tell what became of the last clusters; no reason to give the proxy up.
    let counters = read_text(source, &AdminRequest::Stats { filter: xds_stats::FILTER }, MAX_COUNTERS).await;
    reading.snapshot.xds = counters.as_deref().and_then(xds_stats::parse);
    if extras.evidence {
        reading.snapshot.evidence = read_evidence(source).await;
    }
    Ok(reading)
}

async fn read_clusters(source: &mut impl AdminSource, reading: &mut Reading, ingest: &Ingest) -> Result<(), ReadError> {
    let each = &mut |element: &[u8], from: ClusterSource| ingest.element(reading, element, from);
    if let Err(error) = fetch_dump(source, &section(Section::DynamicActive, true), ClusterSource::Active, each).await {
        if !is_too_old(&error) {
            return Err(error);
        }
        fetch_dump(source, &AdminRequest::AllClusters, ClusterSource::Active, each).await?;
        reading.whole = true;
    }
    if !reading.whole {
        let each = &mut |element: &[u8], from: ClusterSource| ingest.element(reading, element, from);
        fetch_dump(source, &section(Section::Static, true), ClusterSource::Static, each).await?;
        fetch_dump(source, &section(Section::DynamicWarming, true), ClusterSource::Warming, each).await?;
    }
    Ok(())
}

fn section(section: Section, masked: bool) -> AdminRequest {
    AdminRequest::Clusters { section, masked }
}

/// Whether an answer may come from an Envoy that does not know `resource` or a field of the mask: an error status,
/// or a text with status 200, or everything in one element. The whole dump tells whether it is Envoy at all.
fn is_too_old(error: &ReadError) -> bool {
    match error {
        ReadError::Admin(AdminError::Status { code, .. }) => matches!(code, 400 | 404 | 501),
        ReadError::Dump(DumpError::Elements(
            ElementError::NotJson(_) | ElementError::Unexpected { .. } | ElementError::TooLarge(_),
        )) => true,
        _ => false,
    }
}

/// Sends one request and takes the elements of the answer.
async fn fetch_dump(
    source: &mut impl AdminSource,
    request: &AdminRequest,
    kind: ClusterSource,
    each: &mut TakeElement<'_>,
) -> Result<Shape, ReadError> {
    let whole = matches!(request, AdminRequest::AllClusters);
    // Where an element has to be held as a whole, few are at once.
    static WHOLE: Semaphore = Semaphore::const_new(2);
    let _turn = if whole { WHOLE.acquire().await.ok() } else { None };
    let mut decoder = DumpDecoder::new(if whole { MAX_ELEMENT } else { MAX_ENTRY }, kind);
    let mut failed = None;
    source
        .send(request, &mut |chunk| match decoder.feed(chunk, &mut *each) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        })
        .await?;
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(decoder.finish()?),
    }
}

/// Since when each cluster of the control plane is as it is; nothing where the proxy does not say.
pub(super) async fn read_update_times(source: &mut impl AdminSource) -> HashMap<String, Timestamp> {
    let mut times = HashMap::new();
    let each = &mut |element: &[u8], _: ClusterSource| {
        last_updated(element, |name, time| {
            times.insert(name.to_owned(), time);
        });
        Ok(())
    };
    let _ = fetch_dump(source, &AdminRequest::UpdateTimes, ClusterSource::Active, each).await;
    times
}

/// Connection counters of every cluster that saw attempts.
async fn read_evidence(source: &mut impl AdminSource) -> Option<Vec<ClusterEvidence>> {
    let mut decoder = stats::EndpointsDecoder::default();
    let mut failed = false;
    let feed = &mut |chunk: &[u8]| match decoder.feed(chunk) {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => {
            failed = true;
            ControlFlow::Break(())
        }
    };
    source.send(&AdminRequest::Endpoints, feed).await.ok()?;
    if failed {
        return None;
    }
    let mut evidence = decoder.finish().ok()?;
    if !evidence.is_empty() {
        let request = AdminRequest::Stats { filter: stats::STATS_FILTER };
        if let Some(text) = read_text(source, &request, MAX_STATS).await {
            stats::add_stats(&mut evidence, &text);
        }
    }
    Some(evidence)
}

/// An answer as text, as far as the limit goes.
async fn read_text(source: &mut impl AdminSource, request: &AdminRequest, limit: usize) -> Option<String> {
    let mut text = Vec::new();
    let take = &mut |chunk: &[u8]| {
        text.extend_from_slice(chunk);
        if text.len() > limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    source.send(request, take).await.ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// How many bytes are read of the five counters that tell what became of a proxy's clusters.
const MAX_COUNTERS: usize = 16 << 10;

/// How many bytes of statistics are read: both of them for about 30,000 clusters.
const MAX_STATS: usize = 16 << 20;

/// The most bytes of one proxy's clusters with every field: those of some 15,000.
const MAX_OBJECTS: usize = 48 << 20;

/// A cluster as Envoy's own object, in istioctl's form. It is kept as text, which costs a fraction of what its values
/// do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterObject {
    /// Its name.
    pub name: String,
    /// Where in the dump it stood.
    pub source: ClusterSource,
    json: Box<str>,
}

impl ClusterObject {
    pub(super) fn new(value: &serde_json::Value, source: ClusterSource) -> Self {
        let name = value.get("name").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        Self { name, source, json: value.to_string().into() }
    }

    /// The object.
    #[must_use]
    pub fn value(&self) -> serde_json::Value {
        serde_json::from_str(&self.json).unwrap_or_default()
    }
}

impl Serialize for ClusterObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value().serialize(serializer)
    }
}

/// One proxy's clusters as they come.
#[derive(Debug, Default)]
pub(super) struct Objects {
    found: Vec<ClusterObject>,
    bytes: usize,
    too_many: Option<TooMany>,
}

impl Objects {
    /// Takes an element of a dump.
    pub(super) fn element(&mut self, element: &[u8], source: ClusterSource) -> Result<(), String> {
        let Self { found, bytes, too_many } = self;
        dump::cluster_objects(element, source, |value, source| {
            if *bytes <= MAX_OBJECTS && found.len() < MAX_CLUSTERS {
                let object = ClusterObject::new(&value, source);
                *bytes += object.json.len();
                found.push(object);
            } else {
                *too_many = Some(TooMany::Objects);
            }
        })?;
        self.too_many.map_or(Ok(()), |bound| Err(bound.to_string()))
    }

    /// What came, unless it was more than can be, or nothing.
    pub(super) fn finish(self, outcome: Result<(), ReadError>) -> Result<Vec<ClusterObject>, ReadError> {
        match self.too_many {
            Some(bound) => Err(bound.into()),
            None => {
                outcome?;
                if self.found.is_empty() { Err(ReadError::NoClusters) } else { Ok(self.found) }
            }
        }
    }
}

/// Reads a proxy's clusters with every field, for `clusters -o json`.
pub async fn read_objects(source: &mut impl AdminSource, id: &ProxyId) -> Result<Vec<ClusterObject>, UnreadProxy> {
    let mut objects = Objects::default();
    let read = async {
        let each = &mut |element: &[u8], from: ClusterSource| objects.element(element, from);
        let sections = [
            (Section::Static, ClusterSource::Static),
            (Section::DynamicActive, ClusterSource::Active),
            (Section::DynamicWarming, ClusterSource::Warming),
        ];
        for (name, kind) in sections {
            match fetch_dump(source, &section(name, false), kind, each).await {
                Err(error) if name == Section::Static && is_too_old(&error) => {
                    fetch_dump(source, &AdminRequest::AllClusters, ClusterSource::Active, each).await?;
                    return Ok(());
                }
                other => other?,
            };
        }
        Ok(())
    };
    let outcome: Result<(), ReadError> = read.await;
    objects.finish(outcome).map_err(|error| error.unread(id.clone()))
}
