//! People: users, their memberships in tenants, sign-in, and the access tokens they get.

pub mod commands;
pub mod http;
pub mod sessions;
mod store;
pub mod token;

pub use sessions::store::{EndReason, end_of_user_in as end_sessions_in};
pub use store::{User, by_email as by_email_in, insert_user as insert_user_in, remove_members_in};
