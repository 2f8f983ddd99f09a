//! What is asked of a store, in no store's language.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use super::fields::Fields;
use super::record::Record;
use crate::model::workload_of_pod;

/// Which records.
#[derive(Debug, Default)]
pub struct Ask {
    /// The store's own words that narrow it, as given.
    pub query: Option<String>,
    /// The pods' namespace, where one is meant. Fields are looked for in records of it: others may be another shipper's.
    pub namespace: Option<String>,
    /// From this time of the store's on.
    pub since: Timestamp,
    /// Until before this one.
    pub until: Timestamp,
    /// All of these hold.
    pub conditions: Vec<Condition>,
    /// Which field is what.
    pub fields: Fields,
    /// What the store says of its answers.
    pub told: Told,
}

/// What a record's fields must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// One of these values.
    Is(String, Vec<String>),
    /// None of these.
    IsNot(String, Vec<String>),
    /// Begins with one of these.
    Begins(String, Vec<String>),
    /// A pod of a workload of one of these names.
    Workload(String, Vec<String>),
    /// The line has this word.
    Says(&'static str),
    /// The field is there.
    Has(String),
    /// It is not.
    HasNot(String),
    /// One of these conditions.
    Any(Vec<Condition>),
    /// All of these.
    All(Vec<Condition>),
}

impl Condition {
    /// The beginnings of names of a workload's pods.
    #[must_use]
    pub(super) fn beginnings(names: &[String]) -> Vec<String> {
        names.iter().map(|name| format!("{name}-")).collect()
    }

    /// The fields that it is about.
    #[must_use]
    pub fn fields(&self) -> Vec<String> {
        match self {
            Self::Is(field, _)
            | Self::IsNot(field, _)
            | Self::Begins(field, _)
            | Self::Workload(field, _)
            | Self::Has(field)
            | Self::HasNot(field) => {
                vec![field.clone()]
            }
            Self::Says(_) => Vec::new(),
            Self::Any(all) | Self::All(all) => all.iter().flat_map(Self::fields).collect(),
        }
    }

    /// Whether a record is meant. A field that is not there is the empty text.
    #[must_use]
    pub fn holds(&self, record: &Record) -> bool {
        let of = |field: &str| record.text(field).unwrap_or_default();
        // A list, or a number: the store has decided.
        let decided = |field: &str| record.get(field).is_some_and(|value| !value.is_string());
        match self {
            Self::Is(field, _) | Self::IsNot(field, _) | Self::Begins(field, _) if decided(field) => true,
            Self::Is(field, values) => values.iter().any(|value| *value == of(field)),
            Self::IsNot(field, values) => values.iter().all(|value| *value != of(field)),
            Self::Workload(field, names) => {
                let pod = of(field);
                names.iter().any(|name| {
                    workload_of_pod(pod) == name
                        || pod
                            .strip_prefix(name.as_str())
                            .is_some_and(|rest| rest.starts_with('-') && !rest[1..].contains('-'))
                })
            }
            // The store's word on it.
            Self::Says(_) => true,
            Self::Begins(field, values) => values.iter().any(|value| of(field).starts_with(value.as_str())),
            Self::Has(field) => decided(field) || !of(field).is_empty(),
            Self::HasNot(field) => !decided(field) && of(field).is_empty(),
            Self::Any(conditions) => conditions.iter().any(|condition| condition.holds(record)),
            Self::All(conditions) => conditions.iter().all(|condition| condition.holds(record)),
        }
    }
}

/// Which of the selected records are to be transferred.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// All.
    All,
    /// Those with one of the words.
    Words(Words),
    /// Those without this phrase.
    Without(&'static str),
    /// Those of a source within stretches of time.
    Around(Vec<Span>),
}

/// A stretch of one source.
#[derive(Debug, Clone)]
pub struct Span {
    /// The values of the source's fields.
    pub values: Vec<String>,
    /// From this time on.
    pub from: Timestamp,
    /// Until before this one.
    pub until: Timestamp,
}

/// Words one of which every record has that may count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    /// In whatever case.
    pub any_case: Vec<String>,
    /// As they stand.
    pub exact: Vec<String>,
    /// Whole words, as they stand: Envoy's response flags.
    pub flags: Vec<String>,
    /// Regular expressions of the user.
    pub patterns: Vec<String>,
}

impl Words {
    /// As one regular expression that RE2 and Rust's regex read alike.
    #[must_use]
    pub fn regex(&self) -> String {
        let quoted = |words: &[String]| words.iter().map(|word| quote(word)).collect::<Vec<_>>().join("|");
        let mut parts = vec![format!("(?i:{})", quoted(&self.any_case))];
        if !self.exact.is_empty() {
            parts.push(quoted(&self.exact));
        }
        if !self.flags.is_empty() {
            parts.push(format!(r"\b(?:{})\b", quoted(&self.flags)));
        }
        parts.extend(self.patterns.iter().map(|pattern| format!("(?:{pattern})")));
        parts.join("|")
    }
}

/// Quotes a text for a regular expression.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::new();
    for letter in text.chars() {
        if r"\.+*?()|[]{}^$".contains(letter) {
            quoted.push('\\');
        }
        quoted.push(letter);
    }
    quoted
}

/// What stores say of their answers: that they are not whole, and remarks.
#[derive(Debug, Default)]
pub struct Told {
    incomplete: Mutex<BTreeSet<String>>,
    remarks: Mutex<Vec<String>>,
}

impl Told {
    /// The answer lacks something.
    pub fn incomplete(&self, what: impl Into<String>) {
        let mut all = self.incomplete.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() < 20 {
            all.insert(what.into());
        }
    }

    /// Something that a reader should know.
    pub fn remark(&self, what: impl Into<String>) {
        let (mut all, what) = (self.remarks.lock().unwrap_or_else(PoisonError::into_inner), what.into());
        if !all.contains(&what) {
            all.push(what);
        }
    }

    /// What is lacking.
    #[must_use]
    pub fn lacking(&self) -> Vec<String> {
        self.incomplete.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// The remarks.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        self.remarks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Wanted {
    /// Where the last record that is wanted lies before.
    #[must_use]
    pub fn until(&self, ask: &Ask) -> Timestamp {
        match self {
            Self::Around(spans) => spans.iter().map(|span| span.until).max().unwrap_or(ask.until).min(ask.until),
            _ => ask.until,
        }
    }
}
