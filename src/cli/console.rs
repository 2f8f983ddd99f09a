//! The one place that writes: data to stdout, everything else to stderr. Whatever is forgotten elsewhere, nothing passes
//! here that could do something to a terminal.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use terminal_size::{Height, Width, terminal_size_of};

use super::failure::Failure;
use crate::model::Scope;
use crate::report::Palette;
use crate::report::escape::{escape, harmless};
use crate::report::look::Look;
use crate::report::table::{self, TOOLS, wrap};

/// When to colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum ColorWhen {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The two streams, and how each wants its text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Console {
    /// Colours for stdout.
    pub(super) out: Palette,
    /// Colours for stderr.
    pub(super) err: Palette,
    /// The columns of the terminal that stdout is, or `$COLUMNS`; `None` where it is none.
    pub(super) columns: Option<usize>,
    /// The same of stderr.
    err_columns: Option<usize>,
    /// Its rows, or `$LINES`.
    pub(super) rows: Option<usize>,
    /// Nothing but results and errors.
    pub(super) quiet: bool,
    /// How often `-v` was given.
    pub(super) verbose: u8,
    /// What printed commands need to mean the same cluster.
    pub(super) scope: &'static Scope,
}

impl Console {
    /// Looks at both streams and the environment, once.
    #[must_use]
    pub(super) fn new(color: ColorWhen, quiet: bool, verbose: u8, scope: Scope) -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let colored = |terminal: bool| match color {
            ColorWhen::Always => true,
            ColorWhen::Never => false,
            // https://no-color.org and https://bixense.com/clicolors: an empty variable counts as none.
            ColorWhen::Auto if set("NO_COLOR") => false,
            ColorWhen::Auto if set("CLICOLOR_FORCE") => true,
            ColorWhen::Auto => terminal && std::env::var_os("TERM").is_none_or(|term| term != "dumb"),
        };
        let (out, err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        let size = terminal_size_of(io::stdout()).filter(|_| out);
        // As ls(1) has it: what is exported counts, wherever the output goes.
        let exported = |name: &str| std::env::var(name).ok()?.parse::<usize>().ok().filter(|number| *number > 0);
        let columns = exported("COLUMNS").or(size.map(|(Width(columns), _)| usize::from(columns)));
        let err_size = terminal_size_of(io::stderr()).filter(|_| err);
        let err_columns = exported("COLUMNS").or(err_size.map(|(Width(columns), _)| usize::from(columns)));
        let rows = exported("LINES").or(size.map(|(_, Height(rows))| usize::from(rows)));
        Self {
            out: Palette::new(colored(out)),
            err: Palette::new(colored(err)),
            columns: columns.filter(|columns| *columns > 0),
            err_columns: err_columns.filter(|columns| *columns > 0),
            // Where only the width is known, a terminal is as high as they were made.
            rows: rows.filter(|rows| *rows > 0).or(columns.map(|_| 24)),
            quiet,
            verbose,
            // Once a process: it has one command line.
            scope: Box::leak(Box::new(scope)),
        }
    }

    /// How output for people is to look.
    #[must_use]
    pub(super) fn look(&self, headings: bool) -> Look {
        Look { palette: self.out, columns: self.columns, headings, verbose: self.verbose > 0 }
    }

    /// Writes a result.
    pub(super) fn print(&self, text: &str) -> Result<(), Failure> {
        self.print_with(|out| Ok(out.write_all(harmless(text, self.out.is_coloured()).as_bytes())?))
    }

    /// Writes a result piece by piece.
    pub(super) fn print_with(&self, write: impl FnOnce(&mut dyn Write) -> Result<(), Failure>) -> Result<(), Failure> {
        let mut out = io::BufWriter::new(io::stdout().lock());
        write(&mut out)?;
        Ok(out.flush()?)
    }

    /// Says something besides the result, unless `-q`.
    pub(super) fn note(&self, text: &str) {
        if !self.quiet {
            self.say(&self.scope.in_prose(text));
        }
    }

    /// Warns of something that the result alone does not show.
    pub(super) fn warn(&self, text: &str) {
        self.say(&format!("{} {}", self.err.warning("warning:"), escape(&self.scope.in_prose(text))));
    }

    /// Warns with a text that is safe and has its colours already.
    pub(super) fn warn_as_is(&self, text: &str) {
        self.say(&format!("{} {text}", self.err.warning("warning:")));
    }

    /// Says why a command failed, and what to do next.
    pub(super) fn fail(&self, failure: &Failure) {
        self.say(&format!("{} {}", self.err.error("error:"), escape(&failure.to_string())));
        for detail in failure.details() {
            self.say(&format!("  {}", escape(detail)));
        }
        if let Some(hint) = failure.next() {
            self.say(&format!("{} {}", self.err.info("hint:"), escape(&self.scope.in_prose(hint))));
        }
    }

    /// Whether stderr is a terminal that may show progress.
    #[must_use]
    pub(super) fn shows_progress(&self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }

    pub(super) fn say(self, text: &str) {
        let columns = self.err_columns.unwrap_or(usize::MAX);
        let text = harmless(text, self.err.is_coloured());
        let fitted: Vec<String> = text.lines().map(|line| fit(line, columns)).collect();
        // Nowhere is left to say that stderr cannot be written to.
        let _ = writeln!(io::stderr(), "{}", fitted.join("\n"));
    }
}

/// A line of prose, broken to fit; a command that it is, or ends with, can still be pasted.
fn fit(line: &str, columns: usize) -> String {
    let text = line.trim_start();
    let indent = line.len() - text.len();
    let blanks = " ".repeat(indent);
    if indent + table::width(text) <= columns {
        return line.to_owned();
    }
    // A command may have its colour.
    let plain = text.strip_prefix('\u{1b}').and_then(|colored| colored.split_once('m')).map_or(text, |(_, text)| text);
    if TOOLS.iter().any(|tool| plain.starts_with(tool)) {
        return format!("{blanks}{}", table::command(text, columns, indent));
    }
    let command = TOOLS.iter().filter_map(|tool| text.rfind(&format!(": {tool}"))).max().map(|colon| colon + 1);
    match command.filter(|at| !text[*at..].contains('`')) {
        Some(at) => {
            let (prose, command) = text.split_at(at);
            let indented = " ".repeat(indent + 2);
            let command = table::command(command.trim_start(), columns, indent + 2);
            format!("{blanks}{}\n{indented}{command}", wrap(prose, columns, indent + 2))
        }
        None => format!("{blanks}{}", wrap(text, columns, indent + 2)),
    }
}

#[cfg(test)]
mod tests {
    use super::fit;

    #[test]
    fn commands_can_be_pasted_however_narrow_it_is() {
        let prose = "  Where each value comes from: kubectl meshaudit timeouts -n shop";
        assert_eq!(fit(prose, 80), prose);
        let expected = "  Where each value\n    comes from:\n    kubectl meshaudit \\\n      timeouts -n shop";
        assert_eq!(fit(prose, 25), expected);
        assert_eq!(fit("kubectl meshaudit timeouts -n shop", 25), "kubectl meshaudit \\\n  timeouts -n shop");
        assert_eq!(fit("it says: `kubectl version` or so", 20), "it says:\n  `kubectl \\\n  version` or so");
        let colored = "  \u{1b}[1mkubectl meshaudit timeouts -n shop\u{1b}[0m";
        assert_eq!(fit(colored, 25), "  \u{1b}[1mkubectl meshaudit \\\n    timeouts -n shop\u{1b}[0m");
    }
}
