//! Where tenants live: what a home is, how one is built, checked and removed in a cluster, which tenant has
//! which, and how a tenant's own statements get there.
//!
//! [`home`] names things (pure); [`app_schema`] reads and lints the application's migrations; [`cluster`] is
//! the face of a cluster of either engine, and [`postgres`] and [`sqlite`] do the work. [`place`] and
//! [`store`] are the control store's side; [`router`] answers from memory; [`stock`] keeps ready homes
//! (`stock_failed` clears away what could not be built);
//! [`connections`] and [`door`] carry a tenant's statements.
pub mod access;
pub mod app_schema;
pub mod cluster;
pub mod clusters;
pub mod connections;
pub mod door;
pub mod home;
pub mod http;
pub mod place;
pub mod postgres;
pub mod query;
mod resident;
pub mod router;
pub mod sqlite;
pub mod steps;
pub mod steps_run;
pub mod stock;
mod stock_failed;
mod store;

pub use store::{
    all as all_in, built as built_in, claim as claim_in, find as find_in, get as get_in, insert as insert_in,
    remove as remove_in,
};
