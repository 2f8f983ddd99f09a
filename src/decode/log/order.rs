//! Logs with the latest line first, as log stores give them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{AccessFormat, LogDecoder, Unwrapper};
use crate::decode::timestamp::TimeContext;

/// Lines at the beginning of a log by which its order is told.
pub const SAMPLE: usize = 256;

/// Whether the first lines of a log come latest first, and how many lines before them (the heading of a table) stay where
/// they are. Only of logs with a record a line, which reading them backward leaves whole.
#[must_use]
pub fn backward(lines: &[Vec<u8>], formats: &[AccessFormat], now: Timestamp) -> Option<usize> {
    let mut decoder = LogDecoder::new(formats.to_vec(), now);
    let mut times: Vec<Timestamp> = Vec::new();
    let (mut numbers, mut first) = (0, None);
    let mut last = 0;
    for line in lines {
        decoder.push(line, &mut |record| {
            numbers += usize::from(record.line > last);
            last = record.line;
            first.get_or_insert(record.line);
            times.extend(record.time);
        });
    }
    decoder.finish(&mut |record| times.extend(record.time));
    let backward =
        numbers * 5 >= lines.len() * 4 && are_latest_first(lines, &times, TimeContext::new(TimeZone::UTC, now));
    backward.then(|| usize::try_from(first.unwrap_or(1)).unwrap_or(1).saturating_sub(1))
}

/// Whether lines whose records have these times come latest first. Where their wrappers say that they are in order, as a
/// kubelet does, the times that stand in them are what a program printed.
pub(in crate::decode) fn are_latest_first(lines: &[Vec<u8>], times: &[Timestamp], context: TimeContext) -> bool {
    falls(times) && !are_wrapped_in_order(lines, context)
}

fn are_wrapped_in_order(lines: &[Vec<u8>], context: TimeContext) -> bool {
    let mut unwrapper = Unwrapper::new(context);
    let mut times = Vec::new();
    for line in lines {
        unwrapper.push(line, &mut |envelope| times.extend(envelope.time.map(|time| time.at)));
    }
    unwrapper.finish(&mut |envelope| times.extend(envelope.time.map(|time| time.at)));
    times.len() * 5 >= lines.len() * 4 && times.is_sorted() && times.first() < times.last()
}

/// Whether nearly each of these times is before the one that it follows.
fn falls(times: &[Timestamp]) -> bool {
    let pairs = || times.windows(2).filter(|pair| pair[0] != pair[1]);
    let falling = pairs().filter(|pair| pair[0] > pair[1]).count();
    falling >= 2 && falling * 10 >= pairs().count() * 9
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(lines: &[&str]) -> Option<usize> {
        let lines: Vec<Vec<u8>> = lines.iter().map(|line| line.as_bytes().to_vec()).collect();
        backward(&lines, &[], Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn the_latest_first() {
        let line = |second: u32| {
            format!("2026-11-02T10:00:0{second}.000000Z\tdebug\tenvoy pool\t[C1] connect timeout\tthread=1")
        };
        let lines: Vec<String> = (0..4).map(line).collect();
        let mut lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        assert_eq!(told(&lines), None);
        lines.reverse();
        assert_eq!(told(&lines), Some(0));
        assert_eq!(told(&lines[..2]), None, "two lines show no order");
        // A kubelet's times are in order: what was printed so is a program's doing.
        let wrapped = |kubelet: fn(usize) -> usize| {
            let line =
                |(at, line): (usize, &&str)| format!("2026-11-02T11:00:0{}.000000001Z stdout F {line}", kubelet(at));
            lines.iter().enumerate().map(line).collect::<Vec<_>>()
        };
        let told = |lines: Vec<String>| told(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(told(wrapped(|at| at)), None);
        assert_eq!(told(wrapped(|at| 9 - at)), Some(0), "and the latest of a kubelet's first");
    }
}
