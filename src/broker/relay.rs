//! Who publishes, and from where. Every replica that reaches the broker asks for the lease; its holder reads
//! what is settled, publishes it and moves the place after the broker has said that it has it. What was
//! published when the holder died before it could move the place is seen at the stream's end, not published
//! again.

use std::time::Duration;

use super::NAME;
use super::nats::{Failure, Stream};
use crate::app::App;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::ReplicaId;
use crate::log::follower::{self, Begin};
use crate::log::lease::{self, Lease};
use crate::log::{Entry, Place, settled_in};

/// Events that are on their way at once.
const BATCH: i64 = 256;
/// Longest time between two looks at the log.
const PERIOD: Duration = Duration::from_secs(1);
/// How soon the log is looked at again for events whose transaction was not settled.
const UNSETTLED: Duration = Duration::from_millis(20);

/// How a tenure ended well.
enum Outcome {
    /// Another replica holds the lease.
    Others,
    /// The process is to end.
    Stopped,
}

/// Publishes until the process stops.
pub(super) async fn keep(app: App) {
    let owner = ReplicaId::mint();
    let mut stream = None;
    // A broker that is away is told of once, not every second.
    let mut well = true;
    while !app.stopping.is_cancelled() {
        match tenure(&app, owner, &mut stream).await {
            Ok(Outcome::Stopped) => break,
            Ok(Outcome::Others) => well = true,
            Err(error) => {
                let cause = error.cause().map(tracing::field::display);
                if well {
                    tracing::warn!(error = %error, cause, "nothing can be published; what happens waits in the log");
                } else {
                    tracing::debug!(error = %error, cause, "still nothing can be published");
                }
                well = false;
            }
        }
        if let Err(error) = measure(&app).await {
            tracing::debug!(error = %error, "it is not known what waits to be published");
        }
        app.stopping.run_until_cancelled(tokio::time::sleep(pause(&app))).await;
    }
}

/// How long to wait before the lease is asked for again.
fn pause(app: &App) -> Duration {
    (app.settings.broker.lease / 4).min(PERIOD)
}

/// Tells how long what waits has waited.
async fn measure(app: &App) -> Result<()> {
    let next = app
        .db
        .read(|conn| {
            let Some(known) = follower::find_in(conn, NAME)? else { return Ok(None) };
            Ok(settled_in(conn, known.place, None, 1)?.pop())
        })
        .await?;
    lag(app, next.as_ref());
    Ok(())
}

fn lag(app: &App, oldest: Option<&Entry>) {
    let lag = oldest.map_or(Duration::ZERO, |oldest| app.clock.now().since(oldest.at));
    metrics::gauge!("tenantry_broker_lag_seconds").set(lag.as_secs_f64());
}

fn leads(yes: bool) {
    metrics::gauge!("tenantry_broker_leader").set(f64::from(u8::from(yes)));
}

async fn tenure(app: &App, owner: ReplicaId, reached: &mut Option<Stream>) -> Result<Outcome> {
    leads(false);
    let now = app.clock.now();
    let known = app.db.read(|conn| follower::find_in(conn, NAME)).await?;
    if known.is_none() {
        app.db.write(move |conn| follower::open_in(conn, NAME, Begin::First, now).map(drop)).await?;
    }
    let stream = match reached {
        Some(stream) => stream,
        None => {
            let source = app.tokens.issuer().to_owned();
            let reaching = Stream::reach(&app.settings.broker.nats, source);
            let Some(stream) = app.stopping.run_until_cancelled(reaching).await else {
                return Ok(Outcome::Stopped);
            };
            reached.insert(stream?)
        }
    };
    // Only who reaches the broker asks for the lease.
    if !stream.is_there() {
        return Err(Error::unavailable("broker_unavailable", "the broker is away", "not connected"));
    }
    let until = now.plus(app.settings.broker.lease);
    let taken = app.db.write_held(move |conn| lease::lease_in(conn, NAME, owner, now, until)).await?;
    let Some(mut held) = taken else { return Ok(Outcome::Others) };
    tracing::info!(fence = held.fence, place = %held.place, "this process publishes what happens");
    leads(true);
    let outcome = lead(app, stream, &mut held).await;
    leads(false);
    let released = app.db.write_held(move |conn| lease::release_in(conn, &held)).await;
    if let Err(error) = released {
        tracing::debug!(error = %error, "the lease on publishing was not given back; it runs out");
    }
    outcome
}

