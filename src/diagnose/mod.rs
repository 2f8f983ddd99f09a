//! Why connections failed, out of a proxy's log.
//!
//! [`Diagnoser`] takes [`LogRecord`]s one by one, keeps a timeline of each connection, and gives back an [`Event`]
//! for each failed upstream connection or request as soon as its evidence is together: the debug lines of the
//! upstream connection, the request or TCP session it served, and the access log line. It holds a bounded number of
//! connections and failures, so a log may be of any size.
//!
//! What is certain is said by a line of its own; a line that is missing makes the answer less sure, never another.

mod access;
mod calls;
mod cause;
mod clues;
mod conclude;
mod connections;
mod decide;
mod downstream;
mod event;
mod explain;
mod pending;
mod suspects;
mod threads;
mod upstream;

use std::sync::Arc;
use std::time::Duration;

use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};
use jiff::Timestamp;

pub use cause::{Cause, CauseSeverity, Confidence, Verdict};
pub use event::{Diagnosis, DiagnosisEntry, Event, Evidence, LogView, Moment, OtherEnd};
pub use explain::remedy;

use crate::model::{ClusterTimeout, ClusterTimeouts, LogContent, LogRecord, ProxyEvent, ProxyLine};
use calls::Calls;
use clues::evidence;
use connections::{ConnectionKey, Connections, clip};
use pending::Pending;
use suspects::Suspects;
use threads::{Threads, Unresolved};

/// How a log is to be read.
#[derive(Debug, Clone)]
pub struct DiagnoseOptions {
    /// Connect timeouts of the clusters, where a dump or the live proxy told them.
    pub timeouts: ClusterTimeouts,
    /// Connect timeouts of single proxies: see [`Diagnoser::set_timeouts_of`].
    pub of_source: HashMap<String, ClusterTimeouts>,
    /// How long to wait for the access log line of a failure, in time of the log. Envoy writes access logs every
    /// 10 s by default, Istio's every second.
    pub join_window: Duration,
    /// How many connections are kept at most; the oldest is forgotten, and counted.
    pub max_connections: usize,
    /// Whether each failure is given back when its evidence is together. Without, only the first of each group is made,
    /// and the others are counted: making them is most of the work where every line is a failure.
    pub events: bool,
}

impl Default for DiagnoseOptions {
    fn default() -> Self {
        Self {
            timeouts: ClusterTimeouts::new(),
            of_source: HashMap::new(),
            join_window: Duration::from_secs(12),
            max_connections: 50_000,
            events: true,
        }
    }
}

/// Logs that are told apart at most.
const MAX_SOURCES: usize = 4_096;

/// Cluster names that are kept once for all, at most.
const MAX_NAMES: usize = 100_000;

#[derive(Debug, Default)]
struct Log {
    name: String,
    /// What the input was called from which it came.
    input: String,
    /// The proxy whose timeouts are this log's, where there are any of its own.
    proxy: Option<String>,
    last_thread: u64,
    now: Option<Timestamp>,
    drained: Option<Timestamp>,
    /// Whether the record before dumps the headers of this connection's stream.
    headers_of: Option<(u64, u64)>,
}

/// A record of Envoy's application log and where it stands.
#[derive(Debug, Clone, Copy)]
struct Line<'a> {
    log: u32,
    record: &'a LogRecord<'a>,
    line: &'a ProxyLine<'a>,
    /// The thread that wrote it, or wrote last where it does not say.
    thread: u64,
}

impl Line<'_> {
    fn time(&self) -> Option<Timestamp> {
        self.record.time
    }

    /// A connection of the same thread.
    fn key(&self, id: u64) -> ConnectionKey {
        ConnectionKey { source: self.log, thread: self.thread, id }
    }

    fn stream(&self) -> Option<u64> {
        self.line.stream
    }
}

