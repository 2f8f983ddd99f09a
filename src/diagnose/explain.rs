//! Causes in plain words: what happened, what the application saw, what to do and what not to do.

use std::time::Duration;

use crate::model::{format_duration, longer_connect_timeout, syn_retransmissions};

use super::cause::{Cause, Confidence};
use super::{Event, decide};

/// What to do about a cause, whatever the circumstances: for its page.
#[must_use]
pub fn remedy(cause: Cause) -> (String, String) {
    words(&Event::of(cause), "the upstream", "", None)
}

/// Explanation and remedy of an event.
pub(super) fn explain(
    event: &Event,
    reason: Option<&str>,
    details: Option<&str>,
    idle: Option<Duration>,
) -> (String, String) {
    let to = match (&event.upstream, &event.cluster) {
        (Some(upstream), _) => upstream.clone(),
        (None, Some(cluster)) => cluster.clone(),
        (None, None) => "the upstream".to_owned(),
    };
    let quoted = reason.map(|reason| format!(" ({})", reason.replace('_', " "))).unwrap_or_default();
    let (mut explanation, mut remedy) = words(event, &to, &quoted, idle);
    if event.cause == Cause::ConnectionFailureUnspecified && was_never_tried(event, details) {
        let details = details.map(|details| format!(" ({})", details.replace('_', " "))).unwrap_or_default();
        explanation = format!(
            "The proxy answered the request itself{details} and tried no connection. Which of its filters did, and why, \
             the lines do not say."
        );
        remedy = "Look at the filters that this route goes through (`istioctl proxy-config listeners`): Wasm, Lua, an \
                  EnvoyFilter whose configuration is missing. No timeout is involved."
            .to_owned();
    }
    if event.cause.is_failure_to_connect() && event.upstream.as_deref().is_some_and(decide::is_auto_allocated) {
        explanation.push_str(
            " The address lies in 240.240.0.0/16: Istio made it up for a ServiceEntry without addresses, and no host \
             answers there.",
        );
        remedy =
            "Give the ServiceEntry `resolution: DNS` (or real endpoints), so that the proxy calls an address that \
                  exists. No timeout helps here."
                .to_owned();
    }
    if event.rescued {
        explanation.push_str(" A retry got through, so the application saw only the delay.");
    }
    if event.confidence == Confidence::Probable {
        explanation.push_str(match event.cause {
            Cause::ConnectTimeout => {
                " No line says \"connect timeout\"; it follows from the connection never being established, without \
                 a transport failure, for as long as that timeout takes."
            }
            Cause::UpstreamClosedConnection => {
                " Whether the connection had served requests before, which would make it a keep-alive race, the \
                 lines do not show."
            }
            _ => " This fits the lines best, but none of them says so outright.",
        });
    }
    if let Some(other) = &event.other_end {
        let cause = other.cause.map(|cause| format!(", {cause}")).unwrap_or_default();
        explanation.push_str(&format!(
            " The proxy at the other end wrote {}{cause}{}.",
            other.outcome,
            if other.source.is_empty() {
                format!(" (line {})", other.line)
            } else {
                format!(" ({}, line {})", other.source, other.line)
            },
        ));
    }
    (explanation, remedy)
}

/// Whether a failure that no line explains came before any connection: a filter that failed or has no configuration.
fn was_never_tried(event: &Event, details: Option<&str>) -> bool {
    let flag = |name: &str| event.flags.iter().any(|own| own == name);
    let by_filter = details.is_some_and(|details| {
        ["wasm", "lua", "jwt", "direct_response", "filter"].iter().any(|word| details.starts_with(word))
    });
    flag("NFCF") || (by_filter && event.upstream.is_none())
}

/// What an application sees of a connection that the proxy could not make.
fn seen(event: &Event, reset_reason: &str) -> String {
    if event.own {
        return "No application was waiting for it: it is the proxy's own, such as a health check or its stream to the \
                control plane. A host that fails its checks is called no more."
            .to_owned();
    }
    match event.protocol {
        Some("tcp") => "The application saw `Connection reset` if it had sent something (a TLS client always has: \
                        `SSLHandshakeException`, `Remote host terminated the handshake`), or else an end of file \
                        (`EOFException`)."
            .to_owned(),
        Some("grpc") => {
            format!("The application saw gRPC status 14, UNAVAILABLE, with \"reset reason: {reset_reason}\".")
        }
        Some(_) => format!(
            "The application saw 503 with \"upstream connect error or disconnect/reset before headers. reset reason: \
             {reset_reason}\" (gRPC: status 14, UNAVAILABLE)."
        ),
        None => "The application saw `Connection reset` over TCP, or a 503 over HTTP.".to_owned(),
    }
}

