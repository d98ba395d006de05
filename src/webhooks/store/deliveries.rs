//! Messages, deliveries and attempts.

use std::collections::BTreeMap;

use diesel::prelude::*;

use super::Endpoint;
use crate::db::Conn;
use crate::db::schema::{
    webhook_attempts as attempts, webhook_deliveries as deliveries, webhook_messages as messages,
};
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{EventId, TenantId, WebhookDeliveryId, WebhookEndpointId};
use crate::kernel::page::{Page, PageRequest};
use crate::log::Place;
use crate::webhooks::model::{AttemptView, DeliveryFilter, DeliveryState, DeliveryView, target};

/// Rows that one statement writes.
const BATCH: usize = 500;

/// An event, as it is sent.
#[derive(Queryable, Selectable, Insertable, Clone)]
#[diesel(table_name = messages)]
pub struct Message {
    /// The event's id.
    pub id: EventId,
    /// The tenant.
    pub tenant_id: TenantId,
    /// Its type.
    pub kind: String,
    /// What is sent, to the byte.
    pub body: String,
    /// Its place in the log: the transaction.
    pub txid: i64,
    /// Its place in the log: the number.
    pub seq: i64,
    /// When it happened.
    pub at: Ts,
    /// When it was taken from the log.
    pub created_at: Ts,
}

/// A message's way to one endpoint.
#[derive(Queryable, Selectable, Insertable, Clone)]
#[diesel(table_name = deliveries)]
pub struct Delivery {
    id: WebhookDeliveryId,
    endpoint_id: WebhookEndpointId,
    tenant_id: TenantId,
    message_id: EventId,
    kind: String,
    state: DeliveryState,
    step: i32,
    attempts: i32,
    next_at: Ts,
    fence: i64,
    txid: i64,
    seq: i64,
    status: Option<i32>,
    error: Option<String>,
    created_at: Ts,
    finished_at: Option<Ts>,
}

impl Delivery {
    /// A new one, due at `due`.
    #[must_use]
    pub fn new(endpoint: WebhookEndpointId, message: &Message, now: Ts, due: Ts) -> Self {
        Self {
            id: WebhookDeliveryId::mint(),
            endpoint_id: endpoint,
            tenant_id: message.tenant_id,
            message_id: message.id,
            kind: message.kind.clone(),
            state: DeliveryState::Pending,
            step: 0,
            attempts: 0,
            next_at: due,
            fence: 0,
            txid: message.txid,
            seq: message.seq,
            status: None,
            error: None,
            created_at: now,
            finished_at: None,
        }
    }

    /// What is sent.
    #[must_use]
    pub fn message(&self) -> EventId {
        self.message_id
    }

    /// Where to.
    #[must_use]
    pub fn endpoint(&self) -> WebhookEndpointId {
        self.endpoint_id
    }

    /// As its readers see it.
    #[must_use]
    pub fn view(self) -> DeliveryView {
        DeliveryView {
            id: self.id,
            endpoint_id: self.endpoint_id,
            tenant_id: self.tenant_id,
            event_id: self.message_id,
            kind: self.kind,
            state: self.state,
            attempts: self.attempts,
            next_attempt_at: (self.state == DeliveryState::Pending).then_some(self.next_at),
            last_status: self.status,
            last_error: self.error,
            created_at: self.created_at,
            finished_at: self.finished_at,
            // Each taking and each coming to rest is another revision.
            rev: self.fence.saturating_mul(2).saturating_add(i64::from(self.state != DeliveryState::Sending)),
        }
    }
}

/// Writes messages that are not there yet.
///
/// # Errors
/// The store's.
pub fn add_messages(conn: &mut Conn, rows: Vec<Message>) -> Result<()> {
    match conn {
        Conn::Sqlite(c) => {
            for row in rows {
                diesel::insert_into(messages::table).values(row).on_conflict_do_nothing().execute(c)?;
            }
        }
        Conn::Postgres(c) => {
            for some in rows.chunks(BATCH) {
                diesel::insert_into(messages::table).values(some).on_conflict_do_nothing().execute(c)?;
            }
        }
    }
    Ok(())
}

