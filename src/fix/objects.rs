//! Changes of the objects that give some clusters a timeout of their own, and new DestinationRules.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::command::ShellCommand;
use super::manifest::{Identity, Patched, Put, Segment, create, patch};
use crate::model::objects::{
    ConnectionPool, DestinationRule, EnvoyFilter, IstioObjects, ObjectMeta, Sidecar, Source, TrafficPolicy,
    minor_version, reconciled,
};
use crate::model::{ObjectRef, OriginKind, RulePart, SidecarPart, format_duration};

/// A change of one part of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartChange {
    /// Which part: `trafficPolicy`, `port 443`, `subset v1`, `ingress 8080`, `configPatches[0]`.
    pub part: String,
    /// The value that it sets now; `None` for none.
    pub before: Option<Duration>,
    /// The value to set.
    pub after: Duration,
}

/// The change of one object: one patch, however many of its parts change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectStep {
    /// The kubeconfig context, when several are audited.
    pub context: String,
    /// What it is called and is.
    pub identity: Identity,
    /// Whether it is made anew.
    pub created: bool,
    /// The host, for a DestinationRule.
    pub host: String,
    /// The parts that change, in order.
    pub changes: Vec<PartChange>,
    /// What makes the change.
    pub command: ShellCommand,
    /// Until when the change holds in the cluster, where something writes the object again: what is to last belongs into
    /// its source. `None` where it lasts.
    pub until: Option<String>,
    /// What it changes, as a unified diff of the object in YAML.
    pub diff: String,
    /// What it names of the object, in YAML: a merge patch, or a new object. Empty where only `command` can make it.
    pub manifest: String,
    /// The whole `spec` afterwards, as JSON.
    pub spec: String,
    /// What goes wrong otherwise.
    pub warnings: Vec<String>,
}

/// Names an object that is changed or made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ObjectKey {
    pub(super) context: String,
    pub(super) kind: &'static str,
    pub(super) object: ObjectRef,
}

impl ObjectKey {
    /// The object that an origin names; `None` where it names none that can be changed.
    pub(super) fn of(context: &str, kind: &OriginKind) -> Option<Self> {
        let (name, object) = match kind {
            OriginKind::DestinationRule { rule, part: Some(_) } => (DESTINATION_RULE, rule),
            OriginKind::Sidecar { sidecar, .. } => ("Sidecar", sidecar),
            OriginKind::EnvoyFilter { filter, .. } => ("EnvoyFilter", filter),
            _ => return None,
        };
        Some(Self { context: context.to_owned(), kind: name, object: object.clone() })
    }
}

pub(super) const DESTINATION_RULE: &str = "DestinationRule";

/// What one part of an object is to be.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PartEdit {
    pub(super) value: Duration,
    /// Where the part has no `connectionPool`: the pool that has been in force there, which a new one would replace
    /// whole (`pilot/pkg/networking/util/util.go`, `MergeSubsetTrafficPolicy`). Without a timeout.
    pub(super) carried: Option<Value>,
}

/// What is to become of one object.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ObjectEdit {
    /// The parts that change, as the origins that name them.
    pub(super) parts: BTreeMap<OriginKind, PartEdit>,
    /// For a new DestinationRule: all of it.
    pub(super) made: Option<NewRule>,
    /// What goes wrong otherwise.
    pub(super) warnings: Vec<String>,
}

/// A new DestinationRule for one host.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NewRule {
    pub(super) host: String,
    pub(super) spec: Value,
    pub(super) changes: Vec<PartChange>,
}

/// All changes of objects.
pub(super) type Edits = BTreeMap<ObjectKey, ObjectEdit>;

