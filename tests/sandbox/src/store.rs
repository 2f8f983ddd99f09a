//! The objects of the cluster, as etcd and the API server's generic registry keep them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::broadcast;

use crate::patch;
use crate::selector::{FieldSelector, LabelSelector};
use crate::status::Status;

/// A kind of object that the API server serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resource {
    /// API group; empty is the core group.
    pub group: &'static str,
    /// Served versions, the preferred one first. Every object is served in each of them.
    pub versions: &'static [&'static str],
    /// Plural, as in paths.
    pub plural: &'static str,
    /// Kind, as in objects.
    pub kind: &'static str,
    /// Short names for kubectl.
    pub short: &'static [&'static str],
    /// Whether objects live in namespaces.
    pub namespaced: bool,
}

const fn resource(
    group: &'static str,
    versions: &'static [&'static str],
    plural: &'static str,
    kind: &'static str,
    short: &'static [&'static str],
) -> Resource {
    Resource { group, versions, plural, kind, short, namespaced: true }
}

const ISTIO: &[&str] = &["v1", "v1beta1", "v1alpha3"];

/// Everything served.
pub const RESOURCES: &[Resource] = &[
    resource("", &["v1"], "pods", "Pod", &["po"]),
    resource("", &["v1"], "services", "Service", &["svc"]),
    resource("", &["v1"], "configmaps", "ConfigMap", &["cm"]),
    resource("", &["v1"], "secrets", "Secret", &[]),
    resource("", &["v1"], "serviceaccounts", "ServiceAccount", &["sa"]),
    resource("", &["v1"], "events", "Event", &["ev"]),
    Resource { namespaced: false, ..resource("", &["v1"], "namespaces", "Namespace", &["ns"]) },
    Resource { namespaced: false, ..resource("", &["v1"], "nodes", "Node", &["no"]) },
    resource("apps", &["v1"], "deployments", "Deployment", &["deploy"]),
    resource("apps", &["v1"], "replicasets", "ReplicaSet", &["rs"]),
    resource("apps", &["v1"], "statefulsets", "StatefulSet", &["sts"]),
    resource("apps", &["v1"], "daemonsets", "DaemonSet", &["ds"]),
    resource("batch", &["v1"], "jobs", "Job", &[]),
    resource("batch", &["v1"], "cronjobs", "CronJob", &["cj"]),
    resource("rbac.authorization.k8s.io", &["v1"], "roles", "Role", &[]),
    resource("rbac.authorization.k8s.io", &["v1"], "rolebindings", "RoleBinding", &[]),
    Resource {
        namespaced: false,
        ..resource("rbac.authorization.k8s.io", &["v1"], "clusterroles", "ClusterRole", &[])
    },
    Resource {
        namespaced: false,
        ..resource("rbac.authorization.k8s.io", &["v1"], "clusterrolebindings", "ClusterRoleBinding", &[])
    },
    resource("networking.istio.io", ISTIO, "destinationrules", "DestinationRule", &["dr"]),
    resource("networking.istio.io", ISTIO, "virtualservices", "VirtualService", &["vs"]),
    resource("networking.istio.io", ISTIO, "serviceentries", "ServiceEntry", &["se"]),
    resource("networking.istio.io", ISTIO, "sidecars", "Sidecar", &[]),
    resource("networking.istio.io", ISTIO, "gateways", "Gateway", &["gw"]),
    resource("networking.istio.io", &["v1alpha3"], "envoyfilters", "EnvoyFilter", &[]),
    resource("networking.istio.io", &["v1beta1"], "proxyconfigs", "ProxyConfig", &[]),
    resource("install.istio.io", &["v1alpha1"], "istiooperators", "IstioOperator", &["iop"]),
    resource("gateway.networking.k8s.io", &["v1", "v1beta1"], "gateways", "Gateway", &["gtw"]),
    Resource { namespaced: false, ..resource("sailoperator.io", &["v1", "v1alpha1"], "istios", "Istio", &[]) },
    Resource {
        namespaced: false,
        ..resource("sailoperator.io", &["v1", "v1alpha1"], "istiorevisions", "IstioRevision", &["istiorev"])
    },
    resource("maistra.io", &["v2", "v1"], "servicemeshcontrolplanes", "ServiceMeshControlPlane", &["smcp"]),
    Resource {
        namespaced: false,
        ..resource(
            "admissionregistration.k8s.io",
            &["v1"],
            "mutatingwebhookconfigurations",
            "MutatingWebhookConfiguration",
            &[],
        )
    },
    Resource {
        namespaced: false,
        ..resource(
            "admissionregistration.k8s.io",
            &["v1"],
            "validatingwebhookconfigurations",
            "ValidatingWebhookConfiguration",
            &[],
        )
    },
    Resource {
        namespaced: false,
        ..resource(
            "apiextensions.k8s.io",
            &["v1"],
            "customresourcedefinitions",
            "CustomResourceDefinition",
            &["crd", "crds"],
        )
    },
];

