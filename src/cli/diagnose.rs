//! `diagnose`: why connections failed, out of proxy logs.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use tokio::sync::{Semaphore, mpsc};

use super::complete;
use super::console::Console;
use super::exit::Exit;
use super::failure::Failure;
use super::kube_args::{KubeArgs, SelectArgs, duration};
use crate::collect::{self, CollectOptions};
use crate::decode::log::{AccessFormat, Lines, LogCounts, LogDecoder};
use crate::diagnose::{CauseSeverity, DiagnoseOptions, Diagnoser, Diagnosis, Event};
use crate::k8s::{Connection, LogOptions, LogStream, PodSelection, select};
use crate::model::{ClusterTimeouts, MeshSnapshot};
use crate::reach::{ArchiveLimits, Entry, Limits, walk};
use crate::report::audit_table::Look;
use crate::report::diagnosis::{self as render, DiagnosisInput};
use crate::report::document;
use crate::report::escape::escape;

/// Name the cause of every failed upstream connection in proxy logs
///
/// Reads Envoy's application log at any level and access logs, mixed, in every layout since 2018, text and JSON,
/// through the wrappers logs come in: kubectl's prefixes, stern, docker, CRI, journald, JSON envelopes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kubectl meshaudit diagnose deploy/web -n shop --since 1h
  kubectl meshaudit diagnose web-7d4b9 -f -o ndjson
  kubectl logs web-7d4b9 -c istio-proxy | kubectl meshaudit diagnose --from -
  kubectl meshaudit diagnose --from proxy.log.gz --config-dump dump.json
  kubectl meshaudit diagnose --from bug-report.tar.gz -o timeline

Exit codes: 0 no cause at or above --fail-on, 1 some, 2 usage, 4 nothing could be read.")]
pub(super) struct DiagnoseArgs {
    /// Pods and workloads: POD, POD.NAMESPACE, deploy/NAME, sts/NAME, ds/NAME, rs/NAME, job/NAME, svc/NAME, gateway/NAME
    #[arg(value_name = "TARGET", add = complete::targets())]
    targets: Vec<String>,
    /// Logs in place of a cluster's: files, directories, .gz, bug-report archives; - is stdin. May be repeated
    #[arg(long, value_name = "PATH", conflicts_with_all = ["targets", "namespace", "all_namespaces", "selector", "field_selector", "context", "follow", "previous", "since", "tail"])]
    from: Vec<String>,
    /// Nothing older than this, e.g. 1h
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    since: Option<Duration>,
    /// No more than the last so many lines of each log
    #[arg(long, value_name = "LINES")]
    tail: Option<u64>,
    /// The logs of the containers before their last restart
    #[arg(long, conflicts_with = "follow")]
    previous: bool,
    /// Go on reading, and tell each failure as it is found, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// Configuration of the proxies (dumps, snapshots): for their connect timeouts and access log formats
    #[arg(long, value_name = "PATH")]
    config_dump: Vec<String>,
    /// table, timeline, json, yaml or ndjson (each failure as it is found)
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        hide_possible_values = true,
        help_heading = "Report"
    )]
    output: Format,
    /// No headings in tables
    #[arg(long, help_heading = "Report")]
    no_headers: bool,
    /// The severity of a cause from which on the exit code is 1: error, warning, info or never
    #[arg(
        long,
        value_name = "SEVERITY",
        value_enum,
        default_value_t,
        hide_possible_values = true,
        help_heading = "Report"
    )]
    fail_on: FailOn,
    /// Exit code 0 in place of 1
    #[arg(long, help_heading = "Report")]
    exit_zero: bool,
    #[command(flatten)]
    select: SelectArgs,
    #[command(flatten)]
    kube: KubeArgs,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    #[default]
    Table,
    Timeline,
    Json,
    Yaml,
    Ndjson,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum FailOn {
    #[default]
    Error,
    Warning,
    Info,
    Never,
}

pub(super) async fn run(args: &DiagnoseArgs, console: &Console) -> Result<Exit, Failure> {
    let (timeouts, formats) = configuration(args, console)?;
    let mut options = DiagnoseOptions { timeouts, ..DiagnoseOptions::default() };
    if args.follow {
        // Istio's access logs are a second behind.
        options.join_window = Duration::from_secs(3);
    }
    let mut reading = Reading {
        diagnoser: Diagnoser::new(options),
        formats,
        counts: LogCounts::default(),
        cut: 0,
        unread: Vec::new(),
        stream: match args.output {
            Format::Ndjson => Some(Stream::Lines(console)),
            Format::Table if args.follow => Some(Stream::Words(console, look(args, console))),
            _ => None,
        },
    };
    let interrupted = if args.from.is_empty() {
        live(args, console, &mut reading).await?
    } else {
        offline(args, &mut reading)?;
        false
    };
    let last = reading.diagnoser.flush();
    reading.tell(&last)?;
    let Reading { diagnoser, counts, cut, unread, .. } = reading;
    for message in &unread {
        console.warn(&format!("not read: {message}"));
    }
    if counts.records == 0 && !interrupted {
        return Err(no_records(&counts, &unread));
    }
    let diagnosis = diagnoser.finish();
    let input = DiagnosisInput {
        lines: counts.lines,
        records: counts.records,
        unrecognized: counts.unrecognized,
        cut_lines: cut,
        dropped_connections: diagnosis.dropped_connections,
    };
    print(args, console, &diagnosis, input)?;
    Ok(if interrupted { Exit::Interrupted } else { exit(args, &diagnosis, !unread.is_empty()) })
}

