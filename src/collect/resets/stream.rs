//! One stream of log lines, read and counted.

use crate::decode::app_log::{LogEntry, LogReader, ReaderOptions};
use crate::resets::{Question, StreamCounter, Tally};

/// Reads and counts one stream of log lines: a file, a container's log, what a log store has of one source.
pub struct LogCounter<'q> {
    counter: StreamCounter<'q>,
    reader: LogReader,
    bytes: u64,
}

impl<'q> LogCounter<'q> {
    /// A counter for a stream whose records belong to `service` unless they say otherwise.
    #[must_use]
    pub fn new(question: &'q Question, service: impl Into<String>, options: ReaderOptions) -> Self {
        Self { counter: StreamCounter::new(question, service), reader: LogReader::new(options), bytes: 0 }
    }

    /// Takes the next line, without its end.
    pub fn push(&mut self, line: &[u8]) {
        let Self { counter, reader, .. } = self;
        self.bytes += line.len() as u64 + 1;
        let question = counter.question();
        reader.push_unless(line, &|line| question.is_quiet(line), &mut |entry| take(counter, &entry));
    }

    /// Takes the next bytes, cut anywhere.
    pub fn feed(&mut self, chunk: &[u8]) {
        let Self { counter, reader, .. } = self;
        self.bytes += chunk.len() as u64;
        reader.feed(chunk, &mut |entry| take(counter, &entry));
    }

    /// Ends the stream and gives its counts; `cut_lines` were cut before they came here. And what stands in the place of
    /// the log or of its rest, where it could not be read.
    #[must_use]
    pub fn finish(mut self, cut_lines: u64) -> (Tally, Option<String>) {
        let Self { counter, reader, bytes, .. } = &mut self;
        reader.finish(&mut |entry| take(counter, &entry));
        let odd = reader.oddities();
        let reading = counter.reading();
        reading.bytes = *bytes;
        reading.cut_lines = odd.cut_lines + cut_lines;
        reading.invalid_utf8 = odd.invalid_utf8;
        let missing = reader.missing().map(|said| format!("in its place, or in that of its rest, stands {said:?}"));
        (self.counter.finish(), missing)
    }
}

/// Gives an entry to its counter.
fn take(counter: &mut StreamCounter<'_>, entry: &LogEntry<'_>) {
    match entry {
        LogEntry::App(record) => counter.record(record),
        LogEntry::Call { call, logged_at, service } => counter.call(call, *logged_at, *service),
    }
}
