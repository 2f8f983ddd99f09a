//! Reads proxies into a snapshot: selects, reaches, fetches and decodes them side by side, with a deadline for each
//! and for the whole. A proxy that cannot be read is part of the snapshot, never an error of the others.

mod debug_session;
mod fetch;
mod istiod;
mod lease;
mod limiter;
mod objects;
mod offline;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use debug_session::{
    EndedBy, SessionEnd, SessionEvent, SessionOptions, SessionOutcome, Stop, Stopper, connect_timeouts, session, watch,
};
pub use fetch::{ClusterObject, read_objects};
pub(crate) use lease::private_file;
pub use lease::{Held, LeaseError, LeaseStore, Restored, acquire, put_back, read_levels, restore, set_levels};
pub use objects::{ObjectOptions, access_log_formats, read_istio_objects};
pub use offline::{offline, offline_objects};

use crate::k8s::{ApiError, Connection, Found, PodSelection, select};
use crate::model::{FailureCause, MeshSnapshot, Proxy, ProxyId, UnreadProxy};
use crate::reach::{Direct, DirectError, Limits, Tunnel};
use fetch::{Extras, Ingest};
use limiter::Limiter;

/// How much, how long and how many at once.
#[derive(Debug, Clone, Copy)]
pub struct CollectOptions {
    /// Limits on each read.
    pub limits: Limits,
    /// The most proxies read at once.
    pub concurrency: usize,
    /// The deadline of the whole.
    pub timeout: Duration,
    /// Whether logger levels are read as well: one more request a proxy.
    pub loggers: bool,
    /// Whether connection counters are read as well: two more requests a proxy, and the larger part of its bytes.
    pub evidence: bool,
}

/// Of how many proxies, at most, connection counters are read. Those of one proxy with 2,000 clusters are 5.6 MB, ten
/// times its masked dump: from larger meshes a sample is taken, evenly by name, so that workloads are all in it.
pub const EVIDENCE_PROXIES: usize = 100;

/// What a collection is doing, for whoever shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// So many proxies are to be read.
    Selected(usize),
    /// One more was read, or could not be.
    Done {
        /// Whether it could not be read.
        failed: bool,
    },
}

/// Why nothing can be collected.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The API server gave no list of pods.
    #[error("{}{source}", context_prefix(.context))]
    Api {
        /// The context, when several are read.
        context: String,
        /// What it said.
        source: ApiError,
    },
    /// An `--admin-url` is none.
    #[error(transparent)]
    Direct(#[from] DirectError),
}

fn context_prefix(context: &str) -> String {
    if context.is_empty() { String::new() } else { format!("context {context:?}: ") }
}

