//! Levels that were left on: put back when their time has run out, and mentioned until then.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use super::console::Console;
use crate::collect::{Kept, LeaseError, LeaseStore, Restored, Restoring, restore};
use crate::k8s::{Connection, Deadline};
use crate::model::{DebugLease, LeaseTimes, MeshSnapshot, Proxy};
use crate::reach::Limits;
use crate::report::debug_log::moment;
use crate::report::escape::escape;
use crate::report::look::count;

/// How long is tried in all: whoever asked for something else should not wait for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a command that has reached a cluster does first: puts back what has run out, and mentions what was left on.
pub(super) async fn see(connection: &Connection, limits: Limits, console: &Console) {
    put_back_what_has_run_out(connection, limits, console).await;
    mention(console);
}

/// Puts back, in this cluster, what was set with `--on --for` or by a session that was killed, and whose time is over.
/// What fails is mentioned, and is tried again by the next command.
pub(super) async fn put_back_what_has_run_out(connection: &Connection, limits: Limits, console: &Console) {
    let Ok(store) = LeaseStore::open() else { return };
    let Ok(left) = store.left() else { return };
    let now = Timestamp::now();
    let deadline = Deadline::after(PATIENCE);
    for lease in left.leases {
        // A lease is of this cluster if it was reached at the same place; whether it is, its pod's UID says.
        if lease.has_run_out(now) && lease.cluster.server == connection.server {
            let limits = Limits { request_timeout: limits.request_timeout.min(PATIENCE), ..limits };
            let outcome = deadline.run(put_back(&store, connection, limits, &lease, now)).await;
            // What fails now is tried again by the next run, and `debug-log --show` names it.
            if let Some(Ok(Some(done))) = outcome {
                let (proxy, end) = (lease.proxy(), moment(lease.until.unwrap_or(now)));
                console.note(&format!("{}: its debug levels were to end at {end}: {done}", escape(&proxy)));
            }
        }
    }
}

async fn put_back(
    store: &LeaseStore,
    connection: &Connection,
    limits: Limits,
    lease: &DebugLease,
    now: Timestamp,
) -> Result<Option<String>, LeaseError> {
    let claim = store.claim(&lease.uid, "putting back what has run out", Duration::ZERO).await?;
    // Somebody may have taken it anew, or put it back, since it was read.
    let Kept::Lease(lease) = claim.kept() else { return Ok(None) };
    if !lease.has_run_out(now) {
        return Ok(None);
    }
    let how = Restoring { connection, limits, patience: Duration::ZERO, retrying: &|_| () };
    Ok(match restore(&claim, &lease, how).await?.restored {
        Restored::Verified { .. } => Some("restored".to_owned()),
        Restored::Replaced(how) | Restored::Gone(how) => Some(format!("nothing to restore: {how}")),
        Restored::Differs(_) => None,
    })
}

/// Notes at each proxy what this user has left on.
pub(super) fn note(snapshot: &mut MeshSnapshot) {
    let Ok(kept) = LeaseStore::open().and_then(|store| store.all()) else { return };
    for lease in kept.leases {
        let same = |proxy: &Proxy| proxy.uid == lease.uid && proxy.restart_count == lease.restart_count;
        let times = LeaseTimes { taken_at: lease.taken_at, until: lease.until };
        let proxies = snapshot.proxies.iter_mut().map(|read| &mut read.proxy);
        proxies.filter(|proxy| same(proxy)).for_each(|proxy| proxy.debug_lease = Some(times));
    }
}

/// Says once, in one line, which proxies this user has left on.
pub(super) fn mention(console: &Console) {
    static SAID: AtomicBool = AtomicBool::new(false);
    /// How many are named.
    const NAMED: usize = 3;
    let Ok(left) = LeaseStore::open().and_then(|store| store.left()) else { return };
    let broken = left.broken.len();
    if (left.leases.is_empty() && broken == 0) || SAID.swap(true, Ordering::Relaxed) {
        return;
    }
    if let Some(first) = left.leases.iter().map(|lease| lease.taken_at).min() {
        let mut names: Vec<String> =
            left.leases.iter().take(NAMED).map(|lease| escape(&lease.proxy()).into_owned()).collect();
        if left.leases.len() > NAMED {
            names.push(format!("{} more", left.leases.len() - NAMED));
        }
        console.note(&format!(
            "{} left at debug levels by debug-log since {} ({}); `kubectl meshaudit debug-log --off --all` puts them back.",
            count(left.leases.len(), "proxy was", "proxies were"),
            moment(first),
            names.join(", "),
        ));
    }
    if broken > 0 {
        console.note(&format!(
            "{} of debug-log cannot be read; `kubectl meshaudit debug-log --off --all` says which.",
            count(broken, "state file", "state files")
        ));
    }
}
