//! Whether a record tells of a lost connection: its class, or why the words that it has mean none.

use std::borrow::Cow;
use std::sync::{LazyLock, OnceLock};

use regex::{Regex, RegexSet};

use super::class::Class;
use super::sieve::Sieve;
use super::text::{beginning, constant, constants};
use super::words::{
    CONNECTION_EVIDENCE, EXACT_LITERALS, FRAGMENTS, HARMLESS, LITERALS, NOT_UNDERSTOOD, PATTERNS, Reason,
};
use crate::model::{AppRecord, JsonRecord, Leaf, Severity};

/// Texts of other fields that are kept of a record, in bytes.
const MAX_LEAVES: usize = 16 << 10;

/// What a record is.
#[derive(Debug, PartialEq)]
pub(super) enum Judgement<'a> {
    /// It has no words of a lost connection.
    Nothing,
    /// It tells of a lost connection, in this text.
    Counted { class: Class, text: Cow<'a, str>, exception: Option<String> },
    /// It has the words, and they mean none.
    Uncounted(Reason),
}

/// Which classes are counted, and by what.
pub struct Patterns {
    classes: Vec<Class>,
    /// Whether a text may be one that is looked at closely.
    sieve: Sieve,
    custom: Option<RegexSet>,
}

/// Whether a text is looked at closely. Like all of these it is compiled when a text first needs it: the patterns together
/// take longer than reading a megabyte.
static PREFILTER: LazyLock<Regex> = LazyLock::new(|| {
    let literals = LITERALS.iter().map(|literal| format!("(?i-u:{})", regex::escape(literal)));
    let exact = EXACT_LITERALS.iter().map(|literal| regex::escape(literal));
    constant(&literals.chain(exact).collect::<Vec<_>>().join("|"))
});
static SET: LazyLock<RegexSet> =
    LazyLock::new(|| constants(PATTERNS.iter().map(|pattern| format!("(?im){}", pattern.regex))));
/// Where a pattern means nothing.
static UNLESS: LazyLock<Vec<Option<Regex>>> =
    LazyLock::new(|| PATTERNS.iter().map(|pattern| pattern.unless.map(constant)).collect());
static EVIDENCE: LazyLock<Regex> = LazyLock::new(|| constant(&format!("(?i){CONNECTION_EVIDENCE}")));
static IS_HARMLESS: LazyLock<RegexSet> =
    LazyLock::new(|| constants(HARMLESS.iter().map(|(_, phrase)| (*phrase).to_owned())));
static PHRASES: [OnceLock<Regex>; HARMLESS.len()] = [const { OnceLock::new() }; HARMLESS.len()];
static IS_NOT_UNDERSTOOD: LazyLock<Regex> = LazyLock::new(|| constant(&format!("(?i){NOT_UNDERSTOOD}")));
static LOUD: LazyLock<Regex> =
    LazyLock::new(|| constant(r"(?i)\b(?:warn(?:ing)?|err(?:or)?|fatal|crit(?:ical)?|severe|alert|emerg|panic)\b"));
static QUIET: LazyLock<Regex> =
    LazyLock::new(|| constant(r"(?i)\b(?:info(?:rmation)?|debug|trace|notice|verbose|fine|inf|dbg|trc)\b"));

/// As much of a pattern as is wanted to know it by.
fn shortened(pattern: &str) -> String {
    const MOST: usize = 80;
    let mut shown: String = pattern.chars().take(MOST).collect();
    if shown.len() < pattern.len() {
        shown.push('…');
    }
    shown
}

fn wrong_with(error: &regex::Error) -> &'static str {
    match error {
        regex::Error::CompiledTooBig(_) => "is too large a regular expression: what it repeats, it repeats too often",
        _ => "is not a regular expression",
    }
}

/// Why the patterns could not be compiled.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    /// A `--pattern` is not a regular expression, or one that is too large.
    #[error("{:?} {}", shortened(.pattern), wrong_with(.source))]
    Invalid {
        /// What was given.
        pattern: String,
        /// Where it goes wrong.
        #[source]
        source: Box<regex::Error>,
    },
}

fn compile(pattern: &str) -> Result<Regex, PatternError> {
    Regex::new(pattern)
        .map_err(|source| PatternError::Invalid { pattern: pattern.to_owned(), source: Box::new(source) })
}

fn compile_set(patterns: &[String]) -> Result<RegexSet, PatternError> {
    RegexSet::new(patterns)
        .map_err(|source| PatternError::Invalid { pattern: patterns.join("|"), source: Box::new(source) })
}

