//! MA011.

use std::sync::Arc;

use super::super::{Action, Context, Counted, Finding, Reach, Row, Rule, RuleInfo, Severity, Trouble};
use crate::model::format_duration;

/// Envoy's own counters show connection attempts that fail.
pub(super) struct ConnectFailuresObserved;

static INFO: RuleInfo = RuleInfo {
    code: "MA011",
    name: "connect-failures-observed",
    severity: Severity::Warning,
    observed: true,
    page: include_str!("../../../docs/rules/MA011.md"),
};

/// So many SYN retransmissions are enough for most hosts; MA001 and MA002 find fault with fewer.
const ENOUGH: u32 = 2;

impl Rule for ConnectFailuresObserved {
    fn info(&self) -> &'static RuleInfo {
        &INFO
    }

    fn check(&self, context: &Context<'_>, report: &mut dyn FnMut(Finding)) {
        for row in context.judged() {
            let counted = context.recommender.counters().summary(&row.name, &row.proxies);
            let Some(counted) = counted.filter(|counted| counted.failures > 0) else { continue };
            let (severity, meaning, action) = judge(context, row, &counted);
            let message = format!("{}: {meaning}", say(&counted));
            report(Finding::of_row(&INFO, row, message, action).with_severity(severity).on(counted.failing));
        }
    }
}

/// What was counted, in words. Timeouts stand among the failures only where both were counted from the same moment.
fn say(counted: &Counted) -> String {
    let mut text = format!(
        "{} of {} connection attempts failed, on {} of {} endpoints",
        counted.failures, counted.attempts, counted.failing_endpoints, counted.endpoints,
    );
    if let Some(timeouts) = counted.timeouts {
        text.push_str(&format!(", {timeouts} of them by timeout"));
    } else if let Some(timeouts) = counted.timeouts_since_start {
        text.push_str(&format!(" since the cluster was last updated; {timeouts} timed out since the proxy started"));
    }
    text
}

fn judge<'a>(context: &Context<'a>, row: &'a Arc<Row>, counted: &Counted) -> (Severity, String, Action) {
    let value = format_duration(row.effective_timeout());
    match counted.trouble(row.effective_timeout()) {
        Trouble::Unreachable => (
            Severity::Warning,
            "none succeeded: unreachable, not slow".to_owned(),
            Action::Inspect(
                "see whether the endpoint listens and the network lets it through; a longer timeout would only make \
                 callers wait longer"
                    .to_owned(),
            ),
        ),
        Trouble::Slow => {
            // Where the mesh's own value is too short for all, it is that which is to be changed.
            let reach = if row.syn_retransmissions() < ENOUGH { Reach::Source } else { Reach::Host };
            let to = context.recommender.for_row(row, reach);
            let action = if to.value > row.effective_timeout() {
                Action::SetTimeout { at: row.origin.clone(), reach, or_remove: None, to }
            } else {
                Action::Inspect(format!("no longer timeout is left ({}); see why connecting takes so long", to.bounds))
            };
            (Severity::Error, format!("the others succeeded: slow at times, and {value} is too little"), action)
        }
        Trouble::NotTimeouts => {
            (Severity::Warning, "not by timeout: refused, reset or failed TLS".to_owned(), Action::Diagnose)
        }
        Trouble::Unclear => (
            Severity::Warning,
            "whether by timeout, these proxies do not count".to_owned(),
            Action::Inspect(
                "to tell, let the proxy keep its counters: annotation proxy.istio.io/config with \
                 proxyStatsMatcher.inclusionRegexps [\".*upstream_cx_connect.*\"], and restart the pod"
                    .to_owned(),
            ),
        ),
    }
}
