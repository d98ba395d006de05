//! The tables of quotas: counters, takes by their key, thresholds that were reached.
//!
//! Lists go to the engine in one JSON parameter, which each takes apart in its own way.

mod takes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use serde_json::{Value, json};

use super::model::sheet::{Act, Deed, Done, Reached, Sheet};
use super::model::{Bound, Per, Quota, Window, crossed};
use super::{Counter, ledger};
use crate::db::Conn;
use crate::db::schema::{quota_counters, quota_takes, quota_thresholds};
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::kernel::id::TenantId;
use crate::kernel::sql::{Json, SqlId, SqlJson, SqlTs};
use crate::metering::ingest;

/// Hours and days are kept so long after they began, for events that come late.
const SHORT_KEPT: Duration = Duration::from_secs(62 * 86_400);
/// Months and years are kept so long after they began.
const LONG_KEPT: Duration = Duration::from_secs(800 * 86_400);

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlId)]
    tenant_id: TenantId,
    #[diesel(sql_type = Text)]
    meter: String,
    #[diesel(sql_type = Text)]
    per: Per,
    #[diesel(sql_type = SqlTs)]
    window_start: Ts,
    #[diesel(sql_type = BigInt)]
    used: i64,
}

impl From<Row> for (Counter, i64) {
    fn from(row: Row) -> Self {
        let window = Window { per: row.per, start: row.window_start };
        (Counter { tenant: row.tenant_id, meter: row.meter.into(), window }, row.used)
    }
}

/// An id and a moment as the engine's own reader of JSON wants them.
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

fn list<'a>(conn: &Conn, counters: impl Iterator<Item = (&'a Counter, i64)>) -> Json {
    let one = |(counter, used): (&Counter, i64)| {
        json!({
            "t": id(conn, counter.tenant), "m": counter.meter, "p": counter.window.per,
            "s": moment(conn, counter.window.start), "u": used,
        })
    };
    Json(counters.map(one).collect())
}

const SQLITE_LIST: &str = "SELECT unhex(value->>'t') AS t, value->>'m' AS m, value->>'p' AS p, value->>'s' AS s, \
                           value->>'u' AS u FROM json_each(?)";
const POSTGRES_LIST: &str = "jsonb_to_recordset($1) AS w (t uuid, m text, p text, s timestamptz, u bigint)";
const SAME: &str = "c.tenant_id = w.t AND c.meter = w.m AND c.per = w.p AND c.window_start = w.s";

/// What these counters stand at, those that there are.
///
/// # Errors
/// The store's.
pub fn read(conn: &mut Conn, counters: &[Counter]) -> Result<BTreeMap<Counter, i64>> {
    select(conn, counters, "")
}

fn select(conn: &mut Conn, counters: &[Counter], lock: &str) -> Result<BTreeMap<Counter, i64>> {
    if counters.is_empty() {
        return Ok(BTreeMap::new());
    }
    let wanted = list(conn, counters.iter().map(|counter| (counter, 0)));
    let columns = "c.tenant_id, c.meter, c.per, c.window_start, c.used";
    let rows: Vec<Row> = match conn {
        Conn::Sqlite(c) => diesel::sql_query(format!(
            "SELECT {columns} FROM ({SQLITE_LIST}) AS w CROSS JOIN quota_counters AS c WHERE {SAME}"
        ))
        .bind::<SqlJson, _>(wanted)
        .load(c)?,
        Conn::Postgres(c) => diesel::sql_query(format!(
            "SELECT {columns} FROM quota_counters AS c JOIN {POSTGRES_LIST} ON {SAME} \
             ORDER BY c.tenant_id, c.meter, c.per, c.window_start {lock}"
        ))
        .bind::<SqlJson, _>(wanted)
        .load(c)?,
    };
    Ok(rows.into_iter().map(Into::into).collect())
}

/// Holds these counters until the transaction ends, and tells what they stand at. Those in `needed` are made where
/// they are not there yet. All transactions lock in one order, so that they wait for each other and do not deadlock.
fn hold(
    conn: &mut Conn,
    counters: &[Counter],
    needed: &BTreeSet<&Counter>,
) -> Result<BTreeMap<Counter, i64>> {
    let held = select(conn, counters, "FOR UPDATE OF c")?;
    let missing: Vec<&Counter> =
        needed.iter().copied().filter(|counter| !held.contains_key(*counter)).collect();
    if missing.is_empty() {
        return Ok(held);
    }
    let wanted = list(conn, missing.into_iter().map(|counter| (counter, 0)));
    match conn {
        Conn::Sqlite(c) => diesel::sql_query(format!(
            "INSERT INTO quota_counters (tenant_id, meter, per, window_start, used) \
             SELECT t, m, p, s, u FROM ({SQLITE_LIST}) WHERE true ON CONFLICT DO NOTHING"
        ))
        .bind::<SqlJson, _>(wanted)
        .execute(c)?,
        Conn::Postgres(c) => diesel::sql_query(format!(
            "INSERT INTO quota_counters (tenant_id, meter, per, window_start, used) \
             SELECT t, m, p, s, u FROM {POSTGRES_LIST} ORDER BY t, m, p, s ON CONFLICT DO NOTHING"
        ))
        .bind::<SqlJson, _>(wanted)
        .execute(c)?,
    };
    select(conn, counters, "FOR UPDATE OF c")
}

