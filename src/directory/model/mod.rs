//! What events mean for the directory ([`listing`]) and in words ([`line`]). No I/O.

pub mod line;
pub mod listing;
