//! Timestamps as loggers write them, and what they leave open: the year, the zone, the order of day and month.
//!
//! What a text leaves open is taken, in this order, from its neighbours in the log (a fuller time of the record itself,
//! the records around it), from the file's name or the moment it was written, and from what the user said
//! (`--log-tz`). [`LoggedAt`] says what was left open.

mod names;
mod scan;
pub(in crate::decode) mod usual;
mod zones;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use self::scan::{Day, Scan, Scanned, date};
use crate::model::LoggedAt;

/// What a timestamp leaves open.
#[derive(Clone, Debug)]
pub struct TimeContext {
    /// The zone of timestamps that name none.
    pub zone: TimeZone,
    /// No log is younger.
    pub now: Timestamp,
    /// What the log itself tells.
    pub hints: TimeHints,
}

/// What one log tells of its own times.
#[derive(Clone, Debug, Default)]
pub struct TimeHints {
    /// A moment whose year is known, near the records that are read.
    pub neighbour: Option<Timestamp>,
    /// When the log was last written to: none of its records is younger.
    pub written: Option<Timestamp>,
    /// The day in the log's name.
    pub named: Option<Date>,
    /// Whether the day comes before the month in `08/07/2020`, where another date of the log shows it.
    pub day_first: Option<bool>,
    /// The offset that the log's own times have from UTC, where other records or the kubelet's stamps show it.
    pub offset: Option<Offset>,
    /// The last moment read: the hour that the end of daylight saving repeats comes twice.
    last: Option<Timestamp>,
    /// The last moment whose zone was named, and its offset.
    last_zoned: Option<(Timestamp, Offset)>,
}

/// Timestamps outside 1990 to 2100 are numbers that mean something else.
const EARLIEST: i64 = 631_152_000;
const LATEST: i64 = 4_102_444_800;
/// Clocks differ, and so do zones.
const GRACE: SignedDuration = SignedDuration::from_hours(24);
/// How far back a log may go within itself before the hour counts as repeated.
const BACK: SignedDuration = SignedDuration::from_secs(60);
/// How near a record is to its neighbours, where they are of one zone.
const NEAR: SignedDuration = SignedDuration::from_hours(1);
/// How much of a log is looked at for its years and its order of day and month.
pub const LOOK_AHEAD: usize = 64 << 10;

impl TimeContext {
    /// Nothing is known of the log yet.
    #[must_use]
    pub fn new(zone: TimeZone, now: Timestamp) -> Self {
        Self { zone, now, hints: TimeHints::default() }
    }

    /// Looks at the beginning of a log for dates that say more than others: one with a year, one whose first or second
    /// number can be no month.
    pub fn look_ahead(&mut self, head: &[u8]) {
        for start in memchr::memchr_iter(b'/', head).chain(memchr::memchr_iter(b'-', head)) {
            if self.hints.day_first.is_some() && self.hints.neighbour.is_some() {
                return;
            }
            self.look_at(head, start);
        }
    }

    fn look_at(&mut self, head: &[u8], separator: usize) {
        let digits = head[..separator].iter().rev().take(5).take_while(|byte| byte.is_ascii_digit()).count();
        let start = separator - digits;
        if !matches!(digits, 1 | 2 | 4) || start.checked_sub(1).is_some_and(|before| !is_edge(head[before])) {
            return;
        }
        let text = &head[start..head.len().min(start + 64)];
        let mut scan = Scan { text, at: 0 };
        match scan.any() {
            Some(Scanned::Local { day: Day::Full(_), .. }) if digits == 4 && self.hints.neighbour.is_none() => {
                self.hints.neighbour = leading(text, self).map(|(found, _)| found.at);
            }
            Some(Scanned::Local { day: Day::Numbers { first, second, short: false, .. }, .. })
                if first > 12 || second > 12 =>
            {
                self.hints.day_first = Some(first > 12);
            }
            _ => {}
        }
    }

