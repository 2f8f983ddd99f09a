//! Application logs: JSON lines of the loggers in use, the envelopes of log stores, and plain text with stack traces
//! that reach over many lines.
//!
//! [`LogReader`] takes chunks of bytes as they come and gives one entry a record. It keeps one record at most, and
//! that bounded.

mod json;

use std::borrow::Cow;

use memchr::{memchr, memmem};

use self::json::{Json, Shape};
use super::log::access_line;
use super::timestamp::{self, TimeContext};
use crate::model::{AccessLine, AppRecord, LoggedAt};

/// Longest line that is read; the rest of a longer one is skipped, and the line counted.
pub const MAX_LINE: usize = 1 << 20;
/// Longest text of a record. Of a longer trace only the `Caused by:` lines are kept.
const MAX_RECORD: usize = 64 << 10;
const MAX_CAUSES: usize = 16 << 10;
/// Envelopes in envelopes.
const MAX_NESTING: usize = 4;

/// What a log holds.
#[derive(Debug)]
pub enum LogEntry<'a> {
    /// A record of an application.
    App(AppRecord<'a>),
    /// A call in a proxy's access log.
    Call {
        /// The call.
        call: &'a AccessLine<'a>,
        /// When it began, or what its envelope says.
        logged_at: Option<LoggedAt>,
        /// The service that its envelope names.
        service: Option<&'a str>,
    },
}

/// How to read.
#[derive(Clone, Debug)]
pub struct ReaderOptions {
    /// What timestamps leave open.
    pub time: TimeContext,
    /// The JSON field that names the service, as a path with points; else the usual ones are tried.
    pub service_field: Option<String>,
}

/// Lines that could not be taken as they were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Oddities {
    /// Lines longer than [`MAX_LINE`], cut.
    pub cut_lines: u64,
    /// Lines with invalid UTF-8, read with replacement characters.
    pub invalid_utf8: u64,
}

/// Reads one stream of log lines.
pub struct LogReader {
    options: ReaderOptions,
    /// A line whose end has not come yet.
    carry: Vec<u8>,
    /// The rest of the current line is beyond the bound.
    skipping: bool,
    line: u64,
    pending: Option<Pending>,
    /// Parts of a line that the container runtime split (CRI's `P`).
    partial: String,
    /// Whether a container runtime puts a time before each line.
    enveloped: bool,
    /// Where this stream's timestamps stand.
    offset: Option<usize>,
    /// A pretty-printed document: objects are gathered over lines.
    document: Option<Document>,
    scratch: String,
    oddities: Oddities,
}

/// A record in text, not yet known to be complete.
struct Pending {
    text: String,
    logged_at: Option<LoggedAt>,
    /// Whether its own text has the time, and not only its envelope: then lines without one belong to it.
    own_time: bool,
    service: Option<String>,
    call: Option<String>,
    line: u64,
    causes: usize,
    /// Exceptions at the left margin so far.
    heads: u32,
    /// The next head belongs here: a traceback began, or an exception was announced as another's consequence.
    expects_head: bool,
}

#[derive(Default)]
struct Document {
    text: String,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

type Sink<'s> = dyn FnMut(LogEntry<'_>) + 's;

/// What the envelope of a line says.
#[derive(Clone, Copy, Default)]
struct Outer<'a> {
    logged_at: Option<LoggedAt>,
    service: Option<&'a str>,
}

impl LogReader {
    /// A reader for one stream.
    #[must_use]
    pub fn new(options: ReaderOptions) -> Self {
        Self {
            options,
            carry: Vec::new(),
            skipping: false,
            line: 0,
            pending: None,
            partial: String::new(),
            enveloped: false,
            offset: None,
            document: None,
            scratch: String::new(),
            oddities: Oddities::default(),
        }
    }

    /// What was odd so far.
    #[must_use]
    pub const fn oddities(&self) -> Oddities {
        self.oddities
    }

    /// Takes the next bytes of the stream, cut anywhere.
    pub fn feed(&mut self, mut chunk: &[u8], sink: &mut Sink<'_>) {
        while let Some(end) = memchr(b'\n', chunk) {
            let (line, rest) = chunk.split_at(end);
            chunk = &rest[1..];
            if self.carry.is_empty() && !self.skipping {
                self.whole_line(line, sink);
            } else {
                self.extend_carry(line);
                let carried = std::mem::take(&mut self.carry);
                self.whole_line(&carried, sink);
                self.carry = carried;
                self.carry.clear();
                self.skipping = false;
            }
        }
        self.extend_carry(chunk);
    }

