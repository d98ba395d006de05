//! Removes a tenant whose grace is over: its home on the cluster, then everything of it in the store but
//! the record that it was.

use std::time::Duration;

use super::store as signups;
use crate::app::App;
use crate::auth::Caller;
use crate::billing;
use crate::directory;
use crate::identity as people;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{OperationId, TenantId};
use crate::keys;
use crate::log::{self, NewEvent};
use crate::mail;
use crate::metering::{self, quota};
use crate::placement::{self, steps_run};
use crate::subscriptions;
use crate::tenants::Handle;
use crate::tenants::events::TenantDeleted;
use crate::tenants::{self, ACCESS_OPERATION, DELETE_OPERATION, ONBOARD_OPERATION, State, Tenant};
use crate::webhooks;
use crate::work::runner::{Running, Worker};
use crate::work::{self, Operation};

/// The step that waits until nothing else works on the tenant.
const STOP_WORK: &str = "stop_work";
/// How long that step waits before it fails, to be tried again later.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// The step that removes the tenant from the store.
const FORGET: &str = "forget_tenant";

/// The names of the steps that remove a tenant.
///
/// # Errors
/// [`Error::Refused`] when its cluster is not configured any more.
pub fn step_names(app: &App, tenant: &Tenant) -> Result<Vec<String>> {
    let home = steps_run::removal_names(app, &tenant.cluster, tenant.id, tenant.isolation)?;
    Ok(std::iter::once(STOP_WORK.to_owned()).chain(home).chain([FORGET.to_owned()]).collect())
}

/// Does [`DELETE_OPERATION`].
pub struct Remover(pub App);

impl Worker for Remover {
    fn kind(&self) -> &'static str {
        DELETE_OPERATION
    }

    fn run<'a>(&'a self, operation: &'a Operation, step: &'a str) -> Running<'a> {
        Box::pin(async move {
            let id = operation.tenant_id.ok_or_else(|| Error::internal("the operation names no tenant"))?;
            if !self.still_wanted(id).await? {
                return Ok(());
            }
            match step {
                STOP_WORK => self.stop_work(id).await,
                FORGET => self.forget(id, operation.id).await,
                home => steps_run::remove(&self.0, id, home).await,
            }
        })
    }
}

impl Remover {
    async fn still_wanted(&self, id: TenantId) -> Result<bool> {
        let tenant = self.0.db.read(move |conn| tenants::get_in(conn, &Handle::Id(id))).await?;
        match tenant.state {
            State::Deleting => Ok(true),
            State::Deleted => Ok(false),
            other => Err(Error::conflict("tenant_not_deleting", format!("the tenant is {}", other.word()))),
        }
    }

    /// Ends what waits to work on the tenant, and waits a while for what is at work on it.
    async fn stop_work(&self, id: TenantId) -> Result<()> {
        const OTHERS: [&str; 2] = [ONBOARD_OPERATION, ACCESS_OPERATION];
        let mut moves = self.0.wake.moves();
        let patience = tokio::time::sleep(PATIENCE);
        tokio::pin!(patience);
        loop {
            let now = self.0.clock.now();
            let running = self
                .0
                .db
                .write(move |conn| {
                    for kind in OTHERS {
                        work::store::cancel_in(conn, kind, id, now, "the tenant is being deleted")?;
                    }
                    work::store::running_in(conn, &OTHERS, id)
                })
                .await?;
            if running == 0 {
                return Ok(());
            }
            tokio::select! {
                _ = moves.changed() => {}
                // Another replica's moves are not heard here.
                () = tokio::time::sleep(LOOK_AGAIN) => {}
                () = &mut patience => {
                    return Err(Error::conflict("work_running", "another operation on the tenant is still at work"));
                }
            }
        }
    }

    async fn forget(&self, id: TenantId, operation: OperationId) -> Result<()> {
        let (now, again) = (self.0.clock.now(), self.0.clone());
        let by = Caller::system("removal").because(operation);
        self.0
            .db
            .write(move |conn| {
                let tenant = tenants::get_in(conn, &Handle::Id(id))?;
                // Invoices stay: others keep books by them.
                billing::end_in(conn, &again, &by, now, id)?;
                keys::remove_of_tenant_in(conn, id)?;
                signups::remove_of_tenant_in(conn, id)?;
                people::pending::remove_of_tenant(conn, id)?;
                people::invitations::remove_of_tenant(conn, id)?;
                mail::remove_of_tenant_in(conn, id)?;
                webhooks::remove_of_tenant_in(conn, id)?;
                directory::remove_of_tenant_in(conn, id)?;
                people::remove_members_in(conn, id)?;
                placement::remove_in(conn, id)?;
                subscriptions::remove_of_tenant_in(conn, id)?;
                subscriptions::overrides::remove_of_tenant_in(conn, id)?;
                quota::remove_of_tenant_in(conn, id)?;
                metering::remove_of_tenant_in(conn, id)?;
                let mut tenant = tenant.bury(now)?;
                tenants::save_in(conn, &mut tenant)?;
                log::append_in(conn, &by, now, NewEvent::of(id, TenantDeleted {}))?;
                Ok(())
            })
            .await?;
        self.0.forget_tenant(id).await;
        self.0.wake.work();
        self.0.ring.forget_all();
        Ok(())
    }
}
