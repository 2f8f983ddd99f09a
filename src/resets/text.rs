//! Searching texts: patterns that stay fast where letters are not ASCII, and the words before a place.

use regex::{Regex, RegexSet};

/// Word boundaries, words and digits of ASCII: with Unicode's, the fast search gives up at the first letter that is not ASCII,
/// and a pattern takes ten times as long to compile.
fn ascii(pattern: &str) -> String {
    let classes = [(r"\b", r"(?-u:\b)"), (r"\w", "[0-9A-Za-z_]"), (r"\W", "[^0-9A-Za-z_]"), (r"\d", "[0-9]")];
    classes.iter().fold(pattern.to_owned(), |pattern, (unicode, ascii)| pattern.replace(unicode, ascii))
}

/// A pattern of ours, with [`ascii`].
#[expect(clippy::unwrap_used, reason = "constants, compiled by the tests")]
pub(super) fn constant(pattern: &str) -> Regex {
    Regex::new(&ascii(pattern)).unwrap()
}

/// Patterns of ours, of which any may be in a text, with [`ascii`].
#[expect(clippy::unwrap_used, reason = "constants, compiled by the tests")]
pub(super) fn constants(patterns: impl Iterator<Item = String>) -> RegexSet {
    RegexSet::new(patterns.map(|pattern| ascii(&pattern))).unwrap()
}

/// At most so many bytes of the beginning.
pub(super) fn beginning(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// At most so many bytes before a place.
pub(super) fn before(text: &str, at: usize, bytes: usize) -> &str {
    &text[text.ceil_char_boundary(at.saturating_sub(bytes))..at]
}
