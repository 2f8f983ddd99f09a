//! The causes of a failed connection, and how sure the lines make us.

use std::fmt;

/// Why a connection or request failed. The names are a contract: they appear in JSON and are never changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each variant is explained where it is put in words: `explain`")]
pub enum Cause {
    ConnectTimeout,
    ConnectionRefused,
    HostUnreachable,
    ConnectionFailureUnspecified,
    TlsFailure,
    MtlsMismatch,
    UpstreamClosedConnection,
    UpstreamClosedIdleConnection,
    UpstreamResetStream,
    UpstreamResponseTimeout,
    TcpIdleTimeout,
    DownstreamIdleTimeout,
    ListenerFilterTimeout,
    Overflow,
    NoHealthyUpstream,
    ClusterNotFound,
    NoRoute,
    NoFilterChain,
    Blackhole,
    DnsFailure,
    ExtAuthzFailure,
    ExtProcFailure,
    UpstreamProtocolError,
    DownstreamProtocolError,
    DownstreamDisconnect,
    RateLimited,
    Overloaded,
    ConnectionLimit,
    MaxDurationReached,
    RbacDenied,
    LocalPortExhausted,
    HealthCheckFailed,
    FaultInjected,
    ServerProxyConfigChange,
    UpstreamApplicationError,
}

/// How much a cause should worry, for `--fail-on`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CauseSeverity {
    /// Meant to be so, or the doing of someone else: a client that left, a configured fault.
    Info,
    /// A limit or rule of the mesh did its work; whether that is right needs a look.
    Warning,
    /// A call that should have worked failed.
    Error,
}

impl Cause {
    /// Every cause, in the order of the contract.
    pub const ALL: [Self; 35] = [
        Self::ConnectTimeout,
        Self::ConnectionRefused,
        Self::HostUnreachable,
        Self::ConnectionFailureUnspecified,
        Self::TlsFailure,
        Self::MtlsMismatch,
        Self::UpstreamClosedConnection,
        Self::UpstreamClosedIdleConnection,
        Self::UpstreamResetStream,
        Self::UpstreamResponseTimeout,
        Self::TcpIdleTimeout,
        Self::DownstreamIdleTimeout,
        Self::ListenerFilterTimeout,
        Self::Overflow,
        Self::NoHealthyUpstream,
        Self::ClusterNotFound,
        Self::NoRoute,
        Self::NoFilterChain,
        Self::Blackhole,
        Self::DnsFailure,
        Self::ExtAuthzFailure,
        Self::ExtProcFailure,
        Self::UpstreamProtocolError,
        Self::DownstreamProtocolError,
        Self::DownstreamDisconnect,
        Self::RateLimited,
        Self::Overloaded,
        Self::ConnectionLimit,
        Self::MaxDurationReached,
        Self::RbacDenied,
        Self::LocalPortExhausted,
        Self::HealthCheckFailed,
        Self::FaultInjected,
        Self::ServerProxyConfigChange,
        Self::UpstreamApplicationError,
    ];

