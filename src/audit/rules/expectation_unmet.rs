//! MA015.

use std::sync::Arc;

use super::super::policy::Expectation;
use super::super::{Action, Context, Finding, Reach, Recommendation, Rule, RuleInfo, Severity};
use crate::model::format_duration;

/// A value that is not what the policy expects.
pub(super) struct ExpectationUnmet;

/// Its code: the only one that no mesh can have without a policy.
pub const CODE: &str = "MA015";

static INFO: RuleInfo = RuleInfo {
    code: CODE,
    name: "expectation-unmet",
    severity: Severity::Error,
    observed: false,
    page: include_str!("../../../docs/rules/MA015.md"),
};

impl Rule for ExpectationUnmet {
    fn info(&self) -> &'static RuleInfo {
        &INFO
    }

    fn check(&self, context: &Context<'_>, report: &mut dyn FnMut(Finding)) {
        for row in context.judged() {
            for (expectation, proxies) in context.applied.expected(row) {
                let held = row.effective_timeout();
                let short = expectation.min.filter(|min| held < *min);
                let long = expectation.max.filter(|max| held > *max);
                let Some(value) = short.or(long) else { continue };
                let why =
                    if expectation.reason.is_empty() { String::new() } else { format!(" ({})", expectation.reason) };
                let message =
                    format!("{} where the policy expects {}{why}", format_duration(held), wanted(expectation));
                let to =
                    Recommendation { value, basis: "what the policy expects".to_owned(), bounds: wanted(expectation) };
                let action = Action::SetTimeout {
                    at: row.origin.clone(),
                    reach: Reach::Host,
                    or_remove: None,
                    to: Arc::new(to),
                };
                report(Finding::of_row(&INFO, row, message, action).with_severity(expectation.severity).on(proxies));
            }
        }
    }
}

/// What is expected, in words.
fn wanted(expectation: &Expectation) -> String {
    match (expectation.min.map(format_duration), expectation.max.map(format_duration)) {
        (Some(min), Some(max)) if min == max => min,
        (Some(min), Some(max)) => format!("{min} to {max}"),
        (Some(min), None) => format!("at least {min}"),
        (None, Some(max)) => format!("at most {max}"),
        (None, None) => "any value".to_owned(),
    }
}
