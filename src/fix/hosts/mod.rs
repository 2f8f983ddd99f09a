//! Changes for single hosts: which rule decides for whom, what one patch of it does to every proxy, and what a new
//! rule has to carry so that it hides nothing.
//!
//! Nothing is reasoned about a candidate: it is carried out on the objects, every proxy's clusters are worked out
//! again, and it is taken only where nothing differs but the timeouts that were asked for.

mod new_rule;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use new_rule::new_rule;
use serde_json::Value;

use super::footprint::{Difference, Found, Stage, View, differences, is_unknown};
use super::objects::{DESTINATION_RULE, Edits, ObjectKey, PartEdit};
use crate::attribute::{RuleFor, full_host};
use crate::model::objects::{DestinationRule, IstioObjects, TrafficPolicy};
use crate::model::{
    ClusterName, ClusterSet, Direction, EnvoyCluster, MeshSnapshot, ObjectRef, OriginKind, RulePart, format_duration,
};

/// How many new rules for one host are offered before a wider change is the better advice.
const NEW_RULES: usize = 8;

/// How many proxies or hosts are named before the rest is counted.
const NAMED: usize = 4;

/// A host that is to have a value of its own.
pub(super) struct HostGoal {
    pub(super) context: String,
    pub(super) host: String,
    pub(super) value: Duration,
    /// The clusters that need it: proxy on the stage, and row.
    pub(super) rows: BTreeSet<(usize, u32)>,
}

/// A change that is not offered without being chosen, since it does more than was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// What to say to choose it: `--choose shop/wide`.
    pub object: ObjectRef,
    /// What it is.
    pub what: String,
    /// What it does beside what was asked for, in sentences.
    pub consequences: Vec<String>,
}

/// A host for which no change does just what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostChoices {
    /// The kubeconfig context, when several are audited.
    pub context: String,
    /// The host.
    pub host: String,
    /// What decides now, and for whom.
    pub deciding: Vec<String>,
    /// What stands in the way of a change of its own.
    pub obstacles: Vec<String>,
    /// What could be done.
    pub choices: Vec<Choice>,
}

/// Plans changes for hosts, one after the other.
pub(super) struct HostPlanner<'a> {
    pub(super) stage: &'a Stage,
    /// Whether a host was asked for.
    pub(super) asked: &'a dyn Fn(&str) -> bool,
    /// Objects that the reader has chosen to change, whatever else that does.
    pub(super) chosen: &'a [String],
    /// What is to be done.
    pub(super) edits: Edits,
    /// What is left to the reader.
    pub(super) open: Vec<HostChoices>,
    pub(super) notes: BTreeSet<String>,
}

/// The clusters of one host, and how they would be without a change.
struct Scene<'s> {
    goal: &'s HostGoal,
    stage: &'s Stage,
    before: View<'s>,
    objects: &'s IstioObjects,
    /// Those of the goal's clusters that no candidate has been found for yet.
    pending: BTreeSet<(usize, u32)>,
}

/// What a candidate does.
#[derive(Default)]
struct Outcome {
    /// Differences that are not timeouts.
    harm: Vec<Found>,
    /// Timeouts of hosts that were not asked for, or that become shorter.
    more: Vec<Found>,
    /// Clusters of the host's own workloads.
    inbound: usize,
    /// Clusters of the candidate that do not get the value.
    unmet: usize,
}

