//! Logs: every layout Envoy and Istio have written since 2018, through the wrappers people's logs come in.
//!
//! [`Unwrapper`] takes the wrappers off the lines of an input, for whatever reads logs; [`LogDecoder`] turns what is
//! inside into [`LogRecord`]s of proxies, one by one and in constant memory.

mod access;
mod access_field;
mod access_format;
mod access_found;
mod bare;
mod cilium;
mod csv;
mod document;
mod envelope;
mod envelope_json;
mod grid;
mod json;
mod many;
pub mod message;
mod missing;
mod order;
mod proxy_json;
mod stream;
mod text;
mod wrapper;

use jiff::Timestamp;
use jiff::tz::TimeZone;

pub use access_format::AccessFormat;
pub use envelope::{Envelope, Inner, LineCounts, Unwrapper};
pub(in crate::decode) use envelope_json::{decides_kind, is_line};
pub use json::Json;
pub(in crate::decode) use order::are_latest_first;
pub use order::{SAMPLE, backward};
pub(in crate::decode) use proxy_json::{is_proxy, may_be_proxy_line};
pub use stream::Stream;

use crate::decode::timestamp::{self, TimeContext};
use crate::model::{AccessLine, LogContent, LogRecord, ProxyLine};
use text::Shape;

/// Lines over which one record may have been wrapped.
const MAX_WRAPPED: u32 = 24;
/// The longest record that is put together.
const MAX_RECORD: usize = 16 << 10;
/// Sources that are told apart at most.
const MAX_SOURCES: usize = 4096;

type Sink<'s> = dyn FnMut(&LogRecord<'_>) + 's;

/// Decodes the lines of one input, in order.
#[derive(Debug)]
pub struct LogDecoder {
    unwrapper: Unwrapper,
    records: Records,
}

/// Counts of an input, as the report gives them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct LogCounts {
    /// Lines read.
    pub lines: u64,
    /// Records among them: of Envoy's application log, of access logs, and of the agent beside it.
    pub records: u64,
    /// Lines that are neither a record of a proxy nor a part of one.
    pub unrecognized: u64,
}

impl std::ops::AddAssign for LogCounts {
    fn add_assign(&mut self, other: Self) {
        self.lines += other.lines;
        self.records += other.records;
        self.unrecognized += other.unrecognized;
    }
}

impl LogDecoder {
    /// A decoder that also knows these access log formats (from [`AccessFormat::from_config_dump`]). `now` is what
    /// wrappers whose times have no year are held against.
    #[must_use]
    pub fn new(formats: Vec<AccessFormat>, now: Timestamp) -> Self {
        Self {
            unwrapper: Unwrapper::new(TimeContext::new(TimeZone::UTC, now)),
            records: Records {
                formats,
                context: TimeContext::new(TimeZone::UTC, now),
                sources: Vec::new(),
                last: 0,
                counts: LogCounts::default(),
            },
        }
    }

    /// What was read so far.
    #[must_use]
    pub fn counts(&self) -> LogCounts {
        LogCounts { lines: self.unwrapper.counts.lines, ..self.records.counts }
    }

    /// What stands in the place of the log or of its rest, where it could not be read: the kubelet's own words.
    #[must_use]
    pub fn missing(&self) -> Option<&str> {
        self.unwrapper.missing()
    }

    /// Decodes the next line (without its line feed) and gives the records that it completes. Total on any bytes.
    pub fn push(&mut self, line: &[u8], sink: &mut Sink<'_>) {
        let Self { unwrapper, records } = self;
        unwrapper.push(line, &mut |envelope| records.take(envelope, sink));
    }

    /// Gives a record that waits for lines into which it may have been wrapped: for a log that has fallen silent.
    pub fn settle(&mut self, sink: &mut Sink<'_>) {
        self.records.release(sink);
    }

    /// Ends the input: gives what is still held.
    pub fn finish(&mut self, sink: &mut Sink<'_>) {
        let Self { unwrapper, records } = self;
        unwrapper.finish(&mut |envelope| records.take(envelope, sink));
        records.release(sink);
    }
}

/// Puts records of several lines together, for each source and stream.
#[derive(Debug)]
struct Records {
    formats: Vec<AccessFormat>,
    /// What times without a year are held against.
    context: TimeContext,
    sources: Vec<Source>,
    last: usize,
    counts: LogCounts,
}

