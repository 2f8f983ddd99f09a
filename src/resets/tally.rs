//! Counting: records in, counts by service and time out. Every input is counted on its own and the counts are merged,
//! so that inputs are read by all cores and a copy of an input can be left out.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::class::{Class, Patterns};
use super::compare::Mark;
use super::delay::{CallStarts, DelayHistogram};
use super::occurrence::{failing_target, root_exception};
use super::time_buckets::{Buckets, Stretch};
use crate::model::{AccessLine, AppRecord, ClusterName, Direction, LoggedAt};

/// Seconds of an exposure slot of logs: "hours with logs".
pub const HOUR: i64 = 3_600;
/// Bounds against hostile input: what is beyond is counted under [`OTHER`] or not placed in time.
const MAX_SERVICES: usize = 2_000;
const MAX_NAMES: usize = 2_000;
const MAX_CELLS: usize = 1_000_000;
/// The name of everything beyond a bound.
pub const OTHER: &str = "(other)";

/// What to count.
pub struct Question {
    /// What counts.
    pub patterns: Patterns,
    /// The columns.
    pub buckets: Buckets,
    /// In order of time.
    pub marks: Vec<Mark>,
    /// Only these services; empty means all.
    pub services: Vec<String>,
    /// Records before it are left out.
    pub since: Option<Timestamp>,
    /// Records at it or after it are left out.
    pub until: Option<Timestamp>,
}

impl Question {
    /// How many marks lie at or before the instant: 0 is before the first.
    fn segment(&self, at: Timestamp) -> usize {
        self.marks.partition_point(|mark| mark.at <= at)
    }

    fn in_window(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| since <= at) && self.until.is_none_or(|until| at < until)
    }
}

/// Counts of one bucket or slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// Lost connections.
    pub resets: u64,
    /// Calls that the proxy made, where access logs or request counts tell.
    pub calls: u64,
    /// Lost connections among these calls.
    pub failed_calls: u64,
}

impl Cell {
    /// Adds the counts of another.
    pub fn add(&mut self, other: Self) {
        self.resets += other.resets;
        self.calls += other.calls;
        self.failed_calls += other.failed_calls;
    }
}

/// Everything counted of one service. That a cell exists means that there were logs; a cell of zeros is a quiet time.
#[derive(Clone, Default)]
pub struct ServiceTally {
    /// By bucket.
    pub buckets: BTreeMap<Stretch, Cell>,
    /// By segment between marks and start of the slot: the exposure.
    pub slots: BTreeMap<(usize, i64), Cell>,
    /// Earliest and latest instant with logs.
    pub seen: Option<(Timestamp, Timestamp)>,
    /// By class.
    pub classes: BTreeMap<Class, u64>,
}

/// What was read, and what could not be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Records: lines, with the lines of their stack traces.
    pub records: u64,
    /// Records without a timestamp: they cannot be placed in time.
    pub without_timestamp: u64,
    /// Occurrences among the records without a timestamp.
    pub resets_without_timestamp: u64,
    /// Records whose timestamp has no zone: the log zone was assumed.
    pub without_zone: u64,
    /// Records outside `--since` and `--until`.
    pub outside_window: u64,
    /// Records that are not placed because the input has more distinct times and services than the bound.
    pub beyond_bounds: u64,
    /// Lines longer than the bound, cut.
    pub cut_lines: u64,
    /// Lines with invalid UTF-8, read with replacement characters.
    pub invalid_utf8: u64,
    /// Bytes, uncompressed.
    pub bytes: u64,
}

impl Reading {
    fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.without_timestamp += other.without_timestamp;
        self.resets_without_timestamp += other.resets_without_timestamp;
        self.without_zone += other.without_zone;
        self.outside_window += other.outside_window;
        self.beyond_bounds += other.beyond_bounds;
        self.cut_lines += other.cut_lines;
        self.invalid_utf8 += other.invalid_utf8;
        self.bytes += other.bytes;
    }
}

/// The counts of one input, or of several merged.
#[derive(Clone, Default)]
pub struct Tally {
    /// By service.
    pub services: BTreeMap<String, ServiceTally>,
    /// Occurrences by the root cause's exception.
    pub exceptions: BTreeMap<String, u64>,
    /// Occurrences by the host that was called.
    pub targets: BTreeMap<String, u64>,
    /// Time from the beginning of a call to its failure.
    pub delays: DelayHistogram,
    /// What was read.
    pub reading: Reading,
    cells: usize,
}

/// The host of a field that holds a URL or a host.
fn host_of(field: &str) -> String {
    failing_target(field).unwrap_or_else(|| field.to_owned())
}

fn bump(names: &mut BTreeMap<String, u64>, name: &str, by: u64) {
    if let Some(count) = names.get_mut(name) {
        *count += by;
    } else {
        let name = if names.len() < MAX_NAMES { name } else { OTHER };
        *names.entry(name.to_owned()).or_default() += by;
    }
}

