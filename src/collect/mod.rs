//! Reads proxies into a snapshot: selects, reaches, fetches and decodes them side by side, with a deadline for each
//! and for the whole. A proxy that cannot be read is part of the snapshot, never an error of the others.

mod debug_session;
mod documents;
mod fetch;
mod file_error;
mod ingest;
pub mod interrupt;
mod istiod;
mod lease;
mod limiter;
mod objects;
mod offline;
mod one_by_one;
pub mod resets;
mod sample;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::task::JoinSet;

pub use debug_session::{
    EndedBy, SessionEnd, SessionEvent, SessionOptions, SessionOutcome, Stop, Stopper, connect_timeouts, session, watch,
};
pub use fetch::{ClusterObject, read_objects};
pub use lease::{
    AllKept, Claim, Held, Holder, Kept, LeaseError, LeaseStore, PutBack, Restoration, Restored, Restoring, Taking,
    acquire, put_to_start, read_levels, read_start, restore, set_levels,
};
pub use objects::{access_log_formats, read_istio_objects};
pub use offline::{offline, offline_objects, offline_timeouts};
pub use one_by_one::{OneByOne, ReadObjects};

use crate::k8s::{ApiError, Connection, Deadline, PodSelection, Retry, select};
use crate::model::{FailureCause, MeshSnapshot, Proxy, ProxyId, SkippedProxy, UnreadProxy};
use crate::reach::{AdminError, AdminSource, Direct, DirectError, Limits, Tunnel};
use fetch::Extras;
use ingest::Ingest;
use limiter::{Limiter, Turn, Watched};
pub use sample::Sample;

/// How much, how long and how many at once.
#[derive(Debug, Clone, Copy)]
pub struct CollectOptions {
    /// Limits on each read.
    pub limits: Limits,
    /// The most proxies read at once.
    pub concurrency: usize,
    /// Whether logger levels are read as well: one more request a proxy.
    pub loggers: bool,
    /// Whether connection counters are read as well: two more requests a proxy, and the larger part of its bytes.
    pub evidence: bool,
}

/// What is read of a cluster's objects.
#[derive(Debug, Clone)]
pub struct ObjectOptions {
    /// `-i`: where control planes are looked for when they can't be found by their label.
    pub istio_namespace: String,
    /// Revisions that proxies name.
    pub revisions: BTreeSet<String>,
    /// Namespaces that have proxies, for users who may not list the whole cluster.
    pub namespaces: BTreeSet<String>,
    /// Whether istiod itself is asked, through a port-forward.
    pub ask_istiod: bool,
    /// Limits on each answer of istiod.
    pub limits: Limits,
}

/// What a collection is doing, for whoever shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// These are to be read too: proxies by their names, and what is asked beside them.
    Selected(Vec<String>),
    /// This one was read, or could not be.
    Done(String),
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

/// What a selection found in one or several clusters, yet to be read.
#[derive(Default)]
pub struct Selected {
    proxies: Vec<(Arc<Connection>, Proxy)>,
    skipped: Vec<SkippedProxy>,
    /// Contexts that could not be read, when others can.
    failed: Vec<UnreadProxy>,
    /// Proxies whose containers do not run, by what the kubelet says.
    troubles: BTreeMap<ProxyId, String>,
    /// Whose connection counters are read, if any are.
    sample: Arc<Sample>,
}

impl Selected {
    /// Whose connection counters are read, if any are.
    #[must_use]
    pub fn sample(&self) -> Arc<Sample> {
        Arc::clone(&self.sample)
    }

    /// The proxies.
    pub fn proxies(&self) -> impl Iterator<Item = &Proxy> {
        self.proxies.iter().map(|(_, proxy)| proxy)
    }

    /// Counts a context that cannot be read among what could not be read, so that the others are.
    pub fn lose(&mut self, context: &str, error: &ApiError) {
        let id = ProxyId { context: context.to_owned(), namespace: String::new(), name: "*".to_owned() };
        let (cause, message) = (error.cause(), format!("nothing of context {context:?} was read: {error}"));
        self.failed.push(UnreadProxy { id, cause, message });
    }
}

