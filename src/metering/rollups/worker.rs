//! Follows usage events into the roll-ups; builds them anew when that was asked for; drops events of long ago.
//!
//! Reading is one transaction and writing another, which writes nothing unless the place is still where the reading
//! began. So replicas may all follow at once, and one that dies between the two has done nothing.

use std::time::{Duration, Instant};

use super::model::Tally;
use super::store::{self, State};
use crate::app::App;
use crate::db::Db;
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::log::Place;

/// Events that one step takes.
pub const STEP: i64 = 5_000;
/// How often events are looked for when nothing wakes the worker: other replicas write too.
const PERIOD: Duration = Duration::from_secs(1);
/// Between two looks, so that events of many calls are rolled up together.
const PACE: Duration = Duration::from_millis(100);
/// How often old events are dropped.
const TIDY: Duration = Duration::from_secs(60);

/// What one step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Events that it rolled up.
    pub events: usize,
    /// When the first of them came in.
    pub oldest: Option<Ts>,
    /// Whether there is more to do at once.
    pub more: bool,
}

/// Takes one step with the roll-ups that answer.
///
/// # Errors
/// The store's.
pub async fn follow(db: &Db, step: i64) -> Result<Step> {
    advance(db, State::Live, step).await
}

async fn advance(db: &Db, state: State, step: i64) -> Result<Step> {
    let idle = Step { events: 0, oldest: None, more: false };
    let read = db
        .read(move |conn| {
            let all = store::all(conn)?;
            let until = all.iter().find(|one| one.state == State::Live).map(|one| one.place);
            let found = all.into_iter().find(|one| one.state == state && one.paused_at.is_none());
            let Some(one) = found else { return Ok(None) };
            let until = until.filter(|_| state == State::Building);
            let raws = store::settled(conn, one.place, until, step)?;
            Ok(Some((one, until, raws)))
        })
        .await?;
    let Some((one, until, raws)) = read else { return Ok(idle) };
    let full = i64::try_from(raws.len()).unwrap_or(i64::MAX) >= step;
    let last = raws.last().map(|raw| raw.place);
    // All there is up to the one that answers was read: then this one is as far.
    let to: Option<Place> = if full { last } else { until.or(last) };
    let Some(to) = to.filter(|to| *to > one.place) else { return Ok(idle) };
    let (events, oldest) = (raws.len(), raws.iter().map(|raw| raw.received_at).min());
    let mut tally = Tally::default();
    for raw in &raws {
        tally.add(raw)?;
    }
    let (generation, from) = (one.generation, one.place);
    let moved = db.write_held(move |conn| store::apply(conn, generation, from, to, &tally)).await?;
    Ok(Step { events: if moved { events } else { 0 }, oldest, more: full || !moved })
}

/// Takes one step with the roll-ups that are being built, if any are, and puts them in the others' place when they
/// are as far: whether there is more to do.
///
/// # Errors
/// The store's.
pub async fn build(db: &Db, step: i64) -> Result<bool> {
    let all = db.read(store::all).await?;
    let is = |state| all.iter().any(|one| one.state == state);
    if is(State::Building) {
        if advance(db, State::Building, step).await?.more {
            return Ok(true);
        }
        if db.write_held(store::swap).await? {
            tracing::info!("usage roll-ups were built anew and answer now");
            return Ok(true);
        }
    }
    if is(State::Dropped) { db.write_held(store::sweep).await } else { Ok(false) }
}

/// Begins to build the roll-ups anew, unless that is under way.
///
/// # Errors
/// The store's.
pub async fn rebuild(db: &Db, now: Ts) -> Result<()> {
    db.write(move |conn| store::start(conn, now)).await.map(drop)
}

/// Drops all events that came in before `before` and are rolled up.
///
/// # Errors
/// The store's.
pub async fn retain(db: &Db, before: Ts) -> Result<usize> {
    let mut dropped = 0usize;
    loop {
        let some = db.write_held(move |conn| store::retain(conn, before, STEP)).await?;
        if some == 0 {
            return Ok(dropped);
        }
        dropped = dropped.saturating_add(some);
    }
}

/// Follows until the process stops.
pub async fn keep(app: App) {
    let mut tidied: Option<Instant> = None;
    loop {
        tokio::select! {
            () = app.intake.news.notified() => {}
            () = tokio::time::sleep(PERIOD) => {}
            () = app.stopping.cancelled() => return,
        }
        if let Err(error) = work(&app).await {
            let cause = error.cause().map(tracing::field::display);
            tracing::warn!(error = %error, cause, "usage could not be rolled up; trying again soon");
        }
        if tidied.is_none_or(|at| at.elapsed() > TIDY) {
            tidied = Some(Instant::now());
            let bounds = &app.settings.metering;
            let before = app.clock.now().minus(bounds.retain_raw.max(bounds.dedup_window));
            if let Err(error) = retain(&app.db, before).await {
                tracing::warn!(error = %error, "old usage events could not be dropped");
            }
        }
        tokio::time::sleep(PACE).await;
    }
}

async fn work(app: &App) -> Result<()> {
    loop {
        let step = follow(&app.db, STEP).await?;
        let lag = step.oldest.map_or(Duration::ZERO, |oldest| app.clock.now().since(oldest));
        metrics::gauge!("tenantry_usage_rollup_lag_seconds").set(lag.as_secs_f64());
        if !step.more && !build(&app.db, STEP).await? {
            return Ok(());
        }
        if app.stopping.is_cancelled() {
            return Ok(());
        }
    }
}
