//! What is said of upstream connections.

use std::time::Duration;

use crate::model::ProxyEvent;

use super::cause::{Cause, Verdict};
use super::clues::evidence;
use super::connections::{Attachment, BadResponse, ConnectionKey, Ending, Side, Use, clip};
use super::decide;
use super::pending::Clue;
use super::{Diagnoser, Line};

impl Diagnoser {
    pub(super) fn connecting(&mut self, line: Line<'_>, key: ConnectionKey, address: &str) {
        let (cluster, down, stream) = self
            .threads
            .current(key.source, key.thread, line.time(), line.record.line)
            .map(|context| (context.cluster.clone(), context.down, context.stream))
            .unwrap_or_default();
        let connection = self.connections.start(key);
        connection.side = Side::Upstream;
        connection.started = line.time();
        connection.address = Some(clip(address, 256).into());
        connection.cluster = cluster;
        connection.other = down;
        connection.stream = stream;
        connection.note(key.id, line.time(), line.record.line, line.line.message);
        connection.opening = Some(evidence(line.record));
    }

    pub(super) fn connected(&mut self, line: Line<'_>, key: ConnectionKey) {
        let connection = self.connections.entry(key);
        if connection.connected.is_none() {
            connection.connected = line.time();
            connection.used();
            connection.note(key.id, line.time(), line.record.line, line.line.message);
        }
    }

    pub(super) fn attached(&mut self, line: Line<'_>, up: u64, down: u64) {
        let context = self.threads.get(line.log, line.thread).filter(|context| context.down == Some(down));
        let stream = context.and_then(|context| context.stream);
        let down_key = line.key(down);
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
        let connection = self.connections.entry(line.key(up));
        connection.side = Side::Upstream;
        connection.used();
        connection.other = Some(down);
        connection.stream = stream;
        connection.cluster = cluster.or(connection.cluster.take());
        if !connection.attached.is_some_and(|to| to.downstream == down && to.stream == stream) {
            connection.attachments += 1;
            connection.attached = Some(Attachment { at: line.time(), downstream: down, stream });
        }
    }

    pub(super) fn connect_timeout(&mut self, line: Line<'_>, key: ConnectionKey) {
        let clue = line.clue(Verdict::certain(Cause::ConnectTimeout));
        let own = self.connections.get(key);
        // The TCP proxy says it again, of the connection it serves.
        let of_client = match &*line.line.logger {
            "filter" => !own.is_some_and(|own| own.is_upstream()),
            // A layout without loggers.
            "" => own.is_some_and(|own| own.tcp && !own.is_upstream()),
            _ => false,
        };
        if of_client {
            return self.of_downstream(key, None, clue);
        }
        let connected = own.and_then(|own| own.connected).is_some();
        let clue = self.of_upstream(key, Clue { connected: Some(false), ..clue });
        self.decided(key, Clue { connected: Some(connected), ..clue });
    }

    pub(super) fn connect_error(&mut self, line: Line<'_>, key: ConnectionKey) {
        let message = line.line.message;
        let verdict = match line.line.event {
            ProxyEvent::NoLocalPort => Verdict::certain(Cause::LocalPortExhausted),
            _ => decide::transport(message).unwrap_or(Verdict::UNKNOWN),
        };
        let clue = Clue { reason: Some(clip(message, 200).into()), ..line.clue(verdict) };
        let clue = self.of_upstream(key, clue);
        self.decided(key, Clue { connected: Some(false), ..clue });
    }

    pub(super) fn tls_error(&mut self, line: Line<'_>, key: ConnectionKey, error: &str) {
        let verdict = decide::transport(line.line.message).unwrap_or(Verdict::certain(Cause::TlsFailure));
        let clue = Clue { reason: Some(clip(error, 300).into()), ..line.clue(verdict) };
        if self.connections.get(key).is_some_and(|own| own.is_upstream()) {
            let clue = self.of_upstream(key, clue);
            return self.decided(key, Clue { connected: Some(false), ..clue });
        }
        self.of_downstream(key, None, Clue { inbound: true, connected: Some(false), ..clue });
    }

    /// The pool's last word on a connection. An empty reason says little: a connect timeout, a response timeout and
    /// an idle connection end with identical lines.
    pub(super) fn disconnected(&mut self, line: Line<'_>, key: ConnectionKey, reason: &str) {
        if !reason.is_empty() {
            let verdict = decide::transport(reason).unwrap_or(Verdict::UNKNOWN);
            let clue = Clue { reason: Some(clip(reason, 300).into()), ..line.clue(verdict) };
            let clue = self.of_upstream(key, clue);
            return self.decided(key, Clue { connected: Some(false), ..clue });
        }
        let Some(connection) = self.connections.get(key) else { return };
        let Some(started) = connection.started else { return };
        let cancelled = self
            .threads
            .get(line.log, key.thread)
            .and_then(|context| context.cancelled)
            .is_some_and(|cancelled| cancelled >= started);
        if connection.is_used() || connection.decided || connection.left_by_peer() || cancelled {
            return;
        }
        let waited = line.time().and_then(|now| Duration::try_from(now.duration_since(started)).ok());
        let timeout = self.timeout(line.log, connection.cluster.as_deref(), line.time());
        let fits = waited.is_some_and(|waited| match timeout {
            Some(timeout) => decide::multiple(waited, timeout) == Some(1),
            None => decide::suggested(waited).is_some(),
        });
        // The connect timeout closes from Envoy's side; what the peer closed did not run into it.
        let by_envoy = matches!(connection.ending, Ending::Closed { by_peer: false, .. });
        let verdict = if fits && by_envoy { Verdict::probable(Cause::ConnectTimeout) } else { Verdict::UNKNOWN };
        let clue = self.of_upstream(key, line.clue(verdict));
        self.decided(key, Clue { connected: Some(false), ..clue });
    }