    /// The name in the contract.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConnectTimeout => "connect_timeout",
            Self::ConnectionRefused => "connection_refused",
            Self::HostUnreachable => "host_unreachable",
            Self::ConnectionFailureUnspecified => "connection_failure_unspecified",
            Self::TlsFailure => "tls_failure",
            Self::MtlsMismatch => "mtls_mismatch",
            Self::UpstreamClosedConnection => "upstream_closed_connection",
            Self::UpstreamClosedIdleConnection => "upstream_closed_idle_connection",
            Self::UpstreamResetStream => "upstream_reset_stream",
            Self::UpstreamResponseTimeout => "upstream_response_timeout",
            Self::TcpIdleTimeout => "tcp_idle_timeout",
            Self::DownstreamIdleTimeout => "downstream_idle_timeout",
            Self::ListenerFilterTimeout => "listener_filter_timeout",
            Self::Overflow => "overflow",
            Self::NoHealthyUpstream => "no_healthy_upstream",
            Self::ClusterNotFound => "cluster_not_found",
            Self::NoRoute => "no_route",
            Self::NoFilterChain => "no_filter_chain",
            Self::Blackhole => "blackhole",
            Self::DnsFailure => "dns_failure",
            Self::ExtAuthzFailure => "ext_authz_failure",
            Self::ExtProcFailure => "ext_proc_failure",
            Self::UpstreamProtocolError => "upstream_protocol_error",
            Self::DownstreamProtocolError => "downstream_protocol_error",
            Self::DownstreamDisconnect => "downstream_disconnect",
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::ConnectionLimit => "connection_limit",
            Self::MaxDurationReached => "max_duration_reached",
            Self::RbacDenied => "rbac_denied",
            Self::LocalPortExhausted => "local_port_exhausted",
            Self::HealthCheckFailed => "health_check_failed",
            Self::FaultInjected => "fault_injected",
            Self::ServerProxyConfigChange => "server_proxy_config_change",
            Self::UpstreamApplicationError => "upstream_application_error",
        }
    }

    /// How much it should worry.
    #[must_use]
    pub fn severity(self) -> CauseSeverity {
        match self {
            Self::DownstreamDisconnect | Self::FaultInjected => CauseSeverity::Info,
            Self::RateLimited
            | Self::Overflow
            | Self::TcpIdleTimeout
            | Self::DownstreamIdleTimeout
            | Self::Blackhole
            | Self::NoRoute
            | Self::ExtAuthzFailure
            | Self::DownstreamProtocolError
            | Self::ServerProxyConfigChange
            | Self::ConnectionLimit
            | Self::MaxDurationReached
            | Self::RbacDenied
            | Self::UpstreamApplicationError => CauseSeverity::Warning,
            _ => CauseSeverity::Error,
        }
    }

    /// Whether `other` says the same less exactly: a keep-alive race is a closed connection, too.
    #[must_use]
    pub fn refines(self, other: Self) -> bool {
        match other {
            Self::ConnectionFailureUnspecified => self.is_failure_to_connect(),
            Self::TlsFailure => self == Self::MtlsMismatch,
            // With TLS 1.3 the alert comes when the client's handshake is complete: the connection then only closes.
            Self::UpstreamClosedConnection => matches!(
                self,
                Self::UpstreamClosedIdleConnection
                    | Self::ServerProxyConfigChange
                    | Self::TlsFailure
                    | Self::MtlsMismatch
            ),
            // A health check fails because the connection does.
            Self::HealthCheckFailed => {
                self.is_failure_to_connect()
                    || matches!(
                        self,
                        Self::UpstreamClosedConnection | Self::UpstreamProtocolError | Self::UpstreamResetStream
                    )
            }
            Self::NoHealthyUpstream => matches!(self, Self::DnsFailure | Self::Blackhole),
            Self::UpstreamProtocolError => self == Self::UpstreamClosedConnection,
            _ => false,
        }
    }

    /// Whether the connection was never established.
    #[must_use]
    pub fn is_failure_to_connect(self) -> bool {
        matches!(
            self,
            Self::ConnectTimeout
                | Self::ConnectionRefused
                | Self::HostUnreachable
                | Self::ConnectionFailureUnspecified
                | Self::TlsFailure
                | Self::MtlsMismatch
                | Self::LocalPortExhausted
        )
    }

    /// The cause of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == name)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// How far the lines prove a cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// Something failed; the lines do not say why.
    Unknown,
    /// It fits, and another cause would fit less well.
    Probable,
    /// A line says so.
    Certain,
}

impl Confidence {
    /// The name in the contract.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Probable => "probable",
            Self::Certain => "certain",
        }
    }
}

/// A cause and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Why it failed.
    pub cause: Cause,
    /// How far that is proven.
    pub confidence: Confidence,
}

impl Verdict {
    /// Something failed, and the lines do not say why.
    pub const UNKNOWN: Self = Self { cause: Cause::ConnectionFailureUnspecified, confidence: Confidence::Unknown };

    pub(super) const fn certain(cause: Cause) -> Self {
        Self { cause, confidence: Confidence::Certain }
    }

    pub(super) const fn probable(cause: Cause) -> Self {
        Self { cause, confidence: Confidence::Probable }
    }

    /// What two pieces of evidence about one failure say together; `None` when they contradict each other, and so
    /// are about two failures.
    pub(super) fn join(self, other: Self) -> Option<Self> {
        if self.cause == other.cause {
            return Some(if self.confidence >= other.confidence { self } else { other });
        }
        let (exact, loose) = if self.cause.refines(other.cause) { (self, other) } else { (other, self) };
        if exact.cause.refines(loose.cause) {
            // A guess does not narrow down what is proven in general, but for the general it says no more.
            return Some(exact);
        }
        let close = |verdict: Self| {
            verdict.cause.is_failure_to_connect()
                || matches!(
                    verdict.cause,
                    Cause::UpstreamClosedConnection | Cause::UpstreamResetStream | Cause::UpstreamProtocolError
                )
        };
        // Where one is proven and the other only fits, the proof wins, within what can be mistaken for each other.
        if self.confidence != other.confidence && close(self) && close(other) {
            return Some(if self.confidence > other.confidence { self } else { other });
        }
        None
    }
}
