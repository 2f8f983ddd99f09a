//! MA012.

use super::super::{Action, Context, Finding, Rule, RuleInfo, Severity};
use crate::attribute::{Verdict, describe};
use crate::model::format_duration;

/// A value that no readable object accounts for.
pub(super) struct UnexplainedTimeout;

static INFO: RuleInfo = RuleInfo {
    code: "MA012",
    name: "unexplained-timeout",
    severity: Severity::Warning,
    observed: false,
    page: include_str!("../../../docs/rules/MA012.md"),
};

impl Rule for UnexplainedTimeout {
    fn info(&self) -> &'static RuleInfo {
        &INFO
    }

    fn check(&self, context: &Context<'_>, report: &mut dyn FnMut(Finding)) {
        for row in context.judged().filter(|row| row.verdict == Verdict::Unexplained) {
            let Some(expected) = &row.expected else { continue };
            let held = row.connect_timeout.map_or_else(|| "no value".to_owned(), format_duration);
            let should = expected.timeout.map_or_else(|| "no value".to_owned(), format_duration);
            let message = format!(
                "it holds {held}, and {} gives {should}: no object that could be read accounts for it",
                describe(&expected.origin)
            );
            let action = Action::Inspect(
                "look for an EnvoyFilter that patched more than it should, now or before it was removed; restarting \
                 one of the pods shows whether the control plane still sends this value"
                    .to_owned(),
            );
            report(Finding::of_row(&INFO, row, message, action));
        }
    }
}
