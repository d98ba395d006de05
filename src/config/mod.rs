//! What the operator decides: layers, typed settings, where each value came from, and every mistake at
//! once with its place and its remedy.
//!
//! - [`keys`] is the one table of keys; `config/default.toml` holds their defaults and their words.
//! - [`document`] reads TOML with places, [`reading`] checks a layer against the table, [`load()`] merges.
//! - [`settings`] is what the rest of the product sees; [`rules`] are the checks between keys.
//! - [`report`] is `tenantry config check | show | diff | schema`; [`master_key`] makes or reads the key.
//!
//! Files are layered by whole values: a list in a later layer replaces the earlier list.
pub mod document;
pub mod inputs;
pub mod keys;
pub mod load;
pub mod master_key;
pub mod problem;
pub mod reading;
pub mod report;
pub mod rules;
pub mod schema;
pub mod settings;
pub mod url;

#[cfg(test)]
mod tests;

pub use inputs::{Environment, Inputs};
pub use load::{Entry, Gathered, Loaded, gather, load};
pub use master_key::MasterKeys;
pub use problem::{Fault, Origin, Problem, Problems};
pub use settings::{Cluster, Log, LogFormat, LogLevel, Settings};
pub use url::{DatabaseUrl, Engine};
