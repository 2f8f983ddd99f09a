//! Timestamps as loggers write them.
//!
//! One scanner for all: loggers differ in separators, fractions and zones, and one file mixes them.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use crate::model::LoggedAt;

/// What a timestamp leaves open.
#[derive(Clone, Debug)]
pub struct TimeContext {
    /// The zone of timestamps that name none.
    pub zone: TimeZone,
    /// No log is younger: year-less timestamps (syslog, klog) belong to the last year in which they are not.
    pub now: Timestamp,
}

/// Timestamps outside 1990 to 2100 are numbers that mean something else.
const EARLIEST: i64 = 631_152_000;
const LATEST: i64 = 4_102_444_800;

/// A timestamp at the beginning of a text, with the number of bytes it takes.
#[must_use]
pub(in crate::decode) fn leading(text: &[u8], context: &TimeContext) -> Option<(LoggedAt, usize)> {
    let mut scan = Scan { text, at: 0 };
    let found = scan.any(context)?;
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
    epoch(text)
}

/// Seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by their size; a fraction is of the unit.
#[must_use]
pub(in crate::decode) fn epoch(text: &str) -> Option<LoggedAt> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() || whole.len() > 19 || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit())
    {
        // zap prints large seconds as 1.594263600123e+09.
        let seconds: f64 = if text.contains(['e', 'E']) { text.parse().ok()? } else { return None };
        return in_range(Timestamp::from_duration(SignedDuration::try_from_secs_f64(seconds).ok()?).ok()?, true, true);
    }
    let number: i64 = whole.parse().ok()?;
    let scale: i128 = match number {
        0..100_000_000_000 => 1_000_000_000,
        100_000_000_000..100_000_000_000_000 => 1_000_000,
        100_000_000_000_000..100_000_000_000_000_000 => 1_000,
        _ => 1,
    };
    let mut nanos = i128::from(number) * scale;
    let mut unit = scale;
    for digit in fraction.bytes().take(9) {
        unit /= 10;
        nanos += i128::from(digit - b'0') * unit;
    }
    in_range(Timestamp::from_nanosecond(nanos).ok()?, true, scale < 1_000_000_000 || !fraction.is_empty())
}

fn in_range(at: Timestamp, zoned: bool, subsecond: bool) -> Option<LoggedAt> {
    (EARLIEST..LATEST).contains(&at.as_second()).then_some(LoggedAt { at, zoned, subsecond })
}

