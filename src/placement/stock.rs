//! The stock of ready placements: built in the background, so that a signup takes one with a conditional
//! update. Each is built by an ordinary operation, with its steps and retries to see.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::place::PlaceState;
use super::{steps_run, stock_failed, store};
use crate::app::App;
use crate::db::Conn;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::TenantId;
use crate::kernel::isolation::Isolation;
use crate::work::runner::{Running, Worker};
use crate::work::{self, NewOperation, Operation};

/// Kind of the operation that builds a placement for the stock.
pub const STOCK_OPERATION: &str = "placement.stock";
/// Kind of the operation that removes a stocked placement of an older application schema.
pub const RETIRE_OPERATION: &str = "placement.retire";
const SHELVE: &str = "shelve";
const FORGET: &str = "forget_placement";
const PERIOD: Duration = Duration::from_secs(5);

/// Keeps the stock full until `stop`.
pub async fn keep(app: App, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Err(error) = refill(&app).await {
            tracing::warn!(error = %error, cause = error.cause().map(tracing::field::display), "the stock of placements could not be refilled");
        }
        tokio::select! {
            () = app.stock_taken.notified() => {}
            () = tokio::time::sleep(PERIOD) => {}
            () = stop.cancelled() => {}
        }
    }
}

/// The models that signups may ask for: the default one and those of the plans.
fn models(app: &App) -> BTreeSet<Isolation> {
    app.catalogue
        .current()
        .plans
        .iter()
        .filter_map(|plan| plan.isolation)
        .chain([app.settings.tenancy.isolation])
        .collect()
}

async fn refill(app: &App) -> Result<()> {
    let mut opened = retire_stale(app).await? + stock_failed::take_up(app).await?;
    for (name, _) in app.clusters.iter() {
        for isolation in models(app) {
            let target = target(app, name, isolation);
            if target > 0 {
                opened += top_up(app, name, isolation, target).await?;
            }
        }
    }
    if opened > 0 {
        app.wake.work();
    }
    Ok(())
}

async fn top_up(app: &App, cluster: &str, isolation: Isolation, target: i64) -> Result<usize> {
    let (again, cluster) = (app.clone(), cluster.to_owned());
    let level = {
        let (cluster, version) = (cluster.clone(), app.clusters.schema().version().to_owned());
        app.db.read(move |conn| store::stock_level(conn, &cluster, isolation, &version)).await?
    };
    if level >= target {
        return Ok(0);
    }
    let now = app.clock.now();
    app.db
        .write(move |conn| {
            let version = again.clusters.schema().version();
            let missing = target - store::stock_level(conn, &cluster, isolation, version)?;
            let mut opened = 0;
            for _ in 0..missing.max(0) {
                stock_in(conn, &again, &cluster, isolation, now, now)?;
                opened += 1;
            }
            Ok(opened)
        })
        .await
}

/// Opens the building of one more placement, which begins at `begin`.
pub(super) fn stock_in(
    conn: &mut Conn,
    app: &App,
    cluster: &str,
    isolation: Isolation,
    now: Ts,
    begin: Ts,
) -> Result<()> {
    let tenant = TenantId::mint();
    let placement = app.clusters.begin(&app.vault, tenant, cluster, isolation, now)?;
    let mut steps = steps_run::build_names(app, cluster, &placement.home)?;
    steps.push(SHELVE.to_owned());
    store::insert(conn, &placement)?;
    let input = json!({ "placement": tenant });
    let new = NewOperation { kind: STOCK_OPERATION, tenant: None, input, steps, begin, done: false };
    work::store::open_in(conn, now, new).map(drop)
}

/// How many placements of this kind should lie ready on a cluster; none where it takes no new tenants.
pub(super) fn target(app: &App, cluster: &str, isolation: Isolation) -> i64 {
    let wanted = app
        .clusters
        .get(cluster)
        .is_ok_and(|configured| configured.settings.accepts_new && configured.cluster.supports(isolation));
    if wanted && models(app).contains(&isolation) {
        i64::from(app.settings.tenancy.stock.of(isolation))
    } else {
        0
    }
}

