//! The tables of webhooks: endpoints here, their queues ([`queue`], with [`claim`] and [`settle`]), and messages,
//! deliveries and attempts as they are written, read and sent again ([`deliveries`]).

pub mod claim;
pub mod deliveries;
pub mod queue;
pub mod settle;

use std::collections::BTreeSet;

use diesel::prelude::*;

use super::model::sign::Secret;
use super::model::{DisabledReason, EndpointState, EndpointView, Sealed, SecretLife};
use crate::db::Conn;
use crate::db::schema::{
    webhook_attempts as attempts, webhook_deliveries, webhook_endpoints as endpoints, webhook_messages,
    webhook_queues as queues,
};
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{TenantId, WebhookEndpointId};
use crate::kernel::page::{Page, PageRequest};
use crate::kernel::sql::Json;
use crate::kernel::vault::Vault;
use queue::Queue;

const PURPOSE: &str = "webhook_endpoints.sealed";

/// An endpoint, with its secrets sealed.
#[derive(Queryable, Selectable, Insertable, Clone)]
#[diesel(table_name = endpoints)]
pub struct Endpoint {
    /// Its id.
    pub id: WebhookEndpointId,
    /// The tenant.
    pub tenant_id: TenantId,
    /// Where to.
    pub url: String,
    /// What it is for.
    pub description: String,
    /// Type filters.
    pub types: Json,
    /// Whether in order.
    pub ordered: bool,
    /// Most deliveries a second.
    pub rate_limit: Option<i32>,
    /// A sealed [`Sealed`].
    pub sealed: Vec<u8>,
    /// Its revision.
    pub rev: i64,
    /// When it was made.
    pub created_at: Ts,
    /// When it last changed.
    pub updated_at: Ts,
}

impl Endpoint {
    /// Its type filters.
    #[must_use]
    pub fn filters(&self) -> Vec<String> {
        let all = self.types.0.as_array().into_iter().flatten();
        all.filter_map(|one| one.as_str().map(str::to_owned)).collect()
    }

    /// Its secrets and headers.
    ///
    /// # Errors
    /// [`Error::Internal`] when they were sealed under a key that is not configured.
    pub fn opened(&self, vault: &Vault) -> Result<Sealed> {
        let plain = vault.open(PURPOSE, &self.sealed)?;
        serde_json::from_slice(&plain).map_err(Error::internal)
    }

    /// As its readers see it.
    ///
    /// # Errors
    /// As [`Endpoint::opened`].
    pub fn view(&self, queue: &Queue, vault: &Vault, now: Ts) -> Result<EndpointView> {
        let sealed = self.opened(vault)?;
        let life =
            |secret: &Secret| SecretLife { created_at: secret.created_at, expires_at: secret.expires_at };
        let state = match (queue.enabled, queue.failing_since) {
            (false, _) => EndpointState::Disabled,
            (true, Some(_)) => EndpointState::Failing,
            (true, None) => EndpointState::Active,
        };
        Ok(EndpointView {
            id: self.id,
            tenant_id: self.tenant_id,
            url: self.url.clone(),
            description: self.description.clone(),
            types: self.filters(),
            ordered: self.ordered,
            rate_limit: self.rate_limit.and_then(|rate| u32::try_from(rate).ok()),
            headers: sealed.headers.into_keys().collect(),
            enabled: queue.enabled,
            state,
            disabled_at: queue.disabled_at,
            disabled_reason: queue.disabled_reason,
            failing_since: queue.failing_since,
            retry_at: queue.open_until.filter(|until| *until > now),
            secrets: sealed.secrets.iter().filter(|secret| secret.signs(now)).map(life).collect(),
            created_at: self.created_at,
            updated_at: self.updated_at,
            rev: self.rev,
        })
    }
}

/// Seals an endpoint's secrets and headers.
///
/// # Errors
/// As [`Vault::seal`].
pub fn seal(vault: &Vault, sealed: &Sealed) -> Result<Vec<u8>> {
    let plain = zeroize::Zeroizing::new(serde_json::to_vec(sealed).map_err(Error::internal)?);
    vault.seal(PURPOSE, &plain)
}

/// How many endpoints a tenant has.
///
/// # Errors
/// The store's.
pub fn count(conn: &mut Conn, tenant: TenantId) -> Result<i64> {
    endpoints::table.filter(endpoints::tenant_id.eq(tenant)).count().get_result(conn).map_err(Into::into)
}

/// Writes a new endpoint and its queue.
///
/// # Errors
/// The store's.
pub fn insert(conn: &mut Conn, new: &Endpoint, enabled: bool) -> Result<()> {
    diesel::insert_into(endpoints::table).values(new.clone()).execute(conn)?;
    let off = (!enabled).then_some(new.created_at);
    diesel::insert_into(queues::table)
        .values((
            queues::endpoint_id.eq(new.id),
            queues::tenant_id.eq(new.tenant_id),
            queues::enabled.eq(enabled),
            queues::disabled_at.eq(off),
            queues::disabled_reason.eq(off.map(|_| DisabledReason::ByHand)),
            queues::failures.eq(0),
            queues::paced.eq(0i64),
        ))
        .execute(conn)?;
    Ok(())
}

/// An endpoint with its queue; of `tenant`, where one is given.
///
/// # Errors
/// [`Error::NotFound`], also for another tenant's.
pub fn get(conn: &mut Conn, tenant: Option<TenantId>, id: WebhookEndpointId) -> Result<(Endpoint, Queue)> {
    let absent = || Error::NotFound("webhook endpoint");
    let row: Option<Endpoint> =
        endpoints::table.find(id).select(Endpoint::as_select()).first(conn).optional()?;
    let endpoint =
        row.filter(|row| tenant.is_none_or(|tenant| row.tenant_id == tenant)).ok_or_else(absent)?;
    let queue: Option<Queue> = queues::table.find(id).select(Queue::as_select()).first(conn).optional()?;
    Ok((endpoint, queue.ok_or_else(absent)?))
}

