//! Durations as Istio reads them in its own objects: Go's `time.ParseDuration`, which protobuf's older JSON decoder
//! uses (`github.com/golang/protobuf/jsonpb/decode.go`, `unmarshalMessage`).

use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

use crate::model::{DurationError, parse_duration};

/// Reads a duration that may be absent.
pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| go_duration(&text).map_err(de::Error::custom)).transpose()
}

/// What Go takes and nothing else: no blanks around it, and a sign before it if one likes.
pub(super) fn go_duration(text: &str) -> Result<Duration, DurationError> {
    if text.trim() != text {
        return Err(DurationError::Form(text.to_owned()));
    }
    match text.strip_prefix('+') {
        Some(rest) if !rest.starts_with(['+', '-']) => parse_duration(rest),
        Some(_) => Err(DurationError::Form(text.to_owned())),
        None => parse_duration(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_go_reads() {
        for (text, millis) in [
            ("4s", Some(4000)),
            ("+4s", Some(4000)),
            (".5s", Some(500)),
            ("4.s", Some(4000)),
            ("1m30s", Some(90_000)),
            ("1h", Some(3_600_000)),
            ("1000us", Some(1)),
            ("0", Some(0)),
            ("4", None),
            ("4s ", None),
            (" 4s", None),
            ("4S", None),
            ("1d", None),
            ("0x4s", None),
            ("1,5s", None),
            ("++4s", None),
            ("+-4s", None),
            ("", None),
            ("-1s", None),
        ] {
            assert_eq!(go_duration(text).ok(), millis.map(Duration::from_millis), "{text:?}");
        }
    }
}
