//! What memory holds of a key: enough to answer for it at any moment, in about a hundred bytes, so that a
//! million fit. The name, the notes and the dates are in the store.

use std::sync::atomic::{AtomicU32, Ordering};

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

/// In `marks`: the scopes, then the kind, the role (0 for none) and the two switches.
const SCOPES: u32 = (1 << 24) - 1;
const KIND: u32 = 24;
const ROLE: u32 = 26;
const REVOKED: u32 = 1 << 28;
const DISABLED: u32 = 1 << 29;

/// In `used`: the use waits to be written. Below it seconds since [`BEGAN`], which lasts until 2088.
const WAITS: u32 = 1 << 31;
/// 2020-01-01T00:00:00Z, in seconds since 1970.
const BEGAN: i64 = 1_577_836_800;

/// A key as the hot path knows it.
#[derive(Debug)]
pub struct HotKey {
    hash: KeyHash,
    /// The nil id for a key that is no tenant's: an option would take eight bytes more.
    tenant: TenantId,
    marks: u32,
    used: AtomicU32,
    /// Microseconds since 1970; [`i64::MAX`] for never.
    expires: i64,
    /// Few keys have one: behind a pointer it costs the others eight bytes.
    limit: Option<Box<Limit>>,
}

fn place<T: PartialEq>(all: &[T], one: &T) -> u32 {
    all.iter().position(|known| known == one).and_then(|at| u32::try_from(at).ok()).unwrap_or(0)
}

fn at<T: Copy>(all: &[T], place: u32) -> Option<T> {
    all.get(usize::try_from(place & 3).ok()?).copied()
}

impl HotKey {
    /// What to hold of `key`, whose text has this hash.
    #[must_use]
    pub fn new(key: &Key, hash: KeyHash, buckets: &Buckets) -> Self {
        let role = key.role.map_or(0, |role| place(&OperatorRole::ALL, &role) + 1);
        let mut marks = Scopes::from(&key.scopes).bits() & SCOPES;
        marks |= place(&KeyKind::ALL, &key.kind) << KIND | role << ROLE;
        marks |= if key.revoked_at.is_some() { REVOKED } else { 0 };
        marks |= if key.disabled_at.is_some() { DISABLED } else { 0 };
        Self {
            hash,
            tenant: key.tenant_id.unwrap_or(NOBODY),
            marks,
            used: AtomicU32::new(0),
            expires: key.expires_at.map_or(i64::MAX, Ts::micros),
            limit: key.rate_limit.map(|rate| Box::new(buckets.limit(key.id.uuid(), rate))),
        }
    }

    /// What it may do.
    #[must_use]
    pub fn scopes(&self) -> Scopes {
        Scopes::of_bits(self.marks & SCOPES)
    }

    /// Whose kind of key it is.
    #[must_use]
    pub fn kind(&self) -> Option<KeyKind> {
        at(&KeyKind::ALL, self.marks >> KIND)
    }

    /// The role of an operator key.
    #[must_use]
    pub fn role(&self) -> Option<OperatorRole> {
        at(&OperatorRole::ALL, ((self.marks >> ROLE) & 3).checked_sub(1)?)
    }

    /// Notes a use, to the second; whether none waited to be written yet.
    #[must_use]
    pub fn note_use(&self, now: Ts) -> bool {
        let second = u32::try_from(now.seconds().saturating_sub(BEGAN)).unwrap_or(0) & !WAITS;
        let wanted = second | WAITS;
        // Many use one key at once: whoever finds it noted leaves the line alone.
        self.used.load(Ordering::Relaxed) != wanted && self.used.swap(wanted, Ordering::Relaxed) & WAITS == 0
    }

    /// The latest use that was noted, which waits no longer.
    #[must_use]
    pub fn take_use(&self) -> Ts {
        let second = self.used.fetch_and(!WAITS, Ordering::Relaxed) & !WAITS;
        let micros = (i64::from(second) + BEGAN).saturating_mul(1_000_000);
        Ts::from_micros(micros).unwrap_or(Ts::EPOCH)
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
        if self.marks & REVOKED != 0 {
            Standing::Revoked
        } else if self.marks & DISABLED != 0 {
            Standing::Disabled
        } else if self.expires <= now.micros() {
            Standing::Expired
        } else {
            Standing::Good
        }
    }
}

#[cfg(test)]
impl HotKey {
    /// A key about which nothing is known.
    pub(super) fn sample() -> Self {
        Self {
            hash: [7; 32],
            tenant: NOBODY,
            marks: 0,
            used: AtomicU32::new(0),
            expires: i64::MAX,
            limit: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::scope::{Scope, ScopeKind};
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
                scopes: Scope::all_of(ScopeKind::Tenant).into_iter().collect(),
                role: (kind == KeyKind::Operator).then_some(OperatorRole::Viewer),
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
            assert_eq!(
                (hot.kind(), hot.role(), hot.scopes()),
                (Some(kind), key.role, Scopes::from(&key.scopes))
            );
            assert!(hot.is_of(&[7; 32]) && !hot.is_of(&[8; 32]));
        }
    }

    #[test]
    fn a_use_waits_once_and_the_latest_is_told() {
        assert!(Scope::ALL.len() <= 24 && KeyKind::ALL.len() <= 4 && OperatorRole::ALL.len() <= 3);
        let at = |second: i64| Ts::from_micros((BEGAN + second) * 1_000_000 + 5).unwrap();
        let hot = HotKey::sample();
        assert!(hot.note_use(at(10)));
        assert!(!hot.note_use(at(10)) && !hot.note_use(at(12)));
        assert_eq!(hot.take_use().seconds(), BEGAN + 12);
        assert!(hot.note_use(at(12)), "a use after the writing waits again, in the same second too");
    }
}
