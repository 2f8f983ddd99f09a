//! Control planes, and proxies that nothing tells apart.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::Duration;

use foldhash::{HashMap, HashMapExt};

use super::behaviour::Behaviour;
use super::filters::Attached;
use super::mesh::Mesh;
use crate::model::istio::{
    ControlPlane, EffectiveMesh, IstioObjects, PatchContext, PatchOperation, Sidecar, Version, minor_version,
};
use crate::model::{
    ClusterSet, ClusterSource, Direction, EnvoyCluster, MeshSnapshot, Proxy, ProxyRole, ProxySnapshot, TUNNELS,
};

/// A control plane that proxies are connected to, or what is assumed of one that cannot be seen.
#[derive(Debug)]
pub(super) struct Plane<'a> {
    pub(super) objects: &'a IstioObjects,
    /// The control plane, and its position among those of its cluster; `None` where it cannot be seen.
    pub(super) plane: Option<(usize, &'a ControlPlane)>,
    pub(super) effective: Option<EffectiveMesh>,
    /// The ways in which it may read its configuration, newest first: one where its version is known.
    pub(super) behaviours: Vec<Behaviour>,
    meshes: Vec<Mesh<'a>>,
}

impl<'a> Plane<'a> {
    fn new(objects: &'a IstioObjects, plane: Option<(usize, &'a ControlPlane)>, proxies: &OfPlane<'a>) -> Self {
        let effective = plane.and_then(|(_, plane)| plane.effective_since(proxies.newest));
        let behaviours = Behaviour::distinct_for(
            Behaviour::possible(plane.map(|(_, plane)| plane), proxies.newest),
            objects,
            effective.as_ref(),
        );
        let said = plane.and_then(|(_, plane)| plane.istiod.as_ref()).map_or("", |istiod| istiod.domain.as_str());
        let domain = if said.is_empty() { proxies.domain.unwrap_or("cluster.local") } else { said };
        let meshes =
            behaviours.iter().map(|&behaviour| Mesh::new(objects, plane, effective.as_ref(), domain, behaviour));
        Self { objects, plane, meshes: meshes.collect(), effective, behaviours }
    }

    /// The mesh as it sees it, by one of its possible behaviours.
    pub(super) fn mesh(&self, behaviour: usize) -> &Mesh<'a> {
        &self.meshes[behaviour]
    }
}

/// Proxies that nothing which can be read tells apart.
#[derive(Debug)]
pub struct ProxyClass<'a> {
    /// One of them.
    pub representative: &'a ProxySnapshot,
    /// All of them: positions in [`MeshSnapshot::proxies`].
    pub proxies: ClusterSet,
    /// Every cluster that one of them holds.
    pub clusters: ClusterSet,
    pub(super) plane: Option<usize>,
    /// What `BlackHoleCluster` holds: the mesh value that the proxy was last given.
    pub(super) told: Option<Duration>,
    /// Which cluster shows that.
    told_by: &'static str,
    pub(super) lags: bool,
    pub(super) sidecar: Option<&'a Sidecar>,
    /// Whether that is the Sidecar for certain.
    pub(super) sidecar_certain: bool,
    /// The EnvoyFilters that are for them, for each of their control plane's behaviours.
    pub(super) filters: Vec<Vec<Attached<'a>>>,
    /// (name, timeout) of what some of them hold, to tell a straggler from a puzzle.
    held: OnceLock<HashSet<(Arc<str>, Option<Duration>)>>,
    /// The hosts that some of them have outbound clusters for: those that are visible to them and imported.
    outbound: OnceLock<HashSet<Box<str>>>,
    metadata: OnceLock<bool>,
    hints: OnceLock<bool>,
}

impl<'a> ProxyClass<'a> {
    /// The value that the control plane last told these proxies to use mesh-wide, as `BlackHoleCluster` shows it.
    #[must_use]
    pub fn told(&self) -> Option<Duration> {
        self.told
    }

