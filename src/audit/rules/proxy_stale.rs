//! MA006.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::super::delivery::{Deliveries, Trouble, plane_troubles, sentence};
use super::super::{Action, Context, Finding, Rule, RuleInfo, Severity, Subject};
use super::proxies_of;
use crate::attribute::describe;
use crate::model::delivery::{Delivery, Progress};
use crate::model::istio::PatchOperation;
use crate::model::{ClusterKind, ClusterSet, ClusterSource, EnvoyCluster, format_duration};

/// A proxy that lags behind, or holds a cluster that did not come through.
pub(super) struct ProxyStale;

static INFO: RuleInfo = RuleInfo {
    code: "MA006",
    name: "proxy-stale",
    severity: Severity::Warning,
    observed: false,
    page: include_str!("../../../docs/rules/MA006.md"),
};

impl Rule for ProxyStale {
    fn info(&self) -> &'static RuleInfo {
        &INFO
    }

    fn check(&self, context: &Context<'_>, report: &mut dyn FnMut(Finding)) {
        warming_clusters(context, report);
        configurations_not_in_force(context, report);
        deliveries(context, report);
        lagging_proxies(context, report);
    }
}

/// Clusters which still wait for their endpoints.
fn warming_clusters(context: &Context<'_>, report: &mut dyn FnMut(Finding)) {
    for (position, cluster) in (0u32..).zip(&context.snapshot.clusters) {
        if cluster.source != ClusterSource::Warming || cluster.error.is_some() {
            continue;
        }
        let message =
            "it is warming: an update has come, but its endpoints have not, so the older cluster is in use".to_owned();
        let action = Action::Deliver("see whether the proxy gets its endpoints (`istioctl proxy-status`)".to_owned());
        let proxies = holders(context, position);
        if !proxies.is_empty() {
            let (cluster, timeout) = (Arc::clone(&cluster.name), cluster.connect_timeout);
            let subject = Subject::Cluster { cluster, timeout, proxies: Arc::new(proxies) };
            report(Finding { rule: &INFO, severity: INFO.severity, subject, message, action });
        }
    }
}

fn holders(context: &Context<'_>, position: u32) -> ClusterSet {
    let proxies = (0u32..).zip(&context.snapshot.proxies);
    proxies.filter(|(_, read)| read.clusters.contains(position)).map(|(proxy, _)| proxy).collect()
}

/// Mesh configurations that are written and that istiod does not use.
fn configurations_not_in_force(context: &Context<'_>, report: &mut dyn FnMut(Finding)) {
    for trouble in plane_troubles(context.snapshot) {
        if !matches!(trouble.kind, Trouble::NotInForce(_)) {
            continue;
        }
        let Some(objects) = context.snapshot.objects.get(&trouble.context) else { continue };
        let Some(plane) = objects.control_planes.iter().find(|plane| plane.revision == trouble.revision) else {
            continue;
        };
        let proxies = proxies_of(context, &trouble.context, objects, plane);
        report(of_proxies(INFO.severity, proxies, None, trouble.to_string(), trouble.kind.remedy().to_owned()));
    }
}

