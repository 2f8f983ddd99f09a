//! The lines of one source and stream, put together to records.

use super::{LogEntry, MAX_RECORD, Sink, cut, service_of};
use crate::decode::log::{Envelope, Stream, same};
use crate::decode::timestamp::{self, TimeContext};
use crate::model::{AppRecord, Call, LoggedAt};

/// Of a record that is longer than it may be, the `Caused by:` lines are still kept, up to this.
const MAX_CAUSES: usize = 16 << 10;
/// Lines of one trace come at one moment.
const ONE_MOMENT_SECONDS: i64 = 2;

/// Puts records together.
pub(super) struct Joiner {
    source: Box<str>,
    stream: Stream,
    /// The record that is held, if there is one: its buffers are the next one's.
    record: Pending,
    holds: bool,
    /// Where this stream's timestamps stand.
    offset: Option<usize>,
    /// The time of the last record: lines without one between records in JSON are of that time.
    pub(super) last: Option<LoggedAt>,
}

/// A record in text, not yet known to be complete.
#[derive(Default)]
struct Pending {
    text: String,
    logged_at: Option<LoggedAt>,
    /// Whether its own text has the time, and not only its envelope: then lines without one belong to it.
    own_time: bool,
    /// When its envelope says that its last line was written.
    outer: Option<LoggedAt>,
    service: Option<String>,
    call: OwnedCall,
    line: u64,
    causes: usize,
    /// Exceptions at the left margin so far.
    heads: u32,
    /// An exception stands behind the time of its first line.
    begins_with_head: bool,
    /// The next head belongs here: a traceback began, or an exception was announced as another's consequence.
    expects_head: bool,
}

/// What ties it to others, if anything does.
#[derive(Default)]
struct OwnedCall {
    name: String,
    is_some: bool,
    is_request: bool,
}

impl OwnedCall {
    fn get(&self) -> Option<Call<'_>> {
        let call = if self.is_request { Call::Request(&self.name) } else { Call::Thread(&self.name) };
        self.is_some.then_some(call)
    }
}

impl Joiner {
    pub(super) fn new(envelope: &Envelope<'_>) -> Self {
        Self {
            source: envelope.source.into(),
            stream: envelope.stream,
            record: Pending::default(),
            holds: false,
            offset: None,
            last: None,
        }
    }

    pub(super) fn is_of(&self, envelope: &Envelope<'_>) -> bool {
        self.stream == envelope.stream && same(&self.source, envelope.source)
    }

    /// Bytes of the unfinished record.
    pub(super) fn held(&self) -> usize {
        if self.holds { self.record.text.capacity() } else { 0 }
    }

    /// Takes a line of text.
    pub(super) fn line(&mut self, line: &str, envelope: &Envelope<'_>, context: &mut TimeContext, sink: &mut Sink<'_>) {
        let own = self.start_of_record(line, context).map(|(own, end)| (self.fuller(own, line, end, context), end));
        if let Some((own, end)) = own {
            let rest = behind_time(&line[end..]);
            let begins_with_head = is_head(rest);
            if self.goes_on(rest, own, begins_with_head) {
                return self.append(rest, envelope);
            }
            let logged_at = envelope.time.map_or(own, |outer| context.aligned(own, outer));
            context.saw(logged_at);
            self.flush(sink);
            self.begin(line, Some(logged_at), true, envelope, call_of(&line[end..]));
            self.record.begins_with_head = begins_with_head;
            return;
        }
        if self.continues(line, envelope) {
            return self.append(line, envelope);
        }
        // A second exception at the margin is a record of its own, of the time of the one before it.
        let inherited = self.pending().filter(|pending| pending.own_time).and_then(|pending| pending.logged_at);
        let from_text = inherited.is_some();
        self.flush(sink);
        self.begin(line, envelope.time.or(inherited).or(self.last), from_text, envelope, call_of(line));
        self.append_head(line);
    }

