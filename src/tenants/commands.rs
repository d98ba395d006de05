//! Changing tenants. Each is one transaction: the row, its event, and the operation that carries the
//! change out to the cluster; memory forgets the old facts before the answer leaves.

use std::time::Duration;

use serde_json::json;

use super::events::{TenantDeletionScheduled, TenantRestored, TenantResumed, TenantSuspended, TenantUpdated};
use super::model::{State, Tenant};
use super::store::{self, Handle};
use super::{ACCESS_OPERATION, DELETE_OPERATION};
use crate::app::App;
use crate::auth::{Caller, Verb};
use crate::db::Conn;
use crate::http::IfMatch;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{OperationId, TenantId};
use crate::kernel::slug::Slug;
use crate::log::{self, NewEvent};
use crate::work::{self, NewOperation, Operation, failpoint};

/// When the worker looks after an access change that the command should have carried out by then.
const INLINE_ACCESS: Duration = Duration::from_secs(3);

/// What a patch changes; `None` stays.
#[derive(Debug, Clone, Default)]
pub struct Patch {
    /// A new name.
    pub name: Option<String>,
    /// A new slug, as typed.
    pub slug: Option<String>,
}

/// Changes any tenant.
///
/// # Errors
/// As [`Caller::may`]; not found; a bad or taken slug; another revision than `if_match` names.
pub async fn patch(
    app: &App,
    caller: &Caller,
    handle: Handle,
    patch: Patch,
    if_match: IfMatch,
) -> Result<Tenant> {
    caller.may(Verb::ManageTenants)?;
    patch_it(app, caller, handle, patch, if_match).await
}

/// Changes the caller's own tenant.
///
/// # Errors
/// As [`patch`].
pub async fn patch_own(app: &App, caller: &Caller, patch: Patch, if_match: IfMatch) -> Result<Tenant> {
    let id = caller.tenant(Verb::ManageTenant)?;
    let own = app.db.read(move |conn| store::get(conn, &Handle::Id(id))).await?;
    if own.state == State::Suspended {
        return Err(Error::forbidden("tenant_suspended", "the tenant is suspended"));
    }
    patch_it(app, caller, Handle::Id(id), patch, if_match).await
}

async fn patch_it(
    app: &App,
    caller: &Caller,
    handle: Handle,
    patch: Patch,
    if_match: IfMatch,
) -> Result<Tenant> {
    let slug = match &patch.slug {
        None => None,
        Some(text) => Some(
            Slug::parse(text, &app.settings.tenancy.reserved_slugs)
                .map_err(|detail| Error::field("/slug", detail))?,
        ),
    };
    change(app, caller, handle, if_match, move |conn, caller, mut tenant, now| {
        if matches!(tenant.state, State::Deleting | State::Deleted) {
            return Err(Error::conflict("wrong_state", format!("the tenant is {}", tenant.state.word())));
        }
        if let Some(slug) = &slug
            && tenant.slug != slug.as_str()
        {
            if !store::slug_is_free(conn, slug.as_str())? {
                return Err(slug_taken(slug.as_str()));
            }
            slug.as_str().clone_into(&mut tenant.slug);
        }
        if let Some(name) = &patch.name {
            name.trim().clone_into(&mut tenant.name);
        }
        tenant.updated_at = now;
        let updated = TenantUpdated { slug: tenant.slug.clone(), name: tenant.name.clone() };
        log::append_in(conn, caller, now, NewEvent::of(tenant.id, updated))?;
        Ok((tenant, None))
    })
    .await
    .map(|(tenant, _)| tenant)
}

/// The one answer to a slug that is in use.
#[must_use]
pub fn slug_taken(slug: &str) -> Error {
    Error::conflict("slug_taken", format!("the slug `{slug}` is taken; choose another"))
}

