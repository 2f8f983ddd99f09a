//! What counts as a connection reset: a named set of patterns (the table in docs/resets.md).

use std::fmt;
use std::str::FromStr;

use regex::{Regex, RegexSet};

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

/// What a text must contain to be of a class, and what it must not contain (or contain as well).
struct Pattern {
    class: Class,
    /// Literals of which every match has one: they keep the search fast on lines that have nothing to say.
    literals: &'static [&'static str],
    regex: &'static str,
    /// The record must show that a connection was meant: `EOFException` alone may come from a file.
    needs_connection: bool,
}

/// The patterns of docs/resets.md, in the table's order; a test compares the two.
const PATTERNS: &[Pattern] = &[
    Pattern {
        class: Class::UpstreamConnectError,
        literals: &["upstream connect error"],
        regex: r"upstream connect error or disconnect/reset before headers",
        needs_connection: false,
    },
    Pattern {
        class: Class::TlsHandshakeTerminated,
        literals: &[
            "the handshake",
            "during handshake",
            "TLS connection was established",
            "in violation of protocol",
            "SSL_ERROR_SYSCALL",
        ],
        regex: r"(?:host (?:terminated|closed connection during) (?:the )?handshake)|(?:before secure TLS connection was established)|(?:EOF occurred in violation of protocol)|(?:SSL_ERROR_SYSCALL|SSL_connect SYSCALL returned=5)",
        needs_connection: false,
    },
    Pattern {
        class: Class::NoHttpResponse,
        literals: &[
            "NoHttpResponseException",
            "failed to respond",
            "closed connection without response",
            "socket hang up",
            "PrematureCloseException",
            "other side closed",
        ],
        regex: r"NoHttpResponseException|:\d+ failed to respond|Remote end closed connection without response|socket hang up|PrematureCloseException: Connection prematurely closed BEFORE response|UND_ERR_SOCKET|SocketError: other side closed",
        needs_connection: false,
    },
    Pattern {
        class: Class::ConnectionReset,
        literals: &[
            "onnection reset",
            "ECONNRESET",
            "onnectionReset",
            "forcibly closed by the remote host",
            "Connection aborted",
            "WSAECONNRESET",
        ],
        regex: r"[Cc]onnection reset\b|\bECONNRESET\b|ConnectionResetError|An existing connection was forcibly closed by the remote host",
        needs_connection: false,
    },
    Pattern {
        class: Class::UnexpectedEof,
        literals: &[
            "EOFException",
            "nd of stream",
            "end of file",
            "peer shut down incorrectly",
            ": EOF",
            "unexpected EOF",
            "ended prematurely",
            "EOFError",
            "0 bytes from the transport stream",
            "EOF reached while reading",
            "header parser received no bytes",
        ],
        regex: r#"[Uu]nexpected end of stream|SSL peer shut down incorrectly|: EOF$|: EOF["\s,}]|\bunexpected EOF\b|response ended prematurely|unexpected EOF or 0 bytes from the transport stream|(?:java\.io\.)?EOFException|Unexpected end of file from server|\bEOFError\b|HTTP/1\.1 header parser received no bytes|EOF reached while reading"#,
        needs_connection: true,
    },
];

/// What shows that a record speaks of a connection: a frame, a scheme, an address with a port.
const CONNECTION_EVIDENCE: &str = r"(?i)https?\b|socket|\bssl|\btls|netty|okhttp|handshake|\bhttpclient|net\.http|net/http|\bgrpc|:\d{2,5}\b.*->|(?:read|write) tcp|connection";

/// The compiled patterns of the classes that were chosen.
pub struct Patterns {
    classes: Vec<Class>,
    /// Whether any text may match at all.
    prefilter: Regex,
    set: RegexSet,
    /// For each regex of `set`: its class, and whether it needs evidence of a connection.
    rules: Vec<(Class, bool)>,
    evidence: Regex,
}

/// Why the patterns could not be compiled.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    /// A `--pattern` is not a regular expression.
    #[error("{pattern:?} is not a regular expression")]
    Invalid {
        /// What was given.
        pattern: String,
        /// Where it goes wrong.
        #[source]
        source: Box<regex::Error>,
    },
}

