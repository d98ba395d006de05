//! Keys: a tenant's API keys, the operator's service keys and operator keys. Their text is in
//! `auth::secret_key`; here is their life, and the call that verifies one.

pub mod commands;
pub mod events;
pub mod hot;
pub mod http;
pub mod model;
pub mod queries;
pub mod ring;
mod store;
pub mod used;
pub mod verify;
pub mod whose;

pub use store::{count_good_admins as count_good_admins_in, remove_of_tenant_in};
