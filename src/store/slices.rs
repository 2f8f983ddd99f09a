//! How long a stretch of time is asked for at once, of stores that do not page.

use std::sync::Mutex;
use std::sync::PoisonError;

use jiff::{SignedDuration, Timestamp};

/// The first stretch.
const FIRST: SignedDuration = SignedDuration::from_hours(1);
/// The longest and the shortest.
const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 31);
const SHORTEST: SignedDuration = SignedDuration::from_millis(1);

/// The length that fits: halved where there was too much, doubled where there was little.
#[derive(Debug)]
pub(super) struct Slices(Mutex<SignedDuration>);

impl Default for Slices {
    fn default() -> Self {
        Self(Mutex::new(FIRST))
    }
}

impl Slices {
    /// The end of the next stretch.
    pub(super) fn end(&self, from: Timestamp, until: Timestamp) -> Timestamp {
        let length = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        from.checked_add(length).map_or(until, |end| end.min(until))
    }

    /// The stretch held more than a page: whether it can be shorter.
    pub(super) fn halve(&self) -> bool {
        let mut length = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let may = *length > SHORTEST;
        *length = (*length / 2).max(SHORTEST);
        may
    }

    /// The stretch held so many records of a page.
    pub(super) fn held(&self, records: usize, page: usize) {
        let mut length = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if records < page / 4 {
            *length = (*length * 2).min(LONGEST);
        }
    }
}
