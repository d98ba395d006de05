//! The table of subscriptions.

use diesel::prelude::*;

use super::model::{Standing, Subscription};
use crate::db::Conn;
use crate::db::schema::{plan_versions, subscriptions, tenants};
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{PlanVersionId, SubscriptionId, TenantId};
use crate::kernel::isolation::Isolation;
use crate::tenants::State;

#[derive(Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = subscriptions)]
#[diesel(treat_none_as_null = true)]
struct Row {
    tenant_id: TenantId,
    id: SubscriptionId,
    version_id: PlanVersionId,
    state: Standing,
    time_zone: String,
    anchor_at: Ts,
    periods: i32,
    period_start: Ts,
    period_end: Ts,
    trial_ends_at: Option<Ts>,
    cancel_at: Option<Ts>,
    canceled_at: Option<Ts>,
    paused_at: Option<Ts>,
    pending_plan: Option<String>,
    unpaid_since: Option<Ts>,
    wanted_isolation: Option<Isolation>,
    next_at: Option<Ts>,
    rev: i64,
    created_at: Ts,
    updated_at: Ts,
}

impl From<Row> for Subscription {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            tenant: row.tenant_id,
            version: row.version_id,
            state: row.state,
            time_zone: row.time_zone,
            anchor_at: row.anchor_at,
            periods: row.periods,
            period_start: row.period_start,
            period_end: row.period_end,
            trial_ends_at: row.trial_ends_at,
            cancel_at: row.cancel_at,
            canceled_at: row.canceled_at,
            paused_at: row.paused_at,
            pending_plan: row.pending_plan,
            unpaid_since: row.unpaid_since,
            wanted_isolation: row.wanted_isolation,
            next_at: row.next_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
            rev: row.rev,
        }
    }
}

impl From<&Subscription> for Row {
    fn from(one: &Subscription) -> Self {
        let one = one.clone();
        Self {
            tenant_id: one.tenant,
            id: one.id,
            version_id: one.version,
            state: one.state,
            time_zone: one.time_zone,
            anchor_at: one.anchor_at,
            periods: one.periods,
            period_start: one.period_start,
            period_end: one.period_end,
            trial_ends_at: one.trial_ends_at,
            cancel_at: one.cancel_at,
            canceled_at: one.canceled_at,
            paused_at: one.paused_at,
            pending_plan: one.pending_plan,
            unpaid_since: one.unpaid_since,
            wanted_isolation: one.wanted_isolation,
            next_at: one.next_at,
            rev: one.rev,
            created_at: one.created_at,
            updated_at: one.updated_at,
        }
    }
}

/// Writes a new subscription.
///
/// # Errors
/// The store's.
pub fn insert(conn: &mut Conn, new: &Subscription) -> Result<()> {
    diesel::insert_into(subscriptions::table).values(Row::from(new)).execute(conn)?;
    Ok(())
}

/// A tenant's subscription.
///
/// # Errors
/// The store's.
pub fn find(conn: &mut Conn, tenant: TenantId) -> Result<Option<Subscription>> {
    let row: Option<Row> =
        subscriptions::table.find(tenant).select(Row::as_select()).first(conn).optional()?;
    Ok(row.map(Subscription::from))
}

/// A tenant's subscription.
///
/// # Errors
/// [`Error::NotFound`].
pub fn get(conn: &mut Conn, tenant: TenantId) -> Result<Subscription> {
    find(conn, tenant)?.ok_or(Error::NotFound("subscription"))
}

/// The edition a tenant is on, and how its subscription stands; `None` before there is one.
///
/// # Errors
/// The store's.
pub fn standing(conn: &mut Conn, tenant: TenantId) -> Result<Option<(PlanVersionId, Standing)>> {
    subscriptions::table
        .find(tenant)
        .select((subscriptions::version_id, subscriptions::state))
        .first(conn)
        .optional()
        .map_err(Into::into)
}

/// Writes a changed subscription over the revision it was read at, and raises its revision.
///
/// # Errors
/// [`Error::PreconditionFailed`] when somebody else changed it meanwhile.
pub fn save(conn: &mut Conn, one: &mut Subscription) -> Result<()> {
    let read_at = one.rev;
    one.rev += 1;
    let there = subscriptions::table.find(one.tenant).filter(subscriptions::rev.eq(read_at));
    let rows = diesel::update(there).set(Row::from(&*one)).execute(conn)?;
    if rows == 1 { Ok(()) } else { Err(Error::PreconditionFailed) }
}

/// Removes a tenant's subscription.
///
/// # Errors
/// The store's.
pub fn remove_of_tenant(conn: &mut Conn, tenant: TenantId) -> Result<()> {
    diesel::delete(subscriptions::table.find(tenant)).execute(conn)?;
    Ok(())
}

