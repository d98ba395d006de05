//! What an event says, and what it counts as. No I/O.

pub mod count;
pub mod event;

pub use count::Meters;
pub use event::{Event, Rejection};