    /// Ends the stream: gives what is still held.
    pub fn finish(&mut self, sink: &mut Sink<'_>) {
        if !self.carry.is_empty() {
            let carried = std::mem::take(&mut self.carry);
            self.whole_line(&carried, sink);
        }
        if !self.partial.is_empty() {
            let partial = std::mem::take(&mut self.partial);
            self.text_line(&partial, Outer::default(), 0, sink);
        }
        self.flush(sink);
    }

    fn extend_carry(&mut self, part: &[u8]) {
        let room = MAX_LINE - self.carry.len().min(MAX_LINE);
        self.carry.extend_from_slice(&part[..part.len().min(room)]);
        if part.len() > room && !self.skipping {
            self.skipping = true;
            self.oddities.cut_lines += 1;
        }
    }

    fn whole_line(&mut self, line: &[u8], sink: &mut Sink<'_>) {
        self.line += 1;
        let mut line = line;
        if line.len() > MAX_LINE {
            line = &line[..MAX_LINE];
            self.oddities.cut_lines += 1;
        }
        let text = match std::str::from_utf8(line.strip_suffix(b"\r").unwrap_or(line)) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => {
                self.oddities.invalid_utf8 += 1;
                String::from_utf8_lossy(line)
            }
        };
        let text = if self.line == 1 { text.trim_start_matches('\u{feff}') } else { &text };
        if self.document.is_some() || (self.line == 1 && matches!(text.trim(), "[" | "{" | "[{")) {
            self.document_line(text, sink);
        } else {
            self.text_line(text, Outer::default(), 0, sink);
        }
    }

    /// One line of a pretty-printed document (`gcloud logging read --format=json`, `aws logs filter-log-events`): each
    /// object of its list is a record.
    fn document_line(&mut self, line: &str, sink: &mut Sink<'_>) {
        let mut document = self.document.take().unwrap_or_default();
        // The list inside an outer object, `"events": [`: what is in it counts, not the object around it.
        if document.depth == 1 && !document.in_string && line.trim_end().ends_with('[') && document.text.len() < 4096 {
            document = Document::default();
            self.document = Some(document);
            return;
        }
        for part in line.split_inclusive(['{', '}', '"', '\\']) {
            let last = part.as_bytes().last().copied().unwrap_or(0);
            let escaped = document.escaped && part.len() == 1;
            document.escaped = false;
            let opens = !document.in_string && last == b'{';
            if document.depth > 0 || opens {
                let kept = if document.depth == 0 { "{" } else { part };
                if document.text.len() + kept.len() <= MAX_LINE {
                    document.text.push_str(kept);
                }
            }
            match last {
                b'"' if !escaped && document.depth > 0 => document.in_string = !document.in_string,
                b'\\' if document.in_string && !escaped => document.escaped = true,
                b'{' if opens => document.depth += 1,
                b'}' if !document.in_string && document.depth > 0 => {
                    document.depth -= 1;
                    if document.depth == 0 {
                        let text = std::mem::take(&mut document.text);
                        match Json::parse(&text) {
                            Some(json) => self.json(&json, Outer::default(), 0, sink),
                            None => self.oddities.cut_lines += u64::from(text.len() >= MAX_LINE),
                        }
                    }
                }
                _ => {}
            }
        }
        if document.depth > 0 {
            document.text.push('\n');
        }
        self.document = Some(document);
    }

    /// One line, out of all envelopes but those that are inside it.
    fn text_line(&mut self, line: &str, outer: Outer<'_>, nesting: usize, sink: &mut Sink<'_>) {
        let plain = without_escapes(line);
        let mut line: &str = &plain;
        let mut outer = outer;
        let joined;
        if nesting == 0
            && let Some((logged_at, rest)) = runtime_prefix(line, self.enveloped, &self.options.time)
        {
            self.enveloped = true;
            outer.logged_at = Some(logged_at);
            line = rest;
            if let Some((partial, rest)) = stream_tag(rest) {
                if partial || !self.partial.is_empty() {
                    let room = MAX_LINE - self.partial.len().min(MAX_LINE);
                    let end = (0..=rest.len().min(room)).rev().find(|end| rest.is_char_boundary(*end)).unwrap_or(0);
                    self.partial.push_str(&rest[..end]);
                    if partial {
                        return;
                    }
                    joined = std::mem::take(&mut self.partial);
                    line = &joined;
                } else {
                    line = rest;
                }
            }
        }
        if may_be_access_log(line)
            && let Some(call) = access_line(line)
        {
            self.flush(sink);
            let logged_at = call.start.map(|at| LoggedAt::exact(at, true)).or(outer.logged_at);
            return sink(LogEntry::Call { call: &call, logged_at, service: outer.service });
        }
        if line.starts_with(['{', '['])
            && nesting < MAX_NESTING
            && let Some(json) = line.ends_with(['}', ']', ' ']).then(|| Json::parse(line)).flatten()
        {
            match &json {
                Json::List(items) => {
                    for item in items {
                        self.json(item, outer, nesting, sink);
                    }
                    return;
                }
                Json::Object(_) => return self.json(&json, outer, nesting, sink),
                _ => {}
            }
        }
        match self.start_of_record(line) {
            Some((logged_at, end)) => {
                self.flush(sink);
                self.begin(line, Some(logged_at), true, outer.service, call_of(&line[end..]));
            }
            None if self.continues(line) => self.append(line),
            None => {
                // A second exception at the margin is a record of its own, of the time of the one before it.
                let inherited =
                    self.pending.as_ref().filter(|pending| pending.own_time).and_then(|pending| pending.logged_at);
                self.flush(sink);
                self.begin(line, outer.logged_at.or(inherited), inherited.is_some(), outer.service, call_of(line));
                self.append_head(line);
            }
        }
    }

    fn json(&mut self, json: &Json<'_>, outer: Outer<'_>, nesting: usize, sink: &mut Sink<'_>) {
        if nesting >= MAX_NESTING {
            return;
        }
        if let Some(values) = json::loki_values(json) {
            let service = json.text_of(&["stream.app", "stream.service_name", "stream.container", "stream.job"]);
            for (logged_at, line) in values {
                self.lines(line, Outer { logged_at, service: service.or(outer.service) }, nesting + 1, sink);
            }
            return;
        }
        let field = self.options.service_field.clone();
        match json::shape(json, &self.options.time, field.as_deref()) {
            Shape::Several { items, service } => {
                for item in items {
                    self.json(item, Outer { service: service.or(outer.service), ..outer }, nesting + 1, sink);
                }
            }
            Shape::Inner { object, logged_at, service } => {
                self.json(
                    object,
                    Outer { logged_at: logged_at.or(outer.logged_at), service: service.or(outer.service) },
                    nesting + 1,
                    sink,
                );
            }
            Shape::Envelope { text, logged_at, service } => {
                self.lines(
                    text,
                    Outer { logged_at: logged_at.or(outer.logged_at), service: service.or(outer.service) },
                    nesting + 1,
                    sink,
                );
            }
            Shape::Record(fields) => {
                self.flush(sink);
                self.scratch.clear();
                for part in fields.message.iter().chain(&fields.traces) {
                    let room = MAX_RECORD - self.scratch.len().min(MAX_RECORD);
                    let end = (0..=part.len().min(room)).rev().find(|end| part.is_char_boundary(*end)).unwrap_or(0);
                    if !self.scratch.is_empty() {
                        self.scratch.push('\n');
                    }
                    self.scratch.push_str(&part[..end]);
                }
                sink(LogEntry::App(AppRecord {
                    logged_at: fields.logged_at.or(outer.logged_at),
                    service: fields.service.or(outer.service),
                    text: &self.scratch,
                    exception: fields.exception,
                    target: fields.target,
                    call: fields.call,
                    line: self.line,
                }));
            }
        }
    }

    /// The lines of a text in an envelope: the first begins a record or goes on with one, the others go on.
    fn lines(&mut self, text: &str, outer: Outer<'_>, nesting: usize, sink: &mut Sink<'_>) {
        for (index, line) in text.trim_end_matches(['\n', '\r']).lines().enumerate() {
            if index == 0 || self.pending.is_none() {
                self.text_line(line, outer, nesting, sink);
            } else {
                self.append(line);
            }
        }
    }

    fn begin(
        &mut self,
        line: &str,
        logged_at: Option<LoggedAt>,
        own_time: bool,
        service: Option<&str>,
        call: Option<&str>,
    ) {
        let mut pending = Pending {
            text: String::new(),
            logged_at,
            own_time,
            service: service.map(str::to_owned),
            call: call.map(str::to_owned),
            line: self.line,
            causes: 0,
            heads: 0,
            expects_head: false,
        };
        pending.push(line);
        self.pending = Some(pending);
    }

    fn append(&mut self, line: &str) {
        self.append_head(line);
        if let Some(pending) = &mut self.pending {
            pending.push(line);
        }
    }

    /// Keeps count of the exceptions at the margin.
    fn append_head(&mut self, line: &str) {
        let Some(pending) = &mut self.pending else { return };
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
    fn continues(&self, line: &str) -> bool {
        let Some(pending) = &self.pending else { return false };
        if is_head(line) || line.starts_with("Traceback (most recent call last)") {
            return pending.heads == 0 || pending.expects_head;
        }
        pending.own_time
            || pending.expects_head
            || line.is_empty()
            || line.starts_with([' ', '\t', '}', ']', ')'])
            || [
                "at ",
                "...",
                "Caused by:",
                "Wrapped by:",
                "Suppressed:",
                "During handling",
                "The above exception",
                "--- End of",
                "goroutine ",
            ]
            .iter()
            .any(|beginning| line.starts_with(beginning))
    }

    /// The time at the beginning of a line, and where it ends.
    fn start_of_record(&mut self, line: &str) -> Option<(LoggedAt, usize)> {
        let bytes = line.as_bytes();
        if bytes.first().is_none_or(|byte| byte.is_ascii_whitespace()) {
            return None;
        }
        let context = &self.options.time;
        let at = |offset: usize| {
            timestamp::leading(bytes.get(offset..)?, context).map(|(found, used)| (found, offset + used))
        };
        if let Some(offset) = self.offset
            && let Some(found) = at(offset)
        {
            return Some(found);
        }
        let margin = bytes.iter().take(3).take_while(|byte| matches!(byte, b'[' | b'(' | b'"' | b'<' | b'*')).count();
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
            let digits = bytes
                .get(offset..offset + 5)
                .is_some_and(|five| five[..4].iter().all(u8::is_ascii_digit) && matches!(five[4], b'-' | b'/'));
            if digits
                && matches!(bytes[offset - 1], b' ' | b'\t' | b'[' | b'(' | b'=' | b'"' | b'|')
                && let Some(found) = at(offset)
            {
                self.offset = Some(offset);
                return Some(found);
            }
        }
        None
    }

    fn flush(&mut self, sink: &mut Sink<'_>) {
        let Some(pending) = self.pending.take() else { return };
        sink(LogEntry::App(AppRecord {
            logged_at: pending.logged_at,
            service: pending.service.as_deref(),
            text: &pending.text,
            exception: None,
            target: None,
            call: pending.call.as_deref(),
            line: pending.line,
        }));
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
            let end = (0..=MAX_RECORD).rev().find(|end| line.is_char_boundary(*end)).unwrap_or(0);
            self.text.push_str(&line[..end]);
        }
    }
}

