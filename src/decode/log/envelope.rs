//! What log lines come wrapped in, taken off in one place for everything that reads logs.
//!
//! [`Unwrapper`] takes the lines of one input and gives [`Envelope`]s: each line as its program wrote it, with what its
//! wrappers tell of when, by whom and to which stream it was written. Lines that a runtime cut into pieces are put
//! together for each source and stream; an answer of a log store gives as many as it holds.

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::{Arc, LazyLock};

use foldhash::{HashMap, HashMapExt};

use crate::decode::bounded::weigh;
use crate::decode::timestamp::{self, TimeContext};
use crate::model::LoggedAt;

use super::bare::{fluentd, has_hard_blanks, is_bare, is_ordinary};
use super::cilium::{self, Printed};
use super::csv::Table;
use super::document::{Document, Taken};
use super::envelope_json::{Kind, Labels, Names, buried, is_all, is_line, kind, of_bytes, time};
use super::grid;
use super::json::{Json, without_trailing_commas};
use super::many;
use super::missing::stands_for_log;
use super::stream::{Piece, Stream};
use super::text::{Shape, shape};
use super::wrapper::{self, Known, Peeled};

/// Wrappers within wrappers are taken off this often.
const MAX_LAYERS: usize = 8;
/// Sets of members that are remembered.
const MAX_SHAPES: usize = 1024;
/// Streams whose pieces are put together at once.
const MAX_PIECES: usize = 1024;
/// A text that came in pieces is kept up to this length.
const MAX_TEXT: usize = 1 << 20;
/// Of what stands in the place of a log, so much is kept.
const MAX_MISSING: usize = 300;
/// A document on one line that is longer is read record by record.
const LONG: usize = 1 << 20;
/// The most that one record may be once it is decoded, in bytes.
const MAX_WEIGHT: usize = 32 << 20;

/// One line, out of its wrappers.
#[derive(Debug)]
pub struct Envelope<'a> {
    /// Number of the line in its input, from 1; of a document of several lines, where its record ends.
    pub line: u64,
    /// What is inside.
    pub inner: Inner<'a>,
    /// When its wrapper says that it was written.
    pub time: Option<LoggedAt>,
    /// Who wrote it, as its wrapper names it: `pod/NAME/CONTAINER`, `POD CONTAINER`, a compose service. Empty when
    /// no wrapper says.
    pub source: &'a str,
    /// The service that labels of a log store or a shipper name.
    pub service: Option<&'a str>,
    /// Where it was written to.
    pub stream: Stream,
    /// Whether it is a further line of a text that came in one envelope.
    pub rest: bool,
    /// Of a text: its layout, where it was looked at already.
    pub(in crate::decode) shape: Option<Shape>,
    /// Of an object: whether it is a line of the input by itself, and is a record by the names of its members and by its
    /// message being no line.
    pub bare: bool,
}

/// What stood inside all wrappers.
#[derive(Debug, Clone, Copy)]
pub enum Inner<'a> {
    /// A line of text.
    Text(&'a str),
    /// A JSON object that is a record itself, and its text.
    Json(&'a Json<'a>, &'a str),
}

/// Counts of an input's lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LineCounts {
    /// Lines read.
    pub lines: u64,
    /// JSON documents that were too large, or had no end.
    pub cut: u64,
    /// Lines with invalid UTF-8, read with replacement characters.
    pub invalid_utf8: u64,
}

type Sink<'s> = dyn FnMut(&Envelope<'_>) + 's;

/// What the wrappers taken off so far tell.
#[derive(Debug, Clone, Copy, Default)]
struct Outer<'a> {
    time: Option<LoggedAt>,
    source: &'a str,
    service: Option<&'a str>,
    stream: Stream,
    rest: bool,
    bare: bool,
    shape: Option<Shape>,
}

/// What is known of objects with the same names of members.
#[derive(Debug, Clone)]
struct Members {
    names: Arc<Names>,
    /// One of them had a line in it: the next one is an envelope, too, whatever its text looks like.
    enveloped: bool,
}

