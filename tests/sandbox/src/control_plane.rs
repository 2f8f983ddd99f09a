//! istiod's part: watches the objects, pushes clusters to the proxies, and says so on its debug endpoints.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::admin;
use crate::api::{Cluster, Endpoint, Handler, Reply, Runtime};
use crate::envoy::Envoy;
use crate::istio::{Node, World};
use crate::log::ContainerLog;
use crate::mesh::ISTIO_VERSION;
use crate::store::Store;

/// istiod waits this long for more changes before it pushes (`PILOT_DEBOUNCE_AFTER`).
const DEBOUNCE: Duration = Duration::from_millis(100);
/// How long a proxy may take to take a push over before istiod stops looking.
const ACKNOWLEDGEMENT: Duration = Duration::from_secs(20);

/// A proxy, from istiod's side.
pub(crate) struct Proxy {
    /// What decides its clusters.
    pub(crate) node: Node,
    /// The process.
    pub(crate) envoy: Arc<Envoy>,
    /// Whether its stream to istiod is up; without it, it keeps what it has.
    pub(crate) connected: bool,
    /// The clusters it was given last.
    pub(crate) clusters: Vec<Value>,
}

/// istiod.
pub(crate) struct ControlPlane {
    mesh: Mutex<Value>,
    proxies: Mutex<HashMap<(String, String), State>>,
    /// The store's version up to which every change has been pushed.
    pushed: AtomicU64,
    log: Arc<ContainerLog>,
}

struct State {
    proxy: Proxy,
    sent: String,
    acked: String,
}

impl ControlPlane {
    /// Takes over proxies that already hold their clusters.
    pub(crate) fn new(mesh: Value, proxies: HashMap<(String, String), Proxy>) -> Arc<Self> {
        let state = |proxy: Proxy| {
            let version = proxy.envoy.version.clone();
            State { proxy, sent: version.clone(), acked: version }
        };
        let proxies = proxies.into_iter().map(|(key, proxy)| (key, state(proxy))).collect();
        Arc::new(Self {
            mesh: Mutex::new(mesh),
            proxies: Mutex::new(proxies),
            pushed: AtomicU64::new(0),
            log: Arc::default(),
        })
    }

    /// What runs in istiod's pod: its debug endpoints, and its log.
    pub(crate) fn runtime(self: &Arc<Self>) -> Runtime {
        let endpoint = Endpoint::Http(Arc::clone(self) as Arc<dyn Handler>);
        Runtime {
            ports: HashMap::from([(8080, endpoint.clone()), (15_014, endpoint)]),
            logs: HashMap::from([("discovery".to_owned(), Arc::clone(&self.log))]),
        }
    }

    /// Pushes after each change of the store, until the runtime ends.
    pub(crate) async fn watch(self: Arc<Self>, cluster: Arc<Cluster>) {
        let mut changes = cluster.store.watch();
        loop {
            self.push(&cluster.store);
            // A change that was missed is as good a reason to look as one that was not.
            let _ = changes.recv().await;
            tokio::time::sleep(DEBOUNCE).await;
            // Whatever came meanwhile is part of the push that follows.
            changes = changes.resubscribe();
        }
    }

    /// Gives every connected proxy the clusters of the world as it is, where they differ from what it has.
    fn push(self: &Arc<Self>, store: &Store) {
        let version = store.version();
        let world = self.world(store);
        for (key, state) in self.proxies().iter_mut().filter(|(_, state)| state.proxy.connected) {
            let clusters = world.clusters(&state.proxy.node);
            if clusters == state.proxy.clusters {
                continue;
            }
            let (namespace, pod) = key;
            match state.proxy.envoy.push(&clusters) {
                Ok(version) => {
                    self.say(
                        "info",
                        &format!("ads\tCDS: PUSH for node:{pod}.{namespace} resources:{}", clusters.len()),
                    );
                    state.sent = version;
                    state.proxy.clusters = clusters;
                    tokio::spawn(Arc::clone(self).acknowledge(key.clone(), Arc::clone(&state.proxy.envoy)));
                }
                Err(error) => self.say("error", &format!("ads\tCDS: push for node:{pod}.{namespace} failed: {error}")),
            }
        }
        self.pushed.store(version, Ordering::SeqCst);
    }

