//! Records that speak of a failure and that no sentence of the table matches. What was said beside a failure that is
//! diagnosed belongs to it; what is left means that something in the log was not understood.

use foldhash::HashMap;
use jiff::Timestamp;

use super::event::Evidence;

/// Suspects that are kept with their times; beyond that they are only counted.
const MAX_SUSPECTS: usize = 4096;

/// Moments of one log at which failures were diagnosed.
const MAX_MOMENTS: usize = 65_536;

/// A failure and what is said of it lie so close, in milliseconds.
const BESIDE_MS: i64 = 2_000;

#[derive(Debug)]
struct Suspect {
    log: u32,
    time: Option<Timestamp>,
    line: Evidence,
}

/// The suspects of all logs, and when failures were diagnosed.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    kept: Vec<Suspect>,
    more: u64,
    diagnosed: HashMap<u32, Vec<i64>>,
}

impl Suspects {
    pub(super) fn add(&mut self, log: u32, time: Option<Timestamp>, line: Evidence) {
        if self.kept.len() < MAX_SUSPECTS {
            self.kept.push(Suspect { log, time, line });
        } else {
            self.more += 1;
        }
    }

    /// A failure was diagnosed.
    pub(super) fn diagnosed(&mut self, log: u32, time: Option<Timestamp>) {
        let moments = self.diagnosed.entry(log).or_default();
        if let Some(time) = time
            && moments.len() < MAX_MOMENTS
        {
            moments.push(time.as_millisecond());
        }
    }

    /// How many are left, and the first of them.
    pub(super) fn left(mut self) -> (u64, Option<Evidence>) {
        self.diagnosed.values_mut().for_each(|moments| moments.sort_unstable());
        let beside = |suspect: &Suspect| {
            let Some(moments) = self.diagnosed.get(&suspect.log) else { return false };
            // Without a time of its own it belongs to whatever its log has.
            let Some(time) = suspect.time.map(Timestamp::as_millisecond) else { return true };
            let next = moments.partition_point(|moment| *moment < time - BESIDE_MS);
            moments.get(next).is_some_and(|moment| *moment <= time + BESIDE_MS)
        };
        let mut count = self.more;
        let mut first = None;
        for suspect in &self.kept {
            if !beside(suspect) {
                count += 1;
                first = first.or_else(|| Some(suspect.line.clone()));
            }
        }
        (count, first)
    }
}
