//! JSON lines: Istio's application log, access logs, and the envelopes log shippers put around a line.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::model::{AccessLine, LogContent, ProxyLine};

use super::access;
use super::text;

/// The members of a flat JSON object, in order. Values that are objects or lists are left out.
#[derive(Debug)]
pub(super) struct Members<'a>(Vec<(Cow<'a, str>, Scalar<'a>)>);

#[derive(Debug)]
pub(super) enum Scalar<'a> {
    Text(Cow<'a, str>),
    Number(f64),
    Null,
}

/// What a JSON line turned out to be.
#[derive(Debug)]
pub(super) enum JsonLine<'a> {
    /// A record, with the text of its time.
    Record(Option<Cow<'a, str>>, LogContent<'a>),
    /// An envelope: the line inside, its time, and whether the line goes on in the next envelope.
    Envelope { inner: Cow<'a, str>, time: Option<Cow<'a, str>>, partial: bool },
}

impl<'a> Members<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The string (or number, as text) under the first of these keys that has one.
    pub(super) fn text(&self, keys: &[&str]) -> Option<Cow<'a, str>> {
        keys.iter().find_map(|key| {
            self.0.iter().find(|(own, _)| own == key).and_then(|(_, value)| match value {
                Scalar::Text(text) => Some(text.clone()),
                Scalar::Number(number) => Some(Cow::Owned(number.to_string())),
                Scalar::Null => None,
            })
        })
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(own, _)| own == key)
    }
}

/// Docker cuts lines into pieces of 16 KiB, without a line feed but in the last.
const DOCKER_PIECE: usize = 16 << 10;

/// Decodes one JSON object; `None` when it is not one of ours.
pub(super) fn decode(line: &str) -> Option<JsonLine<'_>> {
    let Some(members) = Members::parse(line) else { return broken(line) };
    if access::is_access(&members) {
        let (start, access) = access::json(&members);
        return Some(JsonLine::Record(start, LogContent::Access(Box::new(access))));
    }
    let time = members.text(&["time", "timestamp", "@timestamp", "ts"]);
    let inner = members.text(&["log", "message", "msg", "MESSAGE", "line"])?;
    let scope = members.text(&["scope", "logger"]);
    let record = members.has("level") && scope.is_some();
    let nested = text::shape(inner.trim_start()).is_some();
    if nested || !record {
        let partial = members.has("stream") && !inner.ends_with('\n') && inner.len() >= DOCKER_PIECE;
        return Some(JsonLine::Envelope { inner, time, partial });
    }
    let scope = scope.unwrap_or_default();
    Some(JsonLine::Record(time, record_of(&members, scope, inner)))
}

fn record_of<'a>(members: &Members<'a>, scope: Cow<'a, str>, message: Cow<'a, str>) -> LogContent<'a> {
    let logger = match scope {
        Cow::Borrowed(scope) => Cow::Borrowed(scope.strip_prefix("envoy ").unwrap_or(scope)),
        Cow::Owned(scope) => Cow::Owned(scope.strip_prefix("envoy ").map(str::to_owned).unwrap_or(scope)),
    };
    let number = |key: &str| members.text(&[key]).and_then(|text| text.parse().ok());
    let (ids, skip) = {
        let (ids, rest) = text::ids(&message);
        (ids, message.len() - rest.len())
    };
    let message = match message {
        Cow::Borrowed(message) => Cow::Borrowed(&message[skip..]),
        Cow::Owned(message) if skip == 0 => Cow::Owned(message),
        Cow::Owned(message) => Cow::Owned(message[skip..].to_owned()),
    };
    LogContent::Proxy(ProxyLine {
        logger,
        thread: number("thread").unwrap_or(0),
        connection: ids.0.or_else(|| number("ConnectionId")),
        stream: ids.1.or_else(|| number("StreamId")),
        message,
    })
}

/// Istio 1.9.0 did not escape the message: `{"level":"debug","time":"…","scope":"pool","msg":"…"}` with bare quotes.
fn broken(line: &str) -> Option<JsonLine<'_>> {
    let field = |key: &str| line.split_once(key)?.1.split_once('"').map(|(value, _)| Cow::Borrowed(value));
    let message = line.split_once("\"msg\":\"")?.1;
    let message = message.strip_suffix("\"}").unwrap_or(message);
    let scope = field("\"scope\":\"")?;
    let (ids, message) = text::ids(message);
    let logger = match scope {
        Cow::Borrowed(scope) => Cow::Borrowed(scope.strip_prefix("envoy ").unwrap_or(scope)),
        owned => owned,
    };
    let content = ProxyLine { logger, connection: ids.0, stream: ids.1, message: Cow::Borrowed(message), thread: 0 };
    Some(JsonLine::Record(field("\"time\":\""), LogContent::Proxy(content)))
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a JSON object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(32);
                while let Some(Text(key)) = map.next_key()? {
                    if let Value(Some(value)) = map.next_value()? {
                        members.push((key, value));
                    }
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A string that is borrowed when it has no escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)?.0 {
            Some(Scalar::Text(text)) => Ok(Text(text)),
            _ => Ok(Text(Cow::Borrowed(""))),
        }
    }
}

struct Value<'a>(Option<Scalar<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Value<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Value<'de>;
            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("any JSON value")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Value(Some(Scalar::Text(Cow::Borrowed(text)))))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Value(Some(Scalar::Text(Cow::Owned(text.to_owned())))))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
                Ok(Value(Some(Scalar::Number(number as f64))))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(Value(Some(Scalar::Number(number as f64))))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
                Ok(Value(Some(Scalar::Number(number))))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Value(None))
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Value(Some(Scalar::Null)))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Value(None))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Value(None))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// The members as an access line, by the names that Istio and Envoy Gateway give them.
pub(super) fn access_members<'a>(members: &Members<'a>) -> AccessLine<'a> {
    let text = |keys: &[&str]| members.text(keys).filter(|text| !access::absent(text));
    AccessLine {
        start: None,
        method: text(&["method", ":method", "request_method"]),
        protocol: text(&["protocol"]),
        code: text(&["response_code", "status", "status_code"]).and_then(|code| code.parse().ok()).unwrap_or(0),
        grpc_status: text(&["grpc_status", "grpc_status_number", "grpc-status"]),
        flags: text(&["response_flags"]).unwrap_or_default(),
        details: text(&["response_code_details"]),
        termination: text(&["connection_termination_details"]),
        transport_failure: text(&["upstream_transport_failure_reason"]),
        duration: text(&["duration", "duration_ms"]).and_then(|duration| duration.parse().ok()),
        request_id: text(&["request_id", "x-request-id", "x_request_id"]),
        authority: text(&["authority", ":authority", "host"]),
        upstream: text(&["upstream_host", "upstream_address"]),
        cluster: text(&["upstream_cluster", "upstream_cluster_raw"]).map(access::plain_cluster),
        upstream_local: text(&["upstream_local_address"]),
        tells_upstream_local: members.has("upstream_local_address"),
        downstream_local: text(&["downstream_local_address"]),
        downstream_remote: text(&["downstream_remote_address", "downstream_direct_remote_address"]),
        server_name: text(&["requested_server_name"]),
        route: text(&["route_name"]),
        attempts: text(&["upstream_request_attempt_count", "attempts"]).and_then(|count| count.parse().ok()),
    }
}