/// A cheap look before the whole parse: `[2020-07-08T20:00:00.000Z] "`, or JSON with one of Envoy's own names.
fn may_be_access_log(line: &str) -> bool {
    let bytes = line.as_bytes();
    match bytes.first() {
        Some(b'[') => bytes.get(5) == Some(&b'-') && memmem::find(&bytes[..bytes.len().min(48)], b"] \"").is_some(),
        Some(b'{') => {
            ["response_flags", "upstream_cluster"].iter().any(|name| memmem::find(bytes, name.as_bytes()).is_some())
        }
        _ => false,
    }
}

/// What a terminal would swallow: colours of a console appender.
fn without_escapes(line: &str) -> Cow<'_, str> {
    if memchr(0x1b, line.as_bytes()).is_none() {
        return Cow::Borrowed(line);
    }
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(escape) = memchr(0x1b, rest.as_bytes()) {
        plain.push_str(&rest[..escape]);
        rest = &rest[escape + 1..];
        if let Some(sequence) = rest.strip_prefix('[') {
            let end = sequence.find(|c: char| ('@'..='~').contains(&c)).map_or(sequence.len(), |end| end + 1);
            rest = &sequence[end..];
        }
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

/// The time that a container runtime or `kubectl logs --timestamps` puts before a line: RFC 3339 with the nanoseconds of
/// Go (trailing zeros dropped), and one space. A logger's own time is not taken for it: it has three or six digits, and
/// `known` says whether a line before had the runtime's.
fn runtime_prefix<'l>(line: &'l str, known: bool, context: &TimeContext) -> Option<(LoggedAt, &'l str)> {
    let bytes = line.as_bytes();
    if bytes.get(10) != Some(&b'T') || bytes.get(19) != Some(&b'.') {
        return None;
    }
    let fraction = bytes[20..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (logged_at, used) = timestamp::leading(bytes, context)?;
    let rest = line.get(used..)?.strip_prefix(' ')?;
    let doubled = timestamp::leading(rest.trim_start_matches(['[', '(']).as_bytes(), context).is_some();
    (logged_at.zoned && (known || fraction >= 7 || doubled || stream_tag(rest).is_some() || rest.starts_with('{')))
        .then_some((logged_at, rest))
}

/// CRI's `stdout F ` and `stderr P `: whether the line is a part, and what follows.
fn stream_tag(rest: &str) -> Option<(bool, &str)> {
    let rest = rest.strip_prefix("stdout ").or_else(|| rest.strip_prefix("stderr "))?;
    rest.strip_prefix("F ")
        .map(|rest| (false, rest))
        .or_else(|| rest.strip_prefix("P ").map(|rest| (true, rest)))
        .or((rest == "F").then_some((false, "")))
}

/// An exception at the left margin: `java.net.SocketException: Connection reset`, `Exception in thread "main" …`,
/// `Error: read ECONNRESET`.
fn is_head(line: &str) -> bool {
    if line.starts_with("Exception in thread ")
        || line.starts_with("Unhandled exception. ")
        || line.starts_with("panic: ")
    {
        return true;
    }
    let name = line.split([':', ' ', '(']).next().unwrap_or_default();
    name.len() < 256
        && (name.ends_with("Exception") || name.ends_with("Error"))
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'$'))
        && (name.len() == line.len() || line[name.len()..].starts_with(": "))
}

