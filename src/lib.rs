//! kubectl-meshaudit.
pub mod attribute;
pub mod cli;
pub mod decode;
pub mod k8s;
pub mod model;
