//! MA002.

use super::super::{Context, Finding, Reach, Rule, RuleInfo, Severity};
use crate::model::format_duration;

/// A timeout that allows only one SYN retransmission.
pub(super) struct ConnectTimeoutThin;

static INFO: RuleInfo = RuleInfo {
    code: "MA002",
    name: "connect-timeout-thin",
    severity: Severity::Warning,
    observed: false,
    page: include_str!("../../../docs/rules/MA002.md"),
};

impl Rule for ConnectTimeoutThin {
    fn info(&self) -> &'static RuleInfo {
        &INFO
    }

    fn compares_values(&self) -> bool {
        true
    }

    fn check(&self, context: &Context<'_>, report: &mut dyn FnMut(Finding)) {
        let (short, thin) = (context.policy.too_short, context.policy.thin);
        for row in context.judged().filter(|row| (row.effective_timeout() > short) && (row.effective_timeout() <= thin))
        {
            let severity = if row.is_inbound() { Severity::Info } else { INFO.severity };
            let value = format_duration(row.effective_timeout());
            let message = match row.syn_retransmissions() {
                0 => format!("{value} allows no SYN retransmission, and is thin by the policy"),
                1 => format!("{value} allows one SYN retransmission: two lost packets in a row fail the connection"),
                _ => format!("{value} is thin by the policy ({} and less)", format_duration(context.policy.thin)),
            };
            let action = context.set_timeout(row, Reach::Source);
            report(Finding::of_row(&INFO, row, message, action).with_severity(severity));
        }
    }
}
