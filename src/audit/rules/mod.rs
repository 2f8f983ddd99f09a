//! The rules, one file each. A new one is added here, with its page in docs/rules and a fixture.

mod connect_failures_observed;
mod connect_timeout_thin;
mod connect_timeout_too_long;
mod connect_timeout_too_short;
mod connect_timeout_unset;
mod debug_logging_left_on;
mod default_config_trap;
mod expectation_unmet;
mod override_dropped;
mod override_shadows_mesh;
mod proxies_disagree;
mod proxy_stale;
mod shared_mesh_config_shadowed;
mod timeout_exceeds_route;
mod unexplained_timeout;

pub use expectation_unmet::CODE as EXPECTATION_UNMET;

use super::{Context, Rule, RuleInfo};
use crate::model::ClusterSet;
use crate::model::objects::{ControlPlane, IstioObjects};

/// All rules, by code.
pub const ALL: &[&dyn Rule] = &[
    &connect_timeout_too_short::ConnectTimeoutTooShort,
    &connect_timeout_thin::ConnectTimeoutThin,
    &connect_timeout_too_long::ConnectTimeoutTooLong,
    &connect_timeout_unset::ConnectTimeoutUnset,
    &proxies_disagree::ProxiesDisagree,
    &proxy_stale::ProxyStale,
    &override_shadows_mesh::OverrideShadowsMesh,
    &override_dropped::OverrideDropped,
    &default_config_trap::DefaultConfigTrap,
    &shared_mesh_config_shadowed::SharedMeshConfigShadowed,
    &connect_failures_observed::ConnectFailuresObserved,
    &unexplained_timeout::UnexplainedTimeout,
    &debug_logging_left_on::DebugLoggingLeftOn,
    &timeout_exceeds_route::TimeoutExceedsRoute,
    &expectation_unmet::ExpectationUnmet,
];

/// The rule with a code or a name, in whatever case.
#[must_use]
pub fn find(wanted: &str) -> Option<&'static RuleInfo> {
    ALL.iter()
        .map(|rule| rule.info())
        .find(|info| info.code.eq_ignore_ascii_case(wanted) || info.name.eq_ignore_ascii_case(wanted))
}

/// The proxies that a control plane configures.
fn proxies_of(context: &Context<'_>, name: &str, objects: &IstioObjects, plane: &ControlPlane) -> ClusterSet {
    (0u32..)
        .zip(&context.snapshot.proxies)
        .filter(|(_, read)| read.proxy.id.context == name)
        .filter(|(_, read)| objects.control_plane(&read.proxy.revision).is_some_and(|found| std::ptr::eq(found, plane)))
        .map(|(position, _)| position)
        .collect()
}