fn offline(args: &DiagnoseArgs, reading: &mut Reading<'_>) -> Result<(), Failure> {
    for input in &args.from {
        let mut failed = None;
        let mut each = |name: &str, entry: Result<Entry<'_>, _>| {
            let outcome = match entry {
                Ok(entry) => reading.entry(entry, args.from.len() > 1),
                Err(error) => Err(ReadingError::Input(format!("{name}: {error}"))),
            };
            match outcome {
                Ok(()) => {}
                Err(ReadingError::Input(message)) => reading.unread.push(message),
                Err(ReadingError::Output(failure)) => failed = failed.take().or(Some(failure)),
            }
        };
        if let Err(error) = walk(input, &LIMITS, &mut each) {
            reading.unread.push(format!("{input}: {error}"));
        }
        if let Some(failure) = failed {
            return Err(failure);
        }
    }
    Ok(())
}

/// Lines that wait to be read, at most.
const WAITING_LINES: usize = 1024;

/// Logs that are opened at once, where none is followed.
const AT_ONCE: usize = 16;

/// Reads the logs of pods; whether that was interrupted.
async fn live(args: &DiagnoseArgs, console: &Console, reading: &mut Reading<'_>) -> Result<bool, Failure> {
    let selection = args.select.selection(&args.targets)?;
    let connection = args.kube.connect().await?;
    let proxies = select(&connection, &selection, "").await?.proxies;
    if proxies.is_empty() {
        return Err(Failure::cannot_run("no proxies are selected")
            .hint("-A looks in all namespaces; -n names another one; is the selector right?"));
    }
    if args.config_dump.is_empty() {
        reading.diagnoser.set_timeouts(live_timeouts(&connection, &selection, console).await);
    }
    let (sender, mut receiver) = mpsc::channel(WAITING_LINES);
    let permits = Arc::new(Semaphore::new(if args.follow { proxies.len() } else { AT_ONCE }));
    for (number, proxy) in proxies.iter().enumerate() {
        let options = LogOptions { follow: args.follow, tail: args.tail, since: args.since, previous: args.previous };
        let stream = (connection.clone(), proxy.id.namespace.clone(), proxy.id.name.clone(), proxy.container.clone());
        let (sender, permits) = (sender.clone(), permits.clone());
        tokio::spawn(async move {
            let Ok(_permit) = permits.acquire().await else { return };
            let (connection, namespace, pod, container) = stream;
            let mut stream = LogStream::open(&connection, &namespace, &pod, &container, options);
            loop {
                let line = stream.next().await;
                let end = !matches!(line, Ok(Some(_)));
                if sender.send((number, line)).await.is_err() || end {
                    return;
                }
            }
        });
    }
    drop(sender);
    let mut decoders: Vec<_> = proxies.iter().map(|_| LogDecoder::new(reading.formats.clone())).collect();
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    let interrupted = loop {
        tokio::select! {
            line = receiver.recv() => match line {
                Some((number, Ok(Some(line)))) => {
                    reading.line(&mut decoders[number], line.text(), &proxies[number].id.to_string())?;
                }
                Some((_, Ok(None))) => {}
                Some((number, Err(error))) => reading.unread.push(format!("{}: {error}", proxies[number].id)),
                None => break false,
            },
            _ = tick.tick(), if args.follow => {
                let events = reading.diagnoser.settle(Timestamp::now());
                reading.tell(&events)?;
            }
            _ = tokio::signal::ctrl_c(), if args.follow => break true,
        }
    };
    for decoder in &decoders {
        reading.counts += decoder.counts;
    }
    Ok(interrupted)
}

