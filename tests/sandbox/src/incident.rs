//! The incident: a mesh whose connect timeout is one second, and everything else that an audit of a
//! real mesh meets.
//!
//! `shop/checkout` calls the card processor `cc-api.example.io`, whose network loses SYNs now and then.
//! With one second to connect, each loss is a `Connection reset` in the application.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::envoy::{Filter, Listener};
use crate::faults::Fault;
use crate::istio::Role;
use crate::mesh::{self, ISTIO_VERSION, Injection, Mesh, Pod, Proxy, Workload};

/// The host the network to which loses SYNs now and then.
pub const LOSSY_HOST: &str = "cc-api.example.io";
/// The listener in `shop/checkout` that forwards to it.
pub const LISTENER: &str = "0.0.0.0_443";
/// The cluster it forwards to.
pub const LOSSY_CLUSTER: &str = "outbound|443||cc-api.example.io";
/// The listener in `shop/web` for HTTP by host: [`ANSWERING_HOST`], [`REFUSING_HOST`], [`SILENT_HOST`].
pub const HTTP_LISTENER: &str = "0.0.0.0_8080";
/// A service that answers.
pub const ANSWERING_HOST: &str = "cart.shop.svc.cluster.local";
/// A service at whose port nothing listens.
pub const REFUSING_HOST: &str = "reviews.shop.svc.cluster.local";
/// A service whose server does not answer SYNs, over HTTP.
pub const SILENT_HOST: &str = "orders.shop.svc.cluster.local";

/// The mesh's value, which is the mistake.
const MESH_TIMEOUT: &str = "1s";
/// What the proxy of `shop/orders` heard last, before its connection to istiod broke.
const STALE_TIMEOUT: &str = "2s";

const CHECKOUT: Workload = Workload::new("shop", "checkout", "7d9f8b6c5d", &["m8q2z", "x2k4p"]);
const CART: Workload =
    Workload { injection: Injection::Native, ..Workload::new("shop", "cart", "6c4bb9f7d8", &["5tqvn"]) };
const WEB: Workload =
    Workload { injection: Injection::Native, ..Workload::new("shop", "web", "84d7c5b9f6", &["wz7hd"]) };
const ORDERS: Workload = Workload::new("shop", "orders", "5f7c9d8b64", &["k9d2r"]);
const CATALOG: Workload = Workload::new("shop", "catalog", "79b5d6c8f9", &["p4x8c"]);
const PAYMENTS: Workload =
    Workload { ports: &[8443], ..Workload::new("billing", "payments", "66d8f9c7b5", &["c7n2w", "j5r8t"]) };
const INVOICES: Workload =
    Workload { injection: Injection::Native, ..Workload::new("billing", "invoices", "58c6b7d9f4", &["2hx9m"]) };
const LEDGER: Workload = Workload {
    proxy_config: r#"{"proxyAdminPort":15500}"#,
    ..Workload::new("billing", "ledger", "7b6d5c8f9d", &["t6v4q"])
};
const REPORTS: Workload = Workload::new("analytics", "reports", "6f9d7c5b84", &["z8k3j"]);
const WAYPOINT: Workload = Workload {
    injection: Injection::Alone(Role::Waypoint),
    ports: &[15008],
    ..Workload::new("analytics", "waypoint", "55d8c7f9b6", &["q7m5x"])
};
const GATEWAY: Workload = Workload {
    injection: Injection::Alone(Role::Router),
    ports: &[80, 443],
    ..Workload::new("istio-ingress", "istio-ingressgateway", "5c9f8d7b66", &["v2d7k"])
};

/// Workloads with a real Envoy in each pod.
const PROXIED: [Workload; 11] =
    [CHECKOUT, CART, WEB, ORDERS, CATALOG, PAYMENTS, INVOICES, LEDGER, REPORTS, WAYPOINT, GATEWAY];

/// Two versions of one service, without sidecars.
const REVIEWS: [Workload; 2] = [
    Workload {
        app: Some("reviews"),
        injection: Injection::None,
        ports: &[9080],
        ..Workload::new("shop", "reviews-v1", "75c4d9b8f7", &["8wq5n"])
    },
    Workload {
        app: Some("reviews"),
        version: "v2",
        injection: Injection::None,
        ports: &[9080],
        ..Workload::new("shop", "reviews-v2", "6b8f7d9c54", &["r3t9c"])
    },
];

