//! Proxy logs: every layout Envoy and Istio have written since 2018, through the wrappers people's logs come in.
//!
//! [`LogDecoder`] turns lines into [`LogRecord`]s, one by one and in constant memory; [`Lines`] splits a stream into
//! lines without copying.

mod access;
mod access_format;
mod json;
mod lines;
mod text;
mod wrapper;

use std::borrow::Cow;

use jiff::Timestamp;

pub use access_format::AccessFormat;
pub use lines::{Lines, MAX_LINE};

use crate::model::{LogContent, LogRecord};
use json::JsonLine;
use text::Shape;
use wrapper::Piece;

/// Wrappers within wrappers are taken off this often.
const MAX_LAYERS: usize = 6;

/// Decodes the lines of one input, in order.
#[derive(Debug, Default)]
pub struct LogDecoder {
    formats: Vec<AccessFormat>,
    scratch: [String; MAX_LAYERS],
    lossy: String,
    /// The beginning of a line that its wrapper cut into pieces.
    pieces: String,
    line: u64,
    /// Whether the record before may go on in further lines.
    open: bool,
    /// Whether the line before is of an access log and ends before its cluster.
    wrapped: bool,
    /// What was read so far.
    pub counts: LogCounts,
}

/// Counts of an input, as the report gives them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct LogCounts {
    /// Lines read.
    pub lines: u64,
    /// Records among them: of Envoy's application log, of access logs, and of the agent beside it.
    pub records: u64,
    /// Lines that are neither a record nor a part of one.
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
    /// A decoder that also knows these access log formats (from [`AccessFormat::from_config_dump`]).
    #[must_use]
    pub fn new(formats: Vec<AccessFormat>) -> Self {
        Self { formats, ..Self::default() }
    }

    /// Decodes the next line (without its line feed). Total on any bytes; `None` while a line that its wrapper cut
    /// into pieces is still incomplete.
    pub fn decode<'a>(&'a mut self, line: &'a [u8]) -> Option<LogRecord<'a>> {
        self.line += 1;
        self.counts.lines += 1;
        let text = match String::from_utf8_lossy(line) {
            Cow::Borrowed(text) => text,
            Cow::Owned(text) => {
                self.lossy = text;
                &self.lossy
            }
        };
        // Half of a debug log are header dumps; nothing else begins like that.
        if self.open && (text.starts_with('\'') || text.starts_with("\tthread=")) {
            self.open = !text.starts_with('\t');
            let content = LogContent::Continuation;
            return Some(LogRecord { line: self.line, source: "", time: None, text, content });
        }
        let unwrapped = unwrap(text, None, "", &self.formats, &mut self.scratch, &mut self.pieces)?;
        let mut content = unwrapped.content;
        if let LogContent::Unrecognized = content {
            if let Some(rest) = self.wrapped.then(|| access::wrapped_rest(unwrapped.text)).flatten() {
                content = LogContent::AccessRest(Box::new(rest));
                self.wrapped = false;
            } else if continues(unwrapped.text, self.open) {
                content = LogContent::Continuation;
                self.open = self.open && text::thread_behind(unwrapped.text).is_none();
            } else if !unwrapped.text.trim().is_empty() {
                self.counts.unrecognized += 1;
            }
        } else {
            self.counts.records += 1;
            // From 1.17 on a record ends with its thread: without one, it goes on.
            self.open = match &content {
                LogContent::Proxy(line) => line.thread == 0 || line.message.ends_with(':'),
                _ => false,
            };
            self.wrapped = matches!(&content, LogContent::Access(line) if line.cluster.is_none());
        }
        Some(LogRecord {
            line: self.line,
            source: unwrapped.source,
            time: unwrapped.time,
            text: unwrapped.text,
            content,
        })
    }
}

/// Whether a line that is no record belongs to the record before it: header dumps (`'name', 'value'`), the end of a
/// record with its thread, and the rest of a wrapped line.
fn continues(text: &str, open: bool) -> bool {
    open || (text.starts_with('\'') && text.contains("', '")) || text.trim_start().starts_with("thread=")
}

struct Unwrapped<'a> {
    text: &'a str,
    source: &'a str,
    time: Option<Timestamp>,
    content: LogContent<'a>,
}

