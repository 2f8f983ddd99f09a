//! Machine output: JSON and YAML of any serialisable value.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::Formatter;

use super::escape::is_hostile;
use crate::cores::in_order;

/// What a level is indented by.
const INDENT: &str = "    ";

/// A value as JSON over several lines, as kubectl writes it.
pub fn json(value: &impl Serialize) -> Result<String, serde_json::Error> {
    Ok(json_at(value, 0)? + "\n")
}

/// The same as a part of a document, so many levels deep in it, without the end of its last line.
pub fn json_at(value: &impl Serialize, depth: usize) -> Result<String, serde_json::Error> {
    let mut out = Vec::new();
    write_json(value, Harmless::lines(depth), &mut out)?;
    Ok(text(out))
}

fn write_json(value: &impl Serialize, formatter: Harmless, out: impl Write) -> Result<(), serde_json::Error> {
    value.serialize(&mut serde_json::Serializer::with_formatter(out, formatter))
}

/// About how many bytes of a list's elements are made at once.
const PIECE: usize = 64 << 10;

/// A document whose long lists are filled in while it is written: they are made piece by piece, on all cores, and never
/// held. A list belongs to the value itself, and is empty there.
pub struct Filled<W> {
    out: W,
    /// What is not written yet of the value without its lists.
    frame: String,
}

impl<W: Write> Filled<W> {
    /// Begins a document.
    pub fn new(frame: &impl Serialize, out: W) -> io::Result<Self> {
        Ok(Self { out, frame: json(frame)? })
    }

    /// Writes all up to a list, and the list: of each value its form, of so many at once. Lists come in the order of the
    /// document.
    pub fn fill<T: Sync, F: Serialize>(
        &mut self,
        name: &str,
        values: &[T],
        at_once: usize,
        form: impl Fn(&T) -> F + Sync,
    ) -> io::Result<()> {
        // No text in the document can have this: its quotes would be escaped.
        let empty = format!("\n{INDENT}\"{name}\": []");
        let Some(at) = self.frame.find(&empty) else {
            return Err(io::Error::other(format!("the document has no empty list {name}")));
        };
        let list = at + empty.len() - 1;
        self.out.write_all(&self.frame.as_bytes()[..list])?;
        self.frame.drain(..list);
        let pieces: Vec<(usize, &[T])> = values.chunks(at_once).enumerate().collect();
        let elements = |&(number, piece): &(usize, &[T])| -> io::Result<Vec<u8>> {
            let inside = Harmless::lines(2);
            let mut text = Vec::with_capacity(PIECE);
            for (at, value) in piece.iter().enumerate() {
                inside.line(&mut text, number == 0 && at == 0)?;
                write_json(&form(value), inside, &mut text)?;
            }
            Ok(text)
        };
        let mut outcome = Ok(());
        in_order(&pieces, elements, |_, text| {
            if outcome.is_ok() {
                outcome = text.and_then(|text| self.out.write_all(&text));
            }
        });
        outcome?;
        if !values.is_empty() {
            write!(self.out, "\n{INDENT}")?;
        }
        Ok(())
    }

    /// Writes the rest.
    pub fn finish(mut self) -> io::Result<()> {
        self.out.write_all(self.frame.as_bytes())?;
        self.out.flush()
    }
}

/// A value as JSON on one line.
pub fn json_line(value: &impl Serialize) -> Result<String, serde_json::Error> {
    let mut out = Vec::new();
    write_json_line(value, &mut out)?;
    Ok(text(out))
}

/// The same, written piece by piece.
pub fn write_json_line(value: &impl Serialize, mut out: impl io::Write) -> Result<(), serde_json::Error> {
    write_json(value, Harmless::compact(), &mut out)?;
    out.write_all(b"\n").map_err(serde_json::Error::io)
}