struct Scan<'a> {
    text: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == byte;
        self.at += usize::from(found);
        found
    }

    fn eat_any(&mut self, bytes: &[u8]) -> Option<u8> {
        let found = self.peek();
        bytes.contains(&found).then(|| {
            self.at += 1;
            found
        })
    }

    /// A number of `least` to `most` digits that no further digit follows.
    fn number(&mut self, least: usize, most: usize) -> Option<i32> {
        let digits = self.text[self.at.min(self.text.len())..]
            .iter()
            .take(most + 1)
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        if digits < least || digits > most {
            return None;
        }
        let value =
            self.text[self.at..self.at + digits].iter().fold(0_i32, |value, byte| value * 10 + i32::from(byte - b'0'));
        self.at += digits;
        Some(value)
    }

    /// Digits even where others follow: 20200708.
    fn fixed(&mut self, digits: usize) -> Option<i32> {
        let found = self.text.get(self.at..self.at + digits)?;
        if !found.iter().all(u8::is_ascii_digit) {
            return None;
        }
        self.at += digits;
        Some(found.iter().fold(0, |value, byte| value * 10 + i32::from(byte - b'0')))
    }

    fn word(&mut self, words: &[&str]) -> Option<i32> {
        let rest = &self.text[self.at.min(self.text.len())..];
        let index = words.iter().position(|word| {
            rest.len() >= 3 && rest[..3].eq_ignore_ascii_case(&word.as_bytes()[..3]) && {
                let letters = rest.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
                letters == 3 || (letters == word.len() && rest[..letters].eq_ignore_ascii_case(word.as_bytes()))
            }
        })?;
        self.at += rest.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        i32::try_from(index + 1).ok()
    }

    fn month(&mut self) -> Option<i32> {
        self.word(&[
            "January",
            "February",
            "March",
            "April",
            "May",
            "June",
            "July",
            "August",
            "September",
            "October",
            "November",
            "December",
        ])
    }

    fn weekday(&mut self) -> Option<i32> {
        self.word(&["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"])
    }

    fn any(&mut self, context: &TimeContext) -> Option<LoggedAt> {
        let start = self.at;
        let first = self.peek();
        if first.is_ascii_digit() {
            for form in [Self::year_first, Self::day_first, Self::epoch_first] {
                if let Some(found) = form(self, context) {
                    return Some(found);
                }
                self.at = start;
            }
        } else if first.is_ascii_alphabetic() {
            for form in [Self::month_first, Self::klog] {
                if let Some(found) = form(self, context) {
                    return Some(found);
                }
                self.at = start;
            }
        }
        None
    }

    /// `2020-07-08T20:00:00.123Z`, `2020-07-08 20:00:00,123 +0200`, `2020/07/08 20:00:00`, `20200708 20:00:00`,
    /// `20200708T200000Z`.
    fn year_first(&mut self, context: &TimeContext) -> Option<LoggedAt> {
        let year = self.fixed(4)?;
        let (month, day) = if let Some(separator) = self.eat_any(b"-/.") {
            let month = self.number(1, 2)?;
            if !self.eat(separator) {
                return None;
            }
            (month, self.number(1, 2)?)
        } else {
            (self.fixed(2)?, self.fixed(2)?)
        };
        let date = date(year, month, day)?;
        self.eat_any(b"T t_:")?;
        while self.eat(b' ') {}
        self.clock_and_zone(date, context)
    }

    /// `08/Jul/2020:20:00:00 +0000`, `08-Jul-2020 20:00:00.123`, `8 Jul 2020 20:00:00`.
    fn day_first(&mut self, context: &TimeContext) -> Option<LoggedAt> {
        let day = self.number(1, 2)?;
        let separator = self.eat_any(b"/- .")?;
        let month = self.month()?;
        if !self.eat(separator) {
            return None;
        }
        let date = date(self.number(4, 4)?, month, day)?;
        self.eat_any(b": T")?;
        self.clock_and_zone(date, context)
    }

    /// Seconds or milliseconds at the beginning of a line.
    fn epoch_first(&mut self, _: &TimeContext) -> Option<LoggedAt> {
        let rest = &self.text[self.at..];
        let whole = rest.iter().take(20).take_while(|byte| byte.is_ascii_digit()).count();
        if !matches!(whole, 10 | 13 | 16 | 19) {
            return None;
        }
        let fraction = if rest.get(whole) == Some(&b'.') {
            rest[whole + 1..].iter().take(9).take_while(|byte| byte.is_ascii_digit()).count()
        } else {
            0
        };
        let end = if fraction > 0 { whole + 1 + fraction } else { whole };
        if rest
            .get(end)
            .is_some_and(|byte| !matches!(byte, b' ' | b'\t' | b'|' | b']' | b',' | b':' | b')' | b'"' | b';'))
        {
            return None;
        }
        let found = epoch(std::str::from_utf8(&rest[..end]).ok()?)?;
        self.at += end;
        Some(found)
    }

    /// `Jul  8 20:00:00` (syslog), `Jul 08, 2020 8:00:00 PM` (java.util.logging), `Wed Jul 08 20:00:00 UTC 2020`,
    /// `Wed, 08 Jul 2020 20:00:00 GMT`.
    fn month_first(&mut self, context: &TimeContext) -> Option<LoggedAt> {
        if self.weekday().is_some() {
            let comma = self.eat(b',');
            if !self.eat(b' ') {
                return None;
            }
            if comma {
                return self.day_first(context);
            }
        }
        let month = self.month()?;
        while self.eat(b' ') {}
        let day = self.number(1, 2)?;
        self.eat(b',');
        if !self.eat(b' ') {
            return None;
        }
        let mark = self.at;
        if let Some(year) = self.number(4, 4) {
            let date = date(year, month, day)?;
            self.eat(b',');
            self.eat_any(b" T")?;
            return self.clock_and_zone(date, context);
        }
        self.at = mark;
        let (time, subsecond) = self.clock()?;
        let before_zone = self.at;
        let zone = self.zone();
        if zone.is_none() {
            self.at = before_zone;
        }
        let mark = self.at;
        if self.eat(b' ')
            && let Some(year) = self.number(4, 4)
        {
            return settle(date(year, month, day)?.to_datetime(time), zone, subsecond, context);
        }
        self.at = mark;
        latest_not_after_now(month, day, time, zone, subsecond, context)
    }

    /// `W0708 20:00:00.123456` of Kubernetes' components.
    fn klog(&mut self, context: &TimeContext) -> Option<LoggedAt> {
        self.eat_any(b"IWEFD")?;
        let (month, day) = (self.fixed(2)?, self.fixed(2)?);
        if !self.eat(b' ') {
            return None;
        }
        let (time, subsecond) = self.clock()?;
        latest_not_after_now(month, day, time, None, subsecond, context)
    }

    fn clock_and_zone(&mut self, date: Date, context: &TimeContext) -> Option<LoggedAt> {
        let (time, subsecond) = self.clock()?;
        let before = self.at;
        let zone = self.zone();
        if zone.is_none() {
            self.at = before;
        }
        settle(date.to_datetime(time), zone, subsecond, context)
    }

    /// `20:00:00`, `8:00:00 PM`, `20:00`, `200000`, with a fraction after a point or a comma (or a colon, as some Java
    /// patterns have it).
    fn clock(&mut self) -> Option<(Time, bool)> {
        let compact = self.text.get(self.at..self.at + 6).is_some_and(|digits| digits.iter().all(u8::is_ascii_digit));
        let (mut hour, minute, second);
        if compact {
            (hour, minute, second) = (self.fixed(2)?, self.fixed(2)?, self.fixed(2)?);
        } else {
            hour = self.number(1, 2)?;
            if !self.eat(b':') {
                return None;
            }
            minute = self.number(2, 2)?;
            second = if self.peek() == b':' && self.text.get(self.at + 1).is_some_and(u8::is_ascii_digit) {
                self.at += 1;
                self.number(2, 2)?
            } else {
                0
            };
        }
        let mut nanos = 0;
        let mut subsecond = false;
        if matches!(self.peek(), b'.' | b',' | b':') && self.text.get(self.at + 1).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
            let mut unit = 100_000_000;
            while self.peek().is_ascii_digit() {
                nanos += i32::from(self.peek() - b'0') * unit;
                unit /= 10;
                self.at += 1;
            }
            subsecond = true;
        }
        let half = self.text.get(self.at..self.at + 3).map(<[u8]>::to_ascii_uppercase);
        match half.as_deref() {
            Some(b" AM") => {
                hour %= 12;
                self.at += 3;
            }
            Some(b" PM") => {
                hour = hour % 12 + 12;
                self.at += 3;
            }
            _ => {}
        }
        // A leap second is read as the one before it.
        let time =
            Time::new(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, i8::try_from(second.min(59)).ok()?, nanos)
                .ok()?;
        Some((time, subsecond))
    }

    /// `Z`, `+02:00`, `-0700`, ` +0200`, ` UTC`, and the abbreviations that mean one offset in practice.
    fn zone(&mut self) -> Option<Offset> {
        if self.eat_any(b"Zz").is_some() {
            return if self.peek().is_ascii_alphanumeric() { None } else { Some(Offset::UTC) };
        }
        self.eat(b' ');
        if let Some(sign) = self.eat_any(b"+-") {
            let hours = self.fixed(2)?;
            self.eat(b':');
            let minutes = self.fixed(2).unwrap_or(0);
            if self.peek().is_ascii_digit() || hours > 15 || minutes > 59 {
                return None;
            }
            let seconds = (hours * 60 + minutes) * 60;
            return Offset::from_seconds(if sign == b'-' { -seconds } else { seconds }).ok();
        }
        let letters =
            self.text[self.at.min(self.text.len())..].iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        let hours: i8 = match &self.text[self.at.min(self.text.len())..][..letters] {
            b"UTC" | b"GMT" | b"Z" => 0,
            b"PST" => -8,
            b"PDT" | b"MST" => -7,
            b"MDT" | b"CST" => -6,
            b"CDT" | b"EST" => -5,
            b"EDT" => -4,
            b"CET" | b"MEZ" => 1,
            b"CEST" | b"MESZ" | b"EET" => 2,
            b"EEST" => 3,
            b"JST" => 9,
            _ => return None,
        };
        self.at += letters;
        Some(Offset::constant(hours))
    }
}

