//! MA011.

use std::sync::Arc;

use super::super::{Context, Counters, Finding, Rule, RuleInfo, Severity, Trouble};
use crate::model::format_duration;

/// Envoy's own counters show connection attempts that fail.
pub(super) struct ConnectFailuresObserved;

static INFO: RuleInfo = RuleInfo {
    code: "MA011",
    name: "connect-failures-observed",
    severity: Severity::Warning,
    page: include_str!("../../../docs/rules/MA011.md"),
};

impl Rule for ConnectFailuresObserved {
    fn info(&self) -> &'static RuleInfo {
        &INFO
    }

    fn check(&self, context: &Context<'_>, report: &mut dyn FnMut(Finding)) {
        let counters = Counters::new(context.snapshot);
        for row in context.judged() {
            let summary = counters.summary(&row.name, &row.proxies).filter(|summary| summary.failures > 0);
            let Some(summary) = summary else { continue };
            let count = format!(
                "{} of {} connection attempts failed, on {} of {} endpoints",
                summary.failures, summary.attempts, summary.failing_endpoints, summary.endpoints,
            );
            let timeouts = match summary.timeouts {
                Some(timeouts) => format!(", {timeouts} of them by timeout"),
                None => String::new(),
            };
            let value = format_duration(row.effective_timeout());
            let (severity, meaning, remedy) = match summary.trouble(row.effective_timeout()) {
                Trouble::Unreachable => (
                    Severity::Warning,
                    "none succeeded: unreachable, not slow".to_owned(),
                    "see whether the endpoint listens and the network lets it through; a longer timeout would \
                         only make callers wait longer"
                        .to_owned(),
                ),
                Trouble::Slow => (
                    Severity::Error,
                    format!("the others succeeded: slow at times, and {value} is too little"),
                    "a longer connect timeout would help; `kubectl meshaudit fix` recommends one".to_owned(),
                ),
                Trouble::NotTimeouts => (
                    Severity::Warning,
                    "not by timeout: refused, reset or failed TLS".to_owned(),
                    "a longer timeout would not help; `kubectl meshaudit diagnose` reads the cause from the \
                         proxy's log"
                        .to_owned(),
                ),
                Trouble::Unclear => (
                    Severity::Warning,
                    "whether by timeout, these proxies do not count".to_owned(),
                    "to tell, let the proxy keep its counters: annotation proxy.istio.io/config with \
                         proxyStatsMatcher.inclusionRegexps [\".*upstream_cx_connect.*\"], and restart the pod"
                        .to_owned(),
                ),
            };
            let message = format!("{count}{timeouts}: {meaning}");
            let mut finding = Finding::of_row(&INFO, severity, row, message, remedy);
            finding.proxies = Arc::new(summary.failing);
            report(finding);
        }
    }
}
