//! What others say, made short: every message from outside passes through here before it is kept.

/// The most characters that are kept of a message.
const LONGEST: usize = 300;

/// A message from outside in one line and cut short; of a page of HTML its title. A credential that a careless gateway
/// gives back with the rest of a request is left out.
pub(crate) fn outside(text: &str) -> String {
    // Titles stand at the beginning, and no page is searched to its end for one.
    let text = &text[..text.floor_char_boundary(64 << 10)];
    let lower = text.trim_start().get(..15).unwrap_or_default().to_ascii_lowercase();
    if lower.starts_with("<!doctype html") || lower.starts_with("<html") {
        let title = title(text).map(one_line).filter(|title| !title.is_empty());
        return title.map_or_else(|| "a page of HTML".to_owned(), |title| format!("a page of HTML: {title:?}"));
    }
    one_line(text)
}

/// The same of bytes.
pub(crate) fn outside_bytes(bytes: &[u8]) -> String {
    outside(&String::from_utf8_lossy(&bytes[..bytes.len().min(64 << 10)]))
}

fn title(text: &str) -> Option<&str> {
    let lower = text.to_ascii_lowercase();
    let begin = lower.find("<title")?;
    let begin = begin + lower[begin..].find('>')? + 1;
    let end = begin + lower[begin..].find("</title")?;
    Some(&text[begin..end])
}

fn one_line(text: &str) -> String {
    let mut line = String::new();
    let mut scheme = false;
    for (index, word) in text.split_whitespace().enumerate() {
        if index > 0 {
            line.push(' ');
        }
        let word = if scheme && is_credential(word) { "…" } else { word };
        scheme = is_scheme(word);
        line.push_str(&word[..word.floor_char_boundary(4 * LONGEST)]);
        if line.len() > 4 * LONGEST {
            break;
        }
    }
    match line.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

/// Whether a word is, or ends with, a scheme of `Authorization` (RFC 9110, 11.1).
fn is_scheme(word: &str) -> bool {
    let end = word.rsplit(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
    ["bearer", "basic"].iter().any(|scheme| end.eq_ignore_ascii_case(scheme))
}

/// Whether what follows a scheme is a credential, and no word of a sentence about one: `Basic authentication`.
fn is_credential(word: &str) -> bool {
    let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let inside = word.get(1..).unwrap_or_default();
    word.len() > 20
        || word.bytes().any(|byte| byte.is_ascii_digit())
        || inside.bytes().any(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_short_and_of_html_the_title() {
        assert_eq!(outside(" lost\nconnection \t to pod\n"), "lost connection to pod");
        assert_eq!(outside(&"ä".repeat(5_000_000)).chars().count(), LONGEST + 1);
        assert_eq!(outside(&"word ".repeat(1_000_000)).chars().count(), LONGEST + 1);
        let page = format!("\n<!DOCTYPE html><html><head>\n<TITLE lang=en>503\n Busy</TITLE>{}", "x".repeat(1 << 20));
        assert_eq!(outside(&page), "a page of HTML: \"503 Busy\"");
        assert_eq!(outside("<html><body>no title"), "a page of HTML");
        assert_eq!(outside("<title>"), "<title>");
        assert_eq!(outside("ä"), "ä");
        assert_eq!(outside_bytes(b"\xFFx"), "\u{FFFD}x");
    }

    #[test]
    fn leaves_out_credentials_and_no_words() {
        assert_eq!(outside("authorization: Bearer abc1.de\r\nhost: a"), "authorization: Bearer … host: a");
        assert_eq!(outside(r#"{"authorization":"Basic bWU6cHc="}"#), r#"{"authorization":"Basic …"#);
        for sentence in ["invalid bearer token", "Basic authentication is off", "a Bearer, expired at 12:00"] {
            assert_eq!(outside(sentence), sentence);
        }
    }
}
