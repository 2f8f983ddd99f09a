//! What became of the clusters of every proxy of a snapshot, and what is wrong with its control planes: one account for
//! the rule that reports it, for `verify`, and for everything else that asks whether a proxy is up to date.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use crate::attribute::Attributor;
use crate::model::delivery::{Delivery, Progress};
use crate::model::objects::{ControlPlane, IstioObjects, MeshConfigKind, MeshConfigSource, ObjectKind};
use crate::model::sync::Rejection;
use crate::model::{ClusterName, ClusterSource, Direction, MeshSnapshot, ProxySnapshot, format_duration};

/// Every proxy's delivery: by its position in [`MeshSnapshot::proxies`].
#[derive(Debug)]
pub struct Deliveries(Vec<Delivery>);

impl Deliveries {
    /// Puts together what is known of each proxy of a snapshot.
    #[must_use]
    pub fn of(snapshot: &MeshSnapshot, attributor: &Attributor<'_>) -> Self {
        let refused = Delivery::refused(&snapshot.clusters);
        let of = |read: &ProxySnapshot| {
            let objects = snapshot.objects.get(&read.proxy.id.context);
            Delivery::of(read, objects, &snapshot.clusters, &refused)
        };
        let mut all = Self(snapshot.proxies.iter().map(of).collect());
        all.compare_with_peers(snapshot, attributor);
        all
    }

    /// The delivery of a proxy, by its position.
    #[must_use]
    pub fn get(&self, proxy: usize) -> &Delivery {
        &self.0[proxy]
    }

    /// Adds to what a proxy misses the outbound clusters that all others of its class hold. One that acknowledged the
    /// last clusters it was sent has what it is to have, whatever others hold; and of two that differ it can't be told
    /// which is behind, unless the other one is known to be up to date.
    fn compare_with_peers(&mut self, snapshot: &MeshSnapshot, attributor: &Attributor<'_>) {
        for class in attributor.classes() {
            // Only what was read of Sidecars and EnvoyFilters makes proxies of one class alike.
            let alike = attributor.objects(class).is_some_and(|objects| {
                objects.is_read(ObjectKind::Sidecar) && objects.is_read(ObjectKind::EnvoyFilter)
            });
            let is_doubtful = |delivery: &Delivery| {
                delivery.holds_any && !matches!(delivery.progress, Progress::Acknowledged | Progress::Unknown)
            };
            let doubtful: Vec<u32> =
                class.proxies.iter().filter(|&proxy| alike && is_doubtful(&self.0[proxy as usize])).collect();
            if doubtful.is_empty() || class.proxies.len() < 2 {
                continue;
            }
            let mut holders: HashMap<&Arc<str>, (usize, bool)> = HashMap::new();
            for proxy in class.proxies.iter() {
                let current = self.0[proxy as usize].is_current();
                for name in outbound(snapshot, &snapshot.proxies[proxy as usize]) {
                    let (count, known) = holders.entry(name).or_default();
                    *count += 1;
                    *known |= current;
                }
            }
            for proxy in doubtful {
                let held: HashSet<&Arc<str>> = outbound(snapshot, &snapshot.proxies[proxy as usize]).collect();
                let others = class.proxies.len() - 1;
                let mut missing: Vec<Arc<str>> = holders
                    .iter()
                    .filter(|(name, (count, known))| {
                        !held.contains(*name) && (*known || others > 1 && *count == others)
                    })
                    .map(|(name, _)| Arc::clone(name))
                    .collect();
                let known = &mut self.0[proxy as usize].missing;
                missing.retain(|name| !known.contains(name));
                known.append(&mut missing);
                known.sort();
            }
        }
    }
}

/// The names of the outbound clusters that a proxy holds.
fn outbound<'a>(snapshot: &'a MeshSnapshot, read: &'a ProxySnapshot) -> impl Iterator<Item = &'a Arc<str>> {
    read.clusters
        .iter()
        .map(|position| &snapshot.clusters[position as usize])
        .filter(|cluster| cluster.source != ClusterSource::Static)
        .map(|cluster| &cluster.name)
        .filter(|name| ClusterName::parse(name).is_some_and(|name| name.direction == Direction::Outbound))
}