/// Workloads whose admin endpoint can't be read, and why.
const BROKEN: [(Workload, Fault); 3] = [
    (Workload::new("legacy", "batch-hangs", "7c8d9f6b5d", &["h4n6s"]), Fault::Hang),
    (Workload::new("legacy", "batch-resets", "6d5c9b8f74", &["b9w2f"]), Fault::Reset),
    (Workload::new("legacy", "batch-imposter", "58f7d6c9b4", &["g5k8z"]), Fault::NotEnvoy),
];

/// What the audit must find in one proxy.
#[derive(Debug, Clone)]
pub struct ExpectedProxy {
    /// Namespace.
    pub namespace: String,
    /// Pod.
    pub pod: String,
    /// What the proxy is.
    pub role: Role,
    /// Every dynamic cluster and its `connect_timeout` as Envoy prints it; `None` where the field is absent.
    pub clusters: BTreeMap<String, Option<&'static str>>,
}

/// What an audit of the incident must find.
#[derive(Debug)]
pub struct Expected {
    /// Proxies that answer.
    pub proxies: Vec<ExpectedProxy>,
    /// Pods that have a proxy which can't be read: namespace, pod and the contract's word for the cause.
    pub failed: Vec<(String, String, &'static str)>,
    /// Pods that are no proxies to audit: namespace and pod.
    pub skipped: Vec<(String, String)>,
    /// Static clusters of every proxy, and their timeouts.
    pub bootstrap: BTreeMap<&'static str, &'static str>,
}

/// The expectation, written by hand and not by the code that generates the clusters.
#[must_use]
pub fn expected() -> Expected {
    let proxies = PROXIED.iter().flat_map(|workload| {
        workload.replicas.iter().map(|replica| {
            let (role, clusters) = match workload.injection {
                Injection::Alone(Role::Waypoint) => (Role::Waypoint, expected_of_waypoint()),
                Injection::Alone(role) => (role, expected_outbound(workload)),
                _ => (Role::Sidecar, expected_of_sidecar(workload)),
            };
            ExpectedProxy { namespace: workload.namespace.to_owned(), pod: workload.pod_name(replica), role, clusters }
        })
    });
    let named = |workload: &Workload| (workload.namespace.to_owned(), workload.pod_name(workload.replicas[0]));
    let failed = BROKEN.iter().zip(["timeout", "unreachable", "not-envoy"]).map(|((workload, _), cause)| {
        let (namespace, pod) = named(workload);
        (namespace, pod, cause)
    });
    Expected {
        proxies: proxies.collect(),
        failed: failed.collect(),
        skipped: REVIEWS
            .iter()
            .map(named)
            .chain(odd_pods().iter().map(|pod| pod.key()))
            .chain([("istio-system".to_owned(), "istiod-6d4f8c9b75-n8x4w".to_owned())])
            .collect(),
        bootstrap: BTreeMap::from([
            ("agent", "0.250s"),
            ("prometheus_stats", "0.250s"),
            ("sds-grpc", "1s"),
            ("xds-grpc", "1s"),
            ("zipkin", "1s"),
        ]),
    }
}

fn expected_outbound(workload: &Workload) -> BTreeMap<String, Option<&'static str>> {
    let mesh = if workload.name == "orders" { STALE_TIMEOUT } else { MESH_TIMEOUT };
    let mut clusters = BTreeMap::new();
    for (cluster, timeout) in [
        ("outbound|443||cc-api.example.io", mesh),
        ("outbound|8080||checkout.shop.svc.cluster.local", mesh),
        ("outbound|8080||cart.shop.svc.cluster.local", mesh),
        ("outbound|8080||web.shop.svc.cluster.local", mesh),
        ("outbound|8080||orders.shop.svc.cluster.local", mesh),
        ("outbound|8080||catalog.shop.svc.cluster.local", "0.250s"),
        ("outbound|9080||reviews.shop.svc.cluster.local", "5s"),
        ("outbound|9080|v1|reviews.shop.svc.cluster.local", "5s"),
        ("outbound|9080|v2|reviews.shop.svc.cluster.local", mesh),
        ("outbound|8443||payments.billing.svc.cluster.local", mesh),
        ("outbound|8080||invoices.billing.svc.cluster.local", mesh),
        ("outbound|8080||ledger.billing.svc.cluster.local", "10s"),
        ("outbound|8080||reports.analytics.svc.cluster.local", mesh),
        ("outbound|7070||quotes.analytics.svc.cluster.local", mesh),
        ("outbound|80||istio-ingressgateway.istio-ingress.svc.cluster.local", mesh),
        ("outbound|443||istio-ingressgateway.istio-ingress.svc.cluster.local", mesh),
        ("outbound|443||istiod.istio-system.svc.cluster.local", mesh),
        ("outbound|15010||istiod.istio-system.svc.cluster.local", mesh),
        ("outbound|15012||istiod.istio-system.svc.cluster.local", mesh),
        ("outbound|15014||istiod.istio-system.svc.cluster.local", mesh),
        ("BlackHoleCluster", mesh),
    ] {
        clusters.insert(cluster.to_owned(), Some(timeout));
    }
    match workload.name {
        // An EnvoyFilter in its namespace merges half a second into one cluster of this workload.
        "web" => {
            clusters.insert("outbound|8443||payments.billing.svc.cluster.local".to_owned(), Some("0.500s"));
        }
        // Its own namespace has a DestinationRule for payments, and an EnvoyFilter adds a cluster.
        "reports" => {
            clusters.insert("outbound|8443||payments.billing.svc.cluster.local".to_owned(), Some("4s"));
            clusters.insert("outbound|8443||legacy-ledger.example.net".to_owned(), None);
        }
        _ => {}
    }
    clusters
}

