//! Access log lines in layouts that no list knows, told by what only Envoy writes: response code details, and response
//! flags behind a code.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

use crate::model::AccessLine;

use super::access_field::Operator;
use super::json::Json;
use super::text;

/// How far down come members whose last name alone, or whose value alone, tells what they are.
const BY_LAST_NAME: usize = 20;
const BY_VALUE: usize = 60;
/// How deep the members of an object are looked at.
const MAX_DEPTH: usize = 4;

/// Response flags (`source/common/stream_info/utility.h`).
const FLAGS: &str =
    "LH|UH|UT|LR|URX|UR|UF|UC|UO|NR|DI|FI|RLSE|RL|UAEX|DC|SI|IH|DPE|UMSDR|RFCF|NFCF|DT|UPE|NC|OM|DF|DO|DR|UDO";

/// Response code details that nothing else is called (`envoy/stream_info/stream_info.h`).
const DETAILS: &str = r"upstream_reset_(?:before|after)_response_started(?:\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\})?|no_healthy_upstream|cluster_not_found|route_not_found|filter_chain_not_found|(?:upstream_)?response_timeout|upstream_per_try(?:_idle)?_timeout|upstream_max_stream_duration_reached|stream_idle_timeout|max_duration_timeout|dns_resolution_failure|downstream_remote_disconnect|ext_authz_(?:denied|error)|rbac_access_denied[\w\[\].-]*|ext_proc_error[\w{}.-]*|via_upstream";

fn pattern(text: &str) -> Option<Regex> {
    Regex::new(text).ok()
}

static FLAGGED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    pattern(&format!(
        r#"(?:^|[\s|,;"'\]])(0|[1-5]\d\d)["']?[\s|,;]+["']?((?:{FLAGS})(?:,(?:{FLAGS}))*)(?:["'\s|;,\]]|$)"#
    ))
});
/// A time in brackets and flags: Kuma's layout for TCP.
static TIMED: LazyLock<Option<Regex>> =
    LazyLock::new(|| pattern(&format!(r"^\[\d{{4}}-[^\]\s]+\] ((?:{FLAGS})(?:,(?:{FLAGS}))*) .*\d+ms")));
static DETAILED: LazyLock<Option<Regex>> = LazyLock::new(|| pattern(&format!(r"\b(?:{DETAILS})")));
static ONLY_DETAILS: LazyLock<Option<Regex>> = LazyLock::new(|| pattern(&format!(r"^(?:{DETAILS})$")));
static ONLY_FLAGS: LazyLock<Option<Regex>> = LazyLock::new(|| pattern(&format!(r"^(?:{FLAGS})(?:,(?:{FLAGS}))*$")));
static TRANSPORT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    pattern(r#"(?:delayed|immediate)[_ ]connect(?:ion)?[_ ]error:[_ ]?\w+|(?:TLS|SSL)[_ ]error:[^"]+"#)
});
static CLUSTER: LazyLock<Option<Regex>> = LazyLock::new(|| {
    pattern(
        r#"(?:outbound|inbound)\|\d+\|[^|\s",;]*\|[^\s",;|]*|\b(?:Inbound)?PassthroughCluster\w*|\bBlackHoleCluster"#,
    )
});
static REQUEST: LazyLock<Option<Regex>> = LazyLock::new(|| {
    pattern(r"\b(GET|POST|PUT|DELETE|PATCH|HEAD|OPTIONS|CONNECT)[\s|,;].*?(HTTP/[0-9.]+)?(?:[^0-9.]|$)")
});
static MILLIS: LazyLock<Option<Regex>> = LazyLock::new(|| pattern(r"\b(\d{1,9}) ?ms\b"));

fn found<'a>(pattern: &LazyLock<Option<Regex>>, text: &'a str) -> Option<&'a str> {
    pattern.as_ref()?.find(text).map(|found| found.as_str())
}

/// Whether a text is one of Envoy's response code details.
pub(super) fn is_details(text: &str) -> bool {
    found(&ONLY_DETAILS, text).is_some()
}

/// Whether a text is response flags and nothing else.
fn is_flags(text: &str) -> bool {
    found(&ONLY_FLAGS, text).is_some()
}