/// Finds the selected proxies of one or several clusters. Of several contexts one that does not answer is lost, and
/// said; that none answers is an error. Where there are `several`, names have their context before them.
pub async fn select_proxies(
    connections: &[Connection],
    selection: &PodSelection,
    several: bool,
) -> Result<Selected, CollectError> {
    let name = |connection: &Connection| if several { connection.context.clone() } else { String::new() };
    let selecting = connections.iter().map(|connection| async move {
        let context = name(connection);
        (connection, select(connection, selection, &context).await)
    });
    let (mut selected, mut errors) = (Selected::default(), Vec::new());
    for (connection, outcome) in join_all(selecting).await {
        match outcome {
            Ok(found) => {
                selected.skipped.extend(found.skipped);
                selected.troubles.extend(found.troubles);
                let connection = Arc::new(connection.clone());
                selected.proxies.extend(found.proxies.into_iter().map(|proxy| (Arc::clone(&connection), proxy)));
            }
            Err(source) => {
                selected.lose(&connection.context, &source);
                errors.push(CollectError::Api { context: name(connection), source });
            }
        }
    }
    if errors.len() == connections.len() {
        return errors.into_iter().next().map_or(Ok(selected), Err);
    }
    selected.sample = Arc::new(Sample::of(selected.proxies(), selection.is_whole_mesh()));
    Ok(selected)
}

/// Reads what was selected, until somebody asks for the end.
pub async fn live(
    selected: Selected,
    options: &CollectOptions,
    progress: &(dyn Fn(Progress) + Sync),
    stop: Stop,
) -> Result<MeshSnapshot, CollectError> {
    let started = Timestamp::now();
    let ingest = Arc::new(Ingest::default());
    selected.skipped.into_iter().for_each(|skipped| ingest.skip(skipped));
    for failed in selected.failed {
        ingest.add(Err(failed));
    }
    progress(Progress::Selected(selected.proxies.iter().map(|(_, proxy)| proxy.id.to_string()).collect()));
    let limiter = Arc::new(Limiter::new(options.concurrency));
    let sample = selected.sample;
    let mut troubles = selected.troubles;
    let readings = selected.proxies.into_iter().map(|(connection, proxy)| {
        let (ingest, limiter) = (Arc::clone(&ingest), Arc::clone(&limiter));
        let (options, sample) = (*options, Arc::clone(&sample));
        let trouble = troubles.remove(&proxy.id);
        let id = proxy.id.clone();
        let reading = async move {
            let id = proxy.id.clone();
            let deadline = options.limits.deadline;
            let reading = read_pod(&connection, proxy, &options, &sample, &ingest, &limiter);
            let outcome = deadline.run(reading).await.unwrap_or_else(|| Err(out_of_time(id, deadline)));
            ingest.add(outcome.map_err(|unread| match trouble {
                Some(trouble) => UnreadProxy { message: format!("{}; {trouble}", unread.message), ..unread },
                None => unread,
            }));
        };
        (id, reading)
    });
    read_all(readings, options, &ingest, progress, stop).await;
    Ok(ingest.take().finish(started))
}

/// A proxy whose turn did not come, or whose reading did not end, in the command's time.
fn out_of_time(id: ProxyId, deadline: Deadline) -> UnreadProxy {
    let message = AdminError::OutOfTime(deadline.total()).to_string();
    UnreadProxy { id, cause: FailureCause::Timeout, message }
}

/// Reads proxies whose admin endpoints have URLs, until somebody asks for the end.
pub async fn direct(
    urls: &[String],
    options: &CollectOptions,
    progress: &(dyn Fn(Progress) + Sync),
    stop: Stop,
) -> Result<MeshSnapshot, CollectError> {
    let started = Timestamp::now();
    let ingest = Arc::new(Ingest::default());
    let limiter = Arc::new(Limiter::new(options.concurrency));
    let deadline = options.limits.deadline;
    let mut sources = Vec::new();
    for url in urls {
        let source = Direct::new(url, options.limits)?;
        let id = ProxyId::new("", source.name());
        if sources.iter().all(|(known, _)| *known != id) {
            sources.push((id, source));
        }
    }
    progress(Progress::Selected(sources.iter().map(|(id, _)| id.to_string()).collect()));
    let readings = sources.into_iter().map(|(id, mut source)| {
        let (ingest, limiter, extras) = (Arc::clone(&ingest), Arc::clone(&limiter), Extras::of(options, None));
        let name = id.clone();
        let reading = async move {
            let reading = async {
                let turn = limiter.turn().await;
                let proxy = Proxy::named(id.clone());
                let reading = Box::pin(read_in_turn(&mut source, proxy, extras, &ingest, &limiter, turn)).await;
                reading.map_err(|error| error.unread(id.clone()))
            };
            let outcome = deadline.run(reading).await.unwrap_or_else(|| Err(out_of_time(id.clone(), deadline)));
            ingest.add(outcome);
        };
        (name, reading)
    });
    read_all(readings, options, &ingest, progress, stop).await;
    Ok(ingest.take().finish(started))
}

