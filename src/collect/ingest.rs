//! Where all proxies' clusters come together. Most proxies of a mesh hold most clusters to the byte alike and in one
//! order (Envoy keeps them in a `std::map` by name, `source/common/upstream/cluster_manager_impl.h`): what an element
//! said the last time is not decoded again, and where it comes behind the one it came behind before, it is not even
//! looked for: the bytes are compared, and that is all. What an element says of its update is not compared
//! ([`Stem`]): it differs from proxy to proxy.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher as _;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::decode::between;
use crate::decode::dump::{self, Held, Item, KnownElements, MAX_CLUSTERS, Node, TakeElement};
use crate::decode::entry::{self, Stem};
use crate::model::{
    ClusterSet, ClusterSource, EnvoyCluster, Proxy, ProxySnapshot, SkippedProxy, SnapshotBuilder, UnreadProxy,
};

/// The most bytes of distinct clusters in all, by [`weight`].
const MAX_DISTINCT: usize = 48 << 20;

/// The most bytes of one proxy's clusters with every field: those of some 15,000.
pub(super) const MAX_OBJECTS: usize = 48 << 20;

/// Elements up to this size, in bytes, are remembered undecoded.
const MEMO_ELEMENT: usize = 16 << 10;

/// How many bytes of elements are remembered in all.
const MEMO: usize = 64 << 20;

/// Where all proxies' clusters come together. What is known is only read, by all at once.
#[derive(Default)]
pub(super) struct Ingest(RwLock<Shared>);

#[derive(Default)]
struct Shared {
    builder: SnapshotBuilder,
    memo: Memo,
    /// What the distinct clusters weigh.
    weight: usize,
}

/// Elements that came before.
#[derive(Default)]
struct Memo {
    known: Vec<Known>,
    /// Their stems, behind one another as they came first: so they are mostly read again.
    stems: Vec<u8>,
    /// Places by a hash of source and stem. Of two with one hash, the first is only known behind its neighbour.
    places: HashMap<u64, usize, foldhash::fast::RandomState>,
}

/// An element, and what it says.
struct Known {
    source: ClusterSource,
    /// Where among all stems the two parts of its own are, behind one another.
    stem: Range<usize>,
    /// Where in it the second part begins, and the version stood; 0 where none was cut out.
    cut: usize,
    timed: bool,
    position: u32,
    /// Its version, where that is in the stem.
    version: Option<Arc<str>>,
    /// What came behind it, the last time and the time before: where some proxies hold one cluster and some another,
    /// both.
    next: [Option<usize>; 2],
}

/// A proxy, as far as it has been read.
pub(super) struct Reading {
    pub(super) snapshot: ProxySnapshot,
    /// Whether what came was the whole dump, and nothing else need be asked for.
    pub(super) whole: bool,
    /// How many clusters came.
    came: usize,
    /// The last positions that came one behind another, which are not in the set yet: it takes them at once.
    run: Range<u32>,
    too_many: Option<TooMany>,
    /// What the dump says of its proxy.
    pub(super) node: Option<Node>,
}

/// Takes the elements of one proxy's dump.
pub(super) struct Taking<'a> {
    ingest: &'a Ingest,
    reading: &'a mut Reading,
    /// Which of the known elements was the last.
    last: Option<usize>,
}

/// The most bytes that one element may have where a section was asked for, and each is one cluster; without a mask with
/// all of its endpoints.
pub(super) const MAX_ENTRY: usize = 8 << 20;

/// More than any mesh has.
#[derive(Debug, Clone, Copy, thiserror::Error)]
pub(super) enum TooMany {
    #[error("it has more than {MAX_CLUSTERS} clusters")]
    Clusters,
    #[error("it and the proxies read before have more than {} MiB of distinct clusters", MAX_DISTINCT >> 20)]
    Distinct,
    #[error("its clusters have more than {} MiB", MAX_OBJECTS >> 20)]
    Objects,
    #[error("one of its clusters has more than {} MiB", MAX_ENTRY >> 20)]
    Entry,
}

