//! Which record began a call, and what a failure says of how long it took.

use std::collections::{HashMap, VecDeque};
use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;
use regex::Regex;

use super::occurrence::failing_target;
use super::text::{before, beginning, constant};
use crate::model::{AppRecord, Call};

/// How many calls one stream remembers, twice: when the newer half is full, the older is forgotten.
const REMEMBERED: usize = 1024;
/// Records of a call that are kept, and bytes of each.
const RECORDS: usize = 3;
const KEPT: usize = 200;
/// What lived longer was no call.
const LONGEST_SECONDS: i64 = 120;

/// The last records of each call (a request id) or thread of one stream: constant memory.
#[derive(Default)]
pub(super) struct Calls {
    newer: HashMap<Box<str>, VecDeque<Noted>>,
    older: HashMap<Box<str>, VecDeque<Noted>>,
}

/// A record, kept until the call fails.
#[derive(Debug)]
struct Noted {
    at: Timestamp,
    text: Box<str>,
    target: Option<Box<str>>,
}

/// The beginning of a call.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Began {
    pub(super) at: Timestamp,
    /// The host it named.
    pub(super) target: Option<String>,
}

impl Calls {
    /// Notes a record that is no failure.
    pub(super) fn note(&mut self, call: Call<'_>, at: Timestamp, record: &AppRecord<'_>) {
        let noted = Noted { at, text: beginning(record.text, KEPT).into(), target: record.target.map(Into::into) };
        if let Some(records) = self.newer.get_mut(call.name()) {
            if records.len() >= RECORDS {
                records.pop_front();
            }
            records.push_back(noted);
            return;
        }
        if self.newer.len() >= REMEMBERED {
            self.older = std::mem::take(&mut self.newer);
        }
        let mut records = self.older.remove(call.name()).unwrap_or_default();
        if records.len() >= RECORDS {
            records.pop_front();
        }
        records.push_back(noted);
        self.newer.insert(call.name().into(), records);
    }

    /// The record that began the call which fails now, and nothing of it afterwards. It is no failure, is not the end of
    /// another call, and names the host that the failure names; where the failure names none, it names the request
    /// (by its id) or a host itself. A thread's name alone is no call.
    pub(super) fn failed(&mut self, call: Call<'_>, at: Timestamp, target: Option<&str>) -> Option<Began> {
        let records = self.newer.remove(call.name()).or_else(|| self.older.remove(call.name()))?;
        let host = target.map(host_of);
        for noted in records.iter().rev() {
            let elapsed = at.duration_since(noted.at).as_secs();
            if !(0..=LONGEST_SECONDS).contains(&elapsed) || ENDS.is_match(&noted.text) {
                return None;
            }
            if ANNOUNCES.is_match(&noted.text) {
                continue;
            }
            let named = noted.target.as_deref().map(str::to_owned).or_else(|| failing_target(&noted.text));
            let same = match (&host, &named) {
                (Some(host), Some(named)) => *host == host_of(named),
                (None, Some(_)) => true,
                (_, None) => matches!(call, Call::Request(_)),
            };
            if same {
                return Some(Began { at: noted.at, target: named });
            }
        }
        None
    }
}

/// The host alone, of a URL, or of a host with its port.
fn host_of(target: &str) -> String {
    let target = if target.contains("://") { failing_target(target).unwrap_or_default() } else { target.to_owned() };
    let host = target.rsplit_once(':').filter(|(host, _)| !host.contains(':') || host.ends_with(']'));
    host.map_or(target.as_str(), |(host, _)| host).to_ascii_lowercase()
}

/// How long the call took, where the text of its failure says so: `failed after 1001 ms`, `took 1.003s`,
/// `duration_ms=1001`. Not how long until the next try.
pub(super) fn said_duration(text: &str) -> Option<Duration> {
    let text = beginning(text, 2048);
    SAID.captures_iter(text).find_map(|found| {
        let words = before(text, found.get_match().start(), 32);
        let unit = found.name("unit").or_else(|| found.name("key")).map_or("", |unit| unit.as_str());
        if WAITS.is_match(words) || WAITS.is_match(found.get_match().as_str()) {
            return None;
        }
        let number: f64 = found.name("number")?.as_str().parse().ok()?;
        let seconds = match unit.to_ascii_lowercase().trim_start_matches('_') {
            unit if unit.starts_with("ms") || unit.starts_with("milli") => number / 1e3,
            unit if unit.starts_with("us") || unit.starts_with('µ') || unit.starts_with("micro") => number / 1e6,
            unit if unit.starts_with("ns") || unit.starts_with("nano") => number / 1e9,
            unit if unit.starts_with('s') => number,
            _ => return None,
        };
        (0.0..=LONGEST_SECONDS as f64).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
    })
}

/// The end of a call: a status, or how long it took.
static ENDS: LazyLock<Regex> = LazyLock::new(|| {
    constant(
        r"(?i)\b(?:completed|finished|succeeded|successful(?:ly)?|done|responded|returned|received|response|replied|ended|closed|placed|fine|ok)\b|\b(?:in|took|after|duration|elapsed)\W{0,3}\d+(?:\.\d+)?\s?(?:ms|s|µs|us|sec|seconds|millis)\b|\bHTTP/[\d.]+[\x22\s]+[1-5]\d\d\b|\bstatus(?:_?code)?\W{0,3}[1-5]\d\d\b|(?:://\S+|\x22|->|=>|:)\s+[1-5]\d\d(?:\s|$)|\bduration_?(?:ms|s)?[=:]",
    )
});

