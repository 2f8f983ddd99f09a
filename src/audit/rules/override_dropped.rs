//! MA008.

use std::sync::Arc;

use super::super::{Context, Finding, Rule, RuleInfo, Severity};
use crate::attribute::describe;
use crate::model::format_duration;

/// A timeout that is set and lost, because a narrower block replaces the one it stands in.
pub(super) struct OverrideDropped;

static INFO: RuleInfo = RuleInfo {
    code: "MA008",
    name: "override-dropped",
    severity: Severity::Warning,
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
                let by = &dropped.by.kind;
                let object = by.object().map(ToString::to_string).unwrap_or_default();
                let remedy = format!("repeat connectionPool.tcp.connectTimeout: {value} in {} of {object}", by.part());
                let mut finding = Finding::of_row(&INFO, INFO.severity, row, message, remedy);
                finding.proxies = Arc::new(proxies.clone());
                report(finding);
            }
        }
    }
}
