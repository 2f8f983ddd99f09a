//! Why connections failed, out of a proxy's log.
//!
//! [`Diagnoser`] takes [`LogRecord`]s one by one, keeps a timeline of each connection, and gives back an [`Event`]
//! for each failed upstream connection or request as soon as its evidence is together: the debug lines of the
//! upstream connection, the request or TCP session it served, and the access log line. It holds a bounded number of
//! connections and failures, so a log may be of any size.
//!
//! What is certain is said by a line of its own; a line that is missing makes the answer less sure, never another.

mod cause;
mod connections;
mod decide;
mod explain;
mod failure;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

pub use cause::{Cause, CauseSeverity, Confidence, Verdict};
pub use connections::Moment;
pub use failure::{Evidence, OtherEnd};

use crate::model::{AccessLine, ClusterName, ClusterTimeouts, Direction, LogContent, LogRecord, ProxyLine};
use connections::{ConnectionKey, Connections, clip};
use failure::{Clue, Failure, Pending};

/// How a log is to be read.
#[derive(Debug, Clone)]
pub struct DiagnoseOptions {
    /// Connect timeouts of the clusters, where a dump or the live proxy told them.
    pub timeouts: ClusterTimeouts,
    /// How long to wait for the access log line of a failure, in time of the log. Envoy writes access logs every
    /// 10 s by default, Istio's every second.
    pub join_window: Duration,
    /// How many connections are kept at most; the oldest is forgotten, and counted.
    pub max_connections: usize,
}

impl Default for DiagnoseOptions {
    fn default() -> Self {
        Self { timeouts: ClusterTimeouts::new(), join_window: Duration::from_secs(12), max_connections: 50_000 }
    }
}

/// One failed upstream connection, session or request.
#[derive(Debug, Clone)]
pub struct Event {
    /// When it failed.
    pub time: Option<Timestamp>,
    /// The log it stands in, where a wrapper or a file name tells; else empty.
    pub source: String,
    /// Why.
    pub cause: Cause,
    /// How far the lines prove it.
    pub confidence: Confidence,
    /// The cluster's name (`outbound|443||api.example.com`), where a line tells.
    pub cluster: Option<String>,
    /// The address that was called.
    pub upstream: Option<String>,
    /// The host: the cluster's, else the request's authority.
    pub host: Option<String>,
    /// Outbound or inbound.
    pub direction: Option<Direction>,
    /// `tcp`, `http` or `grpc`.
    pub protocol: Option<&'static str>,
    /// How long one attempt took.
    pub waited: Option<Duration>,
    /// How many times it was tried.
    pub attempts: u32,
    /// How long the caller waited in all.
    pub total: Option<Duration>,
    /// Response flags of the access log line.
    pub flags: Vec<String>,
    /// The cluster's connect timeout.
    pub connect_timeout: Option<Duration>,
    /// Whether that timeout is concluded from the wait, rather than known.
    pub timeout_inferred: bool,
    /// Whether the connection was established before it failed.
    pub connected: Option<bool>,
    /// Whether a later try of the same request succeeded.
    pub rescued: bool,
    /// What happened, and what the application saw of it, in plain words.
    pub explanation: String,
    /// What to do, and what not to.
    pub remedy: String,
    /// What the proxy at the other end of the call wrote.
    pub other_end: Option<OtherEnd>,
    /// The lines that prove it.
    pub evidence: Vec<Evidence>,
    /// The connection's life.
    pub timeline: Vec<Moment>,
}

/// Events of the same cause, cluster and upstream.
#[derive(Debug, Clone)]
pub struct DiagnosisEntry {
    /// The first of them, with the highest confidence that any had.
    pub event: Event,
    /// How many there were.
    pub occurrences: u64,
    /// When the first happened.
    pub first: Option<Timestamp>,
    /// When the last happened.
    pub last: Option<Timestamp>,
}

/// What a log says went wrong; empty for the log of a healthy proxy.
#[derive(Debug, Clone, Default)]
pub struct Diagnosis {
    /// One entry for each cause, cluster and upstream; the most frequent first.
    pub entries: Vec<DiagnosisEntry>,
    /// Open connections that were forgotten because there were too many at once.
    pub dropped_connections: u64,
    /// Events that are counted but have no entry of their own, because there were too many different ones.
    pub ungrouped: u64,
}

/// Different entries that are kept at most.
const MAX_ENTRIES: usize = 10_000;

/// Access log lines whose other end may still come, at most.
const MAX_CALLS: usize = 8_192;

/// Logs that are told apart at most.
const MAX_SOURCES: usize = 4_096;

/// Cluster names that are kept once for all, at most.
const MAX_NAMES: usize = 100_000;

/// Between a request's route and `connecting to` for it, at most: they are written in one go.
const CONTEXT_MS: i64 = 50;

/// What a thread is about, for the lines that name no connection.
#[derive(Debug, Default)]
struct ThreadContext {
    time: Option<Timestamp>,
    cluster: Option<Arc<str>>,
    down: Option<u64>,
    stream: Option<u64>,
    cancelled: Option<Timestamp>,
    /// The upstream connection that was given a stream last: the next `pool ready` is of the request it serves.
    assigned: Option<u64>,
}

#[derive(Debug, Default)]
struct Log {
    name: String,
    last_thread: u64,
    now: Option<Timestamp>,
    drained: Option<Timestamp>,
    /// Whether the record before dumps the headers of this connection's stream.
    headers_of: Option<(u64, u64)>,
}

/// What one end of a call wrote into its access log.
#[derive(Debug, Clone)]
struct CallEnd {
    source: u32,
    inbound: bool,
    line: u64,
    outcome: Box<str>,
    cause: Option<Cause>,
    /// The failure that it is evidence of, while that is pending.
    failure: Option<u64>,
}

/// Reads a log, record by record.
#[derive(Debug)]
pub struct Diagnoser {
    options: DiagnoseOptions,
    window_ms: i64,
    connections: Connections,
    pending: Pending,
    threads: HashMap<(u32, u64), ThreadContext>,
    logs: Vec<Log>,
    log_names: HashMap<String, u32>,
    last_log: u32,
    names: HashSet<Arc<str>>,
    unresolved: VecDeque<Box<str>>,
    calls: HashMap<Box<str>, CallEnd>,
    call_order: [VecDeque<Box<str>>; 2],
    now: Option<Timestamp>,
    line: u64,
    swept: Option<Timestamp>,
    groups: HashMap<(Cause, Option<String>, Option<String>), usize>,
    diagnosis: Diagnosis,
}

