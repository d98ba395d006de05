//! Facts kept in memory and kept coherent with the log: a command forgets what it changed before its
//! answer leaves, and other replicas forget it when they see its event. A replica that cannot see the
//! log any more reads the store instead of answering from memory.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;

pub use super::follow::{BOUND, Freshness, Listener, follow};
use super::table::Table;
use crate::kernel::error::{Error, Result};

/// Parts that are locked one by one, each for as long as a look-up takes.
const SHARDS: usize = 64;
/// Memories smaller than this are one part: the bound of a part would be too coarse.
const SMALL: usize = 4096;
/// How often a value is loaded again because it was forgotten meanwhile.
const TRIES: usize = 8;

/// A load that others may wait for.
struct Loading<V> {
    outcome: OnceLock<Result<Option<Arc<V>>>>,
    /// Cancelled when there is an outcome, or when whoever loaded has gone away.
    done: CancellationToken,
    /// The key was forgotten since the load began: its outcome may be the old fact.
    overtaken: AtomicBool,
}

struct Shard<K, V> {
    held: Table<K, Arc<V>, RandomState>,
    /// What the store does not have. Apart, so that a flood of made-up keys pushes out no real one.
    absent: Table<K, (), RandomState>,
    loading: HashMap<K, Arc<Loading<V>>>,
}

impl<K: Hash + Eq, V> Shard<K, V> {
    fn look(&self, hash: u64, key: &K) -> Option<Option<Arc<V>>> {
        match self.held.get(hash, key) {
            Some(value) => Some(Some(Arc::clone(value))),
            None => self.absent.get(hash, key).map(|()| None),
        }
    }

    fn overtake(&mut self, key: &K) {
        if let Some(loading) = self.loading.remove(key) {
            loading.overtaken.store(true, Ordering::Release);
        }
    }
}

enum Turn<V> {
    Known(Option<Arc<V>>),
    Wait(Arc<Loading<V>>),
    Load(Arc<Loading<V>>),
}

/// Values by key, absence included, loaded once however many ask at the same time.
pub struct Memory<K, V> {
    shards: Box<[RwLock<Shard<K, V>>]>,
    hasher: RandomState,
    freshness: Freshness,
}

impl<K, V> Memory<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Send + Sync + 'static,
{
    /// A memory for at most `capacity` values, and the absence of a sixteenth as many (at least 256, at
    /// most 65,536); the least used make room.
    #[must_use]
    pub fn new(capacity: u64, freshness: Freshness) -> Self {
        let capacity = usize::try_from(capacity).unwrap_or(usize::MAX);
        let shards = if capacity < SMALL { 1 } else { SHARDS };
        let hasher = RandomState::new();
        let absent = (capacity / 16).clamp(256, 65_536);
        let shard = || {
            RwLock::new(Shard {
                held: Table::new(capacity.div_ceil(shards), hasher.clone()),
                absent: Table::new(absent.div_ceil(shards), hasher.clone()),
                loading: HashMap::new(),
            })
        };
        Self { shards: (0..shards).map(|_| shard()).collect(), hasher, freshness }
    }

    /// The value of `key`, from memory or else from `load`.
    ///
    /// # Errors
    /// What `load` answers.
    pub async fn get<F>(&self, key: &K, load: impl Fn() -> F) -> Result<Option<Arc<V>>>
    where
        F: Future<Output = Result<Option<V>>>,
    {
        match self.known(key) {
            Some(value) => Ok(value),
            None => self.miss(key, load).await,
        }
    }

    /// What memory says of `key`: `None` when it says nothing, or may not be believed.
    #[must_use]
    pub fn known(&self, key: &K) -> Option<Option<Arc<V>>> {
        if !self.freshness.holds() {
            return None;
        }
        let hash = self.hasher.hash_one(key);
        self.shard(hash)?.read().look(hash, key)
    }

