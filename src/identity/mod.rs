//! People: users, their memberships in tenants, sign-in, and the access tokens they get.

pub mod commands;
pub mod http;
mod store;
pub mod token;

pub use store::{User, by_email as by_email_in, insert_user as insert_user_in, remove_members_in};
