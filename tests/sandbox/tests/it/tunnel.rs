//! Port-forwards over WebSocket to a real Envoy, frame by frame.

use crate::INCIDENT;
use crate::client::{Tunnel, wait};

const CHECKOUT: &str = "shop/checkout-7d9f8b6c5d-m8q2z";

#[test]
fn a_tunnel_carries_http_to_envoy() {
    wait(async {
        let tunnel = Tunnel::open(&INCIDENT, "admin", CHECKOUT, 15_000).await.unwrap();
        assert_eq!(tunnel.protocol, "v4.channel.k8s.io", "of v5 and v4, a kubelet knows v4");
        let mut tunnel = tunnel.begun(15_000).await;
        let (answer, error) =
            tunnel.get("/config_dump?resource=dynamic_active_clusters&mask=cluster.name,cluster.connect_timeout").await;
        assert_eq!(error, None);
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        assert!(answer.contains("\"name\": \"outbound|443||cc-api.example.io\",\n    \"connect_timeout\": \"1s\""));
    });
}

#[test]
fn the_admin_port_is_the_one_that_the_pod_says() {
    wait(async {
        let ledger = "billing/ledger-7b6d5c8f9d-t6v4q";
        let mut tunnel = Tunnel::open(&INCIDENT, "admin", ledger, 15_500).await.unwrap().begun(15_500).await;
        assert!(tunnel.get("/ready").await.0.ends_with("LIVE\n\r\n0\r\n\r\n"));
        let mut closed = Tunnel::open(&INCIDENT, "admin", ledger, 15_000).await.unwrap().begun(15_000).await;
        let (data, error) = closed.rest().await;
        assert!(data.is_empty());
        let error = error.unwrap();
        assert!(error.starts_with("error forwarding port 15000 to pod "), "{error}");
        assert!(error.contains("dial tcp4 127.0.0.1:15000: connect: connection refused"), "{error}");
    });
}

#[test]
fn a_tunnel_needs_both_verbs() {
    wait(async {
        for (user, verb) in [("viewer", "get"), ("createonly", "get"), ("getonly", "create")] {
            let refused = Tunnel::open(&INCIDENT, user, CHECKOUT, 15_000).await.err().unwrap();
            assert_eq!(refused.status, 403);
            assert_eq!(
                refused.message(),
                format!(
                    r#"pods "checkout-7d9f8b6c5d-m8q2z" is forbidden: User "{user}" cannot {verb} resource "pods/portforward" in API group "" in the namespace "shop""#
                )
            );
        }
        assert!(Tunnel::open(&INCIDENT, "least", CHECKOUT, 15_000).await.is_ok());
    });
}

#[test]
fn pods_that_do_not_run_refuse_each_in_its_way() {
    wait(async {
        let pending = Tunnel::open(&INCIDENT, "admin", "shop/checkout-7d9f8b6c5d-zz9wl", 15_000).await.err().unwrap();
        assert_eq!(
            (pending.status, pending.message().as_str()),
            (400, "pod checkout-7d9f8b6c5d-zz9wl does not have a host assigned")
        );
        let completed = Tunnel::open(&INCIDENT, "admin", "shop/orders-migrate-4t8kd", 15_000).await.err().unwrap();
        assert_eq!(completed.status, 500);
        assert_eq!(completed.body, "pod not found (\"orders-migrate-4t8kd_shop\")\n", "plain text, no Status");
        let missing = Tunnel::open(&INCIDENT, "admin", "shop/nosuch", 15_000).await.err().unwrap();
        assert_eq!(missing.status, 404);
        let bad_token = Tunnel::open(&INCIDENT, "nobody", CHECKOUT, 15_000).await.err().unwrap();
        assert_eq!(bad_token.status, 401);
        let unknown = Tunnel::offering(&INCIDENT, "admin", CHECKOUT, 15_000, "v5.channel.k8s.io").await.err().unwrap();
        assert_eq!((unknown.status, unknown.body.len()), (403, 0), "a kubelet that knows no v5 says nothing");
    });
}
