//! Bytes into the model. No I/O, and total on any input.

pub mod app_log;
pub mod bounded;
pub mod copied;
pub mod dump;
pub mod dump_forms;
mod elements;
pub(crate) mod entry;
pub mod istio;
pub mod istiod;
mod last_updated;
pub mod lease;
pub mod located;
pub mod log;
pub mod loggers;
pub mod parse_error;
pub mod pod;
pub mod pod_config;
pub mod prometheus;
pub mod server_info;
pub mod snapshot;
pub mod stats;
pub mod syncz;
pub mod timestamp;
pub mod xds_stats;
pub mod yaml_edit;

pub(crate) use elements::between;
pub use elements::{END, ElementError, Elements, Shape};
pub use istio as objects;
pub use istio::mesh_config;
pub use last_updated::last_updated;
