//! Access logs: Istio's text since 1.1, Envoy's default, JSON, and `key=value`.
//!
//! Istio's text layout is `[START] "METHOD PATH PROTOCOL" CODE FLAGS` + A + `RX TX DURATION SERVICE_TIME "XFF" "UA"
//! "REQUEST_ID" "AUTHORITY" "UPSTREAM_HOST" CLUSTER UPSTREAM_LOCAL DOWNSTREAM_LOCAL DOWNSTREAM_REMOTE SNI` + B, where
//! A is `"mixer"` in 1.1, `"mixer" "TRANSPORT"` up to 1.7, `"TRANSPORT"` in 1.8 and `DETAILS TERMINATION "TRANSPORT"`
//! from 1.9, and B is empty in 1.1 and 1.2 and the route's name later (Istio's `pkg/envoy` and `pilot/pkg/model`).
//! Envoy's own default ends behind UPSTREAM_HOST and has an empty A.

use std::borrow::Cow;

use crate::model::AccessLine;

use super::access_field::{Operator, is_flags};
use super::json::Json;

/// Whether an object with these names can be one, whatever their values.
pub(super) fn may_be_access(json: &Json<'_>) -> bool {
    let operators = || json.members().iter().filter_map(|(key, _)| Operator::of_key(key));
    operators().filter(|(operator, rank)| *rank == 0 && operator.is_of_access()).count() >= 2
        || operators().any(|(operator, _)| operator == Operator::Flags)
}

/// Whether a JSON object is an access log line: two of the names that only access logs have, or flags that are some
/// beside a code or details.
pub(super) fn is_access(json: &Json<'_>) -> bool {
    let mut named = 0;
    let (mut flags, mut outcome) = (false, false);
    for (key, value) in json.members() {
        let Some((operator, rank)) = Operator::of_key(key) else { continue };
        named += usize::from(rank == 0 && operator.is_of_access());
        match operator {
            Operator::Flags => flags |= value.text().is_some_and(is_flags),
            Operator::Code => {
                outcome |= value.scalar().is_some_and(|code| code.parse::<u16>().is_ok_and(|code| code < 600))
            }
            Operator::Details => outcome |= value.text().is_some(),
            _ => {}
        }
    }
    named >= 2 || (flags && outcome)
}

/// A JSON access log line.
pub(super) fn json<'a>(json: &'a Json<'_>) -> AccessLine<'a> {
    let mut line = AccessLine::default();
    let mut ranks = [usize::MAX; 32];
    for (key, value) in json.members() {
        let Some((operator, rank)) = Operator::of_key(key) else { continue };
        let value = match value {
            Json::Null => Cow::Borrowed("-"),
            value => match value.scalar() {
                Some(value) => value,
                None => continue,
            },
        };
        // Of two members that may mean the same, the one with the operator's own name does.
        let best = &mut ranks[operator as usize];
        if rank < *best {
            *best = rank;
            operator.store(value, &mut line);
        }
    }
    line
}

/// An access log line of `key=value` pairs.
pub(super) fn pairs(text: &str) -> Option<AccessLine<'_>> {
    let mut line = AccessLine::default();
    let (mut flags, mut outcome) = (false, false);
    for (key, value) in logfmt(text) {
        let Some((operator, _)) = Operator::of_key(key) else { continue };
        match operator {
            Operator::Flags => flags |= is_flags(value),
            Operator::Code => outcome |= value.parse::<u16>().is_ok_and(|code| code < 600),
            Operator::Details => outcome = true,
            _ => {}
        }
        operator.store(Cow::Borrowed(value), &mut line);
    }
    (flags && outcome).then_some(line)
}

/// The pairs of `key=value key="other value"`.
fn logfmt(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            let equals = rest.find('=')?;
            let key = rest[..equals].rsplit([' ', '\t', ',']).next().unwrap_or("");
            let behind = &rest[equals + 1..];
            let (value, used) = if let Some(quoted) = behind.strip_prefix('"') {
                let mut end = None;
                let bytes = quoted.as_bytes();
                let mut at = 0;
                while let Some(found) = memchr::memchr2(b'"', b'\\', &bytes[at.min(bytes.len())..]) {
                    if bytes[at + found] == b'"' {
                        end = Some(at + found);
                        break;
                    }
                    at += found + 2;
                }
                let end = end.unwrap_or(quoted.len());
                (&quoted[..end], (end + 2).min(behind.len()))
            } else {
                let end = behind.find([' ', '\t']).unwrap_or(behind.len());
                (&behind[..end], end)
            };
            rest = behind.get(used..).unwrap_or("");
            if !key.is_empty() {
                return Some((key, value));
            }
        }
    })
}