impl Patterns {
    /// Compiles the patterns of `classes` (all of them when empty), and `custom` ones of the user beside them.
    ///
    /// # Errors
    /// Names the custom pattern that is no regular expression.
    pub fn new(classes: &[Class], custom: &[String]) -> Result<Self, PatternError> {
        for pattern in custom {
            compile(pattern)?;
        }
        Ok(Self {
            classes: if classes.is_empty() { Class::ALL.to_vec() } else { classes.to_vec() },
            sieve: Sieve::new(FRAGMENTS),
            custom: if custom.is_empty() { None } else { Some(compile_set(custom)?) },
        })
    }

    /// Words one of which each record has that is counted or that has words of a lost connection: in whatever case, as
    /// they stand, and the user's own regular expressions.
    #[must_use]
    pub fn literals(&self) -> (&'static [&'static str], &'static [&'static str], Vec<String>) {
        (LITERALS, EXACT_LITERALS, self.custom.as_ref().map(|set| set.patterns().to_vec()).unwrap_or_default())
    }

    /// Whether this class was chosen.
    #[must_use]
    pub fn wants(&self, class: Class) -> bool {
        class == Class::Custom || self.classes.contains(&class)
    }

    /// The class of a text (message and stack trace), the first in order of precedence; none if it shows no lost
    /// connection.
    #[must_use]
    pub fn classify(&self, text: &str) -> Option<Class> {
        match self.of_text(text) {
            Found::Class(class) => Some(class),
            _ => None,
        }
    }

    /// What a record is.
    pub(super) fn judge<'a>(&self, record: &AppRecord<'a>) -> Judgement<'a> {
        if record.quiet || record.json.is_some_and(|json| self.is_without_words(json.raw)) {
            return Judgement::Nothing;
        }
        let found = self.of_text(record.text);
        let reason = match found {
            Found::Class(class) => {
                return Judgement::Counted { class, text: Cow::Borrowed(record.text), exception: None };
            }
            Found::Nothing => None,
            Found::Not(reason) => Some(reason),
        };
        let of_json = record.json.and_then(|json| self.of_json(record, json));
        match (of_json, reason) {
            (Some(judgement), _) => judgement,
            (None, Some(Reason::NotUnderstood)) if self.is_quiet(record) => Judgement::Nothing,
            (None, Some(reason)) => Judgement::Uncounted(reason),
            (None, None) => Judgement::Nothing,
        }
    }

    /// Whether a line of JSON has no word of a lost connection, and nothing behind which one could be hidden.
    pub(super) fn is_without_words(&self, raw: &str) -> bool {
        self.custom.is_none() && !self.has_words(raw) && !hides_words(raw)
    }

    /// Whether a text has one of the words because of which it is looked at closely.
    fn has_words(&self, text: &str) -> bool {
        self.sieve.may_hold(text.as_bytes()) && PREFILTER.is_match(text)
    }

    /// Whether a record says that all is well.
    fn is_quiet(&self, record: &AppRecord<'_>) -> bool {
        match record.severity {
            Some(severity) => severity == Severity::Quiet,
            None => {
                let head = beginning(record.text, 120);
                !LOUD.is_match(head) && QUIET.is_match(head)
            }
        }
    }

    fn of_text(&self, text: &str) -> Found {
        if let Some(custom) = &self.custom
            && custom.is_match(text)
        {
            return Found::Class(Class::Custom);
        }
        if !self.has_words(text) {
            return Found::Nothing;
        }
        let mut reason = None;
        let mut text = Cow::Borrowed(text);
        for index in &IS_HARMLESS.matches(&text) {
            let (why, phrase) = HARMLESS[index];
            let phrase = PHRASES[index].get_or_init(|| constant(phrase));
            let shorter = phrase.replace_all(&text, |found: &regex::Captures<'_>| {
                let whole = found.get_match();
                // `Get "https://…/x.json": unexpected EOF` is no parser's.
                if why == Reason::Parser && in_url(&text, whole.start()) {
                    return whole.as_str().to_owned();
                }
                reason = Some(why);
                String::new()
            });
            text = Cow::Owned(shorter.into_owned());
        }
        let (mut unconnected, mut unwanted) = (false, false);
        let class = SET
            .matches(&text)
            .iter()
            .map(|index| (&PATTERNS[index], &UNLESS[index]))
            .filter(|(pattern, _)| {
                let wanted = self.wants(pattern.class);
                unwanted |= !wanted;
                wanted
            })
            .filter(|(_, unless)| unless.as_ref().is_none_or(|unless| !unless.is_match(&text)))
            .filter(|(pattern, _)| {
                let connected = !pattern.needs_connection || EVIDENCE.is_match(&text);
                unconnected |= !connected;
                connected
            })
            .map(|(pattern, _)| pattern.class)
            .min();
        match class {
            Some(class) => Found::Class(class),
            None if unconnected => Found::Not(Reason::NoConnection),
            None if reason.is_some() => reason.map_or(Found::Nothing, Found::Not),
            None if !unwanted && IS_NOT_UNDERSTOOD.is_match(&text) => Found::Not(Reason::NotUnderstood),
            None => Found::Nothing,
        }
    }

    /// Looks at all texts of a record in JSON, where the fields that loggers use for messages and errors have no words
    /// of a lost connection and the record has.
    fn of_json<'a>(&self, record: &AppRecord<'_>, json: JsonRecord<'_>) -> Option<Judgement<'a>> {
        // A letter that is written by its number hides from a search of the raw text.
        if !self.has_words(json.raw) && !json.raw.contains("\\u") {
            return None;
        }
        let mut seen = Seen { text: record.text.to_owned(), ..Seen::default() };
        (json.leaves)(&mut |leaf| self.leaf(leaf, &mut seen, record));
        if let Some(class) = seen.class {
            return Some(Judgement::Counted { class, text: Cow::Owned(seen.text), exception: seen.exception });
        }
        let reason = seen.reason.or_else(|| {
            let stripped = json.raw.replace(['\\', '"'], " ");
            matches!(self.of_text(&stripped), Found::Class(_) | Found::Not(Reason::Configuration))
                .then_some(Reason::FieldName)
        })?;
        (reason != Reason::NotUnderstood || !self.is_quiet(record)).then_some(Judgement::Uncounted(reason))
    }

    fn leaf(&self, leaf: Leaf<'_>, seen: &mut Seen, record: &AppRecord<'_>) {
        let key = leaf.path.last().copied().unwrap_or_default();
        if is_type_key(key) && looks_like_a_type(leaf.text) {
            // The deepest is the root: causes are nested.
            if seen.exception_depth <= leaf.path.len() {
                seen.exception = Some(leaf.text.to_owned());
                seen.exception_depth = leaf.path.len();
            }
        }
        let judged = match self.of_text(leaf.text) {
            Found::Nothing => {
                // What stands beside an error explains it: the host that was called.
                if is_about_errors(leaf.path) && !is_settings(leaf.path) && !record.text.contains(leaf.text) {
                    seen.add(leaf.text);
                }
                return;
            }
            Found::Not(reason) => Err(reason),
            Found::Class(_) if is_settings(leaf.path) => Err(Reason::Configuration),
            Found::Class(_) if leaf.listed && is_code(leaf.text) => Err(Reason::Configuration),
            Found::Class(class) => {
                if is_about_errors(leaf.path) || !self.is_quiet(record) {
                    Ok(class)
                } else {
                    Err(Reason::OtherField)
                }
            }
        };
        match judged {
            Ok(class) => {
                seen.class = Some(seen.class.map_or(class, |before| before.min(class)));
                seen.add(leaf.text);
            }
            Err(reason) => seen.reason = Some(seen.reason.map_or(reason, |before| before.min(reason))),
        }
    }
}

