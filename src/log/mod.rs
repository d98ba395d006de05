//! The event log: one append-only table. A command appends in the transaction that makes the fact true,
//! so state, audit and message cannot disagree.
//!
//! Followers read in the order of (transaction, sequence) and, on PostgreSQL, only what is older than
//! every transaction still running: sequence numbers are handed out before commit, so reading "greater
//! than the last seen" alone would skip the event of a slower transaction.

use std::borrow::Cow;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use crate::auth::Caller;
use crate::db::Conn;
use crate::db::schema::events;
use crate::each;
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
        events::data.eq(Json(event.data)),
    );
    each!(conn, |c| diesel::insert_into(events::table).values(row).execute(c))?;
    Ok(id)
}

/// How far a follower has read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Position {
    txid: i64,
    seq: i64,
}

/// What a follower that keeps memory coherent needs of an event.
#[derive(Debug, Clone, QueryableByName)]
pub struct Notice {
    #[diesel(sql_type = BigInt)]
    txid: i64,
    #[diesel(sql_type = BigInt)]
    seq: i64,
    /// What happened.
    #[diesel(sql_type = Text)]
    pub kind: String,
    /// Whose fact it is.
    #[diesel(sql_type = Nullable<SqlId>)]
    pub tenant_id: Option<TenantId>,
    /// The key the fact is about, when it is about one.
    #[diesel(sql_type = Nullable<Text>)]
    pub subject: Option<String>,
}

impl Notice {
    /// The follower's position once it has taken this in.
    #[must_use]
    pub fn position(&self) -> Position {
        Position { txid: self.txid, seq: self.seq }
    }
}

/// The end of the log, as far as it is settled: where a follower that begins with an empty memory starts.
///
/// # Errors
/// The store's.
pub fn end_in(conn: &mut Conn) -> Result<Position> {
    let sql = format!(
        "SELECT txid, seq, type AS kind, tenant_id, NULL AS subject FROM events {} ORDER BY txid DESC, seq DESC LIMIT 1",
        settled(conn, "WHERE")
    );
    let last: Option<Notice> = each!(conn, |c| diesel::sql_query(&sql).get_result(c).optional())?;
    Ok(last.map_or_else(Position::default, |notice| notice.position()))
}

/// Up to `limit` settled events after `position`, in commit-safe order.
///
/// # Errors
/// The store's.
pub fn after_in(conn: &mut Conn, position: Position, limit: i64) -> Result<Vec<Notice>> {
    let subject = match conn {
        Conn::Sqlite(_) => "json_extract(data, '$.key_id')",
        Conn::Postgres(_) => "data->>'key_id'",
    };
    let sql = format!(
        "SELECT txid, seq, type AS kind, tenant_id, {subject} AS subject FROM events \
         WHERE (txid, seq) > ($1, $2) {} ORDER BY txid, seq LIMIT $3",
        settled(conn, "AND")
    );
    each!(conn, |c| diesel::sql_query(&sql)
        .bind::<BigInt, _>(position.txid)
        .bind::<BigInt, _>(position.seq)
        .bind::<BigInt, _>(limit)
        .load(c))
    .map_err(Into::into)
}

fn settled(conn: &Conn, glue: &str) -> String {
    match conn {
        Conn::Sqlite(_) => String::new(),
        Conn::Postgres(_) => format!("{glue} txid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint"),
    }
}
