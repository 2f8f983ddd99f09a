//! An admin endpoint in a pod, through one port-forward: hyper speaks HTTP directly on the tunnel's stream, so that
//! nothing listens on this machine.

use std::ops::ControlFlow;
use std::time::Instant;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::task::JoinHandle;

use super::{AdminError, AdminRequest, AdminSource, ERROR_BODY, Limits, Meter, Sink, log};
use crate::k8s::{Connection, OpenError, PortErrors, PortStream, Retry, innermost, open_port, outside, outside_bytes};

/// A pod's admin endpoint.
pub struct Tunnel<'a> {
    connection: &'a Connection,
    namespace: String,
    pod: String,
    port: u16,
    limits: Limits,
    /// Whether it is opened again while the API server is busy.
    patient: bool,
    open: Option<Open>,
}

/// A connection that is open.
struct Open {
    sender: SendRequest<Empty<Bytes>>,
    errors: PortErrors,
    driver: JoinHandle<()>,
}

impl Drop for Open {
    fn drop(&mut self) {
        // Closes the tunnel from our side at once; the other side's close comes about a second late.
        self.driver.abort();
    }
}

impl<'a> Tunnel<'a> {
    /// An endpoint that is connected to when it is first asked something, and again while the API server is busy.
    #[must_use]
    pub fn new(connection: &'a Connection, namespace: &str, pod: &str, port: u16, limits: Limits) -> Self {
        Self {
            connection,
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            port,
            limits,
            patient: true,
            open: None,
        }
    }

    /// That the API server is busy is for the caller to hear, who opens fewer tunnels at once then.
    #[must_use]
    pub fn impatient(mut self) -> Self {
        self.patient = false;
        self
    }

    async fn open_port(&self) -> Result<(PortStream, PortErrors), OpenError> {
        let mut retry = Retry::within(self.limits.deadline);
        loop {
            match open_port(self.connection, &self.namespace, &self.pod, self.port).await {
                Err(OpenError::Api(busy)) if self.patient && retry.again(&busy).await => {}
                outcome => return outcome,
            }
        }
    }

    async fn open(&mut self) -> Result<&mut Open, AdminError> {
        let open = match self.open.take() {
            Some(open) if !open.sender.is_closed() => open,
            _ => {
                let (stream, errors) = match self.open_port().await {
                    Ok(opened) => opened,
                    Err(OpenError::Api(error)) => return Err(error.into()),
                    Err(error @ OpenError::NoUpgrade(_)) => return Err(AdminError::Unreachable(error.to_string())),
                };
                let (sender, connection) = match handshake(TokioIo::new(stream)).await {
                    Ok(pair) => pair,
                    Err(error) => return Err(broken(&errors, &error, 0)),
                };
                // Its error reaches the request that is under way.
                let driver = tokio::spawn(async move {
                    let _ = connection.await;
                });
                Open { sender, errors, driver }
            }
        };
        Ok(self.open.insert(open))
    }

    async fn exchange(&mut self, request: &AdminRequest, sink: &mut Sink<'_>) -> Result<(), AdminError> {
        let limit = self.limits.max_body;
        let open = self.open().await?;
        let message = http::Request::builder()
            .method(request.method())
            .uri(request.path())
            // Envoy answers any host; pilot-agent's own requests name this one.
            .header(http::header::HOST, "localhost:15000")
            .body(Empty::new())
            .map_err(|error| AdminError::Unreachable(error.to_string()))?;
        if let Err(error) = open.sender.ready().await {
            return Err(broken(&open.errors, &error, 0));
        }
        let answer = match open.sender.send_request(message).await {
            Ok(answer) => answer,
            Err(error) => return Err(broken(&open.errors, &error, 0)),
        };
        let status = answer.status();
        if status != http::StatusCode::OK {
            let text = read_error(answer.into_body()).await;
            return Err(AdminError::Status { code: status.as_u16(), text });
        }
        let mut meter = Meter { sink, received: 0, limit };
        let mut body = answer.into_body();
        while let Some(frame) = body.frame().await {
            match frame {
                Ok(frame) => {
                    if let Some(chunk) = frame.data_ref()
                        && let ControlFlow::Break(()) = meter.pass(chunk)?
                    {
                        // The rest of the body is still on the connection: it cannot be used again.
                        self.open = None;
                        return Ok(());
                    }
                }
                Err(error) => return Err(broken(&open.errors, &error, meter.received)),
            }
        }
        Ok(())
    }
}

