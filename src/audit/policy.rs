//! What an operator expects of a mesh.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::civil::Date;

use super::Filter;
use super::filter::host;
use super::finding::{Finding, Severity, Subject};
use super::row::Row;
use crate::model::{ClusterName, ClusterSet, Direction, MeshSnapshot, ProxyId, workload_of_pod};

/// What an operator expects of a mesh: thresholds that rules compare with, values that are right for some hosts or
/// callers, and what is known and let be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Timeouts up to this are too short.
    pub too_short: Duration,
    /// Timeouts up to this are thin.
    pub thin: Duration,
    /// Timeouts above this are too long.
    pub max_connect_timeout: Duration,
    /// Severities by a rule's code; `None` for a rule that is switched off.
    pub severities: BTreeMap<String, Option<Severity>>,
    /// What is right in place of the thresholds. Of several that match, the first counts.
    pub expectations: Vec<Expectation>,
    /// What is known and let be.
    pub ignores: Vec<Ignore>,
    /// The day by which ignores run out; without it none does.
    pub today: Option<Date>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            too_short: Duration::from_secs(1),
            thin: Duration::from_secs(3),
            max_connect_timeout: Duration::from_secs(30),
            severities: BTreeMap::new(),
            expectations: Vec::new(),
            ignores: Vec::new(),
            today: None,
        }
    }
}

/// Which clusters of which proxies. What is empty matches everything; in a pattern `*` stands for any text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Matcher {
    /// Patterns of a cluster's host; of one without a host, of its name.
    pub hosts: Vec<String>,
    /// A pattern of the proxy's namespace.
    pub namespace: Option<String>,
    /// A pattern of the proxy's workload: the pod's name without what its controller appends.
    pub workload: Option<String>,
    /// The cluster's direction.
    pub direction: Option<Direction>,
}

/// A value that is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// For what.
    pub of: Matcher,
    /// The least.
    pub min: Option<Duration>,
    /// The most.
    pub max: Option<Duration>,
    /// How bad another value is.
    pub severity: Severity,
    /// Why; may be empty.
    pub reason: String,
}

/// Something that is known and let be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignore {
    /// The rule's code; `None` for all rules.
    pub rule: Option<String>,
    /// What.
    pub of: Matcher,
    /// Why.
    pub reason: String,
    /// The last day on which it holds; `None` for always.
    pub expires: Option<Date>,
}

impl Ignore {
    /// Whether it has run out by a day.
    #[must_use]
    pub fn has_run_out(&self, today: Date) -> bool {
        self.expires.is_some_and(|last| last < today)
    }
}

