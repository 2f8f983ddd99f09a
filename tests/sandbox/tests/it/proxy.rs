//! A proxy's own word for what it holds.

use std::collections::BTreeMap;

use meshaudit_sandbox::Sandbox;
use serde_json::Value;

use crate::client::wait;

/// The clusters of a resource, and the timeout of each, asked of the admin endpoint directly.
pub(crate) fn clusters(
    sandbox: &Sandbox,
    namespace: &str,
    pod: &str,
    resource: &str,
) -> BTreeMap<String, Option<String>> {
    let address = sandbox.admin_url(namespace, pod).unwrap().replace("http://", "");
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
