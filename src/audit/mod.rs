//! Judges a snapshot. Pure: the same snapshot, filter and policy give the same audit.

mod context;
mod hint;
mod policy;
pub mod rules;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

pub use context::{Context, Finding, MeshValue, Row, RowKey, Rule, RuleInfo, Severity};
pub use policy::Policy;

use crate::model::{ClusterKind, ClusterName, ClusterSet, ClusterSource, Direction, EnvoyCluster, MeshSnapshot};

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
    /// Whether a cluster is looked at.
    #[must_use]
    pub fn keeps(&self, cluster: &EnvoyCluster) -> bool {
        let shown = self.all_clusters || !matches!(cluster.kind(), ClusterKind::Bootstrap | ClusterKind::Internal);
        let parts = cluster.parts();
        let timeout = cluster.effective_timeout();
        let part = |test: &dyn Fn(ClusterName<'_>) -> bool| parts.is_some_and(test);
        // A cluster that is not a service's has no host; its name stands for it.
        let host =
            parts.map_or(&*cluster.name, |parts| if parts.host.is_empty() { &*cluster.name } else { parts.host });
        shown
            && self.host.as_ref().is_none_or(|wanted| host.contains(wanted.as_str()))
            && self.port.is_none_or(|wanted| part(&|parts| parts.port == wanted))
            && self.direction.is_none_or(|wanted| part(&|parts| parts.direction == wanted))
            && self.subset.as_ref().is_none_or(|wanted| part(&|parts| parts.subset == wanted))
            && self.below.is_none_or(|below| timeout < below)
            && self.above.is_none_or(|above| timeout > above)
    }
}

/// What an audit says.
#[derive(Debug, Clone)]
pub struct Audit {
    /// One for each distinct (cluster, value, origin), by name.
    pub rows: Vec<Row>,
    /// The distinct sets of proxies that rows refer to: positions in the snapshot's list.
    pub proxy_sets: Vec<Arc<ClusterSet>>,
    /// What is wrong, worst first.
    pub findings: Vec<Finding>,
    /// The mesh's value for each control plane, as far as it is known.
    pub mesh: Vec<MeshValue>,
}

/// Judges a snapshot.
#[must_use]
pub fn audit(snapshot: &MeshSnapshot, filter: &Filter, policy: &Policy) -> Audit {
    let mesh = hint::mesh_values(snapshot);
    let mut sets = ProxySets::default();
    let rows = rows(snapshot, filter, &mut sets);
    let context = Context { snapshot, rows: &rows, policy, mesh: &mesh };
    let mut findings = Vec::new();
    for rule in rules::ALL {
        rule.check(&context, &mut |finding| findings.push(finding));
    }
    findings.sort_by(|a, b| {
        let key =
            |finding: &Finding| (std::cmp::Reverse(finding.severity), finding.rule.code, Arc::clone(&finding.cluster));
        key(a).cmp(&key(b)).then_with(|| a.timeout.cmp(&b.timeout)).then_with(|| a.message.cmp(&b.message))
    });
    Audit { rows, proxy_sets: sets.distinct, findings, mesh }
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

/// Keeps equal sets once.
#[derive(Default)]
struct ProxySets {
    distinct: Vec<Arc<ClusterSet>>,
    /// By content, as runs; a bitmap has no hash of its own.
    known: HashMap<Vec<[u32; 2]>, usize>,
}

impl ProxySets {
    fn intern(&mut self, mut set: ClusterSet) -> usize {
        *self.known.entry(set.runs()).or_insert_with(|| {
            set.shrink();
            self.distinct.push(Arc::new(set));
            self.distinct.len() - 1
        })
    }
}

/// Groups what the proxies hold into rows.
fn rows(snapshot: &MeshSnapshot, filter: &Filter, sets: &mut ProxySets) -> Vec<Row> {
    let hints = hint::Hints::new(snapshot);
    // A warming cluster is not in force yet; it is a finding of its own, not a value.
    let kept =
        snapshot.clusters.iter().map(|cluster| cluster.source != ClusterSource::Warming && filter.keeps(cluster));
    let kept: Vec<bool> = kept.collect();
    let mut holders: Vec<ClusterSet> = vec![ClusterSet::default(); snapshot.clusters.len()];
    for (proxy, read) in (0u32..).zip(&snapshot.proxies) {
        for position in read.clusters.iter() {
            if kept[position as usize] {
                holders[position as usize].insert(proxy);
            }
        }
    }
    let mut grouped: HashMap<RowKey, (usize, ClusterSet)> = HashMap::new();
    for (position, holding) in holders.into_iter().enumerate() {
        let cluster = &snapshot.clusters[position];
        for (origin, proxies) in hints.origins(cluster, &holding) {
            let key = (Arc::clone(&cluster.name), cluster.connect_timeout, origin);
            let (_, all) = grouped.entry(key).or_insert_with(|| (position, ClusterSet::default()));
            all.extend(&proxies);
        }
    }
    let mut rows: Vec<Row> = grouped
        .into_iter()
        .map(|((name, connect_timeout, origin), (position, proxies))| {
            let cluster = &snapshot.clusters[position];
            Row {
                name,
                kind: cluster.kind(),
                discovery_type: Arc::clone(&cluster.discovery_type),
                connect_timeout,
                origin,
                proxy_set: sets.intern(proxies.clone()),
                proxies: Arc::new(proxies),
            }
        })
        .collect();
    rows.sort_by(|a, b| (&a.name, a.connect_timeout, &a.origin).cmp(&(&b.name, b.connect_timeout, &b.origin)));
    // The sets' numbers follow the rows' order, so that the same mesh gives the same document.
    sets.known.clear();
    sets.distinct.clear();
    for row in &mut rows {
        row.proxy_set = sets.intern(ClusterSet::clone(&row.proxies));
        row.proxies = Arc::clone(&sets.distinct[row.proxy_set]);
    }
    rows
}
