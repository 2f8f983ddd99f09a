//! How often connections are lost, since when, in which services, and whether a change helped.
//!
//! Pure: records in, counts and comparisons out. A [`StreamCounter`] counts one stream, [`Tally`]s merge, [`Series`]
//! has the rows and columns, [`compare_marks`] the rates before and after.

mod calls;
mod class;
mod compare;
mod delay;
mod judge;
mod occurrence;
mod series;
mod sieve;
mod sources;
mod stream;
mod tally;
mod text;
mod time_buckets;
mod words;

pub use class::{Class, UnknownClass};
pub use compare::{Exposure, Mark, RateComparison, ShareComparison, rate_interval};
pub use delay::{DelayHistogram, DelayPeak, Delays, Rhythm};
pub use judge::{PatternError, Patterns};
pub use series::{Covered, MarkComparison, Row, Series, SideBySide, TooManyBuckets, compare_marks};
pub use sources::Sources;
pub use stream::StreamCounter;
pub use tally::{Basis, Cell, Example, HOUR, OTHER, Question, Reading, ServiceTally, Tally, Uncounted};
pub use time_buckets::{BadBucket, Buckets, By, Stretch};
pub use words::Reason;