/// About how many bytes a distinct cluster costs.
fn weight(cluster: &EnvoyCluster) -> usize {
    let hint = cluster.destination_rule_hint.as_ref().map_or(0, |hint| hint.len());
    let services: usize = cluster.services.iter().map(|service| 64 + service.host.len()).sum();
    320 + cluster.name.len() + hint + services + cluster.error.as_ref().map_or(0, |error| error.len())
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
        Self { snapshot, whole: false, came: 0, run: 0..0, too_many: None, node: None }
    }

    /// The bound that was passed, in place of the decoder's error about it.
    pub(super) fn check(&mut self) -> Result<(), TooMany> {
        self.too_many.take().map_or(Ok(()), Err)
    }

    fn refuse(&mut self, bound: TooMany) -> String {
        self.too_many = Some(bound);
        bound.to_string()
    }

    fn hold(&mut self, position: u32, version: Option<&str>) {
        self.came += 1;
        if position == self.run.end {
            self.run.end += 1;
        } else {
            self.put();
            self.run = position..position + 1;
        }
        if version > self.snapshot.version.as_deref() {
            self.snapshot.version = version.map(Arc::from);
        }
    }

    fn put(&mut self) {
        self.snapshot.clusters.insert_all(std::mem::take(&mut self.run));
    }
}

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        self.reading.put();
    }
}

impl Memo {
    fn hash(&self, stem: &Stem<'_>, source: ClusterSource) -> u64 {
        self.places.hasher().hash_one((source, stem.before, stem.behind))
    }

    fn place(&self, stem: &Stem<'_>, source: ClusterSource) -> Option<usize> {
        let place = *self.places.get(&self.hash(stem, source))?;
        let known = &self.known[place];
        (known.source == source && self.parts(known) == (stem.before, stem.behind)).then_some(place)
    }

    /// Remembers an element, as long as there is room.
    fn add(
        &mut self,
        stem: &Stem<'_>,
        source: ClusterSource,
        position: u32,
        version: Option<Arc<str>>,
    ) -> Option<usize> {
        let (hash, place, cut) = (self.hash(stem, source), self.known.len(), stem.before.len());
        let (from, length) = (self.stems.len(), cut + stem.behind.len());
        if length > MEMO_ELEMENT || from + length > MEMO {
            return None;
        }
        self.stems.extend_from_slice(stem.before);
        self.stems.extend_from_slice(stem.behind);
        self.places.insert(hash, place);
        let version = version.filter(|_| stem.version.is_none());
        let (stem, timed) = (from..from + length, stem.timed);
        self.known.push(Known { source, stem, cut, timed, position, version, next: [None; 2] });
        Some(place)
    }

    /// One element came behind another.
    fn follow(&mut self, last: Option<usize>, place: Option<usize>) {
        if let (Some(last), Some(_)) = (last, place) {
            let next = &mut self.known[last].next;
            if !next.contains(&place) {
                *next = [place, next[0]];
            }
        }
    }

    /// Of the elements that came behind `last` the one that these bytes begin with: its place, how many bytes it has
    /// here, and its version.
    fn expected<'b>(
        &'b self,
        last: usize,
        bytes: &'b [u8],
        source: ClusterSource,
    ) -> Option<(usize, usize, Option<&'b str>)> {
        self.known[last].next.into_iter().flatten().find_map(|place| {
            let known = &self.known[place];
            let (length, version) = self.at_beginning(known, bytes).filter(|_| known.source == source)?;
            Some((place, length, version))
        })
    }

    fn parts(&self, known: &Known) -> (&[u8], &[u8]) {
        self.stems[known.stem.clone()].split_at(known.cut)
    }

    /// If these bytes begin with an element, whatever its update was: how many they are, and its version.
    fn at_beginning<'b>(&'b self, known: &'b Known, bytes: &'b [u8]) -> Option<(usize, Option<&'b str>)> {
        let (before, behind) = self.parts(known);
        let mut rest = behind_prefix(bytes, before)?;
        let mut version = known.version.as_deref();
        if !before.is_empty() {
            let own = entry::version(rest)?;
            rest = &rest[own.len()..];
            version = Some(own);
        }
        rest = behind_prefix(rest, behind)?;
        let tail = if known.timed { entry::tail(rest)? } else { 0 };
        Some((bytes.len() - rest.len() + tail, version))
    }
}

/// What comes behind a prefix. All that most proxies send goes through here, and the `memcmp` that a comparison of slices
/// calls takes one byte at a time in musl: pieces of this size are compared in place.
fn behind_prefix<'b>(bytes: &'b [u8], prefix: &[u8]) -> Option<&'b [u8]> {
    const PIECE: usize = 32;
    let (same, rest) = bytes.split_at_checked(prefix.len())?;
    let is_same = match (same.last_chunk::<PIECE>(), prefix.last_chunk::<PIECE>()) {
        (Some(end), Some(wanted)) => {
            end == wanted && same.as_chunks::<PIECE>().0.iter().zip(prefix.as_chunks::<PIECE>().0).all(|(a, b)| a == b)
        }
        _ => same == prefix,
    };
    is_same.then_some(rest)
}

