//! `resets` against a cluster: pods' logs, and Prometheus behind a Service.

use std::sync::Arc;

use jiff::Timestamp;
use meshaudit_sandbox::api::{Handler, Reply};
use meshaudit_sandbox::mesh::{Injection, Pod, Proxy, Workload, service};
use meshaudit_sandbox::{Mesh, Sandbox};
use serde_json::{Value, json};

use crate::plugin;

const FAILURE: [&str; 3] =
    ["call failed", "java.net.SocketException: Connection reset", "\tat java.base/java.net.X.y(X.java:1)"];

/// A kubelet's lines: an ordinary one each minute, and a failure of three lines where `failures` says.
fn log(failures: &[i64]) -> Vec<(Timestamp, String)> {
    let mut lines = Vec::new();
    for minute in 0..120 {
        let at = Timestamp::from_second(1_594_238_400 + minute * 60).unwrap();
        lines.push((at, format!("handled request {minute}")));
        if failures.contains(&minute) {
            for (index, line) in FAILURE.iter().enumerate() {
                // A kubelet drops trailing zeros: times of any length.
                let at = at + jiff::SignedDuration::from_micros(100_000 * i64::try_from(index + 1).unwrap());
                lines.push((at, (*line).to_owned()));
            }
        }
    }
    lines
}

fn mesh() -> Mesh {
    let checkout =
        Workload { injection: Injection::None, ..Workload::new("shop", "checkout", "7d9f8b6c5d", &["x2x4z", "b5b6c"]) };
    let orders = Workload::new("shop", "orders", "6c5d7d9f8b", &["q7w8z"]);
    let mut pods = Vec::new();
    for (replica, failures) in [("x2x4z", &[3, 70][..]), ("b5b6c", &[5])] {
        let mut pod = Pod::without_proxy(checkout.pod(replica));
        pod.logs.push(("checkout".to_owned(), log(failures)));
        pods.push(pod);
    }
    let mut pod = Pod::without_proxy(orders.pod("q7w8z"));
    pod.logs.push(("orders".to_owned(), log(&[])));
    pod.logs.push(("istio-proxy".to_owned(), log(&[1, 2, 3, 4])));
    pods.push(pod);
    let prometheus = Workload {
        injection: Injection::None,
        ports: &[9090],
        ..Workload::new("istio-system", "prometheus", "5d7d9f8b6c", &["z4x5w"])
    };
    let mut pod = Pod::without_proxy(prometheus.pod("z4x5w"));
    pod.admin_port = 9090;
    pod.proxy = Proxy::Canned(Arc::new(Recorded));
    pods.push(pod);
    let mut objects = checkout.objects();
    objects.extend(orders.objects());
    objects.push(service(
        "istio-system",
        "prometheus",
        &json!({"app": "prometheus"}),
        &[
            json!({"name": "http", "port": 80, "targetPort": 9090}),
            json!({"name": "grpc", "port": 10901, "targetPort": 10901}),
        ],
    ));
    Mesh { name: "sandbox".to_owned(), objects, pods, ..Mesh::default() }
}

/// Answers as the recorded server does.
struct Recorded;

impl Handler for Recorded {
    fn answer(&self, _: &http::Method, target: &str) -> Reply {
        Reply::json(super::prometheus::answer_to(target).into_bytes())
    }
}

#[test]
fn pods_and_services_are_read_through_the_api() {
    let sandbox = Sandbox::start(mesh()).unwrap();
    let kubeconfig = sandbox.kubeconfig().display().to_string();
    let with = |args: &[&str]| {
        let mut all = vec!["resets", "--kubeconfig", &kubeconfig, "-o", "json"];
        all.extend(args);
        let run = plugin(all).run();
        (run.code, serde_json::from_str::<Value>(&run.stdout).unwrap_or(Value::Null), run.stderr)
    };

    let (code, report, said) = with(&["-n", "shop", "--by", "hour"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(report["total"]["perBucket"], json!([2, 1]));
    assert_eq!(report["services"][0]["name"], "checkout");
    assert_eq!(report["services"][0]["resets"], 3, "one a record, however many lines it has");
    assert_eq!(report["services"][1]["perBucket"], json!([0, 0]), "the proxy's own log is not the application's");
    assert_eq!(report["input"]["sources"], 3);

    let (_, report, _) = with(&["deploy/orders", "-n", "shop", "-c", "istio-proxy"]);
    assert_eq!(report["total"]["resets"], 4);

    // The server is asked for what is wanted only.
    let (_, report, _) =
        with(&["-n", "shop", "--since", "2020-07-08T21:00Z", "--until", "2020-07-08T22:00Z", "--by", "hour"]);
    assert_eq!(report["total"]["resets"], 1);
    assert_eq!(report["input"]["outsideWindow"], 0);

    let (code, _, said) = with(&["-n", "nowhere"]);
    assert_eq!(code, 4);
    assert!(said.contains("nowhere"), "{said}");

    let window = ["-n", "shop", "--since", "2020-07-08T00:00Z", "--until", "2020-07-09T06:00Z", "--by", "hour"];
    let mut args = vec!["--prometheus-service", "istio-system/prometheus:80"];
    args.extend(window);
    let (code, report, said) = with(&args);
    assert_eq!(code, 0, "{said}");
    assert_eq!(report["services"][0]["name"], "shop/gappy", "{report:#}");
    let (code, _, said) = with(&["--prometheus-service", "istio-system/prometheus"]);
    assert_eq!(code, 4);
    assert!(said.contains("several ports"), "{said}");
    let (code, _, _) = with(&["--prometheus-service", "prometheus"]);
    assert_eq!(code, 2);
}