async fn retire_stale(app: &App) -> Result<usize> {
    let version = app.clusters.schema().version().to_owned();
    let stale = {
        let version = version.clone();
        app.db.read(move |conn| store::stale_stock(conn, &version)).await?
    };
    let mut opened = 0;
    for placement in stale {
        let (again, now, tenant) = (app.clone(), app.clock.now(), placement.home.tenant);
        opened += app
            .db
            .write(move |conn| match store::find(conn, tenant)? {
                Some(found) if found.state == PlaceState::Stocked => retire_in(conn, &again, tenant, now),
                _ => Ok(0),
            })
            .await?;
    }
    Ok(opened)
}

/// Opens the removal of a placement that no tenant has; answers how many operations it opened.
///
/// # Errors
/// The store's; [`Error::Conflict`] when a tenant has it.
pub fn retire_in(conn: &mut Conn, app: &App, tenant: TenantId, now: Ts) -> Result<usize> {
    let Some(placement) = store::find(conn, tenant)? else { return Ok(0) };
    if placement.state == PlaceState::Assigned {
        return Err(Error::conflict("placement_assigned", "the placement is a tenant's"));
    }
    store::shift(conn, tenant, placement.state, PlaceState::Removing, now)?;
    let mut steps = steps_run::removal_names(app, &placement.cluster, tenant, placement.home.isolation)?;
    steps.push(FORGET.to_owned());
    let input = json!({ "placement": tenant });
    let new = NewOperation { kind: RETIRE_OPERATION, tenant: None, input, steps, begin: now, done: false };
    work::store::open_in(conn, now, new)?;
    Ok(1)
}

/// The placement that an operation of the stock is about.
#[must_use]
pub fn placement_in(input: &serde_json::Value) -> Option<TenantId> {
    input.get("placement")?.as_str()?.parse().ok()
}

fn placement_of(operation: &Operation) -> Result<TenantId> {
    placement_in(&operation.input).ok_or_else(|| Error::internal("the operation names no placement"))
}

/// Builds placements for the stock.
pub struct Stocker(pub App);

impl Worker for Stocker {
    fn kind(&self) -> &'static str {
        STOCK_OPERATION
    }

    fn given_up(&self) {
        self.0.stock_taken.notify_one();
    }

    fn run<'a>(&'a self, operation: &'a Operation, step: &'a str) -> Running<'a> {
        Box::pin(async move {
            let tenant = placement_of(operation)?;
            let placement = self.0.db.read(move |conn| store::find(conn, tenant)).await?;
            // It is shelved already, or was given up and is being removed.
            if placement.is_none_or(|found| found.state != PlaceState::Building) {
                return Ok(());
            }
            if step != SHELVE {
                return steps_run::build(&self.0, tenant, step).await;
            }
            steps_run::catch_up(&self.0, tenant).await?;
            let (version, now) = (self.0.clusters.schema().version().to_owned(), self.0.clock.now());
            self.0
                .db
                .write(move |conn| store::built(conn, tenant, PlaceState::Stocked, &version, now).map(drop))
                .await
        })
    }
}

/// Removes stocked placements that nobody will take.
pub struct Retirer(pub App);

impl Worker for Retirer {
    fn kind(&self) -> &'static str {
        RETIRE_OPERATION
    }

    fn given_up(&self) {
        self.0.stock_taken.notify_one();
    }

    fn run<'a>(&'a self, operation: &'a Operation, step: &'a str) -> Running<'a> {
        Box::pin(async move {
            let tenant = placement_of(operation)?;
            if step == FORGET {
                return self.0.db.write(move |conn| store::remove(conn, tenant)).await;
            }
            steps_run::remove(&self.0, tenant, step).await
        })
    }
}

/// The workers of the stock.
#[must_use]
pub fn workers(app: &App) -> Vec<Arc<dyn Worker>> {
    vec![Arc::new(Stocker(app.clone())), Arc::new(Retirer(app.clone()))]
}
