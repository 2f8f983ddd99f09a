//! Machine output: JSON and YAML of any serialisable value.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};

use super::escape::is_hostile;

/// A value as JSON over several lines, as kubectl writes it.
pub fn json(value: &impl Serialize) -> Result<String, serde_json::Error> {
    let mut out = Vec::new();
    write_json(value, &mut out)?;
    Ok(text(out))
}

/// So much is written at once, in bytes.
const PIECE: usize = 64 << 10;

/// The same, written piece by piece: the audit of a large mesh is hundreds of megabytes.
pub fn write_json(value: &impl Serialize, out: impl io::Write) -> Result<(), serde_json::Error> {
    let mut out = io::BufWriter::with_capacity(PIECE, out);
    let formatter = Harmless(PrettyFormatter::with_indent(b"    "));
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, formatter))?;
    out.write_all(b"\n").and_then(|()| out.flush()).map_err(serde_json::Error::io)
}

/// A value as JSON on one line.
pub fn json_line(value: &impl Serialize) -> Result<String, serde_json::Error> {
    let mut out = Vec::new();
    write_json_line(value, &mut out)?;
    Ok(text(out))
}

/// The same, written piece by piece.
pub fn write_json_line(value: &impl Serialize, mut out: impl io::Write) -> Result<(), serde_json::Error> {
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut out, Harmless(CompactFormatter)))?;
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

/// JSON lets C1 and bidirectional controls stand in strings as they are; escaped, they mean the same and harm no
/// terminal.
struct Harmless<F>(F);

impl<F: Formatter> Formatter for Harmless<F> {
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
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
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
}
