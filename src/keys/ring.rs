//! Keys in memory: from a credential's text to its record without a database, and who that makes the caller.
//!
//! A key's text says its id, so memory is by id and whatever changes a key can name what to forget. The text
//! is right when its hash is the record's. A credential of another shape may be the operator key that was given
//! from outside: a small memory of its own knows which id such a text has.

use std::sync::Arc;

use super::hot::HotKey;
use super::model::Standing;
use super::store;
use crate::app::App;
use crate::auth::Who;
use crate::auth::secret_key::{self, KeyHash, KeyKind};
use crate::db::Db;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::KeyId;
use crate::kernel::limits::Buckets;
use crate::log::memory::{Freshness, Memory};

/// Keys that memory holds at most.
const CAPACITY: u64 = 1_200_000;
/// Credentials of another shape that memory knows at most; as many again that are none.
const GIVEN: u64 = 256;

/// The keys' memory.
pub struct Ring {
    keys: Memory<KeyId, HotKey>,
    given: Memory<KeyHash, KeyId>,
    buckets: Arc<Buckets>,
}

impl Ring {
    /// An empty memory, whose keys' limits are counted in `buckets`.
    #[must_use]
    pub fn new(freshness: &Freshness, buckets: Arc<Buckets>) -> Self {
        Self {
            keys: Memory::new(CAPACITY, freshness.clone()),
            given: Memory::new(GIVEN, freshness.clone()),
            buckets,
        }
    }

    /// Finds the key with this text, in which [`secret_key::parse`] found `id`, if any.
    ///
    /// # Errors
    /// The store's.
    pub async fn find(&self, db: &Db, text: &str, id: Option<KeyId>) -> Result<Option<(KeyId, Arc<HotKey>)>> {
        let hash = secret_key::hash(text);
        let id = match id {
            Some(id) => id,
            None => match self.given(db, hash).await? {
                Some(id) => *id,
                None => return Ok(None),
            },
        };
        let load = || {
            let (db, buckets) = (db.clone(), Arc::clone(&self.buckets));
            async move {
                let found = db.read(move |conn| store::with_hash(conn, id)).await?;
                Ok(found.map(|(key, hash)| HotKey::new(&key, hash, &buckets)))
            }
        };
        let found = self.keys.get(&id, load).await?;
        Ok(found.filter(|key| key.is_of(&hash)).map(|key| (id, key)))
    }

    async fn given(&self, db: &Db, hash: KeyHash) -> Result<Option<Arc<KeyId>>> {
        let load = || {
            let db = db.clone();
            async move { Ok(db.read(move |conn| store::by_hash(conn, &hash)).await?.map(|key| key.id)) }
        };
        self.given.get(&hash, load).await
    }

    /// Forgets a key that changed.
    pub async fn forget(&self, id: KeyId) {
        self.keys.forget(&id).await;
    }

    /// Forgets the absence of a key that was just made, should somebody have asked for it before. That can
    /// only be a key given from outside: the id of another is new with it.
    pub async fn forget_hash(&self, hash: &KeyHash) {
        self.given.forget(hash).await;
    }

    /// Forgets everything.
    pub fn forget_all(&self) {
        self.keys.forget_all();
        self.given.forget_all();
    }
}

/// Who a key's text makes the caller, and the key.
///
/// # Errors
/// [`Error::Unauthenticated`] for an unknown, revoked, disabled or expired one.
pub async fn who(app: &App, text: &str) -> Result<(Who, Arc<HotKey>)> {
    let refused = || Error::Unauthenticated("the key is not valid".into());
    let parsed = secret_key::parse(text).map(|(_, id)| id);
    if parsed.is_none() && secret_key::looks_like_key(text) {
        return Err(Error::Unauthenticated(
            "this is no whole key: its checksum does not fit; check for missing letters".into(),
        ));
    }
    let (id, key) = app.ring.find(&app.db, text, parsed).await?.ok_or_else(refused)?;
    let now = app.clock.now();
    match key.standing(now) {
        Standing::Good => app.uses.note(id, &key, now),
        Standing::Revoked => return Err(Error::Unauthenticated("the key was revoked".into())),
        Standing::Disabled => return Err(Error::Unauthenticated("the key is switched off".into())),
        Standing::Expired => return Err(Error::Unauthenticated("the key has expired".into())),
    }
    let who = match (key.kind(), key.tenant(), key.role()) {
        (Some(KeyKind::Tenant), Some(tenant), _) => Who::TenantKey { key: id, tenant, scopes: key.scopes() },
        (Some(KeyKind::Service), _, _) => Who::Service { key: id, scopes: key.scopes() },
        (Some(KeyKind::Operator), _, Some(role)) => Who::Operator { key: id, role },
        _ => return Err(Error::internal("a stored key is of no kind")),
    };
    Ok((who, key))
}
