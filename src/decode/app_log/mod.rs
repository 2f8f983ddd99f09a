//! Application logs: records out of lines. A record in JSON is one line; a record in text is a line and what belongs to
//! it, such as a stack trace.
//!
//! [`LogReader`] takes lines as they come and gives one entry a record. Wrappers around lines are
//! [`Unwrapper`]'s; the lines of each source and stream are put together on their own.

mod alike;
mod fields;
mod joiner;
mod names;

use foldhash::HashMap;
use memchr::{memchr, memmem};

use self::alike::{Alike, Kinds};
use self::joiner::Joiner;
use super::log::{Envelope, Inner, Json, Stream, Unwrapper, access_json, access_line, are_latest_first};
use super::timestamp::{LOOK_AHEAD, TimeContext};
use crate::model::{AccessLine, AppRecord, JsonRecord, LoggedAt, workload_of_pod};

/// Longest line that is fed in chunks; the rest of a longer one is skipped, and the line counted.
const MAX_LINE: usize = 1 << 20;
/// Longest text of a record. Of a longer trace only the `Caused by:` lines are kept.
const MAX_RECORD: usize = 64 << 10;
/// Sources of one input that are told apart, and bytes of their unfinished records.
const MAX_SOURCES: usize = 1024;
const MAX_HELD: usize = 4 << 20;

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
    /// Lines longer than the bound, cut.
    pub cut_lines: u64,
    /// Lines with invalid UTF-8, read with replacement characters.
    pub invalid_utf8: u64,
}

/// Reads one stream of log lines.
pub struct LogReader {
    options: ReaderOptions,
    /// The beginning of the input, until it has been looked at.
    head: Option<Vec<u8>>,
    unwrapper: Unwrapper,
    kinds: Kinds,
    records: Records,
    /// A line of the last chunk whose end has not come yet.
    carry: Vec<u8>,
    /// The rest of the current line is beyond the bound.
    skipping: bool,
    cut_lines: u64,
}

type Sink<'s> = dyn FnMut(LogEntry<'_>) + 's;

impl LogReader {
    /// A reader for one stream.
    #[must_use]
    pub fn new(options: ReaderOptions) -> Self {
        Self {
            head: Some(Vec::new()),
            unwrapper: Unwrapper::new(options.time.clone()).with_service_field(options.service_field.as_deref()),
            kinds: Kinds::default(),
            records: Records::default(),
            carry: Vec::new(),
            skipping: false,
            cut_lines: 0,
            options,
        }
    }

    /// What was odd so far.
    #[must_use]
    pub const fn oddities(&self) -> Oddities {
        let counts = &self.unwrapper.counts;
        Oddities { cut_lines: self.cut_lines + counts.cut, invalid_utf8: counts.invalid_utf8 }
    }

    /// What stands in the place of the log or of its rest, where it could not be read: the kubelet's own words.
    #[must_use]
    pub fn missing(&self) -> Option<&str> {
        self.unwrapper.missing()
    }

    /// Takes the next bytes of the stream, cut anywhere.
    pub fn feed(&mut self, mut chunk: &[u8], sink: &mut Sink<'_>) {
        while let Some(end) = memchr(b'\n', chunk) {
            let (line, rest) = chunk.split_at(end);
            chunk = &rest[1..];
            if self.carry.is_empty() && !self.skipping && line.len() <= MAX_LINE {
                self.push(line.strip_suffix(b"\r").unwrap_or(line), sink);
            } else {
                self.extend_carry(line);
                let mut carried = std::mem::take(&mut self.carry);
                self.push(carried.strip_suffix(b"\r").unwrap_or(&carried), sink);
                carried.clear();
                self.carry = carried;
                self.skipping = false;
            }
        }
        self.extend_carry(chunk);
    }

    fn extend_carry(&mut self, part: &[u8]) {
        let room = MAX_LINE - self.carry.len().min(MAX_LINE);
        self.carry.extend_from_slice(&part[..part.len().min(room)]);
        if part.len() > room && !self.skipping {
            self.skipping = true;
            self.cut_lines += 1;
        }
    }

    /// Takes the next line, without its end.
    pub fn push(&mut self, line: &[u8], sink: &mut Sink<'_>) {
        self.push_unless(line, &|_| false, sink);
    }

    /// Takes the next line, without its end. Where `is_quiet` says that it has none of the words that are looked for, no more
    /// of it may be read than a record without them needs, which then is [`AppRecord::quiet`].
    pub fn push_unless(&mut self, line: &[u8], is_quiet: &dyn Fn(&str) -> bool, sink: &mut Sink<'_>) {
        if self.skim(line, is_quiet, sink) {
            return;
        }
        if let Some(head) = &mut self.head {
            head.extend_from_slice(line);
            head.push(b'\n');
            if head.len() >= LOOK_AHEAD {
                self.begin(sink);
            }
            return;
        }
        self.line(line, sink);
    }

