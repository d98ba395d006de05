//! The `tenantry` program.
use std::process::ExitCode;

fn main() -> ExitCode {
    tenantry::cli::main()
}