/// What ties the records of a call together in a line of text: a request id, else the thread in brackets.
fn call_of(line: &str) -> Option<&str> {
    let mut end = line.len().min(512);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    let beginning = &line[..end];
    for key in ["d=", "D="] {
        for found in memmem::find_iter(beginning.as_bytes(), key) {
            let name = beginning[..found + 1]
                .rsplit(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-')))
                .next()
                .unwrap_or_default();
            let folded: String =
                name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
            if matches!(folded.as_str(), "requestid" | "xrequestid" | "reqid" | "traceid" | "correlationid") {
                let value = beginning[found + 2..]
                    .trim_start_matches('"')
                    .split([' ', ',', ']', ')', '"', ';'])
                    .next()
                    .unwrap_or_default();
                if !matches!(value, "" | "-" | "null") {
                    return Some(value);
                }
            }
        }
    }
    let mut head = line.len().min(160);
    while !line.is_char_boundary(head) {
        head -= 1;
    }
    line[..head].split('[').skip(1).find_map(|part| {
        let name = part.split(']').next().filter(|name| name.len() < part.len())?.trim();
        let level = matches!(
            name.to_ascii_uppercase().as_str(),
            "TRACE" | "DEBUG" | "INFO" | "WARN" | "WARNING" | "ERROR" | "FATAL" | "SEVERE" | "INF" | "WRN" | "ERR"
        );
        (!level
            && !name.is_empty()
            && !name.contains(' ')
            && name.bytes().any(|byte| byte.is_ascii_alphabetic())
            && timestampless(name))
        .then_some(name)
    })
}

/// Times stand in brackets too.
fn timestampless(name: &str) -> bool {
    !name.as_bytes().first_chunk::<5>().is_some_and(|five| five[..4].iter().all(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    fn options() -> ReaderOptions {
        ReaderOptions {
            time: TimeContext::new(TimeZone::UTC, "2020-07-10T00:00:00Z".parse().unwrap()),
            service_field: None,
        }
    }

    #[derive(Debug, PartialEq)]
    struct Seen {
        at: Option<String>,
        service: Option<String>,
        text: String,
        call: Option<String>,
    }

    fn read_in_chunks(log: &[u8], size: usize) -> Vec<Seen> {
        let mut reader = LogReader::new(options());
        let mut seen = Vec::new();
        let mut sink = |entry: LogEntry<'_>| {
            if let LogEntry::App(record) = entry {
                seen.push(Seen {
                    at: record.logged_at.map(|logged| logged.at.to_string()),
                    service: record.service.map(str::to_owned),
                    text: record.text.to_owned(),
                    call: record.call.map(str::to_owned),
                });
            }
        };
        for chunk in log.chunks(size) {
            reader.feed(chunk, &mut sink);
        }
        reader.finish(&mut sink);
        seen
    }

    fn read(log: &str) -> Vec<Seen> {
        let seen = read_in_chunks(log.as_bytes(), 1 << 16);
        assert_eq!(seen, read_in_chunks(log.as_bytes(), 7), "cut elsewhere, read otherwise");
        seen
    }

    #[test]
    fn a_trace_is_one_record() {
        let seen = read(concat!(
            "2020-07-08 20:00:01,000 INFO  [http-1] c.e.Client - calling\n",
            "2020-07-08 20:00:02,001 ERROR [http-1] c.e.Client - failed\n",
            "java.net.SocketException: Connection reset\n",
            "\tat java.net.SocketInputStream.read(SocketInputStream.java:186)\n",
            "Caused by: java.net.SocketException: Connection reset\n",
            "\t... 3 more\n",
            "2020-07-08 20:00:03,000 INFO  [http-2] c.e.Client - next\n",
        ));
        assert_eq!(seen.len(), 3);
        assert_eq!(seen[1].at.as_deref(), Some("2020-07-08T20:00:02.001Z"));
        assert!(seen[1].text.ends_with("... 3 more"));
        assert_eq!(seen[1].call.as_deref(), Some("http-1"));
    }

    #[test]
    fn a_second_exception_at_the_margin_is_a_second_record() {
        let seen = read(concat!(
            "2020-07-08 20:00:02 ERROR failed\n",
            "java.net.SocketException: Connection reset\n\tat a.b\n",
            "java.net.SocketException: Connection reset\n\tat c.d\n",
        ));
        assert_eq!(seen.len(), 2);
        assert_eq!(seen[1].at, seen[0].at);
    }

    #[test]
    fn pythons_chained_tracebacks_are_one_record() {
        let seen = read(concat!(
            "ERROR:root:call failed\n",
            "Traceback (most recent call last):\n  File \"a.py\", line 1, in <module>\n    x()\n",
            "ConnectionResetError: [Errno 104] Connection reset by peer\n\n",
            "During handling of the above exception, another exception occurred:\n\n",
            "Traceback (most recent call last):\n  File \"a.py\", line 2, in <module>\n    y()\n",
            "requests.exceptions.ConnectionError: ('Connection aborted.', ConnectionResetError(104, 'Connection reset by peer'))\n",
            "INFO:root:next\n",
        ));
        assert_eq!(seen.len(), 2, "{seen:#?}");
        assert_eq!(seen[1].text, "INFO:root:next");
    }

    #[test]
    fn every_json_logger_is_read() {
        for (line, service, at) in [
            (
                r#"{"@timestamp":"2020-07-08T20:00:00.000Z","level":"ERROR","logger_name":"c.E","message":"Connection reset","stack_trace":"x","service":"pay"}"#,
                Some("pay"),
                "2020-07-08T20:00:00Z",
            ),
            (
                r#"{"instant":{"epochSecond":1594238400,"nanoOfSecond":5000000},"thread":"main","level":"ERROR","message":"Connection reset","thrown":{"name":"a.B","message":"m"}}"#,
                None,
                "2020-07-08T20:00:00.005Z",
            ),
            (
                r#"{"level":"error","ts":1594238400.25,"caller":"a.go:1","msg":"call failed","error":"read tcp: read: connection reset by peer"}"#,
                None,
                "2020-07-08T20:00:00.25Z",
            ),
            (
                r#"{"level":"error","time":"2020-07-08T20:00:00Z","error":"connection reset by peer","message":"call failed"}"#,
                None,
                "2020-07-08T20:00:00Z",
            ),
            (
                r#"{"level":50,"time":1594238400000,"pid":7,"hostname":"h","name":"orders","err":{"type":"Error","message":"read ECONNRESET","stack":"Error: read ECONNRESET\n at x"},"msg":"Connection reset"}"#,
                Some("orders"),
                "2020-07-08T20:00:00Z",
            ),
            (
                r#"{"event":"connection reset","level":"error","timestamp":"2020-07-08T20:00:00Z"}"#,
                None,
                "2020-07-08T20:00:00Z",
            ),
            (
                r#"{"@t":"2020-07-08T20:00:00.0000000Z","@mt":"failed","@l":"Error","@x":"System.Net.Sockets.SocketException (104): Connection reset by peer"}"#,
                None,
                "2020-07-08T20:00:00Z",
            ),
            (
                r#"{"@timestamp":"2020-07-08T20:00:00Z","log.level":"error","message":"failed","ecs.version":"1.2.0","service.name":"cart","error.type":"java.net.SocketException","error.message":"Connection reset"}"#,
                Some("cart"),
                "2020-07-08T20:00:00Z",
            ),
            (
                r#"{"timeUnixNano":"1594238400000000000","severityText":"ERROR","body":{"stringValue":"Connection reset"},"attributes":[{"key":"exception.type","value":{"stringValue":"a.B"}}]}"#,
                None,
                "2020-07-08T20:00:00Z",
            ),
        ] {
            let seen = read(line);
            assert_eq!(seen.len(), 1, "{line}");
            assert_eq!(seen[0].service.as_deref(), service, "{line}");
            assert_eq!(seen[0].at.as_deref(), Some(at), "{line}");
            let lower = seen[0].text.to_lowercase();
            assert!(lower.contains("connection reset") || lower.contains("econnreset"), "{line}: {lower}");
        }
    }

    #[test]
    fn every_envelope_is_opened() {
        let trace = ["call failed", "java.net.SocketException: Connection reset", "\tat a.b"];
        type Wrap = fn(&str) -> String;
        let wrap: [(&str, Wrap); 8] = [
            ("docker", |text| {
                format!(
                    "{}\n",
                    serde_json::json!({"log": format!("{text}\n"), "stream": "stderr", "time": "2020-07-08T20:00:00.123456789Z"})
                )
            }),
            ("cri", |text| format!("2020-07-08T20:00:00.123456789Z stderr F {text}\n")),
            ("kubectl --timestamps", |text| format!("2020-07-08T20:00:00.123456789Z {text}\n")),
            ("loki", |text| {
                format!(
                    "{}\n",
                    serde_json::json!({"labels": {"app": "pay"}, "line": text, "timestamp": "2020-07-08T20:00:00.123456789Z"})
                )
            }),
            ("cloudwatch", |text| {
                format!(
                    "{}\n",
                    serde_json::json!({"timestamp": 1_594_238_400_123_u64, "message": text, "ingestionTime": 1_594_238_400_999_u64, "logStreamName": "pay"})
                )
            }),
            ("stackdriver", |text| {
                format!(
                    "{}\n",
                    serde_json::json!({"textPayload": text, "timestamp": "2020-07-08T20:00:00.123456789Z", "resource": {"labels": {"container_name": "pay"}}})
                )
            }),
            ("splunk", |text| {
                format!(
                    "{}\n",
                    serde_json::json!({"preview": false, "result": {"_raw": text, "_time": "2020-07-08T20:00:00.123+00:00"}})
                )
            }),
            ("loki's api", |text| {
                format!(
                    "{}\n",
                    serde_json::json!({"status": "success", "data": {"result": [{"stream": {"app": "pay"}, "values": [["1594238400123456789", text]]}]}})
                )
            }),
        ];
        for (name, wrap) in wrap {
            let log: String = trace.iter().map(|line| wrap(line)).collect();
            let seen = read(&log);
            assert_eq!(seen.len(), 1, "{name}: {seen:#?}");
            assert!(seen[0].at.as_deref().unwrap().starts_with("2020-07-08T20:00:00.123"), "{name}");
            assert!(seen[0].text.ends_with("at a.b"), "{name}");
            // JSON inside the envelope.
            let inner = wrap(r#"{"@timestamp":"2020-07-08T19:00:00Z","service":"inner","message":"Connection reset"}"#);
            let seen = read(&inner);
            assert_eq!(
                (seen.len(), seen[0].service.as_deref(), seen[0].at.as_deref()),
                (1, Some("inner"), Some("2020-07-08T19:00:00Z")),
                "{name}"
            );
        }
        let payload = read(
            r#"{"jsonPayload":{"message":"Connection reset"},"timestamp":"2020-07-08T20:00:00Z","resource":{"labels":{"container_name":"pay"}}}"#,
        );
        assert_eq!((payload[0].service.as_deref(), payload[0].text.as_str()), (Some("pay"), "Connection reset"));
    }

    #[test]
    fn pretty_documents_are_read() {
        let gcloud = serde_json::json!([
            {"textPayload": "Connection \"reset\" {", "timestamp": "2020-07-08T20:00:00Z"},
            {"jsonPayload": {"message": "b}"}, "timestamp": "2020-07-08T20:00:01Z"},
        ]);
        let seen = read(&serde_json::to_string_pretty(&gcloud).unwrap());
        assert_eq!(seen.iter().map(|seen| seen.text.as_str()).collect::<Vec<_>>(), ["Connection \"reset\" {", "b}"]);
        let aws = serde_json::json!({"events": [
            {"logStreamName": "s", "timestamp": 1_594_238_400_000_u64, "message": "first"},
            {"logStreamName": "s", "timestamp": 1_594_238_400_001_u64, "message": "second"},
        ], "searchedLogStreams": []});
        let seen = read(&serde_json::to_string_pretty(&aws).unwrap());
        assert_eq!(seen.iter().map(|seen| seen.text.as_str()).collect::<Vec<_>>(), ["first", "second"]);
    }

    #[test]
    fn split_lines_are_joined_and_colours_dropped() {
        let seen = read(
            "2020-07-08T20:00:00.123456789Z stderr P Connection \n2020-07-08T20:00:00.123456799Z stderr F reset\n",
        );
        assert_eq!(seen[0].text, "Connection reset");
        let seen = read("\u{1b}[2m2020-07-08 20:00:00.123\u{1b}[0;39m \u{1b}[31mERROR\u{1b}[0m [main] x\n");
        assert_eq!(seen[0].text, "2020-07-08 20:00:00.123 ERROR [main] x");
        assert_eq!(seen[0].at.as_deref(), Some("2020-07-08T20:00:00.123Z"));
    }

    #[test]
    fn times_may_stand_behind_a_level_or_a_pod() {
        for line in [
            "ERROR 2020-07-08 20:00:00,123 [main] x",
            "level=error ts=2020-07-08T20:00:00.123Z msg=x",
            "time=\"2020-07-08T20:00:00.123Z\" level=error msg=x",
            "pay-7d9f-abcde app 2020-07-08T20:00:00.123Z x",
            "[2020-07-08 20:00:00,123] {a.py:3} ERROR - x",
        ] {
            assert_eq!(read(line)[0].at.as_deref(), Some("2020-07-08T20:00:00.123Z"), "{line}");
        }
        // A date in a message does not begin a record where times stand at the margin.
        assert_eq!(read("2020-07-08 20:00:00 a\nsince 2020-07-01 00:00:00 it fails\n").len(), 1);
    }

    #[test]
    fn long_lines_and_records_are_bounded() {
        let mut log = b"2020-07-08 20:00:00 ".to_vec();
        log.extend(std::iter::repeat_n(b'x', 3 * MAX_LINE));
        log.extend_from_slice(b"\n2020-07-08 20:00:01 ERROR e\njava.lang.RuntimeException: x\n");
        for _ in 0..20_000 {
            log.extend_from_slice(b"\tat com.example.Recursion.again(Recursion.java:7)\n");
        }
        log.extend_from_slice(b"Caused by: java.net.SocketException: Connection reset\n\xff\xfe\n");
        let seen = read_in_chunks(&log, 4096);
        assert_eq!(seen.len(), 2);
        assert!(seen.iter().all(|seen| seen.text.len() <= MAX_RECORD + MAX_CAUSES));
        assert!(seen[1].text.ends_with("Caused by: java.net.SocketException: Connection reset"));
    }

    #[test]
    fn calls_are_told_apart() {
        assert_eq!(call_of(" ERROR [nio-8080-exec-1] c.e: x"), Some("nio-8080-exec-1"));
        assert_eq!(call_of(" [ERROR] [          main] x"), Some("main"));
        assert_eq!(call_of("msg=failed request_id=4fd8c1 thread=3"), Some("4fd8c1"));
        assert_eq!(call_of("msg=\"x\" traceId=\"abcdef\""), Some("abcdef"));
        assert_eq!(call_of(" ERROR [1234] plain"), None);
        assert_eq!(call_of("é[ü] ¶"), Some("ü").filter(|_| false));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..512), size in 1_usize..64) {
            read_in_chunks(&bytes, size);
        }

        #[test]
        fn near_logs_are_survived(text in "([0-9TZ:.-]{0,24}|\\{\"(log|time|message)\":|[{}\\[\\]\",\n\\\\]|Traceback|é|\u{1b}\\[){0,30}") {
            read_in_chunks(text.as_bytes(), 5);
        }
    }
}
