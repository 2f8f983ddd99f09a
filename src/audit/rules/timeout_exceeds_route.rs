//! MA014.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::{Action, Context, Finding, Row, Rule, RuleInfo, Severity};
use crate::attribute::full_host;
use crate::model::istio::{HttpRoute, IstioObjects, RouteDestination, VirtualService};
use crate::model::{ClusterSet, Direction, format_duration};

/// A connect timeout that outlasts the route, so that no retry can follow it.
pub(super) struct TimeoutExceedsRoute;

static INFO: RuleInfo = RuleInfo {
    code: "MA014",
    name: "timeout-exceeds-route",
    severity: Severity::Warning,
    observed: false,
    page: include_str!("../../../docs/rules/MA014.md"),
};

impl Rule for TimeoutExceedsRoute {
    fn info(&self) -> &'static RuleInfo {
        &INFO
    }

    fn check(&self, context: &Context<'_>, report: &mut dyn FnMut(Finding)) {
        let mut by_host: BTreeMap<&str, Vec<&Arc<Row>>> = BTreeMap::new();
        for row in context.judged() {
            if let Some(parts) = row.parts().filter(|parts| parts.direction == Direction::Outbound) {
                by_host.entry(parts.host).or_default().push(row);
            }
        }
        for (name, objects) in &context.snapshot.objects {
            for service in &objects.virtual_services {
                let sees = |namespace: &str| {
                    let own = service.meta.namespace == namespace;
                    let export_to = &service.export_to;
                    export_to.is_empty()
                        || export_to.iter().any(|to| to == "*" || to == namespace || (to == "." && own))
                };
                for (route, namespace, destinations) in routes(objects, service) {
                    let Some((limit, what)) = limit(&route) else { continue };
                    for destination in destinations {
                        let host = full_host(&destination.host, namespace, objects.domain());
                        let rows = by_host.get(host.as_str()).into_iter().flatten();
                        for row in rows.filter(|row| leads_to(row, destination) && row.effective_timeout() >= limit) {
                            let proxies: ClusterSet = row
                                .proxies
                                .iter()
                                .filter(|&proxy| context.proxy(proxy).context == *name)
                                .filter(|&proxy| sees(&context.proxy(proxy).namespace))
                                .filter(|&proxy| service.is_for(context.snapshot.proxies[proxy as usize].proxy.role))
                                .collect();
                            if proxies.is_empty() {
                                continue;
                            }
                            let value = format_duration(row.effective_timeout());
                            let message = format!(
                                "{value} is no shorter than the {what} of {} in VirtualService {} ({}): a connection \
                                 that is not established uses it up, and no retry follows",
                                route.name,
                                service.meta,
                                format_duration(limit)
                            );
                            report(Finding::of_row(&INFO, row, message, Action::FitRoute { limit }).on(proxies));
                        }
                    }
                }
            }
        }
    }
}

/// The routes of a VirtualService, with the namespace that their destinations' short names are of. Where one delegates,
/// those of the delegate take its place, with its own limits where they have none (`pilot/pkg/model/virtualservice.go`,
/// `mergeHTTPRoute`). What nothing delegates to, and has no host, is no route at all.
fn routes<'o>(
    objects: &'o IstioObjects,
    service: &'o VirtualService,
) -> Vec<(HttpRoute, &'o str, &'o [RouteDestination])> {
    let mut found = Vec::new();
    for route in service.http.iter().filter(|_| !service.hosts.is_empty()) {
        let own = service.meta.namespace.as_str();
        let Some((namespace, name)) = &route.delegate else {
            found.push((route.clone(), own, route.destinations.as_slice()));
            continue;
        };
        let namespace = if namespace.is_empty() { own } else { namespace };
        let delegate =
            objects.virtual_services.iter().find(|other| other.meta.namespace == namespace && other.meta.name == *name);
        for inner in delegate.into_iter().flat_map(|delegate| &delegate.http) {
            let limited = inner.per_try_timeout.is_some() || inner.attempts.is_some();
            let merged = HttpRoute {
                name: inner.name.clone(),
                timeout: inner.timeout.or(route.timeout),
                per_try_timeout: if limited { inner.per_try_timeout } else { route.per_try_timeout },
                attempts: if limited { inner.attempts } else { route.attempts },
                ..HttpRoute::default()
            };
            found.push((merged, namespace, inner.destinations.as_slice()));
        }
    }
    found
}

/// The shorter of a route's limits, and its name.
fn limit(route: &HttpRoute) -> Option<(Duration, &'static str)> {
    let whole = route.timeout.map(|timeout| (timeout, "timeout"));
    let each = route.per_try_timeout.map(|timeout| (timeout, "perTryTimeout"));
    whole.into_iter().chain(each).min_by_key(|(timeout, _)| *timeout)
}

fn leads_to(row: &Row, destination: &RouteDestination) -> bool {
    row.parts().is_some_and(|parts| {
        parts.subset == destination.subset && (destination.port == 0 || parts.port == destination.port)
    })
}
