//! Text that was copied from where it was shown: with a terminal's colours, a web page's no-break spaces, what a CI log, a
//! quotation or a pager puts before each line, or as a JSON string.

use std::borrow::Cow;

/// How many lines at the beginning are looked at.
const LINES: usize = 400;

/// Whether JSON begins here: an object with a key, or a list of objects or lists. What ends behind the bracket may be.
#[must_use]
pub fn begins_json(text: &str) -> bool {
    let begins = |bracket: char, next: &[char]| {
        let rest = text.strip_prefix(bracket).map(str::trim_start);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(next))
    };
    begins('{', &['"', '}']) || begins('[', &['{', '[', ']'])
}

/// What the beginning of a dump says, and that of a log does not.
const OF_DUMPS: [&str; 6] =
    ["\"configs", "\"connectTimeout", "\"connect_timeout", "ConfigDump", "ctive_clusters", "ctiveClusters"];

/// Whether a text with this beginning has a dump in it that [`plain`] uncovers.
#[must_use]
pub fn is_copied(beginning: &[u8]) -> bool {
    if !OF_DUMPS.iter().any(|word| memchr::memmem::find(beginning, word.as_bytes()).is_some()) {
        return false;
    }
    let text = String::from_utf8_lossy(beginning);
    if text.contains("\u{1b}[") || text.contains("\n\u{a0}") || is_string(&text) {
        return true;
    }
    let lines: Vec<&str> = text.lines().take(LINES).collect();
    for (at, line) in lines.iter().enumerate() {
        if begins_json(line.trim_start()) {
            return false;
        }
        if opening(line, lines.get(at + 1).copied()).is_some() {
            return true;
        }
    }
    false
}

/// Whether a text is a string of JSON that holds JSON.
fn is_string(text: &str) -> bool {
    let rest = text.trim_start().strip_prefix('"').map(|rest| rest.trim_start_matches("\\n"));
    rest.is_some_and(|rest| rest.starts_with(['{', '[']))
}

/// The text itself: without colours, without what stands before each line, out of its string.
#[must_use]
pub fn plain(text: &str) -> String {
    let mut text = Cow::Borrowed(text);
    if is_string(&text)
        && let Ok(inner) = serde_json::from_str::<String>(&text)
    {
        text = Cow::Owned(inner);
    }
    if text.contains('\u{1b}') {
        text = Cow::Owned(anstream::adapter::strip_str(&text).to_string());
    }
    if text.contains('\u{a0}') {
        text = Cow::Owned(text.replace('\u{a0}', " "));
    }
    let mut out = String::with_capacity(text.len());
    let mut before = None;
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let mut rest = before.and_then(|before| behind(before, line));
        if rest.is_none() {
            before = None;
            match opening(line, lines.peek().copied()) {
                Some(Opening::EachLine(found)) => (before, rest) = (Some(found), Some(&line[found.len()..])),
                // What stands before one line alone may name whose dump it is.
                Some(Opening::OneLine(found)) => {
                    out.push_str(found);
                    out.push('\n');
                    rest = Some(&line[found.len()..]);
                }
                None => {}
            }
        }
        out.push_str(rest.unwrap_or(line));
        out.push('\n');
    }
    out
}

/// What stands before JSON that begins in the middle of a line.
enum Opening<'a> {
    /// It stands before each line.
    EachLine(&'a str),
    /// It stands before the document, which is this line or begins with it.
    OneLine(&'a str),
}

/// The place where JSON begins in the middle of a line.
fn opening<'a>(line: &'a str, next: Option<&str>) -> Option<Opening<'a>> {
    // A pager's or a log's beginning of a line is short, and has no keys in it.
    let at = line.char_indices().map(|(at, _)| at).take(200).find(|at| begins_json(&line[*at..]))?;
    let (before, rest) = line.split_at(at);
    if before.trim().is_empty() || before.contains('"') {
        return None;
    }
    let follows =
        |next: &str| behind(before, next).is_some_and(|rest| rest.trim_start().starts_with(['"', '{', '[', '}', ']']));
    if next.is_some_and(follows) {
        return Some(Opening::EachLine(before));
    }
    // Prose may end with a bracket.
    (rest.trim_end().len() > 2 || next.is_some_and(|next| next.trim_start().starts_with('"')))
        .then_some(Opening::OneLine(before))
}

