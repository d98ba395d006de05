//! Asking how much was used.

use serde::Serialize;
use utoipa::ToSchema;

use super::model::{Row, Step, Total, Wish, tell};
use crate::app::App;
use crate::auth::{Caller, Verb};
use crate::billing::UsageSource;
use crate::catalog::Aggregation;
use crate::db::Conn;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::TenantId;
use crate::log::{self, Place};
use crate::metering::counted;
use crate::metering::rollups::{self, Tally, hour_of};
use crate::placement::router;
use crate::tenants::Handle;

/// Sums by the hour that one question looks at, at most.
const MOST_SUMS: i64 = 500_000;
/// Different values that one question counts, at most.
const MOST_VALUES: i64 = 2_000_000;

/// What a tenant used.
#[derive(Debug, Serialize, ToSchema)]
pub struct Usage {
    /// The tenant.
    pub tenant_id: TenantId,
    /// From when on: what was asked for, from the beginning of its hour or window.
    pub from: Ts,
    /// Until before when: to the end of its hour or window.
    pub to: Ts,
    /// In which stretches.
    pub window: Option<Step>,
    /// By whose calendar.
    pub time_zone: String,
    /// What it is told apart by.
    pub group_by: Vec<String>,
    /// What was used, in the order of meter, time and group; where nothing was, there is no row.
    pub data: Vec<Row>,
    /// Of each meter, over all the time.
    pub totals: Vec<Total>,
    /// Always null: it is one page, of 10,000 rows at most.
    pub next_cursor: Option<String>,
}

/// What the caller's own tenant used.
///
/// # Errors
/// As [`Caller::tenant`]; [`Error::Invalid`]; [`Error::Refused`] `too_many_rows`; as [`log::holds_in`]; the store's.
pub async fn own(app: &App, caller: &Caller, wish: Wish, min_seq: Option<Place>) -> Result<Usage> {
    let id = caller.tenant(Verb::ReadTenant)?;
    of(app, id, wish, min_seq).await
}

/// What any tenant used.
///
/// # Errors
/// As [`Caller::may`]; not found; as [`own`].
pub async fn of_any(
    app: &App,
    caller: &Caller,
    handle: Handle,
    wish: Wish,
    min_seq: Option<Place>,
) -> Result<Usage> {
    caller.may(Verb::ReadTenants)?;
    let id = router::find(app, &handle).await?.id;
    of(app, id, wish, min_seq).await
}

async fn of(app: &App, tenant: TenantId, wish: Wish, min_seq: Option<Place>) -> Result<Usage> {
    let ask = wish.ask(app.clock.now())?;
    let catalogue = app.catalogue.current();
    let (asked, known) = (ask.clone(), catalogue.terms.meters.clone());
    let told = app
        .db
        .read(move |conn| {
            // What is not rolled up yet is added from the events themselves: nothing is waited for.
            log::holds_in(conn, min_seq)?;
            let live = rollups::live_in(conn)?;
            let (hours, meter) = ((asked.from, asked.to), asked.meter.as_deref());
            let mut tally = Tally::default();
            for (cell, sum) in rollups::sums_in(conn, live.generation, tenant, meter, hours, MOST_SUMS + 1)? {
                tally.put(cell, sum);
            }
            few(tally.cells.len(), MOST_SUMS)?;
            let unique = known.iter().filter(|(key, known)| {
                known.aggregation == Aggregation::Unique && meter.is_none_or(|meter| meter == key.as_str())
            });
            let unique: Vec<String> = unique.map(|(key, _)| key.clone()).collect();
            if !unique.is_empty() {
                let found =
                    rollups::uniques_in(conn, live.generation, tenant, unique, hours, MOST_VALUES + 1)?;
                few(found.len(), MOST_VALUES)?;
                tally.uniques.extend(found);
            }
            for raw in rollups::tail_in(conn, live.place, tenant)? {
                tally.add(&raw)?;
            }
            tell(&asked, &tally, &known)
        })
        .await?;
    Ok(Usage {
        tenant_id: tenant,
        from: ask.from,
        to: ask.to,
        window: ask.window,
        time_zone: ask.time_zone,
        group_by: ask.group_by,
        data: told.rows,
        totals: told.totals,
        next_cursor: None,
    })
}

fn few(many: usize, most: i64) -> Result<()> {
    if i64::try_from(many).unwrap_or(i64::MAX) <= most {
        return Ok(());
    }
    Err(Error::refused(
        "too_many_rows",
        "this is too much to look at in one question: ask for less time or one meter",
    ))
}

/// How much a tenant used of a meter that adds up, in the hours from that of `from` until before that of `to`: what
/// one period leaves out of an hour, the next one has.
///
/// # Errors
/// The store's.
pub fn used_in(conn: &mut Conn, tenant: TenantId, meter: &str, from: Ts, to: Ts) -> Result<i64> {
    let (from, to) = (hour_of(from), hour_of(to));
    let live = rollups::live_in(conn)?;
    let mut total = rollups::total_in(conn, live.generation, tenant, meter, (from, to))?;
    for raw in rollups::tail_in(conn, live.place, tenant)? {
        if (from..to).contains(&hour_of(raw.at)) {
            let counted = counted::read(&raw.counts)?;
            let values = counted.iter().filter(|one| one.meter == meter).map(|one| one.value);
            total = values.fold(total, i64::saturating_add);
        }
    }
    Ok(total)
}

/// What invoices ask.
pub struct Ledger;

impl UsageSource for Ledger {
    fn used_in(&self, conn: &mut Conn, tenant: TenantId, meter: &str, from: Ts, to: Ts) -> Result<i64> {
        used_in(conn, tenant, meter, from, to)
    }
}
