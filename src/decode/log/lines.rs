//! Bytes into lines, in place and bounded.

use std::io::{self, Read};

/// The longest line that is kept; what is beyond is dropped and counted.
pub const MAX_LINE: usize = 1 << 20;

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
    /// Lines that were longer than [`MAX_LINE`] and so were cut.
    pub cut: u64,
}

impl<R: Read> Lines<R> {
    /// Lines of this reader.
    pub fn new(reader: R) -> Self {
        Self { reader, buffer: vec![0; CHUNK], start: 0, end: 0, finished: false, skipping: false, cut: 0 }
    }

    /// The next line without its line feed (and carriage return), or `None` at the end.
    ///
    /// # Errors
    /// Whatever the reader says; what was read before it has been returned.
    pub fn next_line(&mut self) -> io::Result<Option<&[u8]>> {
        let mut searched = self.start;
        loop {
            if let Some(found) = memchr::memchr(b'\n', &self.buffer[searched..self.end]) {
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
                self.cut += 1;
                self.skipping = true;
                let from = self.start;
                self.start = self.end;
                return Ok(Some(&self.buffer[from..from + MAX_LINE]));
            }
            if self.finished {
                let from = self.start;
                self.start = self.end;
                return Ok((from < self.end).then(|| trim(&self.buffer[from..self.end])));
            }
            searched = self.fill()?;
        }
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
                Ok(count) => self.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            return Ok(before);
        }
    }
}

fn trim(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}