impl Diagnoser {
    /// A diagnoser that has read nothing yet.
    #[must_use]
    pub fn new(options: DiagnoseOptions) -> Self {
        Self {
            window_ms: i64::try_from(options.join_window.as_millis()).unwrap_or(i64::MAX),
            connections: Connections::new(options.max_connections),
            pending: Pending::default(),
            threads: HashMap::new(),
            logs: vec![Log::default()],
            log_names: HashMap::from([(String::new(), 0)]),
            last_log: 0,
            names: HashSet::new(),
            unresolved: VecDeque::new(),
            calls: HashMap::new(),
            call_order: Default::default(),
            now: None,
            line: 0,
            swept: None,
            groups: HashMap::new(),
            diagnosis: Diagnosis::default(),
            options,
        }
    }

    /// Takes these as the clusters' connect timeouts from now on, for a log that is followed.
    pub fn set_timeouts(&mut self, timeouts: ClusterTimeouts) {
        self.options.timeouts = timeouts;
    }

    /// Takes the next record, of the log it names or else of `source` (a file or pod). Returns the failures whose
    /// evidence is together.
    pub fn push(&mut self, record: &LogRecord, source: &str) -> Vec<Event> {
        self.line += 1;
        let log = self.log(source, record.source);
        if record.time.is_some() && matches!(record.content, LogContent::Proxy(_) | LogContent::Access(_)) {
            self.now = record.time;
            self.logs[log as usize].now = record.time;
        }
        match &record.content {
            LogContent::Proxy(line) => {
                self.logs[log as usize].headers_of = None;
                self.proxy(log, record, line);
            }
            LogContent::Access(line) => {
                self.logs[log as usize].headers_of = None;
                self.access(log, record, line);
            }
            LogContent::Continuation => self.continuation(log, record.text),
            LogContent::Agent | LogContent::Foreign | LogContent::Unrecognized => {}
        }
        let moved = match (self.now, self.swept) {
            (Some(now), Some(swept)) => (now.as_millisecond() - swept.as_millisecond()).abs() > 500,
            (now, _) => now.is_some(),
        };
        if moved || self.line.is_multiple_of(2048) {
            self.swept = self.now;
            // Logs that are read side by side need not have come to the same time.
            let now = |log: u32| self.logs.get(log as usize).and_then(|log| log.now);
            self.connections.tidy(now);
            if !self.pending.is_empty() {
                let settled = self.pending.settled(now, self.line, self.window_ms);
                return self.finished(settled);
            }
        }
        Vec::new()
    }

    /// Gives back what still waits for evidence although none has come until `now`: for a log that is followed and
    /// has fallen silent.
    pub fn settle(&mut self, now: Timestamp) -> Vec<Event> {
        let settled = self.pending.settled(|_| Some(now), self.line, self.window_ms);
        self.finished(settled)
    }

    /// Gives back all that waits, at the end of the log.
    pub fn flush(&mut self) -> Vec<Event> {
        let settled = self.pending.drain();
        self.finished(settled)
    }

    /// The end: everything that was found.
    #[must_use]
    pub fn finish(mut self) -> Diagnosis {
        self.flush();
        self.diagnosis.dropped_connections = self.connections.dropped;
        self.diagnosis.entries.sort_by(|one, other| {
            let worse = other.event.cause.severity().cmp(&one.event.cause.severity());
            let more = other.occurrences.cmp(&one.occurrences);
            let key =
                |entry: &DiagnosisEntry| (entry.event.cause, entry.event.cluster.clone(), entry.event.upstream.clone());
            worse.then(more).then_with(|| key(one).cmp(&key(other)))
        });
        self.diagnosis
    }

    fn log(&mut self, source: &str, within: &str) -> u32 {
        let within = clip(within, 256);
        let same = {
            let name = &self.logs[self.last_log as usize].name;
            if within.is_empty() {
                name == source
            } else if source.is_empty() {
                name == within
            } else {
                name.len() == source.len() + within.len() + 1 && name.starts_with(source) && name.ends_with(within)
            }
        };
        if same {
            return self.last_log;
        }
        let name = match (source, within) {
            (name, "") | ("", name) => name.to_owned(),
            (source, within) => format!("{source}:{within}"),
        };
        self.last_log = match self.log_names.get(&name) {
            Some(&log) => log,
            // Beyond the bound, logs are no longer told apart.
            None if self.logs.len() >= MAX_SOURCES => 0,
            None => {
                let log = u32::try_from(self.logs.len()).unwrap_or(0);
                self.log_names.insert(name.clone(), log);
                self.logs.push(Log { name, ..Log::default() });
                log
            }
        };
        self.last_log
    }

    fn name(&mut self, name: &str) -> Arc<str> {
        let name = clip(name, 256);
        if let Some(known) = self.names.get(name) {
            return known.clone();
        }
        let known: Arc<str> = name.into();
        if self.names.len() < MAX_NAMES {
            self.names.insert(known.clone());
        }
        known
    }

    /// Header dumps say which request a stream carries.
    fn continuation(&mut self, log: u32, text: &str) {
        let Some((id, stream)) = self.logs[log as usize].headers_of else { return };
        if let Some(request_id) = text.strip_prefix("'x-request-id', '").and_then(|rest| rest.strip_suffix('\'')) {
            let key = self.key(log, 0, id);
            self.connections.entry(key).stream_mut(stream).request_id = Some(clip(request_id, 128).into());
        }
    }

    /// A record whose layout puts the thread on its last line is of the thread that wrote before.
    fn key(&self, source: u32, thread: u64, id: u64) -> ConnectionKey {
        let thread = if thread == 0 { self.logs[source as usize].last_thread } else { thread };
        ConnectionKey { source, thread, id }
    }

    /// What a thread is about. Real threads are few; names that a hostile log makes up are forgotten together.
    fn context(&mut self, log: u32, thread: u64) -> &mut ThreadContext {
        if self.threads.len() > 4 * MAX_SOURCES {
            self.threads.clear();
        }
        self.threads.entry((log, thread)).or_default()
    }

    /// What a thread was given to do just now.
    fn current(&self, log: u32, thread: u64, now: Option<Timestamp>) -> Option<&ThreadContext> {
        self.threads.get(&(log, thread)).filter(|context| match (context.time, now) {
            (Some(then), Some(now)) => (now.as_millisecond() - then.as_millisecond()).abs() <= CONTEXT_MS,
            _ => false,
        })
    }

