//! Envoy's records in the words of Cilium's agent, which runs it and prints them in logfmt:
//! `level=debug msg="[[C31] connect timeout" subsys=envoy-pool threadID=37` (cilium, `pkg/envoy/embedded_envoy.go`). One bracket
//! more than there was stands before the message.

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// What a line holds.
#[derive(Debug, PartialEq)]
pub(super) enum Printed<'a> {
    /// A record: who printed it, and the record in Istio's layout. Its time is `-` where the line has none.
    Record { source: &'a str, line: String },
    /// The whole of such a line in the message of another.
    Line(String),
}

/// What is printed in a line; `None` where it is none of the agent's.
pub(super) fn printed(text: &str) -> Option<Printed<'_>> {
    static SUBSYSTEM: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new("subsys=envoy-"));
    SUBSYSTEM.find(text.as_bytes())?;
    let at = text.find("msg=\"")? + "msg=".len();
    let mut messages = serde_json::Deserializer::from_str(&text[at..]).into_iter::<String>();
    let message = messages.next()?.ok()?;
    let (before, behind) = (&text[..at], &text[at + messages.byte_offset()..]);
    let Some((_, behind)) = behind.split_once("subsys=envoy-") else {
        return SUBSYSTEM.find(message.as_bytes()).map(|_| Printed::Line(message));
    };
    let word = |text: &str| text.split([' ', '"']).next().unwrap_or_default().to_owned();
    let value = |text: &str, key: &str| text.split_once(key).map(|(_, value)| word(value.trim_start_matches('"')));
    let (level, time) = (value(before, "level=")?, value(before, "time="));
    let thread = value(behind, "threadID=").or_else(|| value(behind, "thread="));
    let head = &before[..before.find("time=").or_else(|| before.find("level="))?];
    let head = head.trim_end();
    // A time alone is a wrapper, as is what syslog writes.
    if head.split(' ').count() > 3 || head.contains([':', '[']) {
        return None;
    }
    let stray = message.starts_with("[[") || !message.contains(']');
    let message = message.strip_prefix('[').filter(|_| stray).unwrap_or(&message);
    let line = format!(
        "{}\t{level}\tenvoy {}\t{message}\tthread={}",
        time.as_deref().unwrap_or("-"),
        word(behind),
        thread.as_deref().unwrap_or("0"),
    );
    Some(Printed::Record { source: head, line })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_agent_prints() {
        let record = |source, line: &str| Some(Printed::Record { source, line: line.to_owned() });
        assert_eq!(
            printed(
                r#"cilium-k cilium-agent time="2024-06-04T17:21:08Z" level=debug msg="[[Tags: \"ConnectionId\":\"33\"] connected" subsys=envoy-client threadID=76"#
            ),
            record(
                "cilium-k cilium-agent",
                "2024-06-04T17:21:08Z\tdebug\tenvoy client\t[Tags: \"ConnectionId\":\"33\"] connected\tthread=76"
            )
        );
        for (text, expected) in [
            (
                r#"level=debug msg="[C31] connect timeout" subsys=envoy-pool thread=6537"#,
                "-\tdebug\tenvoy pool\t[C31] connect timeout\tthread=6537",
            ),
            (
                r#"level=info msg="[no healthy host for HTTP connection pool" subsys=envoy-upstream threadID=1"#,
                "-\tinfo\tenvoy upstream\tno healthy host for HTTP connection pool\tthread=1",
            ),
            (
                r#"level=debug msg="external/envoy/source/common/http/http1/conn_pool.cc:321] [C31] connect timeout" subsys=envoy-pool thread=6"#,
                "-\tdebug\tenvoy pool\texternal/envoy/source/common/http/http1/conn_pool.cc:321] [C31] connect timeout\tthread=6",
            ),
        ] {
            assert_eq!(printed(text), record("", expected));
        }
        let inner = r#"level=debug msg="[C31] connect timeout" subsys=envoy-pool thread=6537"#;
        let outer = format!("level=debug msg={}", serde_json::json!(inner));
        assert_eq!(printed(&outer), Some(Printed::Line(inner.to_owned())));
        for text in [
            "level=debug msg=\"subsys\"",
            "Apr 02 02:32:33 host cilium-agent[57]: level=debug msg=\"[C1] connected\" subsys=envoy-pool",
        ] {
            assert_eq!(printed(text), None);
        }
    }
}
