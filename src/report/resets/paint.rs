//! Colours of the chart, in the terminal and in pictures.

use std::borrow::Cow;
use std::fmt::Write as _;

use colored::{Color, Colorize};

/// Whether to colour, decided once by the command.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    /// Whether escape sequences are wanted.
    pub colour: bool,
}

/// Okabe and Ito's palette, which colour-blind readers tell apart ("Color Universal Design", 2008), without its black
/// and its yellow, which the two grounds swallow; the last is for all other services.
pub(super) const SERIES: [(u8, u8, u8); 9] = [
    (0x00, 0x72, 0xb2),
    (0xe6, 0x9f, 0x00),
    (0x00, 0x9e, 0x73),
    (0xd5, 0x5e, 0x00),
    (0xcc, 0x79, 0xa7),
    (0x56, 0xb4, 0xe9),
    (0x8c, 0x6b, 0xb1),
    (0xa6, 0x76, 0x1d),
    (0x8a, 0x8a, 0x8a),
];

impl Paint {
    fn paint(self, text: &str, style: impl FnOnce(colored::ColoredString) -> colored::ColoredString) -> String {
        if self.colour { style(text.normal()).to_string() } else { text.to_owned() }
    }

    pub(super) fn heading(self, text: &str) -> String {
        self.paint(text, Colorize::bold)
    }

    pub(super) fn faint(self, text: &str) -> String {
        self.paint(text, Colorize::dimmed)
    }

    pub(super) fn mark(self, text: &str) -> String {
        self.paint(text, |text| text.bold().magenta())
    }

    pub(super) fn series(self, index: usize, text: &str) -> String {
        const TERMINAL: [Color; 6] =
            [Color::Blue, Color::Yellow, Color::Green, Color::Red, Color::Cyan, Color::BrightBlack];
        self.paint(text, |text| text.color(TERMINAL[index.min(TERMINAL.len() - 1)]))
    }
}

/// Text from a log, made harmless for a terminal: C0, C1, ESC and the bidirectional controls are shown by their number.
pub(super) fn escape(text: &str) -> Cow<'_, str> {
    let hostile = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{061c}' | '\u{feff}')
    };
    if !text.contains(hostile) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::new();
    for c in text.chars() {
        if hostile(c) {
            let _ = write!(plain, "\\u{{{:x}}}", u32::from(c));
        } else {
            plain.push(c);
        }
    }
    Cow::Owned(plain)
}
