//! The log as its readers follow it: events of a tenant, or of all, by cursor, waiting for the next, or as a
//! stream. Only settled events, in the order of the log, so that a cursor that was given stays good.
//!
//! One task of a replica reads the end of the log (`tail`) for all who follow; who is further behind reads the
//! store until they have caught up. What events say is the business of whoever appended them.

pub mod http;
pub mod model;
pub mod queries;
pub mod stream;
pub mod tail;

pub use tail::{Tail, keep};
