//! What people and machines read. Renderers are plain functions from values to text.

pub mod audit;
pub mod compare;
pub mod debug_log;
pub mod diagnosis;
pub mod diff;
pub mod document;
pub mod escape;
pub mod export;
pub mod fix;
pub mod incident;
pub mod look;
pub mod palette;
pub mod progress;
pub mod resets;
pub mod table;
pub mod v1;
pub mod verify;

pub use palette::Palette;
