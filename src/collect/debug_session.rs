//! One proxy's debug-log session: keep the levels, set them, follow the log, put the levels back. Whatever happens
//! once levels may have been changed, the last step is done.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::fetch::{Extras, read, read_update_times};
use super::ingest::Ingest;
use super::lease::{
    Held, LeaseError, LeaseStore, Restoration, Restoring, Taking, acquire, current, read_levels, restore, set_levels,
};
use crate::k8s::{ApiError, Connection, LogLine, LogOptions, LogStream};
use crate::model::{ClusterTimeout, ClusterTimeouts, EnvoyCluster, Levels, Proxy, ProxyId, differences};
use crate::reach::{Limits, Tunnel};

/// What a session does, and for how long.
#[derive(Debug, Clone)]
pub struct SessionOptions {
    /// What is set, and where from.
    pub taking: Taking,
    /// How long the log is followed.
    pub length: Duration,
    /// Limits on each read.
    pub limits: Limits,
    /// How long putting levels back is tried.
    pub patience: Duration,
}

/// How often somebody has asked for the end.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<u32>);

/// Asks for the end.
#[derive(Debug)]
pub struct Stopper(watch::Sender<u32>);

impl Stopper {
    /// The two ends.
    #[must_use]
    pub fn new() -> (Self, Stop) {
        let (sender, receiver) = watch::channel(0);
        (Self(sender), Stop(receiver))
    }

    /// Asks once more; gives how often that was.
    pub fn stop(&self) -> u32 {
        self.0.send_modify(|count| *count += 1);
        *self.0.borrow()
    }
}

impl Stop {
    /// How often the end has been asked for.
    #[must_use]
    pub fn count(&self) -> u32 {
        *self.0.borrow()
    }

