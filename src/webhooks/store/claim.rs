//! Taking what is due, under a lease.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use diesel::prelude::*;

use super::Endpoint;
use super::queue::{Queue, next_of};
use crate::db::Conn;
use crate::db::schema::{
    webhook_deliveries as deliveries, webhook_endpoints as endpoints, webhook_messages as messages,
    webhook_queues as queues,
};
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::kernel::gcra;
use crate::kernel::id::{EventId, TenantId, WebhookDeliveryId, WebhookEndpointId};
use crate::webhooks::model::DeliveryState;

/// How much may be taken.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The present.
    pub now: Ts,
    /// Until when what is taken is the taker's.
    pub until: Ts,
    /// Deliveries that the taker has room for.
    pub room: usize,
    /// Most of one endpoint at once.
    pub per_endpoint: usize,
    /// Most of one tenant at once, of this taker.
    pub per_tenant: usize,
}

/// A delivery that was taken.
#[derive(Debug, Clone, Copy)]
pub struct Taken {
    /// Its id.
    pub id: WebhookDeliveryId,
    /// The number of this taking.
    pub fence: i64,
    /// The number of this attempt.
    pub attempt: i32,
    /// Where to.
    pub endpoint: WebhookEndpointId,
    /// Whose.
    pub tenant: TenantId,
    /// What.
    pub message: EventId,
    /// How long it was due.
    pub waited: Duration,
}

/// What was taken, and what is needed to send it.
#[derive(Default)]
pub struct Round {
    /// The deliveries.
    pub taken: Vec<Taken>,
    /// Bodies.
    pub bodies: BTreeMap<EventId, String>,
    /// Endpoints.
    pub endpoints: BTreeMap<WebhookEndpointId, Endpoint>,
    /// When there is something to take next.
    pub next: Option<Ts>,
}

/// Takes what is due, a few deliveries of each endpoint. `busy` is how many of each tenant the taker has in hand.
///
/// # Errors
/// The store's.
pub fn claim(conn: &mut Conn, bounds: &Bounds, busy: &BTreeMap<TenantId, usize>) -> Result<Round> {
    let mut busy = busy.clone();
    let full = |busy: &BTreeMap<TenantId, usize>| -> Vec<TenantId> {
        busy.iter().filter(|(_, held)| **held >= bounds.per_tenant).map(|(tenant, _)| *tenant).collect()
    };
    let (limit, full_now) = (i64::try_from(bounds.room).unwrap_or(i64::MAX), full(&busy));
    let open: Vec<Queue> = match conn {
        Conn::Sqlite(c) => queues::table
            .filter(queues::due_at.le(bounds.now))
            .filter(queues::tenant_id.ne_all(full_now))
            .order(queues::due_at.asc())
            .limit(limit)
            .select(Queue::as_select())
            .load(c)?,
        Conn::Postgres(c) => queues::table
            .filter(queues::due_at.le(bounds.now))
            .filter(queues::tenant_id.ne_all(full_now))
            .order(queues::due_at.asc())
            .limit(limit)
            .select(Queue::as_select())
            .for_update()
            .skip_locked()
            .load(c)?,
    };
    let mut round = Round::default();
    for queue in open {
        let room = bounds.room.saturating_sub(round.taken.len());
        let held = busy.entry(queue.tenant_id).or_insert(0);
        let room = room.min(bounds.per_tenant.saturating_sub(*held));
        if room == 0 {
            continue;
        }
        let taken = take(conn, &queue, bounds, room, &mut round.endpoints)?;
        *held = held.saturating_add(taken.len());
        round.taken.extend(taken);
    }
    let wanted: BTreeSet<EventId> = round.taken.iter().map(|one| one.message).collect();
    if !wanted.is_empty() {
        let rows: Vec<(EventId, String)> = messages::table
            .filter(messages::id.eq_any(wanted.into_iter().collect::<Vec<_>>()))
            .select((messages::id, messages::body))
            .load(conn)?;
        round.bodies = rows.into_iter().collect();
    }
    let next: Option<Option<Ts>> = queues::table
        .filter(queues::due_at.is_not_null())
        .filter(queues::tenant_id.ne_all(full(&busy)))
        .order(queues::due_at.asc())
        .select(queues::due_at)
        .first(conn)
        .optional()?;
    round.next = next.flatten();
    Ok(round)
}

type Due = (WebhookDeliveryId, i64, i32, EventId, Ts);

