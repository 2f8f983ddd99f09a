//! Records in JSON: what their fields say.

use std::time::Duration;

use super::names::{CLOCKS, DATES, Meaning, TIMES, meanings};
use crate::decode::log::Json;
use crate::decode::timestamp::{self, TimeContext};
use crate::model::{Call, Leaf, LoggedAt, Severity};

/// The fields of a logger's record.
#[derive(Debug, Default)]
pub(super) struct Fields<'j> {
    pub(super) logged_at: Option<LoggedAt>,
    pub(super) service: Option<&'j str>,
    pub(super) message: Option<&'j str>,
    pub(super) traces: Vec<&'j str>,
    pub(super) exception: Option<&'j str>,
    pub(super) target: Option<&'j str>,
    pub(super) call: Option<Call<'j>>,
    pub(super) logger: Option<&'j str>,
    pub(super) duration: Option<Duration>,
    pub(super) severity: Option<Severity>,
}

/// The members of a record that mean something, in one walk.
struct Members<'a, 'j> {
    found: Vec<(Meaning, usize, &'j Json<'a>)>,
}

impl<'a, 'j> Members<'a, 'j> {
    fn of(json: &'j Json<'a>) -> Self {
        let mut members = Self { found: Vec::with_capacity(16) };
        members.walk(json, "");
        members.found.sort_by_key(|(_, rank, _)| *rank);
        members
    }

    fn walk(&mut self, json: &'j Json<'a>, prefix: &str) {
        let Json::Object(fields) = json else { return };
        let mut path = String::new();
        for (key, value) in fields {
            let name: &str = if prefix.is_empty() {
                key
            } else {
                path.clear();
                path.extend([prefix, ".", key]);
                &path
            };
            let mut inner = false;
            for (meaning, rank) in meanings(name) {
                match meaning {
                    Meaning::Prefix => inner = true,
                    meaning => self.found.push((*meaning, *rank, value)),
                }
            }
            if inner && matches!(value, Json::Object(_)) {
                let name = name.to_owned();
                self.walk(value, &name);
            }
        }
    }

    fn all(&self, meaning: Meaning) -> impl Iterator<Item = &'j Json<'a>> + '_ {
        self.found.iter().filter(move |(own, _, _)| *own == meaning).map(|(_, _, value)| *value)
    }

    fn text(&self, meaning: Meaning) -> Option<&'j str> {
        self.all(meaning).find_map(Json::text)
    }

    fn duration(&self) -> Option<Duration> {
        self.found.iter().find_map(|(meaning, _, value)| match meaning {
            Meaning::Duration(unit) => duration(value, *unit),
            _ => None,
        })
    }
}

/// The fields of a record; the service is in `service_field` where the user names one.
pub(super) fn fields<'j>(json: &'j Json<'_>, context: &TimeContext, service_field: Option<&str>) -> Fields<'j> {
    let members = Members::of(json);
    let service = match service_field {
        Some(field) => json.get(field).and_then(Json::text),
        None => members.text(Meaning::Service).or_else(|| otel_service(json)).or_else(|| bunyan_name(json)),
    };
    let mut traces: Vec<&str> = Vec::new();
    for trace in members.all(Meaning::Trace) {
        match trace {
            // ECS' layout can write a trace as a list of its lines.
            Json::List(lines) => traces.extend(lines.iter().filter_map(Json::text)),
            other => traces.extend(other.text()),
        }
    }
    traces.extend(otel_attributes(json).filter(|(key, _)| key.starts_with("exception.")).map(|(_, value)| value));
    let otel_type = || otel_attributes(json).find(|(key, _)| *key == "exception.type").map(|(_, value)| value);
    Fields {
        logged_at: members
            .all(Meaning::Time)
            .find_map(|value| time(value, context))
            .or_else(|| time_in_parts(json, context))
            .or_else(|| time_below(json, context, 3)),
        service,
        message: members.text(Meaning::Message),
        traces,
        exception: members.text(Meaning::Exception).or_else(otel_type),
        target: members.text(Meaning::Target),
        call: members
            .text(Meaning::Request)
            .map(Call::Request)
            .or_else(|| members.text(Meaning::Thread).map(Call::Thread)),
        logger: members.text(Meaning::Logger),
        duration: members.duration(),
        severity: members.all(Meaning::Level).find_map(severity),
    }
}

