//! When keys were last used: noted in memory by each use, written from time to time in batches. A use is no
//! change, so it makes no event and no new revision, and it has a small table of its own.
//!
//! The moment is kept in the key's own record, to the second. Here is only who waits to be written, each once,
//! so that a request touches nothing that other keys share.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::hot::HotKey;
use super::store;
use crate::app::App;
use crate::db::Db;
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::kernel::id::KeyId;

/// Parts that are locked apart, so that requests seldom meet.
const SHARDS: usize = 64;
/// The most keys of a part that wait, about half a million in all; of further keys the use goes unnoted rather
/// than memory be filled.
const MOST: usize = 8_192;
/// So many of a part are written without waiting for the time.
const MANY: usize = MOST / 2;
/// Keys that one statement writes.
const BATCH: usize = 1_000;

type Waiting = Vec<(KeyId, Arc<HotKey>)>;

/// The keys whose use is not written yet.
pub struct Uses {
    shards: Vec<Mutex<Waiting>>,
    many: Notify,
}

impl Default for Uses {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), many: Notify::new() }
    }
}

impl Uses {
    /// Notes that a key is used.
    pub fn note(&self, id: KeyId, key: &Arc<HotKey>, at: Ts) {
        if key.note_use(at) {
            self.enqueue(id, key);
        }
    }

    fn enqueue(&self, id: KeyId, key: &Arc<HotKey>) {
        // The last bits of an id are random.
        let random = usize::from(id.uuid().as_bytes().last().copied().unwrap_or(0));
        let Some(shard) = self.shards.get(random % SHARDS) else { return };
        let mut shard = shard.lock();
        if shard.len() >= MOST {
            drop(shard);
            // Its next use asks for a place again.
            let _ = key.take_use();
            return;
        }
        shard.push((id, Arc::clone(key)));
        if shard.len() == MANY {
            self.many.notify_one();
        }
    }

    /// Writes what was noted, in batches of one statement each. What cannot be written is noted again.
    ///
    /// # Errors
    /// The store's.
    pub async fn flush(&self, db: &Db) -> Result<()> {
        let mut all: Vec<_> =
            self.shards.iter().flat_map(|shard| std::mem::take(&mut *shard.lock())).collect();
        // One order on all replicas, so that two batches on the same keys wait and do not deadlock.
        all.sort_unstable_by_key(|(id, _)| *id);
        let mut batches = all.chunks(BATCH);
        while let Some(batch) = batches.next() {
            let mut uses: Vec<_> = batch.iter().map(|(id, key)| (*id, key.take_use())).collect();
            // A record that was loaded anew meanwhile has noted for itself: the later one counts.
            uses.dedup_by(|next, kept| {
                let same = next.0 == kept.0;
                if same {
                    kept.1 = kept.1.max(next.1);
                }
                same
            });
            let again = uses.clone();
            if let Err(error) = db.write(move |conn| store::note_uses(conn, &again)).await {
                let taken = uses.iter().filter_map(|(id, at)| {
                    let found = batch.binary_search_by_key(id, |(id, _)| *id).ok()?;
                    batch.get(found).map(|(id, key)| (*id, key, *at))
                });
                taken.for_each(|(id, key, at)| self.note(id, key, at));
                batches.flatten().for_each(|(id, key)| self.enqueue(*id, key));
                return Err(error);
            }
        }
        Ok(())
    }
}

/// Writes the uses at `period`, or when many wait, until the process stops. What is noted after that is written
/// by whoever stops it, when the last request is answered.
pub async fn keep(app: App, period: Duration) {
    loop {
        let due = async {
            tokio::select! {
                () = tokio::time::sleep(period) => {}
                () = app.uses.many.notified() => {}
            }
        };
        if app.stopping.run_until_cancelled(due).await.is_none() {
            return;
        }
        write(&app).await;
    }
}

/// Writes the uses; a store that is away is told of in the log, and tried again next time.
pub async fn write(app: &App) {
    if let Err(error) = app.uses.flush(&app.db).await {
        tracing::warn!(error = %error, "when keys were last used could not be written; it will be tried again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_waits_once_and_memory_is_bounded() {
        let uses = Uses::default();
        let at = |seconds: i64| Ts::from_micros((1_800_000_000 + seconds) * 1_000_000).unwrap();
        let (id, key) = (KeyId::mint(), Arc::new(HotKey::sample()));
        for seconds in [3, 5, 9] {
            uses.note(id, &key, at(seconds));
        }
        let held: Vec<_> = uses.shards.iter().flat_map(|shard| shard.lock().clone()).collect();
        assert_eq!(held.len(), 1);
        assert_eq!(held[0].1.take_use(), at(9));
        // Ids of one part only.
        let mut last = Arc::new(HotKey::sample());
        for number in 0..u128::try_from(MOST).unwrap() + 10 {
            last = Arc::new(HotKey::sample());
            uses.note(KeyId::from_uuid(uuid::Uuid::from_u128(number << 8)), &last, at(1));
        }
        assert_eq!(uses.shards[0].lock().len(), MOST);
        assert!(last.note_use(at(2)), "who found no place asks again");
    }
}
