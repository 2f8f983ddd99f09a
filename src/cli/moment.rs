//! Moments as people type them, alike for every command: `now`, `23:55`, a day, a time, or a length before now.

use std::time::Duration;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::decode::timestamp::{TimeContext, whole};
use crate::model::parse_duration;

/// What typed moments mean where they leave something open.
#[derive(Debug, Clone)]
pub(super) struct Typed {
    zone: TimeZone,
    now: Timestamp,
}

/// Neither a moment nor a length of time.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is no time; use now, 23:55, 2020-07-08, 2020-07-08T20:00-07:00, or a length before now such as 36h, 1d or 2w"
)]
pub(super) struct BadMoment(String);

impl Typed {
    /// In this zone, at this moment.
    pub(super) const fn new(zone: TimeZone, now: Timestamp) -> Self {
        Self { zone, now }
    }

    /// The instant that a text means. A time of day alone is the last such time before now, with a minute's grace for
    /// clocks that differ.
    pub(super) fn moment(&self, text: &str) -> Result<Timestamp, BadMoment> {
        let text = text.trim();
        let wrong = || BadMoment(text.to_owned());
        let today = self.now.to_zoned(self.zone.clone()).date();
        match text {
            "now" => return Ok(self.now),
            "today" => return today.to_zoned(self.zone.clone()).map(|day| day.timestamp()).map_err(|_| wrong()),
            "yesterday" => {
                let day = today.yesterday().and_then(|day| day.to_zoned(self.zone.clone()));
                return day.map(|day| day.timestamp()).map_err(|_| wrong());
            }
            _ => {}
        }
        if let Ok(time) = text.parse::<Time>()
            && text.contains(':')
            && !text.contains(['-', 'T'])
        {
            let on =
                |day: jiff::civil::Date| day.to_datetime(time).to_zoned(self.zone.clone()).map(|at| at.timestamp());
            let found = on(today).map_err(|_| wrong())?;
            if found.duration_since(self.now) <= SignedDuration::from_mins(1) {
                return Ok(found);
            }
            return today.yesterday().and_then(on).map_err(|_| wrong());
        }
        if let Some(found) = whole(text, &TimeContext::new(self.zone.clone(), self.now)) {
            return Ok(found.at);
        }
        if let Ok(day) = text.parse::<jiff::civil::Date>() {
            return Ok(day.to_zoned(self.zone.clone()).map_err(|_| wrong())?.timestamp());
        }
        let ago = length(text).ok_or_else(wrong)?;
        self.now.checked_sub(ago).map_err(|_| wrong())
    }
}

/// How long before now a moment is, for flags that count back from now. In the zone of this machine.
///
/// # Errors
/// Where it is no moment, or one to come.
pub(super) fn before_now(text: &str) -> Result<Duration, String> {
    let now = Timestamp::now();
    let moment = Typed::new(TimeZone::system(), now).moment(text).map_err(|error| error.to_string())?;
    if moment > now.saturating_add(SignedDuration::from_mins(1)).unwrap_or(now) {
        return Err(format!("{text:?} is yet to come"));
    }
    // The API server takes whole seconds, and none of them is all.
    Ok(Duration::try_from(now.duration_since(moment)).unwrap_or_default().max(Duration::from_secs(1)))
}

/// A length of time: Go's durations, with days and weeks in front (`1d`, `2w`, `1d12h`).
pub(super) fn length(text: &str) -> Option<SignedDuration> {
    let mut rest = text;
    let mut hours: i64 = 0;
    for (unit, of) in [('w', 7 * 24), ('d', 24)] {
        if let Some((number, after)) = rest.split_once(unit)
            && !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
        {
            hours = hours.checked_add(number.parse::<i64>().ok()?.checked_mul(of)?)?;
            rest = after;
        }
    }
    if hours >= 1_000_000 {
        return None;
    }
    if rest.is_empty() && rest.len() < text.len() {
        return Some(SignedDuration::from_hours(hours));
    }
    let more = SignedDuration::try_from(parse_duration(rest).ok()?).ok()?;
    SignedDuration::from_hours(hours).checked_add(more)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn moments_are_read_as_people_type_them() {
        let typed = Typed::new(TimeZone::get("America/Los_Angeles").unwrap(), "2020-07-09T03:30:00Z".parse().unwrap());
        for (text, instant) in [
            ("now", "2020-07-09T03:30:00Z"),
            ("20:00", "2020-07-09T03:00:00Z"),
            ("23:55", "2020-07-08T06:55:00Z"),
            ("20:00:30", "2020-07-09T03:00:30Z"),
            ("today", "2020-07-08T07:00:00Z"),
            ("yesterday", "2020-07-07T07:00:00Z"),
            ("2020-07-08", "2020-07-08T07:00:00Z"),
            ("2020-07-08T20:00-07:00", "2020-07-09T03:00:00Z"),
            ("2020-07-08 20:00", "2020-07-09T03:00:00Z"),
            ("5m", "2020-07-09T03:25:00Z"),
            ("36h", "2020-07-07T15:30:00Z"),
            ("1d", "2020-07-08T03:30:00Z"),
            ("1w", "2020-07-02T03:30:00Z"),
            ("1d12h", "2020-07-07T15:30:00Z"),
        ] {
            assert_eq!(typed.moment(text).unwrap().to_string(), instant, "{text}");
        }
        for text in ["", "soon", "25:00", "d", "w", "-5m", "1y", "99999999w", "20-07"] {
            assert!(typed.moment(text).is_err(), "{text}");
        }
    }
}
