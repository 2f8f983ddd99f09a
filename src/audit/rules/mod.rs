//! The rules, one file each. A new one is added here, with its page in docs/rules and a fixture.

mod connect_timeout_thin;
mod connect_timeout_too_long;
mod connect_timeout_too_short;
mod connect_timeout_unset;
mod debug_logging_left_on;
mod proxies_disagree;
mod proxy_stale;

use super::{Row, Rule, RuleInfo};
use crate::model::OriginKind;

/// All rules, by code.
pub const ALL: &[&dyn Rule] = &[
    &connect_timeout_too_short::ConnectTimeoutTooShort,
    &connect_timeout_thin::ConnectTimeoutThin,
    &connect_timeout_too_long::ConnectTimeoutTooLong,
    &connect_timeout_unset::ConnectTimeoutUnset,
    &proxies_disagree::ProxiesDisagree,
    &proxy_stale::ProxyStale,
    &debug_logging_left_on::DebugLoggingLeftOn,
];

/// The rule with a code or a name, in whatever case.
#[must_use]
pub fn find(wanted: &str) -> Option<&'static RuleInfo> {
    ALL.iter()
        .map(|rule| rule.info())
        .find(|info| info.code.eq_ignore_ascii_case(wanted) || info.name.eq_ignore_ascii_case(wanted))
}

/// What to change to give a row another value, by where its value came from.
fn remedy(row: &Row, value: &str) -> String {
    let origin = &row.origin;
    let object = format!("{}/{}", origin.namespace, origin.name);
    match origin.kind {
        OriginKind::MeshConfig | OriginKind::MeshDefault => {
            format!("set meshConfig.connectTimeout to {value}; `kubectl meshaudit fix` says how for this installation")
        }
        OriginKind::MeshDefaultTrafficPolicy => {
            format!("set meshConfig.defaultTrafficPolicy.connectionPool.tcp.connectTimeout to {value}")
        }
        OriginKind::DestinationRule => {
            format!("set connectionPool.tcp.connectTimeout to {value} in DestinationRule {object}, or remove it there")
        }
        OriginKind::Sidecar => {
            format!("set the inbound connection pool's connectTimeout to {value} in Sidecar {object}")
        }
        OriginKind::EnvoyFilter => format!("set connect_timeout to {value} in the EnvoyFilter that patches it"),
        OriginKind::Stale => "restart the proxy, or find out why its control plane no longer reaches it".to_owned(),
        OriginKind::EnvoyDefault | OriginKind::Bootstrap | OriginKind::Unknown => format!(
            "find what sets it (DestinationRule, Sidecar, EnvoyFilter or mesh configuration), and give it {value}"
        ),
    }
}