impl Patterns {
    /// Compiles the patterns of `classes` (all of them when empty), and `custom` ones of the user beside them.
    ///
    /// # Errors
    /// Names the custom pattern that is no regular expression.
    pub fn new(classes: &[Class], custom: &[String]) -> Result<Self, PatternError> {
        let chosen: Vec<Class> = if classes.is_empty() { Class::ALL.to_vec() } else { classes.to_vec() };
        let mut regexes = Vec::new();
        let mut rules = Vec::new();
        let mut filters = Vec::new();
        for pattern in custom {
            Regex::new(pattern)
                .map_err(|source| PatternError::Invalid { pattern: pattern.clone(), source: Box::new(source) })?;
            regexes.push(pattern.clone());
            rules.push((Class::Custom, false));
            filters.push(format!("(?:{pattern})"));
        }
        for pattern in PATTERNS.iter().filter(|pattern| chosen.contains(&pattern.class)) {
            regexes.push(format!("(?m){}", pattern.regex));
            rules.push((pattern.class, pattern.needs_connection));
            filters.extend(pattern.literals.iter().map(|literal| regex::escape(literal)));
        }
        // Nothing chosen that text could match (only the proxy's classes): a pattern that never matches.
        let filter = if filters.is_empty() { r"[^\s\S]".to_owned() } else { filters.join("|") };
        Ok(Self {
            classes: chosen,
            prefilter: Regex::new(&filter)
                .map_err(|source| PatternError::Invalid { pattern: filter, source: Box::new(source) })?,
            set: RegexSet::new(&regexes)
                .map_err(|source| PatternError::Invalid { pattern: regexes.join("|"), source: Box::new(source) })?,
            rules,
            evidence: Regex::new(CONNECTION_EVIDENCE).expect("a constant that the tests compile"),
        })
    }

    /// Whether this class was chosen.
    #[must_use]
    pub fn wants(&self, class: Class) -> bool {
        class == Class::Custom || self.classes.contains(&class)
    }

    /// The class of a record's text (message and stack trace), the first in order of precedence; none if it shows no
    /// lost connection.
    #[must_use]
    pub fn classify(&self, text: &str) -> Option<Class> {
        if !self.prefilter.is_match(text) {
            return None;
        }
        let matches = self.set.matches(text);
        matches
            .iter()
            .map(|index| self.rules[index])
            .filter(|(_, needs_connection)| !needs_connection || self.evidence.is_match(text))
            .map(|(class, _)| class)
            .min()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn what_each_class_catches() {
        let patterns = Patterns::new(&[], &[]).unwrap();
        for (text, class) in [
            ("java.net.SocketException: Connection reset", Class::ConnectionReset),
            ("Error: read ECONNRESET", Class::ConnectionReset),
            ("read tcp 10.0.0.1:4->52.0.0.1:443: read: connection reset by peer", Class::ConnectionReset),
            ("ConnectionResetError(104, 'Connection reset by peer')", Class::ConnectionReset),
            (
                "javax.net.ssl.SSLHandshakeException: Remote host terminated the handshake\nCaused by: java.io.EOFException: SSL peer shut down incorrectly",
                Class::TlsHandshakeTerminated,
            ),
            (
                "javax.net.ssl.SSLHandshakeException: Remote host closed connection during handshake",
                Class::TlsHandshakeTerminated,
            ),
            (
                "Client network socket disconnected before secure TLS connection was established\n code: 'ECONNRESET'",
                Class::TlsHandshakeTerminated,
            ),
            (
                "[SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred in violation of protocol (_ssl.c:992)",
                Class::TlsHandshakeTerminated,
            ),
            ("org.apache.http.NoHttpResponseException: api.example.com:443 failed to respond", Class::NoHttpResponse),
            ("Error: socket hang up\n    code: 'ECONNRESET'", Class::NoHttpResponse),
            (
                "('Connection aborted.', RemoteDisconnected('Remote end closed connection without response'))",
                Class::NoHttpResponse,
            ),
            ("java.io.IOException: unexpected end of stream on https://api.example.com/...", Class::UnexpectedEof),
            ("Post \"https://api.example.com/v1\": EOF", Class::UnexpectedEof),
            (
                "503 upstream connect error or disconnect/reset before headers. reset reason: connection timeout",
                Class::UpstreamConnectError,
            ),
        ] {
            assert_eq!(patterns.classify(text), Some(class), "{text}");
        }
    }

    #[test]
    fn what_is_no_lost_connection() {
        let patterns = Patterns::new(&[], &[]).unwrap();
        for text in [
            "java.io.EOFException\n\tat java.io.DataInputStream.readInt(DataInputStream.java:392)\n\tat com.example.Index.load(Index.java:3)",
            "connection resettled",
            "GET /orders 200",
            "reset the connection pool",
            "while parsing config.yaml: unexpected EOF",
        ] {
            assert_eq!(patterns.classify(text), None, "{text}");
        }
    }

    #[test]
    fn classes_and_patterns_are_chosen() {
        let patterns = Patterns::new(&[Class::UnexpectedEof], &["(?i)broken pipe".to_owned()]).unwrap();
        assert_eq!(patterns.classify("java.net.SocketException: Connection reset"), None);
        assert_eq!(patterns.classify("write: Broken Pipe"), Some(Class::Custom));
        assert!(Patterns::new(&[], &["(".to_owned()]).is_err());
    }

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
    fn every_literal_is_in_reach_of_its_regex() {
        for class in Class::ALL {
            assert_eq!(class.name().parse::<Class>().unwrap(), class);
        }
        assert!("nonsense".parse::<Class>().unwrap_err().to_string().contains("unexpected-eof"));
    }
}