    async fn miss<F>(&self, key: &K, load: impl Fn() -> F) -> Result<Option<Arc<V>>>
    where
        F: Future<Output = Result<Option<V>>>,
    {
        let hash = self.hasher.hash_one(key);
        let tries = if self.freshness.holds() { TRIES } else { 0 };
        for _ in 0..tries {
            let loading = match self.turn(hash, key) {
                Turn::Known(value) => return Ok(value),
                Turn::Wait(loading) => {
                    loading.done.cancelled().await;
                    match loading.outcome.get() {
                        Some(Ok(value)) if !loading.overtaken.load(Ordering::Acquire) => {
                            return Ok(value.clone());
                        }
                        Some(Err(error)) => return Err(shared(error)),
                        _ => continue,
                    }
                }
                Turn::Load(loading) => loading,
            };
            // Whoever asked may go away in the midst: then one of those who wait loads instead.
            let told = loading.done.clone().drop_guard();
            let outcome = load().await.map(|value| value.map(Arc::new));
            let answer = outcome.as_ref().map(Clone::clone).map_err(shared);
            let kept = self.keep(hash, key, &loading, outcome);
            drop(told);
            match answer {
                Ok(_) if !kept => {}
                answer => return answer,
            }
        }
        // Not to be believed, or forgotten again and again while loading: answer what the store says now, and
        // keep nothing.
        Ok(load().await?.map(Arc::new))
    }

    fn shard(&self, hash: u64) -> Option<&RwLock<Shard<K, V>>> {
        // The table within uses the other bits.
        let many = u64::try_from(self.shards.len()).unwrap_or(1).max(1);
        self.shards.get(usize::try_from((hash >> 24) % many).unwrap_or(0))
    }

    fn turn(&self, hash: u64, key: &K) -> Turn<V> {
        let fresh = || {
            Arc::new(Loading {
                outcome: OnceLock::new(),
                done: CancellationToken::new(),
                overtaken: AtomicBool::new(false),
            })
        };
        let Some(shard) = self.shard(hash) else { return Turn::Load(fresh()) };
        let mut shard = shard.write();
        if let Some(value) = shard.look(hash, key) {
            return Turn::Known(value);
        }
        match shard.loading.get(key) {
            Some(loading) if !loading.done.is_cancelled() => Turn::Wait(Arc::clone(loading)),
            _ => {
                let loading = fresh();
                shard.loading.insert(key.clone(), Arc::clone(&loading));
                Turn::Load(loading)
            }
        }
    }

    /// Keeps what was loaded, unless the key was forgotten meanwhile; answers whether it was not.
    fn keep(&self, hash: u64, key: &K, loading: &Arc<Loading<V>>, outcome: Result<Option<Arc<V>>>) -> bool {
        let Some(shard) = self.shard(hash) else { return true };
        let mut shard = shard.write();
        if loading.overtaken.load(Ordering::Acquire) {
            return false;
        }
        shard.loading.remove(key);
        match &outcome {
            Ok(Some(value)) => shard.held.insert(hash, key.clone(), Arc::clone(value)),
            Ok(None) => shard.absent.insert(hash, key.clone(), ()),
            Err(_) => {}
        }
        drop(shard);
        loading.outcome.set(outcome).is_ok()
    }

    /// Forgets `key`; whoever asks after this returns gets the store's present answer.
    pub async fn forget(&self, key: &K) {
        let hash = self.hasher.hash_one(key);
        let Some(shard) = self.shard(hash) else { return };
        let mut shard = shard.write();
        shard.held.remove(hash, key);
        shard.absent.remove(hash, key);
        shard.overtake(key);
    }

    /// Forgets everything.
    pub fn forget_all(&self) {
        for shard in &self.shards {
            let mut shard = shard.write();
            shard.held.clear();
            shard.absent.clear();
            for (_, loading) in shard.loading.drain() {
                loading.overtaken.store(true, Ordering::Release);
            }
        }
    }

