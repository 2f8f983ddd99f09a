//! cli
use std::process::ExitCode;
pub mod resets;
/// run
pub fn run(_args: impl IntoIterator<Item = std::ffi::OsString>) -> ExitCode {
    ExitCode::SUCCESS
}
