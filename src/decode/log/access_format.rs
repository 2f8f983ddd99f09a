//! Access log formats of one's own, derived from the proxy's configuration instead of guessed.

use std::borrow::Cow;
use std::io::Read;

use serde_json::Value;

use crate::model::AccessLine;

use super::access_field::Operator;
use super::json::Json;
use crate::decode::bounded::weigh;
use crate::decode::elements::{ElementError, Elements};

/// A format, as `accessLogFormat` or a listener's `access_log` gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessFormat(Layout);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Layout {
    /// Literal text and command operators in turn.
    Text(Vec<Piece>),
    /// Keys and the operators they hold.
    Json(Vec<(String, Operator)>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Operator(Operator),
}

/// What a mesh configuration says of access logs (`mesh/v1alpha1/config.proto`).
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogConfig {
    access_log_format: Option<String>,
    access_log_encoding: Option<String>,
}

impl AccessFormat {
    /// A text format, as in `meshConfig.accessLogFormat`. `None` when it says nothing about failures (no response
    /// flags, code or details).
    #[must_use]
    pub fn text(format: &str) -> Option<Self> {
        let mut pieces = Vec::new();
        let mut rest = format.trim_end_matches('\n');
        while let Some(at) = rest.find('%') {
            let (literal, operator) = rest.split_at(at);
            if !literal.is_empty() {
                pieces.push(Piece::Literal(literal.to_owned()));
            }
            let (name, behind) = operator[1..].split_once('%')?;
            if name.is_empty() {
                pieces.push(Piece::Literal("%".to_owned()));
            } else {
                pieces.push(Piece::Operator(Operator::parse(name)));
            }
            rest = behind;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Literal(rest.to_owned()));
        }
        let telling = pieces
            .iter()
            .any(|piece| matches!(piece, Piece::Operator(Operator::Flags | Operator::Code | Operator::Details)));
        telling.then_some(Self(Layout::Text(pieces)))
    }

    pub(super) fn is_json(&self) -> bool {
        matches!(self.0, Layout::Json(_))
    }

    fn json(format: &serde_json::Map<String, Value>) -> Option<Self> {
        let keys: Vec<_> = format
            .iter()
            .filter_map(|(key, value)| {
                let name = value.as_str()?.strip_prefix('%')?.strip_suffix('%')?;
                Some((key.clone(), Operator::parse(name)))
            })
            .collect();
        keys.iter()
            .any(|(_, operator)| matches!(operator, Operator::Flags | Operator::Code | Operator::Details))
            .then_some(Self(Layout::Json(keys)))
    }

    /// The format that a mesh configuration sets, YAML or JSON: `accessLogFormat`, by `accessLogEncoding`. `None` where
    /// it sets none, and Istio's own is in use.
    #[must_use]
    pub fn from_mesh_config(mesh: &str) -> Option<Self> {
        let config = serde_saphyr::from_str::<Option<LogConfig>>(mesh).ok()??;
        let format = config.access_log_format.filter(|format| !format.trim().is_empty())?;
        if config.access_log_encoding.as_deref() == Some("JSON") {
            return serde_json::from_str(&format).ok().and_then(|members| Self::json(&members));
        }
        Self::text(&format)
    }

    /// Every distinct format in a dump of the proxy's configuration: `text_format_source.inline_string`,
    /// `text_format`, `json_format` and `format`, in Envoy's spelling or istioctl's. Empty for what is no JSON. The dump
    /// is looked at section by section; one that is larger than any there is gives none.
    pub fn from_config_dump(mut dump: impl Read) -> Vec<Self> {
        /// A section in bytes, and in memory once it is decoded.
        const MOST: (usize, usize) = (48 << 20, 128 << 20);
        let (mut formats, mut elements, mut chunk) = (Vec::new(), Elements::new(MOST.0), vec![0; 64 << 10]);
        while let Ok(read @ 1..) = dump.read(&mut chunk) {
            let fed = elements.feed(&chunk[..read], |section| {
                if weigh(section) <= MOST.1
                    && let Ok(value) = serde_json::from_slice::<Value>(section)
                {
                    gather(&value, &mut formats);
                }
                Ok::<(), ElementError>(())
            });
            if fed.is_err() {
                break;
            }
        }
        formats
    }

    /// Reads a line that is in this format.
    pub(super) fn read<'a>(&self, line: &'a str) -> Option<AccessLine<'a>> {
        let Layout::Text(pieces) = &self.0 else { return None };
        let mut access = AccessLine::default();
        let mut rest = line;
        let mut pieces = pieces.iter().peekable();
        while let Some(piece) = pieces.next() {
            match piece {
                Piece::Literal(literal) => rest = rest.strip_prefix(literal.as_str())?,
                Piece::Operator(operator) => {
                    let end = match pieces.peek() {
                        Some(Piece::Literal(literal)) => rest.find(literal.as_str())?,
                        _ => rest.len(),
                    };
                    if !operator.fits(&rest[..end]) {
                        return None;
                    }
                    operator.store(Cow::Borrowed(&rest[..end]), &mut access);
                    rest = &rest[end..];
                }
            }
        }
        Some(access)
    }

    /// Reads a JSON line that is in this format: all of its keys have to be there.
    pub(super) fn members<'a>(&self, json: &'a Json<'_>) -> Option<AccessLine<'a>> {
        let Layout::Json(keys) = &self.0 else { return None };
        let mut access = AccessLine::default();
        for (key, operator) in keys {
            let (_, value) = json.members().iter().find(|(own, _)| own == key)?;
            operator.store(value.scalar().unwrap_or(Cow::Borrowed("-")), &mut access);
        }
        Some(access)
    }
}

fn gather(value: &Value, formats: &mut Vec<AccessFormat>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                let format = match (key.as_str(), value) {
                    (
                        "inline_string" | "inlineString" | "text_format" | "textFormat" | "format",
                        Value::String(text),
                    ) => AccessFormat::text(text),
                    ("json_format" | "jsonFormat", Value::Object(format)) => AccessFormat::json(format),
                    _ => {
                        gather(value, formats);
                        continue;
                    }
                };
                formats.extend(format.filter(|format| !formats.contains(format)));
            }
        }
        Value::Array(values) => values.iter().for_each(|value| gather(value, formats)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;

    #[test]
    fn a_format_of_ones_own() {
        let dump = br#"{"configs":[{"access_log":[{"typed_config":{"log_format":{"text_format_source":
            {"inline_string":"%START_TIME% flags=%RESPONSE_FLAGS% code=%RESPONSE_CODE% to=%UPSTREAM_HOST% via=\"%UPSTREAM_CLUSTER%\" ms=%DURATION%\n"}}}}]}]}"#;
        let formats = AccessFormat::from_config_dump(&dump[..]);
        let line = formats[0]
            .read(r#"2024-01-01T00:00:00.000Z flags=UF,URX code=503 to=10.0.0.1:80 via="outbound|80||a" ms=1000"#)
            .unwrap();
        assert_eq!((line.code, line.duration, &*line.flags), (503, Some(1000), "UF,URX"));
        assert_eq!(line.cluster.as_deref(), Some("outbound|80||a"));
        assert!(line.start.is_some());
    }
}