/// A time in any of the shapes that loggers give it.
pub(super) fn time(json: &Json<'_>, context: &TimeContext) -> Option<LoggedAt> {
    match json {
        Json::Text(text) => timestamp::whole(text, context),
        Json::Number(_, Some(number)) => timestamp::epoch(&number.to_string()),
        Json::Number(number, None) if *number > 0.0 => timestamp::epoch(&format!("{number:.6}")),
        Json::Object(_) => {
            // MongoDB's extended JSON: {"$date": "…"} or {"$date": {"$numberLong": "…"}}
            if let Some(inner) = json.get("$date").or_else(|| json.get("$numberLong")) {
                return time(inner, context);
            }
            // log4j2: "instant": {"epochSecond": …, "nanoOfSecond": …}; protobuf: {"seconds": …, "nanos": …}
            parts(json, &["epochSecond", "seconds"], &["nanoOfSecond", "nanos"])
                .or_else(|| time(json.get("stringValue").or_else(|| json.get("repr"))?, context))
        }
        Json::List(items) => match &items[..] {
            // Elasticsearch's `fields`.
            [one @ (Json::Text(_) | Json::Number(..))] => time(one, context),
            // Jackson's LocalDateTime: year, month, day, hour, minute, and what is not 0 of second and nanosecond.
            [_, _, _, _, _, ..] if items.len() <= 7 => {
                let numbers = items.iter().map(|item| match item {
                    Json::Number(_, number) => *number,
                    _ => None,
                });
                let numbers: Vec<u64> = numbers.collect::<Option<_>>()?;
                let at = |index: usize| numbers.get(index).copied().unwrap_or(0);
                let clock = format!("{:02}:{:02}:{:02}.{:09}", at(3), at(4), at(5), at(6));
                timestamp::of_parts(&format!("{:04}-{:02}-{:02}", at(0), at(1), at(2)), &clock, context)
            }
            _ => None,
        },
        _ => None,
    }
}

/// A time in a member of no name that is known, by what its name ends in: for records in which no other time is, and whose
/// envelope has none.
pub(super) fn time_by_name(json: &Json<'_>, context: &TimeContext) -> Option<LoggedAt> {
    const ENDS: [&str; 6] = ["timestamp", "time", "date", "created", "_ts", "_at"];
    const OF_SOMETHING_ELSE: [&str; 7] = ["expir", "start", "birth", "deadline", "until", "valid", "uptime"];
    fn find(json: &Json<'_>, context: &TimeContext, depth: usize) -> Option<LoggedAt> {
        let members = json.members();
        let named = members.iter().find_map(|(name, value)| {
            let name = name.to_ascii_lowercase();
            let is_time =
                ENDS.iter().any(|end| name.ends_with(end)) && !OF_SOMETHING_ELSE.iter().any(|word| name.contains(word));
            // A number may count anything.
            let is_text = matches!(value, Json::Text(text) if !text.bytes().all(|byte| byte.is_ascii_digit()));
            (is_time && (is_text || name.ends_with("timestamp"))).then(|| time(value, context)).flatten()
        });
        named.or_else(|| {
            let mut inner = members.iter().filter(|(_, value)| depth > 0 && matches!(value, Json::Object(_)));
            inner.find_map(|(_, value)| find(value, context, depth - 1))
        })
    }
    find(json, context, 2)
}

fn whole_number(json: &Json<'_>, names: &[&str]) -> Option<u64> {
    names.iter().find_map(|name| match json.get(name)? {
        Json::Number(_, number) => *number,
        Json::Text(text) => text.parse().ok(),
        _ => None,
    })
}

fn parts(json: &Json<'_>, seconds: &[&str], nanos: &[&str]) -> Option<LoggedAt> {
    let seconds = whole_number(json, seconds)?;
    timestamp::epoch(&format!("{seconds}.{:09}", whole_number(json, nanos).unwrap_or(0)))
}

/// A time that two members make up: Stackdriver's agent (`timestampSeconds`, `timestampNanos`), a date and a clock.
fn time_in_parts(json: &Json<'_>, context: &TimeContext) -> Option<LoggedAt> {
    parts(json, &["timestampSeconds"], &["timestampNanos"]).or_else(|| {
        let (date, clock) = (json.text_of(DATES)?, json.text_of(CLOCKS)?);
        timestamp::of_parts(date, clock, context)
    })
}

/// A time further inside: of a record in a record.
fn time_below(json: &Json<'_>, context: &TimeContext, depth: usize) -> Option<LoggedAt> {
    let Json::Object(members) = json else { return None };
    let inner = || members.iter().map(|(_, value)| value).filter(|value| matches!(value, Json::Object(_)));
    if depth == 0 {
        return None;
    }
    inner()
        .find_map(|value| TIMES[..8].iter().find_map(|name| time(value.get(name)?, context)))
        .or_else(|| inner().find_map(|value| time_below(value, context, depth - 1)))
}

