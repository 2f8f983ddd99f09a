//! Which pods are selected, and which of them are proxies.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::client::Connection;
use super::encode::encode;
use super::error::ApiError;
use super::request::{ListQuery, Listed};
use super::targets::{Target, WorkloadKind};
use crate::decode::pod::Pod;
use crate::model::{Proxy, ProxyId, SkippedProxy};

/// The most bytes of pods that are kept of one list: some hundred thousand of the usual kind.
const MAX_PODS: usize = 112 << 20;

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
    /// `--revision`: only proxies of this control plane revision.
    pub revision: Option<String>,
    /// `--admin-port`, in place of what the pods say.
    pub admin_port: Option<u16>,
}

impl PodSelection {
    /// Whether all proxies are meant, or those of a control plane, and not some that were asked for.
    #[must_use]
    pub fn is_whole_mesh(&self) -> bool {
        self.all_namespaces && self.targets.is_empty() && self.labels.is_none() && self.fields.is_none()
    }
}

/// What a selection found in one cluster.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// The proxies, by name.
    pub proxies: Vec<Proxy>,
    /// Pods that are no proxies to be audited, with the reason.
    pub skipped: Vec<SkippedProxy>,
    /// Proxies whose containers do not run, by what the kubelet says.
    pub troubles: BTreeMap<ProxyId, String>,
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
        let (namespace, name) = pod.name();
        let id = ProxyId { context: context.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() };
        if !seen.insert(id.clone()) {
            continue;
        }
        match pod.proxy(id.clone()) {
            Ok(proxy) if selection.revision.as_deref().is_some_and(|wanted| wanted != revision_of(&proxy)) => {}
            Ok(mut proxy) => {
                proxy.admin_port = selection.admin_port.unwrap_or(proxy.admin_port);
                if let Some(trouble) = pod.trouble(&proxy.container) {
                    found.troubles.insert(proxy.id.clone(), trouble);
                }
                found.proxies.push(proxy);
            }
            Err(reason) => found.skipped.push(SkippedProxy { id, reason }),
        }
    }
    found.proxies.sort_by(|a, b| a.id.cmp(&b.id));
    found.skipped.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(found)
}

