//! MA007.

use super::super::{Context, Finding, Rule, RuleInfo, Severity};
use super::remedy;
use crate::attribute::describe;
use crate::model::{format_duration, syn_retransmissions};

/// An object gives a cluster a worse timeout than the mesh would.
pub(super) struct OverrideShadowsMesh;

static INFO: RuleInfo = RuleInfo {
    code: "MA007",
    name: "override-shadows-mesh",
    severity: Severity::Warning,
    page: include_str!("../../../docs/rules/MA007.md"),
};

impl Rule for OverrideShadowsMesh {
    fn info(&self) -> &'static RuleInfo {
        &INFO
    }

    fn check(&self, context: &Context<'_>, report: &mut dyn FnMut(Finding)) {
        let longest = context.policy.max_connect_timeout;
        for row in context.judged() {
            let (Some(mesh), Some(value)) = (row.mesh, row.connect_timeout) else { continue };
            if !row.origin.kind.is_override() {
                continue;
            }
            let lost = syn_retransmissions(mesh).saturating_sub(syn_retransmissions(value));
            let what = if lost > 0 {
                format!("{lost} SYN retransmission{} fewer", if lost == 1 { "" } else { "s" })
            } else if value < mesh && syn_retransmissions(value) == 0 {
                "shorter still".to_owned()
            } else if value > longest && mesh <= longest {
                "longer than the policy allows".to_owned()
            } else {
                continue;
            };
            // Two retransmissions are enough for most; whoever wrote the object may well have meant it.
            let mild = row.is_inbound() || (lost > 0 && syn_retransmissions(value) >= 2);
            let severity = if mild { Severity::Info } else { INFO.severity };
            let message = format!(
                "{} gives {} where the mesh's value is {}: {what}",
                describe(&row.origin),
                format_duration(value),
                format_duration(mesh)
            );
            report(Finding::of_row(&INFO, severity, row, message, remedy(row, &format_duration(mesh))));
        }
    }
}
