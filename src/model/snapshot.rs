//! Everything an audit reads, as one value. `snapshot` writes it and `--from` reads it back.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use foldhash::{HashMap, HashMapExt, HashSet};
use jiff::Timestamp;
use roaring::RoaringBitmap;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::evidence::ClusterEvidence;
use super::istio::IstioObjects;
use super::sync::XdsCounters;
use super::{EnvoyCluster, LoggerLevels, Proxy, ProxyId};

/// A snapshot as it is written: `kind: MeshSnapshot`.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotDocument<'a> {
    /// Always `meshaudit/v1`.
    pub api_version: &'static str,
    /// Always `MeshSnapshot`.
    pub kind: &'static str,
    /// What wrote it.
    pub tool: SnapshotTool,
    /// What was read.
    pub snapshot: &'a MeshSnapshot,
}

/// The program that wrote a snapshot.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct SnapshotTool {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
}

impl<'a> SnapshotDocument<'a> {
    /// Its kind.
    pub const KIND: &'static str = "MeshSnapshot";

    /// Of a snapshot, by this program.
    #[must_use]
    pub const fn of(snapshot: &'a MeshSnapshot) -> Self {
        let tool = SnapshotTool { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") };
        Self { api_version: "meshaudit/v1", kind: Self::KIND, tool, snapshot }
    }
}

/// A set of positions in a table: clusters a proxy holds, or proxies that hold a cluster. Runs cost a few bytes,
/// whatever their length, and that is what the clusters of a mesh's proxies are. Copies share the positions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ClusterSet(Arc<RoaringBitmap>);

// A set of numbers equals itself.
impl Eq for ClusterSet {}

impl Hash for ClusterSet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.runs().hash(state);
    }
}

impl ClusterSet {
    /// Beyond every position of a table that is read back: a few bytes of JSON may name a run of four billion, which is
    /// megabytes as a set.
    const MOST: u32 = 1 << 21;

    /// Adds a position.
    pub fn insert(&mut self, position: u32) {
        Arc::make_mut(&mut self.0).insert(position);
    }

    /// Adds positions that follow one another.
    pub fn insert_all(&mut self, positions: Range<u32>) {
        Arc::make_mut(&mut self.0).insert_range(positions);
    }

    /// Adds all positions of another set.
    pub fn extend(&mut self, other: &Self) {
        if self.is_empty() {
            self.0 = Arc::clone(&other.0);
        } else if !other.0.is_subset(&self.0) {
            *Arc::make_mut(&mut self.0) |= &*other.0;
        }
    }

    /// What all copies have in common that share their positions, and no other set as long as one of them is there.
    #[must_use]
    pub fn identity(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// The set as runs of positions, first and last.
    #[must_use]
    pub fn runs(&self) -> Vec<[u32; 2]> {
        let mut positions = self.0.iter();
        let mut runs: Vec<[u32; 2]> = Vec::new();
        while let Some(next) = positions.next_range() {
            match runs.last_mut() {
                Some([_, last]) if *last + 1 == *next.start() => *last = *next.end(),
                _ => runs.push([*next.start(), *next.end()]),
            }
        }
        runs
    }

    /// The positions that are in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut union = self.clone();
        union.extend(other);
        union.shrink();
        union
    }

    /// The positions that are in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        // Mostly nothing is left out, and copies share what they have.
        if self.0.is_subset(&other.0) { self.clone() } else { Self(Arc::new(&*self.0 & &*other.0)) }
    }

    /// The positions that are not in the other.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        if self.0.is_disjoint(&other.0) { self.clone() } else { Self(Arc::new(&*self.0 - &*other.0)) }
    }

    /// Gives back what fewer runs need no more.
    pub fn shrink(&mut self) {
        // One that other copies share is as small as it gets: whoever makes copies has made it so.
        if let Some(positions) = Arc::get_mut(&mut self.0) {
            positions.optimize();
        }
    }

    /// The positions, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter()
    }

    /// The last position.
    #[must_use]
    pub fn last(&self) -> Option<u32> {
        self.0.max()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::try_from(self.0.len()).unwrap_or(usize::MAX)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a position is in it.
    #[must_use]
    pub fn contains(&self, position: u32) -> bool {
        self.0.contains(position)
    }
}

/// What belongs to sets: found by their [identity](ClusterSet::identity) where copies of them were put in, and else by what
/// is in them, which takes as long as they are large. It keeps a copy of each, so that no other takes its identity.
#[derive(Debug)]
pub struct BySet<T> {
    same: HashMap<usize, T>,
    equal: HashMap<ClusterSet, T>,
}

impl<T> Default for BySet<T> {
    fn default() -> Self {
        Self { same: HashMap::new(), equal: HashMap::new() }
    }
}

