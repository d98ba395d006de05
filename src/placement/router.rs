//! The one router: where a tenant lives and whether it may be served, from memory, by id or slug, with
//! its generation.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;

use super::resident::Terms;
pub use super::resident::{Placed, Resident};
use super::store;
use crate::app::App;
use crate::kernel::error::{Error, Result};
use crate::kernel::gcra::Rate;
use crate::kernel::id::TenantId;
use crate::log::memory::{Freshness, Memory};
use crate::subscriptions;
use crate::subscriptions::overrides::{self, Grants};
use crate::tenants::{self, Handle, State};

/// Tenants that memory holds at most.
const CAPACITY: u64 = 250_000;
/// Words that are held once for all tenants at most: there are as many as plans and clusters.
const WORDS: usize = 1024;

/// The router's memory.
pub struct Router {
    residents: Memory<TenantId, Resident>,
    slugs: Memory<String, TenantId>,
    words: Mutex<HashSet<Arc<str>>>,
}

impl Router {
    /// An empty memory.
    #[must_use]
    pub fn new(freshness: &Freshness) -> Self {
        Self {
            residents: Memory::new(CAPACITY, freshness.clone()),
            slugs: Memory::new(CAPACITY, freshness.clone()),
            words: Mutex::default(),
        }
    }

    fn word(&self, text: &str) -> Arc<str> {
        let mut words = self.words.lock();
        if let Some(word) = words.get(text) {
            return Arc::clone(word);
        }
        let word: Arc<str> = text.into();
        if words.len() < WORDS {
            words.insert(Arc::clone(&word));
        }
        word
    }

    /// Forgets a tenant that changed.
    pub async fn forget(&self, id: TenantId) {
        self.residents.forget(&id).await;
    }

    /// Forgets everything.
    pub fn forget_all(&self) {
        self.residents.forget_all();
        self.slugs.forget_all();
    }
}

async fn load(app: App, id: TenantId) -> Result<Option<Resident>> {
    let reader = app.clone();
    let found = app
        .db
        .read(move |conn| match tenants::get_in(conn, &Handle::Id(id)) {
            Ok(tenant) => {
                let (version, standing) = subscriptions::terms_in(conn, &reader, &tenant)?;
                let overrides = overrides::rules_of_in(conn, id, reader.clock.now())?;
                Ok(Some((tenant, store::find(conn, id)?, version, standing, overrides)))
            }
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        })
        .await?;
    let Some((tenant, placement, version, standing, overrides)) = found else { return Ok(None) };
    let limits = version.plan.limits;
    let rate = Rate { requests_per_s: limits.requests_per_s, burst: limits.burst };
    let limit = app.buckets.limit(id.uuid(), rate);
    let catalogue = app.catalogue.current();
    let grants =
        Grants { overrides: &overrides, plan: &version.plan.features, defaults: &catalogue.terms.features };
    let meter = app.settings.keys.verify_meter.as_str();
    // Whatever it is granted was another before: the purse has to be asked anew.
    let purse = grants.may_meter(meter).then(|| app.purses.of(id.uuid()));
    let terms = Terms { version, standing, limit, overrides, purse };
    Resident::new(&tenant, placement, terms, |text| app.router.word(text)).map(Some)
}

async fn load_slug(app: App, slug: String) -> Result<Option<TenantId>> {
    let found = app.db.read(move |conn| tenants::get_in(conn, &Handle::Slug(slug))).await;
    match found {
        Ok(tenant) => Ok(Some(tenant.id)),
        Err(Error::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn by_id(app: &App, id: TenantId) -> Result<Arc<Resident>> {
    let found = app.router.residents.get(&id, || load(app.clone(), id)).await?;
    found.filter(|resident| resident.state != State::Deleted).ok_or(Error::NotFound("tenant"))
}

/// Looks a tenant up by id or slug.
///
/// # Errors
/// [`Error::NotFound`] for none, or a deleted one; the store's.
pub async fn find(app: &App, handle: &Handle) -> Result<Arc<Resident>> {
    let slug = match handle {
        Handle::Id(id) => return by_id(app, *id).await,
        Handle::Slug(slug) => slug,
    };
    // A slug can pass to another tenant: it is believed only while its tenant still bears it.
    for _ in 0..2 {
        let id = app.router.slugs.get(slug, || load_slug(app.clone(), slug.clone())).await?;
        if let Some(id) = id
            && let Ok(resident) = by_id(app, *id).await
            && resident.slug() == slug
        {
            return Ok(resident);
        }
        app.router.slugs.forget(slug).await;
    }
    Err(Error::NotFound("tenant"))
}