/// A number of a unit, or a text that has its unit (`1.002s`).
fn duration(json: &Json<'_>, unit: u64) -> Option<Duration> {
    let of = |number: f64, unit: f64| {
        let seconds = number * unit / 1e9;
        (0.0..1e6).contains(&seconds).then(|| Duration::from_secs_f64(seconds))
    };
    match json {
        Json::Number(number, whole) if unit == 0 => {
            // zap writes seconds with a fraction, most others milliseconds, Go's own Duration nanoseconds.
            let unit = match whole {
                None => 1e9,
                Some(100_000_000..) => 1.0,
                Some(_) => 1e6,
            };
            of(*number, unit)
        }
        Json::Number(number, _) => of(*number, unit as f64),
        Json::Text(text) => {
            let text = text.trim();
            let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
            let number: f64 = text[..end].parse().ok()?;
            match text[end..].trim() {
                "s" | "sec" | "seconds" => of(number, 1e9),
                "ms" => of(number, 1e6),
                "µs" | "us" | "μs" => of(number, 1e3),
                "ns" => of(number, 1.0),
                "" if unit > 0 => of(number, unit as f64),
                _ => None,
            }
        }
        _ => None,
    }
}

/// A word, or a number: of pino and bunyan (30 is information), of syslog and journald (6), of Application Insights (1).
fn severity(json: &Json<'_>) -> Option<Severity> {
    match json {
        Json::Text(text) => match text.parse::<u8>() {
            Ok(number) => Some(severity_of_number(number)),
            Err(_) => severity_of_word(text),
        },
        Json::Number(_, Some(number)) => Some(severity_of_number(u8::try_from(*number).ok()?)),
        Json::Object(_) => severity(json.get("name")?),
        _ => None,
    }
}

const fn severity_of_number(number: u8) -> Severity {
    match number {
        // Small numbers are read both ways by syslog and by others: only what all call quiet is.
        5..=30 => Severity::Quiet,
        _ => Severity::Loud,
    }
}

pub(super) fn severity_of_word(word: &str) -> Option<Severity> {
    let word = word.trim();
    let begins = |names: &[&str]| {
        names.iter().any(|name| word.get(..name.len()).is_some_and(|own| own.eq_ignore_ascii_case(name)))
    };
    if begins(&["warn", "err", "fatal", "crit", "sever", "alert", "emerg", "panic", "dpanic", "wrn", "ftl", "high"]) {
        Some(Severity::Loud)
    } else if begins(&["info", "debug", "trace", "notice", "verb", "fine", "config", "inf", "dbg", "trc", "low"]) {
        Some(Severity::Quiet)
    } else {
        None
    }
}

/// bunyan and pino call the service `name`; Python's loggers call themselves so, but do not write a process id with a
/// numeric level.
fn bunyan_name<'j>(json: &'j Json<'_>) -> Option<&'j str> {
    matches!(json.get("level"), Some(Json::Number(..))).then_some(())?;
    json.get("pid")?;
    json.get("hostname")?;
    json.get("name")?.text()
}

/// OpenTelemetry's attributes: a list of `{"key": …, "value": {"stringValue": …}}`.
fn otel_attributes<'j>(json: &'j Json<'_>) -> impl Iterator<Item = (&'j str, &'j str)> {
    let list = match json.get("attributes") {
        Some(Json::List(list)) => list.as_slice(),
        _ => &[],
    };
    list.iter().filter_map(|pair| Some((pair.get("key")?.text()?, pair.get("value")?.text()?)))
}

fn otel_service<'j>(json: &'j Json<'_>) -> Option<&'j str> {
    otel_attributes(json.get("resource")?).find(|(key, _)| *key == "service.name").map(|(_, value)| value)
}

/// Gives each text of a record, with the keys that lead to it. OpenTelemetry's pairs of `key` and `value` count as
/// members of that name.
pub(super) fn leaves(json: &Json<'_>, each: &mut dyn FnMut(Leaf<'_>)) {
    walk(json, &mut Vec::with_capacity(8), false, each);
}

