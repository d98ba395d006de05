//! What happens to keys. Other replicas forget a key by the `key_id` of its events.

use std::collections::BTreeSet;

use serde::Serialize;
use utoipa::ToSchema;

use super::model::Key;
use crate::auth::caller::OperatorRole;
use crate::auth::scope::Scope;
use crate::auth::secret_key::{Environment, KeyKind};
use crate::facts;
use crate::kernel::clock::Ts;
use crate::kernel::gcra::Rate;
use crate::kernel::id::KeyId;

/// Which key.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = KeyFacts)]
pub struct Which {
    /// The key.
    pub key_id: KeyId,
    /// Whose kind of key it is.
    pub kind: KeyKind,
}

impl Which {
    /// This one.
    #[must_use]
    pub fn of(key: &Key) -> Self {
        Self { key_id: key.id, kind: key.kind }
    }
}

/// A key with its settings. What its maker notes about it stays out: that may be private.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = KeySettingsFacts)]
pub struct Settings {
    /// The key.
    pub key_id: KeyId,
    /// Whose kind of key it is.
    pub kind: KeyKind,
    /// What its maker calls it.
    #[schema(example = "backend")]
    pub name: String,
    /// What it may do.
    pub scopes: BTreeSet<Scope>,
    /// The role of an operator key.
    pub role: Option<OperatorRole>,
    /// What it is for.
    pub environment: Environment,
    /// When it ends by itself.
    pub expires_at: Option<Ts>,
    /// A limit of its own.
    pub rate_limit: Option<Rate>,
    /// What was changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(["name"]))]
    pub changed: Option<Vec<String>>,
}

impl Settings {
    /// Those of `key`.
    #[must_use]
    pub fn of(key: &Key) -> Self {
        Self {
            key_id: key.id,
            kind: key.kind,
            name: key.name.clone(),
            scopes: key.scopes.clone(),
            role: key.role,
            environment: key.environment,
            expires_at: key.expires_at,
            rate_limit: key.rate_limit,
            changed: None,
        }
    }
}

facts! {
    /// A key was made.
    ApiKeyCreated = "api_key.created", Tenant (Settings)
    /// A key has other settings.
    ApiKeyUpdated = "api_key.updated", Tenant (Settings)
    /// A key was revoked: it is refused from now on.
    ApiKeyRevoked = "api_key.revoked", Tenant (Which)
    /// A key was switched off.
    ApiKeyDisabled = "api_key.disabled", Tenant (Which)
    /// A key was switched on again.
    ApiKeyEnabled = "api_key.enabled", Tenant (Which)

    /// A key was given a successor.
    ApiKeyRotated = "api_key.rotated", Tenant {
        /// The key.
        pub key_id: KeyId,
        /// Whose kind of key it is.
        pub kind: KeyKind,
        /// Its successor.
        pub successor_id: KeyId,
        /// When the old one ends.
        pub expires_at: Ts,
    }
}
