//! What findings ask for, sorted by what is to be changed for them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::FixOptions;
use super::config_map::TimeoutKey;
use super::installation::shared_policy;
use crate::attribute::{Attributor, Dropped, ProxyClass};
use crate::audit::{Action, Audit, Finding, Reach};
use crate::model::objects::ControlPlane;
use crate::model::{ClusterName, EnvoyCluster, Origin, OriginKind, format_duration};

/// The control plane that a value belongs to: context and revision as the mesh's objects name it, else as proxies do.
pub(super) type PlaneKey = (String, String, TimeoutKey);

#[derive(Default)]
pub(super) struct Wanted<'a> {
    /// Mesh-wide changes, with the clusters that ask for them.
    pub(super) mesh: BTreeMap<PlaneKey, Vec<&'a Finding>>,
    /// Parts of objects that give a wrong value, by context, with the clusters that ask for a change.
    pub(super) parts: BTreeMap<(String, OriginKind), Vec<&'a Finding>>,
    /// Clusters that lose a value which was meant for them, by context.
    pub(super) restore: Vec<(String, &'a Finding, &'a Dropped)>,
    /// Hosts that need a value of their own, by context.
    pub(super) hosts: BTreeMap<(String, String), Vec<&'a Finding>>,
    pub(super) notes: BTreeSet<String>,
}

/// Whether a finding is about one of some hosts, given by parts of their names.
pub(super) fn is_for(hosts: &[String], finding: &Finding) -> bool {
    let host = ClusterName::parse(finding.cluster()).map_or("", |name| name.host);
    is_asked(hosts, host)
}

pub(super) fn is_asked(hosts: &[String], host: &str) -> bool {
    !host.is_empty() && hosts.iter().any(|part| host.contains(part.as_str()))
}

pub(super) fn held(finding: &Finding) -> Duration {
    finding.subject.timeout().unwrap_or(EnvoyCluster::DEFAULT_CONNECT_TIMEOUT)
}

/// Sorts findings by what is to be changed for them.
pub(super) fn sort_out<'a>(attributor: &Attributor<'_>, now: &'a Audit, options: &FixOptions) -> Wanted<'a> {
    let mut wanted = Wanted::default();
    let by_host = !options.hosts.is_empty();
    for finding in now.findings.iter().filter(|finding| !by_host || is_for(&options.hosts, finding)) {
        let contexts = contexts(attributor, finding);
        let host = ClusterName::parse(finding.cluster()).map(|name| name.host).filter(|host| !host.is_empty());
        match &finding.action {
            Action::SetTimeout { at, reach, .. } => match (&at.kind, host) {
                (kind, _) if kind.is_override() && !at.certain => {
                    wanted.notes.insert(uncertain(at, finding));
                }
                (kind, Some(host)) if by_host || (kind.is_mesh_wide() && *reach == Reach::Host) => {
                    for context in contexts {
                        wanted.hosts.entry((context, host.to_owned())).or_default().push(finding);
                    }
                }
                (kind, _) if kind.is_override() => {
                    for context in contexts {
                        wanted.parts.entry((context, kind.clone())).or_default().push(finding);
                    }
                }
                (kind, _) if kind.is_mesh_wide() && *reach == Reach::Source => {
                    for key in planes(attributor, finding, kind) {
                        wanted.mesh.entry(key).or_default().push(finding);
                    }
                }
                _ => {}
            },
            Action::Restore { dropped } => match host {
                Some(host) if by_host => {
                    for context in contexts {
                        wanted.hosts.entry((context, host.to_owned())).or_default().push(finding);
                    }
                }
                _ => wanted.restore.extend(contexts.into_iter().map(|context| (context, finding, dropped))),
            },
            Action::MoveKey { .. }
            | Action::Reconcile { .. }
            | Action::Deliver(_)
            | Action::RestoreLogLevels
            | Action::FitRoute { .. }
            | Action::Diagnose
            | Action::Inspect(_) => {}
        }
    }
    wanted.mesh = join(wanted.mesh);
    wanted
}

