//! The tables of the directory ([`listings`]) and of activity ([`lines`]).

pub mod lines;
pub mod listings;

/// Rows that one statement writes: PostgreSQL bounds their values, not their number.
const BATCH: usize = 500;
