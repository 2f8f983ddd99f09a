//! What a log store has: the records that may count are read, of the others their numbers are asked for.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::stream::LogCounter;
use crate::decode::app_log::ReaderOptions;
use crate::model::workload_of_pod;
use crate::resets::{By, Cell, HOUR, Question, Sources, Stretch, Tally};
use crate::store::{
    Ask, FieldsGiven, LogStore, ReadOptions, Reader, Select, Source, StoreError, Summary, Wanted, Words, read,
};

/// Streams that are open at once.
const OPEN: usize = 2_000;
/// How far a record's own time may be from the one that its shipper gave it.
const SLACK: SignedDuration = SignedDuration::from_mins(5);
/// Envoy's response flags of lost connections; `LR` with details (envoy#14394).
const FLAGS: [&str; 4] = ["UF", "UC", "UR", "LR"];

/// Counts what a store has. What it answered in part only is a source that failed.
///
/// # Errors
/// Where nothing could be read.
pub async fn count_store(
    store: &dyn LogStore,
    ask: &mut Ask,
    select: &Select<'_>,
    given: FieldsGiven,
    question: &Question,
    options: &ReaderOptions,
    progress: &mut dyn FnMut(Timestamp),
) -> Result<(Tally, Sources, Summary), StoreError> {
    let options_of_read = ReadOptions {
        given,
        step: step(question),
        marks: question.marks.iter().map(|mark| mark.at).collect(),
        wanted: Wanted::Words(words(question)),
        slack: SLACK,
        calls: true,
    };
    let mut counting = Counting {
        question,
        options,
        several: false,
        by_label: false,
        counters: HashMap::new(),
        tally: Tally::default(),
        progress,
    };
    let mut summary = read(store, ask, select, &options_of_read, &mut counting).await?;
    counting.end();
    let Counting { mut tally, several, by_label, .. } = counting;
    for counted in &summary.counted {
        let cell = if counted.source.container == "istio-proxy" {
            Cell { calls: counted.calls, proxied: counted.count, ..Cell::default() }
        } else {
            Cell { records: counted.count, ..Cell::default() }
        };
        let service = service_of(&counted.source, several, by_label);
        let stretch = Stretch { start: counted.start, end: counted.end };
        tally.add_counted(question, &service, stretch, cell, counted.seen);
    }
    let mut sources = Sources { count: summary.sources, slot_seconds: HOUR, ..Sources::default() };
    sources.failed.extend(ask.told.lacking().into_iter().map(|why| (store.name().to_owned(), why)));
    if let Some(error) = summary.broke_off.take() {
        sources.failed.push((store.name().to_owned(), error.to_string()));
    }
    Ok((tally, sources, summary))
}

/// What the store is to search for.
#[must_use]
pub fn words(question: &Question) -> Words {
    let (any_case, exact, patterns) = question.patterns.literals();
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Words { any_case: owned(any_case), exact: owned(exact), flags: owned(&FLAGS), patterns }
}

/// Seconds that lie in one hour of UTC and in one column.
fn step(question: &Question) -> i64 {
    let gcd = |mut a: i64, mut b: i64| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let column = match question.buckets.by {
        By::Day => HOUR,
        By::Minutes(minutes) => gcd(i64::from(minutes) * 60, HOUR),
    };
    // Days and hours begin at a quarter of an hour of UTC in some zones.
    let offset = question.buckets.of(Timestamp::now()).start.rem_euclid(column);
    if offset == 0 { column } else { gcd(column, 900) }
}

/// As of pods: the workload, with its namespace where there are several.
fn service_of(source: &Source, several: bool, by_label: bool) -> String {
    if source.pod.is_empty() || (by_label && !source.service.is_empty()) {
        let names = [&source.service, &source.container, &source.namespace];
        return names.into_iter().find(|name| !name.is_empty()).cloned().unwrap_or_else(|| "unknown".to_owned());
    }
    let workload = workload_of_pod(&source.pod);
    if several { format!("{}/{workload}", source.namespace) } else { workload.to_owned() }
}

struct Counting<'q, 'p> {
    question: &'q Question,
    options: &'q ReaderOptions,
    several: bool,
    by_label: bool,
    counters: HashMap<Source, LogCounter<'q>>,
    tally: Tally,
    progress: &'p mut dyn FnMut(Timestamp),
}

impl Counting<'_, '_> {
    fn end(&mut self) {
        let mut counters: Vec<_> = self.counters.drain().collect();
        counters.sort_by(|one, other| one.0.cmp(&other.0));
        for (_, counter) in counters {
            self.tally.merge(counter.finish(0).0);
        }
    }
}

impl Reader for Counting<'_, '_> {
    fn begin(&mut self, summary: &Summary) {
        self.several = summary.several_namespaces;
        self.by_label = !summary.fields.service.is_empty();
    }

    fn line(&mut self, source: &Source, line: &[u8]) {
        if let Some(counter) = self.counters.get_mut(source) {
            return counter.push(line);
        }
        if self.counters.len() >= OPEN {
            self.end();
        }
        let service = service_of(source, self.several, self.by_label);
        let counter = LogCounter::new(self.question, service, self.options.clone());
        self.counters.entry(source.clone()).or_insert(counter).push(line);
    }

    fn progress(&mut self, at: Timestamp) {
        (self.progress)(at);
    }
}