    /// Waits until the proxy has taken over what was sent last, as its own counter tells.
    async fn acknowledge(self: Arc<Self>, key: (String, String), envoy: Arc<Envoy>) {
        let deadline = Instant::now() + ACKNOWLEDGEMENT;
        while Instant::now() < deadline {
            if let Ok((200, body)) = admin::get(envoy.admin, "/stats?filter=cluster_manager.cds.version_text").await {
                let body = String::from_utf8_lossy(&body);
                let held = body.split('"').nth(1).unwrap_or_default();
                if let Some(state) = self.proxies().get_mut(&key) {
                    held.clone_into(&mut state.acked);
                    if state.acked == state.sent {
                        return;
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The objects as they are. Mesh configuration that can't be read leaves the last one in force.
    fn world(&self, store: &Store) -> World {
        let mut mesh = self.mesh.lock().unwrap_or_else(PoisonError::into_inner);
        match read_mesh(store) {
            Ok(read) => *mesh = read,
            Err(error) => self.say("warn", &format!("failed to read mesh configuration, using the last one: {error}")),
        }
        world(store, mesh.clone())
    }

    /// Connects a proxy to istiod again, or cuts it off.
    pub(crate) fn set_connected(self: &Arc<Self>, store: &Store, key: &(String, String), connected: bool) {
        if let Some(state) = self.proxies().get_mut(key) {
            state.proxy.connected = connected;
        }
        self.push(store);
    }

    /// Whether every change has reached every connected proxy.
    pub(crate) fn is_settled(&self, store: &Store) -> bool {
        self.pushed.load(Ordering::SeqCst) >= store.version()
            && self.proxies().values().all(|state| !state.proxy.connected || state.sent == state.acked)
    }

    fn proxies(&self) -> MutexGuard<'_, HashMap<(String, String), State>> {
        self.proxies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, level: &str, message: &str) {
        let now = Timestamp::now();
        self.log.push(now, format!("{now:.6}\t{level}\t{message}"));
    }

    /// `/debug/syncz`: the connected proxies, and what they were sent and have taken over.
    fn sync_status(&self) -> Value {
        let proxies = self.proxies();
        let mut connected: Vec<_> = proxies.iter().filter(|(_, state)| state.proxy.connected).collect();
        connected.sort_by_key(|(key, _)| *key);
        connected
            .into_iter()
            .map(|((namespace, pod), state)| {
                json!({"cluster_id": "Kubernetes", "proxy": format!("{pod}.{namespace}"), "proxy_type": state.proxy.node.role.word(),
                    "istio_version": ISTIO_VERSION, "cluster_sent": state.sent, "cluster_acked": state.acked})
            })
            .collect()
    }

    /// `/debug/mesh`: the mesh configuration in force, defaults included.
    fn effective_mesh(&self) -> Value {
        let mesh = self.mesh.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut effective = json!({"proxyListenPort": 15001, "proxyInboundListenPort": 15006, "ingressClass": "istio",
            "rootNamespace": "istio-system", "trustDomain": "cluster.local"});
        crate::patch::merge(&mut effective, &mesh);
        effective["connectTimeout"] = json!(World { mesh, ..World::default() }.mesh_timeout());
        effective
    }
}

/// The debug endpoints, on istiod's ports 8080 and 15014.
impl Handler for ControlPlane {
    fn answer(&self, _: &Method, target: &str) -> Reply {
        // istioctl asks for `//version`, and what Go's HTTP server does with that comes out at the same page.
        let path = target.split('?').next().unwrap_or_default();
        let body = match &*format!("/{}", path.trim_start_matches('/')) {
            "/debug/mesh" => self.effective_mesh(),
            "/debug/syncz" => self.sync_status(),
            "/ready" => return Reply::text(200, ""),
            "/version" => return Reply::text(200, format!("{ISTIO_VERSION}-sandbox-Clean")),
            _ => return Reply::text(404, "404 page not found\n"),
        };
        Reply::json(format!("{body:#}\n"))
    }
}

/// The key `mesh` of the ConfigMap `istio`; nothing where there is no such map.
pub(crate) fn read_mesh(store: &Store) -> Result<Value, String> {
    let maps = store.all("", "configmaps");
    let map =
        maps.iter().find(|map| map["metadata"]["namespace"] == "istio-system" && map["metadata"]["name"] == "istio");
    let Some(text) = map.and_then(|map| map["data"]["mesh"].as_str()) else { return Ok(json!({})) };
    let mesh: Value = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
    if mesh.is_object() || mesh.is_null() { Ok(mesh) } else { Err("it is no mapping".to_owned()) }
}

/// The objects that istiod reads.
pub(crate) fn world(store: &Store, mesh: Value) -> World {
    let istio = |plural: &str| store.all("networking.istio.io", plural);
    World {
        mesh,
        services: store.all("", "services"),
        service_entries: istio("serviceentries"),
        destination_rules: istio("destinationrules"),
        sidecars: istio("sidecars"),
        envoy_filters: istio("envoyfilters"),
    }
}
