//! `debug-log`: connection debugging on, the log explained while it comes, and every logger back as it was.

mod explain;
mod session;

pub(super) use explain::{Explainer, Found, KnownTimeouts, Manner};
pub(super) use session::listen;

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use futures_util::StreamExt;

use super::complete;
use super::console::Console;
use super::exit::Exit;
use super::failure::Failure;
use super::kube_args::{KubeArgs, SelectArgs, deadline, duration};
use crate::collect::{Held, LeaseError, LeaseStore, Restored, acquire, put_back, read_levels, restore, set_levels};
use crate::k8s::{ApiError, Connection, Deadline, connect, select};
use crate::model::{DebugLease, LevelDifference, LevelSpec, LoggerLevels, Proxy, StartupLogLevels, differences};
use crate::reach::{Limits, Tunnel};
use crate::report::debug_log::{self as report, DebugLogReport, LevelBasis, LevelState, LoggerLevel, ProxyLevels};
use crate::report::document;
use crate::report::look::{Look, count, failure_hint};

/// Turn connection debugging on, explain each failed upstream connection as it happens, and put every logger back
///
/// With no flag it does the whole investigation. The levels of all loggers are kept in a private state file before any
/// of them is changed, and are put back, and read back, after --for, Ctrl-C, SIGTERM, SIGHUP or an error.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kubectl meshaudit debug-log checkout-7d9f8b6c5d-m8q2z -n shop     watch one pod for five minutes
  kubectl meshaudit debug-log deploy/checkout -n shop --for 30m     all pods of a workload
  kubectl meshaudit debug-log --on deploy/checkout -n shop          in a runbook: set, and
  kubectl meshaudit debug-log --off deploy/checkout -n shop         put back
  kubectl meshaudit debug-log --show deploy/checkout -n shop
  kubectl meshaudit debug-log --off --all                           everything this user left on

Exit codes: 0 done, 2 usage, 3 some proxies failed or were not put back, 4 could not run,
130 or 143 interrupted; the levels were put back first.")]
pub(super) struct DebugLogArgs {
    /// Pods and workloads: POD, POD.NAMESPACE, deploy/NAME, sts/NAME, ds/NAME, rs/NAME, job/NAME, svc/NAME, gateway/NAME
    #[arg(value_name = "TARGET", add = complete::targets())]
    targets: Vec<String>,
    /// Set the levels and leave them so; prints the command that puts them back
    #[arg(long, group = "mode")]
    on: bool,
    /// Put every level back: from the state file, else to what the proxy was started with
    #[arg(long, group = "mode")]
    off: bool,
    /// List the levels that differ from what the proxy was started with
    #[arg(long, group = "mode")]
    show: bool,
    /// With --off: everything that this user left on
    #[arg(long, requires = "off", conflicts_with_all = ["targets", "namespace", "all_namespaces", "selector", "field_selector"])]
    all: bool,
    /// With --show: every logger
    #[arg(long, requires = "show")]
    all_loggers: bool,
    /// What to set: LEVEL, or LOGGER:LEVEL,LOGGER:LEVEL; the connection loggers to debug, if not given
    #[arg(long, value_name = "LEVELS", value_parser = levels, conflicts_with_all = ["off", "show"])]
    level: Option<LevelSpec>,
    /// How long to watch, e.g. 5m; 0 is until Ctrl-C
    #[arg(long = "for", value_name = "DURATION", default_value = "5m", value_parser = duration, conflicts_with = "mode")]
    length: Duration,
    /// How long to try to put levels back while the API server or the proxy cannot be reached
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = duration)]
    restore_timeout: Duration,
    /// Only say what would be changed
    #[arg(long, conflicts_with = "show")]
    dry_run: bool,
    /// Do not ask whether -A is meant
    #[arg(short, long)]
    yes: bool,
    /// Print the log as it comes, without explaining it
    #[arg(long, conflicts_with_all = ["mode", "dry_run"])]
    raw: bool,
    /// Keep what was read of the log in a file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["mode", "dry_run"])]
    log_file: Option<PathBuf>,
    /// table, json, yaml or ndjson (each failure as it happens, and what was done at the end)
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t, hide_possible_values = true)]
    output: Format,
    /// No headings in tables
    #[arg(long)]
    no_headers: bool,
    #[command(flatten)]
    select: SelectArgs,
    #[command(flatten)]
    kube: KubeArgs,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    #[default]
    Table,
    Json,
    Yaml,
    Ndjson,
}

