//! The fields of access logs: Envoy's command operators, the names that JSON formats give them, and where each goes.

use std::borrow::Cow;
use std::sync::LazyLock;

use foldhash::HashMap;

use crate::model::AccessLine;

use super::text;

/// The command operators that say something about a failed connection (Envoy's "access log command operators").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Start,
    Method,
    Protocol,
    Code,
    GrpcStatus,
    Flags,
    Details,
    Termination,
    TransportFailure,
    Duration,
    RequestId,
    Authority,
    Upstream,
    Cluster,
    UpstreamLocal,
    DownstreamLocal,
    DownstreamRemote,
    ServerName,
    Route,
    Attempts,
    Other,
}

/// The names that JSON formats give each, in lower case and without what is between words. Istio's and Envoy Gateway's
/// are the operators' own names; the short ones are what people make of them.
const NAMES: [(Operator, &[&str]); 20] = [
    (Operator::Start, &["starttime", "start", "time", "timestamp", "ts"]),
    (Operator::Method, &["method", "requestmethod", "reqmethod", "httpmethod", "verb"]),
    (Operator::Protocol, &["protocol", "proto", "requestprotocol"]),
    (
        Operator::Code,
        &["responsecode", "statuscode", "status", "code", "httpstatus", "httpstatuscode", "responsestatus", "respcode"],
    ),
    (Operator::GrpcStatus, &["grpcstatus", "grpcstatusnumber", "grpcstatuscode"]),
    (
        Operator::Flags,
        &["responseflags", "flags", "respflags", "responseflag", "responseflagslong", "envoyresponseflags"],
    ),
    (Operator::Details, &["responsecodedetails", "details", "codedetails", "responsedetails", "respcodedetails"]),
    (Operator::Termination, &["connectionterminationdetails", "terminationdetails"]),
    (
        Operator::TransportFailure,
        &["upstreamtransportfailurereason", "transportfailurereason", "transportfailure", "upstreamfailurereason"],
    ),
    (Operator::Duration, &["duration", "durationms", "requestduration", "totalduration", "responseduration"]),
    (Operator::RequestId, &["requestid", "xrequestid", "reqid"]),
    (Operator::Authority, &["authority", "host", "requestauthority", "reqauthority", "domain", "httphost"]),
    (Operator::Upstream, &["upstreamhost", "upstreamaddress", "upstream", "upstreamaddr", "upstreamremoteaddress"]),
    (Operator::Cluster, &["upstreamcluster", "upstreamclusterraw", "cluster", "upstreamclustername"]),
    (Operator::UpstreamLocal, &["upstreamlocaladdress", "upstreamlocal"]),
    (Operator::DownstreamLocal, &["downstreamlocaladdress", "downstreamlocal"]),
    (
        Operator::DownstreamRemote,
        &["downstreamremoteaddress", "downstreamdirectremoteaddress", "downstreamremote", "downstream"],
    ),
    (Operator::ServerName, &["requestedservername", "sni", "servername"]),
    (Operator::Route, &["routename", "route"]),
    (Operator::Attempts, &["upstreamrequestattemptcount", "attempts", "attemptcount", "requestattemptcount"]),
];

/// Every name, with its operator and how far down it comes.
static BY_NAME: LazyLock<HashMap<&str, (Operator, usize)>> = LazyLock::new(|| {
    let ranked = |(operator, names): &(Operator, &'static [&'static str])| {
        let operator = *operator;
        names.iter().enumerate().map(move |(rank, name)| (*name, (operator, rank)))
    };
    NAMES.iter().flat_map(ranked).collect()
});

