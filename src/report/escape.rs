//! Nothing that a proxy or a cluster says reaches a terminal as more than text (CVE-2021-25743).

use std::borrow::Cow;
use std::fmt::Write;

pub use crate::model::is_hostile;

/// The text with every hostile character written out, as `\n`, `\x1b` or `\u{202e}`.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hostile) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_hostile(c) && u32::from(c) < 0x100 => {
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c if is_hostile(c) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// A text of several lines that may have tabs and colours, with every other hostile character written out: what passes through
/// here should have been made harmless before, and here it is.
#[must_use]
pub fn harmless(text: &str, coloured: bool) -> Cow<'_, str> {
    let is_suspect = |c: char| is_hostile(c) && !matches!(c, '\n' | '\t');
    if !text.contains(is_suspect) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    let mut rest = text;
    while let Some(at) = rest.find(is_suspect) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let end = match colour(from).filter(|_| coloured) {
            Some(end) => {
                out.push_str(&from[..end]);
                end
            }
            None => {
                let end = from.chars().next().map_or(0, char::len_utf8);
                out.push_str(&escape(&from[..end]));
                end
            }
        };
        rest = &from[end..];
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The length of the colour (`ESC [ 1;31 m`) that a text begins with.
fn colour(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\x1b[")?;
    let end = parameters.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    parameters[end..].starts_with('m').then_some(end + 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn writes_hostile_characters_out() {
        assert_eq!(escape("a\x1b[2Jb\r\n"), "a\\x1b[2Jb\\r\\n");
        assert_eq!(escape("\u{9b}31m\u{202e}x"), "\\x9b31m\\u{202e}x");
        assert!(matches!(escape("päyments-✓ ⚠\u{fe0f}"), Cow::Borrowed(_)));
        // Names that look alike, and are not.
        assert_eq!(escape("a\u{34f}\u{3164}\u{e0101}"), "a\\u{34f}\\u{3164}\\u{e0101}");
    }

    #[test]
    fn leaves_colours_and_lines() {
        let text = "a\x1b[1;31mb\x1b[0m\nc\x1b[2Jd\x1b]0;x\x07\x1b[31";
        let said = "\nc\\x1b[2Jd\\x1b]0;x\\x07\\x1b[31";
        assert_eq!(harmless(text, true), format!("a\x1b[1;31mb\x1b[0m{said}"));
        assert_eq!(harmless(text, false), format!("a\\x1b[1;31mb\\x1b[0m{said}"));
        assert!(matches!(harmless("a\tb\n", false), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn lets_nothing_through(text: String) {
            prop_assert!(!escape(&text).chars().any(is_hostile));
            prop_assert!(!harmless(&text, false).chars().any(|c| !matches!(c, '\n' | '\t') && is_hostile(c)));
        }
    }
}
