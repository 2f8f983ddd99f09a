//! From findings to the change to make: for the way the mesh was installed, and for the objects that override it.
//! A plan is advice; nothing here, nor anything that uses it, writes to a cluster.
//!
//! A plan changes connect timeouts and nothing else, for no proxy. Each change of an object is carried out on the
//! objects that were read, and what every proxy then gets is compared with what it gets now (`footprint`); a change
//! that does more is not planned, and is left to the reader with what it does ([`HostChoices`]).

mod command;
mod config_map;
mod effect;
mod footprint;
mod hosts;
mod installation;
mod manifest;
mod objects;
pub mod verify;
mod wanted;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub use command::ShellCommand;
pub use config_map::{MeshPatch, TimeoutKey};
pub use effect::{Change, Effect, Remaining, apply};
pub use hosts::{Choice, HostChoices};
pub use installation::{Fragment, Interim, MeshStep};
pub use manifest::Identity;
pub use objects::{ObjectStep, PartChange};

use crate::attribute::{Attributor, ProxyClass};
use crate::audit::{Action, Audit, Filter, Finding, Policy, Recommendation, Recommender, Severity};
use crate::model::objects::{ControlPlane, IstioObjects, ObjectKind};
use crate::model::{Direction, EnvoyCluster, MeshSnapshot, OriginKind, format_duration};
use footprint::{Difference, Stage, View, differences};
use hosts::{HostGoal, HostPlanner, deciding_edits, merge, touched};
use installation::{Target, mesh_step};
use objects::{Edits, ObjectEdit, ObjectKey, PartEdit, step};
use wanted::{PlaneKey, Wanted, classes_of, held, is_asked, is_for, sort_out};

/// What is asked of a plan.
#[derive(Debug, Clone, Default)]
pub struct FixOptions {
    /// A value instead of the recommended one.
    pub value: Option<Duration>,
    /// Parts of hosts: only these, and no mesh-wide change.
    pub hosts: Vec<String>,
    /// Objects, as `namespace/name`, that are to be changed for a host even though that changes other timeouts too.
    pub chosen: Vec<String>,
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
    /// Mesh-wide first, then what overrides it. One step an object.
    pub steps: Vec<Step>,
    /// Hosts for which no change does just what was asked for, and what could be done.
    pub open: Vec<HostChoices>,
    /// What stands in the way, or is to be done by hand.
    pub notes: Vec<String>,
    /// What it would change.
    pub effect: Effect,
    /// How many errors and warnings the first step alone mends, of how many that there are; `None` where it is the
    /// only one.
    pub first: Option<(usize, usize)>,
}

/// What a plan is made from.
struct Planner<'a> {
    snapshot: &'a MeshSnapshot,
    attributor: &'a Attributor<'a>,
    recommender: Recommender<'a>,
    options: &'a FixOptions,
    stage: Stage,
    plan: FixPlan,
}

/// Plans the change for what an audit found. `filter` is what the audit looked at.
#[must_use]
pub fn plan(snapshot: &MeshSnapshot, now: &Audit, filter: &Filter, policy: &Policy, options: &FixOptions) -> FixPlan {
    let attributor = Attributor::new(snapshot);
    let mut wanted = sort_out(&attributor, now, options);
    let mut planner = Planner {
        snapshot,
        attributor: &attributor,
        recommender: Recommender::new(snapshot, &now.rows, policy),
        options,
        stage: Stage::new(snapshot, &attributor),
        plan: FixPlan { notes: std::mem::take(&mut wanted.notes).into_iter().collect(), ..FixPlan::default() },
    };
    planner.mesh_wide(now, &wanted);
    let edits = planner.objects(&wanted);
    let edits = planner.hosts(&wanted, edits);
    planner.steps(&edits);
    let mut plan = planner.plan;
    unread(snapshot, &mut plan);
    plan.effect = effect::effect(snapshot, now, filter, policy, &plan);
    let in_scope = |finding: &Finding| options.hosts.is_empty() || is_for(&options.hosts, finding);
    plan.effect.remain.retain(|remaining| in_scope(&remaining.finding));
    if let [first, _, ..] = plan.steps.as_slice() {
        let alone = FixPlan { steps: vec![first.clone()], ..FixPlan::default() };
        let effect = effect::effect(snapshot, now, filter, policy, &alone);
        let counts = |finding: &&Finding| finding.severity > Severity::Info && in_scope(finding);
        plan.first = Some((effect.vanish.iter().filter(counts).count(), now.findings.iter().filter(counts).count()));
    }
    name_new_findings(&mut plan);
    plan
}