fn words(event: &Event, to: &str, quoted: &str, idle: Option<Duration>) -> (String, String) {
    let owned = |explanation: String, remedy: &str| (explanation, remedy.to_owned());
    match event.cause {
        Cause::ConnectTimeout => connect_timeout(event, to),
        Cause::ConnectionRefused => owned(
            format!("{to} refused the connection{quoted}: its host answers, and nothing listens on that port. {}", seen(event, "remote connection failure")),
            "Look at the process and the port: is it running, listening on this port and on all addresses, and does \
             the Service's targetPort match? A longer connect timeout does not mend a refused port.",
        ),
        Cause::HostUnreachable => owned(
            format!("There is no way to {to}{quoted}: the network answered that no route leads there. {}", seen(event, "remote connection failure")),
            "Look at routes, NetworkPolicies, security groups and at whether the endpoint still exists. A longer \
             connect timeout does not help: there was an answer.",
        ),
        Cause::ConnectionFailureUnspecified => owned(
            format!("The connection to {to} failed{quoted}, and the lines do not say why. {}", seen(event, "connection failure")),
            "Look next at the debug lines of this connection (`kubectl meshaudit debug-log`): `connect timeout`, \
             `delayed connect error`, `TLS error`; and give the proxy's configuration (`--config-dump`), so that the \
             wait can be held against the cluster's connect timeout.",
        ),
        Cause::TlsFailure => owned(
            format!("The TLS handshake with {to} failed{quoted}. The TCP connection was established. {}", seen(event, "remote connection failure")),
            "Compare certificate and expectation: its authority, names (`subjectAltNames`), dates, and whether a \
             client certificate is asked for. `openssl s_client` from the pod shows what the server sends. No timeout \
             is involved.",
        ),
        Cause::MtlsMismatch => owned(
            if event.direction == Some(crate::model::Direction::Inbound) {
                format!("The caller spoke plain text, or showed no certificate, to a port that expects TLS{quoted}. The caller saw `Connection reset`.")
            } else {
                format!("One side spoke TLS and the other did not, or no client certificate was shown where one is required{quoted}. {}", seen(event, "remote connection failure"))
            },
            "Make both ends agree: the client's DestinationRule (`tls.mode`: ISTIO_MUTUAL, SIMPLE, DISABLE), the \
             server's PeerAuthentication (STRICT, PERMISSIVE) and the port's protocol. No timeout is involved.",
        ),
        Cause::UpstreamClosedConnection if event.connected == Some(false) => owned(
            format!("{to} accepted the TCP connection and closed it during the TLS handshake{quoted}, before any certificate was looked at. {}", seen(event, "remote connection failure")),
            "Look at whether the server speaks TLS on this port at all, and at a load balancer before it that has no \
             healthy targets: both accept and close. Its log shows whether it saw the connection. No timeout is involved.",
        ),
        Cause::UpstreamClosedConnection => owned(
            format!("{to} accepted the connection and closed it before the answer was complete. The application saw a 503 with \"reset reason: connection termination\", or over TCP `Connection reset`."),
            "Look at the server's own log at this moment: a crash, an out-of-memory kill, a restart, a limit of its \
             own, or a load balancer in between. The connect timeout plays no part: the connection was established.",
        ),
        Cause::UpstreamClosedIdleConnection => {
            let gap = idle.map(|idle| format!(" after {} without traffic", seconds(idle))).unwrap_or_default();
            owned(
                format!("A kept-alive connection to {to} was used again{gap}, just as the server gave it up: the request met a closed connection. The application saw a 503 with \"reset reason: connection termination\"."),
                "Close idle connections on the client's side first: set `connectionPool.http.idleTimeout` in the \
                 DestinationRule below the server's (or load balancer's) keep-alive timeout. Retrying `reset-before-request` \
                 is safe for what was never processed. A longer connect timeout does not help.",
            )
        }
        Cause::UpstreamResetStream => owned(
            format!("{to} reset the stream (HTTP/2 RST_STREAM or GOAWAY){quoted}. The application saw a 503 with \"reset reason: remote reset\", or gRPC status 14."),
            "Look at the server: it gave up this request, by its own limit, deadline or shutdown. The connection \
             itself was fine.",
        ),
        Cause::UpstreamResponseTimeout if event.connected == Some(false) => owned(
            format!("The route's timeout ended the request while the connection to {to} was still being made: it was never established. The application saw 504 \"upstream request timeout\"."),
            "The route's timeout hides a connect problem: see why connecting takes so long (lost SYNs, a full accept \
             queue), and keep the connect timeout below the route's and per-try timeouts, so that a retry can still run.",
        ),
        Cause::UpstreamResponseTimeout => owned(
            format!("{to} was connected and did not answer within the route's timeout (or per-try timeout). The application saw 504 \"upstream request timeout\"."),
            "Look at what takes the server so long, or raise the VirtualService's `timeout` or `perTryTimeout` if that \
             long is right. The connect timeout plays no part.",
        ),
        Cause::TcpIdleTimeout => owned(
            format!("The TCP session to {to} carried nothing for as long as the idle timeout, and the proxy closed it. The application saw `Connection reset` or an end of file when it used it again."),
            "Let the application send keep-alives, or raise `connectionPool.tcp.idleTimeout` (or the EnvoyFilter \
             that sets `idle_timeout`).",
        ),
        Cause::DownstreamIdleTimeout => owned(
            "The stream carried nothing for as long as the stream idle timeout (5 minutes unless set), and the proxy ended it. The application saw 504 \"stream timeout\", or a stream that just ended.".to_owned(),
            "For long polls and quiet streams, raise `stream_idle_timeout` (a per-route `idle_timeout`), or let them \
             send something in between.",
        ),
        Cause::ListenerFilterTimeout => owned(
            "The client connected and sent nothing that the listener's filters could tell its protocol by, until their time was over. Nothing was sent upstream yet.".to_owned(),
            "Protocols where the server speaks first (MySQL, SMTP, MongoDB) need their port declared \
             (`appProtocol: tcp`, port name `tcp-…`), so that the proxy does not wait for the client.",
        ),
        Cause::Overflow => owned(
            format!("A circuit breaker of the cluster was full, and the proxy did not try {to} at all. The application saw 503 with \"reset reason: overflow\" and `x-envoy-overloaded`."),
            "Look at whether the limit is meant: `connectionPool` (`maxConnections`, `http1MaxPendingRequests`, \
             `http2MaxRequests`, `maxRetries`). A slow server fills any limit: find out what it waits for first.",
        ),
        Cause::NoHealthyUpstream => owned(
            "The cluster had no healthy host to call. The application saw 503 \"no healthy upstream\", or over TCP a closed connection.".to_owned(),
            "Look at the endpoints (`kubectl get endpointslices`), their readiness, the subset's labels, and at \
             outlier detection, which may have ejected the last one. Where connect timeouts came before, they are why \
             it was ejected.",
        ),
        Cause::ClusterNotFound => owned(
            "The route leads to a cluster that this proxy does not have. The application saw 503.".to_owned(),
            "Look at the VirtualService's host and subset: is there a DestinationRule for the subset, a Service for \
             the host, and does the Sidecar's `egress` let it through?",
        ),
        Cause::NoRoute => owned(
            "No route matches the request. The application saw 404 without a body.".to_owned(),
            "Compare the request's host, path and port with the VirtualServices and Services that this proxy knows \
             (`istioctl proxy-config routes`).",
        ),
        Cause::NoFilterChain => owned(
            "The listener has no filter chain for this connection. With mutual TLS required, this is a caller that spoke plain text; it saw `Connection reset`.".to_owned(),
            "Look at the caller: is it in the mesh, and does a DestinationRule turn its TLS off? While both kinds of \
             callers exist, PeerAuthentication PERMISSIVE takes both.",
        ),
        Cause::Blackhole => owned(
            "The mesh does not know this destination and lets only known ones out (`outboundTrafficPolicy: REGISTRY_ONLY`). The application saw 502, or over TCP a closed connection.".to_owned(),
            "If the destination is meant, declare it with a ServiceEntry (and see that the Sidecar's `egress` \
             includes it).",
        ),
        Cause::DnsFailure => owned(
            format!("The name of {} did not resolve{quoted}, so there was no address to call. The application saw 503.", event.host.as_deref().unwrap_or("the upstream")),
            "Resolve the name from the pod; look at the cluster's DNS, the ServiceEntry's host and its search \
             domains. No timeout is involved.",
        ),
        Cause::ExtAuthzFailure => owned(
            "The external authorization service denied the request, or could not be asked. The application saw 403 (or the service's own answer).".to_owned(),
            "`ext_authz_denied` is its decision; `ext_authz_error` means that it could not be reached: look at that \
             service, and at its own failed connection in this list, if there is one.",
        ),
        Cause::ExtProcFailure => owned(
            "The external processing service failed, and the request with it. The application saw 500.".to_owned(),
            "Look at that service, and at its own failed connection in this list, if there is one; \
             `failure_mode_allow` lets requests pass without it.",
        ),
        Cause::UpstreamProtocolError => owned(
            format!("{to} sent what is not valid HTTP here. The application saw 502 with \"reset reason: protocol error\", or a response that broke off."),
            "Check that the port's protocol is declared as what it is (`appProtocol`, port name): HTTP/2 to an \
             HTTP/1 server and plain TCP on an HTTP port end like this.",
        ),
        Cause::DownstreamProtocolError => owned(
            "The client sent what is not valid HTTP. It saw 400.".to_owned(),
            "Check what the client sends to this port: TLS or another protocol to an HTTP port ends like this.",
        ),
        Cause::DownstreamDisconnect if event.connected == Some(false) => owned(
            format!("The client gave up while the connection to {to} was still being made: its own timeout is shorter than the connect timeout."),
            "See why connecting takes so long (lost SYNs, a full accept queue, a host that is down): the client's \
             timeout hides it.",
        ),
        Cause::DownstreamDisconnect => owned(
            "The client closed its connection before the answer was complete: its own timeout, or it went away. Nothing failed upstream.".to_owned(),
            "Compare the duration with the client's own timeout, if this was not meant.",
        ),
        Cause::Overloaded => owned(
            "The proxy itself was short of memory or connections (Envoy's overload manager), or was told to drop a share of the calls, and turned this one away before it chose a host. The application saw 503 with `x-envoy-local-overloaded`, or a closed connection.".to_owned(),
            "Look at the proxy's own memory and connections (`overload.*` counters, the container's limits), and at \
             `drop_overload` policies. No limit of the called cluster and no timeout is involved.",
        ),
        Cause::ConnectionLimit => owned(
            "A listener had as many connections as it may have, and the proxy closed this one at once. The client saw `Connection reset` or an end of file.".to_owned(),
            "Look at whether the limit is meant (`envoy.resource_limits.listener…connection_limit`, the connection \
             limit filter, `global_downstream_max_connections`), and at clients that open connections and keep them.",
        ),
        Cause::MaxDurationReached => owned(
            format!("The connection or stream to {to} had lasted as long as it may, and the proxy ended it. Nothing was wrong with it."),
            "Look at the maximum duration (`max_downstream_connection_duration`, `max_connection_duration`, \
             `max_stream_duration`), and let clients open a new connection when one ends. The connect timeout plays no part.",
        ),
        Cause::RbacDenied => owned(
            format!("An AuthorizationPolicy denied it{quoted}. The application saw 403 \"RBAC: access denied\", or over TCP a closed connection."),
            "Compare the caller's identity, namespace, path and port with the AuthorizationPolicies of this workload; \
             the policy's name stands in the details. No timeout is involved.",
        ),
        Cause::LocalPortExhausted => owned(
            format!("The proxy's node had no local port or file descriptor left for a connection to {to}{quoted}. {}", seen(event, "local connection failure")),
            "Count the connections to this address (`ss -tan`): many in TIME_WAIT or leaked ones use up the ports \
             (`net.ipv4.ip_local_port_range`). Reuse connections (keep-alive, HTTP/2), or spread them over more \
             addresses. A longer connect timeout does not help.",
        ),
        Cause::HealthCheckFailed => owned(
            format!("A health check of {to} failed, or this proxy fails its own: it turns requests away until the check succeeds again."),
            "Look at what the check asks for and at what the host answers (`health_flags` in `/clusters`); \
             a proxy that fails its own check was told to drain, or its health check filter says so.",
        ),
        Cause::RateLimited => owned(
            "A rate limit turned the request away. The application saw 429.".to_owned(),
            "Look at whether the limit is meant; callers should back off and try again.",
        ),
        Cause::FaultInjected => owned(
            "A VirtualService's fault injection ended the request, on purpose.".to_owned(),
            "Remove the `fault` from the VirtualService when the experiment is over.",
        ),
        Cause::ServerProxyConfigChange => owned(
            "The proxy got a new configuration for this listener and closed the connections of the old one. The peer saw its connection end.".to_owned(),
            "Let clients retry what is safe to; lengthen the drain time (`terminationDrainDuration`, \
             `--drain-time-s`) for long-lived connections, and avoid changes that replace listeners at busy times.",
        ),
        Cause::UpstreamApplicationError => owned(
            format!("The application behind {to} answered with an error of its own; the connection was fine."),
            "Look at the application's log. Nothing in the mesh's timeouts is involved. Give the server's proxy log, \
             too, to see whether it was its proxy that answered.",
        ),
    }
}

