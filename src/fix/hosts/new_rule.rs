//! A new rule for one host, which carries all that it would hide.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{Scene, pool_in_force};
use crate::attribute::RuleFor;
use crate::fix::objects::{DESTINATION_RULE, Edits, NewRule, ObjectEdit, ObjectKey, PartChange, new_name, pool_with};
use crate::model::objects::DestinationRule;
use crate::model::{ObjectRef, RulePart};

/// A new rule for the host that gives some clusters the value, with all that they have now.
pub(super) fn new_rule(
    scene: &Scene<'_>,
    rows: &BTreeSet<(usize, u32)>,
    namespace: &str,
    export_to: Option<&str>,
    planned: &Edits,
) -> Result<Edits, String> {
    let Some(&(proxy, row)) = rows.first() else { return Ok(Edits::default()) };
    let found = scene.before.rule_for(proxy, row);
    let selector = found.first.and_then(|rule| rule.workload_selector.as_ref()).filter(|_| export_to != Some("*"));
    let mut spec = Map::new();
    spec.insert("host".to_owned(), json!(scene.goal.host));
    match (selector, export_to) {
        // A rule with a selector is its own namespace's alone.
        (Some(selector), _) => {
            spec.insert("workloadSelector".to_owned(), json!({ "matchLabels": selector }));
        }
        (None, Some(export_to)) => {
            spec.insert("exportTo".to_owned(), json!([export_to]));
        }
        (None, None) => {}
    }
    let policy = found.policy.map(|rule| written(rule)["trafficPolicy"].clone()).unwrap_or_else(|| json!({}));
    spec.insert("trafficPolicy".to_owned(), policy);
    let subsets: Vec<Value> = found
        .subsets
        .iter()
        .filter_map(|(owner, subset)| {
            let spec = written(owner);
            spec["subsets"].as_array()?.iter().find(|known| known["name"] == subset.name.as_str()).cloned()
        })
        .collect();
    if !subsets.is_empty() {
        spec.insert("subsets".to_owned(), Value::Array(subsets));
    }
    let mut spec = Value::Object(spec);
    let mut changes: BTreeMap<RulePart, PartChange> = BTreeMap::new();
    for &(proxy, row) in rows {
        let found = scene.before.rule_for(proxy, row);
        let pool = pool_in_force(&scene.before, proxy, row)?;
        let (block, part) = deciding_block(&mut spec, &found);
        match block.get_mut("connectionPool").filter(|pool| pool.is_object()) {
            Some(pool) => *pool = pool_with(Some(&*pool), scene.goal.value),
            None => block["connectionPool"] = pool_with(pool.as_ref(), scene.goal.value),
        }
        let (name, before) = (part.to_string(), None);
        changes.entry(part).or_insert(PartChange { part: name, before, after: scene.goal.value });
    }
    let key = free_key(scene, namespace, planned);
    let changes = changes.into_values().collect();
    let made = NewRule { host: scene.goal.host.clone(), spec, changes };
    let mut edit = ObjectEdit { made: Some(made), ..ObjectEdit::default() };
    edit.warnings.extend(takes_over(&found, &scene.goal.host));
    Ok(Edits::from([(key, edit)]))
}

/// What a new rule stands in the place of, for the reader.
fn takes_over(found: &RuleFor<'_>, host: &str) -> Option<String> {
    let mut over: Vec<String> = found
        .policy
        .into_iter()
        .chain(found.first)
        .chain(found.subsets.iter().map(|(owner, _)| *owner))
        .map(|rule| format!("{DESTINATION_RULE} {} (host {})", rule.meta.reference(), rule.host))
        .collect();
    over.dedup();
    over.extend(found.baseline.then(|| "the mesh's defaultTrafficPolicy".to_owned()));
    (!over.is_empty()).then(|| {
        format!(
            "it takes the place of {} for {host} and repeats what that sets, so later changes there no longer reach it",
            over.join(", ")
        )
    })
}

/// The block of a rule's spec that decides for a port and a subset.
fn deciding_block<'v>(spec: &'v mut Value, found: &RuleFor<'_>) -> (&'v mut Value, RulePart) {
    let entry_of = |policy: &Value| {
        let entries = policy["portLevelSettings"].as_array()?;
        entries.iter().position(|entry| entry["port"]["number"] == found.port)
    };
    let subset = spec["subsets"].as_array().and_then(|subsets| {
        let name = Some(&*found.subset).filter(|name| !name.is_empty())?;
        subsets.iter().position(|subset| subset["name"] == name)
    });
    if let Some(at) = subset {
        let policy = &spec["subsets"][at]["trafficPolicy"];
        let (entry, has_pool) = (entry_of(policy), policy["connectionPool"].is_object());
        let name = found.subset.to_owned();
        if let Some(entry) = entry {
            let block = &mut spec["subsets"][at]["trafficPolicy"]["portLevelSettings"][entry];
            return (block, RulePart::SubsetPort(name, found.port));
        }
        if has_pool {
            return (&mut spec["subsets"][at]["trafficPolicy"], RulePart::Subset(name));
        }
    }
    match entry_of(&spec["trafficPolicy"]) {
        Some(entry) => (&mut spec["trafficPolicy"]["portLevelSettings"][entry], RulePart::Port(found.port)),
        None => (&mut spec["trafficPolicy"], RulePart::Policy),
    }
}

fn written(rule: &DestinationRule) -> Value {
    serde_json::from_str(&rule.source.spec).unwrap_or(Value::Null)
}

/// A name in a namespace that neither a rule nor the plan has.
fn free_key(scene: &Scene<'_>, namespace: &str, planned: &Edits) -> ObjectKey {
    let key = |name: String| ObjectKey {
        context: scene.goal.context.clone(),
        kind: DESTINATION_RULE,
        object: ObjectRef::new(namespace, name),
    };
    let name = new_name(scene.objects, namespace, &scene.goal.host);
    let mut names = std::iter::once(name.clone()).chain((2..).map(|number| format!("{name}-{number}")));
    names.find(|name| !planned.contains_key(&key(name.clone()))).map_or_else(|| key(name), key)
}