/// A line of text that is in no layout that is known, cut anywhere or with columns of one's own.
pub(super) fn in_text(line: &str) -> Option<AccessLine<'_>> {
    let flagged = FLAGGED.as_ref()?.captures(line);
    let details = found(&DETAILED, line);
    let timed = if flagged.is_none() { TIMED.as_ref()?.captures(line) } else { None };
    let cluster = found(&CLUSTER, line);
    let request = REQUEST.as_ref()?.captures(line);
    let is_one = match (&flagged, details) {
        // A code and flags may stand in any sentence about them.
        (Some(_), details) => details.is_some() || cluster.is_some() || request.is_some(),
        (None, Some(details)) => details.ends_with('}'),
        (None, None) => timed.is_some(),
    };
    if !is_one {
        return None;
    }
    let mut access = AccessLine { start: text::time_within(line), ..AccessLine::default() };
    let mut store = |operator: Operator, value: &'_ str| operator.store(Cow::Owned(value.to_owned()), &mut access);
    if let Some(flagged) = &flagged {
        store(Operator::Code, &flagged[1]);
        store(Operator::Flags, &flagged[2]);
    }
    if let Some(timed) = &timed {
        store(Operator::Flags, &timed[1]);
    }
    if let Some(request) = &request {
        store(Operator::Method, &request[1]);
        store(Operator::Protocol, request.get(2).map_or("-", |protocol| protocol.as_str()));
    }
    for (operator, value) in [
        (Operator::Details, details),
        (Operator::Cluster, cluster),
        (Operator::TransportFailure, found(&TRANSPORT, line)),
        (Operator::Duration, found(&MILLIS, line).map(|millis| millis.trim_end_matches("ms").trim_end())),
    ] {
        if let Some(value) = value {
            store(operator, value);
        }
    }
    Some(access)
}

/// An object whose members have names of one's own, stand deeper, or in a list of keys and values (OpenTelemetry's
/// attributes): told by its values.
pub(super) fn in_json<'a>(json: &'a Json<'_>) -> Option<AccessLine<'a>> {
    if !shows(json, 0) {
        return None;
    }
    let mut members = Vec::new();
    flatten(json, "", 0, &mut members);
    let mut access = AccessLine::default();
    let mut ranks = [usize::MAX; 32];
    let (mut flags, mut outcome, mut named) = (false, false, 0);
    for (path, key, value) in &members {
        let Some(value) = value.scalar() else { continue };
        let of_value = || {
            if is_details(&value) {
                return Some((Operator::Details, BY_VALUE));
            }
            is_flags(&value).then_some((Operator::Flags, BY_VALUE))
        };
        // `rc` and `resp` are said of codes only where nothing else is.
        let of_code = || {
            let short = matches!(key.to_ascii_lowercase().as_str(), "rc" | "resp" | "response" | "sc");
            (short && value.len() == 3 && value.parse::<u16>().is_ok()).then_some((Operator::Code, BY_VALUE))
        };
        // ECS counts in nanoseconds.
        if path.ends_with("event.duration") || path.ends_with("eventduration") {
            access.duration = value.parse::<u64>().ok().map(|nanos| nanos / 1_000_000);
            ranks[Operator::Duration as usize] = 0;
            continue;
        }
        let last = key.rsplit('.').next().unwrap_or(key);
        let by_key = || Operator::of_key(key).or_else(|| Operator::of_key(last));
        let by_name =
            Operator::of_key(path).or_else(|| by_key().map(|(operator, rank)| (operator, rank + BY_LAST_NAME)));
        let Some((operator, rank)) = by_name.or_else(of_value).or_else(of_code) else { continue };
        named += usize::from(operator.is_of_access() && matches!(rank, 0 | BY_LAST_NAME));
        match operator {
            Operator::Flags if value != "-" && !is_flags(&value) => continue,
            Operator::Flags => flags |= rank < BY_VALUE,
            Operator::Details => outcome |= is_details(&value),
            Operator::Code => outcome |= value.parse::<u16>().is_ok_and(|code| code < 600),
            _ => {}
        }
        let best = &mut ranks[operator as usize];
        if rank < *best {
            *best = rank;
            operator.store(value, &mut access);
        }
    }
    let is_one = (flags && (outcome || named > 1)) || access.details.as_deref().is_some_and(is_details);
    is_one.then_some(access)
}