/// Takes the wrappers off the lines of one input, in order.
#[derive(Debug)]
pub struct Unwrapper {
    context: TimeContext,
    /// The member that names the service, as a path with points; before the labels that are known.
    service_field: Option<Box<str>>,
    /// What was so far, and is.
    pub counts: LineCounts,
    known: Known,
    pieces: HashMap<(Box<str>, Stream), String>,
    /// What objects with the same names of members have shown, by a hash of the names.
    shapes: HashMap<u64, Members>,
    hasher: foldhash::fast::RandomState,
    document: Option<Document>,
    table: Option<Table>,
    /// The first line that says that the log could not be read.
    missing: Option<Box<str>>,
    /// Whether the first line has been read.
    begun: bool,
}

impl Unwrapper {
    /// An unwrapper for one input. The context fills in what times of wrappers leave open.
    #[must_use]
    pub fn new(context: TimeContext) -> Self {
        Self {
            context,
            service_field: None,
            counts: LineCounts::default(),
            known: Known::default(),
            pieces: HashMap::new(),
            shapes: HashMap::new(),
            hasher: foldhash::fast::RandomState::default(),
            document: None,
            table: None,
            missing: None,
            begun: false,
        }
    }

    /// One that takes the service from this member of JSON envelopes, a path with points, where they have it.
    #[must_use]
    pub fn with_service_field(self, path: Option<&str>) -> Self {
        Self { service_field: path.map(Into::into), ..self }
    }

    /// What stands in the place of the log or of its rest, where it could not be read.
    #[must_use]
    pub fn missing(&self) -> Option<&str> {
        self.missing.as_deref()
    }

    /// Takes the next line, without its end, and gives what is in it to `sink`. Total on any bytes.
    pub fn push(&mut self, line: &[u8], sink: &mut Sink<'_>) {
        self.counts.lines += 1;
        match simdutf8::basic::from_utf8(line) {
            Ok(text) => self.take(text, sink),
            Err(_) => {
                self.counts.invalid_utf8 += 1;
                let text = String::from_utf8_lossy(line);
                self.take(&text, sink);
            }
        }
    }

    /// Counts a line that is known to stand by itself, in no wrapper; false, and uncounted, where the lines before it leave
    /// that open.
    pub fn passes(&mut self) -> bool {
        let alone = self.document.is_none() && self.table.is_none();
        self.counts.lines += u64::from(alone);
        alone
    }

    /// Ends the input: gives what is still held.
    pub fn finish(&mut self, sink: &mut Sink<'_>) {
        if let Some(mut document) = self.document.take() {
            self.counts.cut += 1;
            self.replay(document.abandon(), sink);
        }
        if let Some(table) = self.table.as_mut()
            && let Some(row) = table.finish()
        {
            self.row(&row, sink);
        }
        let mut pieces: Vec<_> = self.pieces.drain().collect();
        pieces.sort_by(|one, other| (&one.0.0, one.1.len()).cmp(&(&other.0.0, other.1.len())));
        for ((source, stream), text) in pieces {
            self.lines(&text, Outer { source: &source, stream, ..Outer::default() }, 1, sink);
        }
    }

    fn take(&mut self, text: &str, sink: &mut Sink<'_>) {
        let text = text.strip_suffix('\r').unwrap_or(text);
        let hard_blanks = has_hard_blanks(text);
        // Most lines stand bare, and half of a debug log are header dumps.
        if self.document.is_none() && self.table.is_none() && !hard_blanks {
            let shape = shape(text);
            if is_bare(text, shape) || is_ordinary(text, shape, &self.known) {
                self.begun = true;
                return self.emit(text, Outer { shape, ..Outer::default() }, sink);
            }
        }
        if memchr::memchr(0x1b, text.as_bytes()).is_some() {
            let plain = anstream::adapter::strip_str(text).to_string();
            return self.plain(&plain, sink);
        }
        if hard_blanks {
            return self.plain(&text.replace('\u{a0}', " "), sink);
        }
        self.plain(text, sink);
    }

    /// A line without colours.
    fn plain(&mut self, text: &str, sink: &mut Sink<'_>) {
        if let Some(mut document) = self.document.take() {
            match document.line(text, &mut |item| self.item(item, sink)) {
                Taken::Inside => self.document = Some(document),
                Taken::Ended => {}
                Taken::No(lines) => {
                    self.replay(lines, sink);
                    self.plain(text, sink);
                }
            }
            return;
        }
        if !self.begun && !text.trim().is_empty() {
            self.begun = true;
            self.table = Table::from_header(text);
            if self.table.is_some() {
                return;
            }
        }
        if let Some(table) = &mut self.table {
            if let Some(row) = table.line(text) {
                self.row(&row, sink);
            }
            return;
        }
        self.line(text, Outer::default(), 0, sink);
    }