/// How many proxies are worked on at once.
const AT_ONCE: usize = 32;

fn levels(text: &str) -> Result<LevelSpec, String> {
    text.parse().map_err(|error: crate::model::LevelSpecError| error.to_string())
}

pub(super) async fn run(args: &DebugLogArgs, console: &Console) -> Result<Exit, Failure> {
    if args.all {
        return off_all(args, console).await;
    }
    if args.raw && args.output != Format::Table {
        return Err(Failure::usage("--raw prints the log as it is, and -o none of it").hint("leave out one of them"));
    }
    let nothing_named = args.targets.is_empty() && args.select.selector.is_none() && !args.select.all_namespaces;
    if nothing_named && !args.show {
        return Err(Failure::usage("no target is named")
            .hint("name a POD or a workload such as deploy/web, select with -l, or mean all namespaces with -A"));
    }
    if args.kube.context.len() > 1 {
        return Err(Failure::usage("debug-log works on one cluster at a time").hint("give --context once"));
    }
    let connection = args.kube.connect().await?;
    let proxies = selected(args, &connection, console).await?;
    let connection = connection.with_deadline(Deadline::never());
    if args.select.all_namespaces && !args.show && !args.dry_run {
        confirm(&proxies, args.yes)?;
    }
    match args {
        DebugLogArgs { show: true, .. } => show(args, &connection, proxies, console).await,
        DebugLogArgs { off: true, .. } => off(args, &connection, proxies, console).await,
        DebugLogArgs { dry_run: true, .. } => plan(args, &connection, proxies, console).await,
        DebugLogArgs { on: true, .. } => on(args, &connection, proxies, console).await,
        _ => session::run(args, &connection, proxies, console).await,
    }
}

/// The proxies that are meant.
async fn selected(args: &DebugLogArgs, connection: &Connection, console: &Console) -> Result<Vec<Proxy>, Failure> {
    let found = select(connection, &args.select.selection(&args.targets)?, "").await?;
    if console.verbose > 0 {
        for skipped in &found.skipped {
            console.note(&format!("{} is skipped: {}", skipped.id, crate::report::escape::escape(&skipped.reason)));
        }
    }
    if !found.proxies.is_empty() {
        return Ok(found.proxies);
    }
    Err(match found.skipped.as_slice() {
        [] => Failure::cannot_run("no pods are selected")
            .hint("has the workload been scaled to none? Is it in another namespace (-n)?"),
        [first, rest @ ..] => {
            let others = if rest.is_empty() { String::new() } else { format!(" (and {} more)", rest.len()) };
            Failure::cannot_run(format!("no proxy among the pods: {}: {}{others}", first.id, first.reason))
        }
    })
}

/// Asks whether all namespaces are meant.
fn confirm(proxies: &[Proxy], yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    let namespaces: std::collections::BTreeSet<&str> = proxies.iter().map(|proxy| &*proxy.id.namespace).collect();
    let what = format!(
        "{} in {}",
        count(proxies.len(), "proxy", "proxies"),
        count(namespaces.len(), "namespace", "namespaces")
    );
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(format!("this would change the log levels of {what}, and nobody can be asked"))
            .hint("say --yes if that is meant"));
    }
    let _ = write!(std::io::stderr(), "Change the log levels of {what}? [y/N] ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(|error| Failure::cannot_run(format!("no answer: {error}")))?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(Failure::usage("not confirmed; nothing was changed"))
}

impl DebugLogArgs {
    fn limits(&self) -> Limits {
        // Levels are put back whatever the time is.
        Limits { deadline: Deadline::never(), ..self.kube.limits() }
    }

    fn spec(&self) -> LevelSpec {
        self.level.clone().unwrap_or_else(LevelSpec::connections)
    }

