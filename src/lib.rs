//! kubectl-meshaudit.
pub mod attribute;
pub mod audit;
pub mod cli;
pub mod collect;
mod cores;
pub mod decode;
pub mod diagnose;
pub mod fix;
pub mod input;
pub mod k8s;
pub mod model;
pub mod reach;
pub mod report;
pub mod resets;
pub mod store;
mod system;
