//! From findings to the change to make: for the way the mesh was installed, and for the objects that override it.
//! A plan is advice; nothing here, nor anything that uses it, writes to a cluster.

mod effect;
mod installation;
mod overrides;
pub mod verify;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub use effect::{Change, Effect, Remaining, apply};
pub use installation::{Fragment, MeshStep};
pub use overrides::{ObjectStep, PartChange};

use crate::attribute::{Attributor, ProxyClass, full_host};
use crate::audit::{Action, Audit, Filter, Finding, Policy, Reach, Recommendation, Recommender};
use crate::model::objects::{IstioObjects, ObjectKind};
use crate::model::{ClusterName, Direction, MeshSnapshot, ObjectRef, Origin, OriginKind, RulePart, format_duration};
use installation::{Target, mesh_step};
use overrides::{change, create, deciding_part};

/// What is asked of a plan.
#[derive(Debug, Clone, Default)]
pub struct FixOptions {
    /// A value instead of the recommended one.
    pub value: Option<Duration>,
    /// Parts of hosts: only these, and no mesh-wide change.
    pub hosts: Vec<String>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Change the mesh configuration of a control plane.
    Mesh(Box<MeshStep>),
    /// Change or make an object.
    Object(Box<ObjectStep>),
}

/// What to do, in order, and what comes of it.
#[derive(Debug, Clone, Default)]
pub struct FixPlan {
    /// The value that most of it sets, and why; `None` where nothing is to be set.
    pub recommendation: Option<Recommendation>,
    /// Mesh-wide first, then what overrides it.
    pub steps: Vec<Step>,
    /// What stands in the way, or is to be done by hand.
    pub notes: Vec<String>,
    /// What it would change.
    pub effect: Effect,
}

/// The control plane that a value belongs to: context and revision as the mesh's objects name it, else as proxies do.
type PlaneKey = (String, String, bool);

#[derive(Default)]
struct Wanted<'a> {
    /// Mesh-wide changes, with the clusters that ask for them.
    mesh: BTreeMap<PlaneKey, Vec<&'a Finding>>,
    /// Changes of objects, by context, kind and name, then part.
    objects: BTreeMap<(String, &'static str, ObjectRef), BTreeMap<OriginKind, Part<'a>>>,
    /// Hosts that need a value of their own, by context.
    hosts: Vec<(String, &'a Finding)>,
    notes: BTreeSet<String>,
}

impl<'a> Wanted<'a> {
    /// Asks for a change of one part of an object.
    fn change(&mut self, context: &str, origin: &Origin, finding: &'a Finding, meant: Option<Duration>) {
        let Some(object) = origin.kind.object() else { return };
        let key = (context.to_owned(), origin.kind.as_str(), object.clone());
        let part = self.objects.entry(key).or_default().entry(origin.kind.clone()).or_insert_with(|| Part {
            origin: origin.clone(),
            findings: Vec::new(),
            meant: None,
        });
        part.findings.push(finding);
        part.meant = meant.or(part.meant);
    }
}

struct Part<'a> {
    origin: Origin,
    findings: Vec<&'a Finding>,
    /// A value that was meant for it.
    meant: Option<Duration>,
}

