//! Bytes into the model. No I/O, and total on any input.

pub mod dump;
mod elements;
pub mod log;
pub mod loggers;
pub mod pod_config;
pub mod snapshot;

pub use elements::{ElementError, Elements, Shape};