    fn clue(&self, log: u32, record: &LogRecord, line: &ProxyLine, verdict: Verdict) -> Clue {
        Clue {
            time: record.time,
            source: log,
            thread: self.key(log, line.thread, 0).thread,
            verdict: Some(verdict),
            evidence: vec![evidence(record)],
            moments: vec![Moment {
                time: record.time,
                line: record.line,
                connection: line.connection,
                what: clip(&line.message, 200).into(),
            }],
            ..Clue::default()
        }
    }

    fn add(&mut self, clue: Clue) -> Option<u64> {
        self.pending.add(clue, self.line, self.window_ms)
    }

    fn proxy(&mut self, log: u32, record: &LogRecord, line: &ProxyLine) {
        if line.thread != 0 {
            self.logs[log as usize].last_thread = line.thread;
        }
        let message = &*line.message;
        match line.connection {
            Some(id) => self.on_connection(log, record, line, message, id),
            None => self.on_thread(log, record, line, message),
        }
    }

    /// Messages that name a connection.
    fn on_connection(&mut self, log: u32, record: &LogRecord, line: &ProxyLine, message: &str, id: u64) {
        let key = self.key(log, line.thread, id);
        let time = record.time;
        let number = record.line;
        match message.as_bytes().first() {
            Some(b'c') => {
                if let Some(address) = message.strip_prefix("connecting to ") {
                    return self.connecting(key, record, message, address.trim());
                }
                if message == "connected" {
                    let connection = self.connections.entry(key);
                    if connection.connected.is_none() {
                        connection.connected = time;
                        connection.used = true;
                        connection.note(id, time, number, message);
                    }
                    return;
                }
                if message == "connect timeout" || message == "connection timeout" {
                    return self.connect_timeout(key, log, record, line);
                }
                if let Some(by) = message.strip_prefix("closing socket: ") {
                    return self.closing(key, log, record, line, by.starts_with('0'));
                }
                if let Some(reason) = message.strip_prefix("client disconnected") {
                    let reason = reason.strip_prefix(", failure reason:").unwrap_or("").trim();
                    return self.disconnected(key, log, record, line, reason);
                }
                if let Some(rest) = message.strip_prefix("cluster '") {
                    if let Some((cluster, _)) = rest.split_once("' match for URL") {
                        self.routed(key, line.stream, cluster, time);
                    }
                    return;
                }
                if message == "creating stream" {
                    self.connections.entry(key).used = true;
                    self.context(log, key.thread).assigned = Some(id);
                }
            }
            Some(b'C') => {
                if let Some(cluster) = message.strip_prefix("Creating connection to cluster ") {
                    self.connections.entry(key).tcp = true;
                    self.routed(key, None, cluster.trim(), time);
                }
            }
            Some(b'd') => {
                if message.starts_with("delayed connect") {
                    return self.connect_error(key, log, record, line, message);
                }
                if let Some(rest) = message.strip_prefix("disconnect. resetting ")
                    && !rest.starts_with("0 ")
                {
                    self.cut_off(key, log, record, line);
                }
            }
            Some(b'i') if message.starts_with("immediate connect") => {
                self.connect_error(key, log, record, line, message);
            }
            Some(b'T' | b'S') if starts_any(message, &["TLS error", "TLS_error", "SSL error"]) => {
                self.tls_error(key, log, record, line, message);
            }
            Some(b'S') => {
                if let Some(details) = message.strip_prefix("Sending local reply with details ") {
                    return self.replied(key, log, record, line, details);
                }
                if message.starts_with("Session timed out") {
                    let clue = self.clue(log, record, line, Verdict::certain(Cause::TcpIdleTimeout));
                    self.of_downstream(key, None, Clue { connected: Some(true), ..clue });
                }
            }
            Some(b'P') => {
                if let Some(details) = message.strip_prefix("Preparing local reply with details ") {
                    self.replied(key, log, record, line, details);
                }
            }
            Some(b'R') => {
                if let Some(rest) = message.strip_prefix("Resetting stream due to ") {
                    let details = rest.split(". Prior headers").next().unwrap_or(rest);
                    self.replied(key, log, record, line, details);
                }
            }
            Some(b'u') => self.on_upstream_message(key, log, record, line, message),
            Some(b'n') => {
                if let Some(rest) = message.strip_prefix("new connection") {
                    let known = self.connections.get(key).is_some_and(|own| own.accepted || own.closed || own.upstream);
                    let connection = if known { self.connections.start(key) } else { self.connections.entry(key) };
                    connection.accepted = true;
                    connection.address = rest.strip_prefix(" from ").map(|address| clip(address.trim(), 256).into());
                    connection.note(id, time, number, message);
                } else if message.starts_with("new tcp proxy session") {
                    let stale = self.connections.get(key).is_some_and(|own| own.closed || own.upstream);
                    let connection = if stale { self.connections.start(key) } else { self.connections.entry(key) };
                    connection.tcp = true;
                } else if message.starts_with("no healthy ") {
                    self.no_host(log, record, line);
                }
            }
            Some(b'p') => {
                if message == "performing retry" {
                    let cluster = self.connections.get(key).and_then(|own| own.stream(line.stream)?.cluster.clone());
                    if let Some(failure) = self.pending.of_downstream(log, key.thread, id, line.stream) {
                        failure.open = true;
                    }
                    if let Some(cluster) = cluster {
                        self.routed(key, line.stream, &cluster, time);
                    }
                } else if message == "pool ready" {
                    let context = self.context(log, key.thread);
                    // It has its connection: the next one this thread makes is not for it.
                    (context.time, context.down, context.stream) = (None, Some(id), line.stream);
                    // Only later versions say `Attached upstream connection`.
                    if let Some(up) = context.assigned.take() {
                        self.attached(log, key.thread, time, up, id);
                    }
                }
            }
            Some(b'r') => {
                if message.starts_with("remote close") || message.starts_with("remote early close") {
                    if let Some(connection) = self.connections.get_mut(key) {
                        connection.remote_close = true;
                        connection.note(id, time, number, message);
                    }
                } else if let Some((_, error)) =
                    message.strip_prefix("remote address:").and_then(|rest| rest.split_once(','))
                {
                    self.tls_error(key, log, record, line, error);
                } else if message == "response complete" {
                    if let Some(connection) = self.connections.get_mut(key) {
                        connection.last_response = time;
                    }
                } else if message.starts_with("request headers complete")
                    || message.starts_with("router decoding headers")
                {
                    self.headers(key, log, line, message);
                }
            }
            Some(b'E') if message.starts_with("Error dispatching received data: ") => {
                let cut = message.contains("HPE_INVALID_EOF_STATE");
                if !message.ends_with("data: ")
                    && let Some(connection) = self.connections.get_mut(key)
                {
                    connection.protocol_error = Some(cut);
                    connection.note(id, time, number, message);
                }
            }
            Some(b's') => {
                let left = message.starts_with("stream reset: reset reason: connection termination")
                    && self.connections.get(key).is_some_and(|own| own.accepted && own.remote_close);
                if left {
                    let clue = self.clue(log, record, line, Verdict::probable(Cause::DownstreamDisconnect));
                    self.of_downstream(key, line.stream, clue);
                }
            }
            Some(b'a') if message.starts_with("attaching to next") => self.connections.entry(key).used = true,
            _ => {}
        }
    }

