//! What is kept beside the counters: takes by their keys, and which thresholds were reached.

use std::collections::BTreeMap;
use std::sync::Arc;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use serde_json::{Value, json};

use super::{id, moment};
use crate::auth::Caller;
use crate::db::Conn;
use crate::db::schema::quota_thresholds;
use crate::each;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::TenantId;
use crate::kernel::sql::{Json, SqlId, SqlJson, SqlTs};
use crate::log::{self, NewEvent};
use crate::metering::events::{QuotaThresholdReached, Span};
use crate::metering::quota::model::Bound;
use crate::metering::quota::model::sheet::{Kept, Outcome, Reached, Sheet};

#[derive(QueryableByName)]
struct TakeRow {
    #[diesel(sql_type = SqlId)]
    tenant_id: TenantId,
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Text)]
    feature: String,
    #[diesel(sql_type = BigInt)]
    amount: i64,
    #[diesel(sql_type = SqlJson)]
    outcome: Json,
}

pub(super) type Kepts = BTreeMap<(TenantId, Arc<str>), Kept>;

/// The takes that bear these keys already.
pub(super) fn kept(conn: &mut Conn, keys: &[(TenantId, Arc<str>)], now: Ts) -> Result<Kepts> {
    if keys.is_empty() {
        return Ok(BTreeMap::new());
    }
    let one = |(tenant, key): &(TenantId, Arc<str>)| json!({ "t": id(conn, *tenant), "k": key });
    let wanted = Json(keys.iter().map(one).collect());
    let columns = "c.tenant_id, c.key, c.feature, c.amount, c.outcome";
    let rows: Vec<TakeRow> = match conn {
        Conn::Sqlite(c) => diesel::sql_query(format!(
            "SELECT {columns} FROM (SELECT unhex(value->>'t') AS t, value->>'k' AS k FROM json_each(?)) AS w \
             CROSS JOIN quota_takes AS c WHERE c.tenant_id = w.t AND c.key = w.k AND c.expires_at > ?"
        ))
        .bind::<SqlJson, _>(wanted)
        .bind::<SqlTs, _>(now)
        .load(c)?,
        Conn::Postgres(c) => diesel::sql_query(format!(
            "SELECT {columns} FROM quota_takes AS c JOIN jsonb_to_recordset($1) AS w (t uuid, k text) \
             ON c.tenant_id = w.t AND c.key = w.k WHERE c.expires_at > $2"
        ))
        .bind::<SqlJson, _>(wanted)
        .bind::<SqlTs, _>(now)
        .load(c)?,
    };
    let read = |row: TakeRow| {
        let outcome: Outcome = serde_json::from_value(row.outcome.0).map_err(Error::internal)?;
        let kept = Kept { feature: row.feature.into(), amount: row.amount, outcome };
        Ok(((row.tenant_id, row.key.into()), kept))
    };
    rows.into_iter().map(read).collect()
}

/// Keeps new takes by their keys, in the place of some that are kept no longer.
pub(super) fn keep(conn: &mut Conn, sheet: &Sheet, now: Ts, until: Ts) -> Result<()> {
    if sheet.fresh.is_empty() {
        return Ok(());
    }
    let mut all = Vec::with_capacity(sheet.fresh.len());
    for name in &sheet.fresh {
        let Some(kept) = sheet.kept.get(name) else { continue };
        all.push(json!({
            "t": id(conn, name.0), "k": name.1, "f": kept.feature, "a": kept.amount, "o": kept.outcome,
            "e": moment(conn, until),
        }));
    }
    let many = all.len();
    let upsert = "ON CONFLICT (tenant_id, key) DO UPDATE SET feature = excluded.feature, amount = excluded.amount, \
                  outcome = excluded.outcome, expires_at = excluded.expires_at WHERE quota_takes.expires_at <=";
    let insert = "INSERT INTO quota_takes (tenant_id, key, feature, amount, outcome, expires_at)";
    let written = match conn {
        Conn::Sqlite(c) => diesel::sql_query(format!(
            "{insert} SELECT unhex(value->>'t'), value->>'k', value->>'f', value->>'a', value->'o', value->>'e' \
             FROM json_each(?) WHERE true {upsert} ?"
        ))
        .bind::<SqlJson, _>(Json(Value::Array(all)))
        .bind::<SqlTs, _>(now)
        .execute(c)?,
        Conn::Postgres(c) => diesel::sql_query(format!(
            "{insert} SELECT t, k, f, a, o, e FROM jsonb_to_recordset($1) \
             AS w (t uuid, k text, f text, a bigint, o jsonb, e timestamptz) ORDER BY t, k {upsert} $2"
        ))
        .bind::<SqlJson, _>(Json(Value::Array(all)))
        .bind::<SqlTs, _>(now)
        .execute(c)?,
    };
    if written == many {
        return Ok(());
    }
    // Somebody else took with one of the keys meanwhile, from another counter: run again, and find theirs.
    Err(Error::contended("a key of a take was used meanwhile"))
}

/// Raises thresholds that nobody raised before.
pub(super) fn raise(conn: &mut Conn, reached: &[Reached], now: Ts) -> Result<()> {
    for one in reached {
        let Reached { bound, percent, used } = one;
        let Bound { counter, quota } = bound;
        let row = (
            quota_thresholds::tenant_id.eq(counter.tenant),
            quota_thresholds::feature.eq(quota.feature.as_ref()),
            quota_thresholds::per.eq(counter.window.per),
            quota_thresholds::window_start.eq(counter.window.start),
            quota_thresholds::percent.eq(i32::from(*percent)),
        );
        let new = each!(conn, |c| diesel::insert_into(quota_thresholds::table)
            .values(row)
            .on_conflict_do_nothing()
            .execute(c))?;
        if new == 0 {
            continue;
        }
        let reached = QuotaThresholdReached {
            feature: quota.feature.to_string(),
            meter: counter.meter.to_string(),
            per: counter.window.per,
            window: Span { start: counter.window.start, end: counter.window.end() },
            percent: *percent,
            used: *used,
            limit: quota.limit,
            overage: if quota.hard { "deny" } else { "allow" }.to_owned(),
        };
        log::append_in(conn, &Caller::system("quotas"), now, NewEvent::of(counter.tenant, reached))?;
    }
    Ok(())
}
