//! What memory knows of counters: enough to say how much is used without asking the store. What it says is at most
//! [`BOUND`] old, and never older than what this process took itself.
//!
//! A counter that was asked for lately is read again before it is too old, all such in one statement; so whoever
//! asks often enough never waits for the store.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::model::Window;
use super::{Counter, store};
use crate::db::Db;
use crate::kernel::error::Result;
use crate::kernel::id::TenantId;

/// How old what is told of a counter may be: the stated bound.
pub const BOUND: Duration = Duration::from_secs(1);
/// A counter that nobody asked for so long is not read again.
const ASKED: Duration = Duration::from_secs(3);
/// Parts that are locked apart, so that requests seldom meet.
const SHARDS: usize = 64;
/// Counters that one statement reads.
const BATCH: usize = 1_000;

struct Reading {
    meter: Arc<str>,
    window: Window,
    used: i64,
    /// What is told is what was true then, or later.
    at: Instant,
    asked: Instant,
}

/// The memory.
pub struct Gauge {
    shards: Vec<Mutex<HashMap<TenantId, Vec<Reading>>>>,
}

impl Default for Gauge {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }
}

impl Gauge {
    fn shard(&self, tenant: TenantId) -> Option<&Mutex<HashMap<TenantId, Vec<Reading>>>> {
        // The last bits of an id are random.
        let random = usize::from(tenant.uuid().as_bytes().last().copied().unwrap_or(0));
        self.shards.get(random % SHARDS)
    }

    /// How much is used, when that is known of the last second.
    #[must_use]
    pub fn known(&self, tenant: TenantId, meter: &str, window: Window) -> Option<i64> {
        let mut shard = self.shard(tenant)?.lock();
        let readings = shard.get_mut(&tenant)?;
        let found = readings.iter_mut().find(|one| one.window == window && *one.meter == *meter)?;
        let now = Instant::now();
        found.asked = now;
        (now.saturating_duration_since(found.at) < BOUND).then_some(found.used)
    }

    /// Notes what counters stand at, as was true at `at` or later.
    pub fn note(&self, counters: &BTreeMap<Counter, i64>, at: Instant) {
        for (counter, used) in counters {
            let Some(shard) = self.shard(counter.tenant) else { continue };
            let mut shard = shard.lock();
            let readings = shard.entry(counter.tenant).or_default();
            match readings.iter_mut().find(|one| one.window == counter.window && one.meter == counter.meter) {
                // Read before, and told later.
                Some(known) if known.at > at => {}
                Some(known) => (known.used, known.at) = (*used, at),
                None => readings.push(Reading {
                    meter: Arc::clone(&counter.meter),
                    window: counter.window,
                    used: *used,
                    at,
                    asked: at,
                }),
            }
        }
    }

    /// How much is used: from memory, or else from the store.
    ///
    /// # Errors
    /// The store's.
    pub async fn used(&self, db: &Db, counter: Counter) -> Result<i64> {
        if let Some(known) = self.known(counter.tenant, &counter.meter, counter.window) {
            return Ok(known);
        }
        let read = self.read(db, vec![counter.clone()]).await?;
        Ok(read.get(&counter).copied().unwrap_or(0))
    }

    async fn read(&self, db: &Db, counters: Vec<Counter>) -> Result<BTreeMap<Counter, i64>> {
        let at = Instant::now();
        let wanted = counters.clone();
        let mut read = db.read(move |conn| store::read(conn, &wanted)).await?;
        for counter in counters {
            read.entry(counter).or_insert(0);
        }
        self.note(&read, at);
        Ok(read)
    }

    /// Reads again what was asked for lately, and forgets the rest.
    ///
    /// # Errors
    /// The store's.
    pub async fn refresh(&self, db: &Db) -> Result<()> {
        let now = Instant::now();
        let mut wanted = Vec::new();
        for shard in &self.shards {
            shard.lock().retain(|tenant, readings| {
                readings.retain(|one| now.saturating_duration_since(one.asked) < ASKED);
                wanted.extend(readings.iter().map(|one| Counter {
                    tenant: *tenant,
                    meter: Arc::clone(&one.meter),
                    window: one.window,
                }));
                !readings.is_empty()
            });
        }
        for batch in wanted.chunks(BATCH) {
            self.read(db, batch.to_vec()).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::clock::Ts;
    use crate::metering::quota::Per;

    #[test]
    fn what_was_true_later_counts_and_nothing_that_is_too_old() {
        let gauge = Gauge::default();
        let window = Window::of(Per::Month, Ts::from_micros(0).unwrap());
        let counter = Counter { tenant: TenantId::mint(), meter: "m".into(), window };
        let known = || gauge.known(counter.tenant, "m", window);
        let note = |used, at| gauge.note(&[(counter.clone(), used)].into(), at);
        assert_eq!(known(), None);
        let now = Instant::now();
        note(5, now);
        note(3, now.checked_sub(Duration::from_millis(10)).unwrap());
        assert_eq!(known(), Some(5), "an older reading that came later changes nothing");
        note(7, now);
        assert_eq!(known(), Some(7));
        assert_eq!(gauge.known(counter.tenant, "other", window), None);
        let other = Gauge::default();
        other.note(&[(counter.clone(), 5)].into(), now.checked_sub(BOUND).unwrap());
        assert_eq!(other.known(counter.tenant, "m", window), None);
    }
}
