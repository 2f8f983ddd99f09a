//! MA005.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::super::{Action, Context, Finding, Row, Rule, RuleInfo, Severity};
use crate::attribute::Verdict;
use crate::model::{ClusterSet, OriginKind, format_duration};

/// Different values for the same cluster under one control plane.
pub(super) struct ProxiesDisagree;

static INFO: RuleInfo = RuleInfo {
    code: "MA005",
    name: "proxies-disagree",
    severity: Severity::Warning,
    observed: false,
    page: include_str!("../../../docs/rules/MA005.md"),
};

impl Rule for ProxiesDisagree {
    fn info(&self) -> &'static RuleInfo {
        &INFO
    }

    fn check(&self, context: &Context<'_>, report: &mut dyn FnMut(Finding)) {
        let mut planes: BTreeMap<(&str, &str), ClusterSet> = BTreeMap::new();
        for proxy in 0..u32::try_from(context.snapshot.proxies.len()).unwrap_or(u32::MAX) {
            planes.entry(context.control_plane(proxy)).or_default().insert(proxy);
        }
        // Inbound clusters of different workloads only share a name.
        let shared: Vec<&Arc<Row>> = context.judged().filter(|row| !row.is_inbound() && !is_explained(row)).collect();
        let mut known: HashMap<Vec<(usize, Duration)>, Vec<Odd>> = HashMap::new();
        for rows in shared.chunk_by(|a, b| a.name == b.name) {
            let alike = rows.iter().all(|row| row.effective_timeout() == rows[0].effective_timeout());
            // Where it is known of all of them why they hold what they hold, that is no disagreement.
            if alike || rows.iter().all(|row| row.verdict == Verdict::Explained && row.origin.certain) {
                continue;
            }
            // Clusters that the same proxies hold with the same values are most of a large mesh.
            let key: Vec<_> = rows.iter().map(|row| (row.proxies.identity(), row.effective_timeout())).collect();
            for odd in known.entry(key).or_insert_with(|| odd_ones(rows, &planes)) {
                let action = Action::Inspect(
                    "see whether the proxies that differ are connected (`istioctl proxy-status`), then whether an \
                     EnvoyFilter patches the cluster on some of them"
                        .to_owned(),
                );
                let finding = Finding::of_row(&INFO, rows[odd.row], odd.message.clone(), action);
                report(finding.on(Arc::clone(&odd.proxies)));
            }
        }
    }
}

/// A value that most proxies of a control plane do not have.
struct Odd {
    /// Of which row, by its place among those of its cluster.
    row: usize,
    /// The control plane's proxies that have it.
    proxies: Arc<ClusterSet>,
    message: String,
}

/// What differs among the rows of one cluster, by control planes.
fn odd_ones(rows: &[&Arc<Row>], planes: &BTreeMap<(&str, &str), ClusterSet>) -> Vec<Odd> {
    // A proxy that holds the cluster twice is in the middle of an update, and disagrees with nobody.
    let (mut once, mut twice) = (ClusterSet::default(), ClusterSet::default());
    for row in rows {
        twice.extend(&once.intersection(&row.proxies));
        once.extend(&row.proxies);
    }
    let mut odd = Vec::new();
    for plane in planes.values() {
        let held: Vec<ClusterSet> = rows.iter().map(|row| row.proxies.without(&twice).intersection(plane)).collect();
        let mut counts: BTreeMap<Duration, usize> = BTreeMap::new();
        for (row, held) in rows.iter().zip(&held) {
            *counts.entry(row.effective_timeout()).or_default() += held.len();
        }
        let mut counts: Vec<(usize, Duration)> =
            counts.into_iter().map(|(value, count)| (count, value)).filter(|(count, _)| *count > 0).collect();
        if counts.len() < 2 {
            continue;
        }
        counts.sort_by_key(|&(count, value)| (std::cmp::Reverse(count), value));
        let list: Vec<String> =
            counts.iter().map(|(count, value)| format!("{} on {count}", format_duration(*value))).collect();
        let message = format!("proxies of one control plane disagree: {}", list.join(", "));
        // The odd ones out are the ones to look at; where there is no majority, all of them.
        let majority = (counts[0].0 > counts[1].0).then_some(counts[0].1);
        for (row, proxies) in held.into_iter().enumerate() {
            if Some(rows[row].effective_timeout()) != majority && !proxies.is_empty() {
                odd.push(Odd { row, proxies: Arc::new(proxies), message: message.clone() });
            }
        }
    }
    odd
}

/// Whether an object accounts for the value, since rules of another namespace may well differ, or the proxy is known
/// to be stale, which MA006 says once.
fn is_explained(row: &Row) -> bool {
    row.origin.kind.is_override() || (row.origin.kind == OriginKind::Stale && row.origin.certain)
}