    /// Which cluster shows that.
    #[must_use]
    pub fn told_by(&self) -> &'static str {
        self.told_by
    }

    /// Whether that is no longer what the mesh configuration says.
    #[must_use]
    pub fn lags(&self) -> bool {
        self.lags
    }

    fn rows(&self, snapshot: &'a MeshSnapshot) -> impl Iterator<Item = &'a EnvoyCluster> {
        self.clusters.iter().map(|row| &snapshot.clusters[row as usize])
    }

    /// Whether some of them hold a value for a cluster.
    pub(super) fn holds(&self, snapshot: &'a MeshSnapshot, name: &Arc<str>, timeout: Option<Duration>) -> bool {
        let held = self
            .held
            .get_or_init(|| self.rows(snapshot).map(|row| (Arc::clone(&row.name), row.connect_timeout)).collect());
        held.contains(&(Arc::clone(name), timeout))
    }

    /// The hosts that they have outbound clusters for.
    pub(super) fn outbound(&self, snapshot: &'a MeshSnapshot) -> &HashSet<Box<str>> {
        self.outbound.get_or_init(|| {
            let names = self.rows(snapshot).filter_map(EnvoyCluster::parts);
            names.filter(|name| name.direction == Direction::Outbound).map(|name| name.host.into()).collect()
        })
    }

    /// Whether their clusters carry the metadata that Istio writes.
    pub(super) fn has_metadata(&self, snapshot: &'a MeshSnapshot) -> bool {
        let has = |row: &EnvoyCluster| !row.services.is_empty() || row.destination_rule_hint.is_some();
        *self.metadata.get_or_init(|| self.rows(snapshot).any(has))
    }

    /// Whether some of their clusters name the rule that matched.
    pub(super) fn has_hints(&self, snapshot: &'a MeshSnapshot) -> bool {
        *self.hints.get_or_init(|| self.rows(snapshot).any(|row| row.destination_rule_hint.is_some()))
    }
}

type Classified<'a> = (Vec<Plane<'a>>, Vec<ProxyClass<'a>>, Vec<usize>);

/// What the proxies of a control plane tell of it.
#[derive(Default)]
struct OfPlane<'a> {
    /// Their newest version: a control plane is no older.
    newest: Option<Version>,
    /// The domain of the services that their clusters name.
    domain: Option<&'a str>,
}

/// The objects of a cluster of which none were read.
static NOTHING_READ: LazyLock<IstioObjects> = LazyLock::new(IstioObjects::default);

/// The control planes that proxies are connected to, and of each proxy which.
fn planes(snapshot: &MeshSnapshot) -> (Vec<Plane<'_>>, Vec<Option<usize>>) {
    type Seen<'a> = (&'a IstioObjects, Option<(usize, &'a ControlPlane)>, OfPlane<'a>);
    let mut found: Vec<Seen<'_>> = Vec::new();
    let mut known: HashMap<(&str, Option<usize>), usize> = HashMap::new();
    let mut plane_of = Vec::with_capacity(snapshot.proxies.len());
    for read in &snapshot.proxies {
        // Where nothing was read, what proxies were told still says what their clusters should hold.
        let context = read.proxy.id.context.as_str();
        let objects = snapshot.objects.get(context).unwrap_or(&NOTHING_READ);
        let plane = control_plane(objects, &read.proxy);
        let plane = *known.entry((context, plane.map(|(index, _)| index))).or_insert_with(|| {
            found.push((objects, plane, OfPlane::default()));
            found.len() - 1
        });
        let of = &mut found[plane].2;
        of.newest = of.newest.max(Version::parse(&read.proxy.istio_version));
        if of.domain.is_none() {
            of.domain = domain(snapshot, read);
        }
        plane_of.push(Some(plane));
    }
    let planes = found.iter().map(|(objects, plane, of)| Plane::new(objects, *plane, of)).collect();
    (planes, plane_of)
}

/// The domain of Kubernetes services, out of the host of one whose namespace is told beside it.
fn domain<'a>(snapshot: &'a MeshSnapshot, read: &ProxySnapshot) -> Option<&'a str> {
    let services = read.clusters.iter().flat_map(|row| &snapshot.clusters[row as usize].services);
    { services }.find_map(|service| {
        let (_, rest) = service.host.split_once('.')?;
        rest.strip_prefix(&*service.namespace)?.strip_prefix(".svc.")
    })
}

