//! What a record with a lost connection says: the root cause's exception, and the host that was called.

use std::sync::LazyLock;

use regex::Regex;

use super::text::{before, constant};

/// The exception at the root of a record's trace: its type, without the message.
///
/// Java, .NET and Node print causes inwards (`Caused by:`, `--->`, `[cause]:`): the last is the root. Python and Ruby
/// print the first exception first; logback's root-cause-first converter marks the others with `Wrapped by:`.
#[must_use]
pub(super) fn root_exception(text: &str) -> Option<&str> {
    // Tomcat announces what it prints: `… threw exception […] with root cause`, and the next line has it.
    let text = text.split_once("with root cause\n").map_or(text, |(_, root)| root);
    let head = || HEAD.captures(text).and_then(|found| found.get(1));
    let found = if text.contains("Wrapped by: ") {
        head()
    } else if let Some(python) = text.find("Traceback (most recent call last)") {
        // The first traceback is the root; the exception is its first line that is not indented.
        PYTHON.captures(&text[python..]).and_then(|found| found.get(1))
    } else {
        CAUSE
            .captures_iter(text)
            .last()
            .and_then(|found| found.get(1))
            .or_else(head)
            .or_else(|| RUBY.captures(text).and_then(|found| found.get(1)))
    };
    found.map(|name| name.as_str().trim_end_matches(": "))
}

/// The host, with its port where it is said, that the record failed to talk to. The message is asked before the trace.
#[must_use]
pub(super) fn failing_target(text: &str) -> Option<String> {
    TARGETS.iter().find_map(|pattern| {
        pattern.captures_iter(text).find_map(|found| {
            let whole = found.name("host")?;
            let host = whole.as_str().trim_end_matches('.');
            if host.is_empty() || host.len() > 253 || NOT_A_TARGET.is_match(host) {
                return None;
            }
            // What is read for help, or led here, was not called.
            if NOT_CALLED.is_match(before(text, found.get_match().start(), 48)) {
                return None;
            }
            Some(match found.name("port") {
                Some(port) => format!("{host}:{}", port.as_str()),
                None => host.to_owned(),
            })
        })
    })
}

/// A dotted or namespaced type name that ends as exceptions do, at the beginning of a line or after what stands before
/// it in a log line.
static HEAD: LazyLock<Regex> = LazyLock::new(|| {
    constant(
        r"(?:^|[\s\x22'(\[:=])((?:(?:[A-Za-z_$][\w$]*(?:\.|::))*[A-Z][\w$]*(?:Exception|Error|Disconnected|Throwable)|Errno::[A-Z]+)\b|Error: )",
    )
});

/// A cause: Java's at the left margin (`Suppressed:` blocks are indented), .NET's arrow, Node's `[cause]`.
static CAUSE: LazyLock<Regex> = LazyLock::new(|| {
    constant(
        r"(?m)(?:^[Cc]aused by: |---> |\[cause\]: )(?:Unhandled exception\. )?((?:[A-Za-z_$][\w$]*(?:\.|::))*[A-Z][\w$]*)\b",
    )
});

static PYTHON: LazyLock<Regex> = LazyLock::new(|| constant(r"(?m)^((?:[A-Za-z_]\w*\.)*[A-Z]\w*)(?::|$)"));

/// Ruby puts the class behind the message: `… Connection reset by peer (Errno::ECONNRESET)`.
static RUBY: LazyLock<Regex> = LazyLock::new(|| constant(r"\(((?:[A-Z]\w*::)*[A-Z]\w*)\)"));

const HOST: &str = r"(?P<host>(?:[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?\.)*[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])";

