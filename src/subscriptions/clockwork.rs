//! What time does to subscriptions. Takes no input: it looks at what is due and does it, one step of one
//! subscription a transaction, each guarded by the subscription's revision. So a crash is only an early wake-up,
//! and of several replicas one does each step.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::apply::{Applied, apply_in, rules};
use super::model::life::Editions;
use super::{adopt, store};
use crate::app::App;
use crate::auth::Caller;
use crate::auth::caller::CLOCK;
use crate::kernel::clock::Ts;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::TenantId;
use crate::work::failpoint;

/// The longest time between two looks.
const PERIOD: Duration = Duration::from_secs(5);
/// How often tenants without a subscription are looked for.
const SWEEP: u32 = 60;
/// Subscriptions of one look.
const BATCH: i64 = 100;

/// Does what is due until `stop`.
pub async fn serve(app: App, stop: CancellationToken) {
    let mut looks = 0u32;
    while !stop.is_cancelled() {
        let now = app.clock.now();
        if let Err(error) = run_due(&app, now).await {
            tracing::warn!(error = %error, cause = error.cause().map(tracing::field::display), "what is due of subscriptions could not be done");
        }
        looks = looks.wrapping_add(1);
        if looks.is_multiple_of(SWEEP)
            && let Err(error) = adopt::adopt(&app).await
        {
            tracing::warn!(error = %error, "tenants without a subscription could not be given one");
        }
        let next = app.db.read(store::next_due).await.ok().flatten();
        let wait =
            next.map_or(PERIOD, |next| next.since(app.clock.now()).clamp(Duration::from_millis(50), PERIOD));
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = app.subscriptions_due.notified() => {}
            () = stop.cancelled() => {}
        }
    }
}

/// Does all that is due by `now`; how many steps that took. What fails is told in the log and tried again with
/// the next look.
///
/// # Errors
/// The store's.
pub async fn run_due(app: &App, now: Ts) -> Result<usize> {
    let (mut done, mut after) = (0, None);
    loop {
        let due = app.db.read(move |conn| store::due(conn, now, after, BATCH)).await?;
        let Some(last) = due.last().copied() else { return Ok(done) };
        for (_, tenant) in due {
            match catch_up(app, tenant, now).await {
                Ok(steps) => done += steps,
                Err(error) => {
                    tracing::warn!(tenant = %tenant, error = %error, cause = error.cause().map(tracing::field::display), "a subscription could not be advanced");
                }
            }
        }
        after = Some(last);
    }
}

/// Takes the steps of one subscription that are due by `now`.
async fn catch_up(app: &App, tenant: TenantId, now: Ts) -> Result<usize> {
    let mut steps = 0;
    while let Some(applied) = step(app, tenant, now).await? {
        failpoint::reach(|| "subscription/advanced".to_owned()).await;
        applied.carried_out(app).await;
        steps += 1;
    }
    Ok(steps)
}

async fn step(app: &App, tenant: TenantId, now: Ts) -> Result<Option<Applied>> {
    let again = app.clone();
    let outcome = app
        .db
        .write(move |conn| {
            let Some(before) = store::find(conn, tenant)? else { return Ok(None) };
            let version = again.catalogue.version_in(conn, before.version)?;
            let pending = match &before.pending_plan {
                Some(key) => again.catalogue.newest_in(conn, key)?,
                None => None,
            };
            let editions = Editions { now: &version, pending: pending.as_deref() };
            let rules = rules(&again, &before.time_zone)?;
            match before.clone().advance(editions, &rules, now)? {
                Some(moved) => {
                    let by = Caller::system("subscriptions").because(CLOCK);
                    apply_in(conn, &again, &by, now, &before, moved).map(Some)
                }
                // Whoever changed the ladder left what was due by the old one.
                None => store::arm(conn, tenant, before.due(&rules)?).map(|()| None),
            }
        })
        .await;
    match outcome {
        // Another replica was first.
        Err(Error::PreconditionFailed) => Ok(None),
        other => other,
    }
}

/// Lets what is due next follow the configured ladder, which may have changed since it was written down.
///
/// # Errors
/// The store's.
pub async fn rearm(app: &App) -> Result<()> {
    let mut after = None;
    loop {
        let again = app.clone();
        let last = app
            .db
            .write(move |conn| {
                let unpaid = store::unpaid(conn, after, BATCH)?;
                for one in &unpaid {
                    let due = one.due(&rules(&again, &one.time_zone)?)?;
                    if due != one.next_at {
                        store::arm(conn, one.tenant, due)?;
                    }
                }
                Ok(unpaid.last().map(|one| one.tenant))
            })
            .await?;
        if last.is_none() {
            return Ok(());
        }
        after = last;
    }
}

/// Lets time pass on a clock that a test owns: it stops at each moment at which something is due, so that all of
/// it happens as it would have; how many steps that took.
///
/// # Errors
/// The store's.
pub async fn pass_time(app: &App, to: Ts) -> Result<usize> {
    let mut done = 0;
    while let Some(next) = app.db.read(store::next_due).await?.filter(|next| *next <= to) {
        app.clock.advance(next.since(app.clock.now()));
        let steps = run_due(app, app.clock.now()).await?;
        // What fails stays due: the clock goes on without it. What the background was quicker with does not.
        if steps == 0 && app.db.read(store::next_due).await? == Some(next) {
            break;
        }
        done += steps;
    }
    app.clock.advance(to.since(app.clock.now()));
    done += run_due(app, app.clock.now()).await?;
    app.wake.work();
    Ok(done)
}
