//! Records in JSON: which field is what, for the loggers and the envelopes that are met.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::timestamp::{self, TimeContext};
use crate::model::LoggedAt;

/// A JSON value that borrows its strings from the line.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json<'a> {
    Null,
    Bool,
    Number(f64, Option<u64>),
    Text(Cow<'a, str>),
    List(Vec<Json<'a>>),
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Json<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Json<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }
            fn visit_unit<E>(self) -> Result<Json<'de>, E> {
                Ok(Json::Null)
            }
            fn visit_bool<E>(self, _: bool) -> Result<Json<'de>, E> {
                Ok(Json::Bool)
            }
            fn visit_u64<E>(self, number: u64) -> Result<Json<'de>, E> {
                Ok(Json::Number(number as f64, Some(number)))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Json<'de>, E> {
                Ok(Json::Number(number as f64, None))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Json<'de>, E> {
                Ok(Json::Number(number, None))
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
                Ok(Json::Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
                Ok(Json::Text(Cow::Owned(text.to_owned())))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json<'de>, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = seq.next_element()? {
                    list.push(item);
                }
                Ok(Json::List(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json<'de>, A::Error> {
                let mut fields = Vec::with_capacity(12);
                while let Some(Key(key)) = map.next_key()? {
                    fields.push((key, map.next_value()?));
                }
                Ok(Json::Object(fields))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// An object's key, borrowed where it has no escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl<'a> Json<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// A member, by its name or by a path of names (`a.b`); a key that has the dots in it is found too.
    pub(super) fn get(&self, path: &str) -> Option<&Self> {
        let Self::Object(fields) = self else { return None };
        if let Some((_, value)) = fields.iter().find(|(key, _)| key == path) {
            return Some(value);
        }
        path.match_indices('.').find_map(|(dot, _)| {
            let (_, inner) = fields.iter().find(|(key, _)| key == &path[..dot])?;
            inner.get(&path[dot + 1..])
        })
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) if !text.is_empty() => Some(text),
            // OpenTelemetry's protobuf JSON wraps values.
            Self::Object(_) => self.get("stringValue").and_then(Self::text),
            _ => None,
        }
    }

    /// The first of these members that is a text.
    pub(super) fn text_of(&self, paths: &[&str]) -> Option<&str> {
        paths.iter().find_map(|path| self.get(path).and_then(Self::text))
    }

    fn time(&self, context: &TimeContext) -> Option<LoggedAt> {
        match self {
            Self::Text(text) => timestamp::whole(text, context),
            Self::Number(_, Some(number)) => timestamp::epoch(&number.to_string()),
            Self::Number(number, None) if *number > 0.0 => timestamp::epoch(&format!("{number:.6}")),
            // log4j2: "instant": {"epochSecond": …, "nanoOfSecond": …}; protobuf: {"seconds": …, "nanos": …}
            Self::Object(_) => {
                let whole = |names: &[&str]| {
                    names.iter().find_map(|name| match self.get(name)? {
                        Self::Number(_, number) => *number,
                        Self::Text(text) => text.parse().ok(),
                        _ => None,
                    })
                };
                let seconds = whole(&["epochSecond", "seconds"])?;
                timestamp::epoch(&format!("{seconds}.{:09}", whole(&["nanoOfSecond", "nanos"]).unwrap_or(0)))
            }
            _ => None,
        }
    }
}

/// logstash and ECS; most loggers; zap; Serilog; log4j2; OpenTelemetry; Splunk; Python's formatters; GELF.
const TIMES: &[&str] = &[
    "@timestamp",
    "timestamp",
    "time",
    "ts",
    "@t",
    "Timestamp",
    "instant",
    "timeMillis",
    "timeUnixNano",
    "observedTimeUnixNano",
    "datetime",
    "date",
    "_time",
    "asctime",
    "eventTime",
    "Time",
    "log_time",
    "logTime",
    "receiveTimestamp",
    "t",
];

const MESSAGES: &[&str] = &[
    "message",
    "msg",
    "Message",
    "@m",
    "RenderedMessage",
    "body",
    "Body",
    "short_message",
    "event",
    "@mt",
    "text",
    "log.message",
    "error_message",
];

/// Where stack traces and errors stand beside the message.
const TRACES: &[&str] = &[
    "stack_trace",
    "stackTrace",
    "stacktrace",
    "StackTrace",
    "thrown.extendedStackTrace",
    "thrown.message",
    "exception",
    "Exception",
    "throwable",
    "@x",
    "error.stack_trace",
    "error.message",
    "error",
    "Error",
    "errorVerbose",
    "err.stack",
    "err.message",
    "err",
    "error.stack",
    "stack",
    "exc_info",
    "exc_text",
    "full_message",
    "exception.stacktrace",
    "exception.message",
    "attributes.exception.stacktrace",
    "attributes.exception.message",
    "cause",
];

const EXCEPTIONS: &[&str] = &[
    "thrown.name",
    "error.type",
    "exception.type",
    "attributes.exception.type",
    "exceptionClass",
    "exception.exception_class",
    "err.type",
    "error_type",
    "ExceptionType",
];

const SERVICES: &[&str] = &[
    "service.name",
    "serviceName",
    "service_name",
    "service",
    "dd.service",
    "app",
    "application",
    "applicationName",
    "appName",
    "app_name",
    "resource.service.name",
    "resource.attributes.service.name",
    "kubernetes.labels.app",
    "kubernetes.labels.app.kubernetes.io/name",
    "kubernetes.container_name",
    "kubernetes.container.name",
    "resource.labels.container_name",
    "stream.app",
    "stream.container",
    "labels.app",
    "labels.container",
    "labels.k8s-pod/app",
    "container_name",
];

