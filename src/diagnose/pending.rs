//! A failure while its evidence comes together: debug lines, the local reply, the access log line.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use foldhash::HashMap;
use jiff::Timestamp;

use super::cause::{Confidence, Verdict};
use super::event::{Evidence, Moment, OtherEnd};

/// How many lines prove one failure at most.
const MAX_EVIDENCE: usize = 10;

/// Failures that wait for their access log line at most.
const MAX_PENDING: usize = 8192;

/// A request that is being retried is waited for this long, in milliseconds of the log.
const RETRY_WINDOW_MS: i64 = 15 * 60 * 1000;

/// One piece of evidence.
#[derive(Debug, Default, Clone)]
pub(super) struct Clue {
    pub(super) time: Option<Timestamp>,
    pub(super) source: u32,
    pub(super) thread: u64,
    pub(super) up: Option<u64>,
    pub(super) down: Option<u64>,
    pub(super) stream: Option<u64>,
    pub(super) verdict: Option<Verdict>,
    pub(super) cluster: Option<Arc<str>>,
    pub(super) upstream: Option<Arc<str>>,
    pub(super) client: Option<Arc<str>>,
    pub(super) request_id: Option<Arc<str>>,
    pub(super) authority: Option<Box<str>>,
    pub(super) protocol: Option<&'static str>,
    /// How long this attempt took.
    pub(super) waited: Option<Duration>,
    /// How long the whole call took.
    pub(super) total: Option<Duration>,
    pub(super) attempts: Option<u32>,
    pub(super) flags: Box<str>,
    pub(super) connected: Option<bool>,
    pub(super) reason: Option<Box<str>>,
    pub(super) access: bool,
    pub(super) inbound: bool,
    pub(super) idle: Option<Duration>,
    /// What ended the request, where no connection did: the details of an access log line.
    pub(super) details: Option<Box<str>>,
    /// Whether the proxy's own health check was on the connection.
    pub(super) health_check: bool,
    pub(super) other_end: Option<OtherEnd>,
    pub(super) evidence: Vec<Evidence>,
    pub(super) moments: Vec<Moment>,
}

/// A failure and what is known of it so far.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) clue: Clue,
    pub(super) verdict: Verdict,
    pub(super) attempts: Vec<u64>,
    pub(super) began: Option<Timestamp>,
    /// Whether the request is being tried again.
    pub(super) open: bool,
    /// Whether a later try succeeded.
    pub(super) rescued: bool,
    /// The line that proves the cause.
    pub(super) proof: Option<Evidence>,
    line: u64,
    keys: Vec<Key>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Up(u32, u64, u64),
    Down(u32, u64, u64),
    Request(u32, Arc<str>),
    Client(u32, Arc<str>),
    Host(u32, Arc<str>),
    Cluster(u32, Arc<str>),
    /// Failures that only have lines which name neither cluster nor address: their connection began before the log.
    Nameless(u32),
}

/// Failures that may still get more evidence.
#[derive(Debug, Default)]
pub(super) struct Pending {
    failures: BTreeMap<u64, Failure>,
    index: HashMap<Key, Vec<u64>>,
    next: u64,
}

fn keys(clue: &Clue) -> Vec<Key> {
    let mut keys = Vec::with_capacity(6);
    let source = clue.source;
    keys.extend(clue.up.map(|id| Key::Up(source, clue.thread, id)));
    keys.extend(clue.down.map(|id| Key::Down(source, clue.thread, id)));
    keys.extend(clue.request_id.clone().map(|id| Key::Request(source, id)));
    keys.extend(clue.client.clone().map(|address| Key::Client(source, address)));
    keys.extend(clue.upstream.clone().map(|address| Key::Host(source, address)));
    keys.extend(clue.cluster.clone().map(|name| Key::Cluster(source, name)));
    if !clue.access && clue.upstream.is_none() && clue.cluster.is_none() {
        keys.push(Key::Nameless(source));
    }
    keys
}

fn apart(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<i64> {
    Some((one?.as_millisecond() - other?.as_millisecond()).abs())
}

fn differ<T: PartialEq>(one: &Option<T>, other: &Option<T>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one != other)
}