    /// Looks at the beginning of the input, and reads it.
    fn begin(&mut self, sink: &mut Sink<'_>) {
        let Some(head) = self.head.take() else { return };
        self.options.time.look_ahead(&head[..head.len().min(LOOK_AHEAD)]);
        self.unwrapper =
            Unwrapper::new(self.options.time.clone()).with_service_field(self.options.service_field.as_deref());
        for line in head.split_inclusive(|byte| *byte == b'\n') {
            self.line(line.strip_suffix(b"\n").unwrap_or(line), sink);
        }
    }

    fn line(&mut self, line: &[u8], sink: &mut Sink<'_>) {
        let Self { unwrapper, kinds, records, options, .. } = self;
        unwrapper.push(line, &mut |envelope| {
            if envelope.bare
                && options.service_field.is_none()
                && let Ok(line) = simdutf8::basic::from_utf8(line)
            {
                kinds.learn(line, envelope, &options.time);
            }
            records.take(envelope, options, sink);
        });
    }

    /// Takes a line of JSON that is like one before it and has none of the words that are looked for; false for all others.
    fn skim(&mut self, line: &[u8], is_quiet: &dyn Fn(&str) -> bool, sink: &mut Sink<'_>) -> bool {
        let Self { head, unwrapper, kinds, records, options, .. } = self;
        if head.is_some() || line.first() != Some(&b'{') {
            return false;
        }
        let Ok(text) = simdutf8::basic::from_utf8(line) else { return false };
        let Some(alike) = kinds.read(text, &options.time) else { return false };
        if !is_quiet(text) || !unwrapper.passes() {
            return false;
        }
        records.take_alike(&alike, text, unwrapper.counts.lines, options, sink);
        true
    }

    /// Ends the stream: gives what is still held.
    pub fn finish(&mut self, sink: &mut Sink<'_>) {
        if !self.carry.is_empty() {
            let carried = std::mem::take(&mut self.carry);
            self.push(&carried, sink);
        }
        self.begin(sink);
        let Self { unwrapper, records, options, .. } = self;
        unwrapper.finish(&mut |envelope| records.take(envelope, options, sink));
        records.flush(sink);
    }
}

/// Whether the first lines of a log come latest first, and how many lines before them (the heading of a table) stay where
/// they are. Only of logs with a record a line, which reading them backward leaves whole.
#[must_use]
pub fn backward(lines: &[Vec<u8>], options: &ReaderOptions) -> Option<usize> {
    let mut reader = LogReader::new(options.clone());
    let (mut times, mut records, mut first) = (Vec::new(), 0, None);
    let mut each = |entry: LogEntry<'_>| {
        let (line, time) = match &entry {
            LogEntry::App(record) => (Some(record.line), record.logged_at),
            LogEntry::Call { logged_at, .. } => (None, *logged_at),
        };
        records += 1;
        first = first.or(line);
        times.extend(time.map(|time| time.at));
    };
    lines.iter().for_each(|line| reader.push(line, &mut each));
    reader.finish(&mut each);
    let backward = records * 5 >= lines.len() * 4 && are_latest_first(lines, &times, options.time.clone());
    // A heading is a line before the first record.
    backward.then(|| usize::try_from(first.unwrap_or(1)).unwrap_or(1).saturating_sub(1))
}

/// The records that are not complete yet, by who writes them.
#[derive(Default)]
struct Records {
    /// In the order in which the sources came.
    joiners: Vec<Joiner>,
    by_source: HashMap<Box<str>, Vec<(Stream, usize)>>,
    scratch: String,
}

impl Records {
    fn take(&mut self, envelope: &Envelope<'_>, options: &mut ReaderOptions, sink: &mut Sink<'_>) {
        let index = self.joiner(envelope, sink);
        match envelope.inner {
            Inner::Text(text) => self.text(index, text, envelope, options, sink),
            Inner::Json(json, raw) => {
                self.joiners[index].flush(sink);
                if let Some(call) = may_be_access_json(json).then(|| access_json(json)).flatten() {
                    return give_call(&call, envelope, sink);
                }
                let fields = fields::fields(json, &options.time, options.service_field.as_deref());
                let logged_at = match (fields.logged_at, envelope.time) {
                    (Some(own), Some(outer)) => Some(options.time.aligned(own, outer)),
                    (own, outer) => own.or(outer).or_else(|| fields::time_by_name(json, &options.time)),
                };
                if let Some(logged_at) = logged_at {
                    options.time.saw(logged_at);
                    self.joiners[index].last = Some(logged_at);
                }
                self.scratch.clear();
                for part in fields.message.iter().chain(&fields.traces) {
                    let room = MAX_RECORD - self.scratch.len().min(MAX_RECORD);
                    if !self.scratch.is_empty() {
                        self.scratch.push('\n');
                    }
                    self.scratch.push_str(cut(part, room));
                }
                sink(LogEntry::App(AppRecord {
                    logged_at,
                    service: fields.service.or_else(|| service_of(envelope)),
                    text: &self.scratch,
                    exception: fields.exception,
                    target: fields.target,
                    call: fields.call,
                    logger: fields.logger,
                    duration: fields.duration,
                    severity: fields.severity,
                    json: Some(JsonRecord { raw, leaves: &|each| fields::leaves(json, each) }),
                    line: envelope.line,
                    quiet: false,
                }));
            }
        }
    }

