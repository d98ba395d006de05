//! Members, and who may make whom what. No I/O.

use serde::Serialize;

use crate::auth::caller::TenantRole;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::UserId;

/// A person in a tenant.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Member {
    /// The person.
    pub user_id: UserId,
    /// Their address.
    pub email: String,
    /// What they may do here.
    pub role: TenantRole,
    /// Since when they belong to it.
    pub created_at: Ts,
    #[serde(skip)]
    #[schema(ignore)]
    pub(crate) rev: i64,
}

/// As what somebody manages members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acting {
    /// An owner, or an operator: may make anybody anything.
    Owner,
    /// An administrator: leaves owners alone.
    Admin,
    /// A program, by API key: leaves owners and administrators alone, so that a key never gains by it.
    Key,
}

impl Acting {
    /// Whether they may give a role, or change and remove somebody who holds it.
    ///
    /// # Errors
    /// [`Error::Forbidden`] `insufficient_role`.
    pub fn may_touch(self, role: TenantRole) -> Result<()> {
        let allowed = match self {
            Self::Owner => true,
            Self::Admin => role != TenantRole::Owner,
            Self::Key => !matches!(role, TenantRole::Owner | TenantRole::Admin),
        };
        if allowed {
            return Ok(());
        }
        let detail = match self {
            Self::Key => "an API key manages neither owners nor administrators",
            _ => "only an owner makes or unmakes owners",
        };
        Err(Error::forbidden("insufficient_role", detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_makes_anybody_more_than_they_are() {
        let may = |acting: Acting| {
            let all = TenantRole::ALL.into_iter().filter(|role| acting.may_touch(*role).is_ok());
            all.map(TenantRole::word).collect::<Vec<_>>()
        };
        assert_eq!(may(Acting::Owner), ["owner", "admin", "developer", "billing", "viewer"]);
        assert_eq!(may(Acting::Admin), ["admin", "developer", "billing", "viewer"]);
        assert_eq!(may(Acting::Key), ["developer", "billing", "viewer"]);
    }
}
