//! `diagnose`: why connections failed, out of proxy logs.

mod live;
mod stored;

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::path::Path;

use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::console::Console;
use super::convert::{OutputFileArgs, exported};
use super::debug_log::Found;
use super::exit::{Exit, FailOn};
use super::failure::Failure;
use super::stores::StoreArgs;
use crate::collect;
use crate::decode::log::{AccessFormat, LogCounts, LogDecoder, SAMPLE, backward};
use crate::diagnose::{DiagnoseOptions, Diagnoser, Diagnosis, Event};
use crate::input::{ArchiveLimits, Entry, InputError, Lines, Text, Until, walk};
use crate::model::{ClusterTimeouts, ProxyId, Scope};
use crate::report::diagnosis::{self as render, DiagnosisInput};
use crate::report::escape::escape;
use crate::report::look::{Look, some};
use crate::report::table::wrap;
use crate::report::{document, export, v1};
pub(super) use live::LiveArgs;

/// Name the cause of every failed upstream connection in proxy logs
///
/// Reads Envoy's application log at any level and access logs, mixed, in every layout since 2018, text and JSON,
/// through the wrappers logs come in: kubectl's prefixes, stern, docker, CRI, journald, JSON envelopes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kubectl logs web-7d4b9 -c istio-proxy | kubectl meshaudit diagnose --from -
  kubectl meshaudit diagnose deploy/web -n shop --since 1h
  kubectl meshaudit diagnose deploy/web -n shop --tail 0 -f
  kubectl meshaudit diagnose --from proxy.log.gz --config-dump dump.json
  kubectl meshaudit diagnose --from bug-report.tar.gz -o timeline
  kubectl meshaudit diagnose deploy/web -n shop --since 6h --victorialogs https://logs.example.com

Exit codes: 0 no cause at or above --fail-on, 1 some, 2 usage, 3 not all was read or understood, 4 nothing could be read.")]
pub(super) struct DiagnoseArgs {
    #[command(flatten)]
    pub(super) live: LiveArgs,
    #[command(flatten)]
    pub(super) store: StoreArgs,
    /// Logs in files, not of running proxies: directories, .gz, bug-report archives; - is stdin. May be repeated
    #[arg(long, value_name = "PATH", conflicts_with_all = ["namespace", "all_namespaces", "selector", "field_selector", "context"])]
    pub(super) from: Vec<String>,
    /// Configuration of the proxies (dumps, snapshots): for their connect timeouts and access log formats
    #[arg(long, value_name = "PATH")]
    pub(super) config_dump: Vec<String>,
    /// table, timeline, json, yaml, ndjson (each failure as it is found), sarif, junit, markdown, html or csv
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        hide_possible_values = true,
        help_heading = "Report"
    )]
    pub(super) output: Format,
    #[command(flatten)]
    pub(super) to: OutputFileArgs,
    /// Rows alone on stdout, without headings; the summary goes to stderr
    #[arg(long, help_heading = "Report")]
    pub(super) no_headers: bool,
    /// The severity of a cause from which on the exit code is 1: error, warning, info or never
    #[arg(
        long,
        value_name = "SEVERITY",
        value_enum,
        default_value_t,
        hide_possible_values = true,
        help_heading = "Report"
    )]
    pub(super) fail_on: FailOn,
    /// Exit code 0 in place of 1
    #[arg(long, help_heading = "Report")]
    pub(super) exit_zero: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    #[default]
    Table,
    Timeline,
    Json,
    Yaml,
    Ndjson,
    Sarif,
    Junit,
    Markdown,
    Html,
    Csv,
}

impl Format {
    /// The format of others that it is, if it is one.
    pub(super) fn export(self) -> Option<export::Format> {
        match self {
            Self::Sarif => Some(export::Format::Sarif),
            Self::Junit => Some(export::Format::Junit),
            Self::Markdown => Some(export::Format::Markdown),
            Self::Html => Some(export::Format::Html),
            Self::Csv => Some(export::Format::Csv),
            Self::Table | Self::Timeline | Self::Json | Self::Yaml | Self::Ndjson => None,
        }
    }
}

pub(super) async fn run(args: &DiagnoseArgs, console: &Console) -> Result<Exit, Failure> {
    if args.live.follow && args.from.is_empty() && !args.store.is_given() {
        return live::follow(args, Reading::new(args, console)?, console).await;
    }
    let (mut reading, unread) = read(args, console).await?;
    // If nothing at all was read, the first is the reason that is given.
    for message in unread.iter().skip(usize::from(reading.counts.records == 0)) {
        console.warn(&format!("not read: {message}"));
    }
    if args.output == Format::Ndjson {
        print_lines(console, &reading.diagnoser.flush())?;
    }
    conclude(args, reading, &unread, console)
}