    fn store(&self) -> Result<LeaseStore, Failure> {
        LeaseStore::open().map_err(failure)
    }

    fn kubeconfig(&self) -> Option<String> {
        let path = self.kube.kubeconfig.as_ref()?;
        Some(std::path::absolute(path).unwrap_or_else(|_| path.clone()).display().to_string())
    }

    fn look(&self, console: &Console) -> Look {
        Look {
            palette: console.out,
            columns: console.columns,
            headings: !self.no_headers,
            verbose: console.verbose > 0,
        }
    }

    /// The command that puts back what this one sets.
    fn restore_command(&self, connection: &Connection) -> String {
        let mut words =
            vec!["kubectl", "meshaudit", "debug-log", "--off"].into_iter().map(str::to_owned).collect::<Vec<_>>();
        let mut option = |name: &str, value: &str| words.extend([name.to_owned(), quoted(value)]);
        if self.select.all_namespaces {
            // Only what was set, not every proxy there is by then.
            option("--all", "");
            words.pop();
        } else {
            if let Some(selector) = &self.select.selector {
                option("-l", selector);
            }
            if let Some(selector) = &self.select.field_selector {
                option("--field-selector", selector);
            }
            option("-n", self.select.namespace.as_deref().unwrap_or(&connection.namespace));
            words.splice(4..4, self.targets.iter().map(|target| quoted(target)));
        }
        words.extend(self.reaching(connection));
        words.join(" ")
    }

    /// The command that puts one proxy's levels back.
    fn restore_one(&self, connection: &Connection, namespace: &str, pod: &str) -> String {
        let mut words = vec![format!("kubectl meshaudit debug-log --off {} -n {}", quoted(pod), quoted(namespace))];
        words.extend(self.reaching(connection));
        words.join(" ")
    }

    /// The flags that lead to the same cluster as the same user. The context is always named: the current one may be
    /// another by then.
    fn reaching(&self, connection: &Connection) -> Vec<String> {
        let mut words = Vec::new();
        let mut option = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                words.extend([name.to_owned(), quoted(value)]);
            }
        };
        option("--kubeconfig", self.kubeconfig().as_deref());
        let in_cluster = connection.context == "in-cluster";
        option("--context", Some(connection.context.as_str()).filter(|_| !in_cluster));
        option("--cluster", self.kube.cluster.as_deref());
        option("--user", self.kube.user.as_deref());
        option("--as", self.kube.impersonate.as_deref());
        for group in &self.kube.impersonate_groups {
            option("--as-group", Some(group));
        }
        option("--as-uid", self.kube.impersonate_uid.as_deref());
        option("--admin-port", self.select.admin_port.map(|port| port.to_string()).as_deref());
        words
    }
}

/// A word as a POSIX shell takes it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// What a lease's failure means for the whole command.
fn failure(error: LeaseError) -> Failure {
    match error {
        LeaseError::Api(error) => error.into(),
        LeaseError::Admin(error) => Failure::cannot_run(error.to_string()).hint(failure_hint(error.cause())),
        LeaseError::NoDirectory(_) | LeaseError::File { .. } => Failure::cannot_run(error.to_string())
            .hint("levels are kept before they are changed; name a directory that can be written with XDG_STATE_HOME"),
        error => Failure::cannot_run(error.to_string()),
    }
}

/// The change that each logger sees.
fn changes(present: &LoggerLevels, wanted: &BTreeMap<String, String>) -> Vec<LoggerLevel> {
    items(differences(present, wanted))
}

fn items(differences: Vec<LevelDifference>) -> Vec<LoggerLevel> {
    let item = |LevelDifference { logger, level, wanted }| LoggerLevel { logger, level, target: wanted };
    differences.into_iter().map(item).collect()
}

/// Works on many proxies at once, and gives what came of each in their order.
async fn each<F: Future<Output = ProxyLevels>>(proxies: &[Proxy], work: impl Fn(Proxy) -> F) -> Vec<ProxyLevels> {
    let mut done: Vec<ProxyLevels> =
        futures_util::stream::iter(proxies.iter().cloned()).map(work).buffer_unordered(AT_ONCE).collect().await;
    done.sort_by(|a, b| a.proxy.cmp(&b.proxy));
    done
}

