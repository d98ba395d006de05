//! Asking what a tenant may do; and taking from its quotas, which is asking once.

use std::sync::Arc;

use serde::Serialize;

use super::model::{Entitlement, Use, mask, metered};
use crate::app::App;
use crate::auth::{Caller, Verb};
use crate::catalog::Catalogue;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{PlanVersionId, TenantId};
use crate::metering::quota::{self, Counter, Per, Window, lending, model, till};
use crate::placement::router::{self, Resident};
use crate::subscriptions::Standing;
use crate::subscriptions::overrides::Resolved;
use crate::tenants::Handle;

/// What is asked of one feature.
#[derive(Debug)]
pub struct Question {
    /// Whose.
    pub tenant: String,
    /// Which.
    pub feature: String,
    /// How much.
    pub amount: u64,
    /// The name of a take, which is done once; `None` only asks.
    pub take: Option<String>,
}

/// The answer to a [`Question`].
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Checked {
    /// The tenant.
    pub tenant_id: TenantId,
    /// What it may.
    #[serde(flatten)]
    pub entitlement: Entitlement,
    /// Whether this was taken before, by the same `idempotency_key`, and not again.
    pub repeated: bool,
}

fn is_known(catalogue: &Catalogue, feature: &str) -> bool {
    catalogue.terms.features.contains_key(feature)
        || catalogue.plans.iter().any(|plan| plan.features.contains_key(feature))
}

/// Whether a tenant may have an amount of a feature now: from memory. A take waits for the store, and is exact.
///
/// # Errors
/// As [`Caller::may`]; not found; [`Error::Refused`] `not_metered` for a take of what is not used up, or
/// `idempotency_key_reused`; the store's, when it has to be asked.
pub async fn check(app: &App, caller: &Caller, question: Question) -> Result<Checked> {
    caller.may(Verb::CheckEntitlements)?;
    let resident = router::find(app, &Handle::parse(&question.tenant)).await?;
    let catalogue = app.catalogue.current();
    let (now, tenant_id) = (app.clock.now(), resident.id);
    let Question { feature, amount, take, .. } = question;
    let resolved = resident.grants(&catalogue).resolve(&feature, now);
    let masked = mask(resident.state, resident.standing);
    let answer = |entitlement, repeated| Ok(Checked { tenant_id, entitlement, repeated });
    let Some(metered) = metered(&resolved) else {
        if take.is_some() && matches!(resolved, Resolved::Granted(..)) {
            return Err(Error::refused(
                "not_metered",
                format!("`{feature}` is not used up, so nothing can be consumed of it"),
            ));
        }
        let known = |feature: &str| is_known(&catalogue, feature);
        return answer(Entitlement::judge(feature, resolved, masked, known, amount, None), false);
    };
    if let Some(key) = take.filter(|_| masked.is_none()) {
        let mut quotas = lending::quotas_of(&resident, &catalogue, &metered.meter, now);
        quotas.sort_by_key(|quota| *quota.feature != *feature);
        let of = model::bounds(tenant_id, &metered.meter.as_str().into(), &quotas, now);
        let amount = i64::try_from(amount).unwrap_or(i64::MAX);
        let taken = till::take(app, of, amount, key.into()).await?;
        return answer(Entitlement::taken(feature, resolved, taken.outcome), taken.repeated);
    }
    let window = Window::of(metered.per.into(), now);
    let used = match app.till.gauge.known(tenant_id, &metered.meter, window) {
        Some(used) => used,
        None => {
            let counter = Counter { tenant: tenant_id, meter: metered.meter.as_str().into(), window };
            app.till.gauge.used(&app.db, counter).await?
        }
    };
    let used = Use { used, resets_at: window.end() };
    answer(Entitlement::judge(feature, resolved, masked, |_| true, amount, Some(used)), false)
}

/// All that a tenant is granted.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Entitlements {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Its plan.
    pub plan: String,
    /// The version of that plan which it is on.
    pub plan_version: u32,
    /// That version's id.
    pub plan_version_id: PlanVersionId,
    /// How its subscription stands.
    pub subscription: Standing,
    /// A feature each, by key.
    pub data: Vec<Entitlement>,
    /// Always null: they are one page.
    pub next_cursor: Option<String>,
}

/// All that the caller's own tenant may do.
///
/// # Errors
/// As [`Caller::tenant`]; the store's.
pub async fn own(app: &App, caller: &Caller) -> Result<Entitlements> {
    let id = caller.tenant(Verb::ReadTenant)?;
    of(app, Handle::Id(id)).await
}

/// All that any tenant may do.
///
/// # Errors
/// As [`Caller::may`]; not found; the store's.
pub async fn of_any(app: &App, caller: &Caller, handle: Handle) -> Result<Entitlements> {
    caller.may(Verb::ReadTenants)?;
    of(app, handle).await
}

async fn of(app: &App, handle: Handle) -> Result<Entitlements> {
    let resident = router::find(app, &handle).await?;
    let (now, id) = (app.clock.now(), resident.id);
    let counters = app.db.read(move |conn| quota::counters_of_in(conn, id, now)).await?;
    let used = |meter: &str, per: Per| {
        let window = Window::of(per, now);
        let used = counters.get(&Counter { tenant: id, meter: meter.into(), window }).copied();
        Use { used: used.unwrap_or(0), resets_at: window.end() }
    };
    Ok(told(&resident, &app.catalogue.current(), now, used))
}

fn told(
    resident: &Arc<Resident>,
    catalogue: &Catalogue,
    now: Ts,
    used: impl Fn(&str, Per) -> Use,
) -> Entitlements {
    let masked = mask(resident.state, resident.standing);
    let one = |(name, resolved): (&str, Resolved<'_>)| {
        let used = metered(&resolved).map(|metered| used(&metered.meter, metered.per.into()));
        // Of what is counted: whether there is any left.
        Entitlement::judge(name.to_owned(), resolved, masked, |_| true, 1, used)
    };
    let version = &resident.version;
    Entitlements {
        tenant_id: resident.id,
        plan: version.plan.key.clone(),
        plan_version: version.number,
        plan_version_id: version.id,
        subscription: resident.standing,
        data: resident.grants(catalogue).all(now).into_iter().map(one).collect(),
        next_cursor: None,
    }
}
