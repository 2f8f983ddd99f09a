//! Tables in kubectl's manner: headings in capitals, no borders. The one rule for all of them: nothing is wider than
//! the terminal. Names are shortened in their middle, columns that may be missing are left out, and what stands below
//! a row is indented by two and has no part in any column's width.

use std::borrow::Cow;

use textwrap::core::display_width;
use textwrap::{Options, WordSeparator, WordSplitter, WrapAlgorithm};

use super::look::Look;

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its heading, in capitals.
    pub heading: &'static str,
    kind: Kind,
    optional: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// To the left, and shortened where it has to be.
    Text,
    /// To the right, and never shortened.
    Number,
}

impl Column {
    /// The same column, left out where there is no room for it.
    #[must_use]
    pub fn optional(self) -> Self {
        Self { optional: true, ..self }
    }
}

/// A column of text.
#[must_use]
pub fn text(heading: &'static str) -> Column {
    Column { heading, kind: Kind::Text, optional: false }
}

/// A column of numbers, or of other short values that stand to the right.
#[must_use]
pub fn number(heading: &'static str) -> Column {
    Column { heading, kind: Kind::Number, optional: false }
}

/// Between columns.
pub const GAP: usize = 2;

/// Text is shortened to this before a column is left out.
const COMFORTABLE: usize = 18;

/// Text is shortened to no less than this.
const LEAST: usize = 4;

/// Writes rows of cells under their headings, as wide as they are. Cells may be coloured; they have been escaped by
/// whoever made them. The further lines of a cell stand below its row. Lines end without blanks.
#[must_use]
pub fn render(columns: &[Column], rows: Vec<Vec<String>>, headings: bool) -> String {
    whole(&Layout::new(columns, &rows, headings, usize::MAX), &rows)
}

/// The same, no wider than the terminal. What stands below a row is wrapped.
#[must_use]
pub fn fit(columns: &[Column], rows: &[Vec<String>], look: Look) -> String {
    whole(&Layout::of(columns, rows, look), rows)
}

fn whole(layout: &Layout<'_>, rows: &[Vec<String>]) -> String {
    let mut out = layout.head();
    for row in rows {
        layout.row(&mut out, row);
    }
    out
}

/// Which columns are shown, and how wide each is: for rows that are written while they come.
pub struct Layout<'c> {
    columns: &'c [Column],
    /// The columns' positions, with their widths.
    shown: Vec<(usize, usize)>,
    headings: bool,
    room: usize,
    /// Whether some cell is not shown whole.
    cut: bool,
}

impl<'c> Layout<'c> {
    /// Measures rows; of equal ones it is enough to give one, and a cell that is shorter than another may be empty.
    #[must_use]
    pub fn of<'r>(columns: &'c [Column], rows: impl IntoIterator<Item = &'r Vec<String>>, look: Look) -> Self {
        Self::new(columns, rows, look.headings, look.width())
    }

    fn new<'r>(
        columns: &'c [Column],
        rows: impl IntoIterator<Item = &'r Vec<String>>,
        headings: bool,
        room: usize,
    ) -> Self {
        let heading = |column: &Column| if headings { display_width(column.heading) } else { 0 };
        let mut all: Vec<(usize, usize)> = columns.iter().map(heading).enumerate().collect();
        for row in rows {
            for ((_, width), cell) in all.iter_mut().zip(row) {
                *width = (*width).max(display_width(first_line(cell)));
            }
        }
        let shown = choose(columns, all.clone(), room);
        let cut = shown.iter().any(|(index, width)| *width < all[*index].1);
        Self { columns, shown, headings, room, cut }
    }

    /// Whether names have to be shortened.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// The headings, if there are to be any.
    #[must_use]
    pub fn head(&self) -> String {
        let mut out = String::new();
        if self.headings {
            self.line(&mut out, |index| self.columns[index].heading);
        }
        out
    }

    /// Writes a row, and what stands below it.
    pub fn row(&self, out: &mut String, cells: &[String]) {
        self.line(out, |index| cells.get(index).map_or("", |cell| first_line(cell)));
        for below in cells.iter().filter_map(|cell| cell.split_once('\n')).flat_map(|(_, below)| below.lines()) {
            let indent = (below.len() - below.trim_start().len()).max(2);
            out.push_str(&" ".repeat(indent));
            out.push_str(&wrap(below.trim_start(), self.room, indent + 2));
            out.push('\n');
        }
    }

    fn line<'t>(&self, out: &mut String, cell: impl Fn(usize) -> &'t str) {
        let mut line = String::new();
        for (position, &(index, width)) in self.shown.iter().enumerate() {
            let cell = shorten(cell(index), width);
            let fill = " ".repeat(width.saturating_sub(display_width(&cell)));
            if position > 0 {
                line.push_str(&" ".repeat(GAP));
            }
            match self.columns[index].kind {
                Kind::Text => line.extend([&*cell, &fill]),
                Kind::Number => line.extend([&*fill, &cell]),
            }
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
}

fn first_line(cell: &str) -> &str {
    cell.split_once('\n').map_or(cell, |(first, _)| first)
}

/// Which columns there is room for, each with its width.
fn choose(columns: &[Column], mut shown: Vec<(usize, usize)>, room: usize) -> Vec<(usize, usize)> {
    loop {
        if let Some(fitting) = squeeze(columns, &shown, room, COMFORTABLE) {
            return fitting;
        }
        let Some(last) = shown.iter().rposition(|&(index, _)| columns[index].optional) else { break };
        shown.remove(last);
    }
    squeeze(columns, &shown, room, LEAST).unwrap_or(shown)
}

/// Takes from the widest text again and again until all fit; `None` where no text may give any more.
fn squeeze(columns: &[Column], shown: &[(usize, usize)], room: usize, least: usize) -> Option<Vec<(usize, usize)>> {
    let gaps = GAP * shown.len().saturating_sub(1);
    let mut shown = shown.to_vec();
    let mut excess = (shown.iter().map(|(_, width)| width).sum::<usize>() + gaps).saturating_sub(room);
    while excess > 0 {
        let texts = shown.iter_mut().filter(|(index, width)| columns[*index].kind == Kind::Text && *width > least);
        let (_, widest) = texts.max_by_key(|(_, width)| *width)?;
        *widest -= 1;
        excess -= 1;
    }
    Some(shown)
}

/// How many columns of a terminal a text takes; colours take none.
#[must_use]
pub fn width(text: &str) -> usize {
    display_width(text)
}

/// A text in at most so many columns: its middle is left out, since names differ at both ends. A coloured one loses its
/// colour with it.
#[must_use]
pub fn shorten(text: &str, columns: usize) -> Cow<'_, str> {
    if display_width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let mut plain = String::new();
    let mut escaped = false;
    for c in text.chars() {
        match c {
            '\u{1b}' => escaped = true,
            _ if escaped => escaped = !c.is_ascii_alphabetic(),
            _ => plain.push(c),
        }
    }
    if columns == 0 {
        return Cow::Borrowed("");
    }
    let (front, back) = (columns / 2, columns - 1 - columns / 2);
    let mut head = String::new();
    for c in plain.chars() {
        if display_width(&head) + display_width(c.encode_utf8(&mut [0; 4])) > front {
            break;
        }
        head.push(c);
    }
    let mut tail: Vec<char> = Vec::new();
    let mut taken = 0;
    for c in plain.chars().rev() {
        taken += display_width(c.encode_utf8(&mut [0; 4]));
        if taken > back {
            break;
        }
        tail.push(c);
    }
    head.push('…');
    head.extend(tail.into_iter().rev());
    Cow::Owned(head)
}

