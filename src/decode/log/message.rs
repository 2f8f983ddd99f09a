//! Envoy's sentences as data: one row a sentence, with the file of Envoy it stands in and the versions it was seen in.
//!
//! [`parse`] turns the message of a record into a [`ProxyEvent`]. A new version of Envoy means new rows, and nothing
//! else in the program reads the words.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use regex::Regex;

use crate::model::ProxyEvent;

/// One sentence. `{}` stands for any text; one at the end takes the rest.
#[derive(Debug)]
pub struct Sentence {
    /// In Envoy's words.
    pub words: &'static str,
    make: for<'a> fn([&'a str; 2]) -> ProxyEvent<'a>,
    /// The file it stands in, below Envoy's `source/`.
    pub file: &'static str,
    /// The versions of Envoy it was seen in, as far as logs and binaries at hand show.
    pub seen: &'static str,
}

macro_rules! sentences {
    ($($words:literal, $file:literal, $seen:literal => $pattern:pat => $event:expr;)*) => {
        &[$( Sentence { words: $words, make: |found| { let $pattern = found; $event }, file: $file, seen: $seen } ),*]
    };
}

use ProxyEvent as E;

/// Every sentence, the special before the general.
pub const SENTENCES: &[Sentence] = sentences! {
    "connecting to {}", "common/network/connection_impl.cc", "1.4-1.40" => [address, _] => E::Connecting { address };
    "connected", "common/network/connection_impl.cc", "1.4-1.40" => _ => E::Connected;
    "connect timeout", "common/conn_pool/conn_pool_base.cc, common/tcp_proxy/tcp_proxy.cc", "1.4-1.40" => _ => E::ConnectTimeout;
    "connection timeout", "common/tcp/original_conn_pool.cc", "1.12-1.17" => _ => E::ConnectTimeout;
    "delayed connection error: {}", "common/network/connection_impl.cc", "1.4-1.23" => [reason, _] => E::ConnectError { reason };
    "delayed connect error: {}", "common/network/connection_impl.cc", "1.24-1.40" => [reason, _] => E::ConnectError { reason };
    "immediate connection error: {}", "common/network/connection_impl.cc", "1.4-1.23" => [reason, _] => E::ConnectError { reason };
    "immediate connect error: {}", "common/network/connection_impl.cc", "1.24-1.40" => [reason, _] => E::ConnectError { reason };
    "closing socket: 0", "common/network/connection_impl.cc", "1.4-1.40" => _ => E::ClosingSocket { by_peer: true };
    "closing socket: {}", "common/network/connection_impl.cc", "1.4-1.40" => _ => E::ClosingSocket { by_peer: false };
    "remote close{}", "common/network/connection_impl.cc", "1.4-1.40" => _ => E::RemoteClose;
    "remote early close{}", "common/network/connection_impl.cc", "1.4-1.40" => _ => E::RemoteClose;
    "client disconnected, failure reason:{}", "common/conn_pool/conn_pool_base.cc", "1.16-1.40" => [reason, _] => E::ClientDisconnected { reason: reason.trim() };
    "client disconnected", "common/tcp/original_conn_pool.cc", "1.4-1.15" => _ => E::ClientDisconnected { reason: "" };
    "disconnect. resetting {} pending requests", "common/http/codec_client.cc", "1.4-1.40" => [requests, _] => E::Disconnect { requests };
    "cluster '{}' match for URL{}", "common/router/router.cc", "1.4-1.40" => [cluster, _] => E::RoutedTo { cluster };
    "Creating connection to cluster {}", "common/tcp_proxy/tcp_proxy.cc", "1.4-1.40" => [cluster, _] => E::CreatingConnection { cluster: cluster.trim() };
    "creating stream", "common/conn_pool/conn_pool_base.cc", "1.4-1.40" => _ => E::CreatingStream;
    "using existing {}", "common/conn_pool/conn_pool_base.cc", "1.4-1.40" => _ => E::UsingExisting;
    "attaching to next {}", "common/conn_pool/conn_pool_base.cc", "1.10-1.40" => _ => E::AttachingToNext;
    "pool ready", "common/router/upstream_request.cc", "1.4-1.40" => _ => E::PoolReady;
    "Attached upstream connection [C{}] to downstream connection [C{}]{}", "common/tcp_proxy/tcp_proxy.cc", "1.26-1.40" => [upstream, downstream] => E::AttachedUpstream { upstream, downstream };
    "upstream reset: reset reason: {}, transport failure reason:{}", "common/router/router.cc", "1.20-1.40" => [reason, transport] => E::UpstreamReset { reason, transport: transport.trim() };
    "upstream reset: reset reason: {}", "common/router/router.cc", "1.18-1.40" => [reason, _] => E::UpstreamReset { reason, transport: "" };
    "upstream reset: reset reason {}", "common/router/router.cc", "1.4-1.17" => [reason, _] => E::UpstreamReset { reason, transport: "" };
    "upstream timeout{}", "common/router/router.cc", "1.4-1.40" => _ => E::UpstreamTimeout;
    "upstream per try {}", "common/router/upstream_request.cc", "1.4-1.40" => _ => E::UpstreamTimeout;
    "upstream headers complete{}", "common/router/router.cc", "1.4-1.40" => _ => E::UpstreamHeaders;
    "unknown cluster '{}'", "common/router/router.cc", "1.4-1.40" => [cluster, _] => E::UnknownCluster { cluster };
    "Cluster not found {} and no on demand cluster set.", "common/tcp_proxy/tcp_proxy.cc", "1.26-1.40" => [cluster, _] => E::UnknownCluster { cluster };
    "Sending local reply with details {}", "common/http/filter_manager.cc", "1.13-1.40" => [details, _] => E::LocalReply { details };
    "Preparing local reply with details {}", "common/http/filter_manager.cc", "1.18-1.40" => [details, _] => E::LocalReply { details };
    "Resetting stream due to premature {}", "common/router/upstream_codec_filter.cc", "1.40" => _ => E::Ordinary;
    "Resetting stream due to {}. Prior headers{}", "common/http/filter_manager.cc", "1.18-1.40" => [details, _] => E::LocalReply { details };
    "Resetting stream due to {}", "common/http/filter_manager.cc", "1.18-1.40" => [details, _] => E::LocalReply { details };
    "request headers complete{}", "common/http/conn_manager_impl.cc", "1.4-1.40" => [block, _] => E::RequestHeaders { block };
    "router decoding headers{}", "common/router/router.cc", "1.4-1.40" => [block, _] => E::RequestHeaders { block };
    "stream reset: reset reason: {}", "common/http/conn_manager_impl.cc", "1.24-1.40" => [reason, _] => E::StreamReset { reason };
    "performing retry", "common/router/router.cc", "1.4-1.40" => _ => E::PerformingRetry;
    "response complete", "common/http/codec_client.cc", "1.4-1.40" => _ => E::ResponseComplete;
    "request reset", "common/http/codec_client.cc", "1.4-1.40" => _ => E::RequestReset;
    "Request reset. Reason {}", "common/http/codec_client.cc", "1.31-1.40" => _ => E::RequestReset;
    "Error dispatching received data: {}", "common/http/codec_client.cc", "1.17-1.40" => [error, _] => E::BadResponse { error };
    "stream {} closed: {}", "common/http/http2/codec_impl.cc", "1.10-1.40" => [_, error] => E::StreamClosed { error };
    "Session timed out{}", "common/tcp_proxy/tcp_proxy.cc", "1.4-1.40" => _ => E::SessionTimedOut;
    "max connection duration reached{}", "common/tcp_proxy/tcp_proxy.cc, common/http/conn_manager_impl.cc", "1.16-1.40" => _ => E::MaxDuration;
    "new connection from {}", "common/listener_manager/active_tcp_listener.cc", "1.18-1.40" => [from, _] => E::NewConnection { from: from.trim() };
    "new connection{}", "server/connection_handler_impl.cc", "1.4-1.17" => _ => E::NewConnection { from: "" };
    "new tcp proxy session{}", "common/tcp_proxy/tcp_proxy.cc", "1.4-1.40" => _ => E::NewTcpSession;
    "no healthy host{}", "common/upstream/cluster_manager_impl.cc, common/router/router.cc", "1.4-1.40" => _ => E::NoHealthyHost;
    "no healthy upstream{}", "common/router/router.cc", "1.4-1.40" => _ => E::NoHealthyHost;
    "max {} overflow{}", "common/conn_pool/conn_pool_base.cc", "1.4-1.40" => [what, _] => E::Overflow { what };
    "pending request overflow{}", "common/conn_pool/conn_pool_base.cc", "1.36-1.40" => _ => E::Overflow { what: "pending request" };
    "cancelling pending {}", "common/conn_pool/conn_pool_base.cc", "1.4-1.40" => _ => E::CancellingPending;
    "canceling pending {}", "common/tcp/conn_pool.cc", "1.4-1.40" => _ => E::CancellingPending;
    "closing connection from {}: no matching filter chain found", "common/listener_manager/active_stream_listener_base.cc", "1.18-1.40" => [from, _] => E::NoFilterChain { from };
    "closing connection: no matching filter chain found", "server/connection_handler_impl.cc", "1.7-1.17" => _ => E::NoFilterChain { from: "" };
    "closing connection from {}: listener connection limit reached for {}", "common/listener_manager/active_tcp_listener.cc", "1.24-1.40" => [from, _] => E::ConnectionLimit { from };
    "connection_limit: connection limiting connection{}", "extensions/filters/network/connection_limit/connection_limit.cc", "1.18-1.40" => _ => E::ConnectionLimit { from: "" };
    "listener filter times out after {} ms", "common/listener_manager/active_tcp_socket.cc", "1.8-1.40" => [millis, _] => E::ListenerFilterTimeout { millis };
    "dns resolution without records for {} c-ares status{}", "extensions/network/dns_resolver/cares/dns_impl.cc", "1.27-1.40" => [host, _] => E::DnsEmpty { host };
    "dns resolution without records for {}", "extensions/network/dns_resolver/cares/dns_impl.cc", "1.18-1.26" => [host, _] => E::DnsEmpty { host };
    "dns resolution for {} failed with {}", "extensions/network/dns_resolver/cares/dns_impl.cc", "1.18-1.40" => [host, _] => E::DnsFailed { host };
    "dns resolution for {} completed with status 0x0000{}", "extensions/network/dns_resolver/cares/dns_impl.cc", "1.28-1.40" => [host, _] => E::DnsCompleted { host };
    "dns resolution for {} completed with status 0", "extensions/network/dns_resolver/cares/dns_impl.cc", "1.18-1.27" => [host, _] => E::DnsCompleted { host };
    "DNS resolution failed for {}", "extensions/network/dns_resolver/cares/dns_impl.cc", "1.10-1.17" => [host, _] => E::DnsFailed { host };
    "getaddrinfo failed for host={} {}", "extensions/network/dns_resolver/getaddrinfo/getaddrinfo.cc", "1.24-1.40" => [host, _] => E::DnsFailed { host };
    "getaddrinfo for host={} has no results{}", "extensions/network/dns_resolver/getaddrinfo/getaddrinfo.cc", "1.24-1.40" => [host, _] => E::DnsFailed { host };
    "Hickory DNS resolution failed for [{}]{}", "extensions/network/dns_resolver/hickory/hickory_dns_impl.cc", "1.40" => [host, _] => E::DnsFailed { host };
    "Hickory DNS resolution complete for [{}]{}", "extensions/network/dns_resolver/hickory/hickory_dns_impl.cc", "1.40" => [host, _] => E::DnsCompleted { host };
    "DNS cache overflow{}", "extensions/filters/http/dynamic_forward_proxy/proxy_filter.cc", "1.13-1.40" => _ => E::DnsCacheOverflow;
    "enforced denied, matched policy {}", "extensions/filters/http/rbac/rbac_filter.cc, extensions/filters/network/rbac/rbac_filter.cc", "1.15-1.40" => [policy, _] => E::AccessDenied { policy };
    "enforced denied{}", "extensions/filters/http/rbac/rbac_filter.cc, extensions/filters/network/rbac/rbac_filter.cc", "1.8-1.14" => _ => E::AccessDenied { policy: "" };
    "hc tcp connection timeout{}", "extensions/health_checkers/tcp/health_checker_impl.cc", "1.28-1.40" => _ => E::HealthCheckFailed;
    "hc tcp connection unexpected closed{}", "extensions/health_checkers/tcp/health_checker_impl.cc", "1.31-1.40" => _ => E::HealthCheckFailed;
    "connection/stream error health_flags={}", "extensions/health_checkers/http/health_checker_impl.cc", "1.4-1.40" => _ => E::HealthCheckFailed;
    "connection/stream timeout health_flags={}", "extensions/health_checkers/http/health_checker_impl.cc", "1.4-1.40" => _ => E::HealthCheckFailed;
    "connect timeout health_flags={}", "extensions/health_checkers/redis/redis.cc", "1.4-1.40" => _ => E::HealthCheckFailed;
    "hc response={} health_flags={}", "extensions/health_checkers/http/health_checker_impl.cc", "1.4-1.30" => _ => E::Ordinary;
    "hc response_code={} health_flags={}", "extensions/health_checkers/http/health_checker_impl.cc", "1.31-1.40" => _ => E::Ordinary;
    "removing draining filter chains from listener{}", "common/listener_manager/listener_manager_impl.cc", "1.14-1.40" => _ => E::FilterChainsRemoved;
    "removing listener{}", "common/listener_manager/listener_manager_impl.cc", "1.4-1.40" => _ => E::FilterChainsRemoved;
    "removing draining listener{}", "common/listener_manager/listener_manager_impl.cc", "1.4-1.40" => _ => E::FilterChainsRemoved;
    // A process that starts anew numbers its connections from 0 again.
    "initializing epoch {}", "server/server.cc", "1.4-1.40" => _ => E::ProcessStarted;
    "TLS_error:{}", "common/tls/ssl_socket.cc", "1.27-1.40" => [reason, _] => E::TlsError { reason };
    "TLS error: {}", "common/tls/ssl_socket.cc", "1.10-1.26" => [reason, _] => E::TlsError { reason };
    "SSL error: {}", "common/ssl/ssl_socket.cc", "1.4-1.9" => [reason, _] => E::TlsError { reason };
    "remote address:{},TLS_error:{}", "common/tls/ssl_socket.cc", "1.27-1.40" => [_, reason] => E::TlsError { reason };
    "remote address:{},TLS error: {}", "common/tls/ssl_socket.cc", "1.20-1.26" => [_, reason] => E::TlsError { reason };
    "socket error: Cannot assign requested address{}", "common/network/connection_impl.cc", "1.24-1.40" => _ => E::NoLocalPort;
    // What has words of failure and is none, or is said of one that other lines name.
    "closing data_to_write={}", "common/network/connection_impl.cc", "1.4-1.40" => _ => E::Ordinary;
    "setting delayed close timer with timeout {}", "common/network/connection_impl.cc", "1.10-1.40" => _ => E::Ordinary;
    "triggered delayed close", "common/network/connection_impl.cc", "1.10-1.40" => _ => E::Ordinary;
    "raising immediate error", "common/network/connection_impl.cc", "1.4-1.40" => _ => E::Ordinary;
    "DNS refresh rate reset for {}", "extensions/clusters/strict_dns/strict_dns_cluster.cc", "1.16-1.40" => _ => E::Ordinary;
    "idle timeout", "common/http/conn_manager_impl.cc, common/http/codec_client.cc", "1.4-1.40" => _ => E::Ordinary;
    "per client idle timeout", "extensions/filters/udp/udp_proxy/udp_proxy_filter.cc", "1.13-1.40" => _ => E::Ordinary;
    "ignored upstream per try timeout {}", "common/router/upstream_request.cc", "1.36-1.40" => _ => E::Ordinary;
    "scheduling buffer high watermark timeout", "common/network/connection_impl.cc", "1.36-1.40" => _ => E::Ordinary;
    "cancelling buffer high watermark timeout", "common/network/connection_impl.cc", "1.36-1.40" => _ => E::Ordinary;
    "encoding headers via codec{}", "common/http/conn_manager_impl.cc", "1.4-1.40" => _ => E::Ordinary;
    "async http request response headers{}", "common/http/async_client_impl.cc", "1.4-1.40" => _ => E::Ordinary;
    "upstream headers{}", "common/router/router.cc", "1.4-1.40" => _ => E::Ordinary;
    "dispatch error: {}", "common/http/conn_manager_impl.cc", "1.4-1.40" => _ => E::Ordinary;
    "verify cert failed{}", "common/tls/cert_validator/default_validator.cc", "1.16-1.40" => _ => E::Ordinary;
    "tls inspector: {}", "extensions/filters/listener/tls_inspector/tls_inspector.cc", "1.4-1.40" => _ => E::Ordinary;
    "tls:{}", "extensions/filters/listener/tls_inspector/tls_inspector.cc", "1.4-1.40" => _ => E::Ordinary;
    "doing end stream immediately{}", "common/http/conn_manager_impl.cc", "1.4-1.40" => _ => E::Ordinary;
    "resetting pending {}", "common/http/codec_client.cc", "1.4-1.40" => _ => E::Ordinary;
    "downstream disconnected", "common/tcp_proxy/tcp_proxy.cc", "1.4-1.40" => _ => E::Ordinary;
    "stream reset", "common/http/conn_manager_impl.cc", "1.4-1.23" => _ => E::Ordinary;
    "closing due to response without content length", "common/http/codec_client.cc", "1.4-1.40" => _ => E::Ordinary;
    "TCP:onUpstreamEvent(): propagating upstream RST to downstream", "common/tcp_proxy/tcp_proxy.cc", "1.29-1.40" => _ => E::Ordinary;
    "TCP:onUpstreamEvent(), {}", "common/tcp_proxy/tcp_proxy.cc", "1.29-1.40" => _ => E::Ordinary;
    "TCP:{}", "common/tcp_proxy/tcp_proxy.cc", "1.29-1.40" => _ => E::Ordinary;
};

