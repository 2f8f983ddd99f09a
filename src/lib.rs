//! kubectl-meshaudit.
pub mod cli;
pub mod model;
