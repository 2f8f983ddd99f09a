//! What a change of objects does to every cluster of every proxy, timeouts and all else: whether a cluster is there,
//! and the policy that it gets from rules and from the mesh's `defaultTrafficPolicy`.
//!
//! One proxy of each class stands for the class. Beside them stand proxies of namespaces of which none was read, since
//! an object reaches those as well.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::config_map::default_policy;
use super::effect::apply_object;
use super::objects::{Edits, step};
use crate::attribute::{Attributor, ProxyClass, RuleFor};
use crate::model::objects::{DestinationRule, MeshConfigKind};
use crate::model::{
    ClusterName, ClusterSet, Direction, MeshSnapshot, ObjectRef, Proxy, ProxyId, ProxyRole, ProxySnapshot,
};

/// The blocks of a policy that settings for a port replace, whether or not they have them.
const OF_PORTS: [&str; 4] = ["connectionPool", "loadBalancer", "outlierDetection", "tls"];

/// The mesh with one proxy for each class.
pub(super) struct Stage {
    pub(super) snapshot: MeshSnapshot,
    /// How many proxies each stands for; 0 for one that was not read.
    pub(super) stands_for: Vec<usize>,
}

impl Stage {
    /// Puts one proxy of each class there, each with all clusters that one of the class holds.
    pub(super) fn new(snapshot: &MeshSnapshot, attributor: &Attributor<'_>) -> Self {
        let mut proxies = Vec::new();
        let mut stands_for = Vec::new();
        for class in attributor.classes() {
            let read = class.representative;
            proxies.push(stand_in(read.proxy.clone(), class.clusters.clone()));
            stands_for.push(class.proxies.len());
        }
        let snapshot = MeshSnapshot {
            taken_at: snapshot.taken_at,
            clusters: snapshot.clusters.clone(),
            proxies,
            skipped: Vec::new(),
            failed: Vec::new(),
            objects: snapshot.objects.clone(),
        };
        Self { snapshot, stands_for }
    }

    /// Puts a proxy into each namespace that rules for a host speak of and that has none here, and one into a
    /// namespace that nothing speaks of; each holds the clusters of the host.
    pub(super) fn with_unread(&self, context: &str, host: &str, rows: &ClusterSet) -> Self {
        let mut stage = Self { snapshot: self.snapshot.clone(), stands_for: self.stands_for.clone() };
        let Some(objects) = self.snapshot.objects.get(context) else { return stage };
        let mut wanted: BTreeSet<(String, BTreeMap<String, String>)> = BTreeSet::new();
        let speaks = |rule: &&DestinationRule| {
            let pattern = crate::attribute::full_host(&rule.host, &rule.meta.namespace, objects.domain());
            pattern.strip_prefix('*').map_or(pattern == host, |suffix| host.ends_with(suffix))
        };
        for rule in objects.destination_rules.iter().filter(speaks) {
            let namespaces = rule.export_to.iter().filter(|name| !matches!(name.as_str(), "*" | "." | "~"));
            for namespace in namespaces.chain([&rule.meta.namespace]) {
                wanted.insert((namespace.clone(), BTreeMap::new()));
            }
            if let Some(selector) = &rule.workload_selector {
                wanted.insert((rule.meta.namespace.clone(), selector.clone()));
            }
        }
        wanted.insert(("any other namespace".to_owned(), BTreeMap::new()));
        let of_context = || self.snapshot.proxies.iter().filter(|read| read.proxy.id.context == context);
        let planes: BTreeSet<(String, String)> =
            of_context().map(|read| (read.proxy.revision.clone(), read.proxy.istio_version.clone())).collect();
        for (namespace, labels) in wanted {
            let there = |read: &ProxySnapshot| {
                read.proxy.id.namespace == namespace
                    && labels.iter().all(|(key, value)| read.proxy.labels.get(key) == Some(value))
            };
            if of_context().any(there) {
                continue;
            }
            for (revision, version) in &planes {
                let id = ProxyId { context: context.to_owned(), namespace: namespace.clone(), name: String::new() };
                let mut proxy = Proxy::named(id);
                proxy.role = ProxyRole::Sidecar;
                proxy.revision.clone_from(revision);
                proxy.istio_version.clone_from(version);
                proxy.labels.clone_from(&labels);
                stage.snapshot.proxies.push(stand_in(proxy, rows.clone()));
                stage.stands_for.push(0);
            }
        }
        stage
    }

    /// The stage after some changes. The error says what stands in the way of one.
    pub(super) fn after(&self, edits: &Edits) -> Result<MeshSnapshot, String> {
        let mut changed = self.snapshot.clone();
        for (key, edit) in edits {
            let Some(objects) = changed.objects.get_mut(&key.context) else { continue };
            if let Some(step) = step(objects, key, edit)? {
                apply_object(objects, &step, self.snapshot.taken_at);
            }
        }
        Ok(changed)
    }

