//! The logs of many containers as they are now, for `resets`; `logs` is for one that is followed.

use std::time::Duration;

use http_body_util::BodyExt as _;
use jiff::Timestamp;

use super::client::Connection;
use super::deadline::TimedOut;
use super::encode::encode;
use super::error::{ApiError, innermost};
use super::outside::outside;
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
    /// There is more of it than is read.
    #[error("the log is longer than {} MiB; the rest was not read", .0 >> 20)]
    TooLarge(u64),
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

/// The most bytes that are read of one log: three times what a kubelet keeps of a container in all
/// (`containerLogMaxSize` 10 MiB, `containerLogMaxFiles` 5).
const MAX_LOG: u64 = 160 << 20;

/// Reads a log as it is now, each line with the time at which the kubelet took it, and gives it to `sink` as it comes.
pub async fn read_log(
    connection: &Connection,
    source: &LogSource,
    since: Option<Timestamp>,
    sink: &mut dyn FnMut(&[u8]),
) -> Result<u64, LogError> {
    let since = since.map(|since| format!("&sinceTime={}", encode(&since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())));
    let path = format!(
        "/api/v1/namespaces/{}/pods/{}/log?timestamps=true&container={}{}",
        encode(&source.namespace),
        encode(&source.pod),
        encode(&source.container),
        since.unwrap_or_default()
    );
    let (deadline, patience) = (connection.deadline, connection.request_timeout);
    let stalled = |timed_out| match timed_out {
        TimedOut::Request(after) => LogError::Stalled(after),
        TimedOut::Command(after) => LogError::Api(ApiError::OutOfTime(after)),
    };
    let opening = connection.open(http::Request::get(&path));
    let mut body = deadline.answer(patience, opening).await.map_err(stalled)??.into_body();
    let mut received = 0;
    loop {
        let frame = match deadline.answer(patience, body.frame()).await.map_err(stalled)? {
            None => return Ok(received),
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Err(LogError::Broken { received, message: outside(&innermost(&error)) }),
        };
        if let Some(chunk) = frame.data_ref() {
            received += chunk.len() as u64;
            if received > MAX_LOG {
                return Err(LogError::TooLarge(MAX_LOG));
            }
            sink(chunk);
        }
    }
}