/// A field of a text access log: what stands between quotes, or between blanks.
#[derive(Debug, Clone, Copy)]
struct Field<'a> {
    text: &'a str,
    quoted: bool,
}

impl Field<'_> {
    fn is_number(self) -> bool {
        !self.quoted && (self.text == "-" || self.text.bytes().all(|byte| byte.is_ascii_digit()))
    }
}

/// Splits by blanks outside of quotes and braces (details such as `{connection failure, …}` nest braces).
fn fields(text: &str) -> Vec<Field<'_>> {
    let bytes = text.as_bytes();
    let mut fields = Vec::with_capacity(24);
    let mut at = 0;
    while at < bytes.len() {
        if matches!(bytes[at], b' ' | b'\t') {
            at += 1;
            continue;
        }
        let start = at;
        if bytes[at] == b'"' {
            // A quote ends the field only where a blank or the end follows: user agents hold bare quotes.
            let mut close = at + 1;
            loop {
                let Some(found) = bytes.get(close..).and_then(|rest| memchr::memchr(b'"', rest)) else {
                    close = bytes.len();
                    break;
                };
                close += found;
                if matches!(bytes.get(close + 1), None | Some(b' ' | b'\t')) {
                    break;
                }
                close += 1;
            }
            fields.push(Field { text: &text[start + 1..close.max(start + 1)], quoted: true });
            at = close + 1;
            continue;
        }
        let mut depth = 0_u32;
        let mut end = at;
        // Most fields have no braces.
        let blank = memchr::memchr2(b' ', b'\t', &bytes[at..]).map_or(bytes.len(), |blank| at + blank);
        if memchr::memchr(b'{', &bytes[at..blank]).is_none() {
            fields.push(Field { text: &text[start..blank], quoted: false });
            at = blank;
            continue;
        }
        while end < bytes.len() && (depth > 0 || !matches!(bytes[end], b' ' | b'\t')) {
            match bytes[end] {
                b'{' => depth += 1,
                b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            end += 1;
        }
        if depth > 0 {
            // Braces that never close: blanks end the field after all.
            end = start + text[start..].find([' ', '\t']).unwrap_or(text.len() - start);
        }
        fields.push(Field { text: &text[start..end], quoted: false });
        at = end;
    }
    fields
}

/// A text access log line, and whether it goes on until where its layout may end.
#[derive(Debug)]
pub(super) struct TextLine<'a> {
    pub(super) line: AccessLine<'a>,
    /// It ends at its upstream host: in Envoy's default layout, or because it was wrapped there.
    pub(super) short: bool,
}

/// A text access log line in Istio's or Envoy's default layout.
pub(super) fn text_line(line: &str) -> Option<TextLine<'_>> {
    let (start, rest) = match line.strip_prefix('[') {
        Some(rest) => {
            let close = memchr::memchr(b']', rest.as_bytes())?;
            (&rest[..close], rest[close + 1..].strip_prefix(' ')?)
        }
        None => ("", line),
    };
    let rest = rest.strip_prefix('"')?;
    // The path may hold quotes; the request line ends before the code.
    let close = request_end(rest)?;
    behind_request(start, &rest[..close], &rest[close + 1..])
}

/// A line whose head was cut off within its request line: `in HTTP/1.1" 503 UC 379 …`.
pub(super) fn headless(line: &str) -> Option<TextLine<'_>> {
    let close = memchr::memchr_iter(b'"', line.as_bytes()).find(|&at| {
        let before = &line[..at];
        (before.ends_with(" HTTP/1.1")
            || before.ends_with(" HTTP/2")
            || before.ends_with(" HTTP/1.0")
            || before.ends_with(" HTTP/3")
            || before.ends_with("- -")
            || before.ends_with("- - "))
            && code_and_flags(&line[at + 1..])
    })?;
    let request = line[..close].rsplit('"').next().unwrap_or("");
    behind_request("", request, &line[close + 1..])
}