/// What became of a proxy's clusters, in one sentence about it.
#[must_use]
pub fn sentence(delivery: &Delivery) -> String {
    let lacks = || some_names(&delivery.missing);
    match (&delivery.progress, delivery.has_nothing()) {
        (Progress::Rejected(rejection), true) => format!(
            "it has no cluster from its control plane: it has rejected every update since it started{}",
            because(rejection.as_ref())
        ),
        (Progress::Disconnected, true) => {
            "it has no cluster from its control plane: it has not been connected to it since it started".to_owned()
        }
        (Progress::NotSent, true) => {
            "it has no cluster from its control plane: it is connected, and was sent none".to_owned()
        }
        (Progress::Pending(_), true) => {
            "it has no cluster from its control plane: the first were sent, and not acknowledged yet".to_owned()
        }
        (_, true) => "it has no cluster from its control plane".to_owned(),
        (Progress::Rejected(rejection), false) => match rejection {
            Some(Rejection { whole: false, .. }) if !delivery.missing.is_empty() => format!(
                "it rejects clusters that it is sent, and lacks {}; it took all others{}",
                lacks(),
                because(rejection.as_ref())
            ),
            Some(Rejection { whole: false, clusters, .. }) if !clusters.is_empty() => format!(
                "it rejected {} of the last update, and keeps the older ones of them; it took all others{}",
                some_names(clusters),
                because(rejection.as_ref())
            ),
            _ if !delivery.missing.is_empty() => {
                format!("it rejects the clusters that it is sent, and lacks {}{}", lacks(), because(rejection.as_ref()))
            }
            _ if delivery.partial => format!(
                "it has rejected every update since it started, and holds parts of them: those clusters that it refused it \
                 lacks{}",
                because(rejection.as_ref())
            ),
            _ => format!(
                "it rejected the last update as a whole, and keeps its older clusters{}",
                because(rejection.as_ref())
            ),
        },
        (Progress::Disconnected, false) if !delivery.missing.is_empty() => {
            format!("it is not connected to its control plane, and lacks {}, which the others like it have", lacks())
        }
        (Progress::Disconnected, false) => {
            "it is not connected to its control plane, and keeps the clusters that it was given before".to_owned()
        }
        (Progress::NotSent, false) => {
            "it is connected to its control plane, which has not sent it any clusters since".to_owned()
        }
        (Progress::Pending(_), false) => "it was sent clusters that it has not acknowledged yet".to_owned(),
        (_, false) if !delivery.missing.is_empty() => {
            format!("it lacks {}, which the others like it have", lacks())
        }
        (Progress::Acknowledged, false) => "it acknowledged the last clusters that it was sent".to_owned(),
        (Progress::Unknown, false) => "whether it has the last clusters can't be told".to_owned(),
    }
}

fn because(rejection: Option<&Rejection>) -> String {
    match rejection {
        Some(Rejection { whole: true, clusters, reason }) => match clusters.as_slice() {
            [name, ..] => format!(" ({name}: {reason})"),
            [] => format!(" ({reason})"),
        },
        Some(rejection) => format!(" ({})", rejection.reason),
        None => String::new(),
    }
}

/// How many names a sentence has.
const NAMES: usize = 3;

fn some_names(names: &[Arc<str>]) -> String {
    let mut text = names.iter().take(NAMES).map(|name| &**name).collect::<Vec<_>>().join(", ");
    if names.len() > NAMES {
        text.push_str(&format!(" and {} more", names.len() - NAMES));
    }
    text
}

/// Something that is wrong with a control plane, or with the way to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaneTrouble {
    /// The kubeconfig context, when several are audited.
    pub context: String,
    /// Its revision.
    pub revision: String,
    /// What is wrong.
    pub kind: Trouble,
}

/// What is wrong with a control plane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// No pod of it is Ready, or there is none.
    Down(Vec<String>),
    /// Some of its pods are not Ready.
    PartlyDown(Vec<String>),
    /// What is written as its mesh configuration is not what it uses.
    NotInForce(NotInForce),
    /// It is what a webhook or a tag stands for, and there is no such control plane.
    Nowhere {
        /// The webhook configuration.
        webhook: String,
        /// The tag; empty for a webhook of the revision itself.
        tag: String,
    },
    /// Proxies name it, and there is no such control plane.
    NoSuchRevision,
}

/// A mesh configuration that is written and not in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotInForce {
    /// Where it is written, as `ConfigMap namespace/name`.
    pub source: String,
    /// What it says of the connect timeout; `None` where it can't be understood.
    pub written: Option<std::time::Duration>,
    /// Why istiod does not take it; `None` where that is not known, and it may only not have read it yet.
    pub refused: Option<String>,
    /// What istiod uses, where it could be asked.
    pub running: Option<std::time::Duration>,
    /// The pods that were asked and use something else.
    pub pods: Vec<String>,
}

impl fmt::Display for NotInForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let running = self.running.map(format_duration);
        let uses = match (&running, self.pods.as_slice()) {
            (Some(value), [_, ..]) => format!("istiod {} uses {value}", self.pods.join(", ")),
            (Some(value), []) => format!("istiod uses {value}"),
            (None, _) => "istiod keeps what it had before".to_owned(),
        };
        match (&self.refused, self.written) {
            (Some(reason), _) => write!(f, "istiod does not take {} ({reason}); {uses}", self.source),
            (None, Some(value)) => write!(
                f,
                "{} says {}, and {uses}: it has not read the change yet, or refuses it",
                self.source,
                format_duration(value)
            ),
            (None, None) => write!(f, "{} is not in force; {uses}", self.source),
        }
    }
}

impl Trouble {
    /// What to do.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Down(_) | Self::PartlyDown(_) => {
                "see why its pods are not Ready (`kubectl describe pod`, `kubectl logs`); until then no change reaches its proxies, \
                 and a proxy that starts gets no clusters"
            }
            Self::NotInForce(NotInForce { refused: Some(_), .. }) => {
                "mend the mesh configuration: istiod falls back to its built-in values when it starts again"
            }
            Self::NotInForce(_) => {
                "wait a minute; then look for `invalid mesh config` in istiod's log, and whether it reaches the API server"
            }
            Self::Nowhere { .. } => "point the tag at a revision that there is (`istioctl tag set`), or remove it",
            Self::NoSuchRevision => "install that revision, or restart the workloads under one that there is",
        }
    }
}

