//! The time from the beginning of a call to its failure, and the connect timeout that it points at.
//!
//! A delay is known only where the log proves a beginning: where the failure itself says how long the call took, or where
//! an earlier record began this very call ([`super::calls`]). Failures that come at even distances are a rhythm.

use std::time::Duration;

/// Width of a bin, in milliseconds.
const BIN_MS: u64 = 10;
/// Bins: delays up to 120 s; longer ones are only counted.
const BINS: usize = 12_000;

/// How long calls lived before they failed: a histogram of fixed size.
#[derive(Clone, Default)]
pub struct DelayHistogram {
    /// Empty until the first delay: most inputs have none.
    bins: Vec<u32>,
    /// Delays beyond the last bin.
    pub longer: u64,
    /// All delays seen.
    pub total: u64,
}

/// A stretch of the distribution in which delays pile up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DelayPeak {
    /// Shortest delay of the pile.
    pub from: Duration,
    /// Longest delay of the pile, rounded up to the bin.
    pub to: Duration,
    /// How many delays lie in it.
    pub count: u64,
    /// Their share of all delays, 0 to 1.
    pub share: f64,
    /// The timeout that such a pile points at, where it begins at one that meshes are given.
    pub points_at: Option<Duration>,
}

impl DelayPeak {
    /// Whether the pile is high enough to point at anything.
    #[must_use]
    pub fn points_enough(&self) -> bool {
        self.share >= 0.5 && self.count >= 5
    }
}

/// Connect timeouts that meshes are given: 1 s (Istio to 1.5), 5 s (Envoy), 10 s (Istio from 1.6), and round others.
/// 20 s and 30 s are 10 s with Istio's two retries.
const USUAL_MS: [u64; 12] = [100, 250, 500, 1_000, 2_000, 3_000, 5_000, 10_000, 15_000, 20_000, 30_000, 60_000];

impl DelayHistogram {
    /// Adds one delay.
    pub fn add(&mut self, delay: Duration) {
        self.total += 1;
        self.bins.resize(BINS, 0);
        let bin = usize::try_from(delay.as_millis() / u128::from(BIN_MS)).unwrap_or(usize::MAX);
        match self.bins.get_mut(bin) {
            Some(count) => *count = count.saturating_add(1),
            None => self.longer += 1,
        }
    }

    /// Adds all delays of another histogram.
    pub fn merge(&mut self, other: &Self) {
        self.bins.resize(self.bins.len().max(other.bins.len()), 0);
        for (mine, theirs) in self.bins.iter_mut().zip(&other.bins) {
            *mine = mine.saturating_add(*theirs);
        }
        self.longer += other.longer;
        self.total += other.total;
    }

    /// The delay below which this share (0 to 1) of all delays lie; none of an empty histogram, and none where it lies
    /// beyond the last bin.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        if self.total == 0 {
            return None;
        }
        let rank = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (bin, count) in self.bins.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= rank {
                return Some(Duration::from_millis((bin as u64 + 1) * BIN_MS));
            }
        }
        None
    }

    /// The delays that are not zero, as (from, count) pairs of bins 10 ms wide.
    pub fn bins(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        self.bins
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
            .map(|(bin, count)| (Duration::from_millis(bin as u64 * BIN_MS), u64::from(*count)))
    }

    /// The highest pile: the fullest bin, and its neighbours as long as they hold at least a twentieth of it, with a gap
    /// of two bins at most and no wider than a tenth of the delay (50 ms at least).
    #[must_use]
    pub fn peak(&self) -> Option<DelayPeak> {
        let (mode, highest) =
            self.bins.iter().enumerate().max_by_key(|(bin, count)| (**count, std::cmp::Reverse(*bin)))?;
        if *highest == 0 {
            return None;
        }
        let enough = (*highest / 20).max(1);
        let widest = (mode / 10).max(5);
        let (mut first, mut last) = (mode, mode);
        loop {
            let room = widest.saturating_sub(last - first);
            let right = (1..=3.min(room)).find(|step| self.bins.get(last + step).is_some_and(|count| *count >= enough));
            let left = (1..=3.min(room).min(first)).find(|step| self.bins[first - step] >= enough);
            match (left, right) {
                (_, Some(step)) => last += step,
                (Some(step), None) => first -= step,
                (None, None) => break,
            }
        }
        let count: u64 = self.bins[first..=last].iter().map(|count| u64::from(*count)).sum();
        let from = first as u64 * BIN_MS;
        // A timer fires at its time or after it; logs round down, so a hundredth before is still it.
        let points_at = USUAL_MS
            .into_iter()
            .find(|usual| (usual - usual / 100 - BIN_MS..=usual + usual / 20 + BIN_MS).contains(&from))
            .map(Duration::from_millis);
        let share = count as f64 / self.total as f64;
        Some(DelayPeak {
            from: Duration::from_millis(from),
            to: Duration::from_millis((last as u64 + 1) * BIN_MS),
            count,
            share,
            points_at,
        })
    }
}

