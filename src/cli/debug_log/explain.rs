//! Everything that a session says while it goes on, in a thread of its own: a terminal or a pipe that takes nothing
//! more must never keep levels from being put back.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;

use super::super::console::Console;
use super::super::failure::Failure;
use crate::collect::SessionEvent;
use crate::decode::log::{AccessFormat, LogCounts, LogDecoder};
use crate::diagnose::{Cause, DiagnoseOptions, Diagnoser, Diagnosis, Event};
use crate::k8s::LogLine;
use crate::model::ProxyId;
use crate::report::diagnosis::{self, DiagnosisInput};
use crate::report::escape::{escape, is_hostile};
use crate::report::look::{Look, count};
use crate::report::{debug_log, document};
use crate::system::owner_only;

/// How often it is looked whether evidence that was waited for will not come.
const TICK: Duration = Duration::from_millis(500);

/// How often a terminal is told that nothing has happened.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// Explains lines as they come.
pub(in super::super) struct Explainer {
    console: Console,
    look: Look,
    /// Whether failures are printed for people.
    table: bool,
    /// Whether they are printed as JSON.
    ndjson: bool,
    /// Whether lines are printed as they are.
    raw: bool,
    /// Whether there is more than one proxy, so that each line has to say whose it is.
    several: bool,
    file: Option<BufWriter<File>>,
    decoders: HashMap<ProxyId, LogDecoder>,
    formats: Vec<AccessFormat>,
    diagnoser: Diagnoser,
    /// Causes that have been explained, by cluster.
    explained: HashSet<(Cause, Option<String>)>,
    /// The time of the newest line, and when it came: what the proxies' clock shows.
    newest: Option<(Timestamp, Instant)>,
    lines: u64,
    failures: usize,
    following: usize,
    /// When the session ends, if it does by itself.
    until: Option<Instant>,
}

/// What was found.
pub(in super::super) struct Found {
    pub(in super::super) diagnosis: Diagnosis,
    pub(in super::super) input: DiagnosisInput,
}

impl Found {
    /// In logs with these lines, `cut_lines` of which were cut.
    pub(in super::super) fn of(diagnoser: Diagnoser, counts: LogCounts, cut_lines: u64) -> Self {
        let diagnosis = diagnoser.finish();
        let input = DiagnosisInput {
            lines: counts.lines,
            records: counts.records,
            unrecognized: counts.unrecognized,
            unexplained: diagnosis.unexplained,
            ungrouped: diagnosis.ungrouped,
            cut_lines,
            dropped_connections: diagnosis.dropped_connections,
        };
        Self { diagnosis, input }
    }
}

/// How it is to be said.
pub(in super::super) struct Manner {
    pub(in super::super) look: Look,
    pub(in super::super) table: bool,
    pub(in super::super) ndjson: bool,
    pub(in super::super) raw: bool,
    pub(in super::super) several: bool,
    pub(in super::super) length: Option<Duration>,
    /// Formats of access logs beside Istio's own.
    pub(in super::super) formats: Vec<AccessFormat>,
}

impl Explainer {
    pub(in super::super) fn new(console: &Console, manner: Manner, file: Option<&Path>) -> Result<Self, Failure> {
        let Manner { look, table, ndjson, raw, several, length, formats } = manner;
        Ok(Self {
            console: *console,
            look,
            table,
            ndjson,
            raw,
            several,
            file: file.map(create).transpose()?,
            decoders: HashMap::new(),
            formats,
            diagnoser: Diagnoser::new(DiagnoseOptions::default()),
            explained: HashSet::new(),
            newest: None,
            lines: 0,
            failures: 0,
            following: 0,
            until: length.map(|length| Instant::now() + length),
        })
    }

    /// Takes events until no session is left to send any.
    pub(in super::super) async fn run(mut self, mut events: mpsc::Receiver<SessionEvent>) -> Result<Found, Failure> {
        let mut heartbeat = Instant::now() + HEARTBEAT;
        loop {
            match tokio::time::timeout(TICK, events.recv()).await {
                Ok(Some(event)) => self.take(event)?,
                Ok(None) => break,
                Err(_) => {
                    let mut events = Vec::new();
                    for (proxy, decoder) in &mut self.decoders {
                        let name = proxy.to_string();
                        decoder.settle(&mut |record| events.extend(self.diagnoser.push(record, &name)));
                    }
                    self.print(&events)?;
                    if let Some((time, at)) = self.newest {
                        let passed = SignedDuration::try_from(at.elapsed()).unwrap_or(SignedDuration::MAX);
                        let settled = self.diagnoser.settle(time.checked_add(passed).unwrap_or(Timestamp::MAX));
                        self.print(&settled)?;
                    }
                    // What has come is kept even if this is killed.
                    if let Some(file) = &mut self.file {
                        file.flush().map_err(lost_file)?;
                    }
                }
            }
            if Instant::now() >= heartbeat {
                heartbeat = Instant::now() + HEARTBEAT;
                self.beat();
            }
        }
        let mut waiting = Vec::new();
        for (proxy, decoder) in &mut self.decoders {
            let name = proxy.to_string();
            decoder.finish(&mut |record| waiting.extend(self.diagnoser.push(record, &name)));
        }
        waiting.extend(self.diagnoser.flush());
        self.print(&waiting)?;
        if let Some(mut file) = self.file {
            file.flush().map_err(lost_file)?;
        }
        let mut counts = LogCounts::default();
        for decoder in self.decoders.values() {
            counts += decoder.counts();
        }
        Ok(Found::of(self.diagnoser, counts, 0))
    }