/// Reads all logs: what was read, and why what was not is missing.
async fn read<'a>(args: &DiagnoseArgs, console: &'a Console) -> Result<(Reading<'a>, Vec<String>), Failure> {
    let mut reading = Reading::new(args, console)?;
    let unread = if args.store.is_given() {
        stored::read_all(args, &mut reading, console).await?
    } else if args.from.is_empty() {
        live::once(args, &mut reading, console).await?
    } else {
        // The runtime has nothing else to do.
        tokio::task::block_in_place(|| files(args, &mut reading, console))?
    };
    Ok((reading, unread))
}

/// What the logs tell, and why what was not read is missing, for a command that shows it itself.
pub(super) async fn diagnosis(
    args: &DiagnoseArgs,
    console: &Console,
) -> Result<(v1::diagnosis::DiagnosisReport, Vec<String>), Failure> {
    let (reading, unread) = read(args, console).await?;
    let (diagnosis, input) = reading.finish(&unread)?;
    Ok((render::report(&in_scope(&diagnosis, console.scope), input), unread))
}

/// Reads logs in files.
fn files(args: &DiagnoseArgs, reading: &mut Reading<'_>, console: &Console) -> Result<Vec<String>, Failure> {
    let (mut unread, mut hidden) = (Vec::new(), Vec::new());
    let mut failed = None;
    let limits = ArchiveLimits { until: args.live.kube.until(), ..ArchiveLimits::PROXY_LOGS };
    for input in &args.from {
        let mut each = |name: &str, entry: Result<Entry<'_>, _>| {
            let outcome = match entry {
                Ok(entry) if entry.hidden => {
                    hidden.push(name.to_owned());
                    Ok(())
                }
                Ok(entry) => reading.entry(entry, args.from.len() > 1),
                Err(error) => Err(ReadingError::Input(format!("{name}: {error}"))),
            };
            match outcome {
                Ok(()) => {}
                Err(ReadingError::Input(message)) => unread.push(message),
                Err(ReadingError::Output(failure)) => failed = failed.take().or(Some(failure)),
            }
        };
        if let Err(error) = walk(input, &limits, &mut each) {
            unread.push(format!("{input}: {error}"));
        }
        if let Some(failure) = failed {
            return Err(failure);
        }
    }
    if !hidden.is_empty() {
        console.note(&format!("Hidden files are left out: {}", escape(&some(hidden, 5))));
    }
    Ok(unread)
}

/// Says what was found.
fn conclude(args: &DiagnoseArgs, reading: Reading<'_>, unread: &[String], console: &Console) -> Result<Exit, Failure> {
    if let Some(silence) = &reading.silence {
        console.note(silence);
        if matches!(args.output, Format::Json | Format::Yaml) || args.output.export().is_some() {
            print(args, console, &reading.diagnoser.finish(), DiagnosisInput::default())?;
        }
        return Ok(Exit::Success);
    }
    let (diagnosis, input) = reading.finish(unread)?;
    print(args, console, &diagnosis, input)?;
    Ok(exit(args, &diagnosis, !unread.is_empty() || diagnosis.unexplained > 0))
}

enum ReadingError {
    Input(String),
    Output(Failure),
}

pub(super) struct Reading<'a> {
    pub(super) diagnoser: Diagnoser,
    pub(super) formats: Vec<AccessFormat>,
    pub(super) counts: LogCounts,
    pub(super) cut: u64,
    /// That the logs are empty, which of a quiet proxy's is no error.
    pub(super) silence: Option<String>,
    stream: Option<&'a Console>,
}

impl<'a> Reading<'a> {
    /// Before the first line.
    fn new(args: &DiagnoseArgs, console: &'a Console) -> Result<Self, Failure> {
        let Configuration { timeouts, of_proxies, formats } = configuration(args, console)?;
        let events = args.output == Format::Ndjson;
        let mut diagnoser = Diagnoser::new(DiagnoseOptions { timeouts, events, ..DiagnoseOptions::default() });
        for (proxy, timeouts) in of_proxies {
            diagnoser.set_timeouts_of(&proxy.to_string(), timeouts);
        }
        let stream = events.then_some(console);
        Ok(Self { diagnoser, formats, counts: LogCounts::default(), cut: 0, silence: None, stream })
    }

