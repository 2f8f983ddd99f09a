//! Counting: records in, counts by service and time out. Every input is counted on its own and the counts are merged,
//! so that inputs are read by all cores and a copy of an input can be left out.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::class::Class;
use super::compare::Mark;
use super::delay::Delays;
use super::judge::Patterns;
use super::time_buckets::{Buckets, Stretch};
use super::words::Reason;

/// Seconds of an exposure slot of logs: "hours with logs".
pub const HOUR: i64 = 3_600;
/// Bounds against hostile input: what is beyond is counted under [`OTHER`] or not placed in time.
pub(super) const MAX_SERVICES: usize = 2_000;
const MAX_NAMES: usize = 2_000;
pub(super) const MAX_CELLS: usize = 1_000_000;
/// Records that are kept of each reason not to count one.
const MAX_EXAMPLES: usize = 20;
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
    /// Whether a line of JSON has no word of a lost connection, and nothing behind which one could be hidden.
    #[must_use]
    pub fn is_quiet(&self, line: &str) -> bool {
        self.patterns.is_without_words(line)
    }

    /// How many marks lie at or before the instant: 0 is before the first.
    pub(super) fn segment(&self, at: Timestamp) -> usize {
        self.marks.partition_point(|mark| mark.at <= at)
    }

    pub(super) fn is_wanted(&self, service: &str) -> bool {
        self.services.is_empty() || self.services.iter().any(|wanted| wanted == service)
    }

    pub(super) fn in_window(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| since <= at) && self.until.is_none_or(|until| at < until)
    }
}

/// Counts of one bucket or slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// Lost connections that the application's log tells of.
    pub resets: u64,
    /// Records of the application.
    pub records: u64,
    /// Calls that the proxy made, where access logs or request counts tell.
    pub calls: u64,
    /// Lost connections among these calls.
    pub failed_calls: u64,
    /// Everything that the proxy's access log or the request counts tell of.
    pub proxied: u64,
}

impl Cell {
    /// Adds the counts of another.
    pub fn add(&mut self, other: Self) {
        self.resets += other.resets;
        self.records += other.records;
        self.calls += other.calls;
        self.failed_calls += other.failed_calls;
        self.proxied += other.proxied;
    }
}

/// Whose word counts. An application's log and its proxy's tell of the same failures, so that one is counted, and the
/// other compared with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// The application's log.
    Application,
    /// The proxy's access log, or request counts.
    Proxy,
}

impl Basis {
    /// The lost connections of a cell; none where this side has no logs of that time.
    #[must_use]
    pub const fn lost(self, cell: Cell) -> Option<u64> {
        match self {
            Self::Application if cell.records > 0 => Some(cell.resets),
            Self::Proxy if cell.proxied > 0 || cell.records > 0 => Some(cell.failed_calls),
            _ => None,
        }
    }

