//! Giving a lease back. It is forgotten on proof only: levels that were read back, or the same cluster's word that
//! this run of the proxy is over.

use std::time::Duration;

use tokio::time::Instant;

use super::LeaseError;
use super::levels::{PutBack, put_back, put_to_start, read_start};
use super::store::Claim;
use crate::decode::pod::Pod;
use crate::k8s::{ApiError, Connection, Recorder, is_cluster, pod_now};
use crate::model::{DebugLease, LevelDifference, Proxy, ProxyId};
use crate::reach::{Limits, Tunnel};

/// How putting levels back ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restored {
    /// Every level is as it was, which has been read back.
    Verified {
        /// How many loggers were compared.
        loggers: usize,
        /// How many of them were not as they should be.
        changed: usize,
    },
    /// These are not as they were, though the proxy took the request.
    Differs(Vec<LevelDifference>),
    /// The proxy is another one by now, with the levels it was started with.
    Replaced(String),
    /// The pod is gone or has ended.
    Gone(String),
}

/// What has become of a lease.
#[derive(Debug)]
pub struct Restoration {
    /// What has become of the levels.
    pub restored: Restored,
    /// A state file that is of no more use, and could not be removed.
    pub left_over: Option<LeaseError>,
}

/// How it is gone about.
#[derive(Clone, Copy)]
pub struct Restoring<'a> {
    /// The cluster.
    pub connection: &'a Connection,
    /// Limits on each read.
    pub limits: Limits,
    /// How long what fails is tried again.
    pub patience: Duration,
    /// Is told of each failure that is tried again.
    pub retrying: &'a (dyn Fn(&LeaseError) + Sync),
}

/// Puts a lease's levels back and forgets the lease. What fails is tried again, with longer and longer pauses, until
/// the patience is over: a lost connection comes back more often than not.
pub async fn restore(claim: &Claim, lease: &DebugLease, how: Restoring<'_>) -> Result<Restoration, LeaseError> {
    const FIRST: Duration = Duration::from_millis(250);
    const LONGEST: Duration = Duration::from_secs(5);
    /// Who sets a logger back each time means it.
    const DIFFERING: u32 = 3;
    let deadline = Instant::now() + how.patience;
    let (mut pause, mut differing) = (FIRST, 0);
    loop {
        match restore_once(lease, how).await {
            Ok(Restored::Differs(left)) => {
                differing += 1;
                if differing == DIFFERING {
                    return Ok(Restoration { restored: Restored::Differs(left), left_over: None });
                }
            }
            // That the file stays does not change what has become of the levels.
            Ok(restored) => return Ok(Restoration { restored, left_over: claim.forget().err() }),
            // Another cluster stays another one, however often it is asked.
            Err(error @ LeaseError::OtherCluster { .. }) => return Err(error),
            Err(error) if Instant::now() + pause > deadline => return Err(error),
            Err(error) => (how.retrying)(&error),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
    }
}

/// Puts a lease's levels back, if the proxy is still the one they are of.
async fn restore_once(lease: &DebugLease, how: Restoring<'_>) -> Result<Restored, LeaseError> {
    let found = pod_now(how.connection, &lease.namespace, &lease.pod).await.map_err(|error| match error {
        ApiError::NotFound(missing) => LeaseError::Unproven(missing.message),
        error => error.into(),
    })?;
    let Some(pod) = found else {
        require_cluster(lease, how.connection).await?;
        return Ok(Restored::Gone(format!("there is no pod {:?} in namespace {:?}", lease.pod, lease.namespace)));
    };
    if pod.uid() != lease.uid {
        require_cluster(lease, how.connection).await?;
        return Ok(Restored::Replaced("the pod was replaced, and has the levels it starts with".to_owned()));
    }
    // A UID is the pod's own: from here on it is the right one, in the right cluster.
    if matches!(pod.phase(), "Succeeded" | "Failed") {
        return Ok(Restored::Gone(format!("the pod has ended (phase {})", pod.phase())));
    }
    let (namespace, name) = (&*lease.namespace, &*lease.pod);
    let mut tunnel = Tunnel::new(how.connection, namespace, name, lease.admin_port, how.limits);
    let recorder = how.connection.recorder(namespace, name);
    if pod.restarts("istio-proxy").is_some_and(|restarts| restarts != lease.restart_count) {
        return restarted(&pod, lease, &mut tunnel, &recorder).await;
    }
    // The other phases prove nothing: a node that was cut off comes back with the same Envoy.
    match put_back(&mut tunnel, &lease.levels, &lease.set, &recorder).await {
        Ok(PutBack::Verified { loggers, changed }) => Ok(Restored::Verified { loggers, changed: changed.len() }),
        Ok(PutBack::Differs(left)) => Ok(Restored::Differs(left)),
        Err(error) if pod.is_running() => Err(error),
        Err(error) => Err(LeaseError::Unproven(format!("the pod's phase is {} ({error})", phase(&pod)))),
    }
}

fn phase(pod: &Pod) -> &str {
    if pod.phase().is_empty() { "unknown" } else { pod.phase() }
}

/// The proxy was restarted, which has put its levels back: but the kubelet says so late, and a session that began in
/// between has set the new one's. A container that does not run will start as it always does.
async fn restarted(
    pod: &Pod,
    lease: &DebugLease,
    tunnel: &mut Tunnel<'_>,
    recorder: &Recorder,
) -> Result<Restored, LeaseError> {
    let words = |more: &str| Ok(Restored::Replaced(format!("the proxy was restarted, {more}")));
    if !pod.may_run("istio-proxy") {
        return words("and does not run at the moment: it will have the levels it starts with");
    }
    let id = ProxyId::new(lease.namespace.clone(), lease.pod.clone());
    let proxy = pod.proxy(id.clone()).unwrap_or_else(|_| Proxy::named(id));
    let start = read_start(tunnel, &proxy).await;
    match put_to_start(tunnel, &start, recorder).await? {
        PutBack::Verified { changed, .. } if changed.is_empty() => words("and has the levels it starts with"),
        PutBack::Verified { changed, .. } => words(&format!(
            "and {} loggers that were at debug or trace again have the level it starts with",
            changed.len()
        )),
        PutBack::Differs(left) => Ok(Restored::Differs(left)),
    }
}

/// Holds that this is the cluster that the lease is of.
async fn require_cluster(lease: &DebugLease, connection: &Connection) -> Result<(), LeaseError> {
    if is_cluster(connection, &lease.cluster).await? {
        return Ok(());
    }
    let known = |server: &str| if server.is_empty() { "not recorded".to_owned() } else { server.to_owned() };
    Err(LeaseError::OtherCluster { then: known(&lease.cluster.server), now: known(&connection.server) })
}