impl HostPlanner<'_> {
    /// Finds what gives a host its value, and leaves to the reader what nothing does.
    pub(super) fn plan(&mut self, goal: &HostGoal) {
        let base = self.stage;
        let Some(objects) = base.snapshot.objects.get(&goal.context) else { return };
        let of_host: ClusterSet = goal.rows.iter().map(|(_, row)| *row).collect();
        let stage = base.with_unread(&goal.context, &goal.host, &of_host);
        let before = View::new(&stage.snapshot);
        let mut scene = Scene { goal, stage: &stage, before, objects, pending: goal.rows.clone() };
        let mut obstacles = Vec::new();
        self.change_what_decides(&mut scene, &mut obstacles);
        if !scene.pending.is_empty() {
            self.make_rules(&mut scene, &mut obstacles);
        }
        if !scene.pending.is_empty() {
            let open = self.leave_open(&scene, obstacles);
            self.open.push(open);
        }
    }

    /// Objects that decide and that may be changed for this host: rules for it alone, EnvoyFilters, and those that the
    /// reader has chosen.
    fn change_what_decides(&mut self, scene: &mut Scene<'_>, obstacles: &mut Vec<String>) {
        for (key, rows) in deciding_objects(scene) {
            let chosen = self.chosen.contains(&key.object.to_string());
            if !chosen && is_wider(scene, &key) {
                continue;
            }
            let taken = part_edits(scene, &rows).and_then(|edits| {
                self.attempt(scene, edits, &rows, chosen).map_err(|outcome| {
                    let what = consequences(scene, &outcome).join("; ");
                    format!("a change of {} {} {what}", key.kind, key.object)
                })
            });
            match taken {
                Ok(()) => scene.pending.retain(|row| !rows.contains(row)),
                Err(obstacle) => obstacles.push(obstacle),
            }
        }
    }

    /// New rules for the host: one for all, or one for each namespace of clients that have the same now.
    fn make_rules(&mut self, scene: &mut Scene<'_>, obstacles: &mut Vec<String>) {
        let all = scene.pending.clone();
        let Some(&(proxy, row)) = all.first() else { return };
        let found = scene.before.rule_for(proxy, row);
        let home = if found.service_namespace.is_empty() { found.root_namespace } else { found.service_namespace };
        for export_to in [None, Some("*")] {
            if self.make(scene, &all, &home, export_to, obstacles) {
                return;
            }
        }
        // By whether there is a rule, the namespace, and the rule: proxies and clusters.
        type Groups = BTreeMap<(bool, String, Option<ObjectRef>), BTreeSet<(usize, u32)>>;
        let mut groups = Groups::new();
        for &(proxy, row) in &all {
            let namespace = scene.stage.snapshot.proxies[proxy].proxy.id.namespace.clone();
            let base = scene.before.rule_for(proxy, row).first.map(|rule| rule.meta.reference());
            groups.entry((base.is_none(), namespace, base)).or_default().insert((proxy, row));
        }
        if groups.len() > NEW_RULES {
            obstacles.push(format!("it would take {} new rules, one in each namespace of clients", groups.len()));
            return;
        }
        for ((_, namespace, _), rows) in groups {
            let made = self.make(scene, &rows, &namespace, Some("."), obstacles)
                || self.make(scene, &rows, &namespace, None, obstacles);
            if !made {
                obstacles.push(format!("no new rule in namespace {namespace} changes the timeout alone"));
            }
        }
    }

    fn make(
        &mut self,
        scene: &mut Scene<'_>,
        rows: &BTreeSet<(usize, u32)>,
        namespace: &str,
        export_to: Option<&str>,
        obstacles: &mut Vec<String>,
    ) -> bool {
        match new_rule(scene, rows, namespace, export_to, &self.edits) {
            Ok(edits) => {
                let taken = self.attempt(scene, edits, rows, false).is_ok();
                if taken {
                    scene.pending.retain(|row| !rows.contains(row));
                }
                taken
            }
            Err(error) => {
                if !obstacles.contains(&error) {
                    obstacles.push(error);
                }
                false
            }
        }
    }

    /// Carries a candidate out, beside what is planned already, and takes it where it does what is asked for and
    /// nothing else; with `chosen`, where it changes nothing but timeouts.
    fn attempt(
        &mut self,
        scene: &Scene<'_>,
        candidate: Edits,
        rows: &BTreeSet<(usize, u32)>,
        chosen: bool,
    ) -> Result<(), Outcome> {
        let mut edits = self.edits.clone();
        merge(&mut edits, candidate.clone());
        let outcome = self.outcome(scene, &edits, rows);
        if !outcome.harm.is_empty() || outcome.unmet > 0 || (!chosen && !outcome.more.is_empty()) {
            return Err(outcome);
        }
        let mut warnings = Vec::new();
        if !outcome.more.is_empty() {
            warnings = consequences(scene, &outcome);
        }
        if outcome.inbound > 0 {
            warnings.push(format!(
                "the workloads of {} use this rule for their inbound clusters too, whose timeout changes with it",
                scene.goal.host
            ));
        }
        for key in candidate.keys() {
            if let Some(edit) = edits.get_mut(key) {
                edit.warnings
                    .extend(warnings.iter().filter(|new| !edit.warnings.contains(new)).cloned().collect::<Vec<_>>());
            }
        }
        self.edits = edits;
        Ok(())
    }

    fn outcome(&self, scene: &Scene<'_>, edits: &Edits, rows: &BTreeSet<(usize, u32)>) -> Outcome {
        let mut outcome = Outcome::default();
        let Ok(changed) = scene.stage.after(edits) else {
            outcome.unmet = rows.len();
            return outcome;
        };
        let after = View::new(&changed);
        let snapshot = &scene.stage.snapshot;
        let touched = touched(snapshot, &changed, edits);
        for found in differences(&scene.before, &after, &|row| touched.contains(row)) {
            let Difference::Timeout { before, after } = found.difference else {
                outcome.harm.push(found);
                continue;
            };
            let cluster = &snapshot.clusters[found.row as usize];
            let wanted = scene.goal.rows.contains(&(found.proxy, found.row));
            let shorter = effective(after) < effective(before) && !wanted;
            if shorter || !hosts_of(cluster).any(|host| (self.asked)(host)) {
                outcome.more.push(found);
            } else if cluster.parts().is_some_and(|name| name.direction == Direction::Inbound) {
                outcome.inbound += 1;
            }
        }
        outcome.unmet =
            rows.iter().filter(|(proxy, row)| after.got(*proxy, *row).timeout != Some(scene.goal.value)).count();
        outcome
    }

    /// Says who decides for whom, and what could be done.
    fn leave_open(&self, scene: &Scene<'_>, obstacles: Vec<String>) -> HostChoices {
        let mut deciding: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        for &(proxy, row) in &scene.pending {
            let found = scene.before.rule_for(proxy, row);
            let what = match (deciding_part(&scene.before, proxy, row), found.baseline) {
                (Some(kind), _) => {
                    let host = decider(&found).map(|(rule, _)| format!("host {}, ", rule.host)).unwrap_or_default();
                    let object = kind.object().map(ObjectRef::to_string).unwrap_or_default();
                    format!("{} {object} ({host}{})", kind.as_str(), kind.part())
                }
                (None, true) => "the mesh's defaultTrafficPolicy".to_owned(),
                (None, false) => "the mesh's value, with no rule for the host".to_owned(),
            };
            deciding.entry(what).or_default().insert(proxy);
        }
        let deciding = deciding.into_iter().map(|(what, proxies)| {
            let names = some(proxies.into_iter().map(|proxy| scene.stage.name(proxy)));
            format!("{what} for {names}")
        });
        let choices = deciding_objects(scene).into_iter().filter_map(|(key, rows)| {
            let edits = part_edits(scene, &rows).ok()?;
            let parts = edits.values().flat_map(|edit| edit.parts.keys()).map(OriginKind::part).collect::<Vec<_>>();
            let mut all = self.edits.clone();
            merge(&mut all, edits);
            let outcome = self.outcome(scene, &all, &rows);
            (outcome.harm.is_empty() && outcome.unmet == 0).then(|| Choice {
                what: format!(
                    "set {} in {} {} ({})",
                    format_duration(scene.goal.value),
                    key.kind,
                    key.object,
                    parts.join("; ")
                ),
                object: key.object,
                consequences: consequences(scene, &outcome),
            })
        });
        HostChoices {
            context: scene.goal.context.clone(),
            host: scene.goal.host.clone(),
            deciding: deciding.collect(),
            choices: choices.collect(),
            obstacles,
        }
    }
}