/// Tenants that have a home and no subscription: those of a store from before there were any.
///
/// # Errors
/// The store's.
pub fn without(conn: &mut Conn, after: TenantId, limit: i64) -> Result<Vec<TenantId>> {
    tenants::table
        .filter(tenants::id.gt(after))
        .filter(tenants::state.eq_any([State::Active, State::Suspended, State::Deleting]))
        .filter(diesel::dsl::not(diesel::dsl::exists(
            subscriptions::table.filter(subscriptions::tenant_id.eq(tenants::id)),
        )))
        .select(tenants::id)
        .order(tenants::id.asc())
        .limit(limit)
        .load(conn)
        .map_err(Into::into)
}

/// How many subscriptions are on each edition, ended ones not counted.
///
/// # Errors
/// The store's.
pub fn count_by_version(conn: &mut Conn) -> Result<Vec<(PlanVersionId, i64)>> {
    subscriptions::table
        .filter(subscriptions::state.ne(Standing::Canceled))
        .group_by(subscriptions::version_id)
        .select((subscriptions::version_id, diesel::dsl::count_star()))
        .load(conn)
        .map_err(Into::into)
}

/// Of tenants that are not being deleted.
macro_rules! alive {
    () => {
        diesel::dsl::exists(
            tenants::table
                .filter(tenants::id.eq(subscriptions::tenant_id))
                .filter(tenants::state.ne_all([State::Deleting, State::Deleted])),
        )
    };
}

/// Subscriptions of which something is due, with the moment, the earliest first, after `after`. Those of tenants
/// that are being deleted rest.
///
/// # Errors
/// The store's.
pub fn due(
    conn: &mut Conn,
    now: Ts,
    after: Option<(Ts, TenantId)>,
    limit: i64,
) -> Result<Vec<(Ts, TenantId)>> {
    let mut query = subscriptions::table
        .filter(subscriptions::next_at.le(now))
        .filter(alive!())
        .select((subscriptions::next_at.assume_not_null(), subscriptions::tenant_id))
        .order((subscriptions::next_at.asc(), subscriptions::tenant_id.asc()))
        .limit(limit)
        .into_boxed();
    if let Some((at, tenant)) = after {
        query = query.filter(
            subscriptions::next_at
                .gt(at)
                .or(subscriptions::next_at.eq(at).and(subscriptions::tenant_id.gt(tenant)))
                .assume_not_null(),
        );
    }
    query.load(conn).map_err(Into::into)
}

/// When something is due next, of any subscription.
///
/// # Errors
/// The store's.
pub fn next_due(conn: &mut Conn) -> Result<Option<Ts>> {
    subscriptions::table
        .filter(subscriptions::next_at.is_not_null())
        .filter(alive!())
        .select(subscriptions::next_at.assume_not_null())
        .order(subscriptions::next_at.asc())
        .first(conn)
        .optional()
        .map_err(Into::into)
}

/// Writes down when something is due next.
///
/// # Errors
/// The store's.
pub fn arm(conn: &mut Conn, tenant: TenantId, next_at: Option<Ts>) -> Result<()> {
    diesel::update(subscriptions::table.find(tenant))
        .set(subscriptions::next_at.eq(next_at))
        .execute(conn)?;
    Ok(())
}

/// Subscriptions with something unpaid, by tenant, after `after`.
///
/// # Errors
/// The store's.
pub fn unpaid(conn: &mut Conn, after: Option<TenantId>, limit: i64) -> Result<Vec<Subscription>> {
    let mut query = subscriptions::table
        .filter(subscriptions::unpaid_since.is_not_null())
        .select(Row::as_select())
        .order(subscriptions::tenant_id.asc())
        .limit(limit)
        .into_boxed();
    if let Some(tenant) = after {
        query = query.filter(subscriptions::tenant_id.gt(tenant));
    }
    let rows: Vec<Row> = query.load(conn)?;
    Ok(rows.into_iter().map(Subscription::from).collect())
}

/// Living subscriptions on earlier editions of a plan.
macro_rules! behind {
    ($plan:expr, $newest:expr) => {
        subscriptions::table.filter(subscriptions::state.ne(Standing::Canceled)).filter(
            subscriptions::version_id.eq_any(
                plan_versions::table
                    .filter(plan_versions::key.eq($plan.to_owned()))
                    .filter(plan_versions::id.ne($newest))
                    .select(plan_versions::id),
            ),
        )
    };
}

/// How many tenants are on earlier editions of a plan than this one.
///
/// # Errors
/// The store's.
pub fn count_behind(conn: &mut Conn, plan: &str, newest: PlanVersionId) -> Result<i64> {
    behind!(plan, newest).count().get_result(conn).map_err(Into::into)
}

/// Tenants on earlier editions of a plan than this one.
///
/// # Errors
/// The store's.
pub fn behind(conn: &mut Conn, plan: &str, newest: PlanVersionId, limit: i64) -> Result<Vec<TenantId>> {
    behind!(plan, newest)
        .select(subscriptions::tenant_id)
        .order(subscriptions::tenant_id.asc())
        .limit(limit)
        .load(conn)
        .map_err(Into::into)
}