fn tunnel<'a>(connection: &'a Connection, proxy: &Proxy, limits: Limits) -> Tunnel<'a> {
    Tunnel::new(connection, &proxy.id.namespace, &proxy.id.name, proxy.admin_port, limits)
}

async fn show(
    args: &DebugLogArgs,
    connection: &Connection,
    proxies: Vec<Proxy>,
    console: &Console,
) -> Result<Exit, Failure> {
    let store = args.store()?;
    let items = each(&proxies, async |proxy| {
        let name = proxy.id.to_string();
        let present = match read_levels(&mut tunnel(connection, &proxy, args.limits())).await {
            Ok(present) => present,
            Err(error) => return ProxyLevels::failed(name, error.to_string()),
        };
        let (startup, basis) = startup(&proxy.startup_log_levels);
        let wanted = startup.wanted(&present);
        let of = |(logger, level): (&std::sync::Arc<str>, &std::sync::Arc<str>)| LoggerLevel {
            logger: logger.to_string(),
            level: level.to_string(),
            target: wanted.get(&**logger).cloned().unwrap_or_default(),
        };
        let levels = present.0.iter().map(of).filter(|item| args.all_loggers || item.level != item.target).collect();
        let mut item = ProxyLevels::new(name, LevelState::AsFound);
        (item.basis, item.loggers, item.levels) = (Some(basis), Some(present.0.len()), levels);
        if let Ok(Some(lease)) = store.find(&proxy.uid)
            && lease.restart_count == proxy.restart_count
        {
            item.messages.push(format!("set by debug-log at {}", lease.taken_at.strftime("%Y-%m-%d %H:%M:%S UTC")));
            item.command = Some(args.restore_one(connection, &lease.namespace, &lease.pod));
        }
        item
    })
    .await;
    let exit = exit(&items);
    if args.output != Format::Table {
        write_report(args, console, &DebugLogReport::new("show", false, None, items))?;
        return exit;
    }
    let exit = exit?;
    let table = report::levels(&items, args.look(console));
    console.print(&table)?;
    let mut differing = 0;
    for item in &items {
        let differs = item.levels.iter().any(|level| level.level != level.target);
        differing += usize::from(differs);
        if item.state == LevelState::Failed || !item.messages.is_empty() {
            let short = ProxyLevels { levels: Vec::new(), ..item.clone() };
            let words = if item.state == LevelState::Failed {
                report::sentence(&short, false, console.err)
            } else {
                let command = item.command.as_deref().unwrap_or_default();
                format!("{}: {}; put back with\n  {command}", item.proxy, item.messages.join("; "))
            };
            console.note(&words);
        }
    }
    let read = items.iter().filter(|item| item.state != LevelState::Failed).count();
    if differing == 0 && read > 0 {
        console
            .note(&format!("Every logger of {} has the level it was started with.", count(read, "proxy", "proxies")));
    }
    Ok(exit)
}

/// What a proxy starts with, and what says so.
fn startup(levels: &StartupLogLevels) -> (LevelSpec, LevelBasis) {
    let named = levels.level.is_some() || levels.components.is_some();
    (LevelSpec::startup(levels), if named { LevelBasis::StartUpArguments } else { LevelBasis::IstioDefault })
}

/// What `--on` or a session would change.
async fn plan(
    args: &DebugLogArgs,
    connection: &Connection,
    proxies: Vec<Proxy>,
    console: &Console,
) -> Result<Exit, Failure> {
    let spec = args.spec();
    let items = each(&proxies, async |proxy| {
        let name = proxy.id.to_string();
        match read_levels(&mut tunnel(connection, &proxy, args.limits())).await {
            Ok(present) => {
                let mut item = ProxyLevels::new(name, LevelState::AsFound);
                (item.loggers, item.missing) = (Some(present.0.len()), spec.missing(&present));
                item.levels = changes(&present, &spec.wanted(&present));
                item
            }
            Err(error) => ProxyLevels::failed(name, error.to_string()),
        }
    })
    .await;
    let action = if args.on { "on" } else { "session" };
    finish(args, console, DebugLogReport::new(action, true, Some(args.restore_command(connection)), items))
}

