//! What one tenant may do beside its plan: a feature granted or taken away, for a while or for good, with a reason.
//!
//! Whether an override counts is asked at the moment it matters; so one that starts or ends by itself needs nobody
//! to be there. Of two that count at once the one that was made later wins.

pub mod commands;
pub mod http;
pub mod model;
mod store;

pub use model::{Grants, Override, Resolved, Rule, Source};
pub use store::{remove_of_tenant as remove_of_tenant_in, rules_of as rules_of_in};
