//! What is sold: the catalogue of plans, read from a file that the operator owns.
//!
//! [`model`] has the words, [`plans_file`] reads the file and checks it together with the config.
pub mod http;
pub mod model;
pub mod plans_file;

pub use model::{Catalogue, Feature, Interval, Limits, Metered, Overage, Period, Plan};
pub use plans_file::{Opened, open};
