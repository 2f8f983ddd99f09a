//! Endpoints for the Envoys, in the place of pilot-agent: EDS over REST.
//!
//! Endpoints by file would cost one inotify instance a cluster, and a user has only 128 of them.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Where each host really is on this machine.
#[derive(Debug)]
pub(crate) struct Routes {
    /// Hosts with a place of their own.
    pub(crate) named: HashMap<String, SocketAddr>,
    /// Where every other host is.
    pub(crate) otherwise: SocketAddr,
}

const ASSIGNMENT: &str = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";

/// Serves endpoints by `routes` until the runtime ends, and returns where.
///
/// # Errors
/// Any error of listening.
pub(crate) async fn serve(routes: Arc<Routes>) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let routes = Arc::clone(&routes);
            let service = service_fn(move |request| answer(Arc::clone(&routes), request));
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    Ok(address)
}

async fn answer(routes: Arc<Routes>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let names = asked["resource_names"].as_array().cloned().unwrap_or_default();
    let resources: Vec<Value> = names
        .iter()
        .map(|name| {
            let endpoints = endpoints(&routes, name.as_str().unwrap_or_default());
            json!({"@type": ASSIGNMENT, "cluster_name": name, "endpoints": endpoints})
        })
        .collect();
    let body = json!({"version_info": "1", "type_url": ASSIGNMENT, "resources": resources});
    Ok(Response::new(Full::from(body.to_string())))
}

/// The endpoints of a cluster, by the host at the end of its name.
pub(crate) fn endpoints(routes: &Routes, cluster: &str) -> Value {
    let host = cluster.rsplit('|').next().unwrap_or_default();
    let address = routes.named.get(host).unwrap_or(&routes.otherwise);
    json!([{"lb_endpoints": [{"endpoint": {"address": {"socket_address":
        {"address": address.ip().to_string(), "port_value": address.port()}}}}]}])
}
