//! Envoy's admin endpoint: what may be asked of it, and the ways to reach it.

mod direct;
mod istiod;
mod listener;
mod prometheus;
mod pushgateway;
mod request;
mod tunnel;
mod web;

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

pub use direct::{Direct, DirectError};
pub use istiod::IstiodPage;
pub use listener::{Page, Pages, answer_pages};
pub use prometheus::{PROMETHEUS, PrometheusAuth, PrometheusServer, RangeQuery};
pub use pushgateway::{PushError, push};
pub use request::{AdminRequest, Section};
pub use tunnel::Tunnel;
pub use web::{Authorization, Web, WebAnswer, WebError, WebFlags, WebIdentity, WebRequest};

use crate::k8s::{ApiError, Deadline, TimedOut};
use crate::model::FailureCause;

/// Takes the body of an answer as it comes; `Break` ends the reading.
pub type Sink<'a> = dyn FnMut(&[u8]) -> ControlFlow<()> + Send + 'a;

/// What can answer an [`AdminRequest`]. All requests to one proxy go over one connection.
pub trait AdminSource {
    /// Sends a request and gives the body of its answer to `sink`, within the deadline and the size limit.
    fn send(
        &mut self,
        request: &AdminRequest,
        sink: &mut Sink<'_>,
    ) -> impl Future<Output = Result<(), AdminError>> + Send;
}

/// Limits on each read.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The deadline of one request, from opening the connection to the last byte.
    pub request_timeout: Duration,
    /// The most bytes that one answer may have.
    pub max_body: u64,
    /// The end of the command's time.
    pub deadline: Deadline,
}

impl Limits {
    /// The most bytes that one answer may have, unless said otherwise: ten times the whole dump of a proxy with
    /// 2,000 clusters.
    pub const MAX_BODY: u64 = 64 << 20;
}

/// Why an admin endpoint gave no answer, or not a whole one.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The API server did not open the port.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// It answered with another status; holds what it said, cut short.
    #[error("the admin endpoint answered {code}: {text}")]
    Status {
        /// The HTTP status.
        code: u16,
        /// The beginning of the body.
        text: String,
    },
    /// No connection, or it broke before the answer began.
    #[error("{0}")]
    Unreachable(String),
    /// What answered does not speak HTTP.
    #[error("what answers on the admin port does not speak HTTP: {0}")]
    NotHttp(String),
    /// The answer ended early.
    #[error("the answer broke off after {received} bytes: {message}")]
    Truncated {
        /// Bytes that came.
        received: u64,
        /// What broke it.
        message: String,
    },
    /// The deadline passed.
    #[error("no whole answer within {0:?}")]
    Timeout(Duration),
    /// The whole command's time is over.
    #[error("not read within the whole command's {0:?} (--timeout)")]
    OutOfTime(Duration),
    /// The answer is larger than the limit.
    #[error("the answer is larger than {} MiB", .0 >> 20)]
    TooLarge(u64),
}

impl AdminError {
    /// The cause that reports use.
    #[must_use]
    pub fn cause(&self) -> FailureCause {
        match self {
            Self::Api(error) => error.cause(),
            Self::Timeout(_) | Self::OutOfTime(_) => FailureCause::Timeout,
            Self::Unreachable(_) => FailureCause::Unreachable,
            Self::Status { .. } | Self::NotHttp(_) => FailureCause::NotEnvoy,
            Self::Truncated { .. } => FailureCause::Truncated,
            Self::TooLarge(_) => FailureCause::TooLarge,
        }
    }
}

impl From<TimedOut> for AdminError {
    fn from(timed_out: TimedOut) -> Self {
        match timed_out {
            TimedOut::Request(after) => Self::Timeout(after),
            TimedOut::Command(after) => Self::OutOfTime(after),
        }
    }
}

/// How much of an error's body is read.
const ERROR_BODY: usize = 4 << 10;

/// One line a request for `-vv`.
fn log(whom: &str, request: &AdminRequest, received: usize, started: Instant, outcome: &Result<(), AdminError>) {
    let (method, path, took) = (request.method(), request.path(), started.elapsed().as_millis());
    match outcome {
        Ok(()) => tracing::debug!("{whom}: {method} {path} 200, {received} bytes in {took} ms"),
        Err(AdminError::Status { code, .. }) => tracing::debug!("{whom}: {method} {path} {code} in {took} ms"),
        Err(error) => tracing::debug!("{whom}: {method} {path} failed in {took} ms: {error}"),
    }
}

/// Passes a body on while counting it.
struct Meter<'a, 'b> {
    sink: &'a mut Sink<'b>,
    received: u64,
    limit: u64,
}

impl Meter<'_, '_> {
    fn pass(&mut self, chunk: &[u8]) -> Result<ControlFlow<()>, AdminError> {
        self.received += chunk.len() as u64;
        if self.received > self.limit {
            return Err(AdminError::TooLarge(self.limit));
        }
        Ok((self.sink)(chunk))
    }
}
