//! The integration tests: one binary, a file for each capability, and the sweeps over all of them.
//!
//! `world` is the harness. Plain `cargo test` starts what it needs; `scripts/test` does so on a bare machine.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on says so and ends")]

mod attacks;
mod cluster;
mod door;
mod houses;
mod onboarding;
mod world;
