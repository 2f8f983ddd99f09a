//! JSON envelopes: what docker, log shippers and log stores put around a line.
//!
//! A store has a line one or more objects deep (`_source.message`, `attributes.message`, `jsonPayload`), many at once
//! (`data.result[].values[]`, `events[]`, `resourceLogs[]…logRecords[]`), or as a text member. Which is which is told by
//! the names of members alone; an object that has none of them, or has a level of its own, is a record.

use crate::decode::timestamp::TimeContext;
use crate::model::LoggedAt;

use super::access;
use super::access_found;
use super::grid;
use super::json::Json;
use super::proxy_json;
use super::stream::{Piece, Stream};
use super::text::{Shape, is_date, shape};
use super::wrapper::{moment, moment_of};

/// Members that hold a list of envelopes or records: CloudWatch (`events`, `logEvents`), Loki (`result`, `streams`),
/// OpenTelemetry (`resourceLogs`, `scopeLogs`, `logRecords`), Elasticsearch (`hits`), New Relic, Graylog, Azure.
pub(super) const LISTS: [&str; 21] = [
    "events",
    "logEvents",
    "result",
    "streams",
    "resourceLogs",
    "scopeLogs",
    "instrumentationLibraryLogs",
    "logRecords",
    "hits",
    "records",
    "entries",
    "results",
    "data",
    "messages",
    "logs",
    "value",
    "rows",
    "responses",
    "tables",
    "Tables",
    "frames",
];

/// Members whose object is a record, or one more envelope.
const OBJECTS: [&str; 15] = [
    "_source",
    "result",
    "jsonPayload",
    "attributes",
    "message",
    "content",
    "event",
    "log",
    "body",
    "fields",
    "data",
    "hits",
    "properties",
    "record",
    "map",
];

/// Members that hold a line, and nothing else.
const LINES: [&str; 15] = [
    "textPayload",
    "@message",
    "_raw",
    "MESSAGE",
    "LogMessage",
    "LogEntry",
    "log",
    "line",
    "event.original",
    "Log",
    // Grafana's inspector, Mezmo, Azure's tables of one's own.
    "Line",
    "_line",
    "Log_s",
    "LogEntry_s",
    "Message_s",
];

/// Members that hold a line, or the message of a record.
const MESSAGES: [&str; 12] = [
    "message",
    "_msg",
    "msg",
    "body",
    "Message",
    "short_message",
    "content",
    "text",
    "event",
    "raw",
    // ClickHouse's table of OpenTelemetry, Coralogix.
    "Body",
    "userData",
];

/// Members that only an envelope has.
const MARKS: [&str; 21] = [
    // VictoriaLogs.
    "_stream_id",
    "kubernetes",
    "stream",
    "podName",
    "pod_name",
    "containerName",
    "container_name",
    "ingestionTime",
    "logStreamName",
    "eventId",
    "source_type",
    "docker",
    "agent",
    "input",
    "container",
    "labels",
    "_p",
    "logtag",
    "_index",
    "facility",
    "nodeName",
];

/// Members that say how bad a record is: what a program writes of its own records.
const LEVELS: [&str; 12] = [
    "level",
    "severity",
    "lvl",
    "log.level",
    "levelname",
    "severityText",
    "Level",
    "loglevel",
    "log_level",
    "@l",
    "levelName",
    "logLevel",
];

/// Docker cuts lines into pieces of 16 KiB, without a line feed but in the last.
const DOCKER_PIECE: usize = 16 << 10;

/// What a JSON object is.
pub(super) enum Kind<'j, 'a> {
    /// A record.
    Record,
    /// An envelope around a text.
    Text { text: &'j str, piece: Piece },
    /// An envelope around an object.
    Object(&'j Json<'a>),
    /// An envelope around several.
    Several(Vec<&'j Json<'a>>),
    /// Lines with their times: Loki's `values`.
    Lines(Vec<(&'j str, &'j str)>),
}

/// Names that an object may have, of a list.
type Few = Box<[&'static str]>;

/// Which of the names that are looked for an object can have: alike for all objects with the same members, which are
/// nearly all of one log's.
#[derive(Debug)]
pub(super) struct Names {
    access: bool,
    proxy: bool,
    /// Of loguru, Loki and CloudWatch's Logs Insights.
    special: bool,
    attributes: bool,
    /// Of a table's columns.
    pub(super) grid: bool,
    levels: Few,
    lines: Few,
    messages: Few,
    marks: Few,
    lists: Few,
    objects: Few,
    times: Few,
    /// Of its labels; none where it has no label at all.
    labels: Option<LabelNames>,
}

#[derive(Debug)]
struct LabelNames {
    streams: Few,
    services: Few,
    namespaces: Few,
    pods: Few,
    more_pods: Few,
    containers: Few,
    /// Whether it has members that are looked into in ways of their own.
    resource: bool,
    tags: bool,
    log_name: bool,
    pod: bool,
}

/// Those of the names that an object may have: as a member, or as a path that begins with one.
fn possible(json: &Json<'_>, names: &[&'static str]) -> Few {
    let may = |name: &&&'static str| {
        json.members().iter().any(|(key, _)| {
            name.strip_prefix(&**key).is_some_and(|behind| behind.is_empty() || behind.starts_with('.'))
        })
    };
    names.iter().filter(may).copied().collect()
}

