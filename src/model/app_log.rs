//! A record of an application's log, as far as `resets` needs it.

use std::fmt;
use std::time::Duration;

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
#[derive(Clone, Debug, Default)]
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
    /// What ties the records of one call together.
    pub call: Option<Call<'a>>,
    /// The logger that wrote it, where a field says so.
    pub logger: Option<&'a str>,
    /// How long the call took, where a field says so.
    pub duration: Option<Duration>,
    /// How grave it is, where a field says so.
    pub severity: Option<Severity>,
    /// Of a record in JSON: its whole text, and all its texts.
    pub json: Option<JsonRecord<'a>>,
    /// Number of the record's first line in its input, from 1.
    pub line: u64,
    /// Whether it is known to have none of the words that are looked for: of a record in JSON, fields that only matter to
    /// failures are not read then.
    pub quiet: bool,
}

/// What the records of one call have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call<'a> {
    /// An id of the request, trace or span.
    Request(&'a str),
    /// The thread, which does many calls one after the other.
    Thread(&'a str),
}

impl<'a> Call<'a> {
    /// The id, or the thread's name.
    #[must_use]
    pub const fn name(self) -> &'a str {
        match self {
            Self::Request(name) | Self::Thread(name) => name,
        }
    }
}

/// Whether a record reports that something went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Information and below.
    Quiet,
    /// A warning and above.
    Loud,
}

/// A record in JSON, beyond the fields that loggers are known to use.
#[derive(Clone, Copy)]
pub struct JsonRecord<'a> {
    /// As it stands in the log.
    pub raw: &'a str,
    /// Gives each text of the record, with where it stands.
    pub leaves: &'a Leaves<'a>,
}

/// Hands each text of a record to whoever asks.
pub type Leaves<'a> = dyn Fn(&mut dyn FnMut(Leaf<'_>)) + 'a;

impl fmt::Debug for JsonRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonRecord").field("raw", &self.raw).finish_non_exhaustive()
    }
}

/// A text in a JSON record.
#[derive(Clone, Copy, Debug)]
pub struct Leaf<'l> {
    /// The keys that lead to it.
    pub path: &'l [&'l str],
    /// The text.
    pub text: &'l str,
    /// Whether it is an element of a list of texts.
    pub listed: bool,
}
