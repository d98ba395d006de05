//! Makes a tenant's role match the tenant's state: locked out unless active. Looks again after each
//! change, so that a suspension and a resumption that cross end as the store says.

use super::place::PlaceState;
use super::store;
use crate::app::App;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::TenantId;
use crate::tenants::{self, Handle};
use crate::tenants::{ACCESS_OPERATION, State};
use crate::work::Operation;
use crate::work::runner::{Running, Worker};

/// Applies suspension, resumption and deletion to the cluster.
pub struct AccessKeeper(pub App);

impl Worker for AccessKeeper {
    fn kind(&self) -> &'static str {
        ACCESS_OPERATION
    }

    fn run<'a>(&'a self, operation: &'a Operation, _: &'a str) -> Running<'a> {
        Box::pin(async move {
            let tenant =
                operation.tenant_id.ok_or_else(|| Error::internal("the operation names no tenant"))?;
            apply(&self.0, tenant).await
        })
    }
}

async fn wanted(app: &App, tenant: TenantId) -> Result<Option<bool>> {
    app.db
        .read(move |conn| match tenants::get_in(conn, &Handle::Id(tenant)) {
            Ok(found) if found.state == State::Deleted => Ok(None),
            Ok(found) => Ok(Some(found.state == State::Active)),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        })
        .await
}

/// Makes the role match, whatever it takes.
///
/// # Errors
/// The store's; the cluster's.
pub async fn apply(app: &App, tenant: TenantId) -> Result<()> {
    loop {
        let Some(let_in) = wanted(app, tenant).await? else { return Ok(()) };
        let placement = app.db.read(move |conn| store::find(conn, tenant)).await?;
        let Some(placement) = placement.filter(|placement| placement.state == PlaceState::Assigned) else {
            return Ok(());
        };
        let cluster = &app.clusters.get(&placement.cluster)?.cluster;
        if let_in {
            cluster.let_in(&placement.home).await?;
        } else {
            app.connections.close_tenant(tenant);
            cluster.lock_out(&placement.home).await?;
        }
        if wanted(app, tenant).await? == Some(let_in) {
            return Ok(());
        }
    }
}
