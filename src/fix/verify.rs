//! Whether every proxy holds what it should, and why those that do not hold something else.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use strum::{IntoStaticStr, VariantNames};

use crate::attribute::{Attribution, Attributor, ProxyClass, Verdict, describe};
use crate::audit::delivery::{Deliveries, NotInForce, PlaneTrouble, not_in_force, plane_troubles, sentence};
use crate::model::delivery::{Delivery, Progress};
use crate::model::objects::{ControlPlane, MeshConfigKind};
use crate::model::{
    ClusterKind, EnvoyCluster, LEAST_CONNECT_TIMEOUT, MeshSnapshot, Origin, OriginKind, ProxyId, format_duration,
    syn_retransmissions,
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
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Reason {
    /// It has no cluster from its control plane; why, in a sentence.
    NoClusters(String),
    /// It lacks clusters that it should have.
    MissingClusters(String),
    /// It rejected an update.
    Rejected(String),
    /// It is connected to no control plane.
    NotConnected(String),
    /// It was sent an update which it has not accepted yet.
    NotAccepted,
    /// What is written as the mesh configuration is not what istiod uses.
    NotInForce(String),
    /// An object overrides the value.
    Override(OriginKind),
    /// The mesh configuration itself says something else.
    NotConfigured(OriginKind, Duration),
    /// It holds what its control plane gave it before.
    NotYetPushed,
    /// Nothing that could be read accounts for it.
    Unexplained(String),
}

impl Reason {
    /// The word for it in machine output.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        self.into()
    }

    /// The words of all of them.
    #[must_use]
    pub fn words() -> &'static [&'static str] {
        Self::VARIANTS
    }

    /// Of a word: what it means, and what to do.
    #[must_use]
    pub fn explained(word: &str) -> Option<(&'static str, &'static str)> {
        Some(match word {
            "no-clusters" => (
                "The proxy has no cluster from its control plane at all; it counts as having nothing of what it should have.",
                "Its own log says why (`kubectl logs POD -c istio-proxy`): it has not reached istiod since it started, or refuses \
                 all that it is sent. Mend that first; a restart brings it nothing.",
            ),
            "missing-clusters" => (
                "The proxy lacks clusters that the other proxies of its kind have.",
                "See whether istiod's last update was refused in part (`kubectl meshaudit timeouts -v` has istiod's words under MA006).",
            ),
            "rejected" => (
                "The proxy refused an update; Envoy's own words stand with it. It keeps what it had before.",
                "Mend what Envoy names, most often an EnvoyFilter or a certificate that is not there. Do not restart the proxy: it \
                 would come up without what it now still has.",
            ),
            "not-connected" => (
                "The proxy is connected to no instance of its control plane, by its own word or by that of all of them. It keeps the \
                 clusters that it was given before.",
                "See whether istiod is up and whether the proxy reaches it (port 15012). It connects by itself; started anew before \
                 that, it comes up without clusters.",
            ),
            "not-accepted" => (
                "The update was sent, and the proxy has not accepted it yet.",
                "Wait a moment (`kubectl meshaudit verify --wait 5m`). If it stays so, the proxy or its connection is overloaded.",
            ),
            "not-in-force" => (
                "What is written as the mesh configuration is not what istiod uses: it refuses it, or has not read it yet.",
                "The sentence with it says which part is refused; istiod's log has its own words. A mount takes up to a minute to \
                 arrive in istiod.",
            ),
            "override" => (
                "An object gives the proxy's clusters another value than the mesh configuration: a DestinationRule, a Sidecar or an \
                 EnvoyFilter.",
                "If it is somebody's choice, leave it. If not, `kubectl meshaudit fix` prints the change of that object.",
            ),
            "not-configured" => (
                "The mesh configuration itself says something else than what is expected.",
                "The change has not been made, or not in the source that counts: `kubectl meshaudit fix` names it.",
            ),
            "not-yet-pushed" => (
                "The proxy holds what its control plane gave it before.",
                "Wait a moment (`kubectl meshaudit verify --wait 5m`); if it stays so, see whether the proxy is connected.",
            ),
            "unexplained" => (
                "No object that could be read accounts for what the proxy holds.",
                "`kubectl meshaudit timeouts --explain-origin --host HOST` shows what could have given it, and what could not be read.",
            ),
            _ => return None,
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |kind: &OriginKind| describe(&Origin::new(kind.clone(), true));
        match self {
            Self::NoClusters(sentence)
            | Self::MissingClusters(sentence)
            | Self::Rejected(sentence)
            | Self::NotConnected(sentence)
            | Self::NotInForce(sentence) => f.write_str(sentence),
            Self::NotAccepted => f.write_str("the update was sent, and not accepted yet"),
            Self::Override(kind) => write!(f, "{} overrides it", named(kind)),
            Self::NotConfigured(kind, value) => write!(f, "{} says {}", named(kind), format_duration(*value)),
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
    /// The clusters, by name; none where it is not about clusters that it holds.
    pub mismatches: Vec<Mismatch>,
}

/// How many proxies hold what they should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// Proxies that were read.
    pub proxies: usize,
    /// Those that hold everything they should.
    pub good: usize,
    /// Those that do not, by name: a proxy has an entry for each reason.
    pub stragglers: Vec<Straggler>,
    /// Proxies for which it can't be told what they should hold, since what decides it could not be read.
    pub unknown: usize,
    /// What is wrong with their control planes.
    pub troubles: Vec<PlaneTrouble>,
    /// Proxies that hold what they should and will not get the next change, each with the sentence that says why.
    pub cut_off: BTreeMap<String, Vec<ProxyId>>,
}

impl Verification {
    /// How many proxies do not hold what they should.
    #[must_use]
    pub fn behind(&self) -> usize {
        self.stragglers.iter().map(|straggler| &straggler.proxy).collect::<BTreeSet<_>>().len()
    }
}

/// Compares what each proxy holds with what it should.
#[must_use]
pub fn verify(snapshot: &MeshSnapshot, expectation: &Expectation) -> Verification {
    let troubles = plane_troubles(snapshot);
    // A change that is written and that istiod has not read yet is what proxies are to hold in the end.
    let read = snapshot;
    let snapshot = as_written(read, expectation);
    let attributor = Attributor::new(&snapshot);
    let deliveries = Deliveries::of(&snapshot, &attributor);
    let mut found = Found { snapshot: &snapshot, stragglers: BTreeMap::new(), unknown: BTreeSet::new() };
    for (proxy, _) in snapshot.proxies.iter().enumerate() {
        found.add_delivery(proxy, deliveries.get(proxy));
    }
    let planned = Planned::new(expectation);
    for class in attributor.classes() {
        let waits = plane(&attributor, class).and_then(|plane| {
            let objects = read.objects.get(&class.representative.proxy.id.context)?;
            let same =
                |known: &&ControlPlane| (&known.revision, &known.namespace) == (&plane.revision, &plane.namespace);
            objects.control_planes.iter().find(same).and_then(not_in_force)
        });
        let refused = waits.as_ref().filter(|what| what.refused.is_some());
        if let (Expectation::Objects, Some(what)) = (expectation, refused) {
            class
                .proxies
                .iter()
                .for_each(|proxy| found.add(proxy as usize, Reason::NotInForce(what.to_string()), None));
        }
        if matches!(expectation, Expectation::Objects) && attributor.mesh_value(class).is_none() {
            found.unknown.extend(class.proxies.iter().map(|proxy| proxy as usize));
            continue;
        }
        for row in class.clusters.iter() {
            let cluster = &snapshot.clusters[row as usize];
            // Nothing is ever dialled through BlackHoleCluster.
            if !matches!(cluster.kind(), ClusterKind::Service | ClusterKind::Passthrough) {
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
                let delivery = deliveries.get(proxy as usize);
                match reason(class, cluster, &attribution, delivery, waits.as_ref(), wanted) {
                    // What should be held rests on objects of which some could not be read.
                    Reason::Unexplained(_) if named.is_none() && uncertain(expectation, &attribution) => {
                        found.unknown.insert(proxy as usize);
                    }
                    reason => {
                        let held = cluster.connect_timeout;
                        let mismatch = Mismatch { cluster: Arc::clone(&cluster.name), held, expected: wanted };
                        found.add(proxy as usize, reason, Some(mismatch));
                    }
                }
            }
        }
    }
    found.finish(&deliveries, troubles)
}

/// The snapshot with what is written in the place of what istiod uses, where it has not read that yet.
fn as_written<'a>(snapshot: &'a MeshSnapshot, expectation: &Expectation) -> Cow<'a, MeshSnapshot> {
    let waits = |plane: &ControlPlane| not_in_force(plane).is_some_and(|what| what.refused.is_none());
    let any = snapshot.objects.values().flat_map(|objects| &objects.control_planes).any(waits);
    if !any || !matches!(expectation, Expectation::Objects) {
        return Cow::Borrowed(snapshot);
    }
    let mut snapshot = snapshot.clone();
    for plane in snapshot.objects.values_mut().flat_map(|objects| &mut objects.control_planes) {
        if waits(plane) {
            plane.mesh.retain(|source| source.kind != MeshConfigKind::Effective);
        }
    }
    Cow::Owned(snapshot)
}

