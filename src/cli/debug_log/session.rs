//! The whole investigation: set, follow, explain, put back.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::super::console::Console;
use super::super::exit::Exit;
use super::super::failure::Failure;
use super::super::kube_args::deadline;
use super::explain::{Explainer, Found, Manner};
use super::set::{ANOTHERS, announce, describe};
use super::site::Site;
use super::{DebugLogArgs, Format, exit, write_report};
use crate::collect::{EndedBy, LeaseError, SessionOptions, SessionOutcome, Stop, Stopper, access_log_formats, session};
use crate::model::{Proxy, format_duration};
use crate::report::debug_log::{self as report, DebugLogReport, LevelState, ProxyLevels, moment};
use crate::report::diagnosis;
use crate::report::look::{Look, count};
use crate::system::{Signal, Signals};

/// Logs followed at once: each is a connection to the API server. stern's bound is 50 (`--max-log-requests`).
const MOST: usize = 50;

/// Lines that wait to be explained.
const WAITING: usize = 1024;

/// What is told at the first signal, the second, and those that follow: the third gives up.
const SAID: [&str; 3] = [
    "Ending: the levels are being put back.",
    "Still putting levels back; once more, and those that are left stay as they are.",
    "Given up.",
];

/// How long is watched, unless it is said.
const LENGTH: Duration = Duration::from_secs(300);

pub(super) async fn run(site: &Site<'_>, proxies: Vec<Proxy>) -> Result<Exit, Failure> {
    let (args, console, connection) = (site.args, site.console, site.connection);
    if proxies.len() > MOST {
        return Err(Failure::usage(format!("a session follows {MOST} logs at most, and these are {}", proxies.len()))
            .hint("select fewer, or set them with --on and put them back with --off"));
    }
    let asked = args.length.unwrap_or(LENGTH);
    let length = deadline(asked);
    let manner = Manner {
        look: args.look(console),
        table: args.output == Format::Table,
        ndjson: args.output == Format::Ndjson,
        raw: args.raw,
        several: proxies.len() > 1,
        length: (!asked.is_zero()).then_some(length),
        formats: access_log_formats(connection, &args.kube.istio_namespace, &proxies).await,
    };
    let taking = site.taking(&proxies, "a session").await;
    let explainer = Explainer::new(console, manner, args.log_file.as_deref())?;
    let command = site.restore_command();
    announce(console, &command);
    console.note(&format!(
        "Watching {} for {}; Ctrl-C ends it and puts every level back.",
        count(proxies.len(), "proxy", "proxies"),
        if asked.is_zero() { "as long as it is let".to_owned() } else { spell(length) }
    ));
    let options = SessionOptions { taking, length, limits: args.limits(), patience: args.patience() };
    // Before anything is changed, so that no signal ends the process after it.
    let (stop, signal) = listen(*console, SAID, Suspending::Ends)?;
    let (sender, receiver) = mpsc::channel(WAITING);
    let runtime = tokio::runtime::Handle::current();
    let mut explaining = tokio::task::spawn_blocking(move || runtime.block_on(explainer.run(receiver)));
    let mut sessions = JoinSet::new();
    for proxy in proxies {
        let (connection, store, options) = (connection.clone(), site.store.clone(), options.clone());
        let (stop, sender) = (stop.clone(), sender.clone());
        sessions.spawn(async move { session(&connection, proxy, &store, &options, stop, sender).await });
    }
    drop(sender);
    let mut items = Vec::new();
    while let Some(outcome) = sessions.join_next().await {
        match outcome {
            Ok(outcome) => items.push(item(site, outcome)),
            // The others go on: their levels must not be lost with this one.
            Err(error) => console.warn(&format!("a session ended in a fault of this program ({error}); run {command}")),
        }
    }
    items.sort_by(|a, b| a.proxy.cmp(&b.proxy));
    let mut insistent = stop;
    let asked = insistent.count().max(1);
    let found = tokio::select! {
        biased;
        found = &mut explaining => match found {
            Ok(found) => found,
            Err(fault) => std::panic::resume_unwind(fault.into_panic()),
        },
        // The output is stuck, and nothing but the output is left to be done.
        () = insistent.reached(asked + 1) => {
            let left = items.iter().any(|item| item.state == LevelState::NotRestored);
            return Ok(if left { Exit::Incomplete } else { signal.get().copied().unwrap_or(Exit::Interrupted) });
        }
    };
    let told = tell(args, console, command, items, found);
    match (told?, signal.get()) {
        (Exit::Success, Some(signal)) => Ok(*signal),
        (exit, _) => Ok(exit),
    }
}

/// A duration as people say it: `5m` and not `300s`.
fn spell(duration: Duration) -> String {
    match duration.as_secs() {
        seconds if duration.subsec_nanos() > 0 || seconds % 60 > 0 => format_duration(duration),
        seconds if seconds % 3600 > 0 => format!("{}m", seconds / 60),
        seconds => format!("{}h", seconds / 3600),
    }
}

