//! An invitation. No I/O.

use serde::Serialize;

use crate::auth::caller::TenantRole;
use crate::kernel::clock::Ts;
use crate::kernel::id::{InvitationId, TenantId, UserId};
use crate::words;

words! {
    /// Where an invitation stands. One that is open and past its time is shown as expired.
    InvitationState as "InvitationState", "state of an invitation" {
        /// It waits.
        Open = "open",
        /// Its person is a member.
        Accepted = "accepted",
        /// It was taken back.
        Revoked = "revoked",
        /// Its time is over.
        Expired = "expired",
    }
}

/// A place in a tenant, held for an address. Its token is in the mail alone.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Invitation {
    /// Its id.
    pub id: InvitationId,
    /// The tenant.
    pub tenant_id: TenantId,
    /// Whom it was sent to.
    pub email: String,
    /// What they will be.
    pub role: TenantRole,
    /// Where it stands.
    pub state: InvitationState,
    /// Who invited: a person, a key or an operator, by id.
    pub invited_by: String,
    /// Who took it.
    pub user_id: Option<UserId>,
    /// When it was made.
    pub created_at: Ts,
    /// When it last changed.
    pub updated_at: Ts,
    /// When its mail was last sent.
    pub sent_at: Ts,
    /// When its time is over.
    pub expires_at: Ts,
    #[serde(skip)]
    #[schema(ignore)]
    pub(crate) rev: i64,
}

impl Invitation {
    /// The same, with its state as it is at `now`.
    #[must_use]
    pub fn at(mut self, now: Ts) -> Self {
        if self.state == InvitationState::Open && self.expires_at <= now {
            self.state = InvitationState::Expired;
        }
        self
    }
}
