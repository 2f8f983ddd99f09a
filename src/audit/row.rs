//! The distinct values of a mesh, and the proxies that hold them.

use std::sync::Arc;
use std::time::Duration;

use foldhash::{HashMap, HashMapExt};

use super::Filter;
use crate::attribute::{Attribution, Attributor, Dropped, Expected, Verdict};
use crate::cores::in_order;
use crate::model::{
    BySet, ClusterKind, ClusterName, ClusterSet, Direction, EnvoyCluster, MeshSnapshot, Origin, syn_retransmissions,
};

/// One distinct (cluster, value, origin), and the proxies that hold it. Proxies of which the rules would say something
/// else, since another value should be held or another mesh's value would be in its place, are another row.
#[derive(Debug, Clone)]
pub struct Row {
    /// The cluster's whole name.
    pub name: Arc<str>,
    /// What the cluster is for.
    pub kind: ClusterKind,
    /// The discovery type.
    pub discovery_type: Arc<str>,
    /// `connect_timeout`; `None` where the field is absent.
    pub connect_timeout: Option<Duration>,
    /// Where the value came from.
    pub origin: Origin,
    /// How it compares with what should be held.
    pub verdict: Verdict,
    /// What should be held; `None` where too little could be read.
    pub expected: Option<Expected>,
    /// The mesh's value for these proxies, as far as it is known.
    pub mesh: Option<Duration>,
    /// Timeouts that were meant for it and are lost, and for which of the proxies.
    pub dropped: Vec<(Dropped, ClusterSet)>,
    /// The proxies that hold it: positions in the snapshot's list.
    pub proxies: Arc<ClusterSet>,
}

impl Row {
    /// The timeout that is in force.
    #[must_use]
    pub fn effective_timeout(&self) -> Duration {
        self.connect_timeout.unwrap_or(EnvoyCluster::DEFAULT_CONNECT_TIMEOUT)
    }

    /// How many SYN retransmissions fit into it.
    #[must_use]
    pub fn syn_retransmissions(&self) -> u32 {
        syn_retransmissions(self.effective_timeout())
    }

    /// The parts of the name, if it is a service's.
    #[must_use]
    pub fn parts(&self) -> Option<ClusterName<'_>> {
        ClusterName::parse(&self.name)
    }

    /// Whether it leads to the proxy's own workload, over loopback.
    #[must_use]
    pub fn is_inbound(&self) -> bool {
        self.name.starts_with("InboundPassthrough")
            || self.parts().is_some_and(|parts| parts.direction == Direction::Inbound)
    }

    /// Whether rules judge it.
    #[must_use]
    pub fn is_judged(&self) -> bool {
        self.kind.is_judged()
    }
}

/// What all proxies of a row have in common.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    name: Arc<str>,
    connect_timeout: Option<Duration>,
    origin: Origin,
    verdict: Verdict,
    expected: Option<Option<Duration>>,
    /// The mesh's value, where something else than the mesh decides.
    shadowed: Option<Duration>,
}

/// A cluster and one of the classes of proxies that hold it, by their positions.
#[derive(Clone, Copy)]
struct Holding {
    cluster: u32,
    class: usize,
}

/// What is said of a cluster on the proxies of some classes, or of several clusters of which the same is said: a row
/// while it is put together.
struct Said {
    /// The cluster's position.
    cluster: u32,
    key: Key,
    expected: Option<Expected>,
    mesh: Option<Duration>,
    /// The proxies of the classes that hold it.
    proxies: ClusterSet,
    dropped: Vec<(Dropped, ClusterSet)>,
}

impl Said {
    /// Adds the same, said of another cluster.
    fn merge(&mut self, other: Self) {
        self.proxies.extend(&other.proxies);
        other.dropped.into_iter().for_each(|(dropped, proxies)| self.lose(dropped, &proxies));
    }

    /// Adds what was lost on some of the proxies.
    fn lose(&mut self, dropped: Dropped, proxies: &ClusterSet) {
        match self.dropped.iter_mut().find(|(known, _)| *known == dropped) {
            Some((_, all)) => all.extend(proxies),
            None => self.dropped.push((dropped, proxies.clone())),
        }
    }
}

/// So many holdings are worked out at once.
const PIECE: usize = 256;

/// Groups what the proxies hold into rows, by name, value and origin; of kinds that the filter shows.
pub(super) fn rows(snapshot: &MeshSnapshot, filter: &Filter, attributor: &Attributor<'_>) -> Vec<Arc<Row>> {
    let kept: ClusterSet = (0u32..)
        .zip(&snapshot.clusters)
        .filter(|(_, cluster)| filter.shows(cluster.kind()))
        .map(|(at, _)| at)
        .collect();
    let classes = attributor.classes();
    let mut held: Vec<Holding> = Vec::new();
    for (class, of_class) in classes.iter().enumerate() {
        held.extend(of_class.clusters.intersection(&kept).iter().map(|cluster| Holding { cluster, class }));
    }
    held.sort_by_key(|holding| holding.cluster);
    let name = |held: &[Holding]| &snapshot.clusters[held[0].cluster as usize].name;
    let mut clusters: Vec<&[Holding]> = held.chunk_by(|one, other| one.cluster == other.cluster).collect();
    clusters.sort_by(|one, other| name(one).cmp(name(other)));
    // Only clusters of one name can be one row.
    let names: Vec<&[&[Holding]]> = clusters.chunk_by(|one, other| name(one) == name(other)).collect();
    let at_once = (PIECE * names.len() / held.len().max(1)).max(1);
    let pieces: Vec<&[&[&[Holding]]]> = names.chunks(at_once).collect();
    let holders = holders(snapshot, &kept);
    let value = |class| attributor.mesh_value(class).map(|mesh| mesh.connect_timeout).or(class.told());
    let meshes = classes.iter().map(value).collect();
    let grouping = Grouping { snapshot, attributor, holders, meshes };
    let mut all: Vec<Said> = Vec::with_capacity(clusters.len());
    let work = |names: &&[&[&[Holding]]]| names.iter().flat_map(|name| grouping.of_name(name)).collect::<Vec<_>>();
    in_order(&pieces, work, |_, said| all.extend(said));
    // Rows that the same proxies hold share one set.
    let mut sets: BySet<Arc<ClusterSet>> = BySet::default();
    let mut shared = |mut set: ClusterSet| {
        if let Some(known) = sets.get(&set) {
            return Arc::clone(known);
        }
        set.shrink();
        let set = Arc::new(set);
        sets.insert(&set, Arc::clone(&set));
        set
    };
    let rows = all.into_iter().map(|said| {
        let cluster = &snapshot.clusters[said.cluster as usize];
        Arc::new(Row {
            name: said.key.name,
            kind: cluster.kind(),
            discovery_type: Arc::clone(&cluster.discovery_type),
            connect_timeout: said.key.connect_timeout,
            origin: said.key.origin,
            verdict: said.key.verdict,
            expected: said.expected,
            mesh: said.mesh,
            dropped: said.dropped,
            proxies: shared(said.proxies),
        })
    });
    rows.collect()
}

