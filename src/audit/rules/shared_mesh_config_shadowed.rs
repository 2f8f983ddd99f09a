//! MA010.

use std::sync::Arc;

use super::super::{Context, Finding, Rule, RuleInfo, Severity};
use super::proxies_of;
use crate::model::objects::{MeshConfigKind, MeshConfigSource};
use crate::model::{MeshSource, Origin, OriginKind, format_duration};

/// Two mesh configuration sources set the key, and one of them loses.
pub(super) struct SharedMeshConfigShadowed;

static INFO: RuleInfo = RuleInfo {
    code: "MA010",
    name: "shared-mesh-config-shadowed",
    severity: Severity::Warning,
    page: include_str!("../../../docs/rules/MA010.md"),
};

impl Rule for SharedMeshConfigShadowed {
    fn info(&self) -> &'static RuleInfo {
        &INFO
    }

    fn check(&self, context: &Context<'_>, report: &mut dyn FnMut(Finding)) {
        for (name, objects) in &context.snapshot.objects {
            for plane in &objects.control_planes {
                // Weakest first: what stands later wins.
                let mut sources: Vec<&MeshConfigSource> =
                    plane.mesh.iter().filter(|source| source.config.connect_timeout.is_some()).collect();
                sources.sort_by_key(|source| source.kind);
                for pair in sources.windows(2) {
                    let [loser, winner] = pair else { continue };
                    let (Some(lost), Some(won)) = (loser.config.connect_timeout, winner.config.connect_timeout) else {
                        continue;
                    };
                    if lost == won {
                        continue;
                    }
                    let (lost, won) = (format_duration(lost), format_duration(won));
                    let (message, remedy) = if winner.kind == MeshConfigKind::Effective {
                        (
                            format!("istiod {} uses {won}, though ConfigMap {} says {lost}", winner.meta, loser.meta),
                            "see whether a file is mounted at ./etc/istio/config/mesh, or whether istiod's log names \
                             an error in the ConfigMap"
                                .to_owned(),
                        )
                    } else {
                        (
                            format!(
                                "the shared ConfigMap {} sets connectTimeout to {lost} and loses against {}, which \
                                 sets {won}",
                                loser.meta, winner.meta
                            ),
                            format!("remove connectTimeout from {}, or set {lost} there", winner.meta),
                        )
                    };
                    report(Finding {
                        rule: &INFO,
                        severity: INFO.severity,
                        message,
                        cluster: Arc::from(""),
                        timeout: None,
                        proxies: Arc::new(proxies_of(context, name, objects, plane)),
                        origin: Some(Origin::new(
                            OriginKind::MeshConfig { source: MeshSource::ConfigMap(loser.meta.reference()) },
                            true,
                        )),
                        remedy,
                    });
                }
            }
        }
    }
}
