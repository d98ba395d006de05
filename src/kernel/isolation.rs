//! The three isolation models, as words. What each needs of an engine lives in `placement`.

use diesel::deserialize::FromSqlRow;
use diesel::expression::AsExpression;
use serde::{Deserialize, Serialize};

use crate::text_sql;

/// How a tenant's data is kept apart from every other tenant's.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Serialize,
    Deserialize,
    AsExpression,
    FromSqlRow,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[diesel(sql_type = diesel::sql_types::Text)]
pub enum Isolation {
    /// One schema for all; forced row-level security keyed on the tenant's login role.
    Shared,
    /// A schema each in one database.
    Schema,
    /// A database each (on SQLite: a file each).
    Database,
}

impl Isolation {
    /// All models, in the order of growing apartness.
    pub const ALL: [Self; 3] = [Self::Shared, Self::Schema, Self::Database];

    /// The word used in config, in the store and on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Schema => "schema",
            Self::Database => "database",
        }
    }
}

impl std::fmt::Display for Isolation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.word())
    }
}

impl std::str::FromStr for Isolation {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|model| model.word() == text)
            .ok_or_else(|| format!("`{text}` is no isolation model: use shared, schema or database"))
    }
}

text_sql!(Isolation);
