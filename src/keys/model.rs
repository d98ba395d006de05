//! A key's record and what it allows at a moment. No I/O.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::auth::caller::OperatorRole;
use crate::auth::scope::Scope;
use crate::auth::secret_key::KeyKind;
use crate::kernel::clock::Ts;
use crate::kernel::gcra::Rate;
use crate::kernel::id::{KeyId, TenantId};
use crate::words;

words! {
    /// What a key is for.
    Environment as "Environment", "environment" {
        /// Real use.
        Live = "live",
        /// Trying things out.
        Test = "test",
    }
}

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
    /// What it is for.
    pub environment: Environment,
    /// What its maker notes about it: up to 50 short texts by name.
    pub metadata: BTreeMap<String, String>,
    /// A limit of its own, below the plan's; none when only the plan's counts.
    pub rate_limit: Option<Rate>,
    /// When it was made.
    pub created_at: Ts,
    /// When it ends by itself.
    pub expires_at: Option<Ts>,
    /// When it was revoked.
    pub revoked_at: Option<Ts>,
    /// Since when it is switched off.
    pub disabled_at: Option<Ts>,
    /// When it was last used, at most a minute behind; never when absent.
    pub last_used_at: Option<Ts>,
    /// The key that took its place when it was rotated.
    pub successor_id: Option<KeyId>,
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
    /// It is switched off.
    Disabled,
    /// Its time is over.
    Expired,
}

impl Key {
    /// Where the key stands at `now`.
    #[must_use]
    pub fn standing(&self, now: Ts) -> Standing {
        if self.revoked_at.is_some() {
            Standing::Revoked
        } else if self.disabled_at.is_some() {
            Standing::Disabled
        } else if self.expires_at.is_some_and(|ends| ends <= now) {
            Standing::Expired
        } else {
            Standing::Good
        }
    }
}