fn expected_of_sidecar(workload: &Workload) -> BTreeMap<String, Option<&'static str>> {
    let mut clusters = expected_outbound(workload);
    let mesh = if workload.name == "orders" { STALE_TIMEOUT } else { MESH_TIMEOUT };
    let inbound = match workload.name {
        "catalog" => "0.250s",
        "ledger" => "10s",
        "payments" => "3s",
        _ => mesh,
    };
    for port in workload.ports {
        clusters.insert(format!("inbound|{port}||"), Some(inbound));
    }
    clusters.insert("PassthroughCluster".to_owned(), Some(mesh));
    clusters.insert("InboundPassthroughCluster".to_owned(), Some(mesh));
    clusters
}

fn expected_of_waypoint() -> BTreeMap<String, Option<&'static str>> {
    let mut clusters = BTreeMap::from([
        ("main_internal".to_owned(), None),
        ("encap".to_owned(), None),
        ("connect_originate".to_owned(), Some(MESH_TIMEOUT)),
    ]);
    for (port, host) in [(8080, "reports"), (7070, "quotes")] {
        for protocol in ["http", "tcp"] {
            clusters.insert(
                format!("inbound-vip|{port}|{protocol}|{host}.analytics.svc.cluster.local"),
                Some(MESH_TIMEOUT),
            );
        }
    }
    clusters
}

/// The mesh, with a week of logs up to now.
#[must_use]
pub fn mesh() -> Mesh {
    mesh_after_week(Timestamp::now())
}

/// The mesh, with a week of the application's logs up to a moment.
#[must_use]
pub fn mesh_after_week(until: Timestamp) -> Mesh {
    let mut mesh = Mesh {
        lossy_hosts: vec![LOSSY_HOST],
        silent_hosts: vec![SILENT_HOST],
        refusing_hosts: vec![REFUSING_HOST],
        ..Mesh::default()
    };
    for namespace in ["analytics", "billing", "istio-ingress", "istio-system", "legacy", "shop"] {
        let mut labels = json!({"kubernetes.io/metadata.name": namespace});
        if matches!(namespace, "shop" | "billing" | "legacy") {
            labels["istio-injection"] = json!("enabled");
        }
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}, "status": {"phase": "Active"}});
        mesh.objects.push((object, "kubectl-create"));
    }
    control_plane(&mut mesh);
    for workload in &PROXIED {
        mesh.objects.extend(workload.objects());
        if workload.injection != Injection::Alone(Role::Waypoint) {
            mesh.objects.push(workload.service());
        }
        for replica in workload.replicas {
            mesh.pods.push(proxied(workload, replica, until));
        }
    }
    for workload in &REVIEWS {
        mesh.objects.extend(workload.objects());
        mesh.pods.push(Pod::without_proxy(workload.pod(workload.replicas[0])));
    }
    mesh.objects.push(REVIEWS[0].service());
    for (workload, fault) in &BROKEN {
        mesh.objects.extend(workload.objects());
        mesh.pods.push(Pod { fault: Some(fault.clone()), ..Pod::without_proxy(workload.pod(workload.replicas[0])) });
    }
    mesh.pods.extend(odd_pods());
    let quotes = [json!({"name": "grpc", "port": 7070, "targetPort": 7070, "protocol": "TCP"})];
    mesh.objects.push(mesh::service("analytics", "quotes", &json!({"app": "quotes"}), &quotes));
    mesh.objects.extend(policies().into_iter().map(|object| (object, "kubectl-client-side-apply")));
    mesh
}