fn take(
    conn: &mut Conn,
    queue: &Queue,
    bounds: &Bounds,
    room: usize,
    known: &mut BTreeMap<WebhookEndpointId, Endpoint>,
) -> Result<Vec<Taken>> {
    let (id, now) = (queue.endpoint_id, bounds.now);
    let row: Option<Endpoint> =
        endpoints::table.find(id).select(Endpoint::as_select()).first(conn).optional()?;
    let Some(endpoint) = row else { return Ok(Vec::new()) };
    let sending = || {
        deliveries::table
            .filter(deliveries::endpoint_id.eq(id))
            .filter(deliveries::finished_at.is_null())
            .filter(deliveries::state.eq(DeliveryState::Sending))
            .filter(deliveries::next_at.gt(now))
    };
    let out: i64 = sending().count().get_result(conn)?;
    let most = if endpoint.ordered || queue.open_until.is_some() { 1 } else { bounds.per_endpoint };
    let slots = most.saturating_sub(usize::try_from(out).unwrap_or(usize::MAX));
    let want = slots.min(room);
    let (pace, paced_until) = paced(&endpoint, queue, now, want);
    let want = want.min(pace);
    let due = due(conn, &endpoint, now, want)?;
    if !due.is_empty() {
        let ids: Vec<WebhookDeliveryId> = due.iter().map(|one| one.0).collect();
        diesel::update(deliveries::table.filter(deliveries::id.eq_any(ids)))
            .set((
                deliveries::state.eq(DeliveryState::Sending),
                deliveries::next_at.eq(bounds.until),
                deliveries::fence.eq(deliveries::fence + 1),
                deliveries::attempts.eq(deliveries::attempts + 1),
            ))
            .execute(conn)?;
    }
    let look_at = if due.len() < want {
        next_of(conn, id, endpoint.ordered)?
    } else if want == slots {
        sending().order(deliveries::next_at.asc()).select(deliveries::next_at).first(conn).optional()?
    } else if want == pace {
        Some(paced_until)
    } else {
        Some(now)
    };
    let (_, tat) = pace_of(&endpoint, queue.paced, now, due.len());
    diesel::update(queues::table.find(id))
        .set((queues::due_at.eq(look_at), queues::paced.eq(tat)))
        .execute(conn)?;
    let taken = due
        .into_iter()
        .map(|(delivery, fence, attempts, message, next_at)| Taken {
            id: delivery,
            fence: fence.saturating_add(1),
            attempt: attempts.saturating_add(1),
            endpoint: id,
            tenant: endpoint.tenant_id,
            message,
            waited: now.since(next_at),
        })
        .collect();
    known.insert(id, endpoint);
    Ok(taken)
}

/// The deliveries to take: the first of all when order counts and it is due, else those due for longest.
fn due(conn: &mut Conn, endpoint: &Endpoint, now: Ts, want: usize) -> Result<Vec<Due>> {
    let limit = i64::try_from(want).unwrap_or(i64::MAX);
    if want == 0 {
        return Ok(Vec::new());
    }
    let query = deliveries::table
        .filter(deliveries::endpoint_id.eq(endpoint.id))
        .filter(deliveries::finished_at.is_null())
        .select((
            deliveries::id,
            deliveries::fence,
            deliveries::attempts,
            deliveries::message_id,
            deliveries::next_at,
        ));
    if endpoint.ordered {
        let first: Option<Due> =
            query.order((deliveries::txid, deliveries::seq, deliveries::id)).first(conn).optional()?;
        return Ok(first.into_iter().filter(|one| one.4 <= now).collect());
    }
    query
        .filter(deliveries::next_at.le(now))
        .order(deliveries::next_at.asc())
        .limit(limit)
        .load(conn)
        .map_err(Into::into)
}

/// Up to how many of `want` deliveries an endpoint's rate lets pass, and when the next would.
fn paced(endpoint: &Endpoint, queue: &Queue, now: Ts, want: usize) -> (usize, Ts) {
    let mut state = queue.paced;
    for passed in 0..want {
        let (wait, next) = pace_of(endpoint, state, now, 1);
        if wait > Duration::ZERO {
            return (passed, now.plus(wait));
        }
        state = next;
    }
    (usize::MAX, now)
}

/// How long `cost` deliveries have to wait, and the state of the rate after them.
fn pace_of(endpoint: &Endpoint, state: i64, now: Ts, cost: usize) -> (Duration, i64) {
    let Some(rate) = endpoint.rate_limit.and_then(|rate| u32::try_from(rate).ok()).filter(|rate| *rate > 0)
    else {
        return (Duration::ZERO, 0);
    };
    let nanos = |micros: i64| u64::try_from(micros).unwrap_or(0).saturating_mul(1_000);
    let cost = u32::try_from(cost).unwrap_or(u32::MAX);
    let (_, next, standing) =
        gcra::take(1_000_000_000 / u64::from(rate), rate, nanos(state), nanos(now.micros()), cost);
    // Rounded up, so that what is kept never lets more pass.
    (standing.retry_in, i64::try_from(next.div_ceil(1_000)).unwrap_or(i64::MAX))
}
