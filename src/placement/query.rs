//! The data door's command: whose statement, with which access, where; and a repair when a tenant has
//! spoiled its own role.

use std::sync::Arc;

use super::door::{Access, Answer, Caps, Place, Statement, Target};
use super::router::{self, Placed, Resident};
use crate::app::App;
use crate::auth::{Caller, Verb};
use crate::kernel::error::{Error, Result};
use crate::subscriptions::Standing;
use crate::tenants::Handle;

/// What a statement is refused with that writes where it may only read.
const READ_ONLY: &str = "25006";

/// Runs one statement inside the caller's own tenant.
///
/// # Errors
/// As [`Caller::tenant`]; [`Resident::served`]; [`Error::Forbidden`] `tenant_read_only` for a write while the
/// tenant's subscription is restricted; those of
/// [`TenantConnections::query`](super::connections::TenantConnections::query).
pub async fn run(app: &App, caller: &Caller, statement: &Statement) -> Result<Answer> {
    let (tenant, access) = match caller.tenant(Verb::WriteData) {
        Ok(tenant) => (tenant, Access::Write),
        Err(_) => (caller.tenant(Verb::ReadData)?, Access::Read),
    };
    let door = &app.settings.data_door;
    let caps = Caps {
        rows: door.max_rows,
        bytes: door.max_bytes,
        timeout: door.statement_timeout,
        memory_bytes: door.sqlite_max_memory_bytes,
        file_bytes: door.sqlite_max_file_bytes,
    };
    let mut repaired = false;
    loop {
        let resident = router::find(app, &Handle::Id(tenant)).await?;
        let held_back = access == Access::Write && resident.standing == Standing::Restricted;
        let access = if held_back { Access::Read } else { access };
        let target = target(app, &resident, resident.served()?)?;
        match app.connections.query(&target, statement, access, caps).await {
            Err(Error::Unavailable { code: "database_credentials_refused", .. }) if !repaired => {
                repaired = true;
                repair(app, &resident).await?;
            }
            // Moved or suspended between look-up and use: look again once.
            Err(Error::Unavailable { code: "placement_changed", .. }) if !repaired => {
                repaired = true;
                app.router.forget(tenant).await;
            }
            Err(Error::Sql(problem)) if held_back && problem.sqlstate == READ_ONLY => {
                let detail = "the tenant's data can only be read: an invoice is unpaid";
                return Err(Error::forbidden("tenant_read_only", detail));
            }
            other => return other,
        }
    }
}

/// A role's holder may change its own password and settings: put them back as they were.
async fn repair(app: &App, resident: &Arc<Resident>) -> Result<()> {
    let placement = resident.served()?;
    tracing::warn!(tenant = %resident.id, "the tenant's role refused its credentials; resetting them");
    let cluster = &app.clusters.get(placement.cluster)?.cluster;
    cluster.reset_credentials(&placement.home(), &placement.password(&app.vault)?).await
}

fn target(app: &App, resident: &Resident, placement: Placed<'_>) -> Result<Target> {
    let configured = app.clusters.get(placement.cluster)?;
    let home = placement.home();
    let place = match (&configured.server, configured.cluster.file_of(&home)) {
        (Some(server), _) => Place::Postgres {
            server: Arc::clone(server),
            role: home.role()?.to_owned(),
            database: home.database,
            schema: home.schema,
            password: placement.password(&app.vault)?,
        },
        (None, Some(path)) => Place::Sqlite { cluster: placement.cluster.to_owned(), path },
        (None, None) => return Err(Error::internal("a cluster is of no engine")),
    };
    Ok(Target { tenant: resident.id, generation: placement.generation, place })
}
