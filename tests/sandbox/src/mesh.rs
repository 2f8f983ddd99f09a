//! Meshes as data: objects as an installed Istio and its workloads leave them, and what runs behind
//! each pod.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use crate::api::Handler;
use crate::envoy::EnvoySpec;
use crate::faults::Fault;
use crate::istio::Role;
use crate::wheel::ENVOY;

/// The Istio version that the sandbox's objects name.
pub const ISTIO_VERSION: &str = "1.29.2";
/// Envoy's admin port in a pod, unless the pod says otherwise.
pub const ADMIN_PORT: u16 = 15_000;

/// A mesh to start a sandbox with.
pub struct Mesh {
    /// The name of the context and the cluster in the kubeconfig.
    pub name: String,
    /// Objects, pods apart, each with the field manager that wrote it.
    pub objects: Vec<(Value, &'static str)>,
    /// Pods.
    pub pods: Vec<Pod>,
    /// Hosts the network to which loses SYNs now and then, as [`crate::Sandbox::drive_client`] says.
    pub lossy_hosts: Vec<&'static str>,
    /// Hosts whose server never answers a SYN.
    pub silent_hosts: Vec<&'static str>,
    /// Hosts at whose port nothing listens.
    pub refusing_hosts: Vec<&'static str>,
}

impl Default for Mesh {
    /// An empty mesh, named `sandbox`.
    fn default() -> Self {
        Self {
            name: "sandbox".to_owned(),
            objects: Vec::new(),
            pods: Vec::new(),
            lossy_hosts: Vec::new(),
            silent_hosts: Vec::new(),
            refusing_hosts: Vec::new(),
        }
    }
}

/// A pod and what runs in it.
pub struct Pod {
    /// The object.
    pub object: Value,
    /// The port that its admin endpoint has inside the pod.
    pub admin_port: u16,
    /// What answers there.
    pub proxy: Proxy,
    /// What its other containers have logged so far, by container.
    pub logs: Vec<(String, Vec<(Timestamp, String)>)>,
    /// What is wrong with its tunnels from the start.
    pub fault: Option<Fault>,
}

/// What answers on a pod's admin port.
pub enum Proxy {
    /// Nothing.
    None,
    /// A real Envoy.
    Envoy {
        /// How it is started.
        spec: EnvoySpec,
        /// The mesh's connect timeout when it last heard from istiod, where that was a while ago.
        stale: Option<&'static str>,
    },
    /// Something in this process.
    Canned(Arc<dyn Handler>),
}

/// How the proxy stands in the pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Injection {
    /// No proxy.
    None,
    /// `istio-proxy` among the containers.
    Container,
    /// `istio-proxy` among the init containers, with `restartPolicy: Always`.
    Native,
    /// A gateway or a waypoint: the proxy is the only container.
    Alone(Role),
}

/// A Deployment with its ReplicaSet, its pods and its Service.
#[derive(Debug, Clone)]
pub struct Workload {
    /// Namespace.
    pub namespace: &'static str,
    /// Name, and the value of the label `app`.
    pub name: &'static str,
    /// The value of the label `app`, where it is not the name.
    pub app: Option<&'static str>,
    /// The label `version`.
    pub version: &'static str,
    /// The pod template's hash.
    pub hash: &'static str,
    /// The last part of each pod's name.
    pub replicas: &'static [&'static str],
    /// Where the proxy is.
    pub injection: Injection,
    /// What the application listens on.
    pub ports: &'static [u16],
    /// The proxy's own configuration, as JSON in `PROXY_CONFIG`.
    pub proxy_config: &'static str,
}

