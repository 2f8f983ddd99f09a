//! One line of a proxy's log, decoded: an application-log record, an access-log line, or a part of either.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

/// Connect timeouts by cluster name, as a dump or a live proxy gives them.
pub type ClusterTimeouts = HashMap<String, ClusterTimeout>;

/// A cluster's connect timeout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClusterTimeout {
    /// How long it is.
    pub value: Duration,
    /// Since when the proxy has had the cluster as it is (`last_updated` of a config dump), where that is known.
    pub since: Option<Timestamp>,
}

impl ClusterTimeout {
    /// Whether it was in force at this time, as far as that is known.
    #[must_use]
    pub fn held_at(&self, time: Option<Timestamp>) -> bool {
        !matches!((self.since, time), (Some(since), Some(time)) if time < since)
    }
}

impl From<Duration> for ClusterTimeout {
    fn from(value: Duration) -> Self {
        Self { value, since: None }
    }
}

/// One line of a log, without its wrappers.
#[derive(Debug)]
pub struct LogRecord<'a> {
    /// Number of the line in its input, from 1.
    pub line: u64,
    /// Who wrote it, where a wrapper tells (`pod/NAME/CONTAINER`, a compose service): empty when unknown.
    pub source: &'a str,
    /// When it was written: the record's own time, or its wrapper's.
    pub time: Option<Timestamp>,
    /// The line as the proxy wrote it.
    pub text: &'a str,
    /// What it says.
    pub content: LogContent<'a>,
}

/// What a line is.
#[derive(Debug)]
pub enum LogContent<'a> {
    /// A record of Envoy's application log.
    Proxy(ProxyLine<'a>),
    /// A line of an access log.
    Access(Box<AccessLine<'a>>),
    /// A further line of the record before it: a header dump, a message over several lines.
    Continuation,
    /// A record of another program of Istio's: its agent in the same container, ztunnel.
    Agent {
        /// Whether it tells of a failed connection: ztunnel does, in its own words.
        of_failure: bool,
    },
    /// A record of an application, which is no proxy's.
    Foreign,
    /// None of these; whether it holds what only Envoy says of a failure.
    Unrecognized {
        /// Whether there is a failure in it that was not understood.
        of_failure: bool,
    },
}

/// A record of Envoy's application log.
#[derive(Debug, Default)]
pub struct ProxyLine<'a> {
    /// The logger, without Istio's `envoy ` before it: `pool`, `connection`. Empty when the layout drops it.
    pub logger: Cow<'a, str>,
    /// The thread that wrote it, 0 where the layout does not say.
    pub thread: u64,
    /// Envoy's connection id, from `[C12]` or `[Tags: "ConnectionId":"12"]`.
    pub connection: Option<u64>,
    /// Envoy's stream id, from `[S34]` or `"StreamId":"34"`.
    pub stream: Option<u64>,
    /// The message, without location, ids and thread.
    pub message: &'a str,
    /// What it says.
    pub event: ProxyEvent<'a>,
}

/// What a message of Envoy's application log says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "`decode::log` has a table with each in Envoy's words")]
pub enum ProxyEvent<'a> {
    Connecting {
        address: &'a str,
    },
    Connected,
    ConnectTimeout,
    ConnectError {
        reason: &'a str,
    },
    TlsError {
        reason: &'a str,
    },
    /// `closing socket: 0` is the peer's doing, 1 Envoy's (`Network::ConnectionEvent`).
    ClosingSocket {
        by_peer: bool,
    },
    RemoteClose,
    /// The pool's last word; the reason may be empty.
    ClientDisconnected {
        reason: &'a str,
    },
    /// The codec's: how many requests were on the connection.
    Disconnect {
        requests: &'a str,
    },
    RoutedTo {
        cluster: &'a str,
    },
    CreatingConnection {
        cluster: &'a str,
    },
    CreatingStream,
    UsingExisting,
    AttachingToNext,
    PoolReady,
    AttachedUpstream {
        upstream: &'a str,
        downstream: &'a str,
    },
    UpstreamReset {
        reason: &'a str,
        transport: &'a str,
    },
    UpstreamTimeout,
    UpstreamHeaders,
    LocalReply {
        details: &'a str,
    },
    RequestHeaders {
        block: &'a str,
    },
    StreamReset {
        reason: &'a str,
    },
    PerformingRetry,
    ResponseComplete,
    /// The codec could not parse what came; `error` names the parser's error.
    BadResponse {
        error: &'a str,
    },
    SessionTimedOut,
    MaxDuration,
    NewConnection {
        from: &'a str,
    },
    NewTcpSession,
    NoHealthyHost,
    UnknownCluster {
        cluster: &'a str,
    },
    Overflow {
        what: &'a str,
    },
    CancellingPending,
    NoFilterChain {
        from: &'a str,
    },
    ConnectionLimit {
        from: &'a str,
    },
    ListenerFilterTimeout {
        millis: &'a str,
    },
    DnsFailed {
        host: &'a str,
    },
    /// One of the two look-ups (A, AAAA) had no records: only a failure if both have.
    DnsEmpty {
        host: &'a str,
    },
    DnsCompleted {
        host: &'a str,
    },
    DnsCacheOverflow,
    /// `stream N closed: E`, the HTTP/2 error of a stream that was ended.
    StreamClosed {
        error: &'a str,
    },
    RequestReset,
    AccessDenied {
        policy: &'a str,
    },
    /// A health check that failed, of the connection that the line names.
    HealthCheckFailed,
    /// No local address or file descriptor was left for a new connection.
    NoLocalPort,
    FilterChainsRemoved,
    ProcessStarted,
    /// A message that has words of failure and says nothing of one.
    Ordinary,
    /// None of these; whether it speaks of a failure all the same.
    Other {
        of_failure: bool,
    },
}