    fn on_upstream_message(
        &mut self,
        key: ConnectionKey,
        log: u32,
        record: &LogRecord,
        line: &ProxyLine,
        message: &str,
    ) {
        if let Some(rest) = message.strip_prefix("upstream reset: reset reason") {
            return self.upstream_reset(key, log, record, line, rest);
        }
        if message.starts_with("upstream timeout") || message.starts_with("upstream per try") {
            let clue = self.clue(log, record, line, Verdict::certain(Cause::UpstreamResponseTimeout));
            return self.of_downstream(key, line.stream, clue);
        }
        if message.starts_with("upstream headers complete") {
            if let Some(connection) = self.connections.get_mut(key)
                && let Some(stream) = line.stream
            {
                connection.stream_mut(stream).headers = true;
            }
            return self.rescued(key, line.stream);
        }
        if message.starts_with("using existing ") {
            let connection = self.connections.entry(key);
            connection.used = true;
            connection.reused = true;
            connection.note(key.id, record.time, record.line, message);
            return;
        }
        if let Some(rest) = message.strip_prefix("unknown cluster '") {
            let cluster = self.name(rest.trim_end_matches('\''));
            let clue = self.clue(log, record, line, Verdict::certain(Cause::ClusterNotFound));
            self.of_downstream(key, line.stream, Clue { cluster: Some(cluster), ..clue });
        }
    }

    /// Messages that name no connection: they are about what their thread does at the moment.
    fn on_thread(&mut self, log: u32, record: &LogRecord, line: &ProxyLine, message: &str) {
        let thread = self.key(log, line.thread, 0).thread;
        match message.as_bytes().first() {
            Some(b'A') => {
                let Some(rest) = message.strip_prefix("Attached upstream connection [C") else { return };
                let Some((up, rest)) = rest.split_once(']') else { return };
                let down = rest.split_once("[C").and_then(|(_, rest)| rest.split_once(']')?.0.parse().ok());
                if let (Ok(up), Some(down)) = (up.parse(), down) {
                    self.attached(log, thread, record.time, up, down);
                }
            }
            Some(b'm') if message.starts_with("max ") && message.contains("overflow") => {
                let clue = self.clue(log, record, line, Verdict::certain(Cause::Overflow));
                self.in_context(log, thread, clue);
            }
            Some(b'n') if message.starts_with("no healthy ") => self.no_host(log, record, line),
            Some(b'c') => {
                if message.starts_with("cancelling pending") || message.starts_with("canceling pending") {
                    self.context(log, thread).cancelled = record.time;
                } else if message.contains("no matching filter chain found") {
                    let client =
                        message.strip_prefix("closing connection from ").and_then(|rest| rest.split(": ").next());
                    let clue = self.clue(log, record, line, Verdict::certain(Cause::NoFilterChain));
                    self.add(Clue { client: client.map(|address| clip(address, 256).into()), inbound: true, ..clue });
                }
            }
            Some(b'l') => {
                if let Some(rest) = message.strip_prefix("listener filter times out after ") {
                    let millis = rest.split(' ').next().and_then(|millis| millis.parse().ok());
                    let clue = self.clue(log, record, line, Verdict::certain(Cause::ListenerFilterTimeout));
                    self.add(Clue { waited: millis.map(Duration::from_millis), ..clue });
                }
            }
            Some(b'd' | b'D') if message.len() > 4 && message.as_bytes()[..3].eq_ignore_ascii_case(b"dns") => {
                self.dns(&message[3..]);
            }
            Some(b'r')
                if starts_any(
                    message,
                    &[
                        "removing draining filter chains from listener",
                        "removing listener",
                        "removing draining listener",
                    ],
                ) =>
            {
                self.logs[log as usize].drained = record.time;
            }
            // A process that starts anew numbers its connections from 0 again.
            Some(b'i') if message.starts_with("initializing epoch") => self.connections.forget(log),
            _ => {}
        }
    }

    /// A request or session was given its cluster; the next connection this thread makes is for it.
    fn routed(&mut self, key: ConnectionKey, stream: Option<u64>, cluster: &str, time: Option<Timestamp>) {
        let cluster = self.name(cluster);
        let connection = self.connections.entry(key);
        match stream {
            Some(stream) => connection.stream_mut(stream).cluster = Some(cluster.clone()),
            None => {
                connection.cluster = Some(cluster.clone());
                // The TCP proxy tries again (`max_connect_attempts`).
                if let Some(failure) = self.pending.of_downstream(key.source, key.thread, key.id, None) {
                    failure.open = true;
                }
            }
        }
        let context = self.context(key.source, key.thread);
        *context =
            ThreadContext { time, cluster: Some(cluster), down: Some(key.id), stream, ..std::mem::take(context) };
    }

    fn connecting(&mut self, key: ConnectionKey, record: &LogRecord, message: &str, address: &str) {
        let (cluster, down, stream) = self
            .current(key.source, key.thread, record.time)
            .map(|context| (context.cluster.clone(), context.down, context.stream))
            .unwrap_or_default();
        let connection = self.connections.start(key);
        connection.upstream = true;
        connection.started = record.time;
        connection.address = Some(clip(address, 256).into());
        connection.cluster = cluster;
        connection.other = down;
        connection.stream = stream;
        connection.note(key.id, record.time, record.line, message);
        connection.opening = Some(evidence(record));
    }

