//! The scanner: one for all layouts, as loggers differ in separators, fractions and zones, and one file mixes them.

use jiff::civil::{Date, Time};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use super::names;
use super::zones::{self, MAX_ABBREVIATION, Zone};

/// What stands in a text.
#[derive(Debug)]
pub(super) enum Scanned {
    /// A number that is an instant.
    Instant { at: Timestamp, subsecond: bool },
    /// A clock's time, with what it says of its day.
    Local { day: Day, time: Time, zone: Option<Zone>, subsecond: bool },
}

/// The day of a timestamp, as far as it says.
#[derive(Clone, Copy, Debug)]
pub(super) enum Day {
    /// All of it.
    Full(Date),
    /// Month and day (syslog, klog).
    YearLess { month: i8, day: i8 },
    /// `08/07/2020`: which is the month can't be seen from it. The year is none where it has two digits and may stand
    /// at either end (`20/07/08`).
    Numbers { first: i8, second: i8, third: i16, short: bool, twelve_hours: bool },
}

pub(super) struct Scan<'a> {
    pub(super) text: &'a [u8],
    pub(super) at: usize,
}

/// A time of the clock.
struct Clock {
    time: Time,
    subsecond: bool,
    /// It has AM or PM.
    twelve_hours: bool,
}

impl<'a> Scan<'a> {
    fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
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

    fn eat_text(&mut self, text: &[u8]) -> bool {
        let found = self.rest().starts_with(text);
        self.at += if found { text.len() } else { 0 };
        found
    }

    fn digits(&self) -> usize {
        self.rest().iter().take(20).take_while(|byte| byte.is_ascii_digit()).count()
    }

    /// A number of `least` to `most` digits that no further digit follows.
    fn number(&mut self, least: usize, most: usize) -> Option<i32> {
        let digits = self.digits();
        if digits < least || digits > most {
            return None;
        }
        self.fixed(digits)
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

    /// Letters of any script, and the point that abbreviations have behind them.
    fn word(&mut self) -> &'a [u8] {
        let rest = self.rest();
        let letters = rest.iter().take(25).take_while(|byte| byte.is_ascii_alphabetic() || **byte >= 0x80).count();
        self.at += letters;
        self.eat(b'.');
        &rest[..letters]
    }

    fn month(&mut self) -> Option<i8> {
        let word = self.word();
        names::month(word)
    }

    pub(super) fn any(&mut self) -> Option<Scanned> {
        let start = self.at;
        let forms: &[fn(&mut Self) -> Option<Scanned>] = match self.peek() {
            b'0'..=b'9' => &[
                Self::year_first,
                Self::day_first,
                Self::numbers,
                Self::six_digits,
                Self::month_and_day,
                Self::epoch_first,
            ],
            b'@' => &[Self::tai64n],
            b'<' => &[Self::syslog],
            b'%' => &[Self::librdkafka],
            b'I' | b'W' | b'E' | b'F' | b'D' => &[Self::month_first, Self::klog],
            byte if byte.is_ascii_alphabetic() || byte >= 0xc3 => &[Self::month_first],
            _ => return None,
        };
        for form in forms {
            if let Some(found) = form(self) {
                return Some(found);
            }
            self.at = start;
        }
        None
    }