/// A call that will be made, and is not being made.
static ANNOUNCES: LazyLock<Regex> = LazyLock::new(|| {
    constant(
        r"(?i)\b(?:retry(?:ing)?|again|next|wait(?:ing)?|sleep(?:ing)?|back(?:ing)?[ -]?off|schedul\w+)\b[^\n]{0,60}\b(?:in|after|for)\s+\d",
    )
});

static SAID: LazyLock<Regex> = LazyLock::new(|| {
    constant(
        r"(?i)\b(?:after|took|in|within|duration|elapsed|latency|waited|time|timed out after)(?P<key>_?(?:ms|millis(?:econds)?|us|ns|s|seconds))?[\x22']?\s?[=:(]{0,2}\s?[\x22']?(?P<number>\d{1,9}(?:\.\d{1,9})?)\s?(?P<unit>ms|msecs?|millis(?:econds?)?|µs|us|ns|s|secs?|seconds?)?\b",
    )
});

/// A length of time that was not the call's.
static WAITS: LazyLock<Regex> = LazyLock::new(|| {
    constant(
        r"(?i)\b(?:retr(?:y|ying|ies)|again|next|wait(?:ing)?|sleep(?:ing)?|back[ -]?off|schedul\w+|every|interval|keep-?alive|idle|timeout of|timeout ?[=:])",
    )
});

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(1_594_238_400_000 + milliseconds).unwrap()
    }

    fn delay(before: &[(i64, &str)], target: Option<&str>, call: Call<'_>) -> Option<i64> {
        let mut calls = Calls::default();
        for (milliseconds, text) in before {
            calls.note(call, at(*milliseconds), &AppRecord { text, ..AppRecord::default() });
        }
        let began = calls.failed(call, at(10_000), target)?;
        Some((at(10_000).duration_since(began.at)).as_millis() as i64)
    }

    #[test]
    fn a_beginning_names_what_failed() {
        let thread = Call::Thread("http-1");
        let host = Some("api.example.com:443");
        for (before, target, expected) in [
            (vec![(9_000, "INFO POST https://api.example.com/v1")], host, Some(1_000)),
            (vec![(9_000, "INFO calling api.example.com")], None, Some(1_000)),
            (vec![(9_000, "INFO POST https://api.example.com/v1"), (9_010, "DEBUG headers: a=b")], host, Some(1_000)),
            (vec![(9_000, "INFO POST https://other.example.com/v1")], host, None),
            (vec![(9_000, "INFO working")], host, None),
            (vec![(9_000, "INFO GET https://api.example.com/health 200 in 12 ms")], host, None),
            (vec![(9_000, "INFO GET https://api.example.com/health -> 200")], host, None),
            (vec![(9_000, "INFO retrying https://api.example.com/v1 in 1000 ms")], host, None),
            (vec![(9_000, "INFO order placed with https://api.example.com/v1")], host, None),
        ] {
            assert_eq!(delay(&before, target, thread), expected, "{before:?}");
        }
        assert_eq!(delay(&[(9_000, "INFO working")], None, Call::Request("4fd8c1")), Some(1_000));
        assert_eq!(delay(&[(-990_000, "INFO POST https://api.example.com/v1")], host, thread), None);
        // A failure ends what was before it.
        let mut calls = Calls::default();
        calls.note(thread, at(0), &AppRecord { text: "POST https://api.example.com", ..AppRecord::default() });
        assert!(calls.failed(thread, at(1_000), host).is_some());
        assert!(calls.failed(thread, at(2_000), host).is_none());
    }

    #[test]
    fn calls_are_remembered_and_bounded() {
        let mut calls = Calls::default();
        for index in 0..100_000 {
            calls.note(Call::Request(&index.to_string()), at(0), &AppRecord { text: "x", ..AppRecord::default() });
        }
        assert!(calls.newer.len() + calls.older.len() <= 2 * REMEMBERED);
        assert!(calls.failed(Call::Request("99999"), at(5), None).is_some());
    }

    #[test]
    fn failures_say_how_long_they_took() {
        for (text, milliseconds) in [
            ("GET https://x failed after 1001 ms", Some(1_001)),
            ("request took 1.003s: connection reset", Some(1_003)),
            ("level=error duration_ms=1001 msg=\"connection reset\"", Some(1_001)),
            ("duration=1.5s err=EOF", Some(1_500)),
            ("call to api.example.com failed (elapsed: 998ms)", Some(998)),
            ("connection reset, retrying in 1000 ms", None),
            ("connection reset; next attempt in 5 s", None),
            ("failed after 3 attempts", None),
            ("connection reset", None),
            ("read timeout of 30 s, connection reset", None),
        ] {
            assert_eq!(said_duration(text).map(|duration| duration.as_millis()), milliseconds, "{text}");
        }
    }
}