    fn row(&mut self, row: &super::csv::Row, sink: &mut Sink<'_>) {
        let time = row.time.as_deref().and_then(|time| wrapper::moment(time, &self.context));
        let outer = Outer { time, source: &row.source, service: row.service.as_deref(), ..Outer::default() };
        self.lines(&row.text, outer, 1, sink);
    }

    /// Lines that turned out to be no JSON document after all.
    fn replay(&mut self, lines: Vec<String>, sink: &mut Sink<'_>) {
        for line in lines {
            self.line(&line, Outer::default(), 1, sink);
        }
    }

    /// One object of a document of several lines.
    fn item(&mut self, text: &str, sink: &mut Sink<'_>) {
        if is_heavy(text) {
            self.counts.cut += 1;
            return;
        }
        let mended;
        let json = match Json::parse(text) {
            Ok(json) => Some(json),
            Err(_) => {
                mended = without_trailing_commas(text);
                mended.as_deref().and_then(|text| Json::parse(text).ok())
            }
        };
        match json {
            Some(json) => self.json(&json, None, Outer::default(), 0, sink),
            None => self.counts.cut += 1,
        }
    }

    fn emit(&self, text: &str, outer: Outer<'_>, sink: &mut Sink<'_>) {
        self.give(Inner::Text(text), outer, sink);
    }

    fn give(&self, inner: Inner<'_>, outer: Outer<'_>, sink: &mut Sink<'_>) {
        let Outer { time, source, service, stream, rest, bare, shape } = outer;
        sink(&Envelope { line: self.counts.lines, inner, time, source, service, stream, rest, shape, bare });
    }

    /// One line, with whatever wrappers it still has.
    fn line(&mut self, text: &str, outer: Outer<'_>, layer: usize, sink: &mut Sink<'_>) {
        let text = wrapper::unframed(text);
        let shape = shape(text);
        if layer >= MAX_LAYERS || is_bare(text, shape) {
            return self.emit(text, Outer { shape, ..outer }, sink);
        }
        if let Some(several) = many::lines(text) {
            return self.lines(&several, outer, layer + 1, sink);
        }
        if let Some((time, record)) = fluentd(text) {
            let time = wrapper::moment(time, &self.context).or(outer.time);
            if self.json_line(record, Outer { time, ..outer }, layer + 1, sink) {
                return;
            }
        }
        if stands_for_log(text) {
            self.missing.get_or_insert_with(|| text[..text.floor_char_boundary(MAX_MISSING)].into());
            return;
        }
        let trimmed = text.trim_start_matches([' ', '\t']);
        // Events of a server that sends them.
        let trimmed = trimmed.strip_prefix("data: {").map_or(trimmed, |_| &trimmed[6..]);
        if trimmed.starts_with(['{', '[', '"']) && self.json_line(trimmed, outer, layer, sink) {
            return;
        }
        match cilium::printed(text) {
            Some(Printed::Record { source, line }) => {
                let source = if source.is_empty() { outer.source } else { source };
                return self.emit(&line, Outer { source, shape: Some(Shape::Columns), ..outer }, sink);
            }
            Some(Printed::Line(inner)) => return self.lines(&inner, outer, layer + 1, sink),
            None => {}
        }
        let Some(peeled) = wrapper::peel(text, &mut self.known, &self.context) else {
            if self.object_behind(text, outer, layer, sink) {
                return;
            }
            return match quoted_behind(text) {
                Some(inner) => {
                    let time = super::text::time_within(text).map(|at| LoggedAt::exact(at, true));
                    self.lines(&inner, Outer { time: outer.time.or(time), ..outer }, layer + 1, sink)
                }
                None => self.emit(text, outer, sink),
            };
        };
        let Peeled { inner, time, source, service, stream, piece } = peeled;
        let outer = Outer {
            time: time.or(outer.time),
            source: source.filter(|source| !source.is_empty()).unwrap_or(outer.source),
            service: service.or(outer.service),
            stream: if stream == Stream::Unknown { outer.stream } else { stream },
            ..outer
        };
        self.piece(&inner, piece, outer, layer + 1, sink);
    }