/// Stragglers, while they are found.
struct Found<'a> {
    snapshot: &'a MeshSnapshot,
    /// By proxy, and by what is said of it: reasons that read alike are one.
    stragglers: BTreeMap<(usize, &'static str, String), (Reason, Vec<Mismatch>)>,
    unknown: BTreeSet<usize>,
}

impl Found<'_> {
    fn add(&mut self, proxy: usize, reason: Reason, mismatch: Option<Mismatch>) {
        let key = (proxy, reason.as_str(), reason.to_string());
        self.stragglers.entry(key).or_insert_with(|| (reason, Vec::new())).1.extend(mismatch);
    }

    /// A proxy without clusters has nothing of what it should hold, whatever that is.
    fn add_delivery(&mut self, proxy: usize, delivery: &Delivery) {
        let sentence = || sentence(delivery);
        if delivery.has_nothing() {
            self.add(proxy, Reason::NoClusters(sentence()), None);
        } else if delivery.lacks_some() {
            let reason = match delivery.progress {
                Progress::Rejected(_) => Reason::Rejected,
                Progress::Disconnected => Reason::NotConnected,
                _ => Reason::MissingClusters,
            };
            self.add(proxy, reason(sentence()), None);
        }
    }

    fn finish(self, deliveries: &Deliveries, troubles: Vec<PlaneTrouble>) -> Verification {
        let id = |proxy: usize| self.snapshot.proxies[proxy].proxy.id.clone();
        let behind: BTreeSet<usize> = self.stragglers.keys().map(|(proxy, ..)| *proxy).collect();
        let unknown = self.unknown.difference(&behind).count();
        let mut cut_off: BTreeMap<String, Vec<ProxyId>> = BTreeMap::new();
        for proxy in (0..self.snapshot.proxies.len()).filter(|proxy| !behind.contains(proxy)) {
            let delivery = deliveries.get(proxy);
            if matches!(delivery.progress, Progress::Rejected(_) | Progress::Disconnected) {
                cut_off.entry(sentence(delivery)).or_default().push(id(proxy));
            }
        }
        let proxies = self.snapshot.proxies.len();
        let good = proxies - behind.len() - unknown;
        let stragglers = self.stragglers.into_iter().map(|((proxy, ..), (reason, mut mismatches))| {
            mismatches.sort();
            mismatches.dedup();
            Straggler { proxy: id(proxy), reason, mismatches }
        });
        let mut stragglers: Vec<Straggler> = stragglers.collect();
        stragglers.sort_by(|a, b| (&a.proxy, &a.reason).cmp(&(&b.proxy, &b.reason)));
        Verification { proxies, good, stragglers, unknown, troubles, cut_off }
    }
}

