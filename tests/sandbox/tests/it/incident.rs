//! The incident itself: every proxy holds what it should, and the resets are real.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::INCIDENT;
use crate::client::{get, wait};
use crate::proxy::clusters;
use meshaudit_sandbox::{Outcome, incident};

#[test]
fn every_proxy_holds_what_the_incident_says() {
    let expected = incident::expected();
    assert!(expected.proxies.len() >= 12);
    for proxy in &expected.proxies {
        let dump = |resource| clusters(&INCIDENT, &proxy.namespace, &proxy.pod, resource);
        let wanted: BTreeMap<_, _> =
            proxy.clusters.iter().map(|(name, timeout)| (name.clone(), timeout.map(str::to_owned))).collect();
        assert_eq!(dump("dynamic_active_clusters"), wanted, "{}/{}", proxy.namespace, proxy.pod);
        let wanted: BTreeMap<_, _> = expected
            .bootstrap
            .iter()
            .map(|(name, timeout)| ((*name).to_owned(), Some((*timeout).to_owned())))
            .collect();
        assert_eq!(dump("static_clusters"), wanted, "{}/{}", proxy.namespace, proxy.pod);
    }
}

#[test]
fn the_expectation_covers_every_pod() {
    let expected = incident::expected();
    let list = get(&INCIDENT, "admin", "/api/v1/pods").json();
    let mut present: Vec<String> = list["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pod| {
            format!("{}/{}", pod["metadata"]["namespace"].as_str().unwrap(), pod["metadata"]["name"].as_str().unwrap())
        })
        .collect();
    let mut covered: Vec<String> = expected
        .proxies
        .iter()
        .map(|proxy| format!("{}/{}", proxy.namespace, proxy.pod))
        .chain(expected.failed.iter().map(|(namespace, pod, _)| format!("{namespace}/{pod}")))
        .chain(expected.skipped.iter().map(|(namespace, pod)| format!("{namespace}/{pod}")))
        .collect();
    present.sort();
    covered.sort();
    assert_eq!(covered, present);
}

#[test]
fn a_lost_syn_is_a_reset_after_one_second_and_nothing_else_is() {
    for _ in 0..3 {
        let calls = INCIDENT.drive_healthy_client();
        assert!(calls.iter().all(|call| call.outcome == Outcome::Answered), "{calls:?}");
    }
    let calls = INCIDENT.drive_client();
    assert_eq!(calls.len(), 2, "one through each checkout proxy");
    for call in &calls {
        assert_eq!(call.outcome, Outcome::Reset);
        // Envoy's second is the lower bound; how late a busy machine notices is not ours to say.
        assert!(call.took >= Duration::from_millis(900), "{:?}", call.took);
    }
    for pod in ["checkout-7d9f8b6c5d-m8q2z", "checkout-7d9f8b6c5d-x2k4p"] {
        let log = wait(async {
            for _ in 0..100 {
                let log = INCIDENT.envoy_log("shop", pod);
                if log.contains("UF,URX") {
                    return log;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            panic!("no access log of {pod}")
        });
        let line = log.lines().find(|line| line.contains("UF,URX")).unwrap();
        assert!(line.contains("outbound|443||cc-api.example.io"), "{line}");
    }
}

#[test]
fn http_fails_as_envoy_fails_it() {
    assert_eq!(INCIDENT.drive_http_client(incident::ANSWERING_HOST).unwrap().0, 200);
    let (status, body) = INCIDENT.drive_http_client(incident::REFUSING_HOST).unwrap();
    assert_eq!(status, 503);
    assert!(body.contains("reset reason: remote connection failure"), "{body}");
    let (status, body) = INCIDENT.drive_http_client(incident::SILENT_HOST).unwrap();
    assert_eq!(status, 503);
    assert!(body.contains("reset reason: connection timeout"), "{body}");
}
