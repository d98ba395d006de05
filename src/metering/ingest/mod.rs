//! Taking usage events: CloudEvents 1.0, each counted once.
//!
//! [`model`] reads an event and says what it counts as. [`commands`] answers for every event of a call on its own.
//! [`intake`] joins the calls that wait into one transaction and answers when it is committed: what was answered
//! `accepted` is on disk, and so is its use of quotas. What was not answered can be sent again.

pub mod commands;
pub mod http;
pub mod intake;
pub mod model;
mod store;

pub use intake::Intake;
pub use store::{NewUsage, insert as insert_in};