const CALLS: &[&str] = &[
    "request_id",
    "requestId",
    "x-request-id",
    "x_request_id",
    "req_id",
    "reqId",
    "req.id",
    "correlation_id",
    "correlationId",
    "trace_id",
    "traceId",
    "trace.id",
    "dd.trace_id",
    "mdc.requestId",
    "contextMap.requestId",
    "span_id",
    "spanId",
    "thread_name",
    "thread",
    "threadName",
    "process.thread.name",
    "Thread",
    "ThreadId",
];

const TARGETS: &[&str] = &[
    "url.full",
    "err.hostname",
    "err.host",
    "error.hostname",
    "error.host",
    "err.config.url",
    "http.url",
    "server.address",
    "target_host",
    "targetHost",
    "remote_host",
    "url",
    "uri",
    "upstream_host",
];

/// The text inside an envelope: docker's json-file and fluentd, Loki, Fluent Bit and CloudWatch Insights, Stackdriver, Splunk.
const ENVELOPED: &[&str] = &["log", "line", "@message", "textPayload", "result._raw", "_raw"];

/// What a JSON line is.
pub(super) enum Shape<'a, 'j> {
    /// A logger's record.
    Record(Fields<'j>),
    /// A line of text in an envelope with its own time and service.
    Envelope { text: &'j str, logged_at: Option<LoggedAt>, service: Option<&'j str> },
    /// A record as an object in an envelope (Stackdriver's `jsonPayload`, Splunk's `event`).
    Inner { object: &'j Json<'a>, logged_at: Option<LoggedAt>, service: Option<&'j str> },
    /// Several records in an envelope (Loki's query answer, CloudWatch's events, OpenTelemetry's export).
    Several { items: Vec<&'j Json<'a>>, service: Option<&'j str> },
}

/// The fields of a logger's record.
pub(super) struct Fields<'j> {
    pub(super) logged_at: Option<LoggedAt>,
    pub(super) service: Option<&'j str>,
    pub(super) message: Option<&'j str>,
    pub(super) traces: Vec<&'j str>,
    pub(super) exception: Option<&'j str>,
    pub(super) target: Option<&'j str>,
    pub(super) call: Option<&'j str>,
}

pub(super) fn shape<'a, 'j>(json: &'j Json<'a>, context: &TimeContext, service_field: Option<&str>) -> Shape<'a, 'j> {
    let logged_at = || TIMES.iter().find_map(|name| json.get(name)?.time(context));
    let service = || match service_field {
        Some(field) => json.get(field).and_then(Json::text),
        None => json.text_of(SERVICES).or_else(|| otel_service(json)).or_else(|| bunyan_name(json)),
    };
    for list in ["events", "data.result", "resourceLogs", "scopeLogs", "logRecords", "records", "entries", "results"] {
        if let Some(Json::List(items)) = json.get(list)
            && items.iter().any(|item| matches!(item, Json::Object(_)))
        {
            return Shape::Several { items: items.iter().collect(), service: service() };
        }
    }
    for payload in ["jsonPayload", "event", "result"] {
        if let Some(object @ Json::Object(_)) = json.get(payload)
            && json.text_of(MESSAGES).is_none()
            && object.get("_raw").is_none()
        {
            return Shape::Inner { object, logged_at: logged_at(), service: service() };
        }
    }
    let cloudwatch =
        json.get("ingestionTime").is_some() || json.get("logStreamName").is_some() || json.get("eventId").is_some();
    let enveloped = json
        .text_of(ENVELOPED)
        .or_else(|| json.get("message").and_then(Json::text).filter(|text| cloudwatch || text.starts_with('{')));
    if let Some(text) = enveloped {
        let logged_at = logged_at()
            .or_else(|| json.get("result._time")?.time(context))
            .or_else(|| json.get("@ingestionTime")?.time(context));
        return Shape::Envelope { text, logged_at, service: service() };
    }
    let mut traces: Vec<&str> = TRACES.iter().filter_map(|name| json.get(name).and_then(Json::text)).collect();
    for attribute in otel_attributes(json) {
        if attribute.0.starts_with("exception.") {
            traces.push(attribute.1);
        }
    }
    Shape::Record(Fields {
        logged_at: logged_at(),
        service: service(),
        message: json.text_of(MESSAGES),
        traces,
        exception: json
            .text_of(EXCEPTIONS)
            .or_else(|| otel_attributes(json).find(|(key, _)| *key == "exception.type").map(|(_, value)| value)),
        target: json.text_of(TARGETS),
        call: json.text_of(CALLS),
    })
}

/// Loki's query answer: `{"stream": {labels}, "values": [["nanoseconds", "line"], …]}`.
pub(super) fn loki_values<'j>(json: &'j Json<'_>) -> Option<impl Iterator<Item = (Option<LoggedAt>, &'j str)>> {
    let Some(Json::List(values)) = json.get("values") else { return None };
    json.get("stream")?;
    Some(values.iter().filter_map(|pair| match pair {
        Json::List(pair) => match pair.as_slice() {
            [Json::Text(nanos), Json::Text(line), ..] => Some((timestamp::epoch(nanos), line.as_ref())),
            _ => None,
        },
        _ => None,
    }))
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
