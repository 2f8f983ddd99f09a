//! `debug-log`: connection debugging on, the log explained while it comes, and every logger back as it was.

mod explain;
mod off;
mod session;
mod set;
mod show;
mod site;

pub(super) use explain::{Explainer, Found, Manner};
pub(super) use session::{Suspending, listen};

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::console::Console;
use super::exit::Exit;
use super::failure::Failure;
use super::kube_args::{KubeArgs, SelectArgs, duration};
use super::leases;
use crate::k8s::{Connection, Deadline, select};
use crate::model::{LevelSpec, Proxy, Scope};
use crate::report::debug_log::{self as report, DebugLogReport, LevelState, ProxyLevels};
use crate::report::document;
use crate::report::look::count;
use site::Site;

/// Turn connection debugging on, explain each failed upstream connection as it happens, and put every logger back
///
/// With no flag it does the whole investigation. The levels of all loggers are kept in a private state file before any
/// of them is changed, and are put back, and read back, after --for, Ctrl-C, Ctrl-Z, SIGTERM, SIGHUP, SIGQUIT or an
/// error.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kubectl meshaudit debug-log checkout-7d9f8b6c5d-m8q2z -n shop     watch one pod for five minutes
  kubectl meshaudit debug-log deploy/checkout -n shop --for 30m     all pods of a workload
  kubectl meshaudit debug-log --on deploy/checkout -n shop          in a runbook: set (--for 1h: until then), and
  kubectl meshaudit debug-log --off deploy/checkout -n shop         put back
  kubectl meshaudit debug-log --show deploy/checkout -n shop
  kubectl meshaudit debug-log --off --all                           everything this user left on

Exit codes: 0 done, 2 usage, 3 some proxies failed or were not put back, 4 could not run,
130 or 143 interrupted; the levels were put back first.")]
pub(super) struct DebugLogArgs {
    /// Pods and workloads: POD, POD.NAMESPACE, deploy/NAME, sts/NAME, ds/NAME, rs/NAME, job/NAME, svc/NAME, gateway/NAME
    #[arg(value_name = "TARGET")]
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
    /// How long to watch, e.g. 30m (5m, if not given); 0 is until Ctrl-C. With --on: when the levels are to be put back,
    /// by whatever command of this program is run next
    #[arg(long = "for", value_name = "DURATION", value_parser = duration, conflicts_with_all = ["off", "show"])]
    length: Option<Duration>,
    /// How long to try to put levels back while the API server or the proxy cannot be reached
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = duration)]
    restore_timeout: Duration,
    /// Only say what would be changed
    #[arg(long, conflicts_with = "show")]
    dry_run: bool,
    /// Do not ask whether so many are meant: more than one namespace, or more than ten proxies
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

impl DebugLogArgs {
    /// What printed commands need to mean the same proxies.
    pub(super) fn scope(&self) -> Scope {
        Scope {
            targets: self.targets.clone(),
            selection: self.select.flags(),
            cluster: self.kube.flags(),
            ..Scope::default()
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    #[default]
    Table,
    Json,
    Yaml,
    Ndjson,
}

fn levels(text: &str) -> Result<LevelSpec, String> {
    text.parse().map_err(|error: crate::model::LevelSpecError| error.to_string())
}

/// From how many proxies on it is asked whether they are meant.
const MANY: usize = 10;

pub(super) async fn run(args: &DebugLogArgs, console: &Console) -> Result<Exit, Failure> {
    if args.all {
        return off::off_all(args, console).await;
    }
    if args.raw && args.output != Format::Table {
        return Err(Failure::usage("--raw prints the log as it is, and -o none of it").hint("leave out one of them"));
    }
    // An empty value, as an unset variable gives it, is none.
    let by_label = args.select.selector.as_deref().is_some_and(|selector| !selector.is_empty());
    if args.targets.is_empty() && !by_label && !args.select.all_namespaces && !args.show {
        return Err(Failure::usage("no target is named")
            .hint("name a POD or a workload such as deploy/web, select with -l, or mean all namespaces with -A"));
    }
    if args.kube.context.len() > 1 {
        return Err(Failure::usage("debug-log works on one cluster at a time").hint("give --context once"));
    }
    let connection = args.kube.connect().await?;
    // An --off of proxies whose time has run out would find nothing left to do.
    if !args.off {
        leases::put_back_what_has_run_out(&connection, args.limits(), console).await;
    }
    let proxies = selected(args, &connection, console).await?;
    let connection = connection.with_deadline(Deadline::never());
    if !args.show && !args.dry_run {
        confirm(&proxies, args)?;
    }
    let site = Site::new(args, console, &connection, &proxies)?;
    let exit = match args {
        DebugLogArgs { show: true, .. } => show::run(&site, proxies).await,
        DebugLogArgs { off: true, .. } => off::run(&site, proxies).await,
        DebugLogArgs { dry_run: true, .. } => set::plan(&site, proxies).await,
        DebugLogArgs { on: true, .. } => return set::on(&site, proxies).await,
        _ => return session::run(&site, proxies).await,
    };
    leases::mention(console);
    exit
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

/// Whether so many are asked about, by whatever flag they were selected.
fn is_much(proxies: &[Proxy]) -> bool {
    proxies.len() > MANY || namespaces(proxies) > 1
}

fn namespaces(proxies: &[Proxy]) -> usize {
    proxies.iter().map(|proxy| &*proxy.id.namespace).collect::<BTreeSet<&str>>().len()
}

/// Asks whether so many are meant; all namespaces are always many.
fn confirm(proxies: &[Proxy], args: &DebugLogArgs) -> Result<(), Failure> {
    if args.yes || !(args.select.all_namespaces || is_much(proxies)) {
        return Ok(());
    }
    let what = format!(
        "{} in {}",
        count(proxies.len(), "proxy", "proxies"),
        count(namespaces(proxies), "namespace", "namespaces")
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
        out.push_str(&report::sentence(item, report.dry_run, console.out, console.look(true).width()));
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
