//! VirtualServices, as far as they limit requests (`networking/v1alpha3/virtual_service.proto`).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ObjectMeta;
use crate::model::ProxyRole;
use crate::model::duration::optional_duration;

/// Where a VirtualService's route leads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteDestination {
    /// The service's host, short or full.
    pub host: String,
    /// The service's port; 0 where the route does not say.
    #[serde(default)]
    pub port: u16,
    /// The subset; empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subset: String,
}

/// An HTTP route of a VirtualService.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpRoute {
    /// Its name, or its position.
    pub name: String,
    /// `timeout`; zero or `None`: none.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_duration")]
    #[schemars(with = "Option<String>")]
    pub timeout: Option<Duration>,
    /// `retries.perTryTimeout`.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_duration")]
    #[schemars(with = "Option<String>")]
    pub per_try_timeout: Option<Duration>,
    /// `retries.attempts`; `None` where there is no `retries`, and Istio then retries twice
    /// (`route/retry/retry.go`, `DefaultPolicy`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// Where it leads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub destinations: Vec<RouteDestination>,
    /// The VirtualService whose routes take its place, as namespace and name; the namespace may be empty, for its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegate: Option<(String, String)>,
}

/// A VirtualService.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VirtualService {
    /// Name, namespace, age.
    pub meta: ObjectMeta,
    /// Its hosts; none for one that others delegate to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Its gateways, and `mesh` for sidecars and waypoints; none for those alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gateways: Vec<String>,
    /// Namespaces that see it; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub export_to: Vec<String>,
    /// Its HTTP routes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub http: Vec<HttpRoute>,
}

impl VirtualService {
    /// Whether proxies of a role may have its routes: those of a gateway only where it names one, which is not looked at,
    /// and others only where it names none or `mesh` (`networking/v1alpha3/virtual_service.proto`, `gateways`).
    #[must_use]
    pub fn is_for(&self, role: ProxyRole) -> bool {
        let mesh = |gateway: &String| gateway == "mesh";
        match role {
            ProxyRole::Gateway => !self.gateways.iter().all(mesh),
            ProxyRole::Sidecar | ProxyRole::Waypoint => self.gateways.is_empty() || self.gateways.iter().any(mesh),
        }
    }
}
