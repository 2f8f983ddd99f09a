//! What a plan would change: the audit of the snapshot as it would be afterwards.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::installation::shared_map_of_aks;
use super::{FixPlan, MeshStep, ObjectStep, Step, TimeoutKey};
use crate::attribute::{Attributor, ProxyClass, Verdict};
use crate::audit::install::InstallMethod;
use crate::audit::{Action, Audit, Filter, Finding, Policy, audit};
use crate::decode::objects::add;
use crate::model::objects::{
    ConnectionPool, ControlPlane, Evidence, IstioObjects, MeshConfig, MeshConfigKind, MeshConfigSource, ObjectMeta,
};
use crate::model::{ClusterSet, MeshSnapshot, Origin, OriginKind, SnapshotBuilder, format_duration};

/// One value that would change.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The cluster's name.
    pub cluster: Arc<str>,
    /// The value now; `None` where the field is absent.
    pub before: Option<Duration>,
    /// The value afterwards.
    pub after: Option<Duration>,
    /// The proxies, as positions in the snapshot.
    pub proxies: ClusterSet,
}

/// A finding that the plan does not mend, and why.
#[derive(Debug, Clone)]
pub struct Remaining {
    /// The finding.
    pub finding: Finding,
    /// Why it stays.
    pub reason: String,
}

/// What a plan would change.
#[derive(Debug, Clone, Default)]
pub struct Effect {
    /// The values, by cluster.
    pub changes: Vec<Change>,
    /// The findings that vanish.
    pub vanish: Vec<Finding>,
    /// The findings that stay.
    pub remain: Vec<Remaining>,
    /// Findings that would be new.
    pub appear: Vec<Finding>,
}

impl Effect {
    /// How many distinct clusters change.
    #[must_use]
    pub fn clusters(&self) -> usize {
        let mut names: Vec<&Arc<str>> = self.changes.iter().map(|change| &change.cluster).collect();
        names.sort();
        names.dedup();
        names.len()
    }

    /// The proxies that change.
    #[must_use]
    pub fn proxies(&self) -> ClusterSet {
        let mut all = ClusterSet::default();
        self.changes.iter().for_each(|change| all.extend(&change.proxies));
        all
    }
}

/// The snapshot as it would be once the plan is carried out and every connected proxy has taken it.
#[must_use]
pub fn apply(snapshot: &MeshSnapshot, plan: &FixPlan) -> MeshSnapshot {
    let mut changed = MeshSnapshot { objects: snapshot.objects.clone(), ..snapshot.clone() };
    for step in &plan.steps {
        match step {
            Step::Mesh(step) => {
                let plane = changed.objects.get_mut(&step.context).and_then(|objects| {
                    objects.control_planes.iter_mut().find(|plane| plane.revision == step.revision)
                });
                if let Some(plane) = plane {
                    apply_mesh(plane, step);
                }
            }
            Step::Object(step) => {
                if let Some(objects) = changed.objects.get_mut(&step.context) {
                    apply_object(objects, step, snapshot.taken_at);
                }
            }
        }
    }
    let values = values(snapshot, &changed, plan);
    let mut builder = SnapshotBuilder::default();
    // Each class's rows, and what they become; a row that nobody holds any more is not kept.
    let mut renamed: HashMap<(usize, u32), u32> = HashMap::new();
    for (position, read) in snapshot.proxies.iter().enumerate() {
        let mut read = read.clone();
        let class = values.class_of[position];
        read.clusters = read
            .clusters
            .iter()
            .map(|row| {
                *renamed.entry((class, row)).or_insert_with(|| {
                    let mut cluster = snapshot.clusters[row as usize].clone();
                    if let Some(value) = values.by_class.get(&(class, row)) {
                        cluster.connect_timeout = *value;
                    }
                    builder.intern(cluster)
                })
            })
            .collect();
        builder.read(read);
    }
    snapshot.skipped.iter().cloned().for_each(|skipped| builder.skip(skipped));
    snapshot.failed.iter().cloned().for_each(|failed| builder.fail(failed));
    for (context, objects) in changed.objects {
        builder.objects(context, objects);
    }
    builder.finish(snapshot.taken_at)
}

/// The values that change, for each class of proxies.
struct Values {
    by_class: BTreeMap<(usize, u32), Option<Duration>>,
    class_of: Vec<usize>,
}

