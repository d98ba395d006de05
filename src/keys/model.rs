//! A key's record and what it allows at a moment. No I/O.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::auth::caller::OperatorRole;
use crate::auth::scope::Scope;
use crate::auth::secret_key::KeyKind;
use crate::kernel::clock::Ts;
use crate::kernel::id::{KeyId, TenantId};

/// A key without its secret.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Key {
    /// Its id.
    pub id: KeyId,
    /// Whose kind of key it is.
    pub kind: KeyKind,
    /// The tenant of a tenant's API key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<TenantId>,
    /// What its maker calls it.
    pub name: String,
    /// How its text begins, to recognise it by.
    pub prefix: String,
    /// What it may do; an operator key has a role instead.
    pub scopes: BTreeSet<Scope>,
    /// The role of an operator key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<OperatorRole>,
    /// When it was made.
    pub created_at: Ts,
    /// When it ends by itself.
    pub expires_at: Option<Ts>,
    /// When it was revoked.
    pub revoked_at: Option<Ts>,
    #[serde(skip)]
    #[schema(ignore)]
    pub(crate) rev: i64,
}

/// Whether a key is good at a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It is.
    Good,
    /// It was revoked.
    Revoked,
    /// Its time is over.
    Expired,
}

impl Key {
    /// Where the key stands at `now`.
    #[must_use]
    pub fn standing(&self, now: Ts) -> Standing {
        if self.revoked_at.is_some() {
            Standing::Revoked
        } else if self.expires_at.is_some_and(|ends| ends <= now) {
            Standing::Expired
        } else {
            Standing::Good
        }
    }
}
