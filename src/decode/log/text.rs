//! Text layouts of Envoy's application log, from 2018 on.
//!
//! Envoy's default is `[%Y-%m-%d %T.%e][%t][%l][%n] [%g:%#] %v`; Istio's are in its `pkg/envoy/proxy.go`
//! (1.4: the default behind `[Envoy (Epoch 0)] `; 1.6: `ISO<TAB>level<TAB>envoy logger<TAB>[path:line] message`;
//! 1.17: `ISO<TAB>level<TAB>envoy logger path:line<TAB>message<TAB>thread=N`).

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use crate::decode::timestamp::usual;
use crate::model::{LogContent, ProxyLine};

/// What stands at the beginning of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::decode) enum Shape {
    /// Envoy's bracketed layout.
    Bracketed,
    /// Istio's layout: time, level, scope.
    Columns,
    /// A text access log.
    Access,
    /// A JSON object.
    Json,
}

/// Of the words for levels.
const LONGEST_LEVEL: usize = "critical".len();

/// Tells the layout by the first bytes; `None` for a line that is no record, or has a wrapper before it.
pub(super) fn shape(text: &str) -> Option<Shape> {
    let bytes = text.as_bytes();
    match bytes.first()? {
        b'{' => Some(Shape::Json),
        b'[' if text.starts_with("[Envoy (") => Some(Shape::Bracketed),
        b'[' if is_date(&bytes[1..]) => {
            let close = memchr::memchr(b']', &bytes[..bytes.len().min(48)])?;
            match &bytes[close + 1..] {
                [b'[', ..] => Some(Shape::Bracketed),
                [b' ', b'"', ..] => Some(Shape::Access),
                _ => None,
            }
        }
        // An access log line without its time: `"GET / HTTP/1.1" 200 …`.
        b'"' => request_line(text).then_some(Shape::Access),
        b'0'..=b'9' if is_date(bytes) => {
            let head = &bytes[..bytes.len().min(48)];
            if let Some(end) = memchr::memchr_iter(b']', head).find(|end| head.get(end + 1) == Some(&b'[')) {
                // The first bracket was cut.
                return (end < 32).then_some(Shape::Bracketed);
            }
            let end = memchr::memchr2(b' ', b'\t', head)?;
            level(unindented(&text[end..])).map(|_| Shape::Columns)
        }
        _ => None,
    }
}

/// Whether this begins as a request line between quotes does, with a response code behind it.
fn request_line(text: &str) -> bool {
    let Some(close) = memchr::memchr(b'"', &text.as_bytes()[1..]) else { return false };
    let mut fields = text[close + 2..].split_ascii_whitespace();
    let words = text[1..=close].split(' ').count();
    words >= 2
        && fields.next().is_some_and(|code| code.len() <= 3 && code.bytes().all(|byte| byte.is_ascii_digit()))
        && fields
            .next()
            .is_some_and(|flags| flags == "-" || flags.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b','))
}

/// `YYYY-MM-DD` and a `T` or a space.
pub(super) fn is_date(bytes: &[u8]) -> bool {
    bytes.len() > 18
        && bytes[..4].iter().all(u8::is_ascii_digit)
        && bytes[4] == b'-'
        && bytes[7] == b'-'
        && matches!(bytes[10], b'T' | b' ')
        && bytes[13] == b':'
}

/// Where the first blank or tab is, or the end.
fn blank(text: &str) -> usize {
    memchr::memchr2(b' ', b'\t', text.as_bytes()).unwrap_or(text.len())
}

/// Without the blanks and tabs at its beginning.
fn unindented(text: &str) -> &str {
    let blanks = text.bytes().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    &text[blanks..]
}

fn level(text: &str) -> Option<(&str, &str)> {
    let bytes = &text.as_bytes()[..text.len().min(LONGEST_LEVEL + 1)];
    let end = bytes.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(bytes.len());
    let is_level = matches!(
        &bytes[..end],
        b"debug"
            | b"info"
            | b"warning"
            | b"warn"
            | b"error"
            | b"trace"
            | b"critical"
            | b"fatal"
            | b"off"
            | b"warnin"
            | b"err"
    );
    is_level.then(|| text.split_at(end))
}

/// Reads a time stamp; one without a zone is UTC, as containers are.
pub(super) fn time(text: &str) -> Option<Timestamp> {
    if let Some(time) = usual_time(text.as_bytes()) {
        return Some(time);
    }
    if (text.ends_with('Z') || text.len() > 23)
        && let Ok(time) = text.parse()
    {
        return Some(time);
    }
    let local: DateTime = text.parse().ok()?;
    TimeZone::UTC.to_timestamp(local).ok()
}

