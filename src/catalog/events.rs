//! What happens to what is sold.

use super::diff::Diff;
use crate::facts;

facts! {
    /// The catalogue of plans was read anew, and something in it had changed.
    CatalogueLoaded = "catalogue.loaded", Operator {
        /// How often it has been loaded.
        pub number: i64,
        /// What changed.
        pub diff: Diff,
    }
}
