//! How many proxies are read at once. Port-forwards bypass the API server's own protection (they count as
//! long-running requests), so the restraint has to be ours.

use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

/// Gives turns; fewer at once after the server has said that it is busy.
pub(super) struct Limiter {
    turns: Semaphore,
    state: Mutex<State>,
}

struct State {
    /// How many turns there are.
    size: usize,
    /// How many there should be.
    wanted: usize,
    halved: Option<Instant>,
}

/// A turn; dropping it gives it to the next.
pub(super) struct Turn<'a> {
    limiter: &'a Limiter,
    permit: Option<SemaphorePermit<'a>>,
}

impl Limiter {
    /// Answers that come this close together speak of the same moment.
    const PAUSE: Duration = Duration::from_secs(1);

    pub(super) fn new(size: usize) -> Self {
        let size = size.max(1);
        Self { turns: Semaphore::new(size), state: Mutex::new(State { size, wanted: size, halved: None }) }
    }

    /// Waits for a turn.
    pub(super) async fn turn(&self) -> Turn<'_> {
        Turn { limiter: self, permit: self.turns.acquire().await.ok() }
    }

    /// The server is busy: half as many from now on, but one at least.
    pub(super) fn halve(&self) {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = Instant::now();
        if state.halved.is_none_or(|last| now - last > Self::PAUSE) {
            state.halved = Some(now);
            state.wanted = (state.wanted / 2).max(1);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.limiter.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if state.size > state.wanted
            && let Some(permit) = self.permit.take()
        {
            permit.forget();
            state.size -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn halves_once_for_answers_that_come_together_and_never_to_nothing() {
        let limiter = Limiter::new(4);
        for _ in 0..3 {
            let turns = [limiter.turn().await, limiter.turn().await];
            limiter.halve();
            drop(turns);
        }
        assert_eq!(limiter.turns.available_permits(), 2);
        let single = Limiter::new(0);
        single.halve();
        drop(single.turn().await);
        assert_eq!(single.turns.available_permits(), 1);
    }
}
