//! The integration tests: one module a command.
#![expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]

mod attribute;
