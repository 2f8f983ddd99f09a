//! What others say, made short: every message from outside passes through here before it is kept.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::VecDeque;
use std::sync::{PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::encode::encode;

/// The most characters that are kept of a message.
const LONGEST: usize = 300;

/// The credentials that this process sends, in each form in which they may come back; the latest of them, since a token
/// is renewed for as long as a process goes on.
static SENT: RwLock<VecDeque<String>> = RwLock::new(VecDeque::new());

/// From now on a credential is left out of every message from outside, as it is and in the forms in which it is sent:
/// whoever it is sent to may repeat what came.
pub(crate) fn never_repeat(secret: &str) {
    /// What is shorter stands in any sentence.
    const SHORTEST: usize = 4;
    const MOST: usize = 300;
    if secret.len() < SHORTEST {
        return;
    }
    let mut sent = SENT.write().unwrap_or_else(PoisonError::into_inner);
    for form in [secret.to_owned(), BASE64.encode(secret), encode(secret).to_string()] {
        if !sent.contains(&form) {
            sent.push_back(form);
        }
    }
    let superfluous = sent.len().saturating_sub(MOST);
    sent.drain(..superfluous);
}

/// The same of a user's name and password, alone and as they are sent together.
pub(crate) fn never_repeat_basic(user: &str, password: &str) {
    never_repeat(password);
    if !password.is_empty() {
        never_repeat(&format!("{user}:{password}"));
    }
}

fn without_credentials(text: &str) -> Cow<'_, str> {
    let sent = SENT.read().unwrap_or_else(PoisonError::into_inner);
    let mut found: Vec<&String> = sent.iter().filter(|form| text.contains(*form)).collect();
    // One may be a part of another.
    found.sort_by_key(|form| Reverse(form.len()));
    found.into_iter().fold(Cow::Borrowed(text), |text, form| Cow::Owned(text.replace(form, "…")))
}

/// A message from outside in one line and cut short; of a page of HTML its title. A credential that a careless gateway
/// gives back with the rest of a request is left out.
pub(crate) fn outside(text: &str) -> String {
    // Titles stand at the beginning, and no page is searched to its end for one.
    let text = &without_credentials(&text[..text.floor_char_boundary(64 << 10)]);
    let begin = text.trim_start();
    let lower = begin[..begin.floor_char_boundary(15)].to_ascii_lowercase();
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
        assert_eq!(outside("<html>"), "a page of HTML");
        assert_eq!(outside("<html><title>\u{e4}</title>"), "a page of HTML: \"\u{e4}\"");
        assert_eq!(outside("<title>"), "<title>");
        assert_eq!(outside("ä"), "ä");
        assert_eq!(outside_bytes(b"\xFFx"), "\u{FFFD}x");
    }

    #[test]
    fn leaves_out_what_was_sent() {
        never_repeat_basic("me", "p4ss/w\u{f6}rd");
        never_repeat_basic("operator", "");
        for (text, left) in [
            ("{\"a\":\"p4ss/w\u{f6}rd\"}", "{\"a\":\"…\"}"),
            ("x-basic:bWU6cDRzcy93w7ZyZA==,", "x-basic:…,"),
            ("%22p4ss%2Fw%C3%B6rd%22", "%22…%22"),
            ("<html><title>p4ss/w\u{f6}rd", "a page of HTML"),
            ("<html><title>p4ss/w\u{f6}rd</title>", "a page of HTML: \"…\""),
        ] {
            assert_eq!(outside(text), left);
        }
        never_repeat("abc");
        assert_eq!(outside("abc operator:"), "abc operator:");
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
