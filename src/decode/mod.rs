//! Bytes into the model. No I/O, and total on any input.

pub mod dump;
mod elements;
pub mod loggers;
pub mod pod_config;

pub use elements::{ElementError, Elements, Shape};
