//! Origins in sentences.

use crate::model::istio::{DestinationRule, EnvoyFilter};
use crate::model::{MeshSource, Origin, OriginKind, RulePart};

/// An origin in a sentence.
#[must_use]
pub fn describe(origin: &Origin) -> String {
    let kind = &origin.kind;
    match kind {
        OriginKind::MeshConfig { source: MeshSource::ConfigMap(object) | MeshSource::Shared(object) } => {
            format!("meshConfig.connectTimeout (ConfigMap {object})")
        }
        OriginKind::MeshConfig { source: MeshSource::Istiod(object) } => {
            format!("meshConfig.connectTimeout (istiod {object})")
        }
        OriginKind::MeshConfig { source: MeshSource::Inferred } => "meshConfig.connectTimeout".to_owned(),
        OriginKind::MeshDefault => "Istio's built-in default".to_owned(),
        OriginKind::MeshDefaultTrafficPolicy { object: Some(object) } => {
            format!("meshConfig.defaultTrafficPolicy {object}")
        }
        OriginKind::MeshDefaultTrafficPolicy { object: None } => "meshConfig.defaultTrafficPolicy".to_owned(),
        OriginKind::DestinationRule { rule, part: Some(part) } => format!("DestinationRule {rule} ({part})"),
        OriginKind::DestinationRule { rule, part: None } => format!("DestinationRule {rule}"),
        OriginKind::Sidecar { sidecar, part } => format!("Sidecar {sidecar} ({part})"),
        OriginKind::EnvoyFilter { filter, .. } => format!("EnvoyFilter {filter} ({})", kind.part()),
        OriginKind::Bootstrap => "the proxy's bootstrap".to_owned(),
        OriginKind::EnvoyDefault => "Envoy's default".to_owned(),
        OriginKind::Stale => "an earlier configuration".to_owned(),
        OriginKind::Unknown => "an unknown source".to_owned(),
    }
}

pub(super) fn filter_origin(filter: &EnvoyFilter, index: usize, certain: bool) -> Origin {
    Origin::new(OriginKind::EnvoyFilter { filter: filter.meta.reference(), patch: index }, certain)
}

pub(super) fn rule_origin(rule: &DestinationRule, part: Option<&RulePart>) -> Origin {
    Origin::new(OriginKind::DestinationRule { rule: rule.meta.reference(), part: part.cloned() }, true)
}
