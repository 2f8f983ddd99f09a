//! Lists, selectors, permissions and writes.

use meshaudit_sandbox::faults::Refusal;
use serde_json::{Value, json};

use crate::client::{ask, get};
use crate::{INCIDENT, small};

fn names(list: &Value) -> Vec<String> {
    list["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn pages_follow_each_other_until_the_list_is_whole() {
    let sandbox = small();
    let whole = names(&get(&sandbox, "admin", "/api/v1/pods").json());
    assert_eq!(whole.len(), 12);
    let (mut paged, mut token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = get(&sandbox, "admin", &format!("/api/v1/pods?limit=5&continue={token}")).json();
        paged.extend(names(&page));
        pages += 1;
        let left = whole.len() - paged.len();
        token = page["metadata"]["continue"].as_str().unwrap_or_default().replace('+', "%2B").replace('=', "%3D");
        if token.is_empty() {
            assert_eq!(left, 0);
            break;
        }
        assert_eq!(page["metadata"]["remainingItemCount"], left);
    }
    assert_eq!((paged, pages), (whole, 3));
    assert_eq!(sandbox.stats().requested("list pods"), 4);
}

#[test]
fn a_continue_token_expires_with_410() {
    let sandbox = small();
    let page = get(&sandbox, "admin", "/api/v1/pods?limit=5").json();
    let token = page["metadata"]["continue"].as_str().unwrap().replace('+', "%2B").replace('=', "%3D");
    sandbox.expire_continue_tokens();
    let answer = get(&sandbox, "admin", &format!("/api/v1/pods?limit=5&continue={token}"));
    assert_eq!((answer.status, answer.json()["reason"].as_str().unwrap()), (410, "Expired"));
    assert_eq!(get(&sandbox, "admin", "/api/v1/pods?limit=5").status, 200);
}

#[test]
fn selectors_narrow_lists() {
    for (query, expected) in [
        ("namespaces/shop/pods?labelSelector=app%3Dcheckout", 3),
        ("namespaces/shop/pods?labelSelector=app%20in%20(cart,web)", 2),
        ("namespaces/shop/pods?labelSelector=app,app%20notin%20(checkout)", 7),
        ("namespaces/shop/pods?labelSelector=app%3Dcheckout&fieldSelector=status.phase%3DRunning", 2),
        ("pods?fieldSelector=status.phase%3DPending", 1),
        ("pods?fieldSelector=metadata.namespace!%3Dshop,status.phase%3DRunning", 14),
        ("pods?labelSelector=gateway.networking.k8s.io/gateway-name%3Dwaypoint", 1),
    ] {
        let answer = get(&INCIDENT, "admin", &format!("/api/v1/{query}"));
        assert_eq!(names(&answer.json()).len(), expected, "{query}");
    }
    let answer = get(&INCIDENT, "admin", "/api/v1/pods?fieldSelector=spec.color%3Dred");
    assert_eq!((answer.status, answer.message().as_str()), (400, "field label not supported: spec.color"));
}

#[test]
fn who_may_not_is_told_so_in_the_servers_words() {
    let denied = get(&INCIDENT, "nolist", "/api/v1/pods");
    assert_eq!(denied.status, 403);
    assert_eq!(
        denied.message(),
        r#"pods is forbidden: User "nolist" cannot list resource "pods" in API group "" at the cluster scope"#
    );
    let denied = get(&INCIDENT, "shop", "/apis/networking.istio.io/v1/namespaces/billing/destinationrules");
    assert_eq!(
        denied.message(),
        r#"destinationrules.networking.istio.io is forbidden: User "shop" cannot list resource "destinationrules" in API group "networking.istio.io" in the namespace "billing""#
    );
    assert_eq!(get(&INCIDENT, "shop", "/api/v1/namespaces/shop/pods").status, 200);
    assert_eq!(get(&INCIDENT, "nobody", "/api/v1/pods").status, 401, "a token that belongs to no user");
    let denied = ask(&INCIDENT, "viewer", "DELETE", "/api/v1/namespaces/shop/pods/x", &Value::Null);
    assert_eq!(denied.status, 403);
}

#[test]
fn missing_things_are_404() {
    let answer = get(&INCIDENT, "admin", "/api/v1/namespaces/shop/pods/gone");
    assert_eq!((answer.status, answer.message().as_str()), (404, r#"pods "gone" not found"#));
    assert_eq!(get(&INCIDENT, "admin", "/apis/example.com/v1/widgets").status, 404);
}

#[test]
fn writes_leave_versions_and_owners_of_fields() {
    let sandbox = small();
    let path = "/apis/networking.istio.io/v1/namespaces/team-1/destinationrules";
    let rule = json!({"metadata": {"name": "r"}, "spec": {"host": "a", "trafficPolicy": {"connectionPool": {"tcp": {"connectTimeout": "3s"}}}}});
    let created = ask(&sandbox, "admin", "POST", path, &rule);
    assert_eq!(created.status, 201);
    assert_eq!(ask(&sandbox, "admin", "POST", path, &rule).json()["reason"], "AlreadyExists");

    let patch = json!({"spec": {"trafficPolicy": {"connectionPool": null, "loadBalancer": {"simple": "RANDOM"}}}});
    let patched = ask(&sandbox, "admin", "PATCH", &format!("{path}/r?fieldManager=kubectl-edit"), &patch).json();
    assert_eq!(patched["spec"], json!({"host": "a", "trafficPolicy": {"loadBalancer": {"simple": "RANDOM"}}}));
    assert_ne!(patched["metadata"]["resourceVersion"], created.json()["metadata"]["resourceVersion"]);
    let managers: Vec<&str> = patched["metadata"]["managedFields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["manager"].as_str().unwrap())
        .collect();
    assert_eq!(managers, ["tests", "kubectl-edit"]);

    // A writer who names the version it has read loses against a newer one.
    let stale = json!({"metadata": {"resourceVersion": created.json()["metadata"]["resourceVersion"]}, "spec": {}});
    assert_eq!(ask(&sandbox, "admin", "PATCH", &format!("{path}/r"), &stale).status, 409);
    // Each served version shows the object as its own.
    let older =
        get(&sandbox, "admin", "/apis/networking.istio.io/v1alpha3/namespaces/team-1/destinationrules/r").json();
    assert_eq!(older["apiVersion"], "networking.istio.io/v1alpha3");

    assert_eq!(ask(&sandbox, "admin", "DELETE", &format!("{path}/r"), &Value::Null).status, 200);
    assert_eq!(get(&sandbox, "admin", &format!("{path}/r")).status, 404);
}

#[test]
fn a_refusal_counts_down_and_then_the_request_works() {
    let sandbox = small();
    sandbox.refuse(Refusal {
        verb: "list".into(),
        resource: "pods".into(),
        status: 429,
        times: 2,
        retry_after: Some(1),
    });
    for _ in 0..2 {
        let answer = get(&sandbox, "admin", "/api/v1/pods");
        assert_eq!((answer.status, answer.headers["retry-after"].to_str().unwrap()), (429, "1"));
    }
    assert_eq!(get(&sandbox, "admin", "/api/v1/pods").status, 200);
}

#[test]
fn logs_are_read_as_a_kubelet_reads_them() {
    let log = |query: &str| {
        get(&INCIDENT, "admin", &format!("/api/v1/namespaces/shop/pods/checkout-7d9f8b6c5d-m8q2z/log?{query}"))
    };
    let unnamed = log("");
    assert_eq!(unnamed.status, 400);
    assert_eq!(
        unnamed.message(),
        "a container name must be specified for pod checkout-7d9f8b6c5d-m8q2z, choose one of: [istio-proxy checkout] or one of the init containers: [istio-init]"
    );
    assert_eq!(log("container=nosuch").message(), "container nosuch is not valid for pod checkout-7d9f8b6c5d-m8q2z");
    assert_eq!(log("container=checkout&previous=true").status, 400);
    let text = String::from_utf8(log("container=checkout&tailLines=4&timestamps=true").body.to_vec()).unwrap();
    assert_eq!(text.lines().count(), 4);
    for line in text.lines() {
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(time.parse::<jiff::Timestamp>().is_ok() && !rest.is_empty(), "{line}");
    }
    let resets = String::from_utf8(log("container=checkout").body.to_vec()).unwrap();
    assert!(resets.matches("java.net.SocketException: Connection reset").count() >= 58, "a week of them");
    let pending =
        get(&INCIDENT, "admin", "/api/v1/namespaces/shop/pods/checkout-7d9f8b6c5d-zz9wl/log?container=checkout");
    assert_eq!(
        pending.message(),
        r#"container "checkout" in pod "checkout-7d9f8b6c5d-zz9wl" is waiting to start: ContainerCreating"#
    );
}

/// What a watch of a second gives, as (type, name or annotation, resource version).
fn watched(sandbox: &meshaudit_sandbox::Sandbox, query: &str) -> Vec<(String, String, u64)> {
    let path = format!("/api/v1/pods?watch=true&timeoutSeconds=1&{query}");
    let answer = get(sandbox, "admin", &path);
    assert_eq!(answer.status, 200, "{query}");
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    text.lines()
        .map(|line| {
            let event: Value = serde_json::from_str(line).unwrap();
            let metadata = &event["object"]["metadata"];
            let ends = metadata["annotations"]["k8s.io/initial-events-end"].as_str().map(|_| "end of initial events");
            let name = ends.or(metadata["name"].as_str()).unwrap_or_default();
            let version = metadata["resourceVersion"].as_str().and_then(|version| version.parse().ok());
            (event["type"].as_str().unwrap().to_owned(), name.to_owned(), version.unwrap_or_default())
        })
        .collect()
}

#[test]
fn a_watch_begins_where_it_is_told_and_ends_when_it_is_told() {
    let sandbox = small();
    let listed = get(&sandbox, "admin", "/api/v1/pods").json();
    let version: u64 = listed["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
    let pods = names(&listed);
    // An informer's: what is there, and a bookmark behind it; another when the time is over.
    let initial = watched(
        &sandbox,
        "sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan&resourceVersion=",
    );
    let added: Vec<&str> = initial.iter().filter(|event| event.0 == "ADDED").map(|event| event.1.as_str()).collect();
    assert_eq!(added, pods);
    let bookmarks: Vec<_> = initial[pods.len()..].iter().map(|event| (event.0.as_str(), event.1.as_str())).collect();
    assert_eq!(bookmarks, [("BOOKMARK", "end of initial events"), ("BOOKMARK", "")]);
    assert!(initial[pods.len()].2 >= version, "{initial:?}");
    // From a version on: what was missed, with a selector, and nothing of what was there.
    let label = json!({"metadata": {"labels": {"touched": "yes"}}});
    let path_of = |index: usize| {
        let namespace = listed["items"][index]["metadata"]["namespace"].as_str().unwrap();
        format!("/api/v1/namespaces/{namespace}/pods/{}", pods[index])
    };
    assert_eq!(ask(&sandbox, "admin", "PATCH", &path_of(0), &label).status, 200);
    assert_eq!(ask(&sandbox, "admin", "DELETE", &path_of(1), &Value::Null).status, 200);
    let of = |query: String| -> Vec<(String, String)> {
        watched(&sandbox, &query).into_iter().map(|(kind, name, _)| (kind, name)).collect()
    };
    let (modified, deleted) = (("MODIFIED".to_owned(), pods[0].clone()), ("DELETED".to_owned(), pods[1].clone()));
    let later = of(format!("resourceVersion={version}"));
    assert!(later.contains(&modified) && later.contains(&deleted), "{later:?}");
    assert!(later.iter().all(|event| event.0 != "ADDED" && event.0 != "BOOKMARK"), "{later:?}");
    assert_eq!(of(format!("resourceVersion={version}&labelSelector=touched")), [modified]);
    // Of a version that is long gone nobody knows what came after it.
    let maps = "/api/v1/namespaces/shop/configmaps";
    let map = json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "many"}});
    for _ in 0..150 {
        ask(&sandbox, "admin", "POST", maps, &map);
        ask(&sandbox, "admin", "DELETE", &format!("{maps}/many"), &Value::Null);
    }
    let path = format!("/api/v1/pods?watch=true&timeoutSeconds=1&resourceVersion={version}");
    let event = get(&sandbox, "admin", &path).json();
    assert_eq!((&event["type"], &event["object"]["code"]), (&json!("ERROR"), &json!(410)));
}

#[test]
fn kinds_and_fields_that_other_clients_ask_for_are_there() {
    for path in [
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
        "/api/v1/secrets?fieldSelector=type%3Dkubernetes.io/tls",
    ] {
        let answer = get(&INCIDENT, "admin", path);
        assert_eq!((answer.status, names(&answer.json()).len()), (200, 0), "{path}");
    }
    assert_eq!(get(&INCIDENT, "admin", "/api/v1/pods?fieldSelector=type%3Dx").status, 400);
    let token = ask(&INCIDENT, "admin", "POST", "/api/v1/namespaces/shop/serviceaccounts/default/token", &json!({}));
    assert_eq!((token.status, &token.json()["kind"]), (201, &json!("TokenRequest")));
    assert!(token.json()["status"]["token"].as_str().is_some_and(|token| !token.is_empty()));
}
