//! Files, directories, archives and standard input into lines of text, without knowing what they say.
//!
//! [`walk`] gives every file of an input as its unpacked bytes, [`Text`] turns bytes into UTF-8, and [`Lines`] cuts
//! that into lines. [`ahead`] reads on one thread what another works on. All of it is bounded: what an input unfolds into, the
//! headers of archives, the length of a line, and by [`Until`] the time that it takes.

mod ahead;
mod lines;
#[cfg(test)]
mod pieces;
mod tar;
mod text;
mod unpack;
mod until;
mod walk;

pub use ahead::ahead;
pub use lines::{Lines, MAX_LINE};
pub use text::{Text, is_utf16};
pub use unpack::Unfolds;
pub use until::{Ended, Until, open};
pub use walk::{ArchiveLimits, EachEntry, Entry, InputError, walk};
