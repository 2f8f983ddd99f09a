//! From counts to what is shown: columns from the first to the last, services by their weight, and what the marks
//! changed.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::class::Class;
use super::compare::{Exposure, Mark, RateComparison, ShareComparison, dispersion};
use super::tally::{Basis, Cell, HOUR, OTHER, Question, ServiceTally, Tally};
use super::time_buckets::Stretch;

/// More columns than anyone can read: the question must be narrowed.
pub(super) const MAX_BUCKETS: usize = 20_000;

/// One row: a service, or all of them.
#[derive(Clone, Debug)]
pub struct Row {
    /// The service's name.
    pub service: String,
    /// Lost connections in each column; none where there is no log of that time.
    pub lost: Vec<Option<u64>>,
    /// All of them.
    pub total: u64,
    /// Calls that the proxy made, where access logs or request counts tell.
    pub calls: u64,
    /// By class.
    pub classes: BTreeMap<Class, u64>,
    /// Failed calls in the proxy's log, where the application's is counted: they tell of the same failures.
    pub proxy: Option<u64>,
}

/// What the logs cover of a column: the first and the last have a part without logs more often than not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Covered {
    /// First instant with logs, where it is not the beginning of the column.
    pub from: Option<Timestamp>,
    /// Last instant with logs, where it is not the end of the column.
    pub to: Option<Timestamp>,
}

/// The chart's numbers.
#[derive(Clone, Debug)]
pub struct Series {
    /// The columns, without a gap.
    pub buckets: Vec<Stretch>,
    /// For each column the part that the logs cover, where it is not the whole of it.
    pub covered: Vec<Option<Covered>>,
    /// Services with the most occurrences first; what `top` cut off is one row named [`OTHER`].
    pub rows: Vec<Row>,
    /// How many services the row [`OTHER`] holds.
    pub others: usize,
    /// All services.
    pub total: Row,
    /// Whether calls were counted, so that shares can be shown.
    pub has_calls: bool,
}

/// The logs reach over more columns than can be shown.
#[derive(Debug, thiserror::Error)]
#[error(
    "the logs reach from {first} to {last}, which is {count} columns of one {by}; narrow it with --since and --until, or choose a longer --by"
)]
pub struct TooManyBuckets {
    first: Timestamp,
    last: Timestamp,
    count: usize,
    by: String,
}

impl Series {
    /// Builds the rows and columns. The columns begin at `since` and end at `until` where these are given, so that
    /// missing logs at the edges are seen, else at the first and last record.
    ///
    /// # Errors
    /// When there are more than `MAX_BUCKETS` columns.
    pub fn build(tally: &Tally, question: &Question, top: usize, now: Timestamp) -> Result<Self, TooManyBuckets> {
        let reach = tally.reach();
        // The last second to be shown: no later than now, unless a clock that is ahead wrote later.
        let latest = reach.map_or(now, |reach| reach.1.max(now)).as_second();
        let until = question.until.map(|until| {
            let last = until.as_second() - i64::from(until.subsec_nanosecond() == 0);
            last.min(latest)
        });
        let first = question.since.or(reach.map(|reach| reach.0));
        let last = until.or(reach.map(|reach| reach.1.as_second())).or(question.since.map(|_| now.as_second()));
        let mut buckets = Vec::new();
        if let (Some(first), Some(last)) = (first, last)
            && first.as_second() <= last
        {
            let mut bucket = question.buckets.of(first);
            loop {
                buckets.push(bucket);
                if bucket.end > last {
                    break;
                }
                let Some(next) = question.buckets.after(bucket) else { break };
                if buckets.len() >= MAX_BUCKETS {
                    let count = ((last - first.as_second()) / (bucket.end - bucket.start)) as usize;
                    let last = Timestamp::from_second(last).unwrap_or(first);
                    return Err(TooManyBuckets { first, last, count, by: question.buckets.by.to_string() });
                }
                bucket = next;
            }
        }
        let mut rows: Vec<Row> = tally
            .services
            .iter()
            .filter(|(_, service)| !service.buckets.is_empty())
            .map(|(name, service)| row(name, service, &buckets))
            .collect();
        rows.sort_by(|a, b| {
            (a.service == OTHER, std::cmp::Reverse(a.total), &a.service).cmp(&(
                b.service == OTHER,
                std::cmp::Reverse(b.total),
                &b.service,
            ))
        });
        let total = sum("total", &rows, buckets.len());
        let mut others = 0;
        if top > 0 && rows.len() > top + 1 {
            let rest = rows.split_off(top);
            others = rest.len();
            rows.push(sum(OTHER, &rest, buckets.len()));
        }
        // A log of failures only does not say when it was written.
        let only_failures = !tally.services.is_empty() && tally.services.values().all(ServiceTally::is_failures_only);
        let covered = buckets.iter().map(|bucket| covered(*bucket, reach.filter(|_| !only_failures)?, now)).collect();
        Ok(Self { has_calls: total.calls > 0, buckets, covered, rows, others, total })
    }
}

