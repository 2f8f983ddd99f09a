//! How many proxies are read at once. Port-forwards bypass the API server's own protection (they count as
//! long-running requests), so the restraint has to be ours.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::reach::{AdminError, AdminRequest, AdminSource, Sink};

/// Gives turns; fewer at once after the server has said that it is busy.
pub(super) struct Limiter {
    turns: Semaphore,
    /// Places for those who have been silent for so long that another has their turn.
    aside: Semaphore,
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

    /// A proxy that says nothing for so long gives its turn to another, and is waited for aside. Proxies that hang
    /// could else use up every turn until the command's time is over.
    pub(super) const QUIET: Duration = Duration::from_secs(2);

    /// How many are waited for aside: each is an open connection of this process, of which some systems allow no more
    /// than 256.
    pub(super) const ASIDE: usize = 128;

    pub(super) fn new(size: usize) -> Self {
        let size = size.max(1);
        let aside = Semaphore::new(Self::ASIDE);
        Self { turns: Semaphore::new(size), aside, state: Mutex::new(State { size, wanted: size, halved: None }) }
    }

    /// Waits for a turn.
    pub(super) async fn turn(&self) -> Turn<'_> {
        Turn { limiter: self, permit: self.turns.acquire().await.ok() }
    }

    /// Does the work of a turn, and gives the turn away while nothing is heard.
    pub(super) async fn share<T>(&self, turn: Turn<'_>, heard: &Heard, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let mut turn = Some(turn);
        let mut aside = None;
        while turn.is_some() {
            let quiet_at = heard.last() + Self::QUIET;
            tokio::select! {
                done = &mut work => return done,
                () = tokio::time::sleep_until(quiet_at) => if heard.last() + Self::QUIET <= Instant::now() {
                    tokio::select! {
                        done = &mut work => return done,
                        place = self.aside.acquire() => aside = place.ok(),
                    }
                    turn = None;
                },
            }
        }
        let done = work.await;
        drop(aside);
        done
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

/// When something was last heard of a proxy.
#[derive(Clone)]
pub(super) struct Heard(Arc<Mutex<Instant>>);

impl Heard {
    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// An admin endpoint of which is known when it was last heard.
pub(super) struct Watched<'a, S> {
    source: &'a mut S,
    heard: Heard,
}

impl<'a, S: AdminSource + Send> Watched<'a, S> {
    pub(super) fn new(source: &'a mut S) -> Self {
        Self { source, heard: Heard(Arc::new(Mutex::new(Instant::now()))) }
    }

    pub(super) fn heard(&self) -> Heard {
        self.heard.clone()
    }
}

impl<S: AdminSource + Send> AdminSource for Watched<'_, S> {
    async fn send(&mut self, request: &AdminRequest, sink: &mut Sink<'_>) -> Result<(), AdminError> {
        let heard = self.heard.clone();
        let listening = &mut |chunk: &[u8]| {
            heard.now();
            sink(chunk)
        };
        let outcome = self.source.send(request, listening).await;
        self.heard.now();
        outcome
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
    async fn who_is_silent_gives_the_turn_to_another() {
        let limiter = Limiter::new(1);
        let heard = Heard(Arc::new(Mutex::new(Instant::now() - Limiter::QUIET)));
        let (release, released) = tokio::sync::oneshot::channel::<()>();
        let silent = async { limiter.share(limiter.turn().await, &heard, released).await };
        let other = async {
            drop(limiter.turn().await);
            release.send(())
        };
        let (silent, other) = tokio::join!(silent, other);
        assert!(silent.is_ok() && other.is_ok());
        assert_eq!(limiter.aside.available_permits(), Limiter::ASIDE);
    }

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
