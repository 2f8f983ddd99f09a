//! What each thread is about, for the lines that name no connection, and which names did not resolve.

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::HashMap;
use jiff::Timestamp;

use super::connections::clip;

/// Between a request's route and `connecting to` for it, at most: they are written in one go.
const CONTEXT_MS: i64 = 50;

/// The same in lines, where they have no times: a dump of headers may stand between them.
const CONTEXT_LINES: u64 = 60;

/// Threads that are told apart at most.
const MAX_THREADS: usize = 16_384;

/// Names that are remembered as not resolved, at most.
const MAX_UNRESOLVED: usize = 1024;

/// How long a name that did not resolve explains that a cluster has no host: Envoy asks again within seconds.
const UNRESOLVED_MS: i64 = 60_000;

/// What a thread is about.
#[derive(Debug, Default)]
pub(super) struct ThreadContext {
    /// When it was given that to do, and the number of the line that says so; none once it has done it.
    pub(super) since: Option<(Option<Timestamp>, u64)>,
    pub(super) cluster: Option<Arc<str>>,
    pub(super) down: Option<u64>,
    pub(super) stream: Option<u64>,
    pub(super) cancelled: Option<Timestamp>,
    /// The upstream connection that was given a stream last: the next `pool ready` is of the request it serves.
    pub(super) assigned: Option<u64>,
}

/// The threads of all logs.
#[derive(Debug, Default)]
pub(super) struct Threads(HashMap<(u32, u64), ThreadContext>);

impl Threads {
    /// What a thread is about. Real threads are few; names that a hostile log makes up are forgotten together.
    pub(super) fn context(&mut self, log: u32, thread: u64) -> &mut ThreadContext {
        if self.0.len() > MAX_THREADS {
            self.0.clear();
        }
        self.0.entry((log, thread)).or_default()
    }

    /// What is known of a thread.
    pub(super) fn get(&self, log: u32, thread: u64) -> Option<&ThreadContext> {
        self.0.get(&(log, thread))
    }

    /// What a thread was given to do just now, as a line of this time and number sees it.
    pub(super) fn current(&self, log: u32, thread: u64, now: Option<Timestamp>, line: u64) -> Option<&ThreadContext> {
        self.get(log, thread).filter(|context| match (context.since, now) {
            (Some((Some(then), _)), Some(now)) => (now.as_millisecond() - then.as_millisecond()).abs() <= CONTEXT_MS,
            (Some((None, then)), None) => line.abs_diff(then) <= CONTEXT_LINES,
            _ => false,
        })
    }
}

/// A name that did not resolve.
#[derive(Debug)]
struct Failed {
    host: Box<str>,
    time: Option<Timestamp>,
    /// Whether the resolver said so, rather than that one kind of record was missing.
    said: bool,
}

/// Names that did not resolve, and have not since.
#[derive(Debug, Default)]
pub(super) struct Unresolved(VecDeque<Failed>);

impl Unresolved {
    pub(super) fn failed(&mut self, host: &str, time: Option<Timestamp>, said: bool) {
        let host = clip(host.trim(), 256);
        if let Some(known) = self.0.iter_mut().find(|known| &*known.host == host) {
            known.time = time;
            known.said |= said;
            return;
        }
        if self.0.len() >= MAX_UNRESOLVED {
            self.0.pop_front();
        }
        self.0.push_back(Failed { host: host.into(), time, said });
    }

    pub(super) fn resolved(&mut self, host: &str) {
        self.0.retain(|known| &*known.host != host.trim());
    }

    /// Whether the name does not resolve at this time, and whether the resolver said so.
    pub(super) fn has(&self, host: &str, now: Option<Timestamp>) -> Option<bool> {
        let known = self.0.iter().find(|known| &*known.host == host)?;
        let old = match (known.time, now) {
            (Some(then), Some(now)) => (now.as_millisecond() - then.as_millisecond()).abs() > UNRESOLVED_MS,
            _ => false,
        };
        (!old).then_some(known.said)
    }
}
