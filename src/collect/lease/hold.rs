//! Taking a lease: nothing is changed before what is there has been read and kept.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use super::LeaseError;
use super::levels::{read_levels, read_start};
use super::store::{Claim, Kept, LeaseStore};
use crate::k8s::{ApiError, Connection, pod_now};
use crate::model::{
    ClusterIdentity, DebugLease, LevelDifference, LevelSpec, Levels, LoggerLevels, Proxy, ProxyId, StartSource,
};
use crate::reach::AdminSource;

/// What a lease is taken for.
#[derive(Debug, Clone)]
pub struct Taking {
    /// What is to be set.
    pub spec: LevelSpec,
    /// When the levels are to be put back, if that is known.
    pub until: Option<Timestamp>,
    /// `--kubeconfig`.
    pub kubeconfig: Option<String>,
    /// `$KUBECONFIG`.
    pub kubeconfig_list: Option<String>,
    /// The cluster.
    pub cluster: ClusterIdentity,
    /// What takes it, for whoever finds the lock: `a session` or `--on`.
    pub doing: &'static str,
}

/// How long another process that works on the proxy is waited for; one that only looks is done in no time.
const MOMENT: Duration = Duration::from_millis(500);

/// Levels that have been read and kept, and may now be changed.
#[derive(Debug)]
pub struct Held {
    /// What was there before.
    pub lease: DebugLease,
    /// What the levels are.
    pub present: LoggerLevels,
    /// What is to be set.
    pub wanted: Levels,
    /// Loggers that were asked for and that this Envoy does not have.
    pub missing: Vec<String>,
    /// The lease of an earlier debug-log that was never given back: its levels are the ones to go back to.
    pub former: Option<DebugLease>,
    /// Loggers that were found at debug or trace, though the proxy was not started so: another session's, probably.
    /// They go back to the level that the proxy was started with.
    pub found_verbose: Vec<LevelDifference>,
    /// What says with which levels the proxy was started.
    pub start: StartSource,
    /// A state file that could not be read, what was wrong with it, and where it has been moved.
    pub aside: Option<(LeaseError, PathBuf)>,
    /// The right to change them.
    pub claim: Claim,
}

impl Held {
    /// Gives the levels back without having changed any.
    pub fn abandon(self) -> Result<(), LeaseError> {
        match &self.former {
            Some(former) => self.claim.save(former),
            None => self.claim.forget(),
        }
    }
}

/// Reads a proxy's levels and keeps them; nothing is changed yet.
pub async fn acquire(
    connection: &Connection,
    source: &mut impl AdminSource,
    proxy: &Proxy,
    store: &LeaseStore,
    taking: &Taking,
) -> Result<Held, LeaseError> {
    let claim = store.claim(&proxy.uid, taking.doing, MOMENT).await?;
    let present = read_levels(source).await?;
    let wanted = taking.spec.wanted(&present);
    if wanted.is_empty() {
        let names: Vec<&str> = taking.spec.loggers.keys().map(String::as_str).collect();
        return Err(LeaseError::NoSuchLogger(names.join(", ")));
    }
    let start = read_start(source, proxy).await;
    // Between the selection and now, somebody may have been asked whether it is meant. A lease of a run of the proxy
    // that is over by then would never be given back.
    let now = current(connection, &proxy.id.namespace, &proxy.id.name).await?;
    if now.uid != proxy.uid {
        return Err(LeaseError::Gone("the pod was replaced meanwhile".to_owned()));
    }
    let mut aside = None;
    let former = match claim.kept() {
        Kept::Nothing => None,
        Kept::Lease(former) => Some(*former).filter(|former| former.restart_count == now.restart_count),
        // What it held is lost; it must not keep this pod from being looked at for ever.
        Kept::Broken(error) => {
            aside = Some((error, claim.set_aside()?));
            None
        }
    };
    let mut lease = DebugLease {
        kubeconfig: taking.kubeconfig.clone(),
        kubeconfig_list: taking.kubeconfig_list.clone(),
        context: connection.context.clone(),
        cluster: taking.cluster.clone(),
        namespace: proxy.id.namespace.clone(),
        pod: proxy.id.name.clone(),
        uid: proxy.uid.clone(),
        restart_count: now.restart_count,
        admin_port: proxy.admin_port,
        taken_at: Timestamp::now(),
        until: taking.until,
        levels: present.0.iter().map(|(name, level)| (name.to_string(), level.to_string())).collect(),
        set: wanted.keys().cloned().collect(),
        assumed: BTreeSet::new(),
    };
    let mut found_verbose = Vec::new();
    if let Some(former) = &former {
        lease.taken_at = former.taken_at;
        lease.levels.clone_from(&former.levels);
        lease.assumed.clone_from(&former.assumed);
        lease.set.extend(former.set.iter().cloned());
    } else {
        found_verbose = start.unexplained(&present);
        for LevelDifference { logger, wanted, .. } in &found_verbose {
            lease.levels.insert(logger.clone(), wanted.clone());
            lease.assumed.insert(logger.clone());
            // Whoever set them may be gone by the time they are to be put back.
            lease.set.insert(logger.clone());
        }
    }
    claim.save(&lease)?;
    let missing = taking.spec.missing(&present);
    Ok(Held { lease, present, wanted, missing, former, found_verbose, start: start.source, aside, claim })
}

/// Looks up the proxy's pod as it is now.
pub(crate) async fn current(connection: &Connection, namespace: &str, name: &str) -> Result<Proxy, LeaseError> {
    let pod = pod_now(connection, namespace, name).await.map_err(|error| match error {
        ApiError::NotFound(missing) => LeaseError::Unproven(missing.message),
        error => error.into(),
    })?;
    let Some(pod) = pod else {
        return Err(LeaseError::Gone(format!("there is no pod {name:?} in namespace {namespace:?}")));
    };
    let ended = matches!(pod.phase(), "Succeeded" | "Failed");
    pod.proxy(ProxyId::new(namespace, name))
        .map_err(|reason| if ended { LeaseError::Gone(reason) } else { LeaseError::Unproven(reason) })
}
