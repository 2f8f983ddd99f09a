//! The mesh's own value for each control plane.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{MeshValue, install};
use crate::attribute::Attributor;
use crate::model::objects::{ControlPlane, EffectiveMesh, IstioObjects};
use crate::model::{MeshSnapshot, MeshSource, OriginKind};

/// What proxies of one control plane say.
#[derive(Default)]
struct Told {
    /// How many hold which value for the cluster that shows it.
    values: BTreeMap<Duration, usize>,
    /// That cluster.
    by: &'static str,
}

/// The value of each control plane that has proxies here or was read: from its configuration, else what most of its
/// proxies hold.
pub(super) fn values(snapshot: &MeshSnapshot, attributor: &Attributor<'_>) -> Vec<MeshValue> {
    let mut planes: BTreeMap<(String, String), MeshValue> = BTreeMap::new();
    for (context, objects) in &snapshot.objects {
        for plane in &objects.control_planes {
            if let Some(effective) = plane.effective() {
                let value = read(context, objects, plane, &effective);
                planes.insert((context.clone(), plane.revision.clone()), value);
            }
        }
    }
    let mut told: BTreeMap<(String, String), Told> = BTreeMap::new();
    for class in attributor.classes().iter().filter(|class| attributor.mesh_value(class).is_none()) {
        if let Some(value) = class.told() {
            let proxy = &class.representative.proxy;
            let plane = told.entry((proxy.id.context.clone(), proxy.revision.clone())).or_default();
            *plane.values.entry(value).or_default() += class.proxies.len();
            // A waypoint beside others counts as told what they were.
            let by = class.told_by();
            plane.by = if plane.by.is_empty() || by == "BlackHoleCluster" { by } else { plane.by };
        }
    }
    for ((context, revision), Told { values, by }) in told {
        let total: usize = values.values().sum();
        if let Some((&connect_timeout, &count)) = values.iter().max_by_key(|(value, count)| (**count, **value)) {
            planes.entry((context.clone(), revision.clone())).or_insert_with(|| MeshValue {
                context,
                revision,
                connect_timeout,
                source: format!("{by} of {count} of {total} proxies"),
                install: String::new(),
            });
        }
    }
    planes.into_values().collect()
}

fn read(context: &str, objects: &IstioObjects, plane: &ControlPlane, effective: &EffectiveMesh) -> MeshValue {
    let source = match &effective.origin.kind {
        OriginKind::MeshConfig { source: MeshSource::Istiod(istiod) } => format!("istiod {istiod}, /debug/mesh"),
        OriginKind::MeshConfig { source: MeshSource::Shared(map) } => {
            format!("ConfigMap {map} (shared mesh configuration)")
        }
        OriginKind::MeshConfig { source: MeshSource::ConfigMap(map) } => format!("ConfigMap {map}"),
        _ => effective.origin.note.clone(),
    };
    MeshValue {
        context: context.to_owned(),
        revision: plane.revision.clone(),
        connect_timeout: effective.connect_timeout,
        source,
        install: install::detect(objects, plane).method.as_str().to_owned(),
    }
}