/// Less than a tenth of a column without logs at its edge is no gap, but where the column's time is not over.
fn covered(bucket: Stretch, (first, last): (Timestamp, Timestamp), now: Timestamp) -> Option<Covered> {
    let slack = (bucket.end - bucket.start) / 10;
    let begins = first.as_second() < bucket.end && first.as_second() > bucket.start + slack;
    let is_over = bucket.end <= now.as_second();
    let ends = last.as_second() >= bucket.start && last.as_second() < bucket.end - if is_over { slack } else { 0 };
    (begins || ends).then(|| Covered { from: begins.then_some(first), to: ends.then_some(last) })
}

fn row(name: &str, service: &ServiceTally, buckets: &[Stretch]) -> Row {
    let basis = service.basis();
    let lost: Vec<Option<u64>> = buckets.iter().map(|bucket| basis.lost(*service.buckets.get(bucket)?)).collect();
    let classes = service.classes.iter().filter(|(class, _)| basis.has(**class));
    Row {
        service: name.to_owned(),
        total: lost.iter().flatten().sum(),
        lost,
        calls: buckets.iter().filter_map(|bucket| service.buckets.get(bucket)).map(|cell| cell.calls).sum(),
        classes: classes.map(|(class, count)| (*class, *count)).collect(),
        proxy: service.proxy_compared(),
    }
}

fn sum(name: &str, rows: &[Row], columns: usize) -> Row {
    let mut lost: Vec<Option<u64>> = vec![None; columns];
    let mut classes = BTreeMap::new();
    for row in rows {
        for (mine, theirs) in lost.iter_mut().zip(&row.lost) {
            if let Some(theirs) = theirs {
                *mine.get_or_insert_default() += theirs;
            }
        }
        for (class, count) in &row.classes {
            *classes.entry(*class).or_default() += count;
        }
    }
    Row {
        service: name.to_owned(),
        total: rows.iter().map(|row| row.total).sum(),
        lost,
        calls: rows.iter().map(|row| row.calls).sum(),
        classes,
        proxy: rows.iter().filter_map(|row| row.proxy).reduce(|sum, one| sum + one),
    }
}

/// What a mark changed, for all services together and for each.
#[derive(Clone, Debug)]
pub struct MarkComparison {
    /// The moment.
    pub mark: Mark,
    /// All services that have logs on both sides.
    pub all: SideBySide,
    /// Each service that has logs on both sides.
    pub services: Vec<(String, SideBySide)>,
    /// Services with logs on one side only: they are in no comparison.
    pub one_sided: Vec<String>,
    /// Whether a service's hours before and after differ in proportion from those of all together by more than a
    /// tenth: then the services' own figures are the ones to read.
    pub uneven: bool,
}

/// Before and after of one row.
#[derive(Clone, Debug)]
pub struct SideBySide {
    /// From the mark before (or the beginning) to the mark.
    pub before: Exposure,
    /// From the mark to the next one (or the end).
    pub after: Exposure,
    /// The rates; none where a side has no hours with logs, or nothing happened.
    pub rates: Option<RateComparison>,
    /// Failed calls among all calls, where calls were counted.
    pub shares: Option<ShareComparison>,
    /// Variance over mean of the hourly counts before.
    pub dispersion: Option<f64>,
    /// The whole time was taken as covered, hours without a record too: the log has failures only.
    pub whole_stretch: bool,
}

/// A service's counts on one side of a mark.
struct Side {
    slots: BTreeMap<i64, Cell>,
    basis: Basis,
}

/// Compares before and after each mark: from the moment marked before to this one, and from this one to the next.
///
/// Exposure is the hours with logs. Of a log that has failures only (it was filtered, or the application logs nothing
/// else) that would be the hours with failures: there it is the whole time that the logs reach over, to `read_until`
/// where they were read as they are now.
#[must_use]
pub fn compare_marks(
    tally: &Tally,
    question: &Question,
    slot_seconds: i64,
    read_until: Option<Timestamp>,
) -> Vec<MarkComparison> {
    let reach = tally.reach().map(|(first, last)| (first, read_until.map_or(last, |until| until.max(last))));
    question.marks.iter().map(|mark| compare_mark(mark, tally, question, slot_seconds, reach)).collect()
}

