//! Lines around which there is no wrapper: what a quick look tells.

use std::sync::LazyLock;

use super::many;
use super::text::{Shape, is_date};
use super::wrapper::{self, Known};

/// Whether a line begins with a logger's time, and has nothing in it by which any wrapper could be known: what all of them
/// would say after a longer look.
pub(super) fn is_ordinary(text: &str, shape: Option<Shape>, known: &Known) -> bool {
    let bytes = text.as_bytes();
    if shape.is_some() || !is_date(bytes) || !bytes[0].is_ascii_digit() {
        return false;
    }
    let open = matches!(bytes.last(), Some(b'}' | b']' | b')' | b',' | b'$' | b' ' | b';' | b'"' | b'\r'));
    // Without a branch, so that the compiler looks at many bytes at once.
    let is = |byte: u8, odd: u8| u8::from(byte == odd);
    let odd = bytes.iter().fold(0, |odd, byte| {
        odd | is(*byte, b'*') | is(*byte, b'&') | is(*byte, b'\\') | is(*byte, b'\t') | is(*byte, 0x1b)
    });
    if open || odd != 0 || many::holds_more(text) || wrapper::is_framed(text) {
        return false;
    }
    let quoted = memchr::memchr(b'"', bytes).is_some_and(|at| {
        ["\"\"", "=\"["].iter().any(|sign| memchr::memmem::find(&bytes[at - 1..], sign.as_bytes()).is_some())
    });
    !quoted && wrapper::is_plainly_dated(text, known)
}

/// Whether a line shows by its first bytes that no wrapper is around it.
pub(super) fn is_bare(text: &str, shape: Option<Shape>) -> bool {
    match text.as_bytes().first() {
        None => true,
        Some(b'\'') => true,
        Some(b'\t') => text.starts_with("\tthread=") || text.starts_with("\tat "),
        Some(b'[' | b'0'..=b'9') => {
            matches!(shape, Some(Shape::Bracketed | Shape::Columns | Shape::Access))
                && !wrapper::is_framed(text)
                && fluentd(text).is_none()
                && !many::holds_more(text)
        }
        _ => false,
    }
}

/// Whether there are blanks in it that web pages keep from being broken at.
pub(super) fn has_hard_blanks(text: &str) -> bool {
    // Letters of other scripts end in the same byte as this blank.
    static BLANK: LazyLock<memchr::memmem::Finder<'_>> = LazyLock::new(|| memchr::memmem::Finder::new("\u{a0}"));
    !text.is_ascii() && BLANK.find(text.as_bytes()).is_some()
}

/// Fluentd's file output: `TIME TAB TAG TAB JSON`. Its time, and its JSON.
pub(super) fn fluentd(text: &str) -> Option<(&str, &str)> {
    let tab = memchr::memchr(b'\t', text.as_bytes())?;
    let (time, rest) = (&text[..tab], &text[tab + 1..]);
    let (tag, record) = rest.split_once('\t')?;
    let is_tag = tag.contains('.') && !tag.contains(' ');
    (is_tag && record.starts_with('{') && record.trim_end().ends_with('}')).then_some((time, record))
}
