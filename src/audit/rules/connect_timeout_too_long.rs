//! MA003.

use super::super::{Context, Finding, Reach, Rule, RuleInfo, Severity};
use crate::model::format_duration;

/// A timeout that makes callers hang.
pub(super) struct ConnectTimeoutTooLong;

static INFO: RuleInfo = RuleInfo {
    code: "MA003",
    name: "connect-timeout-too-long",
    severity: Severity::Warning,
    observed: false,
    page: include_str!("../../../docs/rules/MA003.md"),
};

/// Istio's default retries on a failed connection, for HTTP (`pilot/pkg/networking/core/route/retry`, `defaultPolicy`).
const DEFAULT_RETRIES: u32 = 2;

impl Rule for ConnectTimeoutTooLong {
    fn info(&self) -> &'static RuleInfo {
        &INFO
    }

    fn compares_values(&self) -> bool {
        true
    }

    fn check(&self, context: &Context<'_>, report: &mut dyn FnMut(Finding)) {
        let longest = context.policy.max_connect_timeout;
        for row in context.judged().filter(|row| row.effective_timeout() > longest) {
            let timeout = row.effective_timeout();
            let message = format!(
                "{} is longer than {}: a caller of an unreachable host hangs that long, and with Istio's {} retries {}",
                format_duration(timeout),
                format_duration(longest),
                DEFAULT_RETRIES,
                format_duration(timeout.saturating_mul(DEFAULT_RETRIES + 1)),
            );
            let action = context.set_timeout(row, Reach::Source);
            report(Finding::of_row(&INFO, row, message, action));
        }
    }
}
