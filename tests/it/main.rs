//! Tests through the library and the built binary, one module a command.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod diagnose;
