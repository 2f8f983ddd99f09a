//! `--off`: of proxies that are named, and of everything that was left on.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::StreamExt;

use super::super::console::Console;
use super::super::exit::Exit;
use super::super::failure::Failure;
use super::set::Waiting;
use super::site::{AT_ONCE, Site, basis, changes, ended, failure, kubeconfigs, loggers, scope};
use super::{DebugLogArgs, Format, finish};
use crate::collect::{
    Claim, Kept, LeaseError, LeaseStore, PutBack, Restoring, put_to_start, read_levels, read_start, restore,
};
use crate::k8s::{ApiError, Connection, Deadline, connect};
use crate::model::{DebugLease, Proxy};
use crate::reach::Tunnel;
use crate::report::debug_log::{DebugLogReport, LevelBasis, LevelState, ProxyLevels};

/// How long another process that works on a proxy is waited for: an `--on` or a session that is about to end.
const MOMENT: Duration = Duration::from_secs(5);

pub(super) async fn run(site: &Site<'_>, proxies: Vec<Proxy>) -> Result<Exit, Failure> {
    let items = site
        .each(&proxies, async |proxy| {
            let done = if site.args.dry_run { look(site, &proxy).await } else { turn_off(site, &proxy).await };
            done.unwrap_or_else(|error| ProxyLevels::failed(proxy.id.to_string(), error.to_string()))
        })
        .await;
    finish(site.args, site.console, DebugLogReport::new("off", site.args.dry_run, None, items))
}

/// What would be changed.
async fn look(site: &Site<'_>, proxy: &Proxy) -> Result<ProxyLevels, LeaseError> {
    let mut tunnel = site.tunnel(proxy);
    let present = read_levels(&mut tunnel).await?;
    let mut item = ProxyLevels::new(proxy.id.to_string(), LevelState::AsFound);
    match site.store.find(&proxy.uid) {
        Kept::Lease(lease) if lease.restart_count == proxy.restart_count => {
            (item.basis, item.levels) = (Some(LevelBasis::StateFile), changes(&present, &lease.levels));
        }
        kept => {
            let start = read_start(&mut tunnel, proxy).await;
            item.levels = loggers(start.unexplained(&present));
            item.basis = Some(basis(start.source));
            if let Kept::Broken(error) = kept {
                item.messages.push(error.to_string());
            }
        }
    }
    Ok(item)
}

async fn turn_off(site: &Site<'_>, proxy: &Proxy) -> Result<ProxyLevels, LeaseError> {
    let mut unwritable = None;
    let claim = match site.store.claim(&proxy.uid, "--off", MOMENT).await {
        Err(error) if error.is_unwritable() => {
            unwritable = Some(error.to_string());
            site.store.claim_nothing(&proxy.uid)
        }
        other => other?,
    };
    let mut item = match claim.kept() {
        Kept::Lease(lease) if lease.restart_count == proxy.restart_count => {
            let waiting = Waiting::new(site.console, proxy.id.to_string());
            let how = Restoring {
                connection: site.connection,
                limits: site.args.limits(),
                patience: site.args.patience(),
                retrying: &|error| waiting.say(error),
            };
            site.ended(&lease, restore(&claim, &lease, how).await)
        }
        // What a proxy had before it was restarted is of no more use.
        Kept::Lease(_) | Kept::Nothing | Kept::Broken(LeaseError::Directory { .. }) => {
            to_start(site, proxy, &claim, None).await?
        }
        Kept::Broken(error) => to_start(site, proxy, &claim, Some(error)).await?,
    };
    // Where nothing was kept, that nothing can be kept says nothing.
    item.messages.extend(unwritable.filter(|_| item.state == LevelState::NotRestored));
    Ok(item)
}

/// Puts loggers that somebody set to debug to what the proxy was started with, since nobody knows more.
async fn to_start(
    site: &Site<'_>,
    proxy: &Proxy,
    claim: &Claim,
    broken: Option<LeaseError>,
) -> Result<ProxyLevels, LeaseError> {
    let mut tunnel = site.tunnel(proxy);
    let start = read_start(&mut tunnel, proxy).await;
    let name = proxy.id.to_string();
    let recorder = site.connection.recorder(&proxy.id.namespace, &proxy.id.name);
    let mut item = match put_to_start(&mut tunnel, &start, &recorder).await? {
        PutBack::Verified { loggers: compared, changed } => {
            let state = if changed.is_empty() { LevelState::Unchanged } else { LevelState::Restored };
            ProxyLevels { loggers: Some(compared), levels: loggers(changed), ..ProxyLevels::new(name, state) }
        }
        PutBack::Differs(left) => ProxyLevels {
            levels: loggers(left),
            command: Some(site.restore_one(&proxy.id.namespace, &proxy.id.name)),
            ..ProxyLevels::new(name, LevelState::NotRestored)
        },
    };
    item.basis = Some(basis(start.source));
    if item.state == LevelState::NotRestored {
        item.messages.extend(broken.map(|error| error.to_string()));
        return Ok(item);
    }
    match (broken, claim.forget()) {
        (None, Ok(())) => {}
        (Some(error), Ok(())) => item.messages.push(format!("{error}; it was removed")),
        (None, Err(error)) => item.messages.push(format!("{error}: it is of no more use, remove it by hand")),
        (Some(error), Err(_)) => item.messages.push(format!("{error}; it cannot be removed: remove it by hand")),
    }
    Ok(item)
}

