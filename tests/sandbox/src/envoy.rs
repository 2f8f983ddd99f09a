//! Real Envoy processes with a bootstrap like Istio's.
//!
//! Clusters come by file-based CDS from a watched directory, so that they are *dynamic* clusters as
//! under istiod, and a file replaced by `rename` is a push. Each Envoy runs under a tiny `sh` that waits
//! for the end of a pipe this process holds: however this process ends, the pipe ends, and `sh` kills
//! the Envoy.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::eds::Routes;
use crate::istio::Role;
use crate::log::ContainerLog;
use crate::wheel::Wheel;
use crate::{Error, admin, eds};

/// How long an Envoy may take until it is live; machines that run tests are slow at times.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// The name of an Envoy's bootstrap in its directory.
const BOOTSTRAP: &str = "envoy-rev.json";

/// Starts the program in `$@`, and kills it when standard input ends.
const SUPERVISOR: &str =
    r#"exec 3<&0; "$@" 2>&1 3<&- & pid=$!; exec >/dev/null; read -r _ <&3; kill -9 "$pid" 2>/dev/null"#;

/// Istio's access log format for text (`pilot/pkg/model/telemetry_logging.go`).
const ACCESS_LOG: &str = concat!(
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% ",
    "%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% ",
    "\"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% ",
    "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" ",
    "\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% ",
    "%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% ",
    "%REQUESTED_SERVER_NAME% %ROUTE_NAME%\n"
);

/// A proxy to start.
#[derive(Debug, Clone)]
pub struct EnvoySpec {
    /// The pod's name.
    pub pod: String,
    /// The pod's namespace.
    pub namespace: String,
    /// What the proxy is.
    pub role: Role,
    /// Which Envoy.
    pub wheel: Wheel,
    /// The Istio version in the node's metadata.
    pub istio_version: String,
    /// What the application beside it can talk through.
    pub listeners: Vec<Listener>,
}

/// A listener for outbound traffic.
#[derive(Debug, Clone)]
pub struct Listener {
    /// The listener's name, as istiod would give it.
    pub name: &'static str,
    /// What it does with a connection.
    pub filter: Filter,
}

