//! Does the operation that moves a plan's tenants to its newest edition: so many a step, each tenant in a
//! transaction of its own. Who was moved is no longer behind, so a step done twice moves nobody twice.

use super::commands::{BATCH, MOVE_OPERATION, renew_in};
use crate::app::App;
use crate::auth::Caller;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::TenantId;
use crate::subscriptions::store;
use crate::work::Operation;
use crate::work::runner::{Running, Worker};

/// Does [`MOVE_OPERATION`].
pub struct Mover(pub App);

impl Worker for Mover {
    fn kind(&self) -> &'static str {
        MOVE_OPERATION
    }

    fn run<'a>(&'a self, operation: &'a Operation, step: &'a str) -> Running<'a> {
        Box::pin(async move {
            let plan = operation.input.get("plan").and_then(|plan| plan.as_str()).unwrap_or_default();
            let is_last = operation.steps.last().is_some_and(|last| last.name == step);
            let by = Caller::system("plans").because(operation.id);
            while self.batch(plan, &by).await? > 0 {
                if !is_last {
                    break;
                }
            }
            Ok(())
        })
    }
}

impl Mover {
    async fn batch(&self, plan: &str, by: &Caller) -> Result<usize> {
        let (again, key) = (self.0.clone(), plan.to_owned());
        let behind = self
            .0
            .db
            .read(move |conn| match again.catalogue.newest_in(conn, &key)? {
                Some(newest) => store::behind(conn, &key, newest.id, BATCH),
                None => Ok(Vec::new()),
            })
            .await?;
        for tenant in &behind {
            self.renew(plan, *tenant, by).await?;
        }
        Ok(behind.len())
    }

    async fn renew(&self, plan: &str, tenant: TenantId, by: &Caller) -> Result<()> {
        let (again, plan, now, by) = (self.0.clone(), plan.to_owned(), self.0.clock.now(), by.clone());
        let moved = self
            .0
            .db
            .write(move |conn| {
                let newest = again.catalogue.newest_in(conn, &plan)?.ok_or(Error::NotFound("plan"))?;
                let before = store::get(conn, tenant)?;
                // It may have changed to another plan meanwhile.
                if again.catalogue.version_in(conn, before.version)?.plan.key != plan {
                    return Ok(None);
                }
                renew_in(conn, &again, &by, tenant, &newest, now)
            })
            .await;
        match moved {
            Ok(Some(applied)) => applied.carried_out(&self.0).await,
            // Ended or removed meanwhile: nobody is left to move.
            Ok(None) | Err(Error::NotFound(_) | Error::Conflict { .. }) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