/// From the surest to the vaguest.
static TARGETS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    [
        // nginx names the upstream beside its own host and the referrer.
        format!(r"upstream: \x22[a-z]+://{HOST}(?::(?P<port>\d{{1,5}}))?"),
        // A URL: Spring, Go, okhttp, fetch, requests; databases, brokers and WebSockets by their own schemes.
        format!(
            r"\b(?:https?|wss?|grpcs?|tcp|tls|ssl|ldaps?|s?ftp|amqps?|mqtts?|nats|kafka|rediss?|memcached|mongodb(?:\+srv)?|postgres(?:ql)?|mysql|mariadb|sqlserver|clickhouse|cassandra|thrift|(?:jdbc:[a-z0-9]+(?::[a-z0-9]+)?))://(?:[^/@\s\x22']{{0,128}}@)?{HOST}(?::(?P<port>\d{{1,5}}))?"
        ),
        // librdkafka, kafka-python
        format!(r"\b{HOST}:(?P<port>\d{{2,5}})/\w+: (?:Disconnected|Receive failed|Send failed|Connect to)"),
        format!(r"<BrokerConnection [^>\n]{{0,80}}\bhost={HOST}(?:/[\d.]+ port=|:)(?P<port>\d{{2,5}})"),
        // jdbc:oracle:thin:@//db.example.com:1521/x, jdbc:oracle:thin:@db.example.com:1521:x
        format!(r"jdbc:oracle:\w+:@(?://)?{HOST}(?::(?P<port>\d{{1,5}}))?"),
        // urllib3: HTTPSConnectionPool(host='api.example.com', port=443)
        format!(r"host='{HOST}'(?:, port=(?P<port>\d{{1,5}}))?"),
        // Apache HttpClient: api.example.com:443 failed to respond; Connect to api.example.com:443 [api…/52.0.0.1] failed
        format!(r"{HOST}:(?P<port>\d{{1,5}}) failed to respond"),
        format!(r"Connect to {HOST}:(?P<port>\d{{1,5}})"),
        // okhttp: unexpected end of stream on Connection{{api.example.com:443, proxy=DIRECT …
        format!(r"Connection\{{{HOST}:(?P<port>\d{{1,5}})"),
        // Node: hostname: 'api.example.com', host: 'api.example.com'
        format!(r#"\b(?:hostname|host|servername|server|peer)["']?\s?[:=]\s?["']?{HOST}(?::(?P<port>\d{{1,5}}))?"#),
        // Netty: L:/10.0.0.1:4711 - R:api.example.com/52.0.0.1:443, or R:/52.0.0.1:443 without a name
        format!(r"R:{HOST}/[0-9a-fA-F.:]+:(?P<port>\d{{1,5}})"),
        r"R:/(?P<host>\d{1,3}(?:\.\d{1,3}){3}|\[?[0-9A-Fa-f:]+\]?):(?P<port>\d{1,5})".to_owned(),
        // libpq: connection to server at "db.example.com" (10.0.0.5), port 5432 failed
        format!(r"server at \x22{HOST}\x22(?: \([0-9a-fA-F.:]+\))?(?:, port (?P<port>\d{{1,5}}))?"),
        // librdkafka: [thrd:…]: kafka:9092/1: …; Kafka in Java: node 1 (kafka-0/10.0.0.7:9092)
        format!(r"\]: {HOST}:(?P<port>\d{{1,5}})/\w+:"),
        format!(r"\({HOST}/[0-9a-fA-F.:]+:(?P<port>\d{{1,5}})\)"),
        // MongoDB: connection 5 to mongo-0:27017, connection(mongo-0:27017[-5]), AutoReconnect: mongo-0:27017; phpredis
        format!(r"\bconnection(?: \d+)?(?: to |\(){HOST}:(?P<port>\d{{1,5}})"),
        format!(r"AutoReconnect: {HOST}:(?P<port>\d{{1,5}})"),
        // Dart: address = api.example.com, port = 443
        format!(r"address = {HOST}, port = (?P<port>\d{{1,5}})"),
        // .NET: (api.example.com:443)
        format!(r"\({HOST}:(?P<port>\d{{1,5}})\)"),
        // Prose: a call to api.example.com failed.
        r"\b(?:to|from|calling|call|with|upstream|host|target|server|broker|node)\s+(?P<host>(?:[A-Za-z0-9][A-Za-z0-9-]*\.)+[A-Za-z]{2,24})(?::(?P<port>\d{1,5}))?\b".to_owned(),
        // Go: read tcp 10.0.0.1:34567->52.1.2.3:443
        r"->(?P<host>\d{1,3}(?:\.\d{1,3}){3}|\[[0-9A-Fa-f:]+\]):(?P<port>\d{1,5})".to_owned(),
    ]
    .iter()
    .map(|pattern| constant(pattern))
    .collect()
});

