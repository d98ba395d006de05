//! The table of usage events, as far as they come in.

use std::collections::HashSet;

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Array, Binary, Text};
use sha2::{Digest as _, Sha256};

use crate::db::Conn;
use crate::db::schema::usage_events;
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::kernel::id::TenantId;
use crate::kernel::sql::{SqlId, SqlTs};
use crate::metering::quota::Added;

/// An event about to be written.
#[derive(Debug, Clone)]
pub struct NewUsage {
    /// Whose use it is.
    pub tenant: TenantId,
    /// Where it comes from.
    pub source: String,
    /// Its id there.
    pub id: String,
    /// Its type.
    pub kind: String,
    /// When it happened.
    pub at: Ts,
    /// When it came in.
    pub received_at: Ts,
    /// What it counts as, written by [`crate::metering::counted::write`].
    pub counts: String,
    /// The quotas that it counts against.
    pub added: Vec<Added>,
}

impl NewUsage {
    /// What stands for tenant, source and id: 128 bits of their SHA-256, short enough that the index that finds
    /// repeats stays small.
    #[must_use]
    pub fn key(&self) -> Vec<u8> {
        let mut hash = Sha256::new();
        hash.update(self.tenant.uuid().as_bytes());
        hash.update(self.source.len().to_le_bytes());
        hash.update(self.source.as_bytes());
        hash.update(self.id.as_bytes());
        hash.finalize().iter().take(16).copied().collect()
    }
}

#[derive(QueryableByName)]
struct Key {
    #[diesel(sql_type = Binary)]
    key: Vec<u8>,
}

/// Writes those events that are not there yet: whether each was.
///
/// # Errors
/// The store's.
pub fn insert(conn: &mut Conn, rows: &[&NewUsage]) -> Result<Vec<bool>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    match conn {
        Conn::Sqlite(c) => rows.iter().map(|row| one(c, row)).collect(),
        Conn::Postgres(c) => all(c, rows),
    }
}

fn one(conn: &mut SqliteConnection, row: &NewUsage) -> Result<bool> {
    let written = diesel::insert_into(usage_events::table)
        .values((
            usage_events::tenant_id.eq(row.tenant),
            usage_events::key.eq(row.key()),
            usage_events::source.eq(&row.source),
            usage_events::id.eq(&row.id),
            usage_events::kind.eq(&row.kind),
            usage_events::at.eq(row.at),
            usage_events::received_at.eq(row.received_at),
            usage_events::counts.eq(&row.counts),
        ))
        .on_conflict_do_nothing()
        .execute(conn)?;
    Ok(written > 0)
}

fn all(conn: &mut PgConnection, rows: &[&NewUsage]) -> Result<Vec<bool>> {
    let keys: Vec<Vec<u8>> = rows.iter().map(|row| row.key()).collect();
    // In the order of their keys, so that two processes that write the same events wait for each other in turn. Of
    // equal ones the first stays first.
    let mut order: Vec<(&Vec<u8>, &NewUsage)> = keys.iter().zip(rows.iter().copied()).collect();
    order.sort_by_key(|(key, row)| (row.tenant, *key));
    let sql = "INSERT INTO usage_events (tenant_id, key, source, id, type, at, received_at, counts) \
               SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8) \
               ON CONFLICT (tenant_id, key) DO NOTHING RETURNING key";
    let texts = |of: fn(&NewUsage) -> &str| order.iter().map(|(_, row)| of(row)).collect::<Vec<&str>>();
    let moments = |of: fn(&NewUsage) -> Ts| order.iter().map(|(_, row)| of(row)).collect::<Vec<Ts>>();
    let written: Vec<Key> = diesel::sql_query(sql)
        .into_boxed::<Pg>()
        .bind::<Array<SqlId>, _>(order.iter().map(|(_, row)| row.tenant).collect::<Vec<_>>())
        .bind::<Array<Binary>, _>(order.iter().map(|(key, _)| key.as_slice()).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(texts(|row| &row.source))
        .bind::<Array<Text>, _>(texts(|row| &row.id))
        .bind::<Array<Text>, _>(texts(|row| &row.kind))
        .bind::<Array<SqlTs>, _>(moments(|row| row.at))
        .bind::<Array<SqlTs>, _>(moments(|row| row.received_at))
        .bind::<Array<Text>, _>(texts(|row| &row.counts))
        .load(conn)?;
    let mut fresh: HashSet<Vec<u8>> = written.into_iter().map(|row| row.key).collect();
    // Of two that are the same, the first was written.
    Ok(keys.iter().map(|key| fresh.remove(key)).collect())
}
