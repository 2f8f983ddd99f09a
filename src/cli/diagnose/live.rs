//! `diagnose` on running proxies: their logs from the API server, once or as they grow.

use std::time::Duration;

use clap::Args;
use futures_util::StreamExt;
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::super::console::Console;
use super::super::debug_log::{Explainer, Found, Manner, Suspending, listen};
use super::super::exit::Exit;
use super::super::failure::Failure;
use super::super::interrupt;
use super::super::kube_args::{KubeArgs, SelectArgs};
use super::super::leases;
use super::super::moment::before_now;
use super::{DiagnoseArgs, Format, Reading, exit, look, missing, print};
use crate::collect::{access_log_formats, connect_timeouts, watch};
use crate::decode::log::LogDecoder;
use crate::k8s::{Connection, LogOptions, LogStream, select};
use crate::model::{Proxy, Scope, format_duration};
use crate::reach::Limits;

/// Which proxies, and which part of their logs.
#[derive(Debug, Args)]
#[command(next_help_heading = "Running proxies")]
pub(in crate::cli) struct LiveArgs {
    /// Pods and workloads: POD, POD.NAMESPACE, deploy/NAME, sts/NAME, ds/NAME, rs/NAME, job/NAME, svc/NAME, gateway/NAME
    #[arg(value_name = "TARGET", help_heading = None, conflicts_with = "from")]
    pub(in crate::cli) targets: Vec<String>,
    /// Go on with what the proxies write, until Ctrl-C
    #[arg(short, long, conflicts_with_all = ["from", "previous"])]
    pub(in crate::cli) follow: bool,
    /// Nothing older than this: 1h, 1d, 23:55, now, 2026-07-08T20:00Z
    #[arg(long, value_name = "TIME", value_parser = before_now, conflicts_with = "from")]
    pub(in crate::cli) since: Option<Duration>,
    /// No more than the last so many lines of each proxy
    #[arg(long, value_name = "LINES", conflicts_with = "from")]
    pub(in crate::cli) tail: Option<u64>,
    /// The log of the proxies before their last restart
    #[arg(short, long, conflicts_with = "from")]
    pub(in crate::cli) previous: bool,
    #[command(flatten)]
    pub(in crate::cli) select: SelectArgs,
    #[command(flatten)]
    pub(in crate::cli) kube: KubeArgs,
}

/// Logs read at once while they are followed: each is a connection to the API server.
const MOST: usize = 50;

/// How many proxies are asked for their connect timeouts at once.
const AT_ONCE: usize = 32;

/// Lines that wait to be explained.
const WAITING: usize = 1024;

impl LiveArgs {
    fn options(&self) -> LogOptions {
        LogOptions { follow: self.follow, tail: self.tail, since: self.since, previous: self.previous }
    }

    fn limits(&self) -> Limits {
        self.kube.limits()
    }

    /// What printed commands need to mean the same proxies.
    pub(in crate::cli) fn scope(&self) -> Scope {
        Scope {
            targets: self.targets.clone(),
            selection: self.select.flags(),
            cluster: self.kube.flags(),
            source: self.kube.istio_flags(),
            ..Scope::default()
        }
    }
}

/// Connects, and finds the proxies whose logs are read.
async fn selected(
    args: &DiagnoseArgs,
    reading: &mut Reading<'_>,
    console: &Console,
) -> Result<(Connection, Vec<Proxy>), Failure> {
    let live = &args.live;
    if live.kube.context.len() > 1 {
        return Err(Failure::usage("diagnose reads the logs of one cluster at a time").hint("give --context once"));
    }
    let connection = live.kube.connect().await?;
    leases::see(&connection, live.limits(), console).await;
    let found = select(&connection, &live.select.selection(&live.targets)?, "").await?;
    if found.proxies.is_empty() {
        return Err(match found.skipped.first() {
            Some(first) => Failure::cannot_run(format!("no proxy among the pods: {}: {}", first.id, first.reason)),
            None => Failure::cannot_run("no pods are selected").hint("-A looks in all namespaces; -n names another"),
        });
    }
    if args.config_dump.is_empty() {
        reading.formats = access_log_formats(&connection, &live.kube.istio_namespace, &found.proxies).await;
    }
    Ok((connection, found.proxies))
}

