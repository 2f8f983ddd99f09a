//! MA004.

use super::super::{Action, Context, Finding, Reach, Row, Rule, RuleInfo, Severity};
use crate::model::istio::Version;
use crate::model::{Direction, OriginKind};

/// A service's cluster without the field.
pub(super) struct ConnectTimeoutUnset;

static INFO: RuleInfo = RuleInfo {
    code: "MA004",
    name: "connect-timeout-unset",
    severity: Severity::Warning,
    observed: false,
    page: include_str!("../../../docs/rules/MA004.md"),
};

impl Rule for ConnectTimeoutUnset {
    fn info(&self) -> &'static RuleInfo {
        &INFO
    }

    fn check(&self, context: &Context<'_>, report: &mut dyn FnMut(Finding)) {
        for row in context.judged().filter(|row| row.connect_timeout.is_none() && !is_left_to_envoy(context, row)) {
            let message = "connect_timeout is absent: Envoy's own 5 s hold, whatever the mesh is set to".to_owned();
            // A cluster that an EnvoyFilter adds without a timeout can be given one there.
            let action = if matches!(row.origin.kind, OriginKind::EnvoyFilter { .. }) {
                context.set_timeout(row, Reach::Source)
            } else {
                let what = "Istio always sets the field: look for an EnvoyFilter that builds or replaces this cluster";
                Action::Inspect(what.to_owned())
            };
            report(Finding::of_row(&INFO, row, message, action));
        }
    }
}

/// Waypoints of Istio up to 1.22 get no timeout for services: their clusters lead to a listener of the proxy itself
/// (`pilot/pkg/networking/core/cluster_waypoint.go`).
fn is_left_to_envoy(context: &Context<'_>, row: &Row) -> bool {
    row.parts().is_some_and(|parts| parts.direction == Direction::InboundVip)
        && row.proxies.iter().all(|proxy| {
            let version = &context.snapshot.proxies[proxy as usize].proxy.istio_version;
            Version::parse(version).is_none_or(|version| version < Version::new(1, 23, 0))
        })
}
