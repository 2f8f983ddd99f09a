//! kubectl-meshaudit.
pub mod cli;
pub mod decode;
pub mod diagnose;
pub mod model;
