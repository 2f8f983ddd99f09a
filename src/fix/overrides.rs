//! What to change in the objects that override the mesh's value.

use std::time::Duration;

use crate::decode::patch::{Identity, Patched, Segment, rule_for_host, set};
use crate::model::objects::{
    DestinationRule, EnvoyFilter, IstioObjects, ObjectMeta, Sidecar, Source, TrafficPolicy, minor_version,
};
use crate::model::{ObjectRef, Origin, OriginKind, RulePart, SidecarPart, format_duration};

/// A change of one part of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartChange {
    /// Which part: `trafficPolicy`, `port 443`, `subset v1`, `ingress 8080`, `configPatches[0]`.
    pub part: String,
    /// The value that it sets now; `None` for none.
    pub before: Option<Duration>,
    /// The value to set.
    pub after: Duration,
    /// The line that makes the change.
    pub command: String,
    /// What it changes.
    pub diff: String,
}

/// The changes of one object.
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
    /// The changes, in order.
    pub changes: Vec<PartChange>,
    /// The whole object afterwards, in YAML.
    pub manifest: String,
    /// Its `spec` afterwards, as JSON.
    pub spec: String,
    /// What goes wrong otherwise.
    pub warnings: Vec<String>,
}

/// An object that can be changed.
#[derive(Clone, Copy)]
enum Object<'a> {
    Rule(&'a DestinationRule),
    Sidecar(&'a Sidecar),
    Filter(&'a EnvoyFilter),
}

impl<'a> Object<'a> {
    fn find(objects: &'a IstioObjects, origin: &Origin) -> Option<Self> {
        match &origin.kind {
            OriginKind::DestinationRule { rule, .. } => {
                objects.destination_rules.iter().find(|known| known.meta.is(rule)).map(Self::Rule)
            }
            OriginKind::Sidecar { sidecar, .. } => {
                objects.sidecars.iter().find(|known| known.meta.is(sidecar)).map(Self::Sidecar)
            }
            OriginKind::EnvoyFilter { filter, .. } => {
                objects.envoy_filters.iter().find(|known| known.meta.is(filter)).map(Self::Filter)
            }
            _ => None,
        }
    }

    fn parts(self) -> (&'static str, &'a ObjectMeta, &'a Source) {
        match self {
            Self::Rule(rule) => ("DestinationRule", &rule.meta, &rule.source),
            Self::Sidecar(sidecar) => ("Sidecar", &sidecar.meta, &sidecar.source),
            Self::Filter(filter) => ("EnvoyFilter", &filter.meta, &filter.source),
        }
    }

    /// The way to the timeout of the part that an origin names, and the value there now.
    fn path(self, origin: &OriginKind) -> Option<(Vec<Segment>, Option<Duration>)> {
        match (self, origin) {
            (Self::Rule(rule), OriginKind::DestinationRule { part, .. }) => rule_path(rule, part.as_ref()?),
            (Self::Sidecar(sidecar), OriginKind::Sidecar { part, .. }) => {
                let (mut path, pool) = match *part {
                    SidecarPart::Ingress(port) => {
                        let index = sidecar.ingress.iter().position(|ingress| ingress.port == port)?;
                        let element = Segment::Element { index, told_by: vec!["port", "number"] };
                        let path = vec![Segment::key("ingress"), element, Segment::key("connectionPool")];
                        (path, sidecar.ingress[index].connection_pool)
                    }
                    SidecarPart::Inbound => {
                        (vec![Segment::key("inboundConnectionPool")], sidecar.inbound_connection_pool)
                    }
                };
                path.extend(["tcp", "connectTimeout"].map(Segment::key));
                Some((path, pool.and_then(|pool| pool.connect_timeout)))
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
                Some((path, patch.connect_timeout))
            }
            _ => None,
        }
    }
}

/// The way into a part of a DestinationRule.
fn rule_path(rule: &DestinationRule, part: &RulePart) -> Option<(Vec<Segment>, Option<Duration>)> {
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
    path.extend(["connectionPool", "tcp", "connectTimeout"].map(Segment::key));
    Some((path, pool.and_then(|pool| pool.connect_timeout)))
}

/// The part of a rule that decides for a port and a subset: the narrowest block that is there.
pub(super) fn deciding_part(rule: &DestinationRule, port: u16, subset: &str) -> RulePart {
    let has_port = |policy: &TrafficPolicy| policy.port_level.iter().any(|entry| entry.port == port);
    if let Some(known) = rule.subsets.iter().find(|known| known.name == subset)
        && let Some(policy) = &known.traffic_policy
    {
        if has_port(policy) {
            return RulePart::SubsetPort(subset.to_owned(), port);
        }
        if policy.connection_pool.is_some() {
            return RulePart::Subset(subset.to_owned());
        }
    }
    match &rule.traffic_policy {
        Some(policy) if has_port(policy) => RulePart::Port(port),
        _ => RulePart::Policy,
    }
}

/// Changes parts of one object, given by an origin each, to the values with them. The error says what stands in the
/// way.
pub(super) fn change(
    context: &str,
    objects: &IstioObjects,
    parts: &[(Origin, Duration)],
) -> Result<Option<ObjectStep>, String> {
    let Some((first, _)) = parts.first() else { return Ok(None) };
    let reference = first.kind.object().map(ObjectRef::to_string).unwrap_or_default();
    let name = || format!("{} {reference}", first.kind.as_str());
    let object = Object::find(objects, first).ok_or_else(|| format!("{} was not read", name()))?;
    let (kind, meta, source) = object.parts();
    if source.spec.is_empty() {
        return Err(format!("{}: its spec was not kept", name()));
    }
    let identity = Identity::of(kind, meta, source);
    let mut current = source.clone();
    let mut changes = Vec::new();
    let mut last: Option<Patched> = None;
    for (origin, value) in parts {
        let (path, before) =
            object.path(&origin.kind).ok_or_else(|| format!("{} has no part {:?}", name(), origin.kind.part()))?;
        // What has the value already needs no step.
        if before == Some(*value) {
            continue;
        }
        let patched = set(&identity, &current, &path, &format_duration(*value))?;
        current.spec = patched.spec.as_str().into();
        let flag = if context.is_empty() {
            String::new()
        } else {
            format!(" --context {}", crate::decode::patch::quote(context))
        };
        changes.push(PartChange {
            part: origin.kind.part(),
            before,
            after: *value,
            command: format!("{}{flag}", patched.command),
            diff: patched.diff.clone(),
        });
        last = Some(patched);
    }
    let Some(Patched { manifest, spec, .. }) = last else { return Ok(None) };
    let mut warnings = Vec::new();
    if !source.managed_by.is_empty() {
        warnings.push(format!("{} writes it again: make the change in its source", source.managed_by));
    }
    if kind == "EnvoyFilter" {
        warnings.push(
            "an EnvoyFilter hides from every other tool what it sets; a DestinationRule can say the same".to_owned(),
        );
    }
    let host = match object {
        Object::Rule(rule) => rule.host.clone(),
        _ => String::new(),
    };
    Ok(Some(ObjectStep {
        context: context.to_owned(),
        identity,
        created: false,
        host,
        changes,
        manifest,
        spec,
        warnings,
    }))
}

/// A new DestinationRule for one host, in a namespace. `base` is the wider rule that it takes over.
pub(super) fn create(
    context: &str,
    objects: &IstioObjects,
    version: &str,
    namespace: &str,
    host: &str,
    base: Option<&DestinationRule>,
    value: Duration,
) -> Result<ObjectStep, String> {
    let served = objects.destination_rules.iter().map(|rule| rule.source.api_version.clone());
    let by_version = match minor_version(version) {
        Some(version) if version < (1, 22) => "networking.istio.io/v1beta1",
        _ => "networking.istio.io/v1",
    };
    let name: String = host
        .replace('*', "wildcard")
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .collect();
    let name: String = format!("connect-timeout-{name}").chars().take(63).collect();
    let identity = Identity {
        kind: "DestinationRule",
        api_version: served.into_iter().find(|version| !version.is_empty()).unwrap_or_else(|| by_version.to_owned()),
        namespace: namespace.to_owned(),
        name: name.trim_end_matches('-').to_owned(),
    };
    let Patched { command, diff, manifest, spec } =
        rule_for_host(&identity, host, base.map(|rule| &rule.source), &format_duration(value))?;
    let flag =
        if context.is_empty() { String::new() } else { format!(" --context {}", crate::decode::patch::quote(context)) };
    let mut warnings = Vec::new();
    if let Some(base) = base {
        warnings.push(format!(
            "it repeats all of {}, whose host {} is wider: a more specific rule replaces a wider one whole, so later \
             changes there no longer reach {host}",
            base.meta, base.host
        ));
    }
    Ok(ObjectStep {
        context: context.to_owned(),
        identity,
        created: true,
        host: host.to_owned(),
        changes: vec![PartChange {
            part: "trafficPolicy".to_owned(),
            before: None,
            after: value,
            command: format!("{command}{flag}"),
            diff,
        }],
        manifest,
        spec,
        warnings,
    })
}