impl Failure {
    /// Whether this clue, found by this key, is about this failure.
    fn takes(&self, clue: &Clue, key: &Key, window_ms: i64) -> bool {
        let own = &self.clue;
        let apart = apart(own.time, clue.time).unwrap_or(0);
        let window = if self.open { RETRY_WINDOW_MS } else { window_ms };
        let near = match key {
            Key::Up(..) | Key::Request(..) => window,
            Key::Down(..) | Key::Client(..) => window.min(if self.open { RETRY_WINDOW_MS } else { 2_500 }),
            Key::Host(..) | Key::Cluster(..) => 300,
            // Only an access log line takes these, and it does so by itself.
            Key::Nameless(..) => return false,
        };
        let both_access = own.access && clue.access;
        let crosses = own.access != clue.access;
        apart <= near
            && !both_access
            && !differ(&own.stream, &clue.stream)
            && !differ(&own.down, &clue.down)
            && (self.open || !differ(&own.up, &clue.up))
            && !differ(&own.request_id, &clue.request_id)
            && !differ(&own.cluster, &clue.cluster)
            && (!matches!(key, Key::Host(..) | Key::Cluster(..))
                || (crosses && !differ(&own.client, &clue.client) && !differ(&own.upstream, &clue.upstream)))
            && clue.verdict.is_none_or(|verdict| self.verdict.join(verdict).is_some())
    }

    fn merge(&mut self, clue: Clue) {
        if let Some(verdict) = clue.verdict.and_then(|verdict| self.verdict.join(verdict)) {
            // The first line that says what the verdict is proves it; a line that makes it surer does so better.
            let surer = clue.verdict == Some(verdict) && self.verdict != verdict;
            if surer || self.proof.is_none() {
                self.proof = clue.evidence.last().cloned().or(self.proof.take());
            }
            self.verdict = verdict;
        }
        if let Some(up) = clue.up.filter(|up| !self.attempts.contains(up)) {
            self.attempts.push(up);
        }
        let own = &mut self.clue;
        macro_rules! fill {
            ($($field:ident),*) => { $( if own.$field.is_none() { own.$field = clue.$field; } )* };
        }
        // What a retry says of itself is the last word on when it failed.
        if self.open || own.time.is_none() {
            own.time = clue.time.or(own.time);
        }
        fill!(
            up, down, stream, cluster, upstream, client, request_id, authority, protocol, waited, total, attempts,
            connected, reason, idle, other_end, details
        );
        if clue.access {
            self.open = false;
            // Only the access log tells gRPC from HTTP.
            own.protocol = clue.protocol.or(own.protocol);
            own.flags = clue.flags;
        }
        own.access |= clue.access;
        own.inbound |= clue.inbound;
        own.health_check |= clue.health_check;
        for evidence in clue.evidence {
            // The access log line sums it all up, and so is kept in any case.
            if clue.access {
                own.evidence.truncate(MAX_EVIDENCE - 1);
            }
            if own.evidence.len() < MAX_EVIDENCE && !own.evidence.iter().any(|own| own.line == evidence.line) {
                own.evidence.push(evidence);
            }
        }
        for moment in clue.moments {
            if !own.moments.contains(&moment) && own.moments.len() < 64 {
                own.moments.push(moment);
            }
        }
    }
}

impl Pending {
    /// Adds a clue to the failure it is about, or makes it a new one. Returns the failure's number.
    pub(super) fn add(&mut self, clue: Clue, line: u64, window_ms: i64) -> Option<u64> {
        let keys = keys(&clue);
        let found =
            keys.iter().find_map(|key| {
                let candidates = self.index.get(key)?;
                candidates.iter().rev().take(32).copied().find(|number| {
                    self.failures.get(number).is_some_and(|failure| failure.takes(&clue, key, window_ms))
                })
            });
        let number = match found {
            Some(number) => {
                let failure = self.failures.get_mut(&number)?;
                failure.merge(clue);
                number
            }
            None => {
                let verdict = clue.verdict?;
                let number = self.next;
                self.next += 1;
                let attempts = clue.up.into_iter().collect();
                let began = clue.waited.and_then(|waited| clue.time?.checked_sub(waited).ok());
                let proof = clue.evidence.last().cloned().filter(|_| verdict.confidence > Confidence::Unknown);
                let failure = Failure {
                    verdict,
                    attempts,
                    began,
                    open: false,
                    rescued: false,
                    proof,
                    line,
                    keys: Vec::new(),
                    clue,
                };
                self.failures.insert(number, failure);
                number
            }
        };
        self.absorb(number);
        let failure = self.failures.get_mut(&number)?;
        failure.line = line;
        for key in keys {
            if !failure.keys.contains(&key) {
                self.index.entry(key.clone()).or_default().push(number);
                failure.keys.push(key);
            }
        }
        Some(number)
    }