impl<T: Clone> BySet<T> {
    /// What belongs to a set that is equal to this one.
    #[must_use]
    pub fn get(&self, set: &ClusterSet) -> Option<&T> {
        self.same.get(&set.identity()).or_else(|| self.equal.get(set))
    }

    /// Puts in what belongs to a set of which nothing is known.
    pub fn insert(&mut self, set: &ClusterSet, what: T) {
        self.same.insert(set.identity(), what.clone());
        self.equal.insert(set.clone(), what);
    }
}

impl FromIterator<u32> for ClusterSet {
    fn from_iter<I: IntoIterator<Item = u32>>(positions: I) -> Self {
        Self(Arc::new(positions.into_iter().collect()))
    }
}

/// As runs: `[[first, last], …]`.
impl schemars::JsonSchema for ClusterSet {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ClusterSet".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let position = serde_json::json!({"type": "integer", "minimum": 0, "maximum": Self::MOST});
        schemars::json_schema!({
            "description": "Positions in the table of clusters, as runs: first and last.",
            "type": "array",
            "items": {"type": "array", "items": position, "minItems": 2, "maxItems": 2},
        })
    }
}

impl Serialize for ClusterSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.runs().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ClusterSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Runs;
        impl<'de> Visitor<'de> for Runs {
            type Value = ClusterSet;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("runs of positions: [[first, last], …]")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut runs: A) -> Result<ClusterSet, A::Error> {
                let mut set = RoaringBitmap::new();
                while let Some([first, last]) = runs.next_element::<[u32; 2]>()? {
                    if last >= ClusterSet::MOST {
                        return Err(A::Error::custom("a position that no table has"));
                    }
                    set.insert_range(first..=last);
                }
                Ok(ClusterSet(Arc::new(set)))
            }
        }
        deserializer.deserialize_seq(Runs)
    }
}

/// A proxy that was read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProxySnapshot {
    /// The proxy.
    pub proxy: Proxy,
    /// The clusters it holds: positions in [`MeshSnapshot::clusters`].
    pub clusters: ClusterSet,
    /// The newest `version_info` among its dynamic clusters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Arc<str>>,
    /// Its logger levels; `None` where they were not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loggers: Option<Arc<LoggerLevels>>,
    /// What it counts of the clusters it is sent; `None` where it was not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xds: Option<XdsCounters>,
    /// What it counted of connection attempts, for clusters that saw any; `None` where it was not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Vec<ClusterEvidence>>,
}

impl ProxySnapshot {
    /// A proxy of which nothing was read yet.
    #[must_use]
    pub fn named(proxy: Proxy) -> Self {
        Self { proxy, clusters: ClusterSet::default(), version: None, loggers: None, evidence: None, xds: None }
    }
}

/// A pod that was selected and is no proxy that could be audited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SkippedProxy {
    /// The pod.
    pub id: ProxyId,
    /// Why.
    pub reason: String,
}

/// Why a proxy could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FailureCause {
    /// The API server refused the port-forward.
    Forbidden,
    /// A deadline passed.
    Timeout,
    /// The admin endpoint could not be reached, or the connection broke.
    Unreachable,
    /// Something answered that is not Envoy.
    NotEnvoy,
    /// The answer ended early or is not whole.
    Truncated,
    /// The answer is larger than the limit.
    TooLarge,
    /// The pod went away.
    Gone,
}

impl fmt::Display for FailureCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Forbidden => "forbidden",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::NotEnvoy => "not-envoy",
            Self::Truncated => "truncated",
            Self::TooLarge => "too-large",
            Self::Gone => "gone",
        })
    }
}

/// A proxy that could not be read: data, not an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct UnreadProxy {
    /// The proxy, or the input.
    pub id: ProxyId,
    /// Why.
    pub cause: FailureCause,
    /// What happened, in words.
    pub message: String,
}

/// What an audit reads of a mesh.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MeshSnapshot {
    /// When reading began.
    pub taken_at: Timestamp,
    /// The distinct clusters, in the order of the first proxy that holds them, by name.
    pub clusters: Vec<EnvoyCluster>,
    /// The proxies that were read, by name.
    pub proxies: Vec<ProxySnapshot>,
    /// The pods that are not to be audited, by name.
    pub skipped: Vec<SkippedProxy>,
    /// The proxies that could not be read, by name.
    pub failed: Vec<UnreadProxy>,
    /// What each Kubernetes cluster says about Istio, by [`ProxyId::context`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub objects: BTreeMap<String, IstioObjects>,
}

