//! kubectl-meshaudit.
pub mod cli;
pub mod decode;
pub mod k8s;
pub mod model;
pub mod report;
pub mod resets;
