//! Lines that hold many: a list that a program printed, its escapes still in it, and records whose line ends were lost.

use super::envelope_json::is_line;
use super::text::{Shape, is_date, shape};

/// What is shorter than two records holds no two.
const SHORTEST: usize = 120;

/// The lines that a text of one line holds, one below the other; `None` where it is one by itself.
pub(super) fn lines(text: &str) -> Option<String> {
    if text.len() < SHORTEST || text.starts_with('{') {
        return None;
    }
    if let Some(items) = literals(text) {
        return Some(items);
    }
    let unescaped = (has(text, "\\t") || has(text, "\\n")).then(|| without_escapes(text));
    let more = |unescaped: &String| {
        let records = heads(unescaped).count();
        records > 1 || records > heads(text).count()
    };
    if let Some(unescaped) = unescaped.filter(more) {
        return Some(cut(&unescaped).unwrap_or(unescaped));
    }
    cut(text)
}

/// Whether a record has another one behind it: a cheap look.
pub(super) fn holds_more(text: &str) -> bool {
    text.len() >= SHORTEST && ((may_hold_dates(text.as_bytes()) && heads(text).any(|at| at > 0)) || has(text, "\\n"))
}

/// Whether behind the time at the beginning of a line there are the signs of another, `-` `-` `:` of `-01-02T03:`: without a
/// branch, so that the compiler looks at many places at once.
fn may_hold_dates(bytes: &[u8]) -> bool {
    const MINUTE: usize = 9;
    let behind = if bytes.first() == Some(&b'[') { 6 } else { 5 };
    let rest = bytes.get(behind..).unwrap_or_default();
    if memchr::memchr(b'-', rest.get(MINUTE..).unwrap_or_default()).is_none() {
        return false;
    }
    // Of one length, which the compiler has to know.
    let places = rest.len().saturating_sub(MINUTE);
    let (months, days, minutes) = (&rest[..places], &rest[3..][..places], &rest[MINUTE..][..places]);
    let mut found = 0;
    for at in 0..places {
        found |= u8::from(months[at] == b'-') & u8::from(days[at] == b'-') & u8::from(minutes[at] == b':');
    }
    found != 0
}

fn has(text: &str, needle: &str) -> bool {
    memchr::memchr(b'\\', text.as_bytes())
        .is_some_and(|at| memchr::memmem::find(&text.as_bytes()[at..], needle.as_bytes()).is_some())
}

/// Where records of a proxy begin.
fn heads(text: &str) -> impl Iterator<Item = usize> + '_ {
    let bytes = text.as_bytes();
    memchr::memchr_iter(b'-', bytes).filter_map(move |dash| {
        let date = dash.checked_sub(4)?;
        // Most dashes are those of ids.
        if bytes.get(dash + 3) != Some(&b'-') || !is_date(&bytes[date..]) {
            return None;
        }
        let bracketed = date > 0 && bytes[date - 1] == b'[';
        let start = date - usize::from(bracketed);
        if !bracketed && start > 0 && (bytes[start - 1].is_ascii_alphanumeric() || bytes[start - 1] >= 0x80) {
            return None;
        }
        matches!(shape(&text[start..])?, Shape::Bracketed | Shape::Columns | Shape::Access).then_some(start)
    })
}

/// The text, cut before each record in it; `None` where it holds one at most.
fn cut(text: &str) -> Option<String> {
    let starts: Vec<usize> = heads(text).collect();
    let (&first, rest) = starts.split_first()?;
    if rest.is_empty() {
        return None;
    }
    // What stands before the first is a wrapper of all, or nothing.
    let mut found = String::with_capacity(text.len());
    let mut from = first;
    for &start in rest.iter().chain([&text.len()]) {
        found.push_str(text[from..start].trim_end_matches([' ', ',', ';', '\t']));
        found.push('\n');
        from = start;
    }
    Some(found)
}

/// `['one', "two"]`, `NAME = [b'one', b'two']`: strings as Python, Ruby and JavaScript print them, where one of them is a
/// record.
fn literals(text: &str) -> Option<String> {
    let text = text.trim_end().trim_end_matches(';');
    let open = memchr::memchr2(b'[', b'(', &text.as_bytes()[..text.len().min(64)])?;
    if !text.ends_with([']', ')'])
        || !text[open + 1..].trim_start().trim_start_matches(['b', 'u', 'r']).starts_with(['\'', '"'])
    {
        return None;
    }
    let bytes = text.as_bytes();
    let (mut found, mut at, mut is_record) = (String::with_capacity(text.len()), open + 1, false);
    while at + 1 < bytes.len() {
        match bytes[at] {
            b' ' | b',' | b'b' | b'u' | b'r' => at += 1,
            quote @ (b'\'' | b'"') => {
                let mut end = at + 1;
                while *bytes.get(end)? != quote {
                    end += if bytes[end] == b'\\' { 2 } else { 1 };
                }
                let item = without_escapes(text.get(at + 1..end)?);
                is_record |= is_line(&item);
                found.push_str(item.trim_end_matches('\n'));
                found.push('\n');
                at = end + 1;
            }
            _ => return None,
        }
    }
    is_record.then_some(found)
}

/// With the characters that escapes stand for.
fn without_escapes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        plain.push_str(&rest[..at]);
        let (character, length) = match rest.as_bytes().get(at + 1) {
            Some(b'n') => ('\n', 2),
            Some(b't') => ('\t', 2),
            Some(b'r') => ('\r', 2),
            Some(quote @ (b'\'' | b'"' | b'\\')) => (char::from(*quote), 2),
            _ => ('\\', 1),
        };
        plain.push(character);
        rest = &rest[at + length..];
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "2026-11-23T18:08:44.709123Z\tdebug\tenvoy client external/envoy/source/common/http/codec_client.cc:1\t[C1] connect timeout\tthread=1";
    const TWO: &str = "[2026-11-23T18:08:44.709Z] \"GET / HTTP/1.1\" 503 UF upstream_reset_before_response_started{connection_timeout} - \"-\" 0 1";

    #[test]
    fn lost_ends_are_found() {
        let both = format!("{ONE}\n{TWO}\n");
        for text in [
            format!("{ONE}{TWO}"),
            format!("{ONE} {TWO}"),
            format!("{ONE}, {TWO}"),
            format!("{ONE}\\n{TWO}"),
            format!("{ONE}\\n{TWO}\\n").replace('\t', "\\t"),
            format!("['{}', '{TWO}']", ONE.replace('\t', "\\t")),
            format!("log = [b'{ONE}\\n', b\"{}\"]", TWO.replace('"', "\\\"")),
        ] {
            assert_eq!(
                lines(&text).unwrap_or_default().trim_end_matches('\n').replace("\n\n", "\n"),
                both.trim_end(),
                "{text}"
            );
            assert!(holds_more(&text) || text.starts_with('[') || text.starts_with("log"), "{text}");
        }
        for text in [ONE, TWO, "", "[1, 2]", "['a', 'b']", &format!("{{\"a\": \"{ONE}\"}}")] {
            assert_eq!(lines(text), None, "{text}");
        }
        assert!(!holds_more(ONE) && !holds_more(TWO));
    }
}
