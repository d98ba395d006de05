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

mod attacks;
mod audit;
mod billing;
mod bounds;
mod broker;
mod catalog;
mod cluster;
mod coherence;
mod crash;
mod data_door;
mod docs;
mod door;
mod entitlements;
mod events;
mod factors;
mod failures;
mod fastapi;
mod feeds;
mod followers;
mod houses;
mod http;
mod invitations;
mod keys;
mod limits;
mod mail;
mod members;
mod metering;
mod min_seq;
mod onboarding;
mod operators;
mod people;
mod projections;
mod quotas;
mod replicas;
mod routes;
mod sessions;
mod stock;
mod stripe;
mod subscriptions;
mod sweeps;
mod tenants;
mod throttling;
#[cfg(feature = "pg-tls")]
mod tls;
mod tokens;
mod tour;
mod verification;
mod webhooks;
mod world;
