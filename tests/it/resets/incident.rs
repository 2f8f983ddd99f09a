//! The incident, generated: thirty days of four services, a change on the seventeenth day, and its known answer.

use std::collections::BTreeMap;
use std::io::{self, Write};

use jiff::{SignedDuration, Timestamp};

/// The moment of the change.
const CHANGE: &str = "2020-07-08T20:00-07:00";
const FIRST: &str = "2020-06-22T00:00:00Z";
const DAYS: i64 = 30;
/// The days (from 0) of which `inventory` has no logs.
const MISSING: std::ops::Range<i64> = 9..11;

/// Services, with resets a day before and after the change, and how they log.
const SERVICES: [(&str, u64, u64, Layout); 4] = [
    ("checkout", 47, 0, Layout::Logstash),
    ("orders", 22, 1, Layout::Logback),
    ("payments", 9, 0, Layout::Pino),
    ("inventory", 4, 0, Layout::Python),
];

#[derive(Clone, Copy)]
enum Layout {
    Logstash,
    Logback,
    Pino,
    Python,
}

/// Numbers without chance: the same incident every time.
struct Numbers(u64);

impl Numbers {
    /// SplitMix64 (Steele, Lea and Flood 2014).
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// What is in the logs.
#[derive(Default, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Resets by service and day (UTC); a day without logs is not there.
    pub(crate) resets: BTreeMap<(String, String), u64>,
    /// Resets before and after the change.
    pub(crate) before: u64,
    pub(crate) after: u64,
    /// Resets that came 1.00 to 1.02 s after their call began.
    pub(crate) after_one_second: u64,
}

/// Names of the services.
pub(crate) fn services() -> impl Iterator<Item = &'static str> {
    SERVICES.iter().map(|service| service.0)
}

/// Writes the log of one service, with so many ordinary records a minute; with 0 there is one in six minutes.
pub(crate) fn write_service(name: &str, ordinary: u64, out: &mut dyn Write, answer: &mut Answer) -> io::Result<()> {
    let (index, service) = SERVICES.iter().enumerate().find(|(_, service)| service.0 == name).expect("a known service");
    let (_, rate_before, rate_after, layout) = *service;
    let mut numbers = Numbers(index as u64 + 1);
    let change: Timestamp = CHANGE.parse().expect("a timestamp");
    let first: Timestamp = FIRST.parse().expect("a timestamp");
    let mut call = 0;
    for hour in 0..DAYS * 24 {
        let day = hour / 24;
        if name == "inventory" && MISSING.contains(&day) {
            continue;
        }
        let start = first + SignedDuration::from_hours(hour);
        let date = start.strftime("%Y-%m-%d").to_string();
        answer.resets.entry((name.to_owned(), date.clone())).or_default();
        let rate = if start < change { rate_before } else { rate_after };
        // Spread over the day: so many in this hour that the day has them all.
        let of_day = u64::try_from(hour % 24).expect("not negative");
        let resets = (of_day + 1) * rate / 24 - of_day * rate / 24;
        for second in 0..60_u64 {
            let at = start + SignedDuration::from_secs(i64::try_from(second * 60).expect("small"));
            for _ in 0..ordinary.max(u64::from(second % 6 == 0)) {
                call += 1;
                ordinary_record(layout, at + millis(numbers.below(50_000)), name, call, out)?;
            }
            if second % 6 == 0 && second / 6 < resets {
                call += 1;
                let began = at + millis(50_000 + numbers.below(5_000));
                let delay = if call % 11 == 0 { 40 + numbers.below(700) } else { 1_000 + numbers.below(20) };
                failed_call(layout, began, began + millis(delay), name, call, out)?;
                *answer.resets.entry((name.to_owned(), date.clone())).or_default() += 1;
                answer.after_one_second += u64::from(delay >= 1_000);
                if at < change {
                    answer.before += 1;
                } else {
                    answer.after += 1;
                }
            }
        }
    }
    Ok(())
}

fn millis(millis: u64) -> SignedDuration {
    SignedDuration::from_millis(i64::try_from(millis).expect("small"))
}