/// Proxies to which their clusters did not come, or not all of them, and those whose mesh value is another than that of
/// their control plane's configuration, each with the reason as far as it is known.
fn deliveries(context: &Context<'_>, report: &mut dyn FnMut(Finding)) {
    let deliveries = Deliveries::of(context.snapshot, context.attributor);
    let mut groups: BTreeMap<(Option<Lag>, &Delivery), ClusterSet> = BTreeMap::new();
    for (proxy, _) in (0u32..).zip(&context.snapshot.proxies) {
        let delivery = deliveries.get(proxy as usize);
        let lag = Lag::of(context, proxy);
        if lag.is_some() || is_trouble(context, delivery) {
            groups.entry((lag, delivery)).or_default().insert(proxy);
        }
    }
    // Deliveries that read alike are one: what sets them apart, when they were sent for example, is not said.
    let mut said: BTreeMap<(String, String), (Severity, Option<Duration>, ClusterSet)> = BTreeMap::new();
    for ((lag, delivery), proxies) in groups {
        let known = is_trouble(context, delivery).then(|| sentence(delivery));
        let message = match (&lag, known) {
            (Some(lag), Some(sentence)) => format!("{lag}: {sentence}"),
            (Some(lag), None) => lag.to_string(),
            (None, sentence) => sentence.unwrap_or_default(),
        };
        let severity = if is_failure(delivery) { Severity::Error } else { INFO.severity };
        let culprits = culprits(context, &proxies, delivery);
        let entry = said.entry((message, remedy(delivery, culprits.as_deref()))).or_insert((
            severity,
            lag.map(|lag| lag.held),
            ClusterSet::default(),
        ));
        entry.2.extend(&proxies);
    }
    for ((message, remedy), (severity, held, proxies)) in said {
        report(of_proxies(severity, proxies, held, message, remedy));
    }
}

/// A proxy's mesh value that is not its control plane's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Lag {
    held: Duration,
    given: Duration,
    source: String,
}

impl Lag {
    fn of(context: &Context<'_>, proxy: u32) -> Option<Self> {
        let class = context.attributor.class_of(proxy as usize);
        let mesh = context.attributor.mesh_value(class).filter(|_| class.lags())?;
        Some(Self { held: class.told()?, given: mesh.connect_timeout, source: describe(&mesh.origin) })
    }
}

impl fmt::Display for Lag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (held, given) = (format_duration(self.held), format_duration(self.given));
        write!(f, "it holds {held} for the mesh's value, and {} says {given}", self.source)
    }
}

/// A push that is under way is answered within this.
const UNDER_WAY: Duration = Duration::from_secs(10);

/// Whether there is something to say of how a proxy's clusters came.
fn is_trouble(context: &Context<'_>, delivery: &Delivery) -> bool {
    if !delivery.holds_any || delivery.lacks_some() {
        return true;
    }
    match &delivery.progress {
        Progress::Rejected(_) | Progress::Disconnected => true,
        Progress::Pending(Some(sent)) => {
            context.snapshot.taken_at.duration_since(*sent)
                > jiff::SignedDuration::try_from(UNDER_WAY).unwrap_or_default()
        }
        // A connection that has just been made, or a push that has just been sent.
        Progress::Pending(None) | Progress::NotSent | Progress::Acknowledged | Progress::Unknown => false,
    }
}

/// Whether calls fail for it, or will not get the next change for certain.
fn is_failure(delivery: &Delivery) -> bool {
    !delivery.holds_any || delivery.lacks_some() || matches!(delivery.progress, Progress::Rejected(_))
}

/// How many objects are named as what a refusal may come from.
const CULPRITS: usize = 3;

/// How many proxies are asked for what they have in common.
const NAMED_BY: usize = 20;