/// What is needed to tell of each cluster what is said of it.
struct Grouping<'s, 'a> {
    snapshot: &'a MeshSnapshot,
    attributor: &'s Attributor<'a>,
    /// Of each cluster the proxies that hold it.
    holders: Vec<ClusterSet>,
    /// Of each class the mesh's value.
    meshes: Vec<Option<Duration>>,
}

impl Grouping<'_, '_> {
    /// What is said of the clusters of one name, by value, origin and proxies.
    fn of_name(&self, clusters: &[&[Holding]]) -> Vec<Said> {
        let mut all: Vec<Said> = clusters.iter().flat_map(|held| self.of_cluster(held)).collect();
        all.sort_by(|one, other| one.key.cmp(&other.key));
        let mut rows: Vec<Said> = Vec::with_capacity(all.len());
        for said in all {
            match rows.last_mut().filter(|row| row.key == said.key) {
                Some(row) => row.merge(said),
                None => rows.push(said),
            }
        }
        let first = |said: &Said| said.proxies.iter().next();
        rows.sort_by(|one, other| {
            let value = one.key.connect_timeout.cmp(&other.key.connect_timeout);
            value.then_with(|| one.key.origin.cmp(&other.key.origin)).then_with(|| first(one).cmp(&first(other)))
        });
        rows
    }

    /// What is said of one cluster on all classes that hold it.
    fn of_cluster(&self, held: &[Holding]) -> Vec<Said> {
        let classes = self.attributor.classes();
        let cluster = held[0].cluster;
        let EnvoyCluster { name, connect_timeout, .. } = &self.snapshot.clusters[cluster as usize];
        let holders = &self.holders[cluster as usize];
        let mut all: Vec<Said> = Vec::new();
        // With which holding each begins: what is said on one class is mostly said on the next.
        let mut begins = Vec::new();
        for (at, &Holding { class, .. }) in held.iter().enumerate() {
            let mesh = self.meshes[class];
            let Attribution { origin, expected, verdict } = self.attributor.attribute(&classes[class], cluster);
            let dropped = expected.as_ref().and_then(|expected| expected.dropped.clone());
            let expects = expected.as_ref().map(|expected| expected.timeout);
            let shadowed = mesh.filter(|_| origin.kind.is_override());
            let same = all.last().is_some_and(|Said { key, .. }| {
                (key.verdict, key.expected, key.shadowed) == (verdict, expects, shadowed) && key.origin == origin
            });
            if !same {
                let (name, connect_timeout) = (Arc::clone(name), *connect_timeout);
                let key = Key { name, connect_timeout, origin, verdict, expected: expects, shadowed };
                let (proxies, lost) = (holders.clone(), Vec::new());
                all.push(Said { cluster, key, expected, mesh, proxies, dropped: lost });
                begins.push(at);
            }
            if let (Some(dropped), Some(said)) = (dropped, all.last_mut()) {
                said.lose(dropped, &holders.intersection(&classes[class].proxies));
            }
        }
        if all.len() > 1 {
            let ends = begins[1..].iter().copied().chain([held.len()]);
            for ((said, begin), end) in all.iter_mut().zip(&begins).zip(ends) {
                let mut proxies = ClusterSet::default();
                held[*begin..end].iter().for_each(|holding| proxies.extend(&classes[holding.class].proxies));
                said.proxies = holders.intersection(&proxies);
            }
        }
        all
    }
}

/// The proxies that hold each cluster, of those that are kept.
fn holders(snapshot: &MeshSnapshot, kept: &ClusterSet) -> Vec<ClusterSet> {
    // Most proxies hold what many others hold.
    let mut alike: HashMap<&ClusterSet, ClusterSet> = HashMap::new();
    for (proxy, read) in (0u32..).zip(&snapshot.proxies) {
        alike.entry(&read.clusters).or_default().insert(proxy);
    }
    let mut holders = vec![ClusterSet::default(); snapshot.clusters.len()];
    for (clusters, proxies) in alike {
        // Most of them have the same holders until now, who are kept, so that nothing else takes their place in memory.
        let mut unions: HashMap<usize, (ClusterSet, ClusterSet)> = HashMap::new();
        for position in clusters.intersection(kept).iter() {
            let before = &mut holders[position as usize];
            let union = unions.entry(before.identity()).or_insert_with(|| (before.clone(), before.union(&proxies)));
            *before = union.1.clone();
        }
    }
    holders
}