fn write(conn: &mut Conn, counters: &BTreeMap<Counter, i64>) -> Result<()> {
    if counters.is_empty() {
        return Ok(());
    }
    let wanted = list(conn, counters.iter().map(|(counter, used)| (counter, *used)));
    match conn {
        Conn::Sqlite(c) => diesel::sql_query(format!(
            "UPDATE quota_counters AS c SET used = w.u FROM ({SQLITE_LIST}) AS w WHERE {SAME}"
        ))
        .bind::<SqlJson, _>(wanted)
        .execute(c)?,
        Conn::Postgres(c) => diesel::sql_query(format!(
            "UPDATE quota_counters AS c SET used = w.u FROM {POSTGRES_LIST} WHERE {SAME}"
        ))
        .bind::<SqlJson, _>(wanted)
        .execute(c)?,
    };
    Ok(())
}

/// What came of some deeds.
#[derive(Debug)]
pub struct Performed {
    /// Of each.
    pub done: Vec<Done>,
    /// What their counters stand at now.
    pub used: BTreeMap<Counter, i64>,
}

/// Does `deeds` in their order, each on what those before it left. On PostgreSQL the transaction sees at each
/// statement what is committed by then, so that what is read after a counter is held is how things stand.
///
/// # Errors
/// The store's.
pub fn perform(
    conn: &mut Conn,
    deeds: &[Deed],
    thresholds: &[u16],
    now: Ts,
    keep_until: Ts,
) -> Result<Performed> {
    let all = deeds.iter().flat_map(|deed| deed.of.iter().map(|bound| bound.counter.clone()));
    let counters: Vec<Counter> = all.collect::<BTreeSet<_>>().into_iter().collect();
    // What comes back to a window that nobody keeps any more is of no use to it.
    let grows = |deed: &&Deed| !matches!(deed.act, Act::Back(_) | Act::Count(0));
    let needed = deeds.iter().filter(grows).flat_map(|deed| deed.of.iter().map(|bound| &bound.counter));
    let held = hold(conn, &counters, &needed.collect())?;
    let key = |deed: &Deed| match &deed.act {
        Act::Take { key, .. } => deed.of.first().map(|bound| (bound.counter.tenant, Arc::clone(key))),
        _ => None,
    };
    let keys: Vec<_> = deeds.iter().filter_map(key).collect::<BTreeSet<_>>().into_iter().collect();
    let kept = takes::kept(conn, &keys, now)?;
    let mut sheet = Sheet { used: held.clone(), kept, ..Sheet::default() };
    let done: Vec<Done> = deeds.iter().map(|deed| sheet.decide(deed, thresholds)).collect();
    let changed = sheet.used.iter().filter(|(counter, used)| held.get(*counter) != Some(used));
    write(conn, &changed.map(|(counter, used)| (counter.clone(), *used)).collect())?;
    takes::keep(conn, &sheet, now, keep_until)?;
    takes::raise(conn, &sheet.reached, now)?;
    let usage = ledger::usage(deeds, &done, now)?;
    ingest::insert_in(conn, &usage.iter().collect::<Vec<_>>())?;
    Ok(Performed { done, used: sheet.used })
}

/// Use that is known already: usage events.
#[derive(Debug, Clone)]
pub struct Added {
    /// Whose.
    pub tenant: TenantId,
    /// Of what.
    pub meter: Arc<str>,
    /// When it was used: the windows that it counts in.
    pub at: Ts,
    /// How much; what is not positive is not counted.
    pub amount: i64,
    /// What it counts against, as [`super::lending::quotas_of`] tells.
    pub quotas: Arc<[Quota]>,
}