    /// How many values are held.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.shards.iter().map(|shard| u64::try_from(shard.read().held.len()).unwrap_or(0)).sum()
    }

    /// Whether none is held.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::Engine;
    use std::sync::atomic::AtomicU32;
    use tokio::sync::Notify;

    fn memory(capacity: u64) -> Arc<Memory<u64, u32>> {
        Arc::new(Memory::new(capacity, Freshness::new(Engine::Sqlite)))
    }

    /// A load that says when it has begun and ends when it is told to; each answers a number of its own.
    struct Slow {
        begun: Notify,
        go: Notify,
        loads: AtomicU32,
    }

    fn ask(
        memory: &Arc<Memory<u64, u32>>,
        slow: &Arc<Slow>,
    ) -> tokio::task::JoinHandle<Result<Option<Arc<u32>>>> {
        let (memory, slow) = (memory.clone(), slow.clone());
        tokio::spawn(async move {
            let load = || {
                let (slow, load) = (slow.clone(), slow.loads.fetch_add(1, Ordering::SeqCst));
                async move {
                    slow.begun.notify_one();
                    slow.go.notified().await;
                    Ok(Some(load))
                }
            };
            memory.get(&1, load).await
        })
    }

    fn slow() -> Arc<Slow> {
        Arc::new(Slow { begun: Notify::new(), go: Notify::new(), loads: AtomicU32::new(0) })
    }

    #[tokio::test]
    async fn a_load_that_was_overtaken_is_not_kept() {
        let (memory, slow) = (memory(10), slow());
        let asked = ask(&memory, &slow);
        slow.begun.notified().await;
        memory.forget(&1).await;
        slow.go.notify_one();
        slow.begun.notified().await;
        slow.go.notify_one();
        assert_eq!(*asked.await.unwrap().unwrap().unwrap(), 1, "the first load began before the change");
        assert_eq!(*memory.get(&1, || async { Ok(Some(9)) }).await.unwrap().unwrap(), 1);
        let asked = ask(&memory, &slow);
        asked.await.unwrap().unwrap().unwrap();
        memory.forget(&1).await;
        let asked = ask(&memory, &slow);
        slow.begun.notified().await;
        memory.forget_all();
        slow.go.notify_one();
        slow.begun.notified().await;
        slow.go.notify_one();
        assert_eq!(*asked.await.unwrap().unwrap().unwrap(), 3, "forgetting all overtakes loads too");
    }

    #[tokio::test]
    async fn many_who_ask_at_once_load_once_and_share_the_answer_or_the_error() {
        let (memory, slow) = (memory(10), slow());
        let asked: Vec<_> = (0..20).map(|_| ask(&memory, &slow)).collect();
        slow.begun.notified().await;
        slow.go.notify_one();
        for one in asked {
            assert_eq!(*one.await.unwrap().unwrap().unwrap(), 0);
        }
        let loads = AtomicU32::new(0);
        let fail = || async {
            loads.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Err(Error::unavailable("store_unavailable", "away", "x"))
        };
        let all = futures_util::future::join_all((0..20).map(|_| memory.get(&2, fail))).await;
        assert!(all.iter().all(|one| one.as_ref().is_err_and(|error| error.to_string() == "away")));
        assert_eq!(loads.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn who_goes_away_while_loading_leaves_it_to_one_who_waits() {
        let (memory, slow) = (memory(10), slow());
        let first = ask(&memory, &slow);
        slow.begun.notified().await;
        let second = ask(&memory, &slow);
        tokio::task::yield_now().await;
        first.abort();
        slow.begun.notified().await;
        slow.go.notify_one();
        assert_eq!(*second.await.unwrap().unwrap().unwrap(), 1);
    }

    #[tokio::test]
    async fn absence_is_remembered_apart_and_errors_are_not() {
        let memory = memory(300);
        assert!(memory.get(&1, || async { Err(Error::internal("x")) }).await.is_err());
        assert!(memory.get(&1, || async { Ok(None) }).await.unwrap().is_none());
        assert!(memory.get(&1, || async { Ok(Some(1)) }).await.unwrap().is_none());
        for key in 0..200 {
            memory.forget(&key).await;
            memory.get(&key, || async { Ok(Some(7)) }).await.unwrap();
        }
        for made_up in 1000..100_000 {
            memory.get(&made_up, || async { Ok(None) }).await.unwrap();
        }
        let held = (0..200).filter(|key| matches!(memory.known(key), Some(Some(_)))).count();
        assert_eq!(held, 200, "made-up keys pushed out real ones");
        let absent = (1000..100_000).filter(|key| memory.known(key).is_some()).count();
        assert!(absent <= 256, "{absent} absences are held");
    }
}