impl Names {
    pub(super) fn of(json: &Json<'_>) -> Self {
        let has = |name: &str| json.members().iter().any(|(key, _)| key == name);
        Self {
            access: access::may_be_access(json),
            proxy: proxy_json::may_be_proxy(json),
            attributes: has("attributes"),
            grid: json.members().iter().any(|(name, _)| grid::may_be(name)),
            special: has("record") || has("values") || has("field"),
            levels: possible(json, &LEVELS),
            lines: possible(json, &LINES),
            messages: possible(json, &MESSAGES),
            marks: possible(json, &MARKS),
            lists: if has("data") { Box::new(LISTS) } else { possible(json, &LISTS) },
            objects: possible(json, &OBJECTS),
            times: possible(json, &TIMES),
            labels: json.members().iter().any(|(name, _)| is_any_label(name)).then(|| LabelNames {
                streams: possible(json, &STREAMS),
                services: possible(json, &SERVICES),
                namespaces: possible(json, &NAMESPACES),
                pods: possible(json, &PODS),
                more_pods: possible(json, &MORE_PODS),
                containers: possible(json, &CONTAINERS),
                resource: has("resource"),
                tags: has("tags") || has("attributes"),
                log_name: has("logName"),
                pod: has("pod") || has("podName"),
            }),
        }
    }
}

impl Names {
    /// Whether objects with these names are records by their names, and by whether their message is a line. Whether they are
    /// Envoy's, their values say.
    pub(super) fn tell_by_message(&self) -> bool {
        let Self { access, special, attributes, grid, .. } = *self;
        let other = access || special || attributes || grid || !self.lines.is_empty();
        !other && !self.levels.is_empty() && !self.messages.is_empty()
    }
}

/// Whether a member's value decides what an object is, who wrote it and where.
pub(in crate::decode) fn decides_kind(name: &str) -> bool {
    is_any_label(name) || MESSAGES.contains(&name)
}

/// Tells what an object with these names is. `enveloped` says that one with the same members held a line.
pub(super) fn kind<'j, 'a>(json: &'j Json<'a>, names: &Names, enveloped: bool) -> Kind<'j, 'a> {
    if (names.access && access::is_access(json)) || (names.proxy && proxy_json::is_proxy(json)) {
        return Kind::Record;
    }
    // OpenTelemetry's records of access logs have a text beside their attributes, which say more.
    if names.attributes
        && matches!(json.get("attributes"), Some(Json::List(_)))
        && access_found::in_json(json).is_some()
    {
        return Kind::Record;
    }
    if names.special {
        // loguru's own record beside its text.
        if json.get("text").is_some() && matches!(json.get("record"), Some(Json::Object(_))) {
            return Kind::Record;
        }
        if let Some(lines) = loki(json) {
            return Kind::Lines(lines);
        }
        if let Some(row) = insights(json) {
            return Kind::Text { text: row, piece: Piece::Whole };
        }
    }
    if let Some(text) = names.lines.iter().find_map(|name| json.get(name).and_then(Json::text)) {
        return Kind::Text { text, piece: piece(json, text) };
    }
    if let Some(text) = names.messages.iter().find_map(|name| json.get(name).and_then(Json::text)) {
        let is_line = is_line(text);
        let has_level = names.levels.iter().any(|name| json.get(name).is_some());
        let marked = names.marks.iter().any(|name| json.get(name).is_some());
        return if is_line || enveloped || (marked && !has_level) {
            Kind::Text { text, piece: piece(json, text) }
        } else {
            Kind::Record
        };
    }
    for name in &names.lists {
        let list = json.get(name).or_else(|| json.get("data").and_then(|data| data.get(name))).or_else(|| {
            // Elasticsearch has `hits` in `hits`.
            json.get(name).and_then(|inner| inner.get(name))
        });
        let items = list.map(|list| {
            if let Json::Object(_) = list { list.get(name).map_or(&[][..], Json::items) } else { list.items() }
        });
        if let Some(items) = items
            && items.iter().any(|item| matches!(item, Json::Object(_) | Json::List(_)))
        {
            return Kind::Several(items.iter().collect());
        }
    }
    match names
        .objects
        .iter()
        .find_map(|name| json.get(name).filter(|inner| matches!(inner, Json::Object(members) if !members.is_empty())))
    {
        Some(inner) => Kind::Object(inner),
        None => Kind::Record,
    }
}

