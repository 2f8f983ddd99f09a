//! Whether every proxy holds what it should, and why those that do not hold something else.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::attribute::{Attribution, Attributor, ProxyClass, Verdict, describe};
use crate::model::{
    ClusterKind, EnvoyCluster, MeshSnapshot, Origin, OriginKind, ProxyId, format_duration, syn_retransmissions,
};

/// What proxies are to hold.
#[derive(Debug, Clone)]
pub enum Expectation {
    /// What the mesh configuration and the other objects give each cluster.
    Objects,
    /// One value for every cluster that no object overrides.
    Value(Duration),
    /// What a saved plan leads to: for clusters by name, the value and the proxies.
    Plan(Vec<(Arc<str>, Option<Duration>, Vec<String>)>),
}

/// Why a proxy does not hold what it should.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// It rejected an update.
    Rejected(String),
    /// None of the control plane's instances knows it.
    NotConnected,
    /// It was sent an update which it has not accepted yet.
    NotAccepted,
    /// An object overrides the value.
    Override(Origin),
    /// The mesh configuration itself says something else.
    NotConfigured(Origin, Duration),
    /// It holds what its control plane gave it before.
    NotYetPushed,
    /// Nothing that could be read accounts for it.
    Unexplained(String),
}

impl Reason {
    /// The word for it in machine output.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Rejected(_) => "rejected",
            Self::NotConnected => "not-connected",
            Self::NotAccepted => "not-accepted",
            Self::Override(_) => "override",
            Self::NotConfigured(..) => "not-configured",
            Self::NotYetPushed => "not-yet-pushed",
            Self::Unexplained(_) => "unexplained",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(error) => write!(f, "it rejected the update: {error}"),
            Self::NotConnected => f.write_str("it is not connected to its control plane"),
            Self::NotAccepted => f.write_str("the update was sent, and not accepted yet"),
            Self::Override(origin) => write!(f, "{} overrides it", describe(origin)),
            Self::NotConfigured(origin, value) => write!(f, "{} says {}", describe(origin), format_duration(*value)),
            Self::NotYetPushed => f.write_str("not pushed yet, or it has lost its control plane"),
            Self::Unexplained(note) => write!(f, "no object accounts for it: {note}"),
        }
    }
}

/// A cluster that does not hold what it should.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mismatch {
    /// Its name.
    pub cluster: Arc<str>,
    /// What it holds; `None` where the field is absent.
    pub held: Option<Duration>,
    /// What it should hold.
    pub expected: Option<Duration>,
}

/// A proxy that does not hold what it should, for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Straggler {
    /// The proxy.
    pub proxy: ProxyId,
    /// Why.
    pub reason: Reason,
    /// The clusters, by name.
    pub mismatches: Vec<Mismatch>,
}

/// How many proxies hold what they should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// Proxies that were read.
    pub proxies: usize,
    /// Those that hold everything they should.
    pub good: usize,
    /// Those that do not, by name.
    pub stragglers: Vec<Straggler>,
    /// Proxies for which it can't be told what they should hold, since the mesh configuration could not be read.
    pub unknown: usize,
}