/// Writes deliveries that are not there yet. The caller holds their queues.
///
/// # Errors
/// The store's.
pub fn add(conn: &mut Conn, rows: Vec<Delivery>) -> Result<()> {
    match conn {
        Conn::Sqlite(c) => {
            for row in rows {
                diesel::insert_into(deliveries::table).values(row).on_conflict_do_nothing().execute(c)?;
            }
        }
        Conn::Postgres(c) => {
            for some in rows.chunks(BATCH) {
                diesel::insert_into(deliveries::table).values(some).on_conflict_do_nothing().execute(c)?;
            }
        }
    }
    Ok(())
}

/// A message of a tenant's.
///
/// # Errors
/// [`Error::NotFound`], also for another tenant's and for one that is no longer kept.
pub fn message(conn: &mut Conn, tenant: TenantId, id: EventId) -> Result<Message> {
    messages::table
        .find(id)
        .filter(messages::tenant_id.eq(tenant))
        .select(Message::as_select())
        .first(conn)
        .optional()?
        .ok_or(Error::NotFound("event"))
}

/// A delivery; of `tenant` and to `endpoint`, where they are given.
///
/// # Errors
/// [`Error::NotFound`], also for another tenant's.
pub fn get(
    conn: &mut Conn,
    tenant: Option<TenantId>,
    endpoint: Option<WebhookEndpointId>,
    id: WebhookDeliveryId,
) -> Result<Delivery> {
    let row: Option<Delivery> =
        deliveries::table.find(id).select(Delivery::as_select()).first(conn).optional()?;
    row.filter(|row| tenant.is_none_or(|tenant| row.tenant_id == tenant))
        .filter(|row| endpoint.is_none_or(|endpoint| row.endpoint_id == endpoint))
        .ok_or(Error::NotFound("webhook delivery"))
}

/// What is sent with a delivery, and every attempt at it.
///
/// # Errors
/// The store's.
pub fn story(conn: &mut Conn, one: &Delivery) -> Result<(Option<String>, Vec<AttemptView>)> {
    let body: Option<String> =
        messages::table.find(one.message_id).select(messages::body).first(conn).optional()?;
    type Row = (i32, Ts, i64, Option<i32>, Option<String>, Option<String>);
    let rows: Vec<Row> = attempts::table
        .filter(attempts::delivery_id.eq(one.id))
        .order(attempts::number.asc())
        .select((
            attempts::number,
            attempts::at,
            attempts::duration_ms,
            attempts::status,
            attempts::error,
            attempts::response,
        ))
        .load(conn)?;
    let view = |(number, at, duration_ms, status, error, response): Row| AttemptView {
        number,
        at,
        duration_ms,
        status,
        error,
        response,
    };
    Ok((body, rows.into_iter().map(view).collect()))
}

/// Deliveries, newest first.
///
/// # Errors
/// The store's.
pub fn page(conn: &mut Conn, filter: &DeliveryFilter, request: PageRequest) -> Result<Page<Delivery>> {
    let mut query = deliveries::table.select(Delivery::as_select()).into_boxed();
    if let Some(tenant) = filter.tenant {
        query = query.filter(deliveries::tenant_id.eq(tenant));
    }
    if let Some(endpoint) = filter.endpoint {
        query = query.filter(deliveries::endpoint_id.eq(endpoint));
    }
    if let Some(state) = filter.state {
        query = query.filter(deliveries::state.eq(state));
    }
    if let Some(kind) = &filter.kind {
        query = query.filter(deliveries::kind.eq(kind.clone()));
    }
    if let Some(event) = filter.event {
        query = query.filter(deliveries::message_id.eq(event));
    }
    if let Some((at, id)) = request.after {
        let id = WebhookDeliveryId::from_uuid(id);
        query = query.filter(
            deliveries::created_at.lt(at).or(deliveries::created_at.eq(at).and(deliveries::id.lt(id))),
        );
    }
    let rows: Vec<Delivery> = query
        .order((deliveries::created_at.desc(), deliveries::id.desc()))
        .limit(request.fetch())
        .load(conn)?;
    Ok(Page::cut(rows, request, |one: &Delivery| (one.created_at, one.id.uuid())))
}

