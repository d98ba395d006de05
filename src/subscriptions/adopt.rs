//! The beginning of subscriptions: with their tenant, or later for tenants of a store from before there were any.

use serde_json::json;
use uuid::Uuid;

use super::apply;
use super::model::{Standing, Subscription, bill};
use super::money::{hand_over_in, invoice_in};
use super::store;
use crate::app::App;
use crate::auth::Caller;
use crate::catalog::PlanVersion;
use crate::db::Conn;
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::kernel::id::TenantId;
use crate::log::{self, NewEvent};
use crate::tenants::{self, Handle, Tenant};

/// Tenants that one transaction takes up.
const BATCH: i64 = 1_000;

/// Begins a new tenant's subscription, on the newest edition of its plan.
///
/// # Errors
/// The store's.
pub fn begin_in(conn: &mut Conn, app: &App, caller: &Caller, tenant: &Tenant, now: Ts) -> Result<()> {
    let version = app.catalogue.newest_or_default_in(conn, &tenant.plan)?;
    let name = &app.settings.billing.time_zone;
    let rules = apply::rules(app, name)?;
    let mut one = Subscription::begin(tenant.id, &version, name, &rules.zone, now)?;
    if one.state == Standing::Active
        && let Some(bill) = bill::of_period(&one, &version)?
    {
        let open_since = invoice_in(conn, app, caller, now, &one, (bill, Vec::new()))?;
        one = one.owe(open_since, &rules, now)?;
    }
    store::insert(conn, &one)?;
    hand_over_in(conn, app, caller, now, None, &one, &version)?;
    created_in(conn, caller, &one, &version, now)
}

fn created_in(
    conn: &mut Conn,
    caller: &Caller,
    one: &Subscription,
    version: &PlanVersion,
    now: Ts,
) -> Result<()> {
    let data = json!({ "subscription_id": one.id, "before": null, "after": apply::facts(one, version) });
    log::append_in(conn, caller, now, NewEvent::of(one.tenant, "subscription.created", data)).map(drop)
}

/// Gives tenants of a store from before there were subscriptions one each: their first period begins now and is
/// not charged, for nobody knows what was charged before. A plan that was never loaded gives way to the default.
///
/// # Errors
/// The store's.
pub async fn adopt(app: &App) -> Result<usize> {
    let (mut all, mut reached) = (0, TenantId::from_uuid(Uuid::nil()));
    loop {
        let (again, now) = (app.clone(), app.clock.now());
        // Mostly there is none: that takes no write.
        if app.db.read(move |conn| store::without(conn, reached, 1)).await?.is_empty() {
            return Ok(all);
        }
        let adopted = app
            .db
            .write(move |conn| {
                let found = store::without(conn, reached, BATCH)?;
                for id in &found {
                    adopt_in(conn, &again, &Handle::Id(*id), now)?;
                }
                Ok(found)
            })
            .await?;
        all += adopted.len();
        reached = adopted.last().copied().unwrap_or(reached);
        for id in adopted {
            app.forget_tenant(id).await;
        }
    }
}

fn adopt_in(conn: &mut Conn, app: &App, handle: &Handle, now: Ts) -> Result<()> {
    let mut tenant = tenants::get_in(conn, handle)?;
    let version = app.catalogue.newest_or_default_in(conn, &tenant.plan)?;
    let name = &app.settings.billing.time_zone;
    let mut without_trial = PlanVersion::clone(&version);
    without_trial.plan.trial_days = 0;
    let zone = apply::rules(app, name)?.zone;
    let one = Subscription::begin(tenant.id, &without_trial, name, &zone, now)?;
    store::insert(conn, &one)?;
    if tenant.plan != version.plan.key {
        version.plan.key.clone_into(&mut tenant.plan);
        tenants::save_in(conn, &mut tenant)?;
    }
    created_in(conn, &Caller::system("subscriptions"), &one, &version, now)
}
