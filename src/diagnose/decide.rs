//! The decision table: flags and details first, then the transport failure reason, whether the connection was
//! established, and only then how long it took, against that cluster's timeout. Never by duration alone.
//!
//! Flags: Envoy's `source/common/stream_info/utility.h`; details: `envoy/stream_info/stream_info.h`.

use std::time::Duration;

use crate::model::AccessLine;

use super::cause::{Cause, Verdict};

/// Finds a needle written with blanks, where the text may have underscores for them and any case.
pub(super) fn says(text: &str, needle: &str) -> bool {
    // Needles begin with a letter.
    let (text, needle) = (text.as_bytes(), needle.as_bytes());
    let Some(last) = text.len().checked_sub(needle.len()) else { return false };
    let Some(first) = needle.first() else { return true };
    memchr::memchr2_iter(*first, first.to_ascii_uppercase(), &text[..=last]).any(|at| {
        text[at..]
            .iter()
            .zip(needle)
            .all(|(byte, wanted)| byte.eq_ignore_ascii_case(wanted) || (*wanted == b' ' && *byte == b'_'))
    })
}

/// What a transport failure reason proves: `delayed connect error: Connection refused`, `TLS_error:|268435703:…`.
/// Numbers are errno values of Linux, and of macOS where they differ.
pub(super) fn transport(reason: &str) -> Option<Verdict> {
    let any = |needles: &[&str]| needles.iter().any(|needle| says(reason, needle));
    let errno = || {
        let (_, number) = reason.split_once("rror:").or_else(|| reason.split_once("rror_"))?;
        let number = number.trim_matches([' ', '_', ':']);
        let digits = number.bytes().take_while(u8::is_ascii_digit).count();
        (digits > 0 && digits <= 3).then(|| number[..digits].parse::<u32>().ok()).flatten()
    };
    // Newer Envoys put a reset in the middle of the handshake among TLS errors (envoy#44149): no certificate was looked
    // at, the server or what stands before it closed the connection.
    if any(&["system library"]) && any(&["connection reset by peer", "broken pipe", "unexpected eof"]) {
        return Some(Verdict::probable(Cause::UpstreamClosedConnection));
    }
    if any(&[
        "wrong version number",
        "openssl internal:http request",
        "https proxy request",
        "certificate required",
        "peer did not return a certificate",
    ]) {
        return Some(Verdict::certain(Cause::MtlsMismatch));
    }
    if any(&["tls error", "ssl error", "openssl internal", "verify cert failed", "secret is not supplied"]) {
        return Some(Verdict::certain(Cause::TlsFailure));
    }
    if any(&["cannot assign requested address", "too many open files", "address not available"]) {
        return Some(Verdict::certain(Cause::LocalPortExhausted));
    }
    if any(&["connection refused"]) {
        return Some(Verdict::certain(Cause::ConnectionRefused));
    }
    if any(&["no route to host", "network is unreachable", "host is unreachable", "host is down", "network is down"]) {
        return Some(Verdict::certain(Cause::HostUnreachable));
    }
    if any(&["connection timed out", "operation timed out"]) {
        return Some(Verdict::probable(Cause::ConnectTimeout));
    }
    if any(&["connection reset by peer", "broken pipe"]) {
        return Some(Verdict::probable(Cause::UpstreamClosedConnection));
    }
    match errno() {
        Some(99 | 49 | 24) => Some(Verdict::certain(Cause::LocalPortExhausted)),
        Some(111 | 61) => Some(Verdict::certain(Cause::ConnectionRefused)),
        Some(113 | 101 | 65 | 51) => Some(Verdict::certain(Cause::HostUnreachable)),
        Some(110 | 60) => Some(Verdict::probable(Cause::ConnectTimeout)),
        Some(104 | 54) => Some(Verdict::probable(Cause::UpstreamClosedConnection)),
        _ => None,
    }
}