/// Whether there are flags or details anywhere among the values.
fn shows(json: &Json<'_>, depth: usize) -> bool {
    match json {
        Json::Text(text) => {
            let first = text.as_bytes().first();
            match first {
                Some(b'A'..=b'Z') => text.len() < 24 && is_flags(text),
                Some(b'a'..=b'z') => text.contains('_') && is_details(text),
                _ => false,
            }
        }
        _ if depth >= MAX_DEPTH => false,
        Json::Object(members) => members.iter().any(|(key, value)| {
            // The list of OpenTelemetry's attributes has the names as values.
            let name = if key == "key" { value.text().unwrap_or_default() } else { key };
            name.ends_with("flags") || name.ends_with("Flags") || shows(value, depth + 1)
        }),
        Json::List(items) => items.iter().any(|item| shows(item, depth + 1)),
        _ => false,
    }
}

/// The scalars of an object, each with its path (its names without what is between them) and its last name.
fn flatten<'a>(json: &'a Json<'_>, path: &str, depth: usize, into: &mut Vec<(String, &'a str, &'a Json<'a>)>) {
    if depth >= MAX_DEPTH {
        return;
    }
    for (key, value) in json.members() {
        let path = format!("{path}{key}");
        match value {
            Json::Object(_) => flatten(value, &path, depth + 1, into),
            Json::List(items) => {
                for item in items {
                    let (Some(key), Some(value)) = (item.text_of(&["key"]), item.get("value")) else { continue };
                    let value = ["stringValue", "intValue", "doubleValue"]
                        .iter()
                        .find_map(|kind| value.get(kind))
                        .unwrap_or(value);
                    into.push((key.to_owned(), key, value));
                }
            }
            _ => into.push((path, key, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;

    #[test]
    fn lines_cut_anywhere_keep_what_they_prove() {
        for (text, code, flags, details, cluster, millis) in [
            (
                r#"[2026-04-24T12:30:15.123Z] "GET /a HTTP/1.1" 503 UF upstream_reset_before_response_started"#,
                503,
                "UF",
                "upstream_reset_before_response_started",
                None,
                None,
            ),
            (
                r#"[…] "POST /n HTTP/1.1" 504 UT response_timeout - "-" 0 24 1000 - … outbound|80||n.svc …"#,
                504,
                "UT",
                "response_timeout",
                Some("outbound|80||n.svc"),
                None,
            ),
            (
                "2026-11-29T08:00:01.000Z|GET|/x|HTTP/1.1|503|UF|upstream_reset_before_response_started{connection_timeout}|1001",
                503,
                "UF",
                "upstream_reset_before_response_started{connection_timeout}",
                None,
                None,
            ),
            (
                "[2024-05-01T10:00:00.000Z] UF default 10.0.0.1(a)->10.0.0.9:8080(b) took 5001ms, sent 0 bytes",
                0,
                "UF",
                "",
                None,
                Some(5001),
            ),
        ] {
            let line = in_text(text).unwrap();
            assert_eq!(
                (line.code, &*line.flags, line.details.as_deref().unwrap_or("")),
                (code, flags, details),
                "{text}"
            );
            assert_eq!((line.cluster.as_deref(), line.duration), (cluster, millis), "{text}");
        }
    }

    #[test]
    fn sentences_about_flags_are_no_lines() {
        for text in [
            "Symptom: `503 UC` (upstream connect error) after every roll-out",
            "retry 3 of 503 UF documents",
            "2026-01-01 10:00:00 ERROR upstream connect error or disconnect/reset before headers",
            "details no_healthy_upstream are explained in the manual",
        ] {
            assert!(in_text(text).is_none(), "{text}");
        }
    }

    #[test]
    fn values_tell_what_names_do_not() {
        for text in [
            r#"{"rc":503,"rcd":"upstream_reset_before_response_started{connection_timeout}","rf":"UF"}"#,
            r#"{"res":{"code":503,"flags":"UF","details":"upstream_reset_before_response_started{connection_timeout}"},"req":{"method":"GET"}}"#,
            r#"{"body":{"stringValue":"x"},"attributes":[{"key":"response_code","value":{"intValue":"503"}},{"key":"response_flags","value":{"stringValue":"UF"}},{"key":"d","value":{"stringValue":"upstream_reset_before_response_started{connection_timeout}"}}]}"#,
        ] {
            let object = Json::parse(text).unwrap();
            let line = in_json(&object).unwrap();
            assert_eq!((line.code, &*line.flags), (503, "UF"), "{text}");
            assert!(line.details.as_deref().unwrap().ends_with("{connection_timeout}"), "{text}");
        }
        let object = Json::parse(r#"{"level":"info","msg":"x","country":"DO","code":200}"#).unwrap();
        assert!(in_json(&object).is_none(), "a country is no flag");
    }
}