fn proxied(workload: &Workload, replica: &str, until: Timestamp) -> Pod {
    let object = workload.pod(replica);
    let role = if let Injection::Alone(role) = workload.injection { role } else { Role::Sidecar };
    let mut spec = mesh::envoy(&object, role);
    match workload.name {
        "checkout" => spec.listeners.push(Listener { name: LISTENER, filter: Filter::Tcp(LOSSY_CLUSTER) }),
        "web" => spec.listeners.push(Listener {
            name: HTTP_LISTENER,
            filter: Filter::Http(&[
                (ANSWERING_HOST, "outbound|8080||cart.shop.svc.cluster.local"),
                (REFUSING_HOST, "outbound|9080||reviews.shop.svc.cluster.local"),
                (SILENT_HOST, "outbound|8080||orders.shop.svc.cluster.local"),
            ]),
        }),
        _ => {}
    }
    let mut pod = Pod::with_envoy(object, spec);
    if workload.name == "ledger" {
        pod.admin_port = 15_500;
    }
    if let (Proxy::Envoy { stale, .. }, "orders") = (&mut pod.proxy, workload.name) {
        *stale = Some(STALE_TIMEOUT);
    }
    if workload.name == "checkout" {
        pod.logs.push(("checkout".to_owned(), last_week(until)));
    }
    pod
}

/// istiod as the Helm chart installs it, with `meshConfig.connectTimeout: 1s`.
fn control_plane(mesh: &mut Mesh) {
    let helm = json!({"meta.helm.sh/release-name": "istiod", "meta.helm.sh/release-namespace": "istio-system"});
    let labels = json!({"app": "istiod", "app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/name": "istiod",
        "app.kubernetes.io/version": ISTIO_VERSION, "helm.sh/chart": format!("istiod-{ISTIO_VERSION}"), "istio": "pilot",
        "istio.io/rev": "default", "release": "istiod", "operator.istio.io/component": "Pilot"});
    let metadata = |name: &str| json!({"name": name, "namespace": "istio-system", "labels": labels, "annotations": helm, "creationTimestamp": mesh::started()});
    let mesh_config = format!(
        "accessLogFile: /dev/stdout\nconnectTimeout: {MESH_TIMEOUT}\ndefaultConfig:\n  discoveryAddress: istiod.istio-system.svc:15012\nenablePrometheusMerge: true\nrootNamespace: istio-system\ntrustDomain: cluster.local\n"
    );
    let values = json!({"meshConfig": {"accessLogFile": "/dev/stdout", "connectTimeout": MESH_TIMEOUT}}).to_string();
    let injector = json!({"global": {"proxy": {"logLevel": "warning", "componentLogLevel": "misc:error"}},
        "sidecarInjectorWebhook": {"enableNamespacesByDefault": false, "rewriteAppHTTPProbe": true}})
    .to_string();
    for object in [
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("istio"), "data": {"mesh": mesh_config, "meshNetworks": "networks: {}"}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("values"), "data": {"original-values": values, "merged-values": values}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("istio-sidecar-injector"), "data": {"config": "policy: enabled\n", "values": injector}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata("istiod"),
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "istiod", "istio": "pilot"}},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [discovery()]}}},
            "status": {"replicas": 1, "readyReplicas": 1}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata("istiod"),
            "spec": {"type": "ClusterIP", "selector": {"app": "istiod", "istio": "pilot"}, "ports": [
                {"name": "grpc-xds", "port": 15010, "protocol": "TCP"}, {"name": "https-dns", "port": 15012, "protocol": "TCP"},
                {"name": "https-webhook", "port": 443, "targetPort": 15017, "protocol": "TCP"},
                {"name": "http-monitoring", "port": 15014, "protocol": "TCP"}]}}),
    ] {
        mesh.objects.push((object, "helm"));
    }
    let replica_set = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {"name": "istiod-6d4f8c9b75", "namespace": "istio-system", "labels": labels,
            "ownerReferences": [mesh::owner("apps/v1", "Deployment", "istio-system", "istiod")]},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "istiod", "istio": "pilot"}}, "template": {"metadata": {"labels": labels}}},
        "status": {"replicas": 1, "readyReplicas": 1}});
    mesh.objects.push((replica_set, "kube-controller-manager"));
    let mut istiod = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "istiod-6d4f8c9b75-n8x4w", "namespace": "istio-system", "labels": labels,
            "annotations": {"sidecar.istio.io/inject": "false"}, "creationTimestamp": mesh::started(),
            "uid": mesh::uid("Pod", "istio-system", "istiod"),
            "ownerReferences": [mesh::owner("apps/v1", "ReplicaSet", "istio-system", "istiod-6d4f8c9b75")]},
        "spec": {"serviceAccountName": "istiod", "nodeName": "worker-1", "restartPolicy": "Always", "containers": [discovery()]}});
    mesh::set_running(&mut istiod);
    mesh.pods.push(Pod::without_proxy(istiod));
}

