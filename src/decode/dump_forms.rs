//! Config dumps in other forms than Envoy's own and istioctl's array: a single `ClustersConfigDump`, one cluster or one
//! entry of a dump, the maps of several proxies that `egctl config envoy-proxy` and `kubectl meshaudit clusters -o json`
//! print, what carries a dump inside (an answer of xDS or of CSDS, a HAR file, Ansible's results), and all of these as
//! YAML. Each comes out as the array of elements that [`super::dump`] reads.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{entry, parse_error};

/// The largest document that is held whole.
pub const MAX_DOCUMENT: usize = 128 << 20;

/// The largest YAML document; as values it takes many times as much.
pub const MAX_YAML: usize = 48 << 20;

/// The largest document that is searched for what it carries inside, and how deep; of what is found there are copies.
const MAX_SEARCHED: usize = 32 << 20;
const MAX_DEPTH: usize = 16;

/// One proxy's dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneDump {
    /// The proxy's namespace and name, where the document names it.
    pub proxy: Option<(String, String)>,
    /// An array of elements, or an object with `configs`, as JSON.
    pub json: String,
}

/// The dumps that a JSON object holds which is no `/config_dump` itself; `None` where it holds none.
#[must_use]
pub fn of_object(json: &[u8]) -> Option<Vec<OneDump>> {
    let json = std::str::from_utf8(json).ok()?.trim_start_matches('\u{feff}');
    if is_element(json) {
        return Some(vec![OneDump { proxy: None, json: format!("[{json}]") }]);
    }
    of_map(json).filter(|found| !found.is_empty()).or_else(|| inside(json))
}

/// The dumps of a map by proxies; `None` where something else stands in it.
fn of_map(json: &str) -> Option<Vec<OneDump>> {
    let mut found = Vec::new();
    for (key, value) in members(json)? {
        match dump(&key, value) {
            // Ours: the proxies' names with their clusters.
            Some(json) if !IN_RESPONSES.contains(&key.as_str()) => {
                found.push(OneDump { proxy: Some(split(&key)), json: json.into_owned() });
            }
            Some(_) => return None,
            // egctl's (`internal/cmd/egctl/config.go`): namespaces with their pods.
            None => {
                for (pod, value) in members(value)? {
                    let json = dump(&pod, value)?.into_owned();
                    found.push(OneDump { proxy: Some((key.clone(), pod)), json });
                }
            }
        }
    }
    Some(found)
}

/// Keys of xDS under which clusters stand: `DiscoveryResponse` (`envoy/service/discovery/v3/discovery.proto`), and the
/// files that Envoy reads in its place.
const IN_RESPONSES: [&str; 2] = ["resources", "clusters"];

/// What a document carries inside.
enum Carried {
    Dump(OneDump),
    /// One cluster, of which others may stand beside it.
    Cluster(String),
}

/// The dumps that a document carries somewhere inside, in text too; `None` where there is none.
fn inside(json: &str) -> Option<Vec<OneDump>> {
    if json.len() > MAX_SEARCHED {
        return None;
    }
    let mut dumps: Vec<OneDump> = Vec::new();
    for carried in carried(json, 0) {
        let dump = match carried {
            Carried::Dump(dump) => dump,
            Carried::Cluster(json) => OneDump { proxy: None, json: format!("[{json}]") },
        };
        // Ansible says what a command printed more than once.
        if !dumps.contains(&dump) {
            dumps.push(dump);
        }
    }
    (!dumps.is_empty()).then_some(dumps)
}

