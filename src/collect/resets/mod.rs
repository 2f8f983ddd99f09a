//! Where `resets` counts: log files on all cores, the logs of pods, log stores, request counts in Prometheus.
//!
//! Whatever gives lines (a file, a container, a log store) is counted by one [`LogCounter`] a stream; the tallies are
//! merged, and [`Sources`](crate::resets::Sources) says what was read.

mod files;
mod gains;
mod pods;
mod request_counts;
mod stores;
mod stream;

pub use files::{ExpandError, LogInput, count_files, expand};
pub use pods::count_pods;
pub use request_counts::{CountsError, RequestCounts, count_requests};
pub use stores::{count_store, words};
pub use stream::LogCounter;
