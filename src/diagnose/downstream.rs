//! What is said of clients' connections, and of the requests and sessions on them.

use std::time::Duration;

use crate::model::ClusterName;

use super::cause::{Cause, Verdict};
use super::connections::{ConnectionKey, Side, Use, clip};
use super::decide;
use super::pending::Clue;
use super::threads::ThreadContext;
use super::{Diagnoser, Line};

impl Diagnoser {
    pub(super) fn accepted(&mut self, line: Line<'_>, key: ConnectionKey, from: &str) {
        let known = self.connections.get(key).is_some_and(|own| own.side != Side::Unknown || own.is_closed());
        let connection = if known { self.connections.start(key) } else { self.connections.entry(key) };
        connection.side = Side::Downstream;
        connection.address = (!from.is_empty()).then(|| clip(from, 256).into());
        connection.note(key.id, line.time(), line.record.line, line.line.message);
    }

    pub(super) fn tcp_session(&mut self, key: ConnectionKey) {
        let stale = self.connections.get(key).is_some_and(|own| own.is_closed() || own.is_upstream());
        let connection = if stale { self.connections.start(key) } else { self.connections.entry(key) };
        connection.tcp = true;
    }

    /// A request or session was given its cluster; the next connection this thread makes is for it.
    pub(super) fn routed(&mut self, line: Line<'_>, key: ConnectionKey, stream: Option<u64>, cluster: &str) {
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
        let context = self.threads.context(key.source, key.thread);
        *context = ThreadContext {
            since: Some((line.time(), line.record.line)),
            cluster: Some(cluster),
            down: Some(key.id),
            stream,
            ..std::mem::take(context)
        };
    }

    /// A request or session that was being tried again got through.
    pub(super) fn rescued(&mut self, key: ConnectionKey, stream: Option<u64>) {
        let failure = self.pending.of_downstream(key.source, key.thread, key.id, stream);
        if let Some(failure) = failure.filter(|failure| failure.open) {
            failure.rescued = true;
            failure.open = false;
        }
    }

    pub(super) fn performing_retry(&mut self, line: Line<'_>, key: ConnectionKey) {
        let cluster = self.connections.get(key).and_then(|own| own.stream(line.stream())?.cluster.clone());
        if let Some(failure) = self.pending.of_downstream(line.log, key.thread, key.id, line.stream()) {
            failure.open = true;
        }
        if let Some(cluster) = cluster {
            self.routed(line, key, line.stream(), &cluster);
        }
    }

    pub(super) fn pool_ready(&mut self, line: Line<'_>, key: ConnectionKey) {
        let context = self.threads.context(line.log, line.thread);
        // It has its connection: the next one this thread makes is not for it.
        (context.since, context.down, context.stream) = (None, Some(key.id), line.stream());
        // Only later versions say `Attached upstream connection`.
        if let Some(up) = context.assigned.take() {
            self.attached(line, up, key.id);
        }
    }

    pub(super) fn upstream_headers(&mut self, line: Line<'_>, key: ConnectionKey) {
        if let Some(connection) = self.connections.get_mut(key)
            && let Some(stream) = line.stream()
        {
            connection.stream_mut(stream).headers = true;
        }
        self.rescued(key, line.stream());
    }

    pub(super) fn headers(&mut self, line: Line<'_>, key: ConnectionKey, block: &str) {
        let Some(stream) = line.stream() else { return };
        self.logs[line.log as usize].headers_of = Some((key.id, stream));
        // JSON layouts have the whole block in the message.
        if let Some((_, rest)) = block.split_once("'x-request-id', '")
            && let Some((request_id, _)) = rest.split_once('\'')
        {
            self.connections.entry(key).stream_mut(stream).request_id = Some(clip(request_id, 128).into());
        }
    }

    /// A request failed, as this line alone says.
    pub(super) fn request_failed(&mut self, line: Line<'_>, key: ConnectionKey, verdict: Verdict) {
        self.of_downstream(key, line.stream(), line.clue(verdict));
    }

    /// The proxy ended a session.
    pub(super) fn session_ended(&mut self, line: Line<'_>, key: ConnectionKey, cause: Cause) {
        self.of_downstream(key, None, Clue { connected: Some(true), ..line.clue(Verdict::certain(cause)) });
    }

    pub(super) fn unknown_cluster(&mut self, line: Line<'_>, key: ConnectionKey, cluster: &str) {
        let clue = Clue { cluster: Some(self.name(cluster)), ..line.clue(Verdict::certain(Cause::ClusterNotFound)) };
        if line.line.message.starts_with("Cluster not found") {
            // The TCP proxy's words.
            self.connections.entry(key).tcp = true;
        }
        self.of_downstream(key, line.stream(), clue);
    }