    /// A proxy in words.
    pub(super) fn name(&self, proxy: usize) -> String {
        let id = &self.snapshot.proxies[proxy].proxy.id;
        match self.stands_for[proxy] {
            0 if id.namespace.contains(' ') => format!("proxies of {}", id.namespace),
            0 => format!("proxies of namespace {} (none was read)", id.namespace),
            1 => id.to_string(),
            more => format!("{id} and {} like it", more - 1),
        }
    }
}

/// A proxy of which nothing counts but its clusters.
fn stand_in(proxy: Proxy, clusters: ClusterSet) -> ProxySnapshot {
    ProxySnapshot { proxy, clusters, version: None, loggers: None, evidence: None, xds: None }
}

/// What a change does to one cluster of one proxy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Difference {
    /// It is gone.
    Vanishes,
    /// It is there, and was not.
    Appears,
    /// A part of its policy is another one.
    Alters(&'static str),
    /// Its timeout is another one.
    Timeout { before: Option<Duration>, after: Option<Duration> },
}

/// A difference, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// The proxy's position on the stage.
    pub(super) proxy: usize,
    /// The cluster's row; for one that vanishes or appears, a row of the same host and port.
    pub(super) row: u32,
    pub(super) difference: Difference,
}

/// A mesh as its control planes would have it.
pub(super) struct View<'s> {
    pub(super) snapshot: &'s MeshSnapshot,
    pub(super) attributor: Attributor<'s>,
    specs: RefCell<HashMap<ObjectRef, Rc<Value>>>,
}

/// What one cluster gets.
pub(super) struct Got {
    /// The timeout; `None` where nothing sets it or it is not known.
    pub(super) timeout: Option<Duration>,
    /// Its policy, block by block, without the timeout.
    pub(super) blocks: Map<String, Value>,
    /// The subsets of its host.
    subsets: BTreeSet<String>,
}

impl<'s> View<'s> {
    pub(super) fn new(snapshot: &'s MeshSnapshot) -> Self {
        Self { snapshot, attributor: Attributor::new(snapshot), specs: RefCell::default() }
    }

    fn spec(&self, rule: &DestinationRule) -> Rc<Value> {
        let mut specs = self.specs.borrow_mut();
        let read = || Rc::new(serde_json::from_str(&rule.source.spec).unwrap_or(Value::Null));
        Rc::clone(specs.entry(rule.meta.reference()).or_insert_with(read))
    }

    pub(super) fn rule_for(&self, proxy: usize, row: u32) -> RuleFor<'s> {
        self.attributor.rule_for(self.attributor.class_of(proxy), &self.snapshot.clusters[row as usize])
    }

    /// What a cluster of a proxy gets.
    pub(super) fn got(&self, proxy: usize, row: u32) -> Got {
        let class = self.attributor.class_of(proxy);
        let found = self.rule_for(proxy, row);
        let timeout = self.attributor.attribute(class, row).expected.and_then(|expected| expected.timeout);
        let mut blocks = self.policy(&found);
        if found.baseline {
            let baseline = self.baseline(class);
            let cleared = blocks.remove(CLEARED).is_some();
            for (name, block) in baseline.as_object().into_iter().flatten() {
                if !(cleared && OF_PORTS.contains(&name.as_str())) {
                    blocks.entry(name.clone()).or_insert_with(|| block.clone());
                }
            }
        }
        blocks.remove(CLEARED);
        if let Some(pool) = blocks.get_mut("connectionPool") {
            without_timeout(pool);
            if is_empty(pool) {
                blocks.remove("connectionPool");
            }
        }
        let subsets = found.subsets.iter().map(|(_, subset)| subset.name.clone()).collect();
        Got { timeout, blocks, subsets }
    }

    /// The blocks that rules give a cluster (`GetPortLevelTrafficPolicy`, `MergeSubsetTrafficPolicy`).
    fn policy(&self, found: &RuleFor<'_>) -> Map<String, Value> {
        let spec = found.policy.map(|rule| self.spec(rule));
        let mut blocks = spec.map(|spec| of_port(&spec["trafficPolicy"], found.port)).unwrap_or_default();
        // What a Gateway API policy sets here (TLS) depends on whether its rule is found, and on whether a user's policy
        // stands over it, which takes the place of its settings for single ports.
        if let Some(made) = found.made {
            let under = found.policy.is_some() || !found.subset.is_empty();
            blocks.insert(BACKEND.to_owned(), json!([made.meta.to_string(), under]));
        }
        let subset = found.subsets.iter().find(|(_, subset)| !found.subset.is_empty() && subset.name == *found.subset);
        let Some((owner, subset)) = subset else { return blocks };
        let spec = self.spec(owner);
        let listed = spec["subsets"].as_array().into_iter().flatten();
        let Some(written) = listed.into_iter().find(|written| written["name"] == subset.name.as_str()) else {
            return blocks;
        };
        blocks.insert("subset labels".to_owned(), written["labels"].clone());
        let policy = &written["trafficPolicy"];
        for (name, block) in policy.as_object().into_iter().flatten().filter(|(name, _)| *name != PORTS) {
            blocks.insert(name.clone(), block.clone());
        }
        if let Some(port) = port_entry(policy, found.port) {
            for name in OF_PORTS {
                match port.get(name) {
                    Some(block) => blocks.insert(name.to_owned(), block.clone()),
                    None => blocks.remove(name),
                };
            }
            blocks.insert(CLEARED.to_owned(), Value::Null);
        }
        blocks
    }

    /// The mesh's `defaultTrafficPolicy` as it is written, or a stand-in where only istiod says that there is one.
    fn baseline(&self, class: &ProxyClass<'_>) -> Value {
        let proxy = &class.representative.proxy;
        let plane = self.attributor.objects(class).and_then(|objects| objects.control_plane(&proxy.revision));
        let written = plane.into_iter().flat_map(|plane| {
            [MeshConfigKind::Own, MeshConfigKind::Shared]
                .into_iter()
                .filter_map(|kind| plane.mesh.iter().find(|source| source.kind == kind))
        });
        written.filter_map(default_policy).next().unwrap_or_else(|| json!({ "connectionPool": UNKNOWN }))
    }
}