fn values(snapshot: &MeshSnapshot, changed: &MeshSnapshot, plan: &FixPlan) -> Values {
    let (before, after) = (Attributor::new(snapshot), Attributor::new(changed));
    let mut class_of = vec![0; snapshot.proxies.len()];
    let mut by_class = BTreeMap::new();
    for (index, class) in before.classes().iter().enumerate() {
        let mut first = None;
        for proxy in class.proxies.iter() {
            class_of[proxy as usize] = index;
            first.get_or_insert(proxy);
        }
        let Some(first) = first else { continue };
        let new_class = after.class_of(first as usize);
        let unread_mesh = unread_mesh(&before, class, plan);
        for row in class.clusters.iter() {
            let held = snapshot.clusters[row as usize].connect_timeout;
            let now = before.attribute(class, row);
            // What the control plane no longer reaches, or nobody can account for, stays as it is.
            let (Verdict::Explained, Some(expected)) = (now.verdict, &now.expected) else { continue };
            if now.origin != expected.origin {
                continue;
            }
            let value = match unread_mesh {
                Some(value) if matches!(expected.origin.kind, OriginKind::MeshConfig { .. }) => Some(value),
                _ => match after.attribute(new_class, row).expected {
                    Some(expected) => expected.timeout,
                    None => continue,
                },
            };
            if value != held {
                by_class.insert((index, row), value);
            }
        }
    }
    Values { by_class, class_of }
}

/// The mesh-wide value that the plan gives a class whose mesh configuration could not be read.
fn unread_mesh(attributor: &Attributor<'_>, class: &ProxyClass<'_>, plan: &FixPlan) -> Option<Duration> {
    if attributor.mesh_value(class).is_some() {
        return None;
    }
    let proxy = &class.representative.proxy;
    plan.steps.iter().find_map(|step| match step {
        Step::Mesh(step) if step.context == proxy.id.context && step.revision == proxy.revision => Some(step.after),
        _ => None,
    })
}

/// Puts a mesh configuration as a step leaves it in the place of what is there.
pub(super) fn apply_mesh(plane: &mut ControlPlane, step: &MeshStep) {
    let put = |config: &mut MeshConfig| {
        for field in step.key.fields() {
            match field {
                TimeoutKey::DefaultTrafficPolicy => {
                    config.default_connection_pool = Some(ConnectionPool { connect_timeout: Some(step.after) });
                }
                _ => config.connect_timeout = Some(step.after),
            }
        }
    };
    match plane.mesh.iter_mut().find(|source| source.kind == step.target) {
        Some(source) => {
            put(&mut source.config);
            if let Some(patch) = &step.patch {
                source.text = patch.text.as_str().into();
            }
        }
        None => {
            let mut config = MeshConfig::default();
            put(&mut config);
            let name = match step.install.method {
                InstallMethod::AksAddon => shared_map_of_aks(&step.revision),
                _ => "istio".to_owned(),
            };
            plane.mesh.push(MeshConfigSource {
                kind: step.target,
                meta: ObjectMeta { namespace: step.namespace.clone(), name, created: None },
                config,
                text: Arc::from(""),
                resource_version: String::new(),
                error: None,
                evidence: Evidence::default(),
            });
        }
    }
    // What istiod said of itself before is no longer so; the ConfigMaps decide.
    plane.mesh.retain(|source| source.kind != MeshConfigKind::Effective);
}

/// Puts an object as a step leaves it in the place of what is there; one that is made anew is as old as `now`.
pub(super) fn apply_object(objects: &mut IstioObjects, step: &ObjectStep, now: Timestamp) {
    let is = |meta: &ObjectMeta| meta.namespace == step.identity.namespace && meta.name == step.identity.name;
    let known = match step.identity.kind {
        "DestinationRule" => objects.destination_rules.iter().find(|rule| is(&rule.meta)).map(|rule| &rule.meta),
        "Sidecar" => objects.sidecars.iter().find(|sidecar| is(&sidecar.meta)).map(|sidecar| &sidecar.meta),
        _ => objects.envoy_filters.iter().find(|filter| is(&filter.meta)).map(|filter| &filter.meta),
    };
    let created = match known {
        Some(meta) => meta.created,
        None => Some(now),
    };
    let mut fresh = IstioObjects::default();
    if let Ok(kind) = step.identity.kind.parse() {
        add(&mut fresh, kind, &format!("{{\"spec\":{}}}", step.spec));
    }
    let meta = ObjectMeta { namespace: step.identity.namespace.clone(), name: step.identity.name.clone(), created };
    macro_rules! replace {
        ($list:ident) => {
            if let Some(mut object) = fresh.$list.pop() {
                match objects.$list.iter_mut().find(|known| is(&known.meta)) {
                    Some(known) => {
                        object.source = known.source.clone();
                        object.source.spec = step.spec.as_str().into();
                        object.meta = meta;
                        *known = object;
                    }
                    None => {
                        object.meta = meta;
                        objects.$list.push(object);
                    }
                }
            }
        };
    }
    match step.identity.kind {
        "DestinationRule" => replace!(destination_rules),
        "Sidecar" => replace!(sidecars),
        _ => replace!(envoy_filters),
    }
    objects.sort();
}

