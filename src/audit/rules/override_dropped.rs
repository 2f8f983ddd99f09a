//! MA008.

use super::super::{Action, Context, Finding, Rule, RuleInfo, Severity};
use crate::attribute::describe;
use crate::model::format_duration;

/// A timeout that is set and lost, because a narrower block replaces the one it stands in.
pub(super) struct OverrideDropped;

static INFO: RuleInfo = RuleInfo {
    code: "MA008",
    name: "override-dropped",
    severity: Severity::Warning,
    observed: false,
    page: include_str!("../../../docs/rules/MA008.md"),
};

impl Rule for OverrideDropped {
    fn info(&self) -> &'static RuleInfo {
        &INFO
    }

    fn check(&self, context: &Context<'_>, report: &mut dyn FnMut(Finding)) {
        for row in context.judged() {
            for (dropped, proxies) in &row.dropped {
                let value = format_duration(dropped.value);
                let message = format!(
                    "{} replaces {} and so loses its connectTimeout of {value}; {} holds",
                    describe(&dropped.by),
                    dropped.origin.kind.part(),
                    format_duration(row.effective_timeout()),
                );
                let action = Action::Restore { dropped: dropped.clone() };
                report(Finding::of_row(&INFO, row, message, action).on(proxies.clone()));
            }
        }
    }
}
