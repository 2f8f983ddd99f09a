//! kubectl-meshaudit.
pub mod cli;
