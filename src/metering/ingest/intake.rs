//! Where usage events are written: by one task of this process, all that wait in one transaction. Whoever comes
//! while it runs is in the next one, so the disk is waited for once for many calls; nobody waits for company.
//!
//! On PostgreSQL the transaction is READ COMMITTED. It decides on nothing that it read: an event is written by an
//! insert that does nothing when the event is there, which the engine makes exact by the index itself, and only
//! what that insert says it wrote is counted against quotas, whose counters are added to, not read and written.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::store::{self, NewUsage};
use crate::app::App;
use crate::db;
use crate::kernel::error::{Error, Result};
use crate::log::Place;
use crate::metering::quota;

/// Calls that wait before more have to wait outside.
const WAITING: usize = 256;
/// Events of one transaction, at which no other call joins.
const BATCH: usize = 4_000;

struct Ask {
    rows: Vec<NewUsage>,
    reply: oneshot::Sender<Result<Written>>,
}

/// Whether each row was new, and the last event of the log that their transaction appended.
type Written = (Vec<bool>, Option<Place>);

/// The one place where this process writes usage.
pub struct Intake {
    asks: mpsc::Sender<Ask>,
    waiting: Mutex<Option<mpsc::Receiver<Ask>>>,
    closing: CancellationToken,
    /// Something was written that is not rolled up yet.
    pub news: Notify,
}

impl Default for Intake {
    fn default() -> Self {
        let (asks, waiting) = mpsc::channel(WAITING);
        Self {
            asks,
            waiting: Mutex::new(Some(waiting)),
            closing: CancellationToken::new(),
            news: Notify::new(),
        }
    }
}

fn stopped() -> Error {
    Error::unavailable("stopping", "the server is stopping; retry on another one", "the intake is closed")
}

/// Writes these events and waits until they are on disk: whether each was new.
///
/// # Errors
/// The store's; then none of them was answered for, and they can be sent again.
pub async fn submit(app: &App, rows: Vec<NewUsage>) -> Result<Vec<bool>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let (reply, answer) = oneshot::channel();
    app.intake.asks.send(Ask { rows, reply }).await.map_err(|_| stopped())?;
    let (fresh, place) = answer.await.map_err(|_| stopped())??;
    db::note(place);
    Ok(fresh)
}

/// Writes what is submitted until [`stop`].
pub async fn serve(app: App) {
    let Some(mut waiting) = app.intake.waiting.lock().take() else { return };
    loop {
        let first = tokio::select! {
            biased;
            first = waiting.recv() => first,
            () = app.intake.closing.cancelled() => None,
        };
        let Some(first) = first else { return };
        let mut many = first.rows.len();
        let mut batch = vec![first];
        while many < BATCH
            && let Ok(more) = waiting.try_recv()
        {
            many = many.saturating_add(more.rows.len());
            batch.push(more);
        }
        write(&app, batch).await;
        app.intake.news.notify_one();
    }
}

/// Ends [`serve`]: for a stop, when the last request is answered.
pub fn stop(app: &App) {
    app.intake.closing.cancel();
}

async fn write(app: &App, batch: Vec<Ask>) {
    let (calls, replies): (Vec<_>, Vec<_>) = batch.into_iter().map(|ask| (ask.rows, ask.reply)).unzip();
    let calls: Vec<Arc<Vec<NewUsage>>> = calls.into_iter().map(Arc::new).collect();
    let began = Instant::now();
    match commit(app, calls.clone()).await {
        Ok((fresh, place)) => {
            metrics::histogram!("tenantry_usage_commit_seconds").record(began.elapsed().as_secs_f64());
            let mut fresh = fresh.into_iter();
            for (call, reply) in calls.iter().zip(replies) {
                drop(reply.send(Ok((fresh.by_ref().take(call.len()).collect(), place))));
            }
        }
        // What one of them brought must not fail the others.
        Err(error) if calls.len() > 1 && matches!(error, Error::Internal(_)) => {
            for (call, reply) in calls.into_iter().zip(replies) {
                drop(reply.send(commit(app, vec![call]).await));
            }
        }
        Err(error) => {
            for reply in replies {
                drop(reply.send(Err(again(&error))));
            }
        }
    }
}

async fn commit(app: &App, calls: Vec<Arc<Vec<NewUsage>>>) -> Result<Written> {
    let (now, thresholds) = (app.clock.now(), app.settings.quota.thresholds.clone());
    let writing = app.db.write_held(move |conn| {
        let rows: Vec<&NewUsage> = calls.iter().flat_map(|call| call.iter()).collect();
        let fresh = store::insert(conn, &rows)?;
        let new = rows.iter().zip(&fresh).filter(|(_, fresh)| **fresh);
        let added: Vec<_> = new.flat_map(|(row, _)| row.added.iter().cloned()).collect();
        quota::add_in(conn, &added, &thresholds, now)?;
        Ok(fresh)
    });
    let (written, place) = db::collect(writing).await;
    Ok((written?, place))
}

/// One transaction's error for each of those who waited for it.
fn again(error: &Error) -> Error {
    match error {
        Error::Unavailable { code, detail, cause } => Error::unavailable(code, detail.clone(), cause),
        other => Error::internal(other.cause().map_or_else(|| other.to_string(), ToString::to_string)),
    }
}