/// Plans the change for what an audit found. `filter` is what the audit looked at.
#[must_use]
pub fn plan(snapshot: &MeshSnapshot, now: &Audit, filter: &Filter, policy: &Policy, options: &FixOptions) -> FixPlan {
    let attributor = Attributor::new(snapshot);
    let wanted = sort_out(&attributor, now, options);
    let recommender = Recommender::new(snapshot, &now.rows, policy);
    let mut plan = FixPlan { notes: wanted.notes.iter().cloned().collect(), ..FixPlan::default() };
    let value_for = |findings: &[&Finding]| {
        let wanting: Vec<_> =
            findings.iter().map(|finding| (finding.cluster(), &**finding.proxies(), held(finding))).collect();
        let asked = || recommender.recommend(&wanting, options.value);
        // What the findings themselves ask for: the most that one of them does.
        let recommended = findings.iter().filter_map(|finding| match &finding.action {
            Action::SetTimeout { to, .. } => Some(to),
            _ => None,
        });
        match recommended.max_by_key(|recommendation| recommendation.value) {
            Some(recommendation) if options.value.is_none() => Recommendation::clone(recommendation),
            _ => asked(),
        }
    };
    for (key, findings) in &wanted.mesh {
        let recommendation = value_for(findings);
        if let Some(step) = plane_step(snapshot, &attributor, now, key, &recommendation) {
            plan.steps.push(Step::Mesh(Box::new(step)));
        }
        plan.recommendation.get_or_insert(recommendation);
    }
    let empty = IstioObjects::default();
    for ((context, ..), parts) in &wanted.objects {
        let objects = snapshot.objects.get(context).unwrap_or(&empty);
        let mut changes = Vec::new();
        for part in parts.values() {
            let recommendation = value_for(&part.findings);
            // A value that someone meant and that is long enough is the one to keep.
            let meant = part.meant.filter(|meant| *meant >= recommendation.value && options.value.is_none());
            changes.push((part.origin.clone(), meant.unwrap_or(recommendation.value)));
            plan.recommendation.get_or_insert(recommendation);
        }
        match change(context, objects, &changes) {
            Ok(Some(step)) => plan.steps.push(Step::Object(Box::new(step))),
            Ok(None) => {}
            Err(error) => plan.notes.push(error),
        }
    }
    for_hosts(snapshot, &attributor, &wanted, &value_for, &mut plan);
    unread(snapshot, &mut plan);
    plan.effect = effect::effect(snapshot, now, filter, policy, &plan);
    let in_scope = |finding: &Finding| options.hosts.is_empty() || is_for(&options.hosts, finding);
    plan.effect.remain.retain(|remaining| in_scope(&remaining.finding));
    plan
}

/// Whether a finding is about one of some hosts, given by parts of their names.
fn is_for(hosts: &[String], finding: &Finding) -> bool {
    let host = ClusterName::parse(finding.cluster()).map_or("", |name| name.host);
    !host.is_empty() && hosts.iter().any(|part| host.contains(part.as_str()))
}

fn held(finding: &Finding) -> Duration {
    finding.subject.timeout().unwrap_or(crate::model::EnvoyCluster::DEFAULT_CONNECT_TIMEOUT)
}

/// Sorts findings by what is to be changed for them.
fn sort_out<'a>(attributor: &Attributor<'_>, now: &'a Audit, options: &FixOptions) -> Wanted<'a> {
    let mut wanted = Wanted::default();
    for finding in now.findings.iter().filter(|finding| options.hosts.is_empty() || is_for(&options.hosts, finding)) {
        let contexts = contexts(attributor, finding);
        match &finding.action {
            Action::SetTimeout { at, reach, .. } => match &at.kind {
                kind if kind.is_override() && at.certain => {
                    for context in &contexts {
                        wanted.change(context, at, finding, None);
                    }
                }
                OriginKind::DestinationRule { rule: object, .. } | OriginKind::EnvoyFilter { filter: object, .. } => {
                    wanted.notes.insert(format!(
                        "{} {object} seems to set {} of {}, but could not be read: change its connectTimeout there",
                        at.kind.as_str(),
                        format_duration(held(finding)),
                        finding.cluster()
                    ));
                }
                kind if kind.is_mesh_wide() && (!options.hosts.is_empty() || *reach == Reach::Host) => {
                    wanted.hosts.extend(contexts.iter().map(|context| (context.clone(), finding)));
                }
                kind if kind.is_mesh_wide() => {
                    for key in planes(attributor, finding, kind) {
                        wanted.mesh.entry(key).or_default().push(finding);
                    }
                }
                _ => {}
            },
            Action::Restore { dropped } => {
                for context in &contexts {
                    wanted.change(context, &dropped.by, finding, Some(dropped.value));
                }
            }
            Action::MoveKey { .. }
            | Action::Reconcile { .. }
            | Action::Deliver(_)
            | Action::RestoreLogLevels
            | Action::FitRoute { .. }
            | Action::Inspect(_) => {}
        }
    }
    wanted
}