/// What a serialiser wrote.
fn text(json: Vec<u8>) -> String {
    String::from_utf8(json).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Writes a value as YAML. Where a text has characters that could harm a terminal, it is YAML's JSON form, in which
/// they are escaped.
pub fn yaml(value: &impl Serialize) -> Result<String, DocumentError> {
    let text = serde_saphyr::to_string(value)?;
    if text.chars().any(|c| c != '\n' && is_hostile(c)) {
        return Ok(json(value)?);
    }
    Ok(if text.ends_with('\n') { text } else { text + "\n" })
}

/// Why a value cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Not as JSON.
    #[error("as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Not as YAML.
    #[error("as YAML: {0}")]
    Yaml(#[from] serde_saphyr::ser::Error),
}

/// How JSON is written: on one line, or a value a line, as serde_json's `CompactFormatter` and its `PrettyFormatter` with
/// [`INDENT`] do it. A line's beginning is written in one piece, since a large mesh has a million lines; and characters
/// that JSON lets stand in strings as they are, C1 and bidirectional controls, are escaped: they mean the same and harm
/// no terminal.
#[derive(Clone, Copy)]
struct Harmless {
    /// How deep it is, where each value has a line of its own.
    depth: Option<usize>,
    has_value: bool,
}

impl Harmless {
    fn compact() -> Self {
        Self { depth: None, has_value: false }
    }

    fn lines(depth: usize) -> Self {
        Self { depth: Some(depth), has_value: false }
    }

    fn begin<W: ?Sized + io::Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth = self.depth.map(|depth| depth + 1);
        self.has_value = false;
        writer.write_all(bracket)
    }

    fn end<W: ?Sized + io::Write>(&mut self, writer: &mut W, bracket: &[u8]) -> io::Result<()> {
        self.depth = self.depth.map(|depth| depth - 1);
        if self.has_value {
            self.line(writer, true)?;
        }
        writer.write_all(bracket)
    }

    /// Parts a value from the one before it, and begins its line.
    fn line<W: ?Sized + io::Write>(self, writer: &mut W, first: bool) -> io::Result<()> {
        const COMMA: &[u8; 66] = b",\n                                                                ";
        let Some(depth) = self.depth else {
            return writer.write_all(if first { b"" } else { b"," });
        };
        let indent = depth * INDENT.len();
        let now = indent.min(COMMA.len() - 2);
        writer.write_all(&COMMA[usize::from(first)..2 + now])?;
        (now..indent).try_for_each(|_| writer.write_all(b" "))
    }
}

impl Formatter for Harmless {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        // Most are plain, and looking for more is what takes the time; many bytes at once where none ends it early.
        if fragment.bytes().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~')) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| is_hostile(*c)) {
            writer.write_all(&rest.as_bytes()[..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = &rest[at + c.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }

    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.begin(writer, b"[")
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end(writer, b"]")
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.line(writer, first)
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.has_value = true;
        Ok(())
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.begin(writer, b"{")
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.end(writer, b"}")
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.line(writer, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(if self.depth.is_some() { b": " } else { b":" })
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.has_value = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_what_json_would_let_stand() {
        let value = "a\u{9b}b\u{202e}c\u{1b}\"é\u{e0041}";
        let text = json_line(&value).expect("a string");
        assert_eq!(text, "\"a\\u009bb\\u202ec\\u001b\\\"é\\udb40\\udc41\"\n");
        assert_eq!(serde_json::from_str::<String>(&text).expect("the same"), value);
    }

    #[test]
    fn lines_are_indented_as_serde_json_does_it() {
        let mut deep = serde_json::json!([{}, [], [[]], {"a": {"b": [1, {"c": null}]}, "d": "e"}]);
        for _ in 0..20 {
            let pretty = serde_json::ser::PrettyFormatter::with_indent(INDENT.as_bytes());
            let mut expected = Vec::new();
            deep.serialize(&mut serde_json::Serializer::with_formatter(&mut expected, pretty)).expect("JSON");
            assert_eq!(json(&deep).expect("JSON"), text(expected) + "\n");
            assert_eq!(json_line(&deep).expect("JSON"), deep.to_string() + "\n");
            let by = format!("\n{}", INDENT.repeat(2));
            assert_eq!(json_at(&deep, 2).expect("JSON"), json(&deep).expect("JSON").trim_end().replace('\n', &by));
            deep = serde_json::json!({"x": [deep]});
        }
    }

    #[test]
    fn lists_that_are_filled_in_stand_as_if_they_had_been_there() {
        #[derive(Serialize)]
        struct Document {
            before: &'static str,
            first: Vec<Element>,
            between: Vec<u8>,
            second: Vec<Element>,
        }
        #[derive(Clone, Serialize)]
        struct Element {
            number: usize,
            texts: Vec<String>,
        }
        for lengths in [(0, 0), (1, 0), (0, 2), (10, 31)] {
            let list = |length: usize| -> Vec<Element> {
                (0..length).map(|number| Element { number, texts: vec!["\u{202e}".to_owned(); number % 3] }).collect()
            };
            let document = |first, second| Document { before: "\n    \"first\": []", first, between: vec![1], second };
            let (first, second) = (list(lengths.0), list(lengths.1));
            let mut written = Vec::new();
            let mut filled = Filled::new(&document(Vec::new(), Vec::new()), &mut written).expect("a frame");
            filled.fill("first", &first, 10, Element::clone).expect("in memory");
            filled.fill("second", &second, 10, Element::clone).expect("in memory");
            filled.finish().expect("in memory");
            assert!(written == json(&document(first, second)).expect("JSON").into_bytes(), "{lengths:?}");
        }
    }
}
