//! Writing what came of attempts.

use std::collections::BTreeMap;
use std::time::Duration;

use diesel::prelude::*;

use super::Endpoint;
use super::claim::Taken;
use super::queue::{disable, lock, next_of};
use crate::db::Conn;
use crate::db::schema::{
    webhook_attempts as attempts, webhook_deliveries as deliveries, webhook_endpoints as endpoints,
    webhook_queues as queues,
};
use crate::kernel::clock::Ts;
use crate::kernel::entropy;
use crate::kernel::error::Result;
use crate::kernel::id::WebhookEndpointId;
use crate::webhooks::model::retry::{Attempted, Next, Off, Policy};
use crate::webhooks::model::{DeliveryState, DisabledReason};

/// An attempt that was made.
#[derive(Debug, Clone)]
pub struct Done {
    /// The delivery.
    pub taken: Taken,
    /// When it began.
    pub at: Ts,
    /// How long it took.
    pub took: Duration,
    /// What came of it.
    pub tried: Attempted,
}

/// An endpoint that was switched off because of what came of attempts.
#[derive(Clone)]
pub struct SwitchedOff {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// Why.
    pub reason: DisabledReason,
    /// Since when nothing arrived there.
    pub since: Ts,
    /// What the last attempt came to.
    pub last: String,
}

/// Writes what came of attempts, unless somebody else has taken their deliveries since; answers which endpoints
/// that switched off.
///
/// # Errors
/// The store's.
pub fn settle(conn: &mut Conn, done: &[Done], policy: &Policy, now: Ts) -> Result<Vec<SwitchedOff>> {
    let mut of: BTreeMap<WebhookEndpointId, Vec<&Done>> = BTreeMap::new();
    for one in done {
        of.entry(one.taken.endpoint).or_default().push(one);
    }
    let mut off = Vec::new();
    let held = lock(conn, &of.keys().copied().collect::<Vec<_>>())?;
    for queue in held {
        let id = queue.endpoint_id;
        let row: Option<Endpoint> =
            endpoints::table.find(id).select(Endpoint::as_select()).first(conn).optional()?;
        let Some(endpoint) = row else { continue };
        let (mut health, mut over, mut last) = (queue.health(), None, "");
        for one in of.remove(&id).unwrap_or_default() {
            if !record(conn, one, policy, now)? {
                continue;
            }
            let draw = entropy::jitter(1.0) - 1.0;
            let (after, enough) = health.after(&one.tried, policy, now, draw);
            health = after;
            over = if one.tried.taken() { None } else { enough.or(over) };
            last = one.tried.error.as_deref().unwrap_or("");
        }
        let switched = over.filter(|_| queue.enabled);
        let next = next_of(conn, id, endpoint.ordered)?;
        let due = next.map(|next| health.open_until.map_or(next, |until| until.max(next)));
        let due = due.filter(|_| queue.enabled && switched.is_none());
        diesel::update(queues::table.find(id))
            .set((
                queues::due_at.eq(due),
                queues::failures.eq(i32::try_from(health.failures).unwrap_or(i32::MAX)),
                queues::failing_since.eq(health.failing_since),
                queues::open_until.eq(health.open_until),
            ))
            .execute(conn)?;
        if let Some(why) = switched {
            let reason = match why {
                Off::Failing => DisabledReason::Failing,
                Off::Gone => DisabledReason::Gone,
            };
            disable(conn, id, reason, now)?;
            diesel::update(endpoints::table.find(id))
                .set((endpoints::rev.eq(endpoints::rev + 1), endpoints::updated_at.eq(now)))
                .execute(conn)?;
            let since = health.failing_since.unwrap_or(now);
            off.push(SwitchedOff { endpoint, reason, since, last: last.to_owned() });
        }
    }
    Ok(off)
}

/// Writes what came of one attempt; false when the delivery is somebody else's by now, or gone.
fn record(conn: &mut Conn, one: &Done, policy: &Policy, now: Ts) -> Result<bool> {
    let mine = deliveries::table
        .find(one.taken.id)
        .filter(deliveries::fence.eq(one.taken.fence))
        .filter(deliveries::state.eq(DeliveryState::Sending));
    let step: Option<i32> = mine.select(deliveries::step).first(conn).optional()?;
    let Some(step) = step else { return Ok(false) };
    let draw = entropy::jitter(1.0) - 1.0;
    let next = policy.after(&one.tried, usize::try_from(step).unwrap_or(0), now, draw);
    let (state, next_at, finished) = match next {
        Next::Done => (DeliveryState::Succeeded, now, Some(now)),
        Next::At(then) => (DeliveryState::Pending, then, None),
        Next::GivenUp => (DeliveryState::Failed, now, Some(now)),
    };
    let status = one.tried.status.map(i32::from);
    let rows = diesel::update(mine)
        .set((
            deliveries::state.eq(state),
            deliveries::step.eq(step.saturating_add(1)),
            deliveries::next_at.eq(next_at),
            deliveries::status.eq(status),
            deliveries::error.eq(one.tried.error.clone()),
            deliveries::finished_at.eq(finished),
        ))
        .execute(conn)?;
    if rows == 0 {
        return Ok(false);
    }
    diesel::insert_into(attempts::table)
        .values((
            attempts::delivery_id.eq(one.taken.id),
            attempts::number.eq(one.taken.attempt),
            attempts::at.eq(one.at),
            attempts::duration_ms.eq(i64::try_from(one.took.as_millis()).unwrap_or(i64::MAX)),
            attempts::status.eq(status),
            attempts::error.eq(one.tried.error.clone()),
            attempts::response.eq(one.tried.response.clone()),
        ))
        .execute(conn)?;
    Ok(true)
}