/// Breaks a text into lines of at most `width` columns, at blanks where there are some, each but the first after
/// `indent` blanks; the first one begins there already. A command between backquotes can still be pasted.
#[must_use]
pub fn wrap(text: &str, width: usize, indent: usize) -> String {
    if width == usize::MAX {
        return text.to_owned();
    }
    let room = width.saturating_sub(indent).max(10);
    let mut lines = broken(text, room);
    if goes_on(&lines).contains(&true) {
        // Two columns are kept for the mark, and a blank between a shell's quotes is none to break at.
        lines = broken(&glued(text), room - 2);
        let marks = goes_on(&lines);
        for (line, goes_on) in lines.iter_mut().zip(marks) {
            *line = line.replace(GLUE, " ") + if goes_on { " \\" } else { "" };
        }
    }
    lines.join(&format!("\n{}", " ".repeat(indent)))
}

fn broken(text: &str, room: usize) -> Vec<String> {
    let options = Options::new(room)
        .word_separator(WordSeparator::AsciiSpace)
        .word_splitter(WordSplitter::NoHyphenation)
        .wrap_algorithm(WrapAlgorithm::FirstFit);
    textwrap::wrap(text, options).into_iter().map(Cow::into_owned).collect()
}

/// What commands to be pasted begin with.
pub const TOOLS: [&str; 3] = ["kubectl ", "helm ", "istioctl "];

/// Stands for a blank inside a word of a command.
const GLUE: char = '\u{a0}';

/// For each line, whether a command between backquotes goes on in the next.
fn goes_on(lines: &[String]) -> Vec<bool> {
    let quotes = lines.iter().map(|line| line.matches('`').count()).sum::<usize>();
    let mut command = None;
    let mut of_line = |line: &String| {
        for part in line.split('`').skip(1) {
            let part = format!("{part} ");
            command = if command.is_some() { None } else { Some(TOOLS.iter().any(|tool| part.starts_with(tool))) };
        }
        command == Some(true)
    };
    lines.iter().map(|line| quotes.is_multiple_of(2) && of_line(line)).collect()
}

/// A text whose commands between backquotes have no blanks inside their words.
fn glued(text: &str) -> String {
    let parts = text.split('`').enumerate().map(|(index, part)| {
        let inside = |word: &str| word.replace(' ', GLUE.encode_utf8(&mut [0; 4]));
        if index % 2 == 1 { words(part).into_iter().map(inside).collect::<Vec<_>>().join(" ") } else { part.to_owned() }
    });
    parts.collect::<Vec<_>>().join("`")
}

