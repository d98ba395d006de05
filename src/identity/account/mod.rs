//! A person's own account: who they are, their password, their address. Whatever matters is asked for with
//! the password again, ends other sessions, and is told by mail.

pub mod commands;
pub mod email;
pub mod http;
pub mod queries;
pub mod reset;
pub(super) mod store;

pub use commands::{acceptable, confirmed, prove, settled};
