//! Sessions: somebody signed in, from sign-in to the end. A member in one tenant, an operator, or an operator
//! in a member's stead. Access tokens name their session; a refresh token renews it, once.

pub mod commands;
pub mod http;
pub mod impersonation;
pub mod memory;
pub mod model;
pub mod queries;
pub mod renewal;
pub(super) mod store;
