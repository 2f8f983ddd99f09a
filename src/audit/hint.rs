//! Where values came from, as far as dumps alone can tell. Nothing here is certain but what the dump itself proves.

use std::collections::BTreeMap;
use std::time::Duration;

use super::MeshValue;
use crate::model::{
    ClusterKind, ClusterSet, ClusterSource, EnvoyCluster, MeshSnapshot, Origin, OriginKind, format_duration,
};

/// The proxies' own word for the mesh's value: BlackHoleCluster takes it, and no DestinationRule reaches it
/// (`pilot/pkg/networking/core/cluster_builder.go`, `buildBlackHoleCluster`).
pub(super) struct Hints {
    /// For each proxy of the snapshot.
    mesh: Vec<Option<Duration>>,
}

/// The values that proxies hold for the mesh's, with how many hold each, by context and revision.
type Counts<'a> = BTreeMap<(&'a str, &'a str), BTreeMap<Duration, usize>>;

fn count<'a>(snapshot: &'a MeshSnapshot, held: &[Option<Duration>]) -> Counts<'a> {
    let mut counts = Counts::new();
    for (read, value) in snapshot.proxies.iter().zip(held) {
        if let Some(value) = value {
            let plane = counts.entry((&read.proxy.id.context, &read.proxy.revision)).or_default();
            *plane.entry(*value).or_default() += 1;
        }
    }
    counts
}

/// The value that most hold, and how many do.
fn most(values: &BTreeMap<Duration, usize>) -> Option<(Duration, usize)> {
    values.iter().max_by_key(|(value, count)| (**count, **value)).map(|(value, count)| (*value, *count))
}

impl Hints {
    pub(super) fn new(snapshot: &MeshSnapshot) -> Self {
        Self::held(snapshot).fill(snapshot)
    }

    /// What each proxy itself holds.
    fn held(snapshot: &MeshSnapshot) -> Self {
        let black_holes: Vec<(u32, Option<Duration>)> = (0u32..)
            .zip(&snapshot.clusters)
            .filter(|(_, cluster)| cluster.kind() == ClusterKind::BlackHole && cluster.source == ClusterSource::Active)
            .map(|(position, cluster)| (position, cluster.connect_timeout))
            .collect();
        let value =
            |held: &ClusterSet| black_holes.iter().find(|(at, _)| held.contains(*at)).and_then(|(_, value)| *value);
        Self { mesh: snapshot.proxies.iter().map(|proxy| value(&proxy.clusters)).collect() }
    }

    /// Gives a proxy without such a cluster, a waypoint, what most of its control plane's proxies hold.
    fn fill(mut self, snapshot: &MeshSnapshot) -> Self {
        let counts = count(snapshot, &self.mesh);
        for (read, value) in snapshot.proxies.iter().zip(&mut self.mesh) {
            let plane = (read.proxy.id.context.as_str(), read.proxy.revision.as_str());
            *value = value.or_else(|| counts.get(&plane).and_then(most).map(|(value, _)| value));
        }
        self
    }

    /// The origins of a cluster's value, each with the proxies for which it holds.
    pub(super) fn origins(&self, cluster: &EnvoyCluster, holders: &ClusterSet) -> Vec<(Origin, ClusterSet)> {
        let mut by_mesh: BTreeMap<Option<Duration>, ClusterSet> = BTreeMap::new();
        for proxy in holders.iter() {
            by_mesh.entry(self.mesh[proxy as usize]).or_default().insert(proxy);
        }
        let mut origins: Vec<(Origin, ClusterSet)> = Vec::new();
        for (mesh, proxies) in by_mesh {
            let origin = origin(cluster, mesh);
            match origins.iter_mut().find(|(known, _)| *known == origin) {
                Some((_, all)) => all.extend(&proxies),
                None => origins.push((origin, proxies)),
            }
        }
        origins
    }
}

/// What a cluster's own words suggest, given the mesh's value.
fn origin(cluster: &EnvoyCluster, mesh: Option<Duration>) -> Origin {
    let Some(timeout) = cluster.connect_timeout else {
        return Origin::plain(OriginKind::EnvoyDefault, true);
    };
    let unknown = |note: String| Origin::plain(OriginKind::Unknown, false).with_note(note);
    match cluster.kind() {
        ClusterKind::Bootstrap => Origin::plain(OriginKind::Bootstrap, cluster.source == ClusterSource::Static),
        ClusterKind::BlackHole | ClusterKind::Passthrough | ClusterKind::Internal => {
            Origin::plain(OriginKind::MeshConfig, false).with_note("no DestinationRule reaches this cluster")
        }
        ClusterKind::Other => {
            unknown("not one of Istio's own names: an EnvoyFilter or another control plane".to_owned())
        }
        ClusterKind::Service => match (&cluster.destination_rule_hint, mesh) {
            (Some(rule), Some(mesh)) if mesh != timeout => {
                let (namespace, name) = rule.split_once('/').unwrap_or(("", rule));
                Origin {
                    kind: OriginKind::DestinationRule,
                    namespace: namespace.to_owned(),
                    name: name.to_owned(),
                    part: String::new(),
                    certain: false,
                    note: "it matched, and the value is not the mesh's; the object was not read".to_owned(),
                }
            }
            (Some(rule), Some(_)) => Origin::plain(OriginKind::MeshConfig, false)
                .with_note(format!("DestinationRule {rule} matched, but the value is the mesh's")),
            (Some(rule), None) => unknown(format!("DestinationRule {rule} matched, which may or may not set it")),
            (None, Some(mesh)) if mesh == timeout => Origin::plain(OriginKind::MeshConfig, false)
                .with_note("the value of BlackHoleCluster, which is the mesh's"),
            (None, Some(mesh)) => {
                unknown(format!("no DestinationRule matched, and the mesh's value is {}", format_duration(mesh)))
            }
            (None, None) => unknown("no DestinationRule matched; the mesh's value is not in the dump".to_owned()),
        },
    }
}

/// The value that most proxies of each control plane hold for the mesh's.
pub(super) fn mesh_values(snapshot: &MeshSnapshot) -> Vec<MeshValue> {
    let held = Hints::held(snapshot);
    count(snapshot, &held.mesh)
        .into_iter()
        .filter_map(|((context, revision), values)| {
            let total: usize = values.values().sum();
            let (connect_timeout, count) = most(&values)?;
            Some(MeshValue {
                context: context.to_owned(),
                revision: revision.to_owned(),
                connect_timeout,
                source: format!("BlackHoleCluster of {count} of {total} proxies"),
                install: String::new(),
            })
        })
        .collect()
}
