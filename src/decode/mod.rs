//! Bytes into the model. No I/O, and total on any input.

pub mod dump;
mod elements;
pub mod loggers;
pub mod mesh_config;
pub mod objects;
pub mod patch;
pub mod pod_config;
pub mod snapshot;
pub mod stats;

pub use elements::{ElementError, Elements, Shape};
