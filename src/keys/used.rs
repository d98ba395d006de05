//! When keys were last used: noted in memory by each use, written from time to time in batches. A use is no
//! change, so it makes no event and no new revision.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;

use super::store;
use crate::app::App;
use crate::db::Db;
use crate::kernel::clock::Ts;
use crate::kernel::error::Result;
use crate::kernel::id::KeyId;

/// Parts that are locked apart, so that requests seldom meet.
const SHARDS: usize = 64;
/// The most keys that a part notes between two writings, about a million in all; of further keys the use goes
/// unnoted rather than memory be filled.
const MOST: usize = 16_384;
/// Keys that one statement writes.
const BATCH: usize = 1_000;

/// The uses that are not written yet.
pub struct Uses {
    shards: Vec<Mutex<HashMap<KeyId, Ts>>>,
}

impl Default for Uses {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }
}

impl Uses {
    /// Notes that a key is used: one entry in memory, however often.
    pub fn note(&self, key: KeyId, at: Ts) {
        // The last bits of an id are random.
        let random = usize::from(key.uuid().as_bytes().last().copied().unwrap_or(0));
        let Some(shard) = self.shards.get(random % SHARDS) else { return };
        let mut shard = shard.lock();
        if let Some(noted) = shard.get_mut(&key) {
            *noted = at.max(*noted);
        } else if shard.len() < MOST {
            shard.insert(key, at);
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
        all.sort_unstable();
        let mut batches = all.chunks(BATCH);
        while let Some(batch) = batches.next() {
            let uses = batch.to_vec();
            if let Err(error) = db.write(move |conn| store::note_uses(conn, &uses)).await {
                batch.iter().chain(batches.flatten()).for_each(|(key, at)| self.note(*key, *at));
                return Err(error);
            }
        }
        Ok(())
    }
}

/// Writes the uses at `period` until the process stops. What is noted after that is written by whoever stops
/// it, when the last request is answered.
pub async fn keep(app: App, period: Duration) {
    while app.stopping.run_until_cancelled(tokio::time::sleep(period)).await.is_some() {
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
    fn the_latest_use_counts_and_memory_is_bounded() {
        let uses = Uses::default();
        let at = |seconds: u64| Ts::from_micros(0).unwrap().plus(Duration::from_secs(seconds));
        let key = KeyId::mint();
        for seconds in [3, 9, 5] {
            uses.note(key, at(seconds));
        }
        let held: Vec<_> = uses.shards.iter().flat_map(|shard| shard.lock().clone()).collect();
        assert_eq!(held, [(key, at(9))]);
        // Ids of one part only.
        for number in 0..u128::try_from(MOST).unwrap() + 10 {
            uses.note(KeyId::from_uuid(uuid::Uuid::from_u128(number << 8)), at(1));
        }
        assert_eq!(uses.shards[0].lock().len(), MOST);
    }
}