impl MeshSnapshot {
    /// Leaves of each proxy's connection counters what happened since an earlier snapshot. A proxy that was not in it,
    /// or was restarted since, keeps its figures: they began after it.
    pub fn evidence_since(&mut self, earlier: &Self) {
        for read in &mut self.proxies {
            let Ok(at) = earlier.proxies.binary_search_by(|known| known.proxy.id.cmp(&read.proxy.id)) else { continue };
            let before = &earlier.proxies[at];
            let same = before.proxy.uid == read.proxy.uid && before.proxy.restart_count == read.proxy.restart_count;
            let (Some(now), Some(before), true) = (&mut read.evidence, &before.evidence, same) else { continue };
            for entry in now.iter_mut() {
                if let Ok(at) = before.binary_search_by(|known| known.cluster.cmp(&entry.cluster)) {
                    *entry = entry.since(&before[at]);
                }
            }
            now.retain(|entry| entry.attempts > 0 || entry.failures > 0);
        }
    }
}

/// Puts a snapshot together out of what proxies hold, keeping each distinct cluster once.
#[derive(Debug, Default)]
pub struct SnapshotBuilder {
    clusters: Vec<EnvoyCluster>,
    positions: HashMap<EnvoyCluster, u32>,
    loggers: HashSet<Arc<LoggerLevels>>,
    sets: HashSet<ClusterSet>,
    proxies: Vec<ProxySnapshot>,
    skipped: Vec<SkippedProxy>,
    failed: Vec<UnreadProxy>,
    objects: BTreeMap<String, IstioObjects>,
}

impl MeshSnapshot {
    /// The part with the proxies that `keeps`, and with those not read or not to be audited that `may_mean` names.
    #[must_use]
    pub fn keep(self, keeps: impl Fn(&Proxy) -> bool, may_mean: impl Fn(&ProxyId) -> bool) -> Self {
        let mut builder = SnapshotBuilder::default();
        for mut read in self.proxies.into_iter().filter(|read| keeps(&read.proxy)) {
            let held = read.clusters.iter().map(|position| builder.intern(self.clusters[position as usize].clone()));
            read.clusters = held.collect();
            builder.read(read);
        }
        self.skipped.into_iter().filter(|skipped| may_mean(&skipped.id)).for_each(|skipped| builder.skip(skipped));
        self.failed.into_iter().filter(|failed| may_mean(&failed.id)).for_each(|failed| builder.fail(failed));
        Self { objects: self.objects, ..builder.finish(self.taken_at) }
    }
}

/// The known value that equals this one, of which a copy costs nothing; else this one, known from now on.
fn shared<T: Clone + Eq + Hash>(known: &mut HashSet<T>, value: T) -> T {
    if let Some(equal) = known.get(&value) {
        return equal.clone();
    }
    known.insert(value.clone());
    value
}

impl SnapshotBuilder {
    /// The position of a cluster in the table of distinct ones.
    pub fn intern(&mut self, cluster: EnvoyCluster) -> u32 {
        if let Some(&position) = self.positions.get(&cluster) {
            return position;
        }
        let position = u32::try_from(self.clusters.len()).unwrap_or(u32::MAX);
        self.clusters.push(cluster.clone());
        self.positions.insert(cluster, position);
        position
    }

    /// The distinct cluster at a position that [`Self::intern`] gave.
    #[must_use]
    pub fn cluster(&self, position: u32) -> &EnvoyCluster {
        &self.clusters[position as usize]
    }

    /// How many distinct clusters there are.
    #[must_use]
    pub fn distinct(&self) -> usize {
        self.clusters.len()
    }

    /// Adds a proxy that was read, with positions that [`Self::intern`] gave.
    pub fn read(&mut self, mut proxy: ProxySnapshot) {
        proxy.clusters.shrink();
        proxy.clusters = shared(&mut self.sets, proxy.clusters);
        proxy.loggers = proxy.loggers.map(|levels| shared(&mut self.loggers, levels));
        self.proxies.push(proxy);
    }

    /// Adds a pod that is not to be audited.
    pub fn skip(&mut self, skipped: SkippedProxy) {
        self.skipped.push(skipped);
    }

    /// Adds a proxy that could not be read.
    pub fn fail(&mut self, failed: UnreadProxy) {
        self.failed.push(failed);
    }

    /// Adds what a Kubernetes cluster says about Istio.
    pub fn objects(&mut self, context: impl Into<String>, mut objects: IstioObjects) {
        objects.sort();
        self.objects.insert(context.into(), objects);
    }

    /// The names of the proxies that were read or could not be.
    pub fn seen(&self) -> impl Iterator<Item = &ProxyId> {
        self.proxies.iter().map(|read| &read.proxy.id).chain(self.failed.iter().map(|failed| &failed.id))
    }

