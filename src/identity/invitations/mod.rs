//! Invitations: a place in a tenant, held for somebody's address until they take it, it is revoked, or its
//! time is over. Open ones count against the plan's seats.

pub mod accept;
pub mod commands;
pub mod http;
pub mod model;
pub mod queries;
mod store;

pub use commands::offer_in;
pub use store::remove_of_tenant;