impl Workload {
    /// A workload of one replica with a proxy in an ordinary container.
    #[must_use]
    pub const fn new(
        namespace: &'static str,
        name: &'static str,
        hash: &'static str,
        replicas: &'static [&'static str],
    ) -> Self {
        Self {
            namespace,
            name,
            app: None,
            version: "v1",
            hash,
            replicas,
            injection: Injection::Container,
            ports: &[8080],
            proxy_config: "{}",
        }
    }

    /// The name of the pod with that last part.
    #[must_use]
    pub fn pod_name(&self, replica: &str) -> String {
        format!("{}-{}-{replica}", self.name, self.hash)
    }

    fn labels(&self) -> Value {
        let app = self.app.unwrap_or(self.name);
        json!({"app": app, "version": self.version})
    }

    /// The Service, the Deployment and the ReplicaSet.
    #[must_use]
    pub fn objects(&self) -> Vec<(Value, &'static str)> {
        let (namespace, name) = (self.namespace, self.name);
        let replica_set = format!("{name}-{}", self.hash);
        let mut with_hash = self.labels();
        with_hash["pod-template-hash"] = json!(self.hash);
        let status = json!({"replicas": self.replicas.len(), "readyReplicas": self.replicas.len()});
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": name, "namespace": namespace, "labels": self.labels(), "uid": uid("Deployment", namespace, name),
                "annotations": {"deployment.kubernetes.io/revision": "1"}, "creationTimestamp": started()},
            "spec": {"replicas": self.replicas.len(), "selector": {"matchLabels": self.labels()},
                "template": {"metadata": {"labels": self.labels()}, "spec": {"containers": [self.application()]}}},
            "status": status,
        });
        let owned = json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {"name": replica_set, "namespace": namespace, "labels": with_hash, "uid": uid("ReplicaSet", namespace, &replica_set),
                "ownerReferences": [owner("apps/v1", "Deployment", namespace, name)], "creationTimestamp": started()},
            "spec": {"replicas": self.replicas.len(), "selector": {"matchLabels": with_hash},
                "template": {"metadata": {"labels": with_hash}, "spec": {"containers": [self.application()]}}},
            "status": status,
        });
        vec![(deployment, "kubectl-client-side-apply"), (owned, "kube-controller-manager")]
    }

    /// The Service in front of it.
    #[must_use]
    pub fn service(&self) -> (Value, &'static str) {
        let app = self.app.unwrap_or(self.name);
        let ports: Vec<Value> = self
            .ports
            .iter()
            .map(|port| json!({"name": format!("http-{port}"), "port": port, "targetPort": port, "protocol": "TCP"}))
            .collect();
        service(self.namespace, app, &json!({"app": app}), &ports)
    }

    fn application(&self) -> Value {
        let name = self.app.unwrap_or(self.name);
        let ports: Vec<Value> =
            self.ports.iter().map(|port| json!({"containerPort": port, "protocol": "TCP"})).collect();
        json!({"name": name, "image": format!("registry.example.com/{}/{name}:2.14.0", self.namespace), "ports": ports, "resources": {}})
    }

    /// The object of one of its pods.
    #[must_use]
    pub fn pod(&self, replica: &str) -> Value {
        let (namespace, name) = (self.namespace, self.pod_name(replica));
        let mut labels = self.labels();
        labels["pod-template-hash"] = json!(self.hash);
        let mut annotations = json!({});
        let mut spec = json!({"serviceAccountName": self.app.unwrap_or(self.name), "nodeName": node(&name), "restartPolicy": "Always"});
        let (application, proxy) =
            (self.application(), |role: Role| proxy_container(namespace, role, self.proxy_config));
        if self.injection != Injection::None {
            labels["service.istio.io/canonical-name"] = json!(self.app.unwrap_or(self.name));
            labels["service.istio.io/canonical-revision"] = json!(self.version);
            labels["security.istio.io/tlsMode"] = json!("istio");
            annotations["istio.io/rev"] = json!("default");
            annotations["kubectl.kubernetes.io/default-container"] = json!(application["name"]);
        }
        let injected = |init: Value, containers: Value| {
            json!({"initContainers": init, "containers": containers, "volumes": ["workload-socket", "istio-envoy", "istio-data"],
                "imagePullSecrets": null, "revision": "default"}).to_string()
        };
        match self.injection {
            Injection::None => spec["containers"] = json!([application]),
            Injection::Container => {
                spec["initContainers"] = json!([init_container()]);
                spec["containers"] = json!([proxy(Role::Sidecar), application]);
                annotations["sidecar.istio.io/status"] = json!(injected(json!(["istio-init"]), json!(["istio-proxy"])));
            }
            Injection::Native => {
                let mut native = proxy(Role::Sidecar);
                native["restartPolicy"] = json!("Always");
                spec["initContainers"] = json!([init_container(), native]);
                spec["containers"] = json!([application]);
                annotations["sidecar.istio.io/status"] =
                    json!(injected(json!(["istio-init", "istio-proxy"]), json!(null)));
            }
            Injection::Alone(role) => {
                spec["containers"] = json!([proxy(role)]);
                annotations["kubectl.kubernetes.io/default-container"] = json!("istio-proxy");
                labels["gateway.networking.k8s.io/gateway-name"] = json!(self.name);
                if role == Role::Waypoint {
                    labels["gateway.istio.io/managed"] = json!("istio.io-mesh-controller");
                } else {
                    labels["istio"] = json!("ingressgateway");
                    annotations["inject.istio.io/templates"] = json!("gateway");
                }
            }
        }
        let replica_set = format!("{}-{}", self.name, self.hash);
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "generateName": format!("{replica_set}-"), "namespace": namespace, "labels": labels,
                "annotations": annotations, "uid": uid("Pod", namespace, &name), "creationTimestamp": started(),
                "ownerReferences": [owner("apps/v1", "ReplicaSet", namespace, &replica_set)]},
            "spec": spec,
        });
        set_running(&mut pod);
        pod
    }
}