/// Sorts the proxies of a snapshot into classes.
pub(super) fn classify(snapshot: &MeshSnapshot) -> Classified<'_> {
    let (planes, plane_of) = planes(snapshot);
    let rows_of = |name: &str| -> Vec<u32> {
        let active = |cluster: &EnvoyCluster| &*cluster.name == name && cluster.source == ClusterSource::Active;
        let rows = (0u32..).zip(&snapshot.clusters).filter(|(_, cluster)| active(cluster));
        rows.map(|(position, _)| position).collect()
    };
    let telling = TELLING.map(rows_of);
    // Of each proxy: its control plane, what is for it, and what it was told.
    let mut seen: Vec<Seen<'_>> = Vec::with_capacity(snapshot.proxies.len());
    for (read, plane) in snapshot.proxies.iter().zip(plane_of) {
        let held = telling.each_ref().map(|rows| {
            let row = rows.iter().find(|&&row| read.clusters.contains(row));
            row.and_then(|&row| snapshot.clusters[row as usize].connect_timeout)
        });
        seen.push(Seen::new(&read.proxy, plane, held, &planes));
    }
    // A waypoint has no such cluster; what most of its control plane's proxies were told holds for it.
    let mut counts: HashMap<(Option<usize>, &str, &str), BTreeMap<Duration, usize>> = HashMap::new();
    for (seen, read) in seen.iter().zip(&snapshot.proxies) {
        if let Some(value) = seen.own {
            *counts.entry(seen.peers(&read.proxy)).or_default().entry(value).or_default() += 1;
        }
    }
    let mut classes: Vec<ProxyClass<'_>> = Vec::new();
    let mut class_of = Vec::with_capacity(seen.len());
    let mut known: HashMap<_, usize> = HashMap::new();
    for (position, (read, seen)) in (0u32..).zip(snapshot.proxies.iter().zip(seen)) {
        let proxy = &read.proxy;
        let told = seen.own.or_else(|| {
            let values = counts.get(&seen.peers(proxy))?;
            values.iter().max_by_key(|(value, count)| (**count, **value)).map(|(value, _)| *value)
        });
        let tunnel = told.is_none().then(|| by_tunnel(snapshot, read)).flatten();
        let (told, told_by) = (told.or(tunnel), tunnel.map_or(seen.own_by, |_| TUNNELS[0]));
        // Labels matter only as far as a selector of the proxy's namespace or the root namespace asks for them.
        let key = (
            (proxy.id.context.as_str(), proxy.id.namespace.as_str(), proxy.revision.as_str(), proxy.role),
            (proxy.istio_version.as_str(), told, seen.plane),
            (seen.sidecar.map(std::ptr::from_ref), seen.sidecar_certain, seen.rules),
            seen.attached,
            proxy.role == ProxyRole::Waypoint && is_east_west(proxy),
        );
        let class = *known.entry(key).or_insert_with(|| {
            classes.push(ProxyClass {
                representative: read,
                proxies: ClusterSet::default(),
                clusters: ClusterSet::default(),
                plane: seen.plane,
                told,
                told_by,
                lags: seen.lags,
                sidecar: seen.sidecar,
                sidecar_certain: seen.sidecar_certain,
                filters: seen.filters,
                held: OnceLock::new(),
                outbound: OnceLock::new(),
                metadata: OnceLock::new(),
                hints: OnceLock::new(),
            });
            classes.len() - 1
        });
        classes[class].proxies.insert(position);
        classes[class].clusters.extend(&read.clusters);
        class_of.push(class);
    }
    (planes, classes, class_of)
}

/// Clusters of a sidecar that hold the mesh's value where no EnvoyFilter is for them, and for the second one no
/// defaultTrafficPolicy.
const TELLING: [&str; 2] = ["BlackHoleCluster", "InboundPassthroughCluster"];

/// What a waypoint's tunnel to its services holds, the mesh's value too; up to 1.23.0 it was always 2 s
/// (`networking/core/cluster_waypoint.go`, `buildConnectOriginate`).
fn by_tunnel(snapshot: &MeshSnapshot, read: &ProxySnapshot) -> Option<Duration> {
    if read.proxy.role != ProxyRole::Waypoint {
        return None;
    }
    let version = minor_version(&read.proxy.istio_version);
    let mut clusters = read.clusters.iter().map(|row| &snapshot.clusters[row as usize]);
    let tunnel = clusters.find(|cluster| &*cluster.name == TUNNELS[0] && cluster.source == ClusterSource::Active)?;
    tunnel.connect_timeout.filter(|held| version >= Some((1, 24)) || *held != Duration::from_secs(2))
}

/// Whether a waypoint is an ambient mesh's east-west gateway (`pilot/pkg/model/context.go`).
pub(super) fn is_east_west(proxy: &Proxy) -> bool {
    proxy.labels.get("gateway.istio.io/managed").is_some_and(|by| by == "istio.io-eastwest-controller")
}

/// The control plane that a proxy is connected to, as far as that can be told: by its revision, or a tag of it.
fn control_plane<'a>(objects: &'a IstioObjects, proxy: &Proxy) -> Option<(usize, &'a ControlPlane)> {
    // istiod itself says who is connected to it.
    let connected = objects.connected_to(&proxy.id).map(|(plane, _)| plane);
    let plane = connected.or_else(|| objects.control_plane(&proxy.revision))?;
    let index = objects.control_planes.iter().position(|known| std::ptr::eq(known, plane))?;
    Some((index, plane))
}