fn compare_mark(
    mark: &Mark,
    tally: &Tally,
    question: &Question,
    slot_seconds: i64,
    reach: Option<(Timestamp, Timestamp)>,
) -> MarkComparison {
    // Several marks of one moment have the same time before and after them.
    let segments = [
        question.marks.partition_point(|other| other.at < mark.at),
        question.marks.partition_point(|other| other.at <= mark.at),
    ];
    let exposed = Exposed { question, segments, slot_seconds };
    let mut both = Vec::new();
    let mut one_sided = Vec::new();
    for (name, service) in &tally.services {
        let basis = service.basis();
        let sides = segments.map(|segment| slots(service, segment, basis));
        let whole = service.is_failures_only();
        let seen = if whole { reach } else { service.seen };
        let has_logs = |index: usize| {
            if whole { exposed.window(segments[index], seen).is_some() } else { !sides[index].is_empty() }
        };
        match (has_logs(0), has_logs(1)) {
            (true, true) => {
                let sides = sides.map(|slots| Side { slots, basis });
                both.push((name.clone(), exposed.compare(&sides, seen, whole), sides, seen, whole));
            }
            (false, false) => {}
            _ => one_sided.push(name.clone()),
        }
    }
    // All together: in what each is counted by.
    let mut union: [BTreeMap<i64, Cell>; 2] = Default::default();
    let mut all_seen: Option<(Timestamp, Timestamp)> = None;
    for (_, _, sides, seen, _) in &both {
        for (all, own) in union.iter_mut().zip(sides) {
            for (start, cell) in &own.slots {
                let lost = own.basis.lost(*cell).unwrap_or_default();
                // One basis for all: what was counted stands in both places.
                all.entry(*start).or_default().add(Cell { resets: lost, records: 1, ..*cell });
            }
        }
        all_seen = match (all_seen, *seen) {
            (Some((first, last)), Some((own_first, own_last))) => Some((own_first.min(first), own_last.max(last))),
            (all, own) => all.or(own),
        };
    }
    let whole = !both.is_empty() && both.iter().all(|(_, _, _, _, whole)| *whole);
    let union = union.map(|slots| Side { slots, basis: Basis::Application });
    let all = exposed.compare(&union, all_seen, whole);
    let services: Vec<(String, SideBySide)> = both.into_iter().map(|(name, sides, ..)| (name, sides)).collect();
    let proportion = |sides: &SideBySide| sides.after.hours / (sides.before.hours + sides.after.hours);
    let uneven = services.iter().any(|(_, own)| {
        let (own, all) = (proportion(own), proportion(&all));
        (own - all).abs() > 0.1 * all.min(1.0 - all)
    });
    MarkComparison { mark: mark.clone(), all, services, one_sided, uneven }
}

/// The slots of a segment in which this side of the service has logs.
fn slots(service: &ServiceTally, segment: usize, basis: Basis) -> BTreeMap<i64, Cell> {
    service
        .slots
        .range((segment, i64::MIN)..=(segment, i64::MAX))
        .filter(|(_, cell)| basis.lost(**cell).is_some())
        .map(|((_, start), cell)| (*start, *cell))
        .collect()
}

/// The time on both sides of a mark.
struct Exposed<'q> {
    question: &'q Question,
    /// Before and after.
    segments: [usize; 2],
    slot_seconds: i64,
}

impl Exposed<'_> {
    /// The seconds of a segment, between the marks and within what was seen; none where nothing is left.
    fn window(&self, segment: usize, seen: Option<(Timestamp, Timestamp)>) -> Option<(f64, f64)> {
        let seconds = |at: Timestamp| at.as_duration().as_secs_f64();
        let (first, last) =
            seen.map_or((f64::NEG_INFINITY, f64::INFINITY), |(first, last)| (seconds(first), seconds(last)));
        let marks = &self.question.marks;
        let from = segment.checked_sub(1).map_or(first, |before| seconds(marks[before].at).max(first));
        let to = marks.get(segment).map_or(last, |next| seconds(next.at).min(last));
        (from < to).then_some((from, to))
    }

    fn hours(&self, segment: usize, side: &Side, seen: Option<(Timestamp, Timestamp)>, whole: bool) -> f64 {
        let Some((from, to)) = self.window(segment, seen) else { return 0.0 };
        if whole {
            return (to - from) / 3600.0;
        }
        // A slot counts from the mark before, or the first record, to the next mark, or the last record.
        let covered =
            side.slots.keys().map(|start| ((start + self.slot_seconds) as f64).min(to) - (*start as f64).max(from));
        covered.filter(|part| *part > 0.0).sum::<f64>() / 3600.0
    }

    fn compare(&self, sides: &[Side; 2], seen: Option<(Timestamp, Timestamp)>, whole: bool) -> SideBySide {
        let exposure = |index: usize| {
            let side = &sides[index];
            let lost = side.slots.values().filter_map(|cell| side.basis.lost(*cell)).sum();
            Exposure { count: lost, hours: self.hours(self.segments[index], side, seen, whole) }
        };
        let calls = |side: &Side| {
            side.slots.values().fold((0, 0), |(failed, calls), cell| (failed + cell.failed_calls, calls + cell.calls))
        };
        let (before, after) = (exposure(0), exposure(1));
        let shares = ShareComparison { before: calls(&sides[0]), after: calls(&sides[1]) };
        let mut hourly: Vec<u64> =
            sides[0].slots.values().map(|cell| sides[0].basis.lost(*cell).unwrap_or_default()).collect();
        if whole {
            // The hours in which nothing failed.
            hourly.resize(hourly.len().max((before.hours * 3600.0 / HOUR as f64).round() as usize).min(100_000), 0);
        }
        SideBySide {
            before,
            after,
            rates: RateComparison::of(before, after),
            shares: (shares.before.1 > 0 && shares.after.1 > 0).then_some(shares),
            dispersion: dispersion(&hourly),
            whole_stretch: whole,
        }
    }
}
