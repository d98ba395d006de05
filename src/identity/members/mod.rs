//! Members: who belongs to a tenant, and with which role. A tenant always keeps an owner.

pub mod commands;
pub mod http;
pub mod model;
pub mod queries;
pub(super) mod store;

pub use model::{Acting, Member};