    /// A piece of a line, or a whole one.
    fn piece(&mut self, inner: &str, piece: Piece, outer: Outer<'_>, layer: usize, sink: &mut Sink<'_>) {
        if piece == Piece::Whole {
            return self.line(inner, outer, layer, sink);
        }
        let key = (outer.source, outer.stream);
        let held = self.pieces.keys().find(|(source, stream)| (&**source, *stream) == key).cloned();
        match (piece, held) {
            (Piece::More, held) => {
                if held.is_none() && self.pieces.len() >= MAX_PIECES {
                    return;
                }
                let key = held.unwrap_or_else(|| (outer.source.into(), outer.stream));
                let text = self.pieces.entry(key).or_default();
                if text.len() < MAX_TEXT {
                    text.push_str(inner.trim_end_matches('\n'));
                }
            }
            (_, Some(key)) => {
                let mut text = self.pieces.remove(&key).unwrap_or_default();
                text.push_str(inner);
                self.lines(&text, outer, layer, sink);
            }
            (_, None) => self.lines(inner, outer, layer, sink),
        }
    }

    /// The lines of a text that came in one envelope.
    fn lines(&mut self, text: &str, outer: Outer<'_>, layer: usize, sink: &mut Sink<'_>) {
        let text = text.trim_end_matches(['\n', '\r']);
        if memchr::memchr2(b'\n', 0x1b, text.as_bytes()).is_none() {
            return self.line(text, outer, layer, sink);
        }
        for (index, line) in text.split('\n').enumerate() {
            let line = line.strip_suffix('\r').unwrap_or(line);
            let outer = Outer { rest: outer.rest || index > 0, ..outer };
            if memchr::memchr(0x1b, line.as_bytes()).is_some() {
                let plain = anstream::adapter::strip_str(line).to_string();
                self.line(&plain, outer, layer, sink);
            } else {
                self.line(line, outer, layer, sink);
            }
        }
    }

    /// A line that may be JSON; false when it is none.
    fn json_line(&mut self, text: &str, outer: Outer<'_>, layer: usize, sink: &mut Sink<'_>) -> bool {
        let text = text.trim_end().trim_end_matches(',');
        // `[2026-…` and the like are no lists.
        let may = match text.as_bytes() {
            [b'{', ..] => true,
            [b'[', rest @ ..] => matches!(rest.trim_ascii_start(), [] | [b'{' | b'[' | b'"', ..]),
            [b'"', .., b'"'] => text.len() > 2,
            _ => false,
        };
        if !may {
            return false;
        }
        // As one value, a list of records would cost a hundred times its size; a table's rows have no names of their own.
        if layer == 0 && !text.starts_with('"') && (text.len() > LONG || (self.counts.lines == 1 && is_table(text))) {
            return self.begin_document(text, sink);
        }
        if is_heavy(text) {
            return false;
        }
        match Json::parse(text) {
            Ok(Json::Text(inner)) => {
                if inner.len() + 2 == text.len() && super::text::shape(&inner).is_none() {
                    return false;
                }
                self.lines(&inner, outer, layer + 1, sink);
                true
            }
            Ok(json @ (Json::Object(_) | Json::List(_))) => {
                self.json(&json, Some(text), outer, layer, sink);
                true
            }
            Ok(_) => false,
            Err(_) if text.starts_with('"') => false,
            Err(error) if error.is_eof() && layer == 0 => self.begin_document(text, sink),
            Err(_) => {
                let behind_each_other = serde_json::Deserializer::from_str(text).into_iter::<Json<'_>>();
                if let Ok(several) = behind_each_other.collect::<Result<Vec<_>, _>>() {
                    several.iter().for_each(|json| self.json(json, None, outer, layer, sink));
                    return true;
                }
                let Some(mended) = without_trailing_commas(text) else { return false };
                let Ok(json) = Json::parse(&mended) else { return false };
                self.json(&json, Some(text), outer, layer, sink);
                true
            }
        }
    }

