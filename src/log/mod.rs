//! The event log: one append-only table. A command appends in the transaction that makes the fact true,
//! so state, audit and message cannot disagree.
//!
//! Sequence numbers are handed out before commit, so a reader of "greater than the last seen" would skip
//! the event of a slower transaction. Each event therefore carries its transaction's number (`txid`), by
//! which followers know what is settled.

pub mod aside;
pub mod catalogue;
pub mod cloud;
pub mod ear;
pub mod fold;
mod follow;
pub mod follower;
mod kinds;
pub mod lease;
pub mod memory;
mod place;
mod read;
mod select;
mod table;

pub use kinds::{Kinds, NoKinds};
pub use place::{NoPlace, Place};
pub use read::{Entry, end_in, settled_in, settled_rows_in};
pub use select::{Found, Narrow, Order, Outcome, count_in, find_in, kept_in, select_in};

use std::borrow::Cow;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use serde_json::json;

use crate::auth::{Caller, Who};
use crate::db::schema::events;
use crate::db::{Conn, news};
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::kernel::id::{EventId, TenantId};
use crate::kernel::sql::{Json, SqlId};

/// A fact about to be appended.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// What happened, noun then verb: `tenant.suspended`.
    pub kind: Cow<'static, str>,
    /// Whose fact it is; `None` for the operator's own.
    pub tenant: Option<TenantId>,
    /// The fact's own data. Never a secret.
    pub data: serde_json::Value,
}

impl NewEvent {
    /// A fact of `tenant`.
    #[must_use]
    pub fn of(tenant: TenantId, kind: &'static str, data: serde_json::Value) -> Self {
        Self { kind: Cow::Borrowed(kind), tenant: Some(tenant), data }
    }

    /// A fact of the installation.
    #[must_use]
    pub fn global(kind: &'static str, data: serde_json::Value) -> Self {
        Self { kind: Cow::Borrowed(kind), tenant: None, data }
    }
}

/// Appends `event` in the caller's transaction.
///
/// # Errors
/// The store's.
pub fn append_in(conn: &mut Conn, caller: &Caller, at: Ts, event: NewEvent) -> Result<EventId> {
    let id = EventId::mint();
    let mut data = event.data;
    // What an operator does in a member's stead is the operator's deed, and says for whom.
    if let (Who::Impersonator { user, role, session, .. }, Some(data)) = (&caller.who, data.as_object_mut()) {
        let stead = json!({ "user_id": user, "role": role, "session_id": session });
        data.insert("in_stead_of".into(), stead);
    }
    let row = (
        events::id.eq(id),
        events::kind.eq(event.kind.as_ref()),
        events::version.eq(1),
        events::tenant_id.eq(event.tenant),
        events::actor_kind.eq(caller.kind()),
        events::actor_id.eq(caller.actor()),
        events::address.eq(caller.address.as_deref()),
        events::request_id.eq(caller.request_id.as_deref()),
        events::at.eq(at),
        events::data.eq(Json(data)),
    );
    diesel::insert_into(events::table).values(row).execute(conn)?;
    news::appends();
    Ok(id)
}

/// What a follower that keeps memory coherent needs of an event.
#[derive(Debug, Clone, QueryableByName)]
pub struct Notice {
    /// The event's number.
    #[diesel(sql_type = BigInt)]
    pub seq: i64,
    /// What happened.
    #[diesel(sql_type = Text)]
    pub kind: String,
    /// Whose fact it is.
    #[diesel(sql_type = Nullable<SqlId>)]
    pub tenant_id: Option<TenantId>,
    /// The key the fact is about, when it is about one.
    #[diesel(sql_type = Nullable<Text>)]
    pub key_id: Option<String>,
    /// The person the fact is about, a member or an operator, when it is about one.
    #[diesel(sql_type = Nullable<Text>)]
    pub user_id: Option<String>,
    /// The session the fact is about, when it is about one.
    #[diesel(sql_type = Nullable<Text>)]
    pub session_id: Option<String>,
}

#[derive(QueryableByName)]
struct Horizon {
    #[diesel(sql_type = BigInt)]
    xmin: i64,
}

/// The oldest transaction that may still be running on this PostgreSQL: whatever it writes is not seen yet.
///
/// # Errors
/// The store's.
pub fn horizon_in(conn: &mut PgConnection) -> Result<i64> {
    let sql = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS xmin";
    let horizon: Horizon = diesel::sql_query(sql).get_result(conn)?;
    Ok(horizon.xmin)
}

/// Every event of a transaction that was not settled at `horizon`: those that became visible since, and
/// some that were seen before. Nothing is ever missed and nothing waits for a slow transaction, which is
/// what memory needs; followers that need order read settled events instead.
///
/// # Errors
/// The store's.
pub fn since_in(conn: &mut PgConnection, horizon: i64) -> Result<Vec<Notice>> {
    let sql = "SELECT seq, type AS kind, tenant_id, data->>'key_id' AS key_id, data->>'session_id' AS session_id, \
               data->>'user_id' AS user_id FROM events WHERE txid >= $1";
    diesel::sql_query(sql).bind::<BigInt, _>(horizon).load(conn).map_err(Into::into)
}
