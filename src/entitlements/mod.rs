//! What a tenant may do now: what its plan and its overrides grant, held against what it has used, masked when the
//! tenant or its subscription stands still. Each answer names its reason and its source.
//!
//! Answers come from memory: the tenant with its plan's edition and its overrides, and counters that are at most a
//! second old (`metering::quota::gauge`). Only who consumes waits for the store.

pub mod http;
pub mod model;
pub mod queries;
