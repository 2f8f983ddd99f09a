//! MA009.

use std::sync::Arc;

use super::super::{Action, Context, Finding, MeshKey, Rule, RuleInfo, Severity, Subject};
use super::proxies_of;
use crate::model::format_duration;

/// `defaultConfig.connectTimeout` is set, and reaches no service cluster.
pub(super) struct DefaultConfigTrap;

static INFO: RuleInfo = RuleInfo {
    code: "MA009",
    name: "default-config-trap",
    severity: Severity::Warning,
    observed: false,
    page: include_str!("../../../docs/rules/MA009.md"),
};

impl Rule for DefaultConfigTrap {
    fn info(&self) -> &'static RuleInfo {
        &INFO
    }

    fn check(&self, context: &Context<'_>, report: &mut dyn FnMut(Finding)) {
        for (name, objects) in &context.snapshot.objects {
            for plane in &objects.control_planes {
                for source in &plane.mesh {
                    let Some(value) = source.config.default_config_connect_timeout else { continue };
                    let shown = format_duration(value);
                    let top = match source.config.connect_timeout {
                        Some(top) => format!("connectTimeout at its top level is {}", format_duration(top)),
                        None => "connectTimeout at its top level is not set".to_owned(),
                    };
                    report(Finding {
                        rule: &INFO,
                        severity: INFO.severity,
                        subject: Subject::MeshConfig {
                            map: source.meta.reference(),
                            key: MeshKey::DefaultConfig,
                            context: name.clone(),
                            proxies: Arc::new(proxies_of(context, name, objects, plane)),
                        },
                        message: format!(
                            "{} sets defaultConfig.connectTimeout to {shown}, which reaches no service's cluster; {top}",
                            source.meta
                        ),
                        action: Action::MoveKey { map: source.meta.reference(), value },
                    });
                }
            }
        }
    }
}