    /// A request or session that was being tried again got through.
    fn rescued(&mut self, key: ConnectionKey, stream: Option<u64>) {
        let failure = self.pending.of_downstream(key.source, key.thread, key.id, stream);
        if let Some(failure) = failure.filter(|failure| failure.open) {
            failure.rescued = true;
            failure.open = false;
        }
    }

    fn attached(&mut self, log: u32, thread: u64, time: Option<Timestamp>, up: u64, down: u64) {
        let context = self.threads.get(&(log, thread)).filter(|context| context.down == Some(down));
        let stream = context.and_then(|context| context.stream);
        let down_key = ConnectionKey { source: log, thread, id: down };
        let cluster = self.connections.get(down_key).and_then(|own| match stream {
            Some(_) => own.stream(stream).and_then(|stream| stream.cluster.clone()),
            None => own.cluster.clone(),
        });
        if let Some(connection) = self.connections.get_mut(down_key) {
            connection.other = Some(up);
            if connection.tcp {
                self.rescued(down_key, None);
            }
        }
        let connection = self.connections.entry(ConnectionKey { source: log, thread, id: up });
        connection.upstream = true;
        connection.used = true;
        connection.other = Some(down);
        connection.stream = stream;
        connection.cluster = cluster.or(connection.cluster.take());
        if !connection.attached.is_some_and(|(_, was, of)| was == down && of == stream) {
            connection.attachments += 1;
            connection.attached = Some((time, down, stream));
        }
    }

    /// What is known of an upstream connection, for a clue about it.
    fn of_upstream(&self, key: ConnectionKey, record: &LogRecord, clue: Clue) -> Clue {
        let Some(connection) = self.connections.get(key) else { return Clue { up: Some(key.id), ..clue } };
        let down = connection.other.map(|id| ConnectionKey { id, ..key });
        let downstream = down.and_then(|key| self.connections.get(key));
        let waited = match (connection.started, record.time) {
            (Some(started), Some(now)) if connection.connected.is_none() || clue.connected == Some(false) => {
                Duration::try_from(now.duration_since(started)).ok()
            }
            _ => None,
        };
        let evidence = connection.opening.iter().cloned().chain(clue.evidence).collect();
        Clue {
            up: Some(key.id),
            down: connection.other,
            stream: connection.stream,
            cluster: connection.cluster.clone(),
            upstream: connection.address.clone(),
            client: downstream.and_then(|own| own.address.clone()),
            request_id: downstream.and_then(|own| own.stream(connection.stream)?.request_id.clone()),
            protocol: downstream.and_then(|own| if own.tcp { Some("tcp") } else { connection.stream.map(|_| "http") }),
            waited: clue.waited.or(waited),
            connected: clue.connected.or(Some(connection.used)),
            moments: connection.moments.iter().chain(&clue.moments).cloned().collect(),
            evidence,
            ..clue
        }
    }

    /// Adds a clue about a downstream connection's request or session.
    fn of_downstream(&mut self, key: ConnectionKey, stream: Option<u64>, clue: Clue) {
        let Some(connection) = self.connections.get(key) else {
            self.add(Clue { down: Some(key.id), stream, ..clue });
            return;
        };
        let known = connection.stream(stream);
        let cluster = known.and_then(|known| known.cluster.clone()).or_else(|| connection.cluster.clone());
        let upstream = connection
            .other
            .and_then(|id| self.connections.get(ConnectionKey { id, ..key }))
            .filter(|own| own.upstream && own.attached.is_some_and(|(_, down, own)| down == key.id && own == stream));
        let clue = Clue {
            down: Some(key.id),
            stream,
            client: connection.address.clone(),
            cluster: clue.cluster.clone().or(cluster),
            upstream: upstream.and_then(|own| own.address.clone()),
            request_id: known.and_then(|known| known.request_id.clone()),
            protocol: if connection.tcp { Some("tcp") } else { stream.map(|_| "http") },
            moments: connection.moments.iter().chain(&clue.moments).cloned().collect(),
            ..clue
        };
        self.add(clue);
    }

    /// Adds a clue about whatever its thread does at the moment.
    fn in_context(&mut self, log: u32, thread: u64, clue: Clue) {
        let context = self.current(log, thread, clue.time);
        match context.and_then(|context| Some((context.down?, context.stream, context.cluster.clone()))) {
            Some((down, stream, cluster)) => {
                let key = ConnectionKey { source: log, thread, id: down };
                self.of_downstream(key, stream, Clue { cluster, ..clue });
            }
            None => {
                self.add(clue);
            }
        }
    }

    fn connect_timeout(&mut self, key: ConnectionKey, log: u32, record: &LogRecord, line: &ProxyLine) {
        let clue = self.clue(log, record, line, Verdict::certain(Cause::ConnectTimeout));
        // The TCP proxy says it again, of the connection it serves.
        if line.logger == "filter" && !self.connections.get(key).is_some_and(|own| own.upstream) {
            return self.of_downstream(key, None, clue);
        }
        let connected = self.connections.get(key).and_then(|own| own.connected).is_some();
        let clue = self.of_upstream(key, record, Clue { connected: Some(false), ..clue });
        self.decided(key, Clue { connected: Some(connected), ..clue });
    }

    fn connect_error(&mut self, key: ConnectionKey, log: u32, record: &LogRecord, line: &ProxyLine, message: &str) {
        let verdict = decide::transport(message).unwrap_or(Verdict::UNKNOWN);
        let clue = self.clue(log, record, line, verdict);
        let clue = self.of_upstream(key, record, Clue { reason: Some(clip(message, 200).into()), ..clue });
        self.decided(key, Clue { connected: Some(false), ..clue });
    }

    fn decided(&mut self, key: ConnectionKey, clue: Clue) {
        if let Some(connection) = self.connections.get_mut(key) {
            connection.decided = true;
        }
        self.add(clue);
    }

    fn tls_error(&mut self, key: ConnectionKey, log: u32, record: &LogRecord, line: &ProxyLine, error: &str) {
        let verdict = decide::transport(error).unwrap_or(Verdict::certain(Cause::TlsFailure));
        let clue = Clue { reason: Some(clip(error, 300).into()), ..self.clue(log, record, line, verdict) };
        if self.connections.get(key).is_some_and(|own| own.upstream) {
            let clue = self.of_upstream(key, record, clue);
            return self.decided(key, Clue { connected: Some(false), ..clue });
        }
        self.of_downstream(key, None, Clue { inbound: true, connected: Some(false), ..clue });
    }

