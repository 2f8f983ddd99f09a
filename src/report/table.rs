//! Tables in kubectl's manner: headings in capitals, no borders, and columns that fit the terminal.

use tabled::builder::Builder;
use tabled::settings::object::{Columns, Rows};
use tabled::settings::{Alignment, Padding, Style};
use unicode_width::UnicodeWidthStr;

/// A column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its heading, in capitals.
    pub heading: &'static str,
    /// Whether it holds numbers, which stand to the right.
    pub number: bool,
}

/// A column of text.
#[must_use]
pub fn text(heading: &'static str) -> Column {
    Column { heading, number: false }
}

/// A column of numbers.
#[must_use]
pub fn number(heading: &'static str) -> Column {
    Column { heading, number: true }
}

/// Writes rows of cells under their headings. Cells may be coloured and may have several lines; they have been
/// escaped by whoever made them. Lines end without blanks.
#[must_use]
pub fn render(columns: &[Column], rows: Vec<Vec<String>>, headings: bool) -> String {
    if rows.is_empty() && !headings {
        return String::new();
    }
    let mut builder = Builder::new();
    if headings {
        builder.push_record(columns.iter().map(|column| column.heading));
    }
    for row in rows {
        builder.push_record(row);
    }
    let mut table = builder.build();
    table.with(Style::empty()).modify(Rows::new(..), Padding::new(0, 2, 0, 0));
    for (index, column) in columns.iter().enumerate().filter(|(_, column)| column.number) {
        let _ = column;
        table.modify(Columns::one(index), Alignment::right());
    }
    let mut out = String::new();
    for line in table.to_string().lines() {
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// How many columns of a terminal a text takes.
#[must_use]
pub fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// Breaks a text into lines of at most `width` columns, at blanks where there are some, each after `indent` blanks.
#[must_use]
pub fn wrap(text: &str, width: usize, indent: usize) -> String {
    let room = width.saturating_sub(indent).max(20);
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && self::width(&line) + 1 + self::width(word) > room {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines.join(&format!("\n{}", " ".repeat(indent)))
}
