//! When the reading of an input has to end, though there may be more of it: a pipe may be silent for ever, a device has no
//! end.

use std::fs::File;
use std::io::{self, BufRead, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// How many bytes come out of a pipe at once: as many as Linux holds of one.
const PIECE: usize = 64 << 10;
/// How many pieces lie ready at most.
const BETWEEN: usize = 4;
/// How long may pass until it is seen that somebody wants the end.
const LOOK: Duration = Duration::from_millis(50);

/// When reading has to end.
#[derive(Debug, Clone, Copy)]
pub struct Until {
    /// The moment, and how long it was until then to begin with.
    end: Option<(Instant, Duration)>,
    /// Whether somebody wants the end.
    asked: fn() -> bool,
}

/// Why reading ended before its input did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// The whole command's time is over.
    #[error("its end did not come within the whole command's {0:?} (--timeout)")]
    OutOfTime(Duration),
    /// Somebody wanted the end.
    #[error("interrupted before its end")]
    Interrupted,
}

impl Until {
    /// At the end of the input.
    pub const ITS_END: Self = Self { end: None, asked: || false };

    /// At this moment, which lies `total` behind the beginning, or as soon as somebody asks for the end.
    #[must_use]
    pub fn new(end: Option<(Instant, Duration)>, asked: fn() -> bool) -> Self {
        Self { end, asked }
    }

    /// Why nothing more is to be read, if that is so.
    #[must_use]
    pub fn over(&self) -> Option<Ended> {
        if (self.asked)() {
            return Some(Ended::Interrupted);
        }
        self.end.filter(|(at, _)| *at <= Instant::now()).map(|(_, total)| Ended::OutOfTime(total))
    }

    fn check(&self) -> io::Result<()> {
        self.over().map_or(Ok(()), |ended| Err(io::Error::other(ended)))
    }

    /// How long to wait until the next look.
    fn pause(&self) -> Duration {
        self.end.map_or(LOOK, |(at, _)| at.saturating_duration_since(Instant::now()).min(LOOK))
    }
}

/// The reason of ours for which reading failed, whatever what unpacks has put around it.
pub(super) fn inner<E: std::error::Error + Copy + 'static>(error: &io::Error) -> Option<E> {
    let mut next = error.get_ref().map(|inner| inner as &(dyn std::error::Error + 'static));
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(*found);
        }
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// Opens a file, or standard input where that is named `-`. Of what may keep its reader waiting, as a pipe does, a thread
/// of its own reads and opens, which is left alone when the time is over.
pub fn open(path: &Path, until: Until) -> io::Result<Box<dyn Read>> {
    if path.as_os_str() == "-" {
        return Ok(Box::new(Piped::new(until, || Ok(io::stdin()))));
    }
    if path.metadata()?.is_file() {
        return Ok(Box::new(Timely { inner: File::open(path)?, until }));
    }
    let path = PathBuf::from(path);
    Ok(Box::new(Piped::new(until, || File::open(path))))
}

/// A reader that ends with an error when the time is over.
pub(super) struct Timely<R> {
    pub(super) inner: R,
    pub(super) until: Until,
}

impl<R: Read> Read for Timely<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.until.check()?;
        self.inner.read(buffer)
    }
}

impl<R: BufRead> BufRead for Timely<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.until.check()?;
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.inner.consume(count);
    }
}

impl<R: io::Seek> io::Seek for Timely<R> {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

/// What comes from a thread that may wait for it for ever.
struct Piped {
    come: Receiver<io::Result<Vec<u8>>>,
    piece: Cursor<Vec<u8>>,
    until: Until,
}

impl Piped {
    fn new<R: Read>(until: Until, open: impl FnOnce() -> io::Result<R> + Send + 'static) -> Self {
        let (give, come) = sync_channel(BETWEEN);
        thread::spawn(move || {
            let mut reader = match open() {
                Ok(reader) => reader,
                Err(error) => return drop(give.send(Err(error))),
            };
            loop {
                let mut piece = vec![0; PIECE];
                let read = match reader.read(&mut piece) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    read => read,
                };
                let is_last = !matches!(read, Ok(1..));
                let given = give.send(read.map(|count| {
                    piece.truncate(count);
                    piece
                }));
                if is_last || given.is_err() {
                    break;
                }
            }
        });
        Self { come, piece: Cursor::default(), until }
    }
}

impl Read for Piped {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.piece.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            self.until.check()?;
            match self.come.recv_timeout(self.until.pause()) {
                Ok(Ok(piece)) if piece.is_empty() => return Ok(0),
                Ok(piece) => self.piece = Cursor::new(piece?),
                Err(RecvTimeoutError::Timeout) => {}
                // Its end has come before.
                Err(RecvTimeoutError::Disconnected) => return Ok(0),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;

    fn within(total: Duration) -> Until {
        Until::new(Some((Instant::now() + total, total)), || false)
    }

    fn ended(error: &io::Error) -> Option<Ended> {
        inner(error)
    }

    /// A pipe into which so much is written, and which then stays open and silent.
    struct Silent(Cursor<&'static [u8]>);

    impl Read for Silent {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buffer)? {
                0 => loop {
                    thread::park();
                },
                count => Ok(count),
            }
        }
    }

    #[test]
    fn what_came_before_the_end_is_given_and_then_the_reason() {
        let total = Duration::from_millis(100);
        let mut pipe = Piped::new(within(total), || Ok(Silent(Cursor::new(b"one\n"))));
        let mut text = Vec::new();
        let error = pipe.read_to_end(&mut text).unwrap_err();
        assert_eq!((text.as_slice(), ended(&error)), (&b"one\n"[..], Some(Ended::OutOfTime(total))));
        assert_eq!(ended(&pipe.read(&mut [0]).unwrap_err()), Some(Ended::OutOfTime(total)), "and again");
    }

    #[test]
    fn what_never_opens_is_not_waited_for_when_somebody_wants_the_end() {
        let mut pipe = Piped::new(Until::new(None, || true), || -> io::Result<File> {
            loop {
                thread::park();
            }
        });
        assert_eq!(ended(&pipe.read(&mut [0]).unwrap_err()), Some(Ended::Interrupted));
    }

    #[test]
    fn a_pipe_gives_all_that_a_file_has() {
        let bytes: Vec<u8> = (0..5 * PIECE + 7).map(|at| (at % 251) as u8).collect();
        let mut text = Vec::new();
        let given = bytes.clone();
        Piped::new(Until::ITS_END, || Ok(Cursor::new(given))).read_to_end(&mut text).unwrap();
        assert!(text == bytes);
    }
}