    pub(super) fn remote_close(&mut self, line: Line<'_>, key: ConnectionKey) {
        if let Some(connection) = self.connections.get_mut(key) {
            if connection.ending == Ending::Open {
                connection.ending = Ending::HalfClosed;
            }
            connection.note(key.id, line.time(), line.record.line, line.line.message);
        }
    }

    pub(super) fn closing(&mut self, line: Line<'_>, key: ConnectionKey, by_peer: bool) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.note(key.id, line.time(), line.record.line, line.line.message);
        let upstream = connection.is_upstream();
        let other = connection.other.map(|id| ConnectionKey { id, ..key });
        // With half-close, as the TCP proxy has it, the peer's FIN is no end: only a reset closes from its side.
        let reset = by_peer
            && upstream
            && connection.connected.is_some()
            && connection.attached.is_some()
            && connection.ending == Ending::Open
            && !connection.decided;
        let session = !upstream && !by_peer && connection.tcp && other.is_some();
        let serves_tcp = other.and_then(|key| self.connections.get(key)).is_some_and(|own| own.tcp && !own.is_closed());
        self.connections.close(key, line.time(), by_peer);
        if reset && serves_tcp {
            let clue = self.of_upstream(key, line.clue(Verdict::probable(Cause::UpstreamClosedConnection)));
            return self.decided(key, Clue { connected: Some(true), ..clue });
        }
        let drained = match (self.logs[line.log as usize].drained, line.time()) {
            (Some(then), Some(now)) => (0..200).contains(&(now.as_millisecond() - then.as_millisecond())),
            _ => false,
        };
        let explained = self.pending.of_downstream(line.log, key.thread, key.id, None);
        let unexplained = explained.is_none();
        if let Some(failure) = explained {
            failure.open = false;
        }
        if session && drained && unexplained {
            let clue = line.clue(Verdict::probable(Cause::ServerProxyConfigChange));
            self.of_downstream(key, None, Clue { connected: Some(true), ..clue });
        }
    }

    pub(super) fn bad_response(&mut self, line: Line<'_>, key: ConnectionKey, error: &str) {
        if !error.is_empty()
            && let Some(connection) = self.connections.get_mut(key)
        {
            let cut = error.contains("HPE_INVALID_EOF_STATE");
            connection.bad_response = Some(if cut { BadResponse::Cut } else { BadResponse::Malformed });
            connection.note(key.id, line.time(), line.record.line, line.line.message);
        }
    }

    /// A connection ended while requests were on it.
    pub(super) fn cut_off(&mut self, line: Line<'_>, key: ConnectionKey) {
        let Some(connection) = self.connections.get(key) else { return };
        if connection.decided {
            return;
        }
        let down = connection.other.map(|id| ConnectionKey { id, ..key });
        let answered = down
            .and_then(|down| self.connections.get(down)?.stream(connection.stream))
            .is_some_and(|stream| stream.headers);
        let idle = connection
            .last_response
            .zip(line.time())
            .and_then(|(last, now)| Duration::try_from(now.duration_since(last)).ok());
        let verdict = match connection.bad_response {
            Some(BadResponse::Cut) if answered => Verdict::certain(Cause::UpstreamClosedConnection),
            Some(BadResponse::Cut) => Verdict::probable(Cause::UpstreamClosedConnection),
            Some(BadResponse::Malformed) => Verdict::certain(Cause::UpstreamProtocolError),
            // Envoy closed it: why is said elsewhere.
            None if matches!(connection.ending, Ending::Closed { by_peer: false, .. }) => return,
            None if !connection.is_used() => return,
            None if connection.usage == Use::Reused && !answered => {
                Verdict::probable(Cause::UpstreamClosedIdleConnection)
            }
            None => Verdict::probable(Cause::UpstreamClosedConnection),
        };
        let clue = self.of_upstream(key, line.clue(verdict));
        self.decided(key, Clue { connected: Some(true), idle, ..clue });
    }

    /// An HTTP/2 stream ended; 0 is no error, and 8 (CANCEL) is what the proxy itself sends when its client has left.
    pub(super) fn stream_closed(&mut self, key: ConnectionKey, error: &str) {
        if let Some(connection) = self.connections.get_mut(key).filter(|own| own.is_upstream()) {
            connection.stream_error = !matches!(error, "0" | "8");
        }
    }

    /// The codec reset a request: the upstream's doing where its stream ended with an error, and nothing before says
    /// otherwise.
    pub(super) fn request_reset(&mut self, line: Line<'_>, key: ConnectionKey) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if !std::mem::take(&mut connection.stream_error) || connection.decided {
            return;
        }
        let (other, stream) = (connection.other, connection.stream);
        let explained = other.is_some_and(|id| self.pending.of_downstream(line.log, key.thread, id, stream).is_some());
        if !explained {
            let clue = self.of_upstream(key, line.clue(Verdict::probable(Cause::UpstreamResetStream)));
            self.add(Clue { connected: Some(true), ..clue });
        }
    }

    pub(super) fn health_check_failed(&mut self, line: Line<'_>, key: ConnectionKey) {
        let clue = Clue { health_check: true, ..line.clue(Verdict::certain(Cause::HealthCheckFailed)) };
        let clue = self.of_upstream(key, clue);
        self.add(clue);
    }
}
