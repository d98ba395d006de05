//! Builds a new tenant's home when none was in stock, and makes the tenant active.

use super::verify;
use crate::app::App;
use crate::auth::Caller;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{OperationId, TenantId};
use crate::log::{self, NewEvent};
use crate::placement::place::PlaceState;
use crate::placement::{self, steps_run};
use crate::tenants::Handle;
use crate::tenants::events::{Facts, TenantProvisioned};
use crate::tenants::{self, ONBOARD_OPERATION, State};
use crate::work::runner::{Running, Worker};
use crate::work::{CANCELED, GIVEN_UP, Operation};

/// The step that takes a placement from stock.
pub const CLAIM: &str = "claim_placement";
/// The step that waits until the owner's address is confirmed.
pub const CONFIRM: &str = "confirm_address";
/// The step that makes the tenant active.
pub const ACTIVATE: &str = "activate";

/// Does [`ONBOARD_OPERATION`].
pub struct Onboarder(pub App);

impl Worker for Onboarder {
    fn kind(&self) -> &'static str {
        ONBOARD_OPERATION
    }

    fn run<'a>(&'a self, operation: &'a Operation, step: &'a str) -> Running<'a> {
        Box::pin(async move {
            let id = operation.tenant_id.ok_or_else(|| Error::internal("the operation names no tenant"))?;
            self.still_wanted(id).await?;
            match step {
                ACTIVATE => self.activate(id, operation.id).await,
                CONFIRM => verify::confirmed(&self.0, id).await,
                home => steps_run::build(&self.0, id, home).await,
            }
        })
    }
}

impl Onboarder {
    /// A tenant that is deleted while it is being made must not grow further: the removal waits for this
    /// operation to end.
    async fn still_wanted(&self, id: TenantId) -> Result<()> {
        let tenant = self.0.db.read(move |conn| tenants::get_in(conn, &Handle::Id(id))).await?;
        match tenant.state {
            State::Provisioning | State::Active => Ok(()),
            State::Deleted => Err(Error::refused(GIVEN_UP, format!("{CANCELED}the tenant is gone"))),
            other => Err(Error::conflict("tenant_not_wanted", format!("the tenant is {}", other.word()))),
        }
    }

    async fn activate(&self, id: TenantId, operation: OperationId) -> Result<()> {
        steps_run::catch_up(&self.0, id).await?;
        let (now, version) = (self.0.clock.now(), self.0.clusters.schema().version().to_owned());
        let by = Caller::system("onboarding").because(operation);
        self.0
            .db
            .write(move |conn| {
                let tenant = tenants::get_in(conn, &Handle::Id(id))?;
                if tenant.state != State::Provisioning {
                    return Ok(());
                }
                placement::built_in(conn, id, PlaceState::Assigned, &version, now)?;
                let mut tenant = tenant.activate(now)?;
                tenants::save_in(conn, &mut tenant)?;
                let provisioned = TenantProvisioned(Facts::of(&tenant));
                log::append_in(conn, &by, now, NewEvent::of(id, provisioned))?;
                Ok(())
            })
            .await?;
        self.0.forget_tenant(id).await;
        Ok(())
    }
}
