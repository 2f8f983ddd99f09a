//! One line of a proxy's log, decoded: an application-log record, an access-log line, or a part of either.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

/// Connect timeouts by cluster name, as a dump or a live proxy gives them.
pub type ClusterTimeouts = HashMap<String, Duration>;

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
    /// A record of another program in the same container, such as Istio's agent.
    Agent,
    /// A record of an application, which is no proxy's.
    Foreign,
    /// None of these.
    Unrecognized,
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
    pub message: Cow<'a, str>,
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
