//! Clues out of single lines: what is known of the connection, the request or the thread that a line is about.

use std::time::Duration;

use crate::model::LogRecord;

use super::cause::Verdict;
use super::connections::{ConnectionKey, clip};
use super::event::{Evidence, Moment};
use super::pending::Clue;
use super::{Diagnoser, Line};

pub(super) fn evidence(record: &LogRecord) -> Evidence {
    Evidence { line: record.line, text: clip(record.text, 600).into() }
}

impl Line<'_> {
    /// A clue that this line gives.
    pub(super) fn clue(&self, verdict: Verdict) -> Clue {
        Clue {
            time: self.time(),
            source: self.log,
            thread: self.thread,
            verdict: Some(verdict),
            evidence: vec![evidence(self.record)],
            moments: vec![Moment {
                time: self.time(),
                line: self.record.line,
                connection: self.line.connection,
                what: clip(self.line.message, 200).into(),
            }],
            ..Clue::default()
        }
    }
}

impl Diagnoser {
    pub(super) fn add(&mut self, clue: Clue) -> Option<u64> {
        self.pending.add(clue, self.line, self.window_ms)
    }

    /// What is known of an upstream connection, for a clue about it.
    pub(super) fn of_upstream(&self, key: ConnectionKey, clue: Clue) -> Clue {
        let Some(connection) = self.connections.get(key) else { return Clue { up: Some(key.id), ..clue } };
        let downstream = connection.other.and_then(|id| self.connections.get(ConnectionKey { id, ..key }));
        let waited = match (connection.started, clue.time) {
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
            connected: clue.connected.or(Some(connection.is_used())),
            moments: connection.moments.iter().chain(&clue.moments).cloned().collect(),
            evidence,
            ..clue
        }
    }

    /// Adds a clue about a downstream connection's request or session.
    pub(super) fn of_downstream(&mut self, key: ConnectionKey, stream: Option<u64>, clue: Clue) {
        let Some(connection) = self.connections.get(key) else {
            self.add(Clue { down: Some(key.id), stream, ..clue });
            return;
        };
        let known = connection.stream(stream);
        let cluster = known.and_then(|known| known.cluster.clone()).or_else(|| connection.cluster.clone());
        let upstream =
            connection.other.and_then(|id| self.connections.get(ConnectionKey { id, ..key })).filter(|own| {
                own.is_upstream() && own.attached.is_some_and(|to| to.downstream == key.id && to.stream == stream)
            });
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

    /// Adds a clue about whatever the line's thread does at the moment.
    pub(super) fn in_context(&mut self, line: Line<'_>, verdict: Verdict) {
        let clue = line.clue(verdict);
        let context = self.threads.current(line.log, line.thread, line.time(), line.record.line);
        match context.and_then(|context| Some((context.down?, context.stream, context.cluster.clone()))) {
            Some((down, stream, cluster)) => self.of_downstream(line.key(down), stream, Clue { cluster, ..clue }),
            None => {
                self.add(clue);
            }
        }
    }

    /// Adds a clue that decides why an upstream connection failed.
    pub(super) fn decided(&mut self, key: ConnectionKey, clue: Clue) {
        if let Some(connection) = self.connections.get_mut(key) {
            connection.decided = true;
        }
        self.add(clue);
    }
}
