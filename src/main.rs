//! The `kubectl-meshaudit` binary: everything lives in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    meshaudit::cli::run(std::env::args_os())
}