/// A command to be copied, after `indent` blanks: broken only between its words, with the shell's mark that it goes on.
#[must_use]
pub fn command(command: &str, width: usize, indent: usize) -> String {
    let room = width.saturating_sub(indent).max(10);
    let mut lines: Vec<String> = vec![String::new()];
    for word in words(command) {
        let last = lines.len() - 1;
        let taken = display_width(&lines[last]);
        // Two columns are kept for the mark.
        if taken > 0 && taken + 1 + display_width(word) + 2 > room {
            lines[last].push_str(" \\");
            lines.push(format!("  {word}"));
        } else {
            if taken > 0 {
                lines[last].push(' ');
            }
            lines[last].push_str(word);
        }
    }
    lines.join(&format!("\n{}", " ".repeat(indent)))
}

/// A command's words as they are written, with their quotes.
fn words(command: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let (mut start, mut quote, mut escaped) = (0, None, false);
    for (at, c) in command.char_indices() {
        match (quote, c) {
            _ if escaped => escaped = false,
            (None | Some('"'), '\\') => escaped = true,
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            (None, ' ') => {
                words.push(&command[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    words.push(&command[start..]);
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Palette;
    use proptest::prelude::*;

    fn look(columns: usize) -> Look {
        Look { palette: Palette::plain(), columns: Some(columns), headings: true, verbose: false }
    }

    fn cells(row: &[&str]) -> Vec<String> {
        row.iter().map(|cell| (*cell).to_owned()).collect()
    }

    #[test]
    fn what_stands_below_a_row_has_no_part_in_a_column() {
        let columns = [text("NAME"), number("N")];
        let rows = [cells(&["a\nlong words below it", "1"]), cells(&["bb", "22"])];
        assert_eq!(fit(&columns, &rows, look(80)), "NAME   N\na      1\n  long words below it\nbb    22\n");
        assert_eq!(render(&columns, rows.to_vec(), false), "a    1\n  long words below it\nbb  22\n");
    }

    #[test]
    fn names_are_shortened_in_the_middle() {
        assert_eq!(shorten("outbound|15010||istiod.istio-system", 12), "outbou…ystem");
        assert_eq!(shorten("\u{1b}[31mexceedingly\u{1b}[0m", 5), "ex…ly");
        assert_eq!(shorten("short", 5), "short");
        assert_eq!(shorten("双双双双", 5), "双…双");
    }

    #[test]
    fn what_may_be_missing_is_left_out_last_first() {
        let columns = [text("NAME"), text("KIND").optional(), text("WHY").optional(), number("N")];
        let rows = [cells(&["a-name-of-some-length", "DestinationRule", "because-of-it", "1"])];
        let shown = |width| fit(&columns, &rows, look(width)).lines().next().unwrap_or_default().to_owned();
        assert!(shown(60).contains("WHY"), "{}", shown(60));
        assert!(shown(50).contains("KIND") && !shown(50).contains("WHY"), "{}", shown(50));
        assert!(!shown(30).contains("KIND"), "{}", shown(30));
    }

    #[test]
    fn a_broken_command_is_one_command() {
        let line =
            "kubectl meshaudit fix 'deploy/it has blanks' -n shop --context production-eu-west --host api.example.com";
        let broken = command(line, 40, 2);
        assert!(broken.lines().count() > 2, "{broken}");
        assert!(broken.lines().all(|line| width(line) <= 40), "{broken}");
        assert_eq!(shlex::split(&broken.replace("\\\n", " ")), shlex::split(line));
    }

    #[test]
    fn a_command_in_prose_is_one_command_however_narrow_it_is() {
        let line = "kubectl meshaudit debug-log --off 'a pod' --context eu";
        let prose = format!("2 proxies were left at debug; `{line}` puts them back, and `fix` does not.");
        for columns in 25..90 {
            let text = wrap(&prose, columns, 2);
            assert!(text.lines().all(|line| width(line) <= columns), "{columns}: {text}");
            let pasted = text.split('`').nth(1).expect("quoted").replace("\\\n", " ");
            assert_eq!(shlex::split(&pasted), shlex::split(line), "{columns}: {text}");
            assert_eq!(text.matches(" \\\n").count(), text.split('`').nth(1).expect("quoted").matches('\n').count());
        }
        assert_eq!(wrap("one ` alone and then some", 12, 0), "one ` alone\nand then\nsome");
    }

    proptest! {
        #[test]
        fn nothing_is_wider_than_the_terminal(names in proptest::collection::vec("[a-z./|-]{0,90}", 1..5), columns in 40usize..220) {
            let heads = [text("SEVERITY"), text("CLUSTER"), number("TIMEOUT"), text("ORIGIN"), text("TYPE").optional()];
            let rows: Vec<Vec<String>> = names
                .iter()
                .map(|name| cells(&["warning", &format!("{name}\nbelow it {name} and {name}"), "0.250s", name, name]))
                .collect();
            for line in fit(&heads, &rows, look(columns)).lines() {
                prop_assert!(width(line) <= columns, "{line:?} in {columns}");
            }
        }
    }
}
