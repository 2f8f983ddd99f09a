//! Reading ahead: while one thread works on a file's bytes, another reads and unpacks the next ones.

use std::io::{self, BufRead, Read};
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

/// How many bytes go from one to the other at once.
const PIECE: usize = 256 << 10;
/// How many pieces lie between them.
const BETWEEN: usize = 4;

/// Lets `work` read on a thread of its own what this thread takes from `reader`. What is smaller than a piece is worked
/// on at once.
pub fn ahead<T: Send>(reader: &mut dyn BufRead, work: impl FnOnce(&mut dyn BufRead) -> T + Send) -> T {
    let first = piece(reader);
    if first.as_ref().is_ok_and(|first| first.len() < PIECE) {
        return work(&mut first.unwrap_or_default().as_slice());
    }
    let (give, come) = sync_channel(BETWEEN);
    thread::scope(|scope| {
        let worker = scope.spawn(move || work(&mut Pieces { come, piece: Vec::new(), at: 0 }));
        let mut next = first;
        loop {
            let is_last = next.as_ref().map_or(true, |piece| piece.len() < PIECE);
            // Who works may have seen enough.
            if give.send(next).is_err() || is_last {
                break;
            }
            next = piece(reader);
        }
        drop(give);
        worker.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// The next bytes: less than a piece at the end only.
fn piece(reader: &mut dyn BufRead) -> io::Result<Vec<u8>> {
    let mut piece = Vec::with_capacity(PIECE);
    reader.take(PIECE as u64).read_to_end(&mut piece)?;
    Ok(piece)
}

/// Reads the pieces that come.
struct Pieces {
    come: Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    at: usize,
}

impl BufRead for Pieces {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.piece.len()
            && let Ok(next) = self.come.recv()
        {
            (self.piece, self.at) = (next?, 0);
        }
        Ok(&self.piece[self.at..])
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use std::io::BufReader;

    #[test]
    fn everything_comes_in_order() {
        for size in [0, 1, PIECE - 1, PIECE, PIECE + 1, 7 * PIECE + 3] {
            let bytes: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            let read = ahead(&mut BufReader::new(bytes.as_slice()), |reader| {
                let mut all = Vec::new();
                reader.read_to_end(&mut all).unwrap();
                all
            });
            assert!(read == bytes, "{size}");
        }
    }

    #[test]
    fn who_has_seen_enough_is_not_waited_for() {
        let mut endless = BufReader::new(io::repeat(b'x'));
        assert_eq!(ahead(&mut endless, |reader| reader.fill_buf().unwrap()[0]), b'x');
    }

    #[test]
    fn an_error_comes_where_it_stands() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::InvalidData.into())
            }
        }
        for before in [0, 10, PIECE, 2 * PIECE] {
            let bytes = vec![b'x'; before];
            let error = ahead(&mut BufReader::new(bytes.as_slice().chain(Broken)), |reader| {
                let mut all = Vec::new();
                reader.read_to_end(&mut all).unwrap_err()
            });
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{before}");
        }
    }
}
