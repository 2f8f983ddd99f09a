//! Integration tests.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
mod resets;
