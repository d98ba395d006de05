//! Keys in memory: from a credential's text to its record without a database, and who that makes the caller.

use std::sync::Arc;

use super::model::{Key, Standing};
use super::store;
use crate::app::App;
use crate::auth::Who;
use crate::auth::secret_key::{self, KeyHash, KeyKind};
use crate::db::Db;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::KeyId;
use crate::log::memory::{Freshness, Memory};

/// Keys that memory holds at most, unknown ones included.
const CAPACITY: u64 = 1_000_000;

/// The keys' memory.
pub struct Ring {
    by_hash: Memory<KeyHash, Key>,
    hashes: moka::future::Cache<KeyId, KeyHash>,
}

impl Ring {
    /// An empty memory.
    #[must_use]
    pub fn new(freshness: &Freshness) -> Self {
        Self {
            by_hash: Memory::new(CAPACITY, freshness.clone()),
            hashes: moka::future::Cache::builder().max_capacity(CAPACITY).build(),
        }
    }

    /// Finds the key with this text.
    ///
    /// # Errors
    /// The store's.
    pub async fn find(&self, db: &Db, text: &str) -> Result<Option<Arc<Key>>> {
        let hash = secret_key::hash(text);
        let found = self.by_hash.get(&hash, || {
            let db = db.clone();
            async move { db.read(move |conn| store::by_hash(conn, &hash)).await }
        });
        let found = found.await?;
        if let Some(key) = &found
            && !self.hashes.contains_key(&key.id)
        {
            self.hashes.insert(key.id, hash).await;
        }
        Ok(found)
    }

    /// Forgets a key that changed.
    pub async fn forget(&self, id: KeyId) {
        if let Some(hash) = self.hashes.remove(&id).await {
            self.by_hash.forget(&hash).await;
        }
    }

    /// Forgets the absence of a key that was just made, should somebody have asked for it before.
    pub async fn forget_hash(&self, hash: &KeyHash) {
        self.by_hash.forget(hash).await;
    }

    /// Forgets everything.
    pub fn forget_all(&self) {
        self.by_hash.forget_all();
        self.hashes.invalidate_all();
    }
}

/// Who a key's text makes the caller.
///
/// # Errors
/// [`Error::Unauthenticated`] for an unknown, revoked or expired one.
pub async fn who(app: &App, text: &str) -> Result<Who> {
    let refused = || Error::Unauthenticated("the key is not valid".into());
    if secret_key::looks_like_key(text) && secret_key::parse(text).is_none() {
        return Err(Error::Unauthenticated(
            "this is no whole key: its checksum does not fit; check for missing letters".into(),
        ));
    }
    let key = app.ring.find(&app.db, text).await?.ok_or_else(refused)?;
    match key.standing(app.clock.now()) {
        Standing::Good => {}
        Standing::Revoked => return Err(Error::Unauthenticated("the key was revoked".into())),
        Standing::Expired => return Err(Error::Unauthenticated("the key has expired".into())),
    }
    match (key.kind, key.tenant_id, key.role) {
        (KeyKind::Tenant, Some(tenant), _) => {
            Ok(Who::TenantKey { key: key.id, tenant, scopes: key.scopes.clone() })
        }
        (KeyKind::Service, _, _) => Ok(Who::Service { key: key.id, scopes: key.scopes.clone() }),
        (KeyKind::Operator, _, Some(role)) => Ok(Who::Operator { key: key.id, role }),
        _ => Err(Error::internal("a stored key is of no kind")),
    }
}
