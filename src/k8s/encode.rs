//! What comes from a cluster or a command line, as a part of a path.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything but RFC 3986's unreserved characters, so that no value can add a part or a parameter to a path.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A value as a part of a path or a query.
pub(crate) fn encode(text: &str) -> impl std::fmt::Display {
    utf8_percent_encode(text, ESCAPED)
}

/// Whether a text may be the value of a label (`apimachinery/pkg/util/validation`, `IsValidLabelValue`): what of a cluster
/// is to become a part of a name has to be one.
pub(crate) fn is_label(text: &str) -> bool {
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    bytes.len() <= 63
        && bytes.iter().all(inner)
        && ends.into_iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_labels_from_paths() {
        for sound in ["default", "1-29-2", "a.b_c", "A"] {
            assert!(is_label(sound), "{sound}");
        }
        for odd in ["", "..", "x/../../y", "a b", "a?watch=true&", "-a", "a%2f", "é", &"x".repeat(64)] {
            assert!(!is_label(odd), "{odd}");
        }
        assert_eq!(encode("a/../b?c=d&e f%").to_string(), "a%2F..%2Fb%3Fc%3Dd%26e%20f%25");
    }
}