/// Where the holder stands.
struct At {
    /// The last event that is in the stream.
    place: Place,
    /// The number of the stream's last message.
    sequence: u64,
}

async fn lead(app: &App, stream: &Stream, held: &mut Lease) -> Result<Outcome> {
    let mut news = app.db.news();
    let Some(resumed) = app.stopping.run_until_cancelled(resume(app, stream, held)).await else {
        return Ok(Outcome::Stopped);
    };
    let Some(mut at) = resumed? else { return Ok(Outcome::Others) };
    let mut astray = 0u32;
    let mut rest = UNSETTLED;
    while !app.stopping.is_cancelled() {
        if !renew(app, held).await? {
            return Ok(Outcome::Others);
        }
        news.mark_unchanged();
        let from = at.place;
        let (paused, entries) = app
            .db
            .read(move |conn| {
                let paused = follower::find_in(conn, NAME)?.is_some_and(|it| it.paused_at.is_some());
                Ok((paused, settled_in(conn, from, None, BATCH)?))
            })
            .await?;
        lag(app, entries.first());
        if paused || entries.is_empty() {
            let longest = if paused { PERIOD } else { rest.min(app.settings.broker.lease / 3) };
            tokio::select! {
                _ = news.changed() => rest = UNSETTLED,
                () = tokio::time::sleep(longest) => rest = PERIOD,
                () = app.stopping.cancelled() => {}
            }
            continue;
        }
        rest = UNSETTLED;
        let published = stream.publish(&entries, at.sequence).await;
        if let Some(last) = published.taken.checked_sub(1).and_then(|last| entries.get(last)) {
            at = At { place: last.place, sequence: published.sequence };
            let count = u64::try_from(published.taken).unwrap_or(0);
            metrics::counter!("tenantry_broker_published_total").increment(count);
            astray = 0;
            if !moved(app, held, at.place).await? {
                return Ok(Outcome::Others);
            }
        }
        match published.failed {
            None => {}
            Some(Failure::Refused(error)) => return Err(error),
            Some(Failure::OutOfStep) if astray > 2 => {
                return Err(Error::unavailable(
                    "broker_unavailable",
                    "somebody else writes to the broker's stream without a pause",
                    "the stream's last sequence is never as expected",
                ));
            }
            Some(Failure::OutOfStep) => {
                astray += 1;
                let Some(anew) = resume(app, stream, held).await? else { return Ok(Outcome::Others) };
                at = anew;
            }
        }
    }
    Ok(Outcome::Stopped)
}

/// Keeps the lease; false when it is lost.
async fn renew(app: &App, held: &mut Lease) -> Result<bool> {
    let (now, lease) = (app.clock.now(), app.settings.broker.lease);
    if now.plus(lease / 2) < held.until {
        return Ok(true);
    }
    let (mine, until) = (held.clone(), now.plus(lease));
    held.until = until;
    app.db.write_held(move |conn| lease::renew_in(conn, &mine, until)).await
}

/// Moves the place to `to`, if it stands before it; false when the lease is lost, or nothing may move.
async fn moved(app: &App, held: &mut Lease, to: Place) -> Result<bool> {
    if to <= held.place {
        return Ok(true);
    }
    let (mine, now) = (held.clone(), app.clock.now());
    let moved = app.db.write_held(move |conn| lease::advance_fenced_in(conn, &mine, to, now)).await?;
    if moved {
        held.place = to;
    }
    Ok(moved)
}

/// Finds out where to go on: after the event with which the stream ends, when that is one of this log, else
/// after the place. A stream that ends before the place has lost what it had, and gets it again.
async fn resume(app: &App, stream: &Stream, held: &mut Lease) -> Result<Option<At>> {
    let end = stream.end().await?;
    let there = match end.event {
        Some(event) => app.db.read(move |conn| lease::place_of_in(conn, event)).await?,
        None => None,
    };
    let place = there.unwrap_or(held.place);
    if place < held.place {
        tracing::warn!(from = %place, place = %held.place, "the broker's stream lost its end; it gets it again");
    }
    if !moved(app, held, place).await? {
        return Ok(None);
    }
    Ok(Some(At { place, sequence: end.sequence }))
}
