//! The columns of the chart: days, hours or minutes of a time zone.

use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// How long a bucket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// A calendar day of the zone: 23 or 25 hours where daylight saving begins or ends.
    Day,
    /// This many minutes of the clock, a divisor of a day.
    Minutes(u32),
}

/// Not a bucket length.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a bucket: use day, hour, or a length that divides a day, such as 10m or 6h")]
pub struct BadBucket(String);

impl FromStr for By {
    type Err = BadBucket;

    fn from_str(text: &str) -> Result<Self, BadBucket> {
        let bad = || BadBucket(text.to_owned());
        let minutes = match text {
            "day" | "1d" | "24h" => return Ok(Self::Day),
            "hour" => 60,
            "minute" => 1,
            _ => {
                let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(bad)?;
                let number: u32 = number.parse().map_err(|_| bad())?;
                match unit {
                    "m" => number,
                    "h" => number.checked_mul(60).ok_or_else(bad)?,
                    _ => return Err(bad()),
                }
            }
        };
        match minutes {
            1440 => Ok(Self::Day),
            1..=1439 if 1440 % minutes == 0 => Ok(Self::Minutes(minutes)),
            _ => Err(bad()),
        }
    }
}

impl std::fmt::Display for By {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Day => f.write_str("day"),
            Self::Minutes(60) => f.write_str("hour"),
            Self::Minutes(minutes) if minutes % 60 == 0 => write!(f, "{}h", minutes / 60),
            Self::Minutes(minutes) => write!(f, "{minutes}m"),
        }
    }
}

/// Cuts time into buckets of one zone.
#[derive(Clone, Debug)]
pub struct Buckets {
    /// The length.
    pub by: By,
    /// The zone whose days and hours are meant.
    pub zone: TimeZone,
}

/// A half-open stretch of time, in seconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stretch {
    /// First second.
    pub start: i64,
    /// First second after it.
    pub end: i64,
}

impl Stretch {
    /// Whether the second lies in it.
    #[must_use]
    pub const fn contains(self, second: i64) -> bool {
        self.start <= second && second < self.end
    }
}

impl Buckets {
    /// The bucket that an instant falls in. In the hour that daylight saving repeats, each pass has its own bucket
    /// (below a length of two hours).
    #[must_use]
    pub fn of(&self, at: Timestamp) -> Stretch {
        let zoned = at.to_zoned(self.zone.clone());
        match self.by {
            By::Day => {
                let start = zoned.start_of_day().map_or(at, |day| day.timestamp());
                let end = zoned
                    .tomorrow()
                    .and_then(|next| next.start_of_day())
                    .map_or(Timestamp::MAX, |next| next.timestamp());
                Stretch { start: start.as_second(), end: end.as_second().max(start.as_second() + 1) }
            }
            By::Minutes(minutes) => {
                let local = zoned.datetime();
                let of_day = i64::from(local.hour()) * 60 + i64::from(local.minute());
                let length = i64::from(minutes);
                let into = of_day % length;
                let floor = at.as_second() - into * 60 - i64::from(local.second());
                let floor = if minutes > 60 { self.clock_time(local, of_day - into).unwrap_or(floor) } else { floor };
                let end = if minutes > 60 {
                    self.clock_time(local, of_day - into + length).unwrap_or(floor + length * 60)
                } else {
                    floor + length * 60
                };
                // A change of the offset inside a short bucket cuts it: the clock jumps there.
                let (floor, end) = if minutes > 60 { (floor, end) } else { self.cut_at_change(at, floor, end) };
                Stretch { start: floor.min(at.as_second()), end: end.max(at.as_second() + 1) }
            }
        }
    }

    /// The bucket after this one.
    #[must_use]
    pub fn after(&self, bucket: Stretch) -> Option<Stretch> {
        let next = Timestamp::from_second(bucket.end).ok()?;
        let found = self.of(next);
        Some(Stretch { start: bucket.end, end: found.end.max(bucket.end + 1) })
    }

