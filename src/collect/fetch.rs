//! Reads one proxy: asks for little, falls back to more where the Envoy is too old for that, and puts what comes
//! into the snapshot while it comes.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use tokio::sync::Semaphore;

use super::ingest::{Ingest, MAX_ENTRY, MAX_OBJECTS, Reading, TooMany};
use super::lease::read_levels;
use super::sample::Sample;
use crate::decode::dump::{self, DumpDecoder, DumpError, MAX_CLUSTERS};
use crate::decode::stats::Wanted;
use crate::decode::{ElementError, Shape, last_updated, stats, xds_stats};
use crate::model::evidence::ClusterEvidence;
use crate::model::{ClusterSource, FailureCause, Proxy, ProxyId, UnreadProxy};
use crate::reach::{AdminError, AdminRequest, AdminSource, Section};

/// The most bytes that one element of a dump may have: the section with all clusters, in a whole dump.
pub(super) const MAX_ELEMENT: usize = 64 << 20;

/// Takes one undecoded element of a dump, or says what is wrong with it.
pub(super) type TakeElement<'a> = dyn dump::TakeElement + Send + 'a;

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

impl ReadError {
    pub(super) fn cause(&self) -> FailureCause {
        match self {
            Self::Admin(error) => error.cause(),
            Self::Dump(DumpError::Elements(ElementError::Truncated(_))) => FailureCause::Truncated,
            Self::Dump(DumpError::Elements(ElementError::TooLarge(_)) | DumpError::TooMany) | Self::TooMany(_) => {
                FailureCause::TooLarge
            }
            Self::Dump(_) | Self::NoClusters => FailureCause::NotEnvoy,
        }
    }

    pub(super) fn unread(&self, id: ProxyId) -> UnreadProxy {
        UnreadProxy { id, cause: self.cause(), message: self.to_string() }
    }
}

/// What is read beside the clusters; an audit is none the worse without.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Extras<'a> {
    loggers: bool,
    evidence: bool,
    /// Whether that depends on the number of clusters.
    sample: Option<&'a Sample>,
}

impl<'a> Extras<'a> {
    pub(super) fn of(options: &super::CollectOptions, sample: Option<&'a Sample>) -> Self {
        Self { loggers: options.loggers, evidence: options.evidence, sample }
    }

    /// Whether connection counters of this proxy are read.
    fn evidence_of(&self, reading: &Reading) -> bool {
        let (id, clusters) = (&reading.snapshot.proxy.id, reading.snapshot.clusters.len());
        self.evidence && self.sample.is_none_or(|sample| sample.reads(id, clusters))
    }
}

/// Reads a proxy: its active, static and warming clusters, and its logger levels.
pub(super) async fn read(
    source: &mut impl AdminSource,
    proxy: Proxy,
    ingest: &Ingest,
    extras: Extras<'_>,
) -> Result<Reading, ReadError> {
    let mut reading = Reading::new(proxy);
    let outcome = read_clusters(source, &mut reading, ingest, extras).await;
    reading.check()?;
    let (counters, evidence) = outcome?;
    if reading.snapshot.clusters.is_empty() {
        return Err(ReadError::NoClusters);
    }
    if extras.loggers {
        // Worth having, and an audit is none the worse without them.
        reading.snapshot.loggers = read_levels(source).await.ok().map(Arc::new);
    }
    reading.snapshot.xds = xds_stats::parse(&counters);
    let of_counters = || reading.snapshot.xds.as_ref().and_then(|xds| xds.version.clone());
    reading.snapshot.version = reading.snapshot.version.or_else(of_counters);
    if evidence {
        let wanted = ingest.with(|builder| {
            let clusters = reading.snapshot.clusters.iter().map(|position| builder.cluster(position));
            stats::wanted(clusters.map(|cluster| (&*cluster.name, cluster.kind().is_judged())), &counters)
        });
        reading.snapshot.evidence = read_evidence(source, wanted).await;
    }
    Ok(reading)
}

/// Reads a proxy's clusters and, since it tells whether any is warming, its counters; and whether those of connections
/// are to be read.
async fn read_clusters(
    source: &mut impl AdminSource,
    reading: &mut Reading,
    ingest: &Ingest,
    extras: Extras<'_>,
) -> Result<(String, bool), ReadError> {
    let request = section(Section::DynamicActive, true);
    let active = fetch_dump(source, &request, ClusterSource::Active, &mut ingest.taking(reading)).await;
    if let Err(error) = active {
        if !is_too_old(&error) {
            return Err(error);
        }
        let request = AdminRequest::AllClusters;
        fetch_dump(source, &request, ClusterSource::Active, &mut ingest.taking(reading)).await?;
        reading.whole = true;
    }
    if !reading.whole {
        let each = &mut ingest.taking(reading);
        fetch_dump(source, &section(Section::Static, true), ClusterSource::Static, each).await?;
    }
    let evidence = extras.evidence_of(reading);
    let (filter, limit) = if evidence {
        (format!("{}|{}", xds_stats::FILTER, stats::TOTALS_FILTER).into(), MAX_STATS)
    } else {
        (xds_stats::FILTER.into(), MAX_COUNTERS)
    };
    // Without them only istiod can tell what became of the last clusters; no reason to give the proxy up.
    let counters = read_text(source, &AdminRequest::Stats { filter }, limit).await.unwrap_or_default();
    if !reading.whole && xds_stats::warming(&counters) != Some(0) {
        let each = &mut ingest.taking(reading);
        fetch_dump(source, &section(Section::DynamicWarming, true), ClusterSource::Warming, each).await?;
    }
    Ok((counters, evidence))
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
        .send(request, &mut |chunk| match decoder.feed(chunk, each) {
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
async fn read_evidence(source: &mut impl AdminSource, wanted: Wanted) -> Option<Vec<ClusterEvidence>> {
    let filter = match wanted {
        Wanted::Nothing => return Some(Vec::new()),
        Wanted::Matching(filter) => Some(filter),
        Wanted::Everything => None,
    };
    let mut decoder = stats::EndpointsDecoder::default();
    let mut failed = false;
    let feed = &mut |chunk: &[u8]| match decoder.feed(chunk) {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => {
            failed = true;
            ControlFlow::Break(())
        }
    };
    source.send(&AdminRequest::Endpoints { filter }, feed).await.ok()?;
    if failed {
        return None;
    }
    let mut evidence = decoder.finish().ok()?;
    if !evidence.is_empty() {
        let request = AdminRequest::Stats { filter: stats::stats_filter(&evidence) };
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
    /// `None` of what is larger than any cluster is.
    pub(super) fn new(value: &serde_json::Value, source: ClusterSource) -> Option<Self> {
        let json = value.to_string();
        if json.len() > MAX_ENTRY {
            return None;
        }
        let name = value.get("name").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        Some(Self { name, source, json: json.into() })
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
            if *bytes > MAX_OBJECTS || found.len() >= MAX_CLUSTERS {
                *too_many = Some(TooMany::Objects);
            } else if let Some(object) = ClusterObject::new(&value, source) {
                *bytes += object.json.len();
                found.push(object);
            } else {
                *too_many = Some(TooMany::Entry);
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
