//! Pods: which are selected, and which of them are proxies (facts from `pkg/kube/inject` and its templates).

use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::client::{ApiError, Connection};
use super::targets::{Target, WorkloadKind};
use crate::decode::pod_config;
use crate::model::{Proxy, ProxyId, ProxyRole, SkippedProxy, StartupLogLevels};

/// How many pods a page of a list has, as kubectl's `--chunk-size`.
const PAGE: u32 = 500;

/// The fields of a pod that are used; the rest is never kept.
#[derive(Debug, Clone, Deserialize)]
pub struct Pod {
    metadata: Metadata,
    #[serde(default)]
    spec: PodSpec,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    name: String,
    namespace: String,
    uid: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodSpec {
    containers: Vec<Container>,
    init_containers: Vec<Container>,
    node_name: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    name: String,
    image: String,
    command: Vec<String>,
    args: Vec<String>,
    env: Vec<EnvVar>,
    ports: Vec<ContainerPort>,
    restart_policy: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ContainerPort {
    name: String,
    container_port: u16,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct EnvVar {
    name: String,
    value: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodStatus {
    phase: String,
    container_statuses: Vec<ContainerStatus>,
    init_container_statuses: Vec<ContainerStatus>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ContainerStatus {
    name: String,
    restart_count: u32,
}

#[derive(Deserialize)]
struct List<T> {
    #[serde(default)]
    metadata: ListMetadata,
    #[serde(default = "Vec::new")]
    items: Vec<T>,
}

#[derive(Default, Deserialize)]
struct ListMetadata {
    #[serde(default, rename = "continue")]
    continue_token: String,
}

/// Which pods are meant.
#[derive(Debug, Clone, Default)]
pub struct PodSelection {
    /// Pods and workloads; empty for all pods of the namespace.
    pub targets: Vec<Target>,
    /// `-n`; else the context's namespace.
    pub namespace: Option<String>,
    /// `-A`.
    pub all_namespaces: bool,
    /// `-l`.
    pub labels: Option<String>,
    /// `--field-selector`.
    pub fields: Option<String>,
    /// `--admin-port`, in place of what the pods say.
    pub admin_port: Option<u16>,
}

/// What a selection found in one cluster.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The proxies, by name.
    pub proxies: Vec<Proxy>,
    /// Pods that are no proxies to be audited, with the reason.
    pub skipped: Vec<SkippedProxy>,
}

/// Finds the selected pods; a pod that several targets mean is there once for each.
pub(super) async fn find_pods(connection: &Connection, selection: &PodSelection) -> Result<Vec<Pod>, ApiError> {
    let namespace = selection.namespace.as_deref().unwrap_or(&connection.namespace);
    let mut pods = Vec::new();
    if selection.targets.is_empty() {
        let scope = if selection.all_namespaces { None } else { Some(namespace) };
        pods = connection.list_pods(scope, selection.labels.as_deref(), selection.fields.as_deref()).await?;
        if pods.is_empty()
            && let Some(scope) = scope
        {
            connection.require_namespace(scope).await?;
        }
    }
    for target in &selection.targets {
        pods.extend(connection.target_pods(target, namespace, selection).await?);
    }
    Ok(pods)
}

/// Finds the selected pods and tells the proxies among them. `context` goes into their names; empty for none.
pub async fn select(connection: &Connection, selection: &PodSelection, context: &str) -> Result<Found, ApiError> {
    let pods = find_pods(connection, selection).await?;
    let mut found = Found::default();
    let mut seen = BTreeSet::new();
    for pod in pods {
        let id = ProxyId {
            context: context.to_owned(),
            namespace: pod.metadata.namespace.clone(),
            name: pod.metadata.name.clone(),
        };
        if !seen.insert(id.clone()) {
            continue;
        }
        match pod.proxy(id.clone()) {
            Ok(mut proxy) => {
                proxy.admin_port = selection.admin_port.unwrap_or(proxy.admin_port);
                found.proxies.push(proxy);
            }
            Err(reason) => found.skipped.push(SkippedProxy { id, reason }),
        }
    }
    found.proxies.sort_by(|a, b| a.id.cmp(&b.id));
    found.skipped.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(found)
}

impl Pod {
    /// Namespace and name.
    pub(super) fn name(&self) -> (&str, &str) {
        (&self.metadata.namespace, &self.metadata.name)
    }

    /// The named containers, or all but Istio's own where none is named; none of a pod that has not started.
    pub(super) fn containers_with_logs<'a>(&'a self, named: &'a [String]) -> impl Iterator<Item = &'a str> {
        let started = !matches!(self.status.phase.as_str(), "" | "Pending");
        let native = self.spec.init_containers.iter().filter(|container| container.restart_policy == "Always");
        self.spec.containers.iter().chain(native).map(|container| container.name.as_str()).filter(move |name| {
            started && if named.is_empty() { *name != "istio-proxy" } else { named.iter().any(|wanted| wanted == name) }
        })
    }

    /// The containers' ports by name; of two of one name the first counts (`FindPort` of
    /// `pilot/pkg/serviceregistry/kube/controller/util.go`).
    fn named_ports(&self) -> BTreeMap<String, u16> {
        let mut named = BTreeMap::new();
        let native = self.spec.init_containers.iter().filter(|container| container.restart_policy == "Always");
        for port in self.spec.containers.iter().chain(native).flat_map(|container| &container.ports) {
            if !port.name.is_empty() {
                named.entry(port.name.clone()).or_insert(port.container_port);
            }
        }
        named
    }

    /// The proxy in this pod, or why there is none to be audited.
    fn proxy(&self, id: ProxyId) -> Result<Proxy, String> {
        let (labels, annotations) = (&self.metadata.labels, &self.metadata.annotations);
        let native = self.spec.init_containers.iter().filter(|container| container.restart_policy == "Always");
        let mut containers = self.spec.containers.iter().chain(native);
        let Some(container) = containers.clone().find(|container| container.name == "istio-proxy") else {
            return Err(if containers.any(|container| container.name == "agentgateway") {
                "agentgateway, which is not Envoy".to_owned()
            } else {
                "no istio-proxy container".to_owned()
            });
        };
        let role = match container.role() {
            _ if labels.get("app").is_some_and(|app| app == "ztunnel") => Err("ztunnel, which is not Envoy".to_owned()),
            Some("ztunnel") => Err("ztunnel, which is not Envoy".to_owned()),
            Some("router") => Ok(ProxyRole::Gateway),
            Some("waypoint") => Ok(ProxyRole::Waypoint),
            _ => Ok(ProxyRole::Sidecar),
        }?;
        let env = |name: &str| container.env.iter().find(|env| env.name == name).map(|env| env.value.as_str());
        if env("ISTIO_META_GENERATOR") == Some("grpc") || env("DISABLE_ENVOY") == Some("true") {
            return Err("proxyless gRPC: there is no Envoy".to_owned());
        }
        if self.status.phase != "Running" {
            let phase = if self.status.phase.is_empty() { "Unknown" } else { &self.status.phase };
            return Err(format!("not running (phase {phase})"));
        }
        let annotated = annotations.get("proxy.istio.io/config").map(String::as_str);
        let admin_port = env("PROXY_CONFIG")
            .and_then(pod_config::admin_port)
            .or_else(|| annotated.and_then(pod_config::admin_port))
            .unwrap_or(Proxy::ADMIN_PORT);
        let statuses = self.status.container_statuses.iter().chain(&self.status.init_container_statuses);
        let restart_count =
            statuses.filter(|status| status.name == container.name).map(|status| status.restart_count).sum();
        let revision = annotations.get("istio.io/rev").or_else(|| labels.get("istio.io/rev"));
        Ok(Proxy {
            id,
            role,
            revision: revision.cloned().unwrap_or_default(),
            istio_version: container.image_version().unwrap_or_default().to_owned(),
            labels: labels.clone(),
            ports: self.named_ports(),
            node: self.spec.node_name.clone(),
            cluster_id: env("ISTIO_META_CLUSTER_ID").unwrap_or_default().to_owned(),
            network: env("ISTIO_META_NETWORK").unwrap_or_default().to_owned(),
            admin_port,
            container: container.name.clone(),
            uid: self.metadata.uid.clone(),
            restart_count,
            startup_log_levels: StartupLogLevels {
                level: container
                    .argument("--proxyLogLevel")
                    .or_else(|| annotations.get("sidecar.istio.io/logLevel").map(String::as_str))
                    .map(str::to_owned),
                components: container
                    .argument("--proxyComponentLogLevel")
                    .or_else(|| annotations.get("sidecar.istio.io/componentLogLevel").map(String::as_str))
                    .map(str::to_owned),
            },
        })
    }
}

impl Container {
    fn words(&self) -> impl Iterator<Item = &str> {
        self.command.iter().chain(&self.args).map(String::as_str)
    }

    /// The word after `proxy` in pilot-agent's arguments.
    fn role(&self) -> Option<&str> {
        self.words().skip_while(|word| *word != "proxy").nth(1)
    }

    /// A flag's value, as `--flag=value` or as the next word.
    fn argument(&self, flag: &str) -> Option<&str> {
        let mut words = self.words();
        while let Some(word) = words.next() {
            if let Some(rest) = word.strip_prefix(flag) {
                match rest.strip_prefix('=') {
                    Some(value) => return Some(value),
                    None if rest.is_empty() => return words.next(),
                    None => {}
                }
            }
        }
        None
    }

    /// The version in an image's tag: `docker.io/istio/proxyv2:1.29.2-distroless` gives `1.29.2`.
    fn image_version(&self) -> Option<&str> {
        let name = self.image.split('@').next()?;
        let (_, tag) = name.rsplit('/').next()?.split_once(':')?;
        let version = tag.split('-').next()?;
        version.starts_with(|c: char| c.is_ascii_digit()).then_some(version)
    }
}

#[derive(Deserialize)]
struct Selecting {
    spec: Option<SelectingSpec>,
}

#[derive(Deserialize)]
struct SelectingSpec {
    #[serde(default)]
    selector: Selector,
}

/// A LabelSelector, or a Service's plain map.
#[derive(Default, Deserialize)]
#[serde(untagged)]
enum Selector {
    Labels(LabelSelector),
    Map(BTreeMap<String, String>),
    #[default]
    None,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct LabelSelector {
    #[serde(default)]
    match_labels: BTreeMap<String, String>,
    #[serde(default)]
    match_expressions: Vec<LabelExpression>,
}

#[derive(Deserialize)]
struct LabelExpression {
    key: String,
    operator: String,
    #[serde(default)]
    values: Vec<String>,
}

impl Selector {
    /// In the form that the API's `labelSelector` takes; `None` for one that selects nothing.
    fn text(&self) -> Option<String> {
        let equals = |(key, value): (&String, &String)| format!("{key}={value}");
        let parts: Vec<String> = match self {
            Self::Map(labels) => labels.iter().map(equals).collect(),
            Self::Labels(selector) => selector
                .match_labels
                .iter()
                .map(equals)
                .chain(selector.match_expressions.iter().map(|expression| {
                    let (key, values) = (&expression.key, expression.values.join(","));
                    match &*expression.operator {
                        "In" => format!("{key} in ({values})"),
                        "NotIn" => format!("{key} notin ({values})"),
                        "DoesNotExist" => format!("!{key}"),
                        _ => key.clone(),
                    }
                }))
                .collect(),
            Self::None => Vec::new(),
        };
        (!parts.is_empty()).then(|| parts.join(","))
    }
}

impl Connection {
    /// All pods of a namespace, or of all, page by page.
    async fn list_pods(
        &self,
        namespace: Option<&str>,
        labels: Option<&str>,
        fields: Option<&str>,
    ) -> Result<Vec<Pod>, ApiError> {
        let path = match namespace {
            Some(namespace) => format!("/api/v1/namespaces/{}/pods", encode(namespace)),
            None => "/api/v1/pods".to_owned(),
        };
        let mut filter = String::new();
        for (key, value) in [("labelSelector", labels), ("fieldSelector", fields)] {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                filter.push_str(&format!("&{key}={}", encode(value)));
            }
        }
        let mut pods = Vec::new();
        let (mut token, mut restarted) = (String::new(), false);
        loop {
            let next = if token.is_empty() { String::new() } else { format!("&continue={}", encode(&token)) };
            let page: Result<List<Pod>, ApiError> = self.get(&format!("{path}?limit={PAGE}{filter}{next}")).await;
            match page {
                Ok(page) => {
                    pods.extend(page.items);
                    if page.metadata.continue_token.is_empty() {
                        return Ok(pods);
                    }
                    token = page.metadata.continue_token;
                }
                // The list has changed too much meanwhile: begin once more, as kubectl does.
                Err(ApiError::Expired(_)) if !token.is_empty() && !restarted => {
                    restarted = true;
                    token.clear();
                    pods.clear();
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The pods that a target means.
    async fn target_pods(
        &self,
        target: &Target,
        namespace: &str,
        selection: &PodSelection,
    ) -> Result<Vec<Pod>, ApiError> {
        match self.named_pods(target, &target.name, namespace, selection).await {
            Err(ApiError::NotFound(first)) => match target.split_namespace() {
                Some((name, namespace)) => match self.named_pods(target, name, namespace, selection).await {
                    Err(ApiError::NotFound(second)) => Err(ApiError::NotFound(format!("{first}; {second}"))),
                    other => other,
                },
                None => Err(ApiError::NotFound(first)),
            },
            other => other,
        }
    }

    async fn named_pods(
        &self,
        target: &Target,
        name: &str,
        namespace: &str,
        selection: &PodSelection,
    ) -> Result<Vec<Pod>, ApiError> {
        let missing = |error| match error {
            ApiError::NotFound(_) => {
                let kind = target.kind.map_or_else(|| "pod".to_owned(), |kind| kind.to_string());
                ApiError::NotFound(format!("there is no {kind} {name:?} in namespace {namespace:?}"))
            }
            other => other,
        };
        let Some(kind) = target.kind else {
            let path = format!("/api/v1/namespaces/{}/pods/{}", encode(namespace), encode(name));
            return self.get(&path).await.map(|pod| vec![pod]).map_err(missing);
        };
        let own = match kind.resource() {
            None => format!("gateway.networking.k8s.io/gateway-name={name}"),
            Some((group, resource)) => {
                let path = format!("{group}/namespaces/{}/{resource}/{}", encode(namespace), encode(name));
                let object: Selecting = self.get(&path).await.map_err(missing)?;
                let selector = object.spec.and_then(|spec| spec.selector.text());
                selector
                    .ok_or_else(|| ApiError::NotFound(format!("{kind} {name:?} in {namespace:?} selects no pods")))?
            }
        };
        let labels = match selection.labels.as_deref() {
            Some(labels) if !labels.is_empty() => format!("{own},{labels}"),
            _ => own,
        };
        let pods = self.list_pods(Some(namespace), Some(&labels), selection.fields.as_deref()).await?;
        if pods.is_empty() && kind == WorkloadKind::Gateway {
            return Err(ApiError::NotFound(format!(
                "there is no pod of a gateway {name:?} in namespace {namespace:?}"
            )));
        }
        Ok(pods)
    }

    /// An empty list says nothing of whether the namespace exists; asking needs a permission that many do not have,
    /// so only a clear no counts.
    async fn require_namespace(&self, namespace: &str) -> Result<(), ApiError> {
        #[derive(Deserialize)]
        struct Namespace {}
        let path = format!("/api/v1/namespaces/{}", encode(namespace));
        match self.get::<Namespace>(&path).await {
            Err(ApiError::NotFound(_)) => Err(ApiError::NotFound(format!("there is no namespace {namespace:?}"))),
            _ => Ok(()),
        }
    }
}

/// Everything but RFC 3986's unreserved characters, so that no value can add a part or a parameter to a path.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A value as a part of a path or a query.
pub(crate) fn encode(text: &str) -> impl std::fmt::Display {
    utf8_percent_encode(text, ESCAPED)
}
