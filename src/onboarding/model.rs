//! What onboarding answers. No I/O.

use diesel::deserialize::FromSqlRow;
use diesel::expression::AsExpression;
use serde::{Deserialize, Serialize};

use crate::kernel::id::{SignupId, TenantId};
use crate::tenants::Tenant;
use crate::text_sql;
use crate::work::Operation;

/// Whether a signup's address is known to be its owner's.
#[derive(
    Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, AsExpression, FromSqlRow, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[diesel(sql_type = diesel::sql_types::Text)]
pub enum Verification {
    /// A code was sent and waits to be entered.
    Pending,
    /// The code was entered.
    Verified,
    /// The installation does not ask for it.
    NotRequired,
}

impl Verification {
    /// The word in the store.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Verified => "verified",
            Self::NotRequired => "not_required",
        }
    }
}

impl std::str::FromStr for Verification {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Pending, Self::Verified, Self::NotRequired]
            .into_iter()
            .find(|word| word.word() == text)
            .ok_or_else(|| format!("`{text}` is no state of a verification"))
    }
}

text_sql!(Verification);

/// What a signup is answered with.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct SignedUp {
    /// The signup.
    pub signup_id: SignupId,
    /// The tenant it made.
    pub tenant_id: TenantId,
    /// The tenant's slug, derived when none was asked for.
    pub slug: String,
    /// Whether the address waits to be verified.
    pub verification: Verification,
    /// The work that makes the tenant's home; done at once when a placement was in stock.
    pub operation: Operation,
}

/// What an operator's creation is answered with.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct CreatedTenant {
    /// The tenant.
    pub tenant: Tenant,
    /// The work that makes its home.
    pub operation: Operation,
}