fn classes_of<'c, 'a>(
    attributor: &'c Attributor<'a>,
    finding: &Finding,
) -> impl Iterator<Item = &'c ProxyClass<'a>> + use<'c, 'a> {
    let proxies = Arc::clone(finding.proxies());
    attributor.classes().iter().filter(move |class| !class.proxies.intersection(&proxies).is_empty())
}

fn contexts(attributor: &Attributor<'_>, finding: &Finding) -> BTreeSet<String> {
    classes_of(attributor, finding).map(|class| class.representative.proxy.id.context.clone()).collect()
}

fn planes(attributor: &Attributor<'_>, finding: &Finding, kind: &OriginKind) -> BTreeSet<PlaneKey> {
    classes_of(attributor, finding)
        .map(|class| {
            let proxy = &class.representative.proxy;
            let plane = attributor.objects(class).and_then(|objects| objects.control_plane(&proxy.revision));
            let revision = plane.map_or(&proxy.revision, |plane| &plane.revision);
            (proxy.id.context.clone(), revision.clone(), matches!(kind, OriginKind::MeshDefaultTrafficPolicy { .. }))
        })
        .collect()
}

/// The mesh-wide step of a control plane; `None` where it already has the value.
fn plane_step(
    snapshot: &MeshSnapshot,
    attributor: &Attributor<'_>,
    now: &Audit,
    (context, revision, default_traffic_policy): &PlaneKey,
    recommendation: &Recommendation,
) -> Option<MeshStep> {
    let objects = snapshot.objects.get(context).filter(|objects| !objects.is_empty());
    let plane = objects.and_then(|objects| objects.control_planes.iter().find(|plane| plane.revision == *revision));
    let value = now.mesh.iter().find(|mesh| mesh.context == *context && mesh.revision == *revision);
    let effective = plane.and_then(|plane| plane.effective());
    let baseline = effective
        .filter(|_| *default_traffic_policy)
        .and_then(|effective| effective.default_connection_pool?.connect_timeout);
    let told = || attributor.classes().iter().find_map(ProxyClass::told);
    let before = baseline.or(value.map(|value| value.connect_timeout)).or_else(told)?;
    if before == recommendation.value {
        return None;
    }
    let source = value.map(|value| value.source.clone()).unwrap_or_default();
    let target = Target {
        context,
        revision,
        before,
        after: recommendation.value,
        source: &source,
        default_traffic_policy: *default_traffic_policy,
    };
    Some(mesh_step(objects, plane, &target))
}