/// Reads a log, record by record.
#[derive(Debug)]
pub struct Diagnoser {
    options: DiagnoseOptions,
    window_ms: i64,
    connections: Connections,
    pending: Pending,
    threads: Threads,
    logs: Vec<Log>,
    log_names: HashMap<String, u32>,
    last_log: u32,
    names: HashSet<Arc<str>>,
    unresolved: Unresolved,
    suspects: Suspects,
    calls: Calls,
    now: Option<Timestamp>,
    line: u64,
    swept: Option<Timestamp>,
    groups: HashMap<conclude::GroupKey, usize>,
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
            threads: Threads::default(),
            logs: vec![Log::default()],
            log_names: HashMap::from_iter([(String::new(), 0)]),
            last_log: 0,
            names: HashSet::new(),
            unresolved: Unresolved::default(),
            suspects: Suspects::default(),
            calls: Calls::default(),
            now: None,
            line: 0,
            swept: None,
            groups: HashMap::new(),
            diagnosis: Diagnosis::default(),
            options,
        }
    }

    /// Takes these as the connect timeouts of the proxy of this name (`NAMESPACE/POD`), before those of all: for the log
    /// of that name, and for the lines of that pod by what their wrapper says.
    pub fn set_timeouts_of(&mut self, proxy: &str, timeouts: ClusterTimeouts) {
        self.options.of_source.insert(proxy.to_owned(), timeouts);
        for log in 0..self.logs.len() {
            self.logs[log].proxy = self.proxy_of(&self.logs[log].input, &self.logs[log].name);
        }
    }

    /// The proxy whose timeouts are those of a log: the input's, or the one whose pod a wrapper names.
    fn proxy_of(&self, input: &str, name: &str) -> Option<String> {
        let known = &self.options.of_source;
        if known.is_empty() || known.contains_key(input) {
            return known.contains_key(input).then(|| input.to_owned());
        }
        let parts: Vec<&str> = name.split(['/', ' ', ':']).collect();
        let pod = |proxy: &&String| proxy.rsplit('/').next().is_some_and(|pod| parts.contains(&pod));
        let namespace = |proxy: &&String| proxy.rsplit('/').nth(1).is_some_and(|namespace| parts.contains(&namespace));
        let mut found: Vec<&String> = known.keys().filter(pod).collect();
        if found.len() > 1 {
            found.retain(namespace);
        }
        match found[..] {
            [one] => Some(one.clone()),
            _ => None,
        }
    }

    /// The connect timeout that a cluster has now in the proxy whose log this is.
    fn present_timeout(&self, log: u32, cluster: Option<&str>) -> Option<ClusterTimeout> {
        let cluster = cluster?;
        let own = self.logs[log as usize].proxy.as_ref().and_then(|proxy| self.options.of_source.get(proxy));
        own.map_or_else(|| self.options.timeouts.get(cluster), |own| own.get(cluster)).copied()
    }

    /// The connect timeout that it had at this time: none where the cluster was changed since.
    fn timeout(&self, log: u32, cluster: Option<&str>, time: Option<Timestamp>) -> Option<Duration> {
        self.present_timeout(log, cluster).filter(|present| present.held_at(time)).map(|present| present.value)
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
                self.diagnosis.view.access_lines += 1;
                self.access(log, record, line);
            }
            LogContent::Continuation => self.continuation(log, record.text),
            LogContent::Unrecognized { of_failure: true } | LogContent::Agent { of_failure: true } => {
                self.unexplained(log, record);
            }
            LogContent::Agent { .. } | LogContent::Foreign | LogContent::Unrecognized { .. } => {}
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

    fn log(&mut self, source: &str, within: &str) -> u32 {
        let within = clip(within, 256);
        let same = {
            let name = &self.logs[self.last_log as usize].name;
            if within.is_empty() {
                // Mostly both are empty, which comparing the bytes of is slow.
                name.len() == source.len() && (name.is_empty() || name == source)
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
                let proxy = self.proxy_of(source, &name);
                self.logs.push(Log { name, input: source.to_owned(), proxy, ..Log::default() });
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

    /// Keeps a record that speaks of a failure and is not understood, until it is known what was diagnosed around it.
    fn unexplained(&mut self, log: u32, record: &LogRecord) {
        self.suspects.add(log, record.time, evidence(record));
    }

    /// Header dumps say which request a stream carries.
    fn continuation(&mut self, log: u32, text: &str) {
        let Some((id, stream)) = self.logs[log as usize].headers_of else { return };
        if let Some(request_id) = text.strip_prefix("'x-request-id', '").and_then(|rest| rest.strip_suffix('\'')) {
            let thread = self.logs[log as usize].last_thread;
            let key = ConnectionKey { source: log, thread, id };
            self.connections.entry(key).stream_mut(stream).request_id = Some(clip(request_id, 128).into());
        }
    }

    fn proxy(&mut self, log: u32, record: &LogRecord, line: &ProxyLine) {
        if line.thread != 0 {
            self.logs[log as usize].last_thread = line.thread;
        }
        if let ProxyEvent::Other { of_failure } = line.event {
            if of_failure {
                self.unexplained(log, record);
            }
            return;
        }
        if line.connection.is_some() {
            self.diagnosis.view.connection_lines += 1;
        }
        // A record whose layout puts the thread on its last line is of the thread that wrote before.
        let thread = if line.thread == 0 { self.logs[log as usize].last_thread } else { line.thread };
        let line = Line { log, record, line, thread };
        match line.line.connection {
            Some(id) => self.on_connection(line, line.key(id)),
            None => self.on_thread(line),
        }
    }

    /// Messages that name a connection.
    fn on_connection(&mut self, line: Line<'_>, key: ConnectionKey) {
        use ProxyEvent as E;
        match line.line.event {
            E::Connecting { address } => self.connecting(line, key, address.trim()),
            E::Connected => self.connected(line, key),
            E::ConnectTimeout => self.connect_timeout(line, key),
            E::ConnectError { .. } => self.connect_error(line, key),
            E::NoLocalPort => self.connect_error(line, key),
            E::TlsError { reason } => self.tls_error(line, key, reason),
            E::ClosingSocket { by_peer } => self.closing(line, key, by_peer),
            E::RemoteClose => self.remote_close(line, key),
            E::ClientDisconnected { reason } => self.disconnected(line, key, reason),
            E::Disconnect { requests } if requests != "0" => self.cut_off(line, key),
            E::CreatingStream => {
                self.connections.entry(key).used();
                self.threads.context(line.log, line.thread).assigned = Some(key.id);
            }
            E::UsingExisting => {
                let connection = self.connections.entry(key);
                connection.usage = connections::Use::Reused;
                connection.note(key.id, line.time(), line.record.line, line.line.message);
            }
            E::AttachingToNext => self.connections.entry(key).used(),
            E::ResponseComplete => {
                if let Some(connection) = self.connections.get_mut(key) {
                    connection.last_response = line.time();
                }
            }
            E::BadResponse { error } => self.bad_response(line, key, error),
            E::StreamClosed { error } => self.stream_closed(key, error),
            E::RequestReset => self.request_reset(line, key),
            E::HealthCheckFailed => self.health_check_failed(line, key),
            E::RoutedTo { cluster } => self.routed(line, key, line.stream(), cluster),
            E::CreatingConnection { cluster } => {
                self.connections.entry(key).tcp = true;
                self.routed(line, key, None, cluster);
            }
            E::PoolReady => self.pool_ready(line, key),
            E::UpstreamReset { reason, transport } => self.upstream_reset(line, key, reason, transport),
            E::UpstreamTimeout => self.request_failed(line, key, Verdict::certain(Cause::UpstreamResponseTimeout)),
            E::UpstreamHeaders => self.upstream_headers(line, key),
            E::UnknownCluster { cluster } => self.unknown_cluster(line, key, cluster),
            E::LocalReply { details } => self.replied(line, key, details),
            E::RequestHeaders { block } => self.headers(line, key, block),
            E::StreamReset { reason } => self.stream_reset(line, key, reason),
            E::PerformingRetry => self.performing_retry(line, key),
            E::SessionTimedOut => self.session_ended(line, key, Cause::TcpIdleTimeout),
            E::MaxDuration => self.session_ended(line, key, Cause::MaxDurationReached),
            E::ConnectionLimit { .. } => self.session_ended(line, key, Cause::ConnectionLimit),
            E::AccessDenied { .. } => self.request_failed(line, key, Verdict::certain(Cause::RbacDenied)),
            E::NewConnection { from } => self.accepted(line, key, from),
            E::NewTcpSession => self.tcp_session(key),
            E::NoHealthyHost => self.no_host(line),
            E::Overflow { .. } => self.in_context(line, Verdict::certain(Cause::Overflow)),
            _ => {}
        }
    }

    /// Messages that name no connection: they are about what their thread does at the moment.
    fn on_thread(&mut self, line: Line<'_>) {
        use ProxyEvent as E;
        match line.line.event {
            E::AttachedUpstream { upstream, downstream } => {
                if let (Ok(upstream), Ok(downstream)) = (upstream.parse(), downstream.parse()) {
                    self.attached(line, upstream, downstream);
                }
            }
            E::Overflow { .. } => self.in_context(line, Verdict::certain(Cause::Overflow)),
            E::NoHealthyHost => self.no_host(line),
            E::AccessDenied { .. } => self.in_context(line, Verdict::certain(Cause::RbacDenied)),
            E::CancellingPending => self.threads.context(line.log, line.thread).cancelled = line.time(),
            E::NoFilterChain { from } => self.turned_away(line, Cause::NoFilterChain, from),
            E::ConnectionLimit { from } => self.turned_away(line, Cause::ConnectionLimit, from),
            E::ListenerFilterTimeout { millis } => self.listener_filter_timeout(line, millis),
            E::DnsFailed { host } => self.unresolved.failed(host, line.time(), true),
            E::DnsEmpty { host } => self.unresolved.failed(host, line.time(), false),
            E::DnsCompleted { host } => self.unresolved.resolved(host),
            E::DnsCacheOverflow => self.in_context(line, Verdict::certain(Cause::Overflow)),
            E::NoLocalPort => self.in_context(line, Verdict::certain(Cause::LocalPortExhausted)),
            E::FilterChainsRemoved => self.logs[line.log as usize].drained = line.time(),
            E::ProcessStarted => self.connections.forget(line.log),
            _ => {}
        }
    }
}