fn date(year: i32, month: i32, day: i32) -> Option<Date> {
    Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

fn settle(local: DateTime, zone: Option<Offset>, subsecond: bool, context: &TimeContext) -> Option<LoggedAt> {
    match zone {
        Some(offset) => in_range(offset.to_timestamp(local).ok()?, true, subsecond),
        None => in_range(context.zone.to_ambiguous_timestamp(local).compatible().ok()?, false, subsecond),
    }
}

fn latest_not_after_now(
    month: i32,
    day: i32,
    time: Time,
    zone: Option<Offset>,
    subsecond: bool,
    context: &TimeContext,
) -> Option<LoggedAt> {
    let this_year = i32::from(context.now.to_zoned(context.zone.clone()).year());
    // A day of grace: clocks differ, and so do zones. Back to eight years for the 29th of February.
    let latest = context.now.checked_add(SignedDuration::from_hours(24)).ok()?;
    (0..=8).find_map(|back| {
        let local = date(this_year + 1 - back, month, day)?.to_datetime(time);
        settle(local, zone, subsecond, context).filter(|found| found.at <= latest)
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use proptest::prelude::*;

    fn context() -> TimeContext {
        TimeContext { zone: TimeZone::UTC, now: "2020-07-10T00:00:00Z".parse().unwrap() }
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
        let (_, used) = leading(b"Jul  8 20:00:00 host app: x", &context()).unwrap();
        assert_eq!(used, "Jul  8 20:00:00".len());
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