    /// What was found, and in how much; that there is no record is a failure, but for a quiet proxy.
    fn finish(self, unread: &[String]) -> Result<(Diagnosis, DiagnosisInput), Failure> {
        let Self { diagnoser, counts, cut, silence, .. } = self;
        if counts.records == 0 && silence.is_none() {
            return Err(no_records(&counts, unread));
        }
        let Found { diagnosis, input } = Found::of(diagnoser, counts, cut);
        Ok((diagnosis, input))
    }
}

impl Reading<'_> {
    fn entry(&mut self, entry: Entry<'_>, several: bool) -> Result<(), ReadingError> {
        let pod = bug_report_pod(entry.path);
        // In a bug report, logs lie among dumps, lists and events.
        if (pod.is_some() && !entry.path.ends_with(".log")) || beside_proxies(&entry) {
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
        let mut decoder = LogDecoder::new(self.formats.clone(), Timestamp::now());
        let text = Text::new(reader).map_err(|error| ReadingError::Input(error.to_string()))?;
        let mut lines = Lines::new(text);
        let mut failed = self.in_order(&mut lines, &mut decoder, source).map_err(ReadingError::Output)?;
        let outcome = loop {
            match failed.take().map_or_else(|| lines.next_line(), Err) {
                Ok(Some(line)) => {
                    if let Err(failure) = self.line(&mut decoder, line, source) {
                        break Err(ReadingError::Output(failure));
                    }
                }
                Ok(None) => break self.end(&mut decoder, source).map_err(ReadingError::Output),
                Err(error) => {
                    // What came before it counts.
                    let ended = self.end(&mut decoder, source).map_err(ReadingError::Output);
                    break ended.and(Err(ReadingError::Input(InputError::from(error).to_string())));
                }
            }
        };
        self.counts += decoder.counts();
        self.cut += lines.cut;
        outcome.and(missing(&decoder).map_or(Ok(()), |why| Err(ReadingError::Input(why))))
    }

    /// Reads the beginning of a log; all of it, from its end, where the latest line comes first. What kept it from reading
    /// on, if something did.
    fn in_order<R: Read>(
        &mut self,
        lines: &mut Lines<R>,
        decoder: &mut LogDecoder,
        source: &str,
    ) -> Result<Option<io::Error>, Failure> {
        // Failures that are told as they are found cannot wait.
        if self.stream.is_some() {
            return Ok(None);
        }
        let mut held = Vec::new();
        let mut failed = lines.hold(&mut held, SAMPLE).err();
        if failed.is_none()
            && let Some(from) = backward(&held, &self.formats, Timestamp::now())
        {
            match lines.hold(&mut held, usize::MAX) {
                Ok(true) => held[from..].reverse(),
                // What is too large to be held is read as it comes.
                Ok(false) => {}
                Err(error) => {
                    held[from..].reverse();
                    failed = Some(error);
                }
            }
        }
        held.iter().try_for_each(|line| self.line(decoder, line, source))?;
        Ok(failed)
    }

    /// Reads one line of a log; prints what it completes, where failures are printed as they are found.
    pub(super) fn line(&mut self, decoder: &mut LogDecoder, line: &[u8], source: &str) -> Result<(), Failure> {
        let mut events = Vec::new();
        decoder.push(line, &mut |record| events.extend(self.diagnoser.push(record, source)));
        self.give(&events)
    }

    /// Ends a log.
    pub(super) fn end(&mut self, decoder: &mut LogDecoder, source: &str) -> Result<(), Failure> {
        let mut events = Vec::new();
        decoder.finish(&mut |record| events.extend(self.diagnoser.push(record, source)));
        self.give(&events)
    }

    fn give(&self, events: &[Event]) -> Result<(), Failure> {
        match self.stream {
            Some(console) if !events.is_empty() => print_lines(console, events),
            _ => Ok(()),
        }
    }
}

/// Why a log or its rest is missing, where somebody's words stand in its place.
fn missing(decoder: &LogDecoder) -> Option<String> {
    decoder.missing().map(|said| format!("in the log's place, or in that of its rest, stands {said:?}"))
}

/// `…/proxies/NAMESPACE/POD/FILE`: the layout of `istioctl bug-report` (`tools/bug-report/pkg/archive`). FILE is what was
/// asked for, and may have folders of its own (`stats/prometheus`).
fn bug_report_pod(path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('/').collect();
    let proxies = parts.iter().rposition(|part| *part == "proxies")?;
    match &parts[proxies + 1..] {
        [namespace, pod, _file, ..] => Some(format!("{namespace}/{pod}")),
        _ => None,
    }
}