/// Counts use in the caller's transaction: events are facts, so nothing is refused, and a hard quota may stand
/// beyond its limit afterwards. Raises the thresholds that it reaches.
///
/// # Errors
/// The store's.
pub fn add_in(conn: &mut Conn, added: &[Added], thresholds: &[u16], now: Ts) -> Result<()> {
    let mut sums: BTreeMap<Counter, (i64, BTreeMap<Arc<str>, Quota>)> = BTreeMap::new();
    for one in added.iter().filter(|one| one.amount > 0) {
        let mut pers: Vec<Per> = one.quotas.iter().map(|quota| quota.per).collect();
        pers.sort_unstable();
        pers.dedup();
        for per in pers {
            let counter = Counter {
                tenant: one.tenant,
                meter: Arc::clone(&one.meter),
                window: Window::of(per, one.at),
            };
            let (sum, quotas) = sums.entry(counter).or_default();
            *sum = sum.saturating_add(one.amount);
            for quota in one.quotas.iter().filter(|quota| quota.per == per) {
                quotas.insert(Arc::clone(&quota.feature), quota.clone());
            }
        }
    }
    if sums.is_empty() {
        return Ok(());
    }
    let wanted = list(conn, sums.iter().map(|(counter, (sum, _))| (counter, *sum)));
    let insert = "INSERT INTO quota_counters AS c (tenant_id, meter, per, window_start, used)";
    let upsert = "ON CONFLICT (tenant_id, meter, per, window_start) DO UPDATE";
    let answer = "RETURNING tenant_id, meter, per, window_start, used";
    let rows: Vec<Row> = match conn {
        Conn::Sqlite(c) => diesel::sql_query(format!(
            "{insert} SELECT t, m, p, s, u FROM ({SQLITE_LIST}) WHERE true {upsert} \
             SET used = min(c.used, 9223372036854775807 - excluded.used) + excluded.used {answer}"
        ))
        .bind::<SqlJson, _>(wanted)
        .load(c)?,
        Conn::Postgres(c) => diesel::sql_query(format!(
            "{insert} SELECT t, m, p, s, u FROM {POSTGRES_LIST} ORDER BY t, m, p, s {upsert} \
             SET used = least(c.used, 9223372036854775807 - excluded.used) + excluded.used {answer}"
        ))
        .bind::<SqlJson, _>(wanted)
        .load(c)?,
    };
    let mut reached = Vec::new();
    for (counter, used) in rows.into_iter().map(<(Counter, i64)>::from) {
        let Some((sum, quotas)) = sums.get(&counter) else { continue };
        for quota in quotas.values() {
            let percents = crossed(thresholds, quota.limit, used.saturating_sub(*sum), used);
            let bound = Bound { counter: counter.clone(), quota: quota.clone() };
            reached.extend(percents.map(|percent| Reached { bound: bound.clone(), percent, used }));
        }
    }
    takes::raise(conn, &reached, now)
}

/// What a tenant's counters stand at in the windows that `now` is in.
///
/// # Errors
/// The store's.
pub fn counters_of(conn: &mut Conn, tenant: TenantId, now: Ts) -> Result<BTreeMap<Counter, i64>> {
    let starts: Vec<Ts> = Per::ALL.map(|per| Window::of(per, now).start).into();
    let rows: Vec<(String, Per, Ts, i64)> = quota_counters::table
        .filter(quota_counters::tenant_id.eq(tenant))
        .filter(quota_counters::window_start.eq_any(starts))
        .select((
            quota_counters::meter,
            quota_counters::per,
            quota_counters::window_start,
            quota_counters::used,
        ))
        .load(conn)?;
    let counter = |(meter, per, start, used): (String, Per, Ts, i64)| {
        (Counter { tenant, meter: meter.into(), window: Window { per, start } }, used)
    };
    Ok(rows.into_iter().map(counter).filter(|(counter, _)| counter.window.end() > now).collect())
}

/// Forgets takes whose time is over, and windows of long ago.
///
/// # Errors
/// The store's.
pub fn forget_old(conn: &mut Conn, now: Ts) -> Result<()> {
    diesel::delete(quota_takes::table.filter(quota_takes::expires_at.le(now))).execute(conn)?;
    for (per, kept) in
        [(Per::Hour, SHORT_KEPT), (Per::Day, SHORT_KEPT), (Per::Month, LONG_KEPT), (Per::Year, LONG_KEPT)]
    {
        let before = now.minus(kept);
        diesel::delete(
            quota_counters::table
                .filter(quota_counters::per.eq(per))
                .filter(quota_counters::window_start.lt(before)),
        )
        .execute(conn)?;
        diesel::delete(
            quota_thresholds::table
                .filter(quota_thresholds::per.eq(per))
                .filter(quota_thresholds::window_start.lt(before)),
        )
        .execute(conn)?;
    }
    Ok(())
}

/// Removes all that is counted of a tenant.
///
/// # Errors
/// The store's.
pub fn remove_of_tenant(conn: &mut Conn, tenant: TenantId) -> Result<()> {
    diesel::delete(quota_counters::table.filter(quota_counters::tenant_id.eq(tenant))).execute(conn)?;
    diesel::delete(quota_takes::table.filter(quota_takes::tenant_id.eq(tenant))).execute(conn)?;
    diesel::delete(quota_thresholds::table.filter(quota_thresholds::tenant_id.eq(tenant))).execute(conn)?;
    Ok(())
}
