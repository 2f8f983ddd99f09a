//! Bytes into lines, in place and bounded.

use std::io::{self, Read};

/// The longest line that is kept; what is beyond is dropped and counted.
pub const MAX_LINE: usize = 1 << 20;

/// The longest line that is kept of those that begin as a JSON document does: a log store's answer may be one line.
const MAX_DOCUMENT: usize = 32 << 20;

/// The most that is held of a log to be read from its end.
const MAX_HELD: usize = 256 << 20;

/// What a held line costs beside its bytes: its vector, and what the allocator adds and rounds up.
const A_LINE: usize = size_of::<Vec<u8>>() + 32;

const CHUNK: usize = 256 << 10;

/// Reads a stream of bytes as lines, holding no more than one line (at most [`MAX_LINE`] bytes) and one chunk.
#[derive(Debug)]
pub struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    finished: bool,
    skipping: bool,
    /// What ends a line: LF, or CR in a file that has no LF where it begins.
    end_of_line: Option<u8>,
    /// Lines that were longer than [`MAX_LINE`] and so were cut.
    pub cut: u64,
}

impl<R: Read> Lines<R> {
    /// Lines of this reader.
    pub fn new(reader: R) -> Self {
        Self {
            reader,
            buffer: vec![0; CHUNK],
            start: 0,
            end: 0,
            finished: false,
            skipping: false,
            end_of_line: None,
            cut: 0,
        }
    }

    /// The next line without its line feed (and carriage return), or `None` at the end.
    ///
    /// # Errors
    /// Whatever the reader says; what was read before it has been returned.
    pub fn next_line(&mut self) -> io::Result<Option<&[u8]>> {
        let mut searched = self.start;
        loop {
            if let Some(found) = memchr::memchr(self.end_of_line.unwrap_or(b'\n'), &self.buffer[searched..self.end]) {
                let (from, to) = (self.start, searched + found);
                self.start = to + 1;
                if std::mem::take(&mut self.skipping) {
                    searched = self.start;
                    continue;
                }
                return Ok(Some(trim(&self.buffer[from..to])));
            }
            if self.skipping {
                self.start = self.end;
            } else if self.end - self.start >= MAX_LINE {
                let longest = longest(&self.buffer[self.start..self.end]);
                if self.end - self.start >= longest {
                    self.cut += 1;
                    self.skipping = true;
                    let from = self.start;
                    self.start = self.end;
                    return Ok(Some(&self.buffer[from..from + longest]));
                }
            }
            if self.finished {
                let from = self.start;
                self.start = self.end;
                return Ok((from < self.end).then(|| trim(&self.buffer[from..self.end])));
            }
            searched = self.fill()?;
        }
    }

    /// Takes lines until there are so many, or no more; false where they are too large to be held.
    ///
    /// # Errors
    /// Whatever the reader says; what was read before it is held.
    pub fn hold(&mut self, held: &mut Vec<Vec<u8>>, count: usize) -> io::Result<bool> {
        let mut size: usize = held.iter().map(|line| line.len() + A_LINE).sum();
        while held.len() < count && size < MAX_HELD {
            let Some(line) = self.next_line()? else { break };
            size += line.len() + A_LINE;
            held.push(line.to_vec());
        }
        Ok(size < MAX_HELD)
    }

    /// Reads more behind what is unread; returns where the new bytes begin.
    fn fill(&mut self) -> io::Result<usize> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.buffer.len() - self.end < CHUNK / 2 {
            self.buffer.resize(self.buffer.len() + CHUNK, 0);
        }
        let before = self.end;
        loop {
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.finished = true,
                Ok(count) => {
                    self.end += count;
                    if self.end_of_line.is_none() {
                        self.end_of_line = ending(&self.buffer[self.start..self.end]);
                        // What was searched for a line feed may have had carriage returns.
                        return Ok(self.start);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            return Ok(before);
        }
    }
}

/// What ends lines in a file with these bytes. A carriage return alone may be followed by its line feed in the next
/// piece, so one at the end decides nothing.
fn ending(bytes: &[u8]) -> Option<u8> {
    if memchr::memchr(b'\n', bytes).is_some() {
        return Some(b'\n');
    }
    let at = memchr::memchr(b'\r', bytes)?;
    (at + 1 < bytes.len()).then_some(b'\r')
}

fn longest(line: &[u8]) -> usize {
    match line.trim_ascii_start() {
        [b'{', ..] | [b'[', b'{' | b'[' | b' ', ..] => MAX_DOCUMENT,
        _ => MAX_LINE,
    }
}

fn trim(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::super::pieces::Pieces;
    use super::*;

    fn lines(bytes: &[u8], piece: usize) -> (Vec<usize>, u64) {
        let mut lines = Lines::new(Pieces(bytes, piece));
        let mut lengths = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            lengths.push(line.len());
        }
        (lengths, lines.cut)
    }

    #[test]
    fn lines_are_the_same_however_they_arrive() {
        for piece in [1, 7, 1 << 20] {
            assert_eq!(lines(b"a\r\nbb\n\nccc", piece), (vec![1, 2, 0, 3], 0));
        }
        assert_eq!(lines(b"", 8), (vec![], 0));
        for piece in [2, 7, 1 << 20] {
            assert_eq!(lines(b"a\rbb\rccc", piece), (vec![1, 2, 3], 0), "old Macs, and some terminals' captures");
        }
    }

    #[test]
    fn a_line_without_end_is_cut_and_the_rest_of_it_dropped() {
        let mut log = vec![b'x'; 3 * MAX_LINE];
        log.extend_from_slice(b"\nshort\n");
        log.extend(std::iter::repeat_n(b'y', MAX_LINE - 1));
        log.push(b'\n');
        for piece in [100_000, 10 << 20] {
            assert_eq!(lines(&log, piece), (vec![MAX_LINE, 5, MAX_LINE - 1], 1));
        }
        let endless = vec![b'x'; 2 * MAX_LINE + 5];
        assert_eq!(lines(&endless, 65_536), (vec![MAX_LINE], 1));
    }
}