/// Whether ` 503 UC ` follows.
fn code_and_flags(behind: &str) -> bool {
    let mut words = behind.split_ascii_whitespace();
    let code = words
        .next()
        .is_some_and(|code| (1..=3).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_digit()));
    behind.starts_with(' ') && code && words.next().is_some_and(is_flags)
}

fn behind_request<'a>(start: &'a str, request: &'a str, behind: &'a str) -> Option<TextLine<'a>> {
    let mut request = request.split(' ');
    let (method, protocol) = (request.next().unwrap_or(""), request.next_back().unwrap_or(""));
    let fields = fields(behind);
    let code = fields.first().filter(|field| field.is_number())?;
    let flags = fields.get(1)?;
    // RX TX DURATION: the first three numbers in a row.
    let numbers =
        (2..fields.len().saturating_sub(2)).find(|&at| fields[at..at + 3].iter().all(|field| field.is_number()))?;
    let mut access = AccessLine::default();
    let mut store = |operator: Operator, value: &'a str| operator.store(Cow::Borrowed(value), &mut access);
    store(Operator::Start, start);
    store(Operator::Method, method);
    store(Operator::Protocol, protocol);
    store(Operator::Code, code.text);
    store(Operator::Flags, flags.text);
    store(Operator::Duration, fields[numbers + 2].text);
    let before = &fields[2..numbers];
    match before {
        [details, termination, transport] => {
            store(Operator::Details, details.text);
            store(Operator::Termination, termination.text);
            store(Operator::TransportFailure, transport.text);
        }
        // Mixer's status, or details that people added.
        [first, transport] if transport.quoted => {
            store(Operator::TransportFailure, transport.text);
            if super::access_found::is_details(first.text) {
                store(Operator::Details, first.text);
            }
        }
        [details, termination] => {
            store(Operator::Details, details.text);
            store(Operator::Termination, termination.text);
        }
        // People add the details to Envoy's own layout.
        [details] if !details.quoted => store(Operator::Details, details.text),
        // 1.8 has a route name at the end; 1.1 has Mixer's status here and none.
        [transport] if fields.len() > numbers + 14 => store(Operator::TransportFailure, transport.text),
        _ => {}
    }
    let places = [
        Operator::RequestId,
        Operator::Authority,
        Operator::Upstream,
        Operator::Cluster,
        Operator::UpstreamLocal,
        Operator::DownstreamLocal,
        Operator::DownstreamRemote,
        Operator::ServerName,
        Operator::Route,
    ];
    for (operator, field) in places.into_iter().zip(fields.get(numbers + 6..).unwrap_or_default()) {
        store(operator, field.text);
    }
    Some(TextLine { line: access, short: fields.len() <= numbers + 9 })
}

/// How much of a line makes sense, to tell between two ways of putting it together.
pub(super) fn worth(line: &AccessLine<'_>) -> usize {
    let whole = |text: &str| {
        text.bytes().filter(|byte| *byte == b'{').count() == text.bytes().filter(|byte| *byte == b'}').count()
    };
    let details = line
        .details
        .as_deref()
        .map_or(0, |details| usize::from(whole(details)) + 2 * usize::from(super::access_found::is_details(details)));
    let address = |text: &Option<Cow<'_, str>>| {
        text.as_deref().is_some_and(|text| {
            text.rsplit_once(':').is_some_and(|(host, port)| !host.contains(' ') && port.parse::<u16>().is_ok())
        })
    };
    let cluster = line.cluster.as_deref().map_or(0, |cluster| {
        let parts = cluster.split('|').count();
        1 + usize::from(parts == 4 || cluster.ends_with("Cluster"))
    });
    details
        + cluster
        + usize::from(line.duration.is_some())
        + usize::from(address(&line.upstream))
        + usize::from(address(&line.downstream_local))
        + usize::from(address(&line.downstream_remote))
}