    /// A time without year or zone, where the same line has the moment once more in full: a syslog line around a
    /// logger's own, logfmt's `time=`.
    fn fuller(&self, own: LoggedAt, line: &str, end: usize, context: &mut TimeContext) -> LoggedAt {
        if own.zoned && own.dated {
            return own;
        }
        let rest = cut(&line[end..], 200).as_bytes();
        for dash in memchr::memchr_iter(b'-', rest) {
            let Some(start) = dash.checked_sub(4) else { continue };
            // Most dashes are those of names and ids.
            let is_month = rest.get(dash + 1).is_some_and(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
            if is_month
                && matches!(rest[start], b'1' | b'2')
                && rest[start..dash].iter().all(u8::is_ascii_digit)
                && !start.checked_sub(1).is_some_and(|before| rest[before].is_ascii_alphanumeric())
                && let Some((full, _)) = timestamp::leading(&rest[start..], context)
                && full.dated
                && (full.zoned || !own.dated)
            {
                return context.aligned(own, full);
            }
        }
        own
    }

    /// Whether what follows a time goes on with the record before: every line of a trace may have one (PM2, heroku).
    fn goes_on(&self, rest: &str, own: LoggedAt, is_head: bool) -> bool {
        let Some(pending) = self.pending() else { return false };
        let Some(before) = pending.logged_at else { return false };
        let apart = own.at.duration_since(before.at).as_secs().abs();
        if apart > ONE_MOMENT_SECONDS {
            return false;
        }
        let in_trace = pending.heads > 0 || pending.begins_with_head;
        let inner = rest.trim_start();
        let indented = rest.len() - inner.len() >= 2;
        is_trace_line(inner)
            || (indented && in_trace && !begins_with_level(inner))
            // What failed is said first, then the exception; a second one is a failure of its own.
            || (is_head && (pending.expects_head || (!in_trace && apart == 0)))
            || (in_trace && matches!(rest, "}" | "]" | ")"))
    }

    fn begin(
        &mut self,
        line: &str,
        logged_at: Option<LoggedAt>,
        own_time: bool,
        envelope: &Envelope<'_>,
        call: Option<Call<'_>>,
    ) {
        let Pending { text, call: own, service, .. } = &mut self.record;
        text.clear();
        own.is_some = call.is_some();
        own.is_request = matches!(call, Some(Call::Request(_)));
        own.name.clear();
        own.name.push_str(call.map_or("", |call| call.name()));
        if service.as_deref() != service_of(envelope) {
            *service = service_of(envelope).map(str::to_owned);
        }
        self.record.logged_at = logged_at;
        self.record.own_time = own_time;
        self.record.outer = envelope.time;
        self.record.line = envelope.line;
        self.record.causes = 0;
        self.record.heads = 0;
        self.record.begins_with_head = false;
        self.record.expects_head = false;
        self.record.push(line);
        self.holds = true;
    }

    fn pending(&self) -> Option<&Pending> {
        self.holds.then_some(&self.record)
    }

    fn append(&mut self, line: &str, envelope: &Envelope<'_>) {
        self.append_head(line);
        if self.holds {
            self.record.push(line);
            self.record.outer = envelope.time.or(self.record.outer);
        }
    }

    /// Keeps count of the exceptions at the margin.
    fn append_head(&mut self, line: &str) {
        let Some(pending) = self.holds.then_some(&mut self.record) else { return };
        if line.starts_with("Traceback (most recent call last)") {
            pending.heads += 1;
            pending.expects_head = true;
        } else if is_head(line) {
            pending.heads += u32::from(!pending.expects_head);
            pending.expects_head = false;
        } else if line.starts_with("During handling of the above exception")
            || line.starts_with("The above exception was the direct cause")
        {
            pending.expects_head = true;
        }
    }

    /// Whether a line without a time of its own belongs to the record before it.
    fn continues(&self, line: &str, envelope: &Envelope<'_>) -> bool {
        let Some(pending) = self.pending() else { return false };
        if envelope.rest {
            return true;
        }
        if envelope.service.is_some() && envelope.service != pending.service.as_deref() {
            return false;
        }
        let apart = match (pending.outer, envelope.time) {
            (Some(before), Some(now)) => now.at.duration_since(before.at).as_secs().abs() > ONE_MOMENT_SECONDS,
            _ => false,
        };
        if is_head(line) || line.starts_with("Traceback (most recent call last)") {
            return !apart && (pending.heads == 0 || pending.expects_head);
        }
        (pending.own_time && !apart)
            || pending.expects_head
            || line.is_empty()
            || line.starts_with([' ', '\t', '}', ']', ')'])
            || is_trace_line(line)
    }

    /// The time at the beginning of a line, and where it ends.
    fn start_of_record(&mut self, line: &str, context: &TimeContext) -> Option<(LoggedAt, usize)> {
        let bytes = line.as_bytes();
        if bytes.first().is_none_or(|byte| byte.is_ascii_whitespace()) {
            return None;
        }
        let at = |offset: usize| {
            timestamp::leading(bytes.get(offset..)?, context).map(|(found, used)| (found, offset + used))
        };
        if let Some(offset) = self.offset
            && let Some(found) = at(offset)
        {
            return Some(found);
        }
        let margin =
            bytes.iter().take(6).take_while(|byte| matches!(byte, b'[' | b'(' | b'"' | b'<' | b'*' | b'#')).count();
        for offset in 0..=margin {
            if let Some(found) = at(offset) {
                self.offset = Some(offset);
                return Some(found);
            }
        }
        // Behind a level, a pod's name or a key. A stream that has its times at the margin does not have them there.
        if self.offset.is_some_and(|offset| offset < 4) {
            return None;
        }
        for offset in 1..bytes.len().min(120) {
            let edge = matches!(bytes[offset - 1], b' ' | b'\t' | b'[' | b'(' | b'=' | b'"' | b'|');
            if edge
                && looks_like_a_date(&bytes[offset..], &bytes[..offset])
                && let Some(found) = at(offset)
            {
                self.offset = Some(offset);
                return Some(found);
            }
        }
        None
    }

    /// Gives the record that is held.
    pub(super) fn flush(&mut self, sink: &mut Sink<'_>) {
        if !std::mem::take(&mut self.holds) {
            return;
        }
        let Pending { text, logged_at, service, call, line, .. } = &self.record;
        sink(LogEntry::App(AppRecord {
            logged_at: *logged_at,
            service: service.as_deref(),
            text,
            call: call.get(),
            line: *line,
            ..AppRecord::default()
        }));
        // A long trace's buffer is not kept.
        if text.capacity() > 4096 {
            self.record.text = String::new();
        }
    }
}

impl Pending {
    fn push(&mut self, line: &str) {
        let fits = self.text.len() + line.len() < MAX_RECORD;
        let cause = line.starts_with("Caused by: ") && line.len() <= 4096 && self.causes + line.len() <= MAX_CAUSES;
        if fits || cause {
            if !fits {
                self.causes += line.len();
            }
            if !self.text.is_empty() {
                self.text.push('\n');
            }
            self.text.push_str(line);
        } else if self.text.is_empty() {
            self.text.push_str(cut(line, MAX_RECORD));
        }
    }
}

/// What follows a time: `] text`, `: text`, ` | text`.
fn behind_time(rest: &str) -> &str {
    let ends = rest.bytes().take_while(|byte| matches!(byte, b']' | b')' | b':' | b'|')).count();
    rest[ends..].strip_prefix(' ').unwrap_or(&rest[ends..])
}

/// `2020-`, `2020/`, `08.07.2020`, `7/8/2020`, `08/Jul/2020`, `8-Jul-2020`; a number of seconds behind a key such as `ts=`.
fn looks_like_a_date(text: &[u8], before: &[u8]) -> bool {
    let digits = text.iter().take(11).take_while(|byte| byte.is_ascii_digit()).count();
    let next = text.get(digits).copied().unwrap_or(0);
    match digits {
        4 => matches!(next, b'-' | b'/' | b'.'),
        1 | 2 => {
            let named = matches!(next, b'/' | b'-')
                && text[digits + 1..].iter().take(4).map(u8::is_ascii_alphabetic).eq([true, true, true, false])
                && text.get(digits + 4) == Some(&next);
            named
                || matches!(next, b'/' | b'.') && {
                    let rest = &text[digits + 1..];
                    let more = rest.iter().take(3).take_while(|byte| byte.is_ascii_digit()).count();
                    matches!(more, 1 | 2) && rest.get(more) == Some(&next)
                }
        }
        10.. => [b"ts=".as_slice(), b"time=", b"t=", b"timestamp="].iter().any(|key| before.ends_with(key)),
        _ => false,
    }
}

/// A line that stands in a trace whatever its indentation.
fn is_trace_line(line: &str) -> bool {
    let may =
        matches!(line.as_bytes().first(), Some(b'a' | b'.' | b'C' | b'W' | b'S' | b'D' | b'T' | b'-' | b'g' | b'F'));
    may && [
        "at ",
        "...",
        "Caused by:",
        "Wrapped by:",
        "Suppressed:",
        "During handling",
        "The above exception",
        "--- End of",
        "---> ",
        "goroutine ",
        "File \"",
        "Stack trace:",
    ]
    .iter()
    .any(|beginning| line.starts_with(beginning))
}

/// `INFO text`, `[error] text`; not `errno: -104`, `config: {`, which are members of an error as Node.js prints it.
fn begins_with_level(text: &str) -> bool {
    let bare = text.trim_start_matches(['[', '<', '|']);
    let (word, behind) = bare.split_at(bare.bytes().take_while(u8::is_ascii_alphabetic).count());
    let is_member =
        bare.len() == text.len() && behind.starts_with(": ") && word.bytes().all(|byte| byte.is_ascii_lowercase());
    word.len() >= 3 && !is_member && super::fields::severity_of_word(word).is_some()
}

/// An exception at the left margin: `java.net.SocketException: Connection reset`, `Exception in thread "main" …`,
/// `Error: read ECONNRESET`.
fn is_head(line: &str) -> bool {
    let bytes = line.as_bytes();
    let announced = match bytes.first() {
        Some(b'E') => line.starts_with("Exception in thread "),
        Some(b'U') => line.starts_with("Unhandled exception. "),
        Some(b'p') => line.starts_with("panic: "),
        _ => false,
    };
    if announced {
        return true;
    }
    let (name, behind) =
        bytes.split_at(bytes.iter().take(256).take_while(|byte| !matches!(byte, b':' | b' ' | b'(')).count());
    name.len() < 256
        && (name.ends_with(b"Exception") || name.ends_with(b"Error"))
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'$'))
        && (behind.is_empty() || behind.starts_with(b": "))
}