/// What `upstream reset: reset reason: REASON, transport failure reason: TRANSPORT` proves.
pub(super) fn reset(reason: &str, transport_reason: &str, after_response: bool) -> Option<Verdict> {
    let is = |needle: &str| says(reason, needle);
    let transport_reason = transport_reason.trim();
    if is("connection timeout") || is("connect timeout") {
        return Some(Verdict::certain(Cause::ConnectTimeout));
    }
    if is("connection failure") {
        if !matches!(transport_reason, "" | "-") {
            return Some(transport(transport_reason).unwrap_or(Verdict::UNKNOWN));
        }
        // Before "connection timeout" had a name of its own it was a connection failure without a transport reason;
        // but older Envoys leave none after a refusal either.
        return Some(Verdict::UNKNOWN);
    }
    if is("connection termination") {
        // With TLS 1.3 the server's alert comes with the end of the connection.
        return Some(transport(transport_reason).unwrap_or(Verdict::probable(Cause::UpstreamClosedConnection)));
    }
    if is("remote reset") || is("remote refused stream reset") {
        return Some(Verdict::certain(Cause::UpstreamResetStream));
    }
    if is("overload manager") || is("drop overload") {
        return Some(Verdict::certain(Cause::Overloaded));
    }
    if is("overflow") {
        return Some(Verdict::certain(Cause::Overflow));
    }
    if is("protocol error") {
        // A connection cut in the middle of a response is a protocol error for the codec, too.
        return Some(if after_response {
            Verdict::probable(Cause::UpstreamProtocolError)
        } else {
            Verdict::certain(Cause::UpstreamProtocolError)
        });
    }
    None
}

/// What a response's details prove, as an access log or `Sending local reply with details` has them.
pub(super) fn details(details: &str) -> Option<Verdict> {
    let starts = |needle: &str| {
        details.len() >= needle.len() && says(&details[..details.floor_char_boundary(needle.len())], needle)
    };
    for (prefix, after) in
        [("upstream reset before response started", false), ("upstream reset after response started", true)]
    {
        if starts(prefix) {
            let inner = details[prefix.len()..].trim_start_matches('{');
            let inner = inner.strip_suffix('}').unwrap_or(inner);
            let (reason, transport) = inner.split_once(['|', ',']).unwrap_or((inner, ""));
            return Some(reset(reason, transport, after).unwrap_or(Verdict::UNKNOWN));
        }
    }
    let certain = |cause| Some(Verdict::certain(cause));
    if starts("ext authz") {
        return certain(Cause::ExtAuthzFailure);
    }
    if starts("ext proc error") {
        return certain(Cause::ExtProcFailure);
    }
    if ["response timeout", "upstream response timeout", "upstream per try timeout", "upstream per try idle timeout"]
        .iter()
        .any(|prefix| starts(prefix))
    {
        return certain(Cause::UpstreamResponseTimeout);
    }
    if [
        "max duration timeout",
        "max connection duration reached",
        "max stream duration",
        "upstream max stream duration reached",
    ]
    .iter()
    .any(|prefix| starts(prefix))
    {
        return certain(Cause::MaxDurationReached);
    }
    if starts("rbac access denied") {
        return certain(Cause::RbacDenied);
    }
    if starts("connection limit reached") || starts("connection rate limited") {
        return certain(Cause::ConnectionLimit);
    }
    if starts("health check failed") {
        return certain(Cause::HealthCheckFailed);
    }
    if starts("stream idle timeout") {
        return certain(Cause::DownstreamIdleTimeout);
    }
    if starts("no healthy upstream") {
        return certain(Cause::NoHealthyUpstream);
    }
    if starts("cluster not found") {
        return certain(Cause::ClusterNotFound);
    }
    if starts("route not found") {
        return certain(Cause::NoRoute);
    }
    if starts("filter chain not found") {
        return certain(Cause::NoFilterChain);
    }
    if starts("dns resolution failure") {
        return certain(Cause::DnsFailure);
    }
    if starts("fault filter abort") {
        return certain(Cause::FaultInjected);
    }
    if starts("local rate limited") || starts("request rate limited") {
        return certain(Cause::RateLimited);
    }
    if starts("rate limiter error") {
        return Some(Verdict::probable(Cause::RateLimited));
    }
    if says(details, "filter chain is being removed") || says(details, "deferred close on drained connection") {
        return certain(Cause::ServerProxyConfigChange);
    }
    if starts("downstream remote disconnect") || starts("http2.remote reset") || starts("http2.remote refuse") {
        return certain(Cause::DownstreamDisconnect);
    }
    if starts("http1.") || starts("http2.") || starts("http3.") {
        return certain(Cause::DownstreamProtocolError);
    }
    if starts("drop overload") || starts("unconditional drop overload") || starts("overload") {
        return certain(Cause::Overloaded);
    }
    if starts("maximum circuit breaker") || starts("dns cache overflow") {
        return certain(Cause::Overflow);
    }
    if says(details, "tcp session idle timeout") {
        return certain(Cause::TcpIdleTimeout);
    }
    if says(details, "on idle timeout") {
        return certain(Cause::DownstreamIdleTimeout);
    }
    None
}

