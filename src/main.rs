//! The `recalld` program: see [`recalld::cli`].

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    recalld::cli::run(std::env::args_os())
}
