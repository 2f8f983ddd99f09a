//! What istiod would give a proxy: clusters out of mesh configuration, services and policies.
//!
//! Small, but right for what decides a connect timeout. The order is Istio's own
//! (`pilot/pkg/networking/core/cluster_traffic_policy.go`, `pilot/pkg/model/push_context.go`):
//! the mesh's value, then the DestinationRule's connection pool, then a Sidecar's inbound pool, then
//! EnvoyFilters.

use jiff::SignedDuration;
use serde_json::{Map, Value, json};

/// Istio's default where the mesh configuration says nothing (`pkg/config/mesh/mesh.go`).
const MESH_DEFAULT: &str = "10s";
/// The namespace whose DestinationRules hold for the whole mesh.
const ROOT_NAMESPACE: &str = "istio-system";

/// What a proxy is: the word after `proxy` in its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Beside an application, ordinary or native.
    Sidecar,
    /// A gateway.
    Router,
    /// A layer-7 proxy of ambient mode.
    Waypoint,
}

impl Role {
    /// The word Istio uses for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Role::Sidecar => "sidecar",
            Role::Router => "router",
            Role::Waypoint => "waypoint",
        }
    }
}

/// What istiod knows of a proxy that asks for its clusters.
#[derive(Debug, Clone)]
pub struct Node {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's labels, which select Sidecars, EnvoyFilters and the services it is behind.
    pub labels: Map<String, Value>,
    /// What the proxy is.
    pub role: Role,
}

/// The objects istiod watches, as the API server holds them.
#[derive(Debug, Clone, Default)]
pub struct World {
    /// The parsed `mesh` key of the ConfigMap `istio`.
    pub mesh: Value,
    /// Services.
    pub services: Vec<Value>,
    /// ServiceEntries.
    pub service_entries: Vec<Value>,
    /// DestinationRules.
    pub destination_rules: Vec<Value>,
    /// Sidecars.
    pub sidecars: Vec<Value>,
    /// EnvoyFilters.
    pub envoy_filters: Vec<Value>,
}

impl World {
    /// The mesh's connect timeout in protobuf's JSON form, such as `1s` or `0.250s`.
    #[must_use]
    pub fn mesh_timeout(&self) -> String {
        self.mesh["connectTimeout"].as_str().and_then(protobuf_duration).unwrap_or_else(|| MESH_DEFAULT.to_owned())
    }

    /// The clusters of one proxy, in the order istiod sends them.
    #[must_use]
    pub fn clusters(&self, node: &Node) -> Vec<Value> {
        let mut clusters = match node.role {
            Role::Sidecar => {
                let mut clusters = self.outbound(node);
                clusters.push(black_hole(&self.mesh_timeout()));
                clusters.push(original_destination("PassthroughCluster", &self.mesh_timeout(), None));
                clusters.extend(self.inbound(node));
                clusters.push(original_destination(
                    "InboundPassthroughCluster",
                    &self.mesh_timeout(),
                    Some("127.0.0.6"),
                ));
                clusters
            }
            Role::Router => {
                let mut clusters = self.outbound(node);
                clusters.push(black_hole(&self.mesh_timeout()));
                clusters
            }
            Role::Waypoint => self.waypoint(node),
        };
        self.apply_envoy_filters(node, &mut clusters);
        clusters
    }

    fn outbound(&self, node: &Node) -> Vec<Value> {
        let mut clusters = Vec::new();
        for host in self.hosts() {
            let rule = self.rule_for(node, &host);
            for port in &host.ports {
                let mut subsets = vec![None];
                subsets.extend(rule.iter().flat_map(|rule| array(&rule["spec"]["subsets"])).map(Some));
                for subset in subsets {
                    let name = subset.and_then(|subset| subset["name"].as_str());
                    let timeout =
                        rule.and_then(|rule| rule_timeout(rule, *port, subset)).unwrap_or_else(|| self.mesh_timeout());
                    clusters.push(host.outbound_cluster(*port, name, &timeout, rule));
                }
            }
        }
        clusters
    }

    fn inbound(&self, node: &Node) -> Vec<Value> {
        let mut clusters = Vec::new();
        for host in self.hosts().into_iter().filter(|host| host.selects(node)) {
            // A server's own DestinationRule configures its inbound clusters too, if it has a policy.
            let rule = self.rule_for(node, &host).filter(|rule| rule["spec"]["trafficPolicy"].is_object());
            for port in &host.target_ports {
                let timeout = self
                    .sidecar_inbound_timeout(node)
                    .or_else(|| rule.and_then(|rule| rule_timeout(rule, *port, None)))
                    .unwrap_or_else(|| self.mesh_timeout());
                let mut cluster = original_destination(&format!("inbound|{port}||"), &timeout, Some("127.0.0.6"));
                cluster["metadata"] = host.metadata(None, rule);
                clusters.push(cluster);
            }
        }
        clusters
    }