/// A sentence, cut at its `{}`.
struct Row {
    sentence: &'static Sentence,
    prefix: &'static [u8],
    /// Its first eight bytes, and which of them there are: nearly all other messages differ there.
    head: u64,
    mask: u64,
    /// What follows each `{}`; nothing behind one that takes the rest.
    parts: Vec<Finder<'static>>,
}

/// The rows by the first byte of their words.
static ROWS: LazyLock<[Vec<Row>; 128]> = LazyLock::new(|| {
    let mut rows = [const { Vec::new() }; 128];
    for sentence in SENTENCES {
        let mut parts = sentence.words.split("{}");
        let prefix = parts.next().unwrap_or_default().as_bytes();
        let parts = parts.map(Finder::new).collect();
        let (head, mask) = (head(prefix), head(&[0xff; 8][..prefix.len().min(8)]));
        rows[usize::from(sentence.words.as_bytes()[0] & 0x7f)].push(Row { sentence, prefix, head, mask, parts });
    }
    rows
});

/// What a message of this logger says, without location, ids and thread. Total on any text.
#[must_use]
pub fn parse<'a>(logger: &str, message: &'a str) -> ProxyEvent<'a> {
    let Some(&first) = message.as_bytes().first() else { return ProxyEvent::default() };
    let head = head(message.as_bytes());
    for row in &ROWS[usize::from(first & 0x7f)] {
        if head & row.mask == row.head
            && let Some(found) = row.matched(message)
        {
            return (row.sentence.make)(found);
        }
    }
    ProxyEvent::Other { of_failure: speaks_of_failure(logger, message) }
}