/// The control plane revision of a proxy; a pod that names none belongs to the default one.
#[must_use]
pub fn revision_of(proxy: &Proxy) -> &str {
    if proxy.revision.is_empty() { "default" } else { &proxy.revision }
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
    pub(super) async fn list_pods(
        &self,
        namespace: Option<&str>,
        labels: Option<&str>,
        fields: Option<&str>,
    ) -> Result<Vec<Pod>, ApiError> {
        let path = match namespace {
            Some(namespace) => format!("/api/v1/namespaces/{}/pods", encode(namespace)),
            None => "/api/v1/pods".to_owned(),
        };
        let (mut pods, mut weight) = (Vec::new(), 0);
        self.list(ListQuery { path: &path, labels, fields }, &mut |listed| {
            let Listed::Object(json) = listed else {
                (pods, weight) = (Vec::new(), 0);
                return Ok(());
            };
            let pod: Pod = serde_json::from_slice(json).map_err(|error| ApiError::unreadable("a pod", &error))?;
            weight += pod.weight();
            if weight > MAX_PODS {
                return Err(ApiError::TooLarge(format!("more than {} MiB of pods are selected", MAX_PODS >> 20)));
            }
            pods.push(pod);
            Ok(())
        })
        .await?;
        Ok(pods)
    }

    /// The pods that a target means.
    async fn target_pods(
        &self,
        target: &Target,
        namespace: &str,
        selection: &PodSelection,
    ) -> Result<Vec<Pod>, ApiError> {
        let first = match self.named_pods(target, &target.name, namespace, selection).await {
            Err(error @ (ApiError::NotFound(_) | ApiError::Forbidden(_))) => error,
            other => return other,
        };
        let second = match target.split_namespace() {
            Some((name, namespace)) => match self.named_pods(target, name, namespace, selection).await {
                Err(error @ (ApiError::NotFound(_) | ApiError::Forbidden(_))) => error,
                other => return other,
            },
            None if matches!(first, ApiError::NotFound(_)) => {
                return Err(self.with_suggestion(first, target, namespace).await);
            }
            None => return Err(first),
        };
        match (first, second) {
            (ApiError::NotFound(first), ApiError::NotFound(second)) => {
                Err(ApiError::missing(first.kind, &first.name, format!("{}; {}", first.message, second.message)))
            }
            // Whoever may look into one of both namespaces only, and finds nothing there, meant the other.
            (ApiError::NotFound(_), second) => Err(second),
            (first, _) => Err(first),
        }
    }

    /// Names the workload of the same name, where there is no such pod but there is one; else the name that was
    /// probably meant.
    async fn with_suggestion(&self, error: ApiError, target: &Target, namespace: &str) -> ApiError {
        let ApiError::NotFound(missing) = error else { return error };
        let meant = match self.workload_of_name(target, namespace).await {
            None => self.nearest_name(target, namespace).await,
            found => found,
        };
        match meant {
            Some(meant) => {
                ApiError::missing(missing.kind, &missing.name, format!("{}; did you mean {meant}?", missing.message))
            }
            None => ApiError::NotFound(missing),
        }
    }

    /// For a pod that is not there: the workload that has its name.
    async fn workload_of_name(&self, target: &Target, namespace: &str) -> Option<String> {
        #[derive(Deserialize)]
        struct Any {}
        if target.kind.is_some() {
            return None;
        }
        for kind in WorkloadKind::ALL {
            let Some((group, resource)) = kind.resource() else { continue };
            let path = format!("{group}/namespaces/{}/{resource}/{}", encode(namespace), encode(&target.name));
            if self.get::<Any>(&path).await.is_ok() {
                return Some(format!("{}/{}", kind.short(), target.name));
            }
        }
        None
    }

    /// The name of the target's kind that is most like its own; `None` where none is near, or they may not be listed.
    async fn nearest_name(&self, target: &Target, namespace: &str) -> Option<String> {
        /// Jaro-Winkler's similarity of a name with a letter left out, doubled or exchanged, and a little more.
        const NEAR: f64 = 0.9;
        #[derive(Deserialize)]
        struct Named {
            metadata: Name,
        }
        #[derive(Deserialize)]
        struct Name {
            name: String,
        }
        let (group, resource) = target.kind.map_or(Some(("/api/v1", "pods")), WorkloadKind::resource)?;
        let path = format!("{group}/namespaces/{}/{resource}", encode(namespace));
        let mut nearest = (NEAR, None);
        let query = ListQuery::all(&path);
        let mut take = |listed: Listed<'_>| {
            let Listed::Object(json) = listed else { return Ok(()) };
            if let Ok(Named { metadata: Name { name } }) = serde_json::from_slice(json) {
                let likeness = strsim::jaro_winkler(&target.name, &name);
                if likeness > nearest.0 {
                    nearest = (likeness, Some(name));
                }
            }
            Ok(())
        };
        self.list(query, &mut take).await.ok()?;
        let kind = target.kind.map_or("pod", WorkloadKind::short);
        nearest.1.map(|name| format!("{kind}/{name}"))
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
                let message = format!("there is no {kind} {name:?} in namespace {namespace:?}");
                ApiError::missing(kind, name, message)
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
                selector.ok_or_else(|| {
                    ApiError::missing(kind, name, format!("{kind} {name:?} in {namespace:?} selects no pods"))
                })?
            }
        };
        let labels = match selection.labels.as_deref() {
            Some(labels) if !labels.is_empty() => format!("{own},{labels}"),
            _ => own,
        };
        let pods = self.list_pods(Some(namespace), Some(&labels), selection.fields.as_deref()).await?;
        if pods.is_empty() && kind == WorkloadKind::Gateway {
            let message = format!("there is no pod of a gateway {name:?} in namespace {namespace:?}");
            return Err(ApiError::missing(kind, name, message));
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
            Err(ApiError::NotFound(_)) => {
                Err(ApiError::missing("namespace", namespace, format!("there is no namespace {namespace:?}")))
            }
            _ => Ok(()),
        }
    }
}
