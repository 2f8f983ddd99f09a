//! Counting one stream of records: a file, or one container's log.

use std::hash::BuildHasher;
use std::sync::LazyLock;
use std::time::Duration;

use foldhash::{HashMap, HashMapExt};
use jiff::Timestamp;
use regex::Regex;

use super::calls::{Began, Calls, said_duration};
use super::class::Class;
use super::judge::Judgement;
use super::occurrence::{failing_target, root_exception};
use super::tally::{Cell, Example, HOUR, MAX_CELLS, MAX_SERVICES, OTHER, Question, Reading, Tally, bump};
use super::text::constant;
use super::time_buckets::Stretch;
use super::words::Reason;
use crate::model::{AccessLine, AppRecord, ClusterName, Direction, LoggedAt};

/// Failures that are remembered of one stream, to know the next one's distance.
const MAX_FAILURES: usize = 4096;

/// Failures of one stream that can be found again in another.
const MAX_IDENTITIES: usize = 1 << 17;

/// The host of a field that holds a URL or a host.
fn host_of(field: &str) -> String {
    failing_target(field).unwrap_or_else(|| field.to_owned())
}

/// The logger's name in a line of text: dotted names such as `c.e.Client` behind the level.
static LOGGER: LazyLock<Regex> = LazyLock::new(|| {
    constant(
        r"\b(?:ERROR|WARN(?:ING)?|FATAL|SEVERE|INFO|CRITICAL|error|warn(?:ing)?)\b[^\n]{0,120}?[\s\[]([A-Za-z_$][A-Za-z0-9_$]*(?:\.[A-Za-z_$][A-Za-z0-9_$]*)+)[\]\s:]",
    )
});

fn logger_of(text: &str) -> Option<&str> {
    let line = text.lines().next()?;
    LOGGER.captures(line).and_then(|found| found.get(1)).map(|name| name.as_str())
}

/// Counts one stream of records: a file, or one container's log.
pub struct StreamCounter<'q> {
    question: &'q Question,
    /// The service of records that name none.
    stream: String,
    calls: Calls,
    /// The last failure of each caller, by its thread, request or host.
    failures: HashMap<String, Failure>,
    /// The place of the record before, which is nearly always the place of the next one.
    last: Option<LastPlace>,
    tally: Tally,
}

struct LastPlace {
    service: String,
    wanted: bool,
    /// Shared by bucket, slot and segment.
    stretch: Stretch,
    bucket: Stretch,
    slot: (usize, i64),
    /// Not yet in the tally.
    cell: Cell,
    seen: (Timestamp, Timestamp),
}

/// A failure that was counted.
struct Failure {
    at: Timestamp,
    service: String,
    logger: Option<String>,
    exception: Option<String>,
}

impl<'q> StreamCounter<'q> {
    /// A counter for a stream whose records belong to `service` unless they say otherwise.
    #[must_use]
    pub fn new(question: &'q Question, service: impl Into<String>) -> Self {
        Self {
            question,
            stream: service.into(),
            calls: Calls::default(),
            failures: HashMap::new(),
            last: None,
            tally: Tally::default(),
        }
    }

    /// The counts of what was read by the stream's reader.
    pub fn reading(&mut self) -> &mut Reading {
        &mut self.tally.reading
    }