    /// Whether this side tells of lost connections of the class.
    #[must_use]
    pub const fn has(self, class: Class) -> bool {
        class.is_of_proxy() == matches!(self, Self::Proxy)
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

impl ServiceTally {
    /// Whose word counts: the application's, where its log tells of any lost connection.
    #[must_use]
    pub fn basis(&self) -> Basis {
        let told = self.classes.iter().any(|(class, count)| !class.is_of_proxy() && *count > 0);
        if told || self.buckets.values().all(|cell| cell.proxied == 0) { Basis::Application } else { Basis::Proxy }
    }

    /// Whether nearly all of the application's records are failures: a log that was filtered, or of an application that
    /// logs nothing else. An hour without a record is then an hour without a failure.
    #[must_use]
    pub fn is_failures_only(&self) -> bool {
        let mut all = Cell::default();
        for cell in self.buckets.values() {
            all.add(*cell);
        }
        self.basis() == Basis::Application && all.resets >= 10 && all.resets * 10 >= all.records * 9
    }
}

/// Records that have words of a lost connection and were not counted, for one reason.
#[derive(Clone, Debug, Default)]
pub struct Uncounted {
    /// How many.
    pub count: u64,
    /// The first of them.
    pub examples: Vec<Example>,
}

/// A record that was not counted.
#[derive(Clone, Debug)]
pub struct Example {
    /// Its service.
    pub service: String,
    /// Number of its first line in its input.
    pub line: u64,
    /// Its beginning.
    pub text: String,
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
    /// Records whose timestamp has no year, or leaves open which number is the month: the log's other times were taken.
    pub without_date: u64,
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
        self.without_date += other.without_date;
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
    /// Occurrences in applications' logs by the host that was called.
    pub targets: BTreeMap<String, u64>,
    /// Failed calls of proxies by the host that was called.
    pub proxy_targets: BTreeMap<String, u64>,
    /// Time from the beginning of a call to its failure.
    pub delays: Delays,
    /// What has the words of a lost connection, and was not counted.
    pub uncounted: BTreeMap<Reason, Uncounted>,
    /// Services that were not asked for.
    pub others: BTreeSet<String>,
    /// Earliest and latest instant of records outside the time asked for.
    pub outside: Option<(Timestamp, Timestamp)>,
    /// What was read.
    pub reading: Reading,
    pub(super) cells: usize,
    /// Of each failure counted in an application's log of one input, what tells it from all others.
    pub(super) identities: Vec<u64>,
}

pub(super) fn bump(names: &mut BTreeMap<String, u64>, name: &str, by: u64) {
    if let Some(count) = names.get_mut(name) {
        *count += by;
    } else {
        let name = if names.len() < MAX_NAMES { name } else { OTHER };
        *names.entry(name.to_owned()).or_default() += by;
    }
}

impl Tally {
    /// Whether each failure of this input is one of the other's: a file for errors beside the one for everything. Only
    /// where records' times have fractions of a second, by which failures can be told apart.
    #[must_use]
    pub fn tells_again(&self, other: &Self) -> bool {
        let failures: u64 = self.services.values().flat_map(|service| service.classes.values()).sum();
        let mut known = other.identities.clone();
        known.sort_unstable();
        failures > 0
            && usize::try_from(failures).is_ok_and(|failures| failures == self.identities.len())
            && self.identities.iter().all(|identity| known.binary_search(identity).is_ok())
    }

    /// The same without its failures, which another input tells of.
    #[must_use]
    pub fn told_elsewhere(mut self) -> Self {
        let again: u64 = self.services.values().flat_map(|service| service.classes.values()).sum();
        for service in self.services.values_mut() {
            service.classes.clear();
            for cell in service.buckets.values_mut().chain(service.slots.values_mut()) {
                cell.resets = 0;
            }
        }
        self.uncounted.entry(Reason::SameFailure).or_default().count += again;
        Self { exceptions: BTreeMap::new(), targets: BTreeMap::new(), delays: Delays::default(), ..self }
    }

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
        for (mine, theirs) in [
            (&mut self.exceptions, other.exceptions),
            (&mut self.targets, other.targets),
            (&mut self.proxy_targets, other.proxy_targets),
        ] {
            for (name, count) in theirs {
                bump(mine, &name, count);
            }
        }
        for (reason, theirs) in other.uncounted {
            let mine = self.uncounted.entry(reason).or_default();
            mine.count += theirs.count;
            let room = MAX_EXAMPLES.saturating_sub(mine.examples.len());
            mine.examples.extend(theirs.examples.into_iter().take(room));
        }
        for name in other.others {
            self.other_service(&name);
        }
        for at in other.outside.into_iter().flat_map(|(first, last)| [first, last]) {
            self.saw_outside(at);
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
        if !question.is_wanted(service) {
            self.other_service(service);
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
        if let Some(class) = class.filter(|_| cell.failed_calls > 0) {
            *tally.classes.entry(class).or_default() += cell.failed_calls;
        }
    }

    /// Places records that a log store counted and that were not read: they tell that there were logs, and of no failure.
    /// A stretch lies in one hour and one column, and holds no mark in its inside.
    pub fn add_counted(
        &mut self,
        question: &Question,
        service: &str,
        stretch: Stretch,
        cell: Cell,
        seen: Option<(Timestamp, Timestamp)>,
    ) {
        let Ok(start) = Timestamp::from_second(stretch.start) else { return };
        self.reading.records += cell.records + cell.proxied;
        if !question.is_wanted(service) {
            self.other_service(service);
            return;
        }
        let seen = seen.or_else(|| Some((start, Timestamp::from_second(stretch.end - 1).ok()?)));
        // Between marks, whose times have fractions, a record's own time tells the side.
        let at = seen.map_or(start, |(first, _)| first);
        let service =
            if self.services.len() < MAX_SERVICES || self.services.contains_key(service) { service } else { OTHER };
        let tally = self.services.entry(service.to_owned()).or_default();
        let hour = stretch.start.div_euclid(HOUR) * HOUR;
        tally.buckets.entry(question.buckets.of(at)).or_default().add(cell);
        tally.slots.entry((question.segment(at), hour)).or_default().add(cell);
        for at in seen.into_iter().flat_map(|(first, last)| [first, last]) {
            tally.saw(at);
        }
    }

    /// Counts failed calls of proxies by the host called.
    pub fn add_target(&mut self, target: &str, count: u64) {
        bump(&mut self.proxy_targets, target, count);
    }

    /// The hosts that were called, of the logs that were counted: where a service has both its own and its proxy's, its
    /// own.
    #[must_use]
    pub fn counted_targets(&self) -> BTreeMap<String, u64> {
        let both = self.services.values().any(|service| service.proxy_compared().is_some());
        let mut targets = self.targets.clone();
        if !both {
            for (name, count) in &self.proxy_targets {
                bump(&mut targets, name, *count);
            }
        }
        targets
    }

    pub(super) fn uncounted(&mut self, reason: Reason, example: impl FnOnce() -> Example) {
        let uncounted = self.uncounted.entry(reason).or_default();
        uncounted.count += 1;
        if uncounted.examples.len() < MAX_EXAMPLES {
            uncounted.examples.push(example());
        }
    }

    pub(super) fn other_service(&mut self, name: &str) {
        if self.others.len() < 50 && !self.others.contains(name) {
            self.others.insert(name.to_owned());
        }
    }

    pub(super) fn saw_outside(&mut self, at: Timestamp) {
        self.outside = Some(self.outside.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
    }

    /// Earliest and latest instant with logs of any service.
    #[must_use]
    pub fn reach(&self) -> Option<(Timestamp, Timestamp)> {
        let seen = self.services.values().filter_map(|service| service.seen);
        seen.reduce(|all, one| (all.0.min(one.0), all.1.max(one.1)))
    }
}

impl ServiceTally {
    pub(super) fn saw(&mut self, at: Timestamp) {
        self.seen = Some(self.seen.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
    }

    /// Failed calls that the proxy tells of beside an application's log that is counted.
    #[must_use]
    pub fn proxy_compared(&self) -> Option<u64> {
        let failed = self.buckets.values().map(|cell| cell.failed_calls).sum();
        (self.basis() == Basis::Application && failed > 0).then_some(failed)
    }
}
