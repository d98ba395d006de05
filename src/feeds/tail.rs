//! The end of the log in memory, read once for all who follow it on this replica.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, Semaphore, watch};

use super::model::{Lens, Told};
use crate::app::App;
use crate::kernel::error::{Error, Result};
use crate::kernel::id::TenantId;
use crate::log::{self, Place};

/// Events that memory holds at most.
const EVENTS: usize = 4_096;
/// Bytes that they may take together.
const BYTES: usize = 16 << 20;
/// Events that one reading takes.
const STEP: i64 = 500;
/// How often the log is read when nothing wakes the reader: other replicas append too.
const PERIOD: Duration = Duration::from_secs(1);
/// How soon it is read again when what woke the reader was not settled yet; doubled up to [`PERIOD`].
const UNSETTLED: Duration = Duration::from_millis(10);
/// How long after the last follower went the log is still read.
const LINGER: Duration = Duration::from_secs(30);
/// Followers of this replica at most.
const MOST: usize = 20_000;
/// Followers of one tenant at most.
const MOST_OF_ONE: usize = 200;
/// Followers that read the store at once: others wait, and keep connections for those who have other work.
const READERS: usize = 4;

/// What memory says to somebody who follows.
pub enum Look {
    /// These come next; go on from this place.
    News(Vec<Arc<Told>>, Place),
    /// Memory does not reach back so far: ask the store.
    Behind,
    /// Nothing is known yet: wait.
    Nothing,
}

struct Ring {
    told: VecDeque<Arc<Told>>,
    bytes: usize,
    /// All settled events after this place are in it.
    begins: Place,
}

#[derive(Default)]
struct Seats {
    all: usize,
    of_tenants: HashMap<TenantId, usize>,
}

/// The end of the log, and who follows it.
pub struct Tail {
    ring: RwLock<Ring>,
    /// How far the log was read; none while nobody follows.
    head: watch::Sender<Option<Place>>,
    seats: Mutex<Seats>,
    wanted: Notify,
    readers: Semaphore,
}

impl Default for Tail {
    fn default() -> Self {
        Self {
            ring: RwLock::new(Ring { told: VecDeque::new(), bytes: 0, begins: Place::END }),
            head: watch::Sender::new(None),
            seats: Mutex::default(),
            wanted: Notify::new(),
            readers: Semaphore::new(READERS),
        }
    }
}

/// A place among those who follow; it is free again when this is dropped.
pub struct Seat {
    app: App,
    tenant: Option<TenantId>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.app.tail.seats.lock();
        seats.all = seats.all.saturating_sub(1);
        if let Some(tenant) = self.tenant
            && let Some(count) = seats.of_tenants.get_mut(&tenant)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                seats.of_tenants.remove(&tenant);
            }
        }
        count(&seats);
    }
}

fn count(seats: &Seats) {
    metrics::gauge!("tenantry_feed_followers").set(f64::from(u32::try_from(seats.all).unwrap_or(u32::MAX)));
}

impl Tail {
    /// Takes a seat, on behalf of `tenant` when it is one of its people or programs who follows.
    ///
    /// # Errors
    /// [`Error::Limited`] when the tenant, or the replica, has as many as it may.
    pub fn sit(app: &App, tenant: Option<TenantId>) -> Result<Seat> {
        let full =
            |detail: &str| Error::Limited { detail: detail.into(), retry_after: Duration::from_secs(10) };
        let mut seats = app.tail.seats.lock();
        if seats.all >= MOST {
            return Err(full("this replica has as many followers of feeds as it takes"));
        }
        if let Some(tenant) = tenant {
            let own = seats.of_tenants.entry(tenant).or_default();
            if *own >= MOST_OF_ONE {
                return Err(full("your tenant has 200 followers of its feed already; close some"));
            }
            *own += 1;
        }
        seats.all += 1;
        count(&seats);
        drop(seats);
        app.tail.wanted.notify_one();
        Ok(Seat { app: app.clone(), tenant })
    }

    fn is_followed(&self) -> bool {
        self.seats.lock().all > 0
    }

    /// Changes when there may be news.
    #[must_use]
    pub fn head(&self) -> watch::Receiver<Option<Place>> {
        self.head.subscribe()
    }

