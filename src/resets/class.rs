//! What counts as a connection reset: the classes of docs/resets.md.

use std::fmt;
use std::str::FromStr;

/// A kind of lost connection. The order is the order of precedence: a record that shows several is counted once, under
/// the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// The `--pattern` of the user.
    Custom,
    /// The body with which Envoy answers an HTTP call whose upstream connection failed.
    UpstreamConnectError,
    /// The TLS handshake was cut off by the other side, which here is the proxy.
    TlsHandshakeTerminated,
    /// The connection was closed before a byte of the response came.
    NoHttpResponse,
    /// TCP RST: `Connection reset`, `ECONNRESET`.
    ConnectionReset,
    /// TCP FIN where a response was awaited.
    UnexpectedEof,
    /// An access log line or request count with `UF`: the proxy's connection attempt failed.
    ProxyConnectFailure,
    /// An access log line or request count with `UC` or `UR`: an established upstream connection was lost.
    ProxyConnectionTerminated,
}

impl Class {
    /// All classes, in order of precedence.
    pub const ALL: [Self; 8] = [
        Self::Custom,
        Self::UpstreamConnectError,
        Self::TlsHandshakeTerminated,
        Self::NoHttpResponse,
        Self::ConnectionReset,
        Self::UnexpectedEof,
        Self::ProxyConnectFailure,
        Self::ProxyConnectionTerminated,
    ];

    /// The name used on the command line, in the machine output and in the docs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Custom => "custom",
            Self::UpstreamConnectError => "upstream-connect-error",
            Self::TlsHandshakeTerminated => "tls-handshake-terminated",
            Self::NoHttpResponse => "no-http-response",
            Self::ConnectionReset => "connection-reset",
            Self::UnexpectedEof => "unexpected-eof",
            Self::ProxyConnectFailure => "proxy-connect-failure",
            Self::ProxyConnectionTerminated => "proxy-connection-terminated",
        }
    }

    /// Whether it is the proxy that tells of it, and not the application.
    #[must_use]
    pub const fn is_of_proxy(self) -> bool {
        matches!(self, Self::ProxyConnectFailure | Self::ProxyConnectionTerminated)
    }

    /// The class of a proxied call with these response flags and details, if it lost a connection.
    ///
    /// `LR` counts only with details or a transport reason that name the connection: Envoy 1.15 to 1.17.0 reported
    /// HTTP connect timeouts as `503 LR` (envoy#14394).
    pub fn of_proxy_call<'a>(flags: impl IntoIterator<Item = &'a str>, details: &str) -> Option<Self> {
        let mut found = None;
        for flag in flags {
            match flag {
                "UF" => return Some(Self::ProxyConnectFailure),
                "LR" if details.contains("connection_")
                    || details.contains("local reset")
                    || details.contains("local_reset") =>
                {
                    found = Some(Self::ProxyConnectFailure);
                }
                "UC" | "UR" if found.is_none() => found = Some(Self::ProxyConnectionTerminated),
                _ => {}
            }
        }
        found
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Class {
    type Err = UnknownClass;

    fn from_str(text: &str) -> Result<Self, UnknownClass> {
        Self::ALL.into_iter().find(|class| class.name() == text).ok_or_else(|| UnknownClass(text.to_owned()))
    }
}

/// A class name that does not exist.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a class of resets; the classes are {list}", list = Class::ALL.map(Class::name).join(", "))]
pub struct UnknownClass(String);

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn flags_of_the_proxy() {
        assert_eq!(Class::of_proxy_call(["URX", "UF"], "-"), Some(Class::ProxyConnectFailure));
        assert_eq!(Class::of_proxy_call(["UC"], ""), Some(Class::ProxyConnectionTerminated));
        assert_eq!(
            Class::of_proxy_call(["LR"], "upstream_reset_before_response_started{local reset}"),
            Some(Class::ProxyConnectFailure)
        );
        assert_eq!(Class::of_proxy_call(["LR"], "-"), None);
        assert_eq!(Class::of_proxy_call(["DC"], "downstream_remote_disconnect"), None);
    }

    #[test]
    fn names_are_read_back() {
        for class in Class::ALL {
            assert_eq!(class.name().parse::<Class>().unwrap(), class);
        }
        assert!("nonsense".parse::<Class>().unwrap_err().to_string().contains("unexpected-eof"));
    }
}
