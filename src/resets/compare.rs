//! Before and after a moment: rates by exposure, and whether their ratio is more than noise.

use jiff::Timestamp;
use statrs::distribution::{Beta, Binomial, ContinuousCDF, DiscreteCDF, Gamma};

/// Confidence of every interval.
const CONFIDENCE: f64 = 0.95;

/// Less time than this with logs is too little to speak of a rate, where few occurrences came: failures come in bursts,
/// and two of one burst within seconds are no rise.
const TOO_SHORT: f64 = 10.0 / 60.0;

/// So many are more than a burst that nobody would have noticed.
const FEW: u64 = 10;

/// A moment at which something was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When.
    pub at: Timestamp,
    /// What, in the user's words.
    pub label: String,
}

/// A count and what it was counted over.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Exposure {
    /// Occurrences.
    pub count: u64,
    /// Hours with logs.
    pub hours: f64,
}

impl Exposure {
    /// Occurrences an hour.
    #[must_use]
    pub fn rate(self) -> f64 {
        self.count as f64 / self.hours
    }
}

/// What two counts over two exposures say about the rates behind them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateComparison {
    /// Before the moment.
    pub before: Exposure,
    /// After it.
    pub after: Exposure,
    /// Rate after over rate before; none where nothing happened before (then it is infinite, or unknown).
    pub ratio: Option<f64>,
    /// The 95 % interval of the ratio: the exact conditional one (Clopper and Pearson 1934, on the binomial that two
    /// Poisson counts are given their sum; Przyborowski and Wilenski 1940). The upper end is infinite where nothing
    /// happened before.
    pub interval: (f64, f64),
    /// The probability of a split at least this uneven if nothing had changed (two-sided, exact).
    pub p_value: f64,
}

impl RateComparison {
    /// Compares; none where a side has no hours with logs, or nothing happened on either.
    #[must_use]
    pub fn of(before: Exposure, after: Exposure) -> Option<Self> {
        let total = before.count + after.count;
        if total == 0 || !(before.hours > 0.0 && after.hours > 0.0) {
            return None;
        }
        let (low, high) = proportion_interval(after.count, total);
        // p = ratio * t1 / (t0 + ratio * t1), solved for the ratio.
        let ratio_of = |p: f64| if p >= 1.0 { f64::INFINITY } else { p / (1.0 - p) * before.hours / after.hours };
        let expected = after.hours / (before.hours + after.hours);
        Some(Self {
            before,
            after,
            ratio: (before.count > 0).then(|| after.rate() / before.rate()),
            interval: (ratio_of(low), ratio_of(high)),
            p_value: two_sided(after.count, total, expected),
        })
    }

    /// Whether a side is too short for the counts to say anything: minutes, in which the other side's rate would not
    /// have given one occurrence, and in which few came.
    #[must_use]
    pub fn is_too_early(&self) -> bool {
        let too_short = |side: Exposure, other: Exposure| {
            side.hours < TOO_SHORT && side.count < FEW && other.rate() * side.hours < 1.0
        };
        too_short(self.after, self.before) || too_short(self.before, self.after)
    }

    /// How many hours with logs after the moment it takes until none at all in them is more than noise; `None` where
    /// nothing happened before.
    #[must_use]
    pub fn hours_to_tell(&self) -> Option<f64> {
        let most = proportion_interval(0, self.before.count).1;
        (self.before.count > 0).then(|| most / (1.0 - most) * self.before.hours)
    }

    /// Whether the interval leaves no room for an unchanged rate.
    #[must_use]
    pub fn is_more_than_noise(&self) -> bool {
        self.interval.0 > 1.0 || self.interval.1 < 1.0
    }
}

/// The exact 95 % interval of a proportion (Clopper and Pearson 1934).
fn proportion_interval(successes: u64, trials: u64) -> (f64, f64) {
    let tail = (1.0 - CONFIDENCE) / 2.0;
    let (x, n) = (successes as f64, trials as f64);
    let quantile = |a: f64, b: f64, p: f64| Beta::new(a, b).map_or(f64::NAN, |beta| beta.inverse_cdf(p));
    let low = if successes == 0 { 0.0 } else { quantile(x, n - x + 1.0, tail) };
    let high = if successes == trials { 1.0 } else { quantile(x + 1.0, n - x, 1.0 - tail) };
    (low, high)
}

/// The exact 95 % interval of a Poisson rate, in occurrences an hour (Garwood 1936).
#[must_use]
pub fn rate_interval(exposure: Exposure) -> (f64, f64) {
    let tail = (1.0 - CONFIDENCE) / 2.0;
    let quantile = |shape: f64, p: f64| Gamma::new(shape, 1.0).map_or(f64::NAN, |gamma| gamma.inverse_cdf(p));
    let count = exposure.count as f64;
    let low = if exposure.count == 0 { 0.0 } else { quantile(count, tail) };
    (low / exposure.hours, quantile(count + 1.0, 1.0 - tail) / exposure.hours)
}

/// The two-sided exact binomial test: twice the smaller tail, at most 1.
fn two_sided(successes: u64, trials: u64, probability: f64) -> f64 {
    let Ok(binomial) = Binomial::new(probability, trials) else { return f64::NAN };
    let at_most = binomial.cdf(successes);
    let at_least = if successes == 0 { 1.0 } else { binomial.sf(successes - 1) };
    (2.0 * at_most.min(at_least)).min(1.0)
}

