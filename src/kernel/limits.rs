//! Rate limits in use: the one number of state that [`Rate`] needs, shared by whoever asks at the same time,
//! and a table of those numbers that outlives the records they belong to.
//!
//! Taking is a compare-and-swap on that number: no lock, nothing to wait for. The table is asked only when a
//! record is loaded; the record then holds its bucket. A record that is forgotten and loaded again finds the
//! bucket as it was left, so that a change of a key does not fill its bucket. A bucket that nobody holds and
//! that is full again says nothing, and goes.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use uuid::Uuid;

use super::gcra::{Rate, Standing};

const SHARDS: usize = 16;
/// Buckets of a shard below which it is not swept.
const FEW: usize = 1024;

/// How much of a rate is used.
#[derive(Debug, Default)]
pub struct Bucket(AtomicU64);

impl Bucket {
    fn take(&self, rate: Rate, now: u64, cost: u32) -> (bool, Standing) {
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            let (passes, next, standing) = rate.take(seen, now, cost);
            if !passes || cost == 0 {
                return (passes, standing);
            }
            match self.0.compare_exchange_weak(seen, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return (true, standing),
                Err(actual) => seen = actual,
            }
        }
    }

    fn give_back(&self, rate: Rate, cost: u32) {
        // Never fails: the function always has a next value.
        let _ =
            self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |tat| Some(rate.give_back(tat, cost)));
    }

    fn is_full(&self, now: u64) -> bool {
        self.0.load(Ordering::Relaxed) <= now
    }
}

/// A rate, and how much of it is used.
#[derive(Clone, Debug)]
pub struct Limit {
    /// The rate.
    pub rate: Rate,
    /// Its use.
    pub bucket: Arc<Bucket>,
}

/// How one limit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// The limit.
    pub rate: Rate,
    /// How it stands.
    pub standing: Standing,
}

/// How a request's limits stand after it asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Taken {
    /// Whether any of them refused; then none of them lost anything.
    pub refused: bool,
    /// The tenant's.
    pub tenant: Option<Tally>,
    /// The key's own.
    pub key: Option<Tally>,
}

impl Taken {
    /// The one that stands in the way, or would first.
    #[must_use]
    pub fn tighter(&self) -> Option<Tally> {
        let both = [self.tenant, self.key];
        let order = |tally: &Tally| (std::cmp::Reverse(tally.standing.retry_in), tally.standing.remaining);
        both.into_iter().flatten().min_by_key(order)
    }

    /// Until the same request would pass; zero when it did.
    #[must_use]
    pub fn retry_in(&self) -> Duration {
        self.tighter().map_or(Duration::ZERO, |tally| tally.standing.retry_in)
    }
}

/// Takes `cost` from both limits or from neither; a cost of 0 only looks.
#[must_use]
pub fn take(tenant: Option<&Limit>, key: Option<&Limit>, now: u64, cost: u32) -> Taken {
    let ask = |limit: Option<&Limit>, cost: u32| {
        let Some(Limit { rate, bucket }) = limit else { return (true, None) };
        let (passes, standing) = bucket.take(*rate, now, cost);
        (passes, Some(Tally { rate: *rate, standing }))
    };
    let (key_passes, of_key) = ask(key, cost);
    if !key_passes {
        return Taken { refused: true, tenant: ask(tenant, 0).1, key: of_key };
    }
    let (passes, of_tenant) = ask(tenant, cost);
    if passes {
        return Taken { refused: false, tenant: of_tenant, key: of_key };
    }
    if let Some(Limit { rate, bucket }) = key {
        bucket.give_back(*rate, cost);
    }
    Taken { refused: true, tenant: of_tenant, key: ask(key, 0).1 }
}

/// Gives back what [`take`] took from both, when what it was taken for does not come to be.
pub fn give_back(tenant: Option<&Limit>, key: Option<&Limit>, cost: u32) {
    for Limit { rate, bucket } in [tenant, key].into_iter().flatten() {
        bucket.give_back(*rate, cost);
    }
}

