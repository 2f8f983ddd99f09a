//! Access logs: Istio's text since 1.1, Envoy's default, JSON, and formats of one's own.
//!
//! Istio's text layout is `[START] "METHOD PATH PROTOCOL" CODE FLAGS` + A + `RX TX DURATION SERVICE_TIME "XFF" "UA"
//! "REQUEST_ID" "AUTHORITY" "UPSTREAM_HOST" CLUSTER UPSTREAM_LOCAL DOWNSTREAM_LOCAL DOWNSTREAM_REMOTE SNI` + B, where
//! A is `"mixer"` in 1.1, `"mixer" "TRANSPORT"` up to 1.7, `"TRANSPORT"` in 1.8 and `DETAILS TERMINATION "TRANSPORT"`
//! from 1.9, and B is empty in 1.1 and 1.2 and the route's name later (Istio's `pkg/envoy` and `pilot/pkg/model`).
//! Envoy's own default ends behind UPSTREAM_HOST and has an empty A.

use std::borrow::Cow;

use crate::model::AccessLine;

use super::json::{self, Members};
use super::text;

/// Whether a value is one of the ways to say "none".
pub(super) fn absent(text: &str) -> bool {
    matches!(text, "" | "-" | "null" | "- " | "\"\"")
}

/// `%UPSTREAM_CLUSTER%` is the alternative stat name, behind which Istio may put a delimiter `;`.
pub(super) fn plain_cluster(name: Cow<'_, str>) -> Cow<'_, str> {
    match name {
        Cow::Borrowed(name) => Cow::Borrowed(name.trim_end_matches(';')),
        Cow::Owned(name) => Cow::Owned(name.trim_end_matches(';').to_owned()),
    }
}

fn present(text: &str) -> Option<Cow<'_, str>> {
    (!absent(text)).then_some(Cow::Borrowed(text))
}

/// Whether a JSON object is an access log line.
pub(super) fn is_access(members: &Members) -> bool {
    ["response_flags", "response_code", "upstream_cluster", "response_code_details", "upstream_host"]
        .iter()
        .filter(|key| members.has(key))
        .count()
        >= 2
}

/// A JSON access log line and the text of its start time.
pub(super) fn json<'a>(members: &Members<'a>) -> (Option<Cow<'a, str>>, AccessLine<'a>) {
    let start = members.text(&["start_time", "start-time", "time", "timestamp", "@timestamp"]);
    let mut line = json::access_members(members);
    line.start = start.as_deref().and_then(text::time);
    (start, line)
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
            while close < bytes.len()
                && !(bytes[close] == b'"' && matches!(bytes.get(close + 1), None | Some(b' ' | b'\t')))
            {
                close += 1;
            }
            fields.push(Field { text: &text[start + 1..close.min(bytes.len())], quoted: true });
            at = close + 1;
            continue;
        }
        let mut depth = 0_u32;
        let mut end = at;
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

/// A text access log line in Istio's or Envoy's default layout.
pub(super) fn text_line(line: &str) -> Option<AccessLine<'_>> {
    let (start, rest) = match line.strip_prefix('[') {
        Some(rest) => rest.split_once("] ")?,
        None => ("", line),
    };
    let rest = rest.strip_prefix('"')?;
    // The path may hold quotes; the request line ends before the code.
    let close = request_end(rest)?;
    let mut request = rest[..close].split(' ');
    let method = request.next().and_then(present);
    let protocol = request.next_back().and_then(present);
    let fields = fields(&rest[close + 1..]);
    let code = fields.first().filter(|field| field.is_number())?.text.parse().unwrap_or(0);
    let flags = fields.get(1)?.text;
    // RX TX DURATION: the first three numbers in a row.
    let numbers =
        (2..fields.len().saturating_sub(2)).find(|&at| fields[at..at + 3].iter().all(|field| field.is_number()))?;
    let before = &fields[2..numbers];
    let after = |offset: usize| fields.get(numbers + offset).and_then(|field| present(field.text));
    let mut access = AccessLine {
        start: text::time(start),
        method,
        protocol,
        code,
        flags: present(flags).unwrap_or_default(),
        duration: fields[numbers + 2].text.parse().ok(),
        request_id: after(6),
        authority: after(7),
        upstream: after(8),
        cluster: after(9).map(plain_cluster),
        upstream_local: after(10),
        tells_upstream_local: fields.len() > numbers + 10,
        downstream_local: after(11),
        downstream_remote: after(12),
        server_name: after(13),
        route: after(14),
        ..AccessLine::default()
    };
    match before {
        [details, termination, transport] => {
            access.details = present(details.text);
            access.termination = present(termination.text);
            access.transport_failure = present(transport.text);
        }
        [_mixer, transport] => access.transport_failure = present(transport.text),
        // 1.8 has a route name at the end; 1.1 has Mixer's status here and none.
        [transport] if fields.len() > numbers + 14 => access.transport_failure = present(transport.text),
        _ => {}
    }
    Some(access)
}

/// Where the quoted request line ends: the first quote with a code behind it.
fn request_end(rest: &str) -> Option<usize> {
    memchr::memchr_iter(b'"', rest.as_bytes()).find(|&at| {
        let mut behind = rest[at + 1..].bytes();
        behind.next() == Some(b' ') && behind.next().is_some_and(|byte| byte.is_ascii_digit())
    })
}

/// The rest of an access log line that was wrapped behind its upstream host: `CLUSTER LOCAL LOCAL REMOTE SNI ROUTE`.
pub(super) fn wrapped_rest(line: &str) -> Option<AccessLine<'_>> {
    let fields = fields(line);
    let cluster = fields.first().filter(|field| !field.quoted && field.text.contains('|'))?;
    if fields.len() < 4 {
        return None;
    }
    let at = |offset: usize| fields.get(offset).and_then(|field| present(field.text));
    Some(AccessLine {
        cluster: Some(plain_cluster(Cow::Borrowed(cluster.text))),
        upstream_local: at(1),
        tells_upstream_local: true,
        downstream_local: at(2),
        downstream_remote: at(3),
        server_name: at(4),
        route: at(5),
        ..AccessLine::default()
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
            let line = text_line(&text).unwrap();
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
        let line = text_line(r#"[2020-05-29T22:04:05.066Z] "- - " 0 UF,URX "" "" 0 0 1000 - "" "" "" "-" "52.0.0.1:443" outbound|443||api.example.com - 52.0.0.1:443 10.0.0.2:5000 - -"#).unwrap();
        assert!(line.is_tcp());
        assert_eq!((line.code, line.duration), (0, Some(1000)));
        assert_eq!(line.cluster.as_deref(), Some("outbound|443||api.example.com"));
    }

    #[test]
    fn envoys_own_default() {
        let line = text_line(r#"[2020-05-29T22:04:05.066Z] "GET / HTTP/2" 503 UH 0 19 0 - "-" "curl" "id" "host" "-""#)
            .unwrap();
        assert_eq!((line.code, line.duration, line.upstream), (503, Some(0), None));
        assert!(!line.tells_upstream_local);
    }
}