/// `2026-11-23T18:09:45.760887Z` and `2026-11-23 18:09:45.760`: what Envoy and Istio write, and a log has millions of.
fn usual_time(bytes: &[u8]) -> Option<Timestamp> {
    let bytes = bytes.strip_suffix(b"Z").unwrap_or(bytes);
    let [year, month, day, hour, minute, second] = usual::numbers(bytes)?;
    let nanos = match &bytes[19..] {
        [] => 0,
        [b'.', digits @ ..] => usual::fraction(digits).filter(|(_, length)| *length == digits.len())?.0,
        _ => return None,
    };
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let date = Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
    // Days since 1970 of the proleptic Gregorian calendar (Howard Hinnant's days_from_civil).
    let shifted = i64::from(date.year()) - i64::from(date.month() <= 2);
    let era = shifted.div_euclid(400);
    let of_era = shifted.rem_euclid(400);
    let month = (i64::from(date.month()) + 9) % 12;
    let of_year = (153 * month + 2) / 5 + i64::from(date.day()) - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Timestamp::new(days * 86_400 + i64::from((hour * 60 + minute) * 60 + second), nanos).ok()
}

/// The first time in the head of a line in a layout that is not known.
pub(super) fn time_within(head: &str) -> Option<Timestamp> {
    let head = &head[..head.floor_char_boundary(120)];
    let at = (0..head.len()).find(|at| head.is_char_boundary(*at) && is_date(&head.as_bytes()[*at..]))?;
    let stamp = &head[at..];
    let end = stamp
        .bytes()
        .skip(11)
        .position(|byte| !matches!(byte, b'0'..=b'9' | b':' | b'.' | b','))
        .map_or(stamp.len(), |end| end + 11);
    // `…Z+00:00` is how consul-dataplane writes it.
    time(&stamp[..end].replace(',', "."))
}

/// `[time][thread][level][logger] [path:line] message`.
pub(super) fn bracketed(text: &str) -> Option<(Option<Timestamp>, ProxyLine<'_>)> {
    let mut rest = text;
    if rest.starts_with("[Envoy (") {
        rest = rest.split_once("] ")?.1;
    }
    rest = rest.strip_prefix('[').unwrap_or(rest);
    let (stamp, after) = rest.split_once("][")?;
    let (thread, after) = after.split_once("][")?;
    let (_level, after) = after.split_once("][")?;
    let (logger, message) = after.split_once(']')?;
    let mut line = ProxyLine { logger: Cow::Borrowed(logger), thread: number(thread), ..ProxyLine::default() };
    message_into(message.trim_start(), &mut line);
    Some((time(stamp), line))
}

/// Whether a record in Istio's layout from 1.17 on lacks the thread that ends it, and so was wrapped. A record that
/// dumps headers or a message of several lines ends with a colon or a brace.
pub(super) fn is_wrapped(text: &str, line: &ProxyLine) -> bool {
    let end = blank(text);
    let located = level(unindented(&text[end..])).is_some_and(|(_, rest)| {
        let rest = unindented(rest).strip_prefix("envoy").map_or("", unindented);
        let (_, behind) = rest.split_at(blank(rest));
        let behind = unindented(behind);
        !behind.starts_with('[') && without_location(behind).len() < behind.len()
    });
    line.message.is_empty() || (located && line.thread == 0 && !line.message.ends_with([':', '{', ',']))
}

/// `ISO level envoy logger path:line message thread=N`, with tabs or with the blanks they were turned into.
pub(super) fn columns(text: &str) -> Option<(Option<Timestamp>, LogContent<'_>)> {
    let end = blank(text);
    let stamp = time(&text[..end]);
    let (_, rest) = level(unindented(&text[end..]))?;
    let rest = unindented(rest);
    // Since 1.9 the agent's own records stand in the same file, in the same layout, without "envoy".
    let Some(rest) = rest.strip_prefix("envoy").and_then(|rest| rest.strip_prefix([' ', '\t'])) else {
        // Layouts of people's own look alike; Envoy's ids tell.
        let envoy = foreign(rest).filter(|(_, line)| line.event.is_known());
        // ztunnel's access log says of a connection that failed why, in words of its own (src/proxy/metrics.rs).
        let otherwise = match rest.strip_prefix("access") {
            Some(access) if access.contains(" error=\"") || access.contains("\terror=\"") => {
                LogContent::Unrecognized { of_failure: true }
            }
            _ => LogContent::Agent,
        };
        return Some((stamp, envoy.map_or(otherwise, |(_, line)| LogContent::Proxy(line))));
    };
    let (logger, message) = rest.split_at(blank(rest));
    let mut line = ProxyLine { logger: Cow::Borrowed(logger), ..ProxyLine::default() };
    let mut message = unindented(message);
    if let Some((before, thread)) = thread_behind(message) {
        line.thread = thread;
        message = before;
    }
    message_into(message, &mut line);
    Some((stamp, LogContent::Proxy(line)))
}

