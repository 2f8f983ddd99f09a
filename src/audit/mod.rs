//! Judges a snapshot. Pure: the same snapshot, filter and policy give the same audit.

mod context;
pub mod delivery;
mod evidence;
mod filter;
mod finding;
pub mod install;
mod mesh;
pub mod policy;
pub mod recommend;
mod row;
pub mod rules;

use std::sync::Arc;

pub use context::{Context, MeshValue, Rule};
pub use evidence::{Counted, Counters, Trouble};
pub use filter::{Filter, Unmatched, host, nearest};
pub use finding::{Action, Finding, MeshKey, RuleInfo, Severity, Subject};
pub use policy::Policy;
pub use recommend::{Reach, Recommendation, Recommender, RouteLimit};
pub use row::Row;

use crate::attribute::Attributor;
use crate::cores::in_order;
use crate::model::MeshSnapshot;

/// What an audit says.
#[derive(Debug, Clone)]
pub struct Audit {
    /// One for each distinct (cluster, value, origin), by name. Rows that the same proxies hold share their set.
    pub rows: Vec<Arc<Row>>,
    /// What is wrong, worst first.
    pub findings: Vec<Finding>,
    /// The mesh's value for each control plane, as far as it is known.
    pub mesh: Vec<MeshValue>,
    /// How many findings the policy ignores.
    pub ignored: usize,
    /// How many findings were left out since an earlier audit had them.
    pub known: usize,
}

/// Judges a snapshot. What is wrong with a cluster, and the value that it should have, does not hang on the filter: that
/// only leaves out rows, and findings of clusters that it does not keep.
#[must_use]
pub fn audit(snapshot: &MeshSnapshot, filter: &Filter, policy: &Policy) -> Audit {
    let attributor = Attributor::new(snapshot);
    let mesh = mesh::values(snapshot, &attributor);
    let rows = row::rows(snapshot, filter, &attributor);
    let (mut findings, mut ignored) = (Vec::new(), 0);
    let applied = policy::Applied::new(policy, snapshot);
    let recommender = Recommender::new(snapshot, &rows, policy);
    let context = Context {
        snapshot,
        rows: &rows,
        policy,
        applied: &applied,
        mesh: &mesh,
        attributor: &attributor,
        recommender: &recommender,
    };
    let check = |rule: &&dyn Rule| {
        let (mut found, mut left_out) = (Vec::new(), 0);
        rule.check(&context, &mut |finding| {
            let finding = if rule.compares_values() { applied.unexpected(finding) } else { Some(finding) };
            match finding.filter(|finding| finding.subject.is_kept(filter)).and_then(|finding| applied.weigh(finding)) {
                Some(Ok(finding)) => found.push(finding),
                Some(Err(())) => left_out += 1,
                None => {}
            }
        });
        (found, left_out)
    };
    in_order(rules::ALL, check, |_, (found, left_out)| {
        findings.extend(found);
        ignored += left_out;
    });
    findings.sort_by(|a, b| {
        let key = |finding: &Finding| (std::cmp::Reverse(finding.severity), finding.rule.code);
        key(a)
            .cmp(&key(b))
            .then_with(|| a.cluster().cmp(b.cluster()))
            .then_with(|| a.subject.timeout().cmp(&b.subject.timeout()))
            .then_with(|| a.message.cmp(&b.message))
    });
    let rows = rows.into_iter().filter(|row| filter.keeps(&row.name, row.effective_timeout())).collect();
    Audit { rows, findings, mesh, ignored, known: 0 }
}

impl Audit {
    /// How many findings there are of a severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }

    /// The worst severity of all findings.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }
}
