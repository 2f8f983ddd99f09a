//! Reading ahead: while one thread works on a file's bytes, another reads and unpacks the next ones.

use std::io::{self, BufRead, Read};
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use super::until::{Ended, inner};

/// How many bytes go from one to the other at once.
const PIECE: usize = 256 << 10;
/// How many pieces lie between them.
const BETWEEN: usize = 4;

/// Lets `work` read on a thread of its own what this thread takes from `reader`. What is smaller than a piece is worked
/// on at once.
pub fn ahead<T: Send>(reader: &mut dyn BufRead, work: impl FnOnce(&mut dyn BufRead) -> T + Send) -> T {
    let (first, outcome) = piece(reader);
    if first.len() < PIECE && outcome.is_ok() {
        return work(&mut first.as_slice());
    }
    let (give, come) = sync_channel(BETWEEN);
    thread::scope(|scope| {
        let worker = scope.spawn(move || work(&mut Pieces { come, piece: Vec::new(), at: 0, ended: None }));
        let mut next = (first, outcome);
        loop {
            let (read, outcome) = next;
            let is_last = read.len() < PIECE || outcome.is_err();
            let mut pieces = (!read.is_empty()).then_some(Ok(read)).into_iter().chain(outcome.err().map(Err));
            // Who works may have seen enough.
            if pieces.any(|piece| give.send(piece).is_err()) || is_last {
                break;
            }
            next = piece(reader);
        }
        drop(give);
        worker.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// The next bytes, less than a piece at the end only, and whether reading them failed.
fn piece(reader: &mut dyn BufRead) -> (Vec<u8>, io::Result<()>) {
    let mut piece = Vec::with_capacity(PIECE);
    let outcome = reader.take(PIECE as u64).read_to_end(&mut piece).map(drop);
    // What comes before a cut in an archive may be no content of the file at all; what comes before the end of the time is.
    if outcome.as_ref().is_err_and(|error| inner::<Ended>(error).is_none()) {
        piece.clear();
    }
    (piece, outcome)
}

/// Reads the pieces that come.
struct Pieces {
    come: Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    at: usize,
    /// Why no more comes, where that is not the end: whoever reads on is told again.
    ended: Option<Ended>,
}

impl BufRead for Pieces {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.piece.len() {
            match (self.come.recv(), self.ended) {
                (Ok(next), _) => (self.piece, self.at) = (next.inspect_err(|error| self.ended = inner(error))?, 0),
                (Err(_), Some(ended)) => return Err(io::Error::other(ended)),
                (Err(_), None) => {}
            }
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
        struct Broken(Option<Ended>);
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(self.0.map_or_else(|| io::ErrorKind::InvalidData.into(), io::Error::other))
            }
        }
        for before in [0, 10, PIECE, 2 * PIECE + 10] {
            let bytes = vec![b'x'; before];
            // All that came in the time is given, and of what broke the pieces that are whole.
            let whole = before / PIECE * PIECE;
            for (why, given) in [(Some(Ended::Interrupted), before), (None, whole)] {
                let (error, read) = ahead(&mut BufReader::new(bytes.as_slice().chain(Broken(why))), |reader| {
                    let mut all = Vec::new();
                    (reader.read_to_end(&mut all).unwrap_err(), all.len())
                });
                assert_eq!((inner(&error), read), (why, given), "{before}");
                assert!(why.is_some() || error.kind() == io::ErrorKind::InvalidData, "{error}");
            }
        }
    }
}