impl Planner<'_> {
    /// The value that some findings ask for: the most that one of them does.
    fn value_for(&self, findings: &[&Finding]) -> Recommendation {
        let recommended = findings.iter().filter_map(|finding| match &finding.action {
            Action::SetTimeout { to, .. } => Some(to),
            _ => None,
        });
        match recommended.max_by_key(|recommendation| recommendation.value) {
            Some(recommendation) if self.options.value.is_none() => Recommendation::clone(recommendation),
            _ => {
                let wanting: Vec<_> =
                    findings.iter().map(|finding| (finding.cluster(), &**finding.proxies(), held(finding))).collect();
                self.recommender.recommend(&wanting, self.options.value)
            }
        }
    }

    fn mesh_wide(&mut self, now: &Audit, wanted: &Wanted<'_>) {
        for (key, findings) in &wanted.mesh {
            let recommendation = self.value_for(findings);
            if let Some(step) = self.plane_step(now, key, &recommendation) {
                self.plan.steps.push(Step::Mesh(Box::new(step)));
                self.plan.recommendation.get_or_insert(recommendation);
            }
        }
    }

    /// The mesh-wide step of a control plane; `None` where it already has the value.
    fn plane_step(
        &self,
        now: &Audit,
        (context, revision, key): &PlaneKey,
        recommendation: &Recommendation,
    ) -> Option<MeshStep> {
        let objects = self.snapshot.objects.get(context).filter(|objects| !objects.is_empty());
        let plane = objects.and_then(|objects| objects.control_planes.iter().find(|plane| plane.revision == *revision));
        let value = now.mesh.iter().find(|mesh| mesh.context == *context && mesh.revision == *revision);
        let baseline = plane
            .and_then(ControlPlane::effective)
            .filter(|_| *key == TimeoutKey::DefaultTrafficPolicy)
            .and_then(|effective| effective.default_connection_pool?.connect_timeout);
        let told = || self.attributor.classes().iter().find_map(ProxyClass::told);
        let before = baseline.or(value.map(|value| value.connect_timeout)).or_else(told)?;
        if before == recommendation.value {
            return None;
        }
        let source = value.map(|value| value.source.clone()).unwrap_or_default();
        let target = Target { context, revision, before, after: recommendation.value, source: &source, key: *key };
        Some(mesh_step(objects, self.after_steps(context, plane).as_ref(), &target))
    }

    /// A control plane as the steps planned so far leave it: another change of its ConfigMap keeps theirs.
    fn after_steps(&self, context: &str, plane: Option<&ControlPlane>) -> Option<ControlPlane> {
        let mut plane = plane.cloned()?;
        for step in &self.plan.steps {
            let Step::Mesh(step) = step else { continue };
            if step.context != context || step.revision != plane.revision {
                continue;
            }
            effect::apply_mesh(&mut plane, step);
            // The API server gives a ConfigMap that was changed a new version, which nobody knows yet.
            for source in plane.mesh.iter_mut().filter(|source| source.kind == step.target) {
                source.resource_version.clear();
            }
        }
        Some(plane)
    }

    /// The changes of objects that give some clusters a wrong value, or take a right one away.
    fn objects(&mut self, wanted: &Wanted<'_>) -> Edits {
        let before = View::new(&self.stage.snapshot);
        let mut edits = Edits::default();
        let mut needing = BTreeSet::new();
        for ((context, kind), findings) in &wanted.parts {
            let Some(key) = ObjectKey::of(context, kind) else { continue };
            let recommendation = self.value_for(findings);
            let edit = PartEdit { value: recommendation.value, carried: None };
            edits.entry(key).or_default().parts.insert(kind.clone(), edit);
            needing.extend(findings.iter().flat_map(|finding| self.rows(context, finding)));
            self.plan.recommendation.get_or_insert(recommendation);
        }
        for (context, finding, dropped) in &wanted.restore {
            let recommendation = self.value_for(&[*finding]);
            // A value that someone meant and that is long enough is the one to keep.
            let meant =
                Some(dropped.value).filter(|meant| *meant >= recommendation.value && self.options.value.is_none());
            let value = meant.unwrap_or(recommendation.value);
            // What holds in its place is long enough; to repeat what was lost would make it shorter.
            if held(finding) >= value {
                continue;
            }
            let rows = self.rows(context, finding);
            let by = &dropped.by.kind;
            match (by, ObjectKey::of(context, by)) {
                // Of a rule, what decides need not be the block that is named.
                (OriginKind::DestinationRule { .. }, _) => match deciding_edits(&before, context, &rows, value) {
                    Ok(more) => merge(&mut edits, more),
                    Err(error) => self.plan.notes.push(error),
                },
                (_, Some(key)) => {
                    edits.entry(key).or_default().parts.insert(by.clone(), PartEdit { value, carried: None });
                }
                (_, None) => {}
            }
            needing.extend(rows);
            self.plan.recommendation.get_or_insert(recommendation);
        }
        let harmful = self.harm(&before, &edits, &needing);
        if harmful.is_empty() {
            return edits;
        }
        // One of them does more than it should: each part is looked at on its own.
        let mut kept = Edits::default();
        for (key, edit) in edits {
            for (kind, part) in edit.parts {
                let mut alone = ObjectEdit { warnings: edit.warnings.clone(), ..ObjectEdit::default() };
                alone.parts.insert(kind.clone(), part);
                let alone = Edits::from([(key.clone(), alone)]);
                let harm = self.harm(&before, &alone, &needing);
                if harm.is_empty() {
                    merge(&mut kept, alone);
                    continue;
                }
                self.plan.notes.push(format!(
                    "{} {} ({}) is not changed: that would do more than change the timeouts that are wrong ({})",
                    key.kind,
                    key.object,
                    kind.part(),
                    harm.into_iter().collect::<Vec<_>>().join("; ")
                ));
            }
        }
        kept
    }

    /// What some changes do beside timeouts, and which timeouts they make shorter that nothing is wrong with.
    fn harm(&self, before: &View<'_>, edits: &Edits, needing: &BTreeSet<(usize, u32)>) -> BTreeSet<String> {
        if edits.is_empty() {
            return BTreeSet::new();
        }
        let changed = match self.stage.after(edits) {
            Ok(changed) => changed,
            Err(error) => return BTreeSet::from([error]),
        };
        let after = View::new(&changed);
        let touched = touched(&self.stage.snapshot, &changed, edits);
        let found = differences(before, &after, &|row| touched.contains(row));
        let harm = found.into_iter().filter_map(|found| {
            let cluster = &self.stage.snapshot.clusters[found.row as usize].name;
            let what = match found.difference {
                Difference::Vanishes => "subset clusters would vanish".to_owned(),
                Difference::Appears => "subset clusters would appear".to_owned(),
                Difference::Alters(block) => format!("the {block} would be another"),
                Difference::Timeout { before, after } => {
                    let shorter = after.unwrap_or(EnvoyCluster::DEFAULT_CONNECT_TIMEOUT)
                        < before.unwrap_or(EnvoyCluster::DEFAULT_CONNECT_TIMEOUT);
                    if !shorter || needing.contains(&(found.proxy, found.row)) {
                        return None;
                    }
                    "its timeout would be shorter".to_owned()
                }
            };
            Some(format!("{cluster}: {what}"))
        });
        harm.collect()
    }

    /// The clusters that a finding is about, on the stage.
    fn rows(&self, context: &str, finding: &Finding) -> BTreeSet<(usize, u32)> {
        let mut rows = BTreeSet::new();
        for (proxy, class) in classes_of(self.attributor, finding) {
            if class.representative.proxy.id.context != context {
                continue;
            }
            for row in class.clusters.iter() {
                let cluster = &self.snapshot.clusters[row as usize];
                if *cluster.name == *finding.cluster() && cluster.connect_timeout == finding.subject.timeout() {
                    rows.insert((proxy, row));
                }
            }
        }
        rows
    }

    /// Changes for hosts that need a value of their own.
    fn hosts(&mut self, wanted: &Wanted<'_>, edits: Edits) -> Edits {
        let goals = self.goals(wanted);
        let named: BTreeSet<String> = goals.iter().map(|goal| goal.host.clone()).collect();
        let asked = |host: &str| match self.options.hosts.as_slice() {
            [] => named.contains(host),
            hosts => is_asked(hosts, host),
        };
        let mut planner = HostPlanner {
            stage: &self.stage,
            asked: &asked,
            chosen: &self.options.chosen,
            edits,
            open: Vec::new(),
            notes: BTreeSet::new(),
        };
        for goal in &goals {
            planner.plan(goal);
        }
        let HostPlanner { edits, open, notes, .. } = planner;
        self.plan.open = open;
        self.plan.notes.extend(notes);
        edits
    }

    fn goals(&mut self, wanted: &Wanted<'_>) -> Vec<HostGoal> {
        let mut goals: BTreeMap<(String, String), HostGoal> = BTreeMap::new();
        for ((context, host), findings) in &wanted.hosts {
            let recommendation = self.value_for(findings);
            let value = recommendation.value;
            // Where the mesh-wide change is enough, a host needs none of its own.
            let enough =
                |step: &Step| matches!(step, Step::Mesh(step) if step.context == *context && step.after >= value);
            if self.plan.steps.iter().any(enough) {
                continue;
            }
            let rows: BTreeSet<(usize, u32)> = findings
                .iter()
                .filter(|finding| held(finding) != value)
                .flat_map(|finding| self.rows(context, finding))
                .collect();
            let goal = HostGoal { context: context.clone(), host: host.clone(), value, rows };
            goals.insert((context.clone(), host.clone()), goal);
            self.plan.recommendation.get_or_insert(recommendation);
        }
        if let (Some(value), false) = (self.options.value, self.options.hosts.is_empty()) {
            self.asked_for(value, &mut goals);
        }
        goals.retain(|_, goal| !goal.rows.is_empty());
        let read = |goal: &HostGoal| {
            let objects = self.snapshot.objects.get(&goal.context);
            objects.is_some_and(|objects| objects.is_read(ObjectKind::DestinationRule))
        };
        let (goals, unread): (Vec<HostGoal>, Vec<HostGoal>) = goals.into_values().partition(read);
        self.plan.notes.extend(unread.into_iter().map(|goal| {
            format!("DestinationRules could not be read, so where to set a value for {} is not known", goal.host)
        }));
        if goals.is_empty() && self.plan.steps.is_empty() {
            self.plan.recommendation = None;
        }
        goals
    }

    /// A value that was asked for, for hosts that were asked for, is for all their clusters, wrong or not.
    fn asked_for(&mut self, value: Duration, goals: &mut BTreeMap<(String, String), HostGoal>) {
        for (proxy, class) in self.attributor.classes().iter().enumerate() {
            let context = &class.representative.proxy.id.context;
            for row in class.clusters.iter() {
                let cluster = &self.snapshot.clusters[row as usize];
                let Some(name) = cluster.parts().filter(|name| name.direction == Direction::Outbound) else { continue };
                if !is_asked(&self.options.hosts, name.host) || cluster.connect_timeout == Some(value) {
                    continue;
                }
                let told = self.attributor.attribute(class, row);
                // What the proxy does not take, or nobody can account for, no object changes.
                if told.expected.is_none_or(|expected| expected.origin != told.origin) {
                    continue;
                }
                let goal = goals.entry((context.clone(), name.host.to_owned())).or_insert_with(|| HostGoal {
                    context: context.clone(),
                    host: name.host.to_owned(),
                    value,
                    rows: BTreeSet::new(),
                });
                goal.rows.insert((proxy, row));
            }
        }
        if !goals.is_empty() {
            let recommendation = self.recommender.recommend(&[], Some(value));
            self.plan.recommendation.get_or_insert(recommendation);
        }
    }

    /// One step for each object that changes.
    fn steps(&mut self, edits: &Edits) {
        let empty = IstioObjects::default();
        // What is there first, then what is new.
        let (new, there): (Vec<_>, Vec<_>) = edits.iter().partition(|(_, edit)| edit.made.is_some());
        for (key, edit) in there.into_iter().chain(new) {
            let objects = self.snapshot.objects.get(&key.context).unwrap_or(&empty);
            match step(objects, key, edit) {
                Ok(Some(step)) => self.plan.steps.push(Step::Object(Box::new(step))),
                Ok(None) => {}
                Err(error) => self.plan.notes.push(error),
            }
        }
        self.plan.notes.sort();
        self.plan.notes.dedup();
    }
}

