//! Facts kept in memory and kept coherent with the log: a command forgets what it changed before its
//! answer leaves, and other replicas forget it when they see its event. A replica that cannot see the
//! log any more reads the store instead of answering from memory.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use moka::future::Cache;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::Notice;
use crate::db::{Conn, Db, Engine};
use crate::kernel::error::{Error, Result};

/// How often the log is read for news.
const PERIOD: Duration = Duration::from_millis(200);
/// How old the last look at the log may be before memory no longer counts: the stated bound on how late a
/// change on another replica is seen.
pub const BOUND: Duration = Duration::from_secs(1);

/// Whether memory may be believed: when the log was last read to its end.
#[derive(Clone)]
pub struct Freshness(Arc<Mutex<Option<Instant>>>, bool);

impl Freshness {
    /// For a store that this process alone writes, memory is always fresh.
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        Self(Arc::default(), engine == Engine::Sqlite)
    }

    /// Whether memory may answer.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.1 || self.0.lock().is_some_and(|seen| seen.elapsed() < BOUND)
    }

    fn seen(&self, began: Instant) {
        *self.0.lock() = Some(began);
    }

    /// Nothing seen so far counts any more.
    fn lapse(&self) {
        *self.0.lock() = None;
    }
}

struct Held<V> {
    loaded: u64,
    value: Option<Arc<V>>,
}

impl<V> Clone for Held<V> {
    fn clone(&self) -> Self {
        Self { loaded: self.loaded, value: self.value.clone() }
    }
}

/// Values by key, absence included, loaded once however many ask at the same time.
pub struct Memory<K, V> {
    held: Cache<K, Held<V>>,
    forgotten: Cache<K, u64>,
    epoch: AtomicU64,
    freshness: Freshness,
}

impl<K, V> Memory<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// A memory for at most `capacity` keys; the least used make room.
    #[must_use]
    pub fn new(capacity: u64, freshness: Freshness) -> Self {
        Self {
            held: Cache::builder().max_capacity(capacity).time_to_idle(Duration::from_secs(3600)).build(),
            // Long enough for any load that began before the forgetting to have ended.
            forgotten: Cache::builder().max_capacity(capacity).time_to_live(Duration::from_secs(120)).build(),
            epoch: AtomicU64::new(1),
            freshness,
        }
    }

    /// The value of `key`, from memory or else from `load`.
    ///
    /// # Errors
    /// What `load` answers.
    pub async fn get<F>(&self, key: &K, load: impl Fn() -> F) -> Result<Option<Arc<V>>>
    where
        F: Future<Output = Result<Option<V>>>,
    {
        if !self.freshness.holds() {
            return Ok(load().await?.map(Arc::new));
        }
        for _ in 0..8 {
            let held = match self.held.get(key).await {
                Some(held) => held,
                None => self.load(key, &load).await?,
            };
            if self.is_current(key, &held).await {
                return Ok(held.value);
            }
            self.held.invalidate(key).await;
        }
        // Forgotten again and again while loading: answer what the store says now, and keep nothing.
        Ok(load().await?.map(Arc::new))
    }

    async fn load<F>(&self, key: &K, load: &impl Fn() -> F) -> Result<Held<V>>
    where
        F: Future<Output = Result<Option<V>>>,
    {
        let loading = async {
            let loaded = self.epoch.load(Ordering::SeqCst);
            load().await.map(|value| Held { loaded, value: value.map(Arc::new) })
        };
        self.held.try_get_with(key.clone(), loading).await.map_err(|error| shared(&error))
    }

    /// A load that began before its key was forgotten may hold the old fact.
    async fn is_current(&self, key: &K, held: &Held<V>) -> bool {
        if held.loaded >= self.epoch.load(Ordering::SeqCst) {
            return true;
        }
        self.forgotten.get(key).await.is_none_or(|forgotten| held.loaded >= forgotten)
    }

    /// Forgets `key`; whoever asks after this returns gets the store's present answer.
    pub async fn forget(&self, key: &K) {
        let epoch = self.epoch.fetch_add(1, Ordering::SeqCst).saturating_add(1);
        self.forgotten.insert(key.clone(), epoch).await;
        self.held.invalidate(key).await;
    }

    /// Forgets everything.
    pub fn forget_all(&self) {
        self.held.invalidate_all();
    }

    /// How many keys are held.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.held.entry_count()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One load's error for each of those who waited for it.