/// What makes the clusters that some proxies refused, as far as the objects that were read tell: the EnvoyFilters that
/// patch them for all of these proxies, else their host's DestinationRule. Two clusters of one name are no patch's doing
/// but one's that adds clusters: a DestinationRule that has a subset twice makes them.
fn culprits(context: &Context<'_>, proxies: &ClusterSet, delivery: &Delivery) -> Option<String> {
    let Progress::Rejected(Some(rejection)) = &delivery.progress else { return None };
    let twice = rejection.reason.contains("duplicate cluster");
    let named = |cluster: &&EnvoyCluster| rejection.clusters.contains(&cluster.name);
    let refused = || context.snapshot.clusters.iter().filter(named);
    let filters_for = |proxy: u32| -> BTreeSet<String> {
        let class = context.attributor.class_of(proxy as usize);
        let patches = refused().flat_map(|cluster| context.attributor.patches_of(class, cluster));
        patches
            .filter(|(_, patch)| !twice || patch.operation == PatchOperation::Add)
            .map(|(filter, patch)| format!("EnvoyFilter {} (configPatches[{}])", filter.meta, patch.index))
            .collect()
    };
    // Proxies of one finding are alike; a few tell what is not for all of them.
    let mut found = proxies.iter().take(NAMED_BY).map(filters_for).reduce(|all, more| &all & &more)?;
    if found.is_empty() {
        let hints = refused().filter_map(|cluster| cluster.destination_rule_hint.as_ref());
        found.extend(hints.map(|rule| format!("DestinationRule {rule}")));
    }
    let names: Vec<String> = found.into_iter().take(CULPRITS).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// What to do. Where a proxy holds clusters that it would not be given again, nothing that starts it anew.
fn remedy(delivery: &Delivery, culprits: Option<&str>) -> String {
    let mend = || match culprits {
        Some(objects) => format!("mend {objects}, which is what makes the clusters that are named"),
        None => "mend what makes the clusters that are named: an EnvoyFilter that patches them, or their host's \
                 DestinationRule"
            .to_owned(),
    };
    let what = match (&delivery.progress, delivery.holds_any) {
        (Progress::Rejected(_), true) => {
            return format!(
                "{}; the proxy then takes them within seconds. Starting it anew makes it worse: it would come up without them",
                mend()
            );
        }
        (Progress::Rejected(_), false) => {
            return format!("{}; the proxy then takes its clusters within seconds, and no restart is needed", mend());
        }
        (Progress::Disconnected, _) => {
            "see whether istiod is up and whether the proxy reaches it (port 15012; `kubectl logs POD -c istio-proxy` says why \
             not). It connects by itself; started anew before, it comes up without clusters"
        }
        (_, false) => "see what its log says of its control plane (`kubectl logs POD -c istio-proxy`)",
        (Progress::Pending(_), true) => {
            "see whether the proxy answers at all: one that is overloaded takes no updates (`kubectl top pod`)"
        }
        (Progress::NotSent | Progress::Acknowledged | Progress::Unknown, true) => {
            "`verify` tells whether the change is only under way; else see whether the proxy is connected \
             to its control plane (`istioctl proxy-status`)"
        }
    };
    what.to_owned()
}

/// Proxies whose mesh value is another than that of most proxies of their control plane, where its configuration
/// could not be read.
fn lagging_proxies(context: &Context<'_>, report: &mut dyn FnMut(Finding)) {
    let mut planes: BTreeMap<(&str, &str), BTreeMap<Duration, ClusterSet>> = BTreeMap::new();
    for (position, cluster) in (0u32..).zip(&context.snapshot.clusters) {
        if cluster.kind() == ClusterKind::BlackHole && cluster.source == ClusterSource::Active {
            let unread = holders(context, position);
            let unread = unread
                .iter()
                .filter(|&proxy| context.attributor.mesh_value(context.attributor.class_of(proxy as usize)).is_none());
            for proxy in unread {
                let values = planes.entry(context.control_plane(proxy)).or_default();
                values.entry(cluster.effective_timeout()).or_default().insert(proxy);
            }
        }
    }
    for values in planes.into_values() {
        let total: usize = values.values().map(ClusterSet::len).sum();
        let Some((mesh, most)) = values.iter().max_by_key(|(_, proxies)| proxies.len()) else { continue };
        if most.len() * 2 <= total {
            continue;
        }
        for (value, proxies) in values.iter().filter(|(value, _)| *value != mesh) {
            let message = format!(
                "it holds {} for the mesh's value, and {} of {total} proxies of its control plane hold {}",
                format_duration(*value),
                most.len(),
                format_duration(*mesh),
            );
            let remedy = "see whether it is connected to its control plane (`istioctl proxy-status`)".to_owned();
            report(of_proxies(INFO.severity, proxies.clone(), Some(*value), message, remedy));
        }
    }
}

fn of_proxies(
    severity: Severity,
    proxies: ClusterSet,
    held: Option<Duration>,
    message: String,
    remedy: String,
) -> Finding {
    let subject = Subject::Proxies { proxies: Arc::new(proxies), held };
    Finding { rule: &INFO, severity, subject, message, action: Action::Deliver(remedy) }
}