fn discovery() -> Value {
    json!({"name": "discovery", "image": format!("docker.io/istio/pilot:{ISTIO_VERSION}"),
        "args": ["discovery", "--monitoringAddr=:15014", "--log_output_level=default:info", "--domain", "cluster.local", "--keepaliveMaxServerConnectionAge", "30m"],
        "env": [{"name": "REVISION", "value": "default"}],
        "ports": [{"containerPort": 8080, "name": "http-debug"}, {"containerPort": 15010}, {"containerPort": 15012}, {"containerPort": 15014}, {"containerPort": 15017}]})
}

/// Pods that are no proxies an audit can read: each for a reason of its own.
fn odd_pods() -> Vec<Pod> {
    // Scheduled nowhere: no node has room for it.
    let mut pending = CHECKOUT.pod("zz9wl");
    pending["spec"]["nodeName"].take();
    pending["status"] = json!({"phase": "Pending", "qosClass": "Burstable", "conditions": [{"type": "PodScheduled", "status": "False",
        "reason": "Unschedulable", "message": "0/3 nodes are available: 3 Insufficient memory."}]});

    let job = Workload {
        injection: Injection::Native,
        ports: &[],
        ..Workload::new("shop", "orders-migrate", "", &["4t8kd"])
    };
    let mut completed = job.pod("4t8kd");
    completed["metadata"]["name"] = json!("orders-migrate-4t8kd");
    completed["metadata"]["ownerReferences"] = json!([mesh::owner("batch/v1", "Job", "shop", "orders-migrate")]);
    completed["metadata"]["labels"]["job-name"] = json!("orders-migrate");
    completed["spec"]["restartPolicy"] = json!("Never");
    completed["status"]["phase"] = json!("Succeeded");

    let mut ztunnel = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "ztunnel-7wz5d", "namespace": "istio-system", "labels": {"app": "ztunnel", "istio.io/dataplane-mode": "none"},
            "annotations": {"sidecar.istio.io/inject": "false"}, "creationTimestamp": mesh::started(),
            "uid": mesh::uid("Pod", "istio-system", "ztunnel"),
            "ownerReferences": [mesh::owner("apps/v1", "DaemonSet", "istio-system", "ztunnel")]},
        "spec": {"serviceAccountName": "ztunnel", "nodeName": "worker-2", "restartPolicy": "Always", "containers": [
            {"name": "istio-proxy", "image": format!("docker.io/istio/ztunnel:{ISTIO_VERSION}-distroless"), "args": ["proxy", "ztunnel"]}]}});
    mesh::set_running(&mut ztunnel);

    let quotes = Workload { ports: &[7070], ..Workload::new("analytics", "quotes", "6c7d8f9b5d", &["f5j8q"]) };
    let mut proxyless = quotes.pod("f5j8q");
    proxyless["metadata"]["annotations"]["inject.istio.io/templates"] = json!("grpc-agent");
    if let Some(environment) = proxyless["spec"]["containers"][0]["env"].as_array_mut() {
        environment.push(json!({"name": "ISTIO_META_GENERATOR", "value": "grpc"}));
        environment.push(json!({"name": "DISABLE_ENVOY", "value": "true"}));
    }

    let agent = Workload {
        injection: Injection::None,
        ports: &[8080],
        ..Workload::new("istio-ingress", "agentgateway", "85b6f7c9d4", &["x6c2p"])
    };
    let mut agentgateway = agent.pod("x6c2p");
    agentgateway["metadata"]["labels"]["gateway.networking.k8s.io/gateway-name"] = json!("agentgateway");
    agentgateway["spec"]["containers"][0]["name"] = json!("agentgateway");

    [pending, completed, ztunnel, proxyless, agentgateway].into_iter().map(Pod::without_proxy).collect()
}

