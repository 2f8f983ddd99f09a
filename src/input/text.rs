//! Bytes into UTF-8 text: byte order marks, UTF-16 as Windows writes it, and the zero bytes that a log has where it was
//! truncated while its writer went on.

use std::io::{self, Read};

use super::InputError;

/// How many bytes at the beginning decide what the bytes are.
const SNIFFED: usize = 4096;
const CHUNK: usize = 64 << 10;

/// How text is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    /// UTF-8, or any other that has ASCII in it; zero bytes are left out.
    Utf8,
    Utf16 {
        big_endian: bool,
    },
}

/// Reads any text as UTF-8. Invalid sequences are passed on as they are.
pub struct Text<R> {
    reader: R,
    encoding: Encoding,
    /// Bytes that have been read and not yet turned.
    raw: Vec<u8>,
    /// Whether they are those of the beginning, of which none has been turned.
    fresh: bool,
    /// Bytes that have been turned and not yet given out, from `given` on.
    turned: Vec<u8>,
    given: usize,
}

impl<R: Read> Text<R> {
    /// Text of this reader, whose first bytes are read here.
    ///
    /// # Errors
    /// [`InputError::NotText`] for what is no text, and whatever the reader says.
    pub fn new(mut reader: R) -> Result<Self, InputError> {
        let mut raw = vec![0; SNIFFED];
        let mut filled = 0;
        // One read is enough of a stream that somebody writes into at this moment; two bytes are a mark.
        while filled < 2 {
            match reader.read(&mut raw[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        raw.truncate(filled);
        let (encoding, mark) = sniff(&raw).ok_or(InputError::NotText)?;
        raw.drain(..mark);
        Ok(Self { reader, encoding, fresh: !raw.is_empty(), raw, turned: Vec::new(), given: 0 })
    }

    /// Reads more and turns it; false at the end.
    fn more(&mut self) -> io::Result<bool> {
        self.turned.clear();
        self.given = 0;
        let before = self.raw.len();
        if !std::mem::take(&mut self.fresh) {
            self.raw.resize(before + CHUNK, 0);
            let count = loop {
                match self.reader.read(&mut self.raw[before..]) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    other => break other,
                }
            };
            let count = match count {
                Ok(count) => count,
                Err(error) => {
                    self.raw.truncate(before);
                    return Err(error);
                }
            };
            self.raw.truncate(before + count);
            if count == 0 {
                // Half a character at the end.
                self.raw.clear();
                return Ok(false);
            }
        }
        match self.encoding {
            Encoding::Utf16 { big_endian } => self.turn_utf16(big_endian),
            // Only the beginning comes here.
            Encoding::Utf8 => {
                std::mem::swap(&mut self.raw, &mut self.turned);
                self.raw.clear();
                self.turned.retain(|byte| *byte != 0);
            }
        }
        Ok(true)
    }

    /// Reads what needs no turning into the caller's buffer.
    fn read_plain(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.reader.read(buffer)?;
            let kept = without_zeros(&mut buffer[..count]);
            if kept > 0 || count == 0 {
                return Ok(kept);
            }
        }
    }

    fn turn_utf16(&mut self, big_endian: bool) {
        let unit = |pair: &[u8]| {
            let pair = [pair[0], pair[1]];
            if big_endian { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) }
        };
        let mut even = self.raw.len() & !1;
        // A pair of surrogates stays together.
        if even >= 2 && (0xd800..0xdc00).contains(&unit(&self.raw[even - 2..even])) {
            even -= 2;
        }
        let units = self.raw[..even].chunks_exact(2).map(unit);
        let mut utf8 = [0; 4];
        for character in char::decode_utf16(units).map(|one| one.unwrap_or(char::REPLACEMENT_CHARACTER)) {
            if character != '\0' && character != '\u{feff}' {
                self.turned.extend_from_slice(character.encode_utf8(&mut utf8).as_bytes());
            }
        }
        self.raw.drain(..even);
    }
}

impl<R: Read> Read for Text<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.given == self.turned.len() {
            if self.encoding == Encoding::Utf8 && !self.fresh {
                return self.read_plain(buffer);
            }
            if !self.more()? {
                return Ok(0);
            }
        }
        let count = buffer.len().min(self.turned.len() - self.given);
        buffer[..count].copy_from_slice(&self.turned[self.given..self.given + count]);
        self.given += count;
        Ok(count)
    }
}

