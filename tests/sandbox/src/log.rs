//! What a container has written, line by line with the time of each line, as a kubelet keeps it.

use std::collections::VecDeque;
use std::sync::Mutex;

use jiff::Timestamp;
use tokio::sync::watch;

/// Lines kept for one container; older ones are dropped, as log rotation drops them.
const LINES_KEPT: usize = 200_000;

/// One container's log.
#[derive(Debug)]
pub struct ContainerLog {
    lines: Mutex<Lines>,
    written: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Lines {
    kept: VecDeque<(Timestamp, String)>,
    /// How many lines were dropped before the first one kept.
    dropped: u64,
}

impl Default for ContainerLog {
    fn default() -> Self {
        Self { lines: Mutex::default(), written: watch::Sender::new(0) }
    }
}

impl ContainerLog {
    /// Adds a line, without its newline.
    pub fn push(&self, time: Timestamp, line: String) {
        let mut lines = self.lines.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if lines.kept.len() == LINES_KEPT {
            lines.kept.pop_front();
            lines.dropped += 1;
        }
        lines.kept.push_back((time, line));
        self.written.send_replace(lines.dropped + lines.kept.len() as u64);
    }

    /// The lines from the `from`-th ever written on, and the number to ask for next.
    #[must_use]
    pub fn since(&self, from: u64) -> (Vec<(Timestamp, String)>, u64) {
        let lines = self.lines.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let skip = usize::try_from(from.saturating_sub(lines.dropped)).unwrap_or(usize::MAX);
        (lines.kept.iter().skip(skip).cloned().collect(), lines.dropped + lines.kept.len() as u64)
    }

    /// Changes whenever a line is added.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.written.subscribe()
    }

    /// Everything kept, as text.
    #[must_use]
    pub fn text(&self) -> String {
        self.since(0).0.into_iter().fold(String::new(), |text, (_, line)| text + &line + "\n")
    }
}