/// What has been applied to the mesh beside its workloads.
fn policies() -> Vec<Value> {
    let object = |kind: &str, namespace: &str, name: &str, spec: Value| {
        let version = if kind == "EnvoyFilter" { "v1alpha3" } else { "v1" };
        json!({"apiVersion": format!("networking.istio.io/{version}"), "kind": kind,
            "metadata": {"name": name, "namespace": namespace}, "spec": spec})
    };
    let connect = |timeout: &str| json!({"connectionPool": {"tcp": {"connectTimeout": timeout}}});
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "orders-migrate", "namespace": "shop", "uid": mesh::uid("Job", "shop", "orders-migrate")},
        "spec": {"template": {"metadata": {"labels": {"job-name": "orders-migrate"}}}}, "status": {"succeeded": 1}});
    let daemon_set = json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "ztunnel", "namespace": "istio-system", "uid": mesh::uid("DaemonSet", "istio-system", "ztunnel")},
        "spec": {"selector": {"matchLabels": {"app": "ztunnel"}}, "template": {"metadata": {"labels": {"app": "ztunnel"}}}}, "status": {"numberReady": 1}});
    let waypoint = json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": "waypoint", "namespace": "analytics", "labels": {"istio.io/waypoint-for": "service"}},
        "spec": {"gatewayClassName": "istio-waypoint", "listeners": [{"name": "mesh", "port": 15008, "protocol": "HBONE"}]}});
    vec![
        job,
        daemon_set,
        waypoint,
        object(
            "ServiceEntry",
            "shop",
            "card-processor",
            json!({"hosts": [LOSSY_HOST], "location": "MESH_EXTERNAL", "resolution": "DNS",
            "ports": [{"number": 443, "name": "tls", "protocol": "TLS"}]}),
        ),
        // The ledger is slow to accept, and its team knows it.
        object(
            "DestinationRule",
            "billing",
            "ledger",
            json!({"host": "ledger.billing.svc.cluster.local", "trafficPolicy": connect("10s")}),
        ),
        object(
            "DestinationRule",
            "shop",
            "catalog-fail-fast",
            json!({"host": "catalog", "trafficPolicy": connect("250ms")}),
        ),
        // Shows in the proxies' metadata as the cluster's rule, and sets no timeout.
        object(
            "DestinationRule",
            "shop",
            "cart-stickiness",
            json!({"host": "cart.shop.svc.cluster.local",
            "trafficPolicy": {"loadBalancer": {"consistentHash": {"httpHeaderName": "x-session"}}}}),
        ),
        // The second subset's connection pool replaces the parent's whole, and so drops its timeout.
        object(
            "DestinationRule",
            "shop",
            "reviews",
            json!({"host": "reviews.shop.svc.cluster.local", "trafficPolicy": connect("5s"), "subsets": [
            {"name": "v1", "labels": {"version": "v1"}},
            {"name": "v2", "labels": {"version": "v2"}, "trafficPolicy": {"connectionPool": {"http": {"http1MaxPendingRequests": 100}}}}]}),
        ),
        // Only for clients in its own namespace, whose rules are looked up first.
        object(
            "DestinationRule",
            "analytics",
            "payments-patient",
            json!({"host": "payments.billing.svc.cluster.local", "trafficPolicy": connect("4s")}),
        ),
        object(
            "Sidecar",
            "billing",
            "payments",
            json!({"workloadSelector": {"labels": {"app": "payments"}},
            "inboundConnectionPool": {"tcp": {"connectTimeout": "3s"}}, "egress": [{"hosts": ["*/*"]}]}),
        ),
        object(
            "EnvoyFilter",
            "shop",
            "web-payments-fail-fast",
            json!({"workloadSelector": {"labels": {"app": "web"}}, "configPatches": [
            {"applyTo": "CLUSTER", "match": {"context": "SIDECAR_OUTBOUND", "cluster": {"service": "payments.billing.svc.cluster.local"}},
                "patch": {"operation": "MERGE", "value": {"connect_timeout": "0.500s"}}}]}),
        ),
        object(
            "EnvoyFilter",
            "analytics",
            "legacy-ledger",
            json!({"workloadSelector": {"labels": {"app": "reports"}}, "configPatches": [
            {"applyTo": "CLUSTER", "match": {"context": "SIDECAR_OUTBOUND"}, "patch": {"operation": "ADD", "value":
                {"name": "outbound|8443||legacy-ledger.example.net", "type": "STRICT_DNS", "lb_policy": "ROUND_ROBIN", "load_assignment":
                    {"cluster_name": "outbound|8443||legacy-ledger.example.net", "endpoints": []}}}}]}),
        ),
        object(
            "VirtualService",
            "billing",
            "ledger",
            json!({"hosts": ["ledger.billing.svc.cluster.local"], "http": [
            {"timeout": "8s", "retries": {"attempts": 2, "perTryTimeout": "4s", "retryOn": "connect-failure"},
                "route": [{"destination": {"host": "ledger.billing.svc.cluster.local"}}]}]}),
        ),
    ]
}