/// The control plane of a class.
fn plane<'a>(attributor: &Attributor<'a>, class: &ProxyClass<'a>) -> Option<&'a ControlPlane> {
    let proxy = &class.representative.proxy;
    let objects = attributor.objects(class)?;
    objects.connected_to(&proxy.id).map(|(plane, _)| plane).or_else(|| objects.control_plane(&proxy.revision))
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
            // An override that leaves enough is somebody's choice, and so is any that leads to the proxy's own workload.
            // What `fix` raises one to at least, and then leaves alone, is enough.
            let overridden = attribution.expected.as_ref().is_some_and(|expected| is_override(&expected.origin.kind));
            let inbound = cluster.name.starts_with("inbound|");
            let held = cluster.effective_timeout();
            let enough = held >= LEAST_CONNECT_TIMEOUT || syn_retransmissions(held) >= syn_retransmissions(*value);
            if overridden && (inbound || enough) { None } else { Some(Some(*value)) }
        }
    }
}

fn is_override(kind: &OriginKind) -> bool {
    kind.is_override() || matches!(kind, OriginKind::MeshDefaultTrafficPolicy { .. })
}

/// Whether what a cluster should hold was worked out from too little.
fn uncertain(expectation: &Expectation, attribution: &Attribution) -> bool {
    let expected = attribution.expected.as_ref();
    matches!(expectation, Expectation::Objects | Expectation::Plan(_))
        && expected.is_some_and(|expected| !expected.origin.certain)
}

fn reason(
    class: &ProxyClass<'_>,
    cluster: &EnvoyCluster,
    attribution: &Attribution,
    delivery: &Delivery,
    waits: Option<&NotInForce>,
    wanted: Option<Duration>,
) -> Reason {
    if let Some(error) = &cluster.error {
        return Reason::Rejected(format!("it rejected the update: {error}"));
    }
    if let Some(given) = &attribution.expected
        && given.timeout != wanted
        && attribution.verdict == Verdict::Explained
    {
        return match (given.timeout, is_override(&given.origin.kind), waits) {
            (Some(_), false, Some(what)) => Reason::NotInForce(what.to_string()),
            (Some(value), false, None) => Reason::NotConfigured(given.origin.kind.clone(), value),
            _ => Reason::Override(given.origin.kind.clone()),
        };
    }
    match (&delivery.progress, waits) {
        (Progress::Rejected(_), _) => Reason::Rejected(sentence(delivery)),
        (Progress::Disconnected, _) => Reason::NotConnected(sentence(delivery)),
        (Progress::Pending(_), _) => Reason::NotAccepted,
        (_, Some(what)) => Reason::NotInForce(what.to_string()),
        _ if attribution.verdict == Verdict::Stale || class.lags() => Reason::NotYetPushed,
        _ => Reason::Unexplained(attribution.origin.note.clone()),
    }
}
