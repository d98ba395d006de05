//! The follower: reads the log for news, woken by a notification or else by the clock, and keeps account of
//! whether memory may be believed.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Notice, ear};
use crate::db::{Conn, Db, Engine};
use crate::kernel::error::{Error, Result};

/// How often the log is read for news when nothing wakes the follower.
const PERIOD: Duration = Duration::from_millis(200);
/// How old the last look at the log may be before memory no longer counts: the stated bound on how late a
/// change on another replica is seen.
pub const BOUND: Duration = Duration::from_secs(1);

static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Nanoseconds since the process began to count, never 0.
fn nanos(at: Instant) -> u64 {
    u64::try_from(at.saturating_duration_since(*BEGAN).as_nanos()).unwrap_or(u64::MAX).saturating_add(1)
}

/// Whether memory may be believed: when the log was last read to its end.
#[derive(Clone)]
pub struct Freshness {
    /// 0 while nothing that was seen counts.
    seen: Arc<AtomicU64>,
    always: bool,
}

impl Freshness {
    /// For a store that this process alone writes, memory is always fresh.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        LazyLock::force(&BEGAN);
        Self { seen: Arc::default(), always: engine == Engine::Sqlite }
    }

    /// Whether memory may answer.
    #[must_use]
    pub fn holds(&self) -> bool {
        if self.always {
            return true;
        }
        let seen = self.seen.load(Ordering::Acquire);
        let bound = u64::try_from(BOUND.as_nanos()).unwrap_or(0);
        seen != 0 && nanos(Instant::now()).saturating_sub(seen) < bound
    }

    /// How long ago the log was last read to its end; `None` when nothing that was seen counts.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        if self.always {
            return Some(Duration::ZERO);
        }
        let seen = self.seen.load(Ordering::Acquire);
        (seen != 0).then(|| Duration::from_nanos(nanos(Instant::now()).saturating_sub(seen)))
    }

    fn seen(&self, began: Instant) {
        self.seen.store(nanos(began), Ordering::Release);
    }

    /// Nothing seen so far counts any more.
    fn lapse(&self) {
        self.seen.store(0, Ordering::Release);
    }
}

/// Whoever forgets facts when the log tells of a change.
pub trait Listener: Send + Sync + 'static {
    /// Another replica (or this one) changed something.
    fn hear<'a>(&'a self, notice: &'a Notice) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

    /// The log was out of sight for longer than memory may bridge.
    fn forget_all(&self);
}

/// Reads the log until `stop`, telling `listener` the news. Needed on PostgreSQL alone: a SQLite store has
/// one process, whose commands forget what they change by themselves.
pub async fn follow(db: Db, freshness: Freshness, listener: Arc<dyn Listener>, stop: CancellationToken) {
    if db.engine() == Engine::Sqlite {
        return;
    }
    let heard = Arc::new(Notify::new());
    let _ear = tokio::spawn(ear::listen(db.clone(), Arc::clone(&heard), stop.clone()));
    let mut place: Option<Place> = None;
    while !stop.is_cancelled() {
        let began = Instant::now();
        let horizon = place.as_ref().map(|place| place.horizon);
        // A look that takes longer than the bound is worth nothing, and must not keep us from the next.
        let looked = tokio::time::timeout(BOUND, look(&db, horizon)).await;
        match looked.unwrap_or_else(|_| Err(Error::internal("reading the log took too long"))) {
            Ok((next, notices)) => {
                if place.is_none() {
                    listener.forget_all();
                }
                for notice in &notices {
                    if place.as_ref().is_none_or(|place| !place.heard.contains(&notice.seq)) {
                        listener.hear(notice).await;
                    }
                }
                let heard = notices.iter().map(|notice| notice.seq).collect();
                place = Some(Place { horizon: next, heard });
                freshness.seen(began);
            }
            Err(error) => {
                let cause = error.cause().map(tracing::field::display);
                tracing::warn!(error = %error, cause, "the log cannot be read; answering from the store");
                freshness.lapse();
            }
        }
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            () = heard.notified() => {}
            () = stop.cancelled() => {}
        }
    }
}

/// How far the follower has read.
struct Place {
    /// All transactions below were settled.
    horizon: i64,
    /// What was heard of those above, and will be read again.
    heard: HashSet<i64>,
}

async fn look(db: &Db, horizon: Option<i64>) -> Result<(i64, Vec<Notice>)> {
    db.read(move |conn| {
        let Conn::Postgres(conn) = conn else { return Err(Error::internal("not PostgreSQL")) };
        let next = super::horizon_in(conn)?;
        let notices = match horizon {
            Some(horizon) => super::since_in(conn, horizon)?,
            None => Vec::new(),
        };
        Ok((next, notices))
    })
    .await
}