/// Whether a message is a sentence of so many words that nobody else says it.
pub(super) fn is_long(message: &str) -> bool {
    const LONG: usize = 24;
    let Some(&first) = message.as_bytes().first() else { return false };
    let rows = &ROWS[usize::from(first & 0x7f)];
    rows.iter().any(|row| row.sentence.words.replace("{}", "").len() >= LONG && row.matched(message).is_some())
}

/// The first eight bytes as a number, as far as there are any.
fn head(text: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let length = text.len().min(8);
    bytes[..length].copy_from_slice(&text[..length]);
    u64::from_le_bytes(bytes)
}

impl Row {
    /// The texts in the places of `{}`, where a message is this sentence.
    fn matched<'a>(&self, message: &'a str) -> Option<[&'a str; 2]> {
        if !message.as_bytes().starts_with(self.prefix) {
            return None;
        }
        let mut found = [""; 2];
        let mut rest = &message[self.prefix.len()..];
        let mut open = false;
        for (index, part) in self.parts.iter().enumerate() {
            let length = part.needle().len();
            open = length == 0;
            let end = if open { rest.len() } else { part.find(rest.as_bytes())? };
            if let Some(slot) = found.get_mut(index) {
                *slot = &rest[..end];
            }
            rest = &rest[end + length..];
        }
        (open || rest.is_empty()).then_some(found)
    }
}