/// What ties the records of a call together in a line of text: a request id, else the thread in brackets.
fn call_of(line: &str) -> Option<Call<'_>> {
    let beginning = cut(line, 512);
    for equals in memchr::memchr_iter(b'=', beginning.as_bytes()) {
        if let Some(b'd' | b'D') = equals.checked_sub(1).map(|before| beginning.as_bytes()[before]) {
            let name = beginning[..equals]
                .rsplit(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-')))
                .next()
                .unwrap_or_default();
            let folded: String =
                name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
            if matches!(folded.as_str(), "requestid" | "xrequestid" | "reqid" | "traceid" | "correlationid") {
                let value = beginning[equals + 1..]
                    .trim_start_matches('"')
                    .split([' ', ',', ']', ')', '"', ';'])
                    .next()
                    .unwrap_or_default();
                if !matches!(value, "" | "-" | "null") {
                    return Some(Call::Request(value));
                }
            }
        }
    }
    let beginning = cut(line, 160);
    memchr::memchr_iter(b'[', beginning.as_bytes()).find_map(|open| {
        let part = &beginning[open + 1..];
        let end = memchr::memchr2(b'[', b']', part.as_bytes()).filter(|end| part.as_bytes()[*end] == b']')?;
        let name = part[..end].trim_ascii();
        let letter = |byte: u8| byte.is_ascii_alphabetic();
        let severity = name.bytes().all(letter) && super::fields::severity_of_word(name).is_some();
        let dated = name.as_bytes().first_chunk::<5>().is_some_and(|five| five[..4].iter().all(u8::is_ascii_digit));
        let named = name.bytes().any(letter) && memchr::memchr(b' ', name.as_bytes()).is_none();
        (named && !severity && !dated).then_some(Call::Thread(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_told_from_members() {
        for text in ["INFO fine", "[error] text", "WARN: text", "<err> text", "debug text"] {
            assert!(begins_with_level(text), "{text}");
        }
        for text in ["errno: -104,", "config: {", "code: 'ECONNRESET',", "at a.b", "}", "", "ü"] {
            assert!(!begins_with_level(text), "{text}");
        }
    }

    #[test]
    fn calls_are_told_apart() {
        assert_eq!(call_of(" ERROR [nio-8080-exec-1] c.e: x"), Some(Call::Thread("nio-8080-exec-1")));
        assert_eq!(call_of(" [ERROR] [          main] x"), Some(Call::Thread("main")));
        assert_eq!(call_of("msg=failed request_id=4fd8c1 thread=3"), Some(Call::Request("4fd8c1")));
        assert_eq!(call_of("msg=\"x\" traceId=\"abcdef\""), Some(Call::Request("abcdef")));
        assert_eq!(call_of(" ERROR [1234] plain"), None);
        assert_eq!(call_of("é[ü] ¶"), None);
    }
}
