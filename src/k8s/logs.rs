//! A container's log, line by line, from the API server.

use std::pin::Pin;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{AsyncBufRead, AsyncBufReadExt, FutureExt, TryStreamExt};
use http_body_util::BodyExt as _;
use jiff::Timestamp;

use super::client::Connection;
use super::encode::encode;
use super::error::ApiError;
use crate::input::MAX_LINE;

/// Which part of a log is wanted: kubectl's flags.
#[derive(Debug, Clone, Default)]
pub struct LogOptions {
    /// `-f`: goes on when what is there has been read.
    pub follow: bool,
    /// `--tail`: no more than the last so many lines.
    pub tail: Option<u64>,
    /// `--since`: nothing older than this.
    pub since: Option<Duration>,
    /// `--previous`: the log of the container before its last restart.
    pub previous: bool,
}

/// One line, without its line feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When the container runtime took it.
    pub time: Option<Timestamp>,
    /// The line with the runtime's time before it, as `kubectl logs --timestamps` prints it; at most [`MAX_LINE`]
    /// bytes.
    pub stamped: Vec<u8>,
    /// Where in it the container's own text begins.
    text: usize,
}

impl LogLine {
    /// What the container wrote.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.stamped[self.text..]
    }

    fn new(stamped: Vec<u8>) -> Self {
        let space = stamped.iter().take(64).position(|byte| *byte == b' ').unwrap_or(stamped.len());
        let time = std::str::from_utf8(&stamped[..space]).ok().and_then(|text| text.parse::<Timestamp>().ok());
        let text = if time.is_some() { (space + 1).min(stamped.len()) } else { 0 };
        Self { time, stamped, text }
    }
}

/// What the kubelet answers with a 400 where no container ended before this one (`pkg/kubelet/kubelet_pods.go`,
/// `validateContainerLogStatus`), in words that do not look like a fault.
fn in_words(error: ApiError) -> ApiError {
    match error {
        ApiError::Other { code: 400, message } if message.starts_with("previous terminated container") => {
            ApiError::missing("logs", "previous", "its container was not restarted: there is no earlier log of it")
        }
        other => other,
    }
}

type Reader = Pin<Box<dyn AsyncBufRead + Send>>;

/// The answer, which for a log that is followed may not begin before there is a line in it: the kubelet sends its
/// headers with the first byte (`pkg/kubelet/server/server.go`, `getContainerLogs`).
enum State {
    Opening(BoxFuture<'static, Result<Reader, ApiError>>),
    Open(Reader),
    Ended,
}

/// A container's log. It can be taken up again where it broke off, without losing or repeating a line.
pub struct LogStream {
    connection: Connection,
    path: String,
    options: LogOptions,
    state: State,
    line: Vec<u8>,
    /// Whether the rest of a line that is too long is being dropped.
    skipping: bool,
    /// The time of the last line that was given out, and how many lines have that time.
    last: Option<(Timestamp, u32)>,
    /// How many lines of that time the server gives once more.
    repeated: u32,
    opened: Timestamp,
    /// Lines that were longer than [`MAX_LINE`] and so were cut.
    pub cut: u64,
}

impl LogStream {
    /// A log that is read from where the options say. A mistake in them, or a missing right, shows with the first
    /// line.
    #[must_use]
    pub fn open(connection: &Connection, namespace: &str, pod: &str, container: &str, options: LogOptions) -> Self {
        let mut stream = Self {
            connection: connection.clone(),
            path: format!(
                "/api/v1/namespaces/{}/pods/{}/log?timestamps=true&container={}",
                encode(namespace),
                encode(pod),
                encode(container)
            ),
            options,
            state: State::Ended,
            line: Vec::new(),
            skipping: false,
            last: None,
            repeated: 0,
            opened: Timestamp::now(),
            cut: 0,
        };
        let tail = stream.options.tail.map(|tail| format!("&tailLines={tail}")).unwrap_or_default();
        // Whole seconds are all that the API takes.
        let since = stream.options.since.map(|since| format!("&sinceSeconds={}", since.as_secs().max(1)));
        stream.request(&format!("{tail}{}", since.unwrap_or_default()));
        stream
    }

    /// Follows a log from its present end on. The end is asked for first, so that a missing right shows here and the
    /// node's clock, not ours, says what is new.
    pub async fn from_end(
        connection: &Connection,
        namespace: &str,
        pod: &str,
        container: &str,
    ) -> Result<Self, ApiError> {
        let options = LogOptions { tail: Some(1), ..LogOptions::default() };
        let mut end = Self::open(connection, namespace, pod, container, options);
        let last = connection.deadline.answer(connection.request_timeout, end.next()).await??;
        let options = LogOptions { follow: true, ..LogOptions::default() };
        let mut stream = Self::open(connection, namespace, pod, container, options);
        stream.last = last.and_then(|line| line.time).map(|time| (time, 1));
        if stream.last.is_some() {
            stream.resume();
        }
        Ok(stream)
    }

    /// Takes the log up again where it broke off.
    pub fn resume(&mut self) {
        self.line.clear();
        self.skipping = false;
        self.repeated = self.last.map_or(0, |(_, lines)| lines);
        // The server rounds down to a second; what it repeats is left out by its time.
        let since = self.last.map_or(self.opened, |(time, _)| time);
        self.request(&format!("&sinceTime={}", encode(&since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())));
    }