/// As [`get`], with the queue held: first the queue, then what hangs on it, as everybody does.
///
/// # Errors
/// As [`get`].
pub fn hold(conn: &mut Conn, tenant: Option<TenantId>, id: WebhookEndpointId) -> Result<(Endpoint, Queue)> {
    queue::lock(conn, &[id])?;
    get(conn, tenant, id)
}

/// Endpoints, newest first; of `tenant`, where one is given.
///
/// # Errors
/// The store's.
pub fn page(
    conn: &mut Conn,
    tenant: Option<TenantId>,
    request: PageRequest,
) -> Result<Page<(Endpoint, Queue)>> {
    let mut query = endpoints::table
        .inner_join(queues::table.on(queues::endpoint_id.eq(endpoints::id)))
        .select((Endpoint::as_select(), Queue::as_select()))
        .into_boxed();
    if let Some(tenant) = tenant {
        query = query.filter(endpoints::tenant_id.eq(tenant));
    }
    if let Some((at, id)) = request.after {
        let id = WebhookEndpointId::from_uuid(id);
        query = query
            .filter(endpoints::created_at.lt(at).or(endpoints::created_at.eq(at).and(endpoints::id.lt(id))));
    }
    let rows: Vec<(Endpoint, Queue)> = query
        .order((endpoints::created_at.desc(), endpoints::id.desc()))
        .limit(request.fetch())
        .load(conn)?;
    Ok(Page::cut(rows, request, |(one, _): &(Endpoint, Queue)| (one.created_at, one.id.uuid())))
}

/// Writes a changed endpoint over the revision it was read at, and raises its revision.
///
/// # Errors
/// [`Error::PreconditionFailed`] when somebody else changed it meanwhile.
pub fn save(conn: &mut Conn, changed: &mut Endpoint, now: Ts) -> Result<()> {
    let read_at = changed.rev;
    changed.rev += 1;
    changed.updated_at = now;
    let row = endpoints::table.find(changed.id).filter(endpoints::rev.eq(read_at));
    let rows = diesel::update(row)
        .set((
            endpoints::url.eq(changed.url.clone()),
            endpoints::description.eq(changed.description.clone()),
            endpoints::types.eq(changed.types.clone()),
            endpoints::ordered.eq(changed.ordered),
            endpoints::rate_limit.eq(changed.rate_limit),
            endpoints::sealed.eq(changed.sealed.clone()),
            endpoints::rev.eq(changed.rev),
            endpoints::updated_at.eq(now),
        ))
        .execute(conn)?;
    if rows == 1 { Ok(()) } else { Err(Error::PreconditionFailed) }
}

/// The endpoints of these tenants, with their queues held.
///
/// # Errors
/// The store's.
pub fn of_tenants(conn: &mut Conn, tenants: &BTreeSet<TenantId>) -> Result<Vec<(Endpoint, Queue)>> {
    let ids: Vec<WebhookEndpointId> = queues::table
        .filter(queues::tenant_id.eq_any(tenants.iter().copied().collect::<Vec<_>>()))
        .select(queues::endpoint_id)
        .load(conn)?;
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let held = queue::lock(conn, &ids)?;
    let rows: Vec<Endpoint> =
        endpoints::table.filter(endpoints::id.eq_any(ids)).select(Endpoint::as_select()).load(conn)?;
    let with = |row: Endpoint| {
        let queue = held.iter().find(|queue| queue.endpoint_id == row.id)?.clone();
        Some((row, queue))
    };
    Ok(rows.into_iter().filter_map(with).collect())
}

/// Removes an endpoint and all that waits for it.
///
/// # Errors
/// The store's.
pub fn remove(conn: &mut Conn, id: WebhookEndpointId) -> Result<()> {
    use webhook_deliveries::dsl;
    diesel::delete(queues::table.find(id)).execute(conn)?;
    let theirs = dsl::webhook_deliveries.filter(dsl::endpoint_id.eq(id)).select(dsl::id);
    diesel::delete(attempts::table.filter(attempts::delivery_id.eq_any(theirs))).execute(conn)?;
    diesel::delete(dsl::webhook_deliveries.filter(dsl::endpoint_id.eq(id))).execute(conn)?;
    diesel::delete(endpoints::table.find(id)).execute(conn)?;
    Ok(())
}

/// Removes all of a tenant's endpoints, messages and deliveries.
///
/// # Errors
/// The store's.
pub fn remove_of_tenant(conn: &mut Conn, tenant: TenantId) -> Result<()> {
    use webhook_deliveries::dsl;
    // Whoever writes deliveries holds the queue: none come after this.
    diesel::delete(queues::table.filter(queues::tenant_id.eq(tenant))).execute(conn)?;
    let theirs = dsl::webhook_deliveries.filter(dsl::tenant_id.eq(tenant)).select(dsl::id);
    diesel::delete(attempts::table.filter(attempts::delivery_id.eq_any(theirs))).execute(conn)?;
    diesel::delete(dsl::webhook_deliveries.filter(dsl::tenant_id.eq(tenant))).execute(conn)?;
    diesel::delete(webhook_messages::table.filter(webhook_messages::tenant_id.eq(tenant))).execute(conn)?;
    diesel::delete(endpoints::table.filter(endpoints::tenant_id.eq(tenant))).execute(conn)?;
    Ok(())
}