/// Audits the snapshot as it would be, and compares.
pub(super) fn effect(snapshot: &MeshSnapshot, now: &Audit, filter: &Filter, policy: &Policy, plan: &FixPlan) -> Effect {
    let changed = apply(snapshot, plan);
    let then = audit(&changed, filter, policy);
    let mut effect = Effect { changes: changes(snapshot, &changed), ..Effect::default() };
    let left = |finding: &Finding, others: &[Finding]| {
        let mut same = ClusterSet::default();
        for other in others.iter().filter(|other| other.is_same(finding)) {
            same.extend(other.proxies());
        }
        let plane_wide = finding.proxies().is_empty() && others.iter().any(|other| other.is_same(finding));
        plane_wide || !same.intersection(finding.proxies()).is_empty()
    };
    for finding in &now.findings {
        if left(finding, &then.findings) {
            effect.remain.push(Remaining { finding: finding.clone(), reason: why(finding) });
        } else {
            effect.vanish.push(finding.clone());
        }
    }
    effect.appear = then.findings.iter().filter(|finding| !left(finding, &now.findings)).cloned().collect();
    effect
}

/// A set of clusters as runs, which can be hashed.
type Runs = Vec<[u32; 2]>;

fn changes(before: &MeshSnapshot, after: &MeshSnapshot) -> Vec<Change> {
    type Key = (Arc<str>, Option<Duration>, Option<Duration>);
    let mut grouped: BTreeMap<Key, ClusterSet> = BTreeMap::new();
    // Both have the same proxies in the same order; of equal pairs of sets only one is looked at.
    let mut seen: HashMap<(Runs, Runs), Vec<u32>> = HashMap::new();
    for (position, (old, new)) in (0u32..).zip(before.proxies.iter().zip(&after.proxies)) {
        seen.entry((old.clusters.runs(), new.clusters.runs())).or_default().push(position);
    }
    for proxies in seen.into_values() {
        let first = proxies[0] as usize;
        let key = |cluster: &crate::model::EnvoyCluster| (Arc::clone(&cluster.name), cluster.source);
        let new: HashMap<_, _> = after.proxies[first]
            .clusters
            .iter()
            .map(|row| &after.clusters[row as usize])
            .map(|cluster| (key(cluster), cluster.connect_timeout))
            .collect();
        for row in before.proxies[first].clusters.iter() {
            let cluster = &before.clusters[row as usize];
            let Some(&value) = new.get(&key(cluster)) else { continue };
            if value != cluster.connect_timeout {
                let change = grouped.entry((Arc::clone(&cluster.name), cluster.connect_timeout, value)).or_default();
                proxies.iter().for_each(|&proxy| change.insert(proxy));
            }
        }
    }
    grouped.into_iter().map(|((cluster, before, after), proxies)| Change { cluster, before, after, proxies }).collect()
}

/// Why a finding outlives the plan.
fn why(finding: &Finding) -> String {
    let origin = finding.origin();
    let unknown = |origin: &Origin| {
        let note = if origin.note.is_empty() { String::new() } else { format!(": {}", origin.note) };
        format!("what sets it is not known{note}")
    };
    match (&finding.action, origin) {
        (Action::RestoreLogLevels, _) => "logging is no matter of a timeout".to_owned(),
        (action, origin)
            if matches!(action, Action::Deliver(_))
                || origin.is_some_and(|origin| origin.kind == OriginKind::Stale) =>
        {
            "the proxy does not take what its control plane gives; no change of it helps until that is mended"
                .to_owned()
        }
        (Action::MoveKey { .. }, _) => "remove defaultConfig.connectTimeout by hand, where it is set".to_owned(),
        (Action::Reconcile { .. }, _) => "which of the two sources is to decide is yours to say".to_owned(),
        (Action::FitRoute { .. }, _) => "the route's own limits would have to change".to_owned(),
        (Action::SetTimeout { .. }, _) if finding.is_observed() => {
            "counted before the change; it goes when the counters do: `timeouts --watch-for 30s` tells".to_owned()
        }
        (Action::Inspect(_) | Action::Diagnose, _) if finding.is_observed() => {
            "a longer timeout does not mend it".to_owned()
        }
        (_, Some(origin)) if matches!(origin.kind, OriginKind::Unknown | OriginKind::EnvoyDefault) => unknown(origin),
        (_, Some(origin)) if !origin.certain => {
            format!("{} seems to set it, but could not be read", origin.kind.as_str())
        }
        _ => match finding.subject.timeout() {
            Some(value) => format!("{} stays", format_duration(value)),
            None => "nothing in the plan reaches it".to_owned(),
        },
    }
}