    fn waypoint(&self, node: &Node) -> Vec<Value> {
        // These two carry no connect_timeout at all, so Envoy's 5 s holds
        // (`pilot/pkg/networking/core/cluster_waypoint.go`).
        let mut clusters = vec![internal("main_internal", "main_internal"), internal("encap", "connect_originate")];
        clusters.push(original_destination("connect_originate", &self.mesh_timeout(), None));
        for host in self.hosts().into_iter().filter(|host| host.namespace == node.namespace && !host.external) {
            let rule = self.rule_for(node, &host);
            for port in &host.ports {
                for protocol in ["http", "tcp"] {
                    let timeout =
                        rule.and_then(|rule| rule_timeout(rule, *port, None)).unwrap_or_else(|| self.mesh_timeout());
                    let mut cluster = host.outbound_cluster(*port, None, &timeout, rule);
                    let name = format!("inbound-vip|{port}|{protocol}|{}", host.name);
                    cluster["eds_cluster_config"]["service_name"] = json!(name);
                    cluster["name"] = json!(name);
                    clusters.push(cluster);
                }
            }
        }
        clusters
    }

    /// Every host that the registry knows, with its ports.
    fn hosts(&self) -> Vec<Host> {
        let services = self.services.iter().map(Host::from_service);
        let entries = self.service_entries.iter().flat_map(Host::from_service_entry);
        services.chain(entries).collect()
    }

    /// The DestinationRule in force: the client's namespace, then the service's, then the root's; the
    /// first namespace with a match wins, and within it the most specific host.
    fn rule_for(&self, node: &Node, host: &Host) -> Option<&Value> {
        let mut namespaces = vec![host.namespace.as_str(), ROOT_NAMESPACE];
        if node.namespace != ROOT_NAMESPACE {
            namespaces.insert(0, &node.namespace);
        }
        namespaces.into_iter().find_map(|namespace| {
            self.destination_rules
                .iter()
                .filter(|rule| rule["metadata"]["namespace"] == namespace && visible(rule, &node.namespace))
                .filter_map(|rule| Some((specificity(rule, &host.name)?, rule)))
                .max_by_key(|(specificity, _)| *specificity)
                .map(|(_, rule)| rule)
        })
    }

    fn sidecar_inbound_timeout(&self, node: &Node) -> Option<String> {
        self.sidecars
            .iter()
            .filter(|sidecar| sidecar["metadata"]["namespace"] == node.namespace.as_str())
            .filter(|sidecar| selected(&sidecar["spec"]["workloadSelector"]["labels"], &node.labels))
            .find_map(|sidecar| pool_timeout(&sidecar["spec"]["inboundConnectionPool"]))
    }

