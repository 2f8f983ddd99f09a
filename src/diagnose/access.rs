//! What access log lines say.

use std::borrow::Cow;
use std::time::Duration;

use crate::model::{AccessLine, LogRecord};

use super::Diagnoser;
use super::calls::{call_keys, is_inbound};
use super::cause::{Cause, Confidence};
use super::clues::evidence;
use super::connections::clip;
use super::decide;
use super::event::Moment;
use super::pending::Clue;

impl Diagnoser {
    pub(super) fn access(&mut self, log: u32, record: &LogRecord, line: &AccessLine) {
        let timeout = self.timeout(log, line.cluster.as_deref(), record.time);
        let mut verdict = decide::access(line, timeout);
        if verdict.is_some_and(|verdict| verdict.cause == Cause::NoHealthyUpstream) {
            verdict = Some(self.without_hosts(line.cluster.as_deref(), line.start.or(record.time)));
        }
        let inbound = is_inbound(line) == Some(true);
        let keys = call_keys(line);
        let other = self.other_end(log, record, line, verdict, &keys);
        let Some(verdict) = verdict else { return };
        if verdict.cause == Cause::UpstreamApplicationError {
            // The application answered: it is the other proxy that knows better, where its log was given.
            if other.as_ref().is_some_and(|other| other.cause.is_some_and(|cause| cause != verdict.cause)) {
                return;
            }
        }
        fn text<T: for<'s> From<&'s str>>(value: &Option<Cow<str>>) -> Option<T> {
            value.as_deref().map(|value| clip(value, 256).into())
        }
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
            protocol: protocol(line, grpc),
            total: line.duration.map(Duration::from_millis),
            attempts: line.attempts,
            flags: clip(&line.flags, 160).into(),
            connected: line.tells_upstream_local.then_some(line.upstream_local.is_some()),
            reason: text(&line.transport_failure),
            details: if verdict.confidence == Confidence::Unknown { text(&line.details) } else { None },
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
        self.calls.belongs(&keys, log, record.line, number);
    }
}

/// A format without method and protocol does not say what was spoken: a code that only HTTP has does.
fn protocol(line: &AccessLine, grpc: bool) -> Option<&'static str> {
    if grpc {
        Some("grpc")
    } else if !line.is_tcp() || line.code > 0 {
        Some("http")
    } else {
        Some("tcp")
    }
}

/// An access log line as a moment of the connection's life.
fn in_words(line: &AccessLine) -> String {
    let flags = if line.flags.is_empty() { "no flags" } else { clip(&line.flags, 64) };
    let details = line.details.as_deref().map(|details| format!(", {}", clip(details, 120))).unwrap_or_default();
    let duration = line.duration.map(|duration| format!(" after {duration} ms")).unwrap_or_default();
    format!("access log: {} {flags}{details}{duration}", line.code)
}
