//! Bytes into the model. No I/O, and total on any input.

pub mod app_log;
pub mod dump;
mod elements;
pub mod istio;
pub mod lease;
pub mod log;
pub mod loggers;
pub mod patch;
pub mod pod;
pub mod pod_config;
pub mod prometheus;
pub mod snapshot;
pub mod stats;
pub mod timestamp;

pub use elements::{ElementError, Elements, Shape};
pub use istio as objects;
pub use istio::mesh_config;
