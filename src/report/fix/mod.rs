//! A fix plan, for people and as files. Its JSON is [`super::v1::fix`].

mod files;
mod text;

pub use files::files;
pub use text::text;
