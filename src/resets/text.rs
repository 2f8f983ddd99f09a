//! Searching texts: patterns that stay fast where letters are not ASCII, and the words before a place.

use regex::Regex;

/// Word boundaries of ASCII: with Unicode's, the fast search gives up at the first letter that is not ASCII.
pub(super) fn ascii_boundaries(pattern: &str) -> String {
    pattern.replace(r"\b", r"(?-u:\b)")
}

/// A pattern of ours, with [`ascii_boundaries`].
#[expect(clippy::unwrap_used, reason = "constants, compiled by the tests")]
pub(super) fn constant(pattern: &str) -> Regex {
    Regex::new(&ascii_boundaries(pattern)).unwrap()
}

/// At most so many bytes of the beginning.
pub(super) fn beginning(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// At most so many bytes before a place.
pub(super) fn before(text: &str, at: usize, bytes: usize) -> &str {
    &text[text.ceil_char_boundary(at.saturating_sub(bytes))..at]
}