/// Failures among calls, before and after.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShareComparison {
    /// Failed calls and all calls before.
    pub before: (u64, u64),
    /// Failed calls and all calls after.
    pub after: (u64, u64),
}

impl ShareComparison {
    /// Share of calls that failed, 0 to 1; none without calls.
    #[must_use]
    pub fn share((failed, calls): (u64, u64)) -> Option<f64> {
        (calls > 0).then(|| failed as f64 / calls as f64)
    }
}

/// How bursty counts are: their variance over their mean (1 for a Poisson process). Far above 1, the exact Poisson
/// interval is narrower than the truth.
#[must_use]
pub(super) fn dispersion(counts: &[u64]) -> Option<f64> {
    if counts.len() < 10 {
        return None;
    }
    let n = counts.len() as f64;
    let mean = counts.iter().sum::<u64>() as f64 / n;
    let variance = counts.iter().map(|count| (*count as f64 - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean > 0.0).then(|| variance / mean)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 1e-6 * expected.abs().max(1e-3), "{found} is not {expected}");
    }

    /// Values of R's `binom.test(7, 20)` and `poisson.test(10)`, and of the example on the help page of `poisson.test`
    /// (11 in 800 against 21 in 3011), computed once more with mpmath at 30 digits by bisection.
    #[test]
    fn intervals_agree_with_r() {
        let (low, high) = proportion_interval(7, 20);
        close(low, 0.153_909_2);
        close(high, 0.592_188_5);
        let (low, high) = rate_interval(Exposure { count: 10, hours: 1.0 });
        close(low, 4.795_389);
        close(high, 18.390_356);
        let found =
            RateComparison::of(Exposure { count: 21, hours: 3011.0 }, Exposure { count: 11, hours: 800.0 }).unwrap();
        close(found.ratio.unwrap(), 1.971_488);
        close(found.interval.0, 0.858_426_4);
        close(found.interval.1, 4.277_265_9);
        close(found.p_value, 0.112_017_3);
        assert!(!found.is_more_than_noise());
    }

    #[test]
    fn a_short_after_period_is_no_trick() {
        // One in the hundredth of the time at an unchanged rate is nothing.
        let same =
            RateComparison::of(Exposure { count: 400, hours: 400.0 }, Exposure { count: 3, hours: 4.0 }).unwrap();
        assert!(!same.is_more_than_noise(), "{same:?}");
        // None in two hours after one an hour is not proof either; none in two hundred is.
        let short =
            RateComparison::of(Exposure { count: 400, hours: 400.0 }, Exposure { count: 0, hours: 2.0 }).unwrap();
        assert!(!short.is_more_than_noise(), "{short:?}");
        let long =
            RateComparison::of(Exposure { count: 400, hours: 400.0 }, Exposure { count: 0, hours: 200.0 }).unwrap();
        assert!(long.is_more_than_noise() && long.ratio == Some(0.0) && long.interval.0 == 0.0, "{long:?}");
        assert!(long.p_value < 1e-6);
    }

    #[test]
    fn seconds_say_nothing() {
        let side = |count, hours| Exposure { count, hours };
        let early = |before, after| RateComparison::of(before, after).unwrap().is_too_early();
        assert!(early(side(132, 168.0), side(2, 4.0 / 3600.0)), "two of one burst");
        assert!(early(side(132, 168.0), side(0, 0.1)) && early(side(0, 168.0), side(3, 0.1)));
        assert!(early(side(1, 0.01), side(3, 100.0)), "as little before it");
        assert!(!early(side(132, 168.0), side(40, 4.0 / 3600.0)), "a change that breaks everything is seen at once");
        assert!(!early(side(132, 168.0), side(2, 1.0)) && !early(side(600, 1.0), side(1, 0.1)));
        let tell = RateComparison::of(side(132, 168.0), side(2, 0.001)).unwrap().hours_to_tell().unwrap();
        let none_in = |hours| RateComparison::of(side(132, 168.0), side(0, hours)).unwrap().is_more_than_noise();
        assert!(none_in(tell * 1.01) && !none_in(tell * 0.99), "{tell}");
    }

    #[test]
    fn nothing_before_has_no_ratio_but_a_lower_end() {
        let found =
            RateComparison::of(Exposure { count: 0, hours: 100.0 }, Exposure { count: 30, hours: 100.0 }).unwrap();
        assert_eq!(found.ratio, None);
        assert!(found.interval.1.is_infinite() && found.interval.0 > 1.0);
        assert!(RateComparison::of(Exposure::default(), Exposure { count: 1, hours: 1.0 }).is_none());
        assert!(RateComparison::of(Exposure { count: 0, hours: 1.0 }, Exposure { count: 0, hours: 1.0 }).is_none());
    }

    #[test]
    fn large_counts_stay_exact() {
        let found =
            RateComparison::of(Exposure { count: 10_000_000, hours: 700.0 }, Exposure { count: 20_000, hours: 700.0 })
                .unwrap();
        let (low, high) = found.interval;
        assert!(low < 0.002 && 0.002 < high && high - low < 1e-4, "{found:?}");
    }

    #[test]
    fn bursts_are_seen() {
        assert!(dispersion(&[0, 0, 0, 0, 0, 50, 0, 0, 0, 0, 0, 50]).unwrap() > 10.0);
        assert!(dispersion(&[1; 20]).unwrap() < 0.1);
        assert_eq!(dispersion(&[1, 2]), None);
    }
}
