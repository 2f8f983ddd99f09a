//! Durations as Envoy, Istio and the tools around them write them.

use std::time::Duration;

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// The text has another form.
    #[error("{:?} is not a duration (try 10s, 250ms or 1m30s)", short(.0))]
    Form(String),
    /// Protobuf allows negative durations, a timeout cannot be one.
    #[error("{:?} is negative, and a timeout cannot be", short(.0))]
    Negative(String),
    /// More than protobuf's 10,000 years (`google/protobuf/duration.proto`).
    #[error("{:?} is longer than a duration can be", short(.0))]
    TooLong(String),
}

/// The beginning of what was meant to be a duration: it may be of any length.
fn short(text: &str) -> &str {
    &text[..text.floor_char_boundary(40)]
}

/// The longest duration that protobuf allows, in seconds (`google/protobuf/duration.proto`).
const MAX_SECONDS: u64 = 315_576_000_000;

/// Reads a duration as people give it to a flag: what [`parse_duration`] takes, weeks and days in front of it (`1w`,
/// `1d12h`), and a number alone, which is seconds, as kubectl has it for `--request-timeout`.
pub fn parse_span(text: &str) -> Result<Duration, DurationError> {
    let trimmed = text.trim();
    if !trimmed.is_empty() && trimmed.bytes().all(|byte| byte.is_ascii_digit()) {
        return trimmed.parse().map(Duration::from_secs).map_err(|_| DurationError::TooLong(text.to_owned()));
    }
    let (mut rest, mut seconds) = (trimmed, 0_u64);
    for (unit, length) in [('w', 7 * 86_400), ('d', 86_400)] {
        let Some((number, after)) = rest.split_once(unit) else { continue };
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(DurationError::Form(text.to_owned()));
        }
        let part = number.parse::<u64>().ok().and_then(|number| number.checked_mul(length));
        let sum = part.and_then(|part| seconds.checked_add(part)).filter(|sum| *sum <= MAX_SECONDS);
        (seconds, rest) = (sum.ok_or_else(|| DurationError::TooLong(text.to_owned()))?, after);
    }
    let tail = if rest.is_empty() && rest.len() < trimmed.len() { Duration::ZERO } else { parse_duration(rest)? };
    Ok(Duration::from_secs(seconds) + tail)
}

/// Reads a duration: protobuf's JSON form (`1s`, `0.250s`, `10.000s`), Go's and Kubernetes' (`250ms`, `1m30s`,
/// `1h`, also `µs` and `ns`). A number without a unit is refused: tools differ in what they mean by it.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let trimmed = text.trim();
    let form = || DurationError::Form(text.to_owned());
    let too_long = || DurationError::TooLong(text.to_owned());
    if let Some(rest) = trimmed.strip_prefix('-') {
        return match parse_duration(rest) {
            Ok(Duration::ZERO) => Ok(Duration::ZERO),
            Ok(_) => Err(DurationError::Negative(text.to_owned())),
            Err(_) => Err(form()),
        };
    }
    if trimmed == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = trimmed;
    let mut nanos: u128 = 0;
    if rest.is_empty() {
        return Err(form());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(form)?;
        let (whole, after) = rest.split_at(digits);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(tail) => {
                let end = tail.find(|c: char| !c.is_ascii_digit()).ok_or_else(form)?;
                tail.split_at(end)
            }
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(form());
        }
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, tail) = after.split_at(end);
        let scale: u128 = match unit {
            "h" => 3_600_000_000_000,
            "m" => 60_000_000_000,
            "s" => 1_000_000_000,
            "ms" => 1_000_000,
            "us" | "µs" | "μs" => 1_000,
            "ns" => 1,
            _ => return Err(form()),
        };
        let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| too_long())? };
        nanos = whole.checked_mul(scale).and_then(|part| nanos.checked_add(part)).ok_or_else(too_long)?;
        let mut place = scale / 10;
        for digit in fraction.bytes() {
            nanos += u128::from(digit - b'0') * place;
            place /= 10;
        }
        rest = tail;
    }
    let seconds = u64::try_from(nanos / 1_000_000_000).map_err(|_| too_long())?;
    if seconds > MAX_SECONDS {
        return Err(too_long());
    }
    let subsec = u32::try_from(nanos % 1_000_000_000).map_err(|_| too_long())?;
    Ok(Duration::new(seconds, subsec))
}

/// Writes a duration as protobuf's JSON mapping does (`1s`, `0.250s`): seconds with no, three, six or nine decimals.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
    if nanos == 0 {
        format!("{seconds}s")
    } else if nanos % 1_000_000 == 0 {
        format!("{seconds}.{:03}s", nanos / 1_000_000)
    } else if nanos % 1_000 == 0 {
        format!("{seconds}.{:06}s", nanos / 1_000)
    } else {
        format!("{seconds}.{nanos:09}s")
    }
}

