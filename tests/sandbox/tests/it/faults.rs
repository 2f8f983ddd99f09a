//! Each fault, as a client meets it.

use std::time::{Duration, Instant};

use meshaudit_sandbox::Sandbox;
use meshaudit_sandbox::faults::Fault;
use serde_json::json;

use crate::client::{Frame, Tunnel, ask, get, wait};
use crate::small;

const POD: &str = "team-3/load-6d8f7c9b54-00003";

fn with(fault: Fault) -> Sandbox {
    let sandbox = small();
    sandbox.fault("team-3", "load-6d8f7c9b54-00003", fault);
    sandbox
}

async fn open(sandbox: &Sandbox) -> Tunnel {
    Tunnel::open(sandbox, "admin", POD, 15_000).await.unwrap().begun(15_000).await
}

#[test]
fn a_refused_tunnel_opens_after_a_while() {
    let sandbox = with(Fault::Refuse { status: 503, times: 1, retry_after: Some(2) });
    wait(async {
        let refused = Tunnel::open(&sandbox, "admin", POD, 15_000).await.err().unwrap();
        assert_eq!((refused.status, refused.headers["retry-after"].to_str().unwrap()), (503, "2"));
        assert!(open(&sandbox).await.get("/ready").await.0.contains("LIVE"));
    });
}

#[test]
fn a_pod_may_be_gone_or_forbidden_when_its_tunnel_is_opened() {
    for (fault, status) in [(Fault::Gone, 404), (Fault::Forbidden, 403)] {
        let sandbox = with(fault);
        let refused = wait(Tunnel::open(&sandbox, "admin", POD, 15_000)).err().unwrap();
        assert_eq!(refused.status, status);
        assert_eq!(get(&sandbox, "admin", "/api/v1/namespaces/team-3/pods/load-6d8f7c9b54-00003").status, 200);
    }
}

#[test]
fn the_error_channel_says_what_it_is_told_to() {
    let sandbox = with(Fault::ErrorChannel { message: "no such luck".to_owned() });
    wait(async {
        assert_eq!(open(&sandbox).await.rest().await, (Vec::new(), Some("no such luck".to_owned())));
    });
}

#[test]
fn a_hanging_pod_says_nothing() {
    let sandbox = with(Fault::Hang);
    wait(async {
        let mut tunnel = open(&sandbox).await;
        let answer = tokio::time::timeout(Duration::from_millis(700), tunnel.get("/ready")).await;
        assert!(answer.is_err(), "{answer:?}");
    });
}

#[test]
fn a_resetting_pod_is_told_of_on_the_error_channel() {
    let sandbox = with(Fault::Reset);
    wait(async {
        let (answer, error) = open(&sandbox).await.get("/ready").await;
        assert_eq!(answer, "");
        assert!(error.unwrap().ends_with("read: connection reset by peer"));
    });
}

#[test]
fn a_truncated_answer_ends_early_and_without_an_error() {
    let sandbox = with(Fault::Truncated { bytes: 5_000 });
    wait(async {
        let (answer, error) = open(&sandbox).await.get("/config_dump").await;
        assert_eq!((answer.len(), error), (5_000, None));
        assert!(answer.contains("content-length: "), "so that a client can know: {}", &answer[..200]);
    });
}

#[test]
fn a_huge_answer_streams() {
    let sandbox = with(Fault::Huge { bytes: 20_000_000 });
    wait(async {
        let mut tunnel = open(&sandbox).await;
        tunnel.send(b"GET /config_dump HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
        let (mut length, mut end) = (0, Vec::new());
        while length < 20_000_000 || !end.ends_with(b"]}") {
            let Frame::Data(bytes) = tunnel.next().await else { panic!("ended after {length} bytes") };
            length += bytes.len();
            end = bytes;
        }
    });
    assert!(sandbox.stats().tunnel_bytes >= 20_000_000);
}

#[test]
fn a_slow_pod_takes_its_time() {
    let sandbox = with(Fault::Slow { latency_ms: 300, bytes_per_second: 40_000 });
    wait(async {
        let begun = Instant::now();
        let (answer, _) = open(&sandbox).await.get("/config_dump?resource=dynamic_active_clusters").await;
        let least = Duration::from_millis(300) + Duration::from_secs_f64(answer.len() as f64 / 40_000.0);
        assert!(begun.elapsed() >= least, "{} bytes in {:?}", answer.len(), begun.elapsed());
        assert!(answer.contains("service-0029"), "and it is whole");
    });
}

#[test]
fn something_else_may_listen_on_the_port() {
    let sandbox = with(Fault::NotEnvoy);
    assert!(wait(async { open(&sandbox).await.get("/config_dump").await }).0.contains("Welcome to nginx!"));
}

#[test]
fn faults_are_set_over_the_wire_too() {
    let sandbox = small();
    let path = "/sandbox/faults/team-3/load-6d8f7c9b54-00003";
    let fault = json!({"kind": "truncated", "bytes": 100});
    assert_eq!(ask(&sandbox, "viewer", "PUT", path, &fault).status, 403);
    assert_eq!(ask(&sandbox, "admin", "PUT", path, &fault).status, 200);
    assert_eq!(wait(async { open(&sandbox).await.get("/ready").await }).0.len(), 100);
    assert_eq!(ask(&sandbox, "admin", "DELETE", path, &json!(null)).status, 200);
    assert!(wait(async { open(&sandbox).await.get("/ready").await }).0.contains("LIVE"));
    let stats = get(&sandbox, "admin", "/sandbox/stats").json();
    assert_eq!(stats["tunnels"][POD], 2);
}

#[test]
fn the_api_server_goes_down_with_its_connections_and_comes_back() {
    let sandbox = small();
    wait(async {
        let mut tunnel = open(&sandbox).await;
        sandbox.set_down(true).unwrap();
        assert_eq!(tunnel.next().await, Frame::End, "open tunnels are gone");
    });
    let address = sandbox.server_url().replace("https://", "");
    // The listener is closed by a task that ends a moment later.
    let gone = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        std::net::TcpStream::connect(&address).is_err()
    });
    assert!(gone, "nothing listens");
    sandbox.set_down(false).unwrap();
    assert_eq!(get(&sandbox, "admin", "/api/v1/pods").status, 200);
}
