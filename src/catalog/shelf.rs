//! What is sold, in memory: the plans as they are sold now, and every edition that somebody holds. Editions
//! never change, so one that was loaded once is never stale; which of them are sold now is news of the log.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::RwLock;

use super::model::{Catalogue, Terms};
use super::store;
use super::version::PlanVersion;
use crate::db::{Conn, Db};
use crate::kernel::error::{Error, Result};
use crate::kernel::id::PlanVersionId;

/// The plans on sale, and all editions that were asked for.
pub struct Shelf {
    on_sale: RwLock<OnSale>,
    versions: RwLock<HashMap<PlanVersionId, Arc<PlanVersion>>>,
    default_plan: String,
}

#[derive(Default)]
struct OnSale {
    /// The load that put them there.
    number: i64,
    catalogue: Arc<Catalogue>,
    plans: BTreeMap<String, Arc<PlanVersion>>,
}

impl Shelf {
    /// What the store says is on sale.
    ///
    /// # Errors
    /// The store's.
    pub async fn open(db: &Db, default_plan: String) -> Result<Self> {
        let shelf = Self { on_sale: RwLock::default(), versions: RwLock::default(), default_plan };
        shelf.reload(db).await?;
        Ok(shelf)
    }

    /// Looks at the store again: somebody loaded a catalogue.
    ///
    /// # Errors
    /// The store's.
    pub async fn reload(&self, db: &Db) -> Result<()> {
        let (number, terms, held) = db
            .read(|conn| {
                let (number, terms) = store::last(conn)?;
                Ok((number, terms, store::held(conn)?))
            })
            .await?;
        let sold = held.into_iter().filter(|one| !one.archived).map(|one| one.current).collect();
        self.put(number, terms, sold);
        Ok(())
    }

    fn put(&self, number: i64, terms: Terms, sold: Vec<PlanVersion>) {
        let catalogue = Catalogue { plans: sold.iter().map(|version| version.plan.clone()).collect(), terms };
        let plans: Vec<Arc<PlanVersion>> = sold.into_iter().map(|version| self.keep(version)).collect();
        let mut on_sale = self.on_sale.write();
        // Two looks at once may end in either order.
        if number >= on_sale.number {
            let plans = plans.into_iter().map(|version| (version.plan.key.clone(), version)).collect();
            *on_sale = OnSale { number, catalogue: Arc::new(catalogue), plans };
        }
    }

    /// The one copy of an edition.
    fn keep(&self, version: PlanVersion) -> Arc<PlanVersion> {
        Arc::clone(self.versions.write().entry(version.id).or_insert_with(|| Arc::new(version)))
    }

    /// The plans on sale.
    #[must_use]
    pub fn current(&self) -> Arc<Catalogue> {
        Arc::clone(&self.on_sale.read().catalogue)
    }

    /// The edition in which a plan is sold.
    #[must_use]
    pub fn on_sale(&self, key: &str) -> Option<Arc<PlanVersion>> {
        self.on_sale.read().plans.get(key).map(Arc::clone)
    }

    /// An edition, when it was asked for before.
    #[must_use]
    pub fn version(&self, id: PlanVersionId) -> Option<Arc<PlanVersion>> {
        self.versions.read().get(&id).map(Arc::clone)
    }

    /// An edition, read when it was not asked for before.
    ///
    /// # Errors
    /// [`Error::Internal`] for an id that is none; the store's.
    pub fn version_in(&self, conn: &mut Conn, id: PlanVersionId) -> Result<Arc<PlanVersion>> {
        if let Some(version) = self.version(id) {
            return Ok(version);
        }
        let read = store::version(conn, id)?.ok_or_else(|| Error::internal(format!("{id} is not there")))?;
        Ok(self.keep(read))
    }

    /// The edition in which a plan is sold, or was last: as the transaction sees it.
    ///
    /// # Errors
    /// The store's.
    pub fn newest_in(&self, conn: &mut Conn, key: &str) -> Result<Option<Arc<PlanVersion>>> {
        store::current_id(conn, key)?.map(|id| self.version_in(conn, id)).transpose()
    }

    /// The edition in which a plan is sold, none once it is archived: as the transaction sees it.
    ///
    /// # Errors
    /// The store's.
    pub fn sold_in(&self, conn: &mut Conn, key: &str) -> Result<Option<Arc<PlanVersion>>> {
        store::sold_id(conn, key)?.map(|id| self.version_in(conn, id)).transpose()
    }

    /// The edition in which a plan is sold, or was last; that of the default plan for one that never was.
    ///
    /// # Errors
    /// The store's.
    pub fn newest_or_default_in(&self, conn: &mut Conn, key: &str) -> Result<Arc<PlanVersion>> {
        if let Some(version) = self.newest_in(conn, key)? {
            return Ok(version);
        }
        self.newest_in(conn, &self.default_plan)?
            .ok_or_else(|| Error::internal("the default plan was never loaded"))
    }
}
