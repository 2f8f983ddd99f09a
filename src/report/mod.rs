//! What people and machines read. Renderers are plain functions from values to text.

pub mod audit_json;
pub mod audit_table;
pub mod diagnosis;
pub mod document;
pub mod escape;
pub mod palette;
pub mod progress;
pub mod table;

pub use palette::Palette;