/// Where leases are reached from.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    kubeconfig: Option<String>,
    kubeconfig_list: Option<String>,
    context: String,
}

/// `--off --all`: every lease that this user holds, in whatever cluster.
pub(super) async fn off_all(args: &DebugLogArgs, console: &Console) -> Result<Exit, Failure> {
    let store = LeaseStore::open().map_err(failure)?;
    let kept = store.all().map_err(failure)?;
    for error in &kept.broken {
        console.warn(&format!(
            "{error}; its name is the UID of the pod that it is of: `kubectl meshaudit debug-log --off POD` puts that \
             one's levels back, and removes it"
        ));
    }
    let wanted = |lease: &DebugLease| args.kube.context.is_empty() || args.kube.context.contains(&lease.context);
    let named = kubeconfigs(&args.kube).0;
    let mut ways: BTreeMap<Way, Vec<DebugLease>> = BTreeMap::new();
    for lease in kept.leases.into_iter().filter(wanted) {
        let way = Way {
            kubeconfig: named.clone().or_else(|| lease.kubeconfig.clone()),
            // A lease that does not say which cluster it is of does not say which kubeconfig it was taken with either.
            kubeconfig_list: if lease.cluster.server.is_empty() {
                None
            } else {
                Some(lease.kubeconfig_list.clone().unwrap_or_default())
            },
            context: lease.context.clone(),
        };
        ways.entry(way).or_default().push(lease);
    }
    let mut items = Vec::new();
    for (way, leases) in ways {
        match reach(args, &way).await {
            Ok(connection) => {
                let work = |lease: DebugLease| off_lease(args, console, &connection, &store, lease);
                items.extend(
                    futures_util::stream::iter(leases).map(work).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await,
                );
            }
            Err(error) => items.extend(leases.iter().map(|lease| unreachable(lease, &error))),
        }
    }
    items.sort_by(|a, b| a.proxy.cmp(&b.proxy));
    let whole = if kept.broken.is_empty() { Exit::Success } else { Exit::Incomplete };
    if items.is_empty() && args.output == Format::Table {
        if kept.broken.is_empty() {
            console.note("Nothing was left on: there is no state file.");
        }
        return Ok(whole);
    }
    let exit = finish(args, console, DebugLogReport::new("off", args.dry_run, None, items))?;
    Ok(if exit == Exit::Success { whole } else { exit })
}

/// A client for where leases were taken; where that kubeconfig is no more, for the one of now: whether it leads to the
/// same cluster is seen later.
async fn reach(args: &DebugLogArgs, way: &Way) -> Result<Connection, ApiError> {
    let named = Some(&way.context).filter(|context| *context != "in-cluster");
    let mut options = args.kube.options(named);
    options.kubeconfig = way.kubeconfig.as_ref().map(PathBuf::from);
    options.kubeconfig_list = way.kubeconfig_list.as_ref().map(OsString::from);
    let connection = match connect(&options).await {
        Err(ApiError::Config(_) | ApiError::UnknownContext { .. }) if args.kube.kubeconfig.is_none() => {
            connect(&args.kube.options(named)).await
        }
        other => other,
    };
    Ok(connection?.with_deadline(Deadline::never()))
}

async fn off_lease(
    args: &DebugLogArgs,
    console: &Console,
    connection: &Connection,
    store: &LeaseStore,
    lease: DebugLease,
) -> ProxyLevels {
    let limits = args.limits();
    if args.dry_run {
        let mut tunnel = Tunnel::new(connection, &lease.namespace, &lease.pod, lease.admin_port, limits);
        return match read_levels(&mut tunnel).await {
            Ok(present) => {
                let mut item = ProxyLevels::new(lease.proxy(), LevelState::AsFound);
                (item.basis, item.levels) = (Some(LevelBasis::StateFile), changes(&present, &lease.levels));
                item
            }
            Err(error) => ProxyLevels::failed(lease.proxy(), error.to_string()),
        };
    }
    let claim = match store.claim(&lease.uid, "--off", MOMENT).await {
        Ok(claim) => claim,
        Err(error) if error.is_unwritable() => store.claim_nothing(&lease.uid),
        Err(error) => return ProxyLevels::failed(lease.proxy(), error.to_string()),
    };
    // Whoever had the right before may have changed what is kept, or put it back.
    let lease = match claim.kept() {
        Kept::Lease(lease) => *lease,
        Kept::Nothing => {
            let message = "another debug-log has put it back meanwhile".to_owned();
            return ProxyLevels { messages: vec![message], ..ProxyLevels::new(lease.proxy(), LevelState::Unchanged) };
        }
        Kept::Broken(error) => return ProxyLevels::failed(lease.proxy(), error.to_string()),
    };
    let waiting = Waiting::new(console, lease.proxy());
    let how = Restoring { connection, limits, patience: args.patience(), retrying: &|error| waiting.say(error) };
    let restored = restore(&claim, &lease, how).await;
    let scope = scope(&args.kube, args.select.admin_port, &connection.context).target(&lease.pod, &lease.namespace);
    ended(&lease, restored, scope.command("debug-log --off", [] as [&str; 0]))
}

fn unreachable(lease: &DebugLease, error: &ApiError) -> ProxyLevels {
    let message = format!("context {:?}: {error}", lease.context);
    ProxyLevels { messages: vec![message], ..ProxyLevels::new(lease.proxy(), LevelState::NotRestored) }
}