/// What a value carries.
fn carried(json: &str, depth: usize) -> Vec<Carried> {
    let json = json.trim_start();
    if depth > MAX_DEPTH {
        return Vec::new();
    }
    let children: Vec<Carried> = match json.as_bytes().first() {
        Some(b'"') => {
            let text: String = serde_json::from_str(json).unwrap_or_default();
            let mut documents = serde_json::Deserializer::from_str(&text).into_iter::<&RawValue>();
            return match documents.next() {
                Some(Ok(document)) if text.trim_start().starts_with(['{', '[']) => carried(document.get(), depth + 1),
                _ => Vec::new(),
            };
        }
        Some(b'[') => {
            let elements: Vec<&RawValue> = serde_json::from_str(json).unwrap_or_default();
            elements.into_iter().flat_map(|element| carried(element.get(), depth + 1)).collect()
        }
        Some(b'{') => {
            let members = members(json).unwrap_or_default();
            if are_element(&members) {
                let is_section = members.iter().any(|(key, _)| OF_SECTION.contains(&key.as_str()));
                let dump = || Carried::Dump(OneDump { proxy: None, json: format!("[{json}]") });
                return vec![if is_section { dump() } else { Carried::Cluster(json.to_owned()) }];
            }
            let value =
                |names: &[&str]| members.iter().find(|(key, _)| names.contains(&key.as_str())).map(|(_, value)| *value);
            let text = |names: &[&str]| value(names).and_then(|value| serde_json::from_str::<String>(value).ok());
            // What Kubernetes keeps are no proxy's clusters: an EnvoyFilter has some that it would add.
            if text(&["apiVersion"]).is_some() && text(&["kind"]).is_some() {
                return Vec::new();
            }
            if value(&["configs"]).is_some_and(|configs| configs.starts_with(['[', '{'])) {
                vec![Carried::Dump(OneDump { proxy: None, json: json.to_owned() })]
            } else {
                // What a proxy starts with is not what it has.
                let others = members.iter().filter(|(key, _)| !STARTS_WITH.contains(&key.as_str()));
                let mut found: Vec<Carried> = others.flat_map(|(_, value)| carried(value, depth + 1)).collect();
                if let (Some(pod), [Carried::Dump(dump)]) = (text(&OF_POD), found.as_mut_slice()) {
                    let namespace = text(&["namespace"]).unwrap_or_default();
                    dump.proxy.get_or_insert((namespace, pod));
                }
                found
            }
        }
        _ => Vec::new(),
    };
    let (mut clusters, mut rest) = (Vec::new(), Vec::new());
    for child in children {
        match child {
            Carried::Cluster(json) => clusters.push(json),
            dump @ Carried::Dump(_) => rest.push(dump),
        }
    }
    match <[String; 1]>::try_from(clusters) {
        Ok([one]) => rest.push(Carried::Cluster(one)),
        Err(clusters) if clusters.is_empty() => {}
        Err(clusters) => rest.push(Carried::Dump(OneDump { proxy: None, json: format!("[{}]", clusters.join(",")) })),
    }
    rest
}

/// Where a bootstrap stands (`envoy/config/bootstrap/v3/bootstrap.proto`, `BootstrapConfigDump`).
const STARTS_WITH: [&str; 3] = ["bootstrap", "static_resources", "staticResources"];

/// Under which keys a script names the pod whose dump stands beside.
const OF_POD: [&str; 4] = ["pod", "pod_name", "podName", "proxy"];

/// Whether an object is one of those that a `/config_dump` lists, or a cluster: several of them, one after another, are
/// one proxy's dump, as `jq '.configs[]'` and `jq -c '.[]'` print it.
#[must_use]
pub fn is_part(json: &[u8]) -> bool {
    matches!(entry::type_name(json), Ok(Some(name)) if name.ends_with("ConfigDump"))
        || std::str::from_utf8(json).is_ok_and(is_element)
}

/// Whether a text may be YAML, so that it is worth being held whole: its first line that says something is a key or an
/// item.
#[must_use]
pub fn may_be_yaml(beginning: &[u8]) -> bool {
    let text = String::from_utf8_lossy(beginning);
    let says = |line: &&str| !line.is_empty() && !line.starts_with(['#', '%']) && !line.starts_with("---");
    let Some(line) = text.trim_start_matches('\u{feff}').lines().map(str::trim).find(says) else { return false };
    if line.starts_with(['{', '[', '<']) {
        return false;
    }
    line.starts_with("- ") || line.ends_with(':') || line.split_once(": ").is_some_and(|(key, _)| is_key(key))
}

fn is_key(key: &str) -> bool {
    let key = key.trim_matches(['"', '\'']);
    !key.is_empty() && !key.contains([' ', '\t'])
}

/// The documents of a YAML text, as JSON.
///
/// # Errors
/// What is wrong, and where, without the text itself.
pub fn yaml_documents(text: &str) -> Result<Vec<String>, String> {
    let budget = serde_saphyr::budget! {
        // What a document of `MAX_YAML` can hold; aliases stay bounded as they are.
        max_events: 20_000_000,
        max_nodes: 10_000_000,
    };
    let options = serde_saphyr::options! { budget: budget };
    let documents: Vec<serde_json::Value> =
        serde_saphyr::from_multiple_with_options(text, options).map_err(|error| parse_error::yaml(&error))?;
    Ok(documents.iter().filter(|value| value.is_object() || value.is_array()).map(ToString::to_string).collect())
}

