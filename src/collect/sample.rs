//! Of which proxies connection counters are read.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Proxy, ProxyId, workload_of_pod};

/// So many are always all read.
const FEW: usize = 20;
/// So many are all read where pods, workloads, labels or a namespace were asked for.
const ASKED_FOR: usize = 100;
/// Of a whole mesh one in so many is read, and no more than [`MOST`]: those of one proxy with 2,000 clusters of three
/// endpoints are 5.6 MB, five times its masked dump, and an audit should take at most half as long again with them.
const SHARE: usize = 8;
const MOST: usize = 64;

/// Those whose counters are read. Each workload has one of its proxies in it before any has two, and each a proxy on
/// another node before a second on the same.
pub(super) fn sample<'a>(proxies: impl ExactSizeIterator<Item = &'a Proxy>, whole_mesh: bool) -> BTreeSet<ProxyId> {
    let all = proxies.len();
    let most = if all <= FEW || !whole_mesh && all <= ASKED_FOR { all } else { (all / SHARE).clamp(FEW, MOST) };
    let mut workloads: BTreeMap<_, Replicas<'a>> = BTreeMap::new();
    for proxy in proxies {
        let workload = (&proxy.id.context, &proxy.id.namespace, workload_of_pod(&proxy.id.name));
        workloads.entry(workload).or_default().add(proxy);
    }
    let mut workloads: Vec<_> = workloads.into_values().map(Replicas::in_order).collect();
    let mut chosen = BTreeSet::new();
    while chosen.len() < most {
        let turn = workloads.iter_mut().filter_map(Iterator::next);
        chosen.extend(turn.take(most - chosen.len()).map(|proxy| proxy.id.clone()));
    }
    chosen
}

/// A workload's proxies: the first on each node, and the others.
#[derive(Default)]
struct Replicas<'a> {
    nodes: BTreeSet<&'a str>,
    first: Vec<&'a Proxy>,
    others: Vec<&'a Proxy>,
}

impl<'a> Replicas<'a> {
    fn add(&mut self, proxy: &'a Proxy) {
        if self.nodes.insert(&proxy.node) { &mut self.first } else { &mut self.others }.push(proxy);
    }

    fn in_order(self) -> impl Iterator<Item = &'a Proxy> {
        self.first.into_iter().chain(self.others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mesh(workloads: usize, replicas: usize) -> Vec<Proxy> {
        let pods = (0..workloads).flat_map(|workload| (0..replicas).map(move |replica| (workload, replica)));
        pods.map(|(workload, replica)| Proxy {
            // Two of each node, so that the next by name is on the same.
            node: format!("node-{}", replica / 2),
            ..Proxy::named(ProxyId::new("shop", format!("app{workload:03}-{replica}")))
        })
        .collect()
    }

    fn chosen(workloads: usize, replicas: usize, whole_mesh: bool) -> Vec<String> {
        sample(mesh(workloads, replicas).iter(), whole_mesh).into_iter().map(|id| id.name).collect()
    }

    #[test]
    fn few_and_those_asked_for_are_all_read() {
        assert_eq!(chosen(10, 2, true).len(), 20);
        assert_eq!(chosen(50, 2, false).len(), 100);
        assert_eq!(chosen(0, 0, true).len(), 0);
    }

    #[test]
    fn each_workload_is_in_a_sample_before_any_is_twice() {
        let twelve = chosen(12, 10, true);
        assert_eq!(twelve.len(), 20);
        for workload in 0..12 {
            assert!(twelve.contains(&format!("app{workload:03}-0")), "{workload}: {twelve:?}");
        }
        let two = chosen(10, 10, true);
        assert!((0..10).all(|workload| two.contains(&format!("app{workload:03}-2"))), "another node: {two:?}");
        assert_eq!(chosen(1, 3000, true).len(), 64);
        assert_eq!(chosen(300, 1, false).len(), 37);
    }
}
