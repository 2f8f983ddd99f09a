//! kubectl-meshaudit.
pub mod attribute;
pub mod cli;
pub mod model;
