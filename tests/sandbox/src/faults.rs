//! What can go wrong, as data: set for a pod's tunnel, or for a kind of request.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// What goes wrong with the tunnels of one pod, until it is taken back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Fault {
    /// The upgrade is refused with 403, though the user's rules allow it (an admission webhook, say).
    Forbidden,
    /// 404: the pod is in the list, but gone when the tunnel is opened.
    Gone,
    /// The tunnel opens, and its error channel says this.
    ErrorChannel {
        /// The kubelet's words.
        message: String,
    },
    /// Nothing listens on the port in the pod.
    PortClosed,
    /// The pod takes the request and never answers.
    Hang,
    /// The API server's connection is dropped after so many frames of the tunnel: 0 is right after the upgrade, 2 after
    /// both channels have said their port.
    Closed {
        /// Frames sent before.
        frames: u32,
    },
    /// The pod resets the connection when the request arrives.
    Reset,
    /// The tunnel ends after so many bytes of answer.
    Truncated {
        /// Bytes let through.
        bytes: u64,
    },
    /// Every answer is a well-formed dump of about so many bytes.
    Huge {
        /// Bytes of body.
        bytes: u64,
    },
    /// The upgrade is refused with this status for a number of times, and then works.
    Refuse {
        /// 429 or 503.
        status: u16,
        /// How often.
        times: u32,
        /// Seconds for `Retry-After`, where it is sent.
        retry_after: Option<u64>,
    },
    /// Answers come late and slowly.
    Slow {
        /// Milliseconds before the first byte.
        latency_ms: u64,
        /// Bytes a second after it.
        bytes_per_second: u64,
    },
    /// Some other HTTP server answers on the port, with a page of HTML.
    NotEnvoy,
    /// The pod answers the first request with these bytes, whatever they are, and then closes.
    Raw {
        /// What comes first.
        answer: String,
        /// What comes after it over and over; nothing where it is empty.
        repeat: String,
    },
}

/// What the API server says in place of its answer.
#[derive(Debug, Clone)]
pub struct ApiAnswer {
    /// Verb, such as `list`.
    pub verb: String,
    /// Resource with its subresource, such as `pods` or `pods/log`.
    pub resource: String,
    /// How often; then it answers as it should.
    pub times: u32,
    /// HTTP status.
    pub status: u16,
    /// Headers besides the type of the body, which is JSON.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// What comes after it over and over; nothing where it is empty.
    pub repeat: Vec<u8>,
    /// Milliseconds before the answer, and before each repetition.
    pub pause_ms: u64,
}

impl ApiAnswer {
    /// A body with a status, for ever.
    #[must_use]
    pub fn new(verb: &str, resource: &str, status: u16, body: impl Into<Vec<u8>>) -> Self {
        let (verb, resource) = (verb.to_owned(), resource.to_owned());
        let (headers, repeat) = (Vec::new(), Vec::new());
        Self { verb, resource, times: u32::MAX, status, headers, body: body.into(), repeat, pause_ms: 0 }
    }
}

/// Requests that the API server itself turns away for a while.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// Verb, such as `list`.
    pub verb: String,
    /// Resource with its subresource, such as `pods` or `pods/log`.
    pub resource: String,
    /// 429, 503 or any other status.
    pub status: u16,
    /// How often; then it works.
    pub times: u32,
    /// Seconds for `Retry-After`, where it is sent.
    #[serde(default)]
    pub retry_after: Option<u64>,
}

/// The faults in force.
#[derive(Debug, Default)]
pub struct Faults {
    pods: Mutex<HashMap<(String, String), Fault>>,
    refusals: Mutex<Vec<Refusal>>,
    answers: Mutex<Vec<ApiAnswer>>,
}

impl Faults {
    /// Sets a pod's fault, or takes it back with `None`.
    pub fn set(&self, namespace: &str, pod: &str, fault: Option<Fault>) {
        let mut pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (namespace.to_owned(), pod.to_owned());
        match fault {
            Some(fault) => pods.insert(key, fault),
            None => pods.remove(&key),
        };
    }

    /// The fault that meets a new tunnel; a refusal counts down with each call.
    #[must_use]
    pub fn meet(&self, namespace: &str, pod: &str) -> Option<Fault> {
        let mut pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = pods.get_mut(&(namespace.to_owned(), pod.to_owned()))?;
        if let Fault::Refuse { times, .. } = fault {
            *times = times.checked_sub(1)?;
        }
        Some(fault.clone())
    }

    /// Adds a refusal.
    pub fn refuse(&self, refusal: Refusal) {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).push(refusal);
    }

    /// Sets what the API server says to a kind of request; another for the same kind takes its place.
    pub fn answer(&self, answer: ApiAnswer) {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|other| (&other.verb, &other.resource) != (&answer.verb, &answer.resource));
        answers.push(answer);
    }

    /// What meets a request, counted down.
    #[must_use]
    pub fn answered(&self, verb: &str, resource: &str) -> Option<ApiAnswer> {
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let met = answers.iter_mut().find(|a| a.verb == verb && a.resource == resource && a.times > 0)?;
        met.times -= 1;
        Some(met.clone())
    }

    /// The refusal that meets a request, counted down.
    #[must_use]
    pub fn refusal(&self, verb: &str, resource: &str) -> Option<Refusal> {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let met = refusals.iter_mut().find(|r| r.verb == verb && r.resource == resource && r.times > 0)?;
        met.times -= 1;
        Some(met.clone())
    }
}
