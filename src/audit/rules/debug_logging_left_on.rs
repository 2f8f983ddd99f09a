//! MA013.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::super::{Action, Context, Finding, Rule, RuleInfo, Severity, Subject};
use crate::model::{ClusterSet, LeaseTimes};

/// A proxy with loggers at debug or trace.
pub(super) struct DebugLoggingLeftOn;

static INFO: RuleInfo = RuleInfo {
    code: "MA013",
    name: "debug-logging-left-on",
    severity: Severity::Warning,
    observed: false,
    page: include_str!("../../../docs/rules/MA013.md"),
};

/// How many loggers a message names.
const NAMED: usize = 7;

/// What is known of who set them.
fn set_by(lease: Option<LeaseTimes>) -> String {
    let shown = |time: Timestamp| time.strftime("%Y-%m-%d %H:%M UTC").to_string();
    match lease {
        None => String::new(),
        Some(LeaseTimes { taken_at, until: None }) => format!("; set by debug-log at {}", shown(taken_at)),
        Some(LeaseTimes { taken_at, until: Some(until) }) => {
            format!("; set by debug-log at {}, to end at {}", shown(taken_at), shown(until))
        }
    }
}

impl Rule for DebugLoggingLeftOn {
    fn info(&self) -> &'static RuleInfo {
        &INFO
    }

    fn check(&self, context: &Context<'_>, report: &mut dyn FnMut(Finding)) {
        let mut groups: BTreeMap<String, ClusterSet> = BTreeMap::new();
        for (proxy, read) in (0u32..).zip(&context.snapshot.proxies) {
            let Some(levels) = &read.loggers else { continue };
            let verbose: Vec<String> = levels.verbose().map(|(name, level)| format!("{name}:{level}")).collect();
            if verbose.is_empty() {
                continue;
            }
            let mut list = verbose[..verbose.len().min(NAMED)].join(", ");
            if verbose.len() > NAMED {
                list = format!("{list} and {} more", verbose.len() - NAMED);
            }
            groups.entry(format!("{list}{}", set_by(read.proxy.debug_lease))).or_default().insert(proxy);
        }
        for (list, proxies) in groups {
            report(Finding {
                rule: &INFO,
                severity: INFO.severity,
                subject: Subject::Proxies { proxies: Arc::new(proxies), held: None },
                message: format!("loggers are at debug or trace: {list}"),
                action: Action::RestoreLogLevels,
            });
        }
    }
}
