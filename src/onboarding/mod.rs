//! Onboarding: a signup, or an operator's call, becomes a tenant with a user and a home. It composes what
//! the capabilities below it own, in one transaction; what cannot be in it is an operation.

pub mod commands;
mod draft;
pub mod events;
pub mod http;
pub mod model;
pub mod removal;
mod rules;
pub mod store;
pub mod verify;
pub mod worker;