fn shared(error: &Error) -> Error {
    match error {
        Error::NotFound(what) => Error::NotFound(what),
        Error::Unavailable { code, detail, cause } => Error::unavailable(code, detail.clone(), cause),
        other => Error::internal(other.cause().map_or_else(|| other.to_string(), ToString::to_string)),
    }
}

/// Whoever forgets facts when the log tells of a change.
pub trait Listener: Send + Sync + 'static {
    /// Another replica (or this one) changed something.
    fn hear<'a>(&'a self, notice: &'a Notice) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

    /// The log was out of sight for longer than memory may bridge.
    fn forget_all(&self);
}

/// Reads the log until `stop`, telling `listener` the news. Needed on PostgreSQL alone: a SQLite store has
/// one process, whose commands forget what they change by themselves.
pub async fn follow(db: Db, freshness: Freshness, listener: Arc<dyn Listener>, stop: CancellationToken) {
    if db.engine() == Engine::Sqlite {
        return;
    }
    let mut horizon: Option<i64> = None;
    let mut last = Instant::now();
    while !stop.is_cancelled() {
        let began = Instant::now();
        match look(&db, horizon).await {
            Ok((next, notices)) => {
                if horizon.is_none() || last.elapsed() > BOUND * 4 {
                    listener.forget_all();
                }
                for notice in &notices {
                    listener.hear(notice).await;
                }
                horizon = Some(next);
                last = began;
                freshness.seen(began);
            }
            Err(error) => {
                tracing::warn!(error = %error, "the log cannot be read; answering from the store");
                freshness.lapse();
            }
        }
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            () = stop.cancelled() => {}
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    #[tokio::test]
    async fn a_load_that_was_overtaken_is_not_kept() {
        let memory: Arc<Memory<u8, u32>> = Arc::new(Memory::new(10, Freshness::new(Engine::Sqlite)));
        let (begun, go) = (Arc::new(tokio::sync::Notify::new()), Arc::new(tokio::sync::Notify::new()));
        let loads = Arc::new(AtomicU32::new(0));
        let slow = {
            let (memory, begun, go, loads) = (memory.clone(), begun.clone(), go.clone(), loads.clone());
            tokio::spawn(async move {
                memory
                    .get(&1, || {
                        let (begun, go, load) =
                            (begun.clone(), go.clone(), loads.fetch_add(1, Ordering::SeqCst));
                        async move {
                            if load == 0 {
                                begun.notify_one();
                                go.notified().await;
                            }
                            Ok(Some(load))
                        }
                    })
                    .await
            })
        };
        begun.notified().await;
        memory.forget(&1).await;
        go.notify_one();
        assert_eq!(*slow.await.unwrap().unwrap().unwrap(), 1, "the first load began before the change");
        assert_eq!(*memory.get(&1, || async { Ok(Some(9)) }).await.unwrap().unwrap(), 1);
    }

    #[tokio::test]
    async fn absence_is_remembered_and_errors_are_not() {
        let memory: Memory<u8, u32> = Memory::new(10, Freshness::new(Engine::Sqlite));
        assert!(memory.get(&1, || async { Err(Error::internal("x")) }).await.is_err());
        assert!(memory.get(&1, || async { Ok(None) }).await.unwrap().is_none());
        assert!(memory.get(&1, || async { Ok(Some(1)) }).await.unwrap().is_none());
    }
}