    /// Notes a time that was read: the ones after it are near.
    pub fn saw(&mut self, logged: LoggedAt) {
        self.hints.last = Some(logged.at);
        if logged.dated {
            self.hints.neighbour = Some(logged.at);
        }
        if let Some(local) = logged.local.filter(|_| logged.zoned) {
            let ahead = local.duration_since(Offset::UTC.to_datetime(logged.at)).as_secs();
            let offset = i32::try_from(ahead).ok().and_then(|seconds| Offset::from_seconds(seconds).ok());
            self.hints.last_zoned = offset.map(|offset| (logged.at, offset));
        }
    }

    /// Settles a time of the log's own by another time of the same record whose zone is known, such as the kubelet's
    /// stamp: where the two differ by a number of quarters of an hour, that is the zone. It is kept for the records
    /// that follow.
    #[must_use]
    pub fn aligned(&mut self, own: LoggedAt, other: LoggedAt) -> LoggedAt {
        let own = if own.dated { own } else { self.with_year_of(own, other) };
        let Some(local) = own.local.filter(|_| !own.zoned && other.zoned) else { return own };
        let ahead = local.duration_since(Offset::UTC.to_datetime(other.at)).as_secs();
        let quarters = (ahead + 450).div_euclid(900) * 900;
        if (ahead - quarters).abs() > 60 || quarters.abs() > 14 * 3600 {
            // It was written long before it was taken, or is the time of something else.
            return own;
        }
        let Some(offset) = i32::try_from(quarters).ok().and_then(|seconds| Offset::from_seconds(seconds).ok()) else {
            return own;
        };
        self.hints.offset = Some(offset);
        offset.to_timestamp(local).map_or(own, |at| LoggedAt { at, zoned: true, dated: true, ..own })
    }

    /// A time without a year, in the year that puts it nearest to another time of the same record.
    fn with_year_of(&mut self, own: LoggedAt, other: LoggedAt) -> LoggedAt {
        let Some(local) = own.local.filter(|_| other.dated) else { return own };
        self.hints.neighbour = Some(other.at);
        let Some(date) = self.year_less(local.month(), local.day(), local.time()) else { return own };
        let moved = date.to_datetime(local.time());
        let at = own.at.checked_add(moved.duration_since(local)).unwrap_or(own.at);
        LoggedAt { at, dated: true, local: Some(moved), ..own }
    }

    fn settle(&self, scanned: Scanned) -> Option<LoggedAt> {
        match scanned {
            Scanned::Instant { at, subsecond } => in_range(LoggedAt::exact(at, subsecond)),
            Scanned::Local { day, time, zone: None, subsecond } => in_range(self.local(day, time, subsecond)?),
            Scanned::Local { day, time, zone: Some(zone), subsecond } => {
                let (date, dated) = self.day(day, time)?;
                let local = date.to_datetime(time);
                let at = zone.offset(local, &self.zone)?.to_timestamp(local).ok()?;
                in_range(LoggedAt { at, zoned: true, dated, subsecond, local: Some(local) })
            }
        }
    }

    fn local(&self, day: Day, time: Time, subsecond: bool) -> Option<LoggedAt> {
        let (date, dated) = self.day(day, time)?;
        let local = date.to_datetime(time);
        Some(LoggedAt { at: self.instant(local)?, zoned: false, dated, subsecond, local: Some(local) })
    }

    /// The instant of a clock's time without a zone. A neighbour's zone is taken where it puts the two near each other.
    /// Of the hour that is repeated the second pass is meant where the log would else go back in time.
    fn instant(&self, local: DateTime) -> Option<Timestamp> {
        if let Some(offset) = self.hints.offset {
            return offset.to_timestamp(local).ok();
        }
        if let Some((last, offset)) = self.hints.last_zoned
            && let Ok(at) = offset.to_timestamp(local)
            && at.duration_since(last).abs() <= NEAR
        {
            return Some(at);
        }
        let found = self.zone.to_ambiguous_timestamp(local);
        let repeated = matches!(found.offset(), AmbiguousOffset::Fold { .. });
        let earlier = found.compatible().ok()?;
        if repeated
            && let Some(last) = self.hints.last
            && last.duration_since(earlier) > BACK
            && let Ok(later) = self.zone.to_ambiguous_timestamp(local).later()
            && later.duration_since(last) > -BACK
        {
            return Some(later);
        }
        Some(earlier)
    }