/// Envoy's loggers (`source/common/common/logger.h`).
pub(super) const LOGGERS: [&str; 30] = [
    "admin",
    "assert",
    "backtrace",
    "client",
    "config",
    "connection",
    "conn_handler",
    "dns",
    "ext_authz",
    "ext_proc",
    "file",
    "filter",
    "forward_proxy",
    "grpc",
    "happy_eyeballs",
    "hc",
    "health_checker",
    "http",
    "http2",
    "hystrix",
    "io",
    "jwt",
    "main",
    "misc",
    "pool",
    "quic",
    "rbac",
    "router",
    "upstream",
    "wasm",
];

/// Loggers whose records tell of connections, requests and the hosts they go to.
const TELLING: [&str; 14] = [
    "client",
    "conn_handler",
    "connection",
    "dns",
    "ext_authz",
    "ext_proc",
    "filter",
    "forward_proxy",
    "hc",
    "http",
    "http2",
    "pool",
    "rbac",
    "router",
];

/// Words of failure.
const FAILURES: [&str; 12] = [
    "refused",
    "timed out",
    "timeout",
    "reset reason",
    "failed",
    "failure",
    "overflow",
    "unreachable",
    "unhealthy",
    "limit reached",
    "denied",
    "error",
];

/// Any of these words, in one search.
fn any_of(words: &[&str]) -> Option<Regex> {
    Regex::new(&words.iter().map(|word| regex::escape(word)).collect::<Vec<_>>().join("|")).ok()
}