/// Splits `…<TAB>thread=123` (the tab may have become blanks).
pub(super) fn thread_behind(text: &str) -> Option<(&str, u64)> {
    let bytes = text.as_bytes();
    let digits = bytes.iter().rev().take(20).take_while(|byte| byte.is_ascii_digit()).count();
    let head = &text[..text.len() - digits];
    let before = head.strip_suffix("thread=")?;
    (digits > 0 && (before.is_empty() || before.ends_with(['\t', ' '])))
        .then(|| (before.strip_suffix(['\t', ' ']).unwrap_or(before), number(&text[text.len() - digits..])))
}

/// Takes location and ids off a message, and keeps the rest.
fn message_into<'a>(message: &'a str, line: &mut ProxyLine<'a>) {
    let (ids, message) = ids(without_location(message));
    (line.connection, line.stream) = ids;
    line.message = message.trim_end();
    line.event = super::message::parse(&line.logger, line.message);
}

/// `[path:line] message`, `path:line] message` (before Envoy 1.9), `path:line<TAB>message`.
pub(super) fn without_location(message: &str) -> &str {
    let end = blank(message);
    let word = &message[..end];
    let inner = word.strip_suffix(']').map_or(word, |word| word.strip_prefix('[').unwrap_or(word));
    let Some(colon) = memchr::memrchr(b':', inner.as_bytes()) else { return message };
    let (path, number) = (&inner[..colon], &inner[colon + 1..]);
    let located = number.bytes().all(|byte| byte.is_ascii_digit())
        && !number.is_empty()
        && (path.ends_with(".cc") || path.ends_with(".h") || path.ends_with(".cpp"));
    if located { unindented(&message[end..]) } else { message }
}

type Ids = (Option<u64>, Option<u64>);

/// An id as a number. Envoy's have 64 bits; what is longer was put in by somebody who replaced it, and stands for
/// itself.
pub(super) fn id(text: &str) -> Option<u64> {
    if let Ok(id) = text.parse() {
        return Some(id);
    }
    let is_id =
        !text.is_empty() && text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    // FNV-1a.
    is_id.then(|| {
        text.bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    })
}

/// `[C12][S34] message`, `[C12] [S34] message` or `[Tags: "ConnectionId":"12","StreamId":"34"] message`.
pub(super) fn ids(message: &str) -> (Ids, &str) {
    let none = ((None, None), message);
    // The happy eyeballs connection writes `C[12]`.
    let Some(rest) = message.strip_prefix('[').or_else(|| message.strip_prefix("C[")) else { return none };
    if let Some(tags) = rest.strip_prefix("Tags: ") {
        let Some(end) = memchr::memchr(b']', tags.as_bytes()) else { return none };
        let (tags, message) = (&tags[..end], &tags[end + 1..]);
        return ((tag(tags, "\"ConnectionId\":\""), tag(tags, "\"StreamId\":\"")), unindented(message));
    }
    let Some((connection, rest)) = rest.split_once(']') else { return none };
    let connection = match connection.strip_prefix('C') {
        Some(connection) => connection,
        None if message.starts_with('C') => connection,
        None => return none,
    };
    let Ok(connection) = connection.parse() else { return none };
    let rest = rest.trim_start();
    if let Some((stream, rest)) = rest.strip_prefix("[S").and_then(|rest| rest.split_once(']'))
        && let Some(stream) = id(stream)
    {
        return ((Some(connection), Some(stream)), rest.trim_start());
    }
    ((Some(connection), None), rest)
}

/// The id in `…,"Key":"12",…`.
fn tag(tags: &str, key: &str) -> Option<u64> {
    let mut rest = tags;
    loop {
        if let Some(value) = rest.strip_prefix(key) {
            return id(&value[..memchr::memchr(b'"', value.as_bytes())?]);
        }
        rest = &rest[memchr::memchr(b',', rest.as_bytes())? + 1..];
    }
}

