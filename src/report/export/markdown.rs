//! Markdown (GitHub's), for a pull request, an issue or a wiki.

use std::fmt::Write;

use super::super::escape::escape;
use super::super::look::count;
use super::results::{Alike, Level, Results};
use super::shown;

/// GitHub takes 65,536 characters of a comment; what is beyond this is left out, and that is said.
const MOST: usize = 60_000;

/// The most names behind those that are shown.
const LISTED: usize = 100;

/// The document.
pub(super) fn markdown(results: &Results) -> String {
    let mut out = format!("## {}\n\n", results.title);
    let found: Vec<String> =
        Level::ALL.into_iter().filter(|level| results.count(*level) > 0).map(|level| results.counted(level)).collect();
    let found = if found.is_empty() { "Nothing found.".to_owned() } else { format!("**{}.**", found.join(", ")) };
    let _ = writeln!(out, "{found} {}", results.covered());
    for mesh in &results.mesh {
        let revision =
            if mesh.revision.is_empty() { String::new() } else { format!(" (revision {})", cell(&mesh.revision)) };
        let _ = writeln!(
            out,
            "\nThe mesh's connect timeout is **{}**{revision}, by {}.",
            cell(&mesh.connect_timeout),
            cell(&mesh.source)
        );
    }
    if !results.findings.is_empty() {
        out.push_str("\n| | rule | about | what | remedy |\n|---|---|---|---|---|\n");
        let mut told = 0;
        for Alike { finding, subjects, proxies } in results.alike() {
            let about = match (finding.subject.is_empty(), finding.proxies.as_slice()) {
                (false, _) => names(&subjects, proxies.len()),
                (true, [proxy]) => code(proxy),
                (true, []) => cell(&finding.origin),
                (true, proxies) => format!("{} proxies", proxies.len()),
            };
            let row = format!(
                "| {} | {} {} | {about} | {} | {} |\n",
                finding.level.as_str(),
                cell(&finding.code),
                if finding.name == finding.code { String::new() } else { cell(&finding.name) },
                cell(&finding.message),
                cell(&finding.remedy),
            );
            if out.len() + row.len() > MOST {
                let _ = writeln!(out, "\n… and {} more.", results.findings.len() - told);
                break;
            }
            told += subjects.len();
            out += &row;
        }
    }
    let failed = &results.coverage.failed;
    if !failed.is_empty() {
        let _ = writeln!(out, "\n<details><summary>Not read: {}</summary>\n", count(failed.len(), "proxy", "proxies"));
        for one in failed.iter().take(500) {
            let _ = writeln!(out, "- {}: {}", code(&one.proxy), cell(&one.message));
        }
        out.push_str("\n</details>\n");
    }
    out
}

/// The names of clusters, and how many proxies have them: three names, and the others when they are asked for. Of a
/// great many some.
fn names(names: &[&str], proxies: usize) -> String {
    let codes = |names: &[&str]| names.iter().map(|name| code(name)).collect::<Vec<_>>();
    let (first, more) = shown(names);
    let mut cell = codes(first).join(", ");
    if proxies > 1 {
        let _ = write!(cell, ", {proxies} proxies");
    }
    if !more.is_empty() {
        let mut lines = codes(&more[..more.len().min(LISTED)]);
        if more.len() > LISTED {
            lines.push(format!("… and {} more", more.len() - LISTED));
        }
        let _ = write!(cell, "<details><summary>{} more</summary>{}</details>", more.len(), lines.join("<br>"));
    }
    cell
}

/// Text in a table's cell: no markup of its own, no line feed, and nothing that becomes a link. A word that would be one
/// by itself (an address, somebody's name behind an `@`, the number of an issue) stands between backticks.
pub(in crate::report) fn cell(text: &str) -> String {
    // A command that we name in a sentence.
    let is_code = |word: &str| {
        let inside = word.strip_prefix('`').and_then(|word| word.strip_suffix('`'));
        inside.is_some_and(|inside| {
            !inside.is_empty() && inside.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
        })
    };
    let word = |word: &str| match word {
        word if is_code(word) => word.to_owned(),
        word if links_by_itself(word) => code(word),
        word => plain(word),
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// Whether GitHub or GitLab makes a link of a word without being asked (GFM 6.9, mentions, references).
fn links_by_itself(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    let numbered = |mark: char| lower.split(mark).skip(1).any(|after| after.starts_with(|c: char| c.is_ascii_digit()));
    lower.contains("://") || lower.contains("www.") || lower.contains('@') || numbered('#')
}

/// Text with nothing in it that is markup, or an address that becomes a link.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in escape(text).chars() {
        match c {
            '\\' | '|' | '[' | ']' | '*' | '_' | '`' | '!' | '#' | '~' => {
                out.push('\\');
                out.push(c);
            }
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            c => out.push(c),
        }
    }
    out.replace("://", "\\://").replace("www.", "www\\.")
}

/// A name between backticks; one that could end them, or be markup, as HTML's `code` without a character that means
/// anything. What stands in either becomes no link and no mention.
pub(in crate::report) fn code(text: &str) -> String {
    if !text.contains(['`', '<', '\\']) {
        return format!("`{}`", escape(text).replace('|', "\\|"));
    }
    let mut out = String::from("<code>");
    for c in escape(text).chars() {
        if c.is_alphanumeric() || matches!(c, ' ' | '-') {
            out.push(c);
        } else {
            let _ = write!(out, "&#{};", u32::from(c));
        }
    }
    out + "</code>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_becomes_a_link_or_markup() {
        assert_eq!(cell("[x](y) <b> *c*"), "\\[x\\](y) &lt;b> \\*c\\*");
        for word in ["http://evil.example", "WWW.evil.example", "@team", "me@evil.example", "#12", "a/b#1"] {
            assert_eq!(cell(&format!("a {word} b")), format!("a `{word}` b"));
        }
        assert_eq!(cell("a|http://b"), "`a\\|http://b`");
        assert_eq!(code("a`b|@c"), "<code>a&#96;b&#124;&#64;c</code>");
        assert_eq!(code("<a>www.b"), "<code>&#60;a&#62;www&#46;b</code>");
        assert_eq!(cell("see `fix`, or `fix`"), "see \\`fix\\`, or `fix`");
        assert_eq!(cell("`@team`"), "<code>&#96;&#64;team&#96;</code>");
        assert_eq!(code("a|[b](c)"), "`a\\|[b](c)`");
    }
}
