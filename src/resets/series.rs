//! From counts to what is shown: columns from the first to the last, services by their weight, and what the marks
//! changed.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::class::Class;
use super::compare::{Exposure, Mark, RateComparison, ShareComparison, dispersion};
use super::tally::{Cell, OTHER, Question, ServiceTally, Tally};
use super::time_buckets::Stretch;

/// More columns than anyone can read: the question must be narrowed.
pub(super) const MAX_BUCKETS: usize = 20_000;

/// One row: a service, or all of them.
#[derive(Clone, Debug)]
pub struct Row {
    /// The service's name.
    pub service: String,
    /// One for each column; none where there is no log of that time.
    pub cells: Vec<Option<Cell>>,
    /// Sum of the cells.
    pub total: Cell,
    /// By class.
    pub classes: BTreeMap<Class, u64>,
}

/// The chart's numbers.
#[derive(Clone, Debug)]
pub struct Series {
    /// The columns, without a gap.
    pub buckets: Vec<Stretch>,
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
        let seen = tally.services.values().filter_map(|service| service.seen);
        let reach = seen.reduce(|all, one| (all.0.min(one.0), all.1.max(one.1)));
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
            (a.service == OTHER, std::cmp::Reverse(a.total.resets), &a.service).cmp(&(
                b.service == OTHER,
                std::cmp::Reverse(b.total.resets),
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
        Ok(Self { has_calls: total.total.calls > 0, buckets, rows, others, total })
    }
}

fn row(name: &str, service: &ServiceTally, buckets: &[Stretch]) -> Row {
    let cells: Vec<Option<Cell>> = buckets.iter().map(|bucket| service.buckets.get(bucket).copied()).collect();
    let mut total = Cell::default();
    for cell in cells.iter().flatten() {
        total.add(*cell);
    }
    Row { service: name.to_owned(), cells, total, classes: service.classes.clone() }
}

fn sum(name: &str, rows: &[Row], columns: usize) -> Row {
    let mut cells: Vec<Option<Cell>> = vec![None; columns];
    let mut total = Cell::default();
    let mut classes = BTreeMap::new();
    for row in rows {
        total.add(row.total);
        for (mine, theirs) in cells.iter_mut().zip(&row.cells) {
            if let Some(theirs) = theirs {
                mine.get_or_insert_default().add(*theirs);
            }
        }
        for (class, count) in &row.classes {
            *classes.entry(*class).or_default() += count;
        }
    }
    Row { service: name.to_owned(), cells, total, classes }
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
}

/// Compares before and after each mark: from the mark before to this one, and from this one to the next.
#[must_use]
pub fn compare_marks(tally: &Tally, question: &Question, slot_seconds: i64) -> Vec<MarkComparison> {
    (0..question.marks.len())
        .map(|index| {
            let side = |service: &ServiceTally, segment: usize| {
                slots(service, segment).map(|(start, cell)| (start, *cell)).collect::<BTreeMap<i64, Cell>>()
            };
            let mut both = Vec::new();
            let mut one_sided = Vec::new();
            for (name, service) in &tally.services {
                let sides = [side(service, index), side(service, index + 1)];
                match (sides[0].is_empty(), sides[1].is_empty()) {
                    (false, false) => both.push((name.clone(), sides, service.seen)),
                    (true, true) => {}
                    _ => one_sided.push(name.clone()),
                }
            }
            let mut union: [BTreeMap<i64, Cell>; 2] = Default::default();
            let mut reach = None;
            for (_, sides, seen) in &both {
                for (all, own) in union.iter_mut().zip(sides) {
                    for (start, cell) in own {
                        all.entry(*start).or_default().add(*cell);
                    }
                }
                reach = match (reach, *seen) {
                    (None, seen) => seen,
                    (Some((first, last)), Some((own_first, own_last))) => {
                        Some((own_first.min(first), own_last.max(last)))
                    }
                    (reach, None) => reach,
                };
            }
            let all = side_by_side(&union, reach, question, index, slot_seconds);
            let services: Vec<(String, SideBySide)> = both
                .iter()
                .map(|(name, sides, seen)| (name.clone(), side_by_side(sides, *seen, question, index, slot_seconds)))
                .collect();
            let proportion = |sides: &SideBySide| sides.after.hours / (sides.before.hours + sides.after.hours);
            let uneven = services.iter().any(|(_, own)| {
                let (own, all) = (proportion(own), proportion(&all));
                (own - all).abs() > 0.1 * all.min(1.0 - all)
            });
            MarkComparison { mark: question.marks[index].clone(), all, services, one_sided, uneven }
        })
        .collect()
}

fn slots(service: &ServiceTally, segment: usize) -> impl Iterator<Item = (i64, &Cell)> {
    service.slots.range((segment, i64::MIN)..=(segment, i64::MAX)).map(|((_, start), cell)| (*start, cell))
}

fn side_by_side(
    sides: &[BTreeMap<i64, Cell>; 2],
    seen: Option<(Timestamp, Timestamp)>,
    question: &Question,
    index: usize,
    slot_seconds: i64,
) -> SideBySide {
    let seconds = |at: Timestamp| at.as_duration().as_secs_f64();
    let (first, last) =
        seen.map_or((f64::NEG_INFINITY, f64::INFINITY), |(first, last)| (seconds(first), seconds(last)));
    let exposure = |segment: usize, slots: &BTreeMap<i64, Cell>| {
        // A slot counts from the mark before, or the first record, to the next mark, or the last record.
        let from = segment.checked_sub(1).map_or(first, |before| seconds(question.marks[before].at).max(first));
        let to = question.marks.get(segment).map_or(last, |next| seconds(next.at).min(last));
        let covered: f64 = slots
            .keys()
            .map(|start| ((start + slot_seconds) as f64).min(to) - (*start as f64).max(from))
            .filter(|part| *part > 0.0)
            .sum();
        Exposure { count: slots.values().map(|cell| cell.resets).sum(), hours: covered / 3600.0 }
    };
    let calls = |slots: &BTreeMap<i64, Cell>| {
        slots.values().fold((0, 0), |(failed, calls), cell| (failed + cell.failed_calls, calls + cell.calls))
    };
    let before = exposure(index, &sides[0]);
    let after = exposure(index + 1, &sides[1]);
    let shares = ShareComparison { before: calls(&sides[0]), after: calls(&sides[1]) };
    let hourly: Vec<u64> = sides[0].values().map(|cell| cell.resets).collect();
    SideBySide {
        before,
        after,
        rates: RateComparison::of(before, after),
        shares: (shares.before.1 > 0 && shares.after.1 > 0).then_some(shares),
        dispersion: dispersion(&hourly),
    }
}
