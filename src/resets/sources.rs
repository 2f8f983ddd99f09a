//! What was read beside the records.

/// The inputs of a run.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Inputs counted.
    pub count: usize,
    /// Inputs with another's content: the one left out, and the one counted.
    pub duplicates: Vec<(String, String)>,
    /// Inputs that could not be read, or not to their end, and why.
    pub failed: Vec<(String, String)>,
    /// Seconds of an exposure slot.
    pub slot_seconds: i64,
    /// The name of the zone that was assumed where timestamps have none.
    pub log_zone: String,
    /// Whether the records that were not counted are listed.
    pub show_uncounted: bool,
}