    /// A connection that began before the log did leaves lines that name neither cluster nor address, each a failure
    /// of its own until the access log line comes, which says it all.
    fn absorb(&mut self, number: u64) {
        /// Envoy writes them and closes the connection in one go.
        const AT_ONCE_MS: i64 = 50;
        let Some(Failure { clue, verdict, .. }) = self.failures.get(&number) else { return };
        let (source, time, verdict) = (clue.source, clue.time, *verdict);
        if !clue.access || (clue.upstream.is_none() && clue.cluster.is_none()) {
            return;
        }
        let nameless = self.index.get(&Key::Nameless(source)).cloned().unwrap_or_default();
        for other in nameless.into_iter().filter(|other| *other != number) {
            let same = self.failures.get(&other).is_some_and(|other| {
                let own = &other.clue;
                !other.open
                    && !own.access
                    && own.upstream.is_none()
                    && own.cluster.is_none()
                    && other.verdict.cause == verdict.cause
                    && apart(own.time, time).is_some_and(|apart| apart <= AT_ONCE_MS)
            });
            if same
                && let Some(other) = self.take(other)
                && let Some(failure) = self.failures.get_mut(&number)
            {
                failure.merge(other.clue);
            }
        }
    }

    /// The latest failure of this downstream connection (and stream).
    pub(super) fn of_downstream(
        &mut self,
        source: u32,
        thread: u64,
        id: u64,
        stream: Option<u64>,
    ) -> Option<&mut Failure> {
        let numbers = self.index.get(&Key::Down(source, thread, id))?;
        let number =
            numbers.iter().rev().copied().find(|number| {
                self.failures.get(number).is_some_and(|failure| !differ(&failure.clue.stream, &stream))
            })?;
        self.failures.get_mut(&number)
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Failure> {
        self.failures.get_mut(&number)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.failures.is_empty()
    }

    /// Takes out what gets no more evidence: what is older than the window by its own log's time, too many lines
    /// back, or too much.
    pub(super) fn settled(
        &mut self,
        now: impl Fn(u32) -> Option<Timestamp>,
        line: u64,
        window_ms: i64,
    ) -> Vec<Failure> {
        let mut excess = self.failures.len().saturating_sub(MAX_PENDING);
        let numbers: Vec<u64> = self
            .failures
            .iter()
            .filter(|(_, failure)| {
                let window = if failure.open { RETRY_WINDOW_MS } else { window_ms };
                let old = match apart(failure.clue.time, now(failure.clue.source)) {
                    Some(apart) => apart > window,
                    None => line - failure.line.min(line) > 2_000,
                };
                let taken = excess > 0;
                excess = excess.saturating_sub(1);
                old || taken
            })
            .map(|(number, _)| *number)
            .collect();
        numbers.into_iter().filter_map(|number| self.take(number)).collect()
    }

    /// Takes out everything.
    pub(super) fn drain(&mut self) -> Vec<Failure> {
        self.index.clear();
        std::mem::take(&mut self.failures).into_values().collect()
    }

    fn take(&mut self, number: u64) -> Option<Failure> {
        let failure = self.failures.remove(&number)?;
        for key in &failure.keys {
            if let Some(numbers) = self.index.get_mut(key) {
                numbers.retain(|own| *own != number);
                if numbers.is_empty() {
                    self.index.remove(key);
                }
            }
        }
        Some(failure)
    }
}