/// What came last of one source and stream.
#[derive(Debug, Default)]
struct Source {
    name: Box<str>,
    stream: Stream,
    /// Whether the record before may go on in further lines.
    open: bool,
    /// Whether it has written Envoy's records in a layout that is not known.
    foreign: bool,
    /// Whether it has lines of an access log.
    access: bool,
    /// Sentences in a layout that is not known, until it is known whether they are Envoy's.
    early: Vec<Early>,
    /// The names of the members of Envoy's last JSON record.
    names: Vec<Box<str>>,
    held: Option<Held>,
}

/// A line that has one of Envoy's sentences and nothing else of Envoy's.
#[derive(Debug)]
struct Early {
    text: String,
    line: u64,
    time: Option<Timestamp>,
}

/// Lines that are kept until their source shows whose they are, and among how many of its lines.
const MAX_EARLY: usize = 64;

/// A record that may have been wrapped: further lines are taken for its rest.
#[derive(Debug)]
struct Held {
    /// Its lines, joined with blanks: where it was wrapped between words.
    text: String,
    /// Its lines, joined with nothing: where it was wrapped at a column.
    joined: String,
    /// How long its lines are, where all but the last are of one length.
    width: Option<usize>,
    last: usize,
    line: u64,
    time: Option<Timestamp>,
    lines: u32,
}

impl Held {
    fn of(text: &str, line: u64, time: Option<Timestamp>) -> Self {
        Self {
            text: text.to_owned(),
            joined: text.to_owned(),
            width: Some(text.len()),
            last: text.len(),
            line,
            time,
            lines: 1,
        }
    }
}

impl Records {
    fn take(&mut self, envelope: &Envelope<'_>, sink: &mut Sink<'_>) {
        let before = self.last;
        let at = self.source(envelope.source, envelope.stream);
        let outer = envelope.time.map(|time| time.at);
        let text = match envelope.inner {
            Inner::Json(json, text) => {
                self.let_go(at, sink);
                let (time, mut content) = self.object(json);
                let source = &mut self.sources[at];
                source.open = false;
                let names = || json.members().iter().map(|(name, _)| &**name);
                match &content {
                    LogContent::Proxy(_) if !source.names.iter().map(|name| &**name).eq(names()) => {
                        source.names = names().map(Into::into).collect();
                    }
                    // Some of Envoy's records have no ids.
                    LogContent::Foreign
                        if !source.names.is_empty() && source.names.iter().map(|name| &**name).eq(names()) =>
                    {
                        if let Some(line) = proxy_json::sentence(json) {
                            content = LogContent::Proxy(line);
                        }
                    }
                    _ => {}
                }
                return self.give(envelope, text, time.or(outer), content, sink);
            }
            Inner::Text(text) => text,
        };
        let source = &mut self.sources[at];
        // Half of a debug log are header dumps; nothing else begins like that.
        if source.open && (text.starts_with('\'') || text.starts_with("\tthread=")) {
            source.open = !text.starts_with('\t');
            return self.give(envelope, text, None, LogContent::Continuation, sink);
        }
        if let Some(Recognized { time, content, may_go_on }) = recognize(text, envelope.shape, &self.formats) {
            self.let_go(at, sink);
            if matches!(content, LogContent::Access(_)) && !self.sources[at].access {
                self.sources[at].access = true;
                self.believe(at, sink);
            }
            let time = time.or(outer);
            if may_go_on {
                self.sources[at].open = false;
                self.sources[at].held = Some(Held::of(text, envelope.line, time));
                return;
            }
            // From 1.17 on a record ends with its thread: without one, it goes on.
            self.sources[at].open = match &content {
                LogContent::Proxy(line) => line.thread == 0 || line.message.ends_with(':'),
                _ => false,
            };
            return self.give(envelope, text, time, content, sink);
        }
        if text.trim().is_empty() {
            self.let_go(at, sink);
            return self.give(envelope, text, None, LogContent::Continuation, sink);
        }
        if text::shape(text) == Some(Shape::Access) {
            // The beginning of one that was wrapped.
            self.let_go(at, sink);
            self.sources[at].open = false;
            self.sources[at].held = Some(Held::of(text, envelope.line, outer));
            return;
        }
        // A record that was wrapped together with the wrapper before it goes on without.
        let holder = if envelope.source.is_empty() && self.awaits(before, envelope.line) { before } else { at };
        if self.append(holder, text, sink) {
            if holder != at
                && let Some(held) = self.sources[holder].held.as_mut().filter(|held| held.lines == 2)
            {
                // The first line was as long with its wrapper.
                held.width = Some(held.last);
            }
            self.last = holder;
            return;
        }
        let source = &mut self.sources[at];
        if continues(text, source.open) {
            source.open = source.open && text::thread_behind(text).is_none();
            return self.give(envelope, text, None, LogContent::Continuation, sink);
        }
        let mut found = unfamiliar(text);
        let source = &self.sources[at];
        match &found {
            Some(Recognized { content: LogContent::Proxy(_), .. }) if !source.foreign => {
                self.sources[at].foreign = true;
                self.believe(at, sink);
            }
            Some(access) if source.foreign && matches!(access.content, LogContent::Access(_)) => {
                found = sentence_within(text).filter(Recognized::is_long).or(found);
            }
            Some(_) => {}
            // The records of a layout that is not known, of which some have no ids.
            None if source.foreign => found = sentence_within(text),
            None => {
                let sentence = if source.early.len() < MAX_EARLY { sentence_within(text) } else { None };
                if source.access {
                    found = sentence.filter(Recognized::is_long);
                } else if sentence.is_some() {
                    let early = Early { text: text.to_owned(), line: envelope.line, time: outer };
                    self.sources[at].early.push(early);
                }
            }
        }
        let Recognized { time, content, .. } = found.unwrap_or_else(|| Recognized::of(None, unrecognized(text)));
        let time = time.or_else(|| self.time_of_head(text)).or(outer);
        self.give(envelope, text, time, content, sink);
    }

