//! Judges a snapshot. Pure: the same snapshot, filter and policy give the same audit.

mod context;
pub mod delivery;
mod evidence;
mod finding;
pub mod install;
mod mesh;
mod policy;
pub mod recommend;
mod row;
pub mod rules;

use std::sync::Arc;
use std::time::Duration;

pub use context::{Context, MeshValue, Rule};
pub use evidence::{Counted, Counters, Trouble};
pub use finding::{Action, Finding, MeshKey, Reach, RuleInfo, Severity, Subject};
pub use policy::Policy;
pub use recommend::{Recommendation, Recommender, RouteLimit};
pub use row::Row;

use crate::attribute::Attributor;
use crate::model::{ClusterKind, ClusterName, Direction, MeshSnapshot};

/// Which clusters an audit looks at.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// A part of the host.
    pub host: Option<String>,
    /// The service's port.
    pub port: Option<u16>,
    /// The direction.
    pub direction: Option<Direction>,
    /// The subset, whole.
    pub subset: Option<String>,
    /// Timeouts below this.
    pub below: Option<Duration>,
    /// Timeouts above this.
    pub above: Option<Duration>,
    /// Bootstrap and internal clusters too.
    pub all_clusters: bool,
}

impl Filter {
    /// Whether clusters of a kind are looked at at all.
    #[must_use]
    pub fn shows(&self, kind: ClusterKind) -> bool {
        self.all_clusters || !matches!(kind, ClusterKind::Bootstrap | ClusterKind::Internal)
    }

    /// Whether a cluster with this name and timeout is looked at.
    #[must_use]
    pub fn keeps(&self, name: &str, timeout: Duration) -> bool {
        let parts = ClusterName::parse(name);
        let part = |test: &dyn Fn(ClusterName<'_>) -> bool| parts.is_some_and(test);
        self.host.as_ref().is_none_or(|wanted| host(name).contains(wanted.as_str()))
            && self.port.is_none_or(|wanted| part(&|parts| parts.port == wanted))
            && self.direction.is_none_or(|wanted| part(&|parts| parts.direction == wanted))
            && self.subset.as_ref().is_none_or(|wanted| part(&|parts| parts.subset == wanted))
            && self.below.is_none_or(|below| timeout < below)
            && self.above.is_none_or(|above| timeout > above)
    }
}

/// The host of a cluster, by its name. One that is not a service's has none; its name stands for it.
#[must_use]
pub fn host(name: &str) -> &str {
    ClusterName::parse(name).map_or(name, |parts| if parts.host.is_empty() { name } else { parts.host })
}

/// What an audit says.
#[derive(Debug, Clone)]
pub struct Audit {
    /// One for each distinct (cluster, value, origin), by name. Rows that the same proxies hold share their set.
    pub rows: Vec<Arc<Row>>,
    /// What is wrong, worst first.
    pub findings: Vec<Finding>,
    /// The mesh's value for each control plane, as far as it is known.
    pub mesh: Vec<MeshValue>,
}

/// Judges a snapshot. What is wrong with a cluster, and the value that it should have, does not hang on the filter: that
/// only leaves out rows, and findings of clusters that it does not keep.
#[must_use]
pub fn audit(snapshot: &MeshSnapshot, filter: &Filter, policy: &Policy) -> Audit {
    let attributor = Attributor::new(snapshot);
    let mesh = mesh::values(snapshot, &attributor);
    let rows = row::rows(snapshot, filter, &attributor);
    let mut findings = Vec::new();
    let recommender = Recommender::new(snapshot, &rows, policy);
    let context =
        Context { snapshot, rows: &rows, policy, mesh: &mesh, attributor: &attributor, recommender: &recommender };
    for rule in rules::ALL {
        rule.check(&context, &mut |finding| {
            if finding.subject.is_kept(filter) {
                findings.push(finding);
            }
        });
    }
    findings.sort_by(|a, b| {
        let key = |finding: &Finding| (std::cmp::Reverse(finding.severity), finding.rule.code);
        key(a)
            .cmp(&key(b))
            .then_with(|| a.cluster().cmp(b.cluster()))
            .then_with(|| a.subject.timeout().cmp(&b.subject.timeout()))
            .then_with(|| a.message.cmp(&b.message))
    });
    let rows = rows.into_iter().filter(|row| filter.keeps(&row.name, row.effective_timeout())).collect();
    Audit { rows, findings, mesh }
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
