//! The views of `resets`.