    /// An object at the end of a line whose head is of no kind that is known; false where there is none, or the line is
    /// more than it.
    fn object_behind(&mut self, text: &str, outer: Outer<'_>, layer: usize, sink: &mut Sink<'_>) -> bool {
        let text = text.trim_end_matches([' ', ',', '$', ']']);
        let Some(at) = text.ends_with('}').then(|| memchr::memmem::find(text.as_bytes(), b"{\"")).flatten() else {
            return false;
        };
        let object = &text[at..];
        if at == 0 || is_heavy(object) {
            return false;
        }
        let Ok(json) = Json::parse(object) else { return false };
        let (_, Members { names, .. }) = self.shape(&json);
        if !is_all(&json, &names) {
            return false;
        }
        let time = timestamp::leading(text.as_bytes(), &self.context).map(|(time, _)| time);
        self.json(&json, Some(object), Outer { time: time.or(outer.time), ..outer }, layer + 1, sink);
        true
    }

    /// Begins a document that is read record by record; false where this is none.
    fn begin_document(&mut self, text: &str, sink: &mut Sink<'_>) -> bool {
        let mut document = Document::new();
        match document.line(text, &mut |item| self.item(item, sink)) {
            Taken::Inside => self.document = Some(document),
            Taken::Ended => {}
            Taken::No(_) => return false,
        }
        true
    }

    /// The service of an object. The member that the user names is before all labels, also those further inside.
    fn service<'j>(&self, json: &'j Json<'_>, labels: &Labels<'j>, outer: Outer<'j>) -> Option<&'j str> {
        match &self.service_field {
            Some(path) => json.text_of(&[path]).or(outer.service).or(labels.service),
            None => labels.service.or(outer.service),
        }
    }

    /// What is known of objects with these members, and the hash of their names.
    fn shape(&mut self, json: &Json<'_>) -> (u64, Members) {
        let mut hasher = self.hasher.build_hasher();
        json.members().iter().for_each(|(name, _)| name.hash(&mut hasher));
        let hash = hasher.finish();
        if let Some(shape) = self.shapes.get(&hash) {
            return (hash, shape.clone());
        }
        let shape = Members { names: Arc::new(Names::of(json)), enveloped: false };
        if self.shapes.len() < MAX_SHAPES {
            self.shapes.insert(hash, shape.clone());
        }
        (hash, shape)
    }

    /// Puts records in order of time where the first is younger than the last: stores give the latest first.
    fn put_in_order(&mut self, items: &mut [&Json<'_>]) {
        let mut at = |item: &Json<'_>| {
            let (_, Members { names, .. }) = self.shape(item);
            time(item, &names, &self.context).map(|time| time.at)
        };
        if let [first, .., last] = items
            && let (Some(first), Some(last)) = (at(first), at(last))
            && first > last
        {
            items.reverse();
        }
    }

