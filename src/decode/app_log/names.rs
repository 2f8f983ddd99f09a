//! The names of fields, for the loggers that are met, and what each means.

use std::sync::LazyLock;

use foldhash::{HashMap, HashMapExt};

/// logstash and ECS; most loggers; zap; Serilog; log4j2; OpenTelemetry; Splunk; Python's formatters; GELF.
pub(super) const TIMES: &[&str] = &[
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
    "TimeGenerated",
    "TimeStamp",
    "timeStamp",
    "dt",
    "created_at",
    "createdAt",
    "record.time",
    "@ingestionTime",
];

/// Dates and times of day that stand in two fields.
pub(super) const DATES: &[&str] = &["date", "Date", "log_date", "logDate", "day"];
pub(super) const CLOCKS: &[&str] = &["time", "Time", "log_time", "logTime", "clock"];

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
    "MESSAGE",
    "logMessage",
    "LogMessage",
    "log_message",
    "fields.message",
    "record.message",
    "outerMessage",
    "resultDescription",
    "details",
    "description",
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
    "exception.stackTrace",
    "exception.message",
    "attributes.exception.stacktrace",
    "attributes.exception.message",
    "innermostMessage",
    "cause",
];

/// The root cause first: log4j2 nests causes as objects.
const EXCEPTIONS: &[&str] = &[
    "thrown.cause.cause.name",
    "thrown.cause.name",
    "innermostType",
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
    "ServiceName",
    "service",
    "_service",
    "dd.service",
    "app",
    "application",
    "applicationName",
    "appName",
    "app_name",
    "cloud_RoleName",
    "resource.service.name",
    "resource.attributes.service.name",
    "fields.service",
    "kubernetes.labels.app",
    "kubernetes.labels.app.kubernetes.io/name",
    "kubernetes.labels.app_kubernetes_io/name",
    "kubernetes.deployment.name",
    "kubernetes.container_name",
    "kubernetes.container.name",
    "labels.app",
    "labels.container",
    "container_name",
    "containerName",
];

const REQUESTS: &[&str] = &[
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
    "mdc.traceId",
    "contextMap.requestId",
    "contextMap.traceId",
    "operation_Id",
    "span_id",
    "spanId",
];

const THREADS: &[&str] = &["thread_name", "thread", "threadName", "process.thread.name", "Thread", "ThreadId"];

const LOGGERS: &[&str] =
    &["logger_name", "logger", "loggerName", "log.logger", "SourceContext", "name", "category", "scope"];

const LEVELS: &[&str] = &[
    "level",
    "severity",
    "log.level",
    "@l",
    "lvl",
    "levelname",
    "loglevel",
    "Level",
    "LogLevel",
    "severityText",
    "SeverityText",
    "severityLevel",
    "PRIORITY",
    "record.level.name",
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
    "net.peer.name",
    "target_host",
    "targetHost",
    "remote_host",
    "url",
    "uri",
    "Url",
    "Uri",
    "RequestUri",
    "requestUri",
    "requestUrl",
    "upstream_host",
];

/// Fields that say how long a call took, with the nanoseconds of their unit; 0 where the value shows it.
const DURATIONS: &[(&str, u64)] = &[
    ("duration_ms", 1_000_000),
    ("durationMs", 1_000_000),
    ("duration_millis", 1_000_000),
    ("durationMillis", 1_000_000),
    ("elapsed_ms", 1_000_000),
    ("elapsedMs", 1_000_000),
    ("elapsed_millis", 1_000_000),
    ("ElapsedMilliseconds", 1_000_000),
    ("elapsedMilliseconds", 1_000_000),
    ("latency_ms", 1_000_000),
    ("latencyMs", 1_000_000),
    ("took_ms", 1_000_000),
    ("tookMs", 1_000_000),
    ("response_time_ms", 1_000_000),
    ("responseTimeMs", 1_000_000),
    ("responseTime", 1_000_000),
    ("duration_seconds", 1_000_000_000),
    ("durationSeconds", 1_000_000_000),
    ("duration_s", 1_000_000_000),
    ("elapsed_seconds", 1_000_000_000),
    ("duration_us", 1_000),
    ("duration_ns", 1),
    // ECS counts in nanoseconds.
    ("event.duration", 1),
    ("duration", 0),
    ("elapsed", 0),
    ("latency", 0),
    ("took", 0),
];

/// What a member of a record means, by its place among the names for that.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Time,
    Message,
    Trace,
    Exception,
    Service,
    Request,
    Thread,
    Logger,
    Level,
    Target,
    /// With the nanoseconds of its unit.
    Duration(u64),
    /// The first part of a path.
    Prefix,
}

/// Every name, with what it means and how early it comes among the names of that meaning.
static NAMES: LazyLock<HashMap<&str, Vec<(Meaning, usize)>>> = LazyLock::new(|| {
    let mut names: HashMap<&str, Vec<(Meaning, usize)>> = HashMap::new();
    let mut add = |name: &'static str, meaning: Meaning, rank: usize| {
        names.entry(name).or_default().push((meaning, rank));
        for (dot, _) in name.match_indices('.') {
            names.entry(&name[..dot]).or_default().push((Meaning::Prefix, 0));
        }
    };
    for (meaning, list) in [
        (Meaning::Time, TIMES),
        (Meaning::Message, MESSAGES),
        (Meaning::Trace, TRACES),
        (Meaning::Exception, EXCEPTIONS),
        (Meaning::Service, SERVICES),
        (Meaning::Request, REQUESTS),
        (Meaning::Thread, THREADS),
        (Meaning::Logger, LOGGERS),
        (Meaning::Level, LEVELS),
        (Meaning::Target, TARGETS),
    ] {
        for (rank, name) in list.iter().enumerate() {
            add(name, meaning, rank);
        }
    }
    for (rank, (name, unit)) in DURATIONS.iter().enumerate() {
        add(name, Meaning::Duration(*unit), rank);
    }
    names
});

/// What the member at a path means.
pub(super) fn meanings(path: &str) -> &'static [(Meaning, usize)] {
    NAMES.get(path).map_or(&[], Vec::as_slice)
}
