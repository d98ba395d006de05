//! Keys in memory: from a credential's text to its record without a database, and who that makes the caller.

use std::sync::Arc;
use std::time::Duration;

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
    /// Keys that changed lately: for loads that were under way and not yet known by id.
    changed: moka::future::Cache<KeyId, ()>,
}

impl Ring {
    /// An empty memory.
    #[must_use]
    pub fn new(freshness: &Freshness) -> Self {
        Self {
            by_hash: Memory::new(CAPACITY, freshness.clone()),
            hashes: moka::future::Cache::builder().max_capacity(CAPACITY).build(),
            // Longer than any load takes.
            changed: moka::future::Cache::builder()
                .max_capacity(CAPACITY)
                .time_to_live(Duration::from_secs(120))
                .build(),
        }
    }

    /// Finds the key with this text.
    ///
    /// # Errors
    /// The store's.
    pub async fn find(&self, db: &Db, text: &str) -> Result<Option<Arc<Key>>> {
        let hash = secret_key::hash(text);
        let load = || {
            let db = db.clone();
            async move { db.read(move |conn| store::by_hash(conn, &hash)).await }
        };
        let found = self.by_hash.get(&hash, load).await?;
        let Some(key) = found.as_ref().filter(|key| !self.hashes.contains_key(&key.id)) else {
            return Ok(found);
        };
        self.hashes.insert(key.id, hash).await;
        // Whoever forgot the key before this line did not find its hash: forget what was loaded for them.
        if self.changed.contains_key(&key.id) {
            self.by_hash.forget(&hash).await;
            return self.by_hash.get(&hash, load).await;
        }
        Ok(found)
    }

    /// Forgets a key that changed.
    pub async fn forget(&self, id: KeyId) {
        self.changed.insert(id, ()).await;
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
    let now = app.clock.now();
    match key.standing(now) {
        Standing::Good => app.uses.note(key.id, now),
        Standing::Revoked => return Err(Error::Unauthenticated("the key was revoked".into())),
        Standing::Disabled => return Err(Error::Unauthenticated("the key is switched off".into())),
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