/// The connect timeouts that the proxies hold; a log is explained without them, too.
async fn live_timeouts(connection: &Connection, selection: &PodSelection, console: &Console) -> ClusterTimeouts {
    let options = CollectOptions {
        limits: Limits { request_timeout: Duration::from_secs(15), max_body: Limits::MAX_BODY },
        concurrency: AT_ONCE,
        timeout: Duration::from_secs(60),
        loggers: false,
        evidence: false,
    };
    match collect::live(std::slice::from_ref(connection), selection, &options, &|_| {}).await {
        Ok(snapshot) => timeouts_of(&snapshot, console),
        Err(error) => {
            console.note(&format!("The proxies' connect timeouts could not be read: {error}"));
            ClusterTimeouts::new()
        }
    }
}

fn look(args: &DiagnoseArgs, console: &Console) -> Look {
    Look { palette: console.out, columns: console.columns, headings: !args.no_headers, verbose: console.verbose > 0 }
}

/// Logs compress well, and may be of any size: they are read as they stream.
const LIMITS: ArchiveLimits =
    ArchiveLimits { entries: 100_000, entry_bytes: u64::MAX, total_bytes: u64::MAX, ratio: 5_000 };

enum ReadingError {
    Input(String),
    Output(Failure),
}

struct Reading<'a> {
    diagnoser: Diagnoser,
    formats: Vec<AccessFormat>,
    counts: LogCounts,
    cut: u64,
    unread: Vec<String>,
    stream: Option<Stream<'a>>,
}