/// What is known of one proxy before it is put into a class.
struct Seen<'a> {
    plane: Option<usize>,
    /// Whether its control plane can be seen.
    is_placed: bool,
    own: Option<Duration>,
    /// Which cluster shows that.
    own_by: &'static str,
    lags: bool,
    sidecar: Option<&'a Sidecar>,
    sidecar_certain: bool,
    /// For each of its control plane's behaviours: which filters are for a proxy depends on the version.
    filters: Vec<Vec<Attached<'a>>>,
    /// Where they stand in memory and whether each is certain.
    attached: Vec<Vec<(usize, bool)>>,
    /// Where the rules with a selector that are, or may be, for it stand in memory, and whether each is certain.
    rules: Vec<(usize, bool)>,
}

impl<'a> Seen<'a> {
    /// Those that are told what it is told: its control plane's, or where that cannot be seen, its revision's.
    fn peers<'p>(&self, proxy: &'p Proxy) -> (Option<usize>, &'p str, &'p str) {
        let revision = if self.is_placed { "" } else { proxy.revision.as_str() };
        (self.plane, proxy.id.context.as_str(), revision)
    }

    fn new(proxy: &Proxy, plane: Option<usize>, held: [Option<Duration>; 2], planes: &[Plane<'a>]) -> Self {
        let Some(found) = plane.map(|plane| &planes[plane]) else {
            return Self {
                plane,
                is_placed: false,
                own: held[0],
                own_by: TELLING[0],
                lags: false,
                sidecar: None,
                sidecar_certain: true,
                filters: Vec::new(),
                attached: Vec::new(),
                rules: Vec::new(),
            };
        };
        let mesh = found.mesh(0);
        let labels = mesh.labels(proxy);
        let (sidecar, sidecar_certain) = mesh.sidecar(proxy, &labels);
        let filters: Vec<Vec<Attached<'a>>> = found.meshes.iter().map(|mesh| mesh.filters(proxy, &labels)).collect();
        let address = |found: &Attached<'_>| (std::ptr::from_ref(found.filter).addr(), found.certain);
        let attached = filters.iter().map(|filters| filters.iter().map(address).collect()).collect();
        // A filter may give BlackHoleCluster another value, which is then not the mesh's.
        let patched = |name: &str, held| filters.first().is_some_and(|filters| may_patch(filters, name, held));
        let baseline = found.effective.as_ref().is_some_and(|mesh| mesh.default_connection_pool.is_some());
        let beside = held[1].filter(|&held| !baseline && !patched(TELLING[1], held));
        let hidden = held[0].is_some_and(|held| patched(TELLING[0], held));
        let (own, own_by) = if hidden { (beside, TELLING[1]) } else { (held[0], TELLING[0]) };
        let value = found.effective.as_ref().filter(|mesh| mesh.doubt.is_none()).map(|mesh| mesh.connect_timeout);
        let rules = mesh.selecting_rules(proxy, &labels).into_iter();
        let rules = rules.map(|(rule, certain)| (std::ptr::from_ref(rule).addr(), certain)).collect();
        Self {
            plane,
            is_placed: found.plane.is_some(),
            own,
            own_by,
            lags: matches!((value, own), (Some(value), Some(own)) if value != own),
            sidecar,
            sidecar_certain,
            filters,
            attached,
            rules,
        }
    }
}

/// Whether one of a proxy's filters may give one of [`TELLING`] the value that it holds.
fn may_patch(filters: &[Attached<'_>], cluster: &str, held: Duration) -> bool {
    let patches = filters.iter().flat_map(|found| &found.filter.patches);
    let outbound = cluster == TELLING[0];
    let elsewhere = |context| match context {
        PatchContext::SidecarInbound => outbound,
        PatchContext::SidecarOutbound | PatchContext::Gateway => !outbound,
        PatchContext::Any | PatchContext::Waypoint => false,
    };
    patches
        .filter(|patch| patch.connect_timeout == Some(held) && !elsewhere(patch.context))
        .filter(|patch| matches!(patch.operation, PatchOperation::Merge | PatchOperation::MergeAndReplaceList))
        .any(|patch| match patch.cluster_name.as_str() {
            "" => patch.service.is_empty() && patch.subset.is_empty() && patch.port == 0,
            name => name == cluster,
        })
}
