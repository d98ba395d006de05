//! A key's record and what it allows at a moment; what is asked for a new or a changed one ([`wish`]), and who
//! may grant what ([`grant`]). No I/O.

pub mod grant;
pub mod wish;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;

use crate::auth::caller::OperatorRole;
use crate::auth::scope::Scope;
pub use crate::auth::secret_key::Environment;
use crate::auth::secret_key::{KeyKind, NewKey};
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::gcra::Rate;
use crate::kernel::id::{KeyId, TenantId};
use crate::words;

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
    /// Who made it: a person or another key, by id. A key stays when its maker goes.
    pub created_by: String,
    /// When it was made.
    pub created_at: Ts,
    /// When it ends by itself.
    pub expires_at: Option<Ts>,
    /// When it was revoked.
    pub revoked_at: Option<Ts>,
    /// Since when it is switched off.
    pub disabled_at: Option<Ts>,
    /// When it was last used, to the second and at most a minute behind; never when absent.
    pub last_used_at: Option<Ts>,
    /// The key that took its place when it was rotated.
    pub successor_id: Option<KeyId>,
    #[serde(skip)]
    #[schema(ignore)]
    pub(crate) rev: i64,
}

/// A key with its state, as its readers see it.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct KeyView {
    /// Whether it works, and why not; the first reason counts in the order revoked, disabled, expired.
    pub state: Standing,
    /// Its record.
    #[serde(flatten)]
    pub record: Key,
}

/// A key on its creation: the one answer that holds its text.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct CreatedKey {
    /// The whole key. It is not shown again.
    pub key: String,
    /// Its record.
    #[serde(flatten)]
    pub record: KeyView,
}

/// A key that takes another one's place: the one answer that holds its text.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct RotatedKey {
    /// The key it replaces.
    pub replaces: KeyId,
    /// When that one ends.
    pub replaced_ends_at: Ts,
    /// The new key.
    #[serde(flatten)]
    pub new: CreatedKey,
}

words! {
    /// Whether a key is good at a moment.
    Standing as "KeyState", "state of a key" {
        /// It is.
        Good = "active",
        /// It is switched off.
        Disabled = "disabled",
        /// Its time is over.
        Expired = "expired",
        /// It was revoked.
        Revoked = "revoked",
    }
}

impl Key {
    /// Where the key stands at `now`.
    #[must_use]
    pub fn standing(&self, now: Ts) -> Standing {
        if self.revoked_at.is_some() {
            Standing::Revoked
        } else if self.disabled_at.is_some() {
            Standing::Disabled
        } else if self.is_over(now) {
            Standing::Expired
        } else {
            Standing::Good
        }
    }

    /// As its readers see it at `now`.
    #[must_use]
    pub fn view(self, now: Ts) -> KeyView {
        KeyView { state: self.standing(now), record: self }
    }

    fn is_over(&self, now: Ts) -> bool {
        self.expires_at.is_some_and(|ends| ends <= now)
    }

    /// Whether it takes one of the places that the plan has. A key that is switched off can be switched on, so
    /// it does; one that a successor replaces has handed its place on.
    #[must_use]
    pub fn counts(&self, now: Ts) -> bool {
        self.revoked_at.is_none() && self.successor_id.is_none() && !self.is_over(now)
    }

    /// Whether an operator could do everything with it at `now`.
    #[must_use]
    pub fn is_good_admin(&self, now: Ts) -> bool {
        self.role == Some(OperatorRole::Admin) && self.standing(now) == Standing::Good
    }

    /// Revokes it, for good.
    #[must_use]
    pub fn revoked(&self, now: Ts) -> Self {
        Self { revoked_at: Some(now), ..self.clone() }
    }

    /// The key that takes this one's place, and this one as it is from now on: good for `overlap` more, or
    /// until its own end when that is sooner. A key with an end passes on how long it was to live, counted
    /// anew.
    ///
    /// # Errors
    /// [`Error::Conflict`] `already_rotated`, or `wrong_state` for one that is not good.
    pub fn rotated(
        &self,
        new: &NewKey,
        created_by: &str,
        overlap: Duration,
        now: Ts,
    ) -> Result<(Self, Self)> {
        if let Some(successor) = self.successor_id {
            return Err(Error::conflict(
                "already_rotated",
                format!("{successor} has taken the place of this key: rotate that one"),
            ));
        }
        let standing = self.standing(now);
        if standing != Standing::Good {
            return Err(Error::conflict(
                "wrong_state",
                format!("the key is {standing}; only one that works can be rotated"),
            ));
        }
        let end = now.plus(overlap);
        let old = Self {
            successor_id: Some(new.id),
            expires_at: Some(self.expires_at.map_or(end, |own| own.min(end))),
            ..self.clone()
        };
        let successor = Self {
            id: new.id,
            prefix: new.prefix.clone(),
            created_by: created_by.to_owned(),
            created_at: now,
            expires_at: self.expires_at.map(|own| now.plus(own.since(self.created_at))),
            last_used_at: None,
            rev: 1,
            ..self.clone()
        };
        Ok((successor, old))
    }
}