    /// Gives the sentences that were kept of a source, now that it has shown to be a proxy's; of one that only has an access
    /// log, those that nobody else says.
    fn believe(&mut self, at: usize, sink: &mut Sink<'_>) {
        let source = &mut self.sources[at];
        let (foreign, name) = (source.foreign, source.name.clone());
        let (mut kept, early) = (Vec::new(), std::mem::take(&mut source.early));
        for early in early {
            let Some(found) = sentence_within(&early.text) else { continue };
            if !foreign && !found.is_long() {
                kept.push(early);
                continue;
            }
            let time = found.time.or_else(|| self.time_of_head(&early.text)).or(early.time);
            let record = LogRecord { line: early.line, source: &name, time, text: &early.text, content: found.content };
            self.counts.records += 1;
            self.counts.unrecognized = self.counts.unrecognized.saturating_sub(1);
            sink(&record);
        }
        self.sources[at].early = kept;
    }

    /// The time at the beginning of a line in a layout that is not known.
    fn time_of_head(&self, text: &str) -> Option<Timestamp> {
        let text = text.trim_start_matches(['[', '(', ' ']);
        timestamp::leading(text.as_bytes(), &self.context).map(|(found, _)| found.at)
    }

    fn source(&mut self, name: &str, stream: Stream) -> usize {
        let is = |source: &Source| source.stream == stream && same(&source.name, name);
        if self.sources.get(self.last).is_some_and(is) {
            return self.last;
        }
        self.last = match self.sources.iter().position(is) {
            Some(at) => at,
            // Beyond the bound, sources are no longer told apart.
            None if self.sources.len() >= MAX_SOURCES => 0,
            None => {
                self.sources.push(Source { name: name.into(), stream, ..Source::default() });
                self.sources.len() - 1
            }
        };
        self.last
    }

