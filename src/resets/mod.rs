//! How often connections are lost, since when, in which services, and whether a change helped.
//!
//! Pure: records in, counts and comparisons out. A [`StreamCounter`] counts one stream, [`Tally`]s merge, [`Series`]
//! has the rows and columns, [`compare_marks`] the rates before and after.

mod class;
mod compare;
mod delay;
mod occurrence;
mod series;
mod tally;
mod time_buckets;

pub use class::{Class, PatternError, Patterns, UnknownClass};
pub use compare::{Exposure, Mark, RateComparison, ShareComparison, rate_interval};
pub use delay::{DelayHistogram, DelayPeak};
pub use series::{MarkComparison, Row, Series, SideBySide, TooManyBuckets, compare_marks};
pub use tally::{Cell, HOUR, OTHER, Question, Reading, ServiceTally, StreamCounter, Tally};
pub use time_buckets::{BadBucket, Buckets, By, Stretch};