/// Stops a tenant: keys, tokens and the data door refuse it before this answers, and its database role
/// is locked out by the operation it opens. Its data stays.
///
/// # Errors
/// As [`Caller::may`]; not found; [`Error::Conflict`] unless it is active.
pub async fn suspend(app: &App, caller: &Caller, handle: Handle, reason: Option<String>) -> Result<Tenant> {
    caller.may(Verb::ManageTenants)?;
    change(app, caller, handle, IfMatch::default(), move |conn, caller, tenant, now| {
        let tenant = tenant.suspend(now, reason.clone())?;
        let suspended = TenantSuspended { reason: reason.clone() };
        log::append_in(conn, caller, now, NewEvent::of(tenant.id, suspended))?;
        Ok((tenant, None))
    })
    .await
    .map(|(tenant, _)| tenant)
}

/// Lets a suspended tenant go on.
///
/// # Errors
/// As [`suspend`]; [`Error::Conflict`] unless it is suspended.
pub async fn resume(app: &App, caller: &Caller, handle: Handle) -> Result<Tenant> {
    caller.may(Verb::ManageTenants)?;
    change(app, caller, handle, IfMatch::default(), move |conn, caller, tenant, now| {
        let tenant = tenant.resume(now)?;
        log::append_in(conn, caller, now, NewEvent::of(tenant.id, TenantResumed {}))?;
        Ok((tenant, None))
    })
    .await
    .map(|(tenant, _)| tenant)
}

/// Stops a tenant and removes it when its grace is over: `tenancy.delete_grace_s`, or what an operator
/// asks for.
///
/// # Errors
/// As [`Caller::may`]; not found; [`Error::Conflict`] when it is deleting already.
pub async fn delete(
    app: &App,
    caller: &Caller,
    handle: Handle,
    grace: Option<Duration>,
    if_match: IfMatch,
) -> Result<(Tenant, Operation)> {
    caller.may(Verb::DeleteTenants)?;
    delete_it(app, caller, handle, grace, if_match).await
}

/// Deletes the caller's own tenant, with the configured grace.
///
/// # Errors
/// As [`delete`].
pub async fn delete_own(app: &App, caller: &Caller, if_match: IfMatch) -> Result<(Tenant, Operation)> {
    let id = caller.tenant(Verb::DeleteTenant)?;
    delete_it(app, caller, Handle::Id(id), None, if_match).await
}

async fn delete_it(
    app: &App,
    caller: &Caller,
    handle: Handle,
    grace: Option<Duration>,
    if_match: IfMatch,
) -> Result<(Tenant, Operation)> {
    let grace = grace.unwrap_or(app.settings.tenancy.delete_grace);
    let again = app.clone();
    let changed = change(app, caller, handle, if_match, move |conn, caller, tenant, now| {
        let tenant = tenant.delete(now, grace)?;
        let due = tenant.delete_at.unwrap_or(now);
        let scheduled = TenantDeletionScheduled { delete_at: due };
        log::append_in(conn, caller, now, NewEvent::of(tenant.id, scheduled))?;
        let operation = work::store::open_in(
            conn,
            now,
            NewOperation {
                kind: DELETE_OPERATION,
                tenant: Some(tenant.id),
                input: json!({}),
                steps: again.removal_steps(&tenant)?,
                begin: due,
                done: false,
            },
        )?;
        Ok((tenant, Some(operation)))
    })
    .await?;
    match changed {
        (tenant, Some(operation)) => Ok((tenant, operation)),
        (_, None) => Err(Error::internal("a deletion opened no operation")),
    }
}

/// Takes a deletion back within its grace.
///
/// # Errors
/// As [`delete`]; [`Error::Conflict`] when the grace is over.
pub async fn restore(app: &App, caller: &Caller, handle: Handle) -> Result<Tenant> {
    caller.may(Verb::DeleteTenants)?;
    change(app, caller, handle, IfMatch::default(), move |conn, caller, tenant, now| {
        let tenant = tenant.restore(now)?;
        if work::store::cancel_in(conn, DELETE_OPERATION, tenant.id, now, "the tenant was restored")? == 0 {
            return Err(Error::conflict("grace_over", "the tenant's removal has begun"));
        }
        log::append_in(conn, caller, now, NewEvent::of(tenant.id, TenantRestored {}))?;
        Ok((tenant, None))
    })
    .await
    .map(|(tenant, _)| tenant)
}

