//! The `kubectl-meshaudit` binary: everything lives in the library.

use std::process::ExitCode;

/// musl, with which releases for Linux are built, has an allocator that takes twice the time for a large mesh. All builds
/// have the same one, so that what is tested is what is released.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    meshaudit::cli::run(std::env::args_os())
}