    /// Says on a terminal that it is still at work.
    fn beat(&self) {
        if self.following > 0 && self.console.shows_progress() {
            let left = self.until.map(|until| until.saturating_duration_since(Instant::now()).as_secs());
            let left = left.map_or_else(String::new, |left| format!("; {}m{:02}s left", left / 60, left % 60));
            let failures = match self.failures {
                0 => "no failure".to_owned(),
                failures => count(failures, "failure", "failures"),
            };
            let text = format!("{} lines read, {failures} so far{left}", self.lines);
            self.console.note(&self.console.err.faint(&text));
        }
    }

    fn take(&mut self, event: SessionEvent) -> Result<(), Failure> {
        match event {
            SessionEvent::Following(proxy) => {
                self.following += 1;
                self.console.note(&format!("{proxy}: following its log."));
            }
            SessionEvent::Timeouts(proxy, timeouts) => {
                self.diagnoser.set_timeouts_of(&proxy.to_string(), timeouts);
            }
            SessionEvent::Line(proxy, line) => self.line(&proxy, &line)?,
            SessionEvent::Lost(proxy, why) => {
                self.console.warn(&format!("{proxy}: its log cannot be followed for the moment: {why}"));
            }
            SessionEvent::Resumed(proxy) => self.console.note(&format!("{proxy}: its log goes on where it broke off.")),
            SessionEvent::SetBack(proxy, loggers) => self.console.warn(&format!(
                "{proxy}: somebody else has put {} back ({}): nothing more comes from them. To go on, end this session and \
                 begin another",
                count(loggers.len(), "logger", "loggers"),
                loggers.iter().take(7).map(String::as_str).collect::<Vec<_>>().join(", "),
            )),
            SessionEvent::Retrying(proxy, why) => {
                self.console.warn(&format!("{proxy}: its levels are not put back yet, trying again: {why}"));
            }
        }
        Ok(())
    }

    fn line(&mut self, proxy: &ProxyId, line: &LogLine) -> Result<(), Failure> {
        self.lines += 1;
        if let Some(time) = line.time {
            self.newest = Some((time, Instant::now()));
        }
        if let Some(file) = &mut self.file {
            // As `kubectl logs --prefix` has it, so that `diagnose` tells the proxies apart again.
            let prefix = if self.several { format!("[pod/{}/istio-proxy] ", proxy.name) } else { String::new() };
            [prefix.as_bytes(), line.text(), b"\n"]
                .iter()
                .try_for_each(|part| file.write_all(part))
                .map_err(lost_file)?;
        }
        if self.raw {
            return self.print_raw(proxy, line.text());
        }
        let new = || LogDecoder::new(self.formats.clone(), Timestamp::now());
        let decoder = self.decoders.entry(proxy.clone()).or_insert_with(new);
        let (mut events, name) = (Vec::new(), proxy.to_string());
        decoder.push(&line.stamped, &mut |record| events.extend(self.diagnoser.push(record, &name)));
        self.print(&events)
    }

    fn print_raw(&self, proxy: &ProxyId, text: &[u8]) -> Result<(), Failure> {
        let text = String::from_utf8_lossy(text);
        let prefix = if self.several { format!("{proxy} ") } else { String::new() };
        // A terminal gets Istio's tabs and nothing else that could do something to it.
        let text = if self.console.columns.is_some() && text.chars().any(|c| c != '\t' && is_hostile(c)) {
            text.split('\t').map(|part| escape(part).into_owned()).collect::<Vec<_>>().join("\t")
        } else {
            text.into_owned()
        };
        self.console.print(&format!("{}{text}\n", self.console.out.faint(&prefix)))
    }

    fn print(&mut self, events: &[Event]) -> Result<(), Failure> {
        for event in events {
            self.failures += 1;
            if self.table {
                let explained = !self.explained.insert((event.cause, event.cluster.clone()));
                self.console.print(&debug_log::event(event, explained, self.several, self.look))?;
            } else if self.ndjson {
                self.console.print(&document::json_line(&diagnosis::line(event))?)?;
            }
        }
        Ok(())
    }
}

/// A new file that only its owner can read: logs hold addresses and headers.
fn create(path: &Path) -> Result<BufWriter<File>, Failure> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    owner_only(&mut options).open(path).map(BufWriter::new).map_err(|error| {
        let failure = Failure::cannot_run(format!("cannot create {}: {error}", path.display()));
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            return failure.hint("name another file, or remove this one");
        }
        failure
    })
}

fn lost_file(error: std::io::Error) -> Failure {
    Failure::cannot_run(format!("cannot write the log file: {error}"))
}