/// The rule and its part that decide about a cluster's timeout, whether or not a pool is there; `None` where no rule
/// is for it.
fn decider<'a>(found: &RuleFor<'a>) -> Option<(&'a DestinationRule, RulePart)> {
    let has_port = |policy: &TrafficPolicy| policy.port_level.iter().any(|entry| entry.port == found.port);
    let subset = found.subsets.iter().find(|(_, known)| !found.subset.is_empty() && known.name == *found.subset);
    if let Some((owner, subset)) = subset
        && let Some(policy) = &subset.traffic_policy
    {
        if has_port(policy) {
            return Some((owner, RulePart::SubsetPort(subset.name.clone(), found.port)));
        }
        if policy.connection_pool.is_some() {
            return Some((owner, RulePart::Subset(subset.name.clone())));
        }
    }
    let rule = found.policy.or(found.first)?;
    match &rule.traffic_policy {
        Some(policy) if has_port(policy) => Some((rule, RulePart::Port(found.port))),
        _ => Some((rule, RulePart::Policy)),
    }
}

/// What would have to be changed for a cluster's timeout: an EnvoyFilter that has the last word, or the part of a rule
/// that decides; `None` where neither is there.
fn deciding_part(view: &View<'_>, proxy: usize, row: u32) -> Option<OriginKind> {
    let expected = view.attributor.attribute(view.attributor.class_of(proxy), row).expected;
    match expected.as_ref().map(|expected| &expected.origin.kind) {
        Some(kind @ OriginKind::EnvoyFilter { .. }) => Some(kind.clone()),
        _ => {
            let (rule, part) = decider(&view.rule_for(proxy, row))?;
            Some(OriginKind::DestinationRule { rule: rule.meta.reference(), part: Some(part) })
        }
    }
}

