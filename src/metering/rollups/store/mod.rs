//! The tables of roll-ups, and of usage events as far as they are followed.

mod generations;
mod read;

pub use generations::{Generation, State, all, live, lock, pause, start, start_anew, status, swap, sweep};
pub use read::{sums, tail, total, uniques};

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use serde_json::{Value, json};

use super::model::{Cell, HOUR, Raw, Tally, hour_of};
use crate::db::Conn;
use crate::db::schema::{usage_events, usage_generations, usage_rollups, usage_uniques};
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::kernel::id::TenantId;
use crate::kernel::sql::{Json, SqlId, SqlJson, SqlTs};
use crate::log::{self, Place};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    txid: i64,
    #[diesel(sql_type = BigInt)]
    seq: i64,
    #[diesel(sql_type = SqlId)]
    tenant_id: TenantId,
    #[diesel(sql_type = SqlTs)]
    at: Ts,
    #[diesel(sql_type = SqlTs)]
    received_at: Ts,
    #[diesel(sql_type = Text)]
    counts: String,
}

impl From<Row> for Raw {
    fn from(row: Row) -> Self {
        Self {
            place: Place { txid: row.txid, seq: row.seq },
            tenant: row.tenant_id,
            at: row.at,
            received_at: row.received_at,
            counts: row.counts,
        }
    }
}

const COLUMNS: &str = "txid, seq, tenant_id, at, received_at, counts";

/// The next events after `from`, in their order, of transactions that are settled; up to `until`, where that is
/// given. No event will ever come to stand before those that this answered.
///
/// # Errors
/// The store's.
pub fn settled(conn: &mut Conn, from: Place, until: Option<Place>, limit: i64) -> Result<Vec<Raw>> {
    let rows: Vec<Row> = log::settled_rows_in(conn, (COLUMNS, "usage_events"), from, until, limit)?;
    Ok(rows.into_iter().map(Into::into).collect())
}

fn id(conn: &Conn, tenant: TenantId) -> Value {
    match conn {
        Conn::Sqlite(_) => json!(tenant.uuid().simple().to_string()),
        Conn::Postgres(_) => json!(tenant.uuid()),
    }
}

fn moment(conn: &Conn, at: Ts) -> Value {
    match conn {
        Conn::Sqlite(_) => json!(at.micros()),
        Conn::Postgres(_) => json!(at),
    }
}

const SQLITE_CELL: &str =
    "value->>'n' AS n, unhex(value->>'t') AS t, value->>'m' AS m, value->>'h' AS h, value->>'k' AS k";
const POSTGRES_CELL: &str = "n bigint, t uuid, m text, h timestamptz, k text";

/// Writes what was read from `from` up to `to`, and moves the place there: whether it did. When somebody else moved
/// it first, nothing is written.
///
/// # Errors
/// The store's.
pub fn apply(conn: &mut Conn, generation: i64, from: Place, to: Place, tally: &Tally) -> Result<bool> {
    let mine = usage_generations::table
        .find(generation)
        .filter(usage_generations::txid.eq(from.txid))
        .filter(usage_generations::seq.eq(from.seq))
        .filter(usage_generations::state.ne(State::Dropped))
        .filter(usage_generations::paused_at.is_null());
    let moved = diesel::update(mine)
        .set((usage_generations::txid.eq(to.txid), usage_generations::seq.eq(to.seq)))
        .execute(conn)?;
    if moved == 0 {
        return Ok(false);
    }
    add_sums(conn, generation, tally)?;
    add_uniques(conn, generation, tally)?;
    Ok(true)
}

fn cell(conn: &Conn, generation: i64, cell: &Cell) -> Value {
    json!({
        "n": generation, "t": id(conn, cell.tenant), "m": cell.meter, "h": moment(conn, cell.hour), "k": cell.group,
    })
}

fn add_sums(conn: &mut Conn, generation: i64, tally: &Tally) -> Result<()> {
    if tally.cells.is_empty() {
        return Ok(());
    }
    let one = |(at, sum): (&Cell, &super::model::Sum)| {
        let mut value = cell(conn, generation, at);
        let (last_at, last_seq, last_value) = sum.last;
        let more = json!({
            "e": sum.events, "s": sum.total, "x": sum.most,
            "la": moment(conn, last_at), "ls": last_seq, "lv": last_value,
        });
        if let (Some(value), Value::Object(more)) = (value.as_object_mut(), more) {
            value.extend(more);
        }
        value
    };
    let list = Json(tally.cells.iter().map(one).collect());
    let later = "(excluded.last_at, excluded.last_seq) > (r.last_at, r.last_seq)";
    let insert = "INSERT INTO usage_rollups AS r (generation, tenant_id, meter, hour, grp, events, total, most, \
                  last_at, last_seq, last_value) SELECT n, t, m, h, k, e, s, x, la, ls, lv";
    let text = |from: &str, least: &str, greatest: &str| {
        format!(
            "{insert} FROM {from} WHERE true \
             ON CONFLICT (generation, tenant_id, meter, hour, grp) DO UPDATE SET events = r.events + excluded.events, \
             total = {least}(r.total, 9223372036854775807 - excluded.total) + excluded.total, \
             most = {greatest}(r.most, excluded.most), \
             last_at = CASE WHEN {later} THEN excluded.last_at ELSE r.last_at END, \
             last_seq = CASE WHEN {later} THEN excluded.last_seq ELSE r.last_seq END, \
             last_value = CASE WHEN {later} THEN excluded.last_value ELSE r.last_value END"
        )
    };
    match conn {
        Conn::Sqlite(c) => {
            let from = format!(
                "(SELECT {SQLITE_CELL}, value->>'e' AS e, value->>'s' AS s, value->>'x' AS x, value->>'la' AS la, \
                 value->>'ls' AS ls, value->>'lv' AS lv FROM json_each(?))"
            );
            diesel::sql_query(text(&from, "min", "max")).bind::<SqlJson, _>(list).execute(c)?
        }
        Conn::Postgres(c) => {
            let from = format!(
                "jsonb_to_recordset($1) AS w ({POSTGRES_CELL}, e bigint, s bigint, x bigint, la timestamptz, \
                 ls bigint, lv bigint)"
            );
            diesel::sql_query(text(&from, "least", "greatest")).bind::<SqlJson, _>(list).execute(c)?
        }
    };
    Ok(())
}