    /// Puts everything in order: whatever came first, the same mesh gives the same snapshot. Clusters stand in the order
    /// of the first proxy that holds them, so that most proxies' are a few runs.
    #[must_use]
    pub fn finish(self, taken_at: Timestamp) -> MeshSnapshot {
        let mut proxies = self.proxies;
        proxies.sort_by(|a, b| a.proxy.id.cmp(&b.proxy.id));
        let mut renamed: Vec<Option<u32>> = vec![None; self.clusters.len()];
        let mut order: Vec<u32> = Vec::with_capacity(self.clusters.len());
        let place = |old: u32| {
            let EnvoyCluster { name, connect_timeout, source, destination_rule_hint, error, discovery_type, services } =
                &self.clusters[old as usize];
            (name, connect_timeout, source, destination_rule_hint, error, discovery_type, services)
        };
        // Many proxies hold the same ones.
        let mut seen: HashMap<ClusterSet, ClusterSet> = HashMap::new();
        for proxy in &mut proxies {
            if let Some(known) = seen.get(&proxy.clusters) {
                proxy.clusters = known.clone();
                continue;
            }
            let old = std::mem::take(&mut proxy.clusters);
            let mut new: Vec<u32> = old.iter().filter(|old| renamed[*old as usize].is_none()).collect();
            new.sort_by(|one, other| place(*one).cmp(&place(*other)));
            for old in new {
                renamed[old as usize] = u32::try_from(order.len()).ok();
                order.push(old);
            }
            proxy.clusters = old.iter().filter_map(|old| renamed[old as usize]).collect();
            proxy.clusters.shrink();
            seen.insert(old, proxy.clusters.clone());
        }
        let mut clusters: Vec<Option<EnvoyCluster>> = self.clusters.into_iter().map(Some).collect();
        let clusters = order.iter().filter_map(|&old| clusters[old as usize].take()).collect();
        let mut skipped = self.skipped;
        skipped.sort_by(|a, b| a.id.cmp(&b.id));
        let mut failed = self.failed;
        failed.sort_by(|a, b| a.id.cmp(&b.id));
        MeshSnapshot { taken_at, clusters, proxies, skipped, failed, objects: self.objects }
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher as _;

    use super::*;
    use crate::model::ClusterSource;
    use std::time::Duration;

    #[test]
    fn proxies_that_come_together_hold_runs_all_the_same() {
        let cluster = |number: u32, seconds: u64| EnvoyCluster {
            name: format!("outbound|80||service-{number:04}").into(),
            discovery_type: "EDS".into(),
            connect_timeout: Some(Duration::from_secs(seconds)),
            source: ClusterSource::Active,
            error: None,
            destination_rule_hint: None,
            services: Vec::new(),
        };
        let mut builder = SnapshotBuilder::default();
        let mut read: Vec<ProxySnapshot> =
            ["b", "c", "a"].map(|name| ProxySnapshot::named(Proxy::named(ProxyId::new("", name)))).into();
        for number in (0..100).rev() {
            for (proxy, seconds) in read.iter_mut().zip([10, 1, 10]) {
                proxy.clusters.insert(builder.intern(cluster(number, if number % 20 == 0 { 5 } else { seconds })));
            }
        }
        read.into_iter().for_each(|proxy| builder.read(proxy));
        let snapshot = builder.finish(Timestamp::UNIX_EPOCH);
        let runs: Vec<usize> = snapshot.proxies.iter().map(|proxy| proxy.clusters.runs().len()).collect();
        assert_eq!(runs, [1, 1, 6], "of a, b and c");
        for (proxy, seconds) in snapshot.proxies.iter().zip([10, 10, 1]) {
            let held: Vec<&EnvoyCluster> =
                proxy.clusters.iter().map(|position| &snapshot.clusters[position as usize]).collect();
            assert_eq!(held.len(), 100);
            assert_eq!(held.iter().filter(|one| one.connect_timeout == Some(Duration::from_secs(5))).count(), 5);
            assert!(held.iter().any(|one| one.connect_timeout == Some(Duration::from_secs(seconds))));
        }
    }

    #[test]
    fn equal_sets_have_one_hash_however_they_are_kept() {
        let hash = |set: &ClusterSet| foldhash::fast::FixedState::default().hash_one(set);
        let mut singly = ClusterSet::default();
        (10..70_000).for_each(|position| singly.insert(position));
        let mut at_once = ClusterSet::default();
        at_once.insert_all(40_000..70_000);
        at_once.insert_all(10..40_000);
        assert_eq!((singly.runs(), hash(&singly)), (vec![[10, 69_999]], hash(&at_once)));
        let mut shrunk = singly.clone();
        shrunk.insert(80_000);
        shrunk.shrink();
        let gone = shrunk.without(&ClusterSet::from_iter([80_000]));
        assert_eq!((gone == singly, hash(&gone)), (true, hash(&singly)));
        assert_ne!(hash(&shrunk), hash(&singly));
    }
}
