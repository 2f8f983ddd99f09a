//! An audit for people.

mod origin;
mod summary;
mod table;

pub use origin::{explain, show_origin};
pub use summary::summary;
pub use table::{rows, wide};

use crate::audit::Severity;
use crate::report::Palette;

/// A text in a severity's colour.
fn paint(palette: Palette, severity: Severity, text: &str) -> String {
    match severity {
        Severity::Error => palette.error(text),
        Severity::Warning => palette.warning(text),
        Severity::Info => palette.info(text),
    }
}
