//! Envoy's application log as JSON: Istio's (`{"level","time","scope","msg","caller","thread"}`), and the one that
//! Envoy's documentation shows (`{"Timestamp","ThreadId","Level","Message","SourceLine","ConnectionId"}`).

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

use crate::model::{LogContent, ProxyLine};

use super::json::Json;
use super::message::LOGGERS;
use super::text;

const MESSAGES: [&str; 5] = ["msg", "message", "Message", "MESSAGE", "log_message"];
const SCOPES: [&str; 7] = ["scope", "logger", "Logger", "LoggerName", "name", "component", "log.logger"];
const CALLERS: [&str; 7] = ["caller", "SourceLine", "source", "source_line", "file", "location", "Source"];
const LEVELS: [&str; 6] = ["level", "Level", "severity", "lvl", "log.level", "severity_text"];
const TIMES: [&str; 6] = ["time", "Timestamp", "timestamp", "@timestamp", "ts", "Time"];

/// Whether an object with these names can be one, whatever their values.
pub(super) fn may_be_proxy(json: &Json<'_>) -> bool {
    let any = |names: &[&str]| json.members().iter().any(|(key, _)| names.contains(&&**key));
    any(&MESSAGES) && (any(&LEVELS) || any(&["log"]))
}

/// Whether an object is a record of Envoy's application log. zap and logback write `level` and `logger` too: Envoy's
/// are told by what only Envoy writes.
pub(in crate::decode) fn is_proxy(json: &Json<'_>) -> bool {
    let Some(message) = json.text_of(&MESSAGES) else { return false };
    if LEVELS.iter().all(|name| json.get(name).is_none()) {
        return false;
    }
    if json.text_of(&SCOPES).is_some_and(|scope| scope == "envoy" || scope.starts_with("envoy ")) {
        return true;
    }
    let caller = json.text_of(&CALLERS).unwrap_or("");
    if caller.contains(".cc:") || caller.contains("source/common/") || caller.contains("source/extensions/") {
        return true;
    }
    if json.get("ConnectionId").is_some() || (json.get("ThreadId").is_some() && json.get("Message").is_some()) {
        return true;
    }
    let (ids, rest) = text::ids(message);
    if ids.0.is_some() && rest.len() < message.len() {
        return true;
    }
    // Istio 1.9.0 wrote the logger alone; its agent writes in the same way of other things.
    let bare = json.members().len() <= 4 && json.get("time").is_some();
    bare && json.text_of(&["scope"]).is_some_and(|scope| LOGGERS.contains(&scope))
}

/// Whether an object that differs in its values from one that is none may be such a record, by its text and its message.
/// A `scope` may be any of Envoy's loggers, and is not looked for.
pub(in crate::decode) fn may_be_proxy_line(line: &str, message: &str) -> bool {
    static SIGNS: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r#""envoy|\.cc:|source/(?:common|extensions)/"#).ok());
    message.trim_start().starts_with('[') || SIGNS.as_ref().is_none_or(|signs| signs.is_match(line))
}

/// A record of Envoy, or of the agent beside it, and the text of its time.
pub(super) fn decode<'a>(json: &'a Json<'_>) -> Option<(Option<Cow<'a, str>>, LogContent<'a>)> {
    let time = TIMES.iter().find_map(|name| json.get(name)?.scalar());
    if !is_proxy(json) {
        let (scope, has) = (json.text_of(&["scope"])?, |name| json.get(name).is_some());
        // ztunnel's own access log, as in its text.
        if scope == "access" && has("error") && has("level") {
            return Some((time, LogContent::Agent { of_failure: true }));
        }
        return (has("level") && has("msg")).then_some((time, LogContent::Agent { of_failure: false }));
    }
    let message = json.text_of(&MESSAGES)?;
    let scope = json.text_of(&SCOPES).unwrap_or_default();
    let number = |names: &[&str]| names.iter().find_map(|name| json.get(name)?.scalar());
    let (ids, message) = text::ids(text::without_location(message));
    let id = |name: &str| json.get(name)?.scalar().and_then(|text| text::id(&text));
    let message = message.trim_end();
    let logger = scope.strip_prefix("envoy ").unwrap_or(scope);
    let line = ProxyLine {
        logger: Cow::Borrowed(logger),
        thread: number(&["thread", "ThreadId", "thread_id", "tid"]).and_then(|text| text.parse().ok()).unwrap_or(0),
        connection: ids.0.or_else(|| id("ConnectionId")),
        stream: ids.1.or_else(|| id("StreamId")),
        message,
        event: super::message::parse(logger, message),
    };
    Some((time, LogContent::Proxy(line)))
}

/// One of Envoy's sentences in an object without ids: where others with the same members were Envoy's.
pub(super) fn sentence<'a>(json: &'a Json<'_>) -> Option<ProxyLine<'a>> {
    let message = json.text_of(&MESSAGES)?.trim_end();
    let event = super::message::parse("", message);
    event.is_known().then(|| ProxyLine { message, event, ..ProxyLine::default() })
}

/// Istio 1.9.0 did not escape the message: `{"level":"debug","time":"…","scope":"pool","msg":"…"}` with bare quotes.
pub(super) fn broken(line: &str) -> Option<(Option<&str>, LogContent<'_>)> {
    let field = |key: &str| line.split_once(key)?.1.split_once('"').map(|(value, _)| value);
    let message = line.split_once("\"msg\":\"")?.1;
    let message = message.strip_suffix("\"}").unwrap_or(message);
    let scope = field("\"scope\":\"")?;
    let logger = scope.strip_prefix("envoy ").unwrap_or(scope);
    if logger.len() == scope.len() && !LOGGERS.contains(&logger) {
        return None;
    }
    let (ids, message) = text::ids(message);
    let content = ProxyLine {
        logger: Cow::Borrowed(logger),
        connection: ids.0,
        stream: ids.1,
        message: message.trim_end(),
        event: super::message::parse(logger, message.trim_end()),
        thread: 0,
    };
    Some((field("\"time\":\""), LogContent::Proxy(content)))
}