/// Says what was found and what has become of the levels. What could not be written does not hide the latter.
fn tell(
    args: &DebugLogArgs,
    console: &Console,
    command: String,
    items: Vec<ProxyLevels>,
    found: Result<Found, Failure>,
) -> Result<Exit, Failure> {
    let exit = match exit(&items) {
        // Interrupted before it began: there is nothing to complain of.
        Err(_) if items.iter().all(|item| item.messages == [LeaseError::Stopped.to_string()]) => Ok(Exit::Success),
        exit => exit,
    };
    let problems = items.iter().any(|item| !matches!(item.state, LevelState::Failed) && item.lines.is_none());
    let exit = match exit {
        Ok(Exit::Success) if problems => Ok(Exit::Incomplete),
        exit => exit,
    };
    let left = items.iter().any(|item| item.state == LevelState::NotRestored);
    if args.output != Format::Table {
        let written = found.and_then(|Found { diagnosis, input }| {
            let mut report = DebugLogReport::new("session", false, Some(command), items.clone());
            // As ndjson, the failures have been written already.
            report.diagnosis = (args.output != Format::Ndjson).then(|| diagnosis::report(&diagnosis, input));
            write_report(args, console, &report)
        });
        for item in items.iter().filter(|item| item.state == LevelState::NotRestored) {
            console.warn_as_is(&report::sentence(item, false, console.err, usize::MAX));
        }
        // A reader that has gone is no failure, but levels that are not as they were are one.
        return if left { exit } else { written.and(exit) };
    }
    let written = found.and_then(|Found { diagnosis, input }| {
        if args.raw || exit.is_err() {
            return Ok(());
        }
        // What each means, and the lines that prove it, were shown when it happened.
        let look = Look { verbose: false, ..args.look(console) };
        let table = diagnosis::rows(&diagnosis, look);
        let gap = if table.is_empty() { "" } else { "\n" };
        console.print(&format!("{gap}{table}"))?;
        console.note(&format!("{gap}{}", diagnosis::summary(&diagnosis, &input, console.err).trim_end()));
        Ok(())
    });
    if exit.is_ok() || items.len() > 1 {
        for item in &items {
            let words = report::sentence(item, false, console.err, usize::MAX);
            // What is not as it was has to be said, -q or not.
            if item.state == LevelState::NotRestored { console.warn_as_is(&words) } else { console.note(&words) }
        }
    }
    if items.len() > 5 {
        console.note(&report::tally(&items));
    }
    if left { exit } else { written.and(exit) }
}

/// What has become of one proxy.
fn item(site: &Site<'_>, outcome: SessionOutcome) -> ProxyLevels {
    let end = match outcome.end {
        Ok(end) => end,
        Err(error) => return ProxyLevels::failed(outcome.proxy.to_string(), error.to_string()),
    };
    let mut item = site.ended(&end.held.lease, end.restored);
    let mut set = ProxyLevels::new(String::new(), LevelState::On);
    describe(&mut set, &end.held);
    if !item.assumed.is_empty() {
        // That says it already.
        set.messages.retain(|message| !message.contains(ANOTHERS));
    }
    if item.state != LevelState::NotRestored {
        item.levels = set.levels;
    }
    item.missing = if site.args.level.is_some() { set.missing } else { Vec::new() };
    item.messages.extend(set.messages);
    if !end.unset.is_empty() {
        item.messages.push(format!("{} did not take the level", end.unset.join(", ")));
    }
    if let Some((at, loggers)) = end.set_back {
        item.messages.push(format!(
            "somebody else had put {} back by {}, and nothing more came from them",
            count(loggers.len(), "logger", "loggers"),
            moment(at)
        ));
    }
    match end.by {
        EndedBy::Problem(problem) => item.messages.push(problem),
        EndedBy::Time | EndedBy::Stop | EndedBy::Reader => {
            item.lines = Some(end.lines);
            if end.lines == 0 {
                item.messages.push("no line of its log came, so that nothing is known of its connections".to_owned());
            }
        }
    }
    item
}

/// What Ctrl-Z does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Suspending {
    /// It suspends, as anywhere.
    Suspends,
    /// It ends the session, as Ctrl-C does: one that is suspended would leave its levels on for as long as it sleeps.
    Ends,
}

/// Listens for signals from now on. The first ends the session; more of them, while levels cannot be put back, give
/// that up. `said` is what is told at the first and at the next ones.
pub(in super::super) fn listen(
    console: Console,
    said: [&'static str; 3],
    suspending: Suspending,
) -> Result<(Stop, Arc<OnceLock<Exit>>), Failure> {
    /// Shells and wrappers signal a process and then its whole group: that is one wish, not two.
    const ONE_WISH: Duration = Duration::from_millis(300);
    let (stopper, stop) = Stopper::new();
    let first = Arc::new(OnceLock::new());
    let mut signals = Signals::new(suspending == Suspending::Suspends)
        .map_err(|error| Failure::cannot_run(format!("cannot listen for signals: {error}")))?;
    let seen = Arc::clone(&first);
    tokio::spawn(async move {
        let mut last: Option<Instant> = None;
        loop {
            let exit = match signals.next().await {
                Signal::Interrupt => Exit::Interrupted,
                Signal::Terminate => Exit::Terminated,
            };
            if last.replace(Instant::now()).is_some_and(|last| last.elapsed() < ONE_WISH) {
                continue;
            }
            let _ = seen.set(exit);
            let text = said[usize::try_from(stopper.stop()).unwrap_or(usize::MAX).clamp(1, said.len()) - 1];
            if !text.is_empty() {
                // Writing may block, and the next signal has to be heard.
                tokio::task::spawn_blocking(move || console.note(text));
            }
        }
    });
    Ok((stop, first))
}
