//! Reading roll-ups, and what is not in them yet.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::{COLUMNS, Row};
use crate::db::Conn;
use crate::db::schema::{usage_rollups, usage_uniques};
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::TenantId;
use crate::kernel::sql::SqlId;
use crate::log::Place;
use crate::metering::counted::Mark;
use crate::metering::rollups::model::{Cell, Raw, Sum};

type Found = (String, Ts, String, i64, i64, i64, Ts, i64, i64);

/// The sums of a tenant in the hours from `from` until before `to`, of one meter or of all; `limit` at most.
///
/// # Errors
/// The store's.
pub fn sums(
    conn: &mut Conn,
    generation: i64,
    tenant: TenantId,
    meter: Option<&str>,
    (from, to): (Ts, Ts),
    limit: i64,
) -> Result<Vec<(Cell, Sum)>> {
    use usage_rollups as r;
    let mut query = r::table
        .filter(r::generation.eq(generation))
        .filter(r::tenant_id.eq(tenant))
        .filter(r::hour.ge(from))
        .filter(r::hour.lt(to))
        .select((
            r::meter,
            r::hour,
            r::grp,
            r::events,
            r::total,
            r::most,
            r::last_at,
            r::last_seq,
            r::last_value,
        ))
        .limit(limit)
        .into_boxed();
    if let Some(meter) = meter {
        query = query.filter(r::meter.eq(meter.to_owned()));
    }
    let rows: Vec<Found> = query.load(conn)?;
    let one = |(meter, hour, group, events, total, most, at, seq, value): Found| {
        (Cell { tenant, meter, hour, group }, Sum { events, total, most, last: (at, seq, value) })
    };
    Ok(rows.into_iter().map(one).collect())
}

/// The different values of a tenant in these hours; `limit` at most.
///
/// # Errors
/// The store's.
pub fn uniques(
    conn: &mut Conn,
    generation: i64,
    tenant: TenantId,
    meters: Vec<String>,
    (from, to): (Ts, Ts),
    limit: i64,
) -> Result<Vec<(Cell, Mark)>> {
    use usage_uniques as u;
    let rows: Vec<(String, Ts, String, Vec<u8>)> = u::table
        .filter(u::generation.eq(generation))
        .filter(u::tenant_id.eq(tenant))
        .filter(u::meter.eq_any(meters))
        .filter(u::hour.ge(from))
        .filter(u::hour.lt(to))
        .select((u::meter, u::hour, u::grp, u::value))
        .limit(limit)
        .load(conn)?;
    rows.into_iter()
        .map(|(meter, hour, group, value)| {
            let value: [u8; 16] =
                value.try_into().map_err(|_| Error::internal("a mark has another length"))?;
            Ok((Cell { tenant, meter, hour, group }, Mark(u128::from_be_bytes(value))))
        })
        .collect()
}

/// A tenant's events that are not rolled up yet, as this transaction sees them.
///
/// # Errors
/// The store's.
pub fn tail(conn: &mut Conn, after: Place, tenant: TenantId) -> Result<Vec<Raw>> {
    let rows: Vec<Row> = match conn {
        Conn::Sqlite(c) => {
            // By number, not by tenant: there are few behind the place, and many of a tenant.
            let sql =
                format!("SELECT {COLUMNS} FROM usage_events NOT INDEXED WHERE seq > ? AND tenant_id = ?");
            diesel::sql_query(sql).bind::<BigInt, _>(after.seq).bind::<SqlId, _>(tenant).load(c)?
        }
        Conn::Postgres(c) => {
            let sql =
                format!("SELECT {COLUMNS} FROM usage_events WHERE (txid, seq) > ($1, $2) AND tenant_id = $3");
            diesel::sql_query(sql)
                .bind::<BigInt, _>(after.txid)
                .bind::<BigInt, _>(after.seq)
                .bind::<SqlId, _>(tenant)
                .load(c)?
        }
    };
    Ok(rows.into_iter().map(Into::into).collect())
}

/// The values of a meter in these hours, added up.
///
/// # Errors
/// The store's.
pub fn total(
    conn: &mut Conn,
    generation: i64,
    tenant: TenantId,
    meter: &str,
    (from, to): (Ts, Ts),
) -> Result<i64> {
    let found = sums(conn, generation, tenant, Some(meter), (from, to), i64::MAX)?;
    Ok(found.iter().fold(0, |total, (_, sum)| sum.total.saturating_add(total)))
}