    /// The instant of a clock time, in minutes after midnight, on the day of `local`.
    fn clock_time(&self, local: DateTime, minutes: i64) -> Option<i64> {
        let midnight = local.date().to_datetime(jiff::civil::Time::midnight());
        let local = midnight.checked_add(Span::new().try_minutes(minutes).ok()?).ok()?;
        Some(self.zone.to_ambiguous_zoned(local).compatible().ok()?.timestamp().as_second())
    }

    fn cut_at_change(&self, at: Timestamp, start: i64, end: i64) -> (i64, i64) {
        let Ok(before) = Timestamp::from_second(start) else { return (start, end) };
        self.zone
            .following(before)
            .map(|change| change.timestamp().as_second())
            .take_while(|change| *change < end)
            .fold(
                (start, end),
                |(start, end), change| {
                    if change <= at.as_second() { (change, end) } else { (start, change.min(end)) }
                },
            )
    }

    /// The name of a bucket: the day, or the day and the clock time; with the offset where the day has two hours of
    /// that name.
    #[must_use]
    pub fn label(&self, bucket: Stretch) -> String {
        let Ok(at) = Timestamp::from_second(bucket.start) else { return String::new() };
        let zoned = at.to_zoned(self.zone.clone());
        match self.by {
            By::Day => zoned.strftime("%Y-%m-%d").to_string(),
            By::Minutes(_) => {
                let plain = zoned.strftime("%Y-%m-%d %H:%M").to_string();
                if self.zone.to_ambiguous_timestamp(zoned.datetime()).is_ambiguous() {
                    format!("{plain}{}", zoned.strftime("%:z"))
                } else {
                    plain
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn buckets(by: &str, zone: &str) -> Buckets {
        Buckets { by: by.parse().unwrap(), zone: TimeZone::get(zone).unwrap() }
    }

    #[test]
    fn lengths() {
        for (text, shown) in
            [("day", "day"), ("hour", "hour"), ("10m", "10m"), ("6h", "6h"), ("24h", "day"), ("60m", "hour")]
        {
            assert_eq!(text.parse::<By>().unwrap().to_string(), shown);
        }
        for text in ["", "7m", "0m", "48h", "week", "é", "99999999999h", "-1h"] {
            assert!(text.parse::<By>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_day_has_23_24_or_25_hours() {
        let days = buckets("day", "America/Los_Angeles");
        for (at, hours) in [("2020-03-08T20:00:00Z", 23), ("2020-07-08T20:00:00Z", 24), ("2020-11-01T20:00:00Z", 25)] {
            let bucket = days.of(at.parse().unwrap());
            assert_eq!(bucket.end - bucket.start, hours * 3600, "{at}");
        }
        assert_eq!(days.label(days.of("2020-07-08T03:00:00Z".parse().unwrap())), "2020-07-07");
    }

    #[test]
    fn the_repeated_hour_is_two_buckets() {
        let hours = buckets("hour", "America/Los_Angeles");
        let first = hours.of("2020-11-01T08:30:00Z".parse().unwrap());
        let second = hours.of("2020-11-01T09:30:00Z".parse().unwrap());
        assert_eq!(first.end, second.start);
        assert_eq!(hours.label(first), "2020-11-01 01:00-07:00");
        assert_eq!(hours.label(second), "2020-11-01 01:00-08:00");
        assert_eq!(hours.after(first), Some(second));
    }

    #[test]
    fn buckets_tile_time() {
        for zone in ["UTC", "America/Los_Angeles", "Asia/Kolkata", "Australia/Lord_Howe", "Asia/Kathmandu"] {
            for by in ["day", "hour", "10m", "6h"] {
                let buckets = buckets(by, zone);
                let mut bucket = buckets.of("2020-03-07T00:00:00Z".parse().unwrap());
                let end: Timestamp = "2020-04-20T00:00:00Z".parse().unwrap();
                while bucket.end < end.as_second() {
                    let next = buckets.after(bucket).unwrap();
                    assert_eq!(next.start, bucket.end);
                    let middle = Timestamp::from_second((next.start + next.end) / 2).unwrap();
                    assert_eq!(buckets.of(middle), next, "{zone} {by} {middle}");
                    bucket = next;
                }
            }
        }
    }
}