/// Stops an active tenant in the caller's transaction, whose caller then awaits [`carried_out`] with what this
/// answers.
///
/// # Errors
/// As [`suspend`].
pub fn suspend_in(
    conn: &mut Conn,
    caller: &Caller,
    now: Ts,
    tenant: Tenant,
    reason: String,
) -> Result<OperationId> {
    let mut tenant = tenant.suspend(now, Some(reason.clone()))?;
    store::save(conn, &mut tenant)?;
    log::append_in(conn, caller, now, NewEvent::of(tenant.id, TenantSuspended { reason: Some(reason) }))?;
    Ok(apply_access_in(conn, &tenant, now)?.id)
}

/// Lets a suspended tenant go on, as [`suspend_in`].
///
/// # Errors
/// As [`resume`].
pub fn resume_in(conn: &mut Conn, caller: &Caller, now: Ts, tenant: Tenant) -> Result<OperationId> {
    let mut tenant = tenant.resume(now)?;
    store::save(conn, &mut tenant)?;
    log::append_in(conn, caller, now, NewEvent::of(tenant.id, TenantResumed {}))?;
    Ok(apply_access_in(conn, &tenant, now)?.id)
}

/// What follows the commit of a change of a tenant: memory forgets it, and a change of its access is carried out.
pub async fn carried_out(app: &App, tenant: TenantId, state: State, access: Option<OperationId>) {
    app.forget_tenant(tenant).await;
    if state != State::Active {
        app.connections.close_tenant(tenant);
    }
    failpoint::reach(|| "access/committed".to_owned()).await;
    if let Some(access) = access {
        app.apply_access(tenant, access).await;
    }
    app.wake.work();
}

/// The same, for who does not know what came of a transaction for the tenant.
///
/// # Errors
/// The store's.
pub async fn settled(app: &App, tenant: TenantId) -> Result<()> {
    let (state, access) = app
        .db
        .read(move |conn| {
            let state = store::get(conn, &Handle::Id(tenant))?.state;
            Ok((state, work::store::waiting_in(conn, ACCESS_OPERATION, tenant)?))
        })
        .await?;
    carried_out(app, tenant, state, access).await;
    app.subscriptions_due.notify_one();
    Ok(())
}

fn apply_access_in(conn: &mut Conn, tenant: &Tenant, now: Ts) -> Result<Operation> {
    work::store::open_in(
        conn,
        now,
        NewOperation {
            kind: ACCESS_OPERATION,
            tenant: Some(tenant.id),
            input: json!({}),
            steps: vec!["apply_access".to_owned()],
            // The command carries it out itself; the worker is the net.
            begin: now.plus(INLINE_ACCESS),
            done: false,
        },
    )
}

async fn change(
    app: &App,
    caller: &Caller,
    handle: Handle,
    if_match: IfMatch,
    work: impl Fn(&mut Conn, &Caller, Tenant, Ts) -> Result<(Tenant, Option<Operation>)> + Send + Sync + 'static,
) -> Result<(Tenant, Option<Operation>)> {
    let (now, caller) = (app.clock.now(), caller.clone());
    let (tenant, operation, access) = app
        .db
        .write(move |conn| {
            let tenant = store::get(conn, &handle)?;
            if tenant.state == State::Deleted {
                return Err(Error::NotFound("tenant"));
            }
            if_match.check(tenant.rev)?;
            let was_active = tenant.state == State::Active;
            let (mut tenant, operation) = work(conn, &caller, tenant, now)?;
            store::save(conn, &mut tenant)?;
            let turned = was_active != (tenant.state == State::Active);
            let access = if turned { Some(apply_access_in(conn, &tenant, now)?.id) } else { None };
            Ok((tenant, operation, access))
        })
        .await?;
    carried_out(app, tenant.id, tenant.state, access).await;
    Ok((tenant, operation))
}