/// Where the quoted request line ends: the first quote with a code behind it.
fn request_end(rest: &str) -> Option<usize> {
    memchr::memchr_iter(b'"', rest.as_bytes()).find(|&at| {
        let mut behind = rest[at + 1..].bytes();
        behind.next() == Some(b' ') && behind.next().is_some_and(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;

    const TAIL: &str = r#"0 91 1000 - "-" "curl/7 "x"" "id-1" "api:443" "52.0.0.1:443" outbound|443||api - 10.0.0.1:443 10.0.0.2:5000 -"#;

    #[test]
    fn every_text_layout_gives_the_same_fields() {
        let head = r#"[2020-05-29T22:04:05.066Z] "GET /a"b HTTP/1.1" 503 UF,URX"#;
        for (before, after, transport) in [
            (r#" "-""#, "", None),
            (r#" "-" "TLS error""#, "", Some("TLS error")),
            (r#" "-" "TLS error""#, " default", Some("TLS error")),
            (r#" "TLS error""#, " default", Some("TLS error")),
            (r#" via{a b{c}} - "TLS error""#, " default", Some("TLS error")),
            (r#" - - "TLS error""#, " -", Some("TLS error")),
            (r#" - - "-""#, " -", None),
        ] {
            let text = format!("{head}{before} {TAIL}{after}");
            let line = text_line(&text).unwrap().line;
            assert_eq!(line.transport_failure.as_deref(), transport, "{text}");
            assert_eq!(line.duration, Some(1000), "{text}");
            assert_eq!(line.cluster.as_deref(), Some("outbound|443||api"), "{text}");
            assert_eq!(line.upstream.as_deref(), Some("52.0.0.1:443"), "{text}");
            assert_eq!(line.downstream_remote.as_deref(), Some("10.0.0.2:5000"), "{text}");
            assert!(line.upstream_local.is_none() && line.tells_upstream_local && line.has_flag("UF"));
        }
    }

    #[test]
    fn the_line_of_the_incident() {
        let line = text_line(r#"[2020-05-29T22:04:05.066Z] "- - " 0 UF,URX "" "" 0 0 1000 - "" "" "" "-" "52.0.0.1:443" outbound|443||api.example.com - 52.0.0.1:443 10.0.0.2:5000 - -"#).unwrap().line;
        assert!(line.is_tcp());
        assert_eq!((line.code, line.duration), (0, Some(1000)));
        assert_eq!(line.cluster.as_deref(), Some("outbound|443||api.example.com"));
    }

    #[test]
    fn envoys_own_default() {
        let text = text_line(r#"[2020-05-29T22:04:05.066Z] "GET / HTTP/2" 503 UH 0 19 0 - "-" "curl" "id" "host" "-""#)
            .unwrap();
        assert!(text.short);
        assert_eq!((text.line.code, text.line.duration, text.line.upstream), (503, Some(0), None));
        assert!(!text.line.tells_upstream_local);
        let line = text_line(r#"[2024-08-21T09:11:33.481Z] "GET /ws HTTP/1.1" 101 SI stream_idle_timeout 100 154 413322 - "-" "-" "id" "localhost:8000" "192.168.91.2:8080""#).unwrap().line;
        assert_eq!(line.details.as_deref(), Some("stream_idle_timeout"));
        let line = headless(
            r#"ogin HTTP/1.1" 503 UC 379 88 2704 - "198.51.100.13" "Mozilla/5.0 (X)" "id" "shop" "10.61.4.94:3000""#,
        )
        .unwrap()
        .line;
        assert_eq!((line.upstream.as_deref(), line.has_flag("UC")), (Some("10.61.4.94:3000"), true));
    }

    #[test]
    fn keys_of_ones_own() {
        for text in [
            r#"{"responseCodeDetails":"response_timeout","upstreamHost":"10.0.0.1:80","responseFlags":"UT","responseCode":"504","duration":"55"}"#,
            r#"{"details":"response_timeout","upstream":"10.0.0.1:80","flags":"UT","code":504,"duration":55}"#,
            r#"{"response_code_details":"response_timeout","upstream_host":"10.0.0.1:80","response_flags":"UpstreamRequestTimeout","response_code":504,"duration":55}"#,
        ] {
            let object = Json::parse(text).unwrap();
            assert!(is_access(&object), "{text}");
            let line = json(&object);
            assert_eq!((line.code, line.duration, &*line.flags), (504, Some(55), "UT"), "{text}");
            assert_eq!(
                (line.details.as_deref(), line.upstream.as_deref()),
                (Some("response_timeout"), Some("10.0.0.1:80"))
            );
        }
        let line = pairs(r#"time=x code=503 flags=UF details="no healthy upstream" upstream=10.0.0.1:80"#).unwrap();
        assert_eq!((line.code, line.details.as_deref()), (503, Some("no healthy upstream")));
        let object = Json::parse(r#"{"level":"info","status":503,"msg":"x","duration":1}"#).unwrap();
        assert!(!is_access(&object));
    }
}