fn ordinary_record(layout: Layout, at: Timestamp, service: &str, call: u64, out: &mut dyn Write) -> io::Result<()> {
    let iso = at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ");
    match layout {
        Layout::Logstash => writeln!(
            out,
            r#"{{"@timestamp":"{iso}","@version":"1","message":"handled request in {} ms","logger_name":"com.example.{service}.Controller","thread_name":"http-nio-8080-exec-{}","level":"INFO","level_value":20000,"service":"{service}","requestId":"r{call}"}}"#,
            call % 300,
            call % 10
        ),
        Layout::Logback => writeln!(
            out,
            "{} INFO  [http-nio-8080-exec-{}] com.example.{service}.Controller - handled request r{call} in {} ms",
            at.strftime("%Y-%m-%d %H:%M:%S,%3f"),
            call % 10,
            call % 300
        ),
        Layout::Pino => writeln!(
            out,
            r#"{{"level":30,"time":{},"pid":7,"hostname":"{service}-7d9f8b6c5d-x2x4z","name":"{service}","reqId":"r{call}","msg":"request completed"}}"#,
            at.as_millisecond()
        ),
        Layout::Python => {
            writeln!(out, "{} INFO app: handled request_id=r{call}", at.strftime("%Y-%m-%d %H:%M:%S,%3f"))
        }
    }
}

fn failed_call(
    layout: Layout,
    began: Timestamp,
    failed: Timestamp,
    service: &str,
    call: u64,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (began_iso, failed_iso) = (began.strftime("%Y-%m-%dT%H:%M:%S%.3fZ"), failed.strftime("%Y-%m-%dT%H:%M:%S%.3fZ"));
    match layout {
        Layout::Logstash => {
            let common = format!(
                r#""logger_name":"com.example.{service}.Client","thread_name":"http-nio-8080-exec-1","service":"{service}","requestId":"r{call}""#
            );
            writeln!(
                out,
                r#"{{"@timestamp":"{began_iso}","message":"calling https://api.example.com/v1/pay","level":"INFO",{common}}}"#
            )?;
            writeln!(
                out,
                r#"{{"@timestamp":"{failed_iso}","message":"call failed","level":"ERROR","stack_trace":"org.springframework.web.client.ResourceAccessException: I/O error on POST request for \"https://api.example.com/v1/pay\": Connection reset; nested exception is java.net.SocketException: Connection reset\n\tat org.springframework.web.client.RestTemplate.doExecute(RestTemplate.java:785)\nCaused by: java.net.SocketException: Connection reset\n\tat java.base/java.net.SocketInputStream.read(SocketInputStream.java:186)\n\t... 30 common frames omitted\n",{common}}}"#
            )
        }
        Layout::Logback => {
            let head = |at: Timestamp| at.strftime("%Y-%m-%d %H:%M:%S,%3f").to_string();
            writeln!(
                out,
                "{} INFO  [pool-{call}] com.example.{service}.Client - calling api.example.com",
                head(began)
            )?;
            writeln!(
                out,
                "{} ERROR [pool-{call}] com.example.{service}.Client - call to api.example.com failed\njavax.net.ssl.SSLHandshakeException: Remote host terminated the handshake\n\tat java.base/sun.security.ssl.SSLSocketImpl.handleEOF(SSLSocketImpl.java:1715)\nCaused by: java.io.EOFException: SSL peer shut down incorrectly\n\tat java.base/sun.security.ssl.SSLSocketInputRecord.read(SSLSocketInputRecord.java:489)\n\t... 9 more",
                head(failed)
            )
        }
        Layout::Pino => {
            let common =
                format!(r#""pid":7,"hostname":"{service}-7d9f8b6c5d-x2x4z","name":"{service}","reqId":"r{call}""#);
            writeln!(
                out,
                r#"{{"level":30,"time":{},{common},"msg":"calling partner.example.net"}}"#,
                began.as_millisecond()
            )?;
            writeln!(
                out,
                r#"{{"level":50,"time":{},{common},"err":{{"type":"Error","message":"read ECONNRESET","stack":"Error: read ECONNRESET\n    at TLSWrap.onStreamRead (node:internal/stream_base_commons:217:20)","code":"ECONNRESET","hostname":"partner.example.net"}},"msg":"call failed: read ECONNRESET"}}"#,
                failed.as_millisecond()
            )
        }
        Layout::Python => {
            let head = |at: Timestamp| at.strftime("%Y-%m-%d %H:%M:%S,%3f").to_string();
            writeln!(out, "{} INFO app: calling stock.example.org request_id=r{call}", head(began))?;
            writeln!(
                out,
                "{} ERROR app: failed request_id=r{call}\nTraceback (most recent call last):\n  File \"/app/client.py\", line 12, in fetch\n    return urllib.request.urlopen(url)\nConnectionResetError: [Errno 104] Connection reset by peer\n\nDuring handling of the above exception, another exception occurred:\n\nTraceback (most recent call last):\n  File \"/app/client.py\", line 15, in fetch\n    raise\nurllib.error.URLError: <urlopen error [Errno 104] Connection reset by peer> https://stock.example.org/levels",
                head(failed)
            )
        }
    }
}
