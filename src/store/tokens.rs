//! Words for stores that search by tokens: the parts of a text that its tokens must have.

/// A token that must be there, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// Its letters, in lower case.
    pub(super) text: String,
    /// What may stand before it.
    pub(super) before: Edge,
    /// What may follow.
    pub(super) after: Edge,
}

/// How a token may go on beyond the letters that are known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edge {
    /// Not at all.
    End,
    /// By a sign, at which some analysers cut and others do not.
    Sign,
    /// By anything.
    Open,
}

impl Part {
    /// With `*` where letters may go on: for languages that know no other wildcard, in stores that cut at signs.
    pub(super) fn starred(&self) -> String {
        let star = |edge| if edge == Edge::Open { "*" } else { "" };
        format!("{}{}{}", star(self.before), self.text, star(self.after))
    }
}

/// The parts of a text. Where an analyser cuts is not known but for blanks and what is no letter, digit or `_` to any of
/// them; at the text's own ends letters may go on, and `:`, `.`, `'` may join what stands on both sides of them.
#[must_use]
pub(super) fn parts(text: &str) -> Vec<Part> {
    parts_by(text, &|letter| letter == ' ')
}

/// The parts for the standard analyser (Unicode's annex 29), which is known to cut at most signs, between two letters of
/// Chinese and Hiragana, and not within Katakana.
#[must_use]
pub(super) fn standard_parts(text: &str) -> Vec<Part> {
    let joins = |letter: char| matches!(letter, '.' | ':' | '\'' | ',' | ';' | '·' | '’' | '․' | '‧');
    let found = parts_by(text, &|letter| !joins(letter));
    let mut standard: Vec<Part> = Vec::new();
    for mut part in found {
        let is_one = part.text.chars().all(is_single);
        let is_katakana = |part: &Part| part.text.chars().all(|letter| matches!(letter, '\u{30a0}'..='\u{30ff}'));
        if is_one && !is_katakana(&part) {
            (part.before, part.after) = (Edge::End, Edge::End);
        } else if is_one && let Some(last) = standard.last_mut().filter(|last| is_katakana(last)) {
            last.text.push_str(&part.text);
            continue;
        }
        standard.push(part);
    }
    standard
}

fn parts_by(text: &str, cuts: &dyn Fn(char) -> bool) -> Vec<Part> {
    let lower = text.to_lowercase();
    let mut found: Vec<Part> = Vec::new();
    let mut current = String::new();
    let mut before = Edge::Open;
    for letter in lower.chars() {
        if is_single(letter) {
            push(&mut found, &mut current, before, Edge::Open);
            found.push(Part { text: letter.to_string(), before: Edge::Open, after: Edge::Open });
            before = Edge::Open;
        } else if letter.is_alphanumeric() || letter == '_' {
            current.push(letter);
        } else {
            // A blank ends a token for all.
            let edge = if cuts(letter) { Edge::End } else { Edge::Sign };
            push(&mut found, &mut current, before, edge);
            before = edge;
        }
    }
    push(&mut found, &mut current, before, Edge::Open);
    found
}

fn push(found: &mut Vec<Part>, current: &mut String, before: Edge, after: Edge) {
    if !current.is_empty() {
        found.push(Part { text: std::mem::take(current), before, after });
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
            let sign = |edge| if edge == Edge::Sign { "-" } else { "" };
            let parts = parts(text)
                .into_iter()
                .map(|part| format!("{}{}{}", sign(part.before), part.starred(), sign(part.after)));
            parts.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(shown("connection reset"), "*connection reset*");
        assert_eq!(shown("econnreset"), "*econnreset*");
        assert_eq!(shown("0 bytes from"), "*0 bytes from*");
        assert_eq!(shown(": eof"), "eof*");
        assert_eq!(shown("errno\": -104"), "*errno- -104*");
        assert_eq!(shown("(104)"), "-104-");
        assert_eq!(shown(" SH-- "), "sh-");
        assert_eq!(shown("重置"), "*重* *置*");
    }

    #[test]
    fn what_the_standard_analyser_keeps() {
        let shown = |text: &str| standard_parts(text).iter().map(Part::starred).collect::<Vec<_>>().join(" ");
        assert_eq!(shown("errno=104"), "*errno 104*");
        assert_eq!(shown("(104)"), "104");
        assert_eq!(shown("対端がリセット"), "対 端 が *リセット*");
    }
}