impl AdminSource for Tunnel<'_> {
    async fn send(&mut self, request: &AdminRequest, sink: &mut Sink<'_>) -> Result<(), AdminError> {
        let Limits { request_timeout, deadline, .. } = self.limits;
        let started = Instant::now();
        let mut received = 0;
        let counting = &mut |chunk: &[u8]| {
            received += chunk.len();
            sink(chunk)
        };
        let outcome = deadline.answer(request_timeout, self.exchange(request, counting)).await;
        let outcome = outcome.unwrap_or_else(|timed_out| Err(timed_out.into()));
        log(&format!("{}/{}", self.namespace, self.pod), request, received, started, &outcome);
        // After an error nobody knows where in a body the connection is.
        if outcome.as_ref().is_err_and(|error| !matches!(error, AdminError::Status { .. })) {
            self.open = None;
        }
        outcome
    }
}

/// What a broken connection means; the kubelet's own words come first where there are some.
fn broken(errors: &PortErrors, error: &hyper::Error, received: u64) -> AdminError {
    let message = errors.take().map(|message| outside(kubelet_words(&message)));
    if message.is_none() && (error.is_parse() || is_malformed(error)) {
        return AdminError::NotHttp(outside(&innermost(error)));
    }
    let message = message.unwrap_or_else(|| {
        // hyper's own words ("operation was canceled", "connection closed before message completed") are of its making.
        if error.is_canceled() || error.is_incomplete_message() || error.is_closed() {
            "the connection was closed".to_owned()
        } else {
            outside(&innermost(error))
        }
    });
    if received > 0 { AdminError::Truncated { received, message } } else { AdminError::Unreachable(message) }
}

/// Whether a body's chunks are none: hyper gives that as an error of input.
fn is_malformed(error: &hyper::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            return matches!(io.kind(), std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData);
        }
        source = cause.source();
    }
    false
}

/// The part of the kubelet's message that is about the port: before it stand the sandbox's id and the path of its
/// network namespace, which say nothing to whoever asks.
fn kubelet_words(message: &str) -> &str {
    message
        .split_once("namespace \"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .and_then(|(_, words)| words.strip_prefix([':', ',']))
        .map_or(message, str::trim_start)
}

/// The beginning of an error's body.
async fn read_error(mut body: Incoming) -> String {
    let mut text = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        if let Some(chunk) = frame.data_ref() {
            text.extend_from_slice(&chunk[..chunk.len().min(ERROR_BODY - text.len())]);
        }
        if text.len() == ERROR_BODY {
            break;
        }
    }
    outside_bytes(&text)
}

#[cfg(test)]
mod tests {
    use super::kubelet_words;

    #[test]
    fn keeps_what_the_kubelet_says_of_the_port() {
        let message = "error forwarding port 15000 to pod 1b7f, uid : failed to execute portforward in network \
                       namespace \"/var/run/netns/cni-1\": read tcp4 127.0.0.1:1->127.0.0.1:15000: connection reset by peer";
        assert_eq!(kubelet_words(message), "read tcp4 127.0.0.1:1->127.0.0.1:15000: connection reset by peer");
        let refused = "failed to execute portforward in network namespace \"/run/x\": failed to connect to \
                       localhost:15000 inside namespace \"1b7f\", IPv4: dial tcp4 127.0.0.1:15000: connect: refused";
        assert!(kubelet_words(refused).starts_with("failed to connect"));
        let refused = refused.split_once("\": ").expect("a message").1;
        assert_eq!(kubelet_words(refused), "IPv4: dial tcp4 127.0.0.1:15000: connect: refused");
        assert_eq!(kubelet_words("lost connection to pod"), "lost connection to pod");
    }
}
