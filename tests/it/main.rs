//! The integration tests: one binary, a file for each capability, and the sweeps over all of them.
//!
//! `world` is the harness. Plain `cargo test` starts what it needs; `scripts/test` does so on a bare machine.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on says so and ends"
)]

mod data_door;
mod houses;
mod http;
mod keys;
mod onboarding;
mod replicas;
mod routes;
mod sessions;
mod sweeps;
mod tenants;
mod world;
