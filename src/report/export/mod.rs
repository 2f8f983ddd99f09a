//! A v1 document in the formats of others: CI systems, spreadsheets, pages, metrics. Each is a function from
//! [`Results`], which is read from the document itself, so that what `convert` makes of a file is what the command would
//! have written.

mod csv;
mod github;
mod html;
mod junit;
mod markdown;
mod prometheus;
mod results;
mod sarif;

pub(in crate::report) use self::csv::harmless;
pub(in crate::report) use self::html::{cluster_cell, findings_table, page_foot, page_head, unread};
pub(in crate::report) use self::markdown::{cell, code};
pub use github::annotations;
pub use prometheus::serving;
pub use results::{Alike, Cluster, ConvertError, Finding, Level, Origin, Results};

/// Names of clusters: those that are shown, and those that are there on demand, of which there is more than one.
fn shown<'n, 's>(names: &'n [&'s str]) -> (&'n [&'s str], &'n [&'s str]) {
    const SHOWN: usize = 3;
    names.split_at(if names.len() > SHOWN + 1 { SHOWN } else { names.len() })
}

/// The formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// SARIF 2.1.0.
    Sarif,
    /// JUnit's XML, as Jenkins and GitLab read it.
    Junit,
    /// A table for a pull request or a wiki.
    Markdown,
    /// One page that needs nothing from anywhere.
    Html,
    /// One row a finding.
    Csv,
    /// Prometheus' text exposition.
    Prometheus,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Sarif, Self::Junit, Self::Markdown, Self::Html, Self::Csv, Self::Prometheus];

    /// Its name on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sarif => "sarif",
            Self::Junit => "junit",
            Self::Markdown => "markdown",
            Self::Html => "html",
            Self::Csv => "csv",
            Self::Prometheus => "prometheus",
        }
    }
}

/// Writes results in a format.
///
/// # Errors
/// When a document cannot be written as JSON or CSV.
pub fn write(results: &Results, format: Format) -> Result<String, ConvertError> {
    Ok(match format {
        Format::Sarif => sarif::sarif(results)?,
        Format::Junit => junit::junit(results),
        Format::Markdown => markdown::markdown(results),
        Format::Html => html::html(results),
        Format::Csv => csv::csv(results)?,
        Format::Prometheus => prometheus::prometheus(results),
    })
}

/// Sentences for a page: what stands between backquotes is code.
pub(in crate::report) fn prose(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return markup(text);
    }
    let written = parts.iter().enumerate().map(|(index, part)| match index % 2 {
        1 => format!("<code>{}</code>", markup(part)),
        _ => markup(part),
    });
    written.collect()
}

/// A name in a narrow column of a page, which is broken between its parts sooner than within them.
fn breakable(name: &str) -> String {
    let mut out = markup(name);
    for between in ['|', '.', '_'] {
        out = out.replace(between, &format!("{between}<wbr>"));
    }
    out
}

/// Text for XML 1.0 and HTML: markup escaped, and characters that XML does not have left out.
pub(in crate::report) fn markup(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    // A line feed of ours stays one; one that came from outside has been written out by now, or does no harm in a page.
    let lines: Vec<_> = text.split('\n').map(super::escape::escape).collect();
    for c in lines.join("\n").chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\u{0}'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {}
            c => out.push(c),
        }
    }
    out
}