async fn on(
    args: &DebugLogArgs,
    connection: &Connection,
    proxies: Vec<Proxy>,
    console: &Console,
) -> Result<Exit, Failure> {
    let store = args.store()?;
    let command = args.restore_command(connection);
    announce(console, &command);
    let items = each(&proxies, async |proxy| {
        turn_on(args, connection, &store, &proxy)
            .await
            .unwrap_or_else(|error| ProxyLevels::failed(proxy.id.to_string(), error.to_string()))
    })
    .await;
    finish(args, console, DebugLogReport::new("on", false, Some(command), items))
}

/// Says how to put levels back, before any is changed.
fn announce(console: &Console, command: &str) {
    console.note(&format!(
        "The levels are kept first. Should this be killed, they are put back with\n  {}",
        console.err.strong(command)
    ));
}

/// Sets one proxy's levels. Where that fails, it may have been done half: then they are put back at once.
async fn turn_on(
    args: &DebugLogArgs,
    connection: &Connection,
    store: &LeaseStore,
    proxy: &Proxy,
) -> Result<ProxyLevels, LeaseError> {
    let mut tunnel = tunnel(connection, proxy, args.limits());
    let held = acquire(connection, &mut tunnel, proxy, store, &args.spec(), None, args.kubeconfig()).await?;
    let mut item = ProxyLevels::new(proxy.id.to_string(), LevelState::On);
    match set_levels(&mut tunnel, &held.wanted).await {
        Ok(answer) => {
            describe(&mut item, &held);
            for left in differences(&answer, &held.wanted) {
                item.messages.push(format!("{} stayed at {}", left.logger, left.level));
            }
        }
        Err(error) => {
            let patience = deadline(args.restore_timeout);
            let restored = restore(connection, store, &held.lease, args.limits(), patience, &|_| ()).await;
            item = ended(args, connection, &held.lease, restored);
            item.messages.push(format!("the levels could not be set: {error}"));
            if item.state == LevelState::Restored {
                item.state = LevelState::Failed;
            }
        }
    }
    Ok(item)
}

/// What holding a proxy's levels has to say about them.
fn describe(item: &mut ProxyLevels, held: &Held) {
    let before = |name: &String| held.lease.levels.get(name).cloned().unwrap_or_default();
    let change = |(logger, target): (&String, &String)| LoggerLevel {
        logger: logger.clone(),
        level: before(logger),
        target: target.clone(),
    };
    item.levels = held.wanted.iter().map(change).collect();
    item.loggers = Some(held.lease.levels.len());
    item.missing.clone_from(&held.missing);
    if let Some(former) = &held.former {
        item.messages.push(format!(
            "was left on since {}; the levels before that are the ones to go back to",
            former.taken_at.strftime("%Y-%m-%d %H:%M:%S UTC")
        ));
    } else if held.verbose_before > 0 {
        item.messages.push(format!(
            "{} already at debug or trace before, and will be again",
            count(held.verbose_before, "logger was", "loggers were")
        ));
    }
}

async fn off(
    args: &DebugLogArgs,
    connection: &Connection,
    proxies: Vec<Proxy>,
    console: &Console,
) -> Result<Exit, Failure> {
    let store = args.store()?;
    let items = each(&proxies, async |proxy| {
        turn_off(args, connection, &store, &proxy)
            .await
            .unwrap_or_else(|error| ProxyLevels::failed(proxy.id.to_string(), error.to_string()))
    })
    .await;
    finish(args, console, DebugLogReport::new("off", args.dry_run, None, items))
}