/// How many of the last changes are kept for a watch that begins in the past.
const HISTORY: usize = 256;

impl Resource {
    /// The resource for a path's group, version and plural.
    #[must_use]
    pub fn find(group: &str, version: &str, plural: &str) -> Option<&'static Resource> {
        RESOURCES.iter().find(|r| r.group == group && r.plural == plural && r.versions.contains(&version))
    }

    /// The resource of an object, by its `apiVersion` and `kind`.
    #[must_use]
    pub fn of(object: &Value) -> Option<&'static Resource> {
        let api_version = object["apiVersion"].as_str()?;
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        RESOURCES.iter().find(|r| r.group == group && r.versions.contains(&version) && object["kind"] == r.kind)
    }

    /// `group/version`, or the version alone for the core group.
    #[must_use]
    pub fn api_version(&self, version: &str) -> String {
        if self.group.is_empty() { version.to_owned() } else { format!("{}/{version}", self.group) }
    }

    /// `plural.group`, as messages name it; the plural alone for the core group.
    #[must_use]
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.to_owned() } else { format!("{}.{}", self.plural, self.group) }
    }
}

/// Where an object is: group, plural, namespace (empty for cluster scope) and name.
type Key = (&'static str, &'static str, String, String);

/// What a watch sees: `ADDED`, `MODIFIED` or `DELETED`, and the object.
#[derive(Debug, Clone)]
pub struct Change {
    /// The event's type.
    pub kind: &'static str,
    /// What the object is.
    pub resource: &'static Resource,
    /// The object after the change, or the last one before a deletion.
    pub object: Value,
}

/// The objects.
#[derive(Debug)]
pub struct Store {
    objects: Mutex<BTreeMap<Key, Value>>,
    version: AtomicU64,
    /// How often lists were compacted; a `continue` token works until the next time.
    compactions: AtomicU64,
    changes: broadcast::Sender<Change>,
    /// The last changes, each with the store's version after it.
    history: Mutex<VecDeque<(u64, Change)>>,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            objects: Mutex::default(),
            version: AtomicU64::new(1_000),
            compactions: AtomicU64::new(0),
            changes: broadcast::Sender::new(1_024),
            history: Mutex::default(),
        }
    }
}

/// What a list asks for.
#[derive(Debug, Clone, Default)]
pub struct ListQuery {
    /// Only this namespace.
    pub namespace: Option<String>,
    /// Label selector.
    pub labels: LabelSelector,
    /// Field selector.
    pub fields: FieldSelector,
    /// At most so many; 0 is all.
    pub limit: usize,
    /// The token of the page before.
    pub token: Option<String>,
}

/// One page of a list.
#[derive(Debug)]
pub struct Page {
    /// The objects.
    pub items: Vec<Value>,
    /// The list's `metadata`.
    pub metadata: Value,
}