impl Default for ProxyEvent<'_> {
    fn default() -> Self {
        Self::Other { of_failure: false }
    }
}

impl ProxyEvent<'_> {
    /// Whether the message is one of the table's.
    #[must_use]
    pub fn is_known(&self) -> bool {
        !matches!(self, Self::Other { .. })
    }
}

/// A line of an access log. Absent values (`-`, null, empty) are `None` or empty.
#[derive(Debug, Default, Clone)]
pub struct AccessLine<'a> {
    /// `%START_TIME%`: when the request or connection began.
    pub start: Option<Timestamp>,
    /// `%REQ(:METHOD)%`; `None` for TCP.
    pub method: Option<Cow<'a, str>>,
    /// `%PROTOCOL%`.
    pub protocol: Option<Cow<'a, str>>,
    /// `%RESPONSE_CODE%`, 0 for none.
    pub code: u16,
    /// `%GRPC_STATUS%` or its number, where the format has it.
    pub grpc_status: Option<Cow<'a, str>>,
    /// `%RESPONSE_FLAGS%`, as written: a set joined with commas.
    pub flags: Cow<'a, str>,
    /// `%RESPONSE_CODE_DETAILS%`.
    pub details: Option<Cow<'a, str>>,
    /// `%CONNECTION_TERMINATION_DETAILS%`.
    pub termination: Option<Cow<'a, str>>,
    /// `%UPSTREAM_TRANSPORT_FAILURE_REASON%`.
    pub transport_failure: Option<Cow<'a, str>>,
    /// `%DURATION%` in milliseconds.
    pub duration: Option<u64>,
    /// `%REQ(X-REQUEST-ID)%`.
    pub request_id: Option<Cow<'a, str>>,
    /// `%REQ(:AUTHORITY)%`.
    pub authority: Option<Cow<'a, str>>,
    /// `%UPSTREAM_HOST%`: the address the proxy called.
    pub upstream: Option<Cow<'a, str>>,
    /// `%UPSTREAM_CLUSTER%`, without the delimiter Istio puts behind alternative stat names.
    pub cluster: Option<Cow<'a, str>>,
    /// `%UPSTREAM_LOCAL_ADDRESS%`; `None` where no connection was established, or the format lacks it.
    pub upstream_local: Option<Cow<'a, str>>,
    /// Whether the format has `%UPSTREAM_LOCAL_ADDRESS%`, so that its absence means something.
    pub tells_upstream_local: bool,
    /// `%DOWNSTREAM_LOCAL_ADDRESS%`.
    pub downstream_local: Option<Cow<'a, str>>,
    /// `%DOWNSTREAM_REMOTE_ADDRESS%`.
    pub downstream_remote: Option<Cow<'a, str>>,
    /// `%REQUESTED_SERVER_NAME%`.
    pub server_name: Option<Cow<'a, str>>,
    /// `%ROUTE_NAME%`.
    pub route: Option<Cow<'a, str>>,
    /// `%UPSTREAM_REQUEST_ATTEMPT_COUNT%`, where the format has it.
    pub attempts: Option<u32>,
}

impl AccessLine<'_> {
    /// Whether the set of response flags holds this one (`UF`).
    #[must_use]
    pub fn has_flag(&self, flag: &str) -> bool {
        self.flags.split(',').any(|own| own.trim() == flag)
    }

    /// Whether this is the line of a TCP connection rather than a request.
    #[must_use]
    pub fn is_tcp(&self) -> bool {
        self.method.is_none() && !self.protocol.as_deref().is_some_and(|protocol| protocol.starts_with("HTTP"))
    }
}
