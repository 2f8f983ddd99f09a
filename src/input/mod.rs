//! Files, directories, archives and standard input into lines of text, without knowing what they say.
//!
//! [`walk`] gives every file of an input as its unpacked bytes, [`Text`] turns bytes into UTF-8, and [`Lines`] cuts
//! that into lines. All of it is bounded: what an input unfolds into, the headers of archives, the length of a line.

mod lines;
#[cfg(test)]
mod pieces;
mod tar;
mod text;
mod unpack;
mod walk;

pub use lines::{Lines, MAX_LINE};
pub use text::Text;
pub use unpack::Unfolds;
pub use walk::{ArchiveLimits, EachEntry, Entry, InputError, walk};