    fn apply_envoy_filters(&self, node: &Node, clusters: &mut Vec<Value>) {
        for filter in &self.envoy_filters {
            let namespace = &filter["metadata"]["namespace"];
            if (namespace != node.namespace.as_str() && namespace != ROOT_NAMESPACE)
                || !selected(&filter["spec"]["workloadSelector"]["labels"], &node.labels)
            {
                continue;
            }
            for patch in array(&filter["spec"]["configPatches"]).filter(|patch| patch["applyTo"] == "CLUSTER") {
                let value = &patch["patch"]["value"];
                match patch["patch"]["operation"].as_str() {
                    Some("ADD") => clusters.push(value.clone()),
                    Some("MERGE") => {
                        let wanted = &patch["match"]["cluster"];
                        for cluster in clusters.iter_mut().filter(|cluster| patch_matches(wanted, cluster)) {
                            crate::patch::merge(cluster, value);
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

/// A host of the service registry.
struct Host {
    name: String,
    namespace: String,
    service: String,
    ports: Vec<u64>,
    target_ports: Vec<u64>,
    selector: Value,
    external: bool,
}

impl Host {
    fn from_service(service: &Value) -> Self {
        let name = text(&service["metadata"]["name"]);
        let namespace = text(&service["metadata"]["namespace"]);
        let ports: Vec<u64> = array(&service["spec"]["ports"]).filter_map(|port| port["port"].as_u64()).collect();
        let target_ports = array(&service["spec"]["ports"])
            .filter_map(|port| port["targetPort"].as_u64().or_else(|| port["port"].as_u64()))
            .collect();
        Self {
            name: format!("{name}.{namespace}.svc.cluster.local"),
            namespace,
            service: name,
            ports,
            target_ports,
            selector: service["spec"]["selector"].clone(),
            external: false,
        }
    }

    fn from_service_entry(entry: &Value) -> impl Iterator<Item = Self> {
        array(&entry["spec"]["hosts"]).map(|host| Self {
            name: text(host),
            namespace: text(&entry["metadata"]["namespace"]),
            service: text(host),
            ports: array(&entry["spec"]["ports"]).filter_map(|port| port["number"].as_u64()).collect(),
            target_ports: Vec::new(),
            selector: Value::Null,
            external: true,
        })
    }

    fn selects(&self, node: &Node) -> bool {
        self.selector.is_object() && self.namespace == node.namespace && selected(&self.selector, &node.labels)
    }

    fn metadata(&self, subset: Option<&str>, rule: Option<&Value>) -> Value {
        let mut istio = Map::new();
        if self.external {
            istio.insert("external".to_owned(), json!(true));
        }
        istio.insert(
            "services".to_owned(),
            json!([{"host": self.name, "name": self.service, "namespace": self.namespace}]),
        );
        if let Some(rule) = rule {
            let path = format!(
                "/apis/networking.istio.io/v1/namespaces/{}/destination-rule/{}",
                text(&rule["metadata"]["namespace"]),
                text(&rule["metadata"]["name"])
            );
            istio.insert("config".to_owned(), json!(path));
        }
        if let Some(subset) = subset {
            istio.insert("subset".to_owned(), json!(subset));
        }
        json!({"filter_metadata": {"istio": istio}})
    }

    fn outbound_cluster(&self, port: u64, subset: Option<&str>, timeout: &str, rule: Option<&Value>) -> Value {
        let name = format!("outbound|{port}|{}|{}", subset.unwrap_or_default(), self.name);
        // Fields stand in the order of their numbers in Envoy's protobuf, as Envoy prints them.
        let mut cluster = json!({"@type": CLUSTER, "name": name});
        if self.external {
            cluster["type"] = json!("STRICT_DNS");
        } else {
            cluster["type"] = json!("EDS");
            cluster["eds_cluster_config"] = json!({
                "eds_config": {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"},
                "service_name": name,
            });
        }
        cluster["connect_timeout"] = json!(timeout);
        cluster["lb_policy"] = json!("LEAST_REQUEST");
        cluster["circuit_breakers"] = circuit_breakers();
        if self.external {
            cluster["dns_refresh_rate"] = json!("60s");
            cluster["dns_lookup_family"] = json!("V4_ONLY");
        }
        cluster["metadata"] = self.metadata(subset, rule);
        cluster["common_lb_config"] = json!({"locality_weighted_lb_config": {}});
        if self.external {
            cluster["load_assignment"] = json!({
                "cluster_name": name,
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address":
                    {"socket_address": {"address": self.name, "port_value": port}}}}]}],
            });
            cluster["respect_dns_ttl"] = json!(true);
        }
        cluster
    }
}

const CLUSTER: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";

fn circuit_breakers() -> Value {
    let most = u64::from(u32::MAX);
    json!({"thresholds": [{
        "max_connections": most, "max_pending_requests": most, "max_requests": most,
        "max_retries": most, "track_remaining": true,
    }]})
}

fn black_hole(timeout: &str) -> Value {
    json!({"@type": CLUSTER, "name": "BlackHoleCluster", "type": "STATIC", "connect_timeout": timeout})
}

fn original_destination(name: &str, timeout: &str, source: Option<&str>) -> Value {
    let mut cluster = json!({"@type": CLUSTER, "name": name, "type": "ORIGINAL_DST", "connect_timeout": timeout});
    cluster["lb_policy"] = json!("CLUSTER_PROVIDED");
    cluster["circuit_breakers"] = circuit_breakers();
    if let Some(source) = source {
        cluster["upstream_bind_config"] = json!({"source_address": {"address": source, "port_value": 0}});
    }
    cluster
}

fn internal(name: &str, listener: &str) -> Value {
    json!({"@type": CLUSTER, "name": name, "type": "STATIC", "load_assignment": {
        "cluster_name": name,
        "endpoints": [{"lb_endpoints": [{"endpoint": {"address":
            {"envoy_internal_address": {"server_listener_name": listener}}}}]}],
    }})
}

/// The timeout a DestinationRule gives, or `None` where it leaves the mesh's.
///
/// A `portLevelSettings` entry replaces the policy around it whole, and a subset replaces it block by
/// block: this is how a subset with only `connectionPool.http` loses its parent's timeout.
fn rule_timeout(rule: &Value, port: u64, subset: Option<&Value>) -> Option<String> {
    let policy = &rule["spec"]["trafficPolicy"];
    let mut pool = &port_level(policy, port).unwrap_or(policy)["connectionPool"];
    if let Some(policy) = subset.map(|subset| &subset["trafficPolicy"]) {
        if let Some(settings) = port_level(policy, port) {
            pool = &settings["connectionPool"];
        } else if policy["connectionPool"].is_object() {
            pool = &policy["connectionPool"];
        }
    }
    pool_timeout(pool)
}

fn port_level(policy: &Value, port: u64) -> Option<&Value> {
    array(&policy["portLevelSettings"]).find(|settings| settings["port"]["number"] == port)
}

fn pool_timeout(pool: &Value) -> Option<String> {
    pool["tcp"]["connectTimeout"].as_str().and_then(protobuf_duration)
}

/// How closely a rule's host matches: the longer, the closer; an exact match beats every wildcard.
fn specificity(rule: &Value, host: &str) -> Option<usize> {
    let written = rule["spec"]["host"].as_str()?;
    if let Some(suffix) = written.strip_prefix('*') {
        return host.ends_with(suffix).then_some(suffix.len());
    }
    let namespace = text(&rule["metadata"]["namespace"]);
    let exact =
        written == host || (!written.contains('.') && format!("{written}.{namespace}.svc.cluster.local") == host);
    exact.then_some(usize::MAX)
}

fn visible(rule: &Value, client: &str) -> bool {
    let mut scopes = array(&rule["spec"]["exportTo"]).filter_map(Value::as_str).peekable();
    scopes.peek().is_none()
        || scopes
            .any(|scope| scope == "*" || scope == client || (scope == "." && rule["metadata"]["namespace"] == client))
}

fn patch_matches(wanted: &Value, cluster: &Value) -> bool {
    let name = text(&cluster["name"]);
    let mut parts = name.splitn(4, '|').skip(1);
    let (port, subset, host) = (parts.next(), parts.next(), parts.next());
    wanted["name"].as_str().is_none_or(|wanted| wanted == name)
        && wanted["service"].as_str().is_none_or(|wanted| Some(wanted) == host)
        && wanted["subset"].as_str().is_none_or(|wanted| Some(wanted) == subset)
        && wanted["portNumber"].as_u64().is_none_or(|wanted| Some(wanted.to_string().as_str()) == port)
}

/// Whether every wanted label is there; no wanted labels select everything.
fn selected(wanted: &Value, labels: &Map<String, Value>) -> bool {
    wanted.as_object().is_none_or(|wanted| wanted.iter().all(|(key, value)| labels.get(key) == Some(value)))
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A duration as people write it in Istio's objects (`250ms`, `1m`, `1.5s`), in protobuf's JSON form.
pub(crate) fn protobuf_duration(written: &str) -> Option<String> {
    let duration: SignedDuration = written.parse().ok()?;
    let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
    Some(if nanos == 0 {
        format!("{seconds}s")
    } else if nanos % 1_000_000 == 0 {
        format!("{seconds}.{:03}s", nanos / 1_000_000)
    } else {
        format!("{seconds}.{nanos:09}s")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_printed_as_protobuf_prints_them() {
        for (written, printed) in [
            ("250ms", "0.250s"),
            ("1s", "1s"),
            ("1.5s", "1.500s"),
            ("1m", "60s"),
            ("0.25s", "0.250s"),
            ("1m30s", "90s"),
        ] {
            assert_eq!(protobuf_duration(written).as_deref(), Some(printed), "{written}");
        }
        assert_eq!(protobuf_duration("soon"), None);
    }

    #[test]
    fn a_subset_replaces_its_parents_connection_pool_whole() {
        let rule = json!({"spec": {
        "trafficPolicy": {"connectionPool": {"tcp": {"connectTimeout": "5s"}},
            "portLevelSettings": [{"port": {"number": 9443}}]},
        "subsets": [
            {"name": "keeps"},
            {"name": "drops", "trafficPolicy": {"connectionPool": {"http": {"maxRetries": 1}}}},
            {"name": "sets", "trafficPolicy": {"connectionPool": {"tcp": {"connectTimeout": "3s"}}}},
        ]}});
        let subset = |index: usize| Some(&rule["spec"]["subsets"][index]);
        assert_eq!(rule_timeout(&rule, 80, None).as_deref(), Some("5s"));
        assert_eq!(rule_timeout(&rule, 80, subset(0)).as_deref(), Some("5s"));
        assert_eq!(rule_timeout(&rule, 80, subset(1)), None);
        assert_eq!(rule_timeout(&rule, 80, subset(2)).as_deref(), Some("3s"));
        assert_eq!(rule_timeout(&rule, 9443, None), None);
    }
}
