//! From failures to events, and from events to the diagnosis.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::model::{ClusterName, Direction};

use super::cause::{Cause, Confidence};
use super::connections::clip;
use super::event::{Diagnosis, DiagnosisEntry, Event};
use super::pending::Failure;
use super::{Diagnoser, decide, explain};

/// Different entries that are kept at most.
const MAX_ENTRIES: usize = 10_000;

/// What makes failures one entry: cause, cluster and upstream.
pub(super) type GroupKey = (Cause, Option<Arc<str>>, Option<Arc<str>>);

impl Diagnoser {
    /// The end: everything that was found.
    #[must_use]
    pub fn finish(mut self) -> Diagnosis {
        self.flush();
        self.diagnosis.dropped_connections = self.connections.dropped;
        (self.diagnosis.unexplained, self.diagnosis.unexplained_line) = std::mem::take(&mut self.suspects).left();
        self.diagnosis.entries.sort_by(|one, other| {
            let worse = other.event.cause.severity().cmp(&one.event.cause.severity());
            let more = other.occurrences.cmp(&one.occurrences);
            let key =
                |entry: &DiagnosisEntry| (entry.event.cause, entry.event.cluster.clone(), entry.event.upstream.clone());
            worse.then(more).then_with(|| key(one).cmp(&key(other)))
        });
        self.diagnosis
    }

    pub(super) fn finished(&mut self, failures: Vec<Failure>) -> Vec<Event> {
        let mut events = Vec::with_capacity(failures.len());
        for failure in failures {
            let superseded = is_superseded(&failure);
            if superseded {
                continue;
            }
            self.suspects.diagnosed(failure.clue.source, failure.clue.time);
            let clue = &failure.clue;
            let key = (failure.verdict.cause, clue.cluster.clone(), clue.upstream.clone());
            let known = self.count(&key, clue.time, failure.verdict.confidence);
            if known && !self.options.events {
                continue;
            }
            let event = self.event(failure);
            if !known {
                self.group(key, &event);
            }
            events.push(event);
        }
        events
    }

    fn event(&self, failure: Failure) -> Event {
        let Failure { clue, verdict, attempts, began, rescued, proof, .. } = failure;
        let present = self.present_timeout(clue.source, clue.cluster.as_deref());
        let held = present.filter(|present| present.held_at(clue.time));
        let known = held.map(|held| held.value);
        let changed = present.filter(|_| known.is_none()).and_then(|now| Some((now.value, now.since?)));
        let timed_out = verdict.cause == Cause::ConnectTimeout;
        let mut waited = clue.waited;
        let mut tries = clue.attempts.unwrap_or(0).max(u32::try_from(attempts.len()).unwrap_or(u32::MAX)).max(1);
        let mut inferred = None;
        if timed_out {
            if let (None, Some(total)) = (waited, clue.total) {
                // An access log line alone gives the whole call: so many times the timeout, where that is known.
                let fits = known.and_then(|timeout| Some((timeout, decide::multiple(total, timeout)?)));
                // Over TCP, URX also ends a session that was tried once, as is the default.
                let retried = clue.protocol != Some("tcp") && flags(&clue.flags).iter().any(|flag| flag == "URX");
                let count = match fits {
                    Some((_, count)) => Some(count),
                    None if known.is_none() && retried => decide::suggested_attempts(total),
                    None => None,
                };
                let sure = tries > 1 || count.is_some() || !retried;
                if let Some(count) = count.filter(|_| tries == 1) {
                    tries = count;
                }
                // How often it was tried, nothing says: then the part of one try is not known.
                waited = Some(total / tries).filter(|_| sure);
            }
            inferred = waited.and_then(decide::suggested);
        }
        let total = match (clue.total, began, clue.time) {
            (Some(total), ..) => Some(total),
            (None, Some(began), Some(time)) => Duration::try_from(time.duration_since(began)).ok(),
            _ => waited,
        };
        let cluster = clue.cluster.as_deref().map(str::to_owned);
        let name = cluster.as_deref().and_then(ClusterName::parse);
        let direction = clue.inbound.then_some(Direction::Inbound).or(name.as_ref().map(|name| name.direction));
        let host = name.map(|name| name.host).filter(|host| !host.is_empty()).map(str::to_owned);
        let mut evidence = clue.evidence;
        evidence.sort_by_key(|evidence| evidence.line);
        let mut timeline = clue.moments;
        timeline.sort_by_key(|moment| moment.line);
        timeline.dedup_by_key(|moment| moment.line);
        let mut event = Event {
            time: clue.time,
            source: self.logs[clue.source as usize].name.clone(),
            cause: verdict.cause,
            confidence: verdict.confidence,
            host: host.or(clue.authority.map(String::from)),
            cluster,
            upstream: clue.upstream.as_deref().map(str::to_owned),
            direction,
            protocol: clue.protocol,
            waited,
            attempts: tries,
            total,
            flags: flags(&clue.flags),
            connect_timeout: known.or(inferred),
            timeout_inferred: known.is_none() && inferred.is_some(),
            changed,
            connected: clue.connected,
            rescued,
            own: clue.health_check
                || (!clue.access && clue.down.is_none() && clue.cluster.is_none() && clue.up.is_some()),
            proof,
            explanation: String::new(),
            remedy: String::new(),
            other_end: clue.other_end,
            evidence,
            timeline,
        };
        let words = explain::explain(&event, clue.reason.as_deref(), clue.details.as_deref(), clue.idle);
        (event.explanation, event.remedy) = words;
        event
    }

    /// Counts one more of a group; false where there is none yet.
    fn count(&mut self, key: &GroupKey, time: Option<Timestamp>, confidence: Confidence) -> bool {
        let Some(&at) = self.groups.get(key) else { return false };
        let entry = &mut self.diagnosis.entries[at];
        entry.occurrences += 1;
        entry.event.confidence = entry.event.confidence.max(confidence);
        entry.first = match (entry.first, time) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        entry.last = entry.last.max(time);
        true
    }

    /// Begins a group.
    fn group(&mut self, key: GroupKey, event: &Event) {
        if self.groups.len() >= MAX_ENTRIES {
            self.diagnosis.ungrouped += 1;
            return;
        }
        self.groups.insert(key, self.diagnosis.entries.len());
        self.diagnosis.entries.push(DiagnosisEntry {
            event: event.clone(),
            occurrences: 1,
            first: event.time,
            last: event.time,
        });
    }
}

/// The flags of a set.
fn flags(set: &str) -> Vec<String> {
    set.split(',').filter(|flag| !flag.is_empty()).take(16).map(|flag| clip(flag, 8).to_owned()).collect()
}

/// Whether the proxy at the other end of the call knows better: the application's answer was its proxy's, or what is only
/// known here to have ended was ended there, for a reason.
fn is_superseded(failure: &Failure) -> bool {
    let Some(cause) = failure.clue.other_end.as_ref().and_then(|other| other.cause) else { return false };
    let vague = failure.verdict.confidence < Confidence::Certain
        && matches!(failure.verdict.cause, Cause::UpstreamClosedConnection | Cause::ConnectionFailureUnspecified);
    let reason = matches!(
        cause,
        Cause::NoFilterChain
            | Cause::NoRoute
            | Cause::RbacDenied
            | Cause::ConnectionLimit
            | Cause::ServerProxyConfigChange
    );
    cause != failure.verdict.cause && (failure.verdict.cause == Cause::UpstreamApplicationError || (vague && reason))
}
