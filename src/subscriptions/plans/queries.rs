//! Reading the catalogue with its tenants.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::{Caller, Verb};
use crate::catalog::{self, Plan, PlanVersion};
use crate::db::Conn;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::PlanVersionId;
use crate::subscriptions::store;

/// A plan, sold or archived.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PlanOverview {
    /// The edition that is sold, or was last.
    #[serde(flatten)]
    pub plan: Plan,
    /// The number of that edition.
    pub version: u32,
    /// The id of that edition.
    pub version_id: PlanVersionId,
    /// When it was taken off sale.
    pub archived_at: Option<Ts>,
    /// Tenants on any edition of it, those whose subscription ended not counted.
    pub tenants: i64,
    /// Its editions, newest first.
    pub versions: Vec<VersionOverview>,
}

/// An edition, and who is on it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct VersionOverview {
    /// Its id.
    pub id: PlanVersionId,
    /// Its number.
    pub number: u32,
    /// When it was first loaded.
    pub created_at: Ts,
    /// Tenants on it.
    pub tenants: i64,
}

/// Every plan, those that are archived or not public included, in the order of the catalogue.
///
/// # Errors
/// As [`Caller::may`]; the store's.
pub async fn list(app: &App, caller: &Caller) -> Result<Vec<PlanOverview>> {
    caller.may(Verb::ReadConfig)?;
    app.db.read(overview).await
}

fn overview(conn: &mut Conn) -> Result<Vec<PlanOverview>> {
    let counts: BTreeMap<PlanVersionId, i64> = store::count_by_version(conn)?.into_iter().collect();
    let archived: BTreeMap<String, Ts> = catalog::archived_in(conn)?.into_iter().collect();
    let mut all = Vec::new();
    for held in catalog::held_in(conn)? {
        let key = held.current.plan.key.clone();
        let versions = catalog::versions_of_in(conn, &key)?;
        let of = |version: &PlanVersion| VersionOverview {
            id: version.id,
            number: version.number,
            created_at: version.created_at,
            tenants: counts.get(&version.id).copied().unwrap_or(0),
        };
        let versions: Vec<VersionOverview> = versions.iter().map(of).collect();
        all.push(PlanOverview {
            version: held.current.number,
            version_id: held.current.id,
            archived_at: archived.get(&key).copied(),
            tenants: versions.iter().map(|version| version.tenants).sum(),
            versions,
            plan: held.current.plan,
        });
    }
    Ok(all)
}

/// A plan with its editions, whole.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct PlanDetail {
    #[serde(flatten)]
    overview: PlanOverview,
    /// What each edition granted, newest first.
    editions: Vec<PlanVersion>,
}

/// One plan, sold or archived.
///
/// # Errors
/// As [`list`]; [`Error::NotFound`].
pub async fn get(app: &App, caller: &Caller, key: String) -> Result<PlanDetail> {
    caller.may(Verb::ReadConfig)?;
    app.db
        .read(move |conn| {
            let found = overview(conn)?.into_iter().find(|one| one.plan.key == key);
            let overview = found.ok_or(Error::NotFound("plan"))?;
            Ok(PlanDetail { editions: catalog::versions_of_in(conn, &key)?, overview })
        })
        .await
}