fn add_uniques(conn: &mut Conn, generation: i64, tally: &Tally) -> Result<()> {
    if tally.uniques.is_empty() {
        return Ok(());
    }
    let one = |(at, mark): &(Cell, crate::metering::counted::Mark)| {
        let mut value = cell(conn, generation, at);
        if let Some(value) = value.as_object_mut() {
            value.insert("u".into(), String::from(*mark).into());
        }
        value
    };
    let list = Json(tally.uniques.iter().map(one).collect());
    let insert = "INSERT INTO usage_uniques (generation, tenant_id, meter, hour, grp, value)";
    match conn {
        Conn::Sqlite(c) => diesel::sql_query(format!(
            "{insert} SELECT n, t, m, h, k, u FROM (SELECT {SQLITE_CELL}, unhex(value->>'u') AS u FROM json_each(?)) \
             WHERE true ON CONFLICT DO NOTHING"
        ))
        .bind::<SqlJson, _>(list)
        .execute(c)?,
        Conn::Postgres(c) => diesel::sql_query(format!(
            "{insert} SELECT n, t, m, h, k, decode(u, 'hex') FROM jsonb_to_recordset($1) AS w ({POSTGRES_CELL}, u text) \
             ON CONFLICT DO NOTHING"
        ))
        .bind::<SqlJson, _>(list)
        .execute(c)?,
    };
    Ok(())
}

/// Drops some of the events that came in before `before` and are rolled up; how many it looked at. The hours up to
/// the last of them cannot be built anew from then on, and are kept as they are.
///
/// # Errors
/// The store's.
pub fn retain(conn: &mut Conn, before: Ts, limit: i64) -> Result<usize> {
    let live = lock(conn)?;
    let first = settled(conn, Place::default(), Some(live.place), limit)?;
    let old: Vec<&Raw> = first.iter().filter(|raw| raw.received_at < before).collect();
    let (Some(latest), Some(last)) = (old.iter().map(|raw| raw.at).max(), old.last().map(|raw| raw.place))
    else {
        return Ok(0);
    };
    let whole = Ts::from_micros(hour_of(latest).micros().saturating_add(HOUR)).unwrap_or(latest);
    diesel::update(usage_generations::table.find(live.generation))
        .set(usage_generations::raw_from.eq(live.raw_from.max(whole)))
        .execute(conn)?;
    match conn {
        Conn::Sqlite(c) => diesel::sql_query("DELETE FROM usage_events WHERE seq <= ? AND received_at < ?")
            .bind::<BigInt, _>(last.seq)
            .bind::<SqlTs, _>(before)
            .execute(c)?,
        Conn::Postgres(c) => {
            diesel::sql_query("DELETE FROM usage_events WHERE (txid, seq) <= ($1, $2) AND received_at < $3")
                .bind::<BigInt, _>(last.txid)
                .bind::<BigInt, _>(last.seq)
                .bind::<SqlTs, _>(before)
                .execute(c)?
        }
    };
    Ok(old.len())
}

/// Removes all that is known of a tenant's use.
///
/// # Errors
/// The store's.
pub fn remove_of_tenant(conn: &mut Conn, tenant: TenantId) -> Result<()> {
    let generations: Vec<i64> = usage_generations::table.select(usage_generations::generation).load(conn)?;
    diesel::delete(usage_events::table.filter(usage_events::tenant_id.eq(tenant))).execute(conn)?;
    diesel::delete(
        usage_rollups::table
            .filter(usage_rollups::generation.eq_any(generations.clone()))
            .filter(usage_rollups::tenant_id.eq(tenant)),
    )
    .execute(conn)?;
    diesel::delete(
        usage_uniques::table
            .filter(usage_uniques::generation.eq_any(generations))
            .filter(usage_uniques::tenant_id.eq(tenant)),
    )
    .execute(conn)?;
    Ok(())
}
