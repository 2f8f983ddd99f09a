//! The layout that nearly all timestamps have, read at one look: `2020-07-08 20:00:00,123`, `2020-07-08T20:00:00.123456Z`.
//! What is not exactly this is left to the scanner.

use jiff::civil::Time;
use jiff::tz::Offset;

use super::scan::{Day, Scanned, date};
use super::zones::{MAX_ABBREVIATION, Zone};

/// Year, month, day, hour, minute and second of the 19 bytes at the beginning of a text. They may be out of range.
pub(in crate::decode) fn numbers(text: &[u8]) -> Option<[i32; 6]> {
    let text: &[u8; 19] = text.first_chunk()?;
    let marks =
        text[4] == b'-' && text[7] == b'-' && matches!(text[10], b'T' | b' ') && text[13] == b':' && text[16] == b':';
    if !marks {
        return None;
    }
    let mut wrong = false;
    let mut two = |at: usize| {
        let (tens, ones) = (text[at].wrapping_sub(b'0'), text[at + 1].wrapping_sub(b'0'));
        wrong |= tens > 9 || ones > 9;
        i32::from(tens) * 10 + i32::from(ones)
    };
    let found = [two(0) * 100 + two(2), two(5), two(8), two(11), two(14), two(17)];
    (!wrong).then_some(found)
}

/// The nanoseconds that the digits at the beginning of a text are as a fraction of a second, and how many digits there are:
/// nine at most.
pub(in crate::decode) fn fraction(text: &[u8]) -> Option<(i32, usize)> {
    let (mut nanos, mut unit) = (0, 100_000_000);
    let mut length = 0;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        if length == 9 {
            return None;
        }
        nanos += i32::from(digit) * unit;
        unit /= 10;
        length += 1;
    }
    (length > 0).then_some((nanos, length))
}

/// The timestamp at the beginning of a text, and how many bytes it takes; `None` where the scanner has to look.
pub(super) fn leading(text: &[u8]) -> Option<(Scanned, usize)> {
    let [year, month, day, hour, minute, second] = numbers(text)?;
    let (mut nanos, mut end) = (0, 19);
    if let Some(b'.' | b',') = text.get(19) {
        let (found, digits) = fraction(&text[20..])?;
        (nanos, end) = (found, 20 + digits);
    }
    let subsecond = end > 19;
    let zone = match text.get(end..).unwrap_or_default() {
        [] | [b'\t' | b']' | b')' | b'|' | b'"' | b';', ..] => None,
        [b'Z'] => Some(Zone::Fixed(Offset::UTC)),
        [b'Z', after, ..] if !after.is_ascii_alphanumeric() && *after != b'[' => Some(Zone::Fixed(Offset::UTC)),
        [b' ', rest @ ..] if names_no_zone(rest) => None,
        _ => return None,
    };
    end += usize::from(zone.is_some());
    let day = Day::Full(date(year, month, day)?);
    if second > 59 {
        return None;
    }
    let part = |number: i32| i8::try_from(number).ok();
    let time = Time::new(part(hour)?, part(minute)?, part(second)?, nanos).ok()?;
    Some((Scanned::Local { day, time, zone, subsecond }, end))
}

/// Whether what follows a time and a blank is certainly neither a zone nor half of a day.
fn names_no_zone(rest: &[u8]) -> bool {
    match rest {
        [] | [b'[' | b'(' | b'{' | b'<' | b'"' | b'|' | b'*' | b' ', ..] => true,
        [b'-', after, ..] => !after.is_ascii_digit(),
        [first, ..] if first.is_ascii_alphabetic() => {
            let letters = rest.iter().take(24).take_while(|byte| byte.is_ascii_alphabetic()).count();
            let word = &rest[..letters];
            if letters == 24 || rest.get(letters) == Some(&b'/') {
                return false;
            }
            letters > MAX_ABBREVIATION
                || matches!(word, b"ERROR" | b"WARN" | b"INFO" | b"DEBUG" | b"TRACE" | b"FATAL")
                || (first.is_ascii_lowercase() && !matches!(first, b'a' | b'p' | b'z'))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::super::scan::Scan;
    use super::*;

    #[test]
    fn the_scanner_finds_the_same() {
        let mut read = 0;
        for stamp in
            ["2020-07-08 20:00:00", "2020-07-08T20:00:00", "2020-07-08 20:00:00,123", "2020-07-08T20:00:00.123456789"]
        {
            for behind in [
                "",
                "Z",
                "Z x",
                "Z[UTC] x",
                "Zx",
                " ERROR x",
                " INFO [a]",
                " UTC x",
                " CEST x",
                " AM x",
                " pm",
                " am-1 x",
                " - x",
                " -1 x",
                " -0700 x",
                "+02:00 x",
                " Europe/Berlin x",
                " com/x y",
                " [main] x",
                "] x",
                ": x",
                " warning x",
                " apple x",
                " AMQP x",
                " EST5 x",
                " z x",
                " Wednesday x",
                "\tx",
                " 12 x",
                ",5 x",
                " ü x",
            ] {
                let text = format!("{stamp}{behind}");
                let mut scan = Scan { text: text.as_bytes(), at: 0 };
                let found = scan.any().unwrap();
                if let Some((usual, end)) = leading(text.as_bytes()) {
                    assert_eq!((format!("{usual:?}"), end), (format!("{found:?}"), scan.at), "{text}");
                    read += 1;
                }
            }
        }
        assert!(read > 40, "{read}");
        for text in ["2020-13-08 20:00:00 x", "2020-07-08 25:00:00 x", "2020-07-0x 20:00:00", "2020-07-08 20:00"] {
            assert!(leading(text.as_bytes()).is_none(), "{text}");
        }
    }
}
