//! What a DestinationRule comes to for one port and subset (`pilot/pkg/networking/util/util.go`,
//! `GetPortLevelTrafficPolicy` and `MergeSubsetTrafficPolicy`).

use super::rules::MergedRule;
use crate::model::RulePart;
use crate::model::objects::{ConnectionPool, DestinationRule, TrafficPolicy};

/// A part of a rule's policy that could have given the timeout.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part<'a> {
    /// The rule it is in.
    pub(super) rule: &'a DestinationRule,
    /// Which part.
    pub(super) part: RulePart,
    /// Its `connectionPool`.
    pub(super) pool: Option<ConnectionPool>,
}

/// A policy for one port and subset.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Resolved<'a> {
    /// The parts that matter for this port and subset, weakest first.
    pub(super) parts: Vec<Part<'a>>,
    /// The part whose `connectionPool` holds, if one does.
    pub(super) winner: Option<usize>,
    /// A subset's port settings without a `connectionPool` take away even the mesh's default traffic policy.
    pub(super) clears_baseline: bool,
    /// The rule has no such subset.
    pub(super) subset_missing: bool,
}

impl Resolved<'_> {
    /// The block that holds.
    pub(super) fn pool(&self) -> Option<ConnectionPool> {
        self.winner.and_then(|winner| self.parts[winner].pool)
    }
}

fn at_port(policy: &TrafficPolicy, port: u16) -> Option<Option<ConnectionPool>> {
    policy.port_level.iter().find(|entry| entry.port == port).map(|entry| entry.connection_pool)
}

/// Works a merged rule out for a port and a subset; `inbound` clusters know no subsets.
pub(super) fn resolve<'a>(rule: &MergedRule<'a>, port: u16, subset: &str) -> Resolved<'a> {
    let mut resolved = Resolved { parts: Vec::new(), winner: None, clears_baseline: false, subset_missing: false };
    if let Some((owner, policy)) = rule.policy {
        resolved.parts.push(Part { rule: owner, part: RulePart::Policy, pool: policy.connection_pool });
        if let Some(pool) = at_port(policy, port) {
            resolved.parts.push(Part { rule: owner, part: RulePart::Port(port), pool });
        }
        // The port's settings stand for the whole policy, whether or not they have a pool.
        let last = resolved.parts.len() - 1;
        resolved.winner = resolved.parts[last].pool.map(|_| last);
    }
    if subset.is_empty() {
        return resolved;
    }
    let Some((owner, subset)) = rule.subsets.iter().find(|(_, known)| known.name == subset) else {
        resolved.subset_missing = true;
        return resolved;
    };
    let Some(policy) = &subset.traffic_policy else { return resolved };
    let part = RulePart::Subset(subset.name.clone());
    resolved.parts.push(Part { rule: owner, part, pool: policy.connection_pool });
    match at_port(policy, port) {
        Some(pool) => {
            let part = RulePart::SubsetPort(subset.name.clone(), port);
            resolved.parts.push(Part { rule: owner, part, pool });
            resolved.winner = pool.map(|_| resolved.parts.len() - 1);
            resolved.clears_baseline = pool.is_none();
        }
        None if policy.connection_pool.is_some() => resolved.winner = Some(resolved.parts.len() - 1),
        None => {}
    }
    resolved
}
