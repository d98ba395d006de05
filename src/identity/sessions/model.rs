//! What a session is. No I/O.

use std::time::Duration;

use serde::Serialize;

use crate::auth::caller::TenantRole;
use crate::kernel::clock::Ts;
use crate::kernel::id::{SessionId, TenantId, UserId};
use crate::words;

/// How long a spent refresh token that comes again from where it was spent is taken for a second tab or a
/// lost answer: it gets nothing, and ends nothing.
pub const GRACE: Duration = Duration::from_secs(10);

words! {
    /// Whose session it is.
    SessionKind as "SessionKind", "kind of session" {
        /// A member's.
        Member = "member",
        /// An operator's, in a member's stead.
        Impersonation = "impersonation",
        /// An operator's own.
        Operator = "operator",
    }
}

words! {
    /// Why a session ended.
    EndReason as "SessionEndReason", "reason of a session's end" {
        /// Its person signed out.
        SignedOut = "signed_out",
        /// Its person, or an administrator of the tenant, ended it.
        Revoked = "revoked",
        /// A spent refresh token came back: somebody else may hold a copy.
        TokenReused = "token_reused",
        /// The password was changed or reset.
        PasswordChanged = "password_changed",
        /// The address was changed.
        EmailChanged = "email_changed",
        /// The person is no longer a member.
        MemberRemoved = "member_removed",
        /// The operator was disabled or removed.
        OperatorRemoved = "operator_removed",
        /// Newer sessions of the same person took its place.
        Superseded = "superseded",
        /// Its time was over.
        Expired = "expired",
    }
}

/// A session as its person and the tenant's administrators see it.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct SessionView {
    /// Its id, the `sid` of its access tokens.
    pub id: SessionId,
    /// Whose it is.
    pub kind: SessionKind,
    /// The person, or the one in whose stead it is.
    pub user_id: Option<UserId>,
    /// The tenant.
    pub tenant_id: Option<TenantId>,
    /// Where it was last used from.
    pub address: Option<String>,
    /// With what.
    pub user_agent: Option<String>,
    /// Since when.
    pub created_at: Ts,
    /// When it was last refreshed.
    pub used_at: Ts,
    /// When it ends unless it is refreshed.
    pub expires_at: Ts,
    /// Whether it is the one that asks.
    pub current: bool,
    /// Who acts in the member's stead, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub impersonation: Option<Visit>,
}

/// An operator's visit to a tenant.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Visit {
    /// The operator.
    pub operator: String,
    /// The role, when it is not in one member's stead.
    pub role: Option<TenantRole>,
    /// Why, in the operator's words.
    pub reason: String,
}
