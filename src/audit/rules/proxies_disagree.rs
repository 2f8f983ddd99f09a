//! MA005.

use std::collections::BTreeMap;
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
        for rows in shared.chunk_by(|a, b| a.name == b.name) {
            let alike = rows.iter().all(|row| row.effective_timeout() == rows[0].effective_timeout());
            // Where it is known of all of them why they hold what they hold, that is no disagreement.
            if alike || rows.iter().all(|row| row.verdict == Verdict::Explained && row.origin.certain) {
                continue;
            }
            // A proxy that holds the cluster twice is in the middle of an update, and disagrees with nobody.
            let (mut once, mut twice) = (ClusterSet::default(), ClusterSet::default());
            for row in rows {
                twice.extend(&once.intersection(&row.proxies));
                once.extend(&row.proxies);
            }
            for plane in planes.values() {
                let held: Vec<ClusterSet> =
                    rows.iter().map(|row| row.proxies.intersection(plane).without(&twice)).collect();
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
                // The odd ones out are the ones to look at; where there is no majority, all of them.
                let majority = (counts[0].0 > counts[1].0).then_some(counts[0].1);
                for (row, proxies) in rows.iter().zip(held) {
                    if Some(row.effective_timeout()) == majority || proxies.is_empty() {
                        continue;
                    }
                    let message = format!("proxies of one control plane disagree: {}", list.join(", "));
                    let action = Action::Inspect(
                        "see whether the proxies that differ are connected (`istioctl proxy-status`), then whether an \
                         EnvoyFilter patches the cluster on some of them"
                            .to_owned(),
                    );
                    report(Finding::of_row(&INFO, row, message, action).on(proxies));
                }
            }
        }
    }
}

/// Whether an object accounts for the value, since rules of another namespace may well differ, or the proxy is known
/// to be stale, which MA006 says once.
fn is_explained(row: &Row) -> bool {
    row.origin.kind.is_override() || (row.origin.kind == OriginKind::Stale && row.origin.certain)
}