fn connect_timeout(event: &Event, to: &str) -> (String, String) {
    let each = event.waited.map(|waited| format!(" within {}", seconds(waited))).unwrap_or_default();
    let tries = if event.attempts > 1 {
        let total = event.total.map(|total| format!(", {} in all", seconds(total))).unwrap_or_default();
        format!(", {} times in a row{total}", event.attempts)
    } else if let (None, Some(total), true) = (event.waited, event.total, event.flags.iter().any(|flag| flag == "URX"))
    {
        format!(" in several tries, {} in all", seconds(total))
    } else {
        String::new()
    };
    let handshake = if event.connected == Some(true) {
        " The TCP connection was made, but its TLS handshake was not complete in time: the connect timeout covers both."
    } else {
        ""
    };
    let explanation = format!(
        "{to} did not complete the connection{each}{tries}, and the proxy gave up: its connect timeout.{handshake} {}",
        seen(event, "connection timeout")
    );
    if let Some((now, since)) = event.changed {
        let then = match event.connect_timeout {
            Some(then) => format!("seems to have been {} then", format_duration(then)),
            None => "is not known for that time".to_owned(),
        };
        return (
            explanation,
            format!(
                "The cluster's connect timeout {then}. The proxy has had another configuration of the cluster since {}, with \
                 {}: see whether it still fails (`kubectl meshaudit diagnose` on newer lines, `verify`).",
                since.strftime("%Y-%m-%d %H:%M:%SZ"),
                format_duration(now),
            ),
        );
    }
    let Some(timeout) = event.connect_timeout else {
        return (
            explanation,
            "Look up the cluster's connect timeout (`kubectl meshaudit timeouts`), and whether the host is up and \
             reachable: one that never answers needs no longer timeout."
                .to_owned(),
        );
    };
    let origin = if event.timeout_inferred { "seems to be" } else { "is" };
    let allowed = match syn_retransmissions(timeout) {
        0 => "allows no retransmission: a single lost SYN loses the connection".to_owned(),
        1 => "allows one retransmission of a lost SYN".to_owned(),
        count => format!("allows {count} retransmissions of a lost SYN"),
    };
    let remedy = if syn_retransmissions(timeout) < 2 {
        format!(
            "The cluster's connect timeout {origin} {}, which {allowed}. Raise it to {} (`meshConfig.connectTimeout`, or \
             the DestinationRule that sets it): see `kubectl meshaudit fix`. If every attempt to this address fails, \
             it is unreachable, and a longer timeout only makes callers wait.",
            format_duration(timeout),
            format_duration(longer_connect_timeout(timeout)),
        )
    } else {
        format!(
            "The cluster's connect timeout {origin} {}, which {allowed}: more time would not help. See whether {to} is up, \
             whether a firewall or NetworkPolicy drops packets, and whether its accept queue is full.",
            format_duration(timeout)
        )
    };
    (explanation, remedy)
}

fn seconds(duration: Duration) -> String {
    let text = format!("{:.2}", duration.as_secs_f64());
    format!("{} s", text.strip_suffix('0').unwrap_or(&text))
}