#[derive(Default)]
struct Seen {
    class: Option<Class>,
    reason: Option<Reason>,
    text: String,
    exception: Option<String>,
    exception_depth: usize,
}

impl Seen {
    fn add(&mut self, text: &str) {
        if self.text.len() + text.len() < MAX_LEAVES {
            self.text.push('\n');
            self.text.push_str(text);
        }
    }
}

/// What a text has.
enum Found {
    Nothing,
    Class(Class),
    Not(Reason),
}

/// Whether a JSON text has escapes behind which words could be hidden from a search of it: letters by their numbers, and
/// quotes and slashes, which words have in them. And blanks that web pages keep from being broken at.
fn hides_words(raw: &str) -> bool {
    (!raw.is_ascii() && raw.contains('\u{a0}'))
        || memchr::memchr_iter(b'\\', raw.as_bytes())
            .any(|at| matches!(raw.as_bytes().get(at + 1), Some(b'u' | b'"' | b'/' | b'\\')))
}

/// Whether the word at this place is part of a URL.
fn in_url(text: &str, at: usize) -> bool {
    let before = &text[..at];
    let word = before.rfind([' ', '"', '\'', '(', '\n', '\t']).map_or(before, |start| &before[start..]);
    word.contains("://")
}

/// A setting's place: what would be done in case of an error, and no error.
fn is_settings(path: &[&str]) -> bool {
    const WORDS: &[&str] = &[
        "config", "option", "setting", "retry", "retries", "policy", "policies", "pattern", "codes", "rule", "filter",
        "feature", "allow", "ignore", "schema", "metric", "label", "enabled", "help", "example",
    ];
    path.iter().any(|key| {
        let key = key.to_ascii_lowercase();
        WORDS.iter().any(|word| key.contains(word))
    })
}