/// The lines of a proxy that stand somewhere in an object of no kind that is known, in order. An object with a level is a
/// record, whatever it quotes.
pub(super) fn buried<'j>(json: &'j Json<'_>, names: &Names) -> Vec<&'j str> {
    fn walk<'j>(json: &'j Json<'_>, depth: usize, found: &mut Vec<&'j str>) {
        match json {
            Json::Text(text) => {
                let is_record = match shape(text.trim_start()) {
                    Some(Shape::Json) => {
                        Json::parse(text).is_ok_and(|inner| access::is_access(&inner) || proxy_json::is_proxy(&inner))
                    }
                    shape => shape.is_some(),
                };
                if is_record {
                    found.push(text);
                }
            }
            _ if depth >= 8 => {}
            Json::List(items) => items.iter().for_each(|item| walk(item, depth + 1, found)),
            Json::Object(members) => members.iter().for_each(|(_, value)| walk(value, depth + 1, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    if names.levels.is_empty() {
        walk(json, 0, &mut found);
    }
    // What its members say is more than a text beside them.
    if !found.is_empty() && access_found::in_json(json).is_some() {
        found.clear();
    }
    found
}

/// The text that journald gives as a list of bytes, as it does where there are colours in it.
pub(super) fn of_bytes(json: &Json<'_>) -> Option<String> {
    let items = json.get("MESSAGE")?.items();
    let bytes: Option<Vec<u8>> = items
        .iter()
        .map(|item| match item {
            Json::Number(_, Some(byte)) => u8::try_from(*byte).ok(),
            _ => None,
        })
        .collect();
    bytes.filter(|bytes| !bytes.is_empty()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether an object that stands behind other text in its line is what that line is about: a record of a proxy, or an
/// envelope. Loggers put objects behind their messages, too.
pub(super) fn is_all(json: &Json<'_>, names: &Names) -> bool {
    access::is_access(json)
        || proxy_json::is_proxy(json)
        || match kind(json, names, false) {
            Kind::Text { text, .. } => is_line(text) || names.marks.iter().any(|name| json.get(name).is_some()),
            _ => false,
        }
}

/// Whether a message is a line by itself: a record of a proxy, a dated one, or JSON.
pub(in crate::decode) fn is_line(text: &str) -> bool {
    let text = text.trim_start();
    shape(text).is_some() || is_date(text.trim_start_matches(['[', '(']).as_bytes())
}

fn piece(json: &Json<'_>, text: &str) -> Piece {
    if json.get("stream").is_none() {
        return Piece::Whole;
    }
    let fluentd = json.get("partial_message").is_some() && json.text_of(&["partial_last"]) != Some("true");
    if fluentd || (!text.ends_with('\n') && text.len() >= DOCKER_PIECE) { Piece::More } else { Piece::Last }
}

/// Loki's query answer and push request: `{"stream": {labels}, "values": [["nanoseconds", "line"], …]}`.
fn loki<'j>(json: &'j Json<'_>) -> Option<Vec<(&'j str, &'j str)>> {
    json.get("stream").filter(|stream| matches!(stream, Json::Object(_)))?;
    let values = json.get("values")?.items();
    let pair = |value: &'j Json<'_>| match value.items() {
        [Json::Text(time), Json::Text(line), ..] => Some((&**time, &**line)),
        _ => None,
    };
    Some(values.iter().filter_map(pair).collect())
}

/// A row of CloudWatch Logs Insights: a list of `{"field": "@message", "value": "…"}`, or its only member.
fn insights<'j>(json: &'j Json<'_>) -> Option<&'j str> {
    (json.text_of(&["field"])? == "@message").then(|| json.get("value")?.text()).flatten()
}

/// What an envelope says of its line.
#[derive(Default)]
pub(super) struct Labels<'j> {
    pub(super) service: Option<&'j str>,
    pub(super) stream: Stream,
    namespace: Option<&'j str>,
    pod: Option<&'j str>,
    container: Option<&'j str>,
}

/// The best first.
const TIMES: [&str; 15] = [
    "time",
    "timestamp",
    "@timestamp",
    "ts",
    "_time",
    "__REALTIME_TIMESTAMP",
    "timeUnixNano",
    "observedTimeUnixNano",
    "date",
    "receiveTimestamp",
    "TimeGenerated",
    "result._time",
    "attributes.timestamp",
    "Timestamp",
    "eventTime",
];

/// Whether a member may hold a label: most records have none of these, and are asked no further.
fn is_label(name: &str) -> bool {
    matches!(
        name,
        "kubernetes"
            | "stream"
            | "labels"
            | "pod"
            | "podName"
            | "pod_name"
            | "PodName"
            | "PodNamespace"
            | "namespace"
            | "resource"
            | "logStream"
            | "logStreamName"
            | "logName"
            | "LogSource"
            | "container"
            | "containerName"
            | "container_name"
            | "ContainerName"
            | "CONTAINER_NAME"
            | "SYSLOG_IDENTIFIER"
            | "_SYSTEMD_UNIT"
            | "_HOSTNAME"
            | "host"
            | "host.name"
            | "attributes"
            | "fields"
            | "tags"
            | "service"
            | "service.name"
            | "log"
            | "log.iostream"
    )
}

/// A label, or one of a flattened object.
fn is_any_label(name: &str) -> bool {
    is_label(name) || name.starts_with("kubernetes.") || name.starts_with("k8s.")
}

/// When an envelope says that its line was written.
pub(super) fn time(json: &Json<'_>, names: &Names, context: &TimeContext) -> Option<LoggedAt> {
    names.times.iter().find_map(|name| match json.get(name)? {
        Json::Text(text) => moment(text, context).or_else(|| moment_of(text, context)),
        number @ Json::Number(..) => moment_of(&number.scalar()?, context),
        _ => None,
    })
}

const STREAMS: [&str; 4] = ["stream", "log.iostream", "attributes.log.iostream", "LogSource"];

const SERVICES: [&str; 11] = [
    "kubernetes.labels.app",
    "kubernetes.labels.app.kubernetes.io/name",
    "stream.app",
    "stream.service_name",
    "labels.app",
    "labels.k8s-pod/app",
    "attributes.service",
    "service.name",
    "service",
    "serviceName",
    "app",
];

const NAMESPACES: [&str; 9] = [
    "kubernetes.namespace_name",
    "kubernetes.namespace",
    "kubernetes.pod_namespace",
    "k8s.namespace.name",
    "fields.namespace",
    "stream.namespace",
    "resource.labels.namespace_name",
    "labels.namespace",
    "PodNamespace",
];

const PODS: [&str; 13] = [
    "kubernetes.pod_name",
    "kubernetes.pod.name",
    "k8s.pod.name",
    "fields.pod",
    "podName",
    "pod_name",
    "stream.pod",
    "stream.instance",
    "resource.labels.pod_name",
    "labels.pod",
    "PodName",
    "logStreamName",
    "logStream",
];

const MORE_PODS: [&str; 3] = ["pod", "_HOSTNAME", "host.name"];

const CONTAINERS: [&str; 13] = [
    "kubernetes.container_name",
    "kubernetes.container.name",
    "k8s.container.name",
    "fields.container",
    "containerName",
    "container_name",
    "stream.container",
    "resource.labels.container_name",
    "labels.container",
    "ContainerName",
    "CONTAINER_NAME",
    "SYSLOG_IDENTIFIER",
    "_SYSTEMD_UNIT",
];

impl<'j> Labels<'j> {
    pub(super) fn of(json: &'j Json<'_>, names: &Names) -> Self {
        let Some(names) = &names.labels else { return Self::default() };
        let resource = |name: &str| {
            let attributes = json.get("resource").filter(|_| names.resource)?.get("attributes")?.items();
            attributes.iter().find(|one| one.text_of(&["key"]) == Some(name))?.get("value")?.text()
        };
        let tag = |name: &str| {
            if !names.tags {
                return None;
            }
            let tags = json.get("attributes.tags").or_else(|| json.get("tags"))?.items();
            tags.iter().find_map(|tag| tag.text()?.strip_prefix(name)?.strip_prefix(':'))
        };
        let stream = match json.text_of(&names.streams) {
            Some("stdout") => Stream::Stdout,
            Some("stderr") => Stream::Stderr,
            _ if names.log_name && json.text_of(&["logName"]).is_some_and(|name| name.ends_with("/stderr")) => {
                Stream::Stderr
            }
            _ => Stream::Unknown,
        };
        Self {
            stream,
            service: json.text_of(&names.services).or_else(|| resource("service.name")),
            namespace: json
                .text_of(&names.namespaces)
                .or_else(|| json.get("podName").filter(|_| names.pod).and_then(|_| json.text_of(&["namespace"])))
                .or_else(|| resource("k8s.namespace.name")),
            pod: json
                .text_of(&names.pods)
                .or_else(|| json.text_of(&names.more_pods))
                .or_else(|| tag("pod_name"))
                .or_else(|| resource("k8s.pod.name")),
            container: json
                .text_of(&names.containers)
                .or_else(|| json.get("pod").filter(|_| names.pod).and_then(|_| json.text_of(&["container"])))
                .or_else(|| resource("k8s.container.name")),
        }
    }

    /// `NAMESPACE/POD/CONTAINER`, as far as it is known.
    pub(super) fn source(&self) -> Option<String> {
        let parts: Vec<&str> = [self.namespace, self.pod, self.container].into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join("/"))
    }
}