/// What stands for the settings of a Gateway API policy among a cluster's blocks.
const BACKEND: &str = "backend policy";

const PORTS: &str = "portLevelSettings";

/// Marks a policy whose settings for a port leave nothing of the mesh's either.
const CLEARED: &str = "\0cleared";

/// A pool of which only that it is there is known, so that it can't be repeated.
const UNKNOWN: &str = "not readable";

/// Whether a pool's text is not known.
pub(super) fn is_unknown(pool: &Value) -> bool {
    pool == UNKNOWN
}

fn port_entry(policy: &Value, port: u16) -> Option<&Map<String, Value>> {
    let entries = policy[PORTS].as_array()?;
    entries.iter().find(|entry| entry["port"]["number"] == port)?.as_object()
}

fn of_port(policy: &Value, port: u16) -> Map<String, Value> {
    let all = policy.as_object().into_iter().flatten().filter(|(name, _)| *name != PORTS);
    match port_entry(policy, port) {
        None => all.map(|(name, block)| (name.clone(), block.clone())).collect(),
        Some(entry) => {
            let kept = all.filter(|(name, _)| !OF_PORTS.contains(&name.as_str()));
            let of_port = entry.iter().filter(|(name, _)| *name != "port");
            kept.chain(of_port).map(|(name, block)| (name.clone(), block.clone())).collect()
        }
    }
}

fn without_timeout(pool: &mut Value) {
    let Some(tcp) = pool.get_mut("tcp").and_then(Value::as_object_mut) else { return };
    tcp.shift_remove("connectTimeout");
    if tcp.is_empty() {
        pool.as_object_mut().and_then(|pool| pool.shift_remove("tcp"));
    }
}

/// Istio takes no pool for an empty one (`cluster_traffic_policy.go`, `applyConnectionPool`).
fn is_empty(pool: &Value) -> bool {
    pool.is_null() || pool.as_object().is_some_and(|pool| pool.values().all(is_empty))
}

/// Everything that is another one afterwards, for the clusters that `keeps` names.
pub(super) fn differences(before: &View<'_>, after: &View<'_>, keeps: &dyn Fn(u32) -> bool) -> Vec<Found> {
    let mut found = Vec::new();
    for (proxy, read) in before.snapshot.proxies.iter().enumerate() {
        for row in read.clusters.iter().filter(|row| keeps(*row)) {
            let (old, new) = (before.got(proxy, row), after.got(proxy, row));
            let mut put = |difference| found.push(Found { proxy, row, difference });
            if old.timeout != new.timeout {
                put(Difference::Timeout { before: old.timeout, after: new.timeout });
            }
            for name in old.blocks.keys().chain(new.blocks.keys()).collect::<BTreeSet<_>>() {
                if old.blocks.get(name) != new.blocks.get(name) {
                    put(Difference::Alters(block_name(name)));
                }
            }
            if ClusterName::parse(&before.snapshot.clusters[row as usize].name)
                .is_some_and(|name| name.direction != Direction::Inbound)
            {
                if old.subsets.difference(&new.subsets).next().is_some() {
                    put(Difference::Vanishes);
                }
                if new.subsets.difference(&old.subsets).next().is_some() {
                    put(Difference::Appears);
                }
            }
        }
    }
    found
}

/// A block of a policy in words.
fn block_name(name: &str) -> &'static str {
    match name {
        "connectionPool" => "connection pool (circuit breakers, HTTP options)",
        "loadBalancer" => "load balancer",
        "outlierDetection" => "outlier detection",
        "tls" => "TLS mode",
        "subset labels" => "endpoints",
        BACKEND => "TLS of a Gateway API policy",
        _ => "traffic policy",
    }
}
