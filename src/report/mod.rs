//! What people and machines read.

pub mod resets;
