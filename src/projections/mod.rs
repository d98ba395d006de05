//! Everybody who follows what is written, as operators see them: how far each is, whether it stands still, and which
//! can be built anew. The projections themselves are their capabilities'.

pub mod commands;
pub mod http;
pub mod model;
pub mod queries;
pub mod worker;

/// What the memory of this replica is called, which follows the log as well.
pub const MEMORY: &str = "memory";