/// Makes a delivery that came to rest, or waits, due at `now`, from the beginning of its schedule.
///
/// # Errors
/// [`Error::Conflict`] while it is being sent.
pub fn again(conn: &mut Conn, id: WebhookDeliveryId, now: Ts) -> Result<()> {
    let rows =
        diesel::update(deliveries::table.find(id).filter(deliveries::state.ne(DeliveryState::Sending)))
            .set((
                deliveries::state.eq(DeliveryState::Pending),
                deliveries::step.eq(0),
                deliveries::next_at.eq(now),
                deliveries::finished_at.eq(None::<Ts>),
            ))
            .execute(conn)?;
    if rows == 1 {
        Ok(())
    } else {
        Err(Error::conflict(
            "webhook_delivery_sending",
            "it is being sent at this moment; look again shortly",
        ))
    }
}

/// The delivery of a message to an endpoint, if there is one.
///
/// # Errors
/// The store's.
pub fn of_message(
    conn: &mut Conn,
    endpoint: WebhookEndpointId,
    message: EventId,
) -> Result<Option<WebhookDeliveryId>> {
    deliveries::table
        .filter(deliveries::endpoint_id.eq(endpoint))
        .filter(deliveries::message_id.eq(message))
        .select(deliveries::id)
        .first(conn)
        .optional()
        .map_err(Into::into)
}

/// Makes due what of the messages since `since` has not arrived at an endpoint, whose queue the caller holds, and is
/// not on its way: the oldest `most`. Answers how many, and whether there are more.
///
/// # Errors
/// The store's.
pub fn replay(conn: &mut Conn, to: &Endpoint, since: Ts, most: usize, now: Ts) -> Result<(usize, bool)> {
    let (filters, mut after, mut queued) = (to.filters(), Place::default(), 0usize);
    loop {
        let some: Vec<Message> = messages::table
            .filter(messages::tenant_id.eq(to.tenant_id))
            .filter(messages::at.ge(since))
            .filter(
                messages::txid
                    .gt(after.txid)
                    .or(messages::txid.eq(after.txid).and(messages::seq.gt(after.seq))),
            )
            .order((messages::txid.asc(), messages::seq.asc()))
            .limit(i64::try_from(BATCH).unwrap_or(i64::MAX))
            .select(Message::as_select())
            .load(conn)?;
        let Some(last) = some.last() else { return Ok((queued, false)) };
        after = Place { txid: last.txid, seq: last.seq };
        let ids: Vec<EventId> = some.iter().map(|one| one.id).collect();
        let known: Vec<(EventId, WebhookDeliveryId, DeliveryState)> = deliveries::table
            .filter(deliveries::endpoint_id.eq(to.id))
            .filter(deliveries::message_id.eq_any(ids))
            .select((deliveries::message_id, deliveries::id, deliveries::state))
            .load(conn)?;
        let known: BTreeMap<EventId, (WebhookDeliveryId, DeliveryState)> =
            known.into_iter().map(|(message, id, state)| (message, (id, state))).collect();
        let mut fresh = Vec::new();
        for one in some.iter().filter(|one| target::takes(&filters, &one.kind)) {
            let wanted = match known.get(&one.id) {
                None => true,
                Some((_, state)) => *state == DeliveryState::Failed,
            };
            if !wanted {
                continue;
            }
            if queued == most {
                add(conn, fresh)?;
                return Ok((queued, true));
            }
            match known.get(&one.id) {
                None => fresh.push(Delivery::new(to.id, one, now, now)),
                Some((id, _)) => again(conn, *id, now)?,
            }
            queued = queued.saturating_add(1);
        }
        add(conn, fresh)?;
    }
}

/// Drops up to `limit` messages that were taken from the log before `before`, with their deliveries: how many.
///
/// # Errors
/// The store's.
pub fn retain(conn: &mut Conn, before: Ts, limit: i64) -> Result<usize> {
    let old: Vec<EventId> = messages::table
        .filter(messages::created_at.lt(before))
        .order(messages::created_at.asc())
        .limit(limit)
        .select(messages::id)
        .load(conn)?;
    if old.is_empty() {
        return Ok(0);
    }
    let theirs: Vec<WebhookDeliveryId> = deliveries::table
        .filter(deliveries::message_id.eq_any(old.clone()))
        .select(deliveries::id)
        .load(conn)?;
    for some in theirs.chunks(BATCH) {
        diesel::delete(attempts::table.filter(attempts::delivery_id.eq_any(some.to_vec()))).execute(conn)?;
        diesel::delete(deliveries::table.filter(deliveries::id.eq_any(some.to_vec()))).execute(conn)?;
    }
    diesel::delete(messages::table.filter(messages::id.eq_any(old))).execute(conn).map_err(Into::into)
}