/// How many SYN retransmissions leave before a connection attempt is given up after `timeout`.
///
/// Linux starts with an RTO of 1 s (RFC 6298, `TCP_TIMEOUT_INIT`) and doubles it, so retransmissions leave 1, 3, 7,
/// 15, 31 and 63 s after the first SYN (`net.ipv4.tcp_syn_retries` is 6). One that leaves at the very moment of the
/// timeout comes too late.
#[must_use]
pub fn syn_retransmissions(timeout: Duration) -> u32 {
    const LEAVES_AT: [u64; 6] = [1, 3, 7, 15, 31, 63];
    let count = LEAVES_AT.iter().filter(|&&second| Duration::from_secs(second) < timeout).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The connect timeouts that are recommended: each allows one SYN retransmission more than the last, or is a round
/// number.
pub const CONNECT_TIMEOUTS: [Duration; 6] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(15),
    Duration::from_secs(30),
];

/// Two SYN retransmissions leave after 1 and 3 s; 5 s leave time for the handshake after the second.
pub const LEAST_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Istio's own default since 1.6, where nothing was measured.
pub const USUAL_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What to raise a timeout to that cuts connections off, where nothing else is known: Istio's default, or the next
/// longer one; the longest for what is as long already.
#[must_use]
pub fn longer_connect_timeout(held: Duration) -> Duration {
    let longer = CONNECT_TIMEOUTS.into_iter().find(|step| *step > held);
    longer.unwrap_or(CONNECT_TIMEOUTS[CONNECT_TIMEOUTS.len() - 1]).max(USUAL_CONNECT_TIMEOUT)
}

/// Durations inside snapshots are written as protobuf's JSON does.
pub(super) mod optional_duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[expect(clippy::ref_option, reason = "serde's `with` calls it so")]
    pub(in crate::model) fn serialize<S: Serializer>(
        value: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(duration) => serializer.serialize_str(&super::format_duration(*duration)),
            None => serializer.serialize_none(),
        }
    }

    pub(in crate::model) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| super::parse_duration(&text).map_err(D::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spans_have_days_and_weeks_and_bare_seconds() {
        let hours = |text: &str| parse_span(text).map(|span| span.as_secs() / 3600);
        assert_eq!((hours("1d"), hours("1w"), hours("1w2d3h"), hours("7200")), (Ok(24), Ok(168), Ok(219), Ok(2)));
        assert_eq!(parse_span("1d250ms"), Ok(Duration::from_millis(86_400_250)));
        assert_eq!(parse_span("5"), Ok(Duration::from_secs(5)));
        for text in ["", "d", "1d2w", "-1d", "1.5d", "1x", "1d 2", "99999999999999999999d"] {
            assert!(parse_span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn reads_every_way_to_write_a_duration() {
        for (text, millis) in [
            ("1s", 1000),
            ("0.250s", 250),
            (".25s", 250),
            ("10.000s", 10_000),
            ("1m30s", 90_000),
            ("1h", 3_600_000),
            ("1.5h", 5_400_000),
            ("250ms", 250),
            ("1500000us", 1500),
            ("0", 0),
            ("0s", 0),
            ("-0s", 0),
            (" 2s ", 2000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(parse_duration("1000000000ns"), Ok(Duration::from_secs(1)));
    }

    #[test]
    fn refuses_what_is_no_duration() {
        for text in ["", "s", "1", "10", "1.s.", "1d", "abc", "1s2", "..s", "1 s", "--1s"] {
            assert!(matches!(parse_duration(text), Err(DurationError::Form(_))), "{text}");
        }
        assert!(matches!(parse_duration("-1s"), Err(DurationError::Negative(_))));
        assert!(matches!(parse_duration("999999999999999999h"), Err(DurationError::TooLong(_))));
        assert!(matches!(parse_duration(&"9".repeat(90)), Err(DurationError::Form(_))));
        assert!(matches!(parse_duration(&format!("{}s", "9".repeat(90))), Err(DurationError::TooLong(_))));
    }

    #[test]
    fn counts_retransmissions_as_the_contract_says() {
        for (millis, count) in
            [(250, 0), (1000, 0), (1001, 1), (2000, 1), (3000, 1), (5000, 2), (10_000, 3), (30_000, 4)]
        {
            assert_eq!(syn_retransmissions(Duration::from_millis(millis)), count, "{millis} ms");
        }
    }

    proptest! {
        #[test]
        fn is_total(text in ".{0,40}") {
            let _ = parse_duration(&text);
        }

        #[test]
        fn round_trips(seconds in 0..MAX_SECONDS, nanos in 0u32..1_000_000_000) {
            let duration = Duration::new(seconds, nanos);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }
    }
}