/// Findings that a plan makes are named where they come from: by the mesh-wide step, which leaves an override below
/// the new value.
fn name_new_findings(plan: &mut FixPlan) {
    let named: BTreeSet<String> = plan
        .effect
        .appear
        .iter()
        .filter(|finding| !finding.cluster().is_empty())
        .map(|finding| {
            let at = finding.origin().and_then(|origin| {
                let object = origin.kind.object()?;
                Some(format!(", from {} {object}", origin.kind.as_str()))
            });
            let keeps = format_duration(held(finding));
            format!("{}: {} keeps {keeps}{}", finding.rule.name, finding.cluster(), at.unwrap_or_default())
        })
        .collect();
    let Some(Step::Mesh(step)) = plan.steps.first_mut().filter(|_| !named.is_empty()) else { return };
    let all: Vec<String> = named.into_iter().collect();
    let rest = all.len().saturating_sub(3);
    let more = if rest > 0 { format!("; and {rest} more") } else { String::new() };
    step.warnings.push(format!(
        "it leaves overrides that are then below the mesh's value, and found so: {}{more}",
        all[..all.len().min(3)].join("; ")
    ));
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
        if !objects.is_empty() && objects.control_planes.is_empty() {
            plan.notes.push(format!(
                "{at}no control plane was found, neither an istiod Deployment nor a mesh configuration's ConfigMap: \
                 where the mesh-wide value is set is not known (-i names another namespace)"
            ));
        }
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
