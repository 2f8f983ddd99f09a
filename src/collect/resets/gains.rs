//! What a counter gained, out of its samples.

/// Beyond so many seconds without a sample, the counter was not scraped: Prometheus itself takes a series for gone then.
const GAP: i64 = 300;

/// A gain of a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gain {
    /// Seen at this second.
    At(i64, u64),
    /// Seen at this second, after a time without samples in which it came.
    OverGap(i64, u64),
    /// Seen at this second and maybe older: nothing tells what the counter showed before.
    Unknown(i64, u64),
}

/// The gains. A counter that is lower than before has begun anew. Its first sample is all new where its job was scraped
/// before it: either its target was there and had no such counter, or the target itself is new.
pub(super) fn gains(points: &[(i64, f64)], was_scraped_before: impl Fn(i64) -> bool) -> Vec<Gain> {
    let mut found = Vec::new();
    let mut before: Option<(i64, f64)> = None;
    for &(at, value) in points {
        let gained = match before {
            Some((_, last)) if value >= last => value - last,
            _ => value,
        };
        let count = gained.round().max(0.0) as u64;
        if count > 0 {
            found.push(match before {
                Some((last, _)) if at - last > GAP => Gain::OverGap(at, count),
                Some(_) => Gain::At(at, count),
                None if was_scraped_before(at) => Gain::At(at, count),
                None => Gain::Unknown(at, count),
            });
        }
        before = Some((at, value));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn births_restarts_and_gaps_are_seen() {
        let points = [(60, 3.0), (120, 5.0), (180, 1.0), (1_200, 4.0), (1_260, 4.0)];
        let expected = [Gain::At(120, 2), Gain::At(180, 1), Gain::OverGap(1_200, 3)];
        assert_eq!(gains(&points, |_| true), [&[Gain::At(60, 3)][..], &expected].concat());
        assert_eq!(gains(&points, |_| false), [&[Gain::Unknown(60, 3)][..], &expected].concat());
        assert_eq!(gains(&[], |_| true), []);
    }
}
