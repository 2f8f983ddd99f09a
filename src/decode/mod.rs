//! Bytes to model. No I/O; total on any input.

pub mod app_log;