/// Whether a cluster is where Istio sends what it does not know under `REGISTRY_ONLY`.
pub(super) fn is_blackhole(cluster: Option<&str>) -> bool {
    cluster.is_some_and(|cluster| cluster.starts_with("BlackHoleCluster"))
}

/// Whether an address is one that Istio made up for a ServiceEntry without addresses (240.240.0.0/16), and no host
/// answers at.
pub(super) fn is_auto_allocated(address: &str) -> bool {
    address.starts_with("240.240.")
}

/// How often `timeout` fits into `waited`, if it fits: observed connect timeouts lie within 12 ms of the setting,
/// and each retry adds its back-off (25 ms at first, doubling).
pub(super) fn multiple(waited: Duration, timeout: Duration) -> Option<u32> {
    let (waited, timeout) = (waited.as_millis(), timeout.as_millis());
    if timeout == 0 {
        return None;
    }
    let count = (waited + 20) / timeout;
    let over = (waited + 20).saturating_sub(count * timeout);
    let slack = 20 + 50 + if count > 1 { count * 75 } else { 0 };
    (1..=16).contains(&count).then_some(())?;
    (over <= slack.min(timeout / 2 + 20)).then(|| u32::try_from(count).ok()).flatten()
}

/// The timeout a wait suggests where none is known: whole seconds up to a minute, or half and quarter ones below.
pub(super) fn suggested(waited: Duration) -> Option<Duration> {
    let millis = waited.as_millis();
    for unit in [1000_u128, 500, 250] {
        let count = (millis + unit / 2) / unit;
        let near = count * unit;
        let slack = 15 + near / 100;
        let whole = unit == 1000 && count <= 60 || count == 1;
        if count > 0 && whole && near.abs_diff(millis) <= slack {
            return u64::try_from(near).ok().map(Duration::from_millis);
        }
    }
    None
}

/// How many tries a call that was tried again and took so long in all suggests, where neither their number nor the
/// timeout is known: Istio tries three times unless told otherwise, and people set timeouts to round values.
pub(super) fn suggested_attempts(total: Duration) -> Option<u32> {
    const USUAL: [u64; 9] = [1_000, 2_000, 3_000, 4_000, 5_000, 6_000, 10_000, 15_000, 30_000];
    [3, 2, 4, 5, 6]
        .into_iter()
        .find(|count| USUAL.iter().any(|millis| multiple(total, Duration::from_millis(*millis)) == Some(*count)))
}

