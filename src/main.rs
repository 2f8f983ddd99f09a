//! The `kubectl-meshaudit` binary: everything lives in the library.

use std::process::ExitCode;

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    meshaudit::cli::run(std::env::args_os())
}
