//! Judges a snapshot. Pure: the same snapshot, filter and policy give the same audit.

mod context;
pub mod delivery;
mod evidence;
pub mod install;
mod mesh;
mod policy;
pub mod rules;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

pub use context::{Context, Finding, MeshValue, Row, RowKey, Rule, RuleInfo, Severity};
pub use evidence::{Counters, Summary, Trouble};
pub use policy::Policy;

use crate::attribute::{Attribution, Attributor, Dropped};
use crate::model::{ClusterKind, ClusterName, ClusterSet, Direction, EnvoyCluster, MeshSnapshot};

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
    let attributor = Attributor::new(snapshot);
    let mesh = mesh::values(snapshot, &attributor);
    let mut sets = ProxySets::default();
    let rows = rows(snapshot, filter, &attributor, &mut sets);
    let context = Context { snapshot, rows: &rows, policy, mesh: &mesh, attributor: &attributor };
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

/// What is known of a row while it is put together.
struct Growing {
    /// One of its clusters.
    position: usize,
    proxies: ClusterSet,
    attribution: Attribution,
    mesh: Option<Duration>,
    dropped: Vec<(Dropped, ClusterSet)>,
}

/// Groups what the proxies hold into rows.
fn rows(snapshot: &MeshSnapshot, filter: &Filter, attributor: &Attributor<'_>, sets: &mut ProxySets) -> Vec<Row> {
    let kept: ClusterSet =
        (0u32..).zip(&snapshot.clusters).filter(|(_, cluster)| filter.keeps(cluster)).map(|(at, _)| at).collect();
    let mut holders: Vec<ClusterSet> = vec![ClusterSet::default(); snapshot.clusters.len()];
    for (proxy, read) in (0u32..).zip(&snapshot.proxies) {
        for position in read.clusters.intersection(&kept).iter() {
            holders[position as usize].insert(proxy);
        }
    }
    let mut grouped: HashMap<RowKey, Growing> = HashMap::new();
    for class in attributor.classes() {
        let mesh = attributor.mesh_value(class).map(|mesh| mesh.connect_timeout).or(class.told());
        for position in class.clusters.intersection(&kept).iter() {
            let cluster = &snapshot.clusters[position as usize];
            let attribution = attributor.attribute(class, position);
            let proxies = holders[position as usize].intersection(&class.proxies);
            let dropped = attribution.expected.as_ref().and_then(|expected| expected.dropped.clone());
            let key = (Arc::clone(&cluster.name), cluster.connect_timeout, attribution.origin.clone());
            let row = grouped.entry(key).or_insert_with(|| Growing {
                position: position as usize,
                proxies: ClusterSet::default(),
                attribution,
                mesh,
                dropped: Vec::new(),
            });
            row.proxies.extend(&proxies);
            if let Some(dropped) = dropped {
                match row.dropped.iter_mut().find(|(known, _)| *known == dropped) {
                    Some((_, all)) => all.extend(&proxies),
                    None => row.dropped.push((dropped, proxies)),
                }
            }
        }
    }
    let mut rows: Vec<Row> = grouped
        .into_iter()
        .map(|((name, connect_timeout, origin), row)| {
            let cluster = &snapshot.clusters[row.position];
            Row {
                name,
                kind: cluster.kind(),
                discovery_type: Arc::clone(&cluster.discovery_type),
                connect_timeout,
                origin,
                verdict: row.attribution.verdict,
                expected: row.attribution.expected,
                mesh: row.mesh,
                dropped: row.dropped,
                proxy_set: 0,
                proxies: Arc::new(row.proxies),
            }
        })
        .collect();
    rows.sort_by(|a, b| (&a.name, a.connect_timeout, &a.origin).cmp(&(&b.name, b.connect_timeout, &b.origin)));
    // The sets' numbers follow the rows' order, so that the same mesh gives the same document.
    for row in &mut rows {
        row.proxy_set = sets.intern(ClusterSet::clone(&row.proxies));
        row.proxies = Arc::clone(&sets.distinct[row.proxy_set]);
    }
    rows
}