impl Tally {
    /// Merges the counts of another input.
    pub fn merge(&mut self, other: Self) {
        for (name, theirs) in other.services {
            let name = if self.services.len() < MAX_SERVICES || self.services.contains_key(&name) {
                name
            } else {
                OTHER.to_owned()
            };
            let mine = self.services.entry(name).or_default();
            for (bucket, cell) in theirs.buckets {
                mine.buckets.entry(bucket).or_default().add(cell);
            }
            for (slot, cell) in theirs.slots {
                mine.slots.entry(slot).or_default().add(cell);
            }
            for (class, count) in theirs.classes {
                *mine.classes.entry(class).or_default() += count;
            }
            if let Some((first, last)) = theirs.seen {
                mine.saw(first);
                mine.saw(last);
            }
        }
        for (mine, theirs) in [(&mut self.exceptions, other.exceptions), (&mut self.targets, other.targets)] {
            for (name, count) in theirs {
                bump(mine, &name, count);
            }
        }
        self.delays.merge(&other.delays);
        self.reading.add(&other.reading);
        self.cells += other.cells;
    }

    /// Places counts that are already summed over a stretch of time (a step of a Prometheus range). A stretch that
    /// holds a mark belongs to neither of its sides.
    pub fn add_stretch(
        &mut self,
        question: &Question,
        service: &str,
        stretch: Stretch,
        class: Option<Class>,
        cell: Cell,
    ) {
        let (Ok(start), Ok(last)) = (Timestamp::from_second(stretch.start), Timestamp::from_second(stretch.end - 1))
        else {
            return;
        };
        if !question.services.is_empty() && !question.services.iter().any(|wanted| wanted == service) {
            return;
        }
        let tally = self.services.entry(service.to_owned()).or_default();
        tally.buckets.entry(question.buckets.of(start)).or_default().add(cell);
        if question.segment(start) == question.segment(last) {
            tally.slots.entry((question.segment(start), stretch.start)).or_default().add(cell);
        }
        tally.saw(start);
        if let Ok(end) = Timestamp::from_second(stretch.end) {
            tally.saw(end);
        }
        if let Some(class) = class.filter(|_| cell.resets > 0) {
            *tally.classes.entry(class).or_default() += cell.resets;
        }
    }

    /// Counts occurrences by the host called.
    pub fn add_target(&mut self, target: &str, count: u64) {
        bump(&mut self.targets, target, count);
    }
}

impl ServiceTally {
    fn saw(&mut self, at: Timestamp) {
        self.seen = Some(self.seen.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
    }
}

/// Counts one stream of records: a file, or one container's log.
pub struct StreamCounter<'q> {
    question: &'q Question,
    /// The service of records that name none.
    stream: String,
    calls: CallStarts,
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

impl<'q> StreamCounter<'q> {
    /// A counter for a stream whose records belong to `service` unless they say otherwise.
    #[must_use]
    pub fn new(question: &'q Question, service: impl Into<String>) -> Self {
        Self { question, stream: service.into(), calls: CallStarts::default(), last: None, tally: Tally::default() }
    }

    /// The counts of what was read by the stream's reader.
    pub fn reading(&mut self) -> &mut Reading {
        &mut self.tally.reading
    }

    /// Counts a record of an application.
    pub fn record(&mut self, record: &AppRecord<'_>) {
        self.tally.reading.records += 1;
        let class = self.question.patterns.classify(record.text).filter(|class| self.question.patterns.wants(*class));
        let began = match (record.call, record.logged_at) {
            (Some(call), Some(LoggedAt { at, .. })) => self.calls.seen(call, at, record.target),
            _ => None,
        };
        let cell = Cell { resets: u64::from(class.is_some()), ..Cell::default() };
        if !self.place(record.logged_at, record.service, cell) {
            return;
        }
        let Some(class) = class else { return };
        self.count_class(record.service, class);
        if let Some(name) = root_exception(record.text).or(record.exception) {
            bump(&mut self.tally.exceptions, name, 1);
        }
        let named = record.target.or(began.as_ref().and_then(|began| began.target.as_deref()));
        // The record's own words come before what the call's beginning named.
        if let Some(target) = failing_target(record.text).or_else(|| named.map(host_of)) {
            bump(&mut self.tally.targets, &target, 1);
        }
        if let (Some(began), Some(LoggedAt { at, subsecond: true, .. })) = (began, record.logged_at)
            && let Ok(delay) = Duration::try_from(at.duration_since(began.at))
        {
            self.tally.delays.add(delay);
        }
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
        let failed = u64::from(class.is_some());
        let cell = Cell { resets: failed, calls: u64::from(outbound), failed_calls: failed };
        if !self.place(logged_at, service, cell) {
            return;
        }
        let Some(class) = class else { return };
        self.count_class(service, class);
        let host = cluster.map(|cluster| cluster.host).filter(|host| !host.is_empty());
        if let Some(target) = call.authority.as_deref().or(host).or(call.upstream.as_deref()) {
            bump(&mut self.tally.targets, target, 1);
        }
        if let Some(duration) = call.duration {
            self.tally.delays.add(Duration::from_millis(duration));
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
        let Some(LoggedAt { at, zoned, .. }) = logged_at else {
            self.tally.reading.without_timestamp += 1;
            self.tally.reading.resets_without_timestamp += cell.resets;
            return false;
        };
        self.tally.reading.without_zone += u64::from(!zoned);
        if !self.question.in_window(at) {
            self.tally.reading.outside_window += 1;
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
        let wanted = self.question.services.is_empty() || self.question.services.contains(&name);
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
