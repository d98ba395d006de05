//! People: users and their accounts, their memberships in tenants and invitations to them, sign-in, and the
//! access tokens they get.

pub mod account;
pub mod commands;
pub mod http;
pub mod invitations;
pub mod members;
pub mod pending;
pub mod sessions;
mod store;
pub mod token;

pub use store::{User, by_email as by_email_in, insert_user as insert_user_in, remove_members_in};
