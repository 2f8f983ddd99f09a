//! MA010.

use std::sync::Arc;

use super::super::{Action, Context, Finding, MeshKey, Rule, RuleInfo, Severity, Subject};
use super::proxies_of;
use crate::model::format_duration;
use crate::model::objects::{MeshConfigKind, MeshConfigSource};

/// Two mesh configuration sources set the key, and one of them loses.
pub(super) struct SharedMeshConfigShadowed;

static INFO: RuleInfo = RuleInfo {
    code: "MA010",
    name: "shared-mesh-config-shadowed",
    severity: Severity::Warning,
    observed: false,
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
                    let (shown, won) = (format_duration(lost), format_duration(won));
                    let (message, action) = if winner.kind == MeshConfigKind::Effective {
                        (
                            format!("istiod {} uses {won}, though ConfigMap {} says {shown}", winner.meta, loser.meta),
                            Action::Inspect(
                                "see whether a file is mounted at ./etc/istio/config/mesh, or whether istiod's log \
                                 names an error in the ConfigMap"
                                    .to_owned(),
                            ),
                        )
                    } else {
                        (
                            format!(
                                "the shared ConfigMap {} sets connectTimeout to {shown} and loses against {}, which \
                                 sets {won}",
                                loser.meta, winner.meta
                            ),
                            Action::Reconcile { winner: winner.meta.reference(), meant: lost },
                        )
                    };
                    report(Finding {
                        rule: &INFO,
                        severity: INFO.severity,
                        subject: Subject::MeshConfig {
                            map: loser.meta.reference(),
                            key: MeshKey::ConnectTimeout,
                            context: name.clone(),
                            proxies: Arc::new(proxies_of(context, name, objects, plane)),
                        },
                        message,
                        action,
                    });
                }
            }
        }
    }
}
