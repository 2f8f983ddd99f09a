//! MA004.

use super::super::{Context, Finding, Rule, RuleInfo, Severity};

/// A service's cluster without the field.
pub(super) struct ConnectTimeoutUnset;

static INFO: RuleInfo = RuleInfo {
    code: "MA004",
    name: "connect-timeout-unset",
    severity: Severity::Warning,
    page: include_str!("../../../docs/rules/MA004.md"),
};

impl Rule for ConnectTimeoutUnset {
    fn info(&self) -> &'static RuleInfo {
        &INFO
    }

    fn check(&self, context: &Context<'_>, report: &mut dyn FnMut(Finding)) {
        for row in context.judged().filter(|row| row.connect_timeout.is_none()) {
            let message = "connect_timeout is absent: Envoy's own 5 s hold, whatever the mesh is set to".to_owned();
            let remedy = "Istio always sets the field: look for an EnvoyFilter that builds or replaces this cluster";
            report(Finding::of_row(&INFO, INFO.severity, row, message, remedy.to_owned()));
        }
    }
}