/// The flags of `%RESPONSE_FLAGS_LONG%` (`source/common/stream_info/utility.h`).
const LONG_FLAGS: [(&str, &str); 31] = [
    ("FailedLocalHealthCheck", "LH"),
    ("NoHealthyUpstream", "UH"),
    ("UpstreamRequestTimeout", "UT"),
    ("LocalReset", "LR"),
    ("UpstreamRemoteReset", "UR"),
    ("UpstreamConnectionFailure", "UF"),
    ("UpstreamConnectionTermination", "UC"),
    ("UpstreamOverflow", "UO"),
    ("NoRouteFound", "NR"),
    ("DelayInjected", "DI"),
    ("FaultInjected", "FI"),
    ("RateLimited", "RL"),
    ("UnauthorizedExternalService", "UAEX"),
    ("RateLimitServiceError", "RLSE"),
    ("DownstreamConnectionTermination", "DC"),
    ("UpstreamRetryLimitExceeded", "URX"),
    ("StreamIdleTimeout", "SI"),
    ("InvalidEnvoyRequestHeaders", "IH"),
    ("DownstreamProtocolError", "DPE"),
    ("UpstreamMaxStreamDurationReached", "UMSDR"),
    ("ResponseFromCacheFilter", "RFCF"),
    ("NoFilterConfigFound", "NFCF"),
    ("DurationTimeout", "DT"),
    ("UpstreamProtocolError", "UPE"),
    ("NoClusterFound", "NC"),
    ("OverloadManagerTerminated", "OM"),
    ("DnsResolutionFailed", "DF"),
    ("DropOverload", "DO"),
    ("DownstreamRemoteReset", "DR"),
    ("UnconditionalDropOverload", "UDO"),
    ("OverloadManager", "OM"),
];

/// Whether a value is one of the ways to say "none".
pub(super) fn absent(text: &str) -> bool {
    matches!(text, "" | "-" | "null" | "- " | "\"\"")
}

/// Whether a text can be a set of response flags.
pub(super) fn is_flags(text: &str) -> bool {
    text == "-"
        || (!text.is_empty()
            && text.split(',').all(|flag| {
                let flag = flag.trim();
                ((2..=5).contains(&flag.len()) && flag.bytes().all(|byte| byte.is_ascii_uppercase()))
                    || LONG_FLAGS.iter().any(|(long, _)| *long == flag)
            }))
}