impl Taking<'_> {
    /// Takes an element that is not the expected one.
    fn take(&mut self, element: &[u8], source: ClusterSource) -> Result<Option<usize>, String> {
        let (mut shared, reading) = (self.ingest.lock(), &mut *self.reading);
        if reading.came >= MAX_CLUSTERS {
            return Err(reading.refuse(TooMany::Clusters));
        }
        let stem = Stem::of(element);
        if let Some(place) = shared.memo.place(&stem, source) {
            shared.memo.follow(self.last, Some(place));
            let known = &shared.memo.known[place];
            reading.hold(known.position, stem.version.or(known.version.as_deref()));
            return Ok(Some(place));
        }
        let (mut last, mut other) = (None, false);
        let held = dump::decode_element(element, source, |item| match item {
            Item::Cluster(cluster, version) => {
                if reading.came >= MAX_CLUSTERS || shared.weight > MAX_DISTINCT {
                    return;
                }
                let weight = weight(&cluster);
                let known = shared.builder.distinct();
                let position = shared.builder.intern(cluster);
                shared.weight += if position as usize == known { weight } else { 0 };
                reading.hold(position, version.as_deref());
                last = Some((position, version));
            }
            Item::Node(node) => other |= reading.node.replace(node).is_some(),
        })?;
        if other {
            return Err("another proxy's dump begins here: each proxy has a file of its own".to_owned());
        }
        if shared.weight > MAX_DISTINCT {
            return Err(reading.refuse(TooMany::Distinct));
        }
        reading.whole |= held == Held::Sections;
        let (Held::Cluster, Some((position, version))) = (held, last) else { return Ok(None) };
        let place = shared.memo.add(&stem, source, position, version);
        shared.memo.follow(self.last, place);
        Ok(place)
    }
}

impl TakeElement for Taking<'_> {
    fn known(&mut self, bytes: &[u8], source: ClusterSource) -> KnownElements {
        let mut taken = KnownElements::default();
        let Some(mut last) = self.last else { return taken };
        let shared = self.ingest.look();
        while self.reading.came < MAX_CLUSTERS
            && let Some((place, length, version)) = shared.memo.expected(last, &bytes[taken.bytes..], source)
        {
            self.reading.hold(shared.memo.known[place].position, version);
            taken.bytes += length;
            taken.bytes += between(&bytes[taken.bytes..]);
            taken.elements += 1;
            last = place;
        }
        self.last = Some(last);
        taken
    }

    fn section(&mut self) {
        self.reading.whole = true;
    }

    fn element(&mut self, element: &[u8], source: ClusterSource) -> Result<(), String> {
        self.last = self.take(element, source)?;
        Ok(())
    }
}

impl Ingest {
    fn look(&self) -> RwLockReadGuard<'_, Shared> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> RwLockWriteGuard<'_, Shared> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the elements of a proxy's dump.
    pub(super) fn taking<'a>(&'a self, reading: &'a mut Reading) -> Taking<'a> {
        Taking { ingest: self, reading, last: None }
    }

    /// Adds a proxy that was read, or could not be.
    pub(super) fn add(&self, outcome: Result<Reading, UnreadProxy>) {
        let builder = &mut self.lock().builder;
        match outcome {
            Ok(Reading { snapshot, .. }) => {
                tracing::debug!("{}: {} clusters read", snapshot.proxy.id, snapshot.clusters.len());
                builder.read(snapshot);
            }
            Err(unread) => builder.fail(unread),
        }
    }