/// Whether a text is of a pattern in which `*` stands for any text.
#[must_use]
pub fn is_of(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

impl Matcher {
    /// Whether a cluster is meant.
    #[must_use]
    pub fn means_cluster(&self, name: &str) -> bool {
        let direction = || ClusterName::parse(name).map(|parts| parts.direction);
        (self.hosts.is_empty() || self.hosts.iter().any(|pattern| is_of(pattern, host(name))))
            && self.direction.is_none_or(|wanted| direction() == Some(wanted))
    }

    /// Whether something that is no cluster may be meant.
    fn means_no_cluster(&self) -> bool {
        self.hosts.is_empty() && self.direction.is_none()
    }

    fn means_all_proxies(&self) -> bool {
        self.namespace.is_none() && self.workload.is_none()
    }

    fn means_proxy(&self, id: &ProxyId) -> bool {
        self.namespace.as_ref().is_none_or(|pattern| is_of(pattern, &id.namespace))
            && self.workload.as_ref().is_none_or(|pattern| is_of(pattern, workload_of_pod(&id.name)))
    }

    /// The proxies of a snapshot that are meant: positions in its list; `None` for all.
    fn proxies(&self, snapshot: &MeshSnapshot) -> Option<ClusterSet> {
        if self.means_all_proxies() {
            return None;
        }
        let proxies = (0u32..).zip(&snapshot.proxies);
        Some(proxies.filter(|(_, read)| self.means_proxy(&read.proxy.id)).map(|(at, _)| at).collect())
    }
}

/// A policy against one snapshot: which proxies each of its parts means.
pub(super) struct Applied<'a> {
    policy: &'a Policy,
    expectations: Vec<(&'a Expectation, Option<ClusterSet>)>,
    ignores: Vec<(&'a Ignore, Option<ClusterSet>)>,
}

impl<'a> Applied<'a> {
    pub(super) fn new(policy: &'a Policy, snapshot: &MeshSnapshot) -> Self {
        let expectations = policy.expectations.iter().map(|one| (one, one.of.proxies(snapshot))).collect();
        let holds = |ignore: &&Ignore| policy.today.is_none_or(|today| !ignore.has_run_out(today));
        let ignores = policy.ignores.iter().filter(holds).map(|one| (one, one.of.proxies(snapshot))).collect();
        Self { policy, expectations, ignores }
    }

    /// What is expected of a row, and of which of its proxies.
    pub(super) fn expected(&self, row: &Row) -> Vec<(&'a Expectation, ClusterSet)> {
        let mut left = (*row.proxies).clone();
        let mut found = Vec::new();
        for (expectation, proxies) in &self.expectations {
            if left.is_empty() {
                break;
            }
            if !expectation.of.means_cluster(&row.name) {
                continue;
            }
            let meant = proxies.as_ref().map_or_else(|| left.clone(), |proxies| proxies.intersection(&left));
            if !meant.is_empty() {
                left = without(&left, &meant);
                found.push((*expectation, meant));
            }
        }
        found
    }

    /// A finding that compares a row's value with thresholds, on the proxies of which nothing else is expected.
    pub(super) fn unexpected(&self, finding: Finding) -> Option<Finding> {
        let Subject::Row { row, proxies } = &finding.subject else { return Some(finding) };
        let mut left = (**proxies).clone();
        for (_, covered) in self.expected(row) {
            left = without(&left, &covered);
        }
        remaining(finding, left)
    }

    /// What the policy makes of a finding: `Err` where it is to be ignored, `None` where its rule is switched off.
    pub(super) fn weigh(&self, mut finding: Finding) -> Option<Result<Finding, ()>> {
        if let Some(severity) = self.policy.severities.get(finding.rule.code) {
            let severity = (*severity)?;
            // Where a rule finds something less bad than usual, it stays so.
            finding.severity =
                if finding.severity < finding.rule.severity { severity.min(finding.severity) } else { severity };
        }
        for (ignore, proxies) in &self.ignores {
            let of_rule = ignore.rule.as_ref().is_none_or(|code| code == finding.rule.code);
            let cluster = finding.cluster();
            let of_subject =
                if cluster.is_empty() { ignore.of.means_no_cluster() } else { ignore.of.means_cluster(cluster) };
            if !of_rule || !of_subject {
                continue;
            }
            let Some(proxies) = proxies else { return Some(Err(())) };
            let left = without(finding.proxies(), proxies);
            match remaining(finding, left) {
                Some(rest) => finding = rest,
                None => return Some(Err(())),
            }
        }
        Some(Ok(finding))
    }
}

/// A finding on what is left of its proxies; `None` where nothing is.
fn remaining(finding: Finding, left: ClusterSet) -> Option<Finding> {
    if left.len() == finding.proxies().len() {
        return Some(finding);
    }
    (!left.is_empty()).then(|| finding.on(left))
}

fn without(set: &ClusterSet, other: &ClusterSet) -> ClusterSet {
    set.iter().filter(|position| !other.contains(*position)).collect()
}

/// The parts of a policy that match nothing of a snapshot: a typo in a pattern must not look like a mesh that is well.
#[must_use]
pub fn unused(policy: &Policy, snapshot: &MeshSnapshot) -> Vec<String> {
    let filter = Filter::default();
    let meant = |of: &Matcher| {
        let proxies = of.proxies(snapshot);
        let any_proxy = proxies.as_ref().is_none_or(|proxies| !proxies.is_empty());
        let mut clusters = snapshot.clusters.iter().filter(|cluster| filter.shows(cluster.kind()));
        any_proxy && (of.means_no_cluster() || clusters.any(|cluster| of.means_cluster(&cluster.name)))
    };
    let expectations = (1..).zip(&policy.expectations).filter(|(_, one)| !meant(&one.of));
    let ignores = (1..).zip(&policy.ignores).filter(|(_, one)| !meant(&one.of));
    expectations
        .map(|(number, _)| format!("expectation {number} matches nothing that was read"))
        .chain(ignores.map(|(number, _)| format!("ignore {number} matches nothing that was read")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::is_of;

    #[test]
    fn patterns_match_whole_texts() {
        for (pattern, text, matches) in [
            ("*", "", true),
            ("*.example.com", "api.example.com", true),
            ("*.example.com", "example.com", false),
            ("api.example.com", "api.example.com.evil", false),
            ("a*b*c", "axxbyyc", true),
            ("a*b*c", "acb", false),
            ("*a*", "bab", true),
            ("ab*ba", "aba", false),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(is_of(pattern, text), matches, "{pattern} {text}");
        }
    }
}