/// What a listener does with a connection.
#[derive(Debug, Clone)]
pub enum Filter {
    /// Forwards its bytes to this cluster.
    Tcp(&'static str),
    /// Routes its requests by host: each of these to its cluster, with Istio's default retries.
    Http(&'static [(&'static str, &'static str)]),
}

/// A running Envoy.
#[derive(Debug)]
pub struct Envoy {
    /// Where its admin endpoint listens on this machine.
    pub admin: SocketAddr,
    /// Where its listeners listen on this machine, by name.
    pub listeners: HashMap<String, SocketAddr>,
    /// The version of the clusters it was started with.
    pub version: String,
    /// What it writes to standard output and error.
    pub log: Arc<ContainerLog>,
    directory: PathBuf,
    routes: Arc<Routes>,
    program: PathBuf,
    /// Holds the pipe whose end is the Envoy's end.
    supervisor: Mutex<Child>,
}

impl Envoy {
    /// Starts an Envoy in `directory` and waits until it is live with `clusters`.
    ///
    /// `routes` gives each host's real address here, and `agent` is where endpoints are served by it.
    ///
    /// # Errors
    /// [`Error::Envoy`] with the end of the Envoy's own log where it does not come up.
    pub(crate) async fn start(
        spec: &EnvoySpec,
        directory: PathBuf,
        clusters: &[Value],
        (routes, agent): (Arc<Routes>, SocketAddr),
        log: Arc<ContainerLog>,
    ) -> Result<Self, Error> {
        let failed = |message: String| Error::Envoy { pod: format!("{}/{}", spec.namespace, spec.pod), message };
        let program = spec.wheel.program()?;
        fs::create_dir_all(&directory).map_err(|e| failed(e.to_string()))?;
        let version = version();
        write_clusters(&directory, clusters, &routes, &version).map_err(|e| failed(e.to_string()))?;
        fs::write(directory.join(BOOTSTRAP), bootstrap_json(spec, &directory, agent).to_string())
            .map_err(|e| failed(e.to_string()))?;
        let (supervisor, admin) = run(&program, &directory, &log).await.map_err(failed)?;
        let listeners = listeners(admin).await.map_err(failed)?;
        let supervisor = Mutex::new(supervisor);
        Ok(Self { admin, listeners, version, log, directory, routes, program, supervisor })
    }

    /// Kills the Envoy and starts it again at the same addresses, as a kubelet restarts a container: its log levels are
    /// those that it is started with.
    ///
    /// # Errors
    /// [`Error::Server`] where it does not come up again.
    pub(crate) async fn restart(&self) -> Result<(), Error> {
        let bootstrap = self.directory.join(BOOTSTRAP);
        let text = fs::read(&bootstrap).map_err(Error::server)?;
        let mut config: Value = serde_json::from_slice(&text).map_err(Error::server)?;
        config["admin"]["address"] = loopback(self.admin.port());
        for listener in config["static_resources"]["listeners"].as_array_mut().into_iter().flatten() {
            let own = listener["name"].as_str().and_then(|name| self.listeners.get(name));
            listener["address"] = loopback(own.map_or(0, SocketAddr::port));
        }
        fs::write(&bootstrap, config.to_string()).map_err(Error::server)?;
        let pipe = self.supervisor.lock().unwrap_or_else(PoisonError::into_inner).stdin.take();
        drop(pipe);
        while admin::get(self.admin, "/ready").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // An address that was just left may be taken for a moment: by the old process's last sockets, or by somebody's
        // connection to elsewhere.
        let mut attempts = 0;
        let supervisor = loop {
            match run(&self.program, &self.directory, &self.log).await {
                Ok((supervisor, _)) => break supervisor,
                Err(message) if attempts == 20 => return Err(Error::Server(message)),
                Err(_) => attempts += 1,
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        };
        *self.supervisor.lock().unwrap_or_else(PoisonError::into_inner) = supervisor;
        Ok(())
    }

    /// Gives the Envoy new clusters, as a push from istiod would, and returns their version.
    ///
    /// # Errors
    /// Any error of writing the files.
    pub fn push(&self, clusters: &[Value]) -> std::io::Result<String> {
        let version = version();
        write_clusters(&self.directory, clusters, &self.routes, &version)?;
        Ok(version)
    }
}

/// Starts an Envoy with the bootstrap in its directory, and waits until it is live. The error says what it said.
async fn run(program: &Path, directory: &Path, log: &Arc<ContainerLog>) -> Result<(Child, SocketAddr), String> {
    let admin_path = directory.join("admin-address");
    let mut supervisor = Command::new("sh")
        .args(["-c", SUPERVISOR, "supervisor"])
        .arg(program)
        .arg("-c")
        .arg(directory.join(BOOTSTRAP))
        .arg("--admin-address-path")
        .arg(&admin_path)
        .args(["--drain-time-s", "45", "--drain-strategy", "immediate", "--local-address-ip-version", "v4"])
        .args(["--file-flush-interval-msec", "100", "--disable-hot-restart", "--allow-unknown-static-fields"])
        .args(["-l", "warning", "--component-log-level", "misc:error", "--concurrency", "1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // Its own process group: Ctrl-C in a terminal must reach this process only, so that the
        // supervisor is still there to end its Envoy.
        .process_group(0)
        .spawn()
        .map_err(|e| format!("`sh` could not be started: {e}"))?;
    let output = supervisor.stdout.take();
    let copy = Arc::clone(log);
    let reader = tokio::spawn(async move {
        let Some(output) = output else { return };
        let mut lines = BufReader::new(output).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            copy.push(Timestamp::now(), line);
        }
    });
    let live = tokio::select! {
        admin = wait_until_live(&admin_path) => Ok(admin),
        // Only a dead Envoy closes its output.
        _ = reader => Err("it ended"),
        () = tokio::time::sleep(START_DEADLINE) => Err("it is not live after a minute"),
    };
    let admin = live.map_err(|what| {
        let said = log.text();
        // The reason comes first, and a backtrace after it.
        let beginning: Vec<&str> = said.lines().take(6).collect();
        format!("{what}; it said: {}", beginning.join(" | "))
    })?;
    Ok((supervisor, admin))
}

/// Istio's version of a push: the time and a counter.
fn version() -> String {
    static PUSHES: AtomicU64 = AtomicU64::new(1);
    format!("{:.0}/{}", Timestamp::now(), PUSHES.fetch_add(1, Ordering::Relaxed))
}

async fn wait_until_live(admin_path: &Path) -> SocketAddr {
    loop {
        if let Some(address) = fs::read_to_string(admin_path).ok().and_then(|text| text.trim().parse().ok())
            && let Ok((200, _)) = admin::get(address, "/ready").await
        {
            return address;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn listeners(admin: SocketAddr) -> Result<HashMap<String, SocketAddr>, String> {
    let (_, body) = admin::get(admin, "/listeners?format=json").await.map_err(|e| e.to_string())?;
    let body: Value = serde_json::from_slice(&body).map_err(|e| e.to_string())?;
    let statuses = body["listener_statuses"].as_array().cloned().unwrap_or_default();
    Ok(statuses
        .iter()
        .filter_map(|status| {
            let at = &status["local_address"]["socket_address"];
            let address = format!("{}:{}", at["address"].as_str()?, at["port_value"]);
            Some((status["name"].as_str()?.to_owned(), address.parse().ok()?))
        })
        .collect())
}

/// Writes, by `rename`, the cluster file that Envoy watches.
fn write_clusters(directory: &Path, clusters: &[Value], routes: &Routes, version: &str) -> std::io::Result<()> {
    let resources: Vec<Value> = clusters.iter().map(|cluster| localized(cluster, routes)).collect();
    let path = directory.join("cds.json");
    let scratch = path.with_extension("next");
    fs::write(&scratch, json!({"version_info": version, "resources": resources}).to_string())?;
    fs::rename(scratch, path)
}

/// The cluster as istiod gives it, but for where its endpoints come from: there is no ADS stream here,
/// and the names do not resolve.
fn localized(cluster: &Value, routes: &Routes) -> Value {
    let mut cluster = cluster.clone();
    cluster["@type"] = json!("type.googleapis.com/envoy.config.cluster.v3.Cluster");
    if cluster["type"] == "EDS" {
        cluster["eds_cluster_config"]["eds_config"] = json!({
            "api_config_source": {"api_type": "REST", "transport_api_version": "V3", "cluster_names": ["agent"],
                "refresh_delay": "86400s", "request_timeout": "5s"},
            "initial_fetch_timeout": "0s",
            "resource_api_version": "V3",
        });
    } else if cluster["type"] == "STRICT_DNS" {
        let name = cluster["name"].as_str().unwrap_or_default().to_owned();
        cluster["load_assignment"]["endpoints"] = eds::endpoints(routes, &name);
    }
    cluster
}

/// Istio's bootstrap (`tools/packaging/common/envoy_bootstrap.json`), with CDS from a file.
fn bootstrap_json(spec: &EnvoySpec, directory: &Path, agent: SocketAddr) -> Value {
    let log_format = "%Y-%m-%dT%T.%fZ\t%l\tenvoy %n %g:%#\t%v\tthread=%t";
    json!({
        "application_log_config": {"log_format": {"text_format": log_format}},
        "node": {
            "id": format!("{}~127.0.0.1~{}.{}~{}.svc.cluster.local", spec.role.word(), spec.pod, spec.namespace, spec.namespace),
            "cluster": format!("{}.{}", spec.pod, spec.namespace),
            "locality": {},
            "metadata": {
                "NAME": spec.pod, "NAMESPACE": spec.namespace, "CLUSTER_ID": "Kubernetes", "MESH_ID": "cluster.local",
                "ISTIO_VERSION": spec.istio_version, "ISTIO_PROXY_SHA": "sandbox",
                "PROXY_CONFIG": {"concurrency": 2, "discoveryAddress": "istiod.istio-system.svc:15012", "statusPort": 15020},
            },
        },
        "admin": {"address": loopback(0), "profile_path": "/dev/null"},
        "bootstrap_extensions": [{"name": "envoy.bootstrap.internal_listener", "typed_config":
            {"@type": "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener"}}],
        "dynamic_resources": {"cds_config": {
            "path_config_source": {"path": directory.join("cds.json"), "watched_directory": {"path": directory}},
            "initial_fetch_timeout": "0s", "resource_api_version": "V3",
        }},
        "static_resources": {
            "clusters": static_clusters(agent.port()),
            "listeners": spec.listeners.iter().map(listener).chain([statistics()]).collect::<Vec<_>>(),
        },
    })
}

/// The clusters that come with Istio's bootstrap, with the timeouts they have there; `agent` is
/// pilot-agent's port, 15020 in a pod.
pub(crate) fn static_clusters(agent: u16) -> Vec<Value> {
    let at = |name: &str, address: Value| json!({"cluster_name": name, "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]});
    let local = |name: &str, port: u16| json!({"name": name, "type": "STATIC", "connect_timeout": "0.250s", "load_assignment": at(name, loopback(port))});
    let pipe = |name: &str, path: &str| {
        json!({"name": name, "type": "STATIC", "connect_timeout": "1s", "load_assignment": at(name, json!({"pipe": {"path": path}})),
            "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}}}}})
    };
    vec![
        local("prometheus_stats", 15000),
        local("agent", agent),
        pipe("sds-grpc", "./var/run/secrets/workload-spiffe-uds/socket"),
        pipe("xds-grpc", "./etc/istio/proxy/XDS"),
        json!({"name": "zipkin", "type": "STATIC", "connect_timeout": "1s", "load_assignment": at("zipkin", loopback(9411))}),
    ]
}

fn loopback(port: u16) -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": port}})
}

/// The listener of Istio's bootstrap for Prometheus, on port 15090 in a pod.
fn statistics() -> Value {
    let route = json!({"match": {"prefix": "/stats/prometheus"}, "route": {"cluster": "prometheus_stats"}});
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "stats",
        "route_config": {"virtual_hosts": [{"name": "backend", "domains": ["*"], "routes": [route]}]},
        "http_filters": [{"name": "envoy.filters.http.router",
            "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
    });
    json!({"name": "prometheus_stats", "address": loopback(0), "filter_chains": [{"filters": [
        {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}]})
}

fn listener(listener: &Listener) -> Value {
    let access_log = json!([{
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
            "path": "/dev/stdout",
            "log_format": {"text_format_source": {"inline_string": ACCESS_LOG}},
        },
    }]);
    let (name, config) = match &listener.filter {
        Filter::Tcp(cluster) => (
            "envoy.filters.network.tcp_proxy",
            json!({
                "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
                "stat_prefix": cluster, "cluster": cluster, "access_log": access_log,
            }),
        ),
        Filter::Http(routes) => (
            "envoy.filters.network.http_connection_manager",
            json!({
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "stat_prefix": format!("outbound_{}", listener.name), "access_log": access_log,
                "route_config": {
                    "name": listener.name.rsplit('_').next(),
                    "validate_clusters": false,
                    "virtual_hosts": routes.iter().map(|(host, cluster)| virtual_host(host, cluster)).collect::<Vec<_>>(),
                },
                "http_filters": [{"name": "envoy.filters.http.router", "typed_config":
                    {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
            }),
        ),
    };
    json!({
        "name": listener.name,
        "address": loopback(0),
        "traffic_direction": "OUTBOUND",
        "filter_chains": [{"filters": [{"name": name, "typed_config": config}]}],
    })
}

/// A route with the retries Istio gives every one (`pilot/pkg/networking/core/route/retry/retry.go`).
fn virtual_host(host: &str, cluster: &str) -> Value {
    json!({
        "name": host,
        "domains": [host],
        "routes": [{"name": "default", "match": {"prefix": "/"}, "route": {
            "cluster": cluster,
            "timeout": "0s",
            "retry_policy": {"retry_on": "connect-failure,refused-stream,unavailable,cancelled", "num_retries": 2},
        }}],
    })
}
