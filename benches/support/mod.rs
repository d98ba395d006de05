//! What the benches share: a load generator, the two programs it is held against each other with (ours and
//! a bare floor), throw-away PostgreSQL, and the arithmetic of comparing them.
#![allow(dead_code, reason = "each bench uses its share of this")]

pub mod floor;
pub mod http;
pub mod load;
pub mod machine;
pub mod options;
pub mod postgres;
pub mod program;
pub mod seed;
pub mod stats;
pub mod tenants;

/// Threads that serve requests, on both sides.
pub const WORKERS: usize = 2;