/// A value that is a dump by itself, as JSON that [`super::dump`] reads. An array without clusters is one only where its
/// key is a proxy's name.
fn dump<'a>(key: &str, json: &'a str) -> Option<Cow<'a, str>> {
    if let Some(elements) = json.strip_prefix('[') {
        let is_dump = if elements.trim_start().starts_with(']') {
            key.contains('/')
        } else {
            let mut elements = serde_json::Deserializer::from_str(elements).into_iter::<&RawValue>();
            is_element(elements.next()?.ok()?.get())
        };
        return is_dump.then_some(Cow::Borrowed(json));
    }
    if members(json)?.iter().any(|(key, _)| key == "configs") {
        return Some(Cow::Borrowed(json));
    }
    is_element(json).then(|| Cow::Owned(format!("[{json}]")))
}

/// Fields of `ClustersConfigDump` (`envoy/admin/v3/config_dump.proto`).
const OF_SECTION: [&str; 6] = [
    "static_clusters",
    "staticClusters",
    "dynamic_active_clusters",
    "dynamicActiveClusters",
    "dynamic_warming_clusters",
    "dynamicWarmingClusters",
];

/// Fields of `Cluster` (`envoy/config/cluster/v3/cluster.proto`) that hardly anything else with a name has.
const OF_CLUSTER: [&str; 14] = [
    "connect_timeout",
    "connectTimeout",
    "eds_cluster_config",
    "edsClusterConfig",
    "load_assignment",
    "loadAssignment",
    "cluster_type",
    "clusterType",
    "lb_policy",
    "lbPolicy",
    "circuit_breakers",
    "circuitBreakers",
    "transport_socket_matches",
    "transportSocketMatches",
];

/// Other fields of `Cluster`, which with a name alone are no sign of anything else.
const BESIDE_NAME: [&str; 12] = [
    "name",
    "metadata",
    "filters",
    "alt_stat_name",
    "altStatName",
    "common_lb_config",
    "commonLbConfig",
    "transport_socket",
    "transportSocket",
    "typed_extension_protocol_options",
    "typedExtensionProtocolOptions",
    "type",
];

/// Fields of endpoints as istioctl prints them (`ClusterStatus` in `envoy/admin/v3/clusters.proto`), which have a name
/// and circuit breakers too.
const OF_ENDPOINTS: [&str; 8] = [
    "host_statuses",
    "hostStatuses",
    "added_via_api",
    "addedViaApi",
    "observability_name",
    "observabilityName",
    "eds_service_name",
    "edsServiceName",
];

/// What stands in a cluster's `type`.
const DISCOVERY_TYPES: [&str; 5] = ["\"STATIC\"", "\"STRICT_DNS\"", "\"LOGICAL_DNS\"", "\"EDS\"", "\"ORIGINAL_DST\""];

/// Whether an object with a name and without a type of its own is a cluster. Listeners, routes, secrets, endpoints, and
/// what istioctl prints of a ztunnel have names too.
pub(super) fn is_cluster(json: &[u8]) -> bool {
    let Some(members) = std::str::from_utf8(json).ok().and_then(members) else { return false };
    let has = |names: &[&str]| members.iter().any(|(key, _)| names.contains(&key.as_str()));
    let by_type = members.iter().any(|(key, value)| key == "type" && DISCOVERY_TYPES.contains(value));
    let may_be = members.iter().all(|(key, _)| BESIDE_NAME.contains(&key.as_str()));
    !has(&OF_ENDPOINTS) && (by_type || has(&OF_CLUSTER) || may_be)
}

/// Whether an object is one element of a dump: it says so by its type, or has what only those have.
fn is_element(json: &str) -> bool {
    members(json).is_some_and(|members| are_element(&members))
}

/// The same of an object's members.
fn are_element(members: &[(String, &str)]) -> bool {
    let value = |name: &str| members.iter().find(|(key, _)| key == name).map(|(_, value)| *value);
    let has = |names: &[&str]| members.iter().any(|(key, _)| names.contains(&key.as_str()));
    if let Some(url) = value("@type") {
        let kind = url.trim_matches('"').rsplit(['.', '/']).next();
        return matches!(kind, Some("ClustersConfigDump" | "StaticCluster" | "DynamicCluster" | "Cluster"));
    }
    let is_named = value("name").is_some() && !has(&OF_ENDPOINTS);
    (is_named && has(&OF_CLUSTER)) || has(&OF_SECTION) || value("cluster").is_some_and(is_element)
}

/// An object's members in their order, undecoded; `None` where it is no object.
fn members(json: &str) -> Option<Vec<(String, &str)>> {
    let read: Members<'_> = serde_json::from_str(json).ok()?;
    Some(read.0.into_iter().map(|(key, value)| (key, value.get())).collect())
}

struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// `NAMESPACE/POD`, as this program prints it, or a pod alone. A context in front is left out.
fn split(key: &str) -> (String, String) {
    let mut parts = key.rsplit('/');
    let pod = parts.next().unwrap_or_default().to_owned();
    (parts.next().unwrap_or_default().to_owned(), pod)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn not_everything_with_a_name_is_a_cluster() {
        for (object, expected) in [
            (json!({"name": "a", "type": "STATIC"}), true),
            (json!({"name": "a", "connectTimeout": "1s"}), true),
            (json!({"name": "a", "cluster_type": {"name": "envoy.clusters.aggregate"}}), true),
            (json!({"name": "a"}), true),
            (json!({"name": "a", "metadata": {"filterMetadata": {}}, "commonLbConfig": {}}), true),
            // What istioctl 1.31 prints of endpoints, listeners, routes, secrets, and a ztunnel's services, workloads,
            // policies.
            (json!({"name": "a", "hostStatuses": [], "circuitBreakers": {}}), false),
            (json!({"name": "a", "addedViaApi": true, "circuitBreakers": {}, "edsServiceName": "a"}), false),
            (json!({"name": "a", "address": {}, "filterChains": [], "listenerFilters": []}), false),
            (json!({"name": "80", "virtualHosts": []}), false),
            (json!({"name": "default", "tlsCertificate": {}}), false),
            (json!({"name": "a", "namespace": "b", "hostname": "c", "vips": [], "ports": {}}), false),
            (json!({"name": "a", "workloadIps": [], "protocol": "HBONE", "status": "Healthy"}), false),
            (json!({"name": "a", "scope": "Namespace", "action": "Allow", "rules": []}), false),
        ] {
            assert_eq!(is_cluster(object.to_string().as_bytes()), expected, "{object}");
        }
    }

    #[test]
    fn finds_what_is_a_dump() {
        let cluster = json!({"name": "outbound|80||a", "connectTimeout": "1s"});
        let section = json!({"dynamicActiveClusters": [{"cluster": cluster}]});
        for element in [
            cluster.clone(),
            json!({"@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": "a"}),
            section.clone(),
            json!({"@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump"}),
            json!({"version_info": "3", "cluster": cluster}),
        ] {
            let found = of_object(element.to_string().as_bytes()).expect("an element");
            assert_eq!(found, [OneDump { proxy: None, json: json!([element]).to_string() }], "{element}");
        }
        for other in [
            json!({}),
            json!({"items": []}),
            json!({"items": [{"kind": "Pod"}]}),
            json!({"name": "left-pad", "version": "1"}),
            json!({"a": 1}),
        ] {
            assert_eq!(of_object(other.to_string().as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn finds_the_proxies_of_maps() {
        let clusters = json!([{"name": "a", "connectTimeout": "1s"}]);
        let named = |namespace: &str, pod: &str| Some((namespace.to_owned(), pod.to_owned()));
        let ours = json!({"shop/web-1": clusters, "eu/shop/web-2": clusters});
        let found = of_object(ours.to_string().as_bytes()).expect("a map");
        let names: Vec<_> = found.iter().map(|one| one.proxy.clone()).collect();
        assert_eq!(names, [named("shop", "web-1"), named("shop", "web-2")]);
        assert_eq!(found[0].json, clusters.to_string());

        let all = json!({"configs": [{"@type": "x.ClustersConfigDump"}]});
        let section = json!({"@type": "x.ClustersConfigDump", "dynamicActiveClusters": []});
        let egctl = json!({"gateways": {"eg-1": all, "eg-2": section}});
        let found = of_object(egctl.to_string().as_bytes()).expect("egctl's map");
        assert_eq!((found[0].proxy.clone(), &*found[0].json), (named("gateways", "eg-1"), &*all.to_string()));
        assert_eq!(
            (found[1].proxy.clone(), &*found[1].json),
            (named("gateways", "eg-2"), &*json!([section]).to_string())
        );
    }

    #[test]
    fn reads_yaml_as_what_it_stands_for() {
        let text = "# by istioctl\n- name: outbound|80||a\n  connectTimeout: 1s\n  type: EDS\n";
        assert!(may_be_yaml(text.as_bytes()));
        let expected = json!([{"name": "outbound|80||a", "connectTimeout": "1s", "type": "EDS"}]).to_string();
        assert_eq!(yaml_documents(text).expect("sound"), std::slice::from_ref(&expected));
        let two = yaml_documents(&format!("---\n{text}---\n{text}")).expect("sound");
        assert_eq!(two, [expected.clone(), expected]);
        assert!(yaml_documents("a: [").is_err());
        for other in
            ["", "<html>", "[2026-01-01] info", "{\"a\": 1}", "2026-11-01T00:00:01Z ERROR failed: reset", "plain"]
        {
            assert!(!may_be_yaml(other.as_bytes()), "{other}");
        }
    }
}