    /// A JSON value: an envelope of whatever tool, or a record.
    fn json(&mut self, json: &Json<'_>, text: Option<&str>, outer: Outer<'_>, layer: usize, sink: &mut Sink<'_>) {
        if let Json::List(items) = json {
            if let Some((time, text)) = insights_row(items) {
                let time = time.and_then(|time| wrapper::moment_of(time, &self.context)).or(outer.time);
                return self.lines(text, Outer { time, ..outer }, layer + 1, sink);
            }
            if layer < MAX_LAYERS {
                let mut items: Vec<&Json<'_>> = items.iter().collect();
                self.put_in_order(&mut items);
                for item in items {
                    match item {
                        Json::Object(_) | Json::List(_) => self.json(item, None, outer, layer + 1, sink),
                        Json::Text(text) => self.lines(text, outer, layer + 1, sink),
                        _ => {}
                    }
                }
            }
            return;
        }
        let (hash, Members { names, enveloped }) = self.shape(json);
        if let Some(text) = of_bytes(json) {
            let outer = Outer { time: time(json, &names, &self.context).or(outer.time), ..outer };
            return self.lines(&text, outer, layer + 1, sink);
        }
        if names.grid
            && layer < MAX_LAYERS
            && let Some(rows) = grid::rows(json)
        {
            let mut rows: Vec<&Json<'_>> = rows.iter().collect();
            self.put_in_order(&mut rows);
            return rows.iter().for_each(|row| self.json(row, None, outer, layer + 1, sink));
        }
        let kind = if layer >= MAX_LAYERS { Kind::Record } else { kind(json, &names, enveloped) };
        if let Kind::Text { text, .. } = &kind
            && !enveloped
            && is_line(text)
            && let Some(shape) = self.shapes.get_mut(&hash)
        {
            shape.enveloped = true;
        }
        if let Kind::Record = kind {
            let lines = if layer >= MAX_LAYERS { Vec::new() } else { buried(json, &names) };
            if !lines.is_empty() {
                return lines.iter().for_each(|line| self.lines(line, outer, layer + 1, sink));
            }
            let bare = layer == 0 && text.is_some() && !enveloped && names.tell_by_message();
            let owned;
            let text = match text {
                Some(text) => text,
                None => {
                    owned = serde_json::to_string(json).unwrap_or_default();
                    &owned
                }
            };
            let labels = Labels::of(json, &names);
            let name = labels.source();
            let outer = Outer {
                source: name.as_deref().unwrap_or(outer.source),
                service: self.service(json, &labels, outer),
                bare,
                ..outer
            };
            return self.give(Inner::Json(json, text), outer, sink);
        }
        let labels = Labels::of(json, &names);
        let name = labels.source();
        let outer = Outer {
            time: time(json, &names, &self.context).or(outer.time),
            source: name.as_deref().unwrap_or(outer.source),
            service: self.service(json, &labels, outer),
            stream: if labels.stream == Stream::Unknown { outer.stream } else { labels.stream },
            ..outer
        };
        match kind {
            Kind::Record => {}
            Kind::Text { text, piece: Piece::Whole } => self.lines(text, outer, layer + 1, sink),
            Kind::Text { text, piece } => self.piece(text, piece, outer, layer + 1, sink),
            Kind::Object(inner) => self.json(inner, None, outer, layer + 1, sink),
            Kind::Several(mut items) => {
                self.put_in_order(&mut items);
                for item in items {
                    self.json(item, None, outer, layer + 1, sink);
                }
            }
            Kind::Lines(mut lines) => {
                let at = |time| wrapper::moment_of(time, &self.context).map(|time| time.at);
                // Stores give the latest first.
                if let [(first, _), .., (last, _)] = &lines[..]
                    && at(first) > at(last)
                {
                    lines.reverse();
                }
                for (time, line) in lines {
                    let time = wrapper::moment_of(time, &self.context).or(outer.time);
                    self.lines(line, Outer { time, ..outer }, layer + 1, sink);
                }
            }
        }
    }
}

/// The record in a string that ends its line, as YAML and Ruby write members: `textPayload: "…"`, `"message" => "…",`.
///
/// And Envoy's message in anybody's logfmt: `level=debug msg="[C1] connecting to …" logger=connection`.
fn quoted_behind(text: &str) -> Option<String> {
    static MESSAGE: LazyLock<memchr::memmem::Finder<'_>> = LazyLock::new(|| memchr::memmem::Finder::new("msg=\"["));
    if let Some(at) = MESSAGE.find(text.as_bytes())
        && ["C", "Tags: "].iter().any(|ids| text[at + 6..].starts_with(ids))
    {
        let mut messages = serde_json::Deserializer::from_str(&text[at + 4..]).into_iter::<String>();
        return messages.next()?.ok();
    }
    let text = text.trim_end().trim_end_matches(',');
    if !text.ends_with('"') {
        return None;
    }
    let at = [": \"", "=> \""].iter().find_map(|sign| Some(text.find(sign)? + sign.len() - 1))?;
    let Ok(Json::Text(inner)) = Json::parse(&text[at..]) else { return None };
    shape(inner.trim_start()).is_some().then(|| inner.into_owned())
}

/// Whether a JSON text would take more memory than is given to one.
fn is_heavy(text: &str) -> bool {
    // No byte weighs more than a token and itself.
    text.len() > MAX_WEIGHT / 32 && weigh(text.as_bytes()) > MAX_WEIGHT
}

/// A row of CloudWatch Logs Insights: `[{"field": "@timestamp", "value": "…"}, {"field": "@message", "value": "…"}]`.
fn insights_row<'j>(items: &'j [Json<'_>]) -> Option<(Option<&'j str>, &'j str)> {
    let value = |name: &str| {
        items.iter().find(|item| item.text_of(&["field"]) == Some(name)).and_then(|item| item.get("value")?.text())
    };
    Some((value("@timestamp"), value("@message")?))
}

/// Whether this is the beginning of a table of ES|QL's JSON: `columns`, and `values` behind it.
fn is_table(text: &str) -> bool {
    let Some((before, behind)) = text.split_once("\"columns\"") else { return false };
    before.len() < 1_024 && behind.trim_start().starts_with(':') && behind.contains("\"values\"")
}