async fn turn_off(
    args: &DebugLogArgs,
    connection: &Connection,
    store: &LeaseStore,
    proxy: &Proxy,
) -> Result<ProxyLevels, LeaseError> {
    let name = proxy.id.to_string();
    let mut unreadable = None;
    let lease = store.find(&proxy.uid).unwrap_or_else(|error| {
        unreadable = Some(error.to_string());
        None
    });
    let mut tunnel = tunnel(connection, proxy, args.limits());
    let mut item = match lease.filter(|lease| lease.restart_count == proxy.restart_count) {
        Some(lease) if args.dry_run => {
            let present = read_levels(&mut tunnel).await?;
            let mut item = ProxyLevels::new(name, LevelState::AsFound);
            (item.basis, item.levels) = (Some(LevelBasis::StateFile), changes(&present, &lease.levels));
            item
        }
        Some(lease) => {
            let patience = deadline(args.restore_timeout);
            let restored = restore(connection, store, &lease, args.limits(), patience, &|_| ()).await;
            ended(args, connection, &lease, restored)
        }
        None => {
            let (startup, basis) = startup(&proxy.startup_log_levels);
            let present = read_levels(&mut tunnel).await?;
            let wanted = startup.wanted(&present);
            let mut item = if args.dry_run {
                let mut item = ProxyLevels::new(name, LevelState::AsFound);
                item.levels = changes(&present, &wanted);
                item
            } else {
                let restored = put_back(&mut tunnel, &wanted, &std::collections::BTreeSet::new()).await;
                // What a proxy had before it was restarted is of no more use.
                if restored.is_ok() && unreadable.is_none() {
                    store.remove(&proxy.uid)?;
                }
                let command = args.restore_one(connection, &proxy.id.namespace, &proxy.id.name);
                outcome(name, restored, command)
            };
            item.basis = Some(basis);
            item
        }
    };
    item.messages.extend(unreadable);
    Ok(item)
}

/// What came of putting a lease's levels back.
fn ended(
    args: &DebugLogArgs,
    connection: &Connection,
    lease: &DebugLease,
    restored: Result<Restored, LeaseError>,
) -> ProxyLevels {
    let command = args.restore_one(connection, &lease.namespace, &lease.pod);
    ProxyLevels { basis: Some(LevelBasis::StateFile), ..outcome(lease.proxy(), restored, command) }
}

fn outcome(proxy: String, restored: Result<Restored, LeaseError>, command: String) -> ProxyLevels {
    match restored {
        Ok(Restored::Verified { loggers, changed }) => {
            let state = if changed > 0 { LevelState::Restored } else { LevelState::Unchanged };
            ProxyLevels { loggers: Some(loggers), ..ProxyLevels::new(proxy, state) }
        }
        Ok(Restored::Differs(left)) => ProxyLevels {
            levels: items(left),
            command: Some(command),
            ..ProxyLevels::new(proxy, LevelState::NotRestored)
        },
        Ok(Restored::Replaced(how)) => {
            let message = format!("{how}, and has the levels it starts with");
            ProxyLevels { messages: vec![message], ..ProxyLevels::new(proxy, LevelState::Replaced) }
        }
        Ok(Restored::Gone(reason)) => {
            ProxyLevels { messages: vec![reason], ..ProxyLevels::new(proxy, LevelState::Gone) }
        }
        Err(error) => ProxyLevels {
            messages: vec![format!("{error}; once it can be reached again, run")],
            command: Some(command),
            ..ProxyLevels::new(proxy, LevelState::NotRestored)
        },
    }
}

