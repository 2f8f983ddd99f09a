//! A record of an application's log, as far as `resets` needs it.

use jiff::Timestamp;
use jiff::civil::DateTime;

/// When a record says it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoggedAt {
    /// The instant.
    pub at: Timestamp,
    /// Whether the text named a zone or an offset; without one the reader's `log zone` was assumed.
    pub zoned: bool,
    /// Whether the text names the year, and day and month beyond doubt; else they were taken from the log's other
    /// times, its name, or the moment it was read.
    pub dated: bool,
    /// Whether the text has a fraction of a second: without one no delay below a second can be read from it.
    pub subsecond: bool,
    /// What the clock showed, where the text is a clock's time and no number.
    pub local: Option<DateTime>,
}

impl LoggedAt {
    /// An instant that leaves nothing open.
    #[must_use]
    pub const fn exact(at: Timestamp, subsecond: bool) -> Self {
        Self { at, zoned: true, dated: true, subsecond, local: None }
    }
}

/// One record of an application's log: a line, or a line with the stack trace that follows it.
#[derive(Clone, Debug)]
pub struct AppRecord<'a> {
    /// When it was written, if it says so.
    pub logged_at: Option<LoggedAt>,
    /// The service that the record itself names (a field of the record or of its envelope).
    pub service: Option<&'a str>,
    /// The message, a newline, and the stack trace: bounded by the reader's limits.
    pub text: &'a str,
    /// The exception that the record names in a field of its own, where it does.
    pub exception: Option<&'a str>,
    /// The host that the record names in a field of its own (`hostname`, `url`, …).
    pub target: Option<&'a str>,
    /// What ties the records of one call together: a request id, else the thread.
    pub call: Option<&'a str>,
    /// Number of the record's first line in its input, from 1.
    pub line: u64,
}