/// How failures are told as they are found.
#[derive(Clone, Copy)]
enum Stream<'a> {
    Lines(&'a Console),
    Words(&'a Console, Look),
}

impl Reading<'_> {
    fn entry(&mut self, entry: Entry<'_>, several: bool) -> Result<(), ReadingError> {
        let pod = bug_report_pod(entry.path);
        // In a bug report, logs lie among dumps, lists and events.
        if pod.is_some() && !entry.path.ends_with(".log") {
            return Ok(());
        }
        let beginning =
            entry.reader.fill_buf().map_err(|error| ReadingError::Input(format!("{}: {error}", entry.name)))?;
        if is_dump(beginning) {
            return Ok(());
        }
        let source = match &pod {
            Some(pod) => pod.as_str(),
            None if several || !entry.path.is_empty() => entry.name,
            None => "",
        };
        self.log(entry.reader, source).map_err(|error| match error {
            ReadingError::Input(message) => ReadingError::Input(format!("{}: {message}", entry.name)),
            output => output,
        })
    }

    /// Reads one log to its end.
    fn log(&mut self, reader: impl Read, source: &str) -> Result<(), ReadingError> {
        let mut decoder = LogDecoder::new(self.formats.clone());
        let mut lines = Lines::new(reader);
        let outcome = loop {
            match lines.next_line() {
                Ok(Some(line)) => {
                    if let Err(failure) = self.line(&mut decoder, line, source) {
                        break Err(ReadingError::Output(failure));
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(ReadingError::Input(error.to_string())),
            }
        };
        self.counts += decoder.counts;
        self.cut += lines.cut;
        outcome
    }

    /// Reads one line of a log; prints what it completes, where failures are printed as they are found.
    fn line(&mut self, decoder: &mut LogDecoder, line: &[u8], source: &str) -> Result<(), Failure> {
        let Some(record) = decoder.decode(line) else { return Ok(()) };
        let events = self.diagnoser.push(&record, source);
        self.tell(&events)
    }

    /// Prints failures, where they are printed as they are found.
    fn tell(&self, events: &[Event]) -> Result<(), Failure> {
        for event in events {
            match self.stream {
                Some(Stream::Lines(console)) => console.print(&document::json_line(&render::line(event))?)?,
                Some(Stream::Words(console, look)) => console.print(&render::event(event, look))?,
                None => return Ok(()),
            }
        }
        Ok(())
    }
}

/// `…/proxies/NAMESPACE/POD/FILE`: the layout of `istioctl bug-report` (`tools/bug-report/pkg/archive`).
fn bug_report_pod(path: &str) -> Option<String> {
    let mut parts = path.rsplit('/');
    let (_file, pod, namespace, proxies) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    (proxies == "proxies").then(|| format!("{namespace}/{pod}"))
}

/// Whether a file is a configuration dump, and so not a log: an object or a list over several lines.
fn is_dump(beginning: &[u8]) -> bool {
    let text = beginning.trim_ascii_start();
    let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    matches!(first.trim_ascii_end(), b"{" | b"[")
        || memchr::memmem::find(&text[..text.len().min(64)], b"\"configs\"").is_some()
}

/// Connect timeouts and access log formats, of what was named and of the dumps that lie beside the logs.
fn configuration(args: &DiagnoseArgs, console: &Console) -> Result<(ClusterTimeouts, Vec<AccessFormat>), Failure> {
    let mut inputs = args.config_dump.clone();
    inputs.extend(args.from.iter().filter(|input| holds_files(input)).cloned());
    if inputs.is_empty() {
        return Ok((ClusterTimeouts::new(), Vec::new()));
    }
    let snapshot = collect::offline(&inputs, &ArchiveLimits::default());
    if snapshot.proxies.is_empty() && !args.config_dump.is_empty() {
        let why =
            snapshot.failed.first().map(|failed| format!(": {}: {}", failed.id, failed.message)).unwrap_or_default();
        return Err(Failure::cannot_run(format!("--config-dump has no configuration of a proxy{why}"))
            .hint("it reads what `/config_dump` or `istioctl proxy-config all -o json` prints, and snapshots"));
    }
    Ok((timeouts_of(&snapshot, console), formats(&args.config_dump)))
}

/// Each cluster's connect timeout, where all proxies agree on it.
fn timeouts_of(snapshot: &MeshSnapshot, console: &Console) -> ClusterTimeouts {
    let mut timeouts = ClusterTimeouts::new();
    let mut disputed = Vec::new();
    for cluster in &snapshot.clusters {
        let timeout = cluster.effective_timeout();
        if *timeouts.entry(cluster.name.to_string()).or_insert(timeout) != timeout {
            disputed.push(cluster.name.clone());
        }
    }
    if let Some(first) = disputed.first() {
        console.note(&format!(
            "The proxies hold different connect timeouts for {} clusters ({}, …): for these none is taken as known.",
            disputed.len(),
            escape(first)
        ));
    }
    for name in disputed {
        timeouts.remove(&*name);
    }
    timeouts
}

/// The access log formats that dumps hold. What cannot be read here was reported with its clusters.
fn formats(dumps: &[String]) -> Vec<AccessFormat> {
    /// A dump with listeners is held whole; the largest meshes' are below this.
    const MAX_DUMP: u64 = 256 << 20;
    let mut formats = Vec::new();
    for dump in dumps {
        let _ = walk(dump, &ArchiveLimits::default(), &mut |_, entry| {
            let mut bytes = Vec::new();
            if entry.is_ok_and(|entry| entry.reader.take(MAX_DUMP).read_to_end(&mut bytes).is_ok()) {
                for format in AccessFormat::from_config_dump(&bytes) {
                    if !formats.contains(&format) {
                        formats.push(format);
                    }
                }
            }
        });
    }
    formats
}

/// Whether an input is a directory or an archive, in which dumps may lie beside the logs.
fn holds_files(input: &str) -> bool {
    if input == "-" {
        return false;
    }
    let mut inside = false;
    // Only the first file is looked at: an archive's files have paths, a single one has none.
    let limits = ArchiveLimits { entries: 1, ..LIMITS };
    let _ = walk(input, &limits, &mut |_, entry| inside |= entry.is_ok_and(|entry| !entry.path.is_empty()));
    inside
}

fn no_records(counts: &LogCounts, unread: &[String]) -> Failure {
    match unread.first() {
        Some(first) if counts.lines == 0 => Failure::cannot_run(format!("nothing could be read: {first}")),
        _ if counts.lines == 0 => Failure::cannot_run("the input is empty"),
        _ => Failure::cannot_run(format!("none of the {} lines is a record of a proxy's log", counts.lines)),
    }
    .hint("`kubectl logs POD -c istio-proxy` gives the proxy's log; the application's own log goes to `resets`")
}

fn print(args: &DiagnoseArgs, console: &Console, diagnosis: &Diagnosis, input: DiagnosisInput) -> Result<(), Failure> {
    let look = look(args, console);
    let with_summary = |body: String| {
        if console.quiet {
            return body;
        }
        let gap = if body.is_empty() { "" } else { "\n" };
        format!("{body}{gap}{}", render::summary(diagnosis, &input, console.out))
    };
    match args.output {
        Format::Table => console.print(&with_summary(render::table(diagnosis, look))),
        Format::Timeline => console.print(&with_summary(render::timelines(diagnosis, look))),
        Format::Json => console.print(&document::json(&render::report(diagnosis, input))?),
        Format::Yaml => console.print(&document::yaml(&render::report(diagnosis, input))?),
        Format::Ndjson => Ok(()),
    }
}

fn exit(args: &DiagnoseArgs, diagnosis: &Diagnosis, incomplete: bool) -> Exit {
    let threshold = match args.fail_on {
        FailOn::Error => Some(CauseSeverity::Error),
        FailOn::Warning => Some(CauseSeverity::Warning),
        FailOn::Info => Some(CauseSeverity::Info),
        FailOn::Never => None,
    };
    let worst = diagnosis.entries.iter().map(|entry| entry.event.cause.severity()).max();
    if args.exit_zero {
        Exit::Success
    } else if threshold.is_some_and(|threshold| worst >= Some(threshold)) {
        Exit::Findings
    } else if incomplete {
        Exit::Incomplete
    } else {
        Exit::Success
    }
}