/// Takes wrappers off until a record stands bare.
fn unwrap<'a>(
    text: &'a str,
    outer: Option<Timestamp>,
    source: &'a str,
    formats: &[AccessFormat],
    scratch: &'a mut [String],
    pieces: &'a mut String,
) -> Option<Unwrapped<'a>> {
    let unrecognized = Unwrapped { text, source, time: outer, content: LogContent::Unrecognized };
    let inner = match recognize(text, formats) {
        Some(Recognized::Record(time, content)) => {
            return Some(Unwrapped { text, source, time: time.or(outer), content });
        }
        Some(Recognized::Envelope(inner, time, partial)) => {
            let piece = if partial { Piece::More } else { Piece::Last };
            wrapper::Peeled { inner, time, source: None, piece }
        }
        None => match wrapper::peel(text) {
            Some(peeled) => peeled,
            None => return Some(unrecognized),
        },
    };
    let Some((first, rest)) = scratch.split_first_mut() else { return Some(unrecognized) };
    let outer = inner.time.or(outer);
    let source = inner.source.filter(|source| !source.is_empty()).unwrap_or(source);
    match inner.piece {
        Piece::More => {
            if pieces.len() < MAX_LINE {
                pieces.push_str(inner.inner.trim_end_matches('\n'));
            }
            return None;
        }
        Piece::Last if !pieces.is_empty() => {
            *first = std::mem::take(pieces);
            first.push_str(&inner.inner);
            return unwrap(first.trim_end_matches(['\n', '\r']), outer, source, formats, rest, pieces);
        }
        Piece::Whole | Piece::Last => {}
    }
    match inner.inner {
        Cow::Borrowed(inner) => unwrap(inner.trim_end_matches(['\n', '\r']), outer, source, formats, rest, pieces),
        Cow::Owned(inner) => {
            *first = inner;
            unwrap(first.trim_end_matches(['\n', '\r']), outer, source, formats, rest, pieces)
        }
    }
}

/// Reads a line that stands bare, without wrapper, as one of an access log in one of the default formats.
#[must_use]
pub fn access_line(text: &str) -> Option<Box<crate::model::AccessLine<'_>>> {
    match recognize(text, &[])? {
        Recognized::Record(_, LogContent::Access(line)) => Some(line),
        _ => None,
    }
}

enum Recognized<'a> {
    Record(Option<Timestamp>, LogContent<'a>),
    Envelope(Cow<'a, str>, Option<Timestamp>, bool),
}

fn recognize<'a>(text: &'a str, formats: &[AccessFormat]) -> Option<Recognized<'a>> {
    let shape = text::shape(text);
    if shape != Some(Shape::Json) {
        // The proxy's own format comes before the defaults: it may look like one of them and mean other columns.
        if !matches!(shape, Some(Shape::Bracketed | Shape::Columns))
            && let Some(access) = formats.iter().find_map(|format| format.read(text))
        {
            return Some(Recognized::Record(ended(&access), LogContent::Access(Box::new(access))));
        }
    }
    match shape? {
        Shape::Bracketed => {
            let (time, line) = text::bracketed(text)?;
            Some(Recognized::Record(time, LogContent::Proxy(line)))
        }
        Shape::Columns => {
            let (time, content) = text::columns(text)?;
            Some(Recognized::Record(time, content))
        }
        Shape::Access => {
            let access = access::text_line(text)?;
            Some(Recognized::Record(ended(&access), LogContent::Access(Box::new(access))))
        }
        Shape::Json => {
            if formats.iter().any(AccessFormat::is_json) {
                let members = json::Members::parse(text)?;
                if let Some(access) = formats.iter().find_map(|format| format.members(&members)) {
                    return Some(Recognized::Record(ended(&access), LogContent::Access(Box::new(access))));
                }
            }
            match json::decode(text)? {
                JsonLine::Record(_, LogContent::Access(access)) => {
                    Some(Recognized::Record(ended(&access), LogContent::Access(access)))
                }
                JsonLine::Record(time, content) => {
                    Some(Recognized::Record(time.as_deref().and_then(text::time), content))
                }
                JsonLine::Envelope { inner, time, partial } => {
                    Some(Recognized::Envelope(inner, time.as_deref().and_then(text::time), partial))
                }
            }
        }
    }
}

/// When the request or connection of an access log line ended.
fn ended(access: &crate::model::AccessLine) -> Option<Timestamp> {
    let duration = jiff::SignedDuration::from_millis(i64::try_from(access.duration.unwrap_or(0)).ok()?);
    access.start?.checked_add(duration).ok()
}