    /// Whether a proxy has two different clusters of one name from one source, which no Envoy has.
    pub(super) fn repeats(&self, reading: &Reading) -> bool {
        let builder = &self.look().builder;
        let mut seen = HashSet::new();
        let mut clusters = reading.snapshot.clusters.iter().map(|position| builder.cluster(position));
        !clusters.all(|cluster| seen.insert((&*cluster.name, cluster.source)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::dump::DumpDecoder;
    use crate::model::ProxyId;
    use jiff::Timestamp;
    use proptest::prelude::*;

    /// Names and timeouts that a proxy holds after dumps of several have come, in pieces of so many bytes; as a list of
    /// entries, or as the section of a whole dump, whose entries say of each proxy when it got them.
    fn held(dumps: &[Vec<(u8, u8)>], piece: usize, sections: bool) -> Vec<Vec<String>> {
        let ingest = Ingest::default();
        for (number, clusters) in dumps.iter().enumerate() {
            let time =
                if sections { format!(", \"last_updated\": \"2026-11-23T18:00:0{number}Z\"") } else { String::new() };
            let elements: Vec<String> = clusters
                .iter()
                .map(|(name, timeout)| {
                    format!(
                        r#"{{"version_info": "{number}", "cluster": {{"name": "c{name}", "connect_timeout": "{timeout}s"}}{time}}}"#
                    )
                })
                .collect();
            let list = elements.join(",\n  ");
            let dump = if sections {
                format!(
                    r#"{{"configs": [{{"@type": "x/envoy.admin.v3.ListenersConfigDump", "static_clusters": [{{}}]}}, {{
  "@type": "x/envoy.admin.v3.ClustersConfigDump", "version_info": "9", "dynamic_active_clusters": [
  {list}
  ], "x": [{{"cluster": 1}}]}}]}}"#
                )
            } else {
                format!("{{\"configs\": [\n  {list}\n ]\n}}\n")
            };
            let mut reading = Reading::new(Proxy::named(ProxyId::new("", format!("{number:03}"))));
            let mut decoder = DumpDecoder::new(1 << 20, ClusterSource::Active);
            let mut taking = ingest.taking(&mut reading);
            for bytes in dump.as_bytes().chunks(piece) {
                decoder.feed(bytes, &mut taking).expect("a dump");
            }
            decoder.finish().expect("a dump");
            drop(taking);
            let version = (!clusters.is_empty()).then(|| number.to_string());
            assert_eq!((reading.came, reading.snapshot.version.as_deref()), (clusters.len(), version.as_deref()));
            assert_eq!(reading.whole, sections);
            ingest.add(Ok(reading));
        }
        if sections && piece > 1000 {
            let shared = ingest.look();
            let distinct = dumps.iter().flatten().collect::<std::collections::BTreeSet<_>>().len();
            assert_eq!(shared.memo.known.len(), distinct, "an update is no other cluster");
        }
        let snapshot = ingest.take().finish(Timestamp::UNIX_EPOCH);
        let name = |position: u32| {
            let cluster = &snapshot.clusters[position as usize];
            format!("{} {:?}", cluster.name, cluster.connect_timeout)
        };
        snapshot.proxies.iter().map(|read| read.clusters.iter().map(name).collect()).collect()
    }

    proptest! {
        #[test]
        fn a_prefix_is_what_the_bytes_begin_with(
            bytes in proptest::collection::vec(0u8..3, 0..100),
            length in 0usize..110,
            other in proptest::option::of(0usize..100),
        ) {
            let mut prefix: Vec<u8> = bytes.iter().copied().chain([0; 110]).take(length).collect();
            if let Some(byte) = other.and_then(|at| prefix.get_mut(at)) {
                *byte ^= 1;
            }
            prop_assert_eq!(behind_prefix(&bytes, &prefix), bytes.strip_prefix(prefix.as_slice()));
        }

        #[test]
        fn what_came_before_changes_nothing(
            dumps in proptest::collection::vec(proptest::collection::vec((0u8..6, 1u8..3), 0..12), 1..6),
            piece in prop_oneof![1usize..300, Just(1usize << 20)],
            sections: bool,
        ) {
            let together = held(&dumps, piece, sections);
            for (dump, found) in dumps.iter().zip(together) {
                let dump = std::slice::from_ref(dump);
                let mut alone = held(dump, 1 << 20, !sections).remove(0);
                let mut found = found;
                alone.sort();
                found.sort();
                prop_assert_eq!(alone, found);
            }
        }
    }

    #[test]
    fn what_comes_in_the_known_order_is_not_looked_at_again() {
        let ingest = Ingest::default();
        let dump: String = (0..50).map(|number| format!("{{\"name\": \"c{number}\"}},\n")).collect();
        let mut first = Reading::new(Proxy::named(ProxyId::new("", "a")));
        let mut taking = ingest.taking(&mut first);
        for element in dump.lines() {
            taking.element(element.trim_end_matches(',').as_bytes(), ClusterSource::Active).expect("a cluster");
        }
        let mut second = Reading::new(Proxy::named(ProxyId::new("", "b")));
        let mut taking = ingest.taking(&mut second);
        assert_eq!(taking.known(dump.as_bytes(), ClusterSource::Active).bytes, 0, "nothing came before");
        let (one, rest) = dump.split_once(",\n").expect("two");
        taking.element(one.as_bytes(), ClusterSource::Active).expect("a cluster");
        let known = taking.known(rest.as_bytes(), ClusterSource::Active);
        assert_eq!((known.bytes, known.elements), (rest.len(), 49));
        assert_eq!(taking.known(rest.as_bytes(), ClusterSource::Static).bytes, 0, "of another section");
    }
}
