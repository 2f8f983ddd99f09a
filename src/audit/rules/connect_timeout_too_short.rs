//! MA001.

use super::super::{Context, Finding, Reach, Rule, RuleInfo, Severity};
use crate::model::format_duration;

/// A timeout that allows no SYN retransmission.
pub(super) struct ConnectTimeoutTooShort;

static INFO: RuleInfo = RuleInfo {
    code: "MA001",
    name: "connect-timeout-too-short",
    severity: Severity::Error,
    observed: false,
    page: include_str!("../../../docs/rules/MA001.md"),
};

impl Rule for ConnectTimeoutTooShort {
    fn info(&self) -> &'static RuleInfo {
        &INFO
    }

    fn compares_values(&self) -> bool {
        true
    }

    fn check(&self, context: &Context<'_>, report: &mut dyn FnMut(Finding)) {
        for row in context.judged().filter(|row| row.effective_timeout() <= context.policy.too_short) {
            // Over loopback no SYN is lost; a sidecar that cannot reach its own workload has another problem.
            let severity = if row.is_inbound() { Severity::Info } else { INFO.severity };
            let value = format_duration(row.effective_timeout());
            let message = if row.syn_retransmissions() == 0 {
                format!(
                    "{value} is over before the first SYN retransmission (1 s): one lost packet fails the connection"
                )
            } else {
                format!("{value} is too short by the policy ({} and less)", format_duration(context.policy.too_short))
            };
            let action = context.set_timeout(row, Reach::Source);
            report(Finding::of_row(&INFO, row, message, action).with_severity(severity));
        }
    }
}
