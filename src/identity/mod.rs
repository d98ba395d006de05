//! People: users and their accounts, their memberships in tenants and invitations to them, operators, sign-in
//! with its factors and bounds, sessions, and the access tokens they get.

pub mod account;
pub mod attempts;
pub mod commands;
pub mod events;
pub mod factors;
pub mod http;
pub mod invitations;
pub mod members;
pub mod operators;
pub mod pending;
pub mod proof;
pub mod sessions;
pub mod signing;
mod store;
pub mod token;

pub use members::store::{keepers_emails as keepers_emails_in, owner_email as owner_email_in};
pub use operators::store::count_good_admins as count_good_admins_in;
pub use sessions::model::EndReason;
pub use sessions::store::end_of_user_in as end_sessions_in;
pub use store::{User, by_email as by_email_in, insert_user as insert_user_in, remove_members_in};
