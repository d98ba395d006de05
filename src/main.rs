//! The `tenantry` program.
use std::process::ExitCode;

/// Memory of the hot path is many small records that are allocated on one thread and freed on another; the
/// system's allocator would need half as much again for them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tenantry::cli::main()
}
