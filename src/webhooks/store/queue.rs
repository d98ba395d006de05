//! The queue of each endpoint: what is due, taking it under a lease, and writing what came of it.
//!
//! An endpoint's row in `webhook_queues` is its turnstile: whoever takes its deliveries, writes what came of them
//! or adds some holds that row first. So its bounds (one at a time, so many at once, so many a second) are exact
//! over all replicas, and who waits behind a slow endpoint are that endpoint's own deliveries alone. `due_at` is
//! when somebody should look at it next; endpoints are served in that order, a few deliveries each.
//!
//! A delivery that is being sent has its lease's end in `next_at`. Each taking raises its fence, and only who
//! holds the present one writes what came of it.

use diesel::prelude::*;

use super::Endpoint;
use crate::db::Conn;
use crate::db::schema::{webhook_deliveries as deliveries, webhook_queues as queues};
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::kernel::id::{TenantId, WebhookEndpointId};
use crate::webhooks::model::retry::Health;
use crate::webhooks::model::{DeliveryState, DisabledReason};

/// An endpoint's queue.
#[derive(Queryable, Selectable, Clone)]
#[diesel(table_name = queues)]
pub struct Queue {
    /// The endpoint.
    pub endpoint_id: WebhookEndpointId,
    /// The tenant.
    pub tenant_id: TenantId,
    /// Whether deliveries are taken from it.
    pub enabled: bool,
    /// Since when not.
    pub disabled_at: Option<Ts>,
    /// Why not.
    pub disabled_reason: Option<DisabledReason>,
    /// When to look at it next.
    pub due_at: Option<Ts>,
    /// Until when it is left alone.
    pub open_until: Option<Ts>,
    /// Since when nothing arrived.
    pub failing_since: Option<Ts>,
    /// Failures in a row.
    pub failures: i32,
    /// The state of its rate limit, in microseconds.
    pub paced: i64,
}

impl Queue {
    pub(super) fn health(&self) -> Health {
        Health {
            failures: u32::try_from(self.failures).unwrap_or(0),
            failing_since: self.failing_since,
            open_until: self.open_until,
        }
    }
}

/// Holds the queues of these endpoints, in the order in which everybody does, and reads them.
///
/// # Errors
/// The store's.
pub fn lock(conn: &mut Conn, ids: &[WebhookEndpointId]) -> Result<Vec<Queue>> {
    let ids = ids.to_vec();
    let rows = match conn {
        Conn::Sqlite(c) => {
            queues::table.filter(queues::endpoint_id.eq_any(ids)).select(Queue::as_select()).load(c)?
        }
        Conn::Postgres(c) => queues::table
            .filter(queues::endpoint_id.eq_any(ids))
            .order(queues::endpoint_id)
            .select(Queue::as_select())
            .for_update()
            .load(c)?,
    };
    Ok(rows)
}

/// When there is something to do for an endpoint.
pub(super) fn next_of(conn: &mut Conn, id: WebhookEndpointId, ordered: bool) -> Result<Option<Ts>> {
    let open = deliveries::table
        .filter(deliveries::endpoint_id.eq(id))
        .filter(deliveries::finished_at.is_null())
        .select(deliveries::next_at);
    let next = if ordered {
        open.order((deliveries::txid, deliveries::seq, deliveries::id)).first(conn)
    } else {
        open.order(deliveries::next_at.asc()).first(conn)
    };
    next.optional().map_err(Into::into)
}

/// Takes no more from a queue. What waits in it waits on.
///
/// # Errors
/// The store's.
pub fn disable(conn: &mut Conn, id: WebhookEndpointId, reason: DisabledReason, now: Ts) -> Result<()> {
    diesel::update(queues::table.find(id))
        .set((
            queues::enabled.eq(false),
            queues::disabled_at.eq(Some(now)),
            queues::disabled_reason.eq(Some(reason)),
            queues::due_at.eq(None::<Ts>),
        ))
        .execute(conn)?;
    Ok(())
}

/// Takes from a queue (again), as if nothing had ever failed.
///
/// # Errors
/// The store's.
pub fn enable(conn: &mut Conn, endpoint: &Endpoint) -> Result<()> {
    let due = next_of(conn, endpoint.id, endpoint.ordered)?;
    diesel::update(queues::table.find(endpoint.id))
        .set((
            queues::enabled.eq(true),
            queues::disabled_at.eq(None::<Ts>),
            queues::disabled_reason.eq(None::<DisabledReason>),
            queues::due_at.eq(due),
            queues::open_until.eq(None::<Ts>),
            queues::failing_since.eq(None::<Ts>),
            queues::failures.eq(0),
        ))
        .execute(conn)?;
    Ok(())
}

/// Something of an enabled queue, which the caller holds, is due at `at`.
///
/// # Errors
/// The store's.
pub fn wake(conn: &mut Conn, queue: &Queue, at: Ts) -> Result<()> {
    let at = queue.open_until.map_or(at, |until| until.max(at));
    if queue.enabled && queue.due_at.is_none_or(|due| at < due) {
        diesel::update(queues::table.find(queue.endpoint_id))
            .set(queues::due_at.eq(Some(at)))
            .execute(conn)?;
    }
    Ok(())
}

/// Frees what a process had in hand that is known to be gone.
///
/// # Errors
/// The store's.
pub fn release_all(conn: &mut Conn, now: Ts) -> Result<()> {
    let held: Vec<WebhookEndpointId> = deliveries::table
        .filter(deliveries::finished_at.is_null())
        .filter(deliveries::state.eq(DeliveryState::Sending))
        .select(deliveries::endpoint_id)
        .distinct()
        .load(conn)?;
    diesel::update(
        deliveries::table
            .filter(deliveries::finished_at.is_null())
            .filter(deliveries::state.eq(DeliveryState::Sending)),
    )
    .set((deliveries::state.eq(DeliveryState::Pending), deliveries::next_at.eq(now)))
    .execute(conn)?;
    for queue in lock(conn, &held)? {
        wake(conn, &queue, now)?;
    }
    Ok(())
}