static FAILURE: LazyLock<Option<Regex>> = LazyLock::new(|| any_of(&FAILURES));
static MARK: LazyLock<Option<Regex>> = LazyLock::new(|| any_of(&MARKS));

/// Whether a record that no sentence matches speaks of a failure: there is something in the log that was not understood.
fn speaks_of_failure(logger: &str, message: &str) -> bool {
    // Further lines are dumps of headers and configuration.
    let first = message.lines().next().unwrap_or("");
    TELLING.contains(&logger) && FAILURE.as_ref().is_some_and(|words| words.is_match(first))
}

/// What only Envoy says of failures, for lines that are no record of any known layout.
const MARKS: [&str; 16] = [
    "upstream_reset_before_response_started",
    "upstream_reset_after_response_started",
    "upstream reset: reset reason",
    "transport failure reason",
    "delayed connect error",
    "delayed_connect_error",
    "remote_connection_failure",
    "local_connection_failure",
    "connection_termination",
    "no_healthy_upstream",
    "no healthy upstream",
    "\"UF",
    " UF,URX ",
    " UF ",
    " URX,UF ",
    "upstream connect error or disconnect",
];

/// Whether a line that is no record holds what only Envoy says of a failure.
#[must_use]
pub fn holds_failure(text: &str) -> bool {
    MARK.as_ref().is_some_and(|marks| marks.is_match(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_is_found_by_its_own_words() {
        for (index, sentence) in SENTENCES.iter().enumerate() {
            let message = sentence.words.replace("{}", "x1");
            let rows = &ROWS[usize::from(message.as_bytes()[0])];
            let found = rows.iter().find(|row| row.matched(&message).is_some()).map(|row| row.sentence.words);
            assert_eq!(found, Some(sentence.words), "row {index}: an earlier row takes {message:?}");
            assert!(parse("pool", &message).is_known());
            assert!(!sentence.file.is_empty() && sentence.seen.starts_with('1'), "{sentence:?}");
        }
    }

    #[test]
    fn what_is_said_is_taken_out() {
        for (message, event) in [
            ("connecting to 10.0.0.1:80", E::Connecting { address: "10.0.0.1:80" }),
            ("closing socket: 1", E::ClosingSocket { by_peer: false }),
            ("closing socket: 0", E::ClosingSocket { by_peer: true }),
            ("client disconnected, failure reason: ", E::ClientDisconnected { reason: "" }),
            ("client disconnected, failure reason: TLS_error:|x", E::ClientDisconnected { reason: "TLS_error:|x" }),
            ("cluster 'outbound|80||a' match for URL '/'", E::RoutedTo { cluster: "outbound|80||a" }),
            (
                "Attached upstream connection [C5] to downstream connection [C4]",
                E::AttachedUpstream { upstream: "5", downstream: "4" },
            ),
            (
                "upstream reset: reset reason: connection failure, transport failure reason: ",
                E::UpstreamReset { reason: "connection failure", transport: "" },
            ),
            (
                "upstream reset: reset reason connection failure",
                E::UpstreamReset { reason: "connection failure", transport: "" },
            ),
            ("Cluster not found a|b and no on demand cluster set.", E::UnknownCluster { cluster: "a|b" }),
            ("stream 1 closed: 2", E::StreamClosed { error: "2" }),
            ("connected to something", E::Other { of_failure: false }),
            ("something failed", E::Other { of_failure: true }),
            ("", E::Other { of_failure: false }),
        ] {
            assert_eq!(parse("pool", message), event, "{message}");
        }
    }
}
