//! MA007.

use super::super::{Action, Context, Finding, Reach, Row, Rule, RuleInfo, Severity};
use crate::attribute::describe;
use crate::model::{format_duration, syn_retransmissions};

/// An object gives a cluster a worse timeout than the mesh would.
pub(super) struct OverrideShadowsMesh;

static INFO: RuleInfo = RuleInfo {
    code: "MA007",
    name: "override-shadows-mesh",
    severity: Severity::Warning,
    observed: false,
    page: include_str!("../../../docs/rules/MA007.md"),
};

/// So many SYN retransmissions are enough: whoever wrote an object that allows them may well have meant it.
const ENOUGH: u32 = 2;

impl Rule for OverrideShadowsMesh {
    fn info(&self) -> &'static RuleInfo {
        &INFO
    }

    fn compares_values(&self) -> bool {
        true
    }

    fn check(&self, context: &Context<'_>, report: &mut dyn FnMut(Finding)) {
        let longest = context.policy.max_connect_timeout;
        for row in context.judged().filter(|row| row.origin.kind.is_override()) {
            let (Some(mesh), Some(value)) = (row.mesh, row.connect_timeout) else { continue };
            let lost = syn_retransmissions(mesh).saturating_sub(syn_retransmissions(value));
            let what = if lost > 0 && syn_retransmissions(value) < ENOUGH {
                format!("{lost} SYN retransmission{} fewer", if lost == 1 { "" } else { "s" })
            } else if value < mesh && syn_retransmissions(value) == 0 {
                "shorter still".to_owned()
            } else if value > longest && mesh <= longest {
                "longer than the policy allows".to_owned()
            } else {
                continue;
            };
            let severity = if row.is_inbound() { Severity::Info } else { INFO.severity };
            let message = format!(
                "{} gives {} where the mesh's value is {}: {what}",
                describe(&row.origin),
                format_duration(value),
                format_duration(mesh)
            );
            report(Finding::of_row(&INFO, row, message, action(context, row, mesh)).with_severity(severity));
        }
    }
}

/// The change that MA001 to MA003 ask for too; where the mesh's value is as good, taking the object's away does as well.
fn action<'a>(context: &Context<'a>, row: &'a Row, mesh: std::time::Duration) -> Action {
    let mut action = context.set_timeout(row, Reach::Source);
    if let Action::SetTimeout { or_remove, .. } = &mut action {
        let is_good = syn_retransmissions(mesh) >= ENOUGH && mesh <= context.policy.max_connect_timeout;
        *or_remove = is_good.then_some(mesh);
    }
    action
}
