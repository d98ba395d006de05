//! What is sold: the catalogue of plans, read from a file that the operator owns, and every edition of a plan
//! that was ever sold.
//!
//! [`model`] has the words, [`plans_file`] reads the file and checks it together with the config, [`diff`] tells
//! what it would change, [`commands`] makes it what is sold, [`shelf`] answers from memory.
pub mod commands;
pub mod diff;
pub mod events;
pub mod http;
pub mod meters;
pub mod model;
pub mod plans_file;
pub mod shelf;
mod store;
pub mod version;

pub use meters::{Aggregation, Meter};
pub use model::{Catalogue, Feature, FeatureTerm, Interval, Limits, Metered, Overage, Period, Plan, Terms};
pub use plans_file::{Opened, Source, open};
pub use shelf::Shelf;
pub use store::{
    archived as archived_in, current_id as current_id_in, held as held_in, versions_of as versions_of_in,
};
pub use version::PlanVersion;
