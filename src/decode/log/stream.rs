//! What a container runtime says of the pieces that lines come in.

/// Which of its two outputs a program wrote to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Stream {
    /// Not said.
    #[default]
    Unknown,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Whether a text is a whole line, or a piece of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    Whole,
    /// It goes on.
    More,
    /// It ends a line that may have gone on.
    Last,
}