/// `%UPSTREAM_CLUSTER%` is the alternative stat name, behind which Istio may put a delimiter `;`.
fn plain_cluster(name: Cow<'_, str>) -> Cow<'_, str> {
    match name {
        Cow::Borrowed(name) => Cow::Borrowed(name.trim_end_matches(';').trim_matches('*')),
        Cow::Owned(name) => Cow::Owned(name.trim_end_matches(';').trim_matches('*').to_owned()),
    }
}

fn short_flags(flags: Cow<'_, str>) -> Cow<'_, str> {
    if !flags.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return flags;
    }
    let short = |flag: &str| {
        let flag = flag.trim();
        LONG_FLAGS.iter().find(|(long, _)| *long == flag).map_or(flag, |(_, short)| *short).to_owned()
    };
    Cow::Owned(flags.split(',').map(short).collect::<Vec<_>>().join(","))
}

impl Operator {
    /// The operator that a command of a format string is: `REQ(:METHOD)`.
    pub(super) fn parse(text: &str) -> Self {
        let upper = text.to_ascii_uppercase();
        let (name, argument) = upper.split_once('(').unwrap_or((&upper, ""));
        let argument = argument.split([')', '?']).next().unwrap_or("");
        match (name, argument) {
            ("START_TIME", _) => Self::Start,
            ("REQ", ":METHOD") => Self::Method,
            ("PROTOCOL", _) => Self::Protocol,
            ("RESPONSE_CODE", _) => Self::Code,
            ("GRPC_STATUS" | "GRPC_STATUS_NUMBER", _) => Self::GrpcStatus,
            ("RESPONSE_FLAGS" | "RESPONSE_FLAGS_LONG", _) => Self::Flags,
            ("RESPONSE_CODE_DETAILS", _) => Self::Details,
            ("CONNECTION_TERMINATION_DETAILS", _) => Self::Termination,
            ("UPSTREAM_TRANSPORT_FAILURE_REASON", _) => Self::TransportFailure,
            ("DURATION", _) => Self::Duration,
            ("REQ", "X-REQUEST-ID") => Self::RequestId,
            ("REQ", ":AUTHORITY") => Self::Authority,
            ("UPSTREAM_HOST" | "UPSTREAM_REMOTE_ADDRESS", _) => Self::Upstream,
            ("UPSTREAM_CLUSTER" | "UPSTREAM_CLUSTER_RAW", _) => Self::Cluster,
            ("UPSTREAM_LOCAL_ADDRESS", _) => Self::UpstreamLocal,
            ("DOWNSTREAM_LOCAL_ADDRESS", _) => Self::DownstreamLocal,
            ("DOWNSTREAM_REMOTE_ADDRESS" | "DOWNSTREAM_DIRECT_REMOTE_ADDRESS", _) => Self::DownstreamRemote,
            ("REQUESTED_SERVER_NAME", _) => Self::ServerName,
            ("ROUTE_NAME", _) => Self::Route,
            ("UPSTREAM_REQUEST_ATTEMPT_COUNT", _) => Self::Attempts,
            _ => Self::Other,
        }
    }

    /// The operator that a key of a JSON format stands for (`responseCodeDetails`, `response_code_details`), and how far
    /// down it comes among the names for it.
    pub(super) fn of_key(key: &str) -> Option<(Self, usize)> {
        let mut plain = [0_u8; 32];
        let mut length = 0;
        for byte in key.bytes().filter(u8::is_ascii_alphanumeric) {
            *plain.get_mut(length)? = byte.to_ascii_lowercase();
            length += 1;
        }
        BY_NAME.get(std::str::from_utf8(&plain[..length]).ok()?).copied()
    }

    /// Whether a value can be this operator's: what has blanks in it where there never are any shows that the line is
    /// in another format, or still in a wrapper.
    pub(super) fn fits(self, value: &str) -> bool {
        let never_blank = matches!(
            self,
            Self::Code
                | Self::Flags
                | Self::Duration
                | Self::RequestId
                | Self::Upstream
                | Self::Cluster
                | Self::UpstreamLocal
                | Self::DownstreamLocal
                | Self::DownstreamRemote
                | Self::Attempts
        );
        !(never_blank && value.contains(' '))
    }

    /// Whether only access logs have a member with the operator's own name.
    pub(super) fn is_of_access(self) -> bool {
        matches!(
            self,
            Self::Flags | Self::Code | Self::Cluster | Self::Details | Self::Upstream | Self::TransportFailure
        )
    }

    /// Puts a value where it belongs.
    pub(super) fn store<'a>(self, value: Cow<'a, str>, line: &mut AccessLine<'a>) {
        if self == Self::UpstreamLocal {
            line.tells_upstream_local = true;
        }
        if absent(&value) {
            return;
        }
        match self {
            Self::Start => line.start = text::time(&value),
            Self::Method => line.method = Some(value),
            Self::Protocol => line.protocol = Some(value),
            Self::Code => line.code = value.parse().unwrap_or(0),
            Self::GrpcStatus => line.grpc_status = Some(value),
            Self::Flags => line.flags = short_flags(value),
            Self::Details => line.details = Some(value),
            Self::Termination => line.termination = Some(value),
            Self::TransportFailure => line.transport_failure = Some(value),
            Self::Duration => line.duration = value.parse().ok().or_else(|| value.strip_suffix("ms")?.parse().ok()),
            Self::RequestId => line.request_id = Some(value),
            Self::Authority => line.authority = Some(value),
            Self::Upstream => line.upstream = Some(value),
            Self::Cluster => line.cluster = Some(plain_cluster(value)),
            Self::UpstreamLocal => line.upstream_local = Some(value),
            Self::DownstreamLocal => line.downstream_local = Some(value),
            Self::DownstreamRemote => line.downstream_remote = Some(value),
            Self::ServerName => line.server_name = Some(value),
            Self::Route => line.route = Some(value),
            Self::Attempts => line.attempts = value.parse().ok(),
            Self::Other => {}
        }
    }
}
