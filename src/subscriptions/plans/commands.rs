//! Moving tenants to the newest edition of their plan.

use std::sync::Arc;

use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::app::App;
use crate::auth::{Caller, Verb};
use crate::catalog::PlanVersion;
use crate::db::Conn;
use crate::http::{Answer, Attempt, Outcome};
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::TenantId;
use crate::log::{self, NewEvent};
use crate::subscriptions::apply::{Applied, apply_in, rules};
use crate::subscriptions::events::PlanTenantsMoving;
use crate::subscriptions::store;
use crate::subscriptions::view::SubscriptionView;
use crate::tenants::{self, Handle, State};
use crate::work::{self, NewOperation, Operation};

/// Kind of the operation that moves all tenants of a plan to its newest edition.
pub const MOVE_OPERATION: &str = "plan.move_tenants";
/// Tenants that a step moves at most; the last step moves whoever is left.
pub const BATCH: i64 = 200;

/// The work that moves a plan's tenants.
#[derive(Debug, Serialize, ToSchema)]
pub struct Moving {
    /// How many tenants were on earlier editions when it began.
    tenants: i64,
    /// The work: a step for each 200 of them.
    operation: Operation,
}

/// What a call comes to that names neither one tenant nor all.
#[must_use]
pub fn nobody(caller: &Caller) -> Error {
    let named = Error::field("/all", "give a tenant, or all: true");
    caller.may(Verb::ManagePlans).err().unwrap_or(named)
}

/// Moves one tenant of a plan to the plan's newest edition: what is granted changes now, what is charged with the
/// next period.
///
/// # Errors
/// As [`Caller::may`]; not found; a conflict, `other_plan`, for a tenant on another plan, or `wrong_state` for one
/// whose subscription has ended.
pub async fn move_one(app: &App, caller: &Caller, plan: String, handle: Handle) -> Result<SubscriptionView> {
    caller.may(Verb::ManagePlans)?;
    let (again, caller, now) = (app.clone(), caller.clone(), app.clock.now());
    let (applied, view) = app
        .db
        .write(move |conn| {
            let newest = newest_in(conn, &again, &plan)?;
            let tenant = tenants::get_in(conn, &handle)?;
            if tenant.state == State::Deleted {
                return Err(Error::NotFound("tenant"));
            }
            let before = store::get(conn, tenant.id)?;
            let old = again.catalogue.version_in(conn, before.version)?;
            if old.plan.key != plan {
                let detail = format!("the tenant is on the plan `{}`", old.plan.key);
                return Err(Error::conflict("other_plan", detail));
            }
            let applied = renew_in(conn, &again, &caller, tenant.id, &newest, now)?;
            let one = store::get(conn, tenant.id)?;
            let rules = rules(&again, &one.time_zone)?;
            Ok((applied, SubscriptionView::of(one, &newest, &rules)?))
        })
        .await?;
    if let Some(applied) = applied {
        applied.carried_out(app).await;
    }
    Ok(view)
}

/// Begins to move all tenants of a plan to its newest edition.
///
/// # Errors
/// As [`Caller::may`]; not found.
pub async fn move_all(
    app: &App,
    caller: &Caller,
    plan: String,
    attempt: Arc<Attempt>,
) -> Result<Answer<Moving>> {
    caller.may(Verb::ManagePlans)?;
    let (again, caller, now) = (app.clone(), caller.clone(), app.clock.now());
    let answer = app
        .db
        .write(move |conn| {
            attempt.once(conn, now, Outcome::Accepted, |conn| {
                let newest = newest_in(conn, &again, &plan)?;
                let tenants = store::count_behind(conn, &plan, newest.id)?;
                let batches = (tenants + BATCH - 1) / BATCH;
                let steps = (1..=batches.max(1)).map(|batch| format!("move_batch_{batch}")).collect();
                let input = json!({ "plan": plan });
                let new = NewOperation {
                    kind: MOVE_OPERATION,
                    tenant: None,
                    input,
                    steps,
                    begin: now,
                    done: tenants == 0,
                };
                let operation = work::store::open_in(conn, now, new)?;
                let moving = PlanTenantsMoving {
                    plan: plan.clone(),
                    plan_version: newest.number,
                    tenants,
                    operation_id: operation.id,
                };
                log::append_in(conn, &caller, now, NewEvent::global(moving))?;
                Ok(Moving { tenants, operation })
            })
        })
        .await?;
    app.wake.work();
    Ok(answer)
}

fn newest_in(conn: &mut Conn, app: &App, plan: &str) -> Result<Arc<PlanVersion>> {
    app.catalogue.newest_in(conn, plan)?.ok_or(Error::NotFound("plan"))
}

/// Puts a tenant on `newest`, unless it is there.
pub(super) fn renew_in(
    conn: &mut Conn,
    app: &App,
    caller: &Caller,
    tenant: TenantId,
    newest: &PlanVersion,
    now: Ts,
) -> Result<Option<Applied>> {
    let before = store::get(conn, tenant)?;
    let old = app.catalogue.version_in(conn, before.version)?;
    let rules = rules(app, &before.time_zone)?;
    match before.clone().renew_edition(&old, newest, &rules, now)? {
        Some(moved) => apply_in(conn, app, caller, now, &before, moved).map(Some),
        None => Ok(None),
    }
}