    /// What may stand between a date and its time: `T`, blanks, `-`, `_`, `:`, a comma, `][`, ` @ `, `at`.
    fn joint(&mut self) -> bool {
        let start = self.at;
        if matches!(self.peek(), b'T' | b't') && self.text.get(self.at + 1).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
            return true;
        }
        while self.at - start < 4 && self.eat_any(b" \t,_:-@][").is_some() {}
        if self.at > start {
            self.eat_text(b"at ");
        }
        self.at > start
    }

    /// `2020-07-08T20:00:00.123Z`, `2020-07-08 20:00:00,123 +0200`, `2020/07/08 20:00:00`, `20200708 20:00:00`,
    /// `20200708T200000Z`, `2020-07-08-20.00.00.123456`, `[2020-07-08][20:00:00]`, `2020-Jul-08 …`, `2020 Jul  8 …`, `2020年7月8日 …`.
    fn year_first(&mut self) -> Option<Scanned> {
        let year = self.fixed(4)?;
        let (month, day) = if let Some(separator) = self.eat_any(b"-/.") {
            let month = if self.peek().is_ascii_digit() { self.number(1, 2)? } else { i32::from(self.month()?) };
            if !self.eat(separator) {
                return None;
            }
            (month, self.number(1, 2)?)
        } else if self.peek() == b' ' && self.rest().get(1).is_some_and(u8::is_ascii_alphabetic) {
            self.at += 1;
            let month = i32::from(self.month()?);
            while self.eat(b' ') {}
            (month, self.number(1, 2)?)
        } else if self.eat_text("年".as_bytes()) {
            let month = self.number(1, 2)?;
            let day = self.eat_text("月".as_bytes()).then(|| self.number(1, 2))??;
            self.eat_text("日".as_bytes());
            (month, day)
        } else {
            (self.fixed(2)?, self.fixed(2)?)
        };
        let date = date(year, month, day)?;
        if !self.joint() {
            return None;
        }
        self.clock_and_zone(Day::Full(date))
    }

    /// `08/Jul/2020:20:00:00 +0000`, `08-Jul-2020 20:00:00.123`, `8 Jul 2020 20:00:00`, `8. Juli 2020 20:00:00`, and
    /// Redis' `1:M 08 Jul 2020 20:00:00.123`, without a year before Redis 5.
    fn day_first(&mut self) -> Option<Scanned> {
        let digits = self.digits();
        let role = self.rest().get(digits..digits + 3);
        if role.is_some_and(|role| role[0] == b':' && role[1].is_ascii_uppercase() && role[2] == b' ') {
            self.at += digits + 3;
        }
        let day = self.number(1, 2)?;
        let separator = self.eat_any(b"/- .")?;
        if separator == b'.' {
            self.eat(b' ');
        }
        let month = self.month()?;
        let short = separator == b'-' && self.peek() == separator;
        if !self.eat(separator) && !self.eat(b' ') {
            return None;
        }
        self.after_day_and_month(day, month, short)
    }

    /// The year (of four digits; of two in RFC 850's `08-Jul-20`) or a time.
    fn after_day_and_month(&mut self, day: i32, month: i8, short: bool) -> Option<Scanned> {
        let mark = self.at;
        let year = match self.digits() {
            4 => self.number(4, 4),
            2 if short => self.number(2, 2).map(|year| 2000 + year),
            _ => None,
        };
        if let Some(year) = year
            && self.joint()
        {
            return self.clock_and_zone(Day::Full(date(year, i32::from(month), day)?));
        }
        self.at = mark;
        self.year_less(month, day)
    }

    /// `14/07/2020 20:00:00`, `7/8/2020, 8:00:00 PM`, `08.07.2020 20:00`, `20/07/08 20:00:00`, `21-01-15 12:17:20`.
    fn numbers(&mut self) -> Option<Scanned> {
        let first = i8::try_from(self.number(1, 2)?).ok()?;
        let separator = self.eat_any(b"/.-")?;
        let second = i8::try_from(self.number(1, 2)?).ok()?;
        if !self.eat(separator) {
            return None;
        }
        let short = self.digits() == 2;
        let third = i16::try_from(if short { self.number(2, 2)? } else { self.number(4, 4)? }).ok()?;
        if !self.joint() {
            return None;
        }
        let clock = self.clock()?;
        let zone = self.zone();
        let day = if separator == b'.' && !short {
            Day::Full(date(i32::from(third), i32::from(second), i32::from(first))?)
        } else {
            Day::Numbers { first, second, third, short, twelve_hours: clock.twelve_hours }
        };
        Some(Scanned::Local { day, time: clock.time, zone, subsecond: clock.subsecond })
    }

    /// `200708 20:00:00` (MySQL to 5.6, with a blank before an hour of one digit), `081109 203615` (Hadoop's HDFS).
    fn six_digits(&mut self) -> Option<Scanned> {
        if self.digits() != 6 {
            return None;
        }
        let date = date(2000 + self.fixed(2)?, self.fixed(2)?, self.fixed(2)?)?;
        if !self.eat(b' ') {
            return None;
        }
        self.eat(b' ');
        self.clock_and_zone(Day::Full(date))
    }

    /// `07-08 20:00:00.123`: Android's, and of formats that leave the year out.
    fn month_and_day(&mut self) -> Option<Scanned> {
        let month = i8::try_from(self.number(2, 2)?).ok()?;
        if !self.eat(b'-') {
            return None;
        }
        let day = self.number(2, 2)?;
        if !self.eat(b' ') {
            return None;
        }
        self.year_less(month, day)
    }

    /// Seconds or milliseconds at the beginning of a line.
    fn epoch_first(&mut self) -> Option<Scanned> {
        let rest = self.rest();
        let whole = self.digits();
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

    /// `@400000005f0627000754d4c0` (multilog): seconds from 2^62, ten ahead of UTC, then nanoseconds
    /// (<https://cr.yp.to/libtai/tai64.html>).
    fn tai64n(&mut self) -> Option<Scanned> {
        let hex = |range| u64::from_str_radix(std::str::from_utf8(self.text.get(range)?).ok()?, 16).ok();
        let start = self.at + 1;
        let (seconds, nanos) = (hex(start..start + 16)?, hex(start + 16..start + 24)?);
        let seconds = i64::try_from(seconds.checked_sub((1 << 62) + 10)?).ok()?;
        self.at += 25;
        let at = Timestamp::new(seconds, i32::try_from(nanos).ok()?).ok()?;
        Some(Scanned::Instant { at, subsecond: true })
    }

    /// `<34>Jul  8 …`, `<165>1 2020-07-08T…`: the priority of syslog's protocols (RFC 3164, 5424).
    fn syslog(&mut self) -> Option<Scanned> {
        self.at += 1;
        self.number(1, 3)?;
        if !self.eat(b'>') {
            return None;
        }
        if self.rest().starts_with(b"1 ") {
            self.at += 2;
        }
        if self.peek() == b'<' { None } else { self.any() }
    }

    /// `%3|1594238400.123|FAIL|…` (librdkafka).
    fn librdkafka(&mut self) -> Option<Scanned> {
        self.at += 1;
        self.number(1, 1)?;
        if self.eat(b'|') { self.epoch_first() } else { None }
    }

    /// `Jul  8 20:00:00` (syslog), `Jul 08, 2020 8:00:00 PM` (java.util.logging), `Jul 8, 2020 @ 20:00:00.000` (Kibana),
    /// `Wed Jul 08 20:00:00 UTC 2020`, `Wed, 08 Jul 2020 20:00:00 GMT`, `Wed Jul 08 2020 22:00:00 GMT+0200 (…)`.
    fn month_first(&mut self) -> Option<Scanned> {
        let start = self.at;
        let word = self.word();
        if !matches!(self.peek(), b' ' | b',' | b'/' | b'-') {
            return None;
        }
        if let Some(month) = names::month(word)
            && let Some(found) = self.after_month(month)
        {
            return Some(found);
        }
        if !names::is_weekday(word) {
            return None;
        }
        self.at = start;
        self.word();
        self.eat(b',');
        if !self.eat(b' ') {
            return None;
        }
        while self.eat(b' ') {}
        if self.peek().is_ascii_digit() {
            return self.day_first();
        }
        let month = self.month()?;
        self.after_month(month)
    }

    fn after_month(&mut self, month: i8) -> Option<Scanned> {
        self.eat_any(b" /-")?;
        while self.eat(b' ') {}
        let day = self.number(1, 2)?;
        let comma = self.eat(b',');
        if !self.eat(b' ') && !self.eat(b'/') {
            return None;
        }
        let mark = self.at;
        if let Some(year) = self.number(4, 4)
            && self.joint()
            && let Some(found) = date(year, i32::from(month), day).and_then(|date| self.clock_and_zone(Day::Full(date)))
        {
            return Some(found);
        }
        self.at = mark;
        if comma { None } else { self.year_less(month, day) }
    }

    /// A clock's time after month and day; the year may stand behind it (`date`'s and `asctime`'s).
    fn year_less(&mut self, month: i8, day: i32) -> Option<Scanned> {
        let clock = self.clock()?;
        let zone = self.zone();
        let mark = self.at;
        let year = if self.eat(b' ') { self.number(4, 4) } else { None };
        let year = year.filter(|year| (1990..2100).contains(year));
        let day = match year.and_then(|year| date(year, i32::from(month), day)) {
            Some(date) => Day::Full(date),
            None => {
                self.at = mark;
                // Any leap year has all days.
                date(2000, i32::from(month), day)?;
                Day::YearLess { month, day: i8::try_from(day).ok()? }
            }
        };
        Some(Scanned::Local { day, time: clock.time, zone, subsecond: clock.subsecond })
    }

    /// `W0708 20:00:00.123456` of Kubernetes' components, and with a year as newer glogs have it.
    fn klog(&mut self) -> Option<Scanned> {
        self.eat_any(b"IWEFD")?;
        let year = if self.digits() == 8 { Some(self.fixed(4)?) } else { None };
        let (month, day) = (self.fixed(2)?, self.fixed(2)?);
        if !self.eat(b' ') {
            return None;
        }
        match year {
            Some(year) => self.clock_and_zone(Day::Full(date(year, month, day)?)),
            // Behind the clock stands a thread's number, and no year.
            None => {
                let clock = self.clock()?;
                date(2000, month, day)?;
                let day = Day::YearLess { month: i8::try_from(month).ok()?, day: i8::try_from(day).ok()? };
                Some(Scanned::Local { day, time: clock.time, zone: None, subsecond: clock.subsecond })
            }
        }
    }

    fn clock_and_zone(&mut self, day: Day) -> Option<Scanned> {
        let clock = self.clock()?;
        let zone = self.zone();
        Some(Scanned::Local { day, time: clock.time, zone, subsecond: clock.subsecond })
    }

    /// `20:00:00`, `8:00:00 PM`, `20:00`, `200000`, `20.00.00`, with a fraction after a point or a comma (or a colon, as
    /// some Java patterns have it).
    fn clock(&mut self) -> Option<Clock> {
        let compact = self.digits() >= 6;
        let (mut hour, minute, second);
        if compact {
            (hour, minute, second) = (self.fixed(2)?, self.fixed(2)?, self.fixed(2)?);
        } else {
            hour = self.number(1, 2)?;
            let separator = self.eat_any(b":.")?;
            minute = self.number(2, 2)?;
            let more = self.peek() == separator && self.text.get(self.at + 1).is_some_and(u8::is_ascii_digit);
            second = if more {
                self.at += 1;
                self.number(2, 2)?
            } else if separator == b'.' {
                // `7.08` is a number.
                return None;
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
        let half = self.half_of_day();
        match half {
            Some(b'A') if hour <= 12 => hour %= 12,
            Some(b'P') if hour <= 12 => hour = hour % 12 + 12,
            _ => {}
        }
        // A leap second is read as the one before it.
        let time =
            Time::new(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, i8::try_from(second.min(59)).ok()?, nanos)
                .ok()?;
        Some(Clock { time, subsecond, twelve_hours: half.is_some() })
    }

    /// `AM`, ` pm`, ` p.m.`, with the narrow blank that CLDR has put there since its version 42; nothing of a word that
    /// begins with these letters (`AMQP`).
    fn half_of_day(&mut self) -> Option<u8> {
        let mark = self.at;
        for blank in [b" ".as_slice(), "\u{202f}".as_bytes(), "\u{a0}".as_bytes()] {
            if self.eat_text(blank) {
                break;
            }
        }
        let letter = self.eat_any(b"AaPp").map(|letter| letter.to_ascii_uppercase());
        let point = self.eat(b'.');
        let whole = letter.is_some()
            && self.eat_any(b"Mm").is_some()
            && (!point || self.eat(b'.'))
            && !(self.peek().is_ascii_alphanumeric() || matches!(self.peek(), b'_' | b'-' | b'.' | b'/' | 0x80..));
        if !whole {
            self.at = mark;
            return None;
        }
        letter
    }

    /// `Z`, `+02:00`, `-0700`, ` +0200`, ` UTC`, `GMT+2`, ` CEST`, ` Europe/Berlin`, `Z[UTC]`, ` GMT+0200 (CEST)`. Nothing
    /// is taken where no zone stands.
    fn zone(&mut self) -> Option<Zone> {
        let mark = self.at;
        let found = self.zone_here();
        if found.is_none() {
            self.at = mark;
        }
        found
    }

    fn zone_here(&mut self) -> Option<Zone> {
        if self.eat_any(b"Zz").is_some() {
            if self.peek().is_ascii_alphanumeric() {
                return None;
            }
            return Some(self.in_brackets().unwrap_or(Zone::Fixed(Offset::UTC)));
        }
        let blank = self.eat(b' ');
        if matches!(self.peek(), b'+' | b'-') {
            let offset = self.offset(if blank { 4 } else { 2 })?;
            self.in_brackets();
            return Some(Zone::Fixed(offset));
        }
        let rest = self.rest();
        let letters = rest.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
        let name = &rest[..letters];
        if matches!(name, b"UTC" | b"GMT" | b"UT" | b"Z") {
            self.at += letters;
            let mark = self.at;
            if matches!(self.peek(), b'+' | b'-')
                && let Some(offset) = self.offset(1)
            {
                self.comment();
                return Some(Zone::Fixed(offset));
            }
            self.at = mark;
            if self.peek().is_ascii_alphanumeric() {
                return None;
            }
            return Some(Zone::Fixed(Offset::UTC));
        }
        if rest.get(letters) == Some(&b'/') && letters >= 2 {
            let length = rest
                .iter()
                .take(40)
                .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'+' | b'-'))
                .count();
            let zone = TimeZone::get(std::str::from_utf8(&rest[..length]).ok()?).ok()?;
            self.at += length;
            return Some(Zone::Named(zone));
        }
        if !(2..=MAX_ABBREVIATION).contains(&letters) || rest.get(letters).is_some_and(u8::is_ascii_digit) {
            return None;
        }
        let found = zones::abbreviation(name)?;
        self.at += letters;
        Some(found)
    }

    /// `+02:00`, `+0200`, `+02`, and `+2` where one digit is enough.
    fn offset(&mut self, least: usize) -> Option<Offset> {
        let negative = self.eat_any(b"+-")? == b'-';
        let digits = self.digits();
        let (hours, minutes) = match digits {
            4 => (self.fixed(2)?, self.fixed(2)?),
            1 | 2 if self.text.get(self.at + digits) == Some(&b':') => {
                let hours = self.fixed(digits)?;
                self.at += 1;
                (hours, self.number(2, 2)?)
            }
            1 | 2 if digits >= least => (self.fixed(digits)?, 0),
            _ => return None,
        };
        if hours > 15 || minutes > 59 {
            return None;
        }
        let seconds = (hours * 60 + minutes) * 60;
        Offset::from_seconds(if negative { -seconds } else { seconds }).ok()
    }

    /// `[Europe/Berlin]` behind an offset (Java's ZonedDateTime, RFC 9557).
    fn in_brackets(&mut self) -> Option<Zone> {
        let rest = self.rest();
        let length = rest.strip_prefix(b"[")?.iter().take(42).position(|byte| *byte == b']')?;
        let name = std::str::from_utf8(&rest[1..=length]).ok()?;
        let zone = TimeZone::get(name).ok()?;
        self.at += length + 2;
        Some(Zone::Named(zone))
    }

    /// ` (Central European Summer Time)` behind JavaScript's `GMT+0200`.
    fn comment(&mut self) {
        let rest = self.rest();
        if let Some(inner) = rest.strip_prefix(b" (")
            && let Some(end) = inner.iter().take(64).position(|byte| *byte == b')')
            && !inner[..end].iter().any(u8::is_ascii_digit)
        {
            self.at += end + 3;
        }
    }
}

pub(super) fn date(year: i32, month: i32, day: i32) -> Option<Date> {
    Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

/// Seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by their size; a fraction is of the unit.
pub(super) fn epoch(text: &str) -> Option<Scanned> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() || whole.len() > 19 || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit())
    {
        // zap prints large seconds as 1.594263600123e+09.
        let seconds: f64 = if text.contains(['e', 'E']) { text.parse().ok()? } else { return None };
        let at = Timestamp::from_duration(SignedDuration::try_from_secs_f64(seconds).ok()?).ok()?;
        return Some(Scanned::Instant { at, subsecond: true });
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
    let at = Timestamp::from_nanosecond(nanos).ok()?;
    Some(Scanned::Instant { at, subsecond: scale < 1_000_000_000 || !fraction.is_empty() })
}