struct Shard {
    held: HashMap<Uuid, Arc<Bucket>>,
    sweep_at: usize,
}

/// The buckets of everything that has a limit, by id.
pub struct Buckets {
    began: Instant,
    shards: [Mutex<Shard>; SHARDS],
}

impl Default for Buckets {
    fn default() -> Self {
        let shard = || Mutex::new(Shard { held: HashMap::new(), sweep_at: FEW });
        Self { began: Instant::now(), shards: std::array::from_fn(|_| shard()) }
    }
}

impl Buckets {
    /// The present on the clock that limits go by, which nobody sets back: nanoseconds.
    #[must_use]
    pub fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// The limit of whatever bears this id.
    #[must_use]
    pub fn limit(&self, id: Uuid, rate: Rate) -> Limit {
        let at = id.as_bytes().last().map_or(0, |byte| usize::from(*byte) % SHARDS);
        let Some(shard) = self.shards.get(at) else { return Limit { rate, bucket: Arc::default() } };
        let mut shard = shard.lock();
        let bucket = Arc::clone(shard.held.entry(id).or_default());
        if shard.held.len() >= shard.sweep_at {
            let now = self.now();
            shard.held.retain(|_, bucket| Arc::strong_count(bucket) > 1 || !bucket.is_full(now));
            shard.sweep_at = FEW.max(shard.held.len().saturating_mul(2));
        }
        Limit { rate, bucket }
    }

    /// How many are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().held.len()).sum()
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn rate(requests_per_s: u32, burst: u32) -> Rate {
        Rate { requests_per_s, burst }
    }

    #[test]
    fn a_cost_is_taken_from_both_or_from_neither() {
        let buckets = Buckets::default();
        let tenant = buckets.limit(Uuid::from_u128(1), rate(1, 3));
        let key = buckets.limit(Uuid::from_u128(2), rate(1, 10));
        let ask = |cost| take(Some(&tenant), Some(&key), SECOND, cost);
        let remaining =
            |taken: Taken| (taken.tenant.unwrap().standing.remaining, taken.key.unwrap().standing.remaining);
        assert_eq!((ask(2).refused, remaining(ask(0))), (false, (1, 8)));
        let refused = ask(2);
        assert!(refused.refused, "the tenant's limit has one left");
        assert_eq!((remaining(refused), remaining(ask(0))), ((1, 8), (1, 8)));
        assert_eq!(refused.tighter().unwrap().rate, tenant.rate);
        assert_eq!(refused.retry_in(), Duration::from_secs(1));

        let slow = buckets.limit(Uuid::from_u128(3), rate(1, 1));
        assert!(!take(Some(&tenant), Some(&slow), SECOND, 1).refused);
        let refused = take(Some(&tenant), Some(&slow), 3 * SECOND / 2, 1);
        assert!(refused.refused, "the key's own limit is used up");
        assert_eq!(refused.tighter().unwrap().rate, slow.rate);
    }

    #[test]
    fn many_at_once_get_exactly_the_burst() {
        let limit = Buckets::default().limit(Uuid::from_u128(1), rate(1, 500));
        let passed = std::thread::scope(|scope| {
            let ask = || (0..1000).filter(|_| !take(Some(&limit), None, SECOND, 1).refused).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>()
        });
        assert_eq!(passed, 500);
    }

    #[test]
    fn a_bucket_outlives_its_record_while_it_is_in_use_and_no_longer() {
        let buckets = Buckets::default();
        let used = buckets.limit(Uuid::from_u128(7), rate(1, 1_000_000));
        assert!(!take(Some(&used), None, buckets.now(), 999_999).refused);
        drop(used);
        for id in 0..100_000 {
            drop(buckets.limit(Uuid::from_u128(id * 1000 + 13), rate(1, 1)));
        }
        assert!(buckets.len() < SHARDS * FEW * 2, "{} are held", buckets.len());
        let again = buckets.limit(Uuid::from_u128(7), rate(1, 1_000_000));
        assert!(take(Some(&again), None, buckets.now(), 999_999).refused, "it was forgotten");
    }
}