    /// The date, and whether the text left no doubt about it.
    fn day(&self, day: Day, time: Time) -> Option<(Date, bool)> {
        match day {
            Day::Full(date) => Some((date, true)),
            Day::YearLess { month, day } => self.year_less(month, day, time).map(|date| (date, false)),
            Day::Numbers { first, second, third, short: false, twelve_hours } => {
                let (year, first, second) = (i32::from(third), i32::from(first), i32::from(second));
                let by_numbers = if first > 12 { Some(true) } else { (second > 12).then_some(false) };
                let known = by_numbers.or(self.hints.day_first).or((twelve_hours).then_some(false));
                let (day, month) = if known.unwrap_or(true) { (first, second) } else { (second, first) };
                Some((date(year, month, day)?, known.is_some()))
            }
            Day::Numbers { first, second, third, short: true, twelve_hours } => {
                let (a, b, c) = (i32::from(first), i32::from(second), i32::from(third));
                // Year first (Hadoop, Python), else as people write it; the youngest that is not in the future.
                let mut readings = [date(2000 + a, b, c), date(2000 + c, b, a), date(2000 + c, a, b)];
                if self.hints.day_first == Some(false) || twelve_hours {
                    readings.swap(1, 2);
                }
                let limit = self.latest()?.to_zoned(TimeZone::UTC).date();
                let found = readings.into_iter().flatten().filter(|date| *date <= limit).max()?;
                Some((found, true))
            }
        }
    }

    fn latest(&self) -> Option<Timestamp> {
        self.hints.written.unwrap_or(self.now).min(self.now).checked_add(GRACE).ok()
    }

    /// The year that is nearest to what is known of the log, else the last one in which the day is not in the future.
    fn year_less(&self, month: i8, day: i8, time: Time) -> Option<Date> {
        let near = self.hints.neighbour.or_else(|| {
            let noon = self.hints.named?.to_datetime(Time::constant(12, 0, 0, 0));
            Offset::UTC.to_timestamp(noon).ok()
        });
        // Back to eight years for the 29th of February.
        let years = |around: Timestamp| {
            let year = i32::from(around.to_zoned(self.zone.clone()).year());
            (0..=9).filter_map(move |back| date(year + 1 - back, i32::from(month), i32::from(day)))
        };
        if let Some(near) = near {
            return years(near).min_by_key(|date| {
                self.instant(date.to_datetime(time)).map_or(i64::MAX, |at| at.duration_since(near).as_secs().abs())
            });
        }
        let latest = self.latest()?;
        years(latest).find(|date| self.instant(date.to_datetime(time)).is_some_and(|at| at <= latest))
    }
}

fn is_edge(byte: u8) -> bool {
    matches!(byte, b'\n' | b' ' | b'\t' | b'[' | b'(' | b'"' | b'\'' | b'=' | b',' | b'|' | b':')
}

/// A timestamp at the beginning of a text, with the number of bytes it takes.
#[must_use]
pub(crate) fn leading(text: &[u8], context: &TimeContext) -> Option<(LoggedAt, usize)> {
    if let Some((scanned, end)) = usual::leading(text) {
        return Some((context.settle(scanned)?, end));
    }
    let mut scan = Scan { text, at: 0 };
    let found = context.settle(scan.any()?)?;
    Some((found, scan.at))
}

/// A text that is a timestamp and nothing else: the value of a field, or of an option.
#[must_use]
pub fn whole(text: &str, context: &TimeContext) -> Option<LoggedAt> {
    let text = text.trim();
    if let Some((found, used)) = leading(text.as_bytes(), context)
        && used == text.len()
    {
        return Some(found);
    }
    // .NET's older JSON: /Date(1594238400000+0200)/, always of UTC.
    let number = text.strip_prefix("/Date(").and_then(|rest| rest.strip_suffix(")/"));
    epoch(number.map_or(text, |number| number.split(['+', '-']).next().unwrap_or_default()))
}

/// Seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by their size; a fraction is of the unit.
#[must_use]
pub(crate) fn epoch(text: &str) -> Option<LoggedAt> {
    match scan::epoch(text)? {
        Scanned::Instant { at, subsecond } => in_range(LoggedAt::exact(at, subsecond)),
        Scanned::Local { .. } => None,
    }
}