    fn request(&mut self, range: &str) {
        let flag = |name: &str, on: bool| if on { format!("&{name}=true") } else { String::new() };
        let (follow, previous) = (flag("follow", self.options.follow), flag("previous", self.options.previous));
        let path = format!("{}{range}{follow}{previous}", self.path);
        let connection = self.connection.clone();
        let follows = self.options.follow;
        self.state = State::Opening(
            async move {
                let opening = connection.open(http::Request::get(&path));
                let answer = if follows {
                    // A log that is followed may be silent for as long as it likes.
                    opening.await
                } else {
                    connection.deadline.answer(connection.request_timeout, opening).await?
                };
                let answer = answer.map_err(in_words)?;
                let body = answer.into_body().into_data_stream().map_err(std::io::Error::other);
                Ok(Box::pin(body.into_async_read()) as Reader)
            }
            .boxed(),
        );
    }

    /// The next line; `None` at the end, which a log that is followed has when its container ends. After an error or
    /// the end, [`Self::resume`] goes on. Dropping this future loses nothing.
    pub async fn next(&mut self) -> Result<Option<LogLine>, ApiError> {
        loop {
            let Some(line) = self.next_line().await? else { return Ok(None) };
            let line = LogLine::new(line);
            let Some(time) = line.time else { return Ok(Some(line)) };
            match &mut self.last {
                Some((last, _)) if time < *last && self.repeated > 0 => continue,
                Some((last, lines)) if time == *last => {
                    if self.repeated > 0 {
                        self.repeated -= 1;
                        continue;
                    }
                    *lines += 1;
                }
                last => {
                    self.repeated = 0;
                    *last = Some((time, 1));
                }
            }
            return Ok(Some(line));
        }
    }

    async fn next_line(&mut self) -> Result<Option<Vec<u8>>, ApiError> {
        loop {
            let reader = match &mut self.state {
                State::Ended => return Ok(None),
                State::Opening(opening) => {
                    let opened = opening.await;
                    self.state = State::Ended;
                    self.state = State::Open(opened?);
                    continue;
                }
                State::Open(reader) => reader,
            };
            let buffer = match reader.fill_buf().await {
                Ok(buffer) => buffer,
                Err(error) => {
                    self.state = State::Ended;
                    return Err(ApiError::Unreachable(format!("the log broke off: {error}")));
                }
            };
            if buffer.is_empty() {
                self.state = State::Ended;
                let rest = std::mem::take(&mut self.line);
                return Ok((!rest.is_empty() && !self.skipping).then_some(rest));
            }
            let found = memchr::memchr(b'\n', buffer);
            let part = &buffer[..found.unwrap_or(buffer.len())];
            let room = MAX_LINE - self.line.len();
            let too_long = !self.skipping && part.len() > room;
            if !self.skipping {
                self.line.extend_from_slice(&part[..part.len().min(room)]);
            }
            self.cut += u64::from(too_long);
            let consumed = found.map_or(buffer.len(), |at| at + 1);
            reader.consume_unpin(consumed);
            if found.is_some() {
                if std::mem::take(&mut self.skipping) {
                    continue;
                }
                let mut line = std::mem::take(&mut self.line);
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(Some(line));
            }
            if too_long {
                self.skipping = true;
                return Ok(Some(std::mem::take(&mut self.line)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::deadline::Deadline;
    use super::*;

    fn stream(text: &'static str) -> LogStream {
        let config = kube::Config::new("http://127.0.0.1:1".parse().expect("a URL"));
        let connection = Connection {
            client: kube::Client::try_from(config).expect("a client"),
            request_timeout: Duration::from_secs(1),
            deadline: Deadline::never(),
            spdy_only: Default::default(),
            server: String::new(),
            audit_log: None,
            who: Default::default(),
            context: String::new(),
            namespace: String::new(),
        };
        let mut stream = LogStream::open(&connection, "ns", "pod", "istio-proxy", LogOptions::default());
        stream.state = State::Open(Box::pin(futures_util::io::Cursor::new(text)));
        stream
    }

    async fn texts(stream: &mut LogStream) -> Vec<String> {
        let mut texts = Vec::new();
        while let Some(line) = stream.next().await.expect("a line") {
            texts.push(String::from_utf8_lossy(line.text()).into_owned());
        }
        texts
    }

    #[tokio::test]
    async fn takes_times_off() {
        let mut stream =
            stream("2026-11-23T18:00:00.000000001Z one\r\n2026-11-23T18:00:01Z \nno time\n2026-11-23T18:00:02Z end");
        assert_eq!(texts(&mut stream).await, ["one", "", "no time", "end"]);
    }

    #[tokio::test]
    async fn goes_on_where_it_broke_off() {
        let before = "2026-11-23T18:00:00.1Z a\n2026-11-23T18:00:00.5Z b\n2026-11-23T18:00:00.5Z c\n";
        let mut stream = stream(before);
        assert_eq!(texts(&mut stream).await, ["a", "b", "c"]);
        stream.resume();
        let again = "2026-11-23T18:00:00.1Z a\n2026-11-23T18:00:00.5Z b\n2026-11-23T18:00:00.5Z c\n\
                     2026-11-23T18:00:00.5Z d\n2026-11-23T18:00:00.6Z e\n2026-11-23T18:00:00.4Z f\n";
        stream.state = State::Open(Box::pin(futures_util::io::Cursor::new(again)));
        assert_eq!(texts(&mut stream).await, ["d", "e", "f"]);
    }

    #[tokio::test]
    async fn cuts_what_is_too_long() {
        let text = format!("{}\nnext\n", "x".repeat(3 * MAX_LINE)).leak();
        let mut stream = stream(text);
        let lines = texts(&mut stream).await;
        assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [MAX_LINE, 4]);
        assert_eq!(stream.cut, 1);
    }
}
