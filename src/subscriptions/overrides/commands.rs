//! Making, ending and reading overrides.

use std::sync::Arc;

use super::model::{Override, OverrideView, Wanted};
use super::store;
use crate::app::App;
use crate::auth::{Caller, Verb};
use crate::catalog::Feature;
use crate::db::Conn;
use crate::http::{Answer, Attempt, IfMatch, Outcome};
use crate::kernel::error::{Error, Result};
use crate::kernel::id::OverrideId;
use crate::kernel::page::{Page, PageRequest};
use crate::log::{self, NewEvent};
use crate::subscriptions;
use crate::subscriptions::events::{EntitlementOverrideCreated, EntitlementOverrideEnded};
use crate::tenants::{self, Handle, State, Tenant};

fn tenant_in(conn: &mut Conn, handle: &Handle) -> Result<Tenant> {
    let tenant = tenants::get_in(conn, handle)?;
    if tenant.state == State::Deleted { Err(Error::NotFound("tenant")) } else { Ok(tenant) }
}

/// All that the catalogue says of a feature, in any plan on sale, by default, or in `held`, the version that the
/// tenant is on.
fn known(app: &App, feature: &str, held: Option<&Feature>) -> Vec<Feature> {
    let catalogue = app.catalogue.current();
    let plans = catalogue.plans.iter().filter_map(|plan| plan.features.get(feature));
    let default = catalogue.terms.features.get(feature).and_then(|term| term.default.as_ref());
    plans.chain(default).chain(held).cloned().collect()
}

/// Grants a tenant a feature, or takes one away.
///
/// # Errors
/// As [`Caller::may`]; not found; [`Error::Invalid`] as [`Wanted::check`].
pub async fn create(
    app: &App,
    caller: &Caller,
    handle: Handle,
    wanted: Wanted,
    attempt: Arc<Attempt>,
) -> Result<Answer<OverrideView>> {
    caller.may(Verb::ManageEntitlements)?;
    let (now, again, caller) = (app.clock.now(), app.clone(), caller.clone());
    let id = OverrideId::mint();
    let (answer, tenant) = app
        .db
        .write(move |conn| {
            let tenant = tenant_in(conn, &handle)?;
            let answer = attempt.once(conn, now, Outcome::Created, |conn| {
                let version = subscriptions::version_in(conn, &again, &tenant)?;
                let known = known(&again, &wanted.feature, version.plan.features.get(&wanted.feature));
                wanted.check(&known.iter().collect::<Vec<_>>(), now)?;
                let new = Override {
                    id,
                    tenant_id: tenant.id,
                    feature: wanted.feature.clone(),
                    value: wanted.value.clone(),
                    revoke: wanted.revoke,
                    starts_at: wanted.starts_at.unwrap_or(now),
                    ends_at: wanted.ends_at,
                    reason: wanted.reason.trim().to_owned(),
                    created_by: caller.actor(),
                    created_at: now,
                    ended_by: None,
                    rev: 1,
                };
                store::insert(conn, &new)?;
                let created = EntitlementOverrideCreated {
                    override_id: id,
                    feature: new.feature.clone(),
                    value: new.value.clone(),
                    revoke: new.revoke,
                    starts_at: new.starts_at,
                    ends_at: new.ends_at,
                    reason: new.reason.clone(),
                };
                log::append_in(conn, &caller, now, NewEvent::of(tenant.id, created))?;
                Ok(new.view(now))
            })?;
            Ok((answer, tenant.id))
        })
        .await?;
    app.forget_tenant(tenant).await;
    Ok(answer)
}

/// Ends an override now; one that has ended stays as it is.
///
/// # Errors
/// As [`Caller::may`]; not found, also for another tenant's; another revision than `if_match` names.
pub async fn end(
    app: &App,
    caller: &Caller,
    handle: Handle,
    id: OverrideId,
    if_match: IfMatch,
) -> Result<OverrideView> {
    caller.may(Verb::ManageEntitlements)?;
    let (now, caller) = (app.clock.now(), caller.clone());
    let ended = app
        .db
        .write(move |conn| {
            let tenant = tenant_in(conn, &handle)?;
            let before = store::get(conn, tenant.id, id)?;
            if_match.check(before.rev)?;
            let mut after = before.clone().ended(now, &caller.actor());
            if after != before {
                store::save(conn, &mut after)?;
                let ended = EntitlementOverrideEnded { override_id: id, feature: after.feature.clone() };
                log::append_in(conn, &caller, now, NewEvent::of(tenant.id, ended))?;
            }
            Ok(after)
        })
        .await?;
    app.forget_tenant(ended.tenant_id).await;
    Ok(ended.view(now))
}

/// A page of a tenant's overrides, newest first.
///
/// # Errors
/// As [`Caller::may`]; not found.
pub async fn list(
    app: &App,
    caller: &Caller,
    handle: Handle,
    feature: Option<String>,
    request: PageRequest,
) -> Result<Page<OverrideView>> {
    caller.may(Verb::ReadTenants)?;
    let page = app
        .db
        .read(move |conn| {
            let tenant = tenant_in(conn, &handle)?;
            store::page(conn, tenant.id, feature.as_deref(), request)
        })
        .await?;
    let now = app.clock.now();
    Ok(page.map(|one| one.view(now)))
}

/// One of a tenant's overrides.
///
/// # Errors
/// As [`Caller::may`]; not found, also for another tenant's.
pub async fn one(app: &App, caller: &Caller, handle: Handle, id: OverrideId) -> Result<OverrideView> {
    caller.may(Verb::ReadTenants)?;
    let found = app
        .db
        .read(move |conn| {
            let tenant = tenant_in(conn, &handle)?;
            store::get(conn, tenant.id, id)
        })
        .await?;
    Ok(found.view(app.clock.now()))
}
