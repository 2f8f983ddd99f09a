//! Records in JSON: which field is what, for the loggers and the envelopes that are met.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::super::timestamp::{self, TimeContext};
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
    "result._time",
    "@ingestionTime",
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
    "thrown.cause.message",
    "thrown.cause.cause.message",
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

/// The root cause first: log4j2 nests causes as objects.
const EXCEPTIONS: &[&str] = &[
    "thrown.cause.cause.name",
    "thrown.cause.name",
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

/// What a member of a record means, by its place among the names for that.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Time,
    Message,
    Trace,
    Exception,
    Service,
    Call,
    Target,
    /// Text in an envelope.
    Enveloped,
    /// An object in an envelope.
    Payload,
    /// Records in an envelope.
    List,
    /// What only CloudWatch's envelopes have: their text is in `message`, as a logger's is.
    CloudWatch,
    /// The first part of a path.
    Prefix,
}

/// Every name, with what it means and how early it comes among the names of that meaning.
static NAMES: LazyLock<HashMap<&str, Vec<(Meaning, usize)>>> = LazyLock::new(|| {
    let mut names: HashMap<&str, Vec<(Meaning, usize)>> = HashMap::new();
    for (meaning, list) in [
        (Meaning::Time, TIMES),
        (Meaning::Message, MESSAGES),
        (Meaning::Trace, TRACES),
        (Meaning::Exception, EXCEPTIONS),
        (Meaning::Service, SERVICES),
        (Meaning::Call, CALLS),
        (Meaning::Target, TARGETS),
        (Meaning::Enveloped, ENVELOPED),
        (Meaning::Payload, &["jsonPayload", "event", "result"]),
        (
            Meaning::List,
            &["events", "data.result", "resourceLogs", "scopeLogs", "logRecords", "records", "entries", "results"],
        ),
        (Meaning::CloudWatch, &["ingestionTime", "logStreamName", "eventId"]),
    ] {
        for (rank, name) in list.iter().enumerate() {
            names.entry(name).or_default().push((meaning, rank));
            for (dot, _) in name.match_indices('.') {
                names.entry(&name[..dot]).or_default().push((Meaning::Prefix, 0));
            }
        }
    }
    names
});

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
            let Some(meanings) = NAMES.get(name) else { continue };
            let mut inner = false;
            for (meaning, rank) in meanings {
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
}

pub(super) fn shape<'a, 'j>(json: &'j Json<'a>, context: &TimeContext, service_field: Option<&str>) -> Shape<'a, 'j> {
    let members = Members::of(json);
    let logged_at = || members.all(Meaning::Time).find_map(|value| value.time(context));
    let service = || match service_field {
        Some(field) => json.get(field).and_then(Json::text),
        None => members.text(Meaning::Service).or_else(|| otel_service(json)).or_else(|| bunyan_name(json)),
    };
    for list in members.all(Meaning::List) {
        if let Json::List(items) = list
            && items.iter().any(|item| matches!(item, Json::Object(_)))
        {
            return Shape::Several { items: items.iter().collect(), service: service() };
        }
    }
    let message = members.text(Meaning::Message);
    if message.is_none()
        && let Some(object) = members.all(Meaning::Payload).find(|value| matches!(value, Json::Object(_)))
        && object.get("_raw").is_none()
    {
        return Shape::Inner { object, logged_at: logged_at(), service: service() };
    }
    let cloudwatch = members.all(Meaning::CloudWatch).next().is_some();
    let enveloped = members
        .text(Meaning::Enveloped)
        .or_else(|| json.get("message").and_then(Json::text).filter(|text| cloudwatch || text.starts_with('{')));
    if let Some(text) = enveloped {
        return Shape::Envelope { text, logged_at: logged_at(), service: service() };
    }
    let mut traces: Vec<&str> = members.all(Meaning::Trace).filter_map(Json::text).collect();
    traces.extend(otel_attributes(json).filter(|(key, _)| key.starts_with("exception.")).map(|(_, value)| value));
    let otel_type = || otel_attributes(json).find(|(key, _)| *key == "exception.type").map(|(_, value)| value);
    Shape::Record(Fields {
        logged_at: logged_at(),
        service: service(),
        message,
        traces,
        exception: members.text(Meaning::Exception).or_else(otel_type),
        target: members.text(Meaning::Target),
        call: members.text(Meaning::Call),
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