/// Reads the selected proxies of one or several clusters.
pub async fn live(
    connections: &[Connection],
    selection: &PodSelection,
    options: &CollectOptions,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<MeshSnapshot, CollectError> {
    let started = Timestamp::now();
    let deadline = Instant::now() + options.timeout;
    let several = connections.len() > 1;
    let mut jobs = Vec::new();
    let ingest = Arc::new(Ingest::default());
    for connection in connections {
        let context = if several { connection.context.as_str() } else { "" };
        let found = select_within(connection, selection, context, deadline, options.timeout)
            .await
            .map_err(|source| CollectError::Api { context: context.to_owned(), source })?;
        for skipped in found.skipped {
            ingest.skip(skipped);
        }
        jobs.extend(found.proxies.into_iter().map(|proxy| (connection.clone(), proxy)));
    }
    progress(Progress::Selected(jobs.len()));
    let limiter = Arc::new(Limiter::new(options.concurrency));
    let mut tasks = JoinSet::new();
    let stride = jobs.len().div_ceil(EVIDENCE_PROXIES).max(1);
    for (index, (connection, proxy)) in jobs.into_iter().enumerate() {
        let (ingest, limiter) = (Arc::clone(&ingest), Arc::clone(&limiter));
        let options = CollectOptions { evidence: options.evidence && index % stride == 0, ..*options };
        tasks.spawn(async move {
            let id = proxy.id.clone();
            let reading = read_pod(&connection, proxy, &options, &ingest, &limiter);
            let outcome = tokio::time::timeout_at(deadline, reading).await.unwrap_or_else(|_| {
                let message = format!("not read within the whole audit's {:?} (--timeout)", options.timeout);
                Err(UnreadProxy { id, cause: FailureCause::Timeout, message })
            });
            ingest.add(outcome)
        });
    }
    finish(tasks, ingest, started, progress).await
}

/// Reads proxies whose admin endpoints have URLs.
pub async fn direct(
    urls: &[String],
    options: &CollectOptions,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<MeshSnapshot, CollectError> {
    let started = Timestamp::now();
    let ingest = Arc::new(Ingest::default());
    let mut tasks = JoinSet::new();
    let limiter = Arc::new(Limiter::new(options.concurrency));
    let mut sources = Vec::new();
    for url in urls {
        let source = Direct::new(url, options.limits)?;
        let id = ProxyId::new("", source.name());
        if sources.iter().all(|(known, _)| *known != id) {
            sources.push((id, source));
        }
    }
    progress(Progress::Selected(sources.len()));
    for (id, mut source) in sources {
        let (ingest, limiter, extras) = (Arc::clone(&ingest), Arc::clone(&limiter), Extras::of(options));
        tasks.spawn(async move {
            let _turn = limiter.turn().await;
            ingest.add(fetch::read_proxy(&mut source, Proxy::named(id), &ingest, extras).await)
        });
    }
    finish(tasks, ingest, started, progress).await
}

async fn finish(
    mut tasks: JoinSet<bool>,
    ingest: Arc<Ingest>,
    started: Timestamp,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<MeshSnapshot, CollectError> {
    while let Some(done) = tasks.join_next().await {
        match done {
            Ok(failed) => progress(Progress::Done { failed }),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    Ok(ingest.take().finish(started))
}

async fn select_within(
    connection: &Connection,
    selection: &PodSelection,
    context: &str,
    deadline: Instant,
    timeout: Duration,
) -> Result<Found, ApiError> {
    let mut tries = Backoff::default();
    loop {
        let selecting = select(connection, selection, context);
        let outcome = tokio::time::timeout_at(deadline, selecting).await.unwrap_or(Err(ApiError::Timeout(timeout)));
        match outcome {
            Err(ApiError::Busy(_)) if tries.wait().await => {}
            other => return other,
        }
    }
}

/// Reads one pod's proxy; while the API server is busy it waits, and fewer are read at once.
async fn read_pod(
    connection: &Connection,
    proxy: Proxy,
    options: &CollectOptions,
    ingest: &Ingest,
    limiter: &Limiter,
) -> Result<fetch::Reading, UnreadProxy> {
    let mut tries = Backoff::default();
    loop {
        let turn = limiter.turn().await;
        let (namespace, name) = (&proxy.id.namespace, &proxy.id.name);
        let mut tunnel = Tunnel::new(connection, namespace, name, proxy.admin_port, options.limits);
        match fetch::read(&mut tunnel, proxy.clone(), ingest, Extras::of(options)).await {
            Err(error) if error.is_busy() => {
                limiter.halve();
                drop(turn);
                if !tries.wait().await {
                    return Err(error.unread(proxy.id));
                }
            }
            other => return other.map_err(|error| error.unread(proxy.id)),
        }
    }
}

/// Waits longer each time, and gives up after a few: about eight seconds in all.
#[derive(Default)]
struct Backoff(u32);

impl Backoff {
    const TRIES: u32 = 5;
    const FIRST: Duration = Duration::from_millis(250);

    /// Whether there is another try; returns when it is time for it.
    async fn wait(&mut self) -> bool {
        if self.0 == Self::TRIES {
            return false;
        }
        tokio::time::sleep(Self::FIRST * 2u32.pow(self.0)).await;
        self.0 += 1;
        true
    }
}
