//! What memory holds of a key: enough to answer for it at any moment, in about a hundred bytes, so that a
//! million fit. The name, the notes and the dates are in the store.

use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use super::model::{Key, Standing};
use crate::auth::caller::OperatorRole;
use crate::auth::scope::Scopes;
use crate::auth::secret_key::{KeyHash, KeyKind};
use crate::kernel::clock::Ts;
use crate::kernel::id::TenantId;
use crate::kernel::limits::{Buckets, Limit};

/// Stands for no tenant; no id that is minted is this one.
const NOBODY: TenantId = TenantId::from_uuid(Uuid::nil());

/// A key as the hot path knows it.
#[derive(Debug)]
pub struct HotKey {
    hash: KeyHash,
    /// The nil id for a key that is no tenant's: an option would take eight bytes more.
    tenant: TenantId,
    /// What it may do.
    pub scopes: Scopes,
    /// Whose kind of key it is.
    pub kind: KeyKind,
    /// The role of an operator key.
    pub role: Option<OperatorRole>,
    revoked: bool,
    disabled: bool,
    /// Microseconds since 1970; [`i64::MAX`] for never.
    expires: i64,
    /// Few keys have one: behind a pointer it costs the others eight bytes.
    limit: Option<Box<Limit>>,
}

impl HotKey {
    /// What to hold of `key`, whose text has this hash.
    #[must_use]
    pub fn new(key: &Key, hash: KeyHash, buckets: &Buckets) -> Self {
        Self {
            hash,
            tenant: key.tenant_id.unwrap_or(NOBODY),
            scopes: Scopes::from(&key.scopes),
            kind: key.kind,
            role: key.role,
            revoked: key.revoked_at.is_some(),
            disabled: key.disabled_at.is_some(),
            expires: key.expires_at.map_or(i64::MAX, Ts::micros),
            limit: key.rate_limit.map(|rate| Box::new(buckets.limit(key.id.uuid(), rate))),
        }
    }

    /// Whether `hash` is that of its text.
    #[must_use]
    pub fn is_of(&self, hash: &KeyHash) -> bool {
        self.hash.ct_eq(hash).into()
    }

    /// The tenant of a tenant's API key.
    #[must_use]
    pub fn tenant(&self) -> Option<TenantId> {
        Some(self.tenant).filter(|tenant| *tenant != NOBODY)
    }

    /// Its own limit.
    #[must_use]
    pub fn limit(&self) -> Option<&Limit> {
        self.limit.as_deref()
    }

    /// Where it stands at `now`; as [`Key::standing`].
    #[must_use]
    pub fn standing(&self, now: Ts) -> Standing {
        if self.revoked {
            Standing::Revoked
        } else if self.disabled {
            Standing::Disabled
        } else if self.expires <= now.micros() {
            Standing::Expired
        } else {
            Standing::Good
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::id::KeyId;
    use crate::keys::model::Environment;

    #[test]
    fn it_is_small_and_stands_where_the_key_stands() {
        assert!(size_of::<HotKey>() <= 72, "{} bytes", size_of::<HotKey>());
        let at = |second: i64| Ts::from_micros(second * 1_000_000);
        let now = at(10).unwrap();
        let kinds = KeyKind::ALL.into_iter().cycle();
        for ((revoked, disabled, expires), kind) in [
            (None, None, None),
            (at(5), None, None),
            (None, at(5), None),
            (at(5), at(5), at(5)),
            (None, at(1), at(20)),
            (None, None, at(9)),
            (None, None, at(10)),
            (None, None, at(11)),
        ]
        .into_iter()
        .zip(kinds)
        {
            let key = Key {
                id: KeyId::mint(),
                kind,
                tenant_id: (kind == KeyKind::Tenant).then(TenantId::mint),
                name: String::new(),
                prefix: String::new(),
                scopes: [].into(),
                role: None,
                environment: Environment::Live,
                metadata: [].into(),
                rate_limit: None,
                created_by: String::new(),
                created_at: at(0).unwrap(),
                expires_at: expires,
                revoked_at: revoked,
                disabled_at: disabled,
                last_used_at: None,
                successor_id: None,
                rev: 1,
            };
            let hot = HotKey::new(&key, [7; 32], &Buckets::default());
            assert_eq!(hot.standing(now), key.standing(now), "{key:?}");
            assert_eq!(hot.tenant(), key.tenant_id);
            assert!(hot.is_of(&[7; 32]) && !hot.is_of(&[8; 32]));
        }
    }
}
