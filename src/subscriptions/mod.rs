//! Who has bought what: a subscription per tenant, on an edition of a plan, and its life in time.
//!
//! [`model`] has the rules (pure), `store` the only SQL, [`commands`] what callers change; [`plans`] shows which
//! tenants are on which edition.
pub mod commands;
pub mod model;
pub mod overrides;
pub mod plans;
mod store;
mod terms;

pub use model::{Standing, Subscription};
pub use store::{remove_of_tenant as remove_of_tenant_in, standing as standing_in};
pub use terms::{terms_in, version_in};
