//! What two audits have in common, and what not. Pods come and go, so proxies are compared by their workloads.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::export::{Cluster, Finding, Results};
use crate::model::workload_of_pod;

/// The findings of an earlier audit.
pub struct Known<'a>(HashMap<(&'a str, &'a str), Vec<&'a Finding>>);

impl<'a> Known<'a> {
    /// Those of a document.
    #[must_use]
    pub fn new(earlier: &'a Results) -> Self {
        let mut known: HashMap<_, Vec<_>> = HashMap::new();
        for finding in &earlier.findings {
            known.entry((finding.code.as_str(), finding.subject.as_str())).or_default().push(finding);
        }
        Self(known)
    }

    /// Whether a finding says nothing new: the same rule found the same, at least as bad, from the same origin; what is
    /// not about a cluster, on no other workload.
    #[must_use]
    pub fn has(&self, finding: &Finding) -> bool {
        let same_origin =
            |known: &Finding| known.origin == finding.origin || !known.origin_certain || !finding.origin_certain;
        let of = self.0.get(&(finding.code.as_str(), finding.subject.as_str()));
        let mut alike =
            of.into_iter().flatten().filter(|known| known.level <= finding.level && same_origin(known)).peekable();
        if alike.peek().is_none() {
            return false;
        }
        if !finding.subject.is_empty() {
            return true;
        }
        let held: BTreeSet<&str> = alike.flat_map(|known| workloads(known)).collect();
        workloads(finding).all(|workload| held.contains(workload))
    }
}

/// `namespace/workload` of a finding's proxies.
fn workloads(finding: &Finding) -> impl Iterator<Item = &str> {
    finding.proxies.iter().map(|proxy| {
        let pod = proxy.rsplit('/').next().unwrap_or(proxy);
        &proxy[..proxy.len() - pod.len() + workload_of_pod(pod).len()]
    })
}

/// What became of a cluster's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was not there.
    Appeared,
    /// It is no longer there.
    Vanished,
    /// Its values, or where they come from, differ.
    Changed,
}

/// A cluster whose values differ.
#[derive(Debug)]
pub struct ClusterChange<'a> {
    /// Its name.
    pub name: &'a str,
    /// What became of it.
    pub change: Change,
    /// Its values before.
    pub before: Vec<&'a Cluster>,
    /// Its values after.
    pub after: Vec<&'a Cluster>,
}

/// The clusters whose values differ, by name.
#[must_use]
pub fn clusters<'a>(before: &'a Results, after: &'a Results) -> Vec<ClusterChange<'a>> {
    let mut by_name: BTreeMap<&str, (Vec<&Cluster>, Vec<&Cluster>)> = BTreeMap::new();
    for cluster in &before.clusters {
        by_name.entry(&cluster.name).or_default().0.push(cluster);
    }
    for cluster in &after.clusters {
        by_name.entry(&cluster.name).or_default().1.push(cluster);
    }
    let change = |before: &[&Cluster], after: &[&Cluster]| match (before.is_empty(), after.is_empty()) {
        (true, _) => Some(Change::Appeared),
        (_, true) => Some(Change::Vanished),
        _ => {
            let within = |all: &[&Cluster], one: &Cluster| all.iter().any(|other| is_same_value(one, other));
            let same = before.iter().all(|one| within(after, one)) && after.iter().all(|one| within(before, one));
            (!same).then_some(Change::Changed)
        }
    };
    by_name
        .into_iter()
        .filter_map(|(name, (before, after))| {
            Some(ClusterChange { name, change: change(&before, &after)?, before, after })
        })
        .collect()
}

/// Whether it is the same value from the same place; a place that is not certain may be any.
fn is_same_value(one: &Cluster, other: &Cluster) -> bool {
    let origin =
        |cluster: &Cluster| cluster.origin.as_ref().filter(|origin| origin.certain).map(|origin| origin.text());
    one.connect_timeout_ms == other.connect_timeout_ms
        && match (origin(one), origin(other)) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        }
}
