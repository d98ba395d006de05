//! Roll-ups: what was used, added up by the hour. A projection of the usage events, which [`worker`] follows by the
//! number of their transaction and their own, up to where no transaction is under way any more: so none is skipped
//! that a slow transaction brings late, and none is counted twice, for the place reached moves in the transaction
//! that writes what was read up to it.
//!
//! It can be built anew beside the one that answers, and takes its place when it has caught up. [`model`] has the
//! arithmetic.

pub mod model;
mod store;
pub mod worker;

pub use model::{Cell, Raw, Sum, Tally, hour_of};
pub use store::{
    Generation, live as live_in, remove_of_tenant as remove_of_tenant_in, sums as sums_in, tail as tail_in,
    total as total_in, uniques as uniques_in,
};
pub use store::{pause as pause_in, start_anew as start_in, status as status_in};

/// What the roll-ups of usage are called among projections.
pub const NAME: &str = "usage_rollups";
