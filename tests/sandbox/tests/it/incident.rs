//! The incident itself: every proxy holds what it should, and the resets are real.

use std::collections::BTreeMap;
use std::time::Duration;

use meshaudit_sandbox::{Outcome, incident};
use serde_json::Value;

use crate::INCIDENT;
use crate::client::{get, wait};

fn dump(admin: &str, resource: &str) -> BTreeMap<String, Option<String>> {
    let address = admin.replace("http://", "");
    let body = wait(async {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let target = format!("/config_dump?resource={resource}&mask=cluster.name,cluster.connect_timeout");
        meshaudit_sandbox::admin::request(stream, "GET", &target).await.unwrap().1
    });
    let dump: Value = serde_json::from_slice(&body).unwrap();
    let clusters = dump["configs"].as_array().unwrap().iter().map(|element| {
        let cluster = &element["cluster"];
        (cluster["name"].as_str().unwrap().to_owned(), cluster["connect_timeout"].as_str().map(str::to_owned))
    });
    clusters.collect()
}

#[test]
fn every_proxy_holds_what_the_incident_says() {
    let expected = incident::expected();
    assert!(expected.proxies.len() >= 12);
    for proxy in &expected.proxies {
        let admin = INCIDENT.admin_url(&proxy.namespace, &proxy.pod).unwrap();
        let wanted: BTreeMap<_, _> =
            proxy.clusters.iter().map(|(name, timeout)| (name.clone(), timeout.map(str::to_owned))).collect();
        assert_eq!(dump(&admin, "dynamic_active_clusters"), wanted, "{}/{}", proxy.namespace, proxy.pod);
        let wanted: BTreeMap<_, _> = expected
            .bootstrap
            .iter()
            .map(|(name, timeout)| ((*name).to_owned(), Some((*timeout).to_owned())))
            .collect();
        assert_eq!(dump(&admin, "static_clusters"), wanted, "{}/{}", proxy.namespace, proxy.pod);
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
fn a_lost_syn_is_a_reset_after_one_second() {
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