impl Store {
    fn objects(&self) -> MutexGuard<'_, BTreeMap<Key, Value>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number that grows with every change.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::SeqCst)
    }

    /// Changes from now on.
    #[must_use]
    pub fn watch(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// The changes since a version, and those from now on; `None` where what came first after it is no longer known.
    #[must_use]
    pub fn since(&self, version: u64) -> Option<(Vec<Change>, broadcast::Receiver<Change>)> {
        // Under this lock nothing is told.
        let history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        if history.len() == HISTORY && history.front().is_some_and(|(first, _)| *first > version + 1) {
            return None;
        }
        let later = history.iter().filter(|(at, _)| *at > version).map(|(_, change)| change.clone()).collect();
        Some((later, self.changes.subscribe()))
    }

    /// One object.
    ///
    /// # Errors
    /// 404 in the API server's words.
    pub fn get(&self, resource: &'static Resource, namespace: &str, name: &str) -> Result<Value, Status> {
        self.objects().get(&key(resource, namespace, name)).cloned().ok_or_else(|| Status::not_found(resource, name))
    }

    /// All objects of a kind, in every namespace.
    #[must_use]
    pub fn all(&self, group: &str, plural: &str) -> Vec<Value> {
        self.objects()
            .iter()
            .filter(|(key, _)| key.0 == group && key.1 == plural)
            .map(|(_, object)| object.clone())
            .collect()
    }

    /// A page of objects, ordered by namespace and name.
    ///
    /// # Errors
    /// 400 for a broken `continue` token, 410 for one that has expired.
    pub fn list(&self, resource: &'static Resource, query: &ListQuery) -> Result<Page, Status> {
        let start = query.token.as_deref().map(|token| self.decode(token)).transpose()?;
        let objects = self.objects();
        let mut matching = objects
            .iter()
            .filter(|(key, _)| key.0 == resource.group && key.1 == resource.plural)
            .filter(|(key, _)| query.namespace.as_ref().is_none_or(|namespace| *namespace == key.2))
            .filter(|(key, _)| {
                start
                    .as_ref()
                    .is_none_or(|start| (key.2.as_str(), key.3.as_str()) > (start.0.as_str(), start.1.as_str()))
            })
            .filter(|(_, object)| query.labels.matches(object) && query.fields.matches(object));
        let limit = if query.limit == 0 { usize::MAX } else { query.limit };
        let mut last = None;
        let items: Vec<Value> = matching
            .by_ref()
            .take(limit)
            .map(|(key, object)| {
                last = Some((key.2.clone(), key.3.clone()));
                object.clone()
            })
            .collect();
        let remaining = matching.count();
        let version = self.version.load(Ordering::SeqCst);
        let mut metadata = json!({"resourceVersion": version.to_string()});
        if let (true, Some((namespace, name))) = (remaining > 0, last) {
            metadata["continue"] = json!(BASE64.encode(
                json!({"v": self.compactions.load(Ordering::SeqCst), "ns": namespace, "name": name}).to_string()
            ));
            // The real server leaves the count out where a selector makes it expensive to know.
            if query.labels.is_empty() && query.fields.is_empty() {
                metadata["remainingItemCount"] = json!(remaining);
            }
        }
        Ok(Page { items, metadata })
    }

    fn decode(&self, token: &str) -> Result<(String, String), Status> {
        let decoded: Option<Value> = BASE64.decode(token).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let Some(decoded) = decoded else {
            return Err(Status::bad_request("continue key is not valid: illegal base64 data"));
        };
        if decoded["v"] != self.compactions.load(Ordering::SeqCst) {
            return Err(Status::expired());
        }
        let part = |name: &str| decoded[name].as_str().unwrap_or_default().to_owned();
        Ok((part("ns"), part("name")))
    }

    /// Makes every `continue` token handed out so far answer 410, as compaction does after a while.
    pub fn expire_continue_tokens(&self) {
        self.compactions.fetch_add(1, Ordering::SeqCst);
    }

    /// Adds an object; `manager` is the field manager its writer names.
    ///
    /// # Errors
    /// 400 without a name, 409 where it exists.
    pub fn create(&self, resource: &'static Resource, mut object: Value, manager: &str) -> Result<Value, Status> {
        let metadata = &object["metadata"];
        let Some(name) = metadata["name"].as_str().map(str::to_owned) else {
            return Err(Status::bad_request("name or generateName is required"));
        };
        let namespace = metadata["namespace"].as_str().unwrap_or_default().to_owned();
        let mut objects = self.objects();
        let key = key(resource, &namespace, &name);
        if objects.contains_key(&key) {
            return Err(Status::already_exists(resource, &name));
        }
        let written = object.clone();
        let defaults = [
            ("uid", json!(uid(self.version.load(Ordering::SeqCst)))),
            ("creationTimestamp", json!(now())),
            ("generation", json!(1)),
        ];
        for (field, value) in defaults {
            if object["metadata"][field].is_null() {
                object["metadata"][field] = value;
            }
        }
        self.stamp(&mut object, &written, manager, "Update");
        objects.insert(key, object.clone());
        self.tell("ADDED", resource, &object);
        Ok(object)
    }

    /// Changes an object with `change`, and stamps it with a new version and the writer's fields.
    ///
    /// # Errors
    /// 404 where there is none, 409 where `written` names a version that is no longer current.
    pub fn update(
        &self,
        resource: &'static Resource,
        (namespace, name): (&str, &str),
        written: &Value,
        (manager, operation): (&str, &str),
        change: impl FnOnce(&mut Value),
    ) -> Result<Value, Status> {
        let mut objects = self.objects();
        let object =
            objects.get_mut(&key(resource, namespace, name)).ok_or_else(|| Status::not_found(resource, name))?;
        let expected = &written["metadata"]["resourceVersion"];
        if expected.is_string() && *expected != object["metadata"]["resourceVersion"] {
            return Err(Status::conflict(resource, name));
        }
        let before = object.clone();
        change(object);
        for field in ["uid", "creationTimestamp", "managedFields", "name", "namespace"] {
            if !before["metadata"][field].is_null() {
                object["metadata"][field] = before["metadata"][field].clone();
            }
        }
        object["kind"] = before["kind"].clone();
        object["apiVersion"] = before["apiVersion"].clone();
        object["metadata"]["generation"] = json!(before["metadata"]["generation"].as_u64().unwrap_or(1) + 1);
        self.stamp(object, written, manager, operation);
        self.tell("MODIFIED", resource, object);
        Ok(object.clone())
    }

    /// Removes an object and returns what it was.
    ///
    /// # Errors
    /// 404 where there is none.
    pub fn delete(&self, resource: &'static Resource, namespace: &str, name: &str) -> Result<Value, Status> {
        let mut objects = self.objects();
        let removed = objects.remove(&key(resource, namespace, name));
        let mut object = removed.ok_or_else(|| Status::not_found(resource, name))?;
        let version = self.version.fetch_add(1, Ordering::SeqCst) + 1;
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        self.tell("DELETED", resource, &object);
        Ok(object)
    }

    /// Sets the version and the entry in `managedFields`, as every write does.
    fn stamp(&self, object: &mut Value, written: &Value, manager: &str, operation: &str) {
        let version = self.version.fetch_add(1, Ordering::SeqCst) + 1;
        let api_version = object["apiVersion"].clone();
        let metadata = &mut object["metadata"];
        metadata["resourceVersion"] = json!(version.to_string());
        if manager.is_empty() {
            return;
        }
        let entry = json!({
            "manager": manager, "operation": operation, "apiVersion": api_version,
            "time": now(), "fieldsType": "FieldsV1", "fieldsV1": patch::fields_v1(written),
        });
        if !metadata["managedFields"].is_array() {
            metadata["managedFields"] = json!([]);
        }
        if let Some(entries) = metadata["managedFields"].as_array_mut() {
            let same = entries.iter_mut().find(|e| e["manager"] == manager && e["operation"] == operation);
            match same {
                Some(same) => {
                    patch::merge(&mut same["fieldsV1"], &entry["fieldsV1"]);
                    same["time"] = entry["time"].clone();
                }
                None => entries.push(entry),
            }
        }
    }

    fn tell(&self, kind: &'static str, resource: &'static Resource, object: &Value) {
        let change = Change { kind, resource, object: object.clone() };
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        if history.len() == HISTORY {
            history.pop_front();
        }
        history.push_back((self.version(), change.clone()));
        // Nobody watching is no error.
        let _ = self.changes.send(change);
    }
}

fn key(resource: &'static Resource, namespace: &str, name: &str) -> Key {
    let namespace = if resource.namespaced { namespace } else { "" };
    (resource.group, resource.plural, namespace.to_owned(), name.to_owned())
}

/// The time as Kubernetes writes it: RFC 3339, whole seconds.
fn now() -> String {
    Timestamp::from_second(Timestamp::now().as_second()).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

/// A UID that is unique here and the same in each run.
fn uid(number: u64) -> String {
    format!("5a9d0b0c-0000-4000-8000-{number:012x}")
}