/// The objects that decide for what is pending.
fn deciding_objects(scene: &Scene<'_>) -> BTreeMap<ObjectKey, BTreeSet<(usize, u32)>> {
    let mut objects: BTreeMap<ObjectKey, BTreeSet<(usize, u32)>> = BTreeMap::new();
    for &(proxy, row) in &scene.pending {
        let kind = deciding_part(&scene.before, proxy, row);
        if let Some(key) = kind.and_then(|kind| ObjectKey::of(&scene.goal.context, &kind)) {
            objects.entry(key).or_default().insert((proxy, row));
        }
    }
    objects
}

/// Whether an object is a rule for more than the host.
fn is_wider(scene: &Scene<'_>, key: &ObjectKey) -> bool {
    let of_host =
        |rule: &DestinationRule| full_host(&rule.host, &rule.meta.namespace, scene.objects.domain()) == scene.goal.host;
    let mut rules = scene.objects.destination_rules.iter();
    key.kind == DESTINATION_RULE && rules.any(|rule| rule.meta.is(&key.object) && !of_host(rule))
}

/// The parts of objects that decide about some clusters, each with the goal's value.
fn part_edits(scene: &Scene<'_>, rows: &BTreeSet<(usize, u32)>) -> Result<Edits, String> {
    deciding_edits(&scene.before, &scene.goal.context, rows, scene.goal.value)
}

/// The same for any clusters: what would have to be changed in objects that are there, so that they get a value.
pub(super) fn deciding_edits(
    view: &View<'_>,
    context: &str,
    rows: &BTreeSet<(usize, u32)>,
    value: Duration,
) -> Result<Edits, String> {
    let mut edits = Edits::default();
    for &(proxy, row) in rows {
        let Some(kind) = deciding_part(view, proxy, row) else { continue };
        let there = match &kind {
            OriginKind::DestinationRule { part: Some(part), .. } => {
                decider(&view.rule_for(proxy, row)).is_none_or(|(rule, _)| has_pool(rule, part))
            }
            _ => true,
        };
        let carried = if there { None } else { pool_in_force(view, proxy, row)? };
        let Some(key) = ObjectKey::of(context, &kind) else { continue };
        edits.entry(key).or_default().parts.insert(kind, PartEdit { value, carried });
    }
    Ok(edits)
}

fn has_pool(rule: &DestinationRule, part: &RulePart) -> bool {
    let at = |policy: Option<&TrafficPolicy>, port: u16| {
        policy.is_some_and(|policy| {
            policy.port_level.iter().any(|entry| entry.port == port && entry.connection_pool.is_some())
        })
    };
    let subset = |name: &str| {
        rule.subsets.iter().find(|subset| subset.name == name).and_then(|subset| subset.traffic_policy.as_ref())
    };
    match part {
        RulePart::Policy => rule.traffic_policy.as_ref().is_some_and(|policy| policy.connection_pool.is_some()),
        RulePart::Port(port) => at(rule.traffic_policy.as_ref(), *port),
        RulePart::Subset(name) => subset(name).is_some_and(|policy| policy.connection_pool.is_some()),
        RulePart::SubsetPort(name, port) => at(subset(name), *port),
    }
}

/// The pool that is in force for a cluster, which a new one would replace whole.
fn pool_in_force(view: &View<'_>, proxy: usize, row: u32) -> Result<Option<Value>, String> {
    match view.got(proxy, row).blocks.remove("connectionPool") {
        Some(pool) if is_unknown(&pool) => Err(
            "the mesh's defaultTrafficPolicy has a connectionPool whose text could not be read, so it can't be repeated \
             in a rule"
                .to_owned(),
        ),
        pool => Ok(pool),
    }
}

