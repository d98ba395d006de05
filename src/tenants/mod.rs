//! The tenant and its life: provisioning → active ⇄ suspended → deleting → deleted.
//!
//! A tenant is made by `onboarding` and housed by `placement`; both follow what is written here.

pub mod commands;
pub mod events;
pub mod http;
pub mod model;
pub mod queries;
mod store;

pub use model::{State, Tenant};
pub use store::{
    Handle, all as all_in, get as get_in, insert as insert_in, save as save_in,
    slug_is_free as slug_is_free_in,
};

/// What the reason of a suspension begins with that follows from a subscription, and is lifted with it.
pub const BILLING_REASON: &str = "billing: ";
/// Kind of the operation that locks a suspended tenant's role out of its database, or lets it in again.
pub const ACCESS_OPERATION: &str = "tenant.access";
/// Kind of the operation that removes a tenant when its grace is over.
pub const DELETE_OPERATION: &str = "tenant.delete";
/// Kind of the operation that houses a new tenant.
pub const ONBOARD_OPERATION: &str = "tenant.onboard";
