//! The catalogue as operators see it: every edition, how many tenants are on each, and moving them to the newest.

pub mod commands;
pub mod http;
pub mod queries;
pub mod worker;