    /// What is counted.
    #[must_use]
    pub const fn question(&self) -> &'q Question {
        self.question
    }

    /// Counts a record of an application.
    pub fn record(&mut self, record: &AppRecord<'_>) {
        self.tally.reading.records += 1;
        let judged = self.question.patterns.judge(record);
        let (class, text, exception) = match judged {
            Judgement::Counted { class, text, exception } => (class, text, exception),
            other => {
                if let Judgement::Uncounted(reason) = other {
                    self.uncounted(reason, record);
                }
                if let (Some(call), Some(logged)) = (record.call, record.logged_at) {
                    self.calls.note(call, logged.at, record);
                }
                self.place(record.logged_at, record.service, Cell { records: 1, ..Cell::default() });
                return;
            }
        };
        let exception = exception.or_else(|| root_exception(&text).or(record.exception).map(str::to_owned));
        if self.is_told_again(record, &text, exception.as_deref()) {
            self.uncounted(Reason::SameFailure, record);
            self.place(record.logged_at, record.service, Cell { records: 1, ..Cell::default() });
            return;
        }
        // The record's own words come before what its fields and the call's beginning named.
        let target = failing_target(&text).or_else(|| record.target.map(host_of));
        let began = match (record.call, record.logged_at) {
            (Some(call), Some(logged)) => self.calls.failed(call, logged.at, target.as_deref()),
            _ => None,
        };
        let cell = Cell { resets: 1, records: 1, ..Cell::default() };
        if !self.place(record.logged_at, record.service, cell) {
            return;
        }
        self.count_class(record.service, class);
        self.identify(record, class, exception.as_deref(), target.as_deref());
        if let Some(name) = exception {
            bump(&mut self.tally.exceptions, &name, 1);
        }
        let target = target.or_else(|| began.as_ref()?.target.clone());
        if let Some(target) = &target {
            bump(&mut self.tally.targets, target, 1);
        }
        let said = record.duration.or_else(|| said_duration(&text));
        self.delay(record, said, began.as_ref(), target.as_deref());
    }

    /// Notes what tells a failure from others.
    fn identify(&mut self, record: &AppRecord<'_>, class: Class, exception: Option<&str>, target: Option<&str>) {
        let Some(logged) = record.logged_at.filter(|logged| logged.subsecond) else { return };
        if self.tally.identities.len() < MAX_IDENTITIES {
            let identity = (logged.at.as_nanosecond(), class, exception, target);
            self.tally.identities.push(foldhash::quality::FixedState::default().hash_one(identity));
        }
    }

    /// Notes how long the call lived, and how long ago the last one of this kind failed.
    fn delay(&mut self, record: &AppRecord<'_>, said: Option<Duration>, began: Option<&Began>, target: Option<&str>) {
        let Some(LoggedAt { at, subsecond, .. }) = record.logged_at else { return };
        let measured =
            began.filter(|_| subsecond).and_then(|began| Duration::try_from(at.duration_since(began.at)).ok());
        match (said, measured) {
            (Some(said), _) => self.tally.delays.said.add(said),
            (None, Some(measured)) => self.tally.delays.measured.add(measured),
            (None, None) => self.tally.delays.unknown += 1,
        }
        let service = record.service.unwrap_or(&self.stream).to_owned();
        let key = format!("{service}\n{}", target.unwrap_or_default());
        if let Some(before) = self.last_of(&key, at, &service, None, None)
            && let Ok(distance) = Duration::try_from(at.duration_since(before))
        {
            self.tally.delays.distances.add(distance);
        }
    }

    /// Remembers a failure, and gives the time of the one before it.
    fn last_of(
        &mut self,
        key: &str,
        at: Timestamp,
        service: &str,
        logger: Option<String>,
        exception: Option<String>,
    ) -> Option<Timestamp> {
        if self.failures.len() >= MAX_FAILURES && !self.failures.contains_key(key) {
            self.failures.clear();
        }
        let failure = Failure { at, service: service.to_owned(), logger, exception };
        self.failures.insert(key.to_owned(), failure).map(|before| before.at)
    }

    /// Whether this is another logger's report of a failure of the same call, within a second of the first.
    fn is_told_again(&mut self, record: &AppRecord<'_>, text: &str, exception: Option<&str>) -> bool {
        let (Some(call), Some(LoggedAt { at, .. })) = (record.call, record.logged_at) else { return false };
        let service = record.service.unwrap_or(&self.stream).to_owned();
        let logger = record.logger.map(str::to_owned).or_else(|| logger_of(text).map(str::to_owned));
        let key = format!("{service}\r{}", call.name());
        let again = self.failures.get(&key).is_some_and(|first| {
            let another_logger = matches!((&first.logger, &logger), (Some(first), Some(own)) if first != own);
            let same_exception = match (first.exception.as_deref(), exception) {
                (Some(first), Some(own)) => first == own,
                _ => true,
            };
            first.service == service
                && another_logger
                && same_exception
                && at.duration_since(first.at).as_millis().abs() <= 1_000
        });
        if !again {
            self.last_of(&key, at, &service, logger, exception.map(str::to_owned));
        }
        again
    }

    fn uncounted(&mut self, reason: Reason, record: &AppRecord<'_>) {
        let service = record.service.unwrap_or(&self.stream);
        if !self.question.is_wanted(service)
            || record.logged_at.is_some_and(|logged| !self.question.in_window(logged.at))
        {
            return;
        }
        let text = record.json.map_or(record.text, |json| json.raw);
        self.tally.uncounted(reason, || Example {
            service: service.to_owned(),
            line: record.line,
            text: text.chars().take(300).collect(),
        });
    }

    /// Counts a call of a proxy. What it took in for its own workload is a sign of life, and no call of this service.
    pub fn call(&mut self, call: &AccessLine<'_>, logged_at: Option<LoggedAt>, service: Option<&str>) {
        self.tally.reading.records += 1;
        let cluster = call.cluster.as_deref().and_then(ClusterName::parse);
        let outbound = cluster.is_none_or(|cluster| cluster.direction == Direction::Outbound);
        let details: String = [&call.details, &call.termination, &call.transport_failure]
            .into_iter()
            .flatten()
            .map(AsRef::as_ref)
            .collect();
        let class = Class::of_proxy_call(call.flags.split(',').map(str::trim), &details)
            .filter(|class| outbound && self.question.patterns.wants(*class));
        let cell = Cell {
            calls: u64::from(outbound),
            failed_calls: u64::from(class.is_some()),
            proxied: 1,
            ..Cell::default()
        };
        if !self.place(logged_at, service, cell) {
            return;
        }
        let Some(class) = class else { return };
        self.count_class(service, class);
        let host = cluster.map(|cluster| cluster.host).filter(|host| !host.is_empty());
        if let Some(target) = call.authority.as_deref().or(host).or(call.upstream.as_deref()) {
            self.tally.add_target(target, 1);
        }
        if let Some(duration) = call.duration {
            self.tally.delays.said.add(Duration::from_millis(duration));
        }
    }

    /// Ends the stream.
    #[must_use]
    pub fn finish(mut self) -> Tally {
        self.settle();
        self.tally
    }

    fn count_class(&mut self, service: Option<&str>, class: Class) {
        let name = service.unwrap_or(&self.stream);
        let name = if self.tally.services.contains_key(name) { name } else { OTHER };
        if let Some(tally) = self.tally.services.get_mut(name) {
            *tally.classes.entry(class).or_default() += 1;
        }
    }

    /// Puts a record in its bucket and slot; false if it has none, or was not asked for.
    fn place(&mut self, logged_at: Option<LoggedAt>, service: Option<&str>, cell: Cell) -> bool {
        let Some(LoggedAt { at, zoned, dated, .. }) = logged_at else {
            self.tally.reading.without_timestamp += 1;
            self.tally.reading.resets_without_timestamp += cell.resets + cell.failed_calls;
            return false;
        };
        self.tally.reading.without_zone += u64::from(!zoned);
        self.tally.reading.without_date += u64::from(!dated);
        if !self.question.in_window(at) {
            self.tally.reading.outside_window += 1;
            self.tally.saw_outside(at);
            return false;
        }
        let name = service.unwrap_or(&self.stream);
        if let Some(last) = &mut self.last
            && last.stretch.contains(at.as_second())
            && last.service == name
        {
            last.cell.add(cell);
            last.seen = (last.seen.0.min(at), last.seen.1.max(at));
            return last.wanted;
        }
        let name = name.to_owned();
        self.settle();
        let wanted = self.question.is_wanted(&name);
        if !wanted {
            self.tally.other_service(&name);
        }
        let known = self.tally.services.contains_key(&name);
        let name = if known || self.tally.services.len() < MAX_SERVICES { name } else { OTHER.to_owned() };
        let bucket = self.question.buckets.of(at);
        let segment = self.question.segment(at);
        let hour = at.as_second().div_euclid(HOUR) * HOUR;
        // The stretch in which bucket, slot and segment stay the same: marks have fractions, so a second that holds
        // one is left to the full search.
        let mut stretch = Stretch { start: bucket.start.max(hour), end: bucket.end.min(hour + HOUR) };
        for mark in &self.question.marks {
            let second = mark.at.as_second();
            if mark.at <= at {
                stretch.start = stretch.start.max(second + 1);
            } else {
                stretch.end = stretch.end.min(second);
            }
        }
        if wanted {
            // A place in the tally is taken at once, so that the bound holds and classes find their service.
            let tally = self.tally.services.entry(name.clone()).or_default();
            let new = usize::from(!tally.buckets.contains_key(&bucket))
                + usize::from(!tally.slots.contains_key(&(segment, hour)));
            if new > 0 && self.tally.cells + new > MAX_CELLS {
                self.tally.reading.beyond_bounds += 1;
                return false;
            }
            self.tally.cells += new;
            tally.buckets.entry(bucket).or_default();
            tally.slots.entry((segment, hour)).or_default();
        }
        self.last =
            Some(LastPlace { service: name, wanted, stretch, bucket, slot: (segment, hour), cell, seen: (at, at) });
        wanted
    }

    fn settle(&mut self) {
        let Some(last) = self.last.take() else { return };
        if !last.wanted {
            return;
        }
        let tally = self.tally.services.entry(last.service).or_default();
        tally.buckets.entry(last.bucket).or_default().add(last.cell);
        tally.slots.entry(last.slot).or_default().add(last.cell);
        tally.saw(last.seen.0);
        tally.saw(last.seen.1);
    }
}