/// `--off --all`: every lease that this user holds, in whatever cluster.
async fn off_all(args: &DebugLogArgs, console: &Console) -> Result<Exit, Failure> {
    let store = args.store()?;
    let (leases, broken) = store.all().map_err(failure)?;
    for error in &broken {
        console.warn(&error.to_string());
    }
    let wanted = |lease: &DebugLease| args.kube.context.is_empty() || args.kube.context.contains(&lease.context);
    let mut clusters: BTreeMap<(Option<String>, String), Vec<DebugLease>> = BTreeMap::new();
    for lease in leases.into_iter().filter(wanted) {
        let kubeconfig = args.kubeconfig().or_else(|| lease.kubeconfig.clone());
        clusters.entry((kubeconfig, lease.context.clone())).or_default().push(lease);
    }
    let mut items = Vec::new();
    for ((kubeconfig, context), leases) in clusters {
        let named = Some(&context).filter(|context| *context != "in-cluster");
        let mut options = args.kube.options(named);
        options.kubeconfig = kubeconfig.map(PathBuf::from);
        match connect(&options).await.map(|connection| connection.with_deadline(Deadline::never())) {
            Ok(connection) => {
                let work = |lease: DebugLease| off_lease(args, connection.clone(), &store, lease);
                items.extend(
                    futures_util::stream::iter(leases).map(work).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await,
                );
            }
            Err(error) => items.extend(leases.iter().map(|lease| unreachable(lease, &error))),
        }
    }
    items.sort_by(|a, b| a.proxy.cmp(&b.proxy));
    if items.is_empty() && args.output == Format::Table {
        console.note("Nothing was left on: there is no state file.");
        return Ok(if broken.is_empty() { Exit::Success } else { Exit::Incomplete });
    }
    let exit = finish(args, console, DebugLogReport::new("off", args.dry_run, None, items))?;
    Ok(if broken.is_empty() { exit } else { Exit::Incomplete })
}

async fn off_lease(args: &DebugLogArgs, connection: Connection, store: &LeaseStore, lease: DebugLease) -> ProxyLevels {
    let limits = args.limits();
    if !args.dry_run {
        let restored = restore(&connection, store, &lease, limits, deadline(args.restore_timeout), &|_| ()).await;
        return ended(args, &connection, &lease, restored);
    }
    let mut tunnel = Tunnel::new(&connection, &lease.namespace, &lease.pod, lease.admin_port, limits);
    match read_levels(&mut tunnel).await {
        Ok(present) => {
            let mut item = ProxyLevels::new(lease.proxy(), LevelState::AsFound);
            (item.basis, item.levels) = (Some(LevelBasis::StateFile), changes(&present, &lease.levels));
            item
        }
        Err(error) => ProxyLevels::failed(lease.proxy(), error.to_string()),
    }
}

fn unreachable(lease: &DebugLease, error: &ApiError) -> ProxyLevels {
    let message = format!("context {:?}: {error}", lease.context);
    ProxyLevels { messages: vec![message], ..ProxyLevels::new(lease.proxy(), LevelState::NotRestored) }
}

/// Prints what was done, and says how it went.
fn finish(args: &DebugLogArgs, console: &Console, report: DebugLogReport) -> Result<Exit, Failure> {
    let exit = exit(&report.proxies);
    if args.output != Format::Table {
        write_report(args, console, &report)?;
        return exit;
    }
    if exit.is_err() && report.proxies.len() == 1 {
        return exit;
    }
    let mut out = String::new();
    for item in &report.proxies {
        out.push_str(&report::sentence(item, report.dry_run, console.out));
        out.push('\n');
    }
    console.print(&out)?;
    if report.proxies.len() > 5 && !report.dry_run {
        console.note(&report::tally(&report.proxies));
    }
    exit
}

fn write_report(args: &DebugLogArgs, console: &Console, report: &DebugLogReport) -> Result<(), Failure> {
    console.print(&match args.output {
        Format::Yaml => document::yaml(report)?,
        Format::Ndjson => document::json_line(report)?,
        Format::Json | Format::Table => document::json(report)?,
    })
}

/// All failed before anything was changed: the command could not run. Some failed, or are not as they were: it is
/// incomplete.
fn exit(items: &[ProxyLevels]) -> Result<Exit, Failure> {
    let failed = items.iter().filter(|item| item.state == LevelState::Failed).count();
    if let Some(first) = items.first().filter(|_| failed == items.len()) {
        let others = if failed > 1 { format!(" (and {} more)", failed - 1) } else { String::new() };
        let message = format!("{}: {}{others}", first.proxy, first.messages.join("; "));
        return Err(Failure::cannot_run(message).hint("nothing was changed"));
    }
    let left = items.iter().any(|item| item.state == LevelState::NotRestored);
    Ok(if left || failed > 0 { Exit::Incomplete } else { Exit::Success })
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn quotes_for_a_shell() {
        assert_eq!(quoted("deploy/web"), "deploy/web");
        assert_eq!(quoted("app in (a,b)"), "'app in (a,b)'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }
}