/// So many readings are begun beyond those that have their turn: more than are waited for aside, so that there is always
/// one to take a turn that is given away. Each costs kilobytes, and there may be a hundred thousand.
const BEGUN: usize = 1024;

/// Does all, until somebody asks for the end. What is pending by then is said not to have been read.
async fn read_all<R: Future<Output = ()> + Send + 'static>(
    mut readings: impl Iterator<Item = (ProxyId, R)>,
    options: &CollectOptions,
    ingest: &Ingest,
    progress: &(dyn Fn(Progress) + Sync),
    mut stop: Stop,
) {
    let mut tasks = JoinSet::new();
    let mut pending = BTreeMap::new();
    let mut ended = false;
    loop {
        while tasks.len() < options.concurrency.saturating_add(BEGUN)
            && let Some((id, reading)) = readings.next()
        {
            if ended {
                progress(Progress::Done(id.to_string()));
                ingest.add(Err(interrupted(id)));
            } else {
                pending.insert(tasks.spawn(reading).id(), id);
            }
        }
        let done = tokio::select! {
            done = tasks.join_next_with_id() => done,
            () = stop.reached(1), if !ended => {
                ended = true;
                tasks.abort_all();
                continue;
            }
        };
        let task = match done {
            None => break,
            Some(Ok((task, ()))) => task,
            Some(Err(error)) if error.is_cancelled() => {
                if let Some(id) = pending.get(&error.id()) {
                    ingest.add(Err(interrupted(id.clone())));
                }
                error.id()
            }
            Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
        };
        if let Some(id) = pending.remove(&task) {
            progress(Progress::Done(id.to_string()));
        }
    }
}

/// A proxy that was not read when somebody asked for the end.
#[must_use]
pub fn interrupted(id: ProxyId) -> UnreadProxy {
    UnreadProxy { id, cause: FailureCause::Timeout, message: "interrupted before it was read".to_owned() }
}

/// Reads one pod's proxy; while the API server is busy it waits, and fewer are read at once. Thousands wait for their turn,
/// so what one needs that has it is boxed then.
async fn read_pod(
    connection: &Connection,
    proxy: Proxy,
    options: &CollectOptions,
    sample: &Sample,
    ingest: &Ingest,
    limiter: &Limiter,
) -> Result<ingest::Reading, UnreadProxy> {
    let mut retry = Retry::within(options.limits.deadline);
    loop {
        let turn = limiter.turn().await;
        let reading = Box::pin(async {
            let (namespace, name) = (&proxy.id.namespace, &proxy.id.name);
            let tunnel = Tunnel::new(connection, namespace, name, proxy.admin_port, options.limits);
            let mut tunnel = tunnel.impatient();
            read_in_turn(&mut tunnel, proxy.clone(), Extras::of(options, Some(sample)), ingest, limiter, turn).await
        });
        match reading.await {
            Err(fetch::ReadError::Admin(AdminError::Api(busy @ ApiError::Busy { .. }))) => {
                limiter.halve();
                if !retry.again(&busy).await {
                    return Err(fetch::ReadError::Admin(AdminError::Api(busy)).unread(proxy.id));
                }
            }
            other => return other.map_err(|error| error.unread(proxy.id)),
        }
    }
}

/// Reads a proxy that has its turn, which it gives away while it is silent.
async fn read_in_turn(
    source: &mut (impl AdminSource + Send),
    proxy: Proxy,
    extras: Extras<'_>,
    ingest: &Ingest,
    limiter: &Limiter,
    turn: Turn<'_>,
) -> Result<ingest::Reading, fetch::ReadError> {
    let mut source = Watched::new(source);
    let heard = source.heard();
    let reading = fetch::read(&mut source, proxy, ingest, extras);
    limiter.share(turn, &heard, reading).await
}
