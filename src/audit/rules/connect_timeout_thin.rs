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

    fn check(&self, context: &Context<'_>, report: &mut dyn FnMut(Finding)) {
        for row in context.judged().filter(|row| row.syn_retransmissions() == 1) {
            let severity = if row.is_inbound() { Severity::Info } else { INFO.severity };
            let message = format!(
                "{} allows one SYN retransmission: two lost packets in a row fail the connection",
                format_duration(row.effective_timeout())
            );
            let action = context.set_timeout(row, Reach::Source);
            report(Finding::of_row(&INFO, row, message, action).with_severity(severity));
        }
    }
}