    /// The pool's last word on a connection. An empty reason says little: a connect timeout, a response timeout and
    /// an idle connection end with identical lines.
    fn disconnected(&mut self, key: ConnectionKey, log: u32, record: &LogRecord, line: &ProxyLine, reason: &str) {
        if !reason.is_empty() {
            let verdict = decide::transport(reason).unwrap_or(Verdict::UNKNOWN);
            let clue = Clue { reason: Some(clip(reason, 300).into()), ..self.clue(log, record, line, verdict) };
            let clue = self.of_upstream(key, record, clue);
            return self.decided(key, Clue { connected: Some(false), ..clue });
        }
        let Some(connection) = self.connections.get(key) else { return };
        let Some(started) = connection.started else { return };
        let cancelled = self
            .threads
            .get(&(log, key.thread))
            .and_then(|context| context.cancelled)
            .is_some_and(|cancelled| cancelled >= started);
        if connection.used || connection.decided || connection.remote_close || cancelled {
            return;
        }
        let waited = record.time.and_then(|now| Duration::try_from(now.duration_since(started)).ok());
        let timeout = connection.cluster.as_deref().and_then(|cluster| self.options.timeouts.get(cluster));
        let fits = waited.is_some_and(|waited| match timeout {
            Some(timeout) => decide::multiple(waited, *timeout) == Some(1),
            None => decide::suggested(waited).is_some(),
        });
        let verdict = if fits { Verdict::probable(Cause::ConnectTimeout) } else { Verdict::UNKNOWN };
        let clue = self.clue(log, record, line, verdict);
        let clue = self.of_upstream(key, record, clue);
        self.decided(key, Clue { connected: Some(false), ..clue });
    }