/// A record whose head is of a layout that is not known, or was cut off: its ids, and what stands behind them. The head
/// is whatever a program that runs Envoy puts there (`--log-format`).
pub(super) fn foreign(text: &str) -> Option<(&str, ProxyLine<'_>)> {
    let head = &text[..text.floor_char_boundary(300)];
    let at = memchr::memmem::find(head.as_bytes(), b"[Tags: \"").or_else(|| {
        memchr::memmem::find_iter(head.as_bytes(), b"[C")
            .find(|at| head.as_bytes().get(at + 2).is_some_and(u8::is_ascii_digit))
    })?;
    let (ids, message) = ids(&text[at..]);
    ids.0?;
    let before = &text[..at];
    let logger = super::message::LOGGERS.iter().find(|logger| {
        before.match_indices(**logger).any(|(from, _)| {
            let around = |byte: Option<&u8>| {
                byte.is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_' && *byte != b'/')
            };
            around(from.checked_sub(1).and_then(|at| before.as_bytes().get(at)))
                && around(before.as_bytes().get(from + logger.len()))
        })
    });
    let (message, thread) = thread_behind(message).unwrap_or((message, 0));
    let message = message.trim_end();
    let logger = logger.copied().unwrap_or_default();
    let line = ProxyLine {
        logger: Cow::Borrowed(logger),
        thread,
        connection: ids.0,
        stream: ids.1,
        message,
        event: super::message::parse(logger, message),
    };
    Some((before, line))
}

fn number(text: &str) -> u64 {
    text.trim().parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;

    fn proxy(text: &str) -> ProxyLine<'_> {
        match shape(text).unwrap() {
            Shape::Bracketed => bracketed(text).unwrap().1,
            Shape::Columns => match columns(text).unwrap().1 {
                LogContent::Proxy(line) => line,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_layout_says_the_same() {
        for text in [
            "[2018-06-01 10:00:00.000][12][debug][pool] source/common/tcp/conn_pool.cc:364] [C332] connect timeout",
            "[2020-05-29 22:04:05.066][12][debug][pool] [external/envoy/source/common/tcp/conn_pool.cc:364] [C332] connect timeout",
            "[Envoy (Epoch 0)] [2020-05-29 22:04:05.066][12][debug][pool] [external/envoy/source/common/tcp/conn_pool.cc:364] [C332] connect timeout",
            "2020-05-29 22:04:05.066][12][debug][pool] [external/envoy/source/common/tcp/conn_pool.cc:364] [C332] connect timeout",
            "2020-07-01T10:00:00.000000Z\tdebug\tenvoy pool\t[external/envoy/source/common/tcp/conn_pool.cc:364] [C332] connect timeout",
            "2020-09-01T10:00:00.000000Z\tdebug\tenvoy pool\t[C332] connect timeout",
            "2023-09-01T10:00:00.000000Z\tdebug\tenvoy pool external/envoy/source/common/conn_pool/conn_pool_base.cc:878\t[C332] connect timeout\tthread=12",
            "2024-09-01T10:00:00.000000Z\tdebug\tenvoy pool external/envoy/source/common/conn_pool/conn_pool_base.cc:878\t[Tags: \"ConnectionId\":\"332\"] connect timeout\tthread=12",
            "2024-09-01T10:00:00.000000Z debug envoy pool external/envoy/source/common/conn_pool/conn_pool_base.cc:878 [Tags: \"ConnectionId\":\"332\"] connect timeout thread=12",
        ] {
            let line = proxy(text);
            assert_eq!(
                (&*line.logger, line.connection, line.message),
                ("pool", Some(332), "connect timeout"),
                "{text}"
            );
        }
    }

    #[test]
    fn usual_times_are_those_of_the_library() {
        for text in [
            "2026-11-23T18:09:45.760887Z",
            "1970-01-01T00:00:00Z",
            "2000-02-29T23:59:59.999999999Z",
            "2023-12-31 00:00:00.5",
            "2100-03-01 00:00:01",
            "1969-07-20T20:17:40.1Z",
        ] {
            let library = text.trim_end_matches('Z').parse::<DateTime>().unwrap();
            assert_eq!(usual_time(text.as_bytes()), TimeZone::UTC.to_timestamp(library).ok(), "{text}");
        }
        for text in
            ["2026-02-30T00:00:00Z", "2026-11-23T24:00:00Z", "2026-11-23T18:09:45.Z", "2026-11-23T18:09:45+01:00"]
        {
            assert_eq!(usual_time(text.as_bytes()), None, "{text}");
        }
        assert_eq!(time("2026-11-23T18:09:45+01:00").unwrap().to_string(), "2026-11-23T17:09:45Z");
    }

    #[test]
    fn the_agent_is_not_envoy() {
        let text = "2024-09-01T10:00:00.000000Z\tinfo\txdsproxy\tconnected to upstream XDS server: istiod.istio-system.svc:15012";
        assert!(matches!(columns(text).unwrap().1, LogContent::Agent));
    }
}
