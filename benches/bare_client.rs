//! What an audit costs at least: kube and hyper, several tunnels at once, the requests of `timeouts`, and the bytes
//! thrown away. `benches/mesh.py` runs it beside the plugin.
//!
//! Usage: `bare_client [--evidence] [TUNNELS]`, with `KUBECONFIG`; prints how many proxies answered and with how many
//! bytes. `bare_client --paths` prints what it would get, for `benches/bytes.py`.
#![allow(clippy::print_stdout, reason = "a program of its own")]

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client};
use meshaudit::decode::{stats, xds_stats};
use meshaudit::reach::{AdminRequest, Section};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let (flags, tunnels): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|word| word.starts_with('-'));
    let tunnels = tunnels.first().map_or(Ok(32), |number| number.parse())?;
    let section = |section| AdminRequest::Clusters { section, masked: true };
    let mut requests = vec![
        section(Section::DynamicActive),
        section(Section::Static),
        section(Section::DynamicWarming),
        AdminRequest::Stats { filter: xds_stats::FILTER.into() },
        AdminRequest::GetLoggers,
    ];
    if flags.iter().any(|flag| flag == "--evidence") {
        requests.extend([
            AdminRequest::Endpoints { filter: None },
            AdminRequest::Stats { filter: stats::STATS_FILTER.into() },
        ]);
    }
    if flags.iter().any(|flag| flag == "--paths") {
        let gets = requests.iter().filter(|request| request.method() == http::Method::GET);
        gets.for_each(|request| println!("{}", request.path()));
        return Ok(());
    }
    let requests: &'static [AdminRequest] = requests.leak();
    let turns: &'static Semaphore = Box::leak(Box::new(Semaphore::new(tunnels)));
    rustls::crypto::ring::default_provider().install_default().map_err(|_| "a provider is there already")?;
    let client = Client::try_default().await?;
    let pods = Api::<Pod>::all(client.clone()).list(&ListParams::default()).await?;
    let mut tasks = JoinSet::new();
    for pod in pods {
        let namespace = pod.metadata.namespace.unwrap_or_default();
        let pods = Api::<Pod>::namespaced(client.clone(), &namespace);
        let name = pod.metadata.name.unwrap_or_default();
        tasks.spawn(async move {
            let _turn = turns.acquire().await?;
            read(&pods, &name, requests).await
        });
    }
    let (mut proxies, mut bytes) = (0, 0);
    while let Some(read) = tasks.join_next().await {
        bytes += read??;
        proxies += 1;
    }
    println!("{proxies} proxies, {bytes} bytes");
    Ok(())
}

/// The bytes of all answers of one proxy.
async fn read(pods: &Api<Pod>, name: &str, requests: &[AdminRequest]) -> Result<usize, Failure> {
    let mut forwarder = pods.portforward(name, &[15_000]).await?;
    let stream = forwarder.take_stream(15_000).ok_or("no stream")?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let mut bytes = 0;
    for request in requests {
        // Without it the second request of a connection is cancelled.
        sender.ready().await?;
        let request = http::Request::builder()
            .method(request.method())
            .uri(request.path())
            .header(http::header::HOST, "localhost:15000")
            .body(Empty::<Bytes>::new())?;
        let mut body = sender.send_request(request).await?.into_body();
        while let Some(frame) = body.frame().await {
            bytes += frame?.data_ref().map_or(0, Bytes::len);
        }
    }
    driver.abort();
    Ok(bytes)
}