/// A Service.
#[must_use]
pub fn service(namespace: &str, name: &str, selector: &Value, ports: &[Value]) -> (Value, &'static str) {
    let object = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}, "creationTimestamp": started()},
        "spec": {"type": "ClusterIP", "selector": selector, "ports": ports},
        "status": {"loadBalancer": {}},
    });
    (object, "kubectl-client-side-apply")
}

/// `istio-proxy` as the injector writes it (`manifests/charts/istio-control/istio-discovery/files`).
#[must_use]
pub fn proxy_container(namespace: &str, role: Role, proxy_config: &str) -> Value {
    let field = |path: &str| json!({"fieldRef": {"apiVersion": "v1", "fieldPath": path}});
    let args = if role == Role::Waypoint {
        json!([
            "proxy",
            "waypoint",
            "--domain",
            "$(POD_NAMESPACE).svc.cluster.local",
            "--serviceCluster",
            format!("waypoint.{namespace}"),
            "--proxyLogLevel",
            "warning",
            "--proxyComponentLogLevel",
            "misc:error",
            "--log_output_level",
            "default:info"
        ])
    } else {
        json!([
            "proxy",
            role.word(),
            "--domain",
            "$(POD_NAMESPACE).svc.cluster.local",
            "--proxyLogLevel=warning",
            "--proxyComponentLogLevel=misc:error",
            "--log_output_level=default:info"
        ])
    };
    json!({
        "name": "istio-proxy",
        "image": format!("docker.io/istio/proxyv2:{ISTIO_VERSION}"),
        "args": args,
        "env": [
            {"name": "PILOT_CERT_PROVIDER", "value": "istiod"},
            {"name": "CA_ADDR", "value": "istiod.istio-system.svc:15012"},
            {"name": "POD_NAME", "valueFrom": field("metadata.name")},
            {"name": "POD_NAMESPACE", "valueFrom": field("metadata.namespace")},
            {"name": "PROXY_CONFIG", "value": format!("{proxy_config}\n")},
            {"name": "ISTIO_META_CLUSTER_ID", "value": "Kubernetes"},
            {"name": "ISTIO_META_MESH_ID", "value": "cluster.local"},
        ],
        "ports": [{"containerPort": 15090, "name": "http-envoy-prom", "protocol": "TCP"}],
        "readinessProbe": {"httpGet": {"path": "/healthz/ready", "port": 15021}},
        "resources": {"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "100m", "memory": "128Mi"}},
    })
}

fn init_container() -> Value {
    json!({"name": "istio-init", "image": format!("docker.io/istio/proxyv2:{ISTIO_VERSION}"),
        "args": ["istio-iptables", "-p", "15001", "-z", "15006", "-u", "1337", "-m", "REDIRECT", "-i", "*", "-x", "", "-b", "*", "-d", "15090,15021,15020"]})
}

/// Gives a pod the status of one that runs.
pub fn set_running(pod: &mut Value) {
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let address = address(namespace, name);
    let state = |list: &str, finished: bool| -> Vec<Value> {
        let containers = pod["spec"][list].as_array().into_iter().flatten();
        containers
            .map(|container| {
                let done = finished && container["restartPolicy"] != "Always";
                let state = if done { json!({"terminated": {"exitCode": 0, "reason": "Completed"}}) } else { json!({"running": {"startedAt": started()}}) };
                json!({"name": container["name"], "image": container["image"], "imageID": "", "ready": true, "started": !done,
                    "restartCount": 0, "state": state, "containerID": format!("containerd://{}", digits(namespace, name, 64))})
            })
            .collect()
    };
    let status = json!({
        "phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "hostIP": "10.0.0.11", "startTime": started(), "qosClass": "Burstable",
        "conditions": [{"type": "Ready", "status": "True"}, {"type": "PodScheduled", "status": "True"}],
        "initContainerStatuses": state("initContainers", true), "containerStatuses": state("containers", false),
    });
    pod["status"] = status;
}

/// A real Envoy behind a pod object, with the role that its arguments give.
#[must_use]
pub fn envoy(pod: &Value, role: Role) -> EnvoySpec {
    EnvoySpec {
        pod: pod["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
        namespace: pod["metadata"]["namespace"].as_str().unwrap_or_default().to_owned(),
        role,
        wheel: ENVOY,
        istio_version: ISTIO_VERSION.to_owned(),
        listeners: Vec::new(),
    }
}

impl Pod {
    /// A pod in which nothing answers on the admin port.
    #[must_use]
    pub fn without_proxy(object: Value) -> Self {
        Self { object, admin_port: ADMIN_PORT, proxy: Proxy::None, logs: Vec::new(), fault: None }
    }

    /// A pod with a real Envoy.
    #[must_use]
    pub fn with_envoy(object: Value, spec: EnvoySpec) -> Self {
        Self { proxy: Proxy::Envoy { spec, stale: None }, ..Self::without_proxy(object) }
    }

    /// The pod's namespace and name.
    #[must_use]
    pub fn key(&self) -> (String, String) {
        let part = |name: &str| self.object["metadata"][name].as_str().unwrap_or_default().to_owned();
        (part("namespace"), part("name"))
    }

    /// Whether something answers on its admin port.
    #[must_use]
    pub fn has_proxy(&self) -> bool {
        !matches!(self.proxy, Proxy::None)
    }

    /// The pod's labels.
    #[must_use]
    pub fn labels(&self) -> Map<String, Value> {
        self.object["metadata"]["labels"].as_object().cloned().unwrap_or_default()
    }
}

/// A reference to the object that controls another.
#[must_use]
pub fn owner(api_version: &str, kind: &str, namespace: &str, name: &str) -> Value {
    json!({"apiVersion": api_version, "kind": kind, "name": name, "uid": uid(kind, namespace, name),
        "controller": true, "blockOwnerDeletion": true})
}

/// A UID that is the same in every run.
#[must_use]
pub fn uid(kind: &str, namespace: &str, name: &str) -> String {
    let digits = digits(kind, &format!("{namespace}/{name}"), 32);
    format!("{}-{}-4{}-8{}-{}", &digits[..8], &digits[8..12], &digits[13..16], &digits[17..20], &digits[20..])
}

/// Hexadecimal digits that two words and nothing else decide.
fn digits(first: &str, second: &str, count: usize) -> String {
    use sha2::{Digest as _, Sha256};
    let hash = Sha256::digest(format!("{first} {second}"));
    hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>()[..count].to_owned()
}

fn address(namespace: &str, name: &str) -> String {
    let byte = |from: usize| u8::from_str_radix(&digits(namespace, name, 64)[from..from + 2], 16).unwrap_or(1);
    format!("10.244.{}.{}", byte(0), byte(2).clamp(2, 250))
}

fn node(name: &str) -> &'static str {
    ["worker-1", "worker-2", "worker-3"][name.bytes().map(usize::from).sum::<usize>() % 3]
}

/// When everything in the mesh was started: three days ago.
#[must_use]
pub fn started() -> String {
    let then = Timestamp::now().checked_sub(SignedDuration::from_hours(72)).unwrap_or(Timestamp::UNIX_EPOCH);
    Timestamp::from_second(then.as_second()).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}
