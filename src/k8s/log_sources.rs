//! The logs of many containers as they are now, for `resets`; `logs` is for one that is followed.

use std::pin::pin;
use std::time::Duration;

use futures_util::AsyncReadExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::LogParams;

use super::client::{ApiError, Connection};
use super::pods::{PodSelection, find_pods};

/// A container whose log can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSource {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// The container.
    pub container: String,
}

/// Why a log could not be read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The API server refused, or could not be reached.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The stream broke.
    #[error("the log broke off after {received} bytes: {message}")]
    Broken {
        /// Bytes that came.
        received: u64,
        /// What broke it.
        message: String,
    },
    /// Nothing came for this long.
    #[error("nothing came for {0:?}")]
    Stalled(Duration),
}

/// The containers of the selected pods that have run: the named ones, or all but Istio's own where none is named.
pub async fn log_sources(
    connection: &Connection,
    selection: &PodSelection,
    containers: &[String],
) -> Result<Vec<LogSource>, ApiError> {
    let mut sources = Vec::new();
    for pod in find_pods(connection, selection).await? {
        let (namespace, name) = pod.name();
        for container in pod.containers_with_logs(containers) {
            sources.push(LogSource {
                namespace: namespace.to_owned(),
                pod: name.to_owned(),
                container: container.to_owned(),
            });
        }
    }
    sources.sort_by(|a, b| (&a.namespace, &a.pod, &a.container).cmp(&(&b.namespace, &b.pod, &b.container)));
    sources.dedup();
    Ok(sources)
}

/// Reads a log as it is now, each line with the time at which the kubelet took it, and gives it to `sink` as it comes.
pub async fn read_log(
    connection: &Connection,
    source: &LogSource,
    since: Option<Timestamp>,
    sink: &mut dyn FnMut(&[u8]),
) -> Result<u64, LogError> {
    let deadline = connection.request_timeout;
    let stalled = |_| LogError::Stalled(deadline);
    let pods: Api<Pod> = Api::namespaced(connection.client.clone(), &source.namespace);
    let parameters = LogParams {
        container: Some(source.container.clone()),
        since_time: since,
        timestamps: true,
        ..LogParams::default()
    };
    let stream = tokio::time::timeout(deadline, pods.log_stream(&source.pod, &parameters)).await.map_err(stalled)?;
    let mut stream = pin!(stream.map_err(ApiError::from)?);
    let mut received = 0;
    let mut chunk = vec![0; 64 << 10];
    loop {
        let read = tokio::time::timeout(deadline, stream.read(&mut chunk)).await.map_err(stalled)?;
        match read {
            Ok(0) => return Ok(received),
            Ok(read) => {
                received += read as u64;
                sink(&chunk[..read]);
            }
            Err(error) => return Err(LogError::Broken { received, message: error.to_string() }),
        }
    }
}
