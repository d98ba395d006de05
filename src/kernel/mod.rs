//! Words without I/O: ids, time, errors, pages and secrets.
//!
//! Everything else may use this module; it knows nothing of ours.
pub mod clock;
pub mod engine;
pub mod entropy;
pub mod error;
pub mod gcra;
pub mod id;
pub mod isolation;
pub mod limits;
pub mod page;
pub mod purse;
pub mod slug;
pub mod sql;
pub mod vault;
pub mod words;
