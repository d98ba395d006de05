//! Mending, one finding at a time. Each is looked at once more before it is touched.

use serde_json::json;

use super::Mend;
use super::told::read_store;
use crate::app::App;
use crate::auth::Caller;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{OperationId, TenantId};
use crate::kernel::isolation::Isolation;
use crate::log::{self, NewEvent};
use crate::onboarding::worker::ACTIVATE;
use crate::placement::steps::{BuildStep, RemovalStep};
use crate::placement::{self, steps_run, stock};
use crate::tenants::{self, ACCESS_OPERATION, DELETE_OPERATION, ONBOARD_OPERATION};
use crate::work::events::OperationRetried;
use crate::work::{self, NewOperation};

pub(super) async fn mend(app: &App, mend: &Mend) -> Result<()> {
    match mend {
        Mend::ByHand => Err(Error::refused("by_hand", "this is not for a program to decide")),
        Mend::RemoveHome { cluster, tenant, isolation, .. } => {
            remove_home(app, cluster, *tenant, *isolation).await
        }
        Mend::RemoveDebris { cluster, name } => {
            if read_store(app).await?.at_work() {
                return Err(Error::conflict("work_running", "operations are at work; try again after them"));
            }
            app.clusters.get(cluster)?.cluster.drop_debris(name).await
        }
        Mend::Rebuild { tenant } => rebuild(app, *tenant).await,
        Mend::Reopen { operation } => reopen(app, *operation).await,
        Mend::Release { operation } => {
            let (id, now) = (*operation, app.clock.now());
            app.db.write(move |conn| work::store::release_stalled_in(conn, id, now)).await?;
            app.wake.work();
            Ok(())
        }
        Mend::Open { kind, tenant } => open_operation(app, kind, *tenant).await,
        Mend::Retire { tenant } => retire(app, *tenant).await,
    }
}

async fn remove_home(app: &App, cluster: &str, tenant: TenantId, isolation: Isolation) -> Result<()> {
    let cluster = &app.clusters.get(cluster)?.cluster;
    let home = cluster.home(tenant, isolation)?;
    for step in RemovalStep::of(cluster.engine(), &home) {
        if app.db.read(move |conn| placement::find_in(conn, tenant)).await?.is_some() {
            return Err(Error::conflict("home_in_use", "it has an owner by now"));
        }
        cluster.run_removal_step(step, &home).await?;
    }
    Ok(())
}

/// Makes a lost login again. The data is there, and building steps leave what is there as it is.
async fn rebuild(app: &App, tenant: TenantId) -> Result<()> {
    let placement = app.db.read(move |conn| placement::get_in(conn, tenant)).await?;
    let cluster = &app.clusters.get(&placement.cluster)?.cluster;
    for step in BuildStep::of(cluster.engine(), &placement.home) {
        if !matches!(step, BuildStep::CreateSchema | BuildStep::CreateDatabase) {
            steps_run::build(app, tenant, step.name()).await?;
        }
    }
    // A new role may sign in; whether its tenant may is the tenant's state.
    open_operation(app, ACCESS_OPERATION, tenant).await
}

async fn reopen(app: &App, id: OperationId) -> Result<()> {
    let now = app.clock.now();
    app.db
        .write(move |conn| {
            let operation = work::store::retry_in(conn, id, now)?;
            let retried = OperationRetried { operation_id: id, kind: operation.kind };
            let event = NewEvent::about(operation.tenant_id, retried);
            log::append_in(conn, &Caller::system("doctor"), now, event).map(drop)
        })
        .await?;
    app.wake.work();
    Ok(())
}

async fn open_operation(app: &App, kind: &'static str, id: TenantId) -> Result<()> {
    let (again, now) = (app.clone(), app.clock.now());
    app.db
        .write(move |conn| {
            let tenant = tenants::get_in(conn, &tenants::Handle::Id(id))?;
            let steps = match kind {
                ONBOARD_OPERATION => {
                    let placement = placement::get_in(conn, id)?;
                    let mut steps = steps_run::build_names(&again, &placement.cluster, &placement.home)?;
                    steps.push(ACTIVATE.to_owned());
                    steps
                }
                DELETE_OPERATION => again.removal_steps(&tenant)?,
                _ => vec!["apply_access".to_owned()],
            };
            let begin = tenant.delete_at.filter(|_| kind == DELETE_OPERATION).unwrap_or(now);
            let new = NewOperation { kind, tenant: Some(id), input: json!({}), steps, begin, done: false };
            work::store::open_in(conn, now, new).map(drop)
        })
        .await?;
    app.wake.work();
    Ok(())
}

async fn retire(app: &App, tenant: TenantId) -> Result<()> {
    let (again, now) = (app.clone(), app.clock.now());
    app.db.write(move |conn| stock::retire_in(conn, &again, tenant, now).map(drop)).await?;
    app.wake.work();
    Ok(())
}
