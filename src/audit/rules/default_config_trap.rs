//! MA009.

use std::sync::Arc;

use super::super::{Context, Finding, Rule, RuleInfo, Severity};
use super::proxies_of;
use crate::model::{MeshSource, Origin, OriginKind, format_duration};

/// `defaultConfig.connectTimeout` is set, and reaches no service cluster.
pub(super) struct DefaultConfigTrap;

static INFO: RuleInfo = RuleInfo {
    code: "MA009",
    name: "default-config-trap",
    severity: Severity::Warning,
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
                    let value = format_duration(value);
                    let top = match source.config.connect_timeout {
                        Some(top) => format!("connectTimeout at its top level is {}", format_duration(top)),
                        None => "connectTimeout at its top level is not set".to_owned(),
                    };
                    report(Finding {
                        rule: &INFO,
                        severity: INFO.severity,
                        message: format!(
                            "{} sets defaultConfig.connectTimeout to {value}, which reaches no service's cluster; {top}",
                            source.meta
                        ),
                        cluster: Arc::from(""),
                        timeout: None,
                        proxies: Arc::new(proxies_of(context, name, objects, plane)),
                        origin: Some(Origin::new(
                            OriginKind::MeshConfig { source: MeshSource::ConfigMap(source.meta.reference()) },
                            true,
                        )),
                        remedy: format!(
                            "move it to the top level of the mesh configuration (meshConfig.connectTimeout: {value}) \
                             and remove it from defaultConfig"
                        ),
                    });
                }
            }
        }
    }
}
