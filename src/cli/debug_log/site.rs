//! What every part of `debug-log` works with: the cluster, the state files, and the commands that are printed.

use std::path::PathBuf;
use std::time::Duration;

use futures_util::StreamExt;
use jiff::{SignedDuration, Timestamp};

use super::super::console::Console;
use super::super::failure::Failure;
use super::super::kube_args::{KubeArgs, deadline};
use super::{DebugLogArgs, is_much};
use crate::collect::{LeaseError, LeaseStore, Restoration, Restored, Taking};
use crate::k8s::{Connection, Deadline, cluster_identity};
use crate::model::{
    DebugLease, Flag, LevelDifference, LevelSpec, Levels, LoggerLevels, Proxy, Scope, StartSource, differences,
};
use crate::reach::{Limits, Tunnel};
use crate::report::debug_log::{LevelBasis, LevelState, LoggerLevel, ProxyLevels};
use crate::report::look::{Look, failure_hint};

/// How many proxies are worked on at once.
pub(super) const AT_ONCE: usize = 32;

/// One command's work.
pub(super) struct Site<'a> {
    pub(super) args: &'a DebugLogArgs,
    pub(super) console: &'a Console,
    pub(super) connection: &'a Connection,
    pub(super) store: LeaseStore,
    /// Whether more are selected than are changed unasked.
    much: bool,
}

impl<'a> Site<'a> {
    pub(super) fn new(
        args: &'a DebugLogArgs,
        console: &'a Console,
        connection: &'a Connection,
        proxies: &[Proxy],
    ) -> Result<Self, Failure> {
        let store = LeaseStore::open().map_err(failure)?;
        Ok(Self { args, console, connection, store, much: is_much(proxies) })
    }

    pub(super) fn tunnel(&self, proxy: &Proxy) -> Tunnel<'a> {
        Tunnel::new(self.connection, &proxy.id.namespace, &proxy.id.name, proxy.admin_port, self.args.limits())
    }

    /// What a lease of this command is taken for. All proxies are of one cluster, and one of them is asked for it.
    pub(super) async fn taking(&self, proxies: &[Proxy], doing: &'static str) -> Taking {
        let namespace = proxies.first().map_or("default", |proxy| proxy.id.namespace.as_str());
        let (kubeconfig, kubeconfig_list) = kubeconfigs(&self.args.kube);
        Taking {
            spec: self.args.spec(),
            until: self.args.until(),
            kubeconfig,
            kubeconfig_list,
            cluster: cluster_identity(self.connection, namespace).await,
            doing,
        }
    }

    /// The command that puts back what this one sets.
    pub(super) fn restore_command(&self) -> String {
        if self.args.select.all_namespaces {
            // Only what was set, not every proxy there is by then.
            return self.scope().command("debug-log --off --all", [] as [&str; 0]);
        }
        let mut scope = self.scope();
        scope.targets.clone_from(&self.args.targets);
        scope.selection = self.args.select.flags();
        if !scope.selection.iter().any(|flag| flag.name == "-n") {
            scope.selection.insert(0, Flag::new("-n", &*self.connection.namespace));
        }
        scope.command("debug-log --off", self.much.then_some("--yes"))
    }

    /// The command that puts one proxy's levels back.
    pub(super) fn restore_one(&self, namespace: &str, pod: &str) -> String {
        self.scope().target(pod, namespace).command("debug-log --off", [] as [&str; 0])
    }

    /// What leads to the same cluster as the same user. The context is always named: the current one may be another by
    /// then.
    fn scope(&self) -> Scope {
        scope(&self.args.kube, self.args.select.admin_port, &self.connection.context)
    }

    /// What came of putting a lease's levels back.
    pub(super) fn ended(&self, lease: &DebugLease, restored: Result<Restoration, LeaseError>) -> ProxyLevels {
        ended(lease, restored, self.restore_one(&lease.namespace, &lease.pod))
    }

    /// Works on many proxies at once, and gives what came of each in their order.
    pub(super) async fn each<F: Future<Output = ProxyLevels>>(
        &self,
        proxies: &[Proxy],
        work: impl Fn(Proxy) -> F,
    ) -> Vec<ProxyLevels> {
        let mut done: Vec<ProxyLevels> =
            futures_util::stream::iter(proxies.iter().cloned()).map(work).buffer_unordered(AT_ONCE).collect().await;
        done.sort_by(|a, b| a.proxy.cmp(&b.proxy));
        done
    }
}

impl DebugLogArgs {
    pub(super) fn limits(&self) -> Limits {
        // Levels are put back whatever the time is.
        Limits { deadline: Deadline::never(), ..self.kube.limits() }
    }

    pub(super) fn spec(&self) -> LevelSpec {
        self.level.clone().unwrap_or_else(LevelSpec::connections)
    }

    /// When the levels that are set now are to be put back.
    fn until(&self) -> Option<Timestamp> {
        let length = SignedDuration::try_from(self.length.filter(|length| !length.is_zero())?).ok()?;
        Some(Timestamp::now().checked_add(length).unwrap_or(Timestamp::MAX))
    }

