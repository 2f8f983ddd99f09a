//! What a diagnosis is made of.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::cause::{Cause, Confidence};
use crate::model::Direction;

/// A line that proves something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The line's number in its input.
    pub line: u64,
    /// The line, cut at 600 bytes.
    pub text: Arc<str>,
}

/// What happened on a connection, when, and the line that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// When it happened, where the line has a time.
    pub time: Option<Timestamp>,
    /// The line's number in its input.
    pub line: u64,
    /// Envoy's id of the connection it is about; `None` for an access log line.
    pub connection: Option<u64>,
    /// The message, cut at 200 bytes.
    pub what: Arc<str>,
}

/// What the other proxy of the same call wrote, when its log was given, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherEnd {
    /// Its log.
    pub source: String,
    /// The line's number there.
    pub line: u64,
    /// Its response code and flags.
    pub outcome: String,
    /// Why it failed, as that log has it.
    pub cause: Option<Cause>,
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
    /// The connect timeout that the cluster has now, and since when, where that is after this failure.
    pub changed: Option<(Duration, Timestamp)>,
    /// Whether the connection was established before it failed.
    pub connected: Option<bool>,
    /// Whether a later try of the same request succeeded.
    pub rescued: bool,
    /// Whether it failed while no request or session of a client was on it, as far as the log shows: a health check, or
    /// the proxy's own connection to its control plane.
    pub own: bool,
    /// The line that names the cause.
    pub proof: Option<Evidence>,
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

impl Event {
    /// An event of which nothing is known but its cause.
    pub(super) fn of(cause: Cause) -> Self {
        Self {
            time: None,
            source: String::new(),
            cause,
            confidence: Confidence::Certain,
            cluster: None,
            upstream: None,
            host: None,
            direction: None,
            protocol: None,
            waited: None,
            attempts: 1,
            total: None,
            flags: Vec::new(),
            connect_timeout: None,
            timeout_inferred: false,
            changed: None,
            connected: None,
            rescued: false,
            own: false,
            proof: None,
            explanation: String::new(),
            remedy: String::new(),
            other_end: None,
            evidence: Vec::new(),
            timeline: Vec::new(),
        }
    }
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
    /// Records that speak of a failure and led to no diagnosis.
    pub unexplained: u64,
    /// The first of them.
    pub unexplained_line: Option<Evidence>,
    /// What the log can show of failures at all.
    pub view: LogView,
}

/// What a log shows of failures, whether there were any or not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogView {
    /// Lines of an access log.
    pub access_lines: u64,
    /// Records of Envoy at debug or trace, where connections are spoken of.
    pub connection_lines: u64,
}

impl LogView {
    /// Whether a failed connection would have left a line in this log.
    #[must_use]
    pub fn shows_failures(self) -> bool {
        self.access_lines > 0 || self.connection_lines > 0
    }
}