/// A week of the application's own log: a few resets a day, more of them lately, among calls that went well.
fn last_week(now: Timestamp) -> Vec<(Timestamp, String)> {
    let mut lines = Vec::new();
    for hours_ago in 1..=7 * 24 {
        lines.extend(now.checked_sub(SignedDuration::from_hours(hours_ago)).ok().map(answered_line));
    }
    for (days_ago, resets) in [(7, 4), (6, 3), (5, 6), (4, 5), (3, 9), (2, 14), (1, 17)] {
        for number in 0..resets {
            let ago = SignedDuration::from_hours(days_ago * 24) - SignedDuration::from_mins(number * 1_200 / resets);
            let Ok(at) = now.checked_sub(ago) else {
                continue;
            };
            lines.extend(reset_lines(at));
            if let Ok(later) = at.checked_add(SignedDuration::from_secs(7)) {
                lines.push((
                    later,
                    format!("{later:.3} INFO  [http-nio-8080-exec-4] c.e.s.checkout.CheckoutService : order placed"),
                ));
            }
        }
    }
    lines.sort_by_key(|(at, _)| *at);
    lines
}

/// What the application writes when the card processor has answered.
pub(crate) fn answered_line(at: Timestamp) -> (Timestamp, String) {
    let line = format!(
        "{at:.3} INFO  [http-nio-8080-exec-3] c.e.s.checkout.CardGateway : POST https://{LOSSY_HOST}/v1/charges 200 in 41 ms"
    );
    (at, line)
}

/// What the application writes when a call to the card processor is reset.
pub(crate) fn reset_lines(at: Timestamp) -> Vec<(Timestamp, String)> {
    [
        format!("{at:.3} ERROR [http-nio-8080-exec-3] c.e.s.checkout.CardGateway : POST https://{LOSSY_HOST}/v1/charges failed"),
        "java.net.SocketException: Connection reset".to_owned(),
        "\tat java.base/sun.nio.ch.NioSocketImpl.implRead(NioSocketImpl.java:318)".to_owned(),
        "\tat java.base/java.net.Socket$SocketInputStream.read(Socket.java:1099)".to_owned(),
        "\tat com.example.shop.checkout.CardGateway.charge(CardGateway.java:87)".to_owned(),
    ]
    .into_iter()
    .map(|line| (at, line))
    .collect()
}