    /// What comes after `place` for somebody who sees this; at most `limit`.
    #[must_use]
    pub fn after(&self, place: Place, lens: &Lens, limit: usize) -> Look {
        let ring = self.ring.read();
        let Some(head) = *self.head.borrow() else { return Look::Nothing };
        if place < ring.begins {
            return Look::Behind;
        }
        let first = ring.told.partition_point(|told| told.place <= place);
        let mut news = Vec::new();
        for told in ring.told.range(first..) {
            if lens.shows(&told.kind, told.tenant) {
                news.push(Arc::clone(told));
                if news.len() >= limit {
                    return Look::News(news, told.place);
                }
            }
        }
        Look::News(news, head.max(place))
    }

    fn open(&self, at: Place) {
        let mut ring = self.ring.write();
        *ring = Ring { told: VecDeque::new(), bytes: 0, begins: at };
        self.head.send_replace(Some(at));
    }

    fn push(&self, news: Vec<Told>) {
        let Some(head) = news.last().map(|told| told.place) else { return };
        let mut ring = self.ring.write();
        for told in news {
            ring.bytes += told.size();
            ring.told.push_back(Arc::new(told));
        }
        while (ring.told.len() > EVENTS || ring.bytes > BYTES)
            && let Some(gone) = ring.told.pop_front()
        {
            ring.bytes = ring.bytes.saturating_sub(gone.size());
            ring.begins = gone.place;
        }
        // Under the ring's lock: who reads both must not see what is new with the head from before, and give it
        // out again.
        self.head.send_replace(Some(head));
    }

    fn close(&self) {
        if self.head.borrow().is_some() {
            self.head.send_replace(None);
            *self.ring.write() = Ring { told: VecDeque::new(), bytes: 0, begins: Place::END };
        }
    }

    /// Leave to read the store, which few followers have at once.
    ///
    /// # Errors
    /// [`Error::Internal`] when the server has gone.
    pub async fn may_read(&self) -> Result<tokio::sync::SemaphorePermit<'_>> {
        metrics::counter!("tenantry_feed_reads_total", "by" => "follower").increment(1);
        self.readers.acquire().await.map_err(Error::internal)
    }
}

/// Reads the log's end while somebody follows, until the process is to end.
pub async fn keep(app: App) {
    let stop = app.stopping.clone();
    let mut news = app.db.news();
    let mut quiet = UNSETTLED;
    let mut idle_since: Option<tokio::time::Instant> = None;
    while !stop.is_cancelled() {
        if app.tail.is_followed() {
            idle_since = None;
        } else if idle_since.get_or_insert_with(tokio::time::Instant::now).elapsed() > LINGER
            || app.tail.head.borrow().is_none()
        {
            app.tail.close();
            tokio::select! {
                () = app.tail.wanted.notified() => {}
                () = stop.cancelled() => {}
            }
            continue;
        }
        let woken = news.has_changed().unwrap_or(false);
        news.mark_unchanged();
        if woken {
            quiet = UNSETTLED;
        }
        match step(&app).await {
            Ok(events) if events > 0 => quiet = UNSETTLED,
            Ok(_) => quiet = (quiet * 2).min(PERIOD),
            Err(error) => {
                let cause = error.cause().map(tracing::field::display);
                tracing::warn!(error = %error, cause, "the log could not be read for feeds; trying again soon");
                quiet = PERIOD;
            }
        }
        tokio::select! {
            _ = news.changed() => news.mark_changed(),
            () = tokio::time::sleep(quiet) => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn step(app: &App) -> Result<usize> {
    metrics::counter!("tenantry_feed_reads_total", "by" => "tail").increment(1);
    let from = *app.tail.head.borrow();
    let Some(from) = from else {
        let end = app.db.read(log::end_in).await?;
        app.tail.open(end);
        return Ok(0);
    };
    let entries = app.db.read(move |conn| log::settled_in(conn, from, None, STEP)).await?;
    let source = app.tokens.issuer();
    let news = entries.iter().map(|entry| Told::of(source, entry)).collect::<Result<Vec<_>>>()?;
    let taken = news.len();
    app.tail.push(news);
    Ok(taken)
}