    fn closing(&mut self, key: ConnectionKey, log: u32, record: &LogRecord, line: &ProxyLine, by_peer: bool) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.note(key.id, record.time, record.line, &line.message);
        let upstream = connection.upstream;
        let other = connection.other.map(|id| ConnectionKey { id, ..key });
        // With half-close, as the TCP proxy has it, the peer's FIN is no end: only a reset closes from its side.
        let reset = by_peer
            && upstream
            && connection.connected.is_some()
            && connection.attached.is_some()
            && !connection.remote_close
            && !connection.decided;
        let serves_tcp = other.and_then(|key| self.connections.get(key)).is_some_and(|own| own.tcp && !own.closed);
        let session =
            !upstream && !by_peer && self.connections.get(key).is_some_and(|own| own.tcp && own.other.is_some());
        self.connections.close(key, record.time);
        if reset && serves_tcp {
            let clue = self.clue(log, record, line, Verdict::probable(Cause::UpstreamClosedConnection));
            let clue = self.of_upstream(key, record, clue);
            return self.decided(key, Clue { connected: Some(true), ..clue });
        }
        let drained = match (self.logs[log as usize].drained, record.time) {
            (Some(then), Some(now)) => (0..200).contains(&(now.as_millisecond() - then.as_millisecond())),
            _ => false,
        };
        let explained = self.pending.of_downstream(log, key.thread, key.id, None);
        let unexplained = explained.is_none();
        if let Some(failure) = explained {
            failure.open = false;
        }
        if session && drained && unexplained {
            let clue = self.clue(log, record, line, Verdict::probable(Cause::ServerProxyConfigChange));
            self.of_downstream(key, None, Clue { connected: Some(true), ..clue });
        }
    }

    /// A connection ended while requests were on it.
    fn cut_off(&mut self, key: ConnectionKey, log: u32, record: &LogRecord, line: &ProxyLine) {
        let Some(connection) = self.connections.get(key) else { return };
        let down = connection.other.map(|id| ConnectionKey { id, ..key });
        let answered = down
            .and_then(|down| self.connections.get(down)?.stream(connection.stream))
            .is_some_and(|stream| stream.headers);
        let idle = connection
            .last_response
            .zip(record.time)
            .and_then(|(last, now)| Duration::try_from(now.duration_since(last)).ok());
        let verdict = match connection.protocol_error {
            Some(true) if answered => Verdict::certain(Cause::UpstreamClosedConnection),
            Some(true) => Verdict::probable(Cause::UpstreamClosedConnection),
            Some(false) => Verdict::certain(Cause::UpstreamProtocolError),
            // Envoy closed it: why is said elsewhere.
            None if connection.moments.iter().any(|moment| &*moment.what == "closing socket: 1") => return,
            None if !connection.used => return,
            None if connection.reused && !answered => Verdict::probable(Cause::UpstreamClosedIdleConnection),
            None => Verdict::probable(Cause::UpstreamClosedConnection),
        };
        let clue = self.clue(log, record, line, verdict);
        let clue = self.of_upstream(key, record, clue);
        self.decided(key, Clue { connected: Some(true), idle, ..clue });
    }

    /// Whether a connection served nothing before this stream, so that its end is not a keep-alive race: it was
    /// attached once, to this very stream, as soon as it was connected.
    fn is_fresh(&self, key: ConnectionKey, stream: Option<u64>) -> bool {
        let Some(up) = self.connections.get(key).and_then(|own| own.other) else { return false };
        let Some(connection) = self.connections.get(ConnectionKey { id: up, ..key }) else { return false };
        let Some((Some(attached), down, of)) = connection.attached else { return false };
        let at_once = connection
            .connected
            .is_some_and(|connected| (0..=100).contains(&(attached.as_millisecond() - connected.as_millisecond())));
        at_once && !connection.reused && connection.attachments == 1 && down == key.id && of.is_some() && of == stream
    }

    /// `upstream reset: reset reason: REASON, transport failure reason: TRANSPORT`, in its three spellings.
    fn upstream_reset(&mut self, key: ConnectionKey, log: u32, record: &LogRecord, line: &ProxyLine, rest: &str) {
        let rest = rest.trim_start_matches([':', ' ']);
        let (reason, transport) = rest.split_once(", transport failure reason:").unwrap_or((rest, ""));
        let answered = self.connections.get(key).and_then(|own| own.stream(line.stream)).is_none_or(|own| own.headers);
        let Some(mut verdict) = decide::reset(reason, transport, answered) else { return };
        if verdict == Verdict::probable(Cause::UpstreamClosedConnection) && self.is_fresh(key, line.stream) {
            verdict = Verdict::certain(Cause::UpstreamClosedConnection);
        }
        let transport = transport.trim();
        let reason = (!transport.is_empty()).then(|| clip(transport, 300).into());
        let clue = Clue { reason, ..self.clue(log, record, line, verdict) };
        self.of_downstream(key, line.stream, clue);
    }

    fn replied(&mut self, key: ConnectionKey, log: u32, record: &LogRecord, line: &ProxyLine, text: &str) {
        let failure = self.pending.of_downstream(log, key.thread, key.id, line.stream);
        if let Some(failure) = failure {
            failure.open = false;
        }
        let Some(mut verdict) = decide::details(text) else { return };
        let cluster = self.connections.get(key).and_then(|own| own.stream(line.stream)?.cluster.clone());
        if verdict.cause == Cause::NoHealthyUpstream {
            verdict = self.without_hosts(cluster.as_deref());
        }
        let clue = self.clue(log, record, line, verdict);
        self.of_downstream(key, line.stream, clue);
    }

    fn no_host(&mut self, log: u32, record: &LogRecord, line: &ProxyLine) {
        let thread = self.key(log, line.thread, 0).thread;
        let cluster = self.current(log, thread, record.time).and_then(|context| context.cluster.clone());
        let verdict = self.without_hosts(cluster.as_deref());
        let clue = self.clue(log, record, line, verdict);
        self.in_context(log, thread, clue);
    }

    /// A cluster without hosts: the black hole, one whose name does not resolve, or one without endpoints.
    fn without_hosts(&self, cluster: Option<&str>) -> Verdict {
        if decide::is_blackhole(cluster) {
            return Verdict::certain(Cause::Blackhole);
        }
        let host = cluster.and_then(ClusterName::parse).map(|name| name.host);
        if host.is_some_and(|host| self.unresolved.iter().any(|own| &**own == host)) {
            return Verdict::certain(Cause::DnsFailure);
        }
        Verdict::certain(Cause::NoHealthyUpstream)
    }

    /// `dns resolution without records for HOST c-ares status …`, `dns resolution for HOST failed with …`.
    fn dns(&mut self, rest: &str) {
        let failed = rest.contains("without records for ") || rest.contains("failed");
        let host = rest.split_once(" for ").map(|(_, rest)| rest.split([' ', ',']).next().unwrap_or(rest));
        if let Some(host) = host.filter(|_| failed)
            && !self.unresolved.iter().any(|own| &**own == host)
        {
            if self.unresolved.len() >= 1024 {
                self.unresolved.pop_front();
            }
            self.unresolved.push_back(clip(host, 256).into());
        }
    }

    fn headers(&mut self, key: ConnectionKey, log: u32, line: &ProxyLine, message: &str) {
        let Some(stream) = line.stream else { return };
        self.logs[log as usize].headers_of = Some((key.id, stream));
        // JSON layouts have the whole block in the message.
        if let Some((_, rest)) = message.split_once("'x-request-id', '")
            && let Some((request_id, _)) = rest.split_once('\'')
        {
            self.connections.entry(key).stream_mut(stream).request_id = Some(clip(request_id, 128).into());
        }
    }

    fn access(&mut self, log: u32, record: &LogRecord, line: &AccessLine) {
        let timeout = line.cluster.as_deref().and_then(|cluster| self.options.timeouts.get(cluster)).copied();
        let mut verdict = decide::access(line, timeout);
        if verdict.is_some_and(|verdict| verdict.cause == Cause::NoHealthyUpstream) {
            verdict = Some(self.without_hosts(line.cluster.as_deref()));
        }
        let inbound = line.cluster.as_deref().is_some_and(|cluster| cluster.starts_with("inbound"));
        let keys = call_keys(line, inbound);
        let other = self.other_end(log, record, line, inbound, verdict, &keys);
        let Some(verdict) = verdict else { return };
        if verdict.cause == Cause::UpstreamApplicationError {
            // The application answered: it is the other proxy that knows better, where its log was given.
            if other.as_ref().is_some_and(|other| other.cause.is_some_and(|cause| cause != verdict.cause)) {
                return;
            }
        }
        let text = |value: &Option<std::borrow::Cow<str>>| value.as_deref().map(|value| clip(value, 256).into());
        let cluster = line.cluster.as_deref().map(|name| self.name(name));
        let grpc = line.grpc_status.is_some() || (line.code == 200 && line.has_flag("UF"));
        let clue = Clue {
            time: record.time,
            source: log,
            thread: 0,
            verdict: Some(verdict),
            cluster,
            upstream: text(&line.upstream),
            client: text(&line.downstream_remote),
            request_id: text(&line.request_id),
            authority: text(&line.authority).or(text(&line.server_name)),
            protocol: Some(if line.is_tcp() {
                "tcp"
            } else if grpc {
                "grpc"
            } else {
                "http"
            }),
            total: line.duration.map(Duration::from_millis),
            attempts: line.attempts,
            flags: line
                .flags
                .split(',')
                .filter(|flag| !flag.is_empty())
                .take(16)
                .map(|flag| clip(flag, 8).to_owned())
                .collect(),
            connected: line.tells_upstream_local.then_some(line.upstream_local.is_some()),
            reason: text(&line.transport_failure),
            access: true,
            inbound,
            other_end: other,
            evidence: vec![evidence(record)],
            moments: vec![Moment {
                time: record.time,
                line: record.line,
                connection: None,
                what: in_words(line).into(),
            }],
            ..Clue::default()
        };
        let number = self.add(clue);
        for key in keys.iter().flatten() {
            if let Some(end) = self.calls.get_mut(key).filter(|end| end.source == log && end.line == record.line) {
                end.failure = number;
            }
        }
    }

    /// Joins the two ends of a call, by request id or by the addresses of the connection between them.
    fn other_end(
        &mut self,
        log: u32,
        record: &LogRecord,
        line: &AccessLine,
        inbound: bool,
        verdict: Option<Verdict>,
        keys: &[Option<Box<str>>],
    ) -> Option<OtherEnd> {
        let flags = if line.flags.is_empty() { "-" } else { clip(&line.flags, 32) };
        let own = CallEnd {
            source: log,
            inbound,
            line: record.line,
            outcome: format!("{} {flags}", line.code).into(),
            cause: verdict.map(|verdict| verdict.cause),
            failure: None,
        };
        let mut found = None;
        for key in keys.iter().flatten() {
            match self.calls.get(key) {
                Some(other) if other.source != log || other.inbound != inbound => {
                    found = found.or_else(|| Some(other.clone()));
                }
                Some(_) => {}
                None => {
                    // Failures are kept apart: healthy calls are many, and would push them out.
                    let order = &mut self.call_order[usize::from(own.cause.is_some())];
                    if order.len() >= MAX_CALLS
                        && let Some(oldest) = order.pop_front()
                    {
                        self.calls.remove(&oldest);
                    }
                    order.push_back(key.clone());
                    self.calls.insert(key.clone(), own.clone());
                }
            }
        }
        let found = found?;
        // The end that was read first hears of this one.
        let own = self.named(own);
        if let Some(failure) = found.failure.and_then(|number| self.pending.get_mut(number)) {
            failure.clue.other_end.get_or_insert(own);
        }
        Some(self.named(found))
    }

    fn named(&self, end: CallEnd) -> OtherEnd {
        OtherEnd {
            source: self.logs[end.source as usize].name.clone(),
            line: end.line,
            outcome: end.outcome.into(),
            cause: end.cause,
        }
    }

    fn finished(&mut self, failures: Vec<Failure>) -> Vec<Event> {
        let mut events = Vec::with_capacity(failures.len());
        for failure in failures {
            let superseded = failure.verdict.cause == Cause::UpstreamApplicationError
                && failure
                    .clue
                    .other_end
                    .as_ref()
                    .and_then(|other| other.cause)
                    .is_some_and(|cause| cause != failure.verdict.cause);
            if superseded {
                continue;
            }
            let event = self.event(failure);
            self.group(&event);
            events.push(event);
        }
        events
    }

    fn event(&self, failure: Failure) -> Event {
        let Failure { clue, verdict, attempts, began, rescued, .. } = failure;
        let known = clue.cluster.as_deref().and_then(|cluster| self.options.timeouts.get(cluster)).copied();
        let timed_out = verdict.cause == Cause::ConnectTimeout;
        let mut waited = clue.waited;
        let mut tries = clue.attempts.unwrap_or(0).max(u32::try_from(attempts.len()).unwrap_or(u32::MAX)).max(1);
        let mut inferred = None;
        if timed_out {
            if let (None, Some(total)) = (waited, clue.total) {
                // An access log line alone gives the whole call: so many times the timeout, where that is known.
                let fits = known.and_then(|timeout| Some((timeout, decide::multiple(total, timeout)?)));
                if let Some((_, count)) = fits.filter(|_| tries == 1) {
                    tries = count;
                }
                waited = Some(total / tries);
            }
            inferred = waited.and_then(decide::suggested);
        }
        let total = match (clue.total, began, clue.time) {
            (Some(total), ..) => Some(total),
            (None, Some(began), Some(time)) => Duration::try_from(time.duration_since(began)).ok(),
            _ => waited,
        };
        let cluster = clue.cluster.as_deref().map(str::to_owned);
        let name = cluster.as_deref().and_then(ClusterName::parse);
        let direction = clue.inbound.then_some(Direction::Inbound).or(name.as_ref().map(|name| name.direction));
        let host = name.map(|name| name.host).filter(|host| !host.is_empty()).map(str::to_owned);
        let mut evidence = clue.evidence;
        evidence.sort_by_key(|evidence| evidence.line);
        let mut timeline = clue.moments;
        timeline.sort_by_key(|moment| moment.line);
        timeline.dedup_by_key(|moment| moment.line);
        let mut event = Event {
            time: clue.time,
            source: self.logs[clue.source as usize].name.clone(),
            cause: verdict.cause,
            confidence: verdict.confidence,
            host: host.or(clue.authority.map(String::from)),
            cluster,
            upstream: clue.upstream.map(String::from),
            direction,
            protocol: clue.protocol,
            waited,
            attempts: tries,
            total,
            flags: clue.flags,
            connect_timeout: known.or(inferred),
            timeout_inferred: known.is_none() && inferred.is_some(),
            connected: clue.connected,
            rescued,
            explanation: String::new(),
            remedy: String::new(),
            other_end: clue.other_end,
            evidence,
            timeline,
        };
        let words = explain::explain(&event, clue.reason.as_deref(), clue.idle);
        (event.explanation, event.remedy) = words;
        event
    }

    fn group(&mut self, event: &Event) {
        let key = (event.cause, event.cluster.clone(), event.upstream.clone());
        if let Some(&at) = self.groups.get(&key) {
            let entry = &mut self.diagnosis.entries[at];
            entry.occurrences += 1;
            entry.event.confidence = entry.event.confidence.max(event.confidence);
            entry.first = match (entry.first, event.time) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
            entry.last = entry.last.max(event.time);
        } else if self.groups.len() >= MAX_ENTRIES {
            self.diagnosis.ungrouped += 1;
        } else {
            self.groups.insert(key, self.diagnosis.entries.len());
            self.diagnosis.entries.push(DiagnosisEntry {
                event: event.clone(),
                occurrences: 1,
                first: event.time,
                last: event.time,
            });
        }
    }
}

fn evidence(record: &LogRecord) -> Evidence {
    Evidence { line: record.line, text: clip(record.text, 600).into() }
}

/// What both ends of a call write: its request id, and the addresses of the connection between them.
fn call_keys(line: &AccessLine, inbound: bool) -> [Option<Box<str>>; 2] {
    let between = if inbound {
        line.downstream_remote.as_deref().zip(line.downstream_local.as_deref())
    } else {
        line.upstream_local.as_deref().zip(line.upstream.as_deref())
    };
    [
        line.request_id.as_deref().map(|id| clip(id, 128).into()),
        between.map(|(from, to)| format!("{}>{}", clip(from, 128), clip(to, 128)).into()),
    ]
}

/// An access log line as a moment of the connection's life.
fn in_words(line: &AccessLine) -> String {
    let flags = if line.flags.is_empty() { "no flags" } else { clip(&line.flags, 64) };
    let details = line.details.as_deref().map(|details| format!(", {}", clip(details, 120))).unwrap_or_default();
    let duration = line.duration.map(|duration| format!(" after {duration} ms")).unwrap_or_default();
    format!("access log: {} {flags}{details}{duration}", line.code)
}

fn starts_any(text: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| text.starts_with(prefix))
}