    pub(super) fn stream_reset(&mut self, line: Line<'_>, key: ConnectionKey, reason: &str) {
        let left = reason.starts_with("connection termination")
            && self.connections.get(key).is_some_and(|own| own.side == Side::Downstream && own.left_by_peer());
        if left {
            self.request_failed(line, key, Verdict::probable(Cause::DownstreamDisconnect));
        }
    }

    /// Whether a connection served nothing before this stream, so that its end is not a keep-alive race: it was
    /// attached once, to this very stream, as soon as it was connected.
    fn is_fresh(&self, key: ConnectionKey, stream: Option<u64>) -> bool {
        let Some(up) = self.connections.get(key).and_then(|own| own.other) else { return false };
        let Some(connection) = self.connections.get(ConnectionKey { id: up, ..key }) else { return false };
        let Some((to, attached)) = connection.attached.and_then(|to| Some((to, to.at?))) else { return false };
        let at_once = connection
            .connected
            .is_some_and(|connected| (0..=100).contains(&(attached.as_millisecond() - connected.as_millisecond())));
        at_once
            && connection.usage != Use::Reused
            && connection.attachments == 1
            && to.downstream == key.id
            && to.stream.is_some()
            && to.stream == stream
    }

    /// The router's word on why a request's upstream ended it.
    pub(super) fn upstream_reset(&mut self, line: Line<'_>, key: ConnectionKey, reason: &str, transport: &str) {
        let answered =
            self.connections.get(key).and_then(|own| own.stream(line.stream())).is_none_or(|own| own.headers);
        let Some(mut verdict) = decide::reset(reason, transport, answered) else { return };
        if verdict == Verdict::probable(Cause::UpstreamClosedConnection) && self.is_fresh(key, line.stream()) {
            verdict = Verdict::certain(Cause::UpstreamClosedConnection);
        }
        let reason = (!transport.is_empty()).then(|| clip(transport, 300).into());
        self.of_downstream(key, line.stream(), Clue { reason, ..line.clue(verdict) });
    }

    pub(super) fn replied(&mut self, line: Line<'_>, key: ConnectionKey, text: &str) {
        let failure = self.pending.of_downstream(line.log, key.thread, key.id, line.stream());
        if let Some(failure) = failure {
            failure.open = false;
        }
        let Some(mut verdict) = decide::details(text) else { return };
        let cluster = self.connections.get(key).and_then(|own| own.stream(line.stream())?.cluster.clone());
        if verdict.cause == Cause::NoHealthyUpstream {
            verdict = self.without_hosts(cluster.as_deref(), line.time());
        }
        self.request_failed(line, key, verdict);
    }

    pub(super) fn no_host(&mut self, line: Line<'_>) {
        let context = self.threads.current(line.log, line.thread, line.time(), line.record.line);
        let cluster = context.and_then(|context| context.cluster.clone());
        let verdict = self.without_hosts(cluster.as_deref(), line.time());
        self.in_context(line, verdict);
    }

    /// A cluster without hosts: the black hole, one whose name does not resolve, or one without endpoints.
    pub(super) fn without_hosts(&self, cluster: Option<&str>, now: Option<jiff::Timestamp>) -> Verdict {
        if decide::is_blackhole(cluster) {
            return Verdict::certain(Cause::Blackhole);
        }
        let host = cluster.and_then(ClusterName::parse).map(|name| name.host);
        match host.and_then(|host| self.unresolved.has(host, now)) {
            Some(true) => Verdict::certain(Cause::DnsFailure),
            Some(false) => Verdict::probable(Cause::DnsFailure),
            None => Verdict::certain(Cause::NoHealthyUpstream),
        }
    }

    /// A listener turned a connection away before it had an id.
    pub(super) fn turned_away(&mut self, line: Line<'_>, cause: Cause, from: &str) {
        let client = (!from.is_empty()).then(|| clip(from, 256).into());
        self.add(Clue { client, inbound: true, ..line.clue(Verdict::certain(cause)) });
    }

    pub(super) fn listener_filter_timeout(&mut self, line: Line<'_>, millis: &str) {
        let waited = millis.parse().ok().map(Duration::from_millis);
        self.add(Clue { waited, ..line.clue(Verdict::certain(Cause::ListenerFilterTimeout)) });
    }
}
