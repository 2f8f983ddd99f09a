//! When a command has to be done, and how long one answer may take meanwhile.

use std::time::Duration;

use tokio::time::Instant;

/// The end of a command's time (`--timeout`). It is made once, when the command begins, and handed to everything that
/// waits: connecting, credentials, lists, proxies, istiod, logs.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    at: Instant,
    total: Duration,
}

/// What took too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimedOut {
    /// One answer (`--request-timeout`).
    Request(Duration),
    /// The whole command (`--timeout`).
    Command(Duration),
}

/// As good as no end: kubectl's `0`.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

impl Deadline {
    /// So long from now; zero means no end.
    #[must_use]
    pub fn after(total: Duration) -> Self {
        let total = if total.is_zero() { FOREVER } else { total.min(FOREVER) };
        Self { at: Instant::now() + total, total }
    }

    /// No end.
    #[must_use]
    pub fn never() -> Self {
        Self::after(Duration::ZERO)
    }

    /// The same with so much more time: for a pause that was asked for.
    #[must_use]
    pub fn later_by(self, pause: Duration) -> Self {
        let pause = pause.min(FOREVER);
        Self { at: self.at + pause, total: self.total + pause }
    }

    /// What is left of it.
    #[must_use]
    pub fn left(self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// Whether nothing is left of it.
    #[must_use]
    pub fn is_over(self) -> bool {
        self.left().is_zero()
    }

    /// How long it was to begin with.
    #[must_use]
    pub fn total(self) -> Duration {
        self.total
    }

    /// When it is, and how long it was until then to begin with: for what blocks and so looks at the clock itself.
    #[must_use]
    pub fn moment(self) -> (std::time::Instant, Duration) {
        (self.at.into_std(), self.total)
    }

    /// Works until the end; `None` where the work was not done by then.
    pub async fn run<T>(self, work: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout_at(self.at, work).await.ok()
    }

    /// Waits for one answer: no longer than `request`, and not beyond the end.
    pub async fn answer<T>(self, request: Duration, work: impl Future<Output = T>) -> Result<T, TimedOut> {
        // A timeout looks at the work first, and what comes without a pause is always ready.
        if self.is_over() {
            return Err(TimedOut::Command(self.total));
        }
        let own = Instant::now() + request.min(FOREVER);
        match tokio::time::timeout_at(own.min(self.at), work).await {
            Ok(done) => Ok(done),
            Err(_) if own < self.at => Err(TimedOut::Request(request)),
            Err(_) => Err(TimedOut::Command(self.total)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_sooner_of_both_ends_it_and_says_which() {
        let nothing = std::future::pending::<()>;
        let (short, long) = (Duration::from_millis(20), Duration::from_secs(60));
        assert_eq!(Deadline::after(long).answer(short, nothing()).await, Err(TimedOut::Request(short)));
        assert_eq!(Deadline::after(short).answer(long, nothing()).await, Err(TimedOut::Command(short)));
        assert_eq!(Deadline::never().answer(long, async { 1 }).await, Ok(1));
        assert_eq!(Deadline::after(short).run(nothing()).await, None);
        let over = Deadline::after(Duration::from_nanos(1));
        tokio::time::sleep(Duration::from_millis(2)).await;
        assert!(over.is_over() && !over.later_by(long).is_over());
        let ready = over.answer(long, async {}).await;
        assert_eq!(ready, Err(TimedOut::Command(over.total())), "though there is something");
    }
}