    pub(super) fn patience(&self) -> Duration {
        deadline(self.restore_timeout)
    }

    pub(super) fn look(&self, console: &Console) -> Look {
        Look {
            palette: console.out,
            columns: console.columns,
            headings: !self.no_headers,
            verbose: console.verbose > 0,
        }
    }
}

/// What leads to a context as the same user.
pub(super) fn scope(kube: &KubeArgs, admin_port: Option<u16>, context: &str) -> Scope {
    let port = admin_port.map(|port| Flag::new("--admin-port", port.to_string()));
    let mut cluster = kube.flags();
    for flag in cluster.iter_mut().filter(|flag| ["--kubeconfig", "--audit-log"].contains(&flag.name.as_str())) {
        flag.value = flag.value.take().map(|path| absolute(&PathBuf::from(path)));
    }
    let scope =
        Scope { targets: Vec::new(), selection: port.into_iter().collect(), cluster, source: Vec::new(), policy: None };
    if context == "in-cluster" { scope } else { scope.in_context(context) }
}

fn absolute(path: &PathBuf) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.clone()).display().to_string()
}

/// `--kubeconfig` and `$KUBECONFIG` as a process in another directory would have to be given them.
pub(super) fn kubeconfigs(kube: &KubeArgs) -> (Option<String>, Option<String>) {
    let named = kube.kubeconfig.as_ref().filter(|path| !path.as_os_str().is_empty()).map(absolute);
    let list = std::env::var_os("KUBECONFIG").filter(|list| !list.is_empty());
    let list = list.and_then(|list| {
        let paths = std::env::split_paths(&list).filter(|path| !path.as_os_str().is_empty());
        std::env::join_paths(paths.map(|path| std::path::absolute(&path).unwrap_or(path))).ok()
    });
    (named, list.map(|list| list.to_string_lossy().into_owned()))
}

/// What a lease's failure means for the whole command.
pub(super) fn failure(error: LeaseError) -> Failure {
    match error {
        LeaseError::Api(error) => error.into(),
        LeaseError::Admin(error) => Failure::cannot_run(error.to_string()).hint(failure_hint(error.cause())),
        LeaseError::NoDirectory(_) | LeaseError::File { .. } | LeaseError::Directory { .. } => {
            Failure::cannot_run(error.to_string()).hint(
                "levels are kept before they are changed; name a directory of your own, that only you can write to, \
                 with XDG_STATE_HOME",
            )
        }
        error => Failure::cannot_run(error.to_string()),
    }
}

/// The change that each logger sees.
pub(super) fn changes(present: &LoggerLevels, wanted: &Levels) -> Vec<LoggerLevel> {
    loggers(differences(present, wanted))
}

pub(super) fn loggers(differences: Vec<LevelDifference>) -> Vec<LoggerLevel> {
    let item = |LevelDifference { logger, level, wanted }| LoggerLevel { logger, level, target: wanted };
    differences.into_iter().map(item).collect()
}

/// What says with which levels a proxy was started, for reports.
pub(super) fn basis(source: StartSource) -> LevelBasis {
    match source {
        StartSource::Proxy | StartSource::Pod => LevelBasis::StartUpArguments,
        StartSource::Default => LevelBasis::IstioDefault,
    }
}

/// What came of putting a lease's levels back; `command` is the one that tries it again.
pub(super) fn ended(lease: &DebugLease, restored: Result<Restoration, LeaseError>, command: String) -> ProxyLevels {
    let new = |state| ProxyLevels { basis: Some(LevelBasis::StateFile), ..ProxyLevels::new(lease.proxy(), state) };
    let said = |state, message: String| ProxyLevels { messages: vec![message], ..new(state) };
    let Restoration { restored, left_over } = match restored {
        Ok(restoration) => restoration,
        Err(error) => {
            let then = match error {
                LeaseError::OtherCluster { .. } => "with the --kubeconfig and --context that lead to the former, run",
                LeaseError::Busy(_) => "once that has ended, run",
                _ => "once it can be reached again, run",
            };
            return ProxyLevels { command: Some(command), ..said(LevelState::NotRestored, format!("{error}; {then}")) };
        }
    };
    let mut item = match restored {
        Restored::Verified { loggers, changed } => {
            let state = if changed > 0 { LevelState::Restored } else { LevelState::Unchanged };
            let assumed = lease.assumed.iter().cloned().collect();
            ProxyLevels { loggers: Some(loggers), assumed, ..new(state) }
        }
        Restored::Differs(left) => {
            ProxyLevels { levels: loggers(left), command: Some(command), ..new(LevelState::NotRestored) }
        }
        Restored::Replaced(how) => said(LevelState::Replaced, how),
        Restored::Gone(how) => said(LevelState::Gone, how),
    };
    if let Some(error) = left_over {
        item.messages.push(format!("{error}: it is of no more use, remove it by hand"));
    }
    item
}