/// An object that can be changed.
#[derive(Clone, Copy)]
enum Object<'a> {
    Rule(&'a DestinationRule),
    Sidecar(&'a Sidecar),
    Filter(&'a EnvoyFilter),
}

/// Where a part's timeout is.
struct Place {
    /// The way to the timeout.
    path: Vec<Segment>,
    /// The value there now.
    before: Option<Duration>,
    /// Whether the block that it stands in is there.
    has_pool: bool,
}

impl<'a> Object<'a> {
    fn find(objects: &'a IstioObjects, key: &ObjectKey) -> Option<Self> {
        let object = &key.object;
        match key.kind {
            DESTINATION_RULE => objects.destination_rules.iter().find(|known| known.meta.is(object)).map(Self::Rule),
            "Sidecar" => objects.sidecars.iter().find(|known| known.meta.is(object)).map(Self::Sidecar),
            _ => objects.envoy_filters.iter().find(|known| known.meta.is(object)).map(Self::Filter),
        }
    }

    fn parts(self) -> (&'static str, &'a ObjectMeta, &'a Source) {
        match self {
            Self::Rule(rule) => (DESTINATION_RULE, &rule.meta, &rule.source),
            Self::Sidecar(sidecar) => ("Sidecar", &sidecar.meta, &sidecar.source),
            Self::Filter(filter) => ("EnvoyFilter", &filter.meta, &filter.source),
        }
    }

    /// Where the timeout of the part that an origin names is.
    fn place(self, origin: &OriginKind) -> Option<Place> {
        let at = |mut path: Vec<Segment>, pool: Option<ConnectionPool>| {
            path.extend(["connectionPool", "tcp", "connectTimeout"].map(Segment::key));
            Some(Place { path, before: pool.and_then(|pool| pool.connect_timeout), has_pool: pool.is_some() })
        };
        match (self, origin) {
            (Self::Rule(rule), OriginKind::DestinationRule { part, .. }) => {
                let (path, pool) = block(rule, part.as_ref()?)?;
                at(path, pool)
            }
            (Self::Sidecar(sidecar), OriginKind::Sidecar { part: SidecarPart::Ingress(port), .. }) => {
                let index = sidecar.ingress.iter().position(|ingress| ingress.port == *port)?;
                let element = Segment::Element { index, told_by: vec!["port", "number"] };
                at(vec![Segment::key("ingress"), element], sidecar.ingress[index].connection_pool)
            }
            (Self::Sidecar(sidecar), OriginKind::Sidecar { part: SidecarPart::Inbound, .. }) => {
                let pool = sidecar.inbound_connection_pool;
                let path = ["inboundConnectionPool", "tcp", "connectTimeout"].map(Segment::key).to_vec();
                Some(Place { path, before: pool.and_then(|pool| pool.connect_timeout), has_pool: pool.is_some() })
            }
            (Self::Filter(filter), &OriginKind::EnvoyFilter { patch: index, .. }) => {
                let patch = filter.patches.iter().find(|patch| patch.index == index)?;
                let path = vec![
                    Segment::key("configPatches"),
                    Segment::Element { index, told_by: vec!["applyTo"] },
                    Segment::key("patch"),
                    Segment::key("value"),
                    Segment::key(&patch.key),
                ];
                Some(Place { path, before: patch.connect_timeout, has_pool: true })
            }
            _ => None,
        }
    }
}

/// The way into a part of a DestinationRule, and its `connectionPool`.
fn block(rule: &DestinationRule, part: &RulePart) -> Option<(Vec<Segment>, Option<ConnectionPool>)> {
    let (subset, port) = match part {
        RulePart::Policy => (None, None),
        RulePart::Port(port) => (None, Some(*port)),
        RulePart::Subset(subset) => (Some(subset), None),
        RulePart::SubsetPort(subset, port) => (Some(subset), Some(*port)),
    };
    let mut path = Vec::new();
    let none = TrafficPolicy::default();
    let policy = match subset {
        None => rule.traffic_policy.as_ref().unwrap_or(&none),
        Some(subset) => {
            let index = rule.subsets.iter().position(|known| known.name == *subset)?;
            path.extend([Segment::key("subsets"), Segment::Element { index, told_by: vec!["name"] }]);
            rule.subsets[index].traffic_policy.as_ref().unwrap_or(&none)
        }
    };
    path.push(Segment::key("trafficPolicy"));
    let pool = match port {
        None => policy.connection_pool,
        Some(port) => {
            let index = policy.port_level.iter().position(|known| known.port == port)?;
            let element = Segment::Element { index, told_by: vec!["port", "number"] };
            path.extend([Segment::key("portLevelSettings"), element]);
            policy.port_level[index].connection_pool
        }
    };
    Some((path, pool))
}

/// A part's `connectionPool` with a timeout.
pub(super) fn pool_with(carried: Option<&Value>, value: Duration) -> Value {
    let mut pool = carried.cloned().unwrap_or_else(|| json!({}));
    pool["tcp"]["connectTimeout"] = json!(format_duration(value));
    pool
}

/// The change of one object, as one step; `None` where nothing would change. The error says what stands in the way.
pub(super) fn step(objects: &IstioObjects, key: &ObjectKey, edit: &ObjectEdit) -> Result<Option<ObjectStep>, String> {
    match &edit.made {
        Some(made) => new_rule(objects, key, edit, made).map(Some),
        None => changed(objects, key, edit),
    }
}

fn changed(objects: &IstioObjects, key: &ObjectKey, edit: &ObjectEdit) -> Result<Option<ObjectStep>, String> {
    let name = format!("{} {}", key.kind, key.object);
    let object = Object::find(objects, key).ok_or_else(|| format!("{name} was not read"))?;
    let (kind, meta, source) = object.parts();
    if source.spec.is_empty() {
        return Err(format!("{name}: its spec was not kept"));
    }
    let identity = Identity::of(kind, meta, source);
    let (mut puts, mut changes) = (Vec::new(), Vec::new());
    for (origin, part) in &edit.parts {
        let place = object.place(origin).ok_or_else(|| format!("{name} has no {}", origin.part()))?;
        if place.before == Some(part.value) {
            continue;
        }
        changes.push(PartChange { part: origin.part(), before: place.before, after: part.value });
        // Where there is no block yet, the whole of it is put there.
        let whole = place.path.iter().rposition(|at| *at == Segment::key("connectionPool")).filter(|_| !place.has_pool);
        puts.push(match whole {
            Some(at) => Put { path: place.path[..=at].to_vec(), value: pool_with(part.carried.as_ref(), part.value) },
            None => Put { path: place.path, value: json!(format_duration(part.value)) },
        });
    }
    if puts.is_empty() {
        return Ok(None);
    }
    let Patched { command, diff, manifest, spec } = patch(&identity, source, &puts)?;
    let mut warnings = edit.warnings.clone();
    if !source.managed_by.is_empty() {
        warnings.insert(0, format!("{} writes it again: make the change in its source", source.managed_by));
    }
    if kind == "EnvoyFilter" {
        warnings.push(
            "an EnvoyFilter hides from every other tool what it sets; a DestinationRule can say the same".to_owned(),
        );
    }
    if edit.parts.values().any(|part| part.carried.is_some()) {
        warnings.push(
            "a connectionPool replaces the one that it inherits whole, so what that sets is repeated; later changes \
             there no longer reach this one"
                .to_owned(),
        );
    }
    let host = match object {
        Object::Rule(rule) => rule.host.clone(),
        _ => String::new(),
    };
    let context = key.context.clone();
    let until = reconciled(&source.managed_by);
    Ok(Some(ObjectStep {
        context,
        identity,
        created: false,
        host,
        changes,
        command,
        until,
        diff,
        manifest,
        spec,
        warnings,
    }))
}

fn new_rule(objects: &IstioObjects, key: &ObjectKey, edit: &ObjectEdit, made: &NewRule) -> Result<ObjectStep, String> {
    let served = objects.destination_rules.iter().map(|rule| rule.source.api_version.clone());
    let version = objects.control_planes.first().map_or("", |plane| plane.version.as_str());
    let by_version = match minor_version(version) {
        Some(version) if version < (1, 22) => "networking.istio.io/v1beta1",
        _ => "networking.istio.io/v1",
    };
    let identity = Identity {
        kind: DESTINATION_RULE,
        api_version: served.into_iter().find(|version| !version.is_empty()).unwrap_or_else(|| by_version.to_owned()),
        namespace: key.object.namespace.clone(),
        name: key.object.name.clone(),
    };
    let Patched { command, diff, manifest, spec } = create(&identity, &made.spec)?;
    Ok(ObjectStep {
        context: key.context.clone(),
        identity,
        created: true,
        host: made.host.clone(),
        changes: made.changes.clone(),
        command,
        until: None,
        diff,
        manifest,
        spec,
        warnings: edit.warnings.clone(),
    })
}

/// The name of a new rule for a host: one that no rule of the namespace has.
pub(super) fn new_name(objects: &IstioObjects, namespace: &str, host: &str) -> String {
    let name = host.replace('*', "wildcard");
    let name = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
    let name: String = format!("connect-timeout-{}", name.collect::<String>()).chars().take(60).collect();
    let name = name.trim_end_matches('-').to_owned();
    let taken = |name: &str| {
        objects.destination_rules.iter().any(|rule| rule.meta.namespace == namespace && rule.meta.name == name)
    };
    let mut tries = std::iter::once(name.clone()).chain((2..).map(|number| format!("{name}-{number}")));
    tries.find(|name| !taken(name)).unwrap_or(name)
}
