//! The one router: where a tenant lives and whether it may be served, from memory, by id or slug, with
//! its generation.

use std::sync::Arc;

use secrecy::SecretString;

use super::place::{PlaceState, Placement};
use super::{steps_run, store};
use crate::app::App;
use crate::db::Db;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::TenantId;
use crate::kernel::vault::Vault;
use crate::log::memory::{Freshness, Memory};
use crate::tenants::{self, Handle, State, Tenant};

/// Tenants that memory holds at most.
const CAPACITY: u64 = 200_000;

/// What the hot path needs to know of a tenant.
#[derive(Debug)]
pub struct Resident {
    /// The tenant.
    pub tenant: Tenant,
    /// Its placement, once there is one.
    pub placement: Option<Placement>,
    /// The password of its role.
    pub(super) password: SecretString,
}

impl Resident {
    /// The placement of a tenant that may be served.
    ///
    /// # Errors
    /// [`Error::Forbidden`] `tenant_suspended` or `tenant_deleting`; [`Error::Conflict`] `tenant_provisioning`.
    pub fn served(&self) -> Result<&Placement> {
        match self.tenant.state {
            State::Active => {}
            State::Provisioning => {
                return Err(Error::conflict(
                    "tenant_provisioning",
                    "the tenant's database is still being made; retry shortly",
                ));
            }
            State::Suspended => return Err(Error::forbidden("tenant_suspended", "the tenant is suspended")),
            State::Deleting => {
                return Err(Error::forbidden("tenant_deleting", "the tenant is being deleted"));
            }
            State::Deleted => return Err(Error::NotFound("tenant")),
        }
        match &self.placement {
            Some(placement) if placement.state == PlaceState::Assigned => Ok(placement),
            _ => Err(Error::internal("an active tenant has no ready placement")),
        }
    }
}

/// The router's memory.
pub struct Router {
    residents: Memory<TenantId, Resident>,
    slugs: Memory<String, TenantId>,
}

impl Router {
    /// An empty memory.
    #[must_use]
    pub fn new(freshness: &Freshness) -> Self {
        Self {
            residents: Memory::new(CAPACITY, freshness.clone()),
            slugs: Memory::new(CAPACITY, freshness.clone()),
        }
    }

    /// Looks a tenant up by id.
    ///
    /// # Errors
    /// [`Error::NotFound`] for none, or a deleted one.
    pub async fn by_id(&self, db: &Db, vault: &Vault, id: TenantId) -> Result<Arc<Resident>> {
        let found = self.residents.get(&id, || load(db.clone(), vault.clone(), id)).await?;
        found.filter(|resident| resident.tenant.state != State::Deleted).ok_or(Error::NotFound("tenant"))
    }

    /// Looks a tenant up by id or slug.
    ///
    /// # Errors
    /// As [`Router::by_id`].
    pub async fn by_handle(&self, db: &Db, vault: &Vault, handle: &Handle) -> Result<Arc<Resident>> {
        let slug = match handle {
            Handle::Id(id) => return self.by_id(db, vault, *id).await,
            Handle::Slug(slug) => slug,
        };
        // A slug can pass to another tenant: it is believed only while its tenant still bears it.
        for _ in 0..2 {
            let id = self.slugs.get(slug, || load_slug(db.clone(), slug.clone())).await?;
            if let Some(id) = id
                && let Ok(resident) = self.by_id(db, vault, *id).await
                && resident.tenant.slug == *slug
            {
                return Ok(resident);
            }
            self.slugs.forget(slug).await;
        }
        Err(Error::NotFound("tenant"))
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

async fn load(db: Db, vault: Vault, id: TenantId) -> Result<Option<Resident>> {
    let found = db
        .read(move |conn| match tenants::get_in(conn, &Handle::Id(id)) {
            Ok(tenant) => Ok(Some((tenant, store::find(conn, id)?))),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        })
        .await?;
    let Some((tenant, placement)) = found else { return Ok(None) };
    let password = match &placement {
        Some(placement) => steps_run::password(&vault, placement)?,
        None => SecretString::from(String::new()),
    };
    Ok(Some(Resident { tenant, placement, password }))
}

async fn load_slug(db: Db, slug: String) -> Result<Option<TenantId>> {
    db.read(move |conn| match tenants::get_in(conn, &Handle::Slug(slug)) {
        Ok(tenant) => Ok(Some(tenant.id)),
        Err(Error::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    })
    .await
}

/// Looks a tenant up for the hot path.
///
/// # Errors
/// As [`Router::by_handle`].
pub async fn find(app: &App, handle: &Handle) -> Result<Arc<Resident>> {
    app.router.by_handle(&app.db, &app.vault, handle).await
}