/// DestinationRules for hosts that need a value of their own: merged into the rule that is there for the host, or
/// made anew where there is none or only a wider one.
fn for_hosts(
    snapshot: &MeshSnapshot,
    attributor: &Attributor<'_>,
    wanted: &Wanted<'_>,
    value_for: &dyn Fn(&[&Finding]) -> Recommendation,
    plan: &mut FixPlan,
) {
    /// Context, namespace, and the rule's name or the host.
    type Key = (String, String, String);
    type Parts<'a> = BTreeMap<RulePart, (Origin, Vec<&'a Finding>)>;
    let mut changes: BTreeMap<Key, Parts<'_>> = BTreeMap::new();
    let mut created: BTreeMap<Key, (Option<String>, Vec<&Finding>)> = BTreeMap::new();
    // Where the mesh-wide change is enough, a host needs none of its own.
    let mesh_wide = |context: &str, needed: Duration| {
        plan.steps
            .iter()
            .any(|step| matches!(step, Step::Mesh(step) if step.context == context && step.after >= needed))
    };
    let hosts: Vec<&(String, &Finding)> = wanted
        .hosts
        .iter()
        .filter(|(context, finding)| {
            let needed = value_for(&[finding]).value;
            needed != held(finding) && !mesh_wide(context, needed)
        })
        .collect();
    for (context, finding) in hosts {
        let Some(name) = ClusterName::parse(finding.cluster()).filter(|name| name.direction == Direction::Outbound)
        else {
            continue;
        };
        for class in classes_of(attributor, finding) {
            let Some(objects) =
                attributor.objects(class).filter(|objects| objects.is_read(ObjectKind::DestinationRule))
            else {
                plan.notes.push(format!(
                    "DestinationRules could not be read, so where to set a value for {} is not known",
                    name.host
                ));
                continue;
            };
            let Some(position) = snapshot.clusters.iter().position(|cluster| *cluster.name == *finding.cluster())
            else {
                continue;
            };
            let found = attributor.rule_for(class, &snapshot.clusters[position]);
            match found.rule {
                Some(rule) if full_host(&rule.host, &rule.meta.namespace, objects.domain()) == name.host => {
                    let part = deciding_part(rule, name.port, name.subset);
                    let rule_part =
                        OriginKind::DestinationRule { rule: rule.meta.reference(), part: Some(part.clone()) };
                    let origin = Origin::new(rule_part, true);
                    let key = (context.clone(), rule.meta.namespace.clone(), rule.meta.name.clone());
                    changes.entry(key).or_default().entry(part).or_insert((origin, Vec::new())).1.push(finding);
                }
                wider => {
                    let namespace = match wider {
                        Some(rule) => rule.meta.namespace.clone(),
                        None if found.service_namespace.is_empty() => found.root_namespace.clone(),
                        None => found.service_namespace.clone(),
                    };
                    let base = wider.map(|rule| rule.meta.name.clone());
                    created
                        .entry((context.clone(), namespace, name.host.to_owned()))
                        .or_insert((base, Vec::new()))
                        .1
                        .push(finding);
                }
            }
        }
    }
    let empty = IstioObjects::default();
    for ((context, ..), parts) in changes {
        let objects = snapshot.objects.get(&context).unwrap_or(&empty);
        let mut edits = Vec::new();
        for (origin, findings) in parts.into_values() {
            let recommendation = value_for(&findings);
            edits.push((origin, recommendation.value));
            plan.recommendation.get_or_insert(recommendation);
        }
        match change(&context, objects, &edits) {
            Ok(Some(step)) => plan.steps.push(Step::Object(Box::new(step))),
            Ok(None) => {}
            Err(error) => plan.notes.push(error),
        }
    }
    for ((context, namespace, host), (base, findings)) in created {
        let objects = snapshot.objects.get(&context).unwrap_or(&empty);
        let recommendation = value_for(&findings);
        let version = objects.control_planes.first().map_or("", |plane| plane.version.as_str());
        let base = base.and_then(|name| {
            objects.destination_rules.iter().find(|rule| rule.meta.namespace == namespace && rule.meta.name == name)
        });
        match create(&context, objects, version, &namespace, &host, base, recommendation.value) {
            Ok(step) => plan.steps.push(Step::Object(Box::new(step))),
            Err(error) => plan.notes.push(error),
        }
        plan.recommendation.get_or_insert(recommendation);
    }
    plan.notes.sort();
    plan.notes.dedup();
}

/// Says what could not be read, since a plan without it may be no whole plan.
fn unread(snapshot: &MeshSnapshot, plan: &mut FixPlan) {
    use crate::model::objects::Coverage;
    if snapshot.objects.values().all(IstioObjects::is_empty) {
        plan.notes.push(
            "no Istio objects were read: how the mesh was installed, and which objects override it, is not known"
                .to_owned(),
        );
    }
    for (context, objects) in &snapshot.objects {
        let at = if context.is_empty() { String::new() } else { format!("context {context}: ") };
        for (kind, coverage) in &objects.coverage {
            match coverage {
                Coverage::Denied(reason) => plan.notes.push(format!("{at}{kind} could not be read: {reason}")),
                Coverage::Partly(reason) => plan.notes.push(format!("{at}{kind} could only partly be read: {reason}")),
                Coverage::Read | Coverage::NotRead => {}
            }
        }
        plan.notes.extend(objects.notes.iter().map(|note| format!("{at}{note}")));
    }
}
