//! The integration tests: one binary, a file for each capability, and the sweeps over all of them.
//!
//! `world` is the harness. Plain `cargo test` starts what it needs; `scripts/test` does so on a bare machine.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that cannot go on says so and ends"
)]

mod crash;
mod failures;
mod houses;
mod onboarding;
mod world;