/// What is known of how long calls lived.
#[derive(Clone, Default)]
pub struct Delays {
    /// As the failures themselves say, or the proxy.
    pub said: DelayHistogram,
    /// From the record that began the call.
    pub measured: DelayHistogram,
    /// Failures whose call's beginning the log does not say.
    pub unknown: u64,
    /// Distances between one failure and the next of the same caller and host.
    pub distances: DelayHistogram,
}

/// Failures that come at even distances.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rhythm {
    /// The distance.
    pub every: Duration,
    /// Share of the distances that are so long, 0 to 1.
    pub share: f64,
}

impl Delays {
    /// Adds all of another's.
    pub fn merge(&mut self, other: &Self) {
        self.said.merge(&other.said);
        self.measured.merge(&other.measured);
        self.distances.merge(&other.distances);
        self.unknown += other.unknown;
    }

    /// The delays to go by: what the failures say is the best there is.
    #[must_use]
    pub fn best(&self) -> &DelayHistogram {
        if self.said.total > 0 && self.said.total * 2 >= self.measured.total { &self.said } else { &self.measured }
    }

    /// The pile of the delays. Measured delays that are as long as the distance of the failures from each other are the
    /// caller's rhythm, and point at no timeout.
    #[must_use]
    pub fn peak(&self) -> Option<DelayPeak> {
        let peak = self.best().peak()?;
        let measured = self.said.total * 2 < self.measured.total || self.said.total == 0;
        let is_rhythm = measured
            && self.distances.peak().is_some_and(|distance| {
                let apart = distance.from.abs_diff(peak.from);
                distance.share >= 0.5 && apart <= Duration::from_millis(30).max(peak.from / 50)
            });
        Some(if is_rhythm { DelayPeak { points_at: None, ..peak } } else { peak })
    }

    /// The rhythm in which the failures come, where most do.
    #[must_use]
    pub fn rhythm(&self) -> Option<Rhythm> {
        let peak = self.distances.peak()?;
        (self.distances.total >= 5 && peak.share >= 0.6 && peak.from >= Duration::from_millis(100))
            .then(|| Rhythm { every: (peak.from + peak.to) / 2, share: peak.share })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn the_incidents_pile_points_at_one_second() {
        let mut delays = DelayHistogram::default();
        for index in 0..91 {
            delays.add(Duration::from_millis(1_000 + index % 20));
        }
        for index in 0..9 {
            delays.add(Duration::from_millis(37 + index * 700));
        }
        let peak = delays.peak().unwrap();
        assert_eq!((peak.from, peak.to, peak.count), (Duration::from_secs(1), Duration::from_millis(1_020), 91));
        assert!((peak.share - 0.91).abs() < 1e-9);
        assert_eq!(peak.points_at, Some(Duration::from_secs(1)));
        assert_eq!(delays.quantile(0.5), Some(Duration::from_millis(1_010)));
    }

    #[test]
    fn a_pile_elsewhere_points_at_nothing() {
        let mut delays = DelayHistogram::default();
        for _ in 0..50 {
            delays.add(Duration::from_millis(1_430));
        }
        delays.add(Duration::from_secs(4_000));
        assert_eq!(delays.peak().unwrap().points_at, None);
        assert_eq!((delays.longer, delays.total), (1, 51));
        assert_eq!(DelayHistogram::default().peak(), None);
    }

    #[test]
    fn a_timer_that_logs_round_down_is_still_it() {
        let mut delays = DelayHistogram::default();
        for ms in [9_994, 9_999, 10_001, 10_007, 10_004] {
            delays.add(Duration::from_millis(ms));
        }
        assert_eq!(delays.peak().unwrap().points_at, Some(Duration::from_secs(10)));
    }

    #[test]
    fn a_period_points_at_no_timeout() {
        let mut delays = Delays::default();
        for index in 0..199 {
            delays.measured.add(Duration::from_millis(9_990 + index % 20));
            delays.distances.add(Duration::from_millis(10_000 + index % 10));
        }
        assert_eq!(delays.peak().unwrap().points_at, None);
        assert_eq!(delays.rhythm().unwrap().every.as_secs(), 10);
        // What the failures say of themselves holds whatever the rhythm.
        for _ in 0..199 {
            delays.said.add(Duration::from_millis(1_001));
        }
        assert_eq!(delays.peak().unwrap().points_at, Some(Duration::from_secs(1)));
        assert_eq!(Delays::default().rhythm(), None);
    }
}