    fn object<'a>(&self, json: &'a Json<'_>) -> (Option<Timestamp>, LogContent<'a>) {
        let own = self.formats.iter().filter(|format| format.is_json()).find_map(|format| format.members(json));
        if let Some(access) = own.or_else(|| access::is_access(json).then(|| access::json(json))) {
            return (ended(&access), LogContent::Access(Box::new(access)));
        }
        if let Some((time, content)) = proxy_json::decode(json) {
            return (time.as_deref().and_then(text::time), content);
        }
        match access_found::in_json(json) {
            Some(access) => (ended(&access), LogContent::Access(Box::new(access))),
            None => (None, LogContent::Foreign),
        }
    }

    /// Whether the line before this one belongs to a record of this source that may go on.
    fn awaits(&self, at: usize, line: u64) -> bool {
        let held = self.sources.get(at).and_then(|source| source.held.as_ref());
        held.is_some_and(|held| held.line + u64::from(held.lines) == line)
    }

    /// Adds a line to the record that is held of its source; false where there is none, or this is no part of it.
    fn append(&mut self, at: usize, text: &str, sink: &mut Sink<'_>) -> bool {
        let Some(held) = &mut self.sources[at].held else { return false };
        if held.lines >= MAX_WRAPPED || held.text.len() + text.len() > MAX_RECORD || text.starts_with(['\'', '{', '#'])
        {
            self.let_go(at, sink);
            // A message of many lines, such as a configuration.
            self.sources[at].open = true;
            return false;
        }
        held.lines += 1;
        held.text.push(' ');
        held.text.push_str(text.trim());
        held.joined.push_str(text);
        held.width = held.width.filter(|width| *width == held.last);
        held.last = text.len();
        // A record of Envoy's ends with its thread.
        if text::thread_behind(&held.text).is_some() {
            self.let_go(at, sink);
        }
        true
    }

    /// Gives the record that is held of a source.
    fn let_go(&mut self, at: usize, sink: &mut Sink<'_>) {
        let Some(held) = self.sources[at].held.take() else { return };
        let read = |text| recognize(text, None, &self.formats).or_else(|| unfamiliar(text));
        let mut text = &held.text;
        let mut recognized = read(text);
        if held.lines > 1
            && let Some(joined) = read(&held.joined)
            && recognized.as_ref().is_none_or(|recognized| {
                joined.worth() + usize::from(held.lines > 2 && held.width.is_some()) > recognized.worth()
            })
        {
            (text, recognized) = (&held.joined, Some(joined));
        }
        let Recognized { time, content, .. } = recognized.unwrap_or_else(|| Recognized::of(None, unrecognized(text)));
        let envelope = Envelope {
            line: held.line,
            inner: Inner::Text(text),
            time: None,
            source: &self.sources[at].name,
            service: None,
            stream: Stream::Unknown,
            rest: false,
            shape: None,
            bare: false,
        };
        count(&mut self.counts, &content);
        sink(&record(&envelope, text, time.or(held.time), content));
    }

    fn release(&mut self, sink: &mut Sink<'_>) {
        let mut held: Vec<usize> = (0..self.sources.len()).filter(|at| self.sources[*at].held.is_some()).collect();
        held.sort_by_key(|at| self.sources[*at].held.as_ref().map(|held| held.line));
        for at in held {
            self.let_go(at, sink);
        }
    }

    fn give(
        &mut self,
        envelope: &Envelope<'_>,
        text: &str,
        time: Option<Timestamp>,
        content: LogContent<'_>,
        sink: &mut Sink<'_>,
    ) {
        count(&mut self.counts, &content);
        if let Some(at) = time {
            self.context.hints.neighbour = Some(at);
        }
        sink(&record(envelope, text, time, content));
    }
}

fn count(counts: &mut LogCounts, content: &LogContent<'_>) {
    match content {
        LogContent::Continuation => {}
        LogContent::Unrecognized { .. } | LogContent::Foreign => counts.unrecognized += 1,
        LogContent::Proxy(_) | LogContent::Access(_) | LogContent::Agent { .. } => counts.records += 1,
    }
}

fn record<'a>(
    envelope: &Envelope<'a>,
    text: &'a str,
    time: Option<Timestamp>,
    content: LogContent<'a>,
) -> LogRecord<'a> {
    LogRecord { line: envelope.line, source: envelope.source, time, text, content }
}

/// Whether two names are the same. Most are empty, and glibc's memcmp of nothing at a dangling address is slow: it
/// loads with a mask, which faults and is suppressed.
pub(in crate::decode) fn same(one: &str, other: &str) -> bool {
    one.len() == other.len() && (one.is_empty() || one == other)
}

fn unrecognized(text: &str) -> LogContent<'_> {
    LogContent::Unrecognized { of_failure: message::holds_failure(text) }
}

/// Whether a line that is no record belongs to the record before it: header dumps (`'name', 'value'`), the end of a
/// record with its thread, and the rest of a message.
fn continues(text: &str, open: bool) -> bool {
    open || (text.starts_with('\'') && text.contains("', '")) || text.trim_start().starts_with("thread=")
}

/// Reads a line that stands bare, without wrapper, as one of an access log in one of the default formats.
#[must_use]
pub fn access_line(text: &str) -> Option<Box<AccessLine<'_>>> {
    match text::shape(text)? {
        Shape::Access => access::text_line(text).map(|text| Box::new(text.line)),
        _ => None,
    }
}

/// Reads a JSON object as a line of an access log.
#[must_use]
pub fn access_json<'a>(json: &'a Json<'_>) -> Option<Box<AccessLine<'a>>> {
    access::is_access(json).then(|| Box::new(access::json(json)))
}

/// A record.
struct Recognized<'a> {
    time: Option<Timestamp>,
    content: LogContent<'a>,
    /// Whether it ends where one may have been wrapped by the place that it was pasted into.
    may_go_on: bool,
}

impl<'a> Recognized<'a> {
    fn access(access: AccessLine<'a>, may_go_on: bool) -> Self {
        Self { time: ended(&access), content: LogContent::Access(Box::new(access)), may_go_on }
    }