/// Adds changes to others.
pub(super) fn merge(edits: &mut Edits, more: Edits) {
    for (key, edit) in more {
        let known = edits.entry(key).or_default();
        for (kind, part) in edit.parts {
            // Two hosts that one block decides for: the longer value is enough for both.
            let longer = known.parts.get(&kind).is_none_or(|known| known.value <= part.value);
            if longer {
                known.parts.insert(kind, part);
            }
        }
        known.made = edit.made.or(known.made.take());
        for warning in edit.warnings {
            if !known.warnings.contains(&warning) {
                known.warnings.push(warning);
            }
        }
    }
}

/// The hosts that a cluster is for: its name's, or those of the services behind an inbound one.
fn hosts_of(cluster: &EnvoyCluster) -> impl Iterator<Item = &str> {
    let named = ClusterName::parse(&cluster.name).map(|name| name.host).filter(|host| !host.is_empty());
    named.into_iter().chain(cluster.services.iter().map(|service| &*service.host))
}

/// The clusters that some changes can reach at all: those of the hosts of the rules.
pub(super) fn touched(before: &MeshSnapshot, after: &MeshSnapshot, edits: &Edits) -> ClusterSet {
    let mut patterns = BTreeSet::new();
    for key in edits.keys() {
        let Some(objects) = after.objects.get(&key.context) else { continue };
        if key.kind != DESTINATION_RULE {
            return (0..u32::try_from(before.clusters.len()).unwrap_or(u32::MAX)).collect();
        }
        let rules = objects.destination_rules.iter().filter(|rule| rule.meta.is(&key.object));
        patterns.extend(rules.map(|rule| full_host(&rule.host, &rule.meta.namespace, objects.domain())));
    }
    let covers = |host: &str| {
        patterns
            .iter()
            .any(|pattern| pattern.strip_prefix('*').map_or(pattern == host, |suffix| host.ends_with(suffix)))
    };
    (0u32..).zip(&before.clusters).filter(|(_, cluster)| hosts_of(cluster).any(covers)).map(|(row, _)| row).collect()
}

fn effective(timeout: Option<Duration>) -> Duration {
    timeout.unwrap_or(EnvoyCluster::DEFAULT_CONNECT_TIMEOUT)
}

/// What a candidate does beside what was asked for, in sentences that follow "to change …".
fn consequences(scene: &Scene<'_>, outcome: &Outcome) -> Vec<String> {
    let clusters = &scene.stage.snapshot.clusters;
    let mut said = Vec::new();
    let mut grouped: BTreeMap<&'static str, BTreeMap<String, BTreeSet<usize>>> = BTreeMap::new();
    for found in &outcome.harm {
        let what = match found.difference {
            Difference::Vanishes => "would make subset clusters vanish",
            Difference::Appears => "would make subset clusters appear",
            Difference::Alters(block) => block,
            Difference::Timeout { .. } => continue,
        };
        let name = clusters[found.row as usize].name.to_string();
        grouped.entry(what).or_default().entry(name).or_default().insert(found.proxy);
    }
    for (what, found) in grouped {
        let proxies: BTreeSet<usize> = found.values().flatten().copied().collect();
        let what = if what.starts_with("would") { what.to_owned() } else { format!("would alter the {what}") };
        said.push(format!(
            "{what} of {} for {}",
            some(found.keys().cloned()),
            some(proxies.into_iter().map(|proxy| scene.stage.name(proxy)))
        ));
    }
    let mut hosts: BTreeMap<(Duration, Duration), BTreeSet<String>> = BTreeMap::new();
    for found in &outcome.more {
        if let Difference::Timeout { before, after } = found.difference {
            let name = clusters[found.row as usize].name.to_string();
            hosts.entry((effective(before), effective(after))).or_default().insert(name);
        }
    }
    for ((before, after), names) in hosts {
        said.push(format!(
            "also changes the timeout of {} from {} to {}",
            some(names),
            format_duration(before),
            format_duration(after)
        ));
    }
    if outcome.unmet > 0 {
        said.push(format!("does not reach {} of the clusters that need it", outcome.unmet));
    }
    said
}

/// The first of some names, and how many more there are.
fn some(names: impl IntoIterator<Item = String>) -> String {
    let mut names = names.into_iter();
    let mut shown: Vec<String> = names.by_ref().take(NAMED).collect();
    let rest = names.count();
    if rest > 0 {
        shown.push(format!("{rest} more"));
    }
    shown.join(", ")
}