/// Whether a file of a bug report is of none of its proxies: istiod's logs, events, lists of the cluster. The report is a
/// folder, or an archive without one (`bug-report.tar.gz`). It may have been given another name; then what lies beside
/// tells it.
fn beside_proxies(entry: &Entry<'_>) -> bool {
    const LISTS: [&str; 2] = ["analyze", "cluster"];
    const OTHERS: [&str; 3] = ["cni", "istio", "operator"];
    let path = Path::new(entry.name);
    let is_report = |folder: &Path| {
        let name = folder.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| name == "bug-report" || name.starts_with("bug-report.t"))
    };
    let of_report = |folder: &Path| {
        let (Some(name), Some(report)) = (folder.file_name().and_then(|name| name.to_str()), folder.parent()) else {
            return false;
        };
        let named = is_report(report);
        LISTS.contains(&name) && (named || report.join("proxies").is_dir()) || OTHERS.contains(&name) && named
    };
    // What istioctl wrote of its own work, and an archive's folders, whose names stand behind a colon.
    let own = |report: &Path, inside: &str| {
        let first = inside.split('/').next().unwrap_or_default();
        is_report(report) && (["bug-report.log", "versions"].contains(&inside) || LISTS.contains(&first))
    };
    let archive = entry.name.strip_suffix(entry.path).and_then(|name| name.strip_suffix(':'));
    let in_folder = || {
        path.parent()
            .is_some_and(|report| own(report, path.file_name().and_then(|name| name.to_str()).unwrap_or_default()))
    };
    if archive.map_or_else(in_folder, |archive| own(Path::new(archive), entry.path)) {
        return true;
    }
    // Folders of the input alone, not those that it lies in.
    let folders = entry.path.matches('/').count();
    !entry.path.is_empty() && (path.ends_with("discovery.log") || path.ancestors().skip(1).take(folders).any(of_report))
}

/// Whether a file is a configuration dump or a snapshot, and so not a log: it says so near its beginning.
pub(super) fn is_dump(beginning: &[u8]) -> bool {
    let text = beginning.trim_ascii_start();
    let head = &text[..text.len().min(4096)];
    let has = |needle: &[u8]| memchr::memmem::find(head, needle).is_some();
    matches!(head.first(), Some(b'{' | b'['))
        && (has(b"\"configs\"")
            || has(b"ConfigDump\"")
            || has(b"envoy.config.")
            || has(b"\"MeshSnapshot\"")
            || has(b"\"edsClusterConfig\""))
        && !has(b"\"textPayload\"")
}

/// What is known of the proxies beside their logs.
struct Configuration {
    /// The connect timeouts that all proxies hold alike.
    timeouts: ClusterTimeouts,
    /// Those of each proxy.
    of_proxies: Vec<(ProxyId, ClusterTimeouts)>,
    formats: Vec<AccessFormat>,
}

/// The configuration that was named, and that of the dumps that lie beside the logs.
fn configuration(args: &DiagnoseArgs, console: &Console) -> Result<Configuration, Failure> {
    let mut inputs = args.config_dump.clone();
    let limits = ArchiveLimits { until: args.live.kube.until(), ..ArchiveLimits::default() };
    inputs.extend(args.from.iter().filter(|input| holds_files(input, limits.until)).cloned());
    let mut found = Configuration { timeouts: ClusterTimeouts::new(), of_proxies: Vec::new(), formats: Vec::new() };
    if inputs.is_empty() {
        return Ok(found);
    }
    found.of_proxies = collect::offline_timeouts(&inputs, &limits);
    found.of_proxies.retain(|(_, timeouts)| !timeouts.is_empty());
    if found.of_proxies.is_empty() && !args.config_dump.is_empty() {
        let failed = collect::offline(&inputs, &limits).failed;
        let why = failed.first().map(|failed| format!(": {}: {}", failed.id, failed.message)).unwrap_or_default();
        return Err(Failure::cannot_run(format!("--config-dump has no configuration of a proxy{why}"))
            .hint("it reads what `/config_dump` or `istioctl proxy-config all -o json` prints, and snapshots"));
    }
    let mut disputed = BTreeSet::new();
    for (name, timeout) in found.of_proxies.iter().flat_map(|(_, timeouts)| timeouts) {
        let known = found.timeouts.entry(name.clone()).or_insert(*timeout);
        if known.value != timeout.value {
            disputed.insert(name.clone());
        }
        // Some proxy got it so late.
        known.since = known.since.max(timeout.since);
    }
    if let Some(first) = disputed.first() {
        console.note(&format!(
            "The proxies hold different connect timeouts for {} clusters ({first}, …): for these each is known for the logs \
             of its own pod only.",
            disputed.len()
        ));
    }
    found.timeouts.retain(|name, _| !disputed.contains(name));
    found.formats = formats(&args.config_dump, &limits);
    Ok(found)
}

