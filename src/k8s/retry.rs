//! Asking again after the API server has said that it is busy: the one place that decides when.

use std::time::Duration;

use super::deadline::Deadline;
use super::error::ApiError;

/// Tries of one request. Each waits longer than the one before, or as long as the server's `Retry-After` says; in all
/// about eight seconds where the server says nothing, and never beyond the command's deadline.
#[derive(Debug)]
pub struct Retry {
    deadline: Deadline,
    tries: u32,
}

impl Retry {
    const TRIES: u32 = 5;
    const FIRST: Duration = Duration::from_millis(250);
    /// A server that wants to be left alone for longer is not waited for.
    const LONGEST: Duration = Duration::from_secs(30);

    /// No try yet.
    #[must_use]
    pub fn within(deadline: Deadline) -> Self {
        Self { deadline, tries: 0 }
    }

    /// Whether there is another try after this error; returns when it is time for it.
    pub async fn again(&mut self, error: &ApiError) -> bool {
        let Some(wait) = self.pause(error) else { return false };
        tracing::debug!("asking again in {} ms: {error}", wait.as_millis());
        tokio::time::sleep(wait).await;
        true
    }

    /// How long to wait before the next try, if there is one.
    fn pause(&mut self, error: &ApiError) -> Option<Duration> {
        let ApiError::Busy { retry_after, .. } = error else { return None };
        let wait = (Self::FIRST * 2u32.pow(self.tries)).max(retry_after.unwrap_or_default());
        if self.tries == Self::TRIES || wait > Self::LONGEST || wait >= self.deadline.left() {
            return None;
        }
        self.tries += 1;
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy(seconds: Option<u64>) -> ApiError {
        ApiError::Busy { message: "slow down".to_owned(), retry_after: seconds.map(Duration::from_secs) }
    }

    #[test]
    fn gives_up_in_the_end_and_at_once_where_waiting_is_of_no_use() {
        let mut retry = Retry::within(Deadline::never());
        let pauses: Vec<u128> =
            std::iter::from_fn(|| retry.pause(&busy(None))).map(|pause| pause.as_millis()).collect();
        assert_eq!(pauses, [250, 500, 1000, 2000, 4000]);
        assert_eq!(Retry::within(Deadline::never()).pause(&busy(Some(3))), Some(Duration::from_secs(3)));
        assert_eq!(Retry::within(Deadline::never()).pause(&busy(Some(3600))), None);
        assert_eq!(Retry::within(Deadline::after(Duration::from_secs(1))).pause(&busy(Some(2))), None);
        assert_eq!(Retry::within(Deadline::never()).pause(&ApiError::Forbidden("no".to_owned())), None);
    }
}
