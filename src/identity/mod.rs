//! People: users, their memberships in tenants, sign-in, and the access tokens they get.

pub mod commands;
pub mod http;
pub mod store;
pub mod token;