/// The access log formats that dumps hold. What cannot be read here was reported with its clusters.
fn formats(dumps: &[String], limits: &ArchiveLimits) -> Vec<AccessFormat> {
    let mut formats = Vec::new();
    for dump in dumps {
        let _ = walk(dump, limits, &mut |_, entry| {
            for format in entry.map(|entry| AccessFormat::from_config_dump(entry.reader)).unwrap_or_default() {
                if !formats.contains(&format) {
                    formats.push(format);
                }
            }
        });
    }
    formats
}

/// Whether an input is a directory or an archive, in which dumps may lie beside the logs.
fn holds_files(input: &str, until: Until) -> bool {
    let path = Path::new(input);
    // What comes through a pipe comes once.
    if !path.is_dir() && !path.is_file() {
        return false;
    }
    let mut inside = false;
    // Only the first file is looked at: an archive's files have paths, a single one has none.
    let limits = ArchiveLimits { entries: 1, until, ..ArchiveLimits::PROXY_LOGS };
    let _ = walk(input, &limits, &mut |_, entry| inside |= entry.is_ok_and(|entry| !entry.path.is_empty()));
    inside
}

fn no_records(counts: &LogCounts, unread: &[String]) -> Failure {
    match unread.first() {
        Some(first) if counts.unrecognized == 0 => Failure::cannot_run(format!("nothing could be read: {first}")),
        None if counts.lines == 0 => Failure::cannot_run("the input is empty"),
        first => {
            let rest = first.map(|why| format!("; {why}")).unwrap_or_default();
            Failure::cannot_run(format!("none of the {} lines is a record of a proxy's log{rest}", counts.lines))
        }
    }
    .hint("`kubectl logs POD -c istio-proxy` gives the proxy's log; the application's own log goes to `resets`")
}

fn print_lines(console: &Console, events: &[Event]) -> Result<(), Failure> {
    for event in events {
        console.print(&document::json_line(&render::line(event))?)?;
    }
    Ok(())
}

/// How tables are to look.
pub(super) fn look(args: &DiagnoseArgs, console: &Console) -> Look {
    Look { palette: console.out, columns: console.columns, headings: !args.no_headers, verbose: console.verbose > 0 }
}

pub(super) fn print(
    args: &DiagnoseArgs,
    console: &Console,
    diagnosis: &Diagnosis,
    input: DiagnosisInput,
) -> Result<(), Failure> {
    let look = look(args, console);
    let diagnosis = &in_scope(diagnosis, console.scope);
    let with_summary = |body: String| {
        if console.quiet {
            return body;
        }
        let gap = if body.is_empty() { "" } else { "\n" };
        if args.no_headers {
            console.note(render::summary(diagnosis, &input, console.err).trim_end());
            return body;
        }
        let summary = console.scope.in_prose(&render::summary(diagnosis, &input, console.out));
        let fitted = summary.lines().map(|line| wrap(line, look.width(), 2) + "\n").collect::<String>();
        format!("{body}{gap}{fitted}")
    };
    if let Some(format) = args.output.export() {
        return args.to.put(&exported(&render::report(diagnosis, input), format)?, console);
    }
    match args.output {
        Format::Table => args.to.put(&with_summary(render::table(diagnosis, look)), console),
        Format::Timeline => args.to.put(&with_summary(render::timelines(diagnosis, look)), console),
        Format::Json => args.to.put(&document::json(&render::report(diagnosis, input))?, console),
        Format::Yaml => args.to.put(&document::yaml(&render::report(diagnosis, input))?, console),
        _ => Ok(()),
    }
}

/// The same, with each command that it names led to the same cluster.
fn in_scope(diagnosis: &Diagnosis, scope: &Scope) -> Diagnosis {
    let mut diagnosis = diagnosis.clone();
    for entry in &mut diagnosis.entries {
        entry.event.explanation = scope.in_prose(&entry.event.explanation);
        entry.event.remedy = scope.in_prose(&entry.event.remedy);
    }
    diagnosis
}

pub(super) fn exit(args: &DiagnoseArgs, diagnosis: &Diagnosis, incomplete: bool) -> Exit {
    let threshold = args.fail_on.cause_severity();
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
