//! Both ends of a call: what two proxies wrote of the same request or connection.

use std::collections::VecDeque;
use std::sync::Arc;

use foldhash::HashMap;

use crate::model::{AccessLine, LogRecord};

use super::Diagnoser;
use super::cause::{Cause, Verdict};
use super::connections::clip;
use super::event::OtherEnd;

/// Access log lines whose other end may still come, at most.
const MAX_CALLS: usize = 8_192;

/// What one end of a call wrote into its access log.
#[derive(Debug, Clone)]
struct CallEnd {
    source: u32,
    /// Which end; `None` for a line without a cluster.
    inbound: Option<bool>,
    line: u64,
    code: u16,
    /// Empty for none.
    flags: Box<str>,
    cause: Option<Cause>,
    /// The failure that it is evidence of, while that is pending.
    failure: Option<u64>,
}

/// The ends that were read and may have another.
#[derive(Debug, Default)]
pub(super) struct Calls {
    ends: HashMap<Arc<str>, CallEnd>,
    /// Healthy ones, and failed ones: healthy calls are many, and would push the others out.
    order: [VecDeque<Arc<str>>; 2],
}

impl Calls {
    /// Says which failure the end that stands in this line is evidence of.
    pub(super) fn belongs(&mut self, keys: &[Option<Arc<str>>], log: u32, line: u64, failure: Option<u64>) {
        for key in keys.iter().flatten() {
            if let Some(end) = self.ends.get_mut(key).filter(|end| end.source == log && end.line == line) {
                end.failure = failure;
            }
        }
    }

    fn keep(&mut self, key: &Arc<str>, end: &CallEnd) {
        let order = &mut self.order[usize::from(end.cause.is_some())];
        if order.len() >= MAX_CALLS
            && let Some(oldest) = order.pop_front()
        {
            self.ends.remove(&oldest);
        }
        order.push_back(key.clone());
        self.ends.insert(key.clone(), end.clone());
    }
}

impl Diagnoser {
    /// Joins the two ends of a call, by request id or by the addresses of the connection between them.
    pub(super) fn other_end(
        &mut self,
        log: u32,
        record: &LogRecord,
        line: &AccessLine,
        verdict: Option<Verdict>,
        keys: &[Option<Arc<str>>],
    ) -> Option<OtherEnd> {
        let own = CallEnd {
            source: log,
            inbound: is_inbound(line),
            line: record.line,
            code: line.code,
            flags: clip(&line.flags, 32).into(),
            cause: verdict.map(|verdict| verdict.cause),
            failure: None,
        };
        let mut found = None;
        for key in keys.iter().flatten() {
            match self.calls.ends.get(key) {
                Some(other) if other.source != log || other.inbound != own.inbound => {
                    found = found.or_else(|| Some(other.clone()));
                }
                Some(_) => {}
                None => self.calls.keep(key, &own),
            }
        }
        let found = found?;
        // The end that was read first hears of this one.
        let own = self.named(own);
        if let Some(failure) = found.failure.and_then(|number| self.pending.get_mut(number)) {
            failure.clue.other_end.get_or_insert(own);
        }
        Some(self.named(found))
    }

    fn named(&self, end: CallEnd) -> OtherEnd {
        OtherEnd {
            source: self.logs[end.source as usize].name.clone(),
            line: end.line,
            outcome: format!("{} {}", end.code, if end.flags.is_empty() { "-" } else { &end.flags }),
            cause: end.cause,
        }
    }
}

/// Whether a line is the receiving proxy's; a line without a cluster does not say.
pub(super) fn is_inbound(line: &AccessLine) -> Option<bool> {
    line.cluster.as_deref().map(|cluster| cluster.starts_with("inbound"))
}

/// What both ends of a call write: its request id, and the addresses of the connection between them. A line without a
/// cluster is of a connection that came in and went nowhere.
pub(super) fn call_keys(line: &AccessLine) -> [Option<Arc<str>>; 2] {
    let between = if is_inbound(line) == Some(false) {
        line.upstream_local.as_deref().zip(line.upstream.as_deref())
    } else {
        line.downstream_remote.as_deref().zip(line.downstream_local.as_deref())
    };
    [
        line.request_id.as_deref().map(|id| clip(id, 128).into()),
        between.map(|(from, to)| [clip(from, 128), ">", clip(to, 128)].concat().into()),
    ]
}
