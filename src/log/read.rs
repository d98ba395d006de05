//! Reading the log in its order, as far as it is settled.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable, Text};

use super::{Place, catalogue, horizon_in};
use crate::db::Conn;
use crate::db::schema::events;
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::kernel::id::{EventId, TenantId};
use crate::kernel::sql::{Json, SqlId, SqlJson, SqlTs};

/// An event of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Where it stands.
    pub place: Place,
    /// Its id.
    pub id: EventId,
    /// What happened.
    pub kind: String,
    /// The version of its data's shape.
    pub version: i32,
    /// Whose fact it is; `None` for the operator's own.
    pub tenant: Option<TenantId>,
    /// What kind of caller did it.
    pub actor_kind: String,
    /// Who did it.
    pub actor_id: String,
    /// From where.
    pub address: Option<String>,
    /// By which request.
    pub request_id: Option<String>,
    /// When.
    pub at: Ts,
    /// The fact's own data.
    pub data: serde_json::Value,
}

#[derive(Queryable, Selectable, QueryableByName)]
#[diesel(table_name = events)]
pub(super) struct Row {
    #[diesel(sql_type = BigInt)]
    txid: i64,
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = SqlId)]
    id: EventId,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Integer)]
    version: i32,
    #[diesel(sql_type = Nullable<SqlId>)]
    tenant_id: Option<TenantId>,
    #[diesel(sql_type = Text)]
    actor_kind: String,
    #[diesel(sql_type = Text)]
    actor_id: String,
    #[diesel(sql_type = Nullable<Text>)]
    address: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    request_id: Option<String>,
    #[diesel(sql_type = SqlTs)]
    at: Ts,
    #[diesel(sql_type = SqlJson)]
    data: Json,
}

impl Row {
    /// The event exactly as it is kept.
    pub(super) fn into_entry(self) -> Entry {
        let row = self;
        Entry {
            place: Place { txid: row.txid, seq: row.seq },
            id: row.id,
            kind: row.kind,
            version: row.version,
            tenant: row.tenant_id,
            actor_kind: row.actor_kind,
            actor_id: row.actor_id,
            address: row.address,
            request_id: row.request_id,
            at: row.at,
            data: row.data.0,
        }
    }
}

impl From<Row> for Entry {
    /// The event in the newest shape of its kind.
    fn from(row: Row) -> Self {
        let kept = row.into_entry();
        let (version, data) = catalogue::newest(&kept.kind, kept.version, kept.data);
        Self { version, data, ..kept }
    }
}

const COLUMNS: &str = "txid, seq, id, type AS kind, version, tenant_id, actor_kind, actor_id, address, \
                       request_id, at, data";

/// The next rows after `from`, in their order, of transactions that are settled; up to `until`, where that is
/// given. No row will ever come to stand before those that this answered. `table` has `txid` and `seq`, as the
/// log has.
///
/// # Errors
/// The store's.
pub fn settled_rows_in<R>(
    conn: &mut Conn,
    (columns, table): (&str, &str),
    from: Place,
    until: Option<Place>,
    limit: i64,
) -> Result<Vec<R>>
where
    R: QueryableByName<diesel::sqlite::Sqlite> + QueryableByName<diesel::pg::Pg> + 'static,
{
    let until = until.unwrap_or(Place::END);
    let rows = match conn {
        Conn::Sqlite(c) => diesel::sql_query(format!(
            "SELECT {columns} FROM {table} WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
        ))
        .bind::<BigInt, _>(from.seq)
        .bind::<BigInt, _>(until.seq)
        .bind::<BigInt, _>(limit)
        .load(c)?,
        Conn::Postgres(c) => {
            // Whatever this snapshot's transactions are done with, it sees.
            let horizon = horizon_in(c)?;
            diesel::sql_query(format!(
                "SELECT {columns} FROM {table} WHERE (txid, seq) > ($1, $2) AND (txid, seq) <= ($3, $4) \
                 AND txid < $5 ORDER BY txid, seq LIMIT $6"
            ))
            .bind::<BigInt, _>(from.txid)
            .bind::<BigInt, _>(from.seq)
            .bind::<BigInt, _>(until.txid)
            .bind::<BigInt, _>(until.seq)
            .bind::<BigInt, _>(horizon)
            .bind::<BigInt, _>(limit)
            .load(c)?
        }
    };
    Ok(rows)
}

/// The next events of the log after `from`, as [`settled_rows_in`].
///
/// # Errors
/// The store's.
pub fn settled_in(conn: &mut Conn, from: Place, until: Option<Place>, limit: i64) -> Result<Vec<Entry>> {
    let rows: Vec<Row> = settled_rows_in(conn, (COLUMNS, "events"), from, until, limit)?;
    Ok(rows.into_iter().map(Into::into).collect())
}

#[derive(QueryableByName)]
struct At {
    #[diesel(sql_type = BigInt)]
    txid: i64,
    #[diesel(sql_type = BigInt)]
    seq: i64,
}

/// The place of the last event that is settled; before all events when there is none.
///
/// # Errors
/// The store's.
pub fn end_in(conn: &mut Conn) -> Result<Place> {
    let last: Option<At> = match conn {
        Conn::Sqlite(c) => {
            diesel::sql_query("SELECT 0 AS txid, seq FROM events ORDER BY seq DESC LIMIT 1").get_result(c)
        }
        Conn::Postgres(c) => {
            let horizon = horizon_in(c)?;
            diesel::sql_query(
                "SELECT txid, seq FROM events WHERE txid < $1 ORDER BY txid DESC, seq DESC LIMIT 1",
            )
            .bind::<BigInt, _>(horizon)
            .get_result(c)
        }
    }
    .optional()?;
    Ok(last.map_or_else(Place::default, |at| Place { txid: at.txid, seq: at.seq }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_old_row_is_read_in_the_newest_shape_and_kept_as_it_was_written() {
        catalogue::tests::install_all();
        let row = || Row {
            txid: 1,
            seq: 2,
            id: EventId::mint(),
            kind: "thing.done".to_owned(),
            version: 1,
            tenant_id: None,
            actor_kind: "system".to_owned(),
            actor_id: "test".to_owned(),
            address: None,
            request_id: None,
            at: Ts::EPOCH,
            data: Json(json!({ "title": "a", "cause": "clock" })),
        };
        let read = Entry::from(row());
        assert_eq!((read.version, read.data), (3, json!({ "name": "a", "count": 1, "cause": "clock" })));
        let kept = row().into_entry();
        assert_eq!((kept.version, kept.data), (1, json!({ "title": "a", "cause": "clock" })));
    }
}
