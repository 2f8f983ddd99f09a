//! Of which proxies connection counters are read.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Proxy, ProxyId, workload_of_pod};

/// Of so many proxies counters are read where pods, workloads, labels or a namespace were asked for.
const ASKED_FOR: usize = 100;
/// Counters of a whole mesh are read of so many clusters in all, whatever the number of proxies: of three endpoints each
/// they are 68 MB, and Envoy has no way to ask for less of them.
const CLUSTERS: usize = 24_000;
/// Or of one proxy in so many, up to [`MOST`]: a proxy's counters are five times its masked dump, and an audit should take
/// at most half as long again with them.
const SHARE: usize = 10;
const MOST: usize = 80;

/// The proxies, in the order in which their counters are worth reading: each workload has one of its proxies read before
/// any has two, and each a proxy on another node before a second on the same.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    ranks: BTreeMap<ProxyId, usize>,
    whole_mesh: bool,
}

impl Sample {
    pub(super) fn of<'a>(proxies: impl Iterator<Item = &'a Proxy>, whole_mesh: bool) -> Self {
        let mut workloads: BTreeMap<_, Replicas<'a>> = BTreeMap::new();
        for proxy in proxies {
            let workload = (&proxy.id.context, &proxy.id.namespace, workload_of_pod(&proxy.id.name));
            workloads.entry(workload).or_default().add(proxy);
        }
        let mut by_turn: Vec<(usize, &ProxyId)> = workloads.into_values().flat_map(Replicas::by_turn).collect();
        by_turn.sort_by_key(|(turn, _)| *turn);
        let ranks = by_turn.into_iter().enumerate().map(|(rank, (_, id))| (id.clone(), rank)).collect();
        Self { ranks, whole_mesh }
    }

    /// Whether the counters of this proxy, which has so many clusters, are read.
    #[must_use]
    pub fn reads(&self, proxy: &ProxyId, clusters: usize) -> bool {
        let most = if self.whole_mesh {
            (CLUSTERS / clusters.max(1)).max((self.ranks.len() / SHARE).min(MOST)).max(1)
        } else {
            ASKED_FOR
        };
        self.ranks.get(proxy).is_none_or(|rank| *rank < most)
    }
}

/// A workload's proxies: the first on each node, and the others.
#[derive(Default)]
struct Replicas<'a> {
    nodes: BTreeSet<&'a str>,
    first: Vec<&'a ProxyId>,
    others: Vec<&'a ProxyId>,
}

impl<'a> Replicas<'a> {
    fn add(&mut self, proxy: &'a Proxy) {
        if self.nodes.insert(&proxy.node) { &mut self.first } else { &mut self.others }.push(&proxy.id);
    }

    fn by_turn(self) -> impl Iterator<Item = (usize, &'a ProxyId)> {
        self.first.into_iter().chain(self.others).enumerate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mesh(workloads: usize, replicas: usize) -> Vec<Proxy> {
        let pods = (0..workloads).flat_map(|workload| (0..replicas).map(move |replica| (workload, replica)));
        pods.map(|(workload, replica)| Proxy {
            // Two on each node, so that the next by name is on the same.
            node: format!("node-{}", replica / 2),
            ..Proxy::named(ProxyId::new("shop", format!("app{workload:03}-{replica}")))
        })
        .collect()
    }

    fn read(mesh: &[Proxy], whole_mesh: bool, clusters: usize) -> Vec<&str> {
        let sample = Sample::of(mesh.iter(), whole_mesh);
        mesh.iter().map(|proxy| &proxy.id).filter(|id| sample.reads(id, clusters)).map(|id| &*id.name).collect()
    }

    #[test]
    fn what_is_read_depends_on_how_much_it_is() {
        let hundred = mesh(50, 2);
        for (clusters, expected) in [(0, 100), (100, 100), (500, 48), (2_000, 12), (100_000, 10)] {
            assert_eq!(read(&hundred, true, clusters).len(), expected, "{clusters}");
        }
        assert_eq!(read(&hundred, false, 2_000).len(), 100, "it was asked for");
        assert_eq!(read(&mesh(1, 1), true, 100_000).len(), 1);
        assert_eq!(read(&mesh(700, 10), true, 2_000).len(), 80);
        assert_eq!(read(&mesh(300, 1), false, 1).len(), 100);
    }

    #[test]
    fn each_workload_is_in_a_sample_before_any_is_twice() {
        let mesh = mesh(10, 10);
        let read = read(&mesh, true, 2_000);
        assert!((0..10).all(|workload| read.contains(&&*format!("app{workload:03}-0"))), "{read:?}");
        let second: Vec<_> = read.iter().filter(|name| !name.ends_with("-0")).collect();
        assert_eq!(second, ["app000-2", "app001-2"].iter().collect::<Vec<_>>(), "on other nodes");
    }
}
