//! A placement: where one tenant lives, and whether its home is ready. No I/O.

use diesel::deserialize::FromSqlRow;
use diesel::expression::AsExpression;
use serde::{Deserialize, Serialize};

use super::home::Home;
use crate::kernel::clock::Ts;
use crate::text_sql;

/// Where a placement stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, AsExpression, FromSqlRow)]
#[serde(rename_all = "snake_case")]
#[diesel(sql_type = diesel::sql_types::Text)]
pub enum PlaceState {
    /// Its home is being built.
    Building,
    /// Ready, and nobody's yet: the next signup takes it.
    Stocked,
    /// A tenant's.
    Assigned,
    /// Its home is being removed.
    Removing,
}

impl PlaceState {
    /// The word in the store.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Building => "building",
            Self::Stocked => "stocked",
            Self::Assigned => "assigned",
            Self::Removing => "removing",
        }
    }
}

impl std::str::FromStr for PlaceState {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Building, Self::Stocked, Self::Assigned, Self::Removing]
            .into_iter()
            .find(|state| state.word() == text)
            .ok_or_else(|| format!("`{text}` is no state of a placement"))
    }
}

text_sql!(PlaceState);

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