impl fmt::Display for PlaneTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.context.is_empty() {
            write!(f, "context {}: ", self.context)?;
        }
        let revision = &self.revision;
        match &self.kind {
            Trouble::Down(pods) if pods.is_empty() => write!(f, "the control plane of revision {revision} has no pod"),
            Trouble::Down(pods) => {
                write!(f, "the control plane of revision {revision} is down: istiod {} is not Ready", pods.join(", "))
            }
            Trouble::PartlyDown(pods) => {
                write!(f, "of the control plane of revision {revision}, istiod {} is not Ready", pods.join(", "))
            }
            Trouble::NotInForce(what) => write!(f, "revision {revision}: {what}"),
            Trouble::Nowhere { webhook, tag } if tag.is_empty() => {
                write!(f, "the webhook {webhook} injects proxies of revision {revision}, which no control plane has")
            }
            Trouble::Nowhere { tag, .. } => {
                write!(f, "the tag {tag} stands for revision {revision}, which no control plane has")
            }
            Trouble::NoSuchRevision => write!(f, "proxies are of revision {revision}, which no control plane has"),
        }
    }
}

/// What is wrong with the control planes of a snapshot, in the order in which it should be read.
#[must_use]
pub fn plane_troubles(snapshot: &MeshSnapshot) -> Vec<PlaneTrouble> {
    let mut found = Vec::new();
    for (context, objects) in &snapshot.objects {
        let trouble = |revision: &str, kind: Trouble| PlaneTrouble {
            context: context.clone(),
            revision: revision.to_owned(),
            kind,
        };
        for plane in &objects.control_planes {
            let not_ready = || {
                let pods = plane.instances.iter().flatten().filter(|pod| !pod.ready);
                pods.map(crate::model::sync::Instance::name).collect::<Vec<_>>()
            };
            if plane.is_down() {
                found.push(trouble(&plane.revision, Trouble::Down(not_ready())));
            } else if let pods @ [_, ..] = not_ready().as_slice() {
                found.push(trouble(&plane.revision, Trouble::PartlyDown(pods.to_vec())));
            }
            if let Some(what) = not_in_force(plane) {
                found.push(trouble(&plane.revision, Trouble::NotInForce(what)));
            }
        }
        if knows_all_planes(objects) {
            for injector in &objects.injectors {
                if objects.control_planes.iter().all(|plane| plane.revision != injector.revision) {
                    let (webhook, tag) = (injector.name.clone(), injector.tag.clone());
                    found.push(trouble(&injector.revision, Trouble::Nowhere { webhook, tag }));
                }
            }
        }
    }
    found
}

/// Whether every control plane of the cluster would have been seen.
fn knows_all_planes(objects: &IstioObjects) -> bool {
    objects.is_read(ObjectKind::Deployment) && objects.control_planes.iter().any(|plane| plane.istiod.is_some())
}

/// Whether what is written as a plane's mesh configuration is something else than what it uses.
#[must_use]
pub fn not_in_force(plane: &ControlPlane) -> Option<NotInForce> {
    let written: Vec<&MeshConfigSource> =
        plane.mesh.iter().filter(|source| source.kind != MeshConfigKind::Effective).collect();
    let running = plane.mesh.iter().find(|source| source.kind == MeshConfigKind::Effective);
    let running = running.map(|source| source.config.connect_timeout.unwrap_or(plane.built_in_connect_timeout()));
    let name = |source: &MeshConfigSource| format!("ConfigMap {}/{}", source.meta.namespace, source.meta.name);
    if let Some((source, reason)) = written.iter().find_map(|source| Some((source, plane.refuses(source)?))) {
        return Some(NotInForce {
            source: name(source),
            written: source.config.connect_timeout,
            refused: Some(reason),
            running,
            pods: Vec::new(),
        });
    }
    let own = written.iter().find(|source| source.kind == MeshConfigKind::Own)?;
    let says = plane.written()?.connect_timeout;
    running?;
    // Each pod reads it by itself.
    let behind: Vec<_> = plane
        .instances
        .iter()
        .flatten()
        .filter_map(|pod| Some((pod.name(), pod.connect_timeout?)))
        .filter(|(_, uses)| *uses != says)
        .collect();
    let uses = behind.first().map(|(_, uses)| *uses)?;
    // A mesh configuration that is mounted as a file is not the ConfigMap's (`--meshConfig`), and never will be; but a
    // ConfigMap of its name then says nothing either, so what is written is not in force all the same.
    let decides = written.iter().rev().find(|source| source.config.connect_timeout.is_some()).unwrap_or(own);
    Some(NotInForce {
        source: name(decides),
        written: Some(says),
        refused: None,
        running: Some(uses),
        pods: behind.into_iter().map(|(name, _)| name).collect(),
    })
}
