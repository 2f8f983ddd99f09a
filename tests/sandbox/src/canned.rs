//! Proxies answered from memory, so that a mesh of hundreds with thousands of clusters fits on a laptop.
//!
//! The answers have the shape of Envoy's, down to the spaces: resources, masks, and the errors for what
//! is neither. They were compared with Envoy 1.40.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use hyper::body::Bytes;
use serde::Serialize as _;
use serde_json::{Map, Value, json};

use crate::api::{Handler, Reply};
use crate::envoy;
use crate::mesh::{self, ISTIO_VERSION, Mesh, Pod, Proxy, Workload};

const ELEMENT: &str = "type.googleapis.com/envoy.admin.v3.ClustersConfigDump.";
const CLUSTER: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
const PUSHED: &str = "2026-11-20T09:00:00.000Z";

/// Fields beside the cluster that a mask may name.
const ELEMENT_FIELDS: [&str; 5] = ["version_info", "cluster", "last_updated", "error_state", "client_status"];
/// Fields of a cluster that a mask may name; the real list is longer.
const CLUSTER_FIELDS: [&str; 14] = [
    "name",
    "alt_stat_name",
    "type",
    "cluster_type",
    "eds_cluster_config",
    "connect_timeout",
    "lb_policy",
    "circuit_breakers",
    "upstream_bind_config",
    "metadata",
    "common_lb_config",
    "load_assignment",
    "transport_socket_matches",
    "typed_extension_protocol_options",
];
/// Loggers that every Envoy of the last years has.
const LOGGERS: [&str; 24] = [
    "admin",
    "assert",
    "backtrace",
    "client",
    "config",
    "connection",
    "conn_handler",
    "dns",
    "file",
    "filter",
    "grpc",
    "hc",
    "http",
    "http2",
    "init",
    "io",
    "main",
    "misc",
    "pool",
    "router",
    "runtime",
    "secret",
    "tracing",
    "upstream",
];
const LEVELS: [&str; 8] = ["trace", "debug", "info", "warning", "warn", "error", "critical", "off"];

/// What proxies with the same configuration share.
struct Configuration {
    clusters: Vec<Value>,
    /// Answers already put into words, by target.
    rendered: Mutex<HashMap<String, Reply>>,
}

/// One proxy.
struct CannedProxy {
    configuration: Arc<Configuration>,
    latency: Duration,
    node: Value,
    levels: Mutex<BTreeMap<&'static str, String>>,
}

/// A mesh of `proxies` sidecars in ten namespaces, each with `clusters` outbound clusters. The mesh's
/// value is 10 s; one cluster in twenty has 1 s by a DestinationRule, and one proxy in ten still has
/// the 1 s that the mesh had before.
#[must_use]
pub fn mesh(proxies: usize, clusters: usize) -> Mesh {
    distant_mesh(proxies, clusters, Duration::ZERO)
}

/// The same, with a time that passes before each answer of a proxy.
#[must_use]
pub fn distant_mesh(proxies: usize, clusters: usize, latency: Duration) -> Mesh {
    let mut mesh = Mesh::default();
    for number in 0..10 {
        let name = namespace(number);
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"istio-injection": "enabled"}}});
        mesh.objects.push((object, "kubectl-create"));
    }
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "istio", "namespace": "istio-system"},
        "data": {"mesh": "connectTimeout: 10s\n"}});
    mesh.objects.push((object, "helm"));
    let [current, stale] = ["10s", "1s"]
        .map(|timeout| Arc::new(Configuration { clusters: outbound(clusters, timeout), rendered: Mutex::default() }));
    for number in 0..proxies {
        // The workload's template is static; its namespace is not.
        let mut object = Workload::new("", "load", "6d8f7c9b54", &[]).pod(&format!("{number:05}"));
        object["metadata"]["namespace"] = json!(namespace(number % 10));
        object["metadata"]["uid"] = json!(mesh::uid("Pod", "load", &number.to_string()));
        let configuration = if number % 10 == 9 { &stale } else { &current };
        let proxy = CannedProxy::new(Arc::clone(configuration), latency, &object);
        mesh.pods.push(Pod { proxy: Proxy::Canned(Arc::new(proxy)), ..Pod::without_proxy(object) });
    }
    mesh
}

