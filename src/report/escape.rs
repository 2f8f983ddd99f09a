//! Nothing that a proxy or a cluster says reaches a terminal as more than text (CVE-2021-25743).

use std::borrow::Cow;
use std::fmt::Write;

/// Whether a character could do something to a terminal, or to the order in which text is read: C0, DEL, C1,
/// bidirectional controls, and characters that cannot be seen.
#[must_use]
pub fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn writes_hostile_characters_out() {
        assert_eq!(escape("a\x1b[2Jb\r\n"), "a\\x1b[2Jb\\r\\n");
        assert_eq!(escape("\u{9b}31m\u{202e}x"), "\\x9b31m\\u{202e}x");
        assert!(matches!(escape("päyments-✓"), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn lets_nothing_through(text: String) {
            prop_assert!(!escape(&text).chars().any(is_hostile));
        }
    }
}
