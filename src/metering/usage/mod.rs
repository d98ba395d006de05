//! How much was used: from the roll-ups, and from what is not in them yet, so that what was just sent is counted.

pub mod http;
pub mod model;
pub mod queries;

pub use queries::{Ledger, used_in};
