//! Log stores: what is asked of them, and their answers as named streams of lines.
//!
//! A store is one file here that implements [`LogStore`]; it knows its own language and no other store. [`read()`] asks
//! for little, puts the records of each container in order, and hands them on as lines with their times: what reads
//! the logs of pods reads these.

mod ask;
mod clauses;
mod elasticsearch;
mod fields;
mod loki;
mod paste;
mod read;
mod record;
mod slices;
mod splunk;
mod tokens;
mod victorialogs;

use futures_util::future::BoxFuture;
use jiff::Timestamp;

pub use ask::{Ask, Condition, Told, Wanted, Words};
pub use elasticsearch::Elasticsearch;
pub use fields::{Fields, FieldsGiven, Shipped};
pub use loki::Loki;
pub use paste::{Pasted, Selection};
pub use read::{Counted, ReadOptions, Reader, Select, Summary, read};
pub use record::{Record, Source};
pub use splunk::Splunk;
pub use victorialogs::VictoriaLogs;

use crate::reach::WebError;

/// Why a store gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It could not be asked.
    #[error(transparent)]
    Web(#[from] WebError),
    /// It says what is wrong with the question.
    #[error("{store} refuses the question: {message}")]
    Refused {
        /// Its name.
        store: &'static str,
        /// What it says.
        message: String,
    },
    /// The answer is in no form that the store has.
    #[error("what answers at this address is not {store}: {message}")]
    Foreign {
        /// Its name.
        store: &'static str,
        /// What was expected.
        message: String,
    },
    /// Nothing is selected.
    #[error("{store} has no record {what}")]
    Nothing {
        /// Its name.
        store: &'static str,
        /// Of what.
        what: String,
    },
    /// A field that no record has.
    #[error("no record has the field {field:?}; the fields are {there}")]
    NoField {
        /// As given.
        field: String,
        /// What there is.
        there: String,
    },
    /// What needs a field that the records do not have.
    #[error("{what} cannot be told from these records: {why}")]
    Unselectable {
        /// The flag.
        what: String,
        /// What is missing.
        why: String,
    },
}

/// How many records of one source a store has in a stretch of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Values of the fields by which was grouped ([`Fields::groups`]), in their order; empty where a record has none.
    pub values: Vec<String>,
    /// The beginning of the step, in seconds since the epoch.
    pub start: i64,
    /// Records.
    pub count: u64,
    /// The first and the last, where the store tells.
    pub seen: Option<(Timestamp, Timestamp)>,
}

/// A log store.
pub trait LogStore: Send + Sync {
    /// Its name for people.
    fn name(&self) -> &'static str;

    /// Some of the newest records within the ask's time, to see their fields: those for which one of these conditions
    /// holds, if there are any. No field is known yet.
    fn sample<'a>(&'a self, ask: &'a Ask, any: &'a [Condition]) -> BoxFuture<'a, Result<Vec<Record>, StoreError>>;

    /// What the store says of how its fields may be searched, once they are known.
    fn learn<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Result<(), StoreError>> {
        let _ = ask;
        Box::pin(std::future::ready(Ok(())))
    }

    /// Why it cannot search for these words so that nothing is missed; then all records are read.
    ///
    /// # Errors
    /// The reason.
    fn searches(&self, words: &Words) -> Result<(), String> {
        let _ = words;
        Ok(())
    }

    /// How many stretches around failures are asked for at once.
    fn spans_at_once(&self) -> usize {
        200
    }

    /// How many stretches around failures are asked for in all.
    fn most_spans(&self) -> usize {
        usize::MAX
    }

    /// The numbers of records by source and step of so many seconds, by the store's own aggregation.
    fn count<'a>(&'a self, ask: &'a Ask, step: i64) -> BoxFuture<'a, Result<Vec<Group>, StoreError>>;

    /// The beginning of the step with which it counts a record of this time.
    fn step_of(&self, time: Timestamp, step: i64) -> i64 {
        time.as_second().div_euclid(step) * step
    }

    /// The next records in order of time, from `from` on: those that `wanted` means, or more. A page ends where all
    /// records of its last moment are in it; `until` is where the next one begins, `None` at the end.
    fn page<'a>(&'a self, ask: &'a Ask, wanted: &'a Wanted, from: Timestamp)
    -> BoxFuture<'a, Result<Page, StoreError>>;

    /// Ends what is held open at the store.
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// Some records.
#[derive(Debug, Default)]
pub struct Page {
    /// In order of time.
    pub records: Vec<Record>,
    /// Where to go on.
    pub next: Option<Timestamp>,
}

/// Records of a page, at most as a rule.
pub const PAGE: usize = 5_000;