    /// Takes a line of JSON that was not parsed.
    fn take_alike(
        &mut self,
        alike: &Alike<'_, '_>,
        raw: &str,
        line: u64,
        options: &mut ReaderOptions,
        sink: &mut Sink<'_>,
    ) {
        let Alike { logged_at, message, call, target, source, service, stream } = *alike;
        let (time, rest, shape, bare) = (None, false, None, true);
        let index = self.joiner(
            &Envelope { line, inner: Inner::Text(raw), time, source, service, stream, rest, shape, bare },
            sink,
        );
        self.joiners[index].flush(sink);
        options.time.saw(logged_at);
        self.joiners[index].last = Some(logged_at);
        sink(LogEntry::App(AppRecord {
            logged_at: Some(logged_at),
            service,
            text: cut(message, MAX_RECORD),
            target,
            call,
            json: Some(JsonRecord { raw, leaves: &|_| {} }),
            line,
            quiet: true,
            ..AppRecord::default()
        }));
    }

    fn text(
        &mut self,
        index: usize,
        text: &str,
        envelope: &Envelope<'_>,
        options: &mut ReaderOptions,
        sink: &mut Sink<'_>,
    ) {
        if may_be_access_line(text)
            && let Some(call) = access_line(text)
        {
            self.joiners[index].flush(sink);
            return give_call(&call, envelope, sink);
        }
        self.joiners[index].line(text, envelope, &mut options.time, sink);
    }

    /// The joiner of who wrote a line. Bounded: beyond it all unfinished records are taken as they are.
    fn joiner(&mut self, envelope: &Envelope<'_>, sink: &mut Sink<'_>) -> usize {
        // Most inputs have one source.
        if let Some(first) = self.joiners.first()
            && first.is_of(envelope)
        {
            return 0;
        }
        let known = self
            .by_source
            .get(envelope.source)
            .and_then(|streams| streams.iter().find(|(stream, _)| *stream == envelope.stream).map(|(_, index)| *index));
        if let Some(index) = known {
            return index;
        }
        if self.joiners.len() >= MAX_SOURCES || self.joiners.iter().map(Joiner::held).sum::<usize>() > MAX_HELD {
            self.flush(sink);
            self.joiners.clear();
            self.by_source.clear();
        }
        let index = self.joiners.len();
        self.joiners.push(Joiner::new(envelope));
        self.by_source.entry(envelope.source.into()).or_default().push((envelope.stream, index));
        index
    }

    fn flush(&mut self, sink: &mut Sink<'_>) {
        for joiner in &mut self.joiners {
            joiner.flush(sink);
        }
    }
}

fn give_call(call: &AccessLine<'_>, envelope: &Envelope<'_>, sink: &mut Sink<'_>) {
    let logged_at = call.start.map(|at| LoggedAt::exact(at, true)).or(envelope.time);
    sink(LogEntry::Call { call, logged_at, service: service_of(envelope) });
}

/// The service that an envelope names: by a label, or by the pod, container or compose service that it comes from.
fn service_of<'a>(envelope: &Envelope<'a>) -> Option<&'a str> {
    envelope.service.or_else(|| service_of_source(envelope.source))
}

/// `pod/NAME/CONTAINER` (kubectl), `POD CONTAINER` (stern), `NAMESPACE/POD/CONTAINER`, `NAME-1` (compose).
fn service_of_source(source: &str) -> Option<&str> {
    if source.is_empty() {
        return None;
    }
    if let Some((pod, _)) = source.split_once(' ') {
        return Some(workload_of_pod(pod));
    }
    let parts: Vec<&str> = source.split('/').collect();
    let pod = match parts[..] {
        ["pod" | "pods", pod, ..] | [_, pod, _] => pod,
        [one, two] => {
            if workload_of_pod(one) == one {
                two
            } else {
                one
            }
        }
        _ => source,
    };
    Some(workload_of_pod(pod))
}

/// A text, up to so many bytes of it.
fn cut(text: &str, length: usize) -> &str {
    &text[..text.floor_char_boundary(length)]
}

/// A cheap look before the whole parse: `[2020-07-08T20:00:00.000Z] "`.
fn may_be_access_line(line: &str) -> bool {
    let bytes = line.as_bytes();
    bytes.first() == Some(&b'[')
        && bytes.get(5) == Some(&b'-')
        && memmem::find(&bytes[..bytes.len().min(48)], b"] \"").is_some()
}

fn may_be_access_json(json: &Json<'_>) -> bool {
    json.members().iter().any(|(key, _)| key == "response_flags" || key == "upstream_cluster")
}

#[cfg(test)]
mod tests;