/// Reads what is there, proxy by proxy; gives why what was not read is missing.
pub(super) async fn once(
    args: &DiagnoseArgs,
    reading: &mut Reading<'_>,
    console: &Console,
) -> Result<Vec<String>, Failure> {
    let (connection, proxies) = selected(args, reading, console).await?;
    let limits = args.live.limits();
    let mut stop = interrupt::listen();
    if args.config_dump.is_empty() {
        // Each failure is held against the timeout of its own pod.
        let connection = &connection;
        let asked = futures_util::stream::iter(&proxies)
            .map(|proxy| async move { (proxy.id.to_string(), connect_timeouts(connection, proxy, limits).await) });
        let mut answers = asked.buffer_unordered(AT_ONCE);
        while let Some((name, timeouts)) = tokio::select! {
            answer = answers.next() => answer,
            () = stop.reached(1) => None,
        } {
            reading.diagnoser.set_timeouts_of(&name, timeouts);
        }
    }
    let mut unread = Vec::new();
    let count = proxies.len();
    for proxy in proxies {
        let (namespace, pod, name) = (&proxy.id.namespace, &proxy.id.name, proxy.id.to_string());
        let mut log = LogStream::open(&connection, namespace, pod, &proxy.container, args.live.options());
        let mut decoder = LogDecoder::new(reading.formats.clone(), Timestamp::now());
        loop {
            let next = tokio::select! {
                biased;
                () = stop.reached(1) => {
                    unread.push(format!("{name}: interrupted before its end"));
                    break;
                }
                next = limits.deadline.answer(limits.request_timeout, log.next()) => next,
            };
            let next = next.unwrap_or_else(|timed_out| Err(timed_out.into()));
            match next {
                Ok(Some(line)) => reading.line(&mut decoder, &line.stamped, &name)?,
                Ok(None) => break,
                Err(error) => {
                    unread.push(format!("{name}: {error}"));
                    break;
                }
            }
        }
        reading.end(&mut decoder, &name)?;
        unread.extend(missing(&decoder).map(|why| format!("{name}: {why}")));
        reading.counts += decoder.counts();
        reading.cut += log.cut;
    }
    if reading.counts.lines == 0 && unread.is_empty() {
        let window =
            args.live.since.map_or_else(String::new, |since| format!(" in the last {}", format_duration(since)));
        let proxies = if count == 1 { "1 proxy".to_owned() } else { format!("{count} proxies") };
        reading.silence = Some(format!("No lines{window} from {proxies}."));
    }
    Ok(unread)
}

/// Reads logs as they grow, and says each failure when it happens.
pub(super) async fn follow(args: &DiagnoseArgs, mut reading: Reading<'_>, console: &Console) -> Result<Exit, Failure> {
    let (connection, proxies) = selected(args, &mut reading, console).await?;
    if proxies.len() > MOST {
        return Err(Failure::usage(format!(
            "{MOST} logs at most are followed at once, and these are {}",
            proxies.len()
        ))
        .hint("select fewer, or leave out --follow"));
    }
    let manner = Manner {
        look: look(args, console),
        // The other formats are of everything, and come at the end.
        table: matches!(args.output, Format::Table | Format::Timeline),
        ndjson: args.output == Format::Ndjson,
        raw: false,
        several: proxies.len() > 1,
        length: None,
        formats: reading.formats,
    };
    let explainer = Explainer::new(console, manner, None)?;
    let (stop, signal) = listen(*console, [""; 3], Suspending::Suspends)?;
    let (sender, receiver) = mpsc::channel(WAITING);
    let runtime = tokio::runtime::Handle::current();
    let explaining = tokio::task::spawn_blocking(move || runtime.block_on(explainer.run(receiver)));
    let mut watches = JoinSet::new();
    for proxy in proxies {
        let (connection, options, limits) = (connection.clone(), args.live.options(), args.live.limits());
        let (stop, sender) = (stop.clone(), sender.clone());
        watches.spawn(async move {
            let name = proxy.id.to_string();
            watch(&connection, &proxy, options, limits, stop, sender)
                .await
                .map_err(|problem| format!("{name}: {problem}"))
        });
    }
    drop(sender);
    let mut problems = Vec::new();
    while let Some(ended) = watches.join_next().await {
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(problem)) => {
                console.warn(&problem);
                problems.push(problem);
            }
            Err(fault) => std::panic::resume_unwind(fault.into_panic()),
        }
    }
    let Found { diagnosis, input } = match explaining.await {
        Ok(found) => found?,
        Err(fault) => std::panic::resume_unwind(fault.into_panic()),
    };
    if input.lines == 0 && signal.get().is_none() {
        let first = problems.first().cloned().unwrap_or_else(|| "there was nothing to be read".to_owned());
        return Err(Failure::cannot_run(first));
    }
    print(args, console, &diagnosis, input)?;
    Ok(signal.get().copied().unwrap_or_else(|| exit(args, &diagnosis, !problems.is_empty())))
}
