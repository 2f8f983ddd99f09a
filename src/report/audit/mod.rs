//! An audit for people.

mod causes;
mod marks;
mod origin;
mod summary;
mod table;

use super::Palette;
use crate::audit::Severity;

pub use causes::{Detail, causes};
pub use marks::{Marks, marks};
pub use origin::{Explained, explain, explained, show_origin};
pub use summary::summary;
pub use table::{rows, wide};

pub(super) use causes::short_name;
use origin::show_cause;

/// A text in a severity's colour.
fn paint(palette: Palette, severity: Severity, text: &str) -> String {
    match severity {
        Severity::Error => palette.error(text),
        Severity::Warning => palette.warning(text),
        Severity::Info => palette.info(text),
    }
}