/// What an access log line proves; `None` for a line that shows no failure.
///
/// `timeout` is the connect timeout of the line's cluster, when known.
pub(super) fn access(line: &AccessLine, timeout: Option<Duration>) -> Option<Verdict> {
    let flag = |flag: &str| line.has_flag(flag);
    let code_details = line.details.as_deref().unwrap_or("");
    let cluster = line.cluster.as_deref();
    let certain = |cause| Some(Verdict::certain(cause));
    let transport_reason = line.transport_failure.as_deref().unwrap_or("");
    // REGISTRY_ONLY over HTTP: Istio answers 502 itself from the virtual host or route `block_all`.
    if is_blackhole(cluster) || (code_details == "direct_response" && line.route.as_deref() == Some("block_all")) {
        return certain(Cause::Blackhole);
    }
    // Passing on what the application answered is no failure of a connection, unless it broke off in the middle: before 1.15
    // the details went on saying where its beginning had come from.
    let broke_off = ["UF", "UC", "UR", "UPE", "UT", "UMSDR", "SI", "DT", "DC", "DR"].into_iter().any(flag);
    if code_details.starts_with("via_upstream") && !broke_off {
        return (line.code >= 500).then_some(Verdict::certain(Cause::UpstreamApplicationError));
    }
    if let Some(verdict) = details(code_details) {
        let closed = verdict == Verdict::probable(Cause::UpstreamClosedConnection);
        return Some(if verdict == Verdict::UNKNOWN {
            unconnected(line, transport_reason, timeout, verdict)
        } else if closed && let Some(verdict) = transport(transport_reason) {
            verdict
        } else {
            verdict
        });
    }
    if let Some(verdict) = line.termination.as_deref().and_then(details) {
        return Some(verdict);
    }
    if line.flags.is_empty() {
        // A TCP line without flags is an ordinary end, but for a transport failure that it names.
        return transport(transport_reason);
    }
    if flag("UF") {
        return Some(unconnected(line, transport_reason, timeout, Verdict::UNKNOWN));
    }
    for (name, cause) in [
        ("DF", Cause::DnsFailure),
        ("NC", Cause::ClusterNotFound),
        ("UAEX", Cause::ExtAuthzFailure),
        ("RL", Cause::RateLimited),
        ("FI", Cause::FaultInjected),
        ("UO", Cause::Overflow),
        ("UDO", Cause::Overloaded),
        ("DO", Cause::Overloaded),
        ("OM", Cause::Overloaded),
        ("LH", Cause::HealthCheckFailed),
        ("DT", Cause::MaxDurationReached),
        ("UT", Cause::UpstreamResponseTimeout),
        ("UMSDR", Cause::MaxDurationReached),
        ("SI", Cause::DownstreamIdleTimeout),
        ("UH", Cause::NoHealthyUpstream),
        ("DPE", Cause::DownstreamProtocolError),
        ("IH", Cause::DownstreamProtocolError),
        ("DC", Cause::DownstreamDisconnect),
        ("DR", Cause::DownstreamDisconnect),
    ] {
        if flag(name) {
            return certain(cause);
        }
    }
    if flag("UPE") {
        // A connection cut in the middle of a response is a protocol error for the codec, too.
        let begun = (200..500).contains(&line.code);
        let verdict = if begun { Verdict::probable } else { Verdict::certain };
        return Some(verdict(Cause::UpstreamProtocolError));
    }
    if flag("RLSE") {
        return Some(Verdict::probable(Cause::RateLimited));
    }
    if flag("NR") {
        // A TCP line can only lack a filter chain; HTTP lines before 1.9 had no details.
        return Some(Verdict::probable(if line.is_tcp() { Cause::NoFilterChain } else { Cause::NoRoute }));
    }
    if flag("UC") {
        return Some(Verdict::probable(Cause::UpstreamClosedConnection));
    }
    if flag("UR") {
        return certain(if line.is_tcp() { Cause::UpstreamClosedConnection } else { Cause::UpstreamResetStream });
    }
    if flag("LR") {
        // Envoy 1.15 to 1.17.0 gave HTTP connect timeouts this flag (envoy#14394).
        return Some(unconnected(line, transport_reason, timeout, Verdict::UNKNOWN));
    }
    // An injected delay alone is no failure.
    let failed = flag("URX") || line.code >= 500 || line.code == 0;
    failed.then_some(Verdict::UNKNOWN)
}