    /// Waits until the end has been asked for so often.
    pub async fn reached(&mut self, count: u32) {
        // Where nobody is left to ask, nobody will.
        if self.0.wait_for(|asked| *asked >= count).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// What a session tells while it goes on.
#[derive(Debug)]
pub enum SessionEvent {
    /// Its log is being followed.
    Following(ProxyId),
    /// The proxy's connect timeouts.
    Timeouts(ProxyId, ClusterTimeouts),
    /// A line of its log.
    Line(ProxyId, LogLine),
    /// The log broke off.
    Lost(ProxyId, String),
    /// It goes on.
    Resumed(ProxyId),
    /// Somebody else has put these loggers back while they were needed.
    SetBack(ProxyId, Vec<String>),
    /// Putting levels back failed, and is tried again.
    Retrying(ProxyId, String),
}

/// Why the log is no longer followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndedBy {
    /// The time is over.
    Time,
    /// Somebody asked for it.
    Stop,
    /// Nobody reads what is found any more.
    Reader,
    /// Something went wrong.
    Problem(String),
}

/// How a session ended.
#[derive(Debug)]
pub struct SessionEnd {
    /// What was held.
    pub held: Held,
    /// Loggers that did not take the level they were given.
    pub unset: Vec<String>,
    /// Why it ended.
    pub by: EndedBy,
    /// Lines read.
    pub lines: u64,
    /// Loggers that somebody else put back meanwhile, and when that was seen.
    pub set_back: Option<(Timestamp, Vec<String>)>,
    /// How putting the levels back went.
    pub restored: Result<Restoration, LeaseError>,
}

/// A session with one proxy.
#[derive(Debug)]
pub struct SessionOutcome {
    /// The proxy.
    pub proxy: ProxyId,
    /// How it ended; an error if nothing was changed.
    pub end: Result<SessionEnd, LeaseError>,
}

/// Runs a session to its end.
pub async fn session(
    connection: &Connection,
    proxy: Proxy,
    store: &LeaseStore,
    options: &SessionOptions,
    stop: Stop,
    events: mpsc::Sender<SessionEvent>,
) -> SessionOutcome {
    let id = proxy.id.clone();
    let end = run(connection, &proxy, store, options, stop, &events).await;
    SessionOutcome { proxy: id, end }
}

async fn run(
    connection: &Connection,
    proxy: &Proxy,
    store: &LeaseStore,
    options: &SessionOptions,
    mut stop: Stop,
    events: &mpsc::Sender<SessionEvent>,
) -> Result<SessionEnd, LeaseError> {
    let (namespace, pod) = (proxy.id.namespace.as_str(), proxy.id.name.as_str());
    let mut tunnel = Tunnel::new(connection, namespace, pod, proxy.admin_port, options.limits);
    let length = jiff::SignedDuration::try_from(options.length).unwrap_or(jiff::SignedDuration::MAX);
    let until = Timestamp::now().checked_add(length).unwrap_or(Timestamp::MAX);
    let taking = Taking { until: Some(until), ..options.taking.clone() };
    let taking = acquire(connection, &mut tunnel, proxy, store, &taking);
    let held = tokio::select! {
        biased;
        () = stop.reached(1) => return Err(LeaseError::Stopped),
        held = taking => held?,
    };
    let opening = LogStream::from_end(connection, namespace, pod, &proxy.container);
    let opened = tokio::select! {
        biased;
        () = stop.reached(1) => Err(LeaseError::Stopped),
        opened = opening => opened.map_err(LeaseError::from),
    };
    let mut log = match opened {
        Ok(log) => log,
        Err(error) => {
            held.abandon()?;
            return Err(error);
        }
    };
    // From here on the levels may have been changed, and nothing returns before they are put back. A stop does not
    // interrupt the request: what was sent must not reach the proxy after what puts it back.
    let (mut lines, mut set_back) = (0, None);
    let recorder = connection.recorder(namespace, pod);
    let (unset, by) = match set_levels(&mut tunnel, &held.wanted, &held.present, &recorder).await {
        Err(error) => (Vec::new(), EndedBy::Problem(format!("the levels could not be set: {error}"))),
        Ok(answer) => {
            let unset: Vec<String> = differences(&answer, &held.wanted).into_iter().map(|d| d.logger).collect();
            let taken: Levels = held.wanted.iter().filter(|(name, _)| !unset.contains(name)).map(owned).collect();
            // Of its own, so that what is read there never waits for the log, nor the log for it.
            let mut looking = Tunnel::new(connection, namespace, pod, proxy.admin_port, options.limits);
            let by = tokio::select! {
                biased;
                () = stop.reached(1) => EndedBy::Stop,
                () = passed(options.length, until) => EndedBy::Time,
                by = follow(connection, proxy, &mut tunnel, &mut log, events, &mut lines) => by,
                () = watch_levels(&mut looking, &taken, &proxy.id, events, &mut set_back) => EndedBy::Reader,
            };
            (unset, by)
        }
    };
    // They stream over connections of their own, which are of no more use.
    drop((log, tunnel));
    let asked = stop.count();
    let retrying = |error: &LeaseError| {
        // Whoever shows this may itself be stuck.
        let _ = events.try_send(SessionEvent::Retrying(proxy.id.clone(), error.to_string()));
    };
    let how = Restoring { connection, limits: options.limits, patience: options.patience, retrying: &retrying };
    let restored = tokio::select! {
        biased;
        restored = restore(&held.claim, &held.lease, how) => restored,
        () = stop.reached(asked.max(1) + 2) => Err(LeaseError::GivenUp),
    };
    Ok(SessionEnd { held, unset, by, lines, set_back, restored })
}

fn owned((name, level): (&String, &String)) -> (String, String) {
    (name.clone(), level.clone())
}

/// Looks every few seconds whether the levels are still what was set: somebody else's session, or their `--off`, may
/// have put them back, and then nothing comes any more that could be explained. They are not set again, for who put
/// them back meant it. Returns when nobody listens any more.
async fn watch_levels(
    tunnel: &mut Tunnel<'_>,
    wanted: &Levels,
    id: &ProxyId,
    events: &mpsc::Sender<SessionEvent>,
    set_back: &mut Option<(Timestamp, Vec<String>)>,
) {
    const EVERY: Duration = Duration::from_secs(3);
    let mut known = Vec::new();
    loop {
        tokio::time::sleep(EVERY).await;
        // A proxy that cannot be asked for the moment says nothing of its levels.
        let Ok(present) = read_levels(tunnel).await else { continue };
        let back: Vec<String> = differences(&present, wanted).into_iter().map(|d| d.logger).collect();
        if back != known && !back.is_empty() {
            set_back.get_or_insert_with(|| (Timestamp::now(), back.clone()));
            if events.send(SessionEvent::SetBack(id.clone(), back.clone())).await.is_err() {
                return;
            }
        }
        known = back;
    }
}

/// Follows a log without touching any level, until the end is asked for, nobody reads any more, or something goes
/// wrong, which is the error.
pub async fn watch(
    connection: &Connection,
    proxy: &Proxy,
    options: LogOptions,
    limits: Limits,
    mut stop: Stop,
    events: mpsc::Sender<SessionEvent>,
) -> Result<(), String> {
    let (namespace, pod) = (&proxy.id.namespace, &proxy.id.name);
    let mut tunnel = Tunnel::new(connection, namespace, pod, proxy.admin_port, limits);
    let mut log = LogStream::open(connection, namespace, pod, &proxy.container, options);
    let mut lines = 0;
    let by = tokio::select! {
        biased;
        () = stop.reached(1) => EndedBy::Stop,
        by = follow(connection, proxy, &mut tunnel, &mut log, &events, &mut lines) => by,
    };
    match by {
        EndedBy::Problem(problem) => Err(problem),
        EndedBy::Time | EndedBy::Stop | EndedBy::Reader => Ok(()),
    }
}

/// A proxy's connect timeouts, by cluster; empty where they cannot be read.
pub async fn connect_timeouts(connection: &Connection, proxy: &Proxy, limits: Limits) -> ClusterTimeouts {
    let (namespace, pod) = (&proxy.id.namespace, &proxy.id.name);
    read_timeouts(proxy, &mut Tunnel::new(connection, namespace, pod, proxy.admin_port, limits)).await
}

/// Waits for the end of the session, by the clock on the wall too: the other one stands still while a laptop sleeps.
async fn passed(length: Duration, until: Timestamp) {
    const STEP: Duration = Duration::from_secs(1);
    let deadline = Instant::now() + length;
    while Instant::now() < deadline && Timestamp::now() < until {
        tokio::time::sleep_until(deadline.min(Instant::now() + STEP)).await;
    }
}

/// Follows the log until something goes wrong.
async fn follow(
    connection: &Connection,
    proxy: &Proxy,
    tunnel: &mut Tunnel<'_>,
    log: &mut LogStream,
    events: &mpsc::Sender<SessionEvent>,
    lines: &mut u64,
) -> EndedBy {
    /// How long a log that broke off is asked for again.
    const PATIENCE: Duration = Duration::from_secs(60);
    /// A stream that lasted so long was well; load balancers end silent ones after a minute or so.
    const WELL: Duration = Duration::from_secs(10);
    /// The least time from one opening to the next, and the most that is waited. Each is two requests, one for the pod
    /// and one for its log, so that no more than one a second is sent for a pod whose log ends at once, whatever it
    /// says: the kubelet answers 200 with a line of its own where the container's log is gone.
    const PAUSES: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(8));
    let id = &proxy.id;
    if events.send(SessionEvent::Following(id.clone())).await.is_err() {
        return EndedBy::Reader;
    }
    let timeouts = read_timeouts(proxy, tunnel).await;
    if events.send(SessionEvent::Timeouts(id.clone(), timeouts)).await.is_err() {
        return EndedBy::Reader;
    }
    let (mut broken, mut opened, mut told) = (None, Instant::now(), false);
    let mut pause = PAUSES.0;
    loop {
        let why = match log.next().await {
            Ok(Some(line)) => {
                // Only the container's own lines have the runtime's time before them.
                if line.time.is_some() {
                    *lines += 1;
                    broken = None;
                }
                if std::mem::take(&mut told) && events.send(SessionEvent::Resumed(id.clone())).await.is_err() {
                    return EndedBy::Reader;
                }
                if events.send(SessionEvent::Line(id.clone(), line)).await.is_err() {
                    return EndedBy::Reader;
                }
                continue;
            }
            Ok(None) => "it ended".to_owned(),
            // These do not mend themselves.
            Err(error @ (ApiError::Forbidden(_) | ApiError::NotFound(_) | ApiError::Other { .. })) if *lines == 0 => {
                return EndedBy::Problem(error.to_string());
            }
            Err(error) => error.to_string(),
        };
        if opened.elapsed() > WELL {
            (broken, pause) = (None, PAUSES.0);
        }
        let since = *broken.get_or_insert_with(Instant::now);
        if since.elapsed() > PATIENCE {
            return EndedBy::Problem(format!("the log cannot be followed any more: {why}"));
        }
        tokio::time::sleep_until(opened + pause).await;
        pause = (pause * 2).min(PAUSES.1);
        opened = Instant::now();
        match current(connection, &id.namespace, &id.name).await {
            Err(LeaseError::Gone(reason)) => return EndedBy::Problem(format!("the pod is gone: {reason}")),
            Ok(now) if now.uid != proxy.uid || now.restart_count != proxy.restart_count => {
                return EndedBy::Problem("the proxy was restarted or replaced".to_owned());
            }
            Ok(_) => {}
            Err(error) => {
                if !std::mem::replace(&mut told, true)
                    && events.send(SessionEvent::Lost(id.clone(), error.to_string())).await.is_err()
                {
                    return EndedBy::Reader;
                }
                continue;
            }
        }
        log.resume();
    }
}

/// The proxy's connect timeouts, which explain more; a session is none the worse without them.
async fn read_timeouts(proxy: &Proxy, tunnel: &mut Tunnel<'_>) -> ClusterTimeouts {
    let ingest = Ingest::default();
    let Ok(reading) = read(tunnel, proxy.clone(), &ingest, Extras::default()).await else {
        return ClusterTimeouts::new();
    };
    ingest.add(Ok(reading));
    let snapshot = ingest.take().finish(Timestamp::now());
    let times = read_update_times(tunnel).await;
    let timeout = |cluster: &EnvoyCluster| ClusterTimeout {
        value: cluster.effective_timeout(),
        since: times.get(&*cluster.name).copied(),
    };
    snapshot.clusters.iter().map(|cluster| (cluster.name.to_string(), timeout(cluster))).collect()
}