/// Whether bytes at the beginning show that this is UTF-16.
#[must_use]
pub fn is_utf16(beginning: &[u8]) -> bool {
    matches!(sniff(&beginning[..beginning.len().min(SNIFFED)]), Some((Encoding::Utf16 { .. }, _)))
}

/// Moves the bytes that are not zero to the front, and says how many there are.
fn without_zeros(bytes: &mut [u8]) -> usize {
    let Some(first) = memchr::memchr(0, bytes) else { return bytes.len() };
    let mut kept = first;
    for at in first..bytes.len() {
        if bytes[at] != 0 {
            bytes[kept] = bytes[at];
            kept += 1;
        }
    }
    kept
}

/// The encoding that a beginning shows, and the length of its byte order mark; `None` for what is no text.
fn sniff(beginning: &[u8]) -> Option<(Encoding, usize)> {
    match beginning {
        [0xef, 0xbb, 0xbf, ..] => return Some((Encoding::Utf8, 3)),
        [0xff, 0xfe, ..] => return Some((Encoding::Utf16 { big_endian: false }, 2)),
        [0xfe, 0xff, ..] => return Some((Encoding::Utf16 { big_endian: true }, 2)),
        _ => {}
    }
    let zeros = |from: usize| beginning.iter().skip(from).step_by(2).filter(|byte| **byte == 0).count();
    let half = beginning.len() / 2;
    if half >= 8 {
        let (even, odd) = (zeros(0), zeros(1));
        // The other bytes of every pair are letters, and not the numbers of a database's pages.
        let letters = |from: usize| {
            let bytes = beginning.iter().skip(from).step_by(2);
            bytes.filter(|byte| matches!(**byte, 1..=8 | 14..=26 | 28..=31 | 127)).count() * 20 <= half
        };
        if odd * 10 > half * 7 && even * 20 < half && letters(0) {
            return Some((Encoding::Utf16 { big_endian: false }, 0));
        }
        if even * 10 > half * 7 && odd * 20 < half && letters(1) {
            return Some((Encoding::Utf16 { big_endian: true }, 0));
        }
    }
    let told = beginning.iter().filter(|byte| **byte != 0).count();
    let control = |byte: &&u8| matches!(**byte, 1..=8 | 14..=26 | 28..=31 | 127);
    let controls = beginning.iter().filter(control).count();
    (controls * 20 <= told).then_some((Encoding::Utf8, 0))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::super::pieces::Pieces;
    use super::*;

    fn text(bytes: &[u8]) -> String {
        let read = |piece| {
            let mut all = String::new();
            Text::new(Pieces(bytes, piece)).unwrap().read_to_string(&mut all).unwrap();
            all
        };
        assert_eq!(read(3), read(1 << 20), "cut elsewhere, read otherwise");
        read(4096)
    }

    #[test]
    fn what_windows_writes_is_text() {
        let log = "[2026-11-02T10:00:00.857Z] \"GET /é😀 HTTP/1.1\" 200\r\n";
        let little: Vec<u8> = log.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = log.encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(text(&[&[0xff, 0xfe], &little[..]].concat()), log);
        assert_eq!(text(&[&[0xfe, 0xff], &big[..]].concat()), log);
        assert_eq!(text(&[&[0xef, 0xbb, 0xbf], log.as_bytes()].concat()), log);
        assert_eq!(text(log.as_bytes()), log);
        let mut whole = String::new();
        Text::new(&little[..]).unwrap().read_to_string(&mut whole).unwrap();
        assert_eq!(whole, log, "without a mark");
    }

    #[test]
    fn zero_bytes_of_a_truncated_log_are_left_out() {
        let mut log = vec![0; 10_000];
        log.extend_from_slice(b"one\ntwo\n");
        assert_eq!(text(&log), "one\ntwo\n");
    }

    #[test]
    fn what_is_no_text_is_refused() {
        let noise: Vec<u8> = (0..4096_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        assert!(matches!(Text::new(&noise[..]), Err(InputError::NotText)));
        assert!(matches!(
            Text::new(&b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0"[..]),
            Err(InputError::NotText)
        ));
    }
}
