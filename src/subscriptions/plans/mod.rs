//! The catalogue as operators see it: every edition, and how many tenants are on each.

pub mod http;
pub mod queries;