/// What stands before a URL that was not called: help pages, documentation, the page that led to a request.
static NOT_CALLED: LazyLock<Regex> = LazyLock::new(|| {
    constant(
        r"(?i)(?:\b(?:see|visit|documentation|docs|documented at|help|guide|wiki|learn more|more (?:info|information|details))\b[^\n.;]{0,24}[:( ]?\s*|check:?\s*|refer+er[\x22']?\s*[:=]\s*[\x22']?|origin[\x22']?\s*[:=]\s*[\x22']?)$",
    )
});

/// What looks like a host and is a package, a file, or the own machine.
static NOT_A_TARGET: LazyLock<Regex> = LazyLock::new(|| {
    constant(
        r"(?i)^(?:(?:java|javax|sun|jdk|org|com|io)\.[\w.]*[A-Z]\w*|[\w-]+\.(?:java|py|js|ts|go|rb|cs|kt|scala|html?|json)|null|undefined|none|true|false|read|write|dial|recv|send|connect|curl\.(?:haxx\.)?se|(?:[\w-]+\.)*(?:readthedocs\.io|httpstatuses\.com|developer\.mozilla\.org|docs\.[\w.-]+))$",
    )
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_cause_is_found_in_every_language() {
        for (text, root) in [
            (
                "call failed\norg.springframework.web.client.ResourceAccessException: I/O error\n\tat a.b(C.java:1)\nCaused by: java.net.SocketException: Connection reset\n\tat d.e(F.java:2)\n\t... 8 more",
                "java.net.SocketException",
            ),
            (
                "javax.net.ssl.SSLHandshakeException: Remote host terminated the handshake\n\tat x\n\tSuppressed: java.lang.Exception: y\n\tCaused by: z.Inner: no\nCaused by: java.io.EOFException: SSL peer shut down incorrectly",
                "java.io.EOFException",
            ),
            (
                "java.net.SocketException: Connection reset\n\tat x\nWrapped by: java.lang.RuntimeException: outer",
                "java.net.SocketException",
            ),
            (
                "failed\nTraceback (most recent call last):\n  File \"a.py\", line 3, in b\n    c()\nConnectionResetError: [Errno 104] Connection reset by peer\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\nrequests.exceptions.ConnectionError: x",
                "ConnectionResetError",
            ),
            (
                "System.Net.Http.HttpRequestException: An error occurred\n ---> System.IO.IOException: Unable to read\n ---> System.Net.Sockets.SocketException (104): Connection reset by peer\n   at X",
                "System.Net.Sockets.SocketException",
            ),
            (
                "TypeError: fetch failed\n    at node:internal\n  [cause]: Error: read ECONNRESET\n      at TLSWrap",
                "Error",
            ),
            ("net/protocol.rb:229:in `read': Connection reset by peer (Errno::ECONNRESET)", "Errno::ECONNRESET"),
            ("Error: read ECONNRESET\n    at TCP.onStreamRead", "Error"),
        ] {
            assert_eq!(root_exception(text), Some(root), "{text}");
        }
        assert_eq!(root_exception("read: connection reset by peer"), None);
        assert_eq!(
            root_exception(
                "Servlet.service() threw exception [Request processing failed; nested exception is org.x.ResourceAccessException: I/O error] with root cause\njava.net.SocketException: Connection reset\n\tat a.b"
            ),
            Some("java.net.SocketException")
        );
    }

    #[test]
    fn the_target_is_found_where_it_is_said() {
        for (text, target) in [
            (
                "kafka:9092/1: x [thrd:kafka:9092/1]: kafka:9092/1: Receive failed: Connection reset by peer",
                "kafka:9092",
            ),
            ("MongoNetworkError: connection 5 to mongo-0:27017 closed", "mongo-0:27017"),
            ("Connection to node 1 (kafka-0/10.0.0.7:9092) terminated during authentication.", "kafka-0:9092"),
            (
                "error reading from server: read tcp 10.0.0.1:44->10.0.0.2:443: read: connection reset by peer",
                "10.0.0.2:443",
            ),
            ("I/O error on POST request for \"https://api.example.com/v1/pay\": Connection reset", "api.example.com"),
            (
                "Get \"http://10.1.2.3:8080/x\": read tcp 10.0.0.1:4->10.1.2.3:8080: read: connection reset by peer",
                "10.1.2.3:8080",
            ),
            ("HTTPSConnectionPool(host='api.example.com', port=443): Max retries", "api.example.com:443"),
            ("org.apache.http.NoHttpResponseException: api.example.com:443 failed to respond", "api.example.com:443"),
            (
                "unexpected end of stream on Connection{api.example.com:443, proxy=DIRECT hostAddress=api.example.com/52.0.0.1:443}",
                "api.example.com:443",
            ),
            ("  code: 'ECONNRESET',\n  host: 'api.example.com',\n  port: 443", "api.example.com"),
            (
                "call to api.example.com failed\njava.net.SocketException: Connection reset\n\tat java.base/java.net.X",
                "api.example.com",
            ),
            ("read tcp 10.0.0.1:34567->52.1.2.3:443: read: connection reset by peer", "52.1.2.3:443"),
            ("https://user:secret@api.example.com:8443/x", "api.example.com:8443"),
            ("The SSL connection could not be established (api.example.com:443)", "api.example.com:443"),
            (
                "cURL error 56: Recv failure: Connection reset by peer (see https://curl.haxx.se/libcurl/c/libcurl-errors.html) for https://api.example.com/v1",
                "api.example.com",
            ),
            (
                "error reading status line from remote server app.example.com:3000, referer: https://www.example.com/containers",
                "app.example.com:3000",
            ),
            (
                "upstream prematurely closed connection, server: _, upstream: \"http://192.0.2.30:8080/x\", host: \"shop.example.com\", referrer: \"https://www.example.com/\"",
                "192.0.2.30:8080",
            ),
            ("jdbc:postgresql://db.example.com:5432/shop: Connection reset", "db.example.com:5432"),
            ("jdbc:sqlserver://db.example.com:1433;databaseName=x", "db.example.com:1433"),
            ("rediss://:secret@cache.example.com:6380/0", "cache.example.com:6380"),
            ("amqp://user:pw@mq.example.com", "mq.example.com"),
            ("wss://stream.example.com/feed closed", "stream.example.com"),
            ("mongodb+srv://cluster0.example.net/shop", "cluster0.example.net"),
            ("[[id: 0xc9a27aae, L:/192.0.2.199:48784 - R:/198.51.100.134:9300]]", "198.51.100.134:9300"),
            (
                "connection to server at \"db.example.com\" (10.0.0.5), port 5432 failed: server closed the connection unexpectedly",
                "db.example.com:5432",
            ),
        ] {
            assert_eq!(failing_target(text).as_deref(), Some(target), "{text}");
        }
        assert_eq!(
            failing_target(
                "502 for x. For more information check: https://httpstatuses.com/502, see also https://docs.example.org/errors"
            ),
            None
        );
        assert_eq!(
            failing_target(
                "java.net.SocketException: Connection reset\n\tat java.base/sun.nio.ch.NioSocketImpl.implRead(NioSocketImpl.java:328)"
            ),
            None
        );
    }
}
