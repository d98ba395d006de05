//! An operator who is a person. No I/O.

use serde::Serialize;

use crate::auth::caller::OperatorRole;
use crate::kernel::clock::Ts;
use crate::kernel::id::OperatorUserId;
use crate::words;

words! {
    /// Where an operator stands.
    Standing as "OperatorState", "state of an operator" {
        /// Made, without a password yet.
        Invited = "invited",
        /// May sign in.
        Active = "active",
        /// May not for now.
        Disabled = "disabled",
    }
}

/// An operator.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Operator {
    /// Their id.
    pub id: OperatorUserId,
    /// Their address.
    pub email: String,
    /// What they may do.
    pub role: OperatorRole,
    /// Where they stand.
    pub state: Standing,
    /// When they were made.
    pub created_at: Ts,
    /// When they last changed.
    pub updated_at: Ts,
    /// Since when they may not sign in.
    pub disabled_at: Option<Ts>,
    /// Until when the token to set a password is good.
    pub setup_expires_at: Option<Ts>,
    #[serde(skip)]
    #[schema(ignore)]
    pub(crate) rev: i64,
}
