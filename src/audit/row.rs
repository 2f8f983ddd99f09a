//! The distinct values of a mesh, and the proxies that hold them.

use std::sync::Arc;
use std::time::Duration;

use foldhash::{HashMap, HashMapExt};

use super::Filter;
use crate::attribute::{Attribution, Attributor, Dropped, Expected, Verdict};
use crate::cores::in_order;
use crate::model::{
    ClusterKind, ClusterName, ClusterSet, Direction, EnvoyCluster, MeshSnapshot, Origin, syn_retransmissions,
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

/// Keeps equal sets once.
#[derive(Default)]
pub(super) struct ProxySets {
    /// The distinct sets.
    pub(super) distinct: Vec<Arc<ClusterSet>>,
    known: HashMap<Arc<ClusterSet>, usize>,
}

impl ProxySets {
    /// The number of a set.
    pub(super) fn intern(&mut self, set: &Arc<ClusterSet>) -> usize {
        *self.known.entry(Arc::clone(set)).or_insert_with(|| {
            self.distinct.push(Arc::clone(set));
            self.distinct.len() - 1
        })
    }
}

/// What all proxies of a row have in common.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    name: Arc<str>,
    connect_timeout: Option<Duration>,
    origin: Origin,
    verdict: Verdict,
    expected: Option<Option<Duration>>,
    /// The mesh's value, where something else than the mesh decides.
    shadowed: Option<Duration>,
}

/// What is known of a row while it is put together.
struct Draft {
    key: Key,
    expected: Option<Expected>,
    mesh: Option<Duration>,
    /// The clusters that it is of, and the classes of proxies that hold them.
    parts: Vec<Part>,
    dropped: Vec<(Dropped, ClusterSet)>,
}

/// A cluster, by its position, and some of the classes that hold it.
struct Part {
    position: u32,
    classes: Vec<usize>,
}

/// So many clusters of a class are worked out at once.
const PIECE: usize = 256;

/// Groups what the proxies hold into rows, by name, value and origin; of kinds that the filter shows.
pub(super) fn rows(snapshot: &MeshSnapshot, filter: &Filter, attributor: &Attributor<'_>) -> Vec<Arc<Row>> {
    let kept: ClusterSet = (0u32..)
        .zip(&snapshot.clusters)
        .filter(|(_, cluster)| filter.shows(cluster.kind()))
        .map(|(at, _)| at)
        .collect();
    // Most proxies hold what many others hold.
    let mut alike: HashMap<&ClusterSet, ClusterSet> = HashMap::new();
    for (proxy, read) in (0u32..).zip(&snapshot.proxies) {
        alike.entry(&read.clusters).or_default().insert(proxy);
    }
    let mut holders: Vec<ClusterSet> = vec![ClusterSet::default(); snapshot.clusters.len()];
    for (clusters, proxies) in alike {
        for position in clusters.intersection(&kept).iter() {
            holders[position as usize].extend(&proxies);
        }
    }
    holders.iter_mut().for_each(ClusterSet::shrink);
    let classes = attributor.classes();
    let mut drafts: Vec<Draft> = Vec::new();
    let mut grouped: HashMap<Key, usize> = HashMap::new();
    // Of each cluster how many classes hold it, and the draft and its part that the last of them went to: mostly the next
    // one goes there too.
    let mut holding = vec![0_usize; snapshot.clusters.len()];
    let mut last: Vec<Option<(usize, usize)>> = vec![None; snapshot.clusters.len()];
    let pieces: Vec<(usize, usize)> = classes
        .iter()
        .enumerate()
        .flat_map(|(number, class)| (0..class.clusters.len()).step_by(PIECE).map(move |from| (number, from)))
        .collect();
    let attributed = |&(number, from): &(usize, usize)| -> Vec<(u32, Attribution)> {
        let class = &classes[number];
        let piece = class.clusters.iter_from(from).take(PIECE).filter(|&position| kept.contains(position));
        piece.map(|position| (position, attributor.attribute(class, position))).collect()
    };
    in_order(&pieces, attributed, |&(number, _), attributions| {
        let class = &classes[number];
        let mesh = attributor.mesh_value(class).map(|mesh| mesh.connect_timeout).or(class.told());
        for (position, attribution) in attributions {
            let at = position as usize;
            let Attribution { origin, expected, verdict } = attribution;
            let dropped = expected.as_ref().and_then(|expected| expected.dropped.clone());
            let cluster = &snapshot.clusters[at];
            let key = Key {
                name: Arc::clone(&cluster.name),
                connect_timeout: cluster.connect_timeout,
                verdict,
                expected: expected.as_ref().map(|expected| expected.timeout),
                shadowed: mesh.filter(|_| origin.kind.is_override()),
                origin,
            };
            holding[at] += 1;
            let draft = match last[at] {
                Some((draft, part)) if drafts[draft].key == key => {
                    drafts[draft].parts[part].classes.push(number);
                    draft
                }
                _ => {
                    let draft = *grouped.entry(key.clone()).or_insert_with(|| {
                        drafts.push(Draft { key, expected, mesh, parts: Vec::new(), dropped: Vec::new() });
                        drafts.len() - 1
                    });
                    last[at] = Some((draft, drafts[draft].parts.len()));
                    drafts[draft].parts.push(Part { position, classes: vec![number] });
                    draft
                }
            };
            if let Some(dropped) = dropped {
                let proxies = holders[at].intersection(&class.proxies);
                let all = &mut drafts[draft].dropped;
                match all.iter_mut().find(|(known, _)| *known == dropped) {
                    Some((_, all)) => all.extend(&proxies),
                    None => all.push((dropped, proxies)),
                }
            }
        }
    });
    let held_by = |part: &Part| {
        let holders = &holders[part.position as usize];
        if part.classes.len() == holding[part.position as usize] {
            return holders.clone();
        }
        let mut proxies = ClusterSet::default();
        part.classes.iter().for_each(|&class| proxies.extend(&classes[class].proxies));
        proxies.intersection(holders)
    };
    // Rows that the same proxies hold share one set.
    let mut sets = ProxySets::default();
    let mut rows: Vec<Row> = drafts
        .into_iter()
        .map(|draft| {
            let cluster = &snapshot.clusters[draft.parts[0].position as usize];
            let mut proxies = held_by(&draft.parts[0]);
            draft.parts[1..].iter().for_each(|part| proxies.extend(&held_by(part)));
            proxies.shrink();
            let set = sets.intern(&Arc::new(proxies));
            Row {
                name: draft.key.name,
                kind: cluster.kind(),
                discovery_type: Arc::clone(&cluster.discovery_type),
                connect_timeout: draft.key.connect_timeout,
                origin: draft.key.origin,
                verdict: draft.key.verdict,
                expected: draft.expected,
                mesh: draft.mesh,
                dropped: draft.dropped,
                proxies: Arc::clone(&sets.distinct[set]),
            }
        })
        .collect();
    rows.sort_by(|a, b| {
        (&a.name, a.connect_timeout, &a.origin)
            .cmp(&(&b.name, b.connect_timeout, &b.origin))
            .then_with(|| a.proxies.iter().next().cmp(&b.proxies.iter().next()))
    });
    rows.into_iter().map(Arc::new).collect()
}