/// Compares what each proxy holds with what it should.
#[must_use]
pub fn verify(snapshot: &MeshSnapshot, expectation: &Expectation) -> Verification {
    let attributor = Attributor::new(snapshot);
    let planned = Planned::new(expectation);
    let mut unknown = 0;
    let mut found: BTreeMap<(usize, Reason), Vec<Mismatch>> = BTreeMap::new();
    for class in attributor.classes() {
        if matches!(expectation, Expectation::Objects) && attributor.mesh_value(class).is_none() {
            unknown += class.proxies.len();
            continue;
        }
        for row in class.clusters.iter() {
            let cluster = &snapshot.clusters[row as usize];
            if !matches!(cluster.kind(), ClusterKind::Service | ClusterKind::Passthrough | ClusterKind::BlackHole) {
                continue;
            }
            let attribution = attributor.attribute(class, row);
            // A plan names proxies; everything else, and what a plan leaves alone, holds for a class as a whole.
            let whole = expected(expectation, cluster, &attribution);
            if planned.is_none() && whole.is_none() {
                continue;
            }
            for proxy in class.proxies.iter() {
                let read = &snapshot.proxies[proxy as usize];
                if !read.clusters.contains(row) {
                    continue;
                }
                let named = planned.as_ref().and_then(|planned| planned.get(&cluster.name, &read.proxy.id));
                let Some(wanted) = named.or(whole).filter(|wanted| *wanted != cluster.connect_timeout) else {
                    continue;
                };
                let reason = reason(&attributor, class, &read.proxy.id, cluster, &attribution, wanted);
                let mismatch =
                    Mismatch { cluster: Arc::clone(&cluster.name), held: cluster.connect_timeout, expected: wanted };
                found.entry((proxy as usize, reason)).or_default().push(mismatch);
            }
        }
    }
    let stragglers: Vec<Straggler> = found
        .into_iter()
        .map(|((proxy, reason), mut mismatches)| {
            mismatches.sort();
            Straggler { proxy: snapshot.proxies[proxy].proxy.id.clone(), reason, mismatches }
        })
        .collect();
    let mut names: Vec<&ProxyId> = stragglers.iter().map(|straggler| &straggler.proxy).collect();
    names.dedup();
    let good = snapshot.proxies.len() - names.len() - unknown;
    Verification { proxies: snapshot.proxies.len(), good, stragglers, unknown }
}

/// A plan's values, to be looked up.
struct Planned<'a>(HashMap<(&'a str, &'a str), Option<Duration>>);

impl<'a> Planned<'a> {
    fn new(expectation: &'a Expectation) -> Option<Self> {
        let Expectation::Plan(changes) = expectation else { return None };
        let mut values = HashMap::new();
        for (cluster, value, proxies) in changes {
            for proxy in proxies {
                values.insert((&**cluster, proxy.as_str()), *value);
            }
        }
        Some(Self(values))
    }

    fn get(&self, cluster: &str, proxy: &ProxyId) -> Option<Option<Duration>> {
        self.0.get(&(cluster, proxy.to_string().as_str())).copied()
    }
}

/// What a cluster should hold, if anything can be asked of it.
fn expected(expectation: &Expectation, cluster: &EnvoyCluster, attribution: &Attribution) -> Option<Option<Duration>> {
    match expectation {
        Expectation::Objects | Expectation::Plan(_) => Some(attribution.expected.as_ref()?.timeout),
        Expectation::Value(value) => {
            // A longer override is somebody's choice, and so is any that leads to the proxy's own workload.
            let overridden = attribution.expected.as_ref().is_some_and(|expected| is_override(&expected.origin.kind));
            let inbound = cluster.name.starts_with("inbound|");
            let enough = syn_retransmissions(cluster.effective_timeout()) >= syn_retransmissions(*value);
            if overridden && (inbound || enough) { None } else { Some(Some(*value)) }
        }
    }
}

fn is_override(kind: &OriginKind) -> bool {
    kind.is_override() || matches!(kind, OriginKind::MeshDefaultTrafficPolicy { .. })
}

fn reason(
    attributor: &Attributor<'_>,
    class: &ProxyClass<'_>,
    proxy: &ProxyId,
    cluster: &EnvoyCluster,
    attribution: &Attribution,
    wanted: Option<Duration>,
) -> Reason {
    if let Some(error) = &cluster.error {
        return Reason::Rejected(error.to_string());
    }
    if let Some(given) = &attribution.expected
        && given.timeout != wanted
        && attribution.verdict == Verdict::Explained
    {
        return match (given.timeout, is_override(&given.origin.kind)) {
            (Some(value), false) => Reason::NotConfigured(given.origin.clone(), value),
            _ => Reason::Override(given.origin.clone()),
        };
    }
    let plane =
        attributor.objects(class).and_then(|objects| objects.control_plane(&class.representative.proxy.revision));
    if let Some(sync) = plane.and_then(|plane| plane.sync.as_ref()) {
        let name = format!("{}.{}", proxy.name, proxy.namespace);
        match sync.iter().find(|known| known.proxy == name) {
            None => return Reason::NotConnected,
            Some(known) if !known.acknowledged => return Reason::NotAccepted,
            Some(_) => {}
        }
    }
    match attribution.verdict {
        Verdict::Stale => Reason::NotYetPushed,
        _ if class.lags() => Reason::NotYetPushed,
        _ => Reason::Unexplained(attribution.origin.note.clone()),
    }
}
