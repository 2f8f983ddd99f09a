//! Words for stores that search by tokens: the parts of a text that its tokens must have.

/// A token that must be there, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// Its letters, in lower case.
    pub(super) text: String,
    /// Whether more letters may stand before it.
    pub(super) open_before: bool,
    /// Whether more may follow.
    pub(super) open_after: bool,
}

/// The parts of a text. Where an analyser cuts is not known but for blanks and what is no letter, digit or `_` to any of
/// them; at the text's own ends letters may go on, and `:`, `.`, `'` may join what stands on both sides of them.
#[must_use]
pub(super) fn parts(text: &str) -> Vec<Part> {
    let lower = text.to_lowercase();
    let mut found: Vec<Part> = Vec::new();
    let mut current = String::new();
    let mut open_before = true;
    for letter in lower.chars() {
        if is_single(letter) {
            push(&mut found, &mut current, open_before, true);
            found.push(Part { text: letter.to_string(), open_before: true, open_after: true });
            open_before = true;
        } else if letter.is_alphanumeric() || letter == '_' {
            current.push(letter);
        } else {
            // A blank ends a token for all; what else ends one for some leaves it open.
            push(&mut found, &mut current, open_before, letter != ' ');
            open_before = letter != ' ';
        }
    }
    push(&mut found, &mut current, open_before, true);
    found
}

fn push(found: &mut Vec<Part>, current: &mut String, open_before: bool, open_after: bool) {
    if !current.is_empty() {
        found.push(Part { text: std::mem::take(current), open_before, open_after });
    }
}

/// Letters that some analysers take one by one, and others in words.
fn is_single(letter: char) -> bool {
    matches!(letter, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_any_analyser_keeps() {
        let shown = |text: &str| {
            let parts = parts(text).into_iter().map(|part| {
                format!(
                    "{}{}{}",
                    if part.open_before { "*" } else { "" },
                    part.text,
                    if part.open_after { "*" } else { "" }
                )
            });
            parts.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(shown("connection reset"), "*connection reset*");
        assert_eq!(shown("econnreset"), "*econnreset*");
        assert_eq!(shown("0 bytes from"), "*0 bytes from*");
        assert_eq!(shown(": eof"), "eof*");
        assert_eq!(shown("errno\": -104"), "*errno* *104*");
        assert_eq!(shown(" SH-- "), "sh*");
        assert_eq!(shown("重置"), "*重* *置*");
    }
}
