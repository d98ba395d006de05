//! What becomes of the stock's work that was given up, so that the shelf fills again by itself and nothing
//! half-built stays.
//!
//! A building that stands failed is not tried for ever: what there is of its home is removed, and another
//! placement is begun after the longest wait between two tries. A removal that stands failed is taken up
//! again after that wait. While a cluster still has such removals before it, failed buildings are taken up
//! again as well instead of being replaced, so that an outage leaves no more of them than the shelf has room for.

use std::collections::{BTreeSet, HashMap};

use super::place::{PlaceState, Placement};
use super::stock::{RETIRE_OPERATION, STOCK_OPERATION, placement_in, retire_in, stock_in, target};
use super::store;
use crate::app::App;
use crate::auth::Caller;
use crate::db::Conn;
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::kernel::id::{OperationId, TenantId};
use crate::log::{self, NewEvent};
use crate::work;
use crate::work::events::OperationRetried;

/// A placement that is no tenant's, with the operation on it that was given up.
struct Wreck {
    operation: OperationId,
    at: Ts,
    placement: Placement,
}

/// Takes up what stands failed; answers how many operations became due by it.
pub(super) async fn take_up(app: &App) -> Result<usize> {
    let (wrecks, clearing) = app.db.read(find).await?;
    let mut moved = 0;
    for wreck in wrecks {
        let (again, now) = (app.clone(), app.clock.now());
        if app.clusters.get(&wreck.placement.cluster).is_err() {
            continue;
        }
        let pause = app.settings.operations.backoff_max;
        let rested = now.since(wreck.at) >= pause;
        let replace =
            wreck.placement.state == PlaceState::Building && !clearing.contains(&wreck.placement.cluster);
        if replace {
            tracing::warn!(operation = %wreck.operation, placement = %wreck.placement.home.tenant, "a placement for the stock could not be built: it is removed, and another one is begun later");
            moved += app.db.write(move |conn| replace_in(conn, &again, &wreck, now, now.plus(pause))).await?;
        } else if rested {
            moved += app.db.write(move |conn| retry_in(conn, &wreck, now)).await?;
        }
    }
    Ok(moved)
}

/// What was given up, and the clusters that have homes of the stock to remove.
fn find(conn: &mut Conn) -> Result<(Vec<Wreck>, BTreeSet<String>)> {
    let loose = store::loose(conn)?;
    if loose.is_empty() {
        return Ok((Vec::new(), BTreeSet::new()));
    }
    let removing = loose.iter().filter(|one| one.state == PlaceState::Removing);
    let clearing = removing.map(|one| one.cluster.clone()).collect();
    let mut loose: HashMap<TenantId, Placement> =
        loose.into_iter().map(|placement| (placement.home.tenant, placement)).collect();
    let mut wrecks = Vec::new();
    for failed in work::store::given_up(conn, &[STOCK_OPERATION, RETIRE_OPERATION])? {
        let Some(tenant) = placement_in(&failed.input) else { continue };
        let about = if failed.kind == STOCK_OPERATION { PlaceState::Building } else { PlaceState::Removing };
        if loose.get(&tenant).is_some_and(|placement| placement.state == about)
            && let Some(placement) = loose.remove(&tenant)
        {
            wrecks.push(Wreck { operation: failed.id, at: failed.at, placement });
        }
    }
    Ok((wrecks, clearing))
}

/// Whether it still is as it was found: a call may have made the operation go on meanwhile.
fn unchanged(conn: &mut Conn, wreck: &Wreck) -> Result<bool> {
    let placement = store::find(conn, wreck.placement.home.tenant)?;
    Ok(placement.is_some_and(|found| found.state == wreck.placement.state)
        && work::store::get(conn, wreck.operation)?.state == work::State::Failed)
}

fn replace_in(conn: &mut Conn, app: &App, wreck: &Wreck, now: Ts, begin: Ts) -> Result<usize> {
    if !unchanged(conn, wreck)? {
        return Ok(0);
    }
    let (cluster, isolation) = (&wreck.placement.cluster, wreck.placement.home.isolation);
    let mut opened = retire_in(conn, app, wreck.placement.home.tenant, now)?;
    let level = store::stock_level(conn, cluster, isolation, app.clusters.schema().version())?;
    if level < target(app, cluster, isolation) {
        stock_in(conn, app, cluster, isolation, now, begin)?;
        opened += 1;
    }
    Ok(opened)
}

fn retry_in(conn: &mut Conn, wreck: &Wreck, now: Ts) -> Result<usize> {
    if !unchanged(conn, wreck)? {
        return Ok(0);
    }
    let operation = work::store::retry_in(conn, wreck.operation, now)?;
    let retried = OperationRetried { operation_id: operation.id, kind: operation.kind };
    log::append_in(conn, &Caller::system("stock"), now, NewEvent::global(retried))?;
    Ok(1)
}