fn uncertain(at: &Origin, finding: &Finding) -> String {
    format!(
        "{} {} seems to set {} of {}, but could not be read: change its connectTimeout there",
        at.kind.as_str(),
        at.kind.object().map(ToString::to_string).unwrap_or_default(),
        format_duration(held(finding)),
        finding.cluster()
    )
}

pub(super) fn classes_of<'c, 'a>(
    attributor: &'c Attributor<'a>,
    finding: &'c Finding,
) -> impl Iterator<Item = (usize, &'c ProxyClass<'a>)> {
    let classes = attributor.classes().iter().enumerate();
    classes.filter(|(_, class)| !class.proxies.intersection(finding.proxies()).is_empty())
}

fn contexts(attributor: &Attributor<'_>, finding: &Finding) -> BTreeSet<String> {
    classes_of(attributor, finding).map(|(_, class)| class.representative.proxy.id.context.clone()).collect()
}

/// The control planes, and the keys of their mesh configurations, that give a finding's clusters their timeout.
fn planes(attributor: &Attributor<'_>, finding: &Finding, kind: &OriginKind) -> BTreeSet<PlaneKey> {
    let key = match kind {
        OriginKind::MeshDefaultTrafficPolicy { .. } => TimeoutKey::DefaultTrafficPolicy,
        _ => TimeoutKey::ConnectTimeout,
    };
    let mut planes = BTreeSet::new();
    for (_, class) in classes_of(attributor, finding) {
        let proxy = &class.representative.proxy;
        let plane = attributor.objects(class).and_then(|objects| objects.control_plane(&proxy.revision));
        let revision = plane.map_or(&proxy.revision, |plane| &plane.revision);
        let both = both_may_count(attributor, class, plane, finding);
        let apart = plane.is_some_and(|plane| shared_policy(plane, TimeoutKey::DefaultTrafficPolicy).is_some());
        let keys = match (both, apart) {
            (true, false) => &[TimeoutKey::Both][..],
            // They stand in two ConfigMaps.
            (true, true) => TimeoutKey::Both.fields(),
            (false, _) => key.fields(),
        };
        planes.extend(keys.iter().map(|key| (proxy.id.context.clone(), revision.clone(), *key)));
    }
    planes
}

/// Whether a control plane of an unknown version knows defaultTrafficPolicy shows only where the two keys have two
/// values; where they have one, either may be what counts.
fn both_may_count(
    attributor: &Attributor<'_>,
    class: &ProxyClass<'_>,
    plane: Option<&ControlPlane>,
    finding: &Finding,
) -> bool {
    let unknown = plane.is_none_or(|plane| plane.parsed_version().is_none());
    attributor.mesh_value(class).filter(|_| unknown).is_some_and(|mesh| {
        let baseline = mesh.default_connection_pool.and_then(|pool| pool.connect_timeout);
        baseline == Some(mesh.connect_timeout) && baseline == finding.subject.timeout()
    })
}

/// Has what is wanted of one of the two keys done together with what is wanted of both.
fn join(mesh: BTreeMap<PlaneKey, Vec<&Finding>>) -> BTreeMap<PlaneKey, Vec<&Finding>> {
    let both: BTreeSet<(String, String)> = mesh
        .keys()
        .filter(|(.., key)| *key == TimeoutKey::Both)
        .map(|(context, revision, _)| (context.clone(), revision.clone()))
        .collect();
    let mut joined: BTreeMap<PlaneKey, Vec<&Finding>> = BTreeMap::new();
    for ((context, revision, key), findings) in mesh {
        let plane = (context, revision);
        let key = if both.contains(&plane) { TimeoutKey::Both } else { key };
        joined.entry((plane.0, plane.1, key)).or_default().extend(findings);
    }
    joined
}