fn walk<'j>(json: &'j Json<'_>, path: &mut Vec<&'j str>, listed: bool, each: &mut dyn FnMut(Leaf<'_>)) {
    match json {
        Json::Text(text) => each(Leaf { path, text, listed }),
        Json::List(items) => {
            for item in items {
                walk(item, path, matches!(item, Json::Text(_)), each);
            }
        }
        Json::Object(members) => {
            if let ([_, _], Some(key), Some(value)) =
                (members.as_slice(), json.get("key").and_then(Json::text), json.get("value"))
            {
                path.push(key);
                walk(value, path, listed, each);
                path.pop();
                return;
            }
            for (key, value) in members {
                path.push(key);
                walk(value, path, false, each);
                path.pop();
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use jiff::tz::TimeZone;

    fn context() -> TimeContext {
        TimeContext::new(TimeZone::UTC, "2020-07-10T00:00:00Z".parse().unwrap())
    }

    #[test]
    fn times_have_many_shapes() {
        for record in [
            r#"{"ts":1594238400}"#,
            r#"{"ts":"1594238400"}"#,
            r#"{"timestamp":{"$date":"2020-07-08T20:00:00Z"}}"#,
            r#"{"t":{"$date":{"$numberLong":"1594238400000"}}}"#,
            r#"{"timestamp":{"$numberLong":"1594238400000"}}"#,
            r#"{"Timestamp":"/Date(1594238400000)/"}"#,
            r#"{"date":"2020-07-08","time":"20:00:00"}"#,
            r#"{"log_date":"08.07.2020","log_time":"20:00:00"}"#,
            r#"{"timestampSeconds":1594238400,"timestampNanos":0}"#,
            r#"{"timestamp":[2020,7,8,20,0]}"#,
            r#"{"@timestamp":["2020-07-08T20:00:00Z"]}"#,
            r#"{"time":{"seconds":"1594238400","nanos":0}}"#,
            r#"{"data":{"inner":{"timestamp":"2020-07-08T20:00:00Z"}}}"#,
            r#"{"record":{"time":{"repr":"2020-07-08 20:00:00+00:00","timestamp":1594238400.0}}}"#,
        ] {
            let json = Json::parse(record).unwrap();
            let found = fields(&json, &context(), None).logged_at;
            assert_eq!(found.unwrap_or_else(|| panic!("{record}")).at.to_string(), "2020-07-08T20:00:00Z", "{record}");
        }
    }

    #[test]
    fn times_have_other_names() {
        for record in [
            r#"{"log_timestamp":"2020-07-08T20:00:00Z"}"#,
            r#"{"expiryDate":"2021-07-08","eventTimestamp":"2020-07-08 20:00:00"}"#,
            r#"{"msg":"x","event":{"created":"2020-07-08T20:00:00Z"}}"#,
            r#"{"response_time":1300000000,"log_timestamp":1594238400000}"#,
        ] {
            let json = Json::parse(record).unwrap();
            let found = time_by_name(&json, &context());
            assert_eq!(found.unwrap_or_else(|| panic!("{record}")).at.to_string(), "2020-07-08T20:00:00Z", "{record}");
        }
        for record in [r#"{"response_time":1300000000}"#, r#"{"expiry_date":"2020-07-08 20:00:00"}"#, "[]"] {
            assert!(time_by_name(&Json::parse(record).unwrap(), &context()).is_none(), "{record}");
        }
    }

    #[test]
    fn durations_have_units() {
        for (record, milliseconds) in [
            (r#"{"duration_ms":1001}"#, 1001),
            (r#"{"duration":1.001}"#, 1001),
            (r#"{"duration":1001}"#, 1001),
            (r#"{"duration":1001000000}"#, 1001),
            (r#"{"duration":"1.001s"}"#, 1001),
            (r#"{"elapsed":"1001ms"}"#, 1001),
            (r#"{"event":{"duration":1001000000}}"#, 1001),
        ] {
            let json = Json::parse(record).unwrap();
            assert_eq!(fields(&json, &context(), None).duration, Some(Duration::from_millis(milliseconds)), "{record}");
        }
    }

    #[test]
    fn every_text_is_given_with_its_place() {
        let json = Json::parse(
            r#"{"a":{"b":["x","y"],"c":[{"d":"z"}]},"e":1,"attributes":[{"key":"k","value":{"stringValue":"v"}}]}"#,
        )
        .unwrap();
        let mut seen = Vec::new();
        leaves(&json, &mut |leaf| seen.push(format!("{}={} {}", leaf.path.join("."), leaf.text, leaf.listed)));
        assert_eq!(seen, ["a.b=x true", "a.b=y true", "a.c.d=z false", "attributes.k.stringValue=v false"]);
    }

    #[test]
    fn levels_are_loud_or_quiet() {
        for (record, severity) in [
            (r#"{"level":"error"}"#, Some(Severity::Loud)),
            (r#"{"level":"WARNING"}"#, Some(Severity::Loud)),
            (r#"{"level":50}"#, Some(Severity::Loud)),
            (r#"{"level":30}"#, Some(Severity::Quiet)),
            (r#"{"PRIORITY":"6"}"#, Some(Severity::Quiet)),
            (r#"{"severityLevel":3}"#, Some(Severity::Loud)),
            (r#"{"level":"Information"}"#, Some(Severity::Quiet)),
            (r#"{"msg":"x"}"#, None),
        ] {
            let json = Json::parse(record).unwrap();
            assert_eq!(fields(&json, &context(), None).severity, severity, "{record}");
        }
    }
}