/// A connection that failed while it was made (`UF`, or `LR` on the versions that meant it): the transport reason
/// names the cause; where it is empty, a connect timeout is what fits, if the time fits.
fn unconnected(line: &AccessLine, reason: &str, timeout: Option<Duration>, otherwise: Verdict) -> Verdict {
    if !reason.is_empty() {
        return transport(reason).unwrap_or(Verdict::UNKNOWN);
    }
    if line.upstream_local.is_some() {
        return Verdict::UNKNOWN;
    }
    // Where these words are known, a connect timeout has a word of its own: it is none, however round the wait.
    let details = line.details.as_deref().unwrap_or("");
    if ["remote_connection_failure", "local_connection_failure", "local_reset"]
        .iter()
        .any(|word| details.contains(word))
    {
        return Verdict::UNKNOWN;
    }
    let Some(waited) = line.duration.map(Duration::from_millis) else { return otherwise };
    match timeout {
        Some(timeout) if multiple(waited, timeout).is_some() => Verdict::probable(Cause::ConnectTimeout),
        Some(_) => Verdict::UNKNOWN,
        None if suggested(waited).is_some() => Verdict::probable(Cause::ConnectTimeout),
        None if waited < Duration::from_millis(200) => Verdict::UNKNOWN,
        None => otherwise,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;

    #[test]
    fn tries_follow_from_the_total() {
        for (millis, tries) in
            [(3_063, Some(3)), (30_004, Some(3)), (2_030, Some(2)), (10_040, Some(2)), (1_001, None), (7_300, None)]
        {
            assert_eq!(suggested_attempts(Duration::from_millis(millis)), tries, "{millis}");
        }
    }

    #[test]
    fn wording_has_drifted_and_means_the_same() {
        for reason in [
            "delayed connection error: 111",
            "delayed connect error: 111",
            "delayed connect error: Connection refused",
            "delayed_connect_error:_Connection_refused",
            "delayed_connect_error:_111",
            "immediate connect error: 61",
        ] {
            assert_eq!(transport(reason).unwrap(), Verdict::certain(Cause::ConnectionRefused), "{reason}");
        }
        for reason in [
            "SSL error: 268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED",
            "TLS error: 268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED",
            "TLS_error:|268435581:SSL_routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:TLS_error_end",
        ] {
            assert_eq!(transport(reason).unwrap().cause, Cause::TlsFailure, "{reason}");
        }
        for text in [
            "upstream_reset_before_response_started{connection_timeout}",
            "upstream_reset_before_response_started{connection_timeout|connect_timeout}",
            "upstream reset before response started{connection timeout}",
        ] {
            assert_eq!(details(text).unwrap(), Verdict::certain(Cause::ConnectTimeout), "{text}");
        }
        // The text of a failure that older Envoys had for a refusal as well.
        assert_eq!(details("upstream_reset_before_response_started{connection_failure}").unwrap(), Verdict::UNKNOWN);
        for text in [
            "TLS_error:|33554536:system library:OPENSSL_internal:Connection reset by peer:TLS_error_end",
            "TLS_error:|33554536:system_library:OPENSSL_internal:Connection_reset_by_peer:TLS_error_end",
        ] {
            assert_eq!(transport(text).unwrap(), Verdict::probable(Cause::UpstreamClosedConnection), "{text}");
        }
        assert_eq!(
            details("upstream_reset_before_response_started{connection_failure,TLS_error:_268435703:SSL_routines:OPENSSL_internal:WRONG_VERSION_NUMBER}").unwrap(),
            Verdict::certain(Cause::MtlsMismatch)
        );
    }

    #[test]
    fn waits_against_timeouts() {
        let seconds = |millis| Duration::from_millis(millis);
        assert_eq!(multiple(seconds(9994), seconds(10_000)), Some(1));
        assert_eq!(multiple(seconds(30_060), seconds(10_000)), Some(3));
        assert_eq!(multiple(seconds(3049), seconds(1000)), Some(3));
        assert_eq!(multiple(seconds(1500), seconds(1000)), None);
        assert_eq!(multiple(seconds(3), seconds(1000)), None);
        assert_eq!(suggested(seconds(1003)), Some(seconds(1000)));
        assert_eq!(suggested(seconds(10_007)), Some(seconds(10_000)));
        assert_eq!(suggested(seconds(1350)), None);
        assert_eq!(suggested(seconds(250)), Some(seconds(250)));
    }

    #[test]
    fn an_answer_may_break_off() {
        let line = |flags: &'static str| AccessLine {
            code: 200,
            method: Some("GET".into()),
            flags: flags.into(),
            details: Some("via_upstream".into()),
            ..AccessLine::default()
        };
        for (flags, cause) in [
            ("UC", Cause::UpstreamClosedConnection),
            ("UR", Cause::UpstreamResetStream),
            ("DC", Cause::DownstreamDisconnect),
            ("UT", Cause::UpstreamResponseTimeout),
        ] {
            assert_eq!(access(&line(flags), None).unwrap().cause, cause, "{flags}");
        }
        for flags in ["", "URX", "LR"] {
            assert_eq!(access(&line(flags), None), None, "{flags}");
        }
    }

    #[test]
    fn never_by_duration_alone() {
        let line = AccessLine { code: 200, duration: Some(1000), tells_upstream_local: true, ..AccessLine::default() };
        assert_eq!(access(&line, Some(Duration::from_secs(1))), None);
        let line = AccessLine { flags: "UT".into(), code: 504, ..line };
        assert_eq!(access(&line, Some(Duration::from_secs(1))).unwrap().cause, Cause::UpstreamResponseTimeout);
        let trap = AccessLine { flags: "LR".into(), code: 503, method: Some("GET".into()), ..line };
        assert_eq!(access(&trap, Some(Duration::from_secs(1))).unwrap(), Verdict::probable(Cause::ConnectTimeout));
        assert_eq!(access(&trap, Some(Duration::from_secs(3))).unwrap(), Verdict::UNKNOWN);
    }
}