fn namespace(number: usize) -> String {
    format!("team-{number}")
}

fn outbound(count: usize, mesh_timeout: &str) -> Vec<Value> {
    (0..count)
        .map(|number| {
            let (service, namespace) = (format!("service-{number:04}"), namespace(number % 10));
            let name = format!("outbound|8080||{service}.{namespace}.svc.cluster.local");
            let mut istio = json!({"services": [{"host": format!("{service}.{namespace}.svc.cluster.local"), "name": service, "namespace": namespace}]});
            let overridden = number % 20 == 19;
            if overridden {
                istio["config"] = json!(format!("/apis/networking.istio.io/v1/namespaces/{namespace}/destination-rule/{service}"));
            }
            json!({
                "@type": CLUSTER,
                "name": name,
                "type": "EDS",
                "eds_cluster_config": {"eds_config": {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"}, "service_name": name},
                "connect_timeout": if overridden { "1s" } else { mesh_timeout },
                "lb_policy": "LEAST_REQUEST",
                "circuit_breakers": {"thresholds": [{"max_connections": 4_294_967_295_u32, "max_pending_requests": 4_294_967_295_u32,
                    "max_requests": 4_294_967_295_u32, "max_retries": 4_294_967_295_u32, "track_remaining": true}]},
                "metadata": {"filter_metadata": {"istio": istio}},
                "common_lb_config": {"locality_weighted_lb_config": {}},
            })
        })
        .collect()
}

impl CannedProxy {
    fn new(configuration: Arc<Configuration>, latency: Duration, pod: &Value) -> Self {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
        let levels = LOGGERS.map(|logger| (logger, if logger == "misc" { "error" } else { "warning" }.to_owned()));
        Self {
            configuration,
            latency,
            node: json!({"id": format!("sidecar~10.244.0.1~{name}.{namespace}~{namespace}.svc.cluster.local"),
                "cluster": format!("load.{namespace}"),
                "metadata": {"NAME": name, "NAMESPACE": namespace, "ISTIO_VERSION": ISTIO_VERSION}}),
            levels: Mutex::new(BTreeMap::from(levels)),
        }
    }

    fn logging(&self, method: &Method, query: &str) -> Reply {
        if method != Method::POST {
            return Reply::text(405, format!("Method {method} not allowed, POST required."));
        }
        let parameters: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        let changes: Vec<(String, String)> = match parameters.as_slice() {
            [] => Vec::new(),
            [(key, level)] if key == "level" => LOGGERS.map(|logger| (logger.to_owned(), level.clone())).to_vec(),
            [(key, paths)] if key == "paths" => {
                let pairs = paths.split(',').filter_map(|pair| pair.split_once(':'));
                pairs.map(|(logger, level)| (logger.to_owned(), level.to_owned())).collect()
            }
            [one] => vec![one.clone()],
            _ => return Reply::text(400, usage("error: invalid number of parameters", &levels)),
        };
        if changes.iter().any(|(_, level)| !LEVELS.contains(&level.as_str())) {
            return Reply::text(400, usage("error: unknown logger level", &levels));
        }
        if changes.iter().any(|(logger, _)| !levels.contains_key(logger.as_str())) {
            return Reply::text(400, usage("error: unknown logger name", &levels));
        }
        for (logger, level) in changes {
            if let Some(present) = levels.get_mut(logger.as_str()) {
                *present = if level == "warn" { "warning".to_owned() } else { level };
            }
        }
        Reply::text(200, active(&levels))
    }
}

fn active(levels: &BTreeMap<&'static str, String>) -> String {
    let mut text = "active loggers:\n".to_owned();
    for (logger, level) in levels {
        let _ = writeln!(text, "  {logger}: {level}");
    }
    text + "\n"
}

fn usage(error: &str, levels: &BTreeMap<&'static str, String>) -> String {
    format!(
        "{error}\n\nusage: /logging?<name>=<level> (change single level)\nusage: /logging?paths=name1:level1,name2:level2,... (change multiple levels)\nusage: /logging?level=<level> (change all levels)\nlevels: trace debug info warning error critical off \n{}",
        active(levels)
    )
}

impl Handler for CannedProxy {
    fn latency(&self) -> Duration {
        self.latency
    }

    fn answer(&self, method: &Method, target: &str) -> Reply {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        match path {
            "/logging" => self.logging(method, query),
            "/ready" => Reply::text(200, "LIVE\n"),
            "/server_info" => Reply::json(printed(&json!({
                "version": "9e5580933739775e8bce696a57a2e1bc99368f23/1.40.0/Clean/RELEASE/BoringSSL", "state": "LIVE",
                "uptime_current_epoch": "259200s", "uptime_all_epochs": "259200s", "hot_restart_version": "disabled",
                "command_line_options": {"concurrency": 2, "log_level": "warning", "component_log_level": "misc:error"},
                "node": self.node,
            }))),
            "/config_dump" | "/clusters" | "/stats" => self.configuration.answer(path, query, target),
            _ => Reply::text(404, "invalid path. admin commands are:\n  /: Admin home page\n"),
        }
    }
}

impl Configuration {
    /// The answer for a target, put into words once and shared from then on.
    fn answer(&self, path: &str, query: &str, target: &str) -> Reply {
        let mut rendered = self.rendered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reply) = rendered.get(target) {
            return reply.clone();
        }
        let parameter = |name: &str| {
            form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
        };
        let reply = match path {
            "/config_dump" => match parameter("resource") {
                Some(resource) => self.resource(&resource, parameter("mask").as_deref()),
                None => self.whole(parameter("mask").as_deref()),
            },
            "/clusters" => self.statuses(),
            // Nothing has happened on any cluster, so no counter is worth a line.
            _ => {
                if parameter("format").as_deref() == Some("json") {
                    Reply::json("{\"stats\":[]}")
                } else {
                    Reply::text(200, "")
                }
            }
        };
        rendered.insert(target.to_owned(), reply.clone());
        reply
    }

    fn elements(&self, resource: &str) -> Option<Vec<Value>> {
        let element = |kind: &str, cluster: &Value| {
            let mut element = Map::new();
            element.insert("@type".to_owned(), json!(format!("{ELEMENT}{kind}")));
            if kind == "DynamicCluster" {
                element.insert("version_info".to_owned(), json!("2026-11-20T09:00:00Z/42"));
            }
            let mut cluster = cluster.clone();
            cluster["@type"] = json!(CLUSTER);
            element.insert("cluster".to_owned(), cluster);
            element.insert("last_updated".to_owned(), json!(PUSHED));
            Value::Object(element)
        };
        match resource {
            "dynamic_active_clusters" => {
                Some(self.clusters.iter().map(|cluster| element("DynamicCluster", cluster)).collect())
            }
            "static_clusters" => {
                let clusters = envoy::static_clusters(15_020).into_iter().map(typed_first);
                Some(clusters.map(|cluster| element("StaticCluster", &cluster)).collect())
            }
            "dynamic_warming_clusters" => Some(Vec::new()),
            _ => None,
        }
    }

    fn resource(&self, resource: &str, mask: Option<&str>) -> Reply {
        let Some(mut elements) = self.elements(resource) else {
            return refused(404, format!("{resource} not found in config dump"));
        };
        if let Some(mask) = mask {
            let paths: Vec<Vec<&str>> = mask.split(',').map(|path| path.split('.').collect()).collect();
            if !paths.iter().all(|path| known(path)) {
                let quoted: String = mask.split(',').map(|path| format!("paths: \"{path}\"\n")).collect();
                return refused(400, format!("FieldMask {quoted} could not be successfully used."));
            }
            for element in &mut elements {
                *element = masked(element, &paths);
            }
        }
        if elements.is_empty() { Reply::json("{}\n") } else { Reply::json(printed(&json!({"configs": elements}))) }
    }

    /// The dump without `resource`: one section for each kind of configuration, the mask being a list of
    /// sections' fields as `istioctl` uses it.
    fn whole(&self, mask: Option<&str>) -> Reply {
        let mut section = json!({"@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump"});
        let wanted = |name: &str| mask.is_none_or(|mask| mask.split(',').any(|path| path == name));
        if mask.is_none() {
            section["version_info"] = json!("2026-11-20T09:00:00Z/42");
        }
        for resource in ["static_clusters", "dynamic_active_clusters"] {
            if wanted(resource)
                && let Some(mut elements) = self.elements(resource)
            {
                for element in &mut elements {
                    if let Some(fields) = element.as_object_mut() {
                        fields.shift_remove("@type");
                    }
                }
                section[resource] = json!(elements);
            }
        }
        if section.as_object().is_some_and(|section| section.len() == 1) {
            return refused(
                400,
                format!("FieldMask {} could not be successfully applied to any configs.", mask.unwrap_or_default()),
            );
        }
        let mut configs = vec![section];
        if mask.is_none() {
            configs.insert(0, json!({"@type": "type.googleapis.com/envoy.admin.v3.BootstrapConfigDump", "bootstrap": {}, "last_updated": PUSHED}));
        }
        Reply::json(printed(&json!({"configs": configs})))
    }

    fn statuses(&self) -> Reply {
        let statuses: Vec<Value> = self
            .clusters
            .iter()
            .map(|cluster| {
                let hosts: Vec<Value> = (1..=3).map(|last| json!({
                    "address": {"socket_address": {"address": format!("10.244.7.{last}"), "port_value": 8080}},
                    "stats": [{"name": "cx_connect_fail"}, {"value": "12", "name": "cx_total"}, {"name": "rq_error"}],
                    "health_status": {"eds_health_status": "HEALTHY"}, "weight": 1, "locality": {},
                })).collect();
                json!({"name": cluster["name"], "added_via_api": true, "host_statuses": hosts, "observability_name": cluster["name"]})
            })
            .collect();
        Reply::json(printed(&json!({"cluster_statuses": statuses})))
    }
}

/// An error of the dump's own, which names no character set where the admin endpoint's others do.
fn refused(status: u16, message: String) -> Reply {
    Reply { status, content_type: "text/plain", body: message.into() }
}

/// `@type` stands first in what Envoy prints.
fn typed_first(cluster: Value) -> Value {
    let mut typed = Map::new();
    typed.insert("@type".to_owned(), json!(CLUSTER));
    if let Value::Object(fields) = cluster {
        typed.extend(fields);
    }
    Value::Object(typed)
}

/// Whether a mask's path names fields that exist.
fn known(path: &[&str]) -> bool {
    match path {
        ["cluster", field, ..] => CLUSTER_FIELDS.contains(field),
        [field] => ELEMENT_FIELDS.contains(field),
        ["error_state", "failed_configuration" | "last_update_attempt" | "details" | "version_info"] => true,
        _ => false,
    }
}

/// The element with only what the paths name, and the type at each level, which Envoy keeps.
fn masked(value: &Value, paths: &[Vec<&str>]) -> Value {
    if paths.iter().any(Vec::is_empty) {
        return value.clone();
    }
    let mut kept = Map::new();
    for (key, field) in value.as_object().into_iter().flatten() {
        let below: Vec<Vec<&str>> = paths.iter().filter(|path| path[0] == key).map(|path| path[1..].to_vec()).collect();
        if key == "@type" {
            kept.insert(key.clone(), field.clone());
        } else if !below.is_empty() {
            kept.insert(key.clone(), masked(field, &below));
        }
    }
    Value::Object(kept)
}

/// JSON as Envoy's admin endpoint prints it: one space a level.
fn printed(value: &Value) -> Bytes {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b" ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    // Writing a value into memory can't fail.
    let _ = value.serialize(&mut serializer);
    bytes.push(b'\n');
    bytes.into()
}