/// A date and a time that stand in two fields.
#[must_use]
pub(crate) fn of_parts(date: &str, time: &str, context: &TimeContext) -> Option<LoggedAt> {
    whole(&format!("{} {}", date.trim(), time.trim()), context)
}

fn in_range(logged: LoggedAt) -> Option<LoggedAt> {
    (EARLIEST..LATEST).contains(&logged.at.as_second()).then_some(logged)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use proptest::prelude::*;

    fn context() -> TimeContext {
        TimeContext::new(TimeZone::UTC, "2020-07-10T00:00:00Z".parse().unwrap())
    }

    #[test]
    fn every_layout_is_read() {
        for (text, instant, zoned) in [
            ("2020-07-08T20:00:00.123Z", "2020-07-08T20:00:00.123Z", true),
            ("2020-07-08T20:00:00.123456789+02:00", "2020-07-08T18:00:00.123456789Z", true),
            ("2020-07-08T20:00-07:00", "2020-07-09T03:00:00Z", true),
            ("2020-07-08 20:00:00,123", "2020-07-08T20:00:00.123Z", false),
            ("2020-07-08 9:05:01", "2020-07-08T09:05:01Z", false),
            ("2020-07-08 20:00:00.1234567 +00:00", "2020-07-08T20:00:00.1234567Z", true),
            ("2020-07-08 20:00:00 -0700", "2020-07-09T03:00:00Z", true),
            ("2020/07/08 20:00:00", "2020-07-08T20:00:00Z", false),
            ("20200708T200000Z", "2020-07-08T20:00:00Z", true),
            ("2020-07-08 20:00:00 UTC", "2020-07-08T20:00:00Z", true),
            ("08/Jul/2020:20:00:00 +0000", "2020-07-08T20:00:00Z", true),
            ("08-Jul-2020 20:00:00.123", "2020-07-08T20:00:00.123Z", false),
            ("Jul 08, 2020 8:00:00 PM", "2020-07-08T20:00:00Z", false),
            ("Jul 8, 2020 12:00:00 AM", "2020-07-08T00:00:00Z", false),
            ("Jul  8 20:00:00", "2020-07-08T20:00:00Z", false),
            ("Dec 31 23:59:59", "2019-12-31T23:59:59Z", false),
            ("Wed Jul 08 20:00:00 UTC 2020", "2020-07-08T20:00:00Z", true),
            ("Wed Jul  8 20:00:00 2020", "2020-07-08T20:00:00Z", false),
            ("Wed, 08 Jul 2020 20:00:00 GMT", "2020-07-08T20:00:00Z", true),
            ("W0708 20:00:00.123456", "2020-07-08T20:00:00.123456Z", false),
            ("1594238400", "2020-07-08T20:00:00Z", true),
            ("1594238400.5", "2020-07-08T20:00:00.5Z", true),
            ("1.5942384005e+09", "2020-07-08T20:00:00.5Z", true),
            ("1594238400123", "2020-07-08T20:00:00.123Z", true),
            ("1594238400123456", "2020-07-08T20:00:00.123456Z", true),
            ("1594238400123456789", "2020-07-08T20:00:00.123456789Z", true),
            ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z", true),
            ("7/8/2020 8:00:00 PM", "2020-07-08T20:00:00Z", false),
            ("7/8/2020, 8:00:02.123 PM", "2020-07-08T20:00:02.123Z", false),
            ("7/8/2020, 8:00:02 p.m.", "2020-07-08T20:00:02Z", false),
            ("7/8/2020, 8:00:02\u{202f}PM", "2020-07-08T20:00:02Z", false),
            ("7/8/20, 12:00:02 AM", "2020-07-08T00:00:02Z", false),
            ("14/07/2019 20:00:00", "2019-07-14T20:00:00Z", false),
            ("08.07.2020 20:00:00", "2020-07-08T20:00:00Z", false),
            ("21-01-15 12:17:20", "2015-01-21T12:17:20Z", false),
            ("20/07/08 20:00:00", "2020-07-08T20:00:00Z", false),
            ("200708 20:00:00", "2020-07-08T20:00:00Z", false),
            ("200708  9:05:01", "2020-07-08T09:05:01Z", false),
            ("081109 203615", "2008-11-09T20:36:15Z", false),
            ("1:M 08 Jul 2020 20:00:00.123", "2020-07-08T20:00:00.123Z", false),
            ("<34>Jul  8 20:00:00", "2020-07-08T20:00:00Z", false),
            ("<165>1 2020-07-08T20:00:00.003Z", "2020-07-08T20:00:00.003Z", true),
            ("%3|1594238400.123", "2020-07-08T20:00:00.123Z", true),
            ("Jul 8, 2020 @ 20:00:00.000", "2020-07-08T20:00:00Z", false),
            ("July 8, 2020 at 8:00:00 PM", "2020-07-08T20:00:00Z", false),
            ("@400000005f0627000754d4c0", "2020-07-08T20:05:10.123Z", true),
            ("8. Juli 2020 20:00:00", "2020-07-08T20:00:00Z", false),
            ("8 juil. 2020 20:00:00", "2020-07-08T20:00:00Z", false),
            ("août  8 20:00:00", "2019-08-08T20:00:00Z", false),
            ("jan. 22 13:07:56", "2020-01-22T13:07:56Z", false),
            ("mars 22 13:07:56", "2020-03-22T13:07:56Z", false),
            ("Mi 8. Jul 20:00:00 CEST 2020", "2020-07-08T18:00:00Z", true),
            ("Wed 8 Jul 20:00:00 UTC 2020", "2020-07-08T20:00:00Z", true),
            ("2020年07月08日 20:00:00", "2020-07-08T20:00:00Z", false),
            ("2020-07-08-20.00.00.123456", "2020-07-08T20:00:00.123456Z", false),
            ("2020.07.08-20.00.00:123", "2020-07-08T20:00:00.123Z", false),
            ("20200708-20:00:00.123", "2020-07-08T20:00:00.123Z", false),
            ("2020-07-08][20:00:00", "2020-07-08T20:00:00Z", false),
            ("2020-07-08\t20:00:00", "2020-07-08T20:00:00Z", false),
            ("2020-07-08,20:00:00", "2020-07-08T20:00:00Z", false),
            ("2020-Jul-08 20:00:00", "2020-07-08T20:00:00Z", false),
            ("2020-07-08T20:00Z[UTC]", "2020-07-08T20:00:00Z", true),
            ("2020-07-08T22:00:00.5+02:00[Europe/Berlin]", "2020-07-08T20:00:00.5Z", true),
            ("2020-07-08 22:00:00 GMT+2", "2020-07-08T20:00:00Z", true),
            ("2020-07-08 22:00:00 UTC+02:00", "2020-07-08T20:00:00Z", true),
            ("2020-07-08 22:00:00 GMT+0200 (CEST)", "2020-07-08T20:00:00Z", true),
            ("Wed Jul 08 2020 22:00:00 GMT+0200 (Central European Summer Time)", "2020-07-08T20:00:00Z", true),
            ("2020-07-08 21:00:00 BST", "2020-07-08T20:00:00Z", true),
            ("2020-07-09 01:30:00 IST", "2020-07-08T20:00:00Z", true),
            ("08-Jul-2020 22:00:00 Europe/Berlin", "2020-07-08T20:00:00Z", true),
            ("Wednesday, 08-Jul-20 20:00:00 GMT", "2020-07-08T20:00:00Z", true),
            ("I20200708 20:00:00.123456", "2020-07-08T20:00:00.123456Z", false),
            ("07-08 20:00:00.123", "2020-07-08T20:00:00.123Z", false),
            ("/Date(1594238400000)/", "2020-07-08T20:00:00Z", true),
            ("/Date(1594238400000+0200)/", "2020-07-08T20:00:00Z", true),
        ] {
            let found = whole(text, &context()).unwrap_or_else(|| panic!("{text} was not read"));
            assert_eq!((found.at, found.zoned), (instant.parse().unwrap(), zoned), "{text}");
        }
    }

    #[test]
    fn what_is_no_timestamp() {
        for text in [
            "",
            "2020",
            "20:00:00",
            "2020-13-40T00:00:00Z",
            "Mayor Jones",
            "4711",
            "99999999999999999999",
            "2020-07-08",
            "1.5",
            "0.25e1",
            "Wed",
            "W9999 99:99:99",
            "0000-00-00 00:00:00",
            "2020-07-08T25:00:00Z",
        ] {
            assert_eq!(whole(text, &context()), None, "{text}");
        }
    }

    #[test]
    fn a_zone_is_assumed_only_where_none_is_named() {
        let context = TimeContext { zone: TimeZone::get("America/Los_Angeles").unwrap(), ..context() };
        assert_eq!(whole("2020-07-08 20:00:00", &context).unwrap().at, "2020-07-09T03:00:00Z".parse().unwrap());
        assert_eq!(whole("2020-07-08 20:00:00Z", &context).unwrap().at, "2020-07-08T20:00:00Z".parse().unwrap());
        // An hour that does not exist, and one that exists twice, are read and do not fail.
        assert!(whole("2020-03-08 02:30:00", &context).is_some());
        assert!(whole("2020-11-01 01:30:00", &context).is_some());
    }

    #[test]
    fn a_leading_timestamp_says_where_it_ends() {
        let (_, used) = leading(b"2020-07-08 20:00:00,123 ERROR [main] x", &context()).unwrap();
        assert_eq!(used, "2020-07-08 20:00:00,123".len());
        let (_, used) = leading(b"2020/07/08 20:00:00 call failed", &context()).unwrap();
        assert_eq!(used, "2020/07/08 20:00:00".len());
        // A thread's number is no year.
        for line in [b"D0708 20:00:00.123456 8353 x.go:1] y".as_slice(), b"D0708 20:00:00.123456 2024 x.go:1] y"] {
            let (found, used) = leading(line, &context()).unwrap();
            assert_eq!((found.at.to_string().as_str(), used), ("2020-07-08T20:00:00.123456Z", 21));
        }
        let (_, used) = leading(b"Jul  8 20:00:00 host app: x", &context()).unwrap();
        assert_eq!(used, "Jul  8 20:00:00".len());
    }

    #[test]
    fn a_word_is_not_half_of_a_day() {
        for (text, used) in [
            ("2020-07-08 20:00:00 AMQP connection lost", 19),
            ("2020-07-08 8:00:00 ams1-web checkout", 18),
            ("2020-07-08 8:00:00 PMIX", 18),
            ("2020-07-08 8:00:00 pm-agent", 18),
            ("2020-07-08 20:00:00 ERROR Europe", 19),
            ("2020-07-08 20:00:00 -12 items", 19),
            ("2020-07-08 20:00:00 - x", 19),
        ] {
            let (found, end) = leading(text.as_bytes(), &context()).unwrap();
            assert_eq!((end, found.zoned), (used, false), "{text}");
        }
    }

    #[test]
    fn an_abbreviation_is_that_of_the_zone_the_user_named() {
        let at = |zone: &str, text: &str| {
            whole(text, &TimeContext { zone: TimeZone::get(zone).unwrap(), ..context() }).unwrap().at.to_string()
        };
        assert_eq!(at("Asia/Shanghai", "2020-01-16 13:21:09 CST"), "2020-01-16T05:21:09Z");
        assert_eq!(at("UTC", "2020-01-16 13:21:09 CST"), "2020-01-16T19:21:09Z");
        assert_eq!(at("Asia/Jerusalem", "2020-01-16 13:21:09 IST"), "2020-01-16T11:21:09Z");
        assert_eq!(at("Europe/Dublin", "2020-07-08 13:21:09 IST"), "2020-07-08T12:21:09Z");
        // The letters tell the passes of a repeated hour apart.
        assert_eq!(at("America/New_York", "2020-11-01 01:30:00 EDT"), "2020-11-01T05:30:00Z");
        assert_eq!(at("America/New_York", "2020-11-01 01:30:00 EST"), "2020-11-01T06:30:00Z");
    }

    #[test]
    fn the_second_pass_of_a_repeated_hour_follows_the_first() {
        let mut context = TimeContext { zone: TimeZone::get("America/New_York").unwrap(), ..context() };
        let mut seen = Vec::new();
        for clock in ["00:59", "01:10", "01:50", "01:49", "01:05", "01:40", "02:05"] {
            let found = whole(&format!("2019-11-03 {clock}:30"), &context).unwrap();
            context.saw(found);
            seen.push(found.at.to_string()[11..16].to_owned());
        }
        assert_eq!(seen, ["04:59", "05:10", "05:50", "05:49", "06:05", "06:40", "07:05"]);
    }

    #[test]
    fn neighbours_tell_the_year_and_the_order() {
        let mut context = TimeContext { now: "2026-11-29T00:00:00Z".parse().unwrap(), ..context() };
        context.look_ahead(b"starting\n2020-07-08 20:00:00 INFO start\nE0708 20:01:22.874578  9 x.go:1] y\n");
        assert_eq!(whole("Jul  8 20:01:22", &context).unwrap().at.to_string(), "2020-07-08T20:01:22Z");
        // The turn of the year.
        context.saw(whole("2020-12-31 23:59:00", &context).unwrap());
        assert_eq!(whole("Jan  1 00:00:10", &context).unwrap().at.to_string(), "2021-01-01T00:00:10Z");
        assert_eq!(whole("Dec 31 23:59:58", &context).unwrap().at.to_string(), "2020-12-31T23:59:58Z");
        for (head, day) in [
            ("08/07/2020 20:00:00 x\n13/07/2020 20:00:00 y\n", "2020-07-08"),
            ("08/07/2020 20:00:00 x\n08/13/2020 20:00:00 y\n", "2020-08-07"),
        ] {
            let mut context = TimeContext::new(TimeZone::UTC, context.now);
            context.look_ahead(head.as_bytes());
            let found = whole("08/07/2020 20:00:00", &context).unwrap();
            assert_eq!((found.at.to_string()[..10].to_owned(), found.dated), (day.to_owned(), true), "{head}");
        }
        assert!(!whole("08/07/2020 20:00:00", &TimeContext::new(TimeZone::UTC, context.now)).unwrap().dated);
    }

    #[test]
    fn the_file_tells_the_year_where_its_records_do_not() {
        let mut context = TimeContext::new(TimeZone::UTC, "2026-11-29T00:00:00Z".parse().unwrap());
        context.hints.written = Some("2021-01-03T00:00:00Z".parse().unwrap());
        assert_eq!(whole("Dec 10 11:03:52", &context).unwrap().at.to_string(), "2020-12-10T11:03:52Z");
        context.hints.named = Some("2019-12-11".parse().unwrap());
        assert_eq!(whole("Dec 10 11:03:52", &context).unwrap().at.to_string(), "2019-12-10T11:03:52Z");
    }

    #[test]
    fn another_stamp_tells_the_zone() {
        let mut context = context();
        let stamp = whole("2020-07-08T20:00:02.5Z", &context).unwrap();
        let own = whole("2020-07-08 22:00:02,123", &context).unwrap();
        let found = context.aligned(own, stamp);
        assert_eq!((found.at.to_string().as_str(), found.zoned), ("2020-07-08T20:00:02.123Z", true));
        // What was learnt holds for the records that follow.
        assert_eq!(whole("2020-07-08 23:00:00", &context).unwrap().at.to_string(), "2020-07-08T21:00:00Z");
        // A time that is no other form of the stamp tells nothing.
        let own = whole("2020-07-08 11:07:41", &TimeContext::new(TimeZone::UTC, context.now)).unwrap();
        assert_eq!(context.aligned(own, stamp), own);
        // A zone that neighbours name.
        let mut context = TimeContext::new(TimeZone::UTC, context.now);
        context.saw(whole("2020-07-08T20:00:00+02:00", &context).unwrap());
        assert_eq!(whole("2020-07-08 20:10:00", &context).unwrap().at.to_string(), "2020-07-08T18:10:00Z");
        assert_eq!(whole("2020-07-08 03:10:00", &context).unwrap().at.to_string(), "2020-07-08T03:10:00Z");
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = leading(&bytes, &context());
            let _ = whole(&String::from_utf8_lossy(&bytes), &context());
        }

        #[test]
        fn near_timestamps_are_survived(text in "[0-9TZWJul:./ ,+-]{0,40}") {
            let _ = whole(&text, &context());
        }
    }
}