/// What a line has behind what stands before each: the same, but for its numbers and the blanks that align them.
fn behind<'a>(before: &str, line: &'a str) -> Option<&'a str> {
    let (mut before, mut rest) = (before, line);
    while let Some(first) = before.chars().next() {
        let class: fn(char) -> bool = match first {
            '0'..='9' => |c| c.is_ascii_digit(),
            ' ' => |c| c == ' ',
            _ => {
                rest = match rest.strip_prefix(first) {
                    Some(rest) => rest,
                    // An empty line, whose last blanks an editor has taken away.
                    None => return (rest.is_empty() && before.trim().is_empty()).then_some(rest),
                };
                before = &before[first.len_utf8()..];
                continue;
            }
        };
        let left = rest.trim_start_matches(class);
        if left.len() == rest.len() && first != ' ' {
            return None;
        }
        (before, rest) = (before.trim_start_matches(class), left);
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = "{\n \"configs\": [\n  {\n   \"a\": 1,\n\n   \"b\": [\n   ]\n  }\n ]\n}";

    fn prefixed(prefix: impl Fn(usize) -> String) -> String {
        DUMP.lines().enumerate().map(|(at, line)| prefix(at) + line + "\n").collect()
    }

    fn value(text: &str) -> Option<serde_json::Value> {
        let begin = text.find(['{', '['])?;
        serde_json::Deserializer::from_str(&text[begin..]).into_iter().next()?.ok()
    }

    #[test]
    fn what_stands_before_each_line_is_taken_away() {
        for (form, text) in [
            ("a quotation", prefixed(|_| "> ".to_owned())),
            ("a CI log", prefixed(|at| format!("2026-11-30T10:00:{at:02}.{}Z ", 1234567 + at))),
            ("a pager's numbers", prefixed(|at| format!("{:6}\t", at * 700))),
            ("a container's name", prefixed(|_| "[pod/web-1/istio-proxy] ".to_owned())),
            ("a difference", prefixed(|_| "+".to_owned())),
            ("a comment", prefixed(|_| "# ".to_owned())),
            ("with something above", format!("What I see:\n{}", prefixed(|_| "| ".to_owned()))),
        ] {
            assert!(is_copied(text.as_bytes()), "{form}");
            let found = plain(&text);
            assert_eq!(value(&found), value(DUMP), "{form}: {found}");
        }
    }

    #[test]
    fn colours_and_strings_and_blanks_of_a_page_are_undone() {
        for (form, text) in [
            ("jq -C", DUMP.replace("\"a\"", "\u{1b}[34;1m\"a\"\u{1b}[0m")),
            ("a page", DUMP.replace(' ', "\u{a0}")),
            ("a string", serde_json::Value::from(DUMP).to_string()),
            ("a shell's quotes", format!("'{DUMP}'")),
            ("a line", format!("web-1.shop: {}", DUMP.replace('\n', " "))),
        ] {
            assert!(is_copied(text.as_bytes()), "{form}");
            assert_eq!(value(&plain(&text)), value(DUMP), "{form}: {}", plain(&text));
        }
    }

    #[test]
    fn what_is_plain_is_left_alone() {
        for text in [
            DUMP,
            "Defaulted container \"a\" out of: a, b\n{\"configs\": []}",
            "- name: a\n  type: EDS\n",
            "",
            "> {\n> \"level\": \"info\"\n> }\n",
            "web-1 {\"level\": \"info\", \"msg\": \"\u{1b}[31mred\u{1b}[0m\"}\n",
            "a {\n b\n}",
        ] {
            assert!(!is_copied(text.as_bytes()), "{text}");
        }
    }
}