/// A place where errors are told.
fn is_about_errors(path: &[&str]) -> bool {
    const WORDS: &[&str] = &[
        "err",
        "exc",
        "cause",
        "reason",
        "stack",
        "trace",
        "throw",
        "fail",
        "fault",
        "message",
        "msg",
        "desc",
        "detail",
        "panic",
        "problem",
        "backtrace",
    ];
    path.iter().any(|key| {
        let key = key.to_ascii_lowercase();
        WORDS.iter().any(|word| key.contains(word))
    })
}

/// `ECONNRESET` and nothing else.
fn is_code(text: &str) -> bool {
    !text.contains(' ') && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

fn is_type_key(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    !key.starts_with("outer") && ["type", "class", "name", "kind", "exception"].iter().any(|end| key.ends_with(end))
}

/// `java.net.SocketException`, `ConnectionResetError`.
fn looks_like_a_type(text: &str) -> bool {
    text.len() < 200
        && ["Exception", "Error", "Throwable", "Disconnected"].iter().any(|end| text.ends_with(end))
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'$' | b':'))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn patterns() -> Patterns {
        Patterns::new(&[], &[]).unwrap()
    }

    #[test]
    fn what_each_class_catches() {
        let patterns = patterns();
        for (text, class) in [
            ("java.net.SocketException: Connection reset", Class::ConnectionReset),
            ("Error: read ECONNRESET", Class::ConnectionReset),
            ("FATAL CONNECTION RESET BY PEER", Class::ConnectionReset),
            ("read tcp 10.0.0.1:4->52.0.0.1:443: read: connection reset by peer", Class::ConnectionReset),
            ("ConnectionResetError(104, 'Connection reset by peer')", Class::ConnectionReset),
            ("hyper::Error(Io, Kind(ConnectionReset))", Class::ConnectionReset),
            ("SocketErrorCode: ConnectionReset", Class::ConnectionReset),
            ("[Errno 104] Die Verbindung wurde vom Kommunikationspartner zurückgesetzt", Class::ConnectionReset),
            ("Eine vorhandene Verbindung wurde vom Remotehost geschlossen", Class::ConnectionReset),
            ("OSError: [Errno 104]", Class::ConnectionReset),
            ("errno: -104", Class::ConnectionReset),
            ("cURL error 56: OpenSSL SSL_read: SSL_ERROR_SYSCALL, errno 104", Class::ConnectionReset),
            ("OpenSSL SSL_read: SSL_ERROR_SYSCALL, errno 0", Class::UnexpectedEof),
            (
                "cURL error 35: OpenSSL SSL_connect: SSL_ERROR_SYSCALL in connection to api.example.com:443",
                Class::TlsHandshakeTerminated,
            ),
            (
                "SSL_connect SYSCALL returned=5 errno=0 state=SSLv2/v3 read server hello A",
                Class::TlsHandshakeTerminated,
            ),
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
            ("Get \"https://api.example.com/x.json\": unexpected EOF", Class::UnexpectedEof),
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
        let patterns = patterns();
        for text in [
            "java.io.EOFException\n\tat java.io.DataInputStream.readInt(DataInputStream.java:392)\n\tat com.example.Index.load(Index.java:3)",
            "ERROR [http-nio-8080-exec-1] c.e.X : JSON parse error: com.fasterxml.jackson.core.io.JsonEOFException: Unexpected end-of-input",
            "ERROR [http-nio-8080-exec-1] java.io.EOFException: null\n\tat com.example.Index.load(Index.java:3)",
            "connection resettled",
            "connectionReset listener added",
            "GET /orders 200",
            "reset the connection pool",
            "while parsing config.yaml: unexpected EOF",
            "connection settings from https://cfg.example.com/a.yaml: yaml: line 3: found unexpected EOF",
            "render: template: http.tpl:12: unexpected EOF",
            "Using connection reset timeout of 30 s",
            "codes=[ECONNRESET, ETIMEDOUT]",
            "retryOn: connection reset, gateway errors",
            "retrying on Connection reset|Broken pipe|Read timed out",
            "connection resets: 0",
            "0 connection resets in the last hour",
            "http: TLS handshake error from 10.0.0.7:51034: EOF",
            "StreamAggregatedResources gRPC config stream to xds-grpc closed: 14, upstream connect error or disconnect/reset before headers. reset reason: connection termination",
            "EOFError: Ran out of input",
            "AH00898: Error reading from remote server returned by /proposals",
        ] {
            assert_eq!(patterns.classify(text), None, "{text}");
        }
    }

    #[test]
    fn every_pattern_is_in_reach_of_a_literal() {
        // docs/resets.md has a message for each row of its table of words: all of them are read in tests/it/resets.rs.
        for pattern in PATTERNS {
            assert!(compile(&format!("(?im){}", pattern.regex)).is_ok(), "{}", pattern.regex);
        }
        for (_, phrase) in HARMLESS {
            assert!(compile(phrase).is_ok(), "{phrase}");
        }
        assert_eq!((SET.len(), UNLESS.len(), IS_HARMLESS.len()), (PATTERNS.len(), PATTERNS.len(), PHRASES.len()));
        assert!(PREFILTER.is_match("ECONNRESET") && PREFILTER.is_match("接続が相手からリセットされました"));
    }

    #[test]
    fn classes_and_patterns_are_chosen() {
        let patterns = Patterns::new(&[Class::UnexpectedEof], &["(?i)broken pipe".to_owned()]).unwrap();
        assert_eq!(patterns.classify("java.net.SocketException: Connection reset"), None);
        assert_eq!(patterns.classify("write: Broken Pipe"), Some(Class::Custom));
        assert!(Patterns::new(&[], &["(".to_owned()]).is_err());
    }

    /// A record whose known fields hold `text`, and whose other texts are these.
    fn judge(text: &str, raw: &str, leaves: &[(&[&str], &str, bool)], severity: Option<Severity>) -> String {
        let each = |each: &mut dyn FnMut(Leaf<'_>)| {
            for (path, text, listed) in leaves {
                each(Leaf { path, text, listed: *listed });
            }
        };
        let record =
            AppRecord { text, severity, json: Some(JsonRecord { raw, leaves: &each }), ..AppRecord::default() };
        match patterns().judge(&record) {
            Judgement::Nothing => "nothing".to_owned(),
            Judgement::Counted { class, exception, .. } => format!("{class} {}", exception.unwrap_or_default()),
            Judgement::Uncounted(reason) => reason.name().to_owned(),
        }
    }

    #[test]
    fn other_fields_are_looked_at() {
        let reset = "read ECONNRESET";
        for (leaves, severity, judged) in [
            (vec![(["fields", "message"].as_slice(), reset, false)], None, "connection-reset "),
            (vec![(["context", "error"].as_slice(), reset, false)], Some(Severity::Quiet), "connection-reset "),
            (vec![(["errors"].as_slice(), reset, true)], None, "connection-reset "),
            (vec![(["whatever"].as_slice(), reset, false)], Some(Severity::Quiet), "other-field"),
            (vec![(["whatever"].as_slice(), reset, false)], Some(Severity::Loud), "connection-reset "),
            (vec![(["retry", "codes"].as_slice(), "ECONNRESET", true)], Some(Severity::Loud), "configuration"),
            (vec![(["codes"].as_slice(), "ECONNRESET", true)], None, "configuration"),
            (vec![(["error", "code"].as_slice(), "ECONNRESET", false)], None, "connection-reset "),
            (
                vec![
                    (["exception", "exceptionType"].as_slice(), "a.OuterException", false),
                    (
                        ["exception", "causedBy", "exception", "exceptionType"].as_slice(),
                        "java.net.SocketException",
                        false,
                    ),
                    (["exception", "causedBy", "exception", "message"].as_slice(), "Connection reset", false),
                ],
                None,
                "connection-reset java.net.SocketException",
            ),
        ] {
            let raw = leaves.iter().map(|(_, text, _)| *text).collect::<Vec<_>>().join(" ");
            assert_eq!(judge("call failed", &raw, &leaves, severity), judged, "{leaves:?}");
        }
        assert_eq!(judge("stats", r#"{"msg":"stats","metrics":{"connection reset":1}}"#, &[], None), "field-name");
        assert_eq!(judge("ok", r#"{"msg":"ok"}"#, &[], None), "nothing");
        assert_eq!(
            judge("write: broken pipe", r#"{"msg":"write: broken pipe"}"#, &[], Some(Severity::Loud)),
            "not-understood"
        );
        assert_eq!(
            judge("write: broken pipe", r#"{"msg":"write: broken pipe"}"#, &[], Some(Severity::Quiet)),
            "nothing"
        );
    }
}