    fn of(time: Option<Timestamp>, content: LogContent<'a>) -> Self {
        Self { time, content, may_go_on: false }
    }

    /// Whether it is a sentence that nobody but Envoy says.
    fn is_long(&self) -> bool {
        matches!(&self.content, LogContent::Proxy(line) if message::is_long(line.message))
    }

    /// How much of it makes sense, to tell between two ways of putting it together.
    fn worth(&self) -> usize {
        match &self.content {
            LogContent::Proxy(line) => 4 * usize::from(is_sentence(line)) + 2 * usize::from(line.thread > 0),
            LogContent::Access(line) => access::worth(line),
            _ => 0,
        }
    }
}

/// Reads a line, whose layout may be known already.
fn recognize<'a>(text: &'a str, shape: Option<Shape>, formats: &[AccessFormat]) -> Option<Recognized<'a>> {
    let shape = shape.or_else(|| text::shape(text));
    // The proxy's own format comes before the defaults: it may look like one of them and mean other columns.
    if !matches!(shape, Some(Shape::Bracketed | Shape::Columns | Shape::Json))
        && let Some(access) = formats.iter().find_map(|format| format.read(text))
    {
        return Some(Recognized::access(access, false));
    }
    match shape? {
        Shape::Bracketed => {
            let (time, line) = text::bracketed(text)?;
            Some(Recognized { time, may_go_on: line.message.is_empty(), content: LogContent::Proxy(line) })
        }
        Shape::Columns => {
            let (time, content) = text::columns(text)?;
            let may_go_on =
                matches!(&content, LogContent::Proxy(line) if line.thread == 0 && text::is_wrapped(text, line));
            Some(Recognized { time, content, may_go_on })
        }
        Shape::Access => access::text_line(text).map(|text| Recognized::access(text.line, text.short)),
        Shape::Json => {
            let (time, content) = proxy_json::broken(text)?;
            Some(Recognized::of(time.and_then(text::time), content))
        }
    }
}

/// A line in a layout that is not known, but for what only Envoy writes: ids and one of its messages, an access log line
/// without its head, or one in `key=value`.
fn unfamiliar(text: &str) -> Option<Recognized<'_>> {
    if let Some((head, line)) = text::foreign(text) {
        if is_sentence(&line) {
            return Some(Recognized::of(text::time_within(head), LogContent::Proxy(line)));
        }
        // Its application log quotes what an access log has, too.
        if text[head.len()..].starts_with("[Tags: ") {
            return None;
        }
    }
    if memchr::memchr(b'=', text.as_bytes()).is_some()
        && let Some(access) = access::pairs(text)
    {
        return Some(Recognized::access(access, false));
    }
    let headless = access::headless(text).map(|text| text.line);
    headless.or_else(|| access_found::in_text(text)).map(|line| Recognized::access(line, false))
}

/// One of Envoy's sentences in a line without ids, in a layout that is not known: at its end, or the message of logfmt.
fn sentence_within(text: &str) -> Option<Recognized<'_>> {
    let head = &text[..text.floor_char_boundary(200)];
    let read = |message: &'_ str| -> bool { message::parse("", message).is_known() };
    let quoted = ["msg=\"", "message=\""].iter().find_map(|key| {
        let (_, value) = text.split_once(key)?;
        // Quotes within are escaped: what is before them is enough.
        value
            .split_once('"')
            .map(|(message, _)| message.trim_end_matches('\\'))
            .filter(|message| read(message.trim_end()))
    });
    let starts = head.match_indices([' ', '\t', ']', ')']).map(|(at, _)| at + 1).take(24);
    let mut behind = starts.filter(|at| text.as_bytes().get(*at).is_some_and(u8::is_ascii_alphabetic)).map(|at| {
        let (message, thread) = text::thread_behind(&text[at..]).unwrap_or((&text[at..], 0));
        (message.trim_end(), thread)
    });
    let (message, thread) = match quoted {
        Some(message) => (message.trim_end(), 0),
        None => behind.find(|(message, _)| read(message))?,
    };
    let line = ProxyLine { message, thread, event: message::parse("", message), ..ProxyLine::default() };
    Some(Recognized::of(text::time_within(head), LogContent::Proxy(line)))
}

/// Whether a message is one of Envoy's.
fn is_sentence(line: &ProxyLine<'_>) -> bool {
    line.event.is_known()
}

/// When the request or connection of an access log line ended.
fn ended(access: &AccessLine) -> Option<Timestamp> {
    let duration = jiff::SignedDuration::from_millis(i64::try_from(access.duration.unwrap_or(0)).ok()?);
    access.start?.checked_add(duration).ok()
}
