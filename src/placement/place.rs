//! A placement: where one tenant lives, and whether its home is ready. No I/O.

use super::home::Home;
use crate::kernel::clock::Ts;
use crate::words;

words! {
    /// Where a placement stands.
    PlaceState as "PlacementState", "state of a placement" {
        /// Its home is being built.
        Building = "building",
        /// Ready, and nobody's yet: the next signup takes it.
        Stocked = "stocked",
        /// A tenant's.
        Assigned = "assigned",
        /// Its home is being removed.
        Removing = "removing",
    }
}

/// Where one tenant lives. In stock, the tenant's id is already minted and waits for its tenant, so that
/// nothing on the cluster changes when a signup takes it.
#[derive(Clone, Debug)]
pub struct Placement {
    /// The names on the cluster; they follow from the tenant's id.
    pub home: Home,
    /// The cluster's name in the configuration.
    pub cluster: String,
    /// Where it stands.
    pub state: PlaceState,
    /// Raised by every move, so that a stale route is refused.
    pub generation: i64,
    /// Version of the application's schema that the home was built with.
    pub app_version: String,
    /// The role's password, sealed; none on SQLite.
    pub(super) password: Option<Vec<u8>>,
    /// When it was begun.
    pub created_at: Ts,
}
