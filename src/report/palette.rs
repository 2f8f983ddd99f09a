//! Colours, decided once for each stream. The output says the same without them.

use colored::{Color, ColoredString, Colorize};

/// Whether a stream gets colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Palette {
    on: bool,
}

impl Palette {
    /// A palette that colours, or does not.
    #[must_use]
    pub fn new(on: bool) -> Self {
        if on {
            // It would look at stdout and the environment itself; that decision has been made, for each stream.
            colored::control::set_override(true);
        }
        Self { on }
    }

    /// No colours.
    #[must_use]
    pub fn plain() -> Self {
        Self { on: false }
    }

    /// Whether this palette colours.
    #[must_use]
    pub fn is_coloured(self) -> bool {
        self.on
    }

    fn paint(self, text: &str, with: impl Fn(ColoredString) -> ColoredString) -> String {
        if self.on { with(text.normal()).to_string() } else { text.to_owned() }
    }

    /// One of several series, told apart by colour beside whatever else tells them apart.
    #[must_use]
    pub fn series(self, index: usize, text: &str) -> String {
        const COLORS: [Color; 6] =
            [Color::Blue, Color::Yellow, Color::Green, Color::Red, Color::Cyan, Color::BrightBlack];
        self.paint(text, |text| text.color(COLORS[index.min(COLORS.len() - 1)]))
    }

    /// What hurts.
    #[must_use]
    pub fn error(self, text: &str) -> String {
        self.paint(text, |text| text.red().bold())
    }

    /// What is likely to.
    #[must_use]
    pub fn warning(self, text: &str) -> String {
        self.paint(text, Colorize::yellow)
    }

    /// What is worth knowing.
    #[must_use]
    pub fn info(self, text: &str) -> String {
        self.paint(text, Colorize::cyan)
    }

    /// What is well.
    #[must_use]
    pub fn good(self, text: &str) -> String {
        self.paint(text, Colorize::green)
    }

    /// What stands back.
    #[must_use]
    pub fn faint(self, text: &str) -> String {
        self.paint(text, Colorize::dimmed)
    }

    /// What stands out.
    #[must_use]
    pub fn strong(self, text: &str) -> String {
        self.paint(text, Colorize::bold)
    }
}
