//! Who has bought what: a subscription per tenant, on an edition of a plan, and its life in time.
//!
//! [`model`] has the rules (pure), `store` the only SQL, [`commands`] what callers change, [`clockwork`] what time
//! does; `apply` carries a move out in one transaction, whoever made it; `money` hands off to billing, `payments` hears
//! from it. [`plans`] shows which tenants are on which edition, and moves them; [`overrides`] are what one tenant may
//! beside its plan.
mod adopt;
mod apply;
pub mod clockwork;
pub mod commands;
pub mod events;
pub mod http;
pub mod model;
mod money;
pub mod overrides;
mod payments;
pub mod plans;
mod queries;
mod store;
mod terms;
mod view;

pub use adopt::{adopt, begin_in};
pub use model::{Standing, Subscription};
pub use payments::Payments;
pub use store::{remove_of_tenant as remove_of_tenant_in, standing as standing_in};
pub use terms::{terms_in, version_in};
