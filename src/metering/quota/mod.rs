//! Quotas: how much of a meter a tenant has used in the present hour, day, month or year, held against what its
//! plan grants. A hard quota is never overshot, by one process or by many; a soft one counts and tells the excess.
//!
//! Windows are those of the calendar in UTC. They do not move with a subscription's periods, and a change of plan
//! leaves them as they are.
//!
//! All that changes a counter goes through [`till`], which joins what waits into one transaction and decides it in
//! order on locked rows. [`lending`] fills the purses from which the verify call spends without asking the store;
//! [`gauge`] is what memory knows of the counters, at most a second old.

pub mod gauge;
mod ledger;
pub mod lending;
pub mod model;
mod store;
pub mod till;

pub use model::{Per, Quota, Window, quota_of};
pub use store::{
    Added, add_in, counters_of as counters_of_in, forget_old as forget_old_in,
    remove_of_tenant as remove_of_tenant_in,
};
pub use till::{Consumed, Till};

use std::sync::Arc;

use crate::kernel::id::TenantId;

/// One counter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Counter {
    /// Whose use.
    pub tenant: TenantId,
    /// Of what.
    pub meter: Arc<str>,
    /// In which window.
    pub window: Window,
}
