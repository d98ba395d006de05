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
pub mod events;
pub mod fold;
mod follow;
pub mod follower;
mod kinds;
pub mod lag;
pub mod lease;
pub mod memory;
mod place;
pub mod projection;
mod reach;
mod read;
mod select;
mod table;

pub use kinds::{Kinds, NoKinds};
pub use place::{NoPlace, Place};
pub use reach::{PATIENCE, caught_up, holds_in, reached, settled};
pub use read::{Entry, end_in, settled_in, settled_rows_in};
pub use select::{Found, Narrow, Order, Outcome, count_in, find_in, kept_in, select_in};

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};
use serde_json::{Value, json};

use self::catalogue::{Fact, FactType};
use crate::auth::{Caller, Who};
use crate::db::schema::events as kept;
use crate::db::{Conn, news};
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::{EventId, TenantId};
use crate::kernel::sql::{Json, SqlId};

/// A fact about to be appended. Never holds a secret.
#[derive(Debug, Clone)]
pub struct NewEvent {
    fact: &'static FactType,
    tenant: Option<TenantId>,
    data: std::result::Result<Value, String>,
}

impl NewEvent {
    /// A fact of `tenant`.
    #[must_use]
    pub fn of(tenant: TenantId, fact: impl Fact) -> Self {
        Self::about(Some(tenant), fact)
    }

    /// A fact of the installation.
    #[must_use]
    pub fn global(fact: impl Fact) -> Self {
        Self::about(None, fact)
    }

    /// A fact of `tenant`, where there is one.
    #[must_use]
    pub fn about<F: Fact>(tenant: Option<TenantId>, fact: F) -> Self {
        let data = serde_json::to_value(fact).map_err(|error| error.to_string());
        Self { fact: F::fact(), tenant, data }
    }

    /// The same, having happened `count` times; for kinds that have a `count`.
    #[must_use]
    pub(crate) fn counted(mut self, count: u64) -> Self {
        if let Ok(Some(data)) = self.data.as_mut().map(Value::as_object_mut) {
            data.insert("count".into(), json!(count));
        }
        self
    }

    /// Its data, which in builds for tests must be as its schema says.
    fn checked(&self) -> Result<Value> {
        let kind = self.fact.kind();
        let data = self.data.clone().map_err(|error| Error::internal(format!("{kind}: {error}")))?;
        let faults = if cfg!(debug_assertions) { self.fact.faults(&data) } else { Vec::new() };
        if !faults.is_empty() {
            return Err(Error::internal(format!("{kind} is not as its schema says: {faults:?}")));
        }
        Ok(data)
    }
}

/// Appends `event` in the caller's transaction.
///
/// # Errors
/// The store's.
pub fn append_in(conn: &mut Conn, caller: &Caller, at: Ts, event: NewEvent) -> Result<EventId> {
    let id = EventId::mint();
    let mut data = event.checked()?;
    if let Some(data) = data.as_object_mut() {
        // What an operator does in a member's stead is the operator's deed, and says for whom.
        if let Who::Impersonator { user, role, session, .. } = &caller.who {
            let stead = json!({ "user_id": user, "role": role, "session_id": session });
            data.insert("in_stead_of".into(), stead);
        }
        if let Some(cause) = &caller.cause {
            data.insert("cause".into(), json!(cause));
        }
    }
    let row = (
        kept::id.eq(id),
        kept::kind.eq(event.fact.kind()),
        kept::version.eq(event.fact.version()),
        kept::tenant_id.eq(event.tenant),
        kept::actor_kind.eq(caller.kind()),
        kept::actor_id.eq(caller.actor()),
        kept::address.eq(caller.address.as_deref()),
        kept::request_id.eq(caller.request_id.as_deref()),
        kept::at.eq(at),
        kept::data.eq(Json(data)),
    );
    let new = diesel::insert_into(kept::table).values(row);
    let place = match conn {
        Conn::Sqlite(c) => Place { txid: 0, seq: new.returning(kept::seq).get_result(c)? },
        Conn::Postgres(c) => {
            let (txid, seq) = new.returning((kept::txid, kept::seq)).get_result(c)?;
            Place { txid, seq }
        }
    };
    news::appends(place);
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
