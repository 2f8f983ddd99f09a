//! What a DestinationRule comes to for one port and subset (`pilot/pkg/networking/util/util.go`,
//! `GetPortLevelTrafficPolicy` and `MergeSubsetTrafficPolicy`; `pilot/pkg/model/destination_rule.go`,
//! `mergeBackendPolicyTrafficPolicy`).

use super::rules::MergedRule;
use crate::model::RulePart;
use crate::model::istio::{ConnectionPool, DestinationRule, TrafficPolicy};

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

impl Part<'_> {
    /// The timeout that it sets.
    pub(super) fn timeout(&self) -> Option<std::time::Duration> {
        self.pool.and_then(|pool| pool.connect_timeout)
    }
}

/// A policy for one port and subset.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Resolved<'a> {
    /// The parts that matter for this port and subset, weakest first.
    pub(super) parts: Vec<Part<'a>>,
    /// The part whose `connectionPool` holds, if one does.
    pub(super) winner: Option<usize>,
    /// The part that set a timeout, and the stronger one whose block took it away.
    pub(super) lost: Option<(usize, usize)>,
    /// A subset's port settings without a `connectionPool` take away even the mesh's default traffic policy.
    pub(super) clears_baseline: bool,
    /// The rule has no such subset.
    pub(super) subset_missing: bool,
    /// What comes of it is a policy, if only an empty one.
    pub(super) is_policy: bool,
}

impl<'a> Resolved<'a> {
    /// Adds a part. `replaces` says whether its block takes the place of what is above, even where it has no pool.
    fn push(&mut self, rule: &'a DestinationRule, part: RulePart, pool: Option<ConnectionPool>, replaces: bool) {
        let index = self.parts.len();
        self.parts.push(Part { rule, part, pool });
        if pool.is_none() && !replaces {
            return;
        }
        let held = self.winner.filter(|&winner| self.parts[winner].timeout().is_some());
        match (held, self.parts[index].timeout()) {
            (_, Some(_)) => self.lost = None,
            (Some(winner), None) => self.lost = Some((winner, index)),
            (None, None) => {}
        }
        self.winner = pool.map(|_| index);
    }
}

fn at_port(policy: &TrafficPolicy, port: u16) -> Option<Option<ConnectionPool>> {
    policy.port_level.iter().find(|entry| entry.port == port).map(|entry| entry.connection_pool)
}

/// Works a merged rule out for a port and a subset; empty for none.
pub(super) fn resolve<'a>(rule: &MergedRule<'a>, port: u16, subset: &str) -> Resolved<'a> {
    let mut resolved = Resolved { is_policy: rule.has_policy(), ..Resolved::default() };
    for (owner, policy) in &rule.policies {
        resolved.push(owner, RulePart::Policy, policy.connection_pool, false);
    }
    if let Some((owner, policy)) = rule.backend
        && at_port(policy, port).is_some()
        && rule.policies.iter().all(|(_, policy)| at_port(policy, port).is_none())
    {
        resolved.push(owner, RulePart::Port(port), None, true);
    }
    // A port's settings stand for the whole policy, whether or not they have a pool; those of a stronger policy without
    // one leave the weaker one's.
    let mut replaces = true;
    for (owner, policy) in &rule.policies {
        if let Some(pool) = at_port(policy, port) {
            resolved.push(owner, RulePart::Port(port), pool, replaces);
            replaces = false;
        }
    }
    if subset.is_empty() {
        return resolved;
    }
    let Some((owner, subset)) = rule.subsets.iter().find(|(_, known)| known.name == subset) else {
        resolved.subset_missing = true;
        return resolved;
    };
    let Some(policy) = &subset.traffic_policy else { return resolved };
    resolved.is_policy = true;
    let part = RulePart::Subset(subset.name.clone());
    match at_port(policy, port) {
        // Only the settings for the port count, so a subset's own pool is one that may be lost, and takes nothing away.
        Some(pool) => {
            resolved.push(owner, part, policy.connection_pool.filter(|pool| pool.connect_timeout.is_some()), false);
            resolved.push(owner, RulePart::SubsetPort(subset.name.clone(), port), pool, true);
            resolved.clears_baseline = pool.is_none();
        }
        None => resolved.push(owner, part, policy.connection_pool, false),
    }
    resolved
}
